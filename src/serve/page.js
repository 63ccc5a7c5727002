// Keeps the page current: every new version on /events swaps <main> for the server's. Without scripts the page still
// shows everything; it just has to be reloaded by hand.
(() => {
  let shown = document.querySelector("main").dataset.version;
  let newest = shown;
  let busy = false;

  async function refresh() {
    // Nobody is interrupted while typing.
    if (busy || newest === shown || document.hidden || document.activeElement?.closest("form")) return;
    busy = true;
    const asked = newest;
    try {
      const answer = await fetch(location.href, { headers: { Accept: "text/html" } });
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      const next = page.querySelector("main");
      const main = document.querySelector("main");
      // What a reader has opened stays open.
      for (const details of main.querySelectorAll("details[open][id]")) {
        const same = next.querySelector("#" + CSS.escape(details.id));
        if (same) same.open = true;
      }
      // What a reader has typed stays typed.
      for (const form of main.querySelectorAll("form[id][data-typed]")) {
        const same = next.querySelector("#" + CSS.escape(form.id));
        if (same) same.replaceWith(form);
      }
      const focused = document.activeElement && document.activeElement.id;
      main.replaceWith(next);
      if (focused) document.getElementById(focused)?.focus({ preventScroll: true });
      document.title = page.title;
      shown = next.dataset.version;
    } catch {
      // The stream says when the server is back, and then a newer version comes.
    }
    busy = false;
    if (newest !== asked) refresh();
  }

  const events = new EventSource("/events");
  events.addEventListener("version", (event) => { newest = event.data; refresh(); });
  events.onopen = () => document.documentElement.classList.remove("away");
  events.onerror = () => document.documentElement.classList.add("away");
  document.addEventListener("visibilitychange", refresh);
  document.addEventListener("input", (event) => {
    const form = event.target.closest("form");
    if (form) form.dataset.typed = "";
  });
  document.addEventListener("focusout", () => setTimeout(refresh));
})();

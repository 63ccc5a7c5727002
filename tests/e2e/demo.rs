//! The demo: what somebody sees who tries tautline for the first time, on the terminal and in a browser.

use std::path::Path;
use std::time::Duration;

use serde_json::json;

use crate::parts::browser::Browser;
use crate::parts::daemon::{TAUTLINE, shown, tautline};
use crate::parts::process::Process;
use crate::parts::{free_port, http, root, scratch, wait};

/// The story unfolds within a minute; a busy machine takes longer.
const STORY_WITHIN: Duration = Duration::from_secs(150);

#[test]
fn demo_once_ends_with_the_message_and_a_summary() {
    let output = tautline(&["demo", "--once", "--port", "0"]);
    let text = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{}", shown(&output));
    for part in [
        "Articles",
        "Revenue",
        "done-but-flat",
        "http://127.0.0.1:",
        "events of history",
    ] {
        assert!(text.contains(part), "'{part}' is missing in\n{}", shown(&output));
    }
}

#[test]
fn the_page_shows_the_story_on_a_desk_and_on_a_phone() {
    let folder = scratch("demo");
    let port = free_port();
    let args = ["demo", "--port", &port.to_string()];
    let log = folder.path().join("demo.log");
    let mut demo = Process::start("demo", Path::new(TAUTLINE), &args, folder.path(), &log);
    wait::until("the demo serves its page", STORY_WITHIN, || {
        assert!(demo.ended().is_none(), "the demo ended:\n{}", demo.log());
        http::get(port, "/-/healthy")
            .ok()
            .filter(|answer| answer.status == 200)
    });

    let mut browser = Browser::start();
    browser.resize(1280, 900, false);
    let page = format!("http://127.0.0.1:{port}/?lang=en");
    browser.open(&page);
    // Opened before the story is told: the page follows by itself.
    let story = "[...document.querySelectorAll('.alerts h2')].map(h => h.innerText).join('\\n')";
    let heading = wait::until_ok("the page shows the story", STORY_WITHIN, || {
        let heading = browser.evaluate(story).as_str().unwrap_or_default().to_owned();
        let told = heading.contains("Articles") && heading.contains("Revenue");
        if told {
            Ok(heading)
        } else {
            Err(format!("{heading}\n{}", demo.log()))
        }
    });
    eprintln!("{heading}");
    let pictures = root().join("target/e2e");
    for (name, width, height, phone) in [
        ("desk", 1280, 900, false),
        ("phone", 390, 844, true),
        ("small-phone", 320, 640, true),
    ] {
        browser.resize(width, height, phone);
        for (language, headline) in [("en", " need"), ("zh", "需要关注")] {
            browser.open(&format!("http://127.0.0.1:{port}/?lang={language}"));
            let text = browser.text();
            for part in ["Articles", "Revenue", headline] {
                assert!(text.contains(part), "'{part}' is missing on a {name}:\n{text}");
            }
            assert_eq!(overflowing(&mut browser), json!([]), "wider than a {name}");
            browser.screenshot(&pictures.join(format!("page-{name}-{language}.png")));
        }
    }
    demo.signal("INT");
    assert_eq!(demo.wait_for_end(Duration::from_secs(30)), 0, "{}", demo.log());
}

/// What sticks out of the page to the right, unless it scrolls by itself.
fn overflowing(browser: &mut Browser) -> serde_json::Value {
    browser.evaluate(
        "(() => {
            const width = document.documentElement.clientWidth;
            if (document.documentElement.scrollWidth <= width) return [];
            const out = [...document.body.querySelectorAll('*')].filter(e => e.getBoundingClientRect().right > width + 1);
            return [`page ${document.documentElement.scrollWidth} of ${width}`, ...out.map(e => e.outerHTML.slice(0, 120))];
        })()",
    )
}

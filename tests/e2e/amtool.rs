//! Alertmanager's own tool against the daemon, the links of a message, and the history of an episode.

use std::process::{Command, Output};
use std::time::Duration;

use crate::alert::Story;
use crate::parts::daemon::{Daemon, RESPONDER, shown};
use crate::parts::http;
use crate::parts::{scratch, wait};

const TOLD_WITHIN: Duration = Duration::from_secs(30);

#[test]
fn amtool_sees_silences_and_expires_and_a_link_acknowledges_only_when_it_is_asked_to() {
    let Story {
        slack, site, daemon, ..
    } = Story::told();

    // Alerts, as Alertmanager's tool reads them.
    let am = Amtool::new(&daemon);
    let found = am.json(&["alert", "query", "alertname=done-but-flat"]);
    assert_eq!(found.as_array().map(Vec::len), Some(1), "{found}");
    let alert = &found[0];
    assert_eq!(alert["labels"]["node"], "articles");
    assert_eq!(alert["labels"]["severity"], "critical");
    assert_eq!(alert["status"]["state"], "active");
    assert_eq!(alert["receivers"][0]["name"], "ops");
    assert_eq!(
        am.json(&["alert", "query", "node=revenue"])
            .as_array()
            .map(Vec::len),
        Some(0)
    );

    // A preview of the link changes nothing; the button on its page does.
    let message = slack.messages()[0].body.clone();
    let link = link_to(&message, "/ack/");
    let page = http::get(daemon.port(), &link).unwrap();
    assert_eq!(page.status, 200, "{}", page.body);
    assert!(page.body.contains("Acknowledge this alert"), "{}", page.body);
    let forged = http::send(daemon.port(), &link.replace("sig=", "sig=00"), &FORM, b"by=li").unwrap();
    assert_eq!(forged.status, 403, "{}", forged.body);
    daemon.wait_for_evaluations(5);
    assert_eq!(slack.messages().len(), 1, "nobody has acknowledged yet");
    let done = http::send(daemon.port(), &link, &FORM, b"by=li&comment=on+it").unwrap();
    assert_eq!(done.status, 200, "{}", done.body);
    slack.wait_for(2, TOLD_WITHIN);
    let acked = &slack.messages()[1];
    assert!(acked.body.contains("li has taken it: on it."), "{acked:#?}");

    // Silenced by the tool, with the token; without it nobody may.
    let refused = am.run(
        &[
            "silence",
            "add",
            "--author=li",
            "--comment=stock",
            "node=articles",
        ],
        false,
    );
    assert!(!refused.status.success(), "{}", shown(&refused));
    let added = am.run(
        &[
            "silence",
            "add",
            "--author=li",
            "--comment=stock",
            "node=articles",
        ],
        true,
    );
    assert!(added.status.success(), "{}", shown(&added));
    let id = String::from_utf8(added.stdout).unwrap().trim().to_owned();
    wait::until("the silence holds", TOLD_WITHIN, || {
        let found = am.json(&["alert", "query", "--silenced", "alertname=done-but-flat"]);
        (found[0]["status"]["silencedBy"][0] == id.as_str()).then_some(())
    });
    let page = daemon.get("/alerts?lang=en").body;
    for part in [id.as_str(), "stock", "not again now: silence", "History"] {
        assert!(page.contains(part), "'{part}' is missing in\n{page}");
    }
    let silences = am.json(&["silence", "query"]);
    assert_eq!(silences[0]["id"], id.as_str(), "{silences}");
    assert_eq!(silences[0]["comment"], "stock");
    let expired = am.run(&["silence", "expire", &id], true);
    assert!(expired.status.success(), "{}", shown(&expired));
    wait::until("the silence is over", TOLD_WITHIN, || {
        (am.json(&["silence", "query"]).as_array().map(Vec::len) == Some(0)).then_some(())
    });

    // All of it is in the history of the episode, also after a restart.
    daemon.kill();
    let daemon = site.start();
    daemon.wait_until_ready();
    let episode = link
        .trim_start_matches("/ack/")
        .split('?')
        .next()
        .unwrap()
        .to_owned();
    let history = daemon.get(&format!("/api/v1/episodes/{episode}/history")).json();
    let lines = history["data"]["history"].as_array().unwrap();
    let of = |kind: &str| {
        lines
            .iter()
            .any(|line| line["kind"] == kind && line["status"] == "delivered")
    };
    assert!(of("fired") && of("acked"), "{history}");
    let page = daemon.get(&format!("/episodes/{episode}?lang=zh")).body;
    for part in ["触发", "有人认领", "已送达", &format!("静默 {id}")] {
        assert!(page.contains(part), "'{part}' is missing in\n{page}");
    }
    let held = format!("silence {id}");
    assert!(
        lines.iter().any(|line| line["held_by"][0] == held.as_str()),
        "{history}"
    );
    assert_eq!(slack.messages().len(), 2, "{:#?}", slack.messages());
    daemon.stop();
}

pub(crate) const FORM: [(&str, &str); 1] = [("Content-Type", "application/x-www-form-urlencoded")];

/// The path and query of a link in a message.
#[track_caller]
pub(crate) fn link_to(message: &str, path: &str) -> String {
    let from = message
        .find(path)
        .unwrap_or_else(|| panic!("no {path} in {message}"));
    let rest = &message[from..];
    let end = rest.find(['"', '|', '>', ')', ' ', '\n']).unwrap_or(rest.len());
    rest[..end].trim_end_matches('\\').replace("&amp;", "&")
}

/// Alertmanager's command-line tool, pointed at a daemon.
struct Amtool {
    url: String,
    folder: tempfile::TempDir,
}

impl Amtool {
    fn new(daemon: &Daemon) -> Amtool {
        let folder = scratch("amtool");
        let config = format!("authorization: {{type: Bearer, credentials: {RESPONDER}}}\n");
        std::fs::write(folder.path().join("http.yaml"), config).unwrap();
        Amtool {
            url: format!("http://127.0.0.1:{}", daemon.port()),
            folder,
        }
    }

    fn run(&self, args: &[&str], with_token: bool) -> Output {
        let mut command = Command::new("amtool");
        command.arg(format!("--alertmanager.url={}", self.url)).args(args);
        if with_token {
            command.arg(format!(
                "--http.config.file={}/http.yaml",
                self.folder.path().display()
            ));
        }
        command.env("HOME", self.folder.path()).output().unwrap()
    }

    #[track_caller]
    fn json(&self, args: &[&str]) -> serde_json::Value {
        let output = self.run(&[args, &["--output=json"]].concat(), false);
        assert!(output.status.success(), "{args:?}: {}", shown(&output));
        serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {}", shown(&output)))
    }
}

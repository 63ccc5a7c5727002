//! Chromium without a window, driven over the DevTools protocol on a pair of pipes: no port, no driver, no library.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::{scratch, wait};

const ANSWER_WITHIN: Duration = Duration::from_secs(60);

const FLAGS: [&str; 10] = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--remote-debugging-pipe",
];

/// A browser with one page.
pub(crate) struct Browser {
    process: Child,
    commands: Option<ChildStdin>,
    answers: Receiver<Value>,
    session: Value,
    next_id: u64,
    _profile: TempDir,
}

impl Browser {
    /// Starts one with a profile of its own. It ends when its pipe closes: with the test process, at the latest.
    pub(crate) fn start() -> Browser {
        let profile = scratch("chromium");
        let log = std::fs::File::create(profile.path().join("log")).unwrap();
        // The protocol is spoken on file descriptors 3 and 4.
        let mut process = Command::new("sh")
            .args([
                "-c",
                r#"exec "$@" 3<&0 4>&1 </dev/null >/dev/null"#,
                "sh",
                "chromium",
            ])
            .args(FLAGS)
            .arg(format!(
                "--user-data-dir={}",
                profile.path().join("profile").display()
            ))
            .arg("about:blank")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .unwrap();
        let (sender, answers) = channel();
        let stdout = process.stdout.take().unwrap();
        std::thread::spawn(move || {
            for message in BufReader::new(stdout).split(0) {
                let Ok(bytes) = message else { return };
                let value = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
                if sender.send(value).is_err() {
                    return;
                }
            }
        });
        let commands = process.stdin.take();
        let mut browser = Browser {
            process,
            commands,
            answers,
            session: Value::Null,
            next_id: 0,
            _profile: profile,
        };
        let target = browser.command("Target.createTarget", json!({"url": "about:blank"}));
        let attach = json!({"targetId": target["targetId"], "flatten": true});
        browser.session = browser.command("Target.attachToTarget", attach)["sessionId"].take();
        browser
    }

    /// Shows as a screen of this size would, in CSS pixels.
    pub(crate) fn resize(&mut self, width: u32, height: u32, phone: bool) {
        let metrics = json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": phone});
        self.command("Emulation.setDeviceMetricsOverride", metrics);
    }

    /// Goes to an address, and waits until it is loaded.
    #[track_caller]
    pub(crate) fn open(&mut self, url: &str) {
        let opened = self.command("Page.navigate", json!({"url": url}));
        assert_eq!(opened.get("errorText"), None, "{url}");
        let loaded = "document.readyState === 'complete' && location.href !== 'about:blank'";
        wait::until(&format!("{url} is loaded"), ANSWER_WITHIN, || {
            (self.evaluate(loaded) == json!(true)).then_some(())
        });
    }

    /// The value of a JavaScript expression in the page.
    #[track_caller]
    pub(crate) fn evaluate(&mut self, expression: &str) -> Value {
        let asked = json!({"expression": expression, "returnByValue": true, "awaitPromise": true});
        let mut answer = self.command("Runtime.evaluate", asked);
        assert_eq!(answer.get("exceptionDetails"), None, "{expression}");
        answer["result"]["value"].take()
    }

    /// The text that a reader sees.
    #[track_caller]
    pub(crate) fn text(&mut self) -> String {
        self.evaluate("document.body.innerText")
            .as_str()
            .unwrap_or_default()
            .to_owned()
    }

    /// Keeps a picture of the page, whole, as PNG.
    pub(crate) fn screenshot(&mut self, file: &Path) {
        let asked = json!({"format": "png", "captureBeyondViewport": true});
        let answer = self.command("Page.captureScreenshot", asked);
        std::fs::write(file, base64(answer["data"].as_str().unwrap())).unwrap();
    }

    #[track_caller]
    fn command(&mut self, method: &str, params: Value) -> Value {
        self.next_id += 1;
        let id = self.next_id;
        let mut message = json!({"id": id, "method": method, "params": params});
        if !self.session.is_null() {
            message["sessionId"] = self.session.clone();
        }
        let commands = self.commands.as_mut().unwrap();
        write!(commands, "{message}\0")
            .and_then(|()| commands.flush())
            .unwrap_or_else(|error| {
                panic!("chromium does not listen: {error}\n{}", self.log());
            });
        let asked = Instant::now();
        loop {
            let left = ANSWER_WITHIN.saturating_sub(asked.elapsed());
            let Ok(mut answer) = self.answers.recv_timeout(left) else {
                panic!("chromium does not answer {method}\n{}", self.log());
            };
            if answer["id"] == id {
                assert_eq!(answer.get("error"), None, "{method}");
                return answer["result"].take();
            }
        }
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self._profile.path().join("log")).unwrap_or_default()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        drop(self.commands.take());
        let ended = wait::within_time(Duration::from_secs(10), || self.process.try_wait().ok().flatten());
        if ended.is_none() {
            let _ = self.process.kill();
            let _ = self.process.wait();
        }
    }
}

/// Bytes from base64, as the protocol sends pictures.
fn base64(text: &str) -> Vec<u8> {
    let digit = |byte: u8| match byte {
        b'A'..=b'Z' => byte - b'A',
        b'a'..=b'z' => byte - b'a' + 26,
        b'0'..=b'9' => byte - b'0' + 52,
        b'+' => 62,
        _ => 63,
    };
    let digits: Vec<u8> = text.bytes().filter(|byte| *byte != b'=').map(digit).collect();
    let mut bytes = Vec::with_capacity(digits.len());
    for group in digits.chunks(4) {
        let bits = group
            .iter()
            .fold(0u32, |bits, digit| bits << 6 | u32::from(*digit))
            << (6 * (4 - group.len()));
        bytes.extend_from_slice(&bits.to_be_bytes()[1..group.len()]);
    }
    bytes
}

//! The `tautline` binary as a user runs it: settings and catalogue in files, one process.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;
use std::time::Duration;

use jiff::Timestamp;
use tempfile::TempDir;

use super::broker::Broker;
use super::http::{self, Answer};
use super::metrics::Metrics;
use super::process::Process;
use super::{free_port, root, scratch, unique, wait};

/// The daemon serves at once; a busy machine takes its time.
const HEALTHY_WITHIN: Duration = Duration::from_secs(30);
const READY_WITHIN: Duration = Duration::from_secs(60);
const STOP_WITHIN: Duration = Duration::from_secs(30);

/// The token of those who may send events.
pub(crate) const TOKEN: &str = "0123456789abcdef0123456789abcdef";

/// The token of those who may acknowledge and silence.
pub(crate) const RESPONDER: &str = "fedcba9876543210fedcba9876543210";

/// The token of those who may decide on weights.
#[allow(dead_code, reason = "benches/peers decides nothing")]
pub(crate) const APPROVER: &str = "00112233445566778899aabbccddeeff";

/// The binary under test.
pub(crate) const TAUTLINE: &str = env!("CARGO_BIN_EXE_tautline");

/// Everything that a daemon finds when it starts: settings, catalogue, state. Kept over its restarts.
pub(crate) struct Site {
    folder: TempDir,
    port: u16,
    brokers: String,
    group: String,
    receiver: String,
    /// The value of `kafka.schema_registry`.
    registry: Option<String>,
    /// The body of `kafka.properties`.
    properties: String,
    /// What stands in `evaluate` besides `every`.
    evaluate: String,
    /// Topics that keep the state begin with this, if several daemons share it.
    prefix: Option<String>,
    /// The topic of the alert log.
    alert_log: Option<String>,
}

impl Site {
    /// A site whose daemon reads from this broker. Nobody is told anything until [`Site::tells`].
    pub(crate) fn new(broker: &Broker) -> Site {
        Site::at(broker.bootstrap())
    }

    /// A site without Kafka.
    #[allow(dead_code, reason = "benches/peers has a broker")]
    pub(crate) fn without_broker() -> Site {
        Site::at(String::new())
    }

    /// A site whose brokers do not answer: the discard port, where nobody listens.
    #[allow(dead_code, reason = "benches/peers has a broker")]
    pub(crate) fn with_broker_away() -> Site {
        Site::at("127.0.0.1:9".to_owned())
    }

    fn at(brokers: String) -> Site {
        let site = Site {
            folder: scratch("site"),
            port: free_port(),
            brokers,
            group: unique("tautline"),
            // The discard port: nobody listens there.
            receiver: "slack_webhook: {url: \"http://127.0.0.1:9/\", allow_private: true}".to_owned(),
            registry: None,
            properties: String::new(),
            evaluate: String::new(),
            prefix: None,
            alert_log: None,
        };
        std::fs::create_dir(site.folder.path().join("catalog")).unwrap();
        site.write_settings();
        site
    }

    /// Whom the daemon tells: the body of `slack_webhook`.
    pub(crate) fn tells(self, slack_webhook: &str) -> Site {
        self.tells_by(&format!("slack_webhook: {slack_webhook}"))
    }

    /// By which channel the daemon tells: the body of the receiver `ops`.
    pub(crate) fn tells_by(mut self, channel: &str) -> Site {
        self.receiver = channel.to_owned();
        self.write_settings();
        self
    }

    /// Which schema registry the daemon asks: the value of `kafka.schema_registry`.
    #[allow(dead_code, reason = "benches/peers has none")]
    pub(crate) fn asks(mut self, registry: &str) -> Site {
        self.registry = Some(registry.to_owned());
        self.write_settings();
        self
    }

    /// What the daemon's client of Kafka is told besides: the body of `kafka.properties`.
    #[allow(dead_code, reason = "benches/peers measures what users have")]
    pub(crate) fn connects(mut self, properties: &str) -> Site {
        self.properties = properties.to_owned();
        self.write_settings();
        self
    }

    /// Keeps the state together with others of this prefix.
    #[allow(dead_code, reason = "benches/peers measures what users have")]
    pub(crate) fn shares(mut self, prefix: &str) -> Site {
        self.prefix = Some(prefix.to_owned());
        self.write_settings();
        self
    }

    /// Writes what is decided and told to this topic.
    #[allow(dead_code, reason = "benches/peers measures what users have")]
    pub(crate) fn logs_to(mut self, topic: &str) -> Site {
        self.alert_log = Some(topic.to_owned());
        self.write_settings();
        self
    }

    /// Writes the settings anew, with this in `evaluate`.
    #[allow(dead_code, reason = "benches/peers measures what users have")]
    pub(crate) fn set_evaluate(&mut self, more: &str) {
        self.evaluate = format!(", {more}");
        self.write_settings();
    }

    /// Writes the catalogue, in place of the one that was there.
    pub(crate) fn declares(self, catalog: &str) -> Site {
        self.write_catalog(catalog);
        self
    }

    /// Writes the catalogue, in place of the one that was there.
    pub(crate) fn write_catalog(&self, catalog: &str) {
        std::fs::write(self.folder.path().join("catalog/catalog.yaml"), catalog).unwrap();
    }

    /// Takes the example catalogue of the repository, as its README shows it.
    #[allow(dead_code, reason = "for benches/peers")]
    pub(crate) fn write_example_catalog(&self) {
        let (from, to) = (root().join("config/catalog"), self.folder.path().join("catalog"));
        let copied = Command::new("cp")
            .arg("-r")
            .arg(from.join("."))
            .arg(to)
            .status()
            .unwrap();
        assert!(copied.success(), "{} cannot be copied", from.display());
    }

    fn write_settings(&self) {
        let folder = self.folder.path().display();
        let registry = self.registry.as_ref();
        let mut more = registry.map_or_else(String::new, |registry| format!(", schema_registry: {registry}"));
        if let Some(topic) = &self.alert_log {
            // Writing to a String does not fail.
            let _ = write!(more, ", alert_log: {topic}");
        }
        let shared = self.prefix.as_ref();
        let shared = shared.map_or_else(String::new, |prefix| format!(", kafka: {{prefix: {prefix}}}"));
        let settings = format!(
            "kafka: {{{brokers}group: {group}{more}, properties: {{{properties}}}}}\n\
             catalog: {folder}/catalog\n\
             state: {{sqlite: {folder}/tautline.db{shared}}}\n\
             dead_letter: {{path: {folder}/dead-letter.ndjson}}\n\
             serve: {{listen: \"127.0.0.1:{port}\", external_url: \"http://127.0.0.1:{port}\", tokens: [{{token: {TOKEN}, role: ingest}}, {{token: {RESPONDER}, role: responder}}, {{token: {APPROVER}, role: approver}}]}}\n\
             evaluate: {{every: 200ms{evaluate}}}\n\
             language: en\n\
             receivers:\n  ops: {{{receiver}}}\n\
             routes: {{receiver: ops, group_by: [\"...\"]}}\n",
            brokers = match self.brokers.as_str() {
                "" => String::new(),
                brokers => format!("brokers: \"{brokers}\", "),
            },
            group = self.group,
            properties = self.properties,
            evaluate = self.evaluate,
            port = self.port,
            receiver = self.receiver,
        );
        std::fs::write(self.settings(), settings).unwrap();
    }

    /// The settings file.
    pub(crate) fn settings(&self) -> PathBuf {
        self.folder.path().join("tautline.yaml")
    }

    /// The consumer group.
    pub(crate) fn group(&self) -> &str {
        &self.group
    }

    /// The port that its daemon serves on.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// The dead letters so far, one JSON value a line.
    pub(crate) fn dead_letters(&self) -> Vec<serde_json::Value> {
        let text = std::fs::read_to_string(self.folder.path().join("dead-letter.ndjson")).unwrap_or_default();
        text.lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    /// Starts the daemon, and does not wait for anything.
    pub(crate) fn spawn(&self) -> Daemon {
        let settings = self.settings();
        let args = ["run", "--config", settings.to_str().unwrap()];
        let log = self.folder.path().join("tautline.log");
        let process = Process::start("tautline", Path::new(TAUTLINE), &args, self.folder.path(), &log);
        Daemon {
            process,
            port: self.port,
        }
    }

    /// Starts the daemon and waits until it serves.
    #[track_caller]
    pub(crate) fn start(&self) -> Daemon {
        let mut daemon = self.spawn();
        daemon.wait_until_healthy();
        daemon
    }
}

/// A running daemon.
pub(crate) struct Daemon {
    process: Process,
    port: u16,
}

impl Daemon {
    /// Waits until it serves.
    #[track_caller]
    pub(crate) fn wait_until_healthy(&mut self) {
        let healthy = wait::within_time(HEALTHY_WITHIN, || match self.process.ended() {
            Some(status) => Some(Err(status)),
            None => (http::get(self.port, "/-/healthy").ok()?.status == 200).then_some(Ok(())),
        });
        match healthy {
            Some(Ok(())) => {}
            Some(Err(status)) => panic!("the daemon ended with {status}:\n{}", self.log()),
            None => panic!(
                "the daemon does not serve within {HEALTHY_WITHIN:?}:\n{}",
                self.log()
            ),
        }
    }

    /// Waits until its numbers are current.
    #[track_caller]
    pub(crate) fn wait_until_ready(&self) {
        wait::until_ok("the daemon is ready", READY_WITHIN, || {
            match http::get(self.port, "/-/ready") {
                Ok(answer) if answer.status == 200 => Ok(()),
                Ok(answer) => Err(answer.body),
                Err(error) => Err(error.to_string()),
            }
        });
    }

    /// Waits until its metrics satisfy a condition, and returns what the condition gives.
    #[track_caller]
    pub(crate) fn wait_for<T>(
        &self,
        what: &str,
        within: Duration,
        look: impl Fn(&Metrics) -> Result<T, String>,
    ) -> T {
        wait::until_ok(what, within, || look(&self.try_metrics()?))
    }

    /// Waits until a node has a value.
    #[track_caller]
    pub(crate) fn wait_for_value(&self, node: &str, within: Duration, value: f64) {
        self.wait_for(node, within, |metrics| {
            match metrics.get("tautline_kpi_value", &[("node", node)]) {
                Some(seen) if seen == value => Ok(()),
                seen => Err(format!("{seen:?}")),
            }
        });
    }

    /// Waits until it has judged anew `times` more: what was going to happen by itself has happened then.
    #[track_caller]
    pub(crate) fn wait_for_evaluations(&self, times: u64) {
        let version = || {
            self.get("/api/v1/nodes").json()["data"]["version"]
                .as_u64()
                .unwrap()
        };
        let wanted = version() + times;
        wait::until("the daemon evaluates", READY_WITHIN, || {
            (version() >= wanted).then_some(())
        });
    }

    /// Waits until it is written down that so many notices were delivered since its start: who kills it before finds the
    /// last one sent once more, as the outcome was unknown.
    #[track_caller]
    pub(crate) fn wait_until_delivered(&self, count: f64) {
        self.wait_for("notices are delivered", READY_WITHIN, |metrics| {
            match metrics.sum("tautline_notices_total", &[("outcome", "delivered")]) {
                delivered if delivered >= count => Ok(()),
                delivered => Err(format!("{delivered} of {count} notices are delivered")),
            }
        });
    }

    /// What /metrics says.
    #[track_caller]
    pub(crate) fn metrics(&self) -> Metrics {
        self.try_metrics().unwrap()
    }

    /// What /metrics says, if the daemon answers.
    pub(crate) fn try_metrics(&self) -> Result<Metrics, String> {
        let answer = http::get(self.port, "/metrics").map_err(|error| error.to_string())?;
        if answer.status == 200 {
            Ok(Metrics::parse(&answer.body))
        } else {
            Err(answer.body)
        }
    }

    /// The port that it serves on.
    #[allow(dead_code, reason = "for benches/peers")]
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// GET.
    #[track_caller]
    pub(crate) fn get(&self, path: &str) -> Answer {
        http::get(self.port, path).unwrap()
    }

    /// POST.
    #[track_caller]
    pub(crate) fn post(&self, path: &str) -> Answer {
        http::post(self.port, path).unwrap()
    }

    /// Its process id.
    #[allow(dead_code, reason = "for benches/peers")]
    pub(crate) fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// Sends a signal by name.
    pub(crate) fn signal(&self, signal: &str) {
        self.process.signal(signal);
    }

    /// Kills it with SIGKILL: it cannot prepare.
    #[track_caller]
    pub(crate) fn kill(mut self) {
        assert!(
            self.process.ended().is_none(),
            "the daemon ended by itself:\n{}",
            self.log()
        );
        self.process.signal("KILL");
        self.process.wait_for_end(STOP_WITHIN);
    }

    /// Asks it to end with SIGTERM; it ends with exit code 0.
    #[track_caller]
    pub(crate) fn stop(mut self) {
        self.process.signal("TERM");
        let code = self.process.wait_for_end(STOP_WITHIN);
        assert_eq!(code, 0, "the daemon did not end cleanly:\n{}", self.log());
    }

    /// Waits until it ends by itself, and says with which code.
    #[track_caller]
    #[allow(dead_code, reason = "benches/peers ends what it starts")]
    pub(crate) fn wait_for_end(&mut self) -> i32 {
        self.process.wait_for_end(STOP_WITHIN)
    }

    /// Everything that it and its forerunners on this site logged.
    pub(crate) fn log(&self) -> String {
        self.process.log()
    }
}

/// Runs `tautline` to its end, or for two minutes.
pub(crate) fn tautline(args: &[&str]) -> Output {
    Command::new("timeout")
        .arg("120")
        .arg(TAUTLINE)
        .args(args)
        .output()
        .unwrap()
}

/// An output as text, for failures.
pub(crate) fn shown(output: &Output) -> String {
    let mut text = output.status.to_string();
    for (name, bytes) in [("stdout", &output.stdout), ("stderr", &output.stderr)] {
        let _ = write!(text, "\n--- {name}\n{}", String::from_utf8_lossy(bytes));
    }
    text
}

/// A time zone in which it was about noon when it was first asked for, so that no day, month or year ends while a test
/// runs. The same one whenever it is asked for: a test that runs past the hour would else count by two zones.
pub(crate) fn zone_at_noon() -> String {
    static FIRST: OnceLock<Timestamp> = OnceLock::new();
    let first = FIRST.get_or_init(Timestamp::now);
    let hour = first.as_second().rem_euclid(86_400) / 3600;
    // Etc/GMT-5 is five hours ahead of UTC.
    match 12 - hour {
        0 => "Etc/GMT".to_owned(),
        ahead if ahead > 0 => format!("Etc/GMT-{ahead}"),
        behind => format!("Etc/GMT+{}", -behind),
    }
}

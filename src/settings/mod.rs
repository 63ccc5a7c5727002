//! Settings: what the operator sets, from one YAML file and `TAUTLINE__…` environment variables. Unknown keys are
//! errors that name the nearest known one; secrets come by `url_file` or `${VAR}` and are never printed.

mod address;
mod environment;
mod load;
mod named;
mod receivers;
mod role;
mod routes;
mod severities;
mod times;

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::alert::dispatch::matcher::Matcher;
use crate::alert::dispatch::route::Routing;
use crate::catalog::Diagnostic;
use crate::words::Language;

pub use role::{Right, Role};

pub(crate) use address::{is_loopback, is_public, literal};
pub use load::{doubts, load, load_routing, schema, suffice};
pub use named::Named;
pub use receivers::{
    Alertmanager, Channel, DingTalk, Email, Feishu, MailTls, Mention, OwnBody, OwnEnd, PagerDuty, Receiver,
    SLACK_WORKSPACE_PER_MINUTE, Signature, SlackBot, SlackRate, SlackWebhook, Teams, Templates, WeCom,
    Webhook, WebhookFormat, Words,
};

/// What the operator sets, checked.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The file they were read from.
    pub file: PathBuf,
    /// How to reach Kafka.
    pub kafka: Kafka,
    /// Folder of the catalogue.
    pub catalog: PathBuf,
    /// The state file.
    pub state_sqlite: PathBuf,
    /// Topics that keep the state of several processes begin with this; `None`: the file is the state.
    pub state_prefix: Option<String>,
    /// Where rejected events are kept.
    pub dead_letter: DeadLetter,
    /// The server.
    pub serve: Serve,
    /// Time between two evaluations.
    pub evaluate_every: Duration,
    /// How many days back days are kept at least.
    pub keep_days: i32,
    /// Bytes of the longest dimension value, and of the longest name of an item.
    pub max_value_bytes: usize,
    /// Language of messages, and the page's first language.
    pub language: Language,
    /// Who can be told, by name.
    pub receivers: BTreeMap<String, Receiver>,
    /// Who is told what, and when.
    pub routing: Arc<Routing>,
    /// What is not wrong, but worth a look.
    pub warnings: Vec<Diagnostic>,
    /// What they name of the catalogue.
    pub named: Vec<Named>,
}

/// How to reach Kafka.
#[derive(Clone, Debug)]
pub struct Kafka {
    /// Bootstrap servers.
    pub brokers: String,
    /// Consumer group.
    pub group: String,
    /// Any further librdkafka setting.
    pub properties: BTreeMap<String, String>,
    /// Threads that read and fold; `None`: one a core, two at least.
    pub workers: Option<usize>,
    /// Where the schemas of Avro are.
    pub schema_registry: Option<SchemaRegistry>,
    /// Topic that takes every episode, every notice and what came of it.
    pub alert_log: Option<String>,
}

/// A schema registry with Confluent's REST API.
#[derive(Clone, PartialEq, Debug)]
pub struct SchemaRegistry {
    /// Its address; the API begins there.
    pub url: reqwest::Url,
    /// User name and password, where it asks for them.
    pub credentials: Option<(String, Secret)>,
}

/// Where rejected events are kept.
#[derive(Clone, Debug)]
pub struct DeadLetter {
    /// The NDJSON file.
    pub path: PathBuf,
    /// Size at which it is moved to `<path>.1`.
    pub max_bytes: u64,
}

/// The server.
#[derive(Clone, PartialEq, Debug)]
pub struct Serve {
    /// Where it listens.
    pub listen: SocketAddr,
    /// Address under which people reach the page; links in messages use it.
    pub external_url: Option<String>,
    /// Who may do what.
    pub tokens: Vec<Token>,
}

/// Somebody who may do something, known by a secret.
#[derive(Clone, PartialEq, Debug)]
pub struct Token {
    /// What they show.
    pub secret: Secret,
    /// What they may do.
    pub role: Role,
    /// Conditions that an alert meets on which they act; empty: all alerts.
    pub scope: Vec<Matcher>,
}

/// A text that is never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps a secret.
    pub fn new(text: impl Into<String>) -> Secret {
        Secret(text.into())
    }
    /// Whether it is this text; how long that takes does not depend on where they differ.
    pub fn is(&self, text: &str) -> bool {
        let (mine, other) = (self.0.as_bytes(), text.as_bytes());
        let differences = mine.iter().zip(other).fold(0, |all, (a, b)| all | (a ^ b));
        mine.len() == other.len() && std::hint::black_box(differences) == 0
    }

    /// The secret itself, for the one place that needs it.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<secret>")
    }
}

impl Settings {
    /// Which parts differ from those of `other` that a running daemon cannot take over, by their keys.
    pub fn parts_of_the_start(&self, other: &Settings) -> Vec<&'static str> {
        let parts = [
            (
                "kafka.schema_registry",
                self.kafka.schema_registry != other.kafka.schema_registry,
            ),
            ("kafka.alert_log", self.kafka.alert_log != other.kafka.alert_log),
            (
                "state",
                (&self.state_sqlite, &self.state_prefix) != (&other.state_sqlite, &other.state_prefix),
            ),
            ("serve", self.serve != other.serve),
            ("language", self.language != other.language),
        ];
        let differ = parts.into_iter().filter(|(_, differs)| *differs);
        differ.map(|(key, _)| key).collect()
    }

    /// Threads that read and fold.
    pub fn fold_workers(&self) -> usize {
        let cores = || std::thread::available_parallelism().map_or(2, usize::from);
        self.kafka.workers.unwrap_or_else(cores).max(1)
    }
}

//! From the settings file and the environment to checked [`Settings`]. The file becomes a tree with the place of
//! everything; variables are put over it, and the types are read from what comes out.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

use super::environment::{self, variable_of};
use super::named::{self, Name, Named};
use super::receivers::ReceiverEntry;
use super::routes::{AlertsEntry, DigestEntry, InhibitEntry, Parts, PersonEntry, RouteEntry};
use super::severities;
use super::times::IntervalEntry;
use super::{DeadLetter, Kafka, Role, SchemaRegistry, Secret, Serve, Settings, Token};
use crate::alert::dispatch::route::Routing;
use crate::catalog::diagnostic::{Diagnostic, Diagnostics, Place};
use crate::catalog::file::Duration as Time;
use crate::catalog::yaml::{self, Node, Tree, Written};
use crate::catalog::{Catalog, Format};
use crate::fold::interner::MAX_VALUE_BYTES;
use crate::state::replica::Topics;
use crate::words::Language;

/// Where settings are looked for when nobody says.
const DEFAULT_FILES: [&str; 2] = ["tautline.yaml", "config/tautline.yaml"];
/// Longest name of a topic that tautline writes to, with room for what it puts behind; Kafka allows 249.
const LONGEST_TOPIC: usize = 200;
/// Shortest token, in bytes.
const MIN_TOKEN_BYTES: usize = 16;
/// An event waits this long for its evaluation, and up to 200 ms before it: within a second it is on /metrics.
const EVERY_MS: i128 = 500;
/// Three years: forecasts look two years back, and a review compares with the year before.
const VALUE_BYTES: std::ops::RangeInclusive<usize> = 16..=65_536;
const KEEP_DAYS: i32 = 1100;
const KEEP_DAYS_OF: std::ops::RangeInclusive<i64> = 60..=36_500;

#[derive(Deserialize, JsonSchema, Debug, Default)]
#[serde(deny_unknown_fields, default)]
struct File {
    kafka: KafkaEntry,
    catalog: Option<PathBuf>,
    state: StateEntry,
    dead_letter: DeadLetterEntry,
    serve: ServeEntry,
    evaluate: EvaluateEntry,
    language: Option<String>,
    receivers: BTreeMap<String, ReceiverEntry>,
    routes: Option<RouteEntry>,
    inhibit_rules: Vec<InhibitEntry>,
    time_intervals: BTreeMap<String, Vec<IntervalEntry>>,
    people: BTreeMap<String, PersonEntry>,
    digests: BTreeMap<String, DigestEntry>,
    alerts: AlertsEntry,
}

#[derive(Deserialize, JsonSchema, Debug, Default)]
#[serde(deny_unknown_fields, default)]
struct KafkaEntry {
    brokers: Option<String>,
    group: Option<String>,
    /// librdkafka takes texts; YAML writers write numbers and truths as well.
    properties: BTreeMap<String, Written>,
    workers: Option<usize>,
    schema_registry: Option<RegistryEntry>,
    /// Topic that takes every episode, every notice and what came of it.
    alert_log: Option<String>,
}

#[derive(Deserialize, JsonSchema, Debug)]
#[serde(deny_unknown_fields)]
struct RegistryEntry {
    url: Option<String>,
    username: Option<String>,
    password: Option<String>,
    password_file: Option<PathBuf>,
    #[serde(default)]
    allow_insecure: bool,
}

#[derive(Deserialize, JsonSchema, Debug, Default)]
#[serde(deny_unknown_fields, default)]
struct StateEntry {
    /// The file; with `kafka` the copy of this process.
    sqlite: Option<PathBuf>,
    /// Several processes keep the state together, in topics.
    kafka: Option<ReplicasEntry>,
}

#[derive(Deserialize, JsonSchema, Debug)]
#[serde(deny_unknown_fields)]
struct ReplicasEntry {
    /// The topics are `<prefix>.state` and `<prefix>.lead`.
    prefix: String,
}

#[derive(Deserialize, JsonSchema, Debug, Default)]
#[serde(deny_unknown_fields, default)]
struct DeadLetterEntry {
    path: Option<PathBuf>,
    max_bytes: Option<u64>,
}

#[derive(Deserialize, JsonSchema, Debug, Default)]
#[serde(deny_unknown_fields, default)]
struct ServeEntry {
    listen: Option<String>,
    external_url: Option<String>,
    tokens: Vec<TokenEntry>,
}

#[derive(Deserialize, JsonSchema, Debug)]
#[serde(deny_unknown_fields)]
struct TokenEntry {
    token: Option<String>,
    token_file: Option<PathBuf>,
    role: Role,
    /// Conditions on labels of alerts, as routes have them: on others a responder or editor does not act.
    #[serde(default)]
    scope: Vec<String>,
}

#[derive(Deserialize, JsonSchema, Debug, Default)]
#[serde(deny_unknown_fields, default)]
struct EvaluateEntry {
    every: Option<Time>,
    /// How far back days are kept at least.
    keep: Option<Time>,
    /// Bytes of the longest dimension value, and of the longest name of an item.
    max_value_bytes: Option<usize>,
}

/// How a secret is written.
pub(super) struct SecretKeys {
    /// The key that names a file.
    pub(super) file: &'static str,
    /// One of the two keys, with values.
    pub(super) example: &'static str,
}

/// What a settings file may say, as JSON Schema.
pub fn schema() -> serde_json::Value {
    crate::catalog::schema::of::<File>("Settings of tautline: what the operator sets")
}

/// Whether what the operator sets suffices for what the business declares.
///
/// # Errors
/// What is missing, at the place that needs it.
pub fn suffice(settings: &Settings, catalog: &Catalog) -> Result<(), Diagnostics> {
    let mut problems = Vec::new();
    for source in &catalog.sources {
        let mut problem = |message: String| {
            problems.push(Diagnostic {
                place: source.place.clone(),
                message: format!("source '{}' {message}", source.name),
            });
        };
        if settings.kafka.brokers.is_empty() && !source.topics.is_empty() {
            problem(
                "reads topics, and the settings name no brokers; write kafka: {brokers: 127.0.0.1:9092} there".to_owned(),
            );
        }
        if settings.kafka.brokers.is_empty() && !source.heartbeats.is_empty() {
            problem(
                "has heartbeats in topics, and the settings name no brokers; write kafka: {brokers: 127.0.0.1:9092} there".to_owned(),
            );
        }
        let topics = source.topics.iter().chain(&source.heartbeats);
        for own in topics.filter(|topic| written_to(settings).contains(topic)) {
            problem(format!(
                "reads '{own}', which tautline itself writes to; name another topic there, or in kafka.alert_log or \
                 state.kafka.prefix of the settings"
            ));
        }
        if settings.kafka.schema_registry.is_none() && source.format == Format::Avro {
            problem(
                "is Avro, and the settings name no schema registry; write kafka: {schema_registry: {url: http://127.0.0.1:8081}} there".to_owned(),
            );
        }
    }
    problems.extend(named::problems(&settings.named, catalog));
    problems.extend(severities::unknown(
        &settings.routing,
        &place_of(&settings.file),
        &catalog.severities,
    ));
    if problems.is_empty() {
        Ok(())
    } else {
        Err(Diagnostics(problems))
    }
}

/// Topics that tautline itself writes to.
fn written_to(settings: &Settings) -> Vec<String> {
    let of_state = settings.state_prefix.iter().flat_map(|prefix| {
        let Topics { state, lead } = Topics::of(prefix);
        [state, lead]
    });
    of_state.chain(settings.kafka.alert_log.clone()).collect()
}

/// What is not wrong, but worth a look: of the settings alone, and of what they name of the catalogue.
pub fn doubts(settings: &Settings, catalog: &Catalog) -> Vec<Diagnostic> {
    let of_names = named::doubts(&settings.named, catalog);
    settings.warnings.iter().cloned().chain(of_names).collect()
}

/// Reads the settings: from the file given, else from `tautline.yaml`, else from `config/tautline.yaml`, with
/// `TAUTLINE__…` environment variables over it. Relative paths start at the folder of the settings file.
///
/// # Errors
/// Every mistake that was found, each with its place.
pub fn load(file: Option<&Path>) -> Result<Settings, Diagnostics> {
    let path = match file {
        Some(path) => path.to_owned(),
        None => DEFAULT_FILES
            .iter()
            .map(PathBuf::from)
            .find(|path| path.exists())
            .ok_or_else(|| {
                let message = format!(
                    "there is no settings file: looked for {}; write one, or name it with --config FILE",
                    DEFAULT_FILES.join(" and ")
                );
                one(place_of(Path::new(DEFAULT_FILES[0])), message)
            })?,
    };
    let text = read(&path)?;
    let shown: Arc<str> = path.display().to_string().into();
    let mut tree = yaml::parse(&shown, &text).map_err(|diagnostic| Diagnostics(vec![diagnostic]))?;
    let outline = tree.value.clone();
    environment::overlay(&mut tree, &environment::variables()?);
    let merged = File::deserialize(Node(&tree)).map_err(|error| match error.location() {
        Some(_) => Diagnostics(vec![yaml::diagnostic(error, &shown, &text)]),
        None => environment::mistake(&error),
    })?;
    let folder = path.parent().map(Path::to_owned).unwrap_or_default();
    Checker {
        file: shown,
        outline,
        folder,
        problems: Vec::new(),
        warnings: Vec::new(),
        named: Vec::new(),
    }
    .check(merged)
}

/// Reads who is told what of a settings file, with the names of its receivers; their addresses and secrets are not
/// looked at, nor is the environment. For tests of rules, which must not need secrets.
///
/// # Errors
/// Every mistake in the routes, each with its place, also severities that the catalogue does not know.
pub fn load_routing(path: &Path, catalog: &Catalog) -> Result<(Arc<Routing>, Vec<String>), Diagnostics> {
    let text = read(path)?;
    let shown: Arc<str> = path.display().to_string().into();
    let tree = yaml::parse(&shown, &text).map_err(|diagnostic| Diagnostics(vec![diagnostic]))?;
    let file = File::deserialize(Node(&tree))
        .map_err(|error| Diagnostics(vec![yaml::diagnostic(error, &shown, &text)]))?;
    let outline = tree.value;
    let mut checker = Checker {
        file: shown,
        outline,
        folder: PathBuf::new(),
        problems: Vec::new(),
        warnings: Vec::new(),
        named: Vec::new(),
    };
    let names: BTreeSet<String> = file.receivers.keys().cloned().collect();
    let parts = Parts {
        routes: file.routes,
        inhibit_rules: file.inhibit_rules,
        time_intervals: file.time_intervals,
        people: file.people,
        digests: file.digests,
        alerts: file.alerts,
    };
    let routing = checker.routing(parts, &names);
    let unknown = severities::unknown(&routing, &place_of(path), &catalog.severities);
    checker.problems.extend(unknown);
    match checker.problems.is_empty() {
        true => Ok((routing, names.into_iter().collect())),
        false => Err(Diagnostics(checker.problems)),
    }
}

fn read(path: &Path) -> Result<String, Diagnostics> {
    std::fs::read_to_string(path).map_err(|error| {
        let message = format!("cannot be read: {error}; name a settings file that is there and may be read");
        one(place_of(path), message)
    })
}

fn place_of(path: &Path) -> Place {
    Place {
        file: path.display().to_string().into(),
        line: 1,
        column: 1,
    }
}

fn one(place: Place, message: String) -> Diagnostics {
    Diagnostics(vec![Diagnostic { place, message }])
}

/// A mistake that stands at no line.
pub(super) fn one_in(where_: &str, message: String) -> Diagnostics {
    one(place_of(Path::new(where_)), message)
}

/// What checks settings: it collects what is wrong, each with its place.
pub(super) struct Checker {
    file: Arc<str>,
    outline: Tree,
    folder: PathBuf,
    problems: Vec<Diagnostic>,
    warnings: Vec<Diagnostic>,
    named: Vec<Named>,
}

impl Checker {
    fn check(mut self, file: File) -> Result<Settings, Diagnostics> {
        let group = file.kafka.group.unwrap_or_else(|| "tautline".to_owned());
        let kafka = Kafka {
            brokers: match file.kafka.brokers {
                Some(brokers) => self.with_variables(&["kafka", "brokers"], &brokers),
                // Whose events all come over HTTP has no Kafka: `suffice` knows.
                None => String::new(),
            },
            group: self.with_variables(&["kafka", "group"], &group),
            properties: file
                .kafka
                .properties
                .into_iter()
                .map(|(key, value)| {
                    let text = self.with_variables(&["kafka", "properties", &key], &value.0);
                    // Names of variables have no dots, and librdkafka's have no underscores.
                    (key.replace('_', "."), text)
                })
                .collect(),
            workers: file.kafka.workers,
            schema_registry: file.kafka.schema_registry.and_then(|entry| self.registry(entry)),
            alert_log: file.kafka.alert_log,
        };
        if let Some(topic) = &kafka.alert_log {
            self.topic(
                &["kafka", "alert_log"],
                topic,
                "tautline.alert-log",
                &kafka.brokers,
            );
        }
        let state_prefix = file.state.kafka.map(|entry| entry.prefix);
        if let Some(prefix) = &state_prefix {
            self.topic(&["state", "kafka", "prefix"], prefix, "tautline", &kafka.brokers);
            let Topics { state, lead } = Topics::of(prefix);
            if kafka
                .alert_log
                .as_ref()
                .is_some_and(|log| *log == state || *log == lead)
            {
                self.problem(
                    &["kafka", "alert_log"],
                    format!(
                        "{state} and {lead} are topics of the state; name another, such as {prefix}.alert-log"
                    ),
                );
            }
        }
        let state_sqlite = self.below(file.state.sqlite.unwrap_or_else(|| "data/tautline.db".into()));
        let dead_letter = DeadLetter {
            path: match file.dead_letter.path {
                Some(path) => self.below(path),
                None => state_sqlite.with_file_name("dead-letter.ndjson"),
            },
            max_bytes: file.dead_letter.max_bytes.unwrap_or(256 * 1024 * 1024),
        };
        let names: BTreeSet<String> = file.receivers.keys().cloned().collect();
        let receivers = self.receivers(file.receivers);
        let parts = Parts {
            routes: file.routes,
            inhibit_rules: file.inhibit_rules,
            time_intervals: file.time_intervals,
            people: file.people,
            digests: file.digests,
            alerts: file.alerts,
        };
        let routing = self.routing(parts, &names);
        let settings = Settings {
            file: PathBuf::from(&*self.file),
            kafka,
            catalog: self.below(file.catalog.unwrap_or_else(|| "catalog/".into())),
            state_sqlite,
            state_prefix,
            dead_letter,
            serve: self.serve(file.serve),
            evaluate_every: self.every(file.evaluate.every),
            keep_days: self.keep(file.evaluate.keep),
            max_value_bytes: self.max_value_bytes(file.evaluate.max_value_bytes),
            language: self.language(file.language),
            receivers,
            routing,
            warnings: self.warnings,
            named: self.named,
        };
        if self.problems.is_empty() {
            Ok(settings)
        } else {
            Err(Diagnostics(self.problems))
        }
    }

    /// Checks the name of a topic, or its beginning, that tautline itself writes to.
    fn topic(&mut self, path: &[&str], name: &str, example: &str, brokers: &str) {
        let is_allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        let is_reserved = matches!(name, "." | "..");
        if name.is_empty() || is_reserved || name.len() > LONGEST_TOPIC || !name.chars().all(is_allowed) {
            self.problem(
                path,
                format!(
                    "'{name}' cannot name a topic: 1 to {LONGEST_TOPIC} letters, digits, dots, underscores and hyphens; \
                     such as {example}"
                ),
            );
        }
        if brokers.is_empty() {
            self.problem(
                path,
                format!(
                    "'{name}' is of a topic, and the settings name no brokers; write kafka: {{brokers: 127.0.0.1:9092}} too"
                ),
            );
        }
    }

    fn registry(&mut self, entry: RegistryEntry) -> Option<SchemaRegistry> {
        let path = ["kafka", "schema_registry"];
        let at_url = ["kafka", "schema_registry", "url"];
        let Some(url) = entry.url else {
            self.problem(&path, "the address is missing; write url: http://127.0.0.1:8081");
            return None;
        };
        let url = self.with_variables(&at_url, &url);
        let parsed = reqwest::Url::parse(&url).ok();
        let Some(url) = parsed.filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
        else {
            self.problem(
                &at_url,
                "this is no address of a registry; write one such as https://registry:8081",
            );
            return None;
        };
        if !url.username().is_empty() || url.password().is_some() {
            let message = "the address holds a user or a password, and addresses are printed; write username: … and password_file: …";
            self.problem(&at_url, message);
            return None;
        }
        let has_password = entry.password.is_some() || entry.password_file.is_some();
        let credentials = match entry.username {
            None if has_password => {
                self.problem(&path, "a password without a user; add username: …");
                return None;
            }
            None => None,
            Some(username) => {
                let names = SecretKeys {
                    file: "password_file",
                    example: "password_file: /run/secrets/registry or password: ${REGISTRY_PASSWORD}",
                };
                let username = self.with_variables(&path, &username);
                let password = self.secret(&path, &names, entry.password, entry.password_file)?;
                Some((username, Secret::new(password)))
            }
        };
        let in_the_clear = url.scheme() == "http" && !super::is_loopback(&url) && !entry.allow_insecure;
        if credentials.is_some() && in_the_clear {
            let message = "the password would be sent over http, for all to read; write https://…, or allow_insecure: true";
            self.problem(&at_url, message);
        }
        Some(SchemaRegistry { url, credentials })
    }

    pub(super) fn problem(&mut self, path: &[&str], message: impl Into<String>) {
        let message = message.into();
        self.problems.push(match variable_of(path) {
            None => Diagnostic {
                place: self.outline.place(&self.file, path),
                message,
            },
            Some(name) => Diagnostic {
                place: place_of(Path::new("environment")),
                message: format!("{name}: {message}"),
            },
        });
    }

    /// Notes what is named of the catalogue.
    pub(super) fn names(&mut self, path: &[&str], name: Name) {
        let place = self.outline.place(&self.file, path);
        self.named.push(Named { place, name });
    }

    pub(super) fn below(&self, path: PathBuf) -> PathBuf {
        self.folder.join(path)
    }

    fn serve(&mut self, entry: ServeEntry) -> Serve {
        let listen = entry.listen.unwrap_or_else(|| "127.0.0.1:9464".to_owned());
        let listen = listen.parse().unwrap_or_else(|_| {
            let message = format!(
                "'{listen}' is no address to listen on; write one such as 127.0.0.1:9464 or 0.0.0.0:9464"
            );
            self.problem(&["serve", "listen"], message);
            ([127, 0, 0, 1], 9464).into()
        });
        if let Some(url) = &entry.external_url
            && !url.starts_with("http://")
            && !url.starts_with("https://")
        {
            self.problem(
                &["serve", "external_url"],
                format!("'{url}' is no URL; write https://…"),
            );
        }
        Serve {
            listen,
            external_url: entry.external_url.map(|url| url.trim_end_matches('/').to_owned()),
            tokens: self.tokens(entry.tokens),
        }
    }

    fn tokens(&mut self, entries: Vec<TokenEntry>) -> Vec<Token> {
        let mut tokens = Vec::new();
        for (index, entry) in entries.into_iter().enumerate() {
            let index = index.to_string();
            let path = ["serve", "tokens", index.as_str()];
            let names = SecretKeys {
                file: "token_file",
                example: "token_file: /run/secrets/ingest or token: ${INGEST_TOKEN}",
            };
            let Some(secret) = self.secret(&path, &names, entry.token, entry.token_file) else {
                continue;
            };
            if secret.len() < MIN_TOKEN_BYTES {
                let message = format!(
                    "a token of fewer than {MIN_TOKEN_BYTES} characters can be guessed; make one with: openssl rand -hex 32"
                );
                self.problem(&path, message);
            }
            let place: Vec<String> = path.iter().chain(&["scope"]).map(|&key| key.to_owned()).collect();
            if !entry.scope.is_empty() && !matches!(entry.role, Role::Responder | Role::Editor) {
                let message = format!(
                    "a scope is of those who answer alerts; the role {} has none",
                    entry.role
                );
                self.problem_at(&place, message);
            }
            tokens.push(Token {
                secret: Secret::new(secret),
                role: entry.role,
                scope: self.matchers(&place, &entry.scope),
            });
        }
        tokens
    }

    fn every(&mut self, every: Option<Time>) -> Duration {
        let every = every.map_or(EVERY_MS, |time| time.0.as_millis());
        if !(50..=60_000).contains(&every) {
            self.problem(&["evaluate", "every"], "evaluations may be 50ms to 60s apart");
        }
        Duration::from_millis(u64::try_from(every).unwrap_or_default())
    }

    fn keep(&mut self, keep: Option<Time>) -> i32 {
        let Some(keep) = keep else {
            return KEEP_DAYS;
        };
        let days = keep.0.as_secs() / (24 * 3600);
        if !KEEP_DAYS_OF.contains(&days) {
            let (least, most) = (KEEP_DAYS_OF.start(), KEEP_DAYS_OF.end());
            let message = format!("days may be kept for {least}d to {most}d; the default is {KEEP_DAYS}d");
            self.problem(&["evaluate", "keep"], message);
        }
        i32::try_from(days).unwrap_or(KEEP_DAYS)
    }

    fn max_value_bytes(&mut self, bytes: Option<usize>) -> usize {
        let bytes = bytes.unwrap_or(MAX_VALUE_BYTES);
        if !VALUE_BYTES.contains(&bytes) {
            let (least, most) = (VALUE_BYTES.start(), VALUE_BYTES.end());
            let message = format!(
                "a dimension value may be {least} to {most} bytes long; the default is {MAX_VALUE_BYTES}"
            );
            self.problem(&["evaluate", "max_value_bytes"], message);
        }
        bytes
    }

    fn language(&mut self, tag: Option<String>) -> Language {
        let Some(tag) = tag else {
            return Language::default();
        };
        Language::from_tag(&tag).unwrap_or_else(|| {
            self.problem(&["language"], format!("'{tag}' is not one of zh, en"));
            Language::default()
        })
    }

    /// A secret, from a file or as it is written.
    pub(super) fn secret(
        &mut self,
        path: &[&str],
        names: &SecretKeys,
        text: Option<String>,
        file: Option<PathBuf>,
    ) -> Option<String> {
        match (text, file) {
            (Some(text), None) => Some(self.with_variables(path, &text)),
            (None, Some(file)) => match std::fs::read_to_string(self.below(file.clone())) {
                Ok(text) => Some(text.trim().to_owned()),
                Err(error) => {
                    self.problem(
                        path,
                        format!(
                            "{} {} cannot be read: {error}",
                            names.file,
                            self.below(file).display()
                        ),
                    );
                    None
                }
            },
            _ => {
                self.problem(path, format!("write either {}", names.example));
                None
            }
        }
    }

    /// How many things are wrong so far.
    pub(super) fn problems(&self) -> usize {
        self.problems.len()
    }

    /// Where a key stands in the file, or the nearest one above it.
    pub(super) fn place_of(&self, path: &[String]) -> Place {
        let path: Vec<&str> = path.iter().map(String::as_str).collect();
        self.outline.place(&self.file, &path)
    }

    /// What is not wrong, but worth a look.
    pub(super) fn warn(&mut self, path: &[&str], message: String) {
        let place = self.outline.place(&self.file, path);
        self.warnings.push(Diagnostic { place, message });
    }

    pub(super) fn problem_at(&mut self, path: &[String], message: String) {
        let path: Vec<&str> = path.iter().map(String::as_str).collect();
        self.problem(&path, message);
    }

    /// Replaces `${NAME}` by the environment variable.
    fn with_variables(&mut self, path: &[&str], text: &str) -> String {
        let mut out = String::new();
        let mut rest = text;
        while let Some(open) = rest.find("${") {
            out.push_str(&rest[..open]);
            let inside = &rest[open + 2..];
            let Some(close) = inside.find('}') else {
                self.problem(path, "this ${ is never closed by }");
                return out;
            };
            match std::env::var(&inside[..close]) {
                Ok(value) => out.push_str(&value),
                Err(_) => self.problem(
                    path,
                    format!("the environment variable {} is not set", &inside[..close]),
                ),
            }
            rest = &inside[close + 1..];
        }
        out.push_str(rest);
        out
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::alert::record::{AlertRecord, Labels};
    use crate::catalog::Severity;

    pub(in crate::settings) fn load_text(text: &str) -> Result<Settings, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tautline.yaml");
        std::fs::write(&path, text).unwrap();
        load(Some(&path)).map_err(|problems| {
            problems
                .to_string()
                .replace(&format!("{}/", folder.path().display()), "")
        })
    }

    const GOOD: &str = "kafka: {brokers: 127.0.0.1:9092, properties: {security.protocol: ssl, linger.ms: 5}}
catalog: catalog/
state: {sqlite: data/tautline.db}
serve: {listen: 127.0.0.1:9464, external_url: null, tokens: [{token: 0123456789abcdef, role: ingest}]}
evaluate: {every: 1s}
language: en
receivers:
  ops: {slack_webhook: {url: http://127.0.0.1:1/secret, allow_private: true}}
  boss: {slack_webhook: {url: https://example.com/secret, timeout: 3s}}
routes:
  receiver: ops
  routes: [{matchers: [severity=\"critical\"], receiver: boss, continue: true}, {matchers: [node!=a], receiver: ops}]
";

    #[test]
    fn reads_what_the_operator_sets() {
        let settings = load_text(GOOD).unwrap();
        assert_eq!(settings.kafka.properties["security.protocol"], "ssl");
        assert_eq!(settings.kafka.properties["linger.ms"], "5");
        assert_eq!(settings.language, Language::En);
        assert_eq!(settings.receivers["boss"].timeout, Duration::from_secs(3));
        assert!(settings.state_sqlite.ends_with("data/tautline.db") && settings.state_sqlite.is_absolute());
        assert!(!format!("{settings:?}").contains("secret\""));
        assert!(!format!("{settings:?}").contains("0123456789abcdef"));
        let token = &settings.serve.tokens[0].secret;
        assert!(token.is("0123456789abcdef"));
        for other in ["", "0123456789abcde", "0123456789abcdeg", "0123456789abcdef0"] {
            assert!(!token.is(other), "{other}");
        }
        let told = |node: &str, severity| {
            let labels = Labels::from([("node".into(), node.into())]);
            let record = AlertRecord::sample(labels, severity);
            let found = settings.routing.destinations(&record).into_iter();
            found.map(|destination| destination.receiver).collect::<Vec<_>>()
        };
        assert_eq!(told("b", Severity::CRITICAL), ["boss", "ops"]);
        assert_eq!(told("a", Severity::CRITICAL), ["boss"]);
        assert_eq!(told("a", Severity::WARNING), ["ops"]);
    }

    #[test]
    fn says_what_is_wrong_and_where() {
        for (find, replace, expected) in [
            (
                "brokers",
                "borkers",
                "tautline.yaml:1:9: unknown key 'borkers'; did you mean 'brokers'?",
            ),
            (
                "language: en",
                "language: fr",
                "tautline.yaml:6:11: 'fr' is not one of zh, en",
            ),
            (
                "receiver: boss",
                "receiver: bos",
                "tautline.yaml:12:56: there is no receiver 'bos'; did you mean 'boss'?",
            ),
            (
                "every: 1s",
                "every: 1ms",
                "tautline.yaml:5:19: evaluations may be 50ms to 60s apart",
            ),
            (
                "language: en",
                "language: en\nalerts: {catchup_max: 0s}",
                "tautline.yaml:7:23: catching up may take 1s to 24h before people are told; 10m is usual",
            ),
            (
                "language: en",
                "language: en\nalerts: {keep_notices: 1d}",
                "tautline.yaml:7:24: what is over is kept for 7d to 36500d: corrections are told within the first 7 days",
            ),
            (
                "language: en",
                "language: en\nalerts: {storm_window: 2h}",
                "tautline.yaml:7:24: new alerts are counted over 1s to 1h; 1m is usual",
            ),
            (
                "language: en",
                "language: en\nalerts: {flap_max: 1}",
                "tautline.yaml:7:20: an alert flaps from 2 to 100 episodes on; 5 is usual",
            ),
            (
                "language: en",
                "language: en\nalerts: {flap_window: 2d}",
                "tautline.yaml:7:23: episodes are counted over 1m to 24h; 1h is usual",
            ),
            (
                "language: en",
                "language: en\nalerts: {refire_window: 25h}",
                "tautline.yaml:7:25: an alert is back again within 24h at most; 1h is usual, 0s for never",
            ),
            (
                "language: en",
                "language: en\nalerts: {ack_ttl: 0s}",
                "tautline.yaml:7:19: an acknowledgement must hold for some time; 24h is usual",
            ),
            (
                "language: en",
                "language: en\ntime_intervals: {office: []}",
                "tautline.yaml:7:18: 'office' holds no stretch of time, so it never is; write [{weekdays: [\"monday:friday\"]}], or leave it out",
            ),
            (
                "language: en",
                "language: en\ndigests: {d: {cron: 0 0 31 2 *, receiver: ops}}",
                "tautline.yaml:7:21: '0 0 31 2 *' never comes: no month has such a day; write \"0 9 1 * *\" for the first of each month",
            ),
            (
                "language: en",
                "language: en\ndigests: {d: {cron: \"0,10 9 * * *\", receiver: ops, jitter: 11m}}",
                "tautline.yaml:7:60: a digest may not go later than the next one, and '0,10 9 * * *' comes every 10 minutes; write a shorter jitter",
            ),
            (
                "language: en",
                "language: en\npeople: {li: {receiver: ops, manager: li}}",
                "tautline.yaml:7:39: 'li' cannot be their own manager; name another of people, or leave it out",
            ),
            (
                "listen: 127.0.0.1:9464",
                "listen: here",
                "tautline.yaml:4:17: 'here' is no address to listen on; write one such as 127.0.0.1:9464 or 0.0.0.0:9464",
            ),
            (
                "http://127.0.0.1:1/secret",
                "http://example.com/secret",
                "tautline.yaml:8:9: the URL must begin with https; http goes to this machine only, unless allow_insecure: true",
            ),
            (
                "{url: http://127.0.0.1:1/secret, allow_private: true}",
                "{url: '${TAUTLINE_NOT_SET}'}",
                "tautline.yaml:8:9: the environment variable TAUTLINE_NOT_SET is not set",
            ),
            (
                "token: 0123456789abcdef",
                "token: secret",
                "tautline.yaml:4:62: a token of fewer than 16 characters can be guessed; make one with: openssl rand -hex 32",
            ),
            (
                "token: 0123456789abcdef, role",
                "role",
                "tautline.yaml:4:62: write either token_file: /run/secrets/ingest or token: ${INGEST_TOKEN}",
            ),
            (
                "role: ingest",
                "role: injest",
                "tautline.yaml:4:94: 'injest' is not one of viewer, ingest, entry, responder, approver, editor, admin (did you mean 'ingest'?)",
            ),
            (
                "{url: http://127.0.0.1:1/secret, allow_private: true}",
                "{}",
                "tautline.yaml:8:9: write either url_file: /run/secrets/slack_url or url: ${SLACK_URL}",
            ),
        ] {
            assert!(GOOD.contains(find), "{find}");
            let found = load_text(&GOOD.replacen(find, replace, 1))
                .map(|_| ())
                .unwrap_err();
            assert_eq!(found.lines().next(), Some(expected));
        }
    }

    #[test]
    fn routes_that_cannot_be_meant_are_refused() {
        let with = |route: &str| {
            let text = format!(
                "kafka: {{brokers: b}}\nreceivers: {{ops: {{slack_webhook: {{url: https://hooks.example.com/s}}}}}}\nroutes:\n  receiver: ops\n  {route}\n"
            );
            load_text(&text)
                .map(|_| ())
                .map_err(|told| told.trim_end().to_owned())
        };
        for (route, expected) in [
            (
                "escalate: [{after: 4h}, {after: 1h}]",
                "tautline.yaml:5:35: this step comes after 1 hour, and the one above it only after 4 hours; write the steps in the order of their times",
            ),
            (
                "group_by: [\"...\", node]",
                "tautline.yaml:5:3: '...' tells each alert on its own, so no label can stand beside it; write [\"...\"] or the labels alone",
            ),
        ] {
            assert_eq!(with(route), Err(expected.to_owned()));
        }
        for route in [
            "escalate: [{after: 1h}, {after: 1h}, {after: 4h}]",
            "group_by: [\"...\"]",
        ] {
            assert_eq!(with(route), Ok(()), "{route}");
        }
    }

    /// What is not said fits the digest: one that comes every minute is not moved by three.
    #[test]
    fn a_digest_is_moved_less_than_to_the_next_one() {
        for (cron, minutes) in [
            ("* * * * *", 1),
            ("*/2 * * * *", 2),
            ("0 9 * * *", 3),
            ("0 0 29 2 *", 3),
        ] {
            let settings = load_text(&format!(
                "kafka: {{brokers: b}}\nreceivers: {{ops: {{slack_webhook: {{url: https://hooks.example.com/s}}}}}}\ndigests: {{d: {{cron: '{cron}', receiver: ops}}}}\n"
            ));
            let jitter = settings.unwrap().routing.digests[0].jitter;
            assert_eq!(jitter, jiff::SignedDuration::from_mins(minutes), "{cron}");
        }
    }

    #[test]
    fn properties_of_kafka_go_on_as_they_are_written() {
        let text = "kafka: {brokers: b, properties: {sasl.password: 12_34, b: 0123, c: true, d: 1.50, e: 8e93041}}\n";
        let properties = load_text(text).unwrap().kafka.properties;
        let values: Vec<&str> = properties.values().map(String::as_str).collect();
        assert_eq!(values, ["0123", "true", "1.50", "8e93041", "12_34"]);
    }

    #[test]
    fn topics_that_tautline_writes_to_are_its_own() {
        let settings =
            load_text("kafka: {brokers: b, alert_log: told}\nstate: {kafka: {prefix: kpi}}\n").unwrap();
        assert_eq!(settings.kafka.alert_log.as_deref(), Some("told"));
        assert_eq!(settings.state_prefix.as_deref(), Some("kpi"));
        for (text, expected) in [
            (
                "kafka: {brokers: b, alert_log: 'told you'}\n",
                "tautline.yaml:1:32: 'told you' cannot name a topic: 1 to 200 letters, digits, dots, underscores and hyphens; such as tautline.alert-log",
            ),
            (
                "kafka: {alert_log: told}\n",
                "tautline.yaml:1:20: 'told' is of a topic, and the settings name no brokers; write kafka: {brokers: 127.0.0.1:9092} too",
            ),
            (
                "kafka: {brokers: b}\nstate: {kafka: {prefix: ''}}\n",
                "tautline.yaml:2:25: '' cannot name a topic: 1 to 200 letters, digits, dots, underscores and hyphens; such as tautline",
            ),
            (
                "kafka: {brokers: b, alert_log: kpi.lead}\nstate: {kafka: {prefix: kpi}}\n",
                "tautline.yaml:1:32: kpi.state and kpi.lead are topics of the state; name another, such as kpi.alert-log",
            ),
            (
                "kafka: {brokers: b}\nstate: {kafka: {prefix: kpi, replicas: 3}}\n",
                "tautline.yaml:2:30: unknown key 'replicas'; known are prefix",
            ),
        ] {
            let said = load_text(text).unwrap_err().to_string();
            assert_eq!(said, expected, "{text}");
        }
        let reads = |topic: &str| {
            let text = format!(
                "sources: {{orders: {{topics: [{topic}], format: json, time: at, fields: {{a: a}}}}}}\n"
            );
            crate::catalog::load::load(&crate::catalog::load::Files::new("", [("a.yaml", &*text)])).unwrap()
        };
        assert!(suffice(&settings, &reads("orders")).is_ok());
        for topic in ["told", "kpi.state"] {
            let said = suffice(&settings, &reads(topic)).unwrap_err().to_string();
            assert!(
                said.contains(&format!("reads '{topic}', which tautline itself writes to")),
                "{said}"
            );
        }
    }

    #[test]
    fn the_password_of_a_registry_goes_nowhere_in_the_clear() {
        let load = |registry: &str| {
            load_text(&format!(
                "kafka: {{brokers: b, schema_registry: {{{registry}}}}}\n"
            ))
        };
        let settings = load("url: https://registry/ccompat/v7, username: u, password: hidden-one").unwrap();
        assert!(!format!("{settings:?}").contains("hidden-one"));
        let registry = settings.kafka.schema_registry.unwrap();
        assert_eq!(registry.url.as_str(), "https://registry/ccompat/v7");
        assert_eq!(registry.credentials.map(|(user, _)| user).as_deref(), Some("u"));
        assert!(load("url: http://registry:8081").is_ok());
        assert!(load("url: http://127.0.0.1:8081, username: u, password: p").is_ok());
        assert!(load("url: http://registry:8081, username: u, password: p, allow_insecure: true").is_ok());
        for (registry, expected) in [
            ("{}", "the address is missing; write url: http://127.0.0.1:8081"),
            (
                "url: registry",
                "this is no address of a registry; write one such as https://registry:8081",
            ),
            (
                "url: https://u:p@registry",
                "the address holds a user or a password, and addresses are printed; write username: … and password_file: …",
            ),
            (
                "url: https://registry, password: p",
                "a password without a user; add username: …",
            ),
            (
                "url: https://registry, username: u",
                "write either password_file: /run/secrets/registry or password: ${REGISTRY_PASSWORD}",
            ),
            (
                "url: http://registry, username: u, password: p",
                "the password would be sent over http, for all to read; write https://…, or allow_insecure: true",
            ),
        ] {
            let registry = if registry == "{}" { "" } else { registry };
            let found = load(registry).map(|_| ()).unwrap_err();
            assert!(
                found.lines().next().unwrap().ends_with(&format!(": {expected}")),
                "{found}"
            );
        }
    }

    #[test]
    fn avro_needs_a_registry() {
        let yaml = "sources:\n  orders: {topics: [t], format: avro, fields: {}}\n";
        let catalog =
            crate::catalog::load::load(&crate::catalog::load::Files::new("", [("a.yaml", yaml)])).unwrap();
        let with = |registry: &str| load_text(&format!("kafka: {{brokers: b{registry}}}\n")).unwrap();
        assert_eq!(
            suffice(&with(""), &catalog).unwrap_err().to_string(),
            "a.yaml:2:3: source 'orders' is Avro, and the settings name no schema registry; write kafka: {schema_registry: {url: http://127.0.0.1:8081}} there"
        );
        assert!(suffice(&with(", schema_registry: {url: \"http://r\"}"), &catalog).is_ok());
    }

    #[test]
    fn severities_of_routes_are_those_of_the_catalogue() {
        let yaml = "severities:\n  - warning\n  - {name: major, like: warning}\n  - critical\nsources:\n  orders: {http: true, format: json, fields: {}}\n";
        let files = crate::catalog::load::Files::new("", [("a.yaml", yaml)]);
        let catalog = crate::catalog::load::load(&files).unwrap();
        let said = |matcher: &str| {
            let text = format!(
                "receivers:\n  ops: {{slack_webhook: {{url: https://hooks.example.com/s}}}}\nroutes:\n  receiver: ops\n  routes:\n    - {{matchers: ['{matcher}'], receiver: ops}}\n"
            );
            let settings = load_text(&text).unwrap();
            let found = suffice(&settings, &catalog).map_err(|problems| problems.to_string());
            found.map_err(|said| said[said.find("tautline.yaml").unwrap()..].to_owned())
        };
        for known in [
            "severity=major",
            "severity=~\"major|critical\"",
            "severity!~warn.*",
            // Somebody else's, who has the same routes.
            "severity=~\"critical|page\"",
            "severity=\"\"",
            "kind=majr",
        ] {
            assert_eq!(said(known), Ok(()), "{known}");
        }
        assert_eq!(
            said("severity=\"majr\"").unwrap_err(),
            "tautline.yaml:6:7: severity=\"majr\": the catalogue has no severity 'majr'; did you mean 'major'?"
        );
        assert_eq!(
            said("severity=~\"page|info\"")
                .unwrap_err()
                .lines()
                .next()
                .unwrap(),
            "tautline.yaml:6:7: severity=~\"page|info\": the catalogue has no severity 'page'; known are warning, major, critical"
        );
        assert_eq!(
            said("severity=~\"critcal|major\"").unwrap_err(),
            "tautline.yaml:6:7: severity=~\"critcal|major\": the catalogue has no severity 'critcal'; did you mean 'critical'?"
        );
    }

    fn told(settings: &Settings) -> Vec<String> {
        let record = AlertRecord::sample(Labels::new(), Severity::INFO);
        let found = settings.routing.destinations(&record).into_iter();
        found.map(|destination| destination.receiver).collect()
    }

    #[test]
    fn one_receiver_needs_no_route() {
        let settings = load_text(
            "kafka: {brokers: b}\nreceivers:\n  ops: {slack_webhook: {url: https://example.com/s}}\n",
        )
        .unwrap();
        assert_eq!(told(&settings), ["ops"]);
        assert!(told(&load_text("kafka: {brokers: b}\n").unwrap()).is_empty());
    }

    #[test]
    fn a_missing_file_says_where_it_was_looked_for() {
        let error = load(Some(Path::new("/nowhere/tautline.yaml")))
            .map(|_| ())
            .unwrap_err()
            .to_string();
        assert!(
            error.starts_with("/nowhere/tautline.yaml:1:1: cannot be read: ")
                && error.ends_with("; name a settings file that is there and may be read"),
            "{error}"
        );
    }
}

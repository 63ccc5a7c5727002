//! `tautline discover`: from a sample of a topic to the YAML of a source and metrics that `check` accepts.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use jiff::Timestamp;
use serde_json::json;

use super::{Config, print};
use crate::catalog::{Format, Layout};
use crate::discover::{Discovery, Sample, Taken, discover};
use crate::settings::{self, SchemaRegistry};
use crate::source::kafka::Connection;
use crate::source::registry::once;
use crate::source::sample::newest;

#[derive(Args, Debug)]
pub(super) struct DiscoverArgs {
    #[command(flatten)]
    config: Config,
    /// Topic to look at; with --input the name to write
    #[arg(long, value_name = "TOPIC", required_unless_present = "input")]
    topic: Option<String>,
    /// Look at a file instead, one record a line
    #[arg(long, value_name = "FILE")]
    input: Option<PathBuf>,
    /// Records to look at, the newest ones
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=50_000))]
    sample: u32,
    /// Bootstrap servers [default: kafka.brokers of the settings]
    #[arg(long, value_name = "HOST:PORT", conflicts_with = "input")]
    brokers: Option<String>,
    /// Address of the schema registry, for Avro [default: kafka.schema_registry of the settings]
    #[arg(long, value_name = "URL", conflicts_with = "input")]
    registry: Option<reqwest::Url>,
    /// How to print the result
    #[arg(long, value_enum, default_value_t = DiscoverFormat::Text)]
    format: DiscoverFormat,
}

#[derive(ValueEnum, Debug, Clone, Copy, PartialEq, Eq)]
enum DiscoverFormat {
    Text,
    Json,
}

/// Runs the command.
///
/// # Errors
/// In words: the topic or file cannot be read, or tells nothing.
pub(super) fn discover_command(args: &DiscoverArgs) -> Result<(), String> {
    let sample = match &args.input {
        Some(file) => from_file(args, file)?,
        None => from_kafka(args)?,
    };
    let found = discover(&sample, Timestamp::now().as_millisecond()).map_err(|error| error.to_string())?;
    print(&match args.format {
        DiscoverFormat::Text => found.yaml,
        DiscoverFormat::Json => json(&sample, &found),
    });
    Ok(())
}

fn from_kafka(args: &DiscoverArgs) -> Result<Sample, String> {
    let topic = args.topic.clone().unwrap_or_default();
    let (connection, registry) = connection(args)?;
    let found = newest(&connection, &topic, args.sample as usize)?;
    let origin = format!(
        "The newest {} of {} records of topic {topic}, {} partitions, looked at by tautline discover.",
        found.records.len(),
        found.held,
        found.partitions
    );
    let mut sample = Sample {
        topic,
        origin,
        records: found.records,
        ..Sample::default()
    };
    let ids = sample.schema_ids();
    if let Some(registry) = registry.filter(|_| !ids.is_empty()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| format!("cannot start: {error}"))?;
        sample.schemas = runtime.block_on(once::fetch(&registry, ids))?;
    }
    Ok(sample)
}

/// The settings need not be there yet: the brokers are enough, and for Avro the registry.
fn connection(args: &DiscoverArgs) -> Result<(Connection, Option<SchemaRegistry>), String> {
    let settings = settings::load(args.config.config.as_deref());
    if let Some(url) = args.registry.as_ref()
        && (!url.username().is_empty() || url.password().is_some())
    {
        let message = "--registry takes an address without a user: everybody on this machine could read the password; write kafka: {schema_registry: {url: …, username: …, password_file: …}} in the settings";
        return Err(message.to_owned());
    }
    let named = args.registry.clone().map(|url| SchemaRegistry {
        url,
        credentials: None,
    });
    match (&args.brokers, settings) {
        (None, Ok(settings)) if settings.kafka.brokers.is_empty() => Err(
            "name the brokers: --brokers 127.0.0.1:9092, or kafka: {brokers: …} in the settings".to_owned(),
        ),
        (given, Ok(settings)) => Ok((
            Connection {
                brokers: given.clone().unwrap_or(settings.kafka.brokers),
                group: settings.kafka.group,
                properties: settings.kafka.properties,
            },
            named.or(settings.kafka.schema_registry),
        )),
        (Some(brokers), Err(_)) if args.config.config.is_none() => Ok((
            Connection {
                brokers: brokers.clone(),
                group: "tautline-discover".to_owned(),
                properties: std::collections::BTreeMap::new(),
            },
            named,
        )),
        (None, Err(problems)) if args.config.config.is_none() => Err(format!(
            "{problems}\nor name the brokers: --brokers 127.0.0.1:9092"
        )),
        (_, Err(problems)) => Err(problems.to_string()),
    }
}

/// The last lines of a file, each a record.
fn from_file(args: &DiscoverArgs, file: &Path) -> Result<Sample, String> {
    let shown = file.display();
    let refuse = |error: std::io::Error| format!("{shown}: cannot be read: {error}");
    let most = args.sample as usize;
    let mut newest: VecDeque<Taken> = VecDeque::with_capacity(most);
    let mut all = 0usize;
    for line in BufReader::new(File::open(file).map_err(refuse)?).split(b'\n') {
        let line = line.map_err(refuse)?;
        if line.trim_ascii().is_empty() {
            continue;
        }
        all += 1;
        if newest.len() == most {
            newest.pop_front();
        }
        newest.push_back(Taken {
            payload: Some(line),
            ..Taken::default()
        });
    }
    let stem = file.file_stem().map(|stem| stem.to_string_lossy().into_owned());
    Ok(Sample {
        topic: args.topic.clone().or(stem).unwrap_or_default(),
        origin: format!(
            "The last {} of {all} lines of {shown}, looked at by tautline discover.",
            newest.len()
        ),
        records: newest.into(),
        ..Sample::default()
    })
}

fn json(sample: &Sample, found: &Discovery) -> String {
    let guess = &found.guess;
    let format = match guess.format.value {
        Format::CloudEvents => "cloudevents",
        Format::Debezium => "debezium",
        Format::Avro => "avro",
        Format::Json => "json",
    };
    let payload = match guess.layout {
        Layout::Single => "single",
        Layout::Lines => "lines",
        Layout::Array => "array",
    };
    json!({
        "topic": sample.topic,
        "records": found.records,
        "usable": found.usable,
        "rejected": found.rejected,
        "source": guess.source,
        "format": {"value": format, "why": guess.format.why},
        "payload": payload,
        "time": guess.time,
        "id": guess.id,
        "fields": guess.fields,
        "left_out": guess.left_out,
        "metrics": guess.metrics,
        "notes": guess.notes,
        "yaml": found.yaml,
    })
    .to_string()
}

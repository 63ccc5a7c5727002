//! `tautline import`: sends the events of a file to the running daemon, in order, each part of the file once.
//!
//! * `entries`: what people typed into a table.
//! * `chunk`: a file cut into requests. * `columns`: rows of CSV as events. * `lines`: where those begin.
//! * `post`: the requests.

mod chunk;
mod columns;
mod entries;
mod lines;
mod post;

use std::fs::File;
use std::io::{BufReader, IsTerminal, Write};
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use serde::Serialize;

use super::{Config, complain, load_all, print};
use crate::catalog::{Catalog, Source};
use crate::settings::{Right, Settings};
use crate::source::push::Receipt;
use chunk::{Chunk, Lines};
use columns::Rows;
use post::Target;

/// Mistakes that are shown; all of them are in the dead-letter file.
const SHOWN_ERRORS: usize = 20;

#[derive(Args, Debug)]
pub(super) struct ImportArgs {
    #[command(flatten)]
    config: Config,
    /// Source whose events these are; it needs 'http: true'
    #[arg(long, value_name = "NAME", required_unless_present = "entries")]
    source: Option<String>,
    /// Metric with 'type: manual' whose entries these are: CSV with the columns value, by, at, note and dimensions
    #[arg(long, value_name = "METRIC", conflicts_with = "source")]
    entries: Option<String>,
    /// Address of the daemon [default: serve.listen of the settings]
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    /// File with the token [default: the first of serve.tokens in the settings]
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// Count the file even if it was imported before
    #[arg(long)]
    again: bool,
    /// How to print the summary
    #[arg(long, value_enum, default_value_t = ImportFormat::Text)]
    format: ImportFormat,
    /// One JSON object a line (.ndjson, .jsonl), or CSV with the names of fields as its header (.csv)
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

#[derive(ValueEnum, Debug, Clone, Copy, PartialEq, Eq)]
enum ImportFormat {
    Text,
    Json,
}

/// What became of a file.
#[derive(Default, Serialize)]
struct Summary {
    /// Events that count, or that no filter lets pass.
    accepted: u64,
    /// Events whose id was counted before.
    duplicates: u64,
    /// Events that cannot be used.
    rejected: u64,
    /// Of all of them, those that had been imported before and were not counted again.
    repeated: u64,
    #[serde(skip)]
    shown: usize,
}

/// Runs the command.
///
/// # Errors
/// In words: what is wrong with the arguments or the file, that the daemon does not take it, or that events were
/// rejected.
pub(super) fn import(args: &ImportArgs) -> Result<(), String> {
    let (settings, catalog) =
        load_all(args.config.config.as_deref()).map_err(|diagnostics| diagnostics.to_string())?;
    let (daemon, token) = (address(args, &settings), token(args, &settings)?);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| format!("cannot start: {error}"))?;
    if let Some(metric) = &args.entries {
        let metric = entries::find(&catalog, metric)?;
        let target = Target::new(&daemon, "entries", &metric.name, &token)?;
        let sent = entries::send(&target, metric, &args.file, args.again);
        let summary = runtime.block_on(sent)?;
        print(&summary.text(args.format).replace("events", "entries"));
        return match summary.rejected {
            0 => Ok(()),
            n => Err(format!("{n} entries were not taken")),
        };
    }
    let source = find(&catalog, args.source.as_deref().unwrap_or_default())?;
    let target = Target::new(&daemon, "events", &source.name, &token)?;
    let mut progress = Progress::new(&args.file)?;
    let mut summary = Summary::default();
    for (number, chunk) in (0u64..).zip(chunks(source, &args.file)?) {
        let chunk = chunk?;
        let key = chunk.key(&args.file, number, args.again);
        let receipt = runtime.block_on(target.send(&chunk, &key))?;
        progress.clear();
        summary.add(&receipt, &chunk, &args.file);
        progress.show(&chunk, &summary);
    }
    progress.clear();
    print(&summary.text(args.format));
    match summary.rejected {
        0 => Ok(()),
        n => Err(format!(
            "{n} events cannot be used; they are in the daemon's dead-letter file with their reasons"
        )),
    }
}

fn find<'c>(catalog: &'c Catalog, name: &str) -> Result<&'c Source, String> {
    match catalog.sources.iter().find(|source| source.name == name) {
        Some(source) if source.http => Ok(source),
        Some(source) => Err(format!(
            "{}: source '{name}' takes no events over HTTP; add 'http: true' to it and reload the daemon",
            source.place
        )),
        None => {
            let names: Vec<&str> = catalog
                .sources
                .iter()
                .map(|source| source.name.as_str())
                .collect();
            Err(format!(
                "there is no source '{name}'; the catalogue has {}",
                names.join(", ")
            ))
        }
    }
}

fn address(args: &ImportArgs, settings: &Settings) -> String {
    args.url.clone().unwrap_or_else(|| {
        let mut listen = settings.serve.listen;
        if listen.ip().is_unspecified() {
            listen.set_ip(std::net::Ipv4Addr::LOCALHOST.into());
        }
        format!("http://{listen}")
    })
}

fn token(args: &ImportArgs, settings: &Settings) -> Result<String, String> {
    if let Some(file) = &args.token_file {
        return std::fs::read_to_string(file)
            .map(|text| text.trim().to_owned())
            .map_err(|error| format!("--token-file {}: {error}", file.display()));
    }
    let right = if args.entries.is_some() {
        Right::Enter
    } else {
        Right::Send
    };
    let mut tokens = settings.serve.tokens.iter();
    tokens
        .find(|token| token.role.allows(right))
        .map(|token| token.secret.reveal().to_owned())
        .ok_or_else(|| {
            "the settings have no token that may send events; add serve: {tokens: [{token_file: /run/secrets/ingest, role: ingest}]}, or name one with --token-file".to_owned()
        })
}

/// The file as requests, by its ending.
fn chunks<'s>(
    source: &'s Source,
    path: &Path,
) -> Result<Box<dyn Iterator<Item = Result<Chunk, String>> + 's>, String> {
    let file = File::open(path).map_err(|error| format!("{}: {error}", path.display()))?;
    let ending = path
        .extension()
        .and_then(|ending| ending.to_str())
        .unwrap_or_default();
    let shown = path.display().to_string();
    match ending {
        "ndjson" | "jsonl" => Ok(Box::new(chunk::chunks(Lines::new(BufReader::new(file), shown)))),
        "csv" => Ok(Box::new(chunk::chunks(Rows::new(source, file, shown)?))),
        _ => Err(format!(
            "{shown}: the ending says what a file holds: .ndjson or .jsonl for one JSON object a line, .csv for CSV"
        )),
    }
}

impl Summary {
    fn add(&mut self, receipt: &Receipt, chunk: &Chunk, file: &Path) {
        self.accepted += receipt.accepted;
        self.duplicates += receipt.duplicates;
        self.rejected += receipt.rejected;
        if receipt.repeated {
            self.repeated += receipt.accepted + receipt.duplicates + receipt.rejected;
        }
        for error in &receipt.errors {
            self.shown += 1;
            if self.shown <= SHOWN_ERRORS {
                let line = error.index.map_or(chunk.first_line(), |index| chunk.line(index));
                complain(&format!(
                    "{}:{line}: {}: {}",
                    file.display(),
                    error.reason,
                    error.detail
                ));
            }
        }
    }

    fn text(&self, format: ImportFormat) -> String {
        let Summary {
            accepted,
            duplicates,
            rejected,
            repeated,
            ..
        } = self;
        if format == ImportFormat::Json {
            return serde_json::json!(self).to_string();
        }
        let mut text = format!("{accepted} events taken, {rejected} rejected");
        if *duplicates > 0 {
            text.push_str(&format!(
                "; {duplicates} more bear ids that were counted before and do not count again"
            ));
        }
        if *repeated > 0 {
            text.push_str(&format!(
                "; {repeated} of them had been imported before and were not counted again (--again counts them)"
            ));
        }
        text
    }
}

/// A line on the terminal that says how far the import is.
struct Progress {
    name: String,
    bytes: u64,
    sent: u64,
    visible: bool,
}

impl Progress {
    fn new(file: &Path) -> Result<Progress, String> {
        let about = std::fs::metadata(file).map_err(|error| format!("{}: {error}", file.display()))?;
        Ok(Progress {
            name: file.display().to_string(),
            bytes: about.len().max(1),
            sent: 0,
            visible: std::io::stderr().is_terminal(),
        })
    }

    fn show(&mut self, chunk: &Chunk, summary: &Summary) {
        self.sent += chunk.read_bytes;
        if self.visible {
            let percent = (self.sent * 100 / self.bytes).min(100);
            let (taken, rejected) = (summary.accepted, summary.rejected);
            let mut out = std::io::stderr().lock();
            // Without a terminal there is nobody to tell.
            let _ = write!(
                out,
                "{}: {percent} %, {taken} events taken, {rejected} rejected",
                self.name
            )
            .and_then(|()| out.flush());
        }
    }

    fn clear(&self) {
        if self.visible {
            let mut out = std::io::stderr().lock();
            let _ = write!(out, "\r\u{1b}[K").and_then(|()| out.flush());
        }
    }
}

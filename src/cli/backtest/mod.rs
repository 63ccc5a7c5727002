//! `tautline backtest`: a file of events, or what topics hold, through the same core as the daemon, in the order of arrival.

mod compare;
mod forecasts;
mod progress;
mod topics;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use clap::{Args, ValueEnum};
use jiff::Timestamp;
use jiff::civil::Date;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Config, complain, load_all, print};

use crate::alert::dispatch::WEIGHTS_PROPOSED;
use crate::catalog::{Catalog, Severity, SourceId, load};
use crate::daemon::replay::{Episode, Foretold, Proposed, Replay};
use crate::decode::{Found, Reader, Record};
use crate::evaluate::weights::Titled;
use crate::settings::Settings;
use crate::source::history::Ends;
use crate::words::{Language, sentence, weights as words};
use progress::Progress;

#[derive(Args, Debug)]
pub(super) struct BacktestArgs {
    #[command(flatten)]
    config: Config,
    /// Events, one JSON object a line. `_arrival` (RFC 3339) says when a line arrived, else its event time does;
    /// `_source` says whose it is, where the catalogue has several sources
    #[arg(
        long,
        value_name = "FILE",
        required_unless_present = "kafka",
        conflicts_with = "kafka"
    )]
    input: Option<PathBuf>,
    /// Every record that the catalogue's topics hold now, in place of a file; a record's timestamp says when it arrived.
    /// Leaves no trace in Kafka
    #[arg(long)]
    kafka: bool,
    /// List only episodes raised on or after this day; history before it is learned from all the same
    #[arg(long, value_name = "DATE")]
    since: Option<Date>,
    /// A folder with another catalogue: list what it would tell that the settings' does not, what it would not tell, and
    /// what it would tell otherwise
    #[arg(long, value_name = "CATALOG")]
    against: Option<PathBuf>,
    /// How good forecasts would have been, in place of episodes: at a quarter, a half and three quarters of every period,
    /// beside what came
    #[arg(long, conflicts_with = "against")]
    forecasts: bool,
    /// How to print the result
    #[arg(long, value_enum, default_value_t = BacktestFormat::Text)]
    format: BacktestFormat,
}

#[derive(ValueEnum, Debug, Clone, Copy, PartialEq, Eq)]
enum BacktestFormat {
    Text,
    Ndjson,
}

/// What a line says of itself besides the event.
#[derive(Deserialize)]
struct About<'l> {
    #[serde(borrow, default, rename = "_arrival")]
    arrival: Option<std::borrow::Cow<'l, str>>,
    #[serde(borrow, default, rename = "_source")]
    source: Option<std::borrow::Cow<'l, str>>,
}

/// A line in its place.
pub(super) struct Line<'t> {
    pub(super) arrival: Timestamp,
    pub(super) source: SourceId,
    pub(super) text: &'t str,
}

pub(super) fn backtest(args: &BacktestArgs) -> Result<(), String> {
    let (settings, catalog) =
        load_all(args.config.config.as_deref()).map_err(|diagnostics| diagnostics.to_string())?;
    let mut history = match &args.input {
        Some(file) => {
            let name = file.display().to_string();
            let text = std::fs::read_to_string(file).map_err(|error| format!("{name}: {error}"))?;
            History::Lines { name, text }
        }
        None => History::Topics(Ends::new()),
    };
    let mut replay = replayed(&catalog, &settings, &mut history, args.forecasts)?;
    if args.forecasts {
        let since = |one: &&Foretold| args.since.is_none_or(|since| one.made >= since);
        let foretold: Vec<&Foretold> = replay.foretold().iter().filter(since).collect();
        print(&match args.format {
            BacktestFormat::Ndjson => {
                let row = |one: &&Foretold| forecasts::ndjson(&catalog, one).to_string();
                foretold.iter().map(row).collect::<Vec<_>>().join("\n")
            }
            BacktestFormat::Text => forecasts::text(&catalog, &foretold, settings.language),
        });
        return Ok(());
    }
    let zone = &catalog.calendar;
    let since = args.since.map(|day| zone.start_of(day));
    let told = told_since(&replay, since);
    let proposed = proposed_since(&replay, since);
    if let Some(folder) = &args.against {
        let other = load::load_dir(folder).map_err(|diagnostics| diagnostics.to_string())?;
        let other = Arc::new(other);
        let others = replayed(&other, &settings, &mut history, false)?;
        let differences = compare::differences(&told, &told_since(&others, since));
        let of_weights = compare::proposals(&proposed, &proposed_since(&others, since));
        print(&match args.format {
            BacktestFormat::Ndjson => compare::ndjson(&catalog, &differences, &of_weights),
            BacktestFormat::Text => compare::text(&catalog, &differences, &of_weights, settings.language),
        });
        return Ok(());
    }
    match args.format {
        BacktestFormat::Ndjson => {
            let mut rows: Vec<(Timestamp, Value)> = told
                .iter()
                .map(|episode| (episode.raised, ndjson(&catalog, episode)))
                .collect();
            rows.extend(
                proposed
                    .iter()
                    .map(|one| (one.raised, proposed_json(&catalog, one))),
            );
            rows.sort_by_key(|(raised, _)| *raised);
            let rows: Vec<String> = rows.iter().map(|(_, row)| row.to_string()).collect();
            print(&rows.join("\n"));
        }
        BacktestFormat::Text => print(&text_report(
            &catalog,
            &replay,
            (&told, &proposed),
            settings.language,
        )),
    }
    Ok(())
}

/// Where history stands.
enum History {
    /// In the lines of a file.
    Lines { name: String, text: String },
    /// In the topics of the catalogue, up to here.
    Topics(Ends),
}

/// History through a catalogue, to the close of the day of the last arrival.
fn replayed(
    catalog: &Arc<Catalog>,
    settings: &Settings,
    history: &mut History,
    foretells: bool,
) -> Result<Replay, String> {
    let (mut replay, last) = match history {
        History::Lines { name, text } => replayed_lines(catalog, settings, text, name, foretells)?,
        History::Topics(ends) => topics::replayed(catalog, settings, ends, foretells)?,
    };
    // The day of the last arrival is over too, with the lateness that the catalogue allows.
    let zone = &catalog.calendar;
    let lateness = catalog.sources.iter().map(|source| source.lateness).max();
    let next = zone.day_of(last).tomorrow().map_err(|error| error.to_string())?;
    replay.pass(zone.start_of(next) + lateness.unwrap_or_default())?;
    for (source, reason) in replay.rejected() {
        complain(&format!(
            "{source}: some events were rejected; the newest: {reason}"
        ));
    }
    Ok(replay)
}

/// Episodes that were raised since a moment.
fn told_since(replay: &Replay, since: Option<Timestamp>) -> Vec<&Episode> {
    let episodes = replay.episodes().iter();
    episodes
        .filter(|episode| since.is_none_or(|since| episode.raised >= since))
        .collect()
}

/// Weights that were proposed since a moment.
fn proposed_since(replay: &Replay, since: Option<Timestamp>) -> Vec<&Proposed> {
    let proposed = replay.proposed().iter();
    proposed
        .filter(|one| since.is_none_or(|since| one.raised >= since))
        .collect()
}

/// The events of a file through a catalogue, and the time of the last arrival.
fn replayed_lines(
    catalog: &Arc<Catalog>,
    settings: &Settings,
    text: &str,
    file: &str,
    foretells: bool,
) -> Result<(Replay, Timestamp), String> {
    let mut lines = lines(catalog, None, text, file)?;
    // Lines of one moment stay in the order of the file.
    lines.sort_by_key(|line| line.arrival);
    let Some(last) = lines.last() else {
        return Err(format!("{file}: no events; write one JSON object a line"));
    };
    let end = last.arrival;
    let mut replay = Replay::new(catalog.clone(), settings.routing.clone())
        .foretelling(foretells)
        .keeping(settings.keep_days)
        .limiting(settings.max_value_bytes);
    let mut progress = Progress::new(lines.len());
    for line in &lines {
        let record = Record {
            payload: Some(line.text.as_bytes()),
            ..Record::default()
        };
        progress.step(|| catalog.calendar.day_of(line.arrival));
        replay.record(line.source, &record, line.arrival)?;
    }
    Ok((replay, end))
}

/// The lines of the file that are not blank, with arrival and source; `whose` they are, where that is known.
pub(super) fn lines<'t>(
    catalog: &Catalog,
    whose: Option<SourceId>,
    text: &'t str,
    file: &str,
) -> Result<Vec<Line<'t>>, String> {
    let mut readers: Vec<Reader> = catalog.sources.iter().map(Reader::new).collect();
    let mut lines = Vec::new();
    for (number, text) in (1u32..).zip(text.lines()) {
        if text.trim().is_empty() {
            continue;
        }
        let at = |message: String| format!("{file}:{number}:1: {message}");
        let about: About<'_> = serde_json::from_str(text).map_err(|error| {
            format!(
                "{file}:{number}:{}: no JSON object: {error}; write one event a line",
                error.column()
            )
        })?;
        let source = match whose {
            Some(source) => source,
            None => source_of(catalog, about.source.as_deref()).map_err(at)?,
        };
        let arrival = match &about.arrival {
            Some(arrival) => arrival.parse::<Timestamp>().map_err(|_| {
                at(format!(
                    "'_arrival' is '{arrival}'; write it as 2026-06-03T14:00:00Z"
                ))
            })?,
            None => {
                let record = Record {
                    payload: Some(text.as_bytes()),
                    ..Record::default()
                };
                event_time(&mut readers[source.0 as usize], &record).ok_or_else(|| {
                    at("neither '_arrival' nor a readable event time; add \"_arrival\": \"2026-06-03T14:00:00Z\""
                        .to_owned())
                })?
            }
        };
        lines.push(Line {
            arrival,
            source,
            text,
        });
    }
    Ok(lines)
}

fn source_of(catalog: &Catalog, named: Option<&str>) -> Result<SourceId, String> {
    let names = || catalog.sources.iter().map(|source| source.name.as_str());
    let position = match named {
        Some(name) => names().position(|other| other == name),
        None if catalog.sources.len() == 1 => Some(0),
        None => None,
    };
    position
        .and_then(|at| u32::try_from(at).ok())
        .map(SourceId)
        .ok_or_else(|| {
            let known: Vec<&str> = names().collect();
            match named {
                Some(name) => format!(
                    "there is no source '{name}'; the catalogue has {}",
                    known.join(", ")
                ),
                None => format!(
                    "whose event is it? the catalogue has {}; add \"_source\": \"{}\"",
                    known.join(", "),
                    known.first().unwrap_or(&"…")
                ),
            }
        })
}

/// The newest event time of a record.
fn event_time(reader: &mut Reader, record: &Record<'_>) -> Option<Timestamp> {
    let mut newest = None;
    reader.read(record, |item| {
        if let Ok(Found::Change(change)) = &item.found {
            newest = newest.max(change.newest_ms());
        }
    });
    Timestamp::from_millisecond(newest?).ok()
}

/// A moment in the calendar's zone, RFC 3339.
fn told_at(catalog: &Catalog, at: Timestamp) -> String {
    let zone = &catalog.calendar.timezone;
    let offset = zone.to_offset(at);
    at.display_with_offset(offset).to_string()
}

/// An episode as JSON.
fn ndjson(catalog: &Catalog, episode: &Episode) -> serde_json::Value {
    let label = |name: &str| episode.labels.get(name);
    let dimensions: BTreeMap<&String, &String> = episode
        .labels
        .iter()
        .filter(|(name, _)| !["alertname", "node", "parent", "period", "owner"].contains(&name.as_str()))
        .collect();
    json!({
        "node": label("node"),
        "parent": label("parent"),
        "kind": episode.kind,
        "severity": episode.severity.as_str(),
        "raised": told_at(catalog, episode.raised),
        "cleared": episode.cleared.map(|at| told_at(catalog, at)),
        "note": sentence::of(&episode.kind, &episode.facts, Language::En),
        "owner": label("owner"),
        "period": label("period"),
        "dimensions": dimensions,
        "notices": episode.notices,
        "link": episode.facts.link,
    })
}

/// Weights that a close proposed as JSON: as an episode of the parent that lasts while somebody is to decide.
fn proposed_json(catalog: &Catalog, proposed: &Proposed) -> Value {
    let proposal = &proposed.proposal.proposal;
    json!({
        "node": proposal.parent,
        "parent": null,
        "kind": WEIGHTS_PROPOSED,
        "severity": Severity::INFO.as_str(),
        "raised": told_at(catalog, proposed.raised),
        "cleared": proposed.settled.map(|at| told_at(catalog, at)),
        "note": words::proposal(&proposed.proposal, Language::En),
        "owner": proposed.proposal.owner,
        "period": proposal.closed,
        "dimensions": {},
        "notices": proposed.notices,
        "link": null,
        "weights": {"lines": proposal.lines, "standing": proposal.standing, "next": proposal.next},
    })
}

/// An episode on two lines: when, how bad, what and where; and its numbers in words.
fn episode_text(catalog: &Catalog, episode: &Episode, language: Language) -> String {
    let label = |name: &str| episode.labels.get(name).map_or("", String::as_str);
    let day = |at: Timestamp| catalog.calendar.day_of(at).to_string();
    let cleared = episode
        .cleared
        .map_or_else(|| language.pick("至今", "still on").to_owned(), day);
    let instance = episode
        .facts
        .node
        .as_ref()
        .map_or("", |node| node.instance.as_str());
    format!(
        "{} … {cleared}  {}  {}  {}{}{instance}\n    {}\n",
        day(episode.raised),
        episode.severity.as_str(),
        episode.kind,
        label("node"),
        if instance.is_empty() { "" } else { " · " },
        sentence::of(&episode.kind, &episode.facts, language),
    )
}

/// Weights that a close proposed: when and how it stands, and a line of reason for each KPI.
fn proposed_text(catalog: &Catalog, proposed: &Proposed, language: Language) -> String {
    let Titled {
        title,
        titles,
        proposal,
        ..
    } = &proposed.proposal;
    let mut text = format!(
        "{}  {WEIGHTS_PROPOSED}  {}  {}\n",
        catalog.calendar.day_of(proposed.raised),
        proposal.parent,
        words::standing(&proposal.standing, language),
    );
    for (line, kpi) in proposal.lines.iter().zip(titles) {
        text.push_str(&format!("    {}\n", words::reason(line, kpi, title, language)));
    }
    text
}

fn text_report(
    catalog: &Catalog,
    replay: &Replay,
    (told, proposed): (&[&Episode], &[&Proposed]),
    language: Language,
) -> String {
    let mut report = String::new();
    for episode in told {
        report.push_str(&episode_text(catalog, episode, language));
    }
    let mut by_kind: BTreeMap<&str, (u32, u32)> = BTreeMap::new();
    for episode in told {
        let count = by_kind.entry(&episode.kind).or_default();
        count.0 += 1;
        count.1 += episode.notices;
    }
    if told.is_empty() {
        report.push_str(language.pick("没有告警。\n", "Nothing would have been told.\n"));
    }
    for (kind, (episodes, notices)) in by_kind {
        report.push_str(&match language {
            Language::Zh => format!("{kind}：{episodes} 次，消息 {notices} 条\n"),
            Language::En => format!("{kind}: {episodes} episodes, {notices} messages\n"),
        });
    }
    if !proposed.is_empty() {
        let notices: u32 = proposed.iter().map(|one| one.notices).sum();
        let count = proposed.len();
        report.push_str(&match language {
            Language::Zh => format!("\n权重建议：{count} 次，消息 {notices} 条\n"),
            Language::En => format!("\nWeights proposed: {count} times, {notices} messages\n"),
        });
        for one in proposed {
            report.push_str(&proposed_text(catalog, one, language));
        }
        report.push('\n');
    }
    for ((source, outcome), count) in replay.outcomes() {
        report.push_str(&format!("{source}: {count} {outcome}\n"));
    }
    report
}

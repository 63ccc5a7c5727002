//! The checks of a test: every name is one of the catalogue, every moment lies on the clock of the test. All mistakes
//! are collected, each with its place.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

use super::case::{
    Acked, Case, Declared, Event, ExpectedNotice, ExpectedState, Injected, Injection, Silenced, Which,
};
use super::file::{
    AckEntry, CaseEntry, InjectEntry, Moment, NoticeEntry, ReloadEntry, SilenceEntry, StateEntry,
};
use super::series::{self, Series};
use crate::alert::dispatch::matcher::Matcher;
use crate::catalog::diagnostic::{Diagnostic, Place, nearest};
use crate::catalog::file::parse_duration;
use crate::catalog::yaml::Spanned;
use crate::catalog::{Catalog, Severity, SourceId, yaml};
use crate::cli::backtest;

/// Time between two evaluations, where the test does not say.
const EVALUATE_EVERY: SignedDuration = SignedDuration::from_hours(1);
/// Evaluations of one test at most.
const MAX_EVALUATIONS: i64 = 1_000_000;

/// Collects what is wrong.
pub(super) struct Checker {
    file: Arc<str>,
    folder: PathBuf,
    pub(super) problems: Vec<Diagnostic>,
}

impl Checker {
    /// Checks the tests of a file; paths in it start at its folder.
    pub(super) fn new(file: Arc<str>, folder: &Path) -> Checker {
        Checker {
            file,
            folder: folder.to_owned(),
            problems: Vec::new(),
        }
    }
}

impl Checker {
    fn place<T>(&self, spanned: &Spanned<T>) -> Place {
        yaml::place(&self.file, spanned.location)
    }

    fn problem<T>(&mut self, at: &Spanned<T>, message: impl Into<String>) {
        let diagnostic = Diagnostic {
            place: self.place(at),
            message: message.into(),
        };
        self.problems.push(diagnostic);
    }

    /// What was found, or `None` with the problem noted.
    fn noted<T, R>(&mut self, at: &Spanned<T>, found: Result<R, String>) -> Option<R> {
        found.map_err(|message| self.problem(at, message)).ok()
    }

    /// A test; `None` where it cannot be read on.
    pub(super) fn case(&mut self, entry: Spanned<CaseEntry>, declared: &Declared) -> Option<Case> {
        let place = self.place(&entry);
        let entry = entry.value;
        let parsed = entry.start.value.parse::<Timestamp>();
        let Ok(start) = parsed else {
            let text = format!(
                "'{}' is no instant; write start: 2026-07-01T00:00:00+08:00",
                entry.start.value
            );
            self.problem(&entry.start, text);
            return None;
        };
        let clock = Clock { start };
        let mut declared = declared.clone();
        if let Some(rules) = &entry.rules {
            for rule in rules {
                self.known_rule(rule, &declared.catalog);
            }
            let is_wanted = |name: &str| rules.iter().any(|rule| rule.value == name);
            Arc::make_mut(&mut declared.catalog)
                .rules
                .retain(|rule| is_wanted(&rule.name));
        }
        let every = match &entry.evaluate_every {
            Some(text) => self.length(text)?,
            None => EVALUATE_EVERY,
        };
        let series: Vec<Series> = entry
            .input_series
            .iter()
            .filter_map(|one| {
                let interval = self.length(&one.interval)?;
                let points = series::points(&one.values.value, interval, start);
                let points = self.noted(&one.values, points)?;
                let target = series::Target::read(&one.series.value, &declared.catalog);
                let target = self.noted(&one.series, target)?;
                Some(Series { target, points })
            })
            .collect();
        let mut events = Vec::new();
        let mut fed = Vec::new();
        for (source, path) in &entry.input_events.0 {
            self.events(source, path, &declared.catalog, &mut events, &mut fed);
        }
        events.sort_by_key(|event| event.arrival);
        let restarts: Vec<Timestamp> = entry
            .restart_at
            .iter()
            .filter_map(|at| self.moment(&clock, at))
            .collect();
        let reloads = entry
            .reload
            .iter()
            .filter_map(|one| self.reload(one, &clock, &declared))
            .collect();
        let silences: Vec<Silenced> = entry
            .silence
            .iter()
            .filter_map(|one| self.silence(one, &clock))
            .collect();
        let acks: Vec<Acked> = entry
            .ack
            .iter()
            .filter_map(|one| self.ack(one, &clock, &declared))
            .collect();
        let injections: Vec<Injection> = entry
            .inject
            .iter()
            .filter_map(|one| self.injection(one, &clock, &declared))
            .collect();
        let states: Vec<ExpectedState> = entry
            .exp_states
            .iter()
            .filter_map(|one| self.state(one, &clock, &declared))
            .collect();
        let notices: Option<Vec<ExpectedNotice>> = entry.exp_notices.as_ref().map(|all| {
            all.iter()
                .filter_map(|one| self.notice(one, &clock, &declared))
                .collect()
        });
        let expected = states
            .iter()
            .map(|state| state.at)
            .chain(notices.iter().flatten().map(|notice| notice.to));
        let fed_until = series
            .iter()
            .filter_map(|one| one.points.last())
            .map(|(at, _)| *at)
            .chain(events.last().map(|event| event.arrival));
        let until = match &entry.until {
            Some(text) => self.moment(&clock, text)?,
            None => expected.max().or(fed_until.max()).unwrap_or(start),
        };
        if until.duration_since(start).as_secs() / every.as_secs().max(1) > MAX_EVALUATIONS {
            self.problem(
                &entry.start,
                format!("more than {MAX_EVALUATIONS} evaluations; write a longer evaluate_every"),
            );
        }
        if states.is_empty() && notices.is_none() {
            self.problem(
                &entry.start,
                "nothing is expected, so nothing can fail; write exp_states or exp_notices",
            );
        }
        Some(Case {
            place,
            name: entry.name,
            declared,
            start,
            until,
            every,
            series,
            events,
            fed,
            restarts,
            reloads,
            silences,
            acks,
            injections,
            states,
            notices,
        })
    }

    /// A length of time of a millisecond at least.
    fn length(&mut self, text: &Spanned<String>) -> Option<SignedDuration> {
        let length = parse_duration(&text.value).filter(|length| *length >= SignedDuration::from_millis(1));
        let length =
            length.ok_or_else(|| format!("'{}' is no length of time; write 30s, 5m, 1h or 1d", text.value));
        self.noted(text, length)
    }

    fn moment(&mut self, clock: &Clock, text: &Moment) -> Option<Timestamp> {
        let at = clock.moment(&text.value);
        self.noted(text, at)
    }

    fn known_rule(&mut self, rule: &Spanned<String>, catalog: &Catalog) {
        let names = || catalog.rules.iter().map(|known| known.name.as_str());
        if !names().any(|name| name == rule.value) {
            let hint = hint(&rule.value, names());
            self.problem(rule, format!("no rule '{}' in the catalogue; {hint}", rule.value));
        }
    }

    fn known_receiver(&mut self, receiver: &Spanned<String>, declared: &Declared) {
        let names = || declared.receivers.iter().map(String::as_str);
        if !names().any(|name| name == receiver.value) {
            let hint = hint(&receiver.value, names());
            self.problem(
                receiver,
                format!("there is no receiver '{}'; {hint}", receiver.value),
            );
        }
    }

    fn severity(&mut self, name: Option<&Spanned<String>>, catalog: &Catalog) -> Option<Severity> {
        let name = name?;
        let found = catalog.severities.named(&name.value);
        if found.is_none() {
            let hint = hint(&name.value, catalog.severities.names());
            self.problem(
                name,
                format!("no severity '{}' in the catalogue; {hint}", name.value),
            );
        }
        found
    }

    fn known_node<T>(&mut self, at: &Spanned<T>, node: Option<&str>, catalog: &Catalog) {
        let names = || catalog.nodes.iter().map(|known| known.name.as_str());
        if let Some(node) = node
            && !names().any(|name| name == node)
        {
            self.problem(
                at,
                format!("no node '{node}' in the catalogue; {}", hint(node, names())),
            );
        }
    }

    fn events(
        &mut self,
        source: &Spanned<String>,
        path: &Spanned<String>,
        catalog: &Catalog,
        events: &mut Vec<Event>,
        fed: &mut Vec<SourceId>,
    ) {
        let names = || catalog.sources.iter().map(|known| known.name.as_str());
        let Some(position) = names().position(|name| name == source.value) else {
            let hint = hint(&source.value, names());
            return self.problem(
                source,
                format!("no source '{}' in the catalogue; {hint}", source.value),
            );
        };
        let Ok(id) = u32::try_from(position).map(SourceId) else {
            return;
        };
        let file = self.folder.join(&path.value);
        let text = match std::fs::read_to_string(&file) {
            Ok(text) => text,
            Err(error) => return self.problem(path, format!("{}: {error}", file.display())),
        };
        // Whose they are is said here: the other sources are not looked at.
        match backtest::lines(catalog, Some(id), &text, &file.display().to_string()) {
            Err(message) => self.problem(path, message),
            Ok(lines) => {
                fed.push(id);
                events.extend(lines.into_iter().map(|line| Event {
                    arrival: line.arrival,
                    source: id,
                    text: line.text.to_owned(),
                }));
            }
        }
    }

    fn reload(
        &mut self,
        entry: &ReloadEntry,
        clock: &Clock,
        before: &Declared,
    ) -> Option<(Timestamp, Declared)> {
        let at = self.moment(clock, &entry.at)?;
        let named = |text: &Option<Spanned<String>>| text.as_ref().map(|text| text.value.clone());
        let (catalog, settings) = (named(&entry.catalog), named(&entry.settings));
        if catalog.is_none() && settings.is_none() {
            self.problem(&entry.at, "what is loaded? write catalog: … or settings: …");
        }
        match Declared::read(
            &self.folder,
            catalog.as_deref(),
            settings.as_deref(),
            Some(before),
        ) {
            Ok(declared) => Some((at, declared)),
            Err(problems) => {
                self.problems.extend(problems.0);
                None
            }
        }
    }

    fn silence(&mut self, entry: &SilenceEntry, clock: &Clock) -> Option<Silenced> {
        let matchers = entry
            .matchers
            .iter()
            .map(|text| {
                let matcher = Matcher::parse(&text.value);
                self.noted(text, matcher)
            })
            .collect::<Option<Vec<Matcher>>>()?;
        let (from, to) = (self.moment(clock, &entry.from)?, self.moment(clock, &entry.to)?);
        if to <= from {
            self.problem(&entry.to, "the end must lie after the beginning");
        }
        Some(Silenced {
            matchers,
            from,
            to,
            created_by: entry.created_by.clone().unwrap_or_else(|| "test".to_owned()),
        })
    }

    fn ack(&mut self, entry: &AckEntry, clock: &Clock, declared: &Declared) -> Option<Acked> {
        self.known_rule(&entry.alert, &declared.catalog);
        self.known_node(&entry.alert, entry.node.as_deref(), &declared.catalog);
        let lasts = match &entry.lasts {
            Some(text) => Some(self.length(text)?),
            None => None,
        };
        Some(Acked {
            place: self.place(&entry.at),
            at: self.moment(clock, &entry.at)?,
            which: which(Some(&entry.alert.value), entry.node.as_ref(), &BTreeMap::new()),
            by: entry.by.clone().unwrap_or_else(|| "test".to_owned()),
            lasts,
        })
    }

    fn injection(&mut self, entry: &InjectEntry, clock: &Clock, declared: &Declared) -> Option<Injection> {
        self.known_receiver(&entry.receiver, declared);
        let text = entry.answer.value.trimmed();
        let answer = match text.parse::<u16>() {
            Ok(status @ 300..=599) => Ok(Injected::Status(status, entry.retry_after)),
            _ if text == "lost" => Ok(Injected::Lost),
            _ => Err(format!(
                "'{text}' is no failure; write a status from 300 to 599, such as 429, or lost"
            )),
        };
        let until = match &entry.until {
            Some(text) => Some(self.moment(clock, text)?),
            None => None,
        };
        Some(Injection {
            receiver: entry.receiver.value.clone(),
            from: self.moment(clock, &entry.at)?,
            times: entry.times.unwrap_or(if until.is_some() { u32::MAX } else { 1 }),
            until,
            answer: self.noted(&entry.answer, answer)?,
        })
    }

    fn state(
        &mut self,
        entry: &Spanned<StateEntry>,
        clock: &Clock,
        declared: &Declared,
    ) -> Option<ExpectedState> {
        let place = self.place(entry);
        let entry = &entry.value;
        self.known_rule(&entry.alert, &declared.catalog);
        self.known_node(&entry.alert, entry.node.as_deref(), &declared.catalog);
        Some(ExpectedState {
            place,
            at: self.moment(clock, &entry.at)?,
            which: which(Some(&entry.alert.value), entry.node.as_ref(), &entry.labels),
            state: entry.state,
            severity: self.severity(entry.severity.as_ref(), &declared.catalog),
        })
    }

    fn notice(
        &mut self,
        spanned: &Spanned<NoticeEntry>,
        clock: &Clock,
        declared: &Declared,
    ) -> Option<ExpectedNotice> {
        let entry = &spanned.value;
        self.known_receiver(&entry.receiver, declared);
        self.known_node(spanned, entry.node.as_deref(), &declared.catalog);
        let [from, to] = entry.between.value.as_slice() else {
            self.problem(
                &entry.between,
                "write the first moment and the last, such as between: [25d, 26d]",
            );
            return None;
        };
        let (from, to) = (self.moment(clock, from)?, self.moment(clock, to)?);
        if to < from {
            self.problem(&entry.between, "the last moment lies before the first");
        }
        Some(ExpectedNotice {
            place: self.place(spanned),
            receiver: entry.receiver.value.clone(),
            kind: entry.kind,
            from,
            to,
            which: which(entry.alert.as_ref(), entry.node.as_ref(), &entry.labels),
            severity: self.severity(entry.severity.as_ref(), &declared.catalog),
            outcome: entry.outcome,
        })
    }
}

/// The clock of a test.
struct Clock {
    start: Timestamp,
}

impl Clock {
    /// A length of time since the start, or an instant.
    fn moment(&self, text: &str) -> Result<Timestamp, String> {
        let since_start = parse_duration(text).and_then(|after| self.start.checked_add(after).ok());
        since_start
            .or_else(|| text.parse().ok())
            .filter(|at| *at >= self.start)
            .ok_or_else(|| {
                format!(
                    "'{text}' is no moment of the test; write the time since its start, such as 25d or 1d12h"
                )
            })
    }
}

fn which(rule: Option<&String>, node: Option<&String>, labels: &BTreeMap<String, String>) -> Which {
    let mut labels = labels.clone();
    if let Some(node) = node {
        labels.insert("node".to_owned(), node.clone());
    }
    Which {
        rule: rule.cloned(),
        labels,
    }
}

/// The nearest known name, else all of them.
pub(super) fn hint<'a>(name: &str, known: impl Iterator<Item = &'a str> + Clone) -> String {
    match nearest(name, known.clone()) {
        Some(near) => format!("did you mean '{near}'?"),
        None => {
            let mut all: Vec<&str> = known.collect();
            all.sort_unstable();
            all.dedup();
            format!("known are {}", all.join(", "))
        }
    }
}

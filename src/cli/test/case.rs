//! A test as it is played.

use std::path::Path;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

use super::check::Checker;
use super::file::{File, Outcome, State};
use super::series::Series;
use crate::alert::dispatch::matcher::Matcher;
use crate::alert::dispatch::route::Routing;
use crate::alert::notice::NoticeKind;
use crate::alert::record::Labels;
use crate::catalog::diagnostic::{Diagnostic, Diagnostics, Place};
use crate::catalog::{Catalog, Severity, SourceId, load, yaml};
use crate::settings;

/// The receiver where no settings are given.
const ONLY_RECEIVER: &str = "ops";

/// What the operator and the business declare.
#[derive(Clone)]
pub(super) struct Declared {
    pub(super) catalog: Arc<Catalog>,
    pub(super) routing: Arc<Routing>,
    pub(super) receivers: Vec<String>,
}

/// One test.
pub(super) struct Case {
    pub(super) place: Place,
    pub(super) name: String,
    pub(super) declared: Declared,
    pub(super) start: Timestamp,
    pub(super) until: Timestamp,
    pub(super) every: SignedDuration,
    pub(super) series: Vec<Series>,
    /// In the order of arrival.
    pub(super) events: Vec<Event>,
    /// Sources that have events.
    pub(super) fed: Vec<SourceId>,
    pub(super) restarts: Vec<Timestamp>,
    pub(super) reloads: Vec<(Timestamp, Declared)>,
    pub(super) silences: Vec<Silenced>,
    pub(super) acks: Vec<Acked>,
    pub(super) injections: Vec<Injection>,
    pub(super) states: Vec<ExpectedState>,
    pub(super) notices: Option<Vec<ExpectedNotice>>,
}

/// A line of a file of events.
pub(super) struct Event {
    pub(super) arrival: Timestamp,
    pub(super) source: SourceId,
    pub(super) text: String,
}

/// A silence that is made.
pub(super) struct Silenced {
    pub(super) matchers: Vec<Matcher>,
    pub(super) from: Timestamp,
    pub(super) to: Timestamp,
    pub(super) created_by: String,
}

/// Somebody takes an alert.
pub(super) struct Acked {
    pub(super) place: Place,
    pub(super) at: Timestamp,
    pub(super) which: Which,
    pub(super) by: String,
    pub(super) lasts: Option<SignedDuration>,
}

/// What a receiver answers instead of taking a message.
#[derive(Clone)]
pub(super) struct Injection {
    pub(super) receiver: String,
    pub(super) from: Timestamp,
    pub(super) until: Option<Timestamp>,
    pub(super) times: u32,
    pub(super) answer: Injected,
}

/// An answer that is no success.
#[derive(Clone, Copy)]
pub(super) enum Injected {
    /// A status, with the seconds that it asks to wait.
    Status(u16, Option<u64>),
    /// None at all, though the message may have arrived.
    Lost,
}

/// Alerts by their rule, and labels where that is not enough.
#[derive(Clone, Default)]
pub(super) struct Which {
    pub(super) rule: Option<String>,
    pub(super) labels: Labels,
}

impl Which {
    pub(super) fn holds(&self, rule: &str, labels: &Labels) -> bool {
        self.rule.as_deref().is_none_or(|wanted| wanted == rule)
            && self
                .labels
                .iter()
                .all(|(name, value)| labels.get(name) == Some(value))
    }

    /// `done-but-flat node=leads`.
    pub(super) fn text(&self) -> String {
        let labels = self.labels.iter().map(|(name, value)| format!("{name}={value}"));
        self.rule
            .iter()
            .cloned()
            .chain(labels)
            .collect::<Vec<_>>()
            .join(" ")
    }
}

/// Where an alert should stand.
pub(super) struct ExpectedState {
    pub(super) place: Place,
    pub(super) at: Timestamp,
    pub(super) which: Which,
    pub(super) state: State,
    pub(super) severity: Option<Severity>,
}

/// What somebody should be told.
pub(super) struct ExpectedNotice {
    pub(super) place: Place,
    pub(super) receiver: String,
    pub(super) kind: NoticeKind,
    pub(super) from: Timestamp,
    pub(super) to: Timestamp,
    pub(super) which: Which,
    pub(super) severity: Option<Severity>,
    pub(super) outcome: Outcome,
}

/// Reads a file of tests.
///
/// # Errors
/// Every mistake that was found, with its place and what to write instead.
pub(super) fn read(path: &Path) -> Result<Vec<Case>, Diagnostics> {
    let shown: Arc<str> = path.display().to_string().into();
    let at_start = || Place {
        file: shown.clone(),
        line: 1,
        column: 1,
    };
    let one = |message: String| {
        Diagnostics(vec![Diagnostic {
            place: at_start(),
            message,
        }])
    };
    let text = std::fs::read_to_string(path).map_err(|error| one(format!("cannot be read: {error}")))?;
    let file: File = yaml::read(&shown, &text).map_err(|problem| Diagnostics(vec![problem]))?;
    let folder = path.parent().unwrap_or(Path::new(""));
    let Some(catalog) = &file.catalog else {
        return Err(one(
            "the key 'catalog' is missing; write the folder of the catalogue, such as catalog: ../catalog"
                .to_owned(),
        ));
    };
    let declared = Declared::read(
        folder,
        Some(&catalog.value),
        file.settings.as_ref().map(|at| at.value.as_str()),
        None,
    )?;
    if file.tests.is_empty() {
        return Err(one(
            "there is no test in it; write tests: [{name: …, start: …}]".to_owned()
        ));
    }
    let mut checker = Checker::new(shown.clone(), folder);
    let cases: Vec<Case> = file
        .tests
        .into_iter()
        .filter_map(|entry| checker.case(entry, &declared))
        .collect();
    match checker.problems.is_empty() {
        true => Ok(cases),
        false => Err(Diagnostics(checker.problems)),
    }
}

impl Declared {
    /// Reads what is named; what is not stays as it was.
    pub(super) fn read(
        folder: &Path,
        catalog: Option<&str>,
        settings: Option<&str>,
        before: Option<&Declared>,
    ) -> Result<Declared, Diagnostics> {
        let catalog = match (catalog, before) {
            (Some(catalog), _) => Arc::new(load::load_dir(&folder.join(catalog))?),
            (None, Some(before)) => before.catalog.clone(),
            (None, None) => Arc::new(load::load(&load::Files::new("", []))?),
        };
        let (routing, receivers) = match (settings, before) {
            (Some(settings), _) => settings::load_routing(&folder.join(settings), &catalog)?,
            (None, Some(before)) => (before.routing.clone(), before.receivers.clone()),
            (None, None) => (
                Arc::new(Routing::to_receiver(ONLY_RECEIVER)),
                vec![ONLY_RECEIVER.to_owned()],
            ),
        };
        Ok(Declared {
            catalog,
            routing,
            receivers,
        })
    }
}

//! Reports: what was, in words and numbers that a manager reads. Made from the state file and the catalogue by the code
//! that the daemon judges with, so that a report and a message never disagree.
//!
//! * [`past`]: the state as it was at any moment since its first event.
//! * [`reached`]: what nodes came to, for the lint.
//! * [`explain`]: every number behind a node's state. [`review`]: the review (复盘) of a closed period.
//! * [`routing`]: who is told of an alert, when, and why.
//! * [`suggest`]: what drives a business node, and which targets its history speaks for.

use jiff::civil::Date;
use serde::Serialize;

use crate::alert::record::Labels;
use crate::catalog::{Calendar, Catalog, PeriodKind};
use crate::evaluate::{InstanceKey, Period};
use crate::words::Language;

pub mod explain;
pub mod past;
pub mod reached;
pub mod review;
pub mod routing;
pub mod suggest;
#[cfg(test)]
mod world;

/// A period with its name.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct NamedPeriod {
    /// Its name, such as `2026-06`.
    pub id: String,
    /// First day.
    pub start: Date,
    /// The day after the last.
    pub end: Date,
    /// What kind.
    #[serde(skip)]
    pub kind: PeriodKind,
}

impl NamedPeriod {
    /// Names a period of a calendar.
    fn of(period: Period, calendar: &Calendar) -> NamedPeriod {
        NamedPeriod {
            id: period.id(calendar),
            start: period.start,
            end: period.end,
            kind: period.kind,
        }
    }

    /// The period.
    pub fn period(&self) -> Period {
        Period {
            kind: self.kind,
            start: self.start,
            end: self.end,
        }
    }

    /// As people name it.
    pub fn named(&self, language: Language) -> String {
        language.period(&self.period(), &self.id)
    }
}

/// What to do about a name of a node that is not there; `nearest` is the one that looks like it.
fn did_you_mean(nearest: Option<&str>) -> String {
    nearest.map_or_else(
        || "; `tautline tree` shows all".to_owned(),
        |nearest| format!("; did you mean '{nearest}'?"),
    )
}

/// The title of an instance: `区域销售额 · 华东`.
fn title_of(catalog: &Catalog, key: &InstanceKey) -> String {
    let title = &catalog.node(key.node).title;
    if key.dimensions.is_empty() {
        title.clone()
    } else {
        format!("{title} · {}", key.dimensions.join(" / "))
    }
}

/// Whether the labels of an alert name an instance, of whatever period.
fn is_about(labels: &Labels, catalog: &Catalog, key: &InstanceKey) -> bool {
    let node = catalog.node(key.node);
    let label = |name: &str| labels.get(name).map(String::as_str);
    label("node") == Some(&node.name)
        && node
            .each
            .iter()
            .zip(key.dimensions.iter())
            .all(|(name, value)| label(name) == Some(value))
}

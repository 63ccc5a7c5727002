//! A file of tests: the YAML as types. Meaning is given to it by [`super::case`].

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::alert::notice::NoticeKind;
use crate::catalog::yaml::{Named, Spanned, Written};

/// A length of time since the start of the test, such as `25d`, or an instant (RFC 3339).
pub(super) type Moment = Spanned<String>;

#[derive(Deserialize, JsonSchema, Debug, Default)]
#[serde(deny_unknown_fields, default)]
pub(super) struct File {
    /// The catalogue's folder, relative to this file.
    pub(super) catalog: Option<Spanned<String>>,
    /// The settings file with the routes; without one everything goes to one receiver, `ops`.
    pub(super) settings: Option<Spanned<String>>,
    pub(super) tests: Vec<Spanned<CaseEntry>>,
}

#[derive(Deserialize, JsonSchema, Debug)]
#[serde(deny_unknown_fields)]
pub(super) struct CaseEntry {
    pub(super) name: String,
    /// When the virtual clock starts, RFC 3339.
    pub(super) start: Spanned<String>,
    /// When it stops; the last moment of which something is expected, where it is missing.
    pub(super) until: Option<Moment>,
    /// Time between two evaluations, besides those at which something happens; 1h where it is missing.
    pub(super) evaluate_every: Option<Spanned<String>>,
    /// The rules that are judged; all where it is missing.
    pub(super) rules: Option<Vec<Spanned<String>>>,
    #[serde(default)]
    pub(super) input_series: Vec<SeriesEntry>,
    /// A file of events (NDJSON) for each source, relative to this file; `_arrival` says when a line arrives.
    #[serde(default)]
    #[schemars(with = "BTreeMap<String, String>")]
    pub(super) input_events: Named<Spanned<String>>,
    /// When everything that is only in memory is lost.
    #[serde(default)]
    pub(super) restart_at: Vec<Moment>,
    #[serde(default)]
    pub(super) reload: Vec<ReloadEntry>,
    #[serde(default)]
    pub(super) silence: Vec<SilenceEntry>,
    #[serde(default)]
    pub(super) ack: Vec<AckEntry>,
    #[serde(default)]
    pub(super) inject: Vec<InjectEntry>,
    #[serde(default)]
    pub(super) exp_states: Vec<Spanned<StateEntry>>,
    /// All that anybody is told, and nothing else; not looked at where it is missing.
    pub(super) exp_notices: Option<Vec<Spanned<NoticeEntry>>>,
}

#[derive(Deserialize, JsonSchema, Debug)]
#[serde(deny_unknown_fields)]
pub(super) struct SeriesEntry {
    /// `kpi_completion_ratio{node="leads"}`: a metric of the daemon, and the node it is put in for.
    pub(super) series: Spanned<String>,
    pub(super) interval: Spanned<String>,
    /// promtool's notation: `0+0.04x30`, `1x5`, `_x3`, `stale`, `1 2 3`.
    pub(super) values: Spanned<Written>,
}

#[derive(Deserialize, JsonSchema, Debug)]
#[serde(deny_unknown_fields)]
pub(super) struct ReloadEntry {
    pub(super) at: Moment,
    pub(super) catalog: Option<Spanned<String>>,
    pub(super) settings: Option<Spanned<String>>,
}

#[derive(Deserialize, JsonSchema, Debug)]
#[serde(deny_unknown_fields)]
pub(super) struct SilenceEntry {
    pub(super) matchers: Vec<Spanned<String>>,
    pub(super) from: Moment,
    pub(super) to: Moment,
    /// Who makes it, and is reminded of its end.
    pub(super) created_by: Option<String>,
}

#[derive(Deserialize, JsonSchema, Debug)]
#[serde(deny_unknown_fields)]
pub(super) struct AckEntry {
    pub(super) at: Moment,
    pub(super) alert: Spanned<String>,
    pub(super) node: Option<String>,
    pub(super) by: Option<String>,
    pub(super) lasts: Option<Spanned<String>>,
}

#[derive(Deserialize, JsonSchema, Debug)]
#[serde(deny_unknown_fields)]
pub(super) struct InjectEntry {
    pub(super) receiver: Spanned<String>,
    /// From when on.
    pub(super) at: Moment,
    /// Until when every attempt gets this answer; where it is missing, `times` do.
    pub(super) until: Option<Moment>,
    /// How many attempts get it; one where it is missing.
    pub(super) times: Option<u32>,
    /// A status, such as 429; `lost`: none comes, and people may have seen it.
    pub(super) answer: Spanned<Written>,
    /// Seconds that the receiver asks to wait.
    pub(super) retry_after: Option<u64>,
}

/// Where an alert stands.
#[derive(Deserialize, JsonSchema, Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[serde(rename_all = "lowercase")]
pub(super) enum State {
    Inactive,
    Pending,
    Firing,
    Recovering,
}

#[derive(Deserialize, JsonSchema, Debug)]
#[serde(deny_unknown_fields)]
pub(super) struct StateEntry {
    pub(super) at: Moment,
    /// Name of the rule.
    pub(super) alert: Spanned<String>,
    pub(super) state: State,
    pub(super) severity: Option<Spanned<String>>,
    pub(super) node: Option<String>,
    #[serde(default)]
    pub(super) labels: BTreeMap<String, String>,
}

/// What became of a notice.
#[derive(Deserialize, JsonSchema, Debug, Clone, Copy, PartialEq, Eq, Default)]
#[serde(rename_all = "lowercase")]
pub(super) enum Outcome {
    #[default]
    Delivered,
    Dead,
}

#[derive(Deserialize, JsonSchema, Debug)]
#[serde(deny_unknown_fields)]
pub(super) struct NoticeEntry {
    pub(super) receiver: Spanned<String>,
    #[schemars(with = "String")]
    pub(super) kind: NoticeKind,
    /// The first moment and the last.
    #[schemars(with = "(String, String)")]
    pub(super) between: Spanned<Vec<Moment>>,
    pub(super) alert: Option<String>,
    pub(super) severity: Option<Spanned<String>>,
    #[serde(default)]
    pub(super) outcome: Outcome,
    pub(super) node: Option<String>,
    #[serde(default)]
    pub(super) labels: BTreeMap<String, String>,
}

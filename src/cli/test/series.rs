//! Series as running values: what a test says of a node takes the place of what its events would make of it.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

use super::check::hint;
use super::notation::{self, Point};
use crate::catalog::attribute::DriftKind;
use crate::catalog::yaml::Written;
use crate::catalog::{self, Catalog, NodeId, SourceId};
use crate::evaluate::pace::{self, PaceInput};
use crate::evaluate::{InstanceKey, LinkState, NodeState, Pace, Period, Snapshot, parent_of};

/// A series of a test.
pub(super) struct Series {
    pub(super) target: Target,
    /// What holds from each moment on, ascending.
    pub(super) points: Vec<(Timestamp, Option<f64>)>,
}

/// What a series says.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Target {
    pub(super) key: InstanceKey,
    pub(super) number: Number,
}

/// A number of a node or of its link.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) enum Number {
    Target,
    Value,
    Completion,
    Pace,
    Forecast,
    Probability,
    Strength,
    LagDays,
    ParentGap,
    Drift(DriftKind),
}

/// Names of series, as the daemon's metrics have them after `tautline_`.
const NAMES: [(&str, Number); 9] = [
    ("kpi_target", Number::Target),
    ("kpi_value", Number::Value),
    ("kpi_completion_ratio", Number::Completion),
    ("kpi_pace_ratio", Number::Pace),
    ("kpi_forecast_ratio", Number::Forecast),
    ("kpi_target_probability", Number::Probability),
    ("link_strength_ratio", Number::Strength),
    ("link_lag_days", Number::LagDays),
    ("link_parent_gap_ratio", Number::ParentGap),
];
const DRIFT_SCORE: &str = "drift_score";

/// The moments at which a series changes.
pub(super) fn points(
    text: &Written,
    interval: SignedDuration,
    start: Timestamp,
) -> Result<Vec<(Timestamp, Option<f64>)>, String> {
    let mut points = Vec::new();
    let mut at = start;
    for point in notation::read(text.trimmed())? {
        match point {
            Point::Value(value) => points.push((at, Some(value))),
            Point::Stale => points.push((at, None)),
            Point::Nothing => {}
        }
        at = at
            .checked_add(interval)
            .map_err(|_| "the series goes on beyond the end of time".to_owned())?;
    }
    Ok(points)
}

impl Series {
    /// What holds at a moment; `None`: nothing is said yet.
    fn at(&self, now: Timestamp) -> Option<Option<f64>> {
        let after = self.points.partition_point(|(at, _)| *at <= now);
        Some(self.points[after.checked_sub(1)?].1)
    }
}

impl Target {
    /// Reads `kpi_completion_ratio{node="leads", region="east"}`.
    pub(super) fn read(text: &str, catalog: &Catalog) -> Result<Target, String> {
        let example = "write it as kpi_completion_ratio{node=\"leads\"}";
        let (name, rest) = text
            .split_once('{')
            .ok_or_else(|| format!("'{text}' names no node; {example}"))?;
        let inside = rest
            .trim_end()
            .strip_suffix('}')
            .ok_or_else(|| format!("'{text}' does not end with '}}'; {example}"))?;
        let mut labels = labels(inside).ok_or_else(|| format!("'{inside}' are no labels; {example}"))?;
        let mut take = |name: &str| {
            let at = labels.iter().position(|(label, _)| label == name)?;
            Some(labels.remove(at).1)
        };
        let name = name.trim();
        let name = name.strip_prefix("tautline_").unwrap_or(name);
        let number =
            match NAMES.iter().find(|(known, _)| *known == name) {
                Some((_, number)) => *number,
                None if name == DRIFT_SCORE => {
                    let kind = take("kind").unwrap_or_default();
                    let kinds = DriftKind::ALL.iter().map(|kind| kind.as_str());
                    let found = DriftKind::of(&kind);
                    Number::Drift(found.ok_or_else(|| {
                        format!("kind '{kind}' is no kind of drift; {}", hint(&kind, kinds))
                    })?)
                }
                None => {
                    let known = NAMES.iter().map(|(known, _)| *known).chain([DRIFT_SCORE]);
                    return Err(format!("there is no series '{name}'; {}", hint(name, known)));
                }
            };
        let node = take("node").ok_or_else(|| format!("'{text}' names no node; {example}"))?;
        let names = || catalog.nodes.iter().map(|known| known.name.as_str());
        let position = names()
            .position(|known| known == node)
            .and_then(|position| u32::try_from(position).ok());
        let Some(id) = position.map(NodeId) else {
            return Err(format!(
                "no node '{node}' in the catalogue; {}",
                hint(&node, names())
            ));
        };
        let each = &catalog.node(id).each;
        let dimensions = each
            .iter()
            .map(|name| take(name).map(Arc::from))
            .collect::<Option<Arc<[Arc<str>]>>>();
        let dimensions = dimensions.ok_or_else(|| {
            format!(
                "node '{node}' is one for each {}; add {}=\"…\"",
                each.join(", "),
                each.join("=\"…\", ")
            )
        })?;
        if let Some((label, _)) = labels.first() {
            return Err(format!(
                "node '{node}' has no label '{label}'; it is named by node{}",
                {
                    let more: String = each.iter().map(|name| format!(", {name}")).collect();
                    more
                }
            ));
        }
        Ok(Target {
            key: InstanceKey { node: id, dimensions },
            number,
        })
    }
}

/// `a="b", c="d"`, without escapes.
fn labels(text: &str) -> Option<Vec<(String, String)>> {
    let mut labels = Vec::new();
    let mut rest = text.trim();
    while !rest.is_empty() {
        let (name, after) = rest.split_once('=')?;
        let (value, after) = after.trim_start().strip_prefix('"')?.split_once('"')?;
        labels.push((name.trim().to_owned(), value.to_owned()));
        let after = after.trim_start();
        rest = after.strip_prefix(',').map_or(after, str::trim_start);
        if !after.is_empty() && !after.starts_with(',') {
            return None;
        }
    }
    Some(labels)
}

/// Puts the series of a test into a snapshot. Nodes that read only sources without events have no other numbers: what
/// a test does not speak of is not there, and not 0.
pub(super) fn put_in(
    catalog: &Catalog,
    series: &[Series],
    fed: &[SourceId],
    snapshot: &mut Snapshot,
    now: Timestamp,
) {
    for state in snapshot.instances.iter_mut() {
        if !reads_any(catalog, state.key.node, fed) {
            clear(state);
        }
    }
    for one in series {
        let Some(value) = one.at(now) else { continue };
        let state = instance(catalog, snapshot, &one.target.key, now);
        put(state, one.target.number, value);
    }
    for state in snapshot.instances.iter_mut() {
        let of_it = |number: Number| {
            series.iter().any(|one| {
                one.target.key == state.key && one.target.number == number && one.at(now).is_some()
            })
        };
        if [Number::Value, Number::Completion, Number::Target]
            .into_iter()
            .any(of_it)
        {
            follow(catalog, state, of_it(Number::Completion), of_it(Number::Pace));
        }
    }
}

fn reads_any(catalog: &Catalog, node: NodeId, fed: &[SourceId]) -> bool {
    let metric = catalog.node(node).metric;
    fed.iter().any(|source| catalog.is_made_from(metric, *source))
}

/// Takes away what no event has said.
fn clear(state: &mut NodeState) {
    state.value = None;
    state.completion = None;
    state.pace = Pace::None;
    state.forecast = None;
    state.target_probability = None;
    state.outlook = None;
    state.unreconciled = None;
    state.link = None;
    state.feed = None;
    state.entry_due = None;
}

/// The instance that a series speaks of, made where no event has made it.
fn instance<'s>(
    catalog: &Catalog,
    snapshot: &'s mut Snapshot,
    key: &InstanceKey,
    now: Timestamp,
) -> &'s mut NodeState {
    let known = snapshot.instances.position(key);
    let at = known.unwrap_or_else(|| {
        let node = catalog.node(key.node);
        let calendar = &catalog.calendar;
        let period = Period::containing(node.period, calendar.day_of(now), calendar);
        snapshot.instances.insert(NodeState {
            target: match node.target {
                catalog::Target::Number(target) => Some(target),
                catalog::Target::Band(band) => Some(band.middle()),
                _ => None,
            },
            band: match node.target {
                catalog::Target::Band(band) => Some(Box::new(band)),
                _ => None,
            },
            expected_share: pace::expected_share(node.profile, &period, now, calendar),
            elapsed: pace::elapsed(&period, now, calendar),
            ..NodeState::unknown(key.clone(), parent_of(catalog, key), period)
        })
    });
    &mut snapshot.instances[at]
}

fn put(state: &mut NodeState, number: Number, value: Option<f64>) {
    let link = |state: &mut NodeState, set: &dyn Fn(&mut LinkState)| {
        let mut link = state.link.as_deref().cloned().unwrap_or_default();
        set(&mut link);
        state.link = Some(Arc::new(link));
    };
    match number {
        Number::Target => {
            state.target = value;
            state.band = None;
        }
        Number::Value => state.value = value,
        Number::Completion => state.completion = value,
        Number::Pace => state.pace = value.map_or(Pace::None, Pace::Ratio),
        Number::Forecast => {
            // The series is a share of the target, the number is not.
            state.forecast = value.zip(state.target).map(|(ratio, target)| ratio * target);
        }
        Number::Probability => state.target_probability = value,
        Number::Strength => link(state, &|link| link.strength = value),
        Number::LagDays => link(state, &|link| link.lag_days = value),
        Number::ParentGap => link(state, &|link| link.parent_gap = value),
        Number::Drift(kind) => link(state, &|link| link.scores[kind as usize] = value.unwrap_or(0.0)),
    }
}

/// Brings up to date what follows from a value, a target or a completion, by the arithmetic of every node.
fn follow(catalog: &Catalog, state: &mut NodeState, has_completion: bool, has_pace: bool) {
    let node = catalog.node(state.key.node);
    if !has_completion {
        state.completion = match state.band() {
            Some(band) => state.value.map(|value| band.completion(value)),
            None => state
                .value
                .zip(state.target)
                .and_then(|(value, target)| pace::completion(value, target, node.baseline, node.direction)),
        };
    }
    if has_pace {
        return;
    }
    state.pace = state.completion.map_or(Pace::None, |completion| {
        pace::pace(PaceInput {
            value: state.value.unwrap_or(completion),
            target: state.target.unwrap_or(1.0),
            // A value that was not put in stands nowhere.
            band: state.band().filter(|_| state.value.is_some()),
            completion,
            expected_share: state.expected_share,
            min_share: node.min_share,
            is_few: false,
            direction: node.direction,
            has_baseline: node.baseline.is_some(),
            accumulates: catalog.accumulates(node.metric),
        })
    });
}

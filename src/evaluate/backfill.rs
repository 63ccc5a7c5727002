//! Backfill: definitions whose past is read again, and what of it they have seen then.
//!
//! While it goes on a definition counts from now on as any new one does. What is read again is folded beside that, record
//! for record up to the place where the running fold stands when both meet, and takes the place of everything that was
//! counted under the definition until then.

use std::collections::{BTreeMap, BTreeSet};

use jiff::SignedDuration;

use super::definition::Definition;
use crate::catalog::{Catalog, MetricId, MetricKind};
use crate::fold::plan::{ColumnRef, Plan};

/// A re-reading as the state knows it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Backfill {
    /// The definition: [`Column::name`](crate::fold::plan::Column::name).
    pub name: String,
    /// How far back was asked for, in milliseconds.
    pub length_ms: i64,
    /// From here on records are read again, by their own time in milliseconds since the epoch.
    pub from_ms: i64,
    /// What came of it; `None` while it goes on.
    pub done: Option<Done>,
}

/// What came of a re-reading.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Done {
    /// When it was over, in milliseconds since the epoch.
    pub at_ms: i64,
    /// From here on everything is counted, in milliseconds since the epoch; `None`: everything that there has ever been.
    pub since_ms: Option<i64>,
    /// Whether Kafka did not reach back as far as was asked for.
    pub is_short: bool,
}

/// A definition whose past is wanted.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Wanted {
    /// How far back.
    pub length: SignedDuration,
    /// The metrics of nodes that it is part of, by name.
    pub metrics: BTreeSet<String>,
}

/// The definitions whose past is wanted, by name. What a metric is made of is wanted as far back as the metric.
pub fn wanted(catalog: &Catalog, plan: &Plan) -> BTreeMap<String, Wanted> {
    let mut wanted: BTreeMap<String, Wanted> = BTreeMap::new();
    for node in &catalog.nodes {
        let mut open = vec![(node.metric, SignedDuration::ZERO)];
        while let Some((metric, from_above)) = open.pop() {
            let declared = catalog.metric(metric);
            let length = declared.backfill.unwrap_or_default().max(from_above);
            open.extend(inputs(&declared.kind).into_iter().map(|input| (input, length)));
            if length.is_zero() {
                continue;
            }
            let column = plan.column(metric, &node.each);
            let columns = [
                column,
                column.and_then(|column| plan.fed_by(column)),
                plan.new_column(metric, &node.each),
            ];
            for at in columns.into_iter().flatten() {
                let wanted = wanted.entry(name_of(plan, at).to_owned()).or_default();
                wanted.length = wanted.length.max(length);
            }
        }
    }
    for node in &catalog.nodes {
        let formula = super::value::Formula::of(catalog, plan, node.metric, &node.each);
        for at in formula.iter().flat_map(|formula| formula.columns()) {
            if let Some(wanted) = wanted.get_mut(name_of(plan, at)) {
                wanted.metrics.insert(catalog.metric(node.metric).name.clone());
            }
        }
    }
    wanted
}

fn inputs(kind: &MetricKind) -> Vec<MetricId> {
    match kind {
        MetricKind::Ratio {
            numerator,
            denominator,
        } => vec![*numerator, *denominator],
        MetricKind::Derived { inputs, .. } => inputs.clone(),
        MetricKind::Simple(_) | MetricKind::Duration(_) | MetricKind::Conversion(_) => Vec::new(),
    }
}

fn name_of(plan: &Plan, at: ColumnRef) -> &str {
    &plan.groups[at.group].columns[at.column].name
}

/// What has to change in the state.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Changes {
    /// Re-readings that begin.
    pub begun: Vec<Backfill>,
    /// Names of those that are over for good: their definition went, changed, or is no longer wanted back.
    pub dropped: Vec<String>,
}

/// What has to be read again, of the definitions as they are `now_ms` (milliseconds since the epoch). `changed` are the
/// names of those that came, came back or went just now.
pub fn changes(
    known: &[Backfill],
    definitions: &[Definition],
    changed: &BTreeSet<&str>,
    wanted: &BTreeMap<String, Wanted>,
    now_ms: i64,
) -> Changes {
    let mut changes = Changes::default();
    let by_name: BTreeMap<&str, &Definition> = definitions
        .iter()
        .filter(|definition| definition.in_use)
        .map(|definition| (definition.name.as_str(), definition))
        .collect();
    let is_over = |backfill: &Backfill| {
        let name = backfill.name.as_str();
        let is_cancelled = backfill.done.is_none() && !wanted.contains_key(name);
        !by_name.contains_key(name) || changed.contains(name) || is_cancelled
    };
    let (over, kept): (Vec<&Backfill>, Vec<&Backfill>) = known.iter().partition(|known| is_over(known));
    let kept: BTreeMap<&str, &Backfill> = kept.into_iter().map(|kept| (kept.name.as_str(), kept)).collect();
    for (name, wanted) in wanted {
        let Some(since_ms) = by_name.get(name.as_str()).and_then(|of| of.since_ms) else {
            continue;
        };
        let length_ms = i64::try_from(wanted.length.as_millis()).unwrap_or(i64::MAX);
        let from_ms = now_ms.saturating_sub(length_ms);
        let is_asked = kept
            .get(name.as_str())
            .is_some_and(|kept| kept.length_ms >= length_ms);
        if from_ms < since_ms && !is_asked {
            changes.begun.push(Backfill {
                name: name.clone(),
                length_ms,
                from_ms,
                done: None,
            });
        }
    }
    let begun = |name: &str| changes.begun.iter().any(|begun| begun.name == name);
    let dropped = over.into_iter().map(|over| over.name.clone());
    let dropped = dropped.filter(|name| !begun(name)).collect();
    changes.dropped = dropped;
    changes
}

/// Those that go on, and begin at the same time as the earliest of them: they are read in one pass.
pub fn next(known: &[Backfill]) -> Vec<&Backfill> {
    let running = || known.iter().filter(|known| known.done.is_none());
    let from_ms = running().map(|known| known.from_ms).min();
    running().filter(|known| Some(known.from_ms) == from_ms).collect()
}

/// How far back the records of a partition go that are read again.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reach {
    /// Everything that was ever in it.
    Everything,
    /// To where was asked for.
    Asked,
    /// Only to this moment, in milliseconds since the epoch: earlier ones are not in Kafka any more.
    Short(i64),
}

/// What a definition has seen that was read again from `from_ms` on, by the partitions that it comes of.
pub fn done(reaches: impl IntoIterator<Item = Reach>, from_ms: i64, at_ms: i64) -> Done {
    let mut done = Done {
        at_ms,
        since_ms: None,
        is_short: false,
    };
    for reach in reaches {
        let since_ms = match reach {
            Reach::Everything => continue,
            Reach::Asked => from_ms,
            Reach::Short(since_ms) => since_ms.max(from_ms),
        };
        done.is_short |= since_ms > from_ms;
        done.since_ms = done.since_ms.max(Some(since_ms));
    }
    done
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::load::{Files, load};

    const DAY_MS: i64 = 86_400_000;

    fn definition(name: &str, since_ms: Option<i64>, in_use: bool) -> Definition {
        Definition {
            name: name.to_owned(),
            since_ms,
            in_use,
            declared_ms: None,
        }
    }

    fn ninety_days(name: &str) -> BTreeMap<String, Wanted> {
        let wanted = Wanted {
            length: SignedDuration::from_hours(90 * 24),
            metrics: BTreeSet::new(),
        };
        BTreeMap::from([(name.to_owned(), wanted)])
    }

    fn running(from_ms: i64) -> Backfill {
        Backfill {
            name: "a".to_owned(),
            length_ms: 90 * DAY_MS,
            from_ms,
            done: None,
        }
    }

    #[test]
    fn what_a_metric_is_made_of_is_read_again_with_it_and_nothing_else() {
        let catalog = load(&Files::new("", [("a.yaml", r#"
sources:
  s: {topics: [s], format: json, time: t, fields: {a: a, who: who, kind: kind}}
  u: {topics: [u], format: json, time: t, fields: {who: who}}
metrics:
  sum: {source: s, agg: sum, expr: a}
  all: {source: s, agg: count}
  share: {numerator: sum, denominator: all, backfill: P90D}
  again: {source: s, agg: count_returning, expr: who, backfill: 30d}
  starts: {source: s, agg: count, filter: kind == "x"}
  goals: {source: u, agg: count}
  funnel: {type: conversion, entity: who, base_metric: starts, conversion_metric: goals, window: 7d, backfill: P1W}
  plain: {source: s, agg: max, expr: a}
nodes:
  share: {metric: share, role: business, period: month}
  sum: {metric: sum, role: business, period: month}
  again: {metric: again, role: business, period: month}
  funnel: {metric: funnel, role: business, period: month}
  plain: {metric: plain, role: business, period: month}
"#)])).map_err(|d| d.to_string()).unwrap();
        let plan = Plan::compile(&catalog);
        let found: Vec<(String, i64, String)> = wanted(&catalog, &plan)
            .into_iter()
            .map(|(name, of)| {
                (
                    name,
                    of.length.as_hours() / 24,
                    Vec::from_iter(of.metrics).join(" "),
                )
            })
            .collect();
        let found: Vec<(&str, i64, &str)> = found.iter().map(|(a, b, c)| (&a[..], *b, &c[..])).collect();
        insta::assert_debug_snapshot!(found);
    }

    #[test]
    fn a_definition_that_has_not_seen_enough_is_read_again_once() {
        let now = 200 * DAY_MS;
        let none = BTreeSet::new();
        let at = |since_ms| vec![definition("a", since_ms, true)];
        let asked = |known: &[Backfill], since_ms| {
            let changes = changes(known, &at(since_ms), &none, &ninety_days("a"), now);
            (changes.begun, changes.dropped)
        };
        // Everything was seen, or more than is asked for.
        assert_eq!(asked(&[], None), (vec![], vec![]));
        assert_eq!(asked(&[], Some(50 * DAY_MS)), (vec![], vec![]));
        assert_eq!(asked(&[], Some(now)), (vec![running(110 * DAY_MS)], vec![]));
        // It goes on from where it was asked for, and is not asked for again when it is over.
        assert_eq!(asked(&[running(108 * DAY_MS)], Some(now)), (vec![], vec![]));
        let over = Backfill {
            done: Some(Done {
                at_ms: now,
                since_ms: Some(150 * DAY_MS),
                is_short: true,
            }),
            ..running(108 * DAY_MS)
        };
        assert_eq!(
            asked(std::slice::from_ref(&over), Some(150 * DAY_MS)),
            (vec![], vec![])
        );
        // Unless more is asked for.
        let shorter = Backfill {
            length_ms: 30 * DAY_MS,
            ..over
        };
        assert_eq!(
            asked(&[shorter], Some(170 * DAY_MS)),
            (vec![running(110 * DAY_MS)], vec![])
        );
    }

    #[test]
    fn it_ends_with_its_definition_and_begins_anew_with_one_that_comes_back() {
        let now = 200 * DAY_MS;
        let known = [running(100 * DAY_MS)];
        let none = BTreeSet::new();
        let gone = [definition("a", Some(now), false)];
        let dropped = |changes: Changes| (changes.begun.len(), changes.dropped);
        let wanted = ninety_days("a");
        let a = || vec!["a".to_owned()];
        assert_eq!(
            dropped(changes(&known, &gone, &none, &BTreeMap::new(), now)),
            (0, a())
        );
        let there = [definition("a", Some(now), true)];
        assert_eq!(
            dropped(changes(&known, &there, &none, &BTreeMap::new(), now)),
            (0, a())
        );
        let changed = BTreeSet::from(["a"]);
        let again = changes(&known, &there, &changed, &wanted, now);
        assert_eq!(again.begun, [running(110 * DAY_MS)]);
        assert_eq!(again.dropped, [""; 0]);
    }

    #[test]
    fn those_that_begin_together_are_read_together() {
        let later = Backfill {
            name: "b".to_owned(),
            ..running(20)
        };
        let same = Backfill {
            name: "c".to_owned(),
            ..running(10)
        };
        let known = [later, running(10), same];
        let names = |known: &[Backfill]| next(known).iter().map(|of| of.name.clone()).collect::<Vec<_>>();
        assert_eq!(names(&known), ["a", "c"]);
        assert_eq!(names(&known[..1]), ["b"]);
        assert_eq!(names(&[]), [""; 0]);
    }

    #[test]
    fn a_definition_has_seen_what_the_shortest_partition_has() {
        let seen = |reaches: &[Reach]| {
            let done = done(reaches.iter().copied(), 100, 500);
            (done.since_ms, done.is_short)
        };
        assert_eq!(seen(&[Reach::Everything, Reach::Everything]), (None, false));
        assert_eq!(seen(&[Reach::Everything, Reach::Asked]), (Some(100), false));
        assert_eq!(
            seen(&[Reach::Asked, Reach::Short(130), Reach::Short(120)]),
            (Some(130), true)
        );
        assert_eq!(seen(&[Reach::Short(90)]), (Some(100), false));
    }
}

//! Since when a metric is counted under its present definition. What was read before a definition came is not in its
//! numbers: a period that it did not see from its beginning is not judged, and nothing before is compared with.

use hashbrown::HashMap;
use jiff::Timestamp;

use super::value::Formula;
use crate::catalog::SourceId;
use crate::fold::plan::{ColumnRef, Plan};

/// A definition that the state knows: of a column, or of a metric that is reckoned of others.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Definition {
    /// [`Column::name`](crate::fold::plan::Column::name), or [`name_of_formula`].
    pub name: String,
    /// Event time up to which its source had been read when it came, in milliseconds since the epoch; `None`: it has
    /// seen everything.
    pub since_ms: Option<i64>,
    /// Whether the catalogue has it. What was out of it for a while has missed what came meanwhile.
    pub in_use: bool,
    /// When it came into the catalogue, by the clock, in milliseconds since the epoch; `None` in states of before that
    /// was kept.
    pub declared_ms: Option<i64>,
}

/// What changes with a catalogue: definitions that are new, came back, or went.
///
/// `read_up_to` is the newest event time that was read of a source, in milliseconds since the epoch; `None` before its
/// first record. `now_ms` is the clock, in milliseconds since the epoch.
pub fn changes(
    known: &[Definition],
    plan: &Plan,
    now_ms: i64,
    read_up_to: impl Fn(SourceId) -> Option<i64>,
) -> Vec<Definition> {
    let by_name: HashMap<&str, &Definition> =
        known.iter().map(|known| (known.name.as_str(), known)).collect();
    let columns = plan
        .groups
        .iter()
        .flat_map(|group| group.columns.iter().map(|column| (group.source, column)));
    let mut wanted: HashMap<&str, SourceId> = HashMap::new();
    for (source, column) in columns {
        wanted.insert(&column.name, source);
    }
    let mut changed = formulas(known, &by_name, plan, now_ms, &read_up_to);
    let is_formula: Vec<String> = plan.formulas.iter().map(name_of_formula).collect();
    for (&name, &source) in &wanted {
        let before = by_name.get(name);
        if before.is_some_and(|before| before.in_use) {
            continue;
        }
        let missed = before.and_then(|before| before.since_ms);
        changed.push(Definition {
            name: name.to_owned(),
            since_ms: read_up_to(source).max(missed),
            in_use: true,
            declared_ms: before.map_or(Some(now_ms), |before| before.declared_ms),
        });
    }
    let gone = known
        .iter()
        .filter(|known| known.in_use && !wanted.contains_key(known.name.as_str()))
        .filter(|known| !is_formula.contains(&known.name));
    changed.extend(gone.map(|gone| Definition {
        in_use: false,
        ..gone.clone()
    }));
    changed.sort_by(|a, b| a.name.cmp(&b.name));
    changed
}

/// The name of the definition of a metric that is reckoned of others.
pub fn name_of_formula((metric, formula): (&String, &String)) -> String {
    format!("{}{formula}", formulas_of(metric))
}

/// With what the names of the definitions begin that a formula has had.
fn formulas_of(metric: &str) -> String {
    format!("formula of {metric}: ")
}

/// What changes with metrics that are reckoned of others. Its past is reckoned anew of the same parts, so a metric that is
/// new has seen everything; one that was reckoned otherwise before is not compared with what it was.
fn formulas(
    known: &[Definition],
    by_name: &HashMap<&str, &Definition>,
    plan: &Plan,
    now_ms: i64,
    read_up_to: impl Fn(SourceId) -> Option<i64>,
) -> Vec<Definition> {
    let sources = plan.groups.iter().map(|group| group.source);
    let read = sources.filter_map(read_up_to).max();
    let mut changed = Vec::new();
    for formula in &plan.formulas {
        let name = name_of_formula(formula);
        if by_name.get(name.as_str()).is_some_and(|before| before.in_use) {
            continue;
        }
        let prefix = formulas_of(formula.0);
        let was_other = known.iter().any(|known| known.name.starts_with(&prefix));
        changed.push(Definition {
            name,
            since_ms: read.filter(|_| was_other),
            in_use: true,
            declared_ms: Some(now_ms),
        });
    }
    changed
}

/// Since when each column is counted, by name; those that have seen everything are not in it.
#[derive(Clone, Default, Debug)]
pub struct CountedSince {
    since: HashMap<String, Timestamp>,
    declared: HashMap<String, Timestamp>,
}

impl CountedSince {
    /// Of the definitions that the state knows.
    pub fn of(known: &[Definition]) -> CountedSince {
        let moment = |known: &Definition, ms: Option<i64>| {
            let moment = Timestamp::from_millisecond(ms?).ok()?;
            Some((known.name.clone(), moment))
        };
        let since = known.iter().filter_map(|known| moment(known, known.since_ms));
        let declared = known.iter().filter_map(|known| moment(known, known.declared_ms));
        CountedSince {
            since: since.collect(),
            declared: declared.collect(),
        }
    }

    /// When the last part of a formula came into the catalogue; `None` where that is not known.
    pub(super) fn declared(&self, plan: &Plan, formula: &Formula) -> Option<Timestamp> {
        latest(&self.declared, plan, formula)
    }

    /// Since when a metric is reckoned as it is; `None` for one that was never reckoned otherwise.
    pub(super) fn of_metric(&self, plan: &Plan, metric: &str) -> Option<Timestamp> {
        let (name, formula) = plan.formulas.get_key_value(metric)?;
        self.since.get(&name_of_formula((name, formula))).copied()
    }

    /// Since when every part of a formula is counted; `None` from the beginning.
    pub(super) fn of_formula(&self, plan: &Plan, formula: &Formula) -> Option<Timestamp> {
        latest(&self.since, plan, formula)
    }
}

fn latest(moments: &HashMap<String, Timestamp>, plan: &Plan, formula: &Formula) -> Option<Timestamp> {
    let name = |column: ColumnRef| &plan.groups[column.group].columns[column.column].name;
    let columns = formula.columns().into_iter();
    columns
        .filter_map(|column| moments.get(name(column)))
        .max()
        .copied()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::load::{Files, load};

    fn plan(filter: &str) -> Plan {
        let yaml = format!(
            "sources: {{s: {{topics: [t], format: json, time: t, fields: {{a: a, f: f}}}}}}\nmetrics:\n  m: {{source: s, agg: sum, expr: a, filter: f == \"{filter}\"}}\n  n: {{source: s, agg: count}}\nnodes:\n  m: {{metric: m, role: business, period: month}}\n  n: {{metric: n, role: business, period: month}}\n"
        );
        Plan::compile(
            &load(&Files::new("", [("a.yaml", yaml.as_str())]))
                .map_err(|d| d.to_string())
                .unwrap(),
        )
    }

    /// The state's definitions after a change.
    fn after(known: &[Definition], changed: Vec<Definition>) -> Vec<Definition> {
        let mut all = known.to_vec();
        all.retain(|known| changed.iter().all(|changed| changed.name != known.name));
        all.extend(changed);
        all
    }

    #[test]
    fn a_definition_misses_what_was_read_before_it_came_and_while_it_was_gone() {
        let (old, new) = (plan("x"), plan("y"));
        let since = |known: &[Definition], name: &str| {
            let found = known.iter().find(|known| known.name.contains(name)).unwrap();
            (found.since_ms, found.in_use)
        };
        // Nothing was read yet: everything will be seen.
        let first = after(&[], changes(&[], &old, 7, |_| None));
        assert_eq!((first.len(), since(&first, "\"x\"")), (2, (None, true)));
        assert_eq!(changes(&first, &old, 7, |_| Some(50)), []);

        // Another filter is another definition; the count beside it stays as it was.
        let second = after(&first, changes(&first, &new, 7, |_| Some(100)));
        assert_eq!(since(&second, "\"x\""), (None, false));
        assert_eq!(since(&second, "\"y\""), (Some(100), true));
        assert_eq!(since(&second, "count"), (None, true));
        assert_eq!(changes(&second, &new, 7, |_| Some(150)), []);

        // Back again: what came meanwhile is missing.
        let third = after(&second, changes(&second, &old, 7, |_| Some(200)));
        assert_eq!(since(&third, "\"x\""), (Some(200), true));
        assert_eq!(since(&third, "\"y\""), (Some(100), false));
    }

    fn reckoned(calendar: &str, source: &str, metric: &str) -> Plan {
        let yaml = format!(
            "calendar: {{timezone: {calendar}}}\nsources: {{s: {{topics: [t], {source}, fields: {{a: a}}}}}}\nmetrics:\n  a: {{source: s, agg: sum, expr: a}}\n  b: {{source: s, agg: count}}\n  inner: {{type: ratio, numerator: a, denominator: b}}\n  m: {{{metric}}}\nnodes:\n  m: {{metric: m, role: business, period: month}}\n"
        );
        let catalog = load(&Files::new("", [("a.yaml", yaml.as_str())])).map_err(|d| d.to_string());
        Plan::compile(&catalog.unwrap())
    }

    /// What decides on which day an event counts is part of the definition; how its bytes come is not.
    #[test]
    fn another_zone_or_event_time_is_another_definition() {
        let metric = "type: derived, expr: a - b";
        let read = |plan: &Plan| {
            let known = after(
                &[],
                changes(&[], &reckoned("UTC", "format: json, time: t", metric), 7, |_| {
                    None
                }),
            );
            let changed = changes(&known, plan, 8, |_| Some(100));
            changed
                .iter()
                .filter(|changed| changed.in_use && changed.since_ms == Some(100))
                .count()
        };
        assert_eq!(read(&reckoned("UTC", "format: json, time: t", metric)), 0);
        assert_eq!(read(&reckoned("UTC", "format: cloudevents, time: t", metric)), 0);
        assert_eq!(
            read(&reckoned("UTC", "format: json, payload: lines, time: t", metric)),
            0
        );
        for plan in [
            reckoned("Asia/Shanghai", "format: json, time: t", metric),
            reckoned("UTC", "format: json, time: u", metric),
            reckoned("UTC", "format: json", metric),
            reckoned("UTC", "format: json, time: t, timezone: Asia/Shanghai", metric),
            reckoned("UTC", "format: debezium, time: t", metric),
        ] {
            assert_eq!(read(&plan), 2, "{:?}", plan.groups[0].columns[0].name);
        }
    }

    /// Another formula over the same parts is noticed, also of a part that is a formula itself. A new metric is no change.
    #[test]
    fn another_formula_is_another_definition() {
        let first = reckoned("UTC", "format: json", "type: derived, expr: a - b");
        let known = after(&[], changes(&[], &first, 7, |_| Some(50)));
        let since = |known: &[Definition], plan: &Plan| CountedSince::of(known).of_metric(plan, "m");
        assert_eq!(since(&known, &first), None);
        assert_eq!(changes(&known, &first, 8, |_| Some(60)), []);

        let second = reckoned("UTC", "format: json", "type: derived, expr: a + b");
        let changed = changes(&known, &second, 8, |_| Some(100));
        assert!(
            changed
                .iter()
                .all(|changed| changed.name.starts_with("formula of m: ")),
            "{changed:?}"
        );
        let known = after(&known, changed);
        assert_eq!(since(&known, &second), Timestamp::from_millisecond(100).ok());
        assert_eq!(changes(&known, &second, 9, |_| Some(150)), []);

        let nested = reckoned("UTC", "format: json", "type: derived, expr: a + inner");
        let known = after(&known, changes(&known, &nested, 9, |_| Some(200)));
        assert_eq!(since(&known, &nested), Timestamp::from_millisecond(200).ok());
        assert!(
            nested.formulas["m"].contains("inner = a / b"),
            "{:?}",
            nested.formulas
        );
    }
}

//! How far back days are kept: as many as the operator asks for, and in any case those that a node still looks at.

use jiff::{Timestamp, ToSpan};

use super::plan::LOOKS_BACK;
use super::snapshot::Period;
use crate::catalog::{Catalog, GrowthBase, Node, Profile, Target};
use crate::fold::day::Day;

/// The first day that is kept at a moment, `keep_days` back: earlier where the catalogue needs it.
pub fn kept_from(catalog: &Catalog, at: Timestamp, keep_days: i32) -> Day {
    let today = Day::of(catalog.calendar.day_of(at));
    let asked = Day(today.0.saturating_sub(keep_days));
    let needed = catalog.nodes.iter().map(|node| needed_from(catalog, node, today));
    needed.fold(asked, Day::min)
}

/// The first day that a node looks at: the period before the running one is still judged, and both may be compared with
/// a year before, or with a year that the target names.
fn needed_from(catalog: &Catalog, node: &Node, today: Day) -> Day {
    let calendar = catalog.calendar_of(node);
    let running = Period::containing(node.period, today.date(), calendar);
    let before = Period::containing(node.period, running.start.saturating_sub(1.day()), calendar);
    let plan = match node.profile {
        Profile::Default | Profile::LastYear => before.start.saturating_sub(LOOKS_BACK.0.days()),
        Profile::Linear | Profile::Workdays | Profile::Flat | Profile::File => before.start,
    };
    let base = match &node.target {
        Target::Growth {
            over: GrowthBase::LastYear,
            ..
        } => before.shifted(-1, calendar).start,
        Target::Growth {
            over: GrowthBase::Year(year),
            ..
        } => {
            let years = i32::from(*year) - i32::from(before.fiscal_year(calendar));
            before.shifted(years, calendar).start
        }
        _ => before.start,
    };
    Day::of(plan.min(base))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::load::{Files, load};

    #[test]
    fn keeps_what_is_asked_for_and_what_a_node_needs() {
        let at = "2026-05-20T12:00:00Z".parse().unwrap();
        let first = |node: &str| {
            let yaml = format!(
                "sources:\n  s: {{topics: [t], format: json, fields: {{v: v}}}}\nmetrics:\n  m: {{source: s, agg: sum, expr: v}}\nnodes:\n  n: {{metric: m, role: business, {node}}}\n"
            );
            let catalog = load(&Files::new("", [("a.yaml", yaml.as_str())]));
            let catalog = catalog.map_err(|d| d.to_string()).unwrap();
            kept_from(&catalog, at, 100).date().to_string()
        };
        // 100 days before 20 May.
        assert_eq!(first("period: month, profile: linear, target: 1"), "2026-02-09");
        // April, and its plan by the year before: 364 + 45 days before 1 April.
        assert_eq!(first("period: month, target: 1"), "2025-02-16");
        assert_eq!(first("period: year, profile: linear, target: 1"), "2025-01-01");
        let growth = "period: month, profile: linear, target: {growth: 10%, over: 2023}";
        assert_eq!(first(growth), "2023-04-01");
        let growth = "period: quarter, profile: linear, target: {growth: 10%, over: last_year}";
        assert_eq!(first(growth), "2025-01-01");
    }
}

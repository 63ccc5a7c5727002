//! Findings about metrics: units, use, and one thing measured in two ways.

use super::{Findings, S01, S09, S11, S16};
use crate::catalog::{Agg, Catalog, Metric, MetricId, MetricKind, Simple};

pub(super) fn lint(catalog: &Catalog, findings: &mut Findings) {
    units(catalog, findings);
    mixed_units(catalog, findings);
    unused(catalog, findings);
    two_ways(catalog, findings);
}

/// A sum of what? Counts name their unit by what they count.
fn units(catalog: &Catalog, findings: &mut Findings) {
    for (_, metric) in catalog
        .named_metrics()
        .filter(|(_, metric)| metric.unit.is_none())
    {
        let name = &metric.name;
        match &metric.kind {
            MetricKind::Simple(simple)
                if matches!(simple.agg, Agg::Sum | Agg::Avg | Agg::Min | Agg::Max | Agg::Last) =>
            {
                let message =
                    format!("metric '{name}' has no unit: a number of what? add unit: CNY, days, items, …");
                findings.warning(S01, name, &metric.place, message);
            }
            MetricKind::Ratio {
                numerator,
                denominator,
            } => {
                let unit = |id: &MetricId| catalog.metric(*id).unit.as_deref();
                if let (Some(above), below) = (unit(numerator), unit(denominator))
                    && below != Some(above)
                {
                    let message = format!(
                        "metric '{name}' divides {above} and has no unit of its own; add unit: {above}, or what one of it is"
                    );
                    findings.note(S01, name, &metric.place, message);
                }
            }
            MetricKind::Derived { inputs, .. } => {
                if let Some(unit) = inputs
                    .iter()
                    .find_map(|input| catalog.metric(*input).unit.as_deref())
                {
                    let message = format!(
                        "metric '{name}' is made of {unit} and has no unit of its own; add unit: {unit}, or what one of it is"
                    );
                    findings.note(S01, name, &metric.place, message);
                }
            }
            _ => {}
        }
    }
}

/// Yuan and dollars have no sum.
fn mixed_units(catalog: &Catalog, findings: &mut Findings) {
    for (_, metric) in catalog.named_metrics() {
        let MetricKind::Derived { expr, .. } = &metric.kind else {
            continue;
        };
        // The expression knows metrics by their place in the catalogue.
        let input = |index: usize| &catalog.metrics[index];
        let unit = |index: usize| input(index).unit.as_deref();
        if let Some(&(one, two)) = expr.mixed_units(unit).first() {
            let (name, [one, two]) = (&metric.name, [input(one), input(two)]);
            let [of_one, of_two] = [one, two].map(|metric| metric.unit.as_deref().unwrap_or_default());
            let message = format!(
                "metric '{name}' adds or subtracts '{}' in {of_one} and '{}' in {of_two}; convert one of them, such as {} * 7.1, \
                 or correct its unit",
                one.name, two.name, two.name
            );
            findings.warning(S16, name, &metric.place, message);
        }
    }
}

/// A definition that no node and no used metric draws on.
fn unused(catalog: &Catalog, findings: &mut Findings) {
    let mut used = vec![false; catalog.metrics.len()];
    let mut open: Vec<MetricId> = catalog.nodes.iter().map(|node| node.metric).collect();
    while let Some(id) = open.pop() {
        if std::mem::replace(&mut used[id.0 as usize], true) {
            continue;
        }
        match &catalog.metric(id).kind {
            MetricKind::Ratio {
                numerator,
                denominator,
            } => open.extend([*numerator, *denominator]),
            MetricKind::Derived { inputs, .. } => open.extend(inputs),
            MetricKind::Conversion(conversion) => {
                open.extend([conversion.base.metric, conversion.goal.metric]);
            }
            _ => {}
        }
    }
    for (_, metric) in catalog.named_metrics().filter(|(id, _)| !used[id.0 as usize]) {
        let name = &metric.name;
        let message = format!(
            "metric '{name}' is never used; put it to work in a node with metric: {name}, or remove it"
        );
        findings.note(S09, name, &metric.place, message);
    }
}

/// Two metrics over one field of one source that count different events: side by side, so that people choose.
fn two_ways(catalog: &Catalog, findings: &mut Findings) {
    let named: Vec<&Metric> = catalog.named_metrics().map(|(_, metric)| metric).collect();
    for (index, second) in named.iter().enumerate() {
        let clash = named[..index]
            .iter()
            .find_map(|first| clash(catalog, first, second));
        if let Some(message) = clash {
            findings.warning(S11, &second.name, &second.place, message);
        }
    }
}

fn clash(catalog: &Catalog, first: &Metric, second: &Metric) -> Option<String> {
    let (MetricKind::Simple(one), MetricKind::Simple(two)) = (&first.kind, &second.kind) else {
        return None;
    };
    let same_field = one.source == two.source && one.agg == two.agg && one.field == two.field;
    if same_field && filter_of(one) == filter_of(two) {
        return Some(format!(
            "metrics '{}' and '{}' are the same definition; keep one of them (the other is at {})",
            first.name, second.name, first.place
        ));
    }
    // Counts of different events are different things; so are sums over events that exclude each other.
    let overlap = same_field && one.field.is_some() && !exclude_each_other(filter_of(one), filter_of(two));
    (overlap || first.title == second.title).then(|| {
        format!(
            "'{}' takes {} and '{}' takes {} (at {}): one thing in two definitions (口径不统一); \
             let one be the standard, or give both titles that say the difference",
            second.name,
            taken(catalog, two),
            first.name,
            taken(catalog, one),
            first.place
        )
    })
}

fn filter_of(simple: &Simple) -> &str {
    simple.filter.as_ref().map_or("", |filter| filter.source().trim())
}

fn taken(catalog: &Catalog, simple: &Simple) -> String {
    let source = &catalog.source(simple.source).name;
    match filter_of(simple) {
        "" => format!("every event of {source}"),
        filter => format!("the events of {source} with [{filter}]"),
    }
}

/// Whether no event can pass both filters, as far as their equalities show: `type == "paid"` and `type == "refunded"`.
fn exclude_each_other(one: &str, two: &str) -> bool {
    let (one, two) = (equalities(one), equalities(two));
    one.iter().any(|(name, value)| {
        two.iter()
            .any(|(other, another)| name == other && value != another)
    })
}

/// The conditions `name == literal` that must all hold.
fn equalities(filter: &str) -> Vec<(&str, &str)> {
    if filter.contains("||") {
        return Vec::new();
    }
    filter
        .split("&&")
        .filter_map(|condition| condition.split_once("=="))
        .map(|(name, value)| (name.trim(), value.trim()))
        .collect()
}

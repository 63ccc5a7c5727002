//! Findings about parts and their whole: what cannot be added up, and what is never compared.

use super::{Findings, S16, S17};
use crate::catalog::{Catalog, Node, PeriodKind, Relation};

pub(super) fn lint(catalog: &Catalog, findings: &mut Findings) {
    for part in &catalog.nodes {
        let Some(link) = &part.parent else { continue };
        let whole = catalog.node(link.node);
        if link.relation == Relation::Sum {
            units(catalog, part, whole, findings);
        }
        if link.relation != Relation::Influence {
            periods(part, whole, findings);
        }
    }
}

/// Yuan and dollars have no sum.
fn units(catalog: &Catalog, part: &Node, whole: &Node, findings: &mut Findings) {
    let unit = |node: &Node| catalog.metric(node.metric).unit.as_deref();
    if let (Some(of_part), Some(of_whole)) = (unit(part), unit(whole))
        && of_part != of_whole
    {
        let message = format!(
            "'{}' is in {of_part} and '{}', to which it adds up, in {of_whole}; convert its metric, correct a unit, \
             or write relation: influence",
            part.name, whole.name
        );
        findings.warning(S16, &part.name, &part.place, message);
    }
}

/// Parts are compared with their whole where both run over the same days; that their calendars are one is checked at load.
fn periods(part: &Node, whole: &Node, findings: &mut Findings) {
    if part.period == whole.period {
        return;
    }
    let (name, of) = (&part.name, &whole.name);
    let (of_part, of_whole) = (over(part.period), over(whole.period));
    let message = format!(
        "'{name}' is a part of '{of}', and the two are never compared: its period is {of_part} and that of '{of}' {of_whole}; \
         give both one period, or write relation: influence"
    );
    findings.warning(S17, name, &part.place, message);
}

/// A period as the catalogue writes it.
fn over(period: PeriodKind) -> String {
    match period {
        PeriodKind::Every { days, from } => format!("{{every: {days}d, from: {from}}}"),
        other => other.as_str().to_owned(),
    }
}

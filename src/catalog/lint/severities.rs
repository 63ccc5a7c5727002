//! Findings about severities: what is declared and nothing ever reaches.

use super::{Findings, S18};
use crate::catalog::Catalog;

pub(super) fn lint(catalog: &Catalog, findings: &mut Findings) {
    let used = |name: &str| {
        let mut levels = catalog.rules.iter().flat_map(|rule| &rule.levels);
        levels.any(|level| level.severity.as_str() == name)
    };
    for (severity, place) in &catalog.added_severities {
        let name = severity.as_str();
        if !used(name) {
            let message = format!(
                "no rule has the severity '{name}', so no alert ever does; give one of the levels of a rule \
                 severity: {name}, or leave the step out"
            );
            findings.warning(S18, name, place, message);
        }
    }
}

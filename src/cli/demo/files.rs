//! The demo's settings and catalogue, written to a folder as a user would have them.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use jiff::ToSpan;
use jiff::civil::Date;

use super::chain::REGIONS;

const CATALOG: &str = include_str!("catalog/chain.yaml");

/// Monthly revenue target of the chain, CNY; the same number stands in the catalogue.
const REVENUE_TARGET: f64 = 1_250_000.0;

/// Writes everything below `folder` and returns the settings file.
pub(super) fn write(
    folder: &Path,
    brokers: &str,
    slack_url: &str,
    port: u16,
    months: impl Iterator<Item = Date>,
) -> std::io::Result<PathBuf> {
    let catalog = folder.join("catalog");
    std::fs::create_dir_all(&catalog)?;
    std::fs::write(catalog.join("chain.yaml"), CATALOG)?;
    std::fs::write(catalog.join("regions.csv"), region_targets(months))?;
    let settings = folder.join("tautline.yaml");
    let external_url = if port == 0 {
        "null".to_owned()
    } else {
        format!("http://127.0.0.1:{port}")
    };
    std::fs::write(
        &settings,
        format!(
            "kafka: {{brokers: \"{brokers}\", group: tautline-demo}}\n\
             catalog: {catalog}\n\
             state: {{sqlite: {state}}}\n\
             dead_letter: {{path: {dead}}}\n\
             serve: {{listen: \"127.0.0.1:{port}\", external_url: {external_url}}}\n\
             evaluate: {{every: 500ms}}\n\
             language: zh\n\
             receivers:\n  ops: {{slack_webhook: {{url: \"{slack_url}\", allow_private: true}}}}\n\
             routes: {{receiver: ops}}\n",
            catalog = catalog.display(),
            state = folder.join("tautline.db").display(),
            dead = folder.join("dead-letter.ndjson").display(),
        ),
    )?;
    Ok(settings)
}

fn region_targets(months: impl Iterator<Item = Date>) -> String {
    let mut csv = String::from("start,region,target\n");
    for month in months {
        for (region, share) in REGIONS {
            // Writing to a String does not fail.
            let _ = writeln!(csv, "{month},{region},{}", REVENUE_TARGET * share);
        }
    }
    csv
}

/// The first days of the months from `from` to the month after `to`.
pub(super) fn months(from: Date, to: Date) -> impl Iterator<Item = Date> {
    let last = to.first_of_month().saturating_add(1.month());
    std::iter::successors(Some(from.first_of_month()), |month| {
        Some(month.saturating_add(1.month()))
    })
    .take_while(move |month| *month <= last)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::lint::{Finding, lint};
    use crate::catalog::load::{Files, load};

    #[test]
    fn the_demo_is_smart_but_for_what_it_accepts() {
        let today: Date = "2026-11-24".parse().unwrap();
        let targets = region_targets(months(today, today));
        let files = Files::new("", [("chain.yaml", CATALOG), ("regions.csv", &targets)]);
        let catalog = load(&files).map_err(|problems| problems.to_string()).unwrap();
        let findings = lint(&catalog, today, None);
        let accepted = |finding: &Finding| (finding.code.as_str(), finding.accepted.is_some());
        assert_eq!(findings.iter().map(accepted).collect::<Vec<_>>(), [("S10", true)]);
    }
}

//! The SMART lint: what a correct catalogue still leaves unsaid, or says in a way that people will regret. Pure: the
//! checked [`Catalog`] and a day in, [`Finding`]s out, each with its place and what to write instead.
//!
//! | code | SMART | finding |
//! |---|---|---|
//! | `S01` | specific | a metric has no unit |
//! | `S02` | specific | a node has no owner |
//! | `S03` | measurable | a node has no target |
//! | `S04` | time-bound | a target file has no line for the running or the next period |
//! | `S05` | relevant | a KPI has no weight |
//! | `S06` | relevant | the weights of an owner do not sum to 100 |
//! | `S07` | relevant | a business node hangs by one KPI with nearly all the weight |
//! | `S08` | relevant | no KPI serves a business root |
//! | `S09` | relevant | a metric is never used |
//! | `S10` | relevant | a KPI counts actions, and no rule compares it with what it serves |
//! | `S11` | specific | two metrics measure one thing in two ways (口径不统一) |
//! | `S12` | achievable | a growth target contradicts its direction, base or baseline |
//! | `S13` | achievable | the targets of the parts do not add up to the target of the whole |
//! | `S14` | | an accepted finding that is not there |
//! | `S15` | achievable | a target is beyond twice the best closed period, or easier than the last one (with a state at hand) |
//! | `S16` | specific | what is added up has different units: metrics of an expression, or a part and its whole |
//! | `S17` | specific | a part is never compared with its whole: their periods differ |
//! | `S18` | relevant | a severity that the catalogue adds is the level of no rule |
//!
//! A finding that somebody has looked at is accepted in the catalogue, with a reason:
//! `lint: {S10: {visits: judged in the regional review}}`, by the name of the node, metric or owner it is about.

mod history;
mod metrics;
mod nodes;
mod parts;
mod severities;
mod targets;

use std::fmt;

use jiff::civil::Date;

use super::{Catalog, Place};
pub use history::Reached;

/// How bad a finding is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Severity {
    /// Worth knowing.
    Note,
    /// To be mended.
    Warning,
}

impl Severity {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Severity::Note => "note",
            Severity::Warning => "warning",
        }
    }
}

/// The kind of a finding; the module lists them.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Code(&'static str);

const S01: Code = Code("S01");
const S02: Code = Code("S02");
const S03: Code = Code("S03");
const S04: Code = Code("S04");
const S05: Code = Code("S05");
const S06: Code = Code("S06");
const S07: Code = Code("S07");
const S08: Code = Code("S08");
const S09: Code = Code("S09");
const S10: Code = Code("S10");
const S11: Code = Code("S11");
const S12: Code = Code("S12");
const S13: Code = Code("S13");
const S14: Code = Code("S14");
const S15: Code = Code("S15");
const S16: Code = Code("S16");
const S17: Code = Code("S17");
const S18: Code = Code("S18");

impl Code {
    /// Every code.
    pub const ALL: [Code; 18] = [
        S01, S02, S03, S04, S05, S06, S07, S08, S09, S10, S11, S12, S13, S14, S15, S16, S17, S18,
    ];

    /// The code as it is printed and written.
    pub fn as_str(&self) -> &'static str {
        self.0
    }
}

/// One finding.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Finding {
    /// Its kind.
    pub code: Code,
    /// How bad it is.
    pub severity: Severity,
    /// Name of the node, metric, owner or severity that it is about.
    pub subject: String,
    /// Where.
    pub place: Place,
    /// What was found and what to write instead.
    pub message: String,
    /// Why the catalogue accepts it, where it does.
    pub accepted: Option<String>,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Finding {
            code,
            severity,
            place,
            message,
            ..
        } = self;
        write!(f, "{place}: {} {}: {message}", code.as_str(), severity.as_str())?;
        match &self.accepted {
            Some(reason) => write!(f, " (accepted: {reason})"),
            None => Ok(()),
        }
    }
}

/// Every finding, in the order of the files. `today` is a local day of the catalogue's calendar: targets are asked for
/// the period that holds it and for the next one. `history` is what nodes came to so far; `None`: no state is at hand.
pub fn lint(catalog: &Catalog, today: Date, history: Option<&[Reached]>) -> Vec<Finding> {
    let mut findings = Findings::default();
    metrics::lint(catalog, &mut findings);
    nodes::lint(catalog, &mut findings);
    parts::lint(catalog, &mut findings);
    severities::lint(catalog, &mut findings);
    targets::lint(catalog, today, &mut findings);
    history::lint(catalog, history.unwrap_or_default(), &mut findings);
    accept(catalog, history.is_some(), &mut findings);
    findings
        .0
        .sort_by(|a, b| (&a.place, a.code).cmp(&(&b.place, b.code)));
    findings.0
}

/// Marks what the catalogue accepts, and finds what it accepts in vain.
fn accept(catalog: &Catalog, has_history: bool, findings: &mut Findings) {
    // What only a state can tell is not accepted in vain where there is none.
    let decided = |code: Code| code != S15 || has_history;
    for accepted in &catalog.accepted {
        let mut in_vain = true;
        let meant =
            |finding: &&mut Finding| finding.code == accepted.code && finding.subject == accepted.subject;
        for finding in findings.0.iter_mut().filter(meant) {
            finding.accepted = Some(accepted.reason.clone());
            in_vain = false;
        }
        if in_vain && decided(accepted.code) {
            let message = format!(
                "there is no {} about '{}' to accept; remove this line",
                accepted.code.as_str(),
                accepted.subject
            );
            findings.note(S14, &accepted.subject, &accepted.place, message);
        }
    }
}

#[derive(Default)]
struct Findings(Vec<Finding>);

impl Findings {
    fn note(&mut self, code: Code, subject: &str, place: &Place, message: impl Into<String>) {
        self.add(Severity::Note, code, subject, place, message.into());
    }

    fn warning(&mut self, code: Code, subject: &str, place: &Place, message: impl Into<String>) {
        self.add(Severity::Warning, code, subject, place, message.into());
    }

    fn add(&mut self, severity: Severity, code: Code, subject: &str, place: &Place, message: String) {
        self.0.push(Finding {
            code,
            severity,
            subject: subject.to_owned(),
            place: place.clone(),
            message,
            accepted: None,
        });
    }
}

#[cfg(test)]
mod tests;

//! What evaluation hands over: the judgement of one rule on one identity at one watermark.

use jiff::Timestamp;

use super::identity::Fingerprint;
use super::record::{Compared, Facts, Labels};
use crate::catalog::expr::{Expr, Value};
use crate::catalog::{Rule, Severity};

/// What a rule says of one identity at one watermark.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Condition {
    /// The fire condition holds; this is the highest level whose `when` does, and the milder ones count as breached
    /// with it.
    Breach(Severity),
    /// The fire condition of this level holds; whether that of a worse one does is not known, since an operand has no value.
    AtLeast(Severity),
    /// Between the fire and the clear condition.
    Band,
    /// The clear condition holds.
    Clear,
    /// An operand has no value.
    Missing,
    /// Nothing can be said for now, whatever the rule does where a value is missing: all stays as it is, and clocks stand.
    Withheld,
    /// What it judges is declared differently, and has not been counted so for a whole period.
    NewDefinition,
    /// The rule could not be evaluated.
    Error,
}

/// What is known of the judged identity. Asked only for identities that breach or are being watched, so that the
/// many that are well cost neither strings nor allocation.
pub trait About {
    /// Identity labels and the labels that the rule adds.
    fn labels(&self) -> Labels;
    /// What to tell.
    fn facts(&self) -> Facts;
    /// Names of the sources that it is computed from; asked when its record is made.
    fn sources(&self) -> Vec<String> {
        Vec::new()
    }
}

/// Judgement of one rule on one identity. `A` is small, such as a reference to the snapshot and an index.
#[derive(Clone, Copy, Debug)]
pub struct Sample<'a, A> {
    /// The rule.
    pub rule: &'a Rule,
    /// Name of the node that it judges (of the KPI, for a link).
    pub node: &'a str,
    /// [`fingerprint`](super::identity::fingerprint) of the rule's name and the identity labels; computed once when
    /// the identity is first seen, not at every step. Unique among the samples of a step: of two with the same
    /// fingerprint the second is ignored.
    pub fingerprint: Fingerprint,
    /// Judgement.
    pub condition: Condition,
    /// Event time at which the period of this identity ends; `None`: it has no period.
    pub period_end: Option<Timestamp>,
    /// Nothing begins with it: it was first seen too short a time ago. What has begun goes on.
    pub is_new: bool,
    /// Labels and facts.
    pub about: A,
}

impl<'a, A> Sample<'a, A> {
    /// The same about something wider.
    pub fn map<B>(self, about: impl FnOnce(A) -> B) -> Sample<'a, B> {
        Sample {
            rule: self.rule,
            node: self.node,
            fingerprint: self.fingerprint,
            condition: self.condition,
            period_end: self.period_end,
            is_new: self.is_new,
            about: about(self.about),
        }
    }
}

impl Condition {
    /// Whether some fire condition holds.
    pub(super) fn is_breach(self) -> bool {
        matches!(self, Condition::Breach(_) | Condition::AtLeast(_))
    }
}

impl Rule {
    /// What the rule says, given whether each of its expressions holds; `None` where one of its variables has no value,
    /// and an error where it cannot be evaluated.
    pub(super) fn condition(&self, test: impl Fn(&Expr) -> Result<Option<bool>, String>) -> Condition {
        let mut unanswered = false;
        for level in self.levels.iter().rev() {
            match test(&level.when) {
                Ok(Some(true)) if unanswered => return Condition::AtLeast(level.severity),
                Ok(Some(true)) => return Condition::Breach(level.severity),
                Ok(Some(false)) => {}
                Ok(None) => unanswered = true,
                Err(_) => return Condition::Error,
            }
        }
        if unanswered {
            return Condition::Missing;
        }
        match self.clear.as_ref().map(test) {
            None | Some(Ok(Some(true))) => Condition::Clear,
            Some(Ok(Some(false))) => Condition::Band,
            Some(Ok(None)) => Condition::Missing,
            Some(Err(_)) => Condition::Error,
        }
    }

    /// The number that it compares first.
    pub(super) fn compared<'v>(&'v self, value: impl Fn(usize) -> Value<'v>) -> Compared {
        let first = self.levels.first();
        Compared::new(first.and_then(|level| level.when.compared(value)))
    }

    /// Its expressions.
    pub(super) fn expressions(&self) -> impl Iterator<Item = &Expr> {
        self.levels.iter().map(|level| &level.when).chain(&self.clear)
    }
}

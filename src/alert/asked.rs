//! What a rule asks that is no node: a source, or siblings. Its variables have one subject, and its numbers are counts and
//! shares.

use super::identity::{Fingerprint, fingerprint_of};
use super::record::Compared;
use super::sample::{About, Condition};
use crate::catalog::attribute::{Attribute, Title, TitlePart, vocabulary_of};
use crate::catalog::expr::{Expr, Value};
use crate::catalog::{Rule, RuleOn};
use crate::words::{Language, percent};

/// One thing under one rule.
pub(super) trait Asked<'a>: About {
    /// What rules are about that ask it.
    const ON: RuleOn;

    /// The rule.
    fn rule(&self) -> &'a Rule;

    /// What it says.
    fn value(&self, attribute: Attribute) -> Value<'a>;

    /// Whether a number is told as a share of a hundred.
    fn is_share(attribute: Attribute) -> bool;

    /// What the rule says of it.
    fn condition(&self) -> Condition {
        let asks = &vocabulary_of(Self::ON).asks;
        let test = |expr: &Expr| expr.attempt(|index| self.value(asks[index].attribute));
        self.rule().condition(test)
    }

    /// The number that the rule compares first.
    fn compared(&self) -> Compared {
        let asks = &vocabulary_of(Self::ON).asks;
        self.rule().compared(|index| self.value(asks[index].attribute))
    }

    /// Of the same pairs as [`About::labels`].
    fn fingerprint(&self) -> Fingerprint {
        let labels = self.labels();
        let pairs = labels.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        fingerprint_of(&self.rule().name, pairs)
    }

    /// A title with its numbers.
    fn title(&self, title: &Title) -> String {
        let part = |part: &TitlePart| match part {
            TitlePart::Text(plain) => plain.clone(),
            TitlePart::Value(variable) => match self.value(variable.attribute) {
                Value::Text(text) => text.to_owned(),
                Value::Number(share) if Self::is_share(variable.attribute) => percent(share),
                Value::Number(count) => Language::En.number(count),
                Value::Bool(_) | Value::Missing => "—".to_owned(),
            },
        };
        title.0.iter().map(part).collect()
    }
}

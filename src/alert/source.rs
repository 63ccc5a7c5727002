//! Sources under rules: a feed of which nothing comes, or much more than usual, whose events cannot be used, or whose bounds let something go.

use super::asked::Asked;
use super::record::{Facts, Labels, RushFacts, SilentFacts, SourceFacts};
use super::round::Known;
use super::sample::{About, Condition, Sample};
use crate::catalog::attribute::{Attribute, Title, vocabulary_of};
use crate::catalog::expr::Value;
use crate::catalog::{Rule, RuleOn, Source};
use crate::evaluate::intake::Recent;
use crate::evaluate::surge::Rush;

/// A source under a rule.
#[derive(Clone, Copy)]
pub struct OfSource<'a> {
    rule: &'a Rule,
    source: &'a Source,
    recent: &'a Recent,
}

/// What a rule says of every source that is known or breaches.
pub(super) fn samples<'a>(
    rule: &'a Rule,
    sources: &'a [Source],
    intake: &'a [Recent],
    known: &Known<'_>,
) -> Vec<Sample<'a, OfSource<'a>>> {
    let judged = sources.iter().zip(intake).filter_map(|(source, recent)| {
        let about = OfSource { rule, source, recent };
        let condition = about.condition();
        let is_known = known.holds(&rule.name, &source.name);
        let begins = condition.is_breach() || condition == Condition::Error;
        (is_known || begins).then(|| Sample {
            rule,
            node: &source.name,
            fingerprint: about.fingerprint(),
            condition,
            period_end: None,
            is_new: false,
            about,
        })
    });
    judged.collect()
}

impl OfSource<'_> {
    /// Whether the rule asks one of these.
    fn asks(&self, attributes: &[Attribute]) -> bool {
        let asks = &vocabulary_of(RuleOn::Source).asks;
        let mut uses = self.rule.expressions().flat_map(|expr| expr.uses());
        uses.any(|index| attributes.contains(&asks[*index].attribute))
    }

    /// What is told of a surge, by a rule that asks for it.
    fn rush(&self) -> Option<RushFacts> {
        let Rush { events, busiest } = self.recent.rush;
        self.asks(&[Attribute::Surge])
            .then_some(RushFacts { events, busiest })
    }

    /// What is told of its silence, by a rule that asks for it.
    fn silent(&self) -> Option<SilentFacts> {
        if !self.asks(&[Attribute::Staleness, Attribute::SilentMinutes]) {
            return None;
        }
        let silent = self.recent.silent;
        let lasted = silent.lasted.as_secs();
        // Of the time that makes it stale nothing is cut off.
        let step = match lasted {
            0..600 => 10,
            600..7200 => 300,
            _ => 3600,
        };
        let allowed = self.source.stale_after().map(|allowed| allowed.as_secs());
        let least = allowed.filter(|allowed| *allowed <= lasted).unwrap_or(0);
        Some(SilentFacts {
            ever: silent.since.is_some(),
            lasted_seconds: (lasted / step * step).max(least),
            expected_seconds: silent.expected.map(|expected| expected.as_secs()),
            allowed_seconds: allowed,
        })
    }
}

impl<'a> Asked<'a> for OfSource<'a> {
    const ON: RuleOn = RuleOn::Source;

    fn rule(&self) -> &'a Rule {
        self.rule
    }

    fn value(&self, attribute: Attribute) -> Value<'a> {
        match attribute {
            Attribute::SourceName => Value::Text(&self.source.name),
            Attribute::Rejected => Value::Number(self.recent.rejected as f64),
            Attribute::RejectedShare => self.recent.rejected_share().map_or(Value::Missing, Value::Number),
            Attribute::MaxRejected => Value::Number(self.source.max_rejected),
            Attribute::Staleness => Value::Number(self.recent.silent.share),
            Attribute::SilentMinutes => Value::Number(self.recent.silent.lasted.as_secs_f64() / 60.0),
            Attribute::Surge => Value::Number(self.recent.rush.ratio()),
            Attribute::LetGo => Value::Number(self.recent.let_go as f64),
            _ => Value::Missing,
        }
    }

    fn is_share(attribute: Attribute) -> bool {
        matches!(attribute, Attribute::RejectedShare | Attribute::MaxRejected)
    }
}

impl About for OfSource<'_> {
    fn sources(&self) -> Vec<String> {
        vec![self.source.name.clone()]
    }

    fn labels(&self) -> Labels {
        let mut labels = self.rule.labels.clone();
        labels.insert("alertname".to_owned(), self.rule.name.clone());
        labels.insert("source".to_owned(), self.source.name.clone());
        if let Some(owner) = &self.source.owner {
            labels.insert("owner".to_owned(), owner.clone());
        }
        labels
    }

    fn facts(&self) -> Facts {
        let title = |title: &Option<Title>| title.as_ref().map(|title| self.title(title));
        Facts {
            title: title(&self.rule.title).unwrap_or_default(),
            title_zh: title(&self.rule.title_zh),
            source: Some(SourceFacts {
                name: self.source.name.clone(),
                read: self.recent.read,
                rejected: self.recent.rejected,
                allowed: self.source.max_rejected,
                reason: self.recent.reason.clone(),
                let_go: self.recent.let_go,
                bounds: self.recent.bounds.clone(),
                silent: self.silent(),
                rush: self.rush(),
            }),
            compared: self.compared(),
            ..Facts::default()
        }
    }
}

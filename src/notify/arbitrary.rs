//! Notices of any kind, for property tests.

use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;

use super::samples;
use crate::alert::notice::{Notice, NoticeKind, ResolveReason};
use crate::alert::record::{Facts, Figure};
use crate::catalog::Severity;

/// Text of any length from letters that are hard for somebody.
fn text() -> BoxedStrategy<String> {
    prop_oneof![
        "\\PC{0,40}",
        "[<>&*`|!@ ]{0,60}",
        ("[a-z营收<&>🔴👨‍👩‍👧\n]{1,8}", 1usize..900).prop_map(|(part, times)| part.repeat(times)),
    ]
    .boxed()
}

fn number() -> BoxedStrategy<Option<f64>> {
    option::of(prop_oneof![any::<f64>(), -2.0..2.0]).boxed()
}

prop_compose! {
    fn any_figure()(
        title in text(), instance in text(), unit in option::of(text()), owner in option::of(text()),
        period in text(), numbers in vec(number(), 7), daily in vec(number(), 0..80),
    ) -> Figure {
        Figure {
            title, instance, unit, owner, period,
            value: numbers[0], target: numbers[1], completion: numbers[2], expected_share: numbers[3],
            pace: numbers[4], forecast: numbers[5], target_probability: numbers[6], daily,
            unreconciled: None, weight: None
        }
    }
}

// Boxed, because what holds four of these by value is more than an unoptimised test's stack.
fn figure() -> BoxedStrategy<Figure> {
    any_figure().boxed()
}

prop_compose! {
    fn any_facts()(title in text(), node in option::of(figure()), parent in option::of(figure())) -> Facts {
        Facts { title, title_zh: None, node, parent, link: None, item: None, entry: None, delivery: None, crowd: None, parent_owner: None, source: None, shared: None }
    }
}

fn facts() -> BoxedStrategy<Facts> {
    any_facts().boxed()
}

prop_compose! {
    pub(super) fn notice()(
        id in text(), bundle in 0u8..3, alert_kind in prop_oneof![Just("behind_pace".to_owned()), Just("target_at_risk".to_owned()), text()],
        kind in prop_oneof![Just(NoticeKind::Fired), Just(NoticeKind::Escalated), Just(NoticeKind::Resolved)],
        reason in option::of(prop_oneof![Just(ResolveReason::Recovered), Just(ResolveReason::PeriodClosed)]),
        severity in prop_oneof![Just(Severity::INFO), Just(Severity::CRITICAL)],
        labels in btree_map(prop_oneof![Just("node".to_owned()), Just("owner".to_owned()), Just("alertname".to_owned())], text(), 0..3),
        facts in facts(), facts_at_firing in option::of(facts()),
    ) -> Notice {
        Notice { episode: id.clone(), bundle: bundle.to_string(), id, alert_kind, kind, reason, severity, labels, facts, facts_at_firing, ..samples::hollow() }
    }
}

//! Notices of any kind, for property tests.

use jiff::Timestamp;
use jiff::civil::Date;
use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;

use super::samples;
use crate::alert::delivery::DeliveryFacts;
use crate::alert::notice::{
    Ack, Aside, Because, Cause, Causes, Digest, DigestLine, EndingSilence, Heading, Notice, NoticeKind,
    ResolveReason, Verdict,
};
use crate::alert::record::{
    CrowdFacts, EntryFacts, Facts, Figure, ItemFacts, LinkFigure, RushFacts, SharedFacts, SilentFacts,
    SourceFacts,
};
use crate::catalog::Severity;
use crate::evaluate::weights::{Line, LineEvidence, Proposal, Standing, Titled};
use crate::fold::cells::Bound;

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

fn share() -> BoxedStrategy<f64> {
    prop_oneof![any::<f64>(), -2.0..2.0].boxed()
}

fn day() -> Date {
    Date::constant(2026, 6, 20)
}

fn moment() -> Timestamp {
    samples::hollow().fired_at
}

fn severity() -> BoxedStrategy<Severity> {
    prop_oneof![
        Just(Severity::INFO),
        Just(Severity::WARNING),
        Just(Severity::CRITICAL)
    ]
    .boxed()
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
            unreconciled: None, weight: None, band: None
        }
    }
}

// Boxed, because what holds four of these by value is more than an unoptimised test's stack.
fn figure() -> BoxedStrategy<Figure> {
    any_figure().boxed()
}

/// What an alert is about besides nodes.
#[derive(Clone, Debug)]
enum Other {
    Nothing,
    Link(LinkFigure),
    Item(ItemFacts),
    Source(SourceFacts),
    Shared(SharedFacts),
    Entry(EntryFacts),
    Delivery(DeliveryFacts),
    Crowd(CrowdFacts),
}

prop_compose! {
    fn link()(numbers in vec(number(), 8), stream in option::of(prop_oneof![Just("kpi".to_owned()), Just("parent".to_owned())]), after in option::of([share(), share()])) -> Other {
        Other::Link(LinkFigure {
            since: Some(day()), gap: numbers[0], kpi: numbers[1], parent: numbers[2], evidence: numbers[3],
            confidence: numbers[4], lag_days: numbers[5], strength: numbers[6], stream, answered: numbers[7],
            answered_after: after,
        })
    }
}

prop_compose! {
    fn item()(name in text(), node in text(), instance in text(), owner in option::of(text()), age_seconds in 0i64..1_000_000_000, allowed_seconds in 0i64..1_000_000_000) -> Other {
        Other::Item(ItemFacts { name, node, instance, owner, started: moment(), age_seconds, allowed_seconds })
    }
}

prop_compose! {
    fn source()(
        name in text(), counts in vec(any::<u64>(), 5), allowed in share(), reason in option::of(text()),
        bounds in vec(prop_oneof![Just(Bound::Cells), Just(Bound::Items), Just(Bound::Values), Just(Bound::Days)], 0..4),
        silent in option::of((any::<bool>(), 0i64..10_000_000, option::of(0i64..10_000_000))), rushes in any::<bool>(),
    ) -> Other {
        Other::Source(SourceFacts {
            name, read: counts[0], rejected: counts[1], allowed, reason, let_go: counts[2],
            bounds: bounds.into_iter().collect(),
            silent: silent.map(|(ever, lasted_seconds, allowed_seconds)| SilentFacts {
                ever, lasted_seconds, expected_seconds: allowed_seconds, allowed_seconds,
            }),
            rush: rushes.then_some(RushFacts { events: counts[3], busiest: counts[4] }),
        })
    }
}

prop_compose! {
    fn shared()(is_more in any::<bool>(), counts in vec(0usize..1000, 2), going in option::of(0usize..1000), names in vec(text(), 0..SharedFacts::NAMED), numbers in vec(number(), 4)) -> Other {
        Other::Shared(SharedFacts {
            is_more, drifting: counts[0], judged: counts[1], going, names, since: Some(day()),
            gap: numbers[0], kpi: numbers[1], parent: numbers[2], confidence: numbers[3],
        })
    }
}

prop_compose! {
    fn entry()(entered_by in vec(text(), 0..30)) -> Other {
        Other::Entry(EntryFacts { from: day(), last: day(), entered_by })
    }
}

prop_compose! {
    fn delivery()(receiver in text(), lost in any::<u64>(), reason in option::of(text()), others in vec(text(), 0..60)) -> Other {
        Other::Delivery(DeliveryFacts { receiver, lost, since: Some(moment()), reason, others })
    }
}

fn other() -> BoxedStrategy<Other> {
    prop_oneof![
        4 => Just(Other::Nothing),
        2 => link().boxed(),
        1 => item().boxed(),
        1 => source().boxed(),
        1 => shared().boxed(),
        1 => entry().boxed(),
        1 => delivery().boxed(),
        1 => (any::<u64>(), any::<u64>()).prop_map(|(kept, beyond)| Other::Crowd(CrowdFacts { kept, beyond })),
    ]
    .boxed()
}

prop_compose! {
    fn any_facts()(title in text(), title_zh in option::of(text()), node in option::of(figure()), parent in option::of(figure()), other in other()) -> Facts {
        let mut facts = Facts { title, title_zh, node, parent, ..Facts::default() };
        match other {
            Other::Nothing => {}
            Other::Link(link) => facts.link = Some(link),
            Other::Item(item) => facts.item = Some(item),
            Other::Source(source) => facts.source = Some(source),
            Other::Shared(shared) => facts.shared = Some(shared),
            Other::Entry(entry) => facts.entry = Some(entry),
            Other::Delivery(delivery) => facts.delivery = Some(delivery),
            Other::Crowd(crowd) => facts.crowd = Some(crowd),
        }
        facts
    }
}

fn facts() -> BoxedStrategy<Facts> {
    any_facts().boxed()
}

fn reason() -> BoxedStrategy<ResolveReason> {
    prop_oneof![
        3 => Just(ResolveReason::Recovered),
        3 => Just(ResolveReason::PeriodClosed),
        1 => Just(ResolveReason::RuleDeleted),
        1 => Just(ResolveReason::Paused),
        1 => Just(ResolveReason::NoData),
        1 => Just(ResolveReason::Updated),
        1 => Just(ResolveReason::SourceGone),
    ]
    .boxed()
}

fn because() -> BoxedStrategy<Because> {
    prop_oneof![
        Just(Because::SilenceEnded),
        Just(Because::MuteEnded),
        Just(Because::InhibitionEnded),
        Just(Because::Unacknowledged { since: moment() }),
    ]
    .boxed()
}

prop_compose! {
    fn ack()(by in text(), comment in text()) -> Ack {
        Ack { by, at: moment(), comment, until: moment(), severity: None }
    }
}

prop_compose! {
    fn causes()(of in text(), unit in option::of(text()), parts in vec((text(), share(), share()), 0..12), others in 0usize..100) -> Box<Causes> {
        let part = |(title, amount, share)| Cause { title, amount, share };
        Box::new(Causes { of, unit, parts: parts.into_iter().map(part).collect(), others, not_explained: None })
    }
}

/// The kind of an alert: most have words of their own.
fn alert_kind() -> BoxedStrategy<String> {
    const KNOWN: [&str; 17] = [
        "behind_pace",
        "target_at_risk",
        "unreconciled",
        "hollow",
        "gaming",
        "uncredited",
        "weak_link",
        "lag_change",
        "feed_gap",
        "unit_change",
        "shared_drift",
        "overdue",
        "limit_reached",
        "surge",
        "delivery_failed",
        "rule_crowd",
        "rule_error",
    ];
    prop_oneof![4 => proptest::sample::select(&KNOWN[..]).prop_map(str::to_owned), 1 => text()].boxed()
}

prop_compose! {
    fn envelope()(
        id in text(), bundle in 0u8..3, alert_kind in alert_kind(), severity in severity(),
        labels in btree_map(prop_oneof![Just("node".to_owned()), Just("owner".to_owned()), Just("alertname".to_owned())], text(), 0..3),
        catching_up in any::<bool>(),
    ) -> Notice {
        Notice { episode: id.clone(), bundle: bundle.to_string(), id, alert_kind, severity, labels, catching_up, ..samples::hollow() }
    }
}

/// About an alert.
fn of_alert() -> BoxedStrategy<Notice> {
    let kind = prop_oneof![
        2 => Just(NoticeKind::Fired),
        1 => Just(NoticeKind::Escalated),
        1 => Just(NoticeKind::DeEscalated),
        1 => Just(NoticeKind::Repeat),
        1 => Just(NoticeKind::Acked),
        3 => Just(NoticeKind::Resolved),
        1 => Just(NoticeKind::Correction),
    ];
    let words = (
        option::of(because()),
        option::of(ack()),
        option::of(causes()),
        vec((text(), text()), 0..30),
    );
    let end = (
        option::of(reason()),
        option::of(facts()),
        option::of(facts()),
        option::of(any::<bool>()),
    );
    (
        envelope().boxed(),
        kind,
        facts(),
        words.boxed(),
        end.boxed(),
        any::<bool>(),
    )
        .prop_map(|(envelope, kind, facts, words, end, flapping)| {
            let heading = |(en, zh)| Heading { en, zh };
            Notice {
                kind,
                facts,
                flapping,
                because: words.0,
                ack: words.1,
                causes: words.2,
                explains: words.3.into_iter().map(heading).collect(),
                reason: end.0,
                facts_at_firing: end.1,
                peak: end.2,
                verdict: end.3.map(|met| if met { Verdict::Met } else { Verdict::Missed }),
                ..envelope
            }
        })
        .boxed()
}

prop_compose! {
    fn digest_line()(alert_kind in alert_kind(), severity in severity(), facts in facts(), is_over in any::<bool>(), is_new in any::<bool>(), was in option::of(severity()), episodes in 0u32..9, untold in any::<bool>()) -> DigestLine {
        DigestLine {
            episode: "e".to_owned(), alert_kind, severity, labels: samples::hollow().labels, facts, fired_at: moment(),
            ended_at: is_over.then(moment), reason: None, is_new, was, episodes, untold,
        }
    }
}

prop_compose! {
    fn proposal()(title in text(), parent in text(), closed in text(), owner in option::of(text()), lines in vec((text(), share(), share(), option::of(vec(share(), 3))), 0..40)) -> Titled {
        let line = |(node, before, after, evidence): &(String, f64, f64, Option<Vec<f64>>)| Line {
            node: node.clone(), before: *before, after: *after,
            evidence: evidence.as_ref().map(|numbers| LineEvidence {
                share: numbers[0], confidence: numbers[1], strength: numbers[2], judged_days: 252, drift: None,
            }),
        };
        Titled {
            title, owner,
            titles: lines.iter().map(|(node, ..)| node.clone()).collect(),
            proposal: Proposal {
                parent, closed, at: moment(), next: day(), lines: lines.iter().map(line).collect(),
                standing: Standing::Pending,
            },
        }
    }
}

prop_compose! {
    fn digest()(name in option::of(text()), open in vec(digest_line().boxed(), 0..20), ended in vec(digest_line().boxed(), 0..20), waiting in proposal().boxed(), many in prop_oneof![0usize..8, 490usize..510], forecast in vec(figure(), 0..20)) -> Aside {
        Aside::Digest(Digest { name, from: moment(), until: moment(), open, ended, waiting: vec![waiting; many], forecast })
    }
}

prop_compose! {
    fn reminder()(created_by in text(), comment in text(), matchers in vec(text(), 0..40), alerts in any::<u32>()) -> Aside {
        Aside::Silence(EndingSilence { id: "5".to_owned(), created_by, comment, matchers, ends_at: moment(), alerts })
    }
}

/// About no single alert.
fn aside() -> BoxedStrategy<Notice> {
    let of = |kind: NoticeKind, aside: BoxedStrategy<Aside>| {
        (envelope().boxed(), aside)
            .prop_map(move |(envelope, aside)| Notice {
                kind,
                facts: Facts::default(),
                aside: Some(Box::new(aside)),
                ..envelope
            })
            .boxed()
    };
    prop_oneof![
        of(NoticeKind::Digest, digest().boxed()),
        of(NoticeKind::Reminder, reminder().boxed()),
        of(NoticeKind::Proposal, proposal().prop_map(Aside::Weights).boxed()),
    ]
    .boxed()
}

/// Any notice.
pub(super) fn notice() -> BoxedStrategy<Notice> {
    prop_oneof![4 => of_alert(), 1 => aside()].boxed()
}

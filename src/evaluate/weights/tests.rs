use std::sync::Arc;

use jiff::civil::{Date, date};
use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;

use super::evidence::confidence;
use super::*;
use crate::catalog::attribute::DriftKind;
use crate::catalog::load::{Files, load};
use crate::catalog::{WeightMode, Weighting};
use crate::evaluate::snapshot::{InstanceKey, LinkFinding, LinkState, NodeState, Snapshot};

fn evidence(share: f64, confidence: f64) -> Option<Evidence> {
    Some(Evidence {
        share,
        confidence,
        is_drifted: false,
    })
}

fn drifted(share: f64) -> Option<Evidence> {
    Some(Evidence {
        share,
        confidence: 1.0,
        is_drifted: true,
    })
}

fn changes(members: &[(f64, Option<Evidence>)]) -> Vec<i32> {
    let members: Vec<Member> = members
        .iter()
        .map(|(weight, evidence)| Member {
            weight: *weight,
            evidence: *evidence,
        })
        .collect();
    propose(&members, &Weighting::default())
}

/// Worked out by hand with η = 0.5, a step of 10 and a floor of 5.
#[test]
fn the_formula_says_what_was_worked_out_by_hand() {
    // 0.5 · 1 · (0.8 − 0.5) · 100 = 15, clipped to 10 on both sides.
    assert_eq!(
        changes(&[(50.0, evidence(0.8, 1.0)), (50.0, evidence(0.2, 1.0))]),
        [10, -10]
    );
    // 0.5 · 0.4 · 0.3 · 100 = 6 to gain, 0.5 · 0.25 · 0.3 · 100 = 3.75 to lose: 3 whole points move.
    assert_eq!(
        changes(&[(50.0, evidence(0.8, 0.4)), (50.0, evidence(0.2, 0.25))]),
        [3, -3]
    );
    // −11.4 is clipped to −10; 8 and 3.4 to gain share the 10: 7.02 and 2.98, by largest remainder 7 and 3.
    let three = [
        (30.0, evidence(0.12, 1.0)),
        (20.0, evidence(0.6, 1.0)),
        (10.0, evidence(0.28, 1.0)),
    ];
    assert_eq!(changes(&three), [-10, 7, 3]);
    // 8 points are 3 above the floor: no more is lost, and so no more is gained.
    assert_eq!(
        changes(&[(92.0, evidence(1.0, 1.0)), (8.0, evidence(0.0, 1.0))]),
        [3, -3]
    );
    // What has no evidence keeps its weight, and the others share theirs: 0.5 · (0.7 − 0.5) · 60 = 6.
    let with_young = [
        (40.0, None),
        (30.0, evidence(0.7, 1.0)),
        (30.0, evidence(0.3, 1.0)),
    ];
    assert_eq!(changes(&with_young), [0, 6, -6]);
    // In drift it loses, and gains nothing although it would be its turn.
    assert_eq!(
        changes(&[(50.0, drifted(0.0)), (50.0, evidence(1.0, 1.0))]),
        [-10, 10]
    );
    assert_eq!(
        changes(&[(10.0, drifted(0.9)), (90.0, evidence(0.1, 1.0))]),
        [0, 0]
    );
    // Less than a point away from where it should be: a whole point would have to come back next time.
    assert_eq!(
        changes(&[(50.4, evidence(0.51, 1.0)), (49.6, evidence(0.49, 1.0)),]),
        [0, 0]
    );
    // As it should be, one alone, nothing known, no weight at all.
    assert_eq!(
        changes(&[(60.0, evidence(0.6, 1.0)), (40.0, evidence(0.4, 1.0))]),
        [0, 0]
    );
    assert_eq!(changes(&[(100.0, evidence(1.0, 1.0))]), [0]);
    assert_eq!(changes(&[(50.0, None), (50.0, None)]), [0, 0]);
    assert_eq!(
        changes(&[(0.0, evidence(0.5, 1.0)), (0.0, evidence(0.5, 1.0))]),
        [0, 0]
    );
    assert!(changes(&[]).is_empty());
}

fn some_evidence() -> impl Strategy<Value = Option<Evidence>> {
    prop::option::weighted(
        0.8,
        (0.0..1.0f64, 0.0..1.0f64, prop::bool::weighted(0.25)).prop_map(|(share, confidence, is_drifted)| {
            Evidence {
                share,
                confidence,
                is_drifted,
            }
        }),
    )
}

proptest! {
    #[test]
    fn the_sum_the_step_and_the_bounds_are_kept_and_nothing_moves_against_the_evidence(
        mut members in prop::collection::vec(
            (0.0..100.0f64, some_evidence()).prop_map(|(weight, evidence)| Member { weight, evidence }),
            0..12,
        ),
        rate in 0.01..1.0f64,
        step in 1.0..40.0f64,
        floor in 0.0..20.0f64,
        cap in 40.0..100.0f64,
    ) {
        let all: f64 = members.iter().filter_map(|member| member.evidence).map(|evidence| evidence.share).sum();
        for evidence in members.iter_mut().filter_map(|member| member.evidence.as_mut()) {
            evidence.share /= all;
        }
        let terms = Weighting { mode: WeightMode::Propose, rate, step, floor, cap };
        let changes = propose(&members, &terms);
        prop_assert_eq!(changes.len(), members.len());
        prop_assert_eq!(changes.iter().sum::<i32>(), 0);
        let sum: f64 = members.iter().filter(|member| member.evidence.is_some()).map(|member| member.weight).sum();
        for (member, change) in members.iter().zip(&changes) {
            let change = f64::from(*change);
            let after = member.weight + change;
            prop_assert!(change.abs() <= step + 1e-6);
            prop_assert!(after >= floor.min(member.weight) - 1e-6, "{after} is below the floor {floor}");
            prop_assert!(after <= cap.max(member.weight) + 1e-6, "{after} is above the cap {cap}");
            match member.evidence {
                None => prop_assert_eq!(change, 0.0),
                Some(evidence) => {
                    prop_assert!(!evidence.is_drifted || change <= 0.0);
                    prop_assert!(change * (evidence.share - member.weight / sum) >= 0.0);
                }
            }
        }
        // Settled: with the same evidence nobody asks for the way back.
        let moved: Vec<Member> = members
            .iter()
            .zip(&changes)
            .map(|(member, change)| Member { weight: member.weight + f64::from(*change), ..*member })
            .collect();
        let again = propose(&moved, &terms);
        for (first, second) in changes.iter().zip(again) {
            prop_assert!(first * second >= 0, "{first} and then {second}");
        }
    }
}

#[test]
fn confidence_grows_with_days_and_with_strength() {
    let close = |found: f64, expected: f64| assert!((found - expected).abs() < 1e-3, "{found} {expected}");
    // 252 days are 9 windows of 28: 1 − 1/√8, and 1 − 0.64/√8.
    close(confidence(252, 0.0), 0.646);
    close(confidence(252, 0.6), 0.774);
    close(confidence(91, 0.6), 0.573);
    close(confidence(28, 0.9), 0.0);
    close(confidence(0, 0.9), 0.0);
    // Beyond what the half-life remembers more days say nothing more.
    close(confidence(4000, 0.0), confidence(400, 0.0));
    close(confidence(200, 1.0), 1.0);
}

const CATALOG: &str = "\
weights: propose
sources: {s: {topics: [t], format: json, time: t, fields: {v: v}}}
metrics:
  m: {source: s, agg: sum, expr: v}
nodes:
  revenue:  {metric: m, role: business, period: year}
  articles: {metric: m, role: kpi, parent: revenue, period: month, weight: 30, owner: o}
  visits:   {metric: m, role: kpi, parent: revenue, period: month, weight: 30, owner: o}
  young:    {metric: m, role: kpi, parent: revenue, period: week, weight: 40, owner: o}
";

fn catalog(text: &str) -> Catalog {
    load(&Files::new("", [("a.yaml", text)]))
        .map_err(|error| error.to_string())
        .unwrap()
}

fn link(strength: f64, judged_days: u32) -> LinkState {
    LinkState {
        strength: Some(strength),
        elasticity: (strength >= 0.5).then_some(0.6),
        judged_days,
        ..LinkState::default()
    }
}

fn in_drift(kind: DriftKind, link: LinkState) -> LinkState {
    let finding = LinkFinding {
        kind,
        since: None,
        gap: None,
        kpi: None,
        parent: None,
        evidence: None,
        confidence: None,
        stream: None,
        answered: None,
        lag_days: None,
    };
    LinkState {
        findings: vec![finding],
        ..link
    }
}

/// A snapshot at the close of a day with these links.
fn snapshot(catalog: &Catalog, day: Date, links: &[(&str, LinkState)]) -> Snapshot {
    let next = day.tomorrow().unwrap();
    let instances = links.iter().map(|(name, link)| {
        let at = catalog.nodes.iter().position(|node| node.name == *name).unwrap();
        let node = &catalog.nodes[at];
        let key = InstanceKey {
            node: NodeId(u32::try_from(at).unwrap()),
            dimensions: Default::default(),
        };
        let period = Period::containing(node.period, day, &catalog.calendar);
        NodeState {
            link: Some(Arc::new(link.clone())),
            ..NodeState::unknown(key, None, period)
        }
    });
    Snapshot {
        watermark: Some(catalog.calendar.start_of(next) - SignedDuration::from_millis(1)),
        instances: instances.collect(),
        ..Snapshot::default()
    }
}

fn now() -> Timestamp {
    "2026-07-03T08:00:00Z".parse().unwrap()
}

fn usual() -> [(&'static str, LinkState); 2] {
    [("articles", link(0.3, 252)), ("visits", link(0.8, 252))]
}

fn points(proposal: &Proposal) -> Vec<(f64, f64)> {
    proposal
        .lines
        .iter()
        .map(|line| (line.before, line.after))
        .collect()
}

fn weight(book: &Book, catalog: &Catalog, node: &str, day: Date) -> Option<f64> {
    let at = catalog.nodes.iter().position(|known| known.name == node).unwrap();
    book.weight(catalog, NodeId(u32::try_from(at).unwrap()), day)
}

/// Shares 0.09 / 0.73 = 12 % and 0.64 / 0.73 = 88 % of what both explain, confidence 1 − 0.91/√8 = 0.678 and
/// 1 − 0.36/√8 = 0.873: −7.66 and +9.86 points, so 7 move.
#[test]
fn a_close_proposes_once_what_its_links_speak_for() {
    let catalog = catalog(CATALOG);
    let mut book = Book::default();
    assert_eq!(book.declare(&catalog, None, now()).settings.len(), 1);
    assert!(book.declare(&catalog, None, now()).is_empty(), "declared once");

    let day = date(2026, 6, 29);
    assert!(
        book.close(&catalog, &snapshot(&catalog, day, &usual()), now())
            .is_empty()
    );
    let closing = snapshot(&catalog, date(2026, 6, 30), &usual());
    let changed = book.close(&catalog, &closing, now());
    let [proposal] = changed.proposals.as_slice() else {
        panic!("{changed:?}");
    };
    assert_eq!(
        (proposal.parent.as_str(), proposal.closed.as_str()),
        ("revenue", "2026-06")
    );
    assert_eq!(proposal.next, date(2026, 7, 1));
    assert_eq!(points(proposal), [(30.0, 23.0), (30.0, 37.0), (40.0, 40.0)]);
    let shares: Vec<Option<f64>> = proposal
        .lines
        .iter()
        .map(|line| {
            line.evidence
                .as_ref()
                .map(|evidence| (evidence.share * 100.0).round())
        })
        .collect();
    assert_eq!(shares, [Some(12.0), Some(88.0), None]);
    assert_eq!(proposal.standing, Standing::Pending);
    assert!(changed.settings.is_empty(), "nothing applies by itself");
    // Seen again, also by a daemon that was started anew from what was kept.
    assert!(book.close(&catalog, &closing, now()).is_empty());
    let mut kept = Book::restore(
        book.all_settings().cloned().collect(),
        book.all_proposals().cloned().collect(),
    );
    assert_eq!(kept, book);
    assert!(kept.close(&catalog, &closing, now()).is_empty());

    // The next close proposes anew, and there is one to decide on at a time.
    let july = snapshot(&catalog, date(2026, 7, 31), &usual());
    let changed = book.close(&catalog, &july, now());
    let standings: Vec<&str> = changed
        .proposals
        .iter()
        .map(|proposal| proposal.standing.as_str())
        .collect();
    assert_eq!(standings, ["superseded", "pending"]);
    assert_eq!(book.pending().count(), 1);
}

#[test]
fn no_evidence_no_change() {
    let catalog = catalog(CATALOG);
    let close = |links: &[(&str, LinkState)]| {
        let mut book = Book::default();
        book.declare(&catalog, None, now());
        book.close(&catalog, &snapshot(&catalog, date(2026, 6, 30), links), now())
    };
    let unknown = LinkState {
        judged_days: 40,
        ..LinkState::default()
    };
    assert!(close(&[]).is_empty());
    assert!(close(&[("articles", unknown.clone()), ("visits", unknown.clone())]).is_empty());
    // One alone has nobody to give to.
    assert!(close(&[("articles", unknown), ("visits", link(0.8, 252))]).is_empty());
    // Shares of noise: no link is known well.
    assert!(close(&[("articles", link(0.1, 252)), ("visits", link(0.4, 252))]).is_empty());
    // A feed that is silent says nothing of the KPI.
    let silent = in_drift(DriftKind::FeedGap, link(0.1, 252));
    assert!(close(&[("articles", silent), ("visits", link(0.8, 252))]).is_empty());
}

#[test]
fn a_link_in_drift_can_only_lose() {
    let catalog = catalog(CATALOG);
    for kind in [DriftKind::Hollow, DriftKind::Gaming, DriftKind::WeakLink] {
        let mut book = Book::default();
        book.declare(&catalog, None, now());
        let links = [
            ("articles", in_drift(kind, link(0.9, 252))),
            ("visits", link(0.6, 252)),
        ];
        let changed = book.close(&catalog, &snapshot(&catalog, date(2026, 6, 30), &links), now());
        let proposal = &changed.proposals[0];
        assert_eq!(
            points(proposal),
            [(30.0, 20.0), (30.0, 40.0), (40.0, 40.0)],
            "{kind:?}"
        );
        assert_eq!(proposal.lines[0].evidence.as_ref().unwrap().drift(), Some(kind));
    }
}

fn decision(approve: bool) -> Decision {
    Decision {
        parent: "revenue".to_owned(),
        closed: "2026-06".to_owned(),
        approve,
        by: "王芳".to_owned(),
        note: Some("seen in the review".to_owned()),
    }
}

fn proposed(catalog: &Catalog) -> Book {
    let mut book = Book::default();
    book.declare(catalog, None, now());
    book.close(catalog, &snapshot(catalog, date(2026, 6, 30), &usual()), now());
    book
}

#[test]
fn what_is_approved_applies_from_the_next_period_on() {
    let catalog = catalog(CATALOG);
    let mut book = proposed(&catalog);
    let changed = book
        .decide(&catalog, decision(true), date(2026, 7, 3), now())
        .unwrap();
    assert_eq!(changed.settings[0].from, Some(date(2026, 8, 1)));
    let articles = |book: &Book, day| weight(book, &catalog, "articles", day);
    assert_eq!(articles(&book, date(2026, 6, 1)), Some(30.0));
    assert_eq!(articles(&book, date(2026, 7, 1)), Some(30.0));
    assert_eq!(
        articles(&book, date(2026, 7, 31)),
        Some(30.0),
        "nothing changes inside a running period"
    );
    assert_eq!(articles(&book, date(2026, 8, 1)), Some(23.0));
    assert_eq!(weight(&book, &catalog, "young", date(2026, 8, 1)), Some(40.0));
    assert_eq!(weight(&book, &catalog, "revenue", date(2026, 8, 1)), None);
    // Decided is decided.
    for approve in [true, false] {
        let again = book.decide(&catalog, decision(approve), date(2026, 7, 4), now());
        assert!(
            matches!(
                again,
                Err(Refused::Decided {
                    standing: "approved",
                    ..
                })
            ),
            "{again:?}"
        );
    }
    // What comes next starts from what was decided: 12 % and 88 % speak for 23 → 16.
    let july = snapshot(&catalog, date(2026, 7, 31), &usual());
    let next = book.close(&catalog, &july, now());
    assert_eq!(points(&next.proposals[0])[0].0, 23.0);
}

#[test]
fn what_is_rejected_changes_nothing() {
    let catalog = catalog(CATALOG);
    let mut book = proposed(&catalog);
    let changed = book
        .decide(&catalog, decision(false), date(2026, 7, 3), now())
        .unwrap();
    assert!(changed.settings.is_empty());
    assert_eq!(weight(&book, &catalog, "articles", date(2027, 1, 1)), Some(30.0));
    let unknown = Decision {
        closed: "2026-05".to_owned(),
        ..decision(true)
    };
    let refused = book.decide(&catalog, unknown, date(2026, 7, 3), now());
    assert!(matches!(refused, Err(Refused::Unknown { .. })));
}

#[test]
fn auto_applies_at_the_next_period_and_off_proposes_nothing() {
    let auto = catalog(&CATALOG.replace("weights: propose", "weights: auto"));
    let book = proposed(&auto);
    let proposal = book.all_proposals().next().unwrap();
    assert_eq!(
        proposal.standing,
        Standing::Automatic {
            from: date(2026, 7, 1)
        }
    );
    assert_eq!(weight(&book, &auto, "articles", date(2026, 6, 30)), Some(30.0));
    assert_eq!(weight(&book, &auto, "articles", date(2026, 7, 1)), Some(23.0));

    let off = catalog(&CATALOG.replace("weights: propose", "weights: off"));
    assert_eq!(proposed(&off).all_proposals().count(), 0);
    // What waits when it is switched off is withdrawn; what was decided stays.
    let mut book = proposed(&catalog(CATALOG));
    let changed = book.declare(&off, Some(date(2026, 7, 5)), now());
    assert_eq!(changed.proposals[0].standing, Standing::Withdrawn { at: now() });
    assert_eq!(book.pending().count(), 0);
}

#[test]
fn what_is_declared_anew_wins_from_the_running_period_on() {
    let before = catalog(CATALOG);
    let mut book = proposed(&before);
    book.decide(&before, decision(true), date(2026, 7, 3), now())
        .unwrap();
    let july = snapshot(&before, date(2026, 7, 31), &usual());
    book.close(&before, &july, now());

    let after = catalog(&CATALOG.replace("weight: 40", "weight: 50"));
    let changed = book.declare(&after, Some(date(2026, 8, 20)), now());
    assert_eq!(changed.settings[0].why, Why::Declared);
    assert_eq!(changed.settings[0].from, Some(date(2026, 8, 1)));
    assert_eq!(changed.proposals[0].standing, Standing::Withdrawn { at: now() });
    let of = |node, day| weight(&book, &after, node, day);
    assert_eq!(
        (of("articles", date(2026, 8, 1)), of("young", date(2026, 8, 1))),
        (Some(30.0), Some(50.0))
    );
    assert_eq!(
        of("young", date(2026, 7, 1)),
        Some(40.0),
        "the past keeps its weights"
    );
    // Not for what was to apply only later either.
    let mut early = proposed(&before);
    early
        .decide(&before, decision(true), date(2026, 7, 3), now())
        .unwrap();
    early.declare(&after, Some(date(2026, 7, 20)), now());
    assert_eq!(weight(&early, &after, "articles", date(2026, 8, 1)), Some(30.0));
}

#[test]
fn the_longest_period_says_when_weights_may_change() {
    let rhythm = |periods: &[PeriodKind]| Rhythm::of(periods.iter().copied());
    let calendar = catalog(CATALOG).calendar;
    use PeriodKind::{Half, Month, Quarter, Week, Year};
    for (periods, closes, begins) in [
        (&[Week, Month][..], Month, Month),
        (&[Month, Quarter], Quarter, Quarter),
        (&[Half, Month], Quarter, Half),
        (&[Year], Quarter, Year),
        (&[], Month, Month),
    ] {
        assert_eq!(rhythm(periods), Rhythm { closes, begins }, "{periods:?}");
    }
    let half = rhythm(&[Half]);
    assert_eq!(
        half.closed_on(date(2026, 3, 31), &calendar).unwrap().start,
        date(2026, 1, 1)
    );
    assert_eq!(half.closed_on(date(2026, 4, 30), &calendar), None);
    assert_eq!(half.next_start(date(2026, 3, 31), &calendar), date(2026, 7, 1));
}

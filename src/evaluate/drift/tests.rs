//! Links as specifications: hand-made series whose verdict is known, and what must not change a verdict.

use super::link::{Announced, Before, DayInput, Days, Finding, Link, Reading, Tuning, Voice};
use crate::catalog::attribute::DriftKind;

/// 2024-01-01, a Monday.
const FIRST: i32 = 19_723;
const DAYS: usize = 240;

/// A KPI of about 100 a day and a parent of about 5,000, with weekdays and a little of everything; no chance in it.
fn world() -> [Vec<f64>; 2] {
    let wave = |day: usize, length: f64, size: f64| 1.0 + size * (day as f64 / length).sin();
    let weekday = |day: usize| [1.1, 1.1, 1.0, 1.0, 1.0, 0.9, 0.9][day % 7];
    let kpi = |day| 100.0 * weekday(day) * wave(day, 9.0, 0.1) * wave(day, 1.7, 0.05);
    let parent = |day| 5000.0 * weekday(day) * wave(day, 9.0, 0.08) * wave(day, 2.3, 0.06);
    [(0..DAYS).map(kpi).collect(), (0..DAYS).map(parent).collect()]
}

/// A KPI that moves by chance, and a parent that answers most of it over three days, the first of them `lag(day)` days later;
/// `None`: not at all. Of chance in the parent there is a little.
fn answering(days: usize, lag: impl Fn(usize) -> Option<usize>) -> [Vec<f64>; 2] {
    let mut state = 5u64;
    let mut chance = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as f64 / f64::from(1u32 << 30) - 1.0
    };
    let mut moves = vec![0.0];
    for day in 1..days + 60 {
        moves.push(0.85 * moves[day - 1] + 0.12 * chance());
    }
    let move_of = |day: usize, ago: usize| moves[day + 60 - ago];
    let weekday = |day: usize| [1.1, 1.1, 1.0, 1.0, 1.0, 0.9, 0.9][day % 7];
    let kpi = |day| 100.0 * weekday(day) * move_of(day, 0).exp();
    let parent = |day: usize, chance: f64| {
        let answer = lag(day).map_or(0.0, |lag| {
            (lag..lag + 3).map(|ago| move_of(day, ago)).sum::<f64>() / 3.0
        });
        5000.0 * weekday(day) * (0.9 * answer + 0.05 * chance).exp()
    };
    [
        (0..days).map(kpi).collect(),
        (0..days).map(|day| parent(day, chance())).collect(),
    ]
}

struct Run {
    first: i32,
    scale: [f64; 2],
    /// What targets are counted in, in units of the values; `None`: there are none.
    target_unit: Option<f64>,
    /// The day from which on the link goes through its encoded form at every close.
    restarts: bool,
}

const PLAIN: Run = Run {
    first: FIRST,
    scale: [1.0; 2],
    target_unit: Some(1.0),
    restarts: false,
};

/// First day of every kind that is told, counted from the first day.
fn told(flows: &[Vec<f64>; 2], run: &Run) -> Vec<(DriftKind, usize)> {
    let found = findings(flows, run);
    found.iter().map(|(at, finding)| (finding.kind, *at)).collect()
}

/// What is told of every kind when it is told first, with the day, counted from the first day.
fn findings(flows: &[Vec<f64>; 2], run: &Run) -> Vec<(usize, Finding)> {
    let (tuning, days) = (Tuning::default(), Days::default());
    let mut link = Link::new(run.first, Before::default(), Before::default(), &days, &tuning);
    let mut told: Vec<(usize, Finding)> = Vec::new();
    for at in 0..flows[0].len() {
        let day = run.first + at as i32;
        let flow = |side: usize| -> Vec<Option<f64>> {
            let values = &flows[side][at.saturating_sub(47)..=at];
            values.iter().map(|value| Some(value * run.scale[side])).collect()
        };
        let target = |per_day: f64| Announced {
            start: day,
            end: day + 30,
            target: per_day * 30.0,
        };
        let targets = match run.target_unit.filter(|_| at % 30 == 0) {
            Some(unit) => [
                vec![target(100.0 * unit * run.scale[0])],
                vec![target(5000.0 * unit * run.scale[1])],
            ],
            None => [Vec::new(), Vec::new()],
        };
        let (kpi, parent) = (flow(0), flow(1));
        let input = |side: usize, flow| DayInput {
            flow,
            targets: &targets[side],
        };
        link.close(day, input(0, &kpi), input(1, &parent), &days, &tuning);
        if run.restarts {
            let body = postcard::to_allocvec(&link).unwrap();
            link = postcard::from_bytes(&body).unwrap();
        }
        for finding in link.reading(&tuning).findings {
            assert!(finding.gap.is_finite() && finding.evidence >= 1.0);
            if !told.iter().any(|(_, known)| known.kind == finding.kind) {
                told.push((at, finding));
            }
        }
    }
    told
}

fn from(day: usize, values: &mut [f64], change: impl Fn(f64) -> f64) {
    values[day..].iter_mut().for_each(|value| *value = change(*value));
}

#[test]
fn a_link_that_is_well_has_nothing_told_of_it() {
    assert_eq!(told(&world(), &PLAIN), []);
}

#[test]
fn every_kind_is_told_by_its_name_and_soon() {
    let onset = 180;
    type Fault = fn(&mut [Vec<f64>; 2]);
    let cases: [(Fault, DriftKind, usize); 6] = [
        (|f| from(180, &mut f[1], |v| v * 0.5), DriftKind::Hollow, 14),
        (|f| from(180, &mut f[0], |v| v * 2.2), DriftKind::Gaming, 21),
        (|f| from(180, &mut f[1], |v| v * 1.7), DriftKind::Uncredited, 14),
        (|f| from(180, &mut f[0], |_| 0.0), DriftKind::FeedGap, 3),
        (|f| from(180, &mut f[1], |v| v * 100.0), DriftKind::UnitChange, 2),
        (|f| from(180, &mut f[0], |v| v * 0.01), DriftKind::UnitChange, 2),
    ];
    for (fault, kind, within) in cases {
        let mut flows = world();
        fault(&mut flows);
        let told = told(&flows, &PLAIN);
        let (first, at) = told.first().copied().unwrap();
        assert_eq!(first, kind);
        assert!((onset..=onset + within).contains(&at), "{kind:?} on day {at}");
    }
}

#[test]
fn a_parent_that_stops_to_answer_at_the_same_level_is_a_weak_link() {
    let healthy = answering(420, |_| Some(5));
    assert_eq!(told(&healthy, &PLAIN), []);
    let apart = answering(420, |day| (day < 250).then_some(5));
    let told = findings(&apart, &PLAIN);
    let kinds: Vec<DriftKind> = told.iter().map(|(_, finding)| finding.kind).collect();
    assert_eq!(kinds, [DriftKind::WeakLink], "{told:?}");
    let (at, finding) = &told[0];
    assert!((255..=330).contains(at), "told on day {at}");
    let since = finding.since - FIRST;
    assert!((240..=275).contains(&since), "since day {since}");
    let answer = finding.answer.unwrap();
    assert!(answer.share < 0.3, "{answer:?}");
    assert_eq!(answer.lag_days, [6.0, 6.0]);
}

#[test]
fn a_parent_that_answers_later_is_told_as_that() {
    let later = answering(420, |day| Some(if day < 250 { 5 } else { 20 }));
    let told = findings(&later, &PLAIN);
    let (at, finding) = told
        .iter()
        .find(|(_, finding)| finding.kind == DriftKind::LagChange)
        .unwrap();
    assert!((265..=330).contains(at), "told on day {at}");
    let [before, now] = finding.answer.unwrap().lag_days;
    assert!(before == 6.0 && (20.0..=22.0).contains(&now), "{before} {now}");
    assert!(
        !told
            .iter()
            .any(|(_, finding)| finding.kind == DriftKind::WeakLink),
        "{told:?}"
    );
}

#[test]
fn a_shock_to_both_is_no_answer_that_is_missing() {
    let mut flows = answering(420, |_| Some(5));
    for day in 300..330 {
        for flow in &mut flows {
            flow[day] *= 0.5;
        }
    }
    let told = told(&flows, &PLAIN);
    let of_answer =
        |(kind, _): &(DriftKind, usize)| matches!(kind, DriftKind::WeakLink | DriftKind::LagChange);
    assert!(!told.iter().any(of_answer), "{told:?}");
}

#[test]
fn what_changes_no_verdict() {
    let mut flows = world();
    from(180, &mut flows[1], |v| v * 0.6);
    let expected = told(&flows, &PLAIN);
    assert_eq!(expected.first().map(|(kind, _)| *kind), Some(DriftKind::Hollow));
    let same = [
        (
            "units",
            Run {
                scale: [0.001, 1000.0],
                ..PLAIN
            },
        ),
        (
            "whole weeks",
            Run {
                first: FIRST + 7 * 60,
                ..PLAIN
            },
        ),
        (
            "restarts",
            Run {
                restarts: true,
                ..PLAIN
            },
        ),
    ];
    let apart = answering(420, |day| (day < 250).then_some(5));
    let expected_of_apart = told(&apart, &PLAIN);
    assert_eq!(
        expected_of_apart.first().map(|(kind, _)| *kind),
        Some(DriftKind::WeakLink)
    );
    for (what, run) in same {
        assert_eq!(told(&flows, &run), expected, "{what}");
        // Other days end a quarter then, and evidence that grows for weeks passes its limit a day or two before or after.
        let of_apart = told(&apart, &run);
        assert_eq!(of_apart.len(), 1, "{what}: {of_apart:?}");
        let (kind, at) = of_apart[0];
        let (expected_kind, expected_at) = expected_of_apart[0];
        assert_eq!(kind, expected_kind, "{what}");
        assert!(
            at.abs_diff(expected_at) <= if what == "whole weeks" { 3 } else { 0 },
            "{what}"
        );
    }
}

#[test]
fn a_link_without_targets_is_judged_as_well() {
    let mut flows = world();
    from(180, &mut flows[1], |v| v * 0.5);
    let (tuning, days) = (Tuning::default(), Days::default());
    let mut link = Link::new(FIRST, Before::default(), Before::default(), &days, &tuning);
    let mut told = None;
    for at in 0..DAYS {
        let flow = |side: usize| -> Vec<Option<f64>> {
            let values = &flows[side][at.saturating_sub(47)..=at];
            values.iter().copied().map(Some).collect()
        };
        let (kpi, parent) = (flow(0), flow(1));
        let input = |flow| DayInput { flow, targets: &[] };
        link.close(FIRST + at as i32, input(&kpi), input(&parent), &days, &tuning);
        let finding = link.reading(&tuning).findings.first().copied();
        told = told.or(finding.map(|finding| (finding.kind, at)));
    }
    let (kind, at) = told.unwrap();
    assert_eq!(kind, DriftKind::Hollow);
    assert!((180..=194).contains(&at), "day {at}");
}

#[test]
fn targets_in_another_unit_and_none_at_all_are_no_less_sharp() {
    let mut flows = answering(DAYS, |_| Some(2));
    from(180, &mut flows[1], |value| value * 0.75);
    let of = |target_unit| {
        let found = findings(&flows, &Run { target_unit, ..PLAIN });
        let hollow = found
            .into_iter()
            .find(|(_, finding)| finding.kind == DriftKind::Hollow);
        let (day, finding) = hollow.unwrap_or_else(|| panic!("{target_unit:?}"));
        (day, finding.gap)
    };
    let (day, gap) = of(Some(1.0));
    for unit in [Some(33.0), Some(1.0 / 33.0), None] {
        let (other_day, other_gap) = of(unit);
        assert!(day.abs_diff(other_day) <= 2, "{unit:?}: {other_day} for {day}");
        assert!((gap - other_gap).abs() < 0.04, "{unit:?}: {other_gap} for {gap}");
    }
}

#[test]
fn both_falling_together_is_no_drift() {
    let mut flows = world();
    flows.iter_mut().for_each(|flow| from(180, flow, |v| v * 0.6));
    assert_eq!(told(&flows, &PLAIN), []);
}

#[test]
fn nothing_and_nonsense_are_no_verdict() {
    let empty = vec![0.0; DAYS];
    for flows in [
        [empty.clone(), empty.clone()],
        [world()[0].clone(), vec![f64::NAN; DAYS]],
        [vec![1.0], vec![1.0]],
    ] {
        let said: Vec<_> = told(&flows, &PLAIN)
            .into_iter()
            .filter(|(kind, _)| *kind != DriftKind::FeedGap)
            .collect();
        assert_eq!(said, []);
    }
    let young = Link::new(
        FIRST,
        Before::default(),
        Before::default(),
        &Days::default(),
        &Tuning::default(),
    );
    let reading: Reading = young.reading(&Tuning::default());
    assert_eq!(
        (
            reading.gap,
            reading.strength,
            reading.lag_days,
            reading.elasticity
        ),
        (None, None, None, None)
    );
}

/// What is known of a link after its last day; `turned` makes the parent less of it the better.
fn known(turned: bool) -> Reading {
    let (tuning, days) = (Tuning::default(), Days::default());
    let [kpi, parent] = world();
    let parent: Vec<f64> = parent
        .iter()
        .map(|value| if turned { 25e6 / value } else { *value })
        .collect();
    let before = Before {
        lower: turned,
        ..Before::default()
    };
    let mut link = Link::new(FIRST, Before::default(), before, &days, &tuning);
    for at in 0..DAYS {
        let flow = |values: &[f64]| {
            values[at.saturating_sub(47)..=at]
                .iter()
                .copied()
                .map(Some)
                .collect::<Vec<_>>()
        };
        let (kpi, parent) = (flow(&kpi), flow(&parent));
        let input = |flow| DayInput { flow, targets: &[] };
        link.close(FIRST + at as i32, input(&kpi), input(&parent), &days, &tuning);
    }
    link.reading(&tuning)
}

#[test]
fn the_elasticity_is_of_the_values_whichever_way_is_good() {
    // The slow waves are of 10 and 8 per cent.
    let as_is = known(false).elasticity.unwrap();
    assert!((as_is - 0.8).abs() < 0.2, "{as_is}");
    let turned = known(true).elasticity.unwrap();
    assert!((turned + 0.8).abs() < 0.2, "{turned}");
}

/// First days on which each of the KPIs of one parent is told, by kind: what each serves is explained by all.
fn told_of_all(kpis: &[Vec<f64>], parent: &[f64]) -> Vec<Vec<(DriftKind, usize)>> {
    let (tuning, days) = (Tuning::default(), Days::default());
    let new = || Link::new(FIRST, Before::default(), Before::default(), &days, &tuning);
    let mut links: Vec<Link> = kpis.iter().map(|_| new()).collect();
    let mut told: Vec<Vec<(DriftKind, usize)>> = vec![Vec::new(); kpis.len()];
    for at in 0..parent.len() {
        let flow = |values: &[f64]| -> Vec<Option<f64>> {
            let known = &values[at.saturating_sub(47)..=at];
            known.iter().copied().map(Some).collect()
        };
        let of_parent = flow(parent);
        let before: Vec<Voice> = links.iter().map(|link| link.voice(&tuning)).collect();
        for (n, kpi) in kpis.iter().enumerate() {
            let others = before.iter().enumerate().filter(|(other, _)| *other != n);
            let others: Vec<&Voice> = others.map(|(_, voice)| voice).collect();
            let of_kpi = flow(kpi);
            let input = |flow| DayInput { flow, targets: &[] };
            let sides = [input(&of_kpi), input(&of_parent)];
            links[n].close_among(&others, FIRST + at as i32, sides, &days, &tuning);
            for finding in links[n].reading(&tuning).findings {
                if !told[n].iter().any(|(kind, _)| *kind == finding.kind) {
                    told[n].push((finding.kind, at));
                }
            }
        }
    }
    told
}

/// A KPI that is always the same but for weekdays, one that swings by a quarter and brings the parent nine tenths of it, the
/// parent, and a KPI that has nothing to do with it.
fn family() -> ([Vec<f64>; 2], Vec<f64>, Vec<f64>) {
    let weekday = |day: usize| [1.1, 1.1, 1.0, 1.0, 1.0, 0.9, 0.9][day % 7];
    let wave = |day: usize, length: f64, size: f64| 1.0 + size * (day as f64 / length).sin();
    let steady = |day| 300.0 * weekday(day) * wave(day, 1.7, 0.04);
    let swinging = |day| 100.0 * weekday(day) * wave(day, 13.0, 0.25);
    let parent = |day| 5000.0 * weekday(day) * wave(day, 13.0, 0.22) * wave(day, 2.3, 0.03);
    let unrelated = |day| 80.0 * weekday(day) * wave(day, 31.0, 0.1);
    (
        [(0..DAYS).map(steady).collect(), (0..DAYS).map(swinging).collect()],
        (0..DAYS).map(parent).collect(),
        (0..DAYS).map(unrelated).collect(),
    )
}

#[test]
fn a_kpi_is_not_blamed_for_what_another_one_explains() {
    let ([steady, mut swinging], mut parent, unrelated) = family();
    from(180, &mut swinging, |v| v * 0.5);
    from(180, &mut parent, |v| v * 0.53);
    // By itself the steady one is: it goes on as ever, and the parent halves.
    let alone = told_of_all(std::slice::from_ref(&steady), &parent);
    assert_eq!(alone[0].first().map(|(kind, _)| *kind), Some(DriftKind::Hollow));
    let together = told_of_all(&[steady.clone(), swinging.clone()], &parent);
    assert_eq!(together, [vec![], vec![]]);
    // A link that has nothing to do with it changes no verdict of the others.
    let with_another = told_of_all(&[steady, swinging, unrelated], &parent);
    assert_eq!(with_another[..2], together);
}

#[test]
fn what_no_kpi_explains_is_told_of_each() {
    let ([steady, swinging], mut parent, unrelated) = family();
    from(180, &mut parent, |v| v * 0.5);
    let of_two = told_of_all(&[steady.clone(), swinging.clone()], &parent);
    for told in &of_two {
        let (kind, at) = told[0];
        assert!(kind == DriftKind::Hollow && (180..=208).contains(&at), "{told:?}");
    }
    assert_eq!(told_of_all(&[steady, swinging, unrelated], &parent)[..2], of_two);
}

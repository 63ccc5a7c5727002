//! Links as worked-out cases: series without any chance, whose verdict, first day and size follow on paper.

use super::link::{
    Announced, Before, DayInput, Days, Finding, Link, Reading, Side, Special, Tuning, date_of,
};
use crate::catalog::attribute::DriftKind;

/// 2024-01-01, a Monday.
const FIRST: i32 = 19_723;

/// What one side of a link brings.
type Known<'a> = &'a dyn Fn(usize, usize) -> Option<f64>;

/// A link from its first day on. Days are counted from it.
struct Case<'a> {
    length: usize,
    before: [Before; 2],
    days: Days,
    /// What an event day brought, as known at the close of another one: event day, closing day.
    known: [Known<'a>; 2],
    /// What is announced on a day, of a side.
    announced: &'a dyn Fn(usize, usize) -> Option<Announced>,
    /// Whether a day is closed: those on which there is no instance are not.
    is_closed: &'a dyn Fn(usize) -> bool,
}

impl<'a> Case<'a> {
    /// Without targets, holidays or late data.
    fn new(length: usize, kpi: Known<'a>, parent: Known<'a>) -> Case<'a> {
        Case {
            length,
            before: [Before::default(); 2],
            days: Days::default(),
            known: [kpi, parent],
            announced: &|_, _| None,
            is_closed: &|_| true,
        }
    }

    /// What is known of the link at the close of every day.
    fn readings(&self) -> Vec<Reading> {
        let tuning = Tuning::default();
        let [kpi, parent] = self.before;
        let mut link = Link::new(FIRST, kpi, parent, &self.days, &tuning);
        let closes = (0..self.length).map(|day| {
            if !(self.is_closed)(day) {
                return link.reading(&tuning);
            }
            let of = |side: usize| -> (Vec<Option<f64>>, Option<Announced>) {
                let latest = (day + 1).saturating_sub(48)..=day;
                let flow = latest.map(|event_day| self.known[side](event_day, day));
                (flow.collect(), (self.announced)(side, day))
            };
            let [(kpi, of_kpi), (parent, of_parent)] = [of(0), of(1)];
            let kpi = DayInput {
                flow: &kpi,
                targets: of_kpi.as_slice(),
            };
            let parent = DayInput {
                flow: &parent,
                targets: of_parent.as_slice(),
            };
            link.close(FIRST + day as i32, kpi, parent, &self.days, &tuning);
            link.reading(&tuning)
        });
        closes.collect()
    }
}

/// What is told of any kind when it is told first, with the day, counted from the first one.
fn told(readings: &[Reading]) -> Vec<(usize, Finding)> {
    let mut told: Vec<(usize, Finding)> = Vec::new();
    for (day, reading) in readings.iter().enumerate() {
        for finding in &reading.findings {
            if !told.iter().any(|(_, known)| known.kind == finding.kind) {
                told.push((day, *finding));
            }
        }
    }
    told
}

/// Kinds that are told, with the days.
fn kinds(readings: &[Reading]) -> Vec<(DriftKind, usize)> {
    told(readings)
        .iter()
        .map(|(day, finding)| (finding.kind, *day))
        .collect()
}

/// 1 with a slow and a fast wave, so that there is something to answer to.
fn wave(day: usize) -> f64 {
    (1.0 + 0.1 * (day as f64 / 9.0).sin()) * (1.0 + 0.05 * (day as f64 / 1.7).sin())
}

const LEVEL: Before = Before {
    level: true,
    lower: false,
    last_year: None,
};

#[test]
fn a_level_of_nothing_is_a_value_and_no_silence() {
    let sales = |day: usize, _| Some(5000.0 * wave(day));
    let rate = |day: usize, _| Some(if day < 150 { 0.03 * wave(day) } else { 0.0 });
    let always = |_, _| Some(0.0);
    let read = |kpi: Known<'_>| {
        let mut case = Case::new(200, kpi, &sales);
        case.before[0] = Before { lower: true, ..LEVEL };
        kinds(&case.readings())
    };
    let is_of_feed = |(kind, _): &(DriftKind, usize)| matches!(kind, DriftKind::FeedGap);
    assert!(!read(&rate).iter().any(is_of_feed), "{:?}", read(&rate));
    assert_eq!(read(&always), []);
    // A day of nothing is a twentieth of what is expected, far off and not infinitely far.
    let mut case = Case::new(200, &rate, &sales);
    case.before[0] = LEVEL;
    let moves = told(&case.readings())[0].1.moves;
    assert!((-3.1..-1.0).contains(&moves[0]), "{moves:?}");
    // A day without any value is another thing: of a level that came on each of 150 days two in a row are bad luck.
    let gone = |day: usize, _| (day < 150).then(|| 0.03 * wave(day));
    assert_eq!(read(&gone).first(), Some(&(DriftKind::FeedGap, 152)));
}

#[test]
fn days_that_nobody_closed_are_not_those_of_long_before() {
    // For 60 days the business brought half. Later there is no instance for as long, and 128 days after the first of
    // the bad days is the first of those.
    let kpi = |day: usize, _| {
        Some(if (200..260).contains(&day) {
            0.0
        } else {
            100.0 * wave(day)
        })
    };
    let parent = |day: usize, _| {
        let share = if (72..132).contains(&day) { 0.5 } else { 1.0 };
        Some(5000.0 * wave(day) * share)
    };
    let mut case = Case::new(300, &kpi, &parent);
    case.is_closed = &|day| !(200..260).contains(&day);
    let readings = case.readings();
    assert_eq!(readings[199].findings, [], "it was over");
    for (day, reading) in readings.iter().enumerate().skip(260) {
        assert_eq!(reading.findings, [], "on day {day}");
    }
    // Windows of 28 days are judged by 12 of them: 16 days after the last one that was closed, and from 11 days after it
    // came back on.
    let judged = |day: usize| readings[day].judged_days - readings[199].judged_days;
    assert_eq!((judged(260), judged(270), judged(271)), (16, 16, 17));
}

/// The first day of the faults below: 30 May, far from the end of a quarter.
const ONSET: usize = 150;

/// Always the same, and times `factor` from [`ONSET`] on.
fn step(size: f64, factor: f64) -> impl Fn(usize, usize) -> Option<f64> {
    move |day, _| Some(if day < ONSET { size } else { size * factor })
}

fn close_to(a: f64, b: f64) -> bool {
    (a - b).abs() < 5e-4
}

/// What is told first: its kind, the day, its first day, its gap and the moves of KPI and parent.
fn first(readings: &[Reading]) -> (DriftKind, usize, usize, f64, [f64; 2]) {
    let (day, finding) = told(readings)[0];
    let since = usize::try_from(finding.since - FIRST).unwrap();
    (finding.kind, day, since, finding.gap, finding.moves)
}

/// Of series that are always the same the link knows no answer, the spread is
/// σ² = (0.0100²·112.5 + 0.09²·60) / 172.5 = 0.0537², and a window of 7 days is off by ln(1 + (factor − 1)·k/7) on the k-th
/// day of a fault. Each sum begins where that passes 1.7 spreads, and is over its limit at 10. The gap that is told is
/// smoothed: a fifth of each day's.
#[test]
fn a_business_that_halves_is_hollow_on_the_fifth_day() {
    let (kpi, parent) = (step(100.0, 1.0), step(5000.0, 0.5));
    let (levels, totals) = ([LEVEL; 2], [Before::default(); 2]);
    for before in [
        totals,
        levels,
        [LEVEL, Before::default()],
        [Before::default(), LEVEL],
    ] {
        let mut case = Case::new(190, &kpi, &parent);
        case.before = before;
        let readings = case.readings();
        // 1.38, 2.87, 4.49, 6.27 and 8.23 spreads: 0, 1.17, 3.96, 8.53 and 15.1.
        let (kind, day, since, gap, [of_kpi, of_parent]) = first(&readings);
        assert_eq!((kind, day, since), (DriftKind::Hollow, ONSET + 4, ONSET + 1));
        // 0.2·(0.8⁴·0.0741 + 0.8³·0.1542 + 0.8²·0.2412 + 0.8·0.3365 + 0.4418), and 0.15 and 0.85 of the parent's move.
        assert!(close_to(gap, -0.1949), "{gap}");
        assert!(
            close_to(of_kpi, 0.0) && close_to(of_parent, -0.1553),
            "{of_kpi} {of_parent}"
        );
        assert_eq!(told(&readings).len(), 1);
        let strength = readings[ONSET - 1].strength.unwrap();
        assert!(strength < 1e-3 && readings[ONSET - 1].elasticity.is_none());
    }
}

#[test]
fn a_business_that_doubles_is_uncredited_on_the_fourth_day() {
    let (kpi, parent) = (step(100.0, 1.0), step(5000.0, 2.0));
    let readings = Case::new(190, &kpi, &parent).readings();
    // 2.49, 4.68, 6.64 and 8.42 spreads: 0.79, 3.77, 8.71 and 15.4.
    let (kind, day, since, gap, _) = first(&readings);
    assert_eq!((kind, day, since), (DriftKind::Uncredited, ONSET + 3, ONSET));
    // 0.2·(0.8³·0.1335 + 0.8²·0.2513 + 0.8·0.3567 + 0.4520)
    assert!(close_to(gap, 0.1933), "{gap}");
    assert_eq!(told(&readings).len(), 1);
}

#[test]
fn a_kpi_that_jumps_alone_is_gaming_once_two_weeks_have_not_answered() {
    let (kpi, parent) = (step(100.0, 2.2), step(5000.0, 1.0));
    let readings = Case::new(190, &kpi, &parent).readings();
    // Fourteen days may pass; then at least 0.7·ln(1 + 1.2·j/7) is expected on the j-th: 2.06, 3.84, 5.41 and 6.81
    // spreads, 0.36, 2.50, 6.21 and 11.3.
    let (kind, day, since, gap, [of_kpi, of_parent]) = first(&readings);
    assert_eq!((kind, day, since), (DriftKind::Gaming, ONSET + 17, ONSET + 14));
    // 0.2·(0.8³·0.1108 + 0.8²·0.2064 + 0.8·0.2905 + 0.3655)
    assert!(close_to(gap, -0.1573), "{gap}");
    assert!(of_kpi > 0.7 && close_to(of_parent, 0.0), "{of_kpi} {of_parent}");
    assert_eq!(told(&readings).len(), 1);
}

#[test]
fn a_feed_that_falls_silent_is_told_on_the_third_day() {
    let (kpi, parent) = (step(100.0, 0.0), step(5000.0, 1.0));
    let readings = Case::new(170, &kpi, &parent).readings();
    // Of a day that was never silent the chance is 0.5 of some 100, 87 and 72 days remembered: 10⁻²·³, 10⁻⁴·⁶ and 10⁻⁶·⁷.
    let (kind, day, since, gap, _) = first(&readings);
    assert_eq!(
        (kind, day, since, gap),
        (DriftKind::FeedGap, ONSET + 2, ONSET, 0.0)
    );
    assert_eq!(told(&readings).len(), 1, "its days are judged as nothing else");
}

#[test]
fn another_unit_is_told_on_the_second_day_with_its_size() {
    for (factor, log) in [(100.0, 100f64.ln()), (0.01, -(100f64.ln()))] {
        for before in [Before::default(), LEVEL] {
            let (kpi, parent) = (step(100.0, 1.0), step(5000.0, factor));
            let mut case = Case::new(170, &kpi, &parent);
            case.before = [before; 2];
            let readings = case.readings();
            let (kind, day, since, gap, _) = first(&readings);
            assert_eq!((kind, day, since), (DriftKind::UnitChange, ONSET + 1, ONSET));
            assert!(close_to(gap, log), "{gap}");
            assert_eq!(told(&readings).len(), 1);
        }
    }
}

/// A rush that goes through both sides is no unit, and a step that nobody's business makes is one, of both.
#[test]
fn what_both_sides_share_is_another_unit_only_beyond_twenty_times() {
    let of = |factors: [f64; 2]| {
        let (kpi, parent) = (step(100.0, factors[0]), step(5000.0, factors[1]));
        let readings = Case::new(ONSET + 4, &kpi, &parent).readings();
        told(&readings)
            .iter()
            .filter(|(_, finding)| finding.kind == DriftKind::UnitChange)
            .map(|(_, finding)| finding.side.unwrap())
            .collect::<Vec<Side>>()
    };
    assert_eq!(of([8.0, 8.0]), []);
    assert_eq!(of([1.0 / 8.0, 1.0 / 8.0]), []);
    // Eight and twelve times: what is left of twelve is no size of a unit.
    assert_eq!(of([8.0, 12.0]), []);
    assert_eq!(of([1.0, 10.0]), [Side::Parent]);
    // A tenfold unit beside a business that has doubled is one.
    assert_eq!(of([2.1, 10.0]), [Side::Parent]);
    // The other way round it is not shared.
    assert_eq!(of([0.3, 10.0]), [Side::Parent]);
    let both = Case::new(ONSET + 4, &step(100.0, 100.0), &step(5000.0, 100.0)).readings();
    let sides: Vec<Option<Side>> = both[ONSET + 1].findings.iter().map(|f| f.side).collect();
    assert_eq!(sides, [Some(Side::Kpi), Some(Side::Parent)]);
}

/// Both sides triple, and months later the business loses three tenths: of a KPI that was still seen at three times its usual
/// level, a third more or less would be an answer.
#[test]
fn a_level_that_both_sides_have_moved_to_becomes_the_usual_one() {
    let told_on = |factor: f64| {
        let kpi = move |day: usize, _| Some(if day < ONSET { 100.0 } else { 100.0 * factor });
        let parent = move |day: usize, _| {
            let fallen = if day < ONSET + 100 { 1.0 } else { 0.7 };
            Some(5000.0 * if day < ONSET { 1.0 } else { factor } * fallen)
        };
        let readings = Case::new(ONSET + 160, &kpi, &parent).readings();
        let told = told(&readings);
        assert_eq!(told.len(), 1, "{told:?}");
        assert_eq!(told[0].1.kind, DriftKind::Hollow);
        told[0].0 - ONSET - 100
    };
    let steady = told_on(1.0);
    for factor in [3.0, 1.0 / 3.0] {
        let moved = told_on(factor);
        assert!(moved.abs_diff(steady) <= 2, "{moved} days for {steady}");
    }
}

/// A rush on special days is no unit either.
#[test]
fn a_rush_of_both_sides_on_special_days_is_no_unit() {
    let rush = |usual: f64| {
        move |day: usize, _| {
            let is_rush = (ONSET..ONSET + 2).contains(&day);
            Some(if is_rush { usual * 15.0 } else { usual })
        }
    };
    let (kpi, parent) = (rush(100.0), rush(5000.0));
    let mut case = Case::new(ONSET + 20, &kpi, &parent);
    let special = (ONSET..ONSET + 2).map(|day| (date_of(FIRST + day as i32), Special::Promotion));
    case.days = Days::new(special);
    assert_eq!(told(&case.readings()), []);
}

/// Tenfold for good: nobody's unit, and after some weeks the link is judged at that level.
#[test]
fn a_size_that_both_sides_have_kept_becomes_the_usual_one() {
    let kpi = |day: usize, _| Some(if day < ONSET { 100.0 } else { 1000.0 });
    let parent = |day: usize, _| {
        let fallen = if day < ONSET + 120 { 1.0 } else { 0.7 };
        Some(if day < ONSET { 5000.0 } else { 50_000.0 } * fallen)
    };
    let readings = Case::new(ONSET + 180, &kpi, &parent).readings();
    let [(day, finding)] = told(&readings)[..] else {
        panic!("{:?}", kinds(&readings));
    };
    assert_eq!(finding.kind, DriftKind::Hollow);
    assert!((ONSET + 120..ONSET + 140).contains(&day), "{day}");
}

/// 1 or −1, as good as by chance.
fn sign(day: usize) -> f64 {
    let mut x = (day as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    x ^= x >> 29;
    x = x.wrapping_mul(0xBF58_476D_1CE4_E5B9);
    x ^= x >> 32;
    if x & 1 == 0 { 1.0 } else { -1.0 }
}

/// A KPI that is a fifth above or below its usual level every day, and a parent that answers nine tenths of that, `lag(day)`
/// days later; `None`: not at all.
fn answered(lag: impl Fn(usize) -> Option<usize>) -> Vec<Reading> {
    let kpi = |day: usize, _| Some(100.0 * (0.2 * sign(day + 1000)).exp());
    let parent = |day: usize, _| {
        let answer = lag(day).map_or(0.0, |lag| 0.18 * sign(day + 1000 - lag));
        Some(5000.0 * answer.exp())
    };
    Case::new(340, &kpi, &parent).readings()
}

#[test]
fn an_answer_that_stops_is_a_weak_link_since_that_day() {
    let well = answered(|_| Some(5));
    assert_eq!(told(&well), []);
    let last = well.last().unwrap();
    assert_eq!(last.lag_days, Some(5.0));
    let gone = answered(|day| (day < 250).then_some(5));
    let [(day, finding)] = told(&gone)[..] else {
        panic!("{:?}", kinds(&gone))
    };
    assert_eq!((finding.kind, day), (DriftKind::WeakLink, 254));
    assert_eq!(finding.since - FIRST, 250);
    // At its limit of 10 it is e¹⁰ / (e¹⁰ + 999), and a sum of what it takes is no less.
    assert!((0.9566..0.999).contains(&finding.confidence), "{finding:?}");
    let answer = finding.answer.unwrap();
    assert_eq!(answer.lag_days, [5.0, 5.0]);
    // Nothing came; what is usual of late moves a little with the days that are missing.
    assert!(answer.share < 0.06, "{answer:?}");
}

#[test]
fn an_answer_that_comes_later_is_told_with_both_lags() {
    let later = answered(|day| Some(if day < 250 { 5 } else { 15 }));
    let [(day, finding)] = told(&later)[..] else {
        panic!("{:?}", kinds(&later))
    };
    assert_eq!((finding.kind, day), (DriftKind::LagChange, 262));
    // On the first two days the answer of 15 days ago was the same as that of five.
    assert_eq!(finding.since - FIRST, 252);
    assert_eq!(finding.answer.unwrap().lag_days, [5.0, 15.0]);
    // e¹² / 26 beside 999 is 0.86 where no other lag says anything.
    assert!((0.862..0.999).contains(&finding.confidence), "{finding:?}");
}

#[test]
fn days_are_judged_when_they_have_arrived() {
    // Everything is there three days later, of totals as 0 until then and of levels as nothing.
    for (before, until) in [(Before::default(), Some(0.0)), (LEVEL, None)] {
        let late = |day: usize, close: usize, value: f64| if day + 3 > close { until } else { Some(value) };
        let kpi = |day: usize, close: usize| late(day, close, 100.0);
        let parent = |day: usize, close: usize| late(day, close, if day < ONSET { 5000.0 } else { 2500.0 });
        let mut case = Case::new(190, &kpi, &parent);
        case.before = [before; 2];
        let readings = case.readings();
        // As without any delay, three days later.
        let (kind, day, since, ..) = first(&readings);
        assert_eq!((kind, day, since), (DriftKind::Hollow, ONSET + 4 + 3, ONSET + 1));
        let in_time = (step(100.0, 1.0), step(5000.0, 0.5));
        let in_time = Case::new(190, &in_time.0, &in_time.1).readings();
        let judged = |readings: &[Reading]| readings[ONSET - 1].judged_days;
        assert_eq!(judged(&readings), judged(&in_time) - 3);
        assert_eq!(told(&readings).len(), 1);
    }
}

/// Readings of a link that is always the same, with targets of 30 days that fit; from the day `at` on the parent's is
/// `factor` times as high. Days `at` that are no multiple of 30 set the running target anew.
fn retargeted(at: usize, factor: f64, before: Before) -> Vec<Reading> {
    let announced = |side: usize, day: usize| {
        let per_day = match side {
            0 => 100.0,
            _ if day >= at => 5000.0 * factor,
            _ => 5000.0,
        };
        let is_news = day.is_multiple_of(30) || side == 1 && day == at;
        let start = FIRST + (day / 30 * 30) as i32;
        is_news.then(|| Announced {
            start,
            end: start + 30,
            target: if before.level { per_day } else { 30.0 * per_day },
        })
    };
    let (kpi, parent) = (step(100.0, 1.0), step(5000.0, 1.0));
    let mut case = Case::new(200, &kpi, &parent);
    case.announced = &announced;
    case.before = [before; 2];
    case.readings()
}

#[test]
fn a_target_that_is_set_anew_is_a_new_plan_and_no_drift() {
    for before in [Before::default(), LEVEL] {
        // Within the period, or by more than a quarter between two.
        for (at, factor) in [(ONSET + 15, 1.2), (ONSET + 15, 0.5), (ONSET, 1.4), (ONSET, 0.5)] {
            let readings = retargeted(at, factor, before);
            assert_eq!(told(&readings), [], "{factor} on day {at}");
            let gap = readings[ONSET + 30].gap.unwrap();
            assert!(gap.abs() < 1e-9, "{gap}");
        }
    }
}

#[test]
fn a_target_that_grows_is_followed_as_far_as_plans_are_steady() {
    // After four steps of none a step of ln 1.2 = 0.182 makes their mean square 0.8⁵·0.0025 + 0.2·0.182² = 0.00747, so
    // 0.06² / 0.00747 = 0.482 of it is growth: 0.0879, by which 28 days are behind, and what is smoothed of it a little less.
    let readings = retargeted(ONSET, 1.2, Before::default());
    assert_eq!(told(&readings), []);
    let gap = readings[ONSET + 30].gap.unwrap();
    assert!((-0.0879..-0.08).contains(&gap), "{gap}");
}

#[test]
fn special_days_are_left_out_of_a_link() {
    // A long holiday without any business, quiet days around it, a make-up day and a promotion.
    let parent = |day: usize, _| {
        Some(match day {
            130..=132 => 0.0,
            127..=129 | 133..=135 => 2000.0,
            141 => 3000.0,
            155 | 156 => 45_000.0,
            _ => 5000.0,
        })
    };
    let kpi = step(100.0, 1.0);
    let mut case = Case::new(190, &kpi, &parent);
    assert!(!told(&case.readings()).is_empty(), "by itself each is a fault");
    let holidays = (130..=132).map(|day| (day, Special::Holiday));
    let others = [
        (141, Special::Workday),
        (155, Special::Promotion),
        (156, Special::Promotion),
    ];
    let special = holidays.chain(others);
    case.days = Days::new(special.map(|(day, kind)| (date_of(FIRST + day), kind)));
    for (day, reading) in case.readings().iter().enumerate() {
        assert_eq!(reading.findings, [], "on day {day}");
        let gap = reading.gap.unwrap_or(0.0);
        assert!(gap.abs() < 1e-6, "{gap} on day {day}");
    }
}

#[test]
fn whatever_comes_every_number_is_one() {
    let nonsense = [
        f64::INFINITY,
        f64::NEG_INFINITY,
        f64::NAN,
        f64::MAX,
        -f64::MAX,
        f64::MIN_POSITIVE,
        1e300,
        -5000.0,
        0.0,
    ];
    for bad in nonsense {
        // On one side or the other, now and then or always, of totals or levels.
        for case in 0..8 {
            let (side, is_always, is_level) = (case & 1, case & 2 > 0, case & 4 > 0);
            let is_bad = |of: usize, day: usize| of == side && (is_always || day % 11 == 3);
            let kpi = |day: usize, _| Some(if is_bad(0, day) { bad } else { 100.0 * wave(day) });
            let parent = |day: usize, _| Some(if is_bad(1, day) { bad } else { 5000.0 * wave(day) });
            let mut link = Case::new(260, &kpi, &parent);
            link.before.iter_mut().for_each(|before| before.level = is_level);
            for (day, reading) in link.readings().iter().enumerate() {
                let of_link = [
                    reading.gap,
                    reading.strength,
                    reading.lag_days,
                    reading.elasticity,
                ];
                let of_findings = reading.findings.iter().flat_map(|finding| {
                    let [kpi, parent] = finding.moves;
                    assert!((0.0..=1.0).contains(&finding.confidence), "{finding:?}");
                    [finding.gap, kpi, parent, finding.evidence, finding.confidence]
                });
                let of_scores = reading.scores.into_iter().chain(reading.sure);
                let mut all = of_scores.chain(of_link.into_iter().flatten()).chain(of_findings);
                assert!(
                    all.all(f64::is_finite),
                    "{bad} on day {day} of case {case}: {reading:?}"
                );
                assert!(
                    reading
                        .strength
                        .is_none_or(|strength| (0.0..=1.0).contains(&strength))
                );
                assert!(reading.lag_days.is_none_or(|lag| (0.0..=14.0).contains(&lag)));
                assert!(reading.scores.iter().all(|score| (0.0..=2.0).contains(score)));
                if !bad.is_finite() && !is_always {
                    // A day that is no number is a day without a value.
                    let is_feed = |finding: &Finding| finding.kind == DriftKind::FeedGap;
                    assert!(!reading.findings.iter().any(is_feed));
                }
            }
        }
    }
}

#[test]
fn values_below_nothing_are_not_judged() {
    let (kpi, parent) = (step(100.0, 1.0), step(-5000.0, 1.0));
    let readings = Case::new(190, &kpi, &parent).readings();
    let last = readings.last().unwrap();
    assert_eq!((last.judged_days, last.gap, last.findings.len()), (0, None, 0));
}

/// Independent normal numbers, as good as by chance: Box and Muller over a hash of the place.
fn normal(seed: usize, day: usize) -> f64 {
    let uniform = |salt: u64| {
        let mut x = (seed as u64) << 32 | day as u64;
        x = (x ^ salt).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        x ^= x >> 31;
        x = x.wrapping_mul(0xBF58_476D_1CE4_E5B9);
        x ^= x >> 29;
        x = x.wrapping_mul(0x94D0_49BB_1331_11EB);
        x ^= x >> 32;
        ((x >> 11) as f64 + 0.5) / (1u64 << 53) as f64
    };
    (-2.0 * uniform(1).ln()).sqrt() * (std::f64::consts::TAU * uniform(2)).cos()
}

#[test]
fn how_sure_a_link_is_holds_in_four_of_five_cases() {
    const LINKS: usize = 40;
    let mut within = [0, 0, 0];
    let mut widths = [0.0, 0.0];
    for seed in 0..LINKS {
        let moves = move |day: usize| 0.2 * normal(2 * seed, day + 20);
        let kpi = move |day: usize, _: usize| Some(1000.0 * moves(day).exp());
        // Eight tenths of each move come five days later, beside what the business does by itself.
        let own = move |day: usize| 0.15 * normal(2 * seed + 1, day);
        let parent = move |day: usize, _: usize| Some(50_000.0 * (0.8 * moves(day - 5) + own(day)).exp());
        let parent = move |day: usize, close: usize| {
            if day < 6 {
                Some(50_000.0)
            } else {
                parent(day, close)
            }
        };
        let reading = Case::new(330, &kpi, &parent).readings().pop().unwrap();
        let ranges = reading.ranges.unwrap();
        let holds = |[low, high]: [f64; 2], truth: f64| usize::from(low <= truth && truth <= high);
        within[0] += holds(ranges.strength, 0.16 / 0.16f64.hypot(0.15));
        within[1] += holds(ranges.elasticity, 0.8);
        within[2] += holds(ranges.lag_days, 5.0);
        widths[0] += (ranges.strength[1] - ranges.strength[0]) / LINKS as f64;
        widths[1] += (ranges.elasticity[1] - ranges.elasticity[0]) / LINKS as f64;
        assert!(
            reading
                .strength
                .is_none_or(|strength| holds(ranges.strength, strength) == 1)
        );
        assert!(
            reading
                .elasticity
                .is_none_or(|elasticity| holds(ranges.elasticity, elasticity) == 1)
        );
        assert!(
            reading
                .lag_days
                .is_some_and(|lag| holds(ranges.lag_days, lag) == 1)
        );
    }
    println!("{within:?} of {LINKS}, {widths:?}");
    for within in within {
        assert!(within * 10 >= LINKS * 6, "{within} of {LINKS}");
    }
    assert!(
        within[1] < LINKS && within[0] < LINKS,
        "{within:?}: they could be narrower"
    );
    assert!(widths[0] < 0.6 && widths[1] < 1.0, "{widths:?}");
}

#[test]
fn a_young_link_is_not_sure_of_anything() {
    let (kpi, parent) = (step(100.0, 1.0), step(5000.0, 1.0));
    for reading in Case::new(140, &kpi, &parent).readings() {
        assert!(reading.ranges.is_none(), "{reading:?}");
    }
}

//! Links as worked-out cases: series without any chance, whose verdict, first day and size follow on paper.

use super::link::{Announced, Before, DayInput, Days, Finding, Link, Reading, Tuning};
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

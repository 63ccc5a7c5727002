//! Completion and pace (spec: catalogue arithmetic). All shares are 0 to 1, all ratios 1 at the target.

use jiff::{Timestamp, ToSpan};

use super::snapshot::{Pace, Period};
use crate::catalog::{Band, Calendar, Direction, Profile};

/// Highest completion and pace of a node for which less is better: 0 against any target would be infinite.
pub const LOWER_CAP: f64 = 2.0;

/// Actual against target.
///
/// With v the value, T the target and B the baseline (0 unless given): higher is better (v − B) / (T − B); lower is
/// better with a baseline (B − v) / (B − T), else T / v, capped. `None` where the target has no completion.
pub fn completion(value: f64, target: f64, baseline: Option<f64>, direction: Direction) -> Option<f64> {
    let ratio = match (direction, baseline) {
        (Direction::Higher, baseline) => {
            let baseline = baseline.unwrap_or(0.0);
            (value - baseline) / (target - baseline)
        }
        (Direction::Lower, Some(baseline)) => (baseline - value) / (baseline - target),
        (Direction::Lower, None) if value <= 0.0 => LOWER_CAP,
        (Direction::Lower, None) => (target / value).min(LOWER_CAP),
    };
    ratio.is_finite().then_some(ratio)
}

/// What a pace is made of.
#[derive(Clone, Copy, Debug)]
pub struct PaceInput {
    /// Value so far.
    pub value: f64,
    /// Target.
    pub target: f64,
    /// The band, where the target is one.
    pub band: Option<Band>,
    /// Completion.
    pub completion: f64,
    /// Planned share by now.
    pub expected_share: f64,
    /// Share below which it is too early.
    pub min_share: f64,
    /// Whether there are too few events to say.
    pub is_few: bool,
    /// Which way is good.
    pub direction: Direction,
    /// Whether there is a baseline.
    pub has_baseline: bool,
    /// Whether the value grows with the period.
    pub accumulates: bool,
}

/// Completion against the planned share, for values that grow with the period; for levels it is the completion.
///
/// Of a total that should stay low and has no baseline, T·e is what may have been used by now: pace = T·e / v, capped. Of a
/// total that should end in a band, it is the completion of the band that the plan expects by now, e times as high and as wide.
pub fn pace(input: PaceInput) -> Pace {
    if input.expected_share < input.min_share || input.is_few {
        return Pace::TooEarly;
    }
    if let (true, Some(band)) = (input.accumulates, input.band) {
        return Pace::Ratio(band.of_share(input.expected_share).completion(input.value));
    }
    let ratio = match (input.accumulates, input.direction, input.has_baseline) {
        (false, _, _) => input.completion,
        (true, Direction::Lower, false) if input.value <= 0.0 => LOWER_CAP,
        (true, Direction::Lower, false) => (input.target * input.expected_share / input.value).min(LOWER_CAP),
        (true, _, _) => input.completion / input.expected_share,
    };
    if ratio.is_finite() {
        Pace::Ratio(ratio)
    } else {
        Pace::None
    }
}

/// Share of the period that has passed at a moment.
pub fn elapsed(period: &Period, at: Timestamp, calendar: &Calendar) -> f64 {
    share(period.starts_at(calendar), period.ends_at(calendar), at)
}

/// Share of the target that a plan by the calendar alone expects at a moment: by working time, or by time.
pub(crate) fn expected_share(profile: Profile, period: &Period, at: Timestamp, calendar: &Calendar) -> f64 {
    match profile {
        Profile::Workdays => by_workdays(period, at, calendar),
        _ => elapsed(period, at, calendar),
    }
}

/// Share of a local day that has passed at a moment.
pub(super) fn elapsed_of_day(day: jiff::civil::Date, at: Timestamp, calendar: &Calendar) -> f64 {
    share(
        calendar.start_of(day),
        calendar.start_of(day.saturating_add(1.day())),
        at,
    )
}

/// Working time passed over working time of the period; linear in a period without a working day.
fn by_workdays(period: &Period, at: Timestamp, calendar: &Calendar) -> f64 {
    let today = calendar.day_of(at);
    let (mut done, mut all) = (0.0, 0.0);
    let mut day = period.start;
    while day < period.end {
        let next = day.saturating_add(1.day());
        if calendar.is_workday(day) {
            all += 1.0;
            if day < today {
                done += 1.0;
            } else if day == today {
                done += share(calendar.start_of(day), calendar.start_of(next), at);
            }
        }
        day = next;
    }
    if all > 0.0 {
        done / all
    } else {
        elapsed(period, at, calendar)
    }
}

fn share(start: Timestamp, end: Timestamp, at: Timestamp) -> f64 {
    let (whole, part) = (
        end.duration_since(start).as_secs_f64(),
        at.duration_since(start).as_secs_f64(),
    );
    if whole > 0.0 {
        (part / whole).clamp(0.0, 1.0)
    } else {
        1.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::PeriodKind;
    use crate::catalog::load::{Files, load};

    #[test]
    fn completion_by_direction_and_baseline() {
        use Direction::*;
        for (value, target, baseline, direction, expected) in [
            (60.0, 120.0, None, Higher, Some(0.5)),
            (110.0, 120.0, Some(100.0), Higher, Some(0.5)),
            (-10.0, 120.0, None, Higher, Some(-10.0 / 120.0)),
            (4.0, 3.0, Some(5.0), Lower, Some(0.5)),
            (6.0, 3.0, None, Lower, Some(0.5)),
            (1.0, 3.0, None, Lower, Some(LOWER_CAP)),
            (0.0, 3.0, None, Lower, Some(LOWER_CAP)),
            (1.0, 0.0, None, Higher, None),
        ] {
            assert_eq!(
                completion(value, target, baseline, direction),
                expected,
                "{value} {target}"
            );
        }
    }

    #[test]
    fn pace_of_totals_and_levels() {
        let input = PaceInput {
            value: 60.0,
            target: 120.0,
            band: None,
            completion: 0.5,
            expected_share: 0.4,
            min_share: 0.05,
            is_few: false,
            direction: Direction::Higher,
            has_baseline: false,
            accumulates: true,
        };
        assert_eq!(pace(input), Pace::Ratio(1.25));
        // At 40 % of the plan the band of 100 to 150 is one of 40 to 60: 60 is within it, 64 is 4 of 20 above.
        let banded = |value: f64| {
            pace(PaceInput {
                value,
                band: Band::new(100.0, 150.0),
                ..input
            })
        };
        assert_eq!(
            (banded(60.0), banded(64.0), banded(36.0)),
            (Pace::Ratio(1.0), Pace::Ratio(0.8), Pace::Ratio(0.8))
        );
        assert_eq!(
            pace(PaceInput {
                accumulates: false,
                ..input
            }),
            Pace::Ratio(0.5)
        );
        assert_eq!(
            pace(PaceInput {
                expected_share: 0.04,
                ..input
            }),
            Pace::TooEarly
        );
        // 60 of 120 refunds used when 48 might be.
        assert_eq!(
            pace(PaceInput {
                direction: Direction::Lower,
                ..input
            }),
            Pace::Ratio(0.8)
        );
        assert_eq!(
            pace(PaceInput {
                direction: Direction::Lower,
                value: 0.0,
                ..input
            }),
            Pace::Ratio(LOWER_CAP)
        );
    }

    #[test]
    fn workdays_count_holidays_and_make_up_days() {
        let yaml = "calendar: {timezone: Asia/Shanghai, workdays: [mon, tue, wed, thu, fri], holidays: h.csv}\nsources: {s: {topics: [t], format: json, fields: {}}}\n";
        let holidays = "date,kind,name\n2026-10-01,holiday,a\n2026-10-02,holiday,a\n2026-10-10,workday,b\n";
        let calendar = load(&Files::new("", [("a.yaml", yaml), ("h.csv", holidays)]))
            .unwrap()
            .calendar;
        let period = Period::containing(PeriodKind::Month, "2026-10-01".parse().unwrap(), &calendar);
        let at = |text: &str| expected_share(Profile::Workdays, &period, text.parse().unwrap(), &calendar);
        // October 2026 has 22 weekdays; two are holidays, one Saturday is worked.
        assert_eq!(at("2026-10-05T00:00:00+08:00"), 0.0);
        assert_eq!(at("2026-10-05T12:00:00+08:00"), 0.5 / 21.0);
        assert_eq!(at("2026-10-11T00:00:00+08:00"), 6.0 / 21.0);
        assert_eq!(at("2026-11-01T00:00:00+08:00"), 1.0);
        assert_eq!(
            elapsed(&period, "2026-10-16T12:00:00+08:00".parse().unwrap(), &calendar),
            0.5
        );
    }
}

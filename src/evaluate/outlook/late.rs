//! Days that have not come whole: how much of each is missing, by how late their volume usually comes.

/// Ages in days that are told apart; what is older counts as the last.
pub const AGES: usize = 16;
/// Same weekdays before it that a day is compared with, and the days that they reach back.
const WEEKS: usize = 4;
const REACH: usize = 7 * WEEKS;
/// The least share of a day that is scaled up to a whole one, where there is no day to compare it with.
const LEAST_SHARE: f64 = 0.2;
/// A share that may be missing of what is not late: more than one close teaches.
const IN_TIME: f64 = 0.1;
/// The most of what is usual that is believed of a day before it is whole: what has come beyond its share of that came early.
const MOST: f64 = 2.0;

/// The share of a day's volume that has usually come by the end of the day itself, of the day after it, and so on. More than 1
/// where some of it is taken back later.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Arrived([f64; AGES]);

impl Arrived {
    /// Of the share that comes at each age; `None` where days are as good as whole when they end, where nothing comes, and where
    /// most of what comes is taken back.
    pub fn of(by_age: &[f64; AGES]) -> Option<Arrived> {
        let all: f64 = by_age.iter().sum();
        let mut sum = 0.0;
        let shares = by_age.map(|came| {
            sum += came;
            sum / all
        });
        let is_late = shares.iter().any(|share| (1.0 - share).abs() > IN_TIME);
        let is_known = all > 0.0 && shares.iter().all(|share| (0.0..=MOST).contains(share));
        (is_late && is_known).then_some(Arrived(shares))
    }

    /// What has come by the end of a day of an age; today is 0.
    fn by(&self, age: usize) -> f64 {
        if age + 1 < AGES { self.0[age] } else { 1.0 }
    }
}

/// What is missing of a day of which a share has come. With a share of A, v so far, and E that is usual it is
/// (1 − A)·(v + (1 − A)·E): taken from v / A and from E with weights of A and 1 − A (Benktander 1976, "An approach to credibility
/// in calculating IBNR for casualty excess reinsurance", The Actuarial Review). v counts up to twice A·E in it; what is beyond has come
/// early, and is missing no more.
fn missing(share: f64, brought: f64, usual: Option<f64>) -> f64 {
    let usual = usual.unwrap_or_else(|| brought / share.max(LEAST_SHARE));
    let early = (brought - MOST * share * usual).max(0.0);
    let missing = (1.0 - share) * (brought - early + (1.0 - share) * usual);
    if early > 0.0 {
        (missing - early).max(0.0)
    } else {
        missing
    }
}

/// The median of the same weekdays before a day, by its place: a holiday among them says nothing.
fn usual(days: &[f64], at: usize) -> Option<f64> {
    let mut before = [0.0; WEEKS];
    let mut count = 0;
    for week in 1..=WEEKS {
        let Some(day) = at.checked_sub(7 * week) else {
            break;
        };
        before[count] = days[day];
        count += 1;
    }
    let before = &mut before[..count];
    before.sort_unstable_by(f64::total_cmp);
    (count > 0).then(|| f64::midpoint(before[(count - 1) / 2], before[count / 2]))
}

/// What was awaited of the latest days as the last of them closed.
#[derive(Clone, PartialEq, Debug)]
pub struct Awaited {
    arrived: Arrived,
    /// The last day that was closed.
    closed_to: i32,
    /// What each of them had brought then, the last one first, and what it is to come to.
    days: [(f64, f64); AGES - 1],
}

impl Awaited {
    /// Of days up to the one that closed last, as known then; there is nothing before `first_day`.
    pub fn of(arrived: Arrived, closed_to: i32, first_day: i32, brought: impl Fn(i32) -> f64) -> Awaited {
        let from = first_day.max(closed_to + 1 - (AGES + REACH) as i32);
        let mut days: Vec<f64> = (from..=closed_to).map(brought).collect();
        let mut awaited = [(0.0, 0.0); AGES - 1];
        // The oldest first: the same weekday before is whole then.
        for age in (0..AGES - 1).rev() {
            let Some(at) = days.len().checked_sub(age + 1) else {
                continue;
            };
            let brought = days[at];
            days[at] += missing(arrived.by(age), brought, usual(&days, at));
            awaited[age] = (brought, days[at]);
        }
        Awaited {
            arrived,
            closed_to,
            days: awaited,
        }
    }

    /// Adds to each of the latest days of a history, the last one yesterday, what is missing of it, and says how much that is of
    /// the days from number `since` on. `is_closing`: today has ended. `None` where another day than yesterday closed last: how
    /// much has come of what was awaited cannot be told then.
    ///
    /// While a day goes by, what is awaited of an earlier one comes at once or by and by: its share is as far on as that has come.
    pub fn complete(&self, days: &mut [f64], today: i32, since: usize, is_closing: bool) -> Option<Late> {
        if today != self.closed_to + 1 {
            return None;
        }
        let mut late = Late {
            missing: 0.0,
            worth: 0.0,
            of_today: self.arrived.by(0),
        };
        for age in (1..AGES).rev() {
            let Some(at) = days.len().checked_sub(age) else {
                continue;
            };
            let brought = days[at];
            let (before, by_now) = (self.arrived.by(age - 1), self.arrived.by(age));
            let (then, whole) = self.days[age - 1];
            let due = whole * (by_now - before);
            let came = if is_closing || due == 0.0 {
                1.0
            } else {
                ((brought - then) / due).clamp(0.0, 1.0)
            };
            let share = before + came * (by_now - before);
            let missing = missing(share, brought, usual(days, at));
            days[at] += missing;
            if at >= since {
                late.missing += missing;
                late.worth += if days[at] > 0.0 {
                    (missing / days[at]).clamp(0.0, 1.0)
                } else {
                    0.0
                };
            }
        }
        Some(late)
    }
}

/// What is missing of the days of a running period.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Late {
    /// Of days before today.
    pub(super) missing: f64,
    /// How many whole days that is.
    pub(super) worth: f64,
    /// The share of what today will have brought that comes today.
    of_today: f64,
}

impl Late {
    /// The share of today's volume that is yet to come when a share of today has passed.
    pub(super) fn rest_of_today(&self, share_of_today: f64) -> f64 {
        1.0 - share_of_today * self.of_today
    }

    /// Tells it from others.
    pub fn mark(&self) -> u64 {
        [self.missing, self.worth, self.of_today]
            .iter()
            .fold(1, |mark: u64, part| (mark ^ part.to_bits()).rotate_left(23))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TODAY: i32 = 30;

    /// Shares by age.
    fn arrived(shares: &[f64]) -> Arrived {
        let mut by_age = [0.0; AGES];
        by_age[..shares.len()].copy_from_slice(shares);
        Arrived::of(&by_age).unwrap()
    }

    /// Of 30 days of a hundred each, but for the last ones as they were at the last close, what is missing with the last ones as
    /// they are now; and yesterday, completed.
    fn missing(shares: &[f64], then: &[f64], now: &[f64], is_closing: bool) -> (f64, f64) {
        let days = |last: &[f64]| {
            let mut days = vec![100.0; TODAY as usize];
            days[TODAY as usize - last.len()..].copy_from_slice(last);
            days
        };
        let closed = days(then);
        let awaited = Awaited::of(arrived(shares), TODAY - 1, 0, |day| closed[day as usize]);
        let mut now = days(now);
        let late = awaited.complete(&mut now, TODAY, 0, is_closing).unwrap();
        (late.missing, now[TODAY as usize - 1])
    }

    fn is_about((missing, yesterday): (f64, f64), expected: (f64, f64)) {
        assert!(
            (missing - expected.0).abs() < 1e-9 && (yesterday - expected.1).abs() < 1e-9,
            "{missing} and {yesterday}, expected {expected:?}"
        );
    }

    /// Half of a day comes on it, three tenths a day later, two tenths another day later.
    const BY_AND_BY: [f64; 3] = [0.5, 0.3, 0.2];

    #[test]
    fn what_is_as_usual_is_completed_to_what_is_usual() {
        // As the day ends, yesterday has 80 and the day before is whole.
        is_about(
            missing(&BY_AND_BY, &[80.0, 50.0], &[100.0, 80.0], true),
            (20.0, 100.0),
        );
        // As it begins; when what comes today has come; half way.
        is_about(
            missing(&BY_AND_BY, &[80.0, 50.0], &[80.0, 50.0], false),
            (70.0, 100.0),
        );
        is_about(
            missing(&BY_AND_BY, &[80.0, 50.0], &[100.0, 80.0], false),
            (20.0, 100.0),
        );
        is_about(
            missing(&BY_AND_BY, &[80.0, 50.0], &[90.0, 65.0], false),
            (45.0, 100.0),
        );
    }

    #[test]
    fn what_differs_is_completed_between_itself_and_what_is_usual() {
        // 0.8 has come of 200, 160: a fifth of 160 and of a fifth of 100.
        let more = 0.2 * (160.0 + 0.2 * 100.0);
        is_about(
            missing(&BY_AND_BY, &[100.0, 100.0], &[100.0, 160.0], true),
            (more, 160.0 + more),
        );
    }

    #[test]
    fn a_batch_is_not_counted_twice_when_it_has_come() {
        let nightly = [0.0, 1.0];
        // Before it comes, all of yesterday is missing; then nothing, whatever the hour.
        is_about(missing(&nightly, &[0.0], &[0.0], false), (100.0, 100.0));
        is_about(missing(&nightly, &[0.0], &[100.0], false), (0.0, 100.0));
        is_about(missing(&nightly, &[0.0], &[130.0], false), (0.0, 130.0));
        is_about(missing(&nightly, &[0.0], &[130.0], true), (0.0, 130.0));
        // Less than usual may be a part until the day ends.
        is_about(missing(&nightly, &[0.0], &[80.0], false), (20.0, 100.0));
        is_about(missing(&nightly, &[0.0], &[80.0], true), (0.0, 80.0));
    }

    #[test]
    fn what_came_early_is_not_missing_any_more() {
        let nightly = [0.0, 1.0];
        // The batch of the night came an hour before midnight.
        is_about(missing(&nightly, &[100.0], &[100.0], false), (0.0, 100.0));
        is_about(missing(&nightly, &[70.0], &[70.0], false), (30.0, 100.0));
        // Half is there by its end: up to twice the usual it is a good day, beyond that some has come early.
        is_about(
            missing(&BY_AND_BY, &[80.0, 100.0], &[80.0, 100.0], false),
            (95.0, 175.0),
        );
        is_about(
            missing(&BY_AND_BY, &[80.0, 150.0], &[80.0, 150.0], false),
            (45.0, 175.0),
        );
        is_about(
            missing(&BY_AND_BY, &[80.0, 300.0], &[80.0, 300.0], false),
            (20.0, 300.0),
        );
    }

    #[test]
    fn a_holiday_does_not_say_what_is_usual() {
        let mut days = [100.0; 30];
        days[22] = 800.0;
        assert_eq!(usual(&days, 29), Some(100.0));
        assert_eq!(usual(&days, 7), Some(100.0));
        assert_eq!(usual(&days, 6), None);
    }

    #[test]
    fn what_is_taken_back_later_is_missing_too() {
        // 110 come, of which 10 are returned on the next day.
        is_about(missing(&[1.1, -0.1], &[110.0], &[110.0], false), (-10.0, 100.0));
        is_about(missing(&[1.1, -0.1], &[110.0], &[100.0], false), (0.0, 100.0));
    }

    #[test]
    fn days_before_the_period_do_not_count_and_young_series_are_scaled_up() {
        let awaited = Awaited::of(arrived(&BY_AND_BY), 1, 0, |_| 50.0);
        let mut days = [80.0, 50.0];
        let late = awaited.complete(&mut days, 2, 1, false).unwrap();
        assert_eq!(late.missing, 50.0, "{days:?}");
        assert_eq!(
            awaited.complete(&mut days, 3, 0, false),
            None,
            "a day that nobody closed"
        );
    }

    #[test]
    fn what_comes_in_time_is_not_late() {
        let mut by_age = [0.0; AGES];
        assert_eq!(Arrived::of(&by_age), None);
        by_age[0] = 0.92;
        by_age[3] = 0.08;
        assert_eq!(Arrived::of(&by_age), None);
        // Nor where nearly all of it is taken back.
        by_age[..2].copy_from_slice(&[3.0, -2.0]);
        assert_eq!(Arrived::of(&by_age), None);
    }

    #[test]
    fn half_of_today_is_still_to_come_when_it_ends() {
        let awaited = Awaited::of(arrived(&BY_AND_BY), 29, 0, |_| 100.0);
        let late = awaited.complete(&mut [100.0; 30], 30, 0, true).unwrap();
        assert_eq!((late.rest_of_today(0.0), late.rest_of_today(1.0)), (1.0, 0.5));
    }
}

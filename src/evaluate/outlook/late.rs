//! Days that have not come whole: how much of each is missing, by how old days usually are when their volume comes.

/// Ages in days that are told apart; what is older counts as the last.
pub const AGES: usize = 16;
/// Same weekdays before it that a day is compared with.
const WEEKS: usize = 4;
/// The least share of a day that is scaled up to a whole one, where there is no day to compare it with.
const LEAST_SHARE: f64 = 0.2;

/// The share of a day's volume that has usually come by the end of the day itself, of the day after it, and so on.
#[derive(Clone, PartialEq, Debug)]
pub struct Arrived([f64; AGES]);

impl Arrived {
    /// Of what comes at each age, in any unit; `None` where nothing has come.
    pub fn of(by_age: &[f64; AGES]) -> Option<Arrived> {
        let all: f64 = by_age.iter().sum();
        let mut sum = 0.0;
        let shares = by_age.map(|came| {
            sum += came;
            sum / all
        });
        (all > 0.0).then_some(Arrived(shares))
    }

    /// What has come by the end of a day of an age; today is 0.
    fn by(&self, age: usize) -> f64 {
        if age + 1 < AGES { self.0[age] } else { 1.0 }
    }

    /// Adds to the latest days of a history, the last one yesterday, what will have been missing of them when today ends, and
    /// says how much that is of the days from number `since` on.
    ///
    /// A day of which a share A has come, v so far, and of which E is usual, comes to v + (1 − A)·(v + (1 − A)·E): what is
    /// missing is taken from v / A and from E, with weights of A and 1 − A (Benktander 1976, "An approach to credibility in
    /// calculating IBNR for casualty excess reinsurance"). E is the mean of four same weekdays before.
    pub fn complete(&self, days: &mut [f64], since: usize) -> Late {
        let mut late = Late {
            at_start: Missing::default(),
            at_end: Missing::default(),
            of_today: self.by(0),
        };
        // The oldest first: the same weekday before is whole then.
        for age in (1..AGES).rev() {
            let Some(at) = days.len().checked_sub(age) else {
                continue;
            };
            let known = days[at];
            let before = (1..=WEEKS).filter_map(|week| days.get(at.checked_sub(7 * week)?));
            let (sum, count) = before.fold((0.0, 0.0), |(sum, count), day| (sum + day, count + 1.0));
            let missing = |by: f64| {
                let usual = if count > 0.0 {
                    sum / count
                } else {
                    known / by.max(LEAST_SHARE)
                };
                (1.0 - by) * (known + (1.0 - by) * usual)
            };
            let (at_start, at_end) = (self.by(age - 1), self.by(age));
            if at >= since {
                late.at_start.add(missing(at_start), 1.0 - at_start);
                late.at_end.add(missing(at_end), 1.0 - at_end);
            }
            days[at] += missing(at_end);
        }
        late
    }
}

/// What is missing of the days of a running period.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Late {
    /// Of days before today, when today begins, and when it ends.
    at_start: Missing,
    at_end: Missing,
    /// The share of what today will have brought that comes today.
    of_today: f64,
}

#[derive(Clone, Copy, Default, PartialEq, Debug)]
struct Missing {
    value: f64,
    /// How many whole days it is worth.
    days: f64,
}

impl Missing {
    fn add(&mut self, value: f64, days: f64) {
        self.value += value;
        self.days += days;
    }
}

impl Late {
    /// What is missing of days before today when a share of today has passed, and how many days it is worth.
    pub(super) fn missing(&self, share_of_today: f64) -> (f64, f64) {
        let between = |start: f64, end: f64| start + (end - start) * share_of_today;
        (
            between(self.at_start.value, self.at_end.value),
            between(self.at_start.days, self.at_end.days),
        )
    }

    /// The share of today's volume that is yet to come when a share of today has passed.
    pub(super) fn rest_of_today(&self, share_of_today: f64) -> f64 {
        1.0 - share_of_today * self.of_today
    }

    /// The same where days do not add up to their period, see [`super::Foreseen::thinned`].
    pub(super) fn thinned(mut self, share: f64) -> Late {
        self.at_start.value *= share;
        self.at_end.value *= share;
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Half of a day comes on it, three tenths a day later, two tenths another day later.
    fn arrived() -> Arrived {
        let mut by_age = [0.0; AGES];
        by_age[..3].copy_from_slice(&[5.0, 3.0, 2.0]);
        Arrived::of(&by_age).unwrap()
    }

    #[test]
    fn a_day_that_is_as_usual_is_completed_to_what_is_usual() {
        let mut days = [100.0; 30];
        days[29] = 80.0;
        let late = arrived().complete(&mut days, 20);
        // Today's end: the day before yesterday is whole, of yesterday a fifth is missing, all as usual.
        assert!((days[29] - 100.0).abs() < 1e-9 && days[28] == 100.0, "{days:?}");
        let (value, worth) = late.missing(1.0);
        assert!(
            (value - 20.0).abs() < 1e-9 && (worth - 0.2).abs() < 1e-9,
            "{late:?}"
        );
        // Half of today is still to come when it ends.
        assert_eq!(late.rest_of_today(1.0), 0.5);
        assert_eq!(late.rest_of_today(0.0), 1.0);
    }

    #[test]
    fn a_day_that_differs_is_completed_half_way() {
        // 0.8 has come of 200: from itself 50 more would come, at 0.8; of what is usual 20.
        let mut days = [100.0; 30];
        days[29] = 160.0;
        let late = arrived().complete(&mut days, 0);
        let expected = 0.2 * (160.0 + 0.2 * 100.0);
        assert!((late.missing(1.0).0 - expected).abs() < 1e-9);
        assert!((days[29] - 160.0 - expected).abs() < 1e-9);
    }

    #[test]
    fn what_is_missing_shrinks_as_the_day_goes_by_and_days_before_the_period_do_not_count() {
        let mut days = [100.0; 30];
        days[28] = 80.0;
        days[29] = 50.0;
        let late = arrived().complete(&mut days, 29);
        // As today begins half of yesterday is missing; as it ends a fifth, of a day that then has 50 and not 80.
        assert!((late.missing(0.0).0 - 0.5 * (50.0 + 0.5 * 100.0)).abs() < 1e-9);
        assert!((late.missing(1.0).0 - 0.2 * (50.0 + 0.2 * 100.0)).abs() < 1e-9);
        assert!((late.missing(0.5).1 - 0.35).abs() < 1e-9);
    }

    #[test]
    fn without_a_day_to_compare_with_a_day_is_scaled_up() {
        let mut days = [50.0, 80.0];
        arrived().complete(&mut days, 0);
        assert!((days[1] - 100.0).abs() < 1e-9, "{days:?}");
    }

    #[test]
    fn nothing_that_came_says_nothing() {
        assert_eq!(Arrived::of(&[0.0; AGES]), None);
    }
}

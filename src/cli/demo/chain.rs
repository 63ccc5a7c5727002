//! The simulated retail chain: regions, stores, reps and a content team. In its last two weeks the content team
//! publishes its fifty articles early, and shoppers stop buying: the KPI is done and the business is flat.

use jiff::civil::{Date, DateTime, Time};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, ToSpan};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use rand_distr::{Distribution, LogNormal, Poisson};

/// Regions with their share of the chain's orders.
pub(super) const REGIONS: [(&str, f64); 4] = [("华东", 0.34), ("华南", 0.28), ("华北", 0.22), ("西南", 0.16)];
const STORES_PER_REGION: usize = 3;
const REPS_PER_REGION: usize = 4;
/// Paid orders on an ordinary day.
const ORDERS_A_DAY: f64 = 150.0;
/// Mean amount of an order, CNY, and the spread of its logarithm.
const AMOUNT: (f64, f64) = (300.0, 0.6);
const VISITS_A_DAY_AND_REP: f64 = 2.0;
const ARTICLES_A_DAY: f64 = 1.75;
/// In the story the content team writes this many times as much, and shoppers buy this share.
const STORY_ARTICLES: f64 = 1.6;
const STORY_ORDERS: f64 = 0.45;

/// One event of the chain.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct ChainEvent {
    /// When it happened.
    pub(super) at: Timestamp,
    /// Where it is written.
    pub(super) topic: &'static str,
    /// Key of the record.
    pub(super) key: String,
    /// The record.
    pub(super) payload: String,
}

/// Makes the events of one day after another; the same seed makes the same chain.
pub(super) struct Chain {
    rng: StdRng,
    zone: TimeZone,
    story_from: Date,
    next_id: u64,
}

impl Chain {
    /// A chain whose story begins on `story_from`.
    pub(super) fn new(seed: u64, zone: TimeZone, story_from: Date) -> Chain {
        Chain {
            rng: StdRng::seed_from_u64(seed),
            zone,
            story_from,
            next_id: 0,
        }
    }

    /// The events of a local day, in order of time.
    pub(super) fn day(&mut self, day: Date) -> Vec<ChainEvent> {
        let story = day >= self.story_from;
        let mut events = Vec::new();
        let orders =
            ORDERS_A_DAY * weekday_factor(day) * season(day) * if story { STORY_ORDERS } else { 1.0 };
        for (region, share) in REGIONS {
            for _ in 0..self.poisson(orders * share) {
                events.push(self.order(day, region));
            }
            for rep in 0..REPS_PER_REGION {
                let visits = if is_weekend(day) {
                    0.0
                } else {
                    VISITS_A_DAY_AND_REP * 7.0 / 5.0
                };
                for _ in 0..self.poisson(visits) {
                    events.push(self.visit(day, region, rep));
                }
            }
        }
        let first_of_story = self.story_from.first_of_month();
        let eager = day >= first_of_story && day.first_of_month() == first_of_story;
        let articles = ARTICLES_A_DAY * if eager { STORY_ARTICLES } else { 1.0 };
        for _ in 0..self.poisson(articles) {
            events.push(self.article(day));
        }
        events.sort_by(|a, b| (a.at, &a.payload).cmp(&(b.at, &b.payload)));
        events
    }

    fn order(&mut self, day: Date, region: &str) -> ChainEvent {
        let at = self.moment(day, 9, 22);
        let store = format!("{region}-{:02}", self.rng.random_range(1..=STORES_PER_REGION));
        let customer = format!("c{:05}", (self.rng.random::<f64>().powi(2) * 9000.0) as u32);
        let (mean, spread) = AMOUNT;
        let amount = LogNormal::new(mean.ln() - spread * spread / 2.0, spread)
            .map_or(mean, |d| d.sample(&mut self.rng));
        let paid = self.rng.random_bool(0.96);
        let kind = if paid { "order.paid" } else { "order.cancelled" };
        let id = self.id();
        let payload = serde_json::json!({
            "specversion": "1.0", "id": id, "source": "/erp/pos", "type": kind, "time": at.to_string(),
            "datacontenttype": "application/json",
            "data": {"amount": (amount * 100.0).round() / 100.0, "currency": "CNY", "customer": customer,
                     "region": region, "store": store},
        });
        ChainEvent {
            at,
            topic: "demo.erp.orders",
            key: store,
            payload: payload.to_string(),
        }
    }

    fn visit(&mut self, day: Date, region: &str, rep: usize) -> ChainEvent {
        let at = self.moment(day, 9, 18);
        let rep = format!("{region}-rep{}", rep + 1);
        let minutes = self.rng.random_range(15..90);
        let payload = serde_json::json!({
            "id": self.id(), "at": at.to_string(), "rep": rep, "region": region, "minutes": minutes,
        });
        ChainEvent {
            at,
            topic: "demo.crm.visits",
            key: rep,
            payload: payload.to_string(),
        }
    }

    fn article(&mut self, day: Date) -> ChainEvent {
        let at = self.moment(day, 9, 19);
        let author = format!("editor{}", self.rng.random_range(1..=3));
        let payload = serde_json::json!({
            "id": self.id(), "published_at": at.to_string(), "state": "published", "author": author,
        });
        ChainEvent {
            at,
            topic: "demo.cms.articles",
            key: author,
            payload: payload.to_string(),
        }
    }

    fn id(&mut self) -> String {
        self.next_id += 1;
        format!("e{:08}", self.next_id)
    }

    fn poisson(&mut self, mean: f64) -> u64 {
        Poisson::new(mean).map_or(0, |distribution| distribution.sample(&mut self.rng) as u64)
    }

    fn moment(&mut self, day: Date, from_hour: i8, to_hour: i8) -> Timestamp {
        let seconds = self.rng.random_range(0..i64::from(to_hour - from_hour) * 3600);
        let opening = DateTime::from_parts(day, Time::constant(from_hour, 0, 0, 0));
        let opening = self
            .zone
            .to_ambiguous_timestamp(opening)
            .compatible()
            .unwrap_or(Timestamp::UNIX_EPOCH);
        opening + SignedDuration::from_secs(seconds)
    }
}

fn is_weekend(day: Date) -> bool {
    day.weekday().to_monday_zero_offset() >= 5
}

fn weekday_factor(day: Date) -> f64 {
    [0.88, 0.86, 0.90, 0.95, 1.10, 1.25, 1.06][day.weekday().to_monday_zero_offset() as usize]
}

/// A mild winter peak.
fn season(day: Date) -> f64 {
    1.0 + 0.06 * (std::f64::consts::TAU * f64::from(day.day_of_year()) / 365.25).cos()
}

/// The demo's present: the afternoon of the latest 26th, when a month is far enough on to tell its story.
pub(super) fn present(now: Timestamp, zone: &TimeZone) -> Timestamp {
    let today = zone.to_datetime(now).date();
    let month = if today.day() > 26 {
        today
    } else {
        today.saturating_sub(1.month())
    };
    let day = month.first_of_month().saturating_add(25.days());
    let afternoon = DateTime::from_parts(day, Time::constant(15, 0, 0, 0));
    zone.to_ambiguous_timestamp(afternoon).compatible().unwrap_or(now)
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::civil::date;

    fn zone() -> TimeZone {
        TimeZone::get("Asia/Shanghai").unwrap()
    }

    #[test]
    fn the_present_is_the_latest_26th() {
        for (now, expected) in [
            ("2026-11-24T00:00:00Z", "2026-10-26T07:00:00Z"),
            ("2026-11-26T20:00:00Z", "2026-11-26T07:00:00Z"),
            ("2026-01-01T00:00:00Z", "2025-12-26T07:00:00Z"),
            ("2026-03-31T12:00:00Z", "2026-03-26T07:00:00Z"),
        ] {
            assert_eq!(
                present(now.parse().unwrap(), &zone()),
                expected.parse().unwrap(),
                "{now}"
            );
        }
    }

    #[test]
    fn the_same_seed_makes_the_same_days_in_order() {
        let day = date(2026, 6, 10);
        let events = Chain::new(7, zone(), date(2026, 6, 12)).day(day);
        assert_eq!(events, Chain::new(7, zone(), date(2026, 6, 12)).day(day));
        assert!(events.is_sorted_by_key(|event| event.at));
        assert!(
            events
                .iter()
                .all(|event| zone().to_datetime(event.at).date() == day)
        );
    }

    #[test]
    fn in_the_story_orders_fall_and_articles_rise() {
        let count = |from: Date, days: i32, topic: &str| {
            let mut chain = Chain::new(7, zone(), date(2026, 6, 12));
            (0..days)
                .flat_map(|n| chain.day(from.saturating_add(n.days())))
                .filter(|event| event.topic == topic)
                .count()
        };
        let (before, story) = (date(2026, 5, 12), date(2026, 6, 12));
        assert!(count(story, 14, "demo.erp.orders") * 3 < count(before, 14, "demo.erp.orders") * 2);
        let articles = |from: Date| count(from, 30, "demo.cms.articles");
        assert!(articles(date(2026, 6, 1)) > articles(date(2026, 4, 1)));
    }
}

//! Digests: many things at once, at a time of day.

use std::str::FromStr;

use croner::Cron;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

use super::World;
use super::matcher::{Matcher, matches_all};
use super::proposals::as_alert;
use super::route::matched_labels;
use crate::alert::identity::episode_id;
use crate::alert::notice::{Aside, Digest, DigestLine, Notice, NoticeKind};
use crate::alert::record::{AlertRecord, Facts};
use crate::alert::transition::is_running;
use crate::catalog::Severity;

/// A digest that the operator declares.
#[derive(Clone, Debug)]
pub struct DigestPlan {
    /// Its name; the title of its messages.
    pub name: String,
    /// When, as cron says it.
    pub cron: Schedule,
    /// Where the clock hangs; `None`: where the catalogue's calendar does.
    pub zone: Option<TimeZone>,
    /// Who gets it.
    pub receiver: String,
    /// Which alerts.
    pub matchers: Vec<Matcher>,
    /// Whether a digest with nothing to say is left out.
    pub skip_if_empty: bool,
    /// It is sent up to this much later, so that not all messages of a company leave on the hour.
    pub jitter: SignedDuration,
}

/// Moments by a cron expression of five fields.
#[derive(Clone, Debug)]
pub struct Schedule(Cron);

impl FromStr for Schedule {
    type Err = String;

    fn from_str(text: &str) -> Result<Schedule, String> {
        Cron::from_str(text)
            .map(Schedule)
            .map_err(|error| format!("'{text}' is no cron expression ({error}); write \"0 9 * * MON-FRI\""))
    }
}

impl Schedule {
    /// The first moment after `after`. Times of the wall in `zone`: one that a clock change skips is its first moment
    /// after the gap, one that comes twice counts the first time.
    pub fn next_after(&self, after: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        // Cron knows dates and times only; the zone's rules are those of the calendar.
        let mut local = zone.to_datetime(after);
        for _ in 0..8 {
            let as_utc = TimeZone::UTC.to_timestamp(local).ok()?.as_second();
            let from = chrono::DateTime::from_timestamp(as_utc, 0)?;
            let next = self.0.find_next_occurrence(&from, false).ok()?.timestamp();
            local = TimeZone::UTC.to_datetime(Timestamp::from_second(next).ok()?);
            let at = zone.to_ambiguous_timestamp(local).compatible().ok()?;
            // In an hour that comes twice the wall shows what has been already.
            if at > after {
                return Some(at);
            }
        }
        None
    }
}

/// What is remembered of a digest.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub(super) struct LastDigest {
    /// When it was last due, by the wall clock.
    wall: Timestamp,
    /// The watermark then.
    at: Timestamp,
    /// How many there were.
    count: u64,
}

/// The digest that is due, if it is, and what to remember of it.
pub(super) fn due(
    plan: &DigestPlan,
    last: Option<LastDigest>,
    records: &[&AlertRecord],
    world: &dyn World,
    (now, at): (Timestamp, Timestamp),
    store_id: &str,
) -> (Option<Notice>, LastDigest) {
    let Some(last) = last else {
        let begin = LastDigest {
            wall: now,
            at,
            count: 0,
        };
        return (None, begin);
    };
    if next(plan, last, world).is_none_or(|next| now < next) {
        return (None, last);
    }
    let this = LastDigest {
        // Those that were missed meanwhile are this one.
        wall: now,
        at,
        count: last.count + 1,
    };
    let matching: Vec<&AlertRecord> = records
        .iter()
        .copied()
        .filter(|record| matches_all(&plan.matchers, &matched_labels(record)))
        .collect();
    let digest = Digest {
        name: Some(plan.name.clone()),
        from: last.wall,
        until: now,
        open: open(&matching, last.at, store_id),
        ended: ended(&matching, last.at, store_id),
        waiting: world
            .proposals()
            .into_iter()
            .map(|proposal| world.titled(proposal))
            .filter(|proposal| matches_all(&plan.matchers, &matched_labels(&as_alert(proposal))))
            .collect(),
        forecast: world.forecasts(),
    };
    let is_empty = digest.open.is_empty() && digest.ended.is_empty() && digest.waiting.is_empty();
    if plan.skip_if_empty && is_empty {
        return (None, this);
    }
    let episode = format!(
        "{:016x}",
        xxh3_64(format!("{store_id}/digest/{}/{}", plan.name, this.count).as_bytes())
    );
    (Some(notice(&episode, &plan.receiver, digest, (now, at))), this)
}

/// When a digest goes next, after the last one.
pub(super) fn next(plan: &DigestPlan, last: LastDigest, world: &dyn World) -> Option<Timestamp> {
    let zone = plan.zone.as_ref().unwrap_or(&world.calendar().timezone);
    let next = plan.cron.next_after(last.wall, zone)?;
    Some(next.saturating_add(shifted(plan, next)).unwrap_or(Timestamp::MAX))
}

/// How much later than its time a digest goes: the same each time for one name, and different for different names.
fn shifted(plan: &DigestPlan, due: Timestamp) -> SignedDuration {
    let span = plan.jitter.as_secs().unsigned_abs();
    let hash = xxh3_64(format!("{}/{}", plan.name, due.as_second()).as_bytes());
    SignedDuration::from_secs(hash.checked_rem(span).unwrap_or(0).cast_signed())
}

/// A notice that holds a digest.
pub(super) fn notice(
    episode: &str,
    receiver: &str,
    digest: Digest,
    (now, at): (Timestamp, Timestamp),
) -> Notice {
    let worst = digest.open.iter().map(|line| line.severity).max();
    Notice {
        kind: NoticeKind::Digest,
        alert_kind: "digest".to_owned(),
        severity: worst.unwrap_or(Severity::INFO),
        aside: Some(Box::new(Aside::Digest(digest))),
        ..Notice::blank(episode, receiver, now, at)
    }
}

/// Alerts that fire, the worst first.
fn open(records: &[&AlertRecord], since: Timestamp, store_id: &str) -> Vec<DigestLine> {
    let mut lines: Vec<DigestLine> = records
        .iter()
        .filter(|record| is_running(record))
        .filter_map(|record| line(record, record.facts.clone(), since, store_id))
        .collect();
    let impact = |line: &DigestLine| line.facts.impact().unwrap_or(0.0);
    lines.sort_by(|a, b| {
        let by_level = b.severity.cmp(&a.severity);
        by_level
            .then(impact(b).total_cmp(&impact(a)))
            .then_with(|| a.episode.cmp(&b.episode))
    });
    lines
}

/// Alerts that ended after `since`, the newest first.
pub(super) fn ended(records: &[&AlertRecord], since: Timestamp, store_id: &str) -> Vec<DigestLine> {
    let mut lines: Vec<DigestLine> = records
        .iter()
        .filter(|record| !is_running(record) && record.history.ended_at.is_some_and(|end| end > since))
        .filter_map(|record| {
            let facts = record.facts_at_firing.clone().unwrap_or_default();
            let line = line(record, facts, since, store_id)?;
            Some(DigestLine {
                ended_at: record.history.ended_at,
                reason: record.history.end_reason,
                untold: record.history.untold,
                ..line
            })
        })
        .collect();
    lines.sort_by(|a, b| {
        b.ended_at
            .cmp(&a.ended_at)
            .then_with(|| a.episode.cmp(&b.episode))
    });
    lines
}

fn line(record: &AlertRecord, facts: Facts, since: Timestamp, store_id: &str) -> Option<DigestLine> {
    let fired_at = record.fired_at?;
    let lately = record.history.fired.iter().filter(|fired| **fired > since);
    Some(DigestLine {
        episode: episode_id(store_id, record.fingerprint, record.episodes),
        alert_kind: record.kind.clone(),
        severity: record.severity,
        labels: record.labels.clone(),
        facts,
        fired_at,
        ended_at: None,
        reason: None,
        is_new: fired_at > since,
        was: record.history.level_at(since.max(fired_at), record.severity),
        episodes: u32::try_from(lately.count()).unwrap_or(u32::MAX),
        untold: false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn times(cron: &str, zone: &str, from: &str, count: usize) -> Vec<String> {
        let (schedule, zone) = (Schedule::from_str(cron).unwrap(), TimeZone::get(zone).unwrap());
        let mut at: Timestamp = from.parse().unwrap();
        (0..count)
            .map(|_| {
                at = schedule.next_after(at, &zone).unwrap();
                at.to_string()
            })
            .collect()
    }

    #[test]
    fn a_schedule_follows_the_wall() {
        assert_eq!(
            times("0 9 * * MON-FRI", "Asia/Shanghai", "2026-06-26T02:00:00Z", 2),
            ["2026-06-29T01:00:00Z", "2026-06-30T01:00:00Z"]
        );
        // 02:30 is skipped in spring, and comes twice in autumn.
        assert_eq!(
            times("30 2 * * *", "Europe/Berlin", "2026-03-28T12:00:00Z", 2),
            ["2026-03-29T01:30:00Z", "2026-03-30T00:30:00Z"]
        );
        assert_eq!(
            times("30 2 * * *", "Europe/Berlin", "2026-10-24T12:00:00Z", 2),
            ["2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"]
        );
    }

    #[test]
    fn a_schedule_that_is_none_says_what_to_write() {
        let said = Schedule::from_str("every day").unwrap_err();
        assert!(said.starts_with("'every day' is no cron expression ("), "{said}");
        assert!(said.ends_with("; write \"0 9 * * MON-FRI\""), "{said}");
    }
}

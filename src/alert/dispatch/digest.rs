//! Digests: many things at once, at a time of day.

use std::cmp::Reverse;
use std::str::FromStr;

use croner::Cron;
use hashbrown::HashMap;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

use super::World;
use super::matcher::{Matcher, matches_all};
use super::proposals::as_alert;
use super::route::{matched_labels, seen_by_matchers};
use crate::alert::book::Book;
use crate::alert::identity::{Fingerprint, episode_id};
use crate::alert::notice::{Aside, Digest, DigestLine, Notice, NoticeKind};
use crate::alert::record::{AlertRecord, Episode, Labels};
use crate::alert::transition::is_running;
use crate::catalog::Severity;

/// Episodes of one alert that a digest has a line each of; the last line stands for those before as well.
const MOST_OF_ONE: usize = 3;

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

/// Moments of a cron expression that are looked at to learn how far apart they are.
const MOMENTS: usize = 64;

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
    /// The shortest time from one of its moments to the next, as far as some of them say; `None` where it never comes.
    pub fn shortest_gap(&self) -> Option<SignedDuration> {
        let first = self.next_after(Timestamp::UNIX_EPOCH, &TimeZone::UTC)?;
        let next = |at: &Timestamp| self.next_after(*at, &TimeZone::UTC);
        let moments: Vec<Timestamp> = std::iter::successors(Some(first), next).take(MOMENTS).collect();
        let gaps = moments.windows(2).map(|pair| pair[1].duration_since(pair[0]));
        Some(gaps.min().unwrap_or(SignedDuration::MAX))
    }

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
    pub(super) at: Timestamp,
}

/// The id of the nth digest of a store.
pub(super) fn episode(store_id: &str, n: u64) -> String {
    format!("{:016x}", xxh3_64(format!("{store_id}/digest {n}").as_bytes()))
}

/// The digest that is due, if it is, and what to remember of it.
pub(super) fn due(
    plan: &DigestPlan,
    last: Option<LastDigest>,
    book: &Book,
    world: &dyn World,
    (now, at): (Timestamp, Timestamp),
    store_id: &str,
) -> (Option<Digest>, LastDigest) {
    let Some(last) = last else {
        return (None, LastDigest { wall: now, at });
    };
    if next(plan, last, world).is_none_or(|next| now < next) {
        return (None, last);
    }
    let this = LastDigest {
        // Those that were missed meanwhile are this one.
        wall: now,
        at,
    };
    let takes = |labels: &Labels| matches_all(&plan.matchers, labels);
    let ended: Vec<&Episode> = book.ended_since(last.at).collect();
    let matching: Vec<&AlertRecord> = book
        .open_records()
        .filter(|record| takes(&matched_labels(record)))
        .collect();
    let over: Vec<&Episode> = ended
        .iter()
        .copied()
        .filter(|episode| {
            takes(&seen_by_matchers(
                &episode.labels,
                episode.severity,
                &episode.kind,
            ))
        })
        .collect();
    let digest = Digest {
        name: Some(plan.name.clone()),
        from: last.wall,
        until: now,
        open: open(&matching, &ended, last.at, store_id),
        ended: over_lines(&over, book, last.at, store_id),
        waiting: world
            .proposals()
            .into_iter()
            .map(|proposal| world.titled(proposal))
            .filter(|proposal| takes(&matched_labels(&as_alert(proposal))))
            .collect(),
        forecast: world.forecasts(),
    };
    let is_empty = digest.open.is_empty() && digest.ended.is_empty() && digest.waiting.is_empty();
    if plan.skip_if_empty && is_empty {
        return (None, this);
    }
    (Some(digest), this)
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

/// Alerts that fire, the worst first. `ended` are earlier episodes of any.
fn open(records: &[&AlertRecord], ended: &[&Episode], since: Timestamp, store_id: &str) -> Vec<DigestLine> {
    let mut before: HashMap<Fingerprint, u32> = HashMap::new();
    for episode in ended.iter().filter(|episode| episode.fired_at > since) {
        *before.entry(episode.fingerprint).or_default() += 1;
    }
    let mut lines: Vec<DigestLine> = records
        .iter()
        .filter(|record| is_running(record))
        .filter_map(|record| {
            let fired_at = record.fired_at?;
            let is_new = fired_at > since;
            let earlier = before.get(&record.fingerprint).copied().unwrap_or(0);
            Some(DigestLine {
                episode: episode_id(store_id, record.fingerprint, record.episodes),
                alert_kind: record.kind.clone(),
                severity: record.severity,
                labels: record.labels.clone(),
                facts: record.facts.clone(),
                fired_at,
                ended_at: None,
                reason: None,
                is_new,
                was: record.history.level_at(since.max(fired_at), record.severity),
                episodes: earlier + u32::from(is_new),
                untold: false,
            })
        })
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

/// What ended, the newest first. Of an alert that came and went often the last lines stand for all that came before.
pub(super) fn over_lines(
    episodes: &[&Episode],
    book: &Book,
    since: Timestamp,
    store_id: &str,
) -> Vec<DigestLine> {
    let mut newest = episodes.to_vec();
    newest.sort_by_key(|episode| {
        (
            Reverse(episode.ended_at),
            episode.fingerprint,
            Reverse(episode.number),
        )
    });
    let mut listed: HashMap<Fingerprint, Vec<usize>> = HashMap::new();
    let mut lines: Vec<DigestLine> = Vec::new();
    for episode in newest {
        let of_alert = listed.entry(episode.fingerprint).or_default();
        if let Some(last) = of_alert.get(MOST_OF_ONE - 1) {
            let line = &mut lines[*last];
            line.episodes = line.episodes.saturating_add(1);
            line.untold &= episode.untold;
            continue;
        }
        of_alert.push(lines.len());
        // Its levels are known while nothing came after it.
        let record = book.get(episode.fingerprint).map(|entry| &entry.record);
        let history = record
            .filter(|record| record.episodes == episode.number)
            .map(|record| &record.history);
        let from = since.max(episode.fired_at);
        lines.push(DigestLine {
            episode: episode_id(store_id, episode.fingerprint, episode.number),
            alert_kind: episode.kind.clone(),
            severity: episode.severity,
            labels: episode.labels.clone(),
            facts: episode.facts.clone(),
            fired_at: episode.fired_at,
            ended_at: episode.ended_at,
            reason: episode.end_reason,
            is_new: episode.fired_at > since,
            was: history.and_then(|history| history.level_at(from, episode.severity)),
            episodes: 1,
            untold: episode.untold,
        });
    }
    lines
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

//! What fired and ended while nobody could be told: one message for each who would have been.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::look::{self, EXPLAINED, FLAPPING, SILENCE};
use super::matcher::matches_all;
use super::route::matched_labels;
use super::{Dispatcher, Held, Moment, digest, inhibit, name};
use crate::alert::book::Book;
use crate::alert::identity::episode_id;
use crate::alert::notice::{Digest, Notice};
use crate::alert::record::{AlertRecord, AlertState, Episode};

/// Nobody was told for so long: what happened meanwhile is told in one message.
const AWAY: SignedDuration = SignedDuration::from_secs(60);

/// A message for a receiver who is not to be told yet, at night or on a holiday.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(super) struct Waiting {
    receiver: String,
    /// The route that leads there, whose times it waits for.
    route: String,
    digest: Digest,
}

impl Dispatcher {
    /// Tells what came and went while nobody could be told, and what waited until now to be told of that.
    pub(super) fn while_away(
        &mut self,
        book: &Book,
        store_id: &str,
        at: Timestamp,
        moment: Moment<'_>,
    ) -> Vec<Notice> {
        let now = moment.now;
        let passed = self.kept.passed.filter(|_| moment.is_back);
        if let Some(passed) = passed.filter(|passed| now.duration_since(passed.wall) > AWAY) {
            let missed = self.missed(book, store_id, passed.at, moment);
            for (receiver, route, episodes) in missed {
                let digest = Digest {
                    name: None,
                    from: passed.wall,
                    until: now,
                    open: Vec::new(),
                    waiting: Vec::new(),
                    ended: digest::over_lines(&episodes, book, passed.at, store_id),
                    forecast: Vec::new(),
                };
                self.is_changed = true;
                self.kept.away.push(Waiting {
                    receiver,
                    route,
                    digest,
                });
            }
        }
        let mut notices = Vec::new();
        for waiting in std::mem::take(&mut self.kept.away) {
            if look::muted_by(&moment, &waiting.route).is_some() {
                self.next = self
                    .next
                    .into_iter()
                    .chain(look::next_edge(&moment, &waiting.route))
                    .min();
                self.kept.away.push(waiting);
                continue;
            }
            self.kept.digests_made += 1;
            self.is_changed = true;
            let episode = digest::episode(store_id, self.kept.digests_made);
            notices.push(digest::notice(
                &episode,
                &waiting.receiver,
                waiting.digest,
                (now, at),
            ));
        }
        notices
    }

    /// What began after `since` and is over, and of which nobody was told: by those who would have been, and by the route
    /// whose times they wait for. What would have been held back is not among it.
    fn missed<'b>(
        &mut self,
        book: &'b Book,
        store_id: &str,
        since: Timestamp,
        moment: Moment<'_>,
    ) -> Vec<(String, String, Vec<&'b Episode>)> {
        let episodes: Vec<&Episode> = book
            .ended_since(since)
            .filter(|episode| episode.untold && episode.fired_at > since)
            .collect();
        let as_they_were: Vec<AlertRecord> = episodes.iter().map(|episode| running(episode)).collect();
        let all: Vec<&AlertRecord> = book.open_records().chain(&as_they_were).collect();
        let explained = inhibit::explained(moment.routing, moment.world, &all);
        let mut missed: Vec<(String, String, Vec<&Episode>)> = Vec::new();
        for (episode, record) in episodes.into_iter().zip(&as_they_were) {
            let source = explained.by(record.fingerprint);
            let source = source.and_then(|source| all.iter().find(|record| record.fingerprint == source));
            let explained_by = source.filter(|source| {
                let is_before = source.fired_at <= episode.ended_at;
                let end = source
                    .history
                    .ended_at
                    .filter(|end| source.fired_at.is_some_and(|fired| fired <= *end));
                is_before && end.is_none_or(|end| end >= episode.fired_at)
            });
            let mut held = self.silencing(record, episode, moment.now);
            held.extend(explained_by.map(|source| format!("{EXPLAINED}{}", name(source))));
            let flaps = book
                .get(episode.fingerprint)
                .is_some_and(|entry| !entry.record.told.knows_flapping.is_empty());
            held.extend(flaps.then(|| FLAPPING.to_owned()));
            for destination in moment.routing.destinations(record) {
                let receiver = destination.receiver;
                if !held.is_empty() {
                    self.held.push(Held {
                        episode: episode_id(store_id, episode.fingerprint, episode.number),
                        at: moment.now,
                        receiver,
                        by: held.clone(),
                    });
                    continue;
                }
                // Whoever may be told now has one message, whatever led there.
                let is_muted = look::muted_by(&moment, &destination.route.id).is_some();
                let route = if is_muted {
                    destination.route.id.as_str()
                } else {
                    ""
                };
                match missed
                    .iter_mut()
                    .find(|(known, by, _)| *known == receiver && by == route)
                {
                    Some((_, _, episodes)) => episodes.push(episode),
                    None => missed.push((receiver, route.to_owned(), vec![episode])),
                }
            }
        }
        missed
    }

    /// The silences that hold it back now, or held it back from its beginning to its end.
    fn silencing(&self, record: &AlertRecord, episode: &Episode, now: Timestamp) -> Vec<String> {
        let labels = matched_labels(record);
        let silences = self.kept.silences.all.values().filter(|silence| {
            let all_along = silence.starts_at <= episode.fired_at
                && episode.ended_at.is_some_and(|end| end < silence.ends_at);
            silence.holds(&labels, now) || all_along && matches_all(&silence.matchers, &labels)
        });
        silences
            .map(|silence| format!("{SILENCE}{}", silence.id))
            .collect()
    }
}

/// The record that an episode had while it ran, as far as dispatch asks for it.
fn running(episode: &Episode) -> AlertRecord {
    let mut record = AlertRecord {
        fingerprint: episode.fingerprint,
        rule: episode.rule.clone(),
        kind: episode.kind.clone(),
        labels: episode.labels.clone(),
        state: AlertState::Firing,
        severity: episode.severity,
        episodes: episode.number,
        fired_at: Some(episode.fired_at),
        facts: episode.facts.clone(),
        ..AlertRecord::blank()
    };
    record.history.ended_at = episode.ended_at;
    record
}

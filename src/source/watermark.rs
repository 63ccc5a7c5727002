//! The watermark: event time up to which every live partition has been read, less allowed lateness.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};

use super::kafka::{End, TopicPartition};
use crate::catalog::SourceId;
use crate::state::Position;

/// What a source allows.
#[derive(Clone, Copy, Debug)]
pub struct Allowed {
    /// How long an event may be late.
    pub lateness: SignedDuration,
    /// After how long without a record a partition that stands at its end no longer holds the watermark back.
    pub idle_timeout: Duration,
}

/// How far one partition is.
#[derive(Clone, Debug)]
pub struct Progress {
    /// Whose events it brings.
    pub source: SourceId,
    /// How far it was read.
    pub position: Position,
    /// Its end as last seen; `None` while unknown.
    pub end: Option<End>,
    /// Its end when reading began.
    pub high_at_start: i64,
    /// Whether its events are sent to us, so that silence never means that somebody is away.
    pub pushed: bool,
    /// When it last moved.
    pub moved_at: Instant,
}

impl Progress {
    /// Whether everything that is in the partition, as last seen, has been read.
    fn at_end(&self) -> bool {
        self.end
            .is_some_and(|end| end.reached || self.position.next_offset >= end.high)
    }

    /// Whether everything that was there when reading began has been read.
    fn caught_up(&self) -> bool {
        self.position.next_offset >= self.high_at_start || self.end.is_some_and(|end| end.reached)
    }

    /// Records between what was read and the end, as last seen.
    fn lag(&self) -> Option<u64> {
        let end = self.end?;
        Some(if end.reached {
            0
        } else {
            (end.high - self.position.next_offset).max(0).unsigned_abs()
        })
    }
}

/// How far a source is read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reach {
    /// Nothing can come of it: a broker is away, or nobody knows its partitions yet.
    Away,
    /// There is more to read, or nobody knows.
    Behind,
    /// Everything that is there has been read.
    AtEnd,
    /// What comes of it is sent to us.
    Pushed,
}

/// All partitions, and the watermarks that follow from them.
#[derive(Debug, Default)]
pub struct Watermarks {
    partitions: HashMap<TopicPartition, Progress>,
    by_source: HashMap<SourceId, Timestamp>,
    overall: Option<Timestamp>,
}

impl Watermarks {
    /// Continues from the watermark of the last evaluation: it never moves back.
    pub fn starting_at(overall: Option<Timestamp>) -> Watermarks {
        Watermarks {
            overall,
            ..Watermarks::default()
        }
    }

    /// Adds a partition, or replaces what was known of it.
    pub fn track(&mut self, progress: Progress) {
        self.partitions.insert(
            (progress.position.topic.clone(), progress.position.partition),
            progress,
        );
    }

    /// Takes a position that moved; says of which source it is.
    pub fn moved(&mut self, position: Position, at: Instant) -> Option<SourceId> {
        let name = (position.topic.clone(), position.partition);
        let progress = self.partitions.get_mut(&name)?;
        progress.position = position;
        progress.moved_at = at;
        Some(progress.source)
    }

    /// Takes the end of a partition.
    pub fn ended(&mut self, partition: &TopicPartition, end: End) {
        if let Some(progress) = self.partitions.get_mut(partition) {
            progress.end = Some(end);
        }
    }

    /// Moves the watermarks on. `now` is the time of day, `at` the same moment for measuring silence; `live`: the
    /// brokers answer, so that silence means that nothing happened. `stuck_after`: a partition that did not move for so
    /// long and has not reached the end that it had at the start does not hold the others back; its events are late
    /// when they come.
    pub fn advance(
        &mut self,
        now: Timestamp,
        at: Instant,
        live: bool,
        stuck_after: Option<Duration>,
        allowed: impl Fn(SourceId) -> Allowed,
    ) -> Option<Timestamp> {
        let mut candidates: HashMap<SourceId, Option<Timestamp>> = HashMap::new();
        let is_stuck = |progress: &&Progress| {
            let silence = at.saturating_duration_since(progress.moved_at);
            live && !progress.caught_up() && stuck_after.is_some_and(|after| silence >= after)
        };
        for progress in self.partitions.values().filter(|progress| !is_stuck(progress)) {
            // Where everything so far was rejected no event will tell the time, and somebody has to be told.
            let is_mute = progress.position.newest_event_ms.is_none() && progress.position.next_offset > 0;
            let allowed = allowed(progress.source);
            let idle = (live || progress.pushed)
                && progress.at_end()
                && (is_mute || at.saturating_duration_since(progress.moved_at) >= allowed.idle_timeout);
            let newest = progress
                .position
                .newest_event_ms
                .and_then(|ms| Timestamp::from_millisecond(ms).ok());
            let seen = if idle {
                Some(newest.map_or(now, |newest| newest.max(now)))
            } else {
                newest
            };
            let candidate = seen.and_then(|seen| seen.checked_sub(allowed.lateness).ok());
            candidates
                .entry(progress.source)
                .and_modify(|least| *least = least.zip(candidate).map(|(a, b)| a.min(b)))
                .or_insert(candidate);
        }
        for (source, candidate) in &candidates {
            if let Some(candidate) = candidate {
                let watermark = self.by_source.entry(*source).or_insert(*candidate);
                *watermark = (*watermark).max(*candidate);
            }
        }
        let known: Option<Vec<Timestamp>> = candidates
            .keys()
            .map(|source| self.by_source.get(source).copied())
            .collect();
        if let Some(least) = known.and_then(|known| known.into_iter().min()) {
            self.overall = Some(self.overall.map_or(least, |overall| overall.max(least)));
        }
        self.overall
    }

    /// The watermark of one source.
    pub fn of(&self, source: SourceId) -> Option<Timestamp> {
        self.by_source.get(&source).copied()
    }

    /// The watermark of the last [`Watermarks::advance`].
    pub fn overall(&self) -> Option<Timestamp> {
        self.overall
    }

    /// Partitions that have not yet reached the end that they had when reading began.
    pub fn behind(&self) -> usize {
        self.partitions
            .values()
            .filter(|progress| !progress.caught_up())
            .count()
    }

    /// How far a source of topics is read; at its end where it has no partition, since nothing can come then.
    pub fn reach(&self, source: SourceId) -> Reach {
        let mut mine = self
            .partitions
            .values()
            .filter(|progress| progress.source == source);
        match mine.all(|progress| progress.pushed || progress.at_end()) {
            true => Reach::AtEnd,
            false => Reach::Behind,
        }
    }

    /// Records not yet read of a source; `None` while an end is unknown or the source has no partition.
    pub fn lag(&self, source: SourceId) -> Option<u64> {
        let mut mine = self
            .partitions
            .values()
            .filter(|progress| progress.source == source)
            .peekable();
        mine.peek()?;
        mine.map(Progress::lag).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const IDLE_AFTER: Duration = Duration::from_secs(3);

    /// So many seconds late, and idle after three.
    fn late_by(seconds: i64) -> impl Fn(SourceId) -> Allowed {
        move |_| Allowed {
            lateness: SignedDuration::from_secs(seconds),
            idle_timeout: IDLE_AFTER,
        }
    }

    const ORDERS: SourceId = SourceId(0);
    const VISITS: SourceId = SourceId(1);

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(seconds).unwrap()
    }

    fn partition(source: SourceId, number: i32, newest: Option<i64>, next: i64, high: i64) -> Progress {
        let position = Position {
            topic: format!("t{}", source.0).into(),
            partition: number,
            next_offset: next,
            newest_event_ms: newest.map(|s| s * 1000),
        };
        Progress {
            source,
            position,
            end: Some(End { high, reached: false }),
            high_at_start: high,
            pushed: false,
            moved_at: Instant::now(),
        }
    }

    fn advance(partitions: Vec<Progress>, now: i64, live: bool) -> Option<i64> {
        let mut watermarks = Watermarks::default();
        partitions.into_iter().for_each(|p| watermarks.track(p));
        watermarks
            .advance(at(now), Instant::now() + IDLE_AFTER, live, None, late_by(10))
            .map(Timestamp::as_second)
    }

    #[test]
    fn the_slowest_live_partition_holds_it() {
        let behind = vec![
            partition(ORDERS, 0, Some(500), 5, 9),
            partition(ORDERS, 1, Some(100), 5, 9),
        ];
        assert_eq!(advance(behind, 1000, true), Some(90));
    }

    #[test]
    fn a_partition_at_its_end_lets_go_while_the_broker_answers() {
        let partitions = || {
            vec![
                partition(ORDERS, 0, Some(500), 5, 9),
                partition(ORDERS, 1, Some(100), 9, 9),
            ]
        };
        assert_eq!(advance(partitions(), 1000, true), Some(490));
        assert_eq!(advance(partitions(), 1000, false), Some(90));
    }

    #[test]
    fn how_long_a_partition_may_be_idle_is_the_sources() {
        let mut watermarks = Watermarks::default();
        watermarks.track(partition(ORDERS, 0, Some(500), 9, 9));
        watermarks.track(partition(VISITS, 0, Some(100), 9, 9));
        let allowed = |source| Allowed {
            lateness: SignedDuration::ZERO,
            idle_timeout: Duration::from_secs(if source == VISITS { 60 } else { 3 }),
        };
        let mut after = |seconds| {
            let moment = Instant::now() + Duration::from_secs(seconds);
            watermarks.advance(at(1000), moment, true, None, allowed)
        };
        assert_eq!(after(59), Some(at(100)));
        assert_eq!(after(61), Some(at(1000)));
    }

    #[test]
    fn a_partition_of_which_nothing_could_be_used_does_not_hold_it_for_ever() {
        let at_once = |partition: Progress| {
            let mut watermarks = Watermarks::default();
            watermarks.track(partition);
            let reached = watermarks.advance(at(1000), Instant::now(), true, None, late_by(10));
            reached.map(Timestamp::as_second)
        };
        assert_eq!(at_once(partition(ORDERS, 0, None, 9, 9)), Some(990));
        assert_eq!(
            at_once(partition(ORDERS, 0, None, 5, 9)),
            None,
            "the rest may tell the time"
        );
        assert_eq!(
            at_once(partition(ORDERS, 0, None, 0, 0)),
            None,
            "nothing came yet"
        );
    }

    #[test]
    fn silence_of_those_who_send_lets_go_without_a_broker() {
        let mut pushed = partition(ORDERS, 0, Some(100), 9, 9);
        pushed.pushed = true;
        assert_eq!(advance(vec![pushed], 1000, false), Some(990));
    }

    #[test]
    fn when_all_is_read_time_itself_moves_it() {
        assert_eq!(
            advance(vec![partition(ORDERS, 0, Some(500), 9, 9)], 1000, true),
            Some(990)
        );
    }

    #[test]
    fn a_source_that_has_brought_nothing_yet_holds_everything() {
        let partitions = vec![
            partition(ORDERS, 0, Some(500), 9, 9),
            partition(VISITS, 0, None, 0, 9),
        ];
        assert_eq!(advance(partitions, 1000, true), None);
    }

    #[test]
    fn one_that_is_stuck_at_the_start_lets_go_after_a_while() {
        let after = Duration::from_secs(600);
        let advance = |partitions: Vec<Progress>, live, seconds| {
            let mut watermarks = Watermarks::default();
            partitions.into_iter().for_each(|p| watermarks.track(p));
            let moment = Instant::now() + Duration::from_secs(seconds);
            watermarks
                .advance(at(1000), moment, live, Some(after), late_by(0))
                .map(Timestamp::as_second)
        };
        let read = || partition(ORDERS, 0, Some(500), 9, 9);
        // Of its own source, and of another that has brought nothing else.
        for stuck in [
            partition(ORDERS, 1, Some(100), 5, 9),
            partition(VISITS, 0, None, 0, 9),
        ] {
            let held = advance(vec![read(), stuck.clone()], true, 599);
            assert!(held.is_none_or(|held| held == 100), "{held:?}");
            assert_eq!(advance(vec![read(), stuck.clone()], true, 601), Some(1000));
            let away = advance(vec![read(), stuck.clone()], false, 601);
            assert_eq!(away, held, "nobody can be read while the broker is away");
            let mut moves = stuck;
            moves.moved_at += Duration::from_secs(2);
            assert_eq!(advance(vec![read(), moves], true, 601), held);
        }
    }

    #[test]
    fn it_never_moves_back() {
        let mut watermarks = Watermarks::starting_at(Some(at(2000)));
        watermarks.track(partition(ORDERS, 0, Some(500), 5, 9));
        assert_eq!(
            watermarks.advance(at(1000), Instant::now(), true, None, late_by(0)),
            Some(at(2000))
        );
    }

    #[test]
    fn lag_and_catching_up_follow_the_ends() {
        let mut watermarks = Watermarks::default();
        watermarks.track(partition(ORDERS, 0, Some(500), 5, 9));
        assert_eq!(
            (
                watermarks.behind(),
                watermarks.lag(ORDERS),
                watermarks.lag(VISITS)
            ),
            (1, Some(4), None)
        );
        // A commit marker stands where the last offset is: the client says that it reached the end.
        watermarks.ended(
            &("t0".into(), 0),
            End {
                high: 9,
                reached: true,
            },
        );
        assert_eq!((watermarks.behind(), watermarks.lag(ORDERS)), (0, Some(0)));
    }
}

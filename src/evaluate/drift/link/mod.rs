//! The judgement of links: pure, no I/O, no clock, small state.

mod answer;
mod calendar;
mod judge;
mod plan;
mod stream;
mod tuning;

use serde::{Deserialize, Serialize};

pub use calendar::{Days, Special, date_of, day_of, weekday};
pub use judge::Ranges;
pub use plan::Announced;
pub use stream::{Before, DayInput, RING};
pub use tuning::{AnswerTuning, Tuning};

use super::sure;
use crate::catalog::attribute::DriftKind;
use crate::evaluate::outlook::{AGES, Arrived, Awaited};
use answer::{Answer, Change, MayAsk};
use calendar::QuarterEnd;
use judge::{Judge, Noise, Seen, Spoken};
use stream::{Health, Stream};

/// A side of a link.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Side {
    /// The KPI.
    Kpi,
    /// The parent.
    Parent,
}

/// Something that is wrong with a link now.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Finding {
    /// What.
    pub kind: DriftKind,
    /// First day of it, as far as can be told.
    pub since: i32,
    /// Log ratio of the parent to what its KPI explains; for a changed unit, of values to their usual size.
    pub gap: f64,
    /// Log ratios of KPI and parent to their usual levels.
    pub moves: [f64; 2],
    /// Evidence as a share of what it takes to say so.
    pub evidence: f64,
    /// Probability that it is no chance. Of levels by the latest window alone, see [`Reading::sure`]; of the answer and of a
    /// silence by the likelihood of all days since it began, of a unit by how far out days are, see
    /// `docs/detection.md`.
    pub confidence: f64,
    /// Which side's feed it is, where it is about one.
    pub side: Option<Side>,
    /// What became of the answer, where it is about that.
    pub answer: Option<Answered>,
}

/// What became of the parent's answer to its KPI.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Answered {
    /// Share of the answers expected since that came at their time.
    pub share: f64,
    /// Days from a move to the middle of its answer, as it was and as it is; the same where it is missing.
    pub lag_days: [f64; 2],
}

/// What is known of a link at a day close.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Reading {
    /// What is wrong with it.
    pub findings: Vec<Finding>,
    /// Evidence by kind, in the order of [`DriftKind::ALL`], as a share of what it takes to say so.
    pub scores: [f64; 7],
    /// Probability that it is no chance that the parent brings less, or more, than its KPI explains: that a normal deviate is
    /// not as far out to either side as the latest window is to this one.
    pub sure: [f64; 2],
    /// Log ratio of the parent to what its KPI explains; `None` before the warm-up is over.
    pub gap: Option<f64>,
    /// Correlation of the parent with its KPI at its lag; `None` before it can be told.
    pub strength: Option<f64>,
    /// Days by which the parent follows.
    pub lag_days: Option<f64>,
    /// Per cent by which the parent moves when the KPI moves by one; `None` where the link is too weak to tell.
    pub elasticity: Option<f64>,
    /// How sure they are; `None` before it can be told.
    pub ranges: Option<Ranges>,
    /// Days judged so far.
    pub judged_days: u32,
}

/// What a link has to say of what its KPI brings the parent, where it is known well enough: other KPIs of the same parent are
/// not blamed for that.
#[derive(Clone, Debug)]
pub struct Voice {
    judged_to: i32,
    /// By judge.
    spoken: [Option<Spoken>; 3],
}

/// Place of the longest window among the judges.
const LONG: usize = 2;

/// State of a link: a few rings and sums, whatever the length of its history.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Link {
    first_day: i32,
    kpi: Stream,
    parent: Stream,
    judges: [Judge; 3],
    answer: Answer,
    judged_to: i32,
    closed_to: i32,
    /// What the judges say, by direction: the parent brings less, or more.
    active: [Option<Said>; 2],
    /// What the feeds' health was at the last close.
    feeds: [Health; 2],
}

/// A departure that is told, from when on.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Said {
    is_gaming: bool,
    since: i32,
}

impl Link {
    /// A link whose first day is `first_day`.
    pub fn new(first_day: i32, kpi: Before, parent: Before, days: &Days, tuning: &Tuning) -> Link {
        Link {
            first_day,
            kpi: Stream::new(first_day, kpi, days),
            parent: Stream::new(first_day, parent, days),
            judges: std::array::from_fn(|at| {
                Judge::new(tuning, tuning.window[at], tuning.kappa[at], tuning.limit[at])
            }),
            answer: Answer::new(),
            judged_to: first_day - 1,
            closed_to: first_day - 1,
            active: [None; 2],
            feeds: [Health::default(); 2],
        }
    }

    /// Takes in a day close. Days that were closed already are not closed again.
    pub fn close(&mut self, day: i32, kpi: DayInput<'_>, parent: DayInput<'_>, days: &Days, tuning: &Tuning) {
        self.close_among(&[], day, [kpi, parent], days, tuning);
    }

    /// What the link has to say of what its KPI brings the parent, before the day closes.
    pub fn voice(&self, tuning: &Tuning) -> Voice {
        Voice {
            judged_to: self.judged_to,
            spoken: self.judges.each_ref().map(|judge| judge.spoken(tuning)),
        }
    }

    /// The same of a KPI that shares its parent with others: what theirs explain is not asked of this one. They
    /// are as they were before the day.
    pub fn close_among(
        &mut self,
        others: &[&Voice],
        day: i32,
        [kpi, parent]: [DayInput<'_>; 2],
        days: &Days,
        tuning: &Tuning,
    ) {
        if day <= self.closed_to {
            return;
        }
        let closed_to = std::mem::replace(&mut self.closed_to, day);
        self.feeds = [
            self.kpi.close(day, closed_to, kpi, days, tuning),
            self.parent.close(day, closed_to, parent, days, tuning),
        ];
        self.take_off_shared(day, tuning);
        let wait = self.kpi.maturity(tuning).max(self.parent.maturity(tuning));
        while self.judged_to < day - wait {
            self.judged_to += 1;
            self.judge(self.judged_to, others, days, tuning);
        }
    }

    /// A size that both sides share is a rush or a lull and no unit, up to a size that no business makes. Where it stays, it is
    /// what is usual.
    fn take_off_shared(&mut self, day: i32, tuning: &Tuning) {
        let mut stays = false;
        for (health, other) in self.feeds.iter_mut().zip([&self.parent, &self.kpi]) {
            let is_shared = |(since, size): &mut (i32, f64)| {
                let moved = other
                    .moved(*since, day)
                    .map_or(0.0, |moved| moved * size.signum());
                let size = size.abs();
                size < tuning.unit_shared
                    && moved >= 0.5 * size
                    && (size - moved).abs() < tuning.unit_log_of_few
            };
            let shared = health.unit_change.take_if(is_shared);
            stays |= shared.is_some_and(|(since, _)| day - since >= tuning.unit_settles);
        }
        if stays {
            self.kpi.settle();
            self.parent.settle();
        }
    }

    /// The first day that it knows of.
    pub fn first_day(&self) -> i32 {
        self.first_day
    }

    /// The last day that was closed.
    pub fn closed_to(&self) -> i32 {
        self.closed_to
    }

    /// What has come of KPI and parent since the last close, by the age of its day, as another day closes with these flows; `None`
    /// where that says nothing of how late data comes.
    pub fn came(&self, day: i32, flows: [&[Option<f64>]; 2]) -> [Option<[f64; AGES]>; 2] {
        let [kpi, parent] = flows;
        [
            self.kpi.came(day, self.closed_to, kpi),
            self.parent.came(day, self.closed_to, parent),
        ]
    }

    /// What is awaited of the latest days of a side that comes late.
    pub fn awaited(&self, side: Side, arrived: Arrived) -> Awaited {
        let stream = match side {
            Side::Kpi => &self.kpi,
            Side::Parent => &self.parent,
        };
        stream.awaited(self.closed_to, arrived)
    }

    /// Whether it is known well enough for anything to be told of it.
    pub fn is_warm(&self, tuning: &Tuning) -> bool {
        self.judges[LONG].judged > tuning.warmup
    }

    /// What is known after the last close.
    pub fn reading(&self, tuning: &Tuning) -> Reading {
        let mut reading = Reading {
            judged_days: self.judges[LONG].judged,
            ..Reading::default()
        };
        let feeds = [(Side::Kpi, &self.kpi), (Side::Parent, &self.parent)];
        for ((side, stream), health) in feeds.into_iter().zip(self.feeds) {
            let about_feed = |kind, since, gap, confidence| Finding {
                kind,
                since,
                gap,
                moves: [0.0; 2],
                evidence: 1.0,
                confidence,
                side: Some(side),
                answer: None,
            };
            if let Some(silent) = health.silent_days {
                reading.findings.push(about_feed(
                    DriftKind::FeedGap,
                    self.closed_to + 1 - silent as i32,
                    0.0,
                    stream.silence_confidence(),
                ));
            }
            if let Some((since, factor)) = health.unit_change {
                let confidence = stream.unit_confidence();
                reading
                    .findings
                    .push(about_feed(DriftKind::UnitChange, since, factor, confidence));
            }
        }
        for side in 0..2 {
            let judge = self.leading(side, tuning);
            let evidence = judge.sums[side] / judge.limit(tuning);
            reading.sure[side] = sure::within(judge.departs(side));
            let is_gaming = self.active[side].map_or_else(|| judge.looks_gamed(), |said| said.is_gaming);
            let kind = match (side, is_gaming) {
                (1, _) => DriftKind::Uncredited,
                (_, true) => DriftKind::Gaming,
                (_, false) => DriftKind::Hollow,
            };
            let said = self.active[side];
            reading.scores[kind as usize] = match said {
                Some(_) => evidence.max(1.0),
                None => evidence.min(0.999),
            };
            if let Some(said) = said {
                reading.findings.push(Finding {
                    kind,
                    since: said.since,
                    gap: judge.gap,
                    moves: [judge.kpi, judge.parent],
                    evidence: evidence.max(1.0),
                    confidence: reading.sure[side],
                    side: None,
                    answer: None,
                });
            }
        }
        let changes = [
            (DriftKind::WeakLink, self.answer.missing(&tuning.answer)),
            (DriftKind::LagChange, self.answer.later(&tuning.answer)),
        ];
        for (kind, change) in changes {
            let Some(change) = change else { continue };
            reading.scores[kind as usize] = change.evidence;
            if change.evidence >= 1.0 {
                reading.findings.push(self.changed(kind, &change));
            }
        }
        for finding in &reading.findings {
            let score = &mut reading.scores[finding.kind as usize];
            *score = score.max(1.0);
        }
        let long = &self.judges[LONG];
        if self.is_warm(tuning) {
            reading.gap = Some(self.leading(usize::from(long.gap > 0.0), tuning).gap);
            reading.strength = Some(long.strength.clamp(0.0, 1.0));
            reading.lag_days = Some(long.lag as f64);
            // What explains a gap is told of the values themselves, whichever way is good.
            let sign = self.kpi.sign() * self.parent.sign();
            reading.elasticity = long.known().map(|known| known.elasticity * sign);
            reading.ranges = long.ranges(tuning).map(|ranges| {
                let [low, high] = ranges.elasticity;
                Ranges {
                    elasticity: if sign < 0.0 { [-high, -low] } else { [low, high] },
                    ..ranges
                }
            });
        }
        reading
    }

    fn changed(&self, kind: DriftKind, change: &Change) -> Finding {
        let judge = &self.judges[LONG];
        Finding {
            kind,
            since: change.since,
            gap: judge.gap,
            moves: [judge.kpi, judge.parent],
            evidence: change.evidence,
            confidence: change.confidence,
            side: None,
            answer: Some(Answered {
                share: change.answered,
                lag_days: change.lags,
            }),
        }
    }

    /// The judge whose evidence is the furthest.
    fn leading(&self, side: usize, tuning: &Tuning) -> &Judge {
        let share = |judge: &Judge| judge.sums[side] / judge.limit(tuning);
        let longest = &self.judges[LONG];
        let further = |best, judge| if share(judge) > share(best) { judge } else { best };
        self.judges.iter().fold(longest, further)
    }

    fn judge(&mut self, day: i32, others: &[&Voice], days: &Days, tuning: &Tuning) {
        // Levels are those of judgement, which turns a side round where less is better.
        let levels = [
            self.judges[LONG].level(0) * self.kpi.sign(),
            self.judges[LONG].level(1) * self.parent.sign(),
        ];
        let ends = QuarterEnd::by(day);
        self.kpi.learn_day(day, levels[0], &ends);
        self.parent.learn_day(day, levels[1], &ends);
        let quiet = self.active.iter().all(Option::is_none)
            && !self.judges.iter().any(|judge| judge.is_suspicious(tuning));
        let lengths = self.judges.each_ref().map(|judge| judge.window);
        let all = [&self.kpi, &self.parent].map(|stream| stream.windows(day, lengths, &ends));
        for (place, judge) in self.judges.iter_mut().enumerate() {
            let windows = all.map(|windows| windows[place]);
            let ratios = windows.map(|window| {
                let enough = window.days * 7 >= judge.window * 3 && window.reference > 0.0;
                enough.then(|| window.ratio()).filter(|ratio| ratio.is_finite())
            });
            let days_used = windows[0].days.min(windows[1].days);
            let thin = (judge.window as f64 / days_used.max(1) as f64).sqrt();
            let doubt = windows[0].doubt.hypot(windows[1].doubt);
            let raw: Vec<f64> = (0..5)
                .filter_map(|lag| self.kpi.raw_ratio(day - 7 * lag, judge.window, days))
                .collect();
            let noise = windows.map(|window| Noise {
                at_reference: window.noise / window.reference.max(f64::MIN_POSITIVE),
                sign: window.sign(),
            });
            // The one that explains the most: KPIs that move together would be counted twice in a sum.
            let brought = others
                .iter()
                .filter_map(|voice| Some(voice.spoken[place].as_ref()?.brings(day, voice.judged_to, tuning)));
            let widest = |(low, high): (f64, f64), (a, b): (f64, f64)| (f64::min(low, a), f64::max(high, b));
            let seen = Seen {
                ratios,
                raw,
                others: brought.fold((0.0, 0.0), widest),
                doubt,
                noise,
                counted: windows[1].counted(),
                thin,
            };
            judge.day(day, &seen, quiet, tuning);
        }
        for side in 0..2 {
            let over = self.judges.iter().find(|judge| judge.is_over(side, tuning));
            let is_calm = |judge: &Judge| judge.sums[side] <= tuning.clear * judge.limit(tuning);
            match (self.active[side], over) {
                (None, Some(judge)) => {
                    self.active[side] = Some(Said {
                        is_gaming: judge.looks_gamed(),
                        since: judge.since[side].unwrap_or(day),
                    });
                }
                (Some(_), _) if self.judges.iter().all(is_calm) => {
                    self.active[side] = None;
                    for judge in &mut self.judges {
                        judge.sums[side] = 0.0;
                        judge.pass_over(day);
                    }
                }
                _ => {}
            }
        }
        let departures = [
            self.kpi.departure(day, levels[0], &ends),
            self.parent.departure(day, levels[1], &ends),
        ];
        let may = self.may_ask(tuning);
        self.answer.day(day, departures, may, &tuning.answer);
    }

    /// Where the level of one side is what is the matter, or may be, days say nothing of the answer. A fall of the parent may
    /// come from an answer that is later.
    fn may_ask(&self, tuning: &Tuning) -> MayAsk {
        let is_calm = |side: usize| {
            let is_suspicious = |judge: &Judge| judge.sums[side] > tuning.hold * judge.limit(tuning);
            self.active[side].is_none() && !self.judges.iter().any(is_suspicious)
        };
        let is_gamed = self.active[0].is_some_and(|said| said.is_gaming);
        MayAsk {
            missing: is_calm(0) && is_calm(1),
            later: is_calm(1) && !is_gamed,
        }
    }
}

//! What was expected against what came of it, as a good diff shows it.

use std::fmt::Write;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use super::case::{Case, ExpectedNotice, ExpectedState};
use super::file::{Outcome, State};
use super::play::{Played, Stood};
use crate::alert::dispatch::silence::Silence;
use crate::alert::record::Labels;
use crate::notify::outbox::Status;
use crate::state::LoggedNotice;

/// What a test says.
#[derive(Debug, Serialize)]
pub(super) struct Verdict {
    /// Its name.
    pub(super) name: String,
    /// Where it stands.
    pub(super) place: String,
    /// How many things were looked at.
    pub(super) checks: usize,
    /// What is not as expected; empty: it passed.
    pub(super) failures: Vec<Failure>,
}

/// Something that is not as expected.
#[derive(Debug, Serialize)]
pub(super) struct Failure {
    /// What was looked at: `exp_states`, `exp_notices`, `silence`, `ack`.
    pub(super) what: String,
    /// Where it is expected.
    pub(super) place: String,
    /// The difference, line by line: ` ` as expected, `-` missing, `+` too much.
    pub(super) diff: Vec<String>,
}

/// Compares.
pub(super) fn judge(case: &Case, played: &Played) -> Verdict {
    let words = Words {
        start: case.start,
        zone: &case.declared.catalog.calendar.timezone,
    };
    let mut failures: Vec<Failure> = played
        .refused
        .iter()
        .map(|(place, text)| Failure {
            what: "cannot be done".to_owned(),
            place: place.to_string(),
            diff: vec![format!("+ {text}")],
        })
        .collect();
    for (expected, stood) in case.states.iter().zip(&played.states) {
        failures.extend(words.state(expected, stood));
    }
    if let Some(expected) = &case.notices {
        failures.extend(words.notices(case, expected, played));
    }
    Verdict {
        name: case.name.clone(),
        place: case.place.to_string(),
        checks: case.states.len() + case.notices.as_ref().map_or(0, |notices| notices.len().max(1)),
        failures,
    }
}

/// The verdict on one line, and the failures below it.
pub(super) fn text(verdict: &Verdict) -> String {
    let mut out = String::new();
    let word = if verdict.failures.is_empty() {
        "ok  "
    } else {
        "FAIL"
    };
    // Writing to a String does not fail.
    let _ = writeln!(out, "{word} {} ({})", verdict.name, verdict.place);
    for failure in &verdict.failures {
        let _ = writeln!(out, "  {}: {}", failure.place, failure.what);
        for line in &failure.diff {
            let _ = writeln!(out, "    {}", line.trim_end());
        }
    }
    out
}

struct Words<'a> {
    start: Timestamp,
    zone: &'a TimeZone,
}

/// A line of the diff of notices, in the order of time.
struct Line {
    at: Timestamp,
    /// It says why something is missing, and is no notice.
    is_aside: bool,
    text: String,
}

impl Words<'_> {
    fn state(&self, expected: &ExpectedState, stood: &[Stood]) -> Option<Failure> {
        let active: Vec<&Stood> = stood.iter().filter(|one| one.state != State::Inactive).collect();
        let fits = |one: &&Stood| {
            one.state == expected.state && expected.severity.is_none_or(|severity| severity == one.severity)
        };
        let is_so = match expected.state {
            State::Inactive => active.is_empty(),
            _ => !active.is_empty() && active.iter().all(fits),
        };
        if is_so {
            return None;
        }
        let severity = expected
            .severity
            .map(|severity| format!(" {}", severity.as_str()));
        let mut diff = vec![format!(
            "- {}{}",
            word(expected.state),
            severity.unwrap_or_default()
        )];
        if active.is_empty() {
            diff.push("+ inactive".to_owned());
        }
        for one in &active {
            let since = one.since.map(|since| format!(" since {}", self.offset(since)));
            let mark = if fits(one) { ' ' } else { '+' };
            diff.push(format!(
                "{mark} {} {}{}  {}",
                word(one.state),
                one.severity.as_str(),
                since.unwrap_or_default(),
                named(&one.labels)
            ));
        }
        if active.len() > 1 {
            diff.push("  several alerts of this rule: name one with node or labels".to_owned());
        }
        Some(Failure {
            what: format!(
                "exp_states, {} at {}",
                expected.which.text(),
                self.moment(expected.at)
            ),
            place: expected.place.to_string(),
            diff,
        })
    }

    fn notices(&self, case: &Case, expected: &[ExpectedNotice], played: &Played) -> Option<Failure> {
        let told: Vec<(&LoggedNotice, Timestamp)> = played
            .notices
            .iter()
            // What nobody needs to hear of was never told.
            .filter(|logged| logged.status != Status::Superseded)
            .map(|logged| (logged, logged.settled.unwrap_or(logged.decided)))
            .collect();
        let mut order: Vec<usize> = (0..told.len()).collect();
        order.sort_by_key(|&at| told[at].1);
        let fitting: Vec<Vec<usize>> = order
            .iter()
            .map(|&at| {
                let (logged, when) = told[at];
                let all = expected.iter().enumerate();
                let mut fitting: Vec<_> = all.filter(|(_, one)| fits(one, logged, when)).collect();
                fitting.sort_by_key(|(_, one)| one.to);
                fitting.into_iter().map(|(n, _)| n).collect()
            })
            .collect();
        let met_by = pairs(&fitting, expected.len());
        let mut lines: Vec<Line> = Vec::new();
        let mut is_equal = true;
        for (turn, at) in order.into_iter().enumerate() {
            let (logged, when) = told[at];
            let is_found = met_by.contains(&Some(turn));
            is_equal &= is_found;
            lines.push(Line {
                at: when,
                is_aside: false,
                text: format!(
                    "{} {}",
                    if is_found { ' ' } else { '+' },
                    self.notice(logged, when)
                ),
            });
        }
        for (one, _) in expected.iter().zip(&met_by).filter(|(_, met)| met.is_none()) {
            is_equal = false;
            lines.push(Line {
                at: one.from,
                is_aside: false,
                text: format!("- {}", self.expected(one)),
            });
            let held = played
                .held
                .iter()
                .filter(|held| held.receiver == one.receiver && !held.by.is_empty() && held.at <= one.to);
            lines.extend(held.map(|held| Line {
                at: held.at,
                is_aside: true,
                text: format!(
                    "  {}  {} is not told: {}",
                    self.moment(held.at),
                    held.receiver,
                    why(&held.by, &played.silences)
                ),
            }));
        }
        if is_equal {
            return None;
        }
        let diff = in_order(lines);
        let place = expected.first().map_or(&case.place, |first| &first.place);
        Some(Failure {
            what: "exp_notices".to_owned(),
            place: place.to_string(),
            diff,
        })
    }

    fn notice(&self, logged: &LoggedNotice, when: Timestamp) -> String {
        let notice = &logged.notice;
        let status = match logged.status {
            Status::Delivered => String::new(),
            status => format!(
                "  {}: {}",
                status.as_str(),
                logged.detail.as_deref().unwrap_or("")
            ),
        };
        format!(
            "{}  {}  {} {} {}  {}{status}",
            self.moment(when),
            notice.receiver,
            notice.kind.as_str(),
            notice.alert_kind,
            notice.severity.as_str(),
            named(&notice.labels),
        )
    }

    fn expected(&self, one: &ExpectedNotice) -> String {
        let severity = one.severity.map(|severity| format!(" {}", severity.as_str()));
        format!(
            "{} … {}  {}  {}{}{}  ({}:{})",
            self.offset(one.from),
            self.offset(one.to),
            one.receiver,
            one.kind.as_str(),
            format!(" {}", one.which.text()).trim_end(),
            severity.unwrap_or_default(),
            one.place.line,
            one.place.column,
        )
    }

    /// `25d (2026-07-26T00:00:00+08:00)`.
    fn moment(&self, at: Timestamp) -> String {
        let wall = at.display_with_offset(self.zone.to_offset(at));
        format!("{} ({wall})", self.offset(at))
    }

    /// Since the start of the test: `25d`, `1d12h5s`.
    fn offset(&self, at: Timestamp) -> String {
        let since = at.duration_since(self.start);
        let sign = if since < SignedDuration::ZERO { "-" } else { "" };
        let mut rest = since.as_millis().unsigned_abs();
        let mut text = sign.to_owned();
        for (size, unit) in [
            (86_400_000, "d"),
            (3_600_000, "h"),
            (60_000, "m"),
            (1000, "s"),
            (1, "ms"),
        ] {
            if rest >= size {
                let _ = write!(text, "{}{unit}", rest / size);
                rest %= size;
            }
        }
        match text.as_str() {
            "" => "0s".to_owned(),
            _ => text,
        }
    }
}

/// The lines in the order of time. Why somebody is not told says the same of every notice that is missing, and is said once;
/// a notice that came twice came twice.
fn in_order(mut lines: Vec<Line>) -> Vec<String> {
    lines.sort_by_key(|line| line.at);
    lines.dedup_by(|one, before| one.is_aside && before.is_aside && one.text == before.text);
    lines.into_iter().map(|line| line.text).collect()
}

/// Which notice meets each of so many expectations, so that as many as can be are met: a notice makes room where those
/// that were first can go elsewhere (Kuhn's augmenting paths). `fitting`: the expectations that each notice fits, those
/// that it rather meets first.
fn pairs(fitting: &[Vec<usize>], expected: usize) -> Vec<Option<usize>> {
    fn place(
        notice: usize,
        fitting: &[Vec<usize>],
        met_by: &mut [Option<usize>],
        tried: &mut [bool],
    ) -> bool {
        for &n in &fitting[notice] {
            if std::mem::replace(&mut tried[n], true) {
                continue;
            }
            let makes_room = match met_by[n] {
                None => true,
                Some(other) => place(other, fitting, met_by, tried),
            };
            if makes_room {
                met_by[n] = Some(notice);
                return true;
            }
        }
        false
    }
    let mut met_by = vec![None; expected];
    for notice in 0..fitting.len() {
        place(notice, fitting, &mut met_by, &mut vec![false; expected]);
    }
    met_by
}

fn fits(one: &ExpectedNotice, logged: &LoggedNotice, when: Timestamp) -> bool {
    let notice = &logged.notice;
    let outcome = match one.outcome {
        Outcome::Delivered => Status::Delivered,
        Outcome::Dead => Status::Dead,
    };
    let rule = notice.labels.get("alertname").unwrap_or(&notice.alert_kind);
    one.receiver == notice.receiver
        && one.kind == notice.kind
        && (one.from..=one.to).contains(&when)
        && one.which.holds(rule, &notice.labels)
        && one.severity.is_none_or(|severity| severity == notice.severity)
        && logged.status == outcome
}

/// What keeps somebody from being told; a silence by what it silences, as its id says nothing to anybody.
fn why(by: &[String], silences: &[Silence]) -> String {
    let named = |text: &String| {
        let id = text.strip_prefix("silence ");
        let silence = id.and_then(|id| silences.iter().find(|silence| silence.id == id));
        silence.map_or_else(
            || text.clone(),
            |silence| {
                let matchers: Vec<String> = silence.matchers.iter().map(ToString::to_string).collect();
                format!("silence of {} by {}", matchers.join(", "), silence.created_by)
            },
        )
    };
    by.iter().map(named).collect::<Vec<_>>().join(", ")
}

/// The labels that tell alerts of one rule apart.
fn named(labels: &Labels) -> String {
    let told = labels.iter().filter(|(name, _)| *name != "alertname");
    let all: Vec<String> = told.map(|(name, value)| format!("{name}={value}")).collect();
    all.join(" ")
}

fn word(state: State) -> &'static str {
    match state {
        State::Inactive => "inactive",
        State::Pending => "pending",
        State::Firing => "firing",
        State::Recovering => "recovering",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_notice_that_came_twice_is_shown_twice() {
        let line = |at: i64, is_aside: bool, text: &str| Line {
            at: Timestamp::from_second(at).unwrap(),
            is_aside,
            text: text.to_owned(),
        };
        let lines = vec![
            line(2, false, "+ fired"),
            line(1, true, "  held"),
            line(2, false, "+ fired"),
            line(1, true, "  held"),
        ];
        assert_eq!(in_order(lines), ["  held", "+ fired", "+ fired"]);
    }

    #[test]
    fn a_notice_makes_room_for_one_that_fits_nothing_else() {
        for (fitting, expected, met) in [
            // The first would take what the second alone can have.
            (vec![vec![0, 1], vec![0]], 2, vec![Some(1), Some(0)]),
            (
                vec![vec![0, 1], vec![0, 2], vec![0]],
                3,
                vec![Some(2), Some(0), Some(1)],
            ),
            // Where nothing has to move, the first has what it would rather.
            (vec![vec![1, 0], vec![0]], 2, vec![Some(1), Some(0)]),
            (vec![vec![0], vec![0]], 1, vec![Some(0)]),
            (vec![vec![]], 1, vec![None]),
        ] {
            assert_eq!(pairs(&fitting, expected), met, "{fitting:?}");
        }
    }

    /// As many as can be met, tried out.
    fn most(fitting: &[Vec<usize>], taken: &mut Vec<usize>) -> usize {
        let Some((first, rest)) = fitting.split_first() else {
            return 0;
        };
        let mut best = most(rest, taken);
        for &n in first {
            if !taken.contains(&n) {
                taken.push(n);
                best = best.max(1 + most(rest, taken));
                taken.pop();
            }
        }
        best
    }

    proptest! {
        #[test]
        fn as_many_expectations_are_met_as_can_be(
            fitting in proptest::collection::vec(proptest::sample::subsequence((0..5).collect::<Vec<usize>>(), 0..=5), 0..6),
        ) {
            let met_by = pairs(&fitting, 5);
            let met: Vec<(usize, usize)> = met_by.iter().enumerate().filter_map(|(n, notice)| Some((n, (*notice)?))).collect();
            prop_assert!(met.iter().all(|(n, notice)| fitting[*notice].contains(n)));
            let mut notices: Vec<usize> = met.iter().map(|(_, notice)| *notice).collect();
            notices.sort_unstable();
            notices.dedup();
            prop_assert_eq!(notices.len(), met.len());
            prop_assert_eq!(met.len(), most(&fitting, &mut Vec::new()));
        }
    }
}

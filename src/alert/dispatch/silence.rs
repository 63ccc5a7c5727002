//! Silences: alerts that match one are not told for a while. States go on, and who was told of a beginning is told of
//! its end.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

use super::matcher::{Matcher, matches_all};
use crate::alert::record::Labels;

/// How long an expired silence is kept to be seen.
const KEEP: SignedDuration = SignedDuration::from_hours(5 * 24);

/// A silence. Times are of the wall clock.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Silence {
    /// Its id; empty for one that is to be made.
    pub id: String,
    /// Conditions, all of them.
    pub matchers: Vec<Matcher>,
    /// When it begins.
    pub starts_at: Timestamp,
    /// When it ends.
    pub ends_at: Timestamp,
    /// Who made it.
    pub created_by: String,
    /// Why.
    pub comment: String,
    /// When it was last changed.
    pub updated_at: Timestamp,
    /// Whether somebody was reminded of its end.
    #[serde(default)]
    pub reminded: bool,
}

/// Where a silence stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum SilenceState {
    /// Not begun.
    Pending,
    /// In force.
    Active,
    /// Over.
    Expired,
}

/// A silence that is not taken.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum SilenceRefusal {
    /// There is none with this id.
    #[error("there is no silence {0}")]
    Unknown(String),
    /// It says something that cannot be.
    #[error("{0}")]
    Invalid(String),
    /// It would hold back more than was likely meant.
    #[error("{0}; say force=true if it is meant")]
    TooBroad(String),
}

impl Silence {
    /// Where it stands.
    pub fn state(&self, now: Timestamp) -> SilenceState {
        match (now < self.starts_at, now < self.ends_at) {
            (_, false) => SilenceState::Expired,
            (true, true) => SilenceState::Pending,
            (false, true) => SilenceState::Active,
        }
    }

    /// Whether it holds an alert with these labels back.
    pub fn holds(&self, labels: &Labels, now: Timestamp) -> bool {
        self.state(now) == SilenceState::Active && matches_all(&self.matchers, labels)
    }
}

/// All silences.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Silences {
    /// By id.
    pub all: BTreeMap<String, Silence>,
    /// How many were ever made; part of the ids.
    made: u64,
}

impl Silences {
    /// Ids of the silences that hold an alert with these labels back.
    pub fn holding(&self, labels: &Labels, now: Timestamp) -> Vec<&str> {
        let holding = self.all.values().filter(|silence| silence.holds(labels, now));
        holding.map(|silence| silence.id.as_str()).collect()
    }

    /// Makes a silence, or changes one. As Alertmanager does: what has the same matchers and still has the time that
    /// passed is changed in place; otherwise the old one expires and a new one is made. `active` are the labels of all
    /// alerts that fire.
    ///
    /// # Errors
    /// What is wrong with it, or that it is too broad and `force` is not said.
    pub fn put(
        &mut self,
        asked: Silence,
        force: bool,
        active: &[Labels],
        store_id: &str,
        now: Timestamp,
    ) -> Result<String, SilenceRefusal> {
        check(&asked, now)?;
        if !force {
            check_breadth(&asked.matchers, active)?;
        }
        let old = match asked.id.as_str() {
            "" => None,
            id => Some(
                self.all
                    .get_mut(id)
                    .ok_or_else(|| SilenceRefusal::Unknown(id.to_owned()))?,
            ),
        };
        if let Some(old) = old {
            if can_change(old, &asked, now) {
                let starts_at = match old.state(now) {
                    SilenceState::Active => old.starts_at,
                    _ => asked.starts_at,
                };
                *old = Silence {
                    starts_at,
                    updated_at: now,
                    reminded: false,
                    ..asked
                };
                return Ok(old.id.clone());
            }
            if old.state(now) != SilenceState::Expired {
                expire(old, now);
            }
        }
        self.made += 1;
        let id = format!(
            "{:016x}",
            xxh3_64(format!("{store_id}/silence/{}", self.made).as_bytes())
        );
        let silence = Silence {
            id: id.clone(),
            starts_at: asked.starts_at.max(now),
            updated_at: now,
            reminded: false,
            ..asked
        };
        self.all.insert(id.clone(), silence);
        Ok(id)
    }

    /// Ends a silence now.
    ///
    /// # Errors
    /// When there is none with this id, or it is over.
    pub fn expire(&mut self, id: &str, now: Timestamp) -> Result<(), SilenceRefusal> {
        let silence = self
            .all
            .get_mut(id)
            .ok_or_else(|| SilenceRefusal::Unknown(id.to_owned()))?;
        if silence.state(now) == SilenceState::Expired {
            return Err(SilenceRefusal::Invalid(format!(
                "the silence {id} is already over"
            )));
        }
        expire(silence, now);
        Ok(())
    }

    /// Forgets those that are long over; whether there were any.
    pub fn forget(&mut self, now: Timestamp) -> bool {
        let before = self.all.len();
        self.all
            .retain(|_, silence| silence.ends_at.saturating_add(KEEP).is_ok_and(|end| end > now));
        self.all.len() != before
    }
}

fn expire(silence: &mut Silence, now: Timestamp) {
    silence.starts_at = silence.starts_at.min(now);
    (silence.ends_at, silence.updated_at) = (now, now);
}

fn check(asked: &Silence, now: Timestamp) -> Result<(), SilenceRefusal> {
    let wrong = |text: &str| Err(SilenceRefusal::Invalid(text.to_owned()));
    check_conditions(&asked.matchers)?;
    if asked.ends_at <= asked.starts_at {
        return wrong("the end must lie after the beginning");
    }
    if asked.ends_at <= now {
        return wrong("the end must not lie in the past");
    }
    if asked.created_by.trim().is_empty() {
        return wrong("createdBy is missing: who makes it is reminded of its end");
    }
    Ok(())
}

/// Whether a silence with these matchers would be taken without force, while alerts with the labels `active` fire.
///
/// # Errors
/// Why it would not.
pub(crate) fn check_matchers(matchers: &[Matcher], active: &[Labels]) -> Result<(), SilenceRefusal> {
    check_conditions(matchers)?;
    check_breadth(matchers, active)
}

fn check_conditions(matchers: &[Matcher]) -> Result<(), SilenceRefusal> {
    let wrong = |text: &str| Err(SilenceRefusal::Invalid(text.to_owned()));
    if matchers.is_empty() {
        return wrong("a silence needs at least one matcher");
    }
    if matchers.iter().all(|matcher| matcher.matches(&Labels::new())) {
        return wrong("at least one matcher must not match the empty value");
    }
    Ok(())
}

/// Without a matcher for one value, or over half of what fires: most likely a mistake.
fn check_breadth(matchers: &[Matcher], active: &[Labels]) -> Result<(), SilenceRefusal> {
    if !matchers.iter().any(Matcher::is_narrow) {
        let text = "no matcher names a value, so nearly everything would be silenced";
        return Err(SilenceRefusal::TooBroad(text.to_owned()));
    }
    let held = active
        .iter()
        .filter(|labels| matches_all(matchers, labels))
        .count();
    if active.len() > 2 && held * 2 > active.len() {
        let text = format!("it would silence {held} of the {} alerts that fire", active.len());
        return Err(SilenceRefusal::TooBroad(text));
    }
    Ok(())
}

/// In place only with the same matchers and, once it has begun, with the same beginning.
fn can_change(old: &Silence, asked: &Silence, now: Timestamp) -> bool {
    let same = old.matchers == asked.matchers;
    match old.state(now) {
        // Tools write milliseconds.
        SilenceState::Active => {
            let begins = old.starts_at.as_millisecond() == asked.starts_at.as_millisecond();
            same && begins && asked.ends_at >= now
        }
        SilenceState::Pending => same && asked.starts_at >= now,
        SilenceState::Expired => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn second(seconds: i64) -> Timestamp {
        Timestamp::UNIX_EPOCH + SignedDuration::from_secs(seconds)
    }

    fn asked(id: &str, matcher: &str, from: i64, to: i64) -> Silence {
        Silence {
            id: id.to_owned(),
            matchers: vec![Matcher::parse(matcher).unwrap()],
            starts_at: second(from),
            ends_at: second(to),
            created_by: "li".to_owned(),
            comment: String::new(),
            updated_at: second(0),
            reminded: true,
        }
    }

    /// Whether a silence from the 100th to the 200th second is changed in place at a moment, and where the one that it
    /// was stands afterwards.
    fn changed(at: i64, matcher: &str, from: i64, to: i64) -> (bool, SilenceState) {
        let mut silences = Silences::default();
        let put = |silences: &mut Silences, silence: Silence, now: i64| {
            silences.put(silence, false, &[], "store", second(now)).unwrap()
        };
        let id = put(&mut silences, asked("", "node=a", 100, 200), 50);
        let now = put(&mut silences, asked(&id, matcher, from, to), at);
        (now == id, silences.all[&id].state(second(at)))
    }

    #[test]
    fn an_edit_is_in_place_where_nothing_that_passed_changes() {
        use SilenceState::{Active, Expired, Pending};
        for (at, matcher, from, to, found) in [
            // In force: another end, from now on.
            (150, "node=a", 100, 300, (true, Active)),
            (150, "node=a", 100, 160, (true, Active)),
            // Not begun: both ends.
            (60, "node=a", 80, 300, (true, Pending)),
            // Another beginning of one in force, or other conditions: another silence.
            (150, "node=a", 150, 300, (false, Expired)),
            (150, "node=b", 100, 300, (false, Expired)),
            (60, "node=b", 100, 200, (false, Expired)),
            // What is over stays so.
            (250, "node=a", 100, 300, (false, Expired)),
        ] {
            let what = format!("{matcher} {from}-{to} at {at}");
            assert_eq!(changed(at, matcher, from, to), found, "{what}");
        }
    }

    #[test]
    fn a_beginning_is_the_same_to_the_millisecond() {
        let mut silences = Silences::default();
        let nanos = SignedDuration::from_nanos(1_234_567);
        let put = |silences: &mut Silences, silence: Silence, now: Timestamp| {
            silences.put(silence, false, &[], "store", now).unwrap()
        };
        let id = put(&mut silences, asked("", "node=a", 100, 200), second(100) + nanos);
        let began = silences.all[&id].starts_at;
        let mut edit = asked(&id, "node=a", 100, 900);
        edit.starts_at = Timestamp::from_millisecond(began.as_millisecond()).unwrap();
        assert_eq!(put(&mut silences, edit, second(150)), id);
        assert_eq!(
            (silences.all[&id].starts_at, silences.all[&id].ends_at),
            (began, second(900))
        );
    }

    #[test]
    fn who_was_reminded_of_an_end_is_reminded_of_the_new_one() {
        let mut silences = Silences::default();
        let id = silences
            .put(asked("", "node=a", 100, 200), false, &[], "store", second(50))
            .unwrap();
        silences.all.get_mut(&id).unwrap().reminded = true;
        let edit = asked(&id, "node=a", 100, 900);
        silences.put(edit, false, &[], "store", second(150)).unwrap();
        assert!(!silences.all[&id].reminded);
        let unknown = asked("none", "node=a", 100, 900);
        assert_eq!(
            silences.put(unknown, false, &[], "store", second(150)),
            Err(SilenceRefusal::Unknown("none".to_owned()))
        );
    }
}

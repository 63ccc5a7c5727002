//! Severities: how bad an alert is, and the ladder of them that a catalogue declares.
//!
//! Three are built in. A catalogue may add steps between and beyond them, each `like` one of the three: that says how it
//! looks to who knows only three, such as colours and PagerDuty.

use std::cmp::Ordering;
use std::collections::HashSet;
use std::fmt;
use std::sync::{Mutex, PoisonError};

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The three that are built in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Grade {
    /// Good to know.
    Info,
    /// Look at it today.
    Warning,
    /// Look at it now.
    Critical,
}

impl Grade {
    /// The word for labels and settings.
    pub fn as_str(self) -> &'static str {
        match self {
            Grade::Info => "info",
            Grade::Warning => "warning",
            Grade::Critical => "critical",
        }
    }
}

/// How bad: one step of a ladder. Steps are ordered by what they are like, then by their place among those.
///
/// It is kept with all that is said of it, so that what was kept can be told, and placed, when the ladder has changed.
#[derive(Clone, Copy)]
pub struct Severity(&'static Step);

#[derive(PartialEq, Eq, Hash, Debug, Serialize)]
struct Step {
    name: &'static str,
    like: Grade,
    /// Its place among the steps of one grade; that of the built-in one is 0.
    place: i8,
    title: &'static str,
    title_zh: &'static str,
}

/// A step as it is read.
#[derive(Deserialize)]
#[serde(untagged)]
enum KeptStep {
    Name(String),
    Step {
        name: String,
        like: Grade,
        place: i8,
        title: String,
        title_zh: String,
    },
}

static INFO: Step = Step {
    name: "info",
    like: Grade::Info,
    place: 0,
    title: "Info",
    title_zh: "提示",
};
static WARNING: Step = Step {
    name: "warning",
    like: Grade::Warning,
    place: 0,
    title: "Warning",
    title_zh: "警告",
};
static CRITICAL: Step = Step {
    name: "critical",
    like: Grade::Critical,
    place: 0,
    title: "Critical",
    title_zh: "严重",
};

/// Steps that are not built in, each once. They live as long as the process: there are as many as catalogues declare.
static ADDED: Mutex<Option<HashSet<&'static Step>>> = Mutex::new(None);

impl Severity {
    /// Good to know.
    pub const INFO: Severity = Severity(&INFO);
    /// Look at it today.
    pub const WARNING: Severity = Severity(&WARNING);
    /// Look at it now.
    pub const CRITICAL: Severity = Severity(&CRITICAL);
    /// Those that are built in, the least bad first.
    pub const BUILT_IN: [Severity; 3] = [Severity::INFO, Severity::WARNING, Severity::CRITICAL];

    /// A step that a catalogue adds.
    pub(crate) fn added(name: &str, like: Grade, place: i8, title: &str, title_zh: &str) -> Severity {
        let mut added = ADDED.lock().unwrap_or_else(PoisonError::into_inner);
        let added = added.get_or_insert_default();
        let is_it = |step: &&&Step| {
            (step.name, step.like, step.place) == (name, like, place)
                && (step.title, step.title_zh) == (title, title_zh)
        };
        if let Some(known) = added.iter().find(is_it) {
            return Severity(known);
        }
        let text = |text: &str| -> &'static str { Box::leak(text.into()) };
        let step: &'static Step = Box::leak(Box::new(Step {
            name: text(name),
            like,
            place,
            title: text(title),
            title_zh: text(title_zh),
        }));
        added.insert(step);
        Severity(step)
    }

    /// The built-in one of this name.
    pub fn built_in(name: &str) -> Option<Severity> {
        Severity::BUILT_IN
            .into_iter()
            .find(|severity| severity.as_str() == name)
    }

    /// Its name: the word for labels and settings.
    pub fn as_str(self) -> &'static str {
        self.0.name
    }

    /// What it is like, for whoever knows three.
    pub fn like(self) -> Grade {
        self.0.like
    }

    /// What people read, in English.
    pub fn title(self) -> &'static str {
        self.0.title
    }

    /// What people read, in Chinese.
    pub fn title_zh(self) -> &'static str {
        self.0.title_zh
    }

    /// Its place on a ladder, from the least bad. Equal places do not make it one severity, so the name is part of it.
    fn order(self) -> (Grade, i8, &'static str) {
        (self.0.like, self.0.place, self.0.name)
    }
}

impl PartialEq for Severity {
    fn eq(&self, other: &Severity) -> bool {
        self.order() == other.order()
    }
}

impl Eq for Severity {}

impl PartialOrd for Severity {
    fn partial_cmp(&self, other: &Severity) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Severity {
    fn cmp(&self, other: &Severity) -> Ordering {
        self.order().cmp(&other.order())
    }
}

impl fmt::Debug for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for Severity {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match Severity::built_in(self.as_str()) {
            Some(_) => serializer.serialize_str(self.as_str()),
            None => self.0.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Severity {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Severity, D::Error> {
        match KeptStep::deserialize(deserializer)? {
            KeptStep::Name(name) => Severity::built_in(&name)
                .ok_or_else(|| serde::de::Error::custom(format!("'{name}' is no built-in severity"))),
            KeptStep::Step {
                name,
                like,
                place,
                title,
                title_zh,
            } => Ok(Severity::added(&name, like, place, &title, &title_zh)),
        }
    }
}

/// Writes a severity for programs: its name.
///
/// # Errors
/// Those of the serializer.
pub fn by_name<S: Serializer>(severity: &Severity, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(severity.as_str())
}

/// The severities that a catalogue knows.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Ladder {
    /// The least bad first; `warning` and `critical` are among them.
    steps: Vec<Severity>,
}

impl Default for Ladder {
    fn default() -> Ladder {
        Ladder {
            steps: Severity::BUILT_IN.to_vec(),
        }
    }
}

impl Ladder {
    /// A ladder of these, in their order.
    pub(crate) fn new(mut steps: Vec<Severity>) -> Ladder {
        steps.sort();
        Ladder { steps }
    }

    /// All steps, the least bad first.
    pub fn steps(&self) -> &[Severity] {
        &self.steps
    }

    /// Their names, the least bad first.
    pub fn names(&self) -> impl Iterator<Item = &'static str> + Clone {
        self.steps.iter().map(|step| step.as_str())
    }

    /// The step of a name.
    pub fn named(&self, name: &str) -> Option<Severity> {
        self.steps.iter().copied().find(|step| step.as_str() == name)
    }

    /// Where a severity of another ladder stands on this one: at its name, or at what is nearest. Of two that are as near
    /// it is the worse.
    pub fn seat(&self, severity: Severity) -> Severity {
        let away = |step: &Severity| {
            let grades = (step.like() as i8).abs_diff(severity.like() as i8);
            (grades, step.0.place.abs_diff(severity.0.place))
        };
        self.named(severity.as_str())
            .or_else(|| self.steps.iter().copied().rev().min_by_key(away))
            .unwrap_or(severity)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ladder() -> Ladder {
        let major = Severity::added("major", Grade::Warning, 1, "Major", "重大");
        let outage = Severity::added("outage", Grade::Critical, 1, "Outage", "停摆");
        let [info, warning, critical] = Severity::BUILT_IN;
        Ladder::new(vec![outage, info, critical, warning, major])
    }

    #[test]
    fn steps_are_ordered_and_added_ones_are_kept_with_what_is_said_of_them() {
        let ladder = ladder();
        let names: Vec<&str> = ladder.names().collect();
        assert_eq!(names, ["info", "warning", "major", "critical", "outage"]);
        let text = serde_json::to_string(ladder.steps()).unwrap();
        assert!(
            text.starts_with(r#"["info","warning",{"name":"major","like":"warning","place":1,"#),
            "{text}"
        );
        let read: Vec<Severity> = serde_json::from_str(&text).unwrap();
        assert_eq!(read, ladder.steps());
        assert_eq!(read[2].title_zh(), "重大");
        let unknown = serde_json::from_str::<Severity>("\"dire\"").unwrap_err();
        assert_eq!(unknown.to_string(), "'dire' is no built-in severity");
    }

    #[test]
    fn a_step_that_is_gone_falls_to_what_is_nearest() {
        let old = ladder();
        let plain = Ladder::default();
        let falls_to: Vec<&str> = old
            .steps()
            .iter()
            .map(|step| plain.seat(*step).as_str())
            .collect();
        assert_eq!(falls_to, ["info", "warning", "warning", "critical", "critical"]);
        // The name counts, wherever it stands now.
        let moved = Severity::added("outage", Grade::Warning, 1, "Outage", "停摆");
        let [info, warning, critical] = Severity::BUILT_IN;
        let new = Ladder::new(vec![info, warning, moved, critical]);
        assert_eq!(new.seat(old.steps()[4]), moved);
        // Without its grade, what is next to it.
        let note = Severity::added("note", Grade::Info, -1, "Note", "Note");
        assert_eq!(Ladder::new(vec![warning, critical]).seat(note), warning);
        // Between two, the worse.
        let minor = Severity::added("minor", Grade::Warning, -1, "Minor", "Minor");
        let gone = Severity::added("gone", Grade::Warning, 0, "Gone", "Gone");
        let major = old.steps()[2];
        assert_eq!(Ladder::new(vec![minor, major, critical]).seat(gone), major);
    }
}

//! Entries: what people type in. An entry is kept with who and when, can be corrected, and is never erased. It travels
//! like an event that is sent over HTTP: folded, committed with its numbers, and only then answered.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::push::Refused;
use crate::catalog::entries::{AT, DIMENSIONS, VALUE};

/// An entry as it is handed in, checked as far as the catalogue says.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Draft {
    /// The value, an exact number.
    pub value: String,
    /// Who enters it.
    pub by: String,
    /// The time for which it is, in milliseconds since the epoch; `None`: now, or that of the entry it corrects.
    pub at_ms: Option<i64>,
    /// Dimension values by name; none: those of the entry it corrects.
    pub dimensions: BTreeMap<String, String>,
    /// Why, in words.
    pub note: Option<String>,
    /// Number of the entry that it corrects.
    pub replaces: Option<u64>,
}

/// An entry that is kept.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Entry {
    /// Its metric.
    #[serde(skip)]
    pub metric: String,
    /// Its number among those of the metric, from 1.
    pub number: u64,
    /// The value, an exact number.
    pub value: String,
    /// Who entered it.
    pub by: String,
    /// The time for which it is, in milliseconds since the epoch.
    pub at_ms: i64,
    /// When it was entered, in milliseconds since the epoch.
    pub entered_ms: i64,
    /// Dimension values by name.
    pub dimensions: BTreeMap<String, String>,
    /// Why, in words.
    pub note: Option<String>,
    /// Number of the entry that it corrects.
    pub replaces: Option<u64>,
}

/// The next entry of a metric with the event that folds it: a row that is new, or one that changes. `is_last`: the
/// metric shows the last one, so that correcting an older one changes nothing as long as a later one stands.
///
/// # Errors
/// When it corrects what cannot be corrected.
pub fn next(
    known: &[Entry],
    metric: &str,
    draft: Draft,
    now: Timestamp,
    is_last: bool,
) -> Result<(Entry, String), Refused> {
    let before = match draft.replaces {
        None => None,
        Some(number) => {
            let before = known.iter().find(|entry| entry.number == number);
            let before = before.ok_or(Refused::NoSuchEntry)?;
            if known.iter().any(|entry| entry.replaces == Some(number)) {
                return Err(Refused::AlreadyReplaced);
            }
            let moves = draft.at_ms.is_some_and(|at| at != before.at_ms)
                || (!draft.dimensions.is_empty() && draft.dimensions != before.dimensions);
            if moves {
                return Err(Refused::CorrectionMoves);
            }
            Some(before)
        }
    };
    let entry = Entry {
        metric: metric.to_owned(),
        number: known.iter().map(|entry| entry.number).max().unwrap_or(0) + 1,
        value: draft.value,
        by: draft.by,
        at_ms: match (before, draft.at_ms) {
            (Some(before), _) => before.at_ms,
            (None, at) => at.unwrap_or(now.as_millisecond()),
        },
        entered_ms: now.as_millisecond(),
        dimensions: before.map_or(draft.dimensions, |before| before.dimensions.clone()),
        note: draft.note,
        replaces: draft.replaces,
    };
    let shown = if is_last { latest(known, &entry) } else { &entry };
    let event = match before {
        None => serde_json::json!({"op": "c", "after": row(shown)}),
        Some(before) => serde_json::json!({"op": "u", "before": row(before), "after": row(shown)}),
    };
    Ok((entry, event.to_string()))
}

/// Of the entries that stand for the same time and dimensions, the one that was typed in last; a correction counts as
/// typed in when what it corrects was.
fn latest<'e>(known: &'e [Entry], entry: &'e Entry) -> &'e Entry {
    let by_number = |number| known.iter().find(|other| other.number == number);
    let first = |entry: &Entry| {
        let mut number = entry.number;
        let mut before = entry.replaces;
        while let Some(replaced) = before {
            number = replaced;
            before = by_number(replaced).and_then(|other| other.replaces);
        }
        number
    };
    let all = || known.iter().chain(std::iter::once(entry));
    let stands = |other: &&Entry| !all().any(|by| by.replaces == Some(other.number));
    let same = |other: &&Entry| other.at_ms == entry.at_ms && other.dimensions == entry.dimensions;
    all()
        .filter(same)
        .filter(stands)
        .max_by_key(|other| first(other))
        .unwrap_or(entry)
}

fn row(entry: &Entry) -> serde_json::Value {
    let at = Timestamp::from_millisecond(entry.at_ms).unwrap_or(Timestamp::UNIX_EPOCH);
    serde_json::json!({VALUE: entry.value, AT: at.to_string(), DIMENSIONS: entry.dimensions})
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draft(value: &str, replaces: Option<u64>) -> Draft {
        Draft {
            value: value.to_owned(),
            by: "lead".to_owned(),
            at_ms: None,
            dimensions: BTreeMap::new(),
            note: None,
            replaces,
        }
    }

    #[test]
    fn a_correction_takes_the_place_of_an_entry_once() {
        let now = Timestamp::from_second(1_780_000_000).unwrap();
        let (first, event) = next(&[], "m", draft("7", None), now, false).unwrap();
        assert_eq!((first.number, first.at_ms), (1, now.as_millisecond()));
        assert!(event.contains(r#""op":"c""#), "{event}");
        let later = Timestamp::from_second(1_780_086_400).unwrap();
        let (second, event) = next(
            std::slice::from_ref(&first),
            "m",
            draft("8", Some(1)),
            later,
            false,
        )
        .unwrap();
        assert_eq!(
            (second.number, second.at_ms, second.replaces),
            (2, first.at_ms, Some(1))
        );
        assert!(
            event.contains(r#""before":{"at""#) && event.contains(r#""op":"u""#),
            "{event}"
        );
        let both = [first, second];
        let moved = Draft {
            at_ms: Some(5),
            ..draft("9", Some(2))
        };
        for (draft, refused) in [
            (draft("9", Some(1)), Refused::AlreadyReplaced),
            (draft("9", Some(7)), Refused::NoSuchEntry),
            (moved, Refused::CorrectionMoves),
        ] {
            assert_eq!(next(&both, "m", draft, now, false).map(|_| ()), Err(refused));
        }
    }
}

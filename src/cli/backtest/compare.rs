//! Two catalogues over one history: which episodes appear, vanish, or are told otherwise.

use serde_json::{Value, json};

use super::{episode_text, told_at};
use crate::alert::record::Labels;
use crate::catalog::Catalog;
use crate::daemon::replay::Episode;
use crate::words::Language;

/// What becomes of an episode under the other catalogue.
#[derive(Clone, Copy, Debug)]
pub(super) enum Difference<'e> {
    /// Only the other catalogue tells it.
    Appears(&'e Episode),
    /// The other catalogue does not tell it.
    Vanishes(&'e Episode),
    /// It is raised, cleared or told otherwise: as it was, and as it becomes.
    Changes(&'e Episode, &'e Episode),
}

impl<'e> Difference<'e> {
    /// The episode as the other catalogue has it, else as it was.
    fn episode(self) -> &'e Episode {
        match self {
            Difference::Appears(episode)
            | Difference::Vanishes(episode)
            | Difference::Changes(_, episode) => episode,
        }
    }
}

/// Differences in the order of time. Episodes are one where kind and labels are the same and their times overlap.
pub(super) fn differences<'e>(before: &[&'e Episode], after: &[&'e Episode]) -> Vec<Difference<'e>> {
    let mut unmatched: Vec<&Episode> = after.to_vec();
    let mut all = Vec::new();
    for &was in before {
        let position = unmatched.iter().position(|is| is_same(was, is));
        match position.map(|at| unmatched.remove(at)) {
            None => all.push(Difference::Vanishes(was)),
            Some(is) => {
                let told =
                    |episode: &Episode| (episode.raised, episode.cleared, episode.severity, episode.notices);
                if told(was) != told(is) {
                    all.push(Difference::Changes(was, is));
                }
            }
        }
    }
    all.extend(unmatched.into_iter().map(Difference::Appears));
    all.sort_by_key(|difference| difference.episode().raised);
    all
}

fn is_same(one: &Episode, other: &Episode) -> bool {
    // Who is told may change with the catalogue; what it is about does not.
    let about = |episode: &Episode| -> Labels {
        let mut labels = episode.labels.clone();
        labels.remove("owner");
        labels
    };
    let ends_after =
        |one: &Episode, other: &Episode| one.cleared.is_none_or(|cleared| cleared >= other.raised);
    one.kind == other.kind && about(one) == about(other) && ends_after(one, other) && ends_after(other, one)
}

/// The differences for people: `+` appears, `−` vanishes, `~` changes.
pub(super) fn text(catalog: &Catalog, differences: &[Difference<'_>], language: Language) -> String {
    let mut report = String::new();
    let mut counts = [0u32; 3];
    let mut notices = 0i64;
    for difference in differences {
        let (at, sign) = match difference {
            Difference::Appears(_) => (0, '+'),
            Difference::Vanishes(_) => (1, '−'),
            Difference::Changes(..) => (2, '~'),
        };
        counts[at] += 1;
        notices += match difference {
            Difference::Appears(episode) => i64::from(episode.notices),
            Difference::Vanishes(episode) => -i64::from(episode.notices),
            Difference::Changes(was, is) => i64::from(is.notices) - i64::from(was.notices),
        };
        report.push_str(&format!(
            "{sign} {}",
            episode_text(catalog, difference.episode(), language)
        ));
        if let Difference::Changes(was, _) = difference {
            let day = |at| catalog.calendar.day_of(at).to_string();
            let cleared = was
                .cleared
                .map_or_else(|| language.pick("至今", "still on").to_owned(), day);
            report.push_str(&format!(
                "    {} {} … {cleared}  {}\n",
                language.pick("原来：", "was:"),
                day(was.raised),
                was.severity.as_str()
            ));
        }
    }
    let [appear, vanish, change] = counts;
    report.push_str(&match language {
        Language::Zh => {
            format!("新增 {appear} 次，消失 {vanish} 次，变化 {change} 次；消息 {notices:+} 条\n")
        }
        Language::En => format!("{appear} appear, {vanish} vanish, {change} change; {notices:+} messages\n"),
    });
    report
}

/// The differences, one JSON object a line: an episode with `change`, and where it changes what it `was`.
pub(super) fn ndjson(catalog: &Catalog, differences: &[Difference<'_>]) -> String {
    let row = |difference: &Difference<'_>| {
        let mut row = super::ndjson(catalog, difference.episode());
        let (change, was) = match difference {
            Difference::Appears(_) => ("appears", Value::Null),
            Difference::Vanishes(_) => ("vanishes", Value::Null),
            Difference::Changes(was, _) => {
                let was = json!({
                    "severity": was.severity.as_str(),
                    "raised": told_at(catalog, was.raised),
                    "cleared": was.cleared.map(|at| told_at(catalog, at)),
                    "notices": was.notices,
                });
                ("changes", was)
            }
        };
        row["change"] = change.into();
        row["was"] = was;
        row.to_string()
    };
    differences.iter().map(row).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::Severity;

    fn episode(kind: &str, node: &str, raised: i64, cleared: Option<i64>) -> Episode {
        let at = |hour: i64| jiff::Timestamp::from_second(hour * 3600).unwrap();
        Episode {
            kind: kind.to_owned(),
            labels: [("node", node), ("owner", "o")]
                .into_iter()
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .collect(),
            severity: Severity::WARNING,
            raised: at(raised),
            cleared: cleared.map(at),
            facts: Default::default(),
            notices: 1,
        }
    }

    #[test]
    fn what_appears_vanishes_changes_or_stays() {
        let before = [
            episode("hollow", "a", 10, Some(20)),
            episode("hollow", "b", 10, None),
            episode("hollow", "c", 5, Some(6)),
        ];
        let mut after = [
            // Told five hours later: the same episode, changed.
            episode("hollow", "a", 15, Some(20)),
            // Another owner is no other episode.
            episode("hollow", "b", 10, None),
            // Long after the first was over.
            episode("hollow", "c", 50, None),
            episode("gaming", "b", 12, None),
        ];
        after[1].labels.insert("owner".to_owned(), "p".to_owned());
        let told: Vec<String> = differences(
            &before.iter().collect::<Vec<_>>(),
            &after.iter().collect::<Vec<_>>(),
        )
        .into_iter()
        .map(|difference| {
            let sign = match difference {
                Difference::Appears(_) => '+',
                Difference::Vanishes(_) => '-',
                Difference::Changes(..) => '~',
            };
            format!(
                "{sign}{}:{}",
                difference.episode().kind,
                difference.episode().labels["node"]
            )
        })
        .collect();
        assert_eq!(told, ["-hollow:c", "+gaming:b", "~hollow:a", "+hollow:c"]);
    }
}

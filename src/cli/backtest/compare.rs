//! Two catalogues over one history: which episodes appear, vanish, or are told otherwise, and which proposals of weights.

use serde_json::{Value, json};

use super::{episode_text, proposed_json, proposed_text, told_at};
use crate::alert::record::Labels;
use crate::catalog::Catalog;
use crate::daemon::replay::{Episode, Proposed};
use crate::words::Language;

/// What becomes of an episode, or of a proposal, under the other catalogue.
#[derive(Debug)]
pub(super) enum Difference<'e, T = Episode> {
    /// Only the other catalogue tells it.
    Appears(&'e T),
    /// The other catalogue does not tell it.
    Vanishes(&'e T),
    /// It is raised, cleared or told otherwise: as it was, and as it becomes.
    Changes(&'e T, &'e T),
}

impl<'e, T> Difference<'e, T> {
    /// It as the other catalogue has it, else as it was.
    fn latest(&self) -> &'e T {
        match self {
            Difference::Appears(one) | Difference::Vanishes(one) | Difference::Changes(_, one) => one,
        }
    }

    /// Whether it appears, vanishes or changes.
    fn place(&self) -> usize {
        match self {
            Difference::Appears(_) => 0,
            Difference::Vanishes(_) => 1,
            Difference::Changes(..) => 2,
        }
    }

    /// How many messages more it costs.
    fn messages(&self, notices: impl Fn(&T) -> u32) -> i64 {
        let count = |one: &T| i64::from(notices(one));
        match self {
            Difference::Appears(one) => count(one),
            Difference::Vanishes(one) => -count(one),
            Difference::Changes(was, is) => count(is) - count(was),
        }
    }
}

/// What stands before a line of each, by [`Difference::place`].
const SIGNS: [char; 3] = ['+', '−', '~'];
/// Their names in JSON.
const CHANGES: [&str; 3] = ["appears", "vanishes", "changes"];

/// Differences in the order of time. Episodes are one where kind and labels are the same and their times overlap.
pub(super) fn differences<'e>(before: &[&'e Episode], after: &[&'e Episode]) -> Vec<Difference<'e>> {
    let told = |episode: &Episode| (episode.raised, episode.cleared, episode.severity, episode.notices);
    let mut all = between(before, after, is_same, |was, is| told(was) == told(is));
    all.sort_by_key(|difference| difference.latest().raised);
    all
}

/// The same of proposals: one is that of the same parent and closed period. What it rests on may differ, as long as the points
/// and what became of them do not.
pub(super) fn proposals<'p>(
    before: &[&'p Proposed],
    after: &[&'p Proposed],
) -> Vec<Difference<'p, Proposed>> {
    let about = |one: &Proposed| {
        let proposal = &one.proposal.proposal;
        (proposal.parent.clone(), proposal.closed.clone())
    };
    let points = |one: &Proposed| -> Vec<(String, f64, f64)> {
        let lines = one.proposal.proposal.lines.iter();
        lines
            .map(|line| (line.node.clone(), line.before, line.after))
            .collect()
    };
    let is_told_alike = |was: &Proposed, is: &Proposed| {
        let told = |one: &Proposed| (one.raised, one.settled, one.notices);
        let stands = |one: &Proposed| one.proposal.proposal.standing.as_str();
        told(was) == told(is) && stands(was) == stands(is) && points(was) == points(is)
    };
    let mut all = between(before, after, |was, is| about(was) == about(is), is_told_alike);
    all.sort_by_key(|difference| difference.latest().raised);
    all
}

fn between<'e, T>(
    before: &[&'e T],
    after: &[&'e T],
    is_same: impl Fn(&T, &T) -> bool,
    is_alike: impl Fn(&T, &T) -> bool,
) -> Vec<Difference<'e, T>> {
    let mut unmatched: Vec<&T> = after.to_vec();
    let mut all = Vec::new();
    for &was in before {
        let position = unmatched.iter().position(|is| is_same(was, is));
        match position.map(|at| unmatched.remove(at)) {
            None => all.push(Difference::Vanishes(was)),
            Some(is) if !is_alike(was, is) => all.push(Difference::Changes(was, is)),
            Some(_) => {}
        }
    }
    all.extend(unmatched.into_iter().map(Difference::Appears));
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
pub(super) fn text(
    catalog: &Catalog,
    differences: &[Difference<'_>],
    of_weights: &[Difference<'_, Proposed>],
    language: Language,
) -> String {
    let mut report = String::new();
    let mut counts = [0u32; 3];
    let mut notices = 0i64;
    for difference in differences {
        counts[difference.place()] += 1;
        notices += difference.messages(|episode| episode.notices);
        let sign = SIGNS[difference.place()];
        let told = episode_text(catalog, difference.latest(), language);
        report.push_str(&format!("{sign} {told}"));
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
    let mut of_proposals = [0u32; 3];
    for difference in of_weights {
        of_proposals[difference.place()] += 1;
        notices += difference.messages(|one| one.notices);
        let sign = SIGNS[difference.place()];
        let told = proposed_text(catalog, difference.latest(), language);
        report.push_str(&format!("{sign} {told}"));
        if let Difference::Changes(was, _) = difference {
            let points: Vec<String> = std::iter::zip(&was.proposal.proposal.lines, &was.proposal.titles)
                .map(|(line, title)| {
                    let (before, after) = (language.number(line.before), language.number(line.after));
                    format!("{title} {before} → {after}")
                })
                .collect();
            let points = points.join(language.pick("、", ", "));
            report.push_str(&format!("    {} {points}\n", language.pick("原来：", "was:")));
        }
    }
    let [appear, vanish, change] = of_proposals;
    if !of_weights.is_empty() {
        report.push_str(&match language {
            Language::Zh => format!("权重建议：新增 {appear} 次，消失 {vanish} 次，变化 {change} 次\n"),
            Language::En => {
                format!("proposals of weights: {appear} appear, {vanish} vanish, {change} change\n")
            }
        });
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

/// The differences, one JSON object a line: an episode or a proposal with `change`, and where it changes what it `was`.
pub(super) fn ndjson(
    catalog: &Catalog,
    differences: &[Difference<'_>],
    of_weights: &[Difference<'_, Proposed>],
) -> String {
    let of_proposal = |difference: &Difference<'_, Proposed>| {
        let mut row = proposed_json(catalog, difference.latest());
        row["change"] = CHANGES[difference.place()].into();
        row["was"] = match difference {
            Difference::Changes(was, _) => {
                let proposal = &was.proposal.proposal;
                json!({
                    "raised": told_at(catalog, was.raised),
                    "cleared": was.settled.map(|at| told_at(catalog, at)),
                    "notices": was.notices,
                    "weights": {"lines": proposal.lines, "standing": proposal.standing, "next": proposal.next},
                })
            }
            Difference::Appears(_) | Difference::Vanishes(_) => Value::Null,
        };
        (difference.latest().raised, row)
    };
    let row = |difference: &Difference<'_>| {
        let mut row = super::ndjson(catalog, difference.latest());
        row["change"] = CHANGES[difference.place()].into();
        row["was"] = match difference {
            Difference::Changes(was, _) => json!({
                "severity": was.severity.as_str(),
                "raised": told_at(catalog, was.raised),
                "cleared": was.cleared.map(|at| told_at(catalog, at)),
                "notices": was.notices,
            }),
            Difference::Appears(_) | Difference::Vanishes(_) => Value::Null,
        };
        (difference.latest().raised, row)
    };
    let mut rows: Vec<_> = differences.iter().map(row).collect();
    rows.extend(of_weights.iter().map(of_proposal));
    rows.sort_by_key(|(raised, _)| *raised);
    let rows = rows.into_iter().map(|(_, row)| row.to_string());
    rows.collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::Severity;
    use crate::catalog::load::{Files, load};
    use crate::daemon::replay::weights_tests;
    use crate::evaluate::weights::{Line, Proposal, Standing, Titled};

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
                difference.latest().kind,
                difference.latest().labels["node"]
            )
        })
        .collect();
        assert_eq!(told, ["-hollow:c", "+gaming:b", "~hollow:a", "+hollow:c"]);
    }

    #[test]
    fn proposals_of_weights_are_compared_by_what_they_would_make_of_them() {
        let files = Files::new("", [("a.yaml", weights_tests::CATALOG)]);
        let catalog = load(&files).map_err(|problems| problems.to_string()).unwrap();
        let proposed = |closed: &str, visits: f64, standing: Standing| {
            let line = |node: &str, before, after| Line {
                node: node.to_owned(),
                before,
                after,
                evidence: None,
            };
            let raised: jiff::Timestamp = format!("{closed}T17:59:59Z").parse().unwrap();
            let is_pending = standing == Standing::Pending;
            let proposal = Proposal {
                parent: "revenue".to_owned(),
                closed: closed.to_owned(),
                at: raised,
                next: "2026-07-01".parse().unwrap(),
                lines: vec![
                    line("visits", 60.0, visits),
                    line("articles", 40.0, 100.0 - visits),
                ],
                standing,
            };
            Proposed {
                proposal: Titled::of(&catalog, &proposal),
                raised,
                settled: (!is_pending).then_some(raised),
                notices: u32::from(is_pending),
            }
        };
        let before = [
            proposed("2026-01-31", 64.0, Standing::Pending),
            proposed("2026-02-28", 64.0, Standing::Pending),
            proposed("2026-03-31", 64.0, Standing::Pending),
        ];
        let after = [
            // The same; other points; and one that none was before.
            proposed("2026-01-31", 64.0, Standing::Pending),
            proposed("2026-02-28", 61.0, Standing::Pending),
            proposed("2026-04-30", 70.0, Standing::Pending),
        ];
        let all = |proposals: &'static [Proposed]| -> Vec<&'static Proposed> { proposals.iter().collect() };
        let leaked = |proposals: Vec<Proposed>| -> &'static [Proposed] { Vec::leak(proposals) };
        let (before, after) = (leaked(before.to_vec()), leaked(after.to_vec()));
        let found = proposals(&all(before), &all(after));
        let told: Vec<(char, &str)> = found
            .iter()
            .map(|one| (SIGNS[one.place()], one.latest().proposal.proposal.closed.as_str()))
            .collect();
        assert_eq!(
            told,
            [('~', "2026-02-28"), ('−', "2026-03-31"), ('+', "2026-04-30")]
        );
        let english = text(&catalog, &[], &found, Language::En);
        for said in [
            "~ 2026-03-01  weights_proposed  revenue  ",
            "    was: visits 60 → 64, articles 40 → 36\n",
            "− 2026-04-01  weights_proposed  revenue  ",
            "+ 2026-05-01  weights_proposed  revenue  ",
            "proposals of weights: 1 appear, 1 vanish, 1 change\n0 appear, 0 vanish, 0 change; +0 messages\n",
        ] {
            assert!(english.contains(said), "{said} in\n{english}");
        }
        let chinese = text(&catalog, &[], &found, Language::Zh);
        assert!(
            chinese.contains("    原来： visits 60 → 64、articles 40 → 36"),
            "{chinese}"
        );
        assert!(
            chinese.contains("权重建议：新增 1 次，消失 1 次，变化 1 次"),
            "{chinese}"
        );
        let rows: Vec<Value> = ndjson(&catalog, &[], &found)
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        let of = |row: &Value| (row["kind"].clone(), row["change"].clone());
        assert_eq!(of(&rows[0]), (json!("weights_proposed"), json!("changes")));
        assert_eq!(rows[0]["was"]["weights"]["lines"][0]["after"], json!(64.0));
        assert_eq!(rows[0]["weights"]["lines"][0]["after"], json!(61.0));
        assert_eq!(
            (&rows[1]["change"], &rows[1]["was"]),
            (&json!("vanishes"), &Value::Null)
        );
        // What nobody is to decide any more is another thing than what waits, whatever the points are.
        let at_once = leaked(vec![proposed(
            "2026-01-31",
            64.0,
            Standing::Superseded {
                by: "2026-02-28".to_owned(),
            },
        )]);
        assert_eq!(proposals(&all(&before[..1]), &all(at_once)).len(), 1);
        assert!(proposals(&all(before), &all(before)).is_empty());
    }
}

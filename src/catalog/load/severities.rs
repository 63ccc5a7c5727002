//! The ladder of severities: the three that are built in, and steps that the catalogue adds.

use std::sync::Arc;

use super::Loader;
use crate::catalog::file::SeverityEntry;
use crate::catalog::severity::{Grade, Ladder, Severity};
use crate::catalog::yaml::Spanned;
use crate::catalog::{Place, yaml};

/// Steps of a ladder at most: every severity is a value of a label.
const STEPS_MAX: usize = 16;

/// A step before its place among those of its grade is known.
struct Step<'f> {
    name: &'f Spanned<String>,
    like: Grade,
    entry: &'f SeverityEntry,
}

impl Loader<'_> {
    pub(super) fn severities(&mut self, found: &[(Arc<str>, Spanned<Vec<SeverityEntry>>)]) -> Ladder {
        if let [(first, one), (second, another), ..] = found {
            let first = yaml::place(first, one.location);
            self.problem(
                yaml::place(second, another.location),
                format!("'severities' is declared twice, first at {first}; keep one of them"),
            );
        }
        let Some((file, declared)) = found.first() else {
            return Ladder::default();
        };
        let place = yaml::place(file, declared.location);
        if declared.value.len() > STEPS_MAX {
            let message = format!("a ladder has {STEPS_MAX} severities at most; leave some out");
            self.problem(place.clone(), message);
        }
        let mut steps: Vec<Step<'_>> = Vec::new();
        for entry in &declared.value {
            let Some(step) = self.severity_step(file, entry) else {
                continue;
            };
            let at = yaml::place(file, step.name.location);
            if let Some(first) = steps.iter().find(|other| other.name.value == step.name.value) {
                let first = yaml::place(file, first.name.location);
                let message = format!(
                    "severity '{}' is declared twice, first at {first}; keep one of them",
                    step.name.value
                );
                self.problem(at, message);
                continue;
            }
            if let Some(worse) = steps.last().filter(|last| last.like > step.like) {
                self.problem(at, out_of_order(&step, worse));
                continue;
            }
            steps.push(step);
        }
        for needed in [Grade::Warning, Grade::Critical] {
            let is_there = |entry: &SeverityEntry| entry.name.value == needed.as_str();
            if !declared.value.iter().any(is_there) {
                let message = format!(
                    "the severities have no '{0}', and built-in rules need it; add '- {0}' to the list",
                    needed.as_str()
                );
                self.problem(place.clone(), message);
            }
        }
        ladder(&steps)
    }

    /// What one entry says, if that is right by itself.
    /// The steps that are no built-in ones, with their places.
    pub(super) fn added_severities(
        &self,
        found: &[(Arc<str>, Spanned<Vec<SeverityEntry>>)],
    ) -> Vec<(Severity, Place)> {
        let declared = found.first().into_iter().flat_map(|(file, declared)| {
            let names = declared.value.iter().map(|entry| &entry.name);
            names.map(move |name| (file, name))
        });
        declared
            .filter(|(_, name)| Severity::built_in(&name.value).is_none())
            .filter_map(|(file, name)| {
                let step = self.ladder.named(&name.value)?;
                Some((step, yaml::place(file, name.location)))
            })
            .collect()
    }

    fn severity_step<'f>(&mut self, file: &Arc<str>, entry: &'f SeverityEntry) -> Option<Step<'f>> {
        let name = &entry.name;
        let at = yaml::place(file, name.location);
        let plain = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.');
        if name.value.is_empty() || !name.value.chars().all(plain) {
            let message = format!(
                "'{}' is no name: letters, digits, '-', '_' and '.' are",
                name.value
            );
            self.problem(at, message);
            return None;
        }
        let built_in = Severity::built_in(&name.value);
        let like = match (built_in, &entry.like) {
            (Some(severity), None) if entry.title.is_none() && entry.title_zh.is_none() => severity.like(),
            (Some(_), _) => {
                let message = format!("'{0}' is built in and stays as it is; write '- {0}'", name.value);
                self.problem(at, message);
                return None;
            }
            (None, Some(like)) => {
                let names = Severity::BUILT_IN.iter().map(|severity| severity.as_str());
                let at = yaml::place(file, like.location);
                let found = self.resolve("built-in severity", at, &like.value, names)?;
                Severity::BUILT_IN[found].like()
            }
            (None, None) => {
                let names = Severity::BUILT_IN.iter().map(|severity| severity.as_str());
                let hint = match crate::catalog::diagnostic::nearest(&name.value, names) {
                    Some(near) => format!("did you mean '{near}'? "),
                    None => String::new(),
                };
                let message = format!(
                    "severity '{0}' is not built in; {hint}say which one it is like: {{name: {0}, like: warning}}",
                    name.value
                );
                self.problem(at, message);
                return None;
            }
        };
        Some(Step { name, like, entry })
    }

    /// The severity of a name that a rule writes.
    pub(super) fn severity(&mut self, file: &Arc<str>, name: &Spanned<String>) -> Option<Severity> {
        let ladder = self.ladder.clone();
        let at = yaml::place(file, name.location);
        let found = self.resolve("severity", at, &name.value, ladder.names())?;
        Some(ladder.steps()[found])
    }
}

fn out_of_order(step: &Step<'_>, worse: &Step<'_>) -> String {
    let (name, like) = (&step.name.value, step.like.as_str());
    let is_like = match name == like {
        true => String::new(),
        false => format!(" is like {like} and"),
    };
    let worse = match worse.name.value == worse.like.as_str() {
        true => format!("'{}'", worse.name.value),
        false => format!("'{}', which is like {}", worse.name.value, worse.like.as_str()),
    };
    format!(
        "severity '{name}'{is_like} stands behind {worse}; severities go from the least bad to the worst: move it up"
    )
}

/// The ladder of these steps. Their places count from the built-in one of their grade.
fn ladder(steps: &[Step<'_>]) -> Ladder {
    let of_grade = |like: Grade| steps.iter().filter(move |step| step.like == like);
    let made = steps.iter().map(|step| {
        let name = step.name.value.as_str();
        if let Some(built_in) = Severity::built_in(name) {
            return built_in;
        }
        let at = |name: &str| of_grade(step.like).position(|other| other.name.value == name);
        // A ladder may have no info: what is like it stands above where that would be.
        let origin = at(step.like.as_str()).map_or(-1, as_place);
        let place = at(name).map_or(0, as_place) - origin;
        let title = match &step.entry.title {
            Some(title) => title.clone(),
            None => capitalised(name),
        };
        let title_zh = match (&step.entry.title_zh, &step.entry.title) {
            (Some(title), _) | (None, Some(title)) => title.clone(),
            (None, None) => name.to_owned(),
        };
        Severity::added(name, step.like, place, &title, &title_zh)
    });
    Ladder::new(made.collect())
}

fn as_place(position: usize) -> i8 {
    i8::try_from(position).unwrap_or(i8::MAX / 2)
}

fn capitalised(name: &str) -> String {
    let mut chars = name.chars();
    match chars.next() {
        Some(first) => first.to_uppercase().chain(chars).collect(),
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use crate::catalog::load::{Files, load};
    use crate::catalog::{Catalog, Diagnostics, Grade};

    const SHOP: &str = "
sources:
  orders: {topics: [o], format: json, time: time, fields: {amount: data.amount}}
metrics:
  revenue: {source: orders, agg: sum, expr: amount, unit: CNY}
nodes:
  revenue: {metric: revenue, role: business, level: strategy, period: month, target: 100}
";

    fn read(severities: &str, rules: &str) -> Result<Catalog, Diagnostics> {
        load(&Files::new(
            "",
            [
                ("ladder.yaml", format!("severities:\n{severities}").as_str()),
                ("shop.yaml", SHOP),
                ("rules.yaml", rules),
            ],
        ))
    }

    const LADDER: &str = "  - {name: note, like: info}
  - info
  - warning
  - {name: major, like: warning, title: Major, title_zh: 重大}
  - critical
  - {name: outage, like: critical, title_zh: 停摆}
";

    #[test]
    fn a_ladder_has_steps_between_and_beyond_those_that_are_built_in() {
        let rules = "
rules:
  far-behind:
    on: node
    levels:
      - {severity: outage, when: node.pace < 0.2}
      - {severity: warning, when: node.pace < 0.9}
      - {severity: major, when: node.pace < 0.6}
      - {severity: critical, when: node.pace < 0.4}
  slow: {on: node, when: node.pace < 0.9, severity: note}
";
        let catalog = read(LADDER, rules).unwrap();
        let told: Vec<(&str, Grade, &str, &str)> = catalog
            .severities
            .steps()
            .iter()
            .map(|step| (step.as_str(), step.like(), step.title(), step.title_zh()))
            .collect();
        assert_eq!(
            told,
            [
                ("note", Grade::Info, "Note", "note"),
                ("info", Grade::Info, "Info", "提示"),
                ("warning", Grade::Warning, "Warning", "警告"),
                ("major", Grade::Warning, "Major", "重大"),
                ("critical", Grade::Critical, "Critical", "严重"),
                ("outage", Grade::Critical, "Outage", "停摆"),
            ]
        );
        let rule = |name: &str| catalog.rules.iter().find(|rule| rule.name == name).unwrap();
        let levels = |name: &str| -> Vec<&str> {
            let levels = rule(name).levels.iter();
            levels.map(|level| level.severity.as_str()).collect()
        };
        assert_eq!(levels("far-behind"), ["warning", "major", "critical", "outage"]);
        assert_eq!(levels("slow"), ["note"]);
        assert_eq!(levels("hollow"), ["warning", "critical"]);
    }

    #[test]
    fn a_ladder_may_leave_out_info() {
        let catalog = read("  - {name: note, like: info}\n  - warning\n  - critical\n", "").unwrap();
        let names: Vec<&str> = catalog.severities.names().collect();
        assert_eq!(names, ["note", "warning", "critical"]);
    }

    #[test]
    fn mistakes_in_a_ladder_are_told_with_their_place() {
        let of = |severities: &str| read(severities, "").unwrap_err().to_string();
        for (severities, expected) in [
            (
                "  - warning\n  - critical\n  - warning\n",
                "ladder.yaml:4:5: severity 'warning' is declared twice, first at ladder.yaml:2:5; keep one of them",
            ),
            (
                "  - critical\n  - warning\n",
                "ladder.yaml:3:5: severity 'warning' stands behind 'critical'; severities go from the least bad to the worst: move it up",
            ),
            (
                "  - warning\n  - critical\n  - {name: major, like: warning}\n",
                "ladder.yaml:4:12: severity 'major' is like warning and stands behind 'critical'; severities go from the least bad to the worst: move it up",
            ),
            (
                "  - warning\n  - critical\n  - {name: dire, like: critcal}\n",
                "ladder.yaml:4:24: there is no built-in severity 'critcal'; did you mean 'critical'?",
            ),
            (
                "  - warning\n  - critical\n  - outage\n",
                "ladder.yaml:4:5: severity 'outage' is not built in; say which one it is like: {name: outage, like: warning}",
            ),
            (
                "  - warning\n  - {name: critical, title_zh: 紧急}\n",
                "ladder.yaml:3:12: 'critical' is built in and stays as it is; write '- critical'",
            ),
            (
                "  - warning\n  - {name: very bad, like: warning}\n  - critical\n",
                "ladder.yaml:3:12: 'very bad' is no name: letters, digits, '-', '_' and '.' are",
            ),
        ] {
            assert_eq!(of(severities), expected);
        }
        let many: String = (0..15)
            .map(|n| format!("  - {{name: s{n}, like: critical}}\n"))
            .collect();
        let said = of(&format!("  - warning\n  - critical\n{many}"));
        assert!(
            said.starts_with("ladder.yaml:2:") && said.contains(": a ladder has 16 severities at most"),
            "{said}"
        );
        let said = read("  - {name: major, lik: warning}\n", "")
            .unwrap_err()
            .to_string();
        assert!(said.contains("did you mean 'like'?"), "{said}");
        let said = read(LADDER, "severities: [warning, critical]\n")
            .unwrap_err()
            .to_string();
        let twice = ": 'severities' is declared twice, first at ladder.yaml:2:";
        assert!(
            said.starts_with("rules.yaml:1:13") && said.contains(twice),
            "{said}"
        );
        let said = of("  - info\n  - warning\n");
        let missing =
            ": the severities have no 'critical', and built-in rules need it; add '- critical' to the list";
        assert!(
            said.starts_with("ladder.yaml:2:") && said.ends_with(missing),
            "{said}"
        );
    }

    #[test]
    fn a_rule_takes_only_severities_of_the_ladder() {
        let rules = "rules:\n  slow: {on: node, when: node.pace < 0.9, severity: majr}\n";
        assert_eq!(
            read(LADDER, rules).unwrap_err().to_string(),
            "rules.yaml:2:53: there is no severity 'majr'; did you mean 'major'?"
        );
        let rules = "rules:\n  slow: {on: node, levels: [{severity: info, when: node.pace < 0.9}]}\n";
        let said = read("  - warning\n  - critical\n", rules)
            .unwrap_err()
            .to_string();
        assert_eq!(
            said,
            "rules.yaml:2:40: there is no severity 'info'; known are warning, critical"
        );
    }
}

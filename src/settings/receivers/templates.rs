//! `templates`: own wording for the messages of a receiver.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use super::Checker;
use crate::notify::template;
use crate::settings::named::Name;

/// Own wording.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Templates {
    /// For every alert.
    pub all: Words,
    /// For the alerts of one rule, by its name; what it does not say is said as for every alert.
    pub rules: BTreeMap<String, Words>,
}

/// Templates for the parts of a message.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Words {
    /// One line that says it all.
    pub title: Option<String>,
    /// One or two sentences.
    pub text: Option<String>,
}

impl Templates {
    /// The templates for the alerts of a rule.
    pub fn of(&self, rule: &str) -> Words {
        let own = self.rules.get(rule);
        let pick = |part: fn(&Words) -> &Option<String>| {
            own.and_then(|words| part(words).clone())
                .or_else(|| part(&self.all).clone())
        };
        Words {
            title: pick(|words| &words.title),
            text: pick(|words| &words.text),
        }
    }
}

#[derive(Deserialize, JsonSchema, Debug, Default, Clone)]
#[serde(deny_unknown_fields, default)]
pub(super) struct TemplatesEntry {
    title: Option<String>,
    text: Option<String>,
    rules: BTreeMap<String, Words>,
}

/// Checks the templates of a receiver, each at its place.
pub(super) fn read(checker: &mut Checker, path: &[&str], entry: Option<TemplatesEntry>) -> Templates {
    let TemplatesEntry { title, text, rules } = entry.unwrap_or_default();
    let templates = Templates {
        all: Words { title, text },
        rules,
    };
    let at: Vec<&str> = path.iter().copied().chain(["templates"]).collect();
    check(checker, &at, &templates.all);
    for (rule, words) in &templates.rules {
        let at: Vec<&str> = at.iter().copied().chain(["rules", rule]).collect();
        check(checker, &at, words);
        checker.names(&at, Name::Rule(rule.clone()));
    }
    templates
}

fn check(checker: &mut Checker, path: &[&str], words: &Words) {
    for (key, source) in [("title", &words.title), ("text", &words.text)] {
        if let Some(Err(reason)) = source.as_deref().map(template::check) {
            let at: Vec<&str> = path.iter().copied().chain([key]).collect();
            checker.problem(&at, format!("{key}: {reason}"));
        }
    }
}

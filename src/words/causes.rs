//! Where most of a distance from a plan comes from, in words.

use super::{Language, percent};
use crate::alert::notice::Causes;

/// The parts that most of a distance comes from: `华东 −¥1.2M（占 80%）；另有 3 项`.
pub fn comes_from(causes: &Causes, language: Language) -> String {
    let parts: Vec<String> = causes
        .parts
        .iter()
        .map(|cause| {
            let amount = language.signed(cause.amount, causes.unit.as_deref());
            part(&cause.title, &amount, cause.share, language)
        })
        .collect();
    with_others(&parts, causes.others, language)
}

/// Parts that are named, and how many others there are.
pub fn with_others(parts: &[String], others: usize, language: Language) -> String {
    let text = parts.join(language.pick("，", ", "));
    match (others, language) {
        (0, _) => text,
        (others, Language::Zh) => format!("{text}；另有 {others} 项"),
        (1, Language::En) => format!("{text}; 1 other"),
        (others, Language::En) => format!("{text}; {others} others"),
    }
}

/// One part of a distance, with its amount and its share.
pub fn part(title: &str, amount: &str, share: f64, language: Language) -> String {
    let share = percent(share);
    match language {
        Language::Zh => format!("{title} {amount}（占 {share}）"),
        Language::En => format!("{title} {amount} ({share} of it)"),
    }
}

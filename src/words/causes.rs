//! Where most of a distance from a plan comes from, in words.

use super::{Language, percent};
use crate::alert::notice::Causes;

/// The parts that most of a distance comes from, and what none of them explains: `华东 −¥1.2M（占 80%）；另有 3 项；未能解释
/// −¥0.1M（占 7%）`.
pub fn comes_from(causes: &Causes, language: Language) -> String {
    let parts: Vec<String> = causes
        .parts
        .iter()
        .map(|cause| {
            let amount = language.signed(cause.amount, causes.unit.as_deref());
            part(&cause.title, &amount, cause.share, language)
        })
        .collect();
    let mut text = with_others(&parts, causes.others, language);
    if let Some(rest) = &causes.not_explained {
        let title = language.pick("未能解释", "not explained");
        let amount = language.signed(rest.amount, causes.unit.as_deref());
        text.push_str(language.pick("；", "; "));
        text.push_str(&part(title, &amount, rest.share, language));
    }
    text
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

//! What the judgement of a link says, in a sentence that a manager reads: since when, how much, how sure.

use super::sentence::name;
use super::{Language, percent};
use crate::alert::record::{Figure, LinkFigure};
use crate::catalog::attribute::DriftKind;

/// One line: who is apart from whom.
pub(super) fn heading(kind: &str, kpi: &Figure, parent: Option<&Figure>, language: Language) -> String {
    let Some(parent) = parent.map(name) else {
        return of_feed(kind, &name(kpi), language);
    };
    let kpi = name(kpi);
    match (DriftKind::of(kind), language) {
        (Some(DriftKind::Hollow), Language::Zh) => format!("两张皮：{kpi}照常，{parent}却没有跟上"),
        (Some(DriftKind::Hollow), Language::En) => format!("{kpi} is done, and {parent} does not follow"),
        (Some(DriftKind::Gaming), Language::Zh) => format!("疑似刷指标：{kpi}大涨，{parent}没有反应"),
        (Some(DriftKind::Gaming), Language::En) => format!("{kpi} has jumped, and {parent} does not answer"),
        (Some(DriftKind::Uncredited), Language::Zh) => format!("{parent}在增长，但不是{kpi}带来的"),
        (Some(DriftKind::Uncredited), Language::En) => {
            format!("{parent} grows, and {kpi} does not explain it")
        }
        (Some(DriftKind::WeakLink), Language::Zh) => format!("{parent}不再随{kpi}变动"),
        (Some(DriftKind::WeakLink), Language::En) => format!("{parent} no longer moves with {kpi}"),
        (Some(DriftKind::LagChange), Language::Zh) => format!("{parent}对{kpi}的反应时间变了"),
        (Some(DriftKind::LagChange), Language::En) => {
            format!("{parent} answers {kpi} at another time than before")
        }
        (Some(DriftKind::FeedGap), Language::Zh) => format!("{kpi}或{parent}的数据断了"),
        (Some(DriftKind::FeedGap), Language::En) => format!("No data for {kpi} or {parent}"),
        (Some(DriftKind::UnitChange), Language::Zh) => format!("{kpi}或{parent}的口径或单位变了"),
        (Some(DriftKind::UnitChange), Language::En) => format!("{kpi} or {parent} counts in another unit"),
        (None, _) => kpi,
    }
}

/// The same of a node that no link watches.
fn of_feed(kind: &str, node: &str, language: Language) -> String {
    match (DriftKind::of(kind), language) {
        (Some(DriftKind::FeedGap), Language::Zh) => format!("{node}的数据断了"),
        (Some(DriftKind::FeedGap), Language::En) => format!("No data for {node}"),
        (Some(DriftKind::UnitChange), Language::Zh) => format!("{node}的口径或单位变了"),
        (Some(DriftKind::UnitChange), Language::En) => format!("{node} counts in another unit"),
        _ => node.to_owned(),
    }
}

/// The numbers behind it; without a parent of a feed alone.
pub(super) fn of(
    kind: &str,
    kpi: &Figure,
    parent: Option<&Figure>,
    found: &LinkFigure,
    language: Language,
) -> String {
    let side = match (found.stream.as_deref(), parent) {
        (Some("parent"), Some(parent)) => name(parent),
        _ => name(kpi),
    };
    let since = found.since.map_or_else(String::new, |day| match language {
        Language::Zh => format!("自 {day} 起，"),
        Language::En => format!("Since {day}, "),
    });
    let chance = no_chance(found.confidence, language);
    match (DriftKind::of(kind), language) {
        (Some(DriftKind::FeedGap), Language::Zh) => format!("{since}{side}没有任何数据{chance}。"),
        (Some(DriftKind::FeedGap), Language::En) => {
            format!("{since}no data has come for {side}{chance}.")
        }
        (Some(DriftKind::UnitChange), Language::Zh) => {
            format!("{since}{side}的数值约为平时的 {} 倍{chance}。", times(found.gap))
        }
        (Some(DriftKind::UnitChange), Language::En) => {
            format!(
                "{since}values of {side} are about {} times their usual size{chance}.",
                times(found.gap)
            )
        }
        (Some(DriftKind::WeakLink | DriftKind::LagChange), _) if parent.is_some() => {
            let parent = parent.map(name).unwrap_or_default();
            of_answer(kind, &name(kpi), &parent, found, &since, language)
        }
        _ => parent.map_or_else(String::new, |parent| {
            departure(kpi, parent, found, &since, language)
        }),
    }
}

/// What became of the parent's answer.
fn of_answer(
    kind: &str,
    kpi: &str,
    parent: &str,
    found: &LinkFigure,
    since: &str,
    language: Language,
) -> String {
    let [before, now] = found.answered_after.unwrap_or_default().map(|days| days.round());
    let is_missing = DriftKind::of(kind) == Some(DriftKind::WeakLink);
    let came = found.answered.map_or_else(|| "—".to_owned(), percent);
    let sure = how_sure(found.confidence, language);
    match (is_missing, language) {
        (true, Language::Zh) => {
            let was = if before < 1.0 {
                "当天".to_owned()
            } else {
                format!("约 {before} 天后")
            };
            format!("{since}{kpi}的变动只带来了{parent}平时反应的 {came}{sure}；以前{parent}{was}就会跟上。")
        }
        (true, Language::En) => {
            let was = if before < 1.0 {
                "on the same day".to_owned()
            } else {
                format!("after about {before} {}", days(before))
            };
            format!(
                "{since}{parent} has answered {came} of what moves of {kpi} usually bring{sure}; it used to answer {was}."
            )
        }
        (false, Language::Zh) => {
            format!("{since}{parent}要约 {now} 天才跟上{kpi}{sure}，以前约 {before} 天。")
        }
        (false, Language::En) => {
            format!(
                "{since}{parent} answers {kpi} after about {now} {}{sure}; it used to be about {before}.",
                days(now)
            )
        }
    }
}

fn days(count: f64) -> &'static str {
    if count == 1.0 { "day" } else { "days" }
}

/// A probability that is never said to be certain: what would round to 100 % is said to one more place.
pub(crate) fn probably(confidence: f64, language: Language) -> String {
    match confidence {
        _ if confidence > 0.999 => format!("{}99.9%", language.pick("超过 ", "more than ")),
        _ if confidence >= 0.995 => format!("{}99.5%", language.pick("超过 ", "more than ")),
        _ => percent(confidence),
    }
}

/// `, 98% sure` after what is judged.
pub(crate) fn how_sure(confidence: Option<f64>, language: Language) -> String {
    let said = confidence.map(|confidence| probably(confidence, language));
    said.map_or_else(String::new, |share| match language {
        Language::Zh if share.starts_with('超') => format!("，把握{share}"),
        Language::Zh => format!("，把握 {share}"),
        Language::En => format!(", {share} sure"),
    })
}

/// The same after what is seen, which is no question: only whether chance makes it is one.
pub(crate) fn no_chance(confidence: Option<f64>, language: Language) -> String {
    let said = confidence.map(|confidence| probably(confidence, language));
    said.map_or_else(String::new, |share| match language {
        Language::Zh if share.starts_with('超') => format!("（不是偶然的把握{share}）"),
        Language::Zh => format!("（不是偶然的把握 {share}）"),
        Language::En => format!(" ({share} sure that it is no chance)"),
    })
}

fn departure(kpi: &Figure, parent: &Figure, found: &LinkFigure, since: &str, language: Language) -> String {
    let (kpi, parent) = (name(kpi), name(parent));
    let gap = found.gap.unwrap_or(0.0);
    let size = percent(gap.abs());
    let moved = |value: Option<f64>| {
        value.map_or_else(
            || "—".to_owned(),
            |value| format!("{}{}", if value < 0.0 { "−" } else { "+" }, percent(value.abs())),
        )
    };
    let (of_kpi, of_parent) = (moved(found.kpi), moved(found.parent));
    let sure = how_sure(found.confidence, language);
    match (language, gap < 0.0) {
        (Language::Zh, true) => format!(
            "{since}{parent}比{kpi}所能解释的少 {size}{sure}。与平时相比：{kpi} {of_kpi}，{parent} {of_parent}。"
        ),
        (Language::Zh, false) => format!(
            "{since}{parent}比{kpi}所能解释的多 {size}{sure}。与平时相比：{kpi} {of_kpi}，{parent} {of_parent}。"
        ),
        (Language::En, true) => format!(
            "{since}{parent} brings {size} less than {kpi} explains{sure}. Against their usual levels: {kpi} {of_kpi}, {parent} {of_parent}."
        ),
        (Language::En, false) => format!(
            "{since}{parent} brings {size} more than {kpi} explains{sure}. Against their usual levels: {kpi} {of_kpi}, {parent} {of_parent}."
        ),
    }
}

/// A factor with two digits that count: 100, 9.8, 0.012.
pub(crate) fn times(factor: Option<f64>) -> String {
    let factor = factor.unwrap_or(1.0);
    if factor >= 10.0 {
        format!("{factor:.0}")
    } else if factor >= 0.1 {
        format!("{factor:.1}")
    } else if factor >= 0.001 {
        format!("{factor:.3}")
    } else {
        format!("{factor:.6}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figure(title: &str) -> Figure {
        Figure {
            title: title.to_owned(),
            ..Figure::default()
        }
    }

    #[test]
    fn says_since_when_how_much_and_how_sure() {
        let found = LinkFigure {
            since: Some("2026-03-04".parse().unwrap()),
            gap: Some(-0.32),
            kpi: Some(0.03),
            parent: Some(-0.3),
            confidence: Some(0.9999),
            ..LinkFigure::default()
        };
        let (kpi, parent) = (figure("Articles"), figure("Revenue"));
        assert_eq!(
            of("hollow", &kpi, Some(&parent), &found, Language::En),
            "Since 2026-03-04, Revenue brings 32% less than Articles explains, more than 99.9% sure. \
             Against their usual levels: Articles +3%, Revenue −30%."
        );
        assert_eq!(
            of(
                "hollow",
                &figure("文章数"),
                Some(&figure("营收")),
                &found,
                Language::Zh
            ),
            "自 2026-03-04 起，营收比文章数所能解释的少 32%，把握超过 99.9%。与平时相比：文章数 +3%，营收 −30%。"
        );
        for (confidence, said) in [(0.994, ", 99% sure"), (0.996, ", more than 99.5% sure")] {
            let found = LinkFigure {
                confidence: Some(confidence),
                ..found.clone()
            };
            let of = of("hollow", &kpi, Some(&parent), &found, Language::En);
            assert!(of.contains(said), "{of}");
        }
    }

    #[test]
    fn an_answer_that_is_missing_or_later_says_how_it_was() {
        let found = LinkFigure {
            since: Some("2026-03-04".parse().unwrap()),
            answered: Some(0.08),
            answered_after: Some([5.0, 19.5]),
            ..LinkFigure::default()
        };
        let told = |kind, found: &LinkFigure, language| {
            let (kpi, parent) = match language {
                Language::Zh => (figure("文章数"), figure("营收")),
                Language::En => (figure("Articles"), figure("Revenue")),
            };
            of(kind, &kpi, Some(&parent), found, language)
        };
        assert_eq!(
            told("weak_link", &found, Language::En),
            "Since 2026-03-04, Revenue has answered 8% of what moves of Articles usually bring; it used to answer after about 5 days."
        );
        assert_eq!(
            told("weak_link", &found, Language::Zh),
            "自 2026-03-04 起，文章数的变动只带来了营收平时反应的 8%；以前营收约 5 天后就会跟上。"
        );
        assert_eq!(
            told("lag_change", &found, Language::En),
            "Since 2026-03-04, Revenue answers Articles after about 20 days; it used to be about 5."
        );
        assert_eq!(
            told("lag_change", &found, Language::Zh),
            "自 2026-03-04 起，营收要约 20 天才跟上文章数，以前约 5 天。"
        );
        let sure = LinkFigure {
            confidence: Some(0.957),
            ..found.clone()
        };
        let said = told("weak_link", &sure, Language::En);
        assert!(said.contains("usually bring, 96% sure; it used to"), "{said}");
        let said = told("lag_change", &sure, Language::En);
        assert!(said.contains("about 20 days, 96% sure; it used to"), "{said}");
        let said = told("weak_link", &sure, Language::Zh);
        assert!(said.contains("平时反应的 8%，把握 96%；以前"), "{said}");
        let said = told("lag_change", &sure, Language::Zh);
        assert!(said.contains("才跟上文章数，把握 96%，以前约"), "{said}");
        let at_once = LinkFigure {
            answered_after: Some([0.0; 2]),
            ..found
        };
        assert!(told("weak_link", &at_once, Language::En).ends_with("it used to answer on the same day."));
        assert!(told("weak_link", &at_once, Language::Zh).ends_with("以前营收当天就会跟上。"));
    }

    #[test]
    fn a_changed_unit_says_whose_and_how_many_times() {
        let found = LinkFigure {
            gap: Some(99.6),
            stream: Some("parent".to_owned()),
            ..LinkFigure::default()
        };
        assert_eq!(
            of(
                "unit_change",
                &figure("Visits"),
                Some(&figure("Revenue")),
                &found,
                Language::En
            ),
            "values of Revenue are about 100 times their usual size."
        );
    }

    #[test]
    fn of_a_feed_is_said_how_sure_it_is_that_it_is_no_chance() {
        let found = LinkFigure {
            gap: Some(100.0),
            confidence: Some(0.9901),
            ..LinkFigure::default()
        };
        let surer = LinkFigure {
            confidence: Some(0.99985),
            ..found.clone()
        };
        let node = figure("营收");
        let told = |kind, found: &LinkFigure, language| of(kind, &node, None, found, language);
        assert_eq!(
            told("feed_gap", &found, Language::En),
            "no data has come for 营收 (99% sure that it is no chance)."
        );
        assert_eq!(
            told("feed_gap", &found, Language::Zh),
            "营收没有任何数据（不是偶然的把握 99%）。"
        );
        assert_eq!(
            told("unit_change", &surer, Language::Zh),
            "营收的数值约为平时的 100 倍（不是偶然的把握超过 99.9%）。"
        );
        assert_eq!(
            told("unit_change", &surer, Language::En),
            "values of 营收 are about 100 times their usual size (more than 99.9% sure that it is no chance)."
        );
    }

    #[test]
    fn a_feed_is_told_without_a_parent() {
        let found = LinkFigure {
            since: Some("2026-03-04".parse().unwrap()),
            gap: Some(0.01),
            ..LinkFigure::default()
        };
        let node = figure("Revenue");
        let told = |kind, language| {
            let numbers = of(kind, &node, None, &found, language);
            format!("{}\n{numbers}", heading(kind, &node, None, language))
        };
        assert_eq!(
            told("feed_gap", Language::En),
            "No data for Revenue\nSince 2026-03-04, no data has come for Revenue."
        );
        assert_eq!(
            told("unit_change", Language::Zh),
            "Revenue的口径或单位变了\n自 2026-03-04 起，Revenue的数值约为平时的 0.010 倍。"
        );
    }
}

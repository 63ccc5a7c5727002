//! What links say together, in a sentence: since when, how many, how much, and which.

use super::drift::how_sure;
use super::sentence::name;
use super::{Language, percent};
use crate::alert::record::{Figure, SharedFacts};

/// Links that a message names; the others are counted.
const NAMED: usize = 8;

/// One line: what is apart from most of its KPIs.
pub(super) fn heading(parent: &Figure, shared: &SharedFacts, language: Language) -> String {
    let parent = name(parent);
    let (drifting, judged) = (shared.drifting, shared.judged);
    if shared.going.is_some() {
        return match (shared.is_more, language) {
            (false, Language::Zh) => format!("{parent}整体没有跟上 KPI：{judged} 条关联合起来看"),
            (false, Language::En) => format!("{parent} falls behind its KPIs, {judged} links taken together"),
            (true, Language::Zh) => format!("{parent}整体超出 KPI 所能解释的：{judged} 条关联合起来看"),
            (true, Language::En) => format!("{parent} grows beyond its KPIs, {judged} links taken together"),
        };
    }
    match (shared.is_more, language) {
        (false, Language::Zh) => {
            format!("{parent}普遍没有跟上 KPI：{judged} 条关联中有 {drifting} 条同时如此")
        }
        (false, Language::En) => {
            format!("{parent} falls behind its KPIs at {drifting} of {judged} links at once")
        }
        (true, Language::Zh) => {
            format!("{parent}普遍超出 KPI 所能解释的：{judged} 条关联中有 {drifting} 条同时如此")
        }
        (true, Language::En) => {
            format!("{parent} grows beyond its KPIs at {drifting} of {judged} links at once")
        }
    }
}

/// The numbers behind it, and which links they are.
pub(super) fn of(shared: &SharedFacts, language: Language) -> String {
    let since = shared.since.map_or_else(String::new, |day| match language {
        Language::Zh => format!("自 {day} 前后起，"),
        Language::En => format!("Since about {day}, "),
    });
    let gap = percent(shared.gap.unwrap_or(0.0).abs());
    let of = match shared.going {
        Some(_) => language.pick("（合计）", "in total"),
        None => language.pick("（中位数）", "(the median)"),
    };
    let than = match (shared.is_more, language) {
        (false, Language::Zh) => format!("业务比 KPI 所能解释的少 {gap}{of}"),
        (true, Language::Zh) => format!("业务比 KPI 所能解释的多 {gap}{of}"),
        (false, Language::En) => format!("the business brings {gap} less than KPIs explain {of}"),
        (true, Language::En) => format!("the business brings {gap} more than KPIs explain {of}"),
    };
    let sure = how_sure(shared.confidence, language);
    let moved = |value: f64| format!("{}{}", if value < 0.0 { "−" } else { "+" }, percent(value.abs()));
    let levels = match (shared.kpi, shared.parent, language) {
        (Some(kpi), Some(parent), Language::Zh) => {
            format!("；与平时相比，KPI {}，业务 {}", moved(kpi), moved(parent))
        }
        (Some(kpi), Some(parent), Language::En) => format!(
            "; against usual levels KPIs {}, the business {}",
            moved(kpi),
            moved(parent)
        ),
        _ => String::new(),
    };
    let named: Vec<&str> = shared.names.iter().take(NAMED).map(String::as_str).collect();
    let more = shared.drifting.saturating_sub(named.len());
    let list = named.join(language.pick("、", ", "));
    let all_alike = match (shared.going, language) {
        (Some(going), Language::Zh) => {
            format!(
                "{} 条中有 {going} 条都是如此，但大多幅度太小，单独看还不能断定。",
                shared.judged
            )
        }
        (Some(going), Language::En) => format!(
            " {going} of {} links go that way, most of them by too little to be sure of it alone.",
            shared.judged
        ),
        (None, _) => String::new(),
    };
    let which = match (more, language) {
        _ if named.is_empty() => String::new(),
        (_, Language::Zh) if shared.going.is_some() => format!("最明显的：{list}。"),
        (_, Language::En) if shared.going.is_some() => format!(" The clearest: {list}."),
        (0, Language::Zh) => format!("涉及：{list}。"),
        (_, Language::Zh) => format!("涉及：{list}，另有 {more} 个。"),
        (0, Language::En) => format!(" It is so at {list}."),
        (_, Language::En) => format!(" It is so at {list} and {more} more."),
    };
    let told = language.pick(
        "此告警持续期间，不再逐条通知。",
        " While this fires, they are not told one by one.",
    );
    let stop = language.pick("。", ".");
    format!("{since}{than}{sure}{levels}{stop}{all_alike}{which}{told}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_how_many_how_much_and_which() {
        let shared = SharedFacts {
            is_more: false,
            drifting: 37,
            judged: 40,
            going: None,
            names: (1..=37).map(|n| format!("s{n:02}")).collect(),
            since: Some(jiff::civil::date(2026, 3, 4)),
            gap: Some(-0.31),
            kpi: Some(0.01),
            parent: Some(-0.3),
            confidence: None,
        };
        let parent = Figure {
            title: "Revenue".to_owned(),
            ..Figure::default()
        };
        assert_eq!(
            heading(&parent, &shared, Language::En),
            "Revenue falls behind its KPIs at 37 of 40 links at once"
        );
        assert_eq!(
            of(&shared, Language::En),
            "Since about 2026-03-04, the business brings 31% less than KPIs explain (the median); against usual levels \
             KPIs +1%, the business −30%. It is so at s01, s02, s03, s04, s05, s06, s07, s08 and 29 more. While this \
             fires, they are not told one by one."
        );
        assert_eq!(
            of(&shared, Language::Zh),
            "自 2026-03-04 前后起，业务比 KPI 所能解释的少 31%（中位数）；与平时相比，KPI +1%，业务 −30%。\
             涉及：s01、s02、s03、s04、s05、s06、s07、s08，另有 29 个。此告警持续期间，不再逐条通知。"
        );
        let sure = SharedFacts {
            confidence: Some(0.917),
            ..shared.clone()
        };
        let said = of(&sure, Language::En);
        assert!(said.contains("explain (the median), 92% sure; against"), "{said}");
        let said = of(&sure, Language::Zh);
        assert!(said.contains("少 31%（中位数），把握 92%；与平时相比"), "{said}");
        let as_one = SharedFacts {
            drifting: 2,
            going: Some(29),
            gap: Some(-0.14),
            names: vec!["s07".to_owned(), "s31".to_owned()],
            ..shared
        };
        assert_eq!(
            heading(&parent, &as_one, Language::En),
            "Revenue falls behind its KPIs, 40 links taken together"
        );
        assert_eq!(
            of(&as_one, Language::En),
            "Since about 2026-03-04, the business brings 14% less than KPIs explain in total; against usual levels KPIs \
             +1%, the business −30%. 29 of 40 links go that way, most of them by too little to be sure of it alone. The \
             clearest: s07, s31. While this fires, they are not told one by one."
        );
        assert_eq!(
            of(&as_one, Language::Zh),
            "自 2026-03-04 前后起，业务比 KPI 所能解释的少 14%（合计）；与平时相比，KPI +1%，业务 −30%。40 条中有 29 条都是如此，\
             但大多幅度太小，单独看还不能断定。最明显的：s07、s31。此告警持续期间，不再逐条通知。"
        );
    }
}

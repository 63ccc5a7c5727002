//! Weights in words: one sentence of reason for each KPI, how a proposal stands, and what has been in force since when.

use super::{Language, percent};
use crate::catalog::attribute::DriftKind;
use crate::evaluate::weights::{Line, Setting, Standing, Titled, Why};

/// Why the weight of a KPI is to change, or not, in one sentence. `kpi` and `parent` are titles.
pub fn reason(line: &Line, kpi: &str, parent: &str, language: Language) -> String {
    let (because, change) = (because(line, kpi, parent, language), change(line, language));
    match language {
        Language::Zh => format!("{because}：{change}。"),
        Language::En => format!("{because}: {change}."),
    }
}

/// The points of a KPI now, and as they are proposed.
pub fn change(line: &Line, language: Language) -> String {
    let points = |value: f64| language.number(value);
    match (line.before == line.after, language) {
        (true, Language::Zh) => format!("保持 {} 分", points(line.before)),
        (true, Language::En) => format!("stays at {} points", points(line.before)),
        (false, Language::Zh) => format!("{} → {} 分", points(line.before), points(line.after)),
        (false, Language::En) => format!("{} → {} points", points(line.before), points(line.after)),
    }
}

/// What its link says of a KPI.
pub fn because(line: &Line, kpi: &str, parent: &str, language: Language) -> String {
    let Some(evidence) = &line.evidence else {
        return match language {
            Language::Zh => format!("{kpi}与{parent}的联动还没有足够的数据"),
            Language::En => format!("Too little is known yet of how {kpi} drives {parent}"),
        };
    };
    if let Some(kind) = evidence.drift() {
        return match (kind, language) {
            (DriftKind::Gaming, Language::Zh) => format!("{kpi}大涨而{parent}没有反应（疑似刷指标）"),
            (DriftKind::Gaming, Language::En) => format!("{kpi} has jumped and {parent} does not answer"),
            (DriftKind::WeakLink, Language::Zh) => format!("{parent}不再随{kpi}变动"),
            (DriftKind::WeakLink, Language::En) => format!("{parent} no longer moves with {kpi}"),
            (_, Language::Zh) => format!("{kpi}照常而{parent}没有跟上（两张皮）"),
            (_, Language::En) => format!("{kpi} is done and {parent} does not follow"),
        };
    }
    let share = percent(evidence.share);
    let days = evidence.judged_days;
    match language {
        Language::Zh => format!("在各项 KPI 能解释的{parent}变动中，{kpi}占 {share}（已观察 {days} 天）"),
        Language::En => {
            format!("{kpi} explains {share} of what the KPIs explain of {parent} (seen over {days} days)")
        }
    }
}

/// A proposal in one sentence: when, which points, and how it stands.
pub fn proposal(proposed: &Titled, language: Language) -> String {
    let lines = proposed.proposal.lines.iter().zip(&proposed.titles);
    let changed = lines.filter(|(line, _)| line.before != line.after);
    let changes: Vec<String> = changed
        .map(|(line, kpi)| format!("{kpi} {}", change(line, language)))
        .collect();
    let changes = changes.join(language.pick("，", ", "));
    let closed = &proposed.proposal.closed;
    let standing = standing(&proposed.proposal.standing, language);
    match language {
        Language::Zh => format!("{closed} 结束时建议：{changes}；{standing}。"),
        Language::En => format!("Proposed at the close of {closed}: {changes}; {standing}."),
    }
}

/// How a proposal stands.
pub fn standing(standing: &Standing, language: Language) -> String {
    let said = |note: &Option<String>| match (note, language) {
        (None, _) => String::new(),
        (Some(note), Language::Zh) => format!("：“{note}”"),
        (Some(note), Language::En) => format!(": “{note}”"),
    };
    match (standing, language) {
        (Standing::Pending, _) => language.pick("待决定", "waits for a decision").to_owned(),
        (Standing::Approved { by, note, from, .. }, Language::Zh) => {
            format!("{by} 已批准，自 {from} 起生效{}", said(note))
        }
        (Standing::Approved { by, note, from, .. }, Language::En) => {
            format!("approved by {by}, in force from {from} on{}", said(note))
        }
        (Standing::Rejected { by, note, .. }, Language::Zh) => format!("{by} 已否决{}", said(note)),
        (Standing::Rejected { by, note, .. }, Language::En) => format!("rejected by {by}{}", said(note)),
        (Standing::Automatic { from }, Language::Zh) => format!("自动生效，自 {from} 起"),
        (Standing::Automatic { from }, Language::En) => format!("applies by itself from {from} on"),
        (Standing::Superseded { by }, Language::Zh) => format!("未决定，已由 {by} 的建议取代"),
        (Standing::Superseded { by }, Language::En) => {
            format!("nobody decided before the close of {by} proposed anew")
        }
        (Standing::Withdrawn { .. }, Language::Zh) => "指标目录改了权重声明，建议已撤回".to_owned(),
        (Standing::Withdrawn { .. }, Language::En) => {
            "withdrawn: the catalogue declares otherwise since".to_owned()
        }
    }
}

/// Since when weights are in force, and why; `weight` is that of the KPI that is told of.
pub fn setting(setting: &Setting, weight: Option<f64>, language: Language) -> String {
    let from = match (setting.from, language) {
        (None, _) => language.pick("最初", "From the beginning").to_owned(),
        (Some(from), Language::Zh) => format!("自 {from} 起"),
        (Some(from), Language::En) => format!("From {from}"),
    };
    let points = weight.map_or_else(String::new, |weight| match language {
        Language::Zh => format!(" {} 分", language.number(weight)),
        Language::En => format!(" {} points", language.number(weight)),
    });
    let by = setting.by.as_deref().unwrap_or("—");
    let why = match (&setting.why, language) {
        (Why::Declared, Language::Zh) if setting.number > 1 => "指标目录改为如此声明，以声明为准".to_owned(),
        (Why::Declared, Language::En) if setting.number > 1 => {
            "the catalogue declares it anew, and what is declared wins".to_owned()
        }
        (Why::Declared, _) => language
            .pick("按指标目录的声明", "as the catalogue declares")
            .to_owned(),
        (Why::Approved { closed }, Language::Zh) => format!("{by} 批准了 {closed} 结束时的建议"),
        (Why::Approved { closed }, Language::En) => {
            format!("{by} approved what the close of {closed} proposed")
        }
        (Why::Automatic { closed }, Language::Zh) => format!("{closed} 结束时的建议自动生效"),
        (Why::Automatic { closed }, Language::En) => format!("proposed at the close of {closed}, by itself"),
    };
    match language {
        Language::Zh => format!("{from}{points}：{why}"),
        Language::En => format!("{from}{points}: {why}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evaluate::weights::LineEvidence;

    fn line(after: f64, drift: Option<&str>) -> Line {
        Line {
            node: "articles".to_owned(),
            before: 30.0,
            after,
            evidence: Some(LineEvidence {
                share: 0.12,
                confidence: 0.7,
                strength: 0.3,
                judged_days: 252,
                drift: drift.map(str::to_owned),
            }),
        }
    }

    #[test]
    fn one_sentence_of_reason_for_each_change() {
        let unknown = Line {
            evidence: None,
            ..line(30.0, None)
        };
        for (line, zh, en) in [
            (
                line(24.0, None),
                "在各项 KPI 能解释的销售额变动中，文章数占 12%（已观察 252 天）：30 → 24 分。",
                "文章数 explains 12% of what the KPIs explain of 销售额 (seen over 252 days): 30 → 24 points.",
            ),
            (
                line(20.0, Some("gaming")),
                "文章数大涨而销售额没有反应（疑似刷指标）：30 → 20 分。",
                "文章数 has jumped and 销售额 does not answer: 30 → 20 points.",
            ),
            (
                unknown,
                "文章数与销售额的联动还没有足够的数据：保持 30 分。",
                "Too little is known yet of how 文章数 drives 销售额: stays at 30 points.",
            ),
        ] {
            assert_eq!(reason(&line, "文章数", "销售额", Language::Zh), zh);
            assert_eq!(reason(&line, "文章数", "销售额", Language::En), en);
        }
    }
}

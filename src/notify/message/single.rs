//! What one notice about one episode says.

use super::{Does, Field, Link, Reader, Value};
use crate::alert::notice::{Because, Notice, NoticeKind, ResolveReason, Verdict};
use crate::alert::record::{Facts, Figure};
use crate::catalog::{Grade, Severity};
use crate::words::{Language, causes as words, percent, sentence};

/// Titles of explained alerts that are named; the rest is counted.
const NAMED: usize = 5;

/// One line that says it all, with a mark for its kind and severity.
pub(super) fn title(notice: &Notice, language: Language) -> String {
    // What a resolve takes back is what was said when it fired.
    let facts = notice.facts_at_firing.as_ref().unwrap_or(&notice.facts);
    let rule = notice.labels.get("alertname").unwrap_or(&notice.alert_kind);
    let heading = sentence::heading(rule, &notice.alert_kind, facts, language);
    let mark = mark(notice.severity);
    match (notice.kind, notice.reason) {
        (NoticeKind::Fired, _) => format!("{mark} {heading}{}", how_often(notice, language)),
        (NoticeKind::Escalated, _) => {
            let severity = severity(notice.severity, language);
            match language {
                Language::Zh => format!("{mark}⬆️ 升级为{severity}：{heading}"),
                Language::En => format!("{mark}⬆️ Now {}: {heading}", severity.to_lowercase()),
            }
        }
        (NoticeKind::DeEscalated, _) => {
            let severity = severity(notice.severity, language);
            match language {
                Language::Zh => format!("{mark}⬇️ 降级为{severity}：{heading}"),
                Language::En => format!("{mark}⬇️ Down to {}: {heading}", severity.to_lowercase()),
            }
        }
        (NoticeKind::Repeat, _) => {
            format!(
                "{mark} {}{heading}",
                language.pick("仍未解决：", "Still firing: ")
            )
        }
        (NoticeKind::Acked, _) => {
            format!("👀 {}{heading}", language.pick("已认领：", "Acknowledged: "))
        }
        (NoticeKind::Correction, _) => {
            format!("✏️ {}{heading}", language.pick("更正：", "Correction: "))
        }
        // They are about no episode, and worded elsewhere.
        (NoticeKind::Reminder | NoticeKind::Digest | NoticeKind::Proposal, _) => heading,
        (NoticeKind::Resolved, Some(ResolveReason::PeriodClosed)) => {
            format!("🏁 {}{heading}", language.pick("期间结束：", "Period closed: "))
        }
        (NoticeKind::Resolved, Some(ResolveReason::RuleDeleted)) => {
            format!("⏹️ {}{heading}", language.pick("规则已移除：", "Rule removed: "))
        }
        (NoticeKind::Resolved, Some(ResolveReason::Paused)) => {
            format!(
                "⏸️ {}{heading}",
                language.pick("规则已停用：", "Rule switched off: ")
            )
        }
        (NoticeKind::Resolved, Some(ResolveReason::Updated)) if facts.delivery.is_some() => {
            format!(
                "⏹️ {}{heading}",
                language.pick("接收方已移除：", "Receiver removed: ")
            )
        }
        (NoticeKind::Resolved, Some(ResolveReason::Updated)) => {
            format!(
                "⏹️ {}{heading}",
                language.pick("定义已变更：", "Definition changed: ")
            )
        }
        (NoticeKind::Resolved, Some(ResolveReason::SourceGone)) => {
            format!(
                "⏹️ {}{heading}",
                language.pick("数据源已移除：", "Source removed: ")
            )
        }
        (NoticeKind::Resolved, Some(ResolveReason::NoData)) => {
            format!("⏹️ {}{heading}", language.pick("没有数据：", "No data: "))
        }
        (NoticeKind::Resolved, Some(ResolveReason::Recovered) | None) => {
            format!("✅ {}{heading}", language.pick("已恢复：", "Resolved: "))
        }
    }
}

/// "（24 小时内第 3 次）" where it has been told before, or that it keeps coming and going.
fn how_often(notice: &Notice, language: Language) -> String {
    if notice.flapping {
        let text = language.pick(
            "（反复触发，平静下来之前不再逐次通知）",
            " (flapping: no more notices until it has been quiet for a while)",
        );
        return text.to_owned();
    }
    match (&notice.again, language) {
        (None, _) => String::new(),
        (Some(again), Language::Zh) => format!("（24 小时内第 {} 次）", again.count),
        (Some(again), Language::En) => format!(" (again: {} times in 24 h)", again.count),
    }
}

/// One or two sentences with the numbers.
pub(super) fn lead(notice: &Notice, language: Language) -> String {
    let now = sentence::of(&notice.alert_kind, &notice.facts, language);
    let joined = |first: String, then: String| match then.is_empty() {
        true => first,
        false => format!("{first}{}{then}", language.pick("", " ")),
    };
    match notice.kind {
        NoticeKind::Resolved => {}
        NoticeKind::Acked => return joined(acked(notice, language), now),
        NoticeKind::Correction => return corrected(notice, language),
        _ => {
            return match because(notice, language) {
                Some(because) => joined(because, now),
                None => now,
            };
        }
    }
    let lasted = language.lasting(notice.fired_at, notice.decided_at);
    let ended = match (notice.reason, language) {
        (Some(ResolveReason::PeriodClosed), Language::Zh) => format!("期间已结束，问题持续了 {lasted}。"),
        (Some(ResolveReason::PeriodClosed), Language::En) => {
            format!("The period closed; this had lasted {lasted}.")
        }
        (Some(ResolveReason::RuleDeleted), Language::Zh) => {
            format!("规则已从目录中移除，不再判断；此前持续了 {lasted}。")
        }
        (Some(ResolveReason::RuleDeleted), Language::En) => {
            format!(
                "The rule was removed from the catalogue and is not judged any more; this had lasted {lasted}."
            )
        }
        (Some(ResolveReason::Paused), Language::Zh) => {
            format!("规则在目录中已对这一项停用，不再判断；此前持续了 {lasted}。")
        }
        (Some(ResolveReason::Paused), Language::En) => {
            format!(
                "The rule was switched off for this in the catalogue and is not judged any more; this had lasted {lasted}."
            )
        }
        (Some(ResolveReason::Updated), _) if notice.facts.delivery.is_some() => language
            .pick(
                "设置中已没有这个接收方。",
                "The receiver is no longer in the settings.",
            )
            .to_owned(),
        (Some(ResolveReason::Updated), Language::Zh) => {
            format!("指标树中已没有这一项或其负责人已变更；此前持续了 {lasted}。")
        }
        (Some(ResolveReason::Updated), Language::En) => {
            format!(
                "The catalogue no longer has it like this, or its owner changed; this had lasted {lasted}."
            )
        }
        (Some(ResolveReason::SourceGone), Language::Zh) => {
            format!("它的数据源已从目录中移除，不再判断；此前持续了 {lasted}。")
        }
        (Some(ResolveReason::SourceGone), Language::En) => {
            format!(
                "Its source was removed from the catalogue, and it is not judged any more; this had lasted {lasted}."
            )
        }
        (Some(ResolveReason::NoData), Language::Zh) => {
            format!("数据已中断，无法再判断；此前持续了 {lasted}。")
        }
        (Some(ResolveReason::NoData), Language::En) => {
            format!("Its data stopped, so it can no longer be judged; this had lasted {lasted}.")
        }
        (Some(ResolveReason::Recovered) | None, Language::Zh) => format!("持续 {lasted}后恢复。"),
        (Some(ResolveReason::Recovered) | None, Language::En) => format!("Recovered after {lasted}."),
    };
    let now = match notice.reason {
        Some(ResolveReason::PeriodClosed) => verdict(&notice.facts, language),
        Some(
            ResolveReason::RuleDeleted
            | ResolveReason::Paused
            | ResolveReason::Updated
            | ResolveReason::SourceGone
            | ResolveReason::NoData,
        ) => String::new(),
        // It is over: how old it was says nothing any more.
        Some(ResolveReason::Recovered) | None
            if notice.facts.item.is_some()
                || notice.facts.source.is_some()
                || notice.facts.delivery.is_some()
                || notice.facts.shared.is_some() =>
        {
            String::new()
        }
        Some(ResolveReason::Recovered) | None => link_now(&notice.facts, language).unwrap_or(now),
    };
    joined(ended, now)
}

/// Why it is told now, where that is not plain.
fn because(notice: &Notice, language: Language) -> Option<String> {
    let text = match notice.because.as_ref()? {
        Because::SilenceEnded => language.pick(
            "静默已结束，问题仍在。",
            "Its silence has ended, and it still fires.",
        ),
        Because::MuteEnded => language.pick(
            "在免打扰时段内触发，至今仍在。",
            "It began while nobody was to be told, and still fires.",
        ),
        Because::InhibitionEnded => language.pick(
            "此前由其他告警解释，那个告警已结束，这一项仍在。",
            "What explained it is over, and it still fires.",
        ),
        Because::Unacknowledged { since } => {
            let waited = language.lasting(*since, notice.told_at.unwrap_or(*since));
            return Some(match language {
                Language::Zh => format!("{waited}内无人认领，现升级给您。"),
                Language::En => format!("Nobody has acknowledged it for {waited}, so it comes to you."),
            });
        }
    };
    Some(text.to_owned())
}

fn acked(notice: &Notice, language: Language) -> String {
    let Some(ack) = &notice.ack else {
        return String::new();
    };
    let comment = match (ack.comment.is_empty(), language) {
        (true, Language::Zh) => "。".to_owned(),
        (true, Language::En) => ".".to_owned(),
        (false, Language::Zh) => format!("：{}。", ack.comment),
        (false, Language::En) => format!(": {}.", ack.comment),
    };
    match language {
        Language::Zh => format!("{} 已认领{comment}", ack.by),
        Language::En => format!("{} has taken it{comment}", ack.by),
    }
}

/// What was said of a closed period, and what is true.
fn corrected(notice: &Notice, language: Language) -> String {
    let now = verdict(&notice.facts, language);
    let then = match notice.verdict {
        Some(Verdict::Met) => language.pick(
            "此前通知为未达成；迟到的数据改变了结果。",
            "It was told as missed; late data changed that.",
        ),
        Some(Verdict::Missed) => language.pick(
            "此前通知为已达成；迟到的数据改变了结果。",
            "It was told as met; late data changed that.",
        ),
        None => language.pick("迟到的数据改变了结果。", "Late data changed the result."),
    };
    format!("{then}{}{now}", language.pick("", " "))
}

/// The mark of a severity.
pub(super) fn mark(severity: Severity) -> &'static str {
    match severity.like() {
        Grade::Critical => "🔴",
        Grade::Warning => "🟠",
        Grade::Info => "🔵",
    }
}

/// How both sides of a link stand once it is sound again; the sentence of an alert would still complain.
fn link_now(facts: &Facts, language: Language) -> Option<String> {
    let (kpi, parent) = (facts.node.as_ref()?, facts.parent.as_ref()?);
    let (kpi_done, parent_done) = (percent(kpi.completion?), percent(parent.completion?));
    let (kpi, name) = (sentence::name(kpi), sentence::name(parent));
    let planned = parent.expected_share.map(percent);
    Some(match (language, planned) {
        (Language::Zh, Some(planned)) => {
            format!("现在{kpi}完成 {kpi_done}，{name}完成 {parent_done}（计划 {planned}）。")
        }
        (Language::Zh, None) => format!("现在{kpi}完成 {kpi_done}，{name}完成 {parent_done}。"),
        (Language::En, Some(planned)) => {
            format!("Now {kpi} is at {kpi_done} and {name} at {parent_done} (plan {planned}).")
        }
        (Language::En, None) => format!("Now {kpi} is at {kpi_done} and {name} at {parent_done}."),
    })
}

/// Whether the business met its target, once the period is over.
fn verdict(facts: &Facts, language: Language) -> String {
    let business = facts.parent.as_ref().or(facts.node.as_ref());
    let Some((figure, completion)) = business.and_then(|figure| Some((figure, figure.completion?))) else {
        return String::new();
    };
    let (name, done) = (sentence::name(figure), percent(completion));
    match (completion >= 1.0, language) {
        (true, Language::Zh) => format!("{name}最终完成 {done}，达成目标。"),
        (true, Language::En) => format!("{name} ended at {done}: target met."),
        (false, Language::Zh) => format!("{name}最终完成 {done}，未达成目标。"),
        (false, Language::En) => format!("{name} ended at {done}: target missed."),
    }
}

/// The numbers one by one, whose it is, since when.
pub(super) fn fields(notice: &Notice, language: Language) -> Vec<Field> {
    let facts = &notice.facts;
    let then = notice
        .facts_at_firing
        .as_ref()
        .filter(|_| notice.kind == NoticeKind::Resolved);
    let is_link = facts.parent.is_some();
    let worst = worst(notice, language);
    let mut fields = Vec::new();
    let mut add = |name: String, value: Option<Value>| {
        fields.extend(value.map(|value| Field { name, value }));
    };

    if let Some(item) = &facts.item {
        add(
            language.pick("事项", "Item").to_owned(),
            Some(Value::Text(item.name.clone())),
        );
    }
    if let Some(node) = &facts.node {
        let prefix = if is_link { "KPI " } else { "" };
        let before = then.and_then(|facts| facts.node.as_ref());
        add(
            format!("{prefix}{}", sentence::name(node)),
            Some(progress(node, before, language)),
        );
    }
    if let Some(parent) = &facts.parent {
        let prefix = language.pick("所服务的 ", "Serves ");
        let before = then.and_then(|facts| facts.parent.as_ref());
        add(
            format!("{prefix}{}", sentence::name(parent)),
            Some(progress(parent, before, language)),
        );
    }
    add(
        language.pick("最差时", "At its worst").to_owned(),
        worst.map(Value::Text),
    );
    if notice.kind != NoticeKind::Resolved {
        add(
            language.pick("差距", "Gap").to_owned(),
            gap(facts, language).map(Value::Text),
        );
        let lasting = (notice.kind == NoticeKind::Escalated)
            .then(|| language.lasting(notice.fired_at, notice.decided_at));
        add(
            language.pick("始于", "Since").to_owned(),
            Some(Value::Moment(notice.fired_at, lasting)),
        );
    } else {
        let lasted = language.lasting(notice.fired_at, notice.decided_at);
        add(
            language.pick("持续", "Lasted").to_owned(),
            Some(Value::Text(lasted)),
        );
        add(
            language.pick("始于", "Began").to_owned(),
            Some(Value::Moment(notice.fired_at, None)),
        );
    }
    if let Some(causes) = &notice.causes {
        add(
            match language {
                Language::Zh => format!("{}的差距主要在", causes.of),
                Language::En => format!("Gap of {}, mostly", causes.of),
            },
            Some(Value::Text(words::comes_from(causes, language))),
        );
    }
    add(
        language.pick("负责人", "Owner").to_owned(),
        owners(notice, language).map(Value::Text),
    );
    let period = facts
        .node
        .as_ref()
        .map(|node| node.period.clone())
        .filter(|period| !period.is_empty());
    let period = period.or_else(|| notice.labels.get("period").cloned());
    add(
        language.pick("期间", "Period").to_owned(),
        period.map(Value::Text),
    );
    let severity = severity(notice.severity, language).to_owned();
    add(
        language.pick("级别", "Severity").to_owned(),
        Some(Value::Text(severity)),
    );
    add(
        language.pick("认领人", "Taken by").to_owned(),
        notice.ack.as_ref().map(|ack| Value::Text(ack.by.clone())),
    );
    add(
        language.pick("同时解释", "Also explains").to_owned(),
        explained(notice, language).map(Value::Text),
    );
    fields
}

/// The worst numbers of an episode that is over, where they are not those of its beginning or its end.
fn worst(notice: &Notice, language: Language) -> Option<String> {
    let is_over = notice.kind == NoticeKind::Resolved;
    let peak = notice.peak.as_ref().filter(|_| is_over)?;
    let told = |facts: &Facts| standing(&notice.alert_kind, facts, language);
    let worst = told(peak).filter(|worst| !worst.is_empty())?;
    let is_told = |facts: &Facts| told(facts).as_ref() == Some(&worst);
    let then = notice.facts_at_firing.as_ref();
    (!is_told(&notice.facts) && !then.is_some_and(is_told)).then_some(worst)
}

/// How far both sides of a link were, or a node, and its plan; of anything else the sentence of its alert.
fn standing(kind: &str, facts: &Facts, language: Language) -> Option<String> {
    let is_of_nodes = facts.shared.is_none() && facts.item.is_none() && facts.source.is_none();
    let Some(node) = facts.node.as_ref().filter(|_| is_of_nodes) else {
        return Some(sentence::of(kind, facts, language));
    };
    let mut parts = Vec::new();
    match &facts.parent {
        None => parts.push(percent(node.completion?)),
        Some(parent) => {
            for figure in [node, parent] {
                parts.push(format!(
                    "{} {}",
                    sentence::name(figure),
                    percent(figure.completion?)
                ));
            }
        }
    }
    let planned = facts.parent.as_ref().unwrap_or(node).expected_share;
    parts.extend(planned.map(|planned| format!("{} {}", language.pick("计划", "plan"), percent(planned))));
    Some(parts.join(" · "))
}

/// Alerts that are not told because this one explains them; what links say together names them already.
fn explained(notice: &Notice, language: Language) -> Option<String> {
    if notice.facts.shared.is_some() {
        return None;
    }
    let named = notice.explains.iter().take(NAMED);
    let named: Vec<&str> = named.map(|heading| heading.text(language)).collect();
    let more = notice.explains.len() - named.len();
    let text = named.join(language.pick("；", "; "));
    match (named.is_empty(), more, language) {
        (true, ..) => None,
        (_, 0, _) => Some(text),
        (_, more, Language::Zh) => Some(format!("{text}；另有 {more} 项")),
        (_, more, Language::En) => Some(format!("{text}; and {more} more")),
    }
}

/// How far a node is: completion, amounts, and what the plan expects by now; with what it was before, for a resolve.
pub(super) fn progress(figure: &Figure, before: Option<&Figure>, language: Language) -> Value {
    let unit = figure.unit.as_deref();
    let amount = |value: f64| language.quantity(value, unit);
    let short = |figure: &Figure| match (figure.completion, figure.value) {
        (Some(completion), _) => percent(completion),
        (None, Some(value)) => amount(value),
        (None, None) => language.pick("无数据", "no data").to_owned(),
    };
    if let Some(before) = before {
        return Value::Text(format!("{} → {}", short(before), short(figure)));
    }
    let mut parts = vec![short(figure)];
    if let (Some(_), Some(value), Some(target)) = (figure.completion, figure.value, figure.target) {
        let goal = language.goal(target, figure.band, unit);
        parts.push(format!("{} / {goal}", amount(value)));
    }
    if let (Some(_), Some(planned)) = (figure.completion, figure.expected_share) {
        parts.push(format!("{} {}", language.pick("计划", "plan"), percent(planned)));
    }
    Value::Text(parts.join(" · "))
}

/// How far the KPI is ahead of what it serves, or a node behind its plan, in points of completion.
pub(super) fn gap(facts: &Facts, language: Language) -> Option<String> {
    let node = facts.node.as_ref()?;
    let completion = node.completion?;
    let (points, zh, en) = match &facts.parent {
        Some(parent) if completion >= parent.completion? => {
            (completion - parent.completion?, "KPI 领先", "KPI ahead")
        }
        Some(parent) => (parent.completion? - completion, "KPI 落后", "KPI behind"),
        None if completion >= node.expected_share? => {
            (completion - node.expected_share?, "领先计划", "ahead of plan")
        }
        None => (node.expected_share? - completion, "落后计划", "behind plan"),
    };
    let points = percent(points);
    let points = points.trim_end_matches('%');
    Some(match language {
        Language::Zh => format!("{zh} {points} 个百分点"),
        Language::En => format!("{en} by {points} points"),
    })
}

/// Who has to act; for a link also whose business it is.
fn owners(notice: &Notice, language: Language) -> Option<String> {
    let facts = &notice.facts;
    let own = facts.node.as_ref().and_then(|node| node.owner.clone());
    let own = own.or_else(|| notice.labels.get("owner").cloned());
    let other = facts
        .parent
        .as_ref()
        .and_then(|parent| Some((sentence::name(parent), parent.owner.clone()?)))
        .filter(|(_, owner)| own.as_ref() != Some(owner));
    match (own, other) {
        (Some(own), Some((name, other))) => Some(match language {
            Language::Zh => format!("{own}（{name}：{other}）"),
            Language::En => format!("{own} ({name}: {other})"),
        }),
        (None, Some((_, other))) => Some(other),
        (own, None) => own,
    }
}

pub(in crate::notify) fn severity(severity: Severity, language: Language) -> &'static str {
    language.pick(severity.title_zh(), severity.title())
}

/// What to do: read more, take it, silence it.
pub(super) fn links(notice: &Notice, reader: &Reader<'_>) -> Vec<Link> {
    let Some(page) = reader.page else {
        return Vec::new();
    };
    let language = reader.language;
    let page = page.trim_end_matches('/');
    let url = match notice.labels.get("node") {
        Some(node) => format!("{page}/nodes/{}", encoded(node)),
        None => format!("{page}/"),
    };
    let mut links = vec![Link {
        label: language.pick("打开页面", "Open the page").to_owned(),
        url,
        does: Does::Show,
    }];
    if let Some(signer) = reader.signer.filter(|_| can_be_taken(notice)) {
        let mut link = |label: &'static str, action: &str, does: Does| {
            links.push(Link {
                label: label.to_owned(),
                url: signer.link(
                    page,
                    action,
                    &notice.episode,
                    notice.told_at.unwrap_or(notice.decided_at),
                ),
                does,
            });
        };
        link(language.pick("认领", "Acknowledge"), "ack", Does::Ack);
        link(language.pick("静默", "Silence"), "silence", Does::Silence);
    }
    links
}

/// Whether somebody can take what a notice is about: it fires, and nobody has.
pub(in crate::notify) fn can_be_taken(notice: &Notice) -> bool {
    let is_over = matches!(
        notice.kind,
        NoticeKind::Resolved | NoticeKind::Correction | NoticeKind::Acked
    );
    !is_over && notice.ack.is_none() && notice.aside.is_none()
}

/// A path segment as RFC 3986 wants it.
pub(super) fn encoded(segment: &str) -> String {
    let mut out = String::with_capacity(segment.len());
    for byte in segment.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => out.push(char::from(byte)),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

//! One clear sentence with numbers for every alert.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};

use super::{Language, drift, percent, shared, silence};
use crate::alert::delivery::DeliveryFacts;
use crate::alert::record::{EntryFacts, Facts, Figure, ItemFacts, RushFacts, SourceFacts};
use crate::catalog::Band;
use crate::catalog::attribute::DriftKind;
use crate::evaluate::Mismatch;
use crate::fold::cells::{Bound, SaidIn};
use crate::fold::items::MAX_MARKS;

/// What the alert says, as a heading: in the reader's language for the kinds that tautline knows, else the title
/// that the rule gives.
pub fn heading(rule: &str, kind: &str, facts: &Facts, language: Language) -> String {
    if let ("overdue", Some(item)) = (kind, &facts.item) {
        let node = match item.instance.as_str() {
            "" => item.node.clone(),
            instance => format!("{} · {instance}", item.node),
        };
        return match language {
            Language::Zh => format!("{} 已逾期（{node}）", item.name),
            Language::En => format!("{} is overdue ({node})", item.name),
        };
    }
    if let Some(delivery) = &facts.delivery {
        return match language {
            Language::Zh => format!("发给 {} 的通知送不到", delivery.receiver),
            Language::En => format!("Notices do not reach {}", delivery.receiver),
        };
    }
    if let Some(source) = facts.source.as_ref().filter(|_| facts.title.is_empty()) {
        return of_source(kind, source, language);
    }
    if let (Some(together), Some(node), true) = (&facts.shared, &facts.node, facts.title.is_empty()) {
        return shared::heading(node, together, language);
    }
    if let (Some(_), Some(node)) = (&facts.entry, &facts.node) {
        return match language {
            Language::Zh => format!("{} 该填报了", name(node)),
            Language::En => format!("Nobody has entered {}", name(node)),
        };
    }
    match (kind, &facts.node) {
        (kind, Some(node)) if DriftKind::of(kind).is_some() && facts.title.is_empty() => {
            drift::heading(kind, node, facts.parent.as_ref(), language)
        }
        ("behind_pace", Some(node)) if node.band.is_some() => {
            format!(
                "{}{}",
                name(node),
                language.pick("偏离目标区间", " is outside its target band")
            )
        }
        ("behind_pace", Some(node)) => {
            format!("{}{}", name(node), language.pick("落后于计划", " is behind plan"))
        }
        ("unreconciled", Some(node)) => {
            format!(
                "{}{}",
                name(node),
                language.pick("与其分项对不上（口径不一致）", " and its parts do not agree")
            )
        }
        ("target_at_risk", Some(node)) => {
            format!(
                "{}{}",
                name(node),
                language.pick("恐难达成目标", " is likely to miss its target")
            )
        }
        ("rule_error", Some(node)) => match language {
            Language::Zh => format!("规则 {} 无法对 {} 求值", facts.title, name(node)),
            Language::En => format!("Rule {} cannot be evaluated for {}", facts.title, name(node)),
        },
        ("too_many_alerts", _) => match language {
            Language::Zh => format!("规则 {} 的告警过多", facts.title),
            Language::En => format!("Rule {} has too many alerts", facts.title),
        },
        _ if facts.title.is_empty() => rule.to_owned(),
        _ => match (&facts.title_zh, language) {
            (Some(title), Language::Zh) => title.clone(),
            _ => facts.title.clone(),
        },
    }
}

/// The numbers behind it, as one sentence; empty where there are none.
pub fn of(kind: &str, facts: &Facts, language: Language) -> String {
    if let Some(item) = &facts.item {
        return open_for(item, language);
    }
    if let Some(delivery) = &facts.delivery {
        return lost(delivery, language);
    }
    if let Some(crowd) = &facts.crowd {
        let (kept, beyond) = (
            language.number(crowd.kept as f64),
            language.number(crowd.beyond as f64),
        );
        return match language {
            Language::Zh => format!(
                "另有 {beyond} 处触发了该规则而没有告警：一条规则最多保留 {kept} 个（alerts.max_per_rule）。请缩小规则的 nodes，或在上一级判断。"
            ),
            Language::En => format!(
                "It breaches in {beyond} more places that have no alert: {kept} are kept of a rule (alerts.max_per_rule). Narrow its nodes, or judge one level up."
            ),
        };
    }
    if let Some(source) = &facts.source {
        return intake(kind, source, language);
    }
    if let Some(together) = &facts.shared {
        return shared::of(together, language);
    }
    if let Some(entry) = &facts.entry {
        return to_enter(entry, language);
    }
    if let (Some(kpi), Some(found)) = (&facts.node, &facts.link) {
        return drift::of(kind, kpi, facts.parent.as_ref(), found, language);
    }
    match (&facts.node, &facts.parent) {
        (Some(kpi), Some(parent)) => link(kpi, parent, language),
        (Some(node), None) if kind == "target_at_risk" => at_risk(node, language),
        (Some(node), None) if kind == "unreconciled" => parts(node, language),
        (Some(node), None) => progress(node, language),
        _ => String::new(),
    }
}

/// Title with its dimension values: `Revenue, 华东`.
pub fn name(figure: &Figure) -> String {
    if figure.instance.is_empty() {
        figure.title.clone()
    } else {
        format!("{} · {}", figure.title, figure.instance)
    }
}

/// Who should type what in.
fn to_enter(entry: &EntryFacts, language: Language) -> String {
    let (from, last) = (language.date(entry.from), language.date(entry.last));
    let one_day = entry.from == entry.last;
    match language {
        Language::Zh => {
            let who = entry.entered_by.join("、");
            let days = if one_day { from } else { format!("{from}至{last}") };
            format!("{days}的数值还没有人填报；请 {who} 在节点页面上填写。")
        }
        Language::En => {
            let who = entry.entered_by.join(" or ");
            let days = if one_day {
                from
            } else {
                format!("{from} to {last}")
            };
            format!("No value has been entered for {days}; {who} should type it in on the node's page.")
        }
    }
}

/// What did not reach a receiver, and what to do about it.
fn lost(delivery: &DeliveryFacts, language: Language) -> String {
    let (count, receiver) = (language.number(delivery.lost as f64), &delivery.receiver);
    let reason = delivery.reason.as_deref().unwrap_or("—");
    let others = match (delivery.others.as_slice(), language) {
        ([], _) => String::new(),
        (others, Language::Zh) => format!("同样送不到的还有：{}。", others.join("、")),
        (others, Language::En) => format!(" Not reached either: {}.", others.join(", ")),
    };
    match language {
        Language::Zh => format!(
            "{receiver} 有 {count} 条通知被拒收或放弃，最近一次的原因：{reason}。请检查其地址和密钥；用 tautline notify test 可以试发。{others}"
        ),
        Language::En => {
            let notices = if delivery.lost == 1 {
                "notice was"
            } else {
                "notices were"
            };
            format!(
                "{count} {notices} refused or given up, the last one for: {reason}. Check its address and secret; tautline notify test sends a trial message.{others}"
            )
        }
    }
}

fn open_for(item: &ItemFacts, language: Language) -> String {
    let length = |seconds| {
        let end = Timestamp::UNIX_EPOCH.saturating_add(SignedDuration::from_secs(seconds));
        language.lasting(Timestamp::UNIX_EPOCH, end.unwrap_or(Timestamp::UNIX_EPOCH))
    };
    let (age, allowed) = (length(item.age_seconds), length(item.allowed_seconds));
    match language {
        Language::Zh => format!("已进行 {age}，期限为 {allowed}。"),
        Language::En => format!("It has been open for {age}; {allowed} are allowed."),
    }
}

fn of_source(kind: &str, source: &SourceFacts, language: Language) -> String {
    let name = &source.name;
    if source.silent.is_some() {
        return silence::heading(name, language);
    }
    if source.rush.is_some() {
        return match language {
            Language::Zh => format!("数据源 {name} 的事件突增"),
            Language::En => format!("A surge of events from source {name}"),
        };
    }
    match (kind, language) {
        ("limit_reached", Language::Zh) => format!("数据源 {name}：已达{}", limits_of(source, language)),
        ("limit_reached", Language::En) => {
            format!("Source {name} has reached {}", limits_of(source, language))
        }
        (_, Language::Zh) => format!("数据源 {name}：许多事件无法使用"),
        (_, Language::En) => format!("Many events of source {name} cannot be used"),
    }
}

/// The limits that were reached, by where they can be raised: one that is fixed is named only where it is alone.
fn limits_of(source: &SourceFacts, language: Language) -> &'static str {
    let places: BTreeSet<SaidIn> = source.bounds.iter().map(|bound| bound.said_in()).collect();
    let is_in = |place| places.contains(&place);
    match (
        is_in(SaidIn::Catalogue),
        is_in(SaidIn::Settings),
        is_in(SaidIn::Code),
    ) {
        (true, true, _) => language.pick(
            "目录和设置中的上限",
            "limits of the catalogue and of the settings",
        ),
        (true, false, _) => language.pick("目录中的上限", "a limit of the catalogue"),
        (false, true, _) => language.pick("设置中的上限", "a limit of the settings"),
        (false, false, true) => language.pick("固定的上限", "a fixed limit"),
        // What was kept before bounds had names.
        (false, false, false) => language.pick("上限", "a limit"),
    }
}

/// A limit with its place, and what became of what was beyond it.
fn limit(bound: Bound, language: Language) -> String {
    let became = match bound {
        Bound::Cells => language.pick("更多的取值计入“other”", "further values count as \"other\""),
        Bound::Keys => language.pick(
            "忘记了最久未出现的键",
            "the keys that were last seen longest ago were forgotten",
        ),
        Bound::Items => language.pick("忘记了最旧的事项", "the oldest items were forgotten"),
        Bound::Ids => language.pick("忘记了最旧的 id", "the oldest ids were forgotten"),
        Bound::Marks => language.pick("忘记了最旧的", "the oldest were forgotten"),
        Bound::Values => language.pick(
            "更长的取值计入“other”，更长的事项名只保留开头",
            "longer values count as \"other\", and of longer names of items the beginning is kept",
        ),
        Bound::Days => language.pick("更早的事件没有计入", "events of earlier days were not counted"),
        Bound::Range => {
            let words = language.pick(
                "精确数字的范围 ±1.7·10³²，固定不变（会超出范围的金额没有计入合计）",
                "the range of exact numbers, ±1.7·10³², which is fixed (amounts that would have taken a sum out of it are in no sum)",
            );
            return words.to_owned();
        }
    };
    let key = bound.key().unwrap_or_default();
    match (bound.said_in(), language) {
        (SaidIn::Catalogue, Language::Zh) => format!("目录中的 {key}（{became}）"),
        (SaidIn::Catalogue, Language::En) => format!("{key} in the catalogue ({became})"),
        (SaidIn::Settings, Language::Zh) => format!("设置中的 {key}（{became}）"),
        (SaidIn::Settings, Language::En) => format!("{key} in the settings ({became})"),
        (SaidIn::Code, Language::Zh) => format!("每个事项 {MAX_MARKS} 个开始和结束，固定不变（{became}）"),
        (SaidIn::Code, Language::En) => {
            format!("{MAX_MARKS} starts and ends of one item, which is fixed ({became})")
        }
    }
}

fn intake(kind: &str, source: &SourceFacts, language: Language) -> String {
    if let Some(silent) = &source.silent {
        return silence::of(silent, language);
    }
    if let Some(rush) = &source.rush {
        return surge(rush, language);
    }
    let number = |count: u64| language.number(count as f64);
    let (read, rejected) = (number(source.read), number(source.rejected));
    if kind == "limit_reached" {
        let count = number(source.let_go);
        let limits: Vec<String> = source
            .bounds
            .iter()
            .map(|bound| limit(*bound, language))
            .collect();
        return match (language, limits.as_slice()) {
            (Language::Zh, []) => format!("最近 24 小时有 {count} 个事件或键超出上限。"),
            (Language::En, []) => format!("In the last 24 hours {count} events or keys were beyond a limit."),
            (Language::Zh, limits) => {
                format!(
                    "最近 24 小时有 {count} 个事件或键超出上限：{}。",
                    limits.join("；")
                )
            }
            (Language::En, limits) => format!(
                "In the last 24 hours {count} events or keys were beyond a limit: {}.",
                limits.join("; ")
            ),
        };
    }
    let share = match source.read {
        0 => "—".to_owned(),
        all => percent(source.rejected as f64 / all as f64),
    };
    let allowed = percent(source.allowed);
    let reason = source.reason.as_deref().unwrap_or("—");
    match language {
        Language::Zh => format!(
            "最近 24 小时读到的 {read} 个事件中有 {rejected} 个（{share}）被拒绝，允许 {allowed}；最常见的原因：{reason}。由它计算的数字不完整。"
        ),
        Language::En => format!(
            "Of {read} events in the last 24 hours {rejected} were rejected ({share}; {allowed} are allowed), most often for {reason}. Numbers made of it are incomplete."
        ),
    }
}

fn surge(rush: &RushFacts, language: Language) -> String {
    let number = |count: u64| language.number(count as f64);
    let (events, busiest) = (number(rush.events), number(rush.busiest));
    let times = language.number((rush.events as f64 / rush.busiest.max(1) as f64 * 10.0).round() / 10.0);
    match language {
        Language::Zh => format!(
            "最近一小时有 {events} 个事件，是此前四周最忙一小时（{busiest} 个）的 {times} 倍。是重复导入、循环发送，还是真的生意？"
        ),
        Language::En => format!(
            "{events} events came in the last hour, {times} times those of the busiest hour of the four weeks before ({busiest}). A load that was repeated, a producer in a loop, or business?"
        ),
    }
}

fn link(kpi: &Figure, parent: &Figure, language: Language) -> String {
    let done = |figure: &Figure| {
        figure
            .completion
            .map_or_else(|| language.pick("无数据", "unknown").to_owned(), percent)
    };
    let planned = parent
        .expected_share
        .filter(|_| parent.completion.is_some())
        .map(percent);
    match (language, planned) {
        (Language::Zh, Some(planned)) => format!(
            "{}已完成 {}，而它所服务的{}只完成 {}，按计划此时应为 {planned}。",
            name(kpi),
            done(kpi),
            name(parent),
            done(parent)
        ),
        (Language::Zh, None) => format!(
            "{}完成 {}，它所服务的{}完成 {}。",
            name(kpi),
            done(kpi),
            name(parent),
            done(parent)
        ),
        (Language::En, Some(planned)) => format!(
            "{} stands at {} of its target; {}, which it serves, stands at {} where the plan expects {planned} by now.",
            name(kpi),
            done(kpi),
            name(parent),
            done(parent)
        ),
        (Language::En, None) => format!(
            "{} stands at {} of its target; {}, which it serves, stands at {}.",
            name(kpi),
            done(kpi),
            name(parent),
            done(parent)
        ),
    }
}

fn progress(node: &Figure, language: Language) -> String {
    let Some(completion) = node.completion.map(percent) else {
        return match (node.value, language) {
            (Some(value), Language::Zh) => {
                format!("目前为 {}。", language.quantity(value, node.unit.as_deref()))
            }
            (Some(value), Language::En) => {
                format!("It stands at {}.", language.quantity(value, node.unit.as_deref()))
            }
            (None, _) => String::new(),
        };
    };
    if let (Some(band), Some(value)) = (node.band, node.value) {
        return by_band(node, band, value, &completion, language);
    }
    let amounts = node.value.zip(node.target).map(|(value, target)| {
        let unit = node.unit.as_deref();
        (language.quantity(value, unit), language.quantity(target, unit))
    });
    let planned = node.expected_share.map(percent);
    match language {
        Language::Zh => {
            let amounts =
                amounts.map_or_else(String::new, |(value, target)| format!("（{value} / {target}）"));
            let planned = planned.map_or_else(String::new, |planned| format!("，按计划此时应为 {planned}"));
            let pace = node
                .pace
                .map_or_else(String::new, |pace| format!("，进度为计划的 {}", percent(pace)));
            format!("已完成目标的 {completion}{amounts}{planned}{pace}。")
        }
        Language::En => {
            let amounts =
                amounts.map_or_else(String::new, |(value, target)| format!(" ({value} of {target})"));
            let planned = planned.map_or_else(String::new, |planned| {
                format!(" where the plan expects {planned} by now")
            });
            let pace = node
                .pace
                .map_or_else(String::new, |pace| format!(": a pace of {}", percent(pace)));
            format!("It stands at {completion} of its target{amounts}{planned}{pace}.")
        }
    }
}

/// Where a value stands against its band. A total is on its way there: its pace says whether by now it should be elsewhere.
fn by_band(node: &Figure, band: Band, value: f64, completion: &str, language: Language) -> String {
    let unit = node.unit.as_deref();
    let (stands, goal) = (
        language.quantity(value, unit),
        language.goal(band.middle(), Some(band), unit),
    );
    if node.expected_share.is_none() {
        let pace = node.pace.map(percent);
        return match (language, pace) {
            (Language::Zh, Some(pace)) => {
                format!("目前为 {stands}，本期应落在 {goal} 之间，进度为计划的 {pace}。")
            }
            (Language::Zh, None) => format!("目前为 {stands}，本期应落在 {goal} 之间。"),
            (Language::En, Some(pace)) => {
                format!("It stands at {stands} of {goal} for the period: a pace of {pace}.")
            }
            (Language::En, None) => format!("It stands at {stands} of {goal} for the period."),
        };
    }
    let side = match value {
        _ if value < band.low => Some(language.pick("低于", "below")),
        _ if value > band.high => Some(language.pick("高于", "above")),
        _ => None,
    };
    match (side, language) {
        (None, Language::Zh) => format!("目前为 {stands}，在目标区间 {goal} 之内。"),
        (None, Language::En) => format!("It stands at {stands}, within its target band of {goal}."),
        (Some(side), Language::Zh) => {
            format!("目前为 {stands}，{side}目标区间 {goal}，完成度 {completion}。")
        }
        (Some(side), Language::En) => {
            format!("It stands at {stands}, {side} its target band of {goal}: a completion of {completion}.")
        }
    }
}

fn parts(node: &Figure, language: Language) -> String {
    let Some(mismatch) = node.unreconciled else {
        return progress(node, language);
    };
    let quantity = |value: f64| language.quantity(value, node.unit.as_deref());
    let (zh, en) = if mismatch.of_target {
        (
            ("各分项的目标", "它的目标为"),
            ("The targets of its parts", "its own is"),
        )
    } else {
        (("各分项", "它本身为"), ("Its parts", "it stands at"))
    };
    match (language, mismatch.whole, mismatch.parts) {
        (Language::Zh, Some(whole), Some(parts)) => format!(
            "{}合起来为 {}，而{} {}，相差 {}。",
            zh.0,
            quantity(parts),
            zh.1,
            quantity(whole),
            apart(&mismatch, quantity((parts - whole).abs()), language)
        ),
        (Language::En, Some(whole), Some(parts)) => format!(
            "{} come to {}, and {} {}: {}.",
            en.0,
            quantity(parts),
            en.1,
            quantity(whole),
            apart(&mismatch, quantity((parts - whole).abs()), language)
        ),
        (Language::Zh, Some(whole), None) => {
            format!(
                "{}合起来算不出数（除以 0，或缺少数值），而{} {}。",
                zh.0,
                zh.1,
                quantity(whole)
            )
        }
        (Language::En, Some(whole), None) => format!(
            "{} come to nothing that can be computed (a division by zero, or no value), and {} {}.",
            en.0,
            en.1,
            quantity(whole)
        ),
        (Language::Zh, None, Some(parts)) => {
            format!("{}合起来为 {}，而它本身没有数值。", zh.0, quantity(parts))
        }
        (Language::En, None, Some(parts)) => {
            format!(
                "{} come to {}, and it has no value itself.",
                en.0,
                quantity(parts)
            )
        }
        (_, None, None) => progress(node, language),
    }
}

/// A difference, with its share of the whole where there is a whole.
fn apart(mismatch: &Mismatch, difference: String, language: Language) -> String {
    let share = mismatch.whole.filter(|whole| *whole != 0.0);
    match (share.map(|_| percent(mismatch.share())), language) {
        (Some(share), Language::Zh) => format!("{difference}（{share}）"),
        (Some(share), Language::En) => format!("{difference} apart ({share})"),
        (None, Language::Zh) => difference,
        (None, Language::En) => format!("{difference} apart"),
    }
}

/// A chance is never told as nothing or as certain: the forecast is not that sure. It follows a Chinese word at once.
pub fn likely(chance: f64, language: Language) -> String {
    if chance < 0.01 {
        language.pick("不足 1%", "below 1%").to_owned()
    } else if chance > 0.99 {
        language.pick("超过 99%", "above 99%").to_owned()
    } else {
        format!("{}{}", language.pick(" ", ""), percent(chance))
    }
}

fn at_risk(node: &Figure, language: Language) -> String {
    let (Some(forecast), Some(target)) = (node.forecast, node.target) else {
        return progress(node, language);
    };
    let unit = node.unit.as_deref();
    let (forecast, target) = (
        language.quantity(forecast, unit),
        language.goal(target, node.band, unit),
    );
    match (
        language,
        node.target_probability.map(|chance| likely(chance, language)),
    ) {
        (Language::Zh, Some(chance)) => format!("预计期末为 {forecast}，目标 {target}，达成概率{chance}。"),
        (Language::Zh, None) => format!("预计期末为 {forecast}，目标 {target}。"),
        (Language::En, Some(chance)) => {
            format!(
                "It is heading for {forecast} against a target of {target}; the chance of meeting it is {chance}."
            )
        }
        (Language::En, None) => format!("It is heading for {forecast} against a target of {target}."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_band_is_told_by_where_the_value_stands() {
        let node = |value: f64, expected_share: Option<f64>| Figure {
            title: "Stock".to_owned(),
            unit: Some("days".to_owned()),
            value: Some(value),
            target: Some(25.0),
            band: Band::new(20.0, 30.0),
            completion: Some(0.6),
            pace: Some(0.6),
            forecast: Some(31.0),
            target_probability: Some(0.4),
            expected_share,
            ..Figure::default()
        };
        let told = |kind: &str, node: Figure, language| {
            let facts = Facts {
                node: Some(node),
                ..Facts::default()
            };
            (heading(kind, kind, &facts, language), of(kind, &facts, language))
        };
        let level = Some(1.0);
        for (value, en, zh) in [
            (
                34.0,
                "It stands at 34 days, above its target band of 20 to 30 days: a completion of 60%.",
                "目前为 34 days，高于目标区间 20 至 30 days，完成度 60%。",
            ),
            (
                16.0,
                "It stands at 16 days, below its target band of 20 to 30 days: a completion of 60%.",
                "目前为 16 days，低于目标区间 20 至 30 days，完成度 60%。",
            ),
            (
                22.0,
                "It stands at 22 days, within its target band of 20 to 30 days.",
                "目前为 22 days，在目标区间 20 至 30 days 之内。",
            ),
        ] {
            let (said, english) = told("behind_pace", node(value, level), Language::En);
            assert_eq!(
                (said.as_str(), english.as_str()),
                ("Stock is outside its target band", en)
            );
            let (said, chinese) = told("behind_pace", node(value, level), Language::Zh);
            assert_eq!((said.as_str(), chinese.as_str()), ("Stock偏离目标区间", zh));
        }
        // A total on its way.
        assert_eq!(
            told("behind_pace", node(6.0, None), Language::En).1,
            "It stands at 6 days of 20 to 30 days for the period: a pace of 60%."
        );
        assert_eq!(
            told("target_at_risk", node(34.0, level), Language::En).1,
            "It is heading for 31 days against a target of 20 to 30 days; the chance of meeting it is 40%."
        );
        assert_eq!(
            told("target_at_risk", node(34.0, level), Language::Zh).1,
            "预计期末为 31 days，目标 20 至 30 days，达成概率 40%。"
        );
    }

    #[test]
    fn parts_that_do_not_agree_are_told_as_amounts_also_where_one_side_is_none() {
        let told = |of_target, whole, parts, language| {
            let node = Figure {
                title: "Revenue".to_owned(),
                unit: Some("CNY".to_owned()),
                unreconciled: Some(Mismatch {
                    of_target,
                    whole,
                    parts,
                }),
                ..Figure::default()
            };
            let facts = Facts {
                node: Some(node),
                ..Facts::default()
            };
            of("unreconciled", &facts, language)
        };
        let cases = [
            (
                (false, Some(1000.0), Some(800.0)),
                "各分项合起来为 ¥800，而它本身为 ¥1,000，相差 ¥200（20%）。",
                "Its parts come to ¥800, and it stands at ¥1,000: ¥200 apart (20%).",
            ),
            (
                (true, Some(3000.0), Some(3500.0)),
                "各分项的目标合起来为 ¥3,500，而它的目标为 ¥3,000，相差 ¥500（17%）。",
                "The targets of its parts come to ¥3,500, and its own is ¥3,000: ¥500 apart (17%).",
            ),
            (
                (false, Some(0.0), Some(800.0)),
                "各分项合起来为 ¥800，而它本身为 ¥0，相差 ¥800。",
                "Its parts come to ¥800, and it stands at ¥0: ¥800 apart.",
            ),
            (
                (false, Some(50.0), None),
                "各分项合起来算不出数（除以 0，或缺少数值），而它本身为 ¥50。",
                "Its parts come to nothing that can be computed (a division by zero, or no value), and it stands at ¥50.",
            ),
            (
                (true, Some(50.0), None),
                "各分项的目标合起来算不出数（除以 0，或缺少数值），而它的目标为 ¥50。",
                "The targets of its parts come to nothing that can be computed (a division by zero, or no value), and its own is ¥50.",
            ),
            (
                (false, None, Some(5.0)),
                "各分项合起来为 ¥5，而它本身没有数值。",
                "Its parts come to ¥5, and it has no value itself.",
            ),
        ];
        for ((of_target, whole, parts), zh, en) in cases {
            assert_eq!(told(of_target, whole, parts, Language::Zh), zh);
            assert_eq!(told(of_target, whole, parts, Language::En), en);
        }
    }

    #[test]
    fn a_limit_is_named_with_the_place_where_it_can_be_raised() {
        use Bound::{Cells, Days, Ids, Items, Keys, Marks, Range, Values};
        let heading = |bounds: &[Bound]| {
            let facts = beyond(bounds);
            [Language::Zh, Language::En]
                .map(|language| heading("limit_reached", "limit_reached", &facts, language))
        };
        for catalogue in [&[Cells][..], &[Keys], &[Items], &[Ids], &[Keys, Marks]] {
            assert_eq!(
                heading(catalogue),
                [
                    "数据源 orders：已达目录中的上限",
                    "Source orders has reached a limit of the catalogue"
                ]
            );
        }
        for settings in [&[Values][..], &[Days], &[Values, Days, Marks]] {
            assert_eq!(
                heading(settings),
                [
                    "数据源 orders：已达设置中的上限",
                    "Source orders has reached a limit of the settings"
                ]
            );
        }
        assert_eq!(
            heading(&[Days, Cells, Marks]),
            [
                "数据源 orders：已达目录和设置中的上限",
                "Source orders has reached limits of the catalogue and of the settings"
            ]
        );
        assert_eq!(
            heading(&[Marks]),
            [
                "数据源 orders：已达固定的上限",
                "Source orders has reached a fixed limit"
            ]
        );
        assert_eq!(heading(&[Range]), heading(&[Marks]));
        assert_eq!(
            heading(&[]),
            ["数据源 orders：已达上限", "Source orders has reached a limit"]
        );

        let all = beyond(&[Values, Days, Cells, Keys, Items, Ids, Marks]);
        assert_eq!(
            of("limit_reached", &all, Language::En),
            "In the last 24 hours 12,345 events or keys were beyond a limit: max_cells in the catalogue (further values count as \"other\"); max_keys in the catalogue (the keys that were last seen longest ago were forgotten); max_items in the catalogue (the oldest items were forgotten); dedup_max_keys in the catalogue (the oldest ids were forgotten); 32 starts and ends of one item, which is fixed (the oldest were forgotten); evaluate.max_value_bytes in the settings (longer values count as \"other\", and of longer names of items the beginning is kept); evaluate.keep in the settings (events of earlier days were not counted)."
        );
        assert_eq!(
            of("limit_reached", &all, Language::Zh),
            "最近 24 小时有 1.235万 个事件或键超出上限：目录中的 max_cells（更多的取值计入“other”）；目录中的 max_keys（忘记了最久未出现的键）；目录中的 max_items（忘记了最旧的事项）；目录中的 dedup_max_keys（忘记了最旧的 id）；每个事项 32 个开始和结束，固定不变（忘记了最旧的）；设置中的 evaluate.max_value_bytes（更长的取值计入“other”，更长的事项名只保留开头）；设置中的 evaluate.keep（更早的事件没有计入）。"
        );
        assert_eq!(
            of("limit_reached", &beyond(&[Range]), Language::En),
            "In the last 24 hours 12,345 events or keys were beyond a limit: the range of exact numbers, ±1.7·10³², which is fixed (amounts that would have taken a sum out of it are in no sum)."
        );
        assert_eq!(
            of("limit_reached", &beyond(&[Range]), Language::Zh),
            "最近 24 小时有 1.235万 个事件或键超出上限：精确数字的范围 ±1.7·10³²，固定不变（会超出范围的金额没有计入合计）。"
        );
        assert_eq!(
            of("limit_reached", &beyond(&[]), Language::En),
            "In the last 24 hours 12,345 events or keys were beyond a limit."
        );
    }

    fn beyond(bounds: &[Bound]) -> Facts {
        Facts {
            source: Some(SourceFacts {
                name: "orders".to_owned(),
                let_go: 12_345,
                bounds: bounds.iter().copied().collect(),
                ..SourceFacts::default()
            }),
            ..Facts::default()
        }
    }

    #[test]
    fn a_surge_is_told_against_the_busiest_hour() {
        let facts = Facts {
            source: Some(SourceFacts {
                name: "orders".to_owned(),
                rush: Some(RushFacts {
                    events: 120_400,
                    busiest: 24_000,
                }),
                ..SourceFacts::default()
            }),
            ..Facts::default()
        };
        assert_eq!(
            heading("surge", "surge", &facts, Language::En),
            "A surge of events from source orders"
        );
        assert_eq!(
            of("surge", &facts, Language::En),
            "120,400 events came in the last hour, 5 times those of the busiest hour of the four weeks before (24,000). A load that was repeated, a producer in a loop, or business?"
        );
        assert_eq!(
            of("surge", &facts, Language::Zh),
            "最近一小时有 12.04万 个事件，是此前四周最忙一小时（2.4万 个）的 5 倍。是重复导入、循环发送，还是真的生意？"
        );
    }

    #[test]
    fn a_source_says_how_much_and_why() {
        let facts = Facts {
            source: Some(SourceFacts {
                name: "orders".to_owned(),
                read: 12_000,
                rejected: 3_000,
                allowed: 0.01,
                reason: Some("no_time".to_owned()),
                ..SourceFacts::default()
            }),
            ..Facts::default()
        };
        assert_eq!(
            heading("rejected", "feed_gap", &facts, Language::En),
            "Many events of source orders cannot be used"
        );
        assert_eq!(
            of("feed_gap", &facts, Language::En),
            "Of 12,000 events in the last 24 hours 3,000 were rejected (25%; 1% are allowed), most often for no_time. Numbers made of it are incomplete."
        );
        assert_eq!(
            of("feed_gap", &facts, Language::Zh),
            "最近 24 小时读到的 1.2万 个事件中有 3,000 个（25%）被拒绝，允许 1%；最常见的原因：no_time。由它计算的数字不完整。"
        );
    }
}

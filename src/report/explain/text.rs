//! An explanation in words, for a terminal: what it is, what it comes to, what judges it, what it is made of.

use std::fmt::Write;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use unicode_width::UnicodeWidthStr;

use super::health;
use super::{
    Explanation, LevelText, LinkSide, LinkText, ParentText, RuleText, StateText, TargetFrom, Unlinked, Untold,
};
use crate::catalog::attribute::DriftKind;
use crate::catalog::{Band, Level, Relation, Role};
use crate::evaluate::{Estimate, Ranges};
use crate::fold::distinct::{DISTINCT_EXACT, STANDARD_ERROR};
use crate::fold::quantiles::RELATIVE_ERROR;
use crate::words::drift::how_sure;
use crate::words::{Language, causes, definition, percent, sentence, weights as words};

/// Share of a distance from which on a remainder is told; below it is one of rounding.
const REMAINDER: f64 = 0.01;
/// Days that are written out; the others are in the JSON form.
const DAYS_SHOWN: usize = 14;

/// The whole explanation. Times are of `zone`, the calendar's.
pub fn text(found: &Explanation, language: Language, zone: &TimeZone) -> String {
    let mut out = String::new();
    head(&mut out, found, language, zone);
    let mut table = Table::default();
    value(&mut table, found, language);
    target(&mut table, found, language);
    plan(&mut table, found, language);
    outlook(&mut table, found, language);
    if let Some(parent) = &found.parent {
        table.row(language.pick("服务于", "Serves"), served(parent, language));
    }
    let of_link = match (&found.link, found.unlinked) {
        (Some(link), _) => Some(linked(link, language)),
        (None, why) => why.map(|why| unlinked(why, language).to_owned()),
    };
    if let Some(text) = of_link {
        table.row(language.pick("联动", "Link"), text);
    }
    table.print(&mut out);
    days(&mut out, found, language);
    health::text(&mut out, &found.health, language, zone);
    accounts(&mut out, found, language);
    accounts_left_out(&mut out, found, language);
    drills(&mut out, found, language);
    rules(&mut out, found, language, zone);
    out
}

/// Terms with what belongs to them, aligned also where Chinese stands among them.
#[derive(Default)]
pub(super) struct Table {
    rows: Vec<(String, String)>,
}

impl Table {
    pub(super) fn row(&mut self, term: &str, text: impl Into<String>) {
        self.rows.push((term.to_owned(), text.into()));
    }

    pub(super) fn print(&self, out: &mut String) {
        let width = self.rows.iter().map(|(term, _)| term.width()).max().unwrap_or(0);
        for (term, text) in &self.rows {
            let gap = " ".repeat(width - term.width());
            line(out, &format!("{term}{gap}  {text}"));
        }
    }
}

pub(super) fn line(out: &mut String, text: &str) {
    // Writing to a String does not fail.
    let _ = writeln!(out, "{}", text.trim_end());
}

fn head(out: &mut String, found: &Explanation, language: Language, zone: &TimeZone) {
    let role = match found.role {
        Role::Business => language.pick("业务指标", "business metric"),
        Role::Kpi => "KPI",
    };
    let level = match found.level {
        Level::Strategy => language.pick("战略层", "strategy"),
        Level::Tactic => language.pick("战术层", "tactic"),
        Level::Execution => language.pick("执行层", "execution"),
        Level::Individual => language.pick("个人层", "individual"),
    };
    let instance: Vec<&str> = found.dimensions.values().map(String::as_str).collect();
    let title = match instance.as_slice() {
        [] => found.title.clone(),
        values => format!("{} · {}", found.title, values.join(" / ")),
    };
    let mut about = vec![role.to_owned(), level.to_owned()];
    about.push(match &found.owner {
        Some(owner) => format!("{} {owner}", language.pick("负责人", "owner")),
        None => language.pick("无负责人", "no owner").to_owned(),
    });
    about.extend(
        found
            .weight
            .map(|weight| format!("{} {}", language.pick("权重", "weight"), language.number(weight))),
    );
    line(out, &format!("{title} ({})", found.node));
    line(out, &about.join(language.pick("，", ", ")));
    line(
        out,
        &format!(
            "{} · {}{} · {}",
            found.period.named(language),
            language.pick("数据截至 ", "data up to "),
            language.moment(found.at, zone),
            found.declared_at
        ),
    );
    if let Some(since) = found.counted_since {
        line(
            out,
            &definition::counted_since(language, since, zone, found.judged),
        );
    }
    if let Some(since) = found.reckoned_since {
        line(out, &definition::reckoned_since(language, since, zone));
    }
    if let Some(weights) = &found.weights {
        for setting in &weights.history {
            let weight = setting.weights.get(&found.node).copied();
            let label = language.pick("权重", "Weight");
            line(
                out,
                &format!("{label} · {}", words::setting(setting, weight, language)),
            );
        }
        if let Some(proposed) = &weights.proposed {
            let label = language.pick("权重建议", "Weight proposed");
            let reason = words::reason(proposed, &found.title, &weights.parent, language);
            line(out, &format!("{label} · {reason}"));
        }
    }
    out.push('\n');
}

fn value(table: &mut Table, found: &Explanation, language: Language) {
    let amount = found.value.map_or_else(
        || language.pick("没有数值", "no value").to_owned(),
        |value| language.quantity(value, found.unit.as_deref()),
    );
    let with = found
        .days
        .iter()
        .filter(|day| day.value.is_some_and(|value| value != 0.0));
    let best = found
        .days
        .iter()
        .filter_map(|day| Some((day.day, day.value?)))
        .max_by(|a, b| a.1.total_cmp(&b.1))
        .filter(|(_, value)| *value != 0.0);
    let mut text = amount;
    match language {
        Language::Zh => {
            let _ = write!(text, "，{} 天中有 {} 天有数", found.days.len(), with.count());
            if let Some((day, value)) = best {
                let _ = write!(
                    text,
                    "，单日最高 {}（{}）",
                    language.quantity(value, found.unit.as_deref()),
                    language.date(day)
                );
            }
        }
        Language::En => {
            let _ = write!(text, " from {} of {} days", with.count(), found.days.len());
            if let Some((day, value)) = best {
                let _ = write!(
                    text,
                    ", at most {} a day ({})",
                    language.quantity(value, found.unit.as_deref()),
                    language.date(day)
                );
            }
        }
    }
    table.row(language.pick("实际", "Value"), text);
    for estimate in &found.estimates {
        table.row("", estimated(*estimate, language));
    }
    table.row("", format!("{}   {}", found.metric, found.metric_declared_at));
}

/// By how much a value may be off, and why.
fn estimated(estimate: Estimate, language: Language) -> String {
    let (most, error) = match estimate {
        Estimate::Distinct => (language.number(DISTINCT_EXACT as f64), percent(STANDARD_ERROR)),
        Estimate::Percentile => (String::new(), percent(RELATIVE_ERROR)),
    };
    match (estimate, language) {
        (Estimate::Distinct, Language::Zh) => {
            format!("估计值：不同的键多于 {most} 个，改用 HyperLogLog 计数，标准误差 {error}")
        }
        (Estimate::Distinct, Language::En) => {
            format!(
                "an estimate: more than {most} different keys, counted by HyperLogLog, standard error {error}"
            )
        }
        (Estimate::Percentile, Language::Zh) => format!("分位数取自 DDSketch，误差不超过 {error}"),
        (Estimate::Percentile, Language::En) => {
            format!("a percentile, read from a DDSketch, at most {error} off")
        }
    }
}

fn target(table: &mut Table, found: &Explanation, language: Language) {
    let term = language.pick("目标", "Target");
    let Some(target) = found.target else {
        table.row(
            term,
            language.pick(
                "本期没有目标，因此没有完成度和进度",
                "none for this period, so there is no completion and no pace",
            ),
        );
        return;
    };
    let unit = found.unit.as_deref();
    let mut text = language.goal(target, found.band, unit);
    let from = match (&found.target_from, language) {
        (TargetFrom::None, _) => String::new(),
        (TargetFrom::Fixed, Language::Zh) => "每期相同".to_owned(),
        (TargetFrom::Fixed, Language::En) => "the same every period".to_owned(),
        (TargetFrom::Growth { growth, base, year }, _) => {
            let base = language.quantity(*base, unit);
            let year = year.map_or_else(String::new, |year| format!(" ({year})"));
            format!("{base}{year} × {}", percent(1.0 + growth))
        }
        (TargetFrom::File { announced: None }, Language::Zh) => "来自目标文件".to_owned(),
        (TargetFrom::File { announced: None }, Language::En) => "from the target file".to_owned(),
        (TargetFrom::File { announced: Some(day) }, Language::Zh) => format!("来自目标文件，{day} 公布"),
        (TargetFrom::File { announced: Some(day) }, Language::En) => {
            format!("from the target file, announced on {day}")
        }
    };
    if !from.is_empty() {
        let _ = write!(text, " = {from}");
    }
    if found.lower_is_better {
        text.push_str(language.pick("，越低越好", ", lower is better"));
    }
    table.row(term, text);
    if let (Some(completion), Some(value)) = (found.completion, found.value) {
        let number = |value: f64| language.number(value);
        if let Some(band) = found.band {
            let term = language.pick("完成", "Completion");
            table.row(term, by_band(completion, value, band, language));
            return;
        }
        let formula = match (found.lower_is_better, found.baseline) {
            (false, None) => format!("{} / {}", number(value), number(target)),
            (false, Some(base)) => format!(
                "({} − {}) / ({} − {})",
                number(value),
                number(base),
                number(target),
                number(base)
            ),
            (true, None) => format!("{} / {}", number(target), number(value)),
            (true, Some(base)) => format!(
                "({} − {}) / ({} − {})",
                number(base),
                number(value),
                number(base),
                number(target)
            ),
        };
        table.row(
            language.pick("完成", "Completion"),
            format!("{} = {formula}", percent(completion)),
        );
    }
}

/// The completion of a band: how far the value is outside of it, by its width.
fn by_band(completion: f64, value: f64, band: Band, language: Language) -> String {
    let done = percent(completion);
    let distance = value - band.nearest(value);
    if distance == 0.0 {
        return format!("{done}{}", language.pick("：在区间内", ": within the band"));
    }
    let number = |value: f64| language.number(value);
    let formula = format!(
        "1 − {} / {}",
        number(distance.abs()),
        number(band.high - band.low)
    );
    match (distance > 0.0, language) {
        (true, Language::Zh) => format!("{done} = {formula}：高于区间 {}", number(distance)),
        (false, Language::Zh) => format!("{done} = {formula}：低于区间 {}", number(-distance)),
        (true, Language::En) => format!("{done} = {formula}: {} above the band", number(distance)),
        (false, Language::En) => format!("{done} = {formula}: {} below the band", number(-distance)),
    }
}

fn plan(table: &mut Table, found: &Explanation, language: Language) {
    if found.target.is_none() {
        return;
    }
    let term = language.pick("计划", "Plan");
    if found.accumulates {
        let planned = found.planned.map_or_else(String::new, |planned| {
            let by_now = found.band.map(|band| band.of_share(found.expected_share));
            format!(" = {}", language.goal(planned, by_now, found.unit.as_deref()))
        });
        let text = match language {
            Language::Zh => format!(
                "此时应完成 {}{planned}（按 {}，期间已过 {}）",
                percent(found.expected_share),
                found.profile,
                percent(found.elapsed)
            ),
            Language::En => format!(
                "expects {}{planned} by now (by {}; {} of the period has passed)",
                percent(found.expected_share),
                found.profile,
                percent(found.elapsed)
            ),
        };
        table.row(term, text);
    } else {
        table.row(
            term,
            language.pick(
                "这是水平值，任何时候都应达到目标",
                "a level: it should be at its target at any time",
            ),
        );
    }
    let term = language.pick("进度", "Pace");
    match (found.pace, found.completion, found.too_early_before) {
        (Some(pace), Some(completion), _)
            if found.accumulates && !found.lower_is_better && found.band.is_none() =>
        {
            table.row(
                term,
                format!(
                    "{pace:.2} = {} / {}",
                    percent(completion),
                    percent(found.expected_share)
                ),
            )
        }
        (Some(pace), ..) => table.row(term, format!("{pace:.2}")),
        _ if found.too_few_below.is_some() => {
            table.row(term, too_few(found.too_few_below.unwrap_or_default(), language))
        }
        (None, _, Some(share)) => table.row(
            term,
            match language {
                Language::Zh => format!("为时尚早：计划完成 {} 之前不判断", percent(share)),
                Language::En => format!(
                    "too early: it is not judged before the plan expects {}",
                    percent(share)
                ),
            },
        ),
        _ => {}
    }
    if let Some(burn) = found.burn {
        let term = language.pick("所需速度", "Needed");
        let text = match (burn, language) {
            (0.0, Language::Zh) => "目标已达成".to_owned(),
            (0.0, Language::En) => "nothing more: the target is met".to_owned(),
            (burn, Language::Zh) => format!("要达成目标，需要近期速度的 {burn:.2} 倍"),
            (burn, Language::En) => format!("{burn:.2} times the speed of late, to meet the target"),
        };
        table.row(term, text);
    }
}

fn too_few(events: u64, language: Language) -> String {
    match language {
        Language::Zh => format!("为时尚早：本周期事件不足 {events} 个之前不判断"),
        Language::En => format!("too early: it is not judged before the period has {events} events"),
    }
}

fn outlook(table: &mut Table, found: &Explanation, language: Language) {
    let Some(forecast) = found.forecast else { return };
    let amount = language.quantity(forecast, found.unit.as_deref());
    let mut text = match (found.value.filter(|_| found.accumulates), language) {
        (Some(value), Language::Zh) => format!(
            "期末约 {amount} = 已有 {} + 余下各日约 {}",
            language.number(value),
            language.number(forecast - value)
        ),
        (Some(value), Language::En) => format!(
            "about {amount} at the end = {} so far + about {} to come",
            language.number(value),
            language.number(forecast - value)
        ),
        (None, Language::Zh) => format!("期末约 {amount}"),
        (None, Language::En) => format!("about {amount} at the end"),
    };
    if let Some(late) = found.forecast_late {
        let late = language.number(late);
        let _ = match language {
            Language::Zh => write!(text, "（其中约 {late} 属于数据尚未到齐的过去几天）"),
            Language::En => write!(text, " ({late} of it of past days whose data is late)"),
        };
    }
    if let Some((low, high)) = found.forecast_range {
        let (low, high) = (language.number(low), language.number(high));
        let _ = match language {
            Language::Zh => write!(text, "，八成把握在 {low} 到 {high} 之间"),
            Language::En => write!(text, ", four times in five between {low} and {high}"),
        };
    }
    if let Some(chance) = found.target_probability {
        let _ = match language {
            Language::Zh => write!(text, "，达成概率{}", sentence::likely(chance, language)),
            Language::En => write!(
                text,
                "; the chance of meeting the target is {}",
                sentence::likely(chance, language)
            ),
        };
    }
    table.row(language.pick("预测", "Forecast"), text);
}

fn served(parent: &ParentText, language: Language) -> String {
    let relation = match parent.relation {
        Relation::Sum => language.pick("相加", "adds up to it"),
        Relation::Product => language.pick("相乘", "multiplies to it"),
        Relation::Ratio => language.pick("构成比率", "is part of its ratio"),
        Relation::Influence => language.pick("驱动", "drives it"),
    };
    let comma = language.pick("，", ", ");
    let mut text = format!("{} ({}){comma}{relation}", parent.title, parent.node);
    if let Some(completion) = parent.completion {
        let _ = match language {
            Language::Zh => write!(
                text,
                "：完成 {}，计划此时 {}",
                percent(completion),
                percent(parent.expected_share)
            ),
            Language::En => write!(
                text,
                ": at {} where the plan expects {}",
                percent(completion),
                percent(parent.expected_share)
            ),
        };
    }
    if let Some(pace) = parent.pace {
        let _ = write!(text, "{}{pace:.2}", language.pick("，进度 ", ", pace "));
    }
    text
}

fn linked(link: &LinkText, language: Language) -> String {
    let text = link_in_words(link, language);
    match (link.as_of, language) {
        (None, _) => text,
        (Some(day), Language::Zh) => format!("{day} 收盘时：{text}"),
        (Some(day), Language::En) => format!("at the close of {day}: {text}"),
    }
}

/// Why nothing is known of a link.
fn unlinked(why: Unlinked, language: Language) -> &'static str {
    match why {
        Unlinked::NoData { side: LinkSide::Kpi } => language.pick(
            "还没有判断：这里还没有数据",
            "not judged yet: this has brought nothing yet",
        ),
        Unlinked::NoData {
            side: LinkSide::Parent,
        } => language.pick(
            "还没有判断：上级还没有数据",
            "not judged yet: the parent has brought nothing yet",
        ),
        Unlinked::NotClosed => language.pick(
            "还没有判断：两边都有数据以来还没有一天收盘",
            "not judged yet: no day has closed since both have data",
        ),
        Unlinked::Past => language.pick(
            "没有保存：当时它还没有收过一个月",
            "not kept: by then it had closed no month",
        ),
    }
}

fn link_in_words(link: &LinkText, language: Language) -> String {
    let signed = |gap: f64| format!("{}{}", if gap < 0.0 { "−" } else { "+" }, percent(gap.abs()));
    if let Some(side) = link.below_zero {
        return match (side, language) {
            (LinkSide::Kpi, Language::Zh) => "不判断：这里近来的数值合计为负，谈不上比例".to_owned(),
            (LinkSide::Parent, Language::Zh) => "不判断：上级近来的数值合计为负，谈不上比例".to_owned(),
            (LinkSide::Kpi, Language::En) => {
                "not judged: values here come to less than 0 of late, and there is no ratio of them"
                    .to_owned()
            }
            (LinkSide::Parent, Language::En) => {
                "not judged: values of the parent come to less than 0 of late, and there is no ratio of them"
                    .to_owned()
            }
        };
    }
    let Some(gap) = link.parent_gap else {
        return match language {
            Language::Zh => format!("已观察 {} 天，还在了解平时的样子，暂不下结论", link.judged_days),
            Language::En => format!(
                "judged for {} days, still learning what is usual",
                link.judged_days
            ),
        };
    };
    let mut text = match language {
        Language::Zh => format!("上级与它所能解释的相差 {}", signed(gap)),
        Language::En => format!("the parent is {} from what this explains", signed(gap)),
    };
    let range = |of: fn(&Ranges) -> [f64; 2], digits: usize| match (link.ranges.as_ref().map(of), language) {
        (None, _) => String::new(),
        (Some([low, high]), Language::Zh) => format!("（{low:.digits$} 至 {high:.digits$}）"),
        (Some([low, high]), Language::En) => format!(" ({low:.digits$} to {high:.digits$})"),
    };
    if let Some(strength) = link.strength {
        let range = range(|ranges| ranges.strength, 2);
        let _ = match language {
            Language::Zh => write!(text, "，强度 {strength:.2}{range}"),
            Language::En => write!(text, ", strength {strength:.2}{range}"),
        };
    }
    if let Some(lag) = link.lag_days {
        let range = range(|ranges| ranges.lag_days, 0);
        let _ = match language {
            Language::Zh => write!(text, "，约 {lag:.0} 天后反应{range}"),
            Language::En => write!(text, ", answering after about {lag:.0} days{range}"),
        };
    }
    if let Some(elasticity) = link.elasticity {
        let range = range(|ranges| ranges.elasticity, 2);
        let _ = match language {
            Language::Zh => write!(text, "，每变动 1% 上级变动 {elasticity:.2}%{range}"),
            Language::En => write!(text, ", {elasticity:.2}%{range} for each 1% of this"),
        };
    }
    if link.ranges.is_some() {
        let _ = match language {
            Language::Zh => write!(text, "，括号内为八成把握的范围"),
            Language::En => write!(text, ", in brackets where each lies with a probability of 80 %"),
        };
    }
    for found in &link.findings {
        let kind = found.kind;
        let since = found.since.map_or_else(|| "—".to_owned(), |day| day.to_string());
        let sure = how_sure(found.confidence, language);
        let _ = match language {
            Language::Zh => write!(text, "，{kind} 自 {since} 起{sure}"),
            Language::En => write!(text, ", {kind} since {since}{sure}"),
        };
    }
    let _ = match language {
        Language::Zh => write!(text, "，已观察 {} 天", link.judged_days),
        Language::En => write!(text, ", judged for {} days", link.judged_days),
    };
    text
}

fn days(out: &mut String, found: &Explanation, language: Language) {
    if found.days.is_empty() {
        return;
    }
    let shown = &found.days[found.days.len().saturating_sub(DAYS_SHOWN)..];
    let more = found.days.len() - shown.len();
    let mut heading = language.pick("每日", "Day by day").to_owned();
    if more > 0 {
        let _ = match language {
            Language::Zh => write!(
                heading,
                "（最近 {} 天；更早的 {more} 天用 --format json 查看）",
                shown.len()
            ),
            Language::En => write!(
                heading,
                " (the last {}; {more} more with --format json)",
                shown.len()
            ),
        };
    }
    out.push('\n');
    line(out, &heading);
    for day in shown {
        let value = day.value.map_or_else(
            || "—".to_owned(),
            |value| language.quantity(value, found.unit.as_deref()),
        );
        line(out, &format!("  {} {:>12}", day.day, value));
    }
}

/// An amount above or below plan.
fn signed(amount: f64, found: &Explanation, language: Language) -> String {
    // Of a difference of large numbers the last digits are none.
    let amount = if amount.abs() < 1e-9 * found.value.unwrap_or(0.0).abs() {
        0.0
    } else {
        amount
    };
    language.signed(amount, found.unit.as_deref())
}

/// Dimensions by which it could be split, and is not.
fn not_counted(out: &mut String, found: &Explanation, language: Language) {
    if found.not_counted_by.is_empty() {
        return;
    }
    let names = found.not_counted_by.join(language.pick("、", ", "));
    out.push('\n');
    let text = match language {
        Language::Zh => {
            format!("没有按 {names} 计数，因此说不出差距来自其中哪些值；在节点的 drill 中写上就会计数")
        }
        Language::En => format!(
            "Not counted by {names}, so it cannot be said which of their values it comes from; drill of the node has them counted"
        ),
    };
    line(out, &text);
}

fn drills(out: &mut String, found: &Explanation, language: Language) {
    not_counted(out, found, language);
    if found.drills.is_empty() {
        return;
    }
    out.push('\n');
    line(
        out,
        language.pick(
            "差距主要来自（最少的几项）",
            "Most of it comes from (the fewest values)",
        ),
    );
    let mut table = Table::default();
    for drill in &found.drills {
        let parts: Vec<String> = drill
            .parts
            .iter()
            .map(|part| {
                let amount = signed(part.amount, found, language);
                causes::part(&part.values.join(" / "), &amount, part.share, language)
            })
            .collect();
        let mut text = causes::with_others(&parts, drill.others, language);
        if drill.not_explained_share.abs() >= REMAINDER {
            let rest = signed(drill.not_explained, found, language);
            let _ = match language {
                Language::Zh => write!(text, "；另有 {rest} 不在任何一项中"),
                Language::En => write!(text, "; {rest} in none of them"),
            };
        }
        table.row(&format!("  {}", drill.dimensions.join(" × ")), text);
    }
    table.print(out);
}

fn accounts(out: &mut String, found: &Explanation, language: Language) {
    let signed = |amount: f64| signed(amount, found, language);
    for account in &found.accounts {
        out.push('\n');
        line(out, account_heading(account.relation, language));
        let mut table = Table::default();
        for part in &account.parts {
            table.row(
                &format!("  {}", part.title),
                match (part.amount, part.untold) {
                    (Some(amount), _) => signed(amount),
                    (None, why) => why.map_or("", |why| untold(why, language)).to_owned(),
                },
            );
        }
        table.row(
            &format!("  {}", language.pick("未能解释", "not explained")),
            signed(account.not_explained),
        );
        table.print(out);
    }
}

/// Accounts that cannot be made, and why.
fn accounts_left_out(out: &mut String, found: &Explanation, language: Language) {
    for left_out in &found.accounts_left_out {
        out.push('\n');
        line(out, account_heading(left_out.relation, language));
        let why = untold(left_out.untold, language);
        let text = match (&left_out.part, language) {
            (Some(part), Language::Zh) => format!("无法给出：{part}{why}"),
            (Some(part), Language::En) => format!("cannot be told: {part}: {why}"),
            (None, Language::Zh) => format!("无法给出：{why}"),
            (None, Language::En) => format!("cannot be told: {why}"),
        };
        line(out, &format!("  {text}"));
    }
}

fn account_heading(relation: Relation, language: Language) -> &'static str {
    match relation {
        Relation::Sum => language.pick("与计划的差距，按组成部分", "Distance from plan, by its parts"),
        Relation::Product | Relation::Ratio => language.pick(
            "与计划的差距，按因子（LMDI）",
            "Distance from plan, by its factors (LMDI)",
        ),
        Relation::Influence => language.pick(
            "与计划的差距，按驱动它的 KPI",
            "Distance from plan, by the KPIs that drive it",
        ),
    }
}

/// Why what a part contributes is not told.
fn untold(why: Untold, language: Language) -> &'static str {
    match why {
        Untold::Learning => language.pick(
            "联动还在了解，暂不能说",
            "not yet: its link is still being learned",
        ),
        Untold::Weak => language.pick(
            "联动太弱，说不出幅度",
            "its link is too weak to say by how much it is answered",
        ),
        Untold::Drifting => language.pick(
            "联动已经脱节，它的变动说明不了什么",
            "its link is in drift, so its moves explain nothing",
        ),
        Untold::Past => language.pick("当时的联动没有保存", "how its link stood then is not kept"),
        Untold::TooEarly => language.pick("为时尚早", "not yet: it is too early in the period"),
        Untold::TooShort => language.pick(
            "数据还不够长，覆盖不到上级的整个期间",
            "not yet: its days do not reach back over the period",
        ),
        Untold::NoValue => language.pick("没有数值", "it has no value"),
        Untold::NoTarget => language.pick("没有目标", "it has no target for these days"),
        Untold::NoPlan => language.pick("这些天的计划为 0", "its plan for these days is 0"),
        Untold::OtherPeriod => language.pick("的期间与上级不同", "its period is another one"),
        Untold::NotAboveZero => language.pick(
            "或其计划不大于 0，无法按因子拆分",
            "it or its plan is not above 0, which no factor can be",
        ),
        Untold::Incomplete => language.pick("组成部分不全", "not all parts are there"),
    }
}

fn rules(out: &mut String, found: &Explanation, language: Language, zone: &TimeZone) {
    if found.rules.is_empty() {
        return;
    }
    out.push('\n');
    line(out, language.pick("规则", "Rules"));
    // Kinds of drift without any evidence, in one line.
    let is_drift = |rule: &RuleText| DriftKind::ALL.iter().any(|kind| kind.as_str() == rule.rule);
    let is_quiet = |rule: &&RuleText| {
        let is_nothing = |(_, value): &(String, String)| value == "0" || value == super::MISSING;
        is_drift(rule) && rule.state == StateText::Inactive && rule.readings.iter().all(is_nothing)
    };
    let quiet: Vec<&str> = found
        .rules
        .iter()
        .filter(is_quiet)
        .map(|rule| rule.rule.as_str())
        .collect();
    if !quiet.is_empty() {
        let link = found.link.as_ref();
        let is_learning = link.is_some_and(|link| link.parent_gap.is_none());
        let is_below_zero = link.is_some_and(|link| link.below_zero.is_some());
        let nothing = match (is_below_zero, is_learning) {
            (true, _) => language.pick("没有迹象（联动不判断）", "no evidence (the link is not judged)"),
            (_, true) => language.pick(
                "没有迹象（联动还在了解，暂不判断）",
                "no evidence (the link is still being learned and is not judged yet)",
            ),
            (..) => language.pick("没有迹象", "no evidence"),
        };
        line(out, &format!("  {}: {nothing}", quiet.join(", ")));
    }
    for rule in found.rules.iter().filter(|rule| !is_quiet(rule)) {
        line(out, &format!("  {}: {}", rule.rule, stands(rule, language, zone)));
        for level in &rule.levels {
            line(out, &format!("    {}", fires(level, language)));
        }
        if let Some(clear) = &rule.clear {
            line(
                out,
                &format!("    {} {clear}", language.pick("解除条件", "clears when")),
            );
        }
        let readings: Vec<String> = rule
            .readings
            .iter()
            .map(|(name, value)| format!("{name} = {value}"))
            .collect();
        line(
            out,
            &format!("    {} {}", language.pick("此时", "now"), readings.join(", ")),
        );
    }
}

fn stands(rule: &RuleText, language: Language, zone: &TimeZone) -> String {
    let when = |since: Timestamp| language.moment(since, zone);
    match (rule.state, language) {
        (StateText::Inactive, _) => language.pick("没有告警", "no alert").to_owned(),
        (StateText::New { until }, Language::Zh) => format!("刚出现，{} 之前不告警", when(until)),
        (StateText::New { until }, Language::En) => format!("new: no alert before {}", when(until)),
        (StateText::Pending { since }, Language::Zh) => format!("自 {} 起超出，尚未持续够久", when(since)),
        (StateText::Pending { since }, Language::En) => {
            format!("breached since {}, not for long enough yet", when(since))
        }
        (StateText::Firing { since, severity }, Language::Zh) => {
            format!("自 {} 起告警（{}）", when(since), severity.as_str())
        }
        (StateText::Firing { since, severity }, Language::En) => {
            format!("firing since {} ({})", when(since), severity.as_str())
        }
    }
}

fn fires(level: &LevelText, language: Language) -> String {
    let hold = SignedDuration::from_secs_f64(level.for_seconds);
    let severity = level.severity.as_str();
    let held = if hold.is_zero() {
        String::new()
    } else {
        let from = Timestamp::UNIX_EPOCH;
        let lasting = language.lasting(from, from + hold);
        match language {
            Language::Zh => format!("，持续 {lasting}"),
            Language::En => format!(" for {lasting}"),
        }
    };
    format!(
        "{severity}{} {}{held}",
        language.pick("：当", " when"),
        level.when
    )
}

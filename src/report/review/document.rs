//! A review as a document in a language: headings, paragraphs, tables and lists, before it is Markdown or HTML.

use std::ops::Range;

use jiff::tz::TimeZone;

use super::links::in_words as link_words;
use super::{
    EpisodeResult, FeedResult, INSTANCES_SHOWN, Next, NodeResult, Review, Unjudged, Verdict, by_node,
    furthest,
};
use crate::alert::notice::{Causes, ResolveReason};
use crate::catalog::Role;
use crate::words::{Language, causes, length, percent, sentence, weights as words};

/// Episodes that are listed one by one.
const EPISODES_SHOWN: usize = 30;
/// Results whose gap is taken apart.
const GAPS_SHOWN: usize = 10;
/// Lines of what to look at next.
const NEXT_SHOWN: usize = 8;
/// Changed links that are listed.
const LINKS_SHOWN: usize = 20;

/// One piece of a document.
#[derive(Clone, PartialEq, Debug)]
pub(super) enum Block {
    Title(String),
    Heading(String),
    Paragraph(String),
    /// What must not be overlooked.
    Callout(String),
    List(Vec<String>),
    Table(Table),
}

/// A table; numbers stand to the right.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Table {
    pub(super) columns: Vec<Column>,
    pub(super) rows: Vec<Vec<Cell>>,
}

#[derive(Clone, PartialEq, Debug)]
pub(super) struct Column {
    pub(super) name: String,
    pub(super) is_number: bool,
}

/// A cell with the tone that it is printed in.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Cell {
    pub(super) text: String,
    pub(super) tone: Tone,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Tone {
    Plain,
    Good,
    Bad,
    Quiet,
}

impl Cell {
    fn plain(text: impl Into<String>) -> Cell {
        Cell {
            text: text.into(),
            tone: Tone::Plain,
        }
    }
}

fn columns(names: &[(&str, bool)]) -> Vec<Column> {
    names
        .iter()
        .map(|(name, is_number)| Column {
            name: (*name).to_owned(),
            is_number: *is_number,
        })
        .collect()
}

/// The whole document.
pub(super) fn document(review: &Review, language: Language, zone: &TimeZone) -> Vec<Block> {
    let period = review.period.named(language);
    let mut blocks = vec![Block::Title(match language {
        Language::Zh => format!("{period} 复盘"),
        Language::En => format!("Review of {period}"),
    })];
    blocks.push(Block::Paragraph(opening(review, language, zone)));
    apart(&mut blocks, review, language);
    owners(&mut blocks, review, language);
    business_owners(&mut blocks, review, language);
    results(&mut blocks, review, language);
    gaps(&mut blocks, review, language);
    episodes(&mut blocks, review, language, zone);
    forecasts(&mut blocks, review, language);
    links(&mut blocks, review, language);
    weights(&mut blocks, review, language);
    quality(&mut blocks, review, language);
    next(&mut blocks, review, language, zone);
    blocks
}

/// How links have changed.
fn links(blocks: &mut Vec<Block>, review: &Review, language: Language) {
    if review.links.is_empty() {
        return;
    }
    blocks.push(Block::Heading(
        language.pick("联动变化", "Links that changed").to_owned(),
    ));
    let shown = review.links.iter().take(LINKS_SHOWN);
    let lines = shown.map(|change| link_words(change, language)).collect();
    blocks.push(list(lines, review.links.len(), "条", language));
}

/// A list of which only the first lines are written out; `measure` is the Chinese measure word of its `total` lines.
fn list(mut lines: Vec<String>, total: usize, measure: &str, language: Language) -> Block {
    let more = total.saturating_sub(lines.len());
    if more > 0 {
        lines.push(match language {
            Language::Zh => format!("另有 {more} {measure}。"),
            Language::En => format!("And {more} more."),
        });
    }
    Block::List(lines)
}

/// What the closes of the period proposed of weights, with the reason of each change.
fn weights(blocks: &mut Vec<Block>, review: &Review, language: Language) {
    if review.weights.is_empty() {
        return;
    }
    blocks.push(Block::Heading(
        language.pick("权重建议", "Weight proposals").to_owned(),
    ));
    for proposed in &review.weights {
        let proposal = &proposed.proposal;
        let standing = words::standing(&proposal.standing, language);
        blocks.push(Block::Paragraph(match language {
            Language::Zh => format!("{}（{} 结束时）：{standing}。", proposed.title, proposal.closed),
            Language::En => format!(
                "{}, at the close of {}: {standing}.",
                proposed.title, proposal.closed
            ),
        }));
        let lines = proposal.lines.iter().zip(&proposed.titles);
        blocks.push(Block::List(
            lines
                .map(|(line, kpi)| words::reason(line, kpi, &proposed.title, language))
                .collect(),
        ));
    }
}

fn opening(review: &Review, language: Language, zone: &TimeZone) -> String {
    let count = |role: Role| {
        let judged = || {
            review
                .results
                .iter()
                .filter(move |result| result.role == role && result.closed > 0)
        };
        (
            judged().filter(|result| result.verdict == Verdict::Met).count(),
            judged().count(),
        )
    };
    let ((business_met, business), (kpi_met, kpis)) = (count(Role::Business), count(Role::Kpi));
    let fired = review.episodes.len();
    let up_to = language.moment(review.up_to, zone);
    let running = match (review.is_over, language) {
        (true, _) => String::new(),
        (false, Language::Zh) => format!("期间尚未结束，以下截至 {up_to}。"),
        (false, Language::En) => format!("The period is not over; this is how it stood at {up_to}. "),
    };
    let told = match language {
        Language::Zh => format!("告警 {fired} 次。"),
        Language::En if fired == 1 => "1 alert fired.".to_owned(),
        Language::En => format!("{fired} alerts fired."),
    };
    match language {
        // Of a period that runs nothing may have closed yet.
        _ if business + kpis == 0 => format!("{running}{told}"),
        Language::Zh => format!(
            "{running}业务指标 {business} 个中达成 {business_met} 个，KPI {kpis} 个中达成 {kpi_met} 个；{told}"
        ),
        Language::En => format!(
            "{running}{business_met} of {business} business targets and {kpi_met} of {kpis} KPI targets were met; {told}"
        ),
    }
}

fn apart(blocks: &mut Vec<Block>, review: &Review, language: Language) {
    if review.apart.is_empty() {
        return;
    }
    blocks.push(Block::Heading(
        language
            .pick("KPI 完成了，业务没有（两张皮）", "KPI done, business not")
            .to_owned(),
    ));
    for (kpi, parent) in &review.apart {
        let (kpi, parent) = (&review.results[*kpi], &review.results[*parent]);
        let done = |result: &NodeResult| result.completion.map_or_else(|| "—".to_owned(), percent);
        let slack = match (parent.verdict, parent.pace, language) {
            (Verdict::Running, Some(pace), Language::Zh) => format!("进度只有计划的 {}", percent(pace)),
            (Verdict::Running, Some(pace), Language::En) => format!("runs at {} of its plan", percent(pace)),
            (_, _, Language::Zh) => format!("只完成 {}", done(parent)),
            (_, _, Language::En) => format!("ended at {}", done(parent)),
        };
        blocks.push(Block::Callout(match language {
            Language::Zh => format!(
                "{}完成 {}，而它所服务的{}{slack}。",
                kpi.name(),
                done(kpi),
                parent.name()
            ),
            Language::En => format!(
                "{} came to {} of its target; {}, which it serves, {slack}.",
                kpi.name(),
                done(kpi),
                parent.name()
            ),
        }));
    }
}

/// What the business targets came to, by who answers for them.
fn business_owners(blocks: &mut Vec<Block>, review: &Review, language: Language) {
    if review.business_owners.is_empty() {
        return;
    }
    let heading = language.pick("业务目标按负责人", "Business targets by owner");
    blocks.push(Block::Heading(heading.to_owned()));
    let rows = review.business_owners.iter().map(|owner| {
        vec![
            Cell::plain(&owner.owner),
            Cell::plain(owner.completion.map_or_else(|| "—".to_owned(), percent)),
            Cell::plain(format!("{} / {}", owner.met, owner.closed)),
        ]
    });
    blocks.push(Block::Table(Table {
        columns: columns(&[
            (language.pick("负责人", "Owner"), false),
            (language.pick("平均完成", "Mean completion"), true),
            (language.pick("达成 / 目标", "Met / targets"), true),
        ]),
        rows: rows.collect(),
    }));
}

fn owners(blocks: &mut Vec<Block>, review: &Review, language: Language) {
    if review.owners.iter().all(|owner| owner.kpi.is_none()) {
        return;
    }
    blocks.push(Block::Heading(language.pick("按负责人", "By owner").to_owned()));
    let share = |value: Option<f64>| Cell::plain(value.map_or_else(|| "—".to_owned(), percent));
    let rows = review
        .owners
        .iter()
        .map(|owner| {
            // Process done and result not: the two scores side by side say it.
            let is_apart = owner
                .kpi
                .zip(owner.business)
                .is_some_and(|(kpi, business)| kpi >= 1.0 && business < 0.9);
            let mut business = share(owner.business);
            if is_apart {
                business.tone = Tone::Bad;
            }
            vec![
                Cell::plain(&owner.owner),
                share(owner.combined),
                share(owner.kpi),
                business,
                Cell::plain(format!("{} / {}", owner.met, owner.closed)),
            ]
        })
        .collect();
    blocks.push(Block::Table(Table {
        columns: columns(&[
            (language.pick("负责人", "Owner"), false),
            (language.pick("得分", "Score"), true),
            (language.pick("KPI 得分", "KPIs"), true),
            (language.pick("所服务的业务", "Business served"), true),
            (language.pick("达成 / 考核", "Met / assessed"), true),
        ]),
        rows,
    }));
}

fn results(blocks: &mut Vec<Block>, review: &Review, language: Language) {
    blocks.push(Block::Heading(
        language.pick("目标与结果", "Targets and results").to_owned(),
    ));
    let nodes = by_node(&review.results).into_iter();
    let rows = nodes
        .flat_map(|node| rows_of(&review.results, node, language))
        .collect();
    blocks.push(Block::Table(Table {
        columns: columns(&[
            (language.pick("指标", "Metric"), false),
            (language.pick("负责人", "Owner"), false),
            (language.pick("期间", "Period"), false),
            (language.pick("实际", "Actual"), true),
            (language.pick("目标", "Target"), true),
            (language.pick("完成", "Completion"), true),
            (language.pick("结论", "Verdict"), false),
        ]),
        rows,
    }));
}

/// Rows of one node: all of its few instances, or the furthest from their targets of its many.
fn rows_of(results: &[NodeResult], node: Range<usize>, language: Language) -> Vec<Vec<Cell>> {
    let title = &results[node.start].title;
    let order = furthest(results, node);
    let (shown, rest) = order.split_at(order.len().min(INSTANCES_SHOWN));
    let mut rows: Vec<Vec<Cell>> = shown.iter().map(|at| row(&results[*at], language)).collect();
    if rest.is_empty() {
        return rows;
    }
    let met = rest
        .iter()
        .filter(|at| results[**at].verdict == Verdict::Met)
        .count();
    let text = match language {
        Language::Zh => format!("{title} 另有 {} 项，其中 {met} 项达成", rest.len()),
        Language::En => format!("{title}: {} more, {met} of them met", rest.len()),
    };
    let mut more = vec![Cell {
        text,
        tone: Tone::Quiet,
    }];
    more.resize(7, Cell::plain(""));
    rows.push(more);
    rows
}

/// Where most of what was missed comes from.
fn gaps(blocks: &mut Vec<Block>, review: &Review, language: Language) {
    let explained = review
        .results
        .iter()
        .filter_map(|result| Some((result, result.causes.as_ref()?)));
    let explained: Vec<(&NodeResult, &Causes)> = explained.collect();
    if explained.is_empty() {
        return;
    }
    blocks.push(Block::Heading(
        language
            .pick("差距主要来自", "Where most of a gap comes from")
            .to_owned(),
    ));
    let shown = explained.iter().take(GAPS_SHOWN);
    let lines = shown
        .map(|(result, causes)| gap(result, causes, language))
        .collect();
    blocks.push(list(lines, explained.len(), "项", language));
}

fn gap(result: &NodeResult, causes: &Causes, language: Language) -> String {
    let name = result.name();
    let parts = causes::comes_from(causes, language);
    // Of a running period the distance is that from its plan by now, which the parts add up to.
    let missing = result
        .value
        .zip(result.target)
        .filter(|_| result.verdict == Verdict::Missed)
        .map(|(value, target)| {
            let nearest = result.band.map_or(target, |band| band.nearest(value));
            language.signed(value - nearest, result.unit.as_deref())
        });
    match (missing, language) {
        (Some(missing), Language::Zh) => format!("{name}，距目标 {missing}：{parts}。"),
        (Some(missing), Language::En) => format!("{name}, {missing} against its target: {parts}."),
        (None, Language::Zh) => format!("{name}，落后于计划：{parts}。"),
        (None, Language::En) => format!("{name}, behind its plan: {parts}."),
    }
}

fn row(result: &NodeResult, language: Language) -> Vec<Cell> {
    let unit = result.unit.as_deref();
    let quantity = |value: Option<f64>| {
        Cell::plain(value.map_or_else(|| "—".to_owned(), |value| language.quantity(value, unit)))
    };
    let name = match result.role {
        Role::Business => Cell::plain(result.name()),
        Role::Kpi => Cell::plain(format!("{}{}", result.name(), language.pick("（KPI）", " (KPI)"))),
    };
    vec![
        name,
        Cell::plain(result.owner.clone().unwrap_or_default()),
        Cell::plain(&result.period.id),
        quantity(result.value),
        Cell::plain(result.target.map_or_else(
            || "—".to_owned(),
            |target| language.goal(target, result.band, unit),
        )),
        Cell::plain(result.completion.map_or_else(|| "—".to_owned(), percent)),
        verdict(result, language),
    ]
}

fn verdict(result: &NodeResult, language: Language) -> Cell {
    let (text, tone) = match result.verdict {
        Verdict::Met => (language.pick("达成", "met").to_owned(), Tone::Good),
        Verdict::Missed => (language.pick("未达成", "missed").to_owned(), Tone::Bad),
        Verdict::Running => {
            let pace = result.pace.map_or_else(String::new, |pace| format!("{pace:.2}"));
            let text = match language {
                Language::Zh if pace.is_empty() => "进行中".to_owned(),
                Language::Zh => format!("进行中，进度 {pace}"),
                Language::En if pace.is_empty() => "running".to_owned(),
                Language::En => format!("running, pace {pace}"),
            };
            (text, Tone::Quiet)
        }
        Verdict::NotJudged => {
            let why = result.unjudged.map_or("", |why| unjudged(why, language));
            (why.to_owned(), Tone::Quiet)
        }
    };
    // Of several periods the last one stands in the row; how many of them were met belongs to it.
    let text = match (result.closed, language) {
        (0 | 1, _) => text,
        (closed, Language::Zh) => format!("{text}（{closed} 期中达成 {} 期）", result.met),
        (closed, Language::En) => format!("{text} ({} of {closed} met)", result.met),
    };
    Cell { text, tone }
}

fn unjudged(why: Unjudged, language: Language) -> &'static str {
    match why {
        Unjudged::NoTarget => language.pick("无目标", "no target"),
        Unjudged::NoValue => language.pick("无数值", "no value"),
        Unjudged::NewDefinition => {
            language.pick("期间内改了口径，不判断", "not judged: counted anew within it")
        }
        Unjudged::NoWay => language.pick("目标等于基线或为 0，无法比较", "the target is its baseline or 0"),
    }
}

fn episodes(blocks: &mut Vec<Block>, review: &Review, language: Language, zone: &TimeZone) {
    blocks.push(Block::Heading(
        language.pick("告警与原因", "Alerts and their causes").to_owned(),
    ));
    if review.episodes.is_empty() {
        blocks.push(Block::Paragraph(language.pick("没有告警。", "None.").to_owned()));
        return;
    }
    let lines = review
        .episodes
        .iter()
        .take(EPISODES_SHOWN)
        .map(|found| episode(found, language, zone))
        .collect();
    blocks.push(list(lines, review.episodes.len(), "次", language));
}

fn episode(found: &EpisodeResult, language: Language, zone: &TimeZone) -> String {
    let episode = &found.episode;
    let heading = sentence::heading(&episode.rule, &episode.kind, &episode.facts, language);
    let from = language.moment(episode.fired_at, zone);
    let when = match episode.ended_at {
        Some(ended_at) => {
            let lasting = language.lasting(episode.fired_at, ended_at);
            let reason = episode.end_reason.map_or("", |reason| ended(reason, language));
            match language {
                Language::Zh => format!("{from} 起，持续 {lasting}{reason}"),
                Language::En => format!("from {from} for {lasting}{reason}"),
            }
        }
        None => match language {
            Language::Zh => format!("{from} 起，仍在告警"),
            Language::En => format!("since {from}, still firing"),
        },
    };
    let mut text = format!("{heading} — {when}");
    let owner = episode.facts.node.as_ref().and_then(|node| node.owner.as_deref());
    if let Some(owner) = owner {
        text.push_str(language.pick("，负责人 ", ", owner "));
        text.push_str(owner);
    }
    text.push_str(language.pick("。", ". "));
    text.push_str(&sentence::of(&episode.kind, &episode.facts, language));
    if let Some(causes) = &found.causes {
        let parts = causes::comes_from(causes, language);
        text.push_str(&match language {
            Language::Zh => format!("当时{}与计划的差距主要来自：{parts}。", causes.of),
            Language::En => format!(
                " What {} was off its plan by came mostly from: {parts}.",
                causes.of
            ),
        });
    }
    text
}

fn ended(reason: ResolveReason, language: Language) -> &'static str {
    match reason {
        ResolveReason::Recovered => language.pick("后恢复", ", then recovered"),
        ResolveReason::PeriodClosed => language.pick("，到期间结束", ", to the end of the period"),
        ResolveReason::RuleDeleted => language.pick("，规则随后移除", ", then the rule was removed"),
        ResolveReason::Paused => language.pick("，规则随后停用", ", then the rule was switched off"),
        ResolveReason::NoData => language.pick("，随后没有数据", ", then there was no data"),
        ResolveReason::Updated => language.pick("，随后定义变更", ", then it was declared differently"),
        ResolveReason::SourceGone => language.pick("，随后数据源移除", ", then its source was removed"),
    }
}

fn forecasts(blocks: &mut Vec<Block>, review: &Review, language: Language) {
    if review.forecasts.is_empty() {
        return;
    }
    blocks.push(Block::Heading(
        language
            .pick("预测与结果（期中预测）", "Forecasts half-way and what came")
            .to_owned(),
    ));
    let rows = review
        .forecasts
        .iter()
        .map(|found| {
            let unit = found.unit.as_deref();
            let error = |said: f64| {
                let off = if found.outcome == 0.0 {
                    f64::NAN
                } else {
                    said / found.outcome - 1.0
                };
                if off.is_finite() {
                    let sign = if off >= 0.0 { "+" } else { "" };
                    format!("{sign}{}", percent(off))
                } else {
                    "—".to_owned()
                }
            };
            vec![
                Cell::plain(&found.title),
                Cell::plain(language.quantity(found.forecast, unit)),
                Cell::plain(language.quantity(found.outcome, unit)),
                Cell::plain(error(found.forecast)),
                Cell {
                    text: found.rule_of_three.map_or_else(|| "—".to_owned(), error),
                    tone: Tone::Quiet,
                },
            ]
        })
        .collect();
    blocks.push(Block::Table(Table {
        columns: columns(&[
            (language.pick("指标", "Metric"), false),
            (language.pick("期中预测", "Forecast"), true),
            (language.pick("结果", "Outcome"), true),
            (language.pick("误差", "Error"), true),
            (
                language.pick("按进度外推的误差", "Error of value / planned share"),
                true,
            ),
        ]),
        rows,
    }));
    if review.forecasts_more > 0 {
        let more = review.forecasts_more;
        blocks.push(Block::Paragraph(match language {
            Language::Zh => format!("另有 {more} 项，误差较小。"),
            Language::En => format!("+{more} more that missed by less."),
        }));
    }
}

/// What the alerts of a source say of its data.
fn feed_alerts(feed: &FeedResult, language: Language) -> String {
    let comma = language.pick("；", "; ");
    let mut said: Vec<String> = feed
        .alerts
        .iter()
        .map(|alert| {
            let (rule, times) = (&alert.rule, alert.times);
            let lasted = length(alert.lasted_seconds, language);
            match language {
                Language::Zh => format!("{rule} 告警 {times} 次，共 {lasted}"),
                Language::En if times == 1 => format!("{rule} fired once, for {lasted}"),
                Language::En => format!("{rule} fired {times} times, for {lasted} together"),
            }
        })
        .collect();
    if let Some(worst) = &feed.rejected {
        let number = |count: u64| language.number(count as f64);
        let (read, rejected) = (number(worst.read), number(worst.rejected));
        let reason = worst.reason.as_deref().unwrap_or("—");
        said.push(match language {
            Language::Zh => format!("24 小时内 {read} 个事件中最多拒绝 {rejected} 个，多为 {reason}"),
            Language::En => {
                format!(
                    "at worst {rejected} of {read} events in 24 hours were rejected, most often for {reason}"
                )
            }
        });
    }
    if said.is_empty() {
        return String::new();
    }
    format!(
        "{}{}{}",
        language.pick("", " "),
        said.join(comma),
        language.pick("。", ".")
    )
}

fn quality(blocks: &mut Vec<Block>, review: &Review, language: Language) {
    blocks.push(Block::Heading(
        language.pick("数据质量", "Data quality").to_owned(),
    ));
    let mut lines = Vec::new();
    for feed in &review.feeds {
        let silent = feed.silent.len();
        let days = match (silent, language) {
            (0, Language::Zh) => format!("{}：{} 天，每天都有数据。", feed.source, feed.days),
            (0, Language::En) => format!("{}: data on each of {} days.", feed.source, feed.days),
            (_, Language::Zh) if silent == feed.days => {
                format!("{}：整个期间没有数据。", feed.source)
            }
            (_, Language::En) if silent == feed.days => {
                format!("{}: no data in the whole period.", feed.source)
            }
            (_, _) => {
                const NAMED: usize = 5;
                let mut named: Vec<String> = feed
                    .silent
                    .iter()
                    .take(NAMED)
                    .map(|day| language.date(*day))
                    .collect();
                if silent > NAMED {
                    named.push("…".to_owned());
                }
                let named = named.join(language.pick("、", ", "));
                match language {
                    Language::Zh => format!(
                        "{}：{} 天中有 {silent} 天没有数据（{named}）。",
                        feed.source, feed.days
                    ),
                    Language::En => format!(
                        "{}: nothing on {silent} of {} days ({named}).",
                        feed.source, feed.days
                    ),
                }
            }
        };
        lines.push(format!("{days}{}", feed_alerts(feed, language)));
    }
    if review.corrections > 0 {
        lines.push(match language {
            Language::Zh => format!("迟到的事件使 {} 个结论得到更正。", review.corrections),
            Language::En if review.corrections == 1 => "Late events corrected 1 verdict.".to_owned(),
            Language::En => format!("Late events corrected {} verdicts.", review.corrections),
        });
    }
    if review.undelivered > 0 {
        lines.push(match language {
            Language::Zh => format!("{} 条通知没有送达。", review.undelivered),
            Language::En => format!("{} notices reached nobody.", review.undelivered),
        });
    }
    blocks.push(Block::List(lines));
}

fn next(blocks: &mut Vec<Block>, review: &Review, language: Language, zone: &TimeZone) {
    blocks.push(Block::Heading(
        language.pick("下一步看什么", "What to look at next").to_owned(),
    ));
    if review.next.is_empty() {
        blocks.push(Block::Paragraph(
            language
                .pick("没有需要特别关注的。", "Nothing stands out.")
                .to_owned(),
        ));
        return;
    }
    let lines = review
        .next
        .iter()
        .take(NEXT_SHOWN)
        .map(|next| (next, &next.what))
        .map(|(next, what)| {
            let text = next_in_words(what, language, zone);
            match (&next.owner, language) {
                (None, _) => text,
                (Some(owner), Language::Zh) => format!("{text}（{owner}）"),
                (Some(owner), Language::En) => format!("{text} ({owner})"),
            }
        })
        .collect();
    blocks.push(list(lines, review.next.len(), "项", language));
}

fn next_in_words(next: &Next, language: Language, zone: &TimeZone) -> String {
    match (next, language) {
        (Next::Link { kpi, parent }, Language::Zh) => {
            format!("{kpi} 是否仍是 {parent} 的正确 KPI？它完成了，而 {parent} 没有。")
        }
        (Next::Link { kpi, parent }, Language::En) => {
            format!("Is {kpi} still the right KPI for {parent}? It was done, and {parent} was not.")
        }
        (Next::StillFiring { rule, title, since }, Language::Zh) => {
            format!(
                "{title}：规则 {rule} 自 {} 起仍在告警。",
                language.moment(*since, zone)
            )
        }
        (Next::StillFiring { rule, title, since }, Language::En) => {
            format!(
                "{title}: {rule} has been firing since {}.",
                language.moment(*since, zone)
            )
        }
        (Next::Unlikely { title, chance }, Language::Zh) => {
            format!(
                "{title} 正在进行，达成概率{}。",
                sentence::likely(*chance, language)
            )
        }
        (Next::Unlikely { title, chance }, Language::En) => {
            format!(
                "{title} is running; the chance of meeting its target is {}.",
                sentence::likely(*chance, language)
            )
        }
        (Next::NoTargetNext { title, period }, Language::Zh) => {
            format!("{title} 在 {period} 还没有目标。")
        }
        (Next::NoTargetNext { title, period }, Language::En) => {
            format!("{title} has no target for {period} yet.")
        }
        (Next::Feed { source, silent }, Language::Zh) => {
            format!("数据源 {source} 有 {silent} 天没有数据：是没有业务，还是断了？")
        }
        (Next::Feed { source, silent: 1 }, Language::En) => {
            format!("Source {source} was silent on one day: no business, or a broken feed?")
        }
        (Next::Feed { source, silent }, Language::En) => {
            format!("Source {source} was silent on {silent} days: no business, or a broken feed?")
        }
        (Next::Proposal { title, closed }, Language::Zh) => {
            format!("{title}：{closed} 结束时的权重建议待决定。")
        }
        (Next::Proposal { title, closed }, Language::En) => {
            format!("{title}: the weights proposed at the close of {closed} wait for a decision.")
        }
        (Next::EntryDue { title, from, .. }, Language::Zh) => {
            format!("{title}：{from} 起的数据还没有填报。")
        }
        (Next::EntryDue { title, from, .. }, Language::En) => {
            format!("{title}: its entry from {from} on has not been typed in.")
        }
        (Next::Weaker { kpi, parent }, Language::Zh) => {
            format!("{kpi} 与 {parent} 的联动变弱，已说不出时间和幅度。")
        }
        (Next::Weaker { kpi, parent }, Language::En) => {
            format!(
                "The link from {kpi} to {parent} has become too weak to say when and by how much it answers."
            )
        }
    }
}

//! `/nodes/{name}`: one node with its numbers, its definition, its days and its children.

use maud::{Markup, html};

use super::backfills;
use super::chart;
use super::entry_form::{self, FormState};
use super::page::{self, Reader, Tree};
use super::view::{AlertView, View};
use super::weights;
use crate::catalog::{Level, Relation};
use crate::evaluate::{LinkState, NodeInfo, NodeState, OpenItem, OpenItems, Ranges};
use crate::words::{Language, definition, percent};

/// Open items on a page; the API has all that are overdue.
const SHOWN_ITEMS: usize = 100;

/// The page of a node, or `None` where there is no node of this name.
pub(super) fn node(view: &View, reader: Reader, name: &str, form: &FormState) -> Option<Markup> {
    let language = reader.language;
    let tree = Tree::new(view);
    let at = view.snapshot.nodes.iter().position(|info| info.name == name)?;
    let info = &view.snapshot.nodes[at];
    let instances: Vec<usize> = (0..view.snapshot.instances.len())
        .filter(|&i| tree.instance(i).key.node.0 as usize == at)
        .collect();
    let alerts: Vec<&AlertView> = view
        .alerts
        .iter()
        .filter(|alert| alert.is_firing() && alert.labels.get("node") == Some(&info.name))
        .collect();
    let content = html! {
        (trail(view, reader, info))
        h1 { (info.title) }
        (page::alert_list(view, reader, &alerts))
        // The same for all instances: they share the definition.
        @if let Some((state, since)) = instances.first().and_then(|&at| Some((tree.instance(at), tree.instance(at).counted_since?))) {
            p.note { (definition::counted_since(language, since, &view.catalog.calendar.timezone, state.is_judged())) }
        }
        @if let Some(since) = info.reckoned_since {
            p.note { (definition::reckoned_since(language, since, &view.catalog.calendar.timezone)) }
        }
        @for said in backfills::sentences(view, language, at) { p.note { (said) } }
        @match instances.as_slice() {
            [] => p.empty { (language.pick("还没有数字。", "No numbers yet.")) },
            [one] => (single(&tree, reader, *one)),
            many => section.tree { (page::branch(&tree, reader, many)) },
        }
        (open_items(view, reader, at, info))
        (typed_in(view, reader, at, name, form))
        (weights::section(view, reader, at, &form.weights))
        (declared(view, reader, at, info))
    };
    let path = format!("/nodes/{}", page::encoded(name));
    Some(page::frame(view, reader, &path, &info.title, &content))
}

/// The form of a metric that people type in, and what they typed.
fn typed_in(view: &View, reader: Reader, at: usize, name: &str, form: &FormState) -> Markup {
    let metric = view
        .catalog
        .nodes
        .get(at)
        .map(|node| view.catalog.metric(node.metric));
    html! {
        @if let Some(metric) = metric {
            @if let Some(declared) = &metric.manual {
                (entry_form::section(view, reader, name, metric, declared, form))
            }
        }
    }
}

fn trail(view: &View, reader: Reader, info: &NodeInfo) -> Markup {
    let mut above = Vec::new();
    let mut next = info.parent.as_deref();
    while let Some(parent) = next.and_then(|name| view.snapshot.nodes.iter().find(|info| info.name == name)) {
        above.push(parent);
        next = parent
            .parent
            .as_deref()
            .filter(|_| above.len() < view.snapshot.nodes.len());
    }
    html! {
        nav.trail {
            a href=(reader.link("/")) { (reader.language.pick("指标树", "Tree")) }
            @for parent in above.iter().rev() { a href=(reader.to_node(&parent.name)) { (parent.title) } }
        }
    }
}

fn single(tree: &Tree<'_>, reader: Reader, at: usize) -> Markup {
    let language = reader.language;
    let state = tree.instance(at);
    let children = tree.children(Some(&state.key));
    html! {
        (numbers(tree, language, state))
        @if let Some(link) = &state.link { (judged(tree, language, state, link)) }
        (days(tree.view, language, state))
        @if !children.is_empty() {
            h3 { (language.pick("支撑它的指标", "What serves it")) }
            section.tree { (page::branch(tree, reader, children)) }
        }
    }
}

fn numbers(tree: &Tree<'_>, language: Language, state: &NodeState) -> Markup {
    let unit = tree.info(state.key.node).unit.as_deref();
    let quantity = |value: f64| language.quantity(value, unit);
    let figures = [
        (language.pick("实际", "Actual"), state.value.map(quantity)),
        (
            language.pick("目标", "Target"),
            state
                .target
                .map(|target| language.goal(target, state.band(), unit)),
        ),
        (language.pick("完成", "Completion"), state.completion.map(percent)),
        (
            language.pick("计划此时", "Plan by now"),
            page::planned(tree.view, state).map(percent),
        ),
        (
            language.pick("进度", "Pace"),
            state.pace.ratio().map(|pace| format!("{pace:.2}")),
        ),
        (
            language.pick("预计期末", "Heading for"),
            state.forecast.map(quantity),
        ),
        (
            language.pick("达成概率", "Chance"),
            state.target_probability.map(percent),
        ),
    ];
    let status = page::Status::of(tree.view, state, language);
    html! {
        p.lead {
            span class={ "dot " (status.tone) } {} (status.text)
            span.meta { (tree.period(state, language)) }
        }
        div.wide { (chart::bar(state.completion, page::planned(tree.view, state), status.tone, language.pick("完成", "Completion"))) }
        dl.figures {
            @for (term, number) in figures {
                @if let Some(number) = number { div { dt { (term) } dd { (number) } } }
            }
        }
    }
}

/// Items of all instances that are under way, the oldest first.
fn open_items(view: &View, reader: Reader, at: usize, info: &NodeInfo) -> Markup {
    let language = reader.language;
    let zone = &view.catalog.calendar.timezone;
    let is_mine = |open: &&OpenItems| open.key.node.0 as usize == at;
    let mine: Vec<&OpenItems> = view.snapshot.items.iter().filter(is_mine).collect();
    let Some(first) = mine.first() else {
        return html! {};
    };
    let count: u64 = mine.iter().map(|open| open.count).sum();
    let overdue: u64 = mine.iter().map(|open| open.overdue).sum();
    let number = |count: u64| language.number(count as f64);
    let mut items: Vec<(&OpenItems, &OpenItem)> = Vec::new();
    for open in mine.iter().copied() {
        items.extend(open.items.iter().take(SHOWN_ITEMS).map(|item| (open, item)));
    }
    items.sort_by_key(|(_, item)| item.started);
    html! {
        h3 { (language.pick("进行中", "Open")) }
        p {
            (number(count)) (language.pick(" 项", if count == 1 { " item" } else { " items" }))
            @if first.overdue_after.is_some() {
                (language.pick("，其中 ", ", ")) (number(overdue)) (language.pick(" 项逾期", " overdue"))
            }
        }
        div.scroll { table {
            thead { tr {
                th { (language.pick("事项", "Item")) }
                @if !info.each.is_empty() { th { (info.each.join(" / ")) } }
                th { (language.pick("开始于", "Started")) }
                th { (language.pick("已进行", "Open for")) }
            } }
            tbody {
                @for (open, item) in items.into_iter().take(SHOWN_ITEMS) {
                    tr {
                        td { (item.name) }
                        @if !info.each.is_empty() { td { (open.key.dimensions.join(" / ")) } }
                        td { (language.moment(item.started, zone)) }
                        td {
                            (language.lasting(item.started, item.started + item.age))
                            @if item.is_overdue {
                                span.overdue { (language.pick("，已逾期", ", overdue")) }
                            }
                        }
                    }
                }
            }
        } }
    }
}

/// What the judgement of its link knows, in figures.
fn judged(tree: &Tree<'_>, language: Language, state: &NodeState, link: &LinkState) -> Markup {
    let info = tree.info(state.key.node);
    let parent = info
        .parent
        .as_deref()
        .and_then(|name| tree.view.snapshot.nodes.iter().find(|other| other.name == name))
        .map_or("", |parent| parent.title.as_str());
    let signed = |gap: f64| format!("{}{}", if gap < 0.0 { "−" } else { "+" }, percent(gap.abs()));
    // Where it lies with a probability of four fifths.
    let range = |of: fn(&Ranges) -> [f64; 2], digits: usize| match link.ranges.as_ref().map(of) {
        Some([low, high]) => format!(" ({low:.digits$}–{high:.digits$})"),
        None => String::new(),
    };
    let figures = [
        (
            language.pick("与所能解释的相差", "Against what it explains"),
            link.parent_gap.map(signed),
        ),
        (
            language.pick("联动强度", "Link strength"),
            link.strength
                .map(|strength| format!("{strength:.2}{}", range(|ranges| ranges.strength, 2))),
        ),
        (
            language.pick("反应时间（天）", "Answers after (days)"),
            link.lag_days
                .map(|lag| format!("{lag:.0}{}", range(|ranges| ranges.lag_days, 0))),
        ),
        (
            language.pick("弹性", "Elasticity"),
            link.elasticity
                .map(|elasticity| format!("{elasticity:.2}{}", range(|ranges| ranges.elasticity, 2))),
        ),
        (
            language.pick("已观察（天）", "Judged for (days)"),
            Some(link.judged_days.to_string()),
        ),
    ];
    html! {
        h3 { (language.pick("与所服务指标的联动：", "Its link to ")) (parent) }
        @if link.parent_gap.is_none() {
            p.meta { (language.pick("还在了解它平时的样子，暂不下结论。", "Still learning what is usual: no judgement yet.")) }
        }
        dl.figures {
            @for (term, number) in figures {
                @if let Some(number) = number { div { dt { (term) } dd { (number) } } }
            }
        }
    }
}

fn days(view: &View, language: Language, state: &NodeState) -> Markup {
    let zone = &view.catalog.calendar.timezone;
    let Some(watermark) = view.snapshot.watermark else {
        return html! {};
    };
    let unit = view.snapshot.nodes[state.key.node.0 as usize].unit.as_deref();
    let last = watermark.to_zoned_datetime(zone.clone()).date();
    let count = state.daily.len();
    let day = |i: usize| {
        let back = jiff::Span::new().days((count - 1 - i) as i64);
        last.checked_sub(back).unwrap_or(last)
    };
    let labels: Vec<String> = state
        .daily
        .iter()
        .enumerate()
        .map(|(i, value)| {
            let value = value.map_or_else(|| "—".to_owned(), |value| language.quantity(value, unit));
            format!("{} {value}", language.date(day(i)))
        })
        .collect();
    let highest = state.daily.iter().flatten().copied().reduce(f64::max);
    html! {
        @if let Some(highest) = highest {
            figure {
                figcaption {
                    span { (language.pick("每日", "Daily")) }
                    span { (language.pick("最高 ", "highest ")) (language.quantity(highest, unit)) }
                }
                (chart::daily(&state.daily, &labels, None, language.pick("每日数值", "Daily values")))
                div.scale { span { (language.date(day(0))) } span { (language.date(last)) } }
            }
        }
    }
}

fn declared(view: &View, reader: Reader, at: usize, info: &NodeInfo) -> Markup {
    let language = reader.language;
    let node = view.catalog.nodes.get(at);
    let relation = info.relation.map(|relation| match relation {
        Relation::Sum => language.pick("相加", "adds up to"),
        Relation::Product => language.pick("相乘", "multiplies to"),
        Relation::Ratio => language.pick("构成比率", "is a part of the ratio"),
        Relation::Influence => language.pick("驱动", "drives"),
    });
    let level = match info.level {
        Level::Strategy => language.pick("战略", "Strategy"),
        Level::Tactic => language.pick("战术", "Tactic"),
        Level::Execution => language.pick("执行", "Execution"),
        Level::Individual => language.pick("个人", "Individual"),
    };
    html! {
        h3 { (language.pick("定义", "Definition")) }
        dl.definition {
            @if let Some(node) = node {
                dt { (language.pick("口径", "Metric")) }
                dd { code { (definition::of_metric(&view.catalog, node.metric)) } }
            }
            dt { (language.pick("层级", "Level")) } dd { (level) }
            @if let (Some(relation), Some(parent)) = (relation, &info.parent) {
                dt { (language.pick("服务于", "Serves")) }
                dd { a href=(reader.to_node(parent)) { (parent) } " (" (relation) ")" }
            }
            @if !info.each.is_empty() { dt { (language.pick("按", "By")) } dd { (info.each.join(", ")) } }
            @if let Some(owner) = &info.owner { dt { (language.pick("负责人", "Owner")) } dd { (owner) } }
            @if let Some(weight) = info.weight { dt { (language.pick("权重", "Weight")) } dd { (language.number(weight)) } }
            @if let Some(node) = node {
                dt { (language.pick("声明于", "Declared at")) } dd { code { (node.place) } }
            }
        }
    }
}

//! The pages for people: the tree with its alerts, the rejected events, and what is not there. Rendered whole on the
//! server; a small script swaps `<main>` when a new version is published.

use std::collections::HashMap;
use std::sync::LazyLock;

use axum::http::HeaderValue;
use axum::response::{IntoResponse, Response};
use maud::{DOCTYPE, Markup, html};

use super::chart;
use super::view::{AlertView, NotReady, View};
use crate::alert::record::AlertState;
use crate::catalog::{Grade, NodeId, Role, Severity};
use crate::evaluate::{InstanceKey, NodeInfo, NodeState, Pace};
use crate::words::{Language, percent, sentence};

const STYLE: &str = include_str!("style.css");
const SCRIPT: &str = include_str!("page.js");
/// Instances of one node below one parent that are shown at once; the rest folds.
const SHOWN_AT_ONCE: usize = 6;

/// Changes with every change of the assets, so that they may be cached for good.
static ASSETS: LazyLock<String> = LazyLock::new(|| {
    format!(
        "{:016x}",
        xxhash_rust::xxh3::xxh3_64([STYLE, SCRIPT].concat().as_bytes())
    )
});

/// Who reads: the language, and whether it was chosen by `?lang=` and must be kept in links.
#[derive(Clone, Copy, Debug)]
pub struct Reader {
    /// Language of the page.
    pub language: Language,
    /// Whether links carry it on.
    pub chosen: bool,
}

impl Reader {
    /// A link within the site that keeps the chosen language.
    pub(super) fn link(self, path: &str) -> String {
        if self.chosen {
            format!("{path}?lang={}", self.language.pick("zh", "en"))
        } else {
            path.to_owned()
        }
    }

    pub(super) fn to_node(self, name: &str) -> String {
        self.link(&format!("/nodes/{}", encoded(name)))
    }
}

/// Nothing but what this server itself gives; no inline script, no inline style, no frame.
pub fn content_security_policy() -> HeaderValue {
    HeaderValue::from_static(
        "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self' data:; \
         base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
    )
}

/// The style sheet.
pub fn style() -> Response {
    asset("text/css; charset=utf-8", STYLE)
}

/// The script.
pub fn script() -> Response {
    asset("text/javascript; charset=utf-8", SCRIPT)
}

fn asset(kind: &'static str, text: &'static str) -> Response {
    let headers = [
        ("content-type", kind),
        ("cache-control", "public, max-age=31536000, immutable"),
    ];
    (headers, text).into_response()
}

/// The frame of every page. `path` is where it is, for the link to the other language.
pub(super) fn frame(view: &View, reader: Reader, path: &str, title: &str, content: &Markup) -> Markup {
    let language = reader.language;
    let zone = &view.catalog.calendar.timezone;
    let (other, other_name) = match language {
        Language::Zh => ("en", "English"),
        Language::En => ("zh", "中文"),
    };
    html! {
        (DOCTYPE)
        html lang=(language.tag()) {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (title) " · tautline" }
                link rel="icon" href="data:,";
                link rel="stylesheet" href={ "/assets/style.css?v=" (*ASSETS) };
                script src={ "/assets/page.js?v=" (*ASSETS) } defer {}
            }
            body {
                header.top {
                    a.brand href=(reader.link("/")) { "tautline" }
                    span.away { (language.pick("连接中断，正在重连", "Connection lost, trying again")) }
                    a href=(reader.link("/alerts")) { (language.pick("告警", "Alerts")) }
                    a.language href={ (path) "?lang=" (other) } lang=(other) hreflang=(other) { (other_name) }
                }
                main data-version=(view.version) {
                    (readiness(view, language))
                    (content)
                    footer {
                        @if let Some(watermark) = view.snapshot.watermark {
                            span { (language.pick("数据截至 ", "Data up to ")) (language.moment(watermark, zone)) }
                        }
                        (sources(view, reader))
                    }
                }
            }
        }
    }
}

fn readiness(view: &View, language: Language) -> Markup {
    html! {
        @for reason in &view.ready.reasons {
            p.notice role="status" { (not_ready(reason, view, language)) }
        }
    }
}

fn not_ready(reason: &NotReady, view: &View, language: Language) -> String {
    match (reason, language) {
        (NotReady::Starting, _) => language.pick("正在启动。", "Starting.").to_owned(),
        (NotReady::TopicsMissing { topics }, Language::Zh) => {
            format!(
                "Kafka 中还没有这些主题：{}。建好后会自动开始读取。",
                topics.join("、")
            )
        }
        (NotReady::TopicsMissing { topics }, Language::En) => {
            format!(
                "Kafka has none of the topics {} yet; reading begins when they are made.",
                topics.join(", ")
            )
        }
        (
            NotReady::CatchingUp {
                records_left,
                is_overdue,
            },
            Language::Zh,
        ) => {
            let left = records_left.map_or_else(String::new, |left| {
                format!("，还剩 {} 条记录", language.number(left as f64))
            });
            let told = match is_overdue {
                true => "耗时过长，通知照常发送，并注明“数据补读中”",
                false => "也不发送通知",
            };
            format!("正在读取历史{left}。读完之前数字尚不完整，{told}。")
        }
        (
            NotReady::CatchingUp {
                records_left,
                is_overdue,
            },
            Language::En,
        ) => {
            let left = records_left.map_or_else(String::new, |left| {
                format!(", {} records to go", language.number(left as f64))
            });
            let told = match is_overdue {
                true => "; it takes so long that notices are sent all the same, marked “catching up”.",
                false => " and nobody is notified.",
            };
            format!("Reading history{left}. Until then the numbers are not complete{told}")
        }
        (NotReady::BrokerAway { since }, _) => {
            let since = language.moment(*since, &view.catalog.calendar.timezone);
            match language {
                Language::Zh => format!("{since} 起连不上 Kafka。以下是断开前的数字，恢复后会接着读。"),
                Language::En => format!(
                    "No Kafka broker has answered since {since}. These are the numbers from before; reading goes on when one does."
                ),
            }
        }
        (
            NotReady::RegistryAway {
                since,
                reason,
                partitions,
            },
            _,
        ) => {
            let since = language.moment(*since, &view.catalog.calendar.timezone);
            match language {
                Language::Zh => format!(
                    "{since} 起模式注册表（schema registry）没有应答（{reason}）。{partitions} 个分区在等待，没有数据丢失，恢复后会接着读。"
                ),
                Language::En => format!(
                    "The schema registry has not answered since {since} ({reason}). Partitions that wait: {partitions}. Nothing is lost; reading goes on when it does."
                ),
            }
        }
        (NotReady::StateFailed(error), Language::Zh) => format!("上次保存失败，将重试：{error}"),
        (NotReady::StateFailed(error), Language::En) => {
            format!("The last commit failed and will be tried again: {error}")
        }
    }
}

fn sources(view: &View, reader: Reader) -> Markup {
    const FINE: [&str; 4] = ["folded", "filtered", "duplicate", "late"];
    let language = reader.language;
    let outcomes = || view.snapshot.sources.iter().flat_map(|source| &source.outcomes);
    let read: u64 = outcomes().map(|(_, count)| count).sum();
    let bad: u64 = outcomes()
        .filter(|(outcome, _)| !FINE.contains(&outcome.as_str()))
        .map(|(_, count)| count)
        .sum();
    html! {
        span { (language.number(read as f64)) (language.pick(" 个事件", " events read")) }
        a href=(reader.link("/rejected")) { (language.number(bad as f64)) (language.pick(" 个被拒", " rejected")) }
    }
}

/// `/`: alerts, then the tree.
pub fn index(view: &View, reader: Reader) -> Markup {
    let language = reader.language;
    let firing: Vec<&AlertView> = view.alerts.iter().filter(|alert| alert.is_firing()).collect();
    let tree = Tree::new(view);
    let roots: Vec<usize> = tree.children(None).to_vec();
    let content = html! {
        h1 { (headline(view, firing.len(), language)) }
        (alert_list(view, reader, &firing))
        (pending(view, reader))
        (super::weights::waiting(view, reader))
        (super::bounds::reached(view, reader))
        @if roots.is_empty() {
            p.empty { (language.pick("还没有数字：第一批事件到达后，指标树会出现在这里。",
                "No numbers yet: the tree appears here with the first events.")) }
        } @else {
            section.tree aria-label=(language.pick("指标树", "Tree")) { (branch(&tree, reader, &roots)) }
        }
    };
    frame(view, reader, "/", language.pick("指标", "KPIs"), &content)
}

fn headline(view: &View, firing: usize, language: Language) -> String {
    match (firing, language) {
        _ if view.snapshot.watermark.is_none() => language
            .pick("等待第一批事件", "Waiting for the first events")
            .to_owned(),
        (0, Language::Zh) => "KPI 与业务同步".to_owned(),
        (0, Language::En) => "KPIs and the business are in step".to_owned(),
        (n, Language::Zh) => format!("{n} 件事需要关注"),
        (1, Language::En) => "One thing needs attention".to_owned(),
        (n, Language::En) => format!("{n} things need attention"),
    }
}

/// Alerts as sentences, the worst first.
pub(super) fn alert_list(view: &View, reader: Reader, alerts: &[&AlertView]) -> Markup {
    let mut alerts = alerts.to_vec();
    alerts.sort_by_key(|alert| {
        (
            std::cmp::Reverse(alert.severity),
            std::cmp::Reverse(alert.active_at),
        )
    });
    html! {
        @if !alerts.is_empty() {
            ul.alerts {
                @for alert in alerts {
                    li class={ (severity_class(alert.severity)) @if !alert.is_firing() { " pending" } } { (alert_item(view, reader, alert)) }
                }
            }
        }
    }
}

pub(super) fn alert_item(view: &View, reader: Reader, alert: &AlertView) -> Markup {
    let language = reader.language;
    let zone = &view.catalog.calendar.timezone;
    let heading = sentence::heading(&alert.rule, &alert.kind, &alert.facts, language);
    let now = view.snapshot.watermark.unwrap_or(alert.active_at);
    let lasting = language.lasting(alert.active_at, now);
    html! {
        h2 {
            @match alert.labels.get("node") {
                Some(node) => a href=(reader.to_node(node)) { (heading) },
                None => (heading),
            }
        }
        p { (sentence::of(&alert.kind, &alert.facts, language)) }
        p.meta {
            span.severity { (severity(alert.severity, language)) }
            @if let Some(owner) = alert.labels.get("owner") { span { (language.pick("负责 ", "Owner ")) (owner) } }
            span {
                (language.pick("自 ", "Since ")) (language.moment(alert.active_at, zone))
                (language.pick(" 起，已 ", ", for ")) (lasting)
            }
            @if matches!(alert.state, AlertState::Recovering { .. }) {
                span { (language.pick("正在恢复", "recovering")) }
            }
            span { (alert.rule) }
        }
    }
}

fn pending(view: &View, reader: Reader) -> Markup {
    let language = reader.language;
    let pending: Vec<&AlertView> = view
        .alerts
        .iter()
        .filter(|alert| matches!(alert.state, AlertState::Pending { .. }))
        .collect();
    html! {
        @if !pending.is_empty() {
            details.watched #watched {
                summary {
                    (pending.len()) (language.pick(" 件事正在观察，尚未通知任何人", " more being watched; nobody has been told"))
                }
                (alert_list(view, reader, &pending))
            }
        }
    }
}

fn severity(severity: Severity, language: Language) -> &'static str {
    language.pick(severity.title_zh(), severity.title())
}

pub(super) fn severity_class(severity: Severity) -> &'static str {
    match severity.like() {
        Grade::Critical => "bad",
        Grade::Warning => "warn",
        Grade::Info => "calm",
    }
}

/// Instances by parent: what the page walks.
pub(super) struct Tree<'a> {
    pub(super) view: &'a View,
    children: HashMap<Option<&'a InstanceKey>, Vec<usize>>,
}

impl<'a> Tree<'a> {
    /// The period of an instance, as people name it.
    pub(super) fn period(&self, state: &NodeState, language: Language) -> String {
        let catalog = &self.view.catalog;
        let calendar = catalog.calendar_of(catalog.node(state.key.node));
        language.period(&state.period, &state.period.id(calendar))
    }

    pub(super) fn new(view: &'a View) -> Self {
        let snapshot = &view.snapshot;
        let known: std::collections::HashSet<&InstanceKey> =
            snapshot.instances.iter().map(|i| &i.key).collect();
        let mut children: HashMap<Option<&InstanceKey>, Vec<usize>> = HashMap::new();
        for (at, instance) in snapshot.instances.iter().enumerate() {
            // A child whose parent has no instance yet still has to be seen.
            let parent = instance.parent.as_ref().filter(|parent| known.contains(parent));
            children.entry(parent).or_default().push(at);
        }
        Tree { view, children }
    }

    pub(super) fn children(&self, parent: Option<&'a InstanceKey>) -> &[usize] {
        self.children.get(&parent).map_or(&[], Vec::as_slice)
    }

    pub(super) fn instance(&self, at: usize) -> &'a NodeState {
        &self.view.snapshot.instances[at]
    }

    pub(super) fn info(&self, node: NodeId) -> &'a NodeInfo {
        &self.view.snapshot.nodes[node.0 as usize]
    }
}

/// One level of the tree. Many instances of one node are shown worst first, and fold after a few.
pub(super) fn branch(tree: &Tree<'_>, reader: Reader, at: &[usize]) -> Markup {
    let language = reader.language;
    let mut groups: Vec<Vec<usize>> = Vec::new();
    for &i in at {
        match groups
            .iter_mut()
            .find(|group| tree.instance(group[0]).key.node == tree.instance(i).key.node)
        {
            Some(group) => group.push(i),
            None => groups.push(vec![i]),
        }
    }
    let order = |i: &usize| {
        let state = tree.instance(*i);
        state.pace.ratio().or(state.completion).unwrap_or(f64::INFINITY)
    };
    html! {
        ul {
            @for mut group in groups {
                @if group.len() > SHOWN_AT_ONCE { (sorted(&mut group, order)) }
                @let (first, rest) = group.split_at(group.len().min(SHOWN_AT_ONCE));
                @for &i in first { (item(tree, reader, i)) }
                @if !rest.is_empty() {
                    li.more {
                        details id={ "more-" (rest[0]) } {
                            summary { (language.pick("其余 ", "")) (rest.len()) (language.pick(" 项", " more")) }
                            ul { @for &i in rest { (item(tree, reader, i)) } }
                        }
                    }
                }
            }
        }
    }
}

fn sorted(group: &mut [usize], order: impl Fn(&usize) -> f64) -> Markup {
    group.sort_by(|a, b| order(a).total_cmp(&order(b)));
    html! {}
}

fn item(tree: &Tree<'_>, reader: Reader, at: usize) -> Markup {
    let state = tree.instance(at);
    let children = tree.children(Some(&state.key));
    html! {
        li {
            (row(tree, reader, state))
            @if !children.is_empty() { (branch(tree, reader, children)) }
        }
    }
}

fn row(tree: &Tree<'_>, reader: Reader, state: &NodeState) -> Markup {
    let language = reader.language;
    let info = tree.info(state.key.node);
    let status = Status::of(tree.view, state, language);
    let unit = info.unit.as_deref();
    let done = state.completion.map(percent);
    html! {
        div.row {
            div.name {
                a href=(reader.to_node(&info.name)) {
                    @if state.key.dimensions.is_empty() { (info.title) }
                    @else { (state.key.dimensions.join(" / ")) " " span.of { (info.title) } }
                }
                div.meta {
                    span class={ "role " (if info.role == Role::Kpi { "kpi" } else { "business" }) } {
                        (if info.role == Role::Kpi { "KPI" } else { language.pick("业务", "Business") })
                    }
                    @if let Some(weight) = info.weight {
                        span { (language.pick("权重 ", "weight ")) (language.number(weight)) }
                    }
                    @if let Some(owner) = &info.owner { span { (owner) } }
                    span { (tree.period(state, language)) }
                }
            }
            (chart::sparkline(&state.daily, language.pick("近日走势", "Latest days")))
            div.amount {
                b { (state.value.map_or_else(|| "—".to_owned(), |value| language.quantity(value, unit))) }
                @if let Some(target) = state.target {
                    span { " / " (language.goal(target, state.band(), unit)) }
                }
            }
            div.progress {
                (chart::bar(state.completion, planned(tree.view, state), status.tone, &language_label(language, &done)))
                b { (done.as_deref().unwrap_or("—")) }
            }
            div.status {
                span class={ "dot " (status.tone) } {}
                span { (status.text) }
                @if let Some(pace) = state.pace.ratio() {
                    span.pace { (language.pick("进度 ", "pace ")) (format!("{pace:.2}")) }
                }
            }
        }
    }
}

fn language_label(language: Language, done: &Option<String>) -> String {
    match done {
        Some(done) => format!("{}{done}", language.pick("完成 ", "Completion ")),
        None => language.pick("没有完成度", "No completion").to_owned(),
    }
}

/// The share that the plan expects by now, for metrics that accumulate; a level is compared with the whole target, and the
/// completion of a band does not grow with the period.
pub(super) fn planned(view: &View, state: &NodeState) -> Option<f64> {
    let node = view.catalog.nodes.get(state.key.node.0 as usize)?;
    let is_on_its_way =
        view.catalog.accumulates(node.metric) && state.target.is_some() && state.band.is_none();
    is_on_its_way.then_some(state.expected_share)
}

/// How a node stands, in a word and a tone.
pub(super) struct Status {
    pub(super) tone: &'static str,
    pub(super) text: String,
}

impl Status {
    pub(super) fn of(view: &View, state: &NodeState, language: Language) -> Status {
        let worst = view
            .alerts
            .iter()
            .filter(|alert| alert.is_firing() && alert.concerns(&view.snapshot, &state.key))
            .map(|alert| alert.severity)
            .max();
        let (tone, text) = match (worst, state.pace) {
            (Some(severity), _) => (severity_class(severity), language.pick("有告警", "Alert")),
            (None, Pace::NewDefinition) => ("none", language.pick("新口径", "New definition")),
            (None, _) if state.value.is_none() => ("none", language.pick("无数据", "No data")),
            (None, _) if state.target.is_none() => ("none", language.pick("无目标", "No target")),
            (None, Pace::TooEarly) => ("none", language.pick("为时尚早", "Too early")),
            (None, Pace::Ratio(pace)) if state.band.is_some() => match pace >= 1.0 {
                true => ("good", language.pick("在区间内", "In its band")),
                false => ("warn", language.pick("偏离区间", "Outside its band")),
            },
            (None, _) if state.completion.is_some_and(|done| done >= 1.0) => {
                ("good", language.pick("已完成", "Done"))
            }
            (None, Pace::Ratio(pace)) if pace >= 1.0 => ("good", language.pick("按计划", "On plan")),
            (None, Pace::Ratio(pace)) if pace >= 0.9 => ("good", language.pick("接近计划", "Near plan")),
            (None, Pace::Ratio(_)) => ("warn", language.pick("落后", "Behind")),
            (None, Pace::None) => ("none", language.pick("无进度", "No pace")),
        };
        Status {
            tone,
            text: text.to_owned(),
        }
    }
}

/// `/rejected`: the newest events that could not be used.
pub fn rejected(view: &View, reader: Reader) -> Markup {
    let language = reader.language;
    let zone = &view.catalog.calendar.timezone;
    let title = language.pick("被拒事件", "Rejected events");
    let content = html! {
        h1 { (title) }
        @if view.newest_rejected.is_empty() {
            p.empty { (language.pick("没有被拒的事件。", "No event has been rejected.")) }
        } @else {
            div.scroll {
                table {
                    thead { tr {
                        @for column in [("时间", "Read at"), ("原因", "Reason"), ("数据源", "Source"), ("主题", "Topic"), ("分区", "Partition"), ("位移", "Offset")] {
                            th scope="col" { (language.pick(column.0, column.1)) }
                        }
                    } }
                    tbody {
                        @for event in view.newest_rejected.iter() {
                            tr {
                                td { (language.moment(event.at, zone)) }
                                td { code { (event.reason) } @if !event.detail.is_empty() { div.meta { (event.detail) } } }
                                td { (event.source) }
                                td { (event.topic) }
                                td.number { (event.partition) }
                                td.number { (event.offset) }
                            }
                        }
                    }
                }
            }
        }
    };
    frame(view, reader, "/rejected", title, &content)
}

/// 404.
pub fn not_found(view: &View, reader: Reader) -> Markup {
    let language = reader.language;
    let title = language.pick("没有这个页面", "There is no such page");
    let content = html! {
        h1 { (title) }
        p.empty {
            (language.pick("这个指标可能已改名，或从未存在。", "The node may have been renamed, or never was."))
            " " a href=(reader.link("/")) { (language.pick("回到指标树", "Back to the tree")) }
        }
    };
    frame(view, reader, "/", title, &content)
}

/// Percent-encodes one path segment.
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

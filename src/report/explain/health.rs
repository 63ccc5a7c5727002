//! Health of what a node is computed from: its sources and those of its parent, its feed, and the days that say nothing
//! of its link.

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde::Serialize;

use super::super::past::{Past, SourceKept};
use super::text::{Table, line};
use crate::alert::record::Episode;
use crate::catalog::attribute::DriftKind;
use crate::catalog::severity::by_name;
use crate::catalog::{DayKind, Expected, Relation, Role, Severity, SourceId};
use crate::evaluate::drift::days_of;
use crate::evaluate::silence::{Freshness, Silent};
use crate::evaluate::{NodeState, Snapshot};
use crate::fold::day::Day;
use crate::words::drift::{no_chance, times};
use crate::words::{Language, length, percent};

/// Days that are named one by one.
const DAYS_NAMED: usize = 5;

/// Health of what a node is computed from.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct HealthText {
    /// The sources, those of the node first.
    pub sources: Vec<SourceText>,
    /// Who watches its feed.
    pub watched: Watched,
    /// What is found of its feed.
    pub feed: Vec<FeedFinding>,
    /// Days of the period so far that say nothing of its link.
    pub masked: Vec<MaskedDay>,
}

/// A source that the node or its parent is computed from.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct SourceText {
    /// Name in the catalogue.
    pub source: String,
    /// Who answers for it.
    pub owner: Option<String>,
    /// Whether only the parent is computed from it.
    pub of_parent: bool,
    /// How it stands; `None` of the past, of which it is not kept.
    pub now: Option<SourceNow>,
    /// Days of the period that are over and on which it brought nothing.
    pub silent_days: Vec<Date>,
    /// Its alerts that were firing at the moment.
    pub alerts: Vec<SourceAlert>,
}

/// How a source stood as the state was last written.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct SourceNow {
    /// Its silence; `None` where it was never looked at.
    pub silent: Option<Silent>,
    /// Whether what is usual is learned, and not declared.
    pub is_learned: bool,
    /// Event time of its newest event.
    pub newest_event: Option<Timestamp>,
    /// Events of the 24 hours before.
    pub read: u64,
    /// Those of them that were rejected.
    pub rejected: u64,
    /// Their most frequent reason.
    pub reason: Option<String>,
    /// What bounds let go in the 24 hours before.
    pub let_go: u64,
}

/// An alert of a source.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct SourceAlert {
    /// Its rule.
    pub rule: String,
    /// Since when it fires.
    pub since: Timestamp,
    /// At which level.
    #[serde(serialize_with = "by_name")]
    pub severity: Severity,
}

/// Who watches the feed of a node.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Watched {
    /// The judgement of feeds.
    ByItself,
    /// The judgement of its links.
    ByLinks,
    /// Nobody yet: no day has closed, or nothing watches it.
    NotYet,
    /// Of the past it is not kept.
    NotKept,
}

/// What is found of a feed.
#[derive(Clone, Copy, PartialEq, Debug, Serialize)]
pub struct FeedFinding {
    /// A silence (`feed_gap`) or another unit (`unit_change`).
    pub kind: &'static str,
    /// Whether it is about the feed of the parent.
    pub of_parent: bool,
    /// First day.
    pub since: Option<Date>,
    /// Of another unit: how many times the usual size values are.
    pub factor: Option<f64>,
    /// Probability that it is no chance.
    pub confidence: Option<f64>,
}

/// A day that says nothing of a link.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct MaskedDay {
    /// Which.
    pub day: Date,
    /// Its name in the calendar; `None` for a day beside a long holiday.
    pub name: Option<String>,
    /// `holiday`, `workday`, `promotion` or `beside_holiday`.
    pub kind: &'static str,
}

/// The health of an instance at a moment.
pub(super) fn health(past: &Past, snapshot: &Snapshot, state: &NodeState, at: Timestamp) -> HealthText {
    let is_now = past.is_now(at);
    let (watched, feed) = match is_now {
        true => feed(snapshot, state),
        false => (Watched::NotKept, Vec::new()),
    };
    HealthText {
        sources: sources(past, state, at),
        watched,
        feed,
        masked: masked(past, state, at),
    }
}

fn sources(past: &Past, state: &NodeState, at: Timestamp) -> Vec<SourceText> {
    let catalog = &past.catalog;
    let node = catalog.node(state.key.node);
    let parent = node
        .parent
        .as_ref()
        .map(|parent| catalog.node(parent.node).metric);
    // The day of the moment is not over: that nothing came yet says nothing.
    let today = catalog.calendar.day_of(at).min(state.period.end);
    let is_now = past.is_now(at);
    let mut found = Vec::new();
    for (position, source) in catalog.sources.iter().enumerate() {
        let id = SourceId(u32::try_from(position).unwrap_or(u32::MAX));
        let of_node = catalog.is_made_from(node.metric, id);
        let of_parent = parent.is_some_and(|metric| catalog.is_made_from(metric, id));
        if !of_node && !of_parent {
            continue;
        }
        let brought = past
            .cells
            .days_of_source(id, Day::of(state.period.start), Day::of(today));
        // Of days before everything that is kept nobody knows.
        let begins = past
            .first_day()
            .map_or(state.period.start, |first| first.max(state.period.start));
        let over = std::iter::successors(Some(begins), |day| day.tomorrow().ok());
        let fired = |episode: &&Episode| {
            episode.labels.get("source") == Some(&source.name)
                && episode.fired_at <= at
                && episode.ended_at.is_none_or(|ended_at| ended_at > at)
        };
        let is_learned = source.stale_after().is_none() && source.expected_interval == Expected::Learned;
        let now = past.sources.get(position).filter(|_| is_now);
        found.push(SourceText {
            source: source.name.clone(),
            owner: source.owner.clone(),
            of_parent: !of_node,
            now: now.map(|kept| stands(kept, is_learned)),
            silent_days: over
                .take_while(|day| *day < today)
                .filter(|day| !brought.contains(&Day::of(*day)))
                .collect(),
            alerts: past
                .episodes
                .iter()
                .filter(fired)
                .map(|episode| SourceAlert {
                    rule: episode.rule.clone(),
                    since: episode.fired_at,
                    severity: episode.severity,
                })
                .collect(),
        });
    }
    found.sort_by_key(|source| source.of_parent);
    found
}

fn stands(kept: &SourceKept, is_learned: bool) -> SourceNow {
    SourceNow {
        silent: kept.was_watched.then_some(kept.recent.silent),
        is_learned,
        newest_event: kept.newest_event,
        read: kept.recent.read,
        rejected: kept.recent.rejected,
        reason: kept.recent.reason.clone(),
        let_go: kept.recent.let_go,
    }
}

/// What is said of the feed of an instance at the last day close.
fn feed(snapshot: &Snapshot, state: &NodeState) -> (Watched, Vec<FeedFinding>) {
    if let Some(feed) = &state.feed {
        let mut found = Vec::new();
        if feed.silent_days > 0 {
            found.push(FeedFinding {
                kind: DriftKind::FeedGap.as_str(),
                of_parent: false,
                since: feed.silent_since,
                factor: None,
                confidence: feed.silent_confidence,
            });
        }
        if feed.changed_since.is_some() {
            found.push(FeedFinding {
                kind: DriftKind::UnitChange.as_str(),
                of_parent: false,
                since: feed.changed_since,
                factor: Some(feed.factor),
                confidence: feed.changed_confidence,
            });
        }
        return (Watched::ByItself, found);
    }
    let mut found: Vec<FeedFinding> = Vec::new();
    let mut is_watched = false;
    let is_of = |other: &&NodeState| other.key == state.key || other.parent.as_ref() == Some(&state.key);
    for other in snapshot.instances.iter().filter(is_of) {
        let Some(link) = &other.link else { continue };
        is_watched = true;
        let is_own = other.key == state.key;
        for finding in &link.findings {
            let Some(stream) = finding.stream else { continue };
            // Of a link below only what it says of this side; that of two links is the same.
            if !is_own && stream != "parent" {
                continue;
            }
            let told = FeedFinding {
                kind: finding.kind.as_str(),
                of_parent: is_own && stream == "parent",
                since: finding.since,
                factor: finding.gap,
                confidence: finding.confidence,
            };
            if !found
                .iter()
                .any(|known| known.kind == told.kind && known.of_parent == told.of_parent)
            {
                found.push(told);
            }
        }
    }
    let watched = if is_watched {
        Watched::ByLinks
    } else {
        Watched::NotYet
    };
    (watched, found)
}

/// Special days of the parent's calendar, by which a link is judged, and those beside a long holiday.
fn masked(past: &Past, state: &NodeState, at: Timestamp) -> Vec<MaskedDay> {
    let catalog = &past.catalog;
    let node = catalog.node(state.key.node);
    let parent = node
        .parent
        .as_ref()
        .filter(|parent| node.role == Role::Kpi && parent.relation == Relation::Influence);
    let Some(parent) = parent else { return Vec::new() };
    let calendar = catalog.calendar_of(catalog.node(parent.node));
    let days = days_of(calendar);
    let last = catalog.calendar.day_of(at);
    std::iter::successors(Some(state.period.start), |day| day.tomorrow().ok())
        .take_while(|day| *day <= last && *day < state.period.end)
        .filter(|day| days.is_unusual(Day::of(*day).0))
        .map(|day| {
            let special = calendar.special_days.get(&day);
            MaskedDay {
                day,
                name: special.map(|special| special.name.clone()),
                kind: match special.map(|special| special.kind) {
                    Some(DayKind::Holiday) => "holiday",
                    Some(DayKind::Workday) => "workday",
                    Some(DayKind::Promotion) => "promotion",
                    None => "beside_holiday",
                },
            }
        })
        .collect()
}

/// The health in words.
pub(super) fn text(out: &mut String, health: &HealthText, language: Language, zone: &TimeZone) {
    out.push('\n');
    line(out, language.pick("数据健康", "Health of the data"));
    let mut table = Table::default();
    for source in &health.sources {
        let owner = source.owner.as_ref();
        let owner = owner.map_or_else(String::new, |owner| match language {
            Language::Zh => format!("（负责人 {owner}）"),
            Language::En => format!(" (owner {owner})"),
        });
        let of = match source.of_parent {
            true => language.pick("（上级的）", " (of the parent)"),
            false => "",
        };
        let term = format!("  {}{of}", source.source);
        let mut said = match &source.now {
            Some(now) => source_now(now, language, zone),
            None => vec![
                language
                    .pick("当时的状态没有保存", "how it stood then is not kept")
                    .to_owned(),
            ],
        };
        if !source.silent_days.is_empty() {
            let count = source.silent_days.len();
            let named = named(source.silent_days.iter().map(|day| language.date(*day)), language);
            said.push(match language {
                Language::Zh => format!("本期 {count} 天没有数据（{named}）"),
                Language::En if count == 1 => format!("nothing on 1 day of the period ({named})"),
                Language::En => format!("nothing on {count} days of the period ({named})"),
            });
        }
        said.extend(source.alerts.iter().map(|alert| {
            let (rule, since) = (&alert.rule, language.moment(alert.since, zone));
            let severity = alert.severity.as_str();
            match language {
                Language::Zh => format!("{rule} 自 {since} 起告警（{severity}）"),
                Language::En => format!("{rule} firing since {since} ({severity})"),
            }
        }));
        table.row(&term, format!("{}{owner}", said.join(language.pick("；", "; "))));
    }
    table.row(
        &format!("  {}", language.pick("数据流", "feed")),
        feed_in_words(health, language),
    );
    if !health.masked.is_empty() {
        let days = health.masked.iter().map(|masked| {
            let what = masked.name.as_deref().filter(|name| !name.is_empty());
            let what = what.unwrap_or_else(|| match masked.kind {
                "holiday" => language.pick("假日", "holiday"),
                "workday" => language.pick("调休上班", "make-up day"),
                "promotion" => language.pick("促销", "promotion"),
                _ => language.pick("长假前后", "beside a long holiday"),
            });
            format!("{} {what}", language.date(masked.day))
        });
        let (count, named) = (health.masked.len(), named(days, language));
        table.row(
            &format!("  {}", language.pick("不计入联动", "not of the link")),
            match language {
                Language::Zh => format!("{count} 天（{named}）"),
                Language::En if count == 1 => format!("1 day ({named})"),
                Language::En => format!("{count} days ({named})"),
            },
        );
    }
    table.print(out);
}

fn named(days: impl ExactSizeIterator<Item = String>, language: Language) -> String {
    let is_more = days.len() > DAYS_NAMED;
    let mut named: Vec<String> = days.take(DAYS_NAMED).collect();
    if is_more {
        named.push("…".to_owned());
    }
    named.join(language.pick("、", ", "))
}

fn source_now(now: &SourceNow, language: Language, zone: &TimeZone) -> Vec<String> {
    let mut said = Vec::new();
    match &now.silent {
        None => said.push(
            language
                .pick("还没有观察到它的节奏", "its rhythm has not been watched yet")
                .to_owned(),
        ),
        Some(silent) => said.push(silence(silent, now.is_learned, language)),
    }
    if let Some(newest) = now.newest_event {
        let newest = language.moment(newest, zone);
        said.push(match language {
            Language::Zh => format!("最新事件 {newest}"),
            Language::En => format!("newest event of {newest}"),
        });
    }
    let number = |count: u64| language.number(count as f64);
    if now.read > 0 {
        let (read, rejected) = (number(now.read), number(now.rejected));
        let share = percent(now.rejected as f64 / now.read as f64);
        let reason = now.reason.as_deref().unwrap_or("—");
        said.push(match (now.rejected, language) {
            (0, Language::Zh) => format!("24 小时内 {read} 个事件，没有被拒绝的"),
            (0, Language::En) => format!("{read} events in 24 hours, none rejected"),
            (_, Language::Zh) => {
                format!("24 小时内 {read} 个事件，拒绝 {rejected} 个（{share}），多为 {reason}")
            }
            (_, Language::En) => {
                format!("{read} events in 24 hours, {rejected} rejected ({share}), most often for {reason}")
            }
        });
    }
    if now.let_go > 0 {
        let let_go = number(now.let_go);
        said.push(match language {
            Language::Zh => format!("超出上限丢弃 {let_go}"),
            Language::En => format!("{let_go} let go by its bounds"),
        });
    }
    said
}

fn silence(silent: &Silent, is_learned: bool, language: Language) -> String {
    let stands = match silent.freshness {
        Freshness::Live => language.pick("正常", "ok"),
        Freshness::Late => language.pick("偏晚", "late"),
        Freshness::Stale => language.pick("中断", "stale"),
    };
    if silent.freshness == Freshness::Live {
        return stands.to_owned();
    }
    let lasted = length(silent.lasted.as_secs(), language);
    let against = match (silent.expected, is_learned, language) {
        (Some(every), _, Language::Zh) => format!("，预期至少每 {}一次", length(every.as_secs(), language)),
        (Some(every), _, Language::En) => {
            format!(", one is expected every {}", length(every.as_secs(), language))
        }
        (None, true, _) => language
            .pick(
                "，比这个时段平时更久",
                ", longer than is usual at this time of the week",
            )
            .to_owned(),
        (None, false, _) => String::new(),
    };
    match language {
        Language::Zh => format!("{stands}：已有 {lasted}没有事件{against}"),
        Language::En => format!("{stands}: nothing for {lasted}{against}"),
    }
}

fn feed_in_words(health: &HealthText, language: Language) -> String {
    let nothing = match health.watched {
        Watched::NotKept => language.pick("当时的判断没有保存", "what was said of it then is not kept"),
        Watched::NotYet => language.pick("目前没有结论", "nothing is said of it so far"),
        Watched::ByItself => language.pick("如常", "as usual"),
        Watched::ByLinks => language.pick("如常（由联动判断）", "as usual (judged with its links)"),
    };
    if health.feed.is_empty() {
        return nothing.to_owned();
    }
    let said = health.feed.iter().map(|found| {
        let whose = match found.of_parent {
            true => language.pick("上级", "the parent: "),
            false => "",
        };
        let since = found.since.map_or_else(|| "—".to_owned(), |day| day.to_string());
        let chance = no_chance(found.confidence, language);
        match (found.factor, language) {
            (Some(factor), Language::Zh) => {
                format!(
                    "{whose}自 {since} 起数值为平时的 {} 倍{chance}",
                    times(Some(factor))
                )
            }
            (Some(factor), Language::En) => {
                format!(
                    "{whose}values are {} times their usual size since {since}{chance}",
                    times(Some(factor))
                )
            }
            (None, Language::Zh) => format!("{whose}自 {since} 起没有数据{chance}"),
            (None, Language::En) => format!("{whose}silent since {since}{chance}"),
        }
    });
    said.collect::<Vec<_>>().join(language.pick("；", "; "))
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;
    use jiff::civil::date;

    use super::*;

    fn told(health: &HealthText, language: Language) -> String {
        let mut out = String::new();
        text(&mut out, health, language, &TimeZone::UTC);
        out
    }

    /// A source that is late and rejects some, one of the parent that was never watched, another unit, and a holiday.
    #[test]
    fn health_in_words() {
        let late = SourceText {
            source: "orders".to_owned(),
            owner: Some("data".to_owned()),
            of_parent: false,
            now: Some(SourceNow {
                silent: Some(Silent {
                    freshness: Freshness::Late,
                    lasted: SignedDuration::from_mins(30),
                    expected: Some(SignedDuration::from_mins(10)),
                    ..Silent::default()
                }),
                is_learned: false,
                newest_event: Some("2026-06-16T10:00:00Z".parse().unwrap()),
                read: 200,
                rejected: 30,
                reason: Some("no_time".to_owned()),
                let_go: 0,
            }),
            silent_days: vec![date(2026, 6, 3)],
            alerts: Vec::new(),
        };
        let unwatched = SourceText {
            source: "visits".to_owned(),
            owner: None,
            of_parent: true,
            now: Some(SourceNow {
                silent: None,
                is_learned: true,
                newest_event: None,
                read: 0,
                rejected: 0,
                reason: None,
                let_go: 0,
            }),
            silent_days: Vec::new(),
            alerts: Vec::new(),
        };
        let health = HealthText {
            sources: vec![late, unwatched],
            watched: Watched::ByItself,
            feed: vec![FeedFinding {
                kind: "unit_change",
                of_parent: false,
                since: Some(date(2026, 6, 9)),
                factor: Some(100.0),
                confidence: Some(0.992),
            }],
            masked: vec![MaskedDay {
                day: date(2026, 6, 19),
                name: Some("端午节".to_owned()),
                kind: "holiday",
            }],
        };
        let english = told(&health, Language::En);
        for said in [
            "late: nothing for 30 minutes, one is expected every 10 minutes; newest event of 16 June 10:00; 200 events in 24 hours, 30 rejected (15%), most often for no_time; nothing on 1 day of the period (3 June) (owner data)",
            "visits (of the parent)  its rhythm has not been watched yet",
            "values are 100 times their usual size since 2026-06-09 (99% sure that it is no chance)",
            "1 day (19 June 端午节)",
        ] {
            assert!(english.contains(said), "{said} in\n{english}");
        }
        let chinese = told(&health, Language::Zh);
        for said in [
            "偏晚：已有 30 分钟没有事件，预期至少每 10 分钟一次；最新事件 6月16日 10:00；24 小时内 200 个事件，拒绝 30 个（15%），多为 no_time；本期 1 天没有数据（6月3日）（负责人 data）",
            "visits（上级的）",
            "自 2026-06-09 起数值为平时的 100 倍（不是偶然的把握 99%）",
            "1 天（6月19日 端午节）",
        ] {
            assert!(chinese.contains(said), "{said} in\n{chinese}");
        }
    }

    /// A snapshot of June's shop, with where a node stands in it.
    fn june_with(change: impl Fn(&mut Snapshot, &dyn Fn(&str) -> usize)) -> (Past, Snapshot, Vec<usize>) {
        let mut past = crate::report::world::june();
        let mut snapshot = past.at(past.watermark.unwrap());
        let catalog = past.catalog.clone();
        let places: Vec<usize> = ["revenue", "articles", "weekly"]
            .into_iter()
            .map(|name| {
                let id = catalog.node_named(name).unwrap();
                snapshot
                    .instances
                    .iter()
                    .position(|state| state.key.node == id)
                    .unwrap()
            })
            .collect();
        let of = places.clone();
        let place = move |name: &str| match name {
            "revenue" => of[0],
            "articles" => of[1],
            _ => of[2],
        };
        change(&mut snapshot, &place);
        (past, snapshot, places)
    }

    #[test]
    fn what_is_found_of_a_feed_is_its_own_or_that_of_its_links() {
        let gap = |stream: &'static str, confidence: f64| crate::evaluate::LinkFinding {
            kind: DriftKind::FeedGap,
            since: Some(date(2026, 6, 20)),
            gap: None,
            kpi: None,
            parent: None,
            evidence: None,
            confidence: Some(confidence),
            stream: Some(stream),
            answered: None,
            lag_days: None,
        };
        let linked = |findings: Vec<crate::evaluate::LinkFinding>| {
            Some(std::sync::Arc::new(crate::evaluate::LinkState {
                findings,
                ..Default::default()
            }))
        };
        // A node that no link watches: silent, and in another unit before.
        let (_, snapshot, places) = june_with(|snapshot, place| {
            let state = &mut snapshot.instances[place("revenue")];
            state.feed = Some(std::sync::Arc::new(crate::evaluate::FeedState {
                silent_days: 3,
                silent_since: Some(date(2026, 6, 29)),
                silent_confidence: Some(0.99),
                factor: 100.0,
                changed_since: Some(date(2026, 6, 9)),
                changed_confidence: Some(0.9999),
            }));
        });
        let (watched, found) = feed(&snapshot, &snapshot.instances[places[0]]);
        assert_eq!(watched, Watched::ByItself);
        let told: Vec<_> = found
            .iter()
            .map(|one| (one.kind, one.of_parent, one.factor, one.confidence))
            .collect();
        assert_eq!(
            told,
            [
                ("feed_gap", false, None, Some(0.99)),
                ("unit_change", false, Some(100.0), Some(0.9999))
            ]
        );
        // Two links of a parent that say the same of its feed, and one of its own.
        let (_, snapshot, places) = june_with(|snapshot, place| {
            snapshot.instances[place("articles")].link = linked(vec![gap("parent", 0.995)]);
            snapshot.instances[place("weekly")].link = linked(vec![gap("kpi", 0.991), gap("parent", 0.995)]);
        });
        let (watched, found) = feed(&snapshot, &snapshot.instances[places[0]]);
        assert_eq!(watched, Watched::ByLinks);
        let told: Vec<_> = found
            .iter()
            .map(|one| (one.kind, one.of_parent, one.confidence))
            .collect();
        assert_eq!(told, [("feed_gap", false, Some(0.995))]);
        // Of its own link a KPI says both sides, and which is the parent's.
        let (_, found) = feed(&snapshot, &snapshot.instances[places[2]]);
        let told: Vec<_> = found.iter().map(|one| (one.of_parent, one.confidence)).collect();
        assert_eq!(told, [(false, Some(0.991)), (true, Some(0.995))]);
        // Of the link of another one it says nothing.
        let (watched, found) = feed(&snapshot, &snapshot.instances[places[1]]);
        assert_eq!(
            (watched, found.len(), found[0].of_parent),
            (Watched::ByLinks, 1, true)
        );
        // Before anything is judged there is nothing to say.
        let (_, snapshot, places) = june_with(|snapshot, place| {
            for name in ["revenue", "articles", "weekly"] {
                let state = &mut snapshot.instances[place(name)];
                (state.feed, state.link) = (None, None);
            }
        });
        assert_eq!(
            feed(&snapshot, &snapshot.instances[places[0]]),
            (Watched::NotYet, Vec::new())
        );
    }

    /// October 2026 in China: a week of holidays, a Saturday that is worked, and the six days behind.
    #[test]
    fn days_of_a_long_holiday_and_beside_it_say_nothing_of_a_link() {
        const CATALOG: &str = r#"
calendar: {timezone: Asia/Shanghai, workdays: [mon, tue, wed, thu, fri], holidays: holidays.csv}
sources:
  days: {topics: [days], format: json, time: time, fields: {what: what, value: value}}
metrics:
  revenue: {source: days, agg: sum, expr: value, filter: what == "revenue"}
  visits:  {source: days, agg: sum, expr: value, filter: what == "visits"}
nodes:
  revenue: {metric: revenue, role: business, period: month}
  visits:  {metric: visits, role: kpi, parent: revenue, relation: influence, period: month}
"#;
        let mut holidays = "date,kind,name\n".to_owned();
        for day in 1..=7 {
            holidays.push_str(&format!("2026-10-{day:02},holiday,国庆节\n"));
        }
        holidays.push_str("2026-10-10,workday,国庆节调休\n2026-10-24,promotion,预售\n");
        let files =
            crate::catalog::load::Files::new("", [("a.yaml", CATALOG), ("holidays.csv", holidays.as_str())]);
        let events: Vec<(u32, String)> = (1..=29)
            .map(|day| {
                (
                    0,
                    format!(r#"{{"time": "2026-10-{day:02}T10:00:00+08:00", "what": "visits", "value": 3}}"#),
                )
            })
            .collect();
        let mut past = crate::report::world::unjudged(&files, &events, "2026-10-29T12:00:00+08:00");
        let mut told = |node: &str, at: Option<&str>| -> Vec<(i8, &'static str, Option<String>)> {
            let at = at.map(|at| at.parse().unwrap());
            let found = super::super::explain(&mut past, node, &[], at).unwrap().health;
            let days = found.masked.into_iter();
            days.map(|masked| (masked.day.day(), masked.kind, masked.name))
                .collect()
        };
        let all = told("visits", None);
        let kinds: Vec<(i8, &str)> = all.iter().map(|(day, kind, _)| (*day, *kind)).collect();
        let mut expected: Vec<(i8, &str)> = (1..=7).map(|day| (day, "holiday")).collect();
        expected.extend([8, 9].map(|day| (day, "beside_holiday")));
        expected.push((10, "workday"));
        expected.extend([11, 12, 13].map(|day| (day, "beside_holiday")));
        expected.push((24, "promotion"));
        assert_eq!(kinds, expected);
        assert_eq!(all[0].2.as_deref(), Some("国庆节"));
        assert_eq!(
            (all[7].2.as_deref(), all[9].2.as_deref()),
            (None, Some("国庆节调休"))
        );
        // Up to the moment that is asked for.
        let known = told("visits", Some("2026-10-09T12:00:00+08:00"));
        assert_eq!(known.last().map(|(day, ..)| *day), Some(9));
        // What serves nothing has no link that days could say nothing of.
        assert!(told("revenue", None).is_empty());
    }

    #[test]
    fn of_the_past_is_said_what_is_not_kept() {
        let mut past = crate::report::world::june();
        let at = Some("2026-06-24T12:00:00+08:00".parse().unwrap());
        let found = super::super::explain(&mut past, "revenue", &[], at)
            .unwrap()
            .health;
        assert_eq!(found.watched, Watched::NotKept);
        let [orders] = &found.sources[..] else {
            panic!("{found:?}")
        };
        assert_eq!(
            (orders.now.as_ref(), &orders.silent_days),
            (None, &vec![date(2026, 6, 20)])
        );
        let now = super::super::explain(&mut past, "articles", &[], None)
            .unwrap()
            .health;
        let sources: Vec<_> = now
            .sources
            .iter()
            .map(|of| (of.source.as_str(), of.of_parent))
            .collect();
        assert_eq!(sources, [("articles", false), ("orders", true)]);
        assert!(now.sources.iter().all(|source| source.now.is_some()));
    }

    #[test]
    fn how_a_source_stands_is_read_from_what_the_state_keeps() {
        let mut past = crate::report::world::june();
        past.sources[0] = SourceKept {
            recent: crate::evaluate::intake::Recent {
                read: 10,
                rejected: 1,
                ..Default::default()
            },
            was_watched: true,
            newest_event: None,
        };
        let now = super::super::explain(&mut past, "revenue", &[], None).unwrap();
        let said = told(&now.health, Language::En);
        assert!(
            said.contains("ok; 10 events in 24 hours, 1 rejected (10%), most often for —"),
            "{said}"
        );
    }
}

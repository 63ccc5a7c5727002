//! What several notices say that were decided together: one line each, the worst first.

use std::collections::{BTreeMap, HashSet};

use super::single::{can_be_taken, mark};
use super::{Does, Item, Link, Message, Reader, Tone};
use crate::alert::notice::{Notice, NoticeKind, ResolveReason};
use crate::catalog::Severity;
use crate::notify::phrases;
use crate::words::Language;

/// Alerts that are listed one by one; the rest is counted.
const LISTED: usize = 10;
/// Messages decided apart of which a link takes the alerts: an address must not grow without end.
const MOST_PARTS: usize = 20;
/// Parents that a storm is counted by; the rest is counted together.
const PARENTS: usize = 5;

pub(super) fn message(notices: &[Notice], reader: &Reader<'_>) -> Message {
    let language = reader.language;
    let is_gathered = notices.iter().any(|notice| notice.bundle != notices[0].bundle);
    let mut ranked: Vec<&Notice> = if is_gathered {
        as_they_stand(notices)
    } else {
        notices.iter().collect()
    };
    ranked.sort_by(|a, b| rank(b).partial_cmp(&rank(a)).unwrap_or(std::cmp::Ordering::Equal));
    let Some(worst) = ranked.first().copied() else {
        return empty(language);
    };
    let is_storm = notices.iter().any(|notice| notice.storm);
    let items = ranked.iter().take(LISTED).map(|notice| {
        let Message { title, lead, .. } = Message::of_one(notice, reader);
        Item { title, lead }
    });
    Message {
        title: title(&ranked, is_storm, language),
        lead: if is_gathered {
            let counts = by_parent(&ranked, language);
            format!("{} {counts}", waited(notices, reader)).trim().to_owned()
        } else if is_storm {
            by_parent(&ranked, language)
        } else {
            shared(worst, language)
        },
        items: items.collect(),
        more: ranked.len().saturating_sub(LISTED),
        links: links(&ranked, reader),
        tone: Tone::of(worst),
        ..Message::blank(worst, language)
    }
}

/// What to do: read more, and take or silence all that can be taken.
fn links(ranked: &[&Notice], reader: &Reader<'_>) -> Vec<Link> {
    let language = reader.language;
    let Some(page) = reader.page.map(|page| page.trim_end_matches('/')) else {
        return Vec::new();
    };
    let mut links = vec![Link {
        label: language.pick("打开页面", "Open the page").to_owned(),
        url: format!("{page}/"),
        does: Does::Show,
    }];
    let takeable = ranked.iter().filter(|notice| can_be_taken(notice));
    let mut whole: Vec<&str> = Vec::new();
    for notice in takeable.clone() {
        // The server knows which alerts a message was about.
        let part = match notice.bundle.as_str() {
            "" => &notice.episode,
            bundle => bundle,
        };
        if !whole.contains(&part) && whole.len() < MOST_PARTS {
            whole.push(part);
        }
    }
    let told_at = takeable
        .map(|notice| notice.told_at.unwrap_or(notice.decided_at))
        .max();
    if let (Some(signer), Some(told_at)) = (reader.signer, told_at) {
        let subject = whole.join(",");
        for (label, action, does) in [
            (language.pick("全部认领", "Acknowledge all"), "ack", Does::Ack),
            (language.pick("全部静默", "Silence all"), "silence", Does::Silence),
        ] {
            links.push(Link {
                label: label.to_owned(),
                url: signer.link(page, action, &subject, told_at),
                does,
            });
        }
    }
    links
}

/// The last notice of each episode: who hears of several things at once needs to know how they stand, not how they got
/// there.
fn as_they_stand(notices: &[Notice]) -> Vec<&Notice> {
    let mut seen = HashSet::new();
    let last = notices.iter().rev().filter(|notice| seen.insert(&notice.episode));
    let mut last: Vec<&Notice> = last.collect();
    last.reverse();
    last
}

/// Why alerts are told together that were decided apart.
fn waited(notices: &[Notice], reader: &Reader<'_>) -> String {
    let since = notices.iter().filter_map(|notice| notice.told_at).min();
    let language = reader.language;
    let Some(since) = since else {
        return String::new();
    };
    let blank = Message {
        zone: reader.zone.cloned().unwrap_or(jiff::tz::TimeZone::UTC),
        ..empty(language)
    };
    let since = phrases::at(&blank, since);
    match language {
        Language::Zh => format!("渠道繁忙或曾不可用，{since} 以来积压的通知合并在此。"),
        Language::En => {
            format!("The channel was busy or away: what has waited since {since} is told together.")
        }
    }
}

/// What still fires before what is over, the worse level first, then by weight and gap.
fn rank(notice: &Notice) -> (bool, Severity, f64) {
    let fires = !is_over(notice);
    (fires, notice.severity, notice.facts.impact().unwrap_or(0.0))
}

fn is_over(notice: &Notice) -> bool {
    notice.kind == NoticeKind::Resolved
}

fn title(ranked: &[&Notice], is_storm: bool, language: Language) -> String {
    let over = ranked.iter().filter(|notice| is_over(notice)).count();
    let firing = ranked.len() - over;
    let worst = ranked
        .iter()
        .filter(|notice| !is_over(notice))
        .map(|notice| notice.severity)
        .max();
    let fires = worst.map(|worst| match (is_storm, language) {
        (true, Language::Zh) => format!("{} 同时触发 {firing} 项告警", mark(worst)),
        (true, Language::En) => format!("{} {firing} alerts at once", mark(worst)),
        (false, Language::Zh) => format!("{} {firing} 项告警", mark(worst)),
        (false, Language::En) => format!("{} {firing} alert{}", mark(worst), plural(firing)),
    });
    let ended = (over > 0).then(|| match language {
        Language::Zh => format!("✅ {over} 项已结束"),
        Language::En => format!("✅ {over} over"),
    });
    [fires, ended]
        .into_iter()
        .flatten()
        .collect::<Vec<_>>()
        .join(language.pick("，", ", "))
}

fn plural(count: usize) -> &'static str {
    if count == 1 { "" } else { "s" }
}

/// What the alerts have in common.
fn shared(notice: &Notice, language: Language) -> String {
    let shared = notice.group.iter().filter(|(_, value)| !value.is_empty());
    let shared: Vec<String> = shared
        .map(|(name, value)| format!("{}{}{value}", label(name, language), language.pick("：", ": ")))
        .collect();
    shared.join(" · ")
}

/// A label's name, for people.
fn label(name: &str, language: Language) -> &str {
    let known = match name {
        "alertname" => language.pick("规则", "Rule"),
        "parent" => language.pick("所服务的指标", "Serves"),
        "period" => language.pick("期间", "Period"),
        "node" => language.pick("指标", "Node"),
        "owner" => language.pick("负责人", "Owner"),
        "source" => language.pick("数据源", "Source"),
        "severity" => language.pick("级别", "Severity"),
        "kind" => language.pick("类别", "Kind"),
        _ => "",
    };
    if known.is_empty() { name } else { known }
}

/// How many alerts stand under each parent, the most first.
fn by_parent(ranked: &[&Notice], language: Language) -> String {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for notice in ranked.iter().filter(|notice| !is_over(notice)) {
        let parent = notice.facts.parent.as_ref().map(|parent| parent.title.clone());
        let parent = parent.or_else(|| notice.labels.get("parent").cloned());
        let none = || language.pick("无上级", "without a parent").to_owned();
        *counts.entry(parent.unwrap_or_else(none)).or_default() += 1;
    }
    let mut counts: Vec<(String, usize)> = counts.into_iter().collect();
    counts.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    let rest: usize = counts.iter().skip(PARENTS).map(|(_, count)| count).sum();
    let mut parts: Vec<String> = counts
        .iter()
        .take(PARENTS)
        .map(|(parent, count)| format!("{parent} {count}"))
        .collect();
    if rest > 0 {
        parts.push(format!("{} {rest}", language.pick("其他", "others")));
    }
    parts.join(" · ")
}

fn empty(language: Language) -> Message {
    Message {
        title: String::new(),
        lead: String::new(),
        fields: Vec::new(),
        items: Vec::new(),
        more: 0,
        trends_title: String::new(),
        trends: Vec::new(),
        links: Vec::new(),
        id: String::new(),
        kind: String::new(),
        tone: Tone::Neutral,
        event_time: jiff::Timestamp::UNIX_EPOCH,
        language,
        zone: jiff::tz::TimeZone::UTC,
    }
}

impl Tone {
    /// The tone of one notice.
    pub(super) fn of(notice: &Notice) -> Tone {
        match (notice.kind, notice.reason) {
            (NoticeKind::Resolved, Some(ResolveReason::Recovered) | None) | (NoticeKind::Acked, _) => {
                Tone::Good
            }
            (
                NoticeKind::Resolved
                | NoticeKind::Reminder
                | NoticeKind::Digest
                | NoticeKind::Proposal
                | NoticeKind::Correction
                | NoticeKind::DeEscalated,
                _,
            ) => Tone::Neutral,
            _ => Tone::Alert(notice.severity.like()),
        }
    }
}

//! Digests, reminders and proposals: what is about no single episode.

use super::single::{encoded, mark, severity};
use super::{Does, Field, Item, Link, Message, Reader, Tone, Value};
use crate::alert::notice::{Aside, Digest, DigestLine, EndingSilence, Notice};
use crate::alert::record::Figure;
use crate::evaluate::weights::{Line, Titled};
use crate::words::{Language, percent, sentence, weights as words};

/// Alerts that are listed one by one; the rest is counted.
const LISTED: usize = 12;
/// Proposals that are named; the rest is counted.
const WAITING: usize = 5;
/// Nodes in the table of forecasts.
const FORECASTS: usize = 8;

pub(super) fn message(notice: &Notice, aside: &Aside, reader: &Reader<'_>) -> Message {
    let language = reader.language;
    let link = |label: &str, path: &str| {
        reader.page.map(|page| Link {
            label: label.to_owned(),
            url: format!("{}/{path}", page.trim_end_matches('/')),
            does: Does::Show,
        })
    };
    match aside {
        Aside::Digest(digest) => Message {
            title: digest_title(digest, language),
            lead: digest_lead(digest, language),
            items: digest
                .open
                .iter()
                .chain(&digest.ended)
                .take(LISTED)
                .map(|line| item(line, digest.name.is_none(), language))
                .collect(),
            more: (digest.open.len() + digest.ended.len()).saturating_sub(LISTED),
            fields: all_waiting(&digest.waiting, language)
                .chain(
                    digest
                        .forecast
                        .iter()
                        .take(FORECASTS)
                        .filter_map(|figure| forecast(figure, language)),
                )
                .collect(),
            links: link(language.pick("打开页面", "Open the page"), "")
                .into_iter()
                .collect(),
            tone: digest
                .open
                .iter()
                .map(|line| line.severity)
                .max()
                .map_or(Tone::Good, |worst| Tone::Alert(worst.like())),
            ..Message::blank(notice, language)
        },
        Aside::Silence(silence) => Message {
            title: silence_title(silence, language),
            lead: silence_lead(silence, language),
            fields: vec![
                Field {
                    name: language.pick("静默条件", "Silences").to_owned(),
                    value: Value::Text(silence.matchers.join(", ")),
                },
                Field {
                    name: language.pick("结束于", "Ends").to_owned(),
                    value: Value::Moment(silence.ends_at, None),
                },
            ],
            links: link(language.pick("打开页面", "Open the page"), "")
                .into_iter()
                .collect(),
            ..Message::blank(notice, language)
        },
        Aside::Weights(proposal) => Message {
            title: proposal_title(proposal, language),
            lead: proposal_lead(proposal, language),
            items: proposed(proposal, language),
            more: proposal.proposal.lines.len().saturating_sub(LISTED),
            fields: proposal_fields(proposal, reader.page.is_some(), language),
            links: link(
                language.pick("去决定", "Decide"),
                &format!("nodes/{}#weights", encoded(&proposal.proposal.parent)),
            )
            .into_iter()
            .collect(),
            ..Message::blank(notice, language)
        },
    }
}

fn proposal_title(proposal: &Titled, language: Language) -> String {
    let title = &proposal.title;
    match language {
        Language::Zh => format!("⚖️ {title}的 KPI 权重有调整建议，等待批准"),
        Language::En => format!("⚖️ New weights for the KPIs of {title} wait for approval"),
    }
}

fn proposal_lead(proposal: &Titled, language: Language) -> String {
    let (closed, next) = (&proposal.proposal.closed, proposal.proposal.next);
    match language {
        Language::Zh => format!(
            "{closed} 结束时按各项 KPI 的实际带动作用提出。批准之前一切不变；批准后自下一期间起生效，最早 {next}。"
        ),
        Language::En => format!(
            "Proposed at the close of {closed}, by what each KPI is seen to explain. Nothing changes before somebody approves; then it applies from the start of the next period, {next} at the earliest."
        ),
    }
}

/// The weights now and as proposed, and why; those that change first.
fn proposed(proposal: &Titled, language: Language) -> Vec<Item> {
    let mut lines: Vec<_> = proposal.proposal.lines.iter().zip(&proposal.titles).collect();
    lines.sort_by(|(a, _), (b, _)| {
        let size = |line: &Line| (line.after - line.before).abs();
        size(b).total_cmp(&size(a))
    });
    lines
        .into_iter()
        .take(LISTED)
        .map(|(line, kpi)| Item {
            title: format!(
                "{kpi}{}{}",
                language.pick("：", ": "),
                words::change(line, language)
            ),
            lead: format!(
                "{}{}",
                words::because(line, kpi, &proposal.title, language),
                language.pick("。", ".")
            ),
        })
        .collect()
}

fn proposal_fields(proposal: &Titled, has_page: bool, language: Language) -> Vec<Field> {
    let call = format!(
        "POST /api/v1/weights/{}/{}",
        encoded(&proposal.proposal.parent),
        proposal.proposal.closed
    );
    let how = match (has_page, language) {
        (true, Language::Zh) => format!("打开链接批准或否决，或 {call}；需要 approver 角色的口令"),
        (true, Language::En) => {
            format!("approve or reject by the link, or {call}; it takes a token of the role approver")
        }
        (false, Language::Zh) => format!("{call}；需要 approver 角色的口令"),
        (false, Language::En) => format!("{call}; it takes a token of the role approver"),
    };
    let owner = proposal.owner.iter().map(|owner| Field {
        name: language.pick("负责人", "Owner").to_owned(),
        value: Value::Text(owner.clone()),
    });
    let how = Field {
        name: language.pick("怎样决定", "How to decide").to_owned(),
        value: Value::Text(how),
    };
    owner.chain([how]).collect()
}

/// Proposals that wait, and how many there are beyond those that are named.
fn all_waiting(proposals: &[Titled], language: Language) -> impl Iterator<Item = Field> {
    let named = proposals.iter().take(WAITING);
    let more = proposals.len().saturating_sub(WAITING);
    let more = (more > 0).then(|| Field {
        name: language.pick("其他 KPI 权重", "Weights of other KPIs").to_owned(),
        value: Value::Text(match language {
            Language::Zh => format!("另有 {more} 项调整建议待批准"),
            Language::En => format!("+{more} more proposals wait for approval"),
        }),
    });
    named.map(move |proposal| waiting(proposal, language)).chain(more)
}

/// "Weights of Revenue's KPIs: proposed at the close of 2026-06, wait for a decision".
fn waiting(proposal: &Titled, language: Language) -> Field {
    let (title, closed) = (&proposal.title, &proposal.proposal.closed);
    let (name, text) = match language {
        Language::Zh => (
            format!("{title}的 KPI 权重"),
            format!("{closed} 结束时的调整建议仍待批准"),
        ),
        Language::En => (
            format!("Weights of the KPIs of {title}"),
            format!("what the close of {closed} proposed still waits for approval"),
        ),
    };
    Field {
        name,
        value: Value::Text(text),
    }
}

fn digest_title(digest: &Digest, language: Language) -> String {
    let (open, ended) = (digest.open.len(), digest.ended.len());
    let name = match &digest.name {
        Some(name) => name.clone(),
        None => language.pick("离线期间", "While we were away").to_owned(),
    };
    match language {
        Language::Zh => format!("🗞️ {name}：{open} 项告警未解决，{ended} 项已结束"),
        Language::En => format!("🗞️ {name}: {open} firing, {ended} over"),
    }
}

fn digest_lead(digest: &Digest, language: Language) -> String {
    let new = digest.open.iter().filter(|line| line.is_new).count();
    let moved = digest
        .open
        .iter()
        .filter(|line| !line.is_new && line.was.is_some());
    let moved = match (moved.count(), language) {
        (0, _) => String::new(),
        (count, Language::Zh) => format!("，{count} 项级别有变"),
        (count, Language::En) => format!(", {count} at another level"),
    };
    match (&digest.name, language) {
        (None, Language::Zh) => "停机期间触发并已结束的告警，不再逐条通知。".to_owned(),
        (None, Language::En) => {
            "What fired and ended while the daemon was down; it is told once, here.".to_owned()
        }
        (Some(_), Language::Zh) => format!("自上次摘要以来新触发 {new} 项{moved}。"),
        (Some(_), Language::En) => format!("{new} of them new since the last digest{moved}."),
    }
}

/// What fires, with what is new of it, or how long it did. `all_untold`: the message says already that nobody was told.
fn item(line: &DigestLine, all_untold: bool, language: Language) -> Item {
    let rule = line.labels.get("alertname").unwrap_or(&line.alert_kind);
    let heading = sentence::heading(rule, &line.alert_kind, &line.facts, language);
    match line.ended_at {
        Some(ended) => {
            let lasted = language.lasting(line.fired_at, ended);
            let mut lead = match (line.episodes, language) {
                (0 | 1, Language::Zh) => format!("持续 {lasted}。"),
                (0 | 1, Language::En) => format!("It lasted {lasted}."),
                (count, Language::Zh) => format!("共 {count} 次，最近一次持续 {lasted}。"),
                (count, Language::En) => format!("{count} times; the last one lasted {lasted}."),
            };
            if line.untold && !all_untold {
                lead.push_str(language.pick("未通知任何人。", " Nobody was told."));
            }
            Item {
                title: format!("✅ {heading}"),
                lead,
            }
        }
        None => Item {
            title: format!("{} {heading}{}", mark(line.severity), news(line, language)),
            lead: sentence::of(&line.alert_kind, &line.facts, language),
        },
    }
}

/// " (new, 3 times, was critical)", of what fires.
fn news(line: &DigestLine, language: Language) -> String {
    let new = line.is_new.then(|| language.pick("新", "new").to_owned());
    let times = (line.episodes > 1).then(|| match language {
        Language::Zh => format!("共 {} 次", line.episodes),
        Language::En => format!("{} times", line.episodes),
    });
    let was = line.was.map(|was| match language {
        Language::Zh => format!("原为{}", severity(was, language)),
        Language::En => format!("was {}", severity(was, language).to_lowercase()),
    });
    let news: Vec<String> = [new, times, was].into_iter().flatten().collect();
    match (news.is_empty(), language) {
        (true, _) => String::new(),
        (false, Language::Zh) => format!("（{}）", news.join("，")),
        (false, Language::En) => format!(" ({})", news.join(", ")),
    }
}

/// "Revenue: 41%, heading for 87%, likely to be missed".
fn forecast(figure: &Figure, language: Language) -> Option<Field> {
    let (completion, target) = (figure.completion?, figure.target?);
    let mut parts = vec![percent(completion)];
    if let Some(forecast) = figure.forecast.filter(|_| target != 0.0) {
        // Of a band no share of it says where it ends.
        let ends = match figure.band {
            Some(_) => language.quantity(forecast, figure.unit.as_deref()),
            None => percent(forecast / target),
        };
        parts.push(match language {
            Language::Zh => format!("预计 {ends}"),
            Language::En => format!("heading for {ends}"),
        });
    }
    if let Some(probability) = figure.target_probability {
        parts.push(match language {
            Language::Zh => format!("达成概率 {}", percent(probability)),
            Language::En => format!("{} likely to meet its target", percent(probability)),
        });
    }
    Some(Field {
        name: sentence::name(figure),
        value: Value::Text(parts.join(" · ")),
    })
}

fn silence_title(silence: &EndingSilence, language: Language) -> String {
    match language {
        Language::Zh => format!("⏰ {} 设置的静默即将结束", silence.created_by),
        Language::En => format!("⏰ A silence by {} ends soon", silence.created_by),
    }
}

fn silence_lead(silence: &EndingSilence, language: Language) -> String {
    let comment = match silence.comment.is_empty() {
        true => String::new(),
        false => format!("{}{}", language.pick("备注：", "It says: "), silence.comment),
    };
    match language {
        Language::Zh => format!(
            "目前压下 {} 项告警，结束后仍未解决的会立即通知。{comment}",
            silence.alerts
        ),
        Language::En => {
            let count = silence.alerts;
            let noun = if count == 1 { "alert" } else { "alerts" };
            format!("It holds back {count} {noun}; what still fires is told when it ends. {comment}")
                .trim_end()
                .to_owned()
        }
    }
}

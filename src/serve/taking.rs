//! Acknowledging an episode, or silencing its alert for a while: by links of messages, which are signed and may be about all
//! alerts of a message, and from the pages, with a token. A link shows a page that asks; only what that page sends does
//! anything, so that a preview of the link in a chat changes nothing.

use std::collections::BTreeMap;

use axum::http::StatusCode;
use jiff::{SignedDuration, Timestamp};
use maud::{Markup, html};

use super::Shared;
use super::orders::NotDone;
use super::page::{Reader, frame, severity_class};
use super::view::{AlertView, View};
use crate::alert::dispatch::Command;
use crate::alert::dispatch::matcher::{Matcher, matches_all};
use crate::alert::dispatch::silence::Silence;
use crate::notify::signer::BadLink;
use crate::words::{Language, sentence};

/// Hours for which a silence can be asked for.
const HOURS: [(i64, &str, &str); 4] = [
    (1, "1 小时", "1 hour"),
    (4, "4 小时", "4 hours"),
    (24, "1 天", "1 day"),
    (168, "7 天", "7 days"),
];
/// Alerts that are shown one by one.
const SHOWN: usize = 50;
/// Characters of a name or a comment.
const MOST: usize = 300;

/// What a link does.
#[derive(Clone, Copy, PartialEq, Eq, Debug, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Action {
    Ack,
    Silence,
}

impl Action {
    pub(super) fn word(self) -> &'static str {
        match self {
            Action::Ack => "ack",
            Action::Silence => "silence",
        }
    }
}

/// A link as it was followed.
pub(super) struct Followed<'a> {
    pub(super) action: Action,
    /// An episode, or messages with commas between them.
    pub(super) subject: &'a str,
    pub(super) until: i64,
    pub(super) signature: &'a str,
}

/// What is to be taken, and by whom that is allowed.
pub(super) struct Taken<'a> {
    pub(super) action: Action,
    /// The episodes.
    pub(super) episodes: &'a [String],
    /// The form asks for a token: nothing else says that this may be done.
    pub(super) needs_token: bool,
    /// What is wrong with what was sent.
    pub(super) error: Option<String>,
}

/// Why a link does not do what it says, as a page.
pub(super) fn refused(
    view: &View,
    reader: Reader,
    shared: &Shared,
    link: &Followed<'_>,
) -> Option<(StatusCode, Markup)> {
    let (action, now) = (link.action.word(), now(view));
    let verified = shared
        .signer
        .verify(action, link.subject, link.until, link.signature, now);
    verified.err().map(|bad| bad_link(view, reader, bad))
}

/// The page that asks, before anything is done.
pub(super) fn ask(view: &View, reader: Reader, taken: &Taken<'_>) -> (StatusCode, Markup) {
    let language = reader.language;
    let alerts = alerts_of(view, taken);
    if alerts.is_empty() {
        return over(view, reader);
    }
    let title = match (taken.action, alerts.len()) {
        (Action::Ack, 1) => language.pick("认领这项告警", "Acknowledge this alert").to_owned(),
        (Action::Silence, 1) => language
            .pick("暂停这项告警的通知", "Silence this alert")
            .to_owned(),
        (Action::Ack, count) => match language {
            Language::Zh => format!("认领这 {count} 项告警"),
            Language::En => format!("Acknowledge these {count} alerts"),
        },
        (Action::Silence, count) => match language {
            Language::Zh => format!("暂停这 {count} 项告警的通知"),
            Language::En => format!("Silence these {count} alerts"),
        },
    };
    let content = html! {
        h1 { (title) }
        (about_all(view, &alerts, language))
        @if taken.action == Action::Silence { (also_held(view, &alerts, language)) }
        @if let Some(error) = &taken.error { p.refused role="alert" { (error) } }
        form.entry method="post" {
            label {
                (language.pick("您是谁", "Who you are"))
                input name="by" required maxlength=(MOST) autocomplete="name";
            }
            @if taken.needs_token {
                label {
                    (language.pick("口令", "Token"))
                    input type="password" name="token" required autocomplete="current-password";
                }
            }
            label {
                (language.pick("多久", "For how long"))
                select name="hours" {
                    @if taken.action == Action::Ack {
                        option value="" { (language.pick("按设置", "As the settings say")) }
                    }
                    @for (hours, zh, en) in HOURS { option value=(hours) { (language.pick(zh, en)) } }
                }
            }
            label.long {
                (language.pick("备注", "Comment"))
                input name="comment" maxlength=(MOST);
            }
            p.send { button type="submit" { (title) } }
        }
    };
    (StatusCode::OK, frame(view, reader, "/", &title, &content))
}

/// Does what the page was sent for, each alert by a command that `by` may narrow.
pub(super) async fn act(
    view: &View,
    reader: Reader,
    shared: &Shared,
    taken: &Taken<'_>,
    sent: &BTreeMap<String, String>,
    by_whom: impl Fn(Command) -> Command,
) -> (StatusCode, Markup) {
    let language = reader.language;
    let alerts = alerts_of(view, taken);
    let text = |name: &str| -> String {
        let text = sent.get(name).map(|text| text.trim()).unwrap_or_default();
        text.chars()
            .filter(|char| !char.is_control())
            .take(MOST)
            .collect()
    };
    let by = text("by");
    if alerts.is_empty() || by.is_empty() {
        return ask(view, reader, taken);
    }
    let asked: i64 = text("hours").parse().unwrap_or_default();
    let hours = HOURS
        .iter()
        .map(|(hours, ..)| *hours)
        .find(|hours| *hours == asked);
    let (asked_of, commands): (Vec<&AlertView>, Vec<Command>) = alerts
        .iter()
        .filter_map(|alert| {
            let command = match taken.action {
                Action::Ack => Command::Ack {
                    episode: alert.episode.clone(),
                    by: by.clone(),
                    comment: text("comment"),
                    lasts: hours.map(SignedDuration::from_hours),
                },
                // It is for one alert, however few others there are.
                Action::Silence => Command::Silence {
                    silence: silence(
                        now(view),
                        alert,
                        by.clone(),
                        text("comment"),
                        hours.unwrap_or(HOURS[0].0),
                    )?,
                    force: true,
                },
            };
            Some((*alert, by_whom(command)))
        })
        .unzip();
    let (mut done, mut failed) = (Vec::new(), None);
    for (alert, answer) in asked_of.into_iter().zip(shared.orders.give_all(commands).await) {
        match answer {
            Ok(_) => done.push(alert),
            // That nobody takes any more says more than that one was over.
            Err(NotDone::Busy) => failed = Some(NotDone::Busy),
            Err(not_done) => failed = failed.or(Some(not_done)),
        }
    }
    // What was over by then needs nobody any more.
    let (status, title, words) = match (failed, done.is_empty()) {
        (None | Some(NotDone::Refused(_)), false) => (
            StatusCode::OK,
            match taken.action {
                Action::Ack => language.pick("已认领", "Acknowledged"),
                Action::Silence => language.pick("已静默", "Silenced"),
            },
            match taken.action {
                Action::Ack => language.pick(
                    "不再重复通知，也不再升级；恶化时会重新通知。",
                    "It is not repeated and does not escalate; if it gets worse, people are told again.",
                ),
                Action::Silence => language.pick(
                    "到期后若仍未解决，会立即通知。",
                    "If it still fires when the silence ends, people are told at once.",
                ),
            }
            .to_owned(),
        ),
        (None, true) => return over(view, reader),
        (Some(NotDone::Refused(refusal)), true) => (
            StatusCode::CONFLICT,
            language.pick("没有生效", "Not done"),
            refusal.to_string(),
        ),
        (Some(NotDone::Busy | NotDone::Weights(_)), _) => (
            StatusCode::SERVICE_UNAVAILABLE,
            language.pick("没有全部生效", "Not all of it is done"),
            language
                .pick(
                    "服务正忙或正在停止，请稍后再试。",
                    "The daemon is busy or stopping; try again.",
                )
                .to_owned(),
        ),
    };
    let shown = if done.is_empty() { alerts } else { done };
    let content = html! {
        h1 { (title) }
        (about_all(view, &shown, language))
        p { (words) }
        p { a href=(reader.link("/")) { (language.pick("回到指标树", "Back to the tree")) } }
    };
    (status, frame(view, reader, "/", title, &content))
}

/// The clock of the daemon, which the links were made by.
fn now(view: &View) -> Timestamp {
    view.stats.now.unwrap_or_else(Timestamp::now)
}

/// What a silence for an alert would hold.
fn matchers_of(alert: &AlertView) -> Option<Vec<Matcher>> {
    let labels = alert
        .labels
        .iter()
        // The next period is another alert, and the same trouble.
        .filter(|(name, _)| *name != "period");
    labels
        .map(|(name, value)| Matcher::new(name, value, false, true).ok())
        .collect()
}

/// Other alerts that silences for these would hold back now: those of another period.
fn also_held(view: &View, alerts: &[&AlertView], language: Language) -> Markup {
    let silences: Vec<Vec<Matcher>> = alerts.iter().filter_map(|alert| matchers_of(alert)).collect();
    let is_meant = |alert: &AlertView| alerts.iter().any(|meant| meant.episode == alert.episode);
    let is_held = |alert: &&AlertView| {
        let labels = alert.matched_labels();
        alert.is_firing() && !is_meant(alert) && silences.iter().any(|all| matches_all(all, &labels))
    };
    let others: Vec<&AlertView> = view.alerts.iter().filter(is_held).collect();
    html! {
        @if !others.is_empty() {
            p { (match language {
                Language::Zh => format!("同时会静默另外 {} 项正在触发的告警：", others.len()),
                Language::En => format!("It also silences these, which fire now ({}):", others.len()),
            }) }
            (about_all(view, &others, language))
        }
    }
}

fn silence(
    now: Timestamp,
    alert: &AlertView,
    created_by: String,
    comment: String,
    hours: i64,
) -> Option<Silence> {
    Some(Silence {
        id: String::new(),
        matchers: matchers_of(alert)?,
        starts_at: now,
        ends_at: now + SignedDuration::from_hours(hours),
        created_by,
        comment,
        updated_at: now,
        reminded: false,
    })
}

/// Those that fire, the worst first; of several, who takes them leaves alone what others have taken.
fn alerts_of<'v>(view: &'v View, taken: &Taken<'_>) -> Vec<&'v AlertView> {
    let is_meant = |alert: &&AlertView| alert.is_firing() && taken.episodes.contains(&alert.episode);
    let mut alerts: Vec<&AlertView> = view.alerts.iter().filter(is_meant).collect();
    if taken.action == Action::Ack && alerts.iter().any(|alert| alert.ack.is_none()) {
        alerts.retain(|alert| alert.ack.is_none());
    }
    alerts.sort_by_key(|alert| (std::cmp::Reverse(alert.severity), alert.active_at));
    alerts
}

fn about_all(view: &View, alerts: &[&AlertView], language: Language) -> Markup {
    let more = alerts.len().saturating_sub(SHOWN);
    html! {
        ul.alerts.asked {
            @for alert in alerts.iter().take(SHOWN) { li class=(severity_class(alert.severity)) { (about(view, alert, language)) } }
        }
        @if more > 0 {
            p.meta { (match language {
                Language::Zh => format!("另有 {more} 项"),
                Language::En => format!("and {more} more"),
            }) }
        }
    }
}

fn about(view: &View, alert: &AlertView, language: Language) -> Markup {
    let rule = alert.labels.get("alertname").unwrap_or(&alert.kind);
    let zone = &view.catalog.calendar.timezone;
    html! {
        p { strong { (sentence::heading(rule, &alert.kind, &alert.facts, language)) } }
        p { (sentence::of(&alert.kind, &alert.facts, language)) }
        p.meta {
            (language.pick("始于 ", "Since ")) (language.moment(alert.active_at, zone))
            @if let Some(ack) = &alert.ack {
                " · " (language.pick("认领人：", "taken by ")) (ack.by)
            }
        }
    }
}

fn bad_link(view: &View, reader: Reader, bad: BadLink) -> (StatusCode, Markup) {
    let language = reader.language;
    let title = match bad {
        BadLink::Expired => language.pick("链接已过期", "The link has expired"),
        BadLink::Forged => language.pick("链接无效", "The link is not one of ours"),
    };
    let content = html! {
        h1 { (title) }
        p.empty {
            (language.pick("链接在发出后七天内有效，且不能改动。", "A link is good for a week, and only as it was sent."))
            " " a href=(reader.link("/")) { (language.pick("回到指标树", "Back to the tree")) }
        }
    };
    (StatusCode::FORBIDDEN, frame(view, reader, "/", title, &content))
}

fn over(view: &View, reader: Reader) -> (StatusCode, Markup) {
    let language = reader.language;
    let title = language.pick("这项告警已经结束", "This alert is over");
    let content = html! {
        h1 { (title) }
        p.empty { a href=(reader.link("/")) { (language.pick("回到指标树", "Back to the tree")) } }
    };
    (StatusCode::GONE, frame(view, reader, "/", title, &content))
}

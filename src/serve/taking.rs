//! Links of messages that do something: acknowledge an episode, or silence its alert for a while. The link shows a page
//! that asks; only what that page sends does anything, so that a preview of the link in a chat changes nothing.

use std::collections::BTreeMap;

use axum::http::StatusCode;
use jiff::{SignedDuration, Timestamp};
use maud::{Markup, html};

use super::Shared;
use super::orders::NotDone;
use super::page::{Reader, frame};
use super::view::{AlertView, View};
use crate::alert::dispatch::Command;
use crate::alert::dispatch::matcher::Matcher;
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
/// Characters of a name or a comment.
const MOST: usize = 300;

/// What a link does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
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
    pub(super) episode: &'a str,
    pub(super) until: i64,
    pub(super) signature: &'a str,
}

/// The page of a link, before anything is done.
pub(super) fn ask(view: &View, reader: Reader, shared: &Shared, link: &Followed<'_>) -> (StatusCode, Markup) {
    let language = reader.language;
    if let Err(bad) = verified(view, shared, link) {
        return bad_link(view, reader, bad);
    }
    let Some(alert) = alert_of(view, link.episode) else {
        return over(view, reader);
    };
    let title = match link.action {
        Action::Ack => language.pick("认领这项告警", "Acknowledge this alert"),
        Action::Silence => language.pick("暂停这项告警的通知", "Silence this alert"),
    };
    let content = html! {
        h1 { (title) }
        (about(view, alert, language))
        form.entry method="post" {
            label {
                (language.pick("您是谁", "Who you are"))
                input name="by" required maxlength=(MOST) autocomplete="name";
            }
            @if link.action == Action::Silence {
                label {
                    (language.pick("多久", "For how long"))
                    select name="hours" {
                        @for (hours, zh, en) in HOURS { option value=(hours) { (language.pick(zh, en)) } }
                    }
                }
            }
            label.long {
                (language.pick("备注", "Comment"))
                input name="comment" maxlength=(MOST);
            }
            p.send { button type="submit" { (title) } }
        }
    };
    (StatusCode::OK, frame(view, reader, "/", title, &content))
}

/// Does what the page of a link was sent for.
pub(super) async fn act(
    view: &View,
    reader: Reader,
    shared: &Shared,
    link: &Followed<'_>,
    sent: &BTreeMap<String, String>,
) -> (StatusCode, Markup) {
    let language = reader.language;
    if let Err(bad) = verified(view, shared, link) {
        return bad_link(view, reader, bad);
    }
    let Some(alert) = alert_of(view, link.episode) else {
        return over(view, reader);
    };
    let text = |name: &str| -> String {
        let text = sent.get(name).map(|text| text.trim()).unwrap_or_default();
        text.chars()
            .filter(|char| !char.is_control())
            .take(MOST)
            .collect()
    };
    let by = text("by");
    if by.is_empty() {
        return ask(view, reader, shared, link);
    }
    let command = match link.action {
        Action::Ack => Command::Ack {
            episode: link.episode.to_owned(),
            by,
            comment: text("comment"),
            lasts: None,
        },
        Action::Silence => {
            let asked: i64 = text("hours").parse().unwrap_or_default();
            let hours = HOURS
                .iter()
                .map(|(hours, ..)| *hours)
                .find(|hours| *hours == asked);
            let Some(silence) = silence(now(view), alert, by, text("comment"), hours.unwrap_or(HOURS[0].0))
            else {
                return over(view, reader);
            };
            // It is for one alert, however few others there are.
            Command::Silence { silence, force: true }
        }
    };
    let (status, title, words) = match shared.orders.give(command).await {
        Ok(_) => (
            StatusCode::OK,
            match link.action {
                Action::Ack => language.pick("已认领", "Acknowledged"),
                Action::Silence => language.pick("已静默", "Silenced"),
            },
            match link.action {
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
        Err(NotDone::Refused(refusal)) => (
            StatusCode::CONFLICT,
            language.pick("没有生效", "Not done"),
            refusal.to_string(),
        ),
        Err(NotDone::Busy | NotDone::Weights(_)) => (
            StatusCode::SERVICE_UNAVAILABLE,
            language.pick("没有生效", "Not done"),
            language
                .pick(
                    "服务正忙或正在停止，请稍后再试。",
                    "The daemon is busy or stopping; try again.",
                )
                .to_owned(),
        ),
    };
    let content = html! {
        h1 { (title) }
        (about(view, alert, language))
        p { (words) }
        p { a href=(reader.link("/")) { (language.pick("回到指标树", "Back to the tree")) } }
    };
    (status, frame(view, reader, "/", title, &content))
}

/// The clock of the daemon, which the links were made by.
fn now(view: &View) -> Timestamp {
    view.stats.now.unwrap_or_else(Timestamp::now)
}

fn silence(
    now: Timestamp,
    alert: &AlertView,
    created_by: String,
    comment: String,
    hours: i64,
) -> Option<Silence> {
    let matchers = alert
        .labels
        .iter()
        // The next period is another alert, and the same trouble.
        .filter(|(name, _)| *name != "period")
        .map(|(name, value)| Matcher::new(name, value, false, true).ok())
        .collect::<Option<Vec<_>>>()?;
    Some(Silence {
        id: String::new(),
        matchers,
        starts_at: now,
        ends_at: now + SignedDuration::from_hours(hours),
        created_by,
        comment,
        updated_at: now,
        reminded: false,
    })
}

fn verified(view: &View, shared: &Shared, link: &Followed<'_>) -> Result<(), BadLink> {
    let now = now(view);
    shared
        .signer
        .verify(link.action.word(), link.episode, link.until, link.signature, now)
}

fn alert_of<'v>(view: &'v View, episode: &str) -> Option<&'v AlertView> {
    view.alerts
        .iter()
        .find(|alert| alert.is_firing() && alert.episode == episode)
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

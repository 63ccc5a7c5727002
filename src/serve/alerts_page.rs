//! `/alerts`: what fires, who knows of it and who does not and why, and every silence. `/episodes/{episode}`: the history
//! of one: who was told what, when, and why somebody was not.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use maud::{Markup, html};

use super::page::{Reader, alert_item, encoded, frame, severity_class};
use super::preview::Preview;
use super::view::{AlertView, View};
use crate::alert::dispatch::Held;
use crate::alert::dispatch::matcher::matches_all;
use crate::alert::dispatch::silence::{Silence, SilenceRefusal, SilenceState};
use crate::alert::notice::{Because, NoticeKind};
use crate::alert::record::{AlertState, Telling};
use crate::state::{LoggedNotice, Status};
use crate::words::Language;

/// Characters of matchers in the form.
const LONGEST_PREVIEW: usize = 4000;
/// Alerts of a preview that are shown one by one.
const PREVIEWED: usize = 50;

/// `/alerts`; with `asked`, matchers a line each, also what a silence with these would hold back.
pub(super) fn alerts(view: &View, reader: Reader, asked: Option<&str>) -> Markup {
    let language = reader.language;
    let title = language.pick("告警", "Alerts");
    let mut alerts: Vec<&AlertView> = view.alerts.iter().collect();
    alerts.sort_by_key(|alert| {
        let worst_first = std::cmp::Reverse((alert.is_firing(), alert.severity, alert.active_at));
        (worst_first, alert.fingerprint)
    });
    let content = html! {
        h1 { (title) }
        @if alerts.is_empty() {
            p.empty { (language.pick("现在没有告警。", "Nothing fires.")) }
        } @else {
            ul.alerts {
                @for alert in alerts {
                    li class={ (severity_class(alert.severity)) @if !alert.is_firing() { " pending" } } {
                        (alert_item(view, reader, alert))
                        (told(view, reader, alert))
                    }
                }
            }
        }
        h3 { (language.pick("静默", "Silences")) }
        (silences(view, language))
        (preview(view, reader, asked))
    };
    frame(view, reader, "/alerts", title, &content)
}

/// Who knows of an alert and who does not, in a line each, and the way to its history.
fn told(view: &View, reader: Reader, alert: &AlertView) -> Markup {
    let language = reader.language;
    let zone = &view.catalog.calendar.timezone;
    html! {
        ul.told {
            @if matches!(alert.state, AlertState::Pending { .. }) {
                li { (language.pick("正在观察，尚未通知任何人", "Being watched; nobody has been told")) }
            } @else if alert.tellings.is_empty() {
                li { (language.pick("没有路由指向任何接收者", "No route leads to a receiver")) }
            }
            @for telling in &alert.tellings {
                li { b { (telling.receiver) } " " (standing(telling, language, zone)) }
            }
            @if let Some(ack) = &alert.ack {
                li {
                    (language.pick("认领人：", "Taken by ")) b { (ack.by) } " "
                    (language.moment(ack.at, zone))
                    (language.pick("，至 ", ", until ")) (language.moment(ack.until, zone))
                    @if !ack.comment.is_empty() { span.meta { (ack.comment) } }
                }
            }
            @if alert.is_firing() { li { (controls(reader, &alert.episode)) } }
            @if !alert.tellings.is_empty() {
                li { a href=(reader.link(&format!("/episodes/{}", encoded(&alert.episode)))) {
                    (language.pick("通知记录", "History"))
                } }
            }
        }
    }
}

/// The ways to take an alert and to silence it: each a page that asks, and for a token.
fn controls(reader: Reader, episode: &str) -> Markup {
    let language = reader.language;
    let to = |action: &str| reader.link(&format!("/episodes/{}/{action}", encoded(episode)));
    html! {
        a href=(to("ack")) { (language.pick("认领", "Acknowledge")) }
        " · "
        a href=(to("silence")) { (language.pick("静默", "Silence")) }
    }
}

/// What a receiver knows, or why not.
fn standing(telling: &Telling, language: Language, zone: &TimeZone) -> String {
    let storm = telling.storm.then_some("storm");
    let held = telling.held.iter().map(String::as_str).chain(storm);
    let held: Vec<String> = held.map(|by| held_by(by, language)).collect();
    match (telling.told_at.or(telling.first_told_at), held.is_empty()) {
        (Some(at), true) => format!(
            "{}{}",
            language.pick("已通知 ", "told "),
            language.moment(at, zone)
        ),
        (Some(at), false) => format!(
            "{}{}{}{}",
            language.pick("已通知 ", "told "),
            language.moment(at, zone),
            language.pick("；现在不再打扰：", "; not again now: "),
            held.join(language.pick("；", "; "))
        ),
        (None, false) => format!(
            "{}{}",
            language.pick("未通知：", "not told: "),
            held.join(language.pick("；", "; "))
        ),
        (None, true) => language.pick("即将通知", "about to be told").to_owned(),
    }
}

/// Why somebody is not told, in words.
fn held_by(by: &str, language: Language) -> String {
    let (what, rest) = by.split_once(' ').unwrap_or((by, ""));
    match what {
        "silence" => format!("{} {rest}", language.pick("静默", "silence")),
        "mute" => format!("{} {rest}", language.pick("免打扰时段", "within the mute time")),
        "outside" => format!("{} {rest}", language.pick("不在通知时段", "outside of the time")),
        "explained" => format!(
            "{} {}",
            language.pick("已由上级告警说明：", "explained by"),
            rest.trim_start_matches("by ")
        ),
        "flapping" => language.pick("反复触发，暂不逐条通知", "it flaps").to_owned(),
        "storm" => language
            .pick(
                "告警太多，合并到下一条汇总",
                "too many at once: it is in the next summary",
            )
            .to_owned(),
        "acknowledged" => format!(
            "{} {}",
            language.pick("已认领，不再重复：", "acknowledged by"),
            rest.trim_start_matches("by ")
        ),
        "over" => language
            .pick("还没轮到就已结束", "it was over before its turn")
            .to_owned(),
        _ => by.to_owned(),
    }
}

fn silences(view: &View, language: Language) -> Markup {
    let now = view.stats.now.unwrap_or_else(Timestamp::now);
    let zone = &view.catalog.calendar.timezone;
    let mut silences: Vec<&Silence> = view.silences.iter().collect();
    silences.sort_by_key(|silence| (silence.state(now) == SilenceState::Expired, silence.ends_at));
    let held = |silence: &Silence| {
        let firing = view.alerts.iter().filter(|alert| alert.is_firing());
        firing
            .filter(|alert| matches_all(&silence.matchers, &alert.matched_labels()))
            .count()
    };
    html! {
        @if silences.is_empty() {
            p.empty { (language.pick("没有静默。告警旁和消息里的链接、amtool 或 API 都可以设置。", "There is none. Links beside alerts and in messages, amtool and the API make them.")) }
        } @else {
            div.scroll {
                table.silences {
                    thead { tr {
                        @for column in [("状态", "State"), ("条件", "Matchers"), ("起", "From"), ("止", "To"), ("创建人", "By"), ("正在压住", "Holds now")] {
                            th scope="col" { (language.pick(column.0, column.1)) }
                        }
                    } }
                    tbody {
                        @for silence in silences {
                            @let state = silence.state(now);
                            tr class=[(state == SilenceState::Expired).then_some("replaced")] {
                                td { (state_word(state, language)) }
                                td {
                                    @for matcher in &silence.matchers { div { code { (matcher) } } }
                                    div.meta { (silence.id) }
                                }
                                td { (language.moment(silence.starts_at, zone)) }
                                td { (language.moment(silence.ends_at, zone)) }
                                td { (silence.created_by) @if !silence.comment.is_empty() { div.meta { (silence.comment) } } }
                                td.number { @if state == SilenceState::Active { (held(silence)) } @else { "—" } }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// A form that asks what a silence with some matchers would hold back, and the answer. It makes none.
fn preview(view: &View, reader: Reader, asked: Option<&str>) -> Markup {
    let language = reader.language;
    let asked = asked.map(str::trim).filter(|asked| !asked.is_empty());
    html! {
        h3 id="preview" { (language.pick("试算静默", "What would a silence hold?")) }
        form.entry id="silence-preview" method="get" action="/alerts#preview" {
            @if reader.chosen { input type="hidden" name="lang" value=(language.tag()); }
            label.long {
                (language.pick("条件，每行一个", "Matchers, one a line"))
                textarea name="matchers" rows="3" maxlength=(LONGEST_PREVIEW) placeholder="node=\"revenue\"" { (asked.unwrap_or_default()) }
            }
            p.send { button type="submit" { (language.pick("试算", "Preview")) } }
        }
        @if let Some(asked) = asked {
            @match Preview::read(asked.lines()) {
                Err(wrong) => p.refused role="alert" { (wrong) },
                Ok(matchers) => (previewed(view, reader, &Preview::of(view, &matchers))),
            }
        }
    }
}

/// Why it would be refused.
fn refused(refusal: &SilenceRefusal, language: Language) -> String {
    match (refusal, language) {
        (SilenceRefusal::TooBroad(_), Language::Zh) => {
            "范围太大：没有指定任何取值，或会静默一半以上正在触发的告警。确实需要时，请在 API 中加 force=true。".to_owned()
        }
        _ => refusal.to_string(),
    }
}

fn previewed(view: &View, reader: Reader, preview: &Preview<'_>) -> Markup {
    let language = reader.language;
    let (held, of) = (preview.held.len(), preview.firing);
    let more = held.saturating_sub(PREVIEWED);
    html! {
        p.lead { (match language {
            Language::Zh => format!("会静默正在触发的 {of} 项告警中的 {held} 项。"),
            Language::En => format!("It would hold back {held} of the {of} alerts that fire."),
        }) }
        @if let Some(refusal) = &preview.refusal { p.refused role="alert" { (refused(refusal, language)) } }
        ul.alerts {
            @for alert in preview.held.iter().take(PREVIEWED) {
                li class=(severity_class(alert.severity)) { (alert_item(view, reader, alert)) }
            }
        }
        @if more > 0 {
            p.meta { (match language {
                Language::Zh => format!("另有 {more} 项"),
                Language::En => format!("and {more} more"),
            }) }
        }
    }
}

fn state_word(state: SilenceState, language: Language) -> &'static str {
    match state {
        SilenceState::Active => language.pick("生效", "active"),
        SilenceState::Pending => language.pick("未开始", "not begun"),
        SilenceState::Expired => language.pick("已结束", "over"),
    }
}

/// `/episodes/{episode}`: what happened to whom, oldest first.
pub(super) fn history(
    view: &View,
    reader: Reader,
    episode: &str,
    told: &[LoggedNotice],
    held: &[Held],
) -> Markup {
    let language = reader.language;
    let zone = &view.catalog.calendar.timezone;
    let title = language.pick("通知记录", "Who was told what");
    let of_notice = |logged: &LoggedNotice| Line {
        at: logged.decided,
        receiver: logged.notice.receiver.clone(),
        what: what(logged, language),
        came: came(logged, language, zone),
    };
    let of_held = |held: &Held| Line {
        at: held.at,
        receiver: held.receiver.clone(),
        what: match held.by.is_empty() {
            true => language
                .pick("不再受阻", "nothing is in the way any more")
                .to_owned(),
            false => {
                let by: Vec<String> = held.by.iter().map(|by| held_by(by, language)).collect();
                format!(
                    "{}{}",
                    language.pick("未通知：", "not told: "),
                    by.join(language.pick("；", "; "))
                )
            }
        },
        came: String::new(),
    };
    let mut lines: Vec<Line> = told
        .iter()
        .map(of_notice)
        .chain(held.iter().map(of_held))
        .collect();
    lines.sort_by_key(|line| line.at);
    let current = view.alerts.iter().find(|alert| alert.episode == episode);
    let path = format!("/episodes/{}", encoded(episode));
    let content = html! {
        h1 { (title) }
        @if let Some(alert) = current {
            ul.alerts { li class=(severity_class(alert.severity)) {
                (alert_item(view, reader, alert))
                @if alert.is_firing() { ul.told { li { (controls(reader, episode)) } } }
            } }
        } @else if let Some(logged) = told.last() {
            p.lead { b { (logged.notice.labels.get("alertname").unwrap_or(&logged.notice.alert_kind)) }
                @for (name, value) in logged.notice.labels.iter().filter(|(name, _)| *name != "alertname") {
                    code { (name) "=" (value) }
                }
            }
        }
        h3 { (language.pick("经过", "What happened")) }
        @if lines.is_empty() {
            p.empty { (language.pick("没有记录：这个告警不存在，或记录已过保留期。", "There is no record: there was no such episode, or it is no longer kept.")) }
        } @else {
            div.scroll {
                table.entries.history {
                    thead { tr {
                        @for column in [("时间", "When"), ("接收者", "Receiver"), ("内容", "What"), ("结果", "What came of it")] {
                            th scope="col" { (language.pick(column.0, column.1)) }
                        }
                    } }
                    tbody {
                        @for line in &lines {
                            tr {
                                td { (language.moment(line.at, zone)) }
                                td { (line.receiver) }
                                td.note { (line.what) }
                                td.note { (line.came) }
                            }
                        }
                    }
                }
            }
        }
    };
    frame(view, reader, &path, title, &content)
}

struct Line {
    at: Timestamp,
    receiver: String,
    what: String,
    came: String,
}

fn what(logged: &LoggedNotice, language: Language) -> String {
    let notice = &logged.notice;
    let mut what = match notice.kind {
        NoticeKind::Fired => language.pick("触发", "it fires"),
        NoticeKind::Escalated => language.pick("恶化", "it got worse"),
        NoticeKind::DeEscalated => language.pick("缓和", "it got less bad"),
        NoticeKind::Repeat => language.pick("仍未解决，再次提醒", "it still fires"),
        NoticeKind::Acked => language.pick("有人认领", "somebody has taken it"),
        NoticeKind::Reminder => language.pick("静默即将结束", "a silence ends soon"),
        NoticeKind::Resolved => language.pick("结束", "it is over"),
        NoticeKind::Correction => language.pick("更正", "a correction"),
        NoticeKind::Digest => language.pick("汇总", "a digest"),
        NoticeKind::Proposal => language.pick("权重建议待批准", "weights wait for a decision"),
    }
    .to_owned();
    let because = match &notice.because {
        None => "",
        Some(Because::SilenceEnded) => language.pick("静默已结束", "the silence has ended"),
        Some(Because::MuteEnded) => language.pick("免打扰时段已过", "the mute time is over"),
        Some(Because::InhibitionEnded) => language.pick("上级告警已结束", "what explained it is over"),
        Some(Because::Unacknowledged { .. }) => language.pick("之前的人没有认领", "nobody has acknowledged"),
    };
    if !because.is_empty() {
        what.push_str(&format!(
            "{}{because}{}",
            language.pick("（", " ("),
            language.pick("）", ")")
        ));
    }
    what
}

fn came(logged: &LoggedNotice, language: Language, zone: &TimeZone) -> String {
    let word = match logged.status {
        Status::Pending => language.pick("等待发送", "waits"),
        Status::Delivered => language.pick("已送达", "delivered"),
        Status::Dead => language.pick("放弃投递", "given up"),
        Status::Superseded => language.pick("已被更新的消息取代", "superseded by a newer one"),
    };
    let mut came = word.to_owned();
    if let Some(at) = logged.settled {
        came.push_str(&format!(" {}", language.moment(at, zone)));
    }
    if logged.attempts > 0 {
        let attempts = logged.attempts;
        came.push_str(&match language {
            Language::Zh => format!("，失败 {attempts} 次"),
            Language::En => format!(", {attempts} failed attempts"),
        });
    }
    if let Some(detail) = &logged.detail {
        came.push_str(&format!("{}{detail}", language.pick("：", ": ")));
    }
    came
}

//! An explanation of who is told, in words, for a terminal.

use std::fmt::Write;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::{Explanation, Happening, Listener, Meant, Outcome, Step};
use crate::alert::notice::{Because, NoticeKind};
use crate::alert::record::Labels;
use crate::words::Language;

/// The whole explanation. Times are of `zone`.
pub fn text(found: &Explanation, language: Language, zone: &TimeZone) -> String {
    let mut page = Page {
        out: String::new(),
        language,
        zone,
    };
    page.line(0, &labels(&found.labels));
    page.path(found);
    page.receivers(found);
    page.asides(found);
    page.out
}

struct Page<'a> {
    out: String,
    language: Language,
    zone: &'a TimeZone,
}

impl Page<'_> {
    fn line(&mut self, depth: usize, text: &str) {
        // Writing to a String does not fail.
        let _ = writeln!(self.out, "{}{}", "  ".repeat(depth), text.trim_end());
    }

    fn head(&mut self, zh: &'static str, en: &'static str) {
        self.out.push('\n');
        self.line(0, self.language.pick(zh, en));
    }

    fn pick(&self, zh: &'static str, en: &'static str) -> &'static str {
        self.language.pick(zh, en)
    }

    /// RFC 3339 with the offset of the zone.
    fn moment(&self, at: Timestamp) -> String {
        at.display_with_offset(self.zone.to_offset(at)).to_string()
    }

    fn path(&mut self, found: &Explanation) {
        self.head("路由树中的路径", "The way through the routing tree");
        if found.path.is_empty() {
            let text = self.pick(
                "设置里没有 receivers，谁也不会收到。",
                "The settings have no receivers: nobody is told.",
            );
            self.line(1, text);
        }
        for step in &found.path {
            let depth = step.depth + 1;
            let place = step.place.as_deref().map(|place| format!("  {place}"));
            let title = format!("{} → {}{}", step.route, step.to, place.unwrap_or_default());
            self.line(depth, &title);
            let why = self.why(step);
            self.line(depth + 1, &why);
        }
    }

    fn why(&self, step: &Step) -> String {
        let conditions: Vec<String> = step
            .matchers
            .iter()
            .map(|condition| match (condition.met, condition.found.as_str()) {
                (true, _) => format!("✓ {}", condition.matcher),
                (false, "") => format!(
                    "✗ {} ({})",
                    condition.matcher,
                    self.pick("没有此标签", "no such label")
                ),
                (false, found) => format!("✗ {} ({} {found:?})", condition.matcher, self.pick("实际", "is")),
            })
            .collect();
        let mut parts = match (step.outcome, conditions.is_empty()) {
            (Outcome::NotTried, _) => {
                vec![
                    self.pick(
                        "没有再试：前面的路由已接走",
                        "not tried: a route before it took the alert",
                    )
                    .to_owned(),
                ]
            }
            (_, true) => vec![self.pick("✓ 接受一切", "✓ takes everything").to_owned()],
            (_, false) => conditions,
        };
        if step.outcome == Outcome::Matched && step.goes_on {
            parts.push(
                self.pick("continue：再试下一条", "continue: the next is tried too")
                    .to_owned(),
            );
        }
        if step.takes {
            parts.push(self.pick("通知这里", "told here").to_owned());
        }
        parts.join(" · ")
    }

    fn receivers(&mut self, found: &Explanation) {
        let at = self.moment(found.at);
        self.out.push('\n');
        let title = match self.language {
            Language::Zh => format!("若在 {at} 触发、一直持续且无人确认"),
            Language::En => format!("If it fires at {at}, stays, and nobody acknowledges"),
        };
        self.line(0, &title);
        if found.receivers.is_empty() {
            self.line(1, self.pick("谁也不会收到。", "Nobody is told."));
        }
        for listener in &found.receivers {
            self.listener(listener, found);
        }
    }

    fn listener(&mut self, listener: &Listener, found: &Explanation) {
        let mut title = format!(
            "{} ({} {}",
            listener.receiver,
            self.pick("路由", "route"),
            listener.route
        );
        if let Some(meant) = &listener.meant {
            title.push_str(self.pick("，", ", "));
            title.push_str(&self.meant(meant));
        }
        title.push(')');
        self.line(1, &title);
        if listener.timeline.is_empty() {
            let until = self.moment(found.looked_until);
            let text = match self.language {
                Language::Zh => format!("{until} 之前不会收到"),
                Language::En => format!("is told nothing before {until}"),
            };
            self.line(2, &text);
        }
        for entry in &listener.timeline {
            let at = self.moment(entry.at);
            let text = self.happening(&entry.what, listener);
            self.line(2, &format!("{at}  {text}"));
        }
        if let Some(seconds) = listener.resolve_seconds {
            let text = match self.language {
                Language::Zh => format!("结束后 {}通知恢复", self.lasting(seconds)),
                Language::En => format!("resolved: {} after the end", self.lasting(seconds)),
            };
            self.line(2, &text);
        }
        match (&listener.group_by, listener.joins) {
            (None, _) => self.line(
                2,
                self.pick(
                    "每条告警单独一条消息（group_by: [\"...\"]）",
                    "each alert is a message of its own (group_by: [\"...\"])",
                ),
            ),
            (Some(group), joins) => {
                let group = labels(group);
                let mut text = match self.language {
                    Language::Zh => format!("同组合并为一条消息：{group}"),
                    Language::En => format!("one message with others of {group}"),
                };
                if let Some(join) = joins {
                    let (fires, told) = (self.moment(join.fires), self.moment(join.told));
                    text.push_str(&match self.language {
                        Language::Zh => format!("；若另一条在 {fires} 触发，{told} 通知"),
                        Language::En => format!("; another that fires at {fires} is told at {told}"),
                    });
                }
                self.line(2, &text);
            }
        }
    }

    fn meant(&self, meant: &Meant) -> String {
        match (&meant.name, meant.is_reached) {
            (Some(name), true) => format!("{} {name}", meant.role),
            (Some(name), false) => match self.language {
                Language::Zh => format!("{} {name} 不在 people 里", meant.role),
                Language::En => format!("{} {name} is not in people", meant.role),
            },
            (None, _) => match self.language {
                Language::Zh => format!("没有 {}", meant.role),
                Language::En => format!("there is no {}", meant.role),
            },
        }
    }

    fn happening(&self, what: &Happening, listener: &Listener) -> String {
        match what {
            Happening::Held(by) => format!("{}{}", self.pick("不通知：", "not told: "), by.join(", ")),
            Happening::Notice { kind, because } => {
                let mut text = kind.as_str().to_owned();
                if *kind == NoticeKind::Repeat {
                    let every = self.lasting(listener.repeat_seconds);
                    text.push_str(&match self.language {
                        Language::Zh => format!("，此后每 {every}一次"),
                        Language::En => format!(", then every {every}"),
                    });
                    if listener.repeat_backoff > 1.0 {
                        let factor = self.language.number(listener.repeat_backoff);
                        text.push_str(&match self.language {
                            Language::Zh => format!("，间隔每次乘 {factor}"),
                            Language::En => format!(", each time {factor} times as long"),
                        });
                    }
                    if !listener.repeat_within.is_empty() {
                        let within = listener.repeat_within.join(", ");
                        text.push_str(&match self.language {
                            Language::Zh => format!("，仅在 {within} 时段内"),
                            Language::En => format!(", within {within} only"),
                        });
                    }
                }
                if let Some(why) = because.as_ref().map(|because| self.because(because)) {
                    text.push_str(&format!(" ({why})"));
                }
                text
            }
        }
    }

    fn because(&self, because: &Because) -> String {
        match because {
            Because::SilenceEnded => self.pick("静默结束", "the silence is over").to_owned(),
            Because::MuteEnded => self.pick("免打扰时段结束", "the quiet time is over").to_owned(),
            Because::InhibitionEnded => self
                .pick("解释它的告警结束", "what explained it is over")
                .to_owned(),
            Because::Unacknowledged { since } => {
                let since = self.moment(*since);
                match self.language {
                    Language::Zh => format!("{since} 起无人确认"),
                    Language::En => format!("nobody has acknowledged since {since}"),
                }
            }
        }
    }

    fn asides(&mut self, found: &Explanation) {
        if !found.receivers.is_empty() {
            self.out.push('\n');
            let lasts = self.lasting(found.ack_seconds);
            let text = match self.language {
                Language::Zh => format!("确认后 {lasts}内不再重复、不再升级。"),
                Language::En => format!("An acknowledgement stops repeats and escalation for {lasts}."),
            };
            self.line(0, &text);
        }
        if !found.inhibited_by.is_empty() {
            self.head("以下告警触发时不通知", "Not told while such an alert fires");
        }
        for inhibition in &found.inhibited_by {
            let mut text = inhibition.source_matchers.join(", ");
            if !inhibition.equal.is_empty() {
                text.push_str(self.pick("，且 ", " with "));
                text.push_str(&labels(&inhibition.equal));
            }
            self.line(1, &text);
        }
        match &found.silences {
            None => {
                let text = self.pick(
                    "没有状态文件，未考虑静默。",
                    "There is no state file here: silences are not looked at.",
                );
                self.out.push('\n');
                self.line(0, text);
            }
            Some(silences) if !silences.is_empty() => {
                self.head("匹配的静默", "Silences that hold it back");
                for silence in silences {
                    let (from, until) = (self.moment(silence.starts_at), self.moment(silence.ends_at));
                    let matchers = silence.matchers.join(", ");
                    let comment = match silence.comment.is_empty() {
                        true => String::new(),
                        false => format!(": {}", silence.comment),
                    };
                    let who = &silence.created_by;
                    self.line(
                        1,
                        &format!("{from} – {until}  {matchers}  {}  {who}{comment}", silence.id),
                    );
                }
            }
            Some(_) => {}
        }
        if !found.digests.is_empty() {
            self.head("也在摘要里", "Also in a digest");
        }
        for digest in &found.digests {
            let at = self.moment(digest.at);
            self.line(1, &format!("{at}  {} → {}", digest.name, digest.receiver));
        }
    }

    /// `5 s`, `1 h 30 m`, `2 d`.
    fn lasting(&self, seconds: i64) -> String {
        let units = [
            (86_400, " 天", " d"),
            (3600, " 小时", " h"),
            (60, " 分", " m"),
            (1, " 秒", " s"),
        ];
        let (mut rest, mut parts) = (seconds.max(0), Vec::new());
        for (size, zh, en) in units {
            // A day is a day, and 24 hours are what people wrote.
            if rest >= size && !(size == 86_400 && rest == 86_400) {
                parts.push(format!("{}{}", rest / size, self.pick(zh, en)));
                rest %= size;
            }
        }
        match parts.is_empty() {
            true => format!("0{}", self.pick(" 秒", " s")),
            false => parts.join(" "),
        }
    }
}

fn labels(labels: &Labels) -> String {
    let all: Vec<String> = labels
        .iter()
        .map(|(name, value)| format!("{name}={value:?}"))
        .collect();
    all.join(" ")
}

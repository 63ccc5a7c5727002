//! Own wording: templates for the title and the text of messages about one alert, in minijinja. They are checked where
//! they are written, against the fields that there are; what they give is text that every channel escapes and cuts as
//! any other. One that fails all the same leaves the message as tautline words it: an alert is never lost to its words.

mod check;

use std::sync::Arc;

use minijinja::value::{Enumerator, Object, Serde};
use minijinja::{AutoEscape, Environment, UndefinedBehavior, Value};
use serde::Serialize;
use serde_json::{Map, Value as Json};

use super::message::Message;
use super::text::Fitter;
use crate::alert::notice::{Notice, NoticeKind};
use crate::alert::record::{Facts, Figure, Labels};
use crate::settings::{Templates, Words};
use crate::words::{Language, percent, sentence};

pub(crate) use check::check;

/// Steps that one template may take.
const FUEL: u64 = 20_000;

/// What a template can say.
#[derive(Serialize, Debug)]
struct Fields<'a> {
    title: &'a str,
    text: &'a str,
    kind: &'static str,
    alert: &'a str,
    severity: &'static str,
    level: &'static str,
    reason: Option<&'static str>,
    rule: &'a str,
    owner: Option<&'a str>,
    period: &'a str,
    since: String,
    lasted: String,
    ended: bool,
    acknowledged_by: Option<&'a str>,
    episode: &'a str,
    notice: &'a str,
    url: &'a str,
    language: &'static str,
    labels: Value,
    node: Side<'a>,
    parent: Side<'a>,
    node_at_firing: Side<'a>,
    parent_at_firing: Side<'a>,
    node_at_peak: Side<'a>,
    parent_at_peak: Side<'a>,
    item: &'a str,
    source: &'a str,
}

/// A node, as a template can say it; empty for an alert that has none.
#[derive(Serialize, Debug, Default)]
struct Side<'a> {
    title: String,
    name: &'a str,
    owner: Option<&'a str>,
    unit: Option<&'a str>,
    period: &'a str,
    value: Option<f64>,
    target: Option<f64>,
    target_low: Option<f64>,
    target_high: Option<f64>,
    completion: Option<f64>,
    expected: Option<f64>,
    pace: Option<f64>,
    forecast: Option<f64>,
    target_probability: Option<f64>,
    progress: String,
}

impl<'a> Side<'a> {
    fn of(figure: Option<&'a Figure>, name: Option<&'a String>, language: Language) -> Side<'a> {
        let Some(figure) = figure else {
            return Side::default();
        };
        Side {
            title: sentence::name(figure),
            name: name.map_or("", |name| name.as_str()),
            owner: figure.owner.as_deref(),
            unit: figure.unit.as_deref(),
            period: &figure.period,
            value: figure.value,
            target: figure.target,
            target_low: figure.band.map(|band| band.low),
            target_high: figure.band.map(|band| band.high),
            completion: figure.completion,
            expected: figure.expected_share,
            pace: figure.pace,
            forecast: figure.forecast,
            target_probability: figure.target_probability,
            progress: super::message::progress(figure, language),
        }
    }
}

/// Labels by their names. They are those of the alert: one that it does not have is empty, not a mistake.
#[derive(Debug)]
struct Named(Labels);

impl Object for Named {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        Some(Value::from(self.0.get(key.as_str()?).map_or("", String::as_str)))
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Values(self.0.keys().map(|name| Value::from(name.as_str())).collect())
    }
}

fn environment() -> Environment<'static> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    // The result is text, which each channel escapes in its own way.
    environment.set_auto_escape_callback(|_| AutoEscape::None);
    environment.set_fuel(Some(FUEL));
    environment.add_filter("percent", |value: Option<f64>| {
        value.map_or_else(String::new, percent)
    });
    environment.add_filter("cut", |text: Option<String>, most: usize| {
        text.map_or_else(String::new, |text| Fitter::default().characters(&text, most))
    });
    environment.set_formatter(|out, state, value| {
        // What is not known is nothing, not the word "none".
        if value.is_none() {
            return Ok(());
        }
        minijinja::escape_formatter(out, state, value)
    });
    environment
}

/// Words of the settings for the title and the text of a message about one alert.
pub(super) fn worded(templates: &Templates, notice: &Notice, message: &mut Message) {
    let rule = notice.labels.get("alertname").unwrap_or(&notice.alert_kind);
    let Words { title, text } = templates.of(rule);
    if title.is_none() && text.is_none() {
        return;
    }
    let said = |source: Option<&str>| {
        let source = source?;
        match rendered(source, notice, message) {
            Ok(said) => Some(said),
            Err(error) => {
                tracing::warn!(receiver = notice.receiver, notice = notice.id, reason = %error,
                    "own wording failed; the message is worded as usual");
                None
            }
        }
    };
    let (title, text) = (said(title.as_deref()), said(text.as_deref()));
    if let Some(title) = title.filter(|title| !title.is_empty()) {
        message.title = title;
    }
    if let Some(text) = text {
        message.lead = text;
    }
}

/// A body with every text in it as the template says that it is. One that fails is the title: an alert is never lost to
/// its words.
pub(super) fn body(body: &Map<String, Json>, notice: &Notice, message: &Message) -> Json {
    let all = body.iter();
    Json::Object(
        all.map(|(key, value)| (key.clone(), filled(value, notice, message)))
            .collect(),
    )
}

fn filled(value: &Json, notice: &Notice, message: &Message) -> Json {
    match value {
        Json::String(source) => Json::String(rendered(source, notice, message).unwrap_or_else(|error| {
            tracing::warn!(receiver = notice.receiver, notice = notice.id, reason = %error,
                "a text of the body failed; the title stands for it");
            message.title.clone()
        })),
        Json::Array(all) => all.iter().map(|value| filled(value, notice, message)).collect(),
        Json::Object(all) => body(all, notice, message),
        plain => plain.clone(),
    }
}

fn rendered(source: &str, notice: &Notice, message: &Message) -> Result<String, minijinja::Error> {
    let environment = environment();
    let fields = Serde(fields(notice, message));
    let said = environment.template_from_str(source)?.render(fields)?;
    Ok(said.trim().to_owned())
}

fn fields<'a>(notice: &'a Notice, message: &'a Message) -> Fields<'a> {
    let (facts, language) = (&notice.facts, message.language);
    let label = |name: &str| notice.labels.get(name);
    let owner = facts.node.as_ref().and_then(|node| node.owner.as_ref());
    let figure = facts.node.as_ref().or(facts.parent.as_ref());
    let node = |facts: Option<&'a Facts>| {
        Side::of(
            facts.and_then(|facts| facts.node.as_ref()),
            label("node"),
            language,
        )
    };
    let parent = |facts: Option<&'a Facts>| {
        Side::of(
            facts.and_then(|facts| facts.parent.as_ref()),
            label("parent"),
            language,
        )
    };
    let (then, peak) = (notice.facts_at_firing.as_ref(), notice.peak.as_ref());
    Fields {
        title: &message.title,
        text: &message.lead,
        kind: notice.kind.as_str(),
        alert: &notice.alert_kind,
        severity: notice.severity.as_str(),
        level: super::message::severity(notice.severity, language),
        reason: notice.reason.map(super::alert::reason),
        rule: label("alertname").unwrap_or(&notice.alert_kind),
        owner: owner.or(label("owner")).map(String::as_str),
        period: label("period")
            .or(figure.map(|figure| &figure.period))
            .map_or("", |period| period.as_str()),
        since: super::phrases::at(message, notice.fired_at),
        lasted: language.lasting(notice.fired_at, notice.decided_at),
        ended: notice.kind == NoticeKind::Resolved,
        acknowledged_by: notice.ack.as_ref().map(|ack| ack.by.as_str()),
        episode: &notice.episode,
        notice: &notice.id,
        url: message.links.first().map_or("", |link| link.url.as_str()),
        language: language.pick("zh", "en"),
        labels: Value::from_object(Named(notice.labels.clone())),
        node: node(Some(facts)),
        parent: parent(Some(facts)),
        node_at_firing: node(then),
        parent_at_firing: parent(then),
        node_at_peak: node(peak),
        parent_at_peak: parent(peak),
        item: facts.item.as_ref().map_or("", |item| item.name.as_str()),
        source: facts.source.as_ref().map_or("", |source| source.name.as_str()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alert::notice::ResolveReason;
    use crate::notify::robots::wording;
    use crate::notify::samples::{hollow, numbered, over, over_after_worse};
    use crate::notify::{Answer, Wording};

    fn own(title: &str, text: &str) -> Wording {
        let words = |title: &str, text: &str| Words {
            title: Some(title.to_owned()),
            text: Some(text.to_owned()),
        };
        Wording {
            templates: Templates {
                all: words(title, text),
                rules: [("special".to_owned(), words("special", "{{ rule }}"))].into(),
            },
            ..wording(Language::En)
        }
    }

    #[test]
    fn a_message_says_what_the_template_says() {
        let wording = own(
            "[{{ severity }}] {{ node.title }}{% if ended %} over{% endif %}",
            "{{ node.completion | percent }} of {{ node.name }}, {{ parent.title }} {{ parent.forecast }}{{ labels.period }}",
        );
        let message = wording.message(&[hollow()]);
        assert_eq!(message.title, "[warning] 文章数");
        assert_eq!(message.lead, "96% of articles, 营收 2026-06");
        assert_eq!(
            wording.message(&[over(ResolveReason::Recovered)]).title,
            "[critical] 文章数 over"
        );
        let ends = own(
            "{{ title }}",
            "{{ parent_at_firing.completion | percent }}, {{ parent_at_peak.completion | percent }}",
        );
        let end = over_after_worse(ResolveReason::Recovered);
        assert_eq!(ends.message(&[end]).lead, "41%, 35%");
        assert_eq!(ends.message(&[hollow()]).lead, ",");
        let mut special = hollow();
        special
            .labels
            .insert("alertname".to_owned(), "special".to_owned());
        assert_eq!(wording.message(&[special]).lead, "special");
        let many = wording.message(&[hollow(), numbered(hollow(), 2)]);
        assert_eq!(many.items[1].title, "[warning] 文章数");
        assert_eq!(many.title, "🟠 2 alerts");
    }

    #[test]
    fn what_a_template_cannot_say_is_told_where_it_is_written() {
        for (source, says) in [
            ("{{ title }} {{ labels.anything }}", ""),
            ("{% for name in labels %}{{ name }}{% endfor %}", ""),
            (
                "{{ node.titel }}",
                "there is no field 'node.titel'; did you mean 'node.title'?",
            ),
            ("{{ nodes }}", "there is no field 'nodes'; did you mean 'node'?"),
            ("{{ title.x.y }}", "there is no field 'title.x.y'"),
            ("{{ title", "syntax error"),
            ("{{ title | shout }}", "unknown filter"),
            ("{{ node.completion + 1 }}", "invalid operation"),
            ("{{ node.title + 1 }}", "invalid operation"),
            ("{% for i in range(90000) %}x{% endfor %}", "fuel"),
            ("{% for i in range(9) %}x{% endfor %}", ""),
            ("{% include 'x' %}", "syntax error"),
            // In branches that few alerts take, or none.
            (
                "{% if item %}{{ item | shout }}{% endif %}",
                "filter shout is unknown",
            ),
            (
                "{% if acknowledged_by %}{{ acknowledged_by|shout }}{% endif %}",
                "filter shout is unknown",
            ),
            (
                "{% if kind == 'repeat' %}{{ title | shout('|') }}{% endif %}",
                "filter shout is unknown",
            ),
            (
                "{% if false %}{{ title | upper | shout }}{% endif %}",
                "filter shout is unknown",
            ),
            (
                "{% if false and title is loud %}x{% endif %}",
                "test loud is unknown",
            ),
            (
                "{% if false and title is not loud %}x{% endif %}",
                "test loud is unknown",
            ),
            (
                "{% if false %}{% filter shout %}x{% endfilter %}{% endif %}",
                "filter shout is unknown",
            ),
            (
                "{% if kind == 'repeat' %}{{ title + 1 }}{% endif %}",
                "invalid operation",
            ),
            (
                "{% if reason == 'paused' %}{{ title + 1 }}{% endif %}",
                "invalid operation",
            ),
            (
                "{% if source and acknowledged_by %}{{ title + 1 }}{% endif %}",
                "invalid operation",
            ),
            (
                "{% if language == 'zh' %}{{ title + 1 }}{% endif %}",
                "invalid operation",
            ),
            (
                "{% if url and item %}{{ title + 1 }}{% endif %}",
                "invalid operation",
            ),
            (
                "{{ node_at_peak.completion | percent }} {{ parent_at_firing.title }}",
                "",
            ),
            ("{{ node_at_peak.titel }}", "did you mean 'node_at_peak.title'?"),
            // What looks like one and is none.
            (
                "{{ '| shout' }} | shout {# | shout #}{% raw %}{{ a | shout }}{% endraw %} it is loud",
                "",
            ),
            (
                "{{ \"it is loud\" | upper }}{{ title is defined }}{% if title is not none %}x{% endif %}",
                "",
            ),
            ("{{ 'it\\'s | shout' | upper }}", ""),
            ("{{ title | replace('a', \"b | c\") | cut(20) }}", ""),
        ] {
            match check(source) {
                Ok(()) => assert!(says.is_empty(), "{source} should say {says}"),
                Err(told) => assert!(!says.is_empty() && told.contains(says), "{source}: {told}"),
            }
        }
    }

    #[test]
    fn one_that_fails_leaves_the_usual_words() {
        let usual = wording(Language::En).message(&[hollow()]);
        let message = own("{{ nothing }}", "{{ 1 / 0 }}").message(&[hollow()]);
        assert_eq!((message.title, message.lead), (usual.title, usual.lead));
    }

    #[tokio::test]
    async fn whatever_a_template_gives_keeps_to_every_limit() {
        use crate::notify::robots::{NAMES, robot_with};
        use crate::notify::{Form, Parcel};
        let long = "{{ title }}\"}]<!channel>\\ {% for i in range(200) %}营收🔴{{ text }}{% endfor %}";
        for name in NAMES {
            let robot = robot_with(name, own(long, long)).await;
            let many: Vec<Notice> = (0..30).map(|n| numbered(hollow(), n)).collect();
            for notices in [&many[..1], &many] {
                for form in [Form::Full, Form::Plain] {
                    let parcel = Parcel {
                        notices,
                        form,
                        shown: None,
                        tried_since: None,
                    };
                    assert_eq!(robot.channel.send(parcel).await, Answer::OK, "{name}");
                }
            }
            assert!(!robot.last().to_string().contains("<!channel>"), "{name}");
        }
    }
}

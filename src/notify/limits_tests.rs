//! Every limit of every channel, at N and at N + 1: what fits goes out whole, what is one too many is shortened with a
//! mark that says so, or goes in two parts, and the service takes both.

use serde_json::Value as Json;

use super::fakes::Vendor;
use super::fakes::smtp::Smtp;
use super::fakes::{Call, dingtalk as fake_dingtalk, feishu as fake_feishu, teams as fake_teams};
use super::message::{Field, Item, Message, Tone, Value};
use super::robots::{ALL, NAMES, Robot, mail, mention, robot_with, wording};
use super::{Answer, Form, Parcel, Wording, dingtalk, feishu, open, samples, teams};
use crate::alert::notice::Notice;
use crate::catalog::Grade;
use crate::settings::{self, Mention, Receiver, Templates, Words};
use crate::words::Language;

/// What a vendor counts.
#[derive(Clone, Copy, Debug)]
enum Unit {
    Characters,
    Bytes,
}

impl Unit {
    fn size(self, text: &str) -> usize {
        match self {
            Unit::Characters => text.chars().count(),
            Unit::Bytes => text.len(),
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Part {
    Title,
    Lead,
}

/// A limit on one text of a message.
struct Limit {
    channel: &'static str,
    part: Part,
    /// Where the text stands in what is sent.
    at: &'static str,
    most: usize,
    unit: Unit,
    /// What says that something was cut, besides the ellipsis itself.
    mark: &'static str,
    /// Letters that are sent as others, with how.
    dressed: &'static [(&'static str, &'static str)],
}

const SHORTENED: &str = "内容有删节";
const ESCAPED: &[(&str, &str)] = &[("<", "&lt;"), ("&", "&amp;")];
const WIDE: &[(&str, &str)] = &[("<", "＜"), ("*", "＊")];

#[rustfmt::skip]
const LIMITS: [Limit; 19] = [
    Limit { channel: "slack", part: Part::Title, at: "/blocks/0/text/text", most: 150, unit: Unit::Characters, mark: SHORTENED, dressed: ESCAPED },
    Limit { channel: "slack", part: Part::Lead, at: "/blocks/1/text/text", most: 3000, unit: Unit::Characters, mark: SHORTENED, dressed: ESCAPED },
    Limit { channel: "slack_bot", part: Part::Title, at: "/blocks/0/text/text", most: 150, unit: Unit::Characters, mark: SHORTENED, dressed: ESCAPED },
    Limit { channel: "slack_bot", part: Part::Lead, at: "/blocks/1/text/text", most: 3000, unit: Unit::Characters, mark: SHORTENED, dressed: ESCAPED },
    Limit { channel: "feishu", part: Part::Title, at: "/card/header/title/content", most: 300, unit: Unit::Bytes, mark: SHORTENED, dressed: &[] },
    Limit { channel: "feishu", part: Part::Lead, at: "/card/elements/0/text/content", most: 1500, unit: Unit::Bytes, mark: SHORTENED, dressed: &[("<", "&#60;")] },
    Limit { channel: "dingtalk", part: Part::Title, at: "/actionCard/title", most: 300, unit: Unit::Bytes, mark: SHORTENED, dressed: WIDE },
    Limit { channel: "dingtalk", part: Part::Lead, at: "/actionCard/text", most: 1500, unit: Unit::Bytes, mark: SHORTENED, dressed: WIDE },
    Limit { channel: "wecom", part: Part::Title, at: "/markdown/content", most: 300, unit: Unit::Bytes, mark: SHORTENED, dressed: WIDE },
    Limit { channel: "wecom", part: Part::Lead, at: "/markdown/content", most: 1500, unit: Unit::Bytes, mark: SHORTENED, dressed: WIDE },
    Limit { channel: "teams", part: Part::Title, at: "/attachments/0/content/body/0/text", most: 300, unit: Unit::Bytes, mark: SHORTENED, dressed: WIDE },
    Limit { channel: "teams", part: Part::Lead, at: "/attachments/0/content/body/1/text", most: 1500, unit: Unit::Bytes, mark: SHORTENED, dressed: WIDE },
    Limit { channel: "webhook", part: Part::Title, at: "/data/title", most: 600, unit: Unit::Bytes, mark: "\"shortened\":true", dressed: &[] },
    Limit { channel: "webhook", part: Part::Lead, at: "/data/lead", most: 1500, unit: Unit::Bytes, mark: "\"shortened\":true", dressed: &[] },
    Limit { channel: "alertmanager", part: Part::Title, at: "/0/annotations/summary", most: 1500, unit: Unit::Bytes, mark: "", dressed: &[] },
    Limit { channel: "alertmanager", part: Part::Lead, at: "/0/annotations/description", most: 1500, unit: Unit::Bytes, mark: "", dressed: &[] },
    Limit { channel: "webhook v4", part: Part::Title, at: "/alerts/0/annotations/summary", most: 1500, unit: Unit::Bytes, mark: "", dressed: &[] },
    Limit { channel: "webhook v4", part: Part::Lead, at: "/alerts/0/annotations/description", most: 1500, unit: Unit::Bytes, mark: "", dressed: &[] },
    Limit { channel: "pagerduty", part: Part::Title, at: "/payload/summary", most: 1024, unit: Unit::Characters, mark: "\"shortened\":true", dressed: &[] },
];

/// Words of our own: this text, and nothing else that could be cut.
fn worded(part: Part, text: &str) -> Wording {
    let (title, lead) = match part {
        Part::Title => (text, ""),
        Part::Lead => ("T", text),
    };
    let all = Words {
        title: Some(title.to_owned()),
        text: Some(lead.to_owned()),
    };
    Wording {
        templates: Templates {
            all,
            ..Templates::default()
        },
        ..wording(Language::Zh)
    }
}

/// What the service got, of one notice.
async fn sent(robot: &Robot, notices: &[Notice], form: Form) -> Json {
    assert_eq!(
        super::robots::meaning(&robot.send(notices, form).await),
        "ok",
        "{}: {:?}",
        robot.name,
        robot.fake.requests()
    );
    let refused = robot
        .fake
        .requests()
        .into_iter()
        .find(|request| !request.why.is_empty());
    assert_eq!(refused, None, "{}", robot.name);
    robot.last()
}

/// How often a letter follows itself, at most.
fn longest_run(text: &str, letter: &str) -> usize {
    let (mut longest, mut rest) = (0, text);
    while let Some(at) = rest.find(letter) {
        rest = &rest[at..];
        let mut run = 0;
        while let Some(behind) = rest.strip_prefix(letter) {
            (run, rest) = (run + 1, behind);
        }
        longest = longest.max(run);
    }
    longest
}

#[tokio::test]
async fn every_text_is_whole_at_its_limit_and_shortened_with_a_mark_beyond_it() {
    for name in ALL {
        assert!(
            LIMITS.iter().any(|limit| limit.channel == name),
            "{name} has no limit here"
        );
    }
    for limit in &LIMITS {
        let plain = ["a", "字", "🔴", "é"].map(|letter| (letter, letter));
        for (letter, as_sent) in plain.iter().chain(limit.dressed) {
            let size = limit.unit.size(as_sent);
            let most = limit.most / size;
            let what = format!("{} {:?} of '{letter}'", limit.channel, limit.part);
            for count in [most, most + 1] {
                let text = letter.repeat(count);
                let robot = robot_with(limit.channel, worded(limit.part, &text)).await;
                let payload = sent(&robot, &[samples::hollow()], Form::Full).await;
                let whole = payload.to_string();
                let part = payload.pointer(limit.at).and_then(Json::as_str);
                let part = part.unwrap_or_else(|| panic!("{what}: nothing at {} in {payload:#}", limit.at));
                let run = longest_run(part, as_sent);
                if count == most {
                    assert_eq!(run, count, "{what}");
                    let is_marked =
                        whole.contains('…') || (!limit.mark.is_empty() && whole.contains(limit.mark));
                    // The notification text of Slack has a share of its own, and repeats what the blocks say.
                    let is_slack = limit.channel.starts_with("slack");
                    let of_part = part.contains('…') || whole.contains(SHORTENED);
                    assert!(
                        if is_slack { !of_part } else { !is_marked },
                        "{what}: {payload:#}"
                    );
                } else {
                    assert!(run < count, "{what}");
                    let fits = run * size + limit.unit.size("…");
                    assert!(
                        fits <= limit.most && fits + 2 * size > limit.most,
                        "{what}: {run}"
                    );
                    assert!(part.contains(&format!("{as_sent}…")), "{what}: {part}");
                    assert!(whole.contains(limit.mark), "{what}: {payload:#}");
                }
            }
        }
    }
}

#[tokio::test]
async fn a_mail_has_all_of_a_title_that_its_subject_is_too_short_for() {
    let server = Smtp::start(None).await.unwrap();
    for letter in ["a", "字", "🔴"] {
        let most = 400 / letter.len();
        for count in [most, most + 1] {
            let receiver = Receiver::local(settings::Channel::Email(mail(server.port())));
            let title = letter.repeat(count);
            let (channel, _) = open(&receiver, worded(Part::Title, &title)).unwrap();
            let parcel = Parcel {
                notices: &[samples::hollow()],
                form: Form::Full,
                shown: None,
                tried_since: None,
            };
            assert!(
                matches!(channel.send(parcel).await, Answer::Ok { .. }),
                "{letter} {count}"
            );
            let mails = server.mails();
            let (subject, text) = read(&mails.last().unwrap().content);
            assert_eq!(subject.contains('…'), count > most, "{letter} {count}: {subject}");
            assert_eq!(longest_run(&subject, letter) == count, count == most, "{subject}");
            assert!(text.contains(&title), "{letter} {count}");
        }
    }
    assert_eq!(server.wrong(), Vec::<String>::new());
}

/// Subject and text of a mail, as people read them.
fn read(content: &str) -> (String, String) {
    use base64::Engine;
    let decoded = |encoded: &str| {
        let bytes = base64::engine::general_purpose::STANDARD
            .decode(encoded)
            .unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    };
    let (head, body) = content.split_once("\r\n\r\n").unwrap();
    let unfolded = head.replace("\r\n ", " ");
    let subject = unfolded
        .lines()
        .find_map(|line| line.strip_prefix("Subject: "))
        .unwrap();
    // A word is text, or base64 between marks; blanks between two that are marked do not count.
    let words = subject
        .split(' ')
        .map(|word| match word.strip_prefix("=?utf-8?b?") {
            Some(word) => decoded(word.trim_end_matches("?=")),
            None => word.to_owned(),
        });
    let texts = body.split("\r\n\r\n").map(|part| {
        let lines: Vec<&str> = part.lines().take_while(|line| !line.starts_with("--")).collect();
        let text = decoded(&lines.concat());
        // Text that is sent as it is, or quoted: `=` at the end of a line goes on.
        if text.is_empty() {
            lines.join("\n").replace("=\n", "")
        } else {
            text
        }
    });
    (words.collect(), texts.collect())
}

#[tokio::test]
async fn alerts_beyond_those_that_are_listed_are_counted() {
    for name in NAMES.into_iter().chain(["slack_bot"]) {
        for (count, says) in [(10u32, None), (11, Some("另有 1 项")), (40, Some("另有 30 项"))] {
            for form in [Form::Full, Form::Plain] {
                let notices: Vec<Notice> = (0..count)
                    .map(|n| samples::numbered(samples::hollow(), n))
                    .collect();
                let robot = robot_with(name, worded(Part::Title, "短")).await;
                let payload = sent(&robot, &notices, form).await.to_string();
                match says {
                    Some(says) => assert!(payload.contains(says), "{name} {count} {form:?}: {payload}"),
                    None => assert!(!payload.contains("另有"), "{name} {count} {form:?}: {payload}"),
                }
                assert!(
                    payload.contains(&count.to_string()),
                    "{name} {count} {form:?}: {payload}"
                );
            }
        }
    }
}

/// However many wait, some are named and the rest is counted, and no message grows with them.
#[tokio::test]
async fn proposals_beyond_those_that_are_named_are_counted() {
    for name in NAMES.into_iter().chain(["slack_bot"]) {
        for (count, says) in [
            (5, None),
            (6, Some("另有 1 项调整建议")),
            (500, Some("另有 495 项调整建议")),
        ] {
            for parent in ["营收", &"字".repeat(900), &"🔴<&".repeat(400)] {
                for form in [Form::Full, Form::Plain] {
                    let robot = robot_with(name, wording(Language::Zh)).await;
                    let digest = samples::waiting(parent, count);
                    let payload = sent(&robot, &[digest], form).await.to_string();
                    // What is long may leave no room for the last of the fields.
                    if parent == "营收" {
                        assert_eq!(
                            payload.contains("另有"),
                            says.is_some(),
                            "{name} {form:?}: {payload}"
                        );
                        assert!(
                            payload.contains(says.unwrap_or_default()),
                            "{name} {form:?}: {payload}"
                        );
                    }
                    assert!(payload.len() < 30_000, "{name} {form:?}: {}", payload.len());
                }
            }
        }
    }
}

#[tokio::test]
async fn an_address_is_there_whole_or_it_is_said_that_something_is_missing() {
    for (name, most, mark) in [
        ("slack", 3000, SHORTENED),
        ("slack_bot", 3000, SHORTENED),
        ("feishu", 2000, SHORTENED),
        ("dingtalk", 2000, SHORTENED),
        ("wecom", 2000, SHORTENED),
        ("teams", 2000, SHORTENED),
        ("pagerduty", 2000, "\"shortened\":true"),
    ] {
        for length in [most, most + 1] {
            let (start, end) = ("https://kpi.example/", "/nodes/articles");
            let page = format!("{start}{}", "p".repeat(length - start.len() - end.len()));
            let wording = Wording {
                page: Some(page.clone()),
                signer: None,
                ..worded(Part::Title, "短")
            };
            let robot = robot_with(name, wording).await;
            let payload = sent(&robot, &[samples::hollow()], Form::Full).await.to_string();
            let is_there = payload.contains(&format!("{page}{end}"));
            assert_eq!(is_there, length == most, "{name} {length}");
            assert_eq!(
                payload.contains(mark),
                length > most,
                "{name} {length}: {payload}"
            );
        }
    }
}

/// A message that is as large as it can be, but for its lead.
fn large(value: usize, lead: &str) -> Message {
    Message {
        fields: (0..20)
            .map(|n| Field {
                name: format!("字段{n}"),
                value: Value::Text("v".repeat(value)),
            })
            .collect(),
        items: (0..10)
            .map(|n| Item {
                title: format!("告警{n}"),
                lead: "🔴".repeat(150),
            })
            .collect(),
        lead: lead.to_owned(),
        tone: Tone::Alert(Grade::Warning),
        ..wording(Language::Zh).message(&[samples::hollow()])
    }
}

/// Writes a message for a channel.
type Write = fn(&Message, &Mention) -> Json;

#[test]
fn a_body_is_whole_at_its_limit_and_has_less_room_beyond_it() {
    let services: [(&str, usize, Write, Box<dyn Vendor>); 3] = [
        (
            "feishu",
            20_000,
            feishu::payload::full,
            fake_feishu::Feishu::new(None),
        ),
        (
            "dingtalk",
            19_500,
            dingtalk::payload::full,
            fake_dingtalk::DingTalk::new(None),
        ),
        ("teams", 21_000, teams::payload::full, fake_teams::Teams::new()),
    ];
    for (name, most, write, mut vendor) in services {
        let nobody = Mention::default();
        let size = |message: &Message| write(message, &nobody).to_string().len();
        // Values that leave some room for the lead, and no more than it may have.
        let value = (1..600)
            .find(|value| (most - 1400..most - 100).contains(&size(&large(*value, "a"))))
            .unwrap_or_else(|| panic!("{name} cannot be filled"));
        let room = 1 + most - size(&large(value, "a"));
        let ends = ["a", "字", "🔴"].into_iter().flat_map(|end| [(end, 0), (end, 1)]);
        for (minutes, (end, more)) in (1..).zip(ends) {
            let is_whole = more == 0;
            let lead = format!("{}{end}", "a".repeat(room + more - end.len()));
            let payload = write(&large(value, &lead), &nobody).to_string();
            assert!(payload.len() <= most, "{name} {end}: {}", payload.len());
            assert_eq!(payload.len() == most, is_whole, "{name} {end}: {}", payload.len());
            assert_eq!(payload.contains(SHORTENED), !is_whole, "{name} {end}");
            assert_eq!(payload.contains(&"v".repeat(value)), is_whole, "{name} {end}");
            let call = Call {
                path: String::new(),
                query: [("access_token", "t"), ("sig", "s")]
                    .map(|(name, value)| (name.to_owned(), value.to_owned()))
                    .into(),
                is_json: true,
                authorization: None,
                headers: Default::default(),
                body: payload,
                at: tokio::time::Instant::now() + std::time::Duration::from_mins(minutes),
                received: jiff::Timestamp::now(),
            };
            let verdict = vendor.judge(&call);
            assert_eq!(verdict.why, "", "{name}");
        }
    }
}

#[tokio::test]
async fn what_wecom_counts_in_bytes_is_whole_at_4096_and_2048_of_them() {
    for (form, at, most) in [
        (Form::Full, "/markdown/content", 4096),
        (Form::Plain, "/text/content", 2048),
    ] {
        for letter in ["a", "字"] {
            let of = async |owner: usize, lead: usize| {
                let mut notice = samples::hollow();
                let (node, parent) = (&mut notice.facts.node, &mut notice.facts.parent);
                let (node, parent) = (node.as_mut().unwrap(), parent.as_mut().unwrap());
                node.owner = Some(letter.repeat(owner / letter.len()));
                if form == Form::Full {
                    node.title = letter.repeat(99 / letter.len());
                    parent.title.clone_from(&node.title);
                    node.period = letter.repeat(580 / letter.len());
                    node.unit = Some("u".repeat(90));
                    parent.unit.clone_from(&node.unit);
                }
                let robot = robot_with("wecom", worded(Part::Lead, &"b".repeat(lead))).await;
                let payload = sent(&robot, &[notice], form).await;
                payload.pointer(at).unwrap().as_str().unwrap().to_owned()
            };
            // An owner who leaves some room, and less than a lead may have.
            let (mut fitting, mut found) = (None, Vec::new());
            for owner in (9..=420).step_by(20) {
                let base = of(owner, 1).await;
                found.push((owner, base.len(), base.contains(SHORTENED)));
                if !base.contains(SHORTENED) && (most - 1400..most - 10).contains(&base.len()) {
                    fitting = Some((owner, 1 + most - base.len()));
                    break;
                }
            }
            let (owner, lead) =
                fitting.unwrap_or_else(|| panic!("{form:?} of {letter} cannot be filled: {found:?}"));
            let whole = of(owner, lead).await;
            assert_eq!(
                (whole.len(), whole.contains(SHORTENED)),
                (most, false),
                "{form:?} {letter}"
            );
            let shortened = of(owner, lead + 1).await;
            assert!(
                shortened.len() <= most && shortened.contains(SHORTENED),
                "{form:?} {letter}: {shortened}"
            );
        }
    }
    // Who is called is part of it.
    let ids: Vec<String> = (0..16).map(|n| format!("{n}{}", "u".repeat(62))).collect();
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    let people = mention(&ids, &[], false);
    let robot = super::robots::robot("wecom", people).await;
    let shown = sent(&robot, &[samples::hollow()], Form::Full).await;
    assert!(shown["markdown"]["content"].as_str().unwrap().len() <= 4096);
}

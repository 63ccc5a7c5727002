use proptest::prelude::*;

use super::*;
use crate::alert::notice::{Notice, ResolveReason};
use crate::notify::arbitrary::notice;
use crate::notify::fake_slack::{self, rules};
use crate::notify::message::Reader;
use crate::notify::samples;
use crate::words::Language;

const PAGE: Option<&str> = Some("https://kpi.example.org/");

fn message(notice: &Notice, language: Language) -> Message {
    let reader = Reader {
        language,
        page: PAGE,
        signer: None,
        zone: None,
        templates: None,
    };
    Message::of(std::slice::from_ref(notice), &reader)
}

/// What people see in Slack.
fn shown(notice: &Notice, language: Language) -> String {
    let payload = full(&message(notice, language), None);
    rules::check(&payload.to_string(), true).expect("Slack takes it");
    fake_slack::Message {
        received: Timestamp::UNIX_EPOCH,
        payload,
    }
    .as_text()
}

#[test]
fn an_address_in_plain_text_is_whole_or_not_there() {
    let of = |length: usize| {
        let mut message = message(&samples::hollow(), Language::En);
        let begin = "https://kpi.example.org/nodes/";
        message.links[0].url = format!("{begin}{}", "a".repeat(length - begin.len()));
        let text = plain(&message)["text"].as_str().unwrap().to_owned();
        (text.contains(&message.links[0].url), text.contains("https://"))
    };
    assert_eq!(of(700), (true, true));
    assert_eq!(of(2500), (true, true));
    assert_eq!(of(limit::TEXT), (false, false));
}

#[test]
fn a_new_episode_in_chinese() {
    insta::assert_snapshot!(shown(&samples::hollow(), Language::Zh), @r"
    🟠 文章数已完成，营收没有
    文章数已完成 96%，而它所服务的营收只完成 41%，按计划此时应为 65%。
      KPI 文章数: 96% · 96 / 100 · 计划 65%
      所服务的 营收: 41% · ¥41万 / ¥100万 · 计划 65%
      差距: KPI 领先 55 个百分点
      始于: 2026-06-20 01:30 UTC
      负责人: 小王（营收：老李）
      期间: 2026-06
      级别: 警告
    最近 8 天，逐日
    │ ▁▂▃▄▄▅▆█ 文章数
    │ ▇▇█▇▇▇▇▇ 营收
    [打开页面] https://kpi.example.org/nodes/articles
    5e1f.1 · hollow · 事件时间 2026-06-20 01:30 UTC
    ");
}

#[test]
fn an_escalation_in_english() {
    insta::assert_snapshot!(shown(&samples::worse(), Language::En), @r"
    🔴⬆️ Now critical: 文章数已完成，营收没有
    文章数 stands at 104% of its target; 营收, which it serves, stands at 42% where the plan expects 65% by now.
      KPI 文章数: 104% · 104 / 100 · plan 65%
      Serves 营收: 42% · ¥420,000 / ¥1M · plan 65%
      Gap: KPI ahead by 62 points
      Since: 2026-06-20 01:30 UTC · 3 hours
      Owner: 小王 (营收: 老李)
      Period: 2026-06
      Severity: Critical
    Last 8 days, day by day
    │ ▁▂▃▄▄▅▆█ 文章数
    │ ▇▇█▇▇▇▇▇ 营收
    [Open the page] https://kpi.example.org/nodes/articles
    5e1f.2 · hollow · Event time 2026-06-20 04:30 UTC
    ");
}

#[test]
fn a_recovery_in_chinese() {
    insta::assert_snapshot!(shown(&samples::over(ResolveReason::Recovered), Language::Zh), @r"
    ✅ 已恢复：文章数已完成，营收没有
    持续 3 天后恢复。现在文章数完成 104%，营收完成 78%（计划 65%）。
      KPI 文章数: 96% → 104%
      所服务的 营收: 41% → 78%
      持续: 3 天
      始于: 2026-06-20 01:30 UTC
      负责人: 小王（营收：老李）
      期间: 2026-06
      级别: 严重
    最近 8 天，逐日
    │ ▁▂▃▄▄▅▆█ 文章数
    │ ▇▇█▇▇▇▇▇ 营收
    [打开页面] https://kpi.example.org/nodes/articles
    5e1f.3 · hollow · 事件时间 2026-06-23 01:30 UTC
    ");
}

#[test]
fn a_period_that_closed_in_english() {
    insta::assert_snapshot!(shown(&samples::over(ResolveReason::PeriodClosed), Language::En), @r"
    🏁 Period closed: 文章数已完成，营收没有
    The period closed; this had lasted 3 days. 营收 ended at 78%: target missed.
      KPI 文章数: 96% → 104%
      Serves 营收: 41% → 78%
      Lasted: 3 days
      Began: 2026-06-20 01:30 UTC
      Owner: 小王 (营收: 老李)
      Period: 2026-06
      Severity: Critical
    Last 8 days, day by day
    │ ▁▂▃▄▄▅▆█ 文章数
    │ ▇▇█▇▇▇▇▇ 营收
    [Open the page] https://kpi.example.org/nodes/articles
    5e1f.3 · hollow · Event time 2026-06-23 01:30 UTC
    ");
}

#[test]
fn the_notification_and_the_plain_form_say_it_in_text() {
    let message = message(&samples::hollow(), Language::Zh);
    insta::assert_snapshot!(full(&message, None)["text"].as_str().unwrap(), @"🟠 文章数已完成，营收没有 — 文章数已完成 96%，而它所服务的营收只完成 41%，按计划此时应为 65%。");
    insta::assert_snapshot!(plain(&message)["text"].as_str().unwrap(), @r"
    🟠 文章数已完成，营收没有
    文章数已完成 96%，而它所服务的营收只完成 41%，按计划此时应为 65%。
    KPI 文章数: 96% · 96 / 100 · 计划 65%
    所服务的 营收: 41% · ¥41万 / ¥100万 · 计划 65%
    差距: KPI 领先 55 个百分点
    始于: 2026-06-20 01:30 UTC
    负责人: 小王（营收：老李）
    期间: 2026-06
    级别: 警告
    https://kpi.example.org/nodes/articles
    5e1f.1 · 2026-06-20 01:30 UTC
    ");
}

#[test]
fn names_cannot_mention_anybody() {
    let mut notice = samples::hollow();
    notice.facts.title = "<!channel> & <@U1>".into();
    let payload = full(&message(&notice, Language::En), None);
    assert_eq!(
        payload["blocks"][0]["text"]["text"],
        "🟠 &lt;!channel&gt; &amp; &lt;@U1&gt;"
    );
    assert!(
        payload["text"]
            .as_str()
            .unwrap()
            .starts_with("🟠 &lt;!channel&gt; &amp; &lt;@U1&gt; — ")
    );
}

#[test]
fn a_title_fits_at_its_limit_and_says_when_it_does_not() {
    // Two characters are the mark and its space.
    for (length, cut) in [(limit::HEADER - 2, false), (limit::HEADER - 1, true)] {
        for letter in ["a", "营", "🚀"] {
            let mut notice = samples::hollow();
            notice.facts.title = letter.repeat(length);
            let payload = full(&message(&notice, Language::En), None);
            let title = payload["blocks"][0]["text"]["text"].as_str().unwrap();
            assert_eq!(title.chars().count(), limit::HEADER);
            assert_eq!(title.ends_with('…'), cut);
            assert_eq!(payload.to_string().contains("Shortened with …"), cut);
        }
    }
}

#[test]
fn an_address_too_long_for_a_button_is_left_out() {
    for (length, buttons) in [(limit::URL, 1), (limit::URL + 1, 0)] {
        let message = message(&samples::hollow(), Language::En);
        let mut links = message.links.clone();
        links[0].url = format!("https://{}", "a".repeat(length - 8));
        let payload = full(&Message { links, ..message }, None);
        let blocks = payload["blocks"].as_array().unwrap();
        assert_eq!(
            blocks.iter().filter(|block| block["type"] == "actions").count(),
            buttons
        );
        assert!(rules::check(&payload.to_string(), true).is_ok());
    }
}

/// Letters that are counted in other ways elsewhere: in bytes, or in units of UTF-16.
const LETTERS: [&str; 3] = ["a", "营", "🚀"];

/// What is sent of a message with a text of so many letters in one of its parts.
fn with_text(put: impl Fn(&mut Message, String), letter: &str, count: usize) -> Json {
    let mut message = message(&samples::hollow(), Language::En);
    put(&mut message, letter.repeat(count));
    let payload = full(&message, None);
    rules::check(&payload.to_string(), true).expect("Slack takes it");
    payload
}

#[test]
fn every_part_is_whole_at_its_limit_and_cut_with_a_mark_beyond_it() {
    type Part = (&'static str, usize, fn(&mut Message, String), &'static str);
    let parts: [Part; 6] = [
        (
            "name of a field",
            NAME,
            |message, text| message.fields[0].name = text,
            "/blocks/2/fields/0/text",
        ),
        (
            "value of a field",
            VALUE,
            |message, text| message.fields[0].value = Value::Text(text),
            "/blocks/2/fields/0/text",
        ),
        (
            "label of a button",
            limit::BUTTON,
            |message, text| message.links[0].label = text,
            "/blocks/4/elements/0/text/text",
        ),
        (
            "id",
            ID,
            |message, text| message.id = text,
            "/blocks/5/elements/0/text",
        ),
        (
            "kind",
            ID,
            |message, text| message.kind = text,
            "/blocks/5/elements/0/text",
        ),
        (
            "title of an alert",
            limit::HEADER,
            |message, text| {
                message.items = vec![Item {
                    title: text,
                    lead: String::new(),
                }]
            },
            "/blocks/4/text/text",
        ),
    ];
    for (what, most, put, at) in parts {
        for letter in LETTERS {
            for (count, is_cut) in [(most, false), (most + 1, true)] {
                let payload = with_text(put, letter, count);
                let text = payload.pointer(at).and_then(Json::as_str);
                let text = text.unwrap_or_else(|| panic!("{what}: nothing at {at} in {payload:#}"));
                let kept = if is_cut { most - 1 } else { most };
                let found = text.matches(letter).count();
                assert!(found >= kept, "{what} of '{letter}': {text}");
                assert_eq!(
                    text.contains(&letter.repeat(most)),
                    !is_cut,
                    "{what} of '{letter}': {text}"
                );
                assert_eq!(
                    text.contains(&format!("{letter}…")),
                    is_cut,
                    "{what} of '{letter}': {text}"
                );
                let says = payload.to_string().contains("Shortened with …");
                assert_eq!(says, is_cut, "{what} of '{letter}'");
            }
        }
    }
}

#[test]
fn fields_beyond_those_of_a_section_are_in_the_next_one() {
    for letter in LETTERS {
        for (count, sections) in [
            (limit::FIELDS, vec![limit::FIELDS]),
            (limit::FIELDS + 1, vec![limit::FIELDS, 1]),
        ] {
            let put = |message: &mut Message, text: String| {
                let field = crate::notify::message::Field {
                    name: text.clone(),
                    value: Value::Text(text),
                };
                message.fields = vec![field; count];
            };
            let payload = with_text(put, letter, NAME);
            let blocks = payload["blocks"].as_array().unwrap();
            let found: Vec<usize> = blocks
                .iter()
                .filter_map(|block| block["fields"].as_array().map(Vec::len))
                .collect();
            assert_eq!(found, sections);
        }
    }
}

/// The context has two elements, and a third where something was cut.
#[test]
fn a_context_has_few_elements_and_its_texts_fit() {
    for letter in LETTERS {
        for (count, elements) in [(ID, 2), (ID + 1, 3)] {
            let payload = with_text(
                |message, text| (message.id, message.kind) = (text.clone(), text),
                letter,
                count,
            );
            let context = payload["blocks"].as_array().unwrap().last().unwrap();
            assert_eq!(context["elements"].as_array().map(Vec::len), Some(elements));
        }
    }
}

#[test]
fn the_largest_messages_have_fewer_blocks_and_less_text_than_slack_takes() {
    use crate::alert::notice::{Aside, Digest, DigestLine};
    let letters = LETTERS
        .map(|letter| letter.repeat(900))
        .into_iter()
        .chain(["<&>".repeat(300)]);
    for text in letters {
        let mut sample = samples::hollow();
        sample.facts.title.clone_from(&text);
        let (node, parent) = (
            sample.facts.node.as_mut().unwrap(),
            sample.facts.parent.as_mut().unwrap(),
        );
        node.title.clone_from(&text);
        parent.title.clone_from(&text);
        parent.unit = Some(text.clone());
        let mut digest = samples::waiting(&text, 500);
        let Some(Aside::Digest(all)) = digest.aside.as_deref_mut() else {
            unreachable!("it is a digest");
        };
        let line = DigestLine {
            episode: "e".to_owned(),
            alert_kind: "hollow".to_owned(),
            severity: sample.severity,
            labels: sample.labels.clone(),
            facts: sample.facts.clone(),
            fired_at: sample.fired_at,
            ended_at: None,
            reason: None,
            is_new: true,
            was: None,
            episodes: 3,
            untold: false,
        };
        *all = Digest {
            open: vec![line; 500],
            forecast: vec![sample.facts.parent.clone().unwrap(); 500],
            ..all.clone()
        };
        let storm: Vec<Notice> = (0..500).map(|n| samples::numbered(sample.clone(), n)).collect();
        for notices in [&[digest][..], &[samples::proposed()], &storm] {
            let reader = Reader {
                page: PAGE,
                ..Reader::default()
            };
            let payload = full(&Message::of(notices, &reader), Some("e1"));
            rules::check(&payload.to_string(), true).expect("Slack takes it");
            let blocks = payload["blocks"].as_array().unwrap();
            assert!(blocks.len() <= limit::BLOCKS, "{}", blocks.len());
            let mut found = Vec::new();
            texts(&payload["blocks"], &mut found);
            let all: usize = found.iter().map(|text| text.chars().count()).sum();
            assert!(all < limit::ALL_BLOCKS, "{all}");
        }
    }
}

/// Every text of a payload, without the dates that Slack is to show.
fn texts(payload: &Json, found: &mut Vec<String>) {
    match payload {
        Json::String(text) => {
            let mut rest = text.as_str();
            let mut kept = String::new();
            while let Some((before, after)) = rest.split_once("<!date^") {
                kept.push_str(before);
                rest = after.split_once('>').unwrap().1;
            }
            found.push(kept + rest);
        }
        Json::Array(list) => list.iter().for_each(|part| texts(part, found)),
        Json::Object(object) => object.values().for_each(|part| texts(part, found)),
        _ => {}
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn slack_takes_every_message_and_nothing_in_it_can_mention(notice in notice(), zh in any::<bool>()) {
        let language = if zh { Language::Zh } else { Language::En };
        let message = message(&notice, language);
        for payload in [full(&message, None), plain(&message)] {
            if let Err(refusal) = rules::check(&payload.to_string(), true) {
                prop_assert!(false, "{refusal:?}");
            }
            let mut found = Vec::new();
            texts(&payload, &mut found);
            for text in found {
                prop_assert!(!text.contains(['<', '>']), "{}", text);
                let rest = text.replace("&amp;", "").replace("&lt;", "").replace("&gt;", "");
                prop_assert!(!rest.contains('&'), "{}", text);
            }
            prop_assert!(payload["text"].as_str().unwrap().chars().count() <= limit::TEXT);
        }
    }
}

use super::single::gap;
use super::*;
use crate::alert::notice::{
    Aside, Cause, Causes, Digest, DigestLine, NotExplained, NoticeKind, ResolveReason,
};
use crate::catalog::{Grade, Severity};
use crate::notify::samples;

fn of(notice: &Notice, language: Language, page: Option<&str>) -> Message {
    let reader = Reader {
        language,
        page,
        signer: None,
        zone: None,
        templates: None,
    };
    Message::of(std::slice::from_ref(notice), &reader)
}

#[test]
fn the_title_tells_begin_worse_and_end_apart() {
    for (notice, zh, en) in [
        (
            samples::hollow(),
            "🟠 文章数已完成，营收没有",
            "🟠 文章数已完成，营收没有",
        ),
        (
            samples::worse(),
            "🔴⬆️ 升级为严重：文章数已完成，营收没有",
            "🔴⬆️ Now critical: 文章数已完成，营收没有",
        ),
        (
            samples::over(ResolveReason::Recovered),
            "✅ 已恢复：文章数已完成，营收没有",
            "✅ Resolved: 文章数已完成，营收没有",
        ),
        (
            samples::over(ResolveReason::PeriodClosed),
            "🏁 期间结束：文章数已完成，营收没有",
            "🏁 Period closed: 文章数已完成，营收没有",
        ),
        (
            samples::over(ResolveReason::RuleDeleted),
            "⏹️ 规则已移除：文章数已完成，营收没有",
            "⏹️ Rule removed: 文章数已完成，营收没有",
        ),
    ] {
        assert_eq!(of(&notice, Language::Zh, None).title, zh);
        assert_eq!(of(&notice, Language::En, None).title, en);
    }
}

/// A step that the catalogue adds is told by its own title, and looks like what it is like.
#[test]
fn a_severity_of_the_catalogue_is_told_by_its_title() {
    let outage = Severity::added("outage", Grade::Critical, 1, "Outage", "停摆");
    let notice = Notice {
        severity: outage,
        ..samples::worse()
    };
    let told = |language| {
        let message = of(&notice, language, None);
        assert_eq!(message.tone, Tone::Alert(Grade::Critical));
        let level = message.fields.iter().find_map(|field| match &field.value {
            Value::Text(text) if ["级别", "Severity"].contains(&field.name.as_str()) => Some(text.clone()),
            _ => None,
        });
        format!("{}\n{}", message.title, level.unwrap())
    };
    insta::assert_snapshot!(told(Language::Zh), @r"
    🔴⬆️ 升级为停摆：文章数已完成，营收没有
    停摆
    ");
    insta::assert_snapshot!(told(Language::En), @r"
    🔴⬆️ Now outage: 文章数已完成，营收没有
    Outage
    ");
}

#[test]
fn a_beginning_names_where_most_of_the_distance_comes_from() {
    let cause = |title: &str, amount: f64, share: f64| Cause {
        title: title.to_owned(),
        amount,
        share,
    };
    let notice = Notice {
        causes: Some(Box::new(Causes {
            of: "营收".to_owned(),
            unit: Some("CNY".to_owned()),
            parts: vec![
                cause("华东", -1_200_000.0, 0.8),
                cause("华南 / 门店", 150_000.0, -0.1),
            ],
            others: 3,
            not_explained: Some(NotExplained {
                amount: -450_000.0,
                share: 0.3,
            }),
        })),
        ..samples::hollow()
    };
    let field = |language: Language| {
        let fields = of(&notice, language, None).fields;
        let is_it = |field: &&Field| matches!(&field.value, Value::Text(text) if text.contains("华东"));
        let found = fields.iter().find(is_it).unwrap();
        format!("{}: {:?}", found.name, found.value)
    };
    assert_eq!(
        field(Language::Zh),
        "营收的差距主要在: Text(\"华东 −¥120万（占 80%），华南 / 门店 +¥15万（占 −10%）；另有 3 项；未能解释 −¥45万（占 30%）\")"
    );
    assert_eq!(
        field(Language::En),
        "Gap of 营收, mostly: Text(\"华东 −¥1.2M (80% of it), 华南 / 门店 +¥150,000 (−10% of it); 3 others; not explained −¥450,000 (30% of it)\")"
    );
    assert_eq!(
        of(&samples::hollow(), Language::En, None).fields.len() + 1,
        of(&notice, Language::En, None).fields.len()
    );
}

#[test]
fn an_end_tells_why_and_whether_the_target_was_met() {
    let lead = |reason| of(&samples::over(reason), Language::En, None).lead;
    assert!(lead(ResolveReason::Recovered).starts_with("Recovered after 3 days. "));
    assert!(lead(ResolveReason::PeriodClosed).contains("营收 ended at 78%: target missed."));
    assert!(lead(ResolveReason::RuleDeleted).contains("removed from the catalogue"));
    assert!(lead(ResolveReason::SourceGone).contains("source was removed from the catalogue"));
    assert!(lead(ResolveReason::Paused).contains("switched off for this in the catalogue"));
}

#[test]
fn a_gap_is_told_from_the_side_on_which_it_is() {
    let mut facts = samples::hollow().facts;
    assert_eq!(gap(&facts, Language::Zh).as_deref(), Some("KPI 领先 55 个百分点"));
    assert_eq!(
        gap(&facts, Language::En).as_deref(),
        Some("KPI ahead by 55 points")
    );
    facts.parent = None;
    assert_eq!(
        gap(&facts, Language::En).as_deref(),
        Some("ahead of plan by 31 points")
    );
    if let Some(node) = &mut facts.node {
        node.completion = Some(0.6);
    }
    assert_eq!(gap(&facts, Language::Zh).as_deref(), Some("落后计划 5 个百分点"));
    facts.node = None;
    assert_eq!(gap(&facts, Language::Zh), None);
}

#[test]
fn the_link_leads_to_the_node() {
    let mut notice = samples::hollow();
    let url = |notice: &Notice, page| {
        let links = of(notice, Language::En, page).links;
        links.first().map(|link| link.url.clone())
    };
    assert_eq!(url(&notice, None), None);
    assert_eq!(
        url(&notice, Some("https://kpi.example/")).as_deref(),
        Some("https://kpi.example/nodes/articles")
    );
    notice.labels.insert("node".into(), "文章/1".into());
    assert_eq!(
        url(&notice, Some("https://kpi.example/t")).as_deref(),
        Some("https://kpi.example/t/nodes/%E6%96%87%E7%AB%A0%2F1")
    );
    notice.labels.remove("node");
    assert_eq!(
        url(&notice, Some("https://kpi.example")).as_deref(),
        Some("https://kpi.example/")
    );
}

#[test]
fn what_is_told_before_history_is_read_says_so() {
    let early = Notice {
        catching_up: true,
        ..samples::hollow()
    };
    let zh = of(&early, Language::Zh, None);
    assert_eq!(zh.title, "🟠 文章数已完成，营收没有（数据补读中）");
    assert!(
        zh.lead.ends_with("。启动前的数据还没有读完，数字可能不完整。"),
        "{}",
        zh.lead
    );
    let en = of(&early, Language::En, None);
    assert!(en.title.ends_with(" (catching up)"), "{}", en.title);
    let mark = ". What came before the start has not all been read, so the numbers may not be complete.";
    assert!(en.lead.ends_with(mark), "{}", en.lead);
    let lead = of(&samples::hollow(), Language::En, None).lead;
    assert_eq!(en.lead, format!("{}{mark}", lead.trim_end_matches('.')));

    // Several in one message, and own wording.
    let reader = Reader {
        language: Language::En,
        ..Reader::default()
    };
    let many = Message::of(&[early.clone(), samples::hollow()], &reader);
    assert!(many.title.ends_with(" (catching up)"), "{}", many.title);
    let templates = crate::settings::Templates {
        all: crate::settings::Words {
            title: Some("Look at this".into()),
            text: Some("{{ labels.node }}".into()),
        },
        ..Default::default()
    };
    let own = Reader {
        templates: Some(&templates),
        ..reader
    };
    let own = Message::of(&[early], &own);
    assert_eq!(own.title, "Look at this (catching up)");
    assert!(own.lead.starts_with("articles What came before"), "{}", own.lead);
}

#[test]
fn that_somebody_is_not_reached_says_whom_why_and_what_to_do() {
    let delivery = crate::alert::delivery::DeliveryFacts {
        receiver: "sales-chat".into(),
        lost: 3,
        since: None,
        reason: Some("destination disabled: 404 no_service".into()),
        others: vec!["boss".into()],
    };
    let notice = Notice {
        alert_kind: crate::alert::delivery::DELIVERY_FAILED.into(),
        labels: [("receiver".to_owned(), "sales-chat".to_owned())].into(),
        facts: crate::alert::record::Facts {
            delivery: Some(delivery),
            ..Default::default()
        },
        ..samples::hollow()
    };
    let en = of(&notice, Language::En, None);
    assert_eq!(en.title, "🟠 Notices do not reach sales-chat");
    assert_eq!(
        en.lead,
        "3 notices were refused or given up, the last one for: destination disabled: 404 no_service. Check its address and secret; tautline notify test sends a trial message. Not reached either: boss."
    );
    let zh = of(&notice, Language::Zh, None);
    assert_eq!(zh.title, "🟠 发给 sales-chat 的通知送不到");
    assert_eq!(
        zh.lead,
        "sales-chat 有 3 条通知被拒收或放弃，最近一次的原因：destination disabled: 404 no_service。请检查其地址和密钥；用 tautline notify test 可以试发。同样送不到的还有：boss。"
    );
    let over = |reason| Notice {
        kind: crate::alert::notice::NoticeKind::Resolved,
        reason: Some(reason),
        facts_at_firing: Some(notice.facts.clone()),
        decided_at: notice.fired_at + jiff::SignedDuration::from_hours(2),
        ..notice.clone()
    };
    let recovered = of(&over(ResolveReason::Recovered), Language::En, None);
    assert_eq!(recovered.title, "✅ Resolved: Notices do not reach sales-chat");
    assert_eq!(recovered.lead, "Recovered after 2 hours.");
    let gone = of(&over(ResolveReason::Updated), Language::Zh, None);
    assert_eq!(gone.title, "⏹️ 接收方已移除：发给 sales-chat 的通知送不到");
    assert_eq!(gone.lead, "设置中已没有这个接收方。");
}

#[test]
fn weights_that_wait_are_told_with_old_and_new_why_and_how_to_decide() {
    let said = |language, page| {
        let message = of(&samples::proposed(), language, page);
        let items = message
            .items
            .iter()
            .map(|item| format!("{} | {}", item.title, item.lead));
        let fields = message.fields.iter().map(|field| match &field.value {
            Value::Text(text) => format!("{}: {text}", field.name),
            Value::Moment(..) => panic!("{field:?}"),
        });
        let links = message
            .links
            .iter()
            .map(|link| format!("{} {}", link.label, link.url));
        assert_eq!(message.tone, Tone::Neutral);
        let head = [message.title.clone(), message.lead.clone()].into_iter();
        head.chain(items)
            .chain(fields)
            .chain(links)
            .collect::<Vec<_>>()
            .join("\n")
    };
    insta::assert_snapshot!(said(Language::Zh, Some("http://127.0.0.1:9464/")));
    insta::assert_snapshot!(said(Language::En, None));
}

#[test]
fn a_digest_says_what_has_changed_and_what_nobody_was_told() {
    let hollow = samples::hollow();
    let line = |was: Option<Severity>, episodes: u32| DigestLine {
        episode: hollow.episode.clone(),
        alert_kind: hollow.alert_kind.clone(),
        severity: Severity::CRITICAL,
        labels: hollow.labels.clone(),
        facts: hollow.facts.clone(),
        fired_at: hollow.fired_at,
        ended_at: None,
        reason: None,
        is_new: episodes > 0,
        was,
        episodes,
        untold: false,
    };
    let over = |episodes: u32, untold: bool| DigestLine {
        ended_at: Some(hollow.fired_at + jiff::SignedDuration::from_hours(2)),
        untold,
        ..line(None, episodes)
    };
    let said = |name: Option<&str>, language: Language| {
        let digest = Digest {
            name: name.map(str::to_owned),
            from: hollow.fired_at,
            until: hollow.fired_at,
            open: vec![
                line(Some(Severity::WARNING), 0),
                line(None, 1),
                line(Some(Severity::INFO), 3),
            ],
            ended: vec![over(1, false), over(3, true)],
            waiting: Vec::new(),
            forecast: Vec::new(),
        };
        let notice = Notice {
            kind: NoticeKind::Digest,
            aside: Some(Box::new(Aside::Digest(digest))),
            ..hollow.clone()
        };
        let message = of(&notice, language, None);
        let items = message.items.iter();
        let (titles, leads): (Vec<String>, Vec<String>) =
            items.map(|item| (item.title.clone(), item.lead.clone())).unzip();
        let news: Vec<String> = titles[..3]
            .iter()
            .map(|title| title.chars().skip_while(|char| !"(（".contains(*char)).collect())
            .collect();
        (message.lead, news, leads[3..].to_vec())
    };
    let words = |all: &[&str]| all.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    assert_eq!(
        said(Some("morning"), Language::En),
        (
            "2 of them new since the last digest, 1 at another level.".to_owned(),
            words(&["(was warning)", "(new)", "(new, 3 times, was info)"]),
            words(&[
                "It lasted 2 hours.",
                "3 times; the last one lasted 2 hours. Nobody was told."
            ]),
        )
    );
    assert_eq!(
        said(None, Language::Zh),
        (
            "停机期间触发并已结束的告警，不再逐条通知。".to_owned(),
            words(&["（原为警告）", "（新）", "（新，共 3 次，原为提示）"]),
            words(&["持续 2 小时。", "共 3 次，最近一次持续 2 小时。"]),
        )
    );
}

#[test]
fn what_else_an_alert_explains_is_told_in_the_readers_language() {
    let mut notice = samples::hollow();
    // The second one was kept by a version that knew one language.
    let kept = r#"[{"en": "Visits are silent", "zh": "到访没有新数据"}, "销售额"]"#;
    notice.explains = serde_json::from_str(kept).unwrap();
    let told = |language| {
        let fields = of(&notice, language, None).fields;
        let is_it = |field: &&Field| matches!(&field.value, Value::Text(text) if text.contains("销售额"));
        let field = fields.iter().find(is_it).unwrap();
        match &field.value {
            Value::Text(text) => format!("{}: {text}", field.name),
            _ => unreachable!(),
        }
    };
    assert_eq!(told(Language::En), "Also explains: Visits are silent; 销售额");
    assert_eq!(told(Language::Zh), "同时解释: 到访没有新数据；销售额");
    let again: Vec<crate::alert::notice::Heading> =
        serde_json::from_str(&serde_json::to_string(&notice.explains).unwrap()).unwrap();
    assert_eq!(again, notice.explains);
}

#[test]
fn a_message_about_several_takes_and_silences_all_of_them() {
    let signer = Signer::new(b"secret");
    let reader = Reader {
        language: Language::En,
        page: Some("https://kpi.example.org/"),
        signer: Some(&signer),
        ..Reader::default()
    };
    let bundled = |n: u32, bundle: &str| Notice {
        bundle: bundle.to_owned(),
        ..samples::numbered(samples::hollow(), n)
    };
    let links = |notices: &[Notice]| -> Vec<(String, String)> {
        let message = Message::of(notices, &reader);
        let path = |link: &Link| link.url.split('?').next().unwrap_or_default().to_owned();
        message
            .links
            .iter()
            .map(|link| (link.label.clone(), path(link)))
            .collect()
    };
    let all = |subject: &str| {
        [
            ("Open the page", "https://kpi.example.org/".to_owned()),
            (
                "Acknowledge all",
                format!("https://kpi.example.org/ack/{subject}"),
            ),
            (
                "Silence all",
                format!("https://kpi.example.org/silence/{subject}"),
            ),
        ]
        .map(|(label, url)| (label.to_owned(), url))
        .to_vec()
    };
    assert_eq!(links(&[bundled(1, "9a.1"), bundled(2, "9a.1")]), all("9a.1"));
    // What has waited for a channel is several messages in one.
    assert_eq!(links(&[bundled(1, "9a.1"), bundled(2, "9b.1")]), all("9a.1,9b.1"));
    // What is over, or taken, needs nobody.
    let over = Notice {
        bundle: "9a.1".to_owned(),
        ..samples::numbered(samples::over(ResolveReason::Recovered), 1)
    };
    let mut taken = bundled(2, "9a.1");
    taken.kind = NoticeKind::Acked;
    assert_eq!(links(&[over, taken]).len(), 1);
    // However much has waited, the address stays one that Slack takes.
    let much: Vec<Notice> = (1..500).map(|n| bundled(n, &format!("{n:016x}.12"))).collect();
    let message = Message::of(&much, &reader);
    assert!(
        message.links.iter().all(|link| link.url.len() < 700),
        "{:?}",
        message.links
    );
}

#[test]
fn a_business_just_short_of_its_target_is_not_told_to_have_reached_it() {
    let mut notice = samples::over(ResolveReason::PeriodClosed);
    let parent = notice.facts.parent.as_mut().unwrap();
    (parent.completion, parent.value, parent.target) = (Some(0.997), Some(99.7), Some(100.0));
    let lead = |language| of(&notice, language, None).lead;
    assert!(
        lead(Language::En).ends_with("营收 ended at 99.7%: target missed."),
        "{}",
        lead(Language::En)
    );
    assert!(
        lead(Language::Zh).ends_with("营收最终完成 99.7%，未达成目标。"),
        "{}",
        lead(Language::Zh)
    );
}

/// The worst of an episode is told with its end, where its beginning and its end do not say it.
#[test]
fn an_end_says_how_bad_it_was() {
    let worst = |notice: &Notice, language: Language| {
        let name = language.pick("最差时", "At its worst");
        let fields = of(notice, language, None).fields;
        let found = fields.into_iter().find(|field| field.name == name)?;
        match found.value {
            Value::Text(text) => Some(text),
            Value::Moment(..) => None,
        }
    };
    let link = samples::over_after_worse(ResolveReason::Recovered);
    assert_eq!(
        worst(&link, Language::En).as_deref(),
        Some("文章数 101% · 营收 35% · plan 65%")
    );
    assert_eq!(
        worst(&link, Language::Zh).as_deref(),
        Some("文章数 101% · 营收 35% · 计划 65%")
    );
    let mut node = link.clone();
    let all = [
        Some(&mut node.facts),
        node.facts_at_firing.as_mut(),
        node.peak.as_mut(),
    ];
    for facts in all.into_iter().flatten() {
        facts.node = facts.parent.take();
    }
    assert_eq!(worst(&node, Language::En).as_deref(), Some("35% · plan 65%"));
    // It says nothing new, or it is not over.
    for (kind, peak) in [
        (NoticeKind::Resolved, None),
        (NoticeKind::Resolved, link.facts_at_firing.clone()),
        (NoticeKind::Resolved, Some(link.facts.clone())),
        (NoticeKind::Repeat, link.peak.clone()),
    ] {
        let notice = Notice {
            kind,
            peak,
            ..link.clone()
        };
        assert_eq!(worst(&notice, Language::En), None, "{kind:?}");
    }
}

#[test]
fn proposals_that_wait_are_named_up_to_five() {
    for (many, fields, says) in [(5, 5, None), (6, 6, Some("+1 more")), (500, 6, Some("+495 more"))] {
        let found = of(&samples::waiting("营收", many), Language::En, None).fields;
        assert_eq!(found.len(), fields);
        let last = found.last().unwrap();
        let more = matches!(&last.value, Value::Text(text) if says.is_some_and(|says| text.contains(says)));
        assert_eq!(more, says.is_some(), "{last:?}");
    }
}

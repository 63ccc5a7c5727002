use super::*;
use crate::alert::dispatch::silence::Silence;
use crate::catalog::Catalog;
use crate::catalog::load::{Files, load};
use crate::settings::Settings;
use crate::words::Language;

const CATALOG: &str = "calendar: {timezone: Asia/Shanghai}
sources:
  s: {topics: [t], format: json, time: t, fields: {v: v, region: region}}
metrics:
  sales: {source: s, agg: sum, expr: v, dimensions: [region]}
nodes:
  revenue: {metric: sales, role: business, period: month, target: 100, owner: ceo}
  leads:   {metric: sales, role: kpi, parent: revenue, relation: influence, period: month, target: 100, owner: growth}
  regions: {metric: sales, role: kpi, parent: revenue, relation: influence, each: [region], period: month, target: 100, owner: nobody-knows}
";

const SETTINGS: &str = "kafka: {brokers: b}
receivers:
  ops:    {slack_webhook: {url: https://example.com/ops}}
  growth: {slack_webhook: {url: https://example.com/growth}}
  ceo:    {slack_webhook: {url: https://example.com/ceo}}
  pager:  {slack_webhook: {url: https://example.com/pager}}
people:
  growth: {receiver: growth, manager: ceo}
  ceo:    {receiver: ceo}
time_intervals:
  nights: [{times: [{start_time: \"22:00\", end_time: \"24:00\"}, {start_time: \"00:00\", end_time: \"09:00\"}]}]
inhibit_rules:
- {source_matchers: [alertname=\"feed_gap\"], target_matchers: [kind!=\"feed_gap\"], equal: [parent]}
digests:
  morning: {cron: \"0 9 * * MON-FRI\", receiver: ops, jitter: 0s}
  others:  {cron: \"0 8 * * *\", receiver: ops, matchers: [node=\"nothing\"]}
routes:
  receiver: ops
  routes:
  - {matchers: [team=\"support\"], receiver: pager}
  - {matchers: [severity=\"critical\"], receiver: pager, continue: true, group_by: [\"...\"]}
  - to: owner
    matchers: [parent=\"revenue\", severity=~\"warning|critical\"]
    mute_time_intervals: [nights]
    escalate: [{after: 4h, to: manager}]
    repeat_interval: 12h
  - {matchers: [kind=\"hollow\"], receiver: ceo}
";

fn catalog() -> Catalog {
    load(&Files::new("", [("a.yaml", CATALOG)]))
        .map_err(|d| d.to_string())
        .unwrap()
}

fn settings() -> Settings {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tautline.yaml");
    std::fs::write(&path, SETTINGS).unwrap();
    crate::settings::load(Some(&path))
        .map_err(|problems| problems.to_string())
        .unwrap()
}

fn asked(labels: &[(&str, &str)], node: Option<&str>, kind: Option<&str>) -> Asked {
    Asked {
        labels: labels
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect(),
        node: node.map(str::to_owned),
        kind: kind.map(str::to_owned),
    }
}

fn found(asked: &Asked, at: &str) -> Result<Explanation, NotAnAlert> {
    found_with(asked, at, Some(&Silences::default()))
}

fn found_with(asked: &Asked, at: &str, silences: Option<&Silences>) -> Result<Explanation, NotAnAlert> {
    let (catalog, at) = (catalog(), at.parse().unwrap());
    let alert = Alert::of(asked, &catalog, at)?;
    let mut found = explain(&settings().routing, silences, &catalog.calendar, &alert, at);
    for step in &mut found.path {
        // The settings are in a folder of a moment.
        let place = step.place.as_deref().and_then(|place| place.rsplit_once('/'));
        step.place = place.map(|(_, file)| file.to_owned());
    }
    Ok(found)
}

fn told(asked: &Asked, at: &str, language: Language) -> String {
    let zone = catalog().calendar.timezone;
    found(asked, at).map_or_else(|error| error.to_string(), |found| text(&found, language, &zone))
}

#[test]
fn by_day_the_owner_then_the_manager() {
    insta::assert_snapshot!(told(
        &asked(&[("severity", "critical")], Some("leads"), Some("hollow")),
        "2026-11-25T10:00:00+08:00",
        Language::En
    ));
}

#[test]
fn a_silence_that_there_is_holds_it_back_until_it_ends() {
    let silence = |id: &str, matcher: &str, comment: &str| Silence {
        id: id.to_owned(),
        matchers: vec![Matcher::parse(matcher).unwrap()],
        starts_at: "2026-11-25T09:00:00+08:00".parse().unwrap(),
        ends_at: "2026-11-25T12:00:00+08:00".parse().unwrap(),
        created_by: "li".to_owned(),
        comment: comment.to_owned(),
        updated_at: "2026-11-25T09:00:00+08:00".parse().unwrap(),
        reminded: false,
    };
    let mut silences = Silences::default();
    for silence in [
        silence("1f", "node=\"leads\"", "stock-taking"),
        silence("2e", "node=\"other\"", ""),
    ] {
        silences.all.insert(silence.id.clone(), silence);
    }
    let asked = asked(&[("severity", "info")], Some("leads"), Some("behind_pace"));
    let zone = catalog().calendar.timezone;
    let found = found_with(&asked, "2026-11-25T10:00:00+08:00", Some(&silences)).unwrap();
    let ids: Vec<&str> = found
        .silences
        .iter()
        .flatten()
        .map(|silence| silence.id.as_str())
        .collect();
    assert_eq!(ids, ["1f"]);
    let text = text(&found, Language::En, &zone);
    for part in [
        "2026-11-25T10:00:00+08:00  not told: silence 1f",
        "2026-11-25T12:00:05+08:00  fired (the silence is over)",
        "node=\"leads\"  1f  li: stock-taking",
    ] {
        assert!(text.contains(part), "'{part}' is missing in\n{text}");
    }
    let unknown = found_with(&asked, "2026-11-25T10:00:00+08:00", None).unwrap();
    assert!(super::text(&unknown, Language::En, &zone).contains("silences are not looked at"));
}

#[test]
fn at_night_the_owner_waits_for_the_morning_in_chinese() {
    insta::assert_snapshot!(told(
        &asked(&[], Some("leads"), Some("behind_pace")),
        "2026-11-25T03:00:00+08:00",
        Language::Zh
    ));
}

#[test]
fn an_owner_whom_nobody_knows() {
    insta::assert_snapshot!(told(
        &asked(&[], Some("regions/east"), Some("target_at_risk")),
        "2026-11-25T10:00:00+08:00",
        Language::En
    ));
}

#[test]
fn what_no_route_takes_goes_to_the_first_one() {
    let found = found(
        &asked(&[("team", "sales")], None, None),
        "2026-11-25T10:00:00+08:00",
    )
    .unwrap();
    let receivers: Vec<&str> = found
        .receivers
        .iter()
        .map(|told| told.receiver.as_str())
        .collect();
    assert_eq!(receivers, ["ops"]);
    let json = serde_json::to_value(&found).unwrap();
    assert_eq!(json["path"][0]["takes"], true);
    assert_eq!(json["path"][1]["matchers"][0]["found"], "sales");
    assert_eq!(json["path"][1]["outcome"], "refused");
    assert_eq!(
        json["receivers"][0]["timeline"][0]["what"]["notice"]["kind"],
        "fired"
    );
    assert_eq!(json["receivers"][0]["timeline"][0]["at"], "2026-11-25T02:00:05Z");
    assert_eq!(json["receivers"][0]["joins"]["told"], "2026-11-25T02:01:05Z");
    assert_eq!(json["receivers"][0]["resolve_seconds"], 5);
}

#[test]
fn what_cannot_be_an_alert_says_what_can() {
    let at = "2026-11-25T10:00:00+08:00";
    for (asked, said) in [
        (
            asked(&[("node", "lead")], None, None),
            "no node 'lead' in the catalogue; did you mean 'leads'?",
        ),
        (
            asked(&[], Some("tickets"), Some("hollow")),
            "no node 'tickets' in the catalogue; `tautline tree` shows all",
        ),
        (
            asked(&[("severity", "high")], None, None),
            "severity=high: a severity of the catalogue is info, warning, critical",
        ),
        (
            asked(&[], Some("regions"), Some("hollow")),
            "'regions' is one for each region; write --node regions/REGION",
        ),
        (
            asked(&[], Some("revenue"), Some("hollow")),
            "no rule 'hollow' applies to node 'revenue'; it has shared_drift, behind_pace, target_at_risk, unreconciled, entry_missed, silent, other_unit",
        ),
    ] {
        assert_eq!(told(&asked, at, Language::En), said);
    }
}

//! The templates that ship with tautline, each put to work over a few events, with its numbers worked out by hand.

use std::sync::Arc;

use super::*;
use crate::catalog::SourceId;
use crate::catalog::lint;
use crate::catalog::load::{Files, load};
use crate::decode::{Reader, Record, Sign};
use crate::fold::worker::Worker;

/// Folds events into a catalogue and gives node values at the end of June: `name` or `name/dimension/…`.
fn values(yaml: &str, events: &[(&str, &[&str])], asked: &[&str]) -> Vec<Option<f64>> {
    let catalog = load(&Files::new("", [("a.yaml", yaml)]))
        .map_err(|diagnostics| diagnostics.to_string())
        .unwrap();
    let findings = lint::lint(&catalog, "2026-06-01".parse().unwrap(), None);
    let said: Vec<String> = findings
        .iter()
        .filter(|finding| finding.accepted.is_none())
        .map(ToString::to_string)
        .collect();
    assert_eq!(
        said,
        Vec::<String>::new(),
        "a template that is given everything is SMART"
    );
    let catalog = Arc::new(catalog);
    let plan = Arc::new(Plan::compile(&catalog));
    let mut cells = Cells::new(plan.clone());
    let mut worker = Worker::new(&catalog, plan.clone());
    for (source, payloads) in events {
        let at = catalog
            .sources
            .iter()
            .position(|known| known.name == *source)
            .unwrap();
        let mut reader = Reader::new(&catalog.sources[at]);
        for payload in *payloads {
            // Event time is the record's: the 10th of June.
            let record = Record {
                payload: Some(payload.as_bytes()),
                timestamp_ms: Some(1_781_064_000_000),
                ..Record::default()
            };
            let event = reader.read_one(&record).unwrap();
            worker
                .fold(SourceId(u32::try_from(at).unwrap()), &event, 0, Sign::Add)
                .unwrap();
        }
    }
    cells.merge(worker.take()).unwrap();
    let mut evaluator = Evaluator::new(catalog.clone(), plan.clone());
    let snapshot = evaluator.snapshot(&cells, "2026-06-29T00:00:00Z".parse().unwrap(), Horizon::Known);
    let value = |asked: &&str| {
        let (name, dimensions) = asked.split_once('/').unwrap_or((asked, ""));
        let dimensions: Vec<&str> = dimensions.split('/').filter(|value| !value.is_empty()).collect();
        let node = catalog.nodes.iter().position(|node| node.name == name);
        let node = node.unwrap_or_else(|| panic!("no node {name}"));
        let found = snapshot.instances.iter().find(|state| {
            state.key.node.0 as usize == node
                && state
                    .key
                    .dimensions
                    .iter()
                    .map(|value| &**value)
                    .eq(dimensions.iter().copied())
        });
        found.unwrap_or_else(|| panic!("no instance {asked}")).value
    };
    asked.iter().map(value).collect()
}

fn some(numbers: &[f64]) -> Vec<Option<f64>> {
    numbers.iter().copied().map(Some).collect()
}

/// Values within the relative error of quantiles, 1 %.
fn near(found: &[Option<f64>], expected: &[f64]) {
    for (found, expected) in found.iter().zip(expected) {
        let found = found.unwrap();
        assert!(
            (found / expected - 1.0).abs() <= 0.01,
            "{found} is not {expected}"
        );
    }
}

#[test]
fn retail() {
    let yaml = r#"
sources:
  orders: {topics: [o], format: json, fields: {amount: amount, state: state, region: region, store: store}}
  doors:  {topics: [d], format: json, fields: {people: people, region: region, store: store}}
use:
  shop:
    template: retail
    with: {orders: orders, visitors: doors, paid: state == "paid", by: [region, store], visitors_target: 1000, conversion_target: 10%, order_target: 50, by_target: {growth: 10%, over: last_year}, owner: coo, team: stores}
lint:
  S03: {shop-visitors-region: shown, shop-conversion-region: shown, shop-average-order-region: shown, shop-visitors-region-store: shown, shop-conversion-region-store: shown, shop-average-order-region-store: shown}
"#;
    let orders = [
        r#"{"amount": 100, "state": "paid", "region": "east", "store": "e1"}"#,
        r#"{"amount": 40, "state": "paid", "region": "east", "store": "e2"}"#,
        r#"{"amount": 60, "state": "paid", "region": "west", "store": "w1"}"#,
        r#"{"amount": 999, "state": "cancelled", "region": "west", "store": "w1"}"#,
    ];
    let doors = [
        r#"{"people": 10, "region": "east", "store": "e1"}"#,
        r#"{"people": 6, "region": "east", "store": "e2"}"#,
        r#"{"people": 14, "region": "west", "store": "w1"}"#,
    ];
    let found = values(
        yaml,
        &[("orders", &orders), ("doors", &doors)],
        &[
            "shop-revenue",
            "shop-visitors",
            "shop-conversion",
            "shop-average-order",
            "shop-revenue-region/east",
            "shop-visitors-region/east",
            "shop-conversion-region/east",
            "shop-average-order-region/east",
            "shop-revenue-region-store/west/w1",
            "shop-conversion-region-store/west/w1",
        ],
    );
    // 200 = 30 × 3/30 × 200/3; in the east 140 = 16 × 2/16 × 70.
    assert_eq!(
        found,
        some(&[
            200.0,
            30.0,
            0.1,
            200.0 / 3.0,
            140.0,
            16.0,
            0.125,
            70.0,
            60.0,
            1.0 / 14.0
        ])
    );
}

#[test]
fn e_commerce() {
    let yaml = r#"
sources:
  orders: {topics: [o], format: json, fields: {amount: amount, kind: kind, customer: customer, channel: channel}}
  visits: {topics: [v], format: json, fields: {session: session, channel: channel}}
use:
  web:
    template: e-commerce
    with: {orders: orders, visits: visits, paid: kind == "paid", refunded: kind == "refunded", by: [channel], sessions_target: 100_000, conversion_target: 2%, order_target: 80, owner: cco, team: web}
lint:
  S03: {web-buyers: shown, web-paid-channel: shown}
"#;
    let orders = [
        r#"{"kind": "paid", "amount": 80, "customer": "a", "channel": "app"}"#,
        r#"{"kind": "paid", "amount": 120, "customer": "a", "channel": "web"}"#,
        r#"{"kind": "refunded", "amount": 50, "customer": "a", "channel": "web"}"#,
    ];
    let visits = [
        r#"{"session": "s1", "channel": "app"}"#,
        r#"{"session": "s2", "channel": "web"}"#,
        r#"{"session": "s2", "channel": "web"}"#,
        r#"{"session": "s3", "channel": "web"}"#,
        r#"{"session": "s4", "channel": "web"}"#,
    ];
    let found = values(
        yaml,
        &[("orders", &orders), ("visits", &visits)],
        &[
            "web-net",
            "web-paid",
            "web-sessions",
            "web-conversion",
            "web-average-order",
            "web-refund-rate",
            "web-buyers",
            "web-paid-channel/app",
        ],
    );
    // 150 = 200 − 50; 200 = 4 × 2/4 × 100.
    assert_eq!(found, some(&[150.0, 200.0, 4.0, 0.5, 100.0, 0.25, 1.0, 80.0]));
}

#[test]
fn saas() {
    let yaml = r#"
sources:
  invoices: {topics: [i], format: json, fields: {amount: amount, account: account, state: state, plan: plan}}
  accounts: {topics: [a], format: json, fields: {account: account, what: what}}
use:
  app:
    template: saas
    with: {invoices: invoices, accounts: accounts, paid: state == "paid", signed_up: what == "signed_up", activated: what == "used", cancelled: what == "cancelled", by: [plan], accounts_target: 1000, arpa_target: 50, signups_target: 200, owner: ceo, team: growth}
lint:
  S03: {app-revenue-plan: shown}
"#;
    let invoices = [
        r#"{"amount": 30, "account": "a", "state": "paid", "plan": "small"}"#,
        r#"{"amount": 90, "account": "b", "state": "paid", "plan": "large"}"#,
        r#"{"amount": 60, "account": "b", "state": "paid", "plan": "large"}"#,
        r#"{"amount": 90, "account": "c", "state": "open", "plan": "large"}"#,
    ];
    let accounts = [
        r#"{"account": "d", "what": "signed_up"}"#,
        r#"{"account": "e", "what": "signed_up"}"#,
        r#"{"account": "d", "what": "used"}"#,
        r#"{"account": "d", "what": "used"}"#,
        r#"{"account": "a", "what": "cancelled"}"#,
    ];
    let found = values(
        yaml,
        &[("invoices", &invoices), ("accounts", &accounts)],
        &[
            "app-revenue",
            "app-accounts",
            "app-arpa",
            "app-signups",
            "app-activation",
            "app-churn",
            "app-revenue-plan/large",
        ],
    );
    // 180 = 2 × 90; one of two sign-ups is in use; one of two paying accounts left.
    assert_eq!(found, some(&[180.0, 2.0, 90.0, 2.0, 0.5, 0.5, 150.0]));
}

#[test]
fn manufacturing_delivery() {
    let yaml = r#"
sources:
  deliveries: {topics: [d], format: json, fields: {late: late, delivered: delivered, ordered: ordered, lead_days: lead_days, plant: plant}}
  output:     {topics: [p], format: json, fields: {good: good, made: made, plant: plant}}
use:
  pumps:
    template: manufacturing-delivery
    with: {deliveries: deliveries, output: output, on_time: late == false, in_full: delivered >= ordered, by: [plant], lead_days_target: 12, owner: coo, logistics: logistics, production: plant}
"#;
    let deliveries = [
        r#"{"late": false, "delivered": 100, "ordered": 100, "lead_days": 5, "plant": "p1"}"#,
        r#"{"late": false, "delivered": 80, "ordered": 100, "lead_days": 7, "plant": "p1"}"#,
        r#"{"late": true, "delivered": 100, "ordered": 100, "lead_days": 20, "plant": "p2"}"#,
        r#"{"late": false, "delivered": 100, "ordered": 100, "lead_days": 6, "plant": "p2"}"#,
    ];
    let output = [
        r#"{"good": 190, "made": 200, "plant": "p1"}"#,
        r#"{"good": 100, "made": 120, "plant": "p2"}"#,
    ];
    let found = values(
        yaml,
        &[("deliveries", &deliveries), ("output", &output)],
        &[
            "pumps-otif",
            "pumps-fill",
            "pumps-yield",
            "pumps-otif-plant/p1",
            "pumps-lead-days",
        ],
    );
    assert_eq!(found[..4], some(&[0.5, 0.95, 290.0 / 320.0, 0.5]));
    // The rank of p90 among four is 0.9 · 3 = 2.7: the third, 7 days, or the fourth, 20, by rounding.
    let lead = found[4].unwrap();
    assert!(
        [7.0, 20.0]
            .iter()
            .any(|days| (lead / days - 1.0f64).abs() <= 0.01),
        "{lead}"
    );
}

#[test]
fn sales_funnel() {
    let yaml = r#"
sources:
  deals: {topics: [d], format: json, fields: {deal: deal, amount: amount, step: step, region: region}}
use:
  b2b:
    template: sales-funnel
    with: {deals: deals, is_lead: step == "lead", is_qualified: step == "qualified", is_won: step == "won", by: [region], leads_target: 400, qualified_target: 50%, win_target: 20%, deal_target: 30_000, owner: cso, marketing: marketing, sales: sales, language: zh, label: 企业}
lint:
  S03: {b2b-won-region: shown}
"#;
    let deals = [
        r#"{"deal": "1", "amount": 0, "step": "lead", "region": "east"}"#,
        r#"{"deal": "2", "amount": 0, "step": "lead", "region": "east"}"#,
        r#"{"deal": "3", "amount": 0, "step": "lead", "region": "west"}"#,
        r#"{"deal": "4", "amount": 0, "step": "lead", "region": "west"}"#,
        r#"{"deal": "1", "amount": 0, "step": "qualified", "region": "east"}"#,
        r#"{"deal": "3", "amount": 0, "step": "qualified", "region": "west"}"#,
        r#"{"deal": "1", "amount": 9000, "step": "won", "region": "east"}"#,
    ];
    let found = values(
        yaml,
        &[("deals", &deals)],
        &[
            "b2b-won",
            "b2b-leads",
            "b2b-qualified-share",
            "b2b-win-rate",
            "b2b-deal-size",
            "b2b-won-region/east",
        ],
    );
    // 9000 = 4 × 2/4 × 1/2 × 9000.
    assert_eq!(found, some(&[9000.0, 4.0, 0.5, 0.5, 9000.0, 9000.0]));
}

#[test]
fn support() {
    let yaml = r#"
sources:
  tickets: {topics: [t], format: json, fields: {score: score, answer_minutes: answer_minutes, solve_hours: solve_hours, contacts: contacts, team: team}}
use:
  desk:
    template: support
    with: {tickets: tickets, at_once: contacts == 1, in_time: answer_minutes <= 30, by: [team], owner: cso, team: desk}
"#;
    let tickets = [
        r#"{"score": 5, "answer_minutes": 10, "solve_hours": 2, "contacts": 1, "team": "a"}"#,
        r#"{"score": 4, "answer_minutes": 20, "solve_hours": 2, "contacts": 1, "team": "a"}"#,
        r#"{"score": 3, "answer_minutes": 45, "solve_hours": 2, "contacts": 3, "team": "b"}"#,
        r#"{"score": 4, "answer_minutes": 30, "solve_hours": 2, "contacts": 2, "team": "b"}"#,
    ];
    let found = values(
        yaml,
        &[("tickets", &tickets)],
        &[
            "desk-score",
            "desk-in-time",
            "desk-at-once",
            "desk-score-team/b",
            "desk-solve-hours",
        ],
    );
    assert_eq!(found[..4], some(&[4.0, 0.75, 0.5, 3.5]));
    near(&found[4..], &[2.0]);
}

//! The catalogue: every type of metric, over every kind of source.

use std::fmt::Write;

use super::streams::Topics;

/// Simple metrics of one source: name, and what stands behind `source:`.
const OVER_VISITS: [(&str, &str); 16] = [
    ("visits", "agg: count"),
    ("shortest", "agg: min, expr: minutes"),
    ("longest", "agg: max, expr: minutes"),
    ("mean", "agg: avg, expr: minutes"),
    ("newest", "agg: last, expr: minutes"),
    ("customers", "agg: count_distinct, expr: customer"),
    ("devices", "agg: count_distinct, expr: device"),
    ("new_customers", "agg: count_new, expr: customer"),
    ("returning", "agg: count_returning, expr: customer"),
    ("p50", "agg: p50, expr: minutes"),
    ("p75", "agg: p75, expr: minutes"),
    ("p90", "agg: p90, expr: minutes"),
    ("p95", "agg: p95, expr: minutes"),
    ("p99", "agg: p99, expr: minutes"),
    ("long_visits", "agg: count, filter: minutes >= 60.0"),
    ("minutes", "agg: sum, expr: minutes"),
];

/// Metrics that also stand in a node by region.
pub(super) const BY_REGION: [&str; 6] = [
    "revenue",
    "mean",
    "customers",
    "new_customers",
    "p90",
    "lead_value",
];

/// A customer who stayed away for a day is new again: within a longer period there could be two of them.
const OF_A_DAY: &str = "new_today";

/// The catalogue over these topics, in a zone, with the period that begins on a day.
pub(super) fn text(topics: &Topics, zone: &str, from: &str) -> String {
    let mut text = format!(
        r#"
calendar: {{timezone: {zone}}}
sources:
  orders: {{topics: [{orders}], format: json, payload: array, time: at, id: id, dedup: 7d, retract: op == "cancel", fields: {{op: op, amount: amount, region: region}}}}
  visits: {{topics: [{visits}], format: cloudevents, time: time, id: id, dedup: 7d, fields: {{customer: data.customer, device: data.device, minutes: data.minutes, region: data.region}}}}
  purchases: {{topics: [{purchases}], format: json, payload: lines, time: at, id: id, dedup: 7d, fields: {{customer: customer}}}}
  leads: {{topics: [{leads}], format: debezium, time: at, fields: {{amount: amount, region: region}}}}
  contracts: {{topics: [{contracts}], format: debezium, time: at, fields: {{amount: amount}}}}
  tickets: {{topics: [{tickets}], format: json, time: at, fields: {{id: $key, state: state, lane: $header.lane}}}}
  counter: {{http: true, format: json, time: at, fields: {{people: people}}}}
metrics:
  revenue: {{source: orders, agg: sum, expr: amount, unit: CNY, dimensions: [region]}}
  orders: {{source: orders, agg: count}}
  order_mean: {{source: orders, agg: avg, expr: amount}}
  average_order: {{type: ratio, numerator: revenue, denominator: orders}}
  repeat_share: {{source: visits, numerator: {{agg: count_returning, expr: customer}}, denominator: {{agg: count_distinct, expr: customer}}}}
  income: {{type: derived, expr: revenue + contract_value - lead_value * 0.5}}
  per_visit: {{type: derived, expr: revenue / visits}}
  purchases: {{source: purchases, agg: count}}
  buyers: {{type: conversion, entity: customer, base_metric: visits, conversion_metric: purchases, window: 6h}}
  lead_value: {{source: leads, agg: sum, expr: amount, dimensions: [region]}}
  leads: {{source: leads, agg: count}}
  lead_mean: {{source: leads, agg: avg, expr: amount}}
  lead_last: {{source: leads, agg: last, expr: amount}}
  contract_value: {{source: contracts, agg: sum, expr: amount}}
  contracts: {{source: contracts, agg: count}}
  contract_mean: {{source: contracts, agg: avg, expr: amount}}
  hours_mean: {{source: tickets, type: duration, key: id, start: state == "open", end: state == "done", agg: avg, unit: hours}}
  hours_p90: {{source: tickets, type: duration, key: id, start: state == "open", end: state == "done", agg: p90, unit: hours}}
  hours_done: {{source: tickets, type: duration, key: id, start: state == "open" && lane == "quick", end: state == "done" && lane == "quick", agg: median, unit: hours}}
  hours_shortest: {{source: tickets, type: duration, key: id, start: state == "open" && lane == "quick", end: state == "done" && lane == "quick", agg: min, unit: hours}}
  hours_longest: {{source: tickets, type: duration, key: id, start: state == "open", end: state == "done", agg: max, unit: hours}}
  new_today: {{source: visits, agg: count_new, expr: customer, within: 1d}}
  walk_ins: {{type: manual, agg: count, entered_by: [lead]}}
  complaints: {{type: manual, agg: sum, entered_by: [lead]}}
  satisfaction: {{type: manual, agg: avg, entered_by: [lead]}}
  stock: {{type: manual, agg: last, entered_by: [lead]}}
  groups: {{source: counter, agg: count}}
  people: {{source: counter, agg: sum, expr: people}}
"#,
        orders = topics.orders,
        visits = topics.visits,
        purchases = topics.purchases,
        leads = topics.leads,
        contracts = topics.contracts,
        tickets = topics.tickets,
    );
    for (name, rest) in OVER_VISITS {
        let _ = writeln!(text, "  {name}: {{source: visits, {rest}, dimensions: [region]}}");
    }
    let period = format!("role: business, level: strategy, period: {{every: 10d, from: {from}}}, owner: all");
    let metrics: Vec<String> = text
        .lines()
        .skip_while(|line| *line != "metrics:")
        .filter_map(|line| Some(line.strip_prefix("  ")?.split_once(':')?.0.to_owned()))
        .collect();
    text.push_str("nodes:\n");
    for name in metrics.iter().filter(|name| *name != OF_A_DAY) {
        let _ = writeln!(text, "  {name}: {{metric: {name}, {period}}}");
    }
    let _ = writeln!(
        text,
        "  {OF_A_DAY}: {{metric: {OF_A_DAY}, role: business, level: strategy, period: day, owner: all}}"
    );
    for name in BY_REGION {
        let _ = writeln!(
            text,
            "  {name}-by-region: {{metric: {name}, each: [region], {period}}}"
        );
    }
    text
}

//! How good the forecasts of the history would have been: beside value over share elapsed, and how often ranges held.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::catalog::Catalog;
use crate::daemon::replay::Foretold;
use crate::words::Language;

/// A forecast as JSON, one line each. Range and outcome may be null.
pub(super) fn ndjson(catalog: &Catalog, one: &Foretold) -> Value {
    let node = catalog.node(one.key.node);
    let dimensions: BTreeMap<&str, &str> = std::iter::zip(&node.each, one.key.dimensions.iter())
        .map(|(name, value)| (name.as_str(), &**value))
        .collect();
    json!({
        "node": node.name,
        "dimensions": dimensions,
        "period": one.period.id(catalog.calendar_of(node)),
        "from": one.period.start,
        "to": one.period.end,
        "share": one.share,
        "made": one.made,
        "elapsed": one.elapsed,
        "value": one.value,
        "forecast": one.forecast,
        "range80": one.range80.map(|(low, high)| [low, high]),
        "outcome": one.outcome,
    })
}

/// What the forecasts at one share came to.
#[derive(Default)]
struct Sums {
    count: f64,
    ours: f64,
    linear: f64,
    ranges: f64,
    held: f64,
}

/// A table by share and node: how far forecasts were off on average, as a share of what came.
pub(super) fn text(catalog: &Catalog, foretold: &[&Foretold], language: Language) -> String {
    let mut sums: BTreeMap<(&str, u8), Sums> = BTreeMap::new();
    for one in foretold {
        let linear = one.value / one.elapsed;
        let (Some(ours), Some(linear), Some(outcome)) =
            (one.error(one.forecast), one.error(linear), one.outcome)
        else {
            continue;
        };
        let node = catalog.node(one.key.node);
        // A level stays where it is.
        let linear = match catalog.accumulates(node.metric) {
            true => linear,
            false => one.error(one.value).unwrap_or(linear),
        };
        let sum = sums.entry((&node.name, (one.share * 100.0) as u8)).or_default();
        sum.count += 1.0;
        sum.ours += ours;
        sum.linear += linear;
        if let Some((low, high)) = one.range80 {
            sum.ranges += 1.0;
            sum.held += f64::from(u8::from((low..=high).contains(&outcome)));
        }
    }
    if sums.is_empty() {
        return language
            .pick(
                "没有结束了的周期，无从比较预测。\n",
                "No period is over, so no forecast can be compared.\n",
            )
            .to_owned();
    }
    let mut report = String::new();
    for ((node, share), sum) in sums {
        let (ours, linear) = (100.0 * sum.ours / sum.count, 100.0 * sum.linear / sum.count);
        let held = match sum.ranges > 0.0 {
            true => format!("{:.0} %", 100.0 * sum.held / sum.ranges),
            false => "—".to_owned(),
        };
        let count = sum.count;
        report.push_str(&match language {
            Language::Zh => format!(
                "{node}：周期过了 {share} %，{count} 次预测，平均偏差 {ours:.1} %（按时间外推 {linear:.1} %），80 % 区间命中 {held}\n"
            ),
            Language::En => format!(
                "{node}: {share} % of the period, {count} forecasts, off by {ours:.1} % on average \
                 (by time alone {linear:.1} %), 80 % ranges held {held}\n"
            ),
        });
    }
    report
}

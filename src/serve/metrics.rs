//! `/metrics`: the view in the Prometheus text format. Labels are identity only, and what has no value has no
//! series: a made-up 0 or a NaN would fire somebody's rule.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use prometheus::TextEncoder;
use prometheus::proto::{self, LabelPair, Metric, MetricFamily, MetricType};

use super::backfills::{Backfilling, Backfills};
use super::view::{AlertView, View};
use crate::alert::record::AlertState;
use crate::catalog::attribute::DriftKind;
use crate::catalog::{Format, Level, Role};
use crate::evaluate::{NodeInfo, NodeState, OpenItems, Snapshot, weights};

/// Labels of one series, sorted by name.
type Series = BTreeMap<String, String>;

/// Labels that every node's series may carry; a dimension of the same name is prefixed.
const NODE_LABELS: [&str; 6] = ["node", "role", "level", "owner", "parent", "kind"];
/// Labels of an alert's series; a dimension or rule label of the same name is prefixed.
const ALERT_LABELS: [&str; 5] = ["alertname", "kind", "node", "owner", "parent"];

/// The view as text. A node's series are written directly: their labels once an instance, for all of its numbers.
///
/// # Errors
/// When the encoder refuses a family, which would be a mistake here and not in the data.
pub fn text(view: &View) -> prometheus::Result<String> {
    let mut families = Vec::new();
    alerts(view, &mut families);
    drift(&view.snapshot, &mut families);
    sources(&view.snapshot, &mut families);
    bounds(&view.snapshot, &mut families);
    items(&view.snapshot, &mut families);
    process(view, &mut families);
    families.retain(|family| !family.get_metric().is_empty());
    let mut blocks = nodes(&view.snapshot);
    for family in families {
        let name = family.name().to_owned();
        blocks.push((name, TextEncoder::new().encode_to_string(&[family])?));
    }
    blocks.sort();
    let mut text = String::with_capacity(blocks.iter().map(|(_, block)| block.len()).sum());
    blocks.iter().for_each(|(_, block)| text.push_str(block));
    Ok(text)
}

type NodeNumber = fn(&NodeInfo, &NodeState) -> Option<f64>;

/// Name, help and number of every family of a node.
const NODE_FAMILIES: [(&str, &str, NodeNumber); 13] = [
    (
        "tautline_kpi_value",
        "Value of the node for the running period, in the metric's unit.",
        |_, s| s.value,
    ),
    (
        "tautline_kpi_target",
        "Target of the running period, in the metric's unit; of a band its middle.",
        |_, s| s.target,
    ),
    (
        "tautline_kpi_completion_ratio",
        "Actual against target; 1 is done.",
        |_, s| s.completion,
    ),
    (
        "tautline_kpi_pace_ratio",
        "Completion against the share of the target that the plan expects by now; 1 is on plan.",
        |_, s| s.pace.ratio(),
    ),
    (
        "tautline_kpi_expected_ratio",
        "Share of the target that the plan expects by now.",
        |_, s| s.target.map(|_| s.expected_share),
    ),
    (
        "tautline_kpi_burn_ratio",
        "How many times as fast as of late it would have to go to meet its target.",
        |_, s| s.burn.factor(),
    ),
    (
        "tautline_kpi_forecast_ratio",
        "Projected value at the end of the period against the target.",
        |_, s| Some(s.forecast? / s.target.filter(|target| *target != 0.0)?),
    ),
    (
        "tautline_kpi_target_probability",
        "Probability of meeting the target, 0 to 1.",
        |_, s| s.target_probability,
    ),
    (
        "tautline_kpi_weight_ratio",
        "Weight in the owner's score, as it is in force for the running period; 1 is the whole score.",
        |info, _| info.weight.map(|points| points / 100.0),
    ),
    (
        "tautline_kpi_elapsed_ratio",
        "Share of the running period that has passed.",
        |_, s| Some(s.elapsed),
    ),
    (
        "tautline_link_strength_ratio",
        "How strongly the parent follows the KPI, 0 to 1.",
        |_, s| s.link.as_ref()?.strength,
    ),
    (
        "tautline_link_lag_days",
        "Days by which the parent follows the KPI.",
        |_, s| s.link.as_ref()?.lag_days,
    ),
    (
        "tautline_link_parent_gap_ratio",
        "The parent against what the KPI explains: -0.2 is 20 % less than that.",
        |_, s| s.link.as_ref()?.parent_gap,
    ),
];

/// One block of text a family that has a series.
fn nodes(snapshot: &Snapshot) -> Vec<(String, String)> {
    let labels: Vec<String> = snapshot
        .instances
        .iter()
        .map(|instance| written(&node_labels(snapshot, instance)))
        .collect();
    let mut blocks = Vec::new();
    for (name, help, number) in NODE_FAMILIES {
        let mut block = format!("# HELP {name} {help}\n# TYPE {name} gauge\n");
        let head = block.len();
        for (instance, labels) in snapshot.instances.iter().zip(&labels) {
            let value = number(&snapshot.nodes[instance.key.node.0 as usize], instance);
            if let Some(value) = value.filter(|value| value.is_finite()) {
                // Writing to a String does not fail.
                let _ = writeln!(block, "{name}{labels} {value}");
            }
        }
        if block.len() > head {
            blocks.push((name.to_owned(), block));
        }
    }
    blocks
}

/// `{name="value",…}` with quotes, backslashes and line ends escaped.
fn written(labels: &Series) -> String {
    let mut text = String::from("{");
    for (i, (name, value)) in labels.iter().enumerate() {
        if i > 0 {
            text.push(',');
        }
        text.push_str(name);
        text.push_str("=\"");
        for c in value.chars() {
            match c {
                '\\' => text.push_str("\\\\"),
                '"' => text.push_str("\\\""),
                '\n' => text.push_str("\\n"),
                c => text.push(c),
            }
        }
        text.push('"');
    }
    text.push('}');
    text
}

fn node_labels(snapshot: &Snapshot, instance: &NodeState) -> Series {
    let info = &snapshot.nodes[instance.key.node.0 as usize];
    let mut labels = Series::new();
    labels.insert("node".into(), info.name.clone());
    labels.insert("role".into(), role(info.role).into());
    labels.insert("level".into(), level(info.level).into());
    labels.extend(info.owner.clone().map(|owner| ("owner".into(), owner)));
    labels.extend(info.parent.clone().map(|parent| ("parent".into(), parent)));
    for (name, value) in info.each.iter().zip(instance.key.dimensions.iter()) {
        let name = label_name(name, &NODE_LABELS, &labels);
        labels.insert(name, value.to_string());
    }
    labels
}

fn role(role: Role) -> &'static str {
    match role {
        Role::Business => "business",
        Role::Kpi => "kpi",
    }
}

fn level(level: Level) -> &'static str {
    match level {
        Level::Strategy => "strategy",
        Level::Tactic => "tactic",
        Level::Execution => "execution",
        Level::Individual => "individual",
    }
}

/// A valid label name for a dimension. What Prometheus does not allow is written in its own escaping scheme
/// (`U__`, then `_<hex>_` for every other character); what is reserved or taken gets the prefix `dim_`.
fn label_name(dimension: &str, fixed: &[&str], taken: &Series) -> String {
    let valid = dimension.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && dimension.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    let mut name = if valid {
        dimension.to_owned()
    } else {
        let escape = |c: char| match c {
            '_' => "__".to_owned(),
            c if c.is_ascii_alphanumeric() => c.to_string(),
            c => format!("_{:X}_", u32::from(c)),
        };
        format!("U__{}", dimension.chars().map(escape).collect::<String>())
    };
    while fixed.contains(&name.as_str()) || name.starts_with("__") || taken.contains_key(&name) {
        name.insert_str(0, "dim_");
    }
    name
}

/// One series an identity without its period: a closing period and the next one share it, the worse state wins.
fn alerts(view: &View, families: &mut Vec<MetricFamily>) {
    let mut series: BTreeMap<Series, f64> = BTreeMap::new();
    for alert in view.alerts.iter() {
        let value = match alert.state {
            AlertState::Inactive => 0.0,
            AlertState::Pending { .. } => 1.0,
            AlertState::Recovering { .. } => 2.0,
            AlertState::Firing => 3.0,
        };
        let kept = series.entry(alert_labels(alert)).or_insert(value);
        *kept = kept.max(value);
    }
    families.push(gauge(
        "alert_state",
        "State of an alert: 1 pending, 2 recovering (still told as firing), 3 firing; inactive alerts have no series.",
        series,
    ));
}

fn alert_labels(alert: &AlertView) -> Series {
    let mut labels = Series::new();
    labels.insert("alertname".into(), alert.rule.clone());
    labels.insert("kind".into(), alert.kind.clone());
    for fixed in ["node", "owner", "parent"] {
        labels.extend(
            alert
                .labels
                .get(fixed)
                .map(|value| (fixed.to_owned(), value.clone())),
        );
    }
    let told: BTreeSet<&str> = BTreeSet::from(["alertname", "period", "severity", "node", "owner", "parent"]);
    for (name, value) in alert
        .labels
        .iter()
        .filter(|(name, _)| !told.contains(name.as_str()))
    {
        let name = label_name(name, &ALERT_LABELS, &labels);
        labels.insert(name, value.clone());
    }
    labels
}

/// Evidence by kind for every link that is judged; 1 and more is told.
fn drift(snapshot: &Snapshot, families: &mut Vec<MetricFamily>) {
    let judged = snapshot
        .instances
        .iter()
        .filter_map(|instance| Some((instance, instance.link.as_deref()?)));
    let series = judged.flat_map(|(instance, link)| {
        let labels = node_labels(snapshot, instance);
        DriftKind::ALL.map(|kind| {
            let mut labels = labels.clone();
            labels.insert("kind".into(), kind.as_str().into());
            (labels, link.score(kind))
        })
    });
    families.push(gauge(
        "drift_score",
        "Evidence for a kind of drift of a KPI from its parent, as a share of what it takes to tell; 1 and more is told.",
        series,
    ));
}

fn sources(snapshot: &Snapshot, families: &mut Vec<MetricFamily>) {
    let by_source = |name: &str| one("source", name);
    families.push(gauge(
        "watermark_timestamp_seconds",
        "Event time up to which the whole source has been read, less allowed lateness.",
        snapshot
            .sources
            .iter()
            .filter_map(|s| Some((by_source(&s.name), s.watermark_seconds?))),
    ));
    families.push(gauge(
        "source_lag_records",
        "Records between what was read and the end of the source's partitions.",
        snapshot
            .sources
            .iter()
            .filter_map(|s| Some((by_source(&s.name), s.lag_records? as f64))),
    ));
    families.push(gauge(
        "source_silent_seconds",
        "Time in which nothing came of the source although it could have been heard.",
        snapshot
            .sources
            .iter()
            .map(|s| (by_source(&s.name), s.silent.lasted.as_secs_f64())),
    ));
    families.push(gauge(
        "source_staleness",
        "The source's silence as a share of what is too long; 1 and more is stale.",
        snapshot
            .sources
            .iter()
            .map(|s| (by_source(&s.name), s.silent.share)),
    ));
    families.push(counter(
        "late_events_total",
        "Events that were folded although they came later than the source's lateness allows.",
        snapshot
            .sources
            .iter()
            .map(|s| (by_source(&s.name), s.late as f64)),
    ));
    families.push(counter(
        "events_total",
        "Events by what became of them: folded, filtered, duplicate, or the reason of their rejection.",
        snapshot.sources.iter().flat_map(|s| {
            s.outcomes.iter().map(|(outcome, count)| {
                let mut labels = one("source", &s.name);
                labels.insert("outcome".into(), outcome.clone());
                (labels, *count as f64)
            })
        }),
    ));
}

fn bounds(snapshot: &Snapshot, families: &mut Vec<MetricFamily>) {
    families.push(counter(
        "dedup_evicted_ids_total",
        "Ids forgotten before the window was over, because there were more than dedup_max_keys: copies of them count.",
        snapshot
            .sources
            .iter()
            .map(|s| (one("source", &s.name), s.evicted_ids as f64)),
    ));
    families.push(counter(
        "evicted_keys_total",
        "Keys forgotten because there were more than max_keys: they are new when they come again.",
        snapshot
            .evicted_keys
            .iter()
            .map(|(metric, count)| (one("metric", metric), *count as f64)),
    ));
    families.push(counter(
        "events_in_other_total",
        "Events that count as other because there were more combinations of dimension values than max_cells.",
        snapshot
            .events_in_other
            .iter()
            .map(|(metric, count)| (one("metric", metric), *count as f64)),
    ));
    families.push(counter(
        "events_too_old_total",
        "Events let go because their day is no longer kept, see evaluate.keep.",
        snapshot
            .events_too_old
            .iter()
            .map(|(metric, count)| (one("metric", metric), *count as f64)),
    ));
    families.push(counter(
        "long_values_total",
        "Events with a dimension value or a name of an item longer than evaluate.max_value_bytes.",
        snapshot
            .long_values
            .iter()
            .map(|(metric, count)| (one("metric", metric), *count as f64)),
    ));
}

fn items(snapshot: &Snapshot, families: &mut Vec<MetricFamily>) {
    let by_key: std::collections::HashMap<_, _> = snapshot
        .instances
        .iter()
        .map(|instance| (&instance.key, instance))
        .collect();
    let labelled = |number: fn(&OpenItems) -> Option<u64>| {
        let by_key = &by_key;
        snapshot.items.iter().filter_map(move |open| {
            let labels = node_labels(snapshot, by_key.get(&open.key)?);
            Some((labels, number(open)? as f64))
        })
    };
    families.push(gauge(
        "open_items",
        "Items that have begun and not ended.",
        labelled(|open| Some(open.count)),
    ));
    families.push(gauge(
        "overdue_items",
        "Open items that are older than overdue_after.",
        labelled(|open| open.overdue_after.map(|_| open.overdue)),
    ));
    families.push(counter(
        "evicted_items_total",
        "Items forgotten because there were more than max_items.",
        snapshot
            .evicted_items
            .iter()
            .map(|(metric, count)| (one("metric", metric), *count as f64)),
    ));
    families.push(counter(
        "dropped_item_marks_total",
        "Starts and ends forgotten because one item had more than are kept of one.",
        snapshot
            .dropped_marks
            .iter()
            .map(|(metric, count)| (one("metric", metric), *count as f64)),
    ));
}

fn process(view: &View, families: &mut Vec<MetricFamily>) {
    let stats = &view.stats;
    let flag = |on: bool| [(Series::new(), f64::from(u8::from(on)))];
    families.push(gauge(
        "kafka_up",
        "1 while a Kafka broker answers.",
        flag(stats.kafka_up),
    ));
    families.push(gauge(
        "topic_missing",
        "1 for a topic that the catalogue names and the brokers do not have.",
        stats
            .missing_topics
            .iter()
            .map(|topic| (one("topic", topic), 1.0)),
    ));
    families.push(gauge(
        "ready",
        "1 while the numbers are current and notices may be sent.",
        flag(view.ready.reasons.is_empty()),
    ));
    families.push(gauge(
        "config_last_reload_successful",
        "1 when the settings and the catalogue that are written are right, and in force.",
        flag(stats.config_last_reload_successful),
    ));
    families.push(gauge(
        "build_info",
        "Version of tautline; always 1.",
        [(one("version", env!("CARGO_PKG_VERSION")), 1.0)],
    ));
    families.push(counter(
        "dead_letter_events_total",
        "Rejected events written to the dead-letter file.",
        [(Series::new(), stats.dead_letter_events as f64)],
    ));
    families.push(counter(
        "notices_total",
        "Notices by receiver and what became of them.",
        stats.notices.iter().map(|((receiver, outcome), count)| {
            let mut labels = one("receiver", receiver);
            labels.insert("outcome".into(), outcome.clone());
            (labels, *count as f64)
        }),
    ));
    families.push(counter(
        "missed_notices_total",
        "Alerts of which the receiver did not hear within twice the group_wait of its route, 10s at least.",
        stats
            .missed_notices
            .iter()
            .map(|(receiver, count)| (one("receiver", receiver), *count as f64)),
    ));
    families.push(counter(
        "notice_wait_seconds_total",
        "Time that the first notice of a queue has waited, for the rate limit of its destination or to be tried again.",
        stats.notice_waits.iter().map(|((receiver, reason), time)| {
            let mut labels = one("receiver", receiver);
            labels.insert("reason".into(), (*reason).to_owned());
            (labels, time.as_secs_f64())
        }),
    ));
    families.push(gauge(
        "pending_notices",
        "Notices that wait for their delivery.",
        stats
            .pending_notices
            .iter()
            .map(|(receiver, count)| (one("receiver", receiver), *count as f64)),
    ));
    families.push(gauge(
        "oldest_undelivered_seconds",
        "Age of the oldest notice that is not delivered; 0 when there is none.",
        stats.oldest_undelivered_seconds.map(|age| (Series::new(), age)),
    ));
    families.push(gauge(
        "alert_log_waiting_lines",
        "Lines that the alert log's topic has yet to take.",
        stats.unlogged.map(|lines| (Series::new(), lines as f64)),
    ));
    families.push(gauge(
        "replica_leads",
        "Whether this process leads those that keep the state together.",
        stats
            .leads
            .map(|leads| (Series::new(), f64::from(u8::from(leads)))),
    ));
    families.push(commits(view));
    registry(view, families);
    weight_proposals(view, families);
    backfills(view, families);
}

/// What is read again from Kafka for definitions that are new.
fn backfills(view: &View, families: &mut Vec<MetricFamily>) {
    let Backfills {
        running, finished, ..
    } = &view.stats.backfills;
    let by_metric = |number: fn(&Backfilling) -> f64| {
        running.iter().flat_map(move |running| {
            let metrics = running.metrics.iter();
            metrics.map(move |metric| (one("metric", metric), number(running)))
        })
    };
    families.push(gauge(
        "backfill_left_records",
        "Records that are still to be read again for a metric whose definition is new; no series when none are.",
        by_metric(|running| running.records_left as f64),
    ));
    families.push(gauge(
        "backfill_read_ratio",
        "Share of the records that were read again for a metric whose definition is new.",
        by_metric(Backfilling::share),
    ));
    families.push(counter(
        "backfills_total",
        "Times that records were read again for a metric and took the place of what was counted before.",
        finished
            .iter()
            .map(|(metric, count)| (one("metric", metric), *count as f64)),
    ));
}

/// Proposals that wait for a decision, of every parent whose KPIs have weights: where none waits it is 0.
fn weight_proposals(view: &View, families: &mut Vec<MetricFamily>) {
    let catalog = &view.catalog;
    let parents = weights::all_weighted(catalog).into_iter();
    let with_weights = parents.filter(|(_, kpis)| kpis.len() > 1);
    families.push(gauge(
        "weight_proposals_pending",
        "Proposals of other weights for the KPIs of a parent that wait for a decision.",
        with_weights.map(|(parent, _)| {
            let node = catalog.node(parent);
            let waiting = view
                .book
                .pending()
                .filter(|proposal| proposal.parent == node.name);
            (one("parent", &node.name), waiting.count() as f64)
        }),
    ));
}

/// How the schema registry stands, where there is one.
fn registry(view: &View, families: &mut Vec<MetricFamily>) {
    let Some(status) = &view.stats.registry else {
        return;
    };
    families.push(gauge(
        "schema_registry_up",
        "1 while the schema registry answers what it was last asked.",
        [(Series::new(), f64::from(u8::from(status.away.is_none())))],
    ));
    families.push(counter(
        "schema_registry_requests_total",
        "Attempts to fetch a schema by outcome.",
        status
            .requests
            .iter()
            .map(|(outcome, count)| (one("outcome", outcome), *count as f64)),
    ));
    let avro = view
        .catalog
        .sources
        .iter()
        .filter(|source| matches!(source.format, Format::Avro | Format::Debezium));
    families.push(gauge(
        "held_partitions",
        "Partitions that wait for a schema of the registry; nothing of them is lost.",
        avro.map(|source| {
            let held = status.held.get(&source.name).copied().unwrap_or(0);
            (one("source", &source.name), held as f64)
        }),
    ));
}

fn commits(view: &View) -> MetricFamily {
    let commits = &view.stats.commits;
    let mut histogram = proto::Histogram::default();
    histogram.set_sample_count(commits.count());
    histogram.set_sample_sum(commits.sum_seconds());
    let buckets = commits.cumulative().map(|(bound, count)| {
        let mut bucket = proto::Bucket::default();
        bucket.set_upper_bound(bound);
        bucket.set_cumulative_count(count);
        bucket
    });
    histogram.set_bucket(buckets.collect());
    let mut metric = Metric::default();
    metric.set_histogram(histogram);
    let help = "Time that a commit of the state took.";
    family(
        "commit_duration_seconds",
        help,
        MetricType::HISTOGRAM,
        vec![metric],
    )
}

fn one(name: &str, value: &str) -> Series {
    Series::from([(name.to_owned(), value.to_owned())])
}

fn gauge(name: &str, help: &str, series: impl IntoIterator<Item = (Series, f64)>) -> MetricFamily {
    let metrics = finite(series).map(|(labels, value)| {
        let mut gauge = proto::Gauge::default();
        gauge.set_value(value);
        let mut metric = Metric::from_label(labels);
        metric.set_gauge(gauge);
        metric
    });
    family(name, help, MetricType::GAUGE, metrics.collect())
}

fn counter(name: &str, help: &str, series: impl IntoIterator<Item = (Series, f64)>) -> MetricFamily {
    let metrics = finite(series).map(|(labels, value)| {
        let mut counter = proto::Counter::default();
        counter.set_value(value);
        let mut metric = Metric::from_label(labels);
        metric.set_counter(counter);
        metric
    });
    family(name, help, MetricType::COUNTER, metrics.collect())
}

fn finite(series: impl IntoIterator<Item = (Series, f64)>) -> impl Iterator<Item = (Vec<LabelPair>, f64)> {
    series
        .into_iter()
        .filter(|(_, value)| value.is_finite())
        .map(|(labels, value)| {
            let pairs = labels.into_iter().map(|(name, value)| {
                let mut pair = LabelPair::default();
                pair.set_name(name);
                pair.set_value(value);
                pair
            });
            (pairs.collect(), value)
        })
}

fn family(name: &str, help: &str, kind: MetricType, metrics: Vec<Metric>) -> MetricFamily {
    let mut family = MetricFamily::default();
    family.set_name(format!("tautline_{name}"));
    family.set_help(help.to_owned());
    family.set_field_type(kind);
    family.set_metric(metrics);
    family
}

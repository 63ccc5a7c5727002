//! What happens, and the records that tell of it: in any order, some twice, some taken back or changed later.

use apache_avro::Schema;
use apache_avro::types::Value;
use apache_avro::writer::datum::GenericDatumWriter;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};
use serde_json::json;

use super::{REGIONS, iso};
use crate::parts::broker::Broker;
use crate::parts::unique;

pub(super) const PARTITIONS: i32 = 3;
/// Enough that a day has more different devices than are counted exactly.
const VISITS: usize = 9_000;
const DEVICES: u32 = 60_000;
/// Fewer than what is counted exactly, and few enough visits each that all their steps are kept.
const CUSTOMERS: u32 = 1_200;
const ORDERS: usize = 2_500;
const PURCHASES: usize = 1_500;
const CHANGES: usize = 1_500;
const TICKETS: usize = 500;
/// The schema of the contracts.
pub(super) const SCHEMA: u32 = 7;

/// A topic of each source.
pub(super) struct Topics {
    pub(super) orders: String,
    pub(super) visits: String,
    pub(super) purchases: String,
    pub(super) leads: String,
    pub(super) contracts: String,
    pub(super) tickets: String,
}

impl Topics {
    pub(super) fn create(broker: &Broker) -> Topics {
        let make = |name: &str| {
            let topic = unique(name);
            broker.create_topic(&topic, PARTITIONS);
            topic
        };
        Topics {
            orders: make("every-orders"),
            visits: make("every-visits"),
            purchases: make("every-purchases"),
            leads: make("every-leads"),
            contracts: make("every-contracts"),
            tickets: make("every-tickets"),
        }
    }
}

/// Times between which things happen, in milliseconds since the epoch: `from` lies in the period before.
#[derive(Clone, Copy)]
pub(super) struct Span {
    pub(super) from: i64,
    pub(super) to: i64,
}

impl Span {
    /// Most of it happens on one day.
    fn any(self, rng: &mut StdRng) -> i64 {
        if rng.random_bool(0.7) {
            rng.random_range(self.to - 30 * 3_600_000..self.to - 8 * 3_600_000)
        } else {
            rng.random_range(self.from..self.to)
        }
    }
}

/// A record: its partition, its key, and its value; `None` is a tombstone.
pub(super) struct Sent {
    pub(super) partition: i32,
    pub(super) key: Option<String>,
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) payload: Option<Vec<u8>>,
}

impl Sent {
    fn new(key: usize, payload: impl Into<Vec<u8>>) -> Sent {
        Sent {
            partition: key as i32 % PARTITIONS,
            key: None,
            headers: Vec::new(),
            payload: Some(payload.into()),
        }
    }

    fn copy(&self) -> Sent {
        Sent {
            partition: self.partition,
            key: self.key.clone(),
            headers: self.headers.clone(),
            payload: self.payload.clone(),
        }
    }
}

/// Money in cents, as a JSON number.
fn money(cents: i64) -> String {
    format!("{}.{:02}", cents / 100, cents % 100)
}

/// Up to five events a record, each in the partition of its number.
fn bundled(
    events: Vec<(usize, String)>,
    rng: &mut StdRng,
    bundle: impl Fn(&[String]) -> String,
) -> Vec<Sent> {
    let mut by_partition: Vec<Vec<String>> = vec![Vec::new(); PARTITIONS as usize];
    for (n, event) in events {
        by_partition[n % PARTITIONS as usize].push(event);
    }
    let mut records = Vec::new();
    for (partition, events) in by_partition.iter().enumerate() {
        let mut rest = &events[..];
        while !rest.is_empty() {
            let (events, others) = rest.split_at(rng.random_range(1..=5).min(rest.len()));
            records.push(Sent::new(partition, bundle(events)));
            rest = others;
        }
    }
    records
}

/// Every fifth record comes again, all in any order.
fn shuffled(mut records: Vec<Sent>, rng: &mut StdRng) -> Vec<Sent> {
    let copies: Vec<Sent> = records
        .iter()
        .filter(|_| rng.random_bool(0.2))
        .map(Sent::copy)
        .collect();
    records.extend(copies);
    records.shuffle(rng);
    records
}

pub(super) struct Order {
    pub(super) at: i64,
    pub(super) cents: i64,
    pub(super) region: usize,
}

pub(super) struct Visit {
    pub(super) at: i64,
    pub(super) customer: u32,
    pub(super) device: u32,
    /// In hundredths.
    pub(super) minutes: i64,
    pub(super) region: usize,
}

pub(super) struct Purchase {
    pub(super) at: i64,
    pub(super) customer: u32,
}

#[derive(Clone, Copy)]
pub(super) struct Row {
    pub(super) at: i64,
    pub(super) cents: i64,
    pub(super) region: usize,
}

/// A table: its rows at the end, and the image after each change, in order within a row.
#[derive(Default)]
pub(super) struct Table {
    pub(super) rows: Vec<Option<Row>>,
    pub(super) images: Vec<Row>,
}

pub(super) struct Mark {
    pub(super) ticket: usize,
    pub(super) at: i64,
    pub(super) is_end: bool,
}

impl Mark {
    /// Tickets of the quick lane are all done in the end.
    pub(super) fn is_quick(&self) -> bool {
        self.ticket.is_multiple_of(2)
    }
}

/// Everything that happened.
pub(super) struct World {
    /// What was not taken back.
    pub(super) orders: Vec<Order>,
    pub(super) visits: Vec<Visit>,
    pub(super) purchases: Vec<Purchase>,
    pub(super) leads: Table,
    pub(super) contracts: Table,
    pub(super) marks: Vec<Mark>,
    /// Records by topic, in the order in which they are written.
    pub(super) records: Vec<(String, Vec<Sent>)>,
}

impl World {
    pub(super) fn make(topics: &Topics, span: Span, seed: u64) -> World {
        let rng = &mut StdRng::seed_from_u64(seed);
        let (orders, order_records) = orders(span, rng);
        let (visits, visit_records) = visits(span, rng);
        let (purchases, purchase_records) = purchases(&visits, span, rng);
        let (leads, lead_records) = table(span, rng, json_change);
        let schema = Schema::parse(&contract_schema()).unwrap();
        let (contracts, contract_records) = table(span, rng, |op, before, after| {
            avro_change(&schema, op, before, after)
        });
        let (marks, ticket_records) = tickets(span, rng);
        World {
            orders,
            visits,
            purchases,
            leads,
            contracts,
            marks,
            records: vec![
                (topics.orders.clone(), order_records),
                (topics.visits.clone(), visit_records),
                (topics.purchases.clone(), purchase_records),
                (topics.leads.clone(), lead_records),
                (topics.contracts.clone(), contract_records),
                (topics.tickets.clone(), ticket_records),
            ],
        }
    }
}

fn orders(span: Span, rng: &mut StdRng) -> (Vec<Order>, Vec<Sent>) {
    let (mut kept, mut events) = (Vec::new(), Vec::new());
    for n in 0..ORDERS {
        let order = Order {
            at: span.any(rng),
            cents: rng.random_range(1..100_000),
            region: rng.random_range(0..REGIONS.len()),
        };
        let event = |op: &str| {
            let (at, amount, region) = (iso(order.at), money(order.cents), REGIONS[order.region]);
            let text = format!(
                r#"{{"id": {n}, "op": "{op}", "at": "{at}", "amount": {amount}, "region": "{region}"}}"#
            );
            (n, text)
        };
        events.push(event("sale"));
        if rng.random_bool(0.15) {
            events.push(event("cancel"));
        } else {
            kept.push(order);
        }
    }
    let records = bundled(events, rng, |events| format!("[{}]", events.join(", ")));
    (kept, shuffled(records, rng))
}

fn visits(span: Span, rng: &mut StdRng) -> (Vec<Visit>, Vec<Sent>) {
    let (mut visits, mut records) = (Vec::new(), Vec::new());
    for n in 0..VISITS {
        let visit = Visit {
            // No two at one moment: which is the newest is then no question of their order.
            at: span.any(rng) / VISITS as i64 * VISITS as i64 + n as i64,
            customer: rng.random_range(0..CUSTOMERS),
            device: rng.random_range(0..DEVICES),
            minutes: rng.random_range(0..20_000),
            region: rng.random_range(0..REGIONS.len()),
        };
        let data = format!(
            r#"{{"customer": "c{}", "device": "d{}", "minutes": {}, "region": "{}"}}"#,
            visit.customer,
            visit.device,
            money(visit.minutes),
            REGIONS[visit.region]
        );
        let (id, time) = (format!("v{n}"), iso(visit.at));
        records.push(if rng.random_bool(0.25) {
            let mut binary = Sent::new(n, data);
            binary.headers = vec![
                ("ce_specversion", "1.0".to_owned()),
                ("ce_id", id),
                ("ce_source", "/door".to_owned()),
                ("ce_type", "visit".to_owned()),
                ("ce_time", time),
            ];
            binary
        } else {
            let text = format!(
                r#"{{"specversion": "1.0", "id": "{id}", "source": "/door", "type": "visit", "time": "{time}", "data": {data}}}"#
            );
            Sent::new(n, text)
        });
        visits.push(visit);
    }
    (visits, shuffled(records, rng))
}

fn purchases(visits: &[Visit], span: Span, rng: &mut StdRng) -> (Vec<Purchase>, Vec<Sent>) {
    let (mut purchases, mut events) = (Vec::new(), Vec::new());
    for n in 0..PURCHASES {
        // After some visit, soon or too late.
        let visit = &visits[rng.random_range(0..visits.len())];
        let at = (visit.at + rng.random_range(-3_600_000..12 * 3_600_000)).min(span.to);
        let purchase = Purchase {
            at,
            customer: visit.customer,
        };
        let text = format!(
            r#"{{"id": "p{n}", "at": "{}", "customer": "c{}"}}"#,
            iso(at),
            visit.customer
        );
        events.push((n, text));
        purchases.push(purchase);
    }
    let records = bundled(events, rng, |events| events.join("\n\r\n") + "\n");
    (purchases, shuffled(records, rng))
}

/// Changes of the rows of a table, as a log of the database tells them.
fn table(
    span: Span,
    rng: &mut StdRng,
    change: impl Fn(&str, Option<(usize, Row)>, Option<(usize, Row)>) -> Vec<u8>,
) -> (Table, Vec<Sent>) {
    let (mut table, mut records) = (Table::default(), Vec::new());
    for n in 0..CHANGES {
        let cents = rng.random_range(1..1_000_000);
        let region = rng.random_range(0..REGIONS.len());
        let known = (!table.rows.is_empty()).then(|| rng.random_range(0..table.rows.len()));
        let alive = known.and_then(|id| Some((id, table.rows[id]?)));
        let (op, before, after) = match alive {
            Some((id, row)) if rng.random_bool(0.4) => {
                ("u", Some((id, row)), Some((id, Row { cents, region, ..row })))
            }
            Some(found) if rng.random_bool(0.2) => ("d", Some(found), None),
            _ => {
                let at = span.any(rng) / CHANGES as i64 * CHANGES as i64 + n as i64;
                table.rows.push(None);
                let op = if n < CHANGES / 10 { "r" } else { "c" };
                (op, None, Some((table.rows.len() - 1, Row { at, cents, region })))
            }
        };
        let id = before.or(after).map(|(id, _)| id).unwrap();
        table.rows[id] = after.map(|(_, row)| row);
        table.images.extend(after.map(|(_, row)| row));
        records.push(Sent::new(id, change(op, before, after)));
        if op == "d" {
            records.push(Sent {
                payload: None,
                ..Sent::new(id, "")
            });
        }
    }
    (table, records)
}

fn json_change(op: &str, before: Option<(usize, Row)>, after: Option<(usize, Row)>) -> Vec<u8> {
    let image = |row: Option<(usize, Row)>| {
        row.map(|(id, row)| json!({"id": id, "at": row.at, "amount": money(row.cents), "region": REGIONS[row.region]}))
    };
    let payload =
        json!({"op": op, "before": image(before), "after": image(after), "source": {"table": "leads"}});
    json!({"schema": {"type": "struct"}, "payload": payload})
        .to_string()
        .into_bytes()
}

/// The envelope of a table, as Debezium registers it.
pub(super) fn contract_schema() -> serde_json::Value {
    json!({"type": "record", "name": "crm.contracts.Envelope", "fields": [
        {"name": "before", "type": ["null", {"type": "record", "name": "crm.contracts.Value", "fields": [
            {"name": "id", "type": "long"},
            {"name": "note", "type": ["null", "string"]},
            {"name": "at", "type": {"type": "long", "logicalType": "timestamp-millis"}},
            {"name": "amount", "type": {"type": "bytes", "logicalType": "decimal", "precision": 12, "scale": 2}}]}]},
        {"name": "after", "type": ["null", "crm.contracts.Value"]},
        {"name": "op", "type": "string"},
        {"name": "ts_ms", "type": ["null", "long"]}]})
}

fn avro_change(
    schema: &Schema,
    op: &str,
    before: Option<(usize, Row)>,
    after: Option<(usize, Row)>,
) -> Vec<u8> {
    let image = |row: Option<(usize, Row)>| match row {
        None => Value::Union(0, Box::new(Value::Null)),
        Some((id, row)) => {
            let note = Value::Union(1, Box::new(Value::String("x".repeat(id % 40))));
            let amount = apache_avro::Decimal::from(row.cents.to_be_bytes());
            let fields = [
                ("id", Value::Long(id as i64)),
                ("note", note),
                ("at", Value::TimestampMillis(row.at)),
                ("amount", Value::Decimal(amount)),
            ];
            let fields = fields.into_iter().map(|(name, value)| (name.to_owned(), value));
            Value::Union(1, Box::new(Value::Record(fields.collect())))
        }
    };
    let envelope = Value::Record(vec![
        ("before".to_owned(), image(before)),
        ("after".to_owned(), image(after)),
        ("op".to_owned(), Value::String(op.to_owned())),
        ("ts_ms".to_owned(), Value::Union(0, Box::new(Value::Null))),
    ]);
    let writer = GenericDatumWriter::builder(schema).build().unwrap();
    let mut payload = vec![0];
    payload.extend(SCHEMA.to_be_bytes());
    payload.extend(writer.write_value_to_vec(envelope).unwrap());
    payload
}

/// Tickets that are opened, done, and maybe opened again; each step comes by way of any partition.
fn tickets(span: Span, rng: &mut StdRng) -> (Vec<Mark>, Vec<Sent>) {
    let mut marks = Vec::new();
    for ticket in 0..TICKETS {
        let is_quick = ticket.is_multiple_of(2);
        let steps = if is_quick {
            2 * rng.random_range(1..=2)
        } else {
            rng.random_range(1..=4)
        };
        let mut times: Vec<i64> = (0..steps).map(|_| span.any(rng)).collect();
        times.sort_unstable();
        let steps = times.into_iter().enumerate();
        marks.extend(steps.map(|(n, at)| Mark {
            ticket,
            at,
            is_end: n % 2 == 1,
        }));
    }
    let record = |mark: &Mark, partition| {
        let (state, lane) = (
            if mark.is_end { "done" } else { "open" },
            if mark.is_quick() { "quick" } else { "slow" },
        );
        let (id, at) = (mark.ticket, iso(mark.at));
        Sent {
            key: Some(format!("t{id}")),
            headers: vec![("lane", lane.to_owned())],
            ..Sent::new(partition, format!(r#"{{"state": "{state}", "at": "{at}"}}"#))
        }
    };
    let records = marks
        .iter()
        .map(|mark| record(mark, rng.random_range(0..3)))
        .collect();
    (marks, shuffled(records, rng))
}

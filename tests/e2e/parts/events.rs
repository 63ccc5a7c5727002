//! Business events as other systems write them.

use jiff::Timestamp;
use serde_json::json;

/// An order as a CloudEvent; the amount is exact text, as a JSON number.
pub(crate) struct Order<'a> {
    pub(crate) id: &'a str,
    pub(crate) at: Timestamp,
    pub(crate) kind: &'a str,
    pub(crate) amount: &'a str,
    pub(crate) customer: &'a str,
    pub(crate) region: &'a str,
}

impl Order<'_> {
    /// A paid order of now.
    pub(crate) fn paid<'a>(id: &'a str, amount: &'a str) -> Order<'a> {
        Order {
            id,
            at: Timestamp::now(),
            kind: "order.paid",
            amount,
            customer: "c1",
            region: "east",
        }
    }

    /// Structured mode: everything in the payload.
    pub(crate) fn structured(&self) -> String {
        format!(
            r#"{{"specversion":"1.0","id":"{}","source":"/erp/pos","type":"{}","time":"{}","datacontenttype":"application/json","data":{}}}"#,
            self.id,
            self.kind,
            self.at,
            self.data()
        )
    }

    /// Binary mode: the payload is the data.
    pub(crate) fn data(&self) -> String {
        format!(
            r#"{{"amount":{},"currency":"CNY","customer":"{}","region":"{}"}}"#,
            self.amount, self.customer, self.region
        )
    }

    /// Binary mode: the headers are the rest.
    pub(crate) fn headers(&self) -> [(&'static str, String); 6] {
        [
            ("ce_specversion", "1.0".to_owned()),
            ("ce_id", self.id.to_owned()),
            ("ce_source", "/erp/pos".to_owned()),
            ("ce_type", self.kind.to_owned()),
            ("ce_time", self.at.to_string()),
            ("content-type", "application/json".to_owned()),
        ]
    }
}

/// A published article as plain JSON.
pub(crate) fn article(id: &str) -> String {
    json!({"id": id, "published_at": Timestamp::now().to_string(), "state": "published", "author": "editor1"})
        .to_string()
}

/// A catalogue with a level, the newest amount of the orders of a topic, and these rules.
#[allow(dead_code, reason = "benches/peers has rules of its own")]
pub(crate) fn level_under(topic: &str, rules: &str) -> String {
    format!(
        r#"
calendar: {{timezone: {zone}}}
sources:
  orders: {{topics: [{topic}], format: cloudevents, time: time, lateness: 1s, fields: {{amount: data.amount}}}}
metrics:
  level: {{title: Level, source: orders, agg: last, expr: amount}}
nodes:
  level: {{metric: level, role: business, level: strategy, period: day, owner: store}}
rules:{rules}"#,
        zone = super::daemon::zone_at_noon(),
    )
}

/// That catalogue with a rule `full`: a warning from 100, critical from 200.
#[allow(dead_code, reason = "benches/peers judges nothing")]
pub(crate) fn level_that_fills(topic: &str) -> String {
    level_under(
        topic,
        r#"
  full: {on: node, nodes: [level], when: node.value >= 100.0, for: 0s, severity: warning, levels: [{severity: critical, when: node.value >= 200.0}], title: "{{ node.title }} is full"}
"#,
    )
}

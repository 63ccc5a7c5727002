//! Orders as the example catalogue expects them.

use jiff::Timestamp;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

/// Size of an event in bytes.
pub(crate) const EVENT_BYTES: usize = 540;
const REGIONS: [&str; 4] = ["华东", "华南", "华北", "西南"];

/// The same orders in every run, one after the other.
pub(crate) struct Orders {
    rng: StdRng,
    count: u64,
    event: String,
}

impl Orders {
    pub(crate) fn new() -> Orders {
        Orders {
            rng: StdRng::seed_from_u64(540),
            count: 0,
            event: String::with_capacity(EVENT_BYTES),
        }
    }

    /// The next order, as a CloudEvent.
    pub(crate) fn next(&mut self, at: Timestamp) -> &str {
        let Orders { rng, count, event } = self;
        let kind = match rng.random_range(0..100) {
            0..2 => "order.refunded",
            2..4 => "order.cancelled",
            _ => "order.paid",
        };
        let channel = ["web", "app", "shop"][rng.random_range(0..3)];
        let (cents, customer) = (rng.random_range(100..100_000u32), rng.random_range(0..100_000u32));
        let region = REGIONS[rng.random_range(0..REGIONS.len())];
        let (store, rep) = (rng.random_range(1..=20u32), rng.random_range(1..=50u32));
        event.clear();
        event.push_str(&format!(
            concat!(
                r#"{{"specversion":"1.0","id":"o{n:010}","source":"/erp/pos/{region}","type":"{kind}","time":"{at}","#,
                r#""datacontenttype":"application/json","subject":"order/{n:010}","data":{{"order_no":"{n:012}","#,
                r#""amount":{yuan}.{fen:02},"discount":{discount},"currency":"CNY","customer":{{"id":"c{customer:06}","level":"gold"}},"#,
                r#""region":"{region}","channel":"{channel}","store":"{region}-{store:02}","rep":"rep{rep:03}","items":["#,
                r#"{{"sku":"A-{sku:05}","qty":2}}],"note":""#
            ),
            n = count, region = region, kind = kind, at = at, yuan = cents / 100, fen = cents % 100, customer = customer,
            channel = channel, discount = cents % 30, store = store, rep = rep, sku = cents,
        ));
        let padding = EVENT_BYTES.saturating_sub(event.len() + "\"}}".len());
        event.extend(std::iter::repeat_n('.', padding));
        event.push_str("\"}}");
        assert_eq!(event.len(), EVENT_BYTES, "{event}");
        *count += 1;
        event
    }
}

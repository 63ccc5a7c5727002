//! The plain model: every number from the list of what happened, without cells, partials or commits.

use std::collections::{BTreeMap, BTreeSet};

use super::streams::{Mark, Row, Table, Visit, World};
use super::typed::Typed;
use super::{REGIONS, WINDOW_MS};

/// What a node must have.
#[derive(Clone, Copy, Debug)]
pub(super) enum Wanted {
    /// This number.
    Exact(f64),
    /// This number with a relative error.
    Near(f64, f64),
}

/// The stated error of a percentile.
const OF_PERCENTILE: f64 = 0.01 + 1e-9;
/// Five times the standard error of different keys beyond what is counted exactly: 0.8 %.
const OF_DISTINCT: f64 = 0.04;
/// Different keys that are counted exactly.
const EXACT_KEYS: usize = 4_096;

impl Wanted {
    pub(super) fn is(&self, found: f64) -> bool {
        let (value, error) = match *self {
            // A sum of numbers of two decimals; what is left is the last bit of a division.
            Wanted::Exact(value) => (value, 1e-13),
            Wanted::Near(value, error) => (value, error),
        };
        // Of what nobody has typed in nothing is known: it is no 0.
        value.is_nan() && found.is_nan() || (found - value).abs() <= error * value.abs()
    }
}

/// Every node at a watermark, `region` behind the name where it is split; the period begins at `from`. Milliseconds
/// since the epoch.
pub(super) fn expected(world: &World, typed: &Typed, from: i64, watermark: i64) -> BTreeMap<String, Wanted> {
    let mut all = BTreeMap::new();
    let mut add = |name: &str, wanted| {
        all.insert(name.to_owned(), wanted);
    };
    let orders: Vec<_> = world.orders.iter().filter(|order| order.at >= from).collect();
    let revenue: i64 = orders.iter().map(|order| order.cents).sum();
    let count = orders.len() as f64;
    add("revenue", Wanted::Exact(hundredths(revenue)));
    add("orders", Wanted::Exact(count));
    add("order_mean", Wanted::Exact(hundredths(revenue) / count));
    add("average_order", Wanted::Exact(hundredths(revenue) / count));
    for (n, region) in REGIONS.iter().enumerate() {
        let of_region = orders.iter().filter(|order| order.region == n);
        let sum = hundredths(of_region.map(|order| order.cents).sum());
        add(&format!("revenue-by-region/{region}"), Wanted::Exact(sum));
    }

    let visits: Vec<&Visit> = world.visits.iter().filter(|visit| visit.at >= from).collect();
    for (name, wanted) in of_visits(&visits, world, from, None) {
        add(name, wanted);
    }
    for (n, region) in REGIONS.iter().enumerate() {
        let mine: Vec<&Visit> = visits.iter().copied().filter(|visit| visit.region == n).collect();
        for (name, wanted) in of_visits(&mine, world, from, Some(n)) {
            if super::catalog::BY_REGION.contains(&name) {
                add(&format!("{name}-by-region/{region}"), wanted);
            }
        }
    }
    add(
        "purchases",
        Wanted::Exact(world.purchases.iter().filter(|p| p.at >= from).count() as f64),
    );
    add("buyers", Wanted::Exact(conversion(world, from, watermark)));

    let of_rows = |table: &Table| {
        let rows: Vec<Row> = table
            .rows
            .iter()
            .flatten()
            .copied()
            .filter(|row| row.at >= from)
            .collect();
        let sum = hundredths(rows.iter().map(|row| row.cents).sum());
        (rows.len() as f64, sum, rows)
    };
    let (leads, lead_value, rows) = of_rows(&world.leads);
    add("leads", Wanted::Exact(leads));
    add("lead_value", Wanted::Exact(lead_value));
    add("lead_mean", Wanted::Exact(lead_value / leads));
    for (n, region) in REGIONS.iter().enumerate() {
        let sum = rows
            .iter()
            .filter(|row| row.region == n)
            .map(|row| row.cents)
            .sum();
        add(
            &format!("lead_value-by-region/{region}"),
            Wanted::Exact(hundredths(sum)),
        );
    }
    // Of equal times the later record: `max_by_key` takes the last one.
    let newest = world.leads.images.iter().max_by_key(|row| row.at).unwrap();
    add("lead_last", Wanted::Exact(hundredths(newest.cents)));
    let (contracts, contract_value, _) = of_rows(&world.contracts);
    add("contracts", Wanted::Exact(contracts));
    add("contract_value", Wanted::Exact(contract_value));
    add("contract_mean", Wanted::Exact(contract_value / contracts));
    add(
        "income",
        Wanted::Exact(hundredths(revenue) + contract_value - lead_value * 0.5),
    );
    add(
        "per_visit",
        Wanted::Exact(hundredths(revenue) / visits.len() as f64),
    );

    let hours = |ms: f64| ms / 3_600_000.0;
    let mut all_items = durations(&world.marks, |_| true, from, watermark);
    let mean = all_items.iter().sum::<i64>() as f64 / all_items.len() as f64;
    add("hours_mean", Wanted::Exact(hours(mean)));
    add(
        "hours_p90",
        Wanted::Near(hours(ranked(&mut all_items, 90)), OF_PERCENTILE),
    );
    // Both are sorted by now.
    let longest = hours(*all_items.last().unwrap() as f64);
    add("hours_longest", Wanted::Near(longest, OF_PERCENTILE));
    let mut quick = durations(&world.marks, Mark::is_quick, from, watermark);
    add(
        "hours_done",
        Wanted::Near(hours(ranked(&mut quick, 50)), OF_PERCENTILE),
    );
    let shortest = hours(*quick.first().unwrap() as f64);
    add("hours_shortest", Wanted::Near(shortest, OF_PERCENTILE));
    add(
        "new_today",
        Wanted::Exact(new_today(world, from, watermark) as f64),
    );
    typed
        .expected()
        .into_iter()
        .for_each(|(name, value)| add(name, Wanted::Exact(value)));
    all
}

fn hundredths(number: i64) -> f64 {
    number as f64 / 100.0
}

/// The value of rank ⌊q · (n − 1)⌋.
fn ranked(values: &mut [i64], percent: usize) -> f64 {
    values.sort_unstable();
    values[(values.len() - 1) * percent / 100] as f64
}

fn of_visits(
    visits: &[&Visit],
    world: &World,
    from: i64,
    region: Option<usize>,
) -> Vec<(&'static str, Wanted)> {
    let mut minutes: Vec<i64> = visits.iter().map(|visit| visit.minutes).collect();
    let sum: i64 = minutes.iter().sum();
    let count = minutes.len() as f64;
    let newest = visits.iter().max_by_key(|visit| visit.at).unwrap();
    let customers: BTreeSet<u32> = visits.iter().map(|visit| visit.customer).collect();
    let devices: BTreeSet<u32> = visits.iter().map(|visit| visit.device).collect();
    let devices = match devices.len() {
        exact if exact <= EXACT_KEYS => Wanted::Exact(exact as f64),
        many => Wanted::Near(many as f64, OF_DISTINCT),
    };
    let different = customers.len() as f64;
    let new = new_customers(world, from, region) as f64;
    let mut percentile = |percent| Wanted::Near(ranked(&mut minutes, percent) / 100.0, OF_PERCENTILE);
    vec![
        ("visits", Wanted::Exact(count)),
        ("p50", percentile(50)),
        ("p75", percentile(75)),
        ("p90", percentile(90)),
        ("p95", percentile(95)),
        ("p99", percentile(99)),
        ("shortest", Wanted::Exact(hundredths(*minutes.first().unwrap()))),
        ("longest", Wanted::Exact(hundredths(*minutes.last().unwrap()))),
        ("mean", Wanted::Exact(hundredths(sum) / count)),
        ("minutes", Wanted::Exact(hundredths(sum))),
        ("newest", Wanted::Exact(hundredths(newest.minutes))),
        (
            "long_visits",
            Wanted::Exact(minutes.iter().filter(|m| **m >= 6_000).count() as f64),
        ),
        ("customers", Wanted::Exact(different)),
        ("devices", devices),
        ("new_customers", Wanted::Exact(new)),
        ("returning", Wanted::Exact(different - new)),
        ("repeat_share", Wanted::Exact((different - new) / different)),
    ]
}

/// Customers whose first visit ever is in the period, and in the region.
fn new_customers(world: &World, from: i64, region: Option<usize>) -> usize {
    let mut first: BTreeMap<u32, &Visit> = BTreeMap::new();
    for visit in &world.visits {
        let known = first.entry(visit.customer).or_insert(visit);
        if visit.at < known.at {
            *known = visit;
        }
    }
    let counts = |visit: &&&Visit| visit.at >= from && region.is_none_or(|region| visit.region == region);
    first.values().filter(counts).count()
}

/// Customers who came today and not yesterday. The zone knows no daylight saving: days have 24 hours.
fn new_today(world: &World, from: i64, watermark: i64) -> usize {
    let day = |at: i64| (at - from).div_euclid(24 * 3_600_000);
    let today = day(watermark);
    let came = |on: i64| -> BTreeSet<u32> {
        let visits = world.visits.iter().filter(|visit| day(visit.at) == on);
        visits.map(|visit| visit.customer).collect()
    };
    came(today).difference(&came(today - 1)).count()
}

/// Of the attempts that began in the period and are decided, the share that succeeded.
fn conversion(world: &World, from: i64, watermark: i64) -> f64 {
    let mut steps: BTreeMap<u32, Vec<(i64, bool)>> = BTreeMap::new();
    let visits = world.visits.iter().map(|visit| (visit.customer, visit.at, false));
    let purchases = world
        .purchases
        .iter()
        .map(|purchase| (purchase.customer, purchase.at, true));
    for (customer, at, is_purchase) in visits.chain(purchases) {
        steps.entry(customer).or_default().push((at, is_purchase));
    }
    let (mut failed, mut converted) = (0, 0);
    for mut steps in steps.into_values() {
        steps.sort_unstable();
        let mut open: Option<i64> = None;
        for (at, is_purchase) in steps {
            if let Some(start) = open.filter(|start| at - start > WINDOW_MS) {
                failed += i32::from(start >= from);
                open = None;
            }
            match open {
                Some(start) if is_purchase => {
                    converted += i32::from(start >= from);
                    open = None;
                }
                None if !is_purchase => open = Some(at),
                _ => {}
            }
        }
        let is_over = |start: &i64| *start >= from && watermark - start > WINDOW_MS;
        failed += i32::from(open.is_some_and(|start| is_over(&start)));
    }
    f64::from(converted) / f64::from(failed + converted)
}

/// How long the items took that ended in the period, and how old those are that are open; in milliseconds.
fn durations(marks: &[Mark], is_asked: impl Fn(&Mark) -> bool, from: i64, watermark: i64) -> Vec<i64> {
    let mut items: BTreeMap<usize, Vec<(i64, bool)>> = BTreeMap::new();
    for mark in marks.iter().filter(|mark| is_asked(mark)) {
        items.entry(mark.ticket).or_default().push((mark.at, mark.is_end));
    }
    let mut durations = Vec::new();
    for mut marks in items.into_values() {
        marks.sort_unstable();
        let mut open = None;
        for (at, is_end) in marks {
            match open {
                None if !is_end => open = Some(at),
                Some(start) if is_end => {
                    durations.extend((at >= from).then_some(at - start));
                    open = None;
                }
                _ => {}
            }
        }
        durations.extend(open.map(|start| watermark - start));
    }
    durations
}

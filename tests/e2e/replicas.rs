//! Several daemons with one state: whoever leads is killed, stopped or frozen, and everything is counted and told once.

use std::io::Write;
use std::time::{Duration, Instant};

use jiff::Timestamp;

use crate::parts::broker::Broker;
use crate::parts::daemon::{Daemon, Site, zone_at_noon};
use crate::parts::events::Order;
use crate::parts::produce::Producer;
use crate::parts::slack::Slack;
use crate::parts::{http, unique, wait};

/// The shortest that a broker lets whoever leads be silent.
const SESSION: &str = "session.timeout.ms: 6000, heartbeat.interval.ms: 1000";
const TAKES_OVER_WITHIN: Duration = Duration::from_secs(60);
const TOLD_WITHIN: Duration = Duration::from_secs(60);

/// Two sites that tell one Slack and keep one state.
fn pair(broker: &Broker, topic: &str, slack: &Slack) -> [Site; 2] {
    pair_with(broker, topic, slack, SESSION)
}

fn pair_with(broker: &Broker, topic: &str, slack: &Slack, session: &str) -> [Site; 2] {
    let (prefix, log) = (unique("replicas"), unique("replicas-log"));
    let site = || {
        Site::new(broker)
            .tells(&slack.webhook())
            .declares(&catalog(topic))
            .connects(session)
            .shares(&prefix)
            .logs_to(&log)
    };
    [site(), site()]
}

fn catalog(topic: &str) -> String {
    format!(
        r#"
calendar: {{timezone: {zone}}}
sources:
  orders:
    topics: [{topic}]
    format: cloudevents
    time: time
    fields: {{type: type, amount: data.amount, region: data.region}}
metrics:
  revenue: {{source: orders, agg: sum, expr: amount, unit: CNY, dimensions: [region]}}
  orders: {{source: orders, agg: count}}
nodes:
  revenue: {{metric: revenue, role: business, level: strategy, period: day, owner: chain}}
  region-revenue: {{metric: revenue, role: business, level: strategy, parent: revenue, relation: sum, each: [region], period: day, owner: regions}}
  orders: {{metric: orders, role: kpi, level: tactic, parent: revenue, relation: influence, period: day, target: 1000000, weight: 100, owner: sales, rules: {{behind_pace: off, target_at_risk: off}}}}
rules:
  large: {{on: node, nodes: [region-revenue], when: "node.value >= 1000", for: 0s, severity: info, title: "{{{{ node.title }}}} is large"}}
"#,
        zone = zone_at_noon(),
    )
}

struct Orders {
    producer: Producer,
    sent: u64,
}

impl Orders {
    /// Orders of 10 a piece; the hundredth of a region makes its rule fire.
    fn send(&mut self, region: &str, count: u64) {
        for _ in 0..count {
            let id = format!("o{}", self.sent);
            let order = Order {
                id: &id,
                at: Timestamp::now(),
                kind: "order.paid",
                amount: "10.00",
                customer: "c1",
                region,
            };
            self.producer.send((self.sent % 2) as i32, order.structured());
            self.sent += 1;
        }
        self.producer.flush();
    }
}

fn leads(daemon: &Daemon) -> bool {
    let answer = http::get(daemon.port(), "/metrics");
    answer.is_ok_and(|answer| answer.body.contains("tautline_replica_leads 1"))
}

#[track_caller]
fn wait_for_orders(daemon: &Daemon, count: u64) {
    daemon.wait_for(
        "every order is counted once",
        TAKES_OVER_WITHIN,
        |metrics| match metrics.get("tautline_kpi_value", &[("node", "orders")]) {
            Some(value) if value == count as f64 => Ok(()),
            seen => Err(format!("{seen:?} of {count}; {}", daemon.log())),
        },
    );
}

#[track_caller]
fn wait_until_leads(daemon: &Daemon) {
    wait::until_ok("the other one leads", TAKES_OVER_WITHIN, || match leads(daemon) {
        true => Ok(()),
        false => Err(daemon.log()),
    });
    daemon.wait_until_ready();
}

#[test]
fn who_leads_may_die_freeze_or_end_and_everything_is_counted_and_told_once() {
    let broker = Broker::shared();
    let topic = unique("orders");
    broker.create_topic(&topic, 2);
    let slack = Slack::start();
    let [one, other] = pair(broker, &topic, &slack);
    let mut orders = Orders {
        producer: Producer::new(broker, &topic),
        sent: 0,
    };

    let first = one.start();
    wait_until_leads(&first);
    let second = other.start();
    orders.send("a", 150);
    wait_for_orders(&first, 150);
    slack.wait_for(1, TOLD_WITHIN);
    first.wait_until_delivered(1.0);

    // It follows, and says whom to ask.
    let standby = http::get(second.port(), "/-/ready").unwrap();
    assert_eq!(standby.status, 503, "{standby:?}");
    assert!(standby.body.contains("standby"), "{standby:?}");
    assert_eq!(http::get(second.port(), "/-/healthy").unwrap().status, 200);
    wait::until_ok("it follows", Duration::from_secs(20), || {
        let metrics = http::get(second.port(), "/metrics")
            .map_err(|error| error.to_string())?
            .body;
        match metrics.contains("tautline_replica_leads 0") && metrics.contains("tautline_replica_offset ") {
            true => Ok(()),
            false => Err(metrics),
        }
    });

    // Somebody who never ends a question does not keep it from leading.
    let mut half = std::net::TcpStream::connect(("127.0.0.1", second.port())).unwrap();
    half.write_all(b"GET /metrics HTTP/1.1\r\n").unwrap();

    // Killed: while events go on.
    orders.send("b", 50);
    first.kill();
    orders.send("b", 100);
    wait_until_leads(&second);
    wait_for_orders(&second, 300);
    slack.wait_for(2, TOLD_WITHIN);
    // What was sent and not yet written down would come again, with the same id.
    second.wait_until_delivered(1.0);

    // Frozen: the one that wakes up must not tell what another one tells, nor count.
    let first = one.start();
    second.signal("STOP");
    orders.send("c", 150);
    wait_until_leads(&first);
    wait_for_orders(&first, 450);
    slack.wait_for(3, TOLD_WITHIN);
    first.wait_until_delivered(1.0);
    second.signal("CONT");
    wait::until_ok(
        "it knows that it leads no more",
        TAKES_OVER_WITHIN,
        || match http::get(second.port(), "/metrics") {
            Ok(answer) if answer.body.contains("tautline_replica_leads 0") => Ok(()),
            seen => Err(format!("{seen:?}; {}", second.log())),
        },
    );

    // Ended: the other one has the lead at once, not after a silence.
    let asked = Instant::now();
    first.stop();
    wait_until_leads(&second);
    eprintln!(
        "took over {:?} after the other one was asked to end",
        asked.elapsed()
    );
    orders.send("d", 150);
    wait_for_orders(&second, 600);
    slack.wait_for(4, TOLD_WITHIN);
    second.wait_for_evaluations(5);

    let messages = slack.messages();
    let told: Vec<&str> = messages.iter().map(|message| message.id.as_str()).collect();
    let mut ids = told.clone();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!((told.len(), ids.len()), (4, 4), "{messages:#?}");
    second.stop();
}

#[test]
fn a_file_with_a_state_of_its_own_becomes_the_first_of_several_and_never_overwrites_theirs() {
    let broker = Broker::shared();
    let topic = unique("orders");
    broker.create_topic(&topic, 2);
    let slack = Slack::start();
    let mut orders = Orders {
        producer: Producer::new(broker, &topic),
        sent: 0,
    };
    let [stranger, _] = pair(broker, &topic, &slack);
    let prefix = unique("moved");
    let alone = || {
        Site::new(broker)
            .tells(&slack.webhook())
            .declares(&catalog(&topic))
            .connects(SESSION)
    };
    let site = alone();
    let daemon = site.start();
    daemon.wait_until_ready();
    orders.send("a", 150);
    wait_for_orders(&daemon, 150);
    slack.wait_for(1, TOLD_WITHIN);
    daemon.wait_until_delivered(1.0);
    daemon.stop();

    // What it held is what all hold from now on.
    let site = site.shares(&prefix);
    let daemon = site.start();
    wait_until_leads(&daemon);
    wait_for_orders(&daemon, 150);
    daemon.stop();
    let new = alone().shares(&prefix);
    let daemon = new.start();
    wait_until_leads(&daemon);
    wait_for_orders(&daemon, 150);
    orders.send("b", 150);
    wait_for_orders(&daemon, 300);
    slack.wait_for(2, TOLD_WITHIN);
    daemon.stop();

    // A state of another origin is not mixed into it.
    let daemon = stranger.start();
    wait_until_leads(&daemon);
    wait_for_orders(&daemon, 300);
    daemon.stop();
    let stranger = stranger.shares(&prefix);
    let mut daemon = stranger.spawn();
    let code = daemon.wait_for_end();
    let log = daemon.log();
    assert_eq!(code, 1, "{log}");
    assert!(log.contains("is a copy of the topic"), "{log}");
    let own = alone();
    let daemon = own.start();
    daemon.wait_until_ready();
    wait_for_orders(&daemon, 300);
    daemon.stop();
    let own = own.shares(&prefix);
    let mut daemon = own.spawn();
    let code = daemon.wait_for_end();
    let log = daemon.log();
    assert_eq!(code, 1, "{log}");
    assert!(log.contains("holds a state of its own"), "{log}");
}

/// A broker that is away for a while: whoever leads then has told and counted everything once.
fn with_a_broker_away(session: &str, away: Duration, stays: bool) {
    let mut broker = Broker::start();
    let topic = "orders";
    broker.create_topic(topic, 2);
    let slack = Slack::start();
    let [one, other] = pair_with(&broker, topic, &slack, session);
    let send = |broker: &Broker, from: u64, region: &str| {
        let mut orders = Orders {
            producer: Producer::new(broker, topic),
            sent: from,
        };
        orders.send(region, 150);
    };
    let first = one.start();
    wait_until_leads(&first);
    let second = other.start();
    send(&broker, 0, "a");
    wait_for_orders(&first, 150);
    slack.wait_for(1, TOLD_WITHIN);
    first.wait_until_delivered(1.0);

    broker.stop("TERM");
    // Nothing to wait for: it is to be away for so long.
    std::thread::sleep(away);
    for daemon in [&first, &second] {
        let healthy = http::get(daemon.port(), "/-/healthy").map(|answer| answer.status);
        assert_eq!(healthy.ok(), Some(200), "{}", daemon.log());
    }
    broker.start_again();
    send(&broker, 150, "b");
    slack.wait_for(2, TOLD_WITHIN);
    // Who led before may still think so, until it hears that its session is over.
    let counted = |daemon: &Daemon| {
        let metrics = daemon.try_metrics().ok()?;
        metrics.get("tautline_kpi_value", &[("node", "orders")])
    };
    let leader = wait::until_ok(
        "the one that leads has counted everything",
        TAKES_OVER_WITHIN,
        || {
            let all = [&first, &second];
            let leading: Vec<&Daemon> = all.into_iter().filter(|daemon| leads(daemon)).collect();
            match leading.as_slice() {
                [only] if counted(only) == Some(300.0) => Ok(*only),
                _ => Err(format!(
                    "{:?}\n{}\n{}",
                    all.map(counted),
                    first.log(),
                    second.log()
                )),
            }
        },
    );
    leader.wait_for_evaluations(5);
    let messages = slack.messages();
    assert_eq!((messages.len(), slack.ids().len()), (2, 2), "{messages:#?}");
    if stays {
        // It may have had to begin anew: a broker that starts does not know what it was asked before.
        assert_eq!((leads(&first), leads(&second)), (true, false), "{}", first.log());
        assert!(!second.log().contains("this process leads"), "{}", second.log());
    }
    first.stop();
    second.stop();
}

#[test]
fn a_broker_that_is_away_longer_than_a_session_costs_nothing() {
    with_a_broker_away(SESSION, Duration::from_secs(15), false);
}

#[test]
fn a_broker_that_is_away_for_less_than_a_session_changes_nobody() {
    with_a_broker_away("session.timeout.ms: 45000", Duration::from_secs(9), true);
}

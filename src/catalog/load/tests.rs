use jiff::SignedDuration;

use super::*;
use crate::catalog::model::*;
use crate::catalog::{Band, Severity};

const GOOD: &str = r#"
calendar: {timezone: Asia/Shanghai, workdays: [mon, tue, wed, thu, fri], holidays: holidays.csv}
sources:
  orders:
    topics: [erp.orders]
    format: cloudevents
    time: time
    lateness: 2h
    fields: {type: type, amount: data.amount, customer: data.customer.id, region: data.region, note: {path: data.note, type: text}}
metrics:
  revenue:       {title: 销售额, source: orders, type: simple, agg: sum, expr: amount, filter: type == "order.paid", unit: CNY, dimensions: [region]}
  orders_paid:   {source: orders, agg: count, filter: type == "order.paid"}
  average_order: {numerator: revenue, denominator: orders_paid}
  paid_share:    {source: orders, type: ratio, numerator: {agg: count, filter: type == "order.paid"}, denominator: {agg: count}}
  net:           {type: derived, expr: revenue - 2 * orders_paid}
nodes:
  visits:         {metric: orders_paid, role: kpi, parent: region-revenue, each: [region], period: month, target: 120, weight: 20, rules: {behind_pace: off, target_at_risk: {severity: critical}}}
  region-revenue: {metric: revenue, role: business, parent: revenue, relation: sum, each: [region], period: quarter, target: {file: region.csv}}
  revenue:        {metric: revenue, role: business, period: year, target: {growth: 30%, over: 2025}, owner: ceo}
rules:
  done-but-flat:
    on: link
    nodes: [visits]
    when: kpi.completion >= 0.9 && parent.pace < 0.5
    for: 2d
    title: "{{ kpi.title }} is done"
"#;

const CSVS: [(&str, &str); 2] = [
    (
        "holidays.csv",
        "date,kind,name\n2026-10-01,holiday,国庆节\n2026-10-10,workday,调休\n",
    ),
    (
        "region.csv",
        "\u{feff}start,region,target\n2026-10-01,华东,1_000\n",
    ),
];

fn load_text(yaml: &str) -> Result<Catalog, Diagnostics> {
    load(&Files::new("catalog", [("a.yaml", yaml), CSVS[0], CSVS[1]]))
}

#[test]
fn reads_a_whole_catalogue() {
    let catalog = load_text(GOOD).map_err(|d| d.to_string()).unwrap();
    let names: Vec<&str> = catalog.nodes.iter().map(|node| node.name.as_str()).collect();
    assert_eq!(
        names,
        ["revenue", "region-revenue", "visits"],
        "parents stand before their children"
    );
    let visits = &catalog.nodes[2];
    assert_eq!(
        visits.parent.as_ref().map(|p| (p.node, p.relation)),
        Some((NodeId(1), Relation::Influence))
    );
    assert_eq!(
        (visits.level, visits.profile, visits.title.as_str()),
        (Level::Tactic, Profile::Default, "orders_paid")
    );
    let kinds: Vec<FieldType> = catalog.sources[0].fields.iter().map(|field| field.kind).collect();
    assert_eq!(
        kinds,
        [
            FieldType::Text,
            FieldType::Number,
            FieldType::Any,
            FieldType::Any,
            FieldType::Text
        ]
    );
    assert_eq!(
        catalog.nodes[0].target,
        Target::Growth {
            growth: 0.3,
            over: GrowthBase::Year(2025)
        }
    );
    let Target::Table(rows) = &catalog.nodes[1].target else {
        panic!("a table")
    };
    assert_eq!(
        (rows[0].dimensions.as_slice(), rows[0].target),
        (["华东".to_owned()].as_slice(), 1000.0)
    );
    assert!(!catalog.calendar.is_workday("2026-10-01".parse().unwrap()));
    assert!(catalog.calendar.is_workday("2026-10-10".parse().unwrap()));
    let MetricKind::Ratio { denominator, .. } = catalog.metrics[3].kind else {
        panic!("a ratio")
    };
    assert_eq!(catalog.metric(denominator).name, "paid_share.denominator");
}

#[test]
fn a_node_overrides_a_built_in_rule_for_itself() {
    let catalog = load_text(GOOD).unwrap();
    let of = |name: &str, node: &str| {
        catalog
            .rules
            .iter()
            .filter(|rule| rule.name == name && rule.applies_to(node))
            .collect::<Vec<_>>()
    };
    assert_eq!(of("behind_pace", "visits").len(), 0);
    assert_eq!(of("behind_pace", "revenue").len(), 1);
    let [own] = of("target_at_risk", "visits")[..] else {
        panic!("one rule")
    };
    assert_eq!(own.levels[0].severity, Severity::CRITICAL);
    assert_eq!(
        of("target_at_risk", "revenue")[0].levels[0].severity,
        Severity::WARNING
    );
}

#[test]
fn says_what_is_wrong_where_and_what_to_write_instead() {
    for (find, replace, expected) in [
        (
            "agg: sum, expr: amount",
            "agg: sum, expr: amont",
            "catalog/a.yaml:11:77: there is no field in source 'orders' named 'amont'; did you mean 'amount'?",
        ),
        (
            "metric: orders_paid, role",
            "metric: orders_piad, role",
            "catalog/a.yaml:17:28: there is no metric 'orders_piad'; did you mean 'orders_paid'?",
        ),
        (
            "{source: orders, agg: count, filter: type == \"order.paid\"}",
            "{source: order, agg: count}",
            "catalog/a.yaml:12:27: there is no source 'order'; did you mean 'orders'?",
        ),
        (
            "filter: type == \"order.paid\", unit",
            "filter: amount == \"x\", unit",
            "catalog/a.yaml:11:100: 'amount' is a number and \"x\" is a text: they can never be equal or in order",
        ),
        (
            "numerator: revenue, denominator",
            "numerator: revenue, denominater",
            "catalog/a.yaml:13:39: unknown key 'denominater'; did you mean 'denominator'?",
        ),
        (
            "expr: revenue - 2 * orders_paid",
            "expr: revenue - net",
            "catalog/a.yaml:15:3: metric 'net' is made of itself; break the circle",
        ),
        (
            "parent: region-revenue, each",
            "each",
            "catalog/a.yaml:17:3: KPI 'visits' has no parent: which business metric does it serve? add 'parent: …' and 'relation: influence'",
        ),
        (
            "parent: region-revenue, each: [region]",
            "parent: region-revenue",
            "catalog/a.yaml:17:60: parent 'region-revenue' is split by 'region' and 'visits' is not; add it to 'each', or name another parent",
        ),
        (
            "period: year",
            "parent: visits, relation: sum, period: year",
            "catalog/a.yaml:17:3: the parents go in a circle: visits → region-revenue → revenue → visits; one of them must have another parent or none",
        ),
        (
            "period: quarter",
            "period: quarters",
            "catalog/a.yaml:18:109: found 'quarters', expected one of day, week, month, quarter, half, year, or {every: 10d, from: 2026-01-01}",
        ),
        (
            "timezone: Asia/Shanghai",
            "timezone: Asia/Shangai",
            "catalog/a.yaml:2:22: there is no time zone 'Asia/Shangai'; did you mean 'Asia/Shanghai'?",
        ),
        (
            "target: 120",
            "target: many",
            "catalog/a.yaml:17:115: found 'many', expected a number, {growth: 30%, over: last_year}, {band: [20, 30]} or {file: targets.csv}",
        ),
        (
            "target: 120",
            "target: {band: [30, 20]}",
            "catalog/a.yaml:17:115: a band is the least and the most that is good, such as band: [20, 30], and this is [30, 20]",
        ),
        (
            "target: 120",
            "target: {band: [20]}",
            "catalog/a.yaml:17:115: a band is the least and the most that is good, such as band: [20, 30], and this is [20]",
        ),
        (
            "target: 120",
            "direction: lower, target: {band: [20, 3_000]}",
            "catalog/a.yaml:17:133: the target of 'visits' is a band, of which neither more nor less is better; leave out 'direction: lower', or write one number",
        ),
        (
            "target: 120",
            "baseline: 3, target: {band: [20%, 30%]}",
            "catalog/a.yaml:17:128: the target of 'visits' is a band, of which neither more nor less is better; leave out 'baseline', or write one number",
        ),
        (
            "target: 120",
            "target: {band: [20, 30], growth: 3%}",
            "catalog/a.yaml:17:115: a target is a number, {growth: 30%, over: last_year}, {band: [20, 30]} or {file: targets.csv}",
        ),
        (
            "target: 120",
            "target: -5",
            "catalog/a.yaml:17:115: a target of -5 has no completion; write one above 0, or a baseline",
        ),
        (
            "parent.pace < 0.5",
            "parent.pase < 0.5",
            "catalog/a.yaml:24:36: 'parent.pase' is not known here; did you mean 'parent.pace'?",
        ),
        (
            "nodes: [visits]",
            "nodes: [visit]",
            "catalog/a.yaml:23:13: there is no node 'visit'; did you mean 'visits'?",
        ),
        (
            "{{ kpi.title }}",
            "{{ kpi.titel }}",
            "catalog/a.yaml:26:16: 'kpi.titel' is not known in a title; did you mean 'kpi.title'?",
        ),
        (
            "customer: data.customer.id",
            "customer: $envelope.op",
            "catalog/a.yaml:9:57: '$envelope.op' is a key of a Debezium envelope, and the format of source 'orders' is another; format: debezium has it",
        ),
        (
            "format: cloudevents",
            "format: debezum",
            "catalog/a.yaml:6:13: 'debezum' is not one of json, cloudevents, debezium, avro (did you mean 'debezium'?)",
        ),
        (
            "topics: [erp.orders]",
            "topics: []",
            "catalog/a.yaml:5:13: source 'orders' has no topic; write topics: [orders], or http: true for events that are sent over HTTP",
        ),
        (
            "    topics: [erp.orders]\n",
            "",
            "catalog/a.yaml:4:3: source 'orders' has no topic; write topics: [orders], or http: true for events that are sent over HTTP",
        ),
        (
            "customer: data.customer.id",
            "customer: $kye",
            "catalog/a.yaml:9:57: '$kye' is no part of a record; did you mean '$key'? (a key of the payload that begins with $ is written $$kye)",
        ),
        (
            "customer: data.customer.id",
            "customer: data..id",
            "catalog/a.yaml:9:57: 'data..id' is no path; write keys joined by dots, such as data.amount",
        ),
        (
            "file: region.csv",
            "file: regoin.csv",
            "catalog/a.yaml:18:133: there is no file 'regoin.csv' in the catalogue folder; did you mean 'region.csv'?",
        ),
        (
            "for: 2d",
            "for: 2 days",
            "catalog/a.yaml:25:10: found '2 days', expected a length of time such as 7d, 2h or 1h30m",
        ),
        (
            "  orders_paid:   {",
            "  revenue: {agg: sum}\n  orders_paid:   {",
            "catalog/a.yaml:12:3: 'revenue' is defined twice in this mapping, first at line 11; rename or remove one of them",
        ),
        (
            "relation: sum, each",
            "each",
            "catalog/a.yaml:18:61: how does 'region-revenue' serve 'revenue'? add relation: sum, product, ratio or influence",
        ),
        (
            "lateness: 2h",
            "id: id",
            "catalog/a.yaml:8:9: source 'orders' names an id and does nothing with it; add how long copies are looked for: dedup: 7d",
        ),
        (
            "lateness: 2h",
            "dedup: 7d",
            "catalog/a.yaml:8:12: source 'orders' says not by what copies are told; add the path of the events' id: id: id",
        ),
        (
            "    lateness: 2h",
            "    id: id\n    dedup: 0s",
            "catalog/a.yaml:9:12: no copy comes within no time; write a window such as 7d, or remove 'id' and 'dedup'",
        ),
        (
            "lateness: 2h",
            "dedup_max_keys: 1_000",
            "catalog/a.yaml:8:21: source 'orders' looks for no copies; add id: id and dedup: 7d, or remove 'dedup_max_keys'",
        ),
        (
            "lateness: 2h",
            "dedup_max_keys: 1.5",
            "catalog/a.yaml:8:21: found '1.5', expected a whole number such as 5_000_000",
        ),
        (
            "    lateness: 2h",
            "    retract: amount",
            "catalog/a.yaml:8:14: a condition is true or false; compare the field: amount == \"…\", or declare it as {path: …, type: bool}",
        ),
        (
            "    lateness: 2h",
            "    retract: note",
            "catalog/a.yaml:8:14: a condition is true or false, and this is a text",
        ),
        (
            "agg: sum, expr",
            "agg: p100, expr",
            "catalog/a.yaml:11:66: there is no aggregation 'p100'; a percentile is between p0.1 and p99.9, such as p95",
        ),
        (
            "agg: sum, expr",
            "agg: percentile, expr",
            "catalog/a.yaml:11:66: metric 'revenue' says not which percentile; write agg: p95, or add percentile: 0.95",
        ),
        (
            "agg: sum, expr",
            "agg: percentile, percentile: 95, expr",
            "catalog/a.yaml:11:90: '95' is no percentile; write a share between 0.001 and 0.999, such as 0.95",
        ),
        (
            "agg: sum, expr",
            "agg: sum, percentile: 0.5, expr",
            "catalog/a.yaml:11:83: metric 'revenue' is a sum and has no use for 'percentile'; write agg: percentile",
        ),
        (
            "agg: sum, expr",
            "agg: sum, within: 30d, expr",
            "catalog/a.yaml:11:79: metric 'revenue' is a sum and remembers no keys; write agg: count_new or count_returning, or remove 'within'",
        ),
        (
            "agg: sum, expr",
            "agg: sum, max_keys: 5, expr",
            "catalog/a.yaml:11:81: metric 'revenue' is a sum and remembers no keys; write agg: count_new or count_returning, or remove 'max_keys'",
        ),
        (
            "agg: sum, expr",
            "agg: sum, max_cells: 0, expr",
            "catalog/a.yaml:11:82: metric 'revenue' keeps no cells; write the number of combinations that it may have, at least 1",
        ),
        (
            "agg: sum, expr",
            "agg: count_new, within: 36h, expr",
            "catalog/a.yaml:11:85: 'within' is a number of whole days, at least one, such as 90d",
        ),
        (
            "agg: sum, expr",
            "agg: count_new, max_keys: 0, expr",
            "catalog/a.yaml:11:87: at least one key must be remembered; write a number such as 5_000_000",
        ),
        (
            "behind_pace: off",
            "behind_pase: off",
            "catalog/a.yaml:17:140: there is no rule 'behind_pase'; did you mean 'behind_pace'?",
        ),
    ] {
        assert!(GOOD.contains(find), "{find}");
        let found = load_text(&GOOD.replacen(find, replace, 1))
            .map(|_| ())
            .unwrap_err()
            .to_string();
        assert_eq!(found, expected);
    }
}

#[test]
fn a_ratio_has_a_numerator_and_a_denominator() {
    let with = |nodes: &str| {
        let yaml = format!(
            "sources:\n  s: {{topics: [t], format: json, fields: {{a: a, region: region}}}}\nmetrics:\n  m: {{source: s, agg: count, dimensions: [region]}}\nnodes:\n{nodes}"
        );
        load_text(&yaml).map_err(|problems| problems.to_string())
    };
    let node = |name: &str, more: &str| {
        format!("  {name}: {{metric: m, role: business, period: month, parent: r, relation: ratio{more}}}\n")
    };
    let whole = "  r: {metric: m, role: business, period: month}\n";
    let of = |parts: &[&str]| {
        let parts: String = parts.iter().map(|name| node(name, "")).collect();
        with(&format!("{whole}{parts}")).map(|_| ())
    };
    assert_eq!(of(&["above", "below"]), Ok(()));
    assert_eq!(
        of(&["above"]),
        Err("catalog/a.yaml:7:74: 'above' is the only part of the ratio 'r', and a ratio has two, the first divided by the second; give another node parent: r and relation: ratio, or write relation: influence".to_owned())
    );
    assert_eq!(
        of(&["above", "below", "beside", "beyond"]),
        Err("catalog/a.yaml:9:75: 'beside' is one part too many of the ratio 'r', which is 'above' divided by 'below'; write relation: influence, or another parent".to_owned())
    );
    // By region there would be many quotients, of which none is the whole; the other part alone is none either.
    let split = format!(
        "{whole}{}{}",
        node("above", ""),
        node("below", ", each: [region]")
    );
    assert_eq!(
        with(&split).map(|_| ()),
        Err("catalog/a.yaml:8:74: 'below' is a part of the ratio 'r' and is split by 'region', which 'r' is not: no quotient comes of it; remove 'region' from 'each', split 'r' by it as well, or write relation: influence".to_owned())
    );
    let both = "  r: {metric: m, role: business, period: month, each: [region]}\n";
    let split: String = ["above", "below"]
        .map(|name| node(name, ", each: [region]"))
        .concat();
    assert!(with(&format!("{both}{split}")).is_ok());
    // A mistake elsewhere is told alone: parts of a node that was refused are not counted.
    let told = with(&format!(
        "{whole}{}{}",
        node("above", ""),
        node("below", "").replace("metric: m", "metric: n")
    ));
    assert_eq!(
        told.map(|_| ()),
        Err("catalog/a.yaml:8:19: there is no metric 'n'; did you mean 'm'?".to_owned())
    );
}

#[test]
fn parts_stay_in_the_order_of_the_file_whatever_stands_between_them() {
    let node =
        |name: &str, more: &str| format!("  {name}: {{metric: m, role: business, period: month{more}}}\n");
    let nodes = [
        // What `below` is made of stands first, and so would it if parents only were looked at.
        node("detail", ", parent: below, relation: sum"),
        node("above", ", parent: r, relation: ratio"),
        node("below", ", parent: r, relation: ratio"),
        node("r", ""),
    ];
    let yaml = format!(
        "sources:\n  s: {{topics: [t], format: json, fields: {{}}}}\nmetrics:\n  m: {{source: s, agg: count}}\nnodes:\n{}",
        nodes.concat()
    );
    let catalog = load_text(&yaml).map_err(|problems| problems.to_string()).unwrap();
    let names: Vec<&str> = catalog.nodes.iter().map(|node| node.name.as_str()).collect();
    assert_eq!(names, ["r", "above", "below", "detail"]);
    let parts: Vec<&str> = catalog
        .children(NodeId(0))
        .map(|id| catalog.node(id).name.as_str())
        .collect();
    assert_eq!(parts, ["above", "below"]);
}

#[test]
fn a_plan_file_says_what_its_days_weigh() {
    let with = |plan: &str| {
        let yaml = GOOD.replace("period: year,", "period: year, profile: {file: plan.csv},");
        let files = [("a.yaml", yaml.as_str()), CSVS[0], CSVS[1], ("plan.csv", plan)];
        let catalog = load(&Files::new("catalog", files)).map_err(|problems| problems.to_string())?;
        Ok::<_, String>(catalog.nodes[0].plan.clone().into_iter().collect::<Vec<_>>())
    };
    let day = |text: &str| text.parse::<jiff::civil::Date>().unwrap();
    assert_eq!(
        with("\u{feff}weight,note,date\n0.5,a,2026-01-02\n\n0,b,2026-01-01\n"),
        Ok(vec![(day("2026-01-01"), 0.0), (day("2026-01-02"), 0.5)])
    );
    for (plan, expected) in [
        (
            "date,share\n",
            "1:1: the column 'weight' is missing; the first line must name date,weight",
        ),
        (
            "date,weight\n\n2026-02-30,1\n",
            "3:1: '2026-02-30' is no date; write it as 2026-10-01",
        ),
        (
            "\u{feff}date,note,weight\r\n\r\n2026-02-01,\"two\r\n\r\nlines\",1\r\n\r\n2026-02-02,,x\r\n",
            "7:1: 'x' is no weight; write 0 or a number above it",
        ),
        (
            "date,weight\n\n2026-02-01,1\n\n2026-02-02,1,2\n",
            "5:1: this line has 3 cells, and the first one has 2; quote a cell that holds a comma",
        ),
        (
            "date,weight\n2026-02-01,-1\n",
            "2:1: '-1' is no weight; write 0 or a number above it",
        ),
        (
            "date,weight\n2026-02-01,inf\n",
            "2:1: 'inf' is no weight; write 0 or a number above it",
        ),
        (
            "date,weight\n2026-02-01,1\n2026-02-01,2\n",
            "3:1: '2026-02-01' stands here twice; keep the weight that the day has",
        ),
        (
            "date,weight\n",
            "1:1: no day of this plan has a weight above 0; write what each day counts for, such as 2026-10-01,1",
        ),
        (
            "date,weight\n2026-02-01,0\n2026-02-02,0\n",
            "1:1: no day of this plan has a weight above 0; write what each day counts for, such as 2026-10-01,1",
        ),
    ] {
        assert_eq!(with(plan), Err(format!("catalog/plan.csv:{expected}")), "{plan}");
    }
}

#[test]
fn a_key_is_new_once_a_period() {
    let with = |within: &str| {
        let yaml = format!(
            "sources:\n  o: {{topics: [t], format: json, fields: {{c: c}}}}\nmetrics:\n  new: {{source: o, agg: count_new, expr: c, within: {within}}}\n  share: {{source: o, numerator: {{agg: count_returning, expr: c, within: {within}}}, denominator: {{agg: count_distinct, expr: c}}}}\nnodes:\n  month: {{metric: new, role: business, period: month}}\n  year: {{metric: share, role: kpi, parent: month, relation: influence, period: year}}\n"
        );
        load_text(&yaml)
            .map(|_| ())
            .map_err(|problems| problems.to_string())
    };
    assert_eq!(with("366d"), Ok(()));
    assert_eq!(
        with("92d"),
        Err("catalog/a.yaml:5:73: within a period of node 'year' (year, up to 366d) a key could be new twice; write within: 366d or more, or remove 'within'".to_owned())
    );
    assert_eq!(with("30d").unwrap_err().lines().count(), 2);
}

#[test]
fn a_duration_says_what_begins_and_ends_an_item() {
    const METRIC: &str = "{source: s, type: duration, key: id, start: state == \"a\", end: state == \"b\", agg: p90, unit: days}";
    let with = |find: &str, replace: &str, node: &str| {
        assert!(METRIC.contains(find), "{find}");
        let metric = METRIC.replacen(find, replace, 1);
        let yaml = format!(
            "sources:\n  s: {{topics: [t], format: json, fields: {{id: id, state: state}}}}\nmetrics:\n  m: {metric}\n  n: {{source: s, agg: count}}\nnodes:\n  x: {{{node}, role: business, period: month}}\n"
        );
        load_text(&yaml)
            .map(|_| ())
            .map_err(|problems| problems.to_string())
    };
    let node = "metric: m, overdue_after: 30d";
    assert_eq!(with("p90", "median", node), Ok(()));
    assert_eq!(with("type: duration, ", "", node), Ok(()));
    let mut wrong = Vec::new();
    for (find, replace, node, expected) in [
        (
            "key: id, ",
            "",
            node,
            "4:3: metric 'm' is a duration and needs 'key' (the field that names an item), 'start' and 'end' (which events begin and end it)",
        ),
        (
            "p90",
            "sum",
            node,
            "4:88: metric 'm' is a duration and needs one of avg, median, p90, min and max; for the number of items write agg: count over their ends",
        ),
        (
            ", unit: days",
            ", unit: CNY",
            node,
            "4:3: metric 'm' is a duration, and its unit is 'CNY'; write unit: days, hours, minutes or seconds",
        ),
        (
            ", unit: days",
            "",
            node,
            "4:3: metric 'm' is a duration, and its unit is not said; write unit: days, hours, minutes or seconds",
        ),
        (
            "key: id",
            "key: ids",
            node,
            "4:39: there is no field in source 's' named 'ids'; did you mean 'id'?",
        ),
        (
            "agg: p90",
            "max_items: 0, agg: p90",
            node,
            "4:94: at least one item must be remembered; write a number such as 1_000_000",
        ),
        (
            "duration",
            "simple",
            node,
            "4:37: metric 'm' is no duration; write type: duration, or remove 'key'",
        ),
        (
            "agg: p90",
            "within: 3d, agg: p90",
            node,
            "4:91: metric 'm' remembers no keys of its own; 'within' belongs to agg: count_new or count_returning",
        ),
        (
            "p90",
            "p90",
            "metric: n, overdue_after: 30d",
            "7:33: metric 'n' has no items that could be overdue; 'overdue_after' goes with a metric of type: duration",
        ),
        (
            "p90",
            "p90",
            "metric: m, overdue_after: 0",
            "7:33: every item would be overdue from its start; write an age such as 30d",
        ),
    ] {
        let found = with(find, replace, node).unwrap_err();
        wrong.extend((found != format!("catalog/a.yaml:{expected}")).then_some(found));
    }
    assert_eq!(wrong, Vec::<String>::new());
}

#[test]
fn a_delay_for_new_values_needs_values_that_appear() {
    let problems = |node: &str, rule: &str| {
        let yaml = format!(
            "sources:\n  s: {{topics: [t], format: json, fields: {{region: region}}}}\nmetrics:\n  m: {{source: s, agg: count, dimensions: [region]}}\nnodes:\n  x: {{metric: m, {node}role: business, period: month}}\nrules:\n  r: {{{rule}}}\n"
        );
        let loaded = load_text(&yaml).map_err(|problems| problems.to_string());
        loaded.map(|catalog| {
            let rule = catalog.rules.iter().find(|rule| rule.name == "r");
            (
                catalog.nodes[0].new_group_delay,
                rule.and_then(|rule| rule.new_group_delay),
            )
        })
    };
    let on_node = "on: node, when: node.value < 1.0, new_group_delay: 1h";
    assert_eq!(
        problems("each: [region], new_group_delay: 7d, ", on_node),
        Ok((
            jiff::SignedDuration::from_hours(168),
            Some(jiff::SignedDuration::from_hours(1))
        ))
    );
    assert_eq!(
        problems("new_group_delay: 7d, ", on_node).unwrap_err(),
        "catalog/a.yaml:6:35: new_group_delay is for values of 'each' that appear, and this node has no 'each'; leave it out"
    );
    assert_eq!(
        problems("", "on: source, when: source.rejected > 1.0, new_group_delay: 1h").unwrap_err(),
        "catalog/a.yaml:8:65: new_group_delay is for values of a node's 'each' that appear, and this rule judges no single node; leave it out"
    );
}

#[test]
fn a_title_may_be_said_in_two_languages() {
    let both = GOOD.replace(
        "title: \"{{ kpi.title }} is done\"",
        "title: {en: done, zh: \"{{ kpi.title }} 完成\"}",
    );
    let catalog = load_text(&both).unwrap();
    let rule = catalog
        .rules
        .iter()
        .find(|rule| rule.name == "done-but-flat")
        .unwrap();
    assert_eq!(rule.title_zh.as_ref().map(|title| title.0.len()), Some(2));
    let one = GOOD.replace("title: \"{{ kpi.title }} is done\"", "title: {en: done}");
    let found = load_text(&one).map(|_| ()).unwrap_err().to_string();
    assert_eq!(found, "catalog/a.yaml:26:12: the key 'zh' is missing here");
}

#[test]
fn a_rule_has_no_name_of_tautlines_own_alerts() {
    for own in [
        crate::alert::RULE_ERROR,
        crate::alert::TOO_MANY_ALERTS,
        crate::alert::delivery::DELIVERY_FAILED,
    ] {
        let named = GOOD.replace("done-but-flat", own);
        let found = load_text(&named).map(|_| ()).unwrap_err().to_string();
        let expected = format!("'{own}' is the name of an alert of tautline's own; choose another name");
        assert!(found.contains(&expected), "{found}");
    }
}

#[test]
fn what_cannot_be_taken_back_is_refused_over_a_source_that_retracts() {
    let retracts = GOOD.replace("lateness: 2h", "retract: type == \"order.cancelled\"");
    let catalog = load_text(&retracts).map_err(|d| d.to_string()).unwrap();
    assert_eq!(
        catalog.sources[0].retract.as_ref().unwrap().place.to_string(),
        "catalog/a.yaml:8:14"
    );
    for agg in ["min", "max", "last", "count_distinct", "p90"] {
        let found = load_text(&retracts.replacen("agg: sum, expr", &format!("agg: {agg}, expr"), 1))
            .map(|_| ())
            .unwrap_err()
            .to_string();
        assert_eq!(
            found,
            format!(
                "catalog/a.yaml:11:66: metric 'revenue' cannot take events back: nothing can be subtracted from a {agg}, and source 'orders' retracts at catalog/a.yaml:8:14; use sum, count or avg"
            )
        );
    }
}

#[test]
fn a_name_in_two_files_shows_both_places() {
    let metrics = "metrics:\n  revenue: {source: orders, agg: count}\n";
    let files = Files::new(
        "catalog",
        [("a.yaml", GOOD), ("b.yaml", metrics), CSVS[0], CSVS[1]],
    );
    assert_eq!(
        load(&files).map(|_| ()).unwrap_err().to_string(),
        "catalog/b.yaml:2:3: metric 'revenue' is defined twice, first at catalog/a.yaml:11:3; rename or remove one of them"
    );
}

#[test]
fn events_that_are_sent_over_http_need_no_topic() {
    for (find, replace) in [
        ("topics: [erp.orders]", "http: true"),
        ("topics: [erp.orders]", "topics: []\n    http: true"),
    ] {
        let catalog = load_text(&GOOD.replace(find, replace))
            .map_err(|d| d.to_string())
            .unwrap();
        assert!(catalog.sources[0].http && catalog.sources[0].topics.is_empty());
    }
    assert!(!load_text(GOOD).unwrap().sources[0].http);
}

#[test]
fn what_cannot_be_taken_back_is_refused_where_rows_change() {
    let changing = GOOD.replace("format: cloudevents", "format: debezium");
    assert!(load_text(&changing).is_ok());
    for agg in ["min", "max", "count_distinct", "p90"] {
        let yaml = changing.replace("agg: sum, expr: amount", &format!("agg: {agg}, expr: amount"));
        assert_eq!(
            load_text(&yaml).map(|_| ()).unwrap_err().to_string(),
            "catalog/a.yaml:11:66: rows of source 'orders' change, and this aggregation cannot take back what a row was; sum, count and avg can, and last takes the newest"
        );
    }
    assert!(load_text(&changing.replace("agg: sum, expr: amount", "agg: last, expr: amount")).is_ok());
}

#[test]
fn changes_of_rows_are_not_told_apart_by_an_id() {
    let changing = GOOD.replace("format: cloudevents", "format: debezium");
    let with_id = changing.replace("lateness: 2h", "id: id\n    dedup: 7d");
    assert_eq!(
        load_text(&with_id).map(|_| ()).unwrap_err().to_string(),
        "catalog/a.yaml:8:9: a row keeps its id when it changes, and rows of a snapshot share their place in the log: nothing tells copies; remove 'id' and 'dedup'"
    );
}

#[test]
fn a_field_has_one_type() {
    let yaml = GOOD.replace(
        "orders_paid:   {source: orders, agg: count, filter: type == \"order.paid\"}",
        "orders_paid: {source: orders, agg: max, expr: type}",
    );
    assert_eq!(
        load_text(&yaml).map(|_| ()).unwrap_err().to_string(),
        "catalog/a.yaml:12:49: 'type' is used as a number here, and metric 'revenue' says that it is a text"
    );
}

#[test]
fn mistakes_in_csv_files_have_their_line() {
    let files = Files::new(
        "catalog",
        [
            ("a.yaml", GOOD),
            CSVS[0],
            ("region.csv", "start,region,target\n2026-10-01,华东,lots\n"),
        ],
    );
    assert_eq!(
        load(&files).map(|_| ()).unwrap_err().to_string(),
        "catalog/region.csv:2:1: 'lots' is no number"
    );
}

#[test]
fn a_target_file_may_hold_bands() {
    let with = |targets: &str| {
        let files = Files::new("catalog", [("a.yaml", GOOD), CSVS[0], ("region.csv", targets)]);
        load(&files).map_err(|problems| problems.to_string())
    };
    let catalog = with("start,region,low,high,announced\n2026-10-01,华东,1_000,3_000,2026-09-01\n").unwrap();
    let node = catalog
        .nodes
        .iter()
        .find(|node| node.name == "region-revenue")
        .unwrap();
    let Target::Table(rows) = &node.target else {
        panic!("{:?}", node.target)
    };
    assert_eq!(
        (rows[0].target, rows[0].band),
        (2000.0, Band::new(1000.0, 3000.0))
    );
    assert!(node.has_band() && rows[0].announced.is_some());
    let refused = |targets: &str| with(targets).map(|_| ()).unwrap_err();
    assert_eq!(
        refused("start,region,low,high\n2026-10-01,华东,3000,1000\n"),
        "catalog/region.csv:2:1: the band from 3000 to 1000 holds nothing; write the least that is good under 'low', and a larger number under 'high'"
    );
    assert_eq!(
        refused("start,region,low\n2026-10-01,华东,3000\n"),
        "catalog/region.csv:1:1: the column 'high' is missing; the first line must name start,region,low,high"
    );
    assert!(
        refused("start,region,low,high,target\n2026-10-01,华东,1,2,3\n")
            .contains("'region.csv' has the column 'target' beside 'low' or 'high'; keep 'target', or both of the others for a band"),
    );
}

#[test]
fn what_a_gap_is_split_by_is_a_dimension_that_adds_up_and_no_split_of_the_node() {
    const YAML: &str =
        "sources: {s: {topics: [t], format: json, fields: {v: v, shop: shop, channel: channel}}}
metrics:
  sales: {source: s, agg: sum, expr: v}
  buyers: {source: s, agg: count_distinct, expr: v}
nodes:
  all: {metric: sales, role: business, period: month, each: [shop], drill: [channel]}
";
    let catalog = load_text(YAML).map_err(|problems| problems.to_string()).unwrap();
    assert_eq!(catalog.nodes[0].drill, ["channel"]);
    let refused = |from: &str, to: &str| {
        let found = load_text(&YAML.replace(from, to)).map(|_| ());
        found.unwrap_err().to_string()
    };
    assert_eq!(
        refused("drill: [channel]", "drill: [shop]"),
        "catalog/a.yaml:6:77: the node is split by 'shop' already: 'each' has it; leave it out of 'drill'"
    );
    assert_eq!(
        refused("drill: [channel]", "drill: [channel, channel]"),
        "catalog/a.yaml:6:86: 'channel' stands here twice"
    );
    assert!(refused("drill: [channel]", "drill: [chanel]").contains("did you mean 'channel'?"));
    assert_eq!(
        refused("metric: sales", "metric: buyers"),
        "catalog/a.yaml:6:78: metric 'buyers' does not add up over the values of a dimension, so no gap of it comes from them; leave out 'drill'"
    );
}

#[test]
fn an_empty_folder_says_what_belongs_there() {
    let found = load(&Files::new("catalog", [("a.yaml", "# nothing yet\n")]))
        .map(|_| ())
        .unwrap_err()
        .to_string();
    assert_eq!(
        found,
        "catalog:1:1: the catalogue is empty: it needs 'sources', 'metrics' and 'nodes' in a *.yaml file"
    );
}

#[test]
fn avro_comes_by_kafka_one_event_a_record() {
    let wrong = |source: &str| {
        let yaml = format!("sources:\n  s: {{format: avro, {source}fields: {{}}}}\n");
        load_text(&yaml).map(|_| ()).map_err(|d| d.to_string())
    };
    assert_eq!(wrong("topics: [t], "), Ok(()));
    assert_eq!(
        wrong("topics: [t], http: true, "),
        Err("catalog/a.yaml:2:3: source 's' is Avro, and events that are sent over HTTP are JSON; give them a source of their own: format: json, http: true".to_owned())
    );
    assert_eq!(
        wrong("topics: [t], payload: lines, "),
        Err(
            "catalog/a.yaml:2:3: a record of source 's' is one event, as Avro is written; remove 'payload'"
                .to_owned()
        )
    );
}

#[test]
fn a_conversion_says_whose_steps_of_which_metrics() {
    const METRIC: &str = "{type: conversion, entity: who, base_metric: v, conversion_metric: o, window: 7d}";
    let with = |find: &str, replace: &str| {
        assert!(METRIC.contains(find), "{find}");
        let metric = METRIC.replacen(find, replace, 1);
        let yaml = format!(
            "sources:\n  a: {{topics: [t], format: json, fields: {{who: id, x: x}}}}\n  b: {{topics: [u], format: json, fields: {{who: buyer, y: y}}}}\nmetrics:\n  c: {metric}\n  v: {{source: a, agg: count}}\n  o: {{source: b, agg: count, filter: y == \"paid\"}}\n  r: {{numerator: v, denominator: o}}\nnodes:\n  c: {{metric: c, role: business, each: [x], period: month}}\n"
        );
        load_text(&yaml)
            .map(|_| ())
            .map_err(|problems| problems.to_string())
    };
    assert_eq!(with("7d", "36h"), Ok(()));
    let mut wrong = Vec::new();
    for (find, replace, expected) in [
        (
            ", window: 7d",
            "",
            "5:3: metric 'c' is a conversion and needs 'entity' (the field that names who takes the steps), 'base_metric', 'conversion_metric' (whose events are the steps) and 'window' (within which the next one is taken, such as 7d)",
        ),
        (
            "7d",
            "0s",
            "nobody takes a step within no time; write a window such as 7d",
        ),
        (
            "entity: who",
            "entity: whom",
            "there is no field in source 'a' named 'whom'; did you mean 'who'?",
        ),
        (
            "entity: who",
            "entity: x",
            "there is no field in source 'b' named 'x'",
        ),
        ("base_metric: v", "base_metric: w", "there is no metric 'w'"),
        (
            "base_metric: v",
            "base_metric: r",
            "the steps of a conversion are events, and metric 'r' has none of its own; name a simple metric, such as one with agg: count",
        ),
        (
            "window",
            "source: a, window",
            "metric 'c' is a conversion: its steps are the events of 'base_metric' and 'conversion_metric'; remove 'source'",
        ),
        (
            "type: conversion, ",
            "source: a, agg: count, ",
            "metric 'c' is no conversion; write type: conversion, or remove 'entity'",
        ),
    ] {
        let found = with(find, replace).unwrap_err();
        if !found.contains(expected) {
            wrong.push(format!("{find} -> {replace}: {found}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn what_is_read_again_must_be_in_kafka() {
    let refused = |backfilled: &str, http: &str| {
        let yaml = format!(
            "sources:\n  s: {{{http}format: json, time: t, fields: {{a: a}}}}\nmetrics:\n  m: {{source: s, agg: sum, expr: a}}\n  typed: {{type: manual, entered_by: [me]}}\n  b: {{{backfilled}}}\nnodes:\n  b: {{metric: b, role: business, period: month}}\n"
        );
        load(&Files::new("", [("a.yaml", yaml.as_str())]))
            .map_or_else(|error| error.to_string(), |_| String::new())
    };
    let topic = "topics: [t], ";
    assert_eq!(refused("source: s, agg: count, backfill: P90D", topic), "");
    assert_eq!(refused("source: s, agg: count, backfill: 90d", topic), "");
    for (metric, source, expected) in [
        (
            "source: s, agg: count, backfill: P90D",
            "http: true, ",
            "a.yaml:6:40: metric 'b' comes of source 's', whose events are sent over HTTP and not kept: there is no history to read again; remove 'backfill', or let the events go through a Kafka topic",
        ),
        (
            "numerator: m, denominator: m, backfill: 30d",
            "topics: [t], http: true, ",
            "a.yaml:6:47: metric 'b' comes of source 's', which also takes events over HTTP: those are not kept, and what was read again would lack them; remove 'backfill', or declare a source of its own for what is sent over HTTP",
        ),
        (
            "expr: m / typed, backfill: P1W",
            topic,
            "is made of what people type in, all of which is kept",
        ),
        (
            "source: s, agg: count, backfill: 0",
            topic,
            "metric 'b' reads nothing again; write how far back, such as P90D, or remove 'backfill'",
        ),
        (
            "source: s, agg: count, backfill: P1Y",
            topic,
            "found 'P1Y', expected a length of time",
        ),
    ] {
        let said = refused(metric, source);
        assert!(said.contains(expected), "{said}");
    }
}

#[test]
fn a_metric_names_another_calendar() {
    let retail =
        "calendars: {retail: {fiscal_year_starts: 02-01, week_starts: sunday, workdays: [mon, sat]}}\n";
    let named = GOOD.replace(
        "agg: count, filter: type == \"order.paid\"}\n  average",
        "agg: count, filter: type == \"order.paid\", calendar: retail}\n  average",
    );
    let catalog = load_text(&format!("{retail}{named}")).unwrap();
    let node = |name: &str| catalog.nodes.iter().find(|node| node.name == name).unwrap();
    let (visits, revenue) = (
        catalog.calendar_of(node("visits")),
        catalog.calendar_of(node("revenue")),
    );
    assert_eq!(
        (visits.fiscal_year_starts, revenue.fiscal_year_starts),
        ((2, 1), (1, 1))
    );
    // Days are cut in one zone; holidays are not inherited.
    assert_eq!(visits.timezone, revenue.timezone);
    let golden_week = "2026-10-05".parse().unwrap();
    assert!(visits.is_workday(golden_week));
    assert!(!visits.is_workday("2026-10-06".parse().unwrap()));

    for (yaml, expected) in [
        (
            named.clone(),
            "there is no calendar in 'calendars' named 'retail'; none is declared",
        ),
        (
            format!("{}{named}", retail.replace("retail:", "retial:")),
            "there is no calendar in 'calendars' named 'retail'; did you mean 'retial'?",
        ),
        (
            format!("{}{named}", retail.replace("week_starts: sunday", "timezone: Asia/Tokyo")),
            "calendar 'retail' has no zone of its own: all days are cut in that of 'calendar:'; remove 'timezone'",
        ),
        (
            format!("{retail}{}", GOOD.replace("unit: CNY, dimensions: [region]}", "unit: CNY, dimensions: [region], calendar: retail}\n  same: {source: orders, agg: sum, expr: amount}").replace("region-revenue: {metric: revenue", "region-revenue: {metric: same")),
            "'region-revenue' is a part of 'revenue', and their metrics are counted by two calendars; give both the same 'calendar', or write relation: influence",
        ),
    ] {
        let refused = load_text(&yaml).unwrap_err().to_string();
        assert!(refused.contains(expected), "{refused}");
    }
}

#[test]
fn a_rule_cannot_be_over_while_it_is_breached() {
    let with = |rule: &str| load_text(&format!("{GOOD}  own: {{on: node, {rule}}}\n"));
    let refused = |rule: &str| with(rule).map(|_| ()).unwrap_err().to_string();
    assert_eq!(
        refused("when: node.pace < 0.9, clear: node.pace >= 0.85"),
        "catalog/a.yaml:27:49: rule 'own' would be breached and over at once, such as at 0.875; 'clear' holds only where 'when' does not"
    );
    assert!(refused("when: node.value > 10.0, clear: node.value <= 10.5").contains("such as at 10.25"));
    assert!(refused("when: node.value < -2.0, clear: node.value < 0.0").contains("at once"));
    assert!(refused("when: node.value < 1.0, clear: node.value > 0.0").contains("such as at 0.5"));
    for fine in [
        "when: node.pace < 0.9, clear: node.pace >= 0.9",
        "when: node.pace <= 0.9, clear: node.pace > 0.9",
        "when: node.value > -2.0, clear: node.value <= -2.5",
        // A count is 0, or 1 and more.
        "when: node.silent_days > 0.0, clear: node.silent_days < 1.0",
        // Of two numbers nobody knows which come together.
        "when: node.pace < 0.9, clear: node.pace >= 0.85 && node.value > 3.0",
        "levels: [{severity: info, when: node.pace < 0.9}, {severity: critical, when: node.pace < 0.5}], clear: node.pace >= 0.9",
    ] {
        assert!(with(fine).is_ok(), "{fine}");
    }
    // What a node says of a built-in rule takes away a meaning of `clear` that it contradicts.
    let strict = GOOD.replace(
        "target_at_risk: {severity: critical}",
        "target_at_risk: {when: node.target_probability < 0.5}",
    );
    let catalog = load_text(&strict).map_err(|d| d.to_string()).unwrap();
    let of_visits = |rule: &&Rule| rule.name == "target_at_risk" && rule.applies_to("visits");
    assert!(catalog.rules.iter().find(of_visits).unwrap().clear.is_none());
}

#[test]
fn when_a_source_is_silent_for_too_long_is_said_without_contradiction() {
    let with =
        |says: &str| load_text(&GOOD.replace("    lateness: 2h\n", &format!("    lateness: 2h\n{says}")));
    let refused = |says: &str| with(says).map(|_| ()).unwrap_err().to_string();
    assert_eq!(
        refused("    expected_interval: 2h\n    stale_after: 1h\n"),
        "catalog/a.yaml:10:18: source 'orders' would be stale before anything is expected of it; 'stale_after' is at least as long as 'expected_interval'"
    );
    assert_eq!(
        refused("    expected_interval: never\n    stale_after: 1h\n"),
        "catalog/a.yaml:10:18: source 'orders' is never expected to bring anything, so it is never stale; remove 'stale_after', or 'expected_interval: never'"
    );
    assert_eq!(
        refused("    expected_interval: 0s\n"),
        "catalog/a.yaml:9:24: source 'orders' expects something every 0 seconds; write how often it brings something, such as 10m, or never, where its silence says nothing"
    );
    assert!(refused("    stale_after: 0s\n").contains("would always be stale"));
    assert!(
        refused("    expected_interval: often\n")
            .contains("a length of time such as 10m, or learned, or never")
    );
    assert!(
        refused("    heartbeat: [erp.orders]\n")
            .contains("topic 'erp.orders' holds the events of source 'orders'")
    );
    let fine = "    expected_interval: 10m\n    heartbeat: [beats]\n    idle_timeout: 1m\n    owner: data\n";
    let catalog = with(fine).map_err(|d| d.to_string()).unwrap();
    let source = &catalog.sources[0];
    assert_eq!(
        source.expected_interval,
        Expected::Every(SignedDuration::from_mins(10))
    );
    assert_eq!(source.stale_after(), Some(SignedDuration::from_mins(30)));
    assert_eq!(source.idle_timeout, SignedDuration::from_mins(1));
    assert_eq!(
        (source.heartbeats.as_slice(), source.owner.as_deref()),
        (["beats".to_owned()].as_slice(), Some("data"))
    );
}

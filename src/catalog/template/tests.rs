//! Templates of a catalogue's own: what they make, and what is said when they or their uses are wrong.

use crate::catalog::load::{Files, load};
use crate::catalog::{Catalog, Target};

const SOURCES: &str = "sources:
  orders: {topics: [o], format: json, fields: {amount: amount, state: state, region: region, store: store}}
  doors:  {topics: [d], format: json, fields: {people: people, region: region, store: store}}
";

const TEMPLATE: &str = r#"templates:
  sum:
    title: a total, by dimensions
    parameters:
      from:   {type: source}
      what:   {type: field, of: from, default: amount}
      which:  {type: condition, of: from, default: null}
      by:     {type: fields, of: from, default: []}
      many:   {type: number, default: null}
      each_of: {type: number, default: 2}
      goal:   {type: target, default: null}
      owner:  {type: text, default: null}
      parent: {type: node, default: null}
      label:  {type: text, default: ""}
    metrics:
      "{{ use }}_total": {title: {en: "{{ label }} total", zh: "{{ label }}总额"}, source: "{{ from }}", agg: sum, expr: "{{ what }}", filter: "{{ which }}", dimensions: "{{ by }}"}
    nodes:
      "{{ use }}": {metric: "{{ use }}_total", role: business, period: month, target: "{{ many * each_of }}", owner: "{{ owner }}", parent: "{{ parent }}", relation: influence}
      "{{ use }}{{ here }}": {for_each: by, metric: "{{ use }}_total", role: business, parent: "{{ use }}{{ above }}", relation: sum, each: "{{ dimensions }}", period: month, target: "{{ goal }}"}
    rules:
      "{{ use }}-far": {on: node, nodes: ["{{ use }}"], when: node.pace < 0.5, title: "{{ node.title }} is far from what {{ use }} should be"}
"#;

fn loaded(uses: &str) -> Result<Catalog, String> {
    let files = Files::new(
        "c",
        [
            ("sources.yaml", SOURCES),
            ("templates.yaml", TEMPLATE),
            ("uses.yaml", uses),
        ],
    );
    load(&files).map_err(|diagnostics| diagnostics.to_string())
}

fn said(uses: &str) -> String {
    loaded(uses).map(|_| String::new()).unwrap_err()
}

#[test]
fn a_use_becomes_metrics_nodes_and_rules() {
    let catalog = loaded(
        "use:\n  a: {template: sum, with: {from: orders, which: state == 'paid', by: [region, store], many: 1_200, goal: {growth: 10%, over: last_year}, owner: ceo, label: All}}\n  b: {template: sum, with: {from: doors, what: people, parent: a, language: zh}}\n",
    )
    .unwrap();
    let nodes: Vec<(&str, &str, Vec<&str>)> = catalog
        .nodes
        .iter()
        .map(|node| {
            let parent = node
                .parent
                .as_ref()
                .map_or("", |parent| catalog.node(parent.node).name.as_str());
            (
                node.name.as_str(),
                parent,
                node.each.iter().map(String::as_str).collect(),
            )
        })
        .collect();
    assert_eq!(
        nodes,
        [
            ("a", "", vec![]),
            ("a-region", "a", vec!["region"]),
            ("a-region-store", "a-region", vec!["region", "store"]),
            ("b", "a", vec![]),
        ]
    );
    assert_eq!(catalog.nodes[0].target, Target::Number(2400.0));
    assert!(matches!(catalog.nodes[2].target, Target::Growth { .. }));
    assert_eq!(
        (catalog.nodes[3].target.clone(), catalog.nodes[3].owner.as_deref()),
        (Target::None, None)
    );
    let titles: Vec<&str> = catalog
        .metrics
        .iter()
        .map(|metric| metric.title.as_str())
        .collect();
    assert_eq!(titles, ["All total", "总额"]);
    assert!(catalog.rules.iter().any(|rule| rule.name == "a-far"));
    assert_eq!(
        catalog.nodes[1].place.to_string(),
        "c/uses.yaml:2:3",
        "people change the use"
    );
}

#[test]
fn what_a_use_gives_is_checked_where_it_stands() {
    let with = |with: &str| said(&format!("use:\n  a: {{template: sum, with: {{{with}}}}}\n"));
    for (given, expected) in [
        (
            "from: order",
            "c/uses.yaml:2:35: 'from': there is no source 'order'; did you mean 'orders'?",
        ),
        (
            "from: orders, what: amont",
            "c/uses.yaml:2:49: 'what': there is no field in source 'orders' named 'amont'; did you mean 'amount'?",
        ),
        (
            "from: doors",
            "c/uses.yaml:2:17: 'what' by default: there is no field in source 'doors' named 'amount'; known are people, region, store",
        ),
        (
            "from: orders, which: stat == 'x'",
            "c/uses.yaml:2:50: 'which': 'stat' is not known here; did you mean 'state'? (of source 'orders')",
        ),
        (
            "from: orders, by: region",
            "c/uses.yaml:2:47: 'by': found 'region', expected a list of fields such as [region, store]",
        ),
        (
            "from: orders, by: [regoin]",
            "c/uses.yaml:2:47: 'by': there is no field in source 'orders' named 'regoin'; did you mean 'region'?",
        ),
        (
            "from: orders, many: lots",
            "c/uses.yaml:2:49: 'many': found 'lots', expected a number such as 1_200",
        ),
        (
            "from: orders, goal: {growth: 1}",
            "c/uses.yaml:2:49: 'goal': growth over what?",
        ),
        (
            "from: orders, mayn: 3",
            "c/uses.yaml:2:43: there is no parameter of template 'sum' named 'mayn'; did you mean 'many'?",
        ),
        (
            "from: orders, parent: revenu",
            "c/uses.yaml:2:51: there is no node 'revenu'; known are a",
        ),
        (
            "from: orders, language: fr",
            "c/uses.yaml:2:53: 'fr' is not one of en, zh",
        ),
        (
            "what: amount",
            "c/uses.yaml:2:17: template 'sum' needs 'from', a value of type source; add it under 'with'",
        ),
    ] {
        let found = with(given);
        assert!(
            found.starts_with(expected),
            "{given}\n found {found}\n expected {expected}"
        );
    }
    assert_eq!(
        said("use:\n  a: {template: summ}\n"),
        "c/uses.yaml:2:17: there is no template 'summ'; did you mean 'sum'?"
    );
    assert!(
        said("use:\n  a-b: {template: sum, with: {from: orders}}\n")
            .starts_with("c/uses.yaml:2:3: 'a-b' cannot begin")
    );
}

#[test]
fn a_mistake_inside_a_template_shows_its_place_and_that_of_the_use() {
    let wrong = TEMPLATE.replace(
        "period: month, target: \"{{ many",
        "perid: month, target: \"{{ many",
    );
    let files = Files::new(
        "c",
        [
            ("sources.yaml", SOURCES),
            ("t.yaml", wrong.as_str()),
            ("u.yaml", "use:\n  a: {template: sum, with: {from: orders}}\n"),
        ],
    );
    assert_eq!(
        load(&files).unwrap_err().to_string(),
        "c/t.yaml:18:64: unknown key 'perid'; did you mean 'period'? (template 'sum' used at c/u.yaml:2:3)"
    );
}

#[test]
fn a_template_is_checked_without_a_use() {
    for (from, to, expected) in [
        (
            "{{ many * each_of }}",
            "{{ mayn * each_of }}",
            "c/t.yaml:18:87: 'mayn' is not known here; did you mean 'many'?",
        ),
        ("{{ many * each_of }}", "{{ many + label }}", "c/t.yaml:18:87: "),
        (
            "{{ many * each_of }}",
            "{{ many",
            "c/t.yaml:18:87: this {{ is never closed by }}",
        ),
        (
            "{{ many * each_of }}",
            "{{ goal * 2 }}",
            "c/t.yaml:18:87: 'goal' may be a list or a mapping, and nothing is computed from it; it stands alone: \"{{ goal }}\"",
        ),
        (
            "for_each: by",
            "for_each: bi",
            "c/t.yaml:19:41: 'for_each' takes the name of a parameter of type fields; did you mean 'by'?",
        ),
        (
            "of: from, default: null",
            "default: null",
            "c/t.yaml:7:7: whose fields? add 'of: ' with a parameter of type source, such as of: from",
        ),
        (
            "of: from, default: null",
            "of: form, default: null",
            "c/t.yaml:7:37: there is no parameter 'form' of type source; did you mean 'from'?",
        ),
        (
            "{type: source}",
            "{type: sauce}",
            "c/t.yaml:5:22: 'sauce' is not one of",
        ),
        (
            "many:   {",
            "here:   {",
            "c/t.yaml:9:7: 'here' is there in every template; call it otherwise",
        ),
        (
            "parent: {type: node, default: null}",
            "parent: {type: node, default: null, of: from}",
            "c/t.yaml:13:",
        ),
    ] {
        let wrong = TEMPLATE.replacen(from, to, 1);
        assert_ne!(wrong, TEMPLATE, "{from}");
        let files = Files::new("c", [("sources.yaml", SOURCES), ("t.yaml", wrong.as_str())]);
        let found = load(&files).unwrap_err().to_string();
        assert!(
            found.starts_with(expected),
            "{to}\n found {found}\n expected {expected}"
        );
    }
}

#[test]
fn an_own_template_goes_before_a_shipped_one_of_its_name() {
    let own = TEMPLATE.replace("  sum:\n", "  retail:\n");
    let files = Files::new(
        "c",
        [
            ("sources.yaml", SOURCES),
            ("t.yaml", own.as_str()),
            ("u.yaml", "use: {a: {template: retail, with: {from: orders}}}\n"),
        ],
    );
    let catalog = load(&files).map_err(|d| d.to_string()).unwrap();
    assert_eq!(catalog.metrics[0].name, "a_total");
}

#[test]
fn the_same_use_twice_is_told_with_both_places() {
    let uses =
        "use: {a: {template: sum, with: {from: orders}}}\nmetrics: {a_total: {source: orders, agg: count}}\n";
    assert_eq!(
        said(uses),
        "c/templates.yaml:16:7: metric 'a_total' is defined twice, first at c/uses.yaml:2:11; rename or remove one of them (template 'sum' used at c/uses.yaml:1:7)"
    );
}

#[test]
fn every_shipped_template_is_right_by_itself() {
    for shipped in &super::SHIPPED {
        let file: std::sync::Arc<str> = shipped.file().into();
        let read = crate::catalog::yaml::read::<crate::catalog::file::File>(&file, shipped.text);
        let templates = read
            .map_err(|diagnostic| diagnostic.to_string())
            .unwrap()
            .templates;
        let [(name, template)] = templates.0.as_slice() else {
            panic!("one template a file: {file}")
        };
        assert_eq!(name.value, shipped.name);
        assert_eq!(super::check(template, name.location), [], "{file}");
    }
}

#[test]
fn the_template_of_the_guide_works() {
    let guide = include_str!("../../../docs/catalogue.md");
    let from = guide.find("templates:\n  visits-to-orders:").unwrap();
    let text = &guide[from..from + guide[from..].find("```").unwrap()];
    let uses = "use: {t: {template: visits-to-orders, with: {orders: orders, visits: doors, paid: state == 'paid', by: [region], target: 10}}}\n";
    let files = Files::new("c", [("s.yaml", SOURCES), ("t.yaml", text), ("u.yaml", uses)]);
    let catalog = load(&files).map_err(|d| d.to_string()).unwrap();
    assert_eq!(catalog.nodes[1].target, Target::Number(40.0));
    assert_eq!(catalog.nodes[2].name, "t-orders-region");
}

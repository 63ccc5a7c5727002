//! `tautline tree`: the picture holds what it says, drawn by a real browser; the table goes both ways.

use std::fmt::Write;

use crate::parts::browser::Browser;
use crate::parts::daemon::{shown, tautline};
use crate::parts::scratch;

const SETTINGS: &str = "\
kafka: {brokers: \"127.0.0.1:9092\"}
catalog: catalog/
state: {sqlite: tautline.db}
serve: {listen: \"127.0.0.1:9464\"}
language: zh
receivers:
  ops: {slack_webhook: {url: \"http://127.0.0.1:9/\", allow_private: true}}
routes: {receiver: ops}
";

/// What leaves its box, and boxes that overlap.
const FAULTS: &str = "(() => {
    const boxes = [...document.querySelectorAll('g')].map(g => [g, g.querySelector('rect').getBBox()]);
    const faults = [];
    for (const [g, box] of boxes) {
        for (const text of g.querySelectorAll('text')) {
            const at = text.getBBox();
            const inside = at.x >= box.x && at.x + at.width <= box.x + box.width - 4
                && at.y >= box.y && at.y + at.height <= box.y + box.height;
            if (!inside) faults.push(text.textContent + ' leaves its box');
        }
        for (const [other, its] of boxes) {
            const apart = box.x + box.width <= its.x || its.x + its.width <= box.x
                || box.y + box.height <= its.y || its.y + its.height <= box.y;
            if (other !== g && !apart) faults.push(g.textContent + ' lies on ' + other.textContent);
        }
    }
    return {boxes: boxes.length, faults};
})()";

#[test]
fn a_picture_holds_long_names_in_two_languages_and_many_nodes() {
    let mut browser = Browser::start();
    for branches in [1, 6] {
        let folder = scratch("tree");
        std::fs::create_dir(folder.path().join("catalog")).unwrap();
        std::fs::write(folder.path().join("catalog/a.yaml"), catalog(branches)).unwrap();
        let settings = folder.path().join("tautline.yaml");
        std::fs::write(&settings, SETTINGS).unwrap();
        let tree = |more: &[&str]| {
            let mut args = vec!["tree", "--config", settings.to_str().unwrap()];
            args.extend(more);
            let output = tautline(&args);
            assert!(output.status.success(), "{}", shown(&output));
            String::from_utf8(output.stdout).unwrap()
        };
        let picture = folder.path().join("tree.svg");
        std::fs::write(&picture, tree(&["--format", "svg"])).unwrap();
        browser.open(&format!("file://{}", picture.display()));
        let found = browser.evaluate(FAULTS);
        assert_eq!(found["faults"], serde_json::json!([]), "{branches} branches");
        assert_eq!(found["boxes"], 2 + branches * 5, "{branches} branches");
        if let Some(keep) = std::env::var_os("TAUTLINE_KEEP_PICTURES") {
            browser.resize(1600, 900, false);
            browser.screenshot(&std::path::Path::new(&keep).join(format!("tree-{branches}.png")));
        }

        let mapping = tree(&["--mapping"]);
        let line = mapping
            .lines()
            .find(|line| line.contains("新客户数 0-1"))
            .unwrap_or_default();
        assert!(line.contains("n0-1 ⇢ t0 ⇢ root"), "{mapping}");
        let table = tree(&["--mapping", "--format", "json"]);
        let table: serde_json::Value = serde_json::from_str(&table).unwrap();
        assert_eq!(table["kpis"].as_array().unwrap().len(), branches * 5);
        assert!(
            table["kpis"]
                .as_array()
                .unwrap()
                .iter()
                .all(|kpi| kpi["serves"]["node"] == "root"),
            "{table}"
        );
    }
}

fn catalog(branches: usize) -> String {
    let mut yaml = r#"calendar: {timezone: Asia/Shanghai}
sources: {s: {topics: [t], format: json, fields: {a: a, region: region, store: store}}}
metrics:
  m: {source: s, agg: sum, expr: a, unit: CNY, dimensions: [region, store]}
  c: {source: s, agg: count, dimensions: [region, store]}
nodes:
  root: {title: "全国销售额（含海外跨境电商与直营门店渠道全部业务板块合计）", metric: m, role: business, level: strategy, period: year, target: {growth: 30%, over: 2025}, owner: "首席执行官办公室-战略规划与经营分析部"}
  regions: {title: "Revenue of every region & of all <channels> that nobody else has claimed so far", metric: m, role: business, level: strategy, parent: root, relation: sum, each: [region, store], period: quarter, target: 1_200_000_000, owner: the-regional-sales-organisation-of-asia}
"#
    .to_owned();
    for branch in 0..branches {
        // Writing to a String does not fail.
        let _ = writeln!(
            yaml,
            "  t{branch}: {{title: 渠道拓展 {branch}, metric: c, role: kpi, level: tactic, parent: root, relation: influence, period: month, target: 1200, weight: 20, owner: 销售部}}"
        );
        for leaf in 0..4 {
            let _ = writeln!(
                yaml,
                "  n{branch}-{leaf}: {{title: 新客户数 {branch}-{leaf}, metric: c, role: kpi, level: individual, parent: t{branch}, relation: influence, each: [store], period: week, target: 30, weight: 5, owner: team}}"
            );
        }
    }
    yaml
}

//! The tree as a picture for a slide: those who serve a business metric beside it; colours are levels, dashes are
//! influence. One file, no script, no font from elsewhere.

use std::fmt::Write;

use jiff::civil::Date;
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use crate::catalog::{Catalog, Direction, GrowthBase, Level, Node, PeriodKind, Relation, Role, Target};
use crate::words::{Language, percent};

use super::layout::{BOX_WIDTH, DENSE, LEGEND_HEIGHT, Layout, MARGIN, Placed, Rows};

/// Widths in half em: what fits beside the padding.
const TITLE_WIDTH: usize = 25;
const LINE_WIDTH: usize = 32;

const FONTS: &str =
    "'PingFang SC', 'Microsoft YaHei', 'Noto Sans CJK SC', 'Source Han Sans SC', system-ui, sans-serif";

/// Draws the tree. Targets are those of the period that holds `today`.
pub fn svg(catalog: &Catalog, language: Language, today: Date) -> String {
    let layout = Layout::best(catalog);
    let Layout { width, height, .. } = layout;
    let name = language.pick("业务与 KPI 的拆解", "How KPIs serve the business");
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\" \
         role=\"img\" font-family=\"{FONTS}\">\n<title>{name}</title>\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n"
    );
    for at in &layout.placed {
        link(catalog, &layout, at, &mut out);
    }
    for at in &layout.placed {
        node_box(catalog, at, layout.rows, language, today, &mut out);
    }
    legend(language, height - LEGEND_HEIGHT, &mut out);
    out.push_str("</svg>\n");
    out
}

/// The line from a node to its parent, with an arrow at the parent: the child serves it.
fn link(catalog: &Catalog, layout: &Layout, child: &Placed, out: &mut String) {
    let Some(parent) = &catalog.node(child.id).parent else {
        return;
    };
    let Some(above) = layout.placed.iter().find(|at| at.id == parent.node) else {
        return;
    };
    // From the side of the child that looks at its parent; `away` points from the parent to the child.
    let (from_x, to_x, away) = if child.x > above.x {
        (child.x, above.x + BOX_WIDTH, 1.0)
    } else {
        (child.x + BOX_WIDTH, above.x, -1.0)
    };
    let half = layout.rows.height / 2.0;
    let (from_y, to_y) = (child.y + half, above.y + half);
    // The last stretch at the child is straight: a sign stands on it.
    let bend = from_x - 28.0 * away;
    let middle = (bend + to_x) / 2.0;
    let (dash, sign) = match parent.relation {
        Relation::Influence => (" stroke-dasharray=\"7 5\"", None),
        Relation::Sum => ("", Some("+")),
        Relation::Product => ("", Some("×")),
        Relation::Ratio => ("", Some("÷")),
    };
    // Writing to a String does not fail.
    let _ = writeln!(
        out,
        "<path d=\"M{from_x} {from_y} H{bend} C{middle} {from_y} {middle} {to_y} {end} {to_y}\" fill=\"none\" stroke=\"#64748b\" \
         stroke-width=\"2\"{dash}/>\n<path d=\"M{to_x} {to_y} l{arrow} -5 v10 z\" fill=\"#64748b\"/>",
        end = to_x + 8.0 * away,
        arrow = 9.0 * away,
    );
    if let Some(sign) = sign {
        let x = from_x - 16.0 * away;
        let _ = writeln!(
            out,
            "<circle cx=\"{x}\" cy=\"{from_y}\" r=\"10\" fill=\"#ffffff\" stroke=\"#64748b\"/>\
             <text x=\"{x}\" y=\"{}\" font-size=\"15\" text-anchor=\"middle\" fill=\"#334155\">{sign}</text>",
            from_y + 5.0
        );
    }
}

fn node_box(catalog: &Catalog, at: &Placed, rows: Rows, language: Language, today: Date, out: &mut String) {
    let node = catalog.node(at.id);
    let Placed { x, y, .. } = at;
    let (dark, light) = colours(node.level);
    let (fill, radius) = match node.role {
        Role::Business => (light, 4),
        Role::Kpi => ("#ffffff", 16),
    };
    let (goal, people) = (goal(catalog, node, language, today), people(node, language));
    // What is cut in the picture is whole where the pointer rests.
    let whole = format!("{}\n{goal}\n{people}", node.title);
    let _ = writeln!(
        out,
        "<g><title>{}</title>\n<rect x=\"{x}\" y=\"{y}\" width=\"{BOX_WIDTH}\" height=\"{}\" rx=\"{radius}\" fill=\"{fill}\" \
         stroke=\"{dark}\" stroke-width=\"2\"/>",
        escaped(&whole),
        rows.height,
    );
    let title = if rows == DENSE {
        vec![cut(&node.title, TITLE_WIDTH)]
    } else {
        wrapped(&node.title, TITLE_WIDTH)
    };
    let (first, goal_at, people_at) = match (rows == DENSE, title.len()) {
        (true, _) => (25.0, 46.0, 64.0),
        (false, 1) => (38.0, 76.0, 98.0),
        (false, _) => (27.0, 76.0, 98.0),
    };
    for (line, dy) in title.iter().zip([first, first + 21.0]) {
        text(out, x + 16.0, y + dy, 17, "#0f172a", " font-weight=\"600\"", line);
    }
    text(out, x + 16.0, y + goal_at, 14, dark, "", &cut(&goal, LINE_WIDTH));
    text(
        out,
        x + 16.0,
        y + people_at,
        13,
        "#475569",
        "",
        &cut(&people, LINE_WIDTH + 2),
    );
    out.push_str("</g>\n");
}

/// Words for what a node is to reach: `每月 ¥140万`, `month: $1.4M`.
fn goal(catalog: &Catalog, node: &Node, language: Language, today: Date) -> String {
    let unit = catalog.metric(node.metric).unit.as_deref();
    let sign = match node.direction {
        Direction::Higher => "",
        Direction::Lower => "≤ ",
    };
    let quantity = |value: f64| format!("{sign}{}", language.quantity(value, unit));
    let each = if node.each.is_empty() {
        String::new()
    } else {
        format!(" · {} {}", language.pick("按", "by"), node.each.join(" × "))
    };
    let goal = match (&node.target, catalog.target_on(node, today)) {
        (Target::None, _) => language.pick("没有目标", "no target").to_owned(),
        // A stated number holds for every instance.
        (Target::Number(number), _) => quantity(*number),
        (Target::Band(band), _) => language.goal(band.middle(), Some(*band), unit),
        (Target::Table(rows), None) if !rows.is_empty() && node.has_band() => {
            language.pick("目标区间", "a band").to_owned()
        }
        (_, Some(total)) => quantity(total),
        (Target::Growth { growth, over }, None) => {
            let plus = if *growth >= 0.0 { "+" } else { "" };
            let percent = percent(*growth);
            match (over, language) {
                (GrowthBase::Year(year), Language::Zh) => format!("比{year}年 {plus}{percent}"),
                (GrowthBase::Year(year), Language::En) => format!("{plus}{percent} over {year}"),
                (_, Language::Zh) => format!("比去年 {plus}{percent}"),
                (_, Language::En) => format!("{plus}{percent} over last year"),
            }
        }
        (Target::Table(_), None) => language
            .pick("本期没有目标", "no target in this period")
            .to_owned(),
    };
    format!("{} {goal}{each}", period(node.period, language))
}

fn period(kind: PeriodKind, language: Language) -> String {
    match (kind, language) {
        (PeriodKind::Every { days, .. }, Language::Zh) => format!("每{days}天"),
        (PeriodKind::Every { days, .. }, Language::En) => format!("{days} days:"),
        (kind, Language::En) => format!("{}:", kind.as_str()),
        (PeriodKind::Day, Language::Zh) => "每日".to_owned(),
        (PeriodKind::Week, Language::Zh) => "每周".to_owned(),
        (PeriodKind::Month, Language::Zh) => "每月".to_owned(),
        (PeriodKind::Quarter, Language::Zh) => "每季".to_owned(),
        (PeriodKind::Half, Language::Zh) => "半年".to_owned(),
        (PeriodKind::Year, Language::Zh) => "每年".to_owned(),
    }
}

fn people(node: &Node, language: Language) -> String {
    let owner = node
        .owner
        .as_deref()
        .unwrap_or(language.pick("无负责人", "no owner"));
    let role = match node.role {
        Role::Business => language.pick("业务指标", "business"),
        Role::Kpi => "KPI",
    };
    let weight = node.weight.map_or_else(String::new, |weight| {
        format!(" · {} {weight}", language.pick("权重", "weight"))
    });
    format!("{role} · {owner}{weight}")
}

fn legend(language: Language, y: f64, out: &mut String) {
    let mut x = MARGIN;
    for level in [
        Level::Strategy,
        Level::Tactic,
        Level::Execution,
        Level::Individual,
    ] {
        let (dark, light) = colours(level);
        let _ = writeln!(
            out,
            "<rect x=\"{x}\" y=\"{y}\" width=\"18\" height=\"18\" rx=\"3\" fill=\"{light}\" stroke=\"{dark}\" stroke-width=\"2\"/>"
        );
        let word = level_word(level, language);
        text(out, x + 26.0, y + 14.0, 13, "#475569", "", word);
        x += 50.0 + word.width() as f64 * 7.0;
    }
    for (dash, word) in [
        ("", language.pick("构成", "adds up, multiplies")),
        (" stroke-dasharray=\"7 5\"", language.pick("影响", "influences")),
    ] {
        let middle = y + 9.0;
        let _ = writeln!(
            out,
            "<path d=\"M{x} {middle} h40\" stroke=\"#64748b\" stroke-width=\"2\"{dash}/>"
        );
        text(out, x + 48.0, y + 14.0, 13, "#475569", "", word);
        x += 72.0 + word.width() as f64 * 7.0;
    }
}

fn level_word(level: Level, language: Language) -> &'static str {
    match level {
        Level::Strategy => language.pick("战略", "strategy"),
        Level::Tactic => language.pick("战术", "tactic"),
        Level::Execution => language.pick("执行", "execution"),
        Level::Individual => language.pick("个人", "individual"),
    }
}

/// Line and fill of a level; dark enough to be read on the fill and on white.
fn colours(level: Level) -> (&'static str, &'static str) {
    match level {
        Level::Strategy => ("#1e40af", "#dbeafe"),
        Level::Tactic => ("#0f766e", "#ccfbf1"),
        Level::Execution => ("#b45309", "#fef3c7"),
        Level::Individual => ("#7e22ce", "#f3e8ff"),
    }
}

fn text(out: &mut String, x: f64, y: f64, size: u8, fill: &str, more: &str, content: &str) {
    let content = escaped(content);
    let _ = writeln!(
        out,
        "<text x=\"{x}\" y=\"{y}\" font-size=\"{size}\" fill=\"{fill}\"{more}>{content}</text>"
    );
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

/// Two lines at most, broken at a space where there is one; what does not fit ends in an ellipsis.
fn wrapped(title: &str, width: usize) -> Vec<String> {
    if title.width() <= width {
        return vec![title.to_owned()];
    }
    let fits = end_of(title, width);
    let at_space = title[..fits].rfind(' ').filter(|at| *at > 0);
    let (first, rest) = title.split_at(at_space.unwrap_or(fits));
    vec![first.trim_end().to_owned(), cut(rest.trim_start(), width)]
}

fn cut(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    format!("{}…", text[..end_of(text, width.saturating_sub(1))].trim_end())
}

/// How many bytes fit into a width.
fn end_of(text: &str, width: usize) -> usize {
    let mut used = 0;
    for (at, c) in text.char_indices() {
        used += c.width().unwrap_or(0);
        if used > width {
            return at;
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::load::{Files, load};

    #[test]
    fn titles_are_broken_where_people_would() {
        for (title, lines) in [
            ("Revenue", &["Revenue"][..]),
            (
                "Average order of new customers",
                &["Average order of new", "customers"],
            ),
            (
                "华东大区新客户首单转化率提升",
                &["华东大区新客户首单转化率", "提升"],
            ),
            (
                "a very long title that says far more than any slide can show",
                &["a very long title that", "says far more than any s…"],
            ),
        ] {
            assert_eq!(wrapped(title, TITLE_WIDTH), lines, "{title}");
        }
    }

    #[test]
    fn a_picture_says_what_the_catalogue_does() {
        let yaml = r#"
sources: {s: {topics: [t], format: json, fields: {a: a}}}
metrics: {m: {source: s, agg: sum, expr: a, unit: CNY}}
nodes:
  root:  {title: "销售额 <全国> & 海外", metric: m, role: business, period: year, target: {growth: 30%, over: 2025}, owner: ceo}
  east:  {metric: m, role: business, parent: root, relation: sum, period: month, target: 12}
  lead:  {metric: m, role: kpi, parent: east, direction: lower, period: month, target: 3, weight: 20, owner: x}
  other: {metric: m, role: kpi, level: individual, parent: root, period: month}
"#;
        let catalog = load(&Files::new("", [("a.yaml", yaml)]))
            .map_err(|e| e.to_string())
            .unwrap();
        let drawn = svg(&catalog, Language::Zh, "2026-11-24".parse().unwrap());
        for part in [
            "销售额 &lt;全国&gt; &amp; 海外",
            "每年 比2025年 +30%",
            "每月 ≤ ¥3",
            "KPI · x · 权重 20",
            "stroke-dasharray",
        ] {
            assert!(drawn.contains(part), "'{part}' is missing:\n{drawn}");
        }
    }
}

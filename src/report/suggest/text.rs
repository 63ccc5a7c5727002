//! A suggestion in words, for a terminal.

use std::fmt::Write;

use super::{Arithmetic, ArithmeticKpi, Basis, DriverText, IdleKpi, Suggestion, Why};
use crate::evaluate::drivers::MIN_DAYS;
use crate::words::{Language, percent};

/// Metrics without a link that are named; the others are in the JSON form.
const SHOWN: usize = 10;

/// The whole suggestion.
pub fn text(found: &Suggestion, language: Language) -> String {
    let mut out = String::new();
    let (from, to) = found.days;
    line(
        &mut out,
        &match language {
            Language::Zh => format!(
                "{}：{from} 至 {to}，提前 0 到 {} 天",
                found.title, found.max_lag_days
            ),
            Language::En => format!(
                "{}: {from} to {to}, 0 to {} days ahead",
                found.title, found.max_lag_days
            ),
        },
    );
    line(&mut out, "");
    drivers(&mut out, found, language);
    idle(&mut out, found, language);
    arithmetic(&mut out, found, language);
    others(&mut out, found, language);
    target(&mut out, found, language);
    out
}

fn line(out: &mut String, text: &str) {
    // Writing to a String does not fail.
    let _ = writeln!(out, "{text}");
}

fn drivers(out: &mut String, found: &Suggestion, language: Language) {
    if found.drivers.is_empty() {
        line(
            out,
            language.pick(
                "没有看得出联动的指标。",
                "No metric is linked to it that can be seen.",
            ),
        );
        return;
    }
    line(
        out,
        &match language {
            Language::Zh => format!(
                "驱动它的指标（误报率控制在 {} 以内）：",
                percent(found.false_discovery_rate)
            ),
            Language::En => format!(
                "What drives it (of these links, at most {} by chance):",
                percent(found.false_discovery_rate)
            ),
        },
    );
    for (rank, driver) in (1..).zip(&found.drivers) {
        line(
            out,
            &format!("{rank:3}. {}", driven(driver, &found.title, language)),
        );
    }
}

fn driven(driver: &DriverText, node: &str, language: Language) -> String {
    let elasticity = driver.elasticity.unwrap_or(0.0);
    let (is_against, by) = (elasticity < 0.0, elasticity.abs());
    let moves = match language {
        Language::Zh if is_against => format!("它每多 1%，{node}少 {by:.2}%（反向）"),
        Language::Zh => format!("它每多 1%，{node}多 {by:.2}%"),
        Language::En if is_against => format!("1% more of it goes with {by:.2}% less {node} (the other way)"),
        Language::En => format!("1% more of it goes with {by:.2}% more {node}"),
    };
    let correlation = format!(
        "{}{:.2}",
        if driver.correlation < 0.0 { "−" } else { "" },
        driver.correlation.abs()
    );
    let ahead = match (language, driver.lag_days) {
        (Language::Zh, 0) => "同日".to_owned(),
        (Language::En, 0) => "on the same day".to_owned(),
        (Language::Zh, days) => format!("提前 {days} 天"),
        (Language::En, 1) => "1 day ahead".to_owned(),
        (Language::En, days) => format!("{days} days ahead"),
    };
    let mut said = match language {
        Language::Zh => format!(
            "{}（{}）：{ahead}，{moves}；解释 {} 的波动，相关 {correlation}，q {}，{} 天",
            driver.title,
            driver.metric,
            percent(driver.explained),
            probability(driver.q),
            driver.days
        ),
        Language::En => format!(
            "{} ({}): {ahead}; {moves}; explains {} of what is new, correlation {correlation}, q {}, {} days",
            driver.title,
            driver.metric,
            percent(driver.explained),
            probability(driver.q),
            driver.days
        ),
    };
    let same_day_only = driver.lags_days == [0];
    if same_day_only {
        said.push_str(language.pick(
            "。只在同日相关：孰因孰果看不出，也可能是同一件事",
            ". Only on the same day: which is the cause cannot be seen, and both may be one thing",
        ));
    }
    if driver.kpis.is_empty() {
        said.push_str(language.pick("。还没有 KPI 用它", ". No KPI under it counts it yet"));
    }
    said
}

fn probability(p: f64) -> String {
    if p < 0.001 {
        "<0.001".to_owned()
    } else {
        format!("{p:.3}")
    }
}

fn idle(out: &mut String, found: &Suggestion, language: Language) {
    if found.idle_kpis.is_empty() {
        return;
    }
    line(out, "");
    line(
        out,
        language.pick(
            "看不出驱动了什么的 KPI：",
            "KPIs that drive nothing that can be seen:",
        ),
    );
    for kpi in &found.idle_kpis {
        line(out, &format!("  - {}", idle_kpi(kpi, language)));
    }
}

/// KPIs that were left out, and why.
fn arithmetic(out: &mut String, found: &Suggestion, language: Language) {
    if found.arithmetic_kpis.is_empty() {
        return;
    }
    line(out, "");
    line(
        out,
        language.pick(
            "没有比较的 KPI，因为它们按算术就与它一起变动：",
            "KPIs that were not compared, because they move with it by arithmetic:",
        ),
    );
    for ArithmeticKpi {
        node,
        title,
        metric,
        why,
    } in &found.arithmetic_kpis
    {
        let why = match (why, language) {
            (Arithmetic::Same, Language::Zh) => format!("用的是同一个指标 {metric}"),
            (Arithmetic::Same, Language::En) => format!("{metric} is the node's own metric"),
            (Arithmetic::PartOfNode, Language::Zh) => format!("它由 {metric} 算出"),
            (Arithmetic::PartOfNode, Language::En) => format!("the node is reckoned from {metric}"),
            (Arithmetic::MadeOfNode, Language::Zh) => format!("{metric} 由它算出"),
            (Arithmetic::MadeOfNode, Language::En) => format!("{metric} is reckoned from the node's metric"),
        };
        line(
            out,
            &match language {
                Language::Zh => format!("  - {title}（{node}）：{why}"),
                Language::En => format!("  - {title} ({node}): {why}"),
            },
        );
    }
}

fn idle_kpi(kpi: &IdleKpi, language: Language) -> String {
    let owner = kpi
        .owner
        .as_deref()
        .map_or_else(String::new, |owner| match language {
            Language::Zh => format!("，负责人 {owner}"),
            Language::En => format!(", owner {owner}"),
        });
    let weight = kpi.weight.map_or_else(String::new, |weight| match language {
        Language::Zh => format!("，权重 {weight}"),
        Language::En => format!(", weight {weight}"),
    });
    let least = kpi.least_seen.map_or_else(String::new, |least| match language {
        Language::Zh => format!("：相关达到 {least:.2} 就大多能看出来"),
        Language::En => format!(": a correlation of {least:.2} would mostly have been seen"),
    });
    match language {
        Language::Zh => format!("{}（{}{owner}{weight}）{least}", kpi.title, kpi.node),
        Language::En => format!("{} ({}{owner}{weight}){least}", kpi.title, kpi.node),
    }
}

fn others(out: &mut String, found: &Suggestion, language: Language) {
    if !found.unlinked.is_empty() {
        let names: Vec<&str> = found
            .unlinked
            .iter()
            .take(SHOWN)
            .map(|other| other.metric.as_str())
            .collect();
        let more = found.unlinked.len().saturating_sub(SHOWN);
        let more = if more == 0 {
            String::new()
        } else {
            language.pick("等", ", …").to_owned()
        };
        line(out, "");
        line(
            out,
            &format!(
                "{}{}{more}",
                language.pick("没有看出联动：", "No link seen: "),
                names.join(language.pick("、", ", "))
            ),
        );
    }
    for why in [Why::NotCounted, Why::OnlyInParts, Why::TooFewDays] {
        let names: Vec<&str> = found
            .not_looked_at
            .iter()
            .filter(|other| other.why == why)
            .map(|other| other.metric.as_str())
            .collect();
        if names.is_empty() {
            continue;
        }
        let because = match (why, language) {
            (Why::NotCounted, Language::Zh) => "没有节点用到，所以没有计数：".to_owned(),
            (Why::NotCounted, Language::En) => "Not counted, because no node uses them: ".to_owned(),
            (Why::OnlyInParts, Language::Zh) => "只按维度计数，且不能相加：".to_owned(),
            (Why::OnlyInParts, Language::En) => {
                "Counted by dimension only, and the parts do not add up: ".to_owned()
            }
            (Why::TooFewDays, Language::Zh) => format!("不足 {MIN_DAYS} 天，或一直不变："),
            (Why::TooFewDays, Language::En) => format!("Fewer than {MIN_DAYS} days, or always the same: "),
        };
        line(
            out,
            &format!("{because}{}", names.join(language.pick("、", ", "))),
        );
    }
}

fn target(out: &mut String, found: &Suggestion, language: Language) {
    line(out, "");
    if found.has_band {
        line(
            out,
            language.pick(
                "目标：它的目标是一个区间，历史只能说出能达到多少，不建议区间。",
                "Target: it is a band, and history says what is reached, not what is enough; none is proposed.",
            ),
        );
        return;
    }
    let Some(target) = &found.target else {
        line(
            out,
            language.pick(
                "目标：结束的周期不足三个，还不能建议。",
                "Target: fewer than three periods have closed, so none is proposed.",
            ),
        );
        return;
    };
    let quantity = |value: f64| language.quantity(value, found.unit.as_deref());
    let period = target.period.named(language);
    line(
        out,
        &match language {
            Language::Zh => format!(
                "{period}的目标：中位 {}，挑战 {}",
                quantity(target.median),
                quantity(target.stretch)
            ),
            Language::En => format!(
                "Target for {period}: median {}, stretch {}",
                quantity(target.median),
                quantity(target.stretch)
            ),
        },
    );
    line(
        out,
        &match (target.basis, language) {
            (
                Basis::LastYear {
                    base,
                    growth,
                    stretch_growth,
                    periods,
                },
                Language::Zh,
            ) => format!(
                "  去年同期 {}；最近 {periods} 个周期同比中位 {}，五个里最好的一个超过 {}",
                quantity(base),
                signed(growth),
                signed(stretch_growth)
            ),
            (
                Basis::LastYear {
                    base,
                    growth,
                    stretch_growth,
                    periods,
                },
                Language::En,
            ) => format!(
                "  {} a year before; the last {periods} periods grew by {} in the median, one in five by more than {}",
                quantity(base),
                signed(growth),
                signed(stretch_growth)
            ),
            (Basis::Recent { periods, days }, Language::Zh) => match days {
                Some(days) => format!(
                    "  按最近 {periods} 个周期平均每天的数：一半的周期达到中位，五分之一达到挑战，各乘以 {days} 天（还没有去年同期）"
                ),
                None => {
                    format!("  最近 {periods} 个周期：一半达到中位，五分之一达到挑战（还没有去年同期）")
                }
            },
            (Basis::Recent { periods, days }, Language::En) => match days {
                Some(days) => format!(
                    "  by what a day brought in the last {periods} periods, as every other one and one in five reached it, times {days} days (no year before yet)"
                ),
                None => format!(
                    "  of the last {periods} periods every other one reached the median, one in five the stretch (no year before yet)"
                ),
            },
        },
    );
    let history: Vec<String> = target
        .history
        .iter()
        .map(|(id, value)| format!("{id} {}", quantity(*value)))
        .collect();
    line(out, &format!("  {}", history.join(language.pick("，", ", "))));
}

/// A change in percent with its sign.
fn signed(change: f64) -> String {
    format!(
        "{}{}",
        if change < 0.0 { "−" } else { "+" },
        percent(change.abs())
    )
}

//! The form in which people type a metric in, on the page of its node, and the list of what was typed.

use std::collections::BTreeMap;

use jiff::Timestamp;
use maud::{Markup, html};

use super::entries::{Given, of_metric};
use super::page::{Reader, encoded};
use super::view::View;
use crate::catalog::{Manual, Metric};
use crate::source::entry::Entry;
use crate::words::Language;

/// Entries on a page; the API has all of them.
const SHOWN: usize = 50;
/// What names of dimensions begin with in the form.
const DIMENSION: &str = "dimension.";

/// Where a form stands: empty, a correction, refused, or just taken.
#[derive(Clone, Debug, Default)]
pub(super) struct FormState {
    /// Number of the entry to correct.
    pub(super) correct: Option<u64>,
    /// Number of the entry that was just taken.
    pub(super) entered: Option<u64>,
    /// What was wrong with what was sent.
    pub(super) error: Option<String>,
    /// What was sent.
    pub(super) sent: BTreeMap<String, String>,
    /// Where the form to decide on weights stands.
    pub(super) weights: super::weights::FormState,
}

/// What a form sends: the token, the key under which it counts once, and the entry.
pub(super) fn given(sent: &BTreeMap<String, String>) -> (Option<&str>, Option<String>, Given) {
    let text = |name: &str| {
        sent.get(name)
            .map(|text| text.trim())
            .filter(|text| !text.is_empty())
    };
    let dimensions = sent.iter().filter_map(|(name, value)| {
        let name = name.strip_prefix(DIMENSION)?;
        Some((name.to_owned(), value.clone()))
    });
    let entry = Given {
        // A comma is refused: it is the point of some and the thousands of others.
        value: text("value").unwrap_or_default().into(),
        by: text("by").unwrap_or_default().to_owned(),
        at: text("at").map(str::to_owned),
        dimensions: dimensions.collect(),
        note: text("note").map(str::to_owned),
        replaces: text("replaces").and_then(|number| number.parse().ok()),
    };
    let key = text("key").map(|key| key.chars().filter(char::is_ascii_graphic).take(100).collect());
    (text("token"), key, entry)
}

/// The form and the list.
pub(super) fn section(
    view: &View,
    reader: Reader,
    node: &str,
    metric: &Metric,
    declared: &Manual,
    form: &FormState,
) -> Markup {
    let language = reader.language;
    let entries = of_metric(view, &metric.name);
    let corrected = form.correct.and_then(|number| {
        entries
            .iter()
            .find(|(entry, by)| entry.number == number && by.is_none())
    });
    html! {
        h3 id="entry" {
            @match corrected {
                Some((entry, _)) => { (language.pick("更正第 ", "Correct entry ")) (entry.number) (language.pick(" 条填报", "")) },
                None => (language.pick("填报", "Enter a value")),
            }
        }
        @if let Some(number) = form.entered {
            p.taken role="status" { (language.pick("已保存，编号 ", "Saved, number ")) (number) }
        }
        @if let Some(error) = &form.error { p.refused role="alert" { (error) } }
        (fields(view, reader, node, metric, declared, form, corrected.map(|(entry, _)| *entry)))
        (list(view, reader, node, metric, &entries))
    }
}

fn fields(
    view: &View,
    reader: Reader,
    node: &str,
    metric: &Metric,
    declared: &Manual,
    form: &FormState,
    corrected: Option<&Entry>,
) -> Markup {
    let language = reader.language;
    let sent = |name: &str| form.sent.get(name).map(String::as_str).unwrap_or_default();
    let today = view.catalog.calendar.day_of(Timestamp::now()).to_string();
    let chosen = |who: &str| sent("by") == who;
    let unit = metric
        .unit
        .as_ref()
        .map(|unit| format!(" ({unit})"))
        .unwrap_or_default();
    // One key a form: however often it is sent, the entry counts once.
    let key = format!("form-{:032x}", rand::random::<u128>());
    let action = reader.link(&format!("/nodes/{}/entries", encoded(node)));
    html! {
        form.entry id="entry-form" method="post" action=(action) {
            input type="hidden" name="key" value=(key);
            @if let Some(entry) = corrected { input type="hidden" name="replaces" value=(entry.number); }
            label { span { (language.pick("数值", "Value")) (unit) }
                input id="entry-value" name="value" inputmode="decimal" required autocomplete="off"
                    value=(if sent("value").is_empty() { corrected.map_or("", |entry| entry.value.as_str()) } else { sent("value") }); }
            @match corrected {
                Some(entry) => p.meta { (about(view, reader, entry)) },
                None => {
                    label { span { (language.pick("日期", "Day")) }
                        input id="entry-at" type="date" name="at" max=(today) required value=(if sent("at").is_empty() { today.as_str() } else { sent("at") }); }
                    @for name in &metric.dimensions {
                        @let field = format!("{DIMENSION}{name}");
                        label { span { (name) }
                            input id={ "entry-" (name) } name=(field) required autocomplete="off" value=(sent(&field)); }
                    }
                },
            }
            label { span { (language.pick("填报人", "Who")) }
                select id="entry-by" name="by" required {
                    @if declared.entered_by.len() > 1 { option value="" {} }
                    @for who in &declared.entered_by { option value=(who) selected[chosen(who)] { (who) } }
                } }
            label { span { (language.pick("口令", "Token")) }
                input id="entry-token" type="password" name="token" required autocomplete="current-password"; }
            label.long { span { (language.pick("说明（可不填）", "Note (optional)")) }
                input id="entry-note" name="note" maxlength="500" autocomplete="off" value=(sent("note")); }
            p.send {
                button type="submit" { (language.pick("保存", "Save")) }
                @if corrected.is_some() { a href=(reader.to_node(node)) { (language.pick("取消", "Cancel")) } }
            }
        }
    }
}

/// For when and for what an entry is.
fn about(view: &View, reader: Reader, entry: &Entry) -> String {
    let zone = &view.catalog.calendar.timezone;
    let at = Timestamp::from_millisecond(entry.at_ms).unwrap_or(Timestamp::UNIX_EPOCH);
    let day = at.to_zoned_datetime(zone.clone()).date();
    let mut text = match reader.language {
        Language::Zh => format!("{}年{}", day.year(), reader.language.date(day)),
        Language::En => format!("{} {}", reader.language.date(day), day.year()),
    };
    for value in entry.dimensions.values() {
        text.push_str(" · ");
        text.push_str(value);
    }
    text
}

fn list(
    view: &View,
    reader: Reader,
    node: &str,
    metric: &Metric,
    entries: &[(&Entry, Option<u64>)],
) -> Markup {
    let language = reader.language;
    let zone = &view.catalog.calendar.timezone;
    let entered =
        |entry: &Entry| Timestamp::from_millisecond(entry.entered_ms).unwrap_or(Timestamp::UNIX_EPOCH);
    let correct = |entry: &Entry| {
        let path = reader.to_node(node);
        let joint = if path.contains('?') { '&' } else { '?' };
        format!("{path}{joint}correct={}#entry", entry.number)
    };
    let value = |entry: &Entry| match &metric.unit {
        Some(unit) => format!("{} {unit}", entry.value),
        None => entry.value.clone(),
    };
    html! {
        @if entries.is_empty() {
            p.empty { (language.pick("还没有人填报。", "Nobody has entered anything yet.")) }
        } @else {
            div.scroll { table.entries {
                thead { tr {
                    th { (language.pick("编号", "No.")) }
                    th { (language.pick("数值", "Value")) }
                    th { (language.pick("日期", "For")) }
                    th { (language.pick("填报人", "Who")) }
                    th { (language.pick("说明", "Note")) }
                    th {}
                } }
                tbody {
                    @for (entry, replaced_by) in entries.iter().take(SHOWN) {
                        tr.replaced[replaced_by.is_some()] {
                            td { (entry.number) }
                            td { @if replaced_by.is_some() { s { (value(entry)) } } @else { (value(entry)) } }
                            td { (about(view, reader, entry)) }
                            td { (entry.by) " " span.meta { (language.moment(entered(entry), zone)) } }
                            td.note { (entry.note.as_deref().unwrap_or_default())
                                @if let Some(before) = entry.replaces {
                                    span.meta { (language.pick(" 更正第 ", " corrects ")) (before) (language.pick(" 条", "")) }
                                } }
                            td {
                                @match replaced_by {
                                    Some(by) => span.meta { (language.pick("已被第 ", "corrected by ")) (by) (language.pick(" 条更正", "")) },
                                    None => a href=(correct(entry)) { (language.pick("更正", "Correct")) },
                                }
                            }
                        }
                    }
                }
            } }
        }
    }
}

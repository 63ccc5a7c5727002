//! Documents as Markdown and as HTML.

use std::fmt::Write;

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::document::{Block, Cell, Table, Tone};
use crate::words::Language;

const STYLE: &str = include_str!("review.css");

/// As Markdown (CommonMark with tables).
pub(super) fn markdown(blocks: &[Block]) -> String {
    let mut out = String::new();
    for block in blocks {
        if !out.is_empty() {
            out.push('\n');
        }
        // Writing to a String does not fail.
        let _ = match block {
            Block::Title(text) => writeln!(out, "# {}", plain(text)),
            Block::Heading(text) => writeln!(out, "## {}", plain(text)),
            Block::Paragraph(text) => writeln!(out, "{}", plain(text)),
            Block::Callout(text) => writeln!(out, "> **{}**", plain(text)),
            Block::List(lines) => lines
                .iter()
                .try_for_each(|line| writeln!(out, "- {}", plain(line))),
            Block::Table(table) => markdown_table(&mut out, table),
        };
    }
    out
}

fn markdown_table(out: &mut String, table: &Table) -> std::fmt::Result {
    let cells = |texts: &mut dyn Iterator<Item = String>| {
        let joined: Vec<String> = texts.collect();
        format!("| {} |", joined.join(" | "))
    };
    let head = cells(&mut table.columns.iter().map(|column| plain(&column.name)));
    let rule = cells(&mut table.columns.iter().map(|column| {
        if column.is_number {
            "---:".to_owned()
        } else {
            "---".to_owned()
        }
    }));
    writeln!(out, "{head}\n{rule}")?;
    for row in &table.rows {
        let line = cells(&mut row.iter().map(|cell| match cell.tone {
            Tone::Bad if !cell.text.is_empty() => format!("**{}**", plain(&cell.text)),
            _ => plain(&cell.text),
        }));
        writeln!(out, "{line}")?;
    }
    Ok(())
}

/// Text that Markdown leaves alone: a title of the catalogue must not become a table or a link.
fn plain(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '|' | '*' | '_' | '`' | '[' | ']' | '<' | '>' | '#' | '\\' => {
                out.push('\\');
                out.push(character);
            }
            '\n' | '\r' => out.push(' '),
            _ => out.push(character),
        }
    }
    out
}

/// As one page that needs nothing from elsewhere.
pub(super) fn html(blocks: &[Block], language: Language) -> String {
    let title = blocks.iter().find_map(|block| match block {
        Block::Title(text) => Some(text.as_str()),
        _ => None,
    });
    let page = html! {
        (DOCTYPE)
        html lang=(language.tag()) {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { (title.unwrap_or_default()) " · tautline" }
                style { (PreEscaped(STYLE)) }
            }
            body {
                @for block in blocks { (html_block(block)) }
                footer { "tautline " (env!("CARGO_PKG_VERSION")) }
            }
        }
    };
    page.into_string()
}

fn html_block(block: &Block) -> Markup {
    match block {
        Block::Title(text) => html! { h1 { (text) } },
        Block::Heading(text) => html! { h2 { (text) } },
        Block::Paragraph(text) => html! { p { (text) } },
        Block::Callout(text) => html! { p.callout { (text) } },
        Block::List(lines) => html! { ul { @for line in lines { li { (line) } } } },
        Block::Table(table) => html! {
            div.scroll {
                table {
                    thead { tr { @for column in &table.columns { th.number[column.is_number] { (column.name) } } } }
                    tbody { @for row in &table.rows { (html_row(table, row)) } }
                }
            }
        },
    }
}

fn html_row(table: &Table, row: &[Cell]) -> Markup {
    html! {
        tr {
            @for (cell, column) in row.iter().zip(&table.columns) {
                td.number[column.is_number].good[cell.tone == Tone::Good].bad[cell.tone == Tone::Bad].quiet[cell.tone == Tone::Quiet] {
                    (cell.text)
                }
            }
        }
    }
}

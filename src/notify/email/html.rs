//! A message as HTML that mail programs show: tables and styles on the elements, no script, no picture, nothing from
//! elsewhere; at the width of a phone as well.

use maud::{DOCTYPE, Markup, html};

use super::letter::footer;
use crate::catalog::Grade;
use crate::notify::message::{Does, Message, Tone};
use crate::notify::phrases;
use crate::words::Language;

const FONT: &str = "font-family:-apple-system,'Segoe UI','PingFang SC','Microsoft YaHei','Noto Sans CJK SC',Roboto,Arial,sans-serif";
const MONO: &str = "font-family:Menlo,Consolas,'DejaVu Sans Mono',monospace";

/// The whole page.
pub(super) fn page(message: &Message) -> String {
    let tag = match message.language {
        Language::Zh => "zh",
        Language::En => "en",
    };
    let page = html! {
        (DOCTYPE)
        html lang=(tag) {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { (message.title) }
            }
            body style=(format!("margin:0;background:#f2f3f5;{FONT};color:#1f2329")) {
                // The line that an inbox shows after the subject.
                div style="display:none;max-height:0;overflow:hidden" { (message.lead) }
                table role="presentation" width="100%" cellpadding="0" cellspacing="0" {
                    tr { td align="center" style="padding:16px 8px" {
                        table role="presentation" width="100%" cellpadding="0" cellspacing="0"
                            style=(format!("max-width:600px;background:#fff;border-radius:6px;border-top:5px solid {}", colour(message.tone))) {
                            tr { td style="padding:20px 24px;text-align:left" { (content(message)) } }
                        }
                    } }
                }
            }
        }
    };
    page.into_string()
}

fn content(message: &Message) -> Markup {
    html! {
        h1 style="margin:0 0 8px;font-size:20px;line-height:1.35" { (message.title) }
        @if !message.lead.is_empty() {
            p style="margin:0 0 16px;font-size:16px;line-height:1.55" { (message.lead) }
        }
        @if !message.fields.is_empty() { (fields(message)) }
        @if !message.trends.is_empty() { (trends(message)) }
        @for item in &message.items {
            div style="margin:0 0 12px;padding-left:12px;border-left:3px solid #dee0e3" {
                div style="font-size:15px;font-weight:600;line-height:1.4" { (item.title) }
                @if !item.lead.is_empty() {
                    div style="font-size:14px;line-height:1.5;color:#51565d" { (item.lead) }
                }
            }
        }
        @if message.more > 0 {
            p style="margin:0 0 16px;font-size:14px" { (phrases::more(message, message.more)) }
        }
        @if !message.links.is_empty() {
            div style="margin:4px 0 12px" {
                @for link in &message.links {
                    a href=(link.url) style=(button(link.does)) { (link.label) }
                    " "
                }
            }
        }
        p style="margin:0;padding-top:12px;border-top:1px solid #dee0e3;font-size:12px;line-height:1.5;color:#646a73" {
            (footer(message))
        }
    }
}

fn fields(message: &Message) -> Markup {
    html! {
        table role="presentation" width="100%" cellpadding="0" cellspacing="0"
            style="margin:0 0 16px;border-collapse:collapse;font-size:14px;line-height:1.5" {
            @for field in &message.fields {
                tr {
                    td style="padding:5px 12px 5px 0;color:#646a73;vertical-align:top;width:34%;border-bottom:1px solid #f0f1f2" { (field.name) }
                    td style="padding:5px 0;vertical-align:top;border-bottom:1px solid #f0f1f2" { (phrases::value(message, &field.value)) }
                }
            }
        }
    }
}

fn trends(message: &Message) -> Markup {
    html! {
        p style="margin:0 0 4px;font-size:13px;color:#646a73" { (message.trends_title) }
        table role="presentation" cellpadding="0" cellspacing="0" style="margin:0 0 16px;font-size:14px" {
            @for trend in &message.trends {
                tr {
                    td style=(format!("padding:2px 12px 2px 0;white-space:nowrap;{MONO}")) { (trend.line) }
                    td { (trend.name) }
                }
            }
        }
    }
}

fn button(does: Does) -> String {
    let colours = match does {
        Does::Show => "background:#1f5fd6;color:#fff;border:1px solid #1f5fd6",
        Does::Ack | Does::Silence => "background:#fff;color:#1f2329;border:1px solid #bbbfc4",
    };
    format!(
        "display:inline-block;margin:0 8px 8px 0;padding:9px 16px;border-radius:5px;font-size:15px;text-decoration:none;{colours}"
    )
}

fn colour(tone: Tone) -> &'static str {
    match tone {
        Tone::Alert(Grade::Critical) => "#d83931",
        Tone::Alert(Grade::Warning) => "#e8850c",
        Tone::Alert(Grade::Info) => "#1f5fd6",
        Tone::Good => "#2ea121",
        Tone::Neutral => "#8f959e",
    }
}

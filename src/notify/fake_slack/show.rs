//! A message as text for a terminal.

use serde_json::Value as Json;

/// Title, body, fields, quoted sparklines, buttons as `[label] url`.
pub(super) fn text(payload: &Json) -> String {
    let Some(blocks) = payload["blocks"].as_array().filter(|blocks| !blocks.is_empty()) else {
        return plain(payload["text"].as_str().unwrap_or(""));
    };
    let mut lines = Vec::new();
    for block in blocks {
        let elements = || block["elements"].as_array().into_iter().flatten();
        match block["type"].as_str() {
            Some("section") => {
                lines.extend(body(block["text"]["text"].as_str()));
                lines.extend(block["fields"].as_array().into_iter().flatten().filter_map(field));
            }
            Some("actions") => lines.extend(elements().map(button)),
            Some("context") => {
                let parts: Vec<String> = elements()
                    .filter_map(|part| part["text"].as_str().map(plain))
                    .collect();
                lines.push(parts.join(" · "));
            }
            _ => lines.extend(block["text"]["text"].as_str().map(plain)),
        }
    }
    lines.join("\n")
}

fn body(text: Option<&str>) -> Vec<String> {
    let quoted = |line: &str| {
        let quote = if line.starts_with('`') { "│ " } else { "" };
        format!("{quote}{}", plain(line))
    };
    text.unwrap_or("").lines().map(quoted).collect()
}

fn field(field: &Json) -> Option<String> {
    let text = field["text"].as_str()?;
    Some(match text.split_once('\n') {
        Some((name, value)) => format!("  {}: {}", plain(name), plain(value)),
        None => format!("  {}", plain(text)),
    })
}

fn button(button: &Json) -> String {
    let label = plain(button["text"]["text"].as_str().unwrap_or(""));
    format!("[{label}] {}", button["url"].as_str().unwrap_or(""))
        .trim_end()
        .to_owned()
}

/// Slack's marks as what they stand for.
fn plain(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('<') {
        let Some((inside, after)) = after.split_once('>') else {
            break;
        };
        out.push_str(before);
        // `<address|label>`, and `<!date^…|what it falls back to>`.
        out.push_str(inside.split_once('|').map_or(inside, |(_, label)| label));
        rest = after;
    }
    out.push_str(rest);
    let bold = |line: &str| match line.strip_prefix('*').and_then(|line| line.split_once('*')) {
        Some((bold, rest)) => format!("{bold}{rest}"),
        None => line.to_owned(),
    };
    let lines: Vec<String> = out.lines().map(bold).collect();
    lines
        .join("\n")
        .replace('`', "")
        .replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&amp;", "&")
}

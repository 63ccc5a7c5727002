//! What is not as declared, said on every page: topics that are not there, and bounds that were reached since start.

use maud::{Markup, html};

use super::page::Reader;
use super::view::View;
use crate::words::Language;

/// One line a bound that was reached; nothing where none was.
pub(super) fn reached(view: &View, reader: Reader) -> Markup {
    let language = reader.language;
    let sentences = sentences(view, language);
    html! {
        @if !sentences.is_empty() {
            section.notes aria-label=(language.pick("注意", "Notes")) {
                @for sentence in sentences { p.note { (sentence) } }
            }
        }
    }
}

fn sentences(view: &View, language: Language) -> Vec<String> {
    let mut sentences = Vec::new();
    // While nothing is read at all, readiness says it.
    let missing = view.stats.missing_topics.iter();
    for topic in missing.filter(|_| view.ready.reasons.is_empty()) {
        sentences.push(match language {
            Language::Zh => format!("Kafka 中没有主题 {topic}：请检查目录中的拼写；出现后会自动读取。"),
            Language::En => format!(
                "Kafka has no topic {topic}: check how the catalogue spells it; it is read as soon as it is there."
            ),
        });
    }
    let number = |count: u64| language.number(count as f64);
    for source in view
        .snapshot
        .sources
        .iter()
        .filter(|source| source.evicted_ids > 0)
    {
        let (name, count) = (&source.name, number(source.evicted_ids));
        sentences.push(match language {
            Language::Zh => format!(
                "数据源 {name}：去重 id 超过 dedup_max_keys，提前忘记了 {count} 个最旧的；它们的重复事件会被重复计数。"
            ),
            Language::En => format!(
                "Source {name}: more ids than dedup_max_keys; the {count} oldest were forgotten early, and copies of their events count."
            ),
        });
    }
    for (name, count) in &view.snapshot.evicted_keys {
        let count = number(*count);
        sentences.push(match language {
            Language::Zh => {
                format!("指标 {name}：键数超过 max_keys，忘记了 {count} 个最久未出现的；它们再出现时算作新的。")
            }
            Language::En => format!(
                "Metric {name}: more keys than max_keys; {count} that were last seen longest ago were forgotten, and are new when they come again."
            ),
        });
    }
    for (name, count) in &view.snapshot.evicted_items {
        let count = number(*count);
        sentences.push(match language {
            Language::Zh => {
                format!("指标 {name}：事项数超过 max_items，忘记了 {count} 个：先是最早结束的，然后是最早开始的。")
            }
            Language::En => format!(
                "Metric {name}: more items than max_items; {count} were forgotten: first those that ended longest ago, then the oldest open ones."
            ),
        });
    }
    for (name, count) in &view.snapshot.events_in_other {
        let count = number(*count);
        sentences.push(match language {
            Language::Zh => {
                format!("指标 {name}：维度组合数超过 max_cells，{count} 个事件计入“other”。")
            }
            Language::En => format!(
                "Metric {name}: more combinations of dimension values than max_cells; {count} events count as \"other\"."
            ),
        });
    }
    for (name, count) in &view.snapshot.events_too_old {
        let count = number(*count);
        sentences.push(match language {
            Language::Zh => {
                format!("指标 {name}：{count} 个事件的日期早于保留期限（evaluate.keep），没有计入。")
            }
            Language::En => format!(
                "Metric {name}: {count} events are of days that are no longer kept (evaluate.keep); they are not counted."
            ),
        });
    }
    sentences
}

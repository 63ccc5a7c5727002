//! What is not as declared, said on every page: topics that are not there, and bounds that were reached since start.

use maud::{Markup, html};

use super::page::Reader;
use super::view::{AlertView, NotReady, View};
use crate::evaluate::silence::Freshness;
use crate::evaluate::{Snapshot, SourceState};
use crate::fold::items::MAX_MARKS;
use crate::words::{self, Language};

/// One line a bound that was reached; nothing where none was.
pub(super) fn reached(view: &View, reader: Reader) -> Markup {
    let language = reader.language;
    // While nothing is read at all, readiness says it.
    let said = |reason: &NotReady| {
        matches!(
            reason,
            NotReady::TopicsMissing { .. } | NotReady::BrokerAway { .. }
        )
    };
    let is_said = view.ready.reasons.iter().any(said);
    let missing = view.stats.missing_topics.iter().filter(|_| !is_said);
    let is_alerted = |source: &str| {
        let of_source = |alert: &AlertView| {
            let of = alert.facts.source.as_ref();
            alert.is_firing() && of.is_some_and(|of| of.name == source && of.silent.is_some())
        };
        view.alerts.iter().any(of_source)
    };
    let mut sentences = silences(&view.snapshot, is_alerted, language);
    sentences.extend(self::sentences(
        &view.snapshot,
        missing.map(|topic| &**topic),
        language,
    ));
    html! {
        @if !sentences.is_empty() {
            section.notes aria-label=(language.pick("注意", "Notes")) {
                @for sentence in sentences { p.note { (sentence) } }
            }
        }
    }
}

/// Sources that are silent for longer than expected, without those whose alerts say so.
fn silences(snapshot: &Snapshot, is_alerted: impl Fn(&str) -> bool, language: Language) -> Vec<String> {
    let told = snapshot.sources.iter().filter(|source| !is_alerted(&source.name));
    let sentence = |source: &SourceState| {
        let silent = &source.silent;
        let (name, lasted) = (&source.name, words::length(silent.lasted.as_secs(), language));
        match (silent.freshness, language) {
            (Freshness::Live, _) => None,
            (Freshness::Late, Language::Zh) => {
                Some(format!("数据源 {name} 已 {lasted}没有新数据，比预期久。"))
            }
            (Freshness::Late, Language::En) => Some(format!(
                "Nothing has come from source {name} for {lasted}, which is longer than expected."
            )),
            (Freshness::Stale, Language::Zh) => Some(format!(
                "数据源 {name} 已 {lasted}没有新数据；恢复之前，由它计算的指标不作判断。"
            )),
            (Freshness::Stale, Language::En) => Some(format!(
                "Nothing has come from source {name} for {lasted}; until it is back, what is computed from it is not judged."
            )),
        }
    };
    told.filter_map(sentence).collect()
}

fn sentences<'t>(
    snapshot: &Snapshot,
    missing: impl Iterator<Item = &'t str>,
    language: Language,
) -> Vec<String> {
    let mut sentences = Vec::new();
    for topic in missing {
        sentences.push(match language {
            Language::Zh => format!("Kafka 中没有主题 {topic}：请检查目录中的拼写；出现后会自动读取。"),
            Language::En => format!(
                "Kafka has no topic {topic}: check how the catalogue spells it; it is read as soon as it is there."
            ),
        });
    }
    let number = |count: u64| language.number(count as f64);
    for source in snapshot.sources.iter().filter(|source| source.evicted_ids > 0) {
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
    for (name, count) in &snapshot.evicted_keys {
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
    for (name, count) in &snapshot.evicted_items {
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
    for (name, count) in &snapshot.dropped_marks {
        let count = number(*count);
        sentences.push(match language {
            Language::Zh => format!(
                "指标 {name}：同一事项的开始和结束超过 {MAX_MARKS} 个，忘记了 {count} 个最旧的；已计入的时长不变，迟到的事件不再能改变它们。"
            ),
            Language::En => format!(
                "Metric {name}: more than {MAX_MARKS} starts and ends of one item; the {count} oldest were forgotten. What was counted stays, and late events cannot change it."
            ),
        });
    }
    for (name, count) in &snapshot.long_values {
        let count = number(*count);
        sentences.push(match language {
            Language::Zh => format!(
                "指标 {name}：{count} 个事件的维度值或事项名超过 evaluate.max_value_bytes；这样的维度值计入“other”，事项名只保留开头。"
            ),
            Language::En => format!(
                "Metric {name}: {count} events have a dimension value or an item's name longer than evaluate.max_value_bytes; such values count as \"other\", and of such names the beginning is kept."
            ),
        });
    }
    for (name, count) in &snapshot.events_in_other {
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
    for (name, count) in &snapshot.events_too_old {
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use jiff::SignedDuration;

    use super::*;
    use crate::evaluate::silence::Silent;

    #[test]
    fn nothing_is_said_where_no_bound_was_reached() {
        let mut snapshot = Snapshot::default();
        snapshot.sources.push(source(0));
        for language in [Language::Zh, Language::En] {
            assert_eq!(sentences(&snapshot, std::iter::empty(), language), [""; 0]);
        }
    }

    #[test]
    fn a_silence_is_said_from_when_it_is_longer_than_usual() {
        let silent = |freshness| SourceState {
            silent: Silent {
                freshness,
                lasted: SignedDuration::from_mins(200),
                ..Silent::default()
            },
            ..source(0)
        };
        let said = |language| {
            let snapshot = Snapshot {
                sources: vec![
                    silent(Freshness::Live),
                    silent(Freshness::Late),
                    silent(Freshness::Stale),
                ],
                ..Snapshot::default()
            };
            silences(&snapshot, |_| false, language)
        };
        assert_eq!(
            said(Language::En),
            [
                "Nothing has come from source s for 3 hours, which is longer than expected.",
                "Nothing has come from source s for 3 hours; until it is back, what is computed from it is not judged.",
            ]
        );
        assert_eq!(
            said(Language::Zh),
            [
                "数据源 s 已 3 小时没有新数据，比预期久。",
                "数据源 s 已 3 小时没有新数据；恢复之前，由它计算的指标不作判断。",
            ]
        );
    }

    #[test]
    fn every_bound_says_what_it_let_go_and_by_which_rule() {
        let of = |count| BTreeMap::from([("m".to_owned(), count)]);
        let snapshot = Snapshot {
            sources: vec![source(12_345), source(0)],
            evicted_keys: of(2),
            evicted_items: of(3),
            dropped_marks: of(4),
            long_values: of(5),
            events_in_other: of(6),
            events_too_old: of(7),
            ..Snapshot::default()
        };
        let missing = ["orders", "visits"];
        assert_eq!(
            sentences(&snapshot, missing.into_iter(), Language::En),
            [
                "Kafka has no topic orders: check how the catalogue spells it; it is read as soon as it is there.",
                "Kafka has no topic visits: check how the catalogue spells it; it is read as soon as it is there.",
                "Source s: more ids than dedup_max_keys; the 12,345 oldest were forgotten early, and copies of their events count.",
                "Metric m: more keys than max_keys; 2 that were last seen longest ago were forgotten, and are new when they come again.",
                "Metric m: more items than max_items; 3 were forgotten: first those that ended longest ago, then the oldest open ones.",
                "Metric m: more than 32 starts and ends of one item; the 4 oldest were forgotten. What was counted stays, and late events cannot change it.",
                "Metric m: 5 events have a dimension value or an item's name longer than evaluate.max_value_bytes; such values count as \"other\", and of such names the beginning is kept.",
                "Metric m: more combinations of dimension values than max_cells; 6 events count as \"other\".",
                "Metric m: 7 events are of days that are no longer kept (evaluate.keep); they are not counted.",
            ]
        );
        assert_eq!(
            sentences(&snapshot, missing.into_iter(), Language::Zh),
            [
                "Kafka 中没有主题 orders：请检查目录中的拼写；出现后会自动读取。",
                "Kafka 中没有主题 visits：请检查目录中的拼写；出现后会自动读取。",
                "数据源 s：去重 id 超过 dedup_max_keys，提前忘记了 1.235万 个最旧的；它们的重复事件会被重复计数。",
                "指标 m：键数超过 max_keys，忘记了 2 个最久未出现的；它们再出现时算作新的。",
                "指标 m：事项数超过 max_items，忘记了 3 个：先是最早结束的，然后是最早开始的。",
                "指标 m：同一事项的开始和结束超过 32 个，忘记了 4 个最旧的；已计入的时长不变，迟到的事件不再能改变它们。",
                "指标 m：5 个事件的维度值或事项名超过 evaluate.max_value_bytes；这样的维度值计入“other”，事项名只保留开头。",
                "指标 m：维度组合数超过 max_cells，6 个事件计入“other”。",
                "指标 m：7 个事件的日期早于保留期限（evaluate.keep），没有计入。",
            ]
        );
    }

    fn source(evicted_ids: u64) -> SourceState {
        SourceState {
            name: "s".to_owned(),
            watermark_seconds: None,
            lag_records: None,
            outcomes: BTreeMap::new(),
            evicted_ids,
            late: 0,
            silent: Silent::default(),
        }
    }
}

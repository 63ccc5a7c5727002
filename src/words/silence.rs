//! Words for a source of which nothing comes any more.

use super::Language;
use crate::alert::record::SilentFacts;

/// The heading of its alert.
pub(super) fn heading(source: &str, language: Language) -> String {
    match language {
        Language::Zh => format!("数据源 {source} 没有新数据"),
        Language::En => format!("Nothing comes from source {source} any more"),
    }
}

/// For how long, against what, and what it means.
pub(super) fn of(silent: &SilentFacts, language: Language) -> String {
    let length = |seconds: i64| length(seconds, language);
    let lasted = length(silent.lasted_seconds);
    let lasted = match (silent.ever, language) {
        (true, Language::Zh) => format!("已有 {lasted}没有收到任何事件"),
        (true, Language::En) => format!("No event has come for {lasted}"),
        (false, Language::Zh) => format!("观察 {lasted}以来从未收到过事件"),
        (false, Language::En) => format!("No event has come since it was first watched, {lasted} ago"),
    };
    let against = match (silent.expected_seconds, silent.allowed_seconds, language) {
        (Some(every), _, Language::Zh) => format!("，预期至少每 {}一次", length(every)),
        (Some(every), _, Language::En) => format!("; one is expected every {}", length(every)),
        (None, Some(allowed), Language::Zh) => format!("，允许 {}", length(allowed)),
        (None, Some(allowed), Language::En) => format!("; up to {} may pass", length(allowed)),
        (None, None, Language::Zh) => "，在一周的这个时段几乎从未这样安静过".to_owned(),
        (None, None, Language::En) => {
            ", and it is hardly ever silent for so long at this time of the week".to_owned()
        }
    };
    let meaning = language.pick(
        "。恢复之前，由它计算的指标不作判断，也不会被当作零。",
        ". Until it is back, what is computed from it is not judged, nor taken for zero.",
    );
    format!("{lasted}{against}{meaning}")
}

/// A length of time, exactly where it is short: `90 minutes`, `12 seconds`.
pub fn length(seconds: i64, language: Language) -> String {
    let (count, zh, one, many) = match seconds {
        0..120 => (seconds, "秒", "second", "seconds"),
        120..10_800 if seconds % 3600 != 0 => (seconds / 60, "分钟", "minute", "minutes"),
        120..172_800 => (seconds / 3600, "小时", "hour", "hours"),
        _ => (seconds / 86_400, "天", "day", "days"),
    };
    match language {
        Language::Zh => format!("{count} {zh}"),
        Language::En => format!("{count} {}", if count == 1 { one } else { many }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_exact_where_they_are_short() {
        let said = [12, 60, 119, 150, 3600, 5400, 7200, 9000, 90_000, 172_800, 700_000]
            .map(|seconds| length(seconds, Language::En));
        assert_eq!(
            said,
            [
                "12 seconds",
                "60 seconds",
                "119 seconds",
                "2 minutes",
                "1 hour",
                "90 minutes",
                "2 hours",
                "150 minutes",
                "25 hours",
                "2 days",
                "8 days",
            ]
        );
        assert_eq!(length(5400, Language::Zh), "90 分钟");
    }

    #[test]
    fn for_how_long_and_against_what() {
        let declared = SilentFacts {
            ever: true,
            lasted_seconds: 3 * 3600,
            expected_seconds: Some(600),
            allowed_seconds: Some(1800),
        };
        assert_eq!(
            of(&declared, Language::En),
            "No event has come for 3 hours; one is expected every 10 minutes. Until it is back, what is computed from it is not judged, nor taken for zero."
        );
        assert_eq!(
            of(&declared, Language::Zh),
            "已有 3 小时没有收到任何事件，预期至少每 10 分钟一次。恢复之前，由它计算的指标不作判断，也不会被当作零。"
        );
        let learned = SilentFacts {
            lasted_seconds: 2700,
            expected_seconds: None,
            allowed_seconds: None,
            ..declared
        };
        assert_eq!(
            of(&learned, Language::En),
            "No event has come for 45 minutes, and it is hardly ever silent for so long at this time of the week. Until it is back, what is computed from it is not judged, nor taken for zero."
        );
        assert_eq!(
            of(&learned, Language::Zh),
            "已有 45 分钟没有收到任何事件，在一周的这个时段几乎从未这样安静过。恢复之前，由它计算的指标不作判断，也不会被当作零。"
        );
        let never = SilentFacts {
            ever: false,
            expected_seconds: None,
            ..declared
        };
        assert_eq!(
            of(&never, Language::En),
            "No event has come since it was first watched, 3 hours ago; up to 30 minutes may pass. Until it is back, what is computed from it is not judged, nor taken for zero."
        );
        assert_eq!(
            of(&never, Language::Zh),
            "观察 3 小时以来从未收到过事件，允许 30 分钟。恢复之前，由它计算的指标不作判断，也不会被当作零。"
        );
    }
}

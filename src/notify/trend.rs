//! Trends: how the last days went, in a line of text.

use crate::alert::record::Figure;
use crate::words::sentence;

/// Days that a sparkline shows at most.
const TREND_DAYS: usize = 30;

/// A sparkline with its name.
#[derive(Clone, PartialEq, Debug)]
pub struct Trend {
    /// One character a day: `▁▂▃▄▅▆▇█`, `·` for a day without a value.
    pub line: String,
    /// What it shows.
    pub name: String,
}

impl Trend {
    /// The latest days of a figure; `None` where there is nothing to draw.
    pub(super) fn of(figure: &Figure) -> Option<Trend> {
        let from = figure.daily.len().saturating_sub(TREND_DAYS);
        let line = sparkline(&figure.daily[from..])?;
        Some(Trend {
            line,
            name: sentence::name(figure),
        })
    }
}

/// One character a day; `None` where fewer than two days have a value. It starts at zero, so that a flat business
/// looks flat; only negative values move the ground down.
fn sparkline(daily: &[Option<f64>]) -> Option<String> {
    const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let finite = |value: &Option<f64>| value.filter(|value| value.is_finite());
    let known: Vec<f64> = daily.iter().filter_map(finite).collect();
    if known.len() < 2 {
        return None;
    }
    let ground = known.iter().copied().fold(0.0, f64::min);
    let height = known.iter().copied().fold(0.0, f64::max) - ground;
    let bar = |value: f64| {
        let share = if height > 0.0 {
            (value - ground) / height
        } else {
            0.0
        };
        BARS[((share * 7.0).round() as usize).min(7)]
    };
    Some(daily.iter().map(|value| finite(value).map_or('·', bar)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sparkline_shows_a_flat_business_flat() {
        for (daily, line) in [
            (vec![0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0], Some("▁▂▃▄▅▆▇█")),
            (vec![100.0, 101.0, 100.0, 99.0], Some("████")),
            (vec![0.0, 0.0], Some("▁▁")),
            (vec![-7.0, 0.0], Some("▁█")),
            (vec![5.0, f64::NAN, 5.0], Some("█·█")),
            (vec![5.0], None),
            (vec![], None),
        ] {
            let daily: Vec<Option<f64>> = daily.into_iter().map(Some).collect();
            assert_eq!(sparkline(&daily).as_deref(), line, "{daily:?}");
        }
    }
}

//! Aggregations and their words in the catalogue.

use std::fmt;
use std::str::FromStr;

use serde::de::{self, Deserialize, Deserializer};

use super::diagnostic::nearest;

/// Aggregations.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Agg {
    /// Exact sum.
    Sum,
    /// Number of events.
    Count,
    /// Number of different keys.
    CountDistinct,
    /// Number of keys that come for the first time, ever or since long.
    CountNew,
    /// Number of different keys that are not new.
    CountReturning,
    /// Smallest value.
    Min,
    /// Largest value.
    Max,
    /// Sum over count.
    Avg,
    /// Newest value by event time, then offset.
    Last,
    /// The value below which a share of the values lies, from a sketch with 1 % relative error.
    Percentile(Quantile),
}

/// A share of values, in thousandths from 1 to 999: the median is 500.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Quantile(u16);

impl Quantile {
    /// Half of the values lie below it.
    pub const MEDIAN: Quantile = Quantile(500);

    /// A share strictly between 0 and 1, at most three decimals long.
    pub fn of_share(share: f64) -> Option<Quantile> {
        let thousandths = share * 1000.0;
        let whole = thousandths.round();
        ((1.0..=999.0).contains(&whole) && (thousandths - whole).abs() < 1e-6)
            .then_some(Quantile(whole as u16))
    }

    /// In thousandths.
    pub fn per_mille(self) -> u16 {
        self.0
    }
}

/// Words that are offered where one is wrong.
const WORDS: [&str; 15] = [
    "sum",
    "count",
    "count_distinct",
    "count_new",
    "count_returning",
    "min",
    "max",
    "avg",
    "last",
    "median",
    "p50",
    "p75",
    "p90",
    "p95",
    "p99",
];

impl Agg {
    /// Whether the value grows with the period, so that pace compares it with the planned share.
    pub fn accumulates(self) -> bool {
        self.remembers_keys() || matches!(self, Agg::Sum | Agg::Count | Agg::CountDistinct)
    }

    /// Whether it aggregates numbers; the others count events or keys.
    pub fn is_numeric(self) -> bool {
        !self.remembers_keys() && !matches!(self, Agg::Count | Agg::CountDistinct)
    }

    /// Whether keys that came before must be known.
    pub fn remembers_keys(self) -> bool {
        matches!(self, Agg::CountNew | Agg::CountReturning)
    }
}

impl fmt::Display for Agg {
    /// Its word in the catalogue.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Agg::Sum => f.write_str("sum"),
            Agg::Count => f.write_str("count"),
            Agg::CountDistinct => f.write_str("count_distinct"),
            Agg::CountNew => f.write_str("count_new"),
            Agg::CountReturning => f.write_str("count_returning"),
            Agg::Min => f.write_str("min"),
            Agg::Max => f.write_str("max"),
            Agg::Avg => f.write_str("avg"),
            Agg::Last => f.write_str("last"),
            Agg::Percentile(Quantile(mille)) if mille % 10 == 0 => write!(f, "p{}", mille / 10),
            Agg::Percentile(Quantile(mille)) => write!(f, "p{}.{}", mille / 10, mille % 10),
        }
    }
}

/// What is wrong with the word of an aggregation.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("there is no aggregation '{word}'{hint}")]
pub struct UnknownAgg {
    word: String,
    hint: String,
}

impl FromStr for Agg {
    type Err = UnknownAgg;

    fn from_str(word: &str) -> Result<Agg, UnknownAgg> {
        Ok(match word {
            "sum" => Agg::Sum,
            "count" => Agg::Count,
            "count_distinct" => Agg::CountDistinct,
            "count_new" => Agg::CountNew,
            "count_returning" => Agg::CountReturning,
            "min" => Agg::Min,
            "max" => Agg::Max,
            "avg" | "average" => Agg::Avg,
            "last" => Agg::Last,
            "median" => Agg::Percentile(Quantile::MEDIAN),
            _ => return percentile(word),
        })
    }
}

/// `p90`, `p99.9`.
fn percentile(word: &str) -> Result<Agg, UnknownAgg> {
    let is_number = |text: &&str| text.starts_with(|c: char| c.is_ascii_digit());
    let number = word
        .strip_prefix('p')
        .filter(is_number)
        .and_then(|text| text.parse::<f64>().ok());
    if let Some(quantile) = number.and_then(|percent| Quantile::of_share(percent / 100.0)) {
        return Ok(Agg::Percentile(quantile));
    }
    let hint = if number.is_some() {
        "; a percentile is between p0.1 and p99.9, such as p95".to_owned()
    } else {
        match nearest(word, WORDS) {
            Some(near) => format!("; did you mean '{near}'?"),
            None => format!("; known are {}", WORDS.join(", ")),
        }
    };
    Err(UnknownAgg {
        word: word.to_owned(),
        hint,
    })
}

/// What stands after `agg:`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum AggWord {
    /// An aggregation.
    Agg(Agg),
    /// dbt's word; which percentile stands beside it.
    Percentile,
}

impl<'de> Deserialize<'de> for AggWord {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<AggWord, D::Error> {
        struct Word;
        impl de::Visitor<'_> for Word {
            type Value = AggWord;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an aggregation such as sum, count or p95")
            }
            fn visit_str<E: de::Error>(self, word: &str) -> Result<AggWord, E> {
                if word == "percentile" {
                    return Ok(AggWord::Percentile);
                }
                word.parse().map(AggWord::Agg).map_err(E::custom)
            }
        }
        deserializer.deserialize_any(Word)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_read_and_written() {
        for (word, written) in [
            ("sum", "sum"),
            ("average", "avg"),
            ("count_distinct", "count_distinct"),
            ("median", "p50"),
            ("p5", "p5"),
            ("p75", "p75"),
            ("p99", "p99"),
            ("p99.9", "p99.9"),
        ] {
            assert_eq!(word.parse::<Agg>().unwrap().to_string(), written, "{word}");
        }
    }

    #[test]
    fn a_wrong_word_says_what_to_write() {
        for (word, said) in [
            (
                "p100",
                "there is no aggregation 'p100'; a percentile is between p0.1 and p99.9, such as p95",
            ),
            (
                "p99.99",
                "there is no aggregation 'p99.99'; a percentile is between p0.1 and p99.9, such as p95",
            ),
            (
                "p0",
                "there is no aggregation 'p0'; a percentile is between p0.1 and p99.9, such as p95",
            ),
            ("summ", "there is no aggregation 'summ'; did you mean 'sum'?"),
            (
                "standard_deviation",
                "there is no aggregation 'standard_deviation'; known are sum, count, count_distinct, count_new, count_returning, min, max, avg, last, median, p50, p75, p90, p95, p99",
            ),
        ] {
            assert_eq!(word.parse::<Agg>().unwrap_err().to_string(), said);
        }
    }
}

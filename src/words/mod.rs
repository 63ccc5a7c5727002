//! Words and numbers for people, in Chinese and English: used by messages and pages.
//!
//! * [`causes`]: where most of a distance from a plan comes from.
//! * [`definition`]: what a metric is, on one line.
//! * [`sentence`]: what an alert says, as a heading and as one sentence with its numbers.

pub mod causes;
pub mod definition;
pub(crate) mod drift;
pub mod sentence;
mod shared;
mod silence;
pub use silence::length;
pub mod weights;

use jiff::tz::TimeZone;
use jiff::{Timestamp, civil};

use crate::catalog::{Band, PeriodKind};
use crate::evaluate::Period;

/// A language that the pages speak.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Language {
    /// Chinese.
    #[default]
    Zh,
    /// English.
    En,
}

impl Language {
    /// The language of a tag such as `zh`, `zh-CN`, `en-GB`.
    pub fn from_tag(tag: &str) -> Option<Language> {
        let primary = tag.trim().split(['-', '_']).next()?;
        if primary.eq_ignore_ascii_case("zh") {
            Some(Language::Zh)
        } else if primary.eq_ignore_ascii_case("en") {
            Some(Language::En)
        } else {
            None
        }
    }

    /// The language that an `Accept-Language` header likes best, if it names one that there is.
    pub fn from_accept(header: &str) -> Option<Language> {
        let mut best: Option<(f32, Language)> = None;
        for part in header.split(',') {
            let (tag, weight) = part.split_once(";q=").unwrap_or((part, "1"));
            let weight: f32 = weight.trim().parse().unwrap_or(0.0);
            let better = weight > 0.0 && best.is_none_or(|(most, _)| weight > most);
            if let Some(language) = Language::from_tag(tag).filter(|_| better) {
                best = Some((weight, language));
            }
        }
        best.map(|(_, language)| language)
    }

    /// The text of this language.
    pub fn pick(self, zh: &'static str, en: &'static str) -> &'static str {
        match self {
            Language::Zh => zh,
            Language::En => en,
        }
    }

    /// Tag for HTML's `lang`.
    pub fn tag(self) -> &'static str {
        self.pick("zh-CN", "en")
    }

    /// A number as people write it: four digits at most, with 万 and 亿, or M and B.
    pub fn number(self, value: f64) -> String {
        let rounded = round_to_digits(value, 4);
        let scales: &[(f64, &str)] = match self {
            Language::Zh => &[(1e12, "万亿"), (1e8, "亿"), (1e4, "万")],
            Language::En => &[(1e12, "T"), (1e9, "B"), (1e6, "M")],
        };
        match scales.iter().find(|(scale, _)| rounded.abs() >= *scale) {
            Some((scale, unit)) => format!("{}{unit}", grouped(round_to_digits(rounded / scale, 4))),
            None if value.abs() >= 1000.0 => grouped(value.round()),
            None => grouped(rounded),
        }
    }

    /// What is aimed at: a number with its unit, or the ends of a band: `20 to 30 days`.
    pub fn goal(self, target: f64, band: Option<Band>, unit: Option<&str>) -> String {
        let Some(Band { low, high }) = band else {
            return self.quantity(target, unit);
        };
        let low = match unit {
            // The unit stands behind both where it stands behind a number.
            Some("" | "%" | "CNY" | "USD" | "EUR" | "GBP") | None => self.quantity(low, unit),
            Some(_) => self.number(low),
        };
        format!("{low}{}{}", self.pick(" 至 ", " to "), self.quantity(high, unit))
    }

    /// A number with its unit: `¥123.4万`, `1,200 days`, `3.1%`.
    pub fn quantity(self, value: f64, unit: Option<&str>) -> String {
        let symbol = match unit {
            None | Some("") => return self.number(value),
            Some("%") => return percent(value),
            Some("CNY") => "¥",
            Some("USD") => "$",
            Some("EUR") => "€",
            Some("GBP") => "£",
            Some(other) => return format!("{} {other}", self.number(value)),
        };
        let sign = if value < 0.0 { "−" } else { "" };
        format!("{sign}{symbol}{}", self.number(value.abs()))
    }

    /// A difference with its sign and its unit: `+¥123.4万`, `−3.1%`.
    pub fn signed(self, difference: f64, unit: Option<&str>) -> String {
        let sign = if difference > 0.0 { "+" } else { "" };
        format!("{sign}{}", self.quantity(difference, unit))
    }

    /// A period, with its [`Period::id`]: `2026年6月`, `June 2026`, `Q1 FY2026`; where it has no name that people use, its
    /// first and last day.
    pub fn period(self, period: &Period, id: &str) -> String {
        match (period.kind, self) {
            (PeriodKind::Day, _) => self.date(period.start),
            (PeriodKind::Month, Language::Zh) => {
                format!("{}年{}月", period.start.year(), period.start.month())
            }
            (PeriodKind::Month, Language::En) => period.start.strftime("%B %Y").to_string(),
            (PeriodKind::Quarter | PeriodKind::Half | PeriodKind::Year, _) => self.part_of_year(id),
            (PeriodKind::Week | PeriodKind::Every { .. }, _) => {
                let last = period.end.yesterday().unwrap_or(period.end);
                format!("{} – {}", self.date(period.start), self.date(last))
            }
        }
    }

    /// A year or a part of it, by its id.
    fn part_of_year(self, id: &str) -> String {
        let (year, part) = id.split_once('-').unwrap_or((id, ""));
        match self {
            Language::Zh => {
                let year = year
                    .strip_prefix("FY")
                    .map_or_else(|| format!("{year}年"), |fiscal| format!("{fiscal}财年"));
                match part.split_at_checked(1) {
                    Some(("Q", quarter)) => format!("{year}第{quarter}季度"),
                    Some(("H", "1")) => format!("{year}上半年"),
                    Some(("H", _)) => format!("{year}下半年"),
                    _ => year,
                }
            }
            Language::En if part.is_empty() => year.to_owned(),
            Language::En => format!("{part} {year}"),
        }
    }

    /// A day without its year: `6月3日`, `3 June`.
    pub fn date(self, date: civil::Date) -> String {
        match self {
            Language::Zh => format!("{}月{}日", date.month(), date.day()),
            Language::En => date.strftime("%-d %B").to_string(),
        }
    }

    /// A moment on the clock of a zone: `6月3日 09:30`.
    pub fn moment(self, time: Timestamp, zone: &TimeZone) -> String {
        let local = time.to_zoned_datetime(zone.clone());
        format!("{} {}", self.date(local.date()), local.strftime("%H:%M"))
    }

    /// How long it has been, in its largest unit: `3 天`, `5 hours`.
    pub fn lasting(self, from: Timestamp, to: Timestamp) -> String {
        let minutes = to.duration_since(from).as_mins().max(0);
        let (count, zh, one, many) = match minutes {
            0..60 => (minutes, "分钟", "minute", "minutes"),
            60..2880 => (minutes / 60, "小时", "hour", "hours"),
            _ => (minutes / 1440, "天", "day", "days"),
        };
        match self {
            Language::Zh => format!("{count} {zh}"),
            Language::En => format!("{count} {}", if count == 1 { one } else { many }),
        }
    }
}

/// A ratio in percent: `104%`, `3.1%`, `0.4%`. What has not come to 100 % is never written as if it had: `99.7%`.
pub fn percent(ratio: f64) -> String {
    let percent = ratio * 100.0;
    let digits = if percent.abs() < 9.95 { 1 } else { 0 };
    let rounded = round_to(percent, digits);
    let written = match percent.abs() < 100.0 && rounded.abs() >= 100.0 {
        true => just_short(percent),
        false => rounded,
    };
    format!("{}%", grouped(written))
}

/// A percentage that would be rounded to 100, with one decimal, or as many as it takes; two are enough for the closest.
fn just_short(percent: f64) -> f64 {
    let tenths = round_to(percent, 1);
    match tenths.abs() < 100.0 {
        true => tenths,
        false => ((percent.abs() * 100.0).floor() / 100.0)
            .min(99.99)
            .copysign(percent),
    }
}

fn round_to(value: f64, decimals: i32) -> f64 {
    let scale = 10f64.powi(decimals);
    (value * scale).round() / scale
}

fn round_to_digits(value: f64, digits: i32) -> f64 {
    if value == 0.0 || !value.is_finite() {
        return value;
    }
    let decimals = digits - 1 - value.abs().log10().floor() as i32;
    if decimals >= 0 {
        round_to(value, decimals.min(9))
    } else {
        let scale = 10f64.powi(-decimals);
        (value / scale).round() * scale
    }
}

/// Thousands separated, a true minus sign.
fn grouped(value: f64) -> String {
    let text = format!("{}", value.abs());
    let (whole, fraction) = text
        .split_once('.')
        .map_or((text.as_str(), None), |(w, f)| (w, Some(f)));
    let mut out = String::with_capacity(text.len() + 4);
    if value < 0.0 {
        out.push('−');
    }
    for (i, digit) in whole.chars().enumerate() {
        if i > 0 && (whole.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    if let Some(fraction) = fraction {
        out.push('.');
        out.push_str(fraction);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_as_people_write_them() {
        for (value, zh, en) in [
            (0.0, "0", "0"),
            (0.03141592, "0.03142", "0.03142"),
            (12.5, "12.5", "12.5"),
            (1234.0, "1,234", "1,234"),
            (12345.0, "1.235万", "12,345"),
            (99_999_999.0, "1亿", "100M"),
            (-1_234_567.0, "−123.5万", "−1.235M"),
            (3.21e12, "3.21万亿", "3.21T"),
        ] {
            assert_eq!(Language::Zh.number(value), zh);
            assert_eq!(Language::En.number(value), en);
        }
    }

    #[test]
    fn units_stand_where_people_put_them() {
        assert_eq!(Language::Zh.quantity(1.5e6, Some("CNY")), "¥150万");
        assert_eq!(Language::En.quantity(-2e6, Some("USD")), "−$2M");
        assert_eq!(Language::En.quantity(12.0, Some("days")), "12 days");
        assert_eq!(Language::En.quantity(0.031, Some("%")), "3.1%");
    }

    #[test]
    fn percent_keeps_one_decimal_where_it_matters() {
        for (ratio, text) in [
            (1.043, "104%"),
            (0.0312, "3.1%"),
            (0.0, "0%"),
            (0.09996, "10%"),
            (-0.5, "−50%"),
            (1.003, "100%"),
        ] {
            assert_eq!(percent(ratio), text);
        }
    }

    #[test]
    fn what_falls_short_of_a_hundred_is_not_rounded_to_it() {
        for (ratio, text) in [
            (0.994, "99%"),
            (0.995, "99.5%"),
            (0.997, "99.7%"),
            (0.9996, "99.96%"),
            (0.999_999, "99.99%"),
            (-0.997, "−99.7%"),
            (1.0, "100%"),
        ] {
            assert_eq!(percent(ratio), text);
        }
    }

    #[test]
    fn the_best_liked_language_wins() {
        for (header, language) in [
            ("zh-CN,zh;q=0.9,en;q=0.8", Some(Language::Zh)),
            ("fr, en-GB;q=0.5, zh;q=0.4", Some(Language::En)),
            ("de", None),
            ("zh;q=0, en;q=0.1", Some(Language::En)),
            ("", None),
        ] {
            assert_eq!(Language::from_accept(header), language, "{header}");
        }
    }

    #[test]
    fn periods_have_names() {
        let period = |kind, start: &str, end: &str| Period {
            kind,
            start: start.parse().unwrap(),
            end: end.parse().unwrap(),
        };
        for (period, id, zh, en) in [
            (
                period(PeriodKind::Month, "2026-06-01", "2026-07-01"),
                "2026-06",
                "2026年6月",
                "June 2026",
            ),
            (
                period(PeriodKind::Quarter, "2026-10-01", "2027-01-01"),
                "2026-Q4",
                "2026年第4季度",
                "Q4 2026",
            ),
            // A fiscal year from April: July to September is not the third quarter.
            (
                period(PeriodKind::Quarter, "2026-07-01", "2026-10-01"),
                "FY2026-Q2",
                "2026财年第2季度",
                "Q2 FY2026",
            ),
            (
                period(PeriodKind::Half, "2026-07-01", "2027-01-01"),
                "2026-H2",
                "2026年下半年",
                "H2 2026",
            ),
            (
                period(PeriodKind::Year, "2026-01-01", "2027-01-01"),
                "2026",
                "2026年",
                "2026",
            ),
            (
                period(PeriodKind::Year, "2026-04-06", "2027-04-06"),
                "FY2026",
                "2026财年",
                "FY2026",
            ),
            (
                period(PeriodKind::Week, "2026-11-23", "2026-11-30"),
                "2026-W48",
                "11月23日 – 11月29日",
                "23 November – 29 November",
            ),
            (
                period(PeriodKind::Day, "2026-11-24", "2026-11-25"),
                "2026-11-24",
                "11月24日",
                "24 November",
            ),
        ] {
            assert_eq!(Language::Zh.period(&period, id), zh);
            assert_eq!(Language::En.period(&period, id), en);
        }
    }
}

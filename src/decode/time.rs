//! Event times: RFC 3339, or a number of seconds, milliseconds, microseconds or nanoseconds since 1970.

use jiff::Timestamp;
use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;

use super::json::TimeUnit;
use super::{FieldValue, Reject};

/// 9999-12-31T00:00:00Z: nothing later is an event time.
const LATEST_MS: i64 = 253_402_214_400_000;

/// Reads an event time, in milliseconds since the epoch.
///
/// A number is taken as seconds below 10¹¹ (the year 5138), as milliseconds below 10¹⁴, as microseconds below 10¹⁷,
/// else as nanoseconds; with `dates_are_days` below 10⁶ (the year 4707) as days, and a
/// date is a time.
///
/// # Errors
/// Missing, not a time, before 1970 or after 9999.
pub(crate) fn event_time(value: FieldValue<'_>, dates_are_days: bool) -> Result<i64, Reject> {
    let ms = match value {
        FieldValue::Missing => return Err(Reject::MissingTime),
        FieldValue::Text(text) if dates_are_days && text.len() == 10 => {
            text.parse::<Date>().ok().map(|day| {
                let [year, month, day] = [
                    i64::from(day.year()),
                    i64::from(day.month()),
                    i64::from(day.day()),
                ];
                days_from_civil(year, month, day) * 86_400_000
            })
        }
        FieldValue::Text(text) => rfc3339(text.as_bytes())
            .or_else(|| text.parse::<Timestamp>().ok().map(Timestamp::as_millisecond))
            .or_else(|| epoch(text)),
        FieldValue::Number(text) if dates_are_days && text.len() <= 6 => {
            text.parse::<i64>().ok().map(|days| days * 86_400_000)
        }
        FieldValue::Number(text) => epoch(text),
        FieldValue::Bool(_) | FieldValue::Composite => None,
    };
    ms.filter(|ms| (0..=LATEST_MS).contains(ms))
        .ok_or(Reject::InvalidTime)
}

/// A time that may be written as the clocks on the wall of `zone` show it, without an offset. An hour that comes twice
/// when clocks go back is the first of the two; one that is skipped counts on from the hour before (RFC 5545, 3.3.5).
///
/// # Errors
/// As [`event_time`].
pub(super) fn local_time(value: FieldValue<'_>, zone: &TimeZone) -> Result<i64, Reject> {
    let FieldValue::Text(text) = value else {
        return Err(Reject::InvalidTime);
    };
    let on_the_wall = text
        .trim()
        .parse::<DateTime>()
        .or_else(|_| text.trim().replace('/', "-").parse());
    let ms = on_the_wall.ok().and_then(|time| moment(time, zone));
    ms.filter(|ms| (0..=LATEST_MS).contains(ms))
        .ok_or(Reject::InvalidTime)
}

/// A time whose unit is known. One that is written by the clocks on the wall is a moment in `zone`, as [`local_time`]
/// reads it.
///
/// # Errors
/// No moment, before 1970 or after 9999; a time by the clocks on the wall without a zone.
pub(super) fn in_unit(text: &str, unit: TimeUnit, zone: Option<&TimeZone>) -> Result<i64, Reject> {
    let number: i64 = text.parse().map_err(|_| Reject::InvalidTime)?;
    let ms = match unit {
        TimeUnit::Millis | TimeUnit::LocalMillis => number,
        TimeUnit::Micros | TimeUnit::LocalMicros => number.div_euclid(1000),
        TimeUnit::Nanos | TimeUnit::LocalNanos => number.div_euclid(1_000_000),
        TimeUnit::NoInstant => return Err(Reject::InvalidTime),
    };
    let ms = match (unit, zone) {
        (TimeUnit::LocalMillis | TimeUnit::LocalMicros | TimeUnit::LocalNanos, None) => None,
        (TimeUnit::LocalMillis | TimeUnit::LocalMicros | TimeUnit::LocalNanos, Some(zone)) => {
            on_the_wall(ms).and_then(|time| moment(time, zone))
        }
        _ => Some(ms),
    };
    ms.filter(|ms| (0..=LATEST_MS).contains(ms))
        .ok_or(Reject::InvalidTime)
}

/// What the clocks show so many milliseconds after they showed the beginning of 1970.
fn on_the_wall(ms: i64) -> Option<DateTime> {
    let at = Timestamp::from_millisecond(ms).ok()?;
    Some(TimeZone::UTC.to_datetime(at))
}

fn moment(time: DateTime, zone: &TimeZone) -> Option<i64> {
    zone.to_timestamp(time).ok().map(Timestamp::as_millisecond)
}

fn epoch(text: &str) -> Option<i64> {
    let number: f64 = match text.parse::<i64>() {
        Ok(whole) => {
            return match whole.unsigned_abs() {
                0..100_000_000_000 => whole.checked_mul(1000),
                100_000_000_000..100_000_000_000_000 => Some(whole),
                100_000_000_000_000..100_000_000_000_000_000 => Some(whole / 1000),
                _ => Some(whole / 1_000_000),
            };
        }
        Err(_) => text.parse().ok()?,
    };
    // Fractions are of seconds, as most languages print them.
    (number.abs() < 1e11).then_some((number * 1000.0) as i64)
}

/// The common form `2026-06-01T09:30:00[.123](Z|±08:00)`; `None` for any other, which the slow path then reads.
fn rfc3339(b: &[u8]) -> Option<i64> {
    let (head, rest) = b.split_first_chunk::<19>()?;
    if head[4] != b'-'
        || head[7] != b'-'
        || !matches!(head[10], b'T' | b't' | b' ')
        || head[13] != b':'
        || head[16] != b':'
    {
        return None;
    }
    let two = |at: usize| two_digits([head[at], head[at + 1]]);
    let year = two(0)? * 100 + two(2)?;
    let (month, day, hour, minute, second) = (two(5)?, two(8)?, two(11)?, two(14)?, two(17)?);
    let days_in_month = match month {
        4 | 6 | 9 | 11 => 30,
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        1..=12 => 31,
        _ => return None,
    };
    if !(1..=days_in_month).contains(&day) || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let mut rest = rest;
    let mut millis = 0;
    if let Some((b'.', fraction)) = rest.split_first() {
        let digits = fraction.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let weights = [100, 10, 1];
        millis = std::iter::zip(&fraction[..digits], weights)
            .map(|(digit, weight)| i64::from(digit - b'0') * weight)
            .sum();
        rest = &fraction[digits..];
    }
    let offset_minutes = match rest {
        [b'Z' | b'z'] => 0,
        [sign @ (b'+' | b'-'), a, b, b':', c, d] => {
            let minutes = two_digits([*a, *b])? * 60 + two_digits([*c, *d])?;
            if *sign == b'-' { -minutes } else { minutes }
        }
        _ => return None,
    };
    let seconds =
        days_from_civil(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second - offset_minutes * 60;
    Some(seconds * 1000 + millis)
}

#[inline]
fn two_digits([high, low]: [u8; 2]) -> Option<i64> {
    let (high, low) = (high.wrapping_sub(b'0'), low.wrapping_sub(b'0'));
    (high < 10 && low < 10).then_some(i64::from(high) * 10 + i64::from(low))
}

/// Days since 1970-01-01 (Howard Hinnant, "chrono-compatible low-level date algorithms", 2013).
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * (if month > 2 { month - 3 } else { month + 9 }) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_what_clocks_on_the_wall_show() {
        let zone = TimeZone::get("Europe/Berlin").unwrap();
        for (text, expected) in [
            ("2026-06-01T09:30:00", "2026-06-01T07:30:00Z"),
            ("2026-06-01 09:30:00.250", "2026-06-01T07:30:00.25Z"),
            ("2026/06/01 09:30:00", "2026-06-01T07:30:00Z"),
            ("2026-06-01", "2026-05-31T22:00:00Z"),
            // Clocks go back at 3: the first of the two.
            ("2026-10-25 02:30:00", "2026-10-25T00:30:00Z"),
            // Clocks go forward at 2: half an hour after it.
            ("2026-03-29 02:30:00", "2026-03-29T01:30:00Z"),
        ] {
            let expected: Timestamp = expected.parse().unwrap();
            let read = local_time(FieldValue::Text(text), &zone);
            assert_eq!(read, Ok(expected.as_millisecond()), "{text}");
        }
        for text in ["", "09:30", "01.06.2026 09:30", "1969-06-01"] {
            assert_eq!(
                local_time(FieldValue::Text(text), &zone),
                Err(Reject::InvalidTime),
                "{text}"
            );
        }
    }

    #[test]
    fn reads_the_usual_forms() {
        let expected = Ok(1_780_277_400_000);
        for text in [
            "2026-06-01T09:30:00+08:00",
            "2026-06-01T01:30:00Z",
            "2026-06-01 01:30:00.000Z",
            "2026-06-01T01:30:00.0004Z",
        ] {
            assert_eq!(event_time(FieldValue::Text(text), false), expected, "{text}");
        }
        for number in [
            "1780277400",
            "1780277400000",
            "1780277400000000",
            "1780277400000000000",
            "1780277400.0",
        ] {
            assert_eq!(
                event_time(FieldValue::Number(number), false),
                expected,
                "{number}"
            );
        }
        for text in [
            "",
            "yesterday",
            "2026-02-30T00:00:00Z",
            "2026-06-01",
            "1e400",
            "NaN",
            "1969-12-31T23:59:59Z",
        ] {
            assert_eq!(
                event_time(FieldValue::Text(text), false),
                Err(Reject::InvalidTime),
                "{text}"
            );
        }
        assert_eq!(event_time(FieldValue::Missing, false), Err(Reject::MissingTime));
        assert_eq!(
            event_time(FieldValue::Number("20605"), true),
            Ok(1_780_272_000_000)
        );
        assert_eq!(event_time(FieldValue::Number("1780277400"), true), expected);
    }

    proptest! {
        #[test]
        fn the_fast_path_reads_what_jiff_reads(ms in 0i64..LATEST_MS, offset in -11i32..12) {
            let at = Timestamp::from_millisecond(ms).unwrap();
            let utc = at.to_string();
            prop_assert_eq!(rfc3339(utc.as_bytes()), Some(ms), "{}", utc);
            let zone = jiff::tz::TimeZone::fixed(jiff::tz::offset(offset as i8));
            let local = at.to_zoned_datetime(zone).strftime("%Y-%m-%dT%H:%M:%S%.f%:z").to_string();
            prop_assert_eq!(rfc3339(local.as_bytes()), Some(ms), "{}", local);
        }
    }
}

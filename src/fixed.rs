//! Exact decimal numbers: sums must not depend on the order in which events arrive.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A fixed-point number in units of 10⁻⁶, kept in an `i128`.
///
/// Sums of `Fixed` are exact and independent of order. A single value from an event is limited to
/// ±10¹⁸ ([`Fixed::MAX_INPUT`]), so that a sum overflows only after 10¹⁴ events of that size.
///
/// It asks for the alignment of 8 bytes, not for the 16 of its number: millions of them stand in cells beside smaller words.
#[repr(Rust, packed(8))]
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Debug, Serialize, Deserialize)]
pub struct Fixed(i128);

/// Why a text is not a usable number.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum FixedError {
    /// The text is not a decimal number as JSON writes it.
    #[error("not a number")]
    NotANumber,
    /// The number is beyond ±10¹⁸.
    #[error("number out of range (limit is 1e18)")]
    OutOfRange,
}

impl Fixed {
    /// Zero.
    pub const ZERO: Fixed = Fixed(0);
    /// One.
    pub const ONE: Fixed = Fixed(Self::SCALE);
    /// The largest magnitude accepted from one event.
    pub const MAX_INPUT: Fixed = Fixed(1_000_000_000_000_000_000 * Self::SCALE);
    const SCALE: i128 = 1_000_000;

    /// A number from its count of 10⁻⁶ units.
    pub const fn from_micros(micros: i128) -> Self {
        Fixed(micros)
    }

    /// The count of 10⁻⁶ units.
    pub const fn micros(self) -> i128 {
        self.0
    }

    /// A whole number.
    pub const fn from_int(value: i64) -> Self {
        Fixed(value as i128 * Self::SCALE)
    }

    /// The sum, or `None` where it leaves the range of `i128`.
    pub fn checked_add(self, other: Fixed) -> Option<Fixed> {
        self.0.checked_add(other.0).map(Fixed)
    }

    /// The sum, held at the ends of `i128`'s range.
    pub fn saturating_add(self, other: Fixed) -> Fixed {
        Fixed(self.0.saturating_add(other.0))
    }

    /// Difference that stops at the end of the range.
    #[must_use]
    pub fn saturating_sub(self, other: Fixed) -> Fixed {
        Fixed(self.0.saturating_sub(other.0))
    }

    /// The nearest `f64`, for ratios and display.
    #[inline]
    pub fn to_f64(self) -> f64 {
        // Whole part and fraction apart: values up to 2^53 then keep their digits.
        if let Ok(micros) = i64::try_from(self.0) {
            // The same in a machine word, into which most days fit: a division of 128 bits is a call.
            const SCALE: i64 = Fixed::SCALE as i64;
            return (micros / SCALE) as f64 + (micros % SCALE) as f64 / SCALE as f64;
        }
        self.large_to_f64()
    }

    /// The same of what does not fit.
    #[cold]
    fn large_to_f64(self) -> f64 {
        let whole = self.0 / Self::SCALE;
        let rest = self.0 % Self::SCALE;
        whole as f64 + rest as f64 / Self::SCALE as f64
    }

    /// Reads a decimal number such as `-12.5` or `1e3`. Digits past the sixth decimal round half to even.
    ///
    /// # Errors
    /// [`FixedError`] when the text is no number or too large.
    pub fn parse(text: &str) -> Result<Fixed, FixedError> {
        match Fixed::parse_short(text.as_bytes()) {
            Some(number) => Ok(number),
            None => Fixed::parse_any(text),
        }
    }

    /// What most numbers are: up to 18 characters, at most six of them behind the point, no exponent. `None` for any
    /// other text, also for one that is no number.
    #[inline]
    fn parse_short(text: &[u8]) -> Option<Fixed> {
        const POWERS: [u32; 7] = [1_000_000, 100_000, 10_000, 1_000, 100, 10, 1];
        let (is_negative, text) = match text.split_first() {
            Some((b'-', rest)) => (true, rest),
            _ => (false, text),
        };
        if text.is_empty() || text.len() > 18 {
            return None;
        }
        let mut digits: u64 = 0;
        let mut point = None;
        for (at, byte) in text.iter().enumerate() {
            let digit = byte.wrapping_sub(b'0');
            if digit < 10 {
                digits = digits * 10 + u64::from(digit);
            } else if *byte == b'.' && point.is_none() && at > 0 {
                point = Some(at);
            } else {
                return None;
            }
        }
        let decimals = point.map_or(0, |at| text.len() - at - 1);
        if point.is_some() && decimals == 0 {
            return None;
        }
        let micros = i128::from(digits) * i128::from(*POWERS.get(decimals)?);
        Some(Fixed(if is_negative { -micros } else { micros }))
    }

    fn parse_any(text: &str) -> Result<Fixed, FixedError> {
        let bytes = text.as_bytes();
        let (negative, mut at) = match bytes.first() {
            Some(b'-') => (true, 1),
            _ => (false, 0),
        };
        let mut digits: i128 = 0;
        let mut scale: i32 = 0; // digits kept after the point
        let mut seen_digit = false;
        let mut seen_point = false;
        let mut dropped_half = Dropped::Nothing;
        while let Some(&b) = bytes.get(at) {
            match b {
                b'0'..=b'9' => {
                    seen_digit = true;
                    if digits < 10_i128.pow(36) {
                        digits = digits * 10 + i128::from(b - b'0');
                        scale += i32::from(seen_point);
                    } else {
                        dropped_half = dropped_half.and(b - b'0');
                        scale -= i32::from(!seen_point);
                    }
                }
                b'.' if !seen_point && seen_digit => seen_point = true,
                b'e' | b'E' if seen_digit => break,
                _ => return Err(FixedError::NotANumber),
            }
            at += 1;
        }
        if !seen_digit || (seen_point && bytes[at - 1] == b'.') {
            return Err(FixedError::NotANumber);
        }
        let exponent: i32 = if at < bytes.len() {
            let text = &text[at + 1..];
            let sign_free = text.strip_prefix(['+', '-']).unwrap_or(text);
            if sign_free.is_empty() || !sign_free.bytes().all(|b| b.is_ascii_digit()) {
                return Err(FixedError::NotANumber);
            }
            // An exponent too long for i32 is either zero times it, too large, or nothing.
            text.parse()
                .unwrap_or(if text.starts_with('-') { -100_000 } else { 100_000 })
        } else {
            0
        };
        if digits == 0 {
            return Ok(Fixed::ZERO);
        }
        let shift = exponent.saturating_sub(scale).saturating_add(6);
        let micros = if shift >= 0 {
            let factor = 10_i128
                .checked_pow(shift.unsigned_abs())
                .ok_or(FixedError::OutOfRange)?;
            digits.checked_mul(factor).ok_or(FixedError::OutOfRange)?
        } else {
            match 10_i128.checked_pow(shift.unsigned_abs()) {
                Some(divisor) => round_half_even(digits, divisor, dropped_half),
                None => 0,
            }
        };
        if micros > Self::MAX_INPUT.0 {
            return Err(FixedError::OutOfRange);
        }
        Ok(Fixed(if negative { -micros } else { micros }))
    }
}

/// What was cut off behind the digits that were kept.
#[derive(Clone, Copy, PartialEq)]
enum Dropped {
    Nothing,
    Something,
}

impl Dropped {
    fn and(self, digit: u8) -> Dropped {
        if digit == 0 { self } else { Dropped::Something }
    }
}

fn round_half_even(digits: i128, divisor: i128, dropped: Dropped) -> i128 {
    let (quotient, rest) = (digits / divisor, digits % divisor);
    let up = match (rest * 2).cmp(&divisor) {
        std::cmp::Ordering::Greater => true,
        std::cmp::Ordering::Equal => dropped == Dropped::Something || quotient % 2 == 1,
        std::cmp::Ordering::Less => false,
    };
    quotient + i128::from(up)
}

impl fmt::Display for Fixed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let magnitude = self.0.unsigned_abs();
        let (whole, rest) = (
            magnitude / Self::SCALE.unsigned_abs(),
            magnitude % Self::SCALE.unsigned_abs(),
        );
        let sign = if self.0 < 0 { "-" } else { "" };
        if rest == 0 {
            write!(f, "{sign}{whole}")
        } else {
            let digits = format!("{rest:06}");
            write!(f, "{sign}{whole}.{}", digits.trim_end_matches('0'))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_json_writes() {
        for (text, micros) in [
            ("0", 0),
            ("-0", 0),
            ("12.5", 12_500_000),
            ("-0.000001", -1),
            ("1e3", 1_000_000_000),
            ("1.5E-3", 1_500),
            ("0.0000005", 0),
            ("0.0000015", 2),
            ("0.0000025", 2),
            ("0.00000250000000000000000000000000000000000000000001", 3),
            ("1e-999999999999", 0),
            ("0e999999999999", 0),
            ("1000000000000000000", 1_000_000_000_000_000_000_000_000),
        ] {
            assert_eq!(Fixed::parse(text), Ok(Fixed(micros)), "{text}");
        }
    }

    #[test]
    fn refuses_what_is_no_number_or_too_large() {
        for text in [
            "", "-", ".5", "5.", "1e", "1e+", "abc", "1_000", "NaN", "1.2.3", "0x10",
        ] {
            assert_eq!(Fixed::parse(text), Err(FixedError::NotANumber), "{text}");
        }
        for text in [
            "1e300",
            "1000000000000000000.000001",
            "99999999999999999999999999999999999999999999",
            "1e999999999999",
        ] {
            assert_eq!(Fixed::parse(text), Err(FixedError::OutOfRange), "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn short_numbers_are_read_as_any(text in "-?[0-9]{0,10}(\\.[0-9]{0,8})?[eE.x -]?") {
            if let Some(short) = Fixed::parse_short(text.as_bytes()) {
                proptest::prop_assert_eq!(Ok(short), Fixed::parse_any(&text));
            }
        }
    }

    #[test]
    fn a_number_is_the_same_on_both_sides_of_a_machine_word() {
        let edge = i128::from(i64::MAX);
        for (micros, number) in [
            (edge, 9_223_372_036_854.775),
            (edge + 1, 9_223_372_036_854.775),
            (-edge - 1, -9_223_372_036_854.775),
            (-edge - 2, -9_223_372_036_854.775),
            (edge * 1_000_000, 9_223_372_036_854_775_807.0),
        ] {
            assert_eq!(Fixed(micros).to_f64(), number, "{micros}");
        }
        assert_eq!(Fixed(-12_500_000).to_f64(), -12.5);
    }

    #[test]
    fn displays_without_padding() {
        assert_eq!(Fixed::parse("-12.50").unwrap().to_string(), "-12.5");
        assert_eq!(Fixed::from_int(3).to_string(), "3");
    }
}

//! Numbers of Avro as text, exactly as they are.

use std::fmt::{Result, Write};

/// Longest unscaled decimal that is written digit by digit, in bytes: about 150 digits.
const MOST_BYTES: usize = 64;
/// Most decimals that are written out; more are written as an exponent.
const MOST_DECIMALS: usize = 100;

/// The shortest text that is this number and no other.
pub(super) fn write_f64(text: &mut String, value: f64) -> Result {
    if value == 0.0 || !value.is_finite() || (1e-6..1e21).contains(&value.abs()) {
        write!(text, "{value}")
    } else {
        write!(text, "{value:e}")
    }
}

/// The same in single precision: 0.1 is written as 0.1.
pub(super) fn write_f32(text: &mut String, value: f32) -> Result {
    if value == 0.0 || !value.is_finite() || (1e-6..1e21).contains(&value.abs()) {
        write!(text, "{value}")
    } else {
        write!(text, "{value:e}")
    }
}

/// A decimal: two's complement, the high byte first, times 10 to the power of -`scale`.
pub(super) fn write_decimal(text: &mut String, bytes: &[u8], scale: usize) -> Result {
    let negative = bytes.first().is_some_and(|byte| byte & 0x80 != 0);
    let filler = if negative { 0xff } else { 0 };
    let first = bytes
        .iter()
        .position(|byte| *byte != filler)
        .unwrap_or(bytes.len());
    let significant = &bytes[first..];
    if negative {
        text.push('-');
    }
    let digits = text.len();
    if significant.len() < size_of::<i128>() {
        let start = if negative { -1i128 } else { 0 };
        let value = significant
            .iter()
            .fold(start, |value, byte| value << 8 | i128::from(*byte));
        write!(text, "{}", value.unsigned_abs())?;
    } else if significant.len() <= MOST_BYTES {
        write_long(text, significant, negative);
    } else {
        // Beyond everything that is summed.
        return text.write_str("1e999");
    }
    if scale > MOST_DECIMALS {
        return write!(text, "e-{scale}");
    }
    if scale > 0 {
        let count = text.len() - digits;
        for _ in count..=scale {
            text.insert(digits, '0');
        }
        text.insert(text.len() - scale, '.');
    }
    Ok(())
}

/// The digits of a number that no integer holds: divided by 10⁹ again and again.
fn write_long(text: &mut String, bytes: &[u8], negative: bool) {
    const BILLION: u64 = 1_000_000_000;
    let mut magnitude = [0u8; MOST_BYTES + 1];
    let start = magnitude.len() - bytes.len();
    magnitude[start..].copy_from_slice(bytes);
    if negative {
        // The bytes left out are all ones, and their complement is zero; of the smallest number one is carried there.
        let mut carry = true;
        for byte in magnitude[start..].iter_mut().rev() {
            let (sum, over) = (!*byte).overflowing_add(u8::from(carry));
            (*byte, carry) = (sum, over);
        }
        magnitude[start - 1] = u8::from(carry);
    }
    let mut groups = [0u64; MOST_BYTES / 3 + 1];
    let mut count = 0;
    while magnitude.iter().any(|byte| *byte != 0) {
        let mut rest = 0u64;
        for byte in &mut magnitude {
            let part = rest << 8 | u64::from(*byte);
            *byte = (part / BILLION) as u8;
            rest = part % BILLION;
        }
        groups[count] = rest;
        count += 1;
    }
    for (n, group) in groups[..count].iter().rev().enumerate() {
        // Writing to a String does not fail.
        let _ = if n == 0 {
            write!(text, "{group}")
        } else {
            write!(text, "{group:09}")
        };
    }
}

/// A UUID as people write it.
pub(super) fn write_uuid(text: &mut String, bytes: &[u8; 16]) -> Result {
    for (n, byte) in bytes.iter().enumerate() {
        if matches!(n, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        write!(text, "{byte:02x}")?;
    }
    Ok(())
}

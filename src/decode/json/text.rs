//! What stands in a JSON document as text: escapes, and the grammar of numbers.

use crate::decode::Reject;

/// Appends the text between `start` and `end` to the scratch buffer, escapes resolved.
///
/// # Errors
/// When an escape is none of JSON's.
pub(super) fn unescape(text: &str, start: usize, end: usize, scratch: &mut String) -> Result<(), Reject> {
    let wrong = Reject::InvalidJson {
        at: start,
        what: "a text has an unknown escape",
    };
    let mut rest = &text[start..end];
    while let Some(at) = rest.find('\\') {
        scratch.push_str(&rest[..at]);
        let code = rest.as_bytes().get(at + 1).copied().ok_or(wrong)?;
        let mut after = at + 2;
        scratch.push(match code {
            b'"' | b'\\' | b'/' => char::from(code),
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => {
                let high = hex(rest, after).ok_or(wrong)?;
                after += 4;
                let code = if (0xD800..0xDC00).contains(&high) {
                    let low = rest
                        .get(after..after + 2)
                        .filter(|text| *text == "\\u")
                        .and_then(|_| hex(rest, after + 2));
                    let low = low.filter(|low| (0xDC00..0xE000).contains(low)).ok_or(wrong)?;
                    after += 6;
                    0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00)
                } else {
                    high
                };
                char::from_u32(code).ok_or(wrong)?
            }
            _ => return Err(wrong),
        });
        rest = &rest[after..];
    }
    scratch.push_str(rest);
    Ok(())
}

/// Whether a token is a number of JSON's grammar: no leading zero, digits on both sides of the point.
pub(super) fn is_number(token: &[u8]) -> bool {
    let digits = |bytes: &[u8]| bytes.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let mut rest = token.strip_prefix(b"-").unwrap_or(token);
    let whole = digits(rest);
    if whole == 0 || (whole > 1 && rest[0] == b'0') {
        return false;
    }
    rest = &rest[whole..];
    if let Some(fraction) = rest.strip_prefix(b".") {
        let count = digits(fraction);
        if count == 0 {
            return false;
        }
        rest = &fraction[count..];
    }
    if let Some(exponent) = rest.strip_prefix(b"e").or(rest.strip_prefix(b"E")) {
        let exponent = exponent
            .strip_prefix(b"+")
            .or(exponent.strip_prefix(b"-"))
            .unwrap_or(exponent);
        return !exponent.is_empty() && digits(exponent) == exponent.len();
    }
    rest.is_empty()
}

fn hex(text: &str, at: usize) -> Option<u32> {
    let digits = text.get(at..at + 4)?;
    digits
        .bytes()
        .all(|b| b.is_ascii_hexdigit())
        .then(|| u32::from_str_radix(digits, 16).ok())?
}

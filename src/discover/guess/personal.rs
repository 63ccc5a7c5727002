//! Fields that look like personal data: they are left out, whatever else they would be good for.

use super::words::{self, any};
use crate::discover::observe::Values;

/// Why a field looks like personal data; `None` when it does not.
pub(super) fn personal(path: &[String], values: &Values) -> Option<String> {
    let leaf = words::words(path.last().map_or("", String::as_str));
    let above: Vec<String> = path[..path.len().saturating_sub(1)]
        .iter()
        .flat_map(|key| words::words(key))
        .collect();
    let has = |word: &str| leaf.iter().any(|own| own == word);
    if any(&leaf, &words::PERSONAL)
        || words::PERSONAL_PAIRS
            .iter()
            .any(|(one, other)| has(one) && has(other))
    {
        return Some("looks like personal data by its name".to_owned());
    }
    let is_name = any(&leaf, &words::NAME);
    if is_name && (any(&above, &words::PERSON) || any(&leaf, &words::PERSON)) {
        return Some("looks like the name of a person".to_owned());
    }
    // A bare name that hardly repeats is more likely a person's than a shop's.
    if is_name
        && leaf.len() == 1
        && above.is_empty()
        && values.distinct() * 2 > values.seen
        && values.seen > 20
    {
        return Some("may be the name of a person: hardly a value comes twice".to_owned());
    }
    type Form = (&'static str, fn(&str) -> bool);
    let kinds: [Form; 4] = [
        ("e-mail addresses", is_mail),
        ("mobile numbers", is_mobile),
        ("identity cards", is_identity_card),
        ("IP addresses", |text| text.parse::<std::net::IpAddr>().is_ok()),
    ];
    kinds
        .into_iter()
        .find(|(_, is_it)| {
            let matching: usize = values
                .counts
                .iter()
                .filter(|(value, _)| is_it(value.trim()))
                .map(|(_, n)| n)
                .sum();
            matching > 0 && matching * 2 >= values.seen
        })
        .map(|(what, _)| format!("looks like personal data: its values have the form of {what}"))
}

fn is_mail(text: &str) -> bool {
    let Some((user, host)) = text.split_once('@') else {
        return false;
    };
    !user.is_empty() && host.contains('.') && !host.contains('@') && !text.contains(char::is_whitespace)
}

/// A mobile number of mainland China, or any number in the international form `+49…`.
fn is_mobile(text: &str) -> bool {
    let digits: String = text
        .chars()
        .filter(|c| !matches!(c, ' ' | '-' | '(' | ')'))
        .collect();
    if let Some(international) = digits.strip_prefix('+') {
        return (8..=15).contains(&international.len()) && international.bytes().all(|b| b.is_ascii_digit());
    }
    let bytes = digits.as_bytes();
    bytes.len() == 11
        && bytes.iter().all(u8::is_ascii_digit)
        && bytes[0] == b'1'
        && (b'3'..=b'9').contains(&bytes[1])
}

/// An identity card of mainland China: 17 digits and their check digit (GB 11643, ISO 7064 MOD 11-2).
fn is_identity_card(text: &str) -> bool {
    const WEIGHTS: [u32; 17] = [7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2];
    const CHECK: &[u8; 11] = b"10X98765432";
    let bytes = text.as_bytes();
    if bytes.len() != 18 || !bytes[..17].iter().all(u8::is_ascii_digit) {
        return false;
    }
    let sum: u32 = bytes
        .iter()
        .zip(WEIGHTS)
        .map(|(digit, weight)| u32::from(digit - b'0') * weight)
        .sum();
    bytes[17].to_ascii_uppercase() == CHECK[(sum % 11) as usize]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_of_personal_data() {
        for (text, mail, mobile, card) in [
            ("li.lei@example.com", true, false, false),
            ("13800138000", false, true, false),
            ("+86 138-0013-8000", false, true, false),
            ("11010519491231002X", false, false, true),
            ("110105194912310021", false, false, false),
            ("o-17", false, false, false),
        ] {
            assert_eq!(
                (is_mail(text), is_mobile(text), is_identity_card(text)),
                (mail, mobile, card),
                "{text}"
            );
        }
    }
}

//! A payload with several events, cut into the pieces that hold one each.

use memchr::memchr_iter;
use tautline_native::marks::Marks;

use super::Reject;
use super::json::{Paths, Scanner};

/// The place of one event in a payload, in bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Piece {
    /// Its number, from 0: the line, blank ones counted, or the element.
    pub(super) index: u32,
    pub(super) start: usize,
    pub(super) end: usize,
}

/// Every line that is not blank. What stands in a line is not looked at: a bad one spoils itself only.
pub(super) fn lines(payload: &[u8], found: &mut Vec<Piece>) {
    found.clear();
    let mut start = 0;
    let ends = memchr_iter(b'\n', payload).chain([payload.len()]);
    for (index, end) in (0u32..).zip(ends) {
        if !payload[start..end].trim_ascii().is_empty() {
            found.push(Piece { index, start, end });
        }
        start = end + 1;
    }
}

/// Every element of a JSON array.
///
/// # Errors
/// When it is no array, or when its frame (brackets, texts, commas) is broken: where its elements begin and end is
/// then not known, and none of them is taken.
pub(super) fn elements(payload: &str, found: &mut Vec<Piece>) -> Result<(), Reject> {
    found.clear();
    let (mut nowhere, mut unused, mut marks) = (Paths::none(), String::new(), Marks::default());
    let mut scanner = Scanner::new(payload, &mut nowhere, &mut [], &mut unused, &mut marks);
    scanner.space();
    if scanner.peek() != Some(b'[') {
        return Err(match scanner.peek() {
            Some(b'{') => Reject::NotAnArray,
            _ => scanner.wrong("expected an array of objects"),
        });
    }
    scanner.at += 1;
    scanner.space();
    if scanner.peek() == Some(b']') {
        scanner.at += 1;
        return scanner.end("something follows the array");
    }
    for index in 0u32.. {
        let start = scanner.at;
        scanner.skip(0)?;
        found.push(Piece {
            index,
            start,
            end: scanner.at,
        });
        scanner.space();
        match scanner.peek() {
            Some(b',') => scanner.at += 1,
            Some(b']') => break,
            _ => return Err(scanner.wrong("expected ',' or ']'")),
        }
        scanner.space();
    }
    scanner.at += 1;
    scanner.end("something follows the array")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn cut(payload: &str) -> Result<Vec<&str>, Reject> {
        let mut found = Vec::new();
        elements(payload, &mut found)?;
        Ok(found
            .iter()
            .map(|piece| &payload[piece.start..piece.end])
            .collect())
    }

    #[test]
    fn lines_keep_their_number_over_blank_ones() {
        let mut found = Vec::new();
        lines(b"{}\n\n  \r\n{\"a\": 1}\r\n", &mut found);
        let places: Vec<(u32, usize, usize)> = found.iter().map(|p| (p.index, p.start, p.end)).collect();
        assert_eq!(places, [(0, 0, 2), (3, 8, 17)]);
    }

    #[test]
    fn an_array_is_cut_at_its_commas_or_refused_whole() {
        assert_eq!(cut(" [ ] "), Ok(vec![]));
        assert_eq!(
            cut(r#" [{"a": "],["}, 7 ,[1, [2]], null ]"#),
            Ok(vec![r#"{"a": "],["}"#, "7", "[1, [2]]", "null"])
        );
        for (payload, reason) in [
            ("{}", "not_an_array"),
            ("", "invalid_json"),
            ("7", "invalid_json"),
            ("[", "invalid_json"),
            ("[1", "invalid_json"),
            ("[1,]", "invalid_json"),
            ("[1 2]", "invalid_json"),
            ("[{]", "invalid_json"),
            ("[\"a]", "invalid_json"),
            ("[1] 2", "invalid_json"),
        ] {
            assert_eq!(
                cut(payload).map_err(|reject| reject.reason()),
                Err(reason),
                "{payload}"
            );
        }
    }

    proptest! {
        /// The pieces are what a full parser finds.
        #[test]
        fn elements_are_those_of_a_full_parser(values in proptest::collection::vec(super::super::tests::any_json(), 0..6), pretty: bool) {
            let array = serde_json::Value::Array(values.clone());
            let payload = if pretty { serde_json::to_string_pretty(&array).unwrap() } else { array.to_string() };
            let found: Vec<serde_json::Value> = cut(&payload).unwrap().iter().map(|text| serde_json::from_str(text).unwrap()).collect();
            prop_assert_eq!(found, values);
        }

        #[test]
        fn any_text_is_cut_or_refused(text in ".{0,60}") {
            let _ = cut(&format!("[{text}"));
            lines(text.as_bytes(), &mut Vec::new());
        }
    }
}

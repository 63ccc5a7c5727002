//! Text within limits: characters are counted, cut on their borders, and a cut is always seen.

/// What stands at the end of a text that was cut.
const CUT: char = '…';

/// Text that keeps to limits, and remembers whether it had to cut.
#[derive(Debug, Default)]
pub(super) struct Fitter {
    /// Whether anything was cut so far.
    pub(super) cut: bool,
}

impl Fitter {
    /// The text on one line, with `&`, `<` and `>` as Slack wants them, in `limit` characters at most as they are
    /// sent; an escape is never cut in two.
    pub(super) fn escaped(&mut self, text: &str, limit: usize) -> String {
        let escape = |char| match char {
            '&' => Some("&amp;"),
            '<' => Some("&lt;"),
            '>' => Some("&gt;"),
            _ => None,
        };
        self.fit(text, limit, |text| text.chars().count(), escape)
    }

    /// The text on one line, in `limit` characters at most.
    pub(super) fn characters(&mut self, text: &str, limit: usize) -> String {
        self.fit(text, limit, |text| text.chars().count(), |_| None)
    }

    /// The text on one line, with what `dress` gives in place of a character, in `limit` bytes at most as they are
    /// sent; three at least.
    pub(super) fn bytes(
        &mut self,
        text: &str,
        limit: usize,
        dress: impl Fn(char) -> Option<&'static str>,
    ) -> String {
        self.fit(text, limit, str::len, dress)
    }

    fn fit(
        &mut self,
        text: &str,
        limit: usize,
        size: impl Fn(&str) -> usize,
        dress: impl Fn(char) -> Option<&'static str>,
    ) -> String {
        let mut out = String::with_capacity(text.len().min(limit));
        let (mut used, mut room_for_cut) = (0, 0);
        let cut = CUT.to_string();
        for char in one_line(text) {
            let before = (used, out.len());
            match dress(char) {
                Some(dressed) => out.push_str(dressed),
                None => out.push(char),
            }
            used += size(&out[before.1..]);
            if before.0 + size(&cut) <= limit {
                room_for_cut = before.1;
            }
            if used > limit {
                self.cut = true;
                out.truncate(room_for_cut);
                out.push(CUT);
                break;
            }
        }
        out
    }

    /// The text on one line, in `limit` bytes at most as a JSON string holds them: `"` and `\\` are two there.
    pub(super) fn json_bytes(&mut self, text: &str, limit: usize) -> String {
        let size = |char: char| match char {
            '"' | '\\' => 2,
            other => other.len_utf8(),
        };
        let mut out = String::with_capacity(text.len().min(limit));
        let (mut used, mut room_for_cut) = (0, 0);
        for char in one_line(text) {
            if used + size(CUT) <= limit {
                room_for_cut = out.len();
            }
            used += size(char);
            out.push(char);
            if used > limit {
                self.cut = true;
                out.truncate(room_for_cut);
                out.push(CUT);
                break;
            }
        }
        out
    }
}

/// Line breaks and other controls would break the layout that the text is put into.
fn one_line(text: &str) -> impl Iterator<Item = char> {
    text.chars()
        .map(|char| if char.is_control() { ' ' } else { char })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_text_that_fits_is_kept_and_a_longer_one_ends_with_an_ellipsis() {
        for (text, limit, out) in [
            ("", 3, ""),
            ("abc", 3, "abc"),
            ("abcd", 3, "ab…"),
            ("营收没有", 4, "营收没有"),
            ("营收没有动", 4, "营收没…"),
            ("🔴🟠✅🔵", 3, "🔴🟠…"),
            ("a<b", 6, "a&lt;b"),
            ("a<b", 5, "a…"),
            ("a<bc", 6, "a&lt;…"),
            ("a<b", 4, "a…"),
            ("<!channel>", 10, "&lt;!chan…"),
            ("a\nb\tc", 9, "a b c"),
        ] {
            let mut fitter = Fitter::default();
            assert_eq!(fitter.escaped(text, limit), out, "{text} in {limit}");
            assert_eq!(fitter.cut, out.ends_with('…'), "{text} in {limit}");
        }
    }

    #[test]
    fn bytes_are_counted_as_they_are_sent_and_no_character_is_cut() {
        for (text, limit, out) in [
            ("营收", 6, "营收"),
            ("营收没", 8, "营…"),
            ("🔴🟠", 8, "🔴🟠"),
            ("🔴🟠", 7, "🔴…"),
            ("🔴🟠", 6, "…"),
            ("a<b", 5, "a＜b"),
            ("a<b", 4, "a…"),
        ] {
            let mut fitter = Fitter::default();
            let dress = |char| (char == '<').then_some("＜");
            assert_eq!(fitter.bytes(text, limit, dress), out, "{text} in {limit}");
            assert_eq!(fitter.cut, out.ends_with('…'), "{text} in {limit}");
        }
    }

    #[test]
    fn text_is_counted_in_bytes_of_json() {
        for (text, limit, out) in [
            ("abc", 3, "abc"),
            ("abcd", 3, "…"),
            ("abcdefg", 6, "abc…"),
            ("营收", 6, "营收"),
            ("营收a", 6, "营…"),
            ("🔴a", 5, "🔴a"),
            ("🔴ab", 5, "…"),
            ("\"\"", 4, "\"\""),
            ("\"\"a", 4, "…"),
            ("a\nb", 3, "a b"),
        ] {
            assert_eq!(
                Fitter::default().json_bytes(text, limit),
                out,
                "{text} in {limit}"
            );
        }
    }

    proptest! {
        #[test]
        fn no_text_is_larger_than_its_limit_in_json(text in "\\PC{0,60}|[\"\\\\a🔴营]{0,60}", limit in 3usize..50) {
            let mut fitter = Fitter::default();
            let out = fitter.json_bytes(&text, limit);
            prop_assert!(serde_json::Value::String(out.clone()).to_string().len() <= limit + 2);
            prop_assert_eq!(fitter.cut, out != one_line(&text).collect::<String>());
        }

        #[test]
        fn no_text_is_longer_than_its_limit_and_none_can_mention(text in "\\PC{0,60}|[<>&a🔴营]{0,60}", limit in 1usize..50) {
            let mut fitter = Fitter::default();
            let out = fitter.escaped(&text, limit);
            prop_assert!(out.chars().count() <= limit);
            prop_assert!(!out.contains(['<', '>']));
            let rest = out.replace("&amp;", "").replace("&lt;", "").replace("&gt;", "");
            prop_assert!(!rest.contains('&'), "{}", out);
            if fitter.cut {
                prop_assert!(out.ends_with('…'));
            } else {
                let shown = out.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&");
                prop_assert_eq!(shown, one_line(&text).collect::<String>());
            }
        }
    }
}

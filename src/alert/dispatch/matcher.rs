//! Conditions on labels, as Alertmanager writes them: `team="growth"`, `!=`, `=~` and `!~` with an anchored regular
//! expression. A missing label is empty.

use std::fmt;

use regex::Regex;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::alert::record::Labels;

/// One condition on one label.
#[derive(Clone, Debug)]
pub struct Matcher {
    /// Name of the label.
    pub name: String,
    /// The value, or the regular expression as it was written.
    pub value: String,
    /// Whether it must match, or must not.
    pub is_equal: bool,
    /// The compiled expression, of a matcher by regular expression.
    regex: Option<Regex>,
}

impl PartialEq for Matcher {
    fn eq(&self, other: &Matcher) -> bool {
        (&self.name, &self.value, self.is_equal, self.is_regex())
            == (&other.name, &other.value, other.is_equal, other.is_regex())
    }
}

impl Matcher {
    /// A condition.
    ///
    /// # Errors
    /// When the name is empty, or the regular expression cannot be read.
    pub fn new(name: &str, value: &str, is_regex: bool, is_equal: bool) -> Result<Matcher, String> {
        if name.is_empty() {
            return Err("a matcher needs the name of a label".to_owned());
        }
        let regex = is_regex
            .then(|| Regex::new(&format!("^(?s:{value})$")))
            .transpose()
            .map_err(|_| format!("'{value}' is no regular expression"))?;
        Ok(Matcher {
            name: name.to_owned(),
            value: value.to_owned(),
            is_equal,
            regex,
        })
    }

    /// Reads `team="growth"`; the quotes may be left out. A name may have some as well, and has to where it is no plain one.
    ///
    /// # Errors
    /// When it is none; the text says what to write.
    pub fn parse(text: &str) -> Result<Matcher, String> {
        let end = end_of_name(text)
            .ok_or_else(|| format!("'{text}' is no matcher; write severity=\"critical\""))?;
        let (name, rest) = text.split_at(end);
        let rest = rest.trim_start();
        let operators = [
            ("=~", true, true),
            ("!~", true, false),
            ("!=", false, false),
            ("=", false, true),
        ];
        let found = operators.iter().find_map(|(operator, is_regex, is_equal)| {
            Some((rest.strip_prefix(operator)?, *is_regex, *is_equal))
        });
        let Some((value, is_regex, is_equal)) = found else {
            return Err(format!("'{text}' is no matcher; known are =, !=, =~ and !~"));
        };
        let unquoted = |part: &str| unquoted(part.trim()).map_err(|reason| format!("'{text}': {reason}"));
        let (name, value) = (unquoted(name)?, unquoted(value)?);
        Matcher::new(&name, &value, is_regex, is_equal).map_err(|reason| format!("'{text}': {reason}"))
    }

    /// Whether it is one by regular expression.
    pub fn is_regex(&self) -> bool {
        self.regex.is_some()
    }

    /// Whether these labels meet it.
    pub fn matches(&self, labels: &Labels) -> bool {
        let value = labels.get(&self.name).map_or("", String::as_str);
        let is_met = match &self.regex {
            Some(regex) => regex.is_match(value),
            None => value == self.value,
        };
        is_met == self.is_equal
    }

    /// Whether it says something of one value: without such a matcher a silence matches nearly everything.
    pub fn is_narrow(&self) -> bool {
        self.is_equal && !self.value.is_empty() && !self.is_regex()
    }
}

/// Whether these labels meet all conditions.
pub fn matches_all(matchers: &[Matcher], labels: &Labels) -> bool {
    matchers.iter().all(|matcher| matcher.matches(labels))
}

/// Where the name of a matcher ends: at its operator, or behind its closing quote.
fn end_of_name(text: &str) -> Option<usize> {
    if !text.starts_with('"') {
        return text.find(['=', '!']);
    }
    let mut is_escaped = false;
    let closing = text.char_indices().skip(1).find(|(_, char)| {
        let closes = *char == '"' && !is_escaped;
        is_escaped = *char == '\\' && !is_escaped;
        closes
    });
    closing.map(|(at, _)| at + 1)
}

/// A name or a value in quotes, so that [`unquoted`] gives it back.
fn quoted(text: &str) -> String {
    let escaped = text
        .replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n");
    format!("\"{escaped}\"")
}

/// Whether a name stands without quotes: it has nothing in it that Alertmanager takes for something else.
fn is_plain(name: &str) -> bool {
    !name.contains(|char: char| char.is_whitespace() || "{}!=~,\\\"'`".contains(char))
}

fn unquoted(text: &str) -> Result<String, String> {
    let Some(inner) = text.strip_prefix('"') else {
        return match text.contains('"') {
            true => Err("a quote is in the wrong place".to_owned()),
            false => Ok(text.to_owned()),
        };
    };
    let Some(inner) = inner.strip_suffix('"') else {
        return Err("the closing quote is missing".to_owned());
    };
    let mut out = String::with_capacity(inner.len());
    let mut chars = inner.chars();
    while let Some(char) = chars.next() {
        match char {
            '\\' => match chars.next() {
                Some('n') => out.push('\n'),
                Some(escaped @ ('"' | '\\')) => out.push(escaped),
                Some(other) => out.extend(['\\', other]),
                None => return Err("the closing quote is missing".to_owned()),
            },
            '"' => return Err("a quote is in the wrong place".to_owned()),
            other => out.push(other),
        }
    }
    Ok(out)
}

impl fmt::Display for Matcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let operator = match (self.is_regex(), self.is_equal) {
            (false, true) => "=",
            (false, false) => "!=",
            (true, true) => "=~",
            (true, false) => "!~",
        };
        let name: &str = &self.name;
        match is_plain(name) {
            true => write!(f, "{name}{operator}{}", quoted(&self.value)),
            false => write!(f, "{}{operator}{}", quoted(name), quoted(&self.value)),
        }
    }
}

impl Serialize for Matcher {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Matcher {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Matcher, D::Error> {
        Matcher::parse(&String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn labels(pairs: &[(&str, &str)]) -> Labels {
        pairs
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect()
    }

    #[test]
    fn a_missing_label_is_empty_and_an_expression_is_anchored() {
        let known = labels(&[("team", "growth"), ("severity", "critical")]);
        for (text, met) in [
            ("team=growth", true),
            ("team=\"growth\"", true),
            ("team = \"growth\"", true),
            ("team!=growth", false),
            ("team=~\"grow|growth\"", true),
            ("team=~\"grow\"", false),
            ("team!~\"grow\"", true),
            ("owner=\"\"", true),
            ("owner!=\"\"", false),
            ("owner=~\".*\"", true),
            ("owner=~\".+\"", false),
            ("severity=~critical|warning", true),
            ("\"team\"=\"growth\"", true),
            ("\"a = b\"!=\"\"", false),
        ] {
            assert_eq!(Matcher::parse(text).unwrap().matches(&known), met, "{text}");
        }
    }

    #[test]
    fn what_cannot_be_read_says_what_to_write() {
        for (text, said) in [
            ("team", "'team' is no matcher; write severity=\"critical\""),
            ("=growth", "'=growth': a matcher needs the name of a label"),
            (
                "team!growth",
                "'team!growth' is no matcher; known are =, !=, =~ and !~",
            ),
            ("team=~\"(\"", "'team=~\"(\"': '(' is no regular expression"),
            ("team=\"a", "'team=\"a': the closing quote is missing"),
            ("team=a\"", "'team=a\"': a quote is in the wrong place"),
        ] {
            assert_eq!(Matcher::parse(text).unwrap_err(), said);
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again(name in "[a-z_=!~\" \\\\\n营,]{1,8}", value in "[a-z\"\\\\\n营|]{0,12}", is_equal: bool) {
            let matcher = Matcher::new(&name, &value, false, is_equal).unwrap();
            prop_assert_eq!(Matcher::parse(&matcher.to_string()).unwrap(), matcher);
        }
    }
}

//! The Prometheus text format, read strictly enough for tests.

use std::collections::BTreeMap;

/// One series.
#[derive(Debug)]
struct Series {
    name: String,
    labels: BTreeMap<String, String>,
    value: f64,
}

/// A scrape.
#[derive(Debug)]
pub(crate) struct Metrics(Vec<Series>);

impl Metrics {
    /// Reads a scrape.
    #[track_caller]
    pub(crate) fn parse(text: &str) -> Metrics {
        let lines = text
            .lines()
            .filter(|line| !line.is_empty() && !line.starts_with('#'));
        Metrics(
            lines
                .map(|line| series(line).unwrap_or_else(|| panic!("not a series: {line}")))
                .collect(),
        )
    }

    /// The value of the one series of this name that has these labels, among others; `None` when there is none.
    #[track_caller]
    pub(crate) fn get(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let mut found = self.0.iter().filter(|series| series.is(name, labels));
        let first = found.next().map(|series| series.value);
        assert!(found.next().is_none(), "more than one series {name} {labels:?}");
        first
    }

    /// The sum over all series of this name that have these labels.
    pub(crate) fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        self.0
            .iter()
            .filter(|series| series.is(name, labels))
            .map(|series| series.value)
            .sum()
    }

    /// All values of a name, by the value of one label.
    pub(crate) fn by(&self, name: &str, label: &str) -> BTreeMap<String, f64> {
        let mine = self.0.iter().filter(|series| series.name == name);
        mine.filter_map(|series| Some((series.labels.get(label)?.clone(), series.value)))
            .collect()
    }
}

impl Series {
    fn is(&self, name: &str, labels: &[(&str, &str)]) -> bool {
        self.name == name
            && labels
                .iter()
                .all(|(label, value)| self.labels.get(*label).is_some_and(|found| found == value))
    }
}

/// `name{label="value",…} number`.
fn series(line: &str) -> Option<Series> {
    let (head, number) = line.rsplit_once(' ')?;
    let value = number.parse().ok()?;
    let Some((name, rest)) = head.split_once('{') else {
        return Some(Series {
            name: head.to_owned(),
            labels: BTreeMap::new(),
            value,
        });
    };
    let mut labels = BTreeMap::new();
    let mut rest = rest.strip_suffix('}')?;
    while !rest.is_empty() {
        let (label, after) = rest.split_once("=\"")?;
        let (text, after) = quoted(after)?;
        labels.insert(label.to_owned(), text);
        rest = after.strip_prefix(',').unwrap_or(after);
    }
    Some(Series {
        name: name.to_owned(),
        labels,
        value,
    })
}

/// A label value up to its closing quote, and what follows.
fn quoted(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Some((value, &text[at + 1..])),
            '\\' => value.push(match chars.next()?.1 {
                'n' => '\n',
                other => other,
            }),
            other => value.push(other),
        }
    }
    None
}

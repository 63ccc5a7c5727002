//! promtool's notation of series: `0+0.04x30`, `1x5`, `_x3`, `stale`, `1 2 3`.

/// One value of a series.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) enum Point {
    /// The value from here on.
    Value(f64),
    /// Nothing new: what was before stays.
    Nothing,
    /// No value from here on.
    Stale,
}

/// Values of a series at most: a slip of the finger must not fill the memory.
const MAX_POINTS: usize = 1_000_000;

/// Reads the values of a series. `axn` is a and n times a, `a+bxn` is a and n times b more, `_xn` is n times nothing.
pub(super) fn read(text: &str) -> Result<Vec<Point>, String> {
    let mut points = Vec::new();
    for word in text.split_whitespace() {
        expand(word, &mut points).ok_or_else(|| {
            format!("'{word}' is no value of a series; write 3, 0+0.04x30, 5-1x4, 1x5, _, _x3 or stale")
        })?;
        if points.len() > MAX_POINTS {
            return Err(format!(
                "more than {MAX_POINTS} values; write fewer, further apart"
            ));
        }
    }
    match points.is_empty() {
        true => Err("a series needs at least one value, such as 0+0.04x30".to_owned()),
        false => Ok(points),
    }
}

fn expand(word: &str, points: &mut Vec<Point>) -> Option<()> {
    match word {
        "_" => points.push(Point::Nothing),
        "stale" => points.push(Point::Stale),
        _ => match word.split_once('x') {
            None => points.push(Point::Value(number(word)?)),
            Some(("_", times)) => {
                let times = count(times)?;
                points.extend((0..times).map(|_| Point::Nothing));
            }
            Some((line, times)) => {
                let (first, by) = line_of(line)?;
                let times = count(times)?;
                points.extend((0..=times).map(|n| Point::Value(first + by * n as f64)));
            }
        },
    }
    Some(())
}

/// `a`, `a+b` or `a-b`: where it begins, and what is added each time.
fn line_of(text: &str) -> Option<(f64, f64)> {
    if let Some(value) = number(text) {
        return Some((value, 0.0));
    }
    // A sign that follows another character than the `e` of an exponent begins the step.
    let is_step = |(at, char): &(usize, char)| {
        matches!(char, '+' | '-') && *at > 0 && !text[..*at].ends_with(['e', 'E', '+', '-'])
    };
    let (at, sign) = text.char_indices().find(is_step)?;
    let by = number(&text[at + 1..]).filter(|_| !text[at + 1..].starts_with(['+', '-']))?;
    Some((number(&text[..at])?, if sign == '-' { -by } else { by }))
}

fn number(text: &str) -> Option<f64> {
    // `inf` and words of other meaning are no numbers here.
    let looks_so = text.starts_with(|char: char| char.is_ascii_digit() || matches!(char, '+' | '-' | '.'));
    text.parse::<f64>()
        .ok()
        .filter(|value| looks_so && value.is_finite())
}

fn count(text: &str) -> Option<usize> {
    text.parse::<usize>().ok().filter(|count| *count < MAX_POINTS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_written_as_promtool_writes_them() {
        let of = |values: &[f64]| {
            values
                .iter()
                .map(|value| Point::Value(*value))
                .collect::<Vec<_>>()
        };
        for (text, points) in [
            ("1 2 3", of(&[1.0, 2.0, 3.0])),
            ("1x4", of(&[1.0; 5])),
            ("0+10x3", of(&[0.0, 10.0, 20.0, 30.0])),
            ("5-2x2", of(&[5.0, 3.0, 1.0])),
            ("-2+4x2", of(&[-2.0, 2.0, 6.0])),
            ("-1.5e-1-0.5x1", of(&[-0.15, -0.65])),
            ("0x0", of(&[0.0])),
        ] {
            assert_eq!(read(text), Ok(points), "{text}");
        }
        assert_eq!(
            read("1 _x2 _ stale").unwrap(),
            [
                Point::Value(1.0),
                Point::Nothing,
                Point::Nothing,
                Point::Nothing,
                Point::Stale
            ]
        );
    }

    #[test]
    fn what_is_no_value_says_what_is() {
        for text in [
            "a", "1y3", "1+x3", "1x", "x3", "_+1x3", "inf", "NaN", "1--1x3", "1x-1",
        ] {
            let said = read(text).unwrap_err();
            assert!(
                said.starts_with(&format!("'{text}' is no value of a series; write 3, ")),
                "{said}"
            );
        }
        assert!(read(" ").is_err() && read("1x99999999999").is_err());
        assert!(read("1x999999 1x999999").unwrap_err().starts_with("more than"));
    }
}

//! Whether a rule could be over while it is breached: its `clear` on the wrong side of its `when`.

use crate::catalog::attribute::vocabulary_of;
use crate::catalog::expr::{Expr, Value};
use crate::catalog::model::{RuleLevel, RuleOn};

/// A number at which the mildest level is breached and `clear` holds; `None` where there is none, or where the conditions ask
/// more than one and the same number, of which combinations may never occur.
pub(super) fn contradiction(levels: &[RuleLevel], clear: &Expr, on: RuleOn) -> Option<f64> {
    let [variable] = clear.uses() else {
        return None;
    };
    if !levels.iter().all(|level| level.when.uses() == [*variable]) {
        return None;
    }
    let sources = levels.iter().map(|level| level.when.source());
    let mut bounds: Vec<f64> = sources.chain([clear.source()]).flat_map(numbers).collect();
    bounds.sort_by(f64::total_cmp);
    bounds.dedup();
    let holds = |expr: &Expr, number: f64| expr.test(|_| Value::Number(number)) == Some(true);
    let is_both =
        |number: &f64| holds(clear, *number) && levels.iter().any(|level| holds(&level.when, *number));
    let is_count = vocabulary_of(on).asks[*variable].attribute.is_count();
    probes(&bounds, is_count).into_iter().find(is_both)
}

/// Every bound, a number between each two, and one beyond each end: conditions on one number change at bounds only.
fn probes(bounds: &[f64], is_count: bool) -> Vec<f64> {
    let (Some(first), Some(last)) = (bounds.first(), bounds.last()) else {
        return Vec::new();
    };
    let mut probes: Vec<f64> = bounds
        .windows(2)
        .map(|pair| f64::midpoint(pair[0], pair[1]))
        .map(|probe| if is_count { probe.floor() } else { probe })
        .collect();
    probes.extend([first - 1.0, last + 1.0]);
    probes.extend(bounds);
    probes
}

/// The numbers that an expression is written with, with either sign.
fn numbers(source: &str) -> impl Iterator<Item = f64> + '_ {
    let is_part = |c: char| c.is_ascii_digit() || c == '.';
    let words = source.split(move |c: char| !(is_part(c) || c.is_ascii_alphabetic() || c == '_'));
    words
        .filter_map(|word| word.parse::<f64>().ok().filter(|number| number.is_finite()))
        .flat_map(|number| [number, -number])
}

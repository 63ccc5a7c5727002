//! What evidence speaks for: w′ = clip(w + η · c · (s − w/Σw) · Σw, w ± step), within floor and cap, with the sum kept.
//!
//! Sums run over the KPIs that there is evidence of; the others keep their weight and take no part. The formula alone does
//! not keep the sum, since confidence differs. It is kept by scaling the larger of all gains and all losses down to the
//! smaller, so that every bound holds by itself and nobody's weight moves against the evidence. Changes are whole points,
//! by largest remainders, and none goes beyond what the evidence speaks for: nobody is asked for the way back next time.

use crate::catalog::Weighting;

/// What is known of one KPI.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Evidence {
    /// Its share of what the KPIs explain of their parent, 0 to 1; all shares come to 1.
    pub share: f64,
    /// How much of it can be relied on, 0 to 1.
    pub confidence: f64,
    /// Whether its link is in drift: it can only lose.
    pub is_drifted: bool,
}

/// One KPI of a parent.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Member {
    /// Its weight, in points.
    pub weight: f64,
    /// What is known of it; `None` leaves its weight as it is.
    pub evidence: Option<Evidence>,
}

/// By how many whole points each weight changes. They come to 0; every weight stays within `step` of what it was and
/// between `floor` and `cap`, or as far outside of them as it was.
pub fn propose(members: &[Member], terms: &Weighting) -> Vec<i32> {
    let sum: f64 = members
        .iter()
        .filter(|member| member.evidence.is_some())
        .map(|member| member.weight)
        .sum();
    let none = vec![0; members.len()];
    if sum.is_nan() || sum <= 0.0 {
        return none;
    }
    let wanted: Vec<f64> = members.iter().map(|member| wanted(member, sum, terms)).collect();
    let side = |sign: f64| -> Vec<Wish> {
        let wishes = members.iter().zip(&wanted).map(|(member, change)| Wish {
            points: (sign * change).max(0.0),
            most: whole(room(member, sign, terms).min((sign * distance(member, sum)).max(0.0))),
        });
        wishes.collect()
    };
    let (gains, losses) = (side(1.0), side(-1.0));
    let total = |wishes: &[Wish]| wishes.iter().map(|wish| wish.points).sum::<f64>();
    let mut moved = whole(total(&gains).min(total(&losses)));
    while moved > 0 {
        if let (Some(up), Some(down)) = (dealt(&gains, moved), dealt(&losses, moved)) {
            return up.iter().zip(&down).map(|(up, down)| up - down).collect();
        }
        moved -= 1;
    }
    none
}

/// What the formula says of one KPI, within its bounds.
fn wanted(member: &Member, sum: f64, terms: &Weighting) -> f64 {
    let Some(evidence) = member.evidence else {
        return 0.0;
    };
    let change = terms.rate * evidence.confidence * distance(member, sum);
    if change.is_finite() {
        change.clamp(-room(member, -1.0, terms), room(member, 1.0, terms))
    } else {
        0.0
    }
}

/// How far a weight is below (above 0) or above (below 0) what the evidence speaks for, in points.
fn distance(member: &Member, sum: f64) -> f64 {
    match member.evidence {
        Some(evidence) => evidence.share * sum - member.weight,
        None => 0.0,
    }
}

/// By how much a weight may rise (`sign` 1) or fall (`sign` −1).
fn room(member: &Member, sign: f64, terms: &Weighting) -> f64 {
    let up = sign > 0.0;
    match member.evidence {
        None => 0.0,
        Some(evidence) if up && evidence.is_drifted => 0.0,
        Some(_) if up => (terms.cap - member.weight).clamp(0.0, terms.step),
        Some(_) => (member.weight - terms.floor).clamp(0.0, terms.step),
    }
}

/// Whole points of an amount; what is a whole number but for rounding counts as one.
fn whole(points: f64) -> i32 {
    (points + 1e-9).floor().clamp(0.0, 1e6) as i32
}

/// What one KPI is to gain, or to lose.
struct Wish {
    points: f64,
    /// The most it can be, in whole points.
    most: i32,
}

/// Deals whole points out in proportion to the wishes; `None` where their bounds leave no room for all.
fn dealt(wishes: &[Wish], points: i32) -> Option<Vec<i32>> {
    let all: f64 = wishes.iter().map(|wish| wish.points).sum();
    if all <= 0.0 {
        return None;
    }
    let quotas: Vec<f64> = wishes
        .iter()
        .map(|wish| wish.points * f64::from(points) / all)
        .collect();
    let mut dealt: Vec<i32> = quotas
        .iter()
        .zip(wishes)
        .map(|(quota, wish)| whole(*quota).min(wish.most))
        .collect();
    let mut by_remainder: Vec<usize> = (0..wishes.len()).filter(|at| wishes[*at].points > 0.0).collect();
    // The sort is stable: of equal remainders the first declared goes first.
    let remainder = |at: usize| quotas[at] - f64::from(whole(quotas[at]));
    by_remainder.sort_by(|a, b| remainder(*b).total_cmp(&remainder(*a)));
    let mut left = points - dealt.iter().sum::<i32>();
    for at in by_remainder {
        if left > 0 && dealt[at] < wishes[at].most {
            dealt[at] += 1;
            left -= 1;
        }
    }
    (left == 0).then_some(dealt)
}

//! What every node with a target came to in its closed periods: for the lint's question whether targets can be reached. A band
//! asks for no best.

use crate::catalog::lint::Reached;

use super::past::Past;

/// Closed periods that are looked at, at most: "the best ever" of months is that of five years.
const PERIODS: usize = 60;

/// Of every instance with a target for its running period.
pub fn reached(past: &mut Past) -> Vec<Reached> {
    let (Some(now), Some(today)) = (past.watermark, past.today()) else {
        return Vec::new();
    };
    let snapshot = past.at(now);
    let catalog = past.catalog.clone();
    let with_target = snapshot
        .instances
        .iter()
        .filter(|state| state.band.is_none())
        .filter_map(|state| Some((state, state.target?)));
    with_target
        .map(|(state, target)| {
            let begins = past.seen_whole_from(state);
            let closed = begins.map_or_else(Vec::new, |begins| {
                past.closed(&state.key, &state.period, begins, today, PERIODS)
            });
            let calendar = catalog.calendar_of(catalog.node(state.key.node));
            let year_ago = state.period.shifted(-1, calendar);
            let is_whole = begins.is_some_and(|begins| year_ago.start >= begins);
            Reached {
                node: state.key.node,
                dimensions: state
                    .key
                    .dimensions
                    .iter()
                    .map(|value| value.to_string())
                    .collect(),
                target,
                closed: closed
                    .into_iter()
                    .map(|(period, value)| (period.id(calendar), value))
                    .collect(),
                year_ago: past.value(&state.key, &year_ago).filter(|_| is_whole),
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::world;

    #[test]
    fn closed_periods_are_those_that_were_seen_whole_the_newest_first() {
        let mut past = world::june();
        let all = reached(&mut past);
        let of = |name: &str| {
            let node = past.catalog.nodes.iter().position(|node| node.name == name);
            let found = all.iter().find(|reached| Some(reached.node.0 as usize) == node);
            found.map(|reached| (reached.target, reached.closed.clone(), reached.year_ago))
        };
        let closed = |all: &[(&str, f64)]| {
            all.iter()
                .map(|(period, value)| ((*period).to_owned(), *value))
                .collect::<Vec<_>>()
        };
        // Eighty a day on 29 days; the May before was not seen, and the July that runs is not closed.
        assert_eq!(
            of("revenue"),
            Some((3000.0, closed(&[("2026-06", 2320.0)]), None))
        );
        // Twelve articles in the first week.
        let weeks = [
            ("2026-W26", 0.0),
            ("2026-W25", 0.0),
            ("2026-W24", 0.0),
            ("2026-W23", 12.0),
        ];
        assert_eq!(of("weekly"), Some((2.0, closed(&weeks), None)));
        // No line of its target file is about July.
        assert_eq!(of("regions"), None);
    }
}

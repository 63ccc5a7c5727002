//! `weights: propose | auto | off`, or with its numbers: how weights follow what the KPIs are seen to explain.

use std::sync::Arc;

use super::Loader;
use crate::catalog::file::{WeightsEntry, WeightsMap};
use crate::catalog::model::Weighting;
use crate::catalog::yaml;
use crate::catalog::yaml::Spanned;

impl Loader<'_> {
    /// Said once, or the default.
    pub(super) fn weighting(&mut self, found: &[(Arc<str>, Spanned<WeightsEntry>)]) -> Weighting {
        let usual = Weighting::default();
        if let [(first, one), (second, another), ..] = found {
            let first = yaml::place(first, one.location);
            self.problem(
                yaml::place(second, another.location),
                format!("'weights' is declared twice, first at {first}; keep one of them"),
            );
        }
        let Some((file, declared)) = found.first() else {
            return usual;
        };
        let WeightsMap {
            mode,
            rate,
            step,
            floor,
            cap,
        } = &declared.value.0;
        let weighting = Weighting {
            mode: mode.unwrap_or(usual.mode),
            rate: rate.unwrap_or(usual.rate),
            step: step.unwrap_or(usual.step),
            floor: floor.unwrap_or(usual.floor),
            cap: cap.unwrap_or(usual.cap),
        };
        let points = 0.0..=100.0;
        let message = if !(weighting.rate > 0.0 && weighting.rate <= 1.0) {
            format!(
                "'rate' is the part of the way that is gone at one close: above 0, at most 1, and this is {}",
                weighting.rate
            )
        } else if !(1.0..=100.0).contains(&weighting.step) {
            format!("'step' is 1 to 100 points, and this is {}", weighting.step)
        } else if !points.contains(&weighting.floor) || !points.contains(&weighting.cap) {
            "'floor' and 'cap' are 0 to 100 points".to_owned()
        } else if weighting.floor >= weighting.cap {
            format!(
                "the floor {} is not below the cap {}",
                weighting.floor, weighting.cap
            )
        } else {
            return weighting;
        };
        self.problem(yaml::place(file, declared.location), message);
        usual
    }
}

#[cfg(test)]
mod tests {
    use crate::catalog::load::{Files, load};
    use crate::catalog::{WeightMode, Weighting};

    const REST: &str = "\nsources: {s: {topics: [t], format: json, fields: {}}}\n";

    fn weighting(declared: &str) -> Result<Weighting, String> {
        let text = format!("{declared}{REST}");
        let found = load(&Files::new("", [("a.yaml", text.as_str())]));
        found
            .map(|catalog| catalog.weighting)
            .map_err(|error| error.to_string())
    }

    #[test]
    fn a_word_or_its_numbers() {
        let usual = Weighting::default();
        for (declared, expected) in [
            ("", usual),
            ("weights: propose", usual),
            (
                "weights: auto",
                Weighting {
                    mode: WeightMode::Auto,
                    ..usual
                },
            ),
            (
                "weights: off",
                Weighting {
                    mode: WeightMode::Off,
                    ..usual
                },
            ),
            (
                "weights: {mode: off}",
                Weighting {
                    mode: WeightMode::Off,
                    ..usual
                },
            ),
            (
                "weights: {step: 5, floor: 0}",
                Weighting {
                    step: 5.0,
                    floor: 0.0,
                    ..usual
                },
            ),
            (
                "weights: {mode: auto, rate: 1, cap: 60}",
                Weighting {
                    mode: WeightMode::Auto,
                    rate: 1.0,
                    cap: 60.0,
                    ..usual
                },
            ),
        ] {
            assert_eq!(weighting(declared), Ok(expected), "{declared}");
        }
    }

    #[test]
    fn what_is_wrong_is_said_with_its_place() {
        for (declared, place, says) in [
            ("weights: yes", "a.yaml:1:", "expected one of propose, auto, off"),
            ("weights: {mode: sometimes}", "a.yaml:1:", "propose"),
            ("weights: {rat: 1}", "a.yaml:1:", "rate"),
            ("weights: {rate: 2}", "a.yaml:1:10", "above 0, at most 1"),
            ("weights: {step: 0}", "a.yaml:1:10", "1 to 100 points"),
            ("weights: {floor: -1}", "a.yaml:1:10", "0 to 100 points"),
            (
                "weights: {floor: 60, cap: 50}",
                "a.yaml:1:10",
                "not below the cap",
            ),
        ] {
            let said = weighting(declared).unwrap_err();
            assert!(
                said.starts_with(place) && said.contains(says),
                "{declared}: {said}"
            );
        }
    }
}

//! How far back cells are kept: days before it are forgotten, here and in the state.

use super::{Cells, join};
use crate::fold::day::Day;

/// Series without a day that may stand beside as many living ones, before it is worth to start anew from the state.
const SPARE_SERIES: usize = 1000;

/// A day of a series that is no longer kept.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ForgottenDay {
    /// Definitions of its columns.
    pub tables: Vec<String>,
    /// Dimension values, joined by the unit separator (U+001F).
    pub key: String,
    /// Local day, in days since 1970-01-01.
    pub day: i32,
}

impl Cells {
    /// Forgets every day before `first`, for good: what arrives for them later is let go and counted. Never goes back.
    pub fn keep_from(&mut self, first: Day) {
        if self.kept_from.is_some_and(|kept| kept >= first) {
            return;
        }
        self.kept_from = Some(first);
        let mut has_gone = false;
        for (group, cells) in self.plan.groups.iter().zip(&mut self.groups) {
            let width = group.columns.len();
            for series in &mut cells.series {
                let gone = series.before(first);
                if gone == 0 {
                    continue;
                }
                has_gone = true;
                let key = join(&self.plan, &series.dimensions);
                self.forgotten
                    .extend(series.rows.drain(..gone).map(|row| ForgottenDay {
                        tables: group.columns.iter().map(|column| column.name.clone()).collect(),
                        key: key.clone(),
                        day: row.day.0,
                    }));
                series.partials.drain(..gone * width);
                series.generation = series.generation.wrapping_add(1);
                // Its place is free for a combination that is met later.
                if series.rows.is_empty() && std::mem::take(&mut series.is_live) {
                    cells.live -= 1;
                }
            }
            cells.note_if_full(group);
        }
        if has_gone {
            self.forget_version();
        }
    }

    /// Whether most series have lost all their days. Their names, dimension values and numbers stay in memory as long as
    /// these cells do; cells made anew from the state are free of them.
    pub fn is_mostly_forgotten(&self) -> bool {
        self.groups
            .iter()
            .any(|cells| cells.series.len() > 2 * cells.live + SPARE_SERIES)
    }

    /// The first day that is kept; `None` while nothing was forgotten.
    pub fn kept_from(&self) -> Option<Day> {
        self.kept_from
    }

    /// Takes over from the state what was forgotten before: it does not come back when more is to be kept.
    pub fn restore_kept_from(&mut self, first: Option<Day>) {
        self.kept_from = first;
    }

    /// Days that were forgotten since the last call.
    pub fn take_forgotten(&mut self) -> Vec<ForgottenDay> {
        std::mem::take(&mut self.forgotten)
    }

    /// Whether a day was forgotten.
    pub(super) fn is_forgotten(&self, day: Day) -> bool {
        self.kept_from.is_some_and(|first| day < first)
    }
}

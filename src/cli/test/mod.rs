//! `tautline test`: tests of a catalogue and its rules, declared in YAML and played on a virtual clock through the
//! daemon's own evaluation, alerts, store and sender.
//!
//! * [`file`]: what the YAML may say. `case`: a test as it is played, `check`: made from the YAML. `notation`: promtool's series.
//! * `stage`: the parts of the daemon between two restarts. `series`: numbers that a test says a node has.
//! * `play`: the clock. `verdict`: expected against got.

mod case;
mod check;
#[cfg(test)]
mod crash_tests;
mod file;
mod notation;
mod play;
mod series;
mod stage;
#[cfg(test)]
mod tests;
mod verdict;

use std::path::{Path, PathBuf};

use clap::Args;

use super::shown::Format;
use super::{complain, print};
use verdict::Verdict;

/// Arguments of `test`.
#[derive(Args, Debug)]
pub(super) struct TestArgs {
    /// Files of tests
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    /// Only tests whose name holds this text
    #[arg(long, value_name = "TEXT")]
    only: Option<String>,
    /// How to print the result
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

/// What a file of tests may say, as JSON Schema.
pub(super) fn schema() -> serde_json::Value {
    crate::catalog::schema::of::<file::File>("Tests of a tautline catalogue and its rules")
}

/// Plays every test of the files, and prints what is not as expected.
pub(super) fn test_command(args: &TestArgs) -> Result<(), String> {
    let mut verdicts = Vec::new();
    let mut unreadable = 0;
    for file in &args.files {
        match verdicts_of(file, args.only.as_deref()) {
            Ok(found) => verdicts.extend(found),
            // The other files are tested all the same.
            Err(message) => {
                unreadable += 1;
                complain(&message);
            }
        }
    }
    let failed = verdicts
        .iter()
        .filter(|verdict| !verdict.failures.is_empty())
        .count();
    match args.format {
        Format::Text => verdicts.iter().for_each(|verdict| print(&verdict::text(verdict))),
        Format::Json => print(&serde_json::to_string_pretty(&verdicts).map_err(|error| error.to_string())?),
    }
    match (failed, unreadable, verdicts.len()) {
        (0, 0, 0) => Err("no test has such a name".to_owned()),
        (0, 0, all) => {
            if args.format == Format::Text {
                print(&format!("{all} passed"));
            }
            Ok(())
        }
        (failed, 0, all) => Err(format!("{failed} of {all} tests failed")),
        (failed, files, all) => Err(format!(
            "{failed} of {all} tests failed; {files} of {} files cannot be read",
            args.files.len()
        )),
    }
}

fn verdicts_of(file: &Path, only: Option<&str>) -> Result<Vec<Verdict>, String> {
    let cases = case::read(file).map_err(|problems| problems.to_string())?;
    cases
        .iter()
        .filter(|case| only.is_none_or(|text| case.name.contains(text)))
        .map(|case| {
            let played = play::play(case).map_err(|error| format!("{}: {error}", case.place))?;
            Ok(verdict::judge(case, &played))
        })
        .collect()
}

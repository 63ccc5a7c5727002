//! `tautline review`: the review (复盘) of a period, from the state file; the daemon may be running.

use clap::{Args, ValueEnum};

use super::shown::Tongue;
use super::{Config, load_all, print};
use crate::evaluate::Period;
use crate::report::past::Past;
use crate::report::review;
use crate::state::Reading;

/// Arguments of `review`.
#[derive(Args, Debug)]
pub(super) struct ReviewArgs {
    #[command(flatten)]
    config: Config,
    /// Which: 2026-06, 2026-Q2, 2026-W23, 2026 [default: the last month that is over]
    #[arg(long, value_name = "PERIOD")]
    period: Option<String>,
    /// How to print it
    #[arg(long, value_enum, default_value_t = Format::Md)]
    format: Format,
    /// Language [default: that of the settings]
    #[arg(long, value_enum)]
    language: Option<Tongue>,
}

#[derive(ValueEnum, Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    /// Markdown
    Md,
    /// A page to print
    Html,
    /// Every number, for a program
    Json,
}

/// Prints the review on stdout.
pub(super) fn review_command(args: &ReviewArgs) -> Result<(), String> {
    let (settings, catalog) =
        load_all(args.config.config.as_deref()).map_err(|diagnostics| diagnostics.to_string())?;
    let asked = match &args.period {
        Some(text) => Some(Period::named(text, &catalog.calendar).ok_or_else(|| {
            format!("--period: '{text}' is no period; write 2026-06, 2026-Q2, 2026-H1, 2026-W23 or 2026 (FY2026 where the fiscal year does not begin in January)")
        })?),
        None => None,
    };
    let reading = Reading::of(&settings.state_sqlite).map_err(|error| error.to_string())?;
    let mut past = Past::new(catalog.clone(), reading, settings.max_value_bytes);
    let found = review::review(&mut past, asked).map_err(|error| error.to_string())?;
    let language = Tongue::or_settings(args.language, &settings);
    match args.format {
        Format::Md => print(&review::markdown(&found, language, &catalog.calendar.timezone)),
        Format::Html => print(&review::html(&found, language, &catalog.calendar.timezone)),
        Format::Json => {
            let json = serde_json::to_string_pretty(&found).map_err(|error| error.to_string())?;
            print(&json);
        }
    }
    Ok(())
}

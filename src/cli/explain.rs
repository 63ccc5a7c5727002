//! `tautline explain`: every number behind a node's state, from the state file; the daemon may be running.

use clap::Args;
use jiff::Timestamp;
use jiff::civil::{Date, DateTime};

use super::of_node::OfNode;
use super::shown::{Format, Tongue};
use super::{Config, load_all, print};
use crate::catalog::Calendar;
use crate::report::explain;
use crate::report::past::Past;
use crate::state::Reading;

/// Arguments of `explain`.
#[derive(Args, Debug)]
pub(super) struct ExplainArgs {
    #[command(flatten)]
    config: Config,
    #[command(flatten)]
    of: OfNode,
    /// As of when: a day (its close), a local time, or a time with its offset [default: now]
    #[arg(long, value_name = "T")]
    at: Option<String>,
    /// How to print it
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
    /// Language [default: that of the settings]
    #[arg(long, value_enum)]
    language: Option<Tongue>,
}

/// Explains a node on stdout.
pub(super) fn explain_command(args: &ExplainArgs) -> Result<(), String> {
    let (settings, catalog) =
        load_all(args.config.config.as_deref()).map_err(|diagnostics| diagnostics.to_string())?;
    let at = match &args.at {
        Some(text) => Some(moment(text, &catalog.calendar).ok_or_else(|| {
            format!("--at: '{text}' is no time; write 2026-06-24, 2026-06-24T14:00 or 2026-06-24T14:00+08:00")
        })?),
        None => None,
    };
    let node = args.of.name(&catalog, "explain")?;
    let reading = Reading::of(&settings.state_sqlite).map_err(|error| error.to_string())?;
    let mut past = Past::new(catalog.clone(), reading, settings.max_value_bytes);
    let found = explain::explain(&mut past, node, &args.of.values, at).map_err(|error| error.to_string())?;
    match args.format {
        Format::Text => {
            let language = Tongue::or_settings(args.language, &settings);
            print(&explain::text(&found, language, &catalog.calendar.timezone));
        }
        Format::Json => {
            let json = serde_json::to_string_pretty(&found).map_err(|error| error.to_string())?;
            print(&json);
        }
    }
    Ok(())
}

/// A day is its close; a time without an offset is local.
pub(super) fn moment(text: &str, calendar: &Calendar) -> Option<Timestamp> {
    if let Ok(at) = text.parse::<Timestamp>() {
        return Some(at);
    }
    if let Ok(day) = text.parse::<Date>()
        && !text.contains(':')
    {
        let next = day.tomorrow().ok()?;
        return Some(calendar.start_of(next) - jiff::SignedDuration::from_millis(1));
    }
    let local: DateTime = text.parse().ok()?;
    calendar.timezone.to_timestamp(local).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::load::{Files, load};

    #[test]
    fn a_moment_is_a_day_a_local_time_or_an_instant() {
        let yaml =
            "calendar: {timezone: Asia/Shanghai}\nsources: {s: {topics: [t], format: json, fields: {}}}\n";
        let calendar = load(&Files::new("", [("a.yaml", yaml)])).unwrap().calendar;
        for (text, at) in [
            ("2026-06-24", Some("2026-06-24T15:59:59.999Z")),
            ("2026-06-24T14:00", Some("2026-06-24T06:00:00Z")),
            ("2026-06-24 14:00", Some("2026-06-24T06:00:00Z")),
            ("2026-06-24T14:00+01:00", Some("2026-06-24T13:00:00Z")),
            ("yesterday", None),
        ] {
            assert_eq!(
                moment(text, &calendar),
                at.map(|at| at.parse().unwrap()),
                "{text}"
            );
        }
    }
}

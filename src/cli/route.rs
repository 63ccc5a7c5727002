//! `tautline route explain`: who is told of an alert, when, and why.

use clap::{Args, Subcommand};
use jiff::Timestamp;

use super::explain::moment;
use super::shown::{Format, Tongue};
use super::{Config, load_all, print};
use crate::report::routing::{Alert, Asked, explain, text};
use crate::state::Reading;

/// Arguments of `route`.
#[derive(Args, Debug)]
pub(super) struct RouteArgs {
    #[command(subcommand)]
    command: RouteCommand,
}

#[derive(Subcommand, Debug)]
enum RouteCommand {
    /// Which receivers are told of an alert, when, and why: the way through the routing tree and the planned times
    #[command(
        after_help = "Examples:\n  tautline route explain severity=critical node=articles --at 2026-11-25T03:00:00+08:00\n  tautline route explain --node visits/华东 --kind behind_pace"
    )]
    Explain(RouteExplainArgs),
}

#[derive(Args, Debug)]
struct RouteExplainArgs {
    #[command(flatten)]
    config: Config,
    /// Labels of the alert, as matchers see them: severity=critical node=leads
    #[arg(value_name = "LABELS", value_parser = label, required_unless_present = "node")]
    labels: Vec<(String, String)>,
    /// Fill the labels from the catalogue: a node, with the values of its dimensions
    #[arg(long, value_name = "NODE[/VALUE…]")]
    node: Option<String>,
    /// With --node: the kind of drift, or the name of the rule
    #[arg(long, requires = "node")]
    kind: Option<String>,
    /// When it fires: a local time, or a time with its offset [default: now]
    #[arg(long, value_name = "T")]
    at: Option<String>,
    /// How to print it
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
    /// Language [default: that of the settings]
    #[arg(long, value_enum)]
    language: Option<Tongue>,
}

/// Carries out `route …`.
pub(super) fn route_command(args: &RouteArgs) -> Result<(), String> {
    let RouteCommand::Explain(args) = &args.command;
    let (settings, catalog) =
        load_all(args.config.config.as_deref()).map_err(|diagnostics| diagnostics.to_string())?;
    let at = match &args.at {
        Some(text) => moment(text, &catalog.calendar).ok_or_else(|| {
            format!("--at: '{text}' is no time; write 2026-11-25T03:00 or 2026-11-25T03:00+08:00")
        })?,
        // Seconds are what times of routes are given in.
        None => Timestamp::from_second(Timestamp::now().as_second()).unwrap_or_default(),
    };
    let asked = Asked {
        labels: args.labels.iter().cloned().collect(),
        node: args.node.clone(),
        kind: args.kind.clone(),
    };
    let alert = Alert::of(&asked, &catalog, at).map_err(|error| error.to_string())?;
    let silences = match settings.state_sqlite.exists() {
        true => Some(
            Reading::of(&settings.state_sqlite)
                .map_err(|error| error.to_string())?
                .silences,
        ),
        // In a review of the settings, away from the daemon.
        false => None,
    };
    let found = explain(
        &settings.routing,
        silences.as_ref(),
        &catalog.calendar,
        &alert,
        at,
    );
    match args.format {
        Format::Text => {
            let language = Tongue::or_settings(args.language, &settings);
            print(&text(&found, language, &catalog.calendar.timezone));
        }
        Format::Json => {
            let json = serde_json::to_string_pretty(&found).map_err(|error| error.to_string())?;
            print(&json);
        }
    }
    Ok(())
}

/// `node=leads`, or `node="leads"` as matchers have it.
fn label(text: &str) -> Result<(String, String), String> {
    let Some((name, value)) = text.split_once('=') else {
        return Err(format!(
            "a label needs a value: write node={text} or severity={text}"
        ));
    };
    let quoted = value.strip_prefix('"').and_then(|value| value.strip_suffix('"'));
    let is_name = |char: char| char.is_alphanumeric() || char == '_' || char == '-';
    let name = name.trim();
    if name.is_empty() || !name.chars().all(is_name) || value.starts_with('~') {
        return Err("an alert has values, not conditions: write severity=critical".to_owned());
    }
    Ok((name.to_owned(), quoted.unwrap_or(value).to_owned()))
}

#[cfg(test)]
mod tests {
    use super::label;

    #[test]
    fn a_label_has_a_name_and_a_value() {
        let pair = |name: &str, value: &str| Ok((name.to_owned(), value.to_owned()));
        for (text, read) in [
            ("node=leads", pair("node", "leads")),
            ("node=\"leads\"", pair("node", "leads")),
            ("城市=上海", pair("城市", "上海")),
            ("team=", pair("team", "")),
        ] {
            assert_eq!(label(text), read, "{text}");
        }
        assert_eq!(
            label("leads").unwrap_err(),
            "a label needs a value: write node=leads or severity=leads"
        );
        for condition in ["severity=~warning", "severity!=info", "=leads"] {
            assert_eq!(
                label(condition).unwrap_err(),
                "an alert has values, not conditions: write severity=critical"
            );
        }
    }
}

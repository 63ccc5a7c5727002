//! `tautline suggest`: drivers and targets of a node, from the state file; the daemon may be running.

use clap::Args;

use super::of_node::OfNode;
use super::shown::{Format, Tongue};
use super::{Config, load_all, print};
use crate::report::past::Past;
use crate::report::suggest;
use crate::state::Reading;

/// Arguments of `suggest`.
#[derive(Args, Debug)]
pub(super) struct SuggestArgs {
    #[command(flatten)]
    config: Config,
    #[command(flatten)]
    of: OfNode,
    /// How to print it
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
    /// Language [default: that of the settings]
    #[arg(long, value_enum)]
    language: Option<Tongue>,
}

/// Prints suggestions for a node on stdout.
pub(super) fn suggest_command(args: &SuggestArgs) -> Result<(), String> {
    let (settings, catalog) =
        load_all(args.config.config.as_deref()).map_err(|diagnostics| diagnostics.to_string())?;
    let node = args.of.name(&catalog, "suggest")?.to_owned();
    let reading = Reading::of(&settings.state_sqlite).map_err(|error| error.to_string())?;
    let mut past = Past::new(catalog, reading, settings.max_value_bytes);
    let found = suggest::suggest(&mut past, &node, &args.of.values).map_err(|error| error.to_string())?;
    match args.format {
        Format::Text => print(&suggest::text(
            &found,
            Tongue::or_settings(args.language, &settings),
        )),
        Format::Json => {
            let json = serde_json::to_string_pretty(&found).map_err(|error| error.to_string())?;
            print(&json);
        }
    }
    Ok(())
}

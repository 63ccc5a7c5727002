//! `tautline notify test`: a test message to one receiver of the settings, and what the receiver answered.

use clap::error::ErrorKind;
use clap::{Args, CommandFactory, Subcommand};
use jiff::Timestamp;

use super::shown::{Format, Tongue};
use super::{Cli, Config, load_all, print};
use crate::catalog::diagnostic::nearest;
use crate::notify::{Wording, trial};
use crate::settings::Settings;

/// Commands of `notify`.
#[derive(Subcommand, Debug)]
pub(super) enum NotifyCommand {
    /// Send a test message to a receiver, and print what it answered and what to do; exits with 1 if it is not delivered
    #[command(
        after_help = "Examples:\n  tautline notify test ops\n  tautline notify test ops --resolved --lang en"
    )]
    Test(TestArgs),
}

/// Arguments of `notify test`.
#[derive(Args, Debug)]
pub(super) struct TestArgs {
    #[command(flatten)]
    config: Config,
    /// Name of the receiver in the settings
    receiver: String,
    /// Send the end of the sample alert in place of its beginning
    #[arg(long)]
    resolved: bool,
    /// Language [default: that of the settings]
    #[arg(long, alias = "language", value_enum)]
    lang: Option<Tongue>,
    /// How to print the result
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

/// Runs a command of `notify`.
pub(super) fn notify(command: &NotifyCommand) -> Result<(), String> {
    match command {
        NotifyCommand::Test(args) => test(args),
    }
}

fn test(args: &TestArgs) -> Result<(), String> {
    let (settings, catalog) =
        load_all(args.config.config.as_deref()).map_err(|diagnostics| diagnostics.to_string())?;
    let Some(receiver) = settings.receivers.get(&args.receiver) else {
        Cli::command()
            .error(ErrorKind::InvalidValue, unknown(&args.receiver, &settings))
            .exit()
    };
    let language = Tongue::or_settings(args.lang, &settings);
    // No signer: links that do something would lead to an alert that there is not.
    let wording = Wording::of(&settings, &catalog.calendar.timezone, None).in_language(language);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| format!("cannot start: {error}"))?;
    let sending = trial::send(&args.receiver, receiver, wording, args.resolved, Timestamp::now());
    let trial = runtime.block_on(sending)?;
    match args.format {
        Format::Text => print(&trial.text(language)),
        Format::Json => print(&trial.json(language).to_string()),
    }
    match trial.is_delivered() {
        true => Ok(()),
        false => Err(format!(
            "the test message to '{}' was not delivered",
            args.receiver
        )),
    }
}

/// That there is no such receiver, and which one may be meant.
fn unknown(name: &str, settings: &Settings) -> String {
    let known = || settings.receivers.keys().map(String::as_str);
    let hint = match nearest(name, known()) {
        Some(near) => format!("did you mean '{near}'?"),
        None if settings.receivers.is_empty() => "the settings have no receivers".to_owned(),
        None => format!("the settings have {}", known().collect::<Vec<_>>().join(", ")),
    };
    format!("there is no receiver '{name}'; {hint}")
}

//! The command line: one file a command. Results go to stdout, logs to stderr.
//! Exit codes: 0 fine, 1 the input or the check failed, 2 usage.

mod backtest;
pub mod check;
mod demo;
mod discover;
mod explain;
mod export;
mod import;
mod logging;
mod notify;
mod of_node;
mod review;
mod route;
mod run;
mod shown;
mod suggest;
mod test;
pub mod tree;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use clap::error::ErrorKind;
use clap::{Args, CommandFactory, Parser, Subcommand, ValueEnum};

use crate::catalog::{Catalog, Diagnostics, lint, load};
use crate::report::past::Past;
use crate::report::reached::reached;
use crate::settings::{self, Settings};
use crate::state::Reading;

/// Tells a company, in time, that its KPIs and its business have come apart.
#[derive(Parser, Debug)]
#[command(name = "tautline", version, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// Show what tautline does: a simulated retail chain, the daemon, and a Slack that is not one
    #[command(after_help = "Example:\n  tautline demo --once")]
    Demo(demo::DemoArgs),
    /// Run the daemon
    #[command(after_help = "Example:\n  tautline run --config /etc/tautline/tautline.yaml")]
    Run(Config),
    /// Check settings and catalogue; every mistake with its place and what to write instead
    #[command(after_help = "Example:\n  tautline check --config config/tautline.yaml")]
    Check(CheckArgs),
    /// Look at a sample of a topic, and print a source and metrics for the catalogue, each guess with its reason
    #[command(
        after_help = "Examples:\n  tautline discover --topic sales.orders > catalog/orders.yaml\n  tautline discover --input orders.ndjson --format json"
    )]
    Discover(discover::DiscoverArgs),
    /// Send the events of a file to the running daemon; a part that was taken before is not counted again
    #[command(after_help = "Example:\n  tautline import --source orders history/orders-2025.csv")]
    Import(import::ImportArgs),
    /// Run history through the same core as the daemon, and list what it would have told
    #[command(
        after_help = "Example:\n  tautline backtest --input events.ndjson --since 2026-01-01 --format ndjson"
    )]
    Backtest(backtest::BacktestArgs),
    /// Print the decomposition of the business into KPIs
    #[command(after_help = "Examples:\n  tautline tree --format svg > tree.svg\n  tautline tree --mapping")]
    Tree(TreeArgs),
    /// Print what other programs read
    #[command(
        after_help = "Examples:\n  tautline export json-schema catalog > catalog.schema.json\n  tautline export template retail"
    )]
    Export(export::ExportArgs),
    /// Every number behind a node's state, down to days and thresholds, in words
    #[command(
        after_help = "Example:\n  tautline explain revenue --at 2026-06-24\n  tautline explain region-revenue 华东"
    )]
    Explain(explain::ExplainArgs),
    /// Try a receiver: send it a message that says it is a test, by the code that sends real ones
    #[command(subcommand)]
    Notify(notify::NotifyCommand),
    /// Which metrics drive a business node, which KPIs drive nothing, and which targets its history speaks for
    #[command(
        after_help = "Example:\n  tautline suggest revenue\n  tautline suggest region-revenue 华东 --format json"
    )]
    Suggest(suggest::SuggestArgs),
    /// The review of a closed period: what was met, by whom, and where KPI and business came apart
    #[command(after_help = "Example:\n  tautline review --period 2026-06 --format html > june.html")]
    Review(review::ReviewArgs),
    /// Who is told of an alert, when, and why
    Route(route::RouteArgs),
    /// Test catalogue and rules: series and events on a virtual clock, with what must stand and be told
    #[command(after_help = "Example:\n  tautline test config/tests/*.yaml")]
    Test(test::TestArgs),
}

#[derive(Args, Debug, Clone)]
struct Config {
    /// Settings file [default: tautline.yaml, then config/tautline.yaml]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

#[derive(Args, Debug)]
struct CheckArgs {
    #[command(flatten)]
    config: Config,
    /// How to print the result
    #[arg(long, value_enum, default_value_t = CheckFormat::Text)]
    format: CheckFormat,
    /// Fail on findings of the SMART lint too, unless the catalogue accepts them
    #[arg(long)]
    strict: bool,
}

#[derive(ValueEnum, Debug, Clone, Copy, PartialEq, Eq)]
enum CheckFormat {
    Text,
    Json,
}

#[derive(Args, Debug)]
struct TreeArgs {
    #[command(flatten)]
    config: Config,
    /// How to draw it
    #[arg(long, value_enum, default_value_t = TreeFormat::Text)]
    format: TreeFormat,
    /// Print the KPI mapping table instead: which KPIs serve a business metric, and what a KPI serves (text or json)
    #[arg(long)]
    mapping: bool,
}

#[derive(ValueEnum, Debug, Clone, Copy, PartialEq, Eq)]
enum TreeFormat {
    Text,
    Mermaid,
    Svg,
    Json,
}

/// Runs the command that the arguments name.
pub fn main() -> ExitCode {
    // Clap prints usage errors and help itself, and exits with 2 and 0.
    let done = match Cli::parse().command {
        Command::Demo(args) => demo::demo(&args),
        Command::Backtest(args) => backtest::backtest(&args),
        Command::Run(args) => run::run(args.config.as_deref()),
        Command::Discover(args) => discover::discover_command(&args),
        Command::Import(args) => import::import(&args),
        Command::Check(args) => check_command(&args),
        Command::Export(args) => export::export(&args),
        Command::Explain(args) => explain::explain_command(&args),
        Command::Notify(command) => notify::notify(&command),
        Command::Suggest(args) => suggest::suggest_command(&args),
        Command::Review(args) => review::review_command(&args),
        Command::Route(args) => route::route_command(&args),
        Command::Test(args) => test::test_command(&args),
        Command::Tree(args) => tree_command(&args),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            complain(&message);
            ExitCode::FAILURE
        }
    }
}

fn check_command(args: &CheckArgs) -> Result<(), String> {
    let text = args.format == CheckFormat::Text;
    let (settings, catalog) = load_all(args.config.config.as_deref()).map_err(|diagnostics| {
        if text {
            return diagnostics.to_string();
        }
        print(&check::refused(&diagnostics));
        format!("{} mistakes", diagnostics.0.len())
    })?;
    let today = catalog.calendar.day_of(jiff::Timestamp::now());
    let history = history(&settings, &catalog)?;
    let findings = lint::lint(&catalog, today, history.as_deref());
    if text {
        let warnings = settings::doubts(&settings, &catalog);
        warnings
            .iter()
            .for_each(|warning| complain(&format!("{warning} (warning)")));
        print(&check::summary(&catalog));
        print(&check::findings(&findings));
    } else {
        print(&check::json(&catalog, &findings));
    }
    match check::open(&findings) {
        0 => Ok(()),
        _ if !args.strict => Ok(()),
        open => Err(format!(
            "{open} findings; mend them, or accept them in the catalogue: lint: {{S10: {{name: reason}}}}"
        )),
    }
}

/// What nodes came to so far, where the settings' state is at hand: on the machine of the daemon it is, in a review of the
/// catalogue it is not.
fn history(settings: &Settings, catalog: &Arc<Catalog>) -> Result<Option<Vec<lint::Reached>>, String> {
    if !settings.state_sqlite.exists() {
        return Ok(None);
    }
    let reading = Reading::of(&settings.state_sqlite).map_err(|error| error.to_string())?;
    let mut past = Past::new(catalog.clone(), reading, settings.max_value_bytes);
    Ok(Some(reached(&mut past)))
}

fn tree_command(args: &TreeArgs) -> Result<(), String> {
    let (settings, catalog) =
        load_all(args.config.config.as_deref()).map_err(|diagnostics| diagnostics.to_string())?;
    let drawn = match (args.mapping, args.format) {
        (false, TreeFormat::Text) => tree::text(&catalog),
        (false, TreeFormat::Mermaid) => tree::mermaid(&catalog),
        (false, TreeFormat::Svg) => {
            let today = catalog.calendar.day_of(jiff::Timestamp::now());
            tree::svg::svg(&catalog, settings.language, today)
        }
        (true, TreeFormat::Text) => tree::mapping::text(&catalog),
        (_, TreeFormat::Json) => tree::mapping::json(&catalog),
        (true, TreeFormat::Mermaid | TreeFormat::Svg) => Cli::command()
            .error(
                ErrorKind::ArgumentConflict,
                "--mapping is a table: print it with --format text or json",
            )
            .exit(),
    };
    print(&drawn);
    Ok(())
}

/// Settings and catalogue, both checked.
fn load_all(config: Option<&Path>) -> Result<(Arc<Settings>, Arc<Catalog>), Diagnostics> {
    let settings = settings::load(config)?;
    let catalog = load::load_dir(&settings.catalog)?;
    settings::suffice(&settings, &catalog)?;
    Ok((Arc::new(settings), Arc::new(catalog)))
}

/// Prints a result. A reader that went away (`| head`) is no mistake.
fn print(text: &str) {
    use std::io::Write;
    let mut out = std::io::stdout().lock();
    let end = if text.is_empty() || text.ends_with('\n') {
        ""
    } else {
        "\n"
    };
    let _ = write!(out, "{text}{end}").and_then(|()| out.flush());
}

/// Says what is wrong, on stderr.
fn complain(text: &str) {
    use std::io::Write;
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}

//! `tautline export`: what other programs read.

use clap::{Args, Subcommand, ValueEnum};

use crate::catalog::diagnostic::nearest;
use crate::catalog::{schema, template};
use crate::settings;

#[derive(Args, Debug)]
pub(super) struct ExportArgs {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand, Debug)]
enum What {
    /// The JSON Schema of a catalogue file, of the settings file or of a file of tests, for editors
    #[command(after_help = "Example:\n  tautline export json-schema catalog > catalog.schema.json")]
    JsonSchema {
        /// Which file it is about
        #[arg(value_enum, default_value_t = File::Catalog)]
        of: File,
    },
    /// The YAML of a template that ships with tautline, to read its parameters or to make one's own from it
    #[command(after_help = "Example:\n  tautline export template retail")]
    Template {
        /// Its name; without one, all names
        name: Option<String>,
    },
}

#[derive(ValueEnum, Debug, Clone, Copy)]
enum File {
    Catalog,
    Settings,
    Tests,
}

pub(super) fn export(args: &ExportArgs) -> Result<(), String> {
    match &args.what {
        What::JsonSchema { of } => {
            let schema = match of {
                File::Catalog => schema::catalogue(),
                File::Settings => settings::schema(),
                File::Tests => super::test::schema(),
            };
            super::print(&format!("{schema:#}"));
            Ok(())
        }
        What::Template { name: None } => {
            let names: Vec<&str> = template::SHIPPED.iter().map(|shipped| shipped.name).collect();
            super::print(&names.join("\n"));
            Ok(())
        }
        What::Template { name: Some(name) } => {
            let names = template::SHIPPED.iter().map(|shipped| shipped.name);
            let found = template::SHIPPED.iter().find(|shipped| shipped.name == name);
            let shipped = found.ok_or_else(|| {
                let hint = nearest(name, names.clone()).map_or_else(
                    || format!("known are {}", names.collect::<Vec<_>>().join(", ")),
                    |near| format!("did you mean '{near}'?"),
                );
                format!("no template '{name}' ships with tautline; {hint}")
            })?;
            super::print(shipped.text);
            Ok(())
        }
    }
}

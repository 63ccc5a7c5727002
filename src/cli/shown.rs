//! How a command's result is shown: arguments that many commands have.

use clap::ValueEnum;

use crate::settings::Settings;
use crate::words::Language;

/// For people, or for a program.
#[derive(ValueEnum, Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    Text,
    Json,
}

/// A language, as an argument.
#[derive(ValueEnum, Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tongue {
    Zh,
    En,
}

impl Tongue {
    /// The language that was asked for, else that of the settings.
    pub(super) fn or_settings(asked: Option<Tongue>, settings: &Settings) -> Language {
        match asked {
            Some(Tongue::Zh) => Language::Zh,
            Some(Tongue::En) => Language::En,
            None => settings.language,
        }
    }
}

//! Decomposition templates: a sub-tree of metrics, nodes and rules with typed parameters, written once and put to work
//! with `use:`.
//!
//! A template is a tree of YAML with places for values: `"{{ expression }}"`, where the expression is CEL over the
//! parameters. [`declaration`] checks a template by itself; [`parameter`] checks what a use gives it; [`fill`] puts the
//! values in. What comes out is read by the same types as the rest of the catalogue, see [`super::load`].

mod declaration;
mod fill;
mod parameter;
mod shipped;

use schemars::JsonSchema;
use serde::Deserialize;
use serde::de::Deserializer;

use super::yaml::{Named, Spanned, Tree};

pub(super) use declaration::check;
pub(super) use fill::{Scope, fill_nodes, fill_section, own_names};
pub(super) use parameter::{Argument, Context, argument};
pub use shipped::{SHIPPED, Shipped};

/// What a template asks for in every case: the language of its titles.
pub(super) const LANGUAGE: &str = "language";
/// The name of the use, for the names of what comes of it.
pub(super) const USE: &str = "use";

/// A template as the catalogue declares it.
#[derive(Deserialize, JsonSchema, Debug, Clone)]
#[serde(deny_unknown_fields)]
pub(super) struct TemplateEntry {
    /// What it decomposes, for people who look for one.
    #[serde(rename = "title")]
    pub(super) _title: Option<String>,
    #[serde(default)]
    pub(super) parameters: Named<ParameterEntry>,
    pub(super) metrics: Option<Spanned<Tree>>,
    pub(super) nodes: Option<Spanned<Tree>>,
    pub(super) rules: Option<Spanned<Tree>>,
}

/// `amount: {type: field, of: orders, default: amount}`.
#[derive(Deserialize, JsonSchema, Debug, Clone)]
#[serde(deny_unknown_fields)]
pub(super) struct ParameterEntry {
    pub(super) r#type: ParameterType,
    /// What it is for.
    #[serde(rename = "title")]
    pub(super) _title: Option<String>,
    /// The parameters of type `source` whose fields are meant.
    #[serde(default, deserialize_with = "one_or_many")]
    #[schemars(with = "serde_json::Value")]
    pub(super) of: Vec<Spanned<String>>,
    /// Without one a use must give a value; `null` leaves out the keys that it stands in.
    #[serde(default, deserialize_with = "given")]
    #[schemars(with = "serde_json::Value")]
    pub(super) default: Option<Spanned<Tree>>,
}

/// What a parameter takes.
#[derive(Deserialize, JsonSchema, Debug, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub(super) enum ParameterType {
    Text,
    Number,
    Share,
    Bool,
    Time,
    Period,
    Target,
    Source,
    Field,
    Fields,
    Condition,
    Metric,
    Node,
}

/// `shop: {template: retail, with: {…}}`.
#[derive(Deserialize, JsonSchema, Debug, Clone)]
#[serde(deny_unknown_fields)]
pub(super) struct UseEntry {
    pub(super) template: Spanned<String>,
    #[serde(default)]
    pub(super) with: Named<Spanned<Tree>>,
}

/// Tells `default: null` from no default.
fn given<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Spanned<Tree>>, D::Error> {
    Spanned::deserialize(deserializer).map(Some)
}

fn one_or_many<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Spanned<String>>, D::Error> {
    let written = Spanned::<Tree>::deserialize(deserializer)?;
    let text = |item: &Spanned<Tree>| {
        let text = item.value.scalar().unwrap_or_default();
        item.with(text)
    };
    Ok(match &written.value {
        Tree::List(items) => items.iter().map(text).collect(),
        _ => vec![text(&written)],
    })
}

#[cfg(test)]
mod tests;

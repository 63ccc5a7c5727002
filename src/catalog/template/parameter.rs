//! What a use gives a template: each value against the type of its parameter.

use serde::Deserialize;

use super::{ParameterEntry, ParameterType};
use crate::catalog::diagnostic::nearest;
use crate::catalog::expr::{Expr, Type, Variable};
use crate::catalog::file::{Duration, PeriodEntry, Share, TargetEntry, parse_number};
use crate::catalog::yaml::{Node, Spanned, Tree};

/// What the catalogue around a use has.
pub(crate) struct Context<'c> {
    /// Sources with their fields.
    pub(crate) sources: Vec<(&'c str, Vec<Variable>)>,
}

/// A checked value.
pub(crate) struct Argument {
    /// As the template's expressions use it.
    pub(crate) value: Tree,
    /// A name that must be that of a metric or node, once all are known.
    pub(crate) refers_to: Option<(&'static str, String)>,
}

/// Checks a value against a parameter; `source_of` gives the source that another parameter was given.
///
/// # Errors
/// What is wrong with it, and what to write instead.
pub(crate) fn argument<'c>(
    parameter: &ParameterEntry,
    given: &Spanned<Tree>,
    context: &'c Context<'c>,
    source_of: &dyn Fn(&str) -> Option<String>,
) -> Result<Argument, String> {
    let tree = &given.value;
    let plain = |value: Tree| {
        Ok(Argument {
            value,
            refers_to: None,
        })
    };
    let is_default = parameter
        .default
        .as_ref()
        .is_some_and(|default| default.value == Tree::Null);
    if *tree == Tree::Null && is_default {
        return plain(Tree::Null);
    }
    let text = || match tree.scalar() {
        Some(text) => Ok(text),
        None => Err(format!("found {}, expected a text", tree.noun())),
    };
    let fields_of = |source: &str| {
        let name = source_of(source)?;
        context
            .sources
            .iter()
            .find(|(known, _)| *known == name)
            .map(|(name, fields)| (*name, fields.as_slice()))
    };
    // A parameter without a right source is told there, and only there.
    let sources: Vec<(&str, &[Variable])> = parameter
        .of
        .iter()
        .filter_map(|source| fields_of(&source.value))
        .collect();
    match parameter.r#type {
        ParameterType::Text => plain(Tree::Text(text()?)),
        ParameterType::Bool => match tree {
            Tree::Bool(truth) => plain(Tree::Bool(*truth)),
            other => Err(format!("found {}, expected true or false", other.noun())),
        },
        ParameterType::Number => {
            let number = tree.scalar().as_deref().and_then(parse_number);
            let number =
                number.ok_or_else(|| format!("found {}, expected a number such as 1_200", shown(tree)))?;
            plain(Tree::Number(number.into()))
        }
        ParameterType::Share => {
            let share = Share::deserialize(Node(given)).map_err(|error| error.to_string())?;
            plain(Tree::Number(share.0.into()))
        }
        ParameterType::Time => read::<Duration>(given).map(plain)?,
        ParameterType::Period => read::<PeriodEntry>(given).map(plain)?,
        ParameterType::Target => read::<TargetEntry>(given).map(plain)?,
        ParameterType::Source => {
            let name = text()?;
            let known = context.sources.iter().map(|(name, _)| *name);
            one_of("source", &name, known)?;
            plain(Tree::Text(name))
        }
        ParameterType::Field => {
            let name = text()?;
            is_field(&name, &sources)?;
            plain(Tree::Text(name))
        }
        ParameterType::Fields => {
            let Tree::List(items) = tree else {
                return Err(format!(
                    "found {}, expected a list of fields such as [region, store]",
                    shown(tree)
                ));
            };
            for item in items {
                let name = item.value.scalar().unwrap_or_default();
                is_field(&name, &sources)?;
            }
            plain(tree.clone())
        }
        ParameterType::Condition => {
            let condition = text()?;
            for (source, fields) in sources {
                let expr = Expr::compile(&condition, fields)
                    .map_err(|error| format!("{} (of source '{source}')", error.message))?;
                if !matches!(expr.kind(), Type::Bool | Type::Any) {
                    return Err(format!(
                        "a condition is true or false, and this is {}",
                        expr.kind().noun()
                    ));
                }
            }
            plain(Tree::Text(condition))
        }
        ParameterType::Metric | ParameterType::Node => {
            let name = text()?;
            let what = match parameter.r#type {
                ParameterType::Metric => "metric",
                _ => "node",
            };
            Ok(Argument {
                value: Tree::Text(name.clone()),
                refers_to: Some((what, name)),
            })
        }
    }
}

/// Checks that a value reads as a type, and gives it back as it was written.
fn read<'t, T: Deserialize<'t>>(given: &Spanned<Tree>) -> Result<Tree, String> {
    T::deserialize(Node(given)).map_err(|error| error.to_string())?;
    Ok(given.value.clone())
}

fn is_field(name: &str, sources: &[(&str, &[Variable])]) -> Result<(), String> {
    for (source, fields) in sources {
        let what = format!("field in source '{source}' named");
        one_of(&what, name, fields.iter().map(|field| field.name.as_str()))?;
    }
    Ok(())
}

fn one_of<'n>(what: &str, name: &str, known: impl Iterator<Item = &'n str> + Clone) -> Result<(), String> {
    if known.clone().any(|candidate| candidate == name) {
        return Ok(());
    }
    let hint = match nearest(name, known.clone()) {
        Some(near) => format!("did you mean '{near}'?"),
        None => format!("known are {}", known.collect::<Vec<_>>().join(", ")),
    };
    Err(format!("there is no {what} '{name}'; {hint}"))
}

fn shown(tree: &Tree) -> String {
    tree.scalar()
        .map_or_else(|| tree.noun().to_owned(), |text| format!("'{text}'"))
}

//! Puts values into a template: `"{{ by }}"` alone becomes the value as it is, a list or a mapping too;
//! `"{{ visitors * share }}"` its number; and within a text every `{{ … }}` becomes text.

use super::{LANGUAGE, ParameterType, USE};
use crate::catalog::expr::{Expr, Scalar, Type, Value, Variable};
use crate::catalog::yaml::{Location, Spanned, Tree};

/// A mistake in a template: its location there, and what to write instead.
pub(crate) type Mistake = (Location, String);

/// The names that a template's expressions may use, with their values where it is put to work.
#[derive(Clone, Debug, Default)]
pub(crate) struct Scope {
    variables: Vec<Variable>,
    values: Vec<Tree>,
}

impl Scope {
    /// A name with its type and value; a template that is checked by itself has no values.
    pub(crate) fn add(&mut self, name: &str, kind: ParameterType, value: Tree) {
        let kind = match kind {
            ParameterType::Number | ParameterType::Share => Type::Number,
            ParameterType::Bool => Type::Bool,
            // A target may be a number or a mapping, and a list is no value of an expression.
            ParameterType::Target | ParameterType::Fields => Type::Any,
            _ => Type::Text,
        };
        self.variables.push(Variable::new(name, kind));
        self.values.push(value);
    }

    /// The value of a name.
    pub(crate) fn get(&self, name: &str) -> Option<&Tree> {
        let at = self.variables.iter().position(|variable| variable.name == name)?;
        self.values.get(at)
    }

    /// The names of a loop over dimensions: which one it is, those up to it, and endings that tell its nodes from those
    /// of the level above.
    pub(crate) fn within(&self, dimensions: &[Spanned<Tree>], upto: usize) -> Scope {
        let ending = |count: usize| {
            dimensions[..count]
                .iter()
                .filter_map(|dimension| dimension.value.scalar())
                .fold(String::new(), |ending, name| format!("{ending}-{name}"))
        };
        let this = dimensions.get(upto).map(|dimension| dimension.value.clone());
        let (these, here, above) = match this {
            Some(_) => (dimensions[..=upto].to_vec(), ending(upto + 1), ending(upto)),
            None => (Vec::new(), String::new(), String::new()),
        };
        let mut scope = self.clone();
        scope.add("dimension", ParameterType::Text, this.unwrap_or_default());
        scope.add("dimensions", ParameterType::Fields, Tree::List(these));
        scope.add("here", ParameterType::Text, Tree::Text(here));
        scope.add("above", ParameterType::Text, Tree::Text(above));
        scope
    }

    /// Checks an expression: it parses, its names are known, its types go together.
    pub(super) fn compile(&self, code: &str) -> Result<Expr, String> {
        let expr = Expr::compile(code, &self.variables).map_err(|error| error.message)?;
        let whole = expr
            .uses()
            .iter()
            .find(|&&used| self.variables[used].kind == Type::Any);
        match whole {
            Some(&used) => {
                let name = &self.variables[used].name;
                Err(format!(
                    "'{name}' may be a list or a mapping, and nothing is computed from it; it stands alone: \"{{{{ {name} }}}}\""
                ))
            }
            None => Ok(expr),
        }
    }

    /// The value of an expression; nothing where a value in it is missing.
    fn evaluate(&self, code: &str) -> Result<Tree, String> {
        if let Some(value) = self.get(code) {
            return Ok(value.clone());
        }
        let expr = self.compile(code)?;
        let value = expr.scalar(|index| match self.values.get(index) {
            Some(Tree::Bool(truth)) => Value::Bool(*truth),
            Some(Tree::Number(number)) => Value::Number(number.value),
            Some(Tree::Text(text)) => Value::Text(text),
            _ => Value::Missing,
        });
        Ok(match value {
            Some(Scalar::Bool(truth)) => Tree::Bool(truth),
            Some(Scalar::Number(number)) => Tree::Number(number.into()),
            Some(Scalar::Text(text)) => Tree::Text(text),
            None => Tree::Null,
        })
    }
}

/// A part of a text.
#[derive(Debug, PartialEq)]
pub(super) enum Part<'t> {
    /// As it stands.
    Text(&'t str),
    /// The inside of `{{ … }}`.
    Code(&'t str),
}

/// Takes a text apart at its `{{ … }}`.
pub(super) fn parts(text: &str) -> Result<Vec<Part<'_>>, String> {
    let mut parts = Vec::new();
    let mut rest = text;
    while let Some(open) = rest.find("{{") {
        if open > 0 {
            parts.push(Part::Text(&rest[..open]));
        }
        let inside = &rest[open + 2..];
        let close = inside.find("}}").ok_or("this {{ is never closed by }}")?;
        let code = inside[..close].trim();
        // Titles of rules have places of their own, which are filled when somebody is told.
        let of_a_rule = ["node.", "kpi.", "parent.", "link.", "source."];
        parts.push(if of_a_rule.iter().any(|start| code.starts_with(start)) {
            Part::Text(&rest[open..open + 2 + close + 2])
        } else {
            Part::Code(code)
        });
        rest = &inside[close + 2..];
    }
    if !rest.is_empty() {
        parts.push(Part::Text(rest));
    }
    Ok(parts)
}

/// Fills a section of entries; entries whose mistakes are told are left out.
pub(crate) fn fill_section(
    section: &Spanned<Tree>,
    scope: &Scope,
    mistakes: &mut Vec<Mistake>,
) -> Spanned<Tree> {
    section.with(fill(section, scope, mistakes))
}

/// Fills the nodes; one with `for_each: by` comes once for every dimension that the parameter `by` has.
pub(crate) fn fill_nodes(
    section: &Spanned<Tree>,
    scope: &Scope,
    mistakes: &mut Vec<Mistake>,
) -> Spanned<Tree> {
    let mut nodes = Vec::new();
    let Tree::Map(entries) = &section.value else {
        return fill_section(section, scope, mistakes);
    };
    for (name, node) in entries {
        let one = |node: Spanned<Tree>, scope: &Scope, mistakes: &mut Vec<Mistake>| {
            let key = filled_key(name, scope, mistakes);
            let value = fill(&node, scope, mistakes);
            (key, node.with(value))
        };
        match without_loop(node) {
            None => nodes.push(one(node.clone(), scope, mistakes)),
            Some((by, node)) => {
                let Some(Tree::List(dimensions)) = by.value.scalar().and_then(|by| scope.get(&by)) else {
                    continue;
                };
                for upto in 0..dimensions.len() {
                    nodes.push(one(node.clone(), &scope.within(dimensions, upto), mistakes));
                }
            }
        }
    }
    section.with(Tree::Map(nodes))
}

/// What a node is repeated for, and the node without saying so.
pub(super) fn without_loop(node: &Spanned<Tree>) -> Option<(Spanned<Tree>, Spanned<Tree>)> {
    let Tree::Map(pairs) = &node.value else {
        return None;
    };
    let (_, by) = pairs.iter().find(|(key, _)| key.value == "for_each")?;
    let rest = pairs.iter().filter(|(key, _)| key.value != "for_each");
    let node = node.with(Tree::Map(rest.cloned().collect()));
    Some((by.clone(), node))
}

fn fill(tree: &Spanned<Tree>, scope: &Scope, mistakes: &mut Vec<Mistake>) -> Tree {
    match &tree.value {
        Tree::Text(text) => match filled(text, scope) {
            Ok(value) => value,
            Err(message) => {
                mistakes.push((tree.location, message));
                Tree::Null
            }
        },
        Tree::List(items) => Tree::List(
            items
                .iter()
                .map(|item| item.with(fill(item, scope, mistakes)))
                .filter(|item| item.value != Tree::Null)
                .collect(),
        ),
        Tree::Map(pairs) => {
            let mut filled = Vec::new();
            for (key, value) in pairs {
                let name = filled_key(key, scope, mistakes);
                let value = match in_language(&key.value, value, scope) {
                    // A name that was put together of an empty one has blanks at its ends.
                    Some(title) => match fill(title, scope, mistakes) {
                        Tree::Text(text) => {
                            let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
                            title.with(Tree::Text(text))
                        }
                        other => title.with(other),
                    },
                    None => value.with(fill(value, scope, mistakes)),
                };
                // What has no value was not given: the key is left out, as if nobody had written it.
                if value.value != Tree::Null {
                    filled.push((name, value));
                }
            }
            Tree::Map(filled)
        }
        other => other.clone(),
    }
}

/// The title in the language that the use asks for, where the template has several.
fn in_language<'t>(key: &str, value: &'t Spanned<Tree>, scope: &Scope) -> Option<&'t Spanned<Tree>> {
    let Tree::Map(titles) = &value.value else {
        return None;
    };
    let language = scope.get(LANGUAGE)?.scalar()?;
    let found = titles.iter().find(|(tag, _)| tag.value == language);
    let (_, title) = found.or(titles.first()).filter(|_| key == "title")?;
    Some(title)
}

fn filled_key(key: &Spanned<String>, scope: &Scope, mistakes: &mut Vec<Mistake>) -> Spanned<String> {
    let name = match filled(&key.value, scope) {
        Ok(value) => value.scalar().unwrap_or_default(),
        Err(message) => {
            mistakes.push((key.location, message));
            key.value.clone()
        }
    };
    key.with(name)
}

fn filled(text: &str, scope: &Scope) -> Result<Tree, String> {
    let parts = parts(text)?;
    if let [Part::Code(code)] = parts.as_slice() {
        return scope.evaluate(code);
    }
    let mut out = String::with_capacity(text.len());
    for part in parts {
        match part {
            Part::Text(text) => out.push_str(text),
            Part::Code(code) => {
                let value = scope.evaluate(code)?;
                let text = value.scalar().ok_or_else(|| {
                    format!(
                        "'{code}' is {} here, and this takes a text; a use must give it",
                        value.noun()
                    )
                })?;
                out.push_str(&text);
            }
        }
    }
    Ok(Tree::Text(out))
}

/// The names that every template has.
pub(crate) fn own_names(scope: &mut Scope, name: &str, language: &str) {
    scope.add(USE, ParameterType::Text, Tree::Text(name.to_owned()));
    scope.add(LANGUAGE, ParameterType::Text, Tree::Text(language.to_owned()));
}

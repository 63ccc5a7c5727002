//! A template by itself: what is wrong with it whoever uses it.

use super::fill::{Mistake, Part, Scope, own_names, parts, without_loop};
use super::{LANGUAGE, ParameterType, TemplateEntry, USE};
use crate::catalog::diagnostic::nearest;
use crate::catalog::yaml::{Location, Spanned, Tree};

/// Names that a loop over dimensions gives, besides those that every template has.
const RESERVED: [&str; 6] = [USE, LANGUAGE, "dimension", "dimensions", "here", "above"];

/// Every mistake of a template that shows without a use.
pub(crate) fn check(template: &TemplateEntry, place: Location) -> Vec<Mistake> {
    let mut mistakes = parameters(template);
    let mut scope = Scope::default();
    own_names(&mut scope, "", "en");
    for (name, parameter) in &template.parameters.0 {
        scope.add(&name.value, parameter.r#type, Tree::Null);
    }
    if template.metrics.is_none() && template.nodes.is_none() && template.rules.is_none() {
        mistakes.push((
            place,
            "the template is empty: it needs 'metrics', 'nodes' or 'rules'".to_owned(),
        ));
    }
    for section in [&template.metrics, &template.rules].into_iter().flatten() {
        walk(section, &scope, &mut mistakes);
    }
    if let Some(section) = &template.nodes {
        nodes(template, section, &scope, &mut mistakes);
    }
    mistakes
}

fn parameters(template: &TemplateEntry) -> Vec<Mistake> {
    let mut mistakes = Vec::new();
    let sources: Vec<&str> = template
        .parameters
        .0
        .iter()
        .filter(|(_, parameter)| parameter.r#type == ParameterType::Source)
        .map(|(name, _)| name.value.as_str())
        .collect();
    for (name, parameter) in &template.parameters.0 {
        let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let is_name = name.value.chars().all(word) && !name.value.starts_with(|c: char| c.is_ascii_digit());
        if RESERVED.contains(&name.value.as_str()) {
            let message = format!("'{}' is there in every template; call it otherwise", name.value);
            mistakes.push((name.location, message));
        } else if !is_name {
            let message = format!(
                "'{}' is no name of a parameter: letters, digits and '_' are, as expressions use it",
                name.value
            );
            mistakes.push((name.location, message));
        }
        let of_source = matches!(
            parameter.r#type,
            ParameterType::Field | ParameterType::Fields | ParameterType::Condition
        );
        if of_source && parameter.of.is_empty() {
            let message = format!(
                "whose fields? add 'of: ' with a parameter of type source{}",
                sources
                    .first()
                    .map_or_else(String::new, |source| format!(", such as of: {source}"))
            );
            mistakes.push((name.location, message));
        }
        for source in &parameter.of {
            if !of_source {
                let message = "only field, fields and condition are of a source; remove 'of'".to_owned();
                mistakes.push((source.location, message));
            } else if !sources.contains(&source.value.as_str()) {
                let hint = nearest(&source.value, sources.iter().copied())
                    .map_or_else(String::new, |near| format!("; did you mean '{near}'?"));
                let message = format!("there is no parameter '{}' of type source{hint}", source.value);
                mistakes.push((source.location, message));
            }
        }
    }
    mistakes
}

fn nodes(template: &TemplateEntry, section: &Spanned<Tree>, scope: &Scope, mistakes: &mut Vec<Mistake>) {
    let Tree::Map(entries) = &section.value else {
        return walk(section, scope, mistakes);
    };
    for (name, node) in entries {
        let Some((by, node)) = without_loop(node) else {
            text(&name.value, name.location, scope, mistakes);
            walk(node, scope, mistakes);
            continue;
        };
        let lists: Vec<&str> = template
            .parameters
            .0
            .iter()
            .filter(|(_, parameter)| parameter.r#type == ParameterType::Fields)
            .map(|(name, _)| name.value.as_str())
            .collect();
        let named = by.value.scalar().unwrap_or_default();
        if !lists.contains(&named.as_str()) {
            let hint = match nearest(&named, lists.iter().copied()).or(lists.first().copied()) {
                Some(near) => format!("; did you mean '{near}'?"),
                None => "; declare one: by: {type: fields, of: …}".to_owned(),
            };
            let message = format!("'for_each' takes the name of a parameter of type fields{hint}");
            mistakes.push((by.location, message));
        }
        let scope = scope.within(&[], 0);
        text(&name.value, name.location, &scope, mistakes);
        walk(&node, &scope, mistakes);
    }
}

/// Checks every text of a tree.
fn walk(tree: &Spanned<Tree>, scope: &Scope, mistakes: &mut Vec<Mistake>) {
    match &tree.value {
        Tree::Text(written) => text(written, tree.location, scope, mistakes),
        Tree::List(items) => items.iter().for_each(|item| walk(item, scope, mistakes)),
        Tree::Map(pairs) => {
            for (key, value) in pairs {
                text(&key.value, key.location, scope, mistakes);
                walk(value, scope, mistakes);
            }
        }
        _ => {}
    }
}

fn text(written: &str, location: Location, scope: &Scope, mistakes: &mut Vec<Mistake>) {
    let checked = parts(written).and_then(|parts| {
        for part in parts {
            match part {
                Part::Code(name) if scope.get(name).is_some() => {}
                Part::Code(code) => drop(scope.compile(code)?),
                Part::Text(_) => {}
            }
        }
        Ok(())
    });
    if let Err(message) = checked {
        mistakes.push((location, message));
    }
}

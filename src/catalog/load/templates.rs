//! Puts templates to work: every `use:` becomes metrics, nodes and rules, before anything else is checked.

use std::collections::HashMap;
use std::sync::Arc;

use serde::Deserialize;

use super::{Entry, Loader, Merged, entries};
use crate::catalog::diagnostic::{Diagnostics, Place};
use crate::catalog::expr::{Type, Variable};
use crate::catalog::file::{FieldKind, SourceEntry};
use crate::catalog::model::Catalog;
use crate::catalog::template::{
    self, Argument, Context, LANGUAGE, SHIPPED, Scope, Shipped, TemplateEntry, UseEntry,
};
use crate::catalog::yaml::{self, Named, Node, Spanned, Tree};

/// Where the entries of one use are from.
pub(super) struct Origin {
    /// What stands for the file in their places until all is read.
    stand_in: Arc<str>,
    /// The file that the template stands in.
    file: Arc<str>,
    template: String,
    used_at: Place,
}

/// A template with the file that it stands in.
#[derive(Clone)]
struct Found {
    file: Arc<str>,
    entry: TemplateEntry,
}

/// A name that a use gave for a metric or node, checked once all are known.
struct Reference {
    place: Place,
    what: &'static str,
    name: String,
}

impl Loader<'_> {
    /// Replaces every use by what it makes.
    pub(super) fn expand(&mut self, merged: &mut Merged) {
        for entry in entries(&merged.templates) {
            for (location, message) in template::check(entry.value, entry.name.location) {
                self.problem(yaml::place(&entry.file, location), message);
            }
        }
        if !self.problems.is_empty() {
            return;
        }
        let uses = std::mem::take(&mut merged.uses);
        let declared = std::mem::take(&mut merged.sources);
        let sources = sources(&declared);
        let mut references = Vec::new();
        for entry in entries(&uses) {
            let Some(found) = self.find(&entry, merged) else {
                continue;
            };
            let Some(scope) = self.scope(&entry, &found.entry, &sources, &mut references) else {
                continue;
            };
            self.put_to_work(&entry, &found, &scope, merged);
        }
        merged.sources = declared;
        for Reference { place, what, name } in references {
            let metrics = entries(&merged.metrics).map(|entry| entry.name.value.as_str());
            let nodes = entries(&merged.nodes).map(|entry| entry.name.value.as_str());
            let known: Vec<&str> = if what == "metric" {
                metrics.collect()
            } else {
                nodes.collect()
            };
            self.resolve(what, place, &name, known.into_iter());
        }
    }

    /// The template that a use names: one of the catalogue's own, else one that ships with tautline.
    fn find(&mut self, used: &Entry<'_, UseEntry>, merged: &Merged) -> Option<Found> {
        let name = &used.value.template.value;
        let mut own = entries(&merged.templates);
        if let Some(entry) = own.find(|entry| entry.name.value == *name) {
            return Some(Found {
                file: entry.file.clone(),
                entry: entry.value.clone(),
            });
        }
        let own = entries(&merged.templates).map(|entry| entry.name.value.as_str());
        let known: Vec<&str> = own.chain(SHIPPED.iter().map(|shipped| shipped.name)).collect();
        self.resolve("template", used.at(&used.value.template), name, known.into_iter())?;
        let shipped = SHIPPED.iter().find(|shipped| shipped.name == *name)?;
        match read_shipped(shipped) {
            Ok(found) => Some(found),
            Err(diagnostic) => {
                self.problems.push(diagnostic);
                None
            }
        }
    }

    /// The values that a use gives, checked; `None` when one is wrong or missing.
    fn scope(
        &mut self,
        used: &Entry<'_, UseEntry>,
        template: &TemplateEntry,
        sources: &[(&str, Vec<Variable>)],
        references: &mut Vec<Reference>,
    ) -> Option<Scope> {
        let before = self.problems.len();
        self.check_name(used);
        let parameters = &template.parameters.0;
        let names = parameters.iter().map(|(name, _)| name.value.as_str());
        let mut given: HashMap<&str, &Spanned<Tree>> = HashMap::new();
        for (name, value) in &used.value.with.0 {
            let known = names.clone().chain([LANGUAGE]);
            let what = format!("parameter of template '{}' named", used.value.template.value);
            if self.resolve(&what, used.at(name), &name.value, known).is_some() {
                given.insert(&name.value, value);
            }
        }
        let mut scope = Scope::default();
        template::own_names(&mut scope, &used.name.value, &self.language(used, &given));
        let context = Context {
            sources: sources.to_vec(),
        };
        // Parameters may come in any order: fields of a source may stand before the source.
        let source_of = |name: &str| {
            let default = || {
                let (_, parameter) = parameters.iter().find(|(known, _)| known.value == name)?;
                parameter.default.as_ref()
            };
            given.get(name).copied().or_else(default)?.value.scalar()
        };
        for (name, parameter) in parameters {
            let (place, value) = match (given.get(name.value.as_str()), &parameter.default) {
                (Some(value), _) => (used.at(*value), *value),
                (None, Some(default)) => (used.at(&used.value.template), default),
                (None, None) => {
                    let message = format!(
                        "template '{}' needs '{}', a value of type {}; add it under 'with'",
                        used.value.template.value,
                        name.value,
                        word(parameter.r#type),
                    );
                    self.problem(used.at(&used.value.template), message);
                    continue;
                }
            };
            match template::argument(parameter, value, &context, &source_of) {
                Ok(Argument { value, refers_to }) => {
                    references.extend(refers_to.map(|(what, name)| Reference { place, what, name }));
                    scope.add(&name.value, parameter.r#type, value);
                }
                Err(message) => {
                    let default = if given.contains_key(name.value.as_str()) {
                        ""
                    } else {
                        " by default"
                    };
                    self.problem(place, format!("'{}'{default}: {message}", name.value));
                }
            }
        }
        (self.problems.len() == before).then_some(scope)
    }

    /// The name of a use goes into names of metrics, which expressions use.
    fn check_name(&mut self, used: &Entry<'_, UseEntry>) {
        let name = &used.name.value;
        let word = |c: char| c.is_alphanumeric() || c == '_';
        if !name.chars().all(word) || name.starts_with(|c: char| c.is_ascii_digit()) {
            let message = format!(
                "'{name}' cannot begin the names of metrics, which expressions use; write letters, digits and '_'"
            );
            self.problem(used.place(), message);
        }
    }

    fn language(&mut self, used: &Entry<'_, UseEntry>, given: &HashMap<&str, &Spanned<Tree>>) -> String {
        let Some(language) = given.get(LANGUAGE) else {
            return "en".to_owned();
        };
        let tag = language.value.scalar().unwrap_or_default();
        if !["en", "zh"].contains(&tag.as_str()) {
            let message = format!("'{tag}' is not one of en, zh");
            self.problem(used.at(*language), message);
        }
        tag
    }

    /// Fills the template and adds what comes of it to the catalogue.
    fn put_to_work(&mut self, used: &Entry<'_, UseEntry>, found: &Found, scope: &Scope, merged: &mut Merged) {
        let used_at = used.place();
        let stand_in: Arc<str> = format!("{} (used at {used_at})", found.file).into();
        self.origins.push(Origin {
            stand_in: stand_in.clone(),
            file: found.file.clone(),
            template: used.value.template.value.clone(),
            used_at,
        });
        let mut mistakes = Vec::new();
        let section = |section: &Option<Spanned<Tree>>, mistakes: &mut Vec<_>| {
            section
                .as_ref()
                .map(|section| template::fill_section(section, scope, mistakes))
        };
        let metrics = section(&found.entry.metrics, &mut mistakes);
        let rules = section(&found.entry.rules, &mut mistakes);
        let nodes = found
            .entry
            .nodes
            .as_ref()
            .map(|section| template::fill_nodes(section, scope, &mut mistakes));
        if !mistakes.is_empty() {
            for (location, message) in mistakes {
                self.problem(yaml::place(&stand_in, location), message);
            }
            return;
        }
        if let Some(metrics) = self.typed(&stand_in, metrics) {
            self.add("metric", &stand_in, metrics, &mut merged.metrics);
        }
        if let Some(nodes) = self.typed(&stand_in, nodes) {
            self.add("node", &stand_in, nodes, &mut merged.nodes);
        }
        if let Some(rules) = self.typed(&stand_in, rules) {
            self.add("rule", &stand_in, rules, &mut merged.rules);
        }
    }

    fn typed<T: for<'de> Deserialize<'de>>(
        &mut self,
        file: &Arc<str>,
        section: Option<Spanned<Tree>>,
    ) -> Option<Named<T>> {
        let section = section?;
        match Named::deserialize(Node(&section)) {
            Ok(named) => Some(named),
            Err(error) => {
                self.problems.push(error.diagnostic(file, section.location));
                None
            }
        }
    }

    /// The text that a place is in, for columns inside of expressions.
    pub(super) fn text_of(&self, file: &Arc<str>) -> Option<&str> {
        let origin = self.origins.iter().find(|origin| origin.stand_in == *file);
        let file = origin.map_or(file, |origin| &origin.file);
        let mut own = self.files.texts.iter();
        match own.find(|(path, _)| self.files.shown(path) == *file) {
            Some((_, text)) => Some(text),
            None => SHIPPED
                .iter()
                .find(|shipped| shipped.file() == **file)
                .map(|shipped| shipped.text),
        }
    }

    /// The mistakes, in file order. One inside a template says where it stands there, and where it was used.
    pub(super) fn refused(mut self) -> Diagnostics {
        for problem in &mut self.problems {
            let of = |origin: &&Origin| origin.stand_in == problem.place.file;
            if let Some(origin) = self.origins.iter().find(of) {
                problem.place.file = origin.file.clone();
                let used = format!(" (template '{}' used at {})", origin.template, origin.used_at);
                problem.message.push_str(&used);
            }
        }
        self.problems.sort_by(|a, b| a.place.cmp(&b.place));
        Diagnostics(self.problems)
    }

    /// What came of a template is at its use from now on: that is what people change.
    pub(super) fn place_at_uses(&self, catalog: &mut Catalog) {
        let metrics = catalog.metrics.iter_mut().map(|metric| &mut metric.place);
        let nodes = catalog.nodes.iter_mut().map(|node| &mut node.place);
        let rules = catalog.rules.iter_mut().filter_map(|rule| rule.place.as_mut());
        for place in metrics.chain(nodes).chain(rules) {
            let of = |origin: &&Origin| origin.stand_in == place.file;
            if let Some(origin) = self.origins.iter().find(of) {
                *place = origin.used_at.clone();
            }
        }
    }
}

/// Sources with their fields, for checks of what a use gives.
fn sources(declared: &super::Owned<SourceEntry>) -> Vec<(&str, Vec<Variable>)> {
    let kind = |kind: Option<FieldKind>| match kind {
        None => Type::Any,
        Some(FieldKind::Text) => Type::Text,
        Some(FieldKind::Number) => Type::Number,
        Some(FieldKind::Bool) => Type::Bool,
    };
    entries(declared)
        .map(|entry| {
            let fields = entry.value.fields.0.iter();
            let fields = fields.map(|(name, field)| Variable::new(name.value.clone(), kind(field.kind)));
            (entry.name.value.as_str(), fields.collect())
        })
        .collect()
}

fn read_shipped(shipped: &Shipped) -> Result<Found, crate::catalog::Diagnostic> {
    let file: Arc<str> = shipped.file().into();
    let read = yaml::read::<crate::catalog::file::File>(&file, shipped.text)?;
    let entry = read.templates.0.into_iter().next().map(|(_, entry)| entry);
    entry
        .map(|entry| Found {
            file: file.clone(),
            entry,
        })
        .ok_or_else(|| crate::catalog::Diagnostic {
            place: yaml::place(&file, yaml::Location::UNKNOWN),
            message: "there is no template in it".to_owned(),
        })
}

/// A type as the catalogue writes it.
fn word(kind: template::ParameterType) -> String {
    format!("{kind:?}").to_lowercase()
}

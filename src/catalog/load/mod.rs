//! From the folder of YAML files to the checked [`Catalog`]: every mistake with its place and what to write instead.
//!
//! One file a section: [`calendar`], [`sources`], [`metrics`] (with [`simple`]), [`nodes`] with their [`targets`], [`rules`]
//! with their [`severities`]; [`templates`] first of all puts templates to work.
//! Reading the folder is the only I/O; [`load`] itself takes texts.

mod backfill;
mod calendar;
mod conversion;
mod duration;
mod hysteresis;
mod manual;
mod metrics;
mod nodes;
mod rules;
mod severities;
mod simple;
mod sources;
mod targets;
mod templates;
mod weights;

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::Arc;

use super::diagnostic::{Diagnostic, Diagnostics, Place, nearest};
use super::expr::{Expr, Variable};
use super::file::File;
use super::lint::Code;
use super::model::{Accepted, Assess, Catalog};
use super::severity::Ladder;
use super::yaml::{self, Location, Named, Spanned};

/// The texts of a catalogue folder: YAML, and the CSV files that it names.
#[derive(Debug, Default)]
pub struct Files {
    /// The folder as the user named it.
    root: String,
    /// Texts by path below the folder.
    texts: BTreeMap<String, String>,
}

impl Files {
    /// Texts that are already there.
    pub fn new<'a>(root: &str, texts: impl IntoIterator<Item = (&'a str, &'a str)>) -> Files {
        let texts = texts
            .into_iter()
            .map(|(path, text)| (path.to_owned(), text.to_owned()))
            .collect();
        Files {
            root: root.to_owned(),
            texts,
        }
    }

    /// Reads every `*.yaml`, `*.yml` and `*.csv` below a folder.
    ///
    /// # Errors
    /// A folder or file that cannot be read.
    pub fn read(folder: &Path) -> Result<Files, Diagnostics> {
        let mut files = Files {
            root: folder.display().to_string(),
            texts: BTreeMap::new(),
        };
        files.read_below(folder, "")?;
        Ok(files)
    }

    fn read_below(&mut self, folder: &Path, prefix: &str) -> Result<(), Diagnostics> {
        let refuse = |path: &Path, error: &std::io::Error| {
            let place = Place {
                file: path.display().to_string().into(),
                line: 1,
                column: 1,
            };
            let message = format!("cannot be read: {error}; 'catalog' in the settings names the folder");
            Diagnostics(vec![Diagnostic { place, message }])
        };
        for entry in std::fs::read_dir(folder).map_err(|error| refuse(folder, &error))? {
            let path = entry.map_err(|error| refuse(folder, &error))?.path();
            let Some(name) = path.file_name().and_then(|name| name.to_str()) else {
                continue;
            };
            // Editors leave hidden files and backups about.
            if name.starts_with('.') {
                continue;
            }
            let below = format!("{prefix}{name}");
            if path.is_dir() {
                self.read_below(&path, &format!("{below}/"))?;
            } else if [".yaml", ".yml", ".csv"].iter().any(|end| name.ends_with(end)) {
                let text = std::fs::read_to_string(&path).map_err(|error| refuse(&path, &error))?;
                self.texts.insert(below, text);
            }
        }
        Ok(())
    }

    fn yaml(&self) -> impl Iterator<Item = (&str, &str)> {
        let is_yaml = |path: &str| path.ends_with(".yaml") || path.ends_with(".yml");
        self.texts
            .iter()
            .map(|(path, text)| (path.as_str(), text.as_str()))
            .filter(move |(path, _)| is_yaml(path))
    }

    /// The name of a file for messages.
    fn shown(&self, path: &str) -> Arc<str> {
        if self.root.is_empty() {
            path.into()
        } else {
            format!("{}/{path}", self.root.trim_end_matches('/')).into()
        }
    }
}

/// Reads and checks a catalogue folder.
///
/// # Errors
/// Every mistake that was found.
pub fn load_dir(folder: &Path) -> Result<Catalog, Diagnostics> {
    load(&Files::read(folder)?)
}

/// Checks a catalogue.
///
/// # Errors
/// Every mistake that was found.
pub fn load(files: &Files) -> Result<Catalog, Diagnostics> {
    let mut loader = Loader {
        files,
        problems: Vec::new(),
        origins: Vec::new(),
        ladder: Ladder::default(),
    };
    let mut merged = loader.merge();
    if loader.problems.is_empty() {
        loader.expand(&mut merged);
    }
    // What did not parse is missing everywhere else: its consequences would only hide the cause.
    if !loader.problems.is_empty() {
        return Err(loader.refused());
    }
    let calendar = loader.calendar(&merged.calendars);
    let calendars = loader.calendars(&merged.named_calendars, &calendar.timezone);
    let mut sources = loader.sources(&merged.sources);
    let metrics = loader.metrics(&merged.metrics, &mut sources, &calendars);
    let nodes = loader.nodes(&merged.nodes, &metrics, &sources);
    let before = loader.problems.len();
    loader.ladder = loader.severities(&merged.severities);
    let added_severities = loader.added_severities(&merged.severities);
    // Every rule names severities: what is wrong with the ladder would be told once for each.
    if loader.problems.len() > before {
        return Err(loader.refused());
    }
    let rules = loader.rules(&merged.rules, &merged.nodes);
    let assess = loader.assess(&merged.assess);
    let weighting = loader.weighting(&merged.weights);
    let accepted = loader.accepted(&merged.lint);
    if sources.sources.is_empty() && loader.problems.is_empty() {
        let place = Place {
            file: files.root.as_str().into(),
            line: 1,
            column: 1,
        };
        loader.problem(
            place,
            "the catalogue is empty: it needs 'sources', 'metrics' and 'nodes' in a *.yaml file",
        );
    }
    if loader.problems.is_empty() {
        let mut catalog = Catalog {
            calendar,
            calendars,
            sources: sources.sources,
            metrics: metrics.metrics,
            nodes: nodes.nodes,
            severities: loader.ladder.clone(),
            added_severities,
            rules,
            assess,
            weighting,
            accepted,
        };
        loader.place_at_uses(&mut catalog);
        Ok(catalog)
    } else {
        Err(loader.refused())
    }
}

/// An entry with its name and file.
struct Entry<'f, T> {
    file: Arc<str>,
    name: &'f Spanned<String>,
    value: &'f T,
}

impl<T> Entry<'_, T> {
    fn place(&self) -> Place {
        yaml::place(&self.file, self.name.location)
    }
    fn at<V>(&self, spanned: &Spanned<V>) -> Place {
        yaml::place(&self.file, spanned.location)
    }
}

/// All files with their sections, each entry once.
struct Merged {
    calendars: Vec<(Arc<str>, Spanned<super::file::CalendarEntry>)>,
    severities: Vec<(Arc<str>, Spanned<Vec<super::file::SeverityEntry>>)>,
    assess: Vec<(Arc<str>, Spanned<super::file::AssessEntry>)>,
    weights: Vec<(Arc<str>, Spanned<super::file::WeightsEntry>)>,
    named_calendars: Owned<super::file::CalendarEntry>,
    sources: Owned<super::file::SourceEntry>,
    metrics: Owned<super::file::MetricEntry>,
    nodes: Owned<super::file::NodeEntry>,
    rules: Owned<super::file::RuleEntry>,
    templates: Owned<super::template::TemplateEntry>,
    uses: Owned<super::template::UseEntry>,
    lint: Vec<(Arc<str>, Named<Named<String>>)>,
}

type Owned<T> = Vec<(Arc<str>, Spanned<String>, T)>;

fn entries<T>(owned: &Owned<T>) -> impl Iterator<Item = Entry<'_, T>> {
    owned.iter().map(|(file, name, value)| Entry {
        file: file.clone(),
        name,
        value,
    })
}

struct Loader<'a> {
    files: &'a Files,
    problems: Vec<Diagnostic>,
    /// Where the entries that came of templates are from.
    origins: Vec<templates::Origin>,
    /// The severities that rules may name.
    ladder: Ladder,
}

impl Loader<'_> {
    fn problem(&mut self, place: Place, message: impl Into<String>) {
        self.problems.push(Diagnostic {
            place,
            message: message.into(),
        });
    }

    fn merge(&mut self) -> Merged {
        let mut merged = Merged {
            calendars: vec![],
            severities: vec![],
            assess: vec![],
            weights: vec![],
            named_calendars: vec![],
            sources: vec![],
            metrics: vec![],
            nodes: vec![],
            rules: vec![],
            templates: vec![],
            uses: vec![],
            lint: vec![],
        };
        for (path, text) in self.files.yaml() {
            let shown = self.files.shown(path);
            match yaml::read::<File>(&shown, text) {
                Ok(file) => {
                    merged
                        .calendars
                        .extend(file.calendar.map(|calendar| (shown.clone(), calendar)));
                    merged
                        .severities
                        .extend(file.severities.map(|severities| (shown.clone(), severities)));
                    merged
                        .assess
                        .extend(file.assess.map(|assess| (shown.clone(), assess)));
                    merged
                        .weights
                        .extend(file.weights.map(|weights| (shown.clone(), weights)));
                    self.add("calendar", &shown, file.calendars, &mut merged.named_calendars);
                    self.add("source", &shown, file.sources, &mut merged.sources);
                    self.add("metric", &shown, file.metrics, &mut merged.metrics);
                    self.add("node", &shown, file.nodes, &mut merged.nodes);
                    self.add("rule", &shown, file.rules, &mut merged.rules);
                    self.add("template", &shown, file.templates, &mut merged.templates);
                    self.add("use", &shown, file.r#use, &mut merged.uses);
                    merged.lint.push((shown, file.lint));
                }
                Err(diagnostic) => self.problems.push(diagnostic),
            }
        }
        if let [(first, calendar), (second, another), ..] = merged.calendars.as_slice() {
            let (first, second) = (
                yaml::place(first, calendar.location),
                yaml::place(second, another.location),
            );
            self.problem(
                second,
                format!("the calendar is declared twice, first at {first}; keep one of them"),
            );
        }
        merged
    }

    /// Adds a section; a name that another file has already is said with both places.
    fn add<T>(&mut self, what: &str, file: &Arc<str>, section: Named<T>, to: &mut Owned<T>) {
        let mut known: HashMap<String, Place> = to
            .iter()
            .map(|(file, name, _)| (name.value.clone(), yaml::place(file, name.location)))
            .collect();
        for (name, value) in section.0 {
            let place = yaml::place(file, name.location);
            if let Some(first) = known.get(&name.value) {
                let message = format!(
                    "{what} '{}' is defined twice, first at {first}; rename or remove one of them",
                    name.value
                );
                self.problem(place, message);
                continue;
            }
            let plain = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.');
            if name.value.is_empty() || !name.value.chars().all(plain) {
                let message = format!(
                    "'{}' is no name: letters, digits, '-', '_' and '.' are",
                    name.value
                );
                self.problem(place, message);
                continue;
            }
            known.insert(name.value.clone(), place);
            to.push((file.clone(), name, value));
        }
    }

    /// How owners are assessed: `assess: {kpi: 70, business: 30}`, said once.
    fn assess(&mut self, found: &[(Arc<str>, Spanned<super::file::AssessEntry>)]) -> Assess {
        if let [(first, one), (second, another), ..] = found {
            let first = yaml::place(first, one.location);
            self.problem(
                yaml::place(second, another.location),
                format!("'assess' is declared twice, first at {first}; keep one of them"),
            );
        }
        let Some((file, assess)) = found.first() else {
            return Assess::default();
        };
        let (kpi, business) = (assess.value.kpi, assess.value.business);
        let is_share = |points: f64| points.is_finite() && points >= 0.0;
        if !is_share(kpi) || !is_share(business) || kpi + business <= 0.0 {
            self.problem(
                yaml::place(file, assess.location),
                "'assess' takes points of 0 or more, not both 0: {kpi: 70, business: 30}",
            );
        }
        Assess { kpi, business }
    }

    /// Findings of the lint that the catalogue accepts: `lint: {S10: {visits: "why"}}`.
    fn accepted(&mut self, sections: &[(Arc<str>, Named<Named<String>>)]) -> Vec<Accepted> {
        let mut accepted = Vec::new();
        for (file, section) in sections {
            for (name, subjects) in &section.0 {
                let place = yaml::place(file, name.location);
                let codes = Code::ALL.iter().map(|code| code.as_str());
                let Some(code) = self.resolve("finding", place, &name.value, codes) else {
                    continue;
                };
                accepted.extend(subjects.0.iter().map(|(subject, reason)| Accepted {
                    code: Code::ALL[code],
                    subject: subject.value.clone(),
                    reason: reason.clone(),
                    place: yaml::place(file, subject.location),
                }));
            }
        }
        accepted
    }

    /// A name that must be one of those known.
    fn resolve<'n>(
        &mut self,
        what: &str,
        place: Place,
        name: &str,
        known: impl Iterator<Item = &'n str> + Clone,
    ) -> Option<usize> {
        let found = known.clone().position(|candidate| candidate == name);
        if found.is_none() {
            let hint = match nearest(name, known.clone()) {
                Some(near) => format!("did you mean '{near}'?"),
                None => {
                    let names: Vec<&str> = known.take(20).collect();
                    if names.is_empty() {
                        "none is declared".to_owned()
                    } else {
                        format!("known are {}", names.join(", "))
                    }
                }
            };
            self.problem(place, format!("there is no {what} '{name}'; {hint}"));
        }
        found
    }

    /// Compiles an expression; a mistake is told at its place inside the text.
    fn expr(&mut self, file: &Arc<str>, text: &Spanned<String>, variables: &[Variable]) -> Option<Expr> {
        match Expr::compile(&text.value, variables) {
            Ok(expr) => Some(expr),
            Err(error) => {
                let place = self.inside(file, text.location, &text.value, error.offset);
                self.problem(place, error.message);
                None
            }
        }
    }

    /// The place of a character inside a scalar: exact where the scalar stands on one line.
    fn inside(&self, file: &Arc<str>, location: Location, value: &str, offset: usize) -> Place {
        let mut place = yaml::place(file, location);
        let line = self
            .text_of(file)
            .and_then(|text| text.lines().nth(place.line as usize - 1))
            .unwrap_or_default();
        let written: String = line.chars().skip(place.column as usize - 1).collect();
        let quote = written.starts_with(['"', '\'']);
        if written.trim_start_matches(['"', '\'']).starts_with(value) {
            place.column += u32::try_from(offset).unwrap_or(0) + u32::from(quote);
        }
        place
    }
}

#[cfg(test)]
mod tests;

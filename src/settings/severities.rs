//! Severities that the settings name: each must be one of the catalogue's, or its matcher never does what it says.

use crate::alert::dispatch::matcher::Matcher;
use crate::alert::dispatch::route::{Route, Routing};
use crate::catalog::diagnostic::nearest;
use crate::catalog::{Diagnostic, Ladder, Place};

/// Matchers of routes and inhibition that name a severity which the ladder has not. `file` is the place of those that
/// have none of their own.
pub(super) fn unknown(routing: &Routing, file: &Place, ladder: &Ladder) -> Vec<Diagnostic> {
    let mut problems = Vec::new();
    if let Some(root) = &routing.root {
        of_route(root, file, ladder, &mut problems);
    }
    for rule in &routing.inhibit {
        let matchers = rule.source.iter().chain(&rule.target);
        problems.extend(of_matchers(matchers, file, ladder));
    }
    problems
}

fn of_route(route: &Route, file: &Place, ladder: &Ladder, problems: &mut Vec<Diagnostic>) {
    let place = route.place.as_ref().unwrap_or(file);
    problems.extend(of_matchers(route.matchers.iter(), place, ladder));
    for below in &route.routes {
        of_route(below, file, ladder, problems);
    }
}

fn of_matchers<'m>(
    matchers: impl Iterator<Item = &'m Matcher>,
    place: &Place,
    ladder: &Ladder,
) -> Vec<Diagnostic> {
    let mut problems = Vec::new();
    for matcher in matchers.filter(|matcher| matcher.name == "severity") {
        let names = named(matcher);
        // One of several that is like none of the ladder is a name of somebody else's, who shares the routes.
        let is_met = names.iter().any(|name| ladder.named(name).is_some());
        for name in names {
            if ladder.named(name).is_some() {
                continue;
            }
            let hint = match nearest(name, ladder.names()) {
                Some(near) => format!("did you mean '{near}'?"),
                None if is_met => continue,
                None => format!("known are {}", ladder.names().collect::<Vec<_>>().join(", ")),
            };
            problems.push(Diagnostic {
                place: place.clone(),
                message: format!("{matcher}: the catalogue has no severity '{name}'; {hint}"),
            });
        }
    }
    problems
}

/// The names that a matcher writes out. Of an expression those between its bars, where they are plain.
fn named(matcher: &Matcher) -> Vec<&str> {
    let plain = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-');
    let names: Vec<&str> = match matcher.is_regex() {
        true => matcher.value.split('|').collect(),
        false => vec![matcher.value.as_str()],
    };
    let is_name = |name: &&str| !name.is_empty() && (!matcher.is_regex() || name.chars().all(plain));
    names.into_iter().filter(is_name).collect()
}

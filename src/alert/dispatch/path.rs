//! Paths of routes: what makes a route itself wherever it stands, so that one that is declared in front of it takes
//! nothing of it, and where it stands.

use xxhash_rust::xxh3::xxh3_64;

use super::route::{Route, To};

/// Length of the part of an id that says which alerts a route takes.
const CONDITIONS: usize = 16;

/// A route, and where it stands in its tree.
#[derive(Clone, PartialEq, Debug)]
pub struct Placed<'r> {
    /// The route.
    pub route: &'r Route,
    /// Its number among its siblings, behind that of the route above: `0`, `0.2`, `0.2.1`.
    pub number: String,
    /// How many routes are above it.
    pub depth: usize,
}

/// All routes of a tree, in the order of the file.
pub fn placed(root: &Route) -> Vec<Placed<'_>> {
    fn visit<'r>(route: &'r Route, number: String, depth: usize, found: &mut Vec<Placed<'r>>) {
        let below = route.routes.iter().enumerate();
        let below: Vec<(String, &Route)> = below.map(|(n, route)| (format!("{number}.{n}"), route)).collect();
        found.push(Placed { route, number, depth });
        for (number, route) in below {
            visit(route, number, depth + 1, found);
        }
    }
    let mut found = Vec::new();
    visit(root, "0".to_owned(), 0, &mut found);
    found
}

/// Gives every route of a tree its id: its conditions and those of the routes above it, and who is told by it. Those
/// that are the same in all of that are numbered.
pub fn identify(root: &mut Route) {
    fn visit(route: &mut Route, above: &str, known: &mut Vec<String>) {
        let mut conditions: Vec<String> = route.matchers.iter().map(ToString::to_string).collect();
        conditions.sort();
        route.path = format!("{above}{{{}}}", conditions.join(","));
        let conditions = format!("{:0CONDITIONS$x}", xxh3_64(route.path.as_bytes()));
        let to = match &route.to {
            To::Receiver(receiver) => receiver.clone(),
            To::Owner(otherwise) => format!("owner:{otherwise}"),
            To::Manager(otherwise) => format!("manager:{otherwise}"),
            To::ParentOwner(otherwise) => format!("parent_owner:{otherwise}"),
        };
        let same = |id: &&String| conditions_of(id) == conditions && id.ends_with(&format!("/{to}"));
        route.id = match known.iter().filter(same).count() {
            0 => format!("{conditions}/{to}"),
            others => format!("{conditions}#{}/{to}", others + 1),
        };
        known.push(route.id.clone());
        let above = format!("{}/", route.path);
        for below in &mut route.routes {
            visit(below, &above, known);
        }
    }
    visit(root, "", &mut Vec::new());
}

/// The part of an id that says which alerts the route takes.
pub(super) fn conditions_of(id: &str) -> &str {
    id.get(..CONDITIONS).unwrap_or(id)
}

/// Whether an id is a number in the tree, by which an earlier version knew the routes.
pub(super) fn is_number(id: &str) -> bool {
    let mut parts = id.split('.');
    parts.next() == Some("0") && parts.all(|part| part.parse::<usize>().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alert::dispatch::matcher::Matcher;

    fn route(matchers: &[&str], to: To, routes: Vec<Route>) -> Route {
        Route {
            matchers: matchers
                .iter()
                .map(|text| Matcher::parse(text).unwrap())
                .collect(),
            to,
            routes,
            ..Route::to_receiver("")
        }
    }

    fn told(receiver: &str) -> To {
        To::Receiver(receiver.to_owned())
    }

    /// Number, depth and id of every route.
    fn ids(routes: Vec<Route>) -> Vec<(String, usize, String)> {
        let mut root = route(&[], told("ops"), routes);
        identify(&mut root);
        placed(&root)
            .into_iter()
            .map(|placed| (placed.number, placed.depth, placed.route.id.clone()))
            .collect()
    }

    #[test]
    fn a_route_stays_itself_whatever_is_declared_around_it() {
        let critical = || {
            let nested = route(&["team=a"], To::Owner("ops".to_owned()), Vec::new());
            route(&["kind=hollow", "severity=critical"], told("boss"), vec![nested])
        };
        let before = ids(vec![critical()]);
        let after = ids(vec![
            route(&["severity=critical"], told("audit"), Vec::new()),
            route(&["severity=critical", "kind=hollow"], told("audit"), Vec::new()),
            critical(),
        ]);
        let last_two = |all: &[(String, usize, String)]| -> Vec<(usize, String)> {
            let last = all[all.len() - 2..].iter();
            last.map(|(_, depth, id)| (*depth, id.clone())).collect()
        };
        assert_eq!(last_two(&before), last_two(&after));
        let numbers: Vec<&str> = after.iter().map(|(number, ..)| number.as_str()).collect();
        assert_eq!(numbers, ["0", "0.0", "0.1", "0.2", "0.2.0"]);
        let mut root = route(&[], told("ops"), vec![critical()]);
        identify(&mut root);
        assert_eq!(
            root.routes[0].routes[0].path,
            r#"{}/{kind="hollow",severity="critical"}/{team="a"}"#
        );
        let mut all: Vec<&String> = after.iter().map(|(.., id)| id).collect();
        all.sort();
        all.dedup();
        assert_eq!(all.len(), after.len());
    }

    #[test]
    fn routes_that_are_the_same_are_numbered() {
        let all = ids(vec![
            route(&["team=a"], told("ops"), Vec::new()),
            route(&["team=a"], told("shops"), Vec::new()),
            route(&["team=a"], told("ops"), Vec::new()),
        ]);
        let conditions = conditions_of(&all[1].2).to_owned();
        let ids: Vec<&str> = all.iter().skip(1).map(|(.., id)| id.as_str()).collect();
        assert_eq!(
            ids,
            [
                format!("{conditions}/ops"),
                format!("{conditions}/shops"),
                format!("{conditions}#2/ops")
            ]
        );
    }

    #[test]
    fn a_number_of_an_earlier_version_is_no_id() {
        for (id, is) in [
            ("0", true),
            ("0.12.1", true),
            ("0.x", false),
            ("", false),
            ("0123456789abcdef/ops", false),
        ] {
            assert_eq!(is_number(id), is, "{id}");
        }
    }
}

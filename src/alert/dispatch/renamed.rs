//! Routes under other names than those under which they are kept: an earlier version knew them by their numbers in the
//! tree, and a reload may have taken one away.

use std::collections::BTreeMap;

use super::Kept;
use super::path::{is_number, placed};
use super::route::Routing;
use crate::alert::book::{Book, Changes};
use crate::alert::identity::Fingerprint;
use crate::alert::record::{AlertRecord, Labels, Told};

/// Gives the routes that are kept by their numbers the ids that they have now. Whether anything but records changed.
pub(super) fn from_numbers(
    kept: &mut Kept,
    book: &mut Book,
    routing: &Routing,
    changes: &mut Changes,
) -> bool {
    let numbered = routing.root.iter().flat_map(placed);
    let ids: BTreeMap<String, &str> = numbered
        .map(|placed| (placed.number, placed.route.id.as_str()))
        .collect();
    let rename = |id: &mut String| {
        let now = ids.get(id.as_str()).filter(|_| is_number(id));
        now.map(|now| *id = (*now).to_owned()).is_some()
    };
    let fingerprints: Vec<Fingerprint> = book.entries().map(|entry| entry.record.fingerprint).collect();
    for fingerprint in fingerprints {
        let Some(entry) = book.get_mut(fingerprint) else {
            continue;
        };
        let names = names(&mut entry.record.told);
        if names.map(rename).fold(false, |any, one| any | one) {
            book.settle(fingerprint, true, changes);
        }
    }
    let waits = kept.asked.iter_mut().flat_map(|asked| &mut asked.waits);
    let mut is_changed = waits
        .map(|waits| rename(&mut waits.route))
        .fold(false, |any, one| any | one);
    for (text, group) in std::mem::take(&mut kept.groups) {
        let (route, rest) = text.split_once('/').unwrap_or((&text, ""));
        let mut route = route.to_owned();
        let is_renamed = rename(&mut route);
        is_changed |= is_renamed;
        let text = match is_renamed {
            true => format!("{route}/{rest}"),
            false => text,
        };
        kept.groups.insert(text, group);
    }
    is_changed
}

/// The names of all routes by which somebody knows of an alert.
fn names(told: &mut Told) -> impl Iterator<Item = &mut String> {
    let owed = told.owed.iter_mut().flat_map(|ended| &mut ended.tellings);
    let closed = told.closed.iter_mut().flat_map(|closed| &mut closed.tellings);
    let all = told.tellings.iter_mut().chain(owed).chain(closed);
    all.map(|telling| &mut telling.route)
}

/// Whom a route led to that is gone goes on by the one that leads there now, and with them those who were told because
/// they did not acknowledge.
pub(super) fn from_gone(record: &mut AlertRecord, routing: &Routing) {
    let is_gone = |route: &String| routing.route(route).is_none();
    if !record.told.tellings.iter().any(|telling| is_gone(&telling.route)) {
        return;
    }
    let destinations = routing.destinations(record);
    let mut instead: BTreeMap<String, (String, Labels)> = BTreeMap::new();
    for telling in &record.told.tellings {
        let found = destinations
            .iter()
            .find(|destination| destination.receiver == telling.receiver);
        if let Some(found) = found.filter(|_| telling.rung.is_none() && is_gone(&telling.route)) {
            let now = (found.route.id.clone(), found.route.group_of(record));
            instead.insert(telling.route.clone(), now);
        }
    }
    for telling in &mut record.told.tellings {
        if let Some((id, group)) = instead.get(&telling.route) {
            telling.route.clone_from(id);
            telling.group.clone_from(group);
        }
    }
}

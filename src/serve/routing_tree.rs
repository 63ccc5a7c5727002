//! The routing tree in the words of Alertmanager's configuration: amtool draws it, and Grafana's data source reads the
//! receivers from it. Times in which nobody is told, owners and escalation have no words there, and are left out.

use std::collections::BTreeSet;

use jiff::SignedDuration;
use serde_json::{Value, json};

use super::view::View;
use crate::alert::dispatch::matcher::Matcher;
use crate::alert::dispatch::route::{DEFAULT_WAIT, GroupBy, Route};
use crate::notify::label_name;

/// Who is told where the settings have no receiver: a configuration without a route is none.
const NOBODY: &str = "nobody";

/// The configuration, as JSON, which is YAML.
pub(super) fn config(view: &View) -> String {
    let mut receivers: BTreeSet<&str> = view.receivers.iter().map(String::as_str).collect();
    let root = view.routing.root.as_ref().filter(|_| !receivers.is_empty());
    let tree = root.map_or_else(|| json!({"receiver": NOBODY}), route);
    if root.is_none() {
        receivers.insert(NOBODY);
    }
    let receivers: Vec<Value> = receivers.iter().map(|name| json!({"name": name})).collect();
    json!({"route": tree, "receivers": receivers}).to_string()
}

fn route(route: &Route) -> Value {
    let timing = &route.timing;
    let group_by: BTreeSet<String> = match &route.group_by {
        GroupBy::Labels(names) => names.iter().map(|name| label_name(name)).collect(),
        GroupBy::Each => ["...".to_owned()].into(),
    };
    let mut written = json!({
        "receiver": route.to.named(),
        "group_by": group_by,
        "group_wait": length(timing.group_wait.unwrap_or(DEFAULT_WAIT)),
        "matchers": route.matchers.iter().map(matcher).collect::<Vec<_>>(),
        "continue": route.go_on,
        "routes": route.routes.iter().map(self::route).collect::<Vec<_>>(),
    });
    // Alertmanager takes none of no length.
    for (key, time) in [
        ("group_interval", timing.group_interval),
        ("repeat_interval", timing.repeat_interval),
    ] {
        if !time.is_zero() {
            written[key] = length(time).into();
        }
    }
    written
}

/// Names are those under which Alertmanager knows the labels that it is told of.
fn matcher(matcher: &Matcher) -> String {
    let mut named = matcher.clone();
    named.name = label_name(&matcher.name);
    named.to_string()
}

fn length(time: SignedDuration) -> String {
    match time.subsec_millis() {
        0 => format!("{}s", time.as_secs()),
        _ => format!("{}ms", time.as_millis()),
    }
}

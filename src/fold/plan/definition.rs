//! Definitions in words: the names of cells in the state. Another definition is another name.

use jiff::tz::TimeZone;

use crate::catalog::expr::Expr;
use crate::catalog::{
    Catalog, Conversion, Duration, FieldId, Format, MetricId, MetricKind, Simple, Source, SourceId, Step,
};
use crate::fold::partial::Kind;

pub(super) fn field_of(catalog: &Catalog, source: SourceId, name: &str) -> Option<FieldId> {
    let position = catalog
        .source(source)
        .fields
        .iter()
        .position(|field| field.name == name)?;
    u16::try_from(position).ok().map(FieldId)
}

/// A source, and what decides on which day its events count: `orders (time data.at, days of Asia/Shanghai)`. Another
/// format or topic brings the same events; Debezium's changes take back, and are others.
fn reading(catalog: &Catalog, of: SourceId) -> String {
    let source = catalog.source(of);
    let mut parts = Vec::new();
    if source.format == Format::Debezium {
        parts.push("changes".to_owned());
    }
    parts.extend(source.time.as_ref().map(|path| format!("time {path}")));
    parts.extend(
        source
            .timezone
            .as_ref()
            .map(|zone| format!("in {}", name_of(zone))),
    );
    if catalog.calendar.timezone != TimeZone::UTC {
        parts.push(format!("days of {}", name_of(&catalog.calendar.timezone)));
    }
    if parts.is_empty() {
        return source.name.clone();
    }
    format!("{} ({})", source.name, parts.join(", "))
}

fn name_of(zone: &TimeZone) -> &str {
    zone.iana_name().unwrap_or("UTC")
}

/// `orders: sum(data.amount) where type == "order.paid" by region`, with paths instead of names, so that renaming a
/// field does not lose its history and pointing it elsewhere does not mix two things. `max_value_bytes` where values that
/// are longer decide what an event counts for.
pub(super) fn of_simple(
    catalog: &Catalog,
    simple: &Simple,
    kind: Kind,
    names: &[String],
    max_value_bytes: Option<usize>,
) -> String {
    let source = catalog.source(simple.source);
    let path = |field: FieldId| source.fields[usize::from(field.0)].path.to_string();
    let agg = kind.word();
    let field = simple.field.map_or_else(String::new, path);
    let mut text = format!("{}: {agg}({field})", reading(catalog, simple.source));
    let retract = source.retract.as_ref().map(|retract| &retract.condition);
    for (word, condition) in [("where", simple.filter.as_ref()), ("less", retract)] {
        let Some(condition) = condition else { continue };
        add_condition(&mut text, word, source, condition);
    }
    if let Kind::New { within: Some(days) } = kind {
        text.push_str(&format!(" within {days}d"));
    }
    add_names(&mut text, catalog, simple.source, names);
    if let Some(bytes) = max_value_bytes {
        text.push_str(&format!(" of at most {bytes} bytes"));
    }
    text
}

/// `launches: durations(product) from state == "approved"; state = state to state == "on_sale"; state = state by region`.
pub(super) fn of_duration(catalog: &Catalog, duration: &Duration, names: &[String]) -> String {
    let of = duration.marks.source;
    let source = catalog.source(of);
    let key = &source.fields[usize::from(duration.key.0)].path;
    let mut text = format!("{}: {}({key})", reading(catalog, of), Kind::Durations.word());
    add_condition(&mut text, "from", source, &duration.start);
    add_condition(&mut text, "to", source, &duration.end);
    add_names(&mut text, catalog, of, names);
    text
}

/// `visits: conversions(customer) where kind == "view"; kind = kind to orders: data.customer where … within 604800s by region`.
pub(super) fn of_conversion(catalog: &Catalog, conversion: &Conversion, names: &[String]) -> String {
    let Conversion { base, goal, .. } = conversion;
    let step = |text: &mut String, step: &Step| {
        let source = catalog.source(step.step.source);
        text.push_str(&source.fields[usize::from(step.entity.0)].path.to_string());
        if let Some(filter) = &step.step.filter {
            add_condition(text, "where", source, filter);
        }
    };
    let word = Kind::Conversions { window_ms: 0 }.word();
    let mut text = format!("{}: {word} ", reading(catalog, base.step.source));
    step(&mut text, base);
    text.push_str(&format!(" to {}: ", reading(catalog, goal.step.source)));
    step(&mut text, goal);
    text.push_str(&format!(" within {}s", conversion.window_ms / 1000));
    add_names(&mut text, catalog, base.step.source, names);
    text
}

fn add_condition(text: &mut String, word: &str, source: &Source, condition: &Expr) {
    text.push_str(&format!(" {word} {}", condition.source()));
    // A condition speaks of fields by name: where they point belongs to the definition.
    for &variable in condition.uses() {
        let field = &source.fields[variable];
        text.push_str(&format!("; {} = {}", field.name, field.path));
    }
}

fn add_names(text: &mut String, catalog: &Catalog, of: SourceId, names: &[String]) {
    if names.is_empty() {
        return;
    }
    let source = catalog.source(of);
    let path = |field: FieldId| source.fields[usize::from(field.0)].path.to_string();
    let by = names
        .iter()
        .filter_map(|name| field_of(catalog, of, name).map(path));
    text.push_str(&format!(" by {}", by.collect::<Vec<_>>().join(", ")));
}

/// How a metric that is reckoned of others is: `revenue / (visits - robots)`; `None` of one that is counted. What the
/// others are is their own definition, as far as they are counted.
pub(super) fn of_formula(catalog: &Catalog, metric: MetricId) -> Option<String> {
    let part = |id: MetricId| match of_formula(catalog, id) {
        Some(formula) => format!("({formula})"),
        None => catalog.metric(id).name.clone(),
    };
    match &catalog.metric(metric).kind {
        MetricKind::Ratio {
            numerator,
            denominator,
        } => Some(format!("{} / {}", part(*numerator), part(*denominator))),
        MetricKind::Derived { expr, inputs } => {
            let mut text = expr.source().to_owned();
            for input in inputs {
                if let Some(formula) = of_formula(catalog, *input) {
                    text.push_str(&format!("; {} = {formula}", catalog.metric(*input).name));
                }
            }
            Some(text)
        }
        MetricKind::Simple(_) | MetricKind::Duration(_) | MetricKind::Conversion(_) => None,
    }
}

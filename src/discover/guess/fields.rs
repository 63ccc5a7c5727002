//! What each field is good for.

use super::personal::personal;
use super::words::{self, any};
use super::{FieldGuess, Kind, Reasoned, Role, free, path_text, per_cent};
use crate::catalog::{FieldPath, Format};
use crate::decode::FieldKind;
use crate::discover::observe::{Observed, Values};

/// Fields that are written: more than anybody reads.
const MAX_FIELDS: usize = 60;
/// Different values that a dimension may have.
const MAX_DIMENSION: usize = 200;
/// Kinds of event that are told apart.
const MAX_KINDS: usize = 30;
/// Longest text of a value that metrics are broken down by, in characters.
const MAX_TEXT: usize = 60;
/// Values that a comment shows.
const SHOWN: usize = 4;

/// Attributes of CloudEvents that say nothing about the business.
const ATTRIBUTES: [&str; 7] = [
    "specversion",
    "datacontenttype",
    "dataschema",
    "traceparent",
    "tracestate",
    "partitionkey",
    "sequence",
];

type Sorted = (Vec<FieldGuess>, Vec<Reasoned<String>>);

/// Fields that are of use, and paths that are not.
pub(super) fn fields(
    observed: &Observed,
    time: &Reasoned<Option<FieldPath>>,
    id: &Reasoned<Option<FieldPath>>,
    notes: &mut Vec<String>,
) -> Sorted {
    let taken = [&time.value, &id.value].map(|path| path.as_ref().and_then(|path| path.keys()));
    let rows = observed.rows.len();
    let mut fields: Vec<FieldGuess> = Vec::new();
    let mut left_out = Vec::new();
    let mut leave = |path: String, why: &str| {
        left_out.push(Reasoned {
            value: path,
            why: why.to_owned(),
        });
    };
    for (keys, values) in &observed.paths {
        if taken.contains(&Some(keys.as_slice())) {
            continue;
        }
        let path = path_text(keys);
        if observed.format == Format::CloudEvents && keys.len() == 1 && ATTRIBUTES.contains(&keys[0].as_str())
        {
            continue;
        }
        match role(observed, keys, values) {
            Err(why) => leave(path, &why),
            Ok(_) if fields.len() >= MAX_FIELDS => {
                leave(path, "one of too many fields; add it by hand if it matters")
            }
            Ok((role, r#type, mut why)) => {
                if let Some(doc) = doc(observed, keys) {
                    why.push_str(&format!("; its schema says: {doc}"));
                }
                let name = name(keys, fields.len());
                fields.push(FieldGuess {
                    name: free(&name, |name| fields.iter().any(|field| field.name == name)),
                    path,
                    r#type,
                    role,
                    distinct: values.distinct(),
                    missing: rows - values.seen.min(rows),
                    why,
                    keys: keys.clone(),
                });
            }
        }
    }
    for beyond in &observed.beyond {
        leave(
            beyond.clone(),
            "no path can name this key: it is empty, holds a dot, or lies too deep",
        );
    }
    only_one_kind(&mut fields);
    if fields.is_empty() && rows > 0 {
        notes.push("no field is of use: only the events themselves can be counted".to_owned());
    }
    (fields, left_out)
}

/// What the schema says of a field, in words.
fn doc<'o>(observed: &'o Observed, keys: &[String]) -> Option<&'o str> {
    observed.schema_fields.get(keys)?.doc.as_deref()
}

/// What a field is good for, its type and why; or why it is of no use.
fn role(observed: &Observed, keys: &[String], values: &Values) -> Result<(Role, Kind, String), String> {
    let rows = observed.rows.len();
    let leaf_key = keys.last().map_or("", String::as_str);
    let leaf = words::words(leaf_key);
    let spread = spread(values, rows);
    if values.seen == 0 {
        return Err("null in every event".to_owned());
    }
    // Before anything else: what is personal shows no value either.
    if let Some(why) = personal(keys, values) {
        return Err(why);
    }
    if let Some(why) = super::time::another(observed, keys, values) {
        return Err(why);
    }
    let scalars = values.seen - values.composites;
    match observed.schema_fields.get(keys).map(|field| field.kind) {
        Some(FieldKind::Map) => {
            return Err(format!(
                "a map: name a key to reach into it, such as {}.key",
                path_text(keys)
            ));
        }
        Some(FieldKind::Bytes) => return Err("bytes: neither a number nor a text".to_owned()),
        Some(FieldKind::Uuid) => {
            let why = format!(
                "a UUID by its schema: {} different in {}",
                values.distinct(),
                values.seen
            );
            return Ok((Role::Key, Kind::Text, why));
        }
        _ => {}
    }
    if values.composites * 2 > values.seen {
        return Err("a list, or an object without keys: no path reaches into it".to_owned());
    }
    if values.bools == scalars {
        return Ok((Role::Dimension, Kind::Bool, spread));
    }
    let numeric = values.numbers + values.numeric_texts;
    let all_numbers = numeric as f64 >= 0.99 * values.seen as f64;
    let as_code = any(&leaf, &words::CODE) || (any(&leaf, &words::WHO) && values.whole == numeric);
    let few_numbers = values.whole == numeric && values.distinct() <= MAX_KINDS && any(&leaf, &words::KIND);
    if all_numbers && !as_code && !few_numbers && !any(&leaf, &words::CURRENCY) {
        let doc = doc(observed, keys).map_or(Vec::new(), words::words);
        return Ok(number(keys, &leaf, &doc, values, rows));
    }
    if observed.format == Format::Debezium && any(&leaf, &words::MONEY) && values.texts == scalars {
        return Err(
            "a decimal as bytes, it seems: set decimal.handling.mode to string in the connector, and it is a number"
                .to_owned(),
        );
    }
    let grouped =
        |value: &String| value.contains(',') && value.replace(',', "").trim().parse::<f64>().is_ok();
    if any(&leaf, &words::MONEY) && values.counts.keys().any(grouped) {
        return Err("numbers with commas are no numbers: let the producer write 1200.00".to_owned());
    }
    text(observed, keys, &leaf, values, rows, spread)
}

fn text(
    observed: &Observed,
    keys: &[String],
    leaf: &[String],
    values: &Values,
    rows: usize,
    spread: String,
) -> Result<(Role, Kind, String), String> {
    let distinct = values.distinct();
    let is_event_type = observed.format == Format::CloudEvents && keys.len() == 1 && keys[0] == "type";
    if is_currency(leaf, values) {
        return Ok((Role::Currency, Kind::Text, spread));
    }
    let short = values.longest <= MAX_TEXT;
    let whole = values.seen as f64 >= 0.99 * rows as f64;
    let repeats = distinct * 2 <= values.seen;
    if is_event_type
        || (any(leaf, &words::KIND) && short && whole && distinct <= MAX_KINDS && (repeats || distinct <= 3))
    {
        return Ok((Role::Kind, Kind::Text, spread));
    }
    let is_code = any(leaf, &words::CODE) || any(leaf, &words::WHO);
    if distinct == 1 && rows > 1 && short && !is_code {
        return Ok((Role::Constant, Kind::Text, spread));
    }
    let named = any(leaf, &words::DIMENSION);
    if short
        && distinct <= MAX_DIMENSION
        && (repeats || (named && distinct <= 50))
        && !(is_code && distinct > 50)
    {
        return Ok((Role::Dimension, Kind::Text, spread));
    }
    if is_code || looks_like_code(values) {
        let why = format!(
            "names somebody or something: {} different in {}",
            distinct, values.seen
        );
        return Ok((Role::Key, Kind::Text, why));
    }
    if named && short {
        let why = format!(
            "{distinct} different values in {}: more than a page shows well",
            values.seen
        );
        return Ok((Role::Dimension, Kind::Text, why));
    }
    Err(format!(
        "free text: {distinct} different values in {} events",
        values.seen
    ))
}

/// Money, a quantity, a length of time, a share, or any other number.
fn number(
    keys: &[String],
    leaf: &[String],
    doc: &[String],
    values: &Values,
    rows: usize,
) -> (Role, Kind, String) {
    let above = keys[..keys.len() - 1].iter().flat_map(|key| words::words(key));
    let with_parent: Vec<String> = above.chain(leaf.iter().cloned()).collect();
    let unit_of_time = words::DURATION
        .iter()
        .find(|(names, _)| any(leaf, names))
        .map(|(_, unit)| (*unit).to_owned());
    // `price.value` and `total.amount` are named by what is around them, `customer.age` is not.
    let bare = leaf.len() <= 1 && any(leaf, &["value", "amount", "number", "sum"]);
    let named = if bare { with_parent.as_slice() } else { leaf };
    let (role, what) = if any(leaf, &words::SHARE) {
        (Role::Share, "a share or score by its name: averaged".to_owned())
    } else if any(leaf, &words::QUANTITY) {
        (Role::Quantity, "a number of things by its name".to_owned())
    } else if unit_of_time.is_some() || any(leaf, &words::LENGTH) {
        let what = match &unit_of_time {
            Some(unit) => format!("a length of time in {unit} by its name"),
            None => "a length of time by its name".to_owned(),
        };
        (Role::Duration { unit: unit_of_time }, what)
    } else if any(named, &words::MONEY) || currency_in(leaf).is_some() {
        let level = any(named, &words::EACH);
        let unit = currency_in(&with_parent)
            .or_else(|| currency_in(doc))
            .map(|code| {
                if any(leaf, &words::MINOR) {
                    format!("{code} cents")
                } else {
                    code.to_owned()
                }
            });
        let minor = unit.is_none() && any(leaf, &words::MINOR);
        let unit = if minor { Some("cents".to_owned()) } else { unit };
        let what = if level {
            "money of one piece, or at one moment, by its name"
        } else {
            "money by its name"
        };
        (Role::Money { unit, level }, what.to_owned())
    } else if any(doc, &words::MONEY) || currency_in(doc).is_some() {
        let unit = currency_in(doc).map(str::to_owned);
        let level = any(doc, &words::EACH);
        (
            Role::Money { unit, level },
            "money by what its schema says".to_owned(),
        )
    } else {
        (Role::Number, "a number".to_owned())
    };
    let mut why = format!("{what}; {}", range(values));
    if values.numeric_texts > 0 {
        why.push_str("; written as text");
    }
    if values.seen < rows {
        why.push_str(&format!("; in {} of events", per_cent(values.seen, rows)));
    }
    let others = values.seen - (values.numbers + values.numeric_texts).min(values.seen);
    if others > 0 {
        why.push_str(&format!(
            "; {others} events have no number there and will be rejected as wrong_type"
        ));
    }
    (role, Kind::Number, why)
}

fn currency_in(words: &[String]) -> Option<&'static str> {
    let code = words::CURRENCIES.iter();
    code.filter(|(name, _)| any(words, &[name]))
        .map(|(_, code)| *code)
        .next()
}

fn is_currency(leaf: &[String], values: &Values) -> bool {
    let code = |value: &str| value.len() == 3 && value.bytes().all(|b| b.is_ascii_uppercase());
    any(leaf, &words::CURRENCY)
        && values.distinct() <= MAX_KINDS
        && values.counts.keys().all(|value| code(value))
}

/// Whether values look like codes: no spaces, with a digit, of about one length.
fn looks_like_code(values: &Values) -> bool {
    let code = |value: &String| {
        let of_code = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | ':' | '/');
        value.len() <= 64 && value.chars().all(of_code) && value.bytes().any(|b| b.is_ascii_digit())
    };
    let coded = values.counts.keys().filter(|value| code(value)).count();
    coded * 10 >= values.distinct() * 9
}

/// Smallest and largest number.
fn range(values: &Values) -> String {
    let numbers = values
        .counts
        .keys()
        .filter_map(|text| text.trim().parse::<f64>().ok());
    let finite = numbers.filter(|number| number.is_finite());
    let (low, high) = finite.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), n| {
        (low.min(n), high.max(n))
    });
    if low > high {
        return "no number".to_owned();
    }
    // `-0` and 40 digits are of no use to a reader.
    let shown = |n: f64| {
        if n != 0.0 && !(1e-6..1e15).contains(&n.abs()) {
            format!("{n:e}")
        } else {
            format!("{}", n + 0.0)
        }
    };
    format!("from {} to {}", shown(low), shown(high))
}

/// How values are spread: `4 values: east 31 %, west 27 %, …`.
fn spread(values: &Values, rows: usize) -> String {
    let distinct = values.distinct();
    let frequent = values.frequent();
    let shown: Vec<String> = frequent
        .iter()
        .take(SHOWN)
        .map(|(value, n)| {
            let short: String = value.chars().take(30).collect();
            format!("{short} {}", per_cent(*n, values.seen))
        })
        .collect();
    let more = if distinct > SHOWN { ", …" } else { "" };
    let word = if distinct == 1 { "value" } else { "values" };
    let mut text = format!("{distinct} {word}: {}{more}", shown.join(", "));
    if values.seen < rows {
        text.push_str(&format!(
            "; missing in {} of events",
            per_cent(rows - values.seen, rows)
        ));
    }
    text
}

/// One field says what kind of event it is; the others break down.
fn only_one_kind(fields: &mut [FieldGuess]) {
    let points = |field: &FieldGuess| {
        let leaf = words::words(field.keys.last().map_or("", String::as_str));
        let by_name = words::KIND
            .iter()
            .position(|kind| any(&leaf, &[kind]))
            .unwrap_or(words::KIND.len());
        // One value says nothing yet; what stands further out says more.
        (field.distinct == 1, field.keys.len(), by_name)
    };
    let best = (0..fields.len())
        .filter(|&at| fields[at].role == Role::Kind)
        .min_by_key(|&at| points(&fields[at]));
    for (at, field) in fields.iter_mut().enumerate() {
        if field.role == Role::Kind && Some(at) != best {
            field.role = if field.distinct == 1 {
                Role::Constant
            } else {
                Role::Dimension
            };
        }
    }
}

/// A name for a field: an identifier, because filters and Prometheus ask for one.
fn name(keys: &[String], number: usize) -> String {
    let leaf = keys.last().map_or("", String::as_str);
    let own = identifier(leaf);
    let bare = [
        "id", "name", "code", "value", "amount", "type", "no", "key", "number",
    ]
    .contains(&own.as_str());
    let parent = keys
        .len()
        .checked_sub(2)
        .map(|at| identifier(&keys[at]))
        .unwrap_or_default();
    let joined = if bare && !parent.is_empty() && parent != "data" && !own.is_empty() {
        format!("{parent}_{own}")
    } else {
        own
    };
    if joined.is_empty() {
        format!("field_{}", number + 1)
    } else {
        joined
    }
}

/// Words that CEL keeps for itself, and labels that every node has.
const RESERVED: [&str; 30] = [
    "true",
    "false",
    "null",
    "in",
    "as",
    "break",
    "const",
    "continue",
    "else",
    "for",
    "function",
    "if",
    "import",
    "let",
    "loop",
    "package",
    "namespace",
    "return",
    "var",
    "void",
    "while",
    "node",
    "role",
    "level",
    "owner",
    "parent",
    "kind",
    "kpi",
    "source",
    "__",
];

fn identifier(key: &str) -> String {
    if let Some((_, english)) = words::IN_ENGLISH
        .iter()
        .find(|(chinese, _)| key.contains(chinese))
    {
        return (*english).to_owned();
    }
    let mut name = words::words(key).join("_");
    name.retain(|c| c.is_ascii_alphanumeric() || c == '_');
    let name: String = name.trim_matches('_').chars().take(60).collect();
    if name.is_empty() {
        return name;
    }
    if name.starts_with(|c: char| c.is_ascii_digit()) {
        return format!("f_{name}");
    }
    if RESERVED.contains(&name.as_str()) {
        return format!("{name}_");
    }
    name
}

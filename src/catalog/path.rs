//! Where a field's value stands: keys of the payload, or a part of the record around it.
//!
//! ```text
//! data.customer.id     keys of the payload's object
//! $key                 the record's key, as text
//! $timestamp           the record's timestamp, in milliseconds since the epoch
//! $header.<name>       the last header of that name, as text; the name may hold dots
//! $topic $partition $offset
//! $envelope.ts_ms      a key of a Debezium envelope
//! $$type               the key "$type" of the payload
//! ```

use std::fmt;

use super::diagnostic::nearest;

/// Longest path of keys: deeper ones are a mistake.
const MAX_DEPTH: usize = 16;

/// Where a field's value stands in a record.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum FieldPath {
    /// Object keys in the payload, from the outside in; at least one.
    Payload(Vec<String>),
    /// A part of the record beside its payload.
    Record(RecordPart),
    /// Object keys from the outside of a Debezium envelope: what is said about a row, not in it.
    Envelope(Vec<String>),
}

/// A part of a record beside its payload.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum RecordPart {
    /// The key, as text.
    Key,
    /// The timestamp, in milliseconds since the epoch.
    Timestamp,
    /// The topic.
    Topic,
    /// The partition.
    Partition,
    /// The offset.
    Offset,
    /// The last header of this name, as text.
    Header(String),
}

impl FieldPath {
    /// Reads a path as the catalogue writes it.
    ///
    /// # Errors
    /// In words, with what to write instead.
    pub fn parse(text: &str) -> Result<FieldPath, String> {
        let in_payload = match text.strip_prefix('$') {
            Some(rest) if rest.starts_with("envelope.") => {
                let keys = keys(text, &rest["envelope.".len()..])?;
                return Ok(FieldPath::Envelope(keys));
            }
            Some(rest) if !rest.starts_with('$') => {
                return RecordPart::parse(text).map(FieldPath::Record);
            }
            Some(escaped) => escaped,
            None => text,
        };
        keys(text, in_payload).map(FieldPath::Payload)
    }

    /// The keys, for a path in the payload.
    pub fn keys(&self) -> Option<&[String]> {
        match self {
            FieldPath::Payload(keys) => Some(keys),
            FieldPath::Record(_) | FieldPath::Envelope(_) => None,
        }
    }
}

fn keys(written: &str, joined: &str) -> Result<Vec<String>, String> {
    let keys: Vec<String> = joined.split('.').map(str::to_owned).collect();
    if keys.iter().any(String::is_empty) || keys.len() > MAX_DEPTH {
        return Err(format!(
            "'{written}' is no path; write keys joined by dots, such as data.amount"
        ));
    }
    Ok(keys)
}

impl RecordPart {
    fn parse(text: &str) -> Result<RecordPart, String> {
        const PARTS: [&str; 7] = [
            "$key",
            "$timestamp",
            "$topic",
            "$partition",
            "$offset",
            "$header.name",
            "$envelope.name",
        ];
        Ok(match text {
            "$key" => RecordPart::Key,
            "$timestamp" => RecordPart::Timestamp,
            "$topic" => RecordPart::Topic,
            "$partition" => RecordPart::Partition,
            "$offset" => RecordPart::Offset,
            _ => match text.strip_prefix("$header.") {
                Some(name) if !name.is_empty() => RecordPart::Header(name.to_owned()),
                _ => {
                    let hint = nearest(text, PARTS).map_or_else(
                        || format!("known are {}", PARTS.join(", ")),
                        |near| format!("did you mean '{near}'?"),
                    );
                    return Err(format!(
                        "'{text}' is no part of a record; {hint} (a key of the payload that begins with $ is written ${text})"
                    ));
                }
            },
        })
    }
}

/// As the catalogue writes it.
impl fmt::Display for FieldPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FieldPath::Payload(keys) => {
                let escape = if keys[0].starts_with('$') { "$" } else { "" };
                write!(f, "{escape}{}", keys.join("."))
            }
            FieldPath::Record(part) => part.fmt(f),
            FieldPath::Envelope(keys) => write!(f, "$envelope.{}", keys.join(".")),
        }
    }
}

impl fmt::Display for RecordPart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RecordPart::Key => f.write_str("$key"),
            RecordPart::Timestamp => f.write_str("$timestamp"),
            RecordPart::Topic => f.write_str("$topic"),
            RecordPart::Partition => f.write_str("$partition"),
            RecordPart::Offset => f.write_str("$offset"),
            RecordPart::Header(name) => write!(f, "$header.{name}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_path_is_written_as_it_is_read() {
        let payload = |keys: &[&str]| FieldPath::Payload(keys.iter().map(|key| (*key).to_owned()).collect());
        for (text, path) in [
            ("data.customer.id", payload(&["data", "customer", "id"])),
            ("$$type", payload(&["$type"])),
            ("a.$oid", payload(&["a", "$oid"])),
            (
                "$envelope.source.table",
                FieldPath::Envelope(vec!["source".to_owned(), "table".to_owned()]),
            ),
            ("$key", FieldPath::Record(RecordPart::Key)),
            ("$timestamp", FieldPath::Record(RecordPart::Timestamp)),
            ("$topic", FieldPath::Record(RecordPart::Topic)),
            ("$partition", FieldPath::Record(RecordPart::Partition)),
            ("$offset", FieldPath::Record(RecordPart::Offset)),
            (
                "$header.x.tenant",
                FieldPath::Record(RecordPart::Header("x.tenant".to_owned())),
            ),
        ] {
            assert_eq!(FieldPath::parse(text), Ok(path.clone()), "{text}");
            assert_eq!(path.to_string(), text);
        }
        for text in [
            "",
            ".",
            "a..b",
            "a.",
            "$",
            "$header",
            "$header.",
            "$key.id",
            "$envelope",
            "$envelope.",
        ] {
            assert!(FieldPath::parse(text).is_err(), "{text}");
        }
    }
}

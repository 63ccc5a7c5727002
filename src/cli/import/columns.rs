//! Rows of a CSV file as events of a source: the header names fields, and each value goes to the path of its field.

use std::io::Read;

use serde_json::{Map, Value};

use super::chunk::FileEvent;
use super::lines::{Lines, line_of, malformed};
use crate::catalog::diagnostic::nearest;
use crate::catalog::{FieldPath, FieldType, Format, Source};

/// Name of the column with the event time, unless a field has it.
const TIME: &str = "time";

/// The rows of a file.
pub(super) struct Rows<R> {
    reader: csv::Reader<Lines<R>>,
    columns: Vec<Column>,
    shown: String,
    /// Where the last row ended, in bytes.
    read_to: u64,
}

/// Where the values of a column go.
struct Column {
    keys: Vec<String>,
    kind: FieldType,
}

impl<R: Read> Rows<R> {
    /// Reads the header.
    ///
    /// # Errors
    /// In words, with the place: a column that is no field, or an event time that no column gives.
    pub(super) fn new(source: &Source, file: R, shown: String) -> Result<Rows<R>, String> {
        if source.format == Format::Debezium {
            return Err(format!(
                "{shown}: rows of source '{}' come from Debezium with what they were before; import its envelopes as NDJSON",
                source.name
            ));
        }
        let mut reader = csv::ReaderBuilder::new()
            .trim(csv::Trim::All)
            .from_reader(Lines::new(file));
        let header = reader.headers().cloned();
        let header = header.map_err(|error| refused(&mut reader, &shown, &error))?;
        let line = line_of(&mut reader, &header).max(1);
        let mut columns = Vec::new();
        for name in &header {
            let name = name.trim_start_matches('\u{feff}');
            columns.push(column(source, name).map_err(|message| format!("{shown}:{line}: {message}"))?);
        }
        let timed = |keys: &[String]| columns.iter().any(|column| column.keys == keys);
        match &source.time {
            Some(FieldPath::Payload(keys)) if !timed(keys) => Err(format!(
                "{shown}:{line}: no column has the event time; name it '{TIME}', or as the field of {}",
                keys.join(".")
            )),
            _ => Ok(Rows {
                reader,
                columns,
                shown,
                read_to: 0,
            }),
        }
    }

    fn event(&self, row: &csv::StringRecord) -> Vec<u8> {
        let mut event = Map::new();
        for (column, text) in self.columns.iter().zip(row).filter(|(_, text)| !text.is_empty()) {
            put(&mut event, &column.keys, value(column.kind, text));
        }
        Value::Object(event).to_string().into_bytes()
    }
}

impl<R: Read> Iterator for Rows<R> {
    type Item = Result<FileEvent, String>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut row = csv::StringRecord::new();
        match self.reader.read_record(&mut row) {
            Ok(false) => None,
            Ok(true) => {
                let to = self.reader.position().byte();
                let read_bytes = to - self.read_to;
                self.read_to = to;
                Some(Ok(FileEvent {
                    json: self.event(&row),
                    line: line_of(&mut self.reader, &row),
                    read_bytes,
                }))
            }
            Err(error) => Some(Err(refused(&mut self.reader, &self.shown, &error))),
        }
    }
}

/// A mistake of the table itself, with its place.
fn refused<R: Read>(reader: &mut csv::Reader<Lines<R>>, shown: &str, error: &csv::Error) -> String {
    match malformed(reader, error) {
        Some((line, message)) => format!("{shown}:{line}: {message}"),
        None => format!("{shown}: {error}"),
    }
}

fn column(source: &Source, name: &str) -> Result<Column, String> {
    let (path, kind) = match source.fields.iter().find(|field| field.name == name) {
        Some(field) => (Some(&field.path), field.kind),
        None if name == TIME => (source.time.as_ref(), FieldType::Any),
        None => {
            let names = || source.fields.iter().map(|field| field.name.as_str());
            let hint = nearest(name, names().chain([TIME])).map_or_else(
                || format!("it has {}", names().collect::<Vec<_>>().join(", ")),
                |near| format!("did you mean '{near}'?"),
            );
            return Err(format!(
                "column '{name}' is no field of source '{}'; {hint}",
                source.name
            ));
        }
    };
    match path {
        Some(FieldPath::Payload(keys)) => Ok(Column {
            keys: keys.clone(),
            kind,
        }),
        Some(part) => Err(format!(
            "column '{name}' cannot be imported: it is {part}, a part of the record around an event"
        )),
        None => Err(format!(
            "source '{}' takes the time of arrival as event time; to import the past, write 'time: …' in the catalogue",
            source.name
        )),
    }
}

/// Numbers stay texts: a text that is a number counts as one.
fn value(kind: FieldType, text: &str) -> Value {
    let truth = match text.to_ascii_lowercase().as_str() {
        "true" | "yes" | "1" => Some(true),
        "false" | "no" | "0" => Some(false),
        _ => None,
    };
    match truth {
        Some(truth) if kind == FieldType::Bool => Value::Bool(truth),
        _ => Value::String(text.to_owned()),
    }
}

/// Puts a value at its path, with the objects on the way.
fn put(object: &mut Map<String, Value>, keys: &[String], value: Value) {
    match keys {
        [] => {}
        [last] => {
            object.insert(last.clone(), value);
        }
        [first, rest @ ..] => {
            let below = object
                .entry(first.clone())
                .or_insert_with(|| Value::Object(Map::new()));
            if let Value::Object(below) = below {
                put(below, rest, value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::catalog::FieldId;
    use crate::catalog::load::{Files, load};
    use crate::decode::{FieldValue, Reader, Record};

    fn source_of(source: &str) -> Source {
        let yaml = format!("sources:\n  s: {source}\n");
        load(&Files::new("", [("a.yaml", yaml.as_str())]))
            .map_err(|d| d.to_string())
            .unwrap()
            .sources
            .remove(0)
    }

    fn rows(source: &str, csv: &str) -> Result<Vec<(u64, String)>, String> {
        let rows = Rows::new(&source_of(source), csv.as_bytes(), "f.csv".to_owned())?;
        rows.map(|row| row.map(|row| (row.line, String::from_utf8(row.json).unwrap())))
            .collect()
    }

    /// Pieces that break tables: quotes, separators, line ends, byte order marks, bytes that are no text.
    const PIECES: [&[u8]; 18] = [
        b"\"",
        b"\"\"",
        b",",
        b"\n",
        b"\r\n",
        b"\r",
        b" ",
        b"time",
        b"amount",
        b"rep",
        b"ok",
        b"yes",
        b"1e400",
        b"1780000000",
        b"\xef\xbb\xbf",
        b"\xff",
        b"\0",
        "李".as_bytes(),
    ];

    proptest! {
        /// Whatever a file holds: an error with its name, or events that are one JSON object on one line each.
        #[test]
        fn no_file_makes_it_fail_but_with_words(
            has_header: bool,
            pieces in proptest::collection::vec(0..PIECES.len(), 0..60),
            cut in any::<Option<u8>>(),
        ) {
            let mut file = if has_header { b"time,amount,rep,ok\n".to_vec() } else { Vec::new() };
            pieces.iter().for_each(|piece| file.extend_from_slice(PIECES[*piece]));
            file.truncate(cut.map_or(file.len(), usize::from));
            let source = source_of(SOURCE);
            let mut reader = Reader::new(&source);
            match Rows::new(&source, &*file, "f.csv".to_owned()) {
                Err(message) => prop_assert!(message.starts_with("f.csv:"), "{message}"),
                Ok(rows) => {
                    let mut last = 0;
                    for row in rows {
                        let row = match row {
                            Err(message) => {
                                prop_assert!(message.starts_with("f.csv:"), "{message}");
                                continue;
                            }
                            Ok(row) => row,
                        };
                        // A lone \r ends a row, and no line.
                        prop_assert!(row.line >= last && row.line >= 1, "line {} after {last}", row.line);
                        last = row.line;
                        prop_assert!(!row.json.contains(&b'\n'));
                        let value: Value = serde_json::from_slice(&row.json).unwrap();
                        prop_assert!(value.is_object());
                        let record = Record { payload: Some(&row.json), ..Record::default() };
                        // A value may be refused as any event's, and says why.
                        if let Err(reject) = reader.read_one(&record) {
                            prop_assert!(["missing_time", "invalid_time"].contains(&reject.reason()), "{reject}");
                        }
                    }
                }
            }
        }

        /// What a table says comes out of the decoder as it stood there, but for the blanks around it.
        #[test]
        fn a_table_is_read_back(
            cells in proptest::collection::vec(("[ -~\n\r\"李é,]{0,12}", 0u32..1_000_000), 1..20)
        ) {
            let mut writer = csv::Writer::from_writer(Vec::new());
            writer.write_record(["rep", "time", "amount"]).unwrap();
            for (rep, amount) in &cells {
                writer.write_record([rep, "1780000000", &format!("{amount}.25")]).unwrap();
            }
            let file = writer.into_inner().unwrap();
            let source = source_of(SOURCE);
            let mut reader = Reader::new(&source);
            let read: Vec<_> = Rows::new(&source, &*file, "f.csv".to_owned()).unwrap().collect();
            prop_assert_eq!(read.len(), cells.len());
            for (row, (rep, amount)) in read.into_iter().zip(&cells) {
                let row = row.unwrap();
                let record = Record { payload: Some(&row.json), ..Record::default() };
                let event = reader.read_one(&record).unwrap();
                prop_assert_eq!(event.time_ms, 1_780_000_000_000);
                prop_assert_eq!(event.number(FieldId(0)).unwrap().to_f64(), f64::from(*amount) + 0.25);
                let expected = match rep.trim() {
                    "" => FieldValue::Missing,
                    text => FieldValue::Text(text),
                };
                prop_assert_eq!(event.value(FieldId(1)), expected);
            }
        }
    }

    const SOURCE: &str = "{http: true, format: json, time: at, fields: {amount: data.amount, rep: data.rep.name, ok: {path: ok, type: bool}, when: at, key: $key}}";

    #[test]
    fn values_go_to_the_paths_of_their_fields() {
        let csv = "\u{feff}time, amount ,rep,ok\n2026-06-01T00:00:00Z,12.50,\"李\n雷\",yes\n2026-06-02T00:00:00Z,,Ann,maybe\n";
        assert_eq!(
            rows(SOURCE, csv),
            Ok(vec![
                (2, r#"{"at":"2026-06-01T00:00:00Z","data":{"amount":"12.50","rep":{"name":"李\n雷"}},"ok":true}"#.to_owned()),
                (4, r#"{"at":"2026-06-02T00:00:00Z","data":{"rep":{"name":"Ann"}},"ok":"maybe"}"#.to_owned()),
            ])
        );
        // Lines as an editor counts them: of either end, with blank ones, and within quotes.
        for end in ["\n", "\r\n"] {
            let lines = ["time,rep", "", "1,a", "", "", "2,\"b", "c\"", "3,d"].join(end);
            let found: Vec<u64> = rows(SOURCE, &lines)
                .unwrap()
                .into_iter()
                .map(|(line, _)| line)
                .collect();
            assert_eq!(found, [3, 6, 8], "{end:?}");
            // So is what is wrong, with the table and with its header.
            let broken = ["", "time,rep", "", "1,\"a", "", "b\"", "", "2,b,c"].join(end);
            assert_eq!(
                rows(SOURCE, &broken),
                Err("f.csv:8: the row has 3 cells, and the header has 2; quote a cell that holds a comma or a line break, and double the quotes in it".to_owned()),
                "{end:?}"
            );
            let header = ["", "", "time,rpe", "1,a"].join(end);
            assert_eq!(
                rows(SOURCE, &header),
                Err("f.csv:3: column 'rpe' is no field of source 's'; did you mean 'rep'?".to_owned())
            );
        }
        let latin = [&b"time,rep\n\n1,a\n2,J"[..], b"\xfc", b"rgen\n"].concat();
        let mut latin = Rows::new(&source_of(SOURCE), &*latin, "f.csv".to_owned()).unwrap();
        let first = latin.next().map(|row| row.map(|row| row.line));
        assert_eq!(first, Some(Ok(3)));
        let second = latin.next().map(|row| row.map(|row| row.line));
        assert_eq!(
            second,
            Some(Err(
                "f.csv:4: cell 2 is not UTF-8; save the file as \"CSV UTF-8\"".to_owned()
            ))
        );
        assert_eq!(
            rows(SOURCE, "when\n1780000000\n"),
            Ok(vec![(2, r#"{"at":"1780000000"}"#.to_owned())])
        );
    }

    #[test]
    fn a_header_that_does_not_fit_says_what_would() {
        for (source, csv, message) in [
            (
                SOURCE,
                "time,amont\n",
                "f.csv:1: column 'amont' is no field of source 's'; did you mean 'amount'?",
            ),
            (
                SOURCE,
                "amount\n",
                "f.csv:1: no column has the event time; name it 'time', or as the field of at",
            ),
            (
                SOURCE,
                "time,key\n",
                "f.csv:1: column 'key' cannot be imported: it is $key, a part of the record around an event",
            ),
            (
                "{http: true, format: json, fields: {}}",
                "time\n",
                "f.csv:1: source 's' takes the time of arrival as event time; to import the past, write 'time: …' in the catalogue",
            ),
            (
                "{http: true, format: debezium, fields: {}}",
                "time\n",
                "f.csv: rows of source 's' come from Debezium with what they were before; import its envelopes as NDJSON",
            ),
            (
                SOURCE,
                "time,amount\n1,2,3\n",
                "f.csv:2: the row has 3 cells, and the header has 2; quote a cell that holds a comma or a line break, and double the quotes in it",
            ),
        ] {
            assert_eq!(rows(source, csv), Err(message.to_owned()));
        }
    }
}

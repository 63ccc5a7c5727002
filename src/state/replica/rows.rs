//! Rows of the state as changes that another file can take. Nothing here knows what a table is for: whatever a commit
//! changes is noticed by triggers of this connection, read back as rows, and put into the same tables elsewhere.

use rusqlite::types::{Value, ValueRef};
use rusqlite::{Connection, Transaction, params_from_iter};
use serde::{Deserialize, Serialize};

use crate::state::{StateError, corrupt};

/// What is of a file and not of the state: how far it follows.
const OWN: &str = "replica";

/// A row is cut into parts of this size, in bytes: brokers refuse records of more than a mebibyte unless told otherwise.
const PART_BYTES: usize = 900_000;

/// A row as it became.
#[derive(Clone, PartialEq, Debug)]
pub(in crate::state) struct Change {
    /// Table and primary key, as JSON: what compaction goes by.
    pub(in crate::state) key: String,
    /// The row; `None`: it is no longer there.
    pub(in crate::state) row: Option<Vec<u8>>,
}

/// A value of a column.
#[derive(Serialize, Deserialize)]
enum Cell {
    Null,
    Integer(i64),
    Real(f64),
    Text(String),
    Blob(Vec<u8>),
}

/// A row, or a part of one that is too long for a record.
#[derive(Serialize, Deserialize)]
struct Part {
    /// How many parts the row has.
    parts: u32,
    bytes: Vec<u8>,
}

/// A table of the state.
#[derive(Debug)]
struct Table {
    name: String,
    columns: Vec<String>,
    /// Its primary key.
    keys: Vec<String>,
}

/// Every table of the state, and what has changed in it.
#[derive(Debug)]
pub(in crate::state) struct Tables(Vec<Table>);

impl Tables {
    /// The tables of a file.
    ///
    /// # Errors
    /// When SQLite refuses.
    pub(in crate::state) fn of(connection: &Connection) -> Result<Tables, StateError> {
        let mut select = connection.prepare(
            "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'
             AND name <> ?1 ORDER BY name",
        )?;
        let names = select.query_map([OWN], |row| row.get(0))?;
        let names: Vec<String> = names.collect::<Result<_, _>>()?;
        let mut tables = Vec::with_capacity(names.len());
        for name in names {
            let mut select = connection.prepare("SELECT name, pk FROM pragma_table_info(?1) ORDER BY cid")?;
            let columns = select.query_map([&name], |row| Ok((row.get(0)?, row.get(1)?)))?;
            let columns: Vec<(String, i64)> = columns.collect::<Result<_, _>>()?;
            let mut keys: Vec<&(String, i64)> = columns.iter().filter(|(_, place)| *place > 0).collect();
            keys.sort_by_key(|(_, place)| *place);
            let keys = keys.into_iter().map(|(column, _)| column.clone()).collect();
            let columns = columns.into_iter().map(|(column, _)| column).collect();
            tables.push(Table { name, columns, keys });
        }
        Ok(Tables(tables))
    }

    /// Notices every change of this connection from now on.
    ///
    /// # Errors
    /// When SQLite refuses.
    pub(in crate::state) fn watch(&self, connection: &Connection) -> Result<(), StateError> {
        // Of what INSERT OR REPLACE replaces the triggers hear too.
        connection.pragma_update(None, "recursive_triggers", true)?;
        for table in &self.0 {
            let Table { name, keys, .. } = table;
            let list = keys.join(", ");
            connection.execute_batch(&format!(
                "CREATE TEMP TABLE changed_{name} ({list}, PRIMARY KEY ({list})) WITHOUT ROWID;"
            ))?;
            for (event, row) in [
                ("INSERT", "NEW"),
                ("UPDATE", "NEW"),
                ("UPDATE", "OLD"),
                ("DELETE", "OLD"),
            ] {
                let of_row: Vec<String> = keys.iter().map(|key| format!("{row}.{key}")).collect();
                let is_it: Vec<String> = keys.iter().map(|key| format!("{key} = {row}.{key}")).collect();
                // Not by ON CONFLICT: that of the statement which fires the trigger would count instead.
                connection.execute_batch(&format!(
                    "CREATE TEMP TRIGGER {name}_{event}_{row} AFTER {event} ON main.{name} BEGIN
                     INSERT INTO changed_{name} SELECT {}
                     WHERE NOT EXISTS (SELECT 1 FROM changed_{name} WHERE {}); END;",
                    of_row.join(", "),
                    is_it.join(" AND ")
                ))?;
            }
        }
        Ok(())
    }

    /// What a transaction has changed so far; it is taken out, so that the next one begins with nothing.
    ///
    /// # Errors
    /// When SQLite refuses.
    pub(in crate::state) fn take(&self, transaction: &Transaction<'_>) -> Result<Vec<Change>, StateError> {
        let mut changes = Vec::new();
        for table in &self.0 {
            let joined: Vec<String> = table
                .keys
                .iter()
                .map(|key| format!("now.{key} = changed.{key}"))
                .collect();
            let keys: Vec<String> = table.keys.iter().map(|key| format!("changed.{key}")).collect();
            let first = keys.len();
            let mut select = transaction.prepare_cached(&format!(
                "SELECT {}, now.{} IS NOT NULL, now.* FROM temp.changed_{name} changed
                 LEFT JOIN main.{name} now ON {}",
                keys.join(", "),
                table.keys.first().map_or("rowid", String::as_str),
                joined.join(" AND "),
                name = table.name,
            ))?;
            let mut rows = select.query([])?;
            let mut found = false;
            while let Some(row) = rows.next()? {
                found = true;
                let key: Vec<Cell> = (0..first)
                    .map(|column| row.get_ref(column).map(cell))
                    .collect::<Result<_, _>>()?;
                let is_there: bool = row.get(first)?;
                let body = match is_there {
                    true => Some(encoded(
                        &(first + 1..first + 1 + table.columns.len())
                            .map(|column| row.get_ref(column).map(cell))
                            .collect::<Result<Vec<_>, _>>()?,
                    )?),
                    false => None,
                };
                push(&mut changes, &table.name, &key, body)?;
            }
            drop(rows);
            drop(select);
            if found {
                let mut clear =
                    transaction.prepare_cached(&format!("DELETE FROM temp.changed_{}", table.name))?;
                clear.execute([])?;
            }
        }
        Ok(changes)
    }

    /// Every row of the state.
    ///
    /// # Errors
    /// When SQLite refuses.
    pub(in crate::state) fn all(
        &self,
        connection: &Connection,
        mut each: impl FnMut(Vec<Change>) -> Result<(), StateError>,
    ) -> Result<(), StateError> {
        for table in &self.0 {
            let mut select = connection.prepare(&format!(
                "SELECT {}, * FROM main.{name} AS now",
                table.keys.join(", "),
                name = table.name
            ))?;
            let first = table.keys.len();
            let mut rows = select.query([])?;
            while let Some(row) = rows.next()? {
                let key: Vec<Cell> = (0..first)
                    .map(|column| row.get_ref(column).map(cell))
                    .collect::<Result<_, _>>()?;
                let body: Vec<Cell> = (first..first + table.columns.len())
                    .map(|column| row.get_ref(column).map(cell))
                    .collect::<Result<_, _>>()?;
                let mut changes = Vec::new();
                push(&mut changes, &table.name, &key, Some(encoded(&body)?))?;
                each(changes)?;
            }
        }
        Ok(())
    }

    /// Forgets every row.
    ///
    /// # Errors
    /// When SQLite refuses.
    pub(in crate::state) fn clear(&self, transaction: &Transaction<'_>) -> Result<(), StateError> {
        for table in &self.0 {
            transaction.execute(&format!("DELETE FROM main.{}", table.name), [])?;
        }
        Ok(())
    }

    /// Takes over a row as it became elsewhere. A row that has more columns than this version knows loses them; one that
    /// has fewer gets what the table says.
    ///
    /// # Errors
    /// [`StateError::Corrupt`] for what no tautline wrote, and when SQLite refuses.
    fn put(&self, transaction: &Transaction<'_>, key: &str, row: Option<&[u8]>) -> Result<(), StateError> {
        let (name, keys) = key_of(key)?;
        let Some(table) = self.0.iter().find(|table| table.name == name) else {
            return Err(corrupt(
                &format!("row {key}"),
                &"this version knows no such table",
            ));
        };
        if keys.len() != table.keys.len() {
            return Err(corrupt(&format!("row {key}"), &"its key has other parts here"));
        }
        match row {
            Some(row) => {
                let cells: Vec<Cell> =
                    postcard::from_bytes(row).map_err(|error| corrupt(&format!("row {key}"), &error))?;
                let known = cells.len().min(table.columns.len());
                let places: Vec<String> = (1..=known).map(|place| format!("?{place}")).collect();
                let mut put = transaction.prepare_cached(&format!(
                    "INSERT OR REPLACE INTO main.{name} ({}) VALUES ({})",
                    table.columns[..known].join(", "),
                    places.join(", ")
                ))?;
                put.execute(params_from_iter(cells.into_iter().take(known).map(value)))?;
            }
            None => {
                let conditions: Vec<String> = (1..)
                    .zip(&table.keys)
                    .map(|(place, key)| format!("{key} = ?{place}"))
                    .collect();
                let mut forget = transaction.prepare_cached(&format!(
                    "DELETE FROM main.{name} WHERE {}",
                    conditions.join(" AND ")
                ))?;
                forget.execute(params_from_iter(keys))?;
            }
        }
        Ok(())
    }
}

/// Puts changes into tables, in the order in which they were made; a row that is cut is put when its last part is there.
#[derive(Default)]
pub(in crate::state) struct Putter {
    /// A row of which parts are missing.
    open: Option<(String, u32, Vec<u8>)>,
}

impl Putter {
    /// Takes one change.
    ///
    /// # Errors
    /// [`StateError::Corrupt`] for what no tautline wrote, and when SQLite refuses.
    pub(in crate::state) fn put(
        &mut self,
        tables: &Tables,
        transaction: &Transaction<'_>,
        key: &str,
        body: Option<&[u8]>,
    ) -> Result<(), StateError> {
        let (key, number) = part_of(key);
        let Some(body) = body else {
            self.open = None;
            return match number {
                0 => tables.put(transaction, key, None),
                _ => Ok(()),
            };
        };
        let Part { parts, bytes } =
            postcard::from_bytes(body).map_err(|error| corrupt(&format!("row {key}"), &error))?;
        let mut row = match (number, self.open.take()) {
            (0, _) => Vec::new(),
            (_, Some((of, next, row))) if of == key && next == number => row,
            // What is left of a longer row that was written before: compaction keeps the newest of every part.
            _ => return Ok(()),
        };
        row.extend_from_slice(&bytes);
        if number + 1 < parts {
            self.open = Some((key.to_owned(), number + 1, row));
            return Ok(());
        }
        tables.put(transaction, key, Some(&row))
    }

    /// Whether a row is only partly there.
    pub(in crate::state) fn is_open(&self) -> bool {
        self.open.is_some()
    }
}

/// Adds a change, in parts where it is long.
fn push(
    changes: &mut Vec<Change>,
    table: &str,
    key: &[Cell],
    row: Option<Vec<u8>>,
) -> Result<(), StateError> {
    let key = key_text(table, key)?;
    let Some(row) = row else {
        changes.push(Change { key, row: None });
        return Ok(());
    };
    let parts: Vec<&[u8]> = row.chunks(PART_BYTES).collect();
    let count = u32::try_from(parts.len()).map_err(|error| corrupt(&format!("row {key}"), &error))?;
    for (number, bytes) in parts.into_iter().enumerate() {
        let part = Part {
            parts: count,
            bytes: bytes.to_vec(),
        };
        changes.push(Change {
            key: match number {
                0 => key.clone(),
                number => format!("{key}#{number}"),
            },
            row: Some(encoded(&part)?),
        });
    }
    Ok(())
}

/// The key of a row, and which part of it this is.
fn part_of(key: &str) -> (&str, u32) {
    // A key is a JSON array: what stands behind its bracket is the part.
    match key.rsplit_once("]#") {
        Some((before, number)) => match number.parse() {
            Ok(number) => (&key[..=before.len()], number),
            Err(_) => (key, 0),
        },
        None => (key, 0),
    }
}

fn key_text(table: &str, key: &[Cell]) -> Result<String, StateError> {
    let mut parts = vec![serde_json::Value::from(table)];
    for part in key {
        parts.push(match part {
            Cell::Integer(number) => (*number).into(),
            Cell::Text(text) => text.as_str().into(),
            Cell::Null | Cell::Real(_) | Cell::Blob(_) => {
                return Err(corrupt(
                    &format!("key in {table}"),
                    &"neither text nor a whole number",
                ));
            }
        });
    }
    Ok(serde_json::Value::from(parts).to_string())
}

fn key_of(key: &str) -> Result<(String, Vec<Value>), StateError> {
    let bad = || {
        corrupt(
            &format!("row {key}"),
            &"its key is no list of a table and what names a row",
        )
    };
    let parts: Vec<serde_json::Value> = serde_json::from_str(key).map_err(|_| bad())?;
    let mut parts = parts.into_iter();
    let Some(serde_json::Value::String(table)) = parts.next() else {
        return Err(bad());
    };
    let keys = parts.map(|part| match part {
        serde_json::Value::String(text) => Ok(Value::Text(text)),
        serde_json::Value::Number(number) => number.as_i64().map(Value::Integer).ok_or_else(bad),
        _ => Err(bad()),
    });
    Ok((table, keys.collect::<Result<_, _>>()?))
}

fn encoded(value: &impl Serialize) -> Result<Vec<u8>, StateError> {
    postcard::to_allocvec(value).map_err(|error| corrupt("row", &error))
}

fn cell(value: ValueRef<'_>) -> Cell {
    match value {
        ValueRef::Null => Cell::Null,
        ValueRef::Integer(number) => Cell::Integer(number),
        ValueRef::Real(number) => Cell::Real(number),
        ValueRef::Text(text) => Cell::Text(String::from_utf8_lossy(text).into_owned()),
        ValueRef::Blob(bytes) => Cell::Blob(bytes.to_vec()),
    }
}

fn value(cell: Cell) -> Value {
    match cell {
        Cell::Null => Value::Null,
        Cell::Integer(number) => Value::Integer(number),
        Cell::Real(number) => Value::Real(number),
        Cell::Text(text) => Value::Text(text),
        Cell::Blob(bytes) => Value::Blob(bytes),
    }
}

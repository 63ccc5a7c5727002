//! Avro in the wire format of Confluent's serializers: a byte 0, four bytes of schema id (big end first), the body.
//!
//! * `program`: a writer's schema compiled for the paths that are asked for. * `walk`: reads a body by it.
//! * `number`: decimals and floats as text. * `show`: a whole body as JSON, and what a schema says of its fields.
//!
//! The reader holds compiled schemas by id; it does not fetch them. Who reads records asks
//! [`super::Reader::schema_needed`] first, and tells what the registry said by [`super::Reader::learn`].

mod number;
mod program;
mod show;
mod walk;

use std::collections::HashMap;
use std::fmt;

use apache_avro::Schema;

use self::program::Program;
use super::Reject;
use super::json::{Paths, Span};
pub use show::{FieldKind, SchemaField, Shown, schema_of};

/// Bytes before the body.
const HEADER_BYTES: usize = 5;

/// A schema's id in the registry.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct SchemaId(pub u32);

impl fmt::Display for SchemaId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The schema by which a producer wrote, with the schemas that it refers to.
#[derive(Debug)]
pub struct WriterSchema {
    root: Schema,
    others: Vec<Schema>,
}

impl WriterSchema {
    /// Reads a schema and those that it refers to, as JSON texts.
    ///
    /// # Errors
    /// In words, when one of them is no Avro schema, or a type is not declared.
    pub fn parse(schema: &str, references: &[String]) -> Result<WriterSchema, String> {
        let (root, others) =
            Schema::parse_str_with_list(schema, references).map_err(|error| error.to_string())?;
        Ok(WriterSchema { root, others })
    }
}

/// What the registry says of an id.
#[derive(Clone, Debug)]
pub enum Learned<'s> {
    /// The schema.
    Schema(&'s WriterSchema),
    /// There is no such id.
    Missing,
    /// There is something, and it cannot be used: why.
    Unusable(&'static str),
}

/// What is known of an id.
#[derive(Debug)]
enum Known {
    Usable(Program),
    Refused(Reject),
}

/// The schemas of one source, compiled for its paths.
#[derive(Debug)]
pub(super) struct Schemas {
    paths: Paths,
    known: HashMap<SchemaId, Known>,
    /// The last id that the registry does not have. Not kept for good: it may be registered later, and garbage brings
    /// any number of ids.
    missing: Option<SchemaId>,
}

impl Schemas {
    pub(super) fn new(paths: Paths) -> Schemas {
        Schemas {
            paths,
            known: HashMap::new(),
            missing: None,
        }
    }

    /// The id of a payload's schema, if the payload has one that is not known yet.
    pub(super) fn needed(&self, payload: &[u8]) -> Option<SchemaId> {
        let (id, _) = split(payload)?;
        (!self.known.contains_key(&id)).then_some(id)
    }

    /// Takes what the registry says. Returns the slots that the schema has no field for.
    pub(super) fn learn(&mut self, id: SchemaId, learned: Learned<'_>) -> Vec<usize> {
        let known = match learned {
            Learned::Missing => {
                self.missing = Some(id);
                return Vec::new();
            }
            Learned::Unusable(why) => Known::Refused(Reject::UnusableSchema { id, why }),
            Learned::Schema(schema) => match Program::compile(&schema.root, &schema.others, &self.paths) {
                Ok(program) => {
                    let absent = program.absent(&self.paths);
                    self.known.insert(id, Known::Usable(program));
                    return absent;
                }
                Err(why) => Known::Refused(Reject::UnusableSchema { id, why }),
            },
        };
        self.known.insert(id, known);
        Vec::new()
    }

    /// Finds the values of everything that is asked for; all of them end in `scratch`.
    pub(super) fn scan(
        &self,
        payload: &[u8],
        spans: &mut [Span],
        scratch: &mut String,
    ) -> Result<(), Reject> {
        let Some((id, body)) = split(payload) else {
            return Err(Reject::NoSchemaId);
        };
        match self.known.get(&id) {
            Some(Known::Usable(program)) => {
                walk::walk(program, &self.paths, body, spans, scratch).map_err(|wrong| wrong.in_schema(id))
            }
            Some(Known::Refused(reject)) => Err(*reject),
            None => Err(Reject::UnknownSchema { id }),
        }
    }
}

/// Whether a payload is in Confluent's wire format; JSON never begins with a byte 0.
pub(super) fn is_framed(payload: &[u8]) -> bool {
    payload.first() == Some(&0)
}

/// The schema id and the body.
fn split(payload: &[u8]) -> Option<(SchemaId, &[u8])> {
    let (header, body) = payload.split_first_chunk::<HEADER_BYTES>()?;
    let [0, a, b, c, d] = *header else {
        return None;
    };
    Some((SchemaId(u32::from_be_bytes([a, b, c, d])), body))
}

#[cfg(test)]
mod tests;

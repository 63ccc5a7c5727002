//! The catalogue: what the business declares. Pure: text in, a checked [`Catalog`] or [`Diagnostics`] out.
//!
//! * [`model`]: the checked catalogue; invalid states do not construct.
//! * [`severity`]: how bad an alert is, and the ladder of that.
//! * [`path`]: where a field's value stands in a record.
//! * [`expr`]: CEL expressions for filters and rules, with types checked at load.
//! * [`entries`]: names in the entries of manual metrics.
//! * [`attribute`]: what rules and titles may ask of a node or a link.
//! * `yaml`: a text as a tree with the place of everything, and types read from that tree; the settings use it too.
//! * `file`: the YAML as types; [`load`]: from there to the model, with the place of every mistake.
//! * [`template`]: decompositions with parameters, put to work by `use:`.
//! * [`schema`]: what a file may say, as JSON Schema for editors.
//! * [`lint`]: what is right and not SMART.

mod agg;
pub mod attribute;
mod calendar;
pub mod diagnostic;
pub mod entries;
pub mod expr;
pub(crate) mod file;
pub mod lint;
pub mod load;
pub mod model;
mod path;
pub mod schema;
pub mod severity;
mod target;
pub mod template;
pub(crate) mod yaml;

pub use agg::{Agg, Quantile, UnknownAgg};
pub use diagnostic::{Diagnostic, Diagnostics, Place};
pub use model::*;
pub use path::{FieldPath, RecordPart};
pub use severity::{Grade, Ladder, Severity};
pub use target::Band;

//! The catalogue: what the business declares. Pure: text in, a checked [`Catalog`] or [`Diagnostics`] out.
//!
//! * [`model`]: the checked catalogue; invalid states do not construct.
//! * [`expr`]: CEL expressions for filters and rules, with types checked at load.
//! * [`load`]: YAML to model, with the place of every mistake.

pub mod diagnostic;
pub mod expr;
pub mod load;
pub mod model;

pub use diagnostic::{Diagnostic, Diagnostics, Place};
pub use model::*;

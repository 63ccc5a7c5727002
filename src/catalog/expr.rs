//! CEL expressions, checked against declared variables at load and evaluated without allocation where they are
//! comparisons and conjunctions.

/// Type of a variable or value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Type {
    /// Not known before run time.
    Any,
    /// Text.
    Text,
    /// Number.
    Number,
    /// True or false.
    Bool,
}

/// A variable that an expression may use: its full name (`amount`, `kpi.pace`) and type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Variable {
    /// Full name.
    pub name: String,
    /// Type.
    pub kind: Type,
}

/// A value of a variable.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value<'a> {
    /// Missing or null: every comparison with it is "no answer".
    Missing,
    /// Text.
    Text(&'a str),
    /// Number.
    Number(f64),
    /// True or false.
    Bool(bool),
}

/// A checked expression.
#[derive(Clone, Debug)]
pub struct Expr {
    source: String,
}

impl Expr {
    /// The text as it was written.
    pub fn source(&self) -> &str {
        &self.source
    }
}

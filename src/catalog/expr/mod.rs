//! CEL expressions: filters, derived metrics and rules. Parsed and type-checked once at load.
//!
//! What filters and rules are mostly made of (comparisons, conjunctions, arithmetic, text tests) is compiled to a
//! small tree that is evaluated without allocation ([`tree`]); anything else that CEL offers goes to the interpreter.
//! Both give the same answers, by property test.
//!
//! A missing value is "no answer": a comparison with it is neither true nor false, `&&` and `||` follow Kleene's
//! three-valued logic, and a filter that has no answer does not count the event. `x == null` asks for it.

mod check;
mod interpret;
mod tree;

use cel::Program;
use tree::Tree;

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

impl Type {
    /// The type as a noun, for messages.
    pub fn noun(self) -> &'static str {
        match self {
            Type::Any => "a value",
            Type::Text => "a text",
            Type::Number => "a number",
            Type::Bool => "true or false",
        }
    }
}

/// A variable that an expression may use: its full name (`amount`, `kpi.pace`) and type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Variable {
    /// Full name.
    pub name: String,
    /// Type.
    pub kind: Type,
}

impl Variable {
    /// A variable.
    pub fn new(name: impl Into<String>, kind: Type) -> Variable {
        Variable {
            name: name.into(),
            kind,
        }
    }
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

/// A value that an expression gave, owned.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Scalar {
    /// Text.
    Text(String),
    /// Number.
    Number(f64),
    /// True or false.
    Bool(bool),
}

/// A mistake in an expression.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ExprError {
    /// Where in the expression, in characters from its beginning.
    pub offset: usize,
    /// What was found and what to write instead.
    pub message: String,
}

/// A use of a variable whose type was not known, which tells it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Inferred {
    /// Index of the variable.
    pub variable: usize,
    /// Its type.
    pub kind: Type,
}

/// A checked expression.
#[derive(Clone, Debug)]
pub struct Expr {
    source: String,
    kind: Type,
    uses: Vec<usize>,
    inferred: Vec<Inferred>,
    code: Code,
}

#[derive(Clone, Debug)]
enum Code {
    Tree(Tree),
    Interpreted(std::sync::Arc<interpret::Interpreted>),
}

impl Expr {
    /// Parses and checks an expression over `variables`; they are told apart by index afterwards.
    ///
    /// # Errors
    /// [`ExprError`] for what does not parse, for an unknown variable and for types that do not go together.
    pub fn compile(source: &str, variables: &[Variable]) -> Result<Expr, ExprError> {
        let program = Program::compile(source).map_err(|errors| parse_error(source, &errors))?;
        let mut checker = check::Checker::new(program.source_info(), variables);
        let checked = checker.check(program.expression())?;
        let (mut uses, inferred) = checker.finish();
        let code = match checked.tree {
            Some(tree) => Code::Tree(tree),
            None => {
                // Macros bind names of their own, which the checker does not follow: every variable that is named counts.
                let named = program.references();
                let root = |name: &str| {
                    name.split_once('.')
                        .map_or(name.to_owned(), |(root, _)| root.to_owned())
                };
                uses = (0..variables.len())
                    .filter(|&i| named.has_variable(root(&variables[i].name)))
                    .collect();
                Code::Interpreted(std::sync::Arc::new(interpret::Interpreted::new(
                    source, variables,
                )?))
            }
        };
        Ok(Expr {
            source: source.to_owned(),
            kind: checked.kind,
            uses,
            inferred,
            code,
        })
    }

    /// The text as it was written.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Type of its value.
    pub fn kind(&self) -> Type {
        self.kind
    }

    /// Indices of the variables that it uses, each once, ascending.
    pub fn uses(&self) -> &[usize] {
        &self.uses
    }

    /// What its uses tell of variables of unknown type.
    pub fn inferred(&self) -> &[Inferred] {
        &self.inferred
    }

    /// Whether it only adds, subtracts and scales its variables: a sum of totals is a total, a quotient is not.
    pub fn is_linear(&self) -> bool {
        matches!(&self.code, Code::Tree(tree) if tree.is_linear())
    }

    /// Variables that it adds or subtracts although their units differ, in pairs by index; `unit` is that of a variable,
    /// `None` where it is not known. What goes to the interpreter is not looked into.
    pub fn mixed_units<'u>(&self, unit: impl Fn(usize) -> Option<&'u str>) -> Vec<(usize, usize)> {
        let mut mixed = Vec::new();
        if let Code::Tree(tree) = &self.code {
            tree.unit(&unit, &mut mixed);
        }
        mixed
    }

    /// The value, given the value of every variable by index.
    fn with_value<'v, R>(
        &'v self,
        variable: &dyn Fn(usize) -> Value<'v>,
        read: impl FnOnce(Value<'_>) -> R,
    ) -> R {
        match &self.code {
            Code::Tree(tree) => read(tree.value(variable)),
            Code::Interpreted(program) => program.value(variable, &self.uses, read),
        }
    }

    /// Its value, of any type; `None` for "no value".
    pub(crate) fn scalar<'v>(&'v self, variable: impl Fn(usize) -> Value<'v>) -> Option<Scalar> {
        self.with_value(&variable, |value| match value {
            Value::Missing => None,
            Value::Text(text) => Some(Scalar::Text(text.to_owned())),
            Value::Number(number) => number.is_finite().then_some(Scalar::Number(number)),
            Value::Bool(truth) => Some(Scalar::Bool(truth)),
        })
    }

    /// Its truth; `None` for "no answer".
    #[inline]
    pub fn test<'v>(&'v self, variable: impl Fn(usize) -> Value<'v>) -> Option<bool> {
        // What most filters are: a field that is a text.
        if let Code::Tree(Tree::Compare(tree::Comparison::Equal, sides)) = &self.code
            && let (Tree::Variable(index), Tree::Text(text)) = &**sides
        {
            return match variable(*index) {
                Value::Missing => None,
                Value::Text(value) => Some(*value == **text),
                _ => Some(false),
            };
        }
        self.with_value(&variable, |value| match value {
            Value::Bool(truth) => Some(truth),
            _ => None,
        })
    }

    /// Its truth; `None` for "no answer", since something that it names has no value.
    ///
    /// # Errors
    /// Why it cannot be evaluated, although all that it names has a value. Only what [`Expr::may_fail`] can.
    pub fn attempt<'v>(&'v self, variable: impl Fn(usize) -> Value<'v>) -> Result<Option<bool>, String> {
        match &self.code {
            Code::Tree(_) => Ok(self.test(variable)),
            Code::Interpreted(program) => program.attempt(&variable, &self.uses),
        }
    }

    /// The number that it compares first, given the value of every variable by index: of `pace < 0.9 && burn > 2.0` the
    /// pace. `None` where that has no value. Of what goes to the interpreter it is the first variable that is a number.
    pub fn compared<'v>(&'v self, variable: impl Fn(usize) -> Value<'v>) -> Option<f64> {
        let mut sides = Vec::new();
        let first = match &self.code {
            Code::Tree(tree) => {
                tree.compared(&mut sides);
                let mut values = sides.iter().map(|side| side.value(&variable));
                values.find(|value| matches!(value, Value::Number(_) | Value::Missing))
            }
            Code::Interpreted(_) => {
                let mut values = self.uses.iter().map(|index| variable(*index));
                values.find(|value| matches!(value, Value::Number(_)))
            }
        };
        match first {
            Some(Value::Number(number)) => Some(number),
            _ => None,
        }
    }

    /// Whether it may fail for some values: what is checked in whole when it is read cannot.
    pub fn may_fail(&self) -> bool {
        matches!(self.code, Code::Interpreted(_))
    }

    /// Its number; `None` for "no value".
    pub fn number<'v>(&'v self, variable: impl Fn(usize) -> Value<'v>) -> Option<f64> {
        self.with_value(&variable, |value| match value {
            Value::Number(number) if number.is_finite() => Some(number),
            _ => None,
        })
    }
}

fn parse_error(source: &str, errors: &cel::ParseErrors) -> ExprError {
    let first = errors.errors.first();
    let offset = first.map_or(0, |error| {
        let (line, column) = error.pos;
        let before: usize = source
            .split_inclusive('\n')
            .take((line.max(1) - 1).unsigned_abs())
            .map(|l| l.chars().count())
            .sum();
        before + (column.max(1) - 1).unsigned_abs()
    });
    let message = first.map_or_else(String::new, |error| {
        error.msg.lines().next().unwrap_or_default().to_owned()
    });
    let hint = if source.contains('=') && !source.contains("==") && !source.contains(['<', '>', '!']) {
        "; equality is written =="
    } else {
        ""
    };
    ExprError {
        offset,
        message: format!("this is no CEL expression: {message}{hint}"),
    }
}

#[cfg(test)]
mod tests;

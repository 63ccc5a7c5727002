//! What the tree cannot express goes to the CEL interpreter, which allocates.

use std::collections::HashMap;

use cel::objects::Key;
use cel::{Context, Program, Value as Cel};

use super::{ExprError, Value, Variable};

#[derive(Debug)]
pub(super) struct Interpreted {
    program: Program,
    names: Vec<String>,
    /// Variables that are written out: of `node.value` not all of `node`.
    written: Vec<usize>,
}

impl Interpreted {
    pub(super) fn new(source: &str, variables: &[Variable]) -> Result<Interpreted, ExprError> {
        let program =
            Program::compile(&with_doubles(source)).map_err(|errors| super::parse_error(source, &errors))?;
        Ok(Interpreted {
            program,
            names: variables.iter().map(|variable| variable.name.clone()).collect(),
            written: (0..variables.len())
                .filter(|&index| is_written(source, &variables[index].name))
                .collect(),
        })
    }

    pub(super) fn value<'v, R>(
        &self,
        variable: &dyn Fn(usize) -> Value<'v>,
        uses: &[usize],
        read: impl FnOnce(Value<'_>) -> R,
    ) -> R {
        // An error is "no answer": a comparison with null, a division of nothing.
        match self.run(variable, uses) {
            Ok(Cel::Bool(truth)) => read(Value::Bool(truth)),
            Ok(Cel::Float(number)) => read(Value::Number(number)),
            Ok(Cel::Int(number)) => read(Value::Number(number as f64)),
            Ok(Cel::UInt(number)) => read(Value::Number(number as f64)),
            Ok(Cel::String(text)) => read(Value::Text(&text)),
            Ok(_) | Err(_) => read(Value::Missing),
        }
    }

    /// Its truth; `None` for "no answer", since something that it names has no value.
    ///
    /// # Errors
    /// What went wrong, although all that it names has a value.
    pub(super) fn attempt<'v>(
        &self,
        variable: &dyn Fn(usize) -> Value<'v>,
        uses: &[usize],
    ) -> Result<Option<bool>, String> {
        let failed = match self.run(variable, uses) {
            Ok(Cel::Bool(truth)) => return Ok(Some(truth)),
            Ok(Cel::Null) => return Ok(None),
            Ok(other) => format!("it gives {other:?}, which is neither true nor false"),
            Err(error) => error.to_string(),
        };
        let is_missing = |index: &usize| matches!(variable(*index), Value::Missing);
        match self.written.iter().any(is_missing) {
            true => Ok(None),
            false => Err(failed),
        }
    }

    fn run<'v>(
        &self,
        variable: &dyn Fn(usize) -> Value<'v>,
        uses: &[usize],
    ) -> Result<Cel, cel::ExecutionError> {
        let mut context = Context::default();
        let mut groups: HashMap<&str, HashMap<Key, Cel>> = HashMap::new();
        for &index in uses {
            let value = cel_of(variable(index));
            match self.names[index].split_once('.') {
                Some((group, name)) => {
                    groups
                        .entry(group)
                        .or_default()
                        .insert(name.to_owned().into(), value);
                }
                None => context.add_variable_from_value(self.names[index].clone(), value),
            }
        }
        for (group, values) in groups {
            context.add_variable_from_value(group.to_owned(), values);
        }
        self.program.execute(&context)
    }
}

/// Whether a source names a variable, and not one whose name only begins or ends so.
fn is_written(source: &str, name: &str) -> bool {
    let goes_on = |char: char| char.is_alphanumeric() || char == '_';
    source.match_indices(name).any(|(at, _)| {
        let before = source[..at].chars().next_back();
        let after = source[at + name.len()..].chars().next();
        !before.is_some_and(|char| goes_on(char) || char == '.') && !after.is_some_and(goes_on)
    })
}

fn cel_of(value: Value<'_>) -> Cel {
    match value {
        Value::Missing => Cel::Null,
        Value::Text(text) => text.into(),
        Value::Number(number) => number.into(),
        Value::Bool(truth) => truth.into(),
    }
}

/// Every variable is a double, and CEL does not mix doubles with whole numbers in arithmetic: `2` becomes `2.0`.
fn with_doubles(source: &str) -> String {
    let mut out = String::with_capacity(source.len() + 8);
    let mut chars = source.chars().peekable();
    let mut quote: Option<char> = None;
    let mut in_word = false;
    while let Some(c) = chars.next() {
        out.push(c);
        match quote {
            Some(_) if c == '\\' => out.extend(chars.next()),
            Some(open) if c == open => quote = None,
            Some(_) => {}
            None if c == '"' || c == '\'' => quote = Some(c),
            None if c.is_ascii_digit() && !in_word => {
                let mut whole = true;
                while let Some(&next) = chars.peek() {
                    if !(next.is_ascii_alphanumeric() || next == '.') {
                        break;
                    }
                    whole &= next.is_ascii_digit();
                    out.push(next);
                    chars.next();
                }
                if whole {
                    out.push_str(".0");
                }
            }
            None => in_word = c.is_alphanumeric() || c == '_' || c == '.',
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::with_doubles;

    #[test]
    fn whole_numbers_become_doubles_and_nothing_else_changes() {
        for (source, expected) in [
            ("a > 2 && b1 < 3.5", "a > 2.0 && b1 < 3.5"),
            ("'take 2' + \"a\\\"3\"", "'take 2' + \"a\\\"3\""),
            ("x in [1, 20]", "x in [1.0, 20.0]"),
            ("1e3 + 0x1f", "1e3 + 0x1f"),
        ] {
            assert_eq!(with_doubles(source), expected);
        }
    }
}

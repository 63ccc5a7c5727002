//! What the tree cannot express goes to the CEL interpreter, which allocates.
//!
//! CEL finds null unequal to everything else, and a missing value is to be "no answer": it is not declared to the
//! interpreter, so that what is asked of it is an error, which `&&` and `||` take as Kleene's logic does. Whether a value
//! is there (`x == null`, `has(a.x)`) is asked of a variable of its own.

use std::collections::HashMap;

use cel::common::ast::{CallExpr, EntryExpr, Expr as Ast, LiteralValue, operators};
use cel::objects::Key;
use cel::{Context, IdedExpr, Program, Value as Cel};

use super::check::dotted;
use super::{ExprError, Value, Variable};

/// Begins the name of the variable that says whether another is missing; no name in CEL has it.
const IS_MISSING: &str = "@missing ";
/// Begins the name of a variable, so that one that is missing is not taken for something of CEL's: `type` is a type to it.
const VARIABLE: &str = "@";

#[derive(Debug)]
pub(super) struct Interpreted {
    expression: IdedExpr,
    names: Vec<String>,
    /// Variables that are written out: of `node.value` not all of `node`.
    written: Vec<usize>,
}

impl Interpreted {
    pub(super) fn new(source: &str, variables: &[Variable]) -> Result<Interpreted, ExprError> {
        let program =
            Program::compile(&with_doubles(source)).map_err(|errors| super::parse_error(source, &errors))?;
        let names: Vec<String> = variables.iter().map(|variable| variable.name.clone()).collect();
        let mut expression = program.expression().clone();
        name_anew(&mut expression, &names);
        Ok(Interpreted {
            expression,
            written: (0..names.len())
                .filter(|&index| is_written(source, &names[index]))
                .collect(),
            names,
        })
    }

    pub(super) fn value<'v, R>(
        &self,
        variable: &dyn Fn(usize) -> Value<'v>,
        uses: &[usize],
        read: impl FnOnce(Value<'_>) -> R,
    ) -> R {
        // An error is "no answer": what is asked of a missing value, a division of nothing.
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
            // Of names as they are written, and not as they stand in the context.
            Err(error) => error.to_string().replace(VARIABLE, ""),
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
            let name = &self.names[index];
            context.add_variable_from_value(format!("{IS_MISSING}{name}"), value.is_none());
            match (name.split_once('.'), value) {
                (Some((group, name)), value) => {
                    let group = groups.entry(group).or_default();
                    group.extend(value.map(|value| (name.to_owned().into(), value)));
                }
                (None, Some(value)) => context.add_variable_from_value(format!("{VARIABLE}{name}"), value),
                (None, None) => {}
            }
        }
        for (group, values) in groups {
            context.add_variable_from_value(format!("{VARIABLE}{group}"), values);
        }
        Cel::resolve(&self.expression, &context)
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

/// The part `a` of `a.x`, and all of a name without a dot.
fn root(name: &str) -> &str {
    name.split_once('.').map_or(name, |(root, _)| root)
}

/// Gives variables the names under which the context has them, and puts the variable that says whether a value is missing
/// in the place of every comparison of one with null, and of `has`.
fn name_anew(part: &mut IdedExpr, names: &[String]) {
    let known = |part: &IdedExpr| dotted(part).filter(|name| names.contains(name));
    let is_null = |part: &IdedExpr| matches!(part.expr, Ast::Literal(LiteralValue::Null));
    let asked = match &part.expr {
        Ast::Call(call) if [operators::EQUALS, operators::NOT_EQUALS].contains(&call.func_name.as_str()) => {
            match call.args.as_slice() {
                [one, null] | [null, one] if is_null(null) => {
                    known(one).map(|name| (name, call.func_name == operators::EQUALS))
                }
                _ => None,
            }
        }
        Ast::Select(select) if select.test => known(part).map(|name| (name, false)),
        _ => None,
    };
    if let Some((name, whether_missing)) = asked {
        let is_missing = Ast::Ident(format!("{IS_MISSING}{name}"));
        part.expr = if whether_missing {
            is_missing
        } else {
            Ast::Call(CallExpr {
                func_name: operators::LOGICAL_NOT.to_owned(),
                target: None,
                args: vec![IdedExpr {
                    id: part.id,
                    expr: is_missing,
                }],
            })
        };
        return;
    }
    let each = |part: &mut IdedExpr| name_anew(part, names);
    match &mut part.expr {
        Ast::Ident(name) if names.iter().any(|known| root(known) == name) => {
            name.insert_str(0, VARIABLE);
        }
        Ast::Call(call) => {
            let parts = call.target.as_deref_mut().into_iter().chain(&mut call.args);
            parts.for_each(each);
        }
        Ast::List(list) => list.elements.iter_mut().for_each(each),
        Ast::Select(select) => each(&mut select.operand),
        Ast::Comprehension(all) => {
            [&mut all.iter_range, &mut all.accu_init]
                .into_iter()
                .for_each(each);
            // A name that the macro binds hides the variable of that name.
            let is_bound = |name: &str| name == all.iter_var || Some(name) == all.iter_var2.as_deref();
            let free: Vec<String> = names
                .iter()
                .filter(|name| !is_bound(root(name)))
                .cloned()
                .collect();
            for part in [&mut all.loop_cond, &mut all.loop_step, &mut all.result] {
                name_anew(part, &free);
            }
        }
        Ast::Map(map) => {
            for entry in &mut map.entries {
                if let EntryExpr::MapEntry(entry) = &mut entry.expr {
                    each(&mut entry.key);
                    each(&mut entry.value);
                }
            }
        }
        Ast::Unspecified | Ast::Ident(_) | Ast::Literal(_) | Ast::Struct(_) => {}
    }
}

/// `None`: missing.
fn cel_of(value: Value<'_>) -> Option<Cel> {
    match value {
        Value::Missing => None,
        Value::Text(text) => Some(text.into()),
        Value::Number(number) => Some(number.into()),
        Value::Bool(truth) => Some(truth.into()),
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

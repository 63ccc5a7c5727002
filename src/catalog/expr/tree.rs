//! The part of CEL that is evaluated on the fold path: a tree without allocation.

use super::Value;

/// Comparison operators.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessEqual,
    Greater,
    GreaterEqual,
}

/// Arithmetic operators, on `f64`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Arithmetic {
    Add,
    Subtract,
    Multiply,
    Divide,
}

/// Tests of one text against another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TextTest {
    StartsWith,
    EndsWith,
    Contains,
}

#[derive(Clone, Debug)]
pub(super) enum Tree {
    Null,
    Text(Box<str>),
    Number(f64),
    Bool(bool),
    Variable(usize),
    Compare(Comparison, Box<(Tree, Tree)>),
    IsNull(Box<Tree>),
    And(Box<(Tree, Tree)>),
    Or(Box<(Tree, Tree)>),
    Not(Box<Tree>),
    In(Box<Tree>, Vec<Tree>),
    Arithmetic(Arithmetic, Box<(Tree, Tree)>),
    Negate(Box<Tree>),
    If(Box<(Tree, Tree, Tree)>),
    TextTest(TextTest, Box<(Tree, Tree)>),
    Size(Box<Tree>),
}

impl Tree {
    /// Variables added, subtracted, and multiplied or divided by numbers.
    pub(super) fn is_linear(&self) -> bool {
        match self {
            Tree::Variable(_) => true,
            Tree::Negate(inner) => inner.is_linear(),
            Tree::Arithmetic(operator, sides) => match (operator, &sides.0, &sides.1) {
                (Arithmetic::Multiply | Arithmetic::Divide, inner, Tree::Number(_))
                | (Arithmetic::Multiply, Tree::Number(_), inner) => inner.is_linear(),
                (Arithmetic::Add | Arithmetic::Subtract, a, b) => a.is_linear() && b.is_linear(),
                _ => false,
            },
            _ => false,
        }
    }

    /// The unit of its value and a variable that has it, by the unit of every variable; `None`: not known, which is also
    /// what a product, a quotient and a variable times a number have: the number may be a rate of exchange. Pairs of
    /// variables that are added or subtracted and whose units differ go to `mixed`.
    pub(super) fn unit<'u>(
        &self,
        of: &dyn Fn(usize) -> Option<&'u str>,
        mixed: &mut Vec<(usize, usize)>,
    ) -> Option<(&'u str, usize)> {
        match self {
            Tree::Variable(index) => of(*index).map(|unit| (unit, *index)),
            Tree::Negate(inner) => inner.unit(of, mixed),
            Tree::Arithmetic(operator, sides) => {
                let (one, two) = (sides.0.unit(of, mixed), sides.1.unit(of, mixed));
                if matches!(operator, Arithmetic::Multiply | Arithmetic::Divide) {
                    return None;
                }
                match (one, two) {
                    (Some((unit, first)), Some((other, second))) if unit != other => {
                        mixed.push((first, second));
                        None
                    }
                    (one, two) => one.or(two),
                }
            }
            Tree::If(parts) => {
                parts.0.unit(of, mixed);
                let (one, two) = (parts.1.unit(of, mixed), parts.2.unit(of, mixed));
                one.filter(|(unit, _)| two.is_none_or(|(other, _)| *unit == other))
                    .or(two.filter(|_| one.is_none()))
            }
            Tree::Compare(_, sides) | Tree::And(sides) | Tree::Or(sides) | Tree::TextTest(_, sides) => {
                sides.0.unit(of, mixed);
                sides.1.unit(of, mixed);
                None
            }
            Tree::IsNull(inner) | Tree::Not(inner) | Tree::Size(inner) | Tree::In(inner, _) => {
                inner.unit(of, mixed);
                None
            }
            Tree::Null | Tree::Text(_) | Tree::Number(_) | Tree::Bool(_) => None,
        }
    }

    /// What its comparisons compare with something, from left to right: of each the side that is no constant.
    pub(super) fn compared<'a>(&'a self, sides: &mut Vec<&'a Tree>) {
        match self {
            Tree::Compare(_, both) => match &**both {
                (Tree::Number(_) | Tree::Text(_) | Tree::Bool(_) | Tree::Null, side) | (side, _) => {
                    sides.push(side)
                }
            },
            Tree::And(both) | Tree::Or(both) => {
                both.0.compared(sides);
                both.1.compared(sides);
            }
            Tree::Not(inner) => inner.compared(sides),
            Tree::If(parts) => [&parts.0, &parts.1, &parts.2]
                .into_iter()
                .for_each(|part| part.compared(sides)),
            _ => {}
        }
    }

    pub(super) fn value<'a>(&'a self, variable: &dyn Fn(usize) -> Value<'a>) -> Value<'a> {
        match self {
            Tree::Null => Value::Missing,
            Tree::Text(text) => Value::Text(text),
            Tree::Number(number) => Value::Number(*number),
            Tree::Bool(truth) => Value::Bool(*truth),
            Tree::Variable(index) => variable(*index),
            Tree::Compare(operator, sides) => answer(compare(
                *operator,
                sides.0.value(variable),
                sides.1.value(variable),
            )),
            Tree::IsNull(inner) => Value::Bool(inner.value(variable) == Value::Missing),
            Tree::And(sides) => match truth(sides.0.value(variable)) {
                Some(false) => Value::Bool(false),
                Some(true) => answer(truth(sides.1.value(variable))),
                None => match truth(sides.1.value(variable)) {
                    Some(false) => Value::Bool(false),
                    _ => Value::Missing,
                },
            },
            Tree::Or(sides) => match truth(sides.0.value(variable)) {
                Some(true) => Value::Bool(true),
                Some(false) => answer(truth(sides.1.value(variable))),
                None => match truth(sides.1.value(variable)) {
                    Some(true) => Value::Bool(true),
                    _ => Value::Missing,
                },
            },
            Tree::Not(inner) => answer(truth(inner.value(variable)).map(|truth| !truth)),
            Tree::In(inner, list) => {
                let value = inner.value(variable);
                let any = list
                    .iter()
                    .any(|item| compare(Comparison::Equal, value, item.value(variable)) == Some(true));
                if value == Value::Missing {
                    Value::Missing
                } else {
                    Value::Bool(any)
                }
            }
            Tree::Arithmetic(operator, sides) => match (sides.0.value(variable), sides.1.value(variable)) {
                (Value::Number(a), Value::Number(b)) => Value::Number(match operator {
                    Arithmetic::Add => a + b,
                    Arithmetic::Subtract => a - b,
                    Arithmetic::Multiply => a * b,
                    Arithmetic::Divide => a / b,
                }),
                _ => Value::Missing,
            },
            Tree::Negate(inner) => match inner.value(variable) {
                Value::Number(number) => Value::Number(-number),
                _ => Value::Missing,
            },
            Tree::If(parts) => match truth(parts.0.value(variable)) {
                Some(true) => parts.1.value(variable),
                Some(false) => parts.2.value(variable),
                None => Value::Missing,
            },
            Tree::TextTest(test, sides) => match (sides.0.value(variable), sides.1.value(variable)) {
                (Value::Text(text), Value::Text(part)) => Value::Bool(match test {
                    TextTest::StartsWith => text.starts_with(part),
                    TextTest::EndsWith => text.ends_with(part),
                    TextTest::Contains => text.contains(part),
                }),
                _ => Value::Missing,
            },
            Tree::Size(inner) => match inner.value(variable) {
                Value::Text(text) => Value::Number(text.chars().count() as f64),
                _ => Value::Missing,
            },
        }
    }
}

fn truth(value: Value<'_>) -> Option<bool> {
    match value {
        Value::Bool(truth) => Some(truth),
        _ => None,
    }
}

fn answer(truth: Option<bool>) -> Value<'static> {
    truth.map_or(Value::Missing, Value::Bool)
}

/// `None` where a side is missing. Values of different types are unequal and have no order.
fn compare(operator: Comparison, a: Value<'_>, b: Value<'_>) -> Option<bool> {
    use std::cmp::Ordering;
    let ordering = match (a, b) {
        (Value::Missing, _) | (_, Value::Missing) => return None,
        // Texts of different lengths are told apart at once.
        (Value::Text(a), Value::Text(b)) if operator == Comparison::Equal => return Some(a == b),
        (Value::Number(a), Value::Number(b)) => a.partial_cmp(&b),
        (Value::Text(a), Value::Text(b)) => Some(a.cmp(b)),
        (Value::Bool(a), Value::Bool(b)) => Some(a.cmp(&b)),
        _ => {
            return match operator {
                Comparison::Equal => Some(false),
                Comparison::NotEqual => Some(true),
                _ => None,
            };
        }
    };
    Some(match operator {
        Comparison::Equal => ordering == Some(Ordering::Equal),
        Comparison::NotEqual => ordering != Some(Ordering::Equal),
        Comparison::Less => ordering == Some(Ordering::Less),
        Comparison::LessEqual => matches!(ordering, Some(Ordering::Less | Ordering::Equal)),
        Comparison::Greater => ordering == Some(Ordering::Greater),
        Comparison::GreaterEqual => matches!(ordering, Some(Ordering::Greater | Ordering::Equal)),
    })
}

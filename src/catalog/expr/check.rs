//! Names and types of an expression, checked while it is compiled.

use std::collections::BTreeSet;

use cel::IdedExpr;
use cel::common::ast::{CallExpr, Expr as Ast, LiteralValue, SourceInfo, operators};

use super::tree::{Arithmetic, Comparison, TextTest, Tree};
use super::{ExprError, Inferred, Type, Variable};
use crate::catalog::diagnostic::nearest;

/// Functions of CEL that the interpreter knows, those of the tree among them.
const FUNCTIONS: [&str; 12] = [
    "size",
    "contains",
    "startsWith",
    "endsWith",
    "string",
    "int",
    "uint",
    "double",
    "bool",
    "has",
    "max",
    "min",
];

/// A checked part: its type, and its tree where the tree can express it.
pub(super) struct Checked {
    pub(super) kind: Type,
    pub(super) tree: Option<Tree>,
}

pub(super) struct Checker<'a> {
    places: &'a SourceInfo,
    variables: &'a [Variable],
    uses: BTreeSet<usize>,
    inferred: Vec<Inferred>,
}

impl<'a> Checker<'a> {
    pub(super) fn new(places: &'a SourceInfo, variables: &'a [Variable]) -> Checker<'a> {
        Checker {
            places,
            variables,
            uses: BTreeSet::new(),
            inferred: Vec::new(),
        }
    }

    pub(super) fn finish(self) -> (Vec<usize>, Vec<Inferred>) {
        (self.uses.into_iter().collect(), self.inferred)
    }

    pub(super) fn check(&mut self, part: &IdedExpr) -> Result<Checked, ExprError> {
        match &part.expr {
            Ast::Literal(literal) => Ok(literal_of(literal)),
            Ast::Ident(name) => self.variable(name, part),
            Ast::Select(select) => match dotted(part) {
                Some(name) if !select.test => self.variable(&name, part),
                Some(name) => {
                    // has(kpi.pace)
                    let inner = self.variable(&name, part)?;
                    let tree = inner
                        .tree
                        .map(|tree| Tree::Not(Box::new(Tree::IsNull(Box::new(tree)))));
                    Ok(Checked {
                        kind: Type::Bool,
                        tree,
                    })
                }
                None => self.anything(&select.operand),
            },
            Ast::Call(call) => self.call(call, part),
            Ast::List(list) => {
                for element in &list.elements {
                    self.check(element)?;
                }
                Ok(Checked {
                    kind: Type::Any,
                    tree: None,
                })
            }
            // Macros and the like: the interpreter's, with names it binds itself.
            _ => Ok(Checked {
                kind: Type::Any,
                tree: None,
            }),
        }
    }

    fn anything(&mut self, part: &IdedExpr) -> Result<Checked, ExprError> {
        self.check(part)?;
        Ok(Checked {
            kind: Type::Any,
            tree: None,
        })
    }

    fn variable(&mut self, name: &str, part: &IdedExpr) -> Result<Checked, ExprError> {
        let Some(index) = self.variables.iter().position(|variable| variable.name == name) else {
            let names = self.variables.iter().map(|variable| variable.name.as_str());
            let with_dash = |known: &&str| known.split('-').next() == Some(name) && known.contains('-');
            let hint = match nearest(name, names.clone()) {
                _ if let Some(dashed) = names.clone().find(with_dash) => format!(
                    "; '-' is minus in an expression: rename '{dashed}' to {}",
                    dashed.replace('-', "_")
                ),
                Some(near) => format!("; did you mean '{near}'?"),
                None => format!("; known are {}", names.collect::<Vec<_>>().join(", ")),
            };
            return Err(self.error(leftmost(part), format!("'{name}' is not known here{hint}")));
        };
        self.uses.insert(index);
        Ok(Checked {
            kind: self.variables[index].kind,
            tree: Some(Tree::Variable(index)),
        })
    }

    fn call(&mut self, call: &CallExpr, part: &IdedExpr) -> Result<Checked, ExprError> {
        let arguments: Vec<&IdedExpr> = call.target.as_deref().into_iter().chain(&call.args).collect();
        match (call.func_name.as_str(), arguments.as_slice()) {
            (operators::LOGICAL_AND, [a, b]) => self.logical(a, b, |sides| Tree::And(Box::new(sides))),
            (operators::LOGICAL_OR, [a, b]) => self.logical(a, b, |sides| Tree::Or(Box::new(sides))),
            (operators::LOGICAL_NOT, [a]) => {
                let inner = self.expect(a, Type::Bool, "! negates")?;
                Ok(Checked {
                    kind: Type::Bool,
                    tree: inner.map(|tree| Tree::Not(Box::new(tree))),
                })
            }
            (operators::EQUALS, [a, b]) => self.compare(Comparison::Equal, a, b, part),
            (operators::NOT_EQUALS, [a, b]) => self.compare(Comparison::NotEqual, a, b, part),
            (operators::LESS, [a, b]) => self.compare(Comparison::Less, a, b, part),
            (operators::LESS_EQUALS, [a, b]) => self.compare(Comparison::LessEqual, a, b, part),
            (operators::GREATER, [a, b]) => self.compare(Comparison::Greater, a, b, part),
            (operators::GREATER_EQUALS, [a, b]) => self.compare(Comparison::GreaterEqual, a, b, part),
            (operators::ADD, [a, b]) => self.add(a, b),
            (operators::SUBSTRACT, [a, b]) => self.arithmetic(Arithmetic::Subtract, a, b),
            (operators::MULTIPLY, [a, b]) => self.arithmetic(Arithmetic::Multiply, a, b),
            (operators::DIVIDE, [a, b]) => self.arithmetic(Arithmetic::Divide, a, b),
            (operators::NEGATE, [a]) => {
                let inner = self.expect(a, Type::Number, "- negates")?;
                Ok(Checked {
                    kind: Type::Number,
                    tree: inner.map(|tree| Tree::Negate(Box::new(tree))),
                })
            }
            (operators::CONDITIONAL, [condition, yes, no]) => {
                let condition = self.expect(condition, Type::Bool, "? : asks")?;
                let (yes, no) = (self.check(yes)?, self.check(no)?);
                let kind = if yes.kind == no.kind { yes.kind } else { Type::Any };
                let parts = condition.zip(yes.tree).zip(no.tree).map(|((a, b), c)| (a, b, c));
                Ok(Checked {
                    kind,
                    tree: parts.map(|parts| Tree::If(Box::new(parts))),
                })
            }
            (operators::IN, [value, list]) => self.within(value, list, part),
            ("startsWith", [text, start]) => self.text_test(TextTest::StartsWith, text, start),
            ("endsWith", [text, end]) => self.text_test(TextTest::EndsWith, text, end),
            ("contains", [text, inside]) => self.text_test(TextTest::Contains, text, inside),
            ("size", [text]) => {
                let inner = self.check(text)?;
                let tree = inner.tree.filter(|_| inner.kind == Type::Text);
                Ok(Checked {
                    kind: Type::Number,
                    tree: tree.map(|tree| Tree::Size(Box::new(tree))),
                })
            }
            (name, arguments) => {
                self.known_function(name, part)?;
                for argument in arguments {
                    self.check(argument)?;
                }
                Ok(Checked {
                    kind: Type::Any,
                    tree: None,
                })
            }
        }
    }

    /// What the interpreter knows besides; anything else would be an error at every event, which nobody sees.
    fn known_function(&self, name: &str, part: &IdedExpr) -> Result<(), ExprError> {
        if FUNCTIONS.contains(&name) || !name.chars().all(|c| c.is_alphanumeric() || c == '_') {
            return Ok(());
        }
        let hint = match nearest(name, FUNCTIONS) {
            Some(near) => format!("; did you mean '{near}'?"),
            None => format!("; known are {}", FUNCTIONS.join(", ")),
        };
        Err(self.error(part, format!("there is no function '{name}'{hint}")))
    }

    fn logical(
        &mut self,
        a: &IdedExpr,
        b: &IdedExpr,
        tree: impl FnOnce((Tree, Tree)) -> Tree,
    ) -> Result<Checked, ExprError> {
        let (a, b) = (
            self.expect(a, Type::Bool, "&& and || join")?,
            self.expect(b, Type::Bool, "&& and || join")?,
        );
        Ok(Checked {
            kind: Type::Bool,
            tree: a.zip(b).map(tree),
        })
    }

    fn arithmetic(&mut self, operator: Arithmetic, a: &IdedExpr, b: &IdedExpr) -> Result<Checked, ExprError> {
        let (a, b) = (
            self.expect(a, Type::Number, "arithmetic needs")?,
            self.expect(b, Type::Number, "arithmetic needs")?,
        );
        let tree = a.zip(b).map(|sides| Tree::Arithmetic(operator, Box::new(sides)));
        Ok(Checked {
            kind: Type::Number,
            tree,
        })
    }

    /// `+` adds numbers, and joins texts (in the interpreter).
    fn add(&mut self, a: &IdedExpr, b: &IdedExpr) -> Result<Checked, ExprError> {
        let (left, right) = (self.check(a)?, self.check(b)?);
        if left.kind == Type::Text && right.kind == Type::Text {
            return Ok(Checked {
                kind: Type::Text,
                tree: None,
            });
        }
        self.arithmetic(Arithmetic::Add, a, b)
    }

    fn compare(
        &mut self,
        operator: Comparison,
        a: &IdedExpr,
        b: &IdedExpr,
        part: &IdedExpr,
    ) -> Result<Checked, ExprError> {
        let (left, right) = (self.check(a)?, self.check(b)?);
        let equality = matches!(operator, Comparison::Equal | Comparison::NotEqual);
        let null = match (&left.tree, &right.tree) {
            (Some(Tree::Null), _) => Some(right.tree.clone()),
            (_, Some(Tree::Null)) => Some(left.tree.clone()),
            _ => None,
        };
        if let Some(other) = null.filter(|_| equality) {
            let is_null = other.map(|tree| Tree::IsNull(Box::new(tree)));
            let tree = match operator {
                Comparison::Equal => is_null,
                _ => is_null.map(|tree| Tree::Not(Box::new(tree))),
            };
            return Ok(Checked {
                kind: Type::Bool,
                tree,
            });
        }
        self.same_type(a, &left, b, &right, part)?;
        let tree = left
            .tree
            .zip(right.tree)
            .map(|sides| Tree::Compare(operator, Box::new(sides)));
        Ok(Checked {
            kind: Type::Bool,
            tree,
        })
    }

    fn within(&mut self, value: &IdedExpr, list: &IdedExpr, part: &IdedExpr) -> Result<Checked, ExprError> {
        let checked = self.check(value)?;
        let Ast::List(elements) = &list.expr else {
            self.check(list)?;
            return Ok(Checked {
                kind: Type::Bool,
                tree: None,
            });
        };
        let mut trees = Vec::new();
        for element in &elements.elements {
            let item = self.check(element)?;
            self.same_type(value, &checked, element, &item, part)?;
            trees.push(item.tree);
        }
        let list: Option<Vec<Tree>> = trees.into_iter().collect();
        let tree = checked
            .tree
            .zip(list)
            .map(|(value, list)| Tree::In(Box::new(value), list));
        Ok(Checked {
            kind: Type::Bool,
            tree,
        })
    }

    fn text_test(&mut self, test: TextTest, a: &IdedExpr, b: &IdedExpr) -> Result<Checked, ExprError> {
        let (a, b) = (
            self.expect(a, Type::Text, "this asks of")?,
            self.expect(b, Type::Text, "this asks for")?,
        );
        let tree = a.zip(b).map(|sides| Tree::TextTest(test, Box::new(sides)));
        Ok(Checked {
            kind: Type::Bool,
            tree,
        })
    }

    /// A part that must have a type; a variable of unknown type gets it.
    fn expect(&mut self, part: &IdedExpr, wanted: Type, why: &str) -> Result<Option<Tree>, ExprError> {
        let checked = self.check(part)?;
        if checked.kind == Type::Any {
            self.infer(&checked, wanted);
        } else if checked.kind != wanted {
            let message = format!("{why} {}, and this is {}", wanted.noun(), checked.kind.noun());
            return Err(self.error(part, message));
        }
        Ok(checked.tree)
    }

    fn same_type(
        &mut self,
        a: &IdedExpr,
        left: &Checked,
        b: &IdedExpr,
        right: &Checked,
        part: &IdedExpr,
    ) -> Result<(), ExprError> {
        match (left.kind, right.kind) {
            (Type::Any, Type::Any) => {}
            (Type::Any, kind) => self.infer(left, kind),
            (kind, Type::Any) => self.infer(right, kind),
            (one, other) if one == other => {}
            (one, other) => {
                let (a, b) = (name_of(a), name_of(b));
                let message = format!(
                    "{a} is {} and {b} is {}: they can never be equal or in order",
                    one.noun(),
                    other.noun()
                );
                return Err(self.error(part, message));
            }
        }
        Ok(())
    }

    fn infer(&mut self, checked: &Checked, kind: Type) {
        if let Some(Tree::Variable(variable)) = checked.tree {
            self.inferred.push(Inferred { variable, kind });
        }
    }

    fn error(&self, part: &IdedExpr, message: String) -> ExprError {
        let offset = self
            .places
            .offset_for(part.id)
            .map_or(0, |(start, _)| start as usize);
        ExprError { offset, message }
    }
}

fn literal_of(literal: &LiteralValue) -> Checked {
    let (kind, tree) = match literal {
        LiteralValue::Boolean(truth) => (Type::Bool, Some(Tree::Bool(*truth.inner()))),
        LiteralValue::Double(number) => (Type::Number, Some(Tree::Number(*number.inner()))),
        LiteralValue::Int(number) => (Type::Number, Some(Tree::Number(*number.inner() as f64))),
        LiteralValue::UInt(number) => (Type::Number, Some(Tree::Number(*number.inner() as f64))),
        LiteralValue::String(text) => (Type::Text, Some(Tree::Text(text.inner().into()))),
        LiteralValue::Null => (Type::Any, Some(Tree::Null)),
        LiteralValue::Bytes(_) => (Type::Any, None),
    };
    Checked { kind, tree }
}

/// `a.b.c` of identifiers and selections; `None` for anything else.
pub(super) fn dotted(part: &IdedExpr) -> Option<String> {
    match &part.expr {
        Ast::Ident(name) => Some(name.clone()),
        Ast::Select(select) => Some(format!("{}.{}", dotted(&select.operand)?, select.field)),
        _ => None,
    }
}

/// Where a dotted name begins: the selection itself stands at its dot.
fn leftmost(part: &IdedExpr) -> &IdedExpr {
    match &part.expr {
        Ast::Select(select) => leftmost(&select.operand),
        _ => part,
    }
}

fn name_of(part: &IdedExpr) -> String {
    match &part.expr {
        Ast::Literal(LiteralValue::String(text)) => format!("\"{}\"", text.inner()),
        Ast::Literal(LiteralValue::Int(number)) => number.inner().to_string(),
        Ast::Literal(LiteralValue::Double(number)) => number.inner().to_string(),
        Ast::Literal(LiteralValue::Boolean(truth)) => truth.inner().to_string(),
        _ => dotted(part).map_or_else(|| "one side".to_owned(), |name| format!("'{name}'")),
    }
}

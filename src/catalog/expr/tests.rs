use super::*;
use proptest::prelude::*;

fn variables() -> Vec<Variable> {
    vec![
        Variable::new("type", Type::Text),
        Variable::new("amount", Type::Number),
        Variable::new("paid", Type::Bool),
        Variable::new("any", Type::Any),
        Variable::new("kpi.pace", Type::Number),
    ]
}

fn test(source: &str, values: [Value<'_>; 5]) -> Option<bool> {
    Expr::compile(source, &variables()).unwrap().test(|i| values[i])
}

const ORDER: [Value<'_>; 5] = [
    Value::Text("order.paid"),
    Value::Number(12.5),
    Value::Bool(true),
    Value::Missing,
    Value::Number(0.8),
];

#[test]
fn what_is_compared_first_is_known() {
    for (source, expected) in [
        ("kpi.pace < 0.9 && amount > 12.0", Some(0.8)),
        ("type == 'order.paid' && paid && amount > 12.0", Some(12.5)),
        ("!paid || 13.0 < amount", Some(12.5)),
        ("amount - kpi.pace > 1.0", Some(11.7)),
        ("!(amount < kpi.pace)", Some(12.5)),
        ("any > 3.0 || amount > 1.0", None),
        ("paid", None),
        // The interpreter's part.
        ("type + '!' == 'x!' && kpi.pace < 0.9", Some(0.8)),
    ] {
        let expr = Expr::compile(source, &variables()).unwrap();
        assert_eq!(expr.compared(|i| ORDER[i]), expected, "{source}");
    }
}

#[test]
fn answers_filters_and_rules() {
    for (source, expected) in [
        ("type == \"order.paid\"", Some(true)),
        ("type == 'order.paid' && amount > 12", Some(true)),
        ("type.startsWith('order.') && !type.endsWith('paid')", Some(false)),
        ("amount >= 12.5 || any == 'x'", Some(true)),
        ("amount > 13 || any == 'x'", None),
        ("amount > 13 && any == 'x'", Some(false)),
        ("any == 'x'", None),
        ("any == null", Some(true)),
        ("amount != null", Some(true)),
        ("type in ['a', 'order.paid']", Some(true)),
        ("has(kpi.pace) && kpi.pace * 2 - 1 < 0.61", Some(true)),
        ("(amount > 10 ? kpi.pace : 0.0) == 0.8", Some(true)),
        ("-amount < 0 && paid", Some(true)),
        ("size(type) == 10", Some(true)),
        // The interpreter's part.
        ("['a', 'order.paid'].exists(t, t == type)", Some(true)),
        ("type + '!' == 'order.paid!'", Some(true)),
        // A missing value is no answer to it either.
        ("[any].exists(t, t != 'x')", None),
        ("['a'].exists(type, type == 'a')", Some(true)),
        ("any != 'x' && type + '!' != 'x!'", None),
        ("any != 'x' || type + '!' == 'order.paid!'", Some(true)),
        ("['a'].exists(t, t == type) && any == 'x'", Some(false)),
        ("any == null && type + '!' == 'order.paid!'", Some(true)),
        ("any != null && type + '!' == 'order.paid!'", Some(false)),
        ("['a'].exists(t, any == null || t == any)", Some(true)),
        ("has(kpi.pace) && type + '!' == 'order.paid!'", Some(true)),
    ] {
        assert_eq!(test(source, ORDER), expected, "{source}");
    }
}

#[test]
fn says_what_is_wrong_and_where() {
    for (source, offset, fragment) in [
        (
            "amuont > 3",
            0,
            "'amuont' is not known here; did you mean 'amount'?",
        ),
        ("kpi.paec > 3", 0, "did you mean 'kpi.pace'?"),
        ("amount == 'x'", 7, "'amount' is a number and \"x\" is a text"),
        (
            "type && paid",
            0,
            "&& and || join true or false, and this is a text",
        ),
        ("type > 3", 5, "'type' is a text and 3 is a number"),
        (
            "type.startWith('a')",
            14,
            "there is no function 'startWith'; did you mean 'startsWith'?",
        ),
        ("amount = 3", 7, "equality is written =="),
    ] {
        let error = Expr::compile(source, &variables()).unwrap_err();
        assert!(error.message.contains(fragment), "{source}: {}", error.message);
        assert_eq!(error.offset, offset, "{source}: {}", error.message);
    }
}

#[test]
fn infers_types_of_fields_from_their_uses() {
    let expr = Expr::compile("any == 'x' && paid", &variables()).unwrap();
    assert_eq!(
        expr.inferred(),
        [Inferred {
            variable: 3,
            kind: Type::Text
        }]
    );
    assert_eq!(expr.uses(), [2, 3]);
    assert_eq!(expr.kind(), Type::Bool);
}

#[test]
fn units_that_do_not_add_up_are_found() {
    let units = [Some("CNY"), Some("USD"), Some("CNY"), None];
    let variables = ["yuan", "dollars", "fees", "count"].map(|name| Variable::new(name, Type::Number));
    for (source, expected) in [
        ("yuan + dollars", vec![(0, 1)]),
        ("yuan - fees - dollars", vec![(0, 1)]),
        ("(dollars - -yuan) / count", vec![(1, 0)]),
        ("(yuan > 0 ? yuan : fees) + dollars", vec![(0, 1)]),
        ("count > 1 ? yuan - dollars : 0.0", vec![(0, 1)]),
        // A rate of exchange, a price, a share.
        ("yuan + dollars * 7.1", vec![]),
        ("yuan + dollars * count", vec![]),
        ("yuan / dollars + fees / dollars", vec![]),
        ("yuan - fees + 3", vec![]),
        ("yuan + count", vec![]),
        ("(count > 1 ? yuan : dollars) + fees", vec![]),
    ] {
        let expr = Expr::compile(source, &variables).unwrap();
        assert_eq!(expr.mixed_units(|index| units[index]), expected, "{source}");
    }
}

fn number() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("amount".to_owned()),
        Just("kpi.pace".to_owned()),
        (-20i32..20).prop_map(|n| format!("{n}.5")),
        (comparison_of("amount"), -20i32..20).prop_map(|(asked, n)| format!("({asked} ? kpi.pace : {n}.5)")),
    ]
}

fn comparison_of(one: &'static str) -> impl Strategy<Value = String> {
    let operator = prop_oneof![
        Just("=="),
        Just("!="),
        Just("<"),
        Just("<="),
        Just(">"),
        Just(">=")
    ];
    (operator, -20i32..20).prop_map(move |(op, n)| format!("{one} {op} {n}.5"))
}

fn comparison() -> impl Strategy<Value = String> {
    let operator = prop_oneof![
        Just("=="),
        Just("!="),
        Just("<"),
        Just("<="),
        Just(">"),
        Just(">=")
    ];
    let text = prop_oneof![
        Just("type".to_owned()),
        Just("\"order.paid\"".to_owned()),
        Just("'a'".to_owned())
    ];
    let of_texts = prop_oneof![Just("startsWith"), Just("endsWith"), Just("contains")];
    let part = prop_oneof![Just("''"), Just("'order'"), Just("'paid'"), Just("type")];
    let variable = prop_oneof![Just("type"), Just("amount"), Just("paid"), Just("kpi.pace")];
    prop_oneof![
        (number(), operator.clone(), number()).prop_map(|(a, op, b)| format!("{a} {op} {b}")),
        (text.clone(), operator, text).prop_map(|(a, op, b)| format!("{a} {op} {b}")),
        (number(), number(), number()).prop_map(|(a, b, c)| format!("{a} + {b} * 2.0 < {c}")),
        (of_texts, part).prop_map(|(test, part)| format!("type.{test}({part})")),
        (variable.clone(), prop_oneof![Just("=="), Just("!=")])
            .prop_map(|(name, op)| format!("{name} {op} null")),
        Just("has(kpi.pace)".to_owned()),
        Just("paid".to_owned()),
        Just("type in ['a', 'b']".to_owned()),
        Just("size(type) > 3.5".to_owned()),
    ]
}

#[test]
fn what_fails_although_all_that_it_names_is_known_says_why() {
    for (source, says) in [
        ("double(type) > 1", Err("invalid float")),
        ("double(any) > 1", Ok(None)),
        ("double('2') > 1", Ok(Some(true))),
        ("paid && double(type) > 1", Err("invalid float")),
        ("amount > 13 || any == 'x'", Ok(None)),
        // What is not named may be missing.
        ("double(type) > 1 || amount > 1e9", Err("invalid float")),
        ("[amount].exists(n, n > 12)", Ok(Some(true))),
    ] {
        let expr = Expr::compile(source, &variables()).unwrap();
        let said = expr.attempt(|i| ORDER[i]);
        match says {
            Ok(answer) => assert_eq!(said, Ok(answer), "{source}"),
            Err(part) => assert!(
                said.clone().is_err_and(|why| why.contains(part)),
                "{source}: {said:?}"
            ),
        }
        // To a filter it is no answer.
        assert_eq!(expr.test(|i| ORDER[i]), said.unwrap_or(None), "{source}");
    }
}

fn expression() -> impl Strategy<Value = String> {
    comparison().prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a} && {b})")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a} || {b})")),
            (inner.clone(), inner.clone(), inner.clone()).prop_map(|(a, b, c)| format!("({a} ? {b} : {c})")),
            inner.prop_map(|a| format!("!({a})")),
        ]
    })
}

/// A value, or none.
fn value<T: Clone + std::fmt::Debug + 'static>(
    there: impl Strategy<Value = T> + 'static,
    of: fn(T) -> Value<'static>,
) -> impl Strategy<Value = Value<'static>> {
    proptest::option::weighted(0.7, there).prop_map(move |value| value.map_or(Value::Missing, of))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]
    /// The tree answers what the interpreter answers, also where values are missing.
    #[test]
    fn the_tree_and_the_interpreter_agree(
        source in expression(),
        kind in value(prop_oneof![Just("order.paid"), Just("a"), Just("")], Value::Text),
        amount in value(-20f64..20.0, Value::Number),
        paid in value(any::<bool>(), Value::Bool),
        pace in value(-2f64..2.0, Value::Number),
    ) {
        let values = [kind, amount, paid, Value::Missing, pace];
        let expr = Expr::compile(&source, &variables()).unwrap();
        let Code::Tree(_) = &expr.code else { panic!("{source} is not compiled") };
        let interpreted = interpret::Interpreted::new(&source, &variables()).unwrap();
        let expected = interpreted.value(&|i| values[i], expr.uses(), |value| match value {
            Value::Bool(truth) => Some(truth),
            _ => None,
        });
        prop_assert_eq!(expr.test(|i| values[i]), expected, "{} of {:?}", source, values);
    }
}

//! JSON that fits WIT types, and JSON that does not.

use anyhow::Result;
use serde_json::json;

use super::*;
use crate::Grant;
use crate::testing::{Home, dummy};

const WIT: &str = "package test:test;
    interface i {
        enum colour { red, green }
        flags rights { read, write, admin }
        variant shape { none, circle(f64), square(u32), maybe(option<u8>) }
        record event { title: string, %from: s16, attendees: list<string>, colour: option<colour> }
        all: func(a: event, b: shape, c: rights, d: tuple<bool, char>, e: result<u8, string>, f: option<option<u8>>);
        numbers: func(a: s8, b: u64, c: s64, d: f32, e: f64);
        none: func();
    }
    world w { export i; }";

fn check(function: &str, arguments: Value) -> Result<std::result::Result<(), CallError>> {
    let plugin = Home::new()?.load(&dummy(WIT)?, "", Grant::default())?;
    Ok(plugin.lift_check(function, &arguments))
}

fn good() -> Value {
    json!({
        "a": {"title": "t", "from": -3, "attendees": ["x"], "colour": "red"},
        "b": {"circle": 1.5}, "c": ["write", "read", "write"], "d": [true, "é"], "e": {"ok": 1}, "f": {"some": null},
    })
}

#[test]
fn every_shape_is_taken() -> Result<()> {
    let mut cases = vec![good()];
    for (field, values) in [
        ("b", vec![json!("none"), json!({"none": null}), json!({"square": 3.0}), json!({"maybe": null})]),
        ("c", vec![json!([])]),
        ("e", vec![json!({"err": "no"})]),
        ("f", vec![json!(null), json!({"some": 3})]),
    ] {
        cases.extend(values.into_iter().map(|value| {
            let mut arguments = good();
            arguments[field] = value;
            arguments
        }));
    }
    let mut short = good();
    short["a"].as_object_mut().expect("an object").remove("colour");
    short.as_object_mut().expect("an object").remove("f");
    cases.push(short);
    for case in cases {
        assert_eq!(check("all", case.clone())?, Ok(()), "{case}");
    }
    assert_eq!(check("none", Value::Null)?, Ok(()));
    Ok(())
}

#[test]
fn what_does_not_fit_is_refused_with_its_place() -> Result<()> {
    for (place, value, path) in [
        ("/a/from", json!(40000), "$.a.from"),
        ("/a/from", json!("1"), "$.a.from"),
        ("/a/attendees/0", json!(null), "$.a.attendees[0]"),
        ("/a/colour", json!("blue"), "$.a.colour"),
        ("/b", json!("circle"), "$.b"),
        ("/b", json!({"circle": 1, "none": null}), "$.b"),
        ("/b", json!({"circle": "round"}), "$.b.circle"),
        ("/c/0", json!("root"), "$.c"),
        ("/d", json!([true]), "$.d"),
        ("/d/1", json!("ab"), "$.d[1]"),
        ("/e", json!({"some": 1}), "$.e"),
        ("/e/ok", json!(-1), "$.e.ok"),
        ("/f", json!(3), "$.f"),
        ("/a", json!({"title": "t", "from": 1, "attendees": [], "color": "red"}), "$.a.color"),
        ("/a", json!({"title": "t", "from": 1}), "$.a.attendees"),
    ] {
        let mut arguments = good();
        *arguments.pointer_mut(place).expect("a place") = value;
        match check("all", arguments)? {
            Err(CallError::Arguments { path: found, message }) => {
                assert_eq!(found, path, "{message}");
                assert!(message.len() < 300, "{message}");
            }
            other => panic!("{place}: {other:?}"),
        }
    }
    for arguments in [json!(null), json!([]), json!("x"), json!({}), json!({"a": 1, "zz": 2})] {
        assert!(matches!(check("all", arguments)?, Err(CallError::Arguments { .. })));
    }
    assert!(matches!(check("none", json!({"x": 1}))?, Err(CallError::Arguments { .. })));
    Ok(())
}

#[test]
fn numbers_are_exact_or_refused() -> Result<()> {
    let numbers = |field: &str, value: Value| {
        let mut numbers = json!({"a": 0, "b": 0, "c": 0, "d": 0, "e": 0});
        numbers[field] = value;
        check("numbers", numbers)
    };
    for (field, value) in [
        ("a", json!(-128)),
        ("a", json!(-0.0)),
        ("b", json!(u64::MAX)),
        ("c", json!(i64::MIN)),
        ("d", json!("NaN")),
        ("d", json!(3.4e38)),
        ("e", json!("-Infinity")),
        ("e", json!(1e308)),
    ] {
        assert_eq!(numbers(field, value.clone())?, Ok(()), "{field} {value}");
    }
    for (field, value) in [
        ("a", json!(-129)),
        ("a", json!(1.5)),
        ("b", json!(-1)),
        ("b", json!(1.8e19)),
        ("c", json!(u64::MAX)),
        ("d", json!(1e39)),
        ("e", json!("inf")),
        ("e", json!(true)),
    ] {
        assert!(numbers(field, value.clone())?.is_err(), "{field} {value}");
    }
    Ok(())
}

#[test]
fn long_values_are_shown_short() -> Result<()> {
    for value in [json!("x".repeat(100_000)), json!(vec![1; 1000]), json!({"k": "é".repeat(5000)})] {
        let error =
            check("numbers", json!({"a": value, "b": 0, "c": 0, "d": 0, "e": 0}))?.expect_err("no s8");
        assert!(error.to_string().len() < 400, "{error}");
    }
    Ok(())
}

#[test]
fn what_is_made_is_bounded_too_not_only_what_is_read() -> Result<()> {
    let fields: Vec<String> = (0..200).map(|n| format!("field-{n}: option<u8>")).collect();
    let wit = format!(
        "package test:test; interface i {{ record r {{ {} }} f: func(x: list<r>); g: func(x: list<list<u8>>); }}
        world w {{ export i; }}",
        fields.join(", ")
    );
    let plugin = Home::new()?.load(&dummy(&wit)?, "[limits]\ninput = '64KiB'", Grant::default())?;
    assert_eq!(plugin.lift_check("f", &json!({ "x": vec![json!({}); 20] })), Ok(()));
    let many = plugin.lift_check("f", &json!({ "x": vec![json!({}); 20_000] }));
    assert!(matches!(many, Err(CallError::Limit { limit: "input", .. })), "{many:?}");
    // What costs most of what a type without options can, is within the bound as far as it can be read.
    let empty = vec![json!([]); (64 << 10) / 2 - 8];
    assert_eq!(plugin.lift_check("g", &json!({ "x": empty })), Ok(()));
    Ok(())
}

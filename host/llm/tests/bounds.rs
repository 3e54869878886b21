//! Grammars and schemas that ask for more than they say: each is refused soon, or compiled within bounds, and none takes the
//! process with it.

#![expect(clippy::unwrap_used, reason = "tests")]

mod support;

use std::time::{Duration, Instant};

use pawl_llm::{Error, Grammar, json_in_lark};
use serde_json::{Map, Value, json};
use support::shared;

fn refusal(grammar: &Grammar) -> String {
    shared().check(grammar).expect_err("a refusal").to_string()
}

/// How long it took, the model loaded before.
fn timed<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    shared();
    let begun = Instant::now();
    let done = work();
    (done, begun.elapsed())
}

fn rules(count: usize) -> String {
    let rules: String = (0..count).map(|at| format!("a{at}:a{}\n", at + 1)).collect();
    format!("start:a0\n{rules}a{count}:\"x\"")
}

fn terminals(count: usize) -> String {
    let terminals: String = (0..count).map(|at| format!("A{at}:A{}\n", at + 1)).collect();
    format!("start:A0\n{terminals}A{count}:\"x\"")
}

fn references(count: usize) -> Value {
    let to = |at: usize| json!({"$ref": format!("#/$defs/a{at}")});
    let mut defs: Map<String, Value> = (0..count).map(|at| (format!("a{at}"), to(at + 1))).collect();
    defs.insert(format!("a{count}"), json!({"type": "null"}));
    json!({"$ref": "#/$defs/a0", "$defs": defs})
}

/// One property held by `x-pawl`, and these.
fn beside_our_keyword(mut properties: Map<String, Value>, defs: Value) -> Value {
    properties.insert("quote".into(), json!({"type": "string", "x-pawl": {"quote": "some words"}}));
    json!({"type": "object", "additionalProperties": false, "properties": properties, "$defs": defs})
}

#[test]
fn chains_are_refused_by_name_and_soon() {
    for lark in [rules(75_000), terminals(75_000), rules(2_100)] {
        let (refusal, took) = timed(|| refusal(&Grammar::Lark(lark.clone())));
        assert!(refusal.contains("`start`") && refusal.contains("at most"), "{refusal}");
        assert!(took < Duration::from_secs(5), "{took:?}");
        let inside = json!({"items": {"type": "string", "x-pawl": {"lark": lark}}, "type": "array"});
        match shared().check(&Grammar::JsonSchema(inside)) {
            Err(Error::Schema { path, message }) => {
                assert!(path == "#/items/x-pawl/lark" && message.contains("`start`"), "{path}: {message}");
            }
            other => panic!("{other:?}"),
        }
    }
    let schema = references(12_000);
    let (refused, took) = timed(|| refusal(&Grammar::JsonSchema(schema.clone())));
    assert!(refused.contains("`#/$defs/a0`") && took < Duration::from_secs(5), "{took:?}: {refused}");
    let beside = beside_our_keyword(
        Map::from_iter([("a".to_owned(), json!({"$ref": "#/$defs/a0"}))]),
        schema["$defs"].clone(),
    );
    for schema in [&schema, &beside] {
        let lark = format!("start: {}", json_in_lark(schema));
        assert!(refusal(&Grammar::Lark(lark)).contains("#/$defs/a0"));
    }
    let raw = format!("start: %json {schema}");
    assert!(refusal(&Grammar::Lark(raw)).contains("#/$defs/a0"));
}

#[test]
fn chains_below_the_limit_compile() {
    shared().check(&Grammar::Lark(rules(1_990))).unwrap();
    shared().check(&Grammar::Lark(terminals(1_990))).unwrap();
    shared().check(&Grammar::JsonSchema(references(1_990))).unwrap();
    // The most expensive levels: objects in objects, copied into one another.
    let mut defs = Map::from_iter([("a330".to_owned(), json!({"type": "object"}))]);
    for at in 0..330 {
        let next = json!({"type": "object", "$ref": format!("#/$defs/a{}", at + 1)});
        defs.insert(format!("a{at}"), json!({"type": "object", "additionalProperties": false,
            "properties": {"p": {"type": "object", "additionalProperties": false, "properties": {"q": next}}}}));
    }
    shared().check(&Grammar::JsonSchema(json!({"$ref": "#/$defs/a0", "$defs": defs}))).unwrap();
}

#[test]
fn parts_take_along_only_the_definitions_that_they_reach() {
    let defs: Map<String, Value> = (0..2_000)
        .map(|at| {
            (format!("d{at}"), json!({"type": "string", "maxLength": 5, "description": "d".repeat(50)}))
        })
        .collect();
    let properties = (0..500).map(|at| {
        (format!("p{at}"), json!({"$ref": format!("#/$defs/d{}", at % 7), "title": at.to_string()}))
    });
    let schema = beside_our_keyword(properties.collect(), defs.into());
    let (lark, took) = timed(|| json_in_lark(&schema));
    assert!(lark.len() < 300_000 && took < Duration::from_secs(5), "{} bytes, {took:?}", lark.len());
    shared().check(&Grammar::JsonSchema(schema)).unwrap();
}

#[test]
fn parts_that_reach_much_are_refused_before_they_are_written() {
    let large: Vec<String> = (0..20_000).map(|at| format!("word{at}")).collect();
    let properties =
        (0..5_000).map(|at| (format!("p{at}"), json!({"$ref": "#/$defs/a", "title": at.to_string()})));
    let schema = beside_our_keyword(properties.collect(), json!({"a": {"enum": large}}));
    let (refusal, took) = timed(|| refusal(&Grammar::JsonSchema(schema)));
    assert!(refusal.contains("#/properties/p") && refusal.contains("8388608"), "{refusal}");
    assert!(took < Duration::from_secs(10), "{took:?}");
}

#[test]
fn an_object_of_many_members_compiles_beside_our_keyword() {
    let properties = (0..3_000).map(|at| (format!("p{at}"), json!({"type": "boolean"}))).collect();
    shared().check(&Grammar::JsonSchema(beside_our_keyword(properties, json!({})))).unwrap();
}

#[test]
fn two_orders_of_keys_are_two_grammars() {
    let schema = |text: &str| serde_json::from_str::<Value>(text).unwrap();
    let one = schema(
        r#"{"type": "object", "additionalProperties": false, "required": ["a", "b"], "properties": {"a": {"const": 1}, "b": {"const": 2}}}"#,
    );
    let other = schema(
        r#"{"type": "object", "additionalProperties": false, "required": ["a", "b"], "properties": {"b": {"const": 2}, "a": {"const": 1}}}"#,
    );
    for (schema, expected) in
        [(&one, r#"{"a": 1, "b": 2}"#), (&other, r#"{"b": 2, "a": 1}"#), (&one, r#"{"a": 1, "b": 2}"#)]
    {
        let output = support::answer(shared(), "Go.", Grammar::JsonSchema(schema.clone()), 40);
        assert_eq!(output.text, expected);
    }
}

#[test]
fn the_search_for_the_place_of_a_refusal_ends() {
    // Each property takes a tenth of a second by itself, and the last one is refused.
    let large: Map<String, Value> =
        (0..1_200).map(|at| (format!("n{at}"), json!({"type": "null"}))).collect();
    let mut properties: Map<String, Value> = (0..190)
        .map(|at| (format!("p{at}"), json!({"$ref": "#/$defs/a", "title": at.to_string()})))
        .collect();
    properties.insert("last".into(), json!({"format": "moon-phase"}));
    let defs = json!({"a": {"type": "object", "properties": large}});
    let plain = json!({"type": "object", "properties": properties, "$defs": defs});
    let (refused, took) = timed(|| refusal(&Grammar::JsonSchema(plain)));
    assert!(refused.contains("moon-phase") && took < Duration::from_secs(8), "{took:?}: {refused}");
    let (refused, took) = timed(|| refusal(&Grammar::JsonSchema(beside_our_keyword(properties, defs))));
    assert!(took < Duration::from_secs(15), "{took:?}: {refused}");
}

#[test]
fn many_grammars_inside_strings_end_in_a_refusal() {
    let one = |at: usize| {
        (format!("p{at}"), json!({"type": "string", "x-pawl": {"lark": format!("start: \"{at}\"")}}))
    };
    let schema = beside_our_keyword((0..6_000).map(one).collect(), json!({}));
    let (refusal, took) = timed(|| refusal(&Grammar::JsonSchema(schema)));
    // By the time that it took, or by the engine for its size, whichever comes first.
    assert!(refusal.starts_with("schema at `#") && took < Duration::from_secs(15), "{took:?}: {refusal}");
    assert!(!refusal.contains("backtrace"), "{refusal}");
}

#[test]
fn a_schema_has_no_place_in_a_grammar_inside_a_string() {
    // Large enough that to compile it would take long.
    let large: Map<String, Value> = (0..8_000).map(|at| (format!("n{at}"), json!(true))).collect();
    let lark = format!("start: %json {}", json!({"type": "object", "properties": large}));
    let schema = json!({"type": "string", "x-pawl": {"lark": lark}});
    let (refusal, took) = timed(|| refusal(&Grammar::JsonSchema(schema)));
    assert!(refusal.contains("`%json`") && took < Duration::from_secs(2), "{took:?}: {refusal}");
}

#[test]
fn large_regexes_are_refused_before_they_are_parsed() {
    let classes = "\\W".repeat(300_000);
    let inside = json!({"type": "string", "x-pawl": {"lark": format!("start: /{classes}/")}});
    let pattern = json!({"type": "string", "pattern": classes[..400_000]});
    for grammar in [
        Grammar::JsonSchema(inside),
        Grammar::JsonSchema(pattern),
        Grammar::Lark(format!("start: /{classes}/")),
        Grammar::Regex(classes),
    ] {
        let (refusal, took) = timed(|| refusal(&grammar));
        let too_large = refusal.contains("classes") || refusal.contains("too large");
        assert!(too_large && took < Duration::from_secs(2), "{took:?}: {refusal:.300}");
    }
}

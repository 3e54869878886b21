//! What comes out under a grammar, with the smallest model.

#![expect(clippy::unwrap_used, reason = "tests")]

mod support;

use pawl_llm::{Error, Grammar, Sampling, StopReason, holds, json_in_lark, json_text, quotes};
use serde_json::{Value, json};
use support::{answer, request, shared};

fn parsed(grammar: Grammar) -> Value {
    let output = answer(shared(), "Fill in the form for a person from Lyon.", grammar, 400);
    assert_eq!(output.finish.reason, StopReason::Stop, "{}", output.text);
    let value: Value = serde_json::from_str(&output.text).unwrap_or_else(|e| panic!("{e}: {}", output.text));
    assert_eq!(json_text(&value), output.text, "one spacing");
    value
}

fn person() -> Value {
    json!({
        "type": "object", "additionalProperties": false, "required": ["name", "age", "kind", "tags", "note"],
        "properties": {
            "name": {"type": "string", "minLength": 1, "maxLength": 30},
            "age": {"type": "integer", "minimum": 0, "maximum": 255},
            "kind": {"enum": ["guest", "staff"]},
            "tags": {"type": "array", "items": {"type": "string", "maxLength": 10}, "minItems": 2, "maxItems": 2},
            "note": {"anyOf": [{"type": "string", "maxLength": 20}, {"type": "null"}]},
        }
    })
}

#[test]
fn output_is_valid_under_the_schema() {
    let value = parsed(Grammar::JsonSchema(person()));
    let keys: Vec<_> = value.as_object().unwrap().keys().cloned().collect();
    assert_eq!(keys, ["name", "age", "kind", "tags", "note"]);
    assert!((1..=30).contains(&value["name"].as_str().unwrap().chars().count()));
    assert!(value["age"].as_u64().unwrap() <= 255);
    assert!(["guest", "staff"].contains(&value["kind"].as_str().unwrap()));
    assert_eq!(value["tags"].as_array().unwrap().len(), 2);
}

#[test]
fn integers_of_all_widths_are_taken_and_kept() {
    for (low, high) in [(i64::MIN, i64::MAX), (0, i64::MAX), (-128, 127), (i64::from(i32::MIN), -1), (5, 5)] {
        let integer = json!({"type": "integer", "minimum": low, "maximum": high});
        let number = parsed(Grammar::JsonSchema(integer)).as_i64().expect("it fits i64");
        assert!((low..=high).contains(&number), "{number} between {low} and {high}");
    }
    let unsigned = json!({"type": "integer", "minimum": 0, "maximum": u64::MAX});
    assert!(parsed(Grammar::JsonSchema(unsigned)).is_u64());
}

#[test]
fn numbers_are_finite() {
    let value = parsed(Grammar::JsonSchema(json!({"enum": [0.5, -1.25]})));
    assert!(value == json!(0.5) || value == json!(-1.25));
    shared().check(&Grammar::JsonSchema(json!({"type": "number"}))).unwrap();
}

#[test]
fn references_and_recursion_are_taken() {
    let tree = json!({
        "$ref": "#/$defs/node",
        "$defs": {"node": {"type": "object", "additionalProperties": false, "required": ["id", "next"],
            "properties": {"id": {"enum": ["a", "b"]}, "next": {"anyOf": [{"type": "null"}, {"$ref": "#/$defs/node"}]}}}}
    });
    shared().check(&Grammar::JsonSchema(tree)).unwrap();
}

#[test]
fn json_inside_lark_is_as_valid() {
    let lark = format!("start: \"call \" args\nargs: {}", json_in_lark(&person()));
    let output = answer(shared(), "Call it.", Grammar::Lark(lark), 400);
    assert_eq!(output.finish.reason, StopReason::Stop);
    let json = output.text.strip_prefix("call ").unwrap();
    let value: Value = serde_json::from_str(json).unwrap();
    assert_eq!(json_text(&value), json);
}

#[test]
fn choice_gives_one_of_its_strings() {
    let choices = ["alpha beta".to_owned(), "a \"quoted\" one\n".to_owned(), "日本".to_owned()];
    for text in ["Say alpha beta.", "日本語で", "\"?\""] {
        let output = answer(shared(), text, Grammar::Choice(choices.to_vec()), 50);
        assert!(choices.contains(&output.text), "{:?}", output.text);
        assert_eq!(output.finish.reason, StopReason::Stop);
    }
}

#[test]
fn single_choice_asks_the_model_nothing() {
    let output = answer(shared(), "Anything.", Grammar::Choice(vec!["the only one".into()]), 50);
    assert_eq!(output.text, "the only one");
    let usage = output.finish.usage;
    assert_eq!(usage.forced_tokens, usage.completion_tokens);
}

#[test]
fn quotation_is_a_run_of_words_of_the_text() {
    let text = "the quick brown fox jumps over the lazy dog and runs away";
    let lark = format!("start: \"\\\"\" quote \"\\\"\"\nquote: %regex {{\"substring_words\": \"{text}\"}}");
    let output = answer(shared(), "Quote the text.", Grammar::Lark(lark), 50);
    assert!(text.contains(output.text.trim_matches('"')), "{:?}", output.text);
}

fn refusal(grammar: &Grammar) -> (String, String) {
    match shared().check(grammar) {
        Err(Error::Schema { path, message }) => (path, message),
        other => panic!("a refusal was expected, not {other:?}"),
    }
}

#[test]
fn refusals_of_the_engine_name_the_place_too() {
    let format = json!({"type": "object", "properties": {"when": {"anyOf": [
        {"type": "null"}, {"type": "string", "format": "moon-phase"}]}}});
    let (path, message) = refusal(&Grammar::JsonSchema(format));
    assert_eq!(path, "#/properties/when/anyOf/1");
    assert!(message.contains("moon-phase"), "{message}");

    let overlap =
        json!({"properties": {"n": {"oneOf": [{"type": "string"}, {"type": "string", "minLength": 2}]}}});
    let (path, message) = refusal(&Grammar::JsonSchema(overlap));
    assert_eq!(path, "#/properties/n");
    assert!(message.contains("oneOf"), "{message}");

    let impossible = json!({"type": "object", "required": ["x"], "properties": {"x": {"type": "string", "pattern": "(?=a)"}}});
    assert_eq!(refusal(&Grammar::JsonSchema(impossible)).0, "#/properties/x");
}

#[test]
fn schemas_without_a_value_and_lost_references_are_refused() {
    let endless = json!({"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/a"}}});
    assert!(refusal(&Grammar::JsonSchema(endless)).1.contains("no value"));
    let lost = json!({"type": "object", "properties": {"a": {"items": {"$ref": "#/$defs/none"}}}});
    let (path, message) = refusal(&Grammar::JsonSchema(lost));
    assert_eq!(path, "#/properties/a/items");
    assert!(message.contains("none"), "{message}");
}

#[test]
fn a_refused_schema_inside_lark_refuses_the_grammar() {
    let lark = format!("start: {}", json_in_lark(&json!({"not": {}})));
    let error = shared().check(&Grammar::Lark(lark)).unwrap_err();
    assert!(matches!(&error, Error::Grammar(m) if m.contains("#/not") && m.contains("`not`")), "{error}");
}

#[test]
fn broken_and_bottomless_grammars_are_refused() {
    let nested = format!("start: {}\"a\"{}", "(".repeat(5000), ")".repeat(5000));
    let regex = format!("start: /{}a{}/", "(".repeat(500), ")".repeat(500));
    let large = "start: \"a\"\n".repeat(200_000);
    let states = "start: /(.*a.{500}){200}b/".to_owned();
    for lark in ["".to_owned(), "start: missing".to_owned(), "start: \"".to_owned(), nested, regex, large] {
        let error = shared().check(&Grammar::Lark(lark.clone()));
        assert!(matches!(error, Err(Error::Grammar(_))), "{:.40} {error:?}", lark);
    }
    // May be taken or refused, but not take for ever.
    let _ = shared().check(&Grammar::Lark(states));
    for choices in [vec![], vec![String::new()], vec!["x".to_owned(); 20_000]] {
        assert!(matches!(shared().check(&Grammar::Choice(choices)), Err(Error::Grammar(_))));
    }
}

#[test]
fn a_refused_grammar_ends_the_generation_with_the_refusal() {
    let request = request(shared(), "x", Grammar::JsonSchema(json!({"type": "strin"})), 10);
    let error = shared().generate(request).finish_blocking().unwrap_err();
    assert!(matches!(error, Error::Schema { .. }), "{error}");
}

#[test]
fn truncation_under_a_grammar_is_told() {
    let output = answer(shared(), "Fill in.", Grammar::JsonSchema(person()), 5);
    assert_eq!(output.finish.reason, StopReason::Length);
    assert_eq!(output.finish.usage.completion_tokens, 5);
}

#[test]
fn sampled_output_is_valid_too() {
    for seed in 0..8 {
        let mut request = request(shared(), "Fill in.", Grammar::JsonSchema(person()), 400);
        request.sampling = Sampling { temperature: 1.5, top_p: 0.95, seed, ..Sampling::default() };
        let output = shared().generate(request).finish_blocking().unwrap();
        assert_eq!(output.finish.reason, StopReason::Stop);
        let value: Value = serde_json::from_str(&output.text).unwrap();
        assert!(value["age"].as_u64().unwrap() <= 255);
    }
}

/// A document with all that needs care: quotes, backslashes, other scripts, odd spaces.
const DOCUMENT: &str =
    "The \"quick\" brown fox\n jumps  over C:\\dir; the lazy dog sleeps. \u{65e5}\u{672c} 3.5 %";

fn quoting(more: Value) -> Value {
    let mut quote = json!({"type": "string", "x-pawl": {"quote": DOCUMENT}});
    quote.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    json!({"type": "object", "additionalProperties": false, "required": ["page", "quote"], "properties": {
        "page": {"type": "integer", "minimum": 1, "maximum": 9},
        "quote": quote,
        "sql": {"anyOf": [{"type": "string", "x-pawl": {"lark": SELECT}}, {"type": "null"}]},
    }})
}

const SELECT: &str = "start: \"SELECT \" COLUMN \" FROM events\"\nCOLUMN: \"day\" | \"\\\"user id\\\"\"";

#[test]
fn strings_are_held_to_what_exists() {
    let schema = quoting(json!({"minLength": 12, "maxLength": 40}));
    let value = parsed(Grammar::JsonSchema(schema.clone()));
    holds(&schema, &value).unwrap();
    let quote = value["quote"].as_str().unwrap();
    assert!(quotes(DOCUMENT, quote) && (12..=40).contains(&quote.chars().count()), "{quote}");
    if let Some(sql) = value.get("sql").and_then(Value::as_str) {
        assert!(["SELECT day FROM events", "SELECT \"user id\" FROM events"].contains(&sql), "{sql}");
    }
}

#[test]
fn strings_are_held_to_what_exists_inside_lark_too() {
    let schema = quoting(json!({}));
    let other = json_in_lark(&person());
    let lark = format!("start: \"call \" (\"a \" a | \"b \" b)\na: {}\nb: {other}", json_in_lark(&schema));
    for seed in 0..4 {
        let mut request = request(shared(), "Quote the text.", Grammar::Lark(lark.clone()), 400);
        request.sampling = Sampling { temperature: 1.2, top_p: 0.95, seed, ..Sampling::default() };
        let output = shared().generate(request).finish_blocking().unwrap();
        assert_eq!(output.finish.reason, StopReason::Stop);
        if let Some(json) = output.text.strip_prefix("call a ") {
            let value: Value = serde_json::from_str(json).unwrap();
            assert_eq!(json_text(&value), json);
            holds(&schema, &value).unwrap();
        }
    }
}

#[test]
fn regex_and_quotation_are_whole_answers() {
    let output =
        answer(shared(), "A date?", Grammar::Regex("[0-9]{4}-[0-9]{2}-[0-9]{2}(T[0-9]{2})?".into()), 40);
    assert_eq!(output.finish.reason, StopReason::Stop);
    assert!(output.text.len() == 10 || output.text.len() == 13, "{}", output.text);
    let output = answer(shared(), "Quote the text.", Grammar::Quotation(DOCUMENT.into()), 60);
    assert_eq!(output.finish.reason, StopReason::Stop);
    assert!(quotes(DOCUMENT, &output.text), "{:?}", output.text);
}

#[test]
fn refusals_of_our_keyword_name_the_place() {
    let string = |rule: Value| json!({"type": "string", "x-pawl": rule});
    let within = |schema: Value| json!({"type": "object", "additionalProperties": false, "properties": {"a/b": schema}});
    let quote = || string(json!({"quote": "some text"}));
    let lark = |grammar: &str| string(json!({ "lark": grammar }));
    let at = "#/properties/a~1b";
    for (schema, path, word) in [
        (within(string(json!({"quotes": "x"}))), format!("{at}/x-pawl"), "`quotes`"),
        (within(string(json!({"quote": "x", "lark": "y"}))), format!("{at}/x-pawl"), "2 keys"),
        (within(string(json!({"quote": 1}))), format!("{at}/x-pawl"), "`quote`"),
        (within(string(json!("quote"))), format!("{at}/x-pawl"), "object"),
        (within(string(json!({"quote": " \n"}))), format!("{at}/x-pawl/quote"), "no text"),
        (within(lark("start: missing")), format!("{at}/x-pawl/lark"), "missing"),
        (within(lark("start: %json {}")), format!("{at}/x-pawl/lark"), "%json"),
        (within(lark("start: A \"\\n\"\nA: /[^\\n]+/")), format!("{at}/x-pawl/lark"), "backslash"),
        (within(json!({"x-pawl": {"quote": "x"}})), at.to_owned(), "`\"type\": \"string\"`"),
        (within(json!({"type": "integer", "x-pawl": {"quote": "x"}})), at.to_owned(), "string"),
        (
            within(json!({"type": "string", "x-pawl": {"quote": "x"}, "pattern": "x"})),
            format!("{at}/pattern"),
            "`pattern`",
        ),
        (
            within(json!({"type": "string", "x-pawl": {"quote": "x"}, "minLength": 2})),
            format!("{at}/x-pawl/quote"),
            "at least 2",
        ),
        (
            within(json!({"type": "string", "x-pawl": {"lark": "start: \"x\""}, "maxLength": 2})),
            format!("{at}/maxLength"),
            "Lark",
        ),
        (within(json!({"oneOf": [quote(), {"type": "null"}]})), format!("{at}/oneOf/0"), "`anyOf`"),
        (within(json!({"allOf": [quote()]})), format!("{at}/allOf/0"), "`anyOf`"),
        (within(json!({"not": quote()})), format!("{at}/not"), "`not`"),
        (within(json!({"anyOf": [quote()], "title": "t", "type": "string"})), format!("{at}/type"), "`type`"),
        (
            within(json!({"anyOf": [lark("start: \"x\""), {"enum": ["y"]}]})),
            format!("{at}/anyOf/0"),
            "beside another",
        ),
        (
            within(json!({"type": "array", "items": quote(), "uniqueItems": true})),
            format!("{at}/uniqueItems"),
            "`uniqueItems`",
        ),
        (
            within(json!({"type": "array", "items": quote(), "minItems": 2, "maxItems": 1})),
            at.to_owned(),
            "`minItems`",
        ),
        (
            within(json!({"type": "array", "prefixItems": [quote()]})),
            format!("{at}/prefixItems"),
            "\"items\": false",
        ),
        (json!({"type": "object", "properties": {"a": quote()}}), "#".to_owned(), "additionalProperties"),
        (json!({"type": "object", "additionalProperties": quote()}), "#".to_owned(), "additionalProperties"),
        (
            json!({"type": "object", "additionalProperties": false, "properties": {"a": quote()}, "required": ["b"]}),
            "#/required".to_owned(),
            "`b`",
        ),
        (json!({"$ref": "#/$defs/q", "$defs": {"q": quote()}}), "#/$defs/q".to_owned(), "`$defs`"),
        (
            json!({"type": "array", "items": {"anyOf": [quote(), {"$ref": "#"}]}}),
            "#/items/anyOf/1".to_owned(),
            "`$ref`",
        ),
        (
            json!({"type": "array", "items": {"anyOf": [quote(), {"type": "array", "items": {"format": "moon"}}]}}),
            "#/items/anyOf/1/items".to_owned(),
            "moon",
        ),
    ] {
        let (found, message) = refusal(&Grammar::JsonSchema(schema.clone()));
        assert!(found == path && message.contains(word), "{schema}: {found}: {message}");
        let in_lark =
            shared().check(&Grammar::Lark(format!("start: {}", json_in_lark(&schema)))).unwrap_err();
        let in_lark = in_lark.to_string();
        // What only the engine knows has no place there.
        assert!(in_lark.contains(word) && (in_lark.contains(&path) || word == "moon"), "{in_lark}");
    }
}

#[test]
fn definitions_are_taken_along_beside_our_keyword() {
    let schema = json!({"type": "object", "additionalProperties": false, "required": ["tags", "quote"],
        "properties": {"tags": {"type": "array", "items": {"$ref": "#/$defs/tag"}, "minItems": 1, "maxItems": 1},
            "quote": {"type": "string", "x-pawl": {"quote": "only this"}}},
        "$defs": {"tag": {"enum": ["a", "b"]}}});
    let value = parsed(Grammar::JsonSchema(schema.clone()));
    holds(&schema, &value).unwrap();
    assert!(value["tags"][0] == "a" || value["tags"][0] == "b");
}

#[test]
fn more_text_than_the_limit_is_refused_with_it() {
    let text = "word ".repeat((1 << 20) / 5 + 1);
    let whole = shared().check(&Grammar::Quotation(text.clone())).unwrap_err();
    assert!(whole.to_string().contains("1048576"), "{whole}");
    let half = json!({"type": "string", "x-pawl": {"quote": &text[..600_000]}});
    let schema =
        json!({"type": "object", "additionalProperties": false, "properties": {"a": half, "b": half}});
    let (path, message) = refusal(&Grammar::JsonSchema(schema));
    assert!(path == "#" && message.contains("1048576"), "{path}: {message}");
}

#[test]
fn a_large_document_can_be_quoted() {
    let text: String = (0..60_000).map(|n| format!("{} ", n * 7919 % 20_011)).collect();
    let schema = json!({"type": "string", "maxLength": 30, "x-pawl": {"quote": text}});
    let value = parsed(Grammar::JsonSchema(schema.clone()));
    holds(&schema, &value).unwrap();
}

#[test]
fn hostile_regexes_end_in_a_refusal_or_are_taken() {
    for refused in ["", "(", "a\\b", "(?=a)", "(?P<stop>a)b", "(?m)^a\\n^b", "a{3,2}"] {
        let error = shared().check(&Grammar::Regex(refused.into()));
        assert!(matches!(error, Err(Error::Grammar(_))), "{refused}: {error:?}");
    }
    let nested = format!("{}a{}", "(".repeat(2_000), ")".repeat(2_000));
    assert!(shared().check(&Grammar::Regex(nested)).is_err());
    // May be taken or refused, but not take for ever.
    for hostile in ["((a{1000}){1000}){1000}", r"(\w{500}\W{500}){100}", "(.*a.{500}){200}b"] {
        let _ = shared().check(&Grammar::Regex(hostile.into()));
        let _ = shared().check(&Grammar::JsonSchema(json!({"type": "string", "pattern": hostile})));
    }
}

#[test]
fn truncation_is_told_for_every_kind() {
    let long = "start: \"a long beginning that no one token holds, and then \" /[a-z]+/";
    for grammar in [
        Grammar::Regex("[a-z]{60}".into()),
        Grammar::Lark(long.into()),
        Grammar::Choice(vec!["a long choice of many words and more words".into()]),
        Grammar::JsonSchema(quoting(json!({"minLength": 40}))),
        Grammar::JsonSchema(json!({"type": "string", "x-pawl": {"lark": long}})),
        Grammar::Lark(format!("start: {}", json_in_lark(&quoting(json!({"minLength": 40}))))),
    ] {
        let output = answer(shared(), "Go.", grammar.clone(), 4);
        assert_eq!(output.finish.reason, StopReason::Length, "{grammar:?}: {}", output.text);
    }
}

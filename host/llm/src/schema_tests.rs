//! Tests of what is refused, with its place, and of what is narrowed.

use super::*;
use crate::bounds::MAX_INTEGER;

fn refusal(schema: &Value) -> (String, String) {
    match prepare(schema) {
        Err(Error::Schema { path, message }) => (path, message),
        other => panic!("a refusal was expected, not {other:?}"),
    }
}

fn ranges(schema: &Value) -> Vec<(i64, i64)> {
    let prepared = prepare(schema).expect("it is taken");
    let halves = prepared["anyOf"].as_array().expect("an anyOf");
    halves
        .iter()
        .map(|h| (h["minimum"].as_i64().expect("i64"), h["maximum"].as_i64().expect("i64")))
        .collect()
}

#[test]
fn refusal_names_keyword_and_place() {
    let schema = json!({"type": "object", "properties": {"a/b": {"items": [{"not": {}}]}}});
    let (path, message) = refusal(&schema);
    assert_eq!(path, "#/properties/a~1b/items/0/not");
    assert!(message.contains("`not`"), "{message}");
}

#[test]
fn every_keyword_that_is_not_enforced_is_refused() {
    for keyword in REFUSED {
        let mut schema = json!({"type": "object"});
        schema[keyword] = json!(true);
        assert_eq!(refusal(&schema).0, format!("#/{keyword}"));
    }
}

#[test]
fn keyword_names_as_property_names_are_fine() {
    let schema = json!({"properties": {"not": {"type": "string"}, "if": {"const": {"not": 1}}}});
    assert!(prepare(&schema).is_ok());
}

#[test]
fn harmless_keywords_are_left_out() {
    let prepared =
        prepare(&json!({"type": "array", "uniqueItems": false, "deprecated": true})).expect("taken");
    assert!(prepared.get("uniqueItems").is_none() && prepared.get("deprecated").is_none());
}

#[test]
fn outside_references_are_refused() {
    assert_eq!(refusal(&json!({"$ref": "https://example.com/schema"})).0, "#/$ref");
}

#[test]
fn deep_and_large_schemas_are_refused() {
    let mut deep = json!({"type": "string"});
    for _ in 0..60 {
        deep = json!({"type": "array", "items": deep});
    }
    assert!(refusal(&deep).1.contains("deep"));
    let large = json!({"enum": (0..40_000).map(|i| format!("value number {i}")).collect::<Vec<_>>()});
    assert!(refusal(&large).1.contains("at most"));
    assert_eq!(refusal(&json!({"type": "array", "minItems": 1_000_000})).0, "#/minItems");
    assert_eq!(refusal(&json!({"type": "string", "maxLength": -1})).0, "#/maxLength");
}

#[test]
fn integers_are_split_at_zero_and_bounded() {
    assert_eq!(ranges(&json!({"type": "integer", "minimum": -5, "maximum": 7})), [(-5, -1), (0, 7)]);
    assert_eq!(ranges(&json!({"type": "integer", "minimum": 3})), [(3, MAX_INTEGER)]);
    assert_eq!(ranges(&json!({"type": "integer"})), [(-MAX_INTEGER, -1), (0, MAX_INTEGER)]);
    assert_eq!(ranges(&json!({"type": "integer", "exclusiveMinimum": 0, "exclusiveMaximum": 2.5})), [(1, 2)]);
}

#[test]
fn bounds_of_64_bit_integers_move_inwards() {
    let s64 = json!({"type": "integer", "minimum": i64::MIN, "maximum": i64::MAX});
    assert_eq!(ranges(&s64), [(-MAX_INTEGER, -1), (0, MAX_INTEGER)]);
    let u64_ = json!({"type": "integer", "minimum": 0, "maximum": u64::MAX});
    assert_eq!(ranges(&u64_), [(0, MAX_INTEGER)]);
    assert_eq!(MAX_INTEGER as f64 as i64, MAX_INTEGER, "an f64 holds it");
    let odd = (1_i64 << 53) + 1;
    assert_eq!(ranges(&json!({"type": "integer", "minimum": odd, "maximum": odd + 2})), [(odd + 1, odd + 1)]);
}

#[test]
fn bounds_out_of_reach_are_refused() {
    assert!(refusal(&json!({"type": "integer", "minimum": u64::MAX})).1.contains("beyond"));
    assert!(refusal(&json!({"type": "integer", "minimum": 3, "maximum": 2})).1.contains("between 3 and 2"));
    assert_eq!(refusal(&json!({"type": "integer", "minimum": "1"})).0, "#/minimum");
}

#[test]
fn constants_that_would_change_are_refused() {
    let schema = json!({"enum": [1, {"id": 9_007_199_254_740_993_u64}]});
    assert_eq!(refusal(&schema).0, "#/enum/1/id");
}

#[test]
fn integer_among_types_keeps_the_others() {
    let prepared = prepare(&json!({"type": ["integer", "null"], "minimum": 1, "title": "n"})).expect("taken");
    assert_eq!(prepared["title"], "n");
    assert_eq!(prepared["anyOf"][0]["anyOf"][0]["minimum"], 1);
    assert_eq!(prepared["anyOf"][1]["type"], "null");
}

#[test]
fn numbers_are_finite() {
    let prepared = prepare(&json!({"type": "number", "exclusiveMinimum": 0})).expect("taken");
    assert_eq!(prepared.get("minimum"), None);
    assert_eq!(prepared["maximum"], json!(MAX_INTEGER as f64));
    let prepared = prepare(&json!({"type": "number", "maximum": 1e300})).expect("taken");
    assert_eq!(prepared["maximum"], json!(MAX_INTEGER as f64));
}

#[test]
fn a_number_has_few_digits_after_the_point_unless_its_schema_is_finer() {
    let multiple = |schema: Value| prepare(&schema).expect("taken").get("multipleOf").cloned();
    assert_eq!(multiple(json!({"type": "number"})), Some(json!(1e-6)));
    assert_eq!(multiple(json!({"type": "number", "multipleOf": 0.25})), Some(json!(0.25)));
    assert_eq!(multiple(json!({"type": "number", "minimum": 0, "maximum": 1e-7})), None);
}

#[test]
fn false_allows_nothing() {
    assert_eq!(refusal(&json!(false)).0, "#");
    assert!(prepare(&json!(true)).is_ok());
}

#[test]
fn multiples_are_bounded_together() {
    let price = json!({"properties": {"a": {"type": "number", "multipleOf": 0.01}, "b": {"type": "integer", "multipleOf": 60}}});
    assert!(prepare(&price).is_ok());
    assert_eq!(refusal(&json!({"type": "integer", "multipleOf": 999_983})).0, "#/multipleOf");
    let many = json!({"allOf": [{"multipleOf": 9973}, {"multipleOf": 9967}]});
    assert_eq!(refusal(&many).0, "#/allOf/1/multipleOf");
    for wrong in [json!(0), json!(-1), json!("2"), json!(1e-300)] {
        assert_eq!(refusal(&json!({"multipleOf": wrong})).0, "#/multipleOf");
    }
}

/// A schema whose definitions lead from one to the next.
fn chain(count: usize, one: impl Fn(String) -> Value) -> Value {
    let mut defs: Map<String, Value> =
        (0..count).map(|at| (format!("a{at}"), one(format!("#/$defs/a{}", at + 1)))).collect();
    defs.insert(format!("a{count}"), json!({"type": "object"}));
    json!({"$ref": "#/$defs/a0", "$defs": defs})
}

#[test]
fn references_are_refused_beyond_what_the_stack_holds() {
    let plain = |to: String| json!({ "$ref": to });
    let inside = |to: String| json!({"properties": {"p": {"anyOf": [{"items": {"$ref": to}}]}}});
    let escaped = |to: String| json!({"$ref": to.replace('a', "%61")});
    let (path, message) = refusal(&chain(12_000, plain));
    assert!(path == "#/$defs/a0" && message.contains("12001"), "{path}: {message}");
    for deep in [chain(2_001, plain), chain(600, inside), chain(3_000, escaped)] {
        assert!(refusal(&deep).1.contains("2000 at most"));
    }
    for shallow in [chain(1_990, plain), chain(490, inside)] {
        assert!(prepare(&shallow).is_ok());
    }
}

#[test]
fn references_count_for_all_that_they_can_mean() {
    let anchored = |at: usize| json!({"$anchor": format!("n{at}"), "$ref": format!("#n{}", at + 1)});
    let by_anchor: Map<String, Value> = (0..2_000).map(|at| (format!("a{at}"), anchored(at))).collect();
    assert!(refusal(&json!({"$ref": "#n0", "$defs": by_anchor})).1.contains("at most"));
    let mut with_id = chain(2_000, |to| json!({ "$ref": to }));
    with_id["$id"] = json!("https://example.com/inner");
    assert!(refusal(&json!({"items": with_id})).1.contains("at most"));
    let unknown: Vec<Value> = (0..2_000).map(|at| json!({"$ref": format!("#/x-list/{}", at + 1)})).collect();
    assert!(refusal(&json!({"$ref": "#/x-list/0", "x-list": unknown})).1.contains("at most"));
}

#[test]
fn schemas_that_refer_to_one_another_are_taken() {
    let node = |at: usize| {
        let to = |step: usize| json!({"$ref": format!("#/$defs/a{}", (at + step) % 100)});
        json!({"type": "object", "properties": {"l": to(1), "r": {"type": "array", "items": to(7)}, "up": {"$ref": "#"}}})
    };
    let defs: Map<String, Value> = (0..100).map(|at| (format!("a{at}"), node(at))).collect();
    assert!(prepare(&json!({"$ref": "#/$defs/a0", "$defs": defs})).is_ok());
}

#[test]
fn copies_beyond_what_memory_holds_are_refused() {
    let twice = |to: String| {
        let copy = json!({"type": "object", "$ref": to});
        json!({"type": "object", "additionalProperties": false, "properties": {"p": copy, "q": copy}})
    };
    let (path, message) = refusal(&chain(40, twice));
    assert!(path == "#/$defs/a0" && message.contains("copy"), "{path}: {message}");
    assert!(prepare(&chain(10, twice)).is_ok());
    // What stands alone, or beside what says nothing, is compiled once.
    let shared = |to: String| {
        let same = json!({"description": "d", "$ref": to});
        json!({"type": "object", "properties": {"p": same, "q": same}})
    };
    assert!(prepare(&chain(40, shared)).is_ok());
}

#[test]
fn what_costs_the_engine_much_is_bounded() {
    let names: Vec<String> = (0..40_000).map(|at| format!("{at:x}")).collect();
    assert!(refusal(&json!({"type": "object", "required": names})).1.contains("names"));
    let patterns: Map<String, Value> = (0..101).map(|at| (format!("^{at}$"), json!({}))).collect();
    let (path, message) = refusal(&json!({"properties": {"p": {"patternProperties": patterns}}}));
    assert!(
        path == "#/properties/p/patternProperties" && message.contains("101 patterns"),
        "{path}: {message}"
    );
    let classes = "\\p{L}".repeat(20_000);
    assert_eq!(refusal(&json!({"type": "string", "pattern": classes})).0, "#/pattern");
    // The same number again and again is no more than once.
    let multiples: Vec<Value> = (0..20_000).map(|at| json!({"multipleOf": 1 + at % 3})).collect();
    let begun = std::time::Instant::now();
    assert!(prepare(&json!({"anyOf": multiples})).is_ok());
    assert!(begun.elapsed().as_secs() < 5, "{:?}", begun.elapsed());
}

#[test]
fn patterns_that_take_long_to_check_end_in_a_refusal() {
    let one = |at: usize| {
        (format!("p{at}"), json!({"type": "string", "pattern": format!("^\\p{{L}}{{200}}{at}$")}))
    };
    let begun = std::time::Instant::now();
    let many: Map<String, Value> = (0..4_000).map(one).collect();
    let (path, message) = refusal(&json!({"type": "object", "properties": many}));
    assert!(path.starts_with("#/properties/p") && message.contains("more than 5 s"), "{path}: {message}");
    assert!(begun.elapsed().as_secs() < 20, "{:?}", begun.elapsed());
}

#[test]
fn a_place_under_a_long_name_is_short() {
    let many: Map<String, Value> = (0..5_000).map(|at| (format!("{at}"), json!(true))).collect();
    let mut schema = json!({"properties": {"n".repeat(300_000): {"properties": many}}});
    assert!(prepare(&schema).is_ok());
    schema["properties"]["n".repeat(300_000)]["properties"]["7"] = json!({"not": {}});
    let (path, _) = refusal(&schema);
    assert!(path.len() < 200 && path.ends_with("n…/properties/7/not"), "{path}");
}

//! Grammars and schemas that ask for more than they say: each is refused soon, or compiled within bounds, and none takes the
//! process with it.

#![expect(clippy::unwrap_used, reason = "tests")]

mod support;

use pawl_llm::Grammar;
use serde_json::Value;
use support::shared;

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

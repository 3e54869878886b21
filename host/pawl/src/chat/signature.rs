//! A JSON Schema as a line that a small model reads well: the types as TypeScript would write them. A tenth of the
//! tokens of the schema itself; the grammar, not the prompt, is what enforces it.

use std::collections::{HashMap, HashSet};

use serde_json::{Value, json};

/// Nesting after which a type is written as `…`.
const DEPTH: usize = 5;
/// Enum values shown before `…`.
const CASES: usize = 12;

/// The type of a schema, as in `{"title": string, "attendees": string[]}`.
pub(crate) fn signature(schema: &Value) -> String {
    render(schema, 0)
}

fn render(schema: &Value, depth: usize) -> String {
    if depth > DEPTH {
        return "…".into();
    }
    if let Some(value) = schema.get("const") {
        return value.to_string();
    }
    if let Some(Value::Array(cases)) = schema.get("enum") {
        return union(cases.iter().take(CASES).map(Value::to_string), cases.len() > CASES);
    }
    for key in ["anyOf", "oneOf"] {
        if let Some(Value::Array(cases)) = schema.get(key) {
            return union(merged(cases).iter().map(|case| render(case, depth + 1)), false);
        }
    }
    match schema.get("type") {
        Some(Value::Array(types)) => {
            union(types.iter().filter_map(Value::as_str).map(|name| of_type(name, schema, depth)), false)
        }
        Some(Value::String(name)) => of_type(name, schema, depth),
        _ if schema.get("properties").is_some() => object(schema, depth),
        _ => "any".into(),
    }
}

fn of_type(name: &str, schema: &Value, depth: usize) -> String {
    match name {
        "object" => object(schema, depth),
        "array" => array(schema, depth),
        other => other.to_owned(),
    }
}

fn array(schema: &Value, depth: usize) -> String {
    if let Some(Value::Array(items)) = schema.get("prefixItems") {
        let items: Vec<String> = items.iter().map(|item| render(item, depth + 1)).collect();
        return format!("[{}]", items.join(", "));
    }
    match schema.get("items") {
        Some(items) => {
            let item = render(items, depth + 1);
            if item.contains(" | ") { format!("({item})[]") } else { format!("{item}[]") }
        }
        None => "any[]".into(),
    }
}

fn object(schema: &Value, depth: usize) -> String {
    let Some(Value::Object(properties)) = schema.get("properties") else {
        return "{}".into();
    };
    let required: HashSet<&str> =
        schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let fields: Vec<String> = properties
        .iter()
        .map(|(name, field)| {
            let mark = if required.contains(name.as_str()) { "" } else { "?" };
            let note = field.get("description").and_then(Value::as_str);
            let note = note.map(|text| format!(" /* {} */", one_line(text))).unwrap_or_default();
            format!("{}{mark}: {}{note}", Value::from(name.as_str()), render(field, depth + 1))
        })
        .collect();
    format!("{{{}}}", fields.join(", "))
}

/// Cases that differ in one constant only, as calls of tools with the same arguments do, as one case with a choice of
/// constants: the same type, and told once.
fn merged(cases: &[Value]) -> Vec<Value> {
    let mut merged: Vec<Value> = Vec::new();
    let mut places = HashMap::new();
    for case in cases {
        let mut case = case.clone();
        let constant = case.get_mut("properties").and_then(Value::as_object_mut).and_then(|properties| {
            properties.iter_mut().find_map(|(name, field)| {
                let constant = field.as_object_mut()?.remove("const")?;
                Some((name.clone(), constant))
            })
        });
        let Some((name, constant)) = constant else {
            merged.push(case);
            continue;
        };
        let place = *places.entry((case.to_string(), name.clone())).or_insert(merged.len());
        if place == merged.len() {
            case["properties"][&name]["anyOf"] = Value::Array(Vec::new());
            merged.push(case);
        }
        if let Some(constants) = merged[place]["properties"][&name]["anyOf"].as_array_mut() {
            constants.push(json!({"const": constant}));
        }
    }
    merged
}

fn union(cases: impl Iterator<Item = String>, more: bool) -> String {
    let mut cases: Vec<String> = cases.collect();
    if more {
        cases.push("…".into());
    }
    cases.join(" | ")
}

/// One line of plain text, whatever a description holds.
pub(crate) fn one_line(text: &str) -> String {
    text.replace("*/", "").split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn types_are_written_as_typescript_would() {
        let schema = json!({"type": "object", "required": ["title", "kind"], "properties": {
            "title": {"type": "string", "description": "what\nfor"},
            "kind": {"enum": ["a", "b"]},
            "when": {"anyOf": [{"type": "string"}, {"type": "null"}]},
            "tags": {"type": "array", "items": {"type": "string"}},
            "pair": {"type": "array", "prefixItems": [{"type": "integer"}, {"type": "boolean"}]},
            "rows": {"type": "array", "items": {"type": ["number", "null"]}},
        }});
        assert_eq!(
            signature(&schema),
            r#"{"title": string /* what for */, "kind": "a" | "b", "when"?: string | null, "tags"?: string[], "pair"?: [integer, boolean], "rows"?: (number | null)[]}"#
        );
    }

    #[test]
    fn cases_that_differ_in_one_constant_are_told_once() {
        let call = |name: &str, arguments: Value| json!({"properties": {"name": {"const": name}, "arguments": arguments}, "required": ["name"]});
        let day = json!({"properties": {"day": {"type": "integer"}}});
        let schema = json!({"anyOf": [call("open", day.clone()), {"type": "null"}, call("sing", json!({})), call("close", day)]});
        assert_eq!(
            signature(&schema),
            r#"{"name": "open" | "close", "arguments"?: {"day"?: integer}} | null | {"name": "sing", "arguments"?: any}"#
        );
    }

    #[test]
    fn deep_nesting_ends() {
        let mut schema = json!({"type": "string"});
        for _ in 0..100 {
            schema = json!({"type": "array", "items": schema});
        }
        assert!(signature(&schema).len() < 40);
    }
}

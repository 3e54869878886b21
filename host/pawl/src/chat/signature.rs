//! A JSON Schema as a line that a small model reads well: the types as TypeScript would write them. A tenth of the
//! tokens of the schema itself; the grammar, not the prompt, is what enforces it.

use std::collections::{HashMap, HashSet};

use serde_json::{Value, json};

/// Nesting after which a type is written as `…`.
const DEPTH: usize = 5;
/// References within references that are followed.
const HOPS: usize = 16;
/// Enum values shown before `…`.
const CASES: usize = 12;

/// The type of a schema, as in `{"title": string, "attendees": string[]}`. What is referred to stands where it is first
/// referred to, under its name where that comes again: `{"home": Place={"city": string}, "work": Place}`.
pub(crate) fn signature(schema: &Value) -> String {
    let mut uses = HashMap::new();
    count(schema, &mut uses);
    Writer { root: schema, uses, told: HashSet::new(), within: 0 }.render(schema, 0)
}

/// How often each place is referred to.
fn count<'s>(schema: &'s Value, uses: &mut HashMap<&'s str, usize>) {
    match schema {
        Value::Object(members) => {
            if let Some(Value::String(place)) = members.get("$ref") {
                *uses.entry(place).or_default() += 1;
            }
            members.values().for_each(|member| count(member, uses));
        }
        Value::Array(items) => items.iter().for_each(|item| count(item, uses)),
        _ => {}
    }
}

struct Writer<'s> {
    root: &'s Value,
    uses: HashMap<&'s str, usize>,
    /// Places that stand in the text already, so that it grows no longer than the schema, and ends.
    told: HashSet<String>,
    /// References that are followed now.
    within: usize,
}

impl Writer<'_> {
    fn render(&mut self, schema: &Value, depth: usize) -> String {
        if depth > DEPTH {
            return "…".into();
        }
        if let Some(value) = schema.get("const") {
            return value.to_string();
        }
        if let Some(Value::Array(cases)) = schema.get("enum") {
            return union(cases.iter().take(CASES).map(Value::to_string), cases.len() > CASES);
        }
        if let Some(Value::String(place)) = schema.get("$ref") {
            return self.referred(place, depth);
        }
        for key in ["anyOf", "oneOf"] {
            if let Some(Value::Array(cases)) = schema.get(key) {
                let cases = merged(cases);
                return union(cases.iter().map(|case| self.render(case, depth + 1)), false);
            }
        }
        match schema.get("type") {
            Some(Value::Array(types)) => {
                let names = types.iter().filter_map(Value::as_str);
                union(names.map(|name| self.of_type(name, schema, depth)), false)
            }
            Some(Value::String(name)) => self.of_type(name, schema, depth),
            _ if schema.get("properties").is_some() => self.object(schema, depth),
            _ => match schema.get("allOf") {
                Some(Value::Array(parts)) => {
                    let parts: Vec<String> =
                        parts.iter().map(|part| grouped(self.render(part, depth + 1))).collect();
                    parts.join(" & ")
                }
                _ => "any".into(),
            },
        }
    }

    fn referred(&mut self, place: &str, depth: usize) -> String {
        let root = self.root;
        let pointed = place.strip_prefix('#').and_then(|pointer| root.pointer(pointer));
        let Some(schema) = pointed else { return "any".into() };
        let name = place.rsplit('/').next().unwrap_or_default();
        if self.within == HOPS || !self.told.insert(place.to_owned()) {
            return name.to_owned();
        }
        self.within += 1;
        let written = self.render(schema, depth);
        self.within -= 1;
        let again = self.uses.get(place).is_some_and(|uses| *uses > 1);
        if again { format!("{name}={}", grouped(written)) } else { written }
    }

    fn of_type(&mut self, name: &str, schema: &Value, depth: usize) -> String {
        match name {
            "object" => self.object(schema, depth),
            "array" => self.array(schema, depth),
            other => other.to_owned(),
        }
    }

    fn array(&mut self, schema: &Value, depth: usize) -> String {
        if let Some(Value::Array(items)) = schema.get("prefixItems") {
            let items: Vec<String> = items.iter().map(|item| self.render(item, depth + 1)).collect();
            return format!("[{}]", items.join(", "));
        }
        match schema.get("items") {
            Some(items) => format!("{}[]", grouped(self.render(items, depth + 1))),
            None => "any[]".into(),
        }
    }

    fn object(&mut self, schema: &Value, depth: usize) -> String {
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
                format!("{}{mark}: {}{note}", Value::from(name.as_str()), self.render(field, depth + 1))
            })
            .collect();
        format!("{{{}}}", fields.join(", "))
    }
}

/// In brackets, where it is of several types.
fn grouped(written: String) -> String {
    if written.contains(" | ") { format!("({written})") } else { written }
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
    fn what_is_referred_to_is_told_where_it_is_first_named() {
        let schema = json!({"type": "object", "properties": {
                "level": {"$ref": "#/$defs/Level", "description": "how soon"},
                "home": {"$ref": "#/$defs/Place"},
                "work": {"allOf": [{"$ref": "#/$defs/Place"}]},
                "parts": {"type": "array", "items": {"$ref": "#/$defs/Part"}},
                "other": {"$ref": "https://elsewhere.example/schema"}},
            "$defs": {
                "Level": {"enum": ["low", "high"]},
                "Place": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
                "Part": {"type": "object", "properties": {"parts": {"type": "array", "items": {"$ref": "#/$defs/Part"}}}}}});
        assert_eq!(
            signature(&schema),
            r#"{"level"?: "low" | "high" /* how soon */, "home"?: Place={"city": string}, "work"?: Place, "parts"?: Part={"parts"?: Part[]}[], "other"?: any}"#
        );
    }

    #[test]
    fn references_without_end_end() {
        let mut definitions = serde_json::Map::new();
        for n in 0..100_000 {
            let next = json!({"$ref": format!("#/$defs/a{}", n + 1)});
            definitions.insert(format!("a{n}"), json!({"anyOf": [next.clone(), next]}));
        }
        let schema = json!({"$ref": "#/$defs/a0", "$defs": definitions});
        assert!(signature(&schema).len() < 1000);
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

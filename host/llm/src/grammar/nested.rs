//! JSON Schemas with the keyword `x-pawl`, by which a string is held to what exists.
//!
//! | `x-pawl` beside `"type": "string"` | the string is |
//! | --- | --- |
//! | `{"quote": "TEXT"}` | a run of whole words of TEXT ([`super::quotes`]); `minLength` and `maxLength` may stand beside it |
//! | `{"lark": "GRAMMAR"}` | what the Lark grammar takes (its rule `start`) |
//!
//! The engine's JSON compiler cannot nest a grammar, but its Lark can nest JSON. So the path down to an `x-pawl` is
//! written in Lark here, in the form that `schema.rs` asks of the engine: one spacing, keys in the schema's order. All
//! that has no `x-pawl` inside stays a JSON Schema.
//!
//! Invariant: on the path every keyword is enforced or refused with its place. Two alternatives never share a
//! beginning that the engine's lexer would read for one of them only.

use std::collections::HashMap;

use serde_json::{Map, Value, json};

use super::{
    escape, image,
    quotation::{self, Length},
};
use crate::{
    Error,
    schema::{self, children, escape as pointer, refused},
};

/// Our keyword.
pub(crate) const KEYWORD: &str = "x-pawl";

/// Says nothing about values.
const ANNOTATIONS: [&str; 13] = [
    "title",
    "description",
    "default",
    "examples",
    "$comment",
    "$schema",
    "$id",
    "deprecated",
    "readOnly",
    "writeOnly",
    "$defs",
    "definitions",
    "x-guidance",
];
/// Most items that an array on the path may demand or allow.
const MAX_ITEMS: u64 = 100_000;

/// Whether an `x-pawl` is in it. The schema's depth was checked.
pub(crate) fn has_rule(schema: &Value) -> bool {
    schema.get(KEYWORD).is_some() || children(schema, "").into_iter().any(|(_, child)| has_rule(child))
}

/// The lines of a Lark grammar for the values of a schema in which [`has_rule`].
pub(crate) fn lark(schema: &Value) -> Result<String, Error> {
    schema::measure(schema)?;
    for keyword in ["$defs", "definitions"] {
        if let Some((name, _)) = named(schema, keyword).find(|(_, definition)| has_rule(definition)) {
            let path = format!("#/{keyword}/{}", pointer(name));
            return Err(refused(
                &path,
                format!("`{KEYWORD}` inside `{keyword}` is not supported; write it where it is used"),
            ));
        }
    }
    let mut writer = Writer { root: schema, lines: Vec::new(), names: HashMap::new(), larks: HashMap::new() };
    let value = writer.value(schema, "#")?;
    Ok(format!("start: {value}\n{}", writer.lines.join("\n")))
}

/// The parts of a schema without an `x-pawl` inside, as large as they can be, each with its place.
pub(super) fn plain_parts(schema: &Value, path: &str) -> Vec<(String, Value)> {
    plain_parts_of(schema, schema, path)
}

fn plain_parts_of(root: &Value, schema: &Value, path: &str) -> Vec<(String, Value)> {
    if schema.get(KEYWORD).is_some() {
        return Vec::new();
    }
    if !has_rule(schema) {
        return vec![(path.to_owned(), with_definitions(root, schema))];
    }
    children(schema, path)
        .into_iter()
        .flat_map(|(place, child)| plain_parts_of(root, child, &place))
        .collect()
}

fn named<'a>(schema: &'a Value, keyword: &str) -> impl Iterator<Item = (&'a String, &'a Value)> {
    schema.get(keyword).and_then(Value::as_object).into_iter().flatten()
}

/// A part for itself: with the root's definitions if it refers to any.
fn with_definitions(root: &Value, part: &Value) -> Value {
    let mut part = part.clone();
    let keywords =
        if references(&part).is_empty() { &["$schema"][..] } else { &["$schema", "$defs", "definitions"] };
    if let Some(object) = part.as_object_mut() {
        for keyword in keywords {
            if let Some(value) = root.get(*keyword) {
                object.entry(*keyword).or_insert_with(|| value.clone());
            }
        }
    }
    part
}

/// What a schema refers to, what is in its definitions included.
fn references(schema: &Value) -> Vec<&Value> {
    let mut found: Vec<&Value> = schema.get("$ref").into_iter().collect();
    found.extend(children(schema, "").into_iter().flat_map(|(_, child)| references(child)));
    found
}

struct Writer<'a> {
    root: &'a Value,
    lines: Vec<String>,
    /// The names of bodies that were written already.
    names: HashMap<String, String>,
    /// The names of Lark grammars that were rewritten already.
    larks: HashMap<String, String>,
}

impl Writer<'_> {
    /// Names a rule or a terminal; the same body gets the same name.
    fn define(&mut self, prefix: &str, body: &str) -> String {
        if let Some(name) = self.names.get(body) {
            return name.clone();
        }
        let name = format!("{prefix}{}", self.lines.len());
        self.lines.push(format!("{name}: {body}"));
        self.names.insert(body.to_owned(), name.clone());
        name
    }

    /// One atom for the values of a schema.
    fn value(&mut self, schema: &Value, path: &str) -> Result<String, Error> {
        if !has_rule(schema) {
            let part = with_definitions(self.root, schema);
            let known = |to: &&Value| {
                to.as_str().is_some_and(|to| to.starts_with("#/$defs/") || to.starts_with("#/definitions/"))
            };
            if let Some(to) = references(&part).into_iter().find(|to| !known(to)) {
                let message = format!(
                    "`$ref` to {to} is not supported in a schema with `{KEYWORD}`; refer to `#/$defs/…`"
                );
                return Err(refused(path, message));
            }
            let prepared = schema::prepare_at(&part, path)?;
            return Ok(self.define("json", &format!("%json {prepared}")));
        }
        let Value::Object(object) = schema else {
            return Err(refused(path, "a schema must be an object or a boolean".into()));
        };
        if object.contains_key(KEYWORD) {
            return self.string(object, path);
        }
        if object.contains_key("anyOf") {
            return self.any_of(object, path);
        }
        match object.get("type").and_then(Value::as_str) {
            Some("object") => self.object(object, path),
            Some("array") => self.array(object, path),
            _ => {
                let inside = children(schema, path).into_iter().find(|(_, child)| has_rule(child));
                let (place, _) = inside.unwrap_or_else(|| (path.to_owned(), schema));
                let message = format!(
                    "`{KEYWORD}` is supported under `properties`, `items`, `prefixItems` (each beside its `type`) and `anyOf` only"
                );
                Err(refused(&place, message))
            }
        }
    }

    fn string(&mut self, object: &Map<String, Value>, path: &str) -> Result<String, Error> {
        only(object, path, &["type", KEYWORD, "minLength", "maxLength"])?;
        if object.get("type") != Some(&json!("string")) {
            return Err(refused(path, format!("`{KEYWORD}` needs `\"type\": \"string\"` beside it")));
        }
        match rule(object, path)? {
            Rule::Quote(text) => {
                let length = Length {
                    min: count(object, "minLength", path)?.unwrap_or(0),
                    max: count(object, "maxLength", path)?,
                };
                let terminal = quotation::terminal(text, length, true);
                let terminal =
                    terminal.map_err(|reason| refused(&format!("{path}/{KEYWORD}/quote"), reason))?;
                Ok(self.define("QUOTE", &terminal))
            }
            Rule::Lark(grammar) => {
                if let Some(keyword) =
                    ["minLength", "maxLength"].into_iter().find(|k| object.contains_key(*k))
                {
                    let message =
                        format!("`{keyword}` beside a Lark grammar is not supported; bound the grammar");
                    return Err(refused(&format!("{path}/{keyword}"), message));
                }
                if let Some(name) = self.larks.get(grammar) {
                    return Ok(name.clone());
                }
                let place = format!("{path}/{KEYWORD}/lark");
                let lines = checked(grammar).map_err(|reason| refused(&place, reason))?;
                let name = self.define("lark", &format!("\"\\\"\" %lark {{\n{lines}}} \"\\\"\""));
                self.larks.insert(grammar.to_owned(), name.clone());
                Ok(name)
            }
        }
    }

    fn any_of(&mut self, object: &Map<String, Value>, path: &str) -> Result<String, Error> {
        only(object, path, &["anyOf"])?;
        let place = format!("{path}/anyOf");
        let choices = object.get("anyOf").and_then(Value::as_array);
        let choices = choices.ok_or_else(|| refused(&place, "`anyOf` needs a list".into()))?;
        // The engine's lexer takes the quote that a Lark string begins with for the begin of any other string.
        let strings = choices.iter().filter(|choice| may_be_string(choice)).count();
        if strings > 1
            && let Some(at) = choices.iter().position(has_lark)
        {
            let message =
                "a Lark grammar beside another string in `anyOf` is not supported; make them one grammar";
            return Err(refused(&format!("{place}/{at}"), message.into()));
        }
        let one = |(at, choice)| self.value(choice, &format!("{place}/{at}"));
        let all: Vec<String> = choices.iter().enumerate().map(one).collect::<Result<_, _>>()?;
        Ok(self.define("any", &all.join(" | ")))
    }

    fn object(&mut self, object: &Map<String, Value>, path: &str) -> Result<String, Error> {
        only(object, path, &["type", "properties", "required", "additionalProperties"])?;
        if object.get("additionalProperties") != Some(&Value::Bool(false)) {
            let message = format!("`{KEYWORD}` inside an object needs `\"additionalProperties\": false`");
            return Err(refused(path, message));
        }
        let empty = Map::new();
        let properties = object.get("properties").and_then(Value::as_object).unwrap_or(&empty);
        let required = required(object, properties, path)?;
        // From the last property to the first: what may follow with something before it, and with nothing.
        let (mut after, mut first) = ("\"\"".to_owned(), "\"\"".to_owned());
        for (name, schema) in properties.iter().rev() {
            let value = self.value(schema, &format!("{path}/properties/{}", pointer(name)))?;
            let key = escape::literal(&json!(name).to_string());
            let item = self.define("item", &format!("{key} \": \" {value}"));
            let must = required.contains(&name.as_str());
            first = if must { format!("{item} {after}") } else { format!("{item} {after} | {first}") };
            after = if must { format!("\", \" {item} {after}") } else { format!("(\", \" {item})? {after}") };
            first = self.define("first", &first);
            after = self.define("after", &after);
        }
        Ok(self.define("object", &format!("\"{{\" {first} \"}}\"")))
    }

    fn array(&mut self, object: &Map<String, Value>, path: &str) -> Result<String, Error> {
        only(object, path, &["type", "items", "prefixItems", "minItems", "maxItems"])?;
        let min = count(object, "minItems", path)?.unwrap_or(0);
        let max = count(object, "maxItems", path)?;
        if max.is_some_and(|max| max < min) {
            return Err(refused(path, format!("`minItems` {min} is more than `maxItems`")));
        }
        if let Some(prefix) = object.get("prefixItems") {
            return self.tuple(object, prefix, (min, max), path);
        }
        let items = object.get("items").unwrap_or(&Value::Bool(true));
        let item = self.value(items, &format!("{path}/items"))?;
        let more = match (min.saturating_sub(1), max.map(|max| max.saturating_sub(1))) {
            (_, Some(0)) => String::new(),
            (low, high) => {
                let high = high.map_or_else(String::new, |high| high.to_string());
                format!(" (\", \" {item}){{{low},{high}}}")
            }
        };
        let inside = match (min, max) {
            (_, Some(0)) => "\"\"".to_owned(),
            (0, _) => format!("({item}{more})?"),
            _ => format!("{item}{more}"),
        };
        Ok(self.define("array", &format!("\"[\" {inside} \"]\"")))
    }

    /// An array of exactly these.
    fn tuple(
        &mut self,
        object: &Map<String, Value>,
        prefix: &Value,
        (min, max): (u64, Option<u64>),
        path: &str,
    ) -> Result<String, Error> {
        let place = format!("{path}/prefixItems");
        let prefix = prefix.as_array().ok_or_else(|| refused(&place, "`prefixItems` needs a list".into()))?;
        let count = prefix.len() as u64;
        if object.get("items") != Some(&Value::Bool(false)) || min != count || max != Some(count) {
            let message = format!(
                "`{KEYWORD}` inside `prefixItems` needs `\"items\": false` and `minItems` and `maxItems` of {count}"
            );
            return Err(refused(&place, message));
        }
        let one = |(at, schema)| self.value(schema, &format!("{place}/{at}"));
        let all: Vec<String> = prefix.iter().enumerate().map(one).collect::<Result<_, _>>()?;
        Ok(self.define("array", &format!("\"[\" {} \"]\"", all.join(" \", \" "))))
    }
}

/// What an `x-pawl` holds a string to.
pub(super) enum Rule<'a> {
    Quote(&'a str),
    Lark(&'a str),
}

/// Reads the `x-pawl` of a string schema.
pub(super) fn rule<'a>(object: &'a Map<String, Value>, path: &str) -> Result<Rule<'a>, Error> {
    let path = format!("{path}/{KEYWORD}");
    let wrong =
        |message: &str| refused(&path, format!("{message}; it takes one of `quote` and `lark`, a string"));
    let rules = object.get(KEYWORD).and_then(Value::as_object).ok_or_else(|| wrong("it is not an object"))?;
    let mut all = rules.iter();
    let (Some((key, value)), None) = (all.next(), all.next()) else {
        return Err(wrong(&format!("it has {} keys", rules.len())));
    };
    match (key.as_str(), value) {
        ("quote", Value::String(text)) => Ok(Rule::Quote(text)),
        ("lark", Value::String(grammar)) => Ok(Rule::Lark(grammar)),
        _ => Err(wrong(&format!("`{key}` with {value:.40} is not supported"))),
    }
}

/// The grammar for the inside of a string. What the engine refuses is told here, where the place is known.
fn checked(grammar: &str) -> Result<String, String> {
    super::holds::compile(grammar)?;
    image::image(grammar)
}

/// Refuses keywords that are neither in `known` nor annotations.
fn only(object: &Map<String, Value>, path: &str, known: &[&str]) -> Result<(), Error> {
    let ours =
        |keyword: &&String| known.contains(&keyword.as_str()) || ANNOTATIONS.contains(&keyword.as_str());
    match object.keys().find(|keyword| !ours(keyword)) {
        None => Ok(()),
        Some(keyword) => {
            let message = format!("keyword `{keyword}` is not supported beside or above `{KEYWORD}`");
            Err(refused(&format!("{path}/{}", pointer(keyword)), message))
        }
    }
}

fn count(object: &Map<String, Value>, keyword: &str, path: &str) -> Result<Option<u64>, Error> {
    let Some(value) = object.get(keyword) else { return Ok(None) };
    let number = value.as_u64().filter(|n| *n <= MAX_ITEMS);
    number.map(Some).ok_or_else(|| {
        let message = format!("`{keyword}` is {value}; a whole number up to {MAX_ITEMS} is supported");
        refused(&format!("{path}/{keyword}"), message)
    })
}

fn required<'a>(
    object: &'a Map<String, Value>,
    properties: &Map<String, Value>,
    path: &str,
) -> Result<Vec<&'a str>, Error> {
    let path = format!("{path}/required");
    let names = match object.get("required") {
        None => return Ok(Vec::new()),
        Some(Value::Array(names)) => names.iter().map(Value::as_str).collect::<Option<Vec<_>>>(),
        Some(_) => None,
    };
    let names = names.ok_or_else(|| refused(&path, "`required` needs a list of names".into()))?;
    match names.iter().find(|name| !properties.contains_key(**name)) {
        None => Ok(names),
        Some(name) => Err(refused(&path, format!("`{name}` is required and is not among the properties"))),
    }
}

/// Whether a choice, or a choice inside it, is a Lark string.
fn has_lark(schema: &Value) -> bool {
    let nested = || schema.get("anyOf").and_then(Value::as_array).is_some_and(|all| all.iter().any(has_lark));
    schema.get(KEYWORD).is_some_and(|rules| rules.get("lark").is_some()) || nested()
}

/// Whether a value of the schema may begin with a quote; `true` where that is not plain to see.
fn may_be_string(schema: &Value) -> bool {
    let type_is = |kind: &str| match schema.get("type") {
        Some(Value::String(only)) => Some(only == kind),
        Some(Value::Array(kinds)) => Some(kinds.iter().any(|k| k == kind)),
        _ => None,
    };
    let all_others = |values: &[Value]| !values.iter().any(Value::is_string);
    if let Some(string) = type_is("string") {
        return string;
    }
    if let Some(value) = schema.get("const") {
        return value.is_string();
    }
    if let Some(values) = schema.get("enum").and_then(Value::as_array) {
        return !all_others(values);
    }
    match schema.get("anyOf").and_then(Value::as_array) {
        Some(choices) => choices.iter().any(may_be_string),
        None => true,
    }
}

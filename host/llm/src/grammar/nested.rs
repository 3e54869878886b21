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

mod members;

use std::collections::HashMap;

use serde_json::{Map, Value, json};

use self::members::count;
use super::{
    image,
    limits::{self, MAX_WRITTEN_BYTES},
    quotation::{self, Length},
};
use crate::{
    Error,
    schema::{self, Work, children, definition, escape as pointer, refused},
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

/// Whether an `x-pawl` is in it. The schema's depth was checked.
pub(crate) fn has_rule(schema: &Value) -> bool {
    schema.get(KEYWORD).is_some() || children(schema).into_iter().any(|(_, child)| has_rule(child))
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
    let mut writer = Writer {
        root: schema,
        lines: Vec::new(),
        bytes: 0,
        names: HashMap::new(),
        larks: HashMap::new(),
        work: Work::default(),
    };
    let value = writer.value(schema, "#")?;
    Ok(format!("start: {value}\n{}", writer.lines.join("\n")))
}

/// The parts of a schema without an `x-pawl` inside, as large as they can be, each with its place.
pub(super) fn plain_parts<'a>(schema: &'a Value, path: &str) -> Vec<(String, &'a Value)> {
    if schema.get(KEYWORD).is_some() {
        return Vec::new();
    }
    if !has_rule(schema) {
        return vec![(path.to_owned(), schema)];
    }
    let inside = children(schema).into_iter();
    inside.flat_map(|(place, child)| plain_parts(child, &place.under(path))).collect()
}

fn named<'a>(schema: &'a Value, keyword: &str) -> impl Iterator<Item = (&'a String, &'a Value)> {
    schema.get(keyword).and_then(Value::as_object).into_iter().flatten()
}

/// A part for itself: with those of the root's definitions that it refers to, and that they do.
pub(super) fn alone(root: &Value, part: &Value) -> Value {
    let mut part = part.clone();
    let (mut reached, mut queue) = (HashMap::<&str, Map<String, Value>>::new(), Vec::new());
    references(&part, &mut queue);
    while let Some(reference) = queue.pop() {
        let Some((keyword, name)) = reference.as_str().and_then(definition) else { continue };
        let all = reached.entry(keyword).or_default();
        if let Some(schema) = root.get(keyword).and_then(|all| all.get(&name))
            && !all.contains_key(&name)
        {
            all.insert(name, schema.clone());
            references(schema, &mut queue);
        }
    }
    if let Some(object) = part.as_object_mut() {
        if let Some(draft) = root.get("$schema") {
            object.entry("$schema").or_insert_with(|| draft.clone());
        }
        for keyword in ["$defs", "definitions"] {
            if let Some(all) = reached.remove(keyword).filter(|all| !all.is_empty()) {
                object.insert(keyword.to_owned(), Value::Object(all));
            }
        }
    }
    part
}

/// Collects what a schema refers to, what is in its definitions included.
fn references<'a>(schema: &'a Value, found: &mut Vec<&'a Value>) {
    found.extend(schema.get("$ref"));
    children(schema).into_iter().for_each(|(_, child)| references(child, found));
}

struct Writer<'a> {
    root: &'a Value,
    lines: Vec<String>,
    bytes: usize,
    /// The names of bodies that were written already.
    names: HashMap<String, String>,
    /// The names of Lark grammars that were rewritten already.
    larks: HashMap<String, String>,
    work: Work,
}

impl Writer<'_> {
    /// Names a rule or a terminal; the same body gets the same name.
    fn define(&mut self, prefix: &str, body: &str) -> String {
        if let Some(name) = self.names.get(body) {
            return name.clone();
        }
        let name = format!("{prefix}{}", self.lines.len());
        self.bytes += name.len() + body.len();
        self.lines.push(format!("{name}: {body}"));
        self.names.insert(body.to_owned(), name.clone());
        name
    }

    /// One atom for the values of a schema.
    fn value(&mut self, schema: &Value, path: &str) -> Result<String, Error> {
        self.work.go_on(path)?;
        let value = self.written(schema, path)?;
        if self.bytes > MAX_WRITTEN_BYTES {
            let message = format!(
                "up to here more than {MAX_WRITTEN_BYTES} bytes of grammar; each part without `{KEYWORD}` takes its definitions along"
            );
            return Err(refused(path, message));
        }
        Ok(value)
    }

    fn written(&mut self, schema: &Value, path: &str) -> Result<String, Error> {
        if !has_rule(schema) {
            let part = alone(self.root, schema);
            let known = |to: &&Value| {
                to.as_str().is_some_and(|to| to.starts_with("#/$defs/") || to.starts_with("#/definitions/"))
            };
            let mut all = Vec::new();
            references(&part, &mut all);
            if let Some(to) = all.into_iter().find(|to| !known(to)) {
                let message = format!(
                    "`$ref` to {to} is not supported in a schema with `{KEYWORD}`; refer to `#/$defs/…`"
                );
                return Err(refused(path, message));
            }
            let prepared = schema::prepare_at(&part, path, &mut self.work)?;
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
                let inside = children(schema).into_iter().find(|(_, child)| has_rule(child));
                let place = inside.map_or_else(|| path.to_owned(), |(place, _)| place.under(path));
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

/// The grammar for the inside of a string. What the engine refuses is told here, where the place is known; it is given
/// nothing that has no meaning inside a string, such as a schema.
fn checked(grammar: &str) -> Result<String, String> {
    limits::check(grammar).map_err(|e| e.to_string())?;
    let image = image::image(grammar)?;
    super::holds::compile(grammar)?;
    Ok(image)
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

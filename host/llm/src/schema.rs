//! JSON Schema to the subset that the grammar engine enforces to the letter.
//!
//! Invariant: whatever [`prepare`] lets through is enforced as it stands or more narrowly, never more widely. What
//! cannot be enforced is refused with its keyword and its place. Vocabulary: JSON Schema 2020-12, and the older drafts'
//! spellings that llguidance takes.
//!
//! Narrowed, because the engine reads bounds as f64 and counts in i64:
//! - numbers stay between ±(2^63 - 1024), so that every reader can hold them, and have no exponent; integer bounds that
//!   an f64 does not hold are moved inwards to one that it does;
//! - an integer is never written `-0`, which most readers take for a float;
//! - the keys of an object come in the schema's order;
//! - U+0000 does not come under some patterns (`pattern.rs`).

pub(crate) mod chain;
mod places;
mod references;

use std::{
    collections::HashSet,
    time::{Duration, Instant},
};

use serde_json::{Map, Value, json};

pub(crate) use self::{
    places::{children, escape},
    references::{check as check_references, definition},
};
use crate::{
    Error,
    bounds::{finite, multiples_of, split_integer},
    grammar::{MAX_QUOTED_BYTES, nested::KEYWORD},
    pattern::{can_be_checked, for_engine},
};

/// Most bytes of a schema, as compact JSON.
pub(crate) const MAX_SCHEMA_BYTES: usize = 512 << 10;
/// Most schemas inside schemas.
const MAX_SCHEMA_DEPTH: usize = 48;
/// Most items, properties or characters that a schema may demand or allow by number; a bound costs grammar rules.
const MAX_COUNT: u64 = 100_000;
/// Longest that preparing a schema may take; a pattern, or a grammar inside a string, is compiled to see whether it can be.
const PREPARING: Duration = Duration::from_secs(5);
/// Most of what makes a regex large beyond its text: classes of Unicode, 6 KB each when it is parsed.
const MAX_CLASSES: usize = 10_000;
/// Integers up to here are exact in an f64.
pub(crate) const MAX_EXACT: u64 = 1 << 53;

/// Keywords that assert something the engine does not enforce.
const REFUSED: [&str; 16] = [
    "not",
    "if",
    "then",
    "else",
    "dependencies",
    "dependentRequired",
    "dependentSchemas",
    "contains",
    "minContains",
    "maxContains",
    "propertyNames",
    "unevaluatedItems",
    "unevaluatedProperties",
    "$dynamicRef",
    "$recursiveRef",
    "uniqueItems",
];

/// Keywords that say nothing about values and that the engine does not know.
const IGNORED: [&str; 5] =
    ["deprecated", "$vocabulary", "contentSchema", "$dynamicAnchor", "$recursiveAnchor"];

/// Keywords whose value is a schema, a list of schemas, or a map of schemas.
const ONE: [&str; 3] = ["items", "additionalItems", "additionalProperties"];
const MANY: [&str; 5] = ["items", "prefixItems", "anyOf", "oneOf", "allOf"];
const NAMED: [&str; 4] = ["properties", "patternProperties", "$defs", "definitions"];
const COUNTS: [&str; 6] =
    ["minItems", "maxItems", "minProperties", "maxProperties", "minLength", "maxLength"];

/// Refuses a schema that is too deep or too large, by itself or by what it refers to, so that nothing after it overflows
/// the stack.
pub(crate) fn measure(schema: &Value) -> Result<(), Error> {
    let mut quoted = 0;
    let bytes = depth_and_size(schema, 0, &mut quoted)?;
    for (bytes, limit, what) in [(bytes, MAX_SCHEMA_BYTES, ""), (quoted, MAX_QUOTED_BYTES, " in `x-pawl`")] {
        if bytes > limit {
            return Err(refused("#", format!("{bytes} bytes{what}, {limit} at most")));
        }
    }
    check_references(schema).map(drop)
}

/// Checks a schema and rewrites what must be narrowed; asks for one spacing. The result is for the engine only.
pub(crate) fn prepare(schema: &Value) -> Result<Value, Error> {
    prepare_at(schema, "#", &mut Work::default())
}

/// [`prepare`] for a part of a schema, at `path` in it.
pub(crate) fn prepare_at(schema: &Value, path: &str, work: &mut Work) -> Result<Value, Error> {
    measure(schema)?;
    let mut multiples = Vec::new();
    multiples_of(schema, path, &mut multiples)?;
    let mut prepared = match rewrite(schema, path, 0, work)? {
        Value::Bool(true) => Map::new(),
        Value::Object(object) => object,
        _ => return Err(refused(path, "it allows no value".into())),
    };
    prepared.insert("x-guidance".into(), spacing());
    Ok(Value::Object(prepared))
}

/// llguidance's options: one spacing, that of Python's `json.dumps`. Models have read most of their JSON so; without
/// the spaces they put them into the strings (`"unit":" loaf"`). No more tokens: `": "` is one.
pub(crate) fn spacing() -> Value {
    json!({"item_separator": ", ", "key_separator": ": ", "whitespace_flexible": false, "lenient": false})
}

pub(crate) fn refused(path: &str, message: String) -> Error {
    Error::Schema { path: path.to_owned(), message }
}

/// A rough size in bytes; recursion is bounded here. The texts of an `x-pawl` go to a count of their own.
fn depth_and_size(value: &Value, depth: usize, quoted: &mut usize) -> Result<usize, Error> {
    if depth > 3 * MAX_SCHEMA_DEPTH {
        return Err(refused("#", format!("nested more than {MAX_SCHEMA_DEPTH} schemas deep")));
    }
    let mut sum = 0;
    match value {
        Value::String(text) => sum += text.len() + 3,
        Value::Array(items) => {
            for item in items {
                sum += depth_and_size(item, depth + 1, quoted)?;
            }
        }
        Value::Object(map) => {
            for (key, value) in map {
                sum += key.len() + 4;
                for (key, value) in value.as_object().filter(|_| key == KEYWORD).into_iter().flatten() {
                    *quoted += key.len() + value.as_str().map_or(0, str::len);
                }
                if key != KEYWORD
                    || !value.as_object().is_some_and(|rules| rules.values().all(Value::is_string))
                {
                    sum += depth_and_size(value, depth + 1, quoted)?;
                }
            }
        }
        _ => sum += 6,
    }
    Ok(sum + 2)
}

/// What was done so far to prepare one schema.
pub(crate) struct Work {
    begun: Instant,
    /// Patterns that were found to be good.
    patterns: HashSet<String>,
}

impl Default for Work {
    fn default() -> Work {
        Work { begun: Instant::now(), patterns: HashSet::new() }
    }
}

impl Work {
    /// Refuses to go on where it took too long.
    pub(crate) fn go_on(&self, path: &str) -> Result<(), Error> {
        if self.begun.elapsed() < PREPARING {
            return Ok(());
        }
        let seconds = PREPARING.as_secs();
        Err(refused(
            path,
            format!("what stands before it took more than {seconds} s to prepare; leave some of it out"),
        ))
    }

    fn pattern(&mut self, pattern: &str, path: &str) -> Result<(), Error> {
        if self.patterns.contains(pattern) {
            return Ok(());
        }
        self.go_on(path)?;
        if has_many_classes(pattern) || !can_be_checked(pattern) {
            let message = format!(
                "the pattern {pattern:.80?} is none that answers can be checked with, or too large; write a smaller one"
            );
            return Err(refused(path, message));
        }
        self.patterns.insert(pattern.to_owned());
        Ok(())
    }
}

/// Whether a regex is too large to be parsed, for its classes.
pub(crate) fn has_many_classes(pattern: &str) -> bool {
    let is_class =
        |pair: &&[u8]| matches!(pair, [b'\\', b'w' | b'W' | b'd' | b'D' | b's' | b'S' | b'p' | b'P']);
    pattern.as_bytes().windows(2).filter(is_class).count() > MAX_CLASSES
}

fn rewrite(schema: &Value, path: &str, depth: usize, work: &mut Work) -> Result<Value, Error> {
    if depth > MAX_SCHEMA_DEPTH {
        return Err(refused(path, format!("nested more than {MAX_SCHEMA_DEPTH} schemas deep")));
    }
    let Value::Object(object) = schema else {
        return match schema {
            Value::Bool(_) => Ok(schema.clone()),
            _ => Err(refused(path, "a schema must be an object or a boolean".into())),
        };
    };
    check_keywords(object, path)?;
    let mut out = Map::new();
    for (keyword, value) in object {
        if IGNORED.contains(&keyword.as_str()) || keyword == "uniqueItems" || keyword == "x-guidance" {
            continue;
        }
        let place = || format!("{path}/{}", escape(keyword));
        let value = match value {
            Value::Object(_) | Value::Bool(_) if ONE.contains(&keyword.as_str()) => {
                rewrite(value, &place(), depth + 1, work)?
            }
            Value::Array(list) if MANY.contains(&keyword.as_str()) => {
                let one =
                    |(i, v): (usize, &Value)| rewrite(v, &format!("{}/{i}", place()), depth + 1, &mut *work);
                Value::Array(list.iter().enumerate().map(one).collect::<Result<_, _>>()?)
            }
            Value::Object(map) if NAMED.contains(&keyword.as_str()) => {
                let patterns = keyword == "patternProperties";
                let key = |name: &String| if patterns { for_engine(name) } else { name.clone() };
                let one = |(name, v): (&String, &Value)| {
                    let place = format!("{}/{}", place(), escape(name));
                    if patterns {
                        work.pattern(name, &place)?;
                    }
                    Ok((key(name), rewrite(v, &place, depth + 1, work)?))
                };
                Value::Object(map.iter().map(one).collect::<Result<_, Error>>()?)
            }
            Value::String(pattern) if keyword == "pattern" => {
                work.pattern(pattern, &place())?;
                for_engine(pattern).into()
            }
            _ => value.clone(),
        };
        out.insert(keyword.clone(), value);
    }
    split_types(out, path)
}

fn check_keywords(object: &Map<String, Value>, path: &str) -> Result<(), Error> {
    for (keyword, value) in object {
        let place = format!("{path}/{}", escape(keyword));
        match keyword.as_str() {
            "uniqueItems" if *value == Value::Bool(false) => {}
            name if REFUSED.contains(&name) => {
                let message = format!("keyword `{name}` cannot be enforced while decoding; leave it out");
                return Err(refused(&place, message));
            }
            name if COUNTS.contains(&name) && value.as_u64().is_none_or(|n| n > MAX_COUNT) => {
                let message = format!("`{name}` is {value}; a whole number up to {MAX_COUNT} is supported");
                return Err(refused(&place, message));
            }
            "$ref" if !value.as_str().is_some_and(|r| r.starts_with('#')) => {
                let message =
                    format!("`$ref` is {value}; only references inside the schema (`#…`) are followed");
                return Err(refused(&place, message));
            }
            KEYWORD => {
                let message = format!(
                    "`{KEYWORD}` is supported on a string under `properties`, `items` and `anyOf` only"
                );
                return Err(refused(&place, message));
            }
            "const" => exact(value, &place)?,
            "enum" => {
                for (i, value) in value.as_array().into_iter().flatten().enumerate() {
                    exact(value, &format!("{place}/{i}"))?;
                }
            }
            _ => {}
        }
    }
    Ok(())
}

/// Constants are compared as f64 by the engine: integers beyond 2^53 would come out changed.
fn exact(value: &Value, path: &str) -> Result<(), Error> {
    match value {
        Value::Number(n) => {
            let magnitude = n.as_i64().map(i64::unsigned_abs).or(n.as_u64());
            if magnitude.is_some_and(|m| m > MAX_EXACT) {
                let message =
                    format!("constant {n} is beyond 2^53 and would not come out exactly; use a string");
                return Err(refused(path, message));
            }
            Ok(())
        }
        Value::Array(items) => {
            items.iter().enumerate().try_for_each(|(i, v)| exact(v, &format!("{path}/{i}")))
        }
        Value::Object(map) => map.iter().try_for_each(|(k, v)| exact(v, &format!("{path}/{}", escape(k)))),
        _ => Ok(()),
    }
}

/// `type: [integer, …]` to one schema a type, and an integer to its negative and its other half.
fn split_types(object: Map<String, Value>, path: &str) -> Result<Value, Error> {
    let is_integer = |v: &Value| v.as_str() == Some("integer");
    match object.get("type") {
        Some(Value::Array(types)) if types.iter().any(is_integer) => {
            let only = |kind: &Value| {
                let mut one = without_shared(&object);
                one.insert("type".into(), kind.clone());
                split_types(one, path)
            };
            let types: Vec<_> = types.iter().map(only).collect::<Result<_, _>>()?;
            Ok(with_any_of(object, types))
        }
        Some(kind) if is_integer(kind) => split_integer(object, path),
        Some(kind)
            if kind == "number" || kind.as_array().is_some_and(|all| all.contains(&json!("number"))) =>
        {
            Ok(Value::Object(finite(object)))
        }
        _ => Ok(Value::Object(object)),
    }
}

/// Keywords that stay on the outside when a schema is split by types.
const SHARED: [&str; 12] = [
    "$defs",
    "definitions",
    "$id",
    "$schema",
    "$anchor",
    "allOf",
    "anyOf",
    "oneOf",
    "$ref",
    "const",
    "enum",
    "title",
];

fn without_shared(object: &Map<String, Value>) -> Map<String, Value> {
    let kept = |(k, _): &(&String, &Value)| !SHARED.contains(&k.as_str());
    object.iter().filter(kept).map(|(k, v)| (k.clone(), v.clone())).collect()
}

/// What is shared, and one of the alternatives; under `allOf` where an `anyOf` is there already.
pub(crate) fn with_any_of(object: Map<String, Value>, alternatives: Vec<Value>) -> Value {
    let mut out: Map<String, Value> =
        object.into_iter().filter(|(k, _)| SHARED.contains(&k.as_str())).collect();
    if out.contains_key("anyOf") {
        let all = out.entry("allOf").or_insert_with(|| json!([]));
        if let Some(all) = all.as_array_mut() {
            all.push(json!({ "anyOf": alternatives }));
        }
    } else {
        out.insert("anyOf".into(), alternatives.into());
    }
    Value::Object(out)
}

#[cfg(test)]
#[path = "schema_tests.rs"]
mod tests;

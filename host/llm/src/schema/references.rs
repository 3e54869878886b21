//! Schemas that refer to schemas, and what else costs the grammar engine more than its text says.
//!
//! The engine compiles what a `$ref` leads to on its stack before it goes on; beside other keywords it puts a copy of that
//! into the reference's place; and along the properties of an object it recurses too. It has no limit on any of these.
//!
//! Invariant: what passes [`check`] overflows no stack (see the limits), and the copies are no more than [`MAX_COPIED`]. A
//! reference counts for all that it could mean: bases (`$id`) and anchors are taken by their name wherever they stand. Not
//! counted are copies deeper inside, where two schemas of one `allOf` have the same property and refer on from there.

use std::{collections::HashMap, ptr};

use serde_json::{Map, Value};

use super::{IGNORED, chain, children, escape, refused};
use crate::Error;

/// Most schemas that lie inside one another along references. One takes up to 8 KB of the engine's stack, of which there
/// are 32 MiB.
const MAX_REFERENCE_DEPTH: usize = 2_000;
/// Most schemas, with what references beside other keywords add: 1.5 KB each.
const MAX_COPIED: usize = 200_000;
/// Most names of properties, of all objects together (`allOf` can make them one): 320 bytes of stack each. The engine has
/// no room for as many symbols as these need.
const MAX_NAMES: usize = 20_000;
/// Most `patternProperties`, of all objects together: each is compared with each of its object, and `allOf` can make many
/// objects one. 100 take 50 ms and 300 take 5 s.
const MAX_PATTERNS: usize = 100;
/// What a comparison of two patterns counts for among schemas.
const COMPARISON: usize = 4;
/// Most schemas with an `$id`, in each of which a reference is looked for.
const MAX_BASES: usize = 200;
/// Most ways from a schema to another by one reference.
const MAX_WAYS: usize = 1_000_000;

/// What the engine itself takes for no assertion.
const ANNOTATIONS: [&str; 15] = [
    "$anchor",
    "$defs",
    "definitions",
    "$schema",
    "$id",
    "id",
    "$comment",
    "title",
    "description",
    "default",
    "readOnly",
    "writeOnly",
    "examples",
    "contentMediaType",
    "contentEncoding",
];

/// Refuses a schema on which the engine would run out of stack, memory or time, and says how many `patternProperties` it
/// has. Its depth was checked.
pub(crate) fn check(schema: &Value) -> Result<usize, Error> {
    let mut survey = Survey::default();
    survey.look(schema, &Trail { up: None, step: "#" })?;
    if survey.names > MAX_NAMES {
        let message = format!("{} names of properties, {MAX_NAMES} at most together", survey.names);
        return Err(refused("#", message));
    }
    let patterns = survey.patterns;
    if survey.references {
        Graph::of(schema, survey.finish(schema)?)?.check()?;
    }
    Ok(patterns)
}

/// The way to a value, written only when it is told.
struct Trail<'a> {
    up: Option<&'a Trail<'a>>,
    step: &'a str,
}

impl Trail<'_> {
    fn path(&self) -> String {
        let mut steps: Vec<String> = std::iter::successors(Some(self), |trail| trail.up)
            .map(|trail| if trail.up.is_some() { escape(trail.step) } else { trail.step.to_owned() })
            .collect();
        steps.reverse();
        steps.join("/")
    }
}

/// What is in a schema, at any place.
#[derive(Default)]
struct Survey<'a> {
    names: usize,
    patterns: usize,
    references: bool,
    /// What `#` can mean: the schemas with an `$id`, those with an `id`, and whether that says something here.
    bases: Vec<&'a Value>,
    old_bases: Vec<&'a Value>,
    is_old: bool,
    anchors: HashMap<&'a str, Vec<&'a Value>>,
}

impl<'a> Survey<'a> {
    fn look(&mut self, value: &'a Value, trail: &Trail<'_>) -> Result<(), Error> {
        match value {
            Value::Object(map) => {
                for (key, inner) in map {
                    let trail = Trail { up: Some(trail), step: key };
                    self.note(value, key, inner, &trail)?;
                    self.look(inner, &trail)?;
                }
                Ok(())
            }
            Value::Array(list) => list.iter().enumerate().try_for_each(|(at, inner)| match inner {
                Value::Object(_) | Value::Array(_) => {
                    self.look(inner, &Trail { up: Some(trail), step: &at.to_string() })
                }
                _ => Ok(()),
            }),
            _ => Ok(()),
        }
    }

    fn note(&mut self, of: &'a Value, key: &str, value: &'a Value, trail: &Trail<'_>) -> Result<(), Error> {
        match (key, value) {
            ("$ref", Value::String(_)) => self.references = true,
            ("$id", Value::String(id)) => {
                self.bases.push(of);
                self.anchor(id.strip_prefix('#'), of);
            }
            ("id", Value::String(id)) => {
                self.old_bases.push(of);
                self.anchor(id.strip_prefix('#'), of);
            }
            ("$anchor" | "$dynamicAnchor", Value::String(name)) => self.anchor(Some(name), of),
            ("$schema", Value::String(draft)) => self.is_old |= draft.contains("draft-04"),
            ("properties", Value::Object(map)) => self.names += map.len(),
            ("required", Value::Array(list)) => self.names += list.len(),
            ("const" | "enum", value) => self.names += keys(value),
            ("patternProperties", Value::Object(map)) => {
                self.patterns += map.len();
                if self.patterns > MAX_PATTERNS {
                    let message =
                        format!("with these {} patterns, {MAX_PATTERNS} at most together", self.patterns);
                    return Err(refused(&trail.path(), message));
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn anchor(&mut self, name: Option<&'a str>, of: &'a Value) {
        if let Some(name) = name {
            self.anchors.entry(name).or_default().push(of);
        }
    }

    fn finish(mut self, root: &'a Value) -> Result<Survey<'a>, Error> {
        if self.is_old {
            self.bases.append(&mut self.old_bases);
        }
        self.bases.retain(|base| !ptr::eq(*base, root));
        self.bases.push(root);
        if self.bases.len() > MAX_BASES {
            let message = format!("{} schemas with an `$id`, {MAX_BASES} at most", self.bases.len());
            return Err(refused("#", message));
        }
        Ok(self)
    }

    /// All that a reference can lead to.
    fn targets(&self, reference: &'a str) -> Vec<&'a Value> {
        let fragment = reference.rsplit_once('#').map_or("", |(_, fragment)| fragment);
        match decoded(fragment) {
            Some(pointer) if pointer.is_empty() => self.bases.clone(),
            Some(pointer) if pointer.starts_with('/') => {
                self.bases.iter().filter_map(|base| at(base, &pointer[1..])).collect()
            }
            _ => self.anchors.get(fragment).cloned().unwrap_or_default(),
        }
    }
}

/// The keys of a value and of all in it.
fn keys(value: &Value) -> usize {
    match value {
        Value::Object(map) => map.len() + map.values().map(keys).sum::<usize>(),
        Value::Array(list) => list.iter().map(keys).sum(),
        _ => 0,
    }
}

/// A fragment of a URI as text.
fn decoded(fragment: &str) -> Option<String> {
    let (mut bytes, mut rest) = (Vec::with_capacity(fragment.len()), fragment.as_bytes());
    while let Some((first, after)) = rest.split_first() {
        let hex = after.get(..2).filter(|_| *first == b'%').and_then(|hex| std::str::from_utf8(hex).ok());
        let byte = hex.and_then(|hex| u8::from_str_radix(hex, 16).ok());
        bytes.push(byte.unwrap_or(*first));
        rest = if byte.is_some() { &after[2..] } else { after };
    }
    String::from_utf8(bytes).ok()
}

/// The first name of a pointer into a schema's `$defs` or `definitions`, as it is written there.
pub(crate) fn definition(reference: &str) -> Option<(&'static str, String)> {
    let (keyword, rest) = ["$defs", "definitions"].into_iter().find_map(|keyword| {
        let rest = reference.strip_prefix("#/")?.strip_prefix(keyword)?.strip_prefix('/')?;
        Some((keyword, rest))
    })?;
    let pointer = decoded(rest)?;
    let name = pointer.split('/').next().unwrap_or_default();
    Some((keyword, unescaped(name)))
}

/// RFC 6901.
fn unescaped(name: &str) -> String {
    name.replace("~1", "/").replace("~0", "~")
}

/// What a pointer leads to, without its first slash.
fn at<'a>(value: &'a Value, pointer: &str) -> Option<&'a Value> {
    pointer.split('/').try_fold(value, |value, step| match value {
        Value::Array(list) => list.get(step.parse::<usize>().ok()?),
        _ => value.get(unescaped(step)),
    })
}

/// The schema and all that is referred to in it.
#[derive(Default)]
struct Graph<'a> {
    /// The reference that leads here.
    names: Vec<&'a str>,
    /// How deep the deepest reference in it lies.
    costs: Vec<usize>,
    /// The schemas in it, with the work that patterns make.
    sizes: Vec<usize>,
    leads_to: Vec<Vec<usize>>,
    /// Those of which it holds a copy, as often as it does.
    copies: Vec<Vec<usize>>,
}

impl<'a> Graph<'a> {
    fn of(root: &'a Value, survey: Survey<'a>) -> Result<Graph<'a>, Error> {
        let (mut graph, mut ways) = (Graph::default(), 0);
        let mut schemas = vec![("#", root)];
        let mut known = HashMap::from([(ptr::from_ref(root), 0)]);
        let mut led: HashMap<&str, Vec<usize>> = HashMap::new();
        while let Some(&(name, value)) = schemas.get(graph.names.len()) {
            let mut inside = Inside { cost: 1, ..Inside::default() };
            inside.look(value, survey.patterns, 0, false);
            let (mut leads_to, mut copies) = (Vec::new(), Vec::new());
            for (reference, is_copied) in inside.references {
                let targets = led.entry(reference).or_insert_with(|| {
                    let mut number = |value: &'a Value| {
                        *known.entry(ptr::from_ref(value)).or_insert_with(|| {
                            schemas.push((reference, value));
                            schemas.len() - 1
                        })
                    };
                    survey.targets(reference).into_iter().map(&mut number).collect()
                });
                ways += targets.len();
                if ways > MAX_WAYS {
                    return Err(refused(name, format!("more than {MAX_WAYS} schemas are referred to")));
                }
                leads_to.extend_from_slice(targets);
                if is_copied {
                    copies.extend_from_slice(targets);
                }
            }
            graph.names.push(name);
            graph.costs.push(inside.cost);
            graph.sizes.push(inside.size);
            graph.leads_to.push(leads_to);
            graph.copies.push(copies);
        }
        Ok(graph)
    }

    fn check(&self) -> Result<(), Error> {
        let depths = chain::depths(&self.costs, &self.leads_to);
        // The root is over the limit whenever another is.
        let begin = (1..depths.len()).chain([0]).find(|name| depths[*name] > MAX_REFERENCE_DEPTH);
        if let Some(begin) = begin {
            let message = format!(
                "references lead from here through {} schemas inside one another, {MAX_REFERENCE_DEPTH} at most",
                depths[begin]
            );
            return Err(refused(self.names[begin], message));
        }
        let totals = self.totals();
        if totals.iter().fold(0, |sum: usize, total| sum.saturating_add(*total)) > MAX_COPIED {
            let largest = totals.iter().enumerate().max_by_key(|(_, total)| **total).map_or(0, |(at, _)| at);
            let message = format!(
                "more than {MAX_COPIED} schemas, with a copy for each `$ref` that stands beside other keywords"
            );
            return Err(refused(self.names[largest], message));
        }
        Ok(())
    }

    /// The sizes with all copies. A copy of what it is a part of cannot be made; the engine refuses that.
    fn totals(&self) -> Vec<usize> {
        let mut totals = vec![0_usize; self.sizes.len()];
        for group in chain::groups(&self.copies) {
            let total = |name: &usize| {
                self.copies[*name].iter().fold(self.sizes[*name], |sum, to| sum.saturating_add(totals[*to]))
            };
            let all: Vec<usize> = group.iter().map(total).collect();
            group.into_iter().zip(all).for_each(|(name, total)| totals[name] = total);
        }
        totals
    }
}

/// What one schema holds, without what it refers to.
#[derive(Default)]
struct Inside<'a> {
    cost: usize,
    size: usize,
    /// With `true` where a copy of what it leads to is put in its place.
    references: Vec<(&'a str, bool)>,
}

impl<'a> Inside<'a> {
    fn look(&mut self, schema: &'a Value, all_patterns: usize, level: usize, is_merged: bool) {
        let Some(object) = schema.as_object() else { return };
        let asserts = |keyword: &&String| {
            !ANNOTATIONS.contains(&keyword.as_str()) && !IGNORED.contains(&keyword.as_str())
        };
        let is_one_of_many = is_merged || object.keys().filter(asserts).count() > 1;
        let patterns = object.get("patternProperties").and_then(Value::as_object).map_or(0, Map::len);
        self.size = self.size.saturating_add(1 + COMPARISON * patterns * all_patterns);
        if let Some(Value::String(reference)) = object.get("$ref") {
            self.cost = self.cost.max(level + 1);
            self.references.push((reference, is_one_of_many));
        }
        for (place, child) in children(schema) {
            let is_merged = match place.keyword {
                // They are compiled where a reference leads to them.
                "$defs" | "definitions" => continue,
                "allOf" => {
                    is_one_of_many
                        || object.get("allOf").and_then(Value::as_array).is_some_and(|all| all.len() > 1)
                }
                "anyOf" | "oneOf" => is_one_of_many,
                "properties" | "patternProperties" => patterns > 0,
                _ => false,
            };
            self.look(child, all_patterns, level + 1, is_merged);
        }
    }
}

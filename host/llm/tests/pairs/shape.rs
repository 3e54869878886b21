//! A random JSON object around a string: nested, beside other fields, some of them optional.

use rand::{Rng, seq::IndexedRandom};
use rand_chacha::ChaCha8Rng;
use serde_json::{Map, Value, json};

pub(crate) enum Shape {
    /// The string.
    Leaf,
    Object(Vec<(String, Shape, bool)>),
    Array(Box<Shape>, usize, usize),
    Tuple(Vec<Shape>),
    Nullable(Box<Shape>),
    Number,
    Flag,
    Word(Vec<&'static str>),
    Text,
}

const NAMES: [&str; 8] = ["id", "a b", "q\"t", "name", "größe", "x/y", "n~", "value"];

impl Shape {
    /// An object at the outside, with one leaf at least.
    pub(crate) fn random(random: &mut ChaCha8Rng) -> Shape {
        Shape::object(random, 3)
    }

    fn object(random: &mut ChaCha8Rng, depth: usize) -> Shape {
        let mut names: Vec<&str> = NAMES.to_vec();
        let count = random.random_range(1..=4);
        let leaf = random.random_range(0..count);
        let field = |at| {
            let name = names.swap_remove(random.random_range(0..names.len())).to_owned();
            let shape = if at == leaf { Shape::around(random, depth - 1) } else { Shape::other(random) };
            (name, shape, random.random_bool(0.6))
        };
        Shape::Object((0..count).map(field).collect())
    }

    fn around(random: &mut ChaCha8Rng, depth: usize) -> Shape {
        match random.random_range(0..if depth == 0 { 2 } else { 7 }) {
            0..2 => Shape::Leaf,
            2 => Shape::Nullable(Box::new(Shape::around(random, depth - 1))),
            3 => Shape::Tuple(vec![Shape::other(random), Shape::around(random, depth - 1)]),
            4 => {
                let min = random.random_range(0..2);
                Shape::Array(Box::new(Shape::around(random, depth - 1)), min, min + random.random_range(0..3))
            }
            _ => Shape::object(random, depth),
        }
    }

    fn other(random: &mut ChaCha8Rng) -> Shape {
        match random.random_range(0..5) {
            0 => Shape::Number,
            1 => Shape::Flag,
            2 => Shape::Word(vec!["red", "green", "re"]),
            3 => Shape::Leaf,
            _ => Shape::Text,
        }
    }

    pub(crate) fn schema(&self, leaf: &Value) -> Value {
        match self {
            Shape::Leaf => leaf.clone(),
            Shape::Object(fields) => {
                let properties: Map<String, Value> =
                    fields.iter().map(|(name, shape, _)| (name.clone(), shape.schema(leaf))).collect();
                let required: Vec<&String> = fields.iter().filter(|f| f.2).map(|f| &f.0).collect();
                json!({"type": "object", "properties": properties, "required": required, "additionalProperties": false})
            }
            Shape::Array(items, min, max) => {
                json!({"type": "array", "items": items.schema(leaf), "minItems": min, "maxItems": max})
            }
            Shape::Tuple(items) => {
                let count = items.len();
                let items: Vec<Value> = items.iter().map(|item| item.schema(leaf)).collect();
                json!({"type": "array", "prefixItems": items, "items": false, "minItems": count, "maxItems": count})
            }
            Shape::Nullable(inner) => json!({"anyOf": [inner.schema(leaf), {"type": "null"}]}),
            Shape::Number => json!({"type": "integer", "minimum": -50, "maximum": 50}),
            Shape::Flag => json!({"type": "boolean"}),
            Shape::Word(words) => json!({"enum": words}),
            Shape::Text => json!({"type": "string", "maxLength": 4}),
        }
    }

    pub(crate) fn value(
        &self,
        random: &mut ChaCha8Rng,
        leaf: &mut dyn FnMut(&mut ChaCha8Rng) -> Value,
    ) -> Value {
        match self {
            Shape::Leaf => leaf(random),
            Shape::Object(fields) => {
                let mut object = Map::new();
                for (name, shape, required) in fields {
                    if *required || random.random_bool(0.5) {
                        object.insert(name.clone(), shape.value(random, leaf));
                    }
                }
                Value::Object(object)
            }
            Shape::Array(items, min, max) => {
                let count = random.random_range(*min..=*max);
                (0..count).map(|_| items.value(random, leaf)).collect()
            }
            Shape::Tuple(items) => items.iter().map(|item| item.value(random, leaf)).collect(),
            Shape::Nullable(_) if random.random_bool(0.3) => Value::Null,
            Shape::Nullable(inner) => inner.value(random, leaf),
            Shape::Number => random.random_range(-50..=50).into(),
            Shape::Flag => random.random_bool(0.5).into(),
            Shape::Word(words) => words.choose(random).copied().into(),
            Shape::Text => text(random, 4).into(),
        }
    }

    /// The strings at the leaves of a valid value.
    pub(crate) fn leaves<'v>(&self, value: &'v Value, found: &mut Vec<&'v Value>) {
        match self {
            Shape::Leaf => found.push(value),
            Shape::Object(fields) => {
                for (name, shape, _) in fields {
                    value.get(name).into_iter().for_each(|value| shape.leaves(value, found));
                }
            }
            Shape::Array(items, ..) => {
                value.as_array().into_iter().flatten().for_each(|v| items.leaves(v, found))
            }
            Shape::Tuple(items) => {
                items
                    .iter()
                    .zip(value.as_array().into_iter().flatten())
                    .for_each(|(s, v)| s.leaves(v, found));
            }
            Shape::Nullable(inner) if !value.is_null() => inner.leaves(value, found),
            _ => {}
        }
    }
}

/// Characters that are hard on escapes and on tokens.
pub(crate) const CHARACTERS: [char; 20] = [
    'a',
    'b',
    'z',
    '0',
    '9',
    ' ',
    '\'',
    '"',
    '\\',
    '/',
    '\n',
    '\t',
    '\u{1}',
    '\u{1f}',
    '{',
    'é',
    '日',
    '本',
    '\u{1f600}',
    ',',
];

pub(crate) fn text(random: &mut ChaCha8Rng, most: usize) -> String {
    let length = random.random_range(0..=most);
    (0..length).map(|_| *CHARACTERS.choose(random).expect("one")).collect()
}

/// One character left out, put in or changed.
pub(crate) fn mutate(random: &mut ChaCha8Rng, text: &str) -> String {
    let mut all: Vec<char> = text.chars().collect();
    let at = random.random_range(0..=all.len());
    let other = *CHARACTERS.choose(random).expect("one");
    match random.random_range(0..3) {
        0 if at < all.len() => drop(all.remove(at)),
        1 if at < all.len() => all[at] = other,
        _ => all.insert(at, other),
    }
    all.into_iter().collect()
}

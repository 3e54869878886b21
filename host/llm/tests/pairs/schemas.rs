//! Random JSON Schemas of the supported kind, and random values for them.

use rand::{Rng, seq::IndexedRandom};
use rand_chacha::ChaCha8Rng;
use serde_json::{Map, Value, json};

use crate::{pattern::Pattern, shape::text};

pub(crate) enum Schema {
    Null,
    Flag,
    Integer(i64, i64),
    Number(i32, i32),
    Text(usize, usize),
    Pattern(Pattern),
    Enum(Vec<Value>),
    Array(Box<Schema>, usize, usize),
    Tuple(Vec<Schema>),
    Object(Vec<(String, Schema, bool)>, bool),
    Any(Vec<Schema>),
    /// A list by reference: an item, and the rest or null.
    List(Box<Schema>),
}

impl Schema {
    pub(crate) fn random(random: &mut ChaCha8Rng) -> Schema {
        Schema::of(random, 3)
    }

    fn of(random: &mut ChaCha8Rng, depth: usize) -> Schema {
        let some = |random: &mut ChaCha8Rng| {
            let count = random.random_range(1..4);
            (0..count).map(|_| Schema::of(random, depth - 1)).collect::<Vec<_>>()
        };
        match random.random_range(0..if depth == 0 { 8 } else { 15 }) {
            0 => Schema::Null,
            1 => Schema::Flag,
            2..4 => {
                let low = random.random_range(-1_000_000_000_000..1_000);
                Schema::Integer(low, low + random.random_range(0..10_000))
            }
            4 => {
                let low = random.random_range(-5_000..5_000);
                Schema::Number(low, low + random.random_range(1_000..9_000))
            }
            5 => {
                let min = random.random_range(0..3);
                Schema::Text(min, min + random.random_range(0..6))
            }
            6 => Schema::Pattern(Pattern::random(random)),
            7 => {
                let count = random.random_range(1..5);
                let one = |random: &mut ChaCha8Rng| match random.random_range(0..5) {
                    0 => Value::Null,
                    1 => random.random_range(-9..9).into(),
                    2 => json!([text(random, 3), true]),
                    3 => json!({ text(random, 2): 1 }),
                    _ => text(random, 6).into(),
                };
                Schema::Enum((0..count).map(|_| one(random)).collect())
            }
            8 => {
                let min = random.random_range(0..3);
                Schema::Array(Box::new(Schema::of(random, depth - 1)), min, min + random.random_range(0..3))
            }
            9 => Schema::Tuple(some(random)),
            10 => Schema::Any(some(random)),
            11 => Schema::List(Box::new(Schema::of(random, depth - 1))),
            _ => {
                let names = ["a", "b c", "q\"", "ü", "a/b~"];
                let field = |(schema, name): (Schema, &str)| (name.to_owned(), schema);
                let fields = some(random).into_iter().zip(names).map(field).collect::<Vec<_>>();
                let fields = fields.into_iter().map(|(n, s)| (n, s, random.random_bool(0.6))).collect();
                Schema::Object(fields, random.random_bool(0.2))
            }
        }
    }

    /// The schema; definitions go to `definitions`.
    pub(crate) fn json(&self, definitions: &mut Map<String, Value>) -> Value {
        let mut list = |all: &[Schema]| all.iter().map(|s| s.json(definitions)).collect::<Vec<_>>();
        match self {
            Schema::Null => json!({"type": "null"}),
            Schema::Flag => json!({"type": "boolean"}),
            Schema::Integer(low, high) => json!({"type": "integer", "minimum": low, "maximum": high}),
            Schema::Number(low, high) => {
                json!({"type": "number", "minimum": f64::from(*low) / 8.0, "maximum": f64::from(*high) / 8.0})
            }
            Schema::Text(min, max) => json!({"type": "string", "minLength": min, "maxLength": max}),
            Schema::Pattern(pattern) => {
                json!({"type": "string", "pattern": format!("^(?:{})$", pattern.text())})
            }
            Schema::Enum(values) => json!({ "enum": values }),
            Schema::Array(items, min, max) => {
                json!({"type": "array", "items": items.json(definitions), "minItems": min, "maxItems": max})
            }
            Schema::Tuple(items) => {
                let count = items.len();
                json!({"type": "array", "prefixItems": list(items), "items": false, "minItems": count, "maxItems": count})
            }
            Schema::Any(all) => json!({"anyOf": list(all)}),
            Schema::Object(fields, open) => {
                let properties: Map<String, Value> =
                    fields.iter().map(|(name, s, _)| (name.clone(), s.json(definitions))).collect();
                let required: Vec<&String> = fields.iter().filter(|f| f.2).map(|f| &f.0).collect();
                let more = if *open { json!({"type": "integer"}) } else { json!(false) };
                json!({"type": "object", "properties": properties, "required": required, "additionalProperties": more})
            }
            Schema::List(item) => {
                let item = item.json(definitions);
                let name = format!("list{}", definitions.len());
                let to = format!("#/$defs/{name}");
                definitions.insert(
                    name,
                    json!({"type": "object", "properties": {"item": item, "rest": {"anyOf": [{"type": "null"}, {"$ref": to}]}},
                        "required": ["item", "rest"], "additionalProperties": false}),
                );
                json!({ "$ref": to })
            }
        }
    }

    pub(crate) fn value(&self, random: &mut ChaCha8Rng) -> Value {
        match self {
            Schema::Null => Value::Null,
            Schema::Flag => random.random_bool(0.5).into(),
            Schema::Integer(low, high) => random.random_range(*low..=*high).into(),
            Schema::Number(low, high) => (f64::from(random.random_range(*low..=*high)) / 8.0).into(),
            Schema::Text(min, max) => loop {
                let text = text(random, *max);
                if text.chars().count() >= *min {
                    return text.into();
                }
            },
            Schema::Pattern(pattern) => pattern.sample(random).into(),
            Schema::Enum(values) => values.choose(random).cloned().unwrap_or_default(),
            Schema::Array(items, min, max) => {
                let count = random.random_range(*min..=*max);
                (0..count).map(|_| items.value(random)).collect()
            }
            Schema::Tuple(items) => items.iter().map(|item| item.value(random)).collect(),
            Schema::Any(all) => all.choose(random).expect("one").value(random),
            Schema::Object(fields, open) => {
                let mut object = Map::new();
                for (name, schema, required) in fields {
                    if *required || random.random_bool(0.5) {
                        object.insert(name.clone(), schema.value(random));
                    }
                }
                if *open && random.random_bool(0.5) {
                    object.insert(format!("more{}", text(random, 2)), random.random_range(-99..99).into());
                }
                Value::Object(object)
            }
            Schema::List(item) => {
                let mut list = Value::Null;
                for _ in 0..random.random_range(1..4) {
                    list = json!({"item": item.value(random), "rest": list});
                }
                list
            }
        }
    }
}

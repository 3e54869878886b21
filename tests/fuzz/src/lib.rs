//! What the targets share: choices read from the fuzzer's bytes, random WIT, and JSON made after a schema.
//!
//! Invariant: the same bytes always make the same input, so a crash that libFuzzer keeps can be run again.

use serde_json::{Map, Value, json};

/// The fuzzer's bytes, read from the front; zero where there are no more.
pub struct Bytes<'a>(pub &'a [u8]);

impl Bytes<'_> {
    /// One byte.
    pub fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        *first
    }

    /// A number below `bound`, which is not 0.
    pub fn below(&mut self, bound: usize) -> usize {
        let wide = usize::from(self.byte()) | if bound > 256 { usize::from(self.byte()) << 8 } else { 0 };
        wide % bound
    }

    /// Eight bytes.
    pub fn word(&mut self) -> u64 {
        (0..8).fold(0, |word, _| word << 8 | u64::from(self.byte()))
    }

    /// A short text.
    pub fn text(&mut self) -> String {
        let length = self.below(12).min(self.0.len());
        let (text, rest) = self.0.split_at(length);
        self.0 = rest;
        String::from_utf8_lossy(text).into_owned()
    }
}

const PLAIN: [&str; 13] =
    ["bool", "s8", "u8", "s16", "u16", "s32", "u32", "s64", "u64", "f32", "f64", "char", "string"];

/// A WIT type; those that need a name are added to `named`.
fn wit_type(bytes: &mut Bytes<'_>, depth: usize, named: &mut Vec<String>) -> String {
    if depth == 0 || named.len() > 60 {
        return PLAIN[bytes.below(PLAIN.len())].to_owned();
    }
    let several = |bytes: &mut Bytes<'_>, named: &mut Vec<String>| {
        let count = 1 + bytes.below(4);
        (0..count).map(|_| wit_type(bytes, depth - 1, named)).collect::<Vec<_>>()
    };
    let optional = |bytes: &mut Bytes<'_>, named: &mut Vec<String>| {
        (bytes.below(3) > 0).then(|| wit_type(bytes, depth - 1, named))
    };
    let kind = bytes.below(12);
    let (keyword, body) = match kind {
        0 => return format!("list<{}>", wit_type(bytes, depth - 1, named)),
        1 => return format!("option<{}>", wit_type(bytes, depth - 1, named)),
        2 => return format!("tuple<{}>", several(bytes, named).join(", ")),
        3 => {
            return match (optional(bytes, named), optional(bytes, named)) {
                (None, None) => "result".to_owned(),
                (Some(ok), None) => format!("result<{ok}>"),
                (ok, Some(err)) => format!("result<{}, {err}>", ok.as_deref().unwrap_or("_")),
            };
        }
        4 => {
            let fields = several(bytes, named).into_iter().enumerate();
            ("record", fields.map(|(n, ty)| format!("f{n}: {ty}")).collect::<Vec<_>>())
        }
        5 => {
            let cases = (0..1 + bytes.below(4)).map(|n| match optional(bytes, named) {
                Some(ty) => format!("c{n}({ty})"),
                None => format!("c{n}"),
            });
            ("variant", cases.collect())
        }
        6 => ("enum", (0..1 + bytes.below(5)).map(|n| format!("e{n}")).collect()),
        7 => ("flags", (0..1 + bytes.below(32)).map(|n| format!("b{n}")).collect()),
        8 if !named.is_empty() => return format!("t{}", bytes.below(named.len())),
        _ => return PLAIN[bytes.below(PLAIN.len())].to_owned(),
    };
    let name = format!("t{}", named.len());
    named.push(format!("{keyword} {name} {{ {} }}", body.join(", ")));
    name
}

/// The WIT text of a world `w` that exports so many functions of random types.
pub fn world(bytes: &mut Bytes<'_>, functions: usize) -> String {
    let mut named = Vec::new();
    let mut lines = String::new();
    for index in 0..functions {
        // Each function has types of its own; what came before stays declared.
        let depth = bytes.below(5);
        let a = wit_type(bytes, depth, &mut named);
        let b = wit_type(bytes, depth.min(2), &mut named);
        let result = wit_type(bytes, depth, &mut named);
        lines += &format!("/// Does.\n/// - a: the first\nf{index}: func(a: {a}, b: {b}) -> {result};\n");
    }
    format!("package a:b;\ninterface i {{\n{}\n{lines}}}\nworld w {{ export i; }}\n", named.join("\n"))
}

/// A component of the world `w` in the text whose functions trap; none where the text is no such WIT.
pub fn component(wit: &str) -> Option<Vec<u8>> {
    let mut resolve = wit_parser::Resolve::default();
    let package = resolve.push_str("fuzz.wit", wit).ok()?;
    let world = resolve.select_world(&[package], Some("w")).ok()?;
    let mut module = wit_component::dummy_module(&resolve, world, wit_parser::ManglingAndAbi::Standard32);
    let encoding = wit_component::StringEncoding::UTF8;
    wit_component::embed_component_metadata(&mut module, &resolve, world, encoding).ok()?;
    let mut component = wit_component::ComponentEncoder::default().module(&module).ok()?.encode().ok()?;
    section(&mut component, "pawl:wit", wit.as_bytes());
    Some(component)
}

/// Appends a custom section.
pub fn section(component: &mut Vec<u8>, name: &str, content: &[u8]) {
    let mut body = vec![name.len() as u8];
    body.extend_from_slice(name.as_bytes());
    body.extend_from_slice(content);
    component.push(0);
    let mut length = body.len();
    while length >= 0x80 {
        component.push((length & 0x7f) as u8 | 0x80);
        length >>= 7;
    }
    component.push(length as u8);
    component.extend_from_slice(&body);
}

/// JSON after a schema of arguments. Where the bytes say so, something else is put in, and `true` is set.
pub fn value(schema: &Value, bytes: &mut Bytes<'_>, depth: usize, strayed: &mut bool) -> Value {
    if bytes.byte() == 0xff || depth > 40 {
        *strayed = true;
        return anything(bytes, 3);
    }
    if let Some(choices) = schema["anyOf"].as_array() {
        return value(&choices[bytes.below(choices.len())], bytes, depth + 1, strayed);
    }
    match schema["type"].as_str() {
        Some("null") => Value::Null,
        Some("boolean") => Value::Bool(bytes.byte() & 1 == 1),
        Some("integer") => integer(&schema["minimum"], &schema["maximum"], bytes),
        Some("number") => json!(f64::from(bytes.word() as i32) / 1024.0),
        Some("string") => match schema["enum"].as_array() {
            Some(names) => names[bytes.below(names.len())].clone(),
            None if schema["minLength"] == 1 => char::from(bytes.byte()).to_string().into(),
            None => bytes.text().into(),
        },
        Some("array") => match schema["prefixItems"].as_array() {
            Some(items) => items.iter().map(|item| value(item, bytes, depth + 1, strayed)).collect(),
            None => (0..bytes.below(4)).map(|_| value(&schema["items"], bytes, depth + 1, strayed)).collect(),
        },
        Some("object") => {
            let required = schema["required"].as_array();
            let is_required =
                |name: &str| required.is_some_and(|names| names.iter().any(|known| known == name));
            let mut object = Map::new();
            for (name, schema) in schema["properties"].as_object().into_iter().flatten() {
                if is_required(name) || bytes.byte() & 1 == 1 {
                    object.insert(name.clone(), value(schema, bytes, depth + 1, strayed));
                }
            }
            Value::Object(object)
        }
        _ => Value::Null,
    }
}

/// A bound or a number between both.
fn integer(minimum: &Value, maximum: &Value, bytes: &mut Bytes<'_>) -> Value {
    let wide = |bound: &Value| bound.as_i64().map(i128::from).or(bound.as_u64().map(i128::from));
    let (Some(low), Some(high)) = (wide(minimum), wide(maximum)) else { return 0.into() };
    let number = match bytes.below(4) {
        0 => low,
        1 => high,
        _ => low + i128::from(bytes.word()) % (high - low + 1),
    };
    i64::try_from(number).map_or_else(|_| json!(number as u64), |number| json!(number))
}

fn anything(bytes: &mut Bytes<'_>, depth: usize) -> Value {
    match bytes.below(if depth == 0 { 6 } else { 8 }) {
        0 => Value::Null,
        1 => Value::Bool(true),
        2 => json!(bytes.word() as i64),
        3 => json!(bytes.word()),
        4 => json!(f64::from_bits(bytes.word())),
        5 => bytes.text().into(),
        6 => (0..bytes.below(4)).map(|_| anything(bytes, depth - 1)).collect(),
        _ => (0..bytes.below(3)).map(|_| (bytes.text(), anything(bytes, depth - 1))).collect(),
    }
}

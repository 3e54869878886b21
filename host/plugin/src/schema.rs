//! Component types as JSON Schemas.
//!
//! The shapes are those of [`crate::lower`]. Invariant: every value that a schema of parameters accepts is accepted by
//! `lower` for that type, and the schema uses only keywords that the grammar engine takes (`anyOf` for `oneOf`, no
//! `not`, no `uniqueItems`, no `$ref`), in the order of the WIT text. So for parameters it is narrower than the type
//! where the engine counts in 64-bit floats: s64 within ±(2^63 - 1024), floats within ±1e18 and never NaN or infinite.
//! A schema of results accepts everything that `lower` gives.

use serde_json::{Map, Value, json};
use wasmtime::component::Type;
use wasmtime::component::types::Variant;

use crate::docs::{Doc, TypeDocs};

/// The deepest nesting of types.
const MAX_DEPTH: usize = 24;
/// The most schema objects of one function: types are written out where they are used.
const MAX_NODES: usize = 4096;
/// The longest schema of one function, in bytes: names, what is said of them, and what JSON adds, roughly.
const MAX_BYTES: usize = 256 << 10;
/// The longest name of a field, a case or a flag, in bytes.
const MAX_NAME: usize = 256;
/// What one part of a schema has beside names and words, in bytes.
const PART: usize = 48;
/// The largest whole number that a float and the grammar engine both hold, below 2^63.
const S64_BOUND: i64 = i64::MAX - 1023;
/// The largest magnitude of a float in arguments.
const FLOAT_BOUND: f64 = 1e18;

/// How long strings and lists in arguments may be. It bounds what a model writes, not what a person may give.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SchemaLimits {
    /// Characters of a string; 8192 by default.
    pub string: usize,
    /// Items of a list; 256 by default.
    pub list: usize,
}

impl Default for SchemaLimits {
    fn default() -> SchemaLimits {
        SchemaLimits { string: 8192, list: 256 }
    }
}

/// Which way the values go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Direction {
    /// Into the function: bounded, and only what a model should write.
    Arguments(SchemaLimits),
    /// Out of it: everything that the type holds.
    Result,
}

/// Writes the schemas of one function.
pub(crate) struct Writer {
    direction: Direction,
    nodes: usize,
    bytes: usize,
}

impl Writer {
    pub(crate) fn new(direction: Direction) -> Writer {
        Writer { direction, nodes: 0, bytes: 0 }
    }

    /// How long what was written is, in bytes, roughly.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    fn spend(&mut self, bytes: usize) -> Result<(), String> {
        self.bytes += bytes;
        if self.bytes > MAX_BYTES {
            return Err(format!("its types written out have more than {MAX_BYTES} bytes"));
        }
        Ok(())
    }

    /// Counts a name.
    fn name(&mut self, name: &str) -> Result<(), String> {
        if name.len() > MAX_NAME {
            return Err(format!("a name in its types has {} bytes; {MAX_NAME} at most", name.len()));
        }
        // Once as a property or value, once among those required.
        self.spend(2 * name.len() + 8)
    }

    /// An object with one property per field; options may be left out. The error is the reason why there is no schema.
    pub(crate) fn object<'t, 'd>(
        &mut self,
        fields: impl Iterator<Item = (&'t str, Type, (Doc, TypeDocs<'d>))>,
        depth: usize,
    ) -> Result<Value, String> {
        let mut properties = Map::new();
        let mut required = Vec::new();
        for (name, ty, (doc, types)) in fields {
            self.name(name)?;
            properties.insert(name.to_owned(), self.documented(&ty, doc, types, depth + 1)?);
            if !matches!(ty, Type::Option(_)) {
                required.push(name.to_owned());
            }
        }
        Ok(json!({
            "type": "object",
            "properties": properties,
            "required": required,
            "additionalProperties": false,
        }))
    }

    /// The schema of a type with what is said of its use and of itself.
    pub(crate) fn documented(
        &mut self,
        ty: &Type,
        doc: Doc,
        types: TypeDocs<'_>,
        depth: usize,
    ) -> Result<Value, String> {
        let doc = doc.or(types.doc());
        self.spend(doc.text.len() + doc.pattern.as_ref().map_or(0, String::len))?;
        let mut schema = self.schema(ty, types, depth)?;
        if let Some(pattern) = doc.pattern {
            set_pattern(&mut schema, &pattern);
        }
        if let Some(object) = schema.as_object_mut()
            && !doc.text.is_empty()
        {
            let text = match object.get("description").and_then(Value::as_str) {
                Some(cases) => format!("{}\n{cases}", doc.text),
                None => doc.text,
            };
            object.insert("description".to_owned(), text.into());
        }
        Ok(schema)
    }

    fn schema(&mut self, ty: &Type, types: TypeDocs<'_>, depth: usize) -> Result<Value, String> {
        self.nodes += 1;
        self.spend(PART)?;
        if depth > MAX_DEPTH {
            return Err(format!("its types are nested more than {MAX_DEPTH} deep"));
        }
        if self.nodes > MAX_NODES {
            return Err(format!("its types written out have more than {MAX_NODES} parts"));
        }
        Ok(match ty {
            Type::Bool => json!({"type": "boolean"}),
            Type::S8 => integer(i8::MIN, i8::MAX),
            Type::U8 => integer(u8::MIN, u8::MAX),
            Type::S16 => integer(i16::MIN, i16::MAX),
            Type::U16 => integer(u16::MIN, u16::MAX),
            Type::S32 => integer(i32::MIN, i32::MAX),
            Type::U32 => integer(u32::MIN, u32::MAX),
            Type::S64 if self.direction == Direction::Result => integer(i64::MIN, i64::MAX),
            Type::S64 => integer(-S64_BOUND, S64_BOUND),
            Type::U64 if self.direction == Direction::Result => integer(u64::MIN, u64::MAX),
            Type::U64 => integer(0, S64_BOUND),
            Type::Float32 | Type::Float64 => self.float(),
            Type::Char => json!({"type": "string", "minLength": 1, "maxLength": 1}),
            Type::String => match self.direction {
                Direction::Arguments(limits) => json!({"type": "string", "maxLength": limits.string}),
                Direction::Result => json!({"type": "string"}),
            },
            Type::List(list) => {
                let items = self.schema_of(&list.ty(), types.inner(0), depth)?;
                match self.direction {
                    Direction::Arguments(limits) => {
                        json!({"type": "array", "items": items, "maxItems": limits.list})
                    }
                    Direction::Result => json!({"type": "array", "items": items}),
                }
            }
            Type::Tuple(tuple) => {
                let count = tuple.types().len();
                let items = tuple.types().enumerate();
                let items = items.map(|(index, ty)| self.schema_of(&ty, types.inner(index), depth));
                let items = items.collect::<Result<Vec<_>, _>>()?;
                json!({"type": "array", "prefixItems": items, "items": false, "minItems": count, "maxItems": count})
            }
            Type::Record(record) => {
                let fields = record.fields().map(|field| (field.name, field.ty, types.field(field.name)));
                self.object(fields, depth)?
            }
            Type::Variant(variant) => self.variant(variant, types, depth)?,
            Type::Enum(wanted) => {
                self.named_values(wanted.names(), types, |names| json!({"type": "string", "enum": names}))?
            }
            Type::Flags(flags) => self.named_values(flags.names(), types, |names| {
                let count = names.len();
                json!({"type": "array", "items": {"type": "string", "enum": names}, "maxItems": count})
            })?,
            Type::Option(option) => {
                let inner = self.schema_of(&option.ty(), types.inner(0), depth)?;
                let inner =
                    if matches!(option.ty(), Type::Option(_)) { tagged("some", inner) } else { inner };
                any_of(vec![inner, json!({"type": "null"})])
            }
            Type::Result(result) => {
                let ok = self.payload(result.ok(), types.inner(0), depth)?;
                let err = self.payload(result.err(), types.inner(1), depth)?;
                any_of(vec![tagged("ok", ok), tagged("err", err)])
            }
            Type::Own(_) | Type::Borrow(_) => {
                return Err("it uses a resource, which JSON cannot hold".to_owned());
            }
            Type::Future(_) | Type::Stream(_) | Type::ErrorContext => {
                return Err("it uses a stream or a future, which JSON cannot hold".to_owned());
            }
            Type::Map(_) | Type::FixedLengthList(_) => {
                return Err("it uses a type that is not in WASI 0.2".to_owned());
            }
        })
    }

    fn schema_of(&mut self, ty: &Type, types: TypeDocs<'_>, depth: usize) -> Result<Value, String> {
        self.documented(ty, Doc::default(), types, depth + 1)
    }

    /// The side of a result, null where it holds nothing.
    pub(crate) fn payload(
        &mut self,
        ty: Option<Type>,
        types: TypeDocs<'_>,
        depth: usize,
    ) -> Result<Value, String> {
        ty.map_or_else(|| Ok(json!({"type": "null"})), |ty| self.schema_of(&ty, types, depth))
    }

    fn float(&self) -> Value {
        match self.direction {
            Direction::Arguments(_) => {
                json!({"type": "number", "minimum": -FLOAT_BOUND, "maximum": FLOAT_BOUND})
            }
            Direction::Result => {
                any_of(vec![json!({"type": "number"}), json!({"enum": ["NaN", "Infinity", "-Infinity"]})])
            }
        }
    }

    /// Cases without a payload as one enum, each other one as an object of one property.
    fn variant(&mut self, variant: &Variant, types: TypeDocs<'_>, depth: usize) -> Result<Value, String> {
        let plain: Vec<&str> =
            variant.cases().filter(|case| case.ty.is_none()).map(|case| case.name).collect();
        let mut choices = Vec::new();
        if !plain.is_empty() {
            let names = plain.into_iter();
            choices.push(self.named_values(
                names,
                types,
                |names| json!({"type": "string", "enum": names}),
            )?);
        }
        for case in variant.cases() {
            let Some(ty) = case.ty else { continue };
            self.name(case.name)?;
            let (doc, payload) = types.case(case.name);
            choices.push(tagged(case.name, self.documented(&ty, doc, payload, depth + 1)?));
        }
        Ok(any_of(choices))
    }

    /// A schema over names, with what is said of each name in its description: JSON Schema has no other place for it.
    fn named_values<'t>(
        &mut self,
        names: impl Iterator<Item = &'t str>,
        types: TypeDocs<'_>,
        schema: impl FnOnce(Vec<&'t str>) -> Value,
    ) -> Result<Value, String> {
        let names: Vec<&str> = names.collect();
        let mut said = Vec::new();
        for name in &names {
            self.name(name)?;
            let text = types.case(name).0.text;
            if !text.is_empty() {
                self.spend(name.len() + text.len())?;
                said.push(format!("`{name}`: {}", text.replace('\n', " ")));
            }
        }
        let mut schema = schema(names);
        if let (false, Some(object)) = (said.is_empty(), schema.as_object_mut()) {
            object.insert("description".to_owned(), said.join("\n").into());
        }
        Ok(schema)
    }
}

fn integer<T: serde::Serialize>(minimum: T, maximum: T) -> Value {
    json!({"type": "integer", "minimum": minimum, "maximum": maximum})
}

/// An object of exactly one property.
fn tagged(name: &str, payload: Value) -> Value {
    json!({
        "type": "object",
        "properties": Map::from_iter([(name.to_owned(), payload)]),
        "required": [name],
        "additionalProperties": false,
    })
}

fn any_of(mut choices: Vec<Value>) -> Value {
    if choices.len() == 1 { choices.remove(0) } else { json!({ "anyOf": choices }) }
}

/// Puts the pattern on the string itself: under an option or a list, on what is inside.
fn set_pattern(schema: &mut Value, pattern: &str) {
    let Some(object) = schema.as_object_mut() else { return };
    if object.get("type").is_some_and(|ty| ty == "string") && !object.contains_key("enum") {
        object.insert("pattern".to_owned(), pattern.into());
    } else if let Some(items) = object.get_mut("items") {
        set_pattern(items, pattern);
    } else if let Some(first) = object.get_mut("anyOf").and_then(|choices| choices.get_mut(0)) {
        set_pattern(first, pattern);
    }
}

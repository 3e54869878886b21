//! JSON to component values and back.
//!
//! The conventions (names are WIT's, verbatim): record: object, option fields may be left out; variant: `"case"` or
//! `{"case": payload}`; enum: string; flags: array of names; option: value or null, an option within an option
//! `{"some": value}` or null; result: `{"ok": value}` or `{"err": value}`; tuple and list: array; char: string of one
//! character; floats: number, or `"NaN"`, `"Infinity"`, `"-Infinity"`.
//!
//! Invariant: a value that [`value_of`] gives has exactly the type that was asked for; a refusal names the place in the
//! JSON, the WIT type and the value. Both directions stop at a number of bytes, so neither can be made to grow: `{}` can
//! stand for a record of a thousand options, so what is made is counted too, not only what is read.

use serde_json::{Map, Number, Value};
use wasmtime::component::{Type, Val};

use crate::error::CallError;
use crate::limits::bytes;

/// How many characters of a value an error shows.
const SHOWN: usize = 60;

/// How many bytes of values a byte of arguments may become. The shortest JSON that a value needs, `[]`, becomes 20.
const INFLATION: usize = 24;

/// The parameters of a function from an object of arguments by name, of `limit` bytes as compact JSON at most.
pub(crate) fn arguments(
    parameters: &[(String, Type)],
    arguments: &Value,
    limit: u64,
) -> Result<Vec<Val>, CallError> {
    let most = usize::try_from(limit).unwrap_or(usize::MAX);
    if length(arguments, most).is_none() {
        return Err(over_input(limit));
    }
    let none = Map::new();
    let object = match arguments {
        Value::Object(object) => object,
        Value::Null if parameters.is_empty() => &none,
        other => return Err(Path::ROOT.wrong("an object with one value per parameter", other)),
    };
    let fields = parameters.iter().map(|(name, ty)| (name.as_str(), ty.clone()));
    let mut lowering = Lowering { left: most.saturating_mul(INFLATION), limit };
    Ok(lowering.record(fields, object, Path::ROOT)?.into_iter().map(|(_, value)| value).collect())
}

fn over_input(limit: u64) -> CallError {
    CallError::Limit { limit: "input", value: bytes(limit) }
}

/// What lowering may still make.
struct Lowering {
    /// Bytes of values.
    left: usize,
    /// The limit that an error names.
    limit: u64,
}

/// Where in the arguments a value stands; written only when an error needs it.
#[derive(Clone, Copy)]
struct Path<'a> {
    parent: Option<&'a Path<'a>>,
    step: Step<'a>,
}

#[derive(Clone, Copy)]
enum Step<'a> {
    Root,
    Name(&'a str),
    Index(usize),
}

impl<'a> Path<'a> {
    const ROOT: Path<'static> = Path { parent: None, step: Step::Root };

    fn name(&'a self, name: &'a str) -> Path<'a> {
        Path { parent: Some(self), step: Step::Name(name) }
    }

    fn index(&'a self, index: usize) -> Path<'a> {
        Path { parent: Some(self), step: Step::Index(index) }
    }

    fn text(&self) -> String {
        let parent = self.parent.map(Path::text).unwrap_or_default();
        match self.step {
            Step::Root => "$".to_owned(),
            Step::Name(name) => format!("{parent}.{name}"),
            Step::Index(index) => format!("{parent}[{index}]"),
        }
    }

    fn error(&self, message: String) -> CallError {
        CallError::Arguments { path: self.text(), message }
    }

    fn wrong(&self, expected: &str, given: &Value) -> CallError {
        self.error(format!("expected {expected}, got {}", shown(given)))
    }
}

/// A value as an error shows it: the beginning of its JSON.
fn shown(value: &Value) -> String {
    match value {
        Value::Array(items) if items.len() > 8 => format!("an array of {} items", items.len()),
        Value::Object(fields) if fields.len() > 8 => format!("an object of {} fields", fields.len()),
        Value::String(text) if text.len() > 4 * SHOWN => {
            format!(
                "a string of {} bytes that begins with {:?}",
                text.len(),
                text.chars().take(SHOWN).collect::<String>()
            )
        }
        other => {
            let text = other.to_string();
            let mut short: String = text.chars().take(SHOWN).collect();
            if short.len() < text.len() {
                short.push('…');
            }
            short
        }
    }
}

impl Lowering {
    /// Counts a value, or a name of this length in one.
    fn spend(&mut self, bytes: usize) -> Result<(), CallError> {
        self.left = self.left.checked_sub(bytes).ok_or_else(|| over_input(self.limit))?;
        Ok(())
    }

    /// A name of its own for a value, counted.
    fn owned(&mut self, name: &str) -> Result<String, CallError> {
        self.spend(size_of::<String>() + name.len())?;
        Ok(name.to_owned())
    }

    fn value_of(&mut self, ty: &Type, value: &Value, path: Path<'_>) -> Result<Val, CallError> {
        self.spend(size_of::<Val>())?;
        let wrong = || path.wrong(&describe(ty), value);
        Ok(match ty {
            Type::Bool => Val::Bool(value.as_bool().ok_or_else(wrong)?),
            Type::S8 => Val::S8(integer(value).ok_or_else(wrong)?),
            Type::U8 => Val::U8(integer(value).ok_or_else(wrong)?),
            Type::S16 => Val::S16(integer(value).ok_or_else(wrong)?),
            Type::U16 => Val::U16(integer(value).ok_or_else(wrong)?),
            Type::S32 => Val::S32(integer(value).ok_or_else(wrong)?),
            Type::U32 => Val::U32(integer(value).ok_or_else(wrong)?),
            Type::S64 => Val::S64(integer(value).ok_or_else(wrong)?),
            Type::U64 => Val::U64(integer(value).ok_or_else(wrong)?),
            Type::Float32 => Val::Float32(single(value).ok_or_else(wrong)?),
            Type::Float64 => Val::Float64(double(value).ok_or_else(wrong)?),
            Type::Char => Val::Char(one_char(value).ok_or_else(wrong)?),
            Type::String => Val::String(self.owned(value.as_str().ok_or_else(wrong)?)?),
            Type::List(list) => {
                let items = value.as_array().ok_or_else(wrong)?;
                let item = list.ty();
                let items = items
                    .iter()
                    .enumerate()
                    .map(|(index, value)| self.value_of(&item, value, path.index(index)));
                Val::List(items.collect::<Result<_, _>>()?)
            }
            Type::Tuple(tuple) => {
                let items =
                    value.as_array().filter(|items| items.len() == tuple.types().len()).ok_or_else(wrong)?;
                let items = tuple.types().zip(items).enumerate();
                let items = items.map(|(index, (ty, value))| self.value_of(&ty, value, path.index(index)));
                Val::Tuple(items.collect::<Result<_, _>>()?)
            }
            Type::Record(wanted) => {
                let object = value.as_object().ok_or_else(wrong)?;
                Val::Record(self.record(wanted.fields().map(|field| (field.name, field.ty)), object, path)?)
            }
            Type::Variant(variant) => {
                let (name, payload) = case(value).ok_or_else(wrong)?;
                let case = variant.cases().find(|case| case.name == name).ok_or_else(wrong)?;
                Val::Variant(self.owned(name)?, self.payload(case.ty, payload, path.name(name), &wrong)?)
            }
            Type::Enum(wanted) => {
                let name = value.as_str().filter(|name| wanted.names().any(|known| known == *name));
                Val::Enum(self.owned(name.ok_or_else(wrong)?)?)
            }
            Type::Flags(wanted) => {
                let names = flags(wanted, value).ok_or_else(wrong)?;
                self.spend(names.iter().map(|name| size_of::<String>() + name.len()).sum())?;
                Val::Flags(names.into_iter().map(str::to_owned).collect())
            }
            Type::Option(option) => self.optional(&option.ty(), value, path)?,
            Type::Result(result) => {
                let (name, payload) = case(value).ok_or_else(wrong)?;
                let path = path.name(name);
                match name {
                    "ok" => Val::Result(Ok(self.payload(result.ok(), payload, path, &wrong)?)),
                    "err" => Val::Result(Err(self.payload(result.err(), payload, path, &wrong)?)),
                    _ => return Err(wrong()),
                }
            }
            _ => return Err(path.error(format!("{} cannot be given as JSON", describe(ty)))),
        })
    }

    /// The fields of a record in their order; what is not among them is refused.
    fn record<'t>(
        &mut self,
        fields: impl Iterator<Item = (&'t str, Type)>,
        object: &Map<String, Value>,
        path: Path<'_>,
    ) -> Result<Vec<(String, Val)>, CallError> {
        let mut values = Vec::new();
        let mut found = 0;
        for (name, ty) in fields {
            let value = match (object.get(name), &ty) {
                (Some(value), ty) => {
                    found += 1;
                    self.value_of(ty, value, path.name(name))?
                }
                (None, Type::Option(_)) => {
                    self.spend(size_of::<Val>())?;
                    Val::Option(None)
                }
                (None, ty) => {
                    return Err(path.name(name).error(format!("missing; give it as {}", describe(ty))));
                }
            };
            values.push((self.owned(name)?, value));
        }
        if found < object.len() {
            let known: Vec<&str> = values.iter().map(|(name, _)| name.as_str()).collect();
            let unknown =
                object.keys().find(|name| !known.contains(&name.as_str())).map_or("", String::as_str);
            let unknown: String = unknown.chars().take(SHOWN).collect();
            let known = if known.is_empty() { "nothing".to_owned() } else { few(known) };
            return Err(path.name(&unknown).error(format!("unknown; there is {known}")));
        }
        Ok(values)
    }

    /// The payload that a case wants. A case without one may be given as `{"case": null}` too.
    fn payload(
        &mut self,
        ty: Option<Type>,
        payload: Option<&Value>,
        path: Path<'_>,
        wrong: &dyn Fn() -> CallError,
    ) -> Result<Option<Box<Val>>, CallError> {
        match (ty, payload) {
            (Some(ty), Some(payload)) => Ok(Some(Box::new(self.value_of(&ty, payload, path)?))),
            (None, None | Some(Value::Null)) => Ok(None),
            _ => Err(wrong()),
        }
    }

    /// null, the value itself, or `{"some": value}` where the value is an option too.
    fn optional(&mut self, inner: &Type, value: &Value, path: Path<'_>) -> Result<Val, CallError> {
        let some = match (inner, value) {
            (_, Value::Null) => return Ok(Val::Option(None)),
            (Type::Option(_), Value::Object(object)) if object.len() == 1 && object.contains_key("some") => {
                self.value_of(inner, &object["some"], path.name("some"))?
            }
            (Type::Option(_), other) => return Err(path.wrong("null or {\"some\": …}", other)),
            (inner, value) => self.value_of(inner, value, path)?,
        };
        Ok(Val::Option(Some(Box::new(some))))
    }
}

/// `"case"` or `{"case": payload}`.
fn case(value: &Value) -> Option<(&str, Option<&Value>)> {
    match value {
        Value::String(name) => Some((name, None)),
        Value::Object(object) if object.len() == 1 => {
            object.iter().next().map(|(name, payload)| (name.as_str(), Some(payload)))
        }
        _ => None,
    }
}

/// The names of the flags that are set, each once.
fn flags<'v>(wanted: &wasmtime::component::types::Flags, value: &'v Value) -> Option<Vec<&'v str>> {
    let mut names: Vec<&str> = Vec::new();
    for name in value.as_array()? {
        let name = name.as_str().filter(|name| wanted.names().any(|known| known == *name))?;
        if !names.contains(&name) {
            names.push(name);
        }
    }
    Some(names)
}

/// A whole number within the type's bounds; `3.0` and `3e0` are whole.
fn integer<T: TryFrom<i128>>(value: &Value) -> Option<T> {
    let number = value.as_number()?;
    let whole = match (number.as_i64(), number.as_u64(), number.as_f64()) {
        (Some(signed), _, _) => i128::from(signed),
        (_, Some(unsigned), _) => i128::from(unsigned),
        // Within 2^53 a float is exactly the number that was written.
        (_, _, Some(float)) if float.fract() == 0.0 && float.abs() <= 9_007_199_254_740_992.0 => {
            float as i128
        }
        _ => return None,
    };
    T::try_from(whole).ok()
}

fn double(value: &Value) -> Option<f64> {
    match value {
        Value::Number(number) => number.as_f64(),
        Value::String(name) => match name.as_str() {
            "NaN" => Some(f64::NAN),
            "Infinity" => Some(f64::INFINITY),
            "-Infinity" => Some(f64::NEG_INFINITY),
            _ => None,
        },
        _ => None,
    }
}

/// A number that fits; one beyond the largest f32 is refused, not made infinite.
fn single(value: &Value) -> Option<f32> {
    let wide = double(value)?;
    let narrow = wide as f32;
    (narrow.is_finite() || !wide.is_finite()).then_some(narrow)
}

fn one_char(value: &Value) -> Option<char> {
    let mut chars = value.as_str()?.chars();
    chars.next().filter(|_| chars.next().is_none())
}

/// The first names.
fn few(names: Vec<&str>) -> String {
    let more = if names.len() > 12 { ", …" } else { "" };
    format!("{}{more}", names.into_iter().take(12).collect::<Vec<_>>().join(", "))
}

/// A WIT type in few words, for errors.
pub(crate) fn describe(ty: &Type) -> String {
    match ty {
        Type::Bool => "bool".to_owned(),
        Type::S8 => "s8 (a whole number from -128 to 127)".to_owned(),
        Type::U8 => "u8 (a whole number from 0 to 255)".to_owned(),
        Type::S16 => "s16 (a whole number from -32768 to 32767)".to_owned(),
        Type::U16 => "u16 (a whole number from 0 to 65535)".to_owned(),
        Type::S32 => format!("s32 (a whole number from {} to {})", i32::MIN, i32::MAX),
        Type::U32 => format!("u32 (a whole number from 0 to {})", u32::MAX),
        Type::S64 => format!("s64 (a whole number from {} to {})", i64::MIN, i64::MAX),
        Type::U64 => format!("u64 (a whole number from 0 to {})", u64::MAX),
        Type::Float32 => "f32 (a number)".to_owned(),
        Type::Float64 => "f64 (a number)".to_owned(),
        Type::Char => "char (a string of one character)".to_owned(),
        Type::String => "string".to_owned(),
        Type::List(_) => "list (an array)".to_owned(),
        Type::Tuple(tuple) => format!("tuple (an array of exactly {})", tuple.types().len()),
        Type::Record(record) => {
            format!("record (an object with {})", few(record.fields().map(|field| field.name).collect()))
        }
        Type::Variant(variant) => {
            let case = |case: wasmtime::component::types::Case<'_>| match case.ty {
                Some(_) => format!("{{\"{}\": …}}", case.name),
                None => format!("\"{}\"", case.name),
            };
            let cases: Vec<String> = variant.cases().map(case).collect();
            format!("variant ({})", few(cases.iter().map(String::as_str).collect()))
        }
        Type::Enum(wanted) => format!("enum (one of {})", few(wanted.names().collect())),
        Type::Flags(wanted) => format!("flags (an array of {})", few(wanted.names().collect())),
        Type::Option(option) => format!("{} or null", describe(&option.ty())),
        Type::Result(_) => "result ({\"ok\": …} or {\"err\": …})".to_owned(),
        Type::Own(_) | Type::Borrow(_) => "a resource".to_owned(),
        Type::Future(_) => "a future".to_owned(),
        Type::Stream(_) => "a stream".to_owned(),
        Type::Map(_) => "a map".to_owned(),
        Type::FixedLengthList(_) => "a fixed-length list".to_owned(),
        Type::ErrorContext => "an error-context".to_owned(),
    }
}

/// A component value as JSON, or none where its compact text would be longer than `budget` bytes. Names and strings
/// move from the one to the other.
///
/// Resources, futures and the like never come here: functions that use them are not exposed.
pub(crate) fn to_json(value: Val, budget: &mut usize) -> Option<Value> {
    let scalar = |value: Value, budget: &mut usize| spend(budget, 8).map(|()| value);
    Some(match value {
        Val::Bool(value) => scalar(Value::Bool(value), budget)?,
        Val::S8(value) => scalar(value.into(), budget)?,
        Val::U8(value) => {
            spend(budget, 4)?;
            value.into()
        }
        Val::S16(value) => scalar(value.into(), budget)?,
        Val::U16(value) => scalar(value.into(), budget)?,
        Val::S32(value) => scalar(value.into(), budget)?,
        Val::U32(value) => scalar(value.into(), budget)?,
        Val::S64(value) => scalar(value.into(), budget)?,
        Val::U64(value) => scalar(value.into(), budget)?,
        // The shortest text that reads back as this f32, not the 17 digits of its f64.
        Val::Float32(value) if value.is_finite() => {
            scalar(float(value.to_string().parse().unwrap_or_else(|_| f64::from(value))), budget)?
        }
        Val::Float32(value) => scalar(float(f64::from(value)), budget)?,
        Val::Float64(value) => scalar(float(value), budget)?,
        Val::Char(value) => scalar(value.to_string().into(), budget)?,
        Val::String(value) | Val::Enum(value) => text(value, budget)?,
        Val::List(items) | Val::Tuple(items) | Val::FixedLengthList(items) => {
            spend(budget, 2)?;
            items.into_iter().map(|item| to_json(item, budget)).collect::<Option<Vec<_>>>()?.into()
        }
        Val::Record(fields) => {
            let mut object = Map::with_capacity(fields.len());
            for (name, value) in fields {
                spend(budget, name.len() + 4)?;
                object.insert(name, to_json(value, budget)?);
            }
            Value::Object(object)
        }
        Val::Variant(name, None) => text(name, budget)?,
        Val::Variant(name, Some(payload)) => tagged(name, *payload, budget)?,
        Val::Option(None) => scalar(Value::Null, budget)?,
        Val::Option(Some(inner)) => match *inner {
            inner @ Val::Option(_) => tagged("some".to_owned(), inner, budget)?,
            inner => to_json(inner, budget)?,
        },
        Val::Result(result) => {
            let (name, payload) = match result {
                Ok(payload) => ("ok", payload),
                Err(payload) => ("err", payload),
            };
            match payload {
                Some(payload) => tagged(name.to_owned(), *payload, budget)?,
                None => Value::Object(Map::from_iter([(name.to_owned(), scalar(Value::Null, budget)?)])),
            }
        }
        Val::Flags(names) => {
            spend(budget, 2)?;
            names.into_iter().map(|name| text(name, budget)).collect::<Option<Vec<_>>>()?.into()
        }
        Val::Map(_) | Val::Resource(_) | Val::Future(_) | Val::Stream(_) | Val::ErrorContext(_) => {
            Value::Null
        }
    })
}

fn spend(budget: &mut usize, bytes: usize) -> Option<()> {
    *budget = budget.checked_sub(bytes)?;
    Some(())
}

fn text(value: String, budget: &mut usize) -> Option<Value> {
    spend(budget, value.len() + 3)?;
    Some(value.into())
}

fn tagged(name: String, payload: Val, budget: &mut usize) -> Option<Value> {
    spend(budget, name.len() + 4)?;
    Some(Value::Object(Map::from_iter([(name, to_json(payload, budget)?)])))
}

fn float(value: f64) -> Value {
    match Number::from_f64(value) {
        Some(number) => Value::Number(number),
        None if value.is_nan() => "NaN".into(),
        None if value > 0.0 => "Infinity".into(),
        None => "-Infinity".into(),
    }
}

/// The rough length of a value's compact JSON, or none where it is more than `limit`.
fn length(value: &Value, limit: usize) -> Option<usize> {
    let bytes = match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => 8,
        Value::String(text) => text.len() + 3,
        Value::Array(items) => {
            let mut left = limit.checked_sub(2)?;
            for item in items {
                left -= length(item, left)?;
            }
            limit - left
        }
        Value::Object(fields) => {
            let mut left = limit.checked_sub(2)?;
            for (name, value) in fields {
                left = left.checked_sub(name.len() + 4)?;
                left -= length(value, left)?;
            }
            limit - left
        }
    };
    (bytes <= limit).then_some(bytes)
}

#[cfg(test)]
mod tests;

//! Objects out of a file of JSON that may be broken: what stands whole before the break is taken.
//!
//! Invariant: an object is given only if all of it was read; the error names line and column. Nesting is bounded by the
//! parser (128 levels), so is the number of items.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Deserializer, Map, Value};

/// What one file held.
#[derive(Debug, Default)]
pub struct Whole {
    /// Objects, or whatever stands in their place.
    pub items: Vec<Value>,
    /// What is wrong with the rest of the file.
    pub broken: Vec<String>,
}

/// Reads a file: an object, a List, an array, or several of them one after the other.
#[must_use]
pub fn read(bytes: &[u8], most: usize) -> Whole {
    let mut whole = Whole::default();
    let mut rest = bytes;
    while !rest.iter().all(u8::is_ascii_whitespace) {
        let mut deserializer = Deserializer::from_slice(rest);
        let before = whole.items.len();
        let result = deserializer.deserialize_any(Top { whole: &mut whole, most });
        match result {
            Ok(()) => {}
            Err(error) if error.is_eof() => {
                let kept = whole.items.len() - before;
                whole
                    .broken
                    .push(format!("cut off: {error}; {kept} objects before that were read; record it again"));
                break;
            }
            Err(error) if whole.items.len() >= most => {
                let _ = error;
                whole.broken.push(format!("more than {most} objects; the rest is left out"));
                break;
            }
            Err(error) => {
                let kept = whole.items.len() - before;
                whole.broken.push(match kept {
                    0 => format!("not JSON: {error}"),
                    _ => format!("not JSON: {error}; {kept} objects before that were read"),
                });
                break;
            }
        }
        // The next value, where several stand one after the other.
        let mut stream = Deserializer::from_slice(rest).into_iter::<serde::de::IgnoredAny>();
        let _ = stream.next();
        rest = rest.get(stream.byte_offset()..).unwrap_or_default();
    }
    whole
}

struct Top<'a> {
    whole: &'a mut Whole,
    most: usize,
}

impl<'de> Visitor<'de> for Top<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object or a list of the Kubernetes API")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut fields = Map::new();
        while let Some(key) = map.next_key::<String>()? {
            if key == "items" && fields.get("kind").is_none_or(is_list) {
                let found = map.next_value_seed(Items { items: &mut self.whole.items, most: self.most })?;
                match found {
                    Found::Items => {}
                    Found::Nothing => {}
                    Found::Other => self.whole.broken.push("`items` of the List is not a list".to_owned()),
                }
                fields.insert(key, Value::Null);
            } else {
                fields.insert(key, map.next_value()?);
            }
        }
        let listed = fields.contains_key("items") || fields.get("kind").is_some_and(is_list);
        if !listed {
            self.whole.items.push(Value::Object(fields));
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<(), A::Error> {
        Items { items: &mut self.whole.items, most: self.most }.visit_seq(seq).map(|_| ())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        self.whole.items.push(Value::Null);
        Ok(())
    }

    fn visit_bool<E>(self, value: bool) -> Result<(), E> {
        self.whole.items.push(value.into());
        Ok(())
    }

    fn visit_i64<E>(self, value: i64) -> Result<(), E> {
        self.whole.items.push(value.into());
        Ok(())
    }

    fn visit_u64<E>(self, value: u64) -> Result<(), E> {
        self.whole.items.push(value.into());
        Ok(())
    }

    fn visit_f64<E>(self, value: f64) -> Result<(), E> {
        self.whole.items.push(value.into());
        Ok(())
    }

    fn visit_str<E>(self, value: &str) -> Result<(), E> {
        self.whole.items.push(value.into());
        Ok(())
    }
}

fn is_list(kind: &Value) -> bool {
    kind.as_str().is_some_and(|kind| kind.ends_with("List"))
}

enum Found {
    Items,
    Nothing,
    Other,
}

struct Items<'a> {
    items: &'a mut Vec<Value>,
    most: usize,
}

impl<'de> DeserializeSeed<'de> for Items<'_> {
    type Value = Found;

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<Found, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Items<'_> {
    type Value = Found;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Found, A::Error> {
        while let Some(item) = seq.next_element()? {
            if self.items.len() >= self.most {
                return Err(serde::de::Error::custom("too many objects"));
            }
            self.items.push(item);
        }
        Ok(Found::Items)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Found, A::Error> {
        while map.next_entry::<serde::de::IgnoredAny, serde::de::IgnoredAny>()?.is_some() {}
        Ok(Found::Other)
    }

    // `kubectl get --raw` leaves `items` null where there are none.
    fn visit_unit<E>(self) -> Result<Found, E> {
        Ok(Found::Nothing)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Found, E> {
        Ok(Found::Other)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Found, E> {
        Ok(Found::Other)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Found, E> {
        Ok(Found::Other)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Found, E> {
        Ok(Found::Other)
    }

    fn visit_str<E>(self, _: &str) -> Result<Found, E> {
        Ok(Found::Other)
    }
}

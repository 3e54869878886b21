//! Places in a schema (JSON Pointers), made only where they are told: a schema of half a megabyte may have tens of thousands,
//! each as long as the names above it.

use serde_json::Value;

use super::{MANY, NAMED, ONE};

/// Characters of a name that a place shows.
const SHOWN: usize = 100;

/// Where a schema stands in the one around it.
pub(crate) struct Place<'a> {
    pub(crate) keyword: &'a str,
    step: Step<'a>,
}

enum Step<'a> {
    None,
    Number(usize),
    Name(&'a str),
}

impl Place<'_> {
    /// With the place of the one around it in front.
    pub(crate) fn under(&self, path: &str) -> String {
        let keyword = escape(self.keyword);
        match self.step {
            Step::None => format!("{path}/{keyword}"),
            Step::Number(at) => format!("{path}/{keyword}/{at}"),
            Step::Name(name) => format!("{path}/{keyword}/{}", escape(name)),
        }
    }
}

/// The schemas directly inside a schema, each with its place.
pub(crate) fn children(schema: &Value) -> Vec<(Place<'_>, &Value)> {
    let mut found = Vec::new();
    for (keyword, value) in schema.as_object().into_iter().flatten() {
        let keyword = keyword.as_str();
        match value {
            Value::Object(_) if ONE.contains(&keyword) => {
                found.push((Place { keyword, step: Step::None }, value));
            }
            Value::Array(list) if MANY.contains(&keyword) => {
                let place = |at| Place { keyword, step: Step::Number(at) };
                found.extend(list.iter().enumerate().map(|(at, v)| (place(at), v)));
            }
            Value::Object(map) if NAMED.contains(&keyword) => {
                let place = |name| Place { keyword, step: Step::Name(name) };
                found.extend(map.iter().map(|(name, v)| (place(name), v)));
            }
            _ => {}
        }
    }
    found
}

/// A name as a place shows it (RFC 6901): not the whole of a long one, for there may be a place for each of many schemas.
pub(crate) fn escape(name: &str) -> String {
    let escaped = name.replace('~', "~0").replace('/', "~1");
    match escaped.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &escaped[..end]),
        None => escaped,
    }
}

//! Objects and arrays on the path to an `x-pawl`, in Lark.
//!
//! Invariant: rules lead on to rules over a few dozen members at a time, not from each to the next: the engine recurses
//! along them (`limits.rs`).

use std::collections::HashSet;

use serde_json::{Map, Value, json};

use super::{super::escape, KEYWORD, Writer, only};
use crate::{
    Error,
    schema::{escape as pointer, refused},
};

/// Most items that an array on the path may demand or allow.
const MAX_ITEMS: u64 = 100_000;
/// Members of an object that are written one after the other in one rule.
const RUN: usize = 32;

impl Writer<'_> {
    pub(super) fn object(&mut self, object: &Map<String, Value>, path: &str) -> Result<String, Error> {
        only(object, path, &["type", "properties", "required", "additionalProperties"])?;
        if object.get("additionalProperties") != Some(&Value::Bool(false)) {
            let message = format!("`{KEYWORD}` inside an object needs `\"additionalProperties\": false`");
            return Err(refused(path, message));
        }
        let empty = Map::new();
        let properties = object.get("properties").and_then(Value::as_object).unwrap_or(&empty);
        let required = required(object, properties, path)?;
        let mut members = Vec::new();
        for (name, schema) in properties {
            let value = self.value(schema, &format!("{path}/properties/{}", pointer(name)))?;
            let key = escape::literal(&json!(name).to_string());
            let item = self.define("item", &format!("{key} \": \" {value}"));
            members.push((item, required.contains(name.as_str())));
        }
        let members = self.members(&members);
        Ok(self.define("object", &format!("\"{{\" {members} \"}}\"")))
    }

    /// The members of an object in their order, with `true` for those that must be there.
    fn members(&mut self, members: &[(String, bool)]) -> String {
        // What comes first: one of those that need not be there, or the one behind them.
        let lead = members.iter().take_while(|(_, must)| !must).count();
        let mut first = Vec::new();
        if lead == members.len() {
            first.push("\"\"".to_owned());
        }
        // From the last member to the first: what may come behind one, that is the rest of its run and all runs behind.
        let (mut behind, mut run, mut runs) = ("\"\"".to_owned(), Vec::new(), "\"\"".to_owned());
        for (at, (item, must)) in members.iter().enumerate().rev() {
            if at <= lead {
                first.push(format!("{item} {behind}"));
            }
            if at == 0 {
                break;
            }
            let next = if *must {
                format!("\", \" {item}")
            } else {
                self.define("more", &format!("(\", \" {item})?"))
            };
            run.push(next);
            if at % RUN == 0 || at == lead + 1 {
                let all: Vec<&str> = run.iter().rev().map(String::as_str).collect();
                behind = self.define("after", &format!("{} {runs}", all.join(" ")));
            } else if at <= lead {
                behind = self.define("after", &format!("{} {behind}", run[run.len() - 1]));
            }
            if at % RUN == 0 {
                runs.clone_from(&behind);
                run.clear();
            }
        }
        first.reverse();
        self.define("first", &first.join(" | "))
    }

    pub(super) fn array(&mut self, object: &Map<String, Value>, path: &str) -> Result<String, Error> {
        only(object, path, &["type", "items", "prefixItems", "minItems", "maxItems"])?;
        let min = count(object, "minItems", path)?.unwrap_or(0);
        let max = count(object, "maxItems", path)?;
        if max.is_some_and(|max| max < min) {
            return Err(refused(path, format!("`minItems` {min} is more than `maxItems`")));
        }
        if let Some(prefix) = object.get("prefixItems") {
            return self.tuple(object, prefix, (min, max), path);
        }
        let items = object.get("items").unwrap_or(&Value::Bool(true));
        let item = self.value(items, &format!("{path}/items"))?;
        let more = match (min.saturating_sub(1), max.map(|max| max.saturating_sub(1))) {
            (_, Some(0)) => String::new(),
            (low, high) => {
                let high = high.map_or_else(String::new, |high| high.to_string());
                format!(" (\", \" {item}){{{low},{high}}}")
            }
        };
        let inside = match (min, max) {
            (_, Some(0)) => "\"\"".to_owned(),
            (0, _) => format!("({item}{more})?"),
            _ => format!("{item}{more}"),
        };
        Ok(self.define("array", &format!("\"[\" {inside} \"]\"")))
    }

    /// An array of exactly these.
    fn tuple(
        &mut self,
        object: &Map<String, Value>,
        prefix: &Value,
        (min, max): (u64, Option<u64>),
        path: &str,
    ) -> Result<String, Error> {
        let place = format!("{path}/prefixItems");
        let prefix = prefix.as_array().ok_or_else(|| refused(&place, "`prefixItems` needs a list".into()))?;
        let count = prefix.len() as u64;
        if object.get("items") != Some(&Value::Bool(false)) || min != count || max != Some(count) {
            let message = format!(
                "`{KEYWORD}` inside `prefixItems` needs `\"items\": false` and `minItems` and `maxItems` of {count}"
            );
            return Err(refused(&place, message));
        }
        let one = |(at, schema)| self.value(schema, &format!("{place}/{at}"));
        let all: Vec<String> = prefix.iter().enumerate().map(one).collect::<Result<_, _>>()?;
        Ok(self.define("array", &format!("\"[\" {} \"]\"", all.join(" \", \" "))))
    }
}

pub(super) fn count(object: &Map<String, Value>, keyword: &str, path: &str) -> Result<Option<u64>, Error> {
    let Some(value) = object.get(keyword) else { return Ok(None) };
    let number = value.as_u64().filter(|n| *n <= MAX_ITEMS);
    number.map(Some).ok_or_else(|| {
        let message = format!("`{keyword}` is {value}; a whole number up to {MAX_ITEMS} is supported");
        refused(&format!("{path}/{keyword}"), message)
    })
}

fn required<'a>(
    object: &'a Map<String, Value>,
    properties: &Map<String, Value>,
    path: &str,
) -> Result<HashSet<&'a str>, Error> {
    let path = format!("{path}/required");
    let names = match object.get("required") {
        None => return Ok(HashSet::new()),
        Some(Value::Array(names)) => names.iter().map(Value::as_str).collect::<Option<HashSet<_>>>(),
        Some(_) => None,
    };
    let names = names.ok_or_else(|| refused(&path, "`required` needs a list of names".into()))?;
    match names.iter().find(|name| !properties.contains_key(**name)) {
        None => Ok(names),
        Some(name) => Err(refused(&path, format!("`{name}` is required and is not among the properties"))),
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use crate::grammar::{holds, nested};

    /// An object of so many members, `q` among them, of which these must be there.
    fn schema(count: usize, must: &[usize]) -> Value {
        let one = |at: usize| match at {
            5 => json!({"type": "string", "x-pawl": {"quote": "a"}}),
            _ => json!({"const": at}),
        };
        let properties: Map<String, Value> = (0..count).map(|at| (format!("p{at}"), one(at))).collect();
        let required: Vec<String> = must.iter().map(|at| format!("p{at}")).collect();
        json!({"type": "object", "additionalProperties": false, "properties": properties, "required": required})
    }

    fn text(members: &[usize]) -> String {
        let one = |at: &usize| if *at == 5 { "\"p5\": \"a\"".to_owned() } else { format!("\"p{at}\": {at}") };
        format!("{{{}}}", members.iter().map(one).collect::<Vec<_>>().join(", "))
    }

    #[test]
    fn members_come_in_their_order_with_all_that_must_be_there() {
        for (count, must) in [
            (6, vec![]),
            (7, vec![0]),
            (8, vec![7]),
            (70, vec![]),
            (70, vec![0, 69]),
            (70, vec![31]),
            (70, vec![32]),
            (70, vec![33, 64]),
            (70, (0..70).collect()),
            (97, vec![96]),
        ] {
            let lark = nested::lark(&schema(count, &must)).unwrap();
            let matcher = holds::compile(&lark).unwrap();
            let all: Vec<usize> = (0..count).collect();
            let without = |left: &[usize]| all.iter().filter(|at| !left.contains(at)).copied().collect();
            let mut samples: Vec<Vec<usize>> =
                vec![vec![], all.clone(), must.clone(), all[..count / 2].to_vec()];
            samples.extend([30, 31, 32, 33, 63, 64, 65].map(|begin| all[count.min(begin)..].to_vec()));
            samples.extend(all.iter().map(|left| without(&[*left])));
            samples.extend(all.iter().map(|only| vec![*only]));
            samples.extend((0..count - 1).map(|left| without(&[left, left + 1])));
            for sample in samples {
                let expected = must.iter().all(|at| sample.contains(at));
                let text = text(&sample);
                assert_eq!(holds::accepts(&matcher, &text), expected, "{count}, {must:?}: {text}");
            }
            let swapped = text(&[vec![1, 0], all[2..].to_vec()].concat());
            assert!(!holds::accepts(&matcher, &swapped), "{count}, {must:?}");
        }
    }
}

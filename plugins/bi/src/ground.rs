//! Holding a question to what there is: names and synonyms to the layer, values to the database.
//!
//! Invariant: a name that passes is one of the layer's; a value that passes is a value of its dimension now. What the
//! model may write is the same ([`refinements`]), so that it cannot invent either.

use std::fmt::Write as _;

use crate::bindings::exports::pawl::plugin::refine::{Refinement, Rule};
use crate::fragment::{literal, quoted};
use crate::layer::{Layer, missing};
use crate::plan::{self, Condition};
use crate::{Database, Error, Value, failed, period};

/// A dimension with more values than this is not listed: its values are free text, checked here.
const MAX_VALUES: u32 = 300;
/// Choices in all; the host takes 2,000.
const MAX_CHOICES: usize = 1_800;
/// A dimension with at most so many values has them in the description.
const FEW: usize = 8;

/// A name of the layer from a name or a synonym of it.
fn resolve<'a>(
    kind: &str,
    name: &str,
    all: impl Iterator<Item = (&'a String, &'a [String])> + Clone,
) -> Result<String, Error> {
    let wanted = name.trim().to_lowercase();
    let same = |word: &String| word.to_lowercase() == wanted;
    let found = all.clone().find(|(own, synonyms)| same(own) || synonyms.iter().any(same));
    found
        .map(|(own, _)| own.clone())
        .ok_or_else(|| Error::UnknownName(missing(kind, name, all.map(|(own, _)| own))))
}

/// A measure's own name.
///
/// # Errors
/// Where there is none so called, with those that there are.
pub fn measure(layer: &Layer, name: &str) -> Result<String, Error> {
    resolve("measure", name, layer.measures.iter().map(|(own, at)| (own, at.synonyms.as_slice())))
}

/// A dimension's own name.
///
/// # Errors
/// Where there is none so called, with those that there are.
pub fn dimension(layer: &Layer, name: &str) -> Result<String, Error> {
    resolve("dimension", name, layer.dimensions.iter().map(|(own, at)| (own, at.synonyms.as_slice())))
}

/// Conditions from `dimension: value` and names of filters.
///
/// # Errors
/// Where a dimension, a value or a filter is not there.
pub fn conditions(
    layer: &Layer,
    database: &impl Database,
    given: &[String],
    excluded: bool,
) -> Result<Vec<Condition>, Error> {
    let mut all: Vec<Condition> = Vec::new();
    for text in given {
        let Some((name, value)) = text.split_once(':') else {
            let wanted = text.trim();
            let name =
                layer.filters.keys().find(|name| name.eq_ignore_ascii_case(wanted)).ok_or_else(|| {
                    let help = "write `dimension: value`, such as `region: North`, or a filter's name";
                    Error::UnknownName(format!("{}; {help}", missing("filter", wanted, layer.filters.keys())))
                })?;
            all.push(Condition::Filter { name: name.clone(), excluded });
            continue;
        };
        let name = dimension(layer, name)?;
        let value = exact(layer, database, &name, value.trim())?;
        let known = all.iter_mut().find_map(|condition| match condition {
            Condition::Values { dimension, values, .. } if *dimension == name => Some(values),
            _ => None,
        });
        match known {
            Some(values) => values.push(value),
            None => all.push(Condition::Values { dimension: name, values: vec![value], excluded }),
        }
    }
    Ok(all)
}

fn exact(layer: &Layer, database: &impl Database, name: &str, value: &str) -> Result<String, Error> {
    let (expression, table) = column(layer, name)?;
    let sql = format!(
        "SELECT DISTINCT v FROM (SELECT coalesce(CAST(({expression}) AS TEXT), '(none)') AS v FROM {table}) WHERE v = {} COLLATE NOCASE",
        literal(value)
    );
    let rows = database.query(&sql, 50).map_err(failed)?.rows;
    let texts: Vec<String> = rows.into_iter().flatten().filter_map(text).collect();
    if let Some(found) = texts.iter().find(|text| *text == value).or(texts.first()) {
        return Ok(found.clone());
    }
    let (there, _) = values(layer, database, name)?;
    Err(Error::UnknownName(missing(&format!("{name}:"), value, there.iter())))
}

fn column(layer: &Layer, name: &str) -> Result<(String, String), Error> {
    let dimension = plan::dimension(layer, name)?;
    let entity = layer.entities.get(&dimension.entity);
    let entity = entity.ok_or_else(|| Error::Layer(format!("`dimensions.{name}.entity` is not there")))?;
    Ok((dimension.expression.clone(), quoted(&entity.table)))
}

fn text(value: Value) -> Option<String> {
    if let Value::Text(text) = value { Some(text) } else { None }
}

/// The values of a dimension, and whether these are all.
pub(crate) fn values(
    layer: &Layer,
    database: &impl Database,
    name: &str,
) -> Result<(Vec<String>, bool), Error> {
    let (expression, table) = column(layer, name)?;
    let sql = format!(
        "SELECT DISTINCT coalesce(CAST(({expression}) AS TEXT), '(none)') AS v FROM {table} ORDER BY v"
    );
    let rows = database.query(&sql, MAX_VALUES).map_err(failed)?;
    Ok((rows.rows.into_iter().flatten().filter_map(text).collect(), !rows.truncated))
}

/// What the model may write in place of each name.
///
/// # Errors
/// Where the database does not answer.
pub fn refinements(layer: &Layer, database: &impl Database) -> Result<Vec<Refinement>, Error> {
    let measures: Vec<String> = layer.measures.keys().cloned().collect();
    let dimensions: Vec<String> = layer.dimensions.keys().cloned().collect();
    let (mut choices, mut free): (Vec<String>, Vec<&String>) =
        (layer.filters.keys().cloned().collect(), Vec::new());
    for name in &dimensions {
        let (all, whole) = values(layer, database, name)?;
        if whole && choices.len() + all.len() <= MAX_CHOICES {
            choices.extend(all.iter().map(|value| format!("{name}: {value}")));
        } else {
            free.push(name);
        }
    }
    let conditions = if free.is_empty() {
        Rule::Choices(choices)
    } else {
        let fixed: Vec<String> = choices.iter().map(|choice| format!("{choice:?}")).collect();
        let free: Vec<String> =
            free.iter().map(|name| format!("{:?} /[^\"\\\\\\n]{{1,80}}/", format!("{name}: "))).collect();
        Rule::Lark(format!("start: {}\n", [fixed, free].concat().join(" | ")))
    };
    let steps = period::WORDS.map(str::to_owned);
    let by: Vec<String> = dimensions.iter().cloned().chain(steps).collect();
    let mut all = Vec::new();
    let mut add = |function: &str, path: &str, rule: Rule, shown| {
        all.push(Refinement { function: function.into(), path: path.into(), rule, shown });
    };
    for function in ["query", "chart"] {
        add(function, "/question/measures/*", Rule::Choices(measures.clone()), true);
        add(function, "/question/by/*", Rule::Choices(by.clone()), true);
        add(function, "/question/only/*", conditions.clone(), false);
        add(function, "/question/excluding/*", conditions.clone(), false);
    }
    add("explain-change", "/measure", Rule::Choices(measures), true);
    // no choice: the model is not offered it
    add("draft", "/database", Rule::Choices(Vec::new()), false);
    Ok(all)
}

/// The layer in a few lines for a prompt.
///
/// # Errors
/// Where the database does not answer, or a key of the layer is none.
pub fn describe(layer: &Layer, database: &impl Database) -> Result<String, Error> {
    keys_are_keys(layer, database)?;
    let mut out = String::from("Measures:\n");
    let also = |synonyms: &[String]| match synonyms {
        [] => String::new(),
        some => format!(" (also: {})", some.join(", ")),
    };
    for (name, at) in &layer.measures {
        let said = at.description.as_deref().map(|said| format!(": {said}")).unwrap_or_default();
        let _ = writeln!(out, "- {name}{said}{}", also(&at.synonyms));
    }
    out.push_str("Dimensions, for `by` and as `dimension: value` in `only`:\n");
    for (name, at) in &layer.dimensions {
        let (all, whole) = values(layer, database, name)?;
        let some: Vec<&str> =
            all.iter().take(if whole && all.len() <= FEW { FEW } else { 2 }).map(String::as_str).collect();
        let more = if some.len() < all.len() { ", …" } else { "" };
        let _ = writeln!(out, "- {name}: {}{more}{}", some.join(", "), also(&at.synonyms));
    }
    out.push_str("Steps of time, for `by`: day, week (from Monday), month, quarter, year\n");
    for (name, at) in &layer.filters {
        let said = at.description.as_deref().unwrap_or(&at.condition);
        let _ = writeln!(out, "Filter, for `only`: {name} ({said})");
    }
    for (name, at) in &layer.entities {
        if let Some(time) = at.time.as_deref().filter(|time| !time.contains('.')) {
            let sql = format!("SELECT min({time}), max({time}) FROM {}", quoted(&at.table));
            let ends: Vec<String> = database
                .query(&sql, 1)
                .map_err(failed)?
                .rows
                .into_iter()
                .flatten()
                .filter_map(text)
                .collect();
            if let [first, last] = ends.as_slice() {
                let _ = writeln!(out, "Days of {name}: {first} to {last}");
            }
        }
    }
    Ok(out)
}

/// A key that is none would multiply rows in every join: better no answer.
fn keys_are_keys(layer: &Layer, database: &impl Database) -> Result<(), Error> {
    for (name, at) in &layer.entities {
        let Some(key) = &at.key else { continue };
        let (key, table) = (quoted(key), quoted(&at.table));
        let sql = format!("SELECT {key} FROM {table} GROUP BY {key} HAVING count(*) > 1 LIMIT 1");
        if !database.query(&sql, 1).map_err(failed)?.rows.is_empty() {
            return Err(Error::Layer(format!(
                "`entities.{name}.key`: several rows of {table} have the same {key}; name the column that tells rows apart"
            )));
        }
    }
    Ok(())
}

//! From a question's names to SQL that counts each row once.
//!
//! Invariant: only joins to at most one row are followed from the entity that is aggregated, so that a join never
//! multiplies its rows; measures of different entities are aggregated apart, each in its own WITH query, and meet only
//! as finished figures. What cannot be reached so is refused, with the reason. This is the remedy that the field calls
//! "aggregate before join", against fan traps and chasm traps.

mod group;
mod joins;

use group::group;
use joins::answerable;
pub(crate) use joins::reaches;

use crate::fragment::quoted;
use crate::layer::{Aggregate, Dimension, Entity, Layer, Measure, missing};
use crate::period::Period;
use crate::{Error, Grain};

/// What rows of a question's figures are limited to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Condition {
    /// Some values of a dimension.
    Values {
        /// Its name.
        dimension: String,
        /// Any of them.
        values: Vec<String>,
        /// None of them instead.
        excluded: bool,
    },
    /// A named filter.
    Filter {
        /// Its name.
        name: String,
        /// Where it does not hold instead.
        excluded: bool,
    },
}

/// Figures to compile: names of the layer, each resolved before.
#[derive(Debug, Clone, Default)]
pub struct Spec {
    /// At least one.
    pub measures: Vec<String>,
    /// Dimensions.
    pub by: Vec<String>,
    /// Steps of time, the first column then.
    pub grain: Option<Grain>,
    /// Which days.
    pub period: Option<Period>,
    /// All of them hold.
    pub conditions: Vec<Condition>,
    /// Values of the first dimension that keep their name; the others become `(rest)`.
    pub keep: Option<Vec<String>>,
}

/// SQL with what it means.
#[derive(Debug, Clone)]
pub struct Compiled {
    /// One statement. Columns: the step where there is a grain, the dimensions, the measures.
    pub sql: String,
    /// What the reader should know.
    pub notes: Vec<String>,
    /// Per measure: whether the figures of its groups add up to the whole.
    pub additive: Vec<bool>,
}

/// What a plain measure aggregates.
#[derive(Clone, PartialEq)]
struct Atom {
    measure: String,
    entity: String,
    aggregate: Aggregate,
    expression: Option<String>,
    filter: Option<String>,
}

/// Compiles figures.
///
/// # Errors
/// Where a name is unknown, or the figures cannot be had without counting twice.
pub fn compile(layer: &Layer, spec: &Spec) -> Result<Compiled, Error> {
    let mut compiled = Compiled { sql: String::new(), notes: Vec::new(), additive: Vec::new() };
    let (mut atoms, mut columns): (Vec<Atom>, Vec<Vec<usize>>) = (Vec::new(), Vec::new());
    for name in &spec.measures {
        let measure = measure(layer, name)?;
        let parts = measure.ratio.as_ref().map_or_else(|| vec![name], |ratio| vec![&ratio.of, &ratio.to]);
        let mut places = Vec::new();
        for part in &parts {
            let atom = choose(layer, part, spec, &mut compiled.notes)?;
            places.push(atoms.iter().position(|other| *other == atom).unwrap_or_else(|| {
                atoms.push(atom);
                atoms.len() - 1
            }));
        }
        let adds = |place: &usize| {
            atoms.get(*place).is_some_and(|atom| matches!(atom.aggregate, Aggregate::Sum | Aggregate::Count))
        };
        compiled.additive.push(parts.len() == 1 && places.iter().all(adds));
        columns.push(places);
    }
    let mut entities: Vec<&str> = Vec::new();
    for atom in &atoms {
        if !entities.contains(&atom.entity.as_str()) {
            entities.push(&atom.entity);
        }
    }
    let keys: Vec<String> = spec
        .grain
        .map(|_| "step".to_owned())
        .into_iter()
        .chain((0..spec.by.len()).map(|i| format!("d{i}")))
        .collect();
    let mut with = Vec::new();
    for (g, entity) in entities.iter().enumerate() {
        with.push(format!("g{g} AS (\n{}\n)", group(layer, entity, &atoms, spec)?));
    }
    let source = if entities.len() == 1 {
        "FROM g0".to_owned()
    } else if keys.is_empty() {
        format!(
            "FROM {}",
            (0..entities.len()).map(|g| format!("g{g}")).collect::<Vec<_>>().join(" CROSS JOIN ")
        )
    } else {
        let each: Vec<String> =
            (0..entities.len()).map(|g| format!("SELECT {} FROM g{g}", keys.join(", "))).collect();
        with.push(format!("keys AS (\n  {}\n)", each.join("\n  UNION ")));
        (0..entities.len()).fold("FROM keys".to_owned(), |sql, g| {
            let on: Vec<String> = keys.iter().map(|key| format!("g{g}.{key} = keys.{key}")).collect();
            format!("{sql}\nLEFT JOIN g{g} ON {}", on.join(" AND "))
        })
    };
    let figure = |place: usize| {
        let atom = atoms.get(place)?;
        let g = entities.iter().position(|entity| *entity == atom.entity)?;
        Some(match atom.aggregate {
            Aggregate::Sum | Aggregate::Count | Aggregate::CountDistinct => {
                format!("coalesce(g{g}.m{place}, 0)")
            }
            _ => format!("g{g}.m{place}"),
        })
    };
    let from_keys = if entities.len() == 1 { "g0" } else { "keys" };
    let mut select: Vec<String> = keys.iter().map(|key| format!("{from_keys}.{key}")).collect();
    for (name, places) in spec.measures.iter().zip(&columns) {
        let figures: Vec<String> = places.iter().filter_map(|place| figure(*place)).collect();
        let value = match figures.as_slice() {
            [of, to] => format!("1.0 * {of} / nullif({to}, 0)"),
            other => other.join(""),
        };
        select.push(format!("{value} AS {}", quoted(name)));
    }
    compiled.sql = format!("WITH {}\nSELECT {}\n{source}", with.join(",\n"), select.join(", "));
    compiled.notes.dedup();
    Ok(compiled)
}

fn measure<'a>(layer: &'a Layer, name: &str) -> Result<&'a Measure, Error> {
    let found = layer.measures.get(name);
    found.ok_or_else(|| Error::UnknownName(missing("measure", name, layer.measures.keys())))
}

/// A dimension by its name.
///
/// # Errors
/// Where there is none.
pub fn dimension<'a>(layer: &'a Layer, name: &str) -> Result<&'a Dimension, Error> {
    let found = layer.dimensions.get(name);
    found.ok_or_else(|| Error::UnknownName(missing("dimension", name, layer.dimensions.keys())))
}

fn entity<'a>(layer: &'a Layer, name: &str) -> Result<&'a Entity, Error> {
    let found = layer.entities.get(name);
    found.ok_or_else(|| Error::Layer(missing("entity", name, layer.entities.keys())))
}

/// The entity at which a plain measure is counted: its own, or the finer one where a dimension needs it.
fn choose(layer: &Layer, name: &str, spec: &Spec, notes: &mut Vec<String>) -> Result<Atom, Error> {
    let found = measure(layer, name)?;
    let (Some(own), Some(aggregate)) = (&found.entity, found.aggregate) else {
        return Err(Error::Layer(format!("`measures.{name}` has no entity")));
    };
    let atom = |entity: &str, aggregate, expression: &Option<String>, filter: &Option<String>| Atom {
        measure: name.to_owned(),
        entity: entity.to_owned(),
        aggregate,
        expression: expression.clone(),
        filter: filter.clone(),
    };
    let why = match answerable(layer, own, spec) {
        Ok(()) => return Ok(atom(own, aggregate, &found.expression, &found.filter)),
        Err(why) => why,
    };
    if let Some(finer) = &found.finer
        && answerable(layer, &finer.entity, spec).is_ok()
    {
        if finer.aggregate == Aggregate::CountDistinct {
            notes.push(format!(
                "`{name}` counts each of the {own} once in every group that it is in, so the groups do not add up to the total"
            ));
        }
        return Ok(atom(&finer.entity, finer.aggregate, &finer.expression, &finer.filter));
    }
    Err(Error::NotAnswerable(format!("`{name}` {why}")))
}

/// The dimensions by which measures can be split, beyond those that a question has.
#[must_use]
pub fn further(layer: &Layer, spec: &Spec) -> Vec<String> {
    let can = |name: &&String| {
        let mut wider = spec.clone();
        wider.by.push((*name).clone());
        !spec.by.contains(name) && compile(layer, &wider).is_ok()
    };
    layer.dimensions.keys().filter(can).cloned().collect()
}

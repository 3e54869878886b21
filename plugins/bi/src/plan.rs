//! From a question's names to SQL that counts each row once.
//!
//! Invariant: only joins to at most one row are followed from the entity that is aggregated, so that a join never
//! multiplies its rows; measures of different entities are aggregated apart, each in its own WITH query, and meet only
//! as finished figures. What cannot be reached so is refused, with the reason. This is the remedy that the field calls
//! "aggregate before join", against fan traps and chasm traps.

use std::fmt::Write as _;

use crate::fragment::{self, literal, quoted};
use crate::layer::{Aggregate, Cardinality, Dimension, Entity, Layer, Measure, missing};
use crate::period::{self, Period};
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

struct Edge<'a> {
    name: &'a str,
    to: &'a str,
    ours: &'a str,
    theirs: &'a str,
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
    let found = layer.measures.get(name).map(|at| &at.value);
    found.ok_or_else(|| Error::UnknownName(missing("measure", name, layer.measures.keys())))
}

/// A dimension by its name.
///
/// # Errors
/// Where there is none.
pub fn dimension<'a>(layer: &'a Layer, name: &str) -> Result<&'a Dimension, Error> {
    let found = layer.dimensions.get(name).map(|at| &at.value);
    found.ok_or_else(|| Error::UnknownName(missing("dimension", name, layer.dimensions.keys())))
}

fn entity<'a>(layer: &'a Layer, name: &str) -> Result<&'a Entity, Error> {
    let found = layer.entities.get(name).map(|at| &at.value);
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

/// Whether everything that a question names has at most one value for each row of an entity.
fn answerable(layer: &Layer, from: &str, spec: &Spec) -> Result<(), String> {
    let say = |error: Error| match error {
        Error::NotAnswerable(why) | Error::UnknownName(why) | Error::Layer(why) => why,
        other => format!("{other:?}"),
    };
    for name in &spec.by {
        let found = dimension(layer, name).map_err(say)?;
        path(layer, from, &found.entity, found.via.as_deref())
            .map_err(|why| format!("cannot be split by `{name}`: {why}"))?;
    }
    for condition in &spec.conditions {
        let (name, to, via) = match condition {
            Condition::Values { dimension: name, .. } => {
                let found = dimension(layer, name).map_err(say)?;
                (name, &found.entity, found.via.as_deref())
            }
            Condition::Filter { name, .. } => {
                let found =
                    layer.filters.get(name).ok_or_else(|| missing("filter", name, layer.filters.keys()))?;
                (name, &found.value.entity, None)
            }
        };
        path(layer, from, to, via).map_err(|why| format!("cannot be limited by `{name}`: {why}"))?;
    }
    if spec.grain.is_some() || spec.period.is_some() {
        let own = entity(layer, from).map_err(say)?;
        match own.time.as_deref().map(|time| time.split_once('.')) {
            None => {
                return Err(format!("has no time: {from} are not dated; leave `from`, `to` and `grain` out"));
            }
            Some(Some((other, _))) => path(layer, from, other, None).map(|_| ())?,
            Some(None) => {}
        }
    }
    Ok(())
}

/// The joins that lead from an entity to another, each to one row at most.
fn path<'a>(layer: &'a Layer, from: &'a str, to: &str, via: Option<&str>) -> Result<Vec<Edge<'a>>, String> {
    let mut found = Vec::new();
    walk(layer, from, to, &mut vec![from], &mut Vec::new(), &mut found);
    if let Some(via) = via {
        found.retain(|path: &Vec<(&str, usize)>| {
            path.iter().any(|(at, index)| edges(layer, at).get(*index).is_some_and(|edge| edge.name == via))
        });
    }
    found.sort_by_key(Vec::len);
    match found.as_slice() {
        [] => Err(format!(
            "one of the {from} can have many {to} or none, so that it would be counted several times; use a measure of {to}, or one that has `finer` in the layer"
        )),
        [first, second, ..] if first.len() == second.len() => Err(format!(
            "several joins lead from {from} to {to}; the layer has to say `via` under the dimension"
        )),
        [first, ..] => {
            Ok(first.iter().filter_map(|(at, index)| edges(layer, at).into_iter().nth(*index)).collect())
        }
    }
}

fn walk<'a>(
    layer: &'a Layer,
    at: &'a str,
    to: &str,
    seen: &mut Vec<&'a str>,
    taken: &mut Vec<(&'a str, usize)>,
    found: &mut Vec<Vec<(&'a str, usize)>>,
) {
    if at == to {
        found.push(taken.clone());
        return;
    }
    if taken.len() >= 8 || found.len() >= 64 {
        return;
    }
    for (index, edge) in edges(layer, at).into_iter().enumerate() {
        if !seen.contains(&edge.to) {
            seen.push(edge.to);
            taken.push((at, index));
            walk(layer, edge.to, to, seen, taken, found);
            taken.pop();
            seen.pop();
        }
    }
}

/// The joins from an entity to at most one row: its own, and those declared from the other side as one-to-many.
fn edges<'a>(layer: &'a Layer, from: &str) -> Vec<Edge<'a>> {
    let mut all: Vec<Edge<'a>> = Vec::new();
    if let Some(at) = layer.entities.get(from) {
        for (name, join) in &at.value.joins {
            let to = join.to.as_deref().unwrap_or(name);
            if join.cardinality != Cardinality::OneToMany
                && let Some(other) = layer.entities.get(to)
            {
                all.push(Edge { name, to, ours: &join.on, theirs: &other.value.key });
            }
        }
    }
    for (other, at) in &layer.entities {
        for (name, join) in &at.value.joins {
            let declared =
                join.cardinality == Cardinality::OneToMany && join.to.as_deref().unwrap_or(name) == from;
            if declared && !all.iter().any(|edge| edge.to == other && edge.ours == join.on) {
                all.push(Edge { name, to: other, ours: &join.on, theirs: &at.value.key });
            }
        }
    }
    all
}

/// The tables of one WITH query, each joined once.
struct From<'a> {
    layer: &'a Layer,
    base: &'a str,
    /// Per alias: the joins that lead to it, and the entity.
    aliases: Vec<(Vec<&'a str>, &'a str)>,
    joins: String,
    /// Per alias, the fragments that are computed beside its columns.
    computed: Vec<Vec<String>>,
}

impl<'a> From<'a> {
    fn alias(&mut self, to: &str, via: Option<&str>) -> Result<usize, Error> {
        let (mut names, mut at) = (Vec::new(), 0);
        for edge in path(self.layer, self.base, to, via).map_err(Error::NotAnswerable)? {
            names.push(edge.name);
            let known = self.aliases.iter().position(|(other, _)| *other == names);
            let next = known.unwrap_or(self.aliases.len());
            if known.is_none() {
                self.aliases.push((names.clone(), edge.to));
                self.computed.push(Vec::new());
                let (ours, theirs) = (quoted(edge.ours), quoted(edge.theirs));
                let _ = write!(self.joins, "\n  LEFT JOIN {{{next}}} ON t{next}.{theirs} = t{at}.{ours}");
            }
            at = next;
        }
        Ok(at)
    }

    /// How a fragment over an alias's columns is written from outside.
    fn value(&mut self, alias: usize, text: &str) -> String {
        if fragment::is_name(text) {
            return format!("t{alias}.{}", quoted(text));
        }
        let Some(computed) = self.computed.get_mut(alias) else { return "NULL".into() };
        let place = computed.iter().position(|other| other == text).unwrap_or_else(|| {
            computed.push(text.to_owned());
            computed.len() - 1
        });
        format!("t{alias}.pawl_{place}")
    }

    fn finish(self) -> Result<String, Error> {
        let mut sql = format!("  FROM {{0}}{}", self.joins);
        for (index, ((_, name), computed)) in self.aliases.iter().zip(&self.computed).enumerate().rev() {
            let table = quoted(&entity(self.layer, name)?.table);
            let source = if computed.is_empty() {
                format!("{table} AS t{index}")
            } else {
                let all: Vec<String> =
                    computed.iter().enumerate().map(|(i, e)| format!("({e}) AS pawl_{i}")).collect();
                format!("(SELECT *, {} FROM {table}) AS t{index}", all.join(", "))
            };
            sql = sql.replacen(&format!("{{{index}}}"), &source, 1);
        }
        Ok(sql)
    }
}

/// The WITH query of one entity: its measures per group.
fn group(layer: &Layer, base: &str, atoms: &[Atom], spec: &Spec) -> Result<String, Error> {
    let mut from = From {
        layer,
        base,
        aliases: vec![(Vec::new(), base)],
        joins: String::new(),
        computed: vec![Vec::new()],
    };
    let (mut select, mut conditions) = (Vec::new(), Vec::new());
    if spec.grain.is_some() || spec.period.is_some() {
        let time = entity(layer, base)?.time.clone().unwrap_or_default();
        let column = match time.split_once('.') {
            Some((other, column)) => {
                let alias = from.alias(other, None)?;
                from.value(alias, column)
            }
            None => from.value(0, &time),
        };
        if let Some(grain) = spec.grain {
            select.push(format!("{} AS step", period::step_sql(&column, grain)));
            conditions.push(format!("{column} IS NOT NULL"));
        }
        if let Some(Period { from: first, to, .. }) = &spec.period {
            let after = period::plus(*to, Grain::Day, 1).unwrap_or(*to);
            conditions.push(format!("{column} >= '{first}' AND {column} < '{after}'"));
        }
    }
    for (index, name) in spec.by.iter().enumerate() {
        let value = named(&mut from, dimension(layer, name)?)?;
        let value = match (&spec.keep, index) {
            (Some(keep), 0) => {
                format!("CASE WHEN {value} IN ({}) THEN {value} ELSE '(rest)' END", list(keep))
            }
            _ => value,
        };
        select.push(format!("{value} AS d{index}"));
    }
    for condition in &spec.conditions {
        conditions.push(match condition {
            Condition::Values { dimension: name, values, excluded } => {
                let value = named(&mut from, dimension(layer, name)?)?;
                format!("{value} {}IN ({})", if *excluded { "NOT " } else { "" }, list(values))
            }
            Condition::Filter { name, excluded } => {
                let at = layer.filters.get(name);
                let at =
                    at.ok_or_else(|| Error::UnknownName(missing("filter", name, layer.filters.keys())))?;
                let alias = from.alias(&at.value.entity, None)?;
                let value = from.value(alias, &at.value.condition);
                format!("coalesce({value}, 0) = {}", u8::from(!*excluded))
            }
        });
    }
    let groups = select.len();
    for (place, atom) in atoms.iter().enumerate().filter(|(_, atom)| atom.entity == base) {
        let value = match (&atom.expression, &atom.filter) {
            (None, None) => "*".to_owned(),
            (None, Some(filter)) => from.value(0, &format!("CASE WHEN {filter} THEN 1 END")),
            (Some(expression), None) => from.value(0, expression),
            (Some(expression), Some(filter)) => {
                from.value(0, &format!("CASE WHEN {filter} THEN {expression} END"))
            }
        };
        select.push(match atom.aggregate {
            Aggregate::Sum => format!("sum({value}) AS m{place}"),
            Aggregate::Count => format!("count({value}) AS m{place}"),
            Aggregate::CountDistinct => format!("count(DISTINCT {value}) AS m{place}"),
            Aggregate::Avg => format!("avg({value}) AS m{place}"),
            Aggregate::Min => format!("min({value}) AS m{place}"),
            Aggregate::Max => format!("max({value}) AS m{place}"),
        });
    }
    let mut sql = format!("  SELECT {}\n{}", select.join(", "), from.finish()?);
    if !conditions.is_empty() {
        let _ = write!(sql, "\n  WHERE {}", conditions.join("\n    AND "));
    }
    if groups > 0 {
        let places: Vec<String> = (1..=groups).map(|place| place.to_string()).collect();
        let _ = write!(sql, "\n  GROUP BY {}", places.join(", "));
    }
    Ok(sql)
}

fn named(from: &mut From<'_>, dimension: &Dimension) -> Result<String, Error> {
    let alias = from.alias(&dimension.entity, dimension.via.as_deref())?;
    Ok(format!("coalesce(CAST({} AS TEXT), '(none)')", from.value(alias, &dimension.expression)))
}

fn list(values: &[String]) -> String {
    values.iter().map(|value| literal(value)).collect::<Vec<_>>().join(", ")
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

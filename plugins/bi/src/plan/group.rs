//! The WITH query of one entity: its rows, joined to what the question names, grouped and aggregated.
//!
//! Invariant: each table is joined once per path that leads to it, along [`super::joins`] alone; a fragment of the layer
//! sees the columns of its own table and no others.

use std::fmt::Write as _;

use super::joins::path;
use super::{Atom, Condition, Spec, dimension, entity};
use crate::fragment::{self, literal, quoted};
use crate::layer::{Aggregate, Dimension, Layer, missing};
use crate::period::{self, Period};
use crate::{Error, Grain};

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
pub(super) fn group(layer: &Layer, base: &str, atoms: &[Atom], spec: &Spec) -> Result<String, Error> {
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
                let alias = from.alias(&at.entity, None)?;
                let value = from.value(alias, &at.condition);
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

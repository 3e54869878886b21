//! Which joins lead from an entity to another.
//!
//! Invariant: only joins to at most one row are ever given, so that following them multiplies nothing.

use super::{Condition, Spec, dimension, entity};
use crate::Error;
use crate::layer::{Cardinality, Layer, missing};

/// A join from one entity to at most one row of another.
pub(super) struct Edge<'a> {
    pub(super) name: &'a str,
    pub(super) to: &'a str,
    pub(super) ours: &'a str,
    pub(super) theirs: &'a str,
}

/// Whether everything that a question names has at most one value for each row of an entity.
pub(super) fn answerable(layer: &Layer, from: &str, spec: &Spec) -> Result<(), String> {
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
                (name, &found.entity, None)
            }
        };
        path(layer, from, to, via).map_err(|why| format!("cannot be limited by `{name}`: {why}"))?;
    }
    if spec.grain.is_some() || spec.period.is_some() {
        let own = entity(layer, from).map_err(say)?;
        match own.time.as_deref().map(|time| time.split_once('.')) {
            None => {
                return Err(format!(
                    "has no time: {from} are not dated; leave `from`, `to` and steps of time out"
                ));
            }
            Some(Some((other, _))) => path(layer, from, other, None).map(|_| ())?,
            Some(None) => {}
        }
    }
    Ok(())
}

/// The joins that lead from an entity to another, each to one row at most.
pub(super) fn path<'a>(
    layer: &'a Layer,
    from: &'a str,
    to: &str,
    via: Option<&str>,
) -> Result<Vec<Edge<'a>>, String> {
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

/// Whether one way of joins leads from an entity to another.
///
/// # Errors
/// Why not, with the mend.
pub(crate) fn reaches(layer: &Layer, from: &str, to: &str) -> Result<(), String> {
    match path(layer, from, to, None) {
        Ok(_) => Ok(()),
        Err(_) => Err(format!(
            "no join leads from {from} to {to}, or several do; declare one, or name a column of {from}"
        )),
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
        for (name, join) in &at.joins {
            let to = join.to.as_deref().unwrap_or(name);
            if join.cardinality != Cardinality::OneToMany
                && let Some(theirs) = layer.entities.get(to).and_then(|other| other.key.as_ref())
            {
                all.push(Edge { name, to, ours: &join.on, theirs });
            }
        }
    }
    for (other, at) in &layer.entities {
        for (name, join) in &at.joins {
            let declared =
                join.cardinality == Cardinality::OneToMany && join.to.as_deref().unwrap_or(name) == from;
            if let Some(theirs) = at.key.as_ref().filter(|_| declared)
                && !all.iter().any(|edge| edge.to == other && edge.ours == join.on)
            {
                all.push(Edge { name, to: other, ours: &join.on, theirs });
            }
        }
    }
    all
}

//! Reading a layer, and what is wrong with one.
//!
//! Invariant: every name that a layer mentions exists in it, every fragment of SQL is closed ([`fragment`]), a join to
//! many rows is never one that a sum may follow, and no two things share a word.

use std::collections::HashMap;
use std::fmt;

use serde_saphyr::Spanned;

use super::{Aggregate, Entity, Layer, Measure, missing};
use crate::fragment;

/// What is wrong with a layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wrong {
    /// From 1; 0 where it is not known.
    pub line: u64,
    /// Such as `measures.revenue.entity`; empty for YAML that cannot be read.
    pub path: String,
    /// What is wrong, and the mend.
    pub reason: String,
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {} of the layer", self.line)?;
        if !self.path.is_empty() {
            write!(f, ", `{}`", self.path)?;
        }
        write!(f, ": {}", self.reason)
    }
}

impl std::error::Error for Wrong {}

/// The words that the tables use for themselves.
const RESERVED: [&str; 8] = ["time", "(rest)", "(none)", "day", "week", "month", "quarter", "year"];

impl Layer {
    /// Reads and checks a layer.
    ///
    /// # Errors
    /// The first thing that is wrong, by line and path, with the mend.
    pub fn read(text: &str) -> Result<Layer, Wrong> {
        let layer: Layer = serde_saphyr::from_str(text).map_err(|error| Wrong {
            line: error.location().map_or(0, |at| at.line()),
            path: String::new(),
            reason: error.to_string().lines().next().unwrap_or_default().to_owned(),
        })?;
        layer.check()?;
        Ok(layer)
    }

    fn check(&self) -> Result<(), Wrong> {
        for (name, at) in &self.entities {
            self.check_entity(name, &at.value)
                .map_err(|(path, reason)| wrong(at, "entities", name, path, reason))?;
        }
        for (name, format) in &self.formats {
            if format.decimals > 6 {
                let reason = format!("{} decimals; 0 to 6", format.decimals);
                return Err(Wrong { line: 0, path: format!("formats.{name}.decimals"), reason });
            }
        }
        let mut words: HashMap<String, String> = HashMap::new();
        for (name, at) in &self.measures {
            let all = std::iter::once(name).chain(&at.value.synonyms);
            self.check_measure(&at.value)
                .and_then(|()| unshared(&mut words, "measure", name, all))
                .map_err(|(path, reason)| wrong(at, "measures", name, path, reason))?;
        }
        for (name, at) in &self.dimensions {
            let all = std::iter::once(name).chain(&at.value.synonyms);
            self.entity(&at.value.entity, "entity")
                .and_then(|_| closed(&at.value.expression, "expression"))
                .and_then(|()| unshared(&mut words, "dimension", name, all))
                .map_err(|(path, reason)| wrong(at, "dimensions", name, path, reason))?;
        }
        for (name, at) in &self.filters {
            self.entity(&at.value.entity, "entity")
                .and_then(|_| closed(&at.value.condition, "where"))
                .and_then(|()| unshared(&mut words, "filter", name, std::iter::once(name)))
                .map_err(|(path, reason)| wrong(at, "filters", name, path, reason))?;
        }
        match self.measures.len() {
            0 => Err(Wrong {
                line: 0,
                path: "measures".into(),
                reason: "is empty; name one figure at least".into(),
            }),
            _ => Ok(()),
        }
    }

    fn check_entity(&self, name: &str, entity: &Entity) -> Result<(), Place> {
        for (join_name, join) in &entity.joins {
            self.entity(join.to.as_ref().unwrap_or(join_name), "joins")?;
            if !fragment::is_name(&join.on) {
                return Err(("joins", format!("`{}` is no column; give the column's name alone", join.on)));
            }
        }
        match entity.time.as_deref().and_then(|time| time.split_once('.')) {
            Some((other, _)) if other != name => self.entity(other, "time").map(|_| ()),
            _ => entity.time.as_deref().map_or(Ok(()), |time| closed(time, "time")),
        }
    }

    fn check_measure(&self, measure: &Measure) -> Result<(), Place> {
        if let Some(format) = &measure.format {
            self.formats
                .get(format)
                .ok_or_else(|| ("format", missing("format", format, self.formats.keys())))?;
        }
        let parts = (&measure.ratio, &measure.entity, measure.aggregate);
        let (entity, aggregate) = match parts {
            (Some(ratio), None, None) => {
                for part in [&ratio.of, &ratio.to] {
                    let found = self.measures.get(part);
                    let found =
                        found.ok_or_else(|| ("ratio", missing("measure", part, self.measures.keys())))?;
                    if found.value.ratio.is_some() {
                        return Err((
                            "ratio",
                            format!("`{part}` is a ratio itself; divide two plain measures"),
                        ));
                    }
                }
                return Ok(());
            }
            (None, Some(entity), Some(aggregate)) => (entity, aggregate),
            _ => return Err(("", "give either `entity` and `aggregate`, or `ratio: {of: …, to: …}`".into())),
        };
        self.entity(entity, "entity")?;
        check_aggregate(aggregate, measure.expression.as_deref(), measure.filter.as_deref())?;
        let Some(finer) = &measure.finer else { return Ok(()) };
        self.entity(&finer.entity, "finer")?;
        check_aggregate(finer.aggregate, finer.expression.as_deref(), finer.filter.as_deref())
    }

    fn entity(&self, name: &str, path: &'static str) -> Result<&Entity, Place> {
        let found = self.entities.get(name).map(|entity| &entity.value);
        found.ok_or_else(|| (path, missing("entity", name, self.entities.keys())))
    }
}

type Place = (&'static str, String);

fn wrong<T>(at: &Spanned<T>, kind: &str, name: &str, path: &str, reason: String) -> Wrong {
    let dot = if path.is_empty() { "" } else { "." };
    Wrong { line: at.referenced.line(), path: format!("{kind}.{name}{dot}{path}"), reason }
}

fn closed(text: &str, path: &'static str) -> Result<(), Place> {
    fragment::check(text).map_err(|reason| (path, format!("`{text}` {reason}")))
}

fn check_aggregate(
    aggregate: Aggregate,
    expression: Option<&str>,
    filter: Option<&str>,
) -> Result<(), Place> {
    match expression {
        Some(expression) => closed(expression, "expression")?,
        None if aggregate == Aggregate::Count => {}
        None => return Err(("expression", "is missing; only `count` goes without one".into())),
    }
    filter.map_or(Ok(()), |filter| closed(filter, "filter"))
}

fn unshared<'a>(
    words: &mut HashMap<String, String>,
    kind: &str,
    name: &str,
    all: impl Iterator<Item = &'a String>,
) -> Result<(), Place> {
    for word in all {
        if word.trim().is_empty() || word.contains(':') || RESERVED.contains(&word.to_lowercase().as_str()) {
            return Err((
                "",
                format!(
                    "`{word}` cannot be a name: it is empty, has a `:`, or means a step of time, (rest) or (none)"
                ),
            ));
        }
        if let Some(other) = words.insert(word.to_lowercase(), format!("{kind} `{name}`")) {
            return Err(("", format!("`{word}` names the {other} already; use another word")));
        }
    }
    Ok(())
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "the layers of these tests are their own")]
mod tests {
    use super::*;

    #[test]
    fn the_shop_layer_is_whole() {
        let layer = Layer::read(crate::SHOP).unwrap();
        assert_eq!(layer.database, "shop");
        assert!(layer.measures.contains_key("revenue") && layer.dimensions.contains_key("region"));
    }

    #[test]
    fn what_is_wrong_is_named_by_line_path_and_mend() {
        let cases: [(&str, &str, &str, &str); 9] = [
            (
                "entity: orders\n    aggregate: sum\n    expression: total\n    format: eur",
                "entity: order",
                "measures.revenue.entity",
                "`orders`",
            ),
            ("format: eur", "format: dollars", "measures.", "`eur`"),
            ("aggregate: sum", "aggregate: summ", "", "summ"),
            ("key: id", "kee: id", "", "kee"),
            ("expression: total", "expression: total; DELETE", "measures.revenue.expression", "`;`"),
            (
                "customers: {on: customer_id",
                "clients: {on: customer_id",
                "entities.orders.joins",
                "`customers`",
            ),
            (
                "of: revenue, to: orders",
                "of: revenue, to: cancellation-rate",
                "measures.average-order-value.ratio",
                "ratio itself",
            ),
            ("synonyms: [area", "synonyms: [sales", "dimensions.region", "measure `revenue`"),
            ("cardinality: many-to-one", "cardinality: many-to-many", "", "many-to-many"),
        ];
        for (from, to, path, mend) in cases {
            let broken = if from.contains('\n') {
                crate::SHOP.replacen(
                    "entity: orders\n    aggregate: sum",
                    "entity: order\n    aggregate: sum",
                    1,
                )
            } else {
                crate::SHOP.replacen(from, to, 1)
            };
            assert_ne!(broken, crate::SHOP, "{from}");
            let error = Layer::read(&broken).unwrap_err();
            assert!(
                error.line > 0 && error.path.starts_with(path) && error.reason.contains(mend),
                "{to}: {error}"
            );
        }
        assert!(Layer::read("").is_err() && Layer::read("- 1").is_err() && Layer::read("a: [").is_err());
    }
}

//! The semantic layer: what the tables mean, in a YAML file that people edit. README.md describes the format.
//!
//! Invariant: a [`Layer`] that was [read](Layer::read) is whole, as [`check`] says. Whether tables and columns exist is
//! the database's to say.

mod check;
mod line;
mod names;

use std::collections::BTreeMap;

use serde::Deserialize;

pub use check::Wrong;
pub use names::missing;

/// A whole layer.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Layer {
    /// Logical name of the granted database.
    #[serde(default)]
    pub database: String,
    /// Tables with their keys and joins.
    #[serde(default)]
    pub entities: BTreeMap<String, Entity>,
    /// What is computed.
    #[serde(default)]
    pub measures: BTreeMap<String, Measure>,
    /// By what it is split.
    #[serde(default)]
    pub dimensions: BTreeMap<String, Dimension>,
    /// Conditions with a name.
    #[serde(default)]
    pub filters: BTreeMap<String, Filter>,
    /// How figures are written.
    #[serde(default)]
    pub formats: BTreeMap<String, Format>,
}

/// A table, one row per thing.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entity {
    /// Table or view.
    pub table: String,
    /// The column that tells its rows apart. Without one, nothing can be joined to it.
    pub key: Option<String>,
    /// When: a column of ISO dates, or `entity.column` of an entity that this one joins.
    pub time: Option<String>,
    /// By name; the name is the entity's unless `to` says otherwise.
    #[serde(default)]
    pub joins: BTreeMap<String, Join>,
}

/// How an entity's rows meet those of another.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Join {
    /// The other entity, where the join has another name.
    pub to: Option<String>,
    /// A column of this entity, equal to the other's key; for `one-to-many`, a column of the other, equal to this key.
    pub on: String,
    /// How many rows meet.
    pub cardinality: Cardinality,
}

/// How many rows of this entity meet how many of the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Cardinality {
    /// Each row here has at most one there: safe to follow.
    ManyToOne,
    /// Each row on either side has at most one: safe to follow.
    OneToOne,
    /// Said for people and for refusals: never followed from here.
    OneToMany,
}

/// How rows become a figure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Aggregate {
    /// Adds up.
    Sum,
    /// Rows, or rows whose expression is not null; adds up.
    Count,
    /// Different values; does not add up.
    CountDistinct,
    /// Mean; does not add up.
    Avg,
    /// Least; does not add up.
    Min,
    /// Greatest; does not add up.
    Max,
}

/// A figure per group: an aggregate over an entity, or a ratio of two measures.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Measure {
    /// For the model and for people.
    pub description: Option<String>,
    /// Other words for it.
    #[serde(default)]
    pub synonyms: Vec<String>,
    /// Whose rows are aggregated.
    pub entity: Option<String>,
    /// How.
    pub aggregate: Option<Aggregate>,
    /// What, per row; may be left out with `count`.
    pub expression: Option<String>,
    /// Which rows.
    pub filter: Option<String>,
    /// Instead of entity and aggregate.
    pub ratio: Option<Ratio>,
    /// A name under `formats`.
    pub format: Option<String>,
    /// The same figure counted per row of a finer entity, for dimensions that only that one has.
    pub finer: Option<Finer>,
}

/// One measure divided by another, each aggregated first.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ratio {
    /// Dividend.
    pub of: String,
    /// Divisor.
    pub to: String,
}

/// See [`Measure::finer`].
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Finer {
    /// Whose rows are aggregated.
    pub entity: String,
    /// How.
    pub aggregate: Aggregate,
    /// What, per row.
    pub expression: Option<String>,
    /// Which rows.
    pub filter: Option<String>,
}

/// A property by which measures are split.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dimension {
    /// Whose property.
    pub entity: String,
    /// A column, or an expression over the columns.
    pub expression: String,
    /// For the model and for people.
    pub description: Option<String>,
    /// Other words for it.
    #[serde(default)]
    pub synonyms: Vec<String>,
    /// The join that leads to its entity, where several do.
    pub via: Option<String>,
}

/// A condition with a name.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Filter {
    /// Over whose columns.
    pub entity: String,
    /// An SQL condition.
    #[serde(rename = "where")]
    pub condition: String,
    /// For the model and for people.
    pub description: Option<String>,
}

/// How a figure is written.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Format {
    /// After the figure, such as `EUR`.
    #[serde(default)]
    pub unit: String,
    /// Digits after the point, 0 to 6.
    #[serde(default)]
    pub decimals: i64,
    /// By which the figure is multiplied before; 100 for percent of a ratio.
    pub factor: Option<f64>,
}

impl Layer {
    /// The format of a measure.
    #[must_use]
    pub fn format(&self, measure: &Measure) -> Format {
        measure.format.as_ref().and_then(|name| self.formats.get(name)).cloned().unwrap_or_else(|| Format {
            decimals: if measure.ratio.is_some() || measure.aggregate == Some(Aggregate::Avg) {
                2
            } else {
                0
            },
            ..Format::default()
        })
    }
}

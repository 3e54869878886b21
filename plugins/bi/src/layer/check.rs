//! Reading a layer, and what is wrong with one.
//!
//! Invariant: every name that a layer mentions exists in it, every fragment of SQL is closed ([`fragment`]), a join to
//! many rows is never one that a sum may follow, and no two things share a word.

use std::collections::HashMap;
use std::fmt;

use super::{Aggregate, Cardinality, Entity, Layer, Measure, line, missing};
use crate::fragment;

/// What is wrong with a layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wrong {
    /// From 1; 0 where something is missing that has no place.
    pub line: u64,
    /// Such as `measures.revenue.entity`; empty for YAML that cannot be read.
    pub path: String,
    /// What is wrong, and the mend.
    pub reason: String,
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => f.write_str("the layer")?,
            line => write!(f, "line {line} of the layer")?,
        }
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
        let layer: Layer = serde_saphyr::from_str(text).map_err(|error| unreadable(text, &error))?;
        layer.check().map_err(|(path, reason)| {
            let path: Vec<&str> = path.iter().map(String::as_str).collect();
            Wrong { line: line::of(text, &path), path: path.join("."), reason }
        })?;
        Ok(layer)
    }

    fn check(&self) -> Result<(), (Vec<String>, String)> {
        let at = |kind: &str, name: &str| {
            let start = [kind.to_owned(), name.to_owned()];
            move |(path, reason): Place| {
                let inner = path.split('.').filter(|part| !part.is_empty()).map(str::to_owned);
                (start.into_iter().chain(inner).collect::<Vec<_>>(), reason)
            }
        };
        for (name, none, what) in [
            (
                "database",
                self.database.trim().is_empty(),
                "the logical name of a granted database, such as `main`",
            ),
            ("entities", self.entities.is_empty(), "one table at least"),
            ("measures", self.measures.is_empty(), "one figure at least"),
        ] {
            if none {
                let reason =
                    format!("is missing or empty; name {what}. `pawl call bi.draft` proposes a layer");
                return Err((vec![name.into()], reason));
            }
        }
        for (name, entity) in &self.entities {
            self.check_entity(name, entity).map_err(at("entities", name))?;
        }
        for (name, format) in &self.formats {
            if !(0..=6).contains(&format.decimals) {
                let reason = format!("{} decimals cannot be written; give 0 to 6", format.decimals);
                return Err(at("formats", name)(("decimals".into(), reason)));
            }
        }
        let mut words: HashMap<String, String> = HashMap::new();
        for (name, measure) in &self.measures {
            self.check_measure(measure)
                .and_then(|()| unshared(&mut words, "measure", name, &measure.synonyms))
                .map_err(at("measures", name))?;
        }
        for (name, dimension) in &self.dimensions {
            self.entity(&dimension.entity, "entity")
                .and_then(|_| closed(&dimension.expression, "expression"))
                .and_then(|()| unshared(&mut words, "dimension", name, &dimension.synonyms))
                .map_err(at("dimensions", name))?;
        }
        for (name, filter) in &self.filters {
            self.entity(&filter.entity, "entity")
                .and_then(|_| closed(&filter.condition, "where"))
                .and_then(|()| unshared(&mut words, "filter", name, &[]))
                .map_err(at("filters", name))?;
        }
        Ok(())
    }

    fn check_entity(&self, name: &str, entity: &Entity) -> Result<(), Place> {
        for (join_name, join) in &entity.joins {
            let path = format!("joins.{join_name}");
            let other = self.entity(join.to.as_ref().unwrap_or(join_name), &path)?;
            if !fragment::is_name(&join.on) {
                let on = &join.on;
                return Err((path + ".on", format!("`{on}` is no column; give the column's name alone")));
            }
            let joined = if join.cardinality == Cardinality::OneToMany { entity } else { other };
            if joined.key.is_none() {
                let which = if join.cardinality == Cardinality::OneToMany {
                    name
                } else {
                    join.to.as_ref().unwrap_or(join_name)
                };
                let reason = format!("the entity `{which}` has no `key` to join on; give it one");
                return Err((path, reason));
            }
        }
        match entity.time.as_deref().and_then(|time| time.split_once('.')) {
            Some((other, _)) if other != name => {
                self.entity(other, "time")?;
                crate::plan::reaches(self, name, other).map_err(|reason| ("time".into(), reason))
            }
            _ => entity.time.as_deref().map_or(Ok(()), |time| closed(time, "time")),
        }
    }

    fn check_measure(&self, measure: &Measure) -> Result<(), Place> {
        if let Some(format) = &measure.format {
            self.formats
                .get(format)
                .ok_or_else(|| ("format".into(), missing("format", format, self.formats.keys())))?;
        }
        let parts = (&measure.ratio, &measure.entity, measure.aggregate);
        let (entity, aggregate) = match parts {
            (Some(ratio), None, None) => {
                for part in [&ratio.of, &ratio.to] {
                    let found = self.measures.get(part);
                    let found = found
                        .ok_or_else(|| ("ratio".into(), missing("measure", part, self.measures.keys())))?;
                    if found.ratio.is_some() {
                        return Err((
                            "ratio".into(),
                            format!("`{part}` is a ratio itself; divide two plain measures"),
                        ));
                    }
                }
                return Ok(());
            }
            (None, Some(entity), Some(aggregate)) => (entity, aggregate),
            _ => {
                return Err((
                    String::new(),
                    "give either `entity` and `aggregate`, or `ratio: {of: …, to: …}`".into(),
                ));
            }
        };
        self.entity(entity, "entity")?;
        check_aggregate(aggregate, measure.expression.as_deref(), measure.filter.as_deref())?;
        let Some(finer) = &measure.finer else { return Ok(()) };
        self.entity(&finer.entity, "finer")?;
        check_aggregate(finer.aggregate, finer.expression.as_deref(), finer.filter.as_deref())
    }

    fn entity(&self, name: &str, path: &str) -> Result<&Entity, Place> {
        let found = self.entities.get(name);
        found.ok_or_else(|| (path.to_owned(), missing("entity", name, self.entities.keys())))
    }
}

/// What the reader of YAML says, with the place that a person has to look at.
fn unreadable(text: &str, error: &serde_saphyr::Error) -> Wrong {
    let said = error.to_string();
    let said = said.lines().next().unwrap_or_default();
    // its own place stands in front; it is told apart from the words
    let words = said
        .strip_prefix("error: line ")
        .and_then(|rest| rest.split_once(": "))
        .map_or(said, |(_, words)| words);
    let tab = text.lines().position(|line| line.chars().take_while(|c| c.is_whitespace()).any(|c| c == '\t'));
    if let Some(at) = tab {
        let reason = "is indented with a tab; YAML takes spaces only".to_owned();
        return Wrong { line: at as u64 + 1, path: String::new(), reason };
    }
    let reason = match words {
        "unexpected end of input" => {
            "there is nothing in it; `pawl call bi.draft` proposes a layer".to_owned()
        }
        other => other.replace("invalid i64", "this is no whole number; write it in digits"),
    };
    Wrong { line: error.location().map_or(0, |at| at.line()), path: String::new(), reason }
}

/// Where within an entity, a measure, a dimension or a filter, and what is wrong.
type Place = (String, String);

fn closed(text: &str, path: &str) -> Result<(), Place> {
    fragment::check(text).map_err(|reason| (path.to_owned(), format!("`{text}` {reason}")))
}

fn check_aggregate(
    aggregate: Aggregate,
    expression: Option<&str>,
    filter: Option<&str>,
) -> Result<(), Place> {
    match expression {
        Some(expression) => closed(expression, "expression")?,
        None if aggregate == Aggregate::Count => {}
        None => return Err(("expression".into(), "is missing; only `count` goes without one".into())),
    }
    filter.map_or(Ok(()), |filter| closed(filter, "filter"))
}

/// A thing's name and its synonyms mean nothing else.
fn unshared(
    words: &mut HashMap<String, String>,
    kind: &str,
    name: &str,
    synonyms: &[String],
) -> Result<(), Place> {
    let all = std::iter::once((name, "")).chain(synonyms.iter().map(|word| (word.as_str(), "synonyms")));
    for (word, path) in all {
        let wrong = |reason: String| Err((path.to_owned(), reason));
        if word.trim().is_empty() || word.contains(':') || RESERVED.contains(&word.to_lowercase().as_str()) {
            return wrong(format!(
                "`{word}` cannot be a name: it is empty, has a `:`, or means a step of time, (rest) or (none)"
            ));
        }
        if let Some(other) = words.insert(word.to_lowercase(), format!("{kind} `{name}`")) {
            return wrong(format!("`{word}` names the {other} already; use another word"));
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

    /// The corpus of broken layers: each begins with the line that is wrong and words that its error has to hold.
    #[test]
    fn what_is_wrong_is_named_by_line_and_mend() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/cases/bi/bad");
        let (mut files, mut faults) = (0, Vec::new());
        for file in std::fs::read_dir(folder).unwrap() {
            let file = file.unwrap().path();
            if file.extension().is_none_or(|extension| extension != "yaml") {
                continue;
            }
            files += 1;
            let text = std::fs::read_to_string(&file).unwrap();
            let head = text.lines().next().unwrap().strip_prefix("# line ").unwrap();
            let (line, words) = head.split_once(':').unwrap();
            match Layer::read(&text) {
                Ok(_) => faults.push(format!("{}: was taken", file.display())),
                Err(error) if error.line.to_string() != line || !error.reason.contains(words.trim()) => {
                    faults.push(format!("{}: {error}; wanted {head}", file.display()));
                }
                Err(_) => {}
            }
        }
        assert!(files >= 60, "{files} files in {folder}");
        assert!(faults.is_empty(), "{}", faults.join("\n"));
    }
}

//! A question's figures: run, brought together, calculated.
//!
//! Invariant: sums of groups come from the database, never from adding what does not add up; a step of time without rows
//! is a row with 0 or nothing, so that growth and means never skip one.

mod lines;

use std::collections::HashMap;

use jiff::civil::Date;

use crate::layer::{Format, Layer};
use crate::period::{self, Period};
use crate::plan::{self, Spec};
use crate::{Calculation, Database, Error, Grain, Order, Question, Value, failed, ground};

pub use lines::percent;
use lines::{by_figure, calculate, fill, name_cut, sort};

/// What the others are called under `top`.
pub const REST: &str = "(rest)";
/// Groups that are told by name where no `top` is given.
const MANY: u32 = 40;
/// Rows of one statement.
const MAX_ROWS: u32 = 2_000;
/// Steps of time that are filled.
const MAX_STEPS: usize = 1_000;

/// One measure of a table.
#[derive(Debug, Clone)]
pub struct Column {
    /// The measure.
    pub name: String,
    /// How it is written.
    pub format: Format,
    /// Whether rows add up to the total.
    pub additive: bool,
}

/// One group.
#[derive(Debug, Clone, PartialEq)]
pub struct Line {
    /// The step where there is a grain, then the dimensions' values.
    pub keys: Vec<String>,
    /// Per measure.
    pub now: Vec<Option<f64>>,
    /// Per measure, in the period that is compared.
    pub before: Vec<Option<f64>>,
    /// Per measure, calculated.
    pub calculated: Vec<Option<f64>>,
    /// Whether the period holds only a part of the step.
    pub cut: bool,
}

/// The figures of a question.
#[derive(Debug, Clone)]
pub struct Table {
    /// What was asked, with the layer's own names.
    pub spec: Spec,
    /// The measures.
    pub columns: Vec<Column>,
    /// In the order in which they are told.
    pub lines: Vec<Line>,
    /// Over all groups, by its own statement; the same as the line where there are no groups.
    pub total: Vec<Option<f64>>,
    /// The same of the period that is compared.
    pub total_before: Vec<Option<f64>>,
    /// The period that is compared.
    pub compared: Option<Period>,
    /// How it is calculated.
    pub calculation: Option<Calculation>,
    /// What to know.
    pub notes: Vec<String>,
    /// Every statement that was run for a figure.
    pub sql: Vec<String>,
}

type Groups = Vec<(Vec<String>, Vec<Option<f64>>)>;

/// Runs what was compiled.
///
/// # Errors
/// What the database says, or too many rows.
pub fn run(database: &impl Database, sql: &str, keys: usize) -> Result<Groups, Error> {
    let rows = database.query(sql, MAX_ROWS).map_err(failed)?;
    if rows.truncated {
        let why = format!("more than {MAX_ROWS} rows; give `top`, a shorter period, or fewer dimensions");
        return Err(Error::NotAnswerable(why));
    }
    let cell = |value: &Value| match value {
        #[expect(clippy::cast_precision_loss, reason = "figures are told with at most 15 digits")]
        Value::Integer(number) => Some(*number as f64),
        Value::Real(number) => Some(*number),
        Value::Text(text) => text.parse().ok(),
        _ => None,
    };
    let group = |row: Vec<Value>| {
        let (names, figures) = row.split_at(keys.min(row.len()));
        let name = |value: &Value| if let Value::Text(text) = value { text.clone() } else { "(none)".into() };
        (names.iter().map(name).collect(), figures.iter().map(cell).collect())
    };
    Ok(rows.rows.into_iter().map(group).collect())
}

/// The question with the layer's names.
fn spec(layer: &Layer, database: &impl Database, question: &Question) -> Result<Spec, Error> {
    let refuse = |why: &str| Err(Error::NotAnswerable(why.to_owned()));
    let by = question.by.as_deref().unwrap_or_default();
    if question.measures.is_empty() || question.measures.len() > 4 {
        return refuse("`measures` takes 1 to 4 names");
    }
    let mut spec = Spec::default();
    for name in &question.measures {
        let name = ground::measure(layer, name)?;
        if !spec.measures.contains(&name) {
            spec.measures.push(name);
        }
    }
    for name in by {
        if let Some(grain) = period::grain(name) {
            if spec.grain.is_some_and(|other| other != grain) {
                return refuse("`by` takes one step of time: day, week, month, quarter or year");
            }
            spec.grain = Some(grain);
            continue;
        }
        let name = ground::dimension(layer, name)?;
        if !spec.by.contains(&name) {
            spec.by.push(name);
        }
    }
    if spec.by.len() > 2 {
        return refuse("`by` takes at most 2 dimensions and a step of time");
    }
    let data = span(layer, database, &spec);
    spec.period = period::read(question.from.as_deref(), question.to.as_deref(), data)?;
    spec.conditions =
        ground::conditions(layer, database, question.only.as_deref().unwrap_or_default(), false)?;
    spec.conditions.extend(ground::conditions(
        layer,
        database,
        question.excluding.as_deref().unwrap_or_default(),
        true,
    )?);
    match (question.calculate, spec.grain) {
        (Some(Calculation::ShareOfTotal), None) if spec.by.is_empty() => {
            return refuse("a share needs parts: give a dimension in `by`");
        }
        (Some(Calculation::Growth | Calculation::MovingAverage | Calculation::RunningTotal), None) => {
            return refuse("this calculation goes over steps of time: add one to `by`, such as month");
        }
        _ => {}
    }
    if question.compare.is_some() && question.calculate.is_some() {
        return refuse("`compare` and `calculate` are two questions: ask one after the other");
    }
    if question.compare.is_some() && spec.period.is_none() {
        return refuse("`compare` needs a period: give `from` and `to`");
    }
    if question.top.is_some_and(|top| !(1..=500).contains(&top)) {
        return refuse("`top` is 1 to 500");
    }
    Ok(spec)
}

/// Answers a question in figures.
///
/// # Errors
/// Why it cannot be answered, with the mend.
pub fn table(layer: &Layer, database: &impl Database, question: &Question) -> Result<Table, Error> {
    let mut spec = spec(layer, database, question)?;
    let lowest = question.order == Some(Order::LowestFirst);
    let mut sql = Vec::new();
    let (mut cut, mut left_out) = (None, None);
    let most = question.top.or_else(|| (spec.grain.is_none() && !spec.by.is_empty()).then_some(MANY));
    if let Some(top) = most {
        if spec.by.is_empty() {
            cut = Some(top as usize);
        } else {
            let first = Spec { by: spec.by.iter().take(1).cloned().collect(), grain: None, ..spec.clone() };
            let compiled = plan::compile(layer, &first)?;
            let mut groups = run(database, &compiled.sql, 1)?;
            groups.sort_by(|a, b| by_figure(a.1.first(), b.1.first(), lowest).then_with(|| a.0.cmp(&b.0)));
            if groups.len() > top as usize {
                sql.push(compiled.sql);
                if question.top.is_none() {
                    left_out =
                        Some(format!("{} groups; those after the first {MANY} are in {REST}", groups.len()));
                }
                spec.keep = Some(groups.into_iter().take(top as usize).flat_map(|(keys, _)| keys).collect());
            }
        }
    }
    let compiled = plan::compile(layer, &spec)?;
    let keys = spec.by.len() + usize::from(spec.grain.is_some());
    let columns = spec.measures.iter().zip(&compiled.additive).filter_map(|(name, additive)| {
        let measure = layer.measures.get(name)?;
        Some(Column { name: name.clone(), format: layer.format(measure), additive: *additive })
    });
    let mut table = Table {
        columns: columns.collect(),
        lines: Vec::new(),
        total: Vec::new(),
        total_before: Vec::new(),
        compared: None,
        calculation: question.calculate,
        notes: compiled.notes,
        sql,
        spec,
    };
    if let (Some(Calculation::ShareOfTotal | Calculation::RunningTotal), Some(column)) =
        (question.calculate, table.columns.iter().find(|column| !column.additive))
    {
        let why = format!(
            "`{}` does not add up over groups, so it has no shares and no running total; use a measure that is a sum or a count, or leave `calculate` out",
            column.name
        );
        return Err(Error::NotAnswerable(why));
    }
    let figures = run(database, &compiled.sql, keys)?;
    table.sql.push(compiled.sql);
    let span = span(layer, database, &table.spec);
    table.total = total(layer, database, &table.spec, &mut table.sql)?;
    let mut before = Vec::new();
    if let (Some(comparison), Some(period)) = (question.compare, &table.spec.period) {
        let other = Spec { period: Some(period.compared(comparison)?), ..table.spec.clone() };
        let compiled = plan::compile(layer, &other)?;
        before = run(database, &compiled.sql, keys)?;
        table.sql.push(compiled.sql);
        table.total_before = total(layer, database, &other, &mut table.sql)?;
        if let (Some(grain), Some(then)) = (table.spec.grain, &other.period) {
            onto_steps(&mut before, then, period, grain);
        }
        table.compared = other.period;
    }
    table.lines = joined(figures, before, table.columns.len());
    if let Some((first, last)) = span {
        fill(&mut table, first, last);
        if let Some(period) = table.spec.period.as_ref().filter(|period| period.to > last) {
            table.notes.push(format!("the data end on {last}: {} is not complete", period.label));
        }
        if let Some(then) = table.compared.as_ref().filter(|then| then.from < first) {
            table.notes.push(format!("the data begin on {first}: {} is not complete", then.label));
        }
    }
    table.notes.extend(left_out);
    name_cut(&mut table);
    calculate(&mut table);
    sort(&mut table, question.order);
    if let Some(top) = cut {
        table.lines.sort_by(|a, b| by_figure(a.now.first(), b.now.first(), lowest));
        table.lines.truncate(top);
    }
    Ok(table)
}

fn total(
    layer: &Layer,
    database: &impl Database,
    spec: &Spec,
    sql: &mut Vec<String>,
) -> Result<Vec<Option<f64>>, Error> {
    let whole = Spec { by: Vec::new(), grain: None, keep: None, ..spec.clone() };
    let compiled = plan::compile(layer, &whole)?;
    let row =
        run(database, &compiled.sql, 0)?.into_iter().next().map(|(_, figures)| figures).unwrap_or_default();
    if !sql.contains(&compiled.sql) {
        sql.push(compiled.sql);
    }
    Ok(row)
}

/// The first and last day of the data of the first measure.
#[must_use]
pub fn span(layer: &Layer, database: &impl Database, spec: &Spec) -> Option<(Date, Date)> {
    let measure = layer.measures.get(spec.measures.first()?)?;
    let measure = measure.ratio.as_ref().map_or(Some(measure), |ratio| layer.measures.get(&ratio.of))?;
    let entity = layer.entities.get(measure.entity.as_ref()?)?;
    let time = entity.time.as_deref()?;
    let (table, column) = match time.split_once('.') {
        Some((other, column)) => (&layer.entities.get(other)?.table, column),
        None => (&entity.table, time),
    };
    let sql = format!("SELECT min({column}), max({column}) FROM {}", crate::fragment::quoted(table));
    let day = |value: &Value| if let Value::Text(text) = value { text.get(..10)?.parse().ok() } else { None };
    match database.query(&sql, 1).ok()?.rows.first()?.as_slice() {
        [first, last] => Some((day(first)?, day(last)?)),
        _ => None,
    }
}

fn onto_steps(groups: &mut Groups, then: &Period, now: &Period, grain: Grain) {
    let labels =
        |period: &Period| period::labels(period.from, period.to, grain, MAX_STEPS).unwrap_or_default();
    let places: HashMap<String, String> = labels(then).into_iter().zip(labels(now)).collect();
    groups.retain_mut(|(keys, _)| match (keys.first_mut(), places.len()) {
        (Some(step), 1..) => places.get(step).map(|place| step.clone_from(place)).is_some(),
        _ => false,
    });
}

fn joined(now: Groups, before: Groups, measures: usize) -> Vec<Line> {
    let mut lines: Vec<Line> = Vec::new();
    let mut places: HashMap<Vec<String>, usize> = HashMap::new();
    for (which, (keys, figures)) in
        now.into_iter().map(|group| (0, group)).chain(before.into_iter().map(|group| (1, group)))
    {
        let place = *places.entry(keys.clone()).or_insert_with(|| {
            let none = vec![None; measures];
            lines.push(Line { keys, now: none.clone(), before: none, calculated: Vec::new(), cut: false });
            lines.len() - 1
        });
        if let Some(line) = lines.get_mut(place) {
            if which == 0 { line.now = figures } else { line.before = figures }
        }
    }
    lines
}

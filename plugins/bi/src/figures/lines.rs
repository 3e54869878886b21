//! What becomes of the groups of a table once they are there: steps without rows, parts of steps, calculations, order.
//!
//! Invariant: figures are only filled in where a sum or count of nothing is 0; a calculation never crosses a step that is
//! not there.

use std::collections::HashMap;

use jiff::civil::Date;

use super::{Line, MAX_STEPS, REST, Table};
use crate::period;
use crate::{Calculation, Grain, Order};

/// Absent groups of sums and counts are 0; absent steps between the ends of the data are lines of their own.
pub(super) fn fill(table: &mut Table, first: Date, last: Date) {
    if let Some(grain) = table.spec.grain {
        let from = table.spec.period.as_ref().map_or(first, |period| period.from.max(first));
        let to = table.spec.period.as_ref().map_or(last, |period| period.to.min(last));
        let mut tails: Vec<Vec<String>> = Vec::new();
        for line in &table.lines {
            let tail: Vec<String> = line.keys.iter().skip(1).cloned().collect();
            if !tails.contains(&tail) {
                tails.push(tail);
            }
        }
        if table.spec.by.is_empty() && tails.is_empty() {
            tails.push(Vec::new());
        }
        let there: std::collections::HashSet<Vec<String>> =
            table.lines.iter().map(|line| line.keys.clone()).collect();
        for label in period::labels(from, to, grain, MAX_STEPS).unwrap_or_default() {
            for tail in tails.iter().take(60) {
                let keys: Vec<String> = std::iter::once(label.clone()).chain(tail.iter().cloned()).collect();
                if !there.contains(&keys) {
                    let none = vec![None; table.columns.len()];
                    table.lines.push(Line {
                        keys,
                        now: none.clone(),
                        before: none,
                        calculated: Vec::new(),
                        cut: false,
                    });
                }
            }
        }
        table.lines.sort_by(|a, b| a.keys.cmp(&b.keys));
    }
    let compared = table.compared.is_some();
    for line in &mut table.lines {
        for (place, column) in table.columns.iter().enumerate().filter(|(_, column)| column.additive) {
            for figures in [&mut line.now, &mut line.before].into_iter().take(1 + usize::from(compared)) {
                if let Some(figure) = figures.get_mut(place) {
                    figure.get_or_insert(0.0);
                }
            }
            let _ = column;
        }
    }
}

/// Steps at the ends of which the period holds a part say so, and are compared with no whole one.
pub(super) fn name_cut(table: &mut Table) {
    let (Some(grain), Some(period)) = (table.spec.grain, &table.spec.period) else { return };
    for (whole, part) in period.cut(grain) {
        let mut there = false;
        for line in &mut table.lines {
            if let Some(step) = line.keys.first_mut().filter(|step| **step == whole) {
                step.clone_from(&part);
                (line.cut, there) = (true, true);
            }
        }
        if there {
            table.notes.push(format!("{part}: the period holds only these days of it"));
        }
    }
}

pub(super) fn calculate(table: &mut Table) {
    let Some(calculation) = table.calculation else { return };
    let window = if table.spec.grain == Some(Grain::Day) { 7 } else { 3 };
    let compares = matches!(calculation, Calculation::Growth | Calculation::MovingAverage);
    // over time the parts are those of each step
    let parts = table.spec.grain.is_some() && !table.spec.by.is_empty();
    let mut steps: HashMap<String, Vec<f64>> = HashMap::new();
    for line in table.lines.iter().filter(|_| parts) {
        let sums = steps.entry(line.keys.first().cloned().unwrap_or_default()).or_default();
        sums.resize(line.now.len(), 0.0);
        for (sum, figure) in sums.iter_mut().zip(&line.now) {
            *sum += figure.unwrap_or(0.0);
        }
    }
    let mut series: HashMap<Vec<String>, Vec<Vec<Option<f64>>>> = HashMap::new();
    for line in &mut table.lines {
        let tail: Vec<String> = line.keys.iter().skip(1).cloned().collect();
        let past = series.entry(tail).or_default();
        let none = || vec![None; line.now.len()];
        past.push(if line.cut && compares { none() } else { line.now.clone() });
        line.calculated = (0..line.now.len())
            .map(|place| {
                let at = |row: &Vec<Option<f64>>| row.get(place).copied().flatten();
                let now = past.last().and_then(at);
                match calculation {
                    Calculation::ShareOfTotal => {
                        let step = line.keys.first().and_then(|step| steps.get(step)?.get(place).copied());
                        percent(now?, step.or(table.total.get(place).copied().flatten())?)
                    }
                    Calculation::Growth => {
                        let before = past.len().checked_sub(2).and_then(|i| past.get(i)).and_then(at)?;
                        percent(now? - before, before)
                    }
                    Calculation::MovingAverage => {
                        let some: Option<Vec<f64>> = past.iter().rev().take(window).map(at).collect();
                        some.filter(|some| some.len() == window)
                            .map(|some| some.iter().sum::<f64>() / window as f64)
                    }
                    Calculation::RunningTotal => Some(past.iter().filter_map(at).sum()),
                }
            })
            .collect();
    }
}

/// A part of a whole in percent; none where the whole is 0.
#[must_use]
pub fn percent(part: f64, whole: f64) -> Option<f64> {
    if whole == 0.0 { None } else { Some(100.0 * part / whole.abs()) }
}

/// Missing figures last, whichever way.
pub(super) fn by_figure(
    a: Option<&Option<f64>>,
    b: Option<&Option<f64>>,
    lowest: bool,
) -> std::cmp::Ordering {
    match (a.copied().flatten(), b.copied().flatten()) {
        (Some(a), Some(b)) if lowest => a.total_cmp(&b),
        (Some(a), Some(b)) => b.total_cmp(&a),
        (a, b) => b.is_some().cmp(&a.is_some()),
    }
}

pub(super) fn sort(table: &mut Table, order: Option<Order>) {
    let in_time = table.spec.grain.is_some() && order.is_none_or(|order| order == Order::ByName);
    let lowest = order == Some(Order::LowestFirst);
    let rest = |line: &Line| line.keys.iter().any(|key| key == REST);
    table.lines.sort_by(|a, b| {
        let figures = by_figure(a.now.first(), b.now.first(), lowest);
        let steps = if in_time { a.keys.first().cmp(&b.keys.first()) } else { std::cmp::Ordering::Equal };
        let names =
            if order == Some(Order::ByName) { a.keys.cmp(&b.keys) } else { std::cmp::Ordering::Equal };
        steps.then(rest(a).cmp(&rest(b))).then(names).then(figures).then_with(|| a.keys.cmp(&b.keys))
    });
}

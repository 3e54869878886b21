//! A question's figures as a table and a sentence.
//!
//! Invariant: every figure in the sentence stands in the table or in a total that has its own statement, formatted by
//! [`said`]; nothing is worded that was not computed.

use crate::figures::{self, Column, Line, REST, Table, percent};
use crate::layer::{Format, Layer};
use crate::{Answer, Calculation, Database, Error, Question, plan};

/// Answers a question.
///
/// # Errors
/// Why it cannot be answered, with the mend.
pub fn answer(
    layer: &Layer,
    database: &impl Database,
    question: &Question,
) -> Result<(Table, Answer), Error> {
    let table = figures::table(layer, database, question)?;
    let (columns, rows, total) = written(&table);
    let drill_down = plan::further(layer, &table.spec);
    let answer = Answer {
        sentence: sentence(&table),
        columns,
        rows,
        total,
        notes: table.notes.clone(),
        drill_down,
        sql: table.sql.clone(),
    };
    Ok((table, answer))
}

/// A figure in words, such as `12,345.60 EUR`; `none` where there is none.
#[must_use]
pub fn said(figure: Option<f64>, format: &Format) -> String {
    let Some(figure) = figure else { return "none".into() };
    let plain = fixed(figure, format);
    let (sign, digits) = plain.strip_prefix('-').map_or(("", plain.as_str()), |digits| ("-", digits));
    let (whole, rest) = digits.split_once('.').map_or((digits, String::new()), |(w, r)| (w, format!(".{r}")));
    let mut grouped = String::new();
    for (place, digit) in whole.chars().enumerate() {
        if place > 0 && (whole.len() - place) % 3 == 0 {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    let space = if format.unit.is_empty() { "" } else { " " };
    format!("{sign}{grouped}{rest}{space}{}", format.unit)
}

/// A figure for a program: its decimals, no separators.
#[must_use]
pub fn fixed(figure: f64, format: &Format) -> String {
    let text = format!(
        "{:.*}",
        usize::try_from(format.decimals).unwrap_or(0),
        figure * format.factor.unwrap_or(1.0)
    );
    if text.trim_start_matches(['-', '0', '.']).is_empty() {
        text.trim_start_matches('-').to_owned()
    } else {
        text
    }
}

/// A change in words: `20.5 % more than the 84.00 EUR of 2025`.
fn change(now: Option<f64>, before: Option<f64>, format: &Format, then: &str) -> String {
    let past = said(before, format);
    let (Some(now), Some(was)) = (now, before) else { return format!("against {past} in {then}") };
    match percent(now - was, was) {
        _ if now == was => format!("the same as in {then}"),
        None => format!("against {past} in {then}"),
        Some(change) => {
            let way = if change > 0.0 { "more" } else { "less" };
            format!("{:.1} % {way} than the {past} of {then}", change.abs())
        }
    }
}

fn at(figures: &[Option<f64>], place: usize) -> Option<f64> {
    figures.get(place).copied().flatten()
}

fn name(line: &Line) -> String {
    line.keys.join(", ")
}

/// The column of a calculation.
fn calculated(calculation: Calculation) -> &'static str {
    match calculation {
        Calculation::ShareOfTotal => "share of total (%)",
        Calculation::Growth => "growth (%)",
        Calculation::MovingAverage => "moving average",
        Calculation::RunningTotal => "running total",
    }
}

/// How calculated figures are written.
#[must_use]
pub fn calculated_format(table: &Table, column: &Column) -> Format {
    match table.calculation {
        Some(Calculation::MovingAverage | Calculation::RunningTotal) => column.format.clone(),
        _ => Format { unit: "%".into(), decimals: 1, factor: None },
    }
}

/// Columns, rows, and all rows together.
fn written(table: &Table) -> (Vec<String>, Vec<Vec<String>>, Vec<String>) {
    let mut names: Vec<String> = table.spec.grain.map(|_| "time".to_owned()).into_iter().collect();
    names.extend(table.spec.by.iter().cloned());
    for column in &table.columns {
        let unit =
            if column.format.unit.is_empty() { String::new() } else { format!(" ({})", column.format.unit) };
        names.push(format!("{}{unit}", column.name));
        if let Some(then) = &table.compared {
            names.push(format!("{} before, {}{unit}", column.name, then.label));
            names.push(format!("{} change (%)", column.name));
        }
        if let Some(calculation) = table.calculation {
            names.push(format!("{} {}", column.name, calculated(calculation)));
        }
    }
    let row = |keys: &[String], line: &Line| {
        let mut row = keys.to_vec();
        for (place, column) in table.columns.iter().enumerate() {
            let put =
                |figure: Option<f64>, format: &Format| figure.map_or(String::new(), |f| fixed(f, format));
            let (now, before) = (at(&line.now, place), at(&line.before, place));
            row.push(put(now, &column.format));
            if table.compared.is_some() {
                let change = now.zip(before).and_then(|(now, before)| percent(now - before, before));
                row.push(put(before, &column.format));
                row.push(put(change, &Format { decimals: 1, ..Format::default() }));
            }
            if table.calculation.is_some() {
                row.push(put(at(&line.calculated, place), &calculated_format(table, column)));
            }
        }
        row
    };
    let mut total = Vec::new();
    if table.lines.len() > 1 {
        let keys = table.lines.first().map_or(0, |line| line.keys.len());
        let keys: Vec<String> =
            (0..keys).map(|key| if key == 0 { "(total)" } else { "" }.to_owned()).collect();
        let (now, before) = (table.total.clone(), table.total_before.clone());
        let line = Line { keys: Vec::new(), now, before, calculated: Vec::new(), cut: false };
        total = row(&keys, &line);
    }
    let rows = table.lines.iter().map(|line| row(&line.keys, line)).collect();
    (names, rows, total)
}

fn sentence(table: &Table) -> String {
    let time =
        table.spec.period.as_ref().map_or_else(String::new, |period| format!(" in {}", period.words()));
    let grouped = table.spec.grain.is_some() || !table.spec.by.is_empty();
    let mut parts = Vec::new();
    for (place, column) in table.columns.iter().enumerate() {
        let say = |figure: Option<f64>| said(figure, &column.format);
        let (now, before) = (at(&table.total, place), at(&table.total_before, place));
        let mut part = format!("{}{time}: {}", column.name, say(now));
        if grouped {
            part.push_str(" in all");
        }
        if let Some(then) = &table.compared {
            part.push_str(&format!(", {}", change(now, before, &column.format, &then.words())));
        }
        parts.push(part);
    }
    let mut text = parts.join("; ") + ".";
    let Some(first) = table.columns.first().filter(|_| grouped) else { return text };
    let lines: Vec<&Line> = table
        .lines
        .iter()
        .filter(|line| at(&line.now, 0).is_some() && !line.cut && !line.keys.iter().any(|k| k == REST))
        .collect();
    let by_now = |a: &&&Line, b: &&&Line| {
        at(&a.now, 0).unwrap_or_default().total_cmp(&at(&b.now, 0).unwrap_or_default())
    };
    let share = |line: &Line| match (table.calculation, at(&line.calculated, 0)) {
        (Some(calculation), Some(figure)) => {
            let (figure, what) =
                (said(Some(figure), &calculated_format(table, first)), calculated(calculation));
            format!(" ({} {figure})", what.trim_end_matches(" (%)"))
        }
        _ => String::new(),
    };
    let tell =
        |line: &Line| format!("{} with {}{}", name(line), said(at(&line.now, 0), &first.format), share(line));
    match (lines.iter().max_by(by_now), lines.iter().min_by(by_now)) {
        (Some(high), Some(low)) if lines.len() > 1 => {
            text.push_str(&format!(" Highest {}: {}; lowest: {}.", first.name, tell(high), tell(low)));
        }
        (Some(only), _) => text.push_str(&format!(" Only {}.", tell(only))),
        _ => text.push_str(" There is nothing to split."),
    }
    if table.spec.grain.is_some()
        && table.spec.by.is_empty()
        && let [start, .., end] = lines.as_slice()
        && start.keys < end.keys
    {
        text.push_str(&format!(" From {} to {}.", tell(start), tell(end)));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_written_for_people_and_for_programs() {
        let eur = Format { unit: "EUR".into(), decimals: 2, factor: None };
        assert_eq!(said(Some(-1_234_567.891), &eur), "-1,234,567.89 EUR");
        assert_eq!(said(Some(999.0), &Format::default()), "999");
        assert_eq!(said(None, &eur), "none");
        assert_eq!(fixed(-0.001, &eur), "0.00");
        assert_eq!(fixed(0.0153, &Format { unit: "%".into(), decimals: 1, factor: Some(100.0) }), "1.5");
    }
}

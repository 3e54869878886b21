//! From the host's rows to the result: compact for a model, typed for a program.
//!
//! Cells are text or null, so that JSON holds `["Aldobek",null,"12.5"]` and nothing around it; `kinds` says once per
//! column what the text stands for. Invariant: at most [`MAX_ROWS`](crate::MAX_ROWS) rows and about
//! [`MAX_TEXT`] bytes; what is left out is told.

use crate::{Kind, Rows, Table, Value};

/// The most bytes of all cells together; the first row is always given.
pub const MAX_TEXT: usize = 16 * 1024;
/// The most characters of one cell.
const MAX_CELL: usize = 1_000;

/// Shapes what the host gave.
#[must_use]
pub fn shape(rows: Rows) -> Table {
    let Rows { columns, rows, mut truncated } = rows;
    let kinds =
        (0..columns.len()).map(|column| kind(rows.iter().filter_map(|row| row.get(column)))).collect();
    let mut shaped = Vec::with_capacity(rows.len());
    let mut left = MAX_TEXT;
    for row in &rows {
        let cells: Vec<Option<String>> = row.iter().map(cell).collect();
        let length: usize = cells.iter().flatten().map(String::len).sum();
        if length > left && !shaped.is_empty() {
            truncated = true;
            break;
        }
        left = left.saturating_sub(length);
        shaped.push(cells);
    }
    Table { columns, kinds, rows: shaped, truncated, ran: None }
}

fn kind<'a>(values: impl Iterator<Item = &'a Value>) -> Kind {
    let mut found = Kind::Empty;
    for value in values {
        let next = match value {
            Value::Null => continue,
            Value::Integer(_) => Kind::Integer,
            Value::Real(_) => Kind::Real,
            Value::Text(_) => Kind::Text,
            Value::Blob(_) => Kind::Blob,
        };
        found = match (found, next) {
            (Kind::Empty, next) => next,
            (Kind::Integer | Kind::Real, Kind::Integer | Kind::Real) if found != next => Kind::Real,
            (found, next) if found == next => found,
            _ => Kind::Mixed,
        };
    }
    found
}

/// A cell as text; none for NULL.
#[must_use]
pub fn cell(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::Integer(number) => Some(number.to_string()),
        Value::Real(number) => Some(real(*number)),
        Value::Text(text) => Some(cut(text)),
        Value::Blob(bytes) => Some(format!("({} bytes)", bytes.len())),
    }
}

/// At most four decimals; a number nearer to zero keeps four significant digits.
fn real(number: f64) -> String {
    if number == 0.0 || !number.is_finite() || number.abs() >= 1e15 {
        return format!("{number}");
    }
    if number.abs() < 0.01 {
        return format!("{number:.3e}");
    }
    let text = format!("{number:.4}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn cut(text: &str) -> String {
    match text.char_indices().nth(MAX_CELL) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(rows: Vec<Vec<Value>>) -> Rows {
        let columns = (0..rows.first().map_or(0, Vec::len)).map(|index| format!("c{index}")).collect();
        Rows { columns, rows, truncated: false }
    }

    #[test]
    fn numbers_are_short_and_exact_enough() {
        for (number, text) in [
            (0.0, "0"),
            (12.5, "12.5"),
            (1000.0, "1000"),
            (47_726.649_999_999_994, "47726.65"),
            (2.0 / 3.0, "0.6667"),
            (-0.000_123_456, "-1.235e-4"),
            (1e300, &format!("{}", 1e300)),
            (f64::INFINITY, "inf"),
        ] {
            assert_eq!(real(number), text);
        }
    }

    #[test]
    fn null_is_told_from_the_word() {
        let table = shape(rows(vec![vec![Value::Null, Value::Text("NULL".into()), Value::Blob(vec![1, 2])]]));
        assert_eq!(table.rows, [[None, Some("NULL".to_owned()), Some("(2 bytes)".to_owned())]]);
        assert_eq!(table.kinds, [Kind::Empty, Kind::Text, Kind::Blob]);
    }

    #[test]
    fn kinds_join_over_the_rows() {
        let table = shape(rows(vec![
            vec![Value::Integer(1), Value::Integer(1), Value::Null],
            vec![Value::Real(1.5), Value::Text("x".into()), Value::Integer(2)],
        ]));
        assert_eq!(table.kinds, [Kind::Real, Kind::Mixed, Kind::Integer]);
    }

    #[test]
    fn long_text_is_cut_and_told() {
        let long = |length| vec![Value::Text("é".repeat(length))];
        let table = shape(rows((0..40).map(|_| long(900)).collect()));
        assert!(table.truncated && table.rows.len() == 9, "{}", table.rows.len());
        let table = shape(rows(vec![long(100_000)]));
        assert_eq!(table.rows[0][0].as_ref().map(|cell| cell.chars().count()), Some(MAX_CELL + 1));
    }
}

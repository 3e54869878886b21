//! Whether a statement gives what a gold statement gives: both are run read-only and their results compared.
//!
//! They agree when both have as many rows and the gold's columns can each be given a column of the other, so that
//! the rows are the same: names, further columns and the order of columns are free; the order of rows too, unless asked.

use std::cmp::Ordering;
use std::path::Path;
use std::time::{Duration, Instant};

use rusqlite::limits::Limit;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, OpenFlags};

/// Most rows of a result that are read.
const ROWS: usize = 10_000;
/// Most columns of a result.
const COLUMNS: usize = 64;
/// Longest that one statement may run.
const TIME: Duration = Duration::from_secs(10);
/// How far two numbers may be apart.
const TOLERANCE: f64 = 0.01 + 1e-9;
/// Most ways of giving columns to the gold's that are tried.
const ASSIGNMENTS: usize = 20_000;
/// Most rows that are matched each with each; larger results must agree when sorted.
const MATCHED_ROWS: usize = 600;

/// A result.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Table {
    width: usize,
    rows: Vec<Vec<Cell>>,
}

/// A value; text that is a number counts as one ("03" is 3), other text without regard to case.
#[derive(Debug, Clone, PartialEq)]
enum Cell {
    Null,
    Number(f64),
    Text(String),
}

/// The shop, opened so that nothing can be written and no other file reached.
pub(super) struct Shop {
    connection: Connection,
}

impl Shop {
    /// Opens the file at `path`; the message names it.
    pub(super) fn open(path: &Path) -> Result<Shop, String> {
        let named = |error: rusqlite::Error| format!("shop {}: {error}", path.display());
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(path, flags).map_err(named)?;
        connection.set_limit(Limit::SQLITE_LIMIT_ATTACHED, 0).map_err(named)?;
        connection.set_limit(Limit::SQLITE_LIMIT_COLUMN, COLUMNS as i32).map_err(named)?;
        Ok(Shop { connection })
    }

    /// Runs one statement; the message is SQLite's or names the limit.
    pub(super) fn run(&mut self, sql: &str) -> Result<Table, String> {
        let deadline = Instant::now() + TIME;
        let stop = move || Instant::now() > deadline;
        self.connection.progress_handler(10_000, Some(stop)).map_err(|error| error.to_string())?;
        self.rows(sql).map_err(|error| match error.sqlite_error_code() {
            Some(rusqlite::ErrorCode::OperationInterrupted) => {
                format!("took longer than {} s", TIME.as_secs())
            }
            _ => error.to_string(),
        })
    }

    fn rows(&self, sql: &str) -> rusqlite::Result<Table> {
        let mut statement = self.connection.prepare(sql)?;
        let width = statement.column_count();
        let mut found = statement.query([])?;
        let mut rows = Vec::new();
        while let Some(row) = found.next()? {
            // One more than may agree, so that a longer result is seen to be longer.
            if rows.len() > ROWS {
                break;
            }
            rows.push((0..width).map(|index| row.get_ref(index).map(Cell::of)).collect::<Result<_, _>>()?);
        }
        Ok(Table { width, rows })
    }
}

impl Table {
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }
}

impl Cell {
    fn of(value: ValueRef<'_>) -> Cell {
        match value {
            ValueRef::Null => Cell::Null,
            ValueRef::Integer(number) => Cell::Number(number as f64),
            ValueRef::Real(number) => Cell::Number(number),
            ValueRef::Text(bytes) | ValueRef::Blob(bytes) => {
                let text = String::from_utf8_lossy(bytes);
                let text = text.trim();
                match text.parse::<f64>() {
                    Ok(number) if number.is_finite() => Cell::Number(number),
                    _ => Cell::Text(text.to_lowercase()),
                }
            }
        }
    }

    fn agrees(&self, other: &Cell) -> bool {
        match (self, other) {
            (Cell::Number(a), Cell::Number(b)) => (a - b).abs() <= TOLERANCE,
            _ => self == other,
        }
    }

    fn order(&self, other: &Cell) -> Ordering {
        let rank = |cell: &Cell| match cell {
            Cell::Null => 0,
            Cell::Number(_) => 1,
            Cell::Text(_) => 2,
        };
        match (self, other) {
            (Cell::Number(a), Cell::Number(b)) => a.total_cmp(b),
            (Cell::Text(a), Cell::Text(b)) => a.cmp(b),
            _ => rank(self).cmp(&rank(other)),
        }
    }
}

/// Whether `given` holds what `gold` holds; otherwise what is different.
pub(super) fn agree(gold: &Table, given: &Table, ordered: bool) -> Result<(), String> {
    if gold.rows.len() != given.rows.len() {
        return Err(format!("gives {} rows, expected {}", given.rows.len(), gold.rows.len()));
    }
    let columns: Vec<Vec<usize>> = (0..gold.width)
        .map(|wanted| {
            (0..given.width).filter(|column| same_column(gold, wanted, given, *column, ordered)).collect()
        })
        .collect();
    if let Some(missing) = columns.iter().position(Vec::is_empty) {
        let example = gold.rows.first().and_then(|row| row.get(missing));
        let example = example.map_or(String::new(), |cell| format!(" (first value {})", show(cell)));
        return Err(format!(
            "no column of the result holds the values of column {} of the gold{example}",
            missing + 1
        ));
    }
    let mut left = ASSIGNMENTS;
    match assign(gold, given, ordered, &columns, &mut Vec::new(), &mut left) {
        true => Ok(()),
        false => Err("the columns hold the right values, but in other rows".to_owned()),
    }
}

fn show(cell: &Cell) -> String {
    match cell {
        Cell::Null => "NULL".to_owned(),
        Cell::Number(number) => number.to_string(),
        Cell::Text(text) => text.chars().take(40).collect(),
    }
}

fn same_column(gold: &Table, wanted: usize, given: &Table, column: usize, ordered: bool) -> bool {
    let take = |table: &Table, index: usize| {
        let mut cells: Vec<Cell> = table.rows.iter().filter_map(|row| row.get(index).cloned()).collect();
        if !ordered {
            cells.sort_by(Cell::order);
        }
        cells
    };
    take(gold, wanted).iter().zip(&take(given, column)).all(|(a, b)| a.agrees(b))
}

/// Tries to give each gold column, from `chosen.len()` on, a column of its own.
fn assign(
    gold: &Table,
    given: &Table,
    ordered: bool,
    columns: &[Vec<usize>],
    chosen: &mut Vec<usize>,
    left: &mut usize,
) -> bool {
    let Some(candidates) = columns.get(chosen.len()) else {
        *left = left.saturating_sub(1);
        return same_rows(gold, given, chosen, ordered);
    };
    for column in candidates {
        if *left == 0 {
            return false;
        }
        if chosen.contains(column) {
            continue;
        }
        chosen.push(*column);
        let found = assign(gold, given, ordered, columns, chosen, left);
        chosen.pop();
        if found {
            return true;
        }
    }
    false
}

fn same_rows(gold: &Table, given: &Table, chosen: &[usize], ordered: bool) -> bool {
    let same = |a: &[Cell], b: &[Cell]| a.iter().zip(b).all(|(a, b)| a.agrees(b));
    let mut wanted = gold.rows.clone();
    let mut projected: Vec<Vec<Cell>> = given
        .rows
        .iter()
        .map(|row| chosen.iter().filter_map(|column| row.get(*column).cloned()).collect())
        .collect();
    if !ordered {
        wanted.sort_by(|a, b| order_rows(a, b));
        projected.sort_by(|a, b| order_rows(a, b));
    }
    if wanted.iter().zip(&projected).all(|(a, b)| same(a, b)) {
        return true;
    }
    // Numbers a little apart may sort otherwise.
    if ordered || wanted.len() > MATCHED_ROWS {
        return false;
    }
    wanted.iter().all(|row| match projected.iter().position(|other| same(row, other)) {
        Some(index) => {
            projected.swap_remove(index);
            true
        }
        None => false,
    })
}

/// Texts first: numbers may differ a little.
fn order_rows(a: &[Cell], b: &[Cell]) -> Ordering {
    let number = |cell: &Cell| matches!(cell, Cell::Number(_));
    let by = |numbers: bool| {
        a.iter()
            .zip(b)
            .filter(|(a, b)| (number(a) && number(b)) == numbers)
            .map(|(a, b)| a.order(b))
            .find(|order| order.is_ne())
    };
    by(false).or_else(|| by(true)).unwrap_or(Ordering::Equal)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test that cannot make its file has failed")]
mod tests {
    use super::*;

    fn shop() -> (tempfile::TempDir, Shop) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("shop.sqlite");
        let connection = Connection::open(&path).unwrap();
        let sql = "CREATE TABLE t (a TEXT, n REAL, k INTEGER); \
             INSERT INTO t VALUES ('x', 1.004, 1), ('y', 2.5, 2), ('z', 1.0, 1), (NULL, NULL, 3);";
        connection.execute_batch(sql).unwrap();
        let shop = Shop::open(&path).unwrap();
        (folder, shop)
    }

    fn compare(gold: &str, given: &str, ordered: bool) -> Result<(), String> {
        let (_folder, mut shop) = shop();
        agree(&shop.run(gold).unwrap(), &shop.run(given).unwrap(), ordered)
    }

    #[test]
    fn names_columns_and_order_are_free() {
        compare(
            "SELECT a, n FROM t",
            "SELECT round(n, 2) AS total, 'more', a AS name FROM t ORDER BY a DESC",
            false,
        )
        .unwrap();
        compare("SELECT '03', 5", "SELECT 5.0, 3", false).unwrap();
        compare("SELECT 'Abc '", "SELECT 'abc'", false).unwrap();
        compare("SELECT a FROM t WHERE 0", "SELECT k, n FROM t WHERE 0", false).unwrap();
        compare("SELECT count(*) FROM t", "SELECT count(k) AS n FROM t;", false).unwrap();
    }

    #[test]
    fn order_counts_when_asked() {
        let (gold, given) = ("SELECT k FROM t ORDER BY k", "SELECT k FROM t ORDER BY k DESC");
        compare(gold, given, false).unwrap();
        compare(gold, given, true).unwrap_err();
        compare(gold, "SELECT a, k FROM t ORDER BY k, a", true).unwrap();
    }

    #[test]
    fn values_stay_in_their_rows() {
        let error = compare("VALUES ('x', 1), ('y', 2)", "VALUES ('x', 2), ('y', 1)", false).unwrap_err();
        assert!(error.contains("other rows"), "{error}");
        let error = compare("SELECT k FROM t", "SELECT k FROM t LIMIT 2", false).unwrap_err();
        assert!(error.contains("2 rows, expected 4"), "{error}");
        let error = compare("SELECT 7, a FROM t", "SELECT k, a FROM t", false).unwrap_err();
        assert!(error.contains("column 1") && error.contains('7'), "{error}");
        // One column cannot stand for two.
        compare("SELECT 1, 1", "SELECT 1", false).unwrap_err();
        compare("SELECT NULL", "SELECT 0", false).unwrap_err();
    }

    #[test]
    fn numbers_a_little_apart_agree_also_where_they_sort_otherwise() {
        compare("VALUES (1.000, 5), (1.005, 3)", "VALUES (1.006, 5), (1.001, 3)", false).unwrap();
        compare("SELECT 1.0", "SELECT 1.02", false).unwrap_err();
    }

    #[test]
    fn many_alike_columns_end_soon() {
        let ones = vec!["1"; 40].join(",");
        let other = vec!["1"; 40].join(",");
        compare(&format!("SELECT {ones}"), &format!("SELECT {other}"), false).unwrap();
        compare(
            &format!("VALUES ({ones}, 1, 2), ({ones}, 2, 1)"),
            &format!("VALUES ({ones}, 1, 1), ({ones}, 2, 2)"),
            false,
        )
        .unwrap_err();
    }

    #[test]
    fn nothing_can_be_written_and_no_other_file_reached() {
        let (folder, mut shop) = shop();
        shop.run("DELETE FROM t").unwrap_err();
        let other = folder.path().join("other.sqlite");
        shop.run(&format!("ATTACH '{}' AS other", other.display())).unwrap_err();
        assert!(!other.exists());
        shop.run("SELECT a FROM t; DELETE FROM t").unwrap_err();
        assert_eq!(shop.run("SELECT * FROM t").unwrap().rows.len(), 4);
        shop.run("SELEC").unwrap_err();
    }

    #[test]
    fn a_missing_shop_is_named() {
        let error = Shop::open(Path::new("/no/shop.sqlite")).err().unwrap();
        assert!(error.contains("/no/shop.sqlite"), "{error}");
    }
}

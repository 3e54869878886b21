//! What goes into a statement and comes out of it.
//!
//! Invariant: a [`Rows`] holds no more rows and bytes than the [`Limits`] that it was gathered under.

use crate::{Error, Limits};

/// Which SQL a database speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// SQLite 3.
    Sqlite,
    /// PostgreSQL.
    Postgres,
    /// MySQL and MariaDB.
    Mysql,
}

impl Dialect {
    /// The name that a person knows it by.
    pub fn name(self) -> &'static str {
        match self {
            Dialect::Sqlite => "SQLite",
            Dialect::Postgres => "PostgreSQL",
            Dialect::Mysql => "MySQL",
        }
    }
}

/// One cell, or one parameter.
///
/// Types without a variant (decimals, dates, times, UUIDs, JSON, arrays, enums …) are [`Value::Text`] in the database's own
/// text form, a truth value is [`Value::Integer`] 0 or 1. A parameter of such a type is given the same way.
#[derive(Debug, Clone, PartialEq)]
#[expect(missing_docs, reason = "the variants say it")]
pub enum Value {
    Null,
    Integer(i64),
    Real(f64),
    Text(String),
    Blob(Vec<u8>),
}

impl Value {
    /// What it counts against [`Limits::bytes`].
    fn size(&self) -> usize {
        match self {
            Value::Null | Value::Integer(_) | Value::Real(_) => 16,
            Value::Text(text) => 16 + text.len(),
            Value::Blob(bytes) => 16 + bytes.len(),
        }
    }
}

/// What a query gave.
#[derive(Debug, Clone, PartialEq)]
pub struct Rows {
    /// Column names, as the statement names them.
    pub columns: Vec<String>,
    /// One list per row, as long as `columns`.
    pub rows: Vec<Vec<Value>>,
    /// True where more rows were left out.
    pub truncated: bool,
}

/// One table or view.
#[derive(Debug, Clone, PartialEq)]
pub struct Table {
    /// Its name, with its schema where it is not the connection's own.
    pub name: String,
    /// A CREATE statement: SQLite's own words, and MySQL's; for PostgreSQL written from the catalogue, comments as `-- …` at
    /// the line's end.
    pub sql: String,
    /// How many rows it holds: counted by SQLite, estimated by the servers, `None` where that is not known or would take long.
    pub row_count: Option<u64>,
}

/// What the planner expects of a query.
#[derive(Debug, Clone, PartialEq)]
pub struct Cost {
    /// Rows that are read to answer it.
    pub rows: f64,
    /// The planner's own unit, where it has one (PostgreSQL: a sequential page read is 1).
    pub units: Option<f64>,
}

/// Gathers rows under limits.
pub(crate) struct Gathered {
    rows: Rows,
    max_rows: usize,
    max_bytes: usize,
    left: usize,
}

impl Gathered {
    pub(crate) fn new(columns: Vec<String>, max_rows: usize, limits: &Limits) -> Gathered {
        let max_rows = max_rows.min(limits.rows);
        let rows = Rows { columns, rows: Vec::new(), truncated: false };
        Gathered { rows, max_rows, max_bytes: limits.bytes, left: limits.bytes }
    }

    pub(crate) fn is_full(&self) -> bool {
        self.rows.rows.len() >= self.max_rows
    }

    /// Takes a row, or says with `false` that it is one too many.
    pub(crate) fn push(&mut self, cells: Vec<Value>) -> Result<bool, Error> {
        if self.is_full() {
            self.rows.truncated = true;
            return Ok(false);
        }
        match self.left.checked_sub(cells.iter().map(Value::size).sum()) {
            Some(rest) => self.left = rest,
            None if self.rows.rows.is_empty() => {
                return Err(Error::Limit(format!(
                    "one row has more than {} bytes; select fewer columns",
                    self.max_bytes
                )));
            }
            None => {
                self.rows.truncated = true;
                return Ok(false);
            }
        }
        self.rows.rows.push(cells);
        Ok(true)
    }

    pub(crate) fn finish(self) -> Rows {
        self.rows
    }
}

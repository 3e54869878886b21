//! `pawl:host/database`: one SELECT at a time over the SQLite files that the operator granted, by logical name.
//!
//! Invariant: nothing that a statement says can change a file or reach another one. The file is opened read-only and
//! never created, no second file can be attached, and every action that SQLite prepares passes an allow-list
//! (SELECT, reading a column, recursion, functions known to be pure); each of the two alone has been got round.
//! Time, rows, bytes and the statement's length are limited. SQLite's own interfaces: <https://sqlite.org/c3ref/set_authorizer.html>,
//! <https://sqlite.org/c3ref/progress_handler.html>.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rusqlite::hooks::{AuthAction, AuthContext, Authorization};
use rusqlite::limits::Limit;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, ErrorCode, OpenFlags};

use super::bindings::pawl::host::database::{Error, Host, Rows, TableInfo, Value};
use crate::call::State;

/// The longest that one query runs.
const MAX_TIME: Duration = Duration::from_secs(3);
/// The most rows of one query.
const MAX_ROWS: u32 = 10_000;
/// The most bytes of one query's cells.
const MAX_BYTES: usize = 4 << 20;
/// The longest statement, in bytes.
const MAX_SQL: usize = 64 << 10;
/// The most tables that are described.
const MAX_TABLES: usize = 256;
/// How often SQLite looks at the clock, in its own instructions.
const PROGRESS: i32 = 1000;

/// Functions that read nothing but their arguments. Everything else, `load_extension` first, is refused.
const FUNCTIONS: &[&str] = &[
    "abs",
    "avg",
    "ceil",
    "ceiling",
    "char",
    "coalesce",
    "concat",
    "concat_ws",
    "count",
    "cume_dist",
    "current_date",
    "current_time",
    "current_timestamp",
    "date",
    "datetime",
    "dense_rank",
    "exp",
    "first_value",
    "floor",
    "format",
    "glob",
    "group_concat",
    "hex",
    "ifnull",
    "iif",
    "instr",
    "json",
    "json_array",
    "json_array_length",
    "json_each",
    "json_extract",
    "json_group_array",
    "json_group_object",
    "json_object",
    "json_tree",
    "json_type",
    "json_valid",
    "julianday",
    "lag",
    "last_value",
    "lead",
    "length",
    "like",
    "likelihood",
    "likely",
    "ln",
    "log",
    "log10",
    "log2",
    "lower",
    "ltrim",
    "max",
    "min",
    "mod",
    "nth_value",
    "ntile",
    "nullif",
    "octet_length",
    "percent_rank",
    "pi",
    "pow",
    "power",
    "printf",
    "quote",
    "random",
    "rank",
    "replace",
    "round",
    "row_number",
    "rtrim",
    "sign",
    "sqrt",
    "strftime",
    "string_agg",
    "substr",
    "substring",
    "sum",
    "time",
    "timediff",
    "total",
    "trim",
    "trunc",
    "typeof",
    "unhex",
    "unicode",
    "unixepoch",
    "unlikely",
    "upper",
    "->",
    "->>",
];

/// Connections that one call opened, by logical name. They are gone with the store.
#[derive(Default)]
pub(crate) struct Databases(BTreeMap<String, Database>);

struct Database {
    connection: Connection,
    /// The first action that the allow-list refused since it was last taken.
    refused: Arc<Mutex<Option<String>>>,
    /// When the running statement is stopped.
    until: Arc<Mutex<Instant>>,
}

impl Database {
    fn open(name: &str, file: &Path) -> Result<Database, Error> {
        if !file.is_file() {
            tracing::error!("database {name}: {} is missing", file.display());
            return Err(Error::Missing(name.to_owned()));
        }
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let set_up = || {
            let mut connection = Connection::open_with_flags(file, flags)?;
            connection.busy_timeout(Duration::from_millis(500))?;
            for (limit, value) in [
                (Limit::SQLITE_LIMIT_ATTACHED, 0),
                (Limit::SQLITE_LIMIT_WORKER_THREADS, 0),
                (Limit::SQLITE_LIMIT_LENGTH, MAX_BYTES as i32),
                (Limit::SQLITE_LIMIT_SQL_LENGTH, MAX_SQL as i32),
                (Limit::SQLITE_LIMIT_LIKE_PATTERN_LENGTH, 1000),
            ] {
                connection.set_limit(limit, value)?;
            }
            let refused: Arc<Mutex<Option<String>>> = Arc::default();
            let until = Arc::new(Mutex::new(Instant::now() + MAX_TIME));
            let (seen, clock) = (Arc::clone(&refused), Arc::clone(&until));
            connection.authorizer(Some(move |context: AuthContext<'_>| authorize(&context.action, &seen)))?;
            connection.progress_handler(PROGRESS, Some(move || Instant::now() >= *lock(&clock)))?;
            Ok(Database { connection, refused, until })
        };
        set_up().map_err(|error: rusqlite::Error| {
            tracing::error!("database {name} ({}): {error}", file.display());
            Error::Sql(format!("database `{name}` cannot be opened; the host's log says why"))
        })
    }

    fn query(&self, sql: &str, max_rows: usize, deadline: Instant) -> Result<Rows, Error> {
        if sql.len() > MAX_SQL {
            return Err(Error::Limit(format!("the statement has {} bytes; {MAX_SQL} at most", sql.len())));
        }
        *lock(&self.until) = deadline.min(Instant::now() + MAX_TIME);
        *lock(&self.refused) = None;
        let mut statement = self.connection.prepare(sql).map_err(|error| self.error(error))?;
        if statement.column_count() == 0 {
            return Err(Error::NotReadOnly(
                "it is not a SELECT; give exactly one SELECT statement".to_owned(),
            ));
        }
        if !statement.readonly() {
            return Err(Error::NotReadOnly("it would write; give exactly one SELECT statement".to_owned()));
        }
        let columns: Vec<String> = statement.column_names().map(str::to_owned).collect();
        let mut result = Rows { columns, rows: Vec::new(), truncated: false };
        let mut left = MAX_BYTES;
        let mut rows = statement.raw_query();
        while let Some(row) = rows.next().map_err(|error| self.error(error))? {
            if result.rows.len() == max_rows {
                result.truncated = true;
                break;
            }
            let cells = (0..result.columns.len()).map(|index| Ok(cell(row.get_ref(index)?)));
            let cells = cells.collect::<rusqlite::Result<Vec<Value>>>().map_err(|error| self.error(error))?;
            match left.checked_sub(cells.iter().map(size).sum()) {
                Some(rest) => left = rest,
                None if result.rows.is_empty() => {
                    return Err(Error::Limit(format!(
                        "one row has more than {MAX_BYTES} bytes; select fewer columns"
                    )));
                }
                None => {
                    result.truncated = true;
                    break;
                }
            }
            result.rows.push(cells);
        }
        Ok(result)
    }

    fn tables(&self, deadline: Instant) -> Result<Vec<TableInfo>, Error> {
        let sql = "SELECT name, sql FROM sqlite_schema WHERE type IN ('table', 'view') AND name NOT LIKE 'sqlite\\_%' \
                   ESCAPE '\\' ORDER BY name";
        let listed = self.query(sql, MAX_TABLES, deadline)?;
        let table = |row: Vec<Value>| {
            let mut cells = row.into_iter().map(|cell| match cell {
                Value::Text(text) => text,
                _ => String::new(),
            });
            let (name, sql) = (cells.next().unwrap_or_default(), cells.next().unwrap_or_default());
            let count = format!("SELECT count(*) FROM \"{}\"", name.replace('"', "\"\""));
            let row_count = match self.query(&count, 1, deadline)?.rows.first().and_then(|row| row.first()) {
                Some(Value::Integer(count)) => u64::try_from(*count).unwrap_or(0),
                _ => 0,
            };
            Ok(TableInfo { name, sql, row_count })
        };
        listed.rows.into_iter().map(table).collect()
    }

    fn error(&self, error: rusqlite::Error) -> Error {
        if let rusqlite::Error::MultipleStatement = error {
            return Error::NotReadOnly("there are several statements; give exactly one SELECT".to_owned());
        }
        // SQLite reports a refused function as an ordinary error, so what was refused comes first.
        if let Some(refused) = lock(&self.refused).take() {
            return Error::NotReadOnly(format!(
                "{refused} is not allowed; give exactly one SELECT statement"
            ));
        }
        match error.sqlite_error_code() {
            Some(ErrorCode::OperationInterrupted) => {
                Error::Limit(format!("the query ran longer than {} s; narrow it", MAX_TIME.as_secs()))
            }
            Some(ErrorCode::TooBig) => Error::Limit(format!("a value has more than {MAX_BYTES} bytes")),
            Some(ErrorCode::ReadOnly) => Error::NotReadOnly("the database is read-only".to_owned()),
            _ => Error::Sql(message(error)),
        }
    }
}

/// SQLite's message, without the statement that rusqlite repeats and without paths.
fn message(error: rusqlite::Error) -> String {
    match error {
        rusqlite::Error::SqlInputError { msg, .. } => msg,
        rusqlite::Error::SqliteFailure(code, message) => message.unwrap_or_else(|| code.to_string()),
        other => other.to_string(),
    }
}

/// The allow-list.
fn authorize(action: &AuthAction<'_>, refused: &Mutex<Option<String>>) -> Authorization {
    let denied = match action {
        AuthAction::Select | AuthAction::Read { .. } | AuthAction::Recursive => return Authorization::Allow,
        AuthAction::Function { function_name } => {
            if FUNCTIONS.iter().any(|known| known.eq_ignore_ascii_case(function_name)) {
                return Authorization::Allow;
            }
            format!("function {function_name}")
        }
        AuthAction::Insert { table_name } => format!("INSERT into {table_name}"),
        AuthAction::Update { table_name, .. } => format!("UPDATE of {table_name}"),
        AuthAction::Delete { table_name } => format!("DELETE from {table_name}"),
        AuthAction::Attach { .. } => "ATTACH".to_owned(),
        AuthAction::Pragma { pragma_name, .. } => format!("PRAGMA {pragma_name}"),
        AuthAction::Transaction { .. } | AuthAction::Savepoint { .. } => "a transaction".to_owned(),
        other => format!("{other:?}").split([' ', '{']).next().unwrap_or_default().to_owned(),
    };
    lock(refused).get_or_insert(denied);
    Authorization::Deny
}

fn cell(value: ValueRef<'_>) -> Value {
    match value {
        ValueRef::Null => Value::Null,
        ValueRef::Integer(value) => Value::Integer(value),
        ValueRef::Real(value) => Value::Real(value),
        ValueRef::Text(text) => Value::Text(String::from_utf8_lossy(text).into_owned()),
        ValueRef::Blob(bytes) => Value::Blob(bytes.to_vec()),
    }
}

fn size(value: &Value) -> usize {
    match value {
        Value::Null | Value::Integer(_) | Value::Real(_) => 16,
        Value::Text(text) => 16 + text.len(),
        Value::Blob(bytes) => 16 + bytes.len(),
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl State {
    fn database(&mut self, name: &str) -> Result<&Database, Error> {
        let Some(file) = self.capabilities.database.get(name) else {
            return Err(Error::NotGranted(name.chars().take(100).collect()));
        };
        if !self.databases.0.contains_key(name) {
            self.databases.0.insert(name.to_owned(), Database::open(name, file)?);
        }
        self.databases.0.get(name).ok_or_else(|| Error::Missing(name.to_owned()))
    }
}

impl Host for State {
    fn tables(&mut self, database: String) -> wasmtime::Result<Result<Vec<TableInfo>, Error>> {
        let deadline = self.deadline;
        Ok(self.database(&database).and_then(|database| database.tables(deadline)))
    }

    fn query(
        &mut self,
        database: String,
        sql: String,
        max_rows: u32,
    ) -> wasmtime::Result<Result<Rows, Error>> {
        let (deadline, max_rows) = (self.deadline, max_rows.min(MAX_ROWS) as usize);
        Ok(self.database(&database).and_then(|database| database.query(&sql, max_rows, deadline)))
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a database that fails fails the test")]
mod tests;

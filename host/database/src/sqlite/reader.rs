//! Reading a SQLite file.
//!
//! Invariant: the file and its folder are as they were. The one exception is SQLite's own: a file in WAL mode gets its `-wal`
//! and `-shm` companions where they are missing. Where they cannot be made (a read-only folder), the file is read as unchanging,
//! which is right exactly because without them nobody else can be writing it. <https://sqlite.org/wal.html#read_only_databases>

use std::ffi::OsString;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::time::Instant;

use rusqlite::{Connection, ErrorCode, OpenFlags};

use super::{Guarded, cell, lock};
use crate::effects::TABLE;
use crate::value::Gathered;
use crate::{Cost, Error, Limits, Rows, Table, Value};

pub(crate) struct Reader(Guarded);

impl Reader {
    pub(crate) fn open(name: &str, file: &Path, limits: &Limits, deadline: Instant) -> Result<Reader, Error> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY;
        let address = unreadable_wal(file, flags);
        let flags = if address.is_some() { flags | OpenFlags::SQLITE_OPEN_URI } else { flags };
        Ok(Reader(Guarded::open(name, file, address.as_deref(), flags, limits, deadline, |_| Ok(()))?))
    }

    pub(crate) fn query(
        &mut self,
        sql: &str,
        parameters: &[Value],
        max_rows: usize,
        deadline: Instant,
    ) -> Result<Rows, Error> {
        let guarded = &self.0;
        guarded.limits.statement(sql)?;
        *lock(&guarded.until) = guarded.limits.until(deadline);
        lock(&guarded.allowed).refused = None;
        let error = |error| guarded.error(error);
        let mut statement = guarded.connection.prepare(sql).map_err(error)?;
        if statement.column_count() == 0 {
            return Err(lock(&guarded.allowed).refusal("it is not a SELECT"));
        }
        if !statement.readonly() {
            return Err(lock(&guarded.allowed).refusal("it would write"));
        }
        guarded.bind(&mut statement, parameters)?;
        let columns: Vec<String> = statement.column_names().map(str::to_owned).collect();
        let count = columns.len();
        let mut gathered = Gathered::new(columns, max_rows, &guarded.limits);
        let mut rows = statement.raw_query();
        while let Some(row) = rows.next().map_err(error)? {
            let cells = (0..count).map(|index| Ok(cell(row.get_ref(index)?)));
            let cells = cells.collect::<rusqlite::Result<Vec<Value>>>().map_err(error)?;
            if !gathered.push(cells)? {
                break;
            }
        }
        Ok(gathered.finish())
    }

    pub(crate) fn tables(&mut self, deadline: Instant) -> Result<Vec<Table>, Error> {
        let sql = "SELECT name, sql FROM sqlite_schema WHERE type IN ('table', 'view') AND name NOT LIKE 'sqlite\\_%' \
                   ESCAPE '\\' AND name <> ?1 COLLATE NOCASE ORDER BY name";
        let hidden = [Value::Text(TABLE.to_owned())];
        let listed = self.query(sql, &hidden, self.0.limits.tables, deadline)?;
        let counting = Instant::now() + self.0.limits.counting;
        let table = |row: Vec<Value>| {
            let mut cells = row.into_iter().map(|cell| match cell {
                Value::Text(text) => text,
                _ => String::new(),
            });
            let (name, sql) = (cells.next().unwrap_or_default(), cells.next().unwrap_or_default());
            let count = format!("SELECT count(*) FROM \"{}\"", name.replace('"', "\"\""));
            // A view whose table is gone, or a count that takes long, costs the count and not the list.
            let counted = self.query(&count, &[], 1, deadline.min(counting)).ok();
            let row_count = match counted.as_ref().and_then(|rows| rows.rows.first()?.first()) {
                Some(Value::Integer(count)) => u64::try_from(*count).ok(),
                _ => None,
            };
            Table { name, sql, row_count }
        };
        Ok(listed.rows.into_iter().map(table).collect())
    }

    /// SQLite's planner has no estimate that it tells, but a wrong statement is told before it is run.
    pub(crate) fn cost(
        &mut self,
        sql: &str,
        parameters: &[Value],
        deadline: Instant,
    ) -> Result<Option<Cost>, Error> {
        self.query(&format!("EXPLAIN QUERY PLAN {sql}"), parameters, 1, deadline)?;
        Ok(None)
    }
}

/// The address that reads `file` as unchanging, where it is in WAL mode, holds all its content and no companion can be made.
fn unreadable_wal(file: &Path, flags: OpenFlags) -> Option<PathBuf> {
    let mut wal = OsString::from(file);
    wal.push("-wal");
    if std::fs::metadata(&wal).is_ok_and(|wal| wal.len() > 0) {
        return None;
    }
    let connection = Connection::open_with_flags(file, flags).ok()?;
    let read = connection.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()));
    let Err(rusqlite::Error::SqliteFailure(error, _)) = read else { return None };
    if error.code != ErrorCode::CannotOpen {
        return None;
    }
    // Each byte that has a meaning in an address is written as its number. <https://sqlite.org/uri.html>
    let mut address = String::from("file:");
    for byte in file.to_str()?.bytes() {
        match byte {
            b'/' | b'-' | b'_' | b'.' | b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => address.push(byte.into()),
            _ => write!(address, "%{byte:02x}").ok()?,
        }
    }
    Some(PathBuf::from(address + "?immutable=1"))
}

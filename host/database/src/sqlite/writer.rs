//! One transaction of writes to a SQLite file.
//!
//! Invariant: nothing is kept unless it is committed: the transaction begins when the file is opened, no statement can end it
//! and go on, and a process that dies leaves SQLite's journal, from which the next to open the file rolls back.

use std::path::Path;
use std::time::Instant;

use rusqlite::{Connection, OpenFlags};

use super::authorizer::Kind;
use super::{Guarded, effects, lock};
use crate::{Error, Limits, Value};

pub(crate) struct Writer(Guarded);

impl Writer {
    pub(crate) fn open(name: &str, file: &Path, limits: &Limits, deadline: Instant) -> Result<Writer, Error> {
        let growth = limits.growth;
        let prepare = |connection: &Connection| {
            connection.pragma_update(None, "foreign_keys", true)?;
            connection.pragma_update(None, "recursive_triggers", false)?;
            // Up to 64 MiB of changes touch no file before they are committed.
            connection.pragma_update(None, "cache_size", -65_536)?;
            connection.execute_batch("BEGIN IMMEDIATE")?;
            let number =
                |pragma: &str| connection.pragma_query_value(None, pragma, |row| row.get::<_, i64>(0));
            let (pages, size) = (number("page_count")?, number("page_size")?.max(1));
            let more = i64::try_from(growth).unwrap_or(i64::MAX) / size;
            let most = pages.saturating_add(more).clamp(1, 4_294_967_294);
            connection.pragma_update_and_check(None, "max_page_count", most, |_| Ok(()))
        };
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE;
        let guarded = Guarded::open(name, file, None, flags, limits, deadline, prepare)?;
        lock(&guarded.allowed).writes = true;
        Ok(Writer(guarded))
    }

    pub(crate) fn execute(
        &mut self,
        sql: &str,
        parameters: &[Value],
        deadline: Instant,
    ) -> Result<u64, Error> {
        let guarded = &self.0;
        guarded.limits.statement(sql)?;
        // INSERT OR ROLLBACK and RAISE(ROLLBACK) end the transaction; whatever followed would be kept at once.
        if guarded.connection.is_autocommit() {
            return Err(rolled_back());
        }
        *lock(&guarded.until) = guarded.limits.until(deadline);
        let kind = Kind::of(sql);
        {
            let mut allowed = lock(&guarded.allowed);
            (allowed.kind, allowed.refused) = (kind, None);
        }
        let Some(kind) = kind else {
            return Err(lock(&guarded.allowed).refusal("it is none of the statements that may be written"));
        };
        if let Some(refused) = lock(&guarded.allowed).names_ours(sql) {
            return Err(refused);
        }
        let error = |error| guarded.error(error);
        let mut statement = guarded.connection.prepare(sql).map_err(error)?;
        if statement.readonly() && kind == Kind::Rows {
            return Err(lock(&guarded.allowed).refusal("it would write nothing"));
        }
        guarded.bind(&mut statement, parameters)?;
        {
            let mut rows = statement.raw_query();
            while rows.next().map_err(error)?.is_some() {}
        }
        Ok(if kind == Kind::Rows { guarded.connection.changes() } else { 0 })
    }

    pub(crate) fn record(&mut self, key: &str, outcome: &str, deadline: Instant) -> Result<(), Error> {
        let guarded = &self.0;
        if guarded.connection.is_autocommit() {
            return Err(rolled_back());
        }
        *lock(&guarded.until) = guarded.limits.until(deadline);
        let recorded = effects::record(guarded, key, outcome);
        // What could not be recorded must not be kept, whatever the caller does next.
        if recorded.is_err() && !guarded.connection.is_autocommit() {
            *lock(&guarded.until) = Instant::now() + guarded.limits.time;
            guarded.ours(|connection| connection.execute_batch("ROLLBACK"))?;
        }
        recorded
    }

    pub(crate) fn commit(self) -> Result<(), Error> {
        let mut guarded = self.0;
        if guarded.connection.is_autocommit() {
            return Err(rolled_back());
        }
        *lock(&guarded.until) = Instant::now() + guarded.limits.time;
        let none: Option<fn(rusqlite::hooks::AuthContext<'_>) -> rusqlite::hooks::Authorization> = None;
        guarded.connection.authorizer(none).map_err(|error| guarded.error(error))?;
        guarded.connection.execute_batch("COMMIT").map_err(|error| match error.sqlite_error_code() {
            // The disk may have taken it before it failed.
            Some(rusqlite::ErrorCode::SystemIoFailure) => {
                tracing::error!("a database failed while it was written: {error}");
                Error::InDoubt
            }
            _ => guarded.error(error),
        })
    }
}

fn rolled_back() -> Error {
    Error::Sql("the transaction was rolled back; nothing was kept".to_owned())
}

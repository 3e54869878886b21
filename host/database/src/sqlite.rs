//! SQLite files.
//!
//! Invariant: nothing that a statement says can reach another file, and for a [`Reader`] nothing can change this one. A
//! reader's file is opened read-only and never created, no second file can be attached, and every action that SQLite prepares
//! passes an allow-list; each of the two alone has been got round. SQLite's own interfaces:
//! <https://sqlite.org/c3ref/set_authorizer.html>, <https://sqlite.org/c3ref/progress_handler.html>,
//! <https://sqlite.org/security.html>.

mod authorizer;
mod effects;
mod functions;
mod reader;
mod writer;

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rusqlite::config::DbConfig;
use rusqlite::limits::Limit;
use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, ErrorCode, OpenFlags, Statement, ToSql};

use crate::{Error, Limits, Value};
use authorizer::Allowed;

pub(crate) use effects::recorded;
pub(crate) use reader::Reader;
pub(crate) use writer::Writer;

/// How often SQLite looks at the clock, in its own instructions.
const PROGRESS: i32 = 1000;
/// How long another connection's lock is waited for.
const BUSY: Duration = Duration::from_millis(500);

/// A connection under limits, whose every action passes the authorizer.
struct Guarded {
    connection: Connection,
    limits: Limits,
    allowed: Arc<Mutex<Allowed>>,
    /// When the running statement is stopped.
    until: Arc<Mutex<Instant>>,
}

impl Guarded {
    /// Opens `file` (through `address`, where it has one), lets `prepare` speak to it freely, and then sets the authorizer.
    fn open(
        name: &str,
        file: &Path,
        address: Option<&Path>,
        flags: OpenFlags,
        limits: &Limits,
        deadline: Instant,
        prepare: impl FnOnce(&Connection) -> rusqlite::Result<()>,
    ) -> Result<Guarded, Error> {
        if !file.is_file() {
            tracing::error!("database {name}: {} is missing", file.display());
            return Err(Error::Missing);
        }
        let set_up = || {
            let address = address.unwrap_or(file);
            let mut connection =
                Connection::open_with_flags(address, flags | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
            let until = Arc::new(Mutex::new(limits.until(deadline)));
            let clock = Arc::clone(&until);
            connection.progress_handler(PROGRESS, Some(move || Instant::now() >= *lock(&clock)))?;
            connection.busy_timeout(BUSY.min(deadline.saturating_duration_since(Instant::now())))?;
            // No statement edits the schema as text or trusts functions that the schema names.
            connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
            connection.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
            for (limit, value) in [
                (Limit::SQLITE_LIMIT_ATTACHED, 0),
                (Limit::SQLITE_LIMIT_WORKER_THREADS, 0),
                (Limit::SQLITE_LIMIT_LENGTH, i32::try_from(limits.bytes).unwrap_or(i32::MAX)),
                (Limit::SQLITE_LIMIT_SQL_LENGTH, i32::try_from(limits.statement).unwrap_or(i32::MAX)),
                (Limit::SQLITE_LIMIT_LIKE_PATTERN_LENGTH, 1000),
            ] {
                connection.set_limit(limit, value)?;
            }
            prepare(&connection)?;
            let allowed: Arc<Mutex<Allowed>> = Arc::default();
            let judge = Arc::clone(&allowed);
            connection.authorizer(Some(move |context: rusqlite::hooks::AuthContext<'_>| {
                lock(&judge).authorize(&context)
            }))?;
            Ok(Guarded { connection, limits: limits.clone(), allowed, until })
        };
        set_up().map_err(|error: rusqlite::Error| {
            tracing::error!("database {name} ({}): {error}", file.display());
            match error.sqlite_error_code() {
                Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => busy(),
                _ => Error::Sql(format!("database `{name}` cannot be opened; the host's log says why")),
            }
        })
    }

    /// What SQLite says of a statement, in our words where they help more.
    fn error(&self, error: rusqlite::Error) -> Error {
        match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) if self.has_grown() => {
                return Error::Limit(format!("it would write more than {} bytes", self.limits.growth));
            }
            Some(ErrorCode::DiskFull | ErrorCode::SystemIoFailure) => {
                tracing::error!("a database cannot be written: {error}");
                return Error::Busy("the disk of the database is full or out of order; try again".to_owned());
            }
            _ => {}
        }
        let mut allowed = lock(&self.allowed);
        if let rusqlite::Error::MultipleStatement = error {
            return allowed.refusal("there are several statements");
        }
        // SQLite reports a refused function as an ordinary error, so what was refused comes first.
        if let Some(refused) = allowed.refused.take() {
            return allowed.refusal(&format!("{refused} is not allowed"));
        }
        match error.sqlite_error_code() {
            Some(ErrorCode::OperationInterrupted) => self.limits.too_long(),
            Some(ErrorCode::TooBig) => {
                Error::Limit(format!("a value has more than {} bytes", self.limits.bytes))
            }
            Some(ErrorCode::ReadOnly) => allowed.refusal("the database is read-only"),
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => busy(),
            _ => Error::Sql(message(error)),
        }
    }

    /// Whether it is the bound on the file that was reached, and not the disk: SQLite has one word for both, and has undone what it
    /// wrote by now. So a file is written beside it.
    fn has_grown(&self) -> bool {
        let Some(file) = self.connection.path().filter(|path| !path.is_empty()) else { return true };
        let probe = format!("{file}-pawl-probe-{}", std::process::id());
        let room = std::fs::write(&probe, vec![0; PROBE]).is_ok();
        if let Err(error) = std::fs::remove_file(&probe) {
            tracing::debug!("a probe of the disk stays: {error}");
        }
        room
    }

    /// Runs statements of our own, which the authorizer lets through.
    fn ours<T>(&self, work: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T, Error> {
        lock(&self.allowed).ours = true;
        let done = work(&self.connection);
        {
            let mut allowed = lock(&self.allowed);
            (allowed.ours, allowed.refused) = (false, None);
        }
        done.map_err(|error| self.error(error))
    }

    fn bind(&self, statement: &mut Statement<'_>, parameters: &[Value]) -> Result<(), Error> {
        let asked = statement.parameter_count();
        if asked != parameters.len() {
            let given = parameters.len();
            return Err(Error::Sql(format!("the statement has {asked} parameters, {given} were given")));
        }
        for (index, value) in parameters.iter().enumerate() {
            statement.raw_bind_parameter(index + 1, value).map_err(|error| self.error(error))?;
        }
        Ok(())
    }
}

impl ToSql for Value {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Value::Null => ValueRef::Null,
            Value::Integer(value) => ValueRef::Integer(*value),
            Value::Real(value) => ValueRef::Real(*value),
            Value::Text(text) => ValueRef::Text(text.as_bytes()),
            Value::Blob(bytes) => ValueRef::Blob(bytes),
        }))
    }
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

/// SQLite's message, without the statement that rusqlite repeats and without paths.
fn message(error: rusqlite::Error) -> String {
    match error {
        rusqlite::Error::SqlInputError { msg, .. } => msg,
        rusqlite::Error::SqliteFailure(code, message) => message.unwrap_or_else(|| code.to_string()),
        other => other.to_string(),
    }
}

/// Bytes that are written to see whether a disk has room.
const PROBE: usize = 1 << 20;

fn busy() -> Error {
    Error::Busy(format!("another program kept the database locked for {} ms; try again", BUSY.as_millis()))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a database that fails fails the test")]
mod tests;

//! What is known of runs and jobs: one file of SQLite, one writer, many readers.
//!
//! | table | a row is |
//! | --- | --- |
//! | `store` | the one that tells this store apart from all others |
//! | `scripts` | a script that a run began with, by digest |
//! | `runs` | a run: its input, where it stands, what came of it, which process drives it |
//! | `journal` | a step that has ended: what was asked for, what came of it, when, with what else is known |
//! | `begun` | a step whose effect may have taken place: it is deleted when its journal entry is written |
//! | `pending` | a step that waits: for a moment, a signal, an approval, a child, a person's word |
//! | `signals` | a signal that no step has taken yet |
//! | `jobs`, `items` | a batch, and one of its many |
//!
//! Times are microseconds since 1970, UTC; values are JSON.
//!
//! Invariants: everything is written by one thread ([`writer`]) in the order in which it was given, and several writes share one
//! transaction; what [`Store::write`] has answered is on the disk (WAL, `synchronous = FULL`). A disk that is full or a file that is
//! locked loses nothing: the writer tries again, and whoever gives it more waits.

pub(crate) mod jobs;
pub(crate) mod record;
pub(crate) mod rows;
mod writer;

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

use writer::Writer;

/// How long a reader waits for another process.
const BUSY: Duration = Duration::from_secs(5);
/// Reading connections that are kept open.
const MAX_READERS: usize = 8;

const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS store (id TEXT NOT NULL) STRICT;
    CREATE TABLE IF NOT EXISTS scripts (
        digest TEXT PRIMARY KEY,
        sources TEXT NOT NULL
    ) STRICT;
    CREATE TABLE IF NOT EXISTS runs (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        flow TEXT NOT NULL,
        script TEXT NOT NULL,
        input TEXT NOT NULL,
        requester TEXT NOT NULL,
        origin TEXT UNIQUE, -- what began it, where that must not begin it twice
        parent INTEGER,
        state TEXT NOT NULL,
        outcome TEXT,
        created INTEGER NOT NULL,
        ended INTEGER,
        owner TEXT,
        cancelled INTEGER NOT NULL DEFAULT 0,
        document TEXT,
        redacted TEXT -- which fields are gone
    ) STRICT;
    CREATE INDEX IF NOT EXISTS runs_ended ON runs (ended) WHERE ended IS NOT NULL;
    CREATE INDEX IF NOT EXISTS runs_parent ON runs (parent) WHERE parent IS NOT NULL;
    CREATE TABLE IF NOT EXISTS origins (
        origin TEXT PRIMARY KEY, -- of a run that was deleted
        run INTEGER NOT NULL
    ) STRICT;
    CREATE INDEX IF NOT EXISTS runs_open ON runs (owner) WHERE ended IS NULL;
    CREATE TABLE IF NOT EXISTS journal (
        seq INTEGER PRIMARY KEY,
        run INTEGER NOT NULL,
        step TEXT NOT NULL,
        request TEXT NOT NULL,
        digest BLOB NOT NULL,
        outcome TEXT NOT NULL,
        began INTEGER NOT NULL,
        ended INTEGER NOT NULL,
        attempts INTEGER NOT NULL,
        detail TEXT
    ) STRICT;
    CREATE UNIQUE INDEX IF NOT EXISTS journal_step ON journal (run, step);
    CREATE TABLE IF NOT EXISTS begun (
        run INTEGER NOT NULL,
        step TEXT NOT NULL,
        attempt INTEGER NOT NULL,
        PRIMARY KEY (run, step)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS pending (
        run INTEGER NOT NULL,
        step TEXT NOT NULL,
        request TEXT NOT NULL,
        digest BLOB NOT NULL,
        began INTEGER NOT NULL,
        wake INTEGER,
        signal TEXT,
        approval TEXT,
        child INTEGER,
        doubt TEXT,
        PRIMARY KEY (run, step)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX IF NOT EXISTS pending_wake ON pending (wake) WHERE wake IS NOT NULL;
    CREATE TABLE IF NOT EXISTS triggers (
        name TEXT PRIMARY KEY,
        seen INTEGER NOT NULL -- up to when its moments were looked at
    ) STRICT;
    CREATE TABLE IF NOT EXISTS signals (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        run INTEGER NOT NULL,
        name TEXT NOT NULL,
        payload TEXT NOT NULL,
        at INTEGER NOT NULL
    ) STRICT;
    CREATE INDEX IF NOT EXISTS signals_run ON signals (run, name);
";

/// Why the store did not do what it was asked to.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The file cannot be used.
    #[error("{file}: {error}")]
    File {
        /// Which.
        file: PathBuf,
        /// What SQLite says.
        error: rusqlite::Error,
    },
    /// SQLite refused.
    #[error("store of runs: {0}")]
    Sqlite(#[from] rusqlite::Error),
    /// The store is being closed.
    #[error("the store of runs is closed")]
    Closed,
}

impl StoreError {
    /// Whether another process has the file at the moment.
    #[must_use]
    pub fn is_busy(&self) -> bool {
        use rusqlite::ErrorCode::{DatabaseBusy, DatabaseLocked};
        let (StoreError::File { error, .. } | StoreError::Sqlite(error)) = self else { return false };
        matches!(error.sqlite_error_code(), Some(DatabaseBusy | DatabaseLocked))
    }
}

/// The store.
pub(crate) struct Store {
    file: PathBuf,
    id: String,
    writer: Writer,
    readers: Mutex<Vec<Connection>>,
}

impl Store {
    /// Opens the file, and makes it where there is none.
    pub(crate) fn open(file: &Path) -> Result<Store, StoreError> {
        let fail = |error| StoreError::File { file: file.to_path_buf(), error };
        let connection = Connection::open(file).map_err(fail)?;
        // The writer waits by itself; SQLite's own waiting would hold it where it cannot be stopped.
        connection.busy_timeout(BUSY).map_err(fail)?;
        connection.pragma_update(None, "journal_mode", "wal").map_err(fail)?;
        connection.pragma_update(None, "synchronous", "full").map_err(fail)?;
        connection.execute_batch(SCHEMA).map_err(fail)?;
        connection.execute_batch(crate::batch::SCHEMA).map_err(fail)?;
        upgrade(&connection).map_err(fail)?;
        let id = identity(&connection).map_err(fail)?;
        connection.busy_timeout(Duration::from_millis(100)).map_err(fail)?;
        connection.set_prepared_statement_cache_capacity(64);
        Ok(Store {
            file: file.to_path_buf(),
            id,
            writer: Writer::start(connection),
            readers: Mutex::default(),
        })
    }

    /// What tells it apart from all other stores: keys of steps begin with it, since a database may serve several.
    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    /// Writes, and gives what `work` gave once it is on the disk. `work` may run more than once; what it did before is undone then.
    pub(crate) fn write<T: Send + 'static>(
        &self,
        work: impl FnMut(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.writer.write(work)
    }

    /// Writes some time soon, before whatever is written after.
    pub(crate) fn post(&self, work: impl FnMut(&Connection) -> rusqlite::Result<()> + Send + 'static) {
        self.writer.post(work);
    }

    /// Reads what has been written.
    pub(crate) fn read<T>(
        &self,
        work: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T, StoreError> {
        let kept = self.readers.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let connection = match kept {
            Some(connection) => connection,
            None => self.reader()?,
        };
        let read = work(&connection);
        let mut readers = self.readers.lock().unwrap_or_else(PoisonError::into_inner);
        if readers.len() < MAX_READERS {
            readers.push(connection);
        }
        Ok(read?)
    }

    fn reader(&self) -> Result<Connection, StoreError> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(&self.file, flags)?;
        connection.busy_timeout(BUSY)?;
        connection.pragma_update(None, "query_only", true)?;
        connection.set_prepared_statement_cache_capacity(64);
        Ok(connection)
    }

    /// Why writing does not get on, while it does not.
    pub(crate) fn trouble(&self) -> Option<String> {
        self.writer.trouble()
    }

    /// Writes nothing any more, what is under way neither: what a kill does.
    pub(crate) fn abandon(&self) {
        self.writer.abandon();
    }

    /// Leaves nothing of what was deleted in the log of writes, where nobody reads from it at the moment.
    pub(crate) fn truncate(&self) {
        let truncated =
            Connection::open_with_flags(&self.file, OpenFlags::SQLITE_OPEN_READ_WRITE).and_then(|own| {
                own.busy_timeout(Duration::from_secs(1))?;
                own.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
            });
        if let Err(error) = truncated {
            tracing::debug!("the log of writes stays: {error}");
        }
    }
}

/// Brings a store of an earlier Pawl up to this one.
fn upgrade(connection: &Connection) -> rusqlite::Result<()> {
    for (table, column) in
        [("runs", "document"), ("items", "document"), ("runs", "redacted"), ("jobs", "redacted")]
    {
        if !connection.column_exists(None, table, column)? {
            connection.execute_batch(&format!("ALTER TABLE {table} ADD COLUMN {column} TEXT"))?;
        }
    }
    if !connection.column_exists(None, "items", "moved")? {
        connection.execute_batch("ALTER TABLE items ADD COLUMN moved INTEGER NOT NULL DEFAULT 0")?;
    }
    Ok(())
}

/// The store's own name, drawn when it is made.
pub(crate) fn identity(connection: &Connection) -> rusqlite::Result<String> {
    let drawn = format!("{:012x}", fastrand::u64(..) >> 16);
    connection.execute("INSERT INTO store (id) SELECT ?1 WHERE NOT EXISTS (SELECT 1 FROM store)", [drawn])?;
    connection.query_row("SELECT id FROM store", [], |row| row.get(0))
}

//! The keys of what was done ([`crate::effects`]) in a SQLite file.
//!
//! Invariant: the answer is of what was kept, also right after a process died while it wrote: SQLite then rolls back from its
//! journal first, which a connection that only reads cannot do, so this one is opened to write and writes nothing.

use std::path::Path;
use std::time::Instant;

use rusqlite::{OpenFlags, OptionalExtension};

use super::Guarded;
use crate::effects::{CREATE, TABLE, check, refused};
use crate::{Dialect, Error, Limits};

const INSERT: &str = "INSERT INTO pawl_effects (key, outcome, at) VALUES (?1, ?2, strftime('%Y-%m-%dT%H:%M:%SZ', 'now')) \
     ON CONFLICT (key) DO NOTHING";

/// Writes the row into the transaction that is open.
pub(super) fn record(guarded: &Guarded, key: &str, outcome: &str) -> Result<(), Error> {
    check(key, outcome, &guarded.limits)?;
    let rows = guarded.ours(|connection| {
        connection.execute_batch(CREATE)?;
        connection.execute(INSERT, [key, outcome])
    });
    match rows.map_err(|error| refused(error, Dialect::Sqlite))? {
        0 => Err(Error::Recorded),
        _ => Ok(()),
    }
}

pub(crate) fn recorded(
    name: &str,
    file: &Path,
    limits: &Limits,
    key: &str,
    deadline: Instant,
) -> Result<Option<String>, Error> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE;
    let guarded = Guarded::open(name, file, None, flags, limits, deadline, |_| Ok(()))?;
    guarded.ours(|connection| {
        let table = "SELECT 1 FROM sqlite_schema WHERE name = ?1 COLLATE NOCASE";
        if connection.query_row(table, [TABLE], |_| Ok(())).optional()?.is_none() {
            return Ok(None);
        }
        let outcome = "SELECT outcome FROM pawl_effects WHERE key = ?1";
        connection.query_row(outcome, [key], |row| row.get(0)).optional()
    })
}

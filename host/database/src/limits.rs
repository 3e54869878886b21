//! What one connection may cost.
//!
//! Invariant: every call ends at the earlier of its caller's deadline and [`Limits::time`], and holds no more memory
//! than [`Limits::bytes`] and what one buffer adds.

use std::time::{Duration, Instant};

use crate::Error;

/// The bounds of one connection. The default suits a model that explores a database.
#[derive(Debug, Clone)]
pub struct Limits {
    /// The longest statement, in bytes of UTF-8.
    pub statement: usize,
    /// The most rows of one query.
    pub rows: usize,
    /// The most bytes of one query's cells; a cell counts its content and 16 bytes.
    pub bytes: usize,
    /// The longest that one query or statement runs.
    pub time: Duration,
    /// The most tables that are described.
    pub tables: usize,
    /// How long exact counts of rows may take, all tables together.
    pub counting: Duration,
    /// How long a connection may take to come about.
    pub connecting: Duration,
    /// The most bytes by which one transaction lets a SQLite file grow.
    pub growth: u64,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            statement: 64 << 10,
            rows: 10_000,
            bytes: 4 << 20,
            time: Duration::from_secs(3),
            tables: 256,
            counting: Duration::from_millis(200),
            connecting: Duration::from_secs(5),
            growth: 256 << 20,
        }
    }
}

impl Limits {
    /// When a statement that begins now is stopped.
    pub(crate) fn until(&self, deadline: Instant) -> Instant {
        deadline.min(Instant::now() + self.time)
    }

    /// Refuses a statement that is too long.
    pub(crate) fn statement(&self, sql: &str) -> Result<(), Error> {
        if sql.len() > self.statement {
            return Err(Error::Limit(format!(
                "the statement has {} bytes; {} at most",
                sql.len(),
                self.statement
            )));
        }
        Ok(())
    }

    /// The error of a statement that ran too long.
    pub(crate) fn too_long(&self) -> Error {
        Error::Limit(format!("the query ran longer than {} s; narrow it", self.time.as_secs_f32()))
    }
}

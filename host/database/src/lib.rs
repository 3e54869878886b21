//! One connection to a granted database: SQLite, PostgreSQL, MySQL and MariaDB.
//!
//! A [`Reader`] answers one SELECT at a time and can change nothing; a [`Writer`] runs INSERT, UPDATE, DELETE and DDL in one
//! transaction that is rolled back unless it was opened as [`Purpose::Approved`] and committed. Both are synchronous and may be
//! used on any thread that may block.
//!
//! A writer can record a key with what it writes ([`Writer::record`]), and [`recorded`] says later, after a crash too, whether that
//! was kept ([`effects`]).
//!
//! Invariants: nothing that a statement says reaches beyond the granted database or past what the connection is for, by two
//! layers at least that do not depend on one another (SQLite: how the file is opened, and an authorizer; the servers: a parser
//! with allow-lists, and the server's own transaction mode); every call ends at its deadline, also on the server; no message
//! holds a password.

mod effects;
mod error;
mod limits;

mod location;
#[cfg(feature = "mysql")]
mod mysql;
#[cfg(any(feature = "mysql", feature = "postgres"))]
mod policy;
#[cfg(feature = "postgres")]
mod postgres;
#[cfg(any(feature = "mysql", feature = "postgres"))]
mod server;
mod sqlite;
mod value;

use std::time::Instant;

pub use effects::check_key;
pub use error::Error;
pub use limits::Limits;
pub use location::{Location, Secret};
pub use value::{Cost, Dialect, Rows, Table, Value};

/// What a [`Writer`] is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// To see what would happen: it is rolled back, whatever becomes of this process, and refuses statements that could not be.
    Trial,
    /// Approved; [`Writer::commit`] keeps it.
    Approved,
}

/// A connection that only reads.
pub struct Reader(Reading);

enum Reading {
    Sqlite(Box<sqlite::Reader>),
    #[cfg(feature = "mysql")]
    Mysql(Box<mysql::Reader>),
    #[cfg(feature = "postgres")]
    Postgres(Box<postgres::Reader>),
}

impl Reader {
    /// Connects. `name` is the logical name for the log.
    pub fn open(
        name: &str,
        location: &Location,
        limits: &Limits,
        deadline: Instant,
    ) -> Result<Reader, Error> {
        match location {
            Location::Sqlite(file) => {
                let reader = sqlite::Reader::open(name, file, limits, deadline)?;
                Ok(Reader(Reading::Sqlite(Box::new(reader))))
            }
            #[cfg(feature = "postgres")]
            Location::Postgres(secret) => {
                let reader = postgres::Reader::open(name, secret, limits, deadline)?;
                Ok(Reader(Reading::Postgres(Box::new(reader))))
            }
            #[cfg(feature = "mysql")]
            Location::Mysql(secret) => {
                let reader = mysql::Reader::open(name, secret, limits, deadline)?;
                Ok(Reader(Reading::Mysql(Box::new(reader))))
            }
            #[allow(unreachable_patterns, reason = "a build without a client")]
            Location::Postgres(_) | Location::Mysql(_) => Err(not_built(location)),
        }
    }

    /// Which SQL it takes.
    pub fn dialect(&self) -> Dialect {
        match &self.0 {
            Reading::Sqlite(_) => Dialect::Sqlite,
            #[cfg(feature = "postgres")]
            Reading::Postgres(_) => Dialect::Postgres,
            #[cfg(feature = "mysql")]
            Reading::Mysql(_) => Dialect::Mysql,
        }
    }

    /// The tables and views, by name; no more than [`Limits::tables`].
    pub fn tables(&mut self, deadline: Instant) -> Result<Vec<Table>, Error> {
        match &mut self.0 {
            Reading::Sqlite(reader) => reader.tables(deadline),
            #[cfg(feature = "postgres")]
            Reading::Postgres(reader) => reader.tables(deadline),
            #[cfg(feature = "mysql")]
            Reading::Mysql(reader) => reader.tables(deadline),
        }
    }

    /// Runs one SELECT (or WITH … SELECT, VALUES) and gives at most `max_rows` rows, never more than [`Limits::rows`].
    ///
    /// `parameters` stand for `?1`, `?2` … in SQLite, `$1`, `$2` … in PostgreSQL, each `?` in MySQL.
    pub fn query(
        &mut self,
        sql: &str,
        parameters: &[Value],
        max_rows: usize,
        deadline: Instant,
    ) -> Result<Rows, Error> {
        match &mut self.0 {
            Reading::Sqlite(reader) => reader.query(sql, parameters, max_rows, deadline),
            #[cfg(feature = "postgres")]
            Reading::Postgres(reader) => reader.query(sql, parameters, max_rows, deadline),
            #[cfg(feature = "mysql")]
            Reading::Mysql(reader) => reader.query(sql, parameters, max_rows, deadline),
        }
    }

    /// What the planner expects of a query that is not run; `None` where the database does not say (SQLite).
    pub fn cost(
        &mut self,
        sql: &str,
        parameters: &[Value],
        deadline: Instant,
    ) -> Result<Option<Cost>, Error> {
        match &mut self.0 {
            Reading::Sqlite(reader) => reader.cost(sql, parameters, deadline),
            #[cfg(feature = "postgres")]
            Reading::Postgres(reader) => reader.cost(sql, parameters, deadline),
            #[cfg(feature = "mysql")]
            Reading::Mysql(reader) => reader.cost(sql, parameters, deadline),
        }
    }
}

/// One transaction of writes. Dropped, it is rolled back.
pub struct Writer {
    writing: Writing,
    purpose: Purpose,
}

enum Writing {
    Sqlite(Box<sqlite::Writer>),
    #[cfg(feature = "mysql")]
    Mysql(Box<mysql::Writer>),
    #[cfg(feature = "postgres")]
    Postgres(Box<postgres::Writer>),
}

impl Writer {
    /// Connects and begins the transaction. `name` is the logical name for the log.
    pub fn open(
        name: &str,
        location: &Location,
        limits: &Limits,
        purpose: Purpose,
        deadline: Instant,
    ) -> Result<Writer, Error> {
        let writing = match location {
            Location::Sqlite(file) => {
                Writing::Sqlite(Box::new(sqlite::Writer::open(name, file, limits, deadline)?))
            }
            #[cfg(feature = "postgres")]
            Location::Postgres(secret) => {
                Writing::Postgres(Box::new(postgres::Writer::open(name, secret, limits, deadline)?))
            }
            #[cfg(feature = "mysql")]
            Location::Mysql(secret) => {
                let writer = mysql::Writer::open(name, secret, limits, purpose, deadline)?;
                Writing::Mysql(Box::new(writer))
            }
            #[allow(unreachable_patterns, reason = "a build without a client")]
            Location::Postgres(_) | Location::Mysql(_) => return Err(not_built(location)),
        };
        Ok(Writer { writing, purpose })
    }

    /// Which SQL it takes.
    pub fn dialect(&self) -> Dialect {
        match &self.writing {
            Writing::Sqlite(_) => Dialect::Sqlite,
            #[cfg(feature = "postgres")]
            Writing::Postgres(_) => Dialect::Postgres,
            #[cfg(feature = "mysql")]
            Writing::Mysql(_) => Dialect::Mysql,
        }
    }

    /// Runs one statement and gives how many rows it inserted, updated or deleted itself (0 for DDL).
    ///
    /// After an error only a SQLite transaction goes on, and not after the database rolled it back by itself. In MySQL, DDL is
    /// alone in its transaction and runs when that is committed.
    pub fn execute(&mut self, sql: &str, parameters: &[Value], deadline: Instant) -> Result<u64, Error> {
        match &mut self.writing {
            Writing::Sqlite(writer) => writer.execute(sql, parameters, deadline),
            #[cfg(feature = "postgres")]
            Writing::Postgres(writer) => writer.execute(sql, parameters, deadline),
            #[cfg(feature = "mysql")]
            Writing::Mysql(writer) => writer.execute(sql, parameters, deadline),
        }
    }

    /// Records in the same transaction that `key` was done, and what it gave. After an error nothing can be kept.
    ///
    /// The key is to be unique among all that write to this database. In MySQL the table for it is made on a connection of its own
    /// where it is missing, for making it would keep what was written before.
    ///
    /// # Errors
    /// [`Error::Recorded`] where the key is recorded already. [`Error::NotRecordable`] where that is not possible: the user may not
    /// make the table, or MySQL keeps what was written (DDL) apart from any row.
    pub fn record(&mut self, key: &str, outcome: &str, deadline: Instant) -> Result<(), Error> {
        if self.purpose == Purpose::Trial {
            return Err(Error::NotAllowed("a trial is never recorded".to_owned()));
        }
        match &mut self.writing {
            Writing::Sqlite(writer) => writer.record(key, outcome, deadline),
            #[cfg(feature = "mysql")]
            Writing::Mysql(writer) => writer.record(key, outcome, deadline),
            #[cfg(feature = "postgres")]
            Writing::Postgres(writer) => writer.record(key, outcome, deadline),
        }
    }

    /// Keeps what was written. A trial refuses.
    ///
    /// # Errors
    /// [`Error::InDoubt`] where a server was lost meanwhile; after any other error nothing was kept.
    pub fn commit(self) -> Result<(), Error> {
        if self.purpose == Purpose::Trial {
            return Err(Error::NotAllowed("a trial is never committed".to_owned()));
        }
        match self.writing {
            Writing::Sqlite(writer) => writer.commit(),
            #[cfg(feature = "postgres")]
            Writing::Postgres(writer) => writer.commit(),
            #[cfg(feature = "mysql")]
            Writing::Mysql(writer) => writer.commit(),
        }
    }
}

/// The outcome that was recorded with `key` ([`Writer::record`]); none where none was. Makes nothing where there is no table.
///
/// None says that nothing was kept so far. A transaction that a dead process left to a server may still end in being kept; whoever
/// does the same again is told then ([`Error::Recorded`]).
pub fn recorded(
    name: &str,
    location: &Location,
    limits: &Limits,
    key: &str,
    deadline: Instant,
) -> Result<Option<String>, Error> {
    check_key(key)?;
    match location {
        Location::Sqlite(file) => sqlite::recorded(name, file, limits, key, deadline),
        #[cfg(feature = "postgres")]
        Location::Postgres(secret) => postgres::recorded(name, secret, limits, key, deadline),
        #[cfg(feature = "mysql")]
        Location::Mysql(secret) => mysql::recorded(name, secret, limits, key, deadline),
        #[allow(unreachable_patterns, reason = "a build without a client")]
        Location::Postgres(_) | Location::Mysql(_) => Err(not_built(location)),
    }
}

fn not_built(location: &Location) -> Error {
    let kind = match location {
        Location::Sqlite(_) => Dialect::Sqlite,
        Location::Postgres(_) => Dialect::Postgres,
        Location::Mysql(_) => Dialect::Mysql,
    };
    Error::Unavailable(format!("this build has no {} client", kind.name()))
}

//! `pawl:host/database`: SQL over the databases that the operator granted, by logical name. Reading, and writes that a person
//! approved.
//!
//! Reading is `pawl_database::Reader`'s, which can change nothing. A write ([`Host::execute`]) does nothing by itself: in an
//! ordinary call it is refused and noted, so that the host can ask for approval; in a trial it runs in a transaction that is
//! always rolled back, and is recorded; in the call that a person approved it runs only if it is, word for word, the write
//! that was recorded, and is committed only if all of them ran and touched as many rows as were shown.
//!
//! Invariant: no plugin and no model can have a row changed that a person was not shown the statement of.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use pawl_database as db;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::bindings::pawl::host::database::{Error, Estimate, Host, Rows, SqlDialect, TableInfo, Value};
use crate::call::State;
use crate::error::CallError;

/// The most writes of one call.
const MAX_WRITES: usize = 100;
/// How long recording a step's key may take, beyond the time of the call.
const RECORDING: Duration = Duration::from_secs(10);

/// One write, as a person is shown it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Write {
    /// The logical name of the database.
    pub database: String,
    /// The statement.
    pub sql: String,
    /// What stands for its placeholders; bytes as `{"blob": "hex"}`.
    pub parameters: Vec<serde_json::Value>,
    /// How many rows it inserted, changed or deleted in the trial; 0 for DDL.
    pub rows: u64,
}

/// What becomes of the writes of a call.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) enum Mode {
    /// They are refused, and that is noted.
    #[default]
    Ordinary,
    /// They run, are recorded and rolled back.
    Trial,
    /// Exactly these run, and are kept.
    Approved(Vec<Write>),
}

/// The databases of one call. They are gone with the store, and what was not committed is rolled back.
#[derive(Default)]
pub(crate) struct Databases {
    readers: BTreeMap<String, db::Reader>,
    writers: BTreeMap<String, db::Writer>,
    mode: Mode,
    /// Writes of the call so far; in an ordinary one, those that were refused.
    writes: Vec<Write>,
    /// An approved call would write something else than was approved.
    other: Option<String>,
    /// Something was locked, or a disk full.
    busy: Option<String>,
}

impl Databases {
    pub(crate) fn new(mode: Mode) -> Databases {
        Databases { mode, ..Databases::default() }
    }

    /// Whether an ordinary call wanted to write.
    pub(crate) fn wants_to_write(&self) -> bool {
        self.mode == Mode::Ordinary && !self.writes.is_empty()
    }

    /// Ends a call whose function succeeded: keeps what was approved, or says why it is not what was approved. Gives the
    /// writes of a trial. With a step's key and what its call gave, those are recorded in the transaction of the writes.
    pub(crate) fn finish(&mut self, step: Option<(&str, &str)>) -> Result<Vec<Write>, CallError> {
        let writers = std::mem::take(&mut self.writers);
        let Mode::Approved(approved) = &self.mode else {
            return Ok(std::mem::take(&mut self.writes));
        };
        if let Some(other) = self.other.take() {
            return Err(CallError::NotAsApproved(other));
        }
        if self.writes.len() < approved.len() {
            let made = format!("{} of the {} approved writes were made", self.writes.len(), approved.len());
            return Err(CallError::NotAsApproved(made));
        }
        for (name, mut writer) in writers {
            if let Some((key, outcome)) = step {
                let deadline = Instant::now() + RECORDING;
                writer.record(key, outcome, deadline).map_err(|error| not_kept(&name, error))?;
            }
            writer.commit().map_err(|error| not_kept(&name, error))?;
        }
        Ok(Vec::new())
    }

    /// What could not be done just now, and can be another time.
    pub(crate) fn busy(&mut self) -> Option<String> {
        self.busy.take()
    }

    fn told(&mut self, error: db::Error) -> Error {
        if let db::Error::Busy(why) = &error {
            self.busy = Some(why.clone());
        }
        error.into()
    }

    /// Whether `write` is the next that was approved.
    fn expected(&self, write: &Write) -> Result<(), String> {
        let Mode::Approved(approved) = &self.mode else { return Ok(()) };
        match approved.get(self.writes.len()) {
            Some(next) if same_statement(next, write) => Ok(()),
            Some(next) => Err(format!("it would run `{}` where `{}` was approved", write.sql, next.sql)),
            None => Err(format!("it would run `{}`, which was not approved", write.sql)),
        }
    }
}

fn not_kept(name: &str, error: db::Error) -> CallError {
    let message = format!("database `{name}`: {error}");
    match error {
        db::Error::Recorded => CallError::Recorded,
        db::Error::NotRecordable(_) => CallError::NotRecordable(message),
        db::Error::InDoubt => CallError::InDoubt(message),
        db::Error::Busy(_) => CallError::Busy(message),
        _ => CallError::NotAsApproved(message),
    }
}

fn same_statement(a: &Write, b: &Write) -> bool {
    a.database == b.database && a.sql == b.sql && a.parameters == b.parameters
}

impl From<db::Error> for Error {
    fn from(error: db::Error) -> Error {
        match error {
            db::Error::Missing => Error::Unavailable("its file is missing".to_owned()),
            db::Error::NotReadOnly(why) => Error::NotReadOnly(why),
            db::Error::NotAllowed(why) => Error::NotAllowed(why),
            db::Error::NoTrial(why) => Error::NoTrial(why),
            db::Error::Sql(message) => Error::Sql(message),
            db::Error::Limit(limit) | db::Error::Busy(limit) => Error::Limit(limit),
            db::Error::Unavailable(why) => Error::Unavailable(why),
            // These come of keeping what was written, which no guest asks for.
            kept @ (db::Error::NotRecordable(_) | db::Error::Recorded | db::Error::InDoubt) => {
                Error::NotAllowed(kept.to_string())
            }
        }
    }
}

impl From<db::Value> for Value {
    fn from(value: db::Value) -> Value {
        match value {
            db::Value::Null => Value::Null,
            db::Value::Integer(value) => Value::Integer(value),
            db::Value::Real(value) => Value::Real(value),
            db::Value::Text(value) => Value::Text(value),
            db::Value::Blob(value) => Value::Blob(value),
        }
    }
}

impl From<Value> for db::Value {
    fn from(value: Value) -> db::Value {
        match value {
            Value::Null => db::Value::Null,
            Value::Integer(value) => db::Value::Integer(value),
            Value::Real(value) => db::Value::Real(value),
            Value::Text(value) => db::Value::Text(value),
            Value::Blob(value) => db::Value::Blob(value),
        }
    }
}

/// A parameter as a person is shown it.
fn shown(value: &db::Value) -> serde_json::Value {
    match value {
        db::Value::Null => serde_json::Value::Null,
        db::Value::Integer(value) => json!(value),
        db::Value::Real(value) => json!(value),
        db::Value::Text(value) => json!(value),
        db::Value::Blob(bytes) => {
            json!({"blob": bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>()})
        }
    }
}

impl State {
    fn granted(&self, name: &str) -> Result<crate::grant::Granted, Error> {
        let granted = self.capabilities.database.get(name).cloned();
        granted.ok_or_else(|| Error::NotGranted(name.chars().take(100).collect()))
    }

    fn reader(&mut self, name: &str) -> Result<(&mut db::Reader, Instant), Error> {
        let deadline = self.deadline.at;
        let granted = self.granted(name)?;
        if !self.databases.readers.contains_key(name) {
            let reader = db::Reader::open(name, &granted.location, &db::Limits::default(), deadline);
            let reader = reader.map_err(|error| match error {
                db::Error::Missing => Error::Missing(name.to_owned()),
                other => self.databases.told(other),
            })?;
            self.databases.readers.insert(name.to_owned(), reader);
        }
        let reader = self.databases.readers.get_mut(name);
        reader.map(|reader| (reader, deadline)).ok_or_else(|| Error::Missing(name.to_owned()))
    }

    /// Reads something of a database.
    fn read<T>(
        &mut self,
        name: &str,
        work: impl FnOnce(&mut db::Reader, Instant) -> Result<T, db::Error>,
    ) -> Result<T, Error> {
        let (reader, deadline) = self.reader(name)?;
        work(reader, deadline).map_err(|error| self.databases.told(error))
    }

    fn write(&mut self, name: &str, sql: String, parameters: Vec<Value>) -> Result<u64, Error> {
        let granted = self.granted(name)?;
        if !granted.write {
            return Err(Error::NotAllowed(format!(
                "writing to `{name}` is not granted; the operator can grant it: database.{name} = {{ …, write = true }}"
            )));
        }
        let parameters: Vec<db::Value> = parameters.into_iter().map(db::Value::from).collect();
        let mut write = Write {
            database: name.to_owned(),
            sql,
            parameters: parameters.iter().map(shown).collect(),
            rows: 0,
        };
        let databases = &mut self.databases;
        if databases.writes.len() >= MAX_WRITES {
            return Err(Error::Limit(format!("{MAX_WRITES} writes in one call")));
        }
        let purpose = match databases.mode {
            Mode::Ordinary => {
                databases.writes.push(write);
                return Err(Error::NeedsApproval);
            }
            Mode::Trial => db::Purpose::Trial,
            Mode::Approved(_) => db::Purpose::Approved,
        };
        if let Err(other) = databases.expected(&write) {
            databases.other.get_or_insert(other);
            return Err(Error::NeedsApproval);
        }
        let deadline = self.deadline.at;
        if !databases.writers.contains_key(name) {
            if !databases.writers.is_empty() {
                return Err(Error::NotAllowed("one call writes to one database".to_owned()));
            }
            let limits = db::Limits::default();
            let opened = db::Writer::open(name, &granted.location, &limits, purpose, deadline);
            let writer = opened.map_err(|error| databases.told(error))?;
            databases.writers.insert(name.to_owned(), writer);
        }
        let Some(writer) = databases.writers.get_mut(name) else { return Err(Error::NeedsApproval) };
        let written = writer.execute(&write.sql, &parameters, deadline);
        write.rows = written.map_err(|error| databases.told(error))?;
        let rows = write.rows;
        if let Mode::Approved(approved) = &databases.mode
            && let Some(shown) = approved.get(databases.writes.len())
            && shown.rows != rows
        {
            databases.other.get_or_insert(format!(
                "`{}` would change {rows} rows now, and {} were approved",
                write.sql, shown.rows
            ));
        }
        databases.writes.push(write);
        Ok(rows)
    }
}

impl Host for State {
    fn dialect(&mut self, database: String) -> wasmtime::Result<Result<SqlDialect, Error>> {
        Ok(self.reader(&database).map(|(reader, _)| match reader.dialect() {
            db::Dialect::Sqlite => SqlDialect::Sqlite,
            db::Dialect::Postgres => SqlDialect::Postgres,
            db::Dialect::Mysql => SqlDialect::Mysql,
        }))
    }

    fn writable(&mut self, database: String) -> wasmtime::Result<Result<bool, Error>> {
        Ok(self.granted(&database).map(|granted| granted.write))
    }

    fn tables(&mut self, database: String) -> wasmtime::Result<Result<Vec<TableInfo>, Error>> {
        let tables = self.read(&database, |reader, deadline| reader.tables(deadline));
        let table =
            |table: db::Table| TableInfo { name: table.name, sql: table.sql, row_count: table.row_count };
        Ok(tables.map(|tables| tables.into_iter().map(table).collect()))
    }

    fn query(
        &mut self,
        database: String,
        sql: String,
        max_rows: u32,
    ) -> wasmtime::Result<Result<Rows, Error>> {
        let rows =
            self.read(&database, |reader, deadline| reader.query(&sql, &[], max_rows as usize, deadline));
        Ok(rows.map(|rows| Rows {
            columns: rows.columns,
            rows: rows.rows.into_iter().map(|row| row.into_iter().map(Value::from).collect()).collect(),
            truncated: rows.truncated,
        }))
    }

    fn cost(&mut self, database: String, sql: String) -> wasmtime::Result<Result<Option<Estimate>, Error>> {
        let cost = self.read(&database, |reader, deadline| reader.cost(&sql, &[], deadline));
        Ok(cost.map(|cost| cost.map(|cost| Estimate { rows: cost.rows, units: cost.units })))
    }

    fn execute(
        &mut self,
        database: String,
        sql: String,
        parameters: Vec<Value>,
    ) -> wasmtime::Result<Result<u64, Error>> {
        Ok(self.write(&database, sql, parameters))
    }
}

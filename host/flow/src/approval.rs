//! Approvals: what would be done, waiting for a person; durable, single use, expiring, bound to a digest.
//!
//! ```text
//! waiting --approve--> approved --take--> taken --finish--> done | failed
//!    |-----reject----> rejected              (a crash here: it stays taken, which is "in doubt": never done again)
//!    '---- time -----> expired
//! ```
//!
//! Invariants: one row of SQLite per approval, and each arrow is one conditional UPDATE, so that two who decide or two who
//! carry out cannot both succeed, in one process or in several; what is taken is never taken again; the digest covers
//! everything that will be done, and is checked again when it is taken; nobody approves what they asked for themselves.

use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row, params};
use serde::Serialize;
use serde_json::Value;
use sha2::{Digest, Sha256};

/// How long an approval waits, where nothing else is said.
pub const EXPIRY: Duration = Duration::from_secs(24 * 60 * 60);
/// The most that wait at the same time: a model that proposes in a circle must not fill a disk.
const MAX_WAITING: i64 = 1_000;
/// The longest arguments and effects together, in bytes of JSON.
const MAX_BYTES: usize = 1 << 20;
/// How long another process's lock is waited for.
const BUSY: Duration = Duration::from_secs(5);

/// What is asked of a person.
#[derive(Debug, Clone, PartialEq)]
pub struct Proposal {
    /// The tool's full name.
    pub tool: String,
    /// The version of the tool that was tried: the component's digest.
    pub version: String,
    /// Its arguments.
    pub arguments: Value,
    /// What will happen, as it is shown: for a database, each statement with its parameters and rows.
    pub effects: Value,
    /// Who asks: `model`, or a person's or program's name.
    pub requester: String,
}

impl Proposal {
    /// sha256 of all that will be done, in lower-case hex. Not of who asks: two who ask the same ask for the same.
    pub fn digest(&self) -> String {
        let all = serde_json::json!([
            self.tool,
            self.version,
            canonical(&self.arguments),
            canonical(&self.effects)
        ]);
        let hash = Sha256::digest(all.to_string());
        hash.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// The same value with the keys of its objects in order, so that a digest does not hang on it.
fn canonical(value: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            let mut sorted: Vec<(&String, &Value)> = fields.iter().collect();
            sorted.sort_by_key(|(key, _)| key.as_str());
            Value::Object(sorted.into_iter().map(|(key, value)| (key.clone(), canonical(value))).collect())
        }
        Value::Array(items) => Value::Array(items.iter().map(canonical).collect()),
        other => other.clone(),
    }
}

/// Where an approval stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// For a person.
    Waiting,
    /// To be carried out.
    Approved,
    /// By a person; their reason is in `note`.
    Rejected,
    /// Nobody decided in time.
    Expired,
    /// It is being carried out; after a crash, in doubt.
    Taken,
    /// Carried out.
    Done,
    /// It was tried and failed; `note` says why. Nothing was written.
    Failed,
}

impl State {
    const ALL: [(State, &'static str); 7] = [
        (State::Waiting, "waiting"),
        (State::Approved, "approved"),
        (State::Rejected, "rejected"),
        (State::Expired, "expired"),
        (State::Taken, "taken"),
        (State::Done, "done"),
        (State::Failed, "failed"),
    ];

    /// As it is stored and shown.
    pub fn name(self) -> &'static str {
        State::ALL.iter().find(|(state, _)| *state == self).map_or("", |(_, name)| name)
    }

    fn parse(name: &str) -> Option<State> {
        State::ALL.iter().find(|(_, known)| *known == name).map(|(state, _)| *state)
    }
}

/// One approval, with everything that is known of it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Approval {
    /// `a` and a number.
    pub id: String,
    /// Where it stands.
    pub state: State,
    /// The tool's full name.
    pub tool: String,
    /// The digest of the component that was tried.
    pub version: String,
    /// Its arguments.
    pub arguments: Value,
    /// What will happen.
    pub effects: Value,
    /// Of all that will be done.
    pub digest: String,
    /// Who asks.
    pub requester: String,
    /// When it was asked for.
    pub created: Timestamp,
    /// Until when it can be approved and carried out.
    pub expires: Timestamp,
    /// Who decided; empty while nobody has.
    pub decided_by: String,
    /// When.
    pub decided: Option<Timestamp>,
    /// The reason of a rejection, or why it failed.
    pub note: String,
    /// What it gave when it was carried out.
    pub result: Option<Value>,
}

/// What a person says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// Do it.
    Approve,
    /// Do not; with the reason, which the model is told.
    Reject(String),
}

/// Why something is not done.
#[derive(Debug, thiserror::Error)]
pub enum ApprovalError {
    /// There is none of this id.
    #[error("no approval `{0}`; `pawl approvals` lists those that wait")]
    Unknown(String),
    /// It is past that point.
    #[error("approval `{id}` is {state} and cannot be {wanted}", state = .state.name())]
    State {
        /// Which.
        id: String,
        /// Where it stands.
        state: State,
        /// What was to be done with it.
        wanted: &'static str,
    },
    /// Nobody approves what they asked for.
    #[error("approval `{id}` was asked for by {requester}; somebody else must decide")]
    Own {
        /// Which.
        id: String,
        /// Who asked.
        requester: String,
    },
    /// It is not what was approved.
    #[error("approval `{id}` is for digest {approved}, not {given}; ask again")]
    Digest {
        /// Which.
        id: String,
        /// What was approved.
        approved: String,
        /// What was to be done.
        given: String,
    },
    /// Too many wait already, or it is too large.
    #[error("{0}")]
    Limit(String),
    /// The store cannot be used.
    #[error("store of approvals: {0}")]
    Store(#[from] rusqlite::Error),
    /// A row of the store cannot be read.
    #[error("store of approvals: {0} cannot be read")]
    Row(String),
}

/// The store. One file, which several processes may have open.
pub struct Approvals {
    connection: Mutex<Connection>,
}

const COLUMNS: &str = "id, state, tool, version, arguments, effects, digest, requester, created, expires, decided_by, decided, note, result";

impl Approvals {
    /// Opens the store, and makes it where there is none.
    ///
    /// # Errors
    /// Where the file cannot be opened or is something else.
    pub fn open(file: &Path) -> Result<Approvals, ApprovalError> {
        let connection = Connection::open(file)?;
        connection.busy_timeout(BUSY)?;
        connection.pragma_update(None, "journal_mode", "wal")?;
        connection.pragma_update(None, "synchronous", "full")?;
        connection.execute_batch(
            "CREATE TABLE IF NOT EXISTS approvals (
               id INTEGER PRIMARY KEY AUTOINCREMENT,
               state TEXT NOT NULL,
               tool TEXT NOT NULL,
               version TEXT NOT NULL,
               arguments TEXT NOT NULL, -- JSON
               effects TEXT NOT NULL, -- JSON
               digest TEXT NOT NULL,
               requester TEXT NOT NULL,
               created TEXT NOT NULL, -- RFC 3339, UTC
               expires TEXT NOT NULL,
               decided_by TEXT NOT NULL DEFAULT '',
               decided TEXT,
               note TEXT NOT NULL DEFAULT '',
               result TEXT -- JSON
             ) STRICT",
        )?;
        Ok(Approvals { connection: Mutex::new(connection) })
    }

    /// Asks. The same proposal that waits already is not asked twice.
    ///
    /// # Errors
    /// Where too many wait, or it is too large.
    pub fn ask(
        &self,
        proposal: &Proposal,
        now: Timestamp,
        expiry: Duration,
    ) -> Result<Approval, ApprovalError> {
        let (arguments, effects) = (proposal.arguments.to_string(), proposal.effects.to_string());
        let bytes = arguments.len() + effects.len();
        if bytes > MAX_BYTES {
            return Err(ApprovalError::Limit(format!(
                "{bytes} bytes to approve; {MAX_BYTES} at most: do less at once"
            )));
        }
        let digest = proposal.digest();
        let connection = self.lock();
        expire(&connection, now)?;
        let known: Option<i64> = connection
            .query_row(
                "SELECT id FROM approvals WHERE state = 'waiting' AND digest = ?1 AND requester = ?2",
                params![digest, proposal.requester],
                |row| row.get(0),
            )
            .optional()?;
        if let Some(id) = known {
            return get(&connection, id);
        }
        let waiting: i64 =
            connection
                .query_row("SELECT count(*) FROM approvals WHERE state = 'waiting'", [], |row| row.get(0))?;
        if waiting >= MAX_WAITING {
            return Err(ApprovalError::Limit(format!(
                "{waiting} approvals wait already; decide some of them first"
            )));
        }
        let expires =
            now + jiff::SignedDuration::try_from(expiry).unwrap_or(jiff::SignedDuration::from_hours(24));
        connection.execute(
            "INSERT INTO approvals (state, tool, version, arguments, effects, digest, requester, created, expires)
             VALUES ('waiting', ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
            params![
                proposal.tool,
                proposal.version,
                arguments,
                effects,
                digest,
                proposal.requester,
                text(now),
                text(expires)
            ],
        )?;
        get(&connection, connection.last_insert_rowid())
    }

    /// Those that wait; with `all`, the others too, the latest first.
    ///
    /// # Errors
    /// Where the store cannot be read.
    pub fn list(&self, all: bool, now: Timestamp) -> Result<Vec<Approval>, ApprovalError> {
        let connection = self.lock();
        expire(&connection, now)?;
        let only = if all { "" } else { "WHERE state = 'waiting'" };
        let mut statement = connection
            .prepare(&format!("SELECT {COLUMNS} FROM approvals {only} ORDER BY id DESC LIMIT 1000"))?;
        let rows = statement.query_map([], |row| Ok(read(row)))?;
        rows.map(|row| row?).collect()
    }

    /// One of them.
    ///
    /// # Errors
    /// Where there is none of this id.
    pub fn get(&self, id: &str, now: Timestamp) -> Result<Approval, ApprovalError> {
        let connection = self.lock();
        expire(&connection, now)?;
        get(&connection, number(id)?)
    }

    /// A person decides.
    ///
    /// # Errors
    /// Where it does not wait any more, or `by` asked for it.
    pub fn decide(
        &self,
        id: &str,
        decision: &Decision,
        by: &str,
        now: Timestamp,
    ) -> Result<Approval, ApprovalError> {
        let connection = self.lock();
        expire(&connection, now)?;
        let number = number(id)?;
        let before = get(&connection, number)?;
        let (state, note, wanted) = match decision {
            Decision::Approve => (State::Approved, "", "approved"),
            Decision::Reject(reason) => (State::Rejected, reason.as_str(), "rejected"),
        };
        if *decision == Decision::Approve && before.requester == by {
            return Err(ApprovalError::Own { id: before.id, requester: before.requester });
        }
        let changed = connection.execute(
            "UPDATE approvals SET state = ?2, decided_by = ?3, decided = ?4, note = ?5 WHERE id = ?1 AND state = 'waiting'",
            params![number, state.name(), by, text(now), note],
        )?;
        let after = get(&connection, number)?;
        if changed == 1 {
            Ok(after)
        } else {
            Err(ApprovalError::State { id: after.id, state: after.state, wanted })
        }
    }

    /// Takes an approved one to carry it out, once. `digest` is of what is about to be done.
    ///
    /// # Errors
    /// Where it is not approved, was taken before, has expired or is for something else.
    pub fn take(&self, id: &str, digest: &str, now: Timestamp) -> Result<Approval, ApprovalError> {
        let connection = self.lock();
        expire(&connection, now)?;
        let number = number(id)?;
        let before = get(&connection, number)?;
        if before.digest != digest {
            return Err(ApprovalError::Digest {
                id: before.id,
                approved: before.digest,
                given: digest.to_owned(),
            });
        }
        let changed = connection.execute(
            "UPDATE approvals SET state = 'taken' WHERE id = ?1 AND state = 'approved' AND digest = ?2 AND expires > ?3",
            params![number, digest, text(now)],
        )?;
        let after = get(&connection, number)?;
        let wanted = "carried out";
        if changed == 1 {
            Ok(after)
        } else {
            Err(ApprovalError::State { id: after.id, state: after.state, wanted })
        }
    }

    /// Notes how carrying it out ended.
    ///
    /// # Errors
    /// Where it was not taken.
    pub fn finish(&self, id: &str, outcome: Result<&Value, &str>) -> Result<Approval, ApprovalError> {
        let connection = self.lock();
        let number = number(id)?;
        let (state, note, result) = match outcome {
            Ok(result) => (State::Done, "", Some(result.to_string())),
            Err(why) => (State::Failed, why, None),
        };
        let changed = connection.execute(
            "UPDATE approvals SET state = ?2, note = ?3, result = ?4 WHERE id = ?1 AND state = 'taken'",
            params![number, state.name(), note, result],
        )?;
        let after = get(&connection, number)?;
        let wanted = "finished";
        if changed == 1 {
            Ok(after)
        } else {
            Err(ApprovalError::State { id: after.id, state: after.state, wanted })
        }
    }

    fn lock(&self) -> MutexGuard<'_, Connection> {
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What nobody decided in time, and what was approved and not carried out in time.
fn expire(connection: &Connection, now: Timestamp) -> Result<(), ApprovalError> {
    connection.execute(
        "UPDATE approvals SET state = 'expired' WHERE state IN ('waiting', 'approved') AND expires <= ?1",
        [text(now)],
    )?;
    Ok(())
}

/// Of fixed width, so that texts compare as times do.
fn text(time: Timestamp) -> String {
    format!("{time:.6}")
}

fn number(id: &str) -> Result<i64, ApprovalError> {
    let number = id.strip_prefix('a').and_then(|number| number.parse().ok());
    number.ok_or_else(|| ApprovalError::Unknown(id.chars().take(40).collect()))
}

fn get(connection: &Connection, number: i64) -> Result<Approval, ApprovalError> {
    let sql = format!("SELECT {COLUMNS} FROM approvals WHERE id = ?1");
    let found = connection.query_row(&sql, [number], |row| Ok(read(row))).optional()?;
    found.ok_or_else(|| ApprovalError::Unknown(format!("a{number}")))?
}

fn read(row: &Row<'_>) -> Result<Approval, ApprovalError> {
    let number: i64 = row.get(0)?;
    let id = format!("a{number}");
    let odd = |what: &str| ApprovalError::Row(format!("{what} of a{number}"));
    let state = State::parse(&row.get::<_, String>(1)?).ok_or_else(|| odd("state"))?;
    let json = |column: usize, what: &str| -> Result<Value, ApprovalError> {
        serde_json::from_str(&row.get::<_, String>(column)?).map_err(|_| odd(what))
    };
    let time = |column: usize, what: &str| -> Result<Timestamp, ApprovalError> {
        row.get::<_, String>(column)?.parse().map_err(|_| odd(what))
    };
    let decided: Option<String> = row.get(11)?;
    let result: Option<String> = row.get(13)?;
    Ok(Approval {
        id,
        state,
        tool: row.get(2)?,
        version: row.get(3)?,
        arguments: json(4, "arguments")?,
        effects: json(5, "effects")?,
        digest: row.get(6)?,
        requester: row.get(7)?,
        created: time(8, "created")?,
        expires: time(9, "expires")?,
        decided_by: row.get(10)?,
        decided: decided.map(|time| time.parse().map_err(|_| odd("decided"))).transpose()?,
        note: row.get(12)?,
        result: result.map(|text| serde_json::from_str(&text).map_err(|_| odd("result"))).transpose()?,
    })
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a store that fails fails the test")]
mod tests;

//! The store of approvals: one row of SQLite each, and what was said of it.

use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row, params};
use serde_json::Value;

use super::{Approval, ApprovalError, Audited, Decision, MAX_BYTES, MAX_WAITING, Proposal, State};

/// How long another process's lock is waited for.
const BUSY: Duration = Duration::from_secs(5);

const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS store (id TEXT NOT NULL) STRICT;
    CREATE TABLE IF NOT EXISTS approvals (
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
        result TEXT, -- JSON
        origin TEXT,
        people INTEGER NOT NULL DEFAULT 1
    ) STRICT;
    CREATE TABLE IF NOT EXISTS audit (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        approval INTEGER NOT NULL,
        at TEXT NOT NULL,
        what TEXT NOT NULL,
        by TEXT NOT NULL,
        note TEXT NOT NULL
    ) STRICT;
";

/// The store. One file, which several processes may have open.
pub struct Approvals {
    connection: Mutex<Connection>,
    id: String,
}

const COLUMNS: &str = "id, state, tool, version, arguments, effects, digest, requester, created, expires, decided_by, decided, note, result, origin, people";

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
        connection.execute_batch(SCHEMA)?;
        // A store of the first version.
        let columns = "SELECT count(*) FROM pragma_table_info('approvals') WHERE name = 'origin'";
        if connection.query_row(columns, [], |row| row.get::<_, i64>(0))? == 0 {
            connection.execute_batch(
                "ALTER TABLE approvals ADD COLUMN origin TEXT;
                 ALTER TABLE approvals ADD COLUMN people INTEGER NOT NULL DEFAULT 1;",
            )?;
        }
        connection.execute_batch("CREATE UNIQUE INDEX IF NOT EXISTS origins ON approvals (origin)")?;
        let id = crate::store::identity(&connection)?;
        Ok(Approvals { connection: Mutex::new(connection), id })
    }

    /// The idempotency key under which an approval is carried out: the step's that asked, or one of its own.
    #[must_use]
    pub fn key(&self, approval: &Approval) -> String {
        approval.origin.clone().unwrap_or_else(|| format!("{}/{}", self.id, approval.id))
    }

    /// Asks. The same proposal that waits already is not asked twice, and a step of a run asks once, whatever became of it.
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
        let known: Option<i64> = match &proposal.origin {
            Some(origin) => connection
                .query_row("SELECT id FROM approvals WHERE origin = ?1", [origin], |row| row.get(0))
                .optional()?,
            None => connection
                .query_row(
                    "SELECT id FROM approvals WHERE state = 'waiting' AND digest = ?1 AND requester = ?2 AND origin IS NULL",
                    params![digest, proposal.requester],
                    |row| row.get(0),
                )
                .optional()?,
        };
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
            "INSERT INTO approvals (state, tool, version, arguments, effects, digest, requester, created, expires, origin, people)
             VALUES ('waiting', ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
            params![
                proposal.tool,
                proposal.version,
                arguments,
                effects,
                digest,
                proposal.requester,
                text(now),
                text(expires),
                proposal.origin,
                proposal.people
            ],
        )?;
        let id = connection.last_insert_rowid();
        audit(&connection, id, now, "asked", &proposal.requester, "")?;
        get(&connection, id)
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

    /// A person decides, of what they were shown: of this digest, where they say it.
    ///
    /// # Errors
    /// Where it does not wait any more, `by` asked for it or approved it before, or it is for another digest.
    pub fn decide(
        &self,
        id: &str,
        decision: &Decision,
        by: &str,
        shown: Option<&str>,
        now: Timestamp,
    ) -> Result<Approval, ApprovalError> {
        let connection = self.lock();
        expire(&connection, now)?;
        let number = number(id)?;
        let decided = decide(&connection, number, decision, by, shown, now);
        if let Err(refused) = &decided {
            audit(&connection, number, now, "refused", by, &refused.to_string())?;
        }
        decided
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
            audit(&connection, number, now, "taken", "", "")?;
            Ok(after)
        } else {
            Err(ApprovalError::State { id: after.id, state: after.state, wanted })
        }
    }

    /// Notes how carrying it out ended.
    ///
    /// # Errors
    /// Where it was not taken.
    pub fn finish(
        &self,
        id: &str,
        outcome: Result<&Value, &str>,
        now: Timestamp,
    ) -> Result<Approval, ApprovalError> {
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
            audit(&connection, number, now, state.name(), "", note)?;
            Ok(after)
        } else {
            Err(ApprovalError::State { id: after.id, state: after.state, wanted })
        }
    }

    /// Gives back what was taken and of which nothing was done, such as where a database could not be reached.
    ///
    /// # Errors
    /// Where it was not taken.
    pub fn release(&self, id: &str, why: &str, now: Timestamp) -> Result<Approval, ApprovalError> {
        let connection = self.lock();
        let number = number(id)?;
        let changed = connection
            .execute("UPDATE approvals SET state = 'approved' WHERE id = ?1 AND state = 'taken'", [number])?;
        let after = get(&connection, number)?;
        if changed == 1 {
            audit(&connection, number, now, "released", "", why)?;
            Ok(after)
        } else {
            Err(ApprovalError::State { id: after.id, state: after.state, wanted: "released" })
        }
    }

    /// Those that were approved and not carried out to their end: what a crash left.
    ///
    /// # Errors
    /// Where the store cannot be read.
    pub fn unfinished(&self, now: Timestamp) -> Result<Vec<Approval>, ApprovalError> {
        let connection = self.lock();
        expire(&connection, now)?;
        let sql = format!("SELECT {COLUMNS} FROM approvals WHERE state IN ('approved', 'taken') ORDER BY id");
        let mut statement = connection.prepare(&sql)?;
        let rows = statement.query_map([], |row| Ok(read(row)))?;
        rows.map(|row| row?).collect()
    }

    /// The steps of runs whose approvals were decided since, and until where that is: the number to give next time.
    ///
    /// # Errors
    /// Where the store cannot be read.
    pub fn news(&self, since: i64, now: Timestamp) -> Result<(Vec<String>, i64), ApprovalError> {
        let connection = self.lock();
        expire(&connection, now)?;
        let mut statement = connection.prepare_cached(
            "SELECT u.id, a.origin FROM audit u JOIN approvals a ON a.id = u.approval
             WHERE u.id > ?1 AND a.origin IS NOT NULL AND a.state IN ('approved', 'rejected', 'expired', 'done', 'failed')
             ORDER BY u.id",
        )?;
        let mut rows = statement.query([since])?;
        let (mut origins, mut last) = (Vec::new(), since);
        while let Some(row) = rows.next()? {
            last = row.get(0)?;
            origins.push(row.get(1)?);
        }
        origins.dedup();
        Ok((origins, last))
    }

    /// The number of the last that was said of any.
    ///
    /// # Errors
    /// Where the store cannot be read.
    pub fn last_said(&self) -> Result<i64, ApprovalError> {
        Ok(self.lock().query_row("SELECT coalesce(max(id), 0) FROM audit", [], |row| row.get(0))?)
    }

    /// What was said of one, in order.
    ///
    /// # Errors
    /// Where there is none of this id.
    pub fn audit(&self, id: &str) -> Result<Vec<Audited>, ApprovalError> {
        let connection = self.lock();
        let number = number(id)?;
        get(&connection, number)?;
        let mut statement =
            connection.prepare("SELECT at, what, by, note FROM audit WHERE approval = ?1 ORDER BY id")?;
        let rows = statement.query_map([number], |row| {
            let at: String = row.get(0)?;
            Ok((at, row.get(1)?, row.get(2)?, row.get(3)?))
        })?;
        let audited = |row: rusqlite::Result<(String, String, String, String)>| {
            let (at, what, by, note) = row?;
            let at = at.parse().map_err(|_| ApprovalError::Row(format!("audit of a{number}")))?;
            Ok(Audited { at, what, by, note })
        };
        rows.map(audited).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Connection> {
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn decide(
    connection: &Connection,
    number: i64,
    decision: &Decision,
    by: &str,
    shown: Option<&str>,
    now: Timestamp,
) -> Result<Approval, ApprovalError> {
    let before = get(connection, number)?;
    let (wanted, note) = match decision {
        Decision::Approve => ("approved", ""),
        Decision::Reject(reason) => ("rejected", reason.as_str()),
    };
    if let Some(shown) = shown.filter(|shown| *shown != before.digest) {
        return Err(ApprovalError::Digest {
            id: before.id,
            approved: before.digest,
            given: shown.chars().take(80).collect(),
        });
    }
    let (mut state, mut people) = (State::Rejected, by.to_owned());
    if *decision == Decision::Approve {
        if before.requester == by {
            return Err(ApprovalError::Own { id: before.id, requester: before.requester });
        }
        let earlier: Vec<&str> = before.decided_by.split(", ").filter(|name| !name.is_empty()).collect();
        if before.state == State::Waiting && earlier.contains(&by) {
            return Err(ApprovalError::Same { id: before.id, by: by.to_owned(), people: before.people });
        }
        let enough = earlier.len() + 1 >= before.people as usize;
        state = if enough { State::Approved } else { State::Waiting };
        people = earlier.into_iter().chain([by]).collect::<Vec<_>>().join(", ");
    }
    // Who decided before is in the condition too: two second people do not count as one.
    let changed = connection.execute(
        "UPDATE approvals SET state = ?2, decided_by = ?3, decided = ?4, note = ?5
         WHERE id = ?1 AND state = 'waiting' AND decided_by = ?6",
        params![number, state.name(), people, text(now), note, before.decided_by],
    )?;
    let after = get(connection, number)?;
    if changed == 1 {
        audit(connection, number, now, wanted, by, note)?;
        Ok(after)
    } else {
        Err(ApprovalError::State { id: after.id, state: after.state, wanted })
    }
}

/// What nobody decided in time, and what was approved and not carried out in time.
fn expire(connection: &Connection, now: Timestamp) -> Result<(), ApprovalError> {
    let now = text(now);
    let due = "state IN ('waiting', 'approved') AND expires <= ?1";
    // A statement that would write takes the lock of all writers, also where it finds nothing to write.
    let any = format!("SELECT EXISTS (SELECT 1 FROM approvals WHERE {due})");
    if !connection.query_row(&any, [&now], |row| row.get::<_, bool>(0))? {
        return Ok(());
    }
    connection.execute(
        &format!("INSERT INTO audit (approval, at, what, by, note) SELECT id, expires, 'expired', '', '' FROM approvals WHERE {due}"),
        [&now],
    )?;
    connection.execute(&format!("UPDATE approvals SET state = 'expired' WHERE {due}"), [&now])?;
    Ok(())
}

fn audit(
    connection: &Connection,
    number: i64,
    at: Timestamp,
    what: &str,
    by: &str,
    note: &str,
) -> Result<(), ApprovalError> {
    connection.execute(
        "INSERT INTO audit (approval, at, what, by, note) VALUES (?1, ?2, ?3, ?4, ?5)",
        params![number, text(at), what, by, note],
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
        origin: row.get(14)?,
        people: row.get(15)?,
        decided_by: row.get(10)?,
        decided: decided.map(|time| time.parse().map_err(|_| odd("decided"))).transpose()?,
        note: row.get(12)?,
        result: result.map(|text| serde_json::from_str(&text).map_err(|_| odd("result"))).transpose()?,
    })
}

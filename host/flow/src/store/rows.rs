//! Rows as values: what each statement means, in one place. All take a connection, so that several make one transaction.

use std::collections::{HashMap, HashSet};

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row, params};
use serde_json::Value;

use crate::journal::{Entry, Failure, Journal, RequestDigest, StepId};
use crate::request::Request;
use crate::run::{Document, Run, RunId, RunState, StepView};
use crate::script::Sources;

type Result<T> = rusqlite::Result<T>;

pub(crate) fn now() -> i64 {
    Timestamp::now().as_microsecond()
}

pub(crate) fn time(micros: i64) -> Timestamp {
    Timestamp::from_microsecond(micros).unwrap_or(Timestamp::UNIX_EPOCH)
}

pub(crate) fn json<T: serde::de::DeserializeOwned>(column: usize, text: &str) -> Result<T> {
    serde_json::from_str(text).map_err(|error| {
        rusqlite::Error::FromSqlConversionFailure(column, rusqlite::types::Type::Text, Box::new(error))
    })
}

pub(crate) fn text(value: &impl serde::Serialize) -> String {
    // What is written is made of JSON values, texts and numbers: it can always be.
    serde_json::to_string(value).unwrap_or_default()
}

/// A run that is to begin.
#[derive(Debug, Clone)]
pub(crate) struct NewRun {
    pub(crate) sources: Sources,
    pub(crate) digest: String,
    pub(crate) input: Value,
    pub(crate) requester: String,
    pub(crate) origin: Option<String>,
    pub(crate) document: Option<Document>,
    pub(crate) parent: Option<RunId>,
    pub(crate) owner: Option<String>,
}

/// Begins a run; the one of the same origin where there is one. Says whether it is new.
pub(crate) fn insert_run(connection: &Connection, new: &NewRun) -> Result<(RunId, bool)> {
    if let Some(origin) = &new.origin
        && let Some(known) = run_of_origin(connection, origin)?
    {
        return Ok((known, false));
    }
    connection
        .prepare_cached("INSERT OR IGNORE INTO scripts (digest, sources) VALUES (?1, ?2)")?
        .execute(params![new.digest, text(&new.sources)])?;
    connection
        .prepare_cached(
            "INSERT INTO runs (flow, script, input, requester, origin, parent, state, created, owner, document)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, 'running', ?7, ?8, ?9)",
        )?
        .execute(params![
            new.sources.flow(),
            new.digest,
            text(&new.input),
            new.requester,
            new.origin,
            new.parent.map(RunId::number),
            now(),
            new.owner,
            new.document.as_ref().map(text)
        ])?;
    Ok((RunId::new(connection.last_insert_rowid()), true))
}

pub(crate) fn run_of_origin(connection: &Connection, origin: &str) -> Result<Option<RunId>> {
    connection
        .prepare_cached(
            "SELECT id FROM runs WHERE origin = ?1 UNION ALL SELECT run FROM origins WHERE origin = ?1",
        )?
        .query_row([origin], |row| row.get(0).map(RunId::new))
        .optional()
}

pub(crate) fn seen(connection: &Connection, trigger: &str) -> Result<Option<Timestamp>> {
    connection
        .prepare_cached("SELECT seen FROM triggers WHERE name = ?1")?
        .query_row([trigger], |row| row.get(0).map(time))
        .optional()
}

pub(crate) fn set_seen(connection: &Connection, trigger: &str, at: Timestamp) -> Result<()> {
    connection
        .prepare_cached("INSERT OR REPLACE INTO triggers (name, seen) VALUES (?1, ?2)")?
        .execute(params![trigger, at.as_microsecond()])?;
    Ok(())
}

pub(crate) const RUN: &str = "SELECT id, flow, script, input, requester, origin, parent, state, outcome, created, ended, owner, cancelled, document FROM runs";

pub(crate) fn run(row: &Row<'_>) -> Result<Run> {
    let (outcome, document): (Option<String>, Option<String>) = (row.get(8)?, row.get(13)?);
    Ok(Run {
        id: RunId::new(row.get(0)?),
        flow: row.get(1)?,
        script: row.get(2)?,
        input: json(3, &row.get::<_, String>(3)?)?,
        requester: row.get(4)?,
        origin: row.get(5)?,
        document: document.map(|text| json(13, &text)).transpose()?,
        parent: row.get::<_, Option<i64>>(6)?.map(RunId::new),
        state: RunState::parse(&row.get::<_, String>(7)?),
        outcome: outcome.map(|text| json(8, &text)).transpose()?,
        created: time(row.get(9)?),
        ended: row.get::<_, Option<i64>>(10)?.map(time),
        owner: row.get(11)?,
        cancelled: row.get(12)?,
    })
}

pub(crate) fn get_run(connection: &Connection, id: RunId) -> Result<Option<Run>> {
    connection.prepare_cached(&format!("{RUN} WHERE id = ?1"))?.query_row([id.number()], run).optional()
}

pub(crate) fn sources(connection: &Connection, digest: &str) -> Result<Option<Sources>> {
    let found: Option<String> = connection
        .prepare_cached("SELECT sources FROM scripts WHERE digest = ?1")?
        .query_row([digest], |row| row.get(0))
        .optional()?;
    found.map(|text| json(0, &text)).transpose()
}

pub(crate) fn journal(connection: &Connection, id: RunId) -> Result<Journal> {
    let mut statement =
        connection.prepare_cached("SELECT step, digest, outcome FROM journal WHERE run = ?1")?;
    let mut rows = statement.query([id.number()])?;
    let mut journal = Journal::default();
    while let Some(row) = rows.next()? {
        let digest = RequestDigest::from_bytes(row.get(1)?);
        journal.record(
            StepId::parse(row.get(0)?),
            Entry { digest, outcome: json(2, row.get_ref(2)?.as_str()?)? },
        );
    }
    Ok(journal)
}

/// Steps that an earlier process began, with the attempt.
pub(crate) fn begun(connection: &Connection, id: RunId) -> Result<HashMap<StepId, u32>> {
    let mut statement = connection.prepare_cached("SELECT step, attempt FROM begun WHERE run = ?1")?;
    let rows = statement.query_map([id.number()], |row| Ok((StepId::parse(row.get(0)?), row.get(1)?)))?;
    rows.collect()
}

pub(crate) fn begin(connection: &Connection, id: RunId, step: &StepId, attempt: u32) -> Result<()> {
    connection
        .prepare_cached("INSERT OR REPLACE INTO begun (run, step, attempt) VALUES (?1, ?2, ?3)")?
        .execute(params![id.number(), step.as_str(), attempt])
        .map(drop)
}

pub(crate) fn unbegin(connection: &Connection, id: RunId, step: &StepId) -> Result<()> {
    connection
        .prepare_cached("DELETE FROM begun WHERE run = ?1 AND step = ?2")?
        .execute(params![id.number(), step.as_str()])
        .map(drop)
}

/// A step that has ended, as it is written down.
#[derive(Debug, Clone)]
pub(crate) struct Record {
    pub(crate) step: StepId,
    pub(crate) request: String,
    pub(crate) digest: RequestDigest,
    pub(crate) outcome: std::result::Result<Value, Failure>,
    pub(crate) began: i64,
    pub(crate) ended: i64,
    pub(crate) attempts: u32,
    pub(crate) detail: Option<Value>,
}

/// Writes an entry; what is there already stands. The step neither waits nor is in doubt any more.
pub(crate) fn record(connection: &Connection, id: RunId, record: &Record) -> Result<()> {
    connection
        .prepare_cached(
            "INSERT OR IGNORE INTO journal (run, step, request, digest, outcome, began, ended, attempts, detail)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
        )?
        .execute(params![
            id.number(),
            record.step.as_str(),
            record.request,
            record.digest.as_bytes(),
            text(&record.outcome),
            record.began,
            record.ended,
            record.attempts,
            record.detail.as_ref().map(Value::to_string)
        ])?;
    unbegin(connection, id, &record.step)?;
    connection
        .prepare_cached("DELETE FROM pending WHERE run = ?1 AND step = ?2")?
        .execute(params![id.number(), record.step.as_str()])
        .map(drop)
}

/// What a step waits for.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Pending {
    pub(crate) step: StepId,
    pub(crate) request: String,
    pub(crate) digest: RequestDigest,
    pub(crate) began: i64,
    /// A moment; beside another, the moment at which that one is given up.
    pub(crate) wake: Option<i64>,
    pub(crate) signal: Option<String>,
    pub(crate) approval: Option<String>,
    pub(crate) child: Option<RunId>,
    /// Why nobody knows whether it took effect.
    pub(crate) doubt: Option<String>,
}

impl Pending {
    pub(crate) fn request(&self) -> Result<Request> {
        json(0, &self.request)
    }
}

pub(crate) fn insert_pending(connection: &Connection, id: RunId, pending: &Pending) -> Result<()> {
    unbegin(connection, id, &pending.step)?;
    connection
        .prepare_cached(
            "INSERT OR IGNORE INTO pending (run, step, request, digest, began, wake, signal, approval, child, doubt)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
        )?
        .execute(params![
            id.number(),
            pending.step.as_str(),
            pending.request,
            pending.digest.as_bytes(),
            pending.began,
            pending.wake,
            pending.signal,
            pending.approval,
            pending.child.map(RunId::number),
            pending.doubt
        ])
        .map(drop)
}

pub(crate) fn pending(connection: &Connection, id: RunId) -> Result<Vec<Pending>> {
    let mut statement = connection.prepare_cached(
        "SELECT step, request, digest, began, wake, signal, approval, child, doubt FROM pending WHERE run = ?1",
    )?;
    let rows = statement.query_map([id.number()], |row| {
        Ok(Pending {
            step: StepId::parse(row.get(0)?),
            request: row.get(1)?,
            digest: RequestDigest::from_bytes(row.get(2)?),
            began: row.get(3)?,
            wake: row.get(4)?,
            signal: row.get(5)?,
            approval: row.get(6)?,
            child: row.get::<_, Option<i64>>(7)?.map(RunId::new),
            doubt: row.get(8)?,
        })
    })?;
    rows.collect()
}

pub(crate) fn set_state(connection: &Connection, id: RunId, state: RunState) -> Result<()> {
    connection
        .prepare_cached("UPDATE runs SET state = ?2 WHERE id = ?1 AND ended IS NULL")?
        .execute(params![id.number(), state.name()])
        .map(drop)
}

/// Ends a run. What its steps left open is gone with it.
pub(crate) fn end(
    connection: &Connection,
    id: RunId,
    state: RunState,
    outcome: &std::result::Result<Value, Failure>,
) -> Result<()> {
    connection
        .prepare_cached("UPDATE runs SET state = ?2, outcome = ?3, ended = ?4, owner = NULL WHERE id = ?1 AND ended IS NULL")?
        .execute(params![id.number(), state.name(), text(outcome), now()])?;
    for table in ["pending", "begun", "signals"] {
        connection.prepare_cached(&format!("DELETE FROM {table} WHERE run = ?1"))?.execute([id.number()])?;
    }
    Ok(())
}

/// Runs of this owner that wait for what has come.
pub(crate) fn awake(connection: &Connection, owner: &str, now: i64) -> Result<HashSet<RunId>> {
    let mut statement = connection.prepare_cached(
        "SELECT DISTINCT p.run FROM pending p JOIN runs r ON r.id = p.run
         WHERE r.owner = ?1 AND r.ended IS NULL AND (p.wake <= ?2
            OR p.signal IS NOT NULL AND EXISTS (SELECT 1 FROM signals s WHERE s.run = p.run AND s.name = p.signal)
            OR p.child IS NOT NULL AND EXISTS (SELECT 1 FROM runs c WHERE c.id = p.child AND c.ended IS NOT NULL))",
    )?;
    let rows = statement.query_map(params![owner, now], |row| row.get(0).map(RunId::new))?;
    rows.collect()
}

/// The first signal of a name, which is taken: the journal entry that holds it is written in the same transaction.
pub(crate) fn take_signal(connection: &Connection, id: RunId, name: &str) -> Result<Option<Value>> {
    let first: Option<(i64, String)> = connection
        .prepare_cached("SELECT id, payload FROM signals WHERE run = ?1 AND name = ?2 ORDER BY id LIMIT 1")?
        .query_row(params![id.number(), name], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let Some((signal, payload)) = first else { return Ok(None) };
    connection.prepare_cached("DELETE FROM signals WHERE id = ?1")?.execute([signal])?;
    json(0, &payload).map(Some)
}

/// The wish to stop a run has been told to its script.
pub(crate) fn set_cancelled(connection: &Connection, id: RunId) -> Result<()> {
    connection.prepare_cached("UPDATE runs SET cancelled = 2 WHERE id = ?1")?.execute([id.number()]).map(drop)
}

impl Record {
    /// As others see it.
    pub(crate) fn view(&self, request: Request) -> StepView {
        StepView {
            step: self.step.clone(),
            request,
            outcome: Some(self.outcome.clone()),
            began: time(self.began),
            ended: Some(time(self.ended)),
            attempts: self.attempts,
            detail: self.detail.clone(),
            waits_for: None,
            approval: None,
            child: None,
        }
    }
}

/// A step that is in doubt is to be tried again.
pub(crate) fn settle_doubt(connection: &Connection, id: RunId, step: &StepId) -> Result<()> {
    unbegin(connection, id, step)?;
    connection
        .prepare_cached("DELETE FROM pending WHERE run = ?1 AND step = ?2")?
        .execute(params![id.number(), step.as_str()])
        .map(drop)
}

/// Runs of this owner that a person wants stopped and whose script does not know yet.
pub(crate) fn to_be_stopped(connection: &Connection, owner: &str) -> Result<Vec<RunId>> {
    let mut statement = connection
        .prepare_cached("SELECT id FROM runs WHERE owner = ?1 AND ended IS NULL AND cancelled = 1")?;
    let rows = statement.query_map([owner], |row| row.get(0).map(RunId::new))?;
    rows.collect()
}

pub(crate) fn cancel_children(connection: &Connection, id: RunId) -> Result<()> {
    connection
        .prepare_cached(
            "UPDATE runs SET cancelled = 1 WHERE parent = ?1 AND ended IS NULL AND cancelled = 0",
        )?
        .execute([id.number()])
        .map(drop)
}

/// Who has runs that have not ended; none where nobody has one of them.
pub(crate) fn owners(connection: &Connection) -> Result<Vec<Option<String>>> {
    let mut statement = connection.prepare_cached("SELECT DISTINCT owner FROM runs WHERE ended IS NULL")?;
    let rows = statement.query_map([], |row| row.get(0))?;
    rows.collect()
}

/// Takes runs of these owners: all, or one with those below it.
pub(crate) fn adopt(
    connection: &Connection,
    own: &str,
    free: &[Option<String>],
    only: Option<RunId>,
) -> Result<Vec<RunId>> {
    let mut taken = Vec::new();
    let mut statement = connection.prepare_cached(
        "WITH RECURSIVE family (id) AS (
           SELECT id FROM runs WHERE id = ?3 OR ?3 IS NULL
           UNION SELECT r.id FROM runs r JOIN family f ON r.parent = f.id WHERE ?3 IS NOT NULL)
         UPDATE runs SET owner = ?1, state = 'running' WHERE ended IS NULL AND owner IS ?2 AND id IN (SELECT id FROM family) RETURNING id",
    )?;
    for owner in free {
        let rows = statement
            .query_map(params![own, owner, only.map(RunId::number)], |row| row.get(0).map(RunId::new))?;
        for id in rows {
            taken.push(id?);
        }
    }
    Ok(taken)
}

pub(crate) fn runs(connection: &Connection, open: bool, most: usize) -> Result<Vec<Run>> {
    let only = if open { "WHERE ended IS NULL" } else { "" };
    let mut statement = connection.prepare_cached(&format!("{RUN} {only} ORDER BY id DESC LIMIT ?1"))?;
    let rows = statement.query_map([most as i64], run)?;
    rows.collect()
}

/// Steps in the order in which they ended; after them, those that wait.
pub(crate) fn steps(connection: &Connection, id: RunId, from: usize, most: usize) -> Result<Vec<StepView>> {
    let mut statement = connection.prepare_cached(
        "SELECT step, request, outcome, began, ended, attempts, detail FROM journal WHERE run = ?1 ORDER BY seq LIMIT ?2 OFFSET ?3",
    )?;
    let ended = statement.query_map(params![id.number(), most as i64, from as i64], |row| {
        let detail: Option<String> = row.get(6)?;
        Ok(StepView {
            step: StepId::parse(row.get(0)?),
            request: json(1, row.get_ref(1)?.as_str()?)?,
            outcome: Some(json(2, row.get_ref(2)?.as_str()?)?),
            began: time(row.get(3)?),
            ended: Some(time(row.get(4)?)),
            attempts: row.get(5)?,
            detail: detail.map(|text| json(6, &text)).transpose()?,
            waits_for: None,
            approval: None,
            child: None,
        })
    })?;
    let mut steps: Vec<StepView> = ended.collect::<Result<_>>()?;
    if steps.len() < most {
        steps.extend(waiting(connection, id)?);
    }
    Ok(steps)
}

/// Steps that wait.
pub(crate) fn waiting(connection: &Connection, id: RunId) -> Result<Vec<StepView>> {
    pending(connection, id)?.iter().map(Pending::view).collect()
}

impl Pending {
    fn view(&self) -> Result<StepView> {
        let waits_for = match self {
            Pending { doubt: Some(doubt), .. } => format!("a person to say what became of it: {doubt}"),
            Pending { approval: Some(approval), .. } => format!("approval {approval}"),
            Pending { child: Some(child), .. } => format!("run {child}"),
            Pending { signal: Some(signal), wake: None, .. } => format!("signal {signal}"),
            Pending { signal: Some(signal), wake: Some(wake), .. } => {
                format!("signal {signal}, until {:.0}", time(*wake))
            }
            Pending { wake, .. } => format!("{:.0}", time(wake.unwrap_or_default())),
        };
        Ok(StepView {
            step: self.step.clone(),
            request: self.request()?,
            outcome: None,
            began: time(self.began),
            ended: None,
            attempts: 1,
            detail: None,
            waits_for: Some(waits_for),
            approval: self.approval.clone(),
            child: self.child,
        })
    }
}

//! Jobs and items as rows.

use jiff::{Timestamp, ToSpan};
use rusqlite::{Connection, OptionalExtension, Row, params};
use serde_json::{Value, json};

use super::rows::{self, NewRun, json as parsed, text, time};
use crate::batch::{Counts, Item, Job, JobId, JobState, NewItem, NewJob};
use crate::document::content;
use crate::journal::Failure;
use crate::run::{Document, RunId};
use crate::script::Sources;

type Result<T> = rusqlite::Result<T>;

/// Begins a job; the one of the same origin where there is one.
pub(crate) fn insert(connection: &Connection, new: &NewJob, digest: &str, owner: &str) -> Result<JobId> {
    if let Some(origin) = &new.origin {
        let known = connection
            .prepare_cached("SELECT id FROM jobs WHERE origin = ?1")?
            .query_row([origin], |row| row.get(0))
            .optional()?;
        if let Some(known) = known {
            return Ok(JobId::new(known));
        }
    }
    connection
        .prepare_cached("INSERT OR IGNORE INTO scripts (digest, sources) VALUES (?1, ?2)")?
        .execute(params![digest, text(&new.sources)])?;
    connection
        .prepare_cached(
            "INSERT INTO jobs (name, script, input, requester, origin, at_once, attempts, state, created, owner)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, 'running', ?8, ?9)",
        )?
        .execute(params![
            new.name,
            digest,
            text(&new.input),
            new.requester,
            new.origin,
            new.at_once,
            new.attempts,
            rows::now(),
            owner
        ])?;
    Ok(JobId::new(connection.last_insert_rowid()))
}

/// Adds items that are not there yet, and says how many those were. A job that was done goes on.
pub(crate) fn add(connection: &Connection, job: JobId, items: &[NewItem]) -> Result<usize> {
    let mut next: i64 = connection
        .prepare_cached("SELECT coalesce(max(n) + 1, 0) FROM items WHERE job = ?1")?
        .query_row([job.number()], |row| row.get(0))?;
    let mut insert = connection.prepare_cached(
        "INSERT OR IGNORE INTO items (job, n, name, input, state, document) VALUES (?1, ?2, ?3, ?4, 'queued', ?5)",
    )?;
    let mut added = 0;
    for item in items {
        let document = item.document.as_ref().map(text);
        if insert.execute(params![job.number(), next, item.name, item.input.to_string(), document])? == 1 {
            next += 1;
            added += 1;
        }
    }
    if added > 0 {
        go_on(connection, job)?;
    }
    Ok(added)
}

const JOB: &str =
    "SELECT id, name, script, input, requester, state, at_once, attempts, created, ended, owner FROM jobs";

fn job(row: &Row<'_>, items: impl FnOnce(JobId) -> Result<Counts>) -> Result<Job> {
    let id = JobId::new(row.get(0)?);
    Ok(Job {
        id,
        name: row.get(1)?,
        script: row.get(2)?,
        input: parsed(3, &row.get::<_, String>(3)?)?,
        requester: row.get(4)?,
        state: JobState::parse(&row.get::<_, String>(5)?),
        at_once: row.get(6)?,
        attempts: row.get(7)?,
        items: items(id)?,
        created: time(row.get(8)?),
        ended: row.get::<_, Option<i64>>(9)?.map(time),
        owner: row.get(10)?,
    })
}

pub(crate) fn get(connection: &Connection, id: JobId) -> Result<Option<Job>> {
    connection
        .prepare_cached(&format!("{JOB} WHERE id = ?1"))?
        .query_row([id.number()], |row| job(row, |id| counts(connection, id)))
        .optional()
}

/// A job without its counts, which take time where there are many items.
pub(crate) fn uncounted(connection: &Connection, id: JobId) -> Result<Option<Job>> {
    connection
        .prepare_cached(&format!("{JOB} WHERE id = ?1"))?
        .query_row([id.number()], |row| job(row, |_| Ok(Counts::default())))
        .optional()
}

pub(crate) fn all(connection: &Connection, most: usize) -> Result<Vec<Job>> {
    let mut statement = connection.prepare_cached(&format!("{JOB} ORDER BY id DESC LIMIT ?1"))?;
    let rows = statement.query_map([most as i64], |row| job(row, |id| counts(connection, id)))?;
    rows.collect()
}

fn counts(connection: &Connection, id: JobId) -> Result<Counts> {
    let mut statement =
        connection.prepare_cached("SELECT state, count(*) FROM items WHERE job = ?1 GROUP BY state")?;
    let mut rows = statement.query([id.number()])?;
    let mut counts = Counts::default();
    while let Some(row) = rows.next()? {
        let count = row.get::<_, i64>(1)?.unsigned_abs();
        match row.get_ref(0)?.as_str()? {
            "queued" => counts.queued = count,
            "running" => counts.running = count,
            "done" => counts.done = count,
            "failed" => counts.failed = count,
            _ => counts.same = count,
        }
    }
    Ok(counts)
}

/// Items by number, from one on; of one state, or of all.
pub(crate) fn items(
    connection: &Connection,
    job: JobId,
    state: Option<&str>,
    from: u64,
    most: usize,
) -> Result<Vec<Item>> {
    let mut statement = connection.prepare_cached(
        "SELECT i.n, i.name, i.state, i.attempts, i.run, s.name, coalesce(i.outcome, s.outcome), i.began, i.ended, i.document
         FROM items i LEFT JOIN items s ON s.job = i.job AND s.n = i.same_as
         WHERE i.job = ?1 AND i.n >= ?2 AND (?3 IS NULL OR i.state = ?3) ORDER BY i.n LIMIT ?4",
    )?;
    let rows = statement.query_map(params![job.number(), from as i64, state, most as i64], |row| {
        let outcome: Option<String> = row.get(6)?;
        Ok(Item {
            n: row.get::<_, i64>(0)?.unsigned_abs(),
            name: row.get(1)?,
            state: row.get(2)?,
            attempts: row.get(3)?,
            run: row.get::<_, Option<i64>>(4)?.map(RunId::new),
            same_as: row.get(5)?,
            outcome: outcome.map(|text| parsed(6, &text)).transpose()?,
            began: row.get::<_, Option<i64>>(7)?.map(time),
            ended: row.get::<_, Option<i64>>(8)?.map(time),
            document: row.get::<_, Option<String>>(9)?.map(|text| parsed(9, &text)).transpose()?,
        })
    })?;
    rows.collect()
}

/// Jobs of this owner that have something to do.
pub(crate) fn open(connection: &Connection, owner: &str) -> Result<Vec<JobId>> {
    let mut statement =
        connection.prepare_cached("SELECT id FROM jobs WHERE owner = ?1 AND ended IS NULL")?;
    let rows = statement.query_map([owner], |row| row.get(0).map(JobId::new))?;
    rows.collect()
}

/// Whether a run of a job has ended, or an item may begin: what [`advance`] would do something about.
pub(crate) fn is_due(connection: &Connection, job: JobId) -> Result<bool> {
    connection
        .prepare_cached(
            "SELECT EXISTS (SELECT 1 FROM items i JOIN runs r ON r.id = i.run
                    WHERE i.job = ?1 AND i.state = 'running' AND r.ended IS NOT NULL)
                 OR EXISTS (SELECT 1 FROM items WHERE job = ?1 AND state = 'queued')
                 AND (SELECT count(*) FROM items WHERE job = ?1 AND state = 'running')
                    < (SELECT at_once FROM jobs WHERE id = ?1 AND state = 'running')",
        )?
        .query_row([job.number()], |row| row.get(0))
}

/// An item that could begin now.
#[derive(Debug, Clone)]
pub(crate) struct Next {
    pub(crate) n: i64,
    input: Value,
    pub(crate) document: Option<Document>,
    /// The digest of its document.
    pub(crate) content: Option<String>,
}

/// Items that could begin now.
pub(crate) fn next(connection: &Connection, job: &Job) -> Result<Vec<Next>> {
    let mut statement = connection.prepare_cached(
        "SELECT n, input, document FROM items WHERE job = ?1 AND state = 'queued' ORDER BY n
         LIMIT max(0, ?2 - (SELECT count(*) FROM items i LEFT JOIN runs r ON r.id = i.run
                            WHERE i.job = ?1 AND i.state = 'running' AND r.ended IS NULL))",
    )?;
    let at_once = if job.state == JobState::Paused { 0 } else { job.at_once };
    let rows = statement.query_map(params![job.id.number(), at_once], |row| {
        Ok(Next {
            n: row.get(0)?,
            input: parsed(1, row.get_ref(1)?.as_str()?)?,
            document: row.get::<_, Option<String>>(2)?.map(|text| parsed(2, &text)).transpose()?,
            content: None,
        })
    })?;
    rows.collect()
}

/// What one look at a job changed.
#[derive(Debug, Default)]
pub(crate) struct Changed {
    /// Runs that were begun.
    pub(crate) begun: Vec<RunId>,
    /// Whether anything was.
    pub(crate) any: bool,
}

/// Ends items whose runs have ended, begins those given, and ends the job where none is left.
pub(crate) fn advance(
    connection: &Connection,
    job: &Job,
    sources: &Sources,
    begin: &[Next],
) -> Result<Changed> {
    let mut changed = Changed { any: end_items(connection, job)?, ..Changed::default() };
    for Next { n, input, document, content } in begin {
        changed.any = true;
        if let Some(content) = content
            && let Some(same) = same_content(connection, job.id, *n, content, input)?
        {
            connection
                .prepare_cached(
                    "UPDATE items SET state = 'same', same_as = ?3, ended = ?4 WHERE job = ?1 AND n = ?2",
                )?
                .execute(params![job.id.number(), n, same, rows::now()])?;
            continue;
        }
        let attempts: i64 = connection
            .prepare_cached(
                "UPDATE items SET attempts = attempts + 1, state = 'running', content = ?3, began = ?4
                 WHERE job = ?1 AND n = ?2 AND state = 'queued' RETURNING attempts",
            )?
            .query_row(params![job.id.number(), n, content, rows::now()], |row| row.get(0))
            .optional()?
            .unwrap_or_default();
        if attempts == 0 {
            continue;
        }
        let new = NewRun {
            sources: sources.clone(),
            digest: job.script.clone(),
            input: json!({"item": input, "job": job.input}),
            requester: job.requester.clone(),
            origin: Some(format!("job {}/{n}#{attempts}", job.id)),
            document: document.clone(),
            parent: None,
            owner: job.owner.clone(),
        };
        let (run, _) = rows::insert_run(connection, &new)?;
        connection
            .prepare_cached("UPDATE items SET run = ?3 WHERE job = ?1 AND n = ?2")?
            .execute(params![job.id.number(), n, run.number()])?;
        changed.begun.push(run);
    }
    connection
        .prepare_cached(
            "UPDATE jobs SET state = 'done', ended = ?2, owner = NULL WHERE id = ?1 AND ended IS NULL
             AND NOT EXISTS (SELECT 1 FROM items WHERE job = ?1 AND state IN ('queued', 'running'))",
        )?
        .execute(params![job.id.number(), rows::now()])?;
    Ok(changed)
}

fn end_items(connection: &Connection, job: &Job) -> Result<bool> {
    let mut statement = connection.prepare_cached(
        "SELECT i.n, i.attempts, r.outcome FROM items i JOIN runs r ON r.id = i.run
         WHERE i.job = ?1 AND i.state = 'running' AND r.ended IS NOT NULL",
    )?;
    let rows = statement.query_map([job.id.number()], |row| {
        Ok((row.get::<_, i64>(0)?, row.get::<_, u32>(1)?, row.get::<_, Option<String>>(2)?))
    })?;
    let ended: Vec<_> = rows.collect::<Result<_>>()?;
    for (n, attempts, outcome) in &ended {
        let outcome = outcome.as_deref().unwrap_or("null");
        let came: std::result::Result<Value, Failure> = parsed(2, outcome)?;
        let state = match came {
            Ok(_) => "done",
            Err(_) if *attempts < job.attempts => "queued",
            Err(_) => "failed",
        };
        let (kept, at) = if state == "queued" { (None, None) } else { (Some(outcome), Some(rows::now())) };
        connection
            .prepare_cached(
                "UPDATE items SET state = ?3, outcome = ?4, ended = ?5 WHERE job = ?1 AND n = ?2",
            )?
            .execute(params![job.id.number(), n, state, kept, at])?;
    }
    Ok(!ended.is_empty())
}

/// An earlier item with the same content that is to be done in the same way; under which name its document lies makes no difference.
fn same_content(
    connection: &Connection,
    job: JobId,
    n: i64,
    content: &str,
    input: &Value,
) -> Result<Option<i64>> {
    connection
        .prepare_cached(
            "SELECT n FROM items WHERE job = ?1 AND content = ?2 AND n <> ?3 AND state <> 'same'
             AND json_remove(input, '$.id') IS json_remove(?4, '$.id') LIMIT 1",
        )?
        .query_row(params![job.number(), content, n, input.to_string()], |row| row.get(0))
        .optional()
}

pub(crate) fn set_state(connection: &Connection, job: JobId, state: JobState) -> Result<bool> {
    let changed = connection
        .prepare_cached("UPDATE jobs SET state = ?2 WHERE id = ?1 AND ended IS NULL")?
        .execute(params![job.number(), state.name()])?;
    Ok(changed == 1)
}

/// Queues what failed once more.
pub(crate) fn retry(connection: &Connection, job: JobId) -> Result<usize> {
    let again = connection
        .prepare_cached("UPDATE items SET state = 'queued', outcome = NULL, ended = NULL, content = NULL WHERE job = ?1 AND state = 'failed'")?
        .execute([job.number()])?;
    if again > 0 {
        go_on(connection, job)?;
    }
    Ok(again)
}

/// An item that has ended, and its document as it was then.
pub(crate) struct Known {
    pub(crate) n: i64,
    pub(crate) name: String,
    document: Document,
    content: Option<String>,
    /// When it was looked at.
    at: Timestamp,
    /// Whether it is somewhere else than it was then.
    moved: bool,
}

impl Known {
    /// Whether the document is another now. One that is gone is what it was.
    pub(crate) fn changed(&self) -> bool {
        let Ok(metadata) = std::fs::symlink_metadata(&self.document.file) else { return false };
        let modified = metadata.modified().ok().and_then(|time| Timestamp::try_from(time).ok());
        // When it was put there: a file that is moved or unpacked keeps the time of its writing.
        #[cfg(unix)]
        let put = Timestamp::from_second(std::os::unix::fs::MetadataExt::ctime(&metadata)).ok();
        #[cfg(not(unix))]
        let put = None;
        // Clocks of file systems are coarse.
        let since = |time: Timestamp| time.saturating_add(2.seconds()).is_ok_and(|time| time >= self.at);
        (self.moved || modified.is_some_and(since) || put.is_some_and(since))
            && content(&self.document.file).is_ok_and(|now| Some(now) != self.content)
    }
}

/// The items that have ended and are about a document.
pub(crate) fn documents(connection: &Connection, job: JobId) -> Result<Vec<Known>> {
    let mut statement = connection.prepare_cached(
        "SELECT i.n, i.name, i.document, coalesce(s.content, i.content), coalesce(i.began, i.ended), i.moved
         FROM items i LEFT JOIN items s ON s.job = i.job AND s.n = i.same_as
         WHERE i.job = ?1 AND i.document IS NOT NULL AND i.ended IS NOT NULL",
    )?;
    let rows = statement.query_map([job.number()], |row| {
        Ok(Known {
            n: row.get(0)?,
            name: row.get(1)?,
            document: parsed(2, row.get_ref(2)?.as_str()?)?,
            content: row.get(3)?,
            at: time(row.get(4)?),
            moved: row.get(5)?,
        })
    })?;
    rows.collect()
}

/// Where the documents of items are now.
pub(crate) fn relocate(connection: &Connection, job: JobId, items: &[NewItem]) -> Result<()> {
    let mut update = connection.prepare_cached(
        "UPDATE items SET document = ?3, moved = 1 WHERE job = ?1 AND name = ?2 AND document IS NOT ?3",
    )?;
    for item in items {
        update.execute(params![job.number(), item.name, item.document.as_ref().map(text)])?;
    }
    Ok(())
}

pub(crate) fn set_at_once(connection: &Connection, job: JobId, at_once: u32) -> Result<()> {
    connection
        .prepare_cached("UPDATE jobs SET at_once = ?2 WHERE id = ?1")?
        .execute(params![job.number(), at_once])
        .map(drop)
}

/// Queues items once more, and those that are the same as they were.
pub(crate) fn renew(connection: &Connection, job: JobId, items: &[i64]) -> Result<()> {
    let mut again = connection.prepare_cached(
        "UPDATE items SET state = 'queued', outcome = NULL, ended = NULL, content = NULL, same_as = NULL, moved = 0
         WHERE job = ?1 AND (n = ?2 OR same_as = ?2)",
    )?;
    for n in items {
        again.execute(params![job.number(), n])?;
    }
    go_on(connection, job)
}

/// A job that was done has something to do again.
fn go_on(connection: &Connection, job: JobId) -> Result<()> {
    connection
        .prepare_cached("UPDATE jobs SET state = 'running', ended = NULL, redacted = NULL WHERE id = ?1 AND state = 'done'")?
        .execute([job.number()])
        .map(drop)
}

/// Who has jobs that have not ended.
pub(crate) fn owners(connection: &Connection) -> Result<Vec<Option<String>>> {
    let mut statement = connection.prepare_cached("SELECT DISTINCT owner FROM jobs WHERE ended IS NULL")?;
    let rows = statement.query_map([], |row| row.get(0))?;
    rows.collect()
}

/// Takes jobs of these owners, all or one, with the runs of their items.
pub(crate) fn adopt(
    connection: &Connection,
    own: &str,
    free: &[Option<String>],
    only: Option<JobId>,
) -> Result<()> {
    for owner in free {
        connection
            .prepare_cached(
                "UPDATE jobs SET owner = ?1 WHERE owner IS ?2 AND ended IS NULL AND (?3 IS NULL OR id = ?3)",
            )?
            .execute(params![own, owner, only.map(JobId::number)])?;
    }
    Ok(())
}

/// The runs of a job's items that have not ended.
pub(crate) fn open_runs(connection: &Connection, job: JobId) -> Result<Vec<RunId>> {
    let mut statement = connection.prepare_cached(
        "SELECT r.id FROM items i JOIN runs r ON r.id = i.run WHERE i.job = ?1 AND i.state = 'running' AND r.ended IS NULL",
    )?;
    let rows = statement.query_map([job.number()], |row| row.get(0).map(RunId::new))?;
    rows.collect()
}

/// The documents of all items.
pub(crate) fn all_documents(
    connection: &Connection,
) -> Result<std::collections::HashSet<std::path::PathBuf>> {
    let mut statement = connection.prepare_cached("SELECT document FROM items WHERE document IS NOT NULL")?;
    let rows = statement.query_map([], |row| Ok(parsed::<Document>(0, row.get_ref(0)?.as_str()?)?.file))?;
    rows.collect()
}

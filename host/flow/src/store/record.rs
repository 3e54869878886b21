//! What is no longer to be known: runs and jobs that ended long ago, and fields of those that have ended.
//!
//! Invariants: nothing of a run that can still be replayed is touched, nor of one whose outcome its parent or its job has not taken; no
//! transaction is long, so that others can write between.

use std::path::PathBuf;

use rusqlite::{Connection, OptionalExtension, params};
use serde_json::Value;

use super::rows::{json, text};
use crate::run::Document;

type Result<T> = rusqlite::Result<T>;

/// Runs or items of one transaction.
const SOME: i64 = 200;
/// What stands for a value that is not to be known.
pub(crate) const REDACTED: &str = "[redacted]";
/// What of a step's request may hold anything; the rest says what kind of step it is.
const VALUES: [&str; 8] = ["arguments", "slots", "what", "value", "input", "prompt", "text", "words"];

/// What was deleted.
#[derive(Debug, Default)]
pub struct Pruned {
    /// Runs.
    pub runs: usize,
    /// Jobs.
    pub jobs: usize,
    /// The documents that the deleted jobs were about.
    pub documents: Vec<PathBuf>,
}

/// Deletes some of what ended before. None once there is no more.
pub(crate) fn prune(connection: &Connection, before: i64) -> Result<Option<Pruned>> {
    connection.pragma_update(None, "secure_delete", "on")?;
    let mut pruned = Pruned::default();
    let job = connection
        .prepare_cached("SELECT id FROM jobs WHERE ended < ?1 LIMIT 1")?
        .query_row([before], |row| row.get::<_, i64>(0))
        .optional()?;
    let more = if let Some(job) = job {
        some_of_job(connection, job, &mut pruned)?;
        true
    } else {
        let runs = ids(
            connection,
            "SELECT id FROM runs r WHERE ended < ?1
             AND NOT EXISTS (SELECT 1 FROM runs p WHERE p.id = r.parent)
             AND (origin IS NULL OR origin NOT GLOB 'job j*') LIMIT ?2",
            params![before, SOME],
        )?;
        runs.iter().try_for_each(|run| delete(connection, *run))?;
        pruned.runs = runs.len();
        if runs.is_empty() {
            connection.execute(
                "DELETE FROM scripts WHERE digest NOT IN (SELECT script FROM runs) AND digest NOT IN (SELECT script FROM jobs)",
                [],
            )?;
        }
        !runs.is_empty()
    };
    connection.pragma_update(None, "secure_delete", "off")?;
    Ok(more.then_some(pruned))
}

/// Deletes some of a job's runs, then of its items, then the job.
fn some_of_job(connection: &Connection, job: i64, pruned: &mut Pruned) -> Result<()> {
    // `0` is the character after `/`.
    let runs = ids(
        connection,
        "SELECT id FROM runs WHERE origin >= 'job j' || ?1 || '/' AND origin < 'job j' || ?1 || '0' LIMIT ?2",
        params![job, SOME],
    )?;
    if !runs.is_empty() {
        pruned.runs = runs.len();
        return runs.iter().try_for_each(|run| delete(connection, *run));
    }
    let mut items = connection.prepare_cached("SELECT n, document FROM items WHERE job = ?1 LIMIT ?2")?;
    let items: Vec<(i64, Option<String>)> =
        items.query_map(params![job, SOME], |row| Ok((row.get(0)?, row.get(1)?)))?.collect::<Result<_>>()?;
    for (n, document) in &items {
        if let Some(document) = document {
            pruned.documents.push(json::<Document>(1, document)?.file);
        }
        connection.prepare_cached("DELETE FROM items WHERE job = ?1 AND n = ?2")?.execute(params![job, n])?;
    }
    if items.is_empty() {
        connection.execute(
            "INSERT OR IGNORE INTO origins (origin, run) SELECT 'begins ' || origin, id FROM jobs WHERE id = ?1 AND origin IS NOT NULL",
            [job],
        )?;
        connection.execute("DELETE FROM jobs WHERE id = ?1", [job])?;
        pruned.jobs = 1;
    }
    Ok(())
}

/// The number of the deleted job that something began.
pub(crate) fn deleted_job(connection: &Connection, origin: &str) -> Result<Option<i64>> {
    connection
        .prepare_cached("SELECT run FROM origins WHERE origin = 'begins ' || ?1")?
        .query_row([origin], |row| row.get(0))
        .optional()
}

fn ids(connection: &Connection, sql: &str, arguments: impl rusqlite::Params) -> Result<Vec<i64>> {
    let mut statement = connection.prepare_cached(sql)?;
    let rows = statement.query_map(arguments, |row| row.get(0))?;
    rows.collect()
}

fn delete(connection: &Connection, run: i64) -> Result<()> {
    // What began it must not begin it again.
    connection.execute(
        "INSERT OR IGNORE INTO origins (origin, run)
         SELECT origin, id FROM runs WHERE id = ?1 AND parent IS NULL AND origin NOT GLOB 'job j*'",
        [run],
    )?;
    for table in ["journal", "begun", "pending", "signals"] {
        connection.prepare_cached(&format!("DELETE FROM {table} WHERE run = ?1"))?.execute([run])?;
    }
    connection.prepare_cached("DELETE FROM runs WHERE id = ?1")?.execute([run]).map(drop)
}

/// Where a redaction has come to.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Redacting {
    /// Runs up to this one were looked at.
    run: i64,
    /// The job that is being looked at, and its items up to this one.
    job: Option<(i64, i64)>,
    /// Runs and jobs that were looked through.
    pub(crate) done: usize,
}

/// Replaces the values of fields in some of what has ended. None once all is done.
pub(crate) fn redact(
    connection: &Connection,
    fields: &[String],
    mut at: Redacting,
) -> Result<Option<Redacting>> {
    let mark = text(&fields);
    connection.pragma_update(None, "secure_delete", "on")?;
    let runs = ids(
        connection,
        "SELECT id FROM runs r WHERE id > ?1 AND ended IS NOT NULL AND redacted IS NOT ?2
         AND NOT EXISTS (SELECT 1 FROM runs p WHERE p.id = r.parent AND p.ended IS NULL)
         AND NOT EXISTS (SELECT 1 FROM jobs j WHERE j.ended IS NULL AND r.origin GLOB 'job j' || j.id || '/*')
         ORDER BY id LIMIT ?3",
        params![at.run, mark, SOME],
    )?;
    for run in &runs {
        let any = |value: &mut Value| redacted(value, fields);
        replace(connection, "runs", &["input", "outcome"], ("id = ?1 AND ?2 >= 0", "id"), (*run, 0), &any)?;
        replace(
            connection,
            "journal",
            &["outcome", "detail"],
            ("run = ?1 AND ?2 >= 0", "seq"),
            (*run, 0),
            &any,
        )?;
        let request = |value: &mut Value| redacted_request(value, fields);
        replace(connection, "journal", &["request"], ("run = ?1 AND ?2 >= 0", "seq"), (*run, 0), &request)?;
        connection.execute("UPDATE runs SET redacted = ?2 WHERE id = ?1", params![run, mark])?;
        at.run = *run;
        at.done += 1;
    }
    let more = !runs.is_empty() || some_items(connection, fields, &mark, &mut at)?;
    connection.pragma_update(None, "secure_delete", "off")?;
    Ok(more.then_some(at))
}

/// Some items of a job that has ended, then the job itself. Says whether there was one.
fn some_items(connection: &Connection, fields: &[String], mark: &str, at: &mut Redacting) -> Result<bool> {
    let any = |value: &mut Value| redacted(value, fields);
    let (job, from) = match at.job {
        Some(job) => job,
        None => {
            // A job whose inputs were redacted is marked so, for it cannot go on.
            let due = "SELECT id FROM jobs WHERE ended IS NOT NULL AND redacted IS NOT ?1 AND redacted IS NOT 'closed ' || ?1 LIMIT 1";
            let Some(job) = ids(connection, due, [mark])?.into_iter().next() else { return Ok(false) };
            if replace(connection, "jobs", &["input"], ("id = ?1 AND ?2 <= 0", "id"), (job, 0), &any)? {
                close(connection, job)?;
            }
            (job, -1)
        }
    };
    let numbers = ids(
        connection,
        "SELECT n FROM items WHERE job = ?1 AND n > ?2 ORDER BY n LIMIT ?3",
        params![job, from, SOME],
    )?;
    for n in &numbers {
        if replace(connection, "items", &["input"], ("job = ?1 AND n = ?2", "n"), (job, *n), &any)? {
            close(connection, job)?;
        }
        replace(connection, "items", &["outcome"], ("job = ?1 AND n = ?2", "n"), (job, *n), &any)?;
    }
    at.job = numbers.last().map(|last| (job, *last));
    if at.job.is_none() {
        let done =
            "UPDATE jobs SET redacted = iif(redacted GLOB 'closed*', 'closed ', '') || ?2 WHERE id = ?1";
        connection.execute(done, params![job, mark])?;
        at.done += 1;
    }
    Ok(true)
}

fn close(connection: &Connection, job: i64) -> Result<()> {
    connection.execute("UPDATE jobs SET redacted = 'closed' WHERE id = ?1", [job]).map(drop)
}

/// Whether what a job was given is not known any more, so that it cannot go on.
pub(crate) fn is_closed(connection: &Connection, job: i64) -> Result<bool> {
    connection
        .prepare_cached("SELECT coalesce(redacted GLOB 'closed*', 0) FROM jobs WHERE id = ?1")?
        .query_row([job], |row| row.get(0))
        .optional()
        .map(Option::unwrap_or_default)
}

/// Changes JSON columns of the rows that a condition with two arguments chooses; says whether there was anything to change.
fn replace(
    connection: &Connection,
    table: &str,
    columns: &[&str],
    (which, key): (&str, &str),
    arguments: (i64, i64),
    change: &dyn Fn(&mut Value) -> bool,
) -> Result<bool> {
    let read = format!("SELECT {key}, {} FROM {table} WHERE {which}", columns.join(", "));
    let mut statement = connection.prepare_cached(&read)?;
    let mut rows = statement.query(params![arguments.0, arguments.1])?;
    let mut changed: Vec<(usize, i64, String)> = Vec::new();
    while let Some(row) = rows.next()? {
        for (at, _) in columns.iter().enumerate() {
            let Some(old) = row.get::<_, Option<String>>(at + 1)? else { continue };
            let mut value: Value = json(at + 1, &old)?;
            if change(&mut value) {
                changed.push((at, row.get(0)?, value.to_string()));
            }
        }
    }
    for (at, row, new) in &changed {
        let write = format!("UPDATE {table} SET {} = ?3 WHERE {which} AND {key} = ?4", columns[*at]);
        connection.prepare_cached(&write)?.execute(params![arguments.0, arguments.1, new, row])?;
    }
    Ok(!changed.is_empty())
}

/// The same for a step's request, of which only some fields may hold anything.
fn redacted_request(request: &mut Value, fields: &[String]) -> bool {
    let Some(request) = request.as_object_mut() else { return false };
    let mut any = false;
    for (name, value) in request.iter_mut().filter(|(name, _)| VALUES.contains(&name.as_str())) {
        if fields.iter().any(|field| field == name) {
            any |= *value != REDACTED;
            *value = Value::String(REDACTED.to_owned());
        } else {
            any |= redacted(value, fields);
        }
    }
    any
}

/// Replaces the values of fields, however deep; says whether there were any.
pub fn redacted(value: &mut Value, fields: &[String]) -> bool {
    match value {
        Value::Object(map) => {
            let mut any = false;
            for (name, value) in map {
                if fields.iter().any(|field| field == name) {
                    any |= *value != REDACTED;
                    *value = Value::String(REDACTED.to_owned());
                } else {
                    any |= redacted(value, fields);
                }
            }
            any
        }
        Value::Array(items) => items.iter_mut().fold(false, |any, item| redacted(item, fields) | any),
        // What a tool or the model gave as a text may be JSON too.
        Value::String(text) if text.starts_with(['{', '[']) => {
            let Ok(mut inner) = serde_json::from_str::<Value>(text) else { return false };
            let any = redacted(&mut inner, fields);
            if any {
                *text = inner.to_string();
            }
            any
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn fields_are_replaced_however_deep_and_in_json_within_texts() {
        let fields = ["email".to_owned(), "name".to_owned()];
        let mut value = json!({"email": "a@example.com", "list": [{"name": {"first": "Ada"}, "age": 3}], "said": "{\"email\":\"b\"}", "note": "email"});
        assert!(redacted(&mut value, &fields));
        let expected = json!({"email": REDACTED, "list": [{"name": REDACTED, "age": 3}], "said": "{\"email\":\"[redacted]\"}", "note": "email"});
        assert_eq!(value, expected);
        assert!(!redacted(&mut value, &fields));
    }

    #[test]
    fn a_step_stays_one_that_can_be_read() {
        let fields = ["people".to_owned(), "prompt".to_owned(), "timeout".to_owned()];
        let mut request =
            json!({"do": "approve", "what": {"people": ["Ada"]}, "consent": {"people": 2, "expires": 60.0}});
        assert!(redacted_request(&mut request, &fields));
        assert_eq!(
            request,
            json!({"do": "approve", "what": {"people": REDACTED}, "consent": {"people": 2, "expires": 60.0}})
        );
        let mut request = json!({"do": "ask", "prompt": "who?", "schema": null});
        assert!(redacted_request(&mut request, &fields));
        assert!(serde_json::from_value::<crate::Request>(request).is_ok());
    }
}

//! What is no longer to be known: runs and jobs that ended long ago, and fields of those that have ended.
//!
//! Invariant: nothing of a run that can still be replayed is touched: neither it nor, while its parent is open, its children.

use std::path::PathBuf;

use rusqlite::{Connection, params};
use serde_json::Value;

use super::rows::{json, text};
use crate::run::Document;

type Result<T> = rusqlite::Result<T>;

/// What stands for a value that is not to be known.
pub(crate) const REDACTED: &str = "[redacted]";

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

/// Deletes some of what ended before; nothing once there is no more.
pub(crate) fn prune(connection: &Connection, before: i64) -> Result<Pruned> {
    connection.pragma_update(None, "secure_delete", "on")?;
    let mut pruned = Pruned::default();
    let job: Option<i64> = first(connection, "SELECT id FROM jobs WHERE ended < ?1 LIMIT 1", before)?;
    if let Some(job) = job {
        let mut documents = connection
            .prepare_cached("SELECT document FROM items WHERE job = ?1 AND document IS NOT NULL")?;
        for document in documents.query_map([job], |row| row.get::<_, String>(0))? {
            pruned.documents.push(json::<Document>(0, &document?)?.file);
        }
        // Every attempt of every item.
        let runs = ids(connection, "SELECT id FROM runs WHERE origin GLOB 'job j' || ?1 || '/*'", job)?;
        runs.iter().try_for_each(|run| delete(connection, *run))?;
        connection.execute("DELETE FROM items WHERE job = ?1", [job])?;
        connection.execute("DELETE FROM jobs WHERE id = ?1", [job])?;
        (pruned.jobs, pruned.runs) = (1, runs.len());
    } else {
        let old = "SELECT id FROM runs r WHERE ended < ?1
             AND NOT EXISTS (SELECT 1 FROM runs p WHERE p.id = r.parent)
             AND (origin IS NULL OR origin NOT GLOB 'job j*') LIMIT 200";
        let runs = ids(connection, old, before)?;
        runs.iter().try_for_each(|run| delete(connection, *run))?;
        pruned.runs = runs.len();
    }
    connection.execute(
        "DELETE FROM scripts WHERE digest NOT IN (SELECT script FROM runs) AND digest NOT IN (SELECT script FROM jobs)",
        [],
    )?;
    connection.pragma_update(None, "secure_delete", "off")?;
    Ok(pruned)
}

fn first(connection: &Connection, sql: &str, argument: i64) -> Result<Option<i64>> {
    Ok(ids(connection, sql, argument)?.into_iter().next())
}

fn ids(connection: &Connection, sql: &str, argument: i64) -> Result<Vec<i64>> {
    let mut statement = connection.prepare_cached(sql)?;
    let rows = statement.query_map([argument], |row| row.get(0))?;
    rows.collect()
}

fn delete(connection: &Connection, run: i64) -> Result<()> {
    // What began it must not begin it again.
    connection.execute(
        "INSERT OR IGNORE INTO origins (origin, run) SELECT origin, id FROM runs WHERE id = ?1 AND parent IS NULL AND origin NOT GLOB 'job j*'",
        [run],
    )?;
    for table in ["journal", "begun", "pending", "signals"] {
        connection.prepare_cached(&format!("DELETE FROM {table} WHERE run = ?1"))?.execute([run])?;
    }
    connection.prepare_cached("DELETE FROM runs WHERE id = ?1")?.execute([run]).map(drop)
}

/// Replaces the values of fields in some of what has ended. Says how many runs and jobs that were; none once all are done.
pub(crate) fn redact(connection: &Connection, fields: &[String]) -> Result<usize> {
    let mark = text(&fields);
    // Some, so that others can write between.
    let due = "SELECT id FROM runs r WHERE ended IS NOT NULL AND redacted IS NOT ?1
         AND NOT EXISTS (SELECT 1 FROM runs p WHERE p.id = r.parent AND p.ended IS NULL) LIMIT 200";
    connection.pragma_update(None, "secure_delete", "on")?;
    let mut statement = connection.prepare_cached(due)?;
    let runs: Vec<i64> = statement.query_map([&mark], |row| row.get(0))?.collect::<Result<_>>()?;
    for run in &runs {
        replace(connection, fields, "runs", &["input", "outcome"], "id = ?1", *run)?;
        replace(connection, fields, "journal", &["request", "outcome", "detail"], "run = ?1", *run)?;
        connection.execute("UPDATE runs SET redacted = ?2 WHERE id = ?1", params![run, mark])?;
    }
    let mut statement = connection
        .prepare_cached("SELECT id FROM jobs WHERE ended IS NOT NULL AND redacted IS NOT ?1 LIMIT 1")?;
    let jobs: Vec<i64> = statement.query_map([&mark], |row| row.get(0))?.collect::<Result<_>>()?;
    for job in &jobs {
        replace(connection, fields, "jobs", &["input"], "id = ?1", *job)?;
        replace(connection, fields, "items", &["input", "outcome"], "job = ?1", *job)?;
        connection.execute("UPDATE jobs SET redacted = ?2 WHERE id = ?1", params![job, mark])?;
    }
    connection.pragma_update(None, "secure_delete", "off")?;
    Ok(runs.len() + jobs.len())
}

/// Replaces the fields in JSON columns of the rows that a condition with one argument chooses.
fn replace(
    connection: &Connection,
    fields: &[String],
    table: &str,
    columns: &[&str],
    which: &str,
    argument: i64,
) -> Result<()> {
    // Which row: a table without rowid has its key.
    let key = if table == "items" { "n" } else { "rowid" };
    let read = format!("SELECT {key}, {} FROM {table} WHERE {which}", columns.join(", "));
    let mut statement = connection.prepare_cached(&read)?;
    let mut rows = statement.query([argument])?;
    let mut changed: Vec<(usize, i64, String)> = Vec::new();
    while let Some(row) = rows.next()? {
        for (at, _) in columns.iter().enumerate() {
            let Some(old) = row.get::<_, Option<String>>(at + 1)? else { continue };
            let mut value: Value = json(at + 1, &old)?;
            if redacted(&mut value, fields) {
                changed.push((at, row.get(0)?, value.to_string()));
            }
        }
    }
    for (at, row, new) in changed {
        let write = format!("UPDATE {table} SET {} = ?2 WHERE {which} AND {key} = ?3", columns[at]);
        connection.prepare_cached(&write)?.execute(params![argument, new, row])?;
    }
    Ok(())
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
}

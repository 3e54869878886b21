//! What people did by conversation: each turn with its calls, to be looked through by people and by scripts.
//!
//! Invariant: what is remembered is found by its words, also in languages that put no space between them; a query is words, never a
//! language of its own.

use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row, params};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::store::StoreError;
use crate::store::rows;

/// Turns of one answer.
pub const MAX_RECALLED: usize = 1_000;
/// Characters of the shortest word that the index has.
const SHORTEST: usize = 3;
/// Words of a query that are looked for.
const MAX_WORDS: usize = 32;

const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS turns (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        at INTEGER NOT NULL,
        turn TEXT NOT NULL
    ) STRICT;
    CREATE INDEX IF NOT EXISTS turns_at ON turns (at);
    CREATE VIRTUAL TABLE IF NOT EXISTS words USING fts5 (text, tokenize = 'trigram');
";

/// One turn of a conversation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Turn {
    /// When it ended.
    pub at: Timestamp,
    /// What was asked.
    pub request: String,
    /// What was answered.
    pub answer: String,
    /// What was called: tool, arguments, result or error, seconds.
    pub calls: Vec<Value>,
    /// The approval that it ended with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval: Option<String>,
    /// Whose words these are.
    pub model: String,
    /// Tokens of all prompts.
    pub prompt_tokens: u64,
    /// Tokens that the model wrote.
    pub completion_tokens: u64,
    /// From the request to the end.
    pub seconds: f64,
}

/// The turns of one file. Every method blocks.
pub struct Memory {
    connection: Mutex<Connection>,
}

impl Memory {
    /// Opens the file, and makes it where there is none.
    ///
    /// # Errors
    /// Where it cannot be used.
    pub fn open(file: &Path) -> Result<Memory, StoreError> {
        let fail = |error| StoreError::File { file: file.to_path_buf(), error };
        let connection = Connection::open(file).map_err(fail)?;
        connection.busy_timeout(Duration::from_secs(5)).map_err(fail)?;
        connection.pragma_update(None, "journal_mode", "wal").map_err(fail)?;
        // What is deleted is not to be found in the file.
        connection.pragma_update(None, "secure_delete", "on").map_err(fail)?;
        connection.execute_batch(SCHEMA).map_err(fail)?;
        // The same for the index.
        let told = "SELECT 1 FROM words_config WHERE k = 'secure-delete' AND v = 1";
        if connection.query_row(told, [], |_| Ok(())).optional().map_err(fail)?.is_none() {
            let tell = "INSERT INTO words (words, rank) VALUES ('secure-delete', 1)";
            connection.execute(tell, []).map_err(fail)?;
        }
        Ok(Memory { connection: Mutex::new(connection) })
    }

    /// Keeps a turn.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn remember(&self, turn: &Turn) -> Result<(), StoreError> {
        let mut connection = self.connection();
        let transaction = connection.transaction()?;
        transaction.execute(
            "INSERT INTO turns (at, turn) VALUES (?1, ?2)",
            params![turn.at.as_microsecond(), rows::text(turn)],
        )?;
        let calls: Vec<String> = turn.calls.iter().map(Value::to_string).collect();
        let text = format!("{}\n{}\n{}", turn.request, turn.answer, calls.join("\n"));
        let id = transaction.last_insert_rowid();
        transaction.execute("INSERT INTO words (rowid, text) VALUES (?1, ?2)", params![id, text])?;
        Ok(transaction.commit()?)
    }

    /// The turns that have most to do with these words; without any, the latest.
    ///
    /// # Errors
    /// Where they cannot be read.
    pub fn recall(&self, query: &str, most: usize) -> Result<Vec<Turn>, StoreError> {
        let words: Vec<&str> = query
            .split(|c: char| !c.is_alphanumeric())
            .filter(|word| !word.is_empty())
            .take(MAX_WORDS)
            .collect();
        let most = i64::try_from(most.min(MAX_RECALLED)).unwrap_or(i64::MAX);
        let long: Vec<String> = words
            .iter()
            .filter(|word| word.chars().count() >= SHORTEST)
            .map(|word| format!("\"{word}\""))
            .collect();
        let connection = self.connection();
        let (sql, argument) = if words.is_empty() {
            ("SELECT turn FROM turns WHERE ?1 = '' ORDER BY id DESC LIMIT ?2", String::new())
        } else if long.is_empty() {
            let any = "SELECT t.turn FROM words w JOIN turns t ON t.id = w.rowid WHERE instr(lower(w.text), lower(?1)) > 0 ORDER BY t.id DESC LIMIT ?2";
            (any, words[0].to_owned())
        } else {
            let ranked = "SELECT t.turn FROM words w JOIN turns t ON t.id = w.rowid WHERE words MATCH ?1 ORDER BY bm25(words), t.id DESC LIMIT ?2";
            (ranked, long.join(" OR "))
        };
        let mut statement = connection.prepare_cached(sql)?;
        let turns = statement.query_map(params![argument, most], turn)?;
        Ok(turns.collect::<rusqlite::Result<_>>()?)
    }

    /// Gives each turn since a moment to `each`, oldest first, until it says no more.
    ///
    /// # Errors
    /// Where they cannot be read.
    pub fn each(&self, since: Timestamp, mut each: impl FnMut(Turn) -> bool) -> Result<(), StoreError> {
        let mut after = 0_i64;
        loop {
            // A row at a time, so that who reads slowly keeps nobody from writing.
            let next: Option<(i64, Turn)> = self
                .connection()
                .prepare_cached("SELECT turn, id FROM turns WHERE id > ?1 AND at >= ?2 ORDER BY id LIMIT 1")?
                .query_row(params![after, since.as_microsecond()], |row| Ok((row.get(1)?, turn(row)?)))
                .optional()?;
            let Some((id, turn)) = next else { return Ok(()) };
            if !each(turn) {
                return Ok(());
            }
            after = id;
        }
    }

    /// Forgets what is older. Says how many turns that were.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn forget(&self, before: Timestamp) -> Result<usize, StoreError> {
        let mut connection = self.connection();
        let transaction = connection.transaction()?;
        let before = before.as_microsecond();
        transaction
            .execute("DELETE FROM words WHERE rowid IN (SELECT id FROM turns WHERE at < ?1)", [before])?;
        let forgotten = transaction.execute("DELETE FROM turns WHERE at < ?1", [before])?;
        transaction.commit()?;
        connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
        Ok(forgotten)
    }

    fn connection(&self) -> MutexGuard<'_, Connection> {
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn turn(row: &Row<'_>) -> rusqlite::Result<Turn> {
    rows::json(0, &row.get::<_, String>(0)?)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a store that fails fails the test")]
mod tests {
    use super::*;

    fn turn(at: i64, request: &str, answer: &str) -> Turn {
        Turn {
            at: Timestamp::from_second(at).unwrap(),
            request: request.into(),
            answer: answer.into(),
            calls: vec![serde_json::json!({"tool": "sql.ask", "arguments": {"question": "parcels"}})],
            approval: None,
            model: "m".into(),
            prompt_tokens: 10,
            completion_tokens: 2,
            seconds: 0.5,
        }
    }

    #[test]
    fn turns_are_found_by_their_words_and_forgotten_by_their_age() {
        let folder = tempfile::tempdir().unwrap();
        let memory = Memory::open(&folder.path().join("memory.sqlite")).unwrap();
        memory.remember(&turn(100, "Where is the parcel of order 1207?", "In Bremen.")).unwrap();
        memory.remember(&turn(200, "订单退款什么时候到账?", "三天之内。")).unwrap();
        memory.remember(&turn(300, "Which invoices are overdue?", "Two: 88 and 91.")).unwrap();
        let found = |query: &str| -> Vec<i64> {
            memory.recall(query, 10).unwrap().iter().map(|turn| turn.at.as_second()).collect()
        };
        assert_eq!(found("invoices, overdue"), [300]);
        assert_eq!(found("PARCEL of 1207")[0], 100);
        assert_eq!(found("订单退款"), [200]);
        assert_eq!(found("退款"), [200]);
        assert_eq!(found(""), [300, 200, 100]);
        assert_eq!(memory.recall("", 1).unwrap().len(), 1);
        // Words of the language of queries are words here.
        for query in ["\" OR 1", "NEAR(", "text: *", "a AND", "'; DROP TABLE turns", "-"] {
            memory.recall(query, 10).unwrap();
        }
        assert_eq!(memory.forget(Timestamp::from_second(250).unwrap()).unwrap(), 2);
        assert_eq!((found("parcel order").len(), found("overdue")), (1, vec![300]));
        let mut all = Vec::new();
        memory
            .each(Timestamp::UNIX_EPOCH, |turn| {
                all.push(turn);
                true
            })
            .unwrap();
        assert_eq!(all, [turn(300, "Which invoices are overdue?", "Two: 88 and 91.")]);
        let text = std::fs::read(folder.path().join("memory.sqlite")).unwrap();
        drop(memory);
        assert!(!text.windows(6).any(|window| window == b"Bremen"));
    }
}

//! The key-value store as one call sees it.
//!
//! Invariant: what a call writes that is a step of a workflow is one transaction together with the step's key, on a connection of
//! its own: kept when its function succeeded, else gone, and never made for a key that is recorded already. It holds the lock of
//! all writers from its first write until the call ends. Every other call's write is kept when it is made.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rusqlite::{Connection, OptionalExtension, params};

use super::super::bindings::wasi::keyvalue::store::{Error, KeyResponse};
use super::{AWAY, Answer, KeyValue, check, failed, is_busy, list, read, write};
use crate::error::CallError;

/// How long a step waits for the lock of all writers.
const LOCK: Duration = Duration::from_secs(1);

/// The store during one call.
pub(crate) struct CallStore {
    shared: KeyValue,
    plugin: Arc<str>,
    /// The key of the step that the call is.
    step: Option<Arc<str>>,
    /// When the call is over.
    deadline: Instant,
    own: Own,
    busy: bool,
}

/// The transaction of a step.
enum Own {
    /// It wrote nothing yet.
    Unused,
    Open(Connection),
    /// The step was done before.
    Recorded,
    /// SQLite rolled it back by itself.
    Lost,
}

impl CallStore {
    pub(crate) fn new(
        shared: KeyValue,
        plugin: Arc<str>,
        step: Option<Arc<str>>,
        deadline: Instant,
    ) -> CallStore {
        CallStore { shared, plugin, step, deadline, own: Own::Unused, busy: false }
    }

    /// Whether the step wanted to write and was done before.
    pub(crate) fn was_done(&self) -> bool {
        matches!(self.own, Own::Recorded)
    }

    /// What could not be done just now, and can be another time.
    pub(crate) fn busy(&self) -> Option<String> {
        self.busy.then(|| AWAY.to_owned())
    }

    /// Notes that the store was busy, where an answer says so.
    pub(super) fn noted<T>(&mut self, answer: Answer<T>) -> Answer<T> {
        self.busy |= matches!(&answer, Err(Error::Other(why)) if why == AWAY);
        answer
    }

    /// Ends a call whose function succeeded: keeps what the step wrote, and that it did.
    pub(crate) fn finish(&mut self, outcome: &str) -> Result<(), CallError> {
        let connection = match std::mem::replace(&mut self.own, Own::Unused) {
            Own::Unused => return Ok(()),
            Own::Recorded => return Err(CallError::Recorded),
            Own::Open(connection) if !connection.is_autocommit() => connection,
            Own::Open(_) | Own::Lost => {
                let message =
                    "the key-value store undid what the call wrote; the host's log says why".to_owned();
                return Err(CallError::Host { message });
            }
        };
        let step = self.step.as_deref().unwrap_or_default();
        let recorded = "INSERT INTO effect (plugin, key, outcome) VALUES (?1, ?2, ?3)";
        if let Err(error) = connection.execute(recorded, params![&*self.plugin, step, outcome]) {
            tracing::error!("key-value store: {error}");
            if is_busy(&error) {
                return Err(CallError::Busy(AWAY.to_owned()));
            }
            let why = "the key-value store takes no more; the host's log says why".to_owned();
            return Err(CallError::NotRecordable(why));
        }
        connection.execute_batch("COMMIT").map_err(|error| {
            tracing::error!("key-value store: {error}");
            // SQLite says so before it has written anything of it.
            if is_busy(&error) {
                return CallError::Busy(AWAY.to_owned());
            }
            CallError::InDoubt("the key-value store failed; the host's log says why".to_owned())
        })
    }

    pub(super) fn get(&self, key: &str) -> Answer<Option<Vec<u8>>> {
        self.seen(|connection| read(connection, &self.plugin, key))
    }

    pub(super) fn list(&self, cursor: Option<u64>) -> Answer<KeyResponse> {
        self.seen(|connection| list(connection, &self.plugin, cursor))
    }

    pub(super) fn set(&mut self, key: &str, value: &[u8]) -> Answer<()> {
        check(key, value)?;
        self.change(key, Some(value))
    }

    pub(super) fn change(&mut self, key: &str, value: Option<&[u8]>) -> Answer<()> {
        if self.step.is_none() {
            return self.shared.change(&self.plugin, key, value);
        }
        let plugin = Arc::clone(&self.plugin);
        let connection = self.transaction()?;
        // A write that fails halfway is none.
        let savepoint = connection.savepoint().map_err(failed)?;
        write(&savepoint, &plugin, key, value)?;
        savepoint.commit().map_err(failed)
    }

    /// Reads what the call itself would find.
    fn seen<T>(&self, work: impl FnOnce(&Connection) -> Answer<T>) -> Answer<T> {
        match &self.own {
            Own::Open(connection) => work(connection),
            _ => self.shared.with(|connection| work(connection)),
        }
    }

    /// The step's transaction; begins it with the first write.
    fn transaction(&mut self) -> Answer<&mut Connection> {
        if matches!(self.own, Own::Unused) {
            self.own = self.begin()?;
        }
        if matches!(&self.own, Own::Open(connection) if connection.is_autocommit()) {
            self.own = Own::Lost;
        }
        match &mut self.own {
            Own::Open(connection) => Ok(connection),
            Own::Recorded => {
                Err(Error::Other("this step was done before; it does not write again".to_owned()))
            }
            Own::Unused | Own::Lost => {
                Err(Error::Other("what this call wrote was undone; it cannot write more".to_owned()))
            }
        }
    }

    fn begin(&self) -> Answer<Own> {
        let connection = self.shared.open()?;
        // Another step may hold the lock as long as its call runs. Whoever waits long has no time left for its own work: better it is
        // told that the store is busy, and the step is tried again.
        let left = self.deadline.saturating_duration_since(Instant::now());
        connection.busy_timeout(LOCK.min(left / 2)).map_err(failed)?;
        connection.execute_batch("BEGIN IMMEDIATE").map_err(failed)?;
        let step = self.step.as_deref().unwrap_or_default();
        let done = outcome(&connection, &self.plugin, step).map_err(failed)?;
        Ok(if done.is_some() { Own::Recorded } else { Own::Open(connection) })
    }
}

impl KeyValue {
    /// What a step gave whose writes were kept; none where none were.
    pub(crate) fn recorded(&self, plugin: &str, step: &str) -> Result<Option<String>, String> {
        if !self.file.exists() {
            return Ok(None);
        }
        let recorded = self.with(|connection| outcome(connection, plugin, step).map_err(failed));
        recorded.map_err(|error| match error {
            Error::Other(message) => message,
            other => format!("{other:?}"),
        })
    }
}

fn outcome(connection: &Connection, plugin: &str, step: &str) -> rusqlite::Result<Option<String>> {
    let sql = "SELECT outcome FROM effect WHERE plugin = ?1 AND key = ?2";
    connection.query_row(sql, params![plugin, step], |row| row.get(0)).optional()
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a store that fails fails the test")]
mod tests {
    use super::*;

    fn store() -> (tempfile::TempDir, KeyValue) {
        let folder = tempfile::tempdir().unwrap();
        let store = KeyValue::new(folder.path().join("keyvalue.sqlite"));
        (folder, store)
    }

    fn call(store: &KeyValue, step: Option<&str>) -> CallStore {
        let deadline = Instant::now() + Duration::from_secs(5);
        CallStore::new(store.clone(), "a".into(), step.map(Into::into), deadline)
    }

    #[test]
    fn a_steps_writes_are_kept_together_with_its_key_and_seen_by_itself_before() {
        let (_folder, store) = store();
        store.change("a", "old", Some(b"0")).unwrap();
        let mut step = call(&store, Some("r1/1"));
        step.set("k", b"1").unwrap();
        step.change("old", None).unwrap();
        assert_eq!(step.get("k").unwrap().as_deref(), Some(&b"1"[..]));
        assert_eq!(step.list(None).unwrap().keys, ["k"]);
        assert_eq!(store.get("a", "k").unwrap(), None);
        assert_eq!(store.recorded("a", "r1/1"), Ok(None));
        step.finish("{\"n\": 1}").unwrap();
        assert_eq!(store.get("a", "k").unwrap().as_deref(), Some(&b"1"[..]));
        assert_eq!(store.get("a", "old").unwrap(), None);
        let again = KeyValue::new(store.file.to_path_buf());
        assert_eq!(again.recorded("a", "r1/1"), Ok(Some("{\"n\": 1}".to_owned())));
        assert_eq!(again.recorded("b", "r1/1"), Ok(None));
    }

    #[test]
    fn a_step_that_does_not_finish_leaves_nothing_and_holds_nobody_up() {
        let (_folder, store) = store();
        let mut step = call(&store, Some("r1/1"));
        step.set("k", b"1").unwrap();
        drop(step);
        assert_eq!((store.get("a", "k").unwrap(), store.recorded("a", "r1/1")), (None, Ok(None)));
        let mut other = call(&store, None);
        other.set("k", b"2").unwrap();
        drop(other);
        assert_eq!(store.get("a", "k").unwrap().as_deref(), Some(&b"2"[..]));
    }

    #[test]
    fn a_step_that_is_recorded_does_not_write_again() {
        let (_folder, store) = store();
        let mut step = call(&store, Some("r1/1"));
        step.set("k", b"1").unwrap();
        step.finish("1").unwrap();
        let mut again = call(&store, Some("r1/1"));
        assert!(!again.was_done());
        assert!(again.set("k", b"2").is_err() && again.set("l", b"2").is_err());
        assert!(again.was_done());
        assert_eq!(again.finish("2"), Err(CallError::Recorded));
        assert_eq!(store.get("a", "k").unwrap().as_deref(), Some(&b"1"[..]));
        assert_eq!(store.recorded("a", "r1/1"), Ok(Some("1".to_owned())));
    }

    #[test]
    fn steps_at_the_same_time_wait_for_each_other() {
        let (_folder, store) = store();
        let mut first = call(&store, Some("r1/1"));
        first.set("k", b"1").unwrap();
        let other = store.clone();
        let second = std::thread::spawn(move || {
            let mut second = call(&other, Some("r1/1"));
            second.set("k", b"2").is_err() && second.was_done()
        });
        std::thread::sleep(Duration::from_millis(200));
        assert!(!second.is_finished());
        first.finish("1").unwrap();
        assert!(second.join().unwrap());
    }

    #[test]
    fn what_does_not_fit_is_refused_and_the_rest_of_the_step_is_kept() {
        let (_folder, store) = store();
        let mut step = call(&store, Some("r1/1"));
        let value = vec![7; super::super::MAX_VALUE];
        for key in 0..15 {
            step.set(&key.to_string(), &value).unwrap();
        }
        assert!(matches!(step.set("one more", &value), Err(Error::Other(said)) if said.contains("full")));
        step.finish("1").unwrap();
        assert_eq!(store.list("a", None).unwrap().keys.len(), 15);
    }
}

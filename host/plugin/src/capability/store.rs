//! `wasi:keyvalue/store` (0.2.0-draft) on one SQLite file, a namespace per plugin.
//!
//! Invariant: a plugin sees only keys that it wrote itself; what `set` answered with success is on the disk (WAL,
//! `synchronous = FULL`) and survives a crash and a restart; a plugin holds at most [`MAX_KEYS`] keys and [`MAX_BYTES`]
//! bytes. What a step of a workflow writes is on the disk when its call succeeded, all of it or nothing (`call`). Where the capability is not requested or not granted, `open` answers `access-denied`, so no bucket exists.

mod call;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, TransactionBehavior, params};
use wasmtime::component::Resource;

use super::bindings::wasi::keyvalue::store::{Error, Host, HostBucket, KeyResponse};
use crate::call::State;

pub(crate) use call::CallStore;

/// Keys of one plugin.
pub(crate) const MAX_KEYS: i64 = 10_000;
/// Bytes of one plugin, keys and values.
pub(crate) const MAX_BYTES: i64 = 16 << 20;
/// Bytes of a value.
const MAX_VALUE: usize = 1 << 20;
/// Bytes of a key.
const MAX_KEY: usize = 1024;
/// Keys of one page of `list-keys`.
const PAGE: usize = 500;
/// How long to wait for another process that writes.
const BUSY: Duration = Duration::from_secs(2);

const SCHEMA: &str = "
    PRAGMA journal_mode = WAL;
    PRAGMA synchronous = FULL;
    CREATE TABLE IF NOT EXISTS entry (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        plugin TEXT NOT NULL,
        key TEXT NOT NULL,
        value BLOB NOT NULL,
        UNIQUE (plugin, key)
    );
    CREATE TABLE IF NOT EXISTS usage (
        plugin TEXT PRIMARY KEY,
        keys INTEGER NOT NULL,
        bytes INTEGER NOT NULL
    ) WITHOUT ROWID;
    -- What steps of workflows gave whose writes are kept (`call`).
    CREATE TABLE IF NOT EXISTS effect (
        plugin TEXT NOT NULL,
        key TEXT NOT NULL,
        outcome TEXT NOT NULL,
        PRIMARY KEY (plugin, key)
    ) WITHOUT ROWID;
";

/// A guest's handle of its store.
#[expect(unreachable_pub, reason = "the generated bindings re-export it")]
pub struct Bucket;

/// The stores of all plugins. Opened at the first use.
#[derive(Clone)]
pub(crate) struct KeyValue {
    file: Arc<Path>,
    connection: Arc<Mutex<Option<Connection>>>,
}

type Answer<T> = Result<T, Error>;

impl KeyValue {
    pub(crate) fn new(file: PathBuf) -> KeyValue {
        KeyValue { file: file.into(), connection: Arc::default() }
    }

    /// Runs `work` on the open connection.
    fn with<T>(&self, work: impl FnOnce(&mut Connection) -> Answer<T>) -> Answer<T> {
        let mut guard: MutexGuard<'_, _> = self.connection.lock().unwrap_or_else(PoisonError::into_inner);
        let connection = match &mut *guard {
            Some(connection) => connection,
            closed => closed.insert(self.open()?),
        };
        work(connection)
    }

    fn open(&self) -> Answer<Connection> {
        if let Some(folder) = self.file.parent() {
            std::fs::create_dir_all(folder).map_err(|error| {
                tracing::error!("key-value store {}: {error}", self.file.display());
                Error::Other("the store's folder cannot be made".to_owned())
            })?;
        }
        let connection = Connection::open(&self.file).map_err(failed)?;
        only_for_this_user(&self.file);
        connection.busy_timeout(BUSY).map_err(failed)?;
        connection.execute_batch(SCHEMA).map_err(failed)?;
        Ok(connection)
    }

    /// Writes or removes a value.
    fn change(&self, plugin: &str, key: &str, value: Option<&[u8]>) -> Answer<()> {
        self.with(|connection| {
            let transaction =
                connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(failed)?;
            write(&transaction, plugin, key, value)?;
            transaction.commit().map_err(failed)
        })
    }
}

fn check(key: &str, value: &[u8]) -> Answer<()> {
    if key.is_empty() || key.len() > MAX_KEY {
        return Err(Error::Other(format!("a key of {} bytes; 1 to {MAX_KEY} are allowed", key.len())));
    }
    if value.len() > MAX_VALUE {
        return Err(Error::Other(format!("a value of {} bytes; {MAX_VALUE} at most", value.len())));
    }
    Ok(())
}

fn read(connection: &Connection, plugin: &str, key: &str) -> Answer<Option<Vec<u8>>> {
    let mut statement =
        connection.prepare("SELECT value FROM entry WHERE plugin = ?1 AND key = ?2").map_err(failed)?;
    statement.query_row(params![plugin, key], |row| row.get(0)).optional().map_err(failed)
}

/// Writes or removes a value, within a transaction, and keeps the count of what the plugin holds.
fn write(connection: &Connection, plugin: &str, key: &str, value: Option<&[u8]>) -> Answer<()> {
    let old: Option<i64> = connection
        .prepare("SELECT length(value) FROM entry WHERE plugin = ?1 AND key = ?2")
        .and_then(|mut statement| statement.query_row(params![plugin, key], |row| row.get(0)).optional())
        .map_err(failed)?;
    let (keys, bytes): (i64, i64) = connection
        .prepare("SELECT keys, bytes FROM usage WHERE plugin = ?1")
        .and_then(|mut statement| {
            statement.query_row([plugin], |row| Ok((row.get(0)?, row.get(1)?))).optional()
        })
        .map_err(failed)?
        .unwrap_or_default();
    let size = |value: i64| value + key.len() as i64;
    let keys = keys - i64::from(old.is_some()) + i64::from(value.is_some());
    let bytes = bytes - old.map_or(0, size) + value.map_or(0, |value| size(value.len() as i64));
    if value.is_some() && (keys > MAX_KEYS || bytes > MAX_BYTES) {
        return Err(Error::Other(format!(
            "the store is full: it would hold {keys} keys and {bytes} bytes; {MAX_KEYS} keys and {MAX_BYTES} \
             bytes are allowed; delete some"
        )));
    }
    match value {
        Some(value) => connection.execute(
            "INSERT INTO entry (plugin, key, value) VALUES (?1, ?2, ?3)
             ON CONFLICT (plugin, key) DO UPDATE SET value = excluded.value",
            params![plugin, key, value],
        ),
        None => connection.execute("DELETE FROM entry WHERE plugin = ?1 AND key = ?2", params![plugin, key]),
    }
    .map_err(failed)?;
    connection
        .execute("INSERT OR REPLACE INTO usage VALUES (?1, ?2, ?3)", params![plugin, keys, bytes])
        .map_err(failed)?;
    Ok(())
}

/// A page of keys in the order in which they were first written; the cursor is the last one's number.
fn list(connection: &Connection, plugin: &str, cursor: Option<u64>) -> Answer<KeyResponse> {
    let after = i64::try_from(cursor.unwrap_or(0)).unwrap_or(i64::MAX);
    let mut statement = connection
        .prepare("SELECT id, key FROM entry WHERE plugin = ?1 AND id > ?2 ORDER BY id LIMIT ?3")
        .map_err(failed)?;
    let page = statement
        .query_map(params![plugin, after, PAGE as i64], |row| Ok((row.get(0)?, row.get(1)?)))
        .and_then(Iterator::collect::<rusqlite::Result<Vec<(i64, String)>>>)
        .map_err(failed)?;
    let cursor = page.last().filter(|_| page.len() == PAGE).map(|(id, _)| *id as u64);
    Ok(KeyResponse { keys: page.into_iter().map(|(_, key)| key).collect(), cursor })
}

/// What plugins keep may be private. SQLite gives its side files the same mode.
fn only_for_this_user(file: &Path) {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        if let Err(error) = std::fs::set_permissions(file, std::fs::Permissions::from_mode(0o600)) {
            tracing::warn!("{} stays readable for other users: {error}", file.display());
        }
    }
    #[cfg(not(unix))]
    let _ = file;
}

/// What a guest is told while the store is locked or its disk full.
const AWAY: &str = "the store is locked or its disk is full; try again";

/// Whether another time it may go.
fn is_busy(error: &rusqlite::Error) -> bool {
    use rusqlite::ErrorCode::{CannotOpen, DatabaseBusy, DatabaseLocked, DiskFull, SystemIoFailure};
    let code = error.sqlite_error_code();
    matches!(code, Some(DatabaseBusy | DatabaseLocked | DiskFull | SystemIoFailure | CannotOpen))
}

/// The guest learns that the store failed, the log what SQLite said (it can hold the path).
fn failed(error: rusqlite::Error) -> Error {
    tracing::error!("key-value store: {error}");
    if is_busy(&error) {
        return Error::Other(AWAY.to_owned());
    }
    Error::Other("the store cannot be read or written now; the host's log says why".to_owned())
}

impl State {
    fn bucket(&mut self, bucket: &Resource<Bucket>) -> wasmtime::Result<&mut CallStore> {
        self.table.get(bucket)?;
        Ok(&mut self.keyvalue)
    }
}

impl Host for State {
    fn open(&mut self, identifier: String) -> wasmtime::Result<Answer<Resource<Bucket>>> {
        if !self.capabilities.keyvalue {
            return Ok(Err(Error::AccessDenied));
        }
        if !matches!(identifier.as_str(), "" | "default") {
            return Ok(Err(Error::NoSuchStore));
        }
        Ok(Ok(self.table.push(Bucket)?))
    }
}

impl HostBucket for State {
    fn get(&mut self, bucket: Resource<Bucket>, key: String) -> wasmtime::Result<Answer<Option<Vec<u8>>>> {
        let store = self.bucket(&bucket)?;
        let found = store.get(&key);
        Ok(store.noted(found))
    }

    fn set(&mut self, bucket: Resource<Bucket>, key: String, value: Vec<u8>) -> wasmtime::Result<Answer<()>> {
        let store = self.bucket(&bucket)?;
        let set = store.set(&key, &value);
        Ok(store.noted(set))
    }

    fn delete(&mut self, bucket: Resource<Bucket>, key: String) -> wasmtime::Result<Answer<()>> {
        let store = self.bucket(&bucket)?;
        let deleted = store.change(&key, None);
        Ok(store.noted(deleted))
    }

    fn exists(&mut self, bucket: Resource<Bucket>, key: String) -> wasmtime::Result<Answer<bool>> {
        let store = self.bucket(&bucket)?;
        let found = store.get(&key).map(|value| value.is_some());
        Ok(store.noted(found))
    }

    fn list_keys(
        &mut self,
        bucket: Resource<Bucket>,
        cursor: Option<u64>,
    ) -> wasmtime::Result<Answer<KeyResponse>> {
        let store = self.bucket(&bucket)?;
        let page = store.list(cursor);
        Ok(store.noted(page))
    }

    fn drop(&mut self, bucket: Resource<Bucket>) -> wasmtime::Result<()> {
        self.table.delete(bucket)?;
        Ok(())
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a store that fails fails the test")]
mod tests {
    use super::*;

    impl KeyValue {
        pub(super) fn get(&self, plugin: &str, key: &str) -> Answer<Option<Vec<u8>>> {
            self.with(|connection| read(connection, plugin, key))
        }

        fn set(&self, plugin: &str, key: &str, value: &[u8]) -> Answer<()> {
            check(key, value)?;
            self.change(plugin, key, Some(value))
        }

        pub(super) fn list(&self, plugin: &str, cursor: Option<u64>) -> Answer<KeyResponse> {
            self.with(|connection| list(connection, plugin, cursor))
        }
    }

    fn store() -> (tempfile::TempDir, KeyValue) {
        let folder = tempfile::tempdir().unwrap();
        let store = KeyValue::new(folder.path().join("data/keyvalue.sqlite"));
        (folder, store)
    }

    #[test]
    fn values_survive_reopening_and_belong_to_one_plugin() {
        let (_folder, store) = store();
        store.set("a", "k", b"1").unwrap();
        store.set("a", "k", b"22").unwrap();
        store.set("b", "k", b"3").unwrap();
        let again = KeyValue::new(store.file.to_path_buf());
        assert_eq!(again.get("a", "k").unwrap().as_deref(), Some(&b"22"[..]));
        assert_eq!(again.get("b", "k").unwrap().as_deref(), Some(&b"3"[..]));
        again.change("a", "k", None).unwrap();
        again.change("a", "k", None).unwrap();
        assert_eq!(store.get("a", "k").unwrap(), None);
        assert_eq!(store.get("b", "k").unwrap().as_deref(), Some(&b"3"[..]));
    }

    #[test]
    fn a_full_store_refuses_more_and_takes_it_after_a_delete() {
        let (_folder, store) = store();
        let value = vec![7; MAX_VALUE];
        for key in 0..15 {
            store.set("a", &key.to_string(), &value).unwrap();
        }
        let Err(Error::Other(message)) = store.set("a", "one more", &value) else { panic!("it is full") };
        assert!(message.contains("16777216"), "{message}");
        store.set("b", "another plugin", &value).unwrap();
        store.change("a", "3", None).unwrap();
        store.set("a", "one more", &value).unwrap();
    }

    #[test]
    fn keys_and_values_that_are_too_long_are_refused() {
        let (_folder, store) = store();
        assert!(store.set("a", "", b"").is_err());
        assert!(store.set("a", &"k".repeat(MAX_KEY + 1), b"").is_err());
        assert!(store.set("a", "k", &vec![0; MAX_VALUE + 1]).is_err());
        assert_eq!(store.list("a", None).unwrap().keys.len(), 0);
    }

    #[test]
    fn pages_give_every_key_once_though_keys_are_deleted_between_them() {
        let (_folder, store) = store();
        let keys = |range: std::ops::Range<usize>| range.map(|n| format!("k{n}")).collect::<Vec<_>>();
        for key in keys(0..PAGE + 20) {
            store.set("a", &key, b"v").unwrap();
        }
        let first = store.list("a", None).unwrap();
        assert_eq!(first.keys, keys(0..PAGE));
        store.change("a", "k3", None).unwrap();
        let second = store.list("a", first.cursor).unwrap();
        assert_eq!(second.keys, keys(PAGE..PAGE + 20));
        assert_eq!(second.cursor, None);
        assert_eq!(store.list("a", Some(u64::MAX)).unwrap().keys.len(), 0);
    }

    #[test]
    fn a_file_that_is_no_database_is_an_answer_not_a_panic() {
        let (_folder, store) = store();
        std::fs::create_dir_all(store.file.parent().unwrap()).unwrap();
        std::fs::write(&store.file, "not a database at all, but long enough to be one, says the header")
            .unwrap();
        let Err(Error::Other(message)) = store.get("a", "k") else { panic!("it is no database") };
        assert!(!message.contains("keyvalue.sqlite"), "{message}");
    }
}

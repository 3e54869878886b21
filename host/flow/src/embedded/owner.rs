//! Which process drives a run: one that holds a lock on a file of its own, which the system lets go when the process ends, however
//! it ends.

use std::fs::{File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

pub(crate) struct Owner {
    id: String,
    folder: PathBuf,
    lock: Mutex<Option<File>>,
}

impl Owner {
    pub(super) fn new(folder: &Path) -> io::Result<Owner> {
        let id = format!("{}-{:016x}", std::process::id(), fastrand::u64(..));
        let file = File::create_new(path(folder, &id))?;
        file.lock()?;
        Ok(Owner { id, folder: folder.to_path_buf(), lock: Mutex::new(Some(file)) })
    }

    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    /// Lets go: what it has is free for others.
    pub(super) fn release(&self) {
        let lock = self.lock.lock().unwrap_or_else(PoisonError::into_inner).take();
        if lock.is_some()
            && let Err(error) = std::fs::remove_file(path(&self.folder, &self.id))
        {
            tracing::debug!("lock of {}: {error}", self.id);
        }
    }

    /// Whether another owner lives.
    pub(super) fn lives(&self, other: &str) -> bool {
        if other == self.id {
            return true;
        }
        let path = path(&self.folder, other);
        let Ok(file) = File::open(&path) else { return false };
        match file.try_lock() {
            Ok(()) => {
                // Its lock is free, so it is dead; whoever else finds that out meanwhile comes to the same.
                if let Err(error) = std::fs::remove_file(&path) {
                    tracing::debug!("lock of {other}: {error}");
                }
                false
            }
            Err(TryLockError::WouldBlock) => true,
            Err(TryLockError::Error(error)) => {
                tracing::warn!("lock of {other}: {error}; it is taken to live");
                true
            }
        }
    }
}

fn path(folder: &Path, id: &str) -> PathBuf {
    folder.join(format!("owner-{id}.lock"))
}

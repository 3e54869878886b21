//! A model folder that appears whole or not at all.
//!
//! Files are written and synced in a hidden sibling folder `.NAME.partial`, which is locked while an import runs and
//! becomes the model folder by one rename; an earlier one has the name `.NAME.replaced` meanwhile. Invariants: a folder
//! with the model's name always holds a finished import; what a killed import left behind is hidden, and cleared by the
//! next one, which gives an earlier import its name back; the lock's file is the last that is removed and goes along with
//! its folder, so that nobody else can lock a folder that is still in use.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use super::STAMP_FILE;
use super::error::ImportError;

const LOCK_FILE: &str = ".lock";

/// The folder while it is being filled; dropping it unfinished removes it.
pub(crate) struct Staging {
    target: PathBuf,
    partial: PathBuf,
    replaced: PathBuf,
    finished: bool,
    /// Held open, and so locked, until the end.
    _lock: File,
}

impl Staging {
    /// Begins a folder that is to become `target`. An earlier import there is replaced at the end; anything else
    /// that is there is refused.
    pub(crate) fn begin(target: &Path) -> Result<Self, ImportError> {
        let name = target.file_name().and_then(|name| name.to_str());
        let name = name.ok_or_else(|| ImportError::FolderName(target.to_path_buf()))?;
        let parent = match target.parent() {
            Some(parent) if parent.as_os_str().is_empty() => Path::new("."),
            Some(parent) => parent,
            None => return Err(ImportError::FolderName(target.to_path_buf())),
        };
        if !replaceable(target) {
            return Err(ImportError::NotAModelFolder(target.to_path_buf()));
        }
        let partial = parent.join(format!(".{name}.partial"));
        let replaced = parent.join(format!(".{name}.replaced"));
        let lock = lock(&partial, target)?;
        let staging = Self { target: target.to_path_buf(), partial, replaced, finished: false, _lock: lock };
        staging.recover()?;
        staging.clear().map_err(|source| ImportError::io("clear", &staging.partial, 0, source))?;
        Ok(staging)
    }

    /// The path of a file in the unfinished folder.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.partial.join(name)
    }

    /// Writes and syncs a whole file; `name` may name a folder before it.
    pub(crate) fn write(&self, name: &str, bytes: &[u8]) -> Result<(), ImportError> {
        let path = self.path(name);
        if let Some(folder) = path.parent().filter(|folder| *folder != self.partial) {
            fs::create_dir_all(folder).map_err(|source| ImportError::io("create", folder, 0, source))?;
        }
        let written = File::create_new(&path).and_then(|mut file| {
            file.write_all(bytes)?;
            file.sync_all()
        });
        let synced = written.and_then(|()| path.parent().map_or(Ok(()), sync_folder));
        synced.map_err(|source| ImportError::io("write", &path, bytes.len() as u64, source))
    }

    /// Makes the folder appear under its name.
    pub(crate) fn finish(mut self) -> Result<(), ImportError> {
        let failed = |source| ImportError::io("rename", &self.target, 0, source);
        sync_folder(&self.partial).map_err(failed)?;
        if self.target.exists() {
            fs::rename(&self.target, &self.replaced).map_err(failed)?;
        }
        if let Err(error) = fs::rename(&self.partial, &self.target) {
            if self.replaced.exists() {
                // give the earlier import its name back; if even that fails, the first error is the one to tell
                let _ = fs::rename(&self.replaced, &self.target);
            }
            return Err(failed(error));
        }
        self.finished = true;
        // It means nothing there; a leftover does no harm.
        let _ = fs::remove_file(self.target.join(LOCK_FILE));
        if let Some(parent) = self.partial.parent() {
            sync_folder(parent).map_err(failed)?;
        }
        if self.replaced.exists() {
            // the import is done; a leftover is cleared by the next one
            let _ = fs::remove_dir_all(&self.replaced);
        }
        Ok(())
    }

    /// Undoes half a replacement: who was killed between the two renames left the earlier import without its name. Who
    /// was killed behind them left it for nothing.
    fn recover(&self) -> Result<(), ImportError> {
        let done = if self.target.exists() {
            fs::remove_dir_all(&self.replaced)
        } else {
            fs::rename(&self.replaced, &self.target)
        };
        match done {
            Err(source) if source.kind() != ErrorKind::NotFound => {
                Err(ImportError::io("restore", &self.replaced, 0, source))
            }
            _ => Ok(()),
        }
    }

    /// Removes all of the unfinished folder but the lock.
    fn clear(&self) -> std::io::Result<()> {
        for entry in fs::read_dir(&self.partial)? {
            let entry = entry?;
            if entry.file_name() == LOCK_FILE {
                continue;
            }
            if entry.file_type()?.is_dir() {
                fs::remove_dir_all(entry.path())?;
            } else {
                fs::remove_file(entry.path())?;
            }
        }
        Ok(())
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        if !self.finished {
            // Nothing can be done about a failure here, and the folder is hidden. Whoever comes when the lock's file is
            // gone has a file of their own, and the folder stays theirs.
            let _ = self.clear();
            let _ = fs::remove_file(self.partial.join(LOCK_FILE));
            let _ = fs::remove_dir(&self.partial);
        }
    }
}

/// Makes the folder `partial`, and locks it for an import into `target`.
fn lock(partial: &Path, target: &Path) -> Result<File, ImportError> {
    let failed = |source| ImportError::io("create", partial, 0, source);
    let busy = || ImportError::Busy(target.to_path_buf());
    let path = partial.join(LOCK_FILE);
    fs::create_dir_all(partial).map_err(failed)?;
    let lock = match OpenOptions::new().write(true).create(true).truncate(false).open(&path) {
        Ok(lock) => lock,
        // Another import ended meanwhile, and the folder with it.
        Err(source) if source.kind() == ErrorKind::NotFound => return Err(busy()),
        Err(source) => return Err(failed(source)),
    };
    match lock.try_lock() {
        // Likewise: what is locked is no longer this folder's.
        Ok(()) if !is_at(&lock, &path) => Err(busy()),
        Ok(()) => Ok(lock),
        Err(TryLockError::WouldBlock) => Err(busy()),
        Err(TryLockError::Error(source)) => Err(ImportError::io("lock", partial, 0, source)),
    }
}

/// Whether the open file is still the one of this name.
#[cfg(unix)]
fn is_at(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let identity = |found: &fs::Metadata| (found.dev(), found.ino());
    matches!((file.metadata(), fs::metadata(path)), (Ok(a), Ok(b)) if identity(&a) == identity(&b))
}

/// Elsewhere a folder whose files are open keeps its name.
#[cfg(not(unix))]
fn is_at(_: &File, path: &Path) -> bool {
    path.exists()
}

/// Whether an import may take this path: nothing there, an empty folder, or an earlier import.
fn replaceable(target: &Path) -> bool {
    match fs::symlink_metadata(target) {
        Err(_) => true,
        Ok(found) if !found.is_dir() => false,
        Ok(_) => {
            target.join(STAMP_FILE).is_file()
                || fs::read_dir(target).is_ok_and(|mut entries| entries.next().is_none())
        }
    }
}

/// Makes renames and new names in a folder durable, where the system can.
fn sync_folder(folder: &Path) -> std::io::Result<()> {
    if cfg!(unix) { File::open(folder)?.sync_all() } else { Ok(()) }
}

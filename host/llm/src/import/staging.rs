//! A model folder that appears whole or not at all.
//!
//! Files are written and synced in a hidden sibling folder `.NAME.partial`, which is locked while an import runs and
//! becomes the model folder by one rename. Invariant: a folder with the model's name always holds a finished import;
//! what a killed import left behind is hidden, and cleared by the next one.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::Write;
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
        let failed = |source| ImportError::io("create", &partial, 0, source);
        fs::create_dir_all(&partial).map_err(failed)?;
        let lock = OpenOptions::new().write(true).create(true).truncate(false).open(partial.join(LOCK_FILE));
        let lock = lock.map_err(failed)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(ImportError::Busy(target.to_path_buf())),
            Err(TryLockError::Error(source)) => return Err(ImportError::io("lock", &partial, 0, source)),
        }
        let staging = Self { target: target.to_path_buf(), partial, replaced, finished: false, _lock: lock };
        staging.clear()?;
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
        fs::remove_file(self.partial.join(LOCK_FILE)).map_err(failed)?;
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
        if let Some(parent) = self.partial.parent() {
            sync_folder(parent).map_err(failed)?;
        }
        if self.replaced.exists() {
            // the import is done; a leftover is cleared by the next one
            let _ = fs::remove_dir_all(&self.replaced);
        }
        Ok(())
    }

    /// Removes what a killed import left.
    fn clear(&self) -> Result<(), ImportError> {
        let failed = |source| ImportError::io("clear", &self.partial, 0, source);
        for entry in fs::read_dir(&self.partial).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            if entry.file_name() == LOCK_FILE {
                continue;
            }
            if entry.file_type().map_err(failed)?.is_dir() {
                fs::remove_dir_all(entry.path()).map_err(failed)?;
            } else {
                fs::remove_file(entry.path()).map_err(failed)?;
            }
        }
        if self.replaced.exists() {
            fs::remove_dir_all(&self.replaced).map_err(failed)?;
        }
        Ok(())
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        if !self.finished {
            // nothing can be done about a failure here, and the folder is hidden
            let _ = fs::remove_dir_all(&self.partial);
        }
    }
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

//! Where things are kept: the folder that a second clone finds again (`PAWL_HOME`).
//!
//! Invariant: whoever changes the home folder holds its lock, so two set-ups never write the same file. The lock is the
//! kernel's (`flock`): it goes with the process that held it, however that one ended.

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};

use etcetera::BaseStrategy;

use crate::error::{Doing, Error, Result};

/// The folder of everything that is fetched or derived from what was fetched.
#[derive(Clone, Debug)]
pub struct Home {
    root: PathBuf,
}

/// Held while the home folder is being changed.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

impl Home {
    /// `PAWL_HOME`, or `pawl` in the user's cache folder; made where it is missing.
    pub fn open() -> Result<Home> {
        let root = match std::env::var_os("PAWL_HOME").filter(|value| !value.is_empty()) {
            Some(root) => std::path::absolute(root).doing(|| "PAWL_HOME is not a path".to_owned())?,
            None => etcetera::choose_base_strategy().map_err(Error::NoHome)?.cache_dir().join("pawl"),
        };
        Home::at(root)
    }

    /// The home folder at `root`; made where it is missing.
    pub fn at(root: PathBuf) -> Result<Home> {
        fs::create_dir_all(&root).doing(|| {
            format!("cannot make {}; set PAWL_HOME to a folder that can be written", root.display())
        })?;
        Ok(Home { root })
    }

    /// The folder itself.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Shared libraries.
    pub fn runtime(&self) -> PathBuf {
        self.root.join("runtime")
    }

    /// Model files as fetched.
    pub fn gguf(&self, name: &str) -> PathBuf {
        self.root.join("gguf").join(format!("{name}.gguf"))
    }

    /// A model folder as imported.
    pub fn model(&self, name: &str) -> PathBuf {
        self.root.join("models").join(name)
    }

    /// What is being fetched for `name`; gone when that is done.
    pub fn downloads(&self, name: &str) -> PathBuf {
        self.root.join("downloads").join(name)
    }

    /// Waits until no other set-up works in this folder, saying so, and keeps others out until the lock is dropped.
    pub fn lock(&self) -> Result<Lock> {
        let path = self.root.join("setup.lock");
        let file = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .doing(|| format!("cannot write {}; is PAWL_HOME a folder of yours?", path.display()))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                eprintln!("another set-up is at work in {}; waiting for it to finish", self.root.display());
                file.lock().doing(|| format!("cannot lock {}", path.display()))?;
            }
            Err(TryLockError::Error(error)) => {
                return Err(error).doing(|| {
                    format!("cannot lock {}; put PAWL_HOME on a file system with locks", path.display())
                });
            }
        }
        Ok(Lock { _file: file })
    }

    /// Fails where fewer than `needed` bytes are free; `what` names what they are needed for.
    pub fn require_space(&self, needed: u64, what: &str) -> Result<()> {
        let free = free_bytes(&self.root)?;
        if free < needed {
            return Err(Error::Space { what: what.to_owned(), needed, free, folder: self.root.clone() });
        }
        Ok(())
    }
}

/// Bytes that an ordinary user may still write below `path`.
pub fn free_bytes(path: &Path) -> Result<u64> {
    let stat = rustix::fs::statvfs(path)
        .map_err(std::io::Error::from)
        .doing(|| format!("cannot read the free space of {}", path.display()))?;
    Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::Result;

    #[test]
    fn no_room_is_an_error_that_says_how_much_and_where() -> Result<()> {
        let folder = tempfile::tempdir()?;
        let home = Home::at(folder.path().join("pawl"))?;
        home.require_space(1, "nothing much")?;
        let error = home.require_space(u64::MAX, "the universe").expect_err("no disk has that").to_string();
        assert!(error.contains("the universe") && error.contains("PAWL_HOME"), "{error}");
        Ok(())
    }

    #[test]
    fn the_lock_keeps_others_out_until_it_is_dropped() -> Result<()> {
        let folder = tempfile::tempdir()?;
        let home = Home::at(folder.path().to_path_buf())?;
        let lock = home.lock()?;
        let other = File::options().write(true).open(home.root().join("setup.lock"))?;
        assert!(matches!(other.try_lock(), Err(TryLockError::WouldBlock)));
        drop(lock);
        other.try_lock()?;
        Ok(())
    }
}

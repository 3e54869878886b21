//! Folders that the operator grants, from the path in a setting to an open folder.
//!
//! Invariant: a grant means the folder that its path led to when the plugin was loaded. Links in the path are followed
//! then and never again: a plugin that can write beside or above a granted folder could else put a link in its place
//! and be given, at its next call, whatever the link leads to.

use std::path::{Path, PathBuf};

use crate::grant::{Collection, Effective};

/// Follows the links in the paths of all granted folders. An error names the folder as the grant names it.
pub(crate) fn settle(effective: &mut Effective) -> Result<(), String> {
    let filesystem = effective.filesystem.iter_mut();
    let filesystem =
        filesystem.map(|(guest, preopen)| (format!("filesystem `{guest}`"), &mut preopen.folder));
    let documents = effective.documents.iter_mut();
    let documents =
        documents.map(|(name, collection)| (format!("documents `{name}`"), &mut collection.folder));
    for (grant, folder) in filesystem.chain(documents) {
        *folder = real(folder).map_err(|error| {
            format!(
                "the folder of its grant {grant}, {}: {error}; make it, or correct the grant",
                folder.display()
            )
        })?;
    }
    Ok(())
}

/// A collection of one document. There is to be no link in its path.
pub(crate) fn one(file: &Path) -> std::io::Result<Collection> {
    let nowhere = || std::io::Error::from(std::io::ErrorKind::InvalidInput);
    let name = file.file_name().and_then(|name| name.to_str()).ok_or_else(nowhere)?;
    let folder = file.parent().ok_or_else(nowhere)?;
    Folder::open(folder)?.file(name)?;
    Ok(Collection { folder: folder.to_owned(), only: Some(name.to_owned()) })
}

fn real(folder: &Path) -> std::io::Result<PathBuf> {
    let real = folder.canonicalize()?;
    if real.is_dir() { Ok(real) } else { Err(std::io::ErrorKind::NotADirectory.into()) }
}

/// An open folder. Where there is no `/proc` to name it by, its path is looked at once more instead.
pub(super) struct Folder {
    #[cfg(target_os = "linux")]
    descriptor: std::os::fd::OwnedFd,
    #[cfg(not(target_os = "linux"))]
    path: PathBuf,
}

#[cfg(target_os = "linux")]
impl Folder {
    /// Opens a folder whose path holds no link; where it holds one now, that is an error.
    pub(super) fn open(path: &Path) -> std::io::Result<Folder> {
        use rustix::fs::{CWD, Mode, OFlags, openat};
        use std::path::Component;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        // Only what is opened in the end is read; to pass through a folder needs no right to list it.
        let through = OFlags::PATH | flags;
        let mut names = path.components().peekable();
        if names.next() != Some(Component::RootDir) {
            return Err(std::io::ErrorKind::InvalidInput.into());
        }
        let first = if names.peek().is_none() { flags } else { through };
        let mut descriptor = openat(CWD, "/", first, Mode::empty())?;
        while let Some(name) = names.next() {
            let Component::Normal(name) = name else { return Err(std::io::ErrorKind::InvalidInput.into()) };
            let flags = if names.peek().is_none() { flags } else { through };
            descriptor = openat(&descriptor, name, flags, Mode::empty())?;
        }
        Ok(Folder { descriptor })
    }

    /// A path that leads to this very folder while it is open.
    pub(super) fn path(&self) -> PathBuf {
        use std::os::fd::AsRawFd;
        format!("/proc/self/fd/{}", self.descriptor.as_raw_fd()).into()
    }

    /// Opens a regular file by its name in this folder: no link, no device, no pipe.
    pub(super) fn file(&self, name: &str) -> std::io::Result<std::fs::File> {
        use rustix::fs::{Mode, OFlags, openat};
        // A pipe would keep the thread waiting for its other end.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let file = std::fs::File::from(openat(&self.descriptor, name, flags, Mode::empty())?);
        if file.metadata()?.is_file() { Ok(file) } else { Err(std::io::ErrorKind::NotFound.into()) }
    }
}

#[cfg(not(target_os = "linux"))]
impl Folder {
    /// Opens a folder whose path holds no link; where it holds one now, that is an error.
    pub(super) fn open(path: &Path) -> std::io::Result<Folder> {
        if real(path)? != path {
            return Err(std::io::ErrorKind::NotADirectory.into());
        }
        Ok(Folder { path: path.to_path_buf() })
    }

    /// Where it is.
    pub(super) fn path(&self) -> PathBuf {
        self.path.clone()
    }

    /// Opens a regular file by its name in this folder.
    pub(super) fn file(&self, name: &str) -> std::io::Result<std::fs::File> {
        let path = self.path.join(name);
        if !path.symlink_metadata()?.is_file() {
            return Err(std::io::ErrorKind::NotFound.into());
        }
        std::fs::File::open(path)
    }
}

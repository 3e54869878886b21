//! Documents as files: regular ones, read through one handle, so that what is told apart is what was read.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use sha2::{Digest, Sha256};

/// What a file holds.
#[derive(Debug)]
pub struct Content {
    /// Its sha256, in hex.
    pub digest: String,
    /// In bytes.
    pub size: u64,
    /// Its text, where it is UTF-8 and no longer than was asked for.
    pub text: Option<String>,
}

/// Opens a regular file: no link, no pipe, which would keep the thread waiting.
fn open(file: &Path) -> io::Result<File> {
    let mut options = File::options();
    options.read(true);
    #[cfg(unix)]
    {
        use rustix::fs::OFlags;
        use std::os::unix::fs::OpenOptionsExt;
        let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY;
        options.custom_flags(i32::try_from(flags.bits()).unwrap_or_default());
    }
    let file = options.open(file)?;
    if file.metadata()?.is_file() { Ok(file) } else { Err(io::Error::other("no regular file")) }
}

/// The sha256 of a file, in hex.
///
/// # Errors
/// Where it is no regular file or cannot be read.
pub fn content(file: &Path) -> io::Result<String> {
    read(file, 0).map(|content| content.digest)
}

/// What a file holds; its text up to so many bytes.
///
/// # Errors
/// As [`content`].
pub fn read(file: &Path, most: usize) -> io::Result<Content> {
    let (mut hash, mut file, mut buffer) = (Sha256::new(), open(file)?, vec![0; 1 << 16]);
    let (mut size, mut text) = (0, Vec::new());
    loop {
        let read = file.read(&mut buffer)?;
        if read == 0 {
            break;
        }
        hash.update(&buffer[..read]);
        size += read;
        if size <= most {
            text.extend_from_slice(&buffer[..read]);
        }
    }
    let digest = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    let text = (size <= most).then(|| String::from_utf8(text).ok()).flatten();
    Ok(Content { digest, size: size as u64, text })
}

#[cfg(all(test, unix))]
#[expect(clippy::unwrap_used, reason = "a folder that fails fails the test")]
mod tests {
    use super::*;

    #[test]
    fn only_regular_files_are_read() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a");
        std::fs::write(&file, "abc").unwrap();
        std::os::unix::fs::symlink(&file, folder.path().join("link")).unwrap();
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        let all = read(&file, 3).unwrap();
        assert_eq!((all.digest.as_str(), all.size, all.text.as_deref()), (abc, 3, Some("abc")));
        assert_eq!(read(&file, 2).unwrap().text, None);
        assert!(content(&folder.path().join("link")).is_err() && content(folder.path()).is_err());
    }
}

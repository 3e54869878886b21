//! Fetches wheels with `python3 -m pip download`, the one way out that most machines have and proxies know; a source package too.
//!
//! Invariant: a wheel appears under its own name in the folder only after its hash was found right; until then it lives in a
//! `tmp-…` folder that the next run removes. pip checks the hash too (`--require-hashes`); it is not what is trusted, except
//! that pip runs nothing of a source package with another hash.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use crate::catalogue::Wheel;
use crate::error::{Doing, Error, Result};
use crate::{home, verify};

/// Wheels fetched at the same time.
const PARALLEL: usize = 3;
/// How often a running pip is looked at.
const POLL: Duration = Duration::from_millis(100);

/// A pip that was found to run.
#[derive(Debug)]
pub(crate) struct Fetcher {
    python: PathBuf,
}

impl Fetcher {
    /// The `python3` in PATH.
    pub(crate) fn find() -> Result<Fetcher> {
        Fetcher::at(PathBuf::from("python3"))
    }

    /// A given python.
    fn at(python: PathBuf) -> Result<Fetcher> {
        const MEND: &str = "it fetches the runtime and the models; install python3 with pip \
                            (Debian, Ubuntu: apt install python3-pip; Fedora: dnf install python3-pip), \
                            then run this again";
        match Command::new(&python).args(["-m", "pip", "--version"]).stdin(Stdio::null()).output() {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                Err(Error::NoPip(format!("{} is not in PATH; {MEND}", python.display())))
            }
            Err(error) => Err(error).doing(|| format!("cannot run {}; {MEND}", python.display())),
            Ok(output) if !output.status.success() => {
                let said = String::from_utf8_lossy(&output.stderr);
                Err(Error::NoPip(format!("{} has no pip ({}); {MEND}", python.display(), said.trim())))
            }
            Ok(_) => Ok(Fetcher { python }),
        }
    }

    /// Fetches all of `wheels` into `folder`, telling `progress` now and then how many bytes of them are here.
    /// The first failure stops the others; what was finished by then stays.
    pub(crate) fn fetch(&self, wheels: &[Wheel], folder: &Path, progress: &mut dyn FnMut(u64)) -> Result<()> {
        let next = AtomicUsize::new(0);
        let stop = AtomicBool::new(false);
        let received: Vec<AtomicU64> = wheels.iter().map(|_| AtomicU64::new(0)).collect();
        let worker = || -> Result<()> {
            loop {
                let index = next.fetch_add(1, Ordering::Relaxed);
                let Some(wheel) = wheels.get(index) else { return Ok(()) };
                if stop.load(Ordering::Relaxed) {
                    return Ok(());
                }
                let fetched = self.fetch_one(wheel, folder, &received[index], &stop);
                fetched.inspect_err(|_| stop.store(true, Ordering::Relaxed))?;
            }
        };
        std::thread::scope(|scope| {
            let workers: Vec<_> = (0..PARALLEL.min(wheels.len())).map(|_| scope.spawn(worker)).collect();
            while workers.iter().any(|worker| !worker.is_finished()) {
                progress(received.iter().map(|bytes| bytes.load(Ordering::Relaxed)).sum());
                std::thread::sleep(POLL);
            }
            workers
                .into_iter()
                .map(|worker| worker.join())
                .try_for_each(|result| result.unwrap_or(Err(Error::Panicked)))
        })
    }

    fn fetch_one(&self, wheel: &Wheel, folder: &Path, received: &AtomicU64, stop: &AtomicBool) -> Result<()> {
        let temporary = folder.join(format!("tmp-{}-{}", std::process::id(), wheel.file));
        let fetched = self.fetch_to(wheel, folder, &temporary, received, stop);
        // What is left there is of no use to anyone; the next run tries again to remove it.
        let _ = fs::remove_dir_all(&temporary);
        fetched
    }

    fn fetch_to(
        &self,
        wheel: &Wheel,
        folder: &Path,
        temporary: &Path,
        received: &AtomicU64,
        stop: &AtomicBool,
    ) -> Result<()> {
        fs::create_dir_all(temporary).doing(|| format!("cannot make {}", temporary.display()))?;
        let log = temporary.join("pip.log");
        let mut child = self.spawn(wheel, temporary, &log)?;
        let Some(status) = wait(&mut child, stop, &mut || {
            received.store(largest_wheel(temporary).min(wheel.bytes), Ordering::Relaxed);
        })?
        else {
            return Ok(());
        };
        if !status.success() {
            let log = fs::read_to_string(&log).unwrap_or_default();
            // pip holds a wheel twice for a moment, and cannot always write down that it could not.
            let full = home::free_bytes(folder).is_ok_and(|free| free < 2 * wheel.bytes);
            return Err(Error::Pip(refusal(wheel, &log, full)));
        }
        let file = temporary.join(&wheel.file);
        check(&file, wheel)?;
        received.store(wheel.bytes, Ordering::Relaxed);
        fs::rename(&file, folder.join(&wheel.file))
            .doing(|| format!("cannot keep {} in {}", wheel.file, folder.display()))
    }

    fn spawn(&self, wheel: &Wheel, temporary: &Path, log: &Path) -> Result<Child> {
        let log = File::create(log).doing(|| format!("cannot write {}", log.display()))?;
        download(&self.python, &wheel.requirement, wheel.sha256, temporary)?
            .arg("--only-binary=:all:")
            .args(wheel.platform)
            .env("TMPDIR", temporary)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .doing(|| format!("cannot run {}", self.python.display()))
    }
}

/// The command that puts the source package `requirement` (`name==version`) with this hash into `folder`. pip has a package's
/// own code tell what it depends on, even where nobody asks for that, and with the tools that `python` has; where a hash is
/// required, it first looks at that.
pub fn source(python: &Path, requirement: &str, sha256: &str, folder: &Path) -> Result<Command> {
    let mut command = download(python, requirement, sha256, folder)?;
    command.args(["--no-binary=:all:", "--no-build-isolation"]);
    Ok(command)
}

/// pip, told what hash `requirement` must have: it takes hashes from a file only, which is put into `folder`.
fn download(python: &Path, requirement: &str, sha256: &str, folder: &Path) -> Result<Command> {
    let requirements = folder.join("requirements.txt");
    fs::write(&requirements, format!("{requirement} --hash=sha256:{sha256}\n"))
        .doing(|| format!("cannot write {}", requirements.display()))?;
    let mut command = Command::new(python);
    command
        .args(["-m", "pip", "download", "--no-deps", "--require-hashes"])
        .args(["--no-cache-dir", "--disable-pip-version-check", "--no-input", "--progress-bar=off"])
        .arg("--dest")
        .arg(folder)
        .arg("--requirement")
        .arg(&requirements);
    Ok(command)
}

/// Whether `file` is the wheel; where it is not, it is removed and the error says what was there.
fn check(file: &Path, wheel: &Wheel) -> Result<()> {
    let actual = verify::sha256(file, &mut |_| {})?;
    if actual == wheel.sha256 {
        return Ok(());
    }
    verify::discard(file)?;
    Err(Error::Wheel { file: wheel.file.clone(), actual, expected: wheel.sha256.to_owned() })
}

/// Waits for the child to end; None when it was stopped because `stop` was set.
fn wait(child: &mut Child, stop: &AtomicBool, look: &mut dyn FnMut()) -> Result<Option<ExitStatus>> {
    loop {
        if let Some(status) = child.try_wait().doing(|| "cannot wait for pip".to_owned())? {
            return Ok(Some(status));
        }
        if stop.load(Ordering::Relaxed) {
            // It may have ended by itself in the meantime, which is as good.
            let _ = child.kill();
            let _ = child.wait();
            return Ok(None);
        }
        look();
        std::thread::sleep(POLL);
    }
}

/// Why pip failed, from what it wrote, and what to do about it.
fn refusal(wheel: &Wheel, log: &str, full: bool) -> String {
    let telling = |line: &&str| {
        ["ERROR", "Expected", "Got", "OSError", "error:"].iter().any(|word| line.contains(word))
    };
    let mut said: Vec<&str> = log.lines().map(str::trim).filter(telling).take(6).collect();
    if said.is_empty() {
        said = log.lines().map(str::trim).filter(|line| !line.is_empty()).rev().take(3).collect();
        said.reverse();
    }
    let mend = if log.contains("DO NOT MATCH THE HASHES") {
        "the package index or a proxy on the way gives something else than what was pinned; nothing of it was kept: try \
         again later, or another index with PIP_INDEX_URL"
    } else if full || log.contains("No space left") {
        "the disk is full: make room, or set PAWL_HOME to a folder on a larger disk, and run this again; what is finished \
         is kept"
    } else {
        "check the network (pip uses PIP_INDEX_URL and the proxy settings of the environment) and run this again; what \
         is finished is kept"
    };
    let said = if said.is_empty() { "it said nothing".to_string() } else { said.join("\n  ") };
    format!("pip could not fetch {}: {said}\n{mend}", wheel.requirement)
}

/// Size of the largest wheel below `folder`: what pip has of the wheel that it is fetching.
fn largest_wheel(folder: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(folder) else { return 0 };
    let size = |entry: fs::DirEntry| match entry.metadata() {
        Ok(metadata) if metadata.is_dir() => largest_wheel(&entry.path()),
        Ok(metadata) if entry.file_name().to_string_lossy().ends_with(".whl") => metadata.len(),
        _ => 0,
    };
    entries.flatten().map(size).max().unwrap_or(0)
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use anyhow::{Context, Result};

    /// SHA-256 of "abc".
    const ABC: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    fn wheel(file: &str) -> Wheel {
        Wheel {
            requirement: format!("{file}==1"),
            file: file.to_string(),
            bytes: 3,
            sha256: ABC,
            member: String::new(),
            platform: &[],
        }
    }

    /// A python whose `-m pip download … --dest D --requirement R` runs `script` with D in $D and the name in $N.
    fn python(folder: &Path, script: &str) -> Result<Fetcher> {
        let path = folder.join("python");
        let text = format!(
            "#!/bin/sh\nwhile [ $# -gt 0 ]; do case $1 in --version) exit 0;; --dest) D=$2;; --requirement) R=$2;; esac; shift; \
             done\nN=$(sed 's/==.*//' $R)\n{script}\n"
        );
        executable(&path, &text)?;
        Ok(Fetcher::at(path)?)
    }

    /// Writes a script by another process: were it open for writing here, a test beside this one could fork at that
    /// moment, and running the script would fail with "text file busy".
    fn executable(path: &Path, text: &str) -> Result<()> {
        let mut shell = Command::new("sh")
            .args(["-c", "cat > \"$0\" && chmod 755 \"$0\""])
            .arg(path)
            .stdin(Stdio::piped())
            .spawn()?;
        std::io::Write::write_all(&mut shell.stdin.take().context("a pipe")?, text.as_bytes())?;
        anyhow::ensure!(shell.wait()?.success(), "the script was not written");
        Ok(())
    }

    #[test]
    fn what_was_fetched_and_checked_is_kept_under_its_own_name() -> Result<()> {
        let folder = tempfile::tempdir()?;
        let wheels: Vec<_> = (0..7).map(|n| wheel(&format!("w{n}"))).collect();
        let out = folder.path().join("out");
        let mut last = 0;
        python(folder.path(), "printf abc > $D/$N")?.fetch(&wheels, &out, &mut |bytes| last = bytes)?;
        assert_eq!(fs::read_dir(&out)?.count(), 7);
        assert!(last <= 21);
        Ok(())
    }

    #[test]
    fn a_wrong_hash_leaves_nothing_and_names_both() -> Result<()> {
        let folder = tempfile::tempdir()?;
        let out = folder.path().join("out");
        let python = python(folder.path(), "printf abd > $D/$N")?;
        let error =
            python.fetch(&[wheel("w")], &out, &mut |_| {}).expect_err("the hash is wrong").to_string();
        assert!(error.contains(ABC) && error.contains("a52d159f262b2c6ddb724a61840befc3"), "{error}");
        assert_eq!(fs::read_dir(&out)?.count(), 0);
        Ok(())
    }

    #[test]
    fn the_first_failure_is_told_and_what_was_finished_stays() -> Result<()> {
        let folder = tempfile::tempdir()?;
        let out = folder.path().join("out");
        let script =
            "[ $N = bad ] && { echo 'ERROR: No matching distribution' >&2; exit 1; }; printf abc > $D/$N";
        let python = python(folder.path(), script)?;
        python.fetch(&[wheel("good")], &out, &mut |_| {})?;
        let error = python.fetch(&[wheel("bad")], &out, &mut |_| {}).expect_err("pip failed").to_string();
        assert!(error.contains("No matching distribution") && error.contains("network"), "{error}");
        assert_eq!(fs::read_dir(&out)?.count(), 1);
        Ok(())
    }

    /// A source package whose own code writes the file `ran` when pip asks it what it depends on.
    fn source_package(folder: &Path, ran: &Path) -> Result<PathBuf> {
        let inside = folder.join("pawl_source-1");
        fs::create_dir(&inside)?;
        let project = "[build-system]\nrequires = []\nbuild-backend = \"backend\"\nbackend-path = [\".\"]\n";
        fs::write(inside.join("pyproject.toml"), project)?;
        let backend = format!(
            "import os\nopen({:?}, 'w').close()\n\
             def prepare_metadata_for_build_wheel(folder, settings=None):\n    \
                 name = 'pawl_source-1.dist-info'\n    \
                 os.mkdir(os.path.join(folder, name))\n    \
                 with open(os.path.join(folder, name, 'METADATA'), 'w') as file:\n        \
                     file.write('Metadata-Version: 2.1\\nName: pawl-source\\nVersion: 1\\n')\n    \
                 return name\n",
            ran.display().to_string()
        );
        fs::write(inside.join("backend.py"), backend)?;
        let package = folder.join("pawl_source-1.tar.gz");
        let tar = Command::new("tar")
            .arg("czf")
            .arg(&package)
            .arg("-C")
            .arg(folder)
            .arg("pawl_source-1")
            .status()?;
        anyhow::ensure!(tar.success(), "the package was not made");
        Ok(package)
    }

    #[test]
    fn nothing_of_a_source_package_with_another_hash_is_run() -> Result<()> {
        let folder = tempfile::tempdir()?;
        let ran = folder.path().join("ran");
        let package = source_package(folder.path(), &ran)?;
        let out = folder.path().join("out");
        fs::create_dir(&out)?;
        let fetch = |sha256: &str| -> Result<(bool, String)> {
            let mut command = source(Path::new("python3"), "pawl-source==1", sha256, &out)?;
            let output = command.env("PIP_NO_INDEX", "1").env("PIP_FIND_LINKS", folder.path()).output()?;
            Ok((output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned()))
        };
        let (fetched, said) = fetch(ABC)?;
        assert!(!fetched && said.contains("DO NOT MATCH THE HASHES") && !ran.exists(), "{said}");
        let (fetched, said) = fetch(&verify::sha256(&package, &mut |_| {})?)?;
        assert!(fetched && ran.exists() && out.join("pawl_source-1.tar.gz").exists(), "{said}");
        Ok(())
    }

    #[test]
    fn no_python_and_no_pip_say_what_to_install() -> Result<()> {
        let folder = tempfile::tempdir()?;
        let error = Fetcher::at(folder.path().join("none")).expect_err("there is none").to_string();
        assert!(error.contains("install python3"), "{error}");
        let path = folder.path().join("python");
        executable(&path, "#!/bin/sh\necho No module named pip >&2; exit 1\n")?;
        let error = Fetcher::at(path).expect_err("it has no pip").to_string();
        assert!(error.contains("No module named pip") && error.contains("python3-pip"), "{error}");
        Ok(())
    }
}

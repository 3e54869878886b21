//! Real servers for tests, each on a temporary folder of its own.
//!
//! Invariant: a server ends with the last test that uses it, and listens to this machine only. Where none is installed a test
//! fails and names the package, unless `PAWL_TEST_WITHOUT_SERVERS=1` says that this is known.
#![allow(dead_code, reason = "each test binary uses its part")]

pub(crate) mod mariadb;
pub(crate) mod postgres;

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// The user that servers run as where a test is run by root, which they refuse: `nobody`.
const NOBODY: u32 = 65_534;

pub(crate) fn soon() -> Instant {
    Instant::now() + Duration::from_secs(20)
}

/// The first of `names` that is installed.
pub(crate) fn installed(names: &[&str]) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    folders.extend(["/usr/sbin", "/usr/local/sbin", "/usr/bin", "/usr/libexec"].map(PathBuf::from));
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    folders.extend(versions.map(|version| version.path().join("bin")));
    let files = names.iter().flat_map(|name| folders.iter().map(move |folder| folder.join(name)));
    files.into_iter().find(|file| file.is_file())
}

/// What to do where a server is not installed: `None` skips the test.
pub(crate) fn missing<T>(package: &str) -> Result<Option<T>> {
    if std::env::var_os("PAWL_TEST_WITHOUT_SERVERS").is_some_and(|value| value == "1") {
        eprintln!("skipped: {package} is not installed and PAWL_TEST_WITHOUT_SERVERS=1");
        return Ok(None);
    }
    bail!(
        "this test needs a server: apt-get install {package} (or set PAWL_TEST_WITHOUT_SERVERS=1 to skip it)"
    )
}

fn is_root() -> bool {
    std::fs::metadata("/proc/self").is_ok_and(|process| std::os::unix::fs::MetadataExt::uid(&process) == 0)
}

/// A command that does not run as root.
pub(crate) fn lesser(program: &Path) -> Command {
    if !is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    let user = NOBODY.to_string();
    command.args(["--reuid", &user, "--regid", &user, "--clear-groups"]).arg(program);
    command
}

/// A folder that the server's user owns.
pub(crate) fn folder() -> Result<tempfile::TempDir> {
    let folder = tempfile::tempdir()?;
    if is_root() {
        std::os::unix::fs::chown(folder.path(), Some(NOBODY), Some(NOBODY))?;
    }
    Ok(folder)
}

pub(crate) fn own(path: &Path) -> Result<()> {
    if is_root() {
        std::os::unix::fs::chown(path, Some(NOBODY), Some(NOBODY))?;
    }
    Ok(())
}

pub(crate) fn free_port() -> Result<u16> {
    Ok(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}

pub(crate) fn done(mut command: Command) -> Result<()> {
    let output = command.output().with_context(|| format!("{command:?}"))?;
    if !output.status.success() {
        bail!("{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(())
}

/// Ends a server without leaving its children.
pub(crate) fn stop(child: &mut Child, signal: &str) {
    let _ = Command::new("kill").args([&format!("-{signal}"), &child.id().to_string()]).status();
    let end = Instant::now() + Duration::from_secs(10);
    while Instant::now() < end {
        if let Ok(Some(_)) = child.try_wait() {
            return;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    let _ = child.kill();
    let _ = child.wait();
}

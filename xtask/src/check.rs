//! `cargo xtask test`: every check that a change must pass, in order of their price, with what each took.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::setup::{self, Build, Wanted};
use crate::{cargo, tidy};
use pawl_fetch::catalogue;
use pawl_fetch::progress::seconds;

/// Stages so far, with what they took.
#[derive(Debug, Default)]
struct Stages(Vec<(&'static str, Duration)>);

impl Stages {
    fn run(&mut self, name: &'static str, work: impl FnOnce() -> Result<()>) -> Result<()> {
        eprintln!("== {name}");
        let begun = Instant::now();
        let result = work();
        self.0.push((name, begun.elapsed()));
        result.with_context(|| format!("stage `{name}` failed after {}", seconds(begun.elapsed())))
    }
}

/// Runs all stages, or up to the first that fails; prints the durations in both cases.
pub(crate) fn run(root: &Path) -> Result<()> {
    let mut stages = Stages::default();
    let result = all(root, &mut stages);
    eprintln!("== durations");
    for (name, took) in &stages.0 {
        eprintln!("{:>14}  {name}", seconds(*took));
    }
    let total = stages.0.iter().map(|(_, took)| *took).sum();
    eprintln!("{:>14}  in all", seconds(total));
    result
}

fn all(root: &Path, stages: &mut Stages) -> Result<()> {
    stages.run("format", || cargo(root, &["fmt", "--all", "--check"]))?;
    stages.run("tidy", || tidy(root))?;
    stages.run("set-up", || {
        let wanted = Wanted {
            models: catalogue::TESTED.to_vec(),
            encoder: true,
            cuda: false,
            build: Build::Everything,
        };
        let binary = setup::run(root, &wanted)?;
        // `start` does so too, and must not be the first to find out that it fails.
        crate::accept(root, &binary)
    })?;
    stages.run("clippy", || {
        cargo(root, &["clippy", "--release", "--workspace", "--all-targets", "--", "--deny=warnings"])
    })?;
    stages.run("licences and advisories", || deny(root))?;
    stages.run("tests of xtask", || cargo(root, &["test", "--package=xtask"]))?;
    let servers = servers();
    stages.run("tests", || {
        let arguments = ["test", "--release", "--workspace", "--exclude=xtask", "--no-fail-fast"];
        let mut command = cargo::command(root);
        if !servers {
            command.env("PAWL_TEST_WITHOUT_SERVERS", "1");
        }
        cargo::run(command.args(arguments), &format!("cargo {}", arguments.join(" ")))
    })
}

/// Whether PostgreSQL and MariaDB are there for the tests that need real ones; installs them where that is possible without
/// asking (root, with apt), and says so where they are not.
fn servers() -> bool {
    let there = |program: &str| {
        let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
        let path = std::env::var_os("PATH").unwrap_or_default();
        let folders = std::env::split_paths(&path).chain(versions.map(|version| version.path().join("bin")));
        let folders = folders.chain(["/usr/sbin", "/usr/local/sbin"].map(PathBuf::from));
        folders.map(|folder| folder.join(program)).any(|file| file.is_file())
    };
    let mut all = true;
    for (program, package) in [("initdb", "postgresql"), ("mariadbd", "mariadb-server")] {
        let install = ["install", "--yes", "--no-install-recommends", package];
        let apt = || std::process::Command::new("apt-get").args(install).stdout(Stdio::null()).status();
        if !(there(program) || apt().is_ok_and(|status| status.success()) && there(program)) {
            eprintln!("skipped: tests with {package}, which is not installed (`apt-get install {package}`)");
            all = false;
        }
    }
    all
}

fn cargo(root: &Path, arguments: &[&str]) -> Result<()> {
    let mut command = cargo::command(root);
    cargo::run(command.args(arguments), &format!("cargo {}", arguments.join(" ")))
}

/// Where the invariants of ARCHITECTURE.md do not hold, one line each.
pub(crate) fn tidy(root: &Path) -> Result<()> {
    let found = tidy::run(root)?;
    if found.is_empty() {
        eprintln!("tidy: every invariant holds");
        return Ok(());
    }
    for line in &found {
        eprintln!("{line}");
    }
    bail!("{} places are not as ARCHITECTURE.md says", found.len())
}

/// cargo-deny by deny.toml, where it is installed.
fn deny(root: &Path) -> Result<()> {
    let present = cargo::command(root)
        .args(["deny", "--version"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success());
    if !present {
        eprintln!("skipped: cargo-deny is not installed (`cargo install --locked cargo-deny`)");
        return Ok(());
    }
    cargo(root, &["deny", "check", "licenses", "bans", "sources"])?;
    // The advisories are somewhere else, and their absence is no fault of the change under test.
    if cargo(root, &["deny", "fetch", "db"]).is_err() {
        eprintln!("skipped: the database of advisories cannot be fetched");
        return Ok(());
    }
    cargo(root, &["deny", "check", "advisories"])
}

//! `cargo xtask fuzz TARGET`: one fuzz target of tests/fuzz for so many minutes.
//!
//! Built by nightly with libFuzzer's coverage and without a sanitizer: what is fuzzed has no unsafe code of ours, and without one
//! it runs twice as often. Invariant: the seeds in the checkout are only read; what the fuzzer finds is kept in `target/fuzz/`.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::cargo;

/// The targets, in the order in which all are run.
pub(crate) const TARGETS: [&str; 4] = ["json_to_value", "wit_to_schema", "manifest", "policy"];
/// The longest that one input may take, in seconds.
const SLOWEST: u32 = 10;
/// The most memory of one run, in MiB.
const MEMORY: u32 = 2048;

/// Runs a target; an input that breaks a promise ends it with an error.
pub(crate) fn run(root: &Path, target: &str, minutes: u32) -> Result<()> {
    present()?;
    let (folder, built) = (root.join("tests/fuzz"), cargo::target(root).join("fuzz"));
    let (corpus, found) = (built.join("corpus").join(target), built.join("found").join(target));
    for folder in [&corpus, &found] {
        fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    }
    let mut command = nightly();
    command.current_dir(&folder).args([
        "fuzz",
        "run",
        "--fuzz-dir",
        ".",
        "--sanitizer",
        "none",
        "--target-dir",
    ]);
    command.arg(&built).arg(target).arg(&corpus).arg(folder.join("seeds").join(target)).arg("--");
    command.args([
        format!("-max_total_time={}", u64::from(minutes) * 60),
        format!("-timeout={SLOWEST}"),
        format!("-rss_limit_mb={MEMORY}"),
        "-max_len=4096".to_owned(),
        "-print_final_stats=1".to_owned(),
        format!("-artifact_prefix={}/", found.display()),
    ]);
    let words = folder.join("words").join(target);
    if words.is_file() {
        command.arg(format!("-dict={}", words.display()));
    }
    cargo::run(&mut command, &format!("cargo fuzz run {target}"))
}

/// Cargo of the nightly toolchain, without what this cargo told us about itself.
fn nightly() -> Command {
    let mut command = Command::new("cargo");
    cargo::clean(&mut command).arg("+nightly");
    for name in ["CARGO", "RUSTC", "RUSTUP_TOOLCHAIN", "CARGO_TARGET_DIR"] {
        command.env_remove(name);
    }
    command
}

fn present() -> Result<()> {
    let mut command = nightly();
    let status = command.args(["fuzz", "--version"]).stdout(Stdio::null()).stderr(Stdio::null()).status();
    if !status.is_ok_and(|status| status.success()) {
        bail!(
            "fuzzing needs nightly and cargo-fuzz: `rustup toolchain install nightly`, `cargo install cargo-fuzz`"
        );
    }
    Ok(())
}

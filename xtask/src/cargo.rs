//! Runs cargo and the programs that it built, with a bar on a terminal and cargo's own lines where there is none.

use std::io::{BufRead, BufReader, IsTerminal};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use pawl_fetch::progress::Step;

/// Cargo, in the checkout, without what the cargo that runs xtask told xtask about itself.
pub(crate) fn command(root: &Path) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    clean(&mut command).current_dir(root);
    command
}

/// Takes xtask's own cargo variables out of a command's environment (build scripts would see them change) and makes `PAWL_HOME`
/// absolute there.
pub(crate) fn clean(command: &mut Command) -> &mut Command {
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("CARGO_PKG_")
            || text.starts_with("CARGO_MANIFEST_")
            || text.starts_with("CARGO_BIN_")
        {
            command.env_remove(&name);
        }
    }
    // It may be relative to where xtask was called; the command may run elsewhere.
    if let Some(home) = std::env::var_os("PAWL_HOME").and_then(|home| std::path::absolute(home).ok()) {
        command.env("PAWL_HOME", home);
    }
    command
}

/// The root of the checkout, which cargo knows.
pub(crate) fn checkout() -> PathBuf {
    let xtask = std::env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from);
    let xtask = xtask.unwrap_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")));
    xtask.parent().map(Path::to_path_buf).unwrap_or(xtask)
}

/// The folder that cargo builds in.
pub(crate) fn target(root: &Path) -> PathBuf {
    match std::env::var_os("CARGO_TARGET_DIR").filter(|value| !value.is_empty()) {
        Some(folder) => root.join(folder),
        None => root.join("target"),
    }
}

/// Runs `cargo build` with these arguments as part of a step.
pub(crate) fn build(root: &Path, arguments: &[String], step: &mut Step) -> Result<()> {
    let mut cargo = command(root);
    cargo.arg("build").args(arguments).stdin(Stdio::null());
    let said = format!("cargo build {}", arguments.join(" "));
    if !std::io::stderr().is_terminal() {
        step.say("cargo build");
        return run(&mut cargo, &said);
    }
    cargo
        .env("CARGO_TERM_PROGRESS_WHEN", "always")
        .env("CARGO_TERM_PROGRESS_WIDTH", "100")
        .stderr(Stdio::piped());
    let mut child = cargo.spawn().context("cannot run cargo")?;
    let mut log = Vec::new();
    if let Some(stderr) = child.stderr.take() {
        follow(BufReader::new(stderr), step, &mut log)?;
    }
    let status = child.wait().context("cannot wait for cargo")?;
    if !status.success() {
        bail!("`{said}` failed ({status}):\n{}", log.join("\n"));
    }
    Ok(())
}

/// Runs a command whose output goes where ours goes.
pub(crate) fn run(command: &mut Command, said: &str) -> Result<()> {
    let status = command.status().with_context(|| format!("cannot run `{said}`"))?;
    if !status.success() {
        bail!("`{said}` failed ({status})");
    }
    Ok(())
}

/// Turns cargo's progress lines into the step's bar and keeps the others.
fn follow(stderr: impl BufRead, step: &mut Step, log: &mut Vec<String>) -> Result<()> {
    let mut line = Vec::new();
    let mut measured = 0;
    for byte in stderr.bytes() {
        let byte = byte.context("cannot read from cargo")?;
        if byte != b'\r' && byte != b'\n' {
            line.push(byte);
            continue;
        }
        let text = String::from_utf8_lossy(&line).trim().to_string();
        line.clear();
        match progress(&text) {
            Some((done, total)) => {
                if measured != total {
                    measured = total;
                    step.units("compiling", total);
                }
                step.at(done, total);
            }
            None if byte == b'\n' && !text.is_empty() => {
                if text.starts_with("Blocking") {
                    step.say("waiting for another cargo");
                }
                log.push(text);
            }
            None => {}
        }
    }
    Ok(())
}

/// `Building [====>   ] 213/420: wasmtime` is 213 of 420.
fn progress(line: &str) -> Option<(u64, u64)> {
    let (_, counts) = line.strip_prefix("Building [")?.split_once("] ")?;
    let (done, total) = counts.split_once(':').map_or(counts, |(counts, _)| counts).split_once('/')?;
    Some((done.trim().parse().ok()?, total.trim().parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use pawl_fetch::progress::Steps;

    #[test]
    fn progress_lines_are_counted_and_the_others_kept() -> Result<()> {
        assert_eq!(progress("Building [====>   ] 213/420: wasmtime, a(build)"), Some((213, 420)));
        assert_eq!(progress("Building [====>   ] 1/2"), Some((1, 2)));
        assert_eq!(progress("Compiling wasmtime v48.0.8"), None);
        let mut log = Vec::new();
        let text = "   Compiling a v1\n    Building [=> ] 0/2: a\r    Building [==>] 1/2: b\rerror: no\n";
        follow(text.as_bytes(), &mut Steps::new(1).begin("test"), &mut log)?;
        assert_eq!(log, ["Compiling a v1", "error: no"]);
        Ok(())
    }
}

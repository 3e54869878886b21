//! The Rust standard library for plugins (`wasm32-wasip2`) and the bench's core module: from rustup, or built from Debian's
//! source where rustup cannot download.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use pawl_fetch::progress::Step;

/// Has the target installed when it returns; true if that needed any work.
pub(crate) fn ensure(root: &Path, target: &str, step: &mut Step) -> Result<bool> {
    let library = library(root, target)?;
    if has_core(&library) {
        return Ok(false);
    }
    step.say("rustup target add");
    let rustup = Command::new("rustup")
        .args(["target", "add", target])
        .current_dir(root)
        .stdin(Stdio::null())
        .output();
    let why = match rustup {
        Ok(output) if output.status.success() && has_core(&library) => return Ok(true),
        Ok(output) => {
            String::from_utf8_lossy(&output.stderr).trim().lines().last().unwrap_or_default().to_string()
        }
        Err(error) => error.to_string(),
    };
    step.note(&format!(
        "rustup cannot add {target} ({why}); building it from Debian's source of the standard library"
    ));
    step.say("building the standard library (about two minutes)");
    let script = root.join("xtask/wasm-std.sh");
    let output = Command::new("bash")
        .arg(&script)
        .arg(target)
        .current_dir(root)
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("cannot run {}", script.display()))?;
    if !output.status.success() || !has_core(&library) {
        bail!(
            "no standard library for {target}: rustup: {why}; {}: {}\nrun `rustup target add {target}` where the network \
             allows it, then this again",
            script.display(),
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    Ok(true)
}

/// Where the active toolchain keeps the target's libraries.
fn library(root: &Path, target: &str) -> Result<PathBuf> {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = Command::new(&rustc)
        .args(["--print", "sysroot"])
        .current_dir(root)
        .output()
        .context("cannot run rustc; install Rust 1.95 with rustup")?;
    if !output.status.success() {
        bail!("rustc --print sysroot failed: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    let sysroot = String::from_utf8(output.stdout).context("the toolchain's path is not UTF-8")?;
    Ok(Path::new(sysroot.trim()).join("lib/rustlib").join(target).join("lib"))
}

fn has_core(library: &Path) -> bool {
    fs::read_dir(library).is_ok_and(|entries| {
        entries.flatten().any(|entry| {
            let name = entry.file_name();
            let name = name.to_string_lossy();
            name.starts_with("libcore-") && name.ends_with(".rlib")
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_there_when_its_core_is() -> Result<()> {
        let folder = tempfile::tempdir()?;
        assert!(!has_core(&folder.path().join("none")));
        assert!(!has_core(folder.path()));
        fs::write(folder.path().join("libcore-0123.rlib"), "")?;
        assert!(has_core(folder.path()));
        Ok(())
    }
}

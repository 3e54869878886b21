//! `cargo xtask chaos`: workflows while their process is killed again and again. The test itself is `tests/chaos`.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::cargo;
use crate::setup::{self, Build, Wanted};
use pawl_fetch::catalogue;

/// Sets everything up and runs it with these arguments.
pub(crate) fn run(root: &Path, arguments: &[String]) -> Result<()> {
    setup::run(
        root,
        &Wanted { models: catalogue::TESTED.to_vec(), encoder: false, cuda: false, build: Build::Product },
    )?;
    let program = root.join(cargo::target(root)).join("release/chaos");
    let mut command = Command::new(&program);
    let status = cargo::clean(&mut command).args(arguments).status();
    let status = status.with_context(|| format!("cannot run {}", program.display()))?;
    if !status.success() {
        bail!("chaos found something ({status})");
    }
    Ok(())
}

//! `cargo xtask chaos`: workflows while their process is killed again and again. The test itself is `tests/chaos`.

use std::path::Path;

use anyhow::{Result, bail};

use crate::setup::{self, Build, Wanted};
use crate::{cargo, catalogue};

/// Sets everything up and runs it with these arguments.
pub(crate) fn run(root: &Path, arguments: &[String]) -> Result<()> {
    setup::run(root, &Wanted { models: catalogue::TESTED.to_vec(), build: Build::Everything })?;
    let mut command = cargo::command(root);
    command
        .args(["run", "--release", "--quiet", "--package=pawl-tests", "--bin=chaos", "--"])
        .args(arguments);
    let status = command.status()?;
    if !status.success() {
        bail!("chaos found something ({status})");
    }
    Ok(())
}

//! Where set-up has put the runtime and the models.

use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use etcetera::BaseStrategy;

/// The folders that `cargo xtask test` fills.
pub struct Home {
    /// ONNX Runtime's shared library.
    pub runtime: PathBuf,
    /// One folder per model.
    pub models: PathBuf,
}

/// `PAWL_HOME`, or the user's cache folder.
///
/// # Errors
/// Where nothing has been set up.
pub fn home() -> Result<Home> {
    let home = match std::env::var_os("PAWL_HOME") {
        Some(home) => PathBuf::from(home),
        None => etcetera::choose_base_strategy().context("no home folder")?.cache_dir().join("pawl"),
    };
    let runtime = home.join("runtime").join("libonnxruntime.so.1.32.0");
    ensure!(runtime.is_file(), "{} is missing; `cargo xtask test` fetches it", runtime.display());
    Ok(Home { runtime, models: home.join("models") })
}

//! `pawl plugin build [DIR]`: a plugin's folder into a component with its documentation inside, beside its manifest, in `dist/`.
//!
//! Invariant: `dist/` holds what can be loaded. A component gets there only after the host has loaded it, whole (through a
//! temporary file), and only when it changed.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, ensure};
use clap::Args;
use pawl_plugin::{Grant, Manifest};

use super::inspect::Subject;
use super::toolchain::Language;
use crate::config::Config;
use crate::plugins;

/// The folder within a plugin's folder that pawl.toml names as its path.
pub(super) const OUTPUT: &str = "dist";

#[derive(Debug, Args)]
pub(crate) struct Build {
    /// The plugin's folder: plugin.toml, wit/ and its source
    #[arg(default_value = ".")]
    folder: PathBuf,
}

impl Build {
    pub(crate) fn run(self, config: &Config) -> Result<ExitCode> {
        let folder = &self.folder;
        let manifest_file = folder.join("plugin.toml");
        ensure!(
            manifest_file.is_file(),
            "{} is missing: a plugin says there what it is called; `pawl plugin new` writes one",
            manifest_file.display()
        );
        let manifest = Manifest::read(&manifest_file)?;
        let name = manifest.name.clone();
        let scratch = tempfile::tempdir().context("no temporary folder")?;
        let compiled = Language::of(folder)?.compile(folder, &manifest.capabilities, scratch.path())?;
        let component = scratch.path().join(format!("{name}.wasm"));
        fs::write(&component, pawl_plugin::embed_wit(&compiled, &folder.join("wit"))?)
            .with_context(|| format!("cannot write {}", component.display()))?;
        let plugin = plugins::host(config)?.load(&component, manifest, Grant::default())?;
        let output = folder.join(OUTPUT);
        fs::create_dir_all(&output).with_context(|| format!("cannot make {}", output.display()))?;
        let file = output.join(format!("{name}.wasm"));
        publish(&component, &file)?;
        publish(&manifest_file, &output.join("plugin.toml"))?;
        Subject { plugin, file, grant: None }.print_built()?;
        Ok(ExitCode::SUCCESS)
    }
}

/// Puts a copy of a file in place, unless it is there already.
fn publish(from: &Path, to: &Path) -> Result<()> {
    let content = fs::read(from).with_context(|| format!("cannot read {}", from.display()))?;
    if fs::read(to).is_ok_and(|old| old == content) {
        return Ok(());
    }
    let write = || -> std::io::Result<()> {
        let mut temporary = tempfile::NamedTempFile::new_in(to.parent().unwrap_or(Path::new(".")))?;
        temporary.write_all(&content)?;
        // A temporary file is its owner's alone; a component is as readable as its source.
        temporary.as_file().set_permissions(fs::metadata(from)?.permissions())?;
        temporary.persist(to)?;
        Ok(())
    };
    write().with_context(|| format!("cannot write {}", to.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_unchanged_is_not_written_again() -> Result<()> {
        let folder = tempfile::tempdir()?;
        let (from, to) = (folder.path().join("from"), folder.path().join("to"));
        fs::write(&from, "one")?;
        publish(&from, &to)?;
        let old = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1);
        fs::File::options().write(true).open(&to)?.set_modified(old)?;
        publish(&from, &to)?;
        assert_eq!(to.metadata()?.modified()?, old);
        fs::write(&from, "two")?;
        publish(&from, &to)?;
        assert_eq!(fs::read(&to)?, b"two");
        Ok(())
    }
}

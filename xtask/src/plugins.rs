//! Builds the plugins: each to a component with its WIT text inside, beside its manifest, in `target/plugins/NAME/`; the tests'
//! guests likewise in `target/guests/NAME/`.
//!
//! Invariant: a file is written only when its content changes, so whoever watches modification times sees no change without one.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Error, Result, anyhow, bail};

use crate::{cargo, section};
use pawl_fetch::progress::Step;

/// The target that plugins are built for.
pub(crate) const TARGET: &str = "wasm32-wasip2";

/// A folder with the source of a plugin or a guest.
#[derive(Debug, PartialEq, Eq)]
struct Source {
    folder: PathBuf,
    /// Name of the folder, and of the plugin.
    name: String,
    /// Name of the package in its Cargo.toml.
    package: String,
}

/// Builds all plugins, and the tests' guests if wanted; returns how many.
pub(crate) fn build(root: &Path, guests: bool, step: &mut Step) -> Result<usize> {
    let target = cargo::target(root);
    let mut all = vec![(target.join("plugins"), sources(&root.join("plugins"))?)];
    if guests {
        all.push((target.join("guests"), sources(&root.join("tests/guests"))?));
    }
    let mut arguments: Vec<String> = ["--profile=plugin", "--target", TARGET].map(String::from).to_vec();
    for (_, sources) in &all {
        arguments.extend(sources.iter().flat_map(|source| ["--package".to_string(), source.package.clone()]));
    }
    cargo::build(root, &arguments, step)?;
    let built = target.join(TARGET).join("plugin");
    let mut count = 0;
    for (out, sources) in &all {
        for source in sources {
            finish(source, &built, &out.join(&source.name))
                .with_context(|| format!("cannot finish the plugin {}", source.name))?;
            count += 1;
        }
    }
    Ok(count)
}

/// The packages that are folders of `folder`, by name.
fn sources(folder: &Path) -> Result<Vec<Source>> {
    let mut sources = Vec::new();
    let entries = fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    for entry in entries {
        let folder = entry?.path();
        let manifest = folder.join("Cargo.toml");
        if manifest.is_file() {
            let text = fs::read_to_string(&manifest)
                .with_context(|| format!("cannot read {}", manifest.display()))?;
            let package =
                package_name(&text).with_context(|| format!("no package name in {}", manifest.display()))?;
            let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
            sources.push(Source { folder, name, package });
        }
    }
    sources.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(sources)
}

/// The first `name = "…"` of a Cargo.toml, which cargo itself has checked.
fn package_name(manifest: &str) -> Option<String> {
    let line = manifest.lines().find(|line| line.starts_with("name"))?;
    line.split('"').nth(1).map(str::to_string)
}

fn finish(source: &Source, built: &Path, out: &Path) -> Result<()> {
    let module = built.join(format!("{}.wasm", source.package.replace('-', "_")));
    let component = fs::read(&module)
        .with_context(|| format!("cannot read {}; is its crate-type cdylib?", module.display()))?;
    let texts = section::wit_texts(&source.folder.join("wit"))
        .map_err(|(path, error)| anyhow!("cannot read {}: {error}", path.display()))?;
    let component = section::with_sections(&component, section::WIT, &texts).map_err(Error::msg)?;
    fs::create_dir_all(out).with_context(|| format!("cannot make {}", out.display()))?;
    write_if_changed(&out.join(format!("{}.wasm", source.name)), &component)?;
    let manifest = source.folder.join("plugin.toml");
    if !manifest.is_file() {
        bail!("{} is missing: a plugin says there what it asks for", manifest.display());
    }
    write_if_changed(&out.join("plugin.toml"), &fs::read(&manifest)?)
}

/// Writes through a temporary file, so that nobody ever loads half a component.
fn write_if_changed(path: &Path, content: &[u8]) -> Result<()> {
    if fs::read(path).is_ok_and(|old| old == content) {
        return Ok(());
    }
    let temporary = path.with_extension("tmp");
    fs::write(&temporary, content)
        .and_then(|()| fs::rename(&temporary, path))
        .with_context(|| format!("cannot write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn package_is_named_by_its_manifest() {
        assert_eq!(
            package_name("[package]\nname = \"pawl-plugin-sql\"\n[lib]\nname = \"x\""),
            Some("pawl-plugin-sql".into())
        );
        assert_eq!(package_name("[workspace]"), None);
    }

    #[test]
    fn what_is_unchanged_is_not_written_again() -> Result<()> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("x.wasm");
        write_if_changed(&path, b"one")?;
        let old = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1);
        fs::File::options().write(true).open(&path)?.set_modified(old)?;
        write_if_changed(&path, b"one")?;
        assert_eq!(path.metadata()?.modified()?, old);
        write_if_changed(&path, b"two")?;
        assert_ne!(path.metadata()?.modified()?, old);
        Ok(())
    }
}

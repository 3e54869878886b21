//! Where a plugin comes from: a file or folder of this machine, or an OCI registry (`registry`).
//!
//! Invariant: where a key is given, bytes leave this file only after its signature over them was verified. Sizes are
//! bounded before anything is read.

use std::path::Path;

use super::signature::Key;
use anyhow::{Context, Result, bail, ensure};

/// What an OCI reference begins with here.
pub(super) const OCI: &str = "oci://";
/// The largest component, in bytes.
pub(super) const MAX_COMPONENT: u64 = 128 << 20;
/// The largest plugin.toml, signature or signed payload, in bytes.
pub(super) const MAX_SMALL: u64 = 64 << 10;

/// What was found, and how it is known to be what it is.
pub(crate) struct Found {
    pub(crate) component: Vec<u8>,
    /// plugin.toml, where one came with it.
    pub(crate) manifest: Option<String>,
    /// What a person is told of its origin.
    pub(crate) origin: String,
}

/// Fetches a plugin. With a key, its signature must hold; `signature` is that of a file, beside it by default.
pub(crate) async fn find(source: &str, key: Option<&Key>, signature: Option<&Path>) -> Result<Found> {
    match source.strip_prefix(OCI) {
        #[cfg(feature = "oci")]
        Some(reference) => super::registry::find(reference, key).await,
        #[cfg(not(feature = "oci"))]
        Some(_) => {
            bail!("this Pawl was built without the feature `oci`; fetch {source} otherwise, and add the file")
        }
        None => from_disk(Path::new(source), key, signature),
    }
}

fn from_disk(path: &Path, key: Option<&Key>, signature: Option<&Path>) -> Result<Found> {
    let (component, manifest) = if path.is_dir() {
        let wasm = std::fs::read_dir(path)?.filter_map(|entry| Some(entry.ok()?.path()));
        let wasm: Vec<_> = wasm.filter(|file| file.extension().is_some_and(|end| end == "wasm")).collect();
        let [component] = &wasm[..] else {
            bail!("{} holds {} .wasm files; name the one that is meant", path.display(), wasm.len());
        };
        (component.clone(), path.join("plugin.toml"))
    } else {
        (path.to_path_buf(), path.with_file_name("plugin.toml"))
    };
    let bytes = bounded(&component, MAX_COMPONENT)?;
    let mut origin = component.display().to_string();
    if let Some(key) = key {
        let file = match signature {
            Some(file) => file.to_path_buf(),
            None => component.with_added_extension("sig"),
        };
        let text = bounded(&file, MAX_SMALL).context("a key was given, so a signature is needed")?;
        let text = String::from_utf8(text).with_context(|| format!("{} is not text", file.display()))?;
        key.verify(&bytes, &text).with_context(|| format!("{}", file.display()))?;
        origin.push_str(", its signature holds");
    }
    let manifest =
        if manifest.is_file() { Some(String::from_utf8(bounded(&manifest, MAX_SMALL)?)?) } else { None };
    Ok(Found { component: bytes, manifest, origin })
}

fn bounded(file: &Path, most: u64) -> Result<Vec<u8>> {
    let length = file.metadata().with_context(|| format!("{}", file.display()))?.len();
    ensure!(length <= most, "{} has {length} bytes; {most} at most", file.display());
    std::fs::read(file).with_context(|| format!("{}", file.display()))
}

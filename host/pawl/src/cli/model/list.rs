//! `pawl model list`: what lies under the home folder, and what of the catalogue does not.

use std::fs;
use std::path::Path;
use std::process::ExitCode;

use anyhow::Result;
use indicatif::HumanBytes;
use pawl_fetch::catalogue;
use serde_json::Value;

use crate::config::Config;

/// Largest config.json that is read for it.
const MAX_CONFIG: u64 = 4 << 20;

pub(super) fn run(config: &Config) -> Result<ExitCode> {
    let folder = config.home.cache.join("models");
    let mut there = Vec::new();
    // No folder yet: no models yet.
    for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        // What begins with a dot is being made.
        if !name.starts_with('.')
            && let Some(architecture) = architecture(&entry.path())
        {
            there.push((name, architecture, HumanBytes(size(&entry.path())).to_string()));
        }
    }
    there.sort();
    let encoder = catalogue::ENCODER;
    let encoder = (encoder.name, encoder.files.iter().map(|(_, bytes, _)| bytes).sum());
    let mut missing: Vec<(&str, u64)> =
        catalogue::ALL.iter().map(|model| (model.name, model.bytes)).chain([encoder]).collect();
    missing.retain(|(missing, _)| !there.iter().any(|(name, ..)| name == missing));
    let names = there.iter().map(|(name, ..)| name.len()).chain(missing.iter().map(|(name, _)| name.len()));
    let width = names.max().unwrap_or(0);
    for (name, architecture, size) in &there {
        let served = if *name == config.model.name { "  (served)" } else { "" };
        println!("{name:width$}  {architecture:8}  {size:>10}{served}");
    }
    for (name, bytes) in missing {
        let size = HumanBytes(bytes).to_string();
        println!("{name:width$}  {:8}  {size:>10}  not there yet; pawl model pull {name}", "-");
    }
    Ok(ExitCode::SUCCESS)
}

/// `model_type` of the folder's config.json; none where it is no model's.
fn architecture(folder: &Path) -> Option<String> {
    let file = folder.join("config.json");
    file.metadata().ok().filter(|found| found.is_file() && found.len() <= MAX_CONFIG)?;
    let config: Value = serde_json::from_slice(&fs::read(file).ok()?).ok()?;
    Some(config.get("model_type").and_then(Value::as_str).unwrap_or("unknown").to_owned())
}

/// Bytes of the files in a folder and in those below it.
fn size(folder: &Path) -> u64 {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let of = |entry: fs::DirEntry| match entry.file_type() {
        Ok(kind) if kind.is_dir() => size(&entry.path()),
        _ => entry.metadata().map_or(0, |found| found.len()),
    };
    entries.map(of).sum()
}

//! Load and first call, each time in a process of its own, so that nothing is warm but the files.

use std::ffi::OsStr;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use contest::Start;
use serde::de::DeserializeOwned;

use crate::contender::{self, Files};
use crate::rounds::Series;

/// What many children said.
#[derive(Default)]
pub(crate) struct Probe {
    pub(crate) load: Series,
    pub(crate) first: Series,
    pub(crate) memory: Series,
}

/// Loads and calls once, and prints what that took.
pub(crate) fn child(key: &str, files: &Files, cache: &str) -> Result<()> {
    contest::probe(|| contender::load(key, files, (cache != "none").then(|| Path::new(cache))))
}

/// Runs the children of these contenders in turn. With a cache, a first run of each fills it and is not counted.
pub(crate) fn run(keys: &[&str], files: &Files, cache: Option<&Path>, rounds: usize) -> Result<Vec<Probe>> {
    let mut probes: Vec<Probe> = keys.iter().map(|_| Probe::default()).collect();
    let this = std::env::current_exe()?;
    let cache = cache.map_or(OsStr::new("none"), Path::as_os_str);
    for round in 0..=rounds {
        for (key, probe) in keys.iter().zip(&mut probes) {
            let (program, guest) = match *key {
                "extism" => (&files.extism_peer, files.extism.as_os_str()),
                _ => (&this, files.folder().as_os_str()),
            };
            let said: Start = ask(program, &["probe".as_ref(), key.as_ref(), guest, cache])?;
            if round > 0 {
                probe.load.0.push(said.load);
                probe.first.0.push(said.first);
                probe.memory.0.push(said.memory);
            }
        }
    }
    Ok(probes)
}

/// Runs a program and reads the JSON that it prints.
pub(crate) fn ask<T: DeserializeOwned>(program: &Path, arguments: &[&OsStr]) -> Result<T> {
    let output = Command::new(program).args(arguments).stderr(Stdio::inherit()).output()?;
    ensure!(output.status.success(), "{arguments:?} failed ({})", output.status);
    serde_json::from_slice(&output.stdout).with_context(|| format!("{arguments:?} said nonsense"))
}

//! Load and first call, each time in a process of its own, so that nothing is warm but the files.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::contender::{self, Files};
use crate::rounds::{Series, micros};
use crate::workload;

/// What a child says of itself.
#[derive(Serialize, Deserialize)]
struct Said {
    /// Milliseconds until it could be called.
    load: f64,
    /// Microseconds of the first call.
    first: f64,
    /// Peak resident memory of the process, MiB.
    memory: f64,
}

/// What many children said.
#[derive(Default)]
pub(crate) struct Probe {
    pub(crate) load: Series,
    pub(crate) first: Series,
    pub(crate) memory: Series,
}

/// Loads and calls once, and prints what that took.
pub(crate) fn child(key: &str, files: &Files, cache: &str) -> Result<()> {
    let cache = (cache != "none").then(|| Path::new(cache));
    let work = workload::small();
    let begun = Instant::now();
    let mut contender = contender::load(key, files, cache)?;
    let load = micros(&begun.elapsed()) / 1000.0;
    let begun = Instant::now();
    contender.call(work.function, &work.arguments)?;
    let said = Said { load, first: micros(&begun.elapsed()), memory: peak_memory()? };
    println!("{}", serde_json::to_string(&said)?);
    Ok(())
}

/// Runs the children of these contenders in turn. With a cache, a first run of each fills it and is not counted.
pub(crate) fn run(keys: &[&str], files: &Files, cache: Option<&Path>, rounds: usize) -> Result<Vec<Probe>> {
    let mut probes: Vec<Probe> = keys.iter().map(|_| Probe::default()).collect();
    let folder = files.folder().to_string_lossy().into_owned();
    let cache = cache.map_or("none".into(), Path::to_string_lossy);
    for round in 0..=rounds {
        for (key, probe) in keys.iter().zip(&mut probes) {
            let said: Said = ask(&["probe", key, &folder, &cache])?;
            if round > 0 {
                probe.load.0.push(said.load);
                probe.first.0.push(said.first);
                probe.memory.0.push(said.memory);
            }
        }
    }
    Ok(probes)
}

/// Runs this program and reads the JSON that it prints.
pub(crate) fn ask<T: DeserializeOwned>(arguments: &[&str]) -> Result<T> {
    let program = std::env::current_exe()?;
    let output = Command::new(program).args(arguments).stderr(Stdio::inherit()).output()?;
    ensure!(output.status.success(), "{} failed ({})", arguments.join(" "), output.status);
    serde_json::from_slice(&output.stdout).with_context(|| format!("{} said nonsense", arguments.join(" ")))
}

/// Of this process, MiB.
pub(crate) fn peak_memory() -> Result<f64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("no VmHWM")?;
    let kib: f64 = line.trim().trim_end_matches(" kB").parse()?;
    Ok(kib / 1024.0)
}

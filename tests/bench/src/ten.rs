//! A start with ten plugins whose compiled code is in the cache, in a new process each time, loaded as the binary does:
//! a thread a plugin.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use contest::{micros, peak_memory};
use pawl_plugin::{Grant, Host, HostOptions, Manifest};
use serde::{Deserialize, Serialize};

use crate::contender;
use crate::probe;
use crate::rounds::Series;

const PLUGINS: usize = 10;

#[derive(Serialize, Deserialize)]
struct Said {
    /// Milliseconds for the engine and the linker.
    host: f64,
    /// Milliseconds until all plugins can be called, the engine included.
    ready: f64,
    /// Peak resident memory of the process, MiB.
    memory: f64,
}

/// What the starts took.
#[derive(Default)]
pub(crate) struct Starts {
    pub(crate) host: Series,
    pub(crate) ready: Series,
    pub(crate) memory: Series,
    /// Bytes of the ten components.
    pub(crate) bytes: u64,
}

/// Starts so many times after one start that compiles.
pub(crate) fn run(plugins: &Path, starts: usize) -> Result<Starts> {
    let folder = tempfile::tempdir()?;
    let mut all = Starts { bytes: copies(plugins, folder.path())?, ..Starts::default() };
    let program = std::env::current_exe()?;
    for start in 0..=starts {
        let said: Said = probe::ask(&program, &["ten".as_ref(), folder.path().as_os_str()])?;
        if start > 0 {
            all.host.0.push(said.host);
            all.ready.0.push(said.ready);
            all.memory.0.push(said.memory);
        }
    }
    Ok(all)
}

/// Ten components that differ, of the plugins there are in turn; gives their bytes.
fn copies(plugins: &Path, folder: &Path) -> Result<u64> {
    let mut sources: Vec<PathBuf> = fs::read_dir(plugins)
        .with_context(|| format!("cannot read {}; build the plugins first", plugins.display()))?
        .map(|entry| Ok(entry?.path()))
        .collect::<Result<_>>()?;
    sources.sort();
    ensure!(!sources.is_empty(), "no plugin in {}", plugins.display());
    let mut bytes = 0;
    for (number, source) in sources.iter().cycle().take(PLUGINS).enumerate() {
        let name = source.file_name().context("a plugin's folder has a name")?;
        let mut component = fs::read(source.join(name).with_extension("wasm"))?;
        // A custom section `n` with the number.
        component.extend_from_slice(&[0, 3, 1, b'n', u8::try_from(number)?]);
        bytes += component.len() as u64;
        let copy = folder.join(format!("plugins/{number}"));
        fs::create_dir_all(&copy)?;
        fs::write(copy.join("plugin.wasm"), component)?;
        fs::copy(source.join("plugin.toml"), copy.join("plugin.toml"))?;
    }
    Ok(bytes)
}

/// Loads the plugins of a folder and prints what that took.
pub(crate) fn child(folder: &Path) -> Result<()> {
    let begun = Instant::now();
    let host = Host::new(HostOptions {
        compiled: Some(folder.join("compiled")),
        compiler: Some(contender::pawl::compiler()?),
        keyvalue: folder.join("keyvalue.sqlite"),
    })?;
    let made = micros(&begun.elapsed()) / 1000.0;
    let load = |number: usize| {
        let plugin = folder.join(format!("plugins/{number}"));
        let manifest = Manifest::read(&plugin.join("plugin.toml"))?;
        host.load(&plugin.join("plugin.wasm"), manifest, Grant::default()).map_err(anyhow::Error::from)
    };
    let loaded = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..PLUGINS).map(|number| scope.spawn(move || load(number))).collect();
        threads
            .into_iter()
            .map(|thread| thread.join().ok().context("loading panicked")?)
            .collect::<Result<Vec<_>>>()
    })?;
    let ready = micros(&begun.elapsed()) / 1000.0;
    ensure!(loaded.len() == PLUGINS);
    println!("{}", serde_json::to_string(&Said { host: made, ready, memory: peak_memory()? })?);
    Ok(())
}

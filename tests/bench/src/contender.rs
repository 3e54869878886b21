//! Who is measured, behind one trait ([`contest::Contender`]). Extism lives in a process of its own, which times itself.

mod native;
pub(crate) mod pawl;
mod process;
mod typed;

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use contest::Contender;
use contest::remote::Remote;
use tokio::runtime::Runtime;

/// Where the guests are.
pub(crate) struct Files {
    pub(crate) component: PathBuf,
    pub(crate) manifest: PathBuf,
    pub(crate) extism: PathBuf,
    pub(crate) extism_peer: PathBuf,
    pub(crate) process: PathBuf,
}

impl Files {
    /// The guests in a folder.
    pub(crate) fn new(folder: impl AsRef<Path>) -> Files {
        let folder = folder.as_ref();
        Files {
            component: folder.join("shop_component.wasm"),
            manifest: folder.join("plugin.toml"),
            extism: folder.join("shop_extism.wasm"),
            extism_peer: folder.join("extism-peer"),
            process: folder.join("shop-process"),
        }
    }

    /// The folder that they are in.
    pub(crate) fn folder(&self) -> &Path {
        self.component.parent().unwrap_or(Path::new("."))
    }
}

/// A contender as the tables name it.
pub(crate) struct Kind {
    /// As this program's own arguments name it.
    pub(crate) key: &'static str,
    pub(crate) title: &'static str,
    /// Calls in a round are divided by this.
    pub(crate) slow: usize,
}

const fn kind(key: &'static str, title: &'static str, slow: usize) -> Kind {
    Kind { key, title, slow }
}

/// All of them, in the order of the tables.
pub(crate) const ALL: &[Kind] = &[
    kind("pawl", "**Pawl**: fresh instance, on a blocking thread", 1),
    kind("typed", "wasmtime, typed: fresh instance, on the caller's thread", 1),
    kind("typed-task", "wasmtime, typed: fresh instance, on a blocking thread", 1),
    kind("typed-reused", "wasmtime, typed: one instance for all calls", 1),
    kind("extism", "Extism: one instance for all calls (its default)", 1),
    kind("extism-fresh", "Extism: fresh `Plugin` from a `CompiledPlugin`", 4),
    kind("native", "a Rust function, serde in and out", 1),
    kind("native-task", "the same, on a blocking thread", 1),
    kind("process", "a subprocess that stays, JSON lines", 1),
    kind("process-fresh", "a subprocess per call", 4),
];

/// Sets a contender up: everything until it can be called. `cache` is a folder for compiled code; without one it is
/// compiled.
pub(crate) fn load(key: &str, files: &Files, cache: Option<&Path>) -> Result<Box<dyn Contender>> {
    Ok(match key {
        "pawl" => Box::new(pawl::Pawl::load(files, cache, runtime()?)?),
        "typed" => Box::new(typed::Fresh(typed::Loaded::load(&files.component)?)),
        "typed-task" => Box::new(typed::Task(typed::Loaded::load(&files.component)?, runtime()?)),
        "typed-reused" => Box::new(typed::Reused::new(typed::Loaded::load(&files.component)?)?),
        "extism" | "extism-fresh" => {
            let cache = cache.map_or(OsStr::new("none"), Path::as_os_str);
            let arguments = ["serve".as_ref(), key.as_ref(), files.extism.as_os_str(), cache];
            let arguments = arguments.map(OsStr::to_owned).to_vec();
            Box::new(Remote::start(files.extism_peer.clone(), arguments)?)
        }
        "native" => Box::new(native::Native),
        "native-task" => Box::new(native::Task(runtime()?)),
        "process" => Box::new(process::Kept::start(&files.process)?),
        "process-fresh" => Box::new(process::Fresh(files.process.clone())),
        other => bail!("there is no contender {other}"),
    })
}

/// As the server has it, with two workers.
fn runtime() -> Result<Arc<Runtime>> {
    Ok(Arc::new(tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?))
}

/// Makes calls from a task, one after the other, each on a blocking thread; gives what each took, and the last result.
fn on_task(
    runtime: &Runtime,
    calls: usize,
    call: impl Fn() -> Result<String> + Send + Sync + 'static,
) -> Result<(Vec<Duration>, Option<String>)> {
    let call = Arc::new(call);
    let task = async move {
        let (mut times, mut last) = (Vec::with_capacity(calls), None);
        for _ in 0..calls {
            let begun = Instant::now();
            let call = Arc::clone(&call);
            let result = tokio::task::spawn_blocking(move || call()).await.context("the call panicked")??;
            times.push(begun.elapsed());
            last = Some(result);
        }
        anyhow::Ok((times, last))
    };
    runtime.block_on(runtime.spawn(task)).context("the task panicked")?
}

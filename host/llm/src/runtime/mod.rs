//! ONNX Runtime: the only room that names `ort`.
//!
//! Here the library and a session; `providers.rs` says what computes it. `graph.rs` runs graphs of ONNX Runtime's operators
//! (exports, our portable imports; `interface.rs` reads what they want), `paged.rs` those of our own, which are
//! `operators.rs`; `encoder.rs` makes vectors of texts.

mod encoder;
mod graph;
mod interface;
mod operators;
mod paged;
mod providers;

use std::{
    collections::BTreeMap,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};

use ort::{
    environment::Environment,
    logging::LogLevel,
    session::{
        Session,
        builder::{GraphOptimizationLevel, SessionBuilder},
    },
};

pub use self::providers::Provider;
pub(crate) use self::{encoder::Encoder, graph::Graph, operators::DOMAIN, paged::Paged};
use crate::{Error, cpu::Simd};

/// The metadata key by which a graph says how its KV cache is kept: `paged`, `shared`, or else growing.
const KV_CACHE_KEY: &str = "pawl.kv_cache";

/// The ONNX Runtime library, loaded once per process. A cheap handle.
#[derive(Clone)]
pub struct Runtime {
    environment: Environment,
    version: Arc<str>,
}

static LOADED: Mutex<Option<Runtime>> = Mutex::new(None);

impl Runtime {
    /// Loads the shared library (`libonnxruntime.so.1.24` or newer). A second call in the process returns the first
    /// library, whatever its path.
    pub fn load(library: &Path) -> Result<Runtime, Error> {
        let mut loaded = LOADED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(runtime) = &*loaded {
            return Ok(runtime.clone());
        }
        let failed = |message: String| Error::Runtime { library: library.to_path_buf(), message };
        if !library.is_file() {
            return Err(failed("there is no such file; `cargo xtask start` fetches it".into()));
        }
        let environment = ort::init_from(library)
            .map_err(|e| failed(e.to_string()))?
            .with_telemetry(false)
            .build()
            .map_err(|e| failed(e.to_string()))?;
        environment.set_log_level(LogLevel::Error);
        let version = library_version(ort::info(), library);
        let runtime = Runtime { environment, version: version.into() };
        *loaded = Some(runtime.clone());
        Ok(runtime)
    }

    /// The execution providers that the library was built with; their own libraries may still be missing.
    pub fn providers(&self) -> Vec<Provider> {
        Provider::built_in()
    }

    /// Whether these execution providers can be used here, with all that they need.
    pub fn check(&self, providers: &[Provider]) -> Result<(), Error> {
        let builder = Session::builder(&self.environment).map_err(inference)?;
        providers::register(builder, providers, 1).map(drop)
    }

    /// The library's own version, as in `1.32.0`; `unknown` for a build that does not tell.
    pub fn version(&self) -> &str {
        &self.version
    }
}

impl std::fmt::Debug for Runtime {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Runtime").field("version", &self.version).finish_non_exhaustive()
    }
}

/// From the build info (`git-branch=rel-1.32.0`), else from the file name (`libonnxruntime.so.1.32.0`).
fn library_version(build_info: &str, library: &Path) -> String {
    let leading = |text: &str| -> String {
        let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
        text[..end].trim_end_matches('.').to_owned()
    };
    let from_info = build_info.split("rel-").nth(1).map(leading);
    let name = library.file_name().and_then(|n| n.to_str()).unwrap_or_default();
    let from_name = name.split(".so.").nth(1).map(leading);
    let dotted = |version: &String| version.contains('.');
    from_info.filter(dotted).or(from_name.filter(dotted)).unwrap_or_else(|| "unknown".to_owned())
}

/// What the files beside a graph say of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Beside {
    /// Transformer layers.
    pub(crate) layers: usize,
    /// Key-value heads and their size, for graphs that leave them open.
    pub(crate) kv_heads: usize,
    pub(crate) head_size: usize,
}

/// How much a graph may use.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits<'a> {
    /// What computes it, in order; empty for the processor.
    pub(crate) providers: &'a [Provider],
    pub(crate) threads: usize,
    /// Tokens of a sequence.
    pub(crate) context: usize,
    /// Bytes of keys and values beside those of one whole context.
    pub(crate) kv_bytes: usize,
}

/// A graph of either kind.
pub(crate) enum Kind {
    Paged(Box<Paged>),
    Graph(Box<Graph>),
}

/// A graph, and how many of its operators each execution provider took.
pub(crate) struct Loaded {
    pub(crate) kind: Kind,
    pub(crate) shares: BTreeMap<Provider, usize>,
}

/// Loads `model.onnx` with its external data.
pub(crate) fn load(
    runtime: &Runtime,
    path: &Path,
    beside: Beside,
    limits: Limits<'_>,
) -> Result<Loaded, Error> {
    let simd = Simd::detect();
    // Our own operators are the processor's.
    let on_cpu = limits.providers.iter().all(|provider| *provider == Provider::Cpu);
    let shared = simd.filter(|_| on_cpu).map(|simd| operators::Shared::new(simd, beside.layers));
    let session = open(runtime, path, (limits.providers, limits.threads), shared.as_ref())?.map_err(|error| {
        let own = error.to_string().contains(&format!("{DOMAIN}:"));
        let hint = match (simd, own) {
            (_, false) => "",
            (None, true) => " (this processor lacks AVX2, FMA or F16C, which the folder's operators need: import the GGUF file here)",
            (Some(_), true) => " (the folder's operators are for the processor: make another folder of the GGUF file for other execution providers: `pawl model import FILE.gguf --operators device`)",
        };
        Error::ModelFile { path: path.to_path_buf(), message: format!("{error}{hint}") }
    })?;
    let shares = providers::shares(&session, limits.providers)?;
    let refused = |message: String| Error::Graph { path: path.to_path_buf(), message };
    let cache = session.metadata().ok().and_then(|metadata| metadata.custom(KV_CACHE_KEY));
    let kind = match (cache.as_deref(), shared) {
        (Some("paged"), Some(shared)) => {
            Kind::Paged(Box::new(Paged::new(session, shared, limits).map_err(refused)?))
        }
        (cache, _) => {
            let device = providers::memory(limits.providers).map_err(inference)?;
            let shared = cache == Some("shared");
            Kind::Graph(Box::new(Graph::new(session, shared, device, beside, limits).map_err(refused)?))
        }
    };
    Ok(Loaded { kind, shares })
}

fn inference(error: ort::Error) -> Error {
    Error::Inference(error.to_string())
}

/// The outer error is the providers', the inner one the file's.
fn open(
    runtime: &Runtime,
    path: &Path,
    (providers, threads): (&[Provider], usize),
    shared: Option<&Arc<operators::Shared>>,
) -> Result<ort::Result<Session>, Error> {
    let builder = || -> ort::Result<SessionBuilder> {
        let mut builder = Session::builder(&runtime.environment)?
            .with_optimization_level(GraphOptimizationLevel::All)?
            .with_intra_threads(threads.max(1))?
            .with_inter_threads(1)?
            // A plan is kept for every number of tokens that a step ever had, and takes more memory than none.
            .with_memory_pattern(false)?
            // Threads spin between the operators of a step, and not after it.
            .with_config_entry("session.force_spinning_stop", "1")?
            .with_log_level(LogLevel::Error)?;
        if let Some(shared) = shared {
            builder = builder.with_operators(operators::domain(shared)?)?;
        }
        Ok(builder)
    };
    let mut builder = providers::register(builder().map_err(inference)?, providers, threads)?;
    Ok(builder.commit_from_file(path))
}

#[cfg(test)]
mod tests;

//! ONNX Runtime: the only room that names `ort`.
//!
//! Here the library and a session. `graph.rs` runs graphs of ONNX Runtime's operators (exports, our portable imports),
//! `paged.rs` those of our own, which are `operators.rs`; `encoder.rs` makes vectors of texts.

mod encoder;
mod graph;
mod operators;
mod paged;

use std::{
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};

use ort::{
    environment::Environment,
    logging::LogLevel,
    session::{Session, builder::GraphOptimizationLevel},
};

pub(crate) use self::{encoder::Encoder, graph::Graph, operators::DOMAIN, paged::Paged};
use crate::{Error, cpu::avx2::Simd};

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
pub(crate) struct Limits {
    pub(crate) threads: usize,
    /// Tokens of a sequence.
    pub(crate) context: usize,
    /// Bytes of keys and values beside those of one whole context.
    pub(crate) kv_bytes: usize,
}

/// A graph of either kind.
pub(crate) enum Loaded {
    Paged(Box<Paged>),
    Graph(Box<Graph>),
}

/// Loads `model.onnx` with its external data.
pub(crate) fn load(runtime: &Runtime, path: &Path, beside: Beside, limits: Limits) -> Result<Loaded, Error> {
    let failed = |e: ort::Error| Error::ModelFile { path: path.to_path_buf(), message: e.to_string() };
    let shared = Simd::detect().map(|simd| operators::Shared::new(simd, beside.layers));
    let session = open(runtime, path, limits.threads, shared.as_ref()).map_err(|error| match &shared {
        Some(_) => failed(error),
        None => failed(ort::Error::new(format!(
            "{error} (this processor lacks AVX2, FMA or F16C: a folder that was imported on another one may need them; import the GGUF file here)"
        ))),
    })?;
    let refused = |message: String| Error::Graph { path: path.to_path_buf(), message };
    let kind = session.metadata().ok().and_then(|metadata| metadata.custom(KV_CACHE_KEY));
    match (kind.as_deref(), shared) {
        (Some("paged"), Some(shared)) => {
            Ok(Loaded::Paged(Box::new(Paged::new(session, shared, limits).map_err(refused)?)))
        }
        (kind, _) => {
            let graph = Graph::new(session, kind == Some("shared"), beside, limits).map_err(refused)?;
            Ok(Loaded::Graph(Box::new(graph)))
        }
    }
}

fn inference(error: ort::Error) -> Error {
    Error::Inference(error.to_string())
}

fn open(
    runtime: &Runtime,
    path: &Path,
    threads: usize,
    shared: Option<&Arc<operators::Shared>>,
) -> ort::Result<Session> {
    let mut builder = Session::builder(&runtime.environment)?
        .with_optimization_level(GraphOptimizationLevel::All)?
        .with_intra_threads(threads.max(1))?
        .with_inter_threads(1)?
        // Threads spin between the operators of a step, and not after it.
        .with_config_entry("session.force_spinning_stop", "1")?
        .with_log_level(LogLevel::Error)?;
    if let Some(shared) = shared {
        builder = builder.with_operators(operators::domain(shared)?)?;
    }
    builder.commit_from_file(path)
}

#[cfg(test)]
mod tests;

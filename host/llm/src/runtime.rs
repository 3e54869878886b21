//! ONNX Runtime: the only file that names `ort`, and the only one of this crate with `unsafe`.
//!
//! A [`Graph`] is a decoder with a KV cache. Its invariant: the first [`Graph::length`] positions of the cache hold the
//! keys and values of exactly the tokens evaluated since the last truncation, in order.
//!
//! Two ways to keep the cache, chosen by the graph's own metadata:
//! - *shared* (`pawl.kv_cache = shared`, what our import writes): past and present of a layer are one tensor
//!   `[1, heads, context, head size]` bound as input and as output, so that GroupQueryAttention appends in place.
//! - *growing* (other exports): `present.*` of one step, `[1, heads, length, head size]`, is fed back as the next
//!   `past_key_values.*` without a copy.
//!
//! Graph inputs and outputs are those of Hugging Face's `text-generation-with-past` exports.

#![expect(
    unsafe_code,
    reason = "Run is called with one tensor as input and output, which ort's safe API cannot say"
)]

use std::{
    collections::BTreeMap,
    ffi::CString,
    path::Path,
    ptr::{self, NonNull},
    sync::{Arc, Mutex, PoisonError},
};

use ort::{
    AsPointer,
    environment::Environment,
    logging::LogLevel,
    session::{Session, builder::GraphOptimizationLevel},
    value::{DynValue, Tensor, TensorElementType, TensorRef, ValueType},
};

use crate::Error;

/// The metadata key by which a graph says how its KV cache is kept, and the value that asks for one shared buffer.
const KV_CACHE_KEY: &str = "pawl.kv_cache";
const KV_CACHE_SHARED: &str = "shared";

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

/// What the graph says of itself.
#[derive(Clone, Debug)]
pub(crate) struct GraphInfo {
    /// Transformer layers.
    pub(crate) layers: usize,
    /// Columns of the logits, where the graph says so.
    pub(crate) vocabulary: Option<usize>,
    /// Whether the KV cache is one shared buffer a layer.
    pub(crate) shared: bool,
    heads: usize,
    head_size: usize,
    position_ids: bool,
    /// The rank of this input, 0 or 1, where there is one.
    num_logits_to_keep: Option<usize>,
}

/// Key-value shape that a model's config gives, for graphs that leave it open.
#[derive(Clone, Copy, Debug)]
pub(crate) struct KvShape {
    pub(crate) heads: usize,
    pub(crate) head_size: usize,
}

/// A decoder graph and its KV cache.
pub(crate) struct Graph {
    session: Session,
    info: GraphInfo,
    context: usize,
    length: usize,
    /// Key and value of each layer, in the order of `names.past`.
    cache: Vec<DynValue>,
    names: Names,
    ones: Vec<i64>,
    logits: Vec<f32>,
}

/// Keys and values of leading positions, copied out of a cache: for each tensor `[heads, length, head size]`.
pub(crate) struct Snapshot {
    length: usize,
    tensors: Vec<Vec<f32>>,
}

/// Names in the order in which values are handed to the runtime.
struct Names {
    past: Vec<String>,
    inputs: Vec<CString>,
    outputs: Vec<CString>,
}

impl Graph {
    /// Loads `model.onnx` with its external data.
    pub(crate) fn load(
        runtime: &Runtime,
        path: &Path,
        threads: usize,
        context: usize,
        kv: KvShape,
    ) -> Result<Graph, Error> {
        let session = open(runtime, path, threads)
            .map_err(|e| Error::ModelFile { path: path.to_path_buf(), message: e.to_string() })?;
        let refused = |message: String| Error::Graph { path: path.to_path_buf(), message };
        let info = inspect(&session, kv).map_err(refused)?;
        let names = Names::new(&info);
        let mut graph = Graph {
            session,
            info,
            context,
            length: 0,
            cache: Vec::new(),
            names,
            ones: vec![1; context],
            logits: Vec::new(),
        };
        graph.cache = graph.empty_cache().map_err(inference)?;
        Ok(graph)
    }

    pub(crate) fn info(&self) -> &GraphInfo {
        &self.info
    }

    /// Positions that the KV cache holds.
    pub(crate) fn length(&self) -> usize {
        self.length
    }

    /// Forgets all positions from `length` on.
    pub(crate) fn truncate(&mut self, length: usize) -> Result<(), Error> {
        if length >= self.length {
            return Ok(());
        }
        if !self.info.shared {
            self.cache = if length == 0 {
                self.empty_cache().map_err(inference)?
            } else {
                self.cut_cache(length).map_err(inference)?
            };
        }
        self.length = length;
        Ok(())
    }

    /// What a [`Snapshot`] takes for each position.
    pub(crate) fn bytes_per_position(&self) -> usize {
        self.names.past.len() * self.info.heads * self.info.head_size * size_of::<f32>()
    }

    /// Copies the first `length` positions, of those that the cache holds.
    pub(crate) fn snapshot(&self, length: usize) -> Result<Snapshot, Error> {
        let length = length.min(self.length);
        let tensors = self.cache.iter().map(|value| self.leading(value, length));
        Ok(Snapshot { length, tensors: tensors.collect::<ort::Result<_>>().map_err(inference)? })
    }

    /// Makes the first `length` positions of a snapshot of this graph all that the cache holds.
    pub(crate) fn restore(&mut self, snapshot: &Snapshot, length: usize) -> Result<(), Error> {
        let length = length.min(snapshot.length);
        let GraphInfo { heads, head_size, shared, .. } = self.info;
        let whole = snapshot.length * head_size;
        // Until all is copied, the cache holds nothing.
        self.length = 0;
        for (value, kept) in self.cache.iter_mut().zip(&snapshot.tensors) {
            let rows = kept.chunks_exact(whole.max(1)).map(|row| &row[..length * head_size]);
            if shared {
                let (_, values) = value.try_extract_tensor_mut::<f32>().map_err(inference)?;
                for (to, from) in values.chunks_exact_mut(self.context * head_size).zip(rows) {
                    to[..from.len()].copy_from_slice(from);
                }
            } else {
                let values: Vec<f32> = rows.flatten().copied().collect();
                let tensor = Tensor::from_array(([1, heads, length, head_size], values));
                *value = tensor.map_err(inference)?.into_dyn();
            }
        }
        self.length = length;
        Ok(())
    }

    /// The logits `[vocabulary]` after the token evaluated last.
    pub(crate) fn logits(&self) -> &[f32] {
        &self.logits
    }

    /// Appends `tokens` (at least one; they must fit the context) and returns the logits `[vocabulary]` after the last.
    pub(crate) fn evaluate(&mut self, tokens: &[u32]) -> Result<&[f32], Error> {
        let total = self.length + tokens.len();
        if tokens.is_empty() || total > self.context {
            let message = format!("{total} positions asked for in a context of {}", self.context);
            return Err(Error::Inference(message));
        }
        let (logits, present) = self.run(tokens).map_err(inference)?;
        let (shape, values) = logits.try_extract_tensor::<f32>().map_err(inference)?;
        let columns = shape.last().map_or(0, |n| usize::try_from(*n).unwrap_or(0));
        if columns == 0 || values.len() < columns {
            return Err(Error::Inference(format!("logits of shape {shape:?}; one row at least is needed")));
        }
        self.logits.clear();
        self.logits.extend_from_slice(&values[values.len() - columns..]);
        if !self.info.shared {
            self.cache = present;
        }
        self.length = total;
        Ok(&self.logits)
    }

    /// One call of the runtime: the logits, and for a growing cache the new one.
    fn run(&mut self, tokens: &[u32]) -> ort::Result<(DynValue, Vec<DynValue>)> {
        let (count, total) = (tokens.len(), self.length + tokens.len());
        let ids: Vec<i64> = tokens.iter().map(|&t| i64::from(t)).collect();
        let positions: Vec<i64> = (self.length..total).map(|p| p as i64).collect();
        let ids = TensorRef::from_array_view(([1, count], &*ids))?;
        let mask = TensorRef::from_array_view(([1, total], &self.ones[..total]))?;
        let positions = TensorRef::from_array_view(([1, count], &*positions))?;
        let keep_shape = vec![1_usize; self.info.num_logits_to_keep.unwrap_or(1)];
        let keep = Tensor::<i64>::from_array((keep_shape, vec![1]))?;

        let mut inputs = vec![ids.ptr(), mask.ptr()];
        if self.info.position_ids {
            inputs.push(positions.ptr());
        }
        if self.info.num_logits_to_keep.is_some() {
            inputs.push(keep.ptr());
        }
        inputs.extend(self.cache.iter().map(|value| value.ptr()));
        let mut outputs = vec![ptr::null_mut(); self.names.outputs.len()];
        if self.info.shared {
            for (output, value) in outputs[1..].iter_mut().zip(&mut self.cache) {
                *output = value.ptr_mut();
            }
        }

        let input_names: Vec<_> = self.names.inputs.iter().map(|n| n.as_ptr()).collect();
        let output_names: Vec<_> = self.names.outputs.iter().map(|n| n.as_ptr()).collect();
        assert_eq!(input_names.len(), inputs.len(), "as many input names as values");
        // SAFETY: names and values are as many as said and live until the call returns; `&mut self` keeps other calls
        // of this session out. A shared cache tensor is input and output of the same node, which the graph allows by
        // its metadata (GroupQueryAttention's in-place mode).
        unsafe {
            ort::Error::result_from_status((ort::api().Run)(
                self.session.ptr().cast_mut(),
                ptr::null(),
                input_names.as_ptr(),
                inputs.as_ptr(),
                inputs.len(),
                output_names.as_ptr(),
                output_names.len(),
                outputs.as_mut_ptr(),
            ))?;
        }
        let fresh = if self.info.shared { &outputs[..1] } else { &outputs[..] };
        let mut values = Vec::with_capacity(fresh.len());
        for &output in fresh {
            let output =
                NonNull::new(output).ok_or_else(|| ort::Error::new("the runtime returned no output"))?;
            // SAFETY: a fresh OrtValue that the runtime handed over, made by this session's allocator; wrapped once.
            values.push(unsafe { DynValue::from_ptr(output, Some(self.session.allocator())) });
        }
        let logits = values.remove(0);
        Ok((logits, values))
    }

    /// A cache of zero positions; for the shared kind, of the whole context, in memory that is touched when written.
    fn empty_cache(&self) -> ort::Result<Vec<DynValue>> {
        let GraphInfo { heads, head_size, shared, .. } = self.info;
        let length = if shared { self.context } else { 0 };
        let shape = [1, heads, length, head_size];
        let tensor = || -> ort::Result<DynValue> {
            Ok(if shared {
                Tensor::from_array((shape, vec![0_f32; heads * length * head_size]))?.into_dyn()
            } else {
                Tensor::<f32>::new(self.session.allocator(), shape)?.into_dyn()
            })
        };
        self.names.past.iter().map(|_| tensor()).collect()
    }

    /// The first `length` positions of a growing cache, copied.
    fn cut_cache(&self, length: usize) -> ort::Result<Vec<DynValue>> {
        let shape = [1, self.info.heads, length, self.info.head_size];
        let cut = |value: &DynValue| -> ort::Result<DynValue> {
            Ok(Tensor::from_array((shape, self.leading(value, length)?))?.into_dyn())
        };
        self.cache.iter().map(cut).collect()
    }

    /// The first `length` positions of one tensor of the cache.
    fn leading(&self, value: &DynValue, length: usize) -> ort::Result<Vec<f32>> {
        let GraphInfo { head_size, shared, .. } = self.info;
        let (_, values) = value.try_extract_tensor::<f32>()?;
        let positions = if shared { self.context } else { self.length };
        let rows = values.chunks_exact((positions * head_size).max(1));
        Ok(rows.flat_map(|row| &row[..length * head_size]).copied().collect())
    }
}

impl Names {
    fn new(info: &GraphInfo) -> Names {
        let layers = 0..info.layers;
        let of = |prefix: &str| -> Vec<String> {
            let both = |layer: usize| ["key", "value"].map(|kind| format!("{prefix}.{layer}.{kind}"));
            layers.clone().flat_map(both).collect()
        };
        let past = of("past_key_values");
        let mut inputs = vec!["input_ids".to_owned(), "attention_mask".to_owned()];
        if info.position_ids {
            inputs.push("position_ids".to_owned());
        }
        if info.num_logits_to_keep.is_some() {
            inputs.push("num_logits_to_keep".to_owned());
        }
        inputs.extend(past.iter().cloned());
        let mut outputs = vec!["logits".to_owned()];
        outputs.extend(of("present"));
        let c_strings = |names: Vec<String>| {
            // Names made above hold no NUL.
            names.into_iter().filter_map(|name| CString::new(name).ok()).collect()
        };
        Names { past, inputs: c_strings(inputs), outputs: c_strings(outputs) }
    }
}

fn inference(error: ort::Error) -> Error {
    Error::Inference(error.to_string())
}

fn open(runtime: &Runtime, path: &Path, threads: usize) -> ort::Result<Session> {
    Session::builder(&runtime.environment)?
        .with_optimization_level(GraphOptimizationLevel::All)?
        .with_intra_threads(threads.max(1))?
        .with_inter_threads(1)?
        // Threads that spin between operators take the cores from what runs beside the model: 13 tokens/s against 9 on
        // two busy cores.
        .with_intra_op_spinning(false)?
        .with_log_level(LogLevel::Error)?
        .commit_from_file(path)
}

/// Reads inputs, outputs and metadata; a message for what this crate cannot feed or use.
fn inspect(session: &Session, kv: KvShape) -> Result<GraphInfo, String> {
    let inputs: BTreeMap<&str, &ValueType> = session.inputs().iter().map(|i| (i.name(), i.dtype())).collect();
    let outputs: BTreeMap<&str, &ValueType> =
        session.outputs().iter().map(|o| (o.name(), o.dtype())).collect();
    let layers =
        (0..).take_while(|l| inputs.contains_key(format!("past_key_values.{l}.key").as_str())).count();
    if layers == 0 {
        return Err("it has no input `past_key_values.0.key`; export it as text-generation-with-past".into());
    }
    let shared =
        session.metadata().ok().and_then(|m| m.custom(KV_CACHE_KEY)).as_deref() == Some(KV_CACHE_SHARED);
    let dimension = |name: &str, axis: usize| -> Option<usize> {
        let shape = inputs.get(name).or(outputs.get(name))?.tensor_shape()?;
        usize::try_from(*shape.get(axis)?).ok().filter(|&n| n > 0)
    };
    let info = GraphInfo {
        layers,
        shared,
        vocabulary: dimension("logits", 2),
        heads: dimension("past_key_values.0.key", 1).unwrap_or(kv.heads),
        head_size: dimension("past_key_values.0.key", 3).unwrap_or(kv.head_size),
        position_ids: inputs.contains_key("position_ids"),
        num_logits_to_keep: inputs
            .get("num_logits_to_keep")
            .map(|value| value.tensor_shape().map_or(0, |shape| shape.len())),
    };
    let names = Names::new(&info);
    let known = |name: &str, list: &[CString]| list.iter().any(|n| n.as_bytes() == name.as_bytes());
    let unknown: Vec<_> = inputs.keys().filter(|name| !known(name, &names.inputs)).collect();
    if !unknown.is_empty() {
        return Err(format!("it wants inputs that are not known here: {unknown:?}"));
    }
    for name in names.inputs.iter().chain(&names.outputs).map(|n| n.to_string_lossy()) {
        let Some(value) = inputs.get(&*name).or(outputs.get(&*name)) else {
            return Err(format!("it has no input or output `{name}`"));
        };
        let float = !matches!(&*name, "input_ids" | "attention_mask" | "position_ids" | "num_logits_to_keep");
        let wanted = if float { TensorElementType::Float32 } else { TensorElementType::Int64 };
        let found = value.tensor_type();
        if found != Some(wanted) {
            return Err(format!(
                "`{name}` is {found:?}, only {wanted:?} is supported; take the f32 or q4 export"
            ));
        }
    }
    if info.heads == 0 || info.head_size == 0 {
        return Err("the shape of `past_key_values.0.key` is open and config.json does not give it".into());
    }
    Ok(info)
}

#[cfg(test)]
#[path = "runtime_tests.rs"]
mod tests;

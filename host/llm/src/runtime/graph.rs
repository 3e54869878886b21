//! A graph of ONNX Runtime's operators: Hugging Face's `text-generation-with-past` exports, and our portable imports.
//!
//! One sequence at a time, each with a cache of its own. Two ways to keep it, chosen by the graph's own metadata:
//! - *shared* (`pawl.kv_cache = shared`): past and present of a layer are one tensor `[1, heads, capacity, head size]` bound
//!   as input and as output, so that GroupQueryAttention appends in place.
//! - *growing* (other exports): `present.*` of one step, `[1, heads, length, head size]`, is fed back as the next
//!   `past_key_values.*` without a copy.
//!
//! Invariants: a cache holds the keys and values of exactly its sequence's first `length` tokens, in order. The runtime's
//! results for a position do not depend on how many positions are evaluated together, except that one alone takes another
//! path, with other rounding; so that the same request gives the same answer whatever ran before, only the positions before
//! the first that was evaluated alone (`steady`) serve later sequences, and the last of a prompt is not evaluated alone.

#![expect(
    unsafe_code,
    reason = "Run is called with one tensor as input and output, which ort's safe API cannot say"
)]

use std::{
    collections::BTreeMap,
    ffi::CString,
    ptr::{self, NonNull},
};

use ort::{
    AsPointer,
    session::Session,
    value::{DynValue, Tensor, TensorElementType, TensorRef, ValueType},
};
use toktrie::TokenId;

use super::{Beside, Limits, inference};
use crate::{
    Error,
    backend::{Backend, Part},
    pages::common,
};

/// Fewer tokens than this are evaluated again sooner than their cache is kept.
const WORTH: usize = 64;

/// What the graph says of itself.
#[derive(Clone, Debug)]
pub(crate) struct GraphInfo {
    pub(crate) layers: usize,
    /// Columns of the logits, where the graph says so.
    pub(crate) vocabulary: Option<usize>,
    /// Whether the cache is one shared buffer a layer.
    pub(crate) shared: bool,
    heads: usize,
    head_size: usize,
    position_ids: bool,
    /// The rank of this input, 0 or 1, where there is one.
    num_logits_to_keep: Option<usize>,
}

/// The graph, and what was kept of earlier sequences.
pub(crate) struct Graph {
    session: Session,
    info: GraphInfo,
    context: usize,
    names: Names,
    ones: Vec<i64>,
    /// Of the parts of the last step that wanted any.
    logits: Vec<Vec<f32>>,
    /// The one used last at the end.
    kept: Vec<(Vec<TokenId>, Cache)>,
    kv_bytes: usize,
}

/// Keys and values of one sequence.
pub(crate) struct Cache {
    /// Key and value of each layer, in the order of `names.past`.
    values: Vec<DynValue>,
    length: usize,
    /// Leading positions that were not evaluated alone.
    steady: usize,
}

/// Names in the order in which values are handed to the runtime.
struct Names {
    past: Vec<String>,
    inputs: Vec<CString>,
    outputs: Vec<CString>,
}

impl Graph {
    /// A message where the graph wants or gives what cannot be handled.
    pub(super) fn new(
        session: Session,
        shared: bool,
        beside: Beside,
        limits: Limits,
    ) -> Result<Graph, String> {
        let info = inspect(&session, shared, beside)?;
        let names = Names::new(&info);
        Ok(Graph {
            session,
            info,
            context: limits.context,
            names,
            ones: vec![1; limits.context],
            logits: Vec::new(),
            kept: Vec::new(),
            kv_bytes: limits.kv_bytes,
        })
    }

    pub(crate) fn info(&self) -> &GraphInfo {
        &self.info
    }

    fn bytes_per_position(&self) -> usize {
        self.names.past.len() * self.info.heads * self.info.head_size * size_of::<f32>()
    }

    /// Appends `tokens` (at least one; they must fit the context) and returns the logits `[vocabulary]` after the last.
    fn append(&mut self, cache: &mut Cache, tokens: &[TokenId]) -> Result<Vec<f32>, Error> {
        let total = cache.length + tokens.len();
        if tokens.is_empty() || total > self.context {
            let message = format!("{total} positions asked for in a context of {}", self.context);
            return Err(Error::Inference(message));
        }
        let (logits, present) = self.run(cache, tokens).map_err(inference)?;
        let (shape, values) = logits.try_extract_tensor::<f32>().map_err(inference)?;
        let columns = shape.last().map_or(0, |n| usize::try_from(*n).unwrap_or(0));
        if columns == 0 || values.len() < columns {
            return Err(Error::Inference(format!("logits of shape {shape:?}; one row at least is needed")));
        }
        let last = values[values.len() - columns..].to_vec();
        if !self.info.shared {
            cache.values = present;
        }
        if cache.length <= cache.steady && (tokens.len() > 1 || cache.length == 0) {
            cache.steady = total;
        }
        cache.length = total;
        Ok(last)
    }

    /// One call of the runtime: the logits, and for a growing cache the new one.
    fn run(&mut self, cache: &mut Cache, tokens: &[TokenId]) -> ort::Result<(DynValue, Vec<DynValue>)> {
        let (count, total) = (tokens.len(), cache.length + tokens.len());
        let ids: Vec<i64> = tokens.iter().map(|&t| i64::from(t)).collect();
        let positions: Vec<i64> = (cache.length..total).map(|p| p as i64).collect();
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
        inputs.extend(cache.values.iter().map(|value| value.ptr()));
        let mut outputs = vec![ptr::null_mut(); self.names.outputs.len()];
        if self.info.shared {
            for (output, value) in outputs[1..].iter_mut().zip(&mut cache.values) {
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
    fn empty_cache(&self) -> ort::Result<Cache> {
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
        let values = self.names.past.iter().map(|_| tensor()).collect::<ort::Result<_>>()?;
        Ok(Cache { values, length: 0, steady: 0 })
    }

    /// The first `length` positions of a cache, copied.
    fn beginning(&self, cache: &Cache, length: usize) -> ort::Result<Cache> {
        let GraphInfo { heads, head_size, shared, .. } = self.info;
        let positions = if shared { self.context } else { cache.length };
        let cut = |value: &DynValue| -> ort::Result<DynValue> {
            let (_, values) = value.try_extract_tensor::<f32>()?;
            let rows = values.chunks_exact((positions * head_size).max(1));
            let room = if shared { self.context } else { length };
            let mut copy = vec![0.0; heads * room * head_size];
            for (row, copy) in rows.zip(copy.chunks_exact_mut((room * head_size).max(1))) {
                copy[..length * head_size].copy_from_slice(&row[..length * head_size]);
            }
            Ok(Tensor::from_array(([1, heads, room, head_size], copy))?.into_dyn())
        };
        let values = cache.values.iter().map(cut).collect::<ort::Result<_>>()?;
        Ok(Cache { values, length, steady: cache.steady.min(length) })
    }
}

impl Backend for Graph {
    type Sequence = Cache;

    const EXACT: bool = false;

    fn open(&mut self, prompt: &[TokenId], reuse: bool) -> Result<Cache, Error> {
        // The logits of the last are wanted, and it is not evaluated alone.
        let most = if reuse { prompt.len().saturating_sub(2) } else { 0 };
        let known = self.kept.iter().map(|(tokens, _)| common(tokens, prompt).min(most));
        let best = known.enumerate().max_by_key(|(_, length)| *length).filter(|(_, length)| *length >= WORTH);
        let Some((index, length)) = best else { return self.empty_cache().map_err(inference) };
        let (tokens, mut cache) = self.kept.remove(index);
        if length * 2 >= tokens.len() {
            self.truncate(&mut cache, length)?;
            return Ok(cache);
        }
        let beginning = self.beginning(&cache, length).map_err(inference);
        self.kept.push((tokens, cache));
        beginning
    }

    fn length(&self, cache: &Cache) -> usize {
        cache.length
    }

    fn fits(&self, length: usize) -> bool {
        length <= self.context
    }

    fn reserve(&mut self, _: &mut Cache, _: &[TokenId], length: usize) -> bool {
        length <= self.context
    }

    fn evaluate(&mut self, parts: Vec<Part<'_, Cache>>) -> Result<(), Error> {
        self.logits.clear();
        for part in parts {
            if part.wanted.len() > 1 {
                return Err(Error::Inference("more than one token's logits wanted of one part".into()));
            }
            let logits = self.append(part.sequence, &part.tokens[part.sequence.length..])?;
            if !part.wanted.is_empty() {
                self.logits.push(logits);
            }
        }
        Ok(())
    }

    fn logits(&self, row: usize) -> &[f32] {
        self.logits.get(row).map_or(&[], Vec::as_slice)
    }

    fn truncate(&mut self, cache: &mut Cache, length: usize) -> Result<(), Error> {
        if length >= cache.length {
            return Ok(());
        }
        if self.info.shared {
            (cache.length, cache.steady) = (length, cache.steady.min(length));
        } else {
            *cache = self.beginning(cache, length).map_err(inference)?;
        }
        Ok(())
    }

    fn close(&mut self, mut cache: Cache, tokens: &[TokenId]) {
        let steady = cache.steady;
        if steady < WORTH || self.truncate(&mut cache, steady).is_err() {
            return;
        }
        let tokens = &tokens[..steady];
        self.kept.retain(|(kept, _)| !tokens.starts_with(kept));
        self.kept.push((tokens.to_vec(), cache));
        let room = self.kv_bytes / self.bytes_per_position().max(1);
        // In memory a shared cache takes what was written of it.
        while self.kept.iter().map(|(tokens, _)| tokens.len()).sum::<usize>() > room {
            self.kept.remove(0);
        }
    }

    fn reset(&mut self) {
        self.kept.clear();
        self.logits.clear();
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

/// Reads inputs and outputs; a message for what this crate cannot feed or use.
fn inspect(session: &Session, shared: bool, beside: Beside) -> Result<GraphInfo, String> {
    let inputs: BTreeMap<&str, &ValueType> = session.inputs().iter().map(|i| (i.name(), i.dtype())).collect();
    let outputs: BTreeMap<&str, &ValueType> =
        session.outputs().iter().map(|o| (o.name(), o.dtype())).collect();
    let layers =
        (0..).take_while(|l| inputs.contains_key(format!("past_key_values.{l}.key").as_str())).count();
    if layers == 0 {
        return Err("it has no input `past_key_values.0.key`; export it as text-generation-with-past".into());
    }
    let dimension = |name: &str, axis: usize| -> Option<usize> {
        let shape = inputs.get(name).or(outputs.get(name))?.tensor_shape()?;
        usize::try_from(*shape.get(axis)?).ok().filter(|&n| n > 0)
    };
    let info = GraphInfo {
        layers,
        shared,
        vocabulary: dimension("logits", 2),
        heads: dimension("past_key_values.0.key", 1).unwrap_or(beside.kv_heads),
        head_size: dimension("past_key_values.0.key", 3).unwrap_or(beside.head_size),
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

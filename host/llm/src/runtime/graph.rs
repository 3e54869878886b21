//! A graph of ONNX Runtime's operators: Hugging Face's `text-generation-with-past` exports, and our portable imports.
//!
//! One sequence at a time, each with a cache of its own. Two ways to keep it, chosen by the graph's own metadata:
//! - *shared* (`pawl.kv_cache = shared`): past and present of a layer are one tensor `[1, heads, capacity, head size]` bound
//!   as input and as output, so that GroupQueryAttention appends in place.
//! - *growing* (other exports): `present.*` of one step, `[1, heads, length, head size]`, is fed back as the next
//!   `past_key_values.*` without a copy.
//!
//! Where an execution provider has memory of its own, the cache lies there and only logits come back.
//!
//! Invariants: a cache holds the keys and values of exactly its sequence's first `length` tokens, in order. The runtime's
//! results for a position do not depend on how many positions are evaluated together, except that one alone takes another
//! path, with other rounding; so that the same request gives the same answer whatever ran before, only the positions before
//! the first that was evaluated alone (`steady`) serve later sequences, and the last of a prompt is not evaluated alone.

#![expect(
    unsafe_code,
    reason = "Run is called with one tensor as input and output, which ort's safe API cannot say"
)]

use std::ptr::{self, NonNull};

use half::{f16, vec::HalfBitsVecExt};
use ort::{
    AsPointer,
    memory::{AllocationDevice, Allocator, AllocatorType, MemoryInfo, MemoryType},
    session::Session,
    value::{DynTensor, DynValue, PrimitiveTensorElementType, Tensor, TensorElementType},
};
use toktrie::TokenId;

use super::{
    Beside, Limits, inference,
    interface::{Extra, Interface, Names, inspect},
};
use crate::{
    Error,
    backend::{Backend, Part},
    pages::common,
};

/// Fewer tokens than this are evaluated again sooner than their cache is kept.
const WORTH: usize = 64;

/// The graph, and what was kept of earlier sequences.
pub(crate) struct Graph {
    session: Session,
    interface: Interface,
    context: usize,
    names: Names,
    /// Where the cache lies, if not in the processor's memory.
    device: Option<MemoryInfo<'static>>,
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
    /// Positions that were ever written, which take memory.
    written: usize,
}

impl Graph {
    /// A message where the graph wants or gives what cannot be handled.
    pub(super) fn new(
        session: Session,
        shared: bool,
        device: Option<MemoryInfo<'static>>,
        beside: Beside,
        limits: Limits<'_>,
    ) -> Result<Graph, String> {
        let interface = inspect(&session, shared, beside)?;
        let names = Names::new(&interface);
        Ok(Graph {
            session,
            interface,
            context: limits.context,
            names,
            device,
            logits: Vec::new(),
            kept: Vec::new(),
            kv_bytes: limits.kv_bytes,
        })
    }

    pub(crate) fn interface(&self) -> &Interface {
        &self.interface
    }

    fn bytes_per_position(&self) -> usize {
        let number = if self.interface.cache == TensorElementType::Float16 { 2 } else { 4 };
        self.names.past.len() * self.interface.heads * self.interface.head_size * number
    }

    /// Appends `tokens` (at least one; they must fit the context) and returns the logits `[vocabulary]` after the last.
    fn append(&mut self, cache: &mut Cache, tokens: &[TokenId]) -> Result<Vec<f32>, Error> {
        let total = cache.length + tokens.len();
        if tokens.is_empty() || total > self.context {
            let message = format!("{total} positions asked for in a context of {}", self.context);
            return Err(Error::Inference(message));
        }
        let inputs = self.inputs(cache.length, tokens).map_err(inference)?;
        let on_device = self.device.is_some() && !self.interface.shared;
        let outputs = if on_device { self.run_bound(cache, &inputs) } else { self.run(cache, &inputs) };
        let (logits, present) = outputs.map_err(inference)?;
        let last = last_row(&logits).map_err(inference)?;
        if !self.interface.shared {
            cache.values = present;
        }
        if cache.length <= cache.steady && (tokens.len() > 1 || cache.length == 0) {
            cache.steady = total;
        }
        cache.length = total;
        cache.written = cache.written.max(total);
        Ok(last)
    }

    /// The values of the inputs before the cache.
    fn inputs(&self, past: usize, tokens: &[TokenId]) -> ort::Result<Vec<DynValue>> {
        let (count, total) = (tokens.len(), past + tokens.len());
        let row = |values: Vec<i64>| -> ort::Result<DynValue> {
            Ok(Tensor::from_array(([1, values.len()], values))?.into_dyn())
        };
        let mut inputs = vec![row(tokens.iter().map(|&token| i64::from(token)).collect())?];
        for extra in &self.interface.extras {
            inputs.push(match extra {
                Extra::Mask => row(vec![1; total])?,
                Extra::Positions => row((total - count..total).map(|position| position as i64).collect())?,
                Extra::Keep(rank) => Tensor::from_array((vec![1_usize; *rank], vec![1_i64]))?.into_dyn(),
                Extra::CacheBranch => Tensor::from_array(([1], vec![past > 0]))?.into_dyn(),
            });
        }
        Ok(inputs)
    }

    /// One call of the runtime: the logits, and for a growing cache the new one.
    fn run(&mut self, cache: &mut Cache, inputs: &[DynValue]) -> ort::Result<(DynValue, Vec<DynValue>)> {
        let inputs: Vec<_> = inputs.iter().chain(&cache.values).map(|value| value.ptr()).collect();
        let mut outputs = vec![ptr::null_mut(); self.names.outputs.len()];
        if self.interface.shared {
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
        let fresh = if self.interface.shared { &outputs[..1] } else { &outputs[..] };
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

    /// The same for a growing cache in a device's memory: what comes of it stays there.
    fn run_bound(&mut self, cache: &Cache, inputs: &[DynValue]) -> ort::Result<(DynValue, Vec<DynValue>)> {
        let host = MemoryInfo::new(AllocationDevice::CPU, 0, AllocatorType::Device, MemoryType::CPUOutput)?;
        let mut binding = self.session.create_binding()?;
        for (name, value) in self.names.inputs.iter().zip(inputs.iter().chain(&cache.values)) {
            binding.bind_input(name.to_string_lossy(), value)?;
        }
        binding.bind_output_to_device("logits", &host)?;
        for name in &self.names.present {
            binding.bind_output_to_device(name, self.device.as_ref().unwrap_or(&host))?;
        }
        let mut outputs = self.session.run_binding(&binding)?;
        let mut take = |name: &str| {
            outputs.remove(name).ok_or_else(|| ort::Error::new(format!("the graph gave no `{name}`")))
        };
        let present = self.names.present.iter().map(|name| take(name)).collect::<ort::Result<_>>()?;
        Ok((take("logits")?, present))
    }

    /// The cache that serves this prompt best, if one is worth it, and how many of its positions.
    fn best(&self, prompt: &[TokenId]) -> Option<(usize, usize)> {
        // The logits of the last are wanted, and it is not evaluated alone.
        let most = prompt.len().saturating_sub(2);
        let known = self.kept.iter().map(|(tokens, _)| common(tokens, prompt).min(most));
        known.enumerate().max_by_key(|(_, length)| *length).filter(|(_, length)| *length >= WORTH)
    }

    /// A cache of zero positions; for the shared kind, of the whole context, in memory that is touched when written.
    fn empty_cache(&self) -> ort::Result<Cache> {
        let Interface { heads, head_size, shared, cache, .. } = self.interface;
        let length = if shared { self.context } else { 0 };
        let shape = [1, heads, length, head_size];
        let device = match &self.device {
            Some(memory) => Some(Allocator::new(&self.session, memory.clone())?),
            None => None,
        };
        let tensor = || -> ort::Result<DynValue> {
            Ok(match (&device, shared, cache) {
                (Some(device), ..) => DynTensor::new(device, cache, shape)?.into_dyn(),
                (None, false, _) => DynTensor::new(self.session.allocator(), cache, shape)?.into_dyn(),
                // Zeros of the allocator's, which take memory when they are written over: those of f16's own would at once.
                (None, true, TensorElementType::Float16) => {
                    let zeros = vec![0_u16; shape.iter().product()].reinterpret_into::<f16>();
                    Tensor::from_array((shape, zeros))?.into_dyn()
                }
                (None, true, _) => {
                    Tensor::from_array((shape, vec![0_f32; shape.iter().product()]))?.into_dyn()
                }
            })
        };
        let values = self.names.past.iter().map(|_| tensor()).collect::<ort::Result<_>>()?;
        Ok(Cache { values, length: 0, steady: 0, written: 0 })
    }

    /// The first `length` positions of a cache, copied; an error where it is not in the processor's memory.
    fn beginning(&self, cache: &Cache, length: usize) -> ort::Result<Cache> {
        let Interface { heads, head_size, shared, .. } = self.interface;
        let (from, to) = if shared { (self.context, self.context) } else { (cache.length, length) };
        let rows = Rows { heads, from: from * head_size, to: to * head_size, kept: length * head_size };
        let cut = |value: &DynValue| -> ort::Result<DynValue> {
            let shape = [1, heads, to, head_size];
            Ok(if self.interface.cache == TensorElementType::Float16 {
                Tensor::from_array((shape, rows.cut::<f16>(value)?))?.into_dyn()
            } else {
                Tensor::from_array((shape, rows.cut::<f32>(value)?))?.into_dyn()
            })
        };
        let values = cache.values.iter().map(cut).collect::<ort::Result<_>>()?;
        Ok(Cache { values, length, steady: cache.steady.min(length), written: length })
    }
}

/// One tensor of a cache: `from` numbers a head, of which the first are `kept` in `to` a head.
struct Rows {
    heads: usize,
    from: usize,
    to: usize,
    kept: usize,
}

impl Rows {
    fn cut<T: PrimitiveTensorElementType + Copy + Default>(&self, value: &DynValue) -> ort::Result<Vec<T>> {
        let (_, values) = value.try_extract_tensor::<T>()?;
        let mut copy = vec![T::default(); self.heads * self.to];
        let rows = values.chunks_exact(self.from.max(1));
        for (row, copy) in rows.zip(copy.chunks_exact_mut(self.to.max(1))) {
            copy[..self.kept].copy_from_slice(&row[..self.kept]);
        }
        Ok(copy)
    }
}

/// The logits after the last token, of `[1, tokens, vocabulary]`.
fn last_row(logits: &DynValue) -> ort::Result<Vec<f32>> {
    fn last<T>(shape: &[i64], values: &[T]) -> ort::Result<usize> {
        let columns = shape.last().map_or(0, |n| usize::try_from(*n).unwrap_or(0));
        let start = values.len().checked_sub(columns).filter(|_| columns > 0);
        start.ok_or_else(|| ort::Error::new(format!("logits of shape {shape:?}; one row at least is needed")))
    }
    if let Ok((shape, values)) = logits.try_extract_tensor::<f16>() {
        return Ok(values[last(shape, values)?..].iter().map(|value| value.to_f32()).collect());
    }
    let (shape, values) = logits.try_extract_tensor::<f32>()?;
    Ok(values[last(shape, values)?..].to_vec())
}

impl Backend for Graph {
    type Sequence = Cache;

    const EXACT: bool = false;

    fn open(&mut self, prompt: &[TokenId], reuse: bool) -> Result<Cache, Error> {
        let best = self.best(prompt).filter(|_| reuse);
        let Some((index, length)) = best else { return self.empty_cache().map_err(inference) };
        let (tokens, mut cache) = self.kept.remove(index);
        // What lies in a device's memory cannot be copied: it is cut, however much of it is lost.
        if length * 2 >= tokens.len() || self.device.is_some() {
            self.truncate(&mut cache, length)?;
            return Ok(cache);
        }
        let beginning = self.beginning(&cache, length).map_err(inference);
        self.kept.push((tokens, cache));
        beginning
    }

    fn known(&self, prompt: &[TokenId]) -> usize {
        self.best(prompt).map_or(0, |(_, length)| length)
    }

    fn length(&self, cache: &Cache) -> usize {
        cache.length
    }

    fn fits(&self, prompt: &[TokenId], _: bool) -> bool {
        prompt.len() < self.context
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
        if self.interface.shared {
            (cache.length, cache.steady) = (length, cache.steady.min(length));
        } else {
            *cache = self.beginning(cache, length).map_err(inference)?;
        }
        Ok(())
    }

    fn close(&mut self, mut cache: Cache, tokens: &[TokenId]) {
        let steady = cache.steady;
        // A growing one in a device's memory can be neither cut nor copied.
        let lost = self.device.is_some() && !self.interface.shared;
        if steady < WORTH || lost || self.truncate(&mut cache, steady).is_err() {
            return;
        }
        let tokens = &tokens[..steady];
        self.kept.retain(|(kept, _)| !tokens.starts_with(kept));
        self.kept.push((tokens.to_vec(), cache));
        let room = self.kv_bytes / self.bytes_per_position().max(1);
        // In the processor's memory a shared cache takes what was written of it, in a device's all of it.
        let whole = self.device.as_ref().map(|_| self.context);
        let takes = |(_, cache): &(Vec<TokenId>, Cache)| whole.unwrap_or(cache.written);
        while self.kept.iter().map(takes).sum::<usize>() > room {
            self.kept.remove(0);
        }
    }

    fn reset(&mut self) {
        self.kept.clear();
        self.logits.clear();
    }
}

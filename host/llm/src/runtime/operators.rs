//! The kernels of `cpu/` as operators of ONNX Runtime, in the domain [`DOMAIN`].
//!
//! | operator | inputs | attributes | output |
//! | --- | --- | --- | --- |
//! | `Embed` | ids i64 `[1, t]`, table | format, rows, columns | f32 `[1, t, columns]` |
//! | `Linear` | x f32 `[1, t, columns]`, bias f32 (may be left out), one to three matrices | format (a list), rows (a list), columns | f32 `[1, t, rows of all]` |
//! | `Gated` | x, gate, up | format (two), rows, columns, gelu (0) | f32 `[1, t, rows]`: silu(gate · x) * (up · x), or with GELU by tanh |
//! | `Attention` | queries, keys and values `[1, t, …]`, cos, sin f32 `[positions, size / 2]`, norms of queries and of keys f32 `[size]` (may be left out) | layer, heads, kv_heads, size, interleaved, window (0: all positions), epsilon | f32 `[1, t, heads * size]` |
//! | `Pick` | x f32 `[1, t, columns]` | columns | f32 `[1, n, columns]`: of the tokens that [`Step`] wants logits of |
//! | `Head` | x f32 `[1, n, columns]` of these, matrix | format, rows, columns | f32 `[n, rows]`: those that are wanted; others may be -∞, and are the caller's to mask |
//!
//! Matrices are u8 in the layout of `cpu/layout.rs`. What is not a tensor (whose tokens these are, which logits are wanted,
//! keys and values) is in [`Shared`], which the caller sets before a run.
//!
//! Invariant: no panic crosses into the runtime; a kernel that panicked is an error of the run.

use std::{
    collections::BTreeSet,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use ort::{
    Error, Result,
    operator::{
        BoxedKernel, ComputeContext, KernelContext, Operator, OperatorDomain, OperatorInput, OperatorOutput,
    },
    value::TensorElementType,
};

use crate::cpu::{
    Cpu, Parallel, Simd,
    activations::Activations,
    attention::{HeadNorms, Heads, Rotary, Span, attend},
    layout::Format,
    matmul::{Matrix, Tokens, chosen, gated, multiply},
    paged::Layer,
};

/// The domain of these operators in a graph.
pub(crate) const DOMAIN: &str = "pawl";

/// What one run is about.
#[derive(Debug, Default)]
pub(crate) struct Step {
    /// Whose tokens these are, in order.
    pub(crate) spans: Vec<Span>,
    /// Tokens of the run whose logits are wanted, one at least, and which of them (sorted; `None` for all).
    pub(crate) wanted: Vec<(usize, Option<Vec<u32>>)>,
}

/// What the operators of one graph share with its caller.
#[derive(Debug)]
pub(crate) struct Shared {
    simd: Simd,
    pub(crate) step: Mutex<Step>,
    pub(crate) layers: Vec<Mutex<Layer>>,
    /// Numbers of keys that the attention of each layer keeps of a position, as the graph says.
    pub(crate) widths: Mutex<BTreeSet<usize>>,
    /// Kernels run one after the other.
    scratch: Mutex<Scratch>,
}

/// What a kernel needs for a while.
#[derive(Debug, Default)]
struct Scratch {
    codes: Activations,
    more_codes: Activations,
    rows: Vec<f32>,
}

impl Shared {
    pub(crate) fn new(simd: Simd, layers: usize) -> Arc<Shared> {
        let layers = (0..layers).map(|_| Mutex::default()).collect();
        let (step, widths, scratch) = Default::default();
        Arc::new(Shared { simd, step, layers, widths, scratch })
    }
}

/// The operators of a graph.
pub(crate) fn domain(shared: &Arc<Shared>) -> Result<OperatorDomain> {
    let one = |name, inputs: &[Input]| One { name, inputs: inputs.to_vec(), shared: shared.clone() };
    use Input::{Bytes, Floats, Ids, MayBeBytes, MayBeFloats};
    OperatorDomain::new(DOMAIN)?
        .add(one("Embed", &[Ids, Bytes]))?
        .add(one("Linear", &[Floats, MayBeFloats, Bytes, MayBeBytes, MayBeBytes]))?
        .add(one("Gated", &[Floats, Bytes, Bytes]))?
        .add(one("Attention", &[Floats, Floats, Floats, MayBeFloats, MayBeFloats]))?
        .add(one("Pick", &[Floats]))?
        .add(one("Head", &[Floats, Bytes]))
}

/// A mutex whose holder panicked holds numbers that the run's error tells not to use.
pub(crate) fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[derive(Clone, Copy)]
enum Input {
    Ids,
    Floats,
    Bytes,
    MayBeFloats,
    MayBeBytes,
}

/// One of the operators above.
struct One {
    name: &'static str,
    inputs: Vec<Input>,
    shared: Arc<Shared>,
}

impl Operator for One {
    type Kernel<'attr> = BoxedKernel<'attr>;

    fn name(&self) -> &str {
        self.name
    }

    fn inputs(&self) -> impl IntoIterator<Item = OperatorInput> {
        self.inputs.iter().map(|input| match input {
            Input::Ids => OperatorInput::required(TensorElementType::Int64),
            Input::Floats => OperatorInput::required(TensorElementType::Float32),
            Input::Bytes => OperatorInput::required(TensorElementType::Uint8),
            Input::MayBeFloats => OperatorInput::optional(TensorElementType::Float32),
            Input::MayBeBytes => OperatorInput::optional(TensorElementType::Uint8),
        })
    }

    fn outputs(&self) -> impl IntoIterator<Item = OperatorOutput> {
        [OperatorOutput::required(TensorElementType::Float32)]
    }

    fn create_kernel<'attr>(&self, context: &KernelContext<'attr>) -> Result<Self::Kernel<'attr>> {
        let shared = self.shared.clone();
        let mut kernel: Compute = match self.name {
            "Embed" => embed(shape(context)?),
            "Linear" => linear(shared, shape(context)?),
            "Gated" => gate(shared, shape(context)?, context.get::<i64>("gelu").unwrap_or(0) != 0),
            "Head" => head(shared, shape(context)?),
            "Pick" => pick(shared, size(attribute(context.get("columns"), "columns")?)?),
            _ => attention(shared, context)?,
        };
        Ok(Box::new(move |context: &ComputeContext| {
            let outcome = catch_unwind(AssertUnwindSafe(|| kernel(context)));
            outcome.unwrap_or_else(|_| Err(Error::new("a kernel failed")))
        }))
    }
}

type Compute = Box<dyn FnMut(&ComputeContext) -> Result<()> + Send>;

/// The matrices of an operator.
struct Shape {
    formats: Vec<Format>,
    rows: Vec<usize>,
    columns: usize,
}

fn shape(context: &KernelContext<'_>) -> Result<Shape> {
    let names: String = attribute(context.get("format"), "format")?;
    let formats = names.split(',').map(|name| {
        Format::named(name).ok_or_else(|| Error::new(format!("the format `{name}` is not known")))
    });
    let rows: Vec<i64> = attribute(context.get("rows"), "rows")?;
    Ok(Shape {
        formats: formats.collect::<Result<_>>()?,
        rows: rows.into_iter().map(size).collect::<Result<_>>()?,
        columns: size(attribute(context.get("columns"), "columns")?)?,
    })
}

fn attribute<T>(value: Option<T>, name: &str) -> Result<T> {
    value.ok_or_else(|| Error::new(format!("the attribute `{name}` is missing")))
}

fn size(number: i64) -> Result<usize> {
    let size = usize::try_from(number).ok().filter(|size| *size < 1 << 32);
    size.ok_or_else(|| Error::new(format!("{number} is not a size")))
}

impl Shape {
    fn matrix<'a>(&self, index: usize, bytes: &'a [u8]) -> Result<Matrix<'a>> {
        let (format, rows) = self
            .formats
            .get(index)
            .zip(self.rows.get(index.min(self.rows.len().saturating_sub(1))))
            .ok_or_else(|| Error::new("more matrices than formats"))?;
        Matrix::new(*format, *rows, self.columns, bytes).ok_or_else(|| {
            let message = format!(
                "{} bytes for {} of {rows} x {}, which take {}",
                bytes.len(),
                format.name(),
                self.columns,
                format.bytes(*rows, self.columns)
            );
            Error::new(message)
        })
    }
}

/// The runtime's threads. A task that panics makes the whole run fail.
struct Threads<'a> {
    context: &'a ComputeContext,
    failed: AtomicBool,
}

impl<'a> Threads<'a> {
    fn new(context: &'a ComputeContext) -> Threads<'a> {
        Threads { context, failed: AtomicBool::new(false) }
    }

    fn done(self) -> Result<()> {
        if self.failed.into_inner() { Err(Error::new("a task of a kernel failed")) } else { Ok(()) }
    }
}

impl Parallel for Threads<'_> {
    fn each(&self, tasks: usize, work: &(dyn Fn(usize) + Sync)) {
        let failed = &self.failed;
        let outcome = self.context.par_for(tasks, 0, |task| {
            if catch_unwind(AssertUnwindSafe(|| work(task))).is_err() {
                failed.store(true, Ordering::Relaxed);
            }
        });
        if outcome.is_err() {
            failed.store(true, Ordering::Relaxed);
        }
    }
}

/// Input `$index` as a slice of `$kind`.
macro_rules! slice {
    ($context:ident, $index:expr, $kind:ty, $value:ident) => {
        let $value = $context.input($index)?.ok_or_else(|| Error::new("an input is missing"))?;
        let (_, $value) = $value.try_extract_tensor::<$kind>()?;
    };
}

/// Output 0 of these dimensions as a slice.
macro_rules! output {
    ($context:ident, $dimensions:expr, $value:ident) => {
        let mut $value = $context
            .output(0, $dimensions.map(|n| n as i64).to_vec())?
            .ok_or_else(|| Error::new("no output"))?;
        let (_, $value) = $value.try_extract_tensor_mut::<f32>()?;
    };
}

fn embed(shape: Shape) -> Compute {
    Box::new(move |context| {
        slice!(context, 0, i64, ids);
        slice!(context, 1, u8, table);
        let table = shape.matrix(0, table)?;
        output!(context, [1, ids.len(), shape.columns], out);
        for (id, out) in ids.iter().zip(out.chunks_exact_mut(shape.columns)) {
            let row = usize::try_from(*id).ok().filter(|row| *row < table.rows());
            let row = row.ok_or_else(|| Error::new(format!("token {id} of {}", table.rows())))?;
            table.unpack(row, out);
        }
        Ok(())
    })
}

/// Tokens in both forms; the codes are kept in `codes`.
fn tokens<'a>(
    cpu: Cpu<'_>,
    floats: &'a [f32],
    matrices: &[Matrix<'_>],
    columns: usize,
    codes: &'a mut Activations,
) -> Result<Tokens<'a>> {
    if !floats.len().is_multiple_of(columns) {
        return Err(Error::new(format!("{} numbers are no rows of {columns}", floats.len())));
    }
    if matrices.iter().any(Matrix::takes_codes) {
        codes.set(cpu, floats, columns);
    }
    Ok(Tokens { count: floats.len() / columns, floats, codes })
}

fn linear(shared: Arc<Shared>, shape: Shape) -> Compute {
    let all: usize = shape.rows.iter().sum();
    Box::new(move |context| {
        slice!(context, 0, f32, x);
        let bias = context.input(1)?;
        let bias = bias.as_ref().map(|bias| bias.try_extract_tensor::<f32>()).transpose()?;
        let bias = bias.map(|(_, bias)| bias);
        if bias.is_some_and(|bias| bias.len() != all) {
            return Err(Error::new("a bias of another length"));
        }
        let weights: Vec<_> = (0..shape.rows.len()).map(|at| context.input(2 + at)).collect::<Result<_>>()?;
        let matrices = weights.iter().enumerate().map(|(at, weights)| {
            let weights = weights.as_ref().ok_or_else(|| Error::new("a matrix is missing"))?;
            shape.matrix(at, weights.try_extract_tensor::<u8>()?.1)
        });
        let matrices: Vec<Matrix<'_>> = matrices.collect::<Result<_>>()?;
        let threads = Threads::new(context);
        let cpu = Cpu { simd: shared.simd, threads: &threads };
        let scratch = &mut *held(&shared.scratch);
        let x = tokens(cpu, x, &matrices, shape.columns, &mut scratch.codes)?;
        output!(context, [1, x.count, all], y);
        multiply(cpu, x, &matrices, bias, y);
        threads.done()
    })
}

fn gate(shared: Arc<Shared>, shape: Shape, gelu: bool) -> Compute {
    Box::new(move |context| {
        slice!(context, 0, f32, x);
        slice!(context, 1, u8, gate);
        slice!(context, 2, u8, up);
        let (gate, up) = (shape.matrix(0, gate)?, shape.matrix(1, up)?);
        if gate.rows() != up.rows() {
            return Err(Error::new("gate and up differ in their rows"));
        }
        let threads = Threads::new(context);
        let cpu = Cpu { simd: shared.simd, threads: &threads };
        let scratch = &mut *held(&shared.scratch);
        let x = tokens(cpu, x, &[gate, up], shape.columns, &mut scratch.codes)?;
        output!(context, [1, x.count, gate.rows()], y);
        gated(cpu, x, gelu, gate, up, y);
        threads.done()
    })
}

fn pick(shared: Arc<Shared>, columns: usize) -> Compute {
    Box::new(move |context| {
        slice!(context, 0, f32, x);
        let step = held(&shared.step);
        output!(context, [1, step.wanted.len(), columns], y);
        for ((token, _), y) in step.wanted.iter().zip(y.chunks_exact_mut(columns)) {
            let row = x.get(token * columns..(token + 1) * columns);
            y.copy_from_slice(row.ok_or_else(|| Error::new("a token that is not there"))?);
        }
        Ok(())
    })
}

fn head(shared: Arc<Shared>, shape: Shape) -> Compute {
    Box::new(move |context| {
        slice!(context, 0, f32, x);
        slice!(context, 1, u8, matrix);
        let matrix = shape.matrix(0, matrix)?;
        let step = held(&shared.step);
        let last = |rows: &Option<Vec<u32>>| rows.as_ref().and_then(|rows| rows.last().copied());
        let beyond = |(_, rows): &(usize, _)| last(rows).is_some_and(|row| row as usize >= matrix.rows());
        if step.wanted.len() * shape.columns != x.len() || step.wanted.iter().any(beyond) {
            return Err(Error::new("logits are wanted that are not there"));
        }
        output!(context, [step.wanted.len(), matrix.rows()], y);
        let wanted: Vec<Option<&[u32]>> = step.wanted.iter().map(|(_, rows)| rows.as_deref()).collect();
        let threads = Threads::new(context);
        let cpu = Cpu { simd: shared.simd, threads: &threads };
        let scratch = &mut *held(&shared.scratch);
        let x = tokens(cpu, x, &[matrix], shape.columns, &mut scratch.codes)?;
        chosen(cpu, x, matrix, &wanted, &mut scratch.more_codes, y);
        threads.done()
    })
}

fn attention(shared: Arc<Shared>, context: &KernelContext<'_>) -> Result<Compute> {
    let number = |name: &str| -> Result<usize> { size(attribute(context.get(name), name)?) };
    let heads = Heads {
        queries: number("heads")?,
        kv: number("kv_heads")?,
        size: number("size")?,
        interleaved: number("interleaved")? != 0,
        window: size(context.get("window").unwrap_or(0))?,
    };
    let epsilon = context.get("epsilon").unwrap_or(1e-6);
    let layer = number("layer")?;
    if heads.kv == 0
        || !heads.queries.is_multiple_of(heads.kv)
        || heads.size == 0
        || !heads.size.is_multiple_of(16)
        || layer >= shared.layers.len()
    {
        return Err(Error::new(format!("attention of {heads:?} in layer {layer}")));
    }
    held(&shared.widths).insert(heads.kv * heads.size);
    Ok(Box::new(move |context| {
        slice!(context, 0, f32, x);
        slice!(context, 1, f32, cos);
        slice!(context, 2, f32, sin);
        let norms = [context.input(3)?, context.input(4)?];
        let [queries, keys] = norms.each_ref().map(|norm| {
            norm.as_ref().map(|norm| norm.try_extract_tensor::<f32>().map(|(_, norm)| norm)).transpose()
        });
        let norms = match (queries?, keys?) {
            (Some(queries), Some(keys)) if queries.len() == heads.size && keys.len() == heads.size => {
                Some(HeadNorms { queries, keys, epsilon })
            }
            (None, None) => None,
            _ => return Err(Error::new("norms of queries and keys that do not fit a head")),
        };
        let step = held(&shared.step);
        let count = x.len() / heads.width();
        let last = step.spans.iter().map(|span| span.start + span.tokens).max().unwrap_or(0);
        if step.spans.iter().map(|span| span.tokens).sum::<usize>() != count
            || x.len() != count * heads.width()
            || cos.len() != sin.len()
            || cos.len() < last * heads.size / 2
        {
            return Err(Error::new(format!("{count} tokens up to position {last} do not fit the step")));
        }
        let rotated = &mut held(&shared.scratch).rows;
        rotated.clear();
        rotated.extend_from_slice(x);
        output!(context, [1, count, heads.queries * heads.size], y);
        let threads = Threads::new(context);
        let cpu = Cpu { simd: shared.simd, threads: &threads };
        let rotary = Rotary { cos, sin };
        let mut layer = held(&shared.layers[layer]);
        attend(cpu, heads, &mut layer, &step.spans, (norms, rotary), rotated, y);
        threads.done()
    }))
}

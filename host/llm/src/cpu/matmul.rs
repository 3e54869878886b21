//! Tokens times packed matrices, over all threads.
//!
//! A task is a run of strips. One token streams the weights once; several go through them in chunks of columns, so that
//! the chunk of a strip is multiplied with all tokens while it is near.

use std::{cell::RefCell, ops::Range};

use super::{
    Cpu, Part, Simd, TILE, Tile,
    activations::Activations,
    columns::Columns,
    layout::{Format, LANES},
};

/// Strips that several tokens go through before the next: their sums stay in the second cache.
const GROUP: usize = 32;
/// Tasks that one token's product is cut into, so that a thread that was held up leaves work to the others.
const TASKS: usize = 16;

/// A packed matrix.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Matrix<'a> {
    format: Format,
    rows: usize,
    columns: usize,
    bytes: &'a [u8],
}

/// Tokens to multiply with: `[tokens, columns]`, as floats and as codes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tokens<'a> {
    pub(crate) count: usize,
    pub(crate) floats: &'a [f32],
    pub(crate) codes: &'a Activations,
}

/// What a thread needs besides, kept from task to task.
#[derive(Default)]
struct Scratch {
    sums: Vec<[f32; LANES]>,
    more: Vec<[f32; LANES]>,
    tile: Tile,
}

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

impl<'a> Matrix<'a> {
    /// `None` where the sizes do not fit each other.
    pub(crate) fn new(format: Format, rows: usize, columns: usize, bytes: &'a [u8]) -> Option<Matrix<'a>> {
        let fits = rows > 0
            && columns > 0
            && columns.is_multiple_of(format.multiple())
            && bytes.len() == format.bytes(rows, columns);
        fits.then_some(Matrix { format, rows, columns, bytes })
    }

    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    /// Whether tokens are multiplied as codes.
    pub(crate) fn takes_codes(&self) -> bool {
        !matches!(self.format, Format::F32 | Format::F16)
    }

    fn strips(&self) -> usize {
        self.rows.div_ceil(LANES)
    }

    fn strip(&self, index: usize) -> &'a [u8] {
        let bytes = self.format.strip_bytes(self.columns);
        &self.bytes[index * bytes..(index + 1) * bytes]
    }

    /// The numbers of a row.
    pub(crate) fn unpack(&self, row: usize, out: &mut [f32]) {
        super::layout::unpack(self.format, self.strip(row / LANES), row % LANES, out);
    }

    /// The product of one strip with one token.
    fn product(&self, simd: Simd, x: Tokens<'_>, strip: usize, t: usize) -> [f32; LANES] {
        if self.takes_codes() {
            return simd.single(self.format, self.strip(strip), x.codes.row(t));
        }
        let row = &x.floats[t * self.columns..(t + 1) * self.columns];
        simd.float_product(self.format == Format::F16, self.strip(strip), row)
    }

    /// Products of these strips with all tokens: of strip s and token t at `(s - first) * tokens + t`.
    fn products(
        &self,
        simd: Simd,
        x: Tokens<'_>,
        strips: Range<usize>,
        sums: &mut Vec<[f32; LANES]>,
        tile: &mut Tile,
    ) {
        sums.clear();
        if x.count == 1 || !self.takes_codes() {
            let each = strips.flat_map(|s| (0..x.count).map(move |t| (s, t)));
            return sums.extend(each.map(|(s, t)| self.product(simd, x, s, t)));
        }
        sums.resize(strips.len() * x.count, [0.0; LANES]);
        let (blocks, most) = (self.columns / super::activations::BLOCK, simd.chunk(x.count));
        let chunk_bytes = self.format.strip_bytes(most * super::activations::BLOCK);
        let part = |strip: usize, chunk: usize| {
            let strip = self.strip(strip);
            &strip[chunk * chunk_bytes..strip.len().min((chunk + 1) * chunk_bytes)]
        };
        for chunk in 0..blocks.div_ceil(most) {
            let first = chunk * most;
            let count = most.min(blocks - first);
            for t in (0..x.count).step_by(TILE) {
                let tokens = TILE.min(x.count - t);
                let rows: [_; TILE] = std::array::from_fn(|at| x.codes.row(t + at.min(tokens - 1)));
                simd.load(&rows[..tokens], first, count, tile);
                for (s, sums) in strips.clone().step_by(2).zip(sums.chunks_mut(2 * x.count)) {
                    let (sums, others) = sums.split_at_mut(x.count);
                    let two = |s: usize, sums| {
                        // The first tile brings near what it comes to after these two strips.
                        let next = if t == 0 && s + 2 < strips.end { part(s + 2, chunk) } else { &[] };
                        Part { weights: part(s, chunk), next, sums }
                    };
                    let other = others.get_mut(t..t + tokens).map(|sums| two(s + 1, sums));
                    simd.tile(self.format, tile, two(s, &mut sums[t..t + tokens]), other);
                }
            }
        }
    }

    /// The rows of these strips.
    fn width(&self, strips: &Range<usize>) -> usize {
        self.rows.min(strips.end * LANES) - strips.start * LANES
    }

    /// Runs of strips, one a task.
    fn tasks(&self, tokens: usize) -> Vec<Range<usize>> {
        let strips = self.strips();
        let each = if tokens == 1 { strips.div_ceil(TASKS) } else { strips.div_ceil(4).min(GROUP) };
        (0..strips).step_by(each).map(|from| from..strips.min(from + each)).collect()
    }
}

/// `y = x · matrices^T (+ bias)`, the matrices one under the other; `y` is `[tokens, rows of all]`.
pub(crate) fn multiply(
    cpu: Cpu<'_>,
    x: Tokens<'_>,
    matrices: &[Matrix<'_>],
    bias: Option<&[f32]>,
    y: &mut [f32],
) {
    let all: usize = matrices.iter().map(Matrix::rows).sum();
    let mut tasks = Vec::new();
    let mut at = 0;
    for matrix in matrices {
        for strips in matrix.tasks(x.count) {
            let width = matrix.width(&strips);
            tasks.push((matrix, strips, at));
            at += width;
        }
    }
    let widths = tasks.iter().map(|(matrix, strips, _)| matrix.width(strips));
    let columns = Columns::split(y, all, widths);
    cpu.threads.each(tasks.len(), &|task| {
        let (matrix, strips, at) = &tasks[task];
        let Ok(mut y) = columns[task].lock() else { return };
        SCRATCH.with_borrow_mut(|Scratch { sums, tile, .. }| {
            matrix.products(cpu.simd, x, strips.clone(), sums, tile);
            for t in 0..x.count {
                let row = y.row(t);
                for (s, out) in row.chunks_mut(LANES).enumerate() {
                    out.copy_from_slice(&sums[s * x.count + t][..out.len()]);
                }
                if let Some(bias) = bias {
                    for (out, bias) in row.iter_mut().zip(&bias[*at..]) {
                        *out += bias;
                    }
                }
            }
        });
    });
}

/// `y = silu(x · gate^T) * (x · up^T)`, or with GELU in SiLU's place; the matrices have the same shape, `y` is
/// `[tokens, rows]`.
pub(crate) fn gated(
    cpu: Cpu<'_>,
    x: Tokens<'_>,
    gelu: bool,
    gate: Matrix<'_>,
    up: Matrix<'_>,
    y: &mut [f32],
) {
    let tasks = gate.tasks(x.count);
    let columns = Columns::split(y, gate.rows, tasks.iter().map(|strips| gate.width(strips)));
    cpu.threads.each(tasks.len(), &|task| {
        let strips = &tasks[task];
        let Ok(mut y) = columns[task].lock() else { return };
        SCRATCH.with_borrow_mut(|Scratch { sums, more, tile }| {
            gate.products(cpu.simd, x, strips.clone(), sums, tile);
            up.products(cpu.simd, x, strips.clone(), more, tile);
            for t in 0..x.count {
                for (s, out) in y.row(t).chunks_mut(LANES).enumerate() {
                    let at = s * x.count + t;
                    out.copy_from_slice(&cpu.simd.gated(gelu, &sums[at], &more[at])[..out.len()]);
                }
            }
        });
    });
}

/// `y[t] = x[t] · matrix^T` for the rows that are wanted of each token (sorted; `None` for all). The others may be -∞ or
/// their products, for strips are computed whole: who wanted some rows looks at no others.
pub(crate) fn chosen(
    cpu: Cpu<'_>,
    x: Tokens<'_>,
    matrix: Matrix<'_>,
    wanted: &[Option<&[u32]>],
    codes: &mut Activations,
    y: &mut [f32],
) {
    // Of a token that wants most strips, all rows are computed.
    let few: Vec<Option<Vec<usize>>> = wanted
        .iter()
        .map(|rows| {
            let mut strips: Vec<usize> = (*rows)?.iter().map(|row| *row as usize / LANES).collect();
            strips.dedup();
            (strips.len() * 2 < matrix.strips()).then_some(strips)
        })
        .collect();
    if few.iter().all(Option::is_none) {
        return multiply(cpu, x, &[matrix], None, y);
    }
    let mut by_strip: Vec<Vec<usize>> = vec![Vec::new(); matrix.strips()];
    let mut whole = Vec::new();
    for (t, strips) in few.iter().enumerate() {
        match strips {
            Some(strips) => strips.iter().for_each(|&strip| by_strip[strip].push(t)),
            None => whole.push(t),
        }
    }
    y.fill(f32::NEG_INFINITY);
    if !whole.is_empty() {
        let rows: Vec<&[f32]> =
            whole.iter().map(|t| &x.floats[t * matrix.columns..(t + 1) * matrix.columns]).collect();
        let floats = rows.concat();
        if matrix.takes_codes() {
            codes.set(cpu, &floats, matrix.columns);
        }
        let mut products = vec![0.0; whole.len() * matrix.rows];
        let x = Tokens { count: whole.len(), floats: &floats, codes };
        multiply(cpu, x, &[matrix], None, &mut products);
        for (t, products) in whole.into_iter().zip(products.chunks_exact(matrix.rows)) {
            y[t * matrix.rows..(t + 1) * matrix.rows].copy_from_slice(products);
        }
    }
    let tasks = matrix.tasks(x.count);
    let columns = Columns::split(y, matrix.rows, tasks.iter().map(|strips| matrix.width(strips)));
    cpu.threads.each(tasks.len(), &|task| {
        let strips = &tasks[task];
        let Ok(mut y) = columns[task].lock() else { return };
        for strip in strips.clone() {
            let at = (strip - strips.start) * LANES;
            for &t in &by_strip[strip] {
                let sums = matrix.product(cpu.simd, x, strip, t);
                let row = &mut y.row(t)[at..];
                let width = row.len().min(LANES);
                row[..width].copy_from_slice(&sums[..width]);
            }
        }
    });
}

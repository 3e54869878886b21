//! Attention of each token over its own sequence's earlier positions and itself: grouped queries, rotary positions.
//!
//! The tokens of a step are one matrix, whatever sequences they belong to; [`Span`] says which rows are whose.

use std::{cell::RefCell, sync::Mutex};

use super::{
    Cpu, Simd,
    layout::LANES,
    paged::{Layer, PAGE},
};

/// The numbers that fix the shape of attention.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Heads {
    pub(crate) queries: usize,
    pub(crate) kv: usize,
    /// Numbers of a head, a multiple of 16.
    pub(crate) size: usize,
    /// Whether neighbouring numbers are rotated, or halves.
    pub(crate) interleaved: bool,
    /// Positions that a token looks back at, its own among them; 0 for all.
    pub(crate) window: usize,
}

/// Neighbouring tokens of one sequence.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Span {
    /// Tokens of the step that are its.
    pub(crate) tokens: usize,
    /// Position of the first in the sequence.
    pub(crate) start: usize,
    /// Pages of the sequence, of all positions up to the last of these tokens.
    pub(crate) pages: Vec<usize>,
}

/// Rotation by position: cosines and sines `[positions, size / 2]`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rotary<'a> {
    pub(crate) cos: &'a [f32],
    pub(crate) sin: &'a [f32],
}

/// Norms of each head's queries and keys, before they are rotated.
#[derive(Clone, Copy, Debug)]
pub(crate) struct HeadNorms<'a> {
    /// Weights, as many as a head has numbers.
    pub(crate) queries: &'a [f32],
    pub(crate) keys: &'a [f32],
    pub(crate) epsilon: f32,
}

thread_local! {
    static SCORES: RefCell<Vec<f32>> = const { RefCell::new(Vec::new()) };
}

impl Heads {
    /// Columns of queries, keys and values together.
    pub(crate) fn width(&self) -> usize {
        (self.queries + 2 * self.kv) * self.size
    }

    /// Queries that share a key.
    fn group(&self) -> usize {
        self.queries / self.kv
    }
}

/// Writes the keys and values of all tokens into their pages, then `y` `[tokens, queries * size]`. `x` is
/// `[tokens, width]`: queries, keys and values without norm and rotation, which is done in place.
pub(crate) fn attend(
    cpu: Cpu<'_>,
    heads: Heads,
    layer: &mut Layer,
    spans: &[Span],
    (norms, rotary): (Option<HeadNorms<'_>>, Rotary<'_>),
    x: &mut [f32],
    y: &mut [f32],
) {
    let positions = spans.iter().flat_map(|span| (0..span.tokens).map(move |at| (span, span.start + at)));
    let tokens: Vec<(&Span, usize)> = positions.collect();
    let rotated = heads.queries * heads.size;
    let rows = x.chunks_mut(heads.width() * TOGETHER).zip(tokens.chunks(TOGETHER));
    let rows: Vec<_> = rows.map(Mutex::new).collect();
    cpu.threads.each(rows.len(), &|task| {
        let Ok(mut part) = rows[task].lock() else { return };
        let (rows, tokens) = &mut *part;
        for (row, (_, position)) in rows.chunks_exact_mut(heads.width()).zip(*tokens) {
            if let Some(HeadNorms { queries, keys, epsilon }) = norms {
                norm(&mut row[..rotated], queries, epsilon);
                norm(&mut row[rotated..rotated + heads.kv * heads.size], keys, epsilon);
            }
            rotate(heads, rotary, *position, &mut row[..rotated + heads.kv * heads.size]);
            let scale = 1.0 / (heads.size as f32).sqrt();
            row[..rotated].iter_mut().for_each(|number| *number *= scale);
        }
    });
    drop(rows);
    for (row, (span, position)) in x.chunks_exact(heads.width()).zip(&tokens) {
        let (keys, values) = row[rotated..].split_at(heads.kv * heads.size);
        remember(cpu.simd, heads, layer, span.pages[position / PAGE], position % PAGE, keys, values);
    }
    let layer = &*layer;
    let outputs: Vec<Mutex<&mut [f32]>> = y.chunks_mut(heads.group() * heads.size).map(Mutex::new).collect();
    let x = &*x;
    cpu.threads.each(outputs.len(), &|task| {
        let (token, kv) = (task / heads.kv, task % heads.kv);
        let (span, position) = tokens[token];
        let width = heads.group() * heads.size;
        let queries = &x[token * heads.width() + kv * width..][..width];
        let Ok(mut output) = outputs[task].lock() else { return };
        SCORES.with_borrow_mut(|scores| {
            let mut queries = queries;
            let mut output = &mut **output;
            // As many queries at once as the loops have room for, and no few left over.
            while !queries.is_empty() {
                let left = queries.len() / heads.size;
                let count = left.div_ceil(left.div_ceil(cpu.simd.queries().min(MOST)));
                let (these, rest) = queries.split_at(count * heads.size);
                let (out, others) = std::mem::take(&mut output).split_at_mut(count * heads.size);
                let keys = Keys {
                    simd: cpu.simd,
                    layer,
                    pages: &span.pages,
                    kv,
                    size: heads.size,
                    count: position + 1,
                    window: heads.window,
                };
                match count {
                    1 => keys.attend::<1>(these, scores, out),
                    2 => keys.attend::<2>(these, scores, out),
                    3 => keys.attend::<3>(these, scores, out),
                    4 => keys.attend::<4>(these, scores, out),
                    5 => keys.attend::<5>(these, scores, out),
                    6 => keys.attend::<6>(these, scores, out),
                    7 => keys.attend::<7>(these, scores, out),
                    _ => keys.attend::<MOST>(these, scores, out),
                }
                (queries, output) = (rest, others);
            }
        });
    });
}

/// Tokens that are rotated in one task.
const TOGETHER: usize = 16;
/// Queries that go over the keys together at most.
const MOST: usize = 8;

/// The root mean square of every head of a row becomes 1, times the weights.
fn norm(row: &mut [f32], weights: &[f32], epsilon: f32) {
    for head in row.chunks_exact_mut(weights.len()) {
        let mean = head.iter().map(|number| number * number).sum::<f32>() / weights.len() as f32;
        let scale = 1.0 / (mean + epsilon).sqrt();
        head.iter_mut().zip(weights).for_each(|(number, weight)| *number *= scale * weight);
    }
}

/// Rotates every head of a row.
fn rotate(heads: Heads, rotary: Rotary<'_>, position: usize, row: &mut [f32]) {
    let half = heads.size / 2;
    let cos = &rotary.cos[position * half..(position + 1) * half];
    let sin = &rotary.sin[position * half..(position + 1) * half];
    for head in row.chunks_exact_mut(heads.size) {
        if heads.interleaved {
            for ((pair, cos), sin) in head.chunks_exact_mut(2).zip(cos).zip(sin) {
                (pair[0], pair[1]) = (pair[0] * cos - pair[1] * sin, pair[1] * cos + pair[0] * sin);
            }
        } else {
            let (first, second) = head.split_at_mut(half);
            for (((a, b), cos), sin) in first.iter_mut().zip(second).zip(cos).zip(sin) {
                (*a, *b) = (*a * cos - *b * sin, *b * cos + *a * sin);
            }
        }
    }
}

/// Puts a token's keys and values at their place.
fn remember(
    simd: Simd,
    heads: Heads,
    layer: &mut Layer,
    page: usize,
    at: usize,
    keys: &[f32],
    values: &[f32],
) {
    let page = layer.page_mut(page);
    let mut half = [0; LANES];
    for (index, eight) in keys.as_chunks::<LANES>().0.iter().enumerate() {
        simd.to_half(eight, &mut half);
        for (lane, number) in half.into_iter().enumerate() {
            page.keys[(index * LANES + lane) * PAGE + at] = number;
        }
    }
    for (index, eight) in values.as_chunks::<LANES>().0.iter().enumerate() {
        simd.to_half(eight, &mut half);
        let (head, inner) = (index * LANES / heads.size, index * LANES % heads.size);
        let first = (head * PAGE + at) * heads.size + inner;
        page.values[first..first + LANES].copy_from_slice(&half);
    }
}

/// The largest of these, -∞ of none; over lanes, as one chain of comparisons takes longer than the scores do.
fn largest(row: &[f32]) -> f32 {
    let (lanes, rest) = row.as_chunks::<16>();
    let mut most = [f32::NEG_INFINITY; 16];
    for lanes in lanes {
        for (most, number) in most.iter_mut().zip(lanes) {
            *most = most.max(*number);
        }
    }
    most.iter().chain(rest).copied().fold(f32::NEG_INFINITY, f32::max)
}

/// What a token of one key-value head looks at.
struct Keys<'a> {
    simd: Simd,
    layer: &'a Layer,
    pages: &'a [usize],
    kv: usize,
    size: usize,
    /// Positions up to the token's own.
    count: usize,
    /// Of these, the last that it looks at; 0 for all.
    window: usize,
}

impl Keys<'_> {
    /// `G` queries, one after the other, to as many outputs.
    fn attend<const G: usize>(&self, queries: &[f32], scores: &mut Vec<f32>, out: &mut [f32]) {
        let first = if self.window == 0 { 0 } else { self.count.saturating_sub(self.window) };
        // Positions are counted from the first page on that is looked at.
        let (size, pages) = (self.size, &self.pages[first / PAGE..self.count.div_ceil(PAGE)]);
        let (unseen, count) = (first % PAGE, self.count - first / PAGE * PAGE);
        let stride = pages.len() * PAGE;
        scores.clear();
        scores.resize(G * stride, 0.0);
        let rows: [&[f32]; G] = std::array::from_fn(|g| &queries[g * size..(g + 1) * size]);
        for (number, page) in pages.iter().enumerate() {
            let keys = &self.layer.page(*page).keys[self.kv * size * PAGE..(self.kv + 1) * size * PAGE];
            for at in (0..PAGE).step_by(16) {
                let found = self.simd.scores(rows, keys, at);
                for (g, found) in found.iter().enumerate() {
                    scores[g * stride + number * PAGE + at..][..16].copy_from_slice(found);
                }
            }
        }
        let mut inverse = [0.0; G];
        for (row, inverse) in scores.chunks_exact_mut(stride).zip(&mut inverse) {
            let row = &mut row[..count];
            row[..unseen].fill(f32::NEG_INFINITY);
            let most = largest(row);
            *inverse = 1.0 / self.simd.exponentials(row, most);
        }
        for at in (0..size).step_by(16) {
            let mut sums = [[0.0; 16]; G];
            for (number, page) in pages.iter().enumerate() {
                let values =
                    &self.layer.page(*page).values[self.kv * size * PAGE..(self.kv + 1) * size * PAGE];
                let from = number * PAGE;
                let to = count.min(from + PAGE);
                let weights: [&[f32]; G] =
                    std::array::from_fn(|g| &scores[g * stride + from..g * stride + to]);
                self.simd.weigh(weights, values, size, at, &mut sums);
            }
            for (g, sums) in sums.iter().enumerate() {
                for (out, sum) in out[g * size + at..][..16].iter_mut().zip(sums) {
                    *out = sum * inverse[g];
                }
            }
        }
    }
}

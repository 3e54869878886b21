//! Rows of floats as codes of eight bits, a scale for every 32 of them: what packed weights are multiplied with.
//!
//! As ggml does for its `Q8_0`; each row by itself, so that a token's codes do not depend on its neighbours.

use std::sync::Mutex;

use super::Cpu;

/// Numbers with one scale.
pub(crate) const BLOCK: usize = 32;
/// Numbers that are not worth a second thread.
const ALONE: usize = 1 << 15;

/// The scale of a block, and the sums of its numbers as they are coded.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Quantized {
    pub(crate) scale: f32,
    pub(crate) sum: f32,
    /// Of the first and of the last 16.
    pub(crate) halves: [f32; 2],
}

/// One row's codes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Row<'a> {
    pub(crate) codes: &'a [i8],
    pub(crate) blocks: &'a [Quantized],
}

/// Rows of the same length, with their memory kept between steps.
#[derive(Debug, Default)]
pub(crate) struct Activations {
    columns: usize,
    codes: Vec<i8>,
    blocks: Vec<Quantized>,
}

impl Activations {
    /// Codes of `x`, `[rows, columns]`.
    pub(crate) fn set(&mut self, cpu: Cpu<'_>, x: &[f32], columns: usize) {
        self.columns = columns;
        self.codes.resize(x.len(), 0);
        self.blocks.resize(x.len() / BLOCK, Quantized::default());
        if x.len() <= ALONE {
            return cpu.simd.quantize(x, &mut self.codes, &mut self.blocks);
        }
        let parts = self.codes.chunks_mut(ALONE).zip(self.blocks.chunks_mut(ALONE / BLOCK));
        let parts: Vec<_> = x.chunks(ALONE).zip(parts).map(Mutex::new).collect();
        cpu.threads.each(parts.len(), &|task| {
            if let Ok(mut part) = parts[task].lock() {
                let (x, (codes, blocks)) = &mut *part;
                cpu.simd.quantize(x, codes, blocks);
            }
        });
    }

    /// Row `row`.
    pub(crate) fn row(&self, row: usize) -> Row<'_> {
        let (columns, blocks) = (self.columns, self.columns / BLOCK);
        Row {
            codes: &self.codes[row * columns..(row + 1) * columns],
            blocks: &self.blocks[row * blocks..(row + 1) * blocks],
        }
    }
}

//! In the place of `avx2.rs` on other processors: no [`Simd`] can be made there, so that no kernel ever runs, and models are
//! imported as graphs of ONNX Runtime's operators.

#![expect(unused_variables, reason = "the names are those of avx2.rs")]

use super::{
    activations::{Quantized, Row},
    layout::{Format, LANES},
};

pub(crate) const TILE: usize = 8;

#[derive(Default)]
pub(crate) struct Tile;

pub(crate) struct Part<'a> {
    pub(crate) weights: &'a [u8],
    pub(crate) next: &'a [u8],
    pub(crate) sums: &'a mut [[f32; LANES]],
}

/// There is none.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Simd {}

impl Simd {
    pub(crate) fn detect() -> Option<Simd> {
        None
    }

    pub(crate) fn single(self, format: Format, strip: &[u8], row: Row<'_>) -> [f32; LANES] {
        match self {}
    }

    pub(crate) fn chunk(self, tokens: usize) -> usize {
        match self {}
    }

    pub(crate) fn tile(self, format: Format, x: &Tile, one: Part<'_>, other: Option<Part<'_>>) {
        match self {}
    }

    pub(crate) fn load(self, rows: &[Row<'_>], first: usize, count: usize, tile: &mut Tile) {
        match self {}
    }

    pub(crate) fn float_product(self, half: bool, strip: &[u8], x: &[f32]) -> [f32; LANES] {
        match self {}
    }

    pub(crate) fn quantize(self, x: &[f32], codes: &mut [i8], blocks: &mut [Quantized]) {
        match self {}
    }

    pub(crate) fn gated(self, gelu: bool, gate: &[f32; LANES], up: &[f32; LANES]) -> [f32; LANES] {
        match self {}
    }

    pub(crate) fn to_half(self, from: &[f32; LANES], to: &mut [u16; LANES]) {
        match self {}
    }

    pub(crate) fn queries(self) -> usize {
        match self {}
    }

    pub(crate) fn scores<const G: usize>(
        self,
        queries: [&[f32]; G],
        keys: &[u16],
        at: usize,
    ) -> [[f32; 16]; G] {
        match self {}
    }

    pub(crate) fn weigh<const G: usize>(
        self,
        weights: [&[f32]; G],
        values: &[u16],
        size: usize,
        at: usize,
        sums: &mut [[f32; 16]; G],
    ) {
        match self {}
    }

    pub(crate) fn exponentials(self, x: &mut [f32], most: f32) -> f32 {
        match self {}
    }
}

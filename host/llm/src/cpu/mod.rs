//! Our own kernels for processors with AVX2: what a decoder spends its time on, where ONNX Runtime's kernels were
//! measured to be slower (docs/benchmarks.md) or cannot batch sequences of different lengths.
//!
//! `layout.rs` says how weights are stored, `activations.rs` how tokens are, `avx2.rs` is what the inner loops are called by and
//! have in common: `avx2/narrow.rs` by AVX2, `vnni.rs` (of one token) and `wide.rs` (of several) by AVX-512's products of
//! bytes, `floats.rs` the arithmetic on floats (off x86-64 `absent.rs` is in their place). `matmul.rs` has products over all
//! threads, `attention.rs` attention over the pages of `paged.rs`. Plain functions on slices: `runtime/operators.rs` makes
//! operators of ONNX Runtime of them, and gives them its threads ([`Parallel`]).
//!
//! Invariant: what a token gives does not depend, to the bit, on the tokens evaluated with it, on how many there are, or on
//! the number of threads. So batching, chunks, kept prefixes and speculation change no answer.

#[cfg(not(target_arch = "x86_64"))]
mod absent;
pub(crate) mod activations;
pub(crate) mod attention;
#[cfg(target_arch = "x86_64")]
mod avx2;
mod columns;
pub(crate) mod layout;
pub(crate) mod matmul;
pub(crate) mod paged;
#[cfg(all(test, target_arch = "x86_64"))]
mod tests;

#[cfg(not(target_arch = "x86_64"))]
pub(crate) use self::absent::{Part, Simd, TILE, Tile};
#[cfg(target_arch = "x86_64")]
pub(crate) use self::avx2::{Part, Simd, TILE, Tile};

/// What the kernels compute with.
#[derive(Clone, Copy)]
pub(crate) struct Cpu<'a> {
    pub(crate) simd: Simd,
    pub(crate) threads: &'a dyn Parallel,
}

/// Threads to share work between.
pub(crate) trait Parallel {
    /// Calls `work` once with each number below `tasks`, in any order, and returns when all calls have.
    fn each(&self, tasks: usize, work: &(dyn Fn(usize) + Sync));
}

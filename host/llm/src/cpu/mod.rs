//! Our own kernels for processors with AVX2: what a decoder spends its time on, where ONNX Runtime's kernels were
//! measured to be slower (docs/benchmarks.md) or cannot batch sequences of different lengths.
//!
//! `layout.rs` says how weights are stored, `activations.rs` how tokens are, `avx2.rs` holds the inner loops, with
//! `avx2/vnni.rs` for processors that multiply bytes by AVX-512 (off x86-64 `absent.rs` is in its place), `matmul.rs` products
//! over all threads, `attention.rs` attention over the pages of `paged.rs`. Plain functions on slices: `runtime/operators.rs`
//! makes operators of ONNX Runtime of them, and gives them its threads ([`Parallel`]).
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
pub(crate) use self::absent::{CHUNK, Simd, Spread, TILE};
#[cfg(target_arch = "x86_64")]
pub(crate) use self::avx2::{CHUNK, Simd, Spread, TILE};

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

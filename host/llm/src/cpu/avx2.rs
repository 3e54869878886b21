//! The inner loops in vectors: products of packed weights, and the float arithmetic around attention. Here is what chooses
//! among them ([`Simd`]), what they take ([`Tile`], [`Part`]) and what they have in common.
//!
//! One of the files with `unsafe`: unaligned loads and stores through references of the right size, and the calls into
//! functions that need the processor's features, which only a [`Simd`] can make. Invariant: a token's result does not
//! depend on what is computed beside it: every tile runs the same operations in the same order for each of its tokens.

#![expect(unsafe_code, reason = "vector loads and stores, and calls that need AVX2")]
#![expect(
    clippy::needless_range_loop,
    reason = "iterators' closures are not compiled with the features of the function around them"
)]

mod floats;

use std::arch::x86_64::*;

use super::{
    activations::{BLOCK, Quantized, Row},
    layout::{Format, LANES},
};

/// Tokens of a tile.
pub(crate) const TILE: usize = 8;
/// Blocks of columns that are multiplied with all tokens before the next, a multiple of the blocks that a super-block has: of
/// [`Spread`]s as many as the nearest cache has room for, of [`Near`]s more.
const CHUNK: usize = 8;
const WIDE_CHUNK: usize = 16;
/// More blocks than a strip has.
const WHOLE: usize = 1 << 16;

/// A chunk of up to [`TILE`] tokens as this processor's loops load it.
#[derive(Default)]
pub(crate) struct Tile {
    spreads: Vec<Spread>,
    nears: Vec<Near>,
}

/// A block of up to [`TILE`] tokens: every four codes and every number repeated for eight rows.
#[derive(Clone, Copy, Debug)]
#[repr(align(32))]
struct Spread {
    quads: [[[i8; 32]; 8]; TILE],
    scale: [[f32; LANES]; TILE],
    sum: [[f32; LANES]; TILE],
    halves: [[[f32; LANES]; TILE]; 2],
}

/// The same for AVX-512, which repeats while it loads.
#[derive(Clone, Copy, Debug, Default)]
#[repr(align(64))]
struct Near {
    codes: [[i8; BLOCK]; TILE],
    numbers: [Quantized; TILE],
}

/// Nothing.
const EMPTY: Spread = {
    let numbers = [[0.0; LANES]; TILE];
    Spread { quads: [[[0; 32]; 8]; TILE], scale: numbers, sum: numbers, halves: [numbers; 2] }
};

/// The part of a strip that is multiplied with a tile.
pub(crate) struct Part<'a> {
    pub(crate) weights: &'a [u8],
    /// What comes after it, to be brought near meanwhile.
    pub(crate) next: &'a [u8],
    /// One of each token, which the products are added to.
    pub(crate) sums: &'a mut [[f32; LANES]],
}

/// The proof that the processor has what the loops need.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Simd {
    /// Whether it has AVX-512's products of bytes, too.
    vnni: bool,
}

impl Simd {
    /// `None` on a processor without AVX2, FMA and F16C.
    pub(crate) fn detect() -> Option<Simd> {
        let has = is_x86_feature_detected!("avx2")
            && is_x86_feature_detected!("fma")
            && is_x86_feature_detected!("f16c");
        let vnni = is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512vl")
            && is_x86_feature_detected!("avx512vnni");
        has.then_some(Simd { vnni })
    }

    /// The same without what not every processor with AVX2 has.
    #[cfg(test)]
    pub(crate) fn plain(self) -> Simd {
        Simd { vnni: false }
    }

    /// The product of a strip of packed weights with one token.
    pub(crate) fn single(self, format: Format, strip: &[u8], row: Row<'_>) -> [f32; LANES] {
        /// What is the same for every format.
        macro_rules! each {
            ($($name:ident)*) => {
                match format {
                    // SAFETY: a `Simd` exists on processors with these features only, and knows of the others.
                    $(Format::$name if self.vnni => unsafe { vnni::single::<{ Format::$name as u8 }>(strip, row) },
                    // SAFETY: as above.
                    Format::$name => unsafe { narrow::single::<{ Format::$name as u8 }>(strip, row) },)*
                    Format::F32 | Format::F16 => [0.0; LANES],
                }
            };
        }
        each!(Q4_0 Q4_1 Q5_0 Q5_1 Q8_0 Q4K Q5K Q6K)
    }

    /// Blocks of a chunk, where there are so many tokens: of a single tile all, so that weights come in the order in which
    /// they lie.
    pub(crate) fn chunk(self, tokens: usize) -> usize {
        match self.vnni {
            true if tokens <= TILE => WHOLE,
            true => WIDE_CHUNK,
            false => CHUNK,
        }
    }

    /// Adds the products of a chunk of one or two strips with that of a tile.
    #[inline]
    pub(crate) fn tile(self, format: Format, x: &Tile, one: Part<'_>, other: Option<Part<'_>>) {
        macro_rules! each {
            ($($name:ident)*) => {
                match format {
                    $(Format::$name => self.tile_of::<{ Format::$name as u8 }>(x, one, other),)*
                    Format::F32 | Format::F16 => {}
                }
            };
        }
        each!(Q4_0 Q4_1 Q5_0 Q5_1 Q8_0 Q4K Q5K Q6K)
    }

    #[inline]
    fn tile_of<const F: u8>(self, x: &Tile, one: Part<'_>, other: Option<Part<'_>>) {
        macro_rules! each {
            ($part:ident, $part_sums:ident, $body:expr, $($count:literal)*) => {
                $(if let Ok($part_sums) = <&mut [_; $count]>::try_from(&mut *$part.sums) {
                    return $body;
                })*
            };
        }
        if !self.vnni {
            let alone = |part: Part<'_>| {
                // SAFETY: as above.
                each!(part, sums, unsafe { narrow::tile::<F, _>(part.weights, part.next, &x.spreads, sums) }, 8 1 2 3 4 5 6 7);
            };
            alone(one);
            return other.map(alone).unwrap_or_default();
        }
        // A strip without another is multiplied beside itself.
        let mut nowhere = [[0.0; LANES]; TILE];
        let tokens = one.sums.len().min(TILE);
        let other = other.unwrap_or(Part { weights: one.weights, next: &[], sums: &mut nowhere[..tokens] });
        let (weights, next) = ([one.weights, other.weights], [one.next, other.next]);
        // SAFETY: as above.
        each!(one, sums, unsafe { wide::tile::<F, _>(weights, next, &x.nears, sums, other.sums) }, 8 1 2 3 4 5 6 7);
    }

    /// Makes `count` blocks from `first` on of up to [`TILE`] tokens ready for the loops.
    pub(crate) fn load(self, rows: &[Row<'_>], first: usize, count: usize, tile: &mut Tile) {
        if !self.vnni {
            tile.spreads.resize(count, EMPTY);
            for (at, out) in tile.spreads.iter_mut().enumerate() {
                // SAFETY: as above.
                unsafe { spread(rows, first + at, out) }
            }
            return;
        }
        tile.nears.resize(count, Near::default());
        for (t, row) in rows.iter().enumerate().take(TILE) {
            let codes = row.codes.as_chunks::<BLOCK>().0[first..first + count].iter();
            for (out, (codes, numbers)) in tile.nears.iter_mut().zip(codes.zip(&row.blocks[first..])) {
                out.codes[t] = *codes;
                out.numbers[t] = *numbers;
            }
        }
    }

    /// The product of one strip of float weights with one token.
    pub(crate) fn float_product(self, half: bool, strip: &[u8], x: &[f32]) -> [f32; LANES] {
        // SAFETY: as above.
        unsafe { if half { float_strip::<true>(strip, x) } else { float_strip::<false>(strip, x) } }
    }

    /// Codes and scales of a row of floats, a multiple of [`BLOCK`] long.
    pub(crate) fn quantize(self, x: &[f32], codes: &mut [i8], blocks: &mut [Quantized]) {
        // SAFETY: as above.
        unsafe { floats::quantize(x, codes, blocks) }
    }

    /// `gate / (1 + exp(-gate)) * up`, lane by lane.
    pub(crate) fn gated(self, gelu: bool, gate: &[f32; LANES], up: &[f32; LANES]) -> [f32; LANES] {
        // SAFETY: as above.
        unsafe { floats::gated(gelu, gate, up) }
    }

    /// Floats to half precision, rounded to the nearest.
    pub(crate) fn to_half(self, from: &[f32; LANES], to: &mut [u16; LANES]) {
        // SAFETY: as above.
        unsafe { floats::to_half(from, to) }
    }

    /// Queries that [`Simd::scores`] and [`Simd::weigh`] have registers for.
    pub(crate) fn queries(self) -> usize {
        if self.vnni { 8 } else { 6 }
    }

    /// `scores[g][p]`: the sum over `d` of `queries[g][d] * keys[d][p]`; `keys` has rows of [`super::paged::PAGE`]
    /// half-precision numbers, and as many as a query has.
    pub(crate) fn scores<const G: usize>(
        self,
        queries: [&[f32]; G],
        keys: &[u16],
        at: usize,
    ) -> [[f32; 16]; G] {
        // SAFETY: as above.
        unsafe { if self.vnni { wide::scores(queries, keys, at) } else { floats::scores(queries, keys, at) } }
    }

    /// Adds to `sums[g]` the sum over `p` of `weights[g][p] * values[p][at..at + 16]`.
    pub(crate) fn weigh<const G: usize>(
        self,
        weights: [&[f32]; G],
        values: &[u16],
        size: usize,
        at: usize,
        sums: &mut [[f32; 16]; G],
    ) {
        // SAFETY: as above.
        unsafe {
            if self.vnni {
                wide::weigh(weights, values, size, at, sums);
            } else {
                floats::weigh(weights, values, size, at, sums);
            }
        }
    }

    /// `exp(x - most)` in place, and the sum of these, in the order of eight lanes.
    pub(crate) fn exponentials(self, x: &mut [f32], most: f32) -> f32 {
        // SAFETY: as above.
        unsafe { floats::exponentials(x, most) }
    }
}

#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn load(bytes: &[u8; 32]) -> __m256i {
    // SAFETY: 32 bytes, any alignment.
    unsafe { _mm256_loadu_si256(bytes.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn load_half(bytes: &[u8; 16]) -> __m256 {
    // SAFETY: 16 bytes, any alignment.
    _mm256_cvtph_ps(unsafe { _mm_loadu_si128(bytes.as_ptr().cast::<__m128i>()) })
}

#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn load_halves(numbers: &[u16; LANES]) -> __m256 {
    // SAFETY: 16 bytes, any alignment.
    _mm256_cvtph_ps(unsafe { _mm_loadu_si128(numbers.as_ptr().cast::<__m128i>()) })
}

#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn load_shorts(numbers: &[u16; 2 * LANES]) -> __m256i {
    // SAFETY: 32 bytes, any alignment.
    unsafe { _mm256_loadu_si256(numbers.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn load_floats(numbers: &[f32; LANES]) -> __m256 {
    // SAFETY: 32 bytes, any alignment.
    unsafe { _mm256_loadu_ps(numbers.as_ptr()) }
}

#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn store(to: &mut [f32; LANES], from: __m256) {
    // SAFETY: 32 bytes, any alignment.
    unsafe { _mm256_storeu_ps(to.as_mut_ptr(), from) }
}

/// `N` of the slice from `at` on.
#[inline(always)]
fn part<T, const N: usize>(slice: &[T], at: usize) -> &[T; N] {
    match slice[at..].first_chunk() {
        Some(part) => part,
        None => panic!("{N} of {} from {at}", slice.len()),
    }
}

#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn unsigned(bytes: &[u8; 8]) -> __m256 {
    _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_cvtsi64_si128(i64::from_le_bytes(*bytes))))
}

#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn signed(bytes: &[u8; 8]) -> __m256 {
    _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_cvtsi64_si128(i64::from_le_bytes(*bytes))))
}

/// The codes of the columns `8 * pair ..` of a block: two vectors of eight rows by four columns each. `high` holds the
/// fifth and sixth bits and moves on with the pairs.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn pair<const F: u8>(codes: &[u8], high: &mut __m256i, pair: usize) -> (__m256i, __m256i) {
    let low = _mm256_set1_epi8(15);
    let both = load(part(codes, pair * 32));
    let (first, second) = (_mm256_and_si256(both, low), _mm256_and_si256(_mm256_srli_epi16(both, 4), low));
    match Format::of(F).bits() {
        5 => {
            let bit = _mm256_set1_epi8(16);
            if pair == 0 {
                *high = load(part(codes, 128));
            }
            let (a, b) = (_mm256_slli_epi16(*high, 4), _mm256_slli_epi16(*high, 3));
            *high = _mm256_srli_epi16(*high, 2);
            (
                _mm256_or_si256(first, _mm256_and_si256(a, bit)),
                _mm256_or_si256(second, _mm256_and_si256(b, bit)),
            )
        }
        6 => {
            let bits = _mm256_set1_epi8(0x30);
            *high = if pair.is_multiple_of(2) {
                load(part(codes, 128 + pair * 16))
            } else {
                _mm256_srli_epi16(*high, 4)
            };
            let (a, b) = (_mm256_slli_epi16(*high, 4), _mm256_slli_epi16(*high, 2));
            (
                _mm256_or_si256(first, _mm256_and_si256(a, bits)),
                _mm256_or_si256(second, _mm256_and_si256(b, bits)),
            )
        }
        _ => (first, second),
    }
}

/// Eight signed numbers, each twice.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn doubled(bytes: &[u8; 8]) -> __m256i {
    let eight = _mm_cvtepi8_epi16(_mm_cvtsi64_si128(i64::from_le_bytes(*bytes)));
    _mm256_set_m128i(_mm_unpackhi_epi16(eight, eight), _mm_unpacklo_epi16(eight, eight))
}

/// What a block is scaled and moved by, for eight rows: `head` are the factors of its super-block.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn factors<const F: u8>(head: &[u8], block: &[u8]) -> (__m256, __m256) {
    match Format::of(F) {
        Format::Q4K | Format::Q5K => {
            let scale = _mm256_mul_ps(load_half(part(head, 0)), unsigned(part(block, 0)));
            let minimum = _mm256_mul_ps(load_half(part(head, 16)), unsigned(part(block, 8)));
            (scale, _mm256_sub_ps(_mm256_setzero_ps(), minimum))
        }
        Format::Q4_1 | Format::Q5_1 => (load_half(part(block, 0)), load_half(part(block, 16))),
        format => {
            let scale = load_half(part(block, 0));
            (scale, _mm256_mul_ps(scale, _mm256_set1_ps(-format.zero())))
        }
    }
}

/// A block of the tokens of a tile, or of one token as it is.
#[derive(Clone, Copy)]
struct Input<'a> {
    spread: &'a Spread,
    codes: &'a [i8; BLOCK],
    numbers: &'a Quantized,
}

#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn quad<const SPREAD: bool>(x: Input<'_>, t: usize, at: usize) -> __m256i {
    if SPREAD {
        // SAFETY: 32 bytes, any alignment.
        return unsafe { _mm256_loadu_si256(x.spread.quads[t][at].as_ptr().cast()) };
    }
    let four: &[i8; 4] = part(x.codes, at * 4);
    _mm256_set1_epi32(i32::from_le_bytes([four[0] as u8, four[1] as u8, four[2] as u8, four[3] as u8]))
}

/// One of the numbers of a token of an [`Input`], for eight rows.
macro_rules! number {
    ($x:ident.halves[$t:expr][$half:expr]) => {
        if SPREAD {
            load_floats(&$x.spread.halves[$half][$t])
        } else {
            _mm256_set1_ps($x.numbers.halves[$half])
        }
    };
    ($x:ident.$name:ident[$t:expr]) => {
        if SPREAD { load_floats(&$x.spread.$name[$t]) } else { _mm256_set1_ps($x.numbers.$name) }
    };
}

/// Adds to `sums` the whole products of a block, scaled and moved.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn scaled<const F: u8, const T: usize, const SPREAD: bool>(
    head: &[u8],
    block: &[u8],
    x: Input<'_>,
    totals: [__m256i; T],
    sums: &mut [__m256; T],
) {
    let (scale, offset) = factors::<F>(head, block);
    for t in 0..T {
        let total = _mm256_cvtepi32_ps(totals[t]);
        sums[t] = _mm256_fmadd_ps(_mm256_mul_ps(scale, number!(x.scale[t])), total, sums[t]);
        sums[t] = _mm256_fmadd_ps(offset, number!(x.sum[t]), sums[t]);
    }
}

/// The same where both halves of a block have scales, which are in `totals` already.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn scaled_by_halves<const F: u8, const T: usize, const SPREAD: bool>(
    head: &[u8],
    block: &[u8],
    x: Input<'_>,
    totals: [__m256i; T],
    sums: &mut [__m256; T],
) {
    let scale = load_half(part(head, 0));
    let offset = _mm256_mul_ps(scale, _mm256_set1_ps(-Format::of(F).zero()));
    let offsets =
        [_mm256_mul_ps(offset, signed(part(block, 0))), _mm256_mul_ps(offset, signed(part(block, 8)))];
    for t in 0..T {
        let total = _mm256_cvtepi32_ps(totals[t]);
        sums[t] = _mm256_fmadd_ps(_mm256_mul_ps(scale, number!(x.scale[t])), total, sums[t]);
        sums[t] = _mm256_fmadd_ps(offsets[0], number!(x.halves[t][0]), sums[t]);
        sums[t] = _mm256_fmadd_ps(offsets[1], number!(x.halves[t][1]), sums[t]);
    }
}

/// For the half of an [`Input`] that is not looked at.
static NOTHING: Spread = EMPTY;

/// The products of a strip with one token, by a way to multiply a block.
macro_rules! single {
    ($features:literal, $block:ident) => {
        #[target_feature(enable = $features)]
        pub(super) fn single<const F: u8>(strip: &[u8], row: Row<'_>) -> [f32; LANES] {
            let format = Format::of(F);
            let (head, bytes, together) =
                (format.head_bytes(), format.block_bytes(), format.blocks_together());
            let mut sums = [_mm256_setzero_ps()];
            let (codes, _) = row.codes.as_chunks::<BLOCK>();
            let mut x = codes.iter().zip(row.blocks);
            for group in strip.chunks_exact(head + together * bytes) {
                let (head, blocks) = group.split_at(head);
                for (weights, (codes, numbers)) in blocks.chunks_exact(bytes).zip(&mut x) {
                    $block::<F, 1, false>(
                        head,
                        weights,
                        Input { spread: &NOTHING, codes, numbers },
                        &mut sums,
                    );
                }
            }
            let mut out = [0.0; LANES];
            store(&mut out, sums[0]);
            out
        }
    };
}

// Behind the macros that they use.
mod narrow;
mod vnni;
mod wide;

#[target_feature(enable = "avx2,fma,f16c")]
fn spread(rows: &[Row<'_>], block: usize, out: &mut Spread) {
    for (t, row) in rows.iter().enumerate().take(TILE) {
        let codes: &[i8; BLOCK] = part(row.codes, block * BLOCK);
        let numbers = &row.blocks[block];
        for (at, four) in codes.as_chunks::<4>().0.iter().enumerate() {
            let four = [four[0] as u8, four[1] as u8, four[2] as u8, four[3] as u8];
            let eight = _mm256_set1_epi32(i32::from_le_bytes(four));
            // SAFETY: 32 bytes, any alignment.
            unsafe { _mm256_storeu_si256(out.quads[t][at].as_mut_ptr().cast(), eight) };
        }
        out.scale[t] = [numbers.scale; LANES];
        out.sum[t] = [numbers.sum; LANES];
        out.halves[0][t] = [numbers.halves[0]; LANES];
        out.halves[1][t] = [numbers.halves[1]; LANES];
    }
}

#[target_feature(enable = "avx2,fma,f16c")]
fn float_strip<const HALF: bool>(strip: &[u8], x: &[f32]) -> [f32; LANES] {
    let mut sums = [_mm256_setzero_ps(); 4];
    let width = if HALF { 16 } else { 32 };
    for (at, (column, x)) in strip.chunks_exact(width).zip(x).enumerate() {
        let weights =
            if HALF { load_half(part(column, 0)) } else { _mm256_castsi256_ps(load(part(column, 0))) };
        sums[at % 4] = _mm256_fmadd_ps(weights, _mm256_set1_ps(*x), sums[at % 4]);
    }
    let mut out = [0.0; LANES];
    store(&mut out, _mm256_add_ps(_mm256_add_ps(sums[0], sums[1]), _mm256_add_ps(sums[2], sums[3])));
    out
}

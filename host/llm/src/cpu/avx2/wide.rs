//! What several tokens take most of their time for, in AVX-512's vectors of 512 bits: products of two strips with a tile, and
//! attention. Sixteen rows or positions at once; what they share is repeated for them by the loads themselves. The same whole
//! numbers and the same floats in the same order as `avx2.rs` has them, so the same results to the bit.

use std::arch::x86_64::*;

use super::*;
use crate::cpu::paged::PAGE;

#[inline]
#[target_feature(enable = "avx2,fma,f16c,avx512f,avx512bw,avx512vl,avx512vnni")]
fn join(first: __m256i, second: __m256i) -> __m512i {
    _mm512_inserti64x4::<1>(_mm512_castsi256_si512(first), second)
}

#[inline]
#[target_feature(enable = "avx2,fma,f16c,avx512f,avx512bw,avx512vl,avx512vnni")]
fn join_floats(first: __m256, second: __m256) -> __m512 {
    _mm512_castsi512_ps(join(_mm256_castps_si256(first), _mm256_castps_si256(second)))
}

/// The bytes of both blocks from `at` on.
#[inline]
#[target_feature(enable = "avx2,fma,f16c,avx512f,avx512bw,avx512vl,avx512vnni")]
fn both(codes: [&[u8]; 2], at: usize) -> __m512i {
    join(load(part(codes[0], at)), load(part(codes[1], at)))
}

/// As [`super::pair`], of two blocks.
#[inline]
#[target_feature(enable = "avx2,fma,f16c,avx512f,avx512bw,avx512vl,avx512vnni")]
fn pair<const F: u8>(codes: [&[u8]; 2], high: &mut __m512i, pair: usize) -> (__m512i, __m512i) {
    let low = _mm512_set1_epi8(15);
    let both_halves = both(codes, pair * 32);
    let first = _mm512_and_si512(both_halves, low);
    let second = _mm512_and_si512(_mm512_srli_epi16::<4>(both_halves), low);
    match Format::of(F).bits() {
        5 => {
            let bit = _mm512_set1_epi8(16);
            if pair == 0 {
                *high = both(codes, 128);
            }
            let (a, b) = (_mm512_slli_epi16::<4>(*high), _mm512_slli_epi16::<3>(*high));
            *high = _mm512_srli_epi16::<2>(*high);
            (
                _mm512_or_si512(first, _mm512_and_si512(a, bit)),
                _mm512_or_si512(second, _mm512_and_si512(b, bit)),
            )
        }
        6 => {
            let bits = _mm512_set1_epi8(0x30);
            *high = if pair.is_multiple_of(2) {
                both(codes, 128 + pair * 16)
            } else {
                _mm512_srli_epi16::<4>(*high)
            };
            let (a, b) = (_mm512_slli_epi16::<4>(*high), _mm512_slli_epi16::<2>(*high));
            (
                _mm512_or_si512(first, _mm512_and_si512(a, bits)),
                _mm512_or_si512(second, _mm512_and_si512(b, bits)),
            )
        }
        _ => (first, second),
    }
}

/// Four codes of a token, for sixteen rows.
#[inline]
#[target_feature(enable = "avx2,fma,f16c,avx512f,avx512bw,avx512vl,avx512vnni")]
fn quad(x: &Near, t: usize, at: usize) -> __m512i {
    let four: &[i8; 4] = part(&x.codes[t], at * 4);
    _mm512_set1_epi32(i32::from_le_bytes(four.map(|code| code as u8)))
}

/// Adds to `sums` the products of a block of each strip.
#[inline]
#[target_feature(enable = "avx2,fma,f16c,avx512f,avx512bw,avx512vl,avx512vnni")]
fn block<const F: u8, const T: usize>(
    heads: [&[u8]; 2],
    blocks: [&[u8]; 2],
    x: &Near,
    sums: &mut [__m512; T],
) {
    let format = Format::of(F);
    let zeros = _mm512_setzero_si512();
    let codes = [&blocks[0][format.scale_bytes()..], &blocks[1][format.scale_bytes()..]];
    let (mut high, mut totals) = (zeros, [zeros; T]);
    match format.bits() {
        6 => {
            for half in 0..2 {
                let scales: [&[u8; 8]; 2] = [part(blocks[0], half * 8), part(blocks[1], half * 8)];
                let scales = _mm_set_epi64x(i64::from_le_bytes(*scales[1]), i64::from_le_bytes(*scales[0]));
                let scales = _mm512_cvtepi8_epi32(scales);
                let mut products = [zeros; T];
                for at in half * 2..half * 2 + 2 {
                    let (a, b) = pair::<F>(codes, &mut high, at);
                    for t in 0..T {
                        products[t] = _mm512_dpbusd_epi32(products[t], a, quad(x, t, at * 2));
                        products[t] = _mm512_dpbusd_epi32(products[t], b, quad(x, t, at * 2 + 1));
                    }
                }
                for t in 0..T {
                    totals[t] = _mm512_add_epi32(totals[t], _mm512_mullo_epi32(products[t], scales));
                }
            }
            return scaled_by_halves::<F, T>(heads, blocks, x, totals, sums);
        }
        8 => {
            for at in 0..8 {
                let weights = both(codes, at * 32);
                for t in 0..T {
                    totals[t] = _mm512_dpbusd_epi32(totals[t], weights, quad(x, t, at));
                }
            }
        }
        _ => {
            for at in 0..4 {
                let (a, b) = pair::<F>(codes, &mut high, at);
                for t in 0..T {
                    totals[t] = _mm512_dpbusd_epi32(totals[t], a, quad(x, t, at * 2));
                    totals[t] = _mm512_dpbusd_epi32(totals[t], b, quad(x, t, at * 2 + 1));
                }
            }
        }
    }
    let ((scale, offset), (other_scale, other_offset)) =
        (factors::<F>(heads[0], blocks[0]), factors::<F>(heads[1], blocks[1]));
    let (scale, offset) = (join_floats(scale, other_scale), join_floats(offset, other_offset));
    for t in 0..T {
        let total = _mm512_cvtepi32_ps(totals[t]);
        let numbers = &x.numbers[t];
        sums[t] = _mm512_fmadd_ps(_mm512_mul_ps(scale, _mm512_set1_ps(numbers.scale)), total, sums[t]);
        sums[t] = _mm512_fmadd_ps(offset, _mm512_set1_ps(numbers.sum), sums[t]);
    }
}

/// As [`super::scaled_by_halves`], of two blocks.
#[inline]
#[target_feature(enable = "avx2,fma,f16c,avx512f,avx512bw,avx512vl,avx512vnni")]
fn scaled_by_halves<const F: u8, const T: usize>(
    heads: [&[u8]; 2],
    blocks: [&[u8]; 2],
    x: &Near,
    totals: [__m512i; T],
    sums: &mut [__m512; T],
) {
    let scale = join_floats(load_half(part(heads[0], 0)), load_half(part(heads[1], 0)));
    let offset = _mm512_mul_ps(scale, _mm512_set1_ps(-Format::of(F).zero()));
    let scales = |at: usize| join_floats(signed(part(blocks[0], at)), signed(part(blocks[1], at)));
    let offsets = [_mm512_mul_ps(offset, scales(0)), _mm512_mul_ps(offset, scales(8))];
    for t in 0..T {
        let total = _mm512_cvtepi32_ps(totals[t]);
        let Quantized { scale: own, halves, .. } = x.numbers[t];
        sums[t] = _mm512_fmadd_ps(_mm512_mul_ps(scale, _mm512_set1_ps(own)), total, sums[t]);
        sums[t] = _mm512_fmadd_ps(offsets[0], _mm512_set1_ps(halves[0]), sums[t]);
        sums[t] = _mm512_fmadd_ps(offsets[1], _mm512_set1_ps(halves[1]), sums[t]);
    }
}

/// The products of two strips with a tile.
#[target_feature(enable = "avx2,fma,f16c,avx512f,avx512bw,avx512vl,avx512vnni")]
pub(super) fn tile<const F: u8, const T: usize>(
    strips: [&[u8]; 2],
    next: [&[u8]; 2],
    x: &[Near],
    out: &mut [[f32; LANES]; T],
    other: &mut [[f32; LANES]],
) {
    let format = Format::of(F);
    let (head, bytes, together) = (format.head_bytes(), format.block_bytes(), format.blocks_together());
    let mut ahead = next[0].chunks(64).chain(next[1].chunks(64));
    let whole = x.len() > WIDE_CHUNK;
    let mut sums = [_mm512_setzero_ps(); T];
    for t in 0..T {
        sums[t] = join_floats(load_floats(&out[t]), load_floats(&other[t]));
    }
    let groups = strips.map(|strip| strip.chunks_exact(head + together * bytes));
    let [first, second] = groups;
    for ((first, second), x) in first.zip(second).zip(x.chunks(together)) {
        let (heads, first) = first.split_at(head);
        let (other_heads, second) = second.split_at(head);
        for ((first, second), x) in first.chunks_exact(bytes).zip(second.chunks_exact(bytes)).zip(x) {
            for line in ahead.by_ref().take(2 * bytes.div_ceil(64)) {
                // Two whole strips are too much for the nearest cache.
                if whole {
                    _mm_prefetch::<_MM_HINT_T1>(line.as_ptr().cast());
                } else {
                    _mm_prefetch::<_MM_HINT_T0>(line.as_ptr().cast());
                }
            }
            block::<F, T>([heads, other_heads], [first, second], x, &mut sums);
        }
    }
    for t in 0..T {
        store_both([&mut out[t], &mut other[t]], sums[t]);
    }
}

/// Sixteen numbers at `to`.
#[inline]
#[target_feature(enable = "avx2,fma,f16c,avx512f,avx512bw,avx512vl,avx512vnni")]
fn store_both(to: [&mut [f32; LANES]; 2], from: __m512) {
    let [first, second] = to;
    store(first, _mm512_castps512_ps256(from));
    store(second, _mm256_castsi256_ps(_mm512_extracti64x4_epi64::<1>(_mm512_castps_si512(from))));
}

/// As [`super::floats::scores`].
#[target_feature(enable = "avx2,fma,f16c,avx512f,avx512bw,avx512vl,avx512vnni")]
pub(super) fn scores<const G: usize>(queries: [&[f32]; G], keys: &[u16], at: usize) -> [[f32; 16]; G] {
    let mut sums = [_mm512_setzero_ps(); G];
    let queries = queries.map(|query| &query[..keys.len() / PAGE]);
    for (d, keys) in keys.chunks_exact(PAGE).enumerate() {
        let keys = _mm512_cvtph_ps(load_shorts(part(keys, at)));
        for g in 0..G {
            sums[g] = _mm512_fmadd_ps(_mm512_set1_ps(queries[g][d]), keys, sums[g]);
        }
    }
    let mut out = [[0.0; 16]; G];
    for g in 0..G {
        if let ([first, second], []) = out[g].as_chunks_mut() {
            store_both([first, second], sums[g]);
        }
    }
    out
}

/// As [`super::floats::weigh`].
#[target_feature(enable = "avx2,fma,f16c,avx512f,avx512bw,avx512vl,avx512vnni")]
pub(super) fn weigh<const G: usize>(
    weights: [&[f32]; G],
    values: &[u16],
    size: usize,
    at: usize,
    sums: &mut [[f32; 16]; G],
) {
    let count = weights[0].len();
    let weights = weights.map(|weights| &weights[..count]);
    let mut totals = [_mm512_setzero_ps(); G];
    for g in 0..G {
        totals[g] = join_floats(load_floats(part(&sums[g], 0)), load_floats(part(&sums[g], LANES)));
    }
    for (p, values) in values.chunks_exact(size).take(count).enumerate() {
        let values = _mm512_cvtph_ps(load_shorts(part(values, at)));
        for g in 0..G {
            totals[g] = _mm512_fmadd_ps(_mm512_set1_ps(weights[g][p]), values, totals[g]);
        }
    }
    for g in 0..G {
        if let ([first, second], []) = sums[g].as_chunks_mut() {
            store_both([first, second], totals[g]);
        }
    }
}

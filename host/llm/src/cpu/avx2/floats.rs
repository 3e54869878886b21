//! The arithmetic on floats: codes of activations, SiLU, and what attention is made of.

#![expect(unsafe_code, reason = "vector loads and stores")]

use std::arch::x86_64::*;

use super::{load_floats, load_halves, part, store};
use crate::cpu::{
    activations::{BLOCK, Quantized},
    layout::LANES,
    paged::PAGE,
};

#[target_feature(enable = "avx2,fma,f16c")]
pub(super) fn quantize(x: &[f32], codes: &mut [i8], blocks: &mut [Quantized]) {
    let magnitude = _mm256_castsi256_ps(_mm256_set1_epi32(i32::MAX));
    for ((x, codes), block) in x.chunks_exact(BLOCK).zip(codes.as_chunks_mut::<BLOCK>().0).zip(blocks) {
        let mut parts = [_mm256_setzero_ps(); 4];
        let (mut most, mut no_number) = (_mm256_setzero_ps(), _mm256_setzero_ps());
        for at in 0..4 {
            parts[at] = load_floats(part(x, at * LANES));
            most = _mm256_max_ps(most, _mm256_and_ps(parts[at], magnitude));
            // The largest of a number and none is the number.
            no_number = _mm256_or_ps(no_number, _mm256_cmp_ps::<_CMP_UNORD_Q>(parts[at], parts[at]));
        }
        let mut lanes = [0.0; LANES];
        store(&mut lanes, most);
        let most = lanes.into_iter().fold(0.0, f32::max);
        // A row that is not finite gives codes that mean nothing, and a scale that is not finite.
        let scale = if _mm256_movemask_ps(no_number) == 0 { most / 127.0 } else { f32::NAN };
        let inverse = _mm256_set1_ps(if most > 0.0 { 127.0 / most } else { 0.0 });
        let mut whole = [_mm256_setzero_si256(); 4];
        for at in 0..4 {
            whole[at] = _mm256_cvtps_epi32(_mm256_mul_ps(parts[at], inverse));
        }
        // Within ±127 from here on, also where the row is not finite. Packing works on halves of a vector.
        let first = _mm256_packs_epi32(whole[0], whole[1]);
        let second = _mm256_packs_epi32(whole[2], whole[3]);
        let mixed = _mm256_max_epi8(_mm256_packs_epi16(first, second), _mm256_set1_epi8(-127));
        let order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
        let packed = _mm256_permutevar8x32_epi32(mixed, order);
        // SAFETY: 32 bytes, any alignment.
        unsafe { _mm256_storeu_si256(codes.as_mut_ptr().cast(), packed) };
        let sums: [i32; 2] = [
            codes[..BLOCK / 2].iter().map(|code| i32::from(*code)).sum(),
            codes[BLOCK / 2..].iter().map(|code| i32::from(*code)).sum(),
        ];
        let halves = [sums[0] as f32 * scale, sums[1] as f32 * scale];
        *block = Quantized { scale, sum: (sums[0] + sums[1]) as f32 * scale, halves };
    }
}

/// `e^x`, to a few units in the last place, for x held to -87.3 … 88.3; no number gives none. Polynomial and range reduction as in
/// Cephes' `expf`.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
pub(super) fn exp(x: __m256) -> __m256 {
    let least = _mm256_set1_ps(-87.3);
    let bounded = _mm256_min_ps(_mm256_max_ps(x, least), _mm256_set1_ps(88.3));
    // 8: to the nearest, without an exception.
    let whole = _mm256_round_ps::<8>(_mm256_mul_ps(bounded, _mm256_set1_ps(std::f32::consts::LOG2_E)));
    let rest = _mm256_fnmadd_ps(whole, _mm256_set1_ps(0.693_359_4), bounded);
    let rest = _mm256_fnmadd_ps(whole, _mm256_set1_ps(-2.121_944_4e-4), rest);
    let mut sum = _mm256_set1_ps(1.987_569_2e-4);
    for factor in [1.398_2e-3, 8.333_452e-3, 4.166_579_6e-2, 1.666_666_5e-1, 0.5] {
        sum = _mm256_fmadd_ps(sum, rest, _mm256_set1_ps(factor));
    }
    let sum = _mm256_fmadd_ps(sum, _mm256_mul_ps(rest, rest), _mm256_add_ps(rest, _mm256_set1_ps(1.0)));
    let exponent = _mm256_add_epi32(_mm256_cvtps_epi32(whole), _mm256_set1_epi32(127));
    let power = _mm256_mul_ps(sum, _mm256_castsi256_ps(_mm256_slli_epi32(exponent, 23)));
    _mm256_or_ps(power, _mm256_cmp_ps::<_CMP_UNORD_Q>(x, x))
}

/// `gate * sigmoid(z) * up`, where z is the gate for SiLU, and for GELU, by its approximation with tanh, a polynomial of it.
#[target_feature(enable = "avx2,fma,f16c")]
pub(super) fn gated(gelu: bool, gate: &[f32; LANES], up: &[f32; LANES]) -> [f32; LANES] {
    let (gate, up) = (load_floats(gate), load_floats(up));
    let inner = if gelu {
        // 2 √(2/π) (x + 0.044715 x³); (1 + tanh y) / 2 is sigmoid(2 y).
        let square = _mm256_mul_ps(gate, gate);
        let factor =
            _mm256_fmadd_ps(square, _mm256_set1_ps(1.595_769 * 0.044_715), _mm256_set1_ps(1.595_769));
        _mm256_mul_ps(gate, factor)
    } else {
        gate
    };
    let negative = _mm256_sub_ps(_mm256_setzero_ps(), inner);
    let below = _mm256_add_ps(_mm256_set1_ps(1.0), exp(negative));
    let mut out = [0.0; LANES];
    store(&mut out, _mm256_mul_ps(_mm256_div_ps(gate, below), up));
    out
}

#[target_feature(enable = "avx2,fma,f16c")]
pub(super) fn to_half(from: &[f32; LANES], to: &mut [u16; LANES]) {
    let half = _mm256_cvtps_ph::<0>(load_floats(from));
    // SAFETY: 16 bytes, any alignment.
    unsafe { _mm_storeu_si128(to.as_mut_ptr().cast::<__m128i>(), half) };
}

#[target_feature(enable = "avx2,fma,f16c")]
pub(super) fn scores<const G: usize>(queries: [&[f32]; G], keys: &[u16], at: usize) -> [[f32; 16]; G] {
    let zero = _mm256_setzero_ps();
    let mut sums = [[zero; 2]; G];
    for (d, keys) in keys.chunks_exact(PAGE).enumerate() {
        let (first, second) = (load_halves(part(keys, at)), load_halves(part(keys, at + LANES)));
        for g in 0..G {
            let query = _mm256_set1_ps(queries[g][d]);
            sums[g][0] = _mm256_fmadd_ps(query, first, sums[g][0]);
            sums[g][1] = _mm256_fmadd_ps(query, second, sums[g][1]);
        }
    }
    let mut out = [[0.0; 16]; G];
    for g in 0..G {
        let (first, second) = out[g].split_at_mut(LANES);
        if let (Some(first), Some(second)) = (first.first_chunk_mut(), second.first_chunk_mut()) {
            store(first, sums[g][0]);
            store(second, sums[g][1]);
        }
    }
    out
}

#[target_feature(enable = "avx2,fma,f16c")]
pub(super) fn weigh<const G: usize>(
    weights: [&[f32]; G],
    values: &[u16],
    size: usize,
    at: usize,
    sums: &mut [[f32; 16]; G],
) {
    let count = weights[0].len();
    let mut totals = [[_mm256_setzero_ps(); 2]; G];
    for g in 0..G {
        totals[g] = [load_floats(part(&sums[g], 0)), load_floats(part(&sums[g], LANES))];
    }
    for (p, values) in values.chunks_exact(size).take(count).enumerate() {
        let (first, second) = (load_halves(part(values, at)), load_halves(part(values, at + LANES)));
        for g in 0..G {
            let weight = _mm256_set1_ps(weights[g][p]);
            totals[g][0] = _mm256_fmadd_ps(weight, first, totals[g][0]);
            totals[g][1] = _mm256_fmadd_ps(weight, second, totals[g][1]);
        }
    }
    for g in 0..G {
        let (first, second) = sums[g].split_at_mut(LANES);
        if let (Some(first), Some(second)) = (first.first_chunk_mut(), second.first_chunk_mut()) {
            store(first, totals[g][0]);
            store(second, totals[g][1]);
        }
    }
}

#[target_feature(enable = "avx2,fma,f16c")]
pub(super) fn exponentials(x: &mut [f32], most: f32) -> f32 {
    let most = _mm256_set1_ps(most);
    let mut sums = _mm256_setzero_ps();
    let (eights, rest) = x.as_chunks_mut::<LANES>();
    for eight in eights {
        let power = exp(_mm256_sub_ps(load_floats(eight), most));
        sums = _mm256_add_ps(sums, power);
        store(eight, power);
    }
    let mut last = [f32::NEG_INFINITY; LANES];
    last[..rest.len()].copy_from_slice(rest);
    let mut powers = [0.0; LANES];
    store(&mut powers, exp(_mm256_sub_ps(load_floats(&last), most)));
    rest.copy_from_slice(&powers[..rest.len()]);
    let mut lanes = [0.0; LANES];
    store(&mut lanes, sums);
    lanes.into_iter().sum::<f32>() + rest.iter().sum::<f32>()
}

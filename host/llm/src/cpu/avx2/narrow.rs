//! Products by AVX2's pairs of bytes, on vectors of 256 bits: what every processor with these kernels can do.

use std::arch::x86_64::*;

use super::*;

/// Adds to `sums` the products of one block.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn block<const F: u8, const T: usize, const SPREAD: bool>(
    head: &[u8],
    block: &[u8],
    x: Input<'_>,
    sums: &mut [__m256; T],
) {
    let format = Format::of(F);
    let (ones, zeros) = (_mm256_set1_epi16(1), _mm256_setzero_si256());
    let codes = &block[format.scale_bytes()..];
    let mut high = zeros;
    if format.bits() == 6 {
        // The scales of the halves go into the sums of 32 bits, the factor that they share behind them.
        let mut totals = [zeros; T];
        for half in 0..2 {
            let scales = doubled(part(block, half * 8));
            for at in half * 2..half * 2 + 2 {
                let (a, b) = pair::<F>(codes, &mut high, at);
                for t in 0..T {
                    let first = _mm256_maddubs_epi16(a, quad::<SPREAD>(x, t, at * 2));
                    let second = _mm256_maddubs_epi16(b, quad::<SPREAD>(x, t, at * 2 + 1));
                    let four = _mm256_madd_epi16(_mm256_add_epi16(first, second), scales);
                    totals[t] = _mm256_add_epi32(totals[t], four);
                }
            }
        }
        return scaled_by_halves::<F, T, SPREAD>(head, block, x, totals, sums);
    }
    let mut totals = [zeros; T];
    if format.bits() == 8 {
        // 255 * 127 * 2 does not fit 16 bits: the high and the low half of a code by themselves.
        let low = _mm256_set1_epi8(15);
        let mut short = [[zeros; 2]; T];
        for at in 0..8 {
            let weights = load(part(codes, at * 32));
            let halves =
                [_mm256_and_si256(weights, low), _mm256_and_si256(_mm256_srli_epi16(weights, 4), low)];
            for t in 0..T {
                let x = quad::<SPREAD>(x, t, at);
                for half in 0..2 {
                    let product = _mm256_maddubs_epi16(halves[half], x);
                    short[t][half] = _mm256_add_epi16(short[t][half], product);
                }
            }
        }
        for t in 0..T {
            let high = _mm256_madd_epi16(short[t][1], _mm256_set1_epi16(16));
            totals[t] = _mm256_add_epi32(_mm256_madd_epi16(short[t][0], ones), high);
        }
    } else {
        // As many products as 16 bits hold: 8 of 15 * 127 * 2, 4 of 31 * 127 * 2.
        let runs = if format.bits() == 4 { 1 } else { 2 };
        for run in 0..runs {
            let mut short = [zeros; T];
            for at in run * 4 / runs..(run + 1) * 4 / runs {
                let (a, b) = pair::<F>(codes, &mut high, at);
                for t in 0..T {
                    let first = _mm256_maddubs_epi16(a, quad::<SPREAD>(x, t, at * 2));
                    let second = _mm256_maddubs_epi16(b, quad::<SPREAD>(x, t, at * 2 + 1));
                    short[t] = _mm256_add_epi16(_mm256_add_epi16(short[t], first), second);
                }
            }
            for t in 0..T {
                totals[t] = _mm256_add_epi32(totals[t], _mm256_madd_epi16(short[t], ones));
            }
        }
    }
    scaled::<F, T, SPREAD>(head, block, x, totals, sums);
}

single!("avx2,fma,f16c", block);

/// The products of a strip with a tile.
#[target_feature(enable = "avx2,fma,f16c")]
pub(super) fn tile<const F: u8, const T: usize>(
    strip: &[u8],
    next: &[u8],
    x: &[Spread],
    out: &mut [[f32; LANES]; T],
) {
    let format = Format::of(F);
    let (head, bytes, together) = (format.head_bytes(), format.block_bytes(), format.blocks_together());
    let numbers = Quantized::default();
    let mut ahead = next.chunks(64);
    let mut sums = [_mm256_setzero_ps(); T];
    for t in 0..T {
        sums[t] = load_floats(&out[t]);
    }
    for (group, x) in strip.chunks_exact(head + together * bytes).zip(x.chunks(together)) {
        let (head, blocks) = group.split_at(head);
        for (weights, spread) in blocks.chunks_exact(bytes).zip(x) {
            for line in ahead.by_ref().take(bytes.div_ceil(64)) {
                _mm_prefetch::<_MM_HINT_T0>(line.as_ptr().cast());
            }
            let x = Input { spread, codes: &[0; BLOCK], numbers: &numbers };
            block::<F, T, true>(head, weights, x, &mut sums);
        }
    }
    for t in 0..T {
        store(&mut out[t], sums[t]);
    }
}

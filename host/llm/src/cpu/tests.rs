//! The kernels against plain arithmetic in f64, and against themselves: what a token gives must not depend on its company.

use super::{
    Cpu, Parallel, Simd,
    activations::{Activations, BLOCK},
    attention::{HeadNorms, Heads, Rotary, Span, attend},
    layout::{Format, LANES, pack},
    matmul::{Matrix, Tokens, chosen, gated, multiply},
    paged::{Layer, PAGE},
};

const FORMATS: [Format; 10] = [
    Format::F32,
    Format::F16,
    Format::Q4_0,
    Format::Q4_1,
    Format::Q5_0,
    Format::Q5_1,
    Format::Q8_0,
    Format::Q4K,
    Format::Q5K,
    Format::Q6K,
];

/// Real threads, so that the order of tasks is not always the same.
struct Threads;

impl Parallel for Threads {
    fn each(&self, tasks: usize, work: &(dyn Fn(usize) + Sync)) {
        std::thread::scope(|scope| {
            for half in 0..2 {
                scope.spawn(move || (0..tasks).filter(|task| task % 2 == half).for_each(work));
            }
        });
    }
}

/// Numbers from a linear congruence; the same for the same seed.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u32 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as u32
    }

    /// Between -1 and 1.
    fn float(&mut self) -> f32 {
        (self.next() % 20_001) as f32 / 10_000.0 - 1.0
    }

    fn floats(&mut self, count: usize) -> Vec<f32> {
        (0..count).map(|_| self.float()).collect()
    }

    /// Rows as a GGUF file has them, of any codes and moderate scales.
    fn rows(&mut self, format: Format, rows: usize, columns: usize) -> Vec<Vec<u8>> {
        let halves: &[usize] = match format {
            Format::F32 | Format::F16 => &[],
            Format::Q6K => &[208],
            Format::Q4_0 | Format::Q5_0 | Format::Q8_0 => &[0],
            _ => &[0, 2],
        };
        let mut block = || -> Vec<u8> {
            match format {
                Format::F32 => self.float().to_le_bytes().to_vec(),
                Format::F16 => vec![self.next() as u8, 0x28 | (self.next() as u8 & 0x87)],
                _ => {
                    let mut block: Vec<u8> = (0..format.source_bytes()).map(|_| self.next() as u8).collect();
                    for at in halves {
                        block[at + 1] = 0x20 | (block[at + 1] & 0x87);
                    }
                    block
                }
            }
        };
        (0..rows).map(|_| (0..columns / format.multiple()).flat_map(|_| block()).collect()).collect()
    }

    fn matrix(&mut self, format: Format, rows: usize, columns: usize) -> Vec<u8> {
        let rows = self.rows(format, rows, columns);
        let mut packed = Vec::new();
        for strip in rows.chunks(LANES) {
            pack(format, &strip.iter().map(Vec::as_slice).collect::<Vec<_>>(), &mut packed);
        }
        packed
    }
}

fn cpu() -> Cpu<'static> {
    Cpu { simd: Simd::detect().expect("the tests of kernels need AVX2"), threads: &Threads }
}

fn product(matrix: Matrix<'_>, x: &[f32], columns: usize, bias: Option<&[f32]>) -> Vec<f32> {
    let mut codes = Activations::default();
    codes.set(cpu(), &x[..x.len() / BLOCK * BLOCK], columns / BLOCK * BLOCK);
    let tokens = Tokens { count: x.len() / columns, floats: x, codes: &codes };
    let mut y = vec![f32::NAN; tokens.count * matrix.rows()];
    multiply(cpu(), tokens, &[matrix], bias, &mut y);
    y
}

#[test]
fn products_of_every_format_are_those_of_plain_arithmetic() {
    let mut random = Random(1);
    for format in FORMATS {
        // Rows that do not fill the last strip; columns that do not fill the last chunk where the format lets them.
        let (rows, columns) = (45, if format.multiple() == 256 { 768 } else { 608 });
        let packed = random.matrix(format, rows, columns);
        let matrix = Matrix::new(format, rows, columns, &packed).expect("it fits");
        let (x, bias) = (random.floats(5 * columns), random.floats(rows));
        let y = product(matrix, &x, columns, Some(&bias));
        let mut row = vec![0.0; columns];
        for (index, bias) in bias.iter().enumerate() {
            matrix.unpack(index, &mut row);
            for (t, x) in x.chunks_exact(columns).enumerate() {
                let products = row.iter().zip(x).map(|(a, b)| f64::from(*a) * f64::from(*b));
                let size: f64 = products.clone().map(f64::abs).sum();
                let (exact, found) =
                    (products.sum::<f64>() + f64::from(*bias), f64::from(y[t * rows + index]));
                // Codes of eight bits are wrong by at most 1/254 of the largest of 32.
                assert!((exact - found).abs() < 0.004 * size + 1e-4, "{format:?}: {found} for {exact}");
            }
        }
    }
}

/// On a processor with AVX-512's products of bytes; on others it compares like with like.
#[test]
fn every_kind_of_products_gives_the_same_bits() {
    let mut random = Random(4);
    let whole = Simd::detect().expect("the tests of kernels need AVX2");
    for format in FORMATS {
        let (rows, columns) = (69, if format.multiple() == 256 { 768 } else { 608 });
        let packed = random.matrix(format, rows, columns);
        let matrix = Matrix::new(format, rows, columns, &packed).expect("it fits");
        for count in [1, 5, 8, 11] {
            let x = random.floats(count * columns);
            let [a, b] = [whole, whole.plain()].map(|simd| {
                let cpu = Cpu { simd, threads: &Threads };
                let mut codes = Activations::default();
                codes.set(cpu, &x[..x.len() / BLOCK * BLOCK], columns / BLOCK * BLOCK);
                let mut y = vec![f32::NAN; count * rows];
                multiply(cpu, Tokens { count, floats: &x, codes: &codes }, &[matrix], None, &mut y);
                y
            });
            assert_eq!(a, b, "{format:?}, {count} tokens");
        }
    }
}

#[test]
fn a_token_gives_the_same_bits_in_any_company() {
    let mut random = Random(2);
    for format in FORMATS {
        let (rows, columns) = (320, if format.multiple() == 256 { 512 } else { 352 });
        let packed = random.matrix(format, rows, columns);
        let matrix = Matrix::new(format, rows, columns, &packed).expect("it fits");
        let x = random.floats(11 * columns);
        let all = product(matrix, &x, columns, None);
        for count in [1, 2, 3, 4, 5, 8] {
            for from in [0, 11 - count] {
                let some = product(matrix, &x[from * columns..(from + count) * columns], columns, None);
                assert_eq!(some, all[from * rows..(from + count) * rows], "{format:?}, {count} from {from}");
            }
        }
    }
}

#[test]
fn chosen_rows_have_the_bits_of_all_rows_and_the_others_are_impossible() {
    let mut random = Random(3);
    let (rows, columns) = (1003, 256);
    let packed = random.matrix(Format::Q6K, rows, columns);
    let matrix = Matrix::new(Format::Q6K, rows, columns, &packed).expect("it fits");
    let x = random.floats(3 * columns);
    let all = product(matrix, &x, columns, None);
    let mut codes = Activations::default();
    codes.set(cpu(), &x, columns);
    let tokens = Tokens { count: 3, floats: &x, codes: &codes };
    let few: Vec<u32> = vec![0, 7, 8, 500, 1002];
    let mut y = vec![0.0; 3 * rows];
    chosen(cpu(), tokens, matrix, &[Some(&few), None, Some(&[])], &mut Activations::default(), &mut y);
    assert!(few.iter().all(|row| y[*row as usize] == all[*row as usize]));
    assert!(y[16..496].iter().all(|logit| *logit == f32::NEG_INFINITY));
    assert_eq!(y[rows..2 * rows], all[rows..2 * rows]);
    assert!(y[2 * rows..].iter().all(|logit| *logit == f32::NEG_INFINITY));
}

#[test]
fn the_largest_codes_do_not_overflow() {
    for format in FORMATS.into_iter().filter(|format| format.bits() < 16) {
        let columns = 512;
        let mut row = vec![0xff; columns / format.multiple() * format.source_bytes()];
        // Scales that are numbers: 1 in half precision, and the largest of the inner ones.
        for block in row.chunks_exact_mut(format.source_bytes()) {
            let halves: &[usize] = match format {
                Format::Q6K => &[208],
                Format::Q4_0 | Format::Q5_0 | Format::Q8_0 => &[0],
                _ => &[0, 2],
            };
            halves.iter().for_each(|at| block[*at..at + 2].copy_from_slice(&[0x00, 0x3c]));
            if format == Format::Q6K {
                block[192..208].fill(0x80);
            }
        }
        let mut packed = Vec::new();
        pack(format, &[&row], &mut packed);
        let matrix = Matrix::new(format, 1, columns, &packed).expect("it fits");
        let mut weights = vec![0.0; columns];
        matrix.unpack(0, &mut weights);
        for sign in [1.0, -1.0] {
            let y = product(matrix, &vec![sign * 2.0; columns], columns, None);
            let exact: f64 = weights.iter().map(|weight| f64::from(*weight) * f64::from(sign) * 2.0).sum();
            assert!(
                (exact - f64::from(y[0])).abs() <= 1e-4 * exact.abs().max(1.0),
                "{format:?}: {} for {exact}",
                y[0]
            );
        }
    }
}

#[test]
fn what_is_no_number_stays_none() {
    let mut random = Random(6);
    let packed = random.matrix(Format::Q4K, 8, 256);
    let matrix = Matrix::new(Format::Q4K, 8, 256, &packed).expect("it fits");
    for at in [0, 9, 255] {
        let mut x = random.floats(256);
        x[at] = f32::NAN;
        assert!(product(matrix, &x, 256, None).iter().all(|y| y.is_nan()), "{at}");
    }
    let heads = Heads { queries: 2, kv: 1, size: 16, interleaved: false, window: 0 };
    let mut x = random.floats(3 * heads.width());
    x[0] = f32::NAN;
    assert!(attended(cpu(), heads, false, &[3], &x, None)[..16].iter().all(|y| y.is_nan()));
}

#[test]
fn gated_products_are_silu_or_gelu_times_up() {
    let mut random = Random(4);
    let (rows, columns) = (72, 256);
    let (gate, up) = (random.matrix(Format::Q4K, rows, columns), random.matrix(Format::Q6K, rows, columns));
    let gate = Matrix::new(Format::Q4K, rows, columns, &gate).expect("it fits");
    let up = Matrix::new(Format::Q6K, rows, columns, &up).expect("it fits");
    let x = random.floats(4 * columns);
    let mut codes = Activations::default();
    codes.set(cpu(), &x, columns);
    let tokens = Tokens { count: 4, floats: &x, codes: &codes };
    let (g, u) = (product(gate, &x, columns, None), product(up, &x, columns, None));
    for gelu in [false, true] {
        let mut y = vec![0.0; 4 * rows];
        gated(cpu(), tokens, gelu, gate, up, &mut y);
        for ((g, u), y) in g.iter().zip(&u).zip(&y) {
            let g = f64::from(*g);
            let inner = (2.0 / std::f64::consts::PI).sqrt() * (g + 0.044715 * g.powi(3));
            let share = if gelu { 0.5 * (1.0 + inner.tanh()) } else { 1.0 / (1.0 + (-g).exp()) };
            let exact = g * share * f64::from(*u);
            assert!((exact - f64::from(*y)).abs() <= 1e-5 * exact.abs() + 1e-6, "{y} for {exact}");
        }
    }
}

const EPSILON: f32 = 1e-5;

fn norm_weights(heads: Heads, seed: u64) -> Vec<f32> {
    Random(seed).floats(heads.size).iter().map(|weight| weight + 1.5).collect()
}

/// Attention of all tokens of one sequence, in steps of these lengths, over pages in a scrambled order.
fn attended(
    cpu: Cpu<'_>,
    heads: Heads,
    normed: bool,
    steps: &[usize],
    x: &[f32],
    beside: Option<&[f32]>,
) -> Vec<f32> {
    let positions = steps.iter().sum::<usize>();
    let half = heads.size / 2;
    let angle = |i: usize| (i / half) as f32 * 0.7_f32.powi((i % half) as i32);
    let (cos, sin): (Vec<f32>, Vec<f32>) =
        (0..positions * half).map(|i| (angle(i).cos(), angle(i).sin())).unzip();
    let rotary = Rotary { cos: &cos, sin: &sin };
    let weights = (norm_weights(heads, 1), norm_weights(heads, 2));
    let norms = HeadNorms { queries: &weights.0, keys: &weights.1, epsilon: EPSILON };
    let norms = normed.then_some(norms);
    let mut layer = Layer::default();
    layer.reserve(20, heads.kv * heads.size);
    let pages: Vec<usize> = (0..positions.div_ceil(PAGE)).map(|page| (page * 7 + 3) % 19).collect();
    let (mut out, mut start) = (Vec::new(), 0);
    for tokens in steps {
        let mut spans = vec![Span { tokens: *tokens, start, pages: pages.clone() }];
        let mut rows = x[start * heads.width()..(start + tokens) * heads.width()].to_vec();
        // Another sequence in the same step, before this one.
        if let Some(beside) = beside {
            spans.insert(0, Span { tokens: 1, start: 0, pages: vec![19] });
            rows.splice(0..0, beside.iter().copied());
        }
        let width = heads.queries * heads.size;
        let mut y = vec![0.0; rows.len() / heads.width() * width];
        attend(cpu, heads, &mut layer, &spans, (norms, rotary), &mut rows, &mut y);
        out.extend_from_slice(&y[y.len() - tokens * width..]);
        start += tokens;
    }
    out
}

#[test]
fn attention_is_that_of_plain_arithmetic_whatever_the_steps() {
    let mut random = Random(5);
    for (queries, kv, size, interleaved, window, normed) in [
        (6, 3, 32, false, 0, false),
        (7, 1, 16, true, 0, false),
        (4, 4, 64, false, 0, true),
        (4, 2, 32, false, 20, true),
        (2, 1, 16, false, 35, false),
        (2, 1, 16, false, 1, false),
    ] {
        let heads = Heads { queries, kv, size, interleaved, window };
        let positions = 70;
        let x = random.floats(positions * heads.width());
        let whole = attended(cpu(), heads, normed, &[positions], &x, None);
        for (row, out) in whole.chunks_exact(queries * size).enumerate() {
            for head in 0..queries {
                let exact = plain(heads, normed, &x, row, head);
                for (exact, found) in exact.iter().zip(&out[head * size..]) {
                    // Keys and values are kept in half precision.
                    assert!((exact - f64::from(*found)).abs() < 2e-3, "{found} for {exact} at {row}");
                }
            }
        }
        let narrow = Cpu { simd: cpu().simd.plain(), threads: &Threads };
        assert_eq!(attended(narrow, heads, normed, &[positions], &x, None), whole, "by AVX2");
        let beside = random.floats(heads.width());
        for steps in [&[1; 70][..], &[33, 37], &[64, 1, 5]] {
            assert_eq!(attended(cpu(), heads, normed, steps, &x, None), whole, "{steps:?}");
            assert_eq!(
                attended(cpu(), heads, normed, steps, &x, Some(&beside)),
                whole,
                "{steps:?} beside another"
            );
        }
    }
}

/// The output of one head of one token.
fn plain(heads: Heads, normed: bool, x: &[f32], row: usize, head: usize) -> Vec<f64> {
    let (size, half) = (heads.size, heads.size / 2);
    let vector = |row: usize, at: usize, rotated: bool| -> Vec<f64> {
        let mut x: Vec<f64> =
            x[row * heads.width() + at * size..][..size].iter().map(|x| f64::from(*x)).collect();
        if normed && rotated {
            let mean = x.iter().map(|x| x * x).sum::<f64>() / size as f64 + f64::from(EPSILON);
            let weights = norm_weights(heads, if at < heads.queries { 1 } else { 2 });
            x.iter_mut().zip(weights).for_each(|(x, weight)| *x *= f64::from(weight) / mean.sqrt());
        }
        let turn = |i: usize| {
            let angle = row as f64 * 0.7_f64.powi((if heads.interleaved { i / 2 } else { i % half }) as i32);
            let (first, other) = match (heads.interleaved, i) {
                (true, i) => (i % 2 == 0, i ^ 1),
                (false, i) => (i < half, (i + half) % size),
            };
            let sign = if first { -1.0 } else { 1.0 };
            x[i] * angle.cos() + sign * x[other] * angle.sin()
        };
        if rotated { (0..size).map(turn).collect() } else { x.clone() }
    };
    let kv = heads.queries + head / (heads.queries / heads.kv);
    let query = vector(row, head, true);
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let first = if heads.window == 0 { 0 } else { (row + 1).saturating_sub(heads.window) };
    let powers: Vec<f64> =
        (first..=row).map(|p| (dot(&query, &vector(p, kv, true)) / (size as f64).sqrt()).exp()).collect();
    let total: f64 = powers.iter().sum();
    let mut out = vec![0.0; size];
    for (p, power) in (first..).zip(&powers) {
        let value = vector(p, kv + heads.kv, false);
        out.iter_mut().zip(value).for_each(|(out, value)| *out += power / total * value);
    }
    out
}

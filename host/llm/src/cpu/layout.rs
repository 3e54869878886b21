//! How weights are laid out for the kernels of `avx2.rs`: losslessly what ggml multiplies with, in another order.
//!
//! A matrix `[rows, columns]` is cut into *strips* of eight rows, so that one vector holds the same columns of eight
//! rows; the rows beyond the last are zeros. A strip is a run of blocks of 32 columns, each its scales and then its
//! codes; the types of ggml with super-blocks of 256 have half-precision factors before eight blocks.
//!
//! | format | before 8 blocks | a block: scales | codes | a weight is |
//! | --- | --- | --- | --- | --- |
//! | Q4_0, Q5_0, Q8_0 | | d f16×8 | 4, 5 or 8 bits | d (q − 8, 16 or 128) |
//! | Q4_1, Q5_1 | | d, m f16×8 | 4 or 5 bits | d q + m |
//! | Q4_K, Q5_K | d, e f16×8 | s, m u8×8 | 4 or 5 bits | d s q − e m |
//! | Q6_K | d f16×8 | s i8×16 (first 16 columns, then the others) | 6 bits | d s (q − 32) |
//!
//! Codes: a *quad* is 32 codes, of row r and column 4·quad + k at 4·r + k. Quads 2i and 2i+1 are the low and the high half
//! of byte run i (4 × 32 bytes). Fifth bits: 32 bytes, bit j of each belongs to quad j. Fifth and sixth bits: 2 × 32
//! bytes, bits 2j and 2j+1 of run h belong to quad 4·h + j. Eight bits: a run of 32 bytes a quad.
//! Float formats: of each column the eight rows.
//!
//! Sources of the blocks that are read: ggml's `ggml-common.h` and `ggml-quants.c` (`dequantize_row_*`).

/// Rows of a strip.
pub(crate) const LANES: usize = 8;
/// Columns of a block.
const BLOCK: usize = super::activations::BLOCK;

/// The number type of a matrix, by ggml's names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Format {
    F32,
    F16,
    Q4_0,
    Q4_1,
    Q5_0,
    Q5_1,
    Q8_0,
    Q4K,
    Q5K,
    Q6K,
}

impl Format {
    const ALL: [Format; 10] = {
        use Format::{F16, F32, Q4_0, Q4_1, Q4K, Q5_0, Q5_1, Q5K, Q6K, Q8_0};
        [F32, F16, Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, Q4K, Q5K, Q6K]
    };

    /// The format of number `F`, for constant arguments.
    pub(crate) const fn of(number: u8) -> Format {
        Format::ALL[number as usize]
    }

    /// The name in a graph's attributes.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Format::F32 => "f32",
            Format::F16 => "f16",
            Format::Q4_0 => "q4_0",
            Format::Q4_1 => "q4_1",
            Format::Q5_0 => "q5_0",
            Format::Q5_1 => "q5_1",
            Format::Q8_0 => "q8_0",
            Format::Q4K => "q4_k",
            Format::Q5K => "q5_k",
            Format::Q6K => "q6_k",
        }
    }

    /// The format called `name`.
    pub(crate) fn named(name: &str) -> Option<Format> {
        Format::ALL.into_iter().find(|format| format.name() == name)
    }

    /// Bits of a code; of a number in the float formats.
    pub(crate) const fn bits(self) -> usize {
        match self {
            Format::F32 => 32,
            Format::F16 => 16,
            Format::Q4_0 | Format::Q4_1 | Format::Q4K => 4,
            Format::Q5_0 | Format::Q5_1 | Format::Q5K => 5,
            Format::Q6K => 6,
            Format::Q8_0 => 8,
        }
    }

    /// The code that stands for zero.
    pub(crate) const fn zero(self) -> f32 {
        match self {
            Format::Q4_0 => 8.0,
            Format::Q5_0 => 16.0,
            Format::Q6K => 32.0,
            Format::Q8_0 => 128.0,
            _ => 0.0,
        }
    }

    /// Bytes before [`Format::blocks_together`] blocks of a strip.
    pub(crate) const fn head_bytes(self) -> usize {
        match self {
            Format::Q4K | Format::Q5K => 2 * 2 * LANES,
            Format::Q6K => 2 * LANES,
            _ => 0,
        }
    }

    /// Blocks that have a head together.
    pub(crate) const fn blocks_together(self) -> usize {
        if self.head_bytes() > 0 { 8 } else { 1 }
    }

    /// Bytes of scales in a block of a strip.
    pub(crate) const fn scale_bytes(self) -> usize {
        match self {
            Format::Q4_1 | Format::Q5_1 => 4 * LANES,
            Format::F32 | Format::F16 => 0,
            _ => 2 * LANES,
        }
    }

    /// Bytes of a block of a strip.
    pub(crate) const fn block_bytes(self) -> usize {
        self.scale_bytes() + LANES * BLOCK * self.bits() / 8
    }

    /// Columns that a row is a multiple of.
    pub(crate) const fn multiple(self) -> usize {
        match self {
            Format::F32 | Format::F16 => 1,
            _ => BLOCK * self.blocks_together(),
        }
    }

    /// Bytes of a strip.
    pub(crate) const fn strip_bytes(self, columns: usize) -> usize {
        match self {
            Format::F32 | Format::F16 => columns * LANES * self.bits() / 8,
            _ => {
                let together = self.blocks_together();
                columns / (BLOCK * together) * (self.head_bytes() + together * self.block_bytes())
            }
        }
    }

    /// Bytes of a matrix.
    pub(crate) const fn bytes(self, rows: usize, columns: usize) -> usize {
        rows.div_ceil(LANES) * self.strip_bytes(columns)
    }

    /// Bytes of a block of 32 columns (with super-blocks of 256) of one row in a GGUF file.
    pub(crate) const fn source_bytes(self) -> usize {
        match self {
            Format::F32 => 4,
            Format::F16 => 2,
            Format::Q4_0 => 18,
            Format::Q4_1 => 20,
            Format::Q5_0 => 22,
            Format::Q5_1 => 24,
            Format::Q8_0 => 34,
            Format::Q4K => 144,
            Format::Q5K => 176,
            Format::Q6K => 210,
        }
    }
}

/// The codes and scales of 32 columns of one row.
struct Block {
    codes: [u8; BLOCK],
    /// Scale and minimum (or two scales), as they are stored.
    scales: [[u8; 2]; 2],
}

/// Appends the strip of up to eight rows, each the bytes that a GGUF file has of it.
pub(crate) fn pack(format: Format, rows: &[&[u8]], out: &mut Vec<u8>) {
    let width = format.source_bytes();
    if matches!(format, Format::F32 | Format::F16) {
        let columns = rows.first().map_or(0, |row| row.len() / width);
        for column in 0..columns {
            for lane in 0..LANES {
                match rows.get(lane) {
                    Some(row) => out.extend_from_slice(&row[column * width..(column + 1) * width]),
                    None => out.extend(std::iter::repeat_n(0, width)),
                }
            }
        }
        return;
    }
    let groups = rows.first().map_or(0, |row| row.len() / width);
    for group in 0..groups {
        let sources: [Option<&[u8]>; LANES] =
            std::array::from_fn(|lane| rows.get(lane).map(|row| &row[group * width..(group + 1) * width]));
        let factors: &[usize] = match format {
            Format::Q4K | Format::Q5K => &[0, 2],
            Format::Q6K => &[208],
            _ => &[],
        };
        for at in factors {
            for source in sources {
                out.extend(source.map_or([0; 2], |source| [source[*at], source[at + 1]]));
            }
        }
        for inner in 0..format.blocks_together() {
            let blocks = sources.map(|source| {
                source.map_or(Block { codes: [0; BLOCK], scales: [[0; 2]; 2] }, |s| block(format, s, inner))
            });
            push_scales(format, &blocks, out);
            push_codes(format, &blocks, out);
        }
    }
}

fn push_scales(format: Format, blocks: &[Block; LANES], out: &mut Vec<u8>) {
    for part in 0..2 {
        for block in blocks {
            let [low, high] = block.scales[part];
            match format {
                Format::Q4K | Format::Q5K | Format::Q6K => out.push(low),
                Format::Q4_1 | Format::Q5_1 => out.extend([low, high]),
                _ if part == 0 => out.extend([low, high]),
                _ => {}
            }
        }
    }
}

fn push_codes(format: Format, blocks: &[Block; LANES], out: &mut Vec<u8>) {
    let code = |quad: usize, at: usize| blocks[at / 4].codes[4 * quad + at % 4];
    if format.bits() == 8 {
        return out.extend((0..8).flat_map(|quad| (0..32).map(move |at| code(quad, at))));
    }
    for pair in 0..4 {
        out.extend((0..32).map(|at| (code(2 * pair, at) & 15) | (code(2 * pair + 1, at) << 4)));
    }
    match format.bits() {
        5 => out.extend((0..32).map(|at| (0..8).fold(0, |bits, quad| bits | (code(quad, at) >> 4) << quad))),
        6 => {
            for half in 0..2 {
                let bits =
                    |at| (0..4).fold(0, |bits, quad| bits | (code(4 * half + quad, at) >> 4) << (2 * quad));
                out.extend((0..32).map(bits));
            }
        }
        _ => {}
    }
}

/// Block `inner` of what a GGUF file has of 32 (or 256) columns.
fn block(format: Format, source: &[u8], inner: usize) -> Block {
    let mut codes = [0; BLOCK];
    let mut scales = [[source[0], source[1]], [0; 2]];
    let fifth = |at: usize, bit: usize| (source[at] >> bit & 1) << 4;
    match format {
        Format::F32 | Format::F16 => {}
        Format::Q4_0 | Format::Q4_1 | Format::Q5_0 | Format::Q5_1 => {
            let minimum = matches!(format, Format::Q4_1 | Format::Q5_1);
            if minimum {
                scales[1] = [source[2], source[3]];
            }
            let bits = if minimum { 4 } else { 2 };
            let five = format.bits() == 5;
            let nibbles = if five { bits + 4 } else { bits };
            for j in 0..16 {
                codes[j] = source[nibbles + j] & 15;
                codes[j + 16] = source[nibbles + j] >> 4;
                if five {
                    codes[j] |= fifth(bits + j / 8, j % 8);
                    codes[j + 16] |= fifth(bits + 2 + j / 8, j % 8);
                }
            }
        }
        Format::Q8_0 => {
            for (code, byte) in codes.iter_mut().zip(&source[2..34]) {
                *code = byte ^ 0x80;
            }
        }
        Format::Q4K | Format::Q5K => {
            let packed = &source[4..16];
            let (scale, minimum) = if inner < 4 {
                (packed[inner] & 63, packed[inner + 4] & 63)
            } else {
                let low = packed[inner + 4];
                ((low & 15) | (packed[inner - 4] >> 6 << 4), (low >> 4) | (packed[inner] >> 6 << 4))
            };
            scales = [[scale, 0], [minimum, 0]];
            let five = format == Format::Q5K;
            let nibbles = if five { 48 } else { 16 } + inner / 2 * 32;
            for (j, code) in codes.iter_mut().enumerate() {
                *code = source[nibbles + j] >> (inner % 2 * 4) & 15;
                if five {
                    *code |= fifth(16 + j, inner);
                }
            }
        }
        Format::Q6K => {
            let (half, part) = (inner / 4, inner % 4);
            let (low, high) = (half * 64 + part % 2 * 32, 128 + half * 32);
            for (j, code) in codes.iter_mut().enumerate() {
                let nibble = source[low + j] >> (part / 2 * 4) & 15;
                *code = nibble | (source[high + j] >> (part * 2) & 3) << 4;
            }
            let scale = 192 + half * 8 + part * 2;
            scales = [[source[scale], 0], [source[scale + 1], 0]];
        }
    }
    Block { codes, scales }
}

/// The numbers of row `lane` of a strip, `out.len()` of them from its first column on.
pub(crate) fn unpack(format: Format, strip: &[u8], lane: usize, out: &mut [f32]) {
    let number = |at: usize| half([strip[at], strip[at + 1]]);
    match format {
        Format::F32 => {
            for (column, out) in strip.chunks_exact(4 * LANES).zip(out) {
                let at = lane * 4;
                *out = f32::from_le_bytes([column[at], column[at + 1], column[at + 2], column[at + 3]]);
            }
            return;
        }
        Format::F16 => {
            for (column, out) in out.iter_mut().enumerate() {
                *out = number((column * LANES + lane) * 2);
            }
            return;
        }
        _ => {}
    }
    let (head, together, bytes) = (format.head_bytes(), format.blocks_together(), format.block_bytes());
    for (index, out) in out.chunks_mut(BLOCK).enumerate() {
        let group = index / together * (head + together * bytes);
        let at = group + head + index % together * bytes;
        let codes = &strip[at + format.scale_bytes()..at + bytes];
        for (column, out) in out.iter_mut().enumerate() {
            let code = code(format, codes, lane, column);
            *out = match format {
                Format::Q4K | Format::Q5K => {
                    let scale = number(group + lane * 2) * f32::from(strip[at + lane]);
                    let minimum = number(group + 2 * LANES + lane * 2) * f32::from(strip[at + LANES + lane]);
                    scale * code - minimum
                }
                Format::Q6K => {
                    let scale = strip[at + column / 16 * LANES + lane] as i8;
                    number(group + lane * 2) * f32::from(scale) * (code - format.zero())
                }
                Format::Q4_1 | Format::Q5_1 => {
                    number(at + lane * 2) * code + number(at + 2 * LANES + lane * 2)
                }
                _ => number(at + lane * 2) * (code - format.zero()),
            };
        }
    }
}

/// The code of a row and a column in the codes of a block.
fn code(format: Format, codes: &[u8], lane: usize, column: usize) -> f32 {
    let (quad, at) = (column / 4, lane * 4 + column % 4);
    if format.bits() == 8 {
        return f32::from(codes[quad * 32 + at]);
    }
    let low = codes[quad / 2 * 32 + at] >> (quad % 2 * 4) & 15;
    let high = match format.bits() {
        5 => codes[128 + at] >> quad & 1,
        6 => codes[128 + quad / 4 * 32 + at] >> (quad % 4 * 2) & 3,
        _ => 0,
    };
    f32::from(low | high << 4)
}

/// The IEEE 754 half-precision number of two bytes, exactly.
pub(crate) fn half(bytes: [u8; 2]) -> f32 {
    let bits = u16::from_le_bytes(bytes);
    let sign = u32::from(bits >> 15) << 31;
    let (exponent, fraction) = (u32::from(bits >> 10 & 31), u32::from(bits & 0x3ff));
    match exponent {
        // zero and subnormal: fraction * 2^-24, which an f32 holds exactly
        0 => f32::from_bits((fraction as f32 * f32::from_bits(0x3380_0000)).to_bits() | sign),
        31 => f32::from_bits(sign | 0x7f80_0000 | fraction << 13),
        _ => f32::from_bits(sign | (exponent + 112) << 23 | fraction << 13),
    }
}

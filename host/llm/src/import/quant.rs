//! ggml's quantized blocks -> the codes, scales and offsets that ONNX Runtime's `MatMulNBits` multiplies with.
//!
//! Sources: ggml's `ggml-common.h` (block layouts) and `ggml-quants.c` (`dequantize_row_*`).
//! Invariant: lossless. A weight is `scale * (code - zero) [+ offset]`, zero = 8 for 4-bit and 128 for 8-bit
//! codes, one scale and offset per block, and equals what ggml dequantizes to, up to one f32 rounding.

use super::error::ImportError;
use crate::cpu::layout::{self, Format};

/// For messages: every type that [`TensorType`] has.
pub(crate) const SUPPORTED: &str = "F32, F16, BF16, Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, Q4_K, Q5_K and Q6_K";

/// The tensor types that can be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TensorType {
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
    Bf16,
}

/// How a quantized tensor is stored for `MatMulNBits` and `GatherBlockQuantized`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Layout {
    /// Bits of a code: 4 (two codes a byte, low nibble first) or 8.
    pub(crate) bits: u64,
    /// Columns that share a scale.
    pub(crate) block: u64,
    /// Whether each block also has an offset (types with a real-valued minimum).
    pub(crate) offset: bool,
}

impl TensorType {
    /// The type of ggml's number `id`; `tensor` is for the message.
    pub(crate) fn from_id(id: u32, tensor: &str) -> Result<Self, ImportError> {
        Ok(match id {
            0 => Self::F32,
            1 => Self::F16,
            2 => Self::Q4_0,
            3 => Self::Q4_1,
            6 => Self::Q5_0,
            7 => Self::Q5_1,
            8 => Self::Q8_0,
            12 => Self::Q4K,
            13 => Self::Q5K,
            14 => Self::Q6K,
            30 => Self::Bf16,
            other => {
                let found = UNSUPPORTED.iter().find(|(number, _)| *number == other);
                return Err(ImportError::Quantization {
                    tensor: tensor.to_owned(),
                    found: found.map_or_else(|| format!("number {other}"), |(_, name)| (*name).to_owned()),
                    supported: SUPPORTED,
                });
            }
        })
    }

    /// ggml's name.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::F32 => "F32",
            Self::F16 => "F16",
            Self::Q4_0 => "Q4_0",
            Self::Q4_1 => "Q4_1",
            Self::Q5_0 => "Q5_0",
            Self::Q5_1 => "Q5_1",
            Self::Q8_0 => "Q8_0",
            Self::Q4K => "Q4_K",
            Self::Q5K => "Q5_K",
            Self::Q6K => "Q6_K",
            Self::Bf16 => "BF16",
        }
    }

    /// Elements of one block in the file.
    pub(crate) fn block_elements(self) -> u64 {
        match self {
            Self::F32 | Self::F16 | Self::Bf16 => 1,
            Self::Q4_0 | Self::Q4_1 | Self::Q5_0 | Self::Q5_1 | Self::Q8_0 => 32,
            Self::Q4K | Self::Q5K | Self::Q6K => 256,
        }
    }

    /// Bytes of one block in the file.
    pub(crate) fn block_bytes(self) -> u64 {
        match self {
            Self::Bf16 => 2,
            other => other.format().source_bytes() as u64,
        }
    }

    /// The format for our own kernels.
    pub(crate) fn format(self) -> Format {
        match self {
            Self::F32 | Self::Bf16 => Format::F32,
            Self::F16 => Format::F16,
            Self::Q4_0 => Format::Q4_0,
            Self::Q4_1 => Format::Q4_1,
            Self::Q5_0 => Format::Q5_0,
            Self::Q5_1 => Format::Q5_1,
            Self::Q8_0 => Format::Q8_0,
            Self::Q4K => Format::Q4K,
            Self::Q5K => Format::Q5K,
            Self::Q6K => Format::Q6K,
        }
    }

    /// The layout after decoding; `None` for the float types.
    pub(crate) fn layout(self) -> Option<Layout> {
        let layout = |bits, block, offset| Some(Layout { bits, block, offset });
        match self {
            Self::F32 | Self::F16 | Self::Bf16 => None,
            Self::Q4_0 => layout(4, 32, false),
            Self::Q4_1 | Self::Q4K => layout(4, 32, true),
            Self::Q5_0 | Self::Q8_0 => layout(8, 32, false),
            Self::Q5_1 | Self::Q5K => layout(8, 32, true),
            Self::Q6K => layout(8, 16, false),
        }
    }
}

/// Decoded blocks, appended in the file's order.
#[derive(Debug, Default)]
pub(crate) struct Blocks {
    pub(crate) codes: Vec<u8>,
    pub(crate) scales: Vec<f32>,
    /// Empty unless the layout has offsets.
    pub(crate) offsets: Vec<f32>,
}

impl Blocks {
    /// Forgets the content and keeps the memory.
    pub(crate) fn clear(&mut self) {
        self.codes.clear();
        self.scales.clear();
        self.offsets.clear();
    }

    /// Decodes whole blocks of `kind`. Float types have no blocks and add nothing.
    pub(crate) fn push(&mut self, kind: TensorType, bytes: &[u8]) {
        for block in bytes.chunks_exact(kind.block_bytes() as usize) {
            match kind {
                TensorType::F32 | TensorType::F16 | TensorType::Bf16 => {}
                TensorType::Q4_0 => self.q4(&block[2..], half(block, 0), None),
                TensorType::Q4_1 => self.q4(&block[4..], half(block, 0), Some(half(block, 2))),
                TensorType::Q5_0 => self.q5(&block[2..], half(block, 0), None),
                TensorType::Q5_1 => self.q5(&block[4..], half(block, 0), Some(half(block, 2))),
                TensorType::Q8_0 => {
                    self.codes.extend(block[2..34].iter().map(|code| code ^ 0x80));
                    self.scales.push(half(block, 0));
                }
                TensorType::Q4K => self.q4_k(block),
                TensorType::Q5K => self.q5_k(block),
                TensorType::Q6K => self.q6_k(block),
            }
        }
    }

    /// Whether all scales and offsets are finite.
    pub(crate) fn finite(&self) -> bool {
        self.scales.iter().chain(&self.offsets).all(|number| number.is_finite())
    }

    /// Sixteen bytes: element j in the low nibble of byte j, element j + 16 in its high nibble.
    fn q4(&mut self, bytes: &[u8], scale: f32, minimum: Option<f32>) {
        for pair in bytes[..16].chunks_exact(2) {
            self.codes.push((pair[0] & 15) | (pair[1] << 4));
        }
        for pair in bytes[..16].chunks_exact(2) {
            self.codes.push((pair[0] >> 4) | (pair[1] & 0xf0));
        }
        self.scales.push(scale);
        if let Some(minimum) = minimum {
            self.offsets.push(8.0 * scale + minimum);
        }
    }

    /// As [`Self::q4`] after a u32 of the fifth bits. A code is q + 112, so that 128 stands for q = 16.
    fn q5(&mut self, bytes: &[u8], scale: f32, minimum: Option<f32>) {
        let fifth = u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
        let bit = |index: usize| ((fifth >> index) as u8 & 1) << 4;
        let nibbles = &bytes[4..20];
        self.codes.extend(nibbles.iter().enumerate().map(|(j, byte)| (byte & 15 | bit(j)) + 112));
        self.codes.extend(nibbles.iter().enumerate().map(|(j, byte)| (byte >> 4 | bit(j + 16)) + 112));
        self.scales.push(scale);
        if let Some(minimum) = minimum {
            self.offsets.push(16.0 * scale + minimum);
        }
    }

    /// Eight sub-blocks of 32, each `d * scale * q - dmin * minimum` of 6-bit scales and minima.
    fn q4_k(&mut self, block: &[u8]) {
        self.k_scales(block, 8.0);
        for bytes in block[16..144].chunks_exact(32) {
            for pair in bytes.chunks_exact(2) {
                self.codes.push((pair[0] & 15) | (pair[1] << 4));
            }
            for pair in bytes.chunks_exact(2) {
                self.codes.push((pair[0] >> 4) | (pair[1] & 0xf0));
            }
        }
    }

    /// As Q4_K with fifth bits: bit i of byte j belongs to element j of sub-block i. Codes as in [`Self::q5`].
    fn q5_k(&mut self, block: &[u8]) {
        self.k_scales(block, 16.0);
        let fifth = &block[16..48];
        for (pair, bytes) in block[48..176].chunks_exact(32).enumerate() {
            let bit = |byte: u8, sub: usize| (byte >> sub & 1) << 4;
            let elements = || bytes.iter().zip(fifth);
            self.codes.extend(elements().map(|(low, high)| (low & 15 | bit(*high, 2 * pair)) + 112));
            self.codes.extend(elements().map(|(low, high)| (low >> 4 | bit(*high, 2 * pair + 1)) + 112));
        }
    }

    /// The scales of Q4_K and Q5_K; `zero` is the q that the code for zero stands for.
    fn k_scales(&mut self, block: &[u8], zero: f32) {
        let (d, dmin) = (half(block, 0), half(block, 2));
        let packed = &block[4..16];
        for sub in 0..8 {
            let (scale, minimum) = if sub < 4 {
                (packed[sub] & 63, packed[sub + 4] & 63)
            } else {
                let low = packed[sub + 4];
                ((low & 15) | (packed[sub - 4] >> 6 << 4), (low >> 4) | (packed[sub] >> 6 << 4))
            };
            let scale = d * f32::from(scale);
            self.scales.push(scale);
            self.offsets.push(zero * scale - dmin * f32::from(minimum));
        }
    }

    /// Sixteen sub-blocks of 16, each with an 8-bit scale: `d * scale * (q - 32)`.
    fn q6_k(&mut self, block: &[u8]) {
        let d = half(block, 208);
        self.scales.extend(block[192..208].iter().map(|scale| d * f32::from(*scale as i8)));
        for (low, high) in block[..128].chunks_exact(64).zip(block[128..192].chunks_exact(32)) {
            let (first, second) = low.split_at(32);
            let code = |nibble: u8, high: u8| (nibble | ((high & 3) << 4)) + 96;
            self.codes.extend(first.iter().zip(high).map(|(low, high)| code(low & 15, *high)));
            self.codes.extend(second.iter().zip(high).map(|(low, high)| code(low & 15, high >> 2)));
            self.codes.extend(first.iter().zip(high).map(|(low, high)| code(low >> 4, high >> 4)));
            self.codes.extend(second.iter().zip(high).map(|(low, high)| code(low >> 4, high >> 6)));
        }
    }
}

/// Appends the values of a float tensor's bytes.
pub(crate) fn push_floats(kind: TensorType, bytes: &[u8], values: &mut Vec<f32>) {
    match kind {
        TensorType::F32 => {
            values.extend(
                bytes.chunks_exact(4).map(|raw| f32::from_le_bytes([raw[0], raw[1], raw[2], raw[3]])),
            );
        }
        TensorType::Bf16 => {
            values.extend(bytes.chunks_exact(2).map(|raw| f32::from_le_bytes([0, 0, raw[0], raw[1]])));
        }
        _ => values.extend(bytes.chunks_exact(2).map(|raw| half(raw, 0))),
    }
}

/// Whether all numbers, or all scales and offsets of whole blocks, are finite.
pub(crate) fn finite(kind: TensorType, bytes: &[u8]) -> bool {
    if kind.layout().is_none() {
        let mut values = Vec::new();
        push_floats(kind, bytes, &mut values);
        return values.iter().all(|value| value.is_finite());
    }
    let mut blocks = Blocks::default();
    blocks.push(kind, bytes);
    blocks.finite()
}

/// The IEEE 754 half-precision number at `at`, exactly.
fn half(bytes: &[u8], at: usize) -> f32 {
    layout::half([bytes[at], bytes[at + 1]])
}

/// Names for the message about a type that is not supported.
const UNSUPPORTED: &[(u32, &str)] = &[
    (9, "Q8_1"),
    (10, "Q2_K"),
    (11, "Q3_K"),
    (15, "Q8_K"),
    (16, "IQ2_XXS"),
    (17, "IQ2_XS"),
    (18, "IQ3_XXS"),
    (19, "IQ1_S"),
    (20, "IQ4_NL"),
    (21, "IQ3_S"),
    (22, "IQ2_S"),
    (23, "IQ4_XS"),
    (24, "I8"),
    (25, "I16"),
    (26, "I32"),
    (27, "I64"),
    (28, "F64"),
    (29, "IQ1_M"),
    (34, "TQ1_0"),
    (35, "TQ2_0"),
    (39, "MXFP4"),
];

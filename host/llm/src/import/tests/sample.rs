//! Writes small GGUF files: a whole model by default, of which a test changes one thing.

use std::path::{Path, PathBuf};

/// One metadata value.
#[derive(Clone)]
pub(super) enum Meta {
    U32(u32),
    F32(f32),
    Text(String),
    Texts(Vec<String>),
    I32s(Vec<i32>),
    F32s(Vec<f32>),
    Flag(bool),
}

/// One tensor: dimensions innermost first, ggml's type number, bytes.
#[derive(Clone)]
pub(super) struct SampleTensor {
    pub(super) name: String,
    pub(super) dimensions: Vec<u64>,
    pub(super) kind: u32,
    pub(super) bytes: Vec<u8>,
    /// Added to the offset that the file promises.
    pub(super) shift: i64,
}

/// A file before it is written.
#[derive(Clone)]
pub(super) struct Sample {
    pub(super) metadata: Vec<(String, Meta)>,
    pub(super) tensors: Vec<SampleTensor>,
}

pub(super) const HIDDEN: u64 = 256;
pub(super) const CONTROL_TOKENS: [&str; 2] = ["<|endoftext|>", "<|im_end|>"];

impl Sample {
    /// A llama of one layer whose matrices have ggml's type `kind`, its head tied to the embedding.
    pub(super) fn model(kind: u32) -> Self {
        let mut sample = Self { metadata: Vec::new(), tensors: Vec::new() };
        sample.put("general.architecture", Meta::Text("llama".into()));
        for (key, value) in [
            ("block_count", 1),
            ("context_length", 64),
            ("embedding_length", HIDDEN as u32),
            ("feed_forward_length", 512),
            ("attention.head_count", 4),
            ("attention.head_count_kv", 2),
        ] {
            sample.put(&format!("llama.{key}"), Meta::U32(value));
        }
        sample.put("llama.attention.layer_norm_rms_epsilon", Meta::F32(1e-5));
        sample.vocabulary();
        let Some(Meta::Texts(tokens)) = sample.get("tokenizer.ggml.tokens") else { return sample };
        let vocabulary = tokens.len() as u64;
        sample.matrix("token_embd.weight", HIDDEN, vocabulary, kind);
        for (name, columns, rows) in [
            ("attn_q", HIDDEN, HIDDEN),
            ("attn_k", HIDDEN, 128),
            ("attn_v", HIDDEN, 128),
            ("attn_output", HIDDEN, HIDDEN),
            ("ffn_gate", HIDDEN, 512),
            ("ffn_up", HIDDEN, 512),
            ("ffn_down", 512, HIDDEN),
        ] {
            sample.matrix(&format!("blk.0.{name}.weight"), columns, rows, kind);
        }
        for name in ["blk.0.attn_norm.weight", "blk.0.ffn_norm.weight", "output_norm.weight"] {
            let bytes = (0..HIDDEN).flat_map(|index| (1.0 + index as f32 / 512.0).to_le_bytes()).collect();
            sample.tensor(name, vec![HIDDEN], 0, bytes);
        }
        sample
    }

    /// A model of this architecture, of as many layers, in f32: heads narrower than the width shared among them, and a window
    /// of 24 positions where the architecture has one.
    pub(super) fn of(architecture: &str, layers: u32) -> Self {
        Self::quantized(architecture, layers, 0)
    }

    /// The same with matrices of ggml's type `kind`, whose blocks must fit rows of 128.
    pub(super) fn quantized(architecture: &str, layers: u32, kind: u32) -> Self {
        let mut sample = Self { metadata: Vec::new(), tensors: Vec::new() };
        sample.put("general.architecture", Meta::Text(architecture.into()));
        let head = 32;
        for (key, value) in [
            ("block_count", layers),
            ("context_length", 256),
            ("embedding_length", HIDDEN as u32),
            ("feed_forward_length", 512),
            ("attention.head_count", 4),
            ("attention.head_count_kv", 2),
            ("attention.key_length", head),
            ("attention.value_length", head),
            ("rope.dimension_count", head),
        ] {
            sample.put(&format!("{architecture}.{key}"), Meta::U32(value));
        }
        sample.put(&format!("{architecture}.attention.layer_norm_rms_epsilon"), Meta::F32(1e-6));
        sample.put(&format!("{architecture}.rope.freq_base"), Meta::F32(500_000.0));
        sample.vocabulary();
        let Some(Meta::Texts(tokens)) = sample.get("tokenizer.ggml.tokens") else { return sample };
        let vocabulary = tokens.len() as u64;
        sample.matrix("token_embd.weight", HIDDEN, vocabulary, kind);
        let (wide, narrow) = (4 * u64::from(head), 2 * u64::from(head));
        let mut vectors = vec![("output_norm".to_owned(), HIDDEN)];
        for layer in 0..layers {
            for (name, columns, rows) in [
                ("attn_q", HIDDEN, wide),
                ("attn_k", HIDDEN, narrow),
                ("attn_v", HIDDEN, narrow),
                ("attn_output", wide, HIDDEN),
                ("ffn_gate", HIDDEN, 512),
                ("ffn_up", HIDDEN, 512),
                ("ffn_down", 512, HIDDEN),
            ] {
                sample.matrix(&format!("blk.{layer}.{name}.weight"), columns, rows, kind);
            }
            let mut norms = vec![("attn_norm", HIDDEN), ("ffn_norm", HIDDEN)];
            if matches!(architecture, "qwen3" | "gemma3") {
                norms.extend([("attn_q_norm", u64::from(head)), ("attn_k_norm", u64::from(head))]);
            }
            if architecture == "gemma3" {
                norms.extend([("post_attention_norm", HIDDEN), ("post_ffw_norm", HIDDEN)]);
            }
            vectors.extend(norms.into_iter().map(|(name, length)| (format!("blk.{layer}.{name}"), length)));
        }
        for (seed, (name, length)) in vectors.into_iter().enumerate() {
            let number = |index: u64| 0.5 + ((index * 37 + seed as u64 * 11) % 64) as f32 / 64.0;
            let bytes = (0..length).flat_map(|index| number(index).to_le_bytes()).collect();
            sample.tensor(&format!("{name}.weight"), vec![length], 0, bytes);
        }
        if architecture == "gemma3" {
            sample.put("gemma3.attention.sliding_window", Meta::U32(24));
        }
        sample
    }

    /// Printable ASCII, a few merges, control, user-defined and unused tokens.
    fn vocabulary(&mut self) {
        let mut tokens: Vec<String> = ('!'..='~').map(String::from).collect();
        tokens.extend(["Ġ", "Ċ", "th", "the", "Ġthe", "'s", "Sy"].map(String::from));
        let mut kinds = vec![1; tokens.len()];
        tokens.extend(CONTROL_TOKENS.map(String::from));
        kinds.extend([3, 3]);
        tokens.extend(["<tool_call>", "[PAD0]", "[PAD1]"].map(String::from));
        kinds.extend([4, 5, 5]);
        let id = |token: &str| tokens.iter().position(|found| found == token).unwrap_or_default() as u32;
        let (eos, pad) = (id("<|im_end|>"), id("<|endoftext|>"));
        let merges = ["t h", "th e", "Ġ the", "' s", "S y"].map(String::from).to_vec();
        self.put("tokenizer.ggml.model", Meta::Text("gpt2".into()));
        self.put("tokenizer.ggml.pre", Meta::Text("smollm".into()));
        self.put("tokenizer.ggml.tokens", Meta::Texts(tokens));
        self.put("tokenizer.ggml.token_type", Meta::I32s(kinds));
        self.put("tokenizer.ggml.merges", Meta::Texts(merges));
        self.put("tokenizer.ggml.eos_token_id", Meta::U32(eos));
        self.put("tokenizer.ggml.padding_token_id", Meta::U32(pad));
        self.put("tokenizer.chat_template", Meta::Text("{{ messages }}".into()));
    }

    pub(super) fn get(&self, key: &str) -> Option<&Meta> {
        self.metadata.iter().find(|(name, _)| name == key).map(|(_, value)| value)
    }

    /// Sets a metadata value.
    pub(super) fn put(&mut self, key: &str, value: Meta) {
        self.remove(key);
        self.metadata.push((key.to_owned(), value));
    }

    pub(super) fn remove(&mut self, key: &str) {
        self.metadata.retain(|(name, _)| name != key);
    }

    pub(super) fn tensor(&mut self, name: &str, dimensions: Vec<u64>, kind: u32, bytes: Vec<u8>) {
        self.tensors.push(SampleTensor { name: name.to_owned(), dimensions, kind, bytes, shift: 0 });
    }

    /// A matrix of reproducible noise.
    pub(super) fn matrix(&mut self, name: &str, columns: u64, rows: u64, kind: u32) {
        let seed = name.bytes().fold(u64::from(kind), |seed, byte| seed * 31 % 1_000_003 + u64::from(byte));
        let (elements, _) = block(kind);
        let bytes = blocks(kind, columns * rows / elements, seed);
        self.tensor(name, vec![columns, rows], kind, bytes);
    }

    /// The file's bytes.
    pub(super) fn bytes(&self) -> Vec<u8> {
        let mut out = b"GGUF".to_vec();
        out.extend(3u32.to_le_bytes());
        out.extend((self.tensors.len() as u64).to_le_bytes());
        out.extend((self.metadata.len() as u64).to_le_bytes());
        for (key, value) in &self.metadata {
            text(&mut out, key);
            match value {
                Meta::U32(number) => {
                    out.extend(4u32.to_le_bytes());
                    out.extend(number.to_le_bytes());
                }
                Meta::F32(number) => {
                    out.extend(6u32.to_le_bytes());
                    out.extend(number.to_le_bytes());
                }
                Meta::Text(value) => {
                    out.extend(8u32.to_le_bytes());
                    text(&mut out, value);
                }
                Meta::Texts(values) => {
                    out.extend([9u32, 8].iter().flat_map(|number| number.to_le_bytes()));
                    out.extend((values.len() as u64).to_le_bytes());
                    values.iter().for_each(|value| text(&mut out, value));
                }
                Meta::I32s(values) => {
                    out.extend([9u32, 5].iter().flat_map(|number| number.to_le_bytes()));
                    out.extend((values.len() as u64).to_le_bytes());
                    out.extend(values.iter().flat_map(|value| value.to_le_bytes()));
                }
                Meta::F32s(values) => {
                    out.extend([9u32, 6].iter().flat_map(|number| number.to_le_bytes()));
                    out.extend((values.len() as u64).to_le_bytes());
                    out.extend(values.iter().flat_map(|value| value.to_le_bytes()));
                }
                Meta::Flag(value) => {
                    out.extend(7u32.to_le_bytes());
                    out.push(u8::from(*value));
                }
            }
        }
        let mut data = Vec::new();
        for tensor in &self.tensors {
            text(&mut out, &tensor.name);
            out.extend((tensor.dimensions.len() as u32).to_le_bytes());
            out.extend(tensor.dimensions.iter().flat_map(|size| size.to_le_bytes()));
            out.extend(tensor.kind.to_le_bytes());
            out.extend((data.len() as u64).wrapping_add_signed(tensor.shift).to_le_bytes());
            data.extend(&tensor.bytes);
            data.resize(data.len().next_multiple_of(32), 0);
        }
        out.resize(out.len().next_multiple_of(32), 0);
        out.extend(data);
        out
    }

    /// Writes the file into `folder`.
    pub(super) fn write(&self, folder: &Path) -> std::io::Result<PathBuf> {
        let path = folder.join("sample.gguf");
        std::fs::write(&path, self.bytes())?;
        Ok(path)
    }
}

fn text(out: &mut Vec<u8>, value: &str) {
    out.extend((value.len() as u64).to_le_bytes());
    out.extend(value.as_bytes());
}

/// Elements and bytes of a block of ggml's type `kind`.
pub(super) fn block(kind: u32) -> (u64, u64) {
    match kind {
        0 => (1, 4),
        1 | 30 => (1, 2),
        2 => (32, 18),
        3 => (32, 20),
        6 => (32, 22),
        7 => (32, 24),
        8 => (32, 34),
        12 => (256, 144),
        13 => (256, 176),
        _ => (256, 210),
    }
}

/// Blocks of noise whose half-precision scales are small numbers.
pub(super) fn blocks(kind: u32, count: u64, seed: u64) -> Vec<u8> {
    let mut state = seed | 1;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    };
    let (_, bytes) = block(kind);
    let mut out: Vec<u8> = (0..count * bytes).map(|_| next()).collect();
    for block in out.chunks_exact_mut(bytes as usize) {
        // the high byte of each half: exponents that make numbers from 2^-9 to 2^-6, of either sign
        let halves: &[usize] = match kind {
            0 => {
                block[3] = 0x3c | (block[3] & 0x80);
                &[]
            }
            1 => &[1],
            30 => {
                block[1] = 0x3c | (block[1] & 0x80);
                &[]
            }
            2 | 6 | 8 => &[1],
            14 => &[209],
            _ => &[1, 3],
        };
        for at in halves {
            block[*at] = 0x18 | (block[*at] & 0x87);
        }
    }
    out
}

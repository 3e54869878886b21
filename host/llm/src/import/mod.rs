//! GGUF -> a model folder that ONNX Runtime runs: one file in, no Python, nothing lost. And safetensors of an encoder likewise
//! (`encoder.rs`, `safetensors.rs`), by the same wire format and staging.
//!
//! `gguf.rs` and `header.rs` read the file, `architecture.rs` the model's shape, `packed.rs` and `graph.rs` plan the ONNX graph
//! (of our own operators, of ONNX Runtime's) out of the pieces in `builder.rs`, `data.rs` decodes the weights (`quant.rs`) to their places, `onnx.rs` is the wire format,
//! `tokenizer.rs` translates the vocabulary, `staging.rs` makes the folder appear whole or not at all.
//!
//! Invariants: the weights are those that llama.cpp multiplies with (no requantization; for devices, scales in float16); a file that is truncated,
//! lying or not supported is an [`ImportError`] that says where and why; the stamp [`STAMP_FILE`] is written last.

mod architecture;
mod builder;
mod data;
mod encoder;
mod error;
mod gguf;
mod graph;
mod header;
mod onnx;
mod packed;
mod quant;
mod safetensors;
mod staging;
mod tokenizer;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::{Value, json};

pub(crate) use encoder::{KIND, import_encoder};
pub use error::ImportError;

use architecture::Hyperparameters;
use gguf::Gguf;
use onnx::DataType;
use staging::Staging;
use tokenizer::Vocabulary;

use crate::cpu::Simd;

/// Written into the stamp; raised when an import by an older version should be made again.
pub const IMPORTER_VERSION: u32 = 3;
/// The stamp of a finished import.
pub(crate) const STAMP_FILE: &str = "pawl.json";

/// Which operators a model's graph is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operators {
    /// Our own, for x86-64 processors with AVX2: sequences are batched, weights take what they take in the GGUF file.
    Own,
    /// ONNX Runtime's in float32, for other processors; one sequence at a time.
    Portable,
    /// ONNX Runtime's in float16, for GPUs, whose attention computes in nothing else; one sequence at a time. The weights'
    /// codes are the file's; their scales, norms, biases and matrices of floats are rounded to float16, and held to its range.
    Device,
}

impl Operators {
    /// The fastest that this processor can run.
    pub fn for_this_machine() -> Operators {
        if Simd::detect().is_some() { Operators::Own } else { Operators::Portable }
    }

    /// Of which operators a model folder is; nothing where it was not imported of a GGUF file.
    pub fn of(folder: &Path) -> Option<Operators> {
        let stamp = std::fs::read(folder.join(STAMP_FILE)).ok()?;
        let stamp: Value = serde_json::from_slice(&stamp).ok()?;
        stamp.get("operators")?.as_str()?.parse().ok()
    }

    /// The name in a folder's stamp.
    pub fn name(self) -> &'static str {
        match self {
            Operators::Own => "own",
            Operators::Portable => "portable",
            Operators::Device => "device",
        }
    }
}

impl std::str::FromStr for Operators {
    type Err = String;

    fn from_str(name: &str) -> Result<Operators, String> {
        let all = [Operators::Own, Operators::Portable, Operators::Device];
        let found = all.into_iter().find(|one| one.name() == name);
        found.ok_or_else(|| format!("`{name}` is not known; there are own, portable and device"))
    }
}

/// How far an import is, in bytes of work (decoding and hashing the source).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ImportProgress {
    /// Bytes done.
    pub done_bytes: u64,
    /// Bytes in all.
    pub total_bytes: u64,
}

/// What an import made.
#[derive(Debug, Clone)]
pub struct ImportReport {
    /// The model folder.
    pub folder: PathBuf,
    /// The architecture: of a GGUF file, such as `qwen2`; `bert`.
    pub architecture: String,
    /// Positions that the graph can address, in tokens; of an encoder, the most tokens of a text.
    pub context: u64,
    /// Rows of the embedding, used or not.
    pub vocabulary: u64,
    /// Tensors by quantization or type.
    pub quantization: BTreeMap<String, usize>,
    /// SHA-256 of the file with the weights, in hex.
    pub source_sha256: String,
    /// Bytes of the file with the weights.
    pub source_bytes: u64,
    /// Bytes of the graph's weights.
    pub data_bytes: u64,
}

/// See [`crate::import_gguf`]. An earlier import at `folder` is replaced at the end; anything else there is refused.
pub(crate) fn import_gguf(
    gguf: &Path,
    folder: &Path,
    operators: Operators,
    progress: &mut dyn FnMut(ImportProgress),
) -> Result<ImportReport, ImportError> {
    let gguf = Gguf::open(gguf)?;
    let shape = Hyperparameters::read(&gguf)?;
    if operators == Operators::Device && shape.architecture.is_gemma() {
        return Err(ImportError::Feature("Gemma in float16, beyond which its sums grow,".into()));
    }
    let plan = match operators {
        Operators::Own => packed::plan(&gguf, &shape)?,
        Operators::Portable => graph::plan(&gguf, &shape, DataType::Float)?,
        Operators::Device => graph::plan(&gguf, &shape, DataType::Float16)?,
    };
    let (layers, width) = (shape.layers.to_string(), (shape.kv_heads * shape.head).to_string());
    let properties: &[(&str, &str)] = match operators {
        Operators::Own => &[("pawl.kv_cache", "paged"), ("pawl.layers", &layers), ("pawl.kv_width", &width)],
        Operators::Portable | Operators::Device => &[("pawl.kv_cache", "shared")],
    };
    let vocabulary = Vocabulary::read(&gguf, plan.vocabulary)?;
    let mut quantization = BTreeMap::new();
    for tensor in gguf.tensors().values() {
        *quantization.entry(tensor.kind.name().to_owned()).or_insert(0) += 1;
    }

    let staging = Staging::begin(folder)?;
    write_json(&staging, "config.json", &config(&shape, &vocabulary, plan.vocabulary, plan.tied))?;
    write_json(&staging, "generation_config.json", &generation_config(&vocabulary))?;
    write_json(&staging, "tokenizer.json", &vocabulary.tokenizer()?)?;
    write_json(&staging, "tokenizer_config.json", &vocabulary.config(shape.context))?;
    staging.write("model.onnx", &onnx::model(plan.graph, properties))?;
    let data = staging.path(onnx::DATA_FILE);
    let source_sha256 = data::fill(&gguf, plan.jobs, plan.bytes, plan.float, &data, progress)?;
    let report = ImportReport {
        folder: folder.to_path_buf(),
        architecture: shape.architecture.name().to_owned(),
        context: shape.context,
        vocabulary: plan.vocabulary,
        quantization,
        source_sha256,
        source_bytes: gguf.size(),
        data_bytes: plan.bytes,
    };
    write_json(&staging, STAMP_FILE, &stamp(&gguf, operators, &report))?;
    staging.finish()?;
    Ok(report)
}

/// What the folder was made from and by what.
fn stamp(gguf: &Gguf, operators: Operators, report: &ImportReport) -> Value {
    json!({
        "importer_version": IMPORTER_VERSION,
        "operators": operators.name(),
        "source": {
            "file": gguf.path().file_name().map(|name| name.to_string_lossy()),
            "sha256": report.source_sha256,
            "bytes": report.source_bytes,
        },
        "architecture": report.architecture,
        "quantization": report.quantization,
        "data_bytes": report.data_bytes,
    })
}

/// `config.json` in the field names of Hugging Face's Transformers.
fn config(shape: &Hyperparameters, vocabulary: &Vocabulary<'_>, rows: u64, tied: bool) -> Value {
    let special = vocabulary.special();
    json!({
        "architectures": [shape.architecture.class()],
        "model_type": shape.architecture.model_type(),
        "hidden_size": shape.hidden,
        "intermediate_size": shape.feed_forward,
        "num_hidden_layers": shape.layers,
        "num_attention_heads": shape.heads,
        "num_key_value_heads": shape.kv_heads,
        "head_dim": shape.head,
        "hidden_act": if shape.architecture.is_gemma() { "gelu_pytorch_tanh" } else { "silu" },
        "max_position_embeddings": shape.context,
        "vocab_size": rows,
        "rope_theta": shape.rope_base,
        "rms_norm_eps": shape.epsilon,
        "tie_word_embeddings": tied,
        "bos_token_id": special.bos,
        "eos_token_id": special.eos,
        "pad_token_id": special.pad,
    })
}

fn generation_config(vocabulary: &Vocabulary<'_>) -> Value {
    let special = vocabulary.special();
    json!({
        "bos_token_id": special.bos,
        "eos_token_id": vocabulary.end_ids(),
        "pad_token_id": special.pad,
    })
}

fn write_json(staging: &Staging, file: &'static str, value: &Value) -> Result<(), ImportError> {
    let mut bytes = serde_json::to_vec_pretty(value)
        .map_err(|source| ImportError::Json { file, cause: Arc::new(source) })?;
    bytes.push(b'\n');
    staging.write(file, &bytes)
}

#[cfg(test)]
pub(crate) mod tests;

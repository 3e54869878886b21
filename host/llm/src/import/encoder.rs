//! A folder of sentence-transformers with safetensors -> a model folder that ONNX Runtime runs: BERT, pooled in the graph.
//!
//! Operators: ONNX Runtime's `ContribOperators.md` (Attention, BiasGelu, SkipLayerNormalization); the model as in Transformers'
//! `BertModel`, its modules as in sentence-transformers.
//! Contract: `input_ids`, `attention_mask` i64 `[batch, length]` -> `embedding` f32 `[batch, hidden]`; token types are zero.
//! Invariant: every tensor of the file is used once, but for those that no embedding depends on ([`without`]).

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::error::ImportError;
use super::onnx::{
    DATA_FILE, DataType, Dim, GraphProto, MICROSOFT, axis, constant, float, int, model, node, value_info,
};
use super::safetensors::{Data, Source, read};
use super::staging::Staging;
use super::{IMPORTER_VERSION, ImportProgress, ImportReport, STAMP_FILE, write_json};
use crate::Error;
use crate::model::{MAX_LAYERS, MAX_TOKENIZER_BYTES, bounded, read_json};
use crate::sentence::{self, Pooling, Sentence};

/// What the stamp says that the folder is for.
pub(crate) const KIND: &str = "embeddings";
/// The file with the weights.
const WEIGHTS: &str = "model.safetensors";
const ARCHITECTURE: &str = "bert";
/// Files that are taken over as they are, where they are there.
const KEPT: &[&str] = &[
    "config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "sentence_bert_config.json",
];
/// More numbers of a token than any encoder has.
const MAX_WIDTH: usize = 1 << 16;

/// See [`crate::import_encoder`].
pub(crate) fn import_encoder(
    source: &Path,
    folder: &Path,
    progress: &mut dyn FnMut(ImportProgress),
) -> Result<ImportReport, Error> {
    let shape = Shape::read(source)?;
    let sentence = Sentence::required(source)?;
    let limit = sentence::max_tokens(source)?;
    let path = source.join(WEIGHTS);
    let bytes = read(&path)?;
    let mut weights = Source::new(&path, &bytes, TABLE, "bert.")?;
    let vocabulary = weights.rows(TABLE).ok_or_else(|| ImportError::MissingTensor(TABLE.to_owned()))?;
    sentence::tokenizer(source, Some(vocabulary))?;
    let mut quantization = BTreeMap::new();
    weights.types().for_each(|kind| *quantization.entry(kind).or_insert(0) += 1);

    let staging = Staging::begin(folder)?;
    for file in KEPT.iter().copied().chain(sentence.files.iter().map(String::as_str)) {
        let from = source.join(file);
        if from.is_file() {
            bounded(&from, MAX_TOKENIZER_BYTES)?;
            let kept = std::fs::read(&from).map_err(|cause| ImportError::io("read", &from, 0, cause))?;
            staging.write(file, &kept)?;
        }
    }
    let total = bytes.len() as u64;
    let source_sha256 =
        sha256(&bytes, &mut |done| progress(ImportProgress { done_bytes: done, total_bytes: 2 * total }));
    let data = Data::create(staging.path(DATA_FILE), total, progress)?;
    let mut graph = Graph { weights: &mut weights, data, proto: GraphProto::default() };
    graph.bert(&shape, vocabulary)?;
    graph.pool(&sentence, shape.hidden);
    let Graph { data, mut proto, .. } = graph;
    weights.finish(ARCHITECTURE, without)?;
    let (initializers, data_bytes) = data.finish()?;
    proto.initializer.extend(initializers);
    staging.write("model.onnx", &model(proto, &[("pawl.kind", KIND)]))?;
    let report = ImportReport {
        folder: folder.to_path_buf(),
        architecture: ARCHITECTURE.to_owned(),
        context: limit as u64,
        vocabulary: vocabulary as u64,
        quantization,
        source_sha256,
        source_bytes: total,
        data_bytes,
    };
    write_json(&staging, STAMP_FILE, &stamp(&report))?;
    staging.finish()?;
    Ok(report)
}

/// Tensors that no embedding depends on: the pooler and the heads, of which sentence-transformers uses none, and the
/// positions, which are numbers from 0.
fn without(name: &str) -> bool {
    name == "embeddings.position_ids" || name.starts_with("pooler.") || name.starts_with("cls.")
}

fn stamp(report: &ImportReport) -> Value {
    json!({
        "importer_version": IMPORTER_VERSION,
        "kind": KIND,
        "source": { "file": WEIGHTS, "sha256": report.source_sha256, "bytes": report.source_bytes },
        "architecture": report.architecture,
        "quantization": report.quantization,
        "data_bytes": report.data_bytes,
    })
}

fn sha256(bytes: &[u8], progress: &mut dyn FnMut(u64)) -> String {
    let (mut hasher, mut done) = (Sha256::new(), 0);
    for piece in bytes.chunks(4 << 20) {
        hasher.update(piece);
        done += piece.len() as u64;
        progress(done);
    }
    hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What config.json says of the model.
struct Shape {
    layers: usize,
    hidden: usize,
    heads: usize,
    feed_forward: usize,
    positions: usize,
    types: usize,
    epsilon: f32,
}

impl Shape {
    fn read(folder: &Path) -> Result<Shape, Error> {
        let path = folder.join("config.json");
        let refused = |message: String| Error::ModelFile { path: path.clone(), message };
        let config = read_json(&path)?.ok_or_else(|| refused("there is no such file".into()))?;
        let text = |key: &str| config.get(key).and_then(Value::as_str);
        match text("model_type") {
            Some(ARCHITECTURE) => {}
            found => {
                let found = found.unwrap_or("unknown").to_owned();
                return Err(ImportError::Architecture { found, supported: ARCHITECTURE }.into());
            }
        }
        for (key, supported) in [("hidden_act", "gelu"), ("position_embedding_type", "absolute")] {
            if let Some(found) = text(key).filter(|found| *found != supported) {
                return Err(refused(format!("`{key}` is {found:?}; {supported:?} is supported")));
            }
        }
        for key in ["is_decoder", "add_cross_attention"] {
            if config.get(key).and_then(Value::as_bool) == Some(true) {
                return Err(refused(format!("`{key}` is true; an encoder alone is supported")));
            }
        }
        let number = |key: &str, most: usize| {
            let found = config.get(key).and_then(Value::as_u64).and_then(|n| usize::try_from(n).ok());
            found
                .filter(|n| (1..=most).contains(n))
                .ok_or_else(|| refused(format!("`{key}` must be a number from 1 to {most}")))
        };
        let epsilon = config.get("layer_norm_eps").map_or(Some(1e-12), Value::as_f64);
        let epsilon = epsilon.filter(|e| (0.0..1.0).contains(e));
        let shape = Shape {
            layers: number("num_hidden_layers", MAX_LAYERS)?,
            hidden: number("hidden_size", MAX_WIDTH)?,
            heads: number("num_attention_heads", MAX_WIDTH)?,
            feed_forward: number("intermediate_size", MAX_WIDTH)?,
            positions: number("max_position_embeddings", 1 << 20)?,
            types: number("type_vocab_size", 1 << 10)?,
            epsilon: epsilon.ok_or_else(|| refused("`layer_norm_eps` must be a number below 1".into()))?
                as f32,
        };
        if !shape.hidden.is_multiple_of(shape.heads) {
            let message = format!("{} heads do not divide a width of {}", shape.heads, shape.hidden);
            return Err(refused(message));
        }
        Ok(shape)
    }
}

/// The table of the tokens.
const TABLE: &str = "embeddings.word_embeddings.weight";

/// A graph while it grows.
struct Graph<'s, 'b, 'p> {
    weights: &'s mut Source<'b>,
    data: Data<'p>,
    proto: GraphProto,
}

impl Graph<'_, '_, '_> {
    fn bert(&mut self, shape: &Shape, vocabulary: usize) -> Result<(), ImportError> {
        self.proto.name = Some(ARCHITECTURE.to_owned());
        for input in ["input_ids", "attention_mask"] {
            let dims = [Dim::Named("batch"), Dim::Named("length")];
            self.proto.input.push(value_info(input, DataType::Int64, &dims));
        }
        for (name, value) in [("zero", 0), ("one", 1), ("two", 2)] {
            self.constant(name, value);
        }
        let hidden = shape.hidden;
        self.keep(TABLE, &[vocabulary, hidden])?;
        self.keep(POSITIONS, &[shape.positions, hidden])?;
        // Of the types only the first is ever looked up: it is one vector, added to every token.
        let types = self.weights.take("embeddings.token_type_embeddings.weight", &[shape.types, hidden])?;
        self.data.put("embeddings.type", &[hidden], &types[..hidden])?;
        self.node("Gather", "", &[TABLE, "input_ids"], "tokens", vec![int("axis", 0)]);
        self.node("Shape", "", &["input_ids"], "input.shape", vec![]);
        self.node("Slice", "", &["input.shape", "one", "two"], "length", vec![]);
        self.node("Slice", "", &[POSITIONS, "zero", "length", "zero"], "positions", vec![]);
        self.node("Cast", "", &["attention_mask"], "mask", vec![int("to", DataType::Int32 as u64)]);
        let mut x = self.norm(shape, "embeddings.LayerNorm", "tokens", "positions", "embeddings.type")?;
        for layer in 0..shape.layers {
            x = self.layer(shape, &format!("encoder.layer.{layer}."), &x)?;
        }
        self.node("Identity", "", &[&x], TOKENS, vec![]);
        Ok(())
    }

    fn layer(&mut self, shape: &Shape, layer: &str, x: &str) -> Result<String, ImportError> {
        let name = |part: &str| format!("{layer}{part}");
        let (hidden, inner) = (shape.hidden, shape.feed_forward);
        let (weight, bias) = self.projections(layer, hidden)?;
        let attended = name("attention");
        let heads = vec![int("num_heads", shape.heads as u64)];
        self.proto.node.push(node("Attention", MICROSOFT, &[x, &weight, &bias, "mask"], &[&attended], heads));

        let (weight, bias) = self.linear(&name("attention.output.dense"), hidden, hidden)?;
        let output = name("attention.product");
        self.node("MatMul", "", &[&attended, &weight], &output, vec![]);
        let x = self.norm(shape, &name("attention.output.LayerNorm"), &output, x, &bias)?;

        let (weight, bias) = self.linear(&name("intermediate.dense"), hidden, inner)?;
        let (product, activated) = (name("intermediate.product"), name("intermediate.activated"));
        self.node("MatMul", "", &[&x, &weight], &product, vec![]);
        self.node("BiasGelu", MICROSOFT, &[&product, &bias], &activated, vec![]);
        let (weight, bias) = self.linear(&name("output.dense"), inner, hidden)?;
        let output = name("output.product");
        self.node("MatMul", "", &[&activated, &weight], &output, vec![]);
        self.norm(shape, &name("output.LayerNorm"), &output, &x, &bias)
    }

    /// Query, key and value side by side: weight `[hidden, 3 * hidden]` and bias.
    fn projections(&mut self, layer: &str, hidden: usize) -> Result<(String, String), ImportError> {
        let (mut weights, mut biases) = (Vec::new(), Vec::new());
        for name in ["query", "key", "value"] {
            let name = format!("{layer}attention.self.{name}");
            weights.push(self.weights.take(&format!("{name}.weight"), &[hidden, hidden])?);
            biases.extend(self.weights.take(&format!("{name}.bias"), &[hidden])?);
        }
        // As large as what was found in the file, and not as what the file says of itself.
        let mut together = vec![0.0; hidden * 3 * hidden];
        for (part, weight) in weights.iter().enumerate() {
            for (to, row) in weight.chunks_exact(hidden).enumerate() {
                for (from, value) in row.iter().enumerate() {
                    together[from * 3 * hidden + part * hidden + to] = *value;
                }
            }
        }
        let (weight, bias) = (format!("{layer}attention.self.weight"), format!("{layer}attention.self.bias"));
        self.data.put(&weight, &[hidden, 3 * hidden], &together)?;
        self.data.put(&bias, &[3 * hidden], &biases)?;
        Ok((weight, bias))
    }

    /// A linear layer's weight, turned as MatMul takes it, `[from, to]`, and its bias.
    fn linear(&mut self, name: &str, from: usize, to: usize) -> Result<(String, String), ImportError> {
        let (weight, bias) = (format!("{name}.weight"), format!("{name}.bias"));
        let values = self.weights.take(&weight, &[to, from])?;
        let turned: Vec<f32> =
            (0..from).flat_map(|column| values.iter().skip(column).step_by(from).copied()).collect();
        self.data.put(&weight, &[from, to], &turned)?;
        self.keep(&bias, &[to])?;
        Ok((weight, bias))
    }

    /// `x + residual + bias`, normed by the layer `name`.
    fn norm(
        &mut self,
        shape: &Shape,
        name: &str,
        x: &str,
        residual: &str,
        bias: &str,
    ) -> Result<String, ImportError> {
        let (gamma, beta) = (format!("{name}.weight"), format!("{name}.bias"));
        self.keep(&gamma, &[shape.hidden])?;
        self.keep(&beta, &[shape.hidden])?;
        let output = format!("{name}.normed");
        let inputs = [x, residual, &gamma, &beta, bias];
        self.node(
            "SkipLayerNormalization",
            MICROSOFT,
            &inputs,
            &output,
            vec![float("epsilon", shape.epsilon)],
        );
        Ok(output)
    }

    /// The vectors of the tokens, `[batch, length, hidden]`, and the mask to `embedding` `[batch, hidden]`.
    fn pool(&mut self, sentence: &Sentence, hidden: usize) {
        let pooled = if sentence.normalize { "pooled" } else { OUTPUT };
        match sentence.pooling {
            Pooling::First => {
                let first = constant("first", DataType::Int64, &[], 0_i64.to_le_bytes().to_vec());
                self.proto.initializer.push(first);
                self.node("Gather", "", &[TOKENS, "first"], pooled, vec![int("axis", 1)]);
            }
            // A product with the mask as a row adds up the tokens that count.
            Pooling::Mean => {
                self.node(
                    "Cast",
                    "",
                    &["attention_mask"],
                    "weights",
                    vec![int("to", DataType::Float as u64)],
                );
                self.node("Unsqueeze", "", &["weights", "one"], "weights.row", vec![]);
                self.node("MatMul", "", &["weights.row", TOKENS], "sum.row", vec![]);
                self.node("Squeeze", "", &["sum.row", "one"], "sum", vec![]);
                self.node("ReduceSum", "", &["weights", "one"], "count", vec![int("keepdims", 1)]);
                self.node("Div", "", &["sum", "count"], pooled, vec![]);
            }
        }
        if sentence.normalize {
            self.node("LpNormalization", "", &[pooled], OUTPUT, vec![axis(-1), int("p", 2)]);
        }
        let dims = [Dim::Named("batch"), Dim::Fixed(hidden as u64)];
        self.proto.output.push(value_info(OUTPUT, DataType::Float, &dims));
    }

    /// Takes a tensor over as an initializer of the same name.
    fn keep(&mut self, name: &str, shape: &[usize]) -> Result<(), ImportError> {
        let values = self.weights.take(name, shape)?;
        self.data.put(name, shape, &values)
    }

    fn constant(&mut self, name: &str, value: i64) {
        let bytes = value.to_le_bytes().to_vec();
        self.proto.initializer.push(constant(name, DataType::Int64, &[1], bytes));
    }

    fn node(
        &mut self,
        op: &str,
        domain: &str,
        inputs: &[&str],
        output: &str,
        attributes: Vec<super::onnx::AttributeProto>,
    ) {
        self.proto.node.push(node(op, domain, inputs, &[output], attributes));
    }
}

/// The table of the positions.
const POSITIONS: &str = "embeddings.position_embeddings.weight";
/// The vectors of the tokens, by the name that exports give them.
const TOKENS: &str = "last_hidden_state";
/// The graph's output.
const OUTPUT: &str = "embedding";

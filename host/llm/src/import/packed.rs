//! A model's hyperparameters and tensors -> the graph of our own operators (`runtime/operators.rs`), for processors that
//! have what they need.
//!
//! Contract: `input_ids` i64 `[1, t]`, the tokens of any sequences one after the other -> `logits` f32
//! `[wanted, vocabulary]`; whose tokens they are and which logits are wanted, the operators ask their caller. Weights are
//! in the layout of `cpu/layout.rs`, about as large as in the file (BF16 is stored as F32). Metadata: `pawl.kv_cache` = `paged`, `pawl.layers`,
//! `pawl.kv_width` (numbers that a layer keeps of a position's keys, and as many of its values).
//! Invariant: every tensor of the file is used exactly once (the embedding twice where it is also the head).

use super::architecture::Hyperparameters;
use super::builder::Builder;
use super::data::{Job, Target};
use super::error::ImportError;
use super::gguf::{Gguf, Tensor};
use super::graph::Plan;
use super::onnx::{AttributeProto, DataType, Dim, float, int, ints, text, value_info};
use crate::runtime::DOMAIN;

/// Builds the graph; reads no tensor bytes.
pub(crate) fn plan(gguf: &Gguf, shape: &Hyperparameters) -> Result<Plan, ImportError> {
    Packed { builder: Builder::new(gguf, shape.architecture.name(), DataType::Float), shape }.model()
}

struct Packed<'a> {
    builder: Builder<'a>,
    shape: &'a Hyperparameters,
}

impl Packed<'_> {
    fn model(mut self) -> Result<Plan, ImportError> {
        let shape = self.shape;
        let embedding = self.builder.tensor("token_embd.weight", &[])?;
        let vocabulary = embedding.rows();
        self.builder.expect(&embedding, &[shape.hidden, vocabulary])?;
        let head = self.builder.optional("output.weight", &[shape.hidden, vocabulary])?;
        let tied = head.is_none();
        let ids = [Dim::Fixed(1), Dim::Named("length")];
        self.builder.graph.input.push(value_info("input_ids", DataType::Int64, &ids));
        self.builder.rotary_tables(shape);

        let table = self.pack(&embedding);
        self.operator("Embed", &["input_ids", &table], "embedding", &[&embedding], vec![]);
        let embedded = self.builder.scaled_embedding(shape, "embedding");
        let mut hidden = "blk.0.normed".to_owned();
        self.builder.norm(shape, "blk.0.attn_norm", shape.hidden, &embedded, &hidden)?;
        let mut residual = embedded;
        for layer in 0..shape.layers {
            (hidden, residual) = self.layer(layer, &hidden, &residual)?;
        }
        let (matrix, head) = match head {
            Some(head) => (self.pack(&head), head),
            None => (table, embedding),
        };
        self.operator("Head", &[&hidden, &matrix], "logits", &[&head], vec![]);
        let logits = [Dim::Named("wanted"), Dim::Fixed(vocabulary)];
        self.builder.graph.output.push(value_info("logits", DataType::Float, &logits));
        self.builder.finish(shape, vocabulary, tied)
    }

    /// One transformer block: from the normed hidden state and the residual to those of the next.
    fn layer(&mut self, layer: u64, hidden: &str, residual: &str) -> Result<(String, String), ImportError> {
        let shape = self.shape;
        let name = |part: &str| format!("blk.{layer}.{part}");
        let mut attended = self.attention(layer, hidden)?;
        let mut residual = residual.to_owned();
        let width = shape.heads * shape.head;
        if layer + 1 == shape.layers {
            // From here on a token is for its logits only.
            attended = self.pick(&attended, width);
            residual = self.pick(&residual, shape.hidden);
        }
        let output = self.linear(&name("attn_output"), &attended, width, shape.hidden)?;
        let output = self.builder.norm_behind(shape, &name("post_attention_norm"), output)?;
        let (hidden, residual) = self.builder.add_and_norm(shape, &name("ffn_norm"), &output, &residual)?;

        let [gate, up] = ["ffn_gate", "ffn_up"].map(|part| format!("{}.weight", name(part)));
        let gate = self.builder.tensor(&gate, &[shape.hidden, shape.feed_forward])?;
        let up = self.builder.tensor(&up, &[shape.hidden, shape.feed_forward])?;
        let matrices = [self.pack(&gate), self.pack(&up)];
        let gated = name("ffn_gated");
        let gelu = vec![int("gelu", u64::from(shape.architecture.is_gemma()))];
        self.operator("Gated", &[&hidden, &matrices[0], &matrices[1]], &gated, &[&gate, &up], gelu);
        let down = self.linear(&name("ffn_down"), &gated, shape.feed_forward, shape.hidden)?;
        let down = self.builder.norm_behind(shape, &name("post_ffw_norm"), down)?;
        let next = if layer + 1 == shape.layers {
            "output_norm".to_owned()
        } else {
            format!("blk.{}.attn_norm", layer + 1)
        };
        self.builder.add_and_norm(shape, &next, &down, &residual)
    }

    /// Query, key and value projections as one product, and attention over the pages of the layer.
    fn attention(&mut self, layer: u64, x: &str) -> Result<String, ImportError> {
        let shape = self.shape;
        let (mut tensors, mut biases) = (Vec::new(), Vec::new());
        for (part, rows) in ["attn_q", "attn_k", "attn_v"].into_iter().zip(shape.projections()) {
            let name = format!("blk.{layer}.{part}");
            tensors.push(self.builder.tensor(&format!("{name}.weight"), &[shape.hidden, rows])?);
            biases.extend(self.builder.optional(&format!("{name}.bias"), &[rows])?);
        }
        let name = format!("blk.{layer}.attn_qkv");
        let bias = match biases.as_slice() {
            [] => String::new(),
            [_, _, _] => self.builder.floats(&format!("{name}.bias"), &biases)?,
            _ => {
                let some = format!("a bias on only some of the projections of block {layer}");
                return Err(ImportError::Feature(some));
            }
        };
        let matrices: Vec<String> = tensors.iter().map(|tensor| self.pack(tensor)).collect();
        let inputs: Vec<&str> = [x, &bias].into_iter().chain(matrices.iter().map(String::as_str)).collect();
        self.operator("Linear", &inputs, &name, &tensors.iter().collect::<Vec<_>>(), vec![]);
        let attended = format!("blk.{layer}.attn");
        let attributes = vec![
            int("layer", layer),
            int("heads", shape.heads),
            int("kv_heads", shape.kv_heads),
            int("size", shape.head),
            int("interleaved", u64::from(shape.architecture.rotary_interleaved())),
            int("window", shape.window_of(layer).map_or(0, |window| window.positions)),
            float("epsilon", shape.epsilon as f32),
        ];
        let (cos, sin) = shape.rotary_names(layer);
        let mut inputs = vec![name.as_str(), cos, sin];
        let norms = if shape.architecture.has_query_norm() {
            let norm = |part: &str| format!("blk.{layer}.{part}.weight");
            vec![
                self.builder.vector(&norm("attn_q_norm"), shape.head)?,
                self.builder.vector(&norm("attn_k_norm"), shape.head)?,
            ]
        } else {
            Vec::new()
        };
        inputs.extend(norms.iter().map(String::as_str));
        self.builder.node("Attention", DOMAIN, &inputs, &[&attended], attributes);
        Ok(attended)
    }

    /// `x @ weight^T` for the tensor `NAME.weight`, with `NAME.bias` where there is one.
    fn linear(&mut self, name: &str, x: &str, columns: u64, rows: u64) -> Result<String, ImportError> {
        let weight = self.builder.tensor(&format!("{name}.weight"), &[columns, rows])?;
        let bias = match self.builder.optional(&format!("{name}.bias"), &[rows])? {
            Some(bias) => self.builder.floats(&bias.name, std::slice::from_ref(&bias))?,
            None => String::new(),
        };
        let matrix = self.pack(&weight);
        self.operator("Linear", &[x, &bias, &matrix], name, &[&weight], vec![]);
        Ok(name.to_owned())
    }

    /// The tokens of a matrix whose logits are wanted.
    fn pick(&mut self, x: &str, columns: u64) -> String {
        let picked = format!("{x}.picked");
        self.builder.node("Pick", DOMAIN, &[x], &[&picked], vec![int("columns", columns)]);
        picked
    }

    /// A node of the domain with matrices; they agree in their columns.
    fn operator(
        &mut self,
        op: &str,
        inputs: &[&str],
        output: &str,
        matrices: &[&Tensor],
        others: Vec<AttributeProto>,
    ) {
        let formats: Vec<&str> = matrices.iter().map(|tensor| tensor.kind.format().name()).collect();
        let rows: Vec<u64> = matrices.iter().map(|tensor| tensor.rows()).collect();
        let mut attributes = vec![
            text("format", &formats.join(",")),
            ints("rows", &rows),
            int("columns", matrices[0].columns()),
        ];
        attributes.extend(others);
        self.builder.node(op, DOMAIN, inputs, &[output], attributes);
    }

    /// Gives a tensor its place in the data file.
    fn pack(&mut self, tensor: &Tensor) -> String {
        let format = tensor.kind.format();
        let bytes = format.bytes(tensor.rows() as usize, tensor.columns() as usize) as u64;
        let at = self.builder.allocate(bytes);
        self.builder.weight(&tensor.name, DataType::Uint8, &[bytes], at);
        self.builder.jobs.push(Job { tensors: vec![tensor.clone()], target: Target::Packed { at, format } });
        tensor.name.clone()
    }
}

//! A model's hyperparameters and tensors -> a graph of ONNX Runtime's own operators, which runs on every processor and
//! device that has them, and a plan of what goes where in the data file.
//!
//! Operators: ONNX Runtime's `ContribOperators.md` (MatMulNBits, GroupQueryAttention, GatherBlockQuantized,
//! SkipSimplifiedLayerNormalization, QuickGelu).
//! Contract: `input_ids` i64 `[1, s]`, `attention_mask` i64 `[1, t]` (t = past + s), `past_key_values.L.key/value`
//! `[1, kv heads, p, head]` -> `logits` `[1, 1, vocabulary]` of the last position, `present.L.key/value`; floats are f32, or
//! f16 for devices, whose attention has no other.
//! Past and present may be one buffer (`pawl.kv_cache` = `shared` in the model's metadata).
//! Invariant: every tensor of the file is used exactly once (the embedding twice where it is also the head).

use super::architecture::{Architecture, Hyperparameters};
use super::builder::Builder;
use super::data::{Job, Target};
use super::error::ImportError;
use super::gguf::Gguf;
use super::onnx::{DataType, Dim, GraphProto, MICROSOFT, axis, constant, float, int, value_info};

/// What [`plan`] returns.
pub(crate) struct Plan {
    pub(crate) graph: GraphProto,
    /// What fills the data file.
    pub(crate) jobs: Vec<Job>,
    /// Bytes of the data file.
    pub(crate) bytes: u64,
    /// What floats are in it.
    pub(crate) float: DataType,
    /// Rows of the embedding and columns of the logits.
    pub(crate) vocabulary: u64,
    /// Whether the head is the embedding.
    pub(crate) tied: bool,
}

/// Builds the graph, computing in `float`; reads no tensor bytes.
pub(crate) fn plan(gguf: &Gguf, shape: &Hyperparameters, float: DataType) -> Result<Plan, ImportError> {
    Builder::new(gguf, shape.architecture.name(), float).model(shape)
}

impl Builder<'_> {
    fn model(mut self, shape: &Hyperparameters) -> Result<Plan, ImportError> {
        let table = self.tensor("token_embd.weight", &[])?;
        let vocabulary = table.rows();
        self.expect(&table, &[shape.hidden, vocabulary])?;
        let head = self.optional("output.weight", &[shape.hidden, vocabulary])?;
        let tied = head.is_none();
        let table = self.store(&[table], true, tied);
        let head = head.map(|head| self.store(&[head], false, true));

        self.inputs();
        self.constants(shape);
        let embedded = self.embed(&table);
        let embedded = self.scaled_embedding(shape, &embedded);
        let mut hidden = "blk.0.normed".to_owned();
        self.norm(shape, "blk.0.attn_norm", shape.hidden, &embedded, &hidden)?;
        let mut residual = embedded;
        for layer in 0..shape.layers {
            (hidden, residual) = self.layer(shape, layer, &hidden, &residual)?;
        }
        let last = ["hidden.last"];
        self.node("Slice", "", &[&hidden, "minus_one", "end", "axis_1"], &last, vec![]);
        self.multiply(last[0], head.as_ref().unwrap_or(&table), None, "head", "logits");
        self.outputs(vocabulary);

        self.finish(shape, vocabulary, tied)
    }

    /// What was built, unless a tensor was left over.
    pub(crate) fn finish(
        self,
        shape: &Hyperparameters,
        vocabulary: u64,
        tied: bool,
    ) -> Result<Plan, ImportError> {
        if let Some(tensor) = self.unused() {
            let (tensor, architecture) = (tensor.to_owned(), shape.architecture.name().to_owned());
            return Err(ImportError::UnusedTensor { tensor, architecture });
        }
        Ok(Plan { graph: self.graph, jobs: self.jobs, bytes: self.end, float: self.float, vocabulary, tied })
    }

    /// One transformer block: from the normed hidden state and the residual to those of the next.
    fn layer(
        &mut self,
        shape: &Hyperparameters,
        layer: u64,
        hidden: &str,
        residual: &str,
    ) -> Result<(String, String), ImportError> {
        let name = |part: &str| format!("blk.{layer}.{part}");
        let projected = self.projections(shape, layer, hidden)?;
        let attended = self.attention(shape, layer, projected);
        let width = shape.heads * shape.head;
        let output = self.linear(&name("attn_output"), &attended, width, shape.hidden)?;
        let output = self.norm_behind(shape, &name("post_attention_norm"), output)?;
        let (hidden, residual) = self.add_and_norm(shape, &name("ffn_norm"), &output, residual)?;

        let gate = self.linear(&name("ffn_gate"), &hidden, shape.hidden, shape.feed_forward)?;
        let up = self.linear(&name("ffn_up"), &hidden, shape.hidden, shape.feed_forward)?;
        let (activated, gated) = (name("ffn_activated"), name("ffn_gated"));
        if shape.architecture.is_gemma() {
            self.node("FastGelu", MICROSOFT, &[&gate], &[&activated], vec![]);
        } else {
            // x * sigmoid(1.0 * x) is SiLU
            self.node("QuickGelu", MICROSOFT, &[&gate], &[&activated], vec![float("alpha", 1.0)]);
        }
        self.node("Mul", "", &[&activated, &up], &[&gated], vec![]);
        let down = self.linear(&name("ffn_down"), &gated, shape.feed_forward, shape.hidden)?;
        let down = self.norm_behind(shape, &name("post_ffw_norm"), down)?;
        let next = if layer + 1 == shape.layers {
            "output_norm".to_owned()
        } else {
            format!("blk.{}.attn_norm", layer + 1)
        };
        self.add_and_norm(shape, &next, &down, &residual)
    }

    /// Query, key and value: one matrix where all three are stored alike and nothing is done to one of them, else three.
    fn projections(
        &mut self,
        shape: &Hyperparameters,
        layer: u64,
        x: &str,
    ) -> Result<Vec<String>, ImportError> {
        let (mut weights, mut biases) = (Vec::new(), Vec::new());
        for (part, rows) in ["attn_q", "attn_k", "attn_v"].into_iter().zip(shape.projections()) {
            weights.push(self.tensor(&format!("blk.{layer}.{part}.weight"), &[shape.hidden, rows])?);
            biases.extend(self.optional(&format!("blk.{layer}.{part}.bias"), &[rows])?);
        }
        if !matches!(biases.len(), 0 | 3) {
            return Err(ImportError::Feature(format!(
                "a bias on only some of the projections of block {layer}"
            )));
        }
        let layout = weights[0].kind.layout();
        let normed = shape.architecture.has_query_norm();
        if !normed && weights.iter().all(|weight| weight.kind.layout() == layout) {
            let name = format!("blk.{layer}.attn_qkv");
            let bias = match biases.as_slice() {
                [] => None,
                biases => Some(self.floats(&format!("{name}.bias"), biases)?),
            };
            let stored = self.store(&weights, false, true);
            self.multiply(x, &stored, bias.as_deref(), &name, &name);
            return Ok(vec![name]);
        }
        let mut outputs = Vec::new();
        for (index, weight) in weights.into_iter().enumerate() {
            let name = weight.name.trim_end_matches(".weight").to_owned();
            let bias = biases
                .get(index)
                .map(|bias| self.floats(&bias.name, std::slice::from_ref(bias)))
                .transpose()?;
            let stored = self.store(&[weight], false, true);
            self.multiply(x, &stored, bias.as_deref(), &name, &name);
            let norm = ["attn_q_norm", "attn_k_norm"].get(index).filter(|_| normed);
            outputs.push(match norm {
                Some(norm) => self.head_norm(shape, &format!("blk.{layer}.{norm}"), &name)?,
                None => name,
            });
        }
        Ok(outputs)
    }

    /// The norm of every head of `x`.
    fn head_norm(&mut self, shape: &Hyperparameters, name: &str, x: &str) -> Result<String, ImportError> {
        let part = |part: &str| format!("{x}.{part}");
        let (heads, normed, output) = (part("heads"), part("heads_normed"), part("normed"));
        self.constant_i64("heads_shape", &[0, 0, -1, shape.head as i64]);
        self.constant_i64("joined_shape", &[0, 0, -1]);
        self.node("Reshape", "", &[x, "heads_shape"], &[&heads], vec![]);
        self.norm(shape, name, shape.head, &heads, &normed)?;
        self.node("Reshape", "", &[&normed, "joined_shape"], &[&output], vec![]);
        Ok(output)
    }

    /// GroupQueryAttention with rotary embedding; declares the layer's cache inputs and outputs.
    fn attention(&mut self, shape: &Hyperparameters, layer: u64, mut inputs: Vec<String>) -> String {
        let cache =
            |length| [Dim::Fixed(1), Dim::Fixed(shape.kv_heads), Dim::Named(length), Dim::Fixed(shape.head)];
        inputs.resize(3, String::new());
        let output = format!("blk.{layer}.attn");
        let mut outputs = vec![output.clone()];
        for part in ["key", "value"] {
            let past = format!("past_key_values.{layer}.{part}");
            let present = format!("present.{layer}.{part}");
            self.graph.input.push(value_info(&past, self.float, &cache("past_length")));
            self.graph.output.push(value_info(&present, self.float, &cache("total_length")));
            inputs.push(past);
            outputs.push(present);
        }
        let (cos, sin) = shape.rotary_names(layer);
        inputs.extend(["last_index", "total_length", cos, sin].map(str::to_owned));
        let mut attributes = vec![
            int("num_heads", shape.heads),
            int("kv_num_heads", shape.kv_heads),
            int("do_rotary", 1),
            int("rotary_interleaved", u64::from(shape.architecture.rotary_interleaved())),
        ];
        attributes.extend(shape.window_of(layer).map(|window| int("local_window_size", window.positions)));
        let inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
        let outputs: Vec<&str> = outputs.iter().map(String::as_str).collect();
        self.node("GroupQueryAttention", MICROSOFT, &inputs, &outputs, attributes);
        output
    }

    /// `x + residual`, and its RMS norm by the weight `name`: (normed, sum).
    pub(crate) fn add_and_norm(
        &mut self,
        shape: &Hyperparameters,
        name: &str,
        x: &str,
        residual: &str,
    ) -> Result<(String, String), ImportError> {
        let weight = self.vector(&format!("{name}.weight"), shape.hidden)?;
        let (normed, sum) = (format!("{name}.normed"), format!("{name}.residual"));
        let attributes = vec![float("epsilon", shape.epsilon as f32)];
        let outputs = [normed.as_str(), "", "", &sum];
        self.node(
            "SkipSimplifiedLayerNormalization",
            MICROSOFT,
            &[x, residual, &weight],
            &outputs,
            attributes,
        );
        Ok((normed, sum))
    }

    /// `x @ weight^T` for the tensor `NAME.weight`, with `NAME.bias` where there is one.
    fn linear(&mut self, name: &str, x: &str, columns: u64, rows: u64) -> Result<String, ImportError> {
        let weight = self.tensor(&format!("{name}.weight"), &[columns, rows])?;
        let bias = self.optional(&format!("{name}.bias"), &[rows])?;
        let bias = bias.map(|bias| self.floats(&bias.name, std::slice::from_ref(&bias))).transpose()?;
        let stored = self.store(&[weight], false, true);
        self.multiply(x, &stored, bias.as_deref(), name, name);
        Ok(name.to_owned())
    }

    pub(crate) fn vector(&mut self, name: &str, length: u64) -> Result<String, ImportError> {
        let tensor = self.tensor(name, &[length])?;
        self.floats(name, &[tensor])
    }

    fn inputs(&mut self) {
        for (name, length) in [("input_ids", "length"), ("attention_mask", "total_length")] {
            let shape = [Dim::Fixed(1), Dim::Named(length)];
            self.graph.input.push(value_info(name, DataType::Int64, &shape));
        }
    }

    fn outputs(&mut self, vocabulary: u64) {
        let shape = [Dim::Fixed(1), Dim::Fixed(1), Dim::Fixed(vocabulary)];
        self.graph.output.insert(0, value_info("logits", self.float, &shape));
    }

    /// The norm `NAME.weight` of `length` numbers each of `x`, into `output`.
    pub(crate) fn norm(
        &mut self,
        shape: &Hyperparameters,
        name: &str,
        length: u64,
        x: &str,
        output: &str,
    ) -> Result<(), ImportError> {
        let weight = self.vector(&format!("{name}.weight"), length)?;
        let attributes = vec![axis(-1), float("epsilon", shape.epsilon as f32), int("stash_type", 1)];
        self.node("SimplifiedLayerNormalization", "", &[x, &weight], &[output], attributes);
        Ok(())
    }

    /// The norm that Gemma 3 has behind attention and feed-forward; others have none.
    pub(crate) fn norm_behind(
        &mut self,
        shape: &Hyperparameters,
        name: &str,
        x: String,
    ) -> Result<String, ImportError> {
        if shape.architecture != Architecture::Gemma3 {
            return Ok(x);
        }
        let normed = format!("{x}.normed");
        self.norm(shape, name, shape.hidden, &x, &normed)?;
        Ok(normed)
    }

    /// Gemma's embedding, which grows by the root of its width; others' as it is.
    pub(crate) fn scaled_embedding(&mut self, shape: &Hyperparameters, embedding: &str) -> String {
        if !shape.architecture.is_gemma() {
            return embedding.to_owned();
        }
        let (scale, scaled) = ("embedding.scale", "embedding.scaled_by_width");
        let root = (shape.hidden as f32).sqrt();
        let value = constant(scale, DataType::Float, &[], root.to_le_bytes().to_vec());
        self.graph.initializer.push(value);
        self.node("Mul", "", &[embedding, scale], &[scaled], vec![]);
        scaled.to_owned()
    }

    /// Rotary tables: `rope.cos` and `rope.sin`, and those of layers with a window.
    pub(crate) fn rotary_tables(&mut self, shape: &Hyperparameters) {
        self.rotary(shape, ("rope.cos", "rope.sin"), shape.rope_base);
        if let Some(window) = shape.window {
            self.rotary(shape, ("rope.window.cos", "rope.window.sin"), window.rope_base);
        }
    }

    fn rotary(&mut self, shape: &Hyperparameters, names: (&str, &str), base: f64) {
        let dims = [shape.context, shape.head / 2];
        let bytes = dims[0] * dims[1] * self.float.bytes();
        let (cos, sin) = (self.allocate(bytes), self.allocate(bytes));
        self.weight(names.0, self.float, &dims, cos);
        self.weight(names.1, self.float, &dims, sin);
        let target = Target::Rope { cos, sin, base, positions: shape.context, head: shape.head };
        self.jobs.push(Job { tensors: vec![], target });
    }

    /// Rotary tables, small constants, and the two lengths that attention wants of the mask.
    fn constants(&mut self, shape: &Hyperparameters) {
        self.rotary_tables(shape);
        self.constant_i64("axis_1", &[1]);
        self.constant_i64("minus_one", &[-1]);
        self.constant_i64("end", &[i64::MAX]);
        let scalar = constant("index_1", DataType::Int64, &[], 1i64.to_le_bytes().to_vec());
        let one = constant("one", DataType::Int32, &[1], 1i32.to_le_bytes().to_vec());
        self.graph.initializer.extend([scalar, one]);
        let to_int32 = || vec![int("to", DataType::Int32 as u64)];
        self.node("Cast", "", &["attention_mask"], &["mask"], to_int32());
        self.node("ReduceSum", "", &["mask", "axis_1"], &["mask.sum"], vec![int("keepdims", 0)]);
        self.node("Sub", "", &["mask.sum", "one"], &["last_index"], vec![]);
        self.node("Shape", "", &["attention_mask"], &["mask.shape"], vec![]);
        self.node("Gather", "", &["mask.shape", "index_1"], &["mask.length"], vec![int("axis", 0)]);
        self.node("Cast", "", &["mask.length"], &["total_length"], to_int32());
    }
}

//! A model's hyperparameters and tensors -> its ONNX graph, and a plan of what goes where in the data file.
//!
//! Operators: ONNX Runtime's `ContribOperators.md` (MatMulNBits, GroupQueryAttention, GatherBlockQuantized,
//! SkipSimplifiedLayerNormalization, QuickGelu).
//! Contract: `input_ids` i64 `[1, s]`, `attention_mask` i64 `[1, t]` (t = past + s), `past_key_values.L.key/value`
//! f32 `[1, kv heads, p, head]` -> `logits` f32 `[1, 1, vocabulary]` of the last position, `present.L.key/value`.
//! Past and present may be one buffer (`pawl.kv_cache` = `shared` in the model's metadata).
//! Invariant: every tensor of the file is used exactly once (the embedding twice where it is also the head).

use std::collections::BTreeSet;

use super::architecture::Hyperparameters;
use super::data::{Job, Target};
use super::error::ImportError;
use super::gguf::{Gguf, Tensor};
use super::onnx::{
    ALIGNMENT, AttributeProto, DataType, Dim, GraphProto, MICROSOFT, NodeProto, axis, constant, external, float,
    int, value_info,
};
use super::quant::Layout;

/// What [`plan`] returns.
pub(crate) struct Plan {
    pub(crate) graph: GraphProto,
    /// What fills the data file.
    pub(crate) jobs: Vec<Job>,
    /// Bytes of the data file.
    pub(crate) bytes: u64,
    /// Rows of the embedding and columns of the logits.
    pub(crate) vocabulary: u64,
    /// Whether the head is the embedding.
    pub(crate) tied: bool,
}

/// Builds the graph; reads no tensor bytes.
pub(crate) fn plan(gguf: &Gguf, shape: &Hyperparameters) -> Result<Plan, ImportError> {
    let mut builder = Builder { gguf, graph: GraphProto::default(), jobs: Vec::new(), end: 0, used: BTreeSet::new() };
    builder.graph.name = Some(shape.architecture.name().to_owned());
    builder.model(shape)
}

/// Weights that have a place in the data file.
struct Stored {
    rows: u64,
    columns: u64,
    /// `None` for a float table, whose values are at `codes`.
    layout: Option<Layout>,
    codes: u64,
    scales: u64,
    offsets_by_row: u64,
    offsets_by_column: u64,
}

struct Builder<'a> {
    gguf: &'a Gguf,
    graph: GraphProto,
    jobs: Vec<Job>,
    end: u64,
    used: BTreeSet<String>,
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
        let norm = self.norm("blk.0.attn_norm.weight", shape.hidden)?;
        let mut hidden = "blk.0.normed".to_owned();
        let attributes = vec![axis(-1), float("epsilon", shape.epsilon as f32), int("stash_type", 1)];
        self.node("SimplifiedLayerNormalization", "", &[&embedded, &norm], &[&hidden], attributes);
        let mut residual = embedded;
        for layer in 0..shape.layers {
            (hidden, residual) = self.layer(shape, layer, &hidden, &residual)?;
        }
        let last = ["hidden.last"];
        self.node("Slice", "", &[&hidden, "minus_one", "end", "axis_1"], &last, vec![]);
        self.multiply(last[0], head.as_ref().unwrap_or(&table), None, "head", "logits");
        self.outputs(vocabulary);

        if let Some(tensor) = self.gguf.tensors().keys().find(|name| !self.used.contains(*name)) {
            let architecture = shape.architecture.name().to_owned();
            return Err(ImportError::UnusedTensor { tensor: tensor.clone(), architecture });
        }
        Ok(Plan { graph: self.graph, jobs: self.jobs, bytes: self.end, vocabulary, tied })
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
        let (hidden, residual) = self.add_and_norm(shape, &name("ffn_norm"), &output, residual)?;

        let gate = self.linear(&name("ffn_gate"), &hidden, shape.hidden, shape.feed_forward)?;
        let up = self.linear(&name("ffn_up"), &hidden, shape.hidden, shape.feed_forward)?;
        // x * sigmoid(1.0 * x) is SiLU
        let (activated, gated) = (name("ffn_activated"), name("ffn_gated"));
        self.node("QuickGelu", MICROSOFT, &[&gate], &[&activated], vec![float("alpha", 1.0)]);
        self.node("Mul", "", &[&activated, &up], &[&gated], vec![]);
        let down = self.linear(&name("ffn_down"), &gated, shape.feed_forward, shape.hidden)?;
        let next = if layer + 1 == shape.layers {
            "output_norm".to_owned()
        } else {
            format!("blk.{}.attn_norm", layer + 1)
        };
        self.add_and_norm(shape, &next, &down, &residual)
    }

    /// Query, key and value: one matrix where all three are stored alike, else three.
    fn projections(&mut self, shape: &Hyperparameters, layer: u64, x: &str) -> Result<Vec<String>, ImportError> {
        let (mut weights, mut biases) = (Vec::new(), Vec::new());
        for (part, rows) in ["attn_q", "attn_k", "attn_v"].into_iter().zip(shape.projections()) {
            weights.push(self.tensor(&format!("blk.{layer}.{part}.weight"), &[shape.hidden, rows])?);
            biases.extend(self.optional(&format!("blk.{layer}.{part}.bias"), &[rows])?);
        }
        if !matches!(biases.len(), 0 | 3) {
            return Err(ImportError::Feature(format!("a bias on only some of the projections of block {layer}")));
        }
        let layout = weights[0].kind.layout();
        if weights.iter().all(|weight| weight.kind.layout() == layout) {
            let name = format!("blk.{layer}.attn_qkv");
            let bias = (!biases.is_empty()).then(|| self.floats(&format!("{name}.bias"), &biases));
            let stored = self.store(&weights, false, true);
            self.multiply(x, &stored, bias.as_deref(), &name, &name);
            return Ok(vec![name]);
        }
        let mut outputs = Vec::new();
        for (index, weight) in weights.into_iter().enumerate() {
            let name = weight.name.trim_end_matches(".weight").to_owned();
            let bias = biases.get(index).map(|bias| self.floats(&bias.name, std::slice::from_ref(bias)));
            let stored = self.store(&[weight], false, true);
            self.multiply(x, &stored, bias.as_deref(), &name, &name);
            outputs.push(name);
        }
        Ok(outputs)
    }

    /// GroupQueryAttention with rotary embedding; declares the layer's cache inputs and outputs.
    fn attention(&mut self, shape: &Hyperparameters, layer: u64, mut inputs: Vec<String>) -> String {
        let cache = |length| [Dim::Fixed(1), Dim::Fixed(shape.kv_heads), Dim::Named(length), Dim::Fixed(shape.head)];
        inputs.resize(3, String::new());
        let output = format!("blk.{layer}.attn");
        let mut outputs = vec![output.clone()];
        for part in ["key", "value"] {
            let past = format!("past_key_values.{layer}.{part}");
            let present = format!("present.{layer}.{part}");
            self.graph.input.push(value_info(&past, DataType::Float, &cache("past_length")));
            self.graph.output.push(value_info(&present, DataType::Float, &cache("total_length")));
            inputs.push(past);
            outputs.push(present);
        }
        inputs.extend(["last_index", "total_length", "rope.cos", "rope.sin"].map(str::to_owned));
        let attributes = vec![
            int("num_heads", shape.heads),
            int("kv_num_heads", shape.kv_heads),
            int("do_rotary", 1),
            int("rotary_interleaved", u64::from(shape.architecture.rotary_interleaved())),
        ];
        let inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
        let outputs: Vec<&str> = outputs.iter().map(String::as_str).collect();
        self.node("GroupQueryAttention", MICROSOFT, &inputs, &outputs, attributes);
        output
    }

    /// `x + residual`, and its RMS norm by the weight `name`: (normed, sum).
    fn add_and_norm(
        &mut self,
        shape: &Hyperparameters,
        name: &str,
        x: &str,
        residual: &str,
    ) -> Result<(String, String), ImportError> {
        let weight = self.norm(&format!("{name}.weight"), shape.hidden)?;
        let (normed, sum) = (format!("{name}.normed"), format!("{name}.residual"));
        let attributes = vec![float("epsilon", shape.epsilon as f32)];
        let outputs = [normed.as_str(), "", "", &sum];
        self.node("SkipSimplifiedLayerNormalization", MICROSOFT, &[x, residual, &weight], &outputs, attributes);
        Ok((normed, sum))
    }

    /// `x @ weight^T` for the tensor `NAME.weight`, with `NAME.bias` where there is one.
    fn linear(&mut self, name: &str, x: &str, columns: u64, rows: u64) -> Result<String, ImportError> {
        let weight = self.tensor(&format!("{name}.weight"), &[columns, rows])?;
        let bias = self.optional(&format!("{name}.bias"), &[rows])?;
        let bias = bias.map(|bias| self.floats(&bias.name, std::slice::from_ref(&bias)));
        let stored = self.store(&[weight], false, true);
        self.multiply(x, &stored, bias.as_deref(), name, name);
        Ok(name.to_owned())
    }

    /// Looks up `input_ids` in the embedding table: `[1, s, hidden]`.
    fn embed(&mut self, table: &Stored) -> String {
        let output = "embedding";
        let Some(layout) = table.layout else {
            let dims = [table.rows, table.columns];
            self.weight("embedding.table", DataType::Float, &dims, table.codes);
            self.node("Gather", "", &["embedding.table", "input_ids"], &[output], vec![int("axis", 0)]);
            return output.to_owned();
        };
        let groups = table.columns / layout.block;
        let packed = [table.rows, table.columns * layout.bits / 8];
        self.weight("embedding.codes", DataType::Uint8, &packed, table.codes);
        self.weight("embedding.scales", DataType::Float, &[table.rows, groups], table.scales);
        let attributes = vec![
            int("bits", layout.bits),
            int("block_size", layout.block),
            int("gather_axis", 0),
            int("quantize_axis", 1),
        ];
        let inputs = ["embedding.codes", "input_ids", "embedding.scales"];
        if !layout.offset {
            self.node("GatherBlockQuantized", MICROSOFT, &inputs, &[output], attributes);
            return output.to_owned();
        }
        let scaled = "embedding.scaled";
        self.node("GatherBlockQuantized", MICROSOFT, &inputs, &[scaled], attributes);
        self.weight("embedding.offsets", DataType::Float, &[table.rows, groups], table.offsets_by_row);
        let gathered = "embedding.gathered_offsets";
        self.node("Gather", "", &["embedding.offsets", "input_ids"], &[gathered], vec![int("axis", 0)]);
        self.constant_i64("embedding.grouped_shape", &[0, 0, groups as i64, layout.block as i64]);
        self.constant_i64("embedding.shape", &[0, 0, table.columns as i64]);
        let (blocks, columns, sum) = ("embedding.blocks", "embedding.offset_columns", "embedding.sum");
        self.node("Reshape", "", &[scaled, "embedding.grouped_shape"], &[blocks], vec![]);
        self.node("Unsqueeze", "", &[gathered, "axis_3"], &[columns], vec![]);
        self.node("Add", "", &[blocks, columns], &[sum], vec![]);
        self.node("Reshape", "", &[sum, "embedding.shape"], &[output], vec![]);
        output.to_owned()
    }

    /// `x @ stored^T (+ bias)` into the value `output`; initializers are named after `name`.
    fn multiply(&mut self, x: &str, stored: &Stored, bias: Option<&str>, name: &str, output: &str) {
        let (rows, columns) = (stored.rows, stored.columns);
        let part = |suffix: &str| format!("{name}.{suffix}");
        let Some(layout) = stored.layout else {
            return self.multiply_floats(x, stored, bias, name, output);
        };
        let groups = columns / layout.block;
        let (codes, scales) = (part("codes"), part("scales"));
        let packed = [rows, groups, layout.block * layout.bits / 8];
        self.weight(&codes, DataType::Uint8, &packed, stored.codes);
        self.weight(&scales, DataType::Float, &[rows, groups], stored.scales);
        let attributes = vec![
            int("K", columns),
            int("N", rows),
            int("bits", layout.bits),
            int("block_size", layout.block),
            int("accuracy_level", 4),
        ];
        let mut inputs = vec![x, &codes, &scales];
        if let Some(bias) = bias {
            inputs.extend(["", "", bias]);
        }
        if !layout.offset {
            return self.node("MatMulNBits", MICROSOFT, &inputs, &[output], attributes);
        }
        // scale * (q - 8) + offset, summed over a block, is the product above plus offset * (sum of x over the block)
        let (scaled, offsets, correction) = (part("scaled"), part("offsets"), part("correction"));
        self.node("MatMulNBits", MICROSOFT, &inputs, &[&scaled], attributes);
        let sums = self.block_sums(x, groups, layout.block);
        self.weight(&offsets, DataType::Float, &[groups, rows], stored.offsets_by_column);
        self.node("MatMul", "", &[&sums, &offsets], &[&correction], vec![]);
        self.node("Add", "", &[&scaled, &correction], &[output], vec![]);
    }

    fn multiply_floats(&mut self, x: &str, stored: &Stored, bias: Option<&str>, name: &str, output: &str) {
        let part = |suffix: &str| format!("{name}.{suffix}");
        let (table, flat, product) = (part("table"), part("flat"), part("product"));
        let (flat_shape, shape) = (part("flat_shape"), part("shape"));
        self.weight(&table, DataType::Float, &[stored.rows, stored.columns], stored.codes);
        self.constant_i64(&flat_shape, &[-1, stored.columns as i64]);
        self.constant_i64(&shape, &[1, -1, stored.rows as i64]);
        self.node("Reshape", "", &[x, &flat_shape], &[&flat], vec![]);
        let inputs: Vec<&str> = [flat.as_str(), &table].into_iter().chain(bias).collect();
        self.node("Gemm", "", &inputs, &[&product], vec![int("transB", 1)]);
        self.node("Reshape", "", &[&product, &shape], &[output], vec![]);
    }

    /// The sum of each block of `x`: `[1, s, groups]`; computed once for all that multiply the same `x`.
    fn block_sums(&mut self, x: &str, groups: u64, block: u64) -> String {
        let sums = format!("{x}.sums");
        let known = self.graph.node.iter().rev().take(8).any(|node| node.output.contains(&sums));
        if !known {
            let (shape, blocks) = (format!("blocks.{groups}"), format!("{x}.blocks"));
            if !self.graph.initializer.iter().any(|constant| constant.name.as_ref() == Some(&shape)) {
                self.constant_i64(&shape, &[0, 0, groups as i64, block as i64]);
            }
            self.node("Reshape", "", &[x, &shape], &[&blocks], vec![]);
            self.node("ReduceSum", "", &[&blocks, "axis_3"], &[&sums], vec![int("keepdims", 0)]);
        }
        sums
    }

    fn inputs(&mut self) {
        for (name, length) in [("input_ids", "length"), ("attention_mask", "total_length")] {
            let shape = [Dim::Fixed(1), Dim::Named(length)];
            self.graph.input.push(value_info(name, DataType::Int64, &shape));
        }
    }

    fn outputs(&mut self, vocabulary: u64) {
        let shape = [Dim::Fixed(1), Dim::Fixed(1), Dim::Fixed(vocabulary)];
        self.graph.output.insert(0, value_info("logits", DataType::Float, &shape));
    }

    /// Rotary tables, small constants, and the two lengths that attention wants of the mask.
    fn constants(&mut self, shape: &Hyperparameters) {
        let dims = [shape.context, shape.head / 2];
        let bytes = dims[0] * dims[1] * 4;
        let (cos, sin) = (self.allocate(bytes), self.allocate(bytes));
        self.weight("rope.cos", DataType::Float, &dims, cos);
        self.weight("rope.sin", DataType::Float, &dims, sin);
        let target = Target::Rope { cos, sin, base: shape.rope_base, positions: shape.context, head: shape.head };
        self.jobs.push(Job { tensors: vec![], target });
        self.constant_i64("axis_1", &[1]);
        self.constant_i64("axis_3", &[3]);
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

    /// Gives the tensors, one under the other, a place in the data file, for a product, a look-up or both.
    fn store(&mut self, tensors: &[Tensor], look_up: bool, product: bool) -> Stored {
        let rows: u64 = tensors.iter().map(Tensor::rows).sum();
        let columns = tensors.first().map_or(0, Tensor::columns);
        let layout = tensors.first().and_then(|tensor| tensor.kind.layout());
        let mut stored =
            Stored { rows, columns, layout, codes: 0, scales: 0, offsets_by_row: 0, offsets_by_column: 0 };
        let target = match layout {
            None => {
                stored.codes = self.allocate(rows * columns * 4);
                Target::Floats { at: stored.codes }
            }
            Some(layout) => {
                let groups = rows * columns / layout.block;
                stored.codes = self.allocate(rows * columns * layout.bits / 8);
                stored.scales = self.allocate(groups * 4);
                let mut offsets = |wanted: bool| (wanted && layout.offset).then(|| self.allocate(groups * 4));
                let (by_row, by_column) = (offsets(look_up), offsets(product));
                stored.offsets_by_row = by_row.unwrap_or_default();
                stored.offsets_by_column = by_column.unwrap_or_default();
                Target::Blocks { codes: stored.codes, scales: stored.scales, by_row, by_column, layout }
            }
        };
        self.jobs.push(Job { tensors: tensors.to_vec(), target });
        stored
    }

    /// A float vector of the tensors one after another, as an initializer.
    fn floats(&mut self, name: &str, tensors: &[Tensor]) -> String {
        let length: u64 = tensors.iter().map(|tensor| tensor.rows() * tensor.columns()).sum();
        let at = self.allocate(length * 4);
        self.weight(name, DataType::Float, &[length], at);
        self.jobs.push(Job { tensors: tensors.to_vec(), target: Target::Floats { at } });
        name.to_owned()
    }

    fn norm(&mut self, name: &str, length: u64) -> Result<String, ImportError> {
        let tensor = self.tensor(name, &[length])?;
        if tensor.kind.layout().is_some() {
            return Err(ImportError::Feature(format!("a quantized vector ({name})")));
        }
        Ok(self.floats(name, &[tensor]))
    }

    /// A tensor that must be there; empty `dimensions` are not checked.
    fn tensor(&mut self, name: &str, dimensions: &[u64]) -> Result<Tensor, ImportError> {
        self.optional(name, dimensions)?.ok_or_else(|| ImportError::MissingTensor(name.to_owned()))
    }

    fn optional(&mut self, name: &str, dimensions: &[u64]) -> Result<Option<Tensor>, ImportError> {
        let Some(tensor) = self.gguf.tensors().get(name) else { return Ok(None) };
        if !dimensions.is_empty() {
            self.expect(tensor, dimensions)?;
        }
        self.used.insert(name.to_owned());
        Ok(Some(tensor.clone()))
    }

    fn expect(&self, tensor: &Tensor, dimensions: &[u64]) -> Result<(), ImportError> {
        if tensor.dimensions == dimensions {
            return Ok(());
        }
        let (tensor, found) = (tensor.name.clone(), tensor.dimensions.clone());
        Err(ImportError::Shape { tensor, found, expected: dimensions.to_vec() })
    }

    fn allocate(&mut self, bytes: u64) -> u64 {
        let start = self.end.next_multiple_of(ALIGNMENT);
        self.end = start + bytes;
        start
    }

    fn weight(&mut self, name: &str, kind: DataType, dims: &[u64], offset: u64) {
        let width = if kind == DataType::Uint8 { 1 } else { 4 };
        let bytes = dims.iter().product::<u64>() * width;
        self.graph.initializer.push(external(name, kind, dims, offset, bytes));
    }

    fn constant_i64(&mut self, name: &str, values: &[i64]) {
        let bytes = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        self.graph.initializer.push(constant(name, DataType::Int64, &[values.len() as u64], bytes));
    }

    fn node(&mut self, op: &str, domain: &str, inputs: &[&str], outputs: &[&str], attributes: Vec<AttributeProto>) {
        let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        self.graph.node.push(NodeProto {
            input: owned(inputs),
            output: owned(outputs),
            name: Some(format!("{}/{op}", outputs[0])),
            op_type: Some(op.to_owned()),
            attribute: attributes,
            domain: Some(domain.to_owned()),
        });
    }
}

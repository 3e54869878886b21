//! The pieces that a graph is built of: nodes, constants, and weights with their place in the data file.
//!
//! Operators: ONNX Runtime's `ContribOperators.md`, MatMulNBits and GatherBlockQuantized.
//! Invariant: a weight is allocated, named in the graph and given a job that fills it, all three or none.

use std::collections::BTreeSet;

use super::data::{Job, Target};
use super::error::ImportError;
use super::gguf::{Gguf, Tensor};
use super::onnx::{
    ALIGNMENT, AttributeProto, DataType, GraphProto, MICROSOFT, constant, external, int, node,
};
use super::quant::Layout;

/// Weights that have a place in the data file.
pub(crate) struct Stored {
    pub(crate) rows: u64,
    columns: u64,
    /// `None` for a float table, whose values are at `codes`.
    layout: Option<Layout>,
    codes: u64,
    scales: u64,
    /// Zero, as the next, unless the layout has offsets and they are wanted so.
    offsets_by_row: u64,
    offsets_by_column: u64,
}

/// A graph while it grows.
pub(crate) struct Builder<'a> {
    gguf: &'a Gguf,
    pub(crate) graph: GraphProto,
    /// What fills the data file.
    pub(crate) jobs: Vec<Job>,
    /// Bytes of the data file so far.
    pub(crate) end: u64,
    /// Of all values between operators, and of weights that are not codes.
    pub(crate) float: DataType,
    used: BTreeSet<String>,
    /// Values whose blocks were summed up.
    summed: BTreeSet<String>,
}

impl<'a> Builder<'a> {
    /// An empty graph called `name` over the tensors of `gguf`, computing in `float`.
    pub(crate) fn new(gguf: &'a Gguf, name: &str, float: DataType) -> Self {
        let graph = GraphProto { name: Some(name.to_owned()), ..Default::default() };
        let (used, summed) = Default::default();
        Self { gguf, graph, jobs: Vec::new(), end: 0, float, used, summed }
    }

    /// A tensor of the file that nothing has asked for.
    pub(crate) fn unused(&self) -> Option<&'a str> {
        self.gguf.tensors().keys().map(String::as_str).find(|name| !self.used.contains(*name))
    }

    /// Looks up `input_ids` in the embedding table: `[1, s, hidden]`.
    pub(crate) fn embed(&mut self, table: &Stored) -> String {
        let output = "embedding";
        let Some(layout) = table.layout else {
            let dims = [table.rows, table.columns];
            self.weight("embedding.table", self.float, &dims, table.codes);
            self.node("Gather", "", &["embedding.table", "input_ids"], &[output], vec![int("axis", 0)]);
            return output.to_owned();
        };
        let groups = table.columns / layout.block;
        let packed = [table.rows, table.columns * layout.bits / 8];
        self.weight("embedding.codes", DataType::Uint8, &packed, table.codes);
        self.weight("embedding.scales", self.float, &[table.rows, groups], table.scales);
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
        self.weight("embedding.offsets", self.float, &[table.rows, groups], table.offsets_by_row);
        let gathered = "embedding.gathered_offsets";
        self.node("Gather", "", &["embedding.offsets", "input_ids"], &[gathered], vec![int("axis", 0)]);
        self.constant_i64("embedding.grouped_shape", &[0, 0, groups as i64, layout.block as i64]);
        self.constant_i64("axis_3", &[3]);
        self.constant_i64("embedding.shape", &[0, 0, table.columns as i64]);
        let (blocks, columns, sum) = ("embedding.blocks", "embedding.offset_columns", "embedding.sum");
        self.node("Reshape", "", &[scaled, "embedding.grouped_shape"], &[blocks], vec![]);
        self.node("Unsqueeze", "", &[gathered, "axis_3"], &[columns], vec![]);
        self.node("Add", "", &[blocks, columns], &[sum], vec![]);
        self.node("Reshape", "", &[sum, "embedding.shape"], &[output], vec![]);
        output.to_owned()
    }

    /// `x @ stored^T (+ bias)` into the value `output`; initializers are named after `name`.
    pub(crate) fn multiply(
        &mut self,
        x: &str,
        stored: &Stored,
        bias: Option<&str>,
        name: &str,
        output: &str,
    ) {
        let (rows, columns) = (stored.rows, stored.columns);
        let part = |suffix: &str| format!("{name}.{suffix}");
        let Some(layout) = stored.layout else {
            return self.multiply_floats(x, stored, bias, name, output);
        };
        let groups = columns / layout.block;
        let (codes, scales) = (part("codes"), part("scales"));
        let packed = [rows, groups, layout.block * layout.bits / 8];
        self.weight(&codes, DataType::Uint8, &packed, stored.codes);
        self.weight(&scales, self.float, &[rows, groups], stored.scales);
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
        // weights are scale * (code - zero) + offset: what the operator lacks is offset times the block's sum of x
        let (scaled, offsets, correction) = (part("scaled"), part("offsets"), part("correction"));
        self.node("MatMulNBits", MICROSOFT, &inputs, &[&scaled], attributes);
        let sums = self.block_sums(x, groups, layout.block);
        self.weight(&offsets, self.float, &[groups, rows], stored.offsets_by_column);
        self.node("MatMul", "", &[&sums, &offsets], &[&correction], vec![]);
        self.node("Add", "", &[&scaled, &correction], &[output], vec![]);
    }

    fn multiply_floats(&mut self, x: &str, stored: &Stored, bias: Option<&str>, name: &str, output: &str) {
        let part = |suffix: &str| format!("{name}.{suffix}");
        let (table, flat, product) = (part("table"), part("flat"), part("product"));
        let (flat_shape, shape) = (part("flat_shape"), part("shape"));
        self.weight(&table, self.float, &[stored.rows, stored.columns], stored.codes);
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
        if self.summed.insert(sums.clone()) {
            let (shape, blocks) = (format!("blocks.{groups}"), format!("{x}.blocks"));
            self.constant_i64(&shape, &[0, 0, groups as i64, block as i64]);
            self.constant_i64("axis_3", &[3]);
            self.node("Reshape", "", &[x, &shape], &[&blocks], vec![]);
            self.node("ReduceSum", "", &[&blocks, "axis_3"], &[&sums], vec![int("keepdims", 0)]);
        }
        sums
    }

    /// Gives the tensors, one under the other, a place in the data file, for a product, a look-up or both.
    pub(crate) fn store(&mut self, tensors: &[Tensor], look_up: bool, product: bool) -> Stored {
        let rows: u64 = tensors.iter().map(Tensor::rows).sum();
        let columns = tensors.first().map_or(0, Tensor::columns);
        let layout = tensors.first().and_then(|tensor| tensor.kind.layout());
        let mut stored =
            Stored { rows, columns, layout, codes: 0, scales: 0, offsets_by_row: 0, offsets_by_column: 0 };
        let target = match layout {
            None => {
                stored.codes = self.allocate(rows * columns * self.float.bytes());
                Target::Floats { at: stored.codes }
            }
            Some(layout) => {
                let groups = rows * columns / layout.block;
                stored.codes = self.allocate(rows * columns * layout.bits / 8);
                stored.scales = self.allocate(groups * self.float.bytes());
                let mut offsets = |wanted: bool| {
                    (wanted && layout.offset).then(|| self.allocate(groups * self.float.bytes()))
                };
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
    pub(crate) fn floats(&mut self, name: &str, tensors: &[Tensor]) -> Result<String, ImportError> {
        if let Some(quantized) = tensors.iter().find(|tensor| tensor.kind.layout().is_some()) {
            return Err(ImportError::Feature(format!("the quantized vector `{}`", quantized.name)));
        }
        let length: u64 = tensors.iter().map(|tensor| tensor.rows() * tensor.columns()).sum();
        let at = self.allocate(length * self.float.bytes());
        self.weight(name, self.float, &[length], at);
        self.jobs.push(Job { tensors: tensors.to_vec(), target: Target::Floats { at } });
        Ok(name.to_owned())
    }

    /// A tensor that must be there; empty `dimensions` are not checked.
    pub(crate) fn tensor(&mut self, name: &str, dimensions: &[u64]) -> Result<Tensor, ImportError> {
        self.optional(name, dimensions)?.ok_or_else(|| ImportError::MissingTensor(name.to_owned()))
    }

    /// A tensor that may be there; from then on it counts as used.
    pub(crate) fn optional(&mut self, name: &str, dimensions: &[u64]) -> Result<Option<Tensor>, ImportError> {
        let Some(tensor) = self.gguf.tensors().get(name) else { return Ok(None) };
        if !dimensions.is_empty() {
            self.expect(tensor, dimensions)?;
        }
        self.used.insert(name.to_owned());
        Ok(Some(tensor.clone()))
    }

    /// Checks dimensions, innermost first.
    pub(crate) fn expect(&self, tensor: &Tensor, dimensions: &[u64]) -> Result<(), ImportError> {
        if tensor.dimensions == dimensions {
            return Ok(());
        }
        let (tensor, found) = (tensor.name.clone(), tensor.dimensions.clone());
        Err(ImportError::Shape { tensor, found, expected: dimensions.to_vec() })
    }

    /// Room in the data file.
    pub(crate) fn allocate(&mut self, bytes: u64) -> u64 {
        let start = self.end.next_multiple_of(ALIGNMENT);
        self.end = start + bytes;
        start
    }

    /// An initializer whose bytes are in the data file.
    pub(crate) fn weight(&mut self, name: &str, kind: DataType, dims: &[u64], offset: u64) {
        let bytes = dims.iter().product::<u64>() * kind.bytes();
        self.graph.initializer.push(external(name, kind, dims, offset, bytes));
    }

    /// An initializer inside the model file, once for all that name it.
    pub(crate) fn constant_i64(&mut self, name: &str, values: &[i64]) {
        if !self.graph.initializer.iter().any(|constant| constant.name.as_deref() == Some(name)) {
            let bytes = values.iter().flat_map(|value| value.to_le_bytes()).collect();
            let dims = [values.len() as u64];
            self.graph.initializer.push(constant(name, DataType::Int64, &dims, bytes));
        }
    }

    /// A node, named after its first output.
    pub(crate) fn node(
        &mut self,
        op: &str,
        domain: &str,
        inputs: &[&str],
        outputs: &[&str],
        attributes: Vec<AttributeProto>,
    ) {
        self.graph.node.push(node(op, domain, inputs, outputs, attributes));
    }
}

//! The part of ONNX's protobuf schema that an imported model uses, and short constructors for it.
//!
//! Specification: `onnx.proto` (field numbers, proto2), IR version 8, default opset 17, `com.microsoft` and our own opset 1.
//! Invariant: weights live in [`DATA_FILE`] as external data at offsets aligned to [`ALIGNMENT`], so that the
//! runtime can map them; only constants of a few bytes are inside the model file.

use prost::Message;

use crate::runtime::DOMAIN;

/// The file beside `model.onnx` that holds the weights.
pub(crate) const DATA_FILE: &str = "model.onnx.data";
/// Alignment of each tensor in the data file: a page.
pub(crate) const ALIGNMENT: u64 = 4096;
/// The operator domain of ONNX Runtime's own operators.
pub(crate) const MICROSOFT: &str = "com.microsoft";

/// `TensorProto.DataType`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DataType {
    Float = 1,
    Uint8 = 2,
    Int32 = 6,
    Int64 = 7,
    Float16 = 10,
}

impl DataType {
    /// Bytes of a number.
    pub(crate) fn bytes(self) -> u64 {
        match self {
            DataType::Uint8 => 1,
            DataType::Float16 => 2,
            DataType::Float | DataType::Int32 => 4,
            DataType::Int64 => 8,
        }
    }
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct ModelProto {
    #[prost(int64, optional, tag = "1")]
    pub(crate) ir_version: Option<i64>,
    #[prost(string, optional, tag = "2")]
    pub(crate) producer_name: Option<String>,
    #[prost(string, optional, tag = "3")]
    pub(crate) producer_version: Option<String>,
    #[prost(message, optional, tag = "7")]
    pub(crate) graph: Option<GraphProto>,
    #[prost(message, repeated, tag = "8")]
    pub(crate) opset_import: Vec<OperatorSetIdProto>,
    #[prost(message, repeated, tag = "14")]
    pub(crate) metadata_props: Vec<StringStringEntryProto>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct OperatorSetIdProto {
    #[prost(string, optional, tag = "1")]
    pub(crate) domain: Option<String>,
    #[prost(int64, optional, tag = "2")]
    pub(crate) version: Option<i64>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct StringStringEntryProto {
    #[prost(string, optional, tag = "1")]
    pub(crate) key: Option<String>,
    #[prost(string, optional, tag = "2")]
    pub(crate) value: Option<String>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct GraphProto {
    #[prost(message, repeated, tag = "1")]
    pub(crate) node: Vec<NodeProto>,
    #[prost(string, optional, tag = "2")]
    pub(crate) name: Option<String>,
    #[prost(message, repeated, tag = "5")]
    pub(crate) initializer: Vec<TensorProto>,
    #[prost(message, repeated, tag = "11")]
    pub(crate) input: Vec<ValueInfoProto>,
    #[prost(message, repeated, tag = "12")]
    pub(crate) output: Vec<ValueInfoProto>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct NodeProto {
    #[prost(string, repeated, tag = "1")]
    pub(crate) input: Vec<String>,
    #[prost(string, repeated, tag = "2")]
    pub(crate) output: Vec<String>,
    #[prost(string, optional, tag = "3")]
    pub(crate) name: Option<String>,
    #[prost(string, optional, tag = "4")]
    pub(crate) op_type: Option<String>,
    #[prost(message, repeated, tag = "5")]
    pub(crate) attribute: Vec<AttributeProto>,
    #[prost(string, optional, tag = "7")]
    pub(crate) domain: Option<String>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct AttributeProto {
    #[prost(string, optional, tag = "1")]
    pub(crate) name: Option<String>,
    #[prost(float, optional, tag = "2")]
    pub(crate) f: Option<f32>,
    #[prost(int64, optional, tag = "3")]
    pub(crate) i: Option<i64>,
    #[prost(bytes = "vec", optional, tag = "4")]
    pub(crate) s: Option<Vec<u8>>,
    #[prost(int64, repeated, packed = "false", tag = "8")]
    pub(crate) ints: Vec<i64>,
    #[prost(int32, optional, tag = "20")]
    pub(crate) r#type: Option<i32>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct TensorProto {
    #[prost(int64, repeated, packed = "false", tag = "1")]
    pub(crate) dims: Vec<i64>,
    #[prost(int32, optional, tag = "2")]
    pub(crate) data_type: Option<i32>,
    #[prost(string, optional, tag = "8")]
    pub(crate) name: Option<String>,
    #[prost(bytes = "vec", optional, tag = "9")]
    pub(crate) raw_data: Option<Vec<u8>>,
    #[prost(message, repeated, tag = "13")]
    pub(crate) external_data: Vec<StringStringEntryProto>,
    #[prost(int32, optional, tag = "14")]
    pub(crate) data_location: Option<i32>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct ValueInfoProto {
    #[prost(string, optional, tag = "1")]
    pub(crate) name: Option<String>,
    #[prost(message, optional, tag = "2")]
    pub(crate) r#type: Option<TypeProto>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct TypeProto {
    #[prost(message, optional, tag = "1")]
    pub(crate) tensor_type: Option<TensorTypeProto>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct TensorTypeProto {
    #[prost(int32, optional, tag = "1")]
    pub(crate) elem_type: Option<i32>,
    #[prost(message, optional, tag = "2")]
    pub(crate) shape: Option<TensorShapeProto>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct TensorShapeProto {
    #[prost(message, repeated, tag = "1")]
    pub(crate) dim: Vec<DimensionProto>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct DimensionProto {
    #[prost(int64, optional, tag = "1")]
    pub(crate) dim_value: Option<i64>,
    #[prost(string, optional, tag = "2")]
    pub(crate) dim_param: Option<String>,
}

/// One dimension of an input or output.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Dim {
    Fixed(u64),
    Named(&'static str),
}

/// A key and value of `metadata_props` or `external_data`.
pub(crate) fn entry(key: &str, value: impl Into<String>) -> StringStringEntryProto {
    StringStringEntryProto { key: Some(key.to_owned()), value: Some(value.into()) }
}

/// An integer attribute.
pub(crate) fn int(name: &str, value: u64) -> AttributeProto {
    AttributeProto {
        name: Some(name.to_owned()),
        i: Some(value as i64),
        r#type: Some(2),
        ..Default::default()
    }
}

/// An attribute of text.
pub(crate) fn text(name: &str, value: &str) -> AttributeProto {
    AttributeProto {
        name: Some(name.to_owned()),
        s: Some(value.as_bytes().to_vec()),
        r#type: Some(3),
        ..Default::default()
    }
}

/// An attribute that is a list of integers.
pub(crate) fn ints(name: &str, values: &[u64]) -> AttributeProto {
    AttributeProto {
        name: Some(name.to_owned()),
        ints: values.iter().map(|value| *value as i64).collect(),
        r#type: Some(7),
        ..Default::default()
    }
}

/// The integer attribute `axis`, which may count from the end.
pub(crate) fn axis(value: i64) -> AttributeProto {
    AttributeProto { name: Some("axis".to_owned()), i: Some(value), r#type: Some(2), ..Default::default() }
}

/// A float attribute.
pub(crate) fn float(name: &str, value: f32) -> AttributeProto {
    AttributeProto { name: Some(name.to_owned()), f: Some(value), r#type: Some(1), ..Default::default() }
}

/// A graph input or output.
pub(crate) fn value_info(name: &str, kind: DataType, shape: &[Dim]) -> ValueInfoProto {
    let dim = shape
        .iter()
        .map(|dim| match dim {
            Dim::Fixed(size) => DimensionProto { dim_value: Some(*size as i64), dim_param: None },
            Dim::Named(name) => DimensionProto { dim_value: None, dim_param: Some((*name).to_owned()) },
        })
        .collect();
    let tensor_type = TensorTypeProto { elem_type: Some(kind as i32), shape: Some(TensorShapeProto { dim }) };
    ValueInfoProto { name: Some(name.to_owned()), r#type: Some(TypeProto { tensor_type: Some(tensor_type) }) }
}

/// A node, named after its first output.
pub(crate) fn node(
    op: &str,
    domain: &str,
    inputs: &[&str],
    outputs: &[&str],
    attributes: Vec<AttributeProto>,
) -> NodeProto {
    let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    NodeProto {
        input: owned(inputs),
        output: owned(outputs),
        name: outputs.first().map(|output| format!("{output}/{op}")),
        op_type: Some(op.to_owned()),
        attribute: attributes,
        domain: Some(domain.to_owned()),
    }
}

/// A constant kept inside the model file; `bytes` are little-endian elements.
pub(crate) fn constant(name: &str, kind: DataType, dims: &[u64], bytes: Vec<u8>) -> TensorProto {
    TensorProto { raw_data: Some(bytes), ..tensor(name, kind, dims) }
}

/// A weight of `bytes` bytes at `offset` of the data file.
pub(crate) fn external(name: &str, kind: DataType, dims: &[u64], offset: u64, bytes: u64) -> TensorProto {
    TensorProto {
        external_data: vec![
            entry("location", DATA_FILE),
            entry("offset", offset.to_string()),
            entry("length", bytes.to_string()),
        ],
        data_location: Some(1),
        ..tensor(name, kind, dims)
    }
}

/// The whole model around a graph; `properties` become `metadata_props`.
pub(crate) fn model(graph: GraphProto, properties: &[(&str, &str)]) -> Vec<u8> {
    let opset = |domain: &str, version| OperatorSetIdProto {
        domain: Some(domain.to_owned()),
        version: Some(version),
    };
    let mut opsets = vec![opset("", 17), opset(MICROSOFT, 1)];
    if graph.node.iter().any(|node| node.domain.as_deref() == Some(DOMAIN)) {
        opsets.push(opset(DOMAIN, 1));
    }
    ModelProto {
        ir_version: Some(8),
        producer_name: Some("pawl".to_owned()),
        producer_version: Some(env!("CARGO_PKG_VERSION").to_owned()),
        graph: Some(graph),
        opset_import: opsets,
        metadata_props: properties.iter().map(|(key, value)| entry(key, *value)).collect(),
    }
    .encode_to_vec()
}

fn tensor(name: &str, kind: DataType, dims: &[u64]) -> TensorProto {
    TensorProto {
        name: Some(name.to_owned()),
        data_type: Some(kind as i32),
        dims: dims.iter().map(|dim| *dim as i64).collect(),
        ..Default::default()
    }
}

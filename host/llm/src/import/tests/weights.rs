//! Decoded blocks and finished data files against ggml's definitions, element by element.

use prost::Message as _;

use super::super::onnx::{ModelProto, TensorProto};
use super::super::quant::{Blocks, TensorType, push_floats};
use super::super::{Operators, import_gguf};
use super::Tested;
use super::sample::{HIDDEN, Sample, block, blocks};
use crate::cpu::matmul::Matrix;

const ALL: [u32; 11] = [0, 1, 2, 3, 6, 7, 8, 12, 13, 14, 30];

/// An f16, by powers of two.
fn half(raw: &[u8]) -> f64 {
    let bits = u16::from_le_bytes([raw[0], raw[1]]);
    let (exponent, fraction) = (i32::from(bits >> 10 & 31), f64::from(bits & 1023) / 1024.0);
    let magnitude = match exponent {
        0 => fraction * 2f64.powi(-14),
        _ => (1.0 + fraction) * 2f64.powi(exponent - 15),
    };
    if bits >> 15 == 1 { -magnitude } else { magnitude }
}

/// Element `index` of a block, written after ggml's `dequantize_row_*` but for one element at a time, in f64.
fn element(kind: u32, block: &[u8], index: usize) -> f64 {
    let nibble =
        |bytes: &[u8]| f64::from(if index < 16 { bytes[index] & 15 } else { bytes[index - 16] >> 4 });
    let fifth = |bytes: &[u8]| f64::from((bytes[index / 8] >> (index % 8) & 1) * 16);
    let k_scale = |sub: usize| {
        let packed = &block[4..16];
        if sub < 4 {
            (f64::from(packed[sub] % 64), f64::from(packed[sub + 4] % 64))
        } else {
            (
                f64::from(packed[sub + 4] % 16 + packed[sub - 4] / 64 * 16),
                f64::from(packed[sub + 4] / 16 + packed[sub] / 64 * 16),
            )
        }
    };
    let sub = index / 32;
    let k_nibble = |bytes: &[u8]| {
        let byte = bytes[sub / 2 * 32 + index % 32];
        f64::from(if sub.is_multiple_of(2) { byte & 15 } else { byte >> 4 })
    };
    match kind {
        2 => half(block) * (nibble(&block[2..]) - 8.0),
        3 => half(block) * nibble(&block[4..]) + half(&block[2..]),
        6 => half(block) * (nibble(&block[6..]) + fifth(&block[2..6]) - 16.0),
        7 => half(block) * (nibble(&block[8..]) + fifth(&block[4..8])) + half(&block[2..]),
        8 => half(block) * f64::from(block[2 + index] as i8),
        12 | 13 => {
            let (scale, minimum) = k_scale(sub);
            let q = if kind == 12 {
                k_nibble(&block[16..])
            } else {
                k_nibble(&block[48..]) + f64::from((block[16 + index % 32] >> sub & 1) * 16)
            };
            half(block) * scale * q - half(&block[2..]) * minimum
        }
        14 => {
            let (outer, inner) = (index / 128, index % 128);
            let low = block[outer * 64 + inner % 64];
            let low = if inner < 64 { low & 15 } else { low >> 4 };
            let high = block[128 + outer * 32 + inner % 32] >> (inner / 32 * 2) & 3;
            let scale = f64::from(block[192 + index / 16] as i8);
            half(&block[208..]) * scale * (f64::from(low + high * 16) - 32.0)
        }
        0 => f64::from(f32::from_le_bytes([block[0], block[1], block[2], block[3]])),
        1 => half(block),
        _ => f64::from(f32::from_le_bytes([0, 0, block[0], block[1]])),
    }
}

/// What all elements of `bytes` should be.
fn expected(kind: u32, bytes: &[u8]) -> Vec<f64> {
    let (elements, size) = block(kind);
    bytes
        .chunks_exact(size as usize)
        .flat_map(|block| (0..elements as usize).map(move |index| element(kind, block, index)))
        .collect()
}

/// The weights that ONNX Runtime multiplies with.
fn weights(bits: u64, block: usize, codes: &[u8], scales: &[f32], offsets: &[f32]) -> Vec<f64> {
    let code = |index: usize| match bits {
        4 => f64::from(codes[index / 2] >> (index % 2 * 4) & 15) - 8.0,
        _ => f64::from(codes[index]) - 128.0,
    };
    (0..scales.len() * block)
        .map(|index| {
            let offset = offsets.get(index / block).copied().unwrap_or_default();
            f64::from(scales[index / block]) * code(index) + f64::from(offset)
        })
        .collect()
}

fn assert_close(kind: u32, found: &[f64], expected: &[f64]) {
    assert_eq!(found.len(), expected.len(), "type {kind}");
    let scale = expected.iter().fold(0.0, |most: f64, value| most.max(value.abs()));
    for (index, (found, expected)) in found.iter().zip(expected).enumerate() {
        assert!(
            (found - expected).abs() <= scale * 1e-6,
            "type {kind}, element {index}: {found}, not {expected}"
        );
    }
}

#[test]
fn blocks_of_every_type_decode_as_ggml_defines_them() -> Tested {
    for kind in ALL {
        let bytes = blocks(kind, 64, 7);
        let tensor = TensorType::from_id(kind, "t")?;
        assert_eq!((tensor.block_elements(), tensor.block_bytes()), block(kind));
        let found = match tensor.layout() {
            None => {
                let mut values = Vec::new();
                push_floats(tensor, &bytes, &mut values);
                values.into_iter().map(f64::from).collect()
            }
            Some(layout) => {
                let mut decoded = Blocks::default();
                decoded.push(tensor, &bytes);
                assert_eq!(decoded.offsets.is_empty(), !layout.offset);
                weights(layout.bits, layout.block as usize, &decoded.codes, &decoded.scales, &decoded.offsets)
            }
        };
        assert_close(kind, &found, &expected(kind, &bytes));
    }
    Ok(())
}

#[test]
fn every_half_precision_number_is_exact() {
    for bits in (0..=u16::MAX).filter(|bits| bits >> 10 & 31 != 31) {
        let mut values = Vec::new();
        push_floats(TensorType::F16, &bits.to_le_bytes(), &mut values);
        assert_eq!(f64::from(values[0]), half(&bits.to_le_bytes()), "{bits:#06x}");
    }
}

/// A finished import, opened.
struct Imported {
    model: ModelProto,
    data: Vec<u8>,
}

impl Imported {
    fn of(sample: &Sample) -> Result<Self, Box<dyn std::error::Error>> {
        Imported::with(sample, Operators::Portable)
    }

    fn with(sample: &Sample, operators: Operators) -> Result<Self, Box<dyn std::error::Error>> {
        let home = tempfile::tempdir()?;
        let folder = home.path().join("model");
        import_gguf(&sample.write(home.path())?, &folder, operators, &mut |_| {})?;
        let model = ModelProto::decode(std::fs::read(folder.join("model.onnx"))?.as_slice())?;
        Ok(Self { model, data: std::fs::read(folder.join("model.onnx.data"))? })
    }

    fn initializer(&self, name: &str) -> Option<&TensorProto> {
        let graph = self.model.graph.as_ref()?;
        graph.initializer.iter().find(|tensor| tensor.name.as_deref() == Some(name))
    }

    fn bytes(&self, name: &str) -> &[u8] {
        let Some(tensor) = self.initializer(name) else { return &[] };
        let number = |key: &str| {
            let entry = tensor.external_data.iter().find(|entry| entry.key.as_deref() == Some(key));
            entry.and_then(|entry| entry.value.as_deref()?.parse::<usize>().ok()).unwrap_or_default()
        };
        assert!(number("offset").is_multiple_of(4096), "{name} is not aligned");
        &self.data[number("offset")..number("offset") + number("length")]
    }

    fn floats(&self, name: &str) -> Vec<f32> {
        let number = |raw: &[u8]| f32::from_le_bytes([raw[0], raw[1], raw[2], raw[3]]);
        self.bytes(name).chunks_exact(4).map(number).collect()
    }
}

#[test]
fn an_imported_file_holds_the_weights_of_every_type() -> Tested {
    for kind in ALL {
        let sample = Sample::model(kind);
        let imported = Imported::of(&sample)?;
        let part = |name: &str| {
            let tensor = sample.tensors.iter().find(|tensor| tensor.name == name);
            tensor.map(|tensor| expected(kind, &tensor.bytes)).unwrap_or_default()
        };
        let down = part("blk.0.ffn_down.weight");
        let qkv: Vec<f64> =
            ["q", "k", "v"].iter().flat_map(|name| part(&format!("blk.0.attn_{name}.weight"))).collect();
        let table = part("token_embd.weight");
        for (name, columns, expected) in
            [("blk.0.ffn_down", 512, &down), ("blk.0.attn_qkv", 256, &qkv), ("head", 256, &table)]
        {
            let Some(layout) = TensorType::from_id(kind, "t")?.layout() else {
                let values: Vec<f64> =
                    imported.floats(&format!("{name}.table")).into_iter().map(f64::from).collect();
                assert_close(kind, &values, expected);
                continue;
            };
            let (rows, groups) = (expected.len() / columns, columns / layout.block as usize);
            let by_column = imported.floats(&format!("{name}.offsets"));
            let by_row: Vec<f32> =
                (0..by_column.len()).map(|index| by_column[index % groups * rows + index / groups]).collect();
            let (codes, scales) = (format!("{name}.codes"), format!("{name}.scales"));
            let (codes, scales) = (imported.bytes(&codes), imported.floats(&scales));
            let found = weights(layout.bits, layout.block as usize, codes, &scales, &by_row);
            assert_close(kind, &found, expected);
            if name == "head" {
                assert_eq!(imported.floats("embedding.offsets"), by_row);
            }
        }
    }
    Ok(())
}

#[test]
fn our_own_operators_get_the_weights_of_every_type() -> Tested {
    for kind in ALL {
        let sample = Sample::model(kind);
        let imported = Imported::with(&sample, Operators::Own)?;
        let format = TensorType::from_id(kind, "t")?.format();
        for tensor in sample.tensors.iter().filter(|tensor| tensor.dimensions.len() == 2) {
            let (columns, rows) = (tensor.dimensions[0] as usize, tensor.dimensions[1] as usize);
            let bytes = imported.bytes(&tensor.name);
            let matrix = Matrix::new(format, rows, columns, bytes).ok_or("another size")?;
            let mut found = vec![0.0; columns];
            let all = expected(kind, &tensor.bytes);
            for (row, expected) in all.chunks_exact(columns).enumerate() {
                matrix.unpack(row, &mut found);
                let found: Vec<f64> = found.iter().copied().map(f64::from).collect();
                assert_close(kind, &found, expected);
            }
        }
    }
    Ok(())
}

#[test]
fn our_own_graph_says_what_it_keeps_and_shares_a_tied_head() -> Tested {
    let imported = Imported::with(&Sample::model(8), Operators::Own)?;
    let properties = imported.model.metadata_props.iter();
    let properties: Vec<_> = properties
        .map(|p| (p.key.as_deref().unwrap_or_default(), p.value.as_deref().unwrap_or_default()))
        .collect();
    assert_eq!(properties, [("pawl.kv_cache", "paged"), ("pawl.layers", "1"), ("pawl.kv_width", "128")]);
    let graph = imported.model.graph.as_ref().ok_or("no graph")?;
    let user = |op: &str| graph.node.iter().find(|node| node.op_type.as_deref() == Some(op));
    let (embed, head) = (user("Embed").ok_or("no Embed")?, user("Head").ok_or("no Head")?);
    assert_eq!(embed.input[1], head.input[1]);
    assert_eq!(graph.input.len(), 1);
    Ok(())
}

#[test]
fn a_tied_head_shares_the_bytes_of_the_embedding() -> Tested {
    let imported = Imported::of(&Sample::model(8))?;
    let place = |name| imported.initializer(name).map(|tensor| tensor.external_data.clone());
    assert!(place("head.codes").is_some());
    assert_eq!(place("head.codes"), place("embedding.codes"));
    assert_eq!(place("head.scales"), place("embedding.scales"));
    Ok(())
}

#[test]
fn a_separate_head_has_its_own_quantization() -> Tested {
    let mut sample = Sample::model(8);
    let rows = sample.tensors[0].dimensions[1];
    sample.matrix("output.weight", HIDDEN, rows, 14);
    let imported = Imported::of(&sample)?;
    let dims = |name| imported.initializer(name).map(|tensor| tensor.dims.clone()).unwrap_or_default();
    let rows = rows as i64;
    assert_eq!(dims("head.codes"), [rows, 16, 16]);
    assert_eq!(dims("embedding.codes"), [rows, 256]);
    Ok(())
}

#[test]
fn rotary_tables_begin_with_no_rotation() -> Tested {
    let imported = Imported::of(&Sample::model(8))?;
    let (cos, sin) = (imported.floats("rope.cos"), imported.floats("rope.sin"));
    assert_eq!(cos.len(), 64 * 32);
    assert!(cos[..32].iter().all(|value| *value == 1.0) && sin[..32].iter().all(|value| *value == 0.0));
    assert!((f64::from(sin[32]) - 1f64.sin()).abs() < 1e-7);
    Ok(())
}

#[test]
fn the_graph_says_that_the_cache_is_shared_and_how_it_is_called() -> Tested {
    let model = Imported::of(&Sample::model(8))?.model;
    let property = &model.metadata_props[0];
    assert_eq!((property.key.as_deref(), property.value.as_deref()), (Some("pawl.kv_cache"), Some("shared")));
    let graph = model.graph.ok_or("no graph")?;
    let names = |infos: Vec<super::super::onnx::ValueInfoProto>| {
        infos.into_iter().filter_map(|info| info.name).collect::<Vec<_>>()
    };
    let inputs = ["input_ids", "attention_mask", "past_key_values.0.key", "past_key_values.0.value"];
    assert_eq!(names(graph.input), inputs);
    assert_eq!(names(graph.output), ["logits", "present.0.key", "present.0.value"]);
    Ok(())
}

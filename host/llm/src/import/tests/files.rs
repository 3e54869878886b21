//! Files that are cut short, lie or hold what is not supported: each an error that says where and why.

use std::collections::BTreeSet;
use std::fs::OpenOptions;
use std::io::{Seek, SeekFrom, Write};
use std::path::Path;

use super::super::architecture::Hyperparameters;
use super::super::error::ImportError;
use super::super::gguf::{Gguf, Value};
use super::super::onnx::DataType;
use super::super::tokenizer::Vocabulary;
use super::super::{Operators, graph, import_gguf};
use super::Tested;
use super::sample::{HIDDEN, Meta, Sample};

/// Everything that is read before a byte is written.
fn check(path: &Path) -> Result<(), ImportError> {
    let gguf = Gguf::open(path)?;
    let shape = Hyperparameters::read(&gguf)?;
    let plan = graph::plan(&gguf, &shape, DataType::Float)?;
    let vocabulary = Vocabulary::read(&gguf, plan.vocabulary)?;
    vocabulary.tokenizer()?;
    Ok(())
}

/// The error of a file that must have one.
fn refused(bytes: &[u8]) -> Result<String, Box<dyn std::error::Error>> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("bad.gguf");
    std::fs::write(&path, bytes)?;
    match check(&path) {
        Ok(()) => Err("the file was accepted".into()),
        Err(error) => Ok(error.to_string()),
    }
}

/// `refused` for the default sample after a change.
fn refused_with(change: impl FnOnce(&mut Sample)) -> Result<String, Box<dyn std::error::Error>> {
    let mut sample = Sample::model(8);
    change(&mut sample);
    refused(&sample.bytes())
}

#[test]
fn a_whole_file_is_accepted() -> Tested {
    let folder = tempfile::tempdir()?;
    Ok(check(&Sample::model(8).write(folder.path())?)?)
}

#[test]
fn what_is_not_gguf_is_refused() -> Tested {
    assert!(refused(b"PK\x03\x04 and more")?.contains("not a GGUF file"));
    assert!(refused(b"GG")?.contains("truncated"));
    assert!(refused(b"")?.contains("truncated"));
    Ok(())
}

#[test]
fn other_versions_and_big_endian_files_are_refused() -> Tested {
    let mut bytes = Sample::model(8).bytes();
    for version in [[1, 0, 0, 0], [4, 0, 0, 0], [0, 0, 0, 3]] {
        bytes[4..8].copy_from_slice(&version);
        assert!(refused(&bytes)?.contains("versions 2 and 3"));
    }
    Ok(())
}

#[test]
fn every_truncation_is_an_error() -> Tested {
    let bytes = Sample::model(8).bytes();
    let folder = tempfile::tempdir()?;
    let path = Sample::model(8).write(folder.path())?;
    let file = OpenOptions::new().write(true).open(&path)?;
    let header =
        bytes.len() - Sample::model(8).tensors.iter().map(|tensor| tensor.bytes.len()).sum::<usize>();
    for length in (0..header).rev().chain([bytes.len() - 33]) {
        file.set_len(length as u64)?;
        assert!(check(&path).is_err(), "accepted at {length} bytes");
    }
    Ok(())
}

#[test]
fn no_damaged_byte_of_the_header_causes_a_panic() -> Tested {
    let sample = Sample::model(8);
    let bytes = sample.bytes();
    let folder = tempfile::tempdir()?;
    let path = sample.write(folder.path())?;
    let mut file = OpenOptions::new().write(true).open(&path)?;
    let mut put = |at: usize, byte: u8| {
        file.seek(SeekFrom::Start(at as u64))?;
        file.write_all(&[byte])
    };
    let header = bytes.len() - sample.tensors.iter().map(|tensor| tensor.bytes.len()).sum::<usize>();
    for (at, byte) in bytes.iter().enumerate().take(header) {
        for damage in [0x00, 0x01, 0x7f, 0x80, 0xff] {
            put(at, damage)?;
            // accepted or refused, but decided
            let _ = check(&path);
        }
        put(at, *byte)?;
    }
    Ok(check(&path)?)
}

#[test]
fn counts_beyond_any_real_file_are_refused_before_memory_is_taken() -> Tested {
    let bytes = Sample::model(8).bytes();
    for (at, name) in [(8, "tensor count"), (16, "key count"), (24, "length of a metadata key")] {
        let mut damaged = bytes.clone();
        damaged[at..at + 8].copy_from_slice(&u64::MAX.to_le_bytes());
        let error = refused(&damaged)?;
        assert!(error.contains(name) && error.contains(&format!("offset {at} ")), "{error}");
        assert!(error.contains("beyond the limit"), "{error}");
    }
    Ok(())
}

#[test]
fn an_array_longer_than_the_file_is_refused() -> Tested {
    let mut bytes = b"GGUF\x03\0\0\0\0\0\0\0\0\0\0\0\x01\0\0\0\0\0\0\0\x01\0\0\0\0\0\0\0k".to_vec();
    bytes.extend([9u32, 5].iter().flat_map(|number| number.to_le_bytes()));
    bytes.extend(4_000_000u64.to_le_bytes());
    let error = refused(&bytes)?;
    assert!(error.contains("the array `k`") && error.contains("16000000 bytes"), "{error}");
    Ok(())
}

#[test]
fn tensors_outside_the_file_or_on_each_other_are_refused() -> Tested {
    let far = refused_with(|sample| sample.tensors[2].shift = 1 << 40)?;
    assert!(far.contains("the data of tensor `blk.0.attn_k.weight`"), "{far}");
    let negative = refused_with(|sample| sample.tensors[0].shift = -32)?;
    assert!(negative.contains("`token_embd.weight`"), "{negative}");
    let overlapping = refused_with(|sample| sample.tensors[2].shift = -64)?;
    assert!(overlapping.contains("overlap"), "{overlapping}");
    let crooked = refused_with(|sample| sample.tensors[2].shift = 8)?;
    assert!(crooked.contains("not aligned to 32"), "{crooked}");
    Ok(())
}

#[test]
fn tensors_of_impossible_size_are_refused() -> Tested {
    let huge = refused_with(|sample| sample.tensors[1].dimensions = vec![u64::MAX, 2])?;
    assert!(huge.contains("element count of tensor `blk.0.attn_q.weight`"), "{huge}");
    let empty = refused_with(|sample| sample.tensors[1].dimensions = vec![0, 256])?;
    assert!(empty.contains("element count"), "{empty}");
    let ranks = refused_with(|sample| sample.tensors[1].dimensions = vec![1; 5])?;
    assert!(ranks.contains("5 dimensions"), "{ranks}");
    let ragged = refused_with(|sample| sample.tensors[1].dimensions = vec![255, 256])?;
    assert!(ragged.contains("not a multiple of Q8_0's block of 32"), "{ragged}");
    Ok(())
}

#[test]
fn names_that_occur_twice_are_refused() -> Tested {
    let tensor = refused_with(|sample| sample.tensors[2].name = sample.tensors[1].name.clone())?;
    assert!(tensor.contains("`blk.0.attn_q.weight` occurs twice"), "{tensor}");
    let key = refused_with(|sample| sample.metadata.push(("general.architecture".into(), Meta::U32(1))))?;
    assert!(key.contains("`general.architecture` occurs twice"), "{key}");
    Ok(())
}

#[test]
fn an_unsupported_quantization_names_tensor_and_type() -> Tested {
    let error = refused_with(|sample| sample.tensors[1].kind = 10)?;
    assert!(error.contains("`blk.0.attn_q.weight` has type Q2_K") && error.contains("Q4_K"), "{error}");
    let error = refused_with(|sample| sample.tensors[1].kind = 12_345)?;
    assert!(error.contains("number 12345"), "{error}");
    Ok(())
}

#[test]
fn an_unknown_architecture_names_itself_and_what_is_supported() -> Tested {
    let error = refused_with(|sample| sample.put("general.architecture", Meta::Text("mamba".into())))?;
    assert!(
        error.contains("`mamba`") && error.contains("llama (Mistral too), qwen2, qwen3, gemma"),
        "{error}"
    );
    Ok(())
}

#[test]
fn what_would_change_the_answers_is_refused() -> Tested {
    let scaling = Meta::Text("yarn".into());
    let error = refused_with(|sample| sample.put("llama.rope.scaling.type", scaling))?;
    assert!(error.contains("rope.scaling.type` = yarn"), "{error}");
    let error = refused_with(|sample| sample.put("llama.attn_logit_softcapping", Meta::F32(50.0)))?;
    assert!(error.contains("softcapping"), "{error}");
    for (factor, refused) in [(0.0, true), (1.0, false), (1.5, true)] {
        let change = |sample: &mut Sample| sample.put("llama.rope.scaling.attn_factor", Meta::F32(factor));
        let error = refused_with(change).unwrap_or_default();
        assert_eq!(error.contains("`llama.rope.scaling.attn_factor`"), refused, "{factor}: {error}");
    }
    for causal in [false, true] {
        let change = |sample: &mut Sample| sample.put("llama.attention.causal", Meta::Flag(causal));
        let error = refused_with(change).unwrap_or_default();
        assert_eq!(error.contains("`llama.attention.causal` = false"), !causal, "{error}");
    }
    let error = refused_with(|sample| sample.put("llama.rope.dimension_count", Meta::U32(32)))?;
    assert!(error.contains("dimension_count` = 32 with heads of 64"), "{error}");
    let error = refused_with(|sample| sample.matrix("blk.0.attn_q_norm.weight", 64, 1, 0))?;
    assert!(error.contains("`blk.0.attn_q_norm.weight` has no place in the `llama` graph"), "{error}");
    let error = refused_with(|sample| sample.matrix("blk.0.attn_q.bias", HIDDEN, 1, 0))?;
    assert!(error.contains("attn_q.bias"), "{error}");
    Ok(())
}

#[test]
fn metadata_that_cannot_be_used_is_named() -> Tested {
    let error = refused_with(|sample| sample.remove("llama.block_count"))?;
    assert!(error.contains("`llama.block_count` is missing"), "{error}");
    let error = refused_with(|sample| sample.put("llama.block_count", Meta::U32(0)))?;
    assert!(error.contains("`llama.block_count` is 0") && error.contains("from 1 to 1024"), "{error}");
    let error = refused_with(|sample| sample.put("llama.block_count", Meta::Text("one".into())))?;
    assert!(error.contains("the text \"one\""), "{error}");
    let error =
        refused_with(|sample| sample.put("llama.attention.layer_norm_rms_epsilon", Meta::F32(f32::NAN)))?;
    assert!(error.contains("a number above zero"), "{error}");
    Ok(())
}

#[test]
fn tensors_that_are_missing_or_of_another_shape_are_named() -> Tested {
    let error = refused_with(|sample| sample.tensors.retain(|tensor| tensor.name != "blk.0.ffn_up.weight"))?;
    assert!(error.contains("`blk.0.ffn_up.weight` is missing"), "{error}");
    let error = refused_with(|sample| sample.put("llama.feed_forward_length", Meta::U32(1024)))?;
    assert!(error.contains("[256, 512]: expected [256, 1024]"), "{error}");
    Ok(())
}

#[test]
fn a_weight_that_is_not_finite_stops_the_import() -> Tested {
    let folder = tempfile::tempdir()?;
    let mut sample = Sample::model(8);
    sample.tensors[4].bytes[0..2].copy_from_slice(&[0x00, 0x7c]);
    let target = folder.path().join("model");
    let error = import_gguf(&sample.write(folder.path())?, &target, Operators::Own, &mut |_| {});
    let error = error.err().ok_or("accepted")?.to_string();
    assert!(error.contains("`blk.0.attn_output.weight`") && error.contains("not finite"), "{error}");
    Ok(())
}

#[test]
fn a_window_that_all_layers_have_bounds_the_context() -> Tested {
    let folder = tempfile::tempdir()?;
    let mut sample = Sample::model(8);
    for (window, context) in [(16, 16), (0, 64)] {
        sample.put("llama.attention.sliding_window", Meta::U32(window));
        let gguf = Gguf::open(&sample.write(folder.path())?)?;
        assert_eq!(Hyperparameters::read(&gguf)?.context, context, "0 is none");
    }
    let mut sample = Sample::of("gemma3", 1);
    sample.put("gemma3.attention.sliding_window", Meta::U32(0));
    let gguf = Gguf::open(&sample.write(folder.path())?)?;
    assert_eq!(Hyperparameters::read(&gguf)?.window, None);
    Ok(())
}

#[test]
fn heads_that_no_attention_here_takes_are_refused() -> Tested {
    let folder = tempfile::tempdir()?;
    let mut sample = Sample::model(8);
    sample.put("llama.attention.key_length", Meta::U32(40));
    let gguf = sample.write(folder.path())?;
    for operators in [Operators::Own, Operators::Portable, Operators::Device] {
        let error = import_gguf(&gguf, &folder.path().join("model"), operators, &mut |_| {});
        let error = error.err().ok_or("accepted")?;
        assert!(matches!(error, ImportError::Feature(_)), "{error}");
        assert!(error.to_string().contains("heads of 40, which is no multiple of 16"), "{error}");
    }
    Ok(())
}

#[test]
fn only_arrays_that_are_read_are_kept() -> Tested {
    let folder = tempfile::tempdir()?;
    let mut sample = Sample::model(8);
    sample.put("a.list", Meta::I32s(vec![1; 5]));
    sample.put("a.list.of.texts", Meta::Texts(vec![String::new(); 3]));
    sample.put("a.list.of.numbers", Meta::F32s(vec![0.5; 2]));
    let gguf = Gguf::open(&sample.write(folder.path())?)?;
    for (key, length) in [("a.list", 5), ("a.list.of.texts", 3), ("a.list.of.numbers", 2)] {
        assert_eq!(gguf.value(key), Some(&Value::Other(length)), "{key}");
    }
    assert_eq!(gguf.integers("tokenizer.ggml.token_type")?.len(), gguf.texts("tokenizer.ggml.tokens")?.len());
    let error = refused_with(|sample| sample.put("llama.block_count", Meta::I32s(vec![1, 2])))?;
    assert!(error.contains("`llama.block_count` is an array of 2 values"), "{error}");
    Ok(())
}

#[test]
fn no_two_operators_of_a_graph_give_the_same_value() -> Tested {
    let folder = tempfile::tempdir()?;
    for architecture in ["llama", "qwen3", "gemma", "gemma3"] {
        // Q4_1, whose offsets take operators of their own
        for kind in [0, 3] {
            let gguf = Gguf::open(&Sample::quantized(architecture, 2, kind).write(folder.path())?)?;
            let plan = graph::plan(&gguf, &Hyperparameters::read(&gguf)?, DataType::Float)?;
            let given = plan.graph.node.iter().flat_map(|node| &node.output).filter(|name| !name.is_empty());
            let mut names = BTreeSet::new();
            for name in given {
                assert!(names.insert(name), "{architecture} of type {kind}: {name}");
            }
        }
    }
    Ok(())
}

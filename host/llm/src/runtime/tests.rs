//! Tests of loading the library, without one; and of the way of a device's memory, with the processor's in its place.

#[path = "../../tests/support/library.rs"]
mod library;

use ort::memory::{AllocationDevice, AllocatorType, MemoryInfo, MemoryType};

use super::*;
use crate::backend::{Backend, Part};

type Tested = Result<(), Box<dyn std::error::Error>>;

/// Evaluates the tokens beyond what the sequence has, and gives the logits after the last.
fn logits(
    graph: &mut Graph,
    sequence: &mut <Graph as Backend>::Sequence,
    tokens: &[u32],
) -> Result<Vec<f32>, Error> {
    graph.evaluate(vec![Part { sequence, tokens, wanted: vec![(tokens.len(), None)] }])?;
    Ok(graph.logits(0).to_vec())
}

#[test]
fn a_missing_library_says_how_to_get_it_and_one_that_is_there_is_loaded() -> Tested {
    // In this order: a process has one library.
    let error = Runtime::load(Path::new("/nowhere/libonnxruntime.so")).expect_err("no such file");
    assert!(error.to_string().contains("cargo xtask start"), "{error}");
    device_memory(&Runtime::load(&library::library())?)
}

/// A cache in a device's memory gives the same as one in the processor's, and is cut or left but never copied.
fn device_memory(runtime: &Runtime) -> Tested {
    let folder = tempfile::tempdir()?;
    let path = crate::import::tests::device_model(folder.path())?;
    let beside = Beside { layers: 2, kv_heads: 2, head_size: 32 };
    // Room for one whole context and a half: a position takes 512 bytes.
    let limits = Limits { providers: &[], threads: 1, context: 256, kv_bytes: 512 * 384 };
    let graph = |shared: bool, device: bool| -> Result<Graph, Box<dyn std::error::Error>> {
        let session = open(runtime, &path, (&[], 1), None)??;
        let memory = MemoryInfo::new(AllocationDevice::CPU, 0, AllocatorType::Device, MemoryType::Default)?;
        Ok(Graph::new(session, shared, device.then_some(memory), beside, limits)?)
    };
    let prompt: Vec<u32> = (0..200).map(|index| (index * 29 + 7) % 90).collect();
    let other: Vec<u32> = prompt[..70].iter().copied().chain((0..50).map(|index| index % 80)).collect();
    for shared in [true, false] {
        let (mut host, mut device) = (graph(shared, false)?, graph(shared, true)?);
        let (mut a, mut b) = (host.open(&prompt, true)?, device.open(&prompt, true)?);
        for end in [150, 199, 200] {
            let expected = logits(&mut host, &mut a, &prompt[..end])?;
            assert_eq!(logits(&mut device, &mut b, &prompt[..end])?, expected, "shared: {shared}, {end}");
        }
        host.close(a, &prompt);
        device.close(b, &prompt);

        let (mut a, mut b) = (host.open(&other, true)?, device.open(&other, true)?);
        // One that grows there is not kept; one of the whole context is taken and cut.
        assert_eq!((host.length(&a), device.length(&b)), (70, if shared { 70 } else { 0 }));
        let expected = logits(&mut host, &mut a, &other)?;
        let found = logits(&mut device, &mut b, &other)?;
        assert!(expected.iter().zip(&found).all(|(a, b)| (a - b).abs() < 0.02), "shared: {shared}");
        let again = device.open(&prompt, true)?;
        assert_eq!(device.length(&again), 0, "it is given away");
        host.close(a, &other);
        device.close(b, &other);

        // Of two, the one used last is kept: each takes a whole context of the device's memory.
        let mut b = device.open(&prompt[100..], true)?;
        logits(&mut device, &mut b, &prompt[100..])?;
        device.close(b, &prompt[100..]);
        let (b, c) = (device.open(&other, true)?, device.open(&prompt[100..], true)?);
        assert_eq!((device.length(&b), device.length(&c)), (0, if shared { 98 } else { 0 }));
    }
    Ok(())
}

#[test]
fn version_comes_from_build_info_or_file_name() {
    let info = "ORT Build Info: git-branch=rel-1.32.0, git-commit-id=0";
    assert_eq!(library_version(info, Path::new("x.so")), "1.32.0");
    assert_eq!(library_version("", Path::new("/a/libonnxruntime.so.1.24.1")), "1.24.1");
    assert_eq!(library_version("", Path::new("libonnxruntime.so")), "unknown");
}

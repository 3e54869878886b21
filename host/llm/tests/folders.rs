//! Model folders: what is read, what is refused, and exports that keep their cache the other way.

#![expect(clippy::unwrap_used, reason = "tests")]

mod support;

use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    sync::OnceLock,
};

use pawl_llm::{Error, Grammar, Llm, ModelOptions, Operators, Provider};
use support::{answer, folder, gguf, load, options, runtime, shared};
use tempfile::TempDir;

/// The smallest model's folder by links, for a test to change a file of.
fn copy() -> TempDir {
    copy_of(&folder())
}

fn replace(folder: &Path, name: &str, bytes: impl AsRef<[u8]>) {
    let path = folder.join(name);
    let _ = fs::remove_file(&path);
    fs::write(path, bytes).unwrap();
}

fn refusal(folder: &Path) -> String {
    Llm::load(&runtime(), folder, &options(256)).expect_err("it is refused").to_string()
}

/// The smallest model as a graph of the runtime's own operators, which keeps its cache in place.
fn portable() -> &'static Path {
    static PORTABLE: OnceLock<TempDir> = OnceLock::new();
    let make = || {
        let home = tempfile::tempdir().unwrap();
        pawl_llm::import_gguf(&gguf(), &home.path().join("model"), Operators::Portable, &mut |_| {}).unwrap();
        home
    };
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| PORTABLE.get_or_init(make).path().join("model"))
}

/// A folder by links, for a test to change a file of.
fn copy_of(folder: &Path) -> TempDir {
    let copy = tempfile::tempdir().unwrap();
    for entry in fs::read_dir(folder).unwrap().flatten() {
        symlink(entry.path(), copy.path().join(entry.file_name())).unwrap();
    }
    copy
}

/// An export that says nothing of its cache gets the growing one.
fn growing() -> TempDir {
    growing_of(portable())
}

fn growing_of(folder: &Path) -> TempDir {
    let copy = copy_of(folder);
    let mut graph = fs::read(folder.join("model.onnx")).unwrap();
    let key = b"pawl.kv_cache";
    let at = graph.windows(key.len()).position(|w| w == key).expect("the import says how the cache is kept");
    graph[at + key.len() - 1] = b'X';
    replace(copy.path(), "model.onnx", graph);
    // The graph names its data by a relative path, which must not lead out of the folder.
    let data = copy.path().join("model.onnx.data");
    fs::remove_file(&data).unwrap();
    fs::hard_link(folder.join("model.onnx.data"), &data)
        .or_else(|_| fs::copy(folder.join("model.onnx.data"), &data).map(drop))
        .unwrap();
    copy
}

#[test]
fn growing_cache_gives_the_same_answers() {
    let growing = growing();
    let growing = load(growing.path(), 1024);
    let in_place = load(portable(), 1024);
    assert!(!growing.info().batched && !in_place.info().batched && shared().info().batched);
    let words = "Lamps, chairs and tables are sold in five regions. ".repeat(15);
    for question in ["How many regions?", "How many goods?"] {
        let text = format!("{words}{question}");
        let (a, b) =
            (answer(&growing, &text, Grammar::Free, 30), answer(&in_place, &text, Grammar::Free, 30));
        assert_eq!(a.text, b.text);
    }
    let usage = answer(&growing, &format!("{words}What?"), Grammar::Free, 5).finish.usage;
    assert!(usage.cached_tokens > 100, "a part of the cache is kept: {usage:?}");
    // Put aside for another prompt, and fetched again.
    let other = "Doctors see their patients in three wards of the clinic. ".repeat(15);
    answer(&growing, &other, Grammar::Free, 5);
    let text = format!("{words}How many regions?");
    let (a, b) = (answer(&growing, &text, Grammar::Free, 30), answer(&in_place, &text, Grammar::Free, 30));
    assert_eq!(a.text, b.text);
    assert!(a.finish.usage.cached_tokens > 100, "{:?}", a.finish.usage);
}

/// A length-delimited protobuf field.
fn field(tag: u8, bytes: &[u8]) -> Vec<u8> {
    assert!(bytes.len() < 128, "one byte of length");
    [&[(tag << 3) | 2, bytes.len() as u8], bytes].concat()
}

/// ONNX's numbers of element types.
const INT64: u8 = 7;
const BOOL: u8 = 9;

/// The smallest model with one more graph input, of the type and the shape that is given by name. Protobuf merges what is
/// appended.
fn with_input(name: &str, element: u8, dimensions: &[&str]) -> TempDir {
    let growing = growing();
    let shape: Vec<u8> = dimensions.iter().flat_map(|d| field(1, &field(2, d.as_bytes()))).collect();
    let tensor = [&[8, element][..], &field(2, &shape)].concat();
    let input = [field(1, name.as_bytes()), field(2, &field(1, &tensor))].concat();
    let mut graph = fs::read(growing.path().join("model.onnx")).unwrap();
    graph.extend(field(7, &field(11, &input)));
    replace(growing.path(), "model.onnx", graph);
    growing
}

#[test]
fn usual_inputs_of_exports_are_fed() {
    for (name, element, dimensions) in [
        ("position_ids", INT64, &["batch", "length"][..]),
        ("num_logits_to_keep", INT64, &["one"]),
        ("num_logits_to_keep", INT64, &[]),
        ("use_cache_branch", BOOL, &["one"]),
    ] {
        let folder = with_input(name, element, dimensions);
        let llm = load(folder.path(), 256);
        let text = answer(&llm, "What is the capital of France?", Grammar::Free, 8).text;
        let usual = load(portable(), 256);
        assert_eq!(text, answer(&usual, "What is the capital of France?", Grammar::Free, 8).text);
    }
}

#[test]
fn unknown_inputs_are_named() {
    let folder = with_input("token_type_ids", INT64, &["batch", "length"]);
    assert!(refusal(folder.path()).contains("token_type_ids"));
    let folder = with_input("position_ids", BOOL, &["batch", "length"]);
    let message = refusal(folder.path());
    assert!(message.contains("`position_ids` is Some(Bool)") && message.contains("Int64"), "{message}");
}

#[test]
fn float16_graphs_answer_alike_whichever_way_they_keep_their_cache() {
    let home = tempfile::tempdir().unwrap();
    let in_place = home.path().join("device");
    pawl_llm::import_gguf(&gguf(), &in_place, Operators::Device, &mut |_| {}).unwrap();
    let growing = growing_of(&in_place);
    let text =
        format!("{}How many regions?", "Lamps, chairs and tables are sold in five regions. ".repeat(15));
    let grammar = || Grammar::JsonSchema(serde_json::json!({"type": "integer", "minimum": 0, "maximum": 99}));
    let answers = [&in_place, growing.path(), portable()].map(|folder| {
        let llm = load(folder, 1024);
        let first = answer(&llm, &text, grammar(), 30).text;
        let other = answer(&llm, &format!("{text} And how many goods?"), grammar(), 30);
        assert!(other.finish.usage.cached_tokens > 100, "the beginning is kept: {:?}", other.finish.usage);
        (first, other.text)
    });
    assert_eq!(answers[0], answers[1]);
    assert_eq!(answers[0], answers[2], "float32 answers the same here");
}

#[test]
fn execution_providers_that_are_not_there_are_named_with_the_mend() {
    let with = |folder: &Path, providers: &[Provider]| {
        let options = ModelOptions { providers: providers.to_vec(), ..options(256) };
        Llm::load(&runtime(), folder, &options)
    };
    let message = with(portable(), &[Provider::Cuda]).expect_err("no such build").to_string();
    for part in ["`cuda`", "has only cpu", "cargo xtask start --gpu cuda", "cuDNN 9"] {
        assert!(message.contains(part), "{part}: {message}");
    }
    let message = with(portable(), &[Provider::Cpu, Provider::OpenVino]).expect_err("in vain").to_string();
    assert!(message.contains("`openvino` after it"), "{message}");
    let llm = with(portable(), &[Provider::Cpu]).unwrap();
    let shares: Vec<_> = llm.info().providers.iter().collect();
    assert!(matches!(shares.as_slice(), [(Provider::Cpu, operators)] if **operators > 100), "{shares:?}");
    assert_eq!("cuda".parse(), Ok(Provider::Cuda));
    let unknown = "gpu".parse::<Provider>().expect_err("no such provider");
    assert!(unknown.contains("`gpu`") && unknown.contains("cuda, tensorrt"), "{unknown}");
}

#[test]
fn info_tells_what_was_loaded() {
    let info = shared().info();
    assert_eq!((info.name.as_str(), info.architecture.as_str()), (support::MODEL, "llama"));
    assert_eq!((info.context, info.vocabulary, info.layers), (2048, 49152, 30));
    assert!(info.eos.contains(&2));
}

#[test]
fn missing_files_are_named() {
    let empty = tempfile::tempdir().unwrap();
    assert!(refusal(empty.path()).contains("config.json"));
    for name in ["model.onnx", "tokenizer.json", "tokenizer_config.json"] {
        let copy = copy();
        fs::remove_file(copy.path().join(name)).unwrap();
        assert!(refusal(copy.path()).contains(name), "{name}");
    }
}

#[test]
fn broken_files_are_named() {
    for (name, bytes) in [
        ("config.json", "{"),
        ("model.onnx", "not a graph"),
        ("tokenizer.json", "{\"version\": \"1.0\"}"),
        ("tokenizer_config.json", "[1, 2]"),
        ("generation_config.json", "{\"eos_token_id\": \"two\"}"),
        ("generation_config.json", "{\"eos_token_id\": 4000000}"),
    ] {
        let copy = copy();
        replace(copy.path(), name, bytes);
        let message = refusal(copy.path());
        let named = if bytes.contains("4000000") { "tokenizer.json" } else { name };
        assert!(message.contains(named), "{name}: {message}");
    }
}

#[test]
fn chat_template_is_found_in_all_its_places() {
    let template = "{{ bos_token }}{% for m in messages %}{{ m.content }}{% endfor %}";
    let named = serde_json::json!({"bos_token": {"content": "<|im_start|>"},
        "chat_template": [{"name": "other", "template": "x"}, {"name": "default", "template": template}]});
    let in_list = copy();
    replace(in_list.path(), "tokenizer_config.json", named.to_string());
    let beside = copy();
    replace(beside.path(), "tokenizer_config.json", "{\"bos_token\": \"<|im_start|>\"}");
    replace(beside.path(), "chat_template.jinja", template);
    for folder in [in_list, beside] {
        let llm = load(folder.path(), 256);
        let prompt = llm.render(&[pawl_llm::Message::new("user", "one")]).unwrap();
        assert_eq!(prompt.tokens(), 2, "the first token and one word");
    }
}

#[test]
fn graph_below_onnx_is_found() {
    let copy = copy();
    let onnx = copy.path().join("onnx");
    fs::create_dir(&onnx).unwrap();
    for name in ["model.onnx", "model.onnx.data"] {
        fs::remove_file(copy.path().join(name)).unwrap();
        fs::hard_link(folder().join(name), onnx.join(name))
            .or_else(|_| fs::copy(folder().join(name), onnx.join(name)).map(drop))
            .unwrap();
    }
    assert_eq!(answer(&load(copy.path(), 256), "x", Grammar::Choice(vec!["ok".into()]), 5).text, "ok");
}

#[test]
fn context_is_capped_by_the_model_and_must_hold_something() {
    let copy = copy();
    let config = fs::read_to_string(folder().join("config.json")).unwrap();
    let mut config: serde_json::Value = serde_json::from_str(&config).unwrap();
    config["max_position_embeddings"] = 100.into();
    replace(copy.path(), "config.json", config.to_string());
    assert_eq!(load(copy.path(), 4096).info().context, 100);
    let error = Llm::load(&runtime(), &folder(), &options(1)).expect_err("too small");
    assert!(matches!(error, Error::Request(_)));
}

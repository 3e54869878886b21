//! Sentence embeddings: that the imported graph computes what the model's own library does, whatever is evaluated beside a
//! text, and that a folder which is not what it must be is refused by the name of what is wrong.

#![expect(clippy::unwrap_used, reason = "tests")]

mod support;

use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    sync::OnceLock,
};

use pawl_llm::{Embedder, Error, ImportError, import_encoder};
use serde_json::{Value, json};
use support::{embeddings, encoder_source, runtime};
use tempfile::TempDir;

fn model() -> &'static Embedder {
    static MODEL: OnceLock<Embedder> = OnceLock::new();
    MODEL.get_or_init(|| Embedder::load(&runtime(), &embeddings(), 2).unwrap())
}

fn embed(texts: &[&str]) -> Vec<Vec<f32>> {
    let texts = texts.iter().map(|text| (*text).to_owned()).collect();
    model().embed_blocking(texts).unwrap().vectors
}

fn dot(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn apart(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

#[test]
fn vectors_are_those_of_the_model_s_own_arithmetic() {
    // By a script that computes BertModel, mean pooling and normalization in 64-bit numpy from model.safetensors.
    let known: [(&str, [f32; 4], usize); 3] = [
        ("A man is eating food.", [0.033_241_57, 0.004_406_06, -0.006_276_94, 0.048_378_71], 8),
        (
            "The quarterly revenue of the northern region fell by four percent.",
            [0.128_155_71, 0.098_802_65, 0.075_388_6, -0.034_946_76],
            14,
        ),
        ("Größe, naïveté, 東京 and 한국 🙂", [0.056_981_55, 0.062_759, 0.047_002_78, -0.027_643_28], 19),
    ];
    let texts = known.iter().map(|(text, ..)| (*text).to_owned()).collect();
    let embeddings = model().embed_blocking(texts).unwrap();
    for (((text, expected, tokens), vector), counted) in
        known.iter().zip(&embeddings.vectors).zip(&embeddings.tokens)
    {
        assert_eq!((vector.len(), counted), (384, tokens), "{text}");
        assert!(apart(&vector[..4], expected) < 1e-5, "{text}: {:?}", &vector[..4]);
        assert!((dot(vector, vector) - 1.0).abs() < 1e-5, "its length is 1");
    }
}

#[test]
fn what_means_the_same_is_near() {
    let vectors = embed(&[
        "How do I reset my password?",
        "I forgot my login credentials and want to set new ones.",
        "The ferry to the island leaves at nine.",
        "When does the boat depart?",
    ]);
    let near = |a: usize, b: usize| dot(&vectors[a], &vectors[b]);
    for other in [2, 3] {
        assert!(near(0, 1) > near(0, other) + 0.2, "{} and {}", near(0, 1), near(0, other));
    }
    assert!(near(2, 3) > near(1, 2) + 0.2 && near(2, 3) > near(0, 3) + 0.2);
}

#[test]
fn a_text_has_its_vector_in_any_company() {
    let long = "The auditors counted the lamps in the warehouse twice. ".repeat(20);
    let middle = "Nobody had told the gardener of it, and so the roses were cut. ".repeat(4);
    let texts = [
        "a",
        "A short one.",
        "Two words",
        middle.as_str(),
        long.as_str(),
        "a",
        "Another of them, of ten tokens.",
    ];
    let together = embed(&texts);
    for (text, vector) in texts.iter().zip(&together) {
        let alone = &embed(&[text])[0];
        assert!(apart(alone, vector) < 1e-5, "{text}");
    }
    assert_eq!(embed(&texts), together, "the same request gives the same bits");
}

#[test]
fn what_is_too_long_is_refused_by_its_place_and_never_cut() {
    let fits = ["word"; 254].join(" ");
    assert_eq!(model().embed_blocking(vec![fits.clone()]).unwrap().tokens, [256]);
    let error = model().embed_blocking(vec!["short".into(), fits + " word"]).unwrap_err();
    assert!(matches!(error, Error::TextTooLong { index: 1, tokens: 257, limit: 256 }), "{error}");
    for texts in
        [vec![], vec!["x".to_owned(); Embedder::MAX_TEXTS + 1], vec!["x".repeat(Embedder::MAX_BYTES + 1)]]
    {
        let error = model().embed_blocking(texts).unwrap_err();
        assert!(matches!(error, Error::Request(_)), "{error}");
    }
}

#[test]
fn special_tokens_in_a_text_are_letters() {
    let texts = ["[SEP] [CLS]", "sep cls", ""].map(str::to_owned).to_vec();
    assert_eq!(model().embed_blocking(texts).unwrap().tokens, [9, 5, 2]);
}

#[test]
fn a_full_queue_refuses_and_who_hangs_up_costs_nothing() {
    let executor = tokio::runtime::Builder::new_current_thread().build().unwrap();
    executor.block_on(async {
        let embedder = Embedder::load(&runtime(), &embeddings(), 1).unwrap();
        let text = "The auditors counted the lamps in the warehouse twice. ".repeat(20);
        let mut waiting = Vec::new();
        let busy = loop {
            let mut request = Box::pin(embedder.embed(vec![text.clone(); 64]));
            // Polled once, it is queued; what is refused is so at once.
            match futures_poll(&mut request) {
                None => waiting.push(request),
                Some(result) => break result.unwrap_err(),
            }
        };
        assert!(matches!(busy, Error::Busy { waiting: 64 }), "{busy}");
        assert!((64..=73).contains(&waiting.len()), "{}", waiting.len());
        // Those that run go on; those that waited are gone.
        waiting.truncate(8);
        let taken = loop {
            let mut request = Box::pin(embedder.embed(vec!["x".into()]));
            match futures_poll(&mut request) {
                None => break request,
                Some(refused) => assert!(matches!(refused, Err(Error::Busy { .. })), "{refused:?}"),
            }
            std::thread::sleep(std::time::Duration::from_millis(10));
        };
        assert!(
            waiting.iter_mut().all(|request| futures_poll(request).is_none()),
            "taken before any was done"
        );
        drop((waiting, taken));
        let begun = std::time::Instant::now();
        while let Err(error) = embedder.embed(vec!["x".into()]).await {
            assert!(matches!(error, Error::Busy { .. }), "{error}");
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        assert!(begun.elapsed().as_secs() < 20, "requests that nobody waits for are not evaluated");
    });
}

/// Polls a future once.
fn futures_poll<F: Future + Unpin>(future: &mut F) -> Option<F::Output> {
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    match std::pin::Pin::new(future).poll(&mut context) {
        std::task::Poll::Ready(output) => Some(output),
        std::task::Poll::Pending => None,
    }
}

/// The model's source by links, for a test to change a file of.
fn source() -> TempDir {
    let copy = tempfile::tempdir().unwrap();
    link(&encoder_source(), copy.path());
    copy
}

fn link(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().flatten() {
        let to = to.join(entry.file_name());
        if entry.path().is_dir() { link(&entry.path(), &to) } else { symlink(entry.path(), to).unwrap() }
    }
}

fn replace(folder: &Path, name: &str, bytes: impl AsRef<[u8]>) {
    let path = folder.join(name);
    fs::remove_file(&path).unwrap();
    fs::write(path, bytes).unwrap();
}

/// Changes a JSON file.
fn change(folder: &Path, name: &str, key: &str, value: Value) {
    let mut json: Value = serde_json::from_slice(&fs::read(folder.join(name)).unwrap()).unwrap();
    json[key] = value;
    replace(folder, name, json.to_string());
}

fn import(source: &Path) -> Result<(TempDir, PathBuf), Error> {
    let home = tempfile::tempdir().unwrap();
    let folder = home.path().join("model");
    let mut last = (0, 1);
    let result = import_encoder(source, &folder, &mut |progress| {
        assert!(progress.done_bytes >= last.0);
        last = (progress.done_bytes, progress.total_bytes);
    });
    assert_eq!(folder.exists(), result.is_ok(), "whole or not at all");
    assert_eq!(last.0 == last.1, result.is_ok(), "its progress ends with it");
    result.map(|_| (home, folder))
}

fn refusal(source: &Path) -> String {
    import(source).expect_err("it is refused").to_string()
}

#[test]
fn files_that_are_missing_or_say_something_else_are_named() {
    for (name, key, value, word) in [
        ("config.json", "model_type", json!("roberta"), "roberta"),
        ("config.json", "hidden_act", json!("relu"), "hidden_act"),
        ("config.json", "position_embedding_type", json!("relative_key"), "relative_key"),
        ("config.json", "num_attention_heads", json!(7), "7 heads"),
        ("config.json", "hidden_size", json!(99_999_999), "hidden_size"),
        ("config.json", "is_decoder", json!(true), "is_decoder"),
        ("config.json", "intermediate_size", json!(1535), "[1536, 384]"),
        ("config.json", "num_hidden_layers", json!(7), "encoder.layer.6.attention.self.query.weight"),
        ("config.json", "num_hidden_layers", json!(5), "encoder.layer.5."),
        ("1_Pooling/config.json", "pooling_mode_max_tokens", json!(true), "max_tokens"),
        ("sentence_bert_config.json", "do_lower_case", json!(true), "do_lower_case"),
        ("sentence_bert_config.json", "max_seq_length", json!(2), "fewer than three"),
    ] {
        let source = source();
        change(source.path(), name, key, value);
        let message = refusal(source.path());
        assert!(message.contains(word), "{key}: {message}");
    }
    for name in
        ["config.json", "modules.json", "tokenizer.json", "model.safetensors", "1_Pooling/config.json"]
    {
        let source = source();
        fs::remove_file(source.path().join(name)).unwrap();
        assert!(refusal(source.path()).contains(name), "{name}");
    }
    let dense = source();
    let modules = json!([{"type": "sentence_transformers.models.Transformer", "path": ""},
        {"type": "sentence_transformers.models.Pooling", "path": "1_Pooling"},
        {"type": "sentence_transformers.models.Dense", "path": "2_Dense"}]);
    replace(dense.path(), "modules.json", modules.to_string());
    assert!(refusal(dense.path()).contains("Dense"));
    let outside = source();
    let text = fs::read_to_string(outside.path().join("modules.json")).unwrap();
    replace(outside.path(), "modules.json", text.replace("1_Pooling", "../1_Pooling"));
    assert!(refusal(outside.path()).contains("../1_Pooling"));
}

/// A safetensors file by hand.
fn tensors(list: &[(&str, &str, &[usize], &[u8])]) -> Vec<u8> {
    let (mut header, mut data) = (serde_json::Map::new(), Vec::new());
    for (name, kind, shape, bytes) in list {
        let at = data.len();
        data.extend_from_slice(bytes);
        header
            .insert((*name).into(), json!({"dtype": kind, "shape": shape, "data_offsets": [at, data.len()]}));
    }
    let header = Value::Object(header).to_string();
    [&(header.len() as u64).to_le_bytes(), header.as_bytes(), &data].concat()
}

/// Where the data of a safetensors file begin, and its header.
fn header(file: &[u8]) -> (usize, Value) {
    let start = 8 + usize::try_from(u64::from_le_bytes(file[..8].try_into().unwrap())).unwrap();
    (start, serde_json::from_slice(&file[8..start]).unwrap())
}

fn offsets(tensor: &Value) -> [usize; 2] {
    serde_json::from_value(tensor["data_offsets"].clone()).unwrap()
}

#[test]
fn damaged_weights_are_refused() {
    let source = source();
    let whole = fs::read(encoder_source().join("model.safetensors")).unwrap();
    let refused = |bytes: &[u8]| {
        replace(source.path(), "model.safetensors", bytes);
        import(source.path()).expect_err("it is refused")
    };
    let lying = [&u64::MAX.to_le_bytes()[..], &whole[8..64]].concat();
    for bytes in [&whole[..whole.len() - 1], &whole[..5000], &whole[..7], &[], b"PK\x03\x04 and more", &lying]
    {
        let error = refused(bytes);
        assert!(matches!(error, Error::Import(ImportError::Safetensors { .. })), "{error}");
    }
    let mut nan = whole.clone();
    let (start, header) = header(&whole);
    let at = start + offsets(&header["embeddings.LayerNorm.bias"])[0];
    nan[at..at + 4].copy_from_slice(&f32::NAN.to_le_bytes());
    let error = refused(&nan);
    assert!(matches!(error, Error::Import(ImportError::NotFinite(_))), "{error}");
    let table = "embeddings.word_embeddings.weight";
    let error = refused(&tensors(&[(table, "I8", &[40_000, 1], &[0; 40_000])]));
    assert!(matches!(error, Error::Import(ImportError::Shape { .. })), "{error}");
    let error = refused(&tensors(&[(table, "I64", &[30_522, 384], &vec![0; 30_522 * 384 * 8])]));
    assert!(matches!(error, Error::Import(ImportError::Quantization { .. })), "{error}");
    let error = refused(&tensors(&[(table, "F32", &[10, 384], &[0; 10 * 384 * 4])]));
    assert!(error.to_string().contains("tokenizer.json"), "more tokens than rows: {error}");
    let error = refused(&tensors(&[("other", "F32", &[1], &[0; 4])]));
    assert!(matches!(error, Error::Import(ImportError::MissingTensor(_))), "{error}");
}

#[test]
fn a_model_folder_without_what_it_needs_is_refused() {
    let home = tempfile::tempdir().unwrap();
    for (name, word) in
        [("config.json", "config.json"), ("tokenizer.json", "tokenizer.json"), ("model.onnx", "model.onnx")]
    {
        let copy = home.path().join(name);
        link(&embeddings(), &copy);
        fs::remove_file(copy.join(name)).unwrap();
        let error = Embedder::load(&runtime(), &copy, 1).unwrap_err().to_string();
        assert!(error.contains(word), "{error}");
    }
    let error = Embedder::load(&runtime(), &support::folder(), 1).unwrap_err().to_string();
    assert!(error.contains("imported as a model that chats"), "{error}");
    let export = home.path().join("export");
    link(&embeddings(), &export);
    fs::remove_file(export.join("pawl.json")).unwrap();
    replace(&export, "model.onnx", "not a graph");
    let error = Embedder::load(&runtime(), &export, 1).unwrap_err().to_string();
    assert!(error.contains("model.onnx"), "{error}");
}

/// A length-delimited protobuf field.
fn field(tag: u8, bytes: &[u8]) -> Vec<u8> {
    assert!(bytes.len() < 128, "one byte of length");
    [&[(tag << 3) | 2, bytes.len() as u8], bytes].concat()
}

/// A graph's input (tag 11) or output (tag 12); protobuf merges what is appended.
fn value(tag: u8, name: &str, kind: u8, dimensions: &[&str]) -> Vec<u8> {
    let shape: Vec<u8> = dimensions.iter().flat_map(|d| field(1, &field(2, d.as_bytes()))).collect();
    let tensor = [&[8, kind][..], &field(2, &shape)].concat();
    field(7, &field(tag, &[field(1, name.as_bytes()), field(2, &field(1, &tensor))].concat()))
}

/// The model as an export gives it: the vectors of the tokens, of which one is made outside the graph; types are wanted.
fn export(home: &Path) -> PathBuf {
    let folder = home.join("export");
    link(&embeddings(), &folder);
    fs::remove_file(folder.join("pawl.json")).unwrap();
    let mut graph = fs::read(folder.join("model.onnx")).unwrap();
    let name = b"embedding";
    for at in 0..graph.len() - name.len() {
        if graph[at..].starts_with(name) {
            graph[at + name.len() - 1] = b'X';
        }
    }
    graph.extend(value(12, "last_hidden_state", 1, &["batch", "length", "width"]));
    graph.extend(value(11, "token_type_ids", 7, &["batch", "length"]));
    replace(&folder, "model.onnx", graph);
    // The graph names its data by a relative path, which must not lead out of the folder.
    let data = folder.join("model.onnx.data");
    fs::remove_file(&data).unwrap();
    fs::hard_link(embeddings().join("model.onnx.data"), &data)
        .or_else(|_| fs::copy(embeddings().join("model.onnx.data"), &data).map(drop))
        .unwrap();
    folder
}

#[test]
fn an_export_is_pooled_as_its_folder_says() {
    let home = tempfile::tempdir().unwrap();
    let folder = export(home.path());
    let texts = ["A man is eating food.", "x"].map(str::to_owned).to_vec();
    let of = |folder: &Path| {
        let embedder = Embedder::load(&runtime(), folder, 2).unwrap();
        assert_eq!((embedder.info().dimensions, embedder.info().max_tokens), (384, 256));
        embedder.embed_blocking(texts.clone()).unwrap()
    };
    let (exported, ours) = (of(&folder), of(&embeddings()));
    assert_eq!(exported.tokens, ours.tokens);
    for (a, b) in exported.vectors.iter().zip(&ours.vectors) {
        assert!(apart(a, b) < 1e-5);
    }
    change(&folder, "1_Pooling/config.json", "pooling_mode_mean_tokens", json!(false));
    change(&folder, "1_Pooling/config.json", "pooling_mode_cls_token", json!(true));
    assert!(apart(&of(&folder).vectors[0], &ours.vectors[0]) > 0.01, "the first token says something else");
    fs::remove_file(folder.join("modules.json")).unwrap();
    let error = Embedder::load(&runtime(), &folder, 1).unwrap_err().to_string();
    assert!(error.contains("modules.json"), "nothing says how it is pooled: {error}");
}

/// The upper halves of f32 numbers, which are bf16.
fn bf16(values: &[u8]) -> Vec<u8> {
    values.chunks_exact(4).flat_map(|raw| [raw[2], raw[3]]).collect()
}

#[test]
fn half_precision_and_the_names_of_a_class_around_it_are_taken() {
    let source = source();
    let whole = fs::read(encoder_source().join("model.safetensors")).unwrap();
    let (start, header) = header(&whole);
    let mut list = Vec::new();
    for (name, tensor) in header.as_object().unwrap().iter().filter(|(name, _)| *name != "__metadata__") {
        let [from, to] = offsets(tensor).map(|offset| start + offset);
        let shape: Vec<usize> = serde_json::from_value(tensor["shape"].clone()).unwrap();
        if tensor["dtype"] == "F32" {
            list.push((format!("bert.{name}"), shape, bf16(&whole[from..to])));
        }
    }
    list.push(("cls.predictions.bias".to_owned(), vec![1], vec![0; 2]));
    let list: Vec<(&str, &str, &[usize], &[u8])> = list
        .iter()
        .map(|(name, shape, bytes)| (name.as_str(), "BF16", shape.as_slice(), bytes.as_slice()))
        .collect();
    replace(source.path(), "model.safetensors", tensors(&list));
    let (_home, folder) = import(source.path()).unwrap();
    let text = "The quarterly revenue of the northern region fell by four percent.";
    let coarse =
        Embedder::load(&runtime(), &folder, 2).unwrap().embed_blocking(vec![text.to_owned()]).unwrap();
    let alike = dot(&coarse.vectors[0], &embed(&[text])[0]);
    assert!((0.99..0.999_999).contains(&alike), "rounded weights, nearly the same vector: {alike}");
}

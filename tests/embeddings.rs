//! Embeddings over HTTP: the vectors that OpenAI's clients expect, in either encoding, and what is told to who asks for something
//! that is not there. And the way from a folder with safetensors to a served model.

use anyhow::{Context, Result, ensure};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use pawl_tests::home::home;
use pawl_tests::plugins::target;
use pawl_tests::server::{Options, Server, pawl, pawl_with};
use serde_json::{Value, json};

const MODEL: &str = "smollm2-135m-instruct-q4_1";
const EMBEDDINGS: &str = "all-minilm-l6-v2";
const PATH: &str = "/v1/embeddings";

fn serve(folder: &tempfile::TempDir, embeddings: bool) -> Result<Server> {
    let table = if embeddings { format!("[embeddings]\nname = \"{EMBEDDINGS}\"\n") } else { String::new() };
    let settings = format!("[model]\ncontext = 1024\n{table}[plugins]\n");
    Server::start(&Options { model: MODEL, settings: Some(settings) }, folder.path())
}

fn message(error: &Value) -> &str {
    error["error"]["message"].as_str().unwrap_or_default()
}

fn vector(reply: &Value, index: usize) -> Result<Vec<f32>> {
    let entry = &reply["data"][index];
    ensure!(entry["object"] == "embedding" && entry["index"] == index, "{entry}");
    let numbers = entry["embedding"].as_array().context("a list")?;
    Ok(numbers.iter().filter_map(Value::as_f64).map(|number| number as f32).collect())
}

fn dot(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn texts_become_vectors_in_the_shape_that_clients_know() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let server = serve(&folder, true)?;
    let texts =
        ["How do I reset my password?", "I forgot my login and want a new one.", "The ferry leaves at nine."];
    let (status, reply) =
        server.post(PATH, &json!({"model": EMBEDDINGS, "input": texts, "user": "u1"})).await?;
    assert_eq!(status, 200, "{reply}");
    assert_eq!((&reply["object"], &reply["model"]), (&json!("list"), &json!(EMBEDDINGS)));
    assert_eq!(reply["data"].as_array().map(Vec::len), Some(3));
    let vectors = [vector(&reply, 0)?, vector(&reply, 1)?, vector(&reply, 2)?];
    assert!(vectors.iter().all(|vector| vector.len() == 384 && (dot(vector, vector) - 1.0).abs() < 1e-4));
    assert!(dot(&vectors[0], &vectors[1]) > dot(&vectors[0], &vectors[2]) + 0.2);
    let usage = &reply["usage"];
    assert!(usage["prompt_tokens"].as_u64().is_some_and(|tokens| (24..40).contains(&tokens)), "{usage}");
    assert_eq!(usage["prompt_tokens"], usage["total_tokens"]);

    // One text alone, by the other encoding, which is what OpenAI's own client asks for.
    let body = json!({"model": "default", "input": texts[0], "encoding_format": "base64", "dimensions": 384});
    let (status, reply) = server.post(PATH, &body).await?;
    assert_eq!(status, 200, "{reply}");
    let bytes = STANDARD.decode(reply["data"][0]["embedding"].as_str().context("a text")?)?;
    let alone: Vec<f32> =
        bytes.chunks_exact(4).map(|raw| f32::from_le_bytes([raw[0], raw[1], raw[2], raw[3]])).collect();
    assert_eq!(alone.len(), 384);
    assert!(alone.iter().zip(&vectors[0]).all(|(a, b)| (a - b).abs() < 1e-5));

    let (_, list) = server.get("/v1/models").await?;
    let ids: Vec<&str> =
        list["data"].as_array().context("a list")?.iter().filter_map(|m| m["id"].as_str()).collect();
    assert_eq!(ids, [MODEL, EMBEDDINGS]);
    let (status, one) = server.get(&format!("/v1/models/{EMBEDDINGS}")).await?;
    assert_eq!((status, &one["pawl"]["dimensions"]), (200, &json!(384)), "{one}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_for_what_is_not_there_are_told_what_to_change() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let server = serve(&folder, true)?;
    let long = format!("{} end", "word ".repeat(300));
    for (field, value, param, words) in [
        ("input", json!([1, 2, 3]), "input", "token ids"),
        ("input", json!([[1, 2, 3]]), "input", "token ids"),
        ("input", json!([]), "input", "0 texts"),
        ("input", json!(["a", ""]), "input", "input[1] is empty"),
        ("input", json!(["a", long]), "input", "input 1 has 303 tokens and the model takes 256"),
        ("input", json!(vec!["a"; 2049]), "input", "2049 texts"),
        ("dimensions", json!(256), "dimensions", "384"),
        ("encoding_format", json!("int8"), "encoding_format", "base64"),
    ] {
        let mut body = json!({"model": EMBEDDINGS, "input": "a"});
        body[field] = value;
        let (status, error) = server.post(PATH, &body).await?;
        assert_eq!((status, &error["error"]["param"]), (400, &json!(param)), "{error}");
        assert_eq!(error["error"]["type"], "invalid_request_error");
        assert!(message(&error).contains(words), "{words}: {error}");
    }
    let (status, error) = server.post(PATH, &json!({"model": MODEL, "input": "a"})).await?;
    assert_eq!((status, &error["error"]["code"]), (404, &json!("model_not_found")));
    assert!(message(&error).contains(EMBEDDINGS), "{error}");
    let body = json!({"model": EMBEDDINGS, "messages": [{"role": "user", "content": "hi"}]});
    let (status, _) = server.post("/v1/chat/completions", &body).await?;
    assert_eq!(status, 404, "it does not chat");
    let (status, _) = server.get(PATH).await?;
    assert_eq!(status, 405);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn many_at_once_are_answered_or_told_to_come_again() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let server = serve(&folder, true)?;
    let body = json!({"model": EMBEDDINGS, "input": vec!["the auditors counted the lamps in the warehouse twice"; 16]});
    let request = || async {
        let url = format!("{}{PATH}", server.url);
        let request = server.client().post(url).header("content-type", "application/json");
        let response = request.body(body.to_string()).send().await?;
        let retry = response.headers().contains_key("retry-after");
        anyhow::Ok((response.status().as_u16(), retry))
    };
    let replies = futures::future::try_join_all((0..120).map(|_| request())).await?;
    let (good, busy): (Vec<_>, Vec<_>) = replies.into_iter().partition(|(status, _)| *status == 200);
    assert!(good.len() >= 64, "{} answered", good.len());
    // Eight run and 64 wait; that all 120 came one after the other would be another fault.
    assert!(!busy.is_empty() && busy.iter().all(|reply| *reply == (429, true)), "{busy:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_model_the_way_to_one_is_told() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let server = serve(&folder, false)?;
    let (status, error) = server.post(PATH, &json!({"model": "default", "input": "a"})).await?;
    assert_eq!((status, &error["error"]["code"]), (404, &json!("model_not_found")), "{error}");
    assert!(
        message(&error).contains("[embeddings]") && message(&error).contains("pawl model import"),
        "{error}"
    );

    let settings = folder.path().join("other.toml");
    std::fs::write(&settings, "[embeddings]\nname = \"no-such-model\"\n[plugins]\n")?;
    let config = settings.to_str().context("a path")?;
    let (code, _, said) =
        pawl(&["serve", "--listen", "127.0.0.1:0", "--model", MODEL, "--config", config], folder.path())?;
    assert_eq!(code, 1);
    assert!(said.contains("no-such-model") && said.contains("pawl model import FOLDER"), "{said}");
    let (code, found, _) = pawl(&["doctor", "--config", config], folder.path())?;
    assert_eq!(code, 1);
    let line = found.lines().find(|line| line.contains("embeddings")).context("it is looked at")?;
    assert!(line.starts_with("BAD") && line.contains("no-such-model"), "{line}");
    Ok(())
}

#[test]
fn a_folder_with_safetensors_is_imported_by_name() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let source = home()?.models.join("../safetensors").join(EMBEDDINGS);
    let source = source.to_str().context("a path")?;
    let own = folder.path().join("home");
    let run = |arguments: &[&str]| pawl_with(arguments, folder.path(), &[("PAWL_HOME", &own)]);
    let (code, said, error) = run(&["model", "import", source])?;
    assert_eq!(code, 0, "{error}");
    assert!(said.contains(EMBEDDINGS) && said.contains("bert"), "{said}");
    let made = own.join("models").join(EMBEDDINGS);
    assert!(made.join("pawl.json").is_file() && made.join("model.onnx").is_file());
    let (code, ..) = run(&["model", "import", source])?;
    assert_eq!(code, 0, "an earlier import is replaced");
    std::fs::create_dir(folder.path().join("empty"))?;
    let (code, _, error) = run(&["model", "import", "empty"])?;
    assert_eq!(code, 1);
    assert!(error.contains("config.json"), "{error}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_that_was_granted_the_model_embeds_with_the_one_of_the_settings() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let guest = target().canonicalize()?.join("guests/probe");
    let plugin = folder.path().join("probe");
    std::fs::create_dir(&plugin)?;
    std::fs::copy(guest.join("probe.wasm"), plugin.join("probe.wasm"))?;
    let manifest = std::fs::read_to_string(guest.join("plugin.toml"))?;
    std::fs::write(plugin.join("plugin.toml"), format!("{manifest}\n[capabilities]\nllm = true\n"))?;
    let asked = async |table: &str| {
        let settings = format!(
            "[model]\ncontext = 1024\n{table}[plugins.probe]\npath = {plugin:?}\n[plugins.probe.grant]\nllm = true\n"
        );
        let server = Server::start(&Options { model: MODEL, settings: Some(settings) }, folder.path())?;
        server.post("/v1/tools/probe.embed", &json!({"text": "a ferry"})).await
    };
    let (status, reply) = asked(&format!("[embeddings]\nname = \"{EMBEDDINGS}\"\n")).await?;
    assert_eq!((status, &reply["result"]), (200, &json!(384)), "{reply}");
    let (_, reply) = asked("").await?;
    assert!(reply.to_string().contains("names no embedding model"), "{reply}");
    Ok(())
}

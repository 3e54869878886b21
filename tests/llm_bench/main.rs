//! Pawl's server beside llama.cpp's own and onnxruntime-genai, on the same GGUF file with the same threads and requests, in
//! turns. Prints tables. Run by `cargo xtask bench llm`, which makes the peers and says where they are; with `--load MINUTES` it is `load.rs`.
//!
//! Invariant: every figure is the median of pairs measured in this run, one server idle while the other works; what a server
//! answers is checked before its time counts, and what is not valid is said.

mod documents;
mod genai;
mod load;
mod peers;

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use pawl_llm::{Grammar, Llm, Message, ModelOptions, Request, Runtime, Sampling, Shortcuts};
use pawl_tests::home;
use serde_json::{Value, json};

use crate::genai::Genai;
use crate::peers::Peer;

const MODELS: [&str; 2] = ["qwen2.5-coder-0.5b-instruct-q4_k_m", "qwen2.5-coder-1.5b-instruct-q4_k_m"];
/// Pairs of a measurement.
const PAIRS: u64 = 5;
const GENAI_PAIRS: u64 = 3;
/// Requests at once.
const AT_ONCE: u64 = 8;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    if let [load, minutes] = arguments.as_slice()
        && load == "--load"
    {
        return runtime.block_on(load::run(minutes.parse().context("MINUTES is a number")?));
    }
    let [llama, python, models @ ..] = arguments.as_slice() else {
        bail!("usage: llm-bench LLAMA_SERVER PYTHON_WITH_GENAI [MODEL]")
    };
    println!(
        "Pawl's server and llama.cpp's (`llama-server -t {threads} -np {AT_ONCE} --jinja`), both on this machine with {threads} threads, the \
         same GGUF file, the same requests over HTTP, greedy, in turns, both as they come: what Pawl foresees by looking text up in the \
         prompt is on, llama.cpp's drafting is off. Ratios are llama.cpp's time over Pawl's, the median of the pairs (least–most); above 1 \
         Pawl is faster. Tokens are those of prompt and answer, Pawl's and the other's.",
        threads = threads()
    );
    for model in MODELS {
        if models.is_empty() || models.iter().any(|wanted| wanted == model) {
            runtime.block_on(measure(model, Path::new(llama)))?;
            runtime.block_on(beside_genai(model, Path::new(python)))?;
            alone(model)?;
        }
    }
    Ok(())
}

fn threads() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// What one request took.
#[derive(Clone, Copy, Debug)]
struct Taken {
    all: Duration,
    first: Duration,
    prompt: f64,
    completion: f64,
    valid: bool,
}

impl Taken {
    fn seconds(&self) -> f64 {
        self.all.as_secs_f64()
    }
}

/// A row: each pair is (Pawl, llama.cpp), as numbers of which less is better.
struct Row {
    what: String,
    unit: &'static str,
    pairs: Vec<(f64, f64)>,
}

impl Row {
    /// Says how many tokens of prompt and answer each took, where that is not what is measured, and what was not valid of the
    /// peer's answers. An error where one of Pawl's was not.
    fn new(
        what: &str,
        unit: &'static str,
        taken: &[(Taken, Taken)],
        peer: &str,
        value: fn(Taken) -> f64,
    ) -> Result<Row> {
        ensure!(taken.iter().all(|(pawl, _)| pawl.valid), "{what}: Pawl answered what is not valid");
        let mut what = what.to_owned();
        if unit.starts_with('s') {
            let tokens = |pick: fn(&(Taken, Taken)) -> f64| {
                let mut all: Vec<f64> = taken.iter().map(pick).collect();
                all.sort_by(f64::total_cmp);
                all[all.len() / 2]
            };
            what.push_str(&format!(
                "; tokens {} + {}, {} + {}",
                tokens(|(pawl, _)| pawl.prompt),
                tokens(|(pawl, _)| pawl.completion),
                tokens(|(_, peer)| peer.prompt),
                tokens(|(_, peer)| peer.completion),
            ));
        }
        let invalid = taken.iter().filter(|(_, peer)| !peer.valid).count();
        if invalid > 0 {
            what.push_str(&format!("; **{invalid} of {peer}'s {} answers not valid**", taken.len()));
        }
        Ok(Row { what, unit, pairs: taken.iter().map(|(pawl, peer)| (value(*pawl), value(*peer))).collect() })
    }

    fn print(&self) {
        let column = |pick: fn(&(f64, f64)) -> f64| {
            let mut all: Vec<f64> = self.pairs.iter().map(pick).collect();
            all.sort_by(f64::total_cmp);
            (all[all.len() / 2], all[0], all[all.len() - 1])
        };
        let (pawl, peer, (ratio, least, most)) =
            (column(|pair| pair.0).0, column(|pair| pair.1).0, column(|pair| pair.1 / pair.0));
        let spread = if self.pairs.len() > 1 { format!(" ({least:.2}–{most:.2})") } else { String::new() };
        println!("| {} | {} | {pawl:.3} | {peer:.3} | {ratio:.2}{spread} |", self.what, self.unit);
    }
}

async fn measure(model: &'static str, llama: &Path) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let gguf = home::home()?.models.with_file_name("gguf").join(format!("{model}.gguf"));
    let weights = std::fs::metadata(&gguf)?.len();
    let pawl = Peer::pawl(model, folder.path(), 8192)?;
    let peer = Peer::llama(llama, &gguf, threads(), AT_ONCE)?;
    println!("\n### {model}\n\n| | | Pawl | llama.cpp | ratio |\n| --- | --- | ---: | ---: | ---: |");
    let both = |what: &'static str, count: u64, make: fn(u64) -> Value, value: fn(Taken) -> f64, unit| {
        let (pawl, peer) = (&pawl, &peer);
        async move {
            let mut taken = Vec::new();
            for seed in 0..count {
                let request = make(seed);
                let (a, b) = if seed % 2 == 0 {
                    let a = pawl.ask(&request).await?;
                    (a, peer.ask(&request).await?)
                } else {
                    let b = peer.ask(&request).await?;
                    (pawl.ask(&request).await?, b)
                };
                eprintln!("{what} {seed}: pawl {a:?}, llama.cpp {b:?}");
                taken.push((a, b));
            }
            Row::new(what, unit, &taken, "llama.cpp", value)?.print();
            anyhow::Ok(())
        }
    };
    // The first request of each is for warming up.
    pawl.ask(&documents::free(99, 20, 4)).await?;
    peer.ask(&documents::free(99, 20, 4)).await?;
    let per_token = |taken: Taken| taken.seconds() / taken.prompt * 1000.0;
    both("prefill of a new prompt", 3, |seed| documents::free(1000 + seed, 620, 1), per_token, "ms a token")
        .await?;
    both(
        "decode, free text, with foresight",
        PAIRS,
        |seed| documents::free(2000 + seed, 60, 64),
        decoded,
        "ms a token",
    )
    .await?;
    warm(&pawl, &peer).await?;
    both("extraction, ten fields", PAIRS, |seed| documents::extraction(3000 + seed), |t| t.seconds(), "s")
        .await?;
    both("tool call, twenty tools", PAIRS, |seed| documents::tool_call(4000 + seed), |t| t.seconds(), "s")
        .await?;
    both(
        "the same as JSON by a schema",
        PAIRS,
        |seed| documents::call_as_json(4100 + seed),
        |t| t.seconds(),
        "s",
    )
    .await?;
    at_once(&pawl, &peer).await?;
    let (a, b) = (pawl.peak_bytes()?, peer.peak_bytes()?);
    println!(
        "\nPeak memory of this run, {AT_ONCE} at once, over the {} MB of the file: Pawl {:.2} (pages for a context of 8,192 tokens and 256 \
         MiB more), llama.cpp {:.2} (`-c 32768`, and what it keeps of earlier prompts by default).",
        weights >> 20,
        a as f64 / weights as f64,
        b as f64 / weights as f64
    );
    drop((pawl, peer));
    memory(model, weights).await
}

/// The first token after a system prompt of about 1,500 tokens, new and known.
async fn warm(pawl: &Peer, peer: &Peer) -> Result<()> {
    let (mut cold, mut warm) = (Vec::new(), Vec::new());
    for seed in 0..3 {
        let mut times = Vec::new();
        for server in [pawl, peer] {
            let first = server.ask(&documents::after_prefix(5000 + seed, "Who applies?")).await?;
            let again = server.ask(&documents::after_prefix(5000 + seed, "Where do they live?")).await?;
            times.push((first.seconds(), again.seconds()));
            eprintln!("prefix {seed}: {first:?}, {again:?}");
        }
        cold.push((times[0].0, times[1].0));
        warm.push((times[0].1, times[1].1));
    }
    let mut shares: Vec<f64> = cold.iter().zip(&warm).map(|(cold, warm)| warm.0 / cold.0).collect();
    shares.sort_by(f64::total_cmp);
    Row { what: "first token, new prefix of 1,500 tokens".into(), unit: "s", pairs: cold }.print();
    let what = format!("first token, known prefix (Pawl: {:.3} of new)", shares[1]);
    Row { what, unit: "s", pairs: warm }.print();
    Ok(())
}

/// Eight extractions at once; the time of each is an eighth of all their time.
async fn together(server: &Peer, seed: u64) -> Result<Vec<Taken>> {
    let began = Instant::now();
    let asked = (0..AT_ONCE).map(|n| async move { server.ask(&documents::extraction(seed + n)).await });
    let taken: Vec<Taken> = futures::future::try_join_all(asked).await?;
    let all = began.elapsed() / AT_ONCE as u32;
    eprintln!("at once: {all:?} each, {taken:?}");
    Ok(taken.into_iter().map(|taken| Taken { all, ..taken }).collect())
}

async fn at_once(pawl: &Peer, peer: &Peer) -> Result<()> {
    let (mut taken, mut pairs) = (Vec::new(), Vec::new());
    for seed in [6000, 6100, 6200] {
        let (a, b) = if seed % 200 == 0 {
            let a = together(pawl, seed).await?;
            (a, together(peer, seed).await?)
        } else {
            let b = together(peer, seed).await?;
            (together(pawl, seed).await?, b)
        };
        pairs.push((a[0].seconds(), b[0].seconds()));
        taken.extend(a.into_iter().zip(b));
    }
    let row =
        Row::new(&format!("{AT_ONCE} extractions at once"), "s each", &taken, "llama.cpp", |t| t.seconds())?;
    Row { pairs, ..row }.print();
    Ok(())
}

/// onnxruntime-genai has no server, so that here it is spared the HTTP; nor has it tools or a cache of prefixes.
async fn beside_genai(model: &'static str, python: &Path) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let gguf = home::home()?.models.with_file_name("gguf").join(format!("{model}.gguf"));
    let pawl = Peer::pawl(model, folder.path(), 8192)?;
    let mut genai = Genai::start(python, &gguf, threads())?;
    println!(
        "\nBeside onnxruntime-genai {} in a process of its own, on a portable import of the same file, its JSON by its own guidance:\n\n\
         | | | Pawl | genai | ratio |\n| --- | --- | ---: | ---: | ---: |",
        genai.version
    );
    pawl.ask(&documents::free(98, 20, 4)).await?;
    genai.ask(&documents::free(98, 20, 4))?;
    type Measured = (&'static str, &'static str, fn(u64) -> Value, fn(Taken) -> f64);
    let rows: [Measured; 3] = [
        (
            "prefill of a new prompt",
            "ms a token",
            |seed| documents::free(8000 + seed, 620, 2),
            |taken| taken.first.as_secs_f64() / taken.prompt * 1000.0,
        ),
        ("decode, free text", "ms a token", |seed| documents::free(8100 + seed, 60, 64), decoded),
        ("extraction, ten fields", "s", |seed| documents::extraction(8200 + seed), |taken| taken.seconds()),
    ];
    for (what, unit, make, value) in rows {
        let mut taken = Vec::new();
        for seed in 0..GENAI_PAIRS {
            let request = make(seed);
            let (a, b) = (pawl.ask(&request).await?, genai.ask(&request)?);
            eprintln!("{what} {seed}: pawl {a:?}, genai {b:?}");
            taken.push((a, b));
        }
        Row::new(what, unit, &taken, "genai", value)?.print();
    }
    Ok(())
}

/// Milliseconds of a token after the first.
fn decoded(taken: Taken) -> f64 {
    (taken.all - taken.first).as_secs_f64() / (taken.completion - 1.0).max(1.0) * 1000.0
}

/// Peak memory at a context of 4096, one request that nearly fills it.
async fn memory(model: &'static str, weights: u64) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let pawl = Peer::pawl(model, folder.path(), 4096)?;
    let taken = pawl.ask(&documents::free(7000, 2300, 16)).await?;
    ensure!(taken.prompt > 3000.0, "a prompt of {} tokens only", taken.prompt);
    println!(
        "At a context of 4096, one request of {} tokens, Pawl's peak is {:.2} times the file.",
        taken.prompt,
        pawl.peak_bytes()? as f64 / weights as f64
    );
    Ok(())
}

/// Pawl's runtime in this process: what decoding costs where nothing can be foreseen, and what of it is the grammar's.
fn alone(model: &str) -> Result<()> {
    let home = home::home()?;
    let runtime = Runtime::load(&home.runtime)?;
    let folder = home.models.join(model);
    let (mut times, mut shares) = (Vec::new(), Vec::new());
    for foresight in [false, true] {
        let shortcuts = Shortcuts { foresight, ..Shortcuts::default() };
        let llm = Llm::load_with(&runtime, &folder, &ModelOptions::default(), shortcuts)?;
        let ask = |seed: u64, end: &str, grammar: Grammar, max_tokens: usize| {
            let text = format!("{}\n\n{end}", documents::document(seed, 60));
            let prompt = llm.render(&[Message::new("user", text)])?;
            let sampling = Sampling::default();
            let request = Request {
                prompt,
                grammar,
                sampling,
                max_tokens,
                lead: String::new(),
                stop: Vec::new(),
                logprobs: None,
            };
            anyhow::Ok(llm.generate(request).finish_blocking()?.finish.usage)
        };
        let (mut each, mut share) = (Vec::new(), Vec::new());
        for seed in 0..PAIRS {
            let usage = ask(2000 + seed, "Summarize that at length.", Grammar::Free, 64)?;
            each.push(usage.decode.as_secs_f64() / (usage.completion_tokens as f64 - 1.0) * 1000.0);
            let schema = Grammar::JsonSchema(documents::extraction_schema());
            let usage = ask(2100 + seed, "Extract the fields of the application as JSON.", schema, 400)?;
            share.push(usage.grammar.as_secs_f64() / usage.decode.as_secs_f64() * 100.0);
        }
        each.sort_by(f64::total_cmp);
        share.sort_by(f64::total_cmp);
        times.push(each);
        shares.push(share);
    }
    let spread = |each: &[f64], unit: &str| {
        format!("{:.1} {unit} ({:.1}–{:.1})", each[each.len() / 2], each[0], each[each.len() - 1])
    };
    println!(
        "\nIn one process: decoding of the same free texts takes {} without foresight, {} with it. Of the time in which ten \
         fields are decoded as JSON, the grammar takes {} without foresight, {} with it.",
        spread(&times[0], "ms a token"),
        spread(&times[1], "ms a token"),
        spread(&shares[0], "%"),
        spread(&shares[1], "%"),
    );
    Ok(())
}

/// Whether an answer is what was asked for.
fn is_valid(request: &Value, message: &Value) -> Result<bool> {
    if request.get("tools").is_some() {
        let called = &message["tool_calls"][0]["function"];
        let tools = request["tools"].as_array().context("tools")?;
        let tool = tools.iter().find(|tool| tool["function"]["name"] == called["name"]);
        let arguments = called["arguments"].as_str().and_then(|text| serde_json::from_str(text).ok());
        let (Some(tool), Some::<Value>(arguments)) = (tool, arguments) else { return Ok(false) };
        return Ok(jsonschema::is_valid(&tool["function"]["parameters"], &arguments));
    }
    if request.get("response_format").is_some() {
        let text = message["content"].as_str().unwrap_or_default();
        let schema = &request["response_format"]["json_schema"]["schema"];
        return Ok(serde_json::from_str(text).is_ok_and(|value| jsonschema::is_valid(schema, &value)));
    }
    Ok(true)
}

/// A request as a server takes it.
fn body(request: &Value, stream: bool) -> Value {
    let mut body = request.clone();
    body["model"] = json!("default");
    if stream {
        body["stream"] = json!(true);
        body["stream_options"] = json!({"include_usage": true});
    }
    body
}

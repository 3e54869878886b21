//! Top-1 of a model at every position of given answers; `tests/scripts/agreement.py` compares it with llama.cpp.
//!
//! `cargo run --release -p pawl-llm --example teacher_forced -- LIBRARY FOLDER [PROVIDER,…]`, then JSON on standard input, a request
//! a line: `{"prompt": [tokens], "answer": [tokens], "logits": "FILE"}` is answered by `{"top": [tokens]}`, the likeliest
//! token before each of the answer's, whose logits `[answer, vocabulary]` (f32, little-endian) are in FILE then;
//! `{"text": "…"}` is answered by `{"tokens": [tokens]}`.

use std::fs::File;
use std::io::{BufRead, BufWriter, Write};
use std::path::Path;

use anyhow::{Context, Result, bail};
use pawl_llm::{ModelOptions, Runtime, Scorer};
use serde_json::{Value, json};

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [library, folder, providers @ ..] = arguments.as_slice() else {
        bail!("usage: teacher_forced LIBRARY FOLDER [PROVIDER,…]");
    };
    let providers = providers.iter().flat_map(|list| list.split(','));
    let providers = providers.map(|name| name.parse().map_err(anyhow::Error::msg)).collect::<Result<_>>()?;
    let options = ModelOptions { providers, ..ModelOptions::default() };
    let runtime = Runtime::load(Path::new(library))?;
    let mut scorer = Scorer::load(&runtime, Path::new(folder), &options)?;
    for line in std::io::stdin().lock().lines() {
        let request: Value = serde_json::from_str(&line?)?;
        let reply = match request["text"].as_str() {
            Some(text) => json!({"tokens": scorer.encode(text)?}),
            None => json!({"top": follow(&mut scorer, &request)?}),
        };
        println!("{reply}");
    }
    Ok(())
}

/// The likeliest token before each token of the request's answer.
fn follow(scorer: &mut Scorer, request: &Value) -> Result<Vec<usize>> {
    let (mut next, answer) = (tokens(&request["prompt"])?, tokens(&request["answer"])?);
    let mut file = match request["logits"].as_str() {
        Some(path) => Some(BufWriter::new(File::create(path)?)),
        None => None,
    };
    let mut top = Vec::new();
    scorer.restart();
    for token in answer {
        let logits = scorer.push(&next)?;
        let best = logits.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1));
        top.push(best.context("no logits")?.0);
        if let Some(file) = &mut file {
            file.write_all(&logits.iter().flat_map(|logit| logit.to_le_bytes()).collect::<Vec<u8>>())?;
        }
        next = vec![token];
    }
    Ok(top)
}

fn tokens(value: &Value) -> Result<Vec<u32>> {
    serde_json::from_value(value.clone()).context("tokens are a list of numbers")
}

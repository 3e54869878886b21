//! How fast a model folder loads, reads and writes on this machine.
//!
//! `cargo run --release -p pawl-llm --example speed -- LIBRARY FOLDER [THREADS [PROVIDER,…]]`

use std::{path::Path, time::Instant};

use anyhow::{Context, Result};
use pawl_llm::{Grammar, Llm, Message, ModelOptions, Output, Request, Runtime, Sampling};
use serde_json::json;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [library, folder, rest @ ..] = arguments.as_slice() else {
        anyhow::bail!("usage: speed LIBRARY FOLDER [THREADS [PROVIDER,…]]");
    };
    let mut options = ModelOptions::default();
    if let Some(threads) = rest.first() {
        options.threads = threads.parse().context("THREADS is a number")?;
    }
    if let Some(providers) = rest.get(1) {
        let providers = providers.split(',').map(|name| name.parse().map_err(anyhow::Error::msg));
        options.providers = providers.collect::<Result<_>>()?;
    }
    let started = Instant::now();
    let runtime = Runtime::load(Path::new(library))?;
    let llm = Llm::load(&runtime, Path::new(folder), &options)?;
    println!("{:?}", llm.info());
    println!(
        "onnx runtime {}, load {:.2} s, {} MB resident",
        runtime.version(),
        started.elapsed().as_secs_f64(),
        rss()
    );

    let words = "The shop sells lamps, chairs and small tables in five regions of the country. ".repeat(40);
    let ask = |text: String, grammar: Grammar, max_tokens: usize| -> Result<Output> {
        let prompt = llm.render(&[Message::new("user", text)])?;
        let request = Request {
            prompt,
            grammar,
            sampling: Sampling::default(),
            max_tokens,
            lead: String::new(),
            stop: Vec::new(),
            logprobs: None,
        };
        Ok(llm.generate(request).finish_blocking()?)
    };
    ask("Hi".into(), Grammar::Free, 4)?;
    let long = ask(format!("{words}\nSummarize that in one sentence."), Grammar::Free, 64)?;
    report("long prompt, free", &long);
    let again = ask(format!("{words}\nSummarize that in two words."), Grammar::Free, 16)?;
    report("same beginning again", &again);
    let schema = json!({"type": "object", "required": ["name", "city", "age", "tags"], "additionalProperties": false,
        "properties": {"name": {"type": "string", "maxLength": 40}, "city": {"type": "string", "maxLength": 40},
            "age": {"type": "integer", "minimum": 0, "maximum": 120},
            "tags": {"type": "array", "minItems": 3, "maxItems": 3, "items": {"enum": ["staff", "guest", "admin"]}}}});
    let form = ask("Invent a person.".into(), Grammar::JsonSchema(schema), 200)?;
    report("json schema", &form);
    println!("{}", form.text);
    println!("{} MB resident", rss());
    Ok(())
}

fn report(what: &str, output: &Output) {
    let usage = output.finish.usage;
    let evaluated = usage.prompt_tokens - usage.cached_tokens;
    println!(
        "{what}: prefill {evaluated} of {} tokens in {:.2} s ({:.0}/s), {} tokens ({} forced) in {:.2} s ({:.1}/s), {:?}",
        usage.prompt_tokens,
        usage.prefill.as_secs_f64(),
        evaluated as f64 / usage.prefill.as_secs_f64(),
        usage.completion_tokens,
        usage.forced_tokens,
        usage.decode.as_secs_f64(),
        usage.completion_tokens as f64 / usage.decode.as_secs_f64(),
        output.finish.reason,
    );
}

/// Resident memory in MB, where the system tells.
fn rss() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|l| l.trim().trim_end_matches(" kB").parse::<u64>().ok()).unwrap_or(0) / 1024
}

//! The first promise: what the smallest model writes under the grammar of a random WIT type, after a random prompt and
//! at temperature 1, is always a value of that type.

use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use pawl_llm::{Grammar, Llm, Message, ModelOptions, Request, Runtime, Sampling, StopReason};
use pawl_plugin::{Grant, Host, HostOptions, Manifest, SchemaLimits};
use pawl_tests::home::home;
use pawl_tests::wit;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

/// Components, and functions of each: 1,000 decodes.
const COMPONENTS: usize = 50;
const FUNCTIONS: usize = 20;

fn model() -> Result<Llm> {
    let home = home()?;
    let runtime = Runtime::load(&home.runtime)?;
    let folder = home.models.join("smollm2-135m-instruct-q4_1");
    let options = ModelOptions { context: 4096, ..ModelOptions::default() };
    Llm::load(&runtime, &folder, &options)
        .with_context(|| format!("{}: `cargo xtask test` fetches it", folder.display()))
}

fn load(host: &Host, folder: &std::path::Path, wit: &str) -> Result<pawl_plugin::Plugin> {
    let file: PathBuf = folder.join("random.wasm");
    std::fs::write(&file, wit::component(wit)?)?;
    let manifest = folder.join("plugin.toml");
    std::fs::write(&manifest, "name = 'random'\nversion = '1'\ndescription = ''\n")?;
    Ok(host.load(&file, Manifest::read(&manifest)?, Grant::default())?)
}

#[test]
fn a_thousand_decodes_under_random_types_lift_into_values() -> Result<()> {
    let llm = model()?;
    let folder = tempfile::tempdir()?;
    let options =
        HostOptions { compiled: None, compiler: None, keyvalue: folder.path().join("keyvalue.sqlite") };
    // Short values, so that a thousand of them are written in minutes.
    let host = Host::new(options)?.with_schema_limits(SchemaLimits { string: 12, list: 3 });
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &[7; 32]);
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    let worlds = wit::worlds(FUNCTIONS);
    let (mut lifted, mut tokens, mut forced) = (0, 0, 0);
    for _ in 0..COMPONENTS {
        let text = worlds.new_tree(&mut runner).map_err(anyhow::Error::msg)?.current();
        let plugin = load(&host, folder.path(), &text)?;
        ensure!(plugin.tools().len() == FUNCTIONS, "every function is a tool:\n{text}");
        for tool in plugin.tools() {
            let words = "\\PC{0,40}".new_tree(&mut runner).map_err(anyhow::Error::msg)?.current();
            let seed = lifted as u64;
            let request = Request {
                prompt: llm.render(&[Message::new("user", words)])?,
                grammar: Grammar::JsonSchema(tool.parameters.clone()),
                sampling: Sampling { temperature: 1.0, seed, ..Sampling::default() },
                max_tokens: 3000,
                lead: String::new(),
                stop: Vec::new(),
                logprobs: None,
            };
            let output = llm.generate(request).finish_blocking()?;
            let context = || format!("{}\n{}\n{}", output.text, tool.parameters, text);
            ensure!(output.finish.reason == StopReason::Stop, "cut short: {}", context());
            let value = serde_json::from_str(&output.text).with_context(context)?;
            plugin.lift_check(&tool.function, &value).with_context(context)?;
            lifted += 1;
            tokens += output.finish.usage.completion_tokens;
            forced += output.finish.usage.forced_tokens;
        }
    }
    println!("{lifted} decodes lifted; {tokens} tokens, {forced} of them forced");
    assert_eq!(lifted, COMPONENTS * FUNCTIONS);
    Ok(())
}

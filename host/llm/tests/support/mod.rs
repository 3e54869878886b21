//! The smallest model, as `cargo xtask test` sets it up.

#![allow(dead_code, reason = "each test file uses a part")]

mod library;

use std::{
    path::{Path, PathBuf},
    sync::OnceLock,
};

use library::{home, library};
use pawl_llm::{Grammar, Llm, Message, ModelOptions, Output, Request, Runtime, Sampling};

pub(crate) const ENCODER: &str = "all-minilm-l6-v2";
pub(crate) const MODEL: &str = "smollm2-135m-instruct-q4_1";

/// The model's folder.
pub(crate) fn folder() -> PathBuf {
    set_up(home().join("models").join(MODEL), "model.onnx")
}

/// The embedding model's folder.
pub(crate) fn embeddings() -> PathBuf {
    set_up(home().join("models").join(ENCODER), "model.onnx")
}

/// The folder that it was imported from.
pub(crate) fn encoder_source() -> PathBuf {
    set_up(home().join("safetensors").join(ENCODER), "model.safetensors")
}

fn set_up(folder: PathBuf, file: &str) -> PathBuf {
    assert!(
        folder.join(file).is_file(),
        "no {file} in {}; `cargo xtask test` sets it up (PAWL_HOME says where)",
        folder.display()
    );
    folder
}

/// The file that it was imported from.
pub(crate) fn gguf() -> PathBuf {
    home().join("gguf").join(format!("{MODEL}.gguf"))
}

pub(crate) fn runtime() -> Runtime {
    Runtime::load(&library()).expect("the runtime loads")
}

pub(crate) fn options(context: usize) -> ModelOptions {
    ModelOptions { context, threads: 2, ..ModelOptions::default() }
}

pub(crate) fn load(folder: &Path, context: usize) -> Llm {
    Llm::load(&runtime(), folder, &options(context)).expect("the model loads")
}

/// One model for all tests of a file that do not look at its cache.
pub(crate) fn shared() -> &'static Llm {
    static SHARED: OnceLock<Llm> = OnceLock::new();
    SHARED.get_or_init(|| load(&folder(), 2048))
}

/// A greedy request.
pub(crate) fn request(llm: &Llm, text: &str, grammar: Grammar, max_tokens: usize) -> Request {
    let prompt = llm.render(&[Message::new("user", text)]).expect("the template renders");
    Request {
        prompt,
        grammar,
        sampling: Sampling::default(),
        max_tokens,
        lead: String::new(),
        stop: Vec::new(),
        logprobs: None,
    }
}

pub(crate) fn answer(llm: &Llm, text: &str, grammar: Grammar, max_tokens: usize) -> Output {
    llm.generate(request(llm, text, grammar, max_tokens)).finish_blocking().expect("an answer")
}

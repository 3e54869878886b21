//! A local model on ONNX Runtime, decoded under grammars.
//!
//! The life of one request, in order:
//!
//! 1. [`Runtime::load`] opens the ONNX Runtime library, [`Llm::load`] a model folder (`model.rs`, `runtime.rs`).
//! 2. [`Llm::render`] turns messages into a [`Prompt`] by the model's own chat template (`template.rs`).
//!    Message contents are plain text: a special token written in a message stays letters.
//! 3. [`Llm::generate`] queues a [`Request`] for the model thread and returns a [`Generation`] (`scheduler.rs`).
//! 4. The grammar is compiled (`grammar.rs`); what cannot be enforced is refused, nothing is decoded unconstrained
//!    without saying so.
//! 5. The prompt is evaluated, except for what the KV cache still holds of the previous request (`generate.rs`).
//! 6. Step by step: mask, sample (`sampler.rs`), commit, fast-forward what the grammar forces (`generate.rs`).
//! 7. [`Event`]s reach the caller: pieces of valid UTF-8, and one [`Finish`].
//!
//! Imports nothing of the other crates of Pawl. `ort` is named in `runtime.rs` only.

mod error;
mod import;

use std::{future::Future, path::Path, time::Duration};

pub use error::Error;
pub use import::{IMPORTER_VERSION, ImportError, ImportProgress, ImportReport, import_gguf};
use serde_json::Value;

/// The ONNX Runtime library, loaded once per process. A cheap handle.
#[derive(Clone, Debug)]
pub struct Runtime {
    version: String,
}

impl Runtime {
    /// Loads the shared library (`libonnxruntime.so.1.x`). A second call in the process returns the first library.
    pub fn load(library: &Path) -> Result<Runtime, Error> {
        let _ = library;
        Err(Error::Stopped("stub".into()))
    }

    /// The library's own version, as in `1.32.0`.
    pub fn version(&self) -> &str {
        &self.version
    }
}

/// How a model is loaded.
#[derive(Clone, Debug)]
pub struct ModelOptions {
    /// Longest prompt and answer together, in tokens; capped by what the model was made for.
    pub context: usize,
    /// Threads of one evaluation.
    pub threads: usize,
}

impl Default for ModelOptions {
    fn default() -> Self {
        let threads = std::thread::available_parallelism().map_or(1, |n| n.get());
        ModelOptions { context: 8192, threads }
    }
}

/// What is known of a loaded model.
#[derive(Clone, Debug)]
pub struct ModelInfo {
    /// The name of the model's folder.
    pub name: String,
    /// `model_type` of config.json: `qwen2`, `llama`.
    pub architecture: String,
    /// Tokens of prompt and answer together.
    pub context: usize,
    /// Rows of the output head.
    pub vocabulary: usize,
    /// Transformer layers.
    pub layers: usize,
    /// Tokens that end an answer.
    pub eos: Vec<u32>,
    /// Whether the KV cache is written in place (our imports) or grows by copies (other exports).
    pub shared_kv_cache: bool,
    /// Threads of one evaluation.
    pub threads: usize,
}

/// A loaded model: a cheap handle to its thread.
#[derive(Clone, Debug)]
pub struct Llm {
    info: ModelInfo,
}

impl Llm {
    /// Loads a model folder in the layout of Hugging Face's ONNX exports.
    pub fn load(runtime: &Runtime, folder: &Path, options: &ModelOptions) -> Result<Llm, Error> {
        let _ = (runtime, folder, options);
        Err(Error::Stopped("stub".into()))
    }

    /// What is known of the model.
    pub fn info(&self) -> &ModelInfo {
        &self.info
    }

    /// Messages to tokens by the model's chat template, with the generation prompt at the end. Special tokens inside
    /// contents are plain text.
    pub fn render(&self, messages: &[Message]) -> Result<Prompt, Error> {
        let _ = messages;
        Err(Error::Stopped("stub".into()))
    }

    /// Compiles a grammar and throws it away; a refusal names the keyword and its path.
    pub fn check(&self, grammar: &Grammar) -> Result<(), Error> {
        let _ = grammar;
        Err(Error::Stopped("stub".into()))
    }

    /// Queues a request; one runs at a time, in the order of arrival.
    pub fn generate(&self, request: Request) -> Generation {
        Generation { request }
    }
}

/// One message of a conversation.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Message {
    /// `system`, `user`, `assistant` or what else the template knows.
    pub role: String,
    /// Plain text.
    pub content: String,
}

impl Message {
    /// A message.
    pub fn new(role: impl Into<String>, content: impl Into<String>) -> Message {
        Message { role: role.into(), content: content.into() }
    }
}

/// A rendered, tokenized prompt.
#[derive(Clone, Debug)]
pub struct Prompt {
    tokens: Vec<u32>,
}

impl Prompt {
    /// Appends plain text after the generation prompt: the answer goes on from it.
    pub fn push_text(&mut self, text: &str) {
        let _ = text;
    }

    /// Its length in tokens.
    pub fn tokens(&self) -> usize {
        self.tokens.len()
    }
}

/// What to generate.
#[derive(Clone, Debug)]
pub struct Request {
    /// What comes before.
    pub prompt: Prompt,
    /// What may come.
    pub grammar: Grammar,
    /// How a token is chosen.
    pub sampling: Sampling,
    /// Most tokens to generate; capped by what remains of the context.
    pub max_tokens: usize,
    /// Strings that end the answer; they are not part of it.
    pub stop: Vec<String>,
}

/// What an answer may look like.
#[derive(Clone, Debug, PartialEq)]
pub enum Grammar {
    /// Anything.
    Free,
    /// Compact JSON valid under this schema.
    JsonSchema(Value),
    /// A Lark grammar of llguidance; JSON inside it by [`json_in_lark`].
    Lark(String),
    /// One of these strings.
    Choice(Vec<String>),
}

/// `%json {…}` for a Lark grammar, with the same compact form as [`Grammar::JsonSchema`].
pub fn json_in_lark(schema: &Value) -> String {
    format!("%json {schema}")
}

/// How a token is chosen among the allowed ones.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sampling {
    /// 0 takes the most likely token.
    pub temperature: f32,
    /// The smallest set of tokens whose probabilities reach this sum is kept; 1 keeps all.
    pub top_p: f32,
    /// Same seed, same prompt: same answer.
    pub seed: u64,
}

impl Default for Sampling {
    /// Greedy.
    fn default() -> Self {
        Sampling { temperature: 0.0, top_p: 1.0, seed: 0 }
    }
}

/// A running generation; dropping it cancels at the next step.
#[derive(Debug)]
pub struct Generation {
    request: Request,
}

impl Generation {
    /// The next event; `None` after [`Event::End`] or an error.
    pub fn next(&mut self) -> impl Future<Output = Option<Result<Event, Error>>> + Send + '_ {
        let _ = &self.request;
        async { Some(Err(Error::Stopped("stub".into()))) }
    }

    /// All of it.
    pub async fn finish(mut self) -> Result<Output, Error> {
        let _ = self.next().await;
        Err(Error::Stopped("stub".into()))
    }

    /// All of it, blocking the calling thread; not for async code.
    pub fn finish_blocking(self) -> Result<Output, Error> {
        Err(Error::Stopped("stub".into()))
    }
}

/// What a generation tells.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// More text; valid UTF-8, never a part of a stop string.
    Text(String),
    /// The end.
    End(Finish),
}

/// How a generation ended.
#[derive(Clone, Debug, PartialEq)]
pub struct Finish {
    /// Why.
    pub reason: StopReason,
    /// What it took.
    pub usage: Usage,
}

/// Why a generation ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopReason {
    /// The model ended its answer, or the grammar is complete.
    Stop,
    /// A stop string appeared.
    StopString,
    /// `max_tokens` or the context is used up; under a grammar the text is then incomplete.
    Length,
}

/// What a generation took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Tokens of the prompt.
    pub prompt_tokens: usize,
    /// Of these, not computed again.
    pub cached_tokens: usize,
    /// Tokens of the answer.
    pub completion_tokens: usize,
    /// Of these, forced by the grammar without asking the model.
    pub forced_tokens: usize,
    /// Time until the first token could be chosen.
    pub prefill: Duration,
    /// Time from there to the end.
    pub decode: Duration,
}

/// A whole answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Output {
    /// The text.
    pub text: String,
    /// How it ended.
    pub finish: Finish,
}

//! What can go wrong in this crate, one variant per thing a caller can react to.
//!
//! Messages are lower-case fragments that name the value, the limit and the mend. Nothing from a prompt is in them.

use std::path::PathBuf;

/// The error of pawl-llm.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The ONNX Runtime library could not be loaded.
    #[error("onnx runtime `{}` cannot be loaded: {message}", library.display())]
    Runtime {
        /// The library that was asked for.
        library: PathBuf,
        /// What the loader said.
        message: String,
    },
    /// An execution provider that was asked for cannot compute; there is no falling back to the processor.
    #[error("execution provider `{provider}` cannot be used: {message}; {}", provider.mend())]
    Provider {
        /// Which.
        provider: crate::Provider,
        /// What the runtime said, with the name of a library that is missing.
        message: String,
    },
    /// A file of a model folder is missing or is not what it must be.
    #[error("model file `{}`: {message}", path.display())]
    ModelFile {
        /// The file.
        path: PathBuf,
        /// What is wrong with it and what would be right.
        message: String,
    },
    /// The graph wants or gives something this crate cannot handle.
    #[error("graph `{}` is not supported: {message}", path.display())]
    Graph {
        /// The ONNX file.
        path: PathBuf,
        /// Names the input or output and what is expected.
        message: String,
    },
    /// The chat template refuses the conversation, in its own words.
    #[error("the model's chat template refuses this conversation: {0}")]
    Conversation(String),
    /// The chat template cannot be compiled or rendered.
    #[error("chat template: {0}")]
    Template(String),
    /// Text cannot be turned into tokens.
    #[error("tokenizer: {0}")]
    Tokenizer(String),
    /// A JSON Schema has a keyword (or value) the grammar engine cannot enforce; it is refused, never ignored.
    #[error("schema at `{path}`: {message}")]
    Schema {
        /// JSON Pointer into the schema, `#` for the root.
        path: String,
        /// The keyword, why it is refused, and the mend.
        message: String,
    },
    /// A Lark grammar or a choice cannot be compiled, or a grammar grew past its limits while decoding.
    #[error("grammar: {0}")]
    Grammar(String),
    /// The prompt leaves no room for one token of answer.
    #[error("prompt of {prompt} tokens does not fit the context of {context} tokens; shorten it")]
    PromptTooLong {
        /// Length of the prompt, in tokens.
        prompt: usize,
        /// Length of the context, in tokens.
        context: usize,
    },
    /// A text that is to be embedded is longer than the model takes; none is cut.
    #[error("input {index} has {tokens} tokens and the model takes {limit}; shorten or split it")]
    TextTooLong {
        /// Which of the texts, from 0.
        index: usize,
        /// Its tokens, with those that the model puts around it.
        tokens: usize,
        /// The most that the model takes.
        limit: usize,
    },
    /// A request is malformed (no prompt, sampling out of range, too many stop strings).
    #[error("request: {0}")]
    Request(String),
    /// The queue of waiting requests is full.
    #[error("{waiting} requests wait already; try again later")]
    Busy {
        /// The length of the queue.
        waiting: usize,
    },
    /// The generation was cancelled.
    #[error("generation was cancelled")]
    Cancelled,
    /// The model thread is gone; the model must be loaded again.
    #[error("the model thread has stopped: {0}")]
    Stopped(String),
    /// ONNX Runtime refused a step.
    #[error("onnx runtime: {0}")]
    Inference(String),
    /// A model could not be imported.
    #[error(transparent)]
    Import(#[from] crate::import::ImportError),
}

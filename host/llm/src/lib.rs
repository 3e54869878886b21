//! A local model on ONNX Runtime, decoded under grammars.
//!
//! The life of one request, in order:
//!
//! 1. [`Runtime::load`] opens the ONNX Runtime library, [`Llm::load`] a model folder (`model.rs`, `runtime.rs`); a GGUF
//!    file becomes such a folder by [`import_gguf`] (`import/`).
//! 2. [`Llm::render`] turns messages into a [`Prompt`] by the model's own chat template (`template.rs`,
//!    `vocabulary.rs`). Message contents are plain text: a special token written in a message stays letters.
//! 3. [`Llm::generate`] queues a [`Request`] for the model thread and returns a [`Generation`] (`scheduler.rs`).
//! 4. The grammar is compiled (`grammar.rs`, `schema.rs`); what cannot be enforced is refused, nothing is decoded more
//!    freely than it says.
//! 5. The prompt is evaluated, except for what the KV cache still holds of the request before (`generate.rs`), or was kept aside
//!    of an earlier one (`prefixes.rs`).
//! 6. Step by step: fast-forward what the grammar forces, mask, sample (`sampler.rs`), commit (`generate.rs`).
//! 7. [`Event`]s reach the caller: pieces of valid UTF-8 (`text.rs`), and one [`Finish`].
//!
//! Imports nothing of the other crates of Pawl. `ort` is named in `runtime.rs` only.

mod bounds;
mod error;
mod generate;
mod grammar;
mod import;
mod model;
mod pattern;
mod prefixes;
mod prompt;
mod runtime;
mod sampler;
mod scheduler;
mod schema;
mod score;
mod template;
mod text;
mod vocabulary;

use std::{fmt, path::Path, sync::Arc};

pub use error::Error;
pub use generate::{Event, Finish, Output, Request, StopReason, Usage};
pub use grammar::{Grammar, holds, json_in_lark, quotes};
pub use import::{IMPORTER_VERSION, ImportError, ImportProgress, ImportReport};
pub use model::{ModelInfo, ModelOptions};
pub use prompt::Prompt;
pub use runtime::Runtime;
pub use sampler::Sampling;
pub use scheduler::Generation;
pub use score::Scorer;
pub use template::{Message, json_text};

use crate::{
    generate::{Decoder, Shortcuts},
    grammar::Grammars,
    model::Model,
    scheduler::Scheduler,
    template::Template,
    vocabulary::Vocabulary,
};

/// A loaded model: a cheap handle to its thread, which ends with the last handle.
#[derive(Clone)]
pub struct Llm {
    shared: Arc<Shared>,
    scheduler: Scheduler,
}

struct Shared {
    info: ModelInfo,
    vocabulary: Arc<Vocabulary>,
    grammars: Arc<Grammars>,
    template: Template,
}

impl Llm {
    /// Loads a model folder in the layout of Hugging Face's ONNX exports. Takes seconds; not for async code.
    pub fn load(runtime: &Runtime, folder: &Path, options: &ModelOptions) -> Result<Llm, Error> {
        Llm::load_with(
            runtime,
            folder,
            options,
            Shortcuts { prefix_cache: true, fast_forward: true, single: true },
        )
    }

    /// [`Llm::load`] with shortcuts taken away, to show by comparison that they change nothing but the time. Without
    /// `single` every evaluation rounds alike, so that answers must be equal to the letter.
    #[doc(hidden)]
    pub fn load_plain(
        runtime: &Runtime,
        folder: &Path,
        options: &ModelOptions,
        prefix_cache: bool,
        fast_forward: bool,
    ) -> Result<Llm, Error> {
        Llm::load_with(runtime, folder, options, Shortcuts { prefix_cache, fast_forward, single: false })
    }

    fn load_with(
        runtime: &Runtime,
        folder: &Path,
        options: &ModelOptions,
        shortcuts: Shortcuts,
    ) -> Result<Llm, Error> {
        let Model { info, graph, vocabulary, grammars, template } = Model::load(runtime, folder, options)?;
        let decoder = Decoder::new(
            graph,
            vocabulary.clone(),
            grammars.clone(),
            info.context,
            info.eos.clone(),
            shortcuts,
            options.prefix_bytes,
        );
        let scheduler = Scheduler::start(&info.name, decoder)?;
        Ok(Llm { shared: Arc::new(Shared { info, vocabulary, grammars, template }), scheduler })
    }

    /// What is known of the model.
    pub fn info(&self) -> &ModelInfo {
        &self.shared.info
    }

    /// Messages to tokens by the model's chat template, with the generation prompt at the end. Special tokens inside
    /// contents are plain text.
    pub fn render(&self, messages: &[Message]) -> Result<Prompt, Error> {
        let pieces = self.shared.template.render(messages)?;
        let vocabulary = &self.shared.vocabulary;
        Ok(Prompt::new(vocabulary, vocabulary.encode_template(&pieces)?))
    }

    /// Compiles a grammar (it is kept for the next request with it); a refusal names the keyword and its path.
    pub fn check(&self, grammar: &Grammar) -> Result<(), Error> {
        self.shared.grammars.matcher(grammar).map(drop)
    }

    /// The token matcher of a grammar, for tests that walk it without the model.
    #[doc(hidden)]
    pub fn matcher(&self, grammar: &Grammar) -> Result<Option<llguidance::Matcher>, Error> {
        self.shared.grammars.matcher(grammar)
    }

    /// Queues a request and returns at once; one runs at a time, in the order of arrival. When 64 wait already the
    /// generation ends with [`Error::Busy`].
    pub fn generate(&self, request: Request) -> Generation {
        self.scheduler.submit(request)
    }
}

impl fmt::Debug for Llm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Llm").field("info", &self.shared.info).finish_non_exhaustive()
    }
}

/// Turns a GGUF file (`llama` or `qwen2`) into a model folder, losslessly. The folder's stamp is written last.
pub fn import_gguf(
    gguf: &Path,
    folder: &Path,
    progress: &mut dyn FnMut(ImportProgress),
) -> Result<ImportReport, Error> {
    Ok(import::import_gguf(gguf, folder, progress)?)
}

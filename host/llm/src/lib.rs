//! A local model on ONNX Runtime, decoded under grammars.
//!
//! The life of one request, in order:
//!
//! 1. [`Runtime::load`] opens the ONNX Runtime library, [`Llm::load`] a model folder (`model.rs`, `runtime/`); a GGUF
//!    file becomes such a folder by [`import_gguf`] (`import/`).
//! 2. [`Llm::render`] turns messages into a [`Prompt`] by the model's own chat template (`template.rs`,
//!    `vocabulary.rs`). Message contents are plain text: a special token written in a message stays letters.
//! 3. [`Llm::generate`] queues a [`Request`] for the model thread and returns a [`Generation`] (`scheduler.rs`).
//! 4. The grammar is compiled (`grammar.rs`, `schema.rs`); what cannot be enforced is refused, nothing is decoded more
//!    freely than it says.
//! 5. It joins the requests that run (`engine.rs`): the tokens of all are evaluated together (`backend.rs`, `runtime/`, `cpu/`),
//!    except for what is known of the beginning of its prompt (`pages.rs`).
//! 6. Step by step: fast-forward what the grammar forces, mask, foresee (`lookup.rs`), sample (`sampler.rs`), commit
//!    (`answer.rs`).
//! 7. [`Event`]s reach the caller: pieces of valid UTF-8 (`text.rs`), and one [`Finish`].
//!
//! Beside it, [`Embedder`] makes vectors of texts (`embedder.rs`, `sentence.rs`), on a graph that [`import_encoder`] made.
//!
//! Imports nothing of the other crates of Pawl. `ort` is named in `runtime/` only.

mod answer;
mod backend;
mod bounds;
#[cfg_attr(not(target_arch = "x86_64"), expect(dead_code, reason = "there is no Simd to use it"))]
mod cpu;
mod embedder;
mod engine;
mod error;
mod generate;
mod grammar;
mod import;
mod logprobs;
mod lookup;
mod memory;
mod model;
mod pages;
mod pattern;
mod prompt;
mod runtime;
mod sampler;
mod scheduler;
mod schema;
mod score;
mod sentence;
mod template;
mod text;
mod vocabulary;

use std::{
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
};

pub use embedder::{Embedder, EmbedderInfo, Embeddings};
#[doc(hidden)]
pub use engine::Shortcuts;
pub use error::Error;
pub use generate::{Event, Finish, Output, Request, StopReason, Usage};
pub use grammar::{Grammar, holds, json_in_lark, quotes};
pub use import::{IMPORTER_VERSION, ImportError, ImportProgress, ImportReport, Operators};
pub use logprobs::{MAX_ALTERNATIVES, TokenLogprob};
pub use model::{ModelInfo, ModelOptions};
pub use prompt::Prompt;
pub use runtime::{Provider, Runtime};
pub use sampler::Sampling;
pub use scheduler::Generation;
pub use score::Scorer;
pub use template::{Message, json_text};

use crate::{
    backend::Backend,
    engine::{Decoder, Ready},
    grammar::Grammars,
    model::Model,
    runtime::Kind,
    scheduler::Scheduler,
    template::Template,
    vocabulary::Vocabulary,
};

/// A loaded model: a cheap handle to its thread, which ends with the last handle.
#[derive(Clone)]
pub struct Llm {
    shared: Arc<Shared>,
    scheduler: Scheduler<Request>,
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
        Llm::load_with(runtime, folder, options, Shortcuts::default())
    }

    /// [`Llm::load`] with shortcuts taken away, to show by comparison that they change nothing but the time.
    #[doc(hidden)]
    pub fn load_with(
        runtime: &Runtime,
        folder: &Path,
        options: &ModelOptions,
        shortcuts: Shortcuts,
    ) -> Result<Llm, Error> {
        let Model { info, graph, vocabulary, grammars, template } = Model::load(runtime, folder, options)?;
        let shared = Arc::new(Shared { info, vocabulary, grammars, template });
        let scheduler = match graph {
            Kind::Paged(graph) => start(&shared, *graph, options, shortcuts)?,
            // Its sequences are evaluated one after the other, each with a whole cache: more at once would bring nothing.
            Kind::Graph(graph) => {
                start(&shared, *graph, &ModelOptions { slots: 1, ..options.clone() }, shortcuts)?
            }
        };
        Ok(Llm { shared, scheduler })
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
        self.shared.grammars.compiled(grammar).map(drop)
    }

    /// The token matcher of a grammar, for tests that walk it without the model.
    #[doc(hidden)]
    pub fn matcher(&self, grammar: &Grammar) -> Result<Option<llguidance::Matcher>, Error> {
        Ok(self.shared.grammars.compiled(grammar)?.map(|compiled| compiled.matcher))
    }

    /// Queues a request and returns at once; [`ModelOptions::slots`] run at a time, in the order of arrival. When 64 wait
    /// already the generation ends with [`Error::Busy`].
    pub fn generate(&self, request: Request) -> Generation {
        self.scheduler.submit(request)
    }

    /// The same for what goes on from an earlier generation, as when a tool's result goes back to the model: it waits its turn,
    /// and is not refused. What was done by then would be lost.
    pub fn generate_next(&self, request: Request) -> Generation {
        self.scheduler.submit_next(request)
    }
}

/// Starts the threads of a model.
fn start<B: Backend>(
    shared: &Arc<Shared>,
    backend: B,
    options: &ModelOptions,
    shortcuts: Shortcuts,
) -> Result<Scheduler<Request>, Error> {
    let Shared { info, vocabulary, grammars, .. } = &**shared;
    let (context, slots) = (info.context, options.slots.max(1));
    let decoder = Decoder::new(backend, vocabulary.clone(), info.eos.clone(), context, slots, shortcuts);
    let (vocabulary, grammars) = (vocabulary.clone(), grammars.clone());
    let prepare = move |request: Request| {
        let prompt = request.prompt.ids(&vocabulary)?.to_vec();
        request.check()?;
        if prompt.len() >= context {
            return Err(Error::PromptTooLong { prompt: prompt.len(), context });
        }
        let grammar = grammars.compiled(&request.grammar)?;
        Ok(Ready { request, prompt, grammar })
    };
    Scheduler::start(&info.name, decoder, prepare)
}

impl fmt::Debug for Llm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Llm").field("info", &self.shared.info).finish_non_exhaustive()
    }
}

/// Turns a GGUF file (of the architectures that README names) into a model folder, losslessly. The folder's stamp is written last.
pub fn import_gguf(
    gguf: &Path,
    folder: &Path,
    operators: Operators,
    progress: &mut dyn FnMut(ImportProgress),
) -> Result<ImportReport, Error> {
    Ok(import::import_gguf(gguf, folder, operators, progress)?)
}

/// The graph of a model folder: `model.onnx`, `onnx/model.onnx`, or the only one in `onnx/`. An error where there is none, or
/// several.
pub fn graph_of(folder: &Path) -> Result<PathBuf, Error> {
    model::graph_path(folder)
}

/// Turns a folder of sentence-transformers (`model.safetensors`, architecture `bert`) into a model folder for [`Embedder`]. The
/// folder's stamp is written last.
pub fn import_encoder(
    source: &Path,
    folder: &Path,
    progress: &mut dyn FnMut(ImportProgress),
) -> Result<ImportReport, Error> {
    import::import_encoder(source, folder, progress)
}

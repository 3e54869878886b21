//! The host's model, as a plugin that was granted `llm` may use it.
//!
//! Invariant: a completion offers no tools and sees nothing but the messages that the plugin gave; one that was cut
//! short is an error, never an answer. It waits its turn like any other request, and no turn of a chat holds the model
//! while a plugin runs, so a plugin that asks the model cannot wait for itself.

use std::sync::Arc;

use pawl_llm::{Embedder, Error, Grammar, Llm, Message, Output, Request, Sampling, StopReason};
use pawl_plugin::{Answer, Completion, Model, ModelError, Role, Shape};
use tokio::sync::OnceCell;

use crate::app::{self, AppError};
use crate::config::Config;

/// The embedding model of the settings, loaded when it is first wanted. A cheap handle.
#[derive(Clone)]
pub(crate) struct LateEmbedder {
    config: Arc<Config>,
    loaded: Arc<OnceCell<Option<Embedder>>>,
}

impl LateEmbedder {
    pub(crate) fn new(config: Config) -> LateEmbedder {
        LateEmbedder { config: Arc::new(config), loaded: Arc::default() }
    }

    /// None where the settings name none.
    pub(crate) async fn get(&self) -> Result<Option<Embedder>, AppError> {
        let load = || async {
            let config = Arc::clone(&self.config);
            let loaded = tokio::task::spawn_blocking(move || app::load_embedder(&config)).await;
            loaded.map_err(|error| AppError::Worker(error.to_string()))?
        };
        self.loaded.get_or_try_init(load).await.cloned()
    }

    async fn embed(&self, texts: Vec<String>) -> Result<Vec<Vec<f32>>, ModelError> {
        let embedder = self.get().await.map_err(|error| {
            tracing::error!("a plugin asked the embedding model: {error}");
            ModelError::Unavailable(
                "the embedding model cannot be loaded; the host's log says why".to_owned(),
            )
        })?;
        let none = "this host names no embedding model ([embeddings] in its settings)";
        let embedder = embedder.ok_or_else(|| ModelError::Unavailable(none.to_owned()))?;
        Ok(embedder.embed(texts).await.map_err(told)?.vectors)
    }
}

/// The models behind `pawl:host/llm`.
pub(crate) struct HostModel {
    llm: Llm,
    embedder: LateEmbedder,
}

impl HostModel {
    pub(super) fn new(llm: Llm, embedder: LateEmbedder) -> HostModel {
        HostModel { llm, embedder }
    }

    /// What the model says, and what it took.
    pub(crate) async fn output(&self, completion: Completion) -> Result<Output, ModelError> {
        let messages = completion.messages.into_iter().map(|message| {
            let role = match message.role {
                Role::System => "system",
                Role::User => "user",
                Role::Assistant => "assistant",
            };
            Message::new(role, message.content)
        });
        let messages: Vec<Message> = messages.collect();
        let request = Request {
            prompt: app::render(&self.llm, messages).await.map_err(told)?,
            grammar: match completion.shape {
                Shape::Free => Grammar::Free,
                Shape::Json(schema) => Grammar::JsonSchema(schema),
                Shape::Lark(lark) => Grammar::Lark(lark),
            },
            sampling: Sampling::default(),
            max_tokens: completion.max_tokens as usize,
            logprobs: None,
            lead: String::new(),
            stop: Vec::new(),
        };
        // A plugin's call, a step of a run: work that has begun, and is bounded by limits of its own.
        let output = self.llm.generate_next(request).finish().await.map_err(told)?;
        match output.finish.reason {
            StopReason::Length => Err(ModelError::Truncated),
            _ => Ok(output),
        }
    }
}

impl Model for HostModel {
    fn complete(&self, completion: Completion) -> Answer<'_, String> {
        Box::pin(async move { Ok(self.output(completion).await?.text) })
    }

    fn embed(&self, texts: Vec<String>) -> Answer<'_, Vec<Vec<f32>>> {
        Box::pin(self.embedder.embed(texts))
    }
}

/// The model of the settings, loaded when a plugin first asks it: for a call that most often needs none.
pub(crate) struct LateModel {
    config: Config,
    embedder: LateEmbedder,
    loaded: OnceCell<HostModel>,
}

impl LateModel {
    pub(crate) fn new(config: Config, embedder: LateEmbedder) -> LateModel {
        LateModel { config, embedder, loaded: OnceCell::new() }
    }

    /// One that is loaded already.
    pub(crate) fn loaded(config: Config, llm: Llm, embedder: LateEmbedder) -> LateModel {
        let model = HostModel::new(llm, embedder.clone());
        LateModel { config, embedder, loaded: OnceCell::new_with(Some(model)) }
    }

    pub(crate) async fn model(&self) -> Result<&HostModel, ModelError> {
        let load = || async {
            let config = self.config.clone();
            let loaded = tokio::task::spawn_blocking(move || app::load_model(&config)).await;
            let none = |why: String| ModelError::Unavailable(why);
            let loaded = loaded.map_err(|error| none(error.to_string()))?;
            loaded.map(|llm| HostModel::new(llm, self.embedder.clone())).map_err(|error| {
                tracing::error!("a plugin asked the model: {error}");
                none("the model cannot be loaded; the host's log says why".to_owned())
            })
        };
        self.loaded.get_or_try_init(load).await
    }
}

impl Model for LateModel {
    fn complete(&self, completion: Completion) -> Answer<'_, String> {
        Box::pin(async move { self.model().await?.complete(completion).await })
    }

    fn embed(&self, texts: Vec<String>) -> Answer<'_, Vec<Vec<f32>>> {
        Box::pin(self.embedder.embed(texts))
    }
}

/// What a plugin is told of a failure: what it can mend, and nothing of the inside.
fn told(error: Error) -> ModelError {
    match error {
        Error::PromptTooLong { .. } | Error::TextTooLong { .. } | Error::Busy { .. } => {
            ModelError::Limit(error.to_string())
        }
        Error::Schema { .. } | Error::Grammar(_) | Error::Request(_) => {
            ModelError::Refused(error.to_string())
        }
        other => {
            tracing::error!("a plugin asked the model: {other}");
            ModelError::Unavailable("the model failed; the host's log says why".to_owned())
        }
    }
}

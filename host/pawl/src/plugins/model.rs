//! The host's model, as a plugin that was granted `llm` may use it.
//!
//! Invariant: a completion offers no tools and sees nothing but the messages that the plugin gave; one that was cut
//! short is an error, never an answer. It waits its turn like any other request, and no turn of a chat holds the model
//! while a plugin runs, so a plugin that asks the model cannot wait for itself.

use pawl_llm::{Error, Grammar, Llm, Message, Output, Request, Sampling, StopReason};
use pawl_plugin::{Answer, Completion, Model, ModelError, Role, Shape};
use tokio::sync::OnceCell;

use crate::app;
use crate::config::Config;

/// The model behind `pawl:host/llm`.
pub(crate) struct HostModel(pub(super) Llm);

impl HostModel {
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
            prompt: self.0.render(&messages).map_err(told)?,
            grammar: match completion.shape {
                Shape::Free => Grammar::Free,
                Shape::Json(schema) => Grammar::JsonSchema(schema),
                Shape::Lark(lark) => Grammar::Lark(lark),
            },
            sampling: Sampling::default(),
            max_tokens: completion.max_tokens as usize,
            logprobs: None,
            stop: Vec::new(),
        };
        let output = self.0.generate(request).finish().await.map_err(told)?;
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

    fn embed(&self, _: Vec<String>) -> Answer<'_, Vec<Vec<f32>>> {
        let none = "this Pawl has no embedding model yet".to_owned();
        Box::pin(std::future::ready(Err(ModelError::Unavailable(none))))
    }
}

/// The model of the settings, loaded when a plugin first asks it: for a call that most often needs none.
pub(crate) struct LateModel {
    config: Config,
    loaded: OnceCell<HostModel>,
}

impl LateModel {
    pub(crate) fn new(config: Config) -> LateModel {
        LateModel { config, loaded: OnceCell::new() }
    }

    /// One that is loaded already.
    pub(crate) fn loaded(config: Config, llm: Llm) -> LateModel {
        LateModel { config, loaded: OnceCell::new_with(Some(HostModel(llm))) }
    }

    pub(crate) async fn model(&self) -> Result<&HostModel, ModelError> {
        let load = || async {
            let config = self.config.clone();
            let loaded = tokio::task::spawn_blocking(move || app::load_model(&config)).await;
            let none = |why: String| ModelError::Unavailable(why);
            let loaded = loaded.map_err(|error| none(error.to_string()))?;
            loaded.map(HostModel).map_err(|error| {
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
        Box::pin(async move { self.model().await?.embed(texts).await })
    }
}

/// What a plugin is told of a failure: what it can mend, and nothing of the inside.
fn told(error: Error) -> ModelError {
    match error {
        Error::PromptTooLong { .. } | Error::Busy { .. } => ModelError::Limit(error.to_string()),
        Error::Schema { .. } | Error::Grammar(_) | Error::Request(_) => {
            ModelError::Refused(error.to_string())
        }
        other => {
            tracing::error!("a plugin asked the model: {other}");
            ModelError::Unavailable("the model failed; the host's log says why".to_owned())
        }
    }
}

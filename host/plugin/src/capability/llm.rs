//! `pawl:host/llm`: completions and embeddings by the host's model, from inside a plugin.
//!
//! Invariant: text goes in and text comes out. A completion reaches no tool and no capability, so a plugin cannot call
//! itself or another one through the model. Messages, schema, calls and tokens are bounded (`LlmGrant`), and the wait
//! ends at the deadline of the call: the request is dropped, which cancels it.
//!
//! This crate knows no model: [`Model`] is what it needs of one, and `Host::set_model` gives it.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};

use serde_json::Value;

use super::bindings::pawl::host::llm::{self, Error, Host};
use super::wait::within;
use crate::call::State;

/// Messages of one completion.
const MAX_MESSAGES: usize = 64;
/// Bytes of all messages of a completion, or of all texts to embed.
const MAX_TEXT: usize = 256 << 10;
/// Bytes of a schema.
const MAX_SCHEMA: usize = 64 << 10;
/// Bytes of a grammar.
const MAX_LARK: usize = 128 << 10;
/// Texts of one `embed`.
const MAX_TEXTS: usize = 256;

/// A language model, as plugins use it. Dropping a future cancels its request.
pub trait Model: Send + Sync {
    /// Answers the messages, in the shape that is asked for.
    ///
    /// # Errors
    /// See [`ModelError`].
    fn complete(&self, completion: Completion) -> Answer<'_, String>;

    /// One vector per text, all of the same length.
    ///
    /// # Errors
    /// See [`ModelError`].
    fn embed(&self, texts: Vec<String>) -> Answer<'_, Vec<Vec<f32>>>;
}

/// What a [`Model`] gives in the end.
pub type Answer<'a, T> = Pin<Box<dyn Future<Output = Result<T, ModelError>> + Send + 'a>>;

/// What a plugin asks of the model.
#[derive(Debug, Clone, PartialEq)]
pub struct Completion {
    /// The messages, at most 64 with 256 KiB of text together.
    pub messages: Vec<Message>,
    /// What the answer may be.
    pub shape: Shape,
    /// The most tokens of the answer, within the operator's bound.
    pub max_tokens: u32,
}

/// What an answer may be.
#[derive(Debug, Clone, PartialEq)]
pub enum Shape {
    /// Any text.
    Free,
    /// JSON that is valid under this schema, which is not checked beyond being JSON.
    Json(Value),
    /// A text of this grammar, at most 128 KiB of Lark, which is not checked.
    Lark(String),
}

/// One message to the model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Whose words these are.
    pub role: Role,
    /// The words.
    pub content: String,
}

/// Whose words a message holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// What the model is to do.
    System,
    /// The user's.
    User,
    /// The model's own, as in an example.
    Assistant,
}

/// Why a model gave no answer. The texts reach the plugin: no paths, nothing of other requests.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ModelError {
    /// There is no model for this, or it does not run.
    #[error("{0}")]
    Unavailable(String),
    /// The request cannot be carried out as it is, such as a schema outside the supported part.
    #[error("{0}")]
    Refused(String),
    /// The request is too large for the model, or its queue is full.
    #[error("{0}")]
    Limit(String),
    /// The answer did not end within its tokens.
    #[error("the answer did not end within its tokens")]
    Truncated,
}

impl From<ModelError> for Error {
    fn from(error: ModelError) -> Error {
        match error {
            ModelError::Unavailable(why) => Error::Unavailable(why),
            ModelError::Refused(why) => Error::Refused(why),
            ModelError::Limit(which) => Error::Limit(which),
            ModelError::Truncated => Error::Truncated,
        }
    }
}

/// Where the model comes to be; empty while it is loaded, or where there is none.
pub(crate) type Slot = Arc<OnceLock<Arc<dyn Model>>>;

impl State {
    /// The model, for one more request; and the most tokens of an answer.
    fn model(&mut self) -> Result<(Arc<dyn Model>, u32), Error> {
        let grant = self.capabilities.llm;
        if grant.max_calls == 0 {
            return Err(Error::NotGranted);
        }
        if self.model_calls >= grant.max_calls {
            return Err(Error::Limit(format!(
                "{} requests to the model in one call of the plugin",
                grant.max_calls
            )));
        }
        self.model_calls += 1;
        let model = self.model.get().cloned();
        let none = || Error::Unavailable("there is no model, or it is still being loaded".to_owned());
        Ok((model.ok_or_else(none)?, grant.max_tokens))
    }

    fn completion(
        &mut self,
        messages: Vec<llm::Message>,
        shape: impl FnOnce() -> Result<Shape, Error>,
        max_tokens: Option<u32>,
    ) -> Result<(Arc<dyn Model>, Completion), Error> {
        let (model, most) = self.model()?;
        if messages.is_empty() || messages.len() > MAX_MESSAGES {
            return Err(Error::Limit(format!(
                "{} messages; 1 to {MAX_MESSAGES} are allowed",
                messages.len()
            )));
        }
        text(messages.iter().map(|message| message.content.len()))?;
        let shape = shape()?;
        let max_tokens = max_tokens.map_or(most, |wanted| wanted.min(most));
        if max_tokens == 0 {
            return Err(Error::Limit("max-tokens is 0".to_owned()));
        }
        let messages = messages.into_iter().map(Message::from).collect();
        Ok((model, Completion { messages, shape, max_tokens }))
    }
}

impl From<llm::Message> for Message {
    fn from(message: llm::Message) -> Message {
        let role = match message.role {
            llm::Role::System => Role::System,
            llm::Role::User => Role::User,
            llm::Role::Assistant => Role::Assistant,
        };
        Message { role, content: message.content }
    }
}

/// Whether texts of these lengths are within the bound.
fn text(lengths: impl Iterator<Item = usize>) -> Result<(), Error> {
    let bytes: usize = lengths.sum();
    if bytes > MAX_TEXT {
        return Err(Error::Limit(format!("{bytes} bytes of text; {MAX_TEXT} at most")));
    }
    Ok(())
}

fn parse(schema: &str) -> Result<Value, Error> {
    if schema.len() > MAX_SCHEMA {
        return Err(Error::Limit(format!("a schema of {} bytes; {MAX_SCHEMA} at most", schema.len())));
    }
    match serde_json::from_str(schema) {
        Ok(schema @ (Value::Object(_) | Value::Bool(_))) => Ok(schema),
        Ok(_) => {
            Err(Error::Refused("the schema is JSON, but neither an object nor a truth value".to_owned()))
        }
        Err(error) => Err(Error::Refused(format!("the schema is no JSON: {error}"))),
    }
}

fn lark(grammar: String) -> Result<Shape, Error> {
    if grammar.len() > MAX_LARK {
        return Err(Error::Limit(format!("a grammar of {} bytes; {MAX_LARK} at most", grammar.len())));
    }
    Ok(Shape::Lark(grammar))
}

impl State {
    fn completed(
        &mut self,
        asked: Result<(Arc<dyn Model>, Completion), Error>,
    ) -> wasmtime::Result<Result<String, Error>> {
        match asked {
            Ok((model, completion)) => {
                Ok(within(&self.deadline, model.complete(completion))?.map_err(Error::from))
            }
            Err(error) => Ok(Err(error)),
        }
    }
}

impl Host for State {
    fn complete(
        &mut self,
        messages: Vec<llm::Message>,
        schema: Option<String>,
        max_tokens: Option<u32>,
    ) -> wasmtime::Result<Result<String, Error>> {
        let shape = || schema.map_or(Ok(Shape::Free), |text| parse(&text).map(Shape::Json));
        let asked = self.completion(messages, shape, max_tokens);
        self.completed(asked)
    }

    fn complete_under(
        &mut self,
        messages: Vec<llm::Message>,
        grammar: String,
        max_tokens: Option<u32>,
    ) -> wasmtime::Result<Result<String, Error>> {
        let asked = self.completion(messages, || lark(grammar), max_tokens);
        self.completed(asked)
    }

    fn embed(&mut self, texts: Vec<String>) -> wasmtime::Result<Result<Vec<Vec<f32>>, Error>> {
        let ready = self.model().and_then(|(model, _)| {
            if texts.is_empty() || texts.len() > MAX_TEXTS {
                return Err(Error::Limit(format!(
                    "{} texts to embed; 1 to {MAX_TEXTS} are allowed",
                    texts.len()
                )));
            }
            text(texts.iter().map(String::len)).map(|()| model)
        });
        match ready {
            Ok(model) => Ok(within(&self.deadline, model.embed(texts))?.map_err(Error::from)),
            Err(error) => Ok(Err(error)),
        }
    }
}

//! Teacher forcing: the logits after every token of a given text, chosen by somebody else.
//!
//! For measuring a model, not for answering: how often two runtimes agree, how likely a text is. It runs on the
//! caller's thread with a graph of its own. Invariant: the logits are those that [`crate::Llm`] samples from.

use std::path::Path;

use crate::{Error, ModelOptions, Runtime, model::Model};

/// A model that is told its tokens.
pub struct Scorer {
    model: Model,
}

impl Scorer {
    /// Loads a model folder, as [`crate::Llm::load`] does.
    pub fn load(runtime: &Runtime, folder: &Path, options: &ModelOptions) -> Result<Scorer, Error> {
        Ok(Scorer { model: Model::load(runtime, folder, options)? })
    }

    /// Text to tokens; nothing in it is special.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>, Error> {
        self.model.vocabulary.encode_plain(text)
    }

    /// Begins a new text.
    pub fn restart(&mut self) -> Result<(), Error> {
        self.model.graph.truncate(0)
    }

    /// Appends tokens, at least one, and returns the logits `[vocabulary]` after the last.
    pub fn push(&mut self, tokens: &[u32]) -> Result<&[f32], Error> {
        let rows = self.model.graph.info().vocabulary.unwrap_or(usize::MAX);
        if let Some(token) = tokens.iter().find(|token| **token as usize >= rows) {
            return Err(Error::Request(format!("token {token} is beyond the {rows} that the model has")));
        }
        self.model.graph.evaluate(tokens)?;
        Ok(self.model.graph.logits())
    }
}

//! Teacher forcing: the logits after every token of a given text, chosen by somebody else.
//!
//! For measuring a model, not for answering: how often two runtimes agree, how likely a text is. It runs on the
//! caller's thread with a graph of its own. Invariant: the logits are those that [`crate::Llm`] samples from.

use std::path::Path;

use crate::{
    Error, ModelOptions, Runtime,
    backend::{Backend, Part},
    model::Model,
    runtime::Kind,
    vocabulary::Vocabulary,
};

/// A model that is told its tokens.
pub struct Scorer {
    vocabulary: std::sync::Arc<Vocabulary>,
    text: Box<dyn Told>,
}

impl Scorer {
    /// Loads a model folder, as [`crate::Llm::load`] does.
    pub fn load(runtime: &Runtime, folder: &Path, options: &ModelOptions) -> Result<Scorer, Error> {
        let model = Model::load(runtime, folder, options)?;
        let text: Box<dyn Told> = match model.graph {
            Kind::Paged(graph) => Box::new(Text { backend: *graph, sequence: None, tokens: Vec::new() }),
            Kind::Graph(graph) => Box::new(Text { backend: *graph, sequence: None, tokens: Vec::new() }),
        };
        Ok(Scorer { vocabulary: model.vocabulary, text })
    }

    /// A text to tokens; nothing in it is special.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>, Error> {
        self.vocabulary.encode_start(text)
    }

    /// Begins a new text.
    pub fn restart(&mut self) {
        self.text.restart();
    }

    /// Appends tokens, at least one, and returns the logits `[vocabulary]` after the last.
    pub fn push(&mut self, tokens: &[u32]) -> Result<&[f32], Error> {
        let rows = self.vocabulary.size();
        if let Some(token) = tokens.iter().find(|token| **token as usize >= rows) {
            return Err(Error::Request(format!("token {token} is beyond the {rows} that the model has")));
        }
        self.text.push(tokens)
    }
}

/// A text that grows.
trait Told {
    fn restart(&mut self);
    fn push(&mut self, tokens: &[u32]) -> Result<&[f32], Error>;
}

struct Text<B: Backend> {
    backend: B,
    sequence: Option<B::Sequence>,
    tokens: Vec<u32>,
}

impl<B: Backend> Told for Text<B> {
    fn restart(&mut self) {
        self.sequence = None;
        self.tokens.clear();
        self.backend.reset();
    }

    fn push(&mut self, tokens: &[u32]) -> Result<&[f32], Error> {
        let sequence = match &mut self.sequence {
            Some(sequence) => sequence,
            none => none.insert(self.backend.open(&[], false)?),
        };
        let (held, all) = (self.tokens.len(), self.tokens.len() + tokens.len());
        if tokens.is_empty() || !self.backend.reserve(sequence, &self.tokens, all) {
            return Err(Error::Request(format!("{} tokens after {held} do not fit", tokens.len())));
        }
        self.tokens.extend_from_slice(tokens);
        let part = Part { sequence, tokens: &self.tokens, wanted: vec![(all, None)] };
        let evaluated = self.backend.evaluate(vec![part]);
        if evaluated.is_err() {
            self.tokens.truncate(held);
        }
        evaluated?;
        Ok(self.backend.logits(0))
    }
}

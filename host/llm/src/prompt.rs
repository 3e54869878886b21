//! A rendered, tokenized prompt.

use std::{fmt, sync::Arc};

use toktrie::TokenId;

use crate::{
    Error,
    vocabulary::{Encoded, Vocabulary},
};

/// A rendered, tokenized prompt. What is pushed after the generation prompt is encoded together with the text that
/// stands there, as the model would have written it.
#[derive(Clone)]
pub struct Prompt {
    vocabulary: Arc<Vocabulary>,
    /// Text behind the last special token.
    tail: String,
    /// All tokens; the first `fixed` do not change any more.
    tokens: Vec<TokenId>,
    fixed: usize,
    failed: Option<Error>,
}

impl Prompt {
    pub(crate) fn new(vocabulary: &Arc<Vocabulary>, encoded: Encoded) -> Prompt {
        let Encoded { tokens, tail } = encoded;
        let fixed = tokens.len();
        let mut prompt = Prompt { vocabulary: vocabulary.clone(), tail, tokens, fixed, failed: None };
        prompt.encode_tail();
        prompt
    }

    /// Appends plain text after the generation prompt: the answer goes on from it. Special tokens in it are letters.
    pub fn push_text(&mut self, text: &str) {
        self.tail.push_str(text);
        self.encode_tail();
    }

    /// Its length in tokens.
    pub fn tokens(&self) -> usize {
        self.tokens.len()
    }

    /// Its tokens, for the model that rendered it.
    pub(crate) fn ids(&self, vocabulary: &Arc<Vocabulary>) -> Result<&[TokenId], Error> {
        if !Arc::ptr_eq(&self.vocabulary, vocabulary) {
            return Err(Error::Request("the prompt was rendered by another model".into()));
        }
        match &self.failed {
            None => Ok(&self.tokens),
            Some(error) => Err(error.clone()),
        }
    }

    fn encode_tail(&mut self) {
        self.tokens.truncate(self.fixed);
        match self.vocabulary.encode_start(&self.tail) {
            Ok(tokens) => self.tokens.extend(tokens),
            // Told when the prompt is used.
            Err(error) => self.failed = Some(error),
        }
    }
}

impl fmt::Debug for Prompt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Prompt").field("tokens", &self.tokens.len()).finish_non_exhaustive()
    }
}

//! What the engine asks of a loaded graph: sequences that grow token by token, several in one step.
//!
//! Two kinds: graphs of our own operators (`runtime/paged.rs`) evaluate all parts of a step at once, over pages that
//! sequences share; graphs of ONNX Runtime's operators (`runtime/graph.rs`) evaluate one after the other.

use toktrie::TokenId;

use crate::Error;

/// The logits that are wanted of a token: of these tokens (sorted), or of all.
pub(crate) type Wanted = Option<Vec<TokenId>>;

/// A sequence's share of a step.
pub(crate) struct Part<'a, S> {
    pub(crate) sequence: &'a mut S,
    /// The sequence's tokens from its beginning, up to the last that is evaluated.
    pub(crate) tokens: &'a [TokenId],
    /// What logits are wanted, and after how many of the tokens; none in the middle of a prompt.
    pub(crate) wanted: Vec<(usize, Wanted)>,
}

/// A loaded graph with the memory of its sequences.
pub(crate) trait Backend: Send + 'static {
    /// One sequence's keys and values.
    type Sequence: Send;

    /// Whether a token's logits are the same to the bit whatever is evaluated with it. If so, several tokens' logits can be
    /// had of one part; if not, those after the last.
    const EXACT: bool;

    /// Begins a sequence with what is known of the longest possible beginning of `prompt` (but for its last token).
    fn open(&mut self, prompt: &[TokenId], reuse: bool) -> Result<Self::Sequence, Error>;

    /// How many tokens a sequence begun now would have.
    fn known(&self, prompt: &[TokenId]) -> usize;

    /// Tokens whose keys and values the sequence has.
    fn length(&self, sequence: &Self::Sequence) -> usize;

    /// Whether a new sequence could have room for `prompt` and a token more without others ending first.
    fn fits(&self, prompt: &[TokenId], reuse: bool) -> bool;

    /// Makes room for `length` tokens; false, and nothing is forgotten for it, when others must end first. `tokens` are the
    /// sequence's own so far, which others may share from now on.
    fn reserve(&mut self, sequence: &mut Self::Sequence, tokens: &[TokenId], length: usize) -> bool;

    /// Evaluates each part's tokens beyond its sequence's length; there is room for them. Wanted logits follow each other in
    /// the order of the parts.
    fn evaluate(&mut self, parts: Vec<Part<'_, Self::Sequence>>) -> Result<(), Error>;

    /// The logits wanted as `row`-th in the last step; -∞ for what was not wanted.
    fn logits(&self, row: usize) -> &[f32];

    /// Forgets all tokens from `length` on.
    fn truncate(&mut self, sequence: &mut Self::Sequence, length: usize) -> Result<(), Error>;

    /// Ends a sequence, whose tokens these are; what it holds may serve later ones.
    fn close(&mut self, sequence: Self::Sequence, tokens: &[TokenId]);

    /// Forgets everything, after a failure.
    fn reset(&mut self);
}

//! How likely the chosen tokens were.
//!
//! Invariant: probabilities are the model's own over what the grammar allowed, before temperature, cuts and penalties; so they
//! do not depend on how tokens are sampled. What the grammar forced has probability 1.

use toktrie::{SimpleVob, TokenId};

use crate::{Error, sampler::each_allowed, vocabulary::Vocabulary};

/// Most alternatives of a token that can be asked for.
pub const MAX_ALTERNATIVES: usize = 20;

/// A token of an answer and how likely it was.
#[derive(Clone, Debug, PartialEq)]
pub struct TokenLogprob {
    /// Its bytes; they may end inside a character.
    pub bytes: Vec<u8>,
    /// The natural logarithm of its probability, 0 at most.
    pub logprob: f32,
    /// The likeliest that were allowed, with theirs, the likeliest first; as many as were asked for and allowed.
    pub top: Vec<(Vec<u8>, f32)>,
}

impl TokenLogprob {
    /// A token that the grammar forced.
    pub(crate) fn forced(vocabulary: &Vocabulary, token: TokenId, alternatives: usize) -> TokenLogprob {
        let bytes = vocabulary.bytes(token).to_vec();
        let top = if alternatives > 0 { vec![(bytes.clone(), 0.0)] } else { Vec::new() };
        TokenLogprob { bytes, logprob: 0.0, top }
    }

    /// A token that was chosen by `logits` among those of the mask.
    pub(crate) fn chosen(
        vocabulary: &Vocabulary,
        token: TokenId,
        logits: &[f32],
        mask: Option<&SimpleVob>,
        alternatives: usize,
    ) -> TokenLogprob {
        let mut allowed: Vec<(TokenId, f32)> = Vec::new();
        each_allowed(logits, mask, |token, logit| allowed.push((token, logit)));
        let best = allowed.iter().map(|(_, logit)| *logit).fold(f32::NEG_INFINITY, f32::max);
        let sum: f64 = allowed.iter().map(|(_, logit)| f64::from(logit - best).exp()).sum();
        let logprob = |logit: f32| (f64::from(logit - best) - sum.ln()) as f32;
        let likelier = |a: &(TokenId, f32), b: &(TokenId, f32)| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0));
        if alternatives < allowed.len() {
            allowed.select_nth_unstable_by(alternatives, likelier);
            allowed.truncate(alternatives);
        }
        allowed.sort_unstable_by(likelier);
        let top = allowed.iter().map(|(token, logit)| (vocabulary.bytes(*token).to_vec(), logprob(*logit)));
        let own = logits.get(token as usize).map_or(f32::NEG_INFINITY, |logit| logprob(*logit));
        TokenLogprob { bytes: vocabulary.bytes(token).to_vec(), logprob: own, top: top.collect() }
    }
}

/// Refuses more alternatives than there can be.
pub(crate) fn check(alternatives: Option<usize>) -> Result<(), Error> {
    match alternatives {
        Some(count) if count > MAX_ALTERNATIVES => {
            Err(Error::Request(format!("top_logprobs {count} is not between 0 and {MAX_ALTERNATIVES}")))
        }
        _ => Ok(()),
    }
}

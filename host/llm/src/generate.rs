//! What is asked of a model and what it answers.

use std::time::Duration;

use crate::{
    Error, Grammar, Prompt, Sampling, TokenLogprob, logprobs,
    text::{MAX_STOP_BYTES, MAX_STOPS},
};

/// What to generate.
#[derive(Clone, Debug)]
pub struct Request {
    /// What comes before.
    pub prompt: Prompt,
    /// What may come.
    pub grammar: Grammar,
    /// How a token is chosen.
    pub sampling: Sampling,
    /// Most tokens to generate, those of [`Request::lead`] not counted; capped by what remains of the context.
    pub max_tokens: usize,
    /// How an answer begins that is meant for somebody, as the grammar has it. What is within it counts towards no limit and is
    /// no stop string; of a text that begins otherwise no stop string is the end.
    pub lead: String,
    /// Strings that end the answer; they are not part of it. At most 16 of at most 1024 bytes.
    pub stop: Vec<String>,
    /// Tell how likely each token was, with so many of the likeliest beside it, 20 at most.
    pub logprobs: Option<usize>,
}

/// What a generation tells.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// More text; valid UTF-8, never a part of a stop string.
    Text(String),
    /// A token became part of the answer; its text comes later, at once or with that of others. Only where
    /// [`Request::logprobs`] asks for it.
    Token(TokenLogprob),
    /// The end.
    End(Finish),
}

/// How a generation ended.
#[derive(Clone, Debug, PartialEq)]
pub struct Finish {
    /// Why.
    pub reason: StopReason,
    /// What it took.
    pub usage: Usage,
}

/// Why a generation ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopReason {
    /// The model ended its answer, or the grammar is complete.
    Stop,
    /// A stop string appeared.
    StopString,
    /// `max_tokens` or the context is used up; under a grammar the text is then incomplete.
    Length,
}

/// What a generation took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Tokens of the prompt.
    pub prompt_tokens: usize,
    /// Of these, not computed again.
    pub cached_tokens: usize,
    /// Tokens of the answer.
    pub completion_tokens: usize,
    /// Of these, forced by the grammar without asking the model.
    pub forced_tokens: usize,
    /// Of the others, foreseen by looking them up in the prompt and the answer so far, and found right.
    pub foreseen_tokens: usize,
    /// Time until the first token could be chosen.
    pub prefill: Duration,
    /// Time from there to the end.
    pub decode: Duration,
    /// Time that the grammar took of both: masks, what it forces, foresight.
    pub grammar: Duration,
}

/// A whole answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Output {
    /// The text.
    pub text: String,
    /// Its tokens, where [`Request::logprobs`] asked for them.
    pub tokens: Vec<TokenLogprob>,
    /// How it ended.
    pub finish: Finish,
}

impl Request {
    /// Refuses what is out of range, naming the value and the limit.
    pub(crate) fn check(&self) -> Result<(), Error> {
        let request = self;
        request.sampling.check()?;
        logprobs::check(request.logprobs)?;
        if request.prompt.tokens() == 0 {
            return Err(Error::Request("an empty prompt; one token at least is needed".into()));
        }
        if request.stop.len() > MAX_STOPS {
            return Err(Error::Request(format!("{} stop strings, {MAX_STOPS} at most", request.stop.len())));
        }
        if let Some(long) = request.stop.iter().map(String::len).find(|&n| n > MAX_STOP_BYTES) {
            return Err(Error::Request(format!("a stop string of {long} bytes, {MAX_STOP_BYTES} at most")));
        }
        Ok(())
    }
}

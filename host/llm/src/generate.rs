//! The decode step, and what surrounds it: prefill, budget, text.
//!
//! Invariants:
//! - `tokens[..graph.length()]` are exactly what the KV cache holds; evaluation is put off until logits are needed, so
//!   a forced run is evaluated in one step with what follows, and the last tokens of an answer never;
//! - a token is committed to the matcher before it is shown;
//! - the same request gives the same answer whatever ran before. The runtime's results for a position do not depend on
//!   how many positions are evaluated together, except that one alone takes another path, with other rounding. So a
//!   prompt is never evaluated one token at a time, and of the KV cache only `steady` is kept: the positions before the
//!   first that was;
//! - prompt and answer together never pass the context.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use llguidance::Matcher;
use toktrie::{SimpleVob, TokenId};

use crate::{
    Error, Grammar, Prompt, Sampling,
    grammar::{self, Grammars},
    prefixes::Prefixes,
    runtime::Graph,
    sampler::Sampler,
    scheduler::Engine,
    text::{MAX_STOP_BYTES, MAX_STOPS, TextBuffer},
    vocabulary::Vocabulary,
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
    /// Most tokens to generate; capped by what remains of the context.
    pub max_tokens: usize,
    /// Strings that end the answer; they are not part of it. At most 16 of at most 1024 bytes.
    pub stop: Vec<String>,
}

/// What a generation tells.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// More text; valid UTF-8, never a part of a stop string.
    Text(String),
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
    /// Time until the first token could be chosen.
    pub prefill: Duration,
    /// Time from there to the end.
    pub decode: Duration,
}

/// A whole answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Output {
    /// The text.
    pub text: String,
    /// How it ended.
    pub finish: Finish,
}

/// Tokens of a prompt that are evaluated at once; cancellation is looked at in between.
const CHUNK: usize = 256;

/// What tests compare: without these the same tokens must come out, later.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shortcuts {
    /// Keep of the KV cache what the next prompt begins with.
    pub(crate) prefix_cache: bool,
    /// Commit what the grammar forces without asking the model.
    pub(crate) fast_forward: bool,
    /// Evaluate one token alone, on the runtime's faster path, instead of together with the one before.
    pub(crate) single: bool,
}

/// The model with its KV cache, owned by the model thread.
pub(crate) struct Decoder {
    pub(crate) graph: Graph,
    pub(crate) vocabulary: Arc<Vocabulary>,
    pub(crate) grammars: Arc<Grammars>,
    pub(crate) context: usize,
    pub(crate) eos: Vec<TokenId>,
    pub(crate) shortcuts: Shortcuts,
    prefixes: Prefixes,
    /// Prompt and answer of the current or the last request.
    tokens: Vec<TokenId>,
    /// Leading positions of the KV cache that were not evaluated alone.
    steady: usize,
}

/// The state of one answer.
struct Answer<'a> {
    matcher: Option<Matcher>,
    sampler: Sampler,
    text: TextBuffer,
    usage: Usage,
    /// Tokens that may still come.
    budget: usize,
    started: Instant,
    /// When the first logits were there.
    prefilled: Option<Instant>,
    /// Gets text; `false` cancels.
    listener: &'a mut dyn FnMut(String) -> bool,
}

impl Decoder {
    pub(crate) fn new(
        graph: Graph,
        vocabulary: Arc<Vocabulary>,
        grammars: Arc<Grammars>,
        context: usize,
        eos: Vec<TokenId>,
        shortcuts: Shortcuts,
        prefix_bytes: usize,
    ) -> Decoder {
        let prefixes = Prefixes::new(prefix_bytes);
        Decoder {
            graph,
            vocabulary,
            grammars,
            context,
            eos,
            shortcuts,
            prefixes,
            tokens: Vec::new(),
            steady: 0,
        }
    }

    /// THE decode step: fast-forward, mask, sample, commit. Says why the answer ends, when it does.
    fn step(&mut self, answer: &mut Answer<'_>) -> Result<Option<StopReason>, Error> {
        answer.show(String::new())?;
        if self.shortcuts.fast_forward {
            for token in answer.forced() {
                if let Some(reason) = self.commit(answer, token, true)? {
                    return Ok(Some(reason));
                }
            }
        }
        if answer.budget == 0 {
            return Ok(Some(StopReason::Length));
        }
        let mask = answer.mask()?;
        let only = mask.as_ref().filter(|mask| self.shortcuts.fast_forward && mask.num_set() == 1);
        if let Some(token) = only.and_then(SimpleVob::first_bit_set) {
            return self.commit(answer, token as TokenId, true);
        }
        let logits = self.evaluate(answer)?;
        let token = answer.sampler.sample(logits, mask.as_ref());
        let token =
            token.ok_or_else(|| Error::Inference("no allowed token has a number as its logit".into()))?;
        self.commit(answer, token, false)
    }

    /// Makes `token` part of the answer.
    fn commit(
        &mut self,
        answer: &mut Answer<'_>,
        token: TokenId,
        forced: bool,
    ) -> Result<Option<StopReason>, Error> {
        if self.eos.contains(&token) {
            return Ok(Some(StopReason::Stop));
        }
        if answer.budget == 0 {
            return Ok(Some(StopReason::Length));
        }
        answer.consume(token)?;
        self.tokens.push(token);
        answer.budget -= 1;
        answer.usage.completion_tokens += 1;
        answer.usage.forced_tokens += usize::from(forced);
        let text = answer.text.push(self.vocabulary.bytes(token));
        answer.show(text)?;
        if answer.text.stopped() {
            return Ok(Some(StopReason::StopString));
        }
        answer.complete()
    }

    /// The logits after all tokens so far; evaluates those that the KV cache does not hold.
    fn evaluate(&mut self, answer: &mut Answer<'_>) -> Result<&[f32], Error> {
        loop {
            let mut from = self.graph.length();
            let count = match self.tokens.len() - from {
                rest if rest <= CHUNK => rest,
                // The last of a long prompt is not evaluated alone.
                rest if rest == CHUNK + 1 => CHUNK - 1,
                _ => CHUNK,
            };
            let to = from + count;
            if count == 1 && from > 0 && !self.shortcuts.single {
                from -= 1;
                self.graph.truncate(from)?;
            }
            self.graph.evaluate(&self.tokens[from..to])?;
            if from <= self.steady && (to - from > 1 || from == 0) {
                self.steady = to;
            }
            if to == self.tokens.len() {
                break;
            }
            answer.show(String::new())?;
        }
        answer.prefilled.get_or_insert_with(Instant::now);
        // The rows behind the last token mean nothing.
        let logits = self.graph.logits();
        Ok(&logits[..logits.len().min(self.vocabulary.size())])
    }

    /// Keeps of the KV cache what the prompt begins with, or fetches what was kept aside of it, but for two tokens: the
    /// logits of the last are wanted. Returns how much.
    fn reuse(&mut self, prompt: &[TokenId]) -> Result<usize, Error> {
        // Where this fails, nothing is known of the cache.
        let steady = std::mem::take(&mut self.steady);
        let kept = if self.shortcuts.prefix_cache {
            let most = prompt.len().saturating_sub(2);
            self.prefixes.change(&mut self.graph, &self.tokens[..steady], prompt, most)?
        } else {
            self.graph.truncate(0)?;
            0
        };
        self.steady = kept;
        self.tokens.clear();
        self.tokens.extend_from_slice(prompt);
        Ok(kept)
    }
}

impl Engine<Request> for Decoder {
    fn generate(
        &mut self,
        request: &Request,
        listener: &mut dyn FnMut(String) -> bool,
    ) -> Result<Finish, Error> {
        let started = Instant::now();
        let prompt = request.prompt.ids(&self.vocabulary)?;
        check(request)?;
        if prompt.len() >= self.context {
            return Err(Error::PromptTooLong { prompt: prompt.len(), context: self.context });
        }
        let mut answer = Answer {
            matcher: self.grammars.matcher(&request.grammar)?,
            sampler: Sampler::new(request.sampling),
            text: TextBuffer::new(&request.stop),
            usage: Usage { prompt_tokens: prompt.len(), ..Usage::default() },
            budget: request.max_tokens.min(self.context - prompt.len()),
            started,
            prefilled: None,
            listener,
        };
        answer.usage.cached_tokens = self.reuse(prompt)?;
        let reason = loop {
            if let Some(reason) = self.step(&mut answer)? {
                break reason;
            }
        };
        answer.finish(reason)
    }

    fn reset(&mut self) -> Result<(), Error> {
        self.tokens.clear();
        self.steady = 0;
        self.prefixes.clear();
        self.graph.truncate(0)
    }
}

impl Answer<'_> {
    fn show(&mut self, text: String) -> Result<(), Error> {
        if (self.listener)(text) { Ok(()) } else { Err(Error::Cancelled) }
    }

    /// Tokens that the grammar forces now; none when there is no grammar.
    fn forced(&mut self) -> Vec<TokenId> {
        self.matcher.as_mut().map(Matcher::compute_ff_tokens).unwrap_or_default()
    }

    fn mask(&mut self) -> Result<Option<SimpleVob>, Error> {
        let mask = self.matcher.as_mut().map(Matcher::compute_mask).transpose();
        mask.map_err(|e| Error::Grammar(grammar::clean(&e.to_string())))
    }

    fn consume(&mut self, token: TokenId) -> Result<(), Error> {
        let consumed = self.matcher.as_mut().map_or(Ok(()), |matcher| matcher.consume_token(token));
        consumed.map_err(|e| Error::Grammar(grammar::clean(&e.to_string())))
    }

    /// Whether the grammar is complete.
    fn complete(&self) -> Result<Option<StopReason>, Error> {
        match &self.matcher {
            Some(matcher) if matcher.is_stopped() => {
                let reason = matcher.stop_reason();
                let complete = reason.is_ok().then_some(Some(StopReason::Stop));
                complete
                    .ok_or_else(|| Error::Grammar(format!("it grew too complex while decoding ({reason})")))
            }
            _ => Ok(None),
        }
    }

    fn finish(mut self, reason: StopReason) -> Result<Finish, Error> {
        let rest = self.text.finish();
        self.show(rest)?;
        let now = Instant::now();
        let prefilled = self.prefilled.unwrap_or(now);
        self.usage.prefill = prefilled - self.started;
        self.usage.decode = now - prefilled;
        Ok(Finish { reason, usage: self.usage })
    }
}

fn check(request: &Request) -> Result<(), Error> {
    request.sampling.check()?;
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

//! One answer while it is made: what the grammar forces, what may come next, and what is committed.
//!
//! Invariants:
//! - a token is committed to the matcher before it is shown;
//! - which tokens are committed depends on the request and the logits alone. What is foreseen ([`Choice::foreseen`]) follows
//!   the very steps that would be taken without it, on a copy of the matcher, and is thrown away from the first choice on
//!   that turned out otherwise;
//! - prompt and answer together never pass the context.

use std::{sync::Arc, time::Instant};

use llguidance::Matcher;
use toktrie::{SimpleVob, TokenId};

use crate::{
    Error, Request, StopReason, TokenLogprob, Usage,
    backend::Wanted,
    generate::{Event, Finish},
    grammar::{self, Compiled},
    lookup,
    sampler::Sampler,
    scheduler::Events,
    text::TextBuffer,
    vocabulary::Vocabulary,
};

/// Foreseen choices of a step at most.
pub(crate) const FORESIGHT: usize = 4;
/// Foreseen tokens of a step at most, forced ones among them.
const FORESEEN: usize = 12;
/// A mask of more tokens than this part of the vocabulary has all logits computed.
const FEW: usize = 4;

/// The model's own choice of a token.
#[derive(Default)]
pub(crate) struct Choice {
    /// What the grammar allows; `None` for everything.
    mask: Option<SimpleVob>,
    /// What will probably be chosen, and what the grammar forces after it; to be evaluated in the same step.
    foreseen: Vec<TokenId>,
}

/// How an answer goes on.
pub(crate) enum Next {
    /// The logits after its last token are needed.
    Choose,
    End(StopReason),
}

/// Why a token was committed.
enum Origin {
    /// The grammar allowed no other.
    Forced,
    /// The sampler took it; how likely it was, where that is asked for.
    Chosen(Option<TokenLogprob>),
}

/// What does not change from answer to answer.
pub(crate) struct Rules {
    pub(crate) vocabulary: Arc<Vocabulary>,
    pub(crate) eos: Vec<TokenId>,
    /// Commit what the grammar forces without asking the model.
    pub(crate) fast_forward: bool,
}

/// The state of one answer.
pub(crate) struct Answer {
    /// Prompt and answer.
    pub(crate) tokens: Vec<TokenId>,
    pub(crate) usage: Usage,
    matcher: Option<Matcher>,
    /// What gives a matcher of the answer's own, once, should that one fail. A matcher shares its lexer with all that were made
    /// of one grammar, and with the copies that foresee; where one of them leads the lexer to its limits, it fails for all,
    /// however sound their own texts are.
    remedy: Option<Compiled>,
    sampler: Sampler,
    logprobs: Option<usize>,
    text: TextBuffer,
    events: Events,
    /// Tokens that the request still allows.
    budget: usize,
    /// Tokens that the context has still room for.
    room: usize,
    /// The choices that wait for logits.
    pub(crate) choices: Vec<Choice>,
    /// How many of the foreseen choices come true, in the long run.
    luck: f32,
    started: Instant,
    /// When the first logits were there.
    prefilled: Option<Instant>,
}

impl Answer {
    /// `grammar` is the request's; prompt and answer have room for `context` tokens.
    pub(crate) fn new(
        request: &Request,
        prompt: &[TokenId],
        grammar: Option<Compiled>,
        context: usize,
        events: Events,
    ) -> Answer {
        Answer {
            tokens: prompt.to_vec(),
            usage: Usage { prompt_tokens: prompt.len(), ..Usage::default() },
            matcher: grammar.as_ref().map(|grammar| grammar.matcher.clone()),
            remedy: grammar,
            sampler: Sampler::new(request.sampling, prompt),
            logprobs: request.logprobs,
            text: TextBuffer::new(&request.stop, &request.lead),
            events,
            budget: request.max_tokens,
            room: context.saturating_sub(prompt.len()),
            choices: Vec::new(),
            luck: 0.5,
            started: Instant::now(),
            prefilled: None,
        }
    }

    /// Whether nobody waits for it any more.
    pub(crate) fn is_abandoned(&self) -> bool {
        self.events.is_closed()
    }

    /// Tokens that may still come.
    fn left(&self) -> usize {
        self.budget.min(self.room)
    }

    /// Commits what the grammar forces, up to the next choice.
    pub(crate) fn advance(&mut self, rules: &Rules) -> Result<Next, Error> {
        let began = Instant::now();
        let next = self.advanced(rules);
        self.usage.grammar += began.elapsed();
        next
    }

    fn advanced(&mut self, rules: &Rules) -> Result<Next, Error> {
        loop {
            if rules.fast_forward {
                for token in forced(&mut self.matcher) {
                    if let Some(reason) = self.commit(rules, token, Origin::Forced)? {
                        return Ok(Next::End(reason));
                    }
                }
            }
            if self.left() == 0 {
                return Ok(Next::End(StopReason::Length));
            }
            let mask = match mask(&mut self.matcher) {
                Err(error) => {
                    self.recover(error)?;
                    continue;
                }
                Ok(mask) => mask,
            };
            let Some(token) = rules.only(mask.as_ref()) else {
                self.choices = vec![Choice { mask, foreseen: Vec::new() }];
                return Ok(Next::Choose);
            };
            if let Some(reason) = self.commit(rules, token, Origin::Forced)? {
                return Ok(Next::End(reason));
            }
        }
    }

    /// Goes on with a matcher of the answer's own after `error`, if it has not done so before.
    fn recover(&mut self, error: Error) -> Result<(), Error> {
        let Some(remedy) = self.remedy.take() else { return Err(error) };
        let mut matcher = Some(remedy.own_matcher());
        for token in &self.tokens[self.usage.prompt_tokens..] {
            consume(&mut matcher, *token)?;
        }
        self.matcher = matcher;
        Ok(())
    }

    /// Foresees up to `most` of the next choices, with the runs that the grammar forces after them. A run that does not fit is
    /// left out as a whole: it is committed as a whole, too. Where the grammar cannot be followed, nothing more is foreseen.
    pub(crate) fn foresee(&mut self, rules: &Rules, most: usize) {
        let began = Instant::now();
        self.follow(rules, most);
        self.usage.grammar += began.elapsed();
    }

    fn follow(&mut self, rules: &Rules, most: usize) {
        self.unforesee();
        if self.matcher.is_some() && self.remedy.is_none() {
            // Nothing that is only foreseen may lead its last matcher to its limits.
            return;
        }
        let most = most.min((self.luck * FORESIGHT as f32).ceil() as usize);
        let room = FORESEEN.min(self.left().saturating_sub(1));
        let mut proposal =
            lookup::proposal(&self.tokens, |token| rules.vocabulary.spaceless(token)).iter().copied();
        let mut matcher = None;
        let mut count = 0;
        while self.choices.len() <= most && count < room {
            let (Some(token), Some(choice)) = (proposal.next(), self.choices.last_mut()) else { return };
            let allowed = choice.mask.as_ref().is_none_or(|mask| mask.is_allowed(token));
            if !allowed || rules.eos.contains(&token) {
                return;
            }
            let matcher = matcher.get_or_insert_with(|| self.matcher.clone());
            if consume(matcher, token).is_err() {
                return;
            }
            choice.foreseen.push(token);
            count += 1;
            // What follows it without a choice.
            let mask = loop {
                if matcher.as_ref().is_some_and(Matcher::is_stopped) {
                    return;
                }
                let mut run = if rules.fast_forward { forced(matcher) } else { Vec::new() };
                if run.is_empty() {
                    let Ok(mask) = mask(matcher) else { return };
                    match rules.only(mask.as_ref()) {
                        Some(token) => run.push(token),
                        None => break mask,
                    }
                }
                let ends = run.iter().any(|token| rules.eos.contains(token));
                if ends || count + run.len() > room {
                    return;
                }
                for token in run {
                    if consume(matcher, token).is_err() {
                        return;
                    }
                    choice.foreseen.push(token);
                    count += 1;
                    // Where the text copied is forced, the proposal goes on behind it.
                    if proposal.clone().next() == Some(token) {
                        proposal.next();
                    }
                }
            };
            self.choices.push(Choice { mask, foreseen: Vec::new() });
        }
    }

    /// Forgets what is foreseen.
    pub(crate) fn unforesee(&mut self) {
        self.choices.truncate(1);
        self.choices.iter_mut().for_each(|choice| choice.foreseen.clear());
    }

    /// All that is foreseen, in order.
    pub(crate) fn foreseen(&self) -> impl Iterator<Item = TokenId> + '_ {
        self.choices.iter().flat_map(|choice| choice.foreseen.iter().copied())
    }

    /// Which logits the choices need: after how many of the tokens and the foreseen ones, and of which tokens.
    pub(crate) fn wanted(&self, rules: &Rules) -> Vec<(usize, Wanted)> {
        let few = rules.vocabulary.size() / FEW;
        let mut at = self.tokens.len();
        let each = self.choices.iter().map(|choice| {
            let place = at;
            at += choice.foreseen.len();
            let mask = choice.mask.as_ref().filter(|mask| mask.num_set() < few);
            let rows = mask.map(|mask| {
                let mut rows = Vec::new();
                mask.iter_set_entries(|token| rows.push(token as TokenId));
                rows
            });
            (place, rows)
        });
        each.collect()
    }

    /// Takes the logits of each of the choices and commits what they choose, as far as it was foreseen and one further.
    pub(crate) fn choose<'l>(
        &mut self,
        rules: &Rules,
        mut logits: impl FnMut(usize) -> &'l [f32],
    ) -> Result<Option<StopReason>, Error> {
        self.prefilled.get_or_insert_with(Instant::now);
        let choices = std::mem::take(&mut self.choices);
        let guesses = choices.iter().filter(|choice| !choice.foreseen.is_empty()).count();
        let mut right = 0;
        let mut outcome = None;
        for (row, choice) in choices.iter().enumerate() {
            let logits = logits(row);
            // The rows behind the last token mean nothing.
            let logits = &logits[..logits.len().min(rules.vocabulary.size())];
            let token = self.sampler.sample(logits, choice.mask.as_ref());
            let token =
                token.ok_or_else(|| Error::Inference("no allowed token has a number as its logit".into()))?;
            let told = self.logprobs.map(|alternatives| {
                TokenLogprob::chosen(&rules.vocabulary, token, logits, choice.mask.as_ref(), alternatives)
            });
            outcome = self.commit(rules, token, Origin::Chosen(told))?;
            let Some((guess, forced)) = choice.foreseen.split_first() else { break };
            if outcome.is_some() || *guess != token {
                break;
            }
            right += 1;
            for token in forced {
                if outcome.is_none() {
                    outcome = self.commit(rules, *token, Origin::Forced)?;
                }
            }
            if outcome.is_some() {
                break;
            }
        }
        self.usage.foreseen_tokens += right;
        if guesses > 0 {
            self.luck = 0.75 * self.luck + 0.25 * right as f32 / guesses as f32;
        }
        Ok(outcome)
    }

    /// Makes `token` part of the answer.
    fn commit(&mut self, rules: &Rules, token: TokenId, origin: Origin) -> Result<Option<StopReason>, Error> {
        if rules.eos.contains(&token) {
            return Ok(Some(StopReason::Stop));
        }
        if self.left() == 0 {
            return Ok(Some(StopReason::Length));
        }
        if let Err(error) = consume(&mut self.matcher, token) {
            self.recover(error)?;
            consume(&mut self.matcher, token)?;
        }
        self.tokens.push(token);
        self.sampler.saw(token);
        let bytes = rules.vocabulary.bytes(token);
        self.room -= 1;
        self.budget -= usize::from(!self.text.leads(bytes));
        self.usage.completion_tokens += 1;
        self.usage.forced_tokens += usize::from(matches!(origin, Origin::Forced));
        let told = match origin {
            Origin::Chosen(told) => told,
            Origin::Forced => {
                self.logprobs.map(|count| TokenLogprob::forced(&rules.vocabulary, token, count))
            }
        };
        if let Some(told) = told {
            self.events.send(Ok(Event::Token(told)));
        }
        let text = self.text.push(bytes);
        self.events.text(text);
        if self.text.stopped() {
            return Ok(Some(StopReason::StopString));
        }
        loop {
            let stopped = self.matcher.as_ref().filter(|matcher| matcher.is_stopped());
            let Some(reason) = stopped.map(Matcher::stop_reason) else { return Ok(None) };
            if reason.is_ok() {
                return Ok(Some(StopReason::Stop));
            }
            self.recover(Error::Grammar(format!("it grew too complex while decoding ({reason})")))?;
        }
    }

    /// Tells the end.
    pub(crate) fn finish(mut self, outcome: Result<StopReason, Error>) {
        let end = outcome.map(|reason| {
            let rest = self.text.finish();
            self.events.text(rest);
            let now = Instant::now();
            let prefilled = self.prefilled.unwrap_or(now);
            self.usage.prefill = prefilled - self.started;
            self.usage.decode = now - prefilled;
            Event::End(Finish { reason, usage: self.usage })
        });
        self.events.send(end);
    }
}

impl Rules {
    /// The only token that a mask allows.
    fn only(&self, mask: Option<&SimpleVob>) -> Option<TokenId> {
        let mask = mask.filter(|mask| self.fast_forward && mask.num_set() == 1)?;
        mask.first_bit_set().map(|token| token as TokenId)
    }
}

/// Tokens that the grammar forces now; none when there is no grammar.
fn forced(matcher: &mut Option<Matcher>) -> Vec<TokenId> {
    matcher.as_mut().map(Matcher::compute_ff_tokens).unwrap_or_default()
}

fn mask(matcher: &mut Option<Matcher>) -> Result<Option<SimpleVob>, Error> {
    let mask = matcher.as_mut().map(Matcher::compute_mask).transpose();
    mask.map_err(|e| Error::Grammar(grammar::clean(&e.to_string())))
}

fn consume(matcher: &mut Option<Matcher>, token: TokenId) -> Result<(), Error> {
    let consumed = matcher.as_mut().map_or(Ok(()), |matcher| matcher.consume_token(token));
    consumed.map_err(|e| Error::Grammar(grammar::clean(&e.to_string())))
}

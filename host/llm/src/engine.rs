//! All answers that are being made, one step after another: what each needs goes into one evaluation.
//!
//! A step: answers that nobody waits for any more are dropped; each answer's next tokens are gathered (what was chosen, what
//! is forced, what is foreseen, or a chunk of a prompt); they are evaluated together; each answer chooses.
//!
//! Invariants: a sequence holds leading tokens of its answer; a long prompt never holds up the others for longer than a chunk
//! takes; when the pages run out, the youngest answer gives up its own and has them evaluated again later, which shows in
//! nothing but the time.

use std::sync::Arc;

use toktrie::TokenId;

use crate::{
    Error, Request,
    answer::{Answer, FORESIGHT, Next, Rules},
    backend::{Backend, Part, Wanted},
    cpu::paged::PAGE,
    grammar::Compiled,
    pages::common,
    scheduler::{Engine, Events},
    vocabulary::Vocabulary,
};

/// Tokens of prompts that are evaluated in one step.
const CHUNK: usize = 256;
/// The same while other answers are being written.
const SMALL_CHUNK: usize = 64;
/// More tokens than this to evaluate are a prompt's.
const SHORT: usize = 32;

/// What tests compare: with each of these the same tokens must come out, sooner.
#[derive(Clone, Copy, Debug)]
pub struct Shortcuts {
    /// Share what is known of the beginning of a prompt.
    pub prefix_cache: bool,
    /// Commit what the grammar forces without asking the model.
    pub fast_forward: bool,
    /// Foresee what is copied from the prompt.
    pub foresight: bool,
    /// Tokens of prompts in one step.
    pub chunk: usize,
}

impl Default for Shortcuts {
    /// All of them.
    fn default() -> Shortcuts {
        Shortcuts { prefix_cache: true, fast_forward: true, foresight: true, chunk: CHUNK }
    }
}

/// A request with its grammar compiled.
pub(crate) struct Ready {
    pub(crate) request: Request,
    pub(crate) prompt: Vec<TokenId>,
    pub(crate) grammar: Option<Compiled>,
}

/// The model with the answers that it is making, owned by the model thread.
pub(crate) struct Decoder<B: Backend> {
    backend: B,
    rules: Rules,
    context: usize,
    /// Answers at once.
    most: usize,
    shortcuts: Shortcuts,
    /// In the order of arrival.
    slots: Vec<Slot<B::Sequence>>,
}

struct Slot<S> {
    answer: Answer,
    /// `None` until its turn comes, and after it gave up its pages.
    sequence: Option<S>,
    /// Whether the sequence was begun before.
    begun: bool,
    /// Set when it is over.
    outcome: Option<Result<crate::StopReason, Error>>,
}

/// What a step evaluates of one slot.
struct Share {
    slot: usize,
    /// The tokens from the first of the answer on, the foreseen ones among them.
    tokens: Vec<TokenId>,
    wanted: Vec<(usize, Wanted)>,
}

impl<B: Backend> Decoder<B> {
    pub(crate) fn new(
        backend: B,
        vocabulary: Arc<Vocabulary>,
        eos: Vec<TokenId>,
        context: usize,
        most: usize,
        shortcuts: Shortcuts,
    ) -> Decoder<B> {
        let rules = Rules { vocabulary, eos, fast_forward: shortcuts.fast_forward };
        Decoder { backend, rules, context, most, shortcuts, slots: Vec::new() }
    }

    /// Drops what nobody waits for and what is over.
    fn sweep(&mut self) {
        for slot in &mut self.slots {
            if slot.outcome.is_none() && slot.answer.is_abandoned() {
                slot.outcome = Some(Err(Error::Cancelled));
            }
        }
        let mut at = 0;
        while at < self.slots.len() {
            if self.slots[at].outcome.is_none() {
                at += 1;
                continue;
            }
            let slot = self.slots.remove(at);
            if let Some(sequence) = slot.sequence {
                let length = self.backend.length(&sequence);
                self.backend.close(sequence, &slot.answer.tokens[..length]);
            }
            if let Some(outcome) = slot.outcome {
                slot.answer.finish(outcome);
            }
        }
    }

    /// What each slot has evaluated in this step.
    fn gather(&mut self) -> Vec<Share> {
        let is_writing = |slot: &Slot<B::Sequence>| slot.sequence.is_some() && self.pending(slot) <= SHORT;
        let writing = self.slots.iter().filter(|slot| is_writing(slot)).count();
        let foresight = match (B::EXACT && self.shortcuts.foresight, writing) {
            (false, _) => 0,
            (true, ..3) => FORESIGHT,
            (true, _) => 2,
        };
        let chunk = if writing > 0 { SMALL_CHUNK } else { CHUNK };
        let counts = self.chunks(chunk.min(self.shortcuts.chunk.max(2)));
        let mut shares = Vec::new();
        let mut full = false;
        for (at, count) in counts.into_iter().enumerate() {
            if full && self.slots[at].sequence.is_none() {
                continue;
            }
            match self.share(at, count, foresight) {
                Ok(Some(share)) => shares.push(share),
                Ok(None) => full |= count > 0 && self.slots[at].sequence.is_none(),
                Err(error) => self.slots[at].outcome = Some(Err(error)),
            }
        }
        shares
    }

    /// How many tokens of its prompt each slot may have evaluated, `chunk` in all: a quarter for the oldest, so that it gets on,
    /// the rest for those that have the least to go. One that begins as another does whose prompt is being evaluated waits
    /// for it; one for which there is no room yet has those behind it wait too, or they would take its room for ever.
    fn chunks(&self, chunk: usize) -> Vec<usize> {
        let mut counts = vec![0; self.slots.len()];
        let mut prompts: Vec<(usize, usize)> = Vec::new();
        let alone = self.slots.iter().all(|slot| slot.sequence.is_none());
        let mut full = false;
        for (at, slot) in self.slots.iter().enumerate() {
            let pending = self.pending(slot);
            if slot.outcome.is_some() || (slot.sequence.is_some() && pending <= SHORT) {
                continue;
            }
            let twin = |(other, _): &(usize, usize)| {
                let other = &self.slots[*other];
                let held = other.answer.tokens.len() - self.pending(other);
                common(&other.answer.tokens, &slot.answer.tokens) >= held + PAGE
            };
            if slot.sequence.is_none() {
                if self.shortcuts.prefix_cache && prompts.iter().any(twin) {
                    continue;
                }
                // Who cannot begin yet takes nothing from those that others wait for.
                let is_first = alone && prompts.is_empty();
                full = full || !(is_first || self.fits(slot));
                if full {
                    continue;
                }
            }
            prompts.push((at, pending));
        }
        let mut left = chunk;
        if let Some((oldest, pending)) = prompts.first() {
            counts[*oldest] = (*pending).min(chunk / 4);
            left -= counts[*oldest];
        }
        prompts.sort_by_key(|(at, pending)| (*pending, *at));
        for (at, pending) in prompts {
            let more = (pending - counts[at]).min(left);
            counts[at] += more;
            left -= more;
        }
        counts
    }

    /// Tokens of a slot that its sequence does not hold, or would not if it began now.
    fn pending(&self, slot: &Slot<B::Sequence>) -> usize {
        let tokens = &slot.answer.tokens;
        let held = match &slot.sequence {
            Some(sequence) => self.backend.length(sequence),
            None if self.shortcuts.prefix_cache => self.backend.known(tokens),
            None => 0,
        };
        tokens.len() - held
    }

    /// Whether there is room for a slot's sequence and a token more.
    fn fits(&self, slot: &Slot<B::Sequence>) -> bool {
        self.backend.fits(&slot.answer.tokens, self.shortcuts.prefix_cache)
    }

    /// Begins the slot's sequence, when there is room for it or nobody else to wait for; whether it has one.
    fn open(&mut self, at: usize) -> Result<bool, Error> {
        if self.slots[at].sequence.is_some() {
            return Ok(true);
        }
        let alone = self.slots.iter().all(|slot| slot.sequence.is_none());
        if !alone && !self.fits(&self.slots[at]) {
            return Ok(false);
        }
        let slot = &mut self.slots[at];
        let sequence = self.backend.open(&slot.answer.tokens, self.shortcuts.prefix_cache)?;
        if !slot.begun {
            slot.begun = true;
            let cached = self.backend.length(&sequence).min(slot.answer.usage.prompt_tokens);
            slot.answer.usage.cached_tokens = cached;
        }
        slot.sequence = Some(sequence);
        Ok(true)
    }

    /// What a slot has evaluated, of its prompt `chunk` tokens at most.
    fn share(&mut self, at: usize, chunk: usize, foresight: usize) -> Result<Option<Share>, Error> {
        let begins = self.slots[at].sequence.is_none();
        if self.slots[at].outcome.is_some() || (begins && chunk == 0) || !self.open(at)? {
            return Ok(None);
        }
        let all = self.slots[at].answer.tokens.len();
        let mut pending = self.pending(&self.slots[at]);
        if pending == 0 {
            // The logits after the last token are gone; it is evaluated again.
            if let Some(sequence) = &mut self.slots[at].sequence {
                self.backend.truncate(sequence, all - 1)?;
            }
            pending = 1;
        }
        let mut count = pending;
        if begins || pending > SHORT {
            count = pending.min(chunk);
            // Where one token alone is rounded otherwise, none of a prompt is left alone, nor its last one.
            if !B::EXACT && (count + 1 == pending || count == 1) && pending > 1 {
                count = (count - 1) / 2 * 2;
            }
        }
        if count == 0 {
            return Ok(None);
        }
        let last = count == pending;
        let slot = &mut self.slots[at];
        slot.answer.foresee(&self.rules, if last && pending <= SHORT { foresight } else { 0 });
        let evaluated = slot.answer.tokens[..all - pending + count].to_vec();
        let foreseen: Vec<TokenId> = if last { slot.answer.foreseen().collect() } else { Vec::new() };
        let mut tokens = [evaluated, foreseen].concat();
        if tokens.len() > all - pending + count && !self.room(at, tokens.len()) {
            // Nobody makes way for what is only foreseen.
            tokens.truncate(all - pending + count);
            self.slots[at].answer.unforesee();
        }
        if !self.reserve(at, &tokens) {
            return Ok(None);
        }
        let wanted = if last { self.slots[at].answer.wanted(&self.rules) } else { Vec::new() };
        Ok(Some(Share { slot: at, tokens, wanted }))
    }

    /// Gives a slot room for so many tokens, if that takes it from nobody.
    fn room(&mut self, at: usize, length: usize) -> bool {
        let Some(mut sequence) = self.slots[at].sequence.take() else { return false };
        let held = self.backend.length(&sequence);
        let room = self.backend.reserve(&mut sequence, &self.slots[at].answer.tokens[..held], length);
        self.slots[at].sequence = Some(sequence);
        room
    }

    /// Makes room, where need be by taking it from the youngest.
    fn reserve(&mut self, at: usize, tokens: &[TokenId]) -> bool {
        loop {
            if self.room(at, tokens.len()) {
                return true;
            }
            if self.slots[at].sequence.is_none() {
                return false;
            }
            let youngest = (0..self.slots.len()).rev().find(|slot| self.slots[*slot].sequence.is_some());
            let Some(youngest) = youngest else { return false };
            let slot = &mut self.slots[youngest];
            if let Some(sequence) = slot.sequence.take() {
                let held = self.backend.length(&sequence);
                self.backend.close(sequence, &slot.answer.tokens[..held]);
            }
        }
    }

    /// Evaluates the shares together and has every answer choose.
    fn evaluate(&mut self, shares: &[Share]) -> Result<(), Error> {
        let mut parts = Vec::new();
        let mut slots = self.slots.iter_mut().enumerate();
        for share in shares {
            let slot = slots.find(|(index, _)| *index == share.slot);
            if let Some(sequence) = slot.and_then(|(_, slot)| slot.sequence.as_mut()) {
                parts.push(Part { sequence, tokens: &share.tokens, wanted: share.wanted.clone() });
            }
        }
        self.backend.evaluate(parts)?;
        let mut first = 0;
        for share in shares {
            let slot = &mut self.slots[share.slot];
            if !share.wanted.is_empty() {
                let backend = &self.backend;
                let rules = &self.rules;
                let chosen = slot.answer.choose(rules, |row| backend.logits(first + row));
                first += share.wanted.len();
                let next = match chosen {
                    Ok(None) => slot.answer.advance(rules),
                    Ok(Some(reason)) => Ok(Next::End(reason)),
                    Err(error) => Err(error),
                };
                slot.outcome = outcome(next);
            }
            if let Some(sequence) = &mut slot.sequence {
                let right = share.tokens.iter().zip(&slot.answer.tokens).take_while(|(a, b)| a == b).count();
                if right < share.tokens.len() {
                    self.backend.truncate(sequence, right)?;
                }
            }
        }
        Ok(())
    }
}

/// How an answer ends, where it does.
fn outcome(next: Result<Next, Error>) -> Option<Result<crate::StopReason, Error>> {
    match next {
        Ok(Next::Choose) => None,
        Ok(Next::End(reason)) => Some(Ok(reason)),
        Err(error) => Some(Err(error)),
    }
}

impl<B: Backend> Engine for Decoder<B> {
    type Ready = Ready;

    fn has_room(&self) -> bool {
        self.slots.len() < self.most
    }

    fn is_idle(&self) -> bool {
        self.slots.is_empty()
    }

    fn admit(&mut self, ready: Ready, events: Events) {
        let mut answer = Answer::new(&ready.request, &ready.prompt, ready.grammar, self.context, events);
        let outcome = outcome(answer.advance(&self.rules));
        self.slots.push(Slot { answer, sequence: None, begun: false, outcome });
    }

    fn step(&mut self) {
        self.sweep();
        let shares = self.gather();
        if !shares.is_empty()
            && let Err(error) = self.evaluate(&shares)
        {
            // What the sequences hold is not sure any more; the answers of this step are lost, the others begin anew.
            for share in &shares {
                let outcome = &mut self.slots[share.slot].outcome;
                outcome.get_or_insert_with(|| Err(error.clone()));
            }
            self.forget();
        }
        self.sweep();
    }

    fn abandon(&mut self, error: &Error) {
        self.forget();
        for slot in self.slots.drain(..) {
            slot.answer.finish(Err(error.clone()));
        }
    }
}

impl<B: Backend> Decoder<B> {
    /// Forgets what was evaluated.
    fn forget(&mut self) {
        for slot in &mut self.slots {
            slot.sequence = None;
        }
        self.backend.reset();
    }
}

#[cfg(test)]
#[path = "engine_tests.rs"]
mod tests;

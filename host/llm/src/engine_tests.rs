//! The engine over a backend whose logits are plain arithmetic on a sequence's tokens, with real pages.

use std::sync::OnceLock;

use tokio::sync::mpsc::UnboundedReceiver;
use toktrie::TokenId;

use super::*;
use crate::{
    Grammar, Prompt, Sampling,
    generate::{Event, Output},
    pages::{self, Pages},
    vocabulary::Encoded,
};

/// Likelier than all others is a token that follows from the tokens before.
struct Plain {
    pages: Pages,
    logits: Vec<Vec<f32>>,
    /// Tokens evaluated in all.
    evaluated: usize,
    /// The step that fails, counted down.
    fails_in: Option<usize>,
}

const SIZE: usize = 90;

fn next(tokens: &[TokenId]) -> TokenId {
    let hash = tokens.iter().fold(7_u64, |hash, token| hash.wrapping_mul(31).wrapping_add(u64::from(*token)));
    ((hash >> 7) % SIZE as u64) as TokenId
}

impl Backend for Plain {
    type Sequence = pages::Sequence;

    const EXACT: bool = true;

    fn open(&mut self, prompt: &[TokenId], reuse: bool) -> Result<pages::Sequence, Error> {
        Ok(self.pages.open(prompt, if reuse { prompt.len() - 1 } else { 0 }).0)
    }

    fn known(&self, prompt: &[TokenId]) -> usize {
        self.pages.known(&prompt[..prompt.len() - 1])
    }

    fn length(&self, sequence: &pages::Sequence) -> usize {
        sequence.length
    }

    fn fits(&self, prompt: &[TokenId], reuse: bool) -> bool {
        self.pages.fits(prompt, reuse)
    }

    fn reserve(&mut self, sequence: &mut pages::Sequence, tokens: &[TokenId], length: usize) -> bool {
        self.pages.publish(sequence, tokens);
        self.pages.reserve(sequence, length)
    }

    fn evaluate(&mut self, parts: Vec<Part<'_, pages::Sequence>>) -> Result<(), Error> {
        self.fails_in = self.fails_in.map(|steps| steps.wrapping_sub(1));
        if self.fails_in == Some(0) {
            return Err(Error::Inference("on purpose".into()));
        }
        self.logits.clear();
        for part in parts {
            assert!(part.sequence.length < part.tokens.len(), "something to evaluate");
            assert!(part.sequence.pages.len() * PAGE >= part.tokens.len(), "room for it");
            self.evaluated += part.tokens.len() - part.sequence.length;
            for (after, rows) in part.wanted {
                assert!(after > part.sequence.length, "logits of this step");
                let best = next(&part.tokens[..after]);
                let wanted =
                    |token: &usize| rows.as_ref().is_none_or(|rows| rows.contains(&(*token as TokenId)));
                let logit = |token: usize| if token as TokenId == best { 1.0 } else { 0.0 };
                let row =
                    (0..SIZE).map(|token| if wanted(&token) { logit(token) } else { f32::NEG_INFINITY });
                self.logits.push(row.collect());
            }
            part.sequence.length = part.tokens.len();
        }
        Ok(())
    }

    fn logits(&self, row: usize) -> &[f32] {
        &self.logits[row]
    }

    fn truncate(&mut self, sequence: &mut pages::Sequence, length: usize) -> Result<(), Error> {
        self.pages.truncate(sequence, length);
        Ok(())
    }

    fn close(&mut self, sequence: pages::Sequence, tokens: &[TokenId]) {
        self.pages.close(sequence, tokens);
    }

    fn reset(&mut self) {
        self.pages.clear();
    }
}

fn vocabulary() -> Arc<Vocabulary> {
    static KEPT: OnceLock<Arc<Vocabulary>> = OnceLock::new();
    let make = || {
        let folder = tempfile::tempdir().expect("a folder");
        let tokenizer = crate::import::tests::tokenizer(folder.path()).expect("a tokenizer");
        Arc::new(Vocabulary::load(&tokenizer, None, &[]).expect("a vocabulary"))
    };
    KEPT.get_or_init(make).clone()
}

fn decoder(pages: usize, shortcuts: Shortcuts) -> Decoder<Plain> {
    let backend = Plain { pages: Pages::new(pages), logits: Vec::new(), evaluated: 0, fails_in: None };
    Decoder::new(backend, vocabulary(), Vec::new(), 2048, 8, shortcuts)
}

type Receiver = UnboundedReceiver<Result<Event, Error>>;

/// A request of `length` tokens that begin with `first`, for `max_tokens`.
fn admit(decoder: &mut Decoder<Plain>, first: u32, length: usize, max_tokens: usize) -> Receiver {
    let prompt: Vec<TokenId> = (0..length).map(|at| (first + at as u32 * 7) % SIZE as u32).collect();
    let request = Request {
        prompt: Prompt::new(&vocabulary(), Encoded::default()),
        grammar: Grammar::Free,
        sampling: Sampling::default(),
        max_tokens,
        lead: String::new(),
        stop: Vec::new(),
        logprobs: None,
    };
    let (events, receiver) = Events::channel();
    decoder.admit(Ready { request, prompt, grammar: None }, events);
    receiver
}

/// What has come so far, and how it ended.
fn output(receiver: &mut Receiver) -> (String, Option<Result<Output, Error>>) {
    let mut text = String::new();
    while let Ok(event) = receiver.try_recv() {
        match event {
            Ok(Event::Text(piece)) => text.push_str(&piece),
            Ok(Event::Token(_)) => {}
            Ok(Event::End(finish)) => {
                return (text.clone(), Some(Ok(Output { text, tokens: Vec::new(), finish })));
            }
            Err(error) => return (text, Some(Err(error))),
        }
    }
    (text, None)
}

fn run(decoder: &mut Decoder<Plain>) {
    for _ in 0..5000 {
        if decoder.is_idle() {
            return;
        }
        decoder.step();
    }
    panic!("{} answers are stuck", decoder.slots.len());
}

/// Steps until an answer has ended, while new requests of a length for so many tokens come as soon as there is a place.
fn run_beside(decoder: &mut Decoder<Plain>, waited: &mut Receiver, (length, max_tokens): (usize, usize)) {
    let mut others = Vec::new();
    for step in 0..200 {
        if output(waited).1.is_some() {
            return;
        }
        while decoder.has_room() {
            others.push(admit(decoder, 3 + step, length, max_tokens));
        }
        decoder.step();
    }
    panic!("it waits for ever");
}

#[test]
fn a_long_prompt_does_not_hold_up_a_short_one() {
    let mut decoder = decoder(200, Shortcuts::default());
    let mut long = admit(&mut decoder, 1, 1900, 5);
    decoder.step();
    let mut short = admit(&mut decoder, 2, 60, 5);
    decoder.step();
    decoder.step();
    assert!(!output(&mut short).0.is_empty(), "its first token within two steps");
    assert!(output(&mut long).0.is_empty());
    run(&mut decoder);
    assert!(matches!(output(&mut long).1, Some(Ok(_))));
}

#[test]
fn the_oldest_gets_on_whatever_comes_after_it() {
    let mut decoder = decoder(400, Shortcuts::default());
    let mut oldest = admit(&mut decoder, 1, 1000, 3);
    // All of them shorter.
    run_beside(&mut decoder, &mut oldest, (250, 2));
}

#[test]
fn a_large_request_gets_its_room_whatever_smaller_ones_come_after_it() {
    // Four of 500 tokens take all pages; when one ends, another would fit where the large one does not.
    let mut decoder = decoder(64, Shortcuts::default());
    let _others: Vec<Receiver> = (0..4).map(|first| admit(&mut decoder, first, 480, 20)).collect();
    decoder.step();
    let mut large = admit(&mut decoder, 50, 1000, 3);
    run_beside(&mut decoder, &mut large, (480, 20));
}

#[test]
fn a_prompt_that_is_mostly_known_does_not_wait_for_a_new_one() {
    let mut decoder = decoder(200, Shortcuts::default());
    let _before = admit(&mut decoder, 1, 1600, 1);
    run(&mut decoder);
    let mut new = admit(&mut decoder, 2, 1500, 5);
    decoder.step();
    let mut known = admit(&mut decoder, 1, 1620, 5);
    decoder.step();
    decoder.step();
    assert!(!output(&mut known).0.is_empty(), "its first token within two steps");
    assert!(output(&mut new).0.is_empty());
}

#[test]
fn prompts_that_begin_alike_are_evaluated_once() {
    let mut decoder = decoder(200, Shortcuts::default());
    let mut all: Vec<Receiver> = (0..6).map(|_| admit(&mut decoder, 1, 900, 4)).collect();
    run(&mut decoder);
    assert!(all.iter_mut().all(|receiver| matches!(output(receiver).1, Some(Ok(_)))));
    let evaluated = decoder.backend.evaluated;
    assert!(evaluated < 900 + 6 * (PAGE + 40), "{evaluated} tokens for six prompts of the same 900");
}

#[test]
fn answers_are_the_same_alone_at_once_and_where_room_is_short() {
    let lengths = [400, 37, 900, 3, 250, 640, 77, 500];
    let alone: Vec<String> = lengths
        .iter()
        .enumerate()
        .map(|(first, length)| {
            let mut decoder =
                decoder(100, Shortcuts { prefix_cache: false, foresight: false, ..Shortcuts::default() });
            let mut receiver = admit(&mut decoder, first as u32, *length, 80);
            run(&mut decoder);
            output(&mut receiver).0
        })
        .collect();
    // 2048 tokens take 64 pages: room for one context, and then a little more.
    for (pages, chunk) in [(64, 256), (70, 256), (64, 7), (70, 33), (300, 7), (300, 256)] {
        let mut decoder = decoder(pages, Shortcuts { chunk, ..Shortcuts::default() });
        let mut receivers: Vec<Receiver> = lengths
            .iter()
            .enumerate()
            .map(|(first, length)| admit(&mut decoder, first as u32, *length, 80))
            .collect();
        run(&mut decoder);
        let told: Vec<String> = receivers.iter_mut().map(|receiver| output(receiver).0).collect();
        assert_eq!(told, alone, "{pages} pages, chunks of {chunk}");
    }
}

#[test]
fn a_failing_step_ends_its_answers_and_no_others() {
    let mut decoder = decoder(200, Shortcuts::default());
    let mut first = admit(&mut decoder, 1, 40, 50);
    decoder.step();
    decoder.backend.fails_in = Some(1);
    decoder.step();
    assert!(matches!(output(&mut first).1, Some(Err(Error::Inference(_)))));
    let mut second = admit(&mut decoder, 1, 40, 5);
    run(&mut decoder);
    assert!(matches!(output(&mut second).1, Some(Ok(_))));
}

#[test]
fn who_hangs_up_frees_the_place_at_the_next_step() {
    let mut decoder = decoder(200, Shortcuts::default());
    let gone: Vec<Receiver> = (0..8).map(|first| admit(&mut decoder, first, 300, 500)).collect();
    assert!(!decoder.has_room());
    decoder.step();
    drop(gone);
    decoder.step();
    assert!(decoder.is_idle());
    assert_eq!(decoder.backend.pages.available(), 200, "nobody holds a page");
}

#[test]
fn an_answer_whose_matcher_fails_goes_on_with_one_of_its_own() {
    let grammars = crate::grammar::Grammars::new(&vocabulary()).expect("grammars");
    let grammar = Grammar::Regex("[a-z]{40}".into());
    let text = |spoiled: bool| {
        let mut decoder = decoder(200, Shortcuts::default());
        let mut compiled = grammars.compiled(&grammar).expect("it compiles").expect("a grammar");
        if spoiled {
            // As a lexer at its limits does, a token that is not allowed leaves an error that stays.
            let wrong = vocabulary().encode_plain("A").expect("a token")[0];
            assert!(
                compiled.matcher.consume_token(wrong).is_err() && compiled.matcher.compute_mask().is_err()
            );
        }
        let request = Request {
            prompt: Prompt::new(&vocabulary(), Encoded::default()),
            grammar: grammar.clone(),
            sampling: Sampling::default(),
            max_tokens: 100,
            lead: String::new(),
            stop: Vec::new(),
            logprobs: None,
        };
        let (events, mut receiver) = Events::channel();
        decoder.admit(Ready { request, prompt: vec![1, 2, 3], grammar: Some(compiled) }, events);
        run(&mut decoder);
        output(&mut receiver).1.expect("an end").expect("an answer").text
    };
    let sound = text(false);
    assert_eq!(sound.len(), 40);
    assert_eq!(text(true), sound);
}

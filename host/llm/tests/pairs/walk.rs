//! Walks through a matcher without a model: random tokens under the mask, and given texts cut into tokens.

use llguidance::Matcher;
use pawl_llm::{Grammar, Llm};
use rand::{Rng, seq::IndexedRandom};
use rand_chacha::ChaCha8Rng;

use crate::shape::CHARACTERS;

/// Tokens after which a walk takes the way out wherever there is one.
const HURRY: usize = 20;
/// Tokens after which a walk has lost its way.
const MOST: usize = 200;
const TRIES: usize = 2;

/// A fresh matcher.
pub(crate) fn matcher(llm: &Llm, grammar: &Grammar) -> Matcher {
    let matcher = llm.matcher(grammar).unwrap_or_else(|e| panic!("{e}: {grammar:.2000?}"));
    matcher.expect("a grammar that is not free")
}

/// A random text that ends where the grammar allows it. `None` where chance finds no end.
pub(crate) fn decode(start: &Matcher, random: &mut ChaCha8Rng) -> Option<String> {
    (0..TRIES).find_map(|_| try_decode(start, random))
}

fn try_decode(start: &Matcher, random: &mut ChaCha8Rng) -> Option<String> {
    let mut matcher = start.clone();
    let environment = matcher.tok_env().expect("a vocabulary");
    let trie = environment.tok_trie();
    let mut bytes = Vec::new();
    for step in 0..MOST {
        let mask = matcher.compute_mask_or_eos().expect("a mask");
        let allowed: Vec<u32> = mask.iter().collect();
        assert!(!allowed.is_empty(), "a dead end after {:?}", String::from_utf8_lossy(&bytes));
        let may_end = allowed.iter().any(|token| trie.eos_tokens().contains(token));
        if may_end && (step > HURRY || allowed.len() == 1 || random.random_bool(0.2)) {
            return Some(String::from_utf8(bytes).expect("whole characters"));
        }
        let token = pick(trie, &allowed, step > HURRY, random);
        if !trie.eos_tokens().contains(&token) {
            bytes.extend_from_slice(trie.token(token));
            matcher.consume_token(token).expect("an allowed token");
        }
    }
    None
}

/// Any allowed token; in a hurry one that closes something or a byte that rules here wait for.
fn pick(trie: &toktrie::TokTrie, allowed: &[u32], hurry: bool, random: &mut ChaCha8Rng) -> u32 {
    let any = |allowed: &[u32], random: &mut ChaCha8Rng| *allowed.choose(random).expect("a token");
    if !hurry {
        return any(allowed, random);
    }
    let closes = |token: &&u32| {
        matches!(trie.token(**token), b"\"" | b"'" | b")" | b"}" | b"]" | b">" | b"=" | b"null" | b"n" | b"(")
    };
    let hard: Vec<u8> = CHARACTERS.iter().filter(|c| **c != ' ').collect::<String>().into_bytes();
    let single = |token: &&u32| matches!(trie.token(**token), [byte] if hard.contains(byte));
    let closers: Vec<u32> = allowed.iter().filter(closes).copied().collect();
    let singles: Vec<u32> = allowed.iter().filter(single).copied().collect();
    match (closers.is_empty(), singles.is_empty()) {
        (false, _) if random.random_bool(0.5) => any(&closers, random),
        (_, false) if random.random_bool(0.6) => any(&singles, random),
        _ => any(allowed, random),
    }
}

/// Whether the matcher takes the whole text and may end there: cut as the tokenizer cuts it, byte by byte, and at
/// random.
pub(crate) fn takes(start: &Matcher, text: &str, random: &mut ChaCha8Rng) -> Vec<(&'static str, bool)> {
    let environment = start.tok_env().expect("a vocabulary");
    let trie = environment.tok_trie();
    let bytes = text.as_bytes();
    let single = |byte: &u8| trie.token_id(&[*byte]);
    let at_random = {
        let mut tokens = Vec::new();
        let mut rest = bytes;
        while !rest.is_empty() {
            let longest = random.random_range(1..=rest.len().min(8));
            let token =
                (1..=longest).rev().find_map(|length| Some((trie.token_id(&rest[..length])?, length)));
            let Some((token, length)) = token else { break };
            tokens.push(token);
            rest = &rest[length..];
        }
        rest.is_empty().then_some(tokens)
    };
    let ways = [
        ("as the tokenizer does", Some(environment.tokenize_bytes(bytes))),
        ("byte by byte", bytes.iter().map(single).collect()),
        ("at random", at_random),
    ];
    let ways = ways.into_iter().filter_map(|(way, tokens)| Some((way, tokens?)));
    ways.map(|(way, tokens)| (way, takes_tokens(start, &tokens))).collect()
}

fn takes_tokens(start: &Matcher, tokens: &[u32]) -> bool {
    let mut matcher = start.clone();
    let taken = matcher.try_consume_tokens(tokens);
    taken.is_ok_and(|taken| taken == tokens.len())
        && (matcher.is_accepting().unwrap_or(false) || matcher.is_stopped() && matcher.stop_reason().is_ok())
}

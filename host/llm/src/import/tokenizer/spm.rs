//! SentencePiece vocabularies (`tokenizer.ggml.model` = `llama`): pieces with scores, and a token for every byte.
//!
//! llama.cpp joins the two neighbours whose union is the piece of the highest score, the leftmost where scores are the
//! same. Invariant: the merges here, in this order, join the same. They are all ways to cut a piece into two, best
//! piece first; among equal scores the longer left part first, as Hugging Face's converter has it, so that a run of
//! spaces grows from its left end. No merge makes a token that text may not become.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use super::super::error::ImportError;
use super::super::header::{MAX_ARRAY, MAX_HEADER};
use super::{BYTE, Kinds};

/// Characters of the longest piece; the longest of real vocabularies have about a hundred.
const MAX_PIECE: usize = 1024;

/// The pieces' merges, best first.
pub(super) fn merges<'a>(
    tokens: &'a [String],
    scores: &[f32],
    kinds: &Kinds,
    ids: &BTreeMap<&str, u32>,
) -> Result<Vec<(&'a str, &'a str)>, ImportError> {
    if scores.len() != tokens.len() {
        let (scores, tokens) = (scores.len(), tokens.len());
        return Err(ImportError::Tokens(format!("{scores} scores for {tokens} tokens")));
    }
    let id = |part: &str| ids.get(part).copied().filter(|id| kinds.is_text(*id as usize, part));
    let (mut found, mut bytes) = (Vec::new(), 0);
    for (index, (token, score)) in tokens.iter().zip(scores).enumerate() {
        if !score.is_finite() {
            return Err(ImportError::Tokens(format!("token {index} ({token:?}) has the score {score}")));
        }
        if !kinds.is_text(index, token) {
            continue;
        }
        let length = token.chars().count();
        if length > MAX_PIECE {
            let what =
                format!("token {index} has {length} characters, and {MAX_PIECE} at most are supported");
            return Err(ImportError::Tokens(what));
        }
        let cut = |(left_length, (at, _)): (usize, (usize, char))| {
            let (left, right) = token.split_at(at);
            Some(((id(left)?, id(right)?), (*score, left_length, length - left_length), (left, right)))
        };
        let mut cuts: Vec<_> = token.char_indices().enumerate().skip(1).filter_map(cut).collect();
        cuts.sort_by_key(|(parts, ..)| *parts);
        // A small file can have pieces that are cut in very many ways. No more are taken than a header could list, in which
        // each is a text of both parts, with a space between and its length before.
        bytes += cuts.len() as u64 * (token.len() as u64 + 9);
        if bytes > MAX_HEADER || (found.len() + cuts.len()) as u64 > MAX_ARRAY {
            let what = format!(
                "its pieces join out of shorter ones in more ways than {MAX_ARRAY}, or than {MAX_HEADER} bytes can list"
            );
            return Err(ImportError::Tokens(what));
        }
        found.extend(cuts.into_iter().map(|(_, rank, parts)| (rank, parts)));
    }
    found.sort_by(|((a, a_left, a_right), _), ((b, b_left, b_right), _)| {
        b.partial_cmp(a).unwrap_or(Ordering::Equal).then(b_left.cmp(a_left)).then(b_right.cmp(a_right))
    });
    Ok(found.into_iter().map(|(_, parts)| parts).collect())
}

/// Fails unless every byte has its token and nothing else looks like one.
pub(super) fn check_bytes(
    tokens: &[String],
    kinds: &Kinds,
    ids: &BTreeMap<&str, u32>,
) -> Result<(), ImportError> {
    for byte in 0..=u8::MAX {
        let name = byte_token(byte);
        match ids.get(name.as_str()) {
            Some(id) if kinds.of(*id as usize) == BYTE => {}
            Some(id) => {
                let kind = kinds.of(*id as usize);
                return Err(ImportError::Tokens(format!("byte token {name} has type {kind}, not {BYTE}")));
            }
            None => return Err(ImportError::Tokens(format!("byte token {name} is missing"))),
        }
    }
    // The loader takes what begins so for a byte.
    let posing = |(index, token): &(usize, &String)| match kinds.of(*index) {
        BYTE => !is_byte_token(token),
        _ => kinds.is_text(*index, token) && token.starts_with("<0x"),
    };
    match tokens.iter().enumerate().find(posing) {
        Some((index, token)) => {
            let kind = kinds.of(index);
            Err(ImportError::Tokens(format!("token {index} ({token:?}) has type {kind} and is no byte")))
        }
        None => Ok(()),
    }
}

fn byte_token(byte: u8) -> String {
    format!("<0x{byte:02X}>")
}

fn is_byte_token(token: &str) -> bool {
    let byte = token.get(3..5).and_then(|digits| u8::from_str_radix(digits, 16).ok());
    byte.is_some_and(|byte| byte_token(byte) == token)
}

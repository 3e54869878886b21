//! A GGUF vocabulary -> `tokenizer.json` and `tokenizer_config.json` as Hugging Face's libraries read them.
//!
//! `tokenizer/bpe.rs` knows how byte-level vocabularies split text, `tokenizer/spm.rs` how pieces with scores merge,
//! `tokenizer/json.rs` writes.
//!
//! Invariants: text becomes the same tokens as in llama.cpp, byte for byte. Hence llama.cpp's own expressions for
//! splitting (`llama-vocab.cpp`), and no Unicode normalization, which llama.cpp does not do either. But where llama.cpp
//! would let text become a token that marks structure, there is no such way here: no merge makes one, and
//! [`Vocabulary::tokenizer`] tries to spell each. Tokens that the file calls unused are left out, and a nameless
//! special token holds the place of one amid used ones: no text may ever become one of them.

mod bpe;
mod json;
mod spm;

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::error::ImportError;
use super::gguf::Gguf;

/// End-of-answer tokens that chat models use besides their own end-of-sequence token (llama.cpp's list).
const END_TOKENS: [&str; 22] = [
    "<|im_end|>",
    "<|endoftext|>",
    "<|eot_id|>",
    "<|eom_id|>",
    "<|end|>",
    "<|return|>",
    "<|call|>",
    "<|flush|>",
    "<|calls|>",
    "<end_of_turn>",
    "</s>",
    "<EOT>",
    "_<EOT>",
    "[EOT]",
    "[EOS]",
    "<|end_of_text|>",
    "<end_of_utterance>",
    "<eos>",
    "<turn|>",
    "<|tool_response>",
    "<｜end▁of▁sentence｜>",
    "[e~[",
];
/// With one of each pair, `<|end|>` ends a message of an answer and not the answer, as in llama.cpp.
const INNER_ENDS: [[&[&str]; 2]; 2] =
    [[&["<|return|>"], &["<|call|>", "<|calls|>"]], [&["<|flush|>"], &["<|call|>", "<|calls|>"]]];

// `llama_token_type`
const NORMAL: i64 = 1;
const UNKNOWN: i64 = 2;
const CONTROL: i64 = 3;
const USER_DEFINED: i64 = 4;
const UNUSED: i64 = 5;
const BYTE: i64 = 6;

/// A vocabulary that has been read and checked.
pub(crate) struct Vocabulary<'a> {
    tokens: &'a [String],
    kinds: Kinds,
    merges: Vec<(&'a str, &'a str)>,
    writing: Writing,
    ids: BTreeMap<&'a str, u32>,
    special: SpecialIds,
    chat_template: Option<&'a str>,
    add_bos: bool,
    /// Tokens that are found in text as they stand swallow the white space behind them, but for three.
    strips: bool,
}

/// How tokens stand for bytes.
enum Writing {
    /// A character for every byte, as in GPT-2.
    ByteLevel(&'static bpe::Split),
    /// UTF-8 with `▁` for spaces, and tokens `<0xNN>` for what no piece holds.
    Pieces {
        /// A text begins with a space that nobody wrote.
        space_prefix: bool,
        /// Line feeds are apart from everything else.
        lines: bool,
    },
}

/// The tokens with a role; `None` where the file names none.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct SpecialIds {
    pub(crate) bos: Option<u32>,
    pub(crate) eos: Option<u32>,
    pub(crate) pad: Option<u32>,
    pub(crate) unknown: Option<u32>,
    /// Ends of a turn and of a message that calls a tool.
    eot: Option<u32>,
    eom: Option<u32>,
}

/// The tokens' kinds by id.
struct Kinds(Vec<i64>);

impl Kinds {
    fn of(&self, id: usize) -> i64 {
        self.0.get(id).copied().unwrap_or(UNUSED)
    }

    /// Whether merging letters may lead to a token; to what could change who speaks it may not.
    fn is_text(&self, id: usize, token: &str) -> bool {
        match self.of(id) {
            NORMAL => true,
            USER_DEFINED => !(token.starts_with('<') && token.ends_with('>')),
            _ => false,
        }
    }
}

impl<'a> Vocabulary<'a> {
    /// Reads the vocabulary of a file; `size` is the number of rows of the embedding.
    pub(crate) fn read(gguf: &'a Gguf, size: u64) -> Result<Self, ImportError> {
        let named = |key: &str| Ok::<_, ImportError>(gguf.text(key)?.unwrap_or("(none)"));
        let model = named("tokenizer.ggml.model")?;
        let writing = match model {
            "gpt2" => {
                let found = named("tokenizer.ggml.pre")?;
                Writing::ByteLevel(bpe::find(found).ok_or_else(|| ImportError::Vocabulary {
                    what: "pre-tokenizer",
                    found: found.to_owned(),
                    supported: bpe::names(),
                })?)
            }
            "llama" => {
                let flag = gguf.flag("tokenizer.ggml.add_space_prefix")?;
                Writing::Pieces { space_prefix: flag.unwrap_or(true), lines: false }
            }
            "gemma4" => Writing::Pieces { space_prefix: false, lines: true },
            _ => {
                let (what, found) = ("vocabulary model", model.to_owned());
                let supported = "gpt2, llama and gemma4".to_owned();
                return Err(ImportError::Vocabulary { what, found, supported });
            }
        };
        let tokens = gguf.texts("tokenizer.ggml.tokens")?;
        let kinds = gguf.integers("tokenizer.ggml.token_type")?;
        if tokens.len() as u64 != size || kinds.len() != tokens.len() {
            let (tokens, kinds) = (tokens.len(), kinds.len());
            return Err(ImportError::Tokens(format!(
                "{tokens} tokens and {kinds} token types for an embedding of {size} rows"
            )));
        }
        let pieces = matches!(writing, Writing::Pieces { .. });
        let mut kinds = Kinds(kinds.to_vec());
        let ids = ids(tokens, &kinds, pieces)?;
        // As in llama.cpp, what ends answers is structure also where the file has it found in any text. (There even a
        // normal token is; but `</s>` is a word like others in Qwen's vocabulary and in Gemma 4's.)
        for id in END_TOKENS.iter().filter_map(|token| ids.get(token)) {
            if let Some(kind) = kinds.0.get_mut(*id as usize).filter(|kind| **kind == USER_DEFINED) {
                *kind = CONTROL;
            }
        }
        if pieces {
            spm::check_bytes(tokens, &kinds, &ids)?;
        }
        let merges = match writing {
            Writing::Pieces { lines: false, .. } => {
                spm::merges(tokens, gguf.floats("tokenizer.ggml.scores")?, &kinds, &ids)?
            }
            _ => merges(gguf.texts("tokenizer.ggml.merges")?, &kinds, &ids)?,
        };
        let role = |name: &str| role(gguf, name, &ids, tokens);
        // What llama.cpp takes where such a file names none.
        let usual = |id: usize| {
            let structural = model == "llama" && matches!(kinds.of(id), CONTROL | UNKNOWN);
            structural.then_some(id as u32)
        };
        let special = SpecialIds {
            bos: role("bos")?.or(usual(1)),
            eos: role("eos")?.or(usual(2)),
            pad: role("padding")?,
            unknown: role("unknown")?.or(usual(0)),
            eot: role("eot")?,
            eom: role("eom")?,
        };
        let add_bos = match &writing {
            Writing::ByteLevel(split) => split.add_bos,
            Writing::Pieces { .. } => true,
        };
        let name = gguf.text("general.name")?.unwrap_or_default().to_ascii_lowercase();
        Ok(Self {
            tokens,
            kinds,
            merges,
            writing,
            ids,
            special,
            chat_template: gguf.text("tokenizer.chat_template")?,
            add_bos: gguf.flag("tokenizer.ggml.add_bos_token")?.unwrap_or(add_bos),
            strips: ["phi-3", "phi3"].iter().any(|phi| name.contains(phi)),
        })
    }

    /// The tokens with a role.
    pub(crate) fn special(&self) -> SpecialIds {
        self.special
    }

    /// All tokens that end an answer: the file's own first, then the usual ones that are control tokens here.
    pub(crate) fn end_ids(&self) -> Vec<u32> {
        let control =
            |token: &str| self.ids.get(token).copied().filter(|id| self.kinds.of(*id as usize) == CONTROL);
        let any = |tokens: &&[&str]| tokens.iter().any(|token| control(token).is_some());
        let inner = INNER_ENDS.iter().any(|pair| pair.iter().all(any));
        let usual = END_TOKENS.iter().filter(|token| !(inner && **token == "<|end|>"));
        let SpecialIds { eos, eot, eom, .. } = self.special;
        let mut ends = Vec::new();
        for id in [eos, eot, eom].into_iter().flatten().chain(usual.filter_map(|token| control(token))) {
            if !ends.contains(&id) {
                ends.push(id);
            }
        }
        ends
    }

    /// Ids up to the last used one.
    fn used(&self) -> usize {
        self.kinds.0.iter().rposition(|kind| *kind != UNUSED).map_or(0, |last| last + 1)
    }

    /// A token's text, or the name of the place that an unused one leaves.
    fn text(&self, id: usize) -> Cow<'a, str> {
        if self.kinds.of(id) == UNUSED { placeholder(id).into() } else { self.tokens[id].as_str().into() }
    }

    /// Tokens that are found in text as they stand, before any splitting: id, text, and whether it is special,
    /// that is, marks structure and is not part of what a model says.
    fn added(&self) -> impl Iterator<Item = (usize, Cow<'a, str>, bool)> {
        (0..self.used()).filter_map(|id| match self.kinds.of(id) {
            CONTROL | UNKNOWN | UNUSED => Some((id, self.text(id), true)),
            USER_DEFINED => Some((id, self.text(id), false)),
            _ => None,
        })
    }
}

fn placeholder(id: usize) -> String {
    format!("<unused token {id}>")
}

/// The used tokens by text, each once and of a known kind.
fn ids<'a>(tokens: &'a [String], kinds: &Kinds, pieces: bool) -> Result<BTreeMap<&'a str, u32>, ImportError> {
    let mut ids = BTreeMap::new();
    for (id, token) in tokens.iter().enumerate() {
        match kinds.of(id) {
            UNUSED => continue,
            BYTE if pieces => {}
            NORMAL | UNKNOWN | CONTROL | USER_DEFINED if !token.is_empty() => {}
            other => return Err(ImportError::Tokens(format!("token {id} ({token:?}) has type {other}"))),
        }
        if let Some(first) = ids.insert(token.as_str(), id as u32) {
            return Err(ImportError::Tokens(format!("tokens {first} and {id} are both {token:?}")));
        }
    }
    let unused = (0..tokens.len()).filter(|id| kinds.of(*id) == UNUSED).map(placeholder);
    match unused.into_iter().find(|name| ids.contains_key(name.as_str())) {
        Some(name) => Err(ImportError::Tokens(format!("a token is called {name:?}"))),
        None => Ok(ids),
    }
}

/// The merges as pairs whose parts and result are tokens; without those that would let text become a structural one.
fn merges<'a>(
    merges: &'a [String],
    kinds: &Kinds,
    ids: &BTreeMap<&str, u32>,
) -> Result<Vec<(&'a str, &'a str)>, ImportError> {
    let mut pairs = Vec::with_capacity(merges.len());
    for (index, merge) in merges.iter().enumerate() {
        let pair = merge.split_once(' ').and_then(|(left, right)| {
            let result = format!("{left}{right}");
            let known = [left, right].iter().all(|part| ids.contains_key(part));
            Some((left, right, *ids.get(result.as_str())?, result)).filter(|_| known)
        });
        match pair {
            Some((left, right, id, result)) if kinds.is_text(id as usize, &result) => {
                pairs.push((left, right))
            }
            Some(_) => {}
            None => {
                let what = format!("merge {index} ({merge:?}) does not join two tokens to one");
                return Err(ImportError::Tokens(what));
            }
        }
    }
    Ok(pairs)
}

/// The token at `tokenizer.ggml.NAME_token_id`.
fn role(
    gguf: &Gguf,
    name: &str,
    ids: &BTreeMap<&str, u32>,
    tokens: &[String],
) -> Result<Option<u32>, ImportError> {
    use super::gguf::Value::Integer;
    let key = format!("tokenizer.ggml.{name}_token_id");
    let Some(value) = gguf.value(&key) else { return Ok(None) };
    let token = match value {
        Integer(id) => usize::try_from(*id).ok().and_then(|id| tokens.get(id)),
        _ => None,
    };
    match token.and_then(|token| ids.get(token.as_str())) {
        Some(id) => Ok(Some(*id)),
        None => Err(ImportError::BadKey {
            key,
            found: format!("{value:?}"),
            expected: format!("a used token below {}", tokens.len()),
        }),
    }
}

//! A GGUF vocabulary -> `tokenizer.json` and `tokenizer_config.json` as Hugging Face's libraries read them.
//!
//! Invariant: text becomes the same tokens as in llama.cpp, byte for byte. Hence llama.cpp's own expressions for
//! splitting (`llama-vocab.cpp`), and no Unicode normalization, which llama.cpp does not do either.
//! Tokens that the file calls unused (padding of the table) are left out: no text may ever become one of them.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::error::ImportError;
use super::gguf::Gguf;

/// Splits words as Qwen2 does, in llama.cpp's writing.
const QWEN2: &str = concat!(
    r"(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}",
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
);
/// End-of-answer tokens that chat models use besides their own end-of-sequence token.
const END_TOKENS: [&str; 2] = ["<|im_end|>", "<|endoftext|>"];

// `llama_token_type`
const NORMAL: i64 = 1;
const UNKNOWN: i64 = 2;
const CONTROL: i64 = 3;
const USER_DEFINED: i64 = 4;
const UNUSED: i64 = 5;

/// A vocabulary that has been read and checked.
pub(crate) struct Vocabulary<'a> {
    tokens: &'a [String],
    kinds: &'a [i64],
    merges: Vec<(&'a str, &'a str)>,
    pre_tokenizer: PreTokenizer,
    ids: BTreeMap<&'a str, u32>,
    special: SpecialIds,
    chat_template: Option<&'a str>,
    add_bos: bool,
}

/// The tokens with a role; `None` where the file names none.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct SpecialIds {
    pub(crate) bos: Option<u32>,
    pub(crate) eos: Option<u32>,
    pub(crate) pad: Option<u32>,
    pub(crate) unknown: Option<u32>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum PreTokenizer {
    Qwen2,
    SmolLm,
}

impl<'a> Vocabulary<'a> {
    /// Reads the vocabulary of a file; `size` is the number of rows of the embedding.
    pub(crate) fn read(gguf: &'a Gguf, size: u64) -> Result<Self, ImportError> {
        let named = |what, key: &str, supported: &'static str| {
            let found = gguf.text(key)?.unwrap_or("(none)");
            Ok::<_, ImportError>((
                found,
                ImportError::Vocabulary { what, found: found.to_owned(), supported },
            ))
        };
        match named("vocabulary model", "tokenizer.ggml.model", "gpt2 is")? {
            ("gpt2", _) => {}
            (_, error) => return Err(error),
        }
        let pre_tokenizer = match named("pre-tokenizer", "tokenizer.ggml.pre", "qwen2 and smollm are")? {
            ("qwen2", _) => PreTokenizer::Qwen2,
            ("smollm", _) => PreTokenizer::SmolLm,
            (_, error) => return Err(error),
        };
        let tokens = gguf.texts("tokenizer.ggml.tokens")?;
        let kinds = gguf.integers("tokenizer.ggml.token_type")?;
        if tokens.len() as u64 != size || kinds.len() != tokens.len() {
            let (tokens, kinds) = (tokens.len(), kinds.len());
            return Err(ImportError::Tokens(format!(
                "{tokens} tokens and {kinds} token types for an embedding of {size} rows"
            )));
        }
        let ids = ids(tokens, kinds)?;
        let merges = merges(gguf.texts("tokenizer.ggml.merges")?, &ids)?;
        let role = |name: &str| role(gguf, name, &ids, tokens);
        let special = SpecialIds {
            bos: role("bos")?,
            eos: role("eos")?,
            pad: role("padding")?,
            unknown: role("unknown")?,
        };
        Ok(Self {
            tokens,
            kinds,
            merges,
            pre_tokenizer,
            ids,
            special,
            chat_template: gguf.text("tokenizer.chat_template")?,
            add_bos: gguf.flag("tokenizer.ggml.add_bos_token")?.unwrap_or(false),
        })
    }

    /// The tokens with a role.
    pub(crate) fn special(&self) -> SpecialIds {
        self.special
    }

    /// All tokens that end an answer: the file's own first, then the usual ones that are control tokens here.
    pub(crate) fn end_ids(&self) -> Vec<u32> {
        let usual = END_TOKENS.iter().filter_map(|token| self.ids.get(token).copied());
        let control = usual.filter(|id| self.kinds[*id as usize] == CONTROL && Some(*id) != self.special.eos);
        self.special.eos.into_iter().chain(control).collect()
    }

    /// `tokenizer.json`.
    pub(crate) fn tokenizer(&self) -> Value {
        let vocabulary: Map<String, Value> = self
            .tokens
            .iter()
            .zip(self.kinds)
            .enumerate()
            .filter(|(_, (_, kind))| **kind != UNUSED)
            .map(|(id, (token, _))| (token.clone(), json!(id)))
            .collect();
        let added: Vec<Value> =
            self.added().map(|(id, token, special)| added_token(Some(id), token, special)).collect();
        let byte_level = |use_regex: bool| json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": use_regex});
        let pre_tokenizers = match self.pre_tokenizer {
            PreTokenizer::Qwen2 => json!([
                {"type": "Split", "pattern": {"Regex": QWEN2}, "behavior": "Isolated", "invert": false},
                byte_level(false),
            ]),
            // the byte level's own expression is GPT-2's, as in llama.cpp
            PreTokenizer::SmolLm => json!([{"type": "Digits", "individual_digits": true}, byte_level(true)]),
        };
        json!({
            "version": "1.0",
            "truncation": null,
            "padding": null,
            "added_tokens": added,
            "normalizer": null,
            "pre_tokenizer": {"type": "Sequence", "pretokenizers": pre_tokenizers},
            "post_processor": null,
            "decoder": byte_level(true),
            "model": {
                "type": "BPE",
                "dropout": null,
                "unk_token": null,
                "continuing_subword_prefix": null,
                "end_of_word_suffix": null,
                "fuse_unk": false,
                "byte_fallback": false,
                "ignore_merges": false,
                "vocab": vocabulary,
                "merges": self.merges,
            },
        })
    }

    /// `tokenizer_config.json`; `context` is in tokens.
    pub(crate) fn config(&self, context: u64) -> Value {
        let text = |id: Option<u32>| id.map(|id| self.tokens[id as usize].as_str());
        let decoder: Map<String, Value> = self
            .added()
            .map(|(id, token, special)| (id.to_string(), added_token(None, token, special)))
            .collect();
        let mut config = json!({
            "tokenizer_class": "PreTrainedTokenizerFast",
            "model_max_length": context,
            "clean_up_tokenization_spaces": false,
            "add_bos_token": self.add_bos,
            "bos_token": text(self.special.bos),
            "eos_token": text(self.special.eos),
            "pad_token": text(self.special.pad),
            "unk_token": text(self.special.unknown),
            "added_tokens_decoder": decoder,
        });
        if let Some(template) = self.chat_template {
            config["chat_template"] = json!(template);
        }
        config
    }

    /// Tokens that are found in text as they stand, before any splitting: id, text, and whether it is special,
    /// that is, marks structure and is not part of what a model says.
    fn added(&self) -> impl Iterator<Item = (usize, &str, bool)> {
        self.tokens.iter().zip(self.kinds).enumerate().filter_map(|(id, (token, kind))| match *kind {
            CONTROL | UNKNOWN => Some((id, token.as_str(), true)),
            USER_DEFINED => Some((id, token.as_str(), false)),
            _ => None,
        })
    }
}

/// One entry of `added_tokens` (with its id) or of `added_tokens_decoder`.
fn added_token(id: Option<usize>, content: &str, special: bool) -> Value {
    let mut token = Map::new();
    if let Some(id) = id {
        token.insert("id".to_owned(), json!(id));
    }
    token.insert("content".to_owned(), json!(content));
    for flag in ["single_word", "lstrip", "rstrip", "normalized"] {
        token.insert(flag.to_owned(), json!(false));
    }
    token.insert("special".to_owned(), json!(special));
    Value::Object(token)
}

/// The used tokens by text, each once and of a known kind.
fn ids<'a>(tokens: &'a [String], kinds: &[i64]) -> Result<BTreeMap<&'a str, u32>, ImportError> {
    let mut ids = BTreeMap::new();
    for (id, (token, kind)) in tokens.iter().zip(kinds).enumerate() {
        match *kind {
            UNUSED => continue,
            NORMAL | UNKNOWN | CONTROL | USER_DEFINED if !token.is_empty() => {}
            other => return Err(ImportError::Tokens(format!("token {id} ({token:?}) has type {other}"))),
        }
        if let Some(first) = ids.insert(token.as_str(), id as u32) {
            return Err(ImportError::Tokens(format!("tokens {first} and {id} are both {token:?}")));
        }
    }
    Ok(ids)
}

/// The merges as pairs whose parts and result are tokens.
fn merges<'a>(
    merges: &'a [String],
    ids: &BTreeMap<&str, u32>,
) -> Result<Vec<(&'a str, &'a str)>, ImportError> {
    let known = |(left, right): &(&str, &str)| {
        [*left, right, &format!("{left}{right}")].iter().all(|token| ids.contains_key(token))
    };
    let pair = |(index, merge): (usize, &'a String)| {
        merge.split_once(' ').filter(known).ok_or_else(|| {
            ImportError::Tokens(format!("merge {index} ({merge:?}) does not join two tokens to one"))
        })
    };
    merges.iter().enumerate().map(pair).collect()
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

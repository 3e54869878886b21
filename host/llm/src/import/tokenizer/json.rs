//! A vocabulary that has been read -> `tokenizer.json` and `tokenizer_config.json`.
//!
//! Invariant: what is written has been loaded, gives every token its id, and no spelling of a special token becomes one.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use tokenizers::{AddedToken, Tokenizer};

use super::super::error::ImportError;
use super::{Vocabulary, Writing, bpe};

impl Vocabulary<'_> {
    /// `tokenizer.json`, tried on the library that will load it.
    pub(crate) fn tokenizer(&self) -> Result<Value, ImportError> {
        let json = self.json();
        let unusable = |error: &dyn std::fmt::Display| ImportError::Tokens(error.to_string());
        let mut tokenizer: Tokenizer = serde_json::from_value(json.clone()).map_err(|e| unusable(&e))?;
        let guarded: BTreeMap<u32, Cow<'_, str>> = self
            .added()
            .filter(|(id, token, special)| *special || !self.kinds.is_text(*id, token))
            .map(|(id, token, _)| (id as u32, token))
            .collect();
        // as the loader does
        let special = |token: &Cow<'_, str>| AddedToken::from(token.as_ref(), true).normalized(false);
        tokenizer.add_special_tokens(&guarded.values().map(special).collect::<Vec<_>>());
        tokenizer.set_encode_special_tokens(true);
        for (id, token) in &guarded {
            let found = tokenizer.token_to_id(token);
            if found != Some(*id) {
                return Err(unusable(&format!("token {id} ({token:?}) would become {found:?}")));
            }
            let spelled = tokenizer.encode_fast(token.as_ref(), false).map_err(|e| unusable(&e))?;
            if let Some(found) = spelled.get_ids().iter().find(|id| guarded.contains_key(id)) {
                let what = format!("the text of special token {id} ({token:?}) becomes token {found}");
                return Err(unusable(&what));
            }
        }
        Ok(json)
    }

    fn json(&self) -> Value {
        let vocabulary: Map<String, Value> =
            (0..self.used()).map(|id| (self.text(id).into_owned(), json!(id))).collect();
        let added: Vec<Value> = self
            .added()
            .map(|(id, token, special)| added_token(Some(id), &token, special, self.strips))
            .collect();
        let byte_level =
            json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": false});
        let split = |expression: &str| json!({"type": "Split", "pattern": {"Regex": expression}, "behavior": "Isolated", "invert": false});
        let (normalizer, pre_tokenizer, decoder) = match &self.writing {
            Writing::ByteLevel(how) => {
                let splits = how.expressions.iter().map(|expression| split(expression));
                let all: Vec<Value> = splits.chain([byte_level.clone()]).collect();
                (Value::Null, json!({"type": "Sequence", "pretokenizers": all}), byte_level)
            }
            Writing::Pieces { space_prefix, lines } => {
                let replace =
                    |from, to| json!({"type": "Replace", "pattern": {"String": from}, "content": to});
                let prepend = json!({"type": "Prepend", "prepend": "▁"});
                let normalizers: Vec<Value> =
                    space_prefix.then_some(prepend).into_iter().chain([replace(" ", "▁")]).collect();
                let strip = json!({"type": "Strip", "content": " ", "start": 1, "stop": 0});
                let mut decoders =
                    vec![replace("▁", " "), json!({"type": "ByteFallback"}), json!({"type": "Fuse"})];
                decoders.extend(space_prefix.then_some(strip));
                (
                    json!({"type": "Sequence", "normalizers": normalizers}),
                    if *lines { split(bpe::LINES) } else { Value::Null },
                    json!({"type": "Sequence", "decoders": decoders}),
                )
            }
        };
        json!({
            "version": "1.0",
            "truncation": null,
            "padding": null,
            "added_tokens": added,
            "normalizer": normalizer,
            "pre_tokenizer": pre_tokenizer,
            "post_processor": null,
            "decoder": decoder,
            "model": {
                "type": "BPE",
                "dropout": null,
                // With a token for every byte nothing is unknown, and no text may become this token.
                "unk_token": null,
                "continuing_subword_prefix": null,
                "end_of_word_suffix": null,
                "fuse_unk": false,
                "byte_fallback": matches!(self.writing, Writing::Pieces { .. }),
                "ignore_merges": matches!(self.writing, Writing::ByteLevel(how) if how.ignore_merges),
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
            .map(|(id, token, special)| (id.to_string(), added_token(None, &token, special, self.strips)))
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
}

/// One entry of `added_tokens` (with its id) or of `added_tokens_decoder`.
fn added_token(id: Option<usize>, content: &str, special: bool, strips: bool) -> Value {
    let mut token = Map::new();
    if let Some(id) = id {
        token.insert("id".to_owned(), json!(id));
    }
    token.insert("content".to_owned(), json!(content));
    for flag in ["single_word", "lstrip", "normalized"] {
        token.insert(flag.to_owned(), json!(false));
    }
    let strips = strips && !["<unk>", "<s>", "<|endoftext|>"].contains(&content);
    token.insert("rstrip".to_owned(), json!(strips));
    token.insert("special".to_owned(), json!(special));
    Value::Object(token)
}

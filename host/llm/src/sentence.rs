//! What a folder of sentence-transformers says beside its weights: how the vectors of a text's tokens become one, how long a
//! text may be, and its tokens.
//!
//! | file | read for |
//! | --- | --- |
//! | `modules.json` | the modules in their order: Transformer, Pooling, Normalize |
//! | `1_Pooling/config.json`, as modules.json names it | the mean of the tokens, or the first |
//! | `sentence_bert_config.json` (optional) | `max_seq_length` |
//! | `tokenizer_config.json` (optional) | `model_max_length` |
//! | `config.json` | `max_position_embeddings`, and how many of them no text has |
//! | `config_sentence_transformers.json` (optional) | that no text is put before every other |
//! | `tokenizer.json` | the tokens |
//!
//! Invariant: what is not known here is refused by its name. A vector that was made otherwise than the model's own library
//! makes it is worth nothing beside vectors that were made so.

use std::path::{Component, Path};

use serde_json::Value;
use tokenizers::Tokenizer;

use crate::{
    Error,
    model::{MAX_TOKENIZER_BYTES, bounded, read_json},
};

/// How the vectors of the tokens become one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pooling {
    /// The mean of all tokens.
    Mean,
    /// That of the first.
    First,
}

/// What the modules after the transformer do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Sentence {
    pub(crate) pooling: Pooling,
    /// Whether the vector is given length 1.
    pub(crate) normalize: bool,
    /// The files that say so, relative to the folder.
    pub(crate) files: Vec<String>,
}

impl Sentence {
    /// Reads the folder's modules; `None` where it names none.
    pub(crate) fn read(folder: &Path) -> Result<Option<Sentence>, Error> {
        const MODULES: &str = "modules.json";
        refuse_prompt(folder)?;
        let path = folder.join(MODULES);
        let Some(modules) = read_json(&path)? else { return Ok(None) };
        let refused = |message: String| Error::ModelFile { path: path.clone(), message };
        let modules = modules.as_array().ok_or_else(|| refused("it is not a list of modules".into()))?;
        let mut pooling = None;
        let (mut normalize, mut files) = (false, vec![MODULES.to_owned()]);
        for (place, module) in modules.iter().enumerate() {
            let text = |key: &str| module.get(key).and_then(Value::as_str).unwrap_or_default();
            let kind = text("type").rsplit('.').next().unwrap_or_default();
            match (place, kind) {
                (0, "Transformer") if text("path").is_empty() => {}
                (1, "Pooling") => {
                    let file = format!("{}/config.json", plain(text("path")).map_err(refused)?);
                    pooling = Some(read_pooling(&folder.join(&file))?);
                    files.push(file);
                }
                (2, "Normalize") => normalize = true,
                _ => {
                    let message = format!(
                        "module {place} is `{}`; Transformer, Pooling and Normalize are supported, in this order",
                        text("type")
                    );
                    return Err(refused(message));
                }
            }
        }
        let pooling = pooling.ok_or_else(|| refused("it names no Pooling".into()))?;
        Ok(Some(Sentence { pooling, normalize, files }))
    }

    /// As [`Sentence::read`], where there is no doing without.
    pub(crate) fn required(folder: &Path) -> Result<Sentence, Error> {
        Sentence::read(folder)?.ok_or_else(|| {
            let message = "there is no such file; a model of sentence-transformers has one, which says how the vectors of \
                           its tokens become one";
            Error::ModelFile { path: folder.join("modules.json"), message: message.into() }
        })
    }
}

/// A folder's name without a way out of the folder that it is in.
fn plain(name: &str) -> Result<&str, String> {
    let mut parts = Path::new(name).components();
    match (parts.next(), parts.next()) {
        (Some(Component::Normal(_)), None) => Ok(name),
        _ => Err(format!("the path {name:?} of its Pooling is not the name of a folder")),
    }
}

fn read_pooling(path: &Path) -> Result<Pooling, Error> {
    let refused = |message: &str| Error::ModelFile { path: path.to_path_buf(), message: message.to_owned() };
    let config = read_json(path)?.ok_or_else(|| refused("there is no such file"))?;
    // One flag a mode; newer versions name the mode instead.
    let flags = config.as_object().into_iter().flatten();
    let mut modes: Vec<&str> = flags
        .filter(|(_, value)| value.as_bool() == Some(true))
        .filter_map(|(key, _)| key.strip_prefix("pooling_mode_"))
        .collect();
    modes.extend(config.get("pooling_mode").and_then(Value::as_str));
    match modes.as_slice() {
        ["mean_tokens" | "mean"] => Ok(Pooling::Mean),
        ["cls_token" | "cls"] => Ok(Pooling::First),
        modes => Err(refused(&format!("its pooling is {modes:?}; one of mean and cls is supported"))),
    }
}

/// Refuses a text that is to be put before every other.
pub(crate) fn refuse_prompt(folder: &Path) -> Result<(), Error> {
    let path = folder.join("config_sentence_transformers.json");
    let config = read_json(&path)?.unwrap_or(Value::Null);
    match config.get("default_prompt_name") {
        None | Some(Value::Null) => Ok(()),
        Some(name) => {
            let message =
                format!("`default_prompt_name` is {name}, a text before every other, which is not supported");
            Err(Error::ModelFile { path, message })
        }
    }
}

/// The most tokens of a text, with those that the model puts around it.
pub(crate) fn max_tokens(folder: &Path) -> Result<usize, Error> {
    let path = folder.join("sentence_bert_config.json");
    let beside = read_json(&path)?.unwrap_or(Value::Null);
    if beside.get("do_lower_case").and_then(Value::as_bool) == Some(true) {
        let message = "`do_lower_case` is true, which is not supported; a tokenizer.json that lowers is";
        return Err(Error::ModelFile { path, message: message.into() });
    }
    let tokenizer = read_json(&folder.join("tokenizer_config.json"))?.unwrap_or(Value::Null);
    let config = read_json(&folder.join("config.json"))?.unwrap_or(Value::Null);
    let number = |file: &Value, key: &str| file.get(key).and_then(Value::as_u64);
    let told = [
        number(&beside, "max_seq_length"),
        number(&tokenizer, "model_max_length"),
        number(&config, "max_position_embeddings").map(|all| all.saturating_sub(before_text(&config))),
    ];
    let most =
        told.into_iter().flatten().min().and_then(|most| usize::try_from(most).ok()).filter(|most| *most > 2);
    most.ok_or_else(|| {
        let message =
            "neither it nor the files beside it say how many tokens a text may have, or fewer than three";
        Error::ModelFile { path: folder.join("config.json"), message: message.into() }
    })
}

/// Positions that no token of a text has: the models that count from the place of padding on begin one behind it.
fn before_text(config: &Value) -> u64 {
    match config.get("model_type").and_then(Value::as_str) {
        // 1 is what Transformers takes where the file names none.
        Some("roberta" | "xlm-roberta" | "camembert" | "mpnet") => {
            let padding = config.get("pad_token_id").and_then(Value::as_u64).unwrap_or(1);
            padding.saturating_add(1)
        }
        _ => 0,
    }
}

/// The tokenizer, which neither cuts nor pads, and takes no special token from text.
pub(crate) fn tokenizer(folder: &Path, rows: Option<usize>) -> Result<Tokenizer, Error> {
    let path = folder.join("tokenizer.json");
    bounded(&path, MAX_TOKENIZER_BYTES)?;
    let refused = |message: String| Error::ModelFile { path: path.clone(), message };
    let mut tokenizer = Tokenizer::from_file(&path).map_err(|e| refused(e.to_string()))?;
    tokenizer.with_truncation(None).map_err(|e| refused(e.to_string()))?;
    tokenizer.with_padding(None);
    tokenizer.set_encode_special_tokens(true);
    let highest = tokenizer.get_vocab(true).into_values().max();
    match (highest, rows) {
        (Some(highest), Some(rows)) if highest as usize >= rows => {
            Err(refused(format!("it has token {highest}, and the model has {rows} tokens")))
        }
        (None, _) => Err(refused("it has no tokens".into())),
        _ => Ok(tokenizer),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_has_the_positions_that_its_model_has_left_for_it() -> Result<(), Box<dyn std::error::Error>> {
        let folder = tempfile::tempdir()?;
        let of = |config: &str| -> Result<usize, Box<dyn std::error::Error>> {
            std::fs::write(folder.path().join("config.json"), config)?;
            Ok(max_tokens(folder.path())?)
        };
        assert_eq!(of(r#"{"model_type": "bert", "max_position_embeddings": 512, "pad_token_id": 0}"#)?, 512);
        for name in ["roberta", "xlm-roberta", "camembert", "mpnet"] {
            let config = format!(r#"{{"model_type": "{name}", "max_position_embeddings": 514"#);
            assert_eq!(of(&format!(r#"{config}, "pad_token_id": 1}}"#))?, 512, "{name}");
            assert_eq!(of(&format!(r#"{config}, "pad_token_id": 3}}"#))?, 510, "{name}");
            assert_eq!(of(&format!("{config}}}"))?, 512, "{name}");
        }
        let all = r#"{"model_type": "roberta", "max_position_embeddings": 4, "pad_token_id": 18446744073709551615}"#;
        assert!(of(all).is_err(), "there is no place for a text");
        Ok(())
    }
}

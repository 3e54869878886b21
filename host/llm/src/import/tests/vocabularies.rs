//! Vocabularies: text becomes tokens as in llama.cpp, and what cannot be translated is refused.

use tokenizers::Tokenizer;

use super::super::gguf::Gguf;
use super::super::tokenizer::Vocabulary;
use super::Tested;
use super::sample::{Meta, Sample};

type Failure = Box<dyn std::error::Error>;

/// Runs `look` on the vocabulary of a changed sample.
fn vocabulary<T>(
    change: impl FnOnce(&mut Sample),
    look: impl FnOnce(&Vocabulary<'_>) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let folder = tempfile::tempdir()?;
    let mut sample = Sample::model(8);
    change(&mut sample);
    let gguf = Gguf::open(&sample.write(folder.path())?)?;
    let rows = sample.tensors[0].dimensions[1];
    look(&Vocabulary::read(&gguf, rows)?)
}

fn loaded(vocabulary: &Vocabulary<'_>) -> Result<Tokenizer, Failure> {
    Ok(serde_json::from_value(vocabulary.tokenizer())?)
}

fn tokens(tokenizer: &Tokenizer, text: &str) -> Result<Vec<String>, Failure> {
    Ok(tokenizer.encode(text, false).map_err(|error| error.to_string())?.get_tokens().to_vec())
}

fn refused(change: impl FnOnce(&mut Sample)) -> Result<String, Failure> {
    match vocabulary(change, |_| Ok(())) {
        Ok(()) => Err("the vocabulary was accepted".into()),
        Err(error) => Ok(error.to_string()),
    }
}

fn qwen2(sample: &mut Sample) {
    sample.put("tokenizer.ggml.pre", Meta::Text("qwen2".into()));
}

#[test]
fn text_is_split_and_merged() -> Tested {
    for change in [qwen2, |_: &mut Sample| {}] {
        vocabulary(change, |vocabulary| {
            let tokenizer = loaded(vocabulary)?;
            assert_eq!(tokens(&tokenizer, "the the's 12")?, ["the", "Ġthe", "'s", "Ġ", "1", "2"]);
            Ok(())
        })?;
    }
    Ok(())
}

#[test]
fn contractions_split_in_capitals_for_qwen2_only() -> Tested {
    let split = |change: fn(&mut Sample)| vocabulary(change, |found| tokens(&loaded(found)?, "x'Sy"));
    assert_eq!(split(qwen2)?, ["x", "'", "S", "y"]);
    assert_eq!(split(|_| {})?, ["x", "'", "Sy"]);
    Ok(())
}

#[test]
fn control_tokens_are_special_and_user_defined_ones_are_not() -> Tested {
    vocabulary(
        |_| {},
        |vocabulary| {
            let tokenizer = loaded(vocabulary)?;
            let ids =
                tokenizer.encode("the<|im_end|><tool_call>", false).map_err(|error| error.to_string())?;
            assert_eq!(ids.get_tokens(), ["the", "<|im_end|>", "<tool_call>"]);
            let kept = tokenizer.decode(ids.get_ids(), true).map_err(|error| error.to_string())?;
            assert_eq!(kept, "the<tool_call>");
            let config = vocabulary.config(64);
            assert_eq!(config["eos_token"], "<|im_end|>");
            assert_eq!(config["pad_token"], "<|endoftext|>");
            assert_eq!(config["chat_template"], "{{ messages }}");
            assert_eq!(config["add_bos_token"], false);
            Ok(())
        },
    )
}

#[test]
fn an_answer_ends_with_the_files_own_token_or_a_usual_one() -> Tested {
    vocabulary(
        |_| {},
        |vocabulary| {
            let tokenizer = loaded(vocabulary)?;
            let id = |token| tokenizer.token_to_id(token).ok_or("no such token");
            assert_eq!(vocabulary.end_ids(), [id("<|im_end|>")?, id("<|endoftext|>")?]);
            Ok(())
        },
    )
}

#[test]
fn no_text_becomes_an_unused_token() -> Tested {
    vocabulary(
        |_| {},
        |vocabulary| {
            let tokenizer = loaded(vocabulary)?;
            assert_eq!(tokenizer.token_to_id("[PAD0]"), None);
            assert_eq!(tokens(&tokenizer, "[PAD0]")?.concat(), "[PAD0]");
            assert_eq!(tokens(&tokenizer, "[PAD0]")?.len(), 6);
            Ok(())
        },
    )
}

#[test]
fn other_kinds_of_vocabulary_are_refused_by_name() -> Tested {
    let error = refused(|sample| sample.put("tokenizer.ggml.pre", Meta::Text("llama-bpe".into())))?;
    assert!(error.contains("pre-tokenizer `llama-bpe`") && error.contains("qwen2 and smollm"), "{error}");
    let error = refused(|sample| sample.put("tokenizer.ggml.model", Meta::Text("llama".into())))?;
    assert!(error.contains("vocabulary model `llama`"), "{error}");
    let error = refused(|sample| sample.remove("tokenizer.ggml.pre"))?;
    assert!(error.contains("pre-tokenizer `(none)`"), "{error}");
    Ok(())
}

#[test]
fn a_vocabulary_that_contradicts_itself_is_refused() -> Tested {
    let change = |key: &'static str, change: fn(&mut Meta)| {
        refused(move |sample| {
            let mut value = sample.get(key).cloned().unwrap_or(Meta::U32(0));
            change(&mut value);
            sample.put(key, value);
        })
    };
    let (tokens, merges) = ("tokenizer.ggml.tokens", "tokenizer.ggml.merges");
    let error = change(tokens, |value| {
        if let Meta::Texts(tokens) = value {
            tokens[1] = "!".into();
        }
    })?;
    assert!(error.contains("tokens 0 and 1 are both \"!\""), "{error}");
    let error = change(merges, |value| {
        if let Meta::Texts(merges) = value {
            merges[2] = "Q X".into();
        }
    })?;
    assert!(error.contains("merge 2 (\"Q X\")"), "{error}");
    let error = change(tokens, |value| {
        if let Meta::Texts(tokens) = value {
            tokens.pop();
        }
    })?;
    assert!(error.contains("for an embedding of"), "{error}");
    let error = change("tokenizer.ggml.eos_token_id", |value| *value = Meta::U32(9999))?;
    assert!(error.contains("`tokenizer.ggml.eos_token_id`"), "{error}");
    Ok(())
}

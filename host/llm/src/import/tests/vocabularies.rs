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
    Ok(serde_json::from_value(vocabulary.tokenizer()?)?)
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
    for name in ["default", "kimi-k2"] {
        let error = refused(|sample| sample.put("tokenizer.ggml.pre", Meta::Text(name.into())))?;
        assert!(error.contains(&format!("pre-tokenizer `{name}`")), "{error}");
        assert!(
            error.contains("llama-bpe") && error.contains("qwen2") && error.contains("smollm"),
            "{error}"
        );
    }
    let error = refused(|sample| sample.put("tokenizer.ggml.model", Meta::Text("t5".into())))?;
    assert!(error.contains("vocabulary model `t5`") && error.contains("gpt2, llama and gemma4"), "{error}");
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

/// A sample whose pre-tokenizer is `name`.
fn split_by(name: &'static str) -> impl Fn(&mut Sample) + Copy {
    move |sample| sample.put("tokenizer.ggml.pre", Meta::Text(name.into()))
}

#[test]
fn each_pre_tokenizer_splits_its_own_way() -> Tested {
    for (name, text, expected) in [
        ("gpt-2", "x1234's", vec!["x", "1", "2", "3", "4", "'s"]),
        ("llama-bpe", "the the", vec!["the", "Ġthe"]),
        ("deepseek-r1-qwen", "the'S", vec!["the", "'", "S"]),
        ("qwen35", "the the", vec!["the", "Ġthe"]),
        // Tekken begins a word at a capital and knows no contractions.
        ("tekken", "the's Sy", vec!["the", "'s", "Ġ", "Sy"]),
        ("tekken", "theSy", vec!["the", "Sy"]),
        ("deepseek-v3", "the the", vec!["the", "Ġthe"]),
        ("deepseek-llm", "the the\n", vec!["the", "Ġthe", "Ċ"]),
    ] {
        let found = vocabulary(split_by(name), |found| tokens(&loaded(found)?, text))?;
        assert_eq!(found, expected, "{name}");
    }
    Ok(())
}

#[test]
fn a_word_that_is_a_token_needs_no_merges_where_llama_cpp_ignores_them() -> Tested {
    let without = |name: &'static str| {
        let change = move |sample: &mut Sample| {
            split_by(name)(sample);
            sample.put("tokenizer.ggml.merges", Meta::Texts(Vec::new()));
        };
        vocabulary(change, |found| tokens(&loaded(found)?, "the"))
    };
    assert_eq!(without("llama-bpe")?, ["the"]);
    assert_eq!(without("qwen2")?, ["t", "h", "e"]);
    Ok(())
}

/// Gives the token `from` another text and kind.
fn renamed(from: &'static str, to: &'static str, kind: i32) -> impl Fn(&mut Sample) + Copy {
    move |sample| {
        let (Some(Meta::Texts(mut tokens)), Some(Meta::I32s(mut kinds))) =
            (sample.get("tokenizer.ggml.tokens").cloned(), sample.get("tokenizer.ggml.token_type").cloned())
        else {
            return;
        };
        if let Some(at) = tokens.iter().position(|token| token == from) {
            tokens[at] = to.into();
            kinds[at] = kind;
        }
        sample.put("tokenizer.ggml.tokens", Meta::Texts(tokens));
        sample.put("tokenizer.ggml.token_type", Meta::I32s(kinds));
    }
}

#[test]
fn no_merge_makes_a_control_token() -> Tested {
    let change = renamed("the", "the", 3);
    let guarded = |found: &Vocabulary<'_>| {
        let mut tokenizer = loaded(found)?;
        tokenizer.set_encode_special_tokens(true);
        tokens(&tokenizer, "the")
    };
    assert_eq!(vocabulary(change, guarded)?, ["th", "e"]);
    // ignoring merges, the word would become it: that is refused
    let error = vocabulary(
        move |sample| {
            change(sample);
            split_by("llama-bpe")(sample);
        },
        loaded,
    );
    let error = error.err().ok_or("it was accepted")?.to_string();
    assert!(error.contains("the text of special token") && error.contains("\"the\""), "{error}");
    Ok(())
}

#[test]
fn ends_are_the_usual_control_tokens_and_those_that_the_file_names() -> Tested {
    let ends = |change: &dyn Fn(&mut Sample)| {
        vocabulary(change, |found| {
            let tokenizer = loaded(found)?;
            let name = |id: &u32| tokenizer.id_to_token(*id).unwrap_or_default();
            Ok(found.end_ids().iter().map(name).collect::<Vec<_>>())
        })
    };
    assert_eq!(
        ends(&renamed("<tool_call>", "<|eot_id|>", 3))?,
        ["<|im_end|>", "<|endoftext|>", "<|eot_id|>"]
    );
    // also where the file has it found in any text, but not where it is a word
    assert_eq!(
        ends(&renamed("<tool_call>", "<|eot_id|>", 4))?,
        ["<|im_end|>", "<|endoftext|>", "<|eot_id|>"]
    );
    assert_eq!(ends(&renamed("<tool_call>", "<|eot_id|>", 1))?, ["<|im_end|>", "<|endoftext|>"]);
    let named = |sample: &mut Sample| {
        sample.put("tokenizer.ggml.eom_token_id", Meta::U32(0));
    };
    assert_eq!(ends(&named)?, ["<|im_end|>", "!", "<|endoftext|>"]);
    let harmony = |sample: &mut Sample| {
        renamed("<tool_call>", "<|end|>", 3)(sample);
        renamed("[PAD0]", "<|return|>", 3)(sample);
        renamed("[PAD1]", "<|call|>", 3)(sample);
    };
    assert_eq!(ends(&harmony)?, ["<|im_end|>", "<|endoftext|>", "<|return|>", "<|call|>"]);
    Ok(())
}

#[test]
fn an_unused_token_amid_used_ones_leaves_a_place() -> Tested {
    let change = |sample: &mut Sample| {
        renamed("Sy", "Sy", 5)(sample);
        sample.put("tokenizer.ggml.merges", Meta::Texts(vec!["t h".into()]));
    };
    vocabulary(change, |vocabulary| {
        let tokenizer = loaded(vocabulary)?;
        assert_eq!(tokens(&tokenizer, "Sy")?, ["S", "y"]);
        assert_eq!(tokenizer.token_to_id("<tool_call>"), Some(103));
        assert_eq!(tokenizer.get_vocab_size(true), 104);
        Ok(())
    })
}

#[test]
fn a_user_defined_token_stands_for_its_own_text() -> Tested {
    vocabulary(renamed("<tool_call>", "Á", 4), |vocabulary| {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("tokenizer.json");
        std::fs::write(&path, serde_json::to_vec(&vocabulary.tokenizer()?)?)?;
        let loaded = crate::vocabulary::Vocabulary::load(&path, None, &vocabulary.end_ids())?;
        assert_eq!(loaded.encode_plain("Áthe")?, [103, 97]);
        // and not for the byte 0xC1, which this letter stands for in other tokens
        assert_eq!(loaded.bytes(103), "Á".as_bytes());
        Ok(())
    })
}

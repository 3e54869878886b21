//! Whole vocabularies against llama.cpp: what its own tests expect, and pieces against the way it merges them.
//!
//! `PAWL_VOCABULARIES` names a folder of `NAME.gguf`, `NAME.gguf.inp` and `NAME.gguf.out` as in llama.cpp's `models/`:
//! Where there is `NAME.gguf.special`, it holds the tokens of the same texts as template text.
//! `PAWL_VOCABULARIES=… cargo test --release -p pawl-llm --lib agreement -- --ignored --nocapture`.

use std::path::Path;

use tokenizers::Tokenizer;

use super::super::gguf::Gguf;
use super::super::tokenizer::Vocabulary;
use super::Tested;
use super::pieces::Merger;
use crate::vocabulary::{Encoded, Piece};

type Failure = Box<dyn std::error::Error>;

/// Texts that are tried on pieces, and their lengths in characters.
const RANDOM_TEXTS: usize = 4000;
const RANDOM_LENGTH: usize = 40;

#[test]
#[ignore = "needs llama.cpp's vocabulary files"]
fn texts_become_llama_cpps_tokens() -> Tested {
    let folder = std::env::var("PAWL_VOCABULARIES")?;
    let mut files: Vec<_> =
        std::fs::read_dir(&folder)?.map(|entry| entry.map(|e| e.path())).collect::<Result<_, _>>()?;
    files.retain(|path| path.extension().is_some_and(|ending| ending == "gguf"));
    files.sort();
    let mut texts = Vec::new();
    for file in &files {
        let found = std::fs::read_to_string(file.with_extension("gguf.inp")).unwrap_or_default();
        texts.extend(split(&found).into_iter().map(str::to_owned));
    }
    texts.sort();
    texts.dedup();
    let mut disagreed = Vec::new();
    for file in &files {
        let name = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        match compare(file, &texts) {
            Ok((told, all)) => {
                println!("{name}: {told}");
                if !all {
                    disagreed.push(name);
                }
            }
            Err(error) => println!("{name}: {}", error.to_string().chars().take(160).collect::<String>()),
        }
    }
    assert!(disagreed.is_empty(), "{disagreed:?}");
    Ok(())
}

/// The texts of an `.inp` file; what stands behind the last separator is none.
fn split(texts: &str) -> Vec<&str> {
    let mut texts: Vec<&str> = texts.split("\n__ggml_vocab_test__\n").collect();
    texts.pop_if(|last| last.is_empty());
    texts
}

/// How many texts agree, in words, and whether all do.
fn compare(file: &Path, texts: &[String]) -> Result<(String, bool), Failure> {
    let gguf = Gguf::open(file)?;
    let rows = gguf.texts("tokenizer.ggml.tokens")?.len();
    let vocabulary = Vocabulary::read(&gguf, rows as u64)?;
    let json = vocabulary.tokenizer()?;
    let mut tokenizer: Tokenizer = serde_json::from_value(json.clone())?;
    tokenizer.set_encode_special_tokens(true);
    let encode = |text: &str| {
        tokenizer.encode_fast(text, false).map(|found| found.get_ids().to_vec()).map_err(|e| e.to_string())
    };
    let mut told = String::new();
    let mut all = true;
    // The loader's reading: bytes, and no special token from text.
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("tokenizer.json");
    std::fs::write(&path, serde_json::to_vec(&json)?)?;
    let ends = vocabulary.end_ids();
    let loaded = crate::vocabulary::Vocabulary::load(&path, Some(rows), &ends)?;
    let template = |text: &str| {
        let Encoded { mut tokens, tail } = loaded.encode_template(&[Piece::Template(text.to_owned())])?;
        tokens.extend(loaded.encode_start(&tail)?);
        Ok::<_, Failure>(tokens)
    };
    let inputs = std::fs::read_to_string(file.with_extension("gguf.inp")).unwrap_or_default();
    let inputs = split(&inputs);
    for (ending, as_what) in [("gguf.out", "text"), ("gguf.special", "template text")] {
        let Ok(outputs) = std::fs::read_to_string(file.with_extension(ending)) else { continue };
        let outputs: Vec<&str> = outputs.lines().collect();
        assert_eq!(inputs.len(), outputs.len(), "texts and lines of tokens");
        let mut same = 0;
        for (input, output) in inputs.iter().zip(&outputs) {
            let expected: Vec<u32> = output.split_whitespace().map(str::parse).collect::<Result<_, _>>()?;
            let found = if as_what == "text" { encode(input)? } else { template(input)? };
            if found == expected {
                same += 1;
            } else {
                println!("  {input:?} as {as_what}\n    expected {expected:?}\n    found    {found:?}");
            }
        }
        told += &format!("{same} of {} agree as {as_what}; ", inputs.len());
        all &= same == inputs.len();
    }
    if let Some(merger) = Merger::of(&gguf)? {
        let random = random_texts(&gguf)?;
        let mut same = 0;
        for text in texts.iter().chain(&random) {
            let (found, expected) = (encode(text)?, merger.encode(text));
            if found == expected {
                same += 1;
            } else if all {
                println!("  {text:?}\n    merged {expected:?}\n    found  {found:?}");
            }
        }
        told += &format!("{same} of {} as llama.cpp merges; ", texts.len() + random.len());
        all &= same == texts.len() + random.len();
    }
    // `▁` cannot be told from a space where pieces write one for the other
    let pieces = json["model"]["byte_fallback"] == true;
    let mut same = 0;
    for text in texts {
        let bytes: Vec<u8> =
            loaded.encode_plain(text)?.iter().flat_map(|id| loaded.bytes(*id).to_vec()).collect();
        if bytes == text.as_bytes() || pieces && text.contains('▁') {
            same += 1;
        } else {
            println!("  {text:?} has bytes {:?}", String::from_utf8_lossy(&bytes));
        }
    }
    told += &format!("{same} of {} texts are their tokens' bytes; ends {ends:?}", texts.len());
    Ok((told, all && same == texts.len()))
}

/// Pieces and letters strung together at random, repeated ones among them.
fn random_texts(gguf: &Gguf) -> Result<Vec<String>, Failure> {
    let tokens = gguf.texts("tokenizer.ggml.tokens")?;
    let mut state = 7u64;
    let mut next = |below: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % below
    };
    let mut texts = Vec::new();
    for index in 0..RANDOM_TEXTS {
        let mut text = String::new();
        while text.chars().count() < RANDOM_LENGTH {
            match index % 4 {
                0 => text.push_str(&tokens[next(tokens.len())].replace('▁', " ")),
                1 => text.push((b'a' + next(3) as u8) as char),
                2 => text.extend(std::iter::repeat_n((b' ' + next(95) as u8) as char, 1 + next(9))),
                _ => text.push((b' ' + next(95) as u8) as char),
            }
        }
        texts.push(text);
    }
    Ok(texts)
}

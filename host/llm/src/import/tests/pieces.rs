//! SentencePiece vocabularies: the merges that are written join what llama.cpp's scores join, and bytes are bytes.

use std::collections::BTreeMap;

use tokenizers::Tokenizer;

use super::super::gguf::Gguf;
use super::super::tokenizer::Vocabulary;
use super::Tested;
use super::sample::{HIDDEN, Meta, Sample};

type Failure = Box<dyn std::error::Error>;

/// llama.cpp's way to merge (`llm_tokenizer_spm_session`): of all neighbours the union with the best score, the
/// leftmost among equals. Letters never become special tokens or bytes; nothing is found in text as it stands.
pub(super) struct Merger {
    pieces: BTreeMap<String, (u32, f32)>,
    bytes: Vec<u32>,
    prefix: bool,
    as_they_stand: Vec<(String, u32)>,
}

impl Merger {
    /// `None` where the vocabulary is of another kind.
    pub(super) fn of(gguf: &Gguf) -> Result<Option<Merger>, Failure> {
        if gguf.text("tokenizer.ggml.model")? != Some("llama") {
            return Ok(None);
        }
        let mut merger = Merger {
            pieces: BTreeMap::new(),
            bytes: vec![0; 256],
            prefix: gguf.flag("tokenizer.ggml.add_space_prefix")?.unwrap_or(true),
            as_they_stand: Vec::new(),
        };
        let tokens = gguf.texts("tokenizer.ggml.tokens")?.iter();
        let rest =
            gguf.floats("tokenizer.ggml.scores")?.iter().zip(gguf.integers("tokenizer.ggml.token_type")?);
        for (id, (token, (score, kind))) in (0..).zip(tokens.zip(rest)) {
            if *kind == 6 {
                merger.bytes[usize::from(u8::from_str_radix(&token[3..5], 16)?)] = id;
            }
            if *kind == 4 && token != "</s>" {
                merger.as_they_stand.push((token.clone(), id));
            }
            if *kind == 1 || *kind == 4 && !token.ends_with('>') {
                merger.pieces.insert(token.clone(), (id, *score));
            }
        }
        merger.as_they_stand.sort_by_key(|(token, _)| std::cmp::Reverse(token.len()));
        Ok(Some(merger))
    }

    pub(super) fn encode(&self, text: &str) -> Vec<u32> {
        let mut parts: Vec<Result<u32, &str>> = vec![Err(text)];
        for (token, id) in &self.as_they_stand {
            let cut = |part| match part {
                Err(text) => {
                    let between = str::split(text, token.as_str()).map(Err);
                    let mut cut: Vec<_> = between.flat_map(|piece| [Ok(*id), piece]).skip(1).collect();
                    cut.retain(|part| *part != Err(""));
                    cut
                }
                Ok(id) => vec![Ok(id)],
            };
            parts = parts.into_iter().flat_map(cut).collect();
        }
        let encoded = parts.into_iter().flat_map(|part| match part {
            Ok(id) => vec![id],
            Err("") => Vec::new(),
            Err(text) if self.prefix => self.merge(&format!("▁{}", text.replace(' ', "▁"))),
            Err(text) => self.merge(&text.replace(' ', "▁")),
        });
        encoded.collect()
    }

    fn merge(&self, text: &str) -> Vec<u32> {
        let mut symbols: Vec<String> = text.chars().map(String::from).collect();
        loop {
            let mut best: Option<(usize, f32)> = None;
            for at in 1..symbols.len() {
                if let Some((_, score)) = self.pieces.get(&format!("{}{}", symbols[at - 1], symbols[at]))
                    && best.is_none_or(|(_, found)| *score > found)
                {
                    best = Some((at, *score));
                }
            }
            let Some((at, _)) = best else { break };
            let right = symbols.remove(at);
            symbols[at - 1].push_str(&right);
        }
        let tokens = |symbol: &String| match self.pieces.get(symbol) {
            Some((id, _)) => vec![*id],
            None => symbol.bytes().map(|byte| self.bytes[usize::from(byte)]).collect(),
        };
        symbols.iter().flat_map(tokens).collect()
    }
}

const NORMAL: i32 = 1;
const CONTROL: i32 = 3;
const USER_DEFINED: i32 = 4;
/// Pieces besides the letters, with scores; `ab` before `bc`, `abc` out of either.
const PIECES: [(&str, f32); 12] = [
    ("ab", -1.0),
    ("bc", -2.0),
    ("abc", -3.0),
    ("▁a", -4.0),
    ("▁▁", -50.0),
    ("▁▁▁", -50.0),
    ("▁▁▁▁", -50.0),
    ("</", -6.0),
    ("s>", -7.0),
    ("<s", -8.0),
    ("aa", -9.0),
    ("aaa", -10.0),
];

/// A vocabulary of pieces: unknown, begin, end, bytes, letters, [`PIECES`], a control and a user-defined token.
fn pieces(sample: &mut Sample) {
    let mut tokens =
        vec![("<unk>".to_owned(), 2, 0.0), ("<s>".into(), CONTROL, 0.0), ("</s>".into(), CONTROL, 0.0)];
    tokens.extend((0..=255u8).map(|byte| (format!("<0x{byte:02X}>"), 6, 0.0)));
    tokens.extend(PIECES.map(|(piece, score)| (piece.to_owned(), NORMAL, score)));
    let letters = ["▁", "a", "b", "c", "s", "<", ">", "/", "0", "x", "4", "1"];
    tokens
        .extend((0..).zip(letters).map(|(index, letter)| (letter.to_owned(), NORMAL, -100.0 - index as f32)));
    tokens.push(("<|end|>".into(), CONTROL, -1000.0));
    tokens.push(("c c".into(), USER_DEFINED, -1000.0));
    sample.put("tokenizer.ggml.model", Meta::Text("llama".into()));
    for key in ["pre", "merges", "eos_token_id", "padding_token_id"] {
        sample.remove(&format!("tokenizer.ggml.{key}"));
    }
    sample.put("tokenizer.ggml.scores", Meta::F32s(tokens.iter().map(|(.., score)| *score).collect()));
    sample.put("tokenizer.ggml.token_type", Meta::I32s(tokens.iter().map(|(_, kind, _)| *kind).collect()));
    sample.put("tokenizer.ggml.tokens", Meta::Texts(tokens.into_iter().map(|(token, ..)| token).collect()));
}

fn look<T>(
    change: impl FnOnce(&mut Sample),
    look: impl FnOnce(&Gguf, &Vocabulary<'_>) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let folder = tempfile::tempdir()?;
    let mut sample = Sample::model(8);
    sample.tensors.clear();
    pieces(&mut sample);
    change(&mut sample);
    let gguf = Gguf::open(&sample.write(folder.path())?)?;
    let rows = gguf.texts("tokenizer.ggml.tokens")?.len() as u64;
    look(&gguf, &Vocabulary::read(&gguf, rows)?)
}

fn no_prefix(sample: &mut Sample) {
    sample.put("tokenizer.ggml.add_space_prefix", Meta::Flag(false));
}

/// Nothing in the text is special, as where a caller's text is read.
fn guarded(vocabulary: &Vocabulary<'_>) -> Result<Tokenizer, Failure> {
    let mut tokenizer: Tokenizer = serde_json::from_value(vocabulary.tokenizer()?)?;
    tokenizer.set_encode_special_tokens(true);
    Ok(tokenizer)
}

fn tokens(change: impl FnOnce(&mut Sample), text: &str) -> Result<Vec<String>, Failure> {
    look(change, |_, vocabulary| {
        let encoded = guarded(vocabulary)?.encode(text, false).map_err(|error| error.to_string())?;
        Ok(encoded.get_tokens().to_vec())
    })
}

#[test]
fn scores_decide_what_is_merged() -> Tested {
    assert_eq!(tokens(no_prefix, "abc")?, ["abc"]);
    assert_eq!(tokens(no_prefix, "bcab")?, ["bc", "ab"]);
    // `ab` before `▁a`, though `▁a` stands before it
    assert_eq!(tokens(no_prefix, " ab")?, ["▁", "ab"]);
    let swapped = |sample: &mut Sample| {
        no_prefix(sample);
        if let Some(Meta::F32s(mut scores)) = sample.get("tokenizer.ggml.scores").cloned() {
            scores.swap(259, 262);
            sample.put("tokenizer.ggml.scores", Meta::F32s(scores));
        }
    };
    assert_eq!(tokens(swapped, " ab")?, ["▁a", "b"]);
    Ok(())
}

#[test]
fn a_text_begins_with_a_space_where_the_file_does_not_say_otherwise() -> Tested {
    assert_eq!(tokens(|_| {}, "a")?, ["▁a"]);
    assert_eq!(tokens(no_prefix, "a")?, ["a"]);
    assert_eq!(tokens(|_| {}, "")?, [""; 0]);
    // after a token that is found as it stands, too
    assert_eq!(tokens(|_| {}, "ac ca")?, ["▁a", "c c", "▁a"]);
    assert_eq!(tokens(no_prefix, "ac ca")?, ["a", "c c", "a"]);
    Ok(())
}

#[test]
fn what_no_piece_holds_becomes_bytes() -> Tested {
    assert_eq!(tokens(no_prefix, "aéa\n")?, ["a", "<0xC3>", "<0xA9>", "a", "<0x0A>"]);
    Ok(())
}

#[test]
fn no_text_becomes_a_control_token_or_a_byte() -> Tested {
    for (text, expected) in [
        ("</s>", vec!["</", "s>"]),
        ("<s>", vec!["<", "s>"]),
        ("<unk>", vec!["<", "<0x75>", "<0x6E>", "<0x6B>", ">"]),
        ("<0x41>", vec!["<", "0", "x", "4", "1", ">"]),
    ] {
        assert_eq!(tokens(no_prefix, text)?, expected);
    }
    // one of that form that the file has found in any text is not merged either
    let user_defined = |sample: &mut Sample| {
        let (Some(Meta::Texts(mut tokens)), Some(Meta::I32s(mut kinds))) =
            (sample.get("tokenizer.ggml.tokens").cloned(), sample.get("tokenizer.ggml.token_type").cloned())
        else {
            return;
        };
        (tokens[2], kinds[2]) = ("<ab>".into(), USER_DEFINED);
        tokens[260] = "<ab".into();
        sample.put("tokenizer.ggml.tokens", Meta::Texts(tokens));
        sample.put("tokenizer.ggml.token_type", Meta::I32s(kinds));
    };
    look(user_defined, |_, vocabulary| {
        let loaded = load(vocabulary)?;
        assert_eq!(loaded.encode_plain("<ab>")?, [260, 277]);
        Ok(())
    })
}

/// As a model folder is loaded.
fn load(vocabulary: &Vocabulary<'_>) -> Result<crate::vocabulary::Vocabulary, Failure> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("tokenizer.json");
    std::fs::write(&path, serde_json::to_vec(&vocabulary.tokenizer()?)?)?;
    Ok(crate::vocabulary::Vocabulary::load(&path, None, &vocabulary.end_ids())?)
}

#[test]
fn merges_join_what_the_scores_join() -> Tested {
    let letters = [" ", "a", "b", "c", "<", "/s>", "é"];
    for change in [no_prefix, |_: &mut Sample| {}] {
        look(change, |gguf, vocabulary| {
            let tokenizer = guarded(vocabulary)?;
            let merger = Merger::of(gguf)?.ok_or("no pieces")?;
            for number in 0..letters.len().pow(6) {
                let digit = |place| letters[number / letters.len().pow(place) % letters.len()];
                let text: String = (0..6).map(digit).collect();
                let found = tokenizer.encode_fast(text.as_str(), false).map_err(|error| error.to_string())?;
                assert_eq!(found.get_ids(), merger.encode(&text), "{text:?}");
            }
            Ok(())
        })?;
    }
    Ok(())
}

#[test]
fn the_loader_reads_the_bytes() -> Tested {
    look(
        |_| {},
        |_, vocabulary| {
            let (loaded, ends) = (load(vocabulary)?, vocabulary.end_ids());
            let bytes =
                |ids: &[u32]| ids.iter().flat_map(|id| loaded.bytes(*id).to_vec()).collect::<Vec<_>>();
            assert_eq!(ends, [2, 283]);
            assert_eq!((bytes(&[3 + 0x0A]), bytes(&[3 + 0xE2])), (vec![0x0A], vec![0xE2]));
            assert_eq!(
                (bytes(&[262]), bytes(&[283]), bytes(&[284])),
                (b" a".to_vec(), vec![], b"c c".to_vec())
            );
            for text in ["a b", " a", "c c<|end|></s>\n", "é<0x41>"] {
                // as it goes on from other text, and at a beginning
                assert_eq!(bytes(&loaded.encode_plain(text)?), text.as_bytes());
                let began = loaded.encode_start(text)?;
                assert!(!began.iter().any(|id| [0, 1, 2, 283].contains(id)), "{text:?} is {began:?}");
            }
            assert_eq!(loaded.encode_plain("a")?, [272]);
            assert_eq!(loaded.encode_start("a")?, [262]);
            Ok(())
        },
    )
}

#[test]
fn a_prompt_has_the_space_behind_each_special_token_and_nowhere_else() -> Tested {
    use crate::vocabulary::Piece;
    let template = |change: fn(&mut Sample)| {
        look(change, |_, vocabulary| {
            let loaded = load(vocabulary)?;
            let pieces = [
                Piece::Template("<s>a".into()),
                Piece::Plain("b".into()),
                Piece::Template("c<|end|>".into()),
                Piece::Plain("a".into()),
            ];
            let encoded = loaded.encode_template(&pieces)?;
            assert_eq!(encoded.tail, "a");
            Ok(encoded.tokens)
        })
    };
    // ▁ abc, not ▁a ▁b ▁c
    assert_eq!(template(|_| {})?, [1, 271, 261, 283]);
    assert_eq!(template(no_prefix)?, [1, 261, 283]);
    Ok(())
}

#[test]
fn a_damaged_vocabulary_of_pieces_is_refused() -> Tested {
    let refused =
        |change: &dyn Fn(&mut Sample)| match look(change, |_, vocabulary| Ok(vocabulary.tokenizer()?)) {
            Ok(_) => Err(Failure::from("it was accepted")),
            Err(error) => Ok(error.to_string()),
        };
    let scores = "tokenizer.ggml.scores";
    let error = refused(&|sample| sample.remove(scores))?;
    assert!(error.contains("`tokenizer.ggml.scores` is missing"), "{error}");
    let error = refused(&|sample| sample.put(scores, Meta::F32s(vec![0.0; 9])))?;
    assert!(error.contains("9 scores for 285 tokens"), "{error}");
    let error = refused(&|sample| sample.put(scores, Meta::F32s(vec![f32::NAN; 285])))?;
    assert!(error.contains("token 0") && error.contains("score NaN"), "{error}");
    let error = refused(&|sample| sample.put(scores, Meta::Texts(Vec::new())))?;
    assert!(error.contains("expected an array of 32-bit floats"), "{error}");
    let renamed = |id: usize, name: &'static str| {
        refused(&move |sample: &mut Sample| {
            if let Some(Meta::Texts(mut tokens)) = sample.get("tokenizer.ggml.tokens").cloned() {
                tokens[id] = name.into();
                sample.put("tokenizer.ggml.tokens", Meta::Texts(tokens));
            }
        })
    };
    let error = renamed(3 + 0x41, "other")?;
    assert!(error.contains("byte token <0x41> is missing"), "{error}");
    let error = renamed(260, "<0x")?;
    assert!(error.contains("token 260 (\"<0x\") has type 1 and is no byte"), "{error}");
    let error = renamed(260, "ab")?;
    assert!(error.contains("tokens 259 and 260 are both \"ab\""), "{error}");
    Ok(())
}

#[test]
fn a_small_file_whose_pieces_join_in_too_many_ways_is_refused() -> Tested {
    // a run of every length, which is cut anywhere into two of them
    let runs = |sample: &mut Sample| {
        let (Some(Meta::Texts(mut tokens)), Some(Meta::I32s(mut kinds)), Some(Meta::F32s(mut scores))) = (
            sample.get("tokenizer.ggml.tokens").cloned(),
            sample.get("tokenizer.ggml.token_type").cloned(),
            sample.get("tokenizer.ggml.scores").cloned(),
        ) else {
            return;
        };
        tokens.extend((4..=1024).map(|length| "a".repeat(length)));
        kinds.resize(tokens.len(), NORMAL);
        scores.resize(tokens.len(), -1.0);
        sample.put("tokenizer.ggml.tokens", Meta::Texts(tokens));
        sample.put("tokenizer.ggml.token_type", Meta::I32s(kinds));
        sample.put("tokenizer.ggml.scores", Meta::F32s(scores));
    };
    let error = look(runs, |_, _| Ok(())).err().ok_or("it was accepted")?.to_string();
    assert!(error.contains("join out of shorter ones in more ways than 4194304"), "{error}");
    Ok(())
}

#[test]
fn a_model_with_pieces_is_imported() -> Tested {
    let folder = tempfile::tempdir()?;
    let mut sample = Sample::model(8);
    pieces(&mut sample);
    sample.tensors.remove(0);
    sample.matrix("token_embd.weight", HIDDEN, 285, 8);
    let model = folder.path().join("model");
    let gguf = sample.write(folder.path())?;
    super::super::import_gguf(&gguf, &model, super::super::Operators::Own, &mut |_| {})?;
    let read = |name: &str| -> Result<serde_json::Value, Failure> {
        Ok(serde_json::from_slice(&std::fs::read(model.join(name))?)?)
    };
    let config = read("tokenizer_config.json")?;
    assert_eq!((&config["bos_token"], &config["add_bos_token"]), (&"<s>".into(), &true.into()));
    assert_eq!(read("generation_config.json")?["eos_token_id"], serde_json::json!([2, 283]));
    let tokenizer = Tokenizer::from_file(model.join("tokenizer.json")).map_err(|error| error.to_string())?;
    // as Hugging Face's libraries decode it, without the first space
    assert_eq!(
        tokenizer.decode(&[262, 271, 271, 3 + 0xC3, 3 + 0xA9], true).map_err(|e| e.to_string())?,
        "a  é"
    );
    Ok(())
}

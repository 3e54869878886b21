//! Text to tokens and tokens to bytes.
//!
//! Invariant: text that comes from outside never becomes a special token. [`Vocabulary::encode_plain`] treats every
//! added token of the form `<…>`, and all that tokenizer.json calls special, as letters; only what
//! [`Vocabulary::encode_template`] is told to be template text may hold them. What [`Vocabulary::bytes`] says of a token
//! is what text it is made of.

use std::{panic::AssertUnwindSafe, path::Path, sync::Arc};

use tokenizers::{
    AddedToken, DecoderWrapper, NormalizerWrapper, PostProcessorWrapper, PreTokenizerWrapper, Tokenizer,
    TokenizerImpl, models::bpe::BPE,
};
use toktrie::{TokEnv, TokTrie, TokenId, TokenizerEnv};
use toktrie_hf_tokenizers::{ByteTokenizer, ByteTokenizerEnv};

use crate::Error;

/// The tokens of a model. Shared by the callers (prompts), the grammar engine and the model thread.
pub(crate) struct Vocabulary {
    /// Takes no special tokens from text.
    plain: Tokenizer,
    /// The same with a space before a text, where the model knows texts only so (SentencePiece's dummy prefix).
    prefixing: Option<Tokenizer>,
    trie: TokTrie,
    /// Longest text first.
    specials: Vec<Special>,
    /// First characters of special tokens, each once.
    openers: Vec<char>,
    /// Of each token the one without its leading space, itself where there is none.
    spaceless: Vec<TokenId>,
    /// Tokens that tokenizer.json has; the head may have rows beyond them, which mean nothing.
    size: usize,
}

/// An added token that template text may hold.
struct Special {
    id: TokenId,
    text: String,
    /// Never shown in an answer.
    control: bool,
    strip_left: bool,
    strip_right: bool,
}

/// A piece of a rendered template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Piece {
    /// The template's own text; special tokens count.
    Template(String),
    /// Somebody's text; nothing in it is special.
    Plain(String),
}

/// An encoded prompt: the tokens up to and with the last special one, and the text behind it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Encoded {
    pub(crate) tokens: Vec<TokenId>,
    pub(crate) tail: String,
}

impl Vocabulary {
    /// Reads tokenizer.json. `rows` is the width of the logits where it is known, `eos` the tokens that end an answer.
    pub(crate) fn load(path: &Path, rows: Option<usize>, eos: &[TokenId]) -> Result<Vocabulary, Error> {
        let refused = |message: String| Error::ModelFile { path: path.to_path_buf(), message };
        let text = std::fs::read_to_string(path).map_err(|e| refused(e.to_string()))?;
        let tokenizer = read(&text).map_err(|e| refused(e.to_string()))?;
        drop(text);
        // The builders assert what a sane tokenizer.json has; a file from outside need not be sane.
        std::panic::catch_unwind(AssertUnwindSafe(|| Vocabulary::build(tokenizer, rows, eos)))
            .unwrap_or_else(|_| Err("the tokens in it cannot be read as bytes".to_owned()))
            .map_err(refused)
    }

    fn build(tokenizer: Tokenizer, rows: Option<usize>, eos: &[TokenId]) -> Result<Vocabulary, String> {
        let size = tokenizer.get_vocab_size(true);
        let rows = rows.unwrap_or(size);
        if rows < size {
            return Err(format!("{size} tokens, but the graph gives {rows} logits"));
        }
        if let Some(id) = eos.iter().find(|&&id| id as usize >= size) {
            return Err(format!("end token {id} is not among its {size} tokens"));
        }
        let mut specials: Vec<Special> = tokenizer
            .get_added_tokens_decoder()
            .into_iter()
            .filter(|(_, token)| is_special(token))
            .map(|(id, token)| Special {
                id,
                control: token.special,
                strip_left: token.lstrip,
                strip_right: token.rstrip,
                text: token.content,
            })
            .collect();
        specials.sort_by_key(|special| std::cmp::Reverse(special.text.len()));

        let mut openers: Vec<char> = specials.iter().filter_map(|s| s.text.chars().next()).collect();
        openers.sort_unstable();
        openers.dedup();

        // The byte tokenizer takes the prefix away: what a grammar continues is not the beginning of a text.
        let prefixing = tokenizer.get_normalizer().is_some_and(prepends).then(|| tokenizer.clone());
        let mut bytes = ByteTokenizer::from_tokenizer(tokenizer).map_err(|e| e.to_string())?;
        if !eos.is_empty() {
            bytes.set_eos_tokens(eos);
        }
        let env = ByteTokenizerEnv::new(bytes, Some(rows)).map_err(|e| e.to_string())?;
        let trie = with_own_bytes(env.tok_trie, &env.tokenizer.hf_tokenizer);
        let as_special = |s: &Special| {
            AddedToken::from(s.text.clone(), true)
                .lstrip(s.strip_left)
                .rstrip(s.strip_right)
                .normalized(false)
        };
        let specials_as_added: Vec<_> = specials.iter().map(as_special).collect();
        let guarded = |mut tokenizer: Tokenizer| {
            tokenizer.add_special_tokens(&specials_as_added);
            tokenizer.set_encode_special_tokens(true);
            tokenizer
        };
        let (plain, prefixing) = (guarded(env.tokenizer.hf_tokenizer), prefixing.map(guarded));
        let spaceless = (0..size as TokenId).map(|token| match trie.token(token) {
            [b' ', word @ ..] if !word.is_empty() => trie.token_id(word).unwrap_or(token),
            _ => token,
        });
        let spaceless = spaceless.collect();
        Ok(Vocabulary { plain, prefixing, trie, specials, openers, spaceless, size })
    }

    /// Tokens that mean something; ids from here on are padding of the head.
    pub(crate) fn size(&self) -> usize {
        self.size
    }

    /// Text that goes on from other text, to tokens; nothing in it is special.
    pub(crate) fn encode_plain(&self, text: &str) -> Result<Vec<TokenId>, Error> {
        encode(&self.plain, text)
    }

    /// Text at the beginning or right after a special token, to tokens; nothing in it is special.
    pub(crate) fn encode_start(&self, text: &str) -> Result<Vec<TokenId>, Error> {
        encode(self.prefixing.as_ref().unwrap_or(&self.plain), text)
    }

    /// Pieces to tokens. What stands between two special tokens is encoded as one text, whoever wrote it, so that the
    /// tokens are those that the model was trained on.
    pub(crate) fn encode_template(&self, pieces: &[Piece]) -> Result<Encoded, Error> {
        let mut encoded = Encoded::default();
        let mut strip = false;
        for piece in pieces {
            let mut rest = match piece {
                Piece::Plain(text) => {
                    push_stripped(&mut encoded.tail, text, &mut strip);
                    continue;
                }
                Piece::Template(text) => text.as_str(),
            };
            while let Some((at, special)) = self.find_special(rest) {
                push_stripped(&mut encoded.tail, &rest[..at], &mut strip);
                let before = std::mem::take(&mut encoded.tail);
                let before = if special.strip_left { before.trim_end() } else { &before };
                encoded.tokens.extend(self.encode_start(before)?);
                encoded.tokens.push(special.id);
                strip = special.strip_right;
                rest = &rest[at + special.text.len()..];
            }
            push_stripped(&mut encoded.tail, rest, &mut strip);
        }
        Ok(encoded)
    }

    /// The leftmost special token, the longest where several begin.
    fn find_special(&self, text: &str) -> Option<(usize, &Special)> {
        let at_opener = |(at, _): (usize, &str)| {
            let here = &text[at..];
            Some((at, self.specials.iter().find(|special| here.starts_with(&special.text))?))
        };
        text.match_indices(self.openers.as_slice()).find_map(at_opener)
    }

    /// First characters of special tokens, each once.
    pub(crate) fn special_openers(&self) -> Vec<char> {
        self.openers.clone()
    }

    /// The token that a word has where no space is before it: a text copied between quotes begins with another token than
    /// in running text.
    pub(crate) fn spaceless(&self, token: TokenId) -> TokenId {
        self.spaceless.get(token as usize).copied().unwrap_or(token)
    }

    /// What a token shows in an answer: its bytes, nothing for control tokens.
    pub(crate) fn bytes(&self, token: TokenId) -> &[u8] {
        let bytes = self.trie.token(token);
        match bytes.split_first() {
            Some((&TokTrie::SPECIAL_TOKEN_MARKER, name)) => {
                let control = self.specials.iter().find(|s| s.id == token).is_none_or(|s| s.control);
                if control { &[] } else { name }
            }
            _ => bytes,
        }
    }
}

/// What nearly all are.
type BytePairs =
    TokenizerImpl<BPE, NormalizerWrapper, PreTokenizerWrapper, PostProcessorWrapper, DecoderWrapper>;

/// As `Tokenizer::from_str` does, which reads the model, of whatever kind, into a tree of JSON values first: of 150,000
/// tokens that takes 90 MB more, half of which malloc keeps, and half as long again.
fn read(json: &str) -> tokenizers::Result<Tokenizer> {
    match serde_json::from_str::<BytePairs>(json) {
        Ok(tokenizer) => Ok(tokenizer.into()),
        Err(_) => json.parse(),
    }
}

/// Added tokens of byte-level vocabularies stand for their text as it is. The byte tokenizer reads every letter as the
/// byte that it stands for elsewhere (`Á` as 0xC1).
fn with_own_bytes(trie: TokTrie, tokenizer: &Tokenizer) -> TokTrie {
    let byte_level = |decoder: &DecoderWrapper| matches!(decoder, DecoderWrapper::ByteLevel(_));
    let added = tokenizer.get_added_tokens_decoder();
    let wrong = |(id, token): &(&TokenId, &AddedToken)| {
        !is_special(token) && trie.token(**id) != token.content.as_bytes()
    };
    if !tokenizer.get_decoder().is_some_and(byte_level) || !added.iter().any(|entry| wrong(&entry)) {
        return trie;
    }
    let mut words: Vec<Vec<u8>> =
        (0..trie.vocab_size()).map(|id| trie.token(id as TokenId).to_vec()).collect();
    for (id, token) in added.iter().filter(wrong) {
        words[*id as usize] = token.content.clone().into_bytes();
    }
    TokTrie::from(trie.info(), &words).with_eos_tokens(trie.eos_tokens())
}

fn encode(tokenizer: &Tokenizer, text: &str) -> Result<Vec<TokenId>, Error> {
    if text.is_empty() {
        return Ok(Vec::new());
    }
    // The search for words gives up with a panic where it tried ten million ways, as on so many spaces in a row.
    let encoding = std::panic::catch_unwind(AssertUnwindSafe(|| tokenizer.encode_fast(text, false)));
    match encoding {
        Ok(Ok(encoding)) => Ok(encoding.get_ids().to_vec()),
        Ok(Err(error)) => Err(Error::Tokenizer(error.to_string())),
        Err(_) => Err(Error::Tokenizer(format!("a text of {} bytes cannot be split into words", text.len()))),
    }
}

/// Whether texts get a beginning that nobody wrote.
fn prepends(normalizer: &NormalizerWrapper) -> bool {
    match normalizer {
        NormalizerWrapper::Prepend(_) => true,
        NormalizerWrapper::Sequence(all) => all.as_ref().iter().any(prepends),
        _ => false,
    }
}

/// Added tokens that could change who speaks: all that are called special, and all of the form `<…>`.
fn is_special(token: &AddedToken) -> bool {
    token.special || (token.content.starts_with('<') && token.content.ends_with('>'))
}

/// Appends `text`, without the white space that a special token before it swallows.
fn push_stripped(tail: &mut String, text: &str, strip: &mut bool) {
    let text = if *strip { text.trim_start() } else { text };
    *strip = *strip && text.is_empty();
    tail.push_str(text);
}

/// What the grammar engine asks of a tokenizer.
impl TokenizerEnv for Vocabulary {
    fn tok_trie(&self) -> &TokTrie {
        &self.trie
    }

    fn tokenize_bytes(&self, bytes: &[u8]) -> Vec<TokenId> {
        // Falls back to the trie's own longest match for what is not UTF-8 or what the tokenizer refuses.
        self.trie.tokenize_with_greedy_fallback(bytes, |text| {
            self.encode_plain(text).unwrap_or_else(|_| self.trie.greedy_tokenize(text.as_bytes()))
        })
    }
}

/// The vocabulary in the shape that the grammar engine takes.
pub(crate) fn token_env(vocabulary: &Arc<Vocabulary>) -> TokEnv {
    vocabulary.clone()
}

//! How byte-level vocabularies (`tokenizer.ggml.model` = `gpt2`) split text into words before merging.
//!
//! Invariant: the expressions are llama.cpp's (`llama-vocab.cpp`), applied one after the other to the pieces that the
//! one before left, as there. Where llama.cpp matches on a text in which every white space beyond ASCII stands as a
//! vertical tab, the classes here leave white space out. What llama.cpp does in code of its own and no expression says
//! (`kimi-k2`, `afmoe`, `tiny_aya`, `superbpe`) or does unlike the models' makers (`youtu`) is not listed.

/// Pre-tokenizers of one kind.
pub(super) struct Split {
    /// Values of `tokenizer.ggml.pre`.
    names: &'static [&'static str],
    pub(super) expressions: &'static [&'static str],
    /// A word that is a token is that token, whatever the merges say.
    pub(super) ignore_merges: bool,
    /// Whether text begins with the token for that, unless the file says.
    pub(super) add_bos: bool,
}

macro_rules! contractions {
    () => {
        r"(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])"
    };
}

/// Llama 3's expression with another class of digits.
macro_rules! words {
    ($digits:literal) => {
        concat!(
            contractions!(),
            r"|[^\r\n\p{L}\p{N}]?\p{L}+|",
            $digits,
            r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
        )
    };
}

/// Words that begin anew at a capital, as GPT-4o and Tekken have them.
macro_rules! cased {
    ($suffix:expr, $digits:literal) => {
        concat!(
            r"[^\r\n\p{L}\p{N}]?((?=[\p{L}])([^a-z]))*((?=[\p{L}])([^A-Z]))+",
            $suffix,
            r"|[^\r\n\p{L}\p{N}]?((?=[\p{L}])([^a-z]))+((?=[\p{L}])([^A-Z]))*",
            $suffix,
            "|",
            $digits,
            r"| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
        )
    };
}

const GPT2: &str = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+";
const LLAMA3: &str = words!(r"\p{N}{1,3}");
const QWEN2: &str = words!(r"\p{N}");
const QWEN35: &str = concat!(
    contractions!(),
    r"|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
);
const TEKKEN: &str = cased!("", r"\p{N}");
const GPT4O: &str = cased!(concat!(contractions!(), "?"), r"\p{N}{1,3}");
const JAIS2: &str = concat!(
    contractions!(),
    r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+",
    r"|\s{512}(?!\S)|\s{256}(?!\S)|\s{128}(?!\S)|\s{64}(?!\S)|\s{32}(?!\S)|\s{16}(?!\S)|\s{8}(?!\S)|\s{4}(?!\S)",
    r"|\s{1,2}(?!\S)|\s{1}"
);
const EXAONE_MOE: &str = concat!(
    contractions!(),
    r"|[^\r\n\p{L}\p{N}]?(?:\p{L}\p{M}*(?: \p{L}\p{M}*)*)+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]?|\s*[\r\n]|\s+(?!\S)|\s+"
);
const BAILING: &str = concat!(
    r"'(?:[sSdDmMtT]|[lL][lL]|[vV][eE]|[rR][eE])|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}",
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+"
);
const SEED_CODER: &str = concat!(
    contractions!(),
    r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1}| ?[^\s\p{L}\p{N}\r\n]+|\s*[\r\n]+|\s+(?!\S)|\s+"
);
const UFAKZEKA: &str = r"[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const BLOOM: &str = r" ?[^(\s|.,!?\x{2026}\x{3002}\x{FF0C}\x{3001}\x{964}\x{6D4}\x{60C})]+";
const DEEPSEEK3: &str = concat!(
    r##"[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+"##,
    r"| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
);
/// Han and kana.
const EAST_ASIAN: &str = r"[\x{4E00}-\x{9FA5}\x{3040}-\x{309F}\x{30A0}-\x{30FF}]+";
/// What DeepSeek's first tokenizers call East Asian; the range from U+0800 holds some white space.
const FAR_EAST_ASIAN: &str = r"[\x{4E00}-\x{9FA5}\x{800}-\x{4E00}\x{AC00}-\x{D7FF}&&\S]+";
/// Letters that have cases.
const DEEPSEEK_LETTERS: &str = concat!(
    r"\s?[A-Za-z\x{B5}\x{C0}-\x{D6}\x{D8}-\x{F6}\x{F8}-\x{1BA}\x{1BC}-\x{1BF}\x{1C4}-\x{293}\x{295}-\x{2AF}",
    r"\x{370}-\x{373}\x{376}\x{377}\x{37B}-\x{37D}\x{37F}\x{386}\x{388}-\x{38A}\x{38C}\x{38E}-\x{3A1}",
    r"\x{3A3}-\x{3F5}\x{3F7}-\x{481}\x{48A}-\x{52F}\x{531}-\x{556}\x{10A0}-\x{10C5}\x{13A0}-\x{13F5}",
    r"\x{13F8}-\x{13FD}\x{1C90}-\x{1CBA}\x{1CBD}-\x{1CBF}\x{1D00}-\x{1D2B}\x{1D6B}-\x{1D77}\x{1D79}-\x{1D9A}",
    r"\x{1E00}-\x{1F15}\x{1F18}-\x{1F1D}\x{1F20}-\x{1F45}\x{1F48}-\x{1F4D}\x{1F50}-\x{1F57}\x{1F59}\x{1F5B}",
    r"\x{1F5D}\x{1F5F}-\x{1F7D}\x{1F80}-\x{1FB4}\x{1FB6}-\x{1FBC}\x{1FBE}\x{1FC2}-\x{1FC4}\x{1FC6}-\x{1FCC}",
    r"\x{1FD0}-\x{1FD3}\x{1FD6}-\x{1FDB}\x{1FE0}-\x{1FEC}\x{1FF2}-\x{1FF4}\x{1FF6}-\x{1FFC}\x{2102}\x{2107}",
    r"\x{210A}-\x{2113}\x{2115}\x{2119}-\x{211D}\x{2124}\x{2126}\x{2128}\x{212A}-\x{212D}\x{212F}-\x{2134}",
    r"\x{2139}\x{213C}-\x{213F}\x{2145}-\x{2149}\x{214E}\x{2183}\x{2184}\x{2C00}-\x{2C7B}\x{2C7E}-\x{2CE4}",
    r"\x{2CEB}-\x{2CEE}\x{2CF2}\x{2CF3}\x{A640}-\x{A66D}\x{A680}-\x{A69B}\x{A722}-\x{A76F}\x{A771}-\x{A787}",
    r"\x{A78B}-\x{A78E}\x{AB70}-\x{ABBF}\x{FB00}-\x{FB06}\x{FB13}-\x{FB17}\x{FF21}-\x{FF3A}\x{FF41}-\x{FF5A}",
    r"\x{10400}-\x{1044F}\x{104B0}-\x{104D3}\x{104D8}-\x{104FB}\x{10C80}-\x{10CB2}\x{10CC0}-\x{10CF2}",
    r"\x{118A0}-\x{118DF}\x{1E900}-\x{1E943}]+"
);
const DEEPSEEK_SIGNS: &str =
    r"\s?[!-/:-~\x{FF01}-\x{FF0F}\x{FF1A}-\x{FF5E}\x{2018}-\x{201F}\x{3001}-\x{3002}]+";
/// White space at the end: `\s+$` of llama.cpp, tried only where a run begins, so that a long run in the middle is passed
/// over at once; and `\z`, for here `$` also stands before a last line feed.
const TRAILING: &str = r"(?<!\s)\s+\z";
/// Runs of line feeds, and what stands between them.
pub(super) const LINES: &str = r"[^\n]+|[\n]+";

/// All that are known.
const SPLITS: &[Split] = &[
    Split {
        names: &[
            "llama3",
            "llama-v3",
            "llama-bpe",
            "falcon3",
            "falcon-h1",
            "pixtral",
            "midm-2.0",
            "lfm2",
            "jina-v5-nano",
        ],
        expressions: &[LLAMA3],
        ignore_merges: true,
        add_bos: true,
    },
    Split { ignore_merges: true, ..plain(&["glm4", "glm5"], &[LLAMA3]) },
    plain(&["dbrx", "smaug-bpe", "chatglm-bpe"], &[LLAMA3]),
    Split { ignore_merges: true, ..plain(&["minicpm5"], &[r"\p{N}{1,3}", words!(r"\p{N}+")]) },
    Split { ignore_merges: true, add_bos: true, ..plain(&["tekken"], &[TEKKEN]) },
    plain(
        &[
            "qwen2",
            "deepseek-r1-qwen",
            "kormo",
            "f2llmv2",
            "megrez",
            "stablelm2",
            "hunyuan",
            "solar-open",
            "grok-2",
        ],
        &[QWEN2],
    ),
    plain(&["qwen35"], &[QWEN35]),
    plain(&["laguna"], &[LINES, QWEN2]),
    plain(&["ufakzeka"], &[UFAKZEKA]),
    plain(&["bailingmoe", "bailingmoe2", "llada-moe"], &[BAILING]),
    plain(&["seed-coder"], &[SEED_CODER]),
    plain(&["exaone-moe"], &[EXAONE_MOE]),
    plain(&["jais-2"], &[JAIS2]),
    plain(&["gpt-4o", "llama4", "kanana2", "talkie", "minimax-m2"], &[GPT4O]),
    plain(
        &[
            "gpt-2",
            "phi-2",
            "gigachat",
            "a.x-4.0",
            "mellum",
            "exaone4",
            "mpt",
            "olmo",
            "jais",
            "trillion",
            "granite-docling",
        ],
        &[GPT2],
    ),
    plain(
        &["smollm", "starcoder", "refact", "command-r", "codeshell", "exaone", "minerva-7b", "mellum2"],
        &[r"\p{N}", GPT2],
    ),
    plain(&["falcon"], &[r"[\p{P}\$\+<=>\^~\|`]+", GPT2, r"[0-9][0-9][0-9]"]),
    plain(&["bloom", "poro-chat", "gpt3-finnish"], &[BLOOM]),
    plain(&["viking"], &[BLOOM, r"\p{N}"]),
    plain(&["deepseek-v3", "hunyuan-dense", "joyai-llm", "hy_v4"], &[r"\p{N}{1,3}", EAST_ASIAN, DEEPSEEK3]),
    plain(&["deepseek-coder"], &[r"[\r\n]", r"\s?\p{L}+", r"\s?\p{P}+", FAR_EAST_ASIAN, r"\p{N}"]),
    plain(
        &["deepseek-llm"],
        &[r"[\r\n]", DEEPSEEK_LETTERS, DEEPSEEK_SIGNS, TRAILING, FAR_EAST_ASIAN, r"\p{N}+"],
    ),
];

const fn plain(names: &'static [&'static str], expressions: &'static [&'static str]) -> Split {
    Split { names, expressions, ignore_merges: false, add_bos: false }
}

/// The one of this name.
pub(super) fn find(name: &str) -> Option<&'static Split> {
    SPLITS.iter().find(|split| split.names.contains(&name))
}

/// All names, for a refusal.
pub(super) fn names() -> String {
    let all: Vec<&str> = SPLITS.iter().flat_map(|split| split.names).copied().collect();
    all.join(", ")
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use tokenizers::{
        PreTokenizedString, PreTokenizer, SplitDelimiterBehavior,
        pre_tokenizers::split::{Split, SplitPattern},
    };

    use super::{SPLITS, TRAILING};

    type Tested = Result<(), Box<dyn std::error::Error + Send + Sync>>;

    /// Characters of one kind in a row; the search may try only so often before it gives up.
    const RUN: usize = 50_000;
    /// A run takes thousandths of a second, and many seconds where the time grows with the square of its length.
    const MOST: Duration = Duration::from_secs(2);

    #[test]
    fn no_name_is_listed_twice() {
        let mut names: Vec<&str> = SPLITS.iter().flat_map(|split| split.names).copied().collect();
        let listed = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), listed);
    }

    #[test]
    fn each_expression_copes_with_long_runs() -> Tested {
        let mut expressions: Vec<&str> = SPLITS.iter().flat_map(|split| split.expressions).copied().collect();
        expressions.sort_unstable();
        expressions.dedup();
        for expression in expressions {
            for unit in ["A", "a", "Ab", "a b ", " ", "\n", "\r\n", "7", "-", "é", "中", "\u{301}", "'s"] {
                // with something behind it, the end of the run is not the end of the text
                for end in ["", "x"] {
                    let text = unit.repeat(RUN / unit.chars().count()) + end;
                    let begun = Instant::now();
                    assert_eq!(pieces(expression, &text)?.concat().len(), text.len(), "{expression}");
                    let took = begun.elapsed();
                    assert!(took < MOST, "{expression} takes {took:?} for a run of {unit:?} before {end:?}");
                }
            }
        }
        Ok(())
    }

    /// The pieces that an expression leaves of a text.
    fn pieces(expression: &str, text: &str) -> Result<Vec<String>, Box<dyn std::error::Error + Send + Sync>> {
        let pattern = SplitPattern::Regex(expression.to_owned());
        let split = Split::new(pattern, SplitDelimiterBehavior::Isolated, false)?;
        let mut pieces = PreTokenizedString::from(text);
        split.pre_tokenize(&mut pieces)?;
        let found = pieces.get_splits(tokenizers::OffsetReferential::Original, tokenizers::OffsetType::Byte);
        Ok(found.into_iter().map(|(piece, ..)| piece.to_owned()).collect())
    }

    #[test]
    fn white_space_at_the_end_is_what_the_plain_expression_finds() -> Tested {
        let letters = [" ", "\n", "\u{3000}", "a", "é"];
        for length in 1..=5 {
            for number in 0..letters.len().pow(length) {
                let digit = |place| letters[number / letters.len().pow(place) % letters.len()];
                let text: String = (0..length).map(digit).collect();
                assert_eq!(pieces(TRAILING, &text)?, pieces(r"\s+\z", &text)?, "{text:?}");
            }
        }
        Ok(())
    }
}

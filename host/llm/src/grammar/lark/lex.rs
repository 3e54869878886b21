//! The tokens of a Lark grammar, and the terminals that it can import.
//!
//! Invariant: a text is cut as llguidance's `lark/lexer.rs` cuts it, or refused; the patterns of [`common`] are those of
//! its `lark/common.rs` (compared in a test of `image.rs`).

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Token {
    /// One of [`SIGNS`], `?` and `_`.
    Sign(&'static str),
    Rule(String),
    Terminal(String),
    Text(String, bool),
    Regex(String),
    Number(String),
    Run(Vec<String>),
    Keyword(String),
    Newline,
}

const SIGNS: [&str; 17] =
    ["->", "..", "=", ":", "|", "&", "~", "(", ")", "[", "]", "{", "}", ",", ".", "+", "*"];

pub(super) fn lex(lark: &str) -> Result<Vec<Token>, String> {
    let mut tokens = Vec::new();
    let mut rest = lark;
    while let Some(first) = rest.chars().next() {
        let (token, length) = match first {
            ' ' | '\t' => (None, 1),
            '\r' | '\n' => (Some(Token::Newline), 1),
            '#' => (None, rest.find('\n').unwrap_or(rest.len())),
            '/' if rest.starts_with("//") => (None, rest.find('\n').unwrap_or(rest.len())),
            '/' => lex_regex(rest)?,
            '"' => lex_text(rest)?,
            '%' => lex_keyword(rest)?,
            '0'..='9' => {
                let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
                (Some(Token::Number(rest[..end].to_owned())), end)
            }
            '?' | '!' | '_' | 'a'..='z' | 'A'..='Z' => lex_name(rest),
            '<' => return Err("special tokens (`<…>`) cannot stand inside a string".into()),
            '@' => return Err("grammar references (`@…`) cannot stand inside a string".into()),
            _ => match SIGNS.iter().find(|sign| rest.starts_with(**sign)) {
                Some(sign) => (Some(Token::Sign(sign)), sign.len()),
                None => return Err(format!("`{first}` is not Lark")),
            },
        };
        if token != Some(Token::Newline) || tokens.last() != Some(&Token::Newline) {
            tokens.extend(token);
        }
        rest = &rest[length..];
    }
    Ok(tokens)
}

type Lexed = (Option<Token>, usize);

/// `/…/flags`, over lines if need be.
fn lex_regex(rest: &str) -> Result<Lexed, String> {
    let mut quoted = false;
    let end = rest.char_indices().skip(1).find(|&(_, c)| {
        let ends = c == '/' && !quoted;
        quoted = c == '\\' && !quoted;
        ends
    });
    let (end, _) = end.ok_or("a regex is not closed")?;
    let flags = rest[end + 1..].find(|c| !"imslux".contains(c)).unwrap_or(rest.len() - end - 1);
    let flags = &rest[end + 1..end + 1 + flags];
    if flags.contains('l') {
        return Err("flag `l` of a regex is not supported".into());
    }
    let pattern = crate::grammar::escape::with_flags(&rest[1..end], flags);
    Ok((Some(Token::Regex(pattern)), end + 1 + flags.len()))
}

/// `"…"` with JSON's escapes and `\xHH`, and `i` for any case.
fn lex_text(rest: &str) -> Result<Lexed, String> {
    let mut quoted = false;
    let end = rest.char_indices().skip(1).find(|&(_, c)| {
        let ends = c == '"' && !quoted;
        quoted = c == '\\' && !quoted;
        ends
    });
    let (end, _) = end.ok_or("a literal is not closed")?;
    let text = serde_json::from_str(&hex_escapes(&rest[..=end])).map_err(|e| format!("a literal: {e}"))?;
    let any_case = rest[end + 1..].starts_with('i');
    Ok((Some(Token::Text(text, any_case)), end + 1 + usize::from(any_case)))
}

/// `\xHH` is Python's; JSON writes `\u00HH`.
fn hex_escapes(literal: &str) -> String {
    let mut out = String::with_capacity(literal.len());
    let mut quoted = false;
    for c in literal.chars() {
        if quoted && c == 'x' {
            out.push_str("u00")
        } else {
            out.push(c)
        }
        quoted = c == '\\' && !quoted;
    }
    out
}

fn lex_keyword(rest: &str) -> Result<Lexed, String> {
    let end = rest[1..].find(|c: char| !c.is_ascii_alphabetic()).map_or(rest.len(), |end| end + 1);
    let keyword = &rest[..end];
    match keyword {
        "%ignore" | "%import" => Ok((Some(Token::Keyword(keyword.to_owned())), end)),
        "%regex" => {
            let mut values = serde_json::Deserializer::from_str(&rest[end..]).into_iter();
            let value = values.next().unwrap_or(Ok(serde_json::Value::Null));
            let value = value.map_err(|e| format!("%regex: {e}"))?;
            Ok((Some(Token::Run(chunks(&value)?)), end + values.byte_offset()))
        }
        _ => Err(format!("`{keyword}` is not supported inside a string")),
    }
}

/// The chunks that llguidance makes of a `%regex`.
fn chunks(value: &serde_json::Value) -> Result<Vec<String>, String> {
    use llguidance::substring::{chunk_into_chars, chunk_into_words};
    let wrong = || "`%regex` takes one of substring_chunks, substring_words, substring_chars".to_owned();
    let object = value.as_object().filter(|object| object.len() == 1).ok_or_else(wrong)?;
    let (key, value) = object.iter().next().ok_or_else(wrong)?;
    let owned = |chunks: Vec<&str>| chunks.into_iter().map(str::to_owned).collect();
    match (key.as_str(), value) {
        ("substring_words", serde_json::Value::String(text)) => Ok(owned(chunk_into_words(text))),
        ("substring_chars", serde_json::Value::String(text)) => Ok(owned(chunk_into_chars(text))),
        ("substring_chunks", serde_json::Value::Array(list)) => {
            list.iter().map(|chunk| chunk.as_str().map(str::to_owned).ok_or_else(wrong)).collect()
        }
        _ => Err(wrong()),
    }
}

/// `rule`, `TERMINAL`, or the sign `?`. The prefixes of a rule's name mean nothing to a recogniser.
fn lex_name(rest: &str) -> Lexed {
    let marked = rest.strip_prefix('!').unwrap_or(rest);
    let name = marked.strip_prefix(['?', '_']).unwrap_or(marked);
    let kind = name.chars().next();
    let prefix = rest.len() - name.len();
    let run = |of: fn(char) -> bool| prefix + name.find(|c| !of(c)).unwrap_or(name.len());
    match kind {
        Some('a'..='z') => {
            let end = run(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' || c == '-');
            (Some(Token::Rule(rest[..end].trim_start_matches(['!', '?']).to_owned())), end)
        }
        Some('A'..='Z') if !rest.starts_with(['!', '?']) => {
            let end = run(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_' || c == '-');
            (Some(Token::Terminal(rest[..end].to_owned())), end)
        }
        _ => (Some(Token::Sign(if rest.starts_with('?') { "?" } else { "_" })), 1),
    }
}

/// `%import common.NAME`, as llguidance defines it.
pub(in crate::grammar) fn common(name: &str) -> Option<&'static str> {
    Some(match name {
        "DIGIT" => r"[0-9]",
        "HEXDIGIT" => r"[a-fA-F0-9]",
        "INT" => r"[0-9]+",
        "SIGNED_INT" => r"(\+|-)?[0-9]+",
        "DECIMAL" => r"([0-9]+\.[0-9]*)|(\.[0-9]+)",
        "_EXP" => r"[eE](\+|-)?[0-9]+",
        "FLOAT" => r"([0-9]+\.[0-9]*|\.[0-9]+)([eE](\+|-)?[0-9]+)?|[0-9]+[eE](\+|-)?[0-9]+",
        "SIGNED_FLOAT" => r"(\+|-)?(([0-9]+\.[0-9]*|\.[0-9]+)([eE](\+|-)?[0-9]+)?|[0-9]+[eE](\+|-)?[0-9]+)",
        "NUMBER" => r"([0-9]+)|([0-9]+\.[0-9]*|\.[0-9]+)([eE](\+|-)?[0-9]+)?|[0-9]+[eE](\+|-)?[0-9]+",
        "SIGNED_NUMBER" => {
            r"(\+|-)?(([0-9]+)|([0-9]+\.[0-9]*|\.[0-9]+)([eE](\+|-)?[0-9]+)?|[0-9]+[eE](\+|-)?[0-9]+)"
        }
        "ESCAPED_STRING" => r#"\"([^\"\\]|\\.)*\""#,
        "LCASE_LETTER" => r"[a-z]",
        "UCASE_LETTER" => r"[A-Z]",
        "LETTER" => r"[A-Za-z]",
        "WORD" => r"[A-Za-z]+",
        "CNAME" => r"[_A-Za-z][_A-Za-z0-9]*",
        "WS_INLINE" => r"[ \t]+",
        "WS" => r"[ \t\f\r\n]+",
        "CR" => r"\r",
        "LF" => r"\n",
        "NEWLINE" => r"(\r?\n)+",
        "SH_COMMENT" => r"#[^\n]*",
        "CPP_COMMENT" => r"//[^\n]*",
        "C_COMMENT" => r"\/\*[^*]*\*+(?:[^/*][^*]*\*+)*\/",
        "SQL_COMMENT" => r"--[^\n]*",
        _ => return None,
    })
}

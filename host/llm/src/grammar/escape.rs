//! JSON's escapes as a map: from text, and from sets of texts, to how they stand inside a JSON string.
//!
//! Invariant: the map goes character by character and is the one that `serde_json` writes (RFC 8259, section 7: `\"`,
//! `\\`, `\b \f \n \r \t`, `\u00xx` in lower case for the other controls, everything else as it is). So it loses
//! nothing, two texts never get one image, and the image of a concatenation, a union, a repetition or an intersection
//! is that of its parts. Only a complement must be cut to [`ALL`].

use regex_syntax::{
    ParserBuilder,
    hir::{Capture, Class, ClassUnicode, ClassUnicodeRange, Hir, HirKind, Look, Repetition},
};
use serde_json::json;

use crate::pattern::written;

/// One character of a text, escaped where it must be.
pub(super) const ONE: &str = r#"(?:[^"\\\x00-\x1f]|\\(?:["\\bfnrt]|u00(?:0[0-7be-f]|1[0-9a-f])))"#;

/// Every text, escaped.
pub(super) fn all() -> String {
    format!("{ONE}*")
}

/// Whether a character is written with a backslash.
pub(super) fn is_escaped(c: char) -> bool {
    c < ' ' || c == '"' || c == '\\'
}

/// The inside of a JSON string.
pub(super) fn escape(text: &str) -> String {
    if !text.contains(is_escaped) {
        return text.to_owned();
    }
    let quoted = json!(text).to_string();
    quoted[1..quoted.len() - 1].to_owned()
}

/// A string literal of Lark. Its lexer takes no raw DEL; JSON's writer escapes all else that it does not take.
pub(super) fn literal(text: &str) -> String {
    json!(text).to_string().replace('\u{7f}', "\\u007f")
}

/// A regex literal of Lark: a slash would end it.
pub(super) fn regex(pattern: &str) -> String {
    let mut out = String::with_capacity(pattern.len() + 2);
    out.push('/');
    let mut quoted = false;
    for c in pattern.chars() {
        if c == '/' && !quoted {
            out.push('\\');
        }
        quoted = c == '\\' && !quoted;
        out.push(c);
    }
    out.push('/');
    out
}

/// The regex with its flags in front, as the grammar engine reads it.
pub(super) fn with_flags(pattern: &str, flags: &str) -> String {
    if flags.is_empty() { pattern.to_owned() } else { format!("(?{flags}){pattern}") }
}

/// The pattern parsed as the engine does. Refuses a group named `stop`, which it takes for a look-ahead.
pub(super) fn parse(pattern: &str) -> Result<Hir, String> {
    let hir = ParserBuilder::new().build().parse(pattern).map_err(|e| match e {
        regex_syntax::Error::Parse(e) => e.kind().to_string(),
        regex_syntax::Error::Translate(e) => e.kind().to_string(),
        _ => "it cannot be read".to_owned(),
    })?;
    if has_stop(&hir) { Err("a group named `stop` is not supported".to_owned()) } else { Ok(hir) }
}

/// What a pattern repeats, if it is one repetition without end.
pub(super) fn repeated(pattern: &str) -> Option<String> {
    match parse(pattern).ok()?.into_kind() {
        HirKind::Repetition(r) if r.min <= 1 && r.max.is_none() => Some(written(&r.sub)),
        _ => None,
    }
}

fn has_stop(hir: &Hir) -> bool {
    let named = |c: &Capture| c.name.as_deref() == Some("stop");
    matches!(hir.kind(), HirKind::Capture(c) if named(c)) || hir.kind().subs().iter().any(has_stop)
}

/// The pattern for the escaped forms of what `pattern` matches.
pub(super) fn image(pattern: &str) -> Result<String, String> {
    let hir = parse(pattern)?;
    Ok(if touches(&hir) { written(&image_of(&hir, true, true)?) } else { pattern.to_owned() })
}

/// Whether some character in it is escaped. Anchors are then the engine's business.
fn touches(hir: &Hir) -> bool {
    match hir.kind() {
        HirKind::Literal(literal) => literal.0.iter().any(|b| is_escaped(char::from(*b))),
        HirKind::Class(class) => unicode(class).is_none_or(|class| !escapes(&class).is_empty()),
        _ => hir.kind().subs().iter().any(touches),
    }
}

/// Recursion is bounded by the nesting that the parser takes (250).
fn image_of(hir: &Hir, at_start: bool, at_end: bool) -> Result<Hir, String> {
    Ok(match hir.kind() {
        HirKind::Empty => Hir::empty(),
        HirKind::Literal(literal) => {
            let text = std::str::from_utf8(&literal.0).map_err(|_| "bytes that are not UTF-8")?;
            Hir::literal(escape(text).into_bytes())
        }
        HirKind::Class(class) => {
            let mut class = unicode(class).ok_or("bytes that are not UTF-8")?;
            let escapes = escapes(&class);
            class.difference(&ClassUnicode::new(ESCAPED.map(|(a, b)| ClassUnicodeRange::new(a, b))));
            let mut all: Vec<Hir> = escapes.iter().map(|e| Hir::literal(e.as_bytes())).collect();
            all.push(Hir::class(Class::Unicode(class)));
            Hir::alternation(all)
        }
        HirKind::Look(Look::Start) if at_start => Hir::empty(),
        HirKind::Look(Look::End) if at_end => Hir::empty(),
        HirKind::Look(_) => return Err("look-arounds and anchors inside are not supported".to_owned()),
        HirKind::Repetition(r) => Hir::repetition(Repetition {
            min: r.min,
            max: r.max,
            greedy: r.greedy,
            sub: Box::new(image_of(&r.sub, false, false)?),
        }),
        HirKind::Capture(c) => image_of(&c.sub, at_start, at_end)?,
        HirKind::Concat(parts) => {
            let last = parts.len() - 1;
            let part = |(i, part)| image_of(part, at_start && i == 0, at_end && i == last);
            Hir::concat(parts.iter().enumerate().map(part).collect::<Result<_, _>>()?)
        }
        HirKind::Alternation(parts) => {
            let part = |part| image_of(part, at_start, at_end);
            Hir::alternation(parts.iter().map(part).collect::<Result<_, _>>()?)
        }
    })
}

/// The characters that are escaped.
const ESCAPED: [(char, char); 3] = [('\0', '\u{1f}'), ('"', '"'), ('\\', '\\')];

fn unicode(class: &Class) -> Option<ClassUnicode> {
    match class {
        Class::Unicode(class) => Some(class.clone()),
        Class::Bytes(class) => class.to_unicode_class(),
    }
}

/// The escapes of the characters of a class that have one.
fn escapes(class: &ClassUnicode) -> Vec<String> {
    let holds = |c: char| class.ranges().iter().any(|r| r.start() <= c && c <= r.end());
    every_escaped().filter(|c| holds(*c)).map(|c| escape(&c.to_string())).collect()
}

/// The 34 characters that are escaped.
pub(super) fn every_escaped() -> impl Iterator<Item = char> {
    ('\0'..=' ').filter(|c| is_escaped(*c)).chain(['"', '\\'])
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn whole(pattern: &str) -> regex::Regex {
        regex::Regex::new(&format!(r"\A(?:{pattern})\z")).unwrap()
    }

    #[test]
    fn the_image_of_a_pattern_matches_exactly_the_escaped_texts() {
        let patterns = [
            r"[^a]*",
            r"(?s).*",
            r".+",
            r"\s+x",
            r#"["\\]{2}"#,
            r"\x01|\x1f|\x7f",
            "a\tb",
            r"[\x00-\x1f]",
            r"^a\n$",
            r"(?i)ab\n",
            r"(\t|b)*?c",
            r"\W",
            r"[é\n]+",
            r"(?:^\n|b$)",
            r"\\[a-z]*",
            r"(?:\n{2,3})?",
            r"(?:(?:\t{2})+b)*",
        ];
        let texts = [
            "",
            "a",
            "b",
            "bb",
            "a\n",
            "ab\n",
            "AB\n",
            "\n",
            "\t",
            " x",
            "\n\tx",
            "\"\\",
            "\\\"",
            "\u{1}",
            "\u{1f}",
            "\u{7f}",
            "a\tb",
            "é\né",
            "\t\tbc",
            "\t\t\t\tb",
            "\t\t\tb",
            "\n\n",
            "c",
            "\\",
            "\\n",
            "\\abc",
            "\u{8}\u{c}\r",
            "日本",
        ];
        for pattern in patterns {
            let image = whole(&image(pattern).unwrap());
            for text in texts {
                let expected = whole(pattern).is_match(text);
                assert_eq!(image.is_match(&escape(text)), expected, "{pattern} on {text:?}: {image}");
            }
        }
    }

    #[test]
    fn the_image_of_everything_holds_every_escaped_character() {
        let all = whole(&all());
        for c in ('\0'..='\u{2ff}').chain(['日', '\u{1f600}']) {
            assert!(all.is_match(&escape(&c.to_string())), "{c:?}");
        }
        for not in ["\"", "\\", "\n", "\\x", "\\u0041", "\\u001F", "\\u000a", "\\u00"] {
            assert!(!all.is_match(not), "{not:?}");
        }
        assert_eq!(every_escaped().count(), 34);
    }

    #[test]
    fn what_cannot_be_mapped_is_refused() {
        for pattern in [r"\na\b", r"(?m)^a\n", r"a$\n", r"(?P<stop>\n)a", r"(", r"a(?=\n)"] {
            assert!(image(pattern).is_err(), "{pattern}");
        }
    }

    #[test]
    fn literals_are_read_back_as_written() {
        assert_eq!(literal("a\"\u{7f}"), r#""a\"\u007f""#);
        assert_eq!(regex(r"a/b\/c\\/d"), r"/a\/b\/c\\\/d/");
    }
}

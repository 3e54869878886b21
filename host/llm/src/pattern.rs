//! `pattern` in the form that the grammar engine enforces to the letter.
//!
//! Invariant: what the rewritten pattern matches, the original matches as the validator reads it (ECMA-262, translated
//! by the validator's own `jsonschema-regex`): `\s`, `.`, `\d` mean the same to both.
//!
//! One thing is narrowed. The engine (derivre 0.3.13, `json_quote`) takes a class with all control characters for one
//! with the quote and the backslash too: under `^[^"]*$` it would write `\"`. A class without U+0000 is read right, so
//! where some class holds a control and not both of the two, U+0000 is taken out of the pattern.

use regex_syntax::hir::{Capture, Class, ClassUnicode, ClassUnicodeRange, Hir, HirKind, Repetition};

/// The pattern for the engine. One that cannot be read is left for the engine to refuse.
pub(crate) fn for_engine(pattern: &str) -> String {
    let Ok(translated) = jsonschema_regex::to_rust_regex(pattern) else { return pattern.to_owned() };
    let Ok(hir) = regex_syntax::parse(&translated) else { return pattern.to_owned() };
    without(&hir, is_misread(&hir)).to_string()
}

/// Whether the validator, which has a limit of its own, can read the pattern: what cannot be checked is not decoded.
pub(crate) fn can_be_checked(pattern: &str) -> bool {
    let small = || {
        let translated = jsonschema_regex::to_rust_regex(pattern).ok()?;
        let hir = regex_syntax::parse(&translated).ok()?;
        Some(expanded(&hir) < ALWAYS_CHECKED)
    };
    // Compiling is what costs; this is asked once a round of a chat.
    small() == Some(true) || jsonschema::validator_for(&serde_json::json!({"pattern": pattern})).is_ok()
}

/// Below so many characters and classes, repetitions written out, the validator's limit is far.
const ALWAYS_CHECKED: u64 = 2000;

fn expanded(hir: &Hir) -> u64 {
    let subs = || hir.kind().subs().iter().fold(0_u64, |sum, sub| sum.saturating_add(expanded(sub)));
    match hir.kind() {
        HirKind::Literal(literal) => literal.0.len() as u64,
        HirKind::Class(class) => unicode(class).ranges().len().max(1) as u64,
        HirKind::Repetition(r) => subs().saturating_mul(u64::from(r.max.unwrap_or(r.min).max(1))),
        _ => subs(),
    }
}

/// A parsed pattern, written so that it is read back as it was: the printer of `regex-syntax` writes a repetition of a
/// repetition as one (`(?:a{2})?` as `a{2}?`). Without groups.
pub(crate) fn written(hir: &Hir) -> String {
    without(hir, false).to_string()
}

/// Whether the engine may read some class in it, or several that it makes one, as one with a quote or a backslash.
fn is_misread(hir: &Hir) -> bool {
    match hir.kind() {
        HirKind::Class(class) => {
            let class = unicode(class);
            let holds = |c: char| class.ranges().iter().any(|r| r.start() <= c && c <= r.end());
            ('\0'..' ').any(holds) && !(holds('"') && holds('\\'))
        }
        HirKind::Literal(literal) => literal.0.iter().any(|byte| *byte < b' '),
        _ => hir.kind().subs().iter().any(is_misread),
    }
}

/// Without groups, whose names mean something to the engine, and without U+0000 if so told. The parser bounds the depth.
fn without(hir: &Hir, nul: bool) -> Hir {
    let all = |parts: &[Hir]| parts.iter().map(|part| without(part, nul)).collect();
    match hir.kind() {
        HirKind::Class(class) if nul => {
            let mut class = unicode(class);
            class.difference(&ClassUnicode::new([ClassUnicodeRange::new('\0', '\0')]));
            Hir::class(Class::Unicode(class))
        }
        HirKind::Literal(literal) if nul && literal.0.contains(&0) => Hir::fail(),
        HirKind::Capture(capture) => without(&capture.sub, nul),
        HirKind::Repetition(r) => {
            let mut sub = Box::new(without(&r.sub, nul));
            if matches!(sub.kind(), HirKind::Repetition(_)) {
                sub = Box::new(Hir::capture(Capture { index: 1, name: None, sub }));
            }
            Hir::repetition(Repetition { min: r.min, max: r.max, greedy: r.greedy, sub })
        }
        HirKind::Concat(parts) => Hir::concat(all(parts)),
        HirKind::Alternation(parts) => Hir::alternation(all(parts)),
        _ => hir.clone(),
    }
}

/// Patterns are UTF-8, so a class of bytes is one of ASCII.
fn unicode(class: &Class) -> ClassUnicode {
    match class {
        Class::Unicode(class) => class.clone(),
        Class::Bytes(class) => class.to_unicode_class().unwrap_or_else(ClassUnicode::empty),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_class_that_the_engine_would_misread_loses_only_the_nul() {
        let plain = for_engine(r#"^[^"]*$"#);
        let regex = regex::Regex::new(&plain);
        assert!(
            regex.is_ok_and(|r| r.is_match("a\n\\\u{1}é") && !r.is_match("\"") && !r.is_match("\0")),
            "{plain}"
        );
        for whole in [r"^[\s\S]*$", "^[^a-z]+$"] {
            let regex = regex::Regex::new(&for_engine(whole));
            assert!(regex.is_ok_and(|r| r.is_match("\0")), "{whole}");
        }
    }

    #[test]
    fn classes_mean_what_they_mean_to_the_validator() {
        for (pattern, yes, no) in [
            (r"^\d$", "7", "٣"),
            (r"^\s$", "\u{feff}", "\u{85}"),
            (r"^.$", "\t", "\u{2028}"),
            (r"^\w$", "_", "é"),
            (r"a", "bab", "b"),
            (r"^(?<stop>a)b$", "ab", "a"),
            (r"^(?:a{2,3})?$", "", "a"),
            (r"^(?:(?:a{2})+b)*$", "aaaab", "aaab"),
        ] {
            let written = for_engine(pattern);
            let regex = regex::Regex::new(&written);
            assert!(regex.is_ok_and(|r| r.is_match(yes) && !r.is_match(no)), "{pattern}: {written}");
            assert!(!written.contains("stop"));
        }
    }

    #[test]
    fn what_cannot_be_read_is_left_alone() {
        assert_eq!(for_engine("(?=a)"), "(?=a)");
        assert_eq!(for_engine("("), "(");
    }
}

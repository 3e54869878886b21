//! Rust source with comments and literals blanked, so that a rule on code does not see what is only said.
//!
//! Invariant: the lines stay the lines, so numbers found in the result are those of the source. Follows the lexical structure of
//! the Rust reference as far as literals and comments go.

/// The source with the content of comments, strings and characters removed.
pub(super) fn code(source: &str) -> String {
    let mut code = String::with_capacity(source.len());
    let mut rest = source;
    while let Some(first) = rest.chars().next() {
        let literal = literal_length(rest, code.chars().next_back());
        if literal == 0 {
            code.push(first);
            rest = &rest[first.len_utf8()..];
        } else {
            let (blanked, next) = rest.split_at(literal);
            code.push(' ');
            code.extend(blanked.chars().filter(|letter| *letter == '\n'));
            rest = next;
        }
    }
    code
}

/// Length in bytes of the comment or literal that `text` begins with; 0 if it begins with neither.
fn literal_length(text: &str, before: Option<char>) -> usize {
    if text.starts_with("//") {
        return text.find('\n').unwrap_or(text.len());
    }
    if text.starts_with("/*") {
        return block_comment(text);
    }
    if text.starts_with('"') {
        return quoted(text);
    }
    if text.starts_with('\'') {
        return character(text);
    }
    let is_new_word = !before.is_some_and(|before| before.is_alphanumeric() || before == '_');
    if is_new_word && text.starts_with(['r', 'b', 'c']) {
        return raw_string(text);
    }
    0
}

fn block_comment(text: &str) -> usize {
    let mut depth = 0_usize;
    let mut at = 0;
    while at < text.len() {
        let rest = &text.as_bytes()[at..];
        if rest.starts_with(b"/*") {
            depth += 1;
            at += 2;
        } else if rest.starts_with(b"*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += 1;
        }
    }
    text.len()
}

fn quoted(text: &str) -> usize {
    let mut escaped = false;
    for (at, letter) in text.char_indices().skip(1) {
        match letter {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// A character literal; 0 for a lifetime.
fn character(text: &str) -> usize {
    let mut letters = text.char_indices().skip(1);
    match letters.next() {
        Some((_, '\\')) => {
            // Past the escaped letter, which may be the quote itself.
            letters.next();
            letters.find(|(_, letter)| *letter == '\'').map_or(text.len(), |(at, _)| at + 1)
        }
        Some(_) => letters.next().filter(|(_, letter)| *letter == '\'').map_or(0, |(at, _)| at + 1),
        None => 0,
    }
}

/// `r"…"`, `br#"…"#` and their like; 0 for an identifier, a raw identifier, and for `b"…"`, whose quote comes next.
fn raw_string(text: &str) -> usize {
    let Some(after) =
        text.strip_prefix("br").or_else(|| text.strip_prefix("cr")).or_else(|| text.strip_prefix('r'))
    else {
        return 0;
    };
    let hashes = after.len() - after.trim_start_matches('#').len();
    if !after[hashes..].starts_with('"') {
        return 0;
    }
    let begin = text.len() - after.len() + hashes + 1;
    let close = format!("\"{}", "#".repeat(hashes));
    text[begin..].find(&close).map_or(text.len(), |at| begin + at + close.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bare(source: &str) -> String {
        code(source).split_whitespace().collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn comments_are_blanked_and_lines_kept() {
        assert_eq!(bare("a // b\nc /* d /* e */ f\n */ g"), "a c g");
        assert_eq!(code("a /* \n\n */ b").lines().count(), 3);
    }

    #[test]
    fn strings_are_blanked_with_their_escapes() {
        assert_eq!(bare(r#"a "b \" c" d"#), "a d");
        assert_eq!(bare("a r#\"b \" c\"# d"), "a d");
        assert_eq!(bare("a br\"b\\\" c"), "a c");
        assert_eq!(bare("a b\"b\" c"), "a b c");
        assert_eq!(bare("for r#type in x"), "for r#type in x");
        assert_eq!(bare("a \"no // comment\" b"), "a b");
    }

    #[test]
    fn characters_are_told_from_lifetimes() {
        assert_eq!(bare("a '\"' b '\\'' c '\\u{41}' d"), "a b c d");
        assert_eq!(bare("fn a<'b>(c: &'b str)"), "fn a<'b>(c: &'b str)");
        assert_eq!(bare("'ü' x"), "x");
    }
}

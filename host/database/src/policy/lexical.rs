//! A text that can be read in one way only.
//!
//! Invariant: in what passes, every dialect's lexer (the parser's and the server's, whatever its settings) sees strings, quoted
//! names and comments begin and end at the same bytes. What differs between them is refused, not interpreted: prefixed strings
//! (`E''`, `U&''`, `N''` …), dollar quotes, backslashes in MySQL's strings, nested and executable comments, control characters
//! and spaces beyond ASCII. <https://www.postgresql.org/docs/current/sql-syntax-lexical.html>,
//! <https://dev.mysql.com/doc/refman/8.4/en/comments.html>

use std::iter::Peekable;
use std::str::Chars;

use crate::Dialect;

/// `sql` without its comments and the contents of its strings, or what may not be in it.
pub(super) fn code(sql: &str, dialect: Dialect) -> Result<String, String> {
    let mysql = dialect == Dialect::Mysql;
    let mut code = String::with_capacity(sql.len());
    let mut chars = sql.chars().peekable();
    // Whether the last thing that was not a space was a string: `'a' 'b'` and `'a'\n'b'` mean different things.
    let mut after_string = false;
    while let Some(next) = chars.next() {
        match next {
            '\'' | '"' | '`' => {
                if next == '`' && !mysql {
                    return Err("a backtick".to_owned());
                }
                let text = next == '\'' || mysql && next == '"';
                // A letter before the quote makes it another kind of string, and so does `&`.
                if code.ends_with(|last: char| last.is_alphanumeric() || "_&$".contains(last)) {
                    return Err(format!(
                        "a {next} right after a letter or digit (E'', U&'', N'' … are refused; put a space before the quote)"
                    ));
                }
                // `_utf8mb4 'x'`: a space does not take a character set from its string.
                let word =
                    code.trim_end().rsplit(|last: char| !last.is_alphanumeric() && !"_$".contains(last));
                if mysql && text && word.take(1).any(|word| word.starts_with('_')) {
                    return Err("a string in a character set of its own (_utf8mb4'x')".to_owned());
                }
                if text && after_string {
                    return Err("a string right after a string (join them with || or concat)".to_owned());
                }
                quoted(next, &mut chars, mysql && text)?;
                code.push_str(if text { "''" } else { "\"\"" });
                after_string = text;
                continue;
            }
            '-' if chars.peek() == Some(&'-') => {
                chars.next();
                // In MySQL `--5` is arithmetic.
                if mysql && !matches!(chars.peek(), None | Some(' ' | '\n' | '\t')) {
                    return Err("`--` without a space after it".to_owned());
                }
                loop {
                    match chars.next() {
                        None | Some('\n') => break,
                        Some(other) => allowed(other, chars.peek())?,
                    }
                }
                code.push('\n');
                continue;
            }
            '/' if chars.peek() == Some(&'*') => {
                chars.next();
                comment(&mut chars, mysql)?;
                code.push(' ');
                continue;
            }
            '*' if chars.peek() == Some(&'/') => return Err("`*/` outside a comment".to_owned()),
            '#' | '@' | '{' | '}' if mysql => return Err(format!("`{next}`")),
            // `:=` assigns, and the client would take `:name` for a parameter.
            ':' if mysql => return Err("`:`".to_owned()),
            '$' if mysql || !chars.peek().is_some_and(char::is_ascii_digit) => {
                return Err("`$` other than in $1, $2 …".to_owned());
            }
            '$' if code.ends_with(|last: char| last.is_alphanumeric() || last == '_') => {
                return Err("`$` inside a name".to_owned());
            }
            '\\' => return Err("a backslash outside a string".to_owned()),
            other if !other.is_ascii() && !other.is_alphanumeric() => {
                return Err(format!("character U+{:04X} outside quotes", u32::from(other)));
            }
            other => allowed(other, chars.peek())?,
        }
        if !next.is_ascii_whitespace() {
            after_string = false;
        }
        code.push(next);
    }
    Ok(code)
}

/// Past the end of what `quote` began.
fn quoted(quote: char, chars: &mut Peekable<Chars<'_>>, escapes: bool) -> Result<(), String> {
    while let Some(next) = chars.next() {
        match next {
            '\0' => return Err("a NUL character".to_owned()),
            '\\' if escapes => {
                return Err("a backslash in a string (give the value as a parameter)".to_owned());
            }
            next if next == quote => {
                if chars.peek() != Some(&quote) {
                    return Ok(());
                }
                chars.next();
            }
            _ => {}
        }
    }
    Err(format!("a {quote} without its end"))
}

/// Past the end of a comment.
fn comment(chars: &mut Peekable<Chars<'_>>, mysql: bool) -> Result<(), String> {
    // `/*! … */` and `/*M! … */` are code, `/*+ … */` are hints.
    if mysql && matches!(chars.peek(), Some('!' | '+' | 'M' | 'm')) {
        return Err("an executable comment".to_owned());
    }
    let mut last = ' ';
    while let Some(next) = chars.next() {
        match (last, next) {
            ('*', '/') => return Ok(()),
            ('/', '*') => return Err("a comment inside a comment".to_owned()),
            _ => allowed(next, chars.peek())?,
        }
        last = next;
    }
    Err("a comment without its end".to_owned())
}

fn allowed(character: char, following: Option<&char>) -> Result<(), String> {
    match character {
        '\r' if following == Some(&'\n') => Ok(()),
        '\n' | '\t' => Ok(()),
        other if other.is_control() => Err(format!("control character U+{:04X}", u32::from(other))),
        _ => Ok(()),
    }
}

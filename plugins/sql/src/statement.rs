//! Is this text one SELECT statement? A check for the sake of its message: the host enforces reading for real.
//!
//! Invariant: text inside quotes and comments is never taken for SQL (SQLite's lexical rules).

use crate::Error;

/// The longest statement, in bytes.
const MAX_STATEMENT: usize = 16 * 1024;

/// The statement without the white space and semicolon around it.
///
/// # Errors
/// Where it is not one statement that begins with SELECT or WITH, or is too long.
pub fn check(sql: &str) -> Result<&str, Error> {
    if sql.len() > MAX_STATEMENT {
        let length = sql.len();
        return Err(Error::Limit(format!("the statement has {length} bytes; {MAX_STATEMENT} at most")));
    }
    let mut first = None;
    let mut semicolon = None;
    for token in tokens(sql) {
        if let (Some(at), false) = (semicolon, token.text == ";") {
            return Err(Error::NotASelect(format!(
                "text follows the semicolon at byte {at}; give one SELECT statement"
            )));
        }
        match token.text {
            ";" => semicolon = semicolon.or(Some(token.start)),
            _ => first = first.or(Some(token)),
        }
    }
    let Some(first) = first else {
        return Err(Error::NotASelect("the statement is empty; give one SELECT statement".into()));
    };
    if !["select", "with"].iter().any(|word| first.text.eq_ignore_ascii_case(word)) {
        let word: String = first.text.chars().take(24).collect();
        return Err(Error::NotASelect(format!(
            "the statement begins with `{word}`; only SELECT can run, the database is read-only"
        )));
    }
    time_formats(sql)?;
    Ok(sql[first.start..semicolon.unwrap_or(sql.len())].trim_end())
}

/// The letters after `%` that SQLite's strftime knows (its documentation, "The strftime() Function").
const TIME_FORMATS: &str = "defFGgHIjJklmMpPRsSTuUVwWY%";

/// Refuses a time format that SQLite answers with NULL: a silent NULL becomes a wrong answer.
fn time_formats(sql: &str) -> Result<(), Error> {
    let tokens: Vec<Token<'_>> = tokens(sql).collect();
    for window in tokens.windows(3) {
        let [function, open, format] = window else { continue };
        if !function.text.eq_ignore_ascii_case("strftime")
            || open.text != "("
            || !format.text.starts_with('\'')
        {
            continue;
        }
        if let Some(letter) = unknown_letter(format.text) {
            let quarter = "(strftime('%m', column) + 2) / 3 is the quarter";
            return Err(Error::WrongSql(format!(
                "strftime has no %{letter} in SQLite; {quarter}, and column BETWEEN 'YYYY-MM-DD' AND 'YYYY-MM-DD' is any period"
            )));
        }
    }
    Ok(())
}

/// The first letter after a `%` that is no time format; `format` has its quotes.
fn unknown_letter(format: &str) -> Option<char> {
    let mut characters = format.chars();
    while let Some(character) = characters.next() {
        if character == '%'
            && let Some(letter) = characters.next().filter(|letter| *letter != '\'')
            && !TIME_FORMATS.contains(letter)
        {
            return Some(letter);
        }
    }
    None
}

/// A text as a statement holds it.
#[must_use]
pub fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// A word, a number, a quoted text or a single other character.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Token<'a> {
    /// As written, quotes included.
    pub text: &'a str,
    /// Byte offset of its first byte.
    pub start: usize,
}

impl Token<'_> {
    /// The name that it stands for: without quotes; none for a text in single quotes or a sign.
    #[must_use]
    pub fn name(&self) -> Option<String> {
        let mut characters = self.text.chars();
        match characters.next()? {
            '"' => Some(inside(self.text).replace("\"\"", "\"")),
            '`' => Some(inside(self.text).replace("``", "`")),
            '[' => Some(inside(self.text).to_owned()),
            first if is_word(first) && !first.is_ascii_digit() => Some(self.text.to_owned()),
            _ => None,
        }
    }
}

fn inside(quoted: &str) -> &str {
    let mut characters = quoted.chars();
    characters.next();
    characters.next_back();
    characters.as_str()
}

fn is_word(character: char) -> bool {
    character.is_alphanumeric() || matches!(character, '_' | '$') || !character.is_ascii()
}

/// The tokens of a statement; comments and white space are left out. An open quote or comment ends with the text.
pub fn tokens(sql: &str) -> impl Iterator<Item = Token<'_>> {
    let mut at = 0;
    std::iter::from_fn(move || {
        loop {
            let rest = &sql[at..];
            let first = rest.chars().next()?;
            let start = at;
            let length = if rest.starts_with("--") {
                rest.find('\n').unwrap_or(rest.len())
            } else if let Some(comment) = rest.strip_prefix("/*") {
                comment.find("*/").map_or(rest.len(), |end| end + 4)
            } else if let '\'' | '"' | '`' = first {
                quoted(rest, first)
            } else if first == '[' {
                rest.find(']').map_or(rest.len(), |end| end + 1)
            } else if is_word(first) {
                rest.find(|c| !is_word(c)).unwrap_or(rest.len())
            } else {
                first.len_utf8()
            };
            at += length;
            let skipped = rest.starts_with("--") || rest.starts_with("/*") || first.is_whitespace();
            if !skipped {
                return Some(Token { text: &sql[start..at], start });
            }
        }
    })
}

/// Bytes of a text in quotes, a doubled quote being a quote inside.
fn quoted(text: &str, quote: char) -> usize {
    let mut from = 1;
    while let Some(found) = text[from..].find(quote) {
        let end = from + found + 1;
        if !text[end..].starts_with(quote) {
            return end;
        }
        from = end + 1;
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_select_passes_without_its_semicolon_and_comments_before_it() {
        for (given, taken) in [
            ("SELECT 1", "SELECT 1"),
            (" -- why\nselect ';' ; ; ", "select ';'"),
            ("/* ; */ WITH a AS (SELECT 1) SELECT * FROM a;\n-- end", "WITH a AS (SELECT 1) SELECT * FROM a"),
            ("SELECT \"a;b\", [c;d], `e;f`, 'g'';h'", "SELECT \"a;b\", [c;d], `e;f`, 'g'';h'"),
        ] {
            assert_eq!(check(given).ok(), Some(taken), "{given}");
        }
    }

    #[test]
    fn everything_else_is_refused_with_a_mend() {
        for given in [
            "",
            " ; ",
            "-- only a comment",
            "/* never closed SELECT 1",
            "DELETE FROM orders",
            "PRAGMA table_info(orders)",
            "ATTACH 'x' AS y",
            "EXPLAIN SELECT 1",
            "SELECT 1; SELECT 2",
            "SELECT 1; DROP TABLE orders; --",
            "(SELECT 1)",
            "ſelect 1",
        ] {
            match check(given) {
                Err(Error::NotASelect(message)) => assert!(message.contains("SELECT"), "{given}: {message}"),
                other => panic!("{given}: {other:?}"),
            }
        }
        assert!(matches!(check(&format!("SELECT '{}'", "x".repeat(20_000))), Err(Error::Limit(_))));
    }

    #[test]
    fn a_time_format_that_sqlite_answers_with_null_is_refused() {
        let refused = check("SELECT STRFTIME( '%Y-%Q', ordered_at) FROM orders").expect_err("refused");
        assert!(
            matches!(&refused, Error::WrongSql(message) if message.contains("%Q") && message.contains("BETWEEN"))
        );
        for fine in [
            "SELECT strftime('%Y-%m', d)",
            "SELECT strftime('100%%', d)",
            "SELECT '%Q'",
            "SELECT strftime('%', d)",
        ] {
            assert_eq!(check(fine).ok(), Some(fine));
        }
    }

    #[test]
    fn any_text_is_cut_into_tokens_without_a_panic() {
        for text in ["'", "\"\"\"", "[", "`é", "--", "/*", "/*/", "é'é", "a'b\u{1F600}", "\u{0}", "''''"] {
            let joined: usize = tokens(text).map(|token| token.text.len()).sum();
            assert!(joined <= text.len());
        }
        let names: Vec<_> = tokens("a.\"b \"\"c\" [d] `e``f` 'g' 7").map(|token| token.name()).collect();
        let expected = [Some("a"), None, Some("b \"c"), Some("d"), Some("e`f"), None, None];
        assert_eq!(names, expected.map(|name| name.map(str::to_owned)));
    }
}

//! The SQL that a layer holds: expressions and conditions over the columns of one table.
//!
//! Invariant: a fragment that passes [`check`] is closed: quotes and parentheses are balanced and nothing in it ends,
//! comments out or opens a statement, so that it can be set between parentheses. What it computes is the database's to
//! judge; the host runs reading statements only, whatever stands here.

/// Checks one fragment.
///
/// # Errors
/// What is wrong with it, with the mend.
pub fn check(text: &str) -> Result<(), String> {
    if text.trim().is_empty() {
        return Err("is empty; write an SQL expression over the columns of the table".into());
    }
    let (mut depth, mut chars, mut word) = (0_u32, text.chars().peekable(), String::new());
    while let Some(c) = chars.next() {
        if c.is_alphanumeric() || c == '_' {
            word.push(c.to_ascii_lowercase());
        } else {
            word_allowed(&std::mem::take(&mut word))?;
        }
        match c {
            '\'' | '"' | '`' => {
                let closed = chars.by_ref().any(|next| next == c);
                closed.then_some(()).ok_or_else(|| format!("has no closing {c}"))?;
            }
            '(' => depth += 1,
            ')' => depth = depth.checked_sub(1).ok_or("has a `)` too many")?,
            '-' if chars.peek() == Some(&'-') => return Err("holds a comment; leave it out".into()),
            '/' if chars.peek() == Some(&'*') => return Err("holds a comment; leave it out".into()),
            ';' | '[' | ']' | '?' | '\0' => {
                return Err(format!("holds `{c}`; write one expression and quote names with \""));
            }
            _ => {}
        }
    }
    word_allowed(&word)?;
    if depth > 0 { Err("has a `(` too many".into()) } else { Ok(()) }
}

fn word_allowed(word: &str) -> Result<(), String> {
    match word {
        "select" | "from" | "with" | "union" | "join" | "group" | "attach" | "pragma" => Err(format!(
            "holds `{word}`; write an expression over one table, and declare joins under the entity"
        )),
        "sum" | "count" | "avg" => {
            Err(format!("holds `{word}`; an expression is per row, say `aggregate: {word}` instead"))
        }
        _ => Ok(()),
    }
}

/// Whether the fragment is the name of a column and no more.
#[must_use]
pub fn is_name(text: &str) -> bool {
    !text.is_empty()
        && !text.starts_with(|c: char| c.is_ascii_digit())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// A name in double quotes.
#[must_use]
pub fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A text literal.
#[must_use]
pub fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_leaves_its_parentheses() {
        for good in ["total", "quantity * unit_price", "status <> 'it''s; --'", "coalesce(\"a b\", 0)", "-1"]
        {
            assert_eq!(check(good), Ok(()), "{good}");
        }
        for bad in [
            "",
            " ",
            "a; DROP TABLE x",
            "a) FROM x --",
            "'open",
            "(a",
            "a)",
            "a -- b",
            "a /* b",
            "(SELECT 1)",
            "sum(total)",
        ] {
            assert!(check(bad).is_err(), "{bad}");
        }
    }
}

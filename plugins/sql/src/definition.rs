//! What a CREATE TABLE statement says of its columns: name, type, reference, comment.
//!
//! Best effort on any text: a statement that this reader does not follow gives fewer facts, never a wrong count of
//! columns to those who ask the database itself (see `schema`). Comments count as the documentation of what stands
//! on their line; one after the opening parenthesis is the table's.

use crate::statement::{Token, tokens};

/// What a table's CREATE statement says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Definition {
    /// The comment on the line of the opening parenthesis; empty where there is none.
    pub comment: String,
    /// In order.
    pub columns: Vec<Column>,
}

/// What a column's definition says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Column {
    /// Without quotes.
    pub name: String,
    /// As declared, in lower case; empty where there is none.
    pub declared: String,
    /// `table.column`, or `table` where no column is named.
    pub references: Option<String>,
    /// The comment on its line.
    pub comment: String,
}

impl Column {
    /// The table that it refers to.
    #[must_use]
    pub fn parent(&self) -> Option<&str> {
        self.references.as_deref().and_then(|reference| reference.split('.').next())
    }
}

/// Words that end a column's type or begin a constraint of the table.
const CONSTRAINTS: [&str; 13] = [
    "constraint",
    "primary",
    "unique",
    "check",
    "foreign",
    "not",
    "null",
    "default",
    "collate",
    "references",
    "generated",
    "as",
    "autoincrement",
];

/// Reads a CREATE TABLE statement; empty where it has no list of columns (a view, a virtual table).
#[must_use]
pub fn read(sql: &str) -> Definition {
    let all: Vec<Token<'_>> = tokens(sql).collect();
    let mut definition = Definition::default();
    let Some(open) = all.iter().position(|token| token.text == "(") else { return definition };
    if all[..open].iter().any(|token| ["view", "virtual"].iter().any(|w| token.text.eq_ignore_ascii_case(w)))
    {
        return definition;
    }
    definition.comment = comment_after(sql, all[open]);
    for part in parts(&all[open + 1..]) {
        let (Some(first), Some(last)) = (part.tokens.first(), part.tokens.last()) else { continue };
        if CONSTRAINTS[..5].iter().any(|word| first.text.eq_ignore_ascii_case(word)) {
            add_foreign_key(&mut definition, part.tokens);
        } else if let Some(mut column) = column(part.tokens) {
            column.comment = comment_after(sql, part.comma.unwrap_or(*last));
            definition.columns.push(column);
        }
    }
    definition
}

struct Part<'a, 'b> {
    tokens: &'b [Token<'a>],
    /// The comma that ends it.
    comma: Option<Token<'a>>,
}

/// The definitions between commas, up to the closing parenthesis.
fn parts<'a, 'b>(tokens: &'b [Token<'a>]) -> Vec<Part<'a, 'b>> {
    let (mut depth, mut start, mut parts) = (0_usize, 0, Vec::new());
    for (index, token) in tokens.iter().enumerate() {
        match token.text {
            "(" => depth += 1,
            ")" if depth == 0 => {
                parts.push(Part { tokens: &tokens[start..index], comma: None });
                return parts;
            }
            ")" => depth -= 1,
            "," if depth == 0 => {
                parts.push(Part { tokens: &tokens[start..index], comma: Some(*token) });
                start = index + 1;
            }
            _ => {}
        }
    }
    parts.push(Part { tokens: &tokens[start..], comma: None });
    parts
}

fn column(tokens: &[Token<'_>]) -> Option<Column> {
    // SQLite takes a text in single quotes for a name here too.
    let name = tokens[0].name().unwrap_or_else(|| tokens[0].text.trim_matches('\'').to_owned());
    if name.is_empty() {
        return None;
    }
    let declared: Vec<String> = tokens[1..]
        .iter()
        .take_while(|token| {
            token.text != "(" && !CONSTRAINTS.iter().any(|word| token.text.eq_ignore_ascii_case(word))
        })
        .filter_map(Token::name)
        .map(|word| word.to_lowercase())
        .collect();
    Some(Column { name, declared: declared.join(" "), references: reference(tokens), comment: String::new() })
}

/// `FOREIGN KEY (a) REFERENCES b(c)` belongs to its column; keys of several columns are left out.
fn add_foreign_key(definition: &mut Definition, tokens: &[Token<'_>]) {
    let Some(key) = tokens.iter().position(|token| token.text.eq_ignore_ascii_case("foreign")) else {
        return;
    };
    if let [_, _, open, name, close, ..] = &tokens[key..]
        && open.text == "("
        && close.text == ")"
        && let (Some(name), Some(reference)) = (name.name(), reference(tokens))
        && let Some(column) = definition.columns.iter_mut().find(|c| c.name.eq_ignore_ascii_case(&name))
    {
        column.references = Some(reference);
    }
}

fn reference(tokens: &[Token<'_>]) -> Option<String> {
    let at = tokens.iter().position(|token| token.text.eq_ignore_ascii_case("references"))?;
    let table = tokens.get(at + 1)?.name()?;
    match tokens.get(at + 2..at + 5) {
        Some([open, name, close]) if open.text == "(" && close.text == ")" => {
            Some(format!("{table}.{}", name.name()?))
        }
        _ => Some(table),
    }
}

/// The `-- comment` on the rest of the line after a token, or a `/* comment */` there.
fn comment_after(sql: &str, token: Token<'_>) -> String {
    let rest = &sql[token.start + token.text.len()..];
    let line = rest.lines().next().unwrap_or_default().trim();
    let comment = match (line.strip_prefix("--"), line.strip_prefix("/*")) {
        (Some(comment), _) => comment,
        (_, Some(comment)) => comment.split("*/").next().unwrap_or_default(),
        _ => "",
    };
    comment.trim().chars().filter(|c| !c.is_control()).take(200).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(column: &Column) -> (&str, &str, Option<&str>, &str) {
        (&column.name, &column.declared, column.references.as_deref(), &column.comment)
    }

    #[test]
    fn names_types_references_and_comments_are_read() {
        let definition = read(
            "CREATE TABLE \"order items\" ( -- what was bought, line by line
              id INTEGER PRIMARY KEY,
              [order id] int NOT NULL REFERENCES orders(id), -- the order
              'old' TEXT,
              price DECIMAL(10, 2) DEFAULT (0), /* EUR */
              kind DOUBLE PRECISION CHECK (kind IN ('a', 'b)')),
              bare,
              product_id INTEGER, -- what
              CONSTRAINT one FOREIGN KEY (product_id) REFERENCES products (id),
              UNIQUE (id, price)
            ) STRICT",
        );
        assert_eq!(definition.comment, "what was bought, line by line");
        let columns: Vec<_> = definition.columns.iter().map(said).collect();
        let expected = [
            ("id", "integer", None, ""),
            ("order id", "int", Some("orders.id"), "the order"),
            ("old", "text", None, ""),
            ("price", "decimal", None, "EUR"),
            ("kind", "double precision", None, ""),
            ("bare", "", None, ""),
            ("product_id", "integer", Some("products.id"), "what"),
        ];
        assert_eq!(columns, expected);
    }

    #[test]
    fn what_is_not_a_list_of_columns_gives_none() {
        for sql in ["", "CREATE VIEW v(a) AS SELECT 1", "CREATE VIRTUAL TABLE t USING fts5(a)", "nonsense"] {
            assert!(read(sql).columns.is_empty(), "{sql}");
        }
        for sql in
            ["CREATE TABLE t(", "CREATE TABLE t(a REFERENCES", "CREATE TABLE t(,,)", "CREATE TABLE t(''"]
        {
            assert!(read(sql).columns.len() <= 1, "{sql}");
        }
    }
}

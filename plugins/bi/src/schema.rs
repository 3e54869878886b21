//! What a table's CREATE statement says beyond its columns' names: key, references, comments.
//!
//! Invariant: a statement that cannot be followed says nothing; nothing is guessed here. SQLite keeps the statement as it
//! was written (its documentation, "The Schema Table").

/// One column.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Column {
    /// Without quotes.
    pub name: String,
    /// The comment that stands beside it.
    pub comment: Option<String>,
    /// The table that it refers to.
    pub references: Option<String>,
    /// Whether NULL is not allowed in it.
    pub required: bool,
    /// Whether no two rows have the same.
    pub unique: bool,
}

/// A table as declared.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Declared {
    /// In their order.
    pub columns: Vec<Column>,
    /// Columns of the primary key.
    pub key: Vec<String>,
}

/// Reads a CREATE TABLE statement.
#[must_use]
pub fn read(sql: &str) -> Declared {
    let mut table = Declared::default();
    for (words, comment) in items(sql) {
        let is = |at: usize, word: &str| words.get(at).is_some_and(|found| found.eq_ignore_ascii_case(word));
        let at = |word: &str| words.iter().position(|found| found.eq_ignore_ascii_case(word));
        let after = |word: &str| at(word).and_then(|at| words.get(at + 1)).map(|name| unquoted(name));
        let constraint =
            ["primary", "foreign", "unique", "check", "constraint"].iter().any(|word| is(0, word));
        if constraint {
            let listed = |word: &str| -> Vec<String> {
                let start = at(word).map_or(words.len(), |at| at + 1);
                let inside = words.iter().skip(start).skip_while(|word| *word != "(").skip(1);
                inside.take_while(|word| *word != ")").map(|name| unquoted(name)).collect()
            };
            if at("primary").is_some() {
                table.key = listed("key");
            }
            if let ([ours], Some(theirs)) = (listed("foreign").as_slice(), after("references"))
                && let Some(column) = table.columns.iter_mut().find(|column| column.name == *ours)
            {
                column.references = Some(theirs);
            }
            continue;
        }
        let Some(name) = words.first().map(|name| unquoted(name)) else { continue };
        if at("primary").is_some() {
            table.key = vec![name.clone()];
        }
        table.columns.push(Column {
            name,
            comment,
            references: after("references"),
            required: after("not").is_some_and(|word| word.eq_ignore_ascii_case("null")),
            unique: at("unique").is_some() || at("primary").is_some(),
        });
    }
    table
}

fn unquoted(name: &str) -> String {
    name.trim_matches(['"', '`', '[', ']', '\'']).to_owned()
}

/// The definitions between the outer parentheses, as words, each with the comment beside it.
fn items(sql: &str) -> Vec<(Vec<String>, Option<String>)> {
    let mut all: Vec<(Vec<String>, Option<String>)> = Vec::new();
    let (mut depth, mut word, mut words, mut note) = (0_u32, String::new(), Vec::new(), None);
    let (mut chars, mut same_line) = (sql.chars().peekable(), false);
    while let Some(c) = chars.next() {
        let plain = c.is_alphanumeric() || c == '_';
        if plain && depth > 0 {
            word.push(c);
            continue;
        }
        if !word.is_empty() {
            words.push(std::mem::take(&mut word));
        }
        match c {
            '-' if chars.peek() == Some(&'-') => {
                let text: String = chars.by_ref().skip(1).take_while(|c| *c != '\n').collect();
                let text = Some(text.trim().to_owned()).filter(|text| !text.is_empty());
                match all.last_mut() {
                    _ if depth == 0 => {}
                    Some((_, before)) if words.is_empty() && same_line => *before = text,
                    _ if words.is_empty() => {}
                    _ => note = text,
                }
                same_line = false;
            }
            '\n' => same_line = false,
            '"' | '`' | '\'' | '[' => {
                let end = if c == '[' { ']' } else { c };
                let inside: String = chars.by_ref().take_while(|c| *c != end).collect();
                if depth > 0 {
                    words.push(inside);
                }
            }
            '(' => {
                if depth > 0 {
                    words.push("(".into());
                }
                depth += 1;
            }
            ')' if depth <= 1 => break,
            ')' => {
                words.push(")".into());
                depth -= 1;
            }
            ',' if depth == 1 => {
                all.push((std::mem::take(&mut words), note.take()));
                same_line = true;
            }
            _ => {}
        }
    }
    if !word.is_empty() {
        words.push(word);
    }
    if !words.is_empty() {
        all.push((words, note));
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_references_and_comments_are_read_as_declared() {
        let table = read(
            "CREATE TABLE \"lines\" ( -- of an order
               order_id INTEGER NOT NULL REFERENCES orders(id), -- the order, whole
               -- a remark on nothing
               no INTEGER NOT NULL,
               \"unit price\" REAL DEFAULT (1.5), -- EUR
               part INTEGER CHECK (part IN (1, 2, 3)),
               code TEXT UNIQUE -- last
               , PRIMARY KEY (order_id, no), FOREIGN KEY (part) REFERENCES parts (id)
             )",
        );
        let told: Vec<_> = table.columns.iter().map(|c| (c.name.as_str(), c.comment.as_deref())).collect();
        assert_eq!(
            told,
            [
                ("order_id", Some("the order, whole")),
                ("no", None),
                ("unit price", Some("EUR")),
                ("part", None),
                ("code", Some("last"))
            ]
        );
        assert_eq!(table.key, ["order_id", "no"]);
        let refers: Vec<_> = table.columns.iter().map(|column| column.references.as_deref()).collect();
        assert_eq!(refers, [Some("orders"), None, None, Some("parts"), None]);
        let (required, unique): (Vec<_>, Vec<_>) =
            table.columns.iter().map(|c| (c.required, c.unique)).unzip();
        assert_eq!(
            (required, unique),
            (vec![true, true, false, false, false], vec![false, false, false, false, true])
        );
    }

    #[test]
    fn what_cannot_be_followed_says_nothing_and_does_no_harm() {
        for odd in [
            "",
            "CREATE VIEW v AS SELECT 1",
            "CREATE TABLE t (",
            "CREATE TABLE t (((a",
            "x)y(z",
            "CREATE TABLE t (a 'open",
        ] {
            let _ = read(odd);
        }
        assert_eq!(read("CREATE VIEW v AS SELECT 1").columns, []);
    }
}

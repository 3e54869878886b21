//! What a view does, by the text that the server keeps of it.
//!
//! Invariant: this too is a closed world: a view that calls what is not on the allow-list, names a database of the server's own,
//! or whose text the server does not show us, is not one that only reads. The server writes that text itself, in one form whatever
//! its mode (MariaDB 10.11 and MySQL 9.7 were tried): strings with backslashes as escapes, every name in backticks, and after
//! those a parenthesis only for a function that somebody made, or columns that a person named.

use std::collections::HashSet;

use crate::{Dialect, policy};

/// Databases of the server itself.
const SYSTEM: [&str; 4] = ["information_schema", "mysql", "performance_schema", "sys"];
/// What may stand before a parenthesis and is no function.
const WORDS: &str = "
    against all and any array as between binary bit bigint by case cast char date datetime decimal distinct div double else except
    exists filter float from group having in int integer intersect interval is join lateral like limit match mod nchar not numeric
    offset on or order over partition real recursive regexp rlike row rows select signed smallint straight_join then time timestamp
    tinyint union unsigned using values varbinary varchar when where with xor year";

/// What a view's text says.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Definition {
    /// It does more than read tables.
    pub(super) beyond: bool,
    /// Pairs of names of which the first may be a database and the second a table or view of it.
    pub(super) names: HashSet<(String, String)>,
}

impl Definition {
    pub(super) fn read(text: &str) -> Definition {
        let mut definition = Definition { beyond: text.trim().is_empty(), ..Definition::default() };
        definition.one(text);
        definition
    }

    fn one(&mut self, text: &str) {
        let mut chars = text.chars().peekable();
        let mut last = Token::Other;
        // The name before a point, while the point or the next name is awaited.
        let (mut schema, mut point): (Option<String>, bool) = (None, false);
        while let Some(next) = chars.next() {
            let token = match next {
                ' ' | '\n' | '\r' | '\t' => continue,
                '`' => match quoted(&mut chars, '`') {
                    Some(name) => Token::Name(name),
                    None => return self.beyond = true,
                },
                '\'' | '"' => match quoted(&mut chars, next) {
                    Some(_) => Token::Other,
                    None => return self.beyond = true,
                },
                '(' => {
                    self.beyond |= match &last {
                        Token::Name(_) => true,
                        Token::Word(word) => !may_precede(word),
                        Token::Other => false,
                    };
                    Token::Other
                }
                '@' | '#' | '\\' => return self.beyond = true,
                letter if letter.is_alphanumeric() || "_$".contains(letter) => {
                    let mut word = String::from(letter);
                    while let Some(more) =
                        chars.next_if(|next| next.is_alphanumeric() || "_$".contains(*next))
                    {
                        word.push(more);
                    }
                    Token::Word(word.to_ascii_lowercase())
                }
                '.' => {
                    point = schema.is_some();
                    last = Token::Other;
                    continue;
                }
                _ => Token::Other,
            };
            match &token {
                Token::Name(name) => {
                    if let (Some(schema), true) = (schema.take(), point) {
                        self.beyond |= SYSTEM.contains(&schema.to_lowercase().as_str());
                        self.names.insert((schema, name.clone()));
                    }
                    schema = Some(name.clone());
                }
                _ => schema = None,
            }
            (last, point) = (token, false);
        }
    }
}

enum Token {
    Name(String),
    Word(String),
    Other,
}

fn may_precede(word: &str) -> bool {
    WORDS.split_ascii_whitespace().any(|known| known == word) || policy::known(word, Dialect::Mysql)
}

/// What stands up to the end of the quotation.
fn quoted(chars: &mut std::iter::Peekable<std::str::Chars<'_>>, quote: char) -> Option<String> {
    let mut text = String::new();
    while let Some(next) = chars.next() {
        match next {
            '\\' if quote != '`' => text.push(chars.next()?),
            next if next == quote && chars.next_if_eq(&quote).is_none() => return Some(text),
            next => text.push(next),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_view_that_reads_tables_only_reads() {
        for text in [
            "select `d`.`t`.`a` AS `a`,count(0) AS `count(*)` from `d`.`t` where `d`.`t`.`b` = 'it''s (fine)' group by `d`.`t`.`a`",
            "select (`d`.`t`.`a` + interval 1 day) AS `x`,cast(`d`.`t`.`b` as char(10) charset utf8mb4) AS `y` from (`d`.`t` join `d`.`u` on((`d`.`t`.`a` = `d`.`u`.`a`)))",
            "select sum(`d`.`t`.`a`) over ( partition by `d`.`t`.`b`) AS `x` from `d`.`t` where `d`.`t`.`a` in (1,2) and exists(select 1 from `d`.`u`)",
            "select concat('a\\\\\\'b','q\\'r (',_utf8mb4'x\\'(',`d`.`t`.`b`) AS `x` from `d`.`t` where `d`.`t`.`b` like '\\\\'",
        ] {
            let definition = Definition::read(text);
            assert!(!definition.beyond, "{text}");
            assert!(definition.names.contains(&("d".to_owned(), "t".to_owned())), "{text}");
        }
    }

    #[test]
    fn a_view_that_calls_or_reads_something_else_does_more() {
        for text in [
            "",
            "select load_file('/x') AS `x`",
            "select sleep (5) AS `x`",
            "select `d`.`f`() AS `x`",
            "select `f` (1) AS `x` from `d`.`t`",
            "select `mysql`.`user`.`Host` AS `Host` from `mysql`.`user`",
            "select `x`.`a` AS `a` from `Performance_Schema`.`threads` `x`",
            "select 'a\\',load_file('x') AS `x`",
            "select 'a\\'',load_file(1),'' AS `x`",
            "select nextval(`d`.`s`) AS `x`",
            "select @@version AS `x`",
            "select 'open",
        ] {
            assert!(Definition::read(text).beyond, "{text}");
        }
    }
}

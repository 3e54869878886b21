//! The grammar under which a model writes `query`'s SQL: one SELECT over the tables and columns that there are, in
//! llguidance's Lark (<https://github.com/guidance-ai/llguidance/blob/main/docs/syntax.md>).
//!
//! Each table has names of its own (`orders`, `o`, `o2`), which no other table has; so a column after a name is
//! always a column of that table. Names that a statement makes itself cannot be followed by a grammar without
//! memory: they stand only where they are made (`AS spent`), in ORDER BY, GROUP BY and HAVING, behind `t1.` to
//! `t9.`, and anywhere after a WITH. What is wrong of those, SQLite says when it prepares the statement.
//!
//! Invariant: what the grammar accepts begins with SELECT or WITH, is one statement, and has no comment, no `\` and no
//! time format that SQLite does not know.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use crate::definition::Definition;
use crate::schema::{definitions, plain};
use crate::{Database, HostError};

/// What the host takes at most, in bytes.
const MAX_GRAMMAR: usize = 120 << 10;

/// What does not depend on the database. `expr`, `cond`, `select` and what is in them exist twice: in a statement that
/// begins with WITH, `name` may be any (see [`rules`]).
const COMMON: &str = r#"
cte: DERIVED " AS (" w_select ")"
union: " UNION ALL " | " UNION " | " EXCEPT " | " INTERSECT "
join: " JOIN " | " INNER JOIN " | " LEFT JOIN " | " CROSS JOIN " | ", "
direction: (" ASC" | " DESC")? (" NULLS FIRST" | " NULLS LAST")?
compare: " = " | " != " | " <> " | " < " | " <= " | " > " | " >= "
arithmetic: " + " | " - " | " * " | " / " | " % " | " || "
limit: " LIMIT " WHOLE (" OFFSET " WHOLE)?
DERIVED: /t[1-9]/
ALIAS: /[A-Za-z_][A-Za-z0-9_]{0,39}/
MADE: /t[1-9]\.[A-Za-z_][A-Za-z0-9_]{0,39}/
WHOLE: /[0-9]{1,9}/
NUMBER: /-?[0-9]{1,15}(\.[0-9]{1,9})?/
TEXT: /'([^'"\\\x00-\x1f\x7f]|'')*'/
TIME: /'(%[YmdHMSjwWuGV]([-\/: T.]?%[YmdHMSjwWuGV])*)'/
"#;

/// The first rule of a SELECT.
const START: &str = "start: select | \"WITH \" cte (\", \" cte)* \" \" w_select\n";

/// The first rules of a change.
const CHANGE: &str = r#"start: "INSERT INTO " into " VALUES " row (", " row)* | "UPDATE " set " WHERE " cond | "DELETE FROM " of " WHERE " cond
row: "(" expr (", " expr)* ")"
"#;

/// The rules that exist twice; `@` is what stands before their names.
const TWICE: &str = r#"
@select: @core (union @core)* @order? limit?
@core: "SELECT " "DISTINCT "? @items (" FROM " @source (join @source @on?)*)? (" WHERE " @cond)? @group?
@items: "*" | @item (", " @item)*
@item: STAR | @expr (" AS " ALIAS)?
@source: @table | "(" @select ") " "AS "? DERIVED
@on: " ON " @cond | " USING (" BARE ")"
@group: " GROUP BY " @key (", " @key)* (" HAVING " (@cond | ALIAS compare @expr))?
@order: " ORDER BY " @key direction (", " @key direction)*
@key: @expr | ALIAS
@expr: @term (arithmetic @term)*
@term: NUMBER | TEXT | @name | MADE | @function | "(" @expr ")" | "(" @select ")" | @case | "NULL"
@case: "CASE" (" WHEN " @cond " THEN " @expr)+ (" ELSE " @expr)? " END"
@function: @total @over? | @window @over | @plain
@total: "COUNT(*)"i | ("SUM("i | "AVG("i | "MIN("i | "MAX("i | "COUNT("i | "TOTAL("i | "GROUP_CONCAT("i) "DISTINCT "? @argument ")"
@argument: @expr | @cond
@window: "ROW_NUMBER()"i | "RANK()"i | "DENSE_RANK()"i | ("LAG("i | "LEAD("i | "FIRST_VALUE("i | "LAST_VALUE("i) @expr (", " WHOLE)? ")"
@over: " OVER (" ("PARTITION BY " @expr (", " @expr)*)? ((" ")? "ORDER BY " @key direction (", " @key direction)*)? ")"
@plain: ("ABS("i | "LOWER("i | "UPPER("i | "LENGTH("i | "TRIM("i) @expr ")" | "ROUND("i @expr (", " WHOLE)? ")" | ("COALESCE("i | "IFNULL("i | "NULLIF("i | "INSTR("i | "REPLACE("i | "MIN("i | "MAX("i | "SUBSTR("i) @expr (", " @expr)+ ")" | "CAST("i @expr " AS " ("INTEGER" | "REAL" | "TEXT") ")" | "strftime("i TIME ", " @expr (", " TEXT)* ")" | ("date("i | "julianday("i) @expr (", " TEXT)* ")"
@cond: @test ((" AND " | " OR ") @test)*
@test: "NOT "? (@expr @rest | "EXISTS (" @select ")" | "(" @cond ")")
@rest: compare @expr | " NOT"? " BETWEEN " @expr " AND " @expr | " NOT"? " LIKE " @expr | " IS NULL" | " IS NOT NULL" | " NOT"? " IN (" (@select | @expr (", " @expr)*) ")"
"#;

/// The grammar of this database; none where it has no table, or more than a grammar can hold.
///
/// # Errors
/// What the host says where the tables cannot be listed.
pub fn select(database: &impl Database) -> Result<Option<String>, HostError> {
    let grammar = rules(&definitions(database)?).map(|rules| format!("{START}{rules}"));
    Ok(grammar.filter(|grammar| grammar.len() <= MAX_GRAMMAR))
}

/// The grammar of `change`: one INSERT, UPDATE or DELETE over the columns of one table, the last two never without a WHERE.
///
/// # Errors
/// What the host says where the tables cannot be listed.
pub fn change(database: &impl Database) -> Result<Option<String>, HostError> {
    let tables = definitions(database)?;
    let Some(rules) = rules(&tables) else { return Ok(None) };
    let mut grammar = String::from(CHANGE);
    let mut each: [Vec<String>; 3] = Default::default();
    let with_columns = tables.iter().filter(|(_, definition)| !definition.columns.is_empty());
    for (index, (table, definition)) in with_columns.enumerate() {
        let table = escaped(&plain(table));
        let names: Vec<String> =
            definition.columns.iter().map(|column| escaped(&plain(&column.name))).collect();
        let _ = writeln!(grammar, "OWN_{index}: /{}/", names.join("|"));
        each[0].push(format!("/{table}/ \" (\" OWN_{index} (\", \" OWN_{index})* \")\""));
        each[1]
            .push(format!("/{table}/ \" SET \" OWN_{index} \" = \" expr (\", \" OWN_{index} \" = \" expr)*"));
        each[2].push(format!("/{table}/"));
    }
    let [insert, update, delete] = each.map(|rules| rules.join(" | "));
    let _ = writeln!(grammar, "into: {insert}\nset: {update}\nof: {delete}");
    grammar.push_str(&rules);
    Ok(Some(grammar).filter(|grammar| grammar.len() <= MAX_GRAMMAR))
}

/// Everything but the first rule.
fn rules(tables: &[(String, Definition)]) -> Option<String> {
    let tables: Vec<_> = tables.iter().filter(|(_, definition)| !definition.columns.is_empty()).collect();
    if tables.is_empty() {
        return None;
    }
    let aliases = aliases(&tables.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>());
    let (mut sources, mut qualified, mut stars) = (Vec::new(), Vec::new(), Vec::new());
    let mut bare = BTreeSet::new();
    // A lexer without a way back: what may follow a name is a terminal of its own.
    let mut own = String::new();
    for (index, ((table, definition), aliases)) in tables.iter().zip(aliases).enumerate() {
        let (table, aliases) = (escaped(&plain(table)), aliases.join("|"));
        let names: Vec<String> =
            definition.columns.iter().map(|column| escaped(&plain(&column.name))).collect();
        let _ = writeln!(own, "ALIAS_{index}: / (AS )?({aliases})/");
        sources.push(format!("/{table}/ ALIAS_{index}?"));
        qualified.push(format!("({table}|{aliases})\\.({})", names.join("|")));
        stars.push(format!("({table}|{aliases})\\.\\*"));
        bare.extend(names);
    }
    let bare = bare.into_iter().collect::<Vec<_>>().join("|");
    let mut grammar = COMMON.trim_start().to_owned();
    grammar.push_str(&TWICE.replace('@', ""));
    grammar.push_str(&TWICE.replace('@', "w_"));
    let _ = write!(
        grammar,
        "{own}table: {}\nw_table: table | DERIVED (\" AS \" ALIAS)?\nname: COLUMN | BARE\nw_name: COLUMN | ALIAS\n\
         COLUMN: /{}/\nSTAR: /{}/\nBARE: /{bare}/\n",
        sources.join(" | "),
        qualified.join("|"),
        stars.join("|"),
    );
    Some(grammar)
}

/// The short names of each table, no two alike: from its words (`order_items`: `oi`, `i`), each also numbered, for a table that
/// is joined with itself.
#[must_use]
pub fn aliases(tables: &[&str]) -> Vec<Vec<String>> {
    // A name of two letters is no keyword but these.
    let reserved = ["as", "by", "do", "if", "in", "is", "no", "of", "on", "or", "to"];
    let mut taken: BTreeSet<String> = (1..10).map(|n| format!("t{n}")).collect();
    taken.extend(reserved.map(String::from));
    taken.extend(tables.iter().map(|table| table.to_ascii_lowercase()));
    let mut all: Vec<Vec<String>> = vec![Vec::new(); tables.len()];
    // The first choice of every table comes before the second of any.
    for turn in 0..7 {
        for (own, table) in all.iter_mut().zip(tables) {
            let candidate = candidates(table).into_iter().nth(turn);
            own.extend(candidate.filter(|candidate| taken.insert(candidate.clone())));
        }
    }
    for (index, own) in all.iter_mut().enumerate() {
        if own.is_empty() {
            let free = (index + 1..).map(|n| format!("x{n}")).find(|name| taken.insert(name.clone()));
            own.extend(free);
        }
        let numbered: Vec<String> =
            own.iter().flat_map(|name| (1..4).map(move |n| format!("{name}{n}"))).collect();
        own.extend(numbered.into_iter().filter(|name| taken.insert(name.clone())));
    }
    all
}

/// Initials, the last word's first letter, then more and more letters of the first and the last word.
fn candidates(table: &str) -> Vec<String> {
    let table = table.to_ascii_lowercase();
    let words: Vec<&str> =
        table.split(|c: char| !c.is_ascii_alphabetic()).filter(|word| !word.is_empty()).collect();
    let letters = |text: &str, count: usize| text.chars().take(count).collect::<String>();
    let Some((first, last)) = words.first().zip(words.last()) else { return Vec::new() };
    vec![
        words.iter().map(|word| letters(word, 1)).collect(),
        letters(last, 1),
        letters(first, 2),
        letters(first, 3),
        letters(first, 4),
        letters(last, 3),
        letters(first, 5),
    ]
}

/// A name as a regular expression between slashes stands for it.
fn escaped(name: &str) -> String {
    let mut text = String::new();
    for character in name.chars() {
        if !character.is_alphanumeric() && character != '_' {
            text.push('\\');
        }
        text.push(character);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Memory;

    #[test]
    fn no_two_tables_share_a_name() {
        let all = aliases(&["orders", "order_items", "customers", "products", "regions", "o", "2 3", "t1"]);

        assert!(all[1].contains(&"oi".to_owned()) && all[1].contains(&"i".to_owned()), "{all:?}");
        assert!(!all[0].contains(&"o".to_owned()), "`o` is a table here");
        let flat: Vec<&String> = all.iter().flatten().collect();
        assert_eq!(flat.iter().collect::<BTreeSet<_>>().len(), flat.len(), "{all:?}");
        assert!(all.iter().all(|own| !own.is_empty()), "{all:?}");
    }

    #[test]
    fn a_column_stands_behind_the_names_of_its_own_table_only() -> Result<(), HostError> {
        let database = Memory::new(
            "CREATE TABLE orders(id INTEGER, total REAL); CREATE TABLE \"odd name\"(\"a.b\" TEXT); CREATE VIEW seen AS SELECT total FROM orders;",
        );
        let grammar = select(&database)?.expect("there are tables");
        let line =
            |name: &str| grammar.lines().find(|line| line.starts_with(name)).unwrap_or_default().to_owned();
        assert!(line("COLUMN: ").contains("(orders|o|"), "{}", line("COLUMN: "));
        assert!(line("COLUMN: ").contains("\\.(id|total)"), "{}", line("COLUMN: "));
        assert!(line("COLUMN: ").contains("\\.(\\\"a\\.b\\\")"), "{}", line("COLUMN: "));
        assert!(line("table: ").contains("/\\\"odd\\ name\\\"/ ALIAS_0?"), "{}", line("table: "));
        assert!(line("ALIAS_0: ").contains("/ (AS )?(n|od|"), "{}", line("ALIAS_0: "));
        assert!(line("BARE: ").contains("total"), "{}", line("BARE: "));
        Ok(())
    }

    #[test]
    fn a_database_without_tables_has_no_grammar() -> Result<(), HostError> {
        assert_eq!(select(&Memory::new(""))?, None);
        Ok(())
    }
}

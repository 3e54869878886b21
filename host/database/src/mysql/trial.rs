//! Whether a write to some tables can be undone.
//!
//! Invariant: only tables that are known to roll back are written, and only where each of their triggers is made of statements
//! that could be written themselves, to tables of which the same holds. What this user may not see counts as what cannot be
//! undone.

use std::collections::HashSet;

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Params, Row, Value as Sent};

use super::{Failure, texts};
use crate::policy::{self, Surroundings};
use crate::{Dialect, Error};

/// Engines that roll back, by the names that the servers give them.
const ENGINES: [&str; 4] = ["innodb", "ndb", "ndbcluster", "rocksdb"];
const TABLES: &str = "SELECT TABLE_TYPE, ENGINE FROM information_schema.TABLES \
     WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = ?";
const TRIGGERS: &str = "SELECT TRIGGER_NAME, ACTION_STATEMENT, SQL_MODE FROM information_schema.TRIGGERS \
     WHERE EVENT_OBJECT_SCHEMA = DATABASE() AND EVENT_OBJECT_TABLE = ?";
/// Triggers are shown only to those who may make them.
const MAY_SEE: &str = "
    SELECT 1 FROM (
        SELECT GRANTEE FROM information_schema.USER_PRIVILEGES WHERE PRIVILEGE_TYPE = 'TRIGGER'
        UNION SELECT GRANTEE FROM information_schema.SCHEMA_PRIVILEGES
            WHERE PRIVILEGE_TYPE = 'TRIGGER' AND DATABASE() LIKE TABLE_SCHEMA
        UNION SELECT GRANTEE FROM information_schema.TABLE_PRIVILEGES
            WHERE PRIVILEGE_TYPE = 'TRIGGER' AND TABLE_SCHEMA = DATABASE() AND TABLE_NAME = ?) AS granted
    WHERE GRANTEE = CONCAT('''', REPLACE(CURRENT_USER(), '@', '''@'''), '''')";
/// What would have the server read a trigger otherwise than the parser does.
const OTHER_MODES: [&str; 4] = ["ANSI_QUOTES", "NO_BACKSLASH_ESCAPES", "ORACLE", "IGNORE_SPACE"];

pub(super) async fn can_be_undone(
    conn: &mut Conn,
    tables: &[Vec<String>],
    around: &Surroundings,
) -> Result<(), Failure> {
    let mut wanted: Vec<String> = tables.iter().filter_map(|parts| parts.last().cloned()).collect();
    let mut seen = HashSet::new();
    while let Some(table) = wanted.pop() {
        if !seen.insert(table.clone()) {
            continue;
        }
        let of = |table: &str| Params::Positional(vec![Sent::from(table)]);
        let kinds: Vec<Row> = conn.exec(TABLES, of(&table)).await?;
        if kinds.is_empty() {
            return Err(Failure::Ours(Error::Sql(format!("there is no table `{table}`"))));
        }
        for row in kinds {
            let [kind, engine] = texts(row);
            if !matches!(kind.as_deref(), Some("BASE TABLE" | "SYSTEM VERSIONED")) {
                return no(format!("`{table}` is not a table; write to the table itself"));
            }
            let engine = engine.unwrap_or_default();
            if !rolls_back(&engine) {
                return no(format!("table `{table}` is kept by {engine}, which cannot undo a write"));
            }
        }
        let may_see: Option<u8> = conn.exec_first(MAY_SEE, of(&table)).await?;
        if may_see.is_none() {
            return no(format!(
                "whether table `{table}` has triggers is not shown to this user (it needs the privilege TRIGGER)"
            ));
        }
        for row in conn.exec::<Row, _, _>(TRIGGERS, of(&table)).await? {
            let [name, body, mode] = texts(row).map(Option::unwrap_or_default);
            match written(&body, &mode, around) {
                Some(more) => wanted.extend(more),
                None => {
                    return no(format!("trigger `{name}` of table `{table}` may do what cannot be undone"));
                }
            }
        }
    }
    Ok(())
}

pub(super) fn rolls_back(engine: &str) -> bool {
    ENGINES.contains(&engine.to_ascii_lowercase().as_str())
}

/// What keeps a table; nothing where there is none. A view is kept by nothing that has a name.
pub(super) async fn engine(conn: &mut Conn, table: &str) -> Result<Option<String>, Failure> {
    let row: Option<Row> = conn.exec_first(TABLES, Params::Positional(vec![table.into()])).await?;
    Ok(row.map(|row| texts::<2>(row)[1].take().unwrap_or_default()))
}

fn no(why: String) -> Result<(), Failure> {
    Err(Failure::Ours(Error::NoTrial(format!("{why}; it cannot be tried"))))
}

/// The tables that a trigger writes to, where it is only made of statements that may be written and of values that are set.
fn written(body: &str, mode: &str, around: &Surroundings) -> Option<Vec<String>> {
    if mode.split(',').any(|mode| OTHER_MODES.contains(&mode)) {
        return None;
    }
    let body = body.trim().trim_end_matches(';').trim_end();
    let block = cut(body, "BEGIN").and_then(|rest| {
        let (statements, end) = rest.split_at_checked(rest.len().checked_sub(3)?)?;
        end.eq_ignore_ascii_case("END").then_some(statements)
    });
    let mut tables = Vec::new();
    // A `;` in a string leaves parts that nobody understands.
    for part in block.unwrap_or(body).split(';').map(str::trim).filter(|part| !part.is_empty()) {
        if let Some(value) = cut(part, "SET").and_then(|rest| cut(rest.trim_start(), "NEW.")) {
            let (_, value) = value.split_once('=')?;
            policy::read(&format!("SELECT {value}"), Dialect::Mysql, around).ok()?;
            continue;
        }
        let written = policy::write(part, Dialect::Mysql, around).ok()?;
        if written.is_ddl {
            return None;
        }
        tables.extend(written.tables.into_iter().filter_map(|mut parts| parts.pop()));
    }
    Some(tables)
}

/// What follows `word`, however it is written.
fn cut<'a>(text: &'a str, word: &str) -> Option<&'a str> {
    let start = text.get(..word.len())?;
    start.eq_ignore_ascii_case(word).then(|| &text[word.len()..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_triggers_whose_every_statement_is_understood_can_be_undone() {
        let around = Surroundings { schema: Some("d".to_owned()), ..Surroundings::default() };
        let tables = |body: &str| written(body, "STRICT_TRANS_TABLES", &around);
        assert_eq!(tables("SET NEW.total = round(NEW.a * 2, 2), NEW.b = now()"), Some(vec![]));
        assert_eq!(
            tables("begin\n insert into log (what) values (old.id);\n UPDATE d.sums SET n = n + 1; END"),
            Some(vec!["log".to_owned(), "sums".to_owned()])
        );
        for body in [
            "CALL wipe()",
            "SET GLOBAL max_connections = 1",
            "SET @x = 1",
            "SET NEW.a = sleep(5)",
            "SET NEW.a = 1; SET GLOBAL x = 1",
            "INSERT INTO other.log VALUES (1)",
            "INSERT INTO log VALUES (load_file('x'))",
            "BEGIN DECLARE x INT; SET x = 1; END",
            "BEGIN IF 1 THEN DELETE FROM t; END IF; END",
            "INSERT INTO log VALUES (';')",
            "DO sleep(1)",
        ] {
            assert_eq!(tables(body), None, "{body}");
        }
        assert_eq!(written("SET NEW.a = 1", "ANSI_QUOTES", &around), None);
    }
}

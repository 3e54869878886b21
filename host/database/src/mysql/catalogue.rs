//! CREATE statements, as the server writes them.
//!
//! Invariant: what is written is the server's own SHOW CREATE TABLE without what says nothing of the data (the engine, the next
//! number, the user who made a view); where this user may not see that, columns and comments from the catalogue.
//! <https://dev.mysql.com/doc/refman/8.4/en/show-create-table.html>

use std::collections::HashMap;

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Error as Client, Params, Row};

use super::texts;
use crate::server::{create, view_columns};
use crate::{Table, effects};

const TABLES: &str = "SELECT TABLE_NAME, TABLE_TYPE, TABLE_ROWS, TABLE_COMMENT FROM information_schema.TABLES \
     WHERE TABLE_SCHEMA = DATABASE() AND TABLE_TYPE IN ('BASE TABLE', 'SYSTEM VERSIONED', 'VIEW') AND TABLE_NAME <> ? \
     ORDER BY TABLE_NAME LIMIT ?";
const COLUMNS: &str = "SELECT TABLE_NAME, COLUMN_NAME, COLUMN_TYPE, IS_NULLABLE, COLUMN_KEY, COLUMN_COMMENT \
     FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = DATABASE() ORDER BY TABLE_NAME, ORDINAL_POSITION";

pub(super) async fn tables(conn: &mut Conn, most: usize) -> Result<Vec<Table>, Client> {
    let most = u64::try_from(most).unwrap_or(u64::MAX);
    let listed: Vec<Row> =
        conn.exec(TABLES, Params::Positional(vec![effects::TABLE.into(), most.into()])).await?;
    let mut columns: HashMap<String, Vec<(String, Option<String>)>> = HashMap::new();
    for row in conn.query::<Row, _>(COLUMNS).await? {
        let [table, name, kind, nullable, key, comment] = texts(row).map(Option::unwrap_or_default);
        let mut line = format!("{} {kind}", quoted(&name));
        if nullable == "NO" {
            line.push_str(" NOT NULL");
        }
        if key == "PRI" {
            line.push_str(" PRIMARY KEY");
        }
        columns.entry(table).or_default().push((line, Some(comment)));
    }
    let mut tables = Vec::new();
    for row in listed {
        let [name, kind, rows, comment] = texts(row);
        let (name, is_view) = (name.unwrap_or_default(), kind.as_deref() == Some("VIEW"));
        let lines = columns.remove(&name).unwrap_or_default();
        // A view whose table is gone, or that may not be seen, costs its text and not the list.
        let shown = match conn.query_first::<Row, _>(format!("SHOW CREATE TABLE {}", quoted(&name))).await {
            Ok(shown) => shown.and_then(|row| texts::<2>(row)[1].take()),
            Err(Client::Server(_)) => None,
            Err(error) => return Err(error),
        };
        let sql = match shown {
            Some(shown) if is_view => {
                view(&shown) + &view_columns(lines.iter().map(|(line, _)| line.as_str()))
            }
            Some(shown) => table(&shown),
            None => create(&quoted(&name), comment.as_deref().filter(|_| !is_view), &lines),
        };
        let row_count = rows.filter(|_| !is_view).and_then(|rows| rows.parse().ok());
        tables.push(Table { name, sql, row_count });
    }
    Ok(tables)
}

fn quoted(name: &str) -> String {
    format!("`{}`", name.replace('`', "``"))
}

/// Without the options after the columns, but for what a person wrote.
fn table(shown: &str) -> String {
    let Some((columns, options)) = shown.rsplit_once("\n)") else { return shown.to_owned() };
    // Options stand in the order in which the server knows them, and no text but a comment's has this mark before it.
    let comment = options.split_once(" COMMENT='").map(|(_, rest)| rest);
    let comment = comment.map(|rest| {
        let mut end = 0;
        let mut letters = rest.char_indices().peekable();
        while let Some((at, letter)) = letters.next() {
            end = at;
            match letter {
                '\\' => drop(letters.next()),
                '\'' if letters.next_if(|(_, next)| *next == '\'').is_none() => break,
                _ => {}
            }
        }
        format!(" COMMENT='{}'", &rest[..end])
    });
    format!("{columns}\n){}", comment.unwrap_or_default())
}

/// Without who made it and how it is run.
fn view(shown: &str) -> String {
    match shown.split_once(" VIEW ") {
        Some((_, rest)) => format!("CREATE VIEW {rest}"),
        None => shown.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_says_nothing_of_the_data_is_left_out() {
        let shown = "CREATE TABLE `t` (\n  `a` int(11) DEFAULT NULL COMMENT 'x\n) ENGINE'\n) ENGINE=InnoDB AUTO_INCREMENT=4 DEFAULT CHARSET=utf8mb4 COMMENT='it''s a \\'t\\'' PAGE_COMPRESSED=1";
        assert_eq!(
            table(shown),
            "CREATE TABLE `t` (\n  `a` int(11) DEFAULT NULL COMMENT 'x\n) ENGINE'\n) COMMENT='it''s a \\'t\\''"
        );
        assert_eq!(
            table("CREATE TABLE `t` (\n  `a` int\n) ENGINE=InnoDB"),
            "CREATE TABLE `t` (\n  `a` int\n)"
        );
        let shown =
            "CREATE ALGORITHM=UNDEFINED DEFINER=`root`@`%` SQL SECURITY DEFINER VIEW `v` AS select 1 AS `1`";
        assert_eq!(view(shown), "CREATE VIEW `v` AS select 1 AS `1`");
    }
}

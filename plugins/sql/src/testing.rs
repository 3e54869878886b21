//! A [`Database`] for this crate's tests: SQLite in memory, with the host's types.

use rusqlite::types::ValueRef;

use crate::{Database, HostError, Rows, TableInfo, Value};

/// A database in memory.
pub(crate) struct Memory(rusqlite::Connection);

impl Memory {
    pub(crate) fn new(sql: &str) -> Memory {
        let connection = rusqlite::Connection::open_in_memory().expect("SQLite opens in memory");
        connection.execute_batch(sql).expect("the test's own SQL is right");
        Memory(connection)
    }

    fn rows(&self, sql: &str, max_rows: u32) -> rusqlite::Result<Rows> {
        let mut statement = self.0.prepare(sql)?;
        let columns: Vec<String> = statement.column_names().map(str::to_owned).collect();
        let (mut rows, mut cursor) = (Vec::new(), statement.query([])?);
        while let Some(row) = cursor.next()? {
            if rows.len() == max_rows as usize {
                return Ok(Rows { columns, rows, truncated: true });
            }
            let value = |index| {
                Ok(match row.get_ref(index)? {
                    ValueRef::Null => Value::Null,
                    ValueRef::Integer(number) => Value::Integer(number),
                    ValueRef::Real(number) => Value::Real(number),
                    ValueRef::Text(text) => Value::Text(String::from_utf8_lossy(text).into_owned()),
                    ValueRef::Blob(bytes) => Value::Blob(bytes.to_vec()),
                })
            };
            rows.push((0..columns.len()).map(value).collect::<rusqlite::Result<_>>()?);
        }
        Ok(Rows { columns, rows, truncated: false })
    }
}

impl Database for Memory {
    fn dialect(&self) -> crate::SqlDialect {
        crate::SqlDialect::Sqlite
    }

    fn tables(&self) -> Result<Vec<TableInfo>, HostError> {
        let list = "SELECT name, sql FROM sqlite_schema WHERE type IN ('table', 'view') ORDER BY name";
        let tables = self.query(list, 1_000)?.rows.into_iter().filter_map(|row| match row.as_slice() {
            [Value::Text(name), Value::Text(sql)] => Some((name.clone(), sql.clone())),
            _ => None,
        });
        tables
            .map(|(name, sql)| {
                let count = format!("SELECT count(*) FROM {}", crate::schema::quoted(&name));
                let row_count = match self.query(&count, 1)?.rows[0][0] {
                    Value::Integer(count) => u64::try_from(count).ok(),
                    _ => None,
                };
                Ok(TableInfo { name, sql, row_count })
            })
            .collect()
    }

    fn query(&self, sql: &str, max_rows: u32) -> Result<Rows, HostError> {
        self.rows(sql, max_rows).map_err(|error| HostError::Sql(error.to_string()))
    }
}

//! A question gives the same rows whatever the database is: the statements of the prompt's own examples, and what else code may
//! write, on SQLite, PostgreSQL and MariaDB with the same data, through all of `ask`.

#[path = "../../../host/database/tests/support/mod.rs"]
mod support;

use std::cell::RefCell;

use anyhow::{Result, anyhow};
use pawl_database::{Limits, Location, Reader};
use pawl_plugin_sql::ask::prompt::EXAMPLES;
use pawl_plugin_sql::ask::{Model, ask};
use pawl_plugin_sql::bindings::pawl::host::llm::{Error as ModelError, Message};
use pawl_plugin_sql::dialect::Translated;
use pawl_plugin_sql::{Answer, Database, HostError, Rows, SqlDialect, TableInfo, Value};
use support::{mariadb, postgres, soon};

/// The clinic of the examples; a name with capitals and a reserved one besides, in the braces.
const CLINIC: [&str; 14] = [
    "CREATE TABLE patients(id INTEGER PRIMARY KEY, name VARCHAR(20), city VARCHAR(20), born_on DATE)",
    "CREATE TABLE wards(id INTEGER PRIMARY KEY, name VARCHAR(20))",
    "CREATE TABLE doctors(id INTEGER PRIMARY KEY, name VARCHAR(20), ward_id INTEGER REFERENCES wards(id), hired_on DATE, left_on DATE)",
    "CREATE TABLE visits(id INTEGER PRIMARY KEY, patient_id INTEGER REFERENCES patients(id), \
     doctor_id INTEGER REFERENCES doctors(id), booked_on DATE, seen_on TIMESTAMP NULL, state VARCHAR(10), fee DECIMAL(8,2), paid BOOLEAN)",
    "CREATE TABLE treatments(id INTEGER PRIMARY KEY, name VARCHAR(20), kind VARCHAR(10), price DECIMAL(8,2))",
    "CREATE TABLE given(id INTEGER PRIMARY KEY, visit_id INTEGER REFERENCES visits(id), \
     treatment_id INTEGER REFERENCES treatments(id), times INTEGER, amount DECIMAL(9,2), minutes INTEGER)",
    "CREATE TABLE {Rooms}(id INTEGER PRIMARY KEY, ward_id INTEGER REFERENCES wards(id), {order} INTEGER)",
    "INSERT INTO patients VALUES (1, 'Ada', 'Oslo', '1990-01-02'), (2, 'Bo', 'Bergen', '1985-05-05'), (3, 'Cy', 'Bergen', '2001-07-08'), \
     (4, 'Di', 'Tromso', NULL)",
    "INSERT INTO wards VALUES (1, 'Children'), (2, 'Eyes'), (3, 'Surgery')",
    "INSERT INTO doctors VALUES (1, 'Eli', 1, '2020-02-03', NULL), (2, 'Fay', 2, '2021-05-09', NULL), \
     (3, 'Gus', 2, '2021-11-30', '2030-06-01'), (4, 'Hal', 3, '2022-08-01', NULL)",
    "INSERT INTO visits VALUES (1, 1, 1, '2030-01-05', '2030-03-01 09:00:00', 'done', 40, TRUE), \
     (2, 2, 2, '2030-02-01', '2030-03-31 18:30:00', 'done', 55.5, FALSE), (3, 2, 3, '2030-03-10', '2030-04-02 10:00:00', 'missed', 70, FALSE), \
     (4, 3, 4, '2029-12-20', '2029-12-31 12:00:00', 'done', 120.25, TRUE), (5, 1, 2, '2030-05-01', '2031-01-01 08:00:00', 'planned', 35, NULL), \
     (6, 4, 4, '2030-05-02', '2030-12-31 23:30:00', 'done', 99, TRUE)",
    "INSERT INTO treatments VALUES (1, 'Drops', 'drug', 12.5), (2, 'Salve', 'drug', 8), (3, 'Laser', 'therapy', 400), (4, 'Talk', 'therapy', 90), \
     (5, 'Pill', 'drug', 3.25)",
    "INSERT INTO given VALUES (1, 1, 1, 2, 5000, 90), (2, 1, 2, 1, 8, 30), (3, 1, 5, 3, 9.75, 15), (4, 2, 3, 1, 6000.5, 61), \
     (5, 3, 1, 1, 12.5, NULL), (6, 6, 4, 2, 4000, 45)",
    "INSERT INTO {Rooms} VALUES (1, 1, 2), (2, 2, 1), (3, 3, NULL)",
];

/// What the examples do not show.
const MORE: [&str; 10] = [
    "SELECT quarter(visits.seen_on) AS quarter, COUNT(*) AS visits FROM visits GROUP BY quarter ORDER BY quarter",
    "SELECT COUNT(*) AS visits FROM visits WHERE visits.paid = 1",
    "SELECT wards.name, SUM(visits.paid) AS paid FROM visits GROUP BY wards.name ORDER BY wards.name",
    "SELECT SUM(visits.paid = 0) AS unpaid, ROUND(AVG(visits.fee), 2) AS mean FROM visits",
    "SELECT COUNT(*) AS visits FROM visits WHERE visits.seen_on BETWEEN '2030-01-01' AND '2030-03-31'",
    "SELECT patients.name, patients.born_on FROM patients ORDER BY patients.born_on LIMIT 2",
    "SELECT wards.name, SUM(\"Rooms\".\"order\") AS rank_sum FROM \"Rooms\" JOIN wards ON wards.id = \"Rooms\".ward_id GROUP BY wards.name \
     ORDER BY rank_sum DESC",
    "SELECT SUM(given.minutes) AS hours FROM given",
    "SELECT COUNT(*) AS visits FROM given GROUP BY given.visit_id HAVING visits >= 3",
    "SELECT strftime('%Y', visits.seen_on) AS state, COUNT(*) AS n FROM visits GROUP BY state HAVING n > 1 ORDER BY state",
];

struct Server(SqlDialect, RefCell<Reader>);

impl Server {
    fn open(reader: Reader) -> Server {
        let dialect = match reader.dialect() {
            pawl_database::Dialect::Sqlite => SqlDialect::Sqlite,
            pawl_database::Dialect::Postgres => SqlDialect::Postgres,
            pawl_database::Dialect::Mysql => SqlDialect::Mysql,
        };
        Server(dialect, RefCell::new(reader))
    }
}

fn failed(error: &pawl_database::Error) -> HostError {
    HostError::Sql(error.to_string())
}

impl Database for Server {
    fn dialect(&self) -> SqlDialect {
        self.0
    }

    fn tables(&self) -> Result<Vec<TableInfo>, HostError> {
        let tables = self.1.borrow_mut().tables(soon()).map_err(|error| failed(&error))?;
        let info = |table: pawl_database::Table| TableInfo {
            name: table.name,
            sql: table.sql,
            row_count: table.row_count,
        };
        Ok(tables.into_iter().map(info).collect())
    }

    fn query(&self, sql: &str, max_rows: u32) -> Result<Rows, HostError> {
        let rows =
            self.1.borrow_mut().query(sql, &[], max_rows as usize, soon()).map_err(|error| failed(&error))?;
        let value = |value| match value {
            pawl_database::Value::Null => Value::Null,
            pawl_database::Value::Integer(value) => Value::Integer(value),
            pawl_database::Value::Real(value) => Value::Real(value),
            pawl_database::Value::Text(value) => Value::Text(value),
            pawl_database::Value::Blob(value) => Value::Blob(value),
        };
        let cells = |row: Vec<pawl_database::Value>| row.into_iter().map(value).collect();
        Ok(Rows {
            columns: rows.columns,
            rows: rows.rows.into_iter().map(cells).collect(),
            truncated: rows.truncated,
        })
    }
}

/// A model that writes this and nothing else.
struct Writes<'a>(&'a str);

impl Model for Writes<'_> {
    fn write(&self, _: &[Message], _: &str, _: u32) -> Result<String, ModelError> {
        Ok(self.0.to_owned())
    }
}

fn asked(server: &Server, question: &str, sql: &str) -> Result<Answer> {
    let clock = "2031-03-03".parse()?;
    let database = Translated::new(server);
    let answer = ask(&database, &Writes(sql), question, clock);
    answer.map_err(|error| anyhow!("{:?}: {sql}: {error:?}; as {}", server.0, database.translate(sql)))
}

/// Cells as they are compared: numbers by their first digits.
fn cells(answer: &Answer) -> Vec<Vec<String>> {
    let cell = |cell: &Option<String>| match cell.as_deref().map(|text| (text, text.parse::<f64>())) {
        None => "NULL".to_owned(),
        Some((_, Ok(number))) => format!("{number:.2}"),
        Some((text, Err(_))) => text.to_owned(),
    };
    answer.rows.iter().map(|row| row.iter().map(cell).collect()).collect()
}

#[test]
fn statements_give_the_same_rows_in_every_dialect() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("clinic.sqlite");
    let quoted = |mark: &str| CLINIC.map(|sql| sql.replace(['{', '}'], mark));
    rusqlite::Connection::open(&file)?.execute_batch(&quoted("\"").join(";"))?;
    let limits = Limits::default();
    let sqlite = Server::open(Reader::open("test", &Location::Sqlite(file), &limits, soon())?);
    let mut others = Vec::new();
    let (postgres, mariadb) = (postgres::server()?, mariadb::server()?);
    if let Some(server) = &postgres {
        let database = server.database("clinic", &quoted("\"").join(";"))?;
        others.push(Server::open(database.reader(&limits)?));
    }
    if let Some(server) = &mariadb {
        let statements = quoted("`");
        let statements: Vec<&str> = statements.iter().map(String::as_str).collect();
        let database = server.database("clinic", &statements)?;
        others.push(Server::open(database.reader(&limits)?));
    }
    let more = MORE.iter().map(|sql| ("?", *sql));
    let mut rows = 0;
    for (question, sql) in EXAMPLES.iter().map(|(question, _, sql)| (*question, *sql)).chain(more) {
        let wanted = asked(&sqlite, question, sql)?;
        rows += wanted.rows.len();
        for server in &others {
            let given = asked(server, question, sql)?;
            assert_eq!(cells(&given), cells(&wanted), "{:?}: {sql}", server.0);
        }
    }
    assert!(rows > 40, "the statements find something: {rows}");
    Ok(())
}

#[test]
fn what_cannot_be_read_or_need_not_be_translated_is_left() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("none.sqlite");
    rusqlite::Connection::open(&file)?.execute_batch("CREATE TABLE a(b)")?;
    let mut server = Server::open(Reader::open("test", &Location::Sqlite(file), &Limits::default(), soon())?);
    let sql = "SELECT strftime('%Y', a.b) FROM a";
    assert_eq!(Translated::new(&server).translate(sql), sql);
    server.0 = SqlDialect::Mysql;
    assert_eq!(Translated::new(&server).translate(sql), "SELECT DATE_FORMAT(`a`.`b`, '%Y') FROM `a`");
    let unread = "SELECT FROM (";
    assert_eq!(Translated::new(&server).translate(unread), unread, "the server says what is wrong of it");
    Ok(())
}

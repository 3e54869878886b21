//! Reading works; whatever would do more than read is refused; every limit is reached; a writer keeps what was committed.

use std::path::PathBuf;

use super::*;
use crate::{Location, Purpose, Rows};

struct Shop {
    folder: tempfile::TempDir,
    file: PathBuf,
}

fn shop() -> Shop {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("shop.sqlite");
    let connection = Connection::open(&file).unwrap();
    connection
        .execute_batch(
            "CREATE TABLE customer (id INTEGER PRIMARY KEY, name TEXT, score REAL, photo BLOB);
             INSERT INTO customer VALUES (1, 'Ann', 1.5, x'00ff'), (2, 'Bo', NULL, NULL);
             CREATE VIEW \"odd \"\" name\" AS SELECT name FROM customer;",
        )
        .unwrap();
    Shop { folder, file }
}

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(10)
}

impl Shop {
    fn query(&self, sql: &str, max_rows: usize) -> Result<Rows, Error> {
        self.reader().query(sql, &[], max_rows, soon())
    }

    fn reader(&self) -> crate::Reader {
        let location = Location::Sqlite(self.file.clone());
        crate::Reader::open("shop", &location, &Limits::default(), soon()).unwrap()
    }

    fn writer(&self, purpose: Purpose) -> crate::Writer {
        let location = Location::Sqlite(self.file.clone());
        crate::Writer::open("shop", &location, &Limits::default(), purpose, soon()).unwrap()
    }
}

#[test]
fn a_select_gives_columns_and_cells() {
    let rows = shop().query("SELECT id, name, score, photo FROM customer ORDER BY id -- all", 10).unwrap();
    assert_eq!(rows.columns, ["id", "name", "score", "photo"]);
    assert!(!rows.truncated);
    let [Value::Integer(1), Value::Text(name), Value::Real(score), Value::Blob(photo)] = &rows.rows[0][..]
    else {
        panic!("{:?}", rows.rows[0])
    };
    assert_eq!((name.as_str(), *score, &photo[..]), ("Ann", 1.5, &[0, 255][..]));
    assert!(matches!(rows.rows[1][2], Value::Null));
}

#[test]
fn ordinary_analysis_is_allowed() {
    let shop = shop();
    for sql in [
        "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < 5) SELECT sum(x) FROM n",
        "SELECT strftime('%Y', '2025-03-01'), round(avg(score), 2), count(*) FROM customer GROUP BY 1",
        "SELECT name, row_number() OVER (ORDER BY name), lag(name) OVER (ORDER BY id) FROM customer",
        "SELECT group_concat(name), upper(name) FROM customer WHERE name LIKE 'a%' OR name GLOB 'B*'",
        "SELECT CASE WHEN score > 1 THEN 'high' ELSE 'low' END, coalesce(score, 0), name || '!' FROM customer",
        "SELECT value FROM json_each('[1, 2]')",
        "SELECT * FROM \"odd \"\" name\"",
        "EXPLAIN QUERY PLAN SELECT * FROM customer",
    ] {
        shop.query(sql, 100).unwrap_or_else(|error| panic!("{sql}: {error:?}"));
    }
}

#[test]
fn whatever_would_do_more_than_read_is_refused() {
    let shop = shop();
    let other = shop.folder.path().join("other.sqlite");
    let attach = format!("ATTACH '{}' AS other", other.display());
    let vacuum = format!("VACUUM INTO '{}'", other.display());
    for sql in [
        "INSERT INTO customer VALUES (3, 'Cy', 0, NULL)",
        "INSERT INTO customer VALUES (3, 'Cy', 0, NULL) RETURNING id",
        "UPDATE customer SET name = 'x'",
        "DELETE FROM customer",
        "DROP TABLE customer",
        "CREATE TABLE t (x)",
        "CREATE TEMP TABLE t (x)",
        "PRAGMA query_only = OFF",
        "PRAGMA table_info(customer)",
        "SELECT * FROM pragma_database_list",
        "BEGIN",
        "SAVEPOINT s",
        "SELECT load_extension('x')",
        "SELECT writefile('x', 'y')",
        "SELECT 1; DROP TABLE customer",
        "SELECT 1; SELECT 2",
        "",
        "-- nothing",
        "ANALYZE",
        "REINDEX",
        &attach,
        &vacuum,
    ] {
        let error = shop.query(sql, 10).map(|_| ()).unwrap_err();
        let refused = matches!(&error, Error::NotReadOnly(_));
        let unknown = sql.contains("writefile") && matches!(&error, Error::Sql(_));
        assert!(refused || unknown, "{sql}: {error:?}");
    }
    assert!(!other.exists());
    assert_eq!(shop.query("SELECT * FROM customer", 10).unwrap().rows.len(), 2);
}

#[test]
fn rows_bytes_time_and_statement_are_limited() {
    let shop = shop();
    let numbers = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n";
    let rows = shop.query(&format!("{numbers} LIMIT 1000) SELECT x FROM n"), 7).unwrap();
    assert_eq!((rows.rows.len(), rows.truncated), (7, true));
    let million = "printf('%1000000s', 'x')";
    let rows = shop.query(&format!("{numbers} LIMIT 1000) SELECT {million} FROM n"), 1000).unwrap();
    assert_eq!((rows.rows.len(), rows.truncated), (4, true));
    let errors = [
        shop.query("SELECT printf('%100000000s', 'x')", 1),
        shop.query(&format!("SELECT {million}, {million}, {million}, {million}, {million}"), 1),
        shop.query(&format!("SELECT '{}'", "x".repeat(64 << 10)), 1),
        shop.reader().query(&format!("{numbers}) SELECT count(*) FROM n"), &[], 1, Instant::now()),
    ];
    for error in errors {
        assert!(matches!(error, Err(Error::Limit(_))), "{:?}", error.map(|_| ()));
    }
}

#[test]
fn sql_errors_name_what_is_wrong_and_nothing_of_the_host() {
    let shop = shop();
    for (sql, said) in [("SELECT nme FROM customer", "nme"), ("SELEC 1", "SELEC"), ("SELECT * FROM t", "t")] {
        let Err(Error::Sql(message)) = shop.query(sql, 1) else { panic!("{sql}") };
        assert!(message.contains(said) && !message.contains("shop.sqlite"), "{message}");
    }
}

#[test]
fn tables_are_described_with_their_statement_and_count() {
    let tables = shop().reader().tables(soon()).unwrap();
    let names: Vec<_> = tables.iter().map(|table| (table.name.as_str(), table.row_count)).collect();
    assert_eq!(names, [("customer", Some(2)), ("odd \" name", Some(2))]);
    assert!(tables[0].sql.starts_with("CREATE TABLE customer"));
}

#[test]
fn a_missing_file_is_named_by_its_logical_name_and_not_made() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("gone.sqlite");
    let error = Reader::open("shop", &file, &Limits::default(), soon()).map(|_| ()).unwrap_err();
    assert_eq!(error, Error::Missing);
    assert!(!file.exists());
    std::fs::write(&file, "this is a text file and not a database, though it is long enough").unwrap();
    let mut reader = Reader::open("shop", &file, &Limits::default(), soon()).unwrap();
    let error = reader.query("SELECT * FROM t", &[], 1, soon()).map(|_| ()).unwrap_err();
    assert!(matches!(error, Error::Sql(_)), "{error:?}");
}

#[test]
fn parameters_are_values_and_never_words() {
    let shop = shop();
    let mut reader = shop.reader();
    let parameters = [Value::Text("Ann' OR 1=1 --".to_owned()), Value::Integer(2), Value::Null];
    let rows = reader.query("SELECT ?1, ?2 + 1, ?3 IS NULL, ?1 = 'Ann'", &parameters, 1, soon()).unwrap();
    let [first, ..] = &parameters;
    assert_eq!(rows.rows[0], [first.clone(), Value::Integer(3), Value::Integer(1), Value::Integer(0)]);
    let error = reader.query("SELECT ?1, ?2", &parameters[..1], 1, soon()).unwrap_err();
    assert!(matches!(&error, Error::Sql(said) if said.contains('2') && said.contains('1')), "{error:?}");
}

#[test]
fn a_wal_file_is_read_beside_its_writer_and_after_it() {
    let shop = shop();
    let writer = Connection::open(&shop.file).unwrap();
    writer.pragma_update(None, "journal_mode", "wal").unwrap();
    writer.execute_batch("INSERT INTO customer VALUES (3, 'Cy', 0, NULL)").unwrap();
    assert_eq!(shop.query("SELECT * FROM customer", 10).unwrap().rows.len(), 3);
    drop(writer);
    assert_eq!(shop.query("SELECT * FROM customer", 10).unwrap().rows.len(), 3);
    // A folder of the companion's name stands for a folder that cannot be written.
    let companion = |end: &str| shop.folder.path().join(format!("shop.sqlite{end}"));
    for end in ["-wal", "-shm"] {
        let _ = std::fs::remove_file(companion(end));
    }
    std::fs::create_dir(companion("-shm")).unwrap();
    for _ in 0..2 {
        assert_eq!(shop.query("SELECT * FROM customer", 10).unwrap().rows.len(), 3);
    }
}

#[test]
fn the_planner_tells_wrong_statements_and_no_cost() {
    let mut reader = shop().reader();
    assert_eq!(reader.cost("SELECT * FROM customer", &[], soon()).unwrap(), None);
    assert!(matches!(reader.cost("SELECT nme FROM customer", &[], soon()), Err(Error::Sql(_))));
    assert!(matches!(reader.cost("DELETE FROM customer", &[], soon()), Err(Error::NotReadOnly(_))));
}

mod effects;
mod writing;

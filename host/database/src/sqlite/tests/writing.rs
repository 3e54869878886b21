//! What may be written is written once it is committed; everything else is refused or undone.

use super::*;

fn names(shop: &Shop) -> Vec<String> {
    let rows = shop.query("SELECT name FROM customer ORDER BY id", 100).unwrap().rows;
    let names = rows.into_iter().map(|row| match row.into_iter().next() {
        Some(Value::Text(name)) => name,
        other => panic!("{other:?}"),
    });
    names.collect()
}

#[test]
fn approved_writes_are_kept_when_they_are_committed_and_only_then() {
    let shop = shop();
    let mut writer = shop.writer(Purpose::Approved);
    let parameters = [Value::Integer(3), Value::Text("Cy".to_owned())];
    let insert = "INSERT INTO customer (id, name) VALUES (?1, ?2)";
    assert_eq!(writer.execute(insert, &parameters, soon()).unwrap(), 1);
    assert_eq!(writer.execute("UPDATE customer SET name = upper(name)", &[], soon()).unwrap(), 3);
    assert_eq!(writer.execute("DELETE FROM customer WHERE id = 2 RETURNING id", &[], soon()).unwrap(), 1);
    assert_eq!(names(&shop), ["Ann", "Bo"]);
    writer.commit().unwrap();
    assert_eq!(names(&shop), ["ANN", "CY"]);
    let mut writer = shop.writer(Purpose::Approved);
    writer.execute("DELETE FROM customer", &[], soon()).unwrap();
    drop(writer);
    assert_eq!(names(&shop), ["ANN", "CY"]);
}

#[test]
fn a_trial_leaves_the_file_as_it_was() {
    let shop = shop();
    let before = std::fs::read(&shop.file).unwrap();
    let mut trial = shop.writer(Purpose::Trial);
    assert_eq!(trial.execute("DELETE FROM customer", &[], soon()).unwrap(), 2);
    trial.execute("DROP TABLE customer", &[], soon()).unwrap();
    assert!(matches!(trial.commit(), Err(Error::NotAllowed(_))));
    assert_eq!(std::fs::read(&shop.file).unwrap(), before);
    assert_eq!(std::fs::read_dir(shop.folder.path()).unwrap().count(), 1);
}

#[test]
fn tables_indices_and_views_are_made_altered_and_dropped() {
    let shop = shop();
    let mut writer = shop.writer(Purpose::Approved);
    for sql in [
        "CREATE TABLE part (id INTEGER PRIMARY KEY AUTOINCREMENT, code TEXT UNIQUE NOT NULL, size REAL CHECK (size > 0), owner INTEGER REFERENCES customer (id) ON DELETE CASCADE)",
        "INSERT INTO part (code, size, owner) VALUES ('a', 1, 1), ('b', 2, 2)",
        "INSERT INTO part (code, size) VALUES ('a', 3) ON CONFLICT (code) DO UPDATE SET size = excluded.size",
        "CREATE TABLE copy AS SELECT * FROM part",
        "CREATE UNIQUE INDEX IF NOT EXISTS part_size ON part (size, lower(code)) WHERE size > 1",
        "/* a view */ CREATE VIEW -- named\n big AS SELECT * FROM part WHERE size > 1",
        "ALTER TABLE part ADD COLUMN weight INTEGER DEFAULT 7 CHECK (weight > 0)",
        "ALTER TABLE part RENAME COLUMN size TO length",
        "ALTER TABLE part RENAME TO piece",
        "ALTER TABLE piece DROP COLUMN weight",
        "WITH long AS (SELECT id FROM piece WHERE length > 2) UPDATE piece SET code = code || '!' WHERE id IN long",
        "REPLACE INTO piece (id, code, length) VALUES (1, 'z', 9)",
        "DROP VIEW big",
        "DROP INDEX part_size",
        "DROP TABLE copy",
        "DELETE FROM customer WHERE id = 2",
    ] {
        writer.execute(sql, &[], soon()).unwrap_or_else(|error| panic!("{sql}: {error:?}"));
    }
    writer.commit().unwrap();
    let rows = shop.query("SELECT id, code, length FROM piece", 9).unwrap().rows;
    assert_eq!(rows, [[Value::Integer(1), Value::Text("z".to_owned()), Value::Real(9.0)]]);
}

#[test]
fn triggers_that_exist_fire_and_are_dropped_with_their_table() {
    let shop = shop();
    let schema = "CREATE TABLE log (what TEXT);
        CREATE TRIGGER gone AFTER DELETE ON customer BEGIN INSERT INTO log VALUES (old.name); END;";
    Connection::open(&shop.file).unwrap().execute_batch(schema).unwrap();
    let mut writer = shop.writer(Purpose::Approved);
    assert_eq!(writer.execute("DELETE FROM customer WHERE id = 1", &[], soon()).unwrap(), 1);
    writer.execute("DROP TABLE customer", &[], soon()).unwrap();
    writer.commit().unwrap();
    assert_eq!(shop.query("SELECT what FROM log", 9).unwrap().rows, [[Value::Text("Ann".to_owned())]]);
}

#[test]
fn whatever_is_not_to_be_written_is_refused() {
    let shop = shop();
    let other = shop.folder.path().join("other.sqlite");
    let attach = format!("ATTACH '{}' AS other", other.display());
    let vacuum = format!("VACUUM INTO '{}'", other.display());
    let before = std::fs::read(&shop.file).unwrap();
    let mut writer = shop.writer(Purpose::Approved);
    for sql in [
        "SELECT * FROM customer",
        "WITH c AS (SELECT 1) SELECT * FROM c",
        "INSERT INTO sqlite_schema VALUES ('table', 't', 't', 0, 'CREATE TABLE t (x)')",
        "UPDATE sqlite_master SET sql = 'x'",
        "DELETE FROM sqlite_schema",
        "PRAGMA foreign_keys = OFF",
        "PRAGMA writable_schema = ON",
        "INSERT INTO customer (name) SELECT name FROM pragma_database_list",
        "BEGIN",
        "COMMIT",
        "END",
        "ROLLBACK",
        "SAVEPOINT s",
        "RELEASE s",
        "CREATE TEMP TABLE t (x)",
        "CREATE TABLE temp.t (x)",
        "CREATE TRIGGER t AFTER INSERT ON customer BEGIN DELETE FROM customer; END",
        "CREATE VIRTUAL TABLE t USING fts5 (x)",
        "DROP TRIGGER t",
        "INSERT INTO customer (name) VALUES (load_extension('x'))",
        "UPDATE customer SET name = writefile('x', 'y')",
        "DELETE FROM customer; DELETE FROM customer",
        "EXPLAIN DELETE FROM customer",
        "ANALYZE",
        "REINDEX",
        "VACUUM",
        "DETACH main",
        "",
        "-- INSERT",
        "/* INSERT",
        "(DELETE FROM customer)",
        &attach,
        &vacuum,
    ] {
        let Err(error) = writer.execute(sql, &[], soon()) else { panic!("{sql} was run") };
        // SQLite has its own words for what it knows nothing of or never lets anybody write.
        let own = ["writefile", "sqlite_schema", "sqlite_master"].iter().any(|word| sql.contains(word));
        assert!(
            matches!(&error, Error::NotAllowed(_)) || (own && matches!(&error, Error::Sql(_))),
            "{sql}: {error:?}"
        );
    }
    assert!(!other.exists());
    writer.commit().unwrap();
    assert_eq!(std::fs::read(&shop.file).unwrap(), before);
}

#[test]
fn nothing_is_kept_after_the_database_rolled_back_by_itself() {
    let shop = shop();
    let mut writer = shop.writer(Purpose::Approved);
    writer.execute("DELETE FROM customer WHERE id = 2", &[], soon()).unwrap();
    let clash = "INSERT OR ROLLBACK INTO customer (id) VALUES (1)";
    assert!(matches!(writer.execute(clash, &[], soon()), Err(Error::Sql(_))));
    assert!(matches!(writer.execute("DELETE FROM customer", &[], soon()), Err(Error::Sql(_))));
    assert!(matches!(writer.commit(), Err(Error::Sql(_))));
    assert_eq!(names(&shop), ["Ann", "Bo"]);
}

#[test]
fn time_growth_and_foreign_keys_hold() {
    let shop = shop();
    Connection::open(&shop.file)
        .unwrap()
        .execute_batch("CREATE TABLE item (owner INTEGER NOT NULL REFERENCES customer (id)); INSERT INTO item VALUES (1)")
        .unwrap();
    let limits = Limits { growth: 1 << 20, time: Duration::from_millis(300), ..Limits::default() };
    let location = Location::Sqlite(shop.file.clone());
    let mut writer = crate::Writer::open("shop", &location, &limits, Purpose::Approved, soon()).unwrap();
    let broken = writer.execute("DELETE FROM customer WHERE id = 1", &[], soon());
    assert!(matches!(&broken, Err(Error::Sql(said)) if said.contains("FOREIGN KEY")), "{broken:?}");
    let bomb = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) INSERT INTO customer (photo) \
                SELECT printf('%100000s', 'x') FROM n";
    let error = writer.execute(bomb, &[], soon()).unwrap_err();
    assert!(matches!(&error, Error::Limit(said) if said.contains("1048576")), "{error:?}");
    let endless = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) DELETE FROM customer \
                   WHERE id IN (SELECT max(x) FROM n)";
    let begun = Instant::now();
    let error = writer.execute(endless, &[], soon()).unwrap_err();
    assert!(matches!(&error, Error::Limit(said) if said.contains("0.3 s")), "{error:?}");
    assert!(begun.elapsed() < Duration::from_secs(3));
}

#[test]
fn two_writers_do_not_meet() {
    let shop = shop();
    let first = shop.writer(Purpose::Approved);
    let location = Location::Sqlite(shop.file.clone());
    let second =
        crate::Writer::open("shop", &location, &Limits::default(), Purpose::Trial, soon()).map(|_| ());
    assert!(matches!(&second, Err(Error::Busy(said)) if said.contains("locked")), "{second:?}");
    drop(first);
    shop.writer(Purpose::Trial);
}

//! A key is recorded with its writes or not at all, is found again, and is nobody's but the host's.

use super::*;

const INSERT: &str = "INSERT INTO customer (id, name) VALUES (3, 'Cy')";

impl Shop {
    fn recorded(&self, key: &str) -> Result<Option<String>, Error> {
        let location = Location::Sqlite(self.file.clone());
        crate::recorded("shop", &location, &Limits::default(), key, soon())
    }

    fn count(&self, table: &str) -> i64 {
        let connection = Connection::open(&self.file).unwrap();
        connection.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0)).unwrap()
    }

    fn done(&self, key: &str) {
        let mut writer = self.writer(Purpose::Approved);
        writer.record(key, "{}", soon()).unwrap();
        writer.commit().unwrap();
    }
}

#[test]
fn a_key_is_found_again_where_its_writes_were_kept_and_only_there() {
    let shop = shop();
    let before = std::fs::read(&shop.file).unwrap();
    assert_eq!(shop.recorded("r1/1").unwrap(), None);
    assert_eq!(std::fs::read(&shop.file).unwrap(), before, "asking made a table");
    let mut writer = shop.writer(Purpose::Approved);
    writer.execute(INSERT, &[], soon()).unwrap();
    writer.record("r1/1", "{\"rows\": 1}", soon()).unwrap();
    drop(writer);
    assert_eq!((shop.recorded("r1/1").unwrap(), shop.count("customer")), (None, 2));
    let mut writer = shop.writer(Purpose::Approved);
    writer.execute(INSERT, &[], soon()).unwrap();
    writer.record("r1/1", "{\"rows\": 1}", soon()).unwrap();
    writer.commit().unwrap();
    assert_eq!(shop.recorded("r1/1").unwrap().as_deref(), Some("{\"rows\": 1}"));
    assert_eq!((shop.recorded("r1/10").unwrap(), shop.count("customer")), (None, 3));
}

#[test]
fn a_key_that_is_recorded_undoes_what_would_be_written_again() {
    let shop = shop();
    shop.done("r1/1");
    let mut writer = shop.writer(Purpose::Approved);
    writer.execute(INSERT, &[], soon()).unwrap();
    assert_eq!(writer.record("r1/1", "again", soon()), Err(Error::Recorded));
    assert!(writer.commit().is_err());
    assert_eq!((shop.recorded("r1/1").unwrap().as_deref(), shop.count("customer")), (Some("{}"), 2));
}

#[test]
fn what_cannot_be_recorded_is_not_kept() {
    let shop = shop();
    let long = "x".repeat(Limits::default().bytes + 1);
    for (key, outcome) in [("two words", "{}"), ("", "{}"), ("r1/1", &long)] {
        let mut writer = shop.writer(Purpose::Approved);
        writer.execute(INSERT, &[], soon()).unwrap();
        assert!(writer.record(key, outcome, soon()).is_err(), "{key}");
        assert!(writer.commit().is_err(), "{key}");
    }
    let mut trial = shop.writer(Purpose::Trial);
    assert!(matches!(trial.record("r1/1", "{}", soon()), Err(Error::NotAllowed(_))));
    drop(trial);
    // Somebody else's table of that name.
    Connection::open(&shop.file).unwrap().execute_batch("CREATE TABLE pawl_effects (x)").unwrap();
    let mut writer = shop.writer(Purpose::Approved);
    writer.execute(INSERT, &[], soon()).unwrap();
    let Err(Error::NotRecordable(said)) = writer.record("r1/1", "{}", soon()) else { panic!("it fits") };
    assert!(said.contains("CREATE TABLE IF NOT EXISTS pawl_effects"), "{said}");
    assert!(writer.commit().is_err());
    assert_eq!(shop.count("customer"), 2);
}

#[test]
fn no_statement_sees_or_makes_the_table() {
    let shop = shop();
    shop.done("r1/1");
    let view = "CREATE VIEW keys AS SELECT key FROM pawl_effects";
    Connection::open(&shop.file).unwrap().execute_batch(view).unwrap();
    let names: Vec<_> = shop.reader().tables(soon()).unwrap().into_iter().map(|table| table.name).collect();
    assert_eq!(names, ["customer", "keys", "odd \" name"]);
    for sql in [
        "SELECT * FROM pawl_effects",
        "SELECT count(*) FROM PAWL_EFFECTS",
        "SELECT outcome FROM main.\"pawl_effects\"",
        "SELECT 1 WHERE EXISTS (SELECT 1 FROM [Pawl_Effects])",
        "SELECT * FROM keys",
    ] {
        let refused = shop.query(sql, 1).map(|_| ());
        assert!(
            matches!(&refused, Err(Error::NotReadOnly(said)) if said.contains("host's own")),
            "{refused:?}"
        );
    }
    let refused = |shop: &Shop, sql: &str| {
        let refused = shop.writer(Purpose::Approved).execute(sql, &[], soon());
        assert!(
            matches!(&refused, Err(Error::NotAllowed(said)) if said.contains("host's own")),
            "{sql}: {refused:?}"
        );
    };
    for sql in [
        "INSERT INTO pawl_effects VALUES ('r1/2', '{}', '')",
        "UPDATE \"Pawl_Effects\" SET outcome = ''",
        "DELETE FROM pawl_effects",
        "INSERT INTO customer (name) SELECT key FROM pawl_effects",
        "DROP TABLE pawl_effects",
        "ALTER TABLE pawl_effects ADD COLUMN x",
        "ALTER TABLE pawl_effects RENAME TO other",
        "CREATE INDEX i ON pawl_effects (outcome)",
    ] {
        refused(&shop, sql);
    }
    let fresh = self::shop();
    for sql in [
        "CREATE TABLE pawl_effects (key, outcome, at)",
        "CREATE TABLE IF NOT EXISTS main.PAWL_EFFECTS (key, outcome, at)",
        "CREATE VIEW pawl_effects AS SELECT 'r1/1' AS key, '{}' AS outcome, '' AS at",
        "ALTER TABLE customer RENAME TO \"pawl_Effects\"",
    ] {
        refused(&fresh, sql);
    }
}

/// What a process leaves that is killed while it writes: a file that is half written, and a journal that undoes it.
#[test]
fn after_a_crash_amid_a_write_the_answer_is_that_of_the_journal() {
    let shop = shop();
    shop.done("r1/1");
    let half = Connection::open(&shop.file).unwrap();
    half.execute_batch(
        "PRAGMA cache_size = 2; BEGIN IMMEDIATE; INSERT INTO pawl_effects VALUES ('r1/2', '{}', '');
         WITH RECURSIVE n(x) AS (SELECT 10 UNION ALL SELECT x + 1 FROM n WHERE x < 2000)
             INSERT INTO customer (id, name) SELECT x, hex(zeroblob(200)) FROM n;",
    )
    .unwrap();
    let copy = shop.folder.path().join("copy.sqlite");
    let journal = |file: &std::path::Path| PathBuf::from(format!("{}-journal", file.display()));
    std::fs::copy(&shop.file, &copy).unwrap();
    std::fs::copy(journal(&shop.file), journal(&copy)).unwrap();
    let recorded =
        |key| crate::recorded("shop", &Location::Sqlite(copy.clone()), &Limits::default(), key, soon());
    assert_eq!(recorded("r1/2").unwrap(), None);
    assert_eq!(recorded("r1/1").unwrap().as_deref(), Some("{}"));
    assert!(!journal(&copy).exists(), "the journal was not used");
}

//! A writer to MySQL keeps what was approved and nothing else, and refuses what it could not undo. Against a real MariaDB, as
//! somebody with all privileges, and as somebody with few.
#![cfg(feature = "mysql")]

mod support;

use anyhow::{Context, Result, ensure};
use pawl_database::{Error, Limits, Location, Purpose, Reader, Secret, Value, Writer};
use support::mariadb::shop;
use support::soon;

fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}

#[test]
fn approved_writes_are_kept_when_they_are_committed_and_only_then() -> Result<()> {
    let Some(shop) = shop("approved")? else { return Ok(()) };
    let names = "SELECT group_concat(name ORDER BY id) FROM customer";
    let mut writer = shop.writer(Purpose::Approved)?;
    let insert = "INSERT INTO customer (name, mood) VALUES (?, ?), ('Di', 'ok')";
    assert_eq!(writer.execute(insert, &[text("Cy"), text("sad")], soon())?, 2);
    assert_eq!(writer.execute("UPDATE customer SET name = upper(name) WHERE id < 3", &[], soon())?, 2);
    // A row that a statement finds counts, also where it stays as it is.
    assert_eq!(writer.execute("UPDATE customer SET name = upper(name) WHERE id < 3", &[], soon())?, 2);
    let delete = "DELETE FROM customer WHERE id IN (SELECT customer_id FROM `order` WHERE total = 7)";
    assert_eq!(writer.execute(delete, &[], soon())?, 1);
    assert_eq!(shop.admin.one(names)?, "Ann,Bo");
    writer.commit()?;
    assert_eq!(shop.admin.one(names)?, "ANN,Cy,Di");
    let mut writer = shop.writer(Purpose::Approved)?;
    writer.execute("DELETE FROM customer", &[], soon())?;
    drop(writer);
    assert_eq!(shop.admin.one(names)?, "ANN,Cy,Di");
    // After an error nothing is kept, not even what went before.
    let mut writer = shop.writer(Purpose::Approved)?;
    writer.execute("DELETE FROM customer WHERE id = 1", &[], soon())?;
    let twice = writer.execute("INSERT INTO customer (name) VALUES ('Cy')", &[], soon());
    ensure!(matches!(twice, Err(Error::Sql(_))), "{twice:?}");
    ensure!(matches!(writer.execute("DELETE FROM customer", &[], soon()), Err(Error::Sql(_))));
    ensure!(matches!(writer.commit(), Err(Error::Sql(_))));
    assert_eq!(shop.admin.one(names)?, "ANN,Cy,Di");
    Ok(())
}

#[test]
fn a_trial_leaves_nothing() -> Result<()> {
    let Some(shop) = shop("trial")? else { return Ok(()) };
    let mut trial = shop.writer(Purpose::Trial)?;
    assert_eq!(trial.execute("DELETE FROM `order` WHERE total > 6", &[], soon())?, 2);
    assert_eq!(trial.execute("UPDATE `order` SET total = 1", &[], soon())?, 1);
    ensure!(matches!(trial.commit(), Err(Error::NotAllowed(_))));
    assert_eq!(shop.admin.one("SELECT count(*) FROM `order`")?, "3");
    Ok(())
}

#[test]
fn what_cannot_be_undone_is_not_tried() -> Result<()> {
    let Some(shop) = shop("no_trial")? else { return Ok(()) };
    for sql in [
        "CREATE TABLE log (what varchar(100))",
        "CREATE TABLE quiet (x int)",
        "CREATE TRIGGER quiet_log BEFORE INSERT ON quiet FOR EACH ROW BEGIN SET NEW.x = NEW.x * 2; INSERT INTO log VALUES ('x'); END",
        "CREATE TABLE loud (x int)",
        "CREATE TRIGGER loud_note AFTER INSERT ON loud FOR EACH ROW INSERT INTO note VALUES ('loud')",
        "CREATE TABLE chained (x int)",
        "CREATE TRIGGER chained_loud AFTER INSERT ON chained FOR EACH ROW INSERT INTO loud VALUES (1)",
        "CREATE TABLE odd (x int)",
        "CREATE TRIGGER odd_global AFTER INSERT ON odd FOR EACH ROW SET GLOBAL long_query_time = 7",
    ] {
        shop.admin.run(sql)?;
    }
    let before = shop.admin.rows("CHECKSUM TABLE customer, `order`, note, log, quiet, loud")?;
    for sql in [
        "INSERT INTO note VALUES ('x')",
        "UPDATE customer JOIN note ON true SET what = name",
        "DELETE FROM names",
        "INSERT INTO loud VALUES (1)",
        "INSERT INTO chained VALUES (1)",
        "INSERT INTO odd VALUES (1)",
        "CREATE TABLE t (x int)",
        "CREATE INDEX i ON customer (score)",
        "CREATE OR REPLACE VIEW names AS SELECT 1",
        "ALTER TABLE customer ADD COLUMN x int",
        "DROP TABLE note",
    ] {
        let mut trial = shop.writer(Purpose::Trial)?;
        let tried = trial.execute("DELETE FROM `order`", &[], soon());
        ensure!(tried == Ok(3), "{tried:?}");
        let tried = trial.execute(sql, &[], soon());
        ensure!(matches!(&tried, Err(Error::NoTrial(_))), "{sql}: {tried:?}");
        drop(trial);
        if !sql.contains("TABLE") && !sql.contains("CREATE") {
            // An approved one could not be undone either.
            let written = shop.writer(Purpose::Approved)?.execute(sql, &[], soon());
            ensure!(matches!(&written, Err(Error::NoTrial(_))), "{sql}: {written:?}");
        }
    }
    assert_eq!(shop.writer(Purpose::Trial)?.execute("INSERT INTO quiet VALUES (1), (2)", &[], soon())?, 2);
    assert_eq!(shop.admin.rows("CHECKSUM TABLE customer, `order`, note, log, quiet, loud")?, before);
    Ok(())
}

#[test]
fn triggers_that_may_not_be_seen_are_not_tried() -> Result<()> {
    let Some(shop) = shop("unseen")? else { return Ok(()) };
    shop.admin.run("CREATE USER 'less'@'%' IDENTIFIED BY 'less'")?;
    shop.admin.run("GRANT SELECT, INSERT ON unseen.* TO 'less'@'%'")?;
    let address = format!("mysql://less:less@127.0.0.1:{}/unseen", shop.server.port);
    let location = Location::Mysql(Secret::new(address));
    let insert = || {
        let mut trial = Writer::open("shop", &location, &Limits::default(), Purpose::Trial, soon())?;
        trial.execute("INSERT INTO customer (name) VALUES ('x')", &[], soon())
    };
    let tried = insert();
    ensure!(matches!(&tried, Err(Error::NoTrial(said)) if said.contains("TRIGGER")), "{tried:?}");
    // Nor is a view read whose text is not shown.
    let mut reader = Reader::open("shop", &location, &Limits::default(), soon())?;
    let read = reader.query("SELECT * FROM names", &[], 1, soon());
    ensure!(matches!(&read, Err(Error::NotReadOnly(said)) if said.contains("cannot be seen")), "{read:?}");
    let names: Vec<_> = reader.tables(soon())?.into_iter().map(|table| table.sql).collect();
    ensure!(
        names.iter().any(|sql| sql.starts_with("CREATE TABLE `names` (\n  `name` varchar(100)")),
        "{names:?}"
    );
    shop.admin.run("GRANT TRIGGER, SHOW VIEW ON unseen.* TO 'less'@'%'")?;
    assert_eq!(insert()?, 1);
    let mut reader = Reader::open("shop", &location, &Limits::default(), soon())?;
    assert_eq!(reader.query("SELECT * FROM names", &[], 5, soon())?.rows.len(), 2);
    Ok(())
}

#[test]
fn tables_indices_and_views_are_made_altered_and_dropped_each_alone() -> Result<()> {
    let Some(shop) = shop("ddl")? else { return Ok(()) };
    for sql in [
        "CREATE TABLE part (id int AUTO_INCREMENT PRIMARY KEY, code varchar(20) UNIQUE NOT NULL, size double CHECK (size > 0), owner int, made timestamp DEFAULT current_timestamp, FOREIGN KEY (owner) REFERENCES customer (id) ON DELETE CASCADE)",
        "CREATE TABLE IF NOT EXISTS copy AS SELECT * FROM customer",
        "INSERT INTO part (code, size, owner) SELECT name, 1, id FROM customer",
        "CREATE UNIQUE INDEX part_size ON part (size, code)",
        "CREATE OR REPLACE VIEW big AS SELECT * FROM part WHERE size > 1",
        "ALTER TABLE part ADD COLUMN weight int DEFAULT 7 CHECK (weight > 0)",
        "ALTER TABLE part MODIFY COLUMN weight bigint NOT NULL",
        "ALTER TABLE part DROP COLUMN weight",
        "ALTER TABLE copy RENAME COLUMN score TO points",
        "ALTER TABLE copy RENAME TO copied",
        "UPDATE part SET size = size + 1 WHERE id IN (SELECT id FROM customer)",
        "REPLACE INTO part (id, code, size) VALUES (2, 'Bo', 4) ",
        "INSERT INTO part (id, code, size) VALUES (1, 'Ann', 2) ON DUPLICATE KEY UPDATE size = size + 1",
        "DROP VIEW IF EXISTS big",
        "DROP INDEX part_size ON part",
        "DROP TABLE copied",
    ] {
        let mut writer = shop.writer(Purpose::Approved)?;
        writer.execute(sql, &[], soon()).with_context(|| sql.to_owned())?;
        writer.commit().with_context(|| sql.to_owned())?;
    }
    assert_eq!(shop.admin.one("SELECT group_concat(code, size ORDER BY id) FROM part")?, "Ann3,Bo4");
    // What it returns would be what it touched, and is not counted.
    let returning = shop.writer(Purpose::Trial)?.execute("DELETE FROM part RETURNING id", &[], soon());
    ensure!(
        matches!(&returning, Err(Error::NotAllowed(said)) if said.contains("RETURNING")),
        "{returning:?}"
    );
    // Not committed, it is not made; and it does not keep what was written before, nor after.
    let mut writer = shop.writer(Purpose::Approved)?;
    writer.execute("DROP TABLE part", &[], soon())?;
    let more = writer.execute("DELETE FROM customer", &[], soon());
    ensure!(matches!(&more, Err(Error::NotAllowed(said)) if said.contains("alone")), "{more:?}");
    drop(writer);
    let mut writer = shop.writer(Purpose::Approved)?;
    writer.execute("DELETE FROM `order`", &[], soon())?;
    let more = writer.execute("DROP TABLE part", &[], soon());
    ensure!(matches!(&more, Err(Error::NotAllowed(said)) if said.contains("alone")), "{more:?}");
    drop(writer);
    assert_eq!(shop.admin.one("SELECT count(*) FROM part")?, "2");
    assert_eq!(shop.admin.one("SELECT count(*) FROM `order`")?, "3");
    Ok(())
}

//! A server keeps the key of what was done with the writes or not at all, says so after a crash, and shows the table to nobody.
//! Against real servers, as somebody who may do everything and as somebody who may not make tables.
#![cfg(all(feature = "mysql", feature = "postgres"))]

mod support;

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use pawl_database::{Error, Limits, Location, Purpose, Reader, Secret, Writer, recorded};
use support::{mariadb, postgres, soon};

const CUSTOMERS: &str = "CREATE TABLE customer (id int PRIMARY KEY, name varchar(100))";
const INSERT: &str = "INSERT INTO customer (id, name) VALUES (1, 'Ann')";

type Ask<T> = Box<dyn Fn(&str) -> Result<T>>;

/// A database with one empty table, and a way to look at it that is not ours.
struct Shop {
    location: Location,
    one: Ask<String>,
    run: Ask<()>,
}

fn shops(name: &str) -> Result<Vec<Shop>> {
    let mut shops = Vec::new();
    if let Some(server) = postgres::server()? {
        let database = std::rc::Rc::new(server.database(name, CUSTOMERS)?);
        let (one, run) = (std::rc::Rc::clone(&database), std::rc::Rc::clone(&database));
        shops.push(Shop {
            location: database.location(),
            one: Box::new(move |sql| one.admin.one(sql)),
            run: Box::new(move |sql| run.admin.run(sql)),
        });
    }
    if let Some(server) = mariadb::server()? {
        let database = std::rc::Rc::new(server.database(name, &[CUSTOMERS])?);
        let (one, run) = (std::rc::Rc::clone(&database), std::rc::Rc::clone(&database));
        shops.push(Shop {
            location: database.location(),
            one: Box::new(move |sql| one.admin.one(sql)),
            run: Box::new(move |sql| run.admin.run(sql)),
        });
    }
    Ok(shops)
}

impl Shop {
    fn is_mysql(&self) -> bool {
        matches!(self.location, Location::Mysql(_))
    }

    fn writer(&self) -> Result<Writer> {
        Ok(Writer::open("test", &self.location, &Limits::default(), Purpose::Approved, soon())?)
    }

    fn recorded(&self, key: &str) -> Result<Option<String>, Error> {
        recorded("test", &self.location, &Limits::default(), key, soon())
    }

    fn customers(&self) -> Result<String> {
        (self.one)("SELECT count(*) FROM customer")
    }

    /// The same database as somebody who may read and write rows, and make nothing.
    fn as_clerk(&self, name: &str, database: &str) -> Result<Location> {
        let port = if self.is_mysql() {
            mariadb::server()?.context("MariaDB")?.port
        } else {
            postgres::server()?.context("PostgreSQL")?.port
        };
        if self.is_mysql() {
            (self.run)(&format!("CREATE USER '{name}'@'%' IDENTIFIED BY 'clerk'"))?;
            let rights = "SELECT, INSERT, UPDATE, DELETE, TRIGGER";
            (self.run)(&format!("GRANT {rights} ON {database}.* TO '{name}'@'%'"))?;
            Ok(Location::Mysql(Secret::new(format!("mysql://{name}:clerk@127.0.0.1:{port}/{database}"))))
        } else {
            (self.run)(&format!(
                "CREATE ROLE {name} LOGIN PASSWORD 'clerk'; REVOKE CREATE ON SCHEMA public FROM PUBLIC; \
                 GRANT SELECT, INSERT, UPDATE, DELETE ON customer TO {name}"
            ))?;
            Ok(Location::Postgres(Secret::new(format!(
                "postgres://{name}:clerk@127.0.0.1:{port}/{database}"
            ))))
        }
    }
}

#[test]
fn a_key_is_found_again_where_its_writes_were_kept_and_only_there() -> Result<()> {
    for shop in shops("kept")? {
        ensure!(shop.recorded("r1/1")?.is_none());
        ensure!(
            (shop.one)(
                "SELECT count(*) FROM information_schema.tables WHERE table_name = 'pawl_effects' AND table_schema IN ('public', 'kept')"
            )? == "0",
            "asking made a table"
        );
        let mut writer = shop.writer()?;
        writer.execute(INSERT, &[], soon())?;
        writer.record("r1/1", "{\"rows\": 1}", soon())?;
        // Neither the table nor the row makes anything visible before it is kept.
        assert_eq!((shop.recorded("r1/1")?, shop.customers()?.as_str()), (None, "0"));
        drop(writer);
        assert_eq!((shop.recorded("r1/1")?, shop.customers()?.as_str()), (None, "0"));
        for key in ["r1/1", "R1/1"] {
            let mut writer = shop.writer()?;
            writer.execute(&INSERT.replace("(1,", if key == "r1/1" { "(1," } else { "(2," }), &[], soon())?;
            writer.record(key, &format!("{{\"of\": \"{key} ö\\n\"}}"), soon())?;
            writer.commit()?;
        }
        assert_eq!(shop.recorded("r1/1")?.as_deref(), Some("{\"of\": \"r1/1 ö\\n\"}"));
        assert_eq!(shop.recorded("R1/1")?.as_deref(), Some("{\"of\": \"R1/1 ö\\n\"}"));
        assert_eq!((shop.recorded("r1/2")?, shop.customers()?.as_str()), (None, "2"));
        let at = (shop.one)("SELECT MAX(at) FROM pawl_effects")?;
        ensure!(at.len() == 20 && at.ends_with('Z') && at.as_bytes()[10] == b'T', "{at}");
    }
    Ok(())
}

#[test]
fn a_key_that_is_recorded_undoes_what_would_be_written_again() -> Result<()> {
    for shop in shops("again")? {
        let mut writer = shop.writer()?;
        writer.record("r1/1", "{}", soon())?;
        writer.commit()?;
        let mut writer = shop.writer()?;
        writer.execute(INSERT, &[], soon())?;
        assert_eq!(writer.record("r1/1", "again", soon()), Err(Error::Recorded));
        ensure!(writer.commit().is_err());
        assert_eq!((shop.recorded("r1/1")?.as_deref(), shop.customers()?.as_str()), (Some("{}"), "0"));
    }
    Ok(())
}

/// A host that died may have left a transaction to the server that is still kept: whoever does the same again waits for it.
#[test]
fn of_two_transactions_with_one_key_one_is_kept() -> Result<()> {
    for shop in shops("race")? {
        let mut writer = shop.writer()?;
        writer.record("r0/0", "{}", soon())?;
        writer.commit()?;
        let mut first = shop.writer()?;
        first.execute(INSERT, &[], soon())?;
        first.record("r1/1", "first", soon())?;
        ensure!(shop.recorded("r1/1")?.is_none());
        let location = shop.location.clone();
        let second = std::thread::spawn(move || {
            let mut second = Writer::open("test", &location, &Limits::default(), Purpose::Approved, soon())?;
            second.execute(&INSERT.replace("(1,", "(2,"), &[], soon())?;
            second.record("r1/1", "second", soon())
        });
        std::thread::sleep(Duration::from_millis(300));
        ensure!(!second.is_finished(), "the second did not wait");
        first.commit()?;
        assert_eq!(second.join().expect("no panic"), Err(Error::Recorded));
        assert_eq!((shop.recorded("r1/1")?.as_deref(), shop.customers()?.as_str()), (Some("first"), "1"));
    }
    Ok(())
}

#[test]
fn no_statement_sees_or_makes_the_table() -> Result<()> {
    for shop in shops("hidden")? {
        let mut writer = shop.writer()?;
        writer.record("r1/1", "{}", soon())?;
        writer.commit()?;
        let mut reader = Reader::open("test", &shop.location, &Limits::default(), soon())?;
        let names: Vec<_> = reader.tables(soon())?.into_iter().map(|table| table.name).collect();
        assert_eq!(names, ["customer"]);
        let quote = if shop.is_mysql() { "`" } else { "\"" };
        for sql in [
            "SELECT * FROM pawl_effects",
            "SELECT * FROM PAWL_EFFECTS",
            "SELECT outcome FROM (SELECT * FROM \"pawl_effects\") AS x",
            "SELECT 1 FROM customer WHERE name IN (SELECT outcome FROM public.pawl_effects)",
            "WITH x AS (SELECT * FROM customer, pawl_effects) SELECT * FROM x",
        ] {
            let refused = reader.query(&sql.replace('"', quote), &[], 1, soon());
            ensure!(matches!(&refused, Err(Error::NotReadOnly(_))), "{sql}: {refused:?}");
        }
        for sql in [
            "INSERT INTO pawl_effects VALUES ('r1/2', '{}', '')",
            "INSERT INTO customer (id, name) SELECT 1, outcome FROM pawl_effects",
            "UPDATE pawl_effects SET outcome = ''",
            "DELETE FROM \"pawl_effects\"",
            "DELETE FROM customer USING pawl_effects",
            "DROP TABLE pawl_effects",
            "DROP TABLE customer, pawl_effects",
            "ALTER TABLE pawl_effects ADD COLUMN x int",
            "ALTER TABLE customer RENAME TO pawl_effects",
            "ALTER TABLE customer ADD CONSTRAINT pawl_effects UNIQUE (name)",
            "CREATE TABLE pawl_effects (x int)",
            "CREATE VIEW pawl_effects AS SELECT 1",
            "CREATE VIEW v AS SELECT * FROM pawl_effects",
            "CREATE TABLE t AS SELECT * FROM pawl_effects",
            "CREATE TABLE t (x varchar(200) REFERENCES pawl_effects (outcome))",
            "CREATE INDEX pawl_effects ON customer (name)",
            "CREATE INDEX i ON pawl_effects (outcome)",
        ] {
            let refused = shop.writer()?.execute(&sql.replace('"', quote), &[], soon());
            ensure!(
                matches!(&refused, Err(Error::NotAllowed(said)) if said.contains("host's own")),
                "{sql}: {refused:?}"
            );
        }
    }
    Ok(())
}

#[test]
fn a_user_who_may_not_make_the_table_is_told_what_an_administrator_runs() -> Result<()> {
    for shop in shops("lesser")? {
        let clerk = Shop {
            location: shop.as_clerk("clerk", "lesser")?,
            one: Box::new(|_| unreachable!()),
            run: Box::new(|_| unreachable!()),
        };
        ensure!(clerk.recorded("r1/1")?.is_none());
        let mut writer = clerk.writer()?;
        writer.execute(INSERT, &[], soon())?;
        let Err(Error::NotRecordable(said)) = writer.record("r1/1", "{}", soon()) else {
            panic!("it was made")
        };
        ensure!(said.contains("CREATE TABLE IF NOT EXISTS pawl_effects"), "{said}");
        ensure!(writer.commit().is_err());
        ensure!(shop.customers()? == "0");
        // The administrator runs what the message says.
        let (_, mend) = said.split_once("run once: ").context("no mend")?;
        let (create, grant) = mend.split_once("; ").context("no grant")?;
        (shop.run)(create)?;
        if !shop.is_mysql() {
            let refused = clerk.recorded("r1/1");
            ensure!(matches!(&refused, Err(Error::NotRecordable(_))), "{refused:?}");
        }
        (shop.run)(&grant.replace('…', if shop.is_mysql() { "'clerk'@'%'" } else { "clerk" }))?;
        let mut writer = clerk.writer()?;
        writer.execute(INSERT, &[], soon())?;
        writer.record("r1/1", "{}", soon())?;
        writer.commit()?;
        assert_eq!((clerk.recorded("r1/1")?.as_deref(), shop.customers()?.as_str()), (Some("{}"), "1"));
    }
    Ok(())
}

#[test]
fn what_mysql_cannot_undo_is_not_recorded_and_not_written() -> Result<()> {
    for shop in shops("ddl")?.into_iter().filter(Shop::is_mysql) {
        let mut writer = shop.writer()?;
        writer.execute("DROP TABLE customer", &[], soon())?;
        let refused = writer.record("r1/1", "{}", soon());
        ensure!(matches!(&refused, Err(Error::NotRecordable(said)) if said.contains("DROP")), "{refused:?}");
        ensure!(writer.commit().is_err());
        ensure!(shop.customers()? == "0" && shop.recorded("r1/1")?.is_none());
        // A table that does not roll back keeps no keys.
        (shop.run)(
            "CREATE TABLE pawl_effects (`key` varchar(9) PRIMARY KEY, outcome text, at text) ENGINE = MyISAM",
        )?;
        let mut writer = shop.writer()?;
        writer.execute(INSERT, &[], soon())?;
        let refused = writer.record("r1/1", "{}", soon());
        ensure!(
            matches!(&refused, Err(Error::NotRecordable(said)) if said.contains("MyISAM")),
            "{refused:?}"
        );
        ensure!(writer.commit().is_err() && shop.customers()? == "0");
    }
    Ok(())
}

#[test]
fn a_server_that_is_lost_while_it_keeps_the_writes_leaves_them_in_doubt() -> Result<()> {
    for shop in shops("doubt")? {
        let mut writer = shop.writer()?;
        writer.execute(INSERT, &[], soon())?;
        writer.record("r1/1", "{}", soon())?;
        let (end, left) = if shop.is_mysql() {
            let sessions = "FROM information_schema.processlist WHERE user = 'all' AND db = 'doubt'";
            (format!("KILL CONNECTION {}", (shop.one)(&format!("SELECT id {sessions}"))?), sessions)
        } else {
            let sessions = "FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND datname = 'doubt'";
            (format!("SELECT pg_terminate_backend(pid) {sessions}"), sessions)
        };
        (shop.run)(&end)?;
        let gone = format!("SELECT count(*) {left}");
        while (shop.one)(&gone)? != "0" {
            std::thread::sleep(Duration::from_millis(10));
        }
        let ended = writer.commit();
        assert_eq!(ended, Err(Error::InDoubt));
        assert_eq!((shop.recorded("r1/1")?, shop.customers()?.as_str()), (None, "0"));
    }
    Ok(())
}

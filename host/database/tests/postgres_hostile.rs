//! The statements of `tests/cases/database/hostile_postgres.txt` and `tests/cases/sql/hostile.txt` against a real PostgreSQL, as
//! a superuser, over a database in which somebody planted functions, operators, casts, views and rules that write: for reading
//! everything is as it was after each, no secret comes out, and each ends in time; in a trial everything is as it was but
//! sequences, which PostgreSQL never rolls back.
#![cfg(feature = "postgres")]

mod support;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use pawl_database::{Limits, Purpose, Writer};
use serde_json::Value;
use support::postgres::{Admin, server};

const SECRET: &str = "canary-in-a-file";

const PLANTED: &str = "
    CREATE TABLE customers (id int PRIMARY KEY, name text, email text, region_id int, signed_up text);
    CREATE TABLE orders (id serial PRIMARY KEY, customer_id int REFERENCES customers (id), ordered_at text, status text, total float8);
    CREATE TABLE regions (id int PRIMARY KEY, name text);
    CREATE TABLE products (id int PRIMARY KEY, name text UNIQUE, category text, price float8);
    CREATE TABLE order_items (id int PRIMARY KEY, order_id int, product_id int, quantity int, unit_price float8, line_total float8);
    CREATE TABLE log (what text);
    CREATE INDEX orders_by_customer ON orders (customer_id);
    CREATE SEQUENCE ids;
    INSERT INTO customers VALUES (1, 'Ann', 'a@example.org', 1, '2025'), (2, 'Bo', 'b@example.org', 2, '2025');
    INSERT INTO orders (customer_id, total, status) VALUES (1, 19, 'completed'), (2, 500, 'shipped');
    INSERT INTO regions VALUES (1, 'North'), (2, 'South');
    INSERT INTO products VALUES (1, 'Beans', 'Coffee', 9.5), (22, 'Standing Desk', 'Furniture', 500);
    INSERT INTO order_items VALUES (1, 1, 1, 2, 9.5, 19), (2, 2, 22, 1, 500, 500);
    CREATE MATERIALIZED VIEW totals AS SELECT customer_id, sum(total) FROM orders GROUP BY 1;
    CREATE EXTENSION dblink; CREATE EXTENSION adminpack; CREATE EXTENSION tablefunc;
    SELECT lo_from_bytea(4242, 'large');
    CREATE FUNCTION touch() RETURNS int LANGUAGE plpgsql AS
        $$ BEGIN PERFORM nextval('ids'); INSERT INTO log VALUES ('touched'); RETURN 1; END $$;
    CREATE FUNCTION touch(int[]) RETURNS int LANGUAGE sql AS $$ SELECT touch() $$;
    CREATE FUNCTION steal() RETURNS int LANGUAGE plpgsql SECURITY DEFINER AS
        $$ BEGIN PERFORM lo_export(4242, '{OUT}/stolen'); INSERT INTO log VALUES ('stolen'); RETURN 1; END $$;
    CREATE FUNCTION planted_op(int, int) RETURNS boolean LANGUAGE sql AS $$ SELECT steal() = 1 $$;
    CREATE FUNCTION planted_step(int, int) RETURNS int LANGUAGE sql AS $$ SELECT steal() $$;
    CREATE AGGREGATE planted_aggregate (int) (SFUNC = planted_step, STYPE = int);
    CREATE OPERATOR @=@ (LEFTARG = int, RIGHTARG = int, FUNCTION = planted_op);
    CREATE FUNCTION lower(varchar) RETURNS text LANGUAGE sql AS $$ SELECT steal()::text $$;
    CREATE FUNCTION method(customers) RETURNS int LANGUAGE sql AS $$ SELECT steal() $$;
    CREATE TYPE widget AS (a int);
    CREATE FUNCTION to_widget(text) RETURNS widget LANGUAGE sql AS $$ SELECT ROW(steal())::widget $$;
    CREATE CAST (text AS widget) WITH FUNCTION to_widget (text) AS IMPLICIT;
    CREATE DOMAIN checked AS int CHECK (steal() = 1 OR value > 0);
    CREATE PROCEDURE wipe() LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN DELETE FROM orders; COMMIT; END $$;
    CREATE VIEW view_touch AS SELECT touch();
    CREATE VIEW view_steal AS SELECT id, steal() FROM orders;
    CREATE VIEW view_view_touch AS SELECT * FROM view_touch;
    CREATE VIEW view_write AS SELECT lo_export(4242, '{OUT}/stolen');
    CREATE VIEW view_file AS SELECT pg_read_file('{OUT}/secret');
    CREATE VIEW view_sleep AS SELECT pg_sleep(30)::text;
    CREATE VIEW view_lock AS SELECT pg_advisory_lock(42)::text;
    CREATE VIEW view_settings AS SELECT set_config('transaction_read_only', 'off', false);
    CREATE VIEW view_terminate AS SELECT pg_terminate_backend(pid) FROM pg_stat_activity;
    CREATE VIEW view_sequence AS SELECT nextval('ids');
    CREATE VIEW orders_ruled AS SELECT * FROM orders;
    CREATE RULE ruled AS ON INSERT TO orders_ruled DO INSTEAD DELETE FROM orders;";

/// Everything of the database that a statement could have changed.
fn dump(admin: &Admin, sequences: bool) -> Result<String> {
    let mut dump = String::new();
    let tables = "SELECT quote_ident(n.nspname) || '.' || quote_ident(c.relname) FROM pg_class c JOIN pg_namespace n \
                  ON n.oid = c.relnamespace WHERE c.relkind IN ('r', 'm') AND n.nspname NOT LIKE 'pg\\_%' \
                  AND n.nspname <> 'information_schema' ORDER BY 1";
    let mut queries: Vec<String> = admin
        .rows(tables)?
        .into_iter()
        .flatten()
        .flatten()
        .map(|table| format!("SELECT '{table}', t::text FROM {table} t ORDER BY 2"))
        .collect();
    for catalogue in [
        "SELECT oid, relname, relnamespace, relkind, relowner, relacl, relnatts, relfilenode, relrowsecurity, relispopulated FROM pg_class",
        "SELECT oid, proname, prosrc, proowner, proacl, prosecdef FROM pg_proc",
        "SELECT attrelid, attname, atttypid, attacl FROM pg_attribute",
        "SELECT * FROM pg_type",
        "SELECT * FROM pg_namespace",
        "SELECT * FROM pg_authid",
        "SELECT * FROM pg_auth_members",
        "SELECT oid, datname, datdba, datacl FROM pg_database",
        "SELECT * FROM pg_db_role_setting",
        "SELECT * FROM pg_trigger",
        "SELECT * FROM pg_event_trigger",
        "SELECT oid, rulename, ev_class, ev_type, ev_enabled FROM pg_rewrite",
        "SELECT * FROM pg_constraint",
        "SELECT * FROM pg_operator",
        "SELECT * FROM pg_cast",
        "SELECT * FROM pg_extension",
        "SELECT * FROM pg_description",
        "SELECT * FROM pg_shdescription",
        "SELECT * FROM pg_policy",
        "SELECT * FROM pg_publication",
        "SELECT oid, spcname FROM pg_tablespace",
        "SELECT * FROM pg_foreign_server",
        "SELECT * FROM pg_language",
        "SELECT oid, lomowner, lomacl FROM pg_largeobject_metadata",
        "SELECT * FROM pg_largeobject",
        "SELECT gid FROM pg_prepared_xacts",
        "SELECT slot_name FROM pg_replication_slots",
        "SELECT classid, objid, mode FROM pg_locks WHERE locktype = 'advisory'",
        "SELECT name, setting FROM pg_file_settings",
    ] {
        queries.push(format!("SELECT row(t.*)::text FROM ({catalogue}) t ORDER BY 1"));
    }
    if sequences {
        queries.push("SELECT 'ids', last_value, is_called FROM ids".to_owned());
        queries.push("SELECT 'orders', last_value, is_called FROM orders_id_seq".to_owned());
    }
    for query in queries {
        for row in admin.rows(&query)? {
            dump.push_str(&format!("{row:?}\n"));
        }
    }
    Ok(dump)
}

/// Files that statements could write or change: the folder of the test, and the server's own settings.
fn files(outside: &Path, data: &Path) -> Result<BTreeMap<String, Vec<u8>>> {
    let mut files = BTreeMap::new();
    for folder in [outside, data] {
        for entry in std::fs::read_dir(folder)? {
            let path = entry?.path();
            let name = path.display().to_string();
            // Names only where the server itself writes.
            let content = if path.is_file() && !name.ends_with(".pid") && !name.ends_with(".opts") {
                std::fs::read(&path)?
            } else {
                Vec::new()
            };
            files.insert(name, content);
        }
    }
    Ok(files)
}

fn statements(outside: &Path) -> Result<Vec<(String, String)>> {
    let own = include_str!("../../../tests/cases/database/hostile_postgres.txt").lines();
    let shared = include_str!("../../../tests/cases/sql/hostile.txt").lines();
    let replaced = [
        ("{OUT}", outside.display().to_string()),
        ("{DEEP}", format!("{}1{}", "(".repeat(20_000), ")".repeat(20_000))),
        ("{NEST}", format!("{}1{}", "(SELECT ".repeat(5000), ")".repeat(5000))),
        ("{WIDE}", vec!["1"; 30_000].join("+")),
        ("{HUGE}", "x".repeat(10 << 20)),
        ("{JOINS}", (0..500).map(|index| format!("orders o{index}")).collect::<Vec<_>>().join(", ")),
        ("{CASES}", format!("{}1{}", "CASE WHEN true THEN ".repeat(2000), " END".repeat(2000))),
    ];
    let statement = |line: &str| {
        let case: Value = serde_json::from_str(line)?;
        let text = |key: &str| case[key].as_str().map(str::to_owned).context("a text");
        let mut sql = text("sql")?;
        for (mark, text) in &replaced {
            sql = sql.replace(mark, text);
        }
        Ok((text("id")?, sql))
    };
    own.chain(shared).map(statement).collect()
}

#[test]
fn no_hostile_statement_changes_reaches_or_exhausts_anything() -> Result<()> {
    let Some(server) = server()? else { return Ok(()) };
    let outside = support::folder()?;
    let secret = outside.path().join("secret");
    std::fs::write(&secret, SECRET)?;
    support::own(&secret)?;
    let planted = PLANTED.replace("{OUT}", &outside.path().display().to_string());
    let database = server.database("hostile", &planted)?;
    let statements = statements(outside.path())?;
    ensure!(statements.len() >= 600, "{} statements", statements.len());
    let limits = Limits { time: Duration::from_millis(400), ..Limits::default() };
    let most = Duration::from_secs(4);
    let mut reader = database.reader(&limits)?;
    let (before, folders) = (dump(&database.admin, true)?, files(outside.path(), &server.data())?);
    let mut refused = 0;
    for (id, sql) in &statements {
        let begun = Instant::now();
        match reader.query(sql, &[], 1000, begun + most) {
            Ok(rows) => {
                let said = format!("{rows:?}");
                ensure!(!said.contains(SECRET) && !said.contains("SCRAM-SHA"), "{id} told a secret: {sql}");
            }
            Err(_) => refused += 1,
        }
        ensure!(begun.elapsed() < most, "{id} ran {:?}", begun.elapsed());
        ensure!(dump(&database.admin, true)? == before, "{id} changed something: {sql}");
        ensure!(files(outside.path(), &server.data())? == folders, "{id} changed a file: {sql}");
    }
    // What still passes is harmless, and most does not pass.
    ensure!(refused * 10 > statements.len() * 8, "{refused} of {} were refused", statements.len());

    let before = dump(&database.admin, false)?;
    for (id, sql) in &statements {
        let begun = Instant::now();
        let mut trial = Writer::open("test", &database.location(), &limits, Purpose::Trial, begun + most)?;
        let _ = trial.execute(sql, &[], begun + most);
        drop(trial);
        ensure!(begun.elapsed() < most, "{id} ran {:?}", begun.elapsed());
        ensure!(settled(&database.admin, &before)?, "{id} left something in a trial: {sql}");
        ensure!(files(outside.path(), &server.data())? == folders, "{id} changed a file in a trial: {sql}");
    }

    // Canaries: the comparison sees each of these.
    for change in [
        "UPDATE orders SET total = 20 WHERE id = 1",
        "SELECT touch()",
        "SELECT nextval('ids')",
        "SELECT lo_unlink(4242)",
        "CREATE ROLE canary",
        "SELECT pg_advisory_lock(42)",
    ] {
        let before = dump(&database.admin, true)?;
        database.admin.run(change)?;
        ensure!(dump(&database.admin, true)? != before, "{change} is not seen");
    }
    database.admin.run(&format!("COPY orders TO '{}/canary'", outside.path().display()))?;
    ensure!(files(outside.path(), &server.data())? != folders);
    Ok(())
}

/// A connection that was dropped is rolled back when the server notices.
fn settled(admin: &Admin, before: &str) -> Result<bool> {
    let end = Instant::now() + Duration::from_secs(5);
    while Instant::now() < end {
        if dump(admin, false)? == before {
            return Ok(true);
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    Ok(false)
}

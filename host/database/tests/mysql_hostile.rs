//! The statements of `tests/cases/database/hostile_mysql.txt` and `tests/cases/sql/hostile.txt` against a real MariaDB, as
//! somebody with all privileges, over a database in which somebody planted functions, triggers and views that write, read files
//! and set variables: after each, for reading and in a trial, everything is as it was, no secret came out, and it ended in time.
#![cfg(feature = "mysql")]

mod support;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use pawl_database::{Limits, Purpose, Value as Cell, Writer};
use serde_json::Value;
use support::mariadb::{Admin, server};

const SECRET: &str = "canary-in-a-file";
const ELSEWHERE: &str = "canary-elsewhere";

const PLANTED: &[&str] = &[
    "CREATE TABLE regions (id int PRIMARY KEY, name varchar(50) UNIQUE)",
    "CREATE TABLE customers (id int PRIMARY KEY, name text, email text, region_id int, signed_up text)",
    "CREATE TABLE orders (id int AUTO_INCREMENT PRIMARY KEY, customer_id int, ordered_at text, status text, total double, \
        FOREIGN KEY (customer_id) REFERENCES customers (id))",
    "CREATE TABLE products (id int PRIMARY KEY, name varchar(50) UNIQUE, category text, price double)",
    "CREATE TABLE order_items (id int PRIMARY KEY, order_id int, product_id int, quantity int, unit_price double, line_total double)",
    "CREATE TABLE log (what text)",
    "CREATE TABLE notes (what text) ENGINE=MyISAM",
    "CREATE TABLE counted (id int AUTO_INCREMENT PRIMARY KEY, what text) ENGINE=Aria",
    "CREATE TABLE sneaky (x int)",
    "CREATE TABLE chained (x int)",
    "CREATE INDEX orders_by_customer ON orders (customer_id)",
    "CREATE SEQUENCE ids NOCACHE",
    "INSERT INTO customers VALUES (1, 'Ann', 'a@example.org', 1, '2025'), (2, 'Bo', 'b@example.org', 2, '2025')",
    "INSERT INTO orders (customer_id, total, status) VALUES (1, 19, 'completed'), (2, 500, 'shipped')",
    "INSERT INTO regions VALUES (1, 'North'), (2, 'South')",
    "INSERT INTO products VALUES (1, 'Beans', 'Coffee', 9.5), (22, 'Standing Desk', 'Furniture', 500)",
    "INSERT INTO order_items VALUES (1, 1, 1, 2, 9.5, 19), (2, 2, 22, 1, 500, 500)",
    "INSERT INTO notes VALUES ('kept')",
    "INSERT INTO sneaky VALUES (1)",
    "CREATE DATABASE other",
    "CREATE TABLE other.secrets (x text)",
    "INSERT INTO other.secrets VALUES ('canary-elsewhere')",
    "CREATE FUNCTION touch() RETURNS int BEGIN INSERT INTO log VALUES ('touched'); RETURN 1; END",
    "CREATE FUNCTION steal() RETURNS int BEGIN SET GLOBAL long_query_time = 7; DO nextval(ids); INSERT INTO notes VALUES ('stolen'); \
        RETURN length(load_file('{OUT}/secret')); END",
    "CREATE FUNCTION turn() RETURNS int BEGIN SET GLOBAL long_query_time = 7; RETURN length(load_file('{OUT}/secret')); END",
    "CREATE FUNCTION `trunc`(a double, b int) RETURNS int RETURN turn()",
    "CREATE FUNCTION `sum`(a int) RETURNS int RETURN turn()",
    "CREATE FUNCTION `m\u{e9}dian`(a int) RETURNS int RETURN turn()",
    "CREATE PROCEDURE wipe() BEGIN DELETE FROM orders; COMMIT; END",
    "CREATE TRIGGER sneaky_global AFTER INSERT ON sneaky FOR EACH ROW SET GLOBAL long_query_time = 7",
    "CREATE TRIGGER sneaky_note AFTER UPDATE ON sneaky FOR EACH ROW INSERT INTO notes VALUES ('triggered')",
    "CREATE TRIGGER sneaky_file AFTER DELETE ON sneaky FOR EACH ROW INSERT INTO log VALUES (steal())",
    "CREATE TRIGGER chained_sneaky AFTER INSERT ON chained FOR EACH ROW INSERT INTO sneaky VALUES (NEW.x)",
    "CREATE VIEW view_file AS SELECT load_file('{OUT}/secret') AS x",
    "CREATE VIEW ViewSecret AS SELECT load_file('{OUT}/secret') AS x",
    "CREATE VIEW `view?` AS SELECT load_file('{OUT}/secret') AS x",
    "CREATE VIEW view_view_file AS SELECT x FROM view_file",
    "CREATE VIEW view_touch AS SELECT touch() AS x",
    "CREATE VIEW view_view_touch AS SELECT x FROM view_touch",
    "CREATE VIEW view_sleep AS SELECT sleep(30) AS x",
    "CREATE VIEW view_lock AS SELECT get_lock('pawl', 0) AS x",
    "CREATE VIEW view_global AS SELECT id, steal() AS x FROM orders",
    "CREATE VIEW view_turn AS SELECT id, turn() AS x FROM orders",
    "CREATE VIEW view_named AS SELECT `trunc`(1, 0) AS x",
    "CREATE VIEW view_sequence AS SELECT nextval(ids) AS x",
    "CREATE VIEW view_users AS SELECT Priv AS x FROM mysql.global_priv",
    "CREATE VIEW view_orders AS SELECT * FROM orders",
    "CREATE VIEW view_notes AS SELECT * FROM notes",
];

/// Everything of the server that a statement could have changed.
fn dump(admin: &Admin) -> Result<String> {
    let mut queries = Vec::new();
    let tables = "SELECT TABLE_SCHEMA, TABLE_NAME FROM information_schema.TABLES WHERE TABLE_SCHEMA NOT IN ('mysql', 'sys', \
                  'information_schema', 'performance_schema') AND TABLE_TYPE <> 'VIEW' ORDER BY 1, 2";
    for row in admin.rows(tables)? {
        let [Some(schema), Some(table)] = &row[..] else { continue };
        queries.push(format!("SELECT '{table}', t.* FROM `{schema}`.`{table}` t"));
    }
    for table in [
        "global_priv",
        "db",
        "tables_priv",
        "columns_priv",
        "procs_priv",
        "proxies_priv",
        "roles_mapping",
        "proc",
        "func",
        "event",
        "plugin",
        "servers",
    ] {
        queries.push(format!("CHECKSUM TABLE mysql.{table}"));
    }
    for catalogue in [
        "SELECT TABLE_SCHEMA, TABLE_NAME, TABLE_TYPE, ENGINE, CREATE_TIME, TABLE_COLLATION FROM information_schema.TABLES \
            WHERE TABLE_SCHEMA IN ('hostile', 'other')",
        "SELECT TABLE_NAME, COLUMN_NAME, COLUMN_TYPE FROM information_schema.COLUMNS WHERE TABLE_SCHEMA IN ('hostile', 'other')",
        "SELECT TABLE_NAME, INDEX_NAME FROM information_schema.STATISTICS WHERE TABLE_SCHEMA IN ('hostile', 'other')",
        "SELECT TABLE_NAME, VIEW_DEFINITION, DEFINER FROM information_schema.VIEWS WHERE TABLE_SCHEMA IN ('hostile', 'other')",
        "SELECT ROUTINE_NAME, ROUTINE_DEFINITION FROM information_schema.ROUTINES WHERE ROUTINE_SCHEMA IN ('hostile', 'other')",
        "SELECT TRIGGER_NAME, ACTION_STATEMENT FROM information_schema.TRIGGERS WHERE TRIGGER_SCHEMA IN ('hostile', 'other')",
        "SELECT EVENT_NAME FROM information_schema.EVENTS",
        "SELECT * FROM information_schema.SCHEMATA",
        "SELECT * FROM information_schema.GLOBAL_VARIABLES",
        "SELECT PLUGIN_NAME, PLUGIN_STATUS FROM information_schema.PLUGINS",
        "SELECT is_used_lock('pawl')",
    ] {
        queries.push(catalogue.to_owned());
    }
    let mut dump = String::new();
    for query in queries {
        let mut rows: Vec<String> = admin.rows(&query)?.iter().map(|row| format!("{row:?}\n")).collect();
        rows.sort();
        dump.extend(rows);
    }
    Ok(dump)
}

/// Files that statements could write or change: the folder of the test, and the server's own.
fn files(outside: &Path, data: &Path) -> Result<BTreeMap<String, Vec<u8>>> {
    let mut files = BTreeMap::new();
    for folder in
        [outside.to_owned(), data.to_owned(), data.join("hostile"), data.join("other"), data.join("mysql")]
    {
        for entry in std::fs::read_dir(&folder)? {
            let path = entry?.path();
            let name = path.display().to_string();
            // Names only where the server itself writes without being told to.
            let kept = folder == outside || ["MYD", "MAD", "frm"].iter().any(|end| name.ends_with(end));
            let content =
                if kept && folder != data.join("mysql") { std::fs::read(&path)? } else { Vec::new() };
            files.insert(name, content);
        }
    }
    Ok(files)
}

fn statements(outside: &Path) -> Result<Vec<(String, String)>> {
    let own = include_str!("../../../tests/cases/database/hostile_mysql.txt").lines();
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
    let out = outside.path().display().to_string();
    let planted: Vec<String> = PLANTED.iter().map(|sql| sql.replace("{OUT}", &out)).collect();
    let planted: Vec<&str> = planted.iter().map(String::as_str).collect();
    let database = server.database("hostile", &planted)?;
    // What is planted is as bad as it looks: somebody with all privileges who is not held back does reach it.
    assert_eq!(database.admin.one("SELECT x FROM view_view_file")?, SECRET);
    let statements = statements(outside.path())?;
    ensure!(statements.len() >= 700, "{} statements", statements.len());
    let limits = Limits { time: Duration::from_millis(400), ..Limits::default() };
    let most = Duration::from_secs(4);
    let mut reader = database.reader(&limits)?;
    let (before, folders) = (dump(&database.admin)?, files(outside.path(), &server.data())?);
    let mut refused = 0;
    for (id, sql) in &statements {
        let begun = Instant::now();
        match reader.query(sql, &[], 1000, begun + most) {
            Ok(rows) => {
                let said: String = rows.rows.iter().flatten().map(said).collect();
                for secret in [SECRET, ELSEWHERE, "authentication_string"] {
                    ensure!(!said.contains(secret), "{id} told a secret: {sql}");
                }
            }
            Err(_) => refused += 1,
        }
        ensure!(begun.elapsed() < most, "{id} ran {:?}", begun.elapsed());
        ensure!(dump(&database.admin)? == before, "{id} changed something: {sql}");
        ensure!(files(outside.path(), &server.data())? == folders, "{id} changed a file: {sql}");
    }
    // What still passes is harmless, and most does not pass.
    ensure!(refused * 10 > statements.len() * 8, "{refused} of {} were refused", statements.len());

    drop(reader);
    let mut tried = 0;
    for (id, sql) in &statements {
        let begun = Instant::now();
        let mut trial = Writer::open("test", &database.location(), &limits, Purpose::Trial, begun + most)?;
        tried += usize::from(trial.execute(sql, &[], begun + most).is_ok());
        drop(trial);
        ensure!(begun.elapsed() < most, "{id} ran {:?}", begun.elapsed());
        settled(&database.admin).with_context(|| format!("{id} left its connection: {sql}"))?;
        ensure!(dump(&database.admin)? == before, "{id} left something in a trial: {sql}");
        ensure!(files(outside.path(), &server.data())? == folders, "{id} changed a file in a trial: {sql}");
    }
    eprintln!("{} statements: {refused} refused for reading, {tried} tried and undone", statements.len());
    ensure!(tried > 10, "{tried} were tried");

    // Canaries: the comparison sees each of these.
    for change in [
        "UPDATE orders SET total = 20 WHERE id = 1",
        "SELECT touch()",
        "SELECT turn()",
        "SELECT nextval(ids)",
        "CREATE USER canary",
        "SET GLOBAL max_connections = 61",
        "SELECT get_lock('pawl', 0)",
        "CREATE TABLE canary (x int)",
    ] {
        let before = dump(&database.admin)?;
        database.admin.run(change)?;
        ensure!(dump(&database.admin)? != before, "{change} is not seen");
    }
    database.admin.run(&format!("SELECT 1 INTO OUTFILE '{out}/canary'"))?;
    ensure!(files(outside.path(), &server.data())? != folders);
    Ok(())
}

/// What a cell says, bytes too.
fn said(cell: &Cell) -> String {
    match cell {
        Cell::Text(text) => text.clone(),
        Cell::Blob(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        Cell::Null | Cell::Integer(_) | Cell::Real(_) => String::new(),
    }
}

/// A connection that was dropped is rolled back and over when the server notices.
fn settled(admin: &Admin) -> Result<()> {
    let end = Instant::now() + Duration::from_secs(5);
    loop {
        let open =
            admin.rows("SELECT id, state, info FROM information_schema.PROCESSLIST WHERE user = 'all'")?;
        if open.is_empty() {
            return Ok(());
        }
        ensure!(Instant::now() < end, "{open:?}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

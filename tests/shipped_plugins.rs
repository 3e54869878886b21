//! The plugins of the project, built and in their sandbox: the calendar keeps what it is told, the SQL plugin reads
//! and nothing but reads.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use pawl_plugin::{Grant, Plugin};
use pawl_tests::plugins::{guest_error, host, load, shop_at};
use serde_json::{Value, json};

fn calendar(data: &Path) -> Result<Plugin> {
    load(&host(data)?, "calendar", Grant { keyvalue: true, random: true, ..Grant::default() })
}

fn booking(title: &str, start: &str, minutes: u32) -> Value {
    json!({"title": title, "start": start, "duration-minutes": minutes, "attendees": ["finance team"]})
}

#[tokio::test(flavor = "multi_thread")]
async fn events_survive_the_host_that_booked_them() -> Result<()> {
    let data = tempfile::tempdir()?;
    let first = calendar(data.path())?;
    let booked = first.call("create-event", &booking("Planning", "2026-03-02T10:30", 30)).await?;
    let planning = json!({
        "id": "e1", "title": "Planning", "start": "2026-03-02T10:30", "end": "2026-03-02T11:00",
        "attendees": ["finance team"], "calendar": "personal", "marks": [],
    });
    assert_eq!(booked, json!({"event": planning, "conflicts": [], "notes": []}));
    drop(first);
    let second = calendar(data.path())?;
    let days = json!({"from": "2026-03-02", "to": "2026-03-02"});
    assert_eq!(second.call("list-events", &days).await?, json!({"events": [planning], "notes": []}));
    let booked = second.call("create-event", &booking("Review", "2026-03-02T10:45", 30)).await?;
    assert_eq!((&booked["event"]["id"], &booked["conflicts"]), (&json!("e2"), &json!([planning])));
    let free = json!({"from": "2026-03-02", "to": "2026-03-02", "duration-minutes": 120});
    assert_eq!(
        second.call("find-free-time", &free).await?["slots"],
        json!([{"start": "2026-03-02T11:15", "end": "2026-03-02T17:00"}])
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 8)]
async fn events_that_are_booked_at_once_are_all_kept() -> Result<()> {
    let data = tempfile::tempdir()?;
    let calendar = calendar(data.path())?;
    let tasks: Vec<_> = (0..40)
        .map(|number| {
            let calendar = calendar.clone();
            tokio::spawn(async move {
                calendar.call("create-event", &booking(&format!("n{number}"), "2026-03-02T10:30", 30)).await
            })
        })
        .collect();
    let mut ids = std::collections::BTreeSet::new();
    for task in tasks {
        ids.insert(task.await??["event"]["id"].to_string());
    }
    assert_eq!(ids.len(), 40);
    let days = json!({"from": "2026-03-02", "to": "2026-03-02"});
    let listed = calendar.call("list-events", &days).await?;
    assert_eq!(listed["events"].as_array().map(Vec::len), Some(40));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_times_are_answered_with_the_value_and_the_mend() -> Result<()> {
    let data = tempfile::tempdir()?;
    let calendar = calendar(data.path())?;
    for (arguments, case, part) in [
        (booking("x", "2026-13-02T10:30", 30), "invalid-time", "month 13"),
        (booking("x", "tomorrow", 30), "invalid-time", "YYYY-MM-DDTHH:MM"),
        (booking("x", "2026-03-02T10:30", 0), "invalid-duration", "1 to 1440"),
        (booking("x", "2026-03-02T10:30", 1441), "invalid-duration", "1441"),
        (booking("", "2026-03-02T10:30", 30), "invalid-title", "empty"),
    ] {
        let error = guest_error(calendar.call("create-event", &arguments).await)?;
        assert!(error[case].as_str().is_some_and(|text| text.contains(part)), "{arguments}: {error}");
    }
    let backwards = json!({"from": "2026-03-03", "to": "2026-03-02"});
    let error = guest_error(calendar.call("list-events", &backwards).await)?;
    assert!(error["invalid-range"].is_string(), "{error}");
    let all = json!({"from": "2026-01-01", "to": "2026-12-31"});
    assert_eq!(calendar.call("list-events", &all).await?, json!({"events": [], "notes": []}));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_calendar_without_its_capability_says_who_can_grant_it() -> Result<()> {
    let data = tempfile::tempdir()?;
    let calendar = load(&host(data.path())?, "calendar", Grant::default())?;
    let error = guest_error(calendar.call("create-event", &booking("x", "2026-03-02T10:30", 30)).await)?;
    assert!(error["storage"].as_str().is_some_and(|text| text.contains("grant")), "{error}");
    Ok(())
}

/// A shop of three orders.
fn shop(data: &Path) -> Result<PathBuf> {
    let path = data.join("shop.sqlite");
    rusqlite::Connection::open(&path)?.execute_batch(
        "CREATE TABLE customers ( -- who buys
           id INTEGER PRIMARY KEY,
           name TEXT NOT NULL
         );
         CREATE TABLE orders (
           id INTEGER PRIMARY KEY,
           customer_id INTEGER REFERENCES customers(id),
           ordered_at TEXT,
           total REAL -- in EUR
         );
         INSERT INTO customers VALUES (1, 'Aldobek'), (2, 'Brimavane');
         INSERT INTO orders VALUES (1, 1, '2025-02-03', 10.5), (2, 2, '2025-03-04', 99.9), (3, 1, '2026-01-02', NULL);",
    )?;
    Ok(path)
}

fn sql(data: &Path, shop: &Path) -> Result<Plugin> {
    load(&host(data)?, "sql", shop_at(shop))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_gives_rows_and_the_schema_what_it_needs() -> Result<()> {
    let data = tempfile::tempdir()?;
    let sql = sql(data.path(), &shop(data.path())?)?;
    assert_eq!(
        sql.call("schema", &json!({})).await?,
        json!(
            "customers(id integer, name text: 'Aldobek'|'Brimavane') -- who buys, 2 rows\n\
             orders(id integer, customer_id integer -> customers.id, ordered_at text: 2025-02-03..2026-01-02, \
             total real /* in EUR */) -- 3 rows\n"
        )
    );
    let query = "SELECT c.name, sum(o.total) AS spent, count(*) FROM orders o \
                 JOIN customers c ON c.id = o.customer_id GROUP BY c.id ORDER BY spent DESC;";
    assert_eq!(
        sql.call("query", &json!({ "sql": query })).await?,
        json!({
            "columns": ["name", "spent", "count(*)"],
            "kinds": ["text", "real", "integer"],
            "rows": [["Brimavane", "99.9", "1"], ["Aldobek", "10.5", "2"]],
            "truncated": false, "ran": null,
        })
    );
    let many = "WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < 60) \
                SELECT i, NULL FROM n";
    let result = sql.call("query", &json!({ "sql": many })).await?;
    assert_eq!((result["rows"].as_array().map(Vec::len), &result["truncated"]), (Some(50), &json!(true)));
    assert_eq!(result["rows"][0], json!(["1", null]));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_name_is_answered_with_a_right_one() -> Result<()> {
    let data = tempfile::tempdir()?;
    let sql = sql(data.path(), &shop(data.path())?)?;
    for (query, case, part) in [
        ("SELECT totl FROM orders", "unknown-name", "did you mean `total` of orders?"),
        ("SELECT name FROM orders", "unknown-name", "`name` is in customers: join it"),
        ("SELECT * FROM sales", "unknown-name", "tables: customers, orders"),
        ("SELECT year(ordered_at) FROM orders", "wrong-sql", "strftime('%Y', column)"),
        ("SELECT FROM", "wrong-sql", "SQLite"),
        ("DROP TABLE orders", "not-a-select", "SELECT"),
    ] {
        let error = guest_error(sql.call("query", &json!({ "sql": query })).await)?;
        assert!(error[case].as_str().is_some_and(|text| text.contains(part)), "{query}: {error}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_but_reading_gets_through_and_the_file_stays_as_it_was() -> Result<()> {
    let data = tempfile::tempdir()?;
    let path = shop(data.path())?;
    let before = std::fs::read(&path)?;
    let files = || -> Result<Vec<_>> {
        let mut names: Vec<_> = std::fs::read_dir(data.path())?
            .map(|entry| entry.map(|entry| entry.file_name()))
            .collect::<std::io::Result<_>>()?;
        names.sort();
        Ok(names)
    };
    let sql = sql(data.path(), &path)?;
    sql.call("query", &json!({"sql": "SELECT 1"})).await?;
    let files_before = files()?;
    let elsewhere = data.path().join("elsewhere.sqlite").display().to_string();
    for statement in [
        "DELETE FROM orders",
        "INSERT INTO orders(id) VALUES (9)",
        "UPDATE orders SET total = 0",
        "REPLACE INTO orders(id) VALUES (1)",
        "CREATE TABLE t(a)",
        "CREATE TEMP TABLE t AS SELECT * FROM orders",
        "DROP TABLE orders",
        "ALTER TABLE orders RENAME TO o",
        "VACUUM",
        &format!("VACUUM INTO '{elsewhere}'"),
        "REINDEX",
        "ANALYZE",
        "BEGIN",
        "PRAGMA writable_schema = 1",
        "PRAGMA query_only = 0",
        "pragma journal_mode = wal",
        &format!("ATTACH '{elsewhere}' AS e"),
        "ATTACH ':memory:' AS m",
        "DETACH main",
        "EXPLAIN DELETE FROM orders",
        "SELECT 1; DELETE FROM orders",
        "SELECT 1;;DELETE FROM orders--",
        "SELECT 1; -- \n DROP TABLE orders",
        "/* SELECT */ DELETE FROM orders",
        "WITH x AS (SELECT 1) DELETE FROM orders",
        "WITH x AS (SELECT 1) INSERT INTO orders(id) SELECT 9",
        "WITH x AS (SELECT 1) UPDATE orders SET total = 0",
        "WITH x(id) AS (DELETE FROM orders RETURNING id) SELECT * FROM x",
        "SELECT * FROM (DELETE FROM orders RETURNING *)",
        "SELECT load_extension('x')",
        "SELECT writefile('x', 'y')",
        "SELECT readfile('/etc/passwd')",
        "SELECT fts3_tokenizer('simple', x'00')",
        "SELECT zeroblob(2000000000)",
        "SELECT * FROM elsewhere.orders",
        "SELECT 'a\u{0}'; DELETE FROM orders",
        "SELECT 1\u{0}; DELETE FROM orders",
        "WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n",
    ] {
        guest_error(sql.call("query", &json!({ "sql": statement })).await)
            .with_context(|| statement.escape_debug().to_string())?;
    }
    assert!(std::fs::read(&path)? == before, "the database has changed");
    assert_eq!(files()?, files_before, "a file appeared");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_is_missing_or_not_granted_is_told() -> Result<()> {
    let data = tempfile::tempdir()?;
    let absent = data.path().join("absent.sqlite");
    let gone = sql(data.path(), &absent)?;
    for (function, arguments) in [("query", json!({"sql": "SELECT 1"})), ("schema", json!({}))] {
        let error = guest_error(gone.call(function, &arguments).await)?;
        assert!(error["unavailable"].as_str().is_some_and(|text| text.contains("missing")), "{error}");
    }
    assert!(!absent.exists(), "a database was made");
    let not_granted = load(&host(data.path())?, "sql", Grant::default())?;
    let error = guest_error(not_granted.call("schema", &json!({})).await)?;
    assert!(error["unavailable"].as_str().is_some_and(|text| text.contains("grant")), "{error}");
    let broken = data.path().join("broken.sqlite");
    std::fs::write(&broken, "this is a letter, not a database".repeat(100))?;
    let broken = sql(data.path(), &broken)?;
    guest_error(broken.call("query", &json!({"sql": "SELECT * FROM orders"})).await)?;
    Ok(())
}

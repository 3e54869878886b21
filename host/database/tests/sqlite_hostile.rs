//! The 300 statements of `tests/cases/sql/hostile.txt` on a SQLite file: for reading nothing changes; in a trial whatever is
//! written is gone afterwards; each ends in time.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use pawl_database::{Error, Limits, Location, Purpose, Reader, Writer};
use serde_json::Value;
use sha2::{Digest, Sha256};

const SHOP: &str = "
    CREATE TABLE regions (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
    CREATE TABLE customers (id INTEGER PRIMARY KEY, name TEXT, email TEXT, region_id INTEGER REFERENCES regions(id), signed_up TEXT);
    CREATE TABLE products (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, category TEXT NOT NULL, price REAL NOT NULL);
    CREATE TABLE orders (id INTEGER PRIMARY KEY, customer_id INTEGER REFERENCES customers(id), ordered_at TEXT, status TEXT, total REAL);
    CREATE TABLE order_items (id INTEGER PRIMARY KEY, order_id INTEGER REFERENCES orders(id), product_id INTEGER REFERENCES products(id), quantity INTEGER, unit_price REAL, line_total REAL);
    CREATE INDEX orders_by_customer ON orders(customer_id);
    INSERT INTO regions VALUES (1, 'North'), (2, 'South');
    INSERT INTO customers VALUES (1, 'Ann', 'a@example.org', 1, '2025-01-01'), (2, 'Bo', 'b@example.org', 2, '2025-02-01');
    INSERT INTO products VALUES (1, 'Beans', 'Coffee', 9.5), (22, 'Standing Desk', 'Furniture', 500);
    INSERT INTO orders VALUES (1, 1, '2025-03-01', 'completed', 19), (2, 2, '2025-04-01', 'shipped', 500);
    INSERT INTO order_items VALUES (1, 1, 1, 2, 9.5, 19), (2, 2, 22, 1, 500, 500);
";

fn files(folder: &Path) -> Result<BTreeMap<String, Vec<u8>>> {
    let entries = std::fs::read_dir(folder)?.map(|entry| {
        let path = entry?.path();
        Ok((path.display().to_string(), Sha256::digest(std::fs::read(&path)?).to_vec()))
    });
    entries.collect()
}

fn statements() -> Result<Vec<(String, String)>> {
    let cases = include_str!("../../../tests/cases/sql/hostile.txt").lines().map(|line| {
        let case: Value = serde_json::from_str(line)?;
        let text = |key: &str| case[key].as_str().map(str::to_owned).context("a text");
        Ok((text("id")?, text("sql")?))
    });
    cases.collect()
}

#[test]
fn no_hostile_statement_changes_the_file_or_runs_on() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("shop.sqlite");
    rusqlite::Connection::open(&file)?.execute_batch(SHOP)?;
    let location = Location::Sqlite(file.clone());
    let limits = Limits { time: Duration::from_millis(500), ..Limits::default() };
    let before = files(folder.path())?;
    let statements = statements()?;
    assert_eq!(statements.len(), 300);
    let mut written = 0;
    for (id, sql) in &statements {
        let begun = Instant::now();
        let deadline = begun + Duration::from_secs(5);
        let _ = Reader::open("shop", &location, &limits, deadline)?.query(sql, &[], 100, deadline);
        ensure!(files(folder.path())? == before, "{id} changed something: {sql}");
        let mut trial = Writer::open("shop", &location, &limits, Purpose::Trial, deadline)?;
        match trial.execute(sql, &[], deadline) {
            Ok(_) => written += 1,
            Err(Error::Missing | Error::Unavailable(_)) => anyhow::bail!("{id}: the file is there"),
            Err(_) => {}
        }
        drop(trial);
        ensure!(files(folder.path())? == before, "{id} left something: {sql}");
        ensure!(begun.elapsed() < Duration::from_secs(5), "{id} ran {:?}", begun.elapsed());
    }
    // The direct writes of the corpus are writes, so a trial does run them.
    ensure!(written > 10, "{written} statements were written in a trial");
    // A canary: the comparison sees a single changed cell.
    rusqlite::Connection::open(&file)?.execute("UPDATE orders SET total = 20 WHERE id = 1", [])?;
    ensure!(files(folder.path())? != before);
    Ok(())
}

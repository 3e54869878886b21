//! Statements that would change, reach or exhaust something, each through the `sql` plugin as the model would call it: the
//! database and its folder are as they were, and each ends in time.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use pawl_plugin::CallError;
use pawl_tests::plugins::{host, load, shop_at};
use pawl_tests::server::pawl;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// Each file of a folder with its digest.
fn files(folder: &Path) -> Result<BTreeMap<String, Vec<u8>>> {
    let entries = std::fs::read_dir(folder)?.map(|entry| {
        let path = entry?.path();
        Ok((path.display().to_string(), Sha256::digest(std::fs::read(&path)?).to_vec()))
    });
    entries.collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn no_hostile_statement_changes_the_database_or_runs_on() -> Result<()> {
    let (data, shop) = (tempfile::tempdir()?, tempfile::tempdir()?);
    let (code, _, said) = pawl(&["sample"], shop.path())?;
    ensure!(code == 0, "pawl sample: {said}");
    let plugin = load(&host(data.path())?, "sql", shop_at(&shop.path().join("shop.sqlite")))?;
    plugin.call("query", &json!({"sql": "SELECT 1"})).await?;
    let before = files(shop.path())?;
    let mut count = 0;
    for line in include_str!("cases/sql/hostile.txt").lines() {
        let case: Value = serde_json::from_str(line)?;
        let sql = case["sql"].as_str().context("a statement")?;
        let begun = Instant::now();
        match plugin.call("query", &json!({ "sql": sql })).await {
            Ok(_) | Err(CallError::Guest(_) | CallError::Arguments { .. } | CallError::Limit { .. }) => {}
            Err(other) => panic!("{}: {other}", case["id"]),
        }
        let took = begun.elapsed();
        assert!(took < Duration::from_secs(15), "{}: {took:?}", case["id"]);
        assert!(files(shop.path())? == before, "{} changed something: {sql}", case["id"]);
        count += 1;
    }
    assert_eq!(count, 300);
    plugin.call("query", &json!({"sql": "SELECT 1"})).await?;
    Ok(())
}

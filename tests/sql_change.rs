//! Writes of the `sql` plugin: nothing without approval, a trial that leaves nothing, exactly what was
//! approved, and of a step of a workflow once.

use anyhow::{Result, ensure};
use pawl_plugin::{CallError, DatabaseGrant, Effects, Grant, Place};
use pawl_tests::plugins::{host, load};
use pawl_tests::server::pawl;
use serde_json::{Value, json};

#[tokio::test(flavor = "multi_thread")]
async fn a_change_is_made_as_it_was_shown_or_not_at_all() -> Result<()> {
    let (data, shop) = (tempfile::tempdir()?, tempfile::tempdir()?);
    let (code, _, said) = pawl(&["sample"], shop.path())?;
    ensure!(code == 0, "pawl sample: {said}");
    let file = shop.path().join("shop.sqlite");
    let granted = |write| Grant {
        database: [("main".to_owned(), DatabaseGrant { place: Place::File(file.clone()), write })].into(),
        ..Grant::default()
    };
    let host = host(data.path())?;
    let sql = "UPDATE products SET price = price + 1 WHERE category = 'Tea'";
    let arguments = json!({ "sql": sql });

    let reading = load(&host, "sql", granted(false))?;
    let refused = reading.call("change", &arguments).await;
    assert!(matches!(refused, Err(CallError::Guest(_))), "{refused:?}");

    let plugin = load(&host, "sql", granted(true))?;
    let before = std::fs::read(&file)?;
    assert_eq!(plugin.call("change", &arguments).await, Err(CallError::NeedsApproval));
    let counted =
        plugin.call("query", &json!({"sql": "SELECT COUNT(*) FROM products WHERE category = 'Tea'"})).await?;
    let teas: u64 = counted["rows"][0][0].as_str().unwrap_or_default().parse()?;
    let shown = plugin.trial("change", &arguments).await?;
    let [write] = shown.as_slice() else { panic!("{shown:?}") };
    assert_eq!((write.sql.as_str(), write.rows), (sql, teas));
    assert!(std::fs::read(&file)? == before, "a trial changed the file");

    let mut other = write.clone();
    other.sql = sql.replace("Tea", "Coffee");
    let mut fewer = write.clone();
    fewer.rows -= 1;
    for approved in [vec![other], vec![fewer], vec![write.clone(), write.clone()], Vec::new()] {
        let made = plugin.carry_out("change", &arguments, approved.clone(), None).await;
        ensure!(made.is_err(), "{approved:?} was carried out");
        assert!(std::fs::read(&file)? == before, "{approved:?} changed the file");
    }
    assert_eq!(plugin.carry_out("change", &arguments, shown, None).await?["rows"], Value::from(teas));
    assert!(std::fs::read(&file)? != before, "nothing was written");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_that_is_a_step_is_made_once_and_what_it_gave_is_found_again() -> Result<()> {
    let (data, shop) = (tempfile::tempdir()?, tempfile::tempdir()?);
    let (code, _, said) = pawl(&["sample"], shop.path())?;
    ensure!(code == 0, "pawl sample: {said}");
    let file = shop.path().join("shop.sqlite");
    let grant = DatabaseGrant { place: Place::File(file.clone()), write: true };
    let grant = Grant { database: [("main".to_owned(), grant)].into(), ..Grant::default() };
    let plugin = load(&host(data.path())?, "sql", grant.clone())?;
    assert_eq!(plugin.effects(), Effects::Recorded);
    let arguments = json!({ "sql": "UPDATE products SET price = price + 1 WHERE category = 'Tea'" });
    let prices = || -> Result<f64> {
        let shop = rusqlite::Connection::open(&file)?;
        Ok(shop.query_row("SELECT SUM(price) FROM products", [], |row| row.get(0))?)
    };
    let before = prices()?;
    let shown = plugin.trial_once("change", &arguments, "r12/4").await?;
    // What is not as it was approved is neither written nor recorded.
    let mut fewer = shown.clone();
    fewer[0].rows -= 1;
    ensure!(plugin.carry_out("change", &arguments, fewer, Some("r12/4")).await.is_err());
    assert_eq!((plugin.recorded("r12/4").await, prices()?), (Ok(None), before));

    let made = plugin.carry_out("change", &arguments, shown.clone(), Some("r12/4")).await?;
    let after = prices()?;
    ensure!(after > before, "nothing was written");
    // A host that was killed right then, and started anew.
    let plugin = load(&host(data.path())?, "sql", grant)?;
    assert_eq!(plugin.recorded("r12/4").await, Ok(Some(made)));
    assert_eq!(plugin.recorded("r12/5").await, Ok(None));
    let again = plugin.carry_out("change", &arguments, shown, Some("r12/4")).await;
    assert_eq!((again, prices()?), (Err(CallError::Recorded), after));

    // The table of the keys is the host's.
    let schema = plugin.call("schema", &json!({})).await?.to_string();
    ensure!(schema.contains("products") && !schema.contains("pawl_effects"), "{schema}");
    for (function, sql) in [
        ("query", "SELECT * FROM pawl_effects"),
        ("change", "DELETE FROM pawl_effects"),
        ("change", "INSERT INTO pawl_effects VALUES ('r12/5', '{}', '')"),
    ] {
        let refused = match function {
            "query" => plugin.call(function, &json!({ "sql": sql })).await.map(|_| ()),
            _ => plugin.trial(function, &json!({ "sql": sql })).await.map(|_| ()),
        };
        assert!(matches!(refused, Err(CallError::Guest(_))), "{sql}: {refused:?}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_statement_that_is_no_change_of_rows_or_tables_is_refused_in_a_trial() -> Result<()> {
    let (data, shop) = (tempfile::tempdir()?, tempfile::tempdir()?);
    let (code, _, said) = pawl(&["sample"], shop.path())?;
    ensure!(code == 0, "pawl sample: {said}");
    let file = shop.path().join("shop.sqlite");
    let grant = DatabaseGrant { place: Place::File(file.clone()), write: true };
    let grant = Grant { database: [("main".to_owned(), grant)].into(), ..Grant::default() };
    let plugin = load(&host(data.path())?, "sql", grant)?;
    let before = std::fs::read(&file)?;
    for sql in [
        "ATTACH 'x.sqlite' AS x",
        "PRAGMA user_version = 3",
        "DELETE FROM orders; DELETE FROM customers",
        "COMMIT",
        "VACUUM",
        "UPDATE sqlite_schema SET sql = ''",
        "DELETE FROM orders WHERE id = 1; COMMIT",
    ] {
        let tried = plugin.trial("change", &json!({ "sql": sql })).await;
        assert!(matches!(tried, Err(CallError::Guest(_))), "{sql}: {tried:?}");
        assert!(std::fs::read(&file)? == before, "{sql}");
    }
    Ok(())
}

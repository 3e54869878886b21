//! A call that writes waits for a person: on the command line, over HTTP and in a chat. Nothing is written before their
//! word, and then exactly what they were shown, once.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use pawl_tests::server::{Options, Server, pawl};
use rusqlite::Connection;
use serde_json::{Value, json};

const MODEL: &str = "smollm2-135m-instruct-q4_1";
const CHANGE: &str = "UPDATE products SET price = price + 1 WHERE category = 'Tea'";
const SETTINGS: &str = "[model]\ncontext = 3072\n[chat]\nmax-rounds = 2\nmax-tokens = 48\n\
     [plugins.sql.grant.database]\nmain = { file = \"shop.sqlite\", write = true }\n";

/// A shop that may be written, and what its teas cost together.
struct Shop {
    folder: tempfile::TempDir,
    settings: PathBuf,
}

impl Shop {
    fn new() -> Result<Shop> {
        let folder = tempfile::tempdir()?;
        let (code, _, said) = pawl(&["sample"], folder.path())?;
        ensure!(code == 0, "pawl sample: {said}");
        let settings = folder.path().join("pawl.toml");
        std::fs::write(&settings, SETTINGS)?;
        Ok(Shop { folder, settings })
    }

    fn data(&self) -> &Path {
        self.folder.path()
    }

    /// Runs `pawl`; its exit code, its standard output as JSON and what it says otherwise.
    fn pawl(&self, arguments: &[&str]) -> Result<(i32, Value, String)> {
        let settings = self.settings.to_str().context("path")?;
        let mut all = vec!["--config", settings];
        all.extend(arguments);
        let (code, out, said) = pawl(&all, self.data())?;
        Ok((code, serde_json::from_str(&out).unwrap_or(Value::Null), said))
    }

    fn ask(&self) -> Result<String> {
        let (code, out, said) = self.pawl(&["call", "sql.change", "--json", &arguments().to_string()])?;
        ensure!(code == 3, "pawl call: exit code {code}, {said}");
        Ok(out["approval"]["id"].as_str().context("no id")?.to_owned())
    }

    fn price_of_teas(&self) -> Result<f64> {
        let shop = Connection::open(self.data().join("shop.sqlite"))?;
        Ok(shop.query_row("SELECT SUM(price) FROM products WHERE category = 'Tea'", [], |row| row.get(0))?)
    }

    fn teas(&self) -> Result<f64> {
        let shop = Connection::open(self.data().join("shop.sqlite"))?;
        Ok(shop.query_row("SELECT COUNT(*) FROM products WHERE category = 'Tea'", [], |row| row.get(0))?)
    }

    /// What somebody who can write the data folder may do.
    fn tamper(&self, sql: &str) -> Result<()> {
        let changed = Connection::open(self.data().join("approvals.sqlite"))?.execute(sql, [])?;
        ensure!(changed == 1, "{sql} changed {changed} rows");
        Ok(())
    }
}

fn arguments() -> Value {
    json!({ "sql": CHANGE })
}

#[test]
fn on_the_command_line_a_write_is_made_once_it_is_approved_and_only_once() -> Result<()> {
    let shop = Shop::new()?;
    let (before, teas) = (shop.price_of_teas()?, shop.teas()?);
    let id = shop.ask()?;
    assert_eq!(shop.ask()?, id, "the same call that waits already is not asked twice");
    assert!(shop.price_of_teas()? == before);

    let (code, waiting, _) = shop.pawl(&["approvals", "--json"])?;
    let write = &waiting[0]["effects"][0];
    assert_eq!((code, waiting.as_array().map(Vec::len)), (0, Some(1)), "{waiting}");
    assert_eq!((&write["sql"], write["rows"].as_f64()), (&json!(CHANGE), Some(teas)), "{waiting}");
    let settings = shop.settings.to_str().context("path")?;
    let (_, shown, _) = pawl(&["--config", settings, "approvals"], shop.data())?;
    assert!(shown.contains(CHANGE) && shown.contains(&id), "{shown}");

    let (code, done, said) = shop.pawl(&["approvals", "approve", &id, "--json"])?;
    assert_eq!((code, &done["state"]), (0, &json!("done")), "{done} {said}");
    assert!((shop.price_of_teas()? - before - teas).abs() < 1e-6);

    let (code, _, said) = shop.pawl(&["approvals", "approve", &id])?;
    assert!(code == 1 && said.contains("is done and cannot be approved"), "{said}");
    assert!((shop.price_of_teas()? - before - teas).abs() < 1e-6, "written twice");
    let (code, _, said) = shop.pawl(&["approvals", "approve", "a99"])?;
    assert!(code == 1 && said.contains("a99"), "{said}");
    Ok(())
}

#[test]
fn what_is_rejected_expired_or_not_what_was_approved_is_not_written() -> Result<()> {
    let shop = Shop::new()?;
    let before = shop.price_of_teas()?;

    let rejected = shop.ask()?;
    let (code, after, _) =
        shop.pawl(&["approvals", "reject", &rejected, "--reason", "not in December", "--json"])?;
    assert_eq!((code, &after["state"], &after["note"]), (0, &json!("rejected"), &json!("not in December")));

    let expired = shop.ask()?;
    shop.tamper("UPDATE approvals SET expires = '2020-01-01T00:00:00Z' WHERE state = 'waiting'")?;

    let forged = shop.ask()?;
    shop.tamper(
        "UPDATE approvals SET effects = replace(effects, 'Tea', 'Coffee'), \
         arguments = replace(arguments, 'Tea', 'Coffee') WHERE state = 'waiting'",
    )?;
    assert!(rejected != expired && expired != forged);
    for (id, why) in [(&rejected, "rejected"), (&expired, "expired"), (&forged, "digest")] {
        let (code, out, said) = shop.pawl(&["approvals", "approve", id])?;
        assert!(code == 1 && said.contains(why), "{id}: {out} {said}");
    }

    // What was there when it was tried is not there any more: other rows than were shown.
    let stale = shop.ask()?;
    Connection::open(shop.data().join("shop.sqlite"))?
        .execute("UPDATE products SET category = 'Coffee' WHERE id = (SELECT MIN(id) FROM products WHERE category = 'Tea')", [])?;
    let left = shop.price_of_teas()?;
    let (code, after, _) = shop.pawl(&["approvals", "approve", &stale, "--json"])?;
    assert_eq!((code, &after["state"]), (1, &json!("failed")), "{after}");
    assert!(before > left && shop.price_of_teas()? == left);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn over_http_a_write_waits_and_whoever_asked_does_not_decide() -> Result<()> {
    let shop = Shop::new()?;
    let before = shop.price_of_teas()?;
    let server = Server::start(&Options { model: MODEL, settings: Some(SETTINGS.to_owned()) }, shop.data())?;

    let (_, tools) = server.get("/v1/tools").await?;
    let change = tools["data"].as_array().and_then(|tools| tools.iter().find(|t| t["name"] == "sql.change"));
    assert_eq!(change.map(|tool| &tool["approval"]), Some(&json!(true)), "{tools}");

    let (status, asked) = server.post("/v1/tools/sql.change", &arguments()).await?;
    let id = asked["approval"]["id"].as_str().unwrap_or_default().to_owned();
    assert_eq!((status, &asked["approval"]["state"]), (202, &json!("waiting")), "{asked}");
    assert!(shop.price_of_teas()? == before);
    let (_, list) = server.get("/v1/approvals").await?;
    assert_eq!(list["data"][0]["effects"][0]["sql"], json!(CHANGE), "{list}");

    let path = format!("/v1/approvals/{id}");
    for (said, status, code) in [
        (json!({"decision": "perhaps"}), 400, Value::Null),
        (json!({"decision": "approve", "digest": "x"}), 409, json!("not_as_approved")),
        (json!({"decision": "approve", "by": "POST /v1/tools"}), 403, json!("own_approval")),
    ] {
        let (got, error) = server.post(&path, &said).await?;
        assert_eq!((got, &error["error"]["code"]), (status, &code), "{said}: {error}");
    }
    assert!(shop.price_of_teas()? == before);
    let (status, _) = server.post("/v1/approvals/a77", &json!({"decision": "approve"})).await?;
    assert_eq!(status, 404);

    let (status, done) = server.post(&path, &json!({"decision": "approve", "by": "the owner"})).await?;
    assert_eq!(
        (status, &done["state"], &done["decided_by"]),
        (200, &json!("done"), &json!("the owner")),
        "{done}"
    );
    assert!(shop.price_of_teas()? > before);
    let (status, error) = server.post(&path, &json!({"decision": "reject"})).await?;
    assert_eq!((status, &error["error"]["code"]), (409, &json!("approval_decided")), "{error}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_outlives_the_server() -> Result<()> {
    let shop = Shop::new()?;
    let before = shop.price_of_teas()?;
    let options = || Options { model: MODEL, settings: Some(SETTINGS.to_owned()) };
    let first = Server::start(&options(), shop.data())?;
    let (_, asked) = first.post("/v1/tools/sql.change", &arguments()).await?;
    drop(first);
    let second = Server::start(&options(), shop.data())?;
    let path = format!("/v1/approvals/{}", asked["approval"]["id"].as_str().unwrap_or_default());
    let (status, done) = second.post(&path, &json!({"decision": "approve"})).await?;
    assert_eq!((status, &done["state"]), (200, &json!("done")), "{done}");
    assert!(shop.price_of_teas()? > before);
    Ok(())
}

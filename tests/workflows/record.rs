//! What is kept of what was done, and what is not.

use anyhow::{Context, Result, ensure};
use pawl_tests::server::{Options, Server, pawl};
use serde_json::{Value, json};

use crate::MODEL;

const SETTINGS: &str =
    "[model]\ncontext = 3072\n[workflows]\nfolder = \"flows\"\n[plugins]\n[record]\nredact = [\"email\"]\n";

fn said(folder: &std::path::Path, arguments: &[&str]) -> Result<String> {
    let settings = folder.join("pawl.toml");
    let mut all = vec!["--config", settings.to_str().context("path")?];
    all.extend(arguments);
    let (code, out, said) = pawl(&all, folder)?;
    ensure!(code == 0, "pawl {arguments:?}: {said}");
    Ok(out)
}

#[tokio::test(flavor = "multi_thread")]
async fn conversations_are_remembered_and_found_by_people_and_by_scripts() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let place = folder.path();
    std::fs::create_dir(place.join("flows"))?;
    let recall = "memory::search(input.words, 5).map(|turn| turn.request)";
    std::fs::write(place.join("flows/recall.rhai"), recall)?;
    {
        let server = Server::start(&Options { model: MODEL, settings: Some(SETTINGS.to_owned()) }, place)?;
        for question in ["Where is the parcel of order 1207?", "Say hello to the tea merchants."] {
            let messages = json!([{"role": "user", "content": question}]);
            let body = json!({"model": MODEL, "messages": messages, "max_tokens": 8});
            let (status, answer) = server.post("/v1/chat/completions", &body).await?;
            ensure!(status == 200, "{answer}");
        }
    }
    let found: Value = serde_json::from_str(&said(place, &["memory", "search", "parcel", "--json"])?)?;
    let turn = &found[0];
    ensure!(turn["request"] == "Where is the parcel of order 1207?" && turn["model"] == MODEL, "{found}");
    ensure!(
        found.as_array().map(Vec::len) == Some(1) && turn["completion_tokens"].as_u64() > Some(0),
        "{found}"
    );
    let exported = said(place, &["memory", "export", "--since", "2026-01-01T00:00:00Z"])?;
    assert_eq!(exported.lines().count(), 2);
    let recalled = said(place, &["run", "recall", "--input", r#"{"words": "tea merchants"}"#])?;
    let recalled: Value = serde_json::from_str(&recalled)?;
    assert_eq!(recalled, json!(["Say hello to the tea merchants."]));
    Ok(())
}

#[test]
fn what_has_ended_is_redacted_and_deleted_as_the_settings_say() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let place = folder.path();
    std::fs::create_dir(place.join("flows"))?;
    std::fs::write(place.join("pawl.toml"), SETTINGS)?;
    std::fs::write(place.join("flows/mail.rhai"), "emit(#{email: input.email, n: 1}); input.email.len()")?;
    said(place, &["run", "mail", "--input", r#"{"email": "ada@example.com"}"#])?;
    ensure!(said(place, &["runs", "show", "r1", "--json"])?.contains("ada@example.com"));
    let tidied = said(place, &["runs", "tidy"])?;
    ensure!(tidied.contains("deleted 0 runs") && tidied.contains("redacted 1 runs"), "{tidied}");
    let shown = said(place, &["runs", "show", "r1", "--json"])?;
    ensure!(!shown.contains("ada@") && shown.contains("[redacted]") && shown.contains("15"), "{shown}");
    for file in ["runs.sqlite", "runs.sqlite-wal"] {
        let bytes = std::fs::read(place.join("runs").join(file)).unwrap_or_default();
        ensure!(!bytes.windows(4).any(|window| window == b"ada@"), "{file} still has it");
    }
    // As if it had been long ago.
    let record = rusqlite::Connection::open(place.join("runs/runs.sqlite"))?;
    record.execute("UPDATE runs SET ended = ended - 3 * 24 * 3600 * 1000000", [])?;
    drop(record);
    std::fs::write(place.join("pawl.toml"), format!("{SETTINGS}keep-days = 2\n"))?;
    let tidied = said(place, &["runs", "tidy"])?;
    ensure!(tidied.contains("deleted 1 runs"), "{tidied}");
    ensure!(said(place, &["runs"])?.contains("no runs"));
    Ok(())
}

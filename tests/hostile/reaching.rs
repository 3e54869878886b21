//! What a guest tries to get at: the host's files, environment and network, and what other plugins keep.
//!
//! Outbound HTTP and preopened folders have tests of their own, beside the capability matrix.

use anyhow::{Context, Result, ensure};
use pawl_plugin::Grant;
use pawl_tests::hostile::{Home, beside, well};
use pawl_tests::plugins::guest_error;
use serde_json::{Value, json};

use crate::guest;

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_sees_no_file_no_environment_and_no_arguments() -> Result<()> {
    let home = Home::new()?;
    let healthy = home.healthy()?;
    let plugin = guest(&home, "hostile", "")?;
    let secret = home.file("secret", b"here")?;
    let absolute = secret.display().to_string();
    for path in ["/etc/passwd", "secret", ".", "/", "..", "/proc/self/environ", &absolute] {
        guest_error(plugin.call("read-file", &json!({ "path": path })).await)?;
        guest_error(plugin.call("write-file", &json!({ "path": format!("{path}-more") })).await)?;
    }
    guest_error(plugin.call("write-file", &json!({ "path": absolute })).await)?;
    assert_eq!(std::fs::read_to_string(&secret)?, "here");
    ensure!(std::env::vars().next().is_some(), "this process has no environment to be seen");
    assert_eq!(plugin.call("surroundings", &json!({})).await, Ok(json!([])));
    well(&healthy).await
}

#[tokio::test(flavor = "multi_thread")]
async fn every_kind_of_socket_and_every_name_is_denied() -> Result<()> {
    let home = Home::new()?;
    let healthy = home.healthy()?;
    let plugin = guest(&home, "hostile", "")?;
    let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    listener.set_nonblocking(true)?;
    let address = listener.local_addr()?.to_string();
    beside(&healthy, async || {
        guest_error(plugin.call("connect-to", &json!({ "address": address })).await)?;
        let outcomes = plugin.call("open-sockets", &json!({})).await?;
        let outcomes = outcomes.as_array().context("a list")?;
        ensure!(outcomes.len() == 5, "{outcomes:?}");
        for outcome in outcomes {
            ensure!(outcome.as_str().is_some_and(|text| text.contains(": Err(")), "{outcome}");
        }
        Ok(())
    })
    .await?;
    let nobody = listener.accept().err().map(|error| error.kind());
    assert_eq!(nobody, Some(std::io::ErrorKind::WouldBlock), "somebody called");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn no_identifier_and_no_key_opens_the_store_of_another_plugin() -> Result<()> {
    let home = Home::new()?;
    let (victim, hostile) = (guest(&home, "victim", "")?, guest(&home, "hostile", "")?);
    victim.call("put", &json!({"key": "secret", "value": "of the victim"})).await?;

    for identifier in [
        "victim",
        "../victim",
        "victim/",
        "/victim",
        "default/victim",
        "default\0victim",
        "\0",
        "..",
        "*",
        "%",
        "' OR plugin = 'victim' --",
        "keyvalue.sqlite",
        "DEFAULT",
        " default",
    ] {
        let error = guest_error(hostile.call("open-store", &json!({ "identifier": identifier })).await)?;
        ensure!(error.as_str().is_some_and(|text| text.contains("NoSuchStore")), "{identifier:?}: {error}");
    }
    for identifier in ["", "default"] {
        let opened = hostile.call("open-store", &json!({ "identifier": identifier })).await;
        assert_eq!(opened, Ok(Value::Null), "{identifier}");
    }
    for key in [
        "secret",
        "victim/secret",
        "../victim/secret",
        "victim\0secret",
        "victim:secret",
        "%",
        "*",
        "' OR plugin = 'victim' --",
    ] {
        assert_eq!(hostile.call("fetch", &json!({ "key": key })).await, Ok(Value::Null), "{key:?}");
        hostile.call("delete-key", &json!({ "key": key })).await?;
        hostile.call("put", &json!({ "key": key, "value": "of the other" })).await?;
        let kept = victim.call("fetch", &json!({"key": "secret"})).await;
        assert_eq!(kept, Ok(json!("of the victim")), "after {key:?}");
        assert_eq!(victim.call("keys", &json!({})).await, Ok(json!(["secret"])), "after {key:?}");
    }
    let keys = hostile.call("keys", &json!({})).await?;
    assert_eq!(keys.as_array().map(Vec::len), Some(8), "{keys}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_is_not_granted_stays_closed_though_others_have_one() -> Result<()> {
    let home = Home::new()?;
    let file = pawl_tests::plugins::guest("hostile");
    let requested = "[capabilities]\nkeyvalue = true";
    let granted = Grant { keyvalue: true, ..Grant::default() };
    for (manifest, grant) in [("", granted), (requested, Grant::default())] {
        let hostile = home.load_file(&file, "hostile", manifest, grant)?;
        for identifier in ["", "default", "victim"] {
            let error = guest_error(hostile.call("open-store", &json!({ "identifier": identifier })).await)?;
            ensure!(error.as_str().is_some_and(|text| text.contains("AccessDenied")), "{error}");
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_is_flooded_stays_within_its_quota() -> Result<()> {
    let home = Home::new()?;
    let (victim, hostile) = (guest(&home, "victim", "")?, guest(&home, "hostile", "")?);
    let value = "x".repeat(1 << 20);
    let mut stored = 0;
    let refused = loop {
        match hostile.call("put", &json!({ "key": format!("k{stored}"), "value": value })).await {
            Ok(_) => stored += 1,
            Err(error) => break error.to_string(),
        }
        ensure!(stored <= 16, "{stored} MiB were taken");
    };
    ensure!(refused.contains("the store is full") && refused.contains("16777216"), "{refused}");
    victim.call("put", &json!({ "key": "k", "value": value })).await?;
    Ok(())
}

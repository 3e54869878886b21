//! One line per limit of plugin.toml: a guest that reaches it, and how the call then ends.
//!
//! Invariant: a limit without a line here fails the test, so there is none that nobody has reached.

use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};
use pawl_plugin::{Limits, Plugin};
use pawl_tests::hostile::{Ends, Home, assembled, beside, component};
use pawl_tests::log;
use serde_json::{Value, json};

use crate::guest;

const CLOCK: &str = "package test:limits;
    world w { import wasi:clocks/monotonic-clock@0.2.0; export f: func(text: string) -> string; }
    package wasi:clocks@0.2.0 { interface monotonic-clock { now: func() -> u64; } }";

/// A guest whose `f` does this.
fn doing(body: &str) -> Result<Vec<u8>> {
    let module = format!(
        "(module
        (import \"wasi:clocks/monotonic-clock@0.2.0\" \"now\" (func $now (result i64)))
        (memory (export \"memory\") 1) (table $t 1 funcref)
        (func (export \"cabi_realloc\") (param i32 i32 i32 i32) (result i32) (i32.const 4096))
        (func $f (export \"f\") (param i32 i32) (result i32) {body}
            (i32.store (i32.const 16) (i32.const 64)) (i32.store (i32.const 20) (i32.const 1000)) (i32.const 16)))"
    );
    component(CLOCK, &module)
}

/// A component of so many core instances.
fn instances(count: usize) -> Result<Vec<u8>> {
    let many = "(core instance (instantiate $m))".repeat(count - 1);
    assembled(&format!(
        "(component (core module $m (func (export \"f\"))) {many} (core instance $i (instantiate $m))
        (func (export \"f\") (canon lift (core func $i \"f\"))))"
    ))
}

/// Key, the line of plugin.toml, the guest, its argument, and how the call ends.
type Row = (&'static str, &'static str, Vec<u8>, Value, Ends);

fn table() -> Result<Vec<Row>> {
    let text = json!({"text": "x"});
    let grow = "(loop (br_if 0 (i32.ne (memory.grow (i32.const 16)) (i32.const -1)))) unreachable";
    let table = "(loop (br_if 0 (i32.ne (table.grow $t (ref.null func) (i32.const 100)) (i32.const -1)))) unreachable";
    let spin = "(loop (br 0))";
    let storm = "(loop (drop (call $now)) (br 0))";
    Ok(vec![
        ("memory", "'4MiB'", doing(grow)?, text.clone(), Ends::Limit("memory")),
        ("table-elements", "1000", doing(table)?, text.clone(), Ends::Limit("table-elements")),
        ("instances", "4", instances(5)?, json!({}), Ends::Limit("instances")),
        ("time", "'50ms'", doing(spin)?, text.clone(), Ends::Limit("time")),
        ("fuel", "10000", doing(spin)?, text.clone(), Ends::Limit("fuel")),
        ("host-calls", "1000", doing(storm)?, text.clone(), Ends::Limit("host-calls")),
        ("input", "'1KiB'", doing("")?, json!({"text": "x".repeat(1024)}), Ends::Limit("input")),
        ("output", "'1000B'", doing("")?, text, Ends::Limit("output")),
    ])
}

#[tokio::test(flavor = "multi_thread")]
async fn every_limit_is_reached_and_named() -> Result<()> {
    let home = Home::new()?;
    let healthy = home.healthy()?;
    let Value::Object(all) = serde_json::to_value(Limits::default())? else { panic!("not an object") };
    let mut untested: BTreeSet<&str> = all.keys().map(String::as_str).collect();
    for (key, value, component, arguments, ends) in table()? {
        ensure!(untested.remove(key), "{key} is no limit");
        let hostile = home.load("hostile", &component, &format!("[limits]\n{key} = {value}"))?;
        beside(&healthy, async || ends.check(key, &hostile.call("f", &arguments).await)).await?;
    }
    // `log` and `concurrency` end no call; each has a test of its own below.
    ensure!(untested == BTreeSet::from(["concurrency", "log"]), "no test reaches {untested:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn one_less_than_a_limit_is_enough() -> Result<()> {
    let home = Home::new()?;
    let fits = home.load("fits", &instances(4)?, "[limits]\ninstances = 4")?;
    assert_eq!(fits.call("f", &json!({})).await, Ok(Value::Null));
    let fits =
        home.load("fits", &doing("")?, "[limits]\ninput = '1KiB'\noutput = '1003B'\nhost-calls = 1")?;
    // `{"text": "…"}`: 2 for the object, 8 for the name, 3 for the text.
    assert_eq!(fits.call("f", &json!({"text": "x".repeat(1011)})).await, Ok(json!("\0".repeat(1000))));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_stack_is_limited_for_every_plugin() -> Result<()> {
    let home = Home::new()?;
    let healthy = home.healthy()?;
    let dive = "(drop (call $f (i32.const 0) (i32.const 0)))";
    let hostile = home.load("hostile", &doing(dive)?, "")?;
    let arguments = json!({"text": "x"});
    beside(&healthy, async || Ends::Limit("stack").check("dive", &hostile.call("f", &arguments).await)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_flood_is_cut_at_its_limit_and_the_call_goes_on() -> Result<()> {
    log::watch()?;
    let home = Home::new()?;
    let healthy = home.healthy()?;
    // Names of their own: what a plugin logs is counted by its name.
    for (name, limit, bytes) in [("flood-a", 1 << 10, "1KiB"), ("flood-b", 1 << 16, "64KiB")] {
        let more = format!("[limits]\nlog = '{bytes}'\ntime = '30s'\nhost-calls = 10000000");
        let hostile = guest(&home, name, &more)?;
        let outcome = hostile.call("log-much", &json!({"bytes": 2_000_000})).await;
        ensure!(outcome == Ok(Value::Null), "{outcome:?}");
        let said = log::of(name);
        // What is kept, the sentence that the rest is dropped, and what quoting adds.
        let length: usize = said.iter().map(String::len).sum();
        ensure!(length <= 2 * limit + 1024, "{length} bytes were logged");
        ensure!(
            said.last().is_some_and(|line| line.contains("limits.log")),
            "it is not said: {:?}",
            said.last()
        );
    }
    pawl_tests::hostile::well(&healthy).await
}

/// Keys of the guest's store that begin with `in-`: the calls that were let in.
async fn let_in(door: &Plugin) -> Result<usize> {
    let keys = door.call("keys", &json!({})).await?;
    let keys = keys.as_array().context("a list of keys")?;
    Ok(keys.iter().filter(|key| key.as_str().is_some_and(|key| key.starts_with("in-"))).count())
}

#[tokio::test(flavor = "multi_thread")]
async fn one_call_more_than_concurrency_waits_until_another_ends() -> Result<()> {
    let home = Home::new()?;
    let healthy = home.healthy()?;
    // Two plugins of one name share a store: what one holds back, the other lets go.
    let more = "[limits]\nconcurrency = 2\ntime = '60s'\nhost-calls = 10000000";
    let (held, door) = (guest(&home, "held", more)?, guest(&home, "held", more)?);
    let calls: Vec<_> = ["a", "b", "c"]
        .into_iter()
        .map(|id| {
            let held = held.clone();
            tokio::spawn(async move { held.call("hold", &json!({ "id": id })).await })
        })
        .collect();
    while let_in(&door).await? < 2 {}
    // A third that is not held back would be in long before these calls are over.
    beside(&healthy, async || {
        ensure!(let_in(&door).await? == 2, "a third call was let in");
        ensure!(calls.iter().all(|call| !call.is_finished()), "a call went on by itself");
        Ok(())
    })
    .await?;
    door.call("put", &json!({"key": "go", "value": ""})).await?;
    for call in calls {
        assert_eq!(call.await?, Ok(Value::Null));
    }
    assert_eq!(let_in(&door).await?, 3);
    Ok(())
}

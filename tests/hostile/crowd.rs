//! Many calls at once: what one plugin takes is never another's.

use anyhow::{Result, ensure};
use pawl_plugin::{CallError, Plugin};
use pawl_tests::hostile::{Beside, Ends, Home, alone, assembled, beside, component, resident};
use serde_json::{Value, json};

use crate::guest;

const WIT: &str = "package test:crowd; world w { export f: func(); }";

/// Begins so many calls of `f`.
fn calls(plugin: &Plugin, count: usize) -> Vec<tokio::task::JoinHandle<Result<Value, CallError>>> {
    let call = |_| {
        let plugin = plugin.clone();
        tokio::spawn(async move { plugin.call("f", &Value::Null).await })
    };
    (0..count).map(call).collect()
}

#[test]
fn ten_thousand_trapping_calls_lose_no_healthy_one_and_leak_nothing() -> Result<()> {
    alone("crowd::ten_thousand_trapping_calls_lose_no_healthy_one_and_leak_nothing", async || {
        const CALLS: usize = 10_000;
        let home = Home::new()?;
        let healthy = home.healthy()?;
        let trapping = home.load(
            "trapping",
            &component(WIT, "(module (memory 2) (func (export \"f\") unreachable))")?,
            "",
        )?;
        let storm = async |count: usize| -> Result<()> {
            for call in calls(&trapping, count) {
                Ends::Trap("unreachable").check("f", &call.await?)?;
            }
            Ok(())
        };
        let beside = Beside::start(&healthy);
        // Slots of the pool, threads and the allocator's arenas are warm after a round of the same size.
        storm(CALLS / 10).await?;
        let before = resident()?;
        for _ in 0..10 {
            storm(CALLS / 10).await?;
        }
        let done = beside.end().await?;
        ensure!(done > 0, "no healthy call came through beside {CALLS} traps");
        let after = resident()?;
        let grown = after.saturating_sub(before);
        eprintln!("{CALLS} traps, {done} healthy calls, {before} bytes before, {after} after");
        ensure!(grown < 16 << 20, "{grown} bytes were not given back");
        Ok(())
    })
}

/// A component that takes as much of the shared pool as one may, and keeps it until its time is up.
fn greedy(memories: usize, tables: usize, instances: usize) -> Result<Vec<u8>> {
    let many = "(core instance (instantiate $e))".repeat(instances - 1);
    let (memories, tables) = ("(memory 1)".repeat(memories), "(table 10 funcref)".repeat(tables));
    assembled(&format!(
        "(component (core module $e) {many}
        (core module $m {memories} {tables} (func (export \"f\") (loop (br 0))))
        (core instance $i (instantiate $m))
        (func (export \"f\") (canon lift (core func $i \"f\"))))"
    ))
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_greedy_plugin_takes_of_the_pool_is_never_anothers() -> Result<()> {
    let home = Home::new()?;
    let healthy = home.healthy()?;
    for (memories, tables, instances) in [(8, 1, 1), (1, 16, 1), (1, 1, 64), (8, 16, 64)] {
        let what = format!("{memories} memories, {tables} tables, {instances} instances");
        let limits = "[limits]\nconcurrency = 32\ntime = '100ms'";
        let hostile = home.load("hostile", &greedy(memories, tables, instances)?, limits)?;
        beside(&healthy, async || {
            for call in calls(&hostile, 64) {
                Ends::Limit("time").check(&what, &call.await?)?;
            }
            Ok(())
        })
        .await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn plugins_with_fuel_wait_for_each_other_and_none_fails() -> Result<()> {
    let home = Home::new()?;
    let healthy = home.healthy()?;
    let spin = component(WIT, "(module (memory 1) (func (export \"f\") (loop (br 0))))")?;
    let limits = "[limits]\nfuel = 1000000000000\nconcurrency = 32\ntime = '100ms'";
    let (one, other) = (home.load("one", &spin, limits)?, home.load("other", &spin, limits)?);
    beside(&healthy, async || {
        let all: Vec<_> = [&one, &other].into_iter().flat_map(|plugin| calls(plugin, 40)).collect();
        for call in all {
            Ends::Limit("time").check("spin", &call.await?)?;
        }
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn no_plugin_holds_every_turn_of_the_host() -> Result<()> {
    let home = Home::new()?;
    let healthy = home.healthy()?;
    // As much as a manifest can ask for, and as many calls again.
    let most = "[limits]\ntime = '60s'\nhost-calls = 10000000\nmemory = '1GiB'\nconcurrency = ";
    ensure!(home.manifest("greedy", &format!("{most}33")).is_err(), "half of the turns at most");
    let (greedy, door) = (guest(&home, "greedy", &format!("{most}32"))?, guest(&home, "greedy", "")?);
    let held: Vec<_> = (0..100)
        .map(|id: u32| {
            let greedy = greedy.clone();
            tokio::spawn(async move { greedy.call("hold", &json!({ "id": id.to_string() })).await })
        })
        .collect();
    while door.call("keys", &json!({})).await? == json!([]) {}
    beside(&healthy, async || {
        ensure!(held.iter().all(|call| !call.is_finished()), "a call went on by itself");
        door.call("keys", &json!({})).await?;
        Ok(())
    })
    .await?;
    door.call("put", &json!({"key": "go", "value": ""})).await?;
    for call in held {
        assert_eq!(call.await?, Ok(Value::Null));
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trapping_call_frees_its_turn() -> Result<()> {
    let home = Home::new()?;
    let wit = "package test:crowd; world w { export f: func(); export add: func(a: u32, b: u32) -> u32; }";
    let module = "(module (func (export \"f\") unreachable)
        (func (export \"add\") (param i32 i32) (result i32) (i32.add (local.get 0) (local.get 1))))";
    let plugin = home.load("one", &component(wit, module)?, "[limits]\nconcurrency = 1")?;
    for call in calls(&plugin, 100) {
        Ends::Trap("unreachable").check("f", &call.await?)?;
    }
    assert_eq!(plugin.call("add", &json!({"a": 1, "b": 1})).await, Ok(json!(2)));
    Ok(())
}

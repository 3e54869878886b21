//! What a guest does when it is called: each misdeed ends as it must while a healthy plugin goes on beside it.

use std::time::Duration;

use anyhow::{Result, ensure};
use pawl_plugin::{CallError, Plugin};
use pawl_tests::hostile::{Ends, Home, alone, assembled, beside, component, peak, well};
use serde_json::{Value, json};

use crate::guest;

const SHORT: &str = "[limits]\nmemory = '32MiB'\ntime = '300ms'\noutput = '64KiB'\n";

/// Calls of the built guest and how each must end.
fn misdeeds() -> Vec<(&'static str, Value, Ends)> {
    vec![
        ("loop-forever", json!({}), Ends::Limit("time")),
        ("sleep-for", json!({"seconds": 3600}), Ends::Limit("time")),
        ("allocate-forever", json!({}), Ends::Limit("memory")),
        ("deep-recursion", json!({}), Ends::Limit("stack")),
        ("return-bytes", json!({"count": 100_000_000}), Ends::Limit("memory")),
        ("return-bytes", json!({"count": 5_000_000}), Ends::Limit("output")),
        ("return-text", json!({"count": 5_000_000}), Ends::Limit("output")),
        ("panic-now", json!({"message": "the drum is empty"}), Ends::Trap("the drum is empty")),
        ("trap", json!({}), Ends::Trap("unreachable")),
        ("exit-now", json!({"code": 1}), Ends::Trap("status 1")),
        ("host-call-storm", json!({}), Ends::Limit("host-calls")),
        ("guest-error", json!({"message": "no such drum"}), Ends::Guest(json!("no such drum"))),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn every_misdeed_is_contained_and_told_from_the_others() -> Result<()> {
    let home = Home::new()?;
    let healthy = home.healthy()?;
    let hostile = guest(&home, "hostile", &format!("{SHORT}host-calls = 1000"))?;
    for (function, arguments, ends) in misdeeds() {
        beside(&healthy, async || ends.check(function, &hostile.call(function, &arguments).await)).await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn all_misdeeds_at_once_are_contained_too() -> Result<()> {
    let home = Home::new()?;
    let healthy = home.healthy()?;
    let hostile = guest(&home, "hostile", &format!("{SHORT}host-calls = 1000"))?;
    beside(&healthy, async || {
        let bad: Vec<_> = misdeeds()
            .into_iter()
            .map(|(function, arguments, ends)| {
                let hostile = hostile.clone();
                tokio::spawn(async move { ends.check(function, &hostile.call(function, &arguments).await) })
            })
            .collect();
        for call in bad {
            call.await??;
        }
        Ok(())
    })
    .await
}

/// A module whose `f` takes a text and gives one, and which misbehaves in one of the places where guest code runs.
fn misplaced(place: &str, deed: &str) -> Result<Vec<u8>> {
    let at = |wanted: &str| if wanted == place { deed } else { "" };
    let wit = "package test:places; world w { export f: func(text: string) -> string; }";
    let module = format!(
        "(module (memory (export \"memory\") 1)
        (func $start {start}) (start $start)
        (func (export \"cabi_realloc\") (param i32 i32 i32 i32) (result i32) {realloc} (i32.const 4096))
        (func (export \"f\") (param i32 i32) (result i32) {body}
            (i32.store (i32.const 16) (i32.const 64)) (i32.store (i32.const 20) (i32.const 2)) (i32.const 16))
        (func (export \"cabi_post_f\") (param i32) {post}))",
        start = at("start"),
        realloc = at("realloc"),
        body = at("body"),
        post = at("post-return"),
    );
    component(wit, &module)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trap_or_a_loop_is_contained_wherever_guest_code_runs() -> Result<()> {
    let home = Home::new()?;
    let healthy = home.healthy()?;
    let fine = home.load("fine", &misplaced("nowhere", "")?, "")?;
    assert_eq!(fine.call("f", &json!({"text": "x"})).await, Ok(json!("\0\0")));
    for place in ["start", "realloc", "body", "post-return"] {
        for (deed, ends) in [
            ("unreachable", Ends::Trap("unreachable")),
            ("(loop (br 0))", Ends::Limit("time")),
            (
                "(loop (br_if 0 (i32.ne (memory.grow (i32.const 16)) (i32.const -1)))) unreachable",
                Ends::Limit("memory"),
            ),
        ] {
            let hostile =
                home.load("hostile", &misplaced(place, deed)?, "[limits]\ntime = '100ms'\nmemory = '4MiB'")?;
            let what = format!("{deed} in {place}");
            beside(&healthy, async || ends.check(&what, &hostile.call("f", &json!({"text": "x"})).await))
                .await?;
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_module_that_traps_while_it_is_set_up_fails_the_call_only() -> Result<()> {
    let home = Home::new()?;
    let healthy = home.healthy()?;
    let wit = "package test:setup; world w { export f: func(); }";
    for (part, said) in [
        ("(memory 1) (data (i32.const 65536) \"x\")", "memory"),
        ("(table 1 funcref) (func $g) (elem (i32.const 1) $g)", "table"),
    ] {
        let hostile =
            home.load("hostile", &component(wit, &format!("(module {part} (func (export \"f\")))"))?, "")?;
        beside(&healthy, async || Ends::Trap(said).check(part, &hostile.call("f", &Value::Null).await))
            .await?;
    }
    Ok(())
}

/// A component that gives itself handles without end: they cost the host memory, and no call into the host.
fn handles() -> Result<Vec<u8>> {
    assembled(
        "(component
        (type $r (resource (rep i32)))
        (core func $new (canon resource.new $r))
        (core module $m (import \"\" \"new\" (func $new (param i32) (result i32)))
            (func (export \"f\") (loop (drop (call $new (i32.const 1))) (br 0))))
        (core instance $i (instantiate $m (with \"\" (instance (export \"new\" (func $new))))))
        (func (export \"f\") (canon lift (core func $i \"f\"))))",
    )
}

#[test]
fn handles_without_end_are_stopped_before_they_fill_the_host() -> Result<()> {
    alone("running::handles_without_end_are_stopped_before_they_fill_the_host", async || {
        let home = Home::new()?;
        let healthy = home.healthy()?;
        let hostile = home.load("hostile", &handles()?, "[limits]\nhost-calls = 10000000\ntime = '10s'")?;
        let before = peak()?;
        beside(&healthy, async || {
            Ends::Limit("handles").check("handles", &hostile.call("f", &Value::Null).await)
        })
        .await?;
        let grown = peak()? - before;
        ensure!(grown < 128 << 20, "the host grew by {grown} bytes");
        Ok(())
    })
}

/// `f` gives a list whose items all are the same bytes, as often as it likes.
fn repeating(ty: &str, types: &str, item: &str, size: u32, count: u32) -> Result<Vec<u8>> {
    let wit = format!(
        "package test:repeat; interface i {{ {types} f: func() -> list<{ty}>; }} world w {{ export i; }}"
    );
    let module = format!(
        "(module (memory (export \"memory\") 512) (data (i32.const 65536) \"{item}\")
        (func (export \"test:repeat/i#f\") (result i32) (local $i i32)
            (loop (memory.copy (i32.add (i32.const 65536) (local.get $i)) (i32.const 65536) (i32.const {size}))
                (local.set $i (i32.add (local.get $i) (i32.const {size})))
                (br_if 0 (i32.lt_u (local.get $i) (i32.const {bytes}))))
            (i32.store (i32.const 16) (i32.const 65536)) (i32.store (i32.const 20) (i32.const {count}))
            (i32.const 16)))",
        bytes = size * count,
    );
    component(&wit, &module)
}

#[test]
fn a_result_that_is_small_in_the_guest_does_not_fill_the_host() -> Result<()> {
    alone("running::a_result_that_is_small_in_the_guest_does_not_fill_the_host", async || {
        let home = Home::new()?;
        let healthy = home.healthy()?;
        // 26 names of one letter in four bytes: each costs a string in the host.
        let letters: Vec<String> = ('a'..='z').map(String::from).collect();
        let flags = format!("flags letters {{ {} }}", letters.join(", "));
        // An enum whose one name is long: one byte stands for it.
        let name = "a".repeat(100);
        let cases = [
            ("letters", flags, "\\ff\\ff\\ff\\03", 4, 600_000),
            ("e", format!("enum e {{ {name} }}"), "\\00", 1, 1_000_000),
            ("r", format!("record r {{ {name}: u8 }}"), "\\01", 1, 1_000_000),
            ("v", format!("variant v {{ {name}(u8) }}"), "\\00\\01", 2, 1_000_000),
            ("u8", String::new(), "\\01", 1, 1_000_000),
        ];
        for (ty, types, item, size, count) in cases {
            let hostile = home.load("hostile", &repeating(ty, &types, item, size, count)?, "")?;
            let before = peak()?;
            beside(&healthy, async || {
                Ends::Limit("output").check(ty, &hostile.call("f", &Value::Null).await)
            })
            .await?;
            let grown = peak()? - before;
            ensure!(grown < 256 << 20, "a list of {ty} made the host grow by {grown} bytes");
        }
        Ok(())
    })
}

#[test]
fn arguments_that_are_small_as_json_do_not_fill_the_host() -> Result<()> {
    alone("running::arguments_that_are_small_as_json_do_not_fill_the_host", async || {
        let home = Home::new()?;
        let healthy = home.healthy()?;
        // `{}` is a record of 400 options.
        let fields: Vec<String> = (0..400).map(|n| format!("field-{n}: option<u8>")).collect();
        let wit = format!(
            "package test:wide; interface i {{ record r {{ {} }} f: func(x: list<r>); }} world w {{ export i; }}",
            fields.join(", ")
        );
        let module = "(module (memory (export \"memory\") 1)
            (func (export \"cabi_realloc\") (param i32 i32 i32 i32) (result i32) (i32.const 4096))
            (func (export \"test:wide/i#f\") (param i32 i32)))";
        let hostile = home.load("hostile", &component(&wit, module)?, "")?;
        assert_eq!(hostile.call("f", &json!({"x": [{}]})).await, Ok(Value::Null));
        let arguments = json!({ "x": vec![json!({}); 400_000] });
        let before = peak()?;
        beside(&healthy, async || {
            Ends::Limit("input").check("records", &hostile.call("f", &arguments).await)
        })
        .await?;
        let grown = peak()? - before;
        ensure!(grown < 256 << 20, "the host grew by {grown} bytes");
        Ok(())
    })
}

#[test]
fn allocation_bombs_stay_within_the_memory_limit() -> Result<()> {
    alone("running::allocation_bombs_stay_within_the_memory_limit", async || {
        let home = Home::new()?;
        let healthy = home.healthy()?;
        let hostile = guest(&home, "hostile", SHORT)?;
        let before = peak()?;
        beside(&healthy, async || {
            Ends::Limit("memory").check("bomb", &hostile.call("allocate-forever", &json!({})).await)
        })
        .await?;
        let grown = peak()? - before;
        // 32 MiB of the guest, and what the host keeps for one call.
        ensure!(grown < 64 << 20, "the host grew by {grown} bytes");
        Ok(())
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_megabytes_are_refused_also_where_memory_allows_them() -> Result<()> {
    let home = Home::new()?;
    let healthy = home.healthy()?;
    let hostile = guest(&home, "hostile", "[limits]\nmemory = '512MiB'\n")?;
    for function in ["return-bytes", "return-text"] {
        let outcome = hostile.call(function, &json!({"count": 100_000_000})).await;
        Ends::Limit("output").check(function, &outcome)?;
    }
    well(&healthy).await
}

#[tokio::test(flavor = "multi_thread")]
async fn copying_within_its_memory_is_no_host_call() -> Result<()> {
    let home = Home::new()?;
    let plugin = guest(&home, "plugin", "[limits]\nhost-calls = 100\ntime = '30s'")?;
    assert_eq!(plugin.call("copy-memory", &json!({"times": 1_000_000})).await, Ok(json!(7)));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn each_call_has_an_instance_of_its_own() -> Result<()> {
    let home = Home::new()?;
    let plugin = guest(&home, "plugin", "")?;
    for _ in 0..3 {
        assert_eq!(plugin.call("count", &json!({})).await, Ok(json!(1)));
    }
    Ok(())
}

/// The least fuel with which `work` gets through.
async fn least_fuel(home: &Home, component: &[u8]) -> Result<(u64, Plugin, Plugin)> {
    let load = |fuel: u64| home.load("metered", component, &format!("[limits]\nfuel = {fuel}"));
    let (mut short, mut enough) = (1_u64, 1_000_000);
    while enough - short > 1 {
        let middle = short.midpoint(enough);
        match load(middle)?.call("f", &Value::Null).await {
            Ok(_) => enough = middle,
            Err(CallError::Limit { limit: "fuel", value }) => {
                ensure!(value == middle.to_string(), "{value} is not {middle}");
                short = middle;
            }
            Err(other) => return Err(other.into()),
        }
    }
    Ok((enough, load(enough)?, load(short)?))
}

#[tokio::test(flavor = "multi_thread")]
async fn with_fuel_the_same_call_always_ends_at_the_same_place() -> Result<()> {
    let wit = "package test:fuel; world w { export f: func() -> u32; }";
    let module = "(module (func (export \"f\") (result i32) (local $i i32)
        (loop (local.set $i (i32.add (local.get $i) (i32.const 1))) (br_if 0 (i32.lt_u (local.get $i) (i32.const 5000))))
        (local.get $i)))";
    let component = component(wit, module)?;
    let home = Home::new()?;
    let healthy = home.healthy()?;
    let (fuel, enough, short) = least_fuel(&home, &component).await?;
    beside(&healthy, async || {
        for _ in 0..20 {
            let (one, other) = tokio::join!(enough.call("f", &Value::Null), short.call("f", &Value::Null));
            ensure!(one == Ok(json!(5000)), "with {fuel}: {one:?}");
            Ends::Limit("fuel").check("one less", &other)?;
        }
        Ok(())
    })
    .await?;
    let again = Home::new()?;
    assert_eq!(least_fuel(&again, &component).await?.0, fuel);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_nobody_waits_for_any_more_is_stopped_where_that_is_wanted() -> Result<()> {
    let home = Home::new()?;
    // Only one call at a time, so that the next one shows that the one before is over.
    let slow = guest(&home, "hostile", "[limits]\ntime = '60s'\nconcurrency = 1\n")?;
    for (function, arguments) in [("loop-forever", json!({})), ("sleep-for", json!({"seconds": 3600}))] {
        let (plugin, stop) = slow.stoppable();
        let call = tokio::spawn(async move { plugin.call(function, &arguments).await });
        tokio::time::sleep(Duration::from_millis(300)).await;
        ensure!(!call.is_finished(), "{function} has ended");
        drop(stop);
        let ended = tokio::time::timeout(Duration::from_secs(20), call).await??;
        ensure!(matches!(ended, Err(CallError::Limit { limit: "time", .. })), "{function}: {ended:?}");
        let three = json!({"a": 1, "b": 2});
        let after = tokio::time::timeout(Duration::from_secs(20), slow.call("add", &three));
        ensure!(after.await?? == json!(3), "{function} holds the plugin");
    }
    Ok(())
}

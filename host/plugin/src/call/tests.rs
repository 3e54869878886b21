//! Limits, traps and errors of a call, each reached by a module in text form.

use anyhow::Result;
use serde_json::{Value, json};

use crate::testing::Home;
use crate::{CallError, Grant};

const MEMORY: &str = "(memory (export \"memory\") 1)
    (func (export \"cabi_realloc\") (param i32 i32 i32 i32) (result i32) (i32.const 4096))";

fn wit(exports: &str) -> String {
    format!("package test:test;\nworld w {{ {exports} }}")
}

/// Calls `f` of a module that exports it with these instructions and this result.
async fn call(signature: &str, body: &str, more: &str) -> Result<Result<Value, CallError>> {
    let home = Home::new()?;
    let result = if signature.contains("->") { "(result i32)" } else { "" };
    let module = format!(
        "(module {MEMORY} (global $g (mut i32) (i32.const 0)) (table $t 1 funcref)
        (func $f (export \"f\") {result} {body}))"
    );
    let plugin = home.plugin(&wit(&format!("export f: func() {signature};")), &module, more)?;
    Ok(plugin.call("f", &json!({})).await)
}

fn limit(result: &Result<Value, CallError>) -> &'static str {
    match result {
        Err(CallError::Limit { limit, .. }) => limit,
        other => panic!("no limit: {other:?}"),
    }
}

#[tokio::test]
async fn a_spinning_guest_is_stopped_at_its_time_limit() -> Result<()> {
    let result = call("", "(loop br 0)", "[limits]\ntime = '50ms'").await?;
    assert_eq!(limit(&result), "time");
    assert!(result.expect_err("a limit").to_string().contains("0.05 s"));
    Ok(())
}

#[tokio::test]
async fn a_guest_that_allocates_without_end_reaches_its_memory_limit() -> Result<()> {
    let body = "(loop (br_if 0 (i32.ne (memory.grow (i32.const 16)) (i32.const -1)))) unreachable";
    let result = call("", body, "[limits]\nmemory = '4MiB'").await?;
    assert_eq!(limit(&result), "memory");
    assert!(result.expect_err("a limit").to_string().contains("4 MiB"));
    Ok(())
}

#[tokio::test]
async fn the_memory_limit_is_for_all_memories_together() -> Result<()> {
    let module = "(module (memory 1) (memory 1) (func (export \"f\")))";
    let home = Home::new()?;
    for (memory, fits) in [("64KiB", false), ("128KiB", true)] {
        let plugin =
            home.plugin(&wit("export f: func();"), module, &format!("[limits]\nmemory = '{memory}'"))?;
        let result = plugin.call("f", &Value::Null).await;
        assert!(if fits { result.is_ok() } else { limit(&result) == "memory" });
    }
    Ok(())
}

#[tokio::test]
async fn a_guest_that_is_content_with_less_memory_goes_on() -> Result<()> {
    let result = call("-> s32", "(memory.grow (i32.const 1000))", "[limits]\nmemory = '1MiB'").await?;
    assert_eq!(result, Ok(json!(-1)));
    Ok(())
}

#[tokio::test]
async fn tables_and_stack_are_limited() -> Result<()> {
    let grow = "(loop (br_if 0 (i32.ne (table.grow $t (ref.null func) (i32.const 9999)) (i32.const -1)))) unreachable";
    assert_eq!(limit(&call("", grow, "").await?), "table-elements");
    assert_eq!(limit(&call("", "(call $f)", "").await?), "stack");
    Ok(())
}

#[tokio::test]
async fn a_trap_is_told_from_a_limit() -> Result<()> {
    for (body, said) in [
        ("unreachable", "unreachable"),
        ("(drop (i32.div_u (i32.const 1) (i32.const 0)))", "divide by zero"),
        ("(drop (i32.load (i32.const 0x7fffffff)))", "memory"),
    ] {
        match call("", body, "").await? {
            Err(CallError::Trap { message }) => assert!(message.contains(said), "{message}"),
            other => panic!("{body}: {other:?}"),
        }
    }
    Ok(())
}

#[tokio::test]
async fn every_call_starts_afresh() -> Result<()> {
    let home = Home::new()?;
    let module = "(module (global $g (mut i32) (i32.const 0)) (func (export \"f\") (result i32)
        (global.set $g (i32.add (global.get $g) (i32.const 1))) (global.get $g)))";
    let plugin = home.plugin(&wit("export f: func() -> u32;"), module, "")?;
    drop(home);
    let calls: Vec<_> = (0..200)
        .map(|_| {
            let plugin = plugin.clone();
            tokio::spawn(async move { plugin.call("f", &Value::Null).await })
        })
        .collect();
    for call in calls {
        assert_eq!(call.await?, Ok(json!(1)));
    }
    Ok(())
}

/// A function whose result lies at 16: `pointer` and `length` there.
fn returning(ty: &str, pointer: u32, length: u32) -> (String, String) {
    let body = format!(
        "(drop (memory.grow (i32.const 160)))
         (i32.store (i32.const 16) (i32.const {pointer})) (i32.store (i32.const 20) (i32.const {length}))
         (i32.const 16)"
    );
    (format!("-> {ty}"), body)
}

#[tokio::test]
async fn a_result_beyond_the_output_limit_is_refused() -> Result<()> {
    let (signature, body) = returning("string", 64, 10 << 20);
    assert_eq!(limit(&call(&signature, &body, "").await?), "output");
    let (signature, body) = returning("list<u8>", 64, 10 << 20);
    assert_eq!(limit(&call(&signature, &body, "").await?), "output");
    let (signature, body) = returning("string", 64, 1000);
    assert_eq!(limit(&call(&signature, &body, "[limits]\noutput = '1000B'").await?), "output");
    let result = call(&signature, &body, "[limits]\noutput = '1003B'").await?;
    assert_eq!(result, Ok(json!("\0".repeat(1000))));
    Ok(())
}

#[tokio::test]
async fn one_string_returned_a_million_times_does_not_fill_the_host() -> Result<()> {
    let fill = "(local $i i32) (drop (memory.grow (i32.const 160)))
        (loop (i32.store (i32.add (i32.const 1048576) (local.get $i)) (i32.const 64))
              (i32.store (i32.add (i32.const 1048580) (local.get $i)) (i32.const 1000000))
              (local.set $i (i32.add (local.get $i) (i32.const 8)))
              (br_if 0 (i32.lt_u (local.get $i) (i32.const 8000000))))
        (i32.store (i32.const 16) (i32.const 1048576)) (i32.store (i32.const 20) (i32.const 1000000))
        (i32.const 16)";
    assert_eq!(limit(&call("-> list<string>", fill, "").await?), "output");
    Ok(())
}

#[tokio::test]
async fn a_result_that_does_not_lift_is_the_guests_fault() -> Result<()> {
    let (signature, body) = returning("string", 0x7fff_0000, 10);
    assert!(matches!(call(&signature, &body, "").await?, Err(CallError::Trap { .. })));
    let invalid = "(i32.store8 (i32.const 64) (i32.const 255)) (i32.store (i32.const 16) (i32.const 64))
        (i32.store (i32.const 20) (i32.const 1)) (i32.const 16)";
    assert!(matches!(call("-> string", invalid, "").await?, Err(CallError::Trap { .. })));
    assert!(matches!(call("-> char", "(i32.const 0xd800)", "").await?, Err(CallError::Trap { .. })));
    Ok(())
}

#[tokio::test]
async fn the_guests_own_error_is_its_payload() -> Result<()> {
    let err =
        "(i32.store8 (i32.const 16) (i32.const 1)) (i32.store (i32.const 20) (i32.const 7)) (i32.const 16)";
    assert_eq!(call("-> result<string, u32>", err, "").await?, Err(CallError::Guest(json!(7))));
    assert_eq!(call("-> result<_, u32>", err, "").await?, Err(CallError::Guest(json!(7))));
    assert_eq!(call("-> result", "(i32.const 1)", "").await?, Err(CallError::Guest(Value::Null)));
    assert_eq!(call("-> result", "(i32.const 0)", "").await?, Ok(Value::Null));
    Ok(())
}

const POLL: &str = "package test:test;
    world w {
        import wasi:clocks/monotonic-clock@0.2.0;
        import wasi:io/poll@0.2.0;
        export f: func();
    }
    package wasi:io@0.2.0 {
        interface poll { resource pollable { block: func(); } poll: func(in: list<borrow<pollable>>) -> list<u32>; }
    }
    package wasi:clocks@0.2.0 {
        interface monotonic-clock {
            use wasi:io/poll@0.2.0.{pollable};
            subscribe-duration: func(when: u64) -> pollable;
        }
    }";

#[tokio::test]
async fn a_guest_that_sleeps_for_an_hour_is_stopped_at_its_time_limit() -> Result<()> {
    let home = Home::new()?;
    let sleep = "(call $block (call $subscribe (i64.const 3600000000000)))";
    let poll = "(i32.store (i32.const 64) (call $subscribe (i64.const 3600000000000)))
        (call $poll (i32.const 64) (i32.const 1) (i32.const 16))";
    for body in [sleep, poll] {
        let module = format!(
            "(module
            (import \"wasi:io/poll@0.2.0\" \"[method]pollable.block\" (func $block (param i32)))
            (import \"wasi:io/poll@0.2.0\" \"poll\" (func $poll (param i32 i32 i32)))
            (import \"wasi:clocks/monotonic-clock@0.2.0\" \"subscribe-duration\"
                (func $subscribe (param i64) (result i32)))
            {MEMORY} (func (export \"f\") {body}))"
        );
        let plugin = home.plugin(POLL, &module, "[limits]\ntime = '50ms'")?;
        assert_eq!(limit(&plugin.call("f", &Value::Null).await), "time");
    }
    Ok(())
}

#[tokio::test]
async fn an_ungranted_store_is_access_denied_and_a_granted_one_opens() -> Result<()> {
    let home = Home::new()?;
    let wit = "package test:test;
        world w { import wasi:keyvalue/store@0.2.0-draft; export f: func() -> u32; }
        package wasi:keyvalue@0.2.0-draft {
            interface store {
                variant error { no-such-store, access-denied, other(string) }
                resource bucket {}
                open: func(identifier: string) -> result<bucket, error>;
            }
        }";
    // 0 where it opened, else 1 and the number of the error's case.
    let module = format!(
        "(module (import \"wasi:keyvalue/store@0.2.0-draft\" \"open\" (func $open (param i32 i32 i32))) {MEMORY}
        (func (export \"f\") (result i32) (call $open (i32.const 0) (i32.const 0) (i32.const 16))
            (i32.add (i32.mul (i32.load8_u (i32.const 16)) (i32.const 10))
                     (i32.mul (i32.load8_u (i32.const 16)) (i32.load8_u (i32.const 20))))))"
    );
    let component = crate::testing::component(wit, &module)?;
    let requests = "[capabilities]\nkeyvalue = true";
    let granted = Grant { keyvalue: true, ..Grant::default() };
    for (manifest, grant, expected) in [
        ("", Grant::default(), 11),
        (requests, Grant::default(), 11),
        ("", granted.clone(), 11),
        (requests, granted, 0),
    ] {
        let plugin = home.load(&component, manifest, grant)?;
        assert_eq!(plugin.call("f", &Value::Null).await, Ok(json!(expected)), "{manifest}");
    }
    Ok(())
}

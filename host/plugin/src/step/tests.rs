//! A step that writes twice with one key writes once, one that fails leaves nothing, and what it gave is found again.

use anyhow::Result;
use serde_json::json;

use super::*;
use crate::testing::{Home, component};
use crate::{Grant, Host, HostOptions, Manifest};

const WIT: &str = "package test:test;
    world w {
        import wasi:keyvalue/store@0.2.0-draft;
        import pawl:host/step@0.1.0;
        export put: func(value: u32, how: u32) -> result<u32>;
        export get: func() -> u32;
        export step-key: func() -> option<string>;
    }
    package pawl:host@0.1.0 { interface step { key: func() -> option<string>; } }
    package wasi:keyvalue@0.2.0-draft {
        interface store {
            variant error { no-such-store, access-denied, other(string) }
            resource bucket {
                get: func(key: string) -> result<option<list<u8>>, error>;
                set: func(key: string, value: list<u8>) -> result<_, error>;
            }
            open: func(identifier: string) -> result<bucket, error>;
        }
    }";

/// `put` writes a byte under the key `k`, whatever the store says, and then succeeds (0), fails (1) or traps (2); `get` gives the
/// byte, or 255 where there is none.
const MODULE: &str = r#"(module
    (import "wasi:keyvalue/store@0.2.0-draft" "open" (func $open (param i32 i32 i32)))
    (import "wasi:keyvalue/store@0.2.0-draft" "[method]bucket.get" (func $get (param i32 i32 i32 i32)))
    (import "wasi:keyvalue/store@0.2.0-draft" "[method]bucket.set"
        (func $set (param i32 i32 i32 i32 i32 i32)))
    (import "pawl:host/step@0.1.0" "key" (func $key (param i32)))
    (memory (export "memory") 1)
    (data (i32.const 8) "k")
    (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) (i32.const 4096))
    (func $bucket (result i32) (call $open (i32.const 0) (i32.const 0) (i32.const 32)) (i32.load (i32.const 36)))
    (func (export "put") (param $value i32) (param $how i32) (result i32)
        (i32.store8 (i32.const 16) (local.get $value))
        (call $set (call $bucket) (i32.const 8) (i32.const 1) (i32.const 16) (i32.const 1) (i32.const 64))
        (if (i32.eq (local.get $how) (i32.const 2)) (then unreachable))
        (i32.store8 (i32.const 96) (local.get $how))
        (i32.store (i32.const 100) (local.get $value))
        (i32.const 96))
    (func (export "get") (result i32)
        (call $get (call $bucket) (i32.const 8) (i32.const 1) (i32.const 64))
        (if (result i32) (i32.load8_u (i32.const 68))
            (then (i32.load8_u (i32.load (i32.const 72)))) (else (i32.const 255))))
    (func (export "step-key") (result i32) (call $key (i32.const 64)) (i32.const 64)))"#;

fn load(home: &Home) -> Result<Plugin> {
    let grant = Grant { keyvalue: true, ..Grant::default() };
    home.load(&component(WIT, MODULE)?, "[capabilities]\nkeyvalue = true", grant)
}

fn put(value: u32, how: u32) -> Value {
    json!({"value": value, "how": how})
}

#[tokio::test]
async fn a_step_that_is_tried_again_writes_once_and_what_it_gave_is_found_again() -> Result<()> {
    let home = Home::new()?;
    let plugin = load(&home)?;
    assert_eq!(plugin.recorded("r1/1").await, Ok(None));
    assert_eq!(plugin.call_once("put", &put(1, 0), "r1/1").await, Ok(json!(1)));
    assert_eq!(plugin.recorded("r1/1").await, Ok(Some(json!(1))));
    // Also where the guest says that it succeeded, failed or is gone.
    for how in [0, 1, 2] {
        assert_eq!(plugin.call_once("put", &put(2, how), "r1/1").await, Err(CallError::Recorded));
    }
    assert_eq!(plugin.call("get", &json!({})).await, Ok(json!(1)));
    // Reading is no effect: it is not recorded, and may be repeated.
    for _ in 0..2 {
        assert_eq!(plugin.call_once("get", &json!({}), "r1/2").await, Ok(json!(1)));
        assert_eq!(plugin.recorded("r1/2").await, Ok(None));
    }
    // A host that was started anew.
    let keyvalue = home.folder.path().join("keyvalue.sqlite");
    let again = Home { host: Host::new(HostOptions { compiled: None, compiler: None, keyvalue })?, ..home };
    let plugin = load(&again)?;
    assert_eq!(plugin.recorded("r1/1").await, Ok(Some(json!(1))));
    assert_eq!(plugin.call_once("put", &put(2, 0), "r1/1").await, Err(CallError::Recorded));
    assert_eq!(plugin.call_once("put", &put(2, 0), "r2/1").await, Ok(json!(2)));
    assert_eq!(plugin.call("get", &json!({})).await, Ok(json!(2)));
    Ok(())
}

#[tokio::test]
async fn a_step_that_fails_or_traps_after_a_write_leaves_nothing() -> Result<()> {
    let home = Home::new()?;
    let plugin = load(&home)?;
    let failed = plugin.call_once("put", &put(1, 1), "r1/1").await;
    assert!(matches!(failed, Err(CallError::Guest(_))), "{failed:?}");
    let trapped = plugin.call_once("put", &put(1, 2), "r1/1").await;
    assert!(matches!(trapped, Err(CallError::Trap { .. })), "{trapped:?}");
    assert_eq!(plugin.call("get", &json!({})).await, Ok(json!(255)));
    assert_eq!(plugin.recorded("r1/1").await, Ok(None));
    assert_eq!(plugin.call_once("put", &put(3, 0), "r1/1").await, Ok(json!(3)));
    assert_eq!(plugin.call("get", &json!({})).await, Ok(json!(3)));
    Ok(())
}

#[tokio::test]
async fn a_call_without_a_key_writes_as_before() -> Result<()> {
    let home = Home::new()?;
    let plugin = load(&home)?;
    let trapped = plugin.call("put", &put(1, 2)).await;
    assert!(matches!(trapped, Err(CallError::Trap { .. })), "{trapped:?}");
    assert_eq!(plugin.call("put", &put(2, 0)).await, Ok(json!(2)));
    assert_eq!(plugin.call("put", &put(3, 0)).await, Ok(json!(3)));
    assert_eq!(plugin.call("get", &json!({})).await, Ok(json!(3)));
    Ok(())
}

#[tokio::test]
async fn the_guest_learns_its_steps_key_and_a_call_that_is_none_has_none() -> Result<()> {
    let home = Home::new()?;
    let plugin = home.load(&component(WIT, MODULE)?, "", Grant::default())?;
    assert_eq!(plugin.call("step-key", &json!({})).await, Ok(Value::Null));
    assert_eq!(plugin.call_once("step-key", &json!({}), "r12/4.2.1").await, Ok(json!("r12/4.2.1")));
    let odd = plugin.call_once("step-key", &json!({}), "two words").await;
    assert!(matches!(&odd, Err(CallError::NotRecordable(said)) if said.contains("two words")), "{odd:?}");
    Ok(())
}

#[test]
fn what_a_call_can_do_follows_from_what_is_requested_and_granted() {
    let post = "host = 'a.test'\nmethods = ['GET', 'POST']";
    let (kv, write) = ("keyvalue = true", "database = ['d']\ndatabase-write = ['d']");
    let granted = "database = { d = { file = 'd', write = true } }";
    for (requested, granted, effects) in [
        ("", "", Effects::None),
        (
            "clocks = true\nrandom = true\nllm = true\nkeyvalue = true",
            "clocks = true\nrandom = true\nllm = true",
            Effects::None,
        ),
        ("database = ['d']", granted, Effects::None),
        (write, "database = { d = 'd' }", Effects::None),
        (kv, kv, Effects::Recorded),
        (write, granted, Effects::Recorded),
        (&format!("{kv}\n{write}"), &format!("{kv}\n{granted}"), Effects::Unknown),
        (&format!("{kv}\n{write}"), granted, Effects::Recorded),
        (
            "filesystem = { '/o' = 'read' }",
            "filesystem = { '/o' = { folder = 'o', access = 'write' } }",
            Effects::None,
        ),
        (
            "filesystem = { '/o' = 'write' }",
            "filesystem = { '/o' = { folder = 'o', access = 'write' } }",
            Effects::Unknown,
        ),
        (&format!("[[capabilities.http]]\n{post}"), &format!("[[http]]\n{post}"), Effects::Unknown),
        (&format!("[[capabilities.http]]\n{post}"), "[[http]]\nhost = 'a.test'", Effects::None),
        (
            &format!("[[capabilities.http]]\n{post}"),
            "[[http]]\nhost = '*.a.test'\nmethods = ['POST']",
            Effects::None,
        ),
        (
            &format!("[[capabilities.http]]\n{post}"),
            "[[http]]\nhost = 'b.test'\nmethods = ['POST']",
            Effects::None,
        ),
        (
            "[[capabilities.http]]\nhost = '*.a.test'\nmethods = ['PUT']",
            "[[http]]\nhost = 'x.a.test'\nmethods = ['PUT']",
            Effects::Unknown,
        ),
        (
            "[[capabilities.http]]\nhost = 'x.a.test'\nmethods = ['PUT']",
            "[[http]]\nhost = '*.a.test'\nmethods = ['PUT']",
            Effects::Unknown,
        ),
        (
            "[[capabilities.http]]\nhost = '*.x.a.test'\nmethods = ['PUT']",
            "[[http]]\nhost = '*.a.test'\nmethods = ['PUT']",
            Effects::Unknown,
        ),
    ] {
        let manifest = format!("name = 'p'\nversion = '1'\ndescription = 'd'\n[capabilities]\n{requested}");
        let manifest = Manifest::parse(&manifest).expect(requested);
        let grant: Grant = toml::from_str(granted).expect(granted);
        let capabilities = Effective::new(&manifest, &grant).expect("no settings");
        assert_eq!(Effects::of(&capabilities), effects, "{requested} / {granted}");
    }
}

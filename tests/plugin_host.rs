//! The plugin host against a guest that does everything wrong: each misbehaviour is contained and told from the
//! others, nothing leaks from one call into the next, and every WIT type goes through JSON and back.

use std::time::Duration;

use anyhow::{Result, ensure};
use pawl_plugin::{CallError, Error, Grant, Manifest, Plugin};
use pawl_tests::plugins::{component, guest_error, host, load, load_guest};
use serde_json::{Value, json};

/// The hostile guest with short limits.
fn hostile(data: &std::path::Path) -> Result<Plugin> {
    load_guest(&host(data)?, "hostile", |manifest| manifest.limits.time = Duration::from_millis(300))
}

async fn healthy(plugin: &Plugin) -> Result<()> {
    let sum = plugin.call("add", &json!({"a": 2, "b": 40})).await;
    ensure!(sum == Ok(json!(42)), "a healthy call failed: {sum:?}");
    Ok(())
}

/// What a call must end as.
enum Ends {
    Limit(&'static str),
    Trap(&'static str),
    Guest(Value),
}

impl Ends {
    fn check(&self, outcome: &std::result::Result<Value, CallError>) -> bool {
        match (self, outcome) {
            (Ends::Limit(name), Err(CallError::Limit { limit, value })) => limit == name && !value.is_empty(),
            (Ends::Trap(part), Err(CallError::Trap { message })) => message.contains(part),
            (Ends::Guest(expected), Err(CallError::Guest(payload))) => payload == expected,
            _ => false,
        }
    }
}

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
        ("trap", json!({}), Ends::Trap("")),
        ("exit-now", json!({"code": 1}), Ends::Trap("")),
        ("guest-error", json!({"message": "no such drum"}), Ends::Guest(json!("no such drum"))),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn every_misdeed_is_contained_and_told_from_the_others() -> Result<()> {
    let data = tempfile::tempdir()?;
    let plugin = hostile(data.path())?;
    for (function, arguments, ends) in misdeeds() {
        let outcome = plugin.call(function, &arguments).await;
        let told = format!("{outcome:?}");
        let told: String = told.chars().take(300).collect();
        assert!(ends.check(&outcome), "{function}: {told}");
        healthy(&plugin).await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_megabytes_are_refused_also_where_memory_allows_them() -> Result<()> {
    let data = tempfile::tempdir()?;
    let plugin = load_guest(&host(data.path())?, "hostile", |manifest| manifest.limits.memory = 512 << 20)?;
    for function in ["return-bytes", "return-text"] {
        let outcome = plugin.call(function, &json!({"count": 100_000_000})).await;
        assert!(Ends::Limit("output").check(&outcome), "{function}");
    }
    healthy(&plugin).await
}

#[tokio::test(flavor = "multi_thread")]
async fn healthy_calls_go_on_beside_misdeeds() -> Result<()> {
    let data = tempfile::tempdir()?;
    let plugin = hostile(data.path())?;
    let mut bad = Vec::new();
    for (function, arguments, ends) in misdeeds() {
        let plugin = plugin.clone();
        bad.push(tokio::spawn(async move {
            let outcome = plugin.call(function, &arguments).await;
            ensure!(ends.check(&outcome), "{function} ended otherwise");
            Ok(())
        }));
    }
    for _ in 0..50 {
        healthy(&plugin).await?;
    }
    for task in bad {
        task.await??;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_output_neither_fails_the_call_nor_reaches_the_result() -> Result<()> {
    let data = tempfile::tempdir()?;
    let plugin = load_guest(&host(data.path())?, "hostile", |manifest| {
        manifest.limits.time = Duration::from_secs(20);
    })?;
    // Ending by a limit would do too; what must not happen is a host that keeps it all or fails.
    match plugin.call("log-much", &json!({"bytes": 20_000_000})).await {
        Ok(Value::Null) | Err(CallError::Limit { .. } | CallError::Trap { .. }) => {}
        other => panic!("{other:?}"),
    }
    healthy(&plugin).await
}

#[tokio::test(flavor = "multi_thread")]
async fn each_call_has_an_instance_of_its_own() -> Result<()> {
    let data = tempfile::tempdir()?;
    let plugin = hostile(data.path())?;
    for _ in 0..3 {
        assert_eq!(plugin.call("count", &json!({})).await, Ok(json!(1)));
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_sees_no_file_no_network_and_no_environment() -> Result<()> {
    let data = tempfile::tempdir()?;
    let plugin = hostile(data.path())?;
    let secret = data.path().join("secret");
    std::fs::write(&secret, "here")?;
    for path in ["/etc/passwd", "secret", ".", &secret.display().to_string()] {
        guest_error(plugin.call("read-file", &json!({"path": path})).await)?;
    }
    guest_error(plugin.call("write-file", &json!({"path": secret.display().to_string()})).await)?;
    assert_eq!(std::fs::read_to_string(&secret)?, "here");
    let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    guest_error(plugin.call("connect-to", &json!({"address": listener.local_addr()?.to_string()})).await)?;
    assert_eq!(plugin.call("surroundings", &json!({})).await, Ok(json!([])));
    Ok(())
}

fn label(text: &str) -> Value {
    json!({"text": text, "tags": ["a", ""], "note": null})
}

fn everything() -> Value {
    json!({
        "flag": true,
        "letter": "🦀",
        "text": "Größe 中文 \u{0}\n\"",
        "numbers": numbers(false),
        "colour": "dark-green",
        "permissions": ["read", "execute-all"],
        "shapes": ["nothing", {"circle": 1.5}, {"polygon": [[1, -2], [2147483647, -2147483648_i64]]}, {"labelled": label("x")}],
        "maybe": 7,
        "perhaps": {"some": "deep"},
        "outcome": {"ok": 3},
        "done": {"err": "blue"},
        "checked": {"ok": 255},
        "bare": {"ok": null},
        "pair": ["one", 1],
        "bytes": [0, 127, 255],
        "nested": [[], [null, label("")]],
    })
}

fn numbers(low: bool) -> Value {
    if low {
        return json!({
            "tiny": 0, "signed-tiny": i8::MIN, "small": 0, "signed-small": i16::MIN, "medium": 0,
            "signed-medium": i32::MIN, "large": 0, "signed-large": i64::MIN, "single": -0.5, "double": -1e300,
        });
    }
    json!({
        "tiny": u8::MAX, "signed-tiny": i8::MAX, "small": u16::MAX, "signed-small": i16::MAX, "medium": u32::MAX,
        "signed-medium": i32::MAX, "large": u64::MAX, "signed-large": i64::MAX, "single": 0.25, "double": 1e-300,
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn every_wit_type_comes_back_as_it_was_given() -> Result<()> {
    let data = tempfile::tempdir()?;
    let plugin = hostile(data.path())?;
    let mut other = everything();
    for (key, value) in [
        ("flag", json!(false)),
        ("permissions", json!([])),
        ("shapes", json!([])),
        ("maybe", json!(null)),
        ("perhaps", json!(null)),
        ("outcome", json!({"err": ""})),
        ("done", json!({"ok": null})),
        ("checked", json!({"err": null})),
        ("bare", json!({"err": null})),
        ("numbers", numbers(true)),
    ] {
        other[key] = value;
    }
    let mut some_none = everything();
    some_none["perhaps"] = json!({"some": null});
    for value in [everything(), other, some_none] {
        let given = json!({ "value": value });
        assert_eq!(plugin.call("repeat-everything", &given).await, Ok(value));
    }
    for value in [numbers(false), numbers(true)] {
        assert_eq!(plugin.call("repeat-numbers", &json!({ "value": value })).await, Ok(value));
    }
    let several = json!({"flag": false, "letter": "é", "text": "", "maybe": "m"});
    assert_eq!(plugin.call("repeat-several", &several).await, Ok(json!([false, "é", "", "m"])));
    let without = json!({"flag": false, "letter": "é", "text": ""});
    assert_eq!(plugin.call("repeat-several", &without).await, Ok(json!([false, "é", "", null])));
    assert_eq!(plugin.call("do-nothing", &json!({})).await, Ok(Value::Null));
    let ok = json!({"value": {"ok": {"circle": 2.5}}});
    assert_eq!(plugin.call("repeat-outcome", &ok).await, Ok(json!({"circle": 2.5})));
    let err = json!({ "value": { "err": label("no") } });
    assert_eq!(guest_error(plugin.call("repeat-outcome", &err).await)?, label("no"));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_function_takes_and_gives_is_valid_under_its_schemas() -> Result<()> {
    let data = tempfile::tempdir()?;
    let plugin = hostile(data.path())?;
    let tool = |function: &str| plugin.tools().iter().find(|tool| tool.function == function);
    for tool in plugin.tools() {
        assert_eq!(tool.name, format!("hostile.{}", tool.function));
        jsonschema::validator_for(&tool.parameters)?;
        jsonschema::validator_for(&tool.result)?;
    }
    let repeat = tool("repeat-everything").ok_or_else(|| anyhow::anyhow!("no repeat-everything"))?;
    assert_eq!(repeat.description, "Every WIT type at once.");
    assert_eq!(repeat.parameters["properties"]["value"]["description"], "what to give back");
    let mut value = everything();
    // What a model may write is narrower than what the types hold: 64-bit numbers as far as floats are exact.
    value["numbers"]["large"] = json!(1);
    value["numbers"]["signed-large"] = json!(-1);
    value["text"] = json!("Größe 中文");
    let valid = |schema: &Value, value: &Value| -> Result<(), String> {
        let validator = jsonschema::validator_for(schema).map_err(|error| error.to_string())?;
        validator.validate(value).map_err(|error| format!("{} at {}", error, error.instance_path()))
    };
    assert_eq!(valid(&repeat.parameters, &json!({ "value": value })), Ok(()));
    assert_eq!(valid(&repeat.result, &everything()), Ok(()));
    value["colour"] = json!("pink");
    assert!(valid(&repeat.parameters, &json!({ "value": value })).is_err());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_arguments_are_named_and_nothing_runs() -> Result<()> {
    let data = tempfile::tempdir()?;
    let plugin = hostile(data.path())?;
    let everything_but = |key: &str, value: Value| {
        let mut all = everything();
        all[key] = value;
        json!({ "value": all })
    };
    for (arguments, place) in [
        (json!(null), "$"),
        (json!([1]), "$"),
        (json!({}), "$.value"),
        (json!({"value": everything(), "extra": 1}), "extra"),
        (everything_but("letter", json!("ab")), "$.value.letter"),
        (everything_but("numbers", json!({})), "$.value.numbers"),
        (everything_but("colour", json!("green")), "$.value.colour"),
        (everything_but("permissions", json!(["fly"])), "$.value.permissions"),
        (everything_but("shapes", json!([{"circle": "round"}])), "$.value.shapes[0]"),
        (everything_but("bytes", json!([1, 256])), "$.value.bytes[1]"),
        (everything_but("pair", json!(["one"])), "$.value.pair"),
        (everything_but("outcome", json!({"ok": 1, "err": "x"})), "$.value.outcome"),
        (everything_but("perhaps", json!("bare")), "$.value.perhaps"),
    ] {
        match plugin.call("repeat-everything", &arguments).await {
            Err(CallError::Arguments { path, message }) => {
                assert!(path.contains(place) || message.contains(place), "{place}: {path}: {message}");
            }
            other => panic!("{place}: {other:?}"),
        }
    }
    match plugin.call("add-up", &json!({})).await {
        Err(error @ CallError::UnknownFunction { .. }) => {
            assert!(error.to_string().contains("add"), "{error}")
        }
        other => panic!("{other:?}"),
    }
    Ok(())
}

#[test]
fn what_is_no_component_is_refused_with_its_path() -> Result<()> {
    let data = tempfile::tempdir()?;
    let host = host(data.path())?;
    // Built, so that it can be cut in half.
    load(&host, "calendar", Grant::default())?;
    let whole = std::fs::read(component("calendar"))?;
    let cases: [(&str, &[u8]); 6] = [
        ("empty.wasm", b""),
        ("text.wasm", b"not a component, however long this line may be"),
        ("picture.wasm", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"),
        ("module.wasm", b"\0asm\x01\0\0\0"),
        ("half.wasm", &whole[..whole.len() / 2]),
        ("start.wasm", &whole[..11]),
    ];
    let manifest =
        || -> Result<Manifest> { Ok(Manifest::read(&component("calendar").with_file_name("plugin.toml"))?) };
    for (name, bytes) in cases {
        let path = data.path().join(name);
        std::fs::write(&path, bytes)?;
        match host.load(&path, manifest()?, Grant::default()) {
            Err(error @ (Error::NotAComponent { .. } | Error::Component { .. })) => {
                assert!(error.to_string().contains(name), "{error}");
            }
            Err(error) => panic!("{name}: {error}"),
            Ok(_) => panic!("{name} was loaded"),
        }
    }
    match host.load(&data.path().join("absent.wasm"), manifest()?, Grant::default()) {
        Err(error @ Error::Io { .. }) => assert!(error.to_string().contains("absent.wasm"), "{error}"),
        _ => panic!("an absent file was not told"),
    }
    Ok(())
}

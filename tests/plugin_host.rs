//! The plugin host and what goes through it: every WIT type as JSON and back, under the schemas that are offered, and
//! wrong arguments named before anything runs. What a guest does wrong: `hostile.rs`.

use anyhow::Result;
use pawl_plugin::{CallError, Plugin};
use pawl_tests::plugins::{guest_error, host, load_guest};
use serde_json::{Value, json};

/// The guest that gives back what it gets.
fn echo(data: &std::path::Path) -> Result<Plugin> {
    load_guest(&host(data)?, "hostile", |_| {})
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
    let plugin = echo(data.path())?;
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
    let plugin = echo(data.path())?;
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
    let plugin = echo(data.path())?;
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

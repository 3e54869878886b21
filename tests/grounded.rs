//! What the model writes where a plugin says what exists: only that, as it is now. And a plugin that lies about it
//! harms nobody.

use anyhow::{Context, Result};
use pawl_plugin::{CallError, Grant, Refined};
use pawl_tests::plugins::{host, load_guest_with, target};
use pawl_tests::server::{Options, Server};
use serde_json::{Value, json};

fn grant() -> Grant {
    Grant { keyvalue: true, ..Grant::default() }
}

/// The schema of `take`'s argument, and why it cannot be called.
fn take(refined: &[Refined]) -> (Value, Option<String>) {
    let take = refined.iter().find(|refined| refined.tool.function == "take").expect("the guest has it");
    (take.tool.parameters["properties"]["name"].clone(), take.unavailable.clone())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_exists_is_known_anew_after_each_call() -> Result<()> {
    let data = tempfile::tempdir()?;
    let shelf = load_guest_with(&host(data.path())?, "shelf", grant())?;
    let functions: Vec<&str> = shelf.tools().iter().map(|tool| tool.function.as_str()).collect();
    assert_eq!(functions, ["put", "take", "lie"], "refine itself is no tool");
    assert!(take(&shelf.refined().await?).1.is_some(), "there is nothing to take");
    for name in ["vase", "say \"hi\" \\ 李"] {
        shelf.call("put", &json!({ "name": name })).await?;
    }
    let (name, unavailable) = take(&shelf.refined().await?);
    assert_eq!((&name["enum"], unavailable), (&json!(["vase", "say \"hi\" \\ 李"]), None));
    shelf.call("take", &json!({"name": "vase"})).await?;
    assert_eq!(take(&shelf.refined().await?).0["enum"], json!(["say \"hi\" \\ 李"]));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lie_ends_as_an_error_that_names_it() -> Result<()> {
    let data = tempfile::tempdir()?;
    let shelf = load_guest_with(&host(data.path())?, "shelf", grant())?;
    for (lie, said) in [
        ("loop", "time limit"),
        ("trap", "nobody knows what is there"),
        ("error", "nobody knows what is there"),
        ("function", "`/name` of drop-all: there is no such function"),
        ("path", "`/no/such/place` of take: there is no string at this place"),
        ("many", "50000 choices; 2000 at most"),
        ("repeat", "10000 refinements; 64 at most"),
    ] {
        shelf.call("lie", &json!({ "how": lie })).await?;
        let error = shelf.refined().await.expect_err(lie);
        assert!(error.to_string().contains(said), "{lie}: {error}");
        // The plugin itself still works, for a person.
        assert!(matches!(shelf.call("take", &json!({"name": "vase"})).await, Err(CallError::Guest(_))));
    }
    Ok(())
}

fn serve(folder: &tempfile::TempDir) -> Result<Server> {
    let guests = target().canonicalize()?.join("guests");
    let (shelf, hostile) = (guests.join("shelf"), guests.join("hostile"));
    let settings = format!(
        "[model]\ncontext = 4096\n[chat]\nmax-rounds = 2\nmax-tokens = 48\n\
         [plugins.shelf]\npath = {shelf:?}\n[plugins.shelf.grant]\nkeyvalue = true\n[plugins.hostile]\npath = {hostile:?}\n"
    );
    Server::start(&Options { model: "smollm2-135m-instruct-q4_1", settings: Some(settings) }, folder.path())
}

/// A turn in which the model has to call a tool, and the status of the answer.
async fn forced(server: &Server, tool: &str, text: &str) -> Result<(u16, Value)> {
    let body = json!({"model": "default", "messages": [{"role": "user", "content": text}],
        "tool_choice": {"type": "function", "function": {"name": tool}}});
    server.post("/v1/chat/completions", &body).await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_model_writes_only_what_exists_and_a_lie_costs_only_the_liar() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let server = serve(&folder)?;
    for name in ["quartz vase", "zinc \"bowl\""] {
        server.post("/v1/tools/shelf.put", &json!({ "name": name })).await?;
    }
    let mut taken = Vec::new();
    for _ in 0..2 {
        let (status, answer) =
            forced(&server, "shelf__take", "Take the golden crown from the shelf!").await?;
        assert_eq!(status, 200, "{answer}");
        let call = answer["pawl"]["calls"][0].clone();
        assert_eq!(call["result"], call["arguments"]["name"], "it was there: {call}");
        taken.push(call["result"].as_str().context("a name")?.to_owned());
    }
    taken.sort_unstable();
    assert_eq!(taken, ["quartz vase", "zinc \"bowl\""]);
    let (status, error) = forced(&server, "shelf__take", "Take the golden crown!").await?;
    assert_eq!(
        (status, &error["error"]["code"]),
        (404, &json!("tool_not_found")),
        "nothing is left: {error}"
    );

    for lie in ["pattern", "lark", "escape", "trap"] {
        server.post("/v1/tools/shelf.lie", &json!({ "how": lie })).await?;
        let (status, error) = forced(&server, "shelf__take", "Take the golden crown!").await?;
        assert_eq!((status, &error["error"]["code"]), (404, &json!("tool_not_found")), "{lie}: {error}");
        let (_, tools) = server.get("/v1/tools").await?;
        assert!(tools["not_offered"]["shelf.take"].is_string(), "{lie}: {tools}");
        let (status, answer) = forced(&server, "hostile__add", "2 and 3").await?;
        assert_eq!((status, answer["pawl"]["calls"][0]["result"].is_u64()), (200, true), "{lie}: {answer}");
    }
    Ok(())
}

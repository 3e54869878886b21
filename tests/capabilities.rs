//! What a plugin reaches: every capability not requested, requested only, granted only and both, tried by a guest that
//! goes to the interfaces themselves (`tests/guests/probe`); and what a capability that it has does not give.

#[path = "capabilities/filesystem.rs"]
mod filesystem;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use pawl_plugin::{
    Answer, CallError, Capabilities, Completion, Grant, Host, Model, ModelError, Plugin, Shape,
};
use pawl_tests::plugins::{host, load_granted};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

/// A model that says what it was asked, and remembers it.
#[derive(Default)]
struct Echo(Mutex<Vec<Completion>>);

impl Model for Echo {
    fn complete(&self, completion: Completion) -> Answer<'_, String> {
        self.0.lock().expect("no test panics with it").push(completion.clone());
        Box::pin(async move {
            let last = completion.messages.last().map(|message| message.content.clone()).unwrap_or_default();
            match last.as_str() {
                "wait" => std::future::pending().await,
                "go on" => Err(ModelError::Truncated),
                _ if matches!(completion.shape, Shape::Json(_)) => Ok(format!("{{\"said\":{last:?}}}")),
                _ => Ok(last),
            }
        })
    }

    fn embed(&self, texts: Vec<String>) -> Answer<'_, Vec<Vec<f32>>> {
        Box::pin(async move { Ok(texts.iter().map(|_| vec![0.5; 3]).collect()) })
    }
}

/// A host with a model, and folders and files to grant.
struct World {
    data: tempfile::TempDir,
    host: Host,
    model: Arc<Echo>,
}

impl World {
    fn new() -> Result<World> {
        let data = tempfile::tempdir()?;
        let path = data.path();
        for folder in ["in", "out", "docs"] {
            std::fs::create_dir(path.join(folder))?;
        }
        std::fs::write(path.join("in/a.txt"), "from the host")?;
        std::fs::write(path.join("out/b.txt"), "before")?;
        std::fs::write(path.join("docs/contract.txt"), "it is agreed")?;
        std::fs::write(path.join("secret.txt"), "nobody's")?;
        rusqlite::Connection::open(path.join("shop.sqlite"))?.execute_batch("CREATE TABLE t (x)")?;
        let (host, model) = (host(path)?, Arc::<Echo>::default());
        ensure!(host.set_model(Arc::clone(&model) as Arc<dyn Model>), "the first model stays");
        Ok(World { data, host, model })
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.data.path().join(name)
    }

    /// The probe with what it asks for and what it is granted, as TOML; `{data}` is the folder of this world.
    fn probe(&self, requested: &str, granted: &str) -> Result<Plugin> {
        self.probe_for(requested, granted, Duration::from_secs(10))
    }

    fn probe_for(&self, requested: &str, granted: &str, time: Duration) -> Result<Plugin> {
        let data = self.data.path().display().to_string();
        let capabilities: Capabilities = toml::from_str(requested).with_context(|| requested.to_owned())?;
        let grant: Grant =
            toml::from_str(&granted.replace("{data}", &data)).with_context(|| granted.to_owned())?;
        load_granted(&self.host, "probe", grant, |manifest| {
            manifest.capabilities = capabilities;
            manifest.limits.time = time;
        })
    }
}

/// A server on the loopback interface that answers everything with `hello`; its port.
async fn server() -> Result<u16> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let port = listener.local_addr()?.port();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut head = Vec::new();
                // What is posted comes in chunks, which end with an empty one.
                let end =
                    |head: &[u8]| if head.starts_with(b"POST") { &b"0\r\n\r\n"[..] } else { b"\r\n\r\n" };
                while !head.ends_with(end(&head)) {
                    head.push(stream.read_u8().await?);
                }
                stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello").await
            });
        }
    });
    Ok(port)
}

/// One line of the matrix: what is asked for and granted, and a call that succeeds with `allowed` when both are so and
/// ends as `denied` in every other case.
struct Line {
    capability: &'static str,
    requested: String,
    granted: String,
    call: (&'static str, Value),
    allowed: Value,
    denied: Denied,
}

enum Denied {
    /// The guest's own error, which holds the interface's denial.
    Error(&'static str),
    /// A result that gives nothing away.
    Result(Value),
}

fn line(
    capability: &'static str,
    requested: impl Into<String>,
    granted: impl Into<String>,
    call: (&'static str, Value),
    allowed: Value,
    denied: Denied,
) -> Line {
    Line { capability, requested: requested.into(), granted: granted.into(), call, allowed, denied }
}

fn files(folder: &str, deed: &str, path: &str, other: &str) -> (&'static str, Value) {
    ("files", json!({ "folder": folder, "deed": deed, "path": path, "other": other }))
}

fn matrix(port: u16) -> Vec<Line> {
    use Denied::{Error, Result as Gives};
    let rule = format!("host = '127.0.0.1'\nscheme = 'http'\nports = [{port}]");
    vec![
        line(
            "keyvalue",
            "keyvalue = true",
            "keyvalue = true",
            ("keep", json!({"key": "k", "value": "v"})),
            json!("v"),
            Error("AccessDenied"),
        ),
        line(
            "config",
            "config = ['region']",
            "config = { region = 'eu' }",
            ("setting", json!({"key": "region"})),
            json!("eu"),
            Gives(Value::Null),
        ),
        line(
            "config, all of it",
            "config = ['region']",
            "config = { region = 'eu' }",
            ("settings", json!({})),
            json!([["region", "eu"]]),
            Gives(json!([])),
        ),
        line(
            "database",
            "database = ['shop']",
            "database = { shop = '{data}/shop.sqlite' }",
            ("tables", json!({"database": "shop"})),
            json!(["t"]),
            Error("NotGranted"),
        ),
        line(
            "documents, list",
            "documents = ['contracts']",
            "documents = { contracts = '{data}/docs' }",
            ("list-documents", json!({"collection": "contracts"})),
            json!(["contract.txt"]),
            Error("NotGranted"),
        ),
        line(
            "documents, read",
            "documents = ['contracts']",
            "documents = { contracts = '{data}/docs' }",
            ("read-document", json!({"collection": "contracts", "id": "contract.txt"})),
            json!("it is agreed"),
            Error("NotGranted"),
        ),
        line(
            "llm, completion",
            "llm = true",
            "llm = true",
            ("ask", json!({"prompt": "hello", "times": 1})),
            json!("hello"),
            Error("NotGranted"),
        ),
        line(
            "llm, embedding",
            "llm = true",
            "llm = true",
            ("embed", json!({"text": "x"})),
            json!(3),
            Error("NotGranted"),
        ),
        line(
            "http",
            format!("[[http]]\n{rule}"),
            format!("[[http]]\n{rule}\nprivate = true"),
            ("fetch", json!({"method": "GET", "url": format!("http://127.0.0.1:{port}/"), "body": ""})),
            json!([200, "hello"]),
            Error("HttpRequestDenied"),
        ),
        line(
            "filesystem, read",
            "filesystem = { '/in' = 'read' }",
            "filesystem = { '/in' = { folder = '{data}/in' } }",
            files("/in", "read", "a.txt", ""),
            json!("from the host"),
            Error("no such folder"),
        ),
        line(
            "filesystem, write",
            "filesystem = { '/out' = 'write' }",
            "filesystem = { '/out' = { folder = '{data}/out', access = 'write' } }",
            files("/out", "create", "new.txt", "text"),
            json!(""),
            Error("no such folder"),
        ),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_capability_is_there_where_it_is_requested_and_granted_and_nowhere_else() -> Result<()> {
    let port = server().await?;
    let world = World::new()?;
    for Line { capability, requested, granted, call, allowed, denied } in matrix(port) {
        for (asked, given) in [("", ""), (&*requested, ""), ("", &*granted), (&*requested, &*granted)] {
            let plugin = world.probe(asked, given)?;
            let outcome = plugin.call(call.0, &call.1).await;
            let case = format!("{capability}: requested {asked:?}, granted {given:?}: {outcome:?}");
            match &denied {
                _ if !asked.is_empty() && !given.is_empty() => ensure!(outcome == Ok(allowed.clone()), case),
                Denied::Result(nothing) => ensure!(outcome == Ok(nothing.clone()), case),
                Denied::Error(said) => {
                    let Err(CallError::Guest(Value::String(error))) = &outcome else { anyhow::bail!(case) };
                    ensure!(error.contains(said), case);
                }
            }
        }
    }
    Ok(())
}

/// The four ways in which a switch such as `clocks` can stand, and whether it is effective.
fn switch(name: &str) -> [(String, String, bool); 4] {
    let on = format!("{name} = true");
    let off = String::new;
    [(off(), off(), false), (on.clone(), off(), false), (off(), on.clone(), false), (on.clone(), on, true)]
}

#[tokio::test(flavor = "multi_thread")]
async fn without_clocks_it_is_always_the_first_of_january_2000() -> Result<()> {
    let world = World::new()?;
    for (requested, granted, effective) in switch("clocks") {
        let plugin = world.probe(&requested, &granted)?;
        let times = plugin.call("clocks", &json!({})).await?;
        let [wall, before, after] = [0, 1, 2].map(|index| times[index].as_u64().unwrap_or_default());
        if effective {
            // The sleep of a millisecond is seen; no machine that runs this is before 2020.
            ensure!(wall > 1_577_836_800 && after >= before + 1_000_000, "{times}");
        } else {
            ensure!((wall, before, after) == (946_684_800, 0, 0), "{requested:?} {granted:?}: {times}");
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn without_random_every_call_sees_the_same_numbers() -> Result<()> {
    let world = World::new()?;
    for (requested, granted, effective) in switch("random") {
        let plugin = world.probe(&requested, &granted)?;
        let first = plugin.call("numbers", &json!({})).await?;
        let second = plugin.call("numbers", &json!({})).await?;
        for interface in 0..4 {
            let same = first[interface] == second[interface];
            // Three bytes may be the same by chance.
            ensure!(
                same != effective || (effective && interface == 1),
                "{requested:?} {granted:?}: {first} {second}"
            );
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_that_are_not_for_this_plugin_do_not_exist() -> Result<()> {
    let world = World::new()?;
    let plugin =
        world.probe("config = ['region', 'zone']", "config = { region = 'eu', password = 'hush' }")?;
    for key in ["password", "zone", "nothing", ""] {
        assert_eq!(plugin.call("setting", &json!({"key": key})).await, Ok(Value::Null), "{key}");
    }
    assert_eq!(plugin.call("settings", &json!({})).await, Ok(json!([["region", "eu"]])));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_reaches_the_servers_of_its_rules_and_no_others() -> Result<()> {
    let (port, other) = (server().await?, server().await?);
    let world = World::new()?;
    let rule =
        format!("[[http]]\nhost = '127.0.0.1'\nscheme = 'http'\nports = [{port}]\nmethods = ['GET', 'POST']");
    let plugin = world.probe(&rule, &format!("{rule}\nprivate = true\nmax-response = '1KiB'"))?;
    let fetch = async |method: &str, url: &str, body: &str| {
        plugin.call("fetch", &json!({"method": method, "url": url, "body": body})).await
    };
    let url = format!("http://127.0.0.1:{port}/");
    assert_eq!(fetch("GET", &url, "").await, Ok(json!([200, "hello"])));
    assert_eq!(fetch("POST", &url, "some").await, Ok(json!([200, "hello"])));
    let denied = |outcome: &Result<Value, CallError>, said: &[&str]| match outcome {
        Err(CallError::Guest(Value::String(error))) => said.iter().any(|said| error.contains(said)),
        _ => false,
    };
    for (method, url) in [
        ("DELETE", url.clone()),
        ("GET", format!("http://127.0.0.1:{other}/")),
        ("GET", format!("https://127.0.0.1:{port}/")),
        ("GET", format!("http://localhost:{port}/")),
        ("GET", format!("http://2130706433:{port}/")),
        ("GET", format!("http://0x7f000001:{port}/")),
        ("GET", format!("http://0177.0.0.1:{port}/")),
        ("GET", format!("http://127.1:{port}/")),
        ("GET", format!("http://[::1]:{port}/")),
        ("GET", format!("http://[::ffff:127.0.0.1]:{port}/")),
        ("GET", format!("http://0.0.0.0:{port}/")),
        ("GET", format!("http://user@127.0.0.1:{port}/")),
        ("GET", "http://169.254.169.254/latest/meta-data/".to_owned()),
    ] {
        let outcome = fetch(method, &url, "").await;
        assert!(
            denied(&outcome, &["HttpRequestDenied", "HttpRequestUriInvalid"]),
            "{method} {url}: {outcome:?}"
        );
    }
    let public = world.probe(&rule, &rule)?;
    let outcome = public.call("fetch", &json!({"method": "GET", "url": url, "body": ""})).await;
    assert!(denied(&outcome, &["DestinationIpProhibited"]), "{outcome:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_silent_costs_a_call_its_time_and_no_more() -> Result<()> {
    for said in ["", "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhello"] {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let port = listener.local_addr()?.port();
        let world = World::new()?;
        let rule = format!("[[http]]\nhost = '127.0.0.1'\nscheme = 'http'\nports = [{port}]");
        let plugin =
            world.probe_for(&rule, &format!("{rule}\nprivate = true"), Duration::from_millis(300))?;
        let server = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await?;
            // An answer before the question is an error of the connection, not a slow server.
            let mut question = Vec::new();
            while !question.ends_with(b"\r\n\r\n") {
                question.push(stream.read_u8().await?);
            }
            stream.write_all(said.as_bytes()).await?;
            std::future::pending::<std::io::Result<()>>().await
        });
        let url = format!("http://127.0.0.1:{port}/");
        let outcome = plugin.call("fetch", &json!({"method": "GET", "url": url, "body": ""})).await;
        server.abort();
        // Whichever of the two clocks is first: the request's end or the call's.
        match &outcome {
            Err(CallError::Limit { limit: "time", .. }) => {}
            Err(CallError::Guest(Value::String(error))) if error.contains("Timeout") => {}
            other => panic!("{said:?}: {other:?}"),
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_model_is_asked_within_the_operators_bounds() -> Result<()> {
    let world = World::new()?;
    let plugin = world.probe("llm = true", "llm = { max-calls = 2, max-tokens = 100 }")?;
    let ask = async |prompt: &str, schema: Option<&str>, tokens: Option<u32>, times: u32| {
        let arguments = json!({"prompt": prompt, "schema": schema, "max-tokens": tokens, "times": times});
        plugin.call("ask", &arguments).await
    };
    let failed = |outcome: &Result<Value, CallError>, said: &str| match outcome {
        Err(CallError::Guest(Value::String(error))) => error.contains(said),
        _ => false,
    };
    assert_eq!(ask("hello", None, Some(7), 2).await, Ok(json!("hello")));
    assert_eq!(ask("hi", Some("{\"type\":\"object\"}"), None, 1).await, Ok(json!("{\"said\":\"hi\"}")));
    assert_eq!(ask("more", None, Some(5000), 1).await, Ok(json!("more")));
    let asked = world.model.0.lock().expect("no test panics with it").clone();
    assert_eq!(asked.iter().map(|one| one.max_tokens).collect::<Vec<_>>(), [7, 7, 100, 100]);
    assert_eq!(asked[2].shape, Shape::Json(json!({"type": "object"})));

    let outcome = ask("hello", None, None, 3).await;
    assert!(failed(&outcome, "Limit"), "{outcome:?}");
    for (prompt, schema, said) in [
        ("hello", Some("{"), "Refused"),
        ("hello", Some("17"), "Refused"),
        ("go on", None, "Truncated"),
        (&*"x".repeat(300 << 10), None, "Limit"),
    ] {
        let outcome = ask(prompt, schema, None, 1).await;
        assert!(failed(&outcome, said), "{said}: {outcome:?}");
    }
    let short = world.probe_for("llm = true", "llm = true", Duration::from_millis(200))?;
    let outcome = short.call("ask", &json!({"prompt": "wait", "times": 1})).await;
    assert!(matches!(outcome, Err(CallError::Limit { limit: "time", .. })), "{outcome:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_model_the_answer_is_that_there_is_none() -> Result<()> {
    let data = tempfile::tempdir()?;
    let host = host(data.path())?;
    let grant: Grant = toml::from_str("llm = true")?;
    let plugin = load_granted(&host, "probe", grant, |manifest| manifest.capabilities.llm = true)?;
    let ask = json!({"prompt": "hello", "times": 1});
    let outcome = plugin.call("ask", &ask).await;
    assert!(
        matches!(&outcome, Err(CallError::Guest(Value::String(error))) if error.contains("Unavailable")),
        "{outcome:?}"
    );
    // A plugin that is loaded before the model has it as soon as it is there.
    ensure!(host.set_model(Arc::new(Echo::default())), "the first model stays");
    ensure!(!host.set_model(Arc::new(Echo::default())), "and no other takes its place");
    assert_eq!(plugin.call("ask", &ask).await, Ok(json!("hello")));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn documents_are_those_of_the_collection_and_nothing_near_it() -> Result<()> {
    let world = World::new()?;
    let plugin = world.probe(
        "documents = ['contracts']",
        "documents = { contracts = '{data}/docs', letters = '{data}/in' }",
    )?;
    for id in ["../secret.txt", "/etc/passwd", "..", "", "none.txt", "contract.txt/"] {
        let outcome = plugin.call("read-document", &json!({"collection": "contracts", "id": id})).await;
        assert!(
            matches!(&outcome, Err(CallError::Guest(Value::String(error))) if error.contains("Missing")),
            "{id}: {outcome:?}"
        );
    }
    let outcome = plugin.call("list-documents", &json!({"collection": "letters"})).await;
    assert!(
        matches!(&outcome, Err(CallError::Guest(Value::String(error))) if error.contains("NotGranted")),
        "{outcome:?}"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_probe_is_tried_against_every_interface_of_the_host() -> Result<()> {
    let world = World::new()?;
    let plugin = world.probe("", "")?;
    for served in [
        "pawl:host/database",
        "pawl:host/documents",
        "pawl:host/llm",
        "wasi:clocks/monotonic-clock",
        "wasi:clocks/wall-clock",
        "wasi:config/store",
        "wasi:filesystem/types",
        "wasi:http/outgoing-handler",
        "wasi:keyvalue/store",
        "wasi:random/insecure",
        "wasi:random/insecure-seed",
        "wasi:random/random",
    ] {
        let imports = plugin.imports();
        ensure!(imports.iter().any(|import| import.starts_with(served)), "{served}: {imports:?}");
    }
    Ok(())
}

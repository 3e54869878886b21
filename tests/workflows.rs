//! Workflows as people and programs use them: on the command line and over HTTP.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use pawl_tests::server::{Options, Server, pawl};
use rusqlite::Connection;
use serde_json::{Value, json};

#[path = "workflows/record.rs"]
mod record;
#[path = "workflows/screening.rs"]
mod screening;
#[path = "workflows/triggers.rs"]
mod triggers;

const MODEL: &str = "smollm2-135m-instruct-q4_1";

/// A shop that may be written, a calendar, and a folder of workflows.
struct Office {
    folder: tempfile::TempDir,
    settings: PathBuf,
}

impl Office {
    fn new(flows: &[(&str, &str)]) -> Result<Office> {
        let folder = tempfile::tempdir()?;
        let shop = Connection::open(folder.path().join("shop.sqlite"))?;
        shop.execute_batch("CREATE TABLE ledger (what TEXT NOT NULL)")?;
        let settings = folder.path().join("pawl.toml");
        std::fs::write(&settings, Office::text())?;
        std::fs::create_dir(folder.path().join("flows"))?;
        let office = Office { folder, settings };
        flows.iter().try_for_each(|(name, text)| office.flow(name, text).map(drop))?;
        Ok(office)
    }

    fn text() -> String {
        "[model]\ncontext = 3072\n[workflows]\nfolder = \"flows\"\n[plugins.calendar.grant]\nkeyvalue = true\nrandom = true\n\
         [plugins.sql.grant]\nclocks = true\n[plugins.sql.grant.database]\nmain = { file = \"shop.sqlite\", write = true }\n"
            .to_owned()
    }

    fn flow(&self, name: &str, text: &str) -> Result<String> {
        let file = self.data().join("flows").join(format!("{name}.rhai"));
        std::fs::write(&file, text)?;
        Ok(file.to_str().context("path")?.to_owned())
    }

    fn data(&self) -> &Path {
        self.folder.path()
    }

    /// Runs `pawl`; its exit code, standard output as JSON where it is, and what it says otherwise.
    fn pawl(&self, arguments: &[&str]) -> Result<(i32, Value, String)> {
        let settings = self.settings.to_str().context("path")?;
        let mut all = vec!["--config", settings];
        all.extend(arguments);
        let (code, out, said) = pawl(&all, self.data())?;
        let value = serde_json::from_str(&out).unwrap_or(Value::String(out));
        Ok((code, value, said))
    }

    fn serve(&self) -> Result<Server> {
        Server::start(&Options { model: MODEL, settings: Some(Office::text()) }, self.data())
    }

    fn ledger(&self) -> Result<i64> {
        let shop = Connection::open(self.data().join("shop.sqlite"))?;
        Ok(shop.query_row("SELECT count(*) FROM ledger", [], |row| row.get(0))?)
    }

    /// What somebody who can write the data folder may do.
    fn expire(&self) -> Result<()> {
        let approvals = Connection::open(self.data().join("approvals.sqlite"))?;
        approvals
            .execute("UPDATE approvals SET expires = '2020-01-01T00:00:00Z' WHERE state = 'waiting'", [])?;
        Ok(())
    }
}

const WRITES: &str = "// Writes a line.\nlet n = input;\nlet done = sql::change(#{sql: `INSERT INTO ledger (what) VALUES ('${n}')`});\ndone.rows";
const CATCHES: &str =
    "let said = \"\"; try { approve(#{pay: input}); } catch (e) { said = `${e.code}: ${e.message}`; } said";

#[test]
fn on_the_command_line_a_run_waits_for_a_person_and_goes_on() -> Result<()> {
    let office = Office::new(&[("writes", WRITES), ("catches", CATCHES)])?;
    let (code, waits, said) = office.pawl(&["run", "writes", "--input", "7", "--by", "ana"])?;
    ensure!(code == 3 && said.contains("pawl approvals approve a1"), "{code} {said}");
    ensure!(waits["run"] == "r1" && waits["waits"][0]["approval"] == "a1", "{waits}");
    ensure!(office.ledger()? == 0, "written before anybody approved");

    let (_, list, _) = office.pawl(&["approvals", "--json"])?;
    let digest = list[0]["digest"].as_str().context("no digest")?.to_owned();
    for (arguments, why) in [
        (vec!["--by", "ana"], "somebody else must decide"),
        (vec!["--by", "ben", "--digest", "0000"], "is for digest"),
    ] {
        let mut all = vec!["approvals", "approve", "a1"];
        all.extend(arguments);
        let (code, _, said) = office.pawl(&all)?;
        ensure!(code == 1 && said.contains(why), "{code} {said}");
    }
    let (code, _, said) = office.pawl(&["approvals", "approve", "a1", "--by", "ben", "--digest", &digest])?;
    ensure!(code == 0 && said.contains("pawl runs resume r1"), "{code} {said}");
    let (code, result, said) = office.pawl(&["runs", "resume", "r1"])?;
    ensure!(code == 0 && result == json!(1) && office.ledger()? == 1, "{code} {result} {said}");
    let (code, _, said) = office.pawl(&["approvals", "approve", "a1", "--by", "carl"])?;
    ensure!(code == 1 && said.contains("is done and cannot be approved"), "{code} {said}");
    ensure!(office.ledger()? == 1, "written twice");

    office.pawl(&["run", "catches", "--input", "1"])?;
    office.expire()?;
    let (code, _, said) = office.pawl(&["approvals", "approve", "a2"])?;
    ensure!(code == 1 && said.contains("is expired"), "{code} {said}");
    let (_, result, _) = office.pawl(&["runs", "resume", "r2"])?;
    ensure!(result.as_str().is_some_and(|said| said.starts_with("expired: ")), "{result}");

    office.pawl(&["run", "catches", "--input", "2"])?;
    office.pawl(&["approvals", "reject", "a3", "--reason", "too much", "--by", "ben"])?;
    let (_, result, _) = office.pawl(&["runs", "resume", "r3"])?;
    ensure!(result == json!("rejected: ben rejected it: too much"), "{result}");

    let (_, shown, _) = office.pawl(&["approvals", "show", "a1", "--json"])?;
    let said: Vec<&str> =
        shown["audit"].as_array().into_iter().flatten().filter_map(|row| row["what"].as_str()).collect();
    ensure!(said == ["asked", "refused", "refused", "approved", "taken", "done", "refused"], "{said:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn over_http_an_approval_survives_a_restart_and_is_refused_to_whoever_must_not_decide() -> Result<()> {
    let office = Office::new(&[
        ("writes", WRITES),
        ("pays", "let who = approve(#{pay: input}, #{people: 2}); who.by"),
    ])?;
    let server = office.serve()?;
    let (status, run) = server.post("/v1/workflows/writes/runs", &json!({"input": 1, "by": "ana"})).await?;
    ensure!(status == 202 && run["id"] == "r1", "{status} {run}");
    let waiting = waiting(&server, 1).await?;
    ensure!(waiting[0]["requester"] == "ana", "{waiting}");
    drop(server);
    let server = office.serve()?;
    let (_, one) = server.get("/v1/approvals/a1").await?;
    ensure!(one["state"] == "waiting" && one["digest"] == waiting[0]["digest"], "{one}");
    for (body, status, code) in [
        (json!({"decision": "approve", "by": "ana"}), 403, "own_approval"),
        (json!({"decision": "approve", "by": "ben", "digest": "0000"}), 409, "not_as_approved"),
    ] {
        let (got, said) = server.post("/v1/approvals/a1", &body).await?;
        ensure!((got, said["error"]["code"].as_str()) == (status, Some(code)), "{got} {said}");
    }
    let body = json!({"decision": "approve", "by": "ben", "digest": one["digest"]});
    let (status, done) = server.post("/v1/approvals/a1", &body).await?;
    ensure!(status == 200 && done["state"] == "done", "{status} {done}");
    let (status, said) = server.post("/v1/approvals/a1", &body).await?;
    ensure!(status == 409 && said["error"]["code"] == "approval_decided", "{status} {said}");
    let run = ended(&server, "r1").await?;
    ensure!(run["outcome"] == json!({"result": 1}) && office.ledger()? == 1, "{run}");

    // Two people, who are two.
    server.post("/v1/workflows/pays/runs", &json!({"input": 100})).await?;
    let waiting = self::waiting(&server, 1).await?;
    let path = format!("/v1/approvals/{}", waiting[0]["id"].as_str().unwrap_or_default());
    let (_, first) = server.post(&path, &json!({"decision": "approve", "by": "ana"})).await?;
    ensure!(first["state"] == "waiting", "{first}");
    let (status, said) = server.post(&path, &json!({"decision": "approve", "by": "ana"})).await?;
    ensure!(status == 403 && said["error"]["code"] == "second_person", "{status} {said}");
    server.post(&path, &json!({"decision": "approve", "by": "ben"})).await?;
    let run = ended(&server, "r2").await?;
    ensure!(run["outcome"] == json!({"result": ["ana", "ben"]}), "{run}");

    // After its time.
    server.post("/v1/workflows/pays/runs", &json!({"input": 5})).await?;
    let waiting = self::waiting(&server, 1).await?;
    let path = format!("/v1/approvals/{}", waiting[0]["id"].as_str().unwrap_or_default());
    office.expire()?;
    let (status, said) = server.post(&path, &json!({"decision": "approve", "by": "ben"})).await?;
    ensure!(status == 409 && said.to_string().contains("expired"), "{status} {said}");
    let run = ended(&server, "r3").await?;
    ensure!(run["state"] == "failed" && run["outcome"]["error"]["code"] == "expired", "{run}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_stops_although_somebody_watches_a_job_that_waits() -> Result<()> {
    let office = Office::new(&[("waits", "wait_for(\"go\", 60)")])?;
    let server = office.serve()?;
    let (status, job) =
        server.post("/v1/jobs", &json!({"workflow": "waits", "items": [{"name": "a"}]})).await?;
    ensure!(status == 202, "{status} {job}");
    let mut watched = server.client().get(format!("{}/v1/jobs/j1/events", server.url)).send().await?;
    ensure!(watched.chunk().await?.is_some(), "no event");
    // Half of what open requests may take.
    tokio::task::spawn_blocking(move || server.stop(Duration::from_secs(5))).await?
}

#[tokio::test(flavor = "multi_thread")]
async fn over_http_runs_are_begun_watched_signalled_and_cancelled() -> Result<()> {
    let office = Office::new(&[
        ("waits", "let got = wait_for(\"go\", 60); #{got: got, twice: input * 2}"),
        ("wrong", "let a = 1;\ncalendar::create_party(#{})"),
        (
            "item",
            "if input.item.n == 2 { throw #{code: \"damaged\", message: \"no page\"}; } input.item.n + input.job.add",
        ),
    ])?;
    let server = office.serve()?;
    let body = json!({"input": 4, "key": "order 17"});
    let (_, first) = server.post("/v1/workflows/waits/runs", &body).await?;
    let (_, again) = server.post("/v1/workflows/waits/runs", &body).await?;
    ensure!(first["id"] == again["id"], "the same key began two runs: {first} {again}");
    let (status, said) = server.post("/v1/runs/r1/signals/go", &json!({"by": "ben"})).await?;
    ensure!(status == 202, "{status} {said}");
    let run = ended(&server, "r1").await?;
    ensure!(run["outcome"] == json!({"result": {"got": {"by": "ben"}, "twice": 8}}), "{run}");
    ensure!(run["steps"][0]["request"]["signal"] == "go", "{run}");
    let (status, said) = server.post("/v1/runs/r1/signals/go", &json!(1)).await?;
    ensure!(status == 409 && said["error"]["code"] == "run_ended", "{status} {said}");

    server.post("/v1/workflows/waits/runs", &json!({})).await?;
    let (status, said) = server.post("/v1/runs/r2/cancel", &json!({})).await?;
    ensure!(status == 202, "{status} {said}");
    ensure!(ended(&server, "r2").await?["state"] == "cancelled");

    let (status, said) = server.post("/v1/workflows/nowhere/runs", &json!({})).await?;
    ensure!(status == 404 && said.to_string().contains("there are: item, waits, wrong"), "{status} {said}");
    let (status, said) = server.post("/v1/workflows/wrong/runs", &json!({})).await?;
    ensure!(status == 422 && said.to_string().contains("wrong.rhai:2"), "{status} {said}");
    let (status, _) = server.get("/v1/runs/r99").await?;
    ensure!(status == 404);

    let items: Vec<Value> = (0..5).map(|n| json!({"name": format!("d{n}"), "input": {"n": n}})).collect();
    let job = json!({"workflow": "item", "input": {"add": 10}, "items": items, "at_once": 2});
    let (status, job) = server.post("/v1/jobs", &job).await?;
    ensure!(status == 202, "{status} {job}");
    let events =
        server.client().get(format!("{}/v1/jobs/j1/events", server.url)).send().await?.text().await?;
    let last = events.lines().rfind(|line| line.starts_with("data: ")).context("no event")?;
    let last: Value = serde_json::from_str(last.trim_start_matches("data: "))?;
    ensure!(last["state"] == "done" && last["items"]["done"] == 4 && last["items"]["failed"] == 1, "{last}");
    let results =
        server.client().get(format!("{}/v1/jobs/j1/results", server.url)).send().await?.text().await?;
    let lines: Vec<Value> = results.lines().map(serde_json::from_str).collect::<serde_json::Result<_>>()?;
    ensure!(lines.len() == 5 && lines[3]["outcome"] == json!({"result": 13}), "{results}");
    ensure!(lines[2]["attempts"] == 2 && lines[2]["outcome"]["error"]["code"] == "damaged", "{results}");
    Ok(())
}

#[test]
fn a_script_that_cannot_run_is_an_error_that_names_the_place() -> Result<()> {
    let office = Office::new(&[])?;
    for (name, text, parts) in [
        ("syntax", "let a = 1;\nlet b = a +;", ["syntax.rhai:2:", "let b = a +;"]),
        ("endless", "let a = 1;\nloop { a += 1; }", ["is there a loop without an end?", "endless.rhai:2"]),
        ("deep", "fn f(n) { f(n + 1) }\nf(0)", ["functions within functions", "deep.rhai:2"]),
        ("tool", "calendar::create_party(#{})", ["there is no tool `calendar::create_party`", "pawl tools"]),
        (
            "shape",
            "\nsql::query(#{statement: \"SELECT 1\"})",
            ["shape.rhai:2:", "sql.query has no argument `statement`; it takes sql"],
        ),
        ("type", "sql::query(#{sql: 7})", ["argument `sql`", "is not of type \"string\""]),
        (
            "gone",
            "import \"nothing\" as n;\nn::f()",
            ["gone.rhai:1:", "no `nothing.rhai` beside this script"],
        ),
    ] {
        let file = office.flow(name, text)?;
        let began = Instant::now();
        let (code, _, said) = office.pawl(&["run", &file])?;
        ensure!(code == 1, "{name}: exit code {code}: {said}");
        for part in parts {
            ensure!(said.contains(part), "{name}: no `{part}` in: {said}");
        }
        ensure!(began.elapsed() < Duration::from_secs(60), "{name} took {:?}", began.elapsed());
    }
    let (code, _, said) = office.pawl(&["run", "nowhere"])?;
    ensure!(code == 1 && said.contains("no flow `nowhere`") && said.contains("deep, endless"), "{said}");
    let (code, checked, _) = office.pawl(&["flow", "check"])?;
    ensure!(code == 1 && checked.to_string().contains("syntax.rhai:2:"), "{checked}");
    let (code, _, said) = office.pawl(&["runs", "show", "r1000"])?;
    ensure!(code == 1 && said.contains("no run `r1000`"), "{said}");
    Ok(())
}

/// Waits until so many approvals wait.
async fn waiting(server: &Server, count: usize) -> Result<Value> {
    let began = Instant::now();
    loop {
        let (_, list) = server.get("/v1/approvals").await?;
        if list["data"].as_array().map(Vec::len) == Some(count) {
            return Ok(list["data"].clone());
        }
        if began.elapsed() > Duration::from_secs(30) {
            bail!("{count} approvals were to wait: {list}");
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn ended(server: &Server, run: &str) -> Result<Value> {
    let began = Instant::now();
    loop {
        let (_, shown) = server.get(&format!("/v1/runs/{run}")).await?;
        if shown["ended"].is_string() {
            return Ok(shown);
        }
        if began.elapsed() > Duration::from_secs(30) {
            bail!("{run} did not end: {shown}");
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

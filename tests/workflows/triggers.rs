//! What begins workflows by itself: times, files, messages.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use pawl_tests::server::{Options, Server, pawl};
use ring::hmac;
use rusqlite::{Connection, OpenFlags};
use serde_json::{Value, json};

use crate::MODEL;

const SECRET: &str = "not a secret that anybody uses";

struct Place {
    folder: tempfile::TempDir,
    settings: String,
}

impl Place {
    fn new(triggers: &str) -> Result<Place> {
        let place = Place {
            folder: tempfile::tempdir()?,
            settings: format!(
                "[model]\ncontext = 3072\n[workflows]\nfolder = \"flows\"\n[plugins]\n{triggers}"
            ),
        };
        std::fs::create_dir(place.path("flows"))?;
        std::fs::create_dir(place.path("inbox"))?;
        std::fs::write(place.path("flows/echo.rhai"), "input")?;
        std::fs::write(place.path("flows/slow.rhai"), "sleep(3); input.body.n")?;
        Ok(place)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn serve(&self) -> Result<Server> {
        let options = Options { model: MODEL, settings: Some(self.settings.clone()) };
        Server::start_with(&options, self.folder.path(), &[("PAWL_TEST_HOOK", SECRET)])
    }

    fn record(&self) -> Result<Connection> {
        let record =
            Connection::open_with_flags(self.path("runs/runs.sqlite"), OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        record.busy_timeout(Duration::from_secs(5))?;
        Ok(record)
    }
}

/// The runs of a trigger that have ended, oldest first, once there are so many and a moment has passed in which more could have come.
async fn runs(server: &Server, trigger: &str, count: usize) -> Result<Vec<Value>> {
    let began = Instant::now();
    loop {
        let all = list(server, trigger).await?;
        if all.len() >= count && all.iter().all(|run| run["ended"].is_string()) {
            tokio::time::sleep(Duration::from_millis(2_500)).await;
            let mut after = list(server, trigger).await?;
            ensure!(after.len() == count, "{} runs and not {count}: {after:?}", after.len());
            after.reverse();
            return Ok(after);
        }
        ensure!(began.elapsed() < Duration::from_secs(30), "{} runs and not {count}: {all:?}", all.len());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

async fn list(server: &Server, trigger: &str) -> Result<Vec<Value>> {
    let (_, list) = server.get("/v1/runs").await?;
    let by = format!("trigger {trigger}");
    let of = list["data"].as_array().into_iter().flatten().filter(|run| run["requester"] == by.as_str());
    Ok(of.cloned().collect())
}

fn result(run: &Value) -> &Value {
    &run["outcome"]["result"]
}

#[tokio::test(flavor = "multi_thread")]
async fn times_that_were_missed_are_made_up_for_once() -> Result<()> {
    let daily = |name: &str, missed: &str| {
        format!(
            "[triggers.{name}]\nworkflow = \"echo\"\nschedule = \"0 7 * * *\"\ntime-zone = \"Europe/Berlin\"\n{missed}input = {{ who = \"all\" }}\n"
        )
    };
    let settings =
        [daily("once", ""), daily("each", "missed = \"all\"\n"), daily("none", "missed = \"skip\"\n")]
            .concat();
    let place = Place::new(&settings)?;
    let server = place.serve()?;
    let began = Instant::now();
    // The record is made while the server starts.
    let noted = || -> Result<i64> {
        Ok(place.record()?.query_row("SELECT count(*) FROM triggers", [], |row| row.get(0))?)
    };
    while noted().unwrap_or(0) < 3 {
        ensure!(began.elapsed() < Duration::from_secs(20), "the times were not looked at");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    ensure!(list(&server, "each").await?.is_empty(), "what was before the first start was never missed");
    drop(server);
    // As if nobody had been there for three days.
    place.record()?.execute("UPDATE triggers SET seen = seen - 3 * 24 * 3600 * 1000000", [])?;
    let server = place.serve()?;
    let each = runs(&server, "each", 3).await?;
    let once = runs(&server, "once", 1).await?;
    ensure!(list(&server, "none").await?.is_empty());
    let at = result(&once[0])["trigger"]["at"].as_str().context("at")?.to_owned();
    ensure!(at.contains("T07:00:00+0") && result(&once[0])["who"] == "all", "{}", once[0]);
    ensure!(
        result(&each[2])["trigger"]["at"] == at.as_str() && result(&each[0])["trigger"]["at"] != at.as_str(),
        "{each:?}"
    );
    drop(server);
    let server = place.serve()?;
    runs(&server, "each", 3).await?;
    runs(&server, "once", 1).await?;
    let (code, out, said) = pawl(
        &["--config", place.path("pawl.toml").to_str().context("path")?, "triggers"],
        place.folder.path(),
    )?;
    ensure!(code == 0 && out.contains("0 7 * * *, next at 20") && out.contains("T07:00:00+0"), "{out}{said}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn each_new_file_begins_one_run() -> Result<()> {
    let place = Place::new("[triggers.inbox]\nworkflow = \"echo\"\nfolder = \"inbox\"\n")?;
    let put = |name: &str, text: &str| std::fs::write(place.path("inbox").join(name), text);
    put("first.txt", "Where is my parcel?")?;
    let server = place.serve()?;
    let all = runs(&server, "inbox", 1).await?;
    let file = &result(&all[0])["file"];
    assert_eq!(file, &json!({"name": "first.txt", "size": 19, "text": "Where is my parcel?"}));
    put("second.bin.part", "half")?;
    put(".hidden", "no")?;
    std::fs::write(place.path("inbox/second.bin"), [0xff, 0xfe])?;
    let all = runs(&server, "inbox", 2).await?;
    assert_eq!(result(&all[1])["file"], json!({"name": "second.bin", "size": 2}));
    drop(server);
    // What was there is not new, touched or not; another content is.
    put("first.txt", "Where is my parcel?")?;
    let server = place.serve()?;
    runs(&server, "inbox", 2).await?;
    put("first.txt", "Where is my other parcel?")?;
    let all = runs(&server, "inbox", 3).await?;
    ensure!(result(&all[2])["file"]["text"] == "Where is my other parcel?", "{}", all[2]);
    Ok(())
}

fn signature(body: &str) -> String {
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes()), body.as_bytes());
    format!("sha256={}", tag.as_ref().iter().map(|byte| format!("{byte:02x}")).collect::<String>())
}

async fn hook(server: &Server, name: &str, body: &str, signature: &str) -> Result<(u16, Value)> {
    let request = server
        .client()
        .post(format!("{}/v1/hooks/{name}", server.url))
        .header("x-hub-signature-256", signature);
    let answer = request.body(body.to_owned()).send().await?;
    Ok((answer.status().as_u16(), answer.json().await?))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signed_message_begins_one_run_that_survives_a_kill() -> Result<()> {
    let webhook = |name: &str, env: &str| {
        format!("[triggers.{name}]\nworkflow = \"slow\"\nwebhook = {{ secret = {{ env = \"{env}\" }} }}\n")
    };
    let place =
        Place::new(&[webhook("paid", "PAWL_TEST_HOOK"), webhook("unset", "PAWL_TEST_NOT_SET")].concat())?;
    let server = place.serve()?;
    let body = r#"{"n": 7}"#;
    for (name, body, signature, status, says) in [
        ("paid", r#"{"n": 8}"#, signature(body), 401, "signature does not fit"),
        ("paid", body, String::new(), 401, "x-hub-signature-256"),
        ("paid", "n = 7", signature("n = 7"), 400, "no JSON"),
        ("unset", body, signature(body), 503, "not set"),
        ("gone", body, signature(body), 404, "gone"),
    ] {
        let (got, said) = hook(&server, name, body, &signature).await?;
        ensure!(
            got == status && said.to_string().contains(says) && !said.to_string().contains(SECRET),
            "{name}: {got} {said}"
        );
    }
    let (status, first) = hook(&server, "paid", body, &signature(body)).await?;
    ensure!(status == 202, "{first}");
    let (status, again) = hook(&server, "paid", body, &signature(body)).await?;
    ensure!(status == 202 && first == again, "{again}");
    drop(server);
    let server = place.serve()?;
    let all = runs(&server, "paid", 1).await?;
    ensure!(result(&all[0]) == 7 && all[0]["id"] == first["run"], "{all:?}");
    Ok(())
}

#[test]
fn settings_that_can_begin_nothing_are_refused_with_the_mend() -> Result<()> {
    for (trigger, says) in [
        ("workflow = \"echo\"\nschedule = \"0 7 30 2 *\"\n", "schedule = \"0 7 30 2 *\" never fires"),
        ("workflow = \"echo\"\nschedule = \"0 7 * *\"\n", "has not five parts"),
        ("workflow = \"echo\"\nschedule = \"0 7 * * *\"\ntime-zone = \"Europe/Nowhere\"\n", "Europe/Nowhere"),
        ("workflow = \"echo\"\nschedule = \"0 7 * * *\"\nmissed = \"never\"\n", "never"),
        ("workflow = \"echo\"\n", "give one of schedule"),
        ("workflow = \"echo\"\nschedule = \"0 7 * * *\"\nfolder = \"inbox\"\n", "give one of schedule"),
        ("workflow = \"echo\"\nfolder = \"inbox\"\ninput = { file = 1 }\n", "input.file"),
        ("workflow = \"echo\"\nwebhook = { secret = \"plain\" }\n", "env"),
    ] {
        let place = Place::new(&format!("[triggers.bad]\n{trigger}"))?;
        let said = refused(&place.settings, place.folder.path())?;
        ensure!(
            said.contains(says) && said.contains("pawl.toml") | said.contains("trigger \"bad\""),
            "{trigger}: {said}"
        );
    }
    Ok(())
}

fn refused(settings: &str, folder: &Path) -> Result<String> {
    let file = folder.join("pawl.toml");
    std::fs::write(&file, settings)?;
    let (code, out, said) = pawl(&["--config", file.to_str().context("path")?, "triggers"], folder)?;
    ensure!(code == 1 && out.is_empty(), "{code} {out}");
    Ok(said)
}

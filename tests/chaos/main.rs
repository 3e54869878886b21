//! Chaos: runs with approvals, moments, children and writes, and a batch of documents, while `pawl serve` is killed again and again.
//!
//! `cargo xtask chaos [--runs N] [--documents N] [--kills N] [--trouble none|lock|disk] [--seed N]`
//!
//! At the end every run must have ended as it would have undisturbed, every write and every event be there exactly once, and no
//! item lost or done twice. With `--trouble lock`, files are locked at random for seconds; with `disk`, the data lies on a small
//! file system (a tmpfs, which wants root) that is filled up at random.

mod checks;
mod trouble;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use pawl_tests::server::{Options, Server, pawl};
use serde_json::{Value, json};
use trouble::Trouble;

const MODEL: &str = "smollm2-135m-instruct-q4_1";
/// Documents that cannot be read, and documents that are another's copy, of every hundred.
const BROKEN: usize = 5;
const COPIES: usize = 5;

/// What is asked for on the command line.
#[derive(Debug, Clone)]
struct Plan {
    runs: usize,
    documents: usize,
    kills: usize,
    trouble: String,
    seed: u64,
}

impl Plan {
    fn parse() -> Result<Plan> {
        let mut plan = Plan { runs: 300, documents: 200, kills: 200, trouble: "none".into(), seed: 1 };
        let mut arguments = std::env::args().skip(1);
        while let Some(flag) = arguments.next() {
            let value = arguments.next().with_context(|| format!("{flag} wants a value"))?;
            let number = || value.parse::<usize>().with_context(|| format!("{flag} {value} is no number"));
            match flag.as_str() {
                "--runs" => plan.runs = number()?,
                "--documents" => plan.documents = number()?,
                "--kills" => plan.kills = number()?,
                "--seed" => plan.seed = number()? as u64,
                "--trouble" => plan.trouble = value,
                other => bail!("{other}: there are --runs, --documents, --kills, --trouble and --seed"),
            }
        }
        Ok(plan)
    }
}

#[tokio::main]
async fn main() -> Result<()> {
    let plan = Plan::parse()?;
    println!("chaos: {plan:?}");
    let random = Random(AtomicUsize::new(plan.seed as usize));
    let place = Place::new(&plan)?;
    let trouble = Trouble::new(&plan.trouble, &place.data)?;
    let stop = Arc::new(AtomicBool::new(false));
    let troubling = trouble.start(Arc::clone(&stop), plan.seed);
    let (began, mut slowest) = (Instant::now(), Duration::ZERO);
    let mut sent = Sent::default();
    for life in 0..=plan.kills {
        let last = life == plan.kills;
        if last {
            // What disturbs ends with the last kill: from here on everything must come to its end.
            stop.store(true, Ordering::SeqCst);
        }
        let started = Instant::now();
        let server = start(&place, &trouble)?;
        slowest = slowest.max(started.elapsed());
        let due = |all: usize| if last { all } else { all * (life + 1) / (plan.kills + 1) };
        let until = (!last).then(|| Instant::now() + Duration::from_millis(100 + random.below(900)));
        let lived = live(&server, &mut sent, due(plan.runs), due(plan.documents), until, &random);
        lived.await?;
        // SIGKILL, in the midst of whatever it does.
        drop(server);
        if life % 20 == 0 {
            println!(
                "{life} kills, {} runs and {} documents given, {:.0} s",
                sent.runs,
                sent.documents,
                began.elapsed().as_secs_f64()
            );
        }
    }
    troubling.join().map_err(|_| anyhow::anyhow!("what disturbs panicked"))?;
    println!(
        "{} kills in {:.0} s; slowest start {:.1} s; {}",
        plan.kills,
        began.elapsed().as_secs_f64(),
        slowest.as_secs_f64(),
        trouble.told()
    );
    let server = start(&place, &trouble)?;
    checks::all(&server, &place, &plan).await
}

/// Numbers that look random and are the same for the same seed.
struct Random(AtomicUsize);

impl Random {
    fn below(&self, limit: u64) -> u64 {
        let x = self.0.fetch_add(0x9E37_79B9_7F4A_7C15, Ordering::SeqCst) as u64;
        let x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (x ^ (x >> 31)) % limit.max(1)
    }
}

/// Where the data lies.
struct Place {
    data: PathBuf,
    _folder: tempfile::TempDir,
    settings: String,
}

impl Place {
    fn new(plan: &Plan) -> Result<Place> {
        let folder = tempfile::tempdir()?;
        let data = folder.path().join("data");
        std::fs::create_dir(&data)?;
        if plan.trouble == "disk" {
            trouble::mount(&data)?;
        }
        let documents = folder.path().join("documents");
        std::fs::create_dir(&documents)?;
        for n in 0..plan.documents {
            let text = match n % 100 {
                // A head of a PDF and nothing that follows.
                part if part < BROKEN => format!("%PDF-1.7\n{n}"),
                part if part < BROKEN + COPIES => "Ada Example\nada@example.com\nSkills: Rust".to_owned(),
                _ => format!("Person {n}\nperson{n}@example.com\nSkills: Rust, SQL"),
            };
            let ending = if n % 100 < BROKEN { "pdf" } else { "txt" };
            std::fs::write(documents.join(format!("d{n:05}.{ending}")), text)?;
        }
        let shop = rusqlite::Connection::open(data.join("shop.sqlite"))?;
        shop.execute_batch("CREATE TABLE ledger (run INTEGER NOT NULL, what TEXT NOT NULL)")?;
        let flows = Path::new(env!("CARGO_MANIFEST_DIR")).join("chaos/flows");
        let settings = format!(
            "[workflows]\nfolder = {flows:?}\n[plugins.sql]\n[plugins.sql.grant]\nllm = true\nclocks = true\n\
             [plugins.sql.grant.database]\nmain = {{ file = \"shop.sqlite\", write = true }}\n\
             [plugins.calendar.grant]\nkeyvalue = true\nrandom = true\n\
             [plugins.resume.grant]\ndocuments = {{ resumes = {documents:?} }}\n",
        );
        Ok(Place { data, _folder: folder, settings })
    }

    fn document(n: usize) -> String {
        format!("d{n:05}.{}", if n % 100 < BROKEN { "pdf" } else { "txt" })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.data).stderr(std::process::Stdio::null()).status();
    }
}

/// Starts the server; where a disk is full or a file locked it may not be able to, and is tried again.
fn start(place: &Place, trouble: &Trouble) -> Result<Server> {
    let began = Instant::now();
    loop {
        let options = Options { model: MODEL, settings: Some(place.settings.clone()) };
        match Server::start(&options, &place.data) {
            Ok(server) => return Ok(server),
            Err(error) if trouble.is_any() && began.elapsed() < Duration::from_secs(60) => {
                println!("it did not start: {}", error.to_string().lines().last().unwrap_or_default());
                std::thread::sleep(Duration::from_millis(200));
            }
            Err(error) => return Err(error),
        }
    }
}

/// What the server has taken.
#[derive(Default)]
struct Sent {
    runs: usize,
    documents: usize,
    job: Option<String>,
}

/// One life of the server: more runs and documents are given, and people approve what waits, until it is killed; in the last one,
/// until all is done.
async fn live(
    server: &Server,
    sent: &mut Sent,
    runs: usize,
    documents: usize,
    until: Option<Instant>,
    random: &Random,
) -> Result<()> {
    let began = Instant::now();
    loop {
        if until.is_some_and(|until| Instant::now() >= until) {
            return Ok(());
        }
        while sent.runs < runs {
            let body = json!({"input": sent.runs, "by": "chaos", "key": format!("run {}", sent.runs)});
            match server.post("/v1/workflows/chaos/runs", &body).await {
                Ok((202, _)) => sent.runs += 1,
                Ok((status, said)) if status < 500 => bail!("a run was refused: {status} {said}"),
                _ => break,
            }
        }
        give_documents(server, sent, documents).await?;
        approve(server, random, until.is_none()).await?;
        if until.is_none() && all_done(server, sent).await.unwrap_or(false) {
            return Ok(());
        }
        ensure!(began.elapsed() < Duration::from_secs(300), "not all ended: {}", unfinished(server).await);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn give_documents(server: &Server, sent: &mut Sent, documents: usize) -> Result<()> {
    let items: Vec<Value> = (sent.documents..documents)
        .map(|n| {
            let id = Place::document(n);
            let document = json!({"collection": "resumes", "id": id});
            json!({"name": id, "input": {"id": id}, "document": document})
        })
        .collect();
    if items.is_empty() {
        return Ok(());
    }
    let given = match &sent.job {
        Some(job) => server.post(&format!("/v1/jobs/{job}"), &json!({"do": "add", "items": items})).await,
        None => {
            let body = json!({"workflow": "chaos-item", "items": items, "at_once": 4, "attempts": 2, "key": "documents", "by": "chaos"});
            server.post("/v1/jobs", &body).await
        }
    };
    match given {
        Ok((200 | 202, job)) => {
            sent.job = job["id"].as_str().map(str::to_owned);
            sent.documents = documents;
        }
        Ok((status, said)) if status < 500 => bail!("documents were refused: {status} {said}"),
        _ => {}
    }
    Ok(())
}

/// People decide what waits; not all of it at once.
async fn approve(server: &Server, random: &Random, all: bool) -> Result<()> {
    let Ok((200, list)) = server.get("/v1/approvals").await else { return Ok(()) };
    for approval in list["data"].as_array().into_iter().flatten().take(if all { 1_000 } else { 8 }) {
        if !all && random.below(3) == 0 {
            continue;
        }
        let (id, digest) = (approval["id"].as_str().unwrap_or_default(), &approval["digest"]);
        let body = json!({"decision": "approve", "by": "checker", "digest": digest});
        match server.post(&format!("/v1/approvals/{id}"), &body).await {
            // Decided before, and the answer was lost with the server.
            Ok((200 | 409, _)) => {}
            Ok((status, said)) if status < 500 => bail!("an approval was refused: {status} {said}"),
            _ => return Ok(()),
        }
    }
    Ok(())
}

async fn all_done(server: &Server, sent: &Sent) -> Result<bool> {
    let (_, open) = server.get("/v1/runs?open=true").await?;
    let Some(job) = &sent.job else { return Ok(false) };
    let (_, job) = server.get(&format!("/v1/jobs/{job}")).await?;
    Ok(open["data"].as_array().is_some_and(Vec::is_empty) && job["state"] == "done")
}

async fn unfinished(server: &Server) -> String {
    let open =
        server.get("/v1/runs?open=true").await.map(|(_, open)| open["data"].clone()).unwrap_or_default();
    let waiting = server.get("/v1/approvals").await.map(|(_, list)| list["data"].clone()).unwrap_or_default();
    let shown = |value: &Value| value.to_string().chars().take(2_000).collect::<String>();
    format!("runs {}, approvals {}", shown(&open), shown(&waiting))
}

/// `pawl` as a person calls it, beside the server.
fn command(place: &Place, arguments: &[&str]) -> Result<Value> {
    let settings = place.data.join("pawl.toml");
    let mut all = vec!["--config", settings.to_str().context("path")?];
    all.extend(arguments);
    let (code, out, said) = pawl(&all, &place.data)?;
    ensure!(code == 0, "pawl {arguments:?}: {said}");
    Ok(serde_json::from_str(&out)?)
}

//! Screens a hundred made-up résumés as a person does: killed in the middle and called again, then undisturbed, then beside a plain
//! loop of requests. Prints a table; fails where the ranking or the record is not as it must be. Run by `cargo xtask bench screen`.

mod resumes;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use pawl_tests::server::{Options, Server, binary, plugins_folder};
use rusqlite::{Connection, OpenFlags};
use serde_json::{Value, json};

const MODEL: &str = "qwen2.5-coder-1.5b-instruct-q4_k_m";
const RESUMES: usize = 100;

fn main() -> Result<()> {
    let place = Place::new()?;
    eprintln!("a run that is killed, and the one that goes on");
    let killed_after = killed(&place)?;
    let (first_half, _) = place.states("killed")?;
    ensure!((1..RESUMES as i64).contains(&first_half), "{first_half} were done when it was killed");
    let rest = place.screen("killed")?.wait()?;
    ensure!(rest.success(), "the second call failed");
    place.check("killed")?;
    eprintln!("an undisturbed run");
    let began = Instant::now();
    ensure!(place.screen("whole")?.wait()?.success(), "the screening failed");
    let screened = began.elapsed();
    place.check("whole")?;
    eprintln!("a plain loop");
    let (started, looped) = place.plain_loop()?;
    let (batch, alone) = (per_minute(screened), per_minute(looped));
    let with_start = per_minute(started + looped);
    println!(
        "{RESUMES} made-up résumés (PDF, DOCX, HTML, text), six criteria, the default model. Killed with SIGKILL after {:.0} s with \
         {first_half} done, the second call did the others; nothing was done twice, and the first five were the five that meet all.\n",
        killed_after.as_secs_f64()
    );
    println!("| | documents a minute | seconds | beside the loop |\n| --- | ---: | ---: | ---: |");
    let row = |what: &str, rate: f64, time: Duration| {
        println!("| {what} | {rate:.1} | {:.0} | {:.2} |", time.as_secs_f64(), rate / with_start)
    };
    row("`pawl screen`, two at once, from start to report", batch, screened);
    row(
        "a loop over `POST /v1/tools/resume.screen`, the server's start included",
        with_start,
        started + looped,
    );
    row("the same on a server that is ready", alone, looped);
    Ok(())
}

fn per_minute(time: Duration) -> f64 {
    RESUMES as f64 / time.as_secs_f64() * 60.0
}

struct Place {
    folder: tempfile::TempDir,
    best: Vec<String>,
}

impl Place {
    fn new() -> Result<Place> {
        let folder = tempfile::tempdir()?;
        std::fs::create_dir(folder.path().join("resumes"))?;
        let best = resumes::write(&folder.path().join("resumes"), RESUMES)?;
        std::fs::write(folder.path().join("requirements.txt"), resumes::REQUIREMENTS)?;
        Ok(Place { folder, best })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The one command.
    fn screen(&self, out: &str) -> Result<Child> {
        Command::new(binary()?)
            .args([
                "screen",
                "--resumes",
                "resumes",
                "--requirements",
                "requirements.txt",
                "--model",
                MODEL,
                "--out",
                out,
            ])
            .arg("--plugins")
            .arg(plugins_folder()?)
            .current_dir(self.folder.path())
            .stdin(Stdio::null())
            .stdout(std::io::stderr())
            .spawn()
            .context("pawl does not start")
    }

    /// How many items are done, and how many have ended otherwise.
    fn states(&self, out: &str) -> Result<(i64, i64)> {
        let file = self.path(out).join("record/runs/runs.sqlite");
        let record = Connection::open_with_flags(file, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
        record.busy_timeout(Duration::from_secs(5))?;
        let count = "SELECT count(*) FILTER (WHERE state = 'done'), count(*) FILTER (WHERE state IN ('failed', 'same')) FROM items";
        Ok(record.query_row(count, [], |row| Ok((row.get(0)?, row.get(1)?)))?)
    }

    /// Every résumé is there once, was begun once, and the best five are the first.
    fn check(&self, out: &str) -> Result<()> {
        let text = std::fs::read_to_string(self.path(out).join("results.jsonl"))?;
        let lines: Vec<Value> = text.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
        let names: BTreeSet<&str> = lines.iter().filter_map(|line| line["name"].as_str()).collect();
        ensure!(
            lines.len() == RESUMES && names.len() == RESUMES,
            "{} lines, {} names",
            lines.len(),
            names.len()
        );
        if let Some(other) = lines.iter().find(|line| line["state"] != "ranked") {
            bail!("not ranked: {other}");
        }
        let first: BTreeSet<&str> = lines.iter().take(5).filter_map(|line| line["name"].as_str()).collect();
        let best: BTreeSet<&str> = self.best.iter().map(String::as_str).collect();
        for line in lines.iter().take(8) {
            eprintln!("{} {} {}", line["place"], line["name"], line["points"]);
        }
        ensure!(first == best, "the first five are {first:?}, the best are {best:?}");
        ensure!(
            lines[4]["points"].as_f64() > lines[5]["points"].as_f64(),
            "the sixth has as many points as the fifth"
        );
        let file = self.path(out).join("record/runs/runs.sqlite");
        let record = Connection::open_with_flags(file, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
        let runs: i64 = record.query_row("SELECT count(*) FROM runs", [], |row| row.get(0))?;
        ensure!(runs == RESUMES as i64, "{runs} runs of {RESUMES} résumés");
        Ok(())
    }

    /// One request after the other; what the start took, and the loop.
    fn plain_loop(&self) -> Result<(Duration, Duration)> {
        let data = self.path("data");
        std::fs::create_dir(&data)?;
        let settings = format!(
            "[plugins.resume.grant]\nclocks = true\nllm = {{ max-calls = 16, max-tokens = 700 }}\ndocuments = {{ resumes = {:?} }}\n",
            self.path("resumes")
        );
        let began = Instant::now();
        let server = Server::start(&Options { model: MODEL, settings: Some(settings) }, &data)?;
        let started = began.elapsed();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let looped = runtime.block_on(async {
            let asked = json!({"requirements": resumes::REQUIREMENTS});
            let (_, drafted) = server.post("/v1/tools/resume.draft-rubric", &asked).await?;
            let mut names: Vec<_> =
                std::fs::read_dir(self.path("resumes"))?.flatten().map(|entry| entry.file_name()).collect();
            names.sort();
            let began = Instant::now();
            for name in &names {
                let body = json!({"ids": [name.to_string_lossy()], "rubric": drafted["result"]});
                let (status, said) = server.post("/v1/tools/resume.screen", &body).await?;
                ensure!(status == 200, "{}: {said}", name.display());
            }
            Ok(began.elapsed())
        })?;
        Ok((started, looped))
    }
}

/// Kills a screening about its middle.
fn killed(place: &Place) -> Result<Duration> {
    let began = Instant::now();
    let mut child = place.screen("killed")?;
    loop {
        if child.try_wait()?.is_some() {
            bail!("it ended before it was killed");
        }
        if place.states("killed").is_ok_and(|(done, _)| done >= RESUMES as i64 / 2) {
            child.kill()?;
            child.wait()?;
            return Ok(began.elapsed());
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

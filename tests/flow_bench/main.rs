//! What a workflow costs: a step, a replay, many runs, a long queue. Run by `cargo xtask bench flow`, which keeps what it prints.
//!
//! The plugin is a component that does nothing, called as any plugin is; the store lies in a folder of the system's temporary one.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use pawl_flow::{
    Answer, Approval, Approvals, Call, Document, Effects, Embedded, Failure, NewItem, NewJob, Options,
    Reached, RunId, Said, Scope, Sources, Start, Trouble, World,
};
use pawl_plugin::{Grant, Plugin};
use pawl_tests::hostile::{Home, component, resident};
use serde_json::{Value, json};

const STEPS: usize = 5_000;
const REPLAYED: usize = 10_000;
const RUNS: usize = 1_000;
const ITEMS: usize = 100_000;
/// How often each figure is taken; the median is told, with the least and the most.
const ROUNDS: usize = 5;

fn main() -> Result<()> {
    let home = Home::new()?;
    let wit = "package test:test; world w { export f: func(); }";
    let file = home.file("idle.wasm", &component(wit, "(module (func (export \"f\")))")?)?;
    let idle = home.load_file(&file, "idle", "", Grant::default())?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    println!("| what | median of {ROUNDS} | least | most | mark |\n| --- | ---: | ---: | ---: | ---: |");
    for (name, effects, mark) in [
        ("a journaled step, nothing beyond it", Effects::None, "under 1 ms"),
        ("a step that is begun in the store before it is called", Effects::Recorded, ""),
    ] {
        let taken = rounds(|| step(&runtime, &idle, effects))?;
        row(name, &taken.iter().map(|(median, _)| *median).collect::<Vec<_>>(), "ms", 1e3, mark);
        let mark = if effects == Effects::None { "1,000 a second" } else { "" };
        row(
            &format!("… how many a second, {STEPS} one after another"),
            &taken.iter().map(|(_, rate)| *rate).collect::<Vec<_>>(),
            "/s",
            1.0,
            mark,
        );
    }
    let taken = rounds(|| many(&runtime, &idle))?;
    row(&format!("{RUNS} runs of 10 steps, 32 at once: steps a second"), &taken, "/s", 1.0, "1,000 a second");
    let taken = rounds(|| replay(&runtime, &idle))?;
    row(&format!("replay of a run of {REPLAYED} steps, to its end"), &taken, "s", 1.0, "under 2 s");
    let taken = rounds(|| queue(&runtime, &idle))?;
    let of = |which: fn(&Queue) -> f64| taken.iter().map(which).collect::<Vec<_>>();
    row(
        &format!("{ITEMS} items of a job: until the first one has begun"),
        &of(|taken| taken.first),
        "s",
        1.0,
        "within 2 s",
    );
    row("… until all are queued", &of(|taken| taken.all), "s", 1.0, "");
    row(
        "… memory of the process with them, the model not loaded",
        &of(|taken| taken.memory),
        "MiB",
        1.0,
        "under 300 MB",
    );
    Ok(())
}

fn rounds<T>(mut round: impl FnMut() -> Result<T>) -> Result<Vec<T>> {
    (0..ROUNDS).map(|_| round()).collect()
}

fn row(name: &str, taken: &[f64], unit: &str, factor: f64, mark: &str) {
    let mut sorted: Vec<f64> = taken.iter().map(|each| each * factor).collect();
    sorted.sort_by(f64::total_cmp);
    let shown =
        |value: f64| if value >= 100.0 { format!("{value:.0} {unit}") } else { format!("{value:.3} {unit}") };
    let (least, most) = (sorted[0], sorted[sorted.len() - 1]);
    println!(
        "| {name} | {} | {} | {} | {mark} |",
        shown(sorted[sorted.len() / 2]),
        shown(least),
        shown(most)
    );
}

/// The idle plugin, taken to have effects of one kind.
struct Idle {
    plugin: Plugin,
    effects: Effects,
}

impl World for Idle {
    fn tools(&self) -> Vec<String> {
        vec!["idle.f".to_owned()]
    }

    fn effects(&self, _: &str) -> Effects {
        self.effects
    }

    fn call<'a>(&'a self, call: Call<'a>) -> Answer<'a, Result<Reached, Trouble>> {
        Box::pin(async move {
            let called = self.plugin.call_once("f", call.arguments, call.key).await;
            called
                .map(Reached::Value)
                .map_err(|error| Trouble::Failed(Failure::new("plugin", error.to_string())))
        })
    }

    fn recorded<'a>(&'a self, _: &'a str, _: &'a str) -> Answer<'a, Result<Option<Value>, Trouble>> {
        Box::pin(std::future::ready(Ok(None)))
    }

    fn ask<'a>(&'a self, _: &'a str, _: Option<&'a Value>) -> Answer<'a, Result<Said, Trouble>> {
        Box::pin(std::future::ready(Err(Trouble::Busy("no model".to_owned()))))
    }

    fn prompt<'a>(&'a self, name: &'a str, _: &'a Value) -> Answer<'a, Result<Said, Trouble>> {
        self.ask(name, None)
    }

    fn settle<'a>(&'a self, _: &'a Approval) -> Answer<'a, ()> {
        Box::pin(std::future::ready(()))
    }

    fn flow(&self, name: &str) -> Result<Sources, Failure> {
        Err(Failure::new("not-found", name.to_owned()))
    }
}

fn open(
    folder: &Path,
    runtime: &tokio::runtime::Runtime,
    idle: &Plugin,
    effects: Effects,
) -> Result<Embedded> {
    let approvals = Arc::new(Approvals::open(&folder.join("approvals.sqlite"))?);
    let world = Arc::new(Idle { plugin: idle.clone(), effects });
    let options = Options { scope: Scope::All, at_once: 32 };
    Ok(Embedded::open(folder, world, approvals, runtime.handle().clone(), options)?)
}

fn begin(orchestrator: &Embedded, text: &str, input: Value) -> Result<RunId> {
    let sources = Sources::of("bench.rhai", text);
    Ok(orchestrator.start(Start {
        sources,
        input,
        requester: "bench".into(),
        origin: None,
        document: None,
        detached: false,
    })?)
}

fn ended(orchestrator: &Embedded, id: RunId) -> Result<()> {
    loop {
        let run = orchestrator.run(id)?;
        if run.state.ended() {
            ensure!(matches!(run.outcome, Some(Ok(_))), "{run:?}");
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Seconds of the median step, from its beginning to the next one's, and steps a second of all.
fn step(runtime: &tokio::runtime::Runtime, idle: &Plugin, effects: Effects) -> Result<(f64, f64)> {
    let folder = tempfile::tempdir()?;
    let orchestrator = open(folder.path(), runtime, idle, effects)?;
    let began = Instant::now();
    let id = begin(&orchestrator, "for n in 0..input { idle::f(); } 0", json!(STEPS))?;
    ended(&orchestrator, id)?;
    let took = began.elapsed().as_secs_f64();
    let steps = orchestrator.steps(id, 0, STEPS)?;
    let mut apart: Vec<f64> =
        steps.windows(2).map(|pair| pair[1].began.duration_since(pair[0].began).as_secs_f64()).collect();
    apart.sort_by(f64::total_cmp);
    Ok((*apart.get(apart.len() / 2).context("no steps")?, STEPS as f64 / took))
}

/// Steps a second of many runs.
fn many(runtime: &tokio::runtime::Runtime, idle: &Plugin) -> Result<f64> {
    let folder = tempfile::tempdir()?;
    let orchestrator = open(folder.path(), runtime, idle, Effects::None)?;
    let began = Instant::now();
    let text = "for n in 0..10 { idle::f(); } input";
    let runs: Vec<RunId> = (0..RUNS).map(|n| begin(&orchestrator, text, json!(n))).collect::<Result<_>>()?;
    runs.into_iter().try_for_each(|id| ended(&orchestrator, id))?;
    Ok((RUNS * 10) as f64 / began.elapsed().as_secs_f64())
}

/// Seconds from the opening of a store in which a long run waits to its end.
fn replay(runtime: &tokio::runtime::Runtime, idle: &Plugin) -> Result<f64> {
    let folder = tempfile::tempdir()?;
    let id = {
        let orchestrator = open(folder.path(), runtime, idle, Effects::None)?;
        let id =
            begin(&orchestrator, "for n in 0..input { idle::f(); } wait_for(\"go\"); 1", json!(REPLAYED))?;
        while orchestrator.open_steps(id)?.is_empty() {
            std::thread::sleep(Duration::from_millis(5));
        }
        orchestrator.signal(id, "go", &Value::Null)?;
        // It may have gone on already: then there is nothing to replay.
        ensure!(!orchestrator.run(id)?.state.ended(), "it ended too early");
        orchestrator.abandon();
        id
    };
    let began = Instant::now();
    let orchestrator = open(folder.path(), runtime, idle, Effects::None)?;
    // Where the signal died with the process, it is sent again.
    orchestrator.signal(id, "go", &Value::Null)?;
    ended(&orchestrator, id)?;
    Ok(began.elapsed().as_secs_f64())
}

struct Queue {
    first: f64,
    all: f64,
    memory: f64,
}

fn queue(runtime: &tokio::runtime::Runtime, idle: &Plugin) -> Result<Queue> {
    let folder = tempfile::tempdir()?;
    let orchestrator = open(folder.path(), runtime, idle, Effects::None)?;
    let began = Instant::now();
    let job = orchestrator.begin_job(NewJob {
        name: "bench".into(),
        sources: Sources::of("item.rhai", "idle::f(); wait_for(\"never\")"),
        input: Value::Null,
        requester: "bench".into(),
        origin: None,
        at_once: 4,
        attempts: 1,
    })?;
    let items = (0..ITEMS).map(|n| NewItem {
        name: format!("resume-{n:06}.pdf"),
        input: json!({"id": format!("resume-{n:06}.pdf")}),
        document: Some(Document {
            collection: "resumes".into(),
            file: format!("/srv/resumes/resume-{n:06}.pdf").into(),
        }),
    });
    let orchestrator = Arc::new(orchestrator);
    let watching = Arc::clone(&orchestrator);
    let first = std::thread::spawn(move || {
        loop {
            let items = watching.items(job, Some("running"), 0, 1).unwrap_or_default();
            if !items.is_empty() {
                return began.elapsed().as_secs_f64();
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    });
    ensure!(orchestrator.add_items(job, items)? == ITEMS, "some are missing");
    let all = began.elapsed().as_secs_f64();
    let first = first.join().map_err(|_| anyhow::anyhow!("who watched panicked"))?;
    Ok(Queue { first, all, memory: resident()? as f64 / f64::from(1 << 20) })
}

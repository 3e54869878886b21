//! The tables of docs/benchmarks.md.

use std::fmt::Write;
use std::path::Path;

use anyhow::Result;
use contest::{Contender, workload};

use crate::contender::{ALL, Files};
use crate::rounds::{self, Series};
use crate::{probe, ten};

const ROUNDS: usize = 40;
const STORMS: usize = 9;
const CONCURRENT: usize = 1000;
const STARTS: usize = 20;
const COMPILES: usize = 5;

/// Runs everything and gives the section as Markdown.
pub(crate) fn write(files: &Files, plugins: &Path) -> Result<String> {
    let mut contenders = rounds::load(ALL, files)?;
    let mut text = notes();
    let small = warm(&mut text, &mut contenders)?;
    storm(&mut text, &mut contenders)?;
    drop(contenders);
    load(&mut text, files)?;
    let starts = start(&mut text, plugins)?;
    targets(&mut text, &small, &starts);
    Ok(text)
}

/// Who is who, with versions.
fn notes() -> String {
    let [wasmtime, extism, pdk] = ["wasmtime", "extism", "extism-pdk"].map(versions);
    format!(
        "wasmtime {wasmtime} (the first is Pawl's and the typed rows', the other Extism's own), Extism {extism} with its PDK {pdk}. All do the \
         same work, in\none source file; every result is checked to be the same JSON before anything is timed. Contenders take turns \
         within one run.\n\n\
         - **Pawl**: `Plugin::call` from a task of a tokio runtime with two workers, as the server does it: JSON to a value, turns, a \
         blocking thread, a\n  fresh store and instance under all limits, the result to JSON. Types are known by reflection only.\n\
         - **wasmtime, typed**: bindings generated for this very interface, serde structs, the same wasmtime and engine settings \
         (pooling, epochs), no\n  limits of memory, time or host calls. On the caller's thread, as a benchmark would; on a blocking \
         thread, as a server must.\n\
         - **Extism**: a core module that parses and writes JSON inside the sandbox. It keeps its instance between calls: what one \
         call leaves in\n  memory, the next one finds. The row with a fresh `Plugin` is what a clean instance costs there, with its \
         default allocator.\n\
         - **a Rust function**: serde structs, no sandbox. **a subprocess**: the same program over pipes; no sandbox beyond a \
         process, no limits.\n\n"
    )
}

const LOCKS: [&str; 2] = [include_str!("../Cargo.lock"), include_str!("../extism/Cargo.lock")];

/// Of a package, as the lock files of the bench have it.
fn versions(package: &str) -> String {
    let name = format!("name = \"{package}\"");
    let mut lines = LOCKS.iter().flat_map(|lock| lock.lines());
    let mut found = Vec::new();
    while let Some(line) = lines.next() {
        if line == name {
            found.extend(lines.next().and_then(|line| line.split('"').nth(1)));
        }
    }
    found.dedup();
    found.join(" and ")
}

/// Gives the series of the small record.
fn warm(text: &mut String, contenders: &mut [Box<dyn Contender>]) -> Result<Vec<Series>> {
    let works = [workload::small(), workload::list(), workload::text()];
    let mut all = Vec::new();
    for work in &works {
        rounds::agree(ALL, contenders, work)?;
        eprintln!("warm calls: {}", work.title);
        all.push(rounds::warm(ALL, contenders, work, ROUNDS)?);
    }
    writeln!(
        text,
        "### A warm call\n\nMicroseconds from JSON text to JSON text: the median of {ROUNDS} rounds' medians (10th to 90th percentile of"
    )?;
    writeln!(text, "the rounds), and, round by round, what Pawl takes over what this one takes.\n")?;
    write!(text, "| |")?;
    for work in &works {
        write!(text, " {} | Pawl / it |", work.title)?;
    }
    writeln!(text, "\n| --- | {}", "---: | ---: | ".repeat(works.len()).trim_end())?;
    for (index, kind) in ALL.iter().enumerate() {
        write!(text, "| {} |", kind.title)?;
        for series in &all {
            write!(text, " {} | {} |", spread(&series[index]), ratio(&series[0].over(&series[index])))?;
        }
        writeln!(text)?;
    }
    Ok(all.swap_remove(0))
}

fn storm(text: &mut String, contenders: &mut [Box<dyn Contender>]) -> Result<()> {
    eprintln!("{CONCURRENT} calls at once");
    let series = rounds::storm(ALL, contenders, &workload::small(), CONCURRENT, STORMS)?;
    writeln!(text, "\n### {CONCURRENT} calls at once, two cores\n")?;
    writeln!(
        text,
        "The small record. Pawl: {CONCURRENT} tasks at once on a runtime of two workers; the others: half of the calls on each of two"
    )?;
    writeln!(text, "threads (the instance, process or task of each its own). {STORMS} rounds.\n")?;
    writeln!(text, "| | milliseconds in all | calls a second |\n| --- | ---: | ---: |")?;
    for (kind, series) in ALL.iter().zip(&series) {
        let rate = CONCURRENT as f64 / series.median() * 1000.0;
        writeln!(text, "| {} | {} | {} |", kind.title, spread(series), number(rate))?;
    }
    Ok(())
}

fn load(text: &mut String, files: &Files) -> Result<()> {
    let rows = [
        ("pawl", "**Pawl**"),
        ("typed", "wasmtime, typed (no cache of its own)"),
        ("extism", "Extism (its cache is wasmtime's)"),
        ("process", "a subprocess"),
    ];
    let keys = rows.map(|(key, _)| key);
    eprintln!("load and first call");
    let folder = tempfile::tempdir()?;
    let cached = probe::run(&keys, files, Some(folder.path()), STARTS)?;
    let compiled = probe::run(&keys, files, None, COMPILES)?;
    writeln!(text, "\n### Load and first call\n")?;
    writeln!(
        text,
        "A new process each time ({COMPILES} that compile, {STARTS} with compiled code in a cache): from nothing to a function that can be"
    )?;
    writeln!(text, "called, the engine included; then the first call, with the small record.\n")?;
    writeln!(
        text,
        "| | load, compiling, ms | load, cached, ms | first call, µs | peak memory of the process, cached, MiB |"
    )?;
    writeln!(text, "| --- | ---: | ---: | ---: | ---: |")?;
    for ((key, title), (cached, compiled)) in rows.iter().zip(cached.iter().zip(&compiled)) {
        // A process is not compiled, and its memory is not this one's; the plain API keeps no compiled code.
        let unless = |other: &str, cell: String| if *key == other { "–".to_owned() } else { cell };
        writeln!(
            text,
            "| {title} | {} | {} | {} | {} |",
            unless("process", spread(&compiled.load)),
            unless("typed", spread(&cached.load)),
            spread(&cached.first),
            unless("process", number(cached.memory.median())),
        )?;
    }
    Ok(())
}

fn start(text: &mut String, plugins: &Path) -> Result<ten::Starts> {
    eprintln!("start with ten plugins");
    let starts = ten::run(plugins, STARTS)?;
    writeln!(text, "\n### A start with ten plugins\n")?;
    writeln!(
        text,
        "Ten different components of {} KiB in all, compiled code in the cache, files in the page cache, a thread a plugin, a new",
        starts.bytes >> 10
    )?;
    writeln!(text, "process each of {STARTS} times. Milliseconds from the call of `Host::new`.\n")?;
    writeln!(
        text,
        "| engine and linker | all ten can be called | peak memory of the process, MiB |\n| ---: | ---: | ---: |"
    )?;
    let memory = number(starts.memory.median());
    writeln!(text, "| {} | {} | {memory} |", spread(&starts.host), spread(&starts.ready))?;
    Ok(starts)
}

/// What the project wants of these figures, and whether it was so.
fn targets(text: &mut String, small: &[Series], starts: &ten::Starts) {
    let series = |key| ALL.iter().zip(small).find(|(kind, _)| kind.key == key).map(|(_, series)| series);
    let over = |key| Some(series("pawl")?.over(series(key)?).median());
    // What Pawl takes without the way to a blocking thread and back, over the typed call that does not make it either.
    let direct = || {
        let [pawl, typed, way, native] = ["pawl", "typed", "native-task", "native"].map(series);
        let (pawl, typed, way, native) = (pawl?, typed?, way?, native?);
        let there = way.0.iter().zip(&native.0).map(|(way, native)| way - native);
        let pawl = Series(pawl.0.iter().zip(there).map(|(pawl, there)| pawl - there).collect());
        Some(pawl.over(typed).median())
    };
    let figures = [
        ("a warm call with a small record, median, µs", series("pawl").map(Series::median), 60.0),
        ("the same over the typed call, both on a blocking thread", over("typed-task"), 1.5),
        ("the same over the typed call, both without the way to a blocking thread (reckoned)", direct(), 1.5),
        ("the same over the typed call, only Pawl on a blocking thread", over("typed"), 1.5),
        ("a start with ten cached plugins, median, ms", Some(starts.ready.median()), 50.0),
    ];
    text.push_str("\n### Against the targets\n\n| | target | measured | |\n| --- | ---: | ---: | --- |\n");
    for (what, figure, target) in figures {
        let figure = figure.unwrap_or(f64::NAN);
        let said = if figure <= target { "met" } else { "**missed**" };
        text.push_str(&format!("| {what} | {target} | {} | {said} |\n", number(figure)));
    }
}

fn spread(series: &Series) -> String {
    let [median, low, high] = [0.5, 0.1, 0.9].map(|share| number(series.quantile(share)));
    format!("{median} ({low}–{high})")
}

fn ratio(series: &Series) -> String {
    let median = series.median();
    if median < 10.0 { format!("{median:.2}") } else { number(median) }
}

/// Three digits that count, with a space between thousands.
fn number(value: f64) -> String {
    let whole = |value: f64| {
        let digits = format!("{value:.0}");
        let groups: Vec<&str> =
            digits.as_bytes().rchunks(3).rev().filter_map(|group| std::str::from_utf8(group).ok()).collect();
        groups.join(" ")
    };
    match value {
        value if value >= 100.0 => whole(value),
        value if value >= 10.0 => format!("{value:.1}"),
        value => format!("{value:.2}"),
    }
}

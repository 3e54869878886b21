//! `cargo xtask bench`: builds and runs what is measured, and writes docs/benchmarks.md from it.
//!
//! The bench of the plugin host is `tests/bench`, workspaces of their own, so that nothing else compiles the peers. Invariant:
//! every figure in docs/benchmarks.md was printed by a run of this command; what stands between a section's two marks is
//! replaced as a whole, and nothing else is touched.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::setup::{Build, Wanted};
use crate::{cargo, peers, plugins, setup, toolchain};
use pawl_fetch::catalogue;
use pawl_fetch::progress::Steps;

/// The target of the Extism plugin: a core module without WASI.
const CORE_TARGET: &str = "wasm32-unknown-unknown";

/// Runs the bench of the plugin host, prints its tables and, if wanted, puts them into docs/benchmarks.md.
pub(crate) fn plugin(root: &Path, write: bool) -> Result<()> {
    setup::plugins_only(root, false)?;
    let mut steps = Steps::new(6);
    let mut step = steps.begin(&format!("toolchain ({CORE_TARGET})"));
    toolchain::ensure(root, CORE_TARGET, &mut step)?;
    step.done("ready");
    let (bench, target) = (root.join("tests/bench"), root.join(cargo::target(root)));
    let peer = bench.join("extism");
    let builds: [(&str, &Path, &[&str]); 5] = [
        (
            "the component",
            &bench,
            &["--profile=plugin", "--target", plugins::TARGET, "--package=shop-component"],
        ),
        (
            "the Extism plugin",
            &bench,
            &["--profile=plugin", "--target", CORE_TARGET, "--package=shop-extism"],
        ),
        ("the subprocess", &bench, &["--release", "--package=shop-process"]),
        ("Extism", &peer, &["--release"]),
        ("the bench", &bench, &["--release", "--package=pawl-bench"]),
    ];
    for (title, workspace, arguments) in builds {
        let mut step = steps.begin(title);
        let mut arguments: Vec<String> = arguments.iter().map(ToString::to_string).collect();
        arguments.extend(["--target-dir".into(), target.join("bench").to_string_lossy().into_owned()]);
        cargo::build(workspace, &arguments, &mut step)?;
        step.done("built");
    }
    let built = target.join("bench");
    let guests = built.join("guests");
    fs::create_dir_all(&guests).with_context(|| format!("cannot make {}", guests.display()))?;
    for file in [
        built.join(plugins::TARGET).join("plugin/shop_component.wasm"),
        built.join(CORE_TARGET).join("plugin/shop_extism.wasm"),
        built.join("release/shop-process"),
        built.join("release/extism-peer"),
        bench.join("guest/component/plugin.toml"),
    ] {
        let copy = guests.join(file.file_name().unwrap_or_default());
        fs::copy(&file, copy).with_context(|| format!("cannot copy {}", file.display()))?;
    }
    let mut command = Command::new(built.join("release/pawl-bench"));
    command.arg("plugin").arg(&guests).arg(target.join("plugins")).stderr(Stdio::inherit());
    let output = command.output().context("cannot run the bench")?;
    if !output.status.success() {
        bail!("the bench failed ({})", output.status);
    }
    let tables = String::from_utf8(output.stdout).context("the bench does not print text")?;
    let section = format!("{}\n{}", head("The plugin host", "plugin")?, tables.trim_end());
    println!("{section}");
    if write { put(&root.join("docs/benchmarks.md"), "plugin", &section) } else { Ok(()) }
}

/// Runs the bench of workflows (`tests/flow_bench`), prints its table and, if wanted, puts it into docs/benchmarks.md.
pub(crate) fn flow(root: &Path, write: bool) -> Result<()> {
    measured(root, "Workflows", "flow", &[], write)
}

/// Screens résumés (`tests/screen_bench`), prints the table and, if wanted, puts it into docs/benchmarks.md.
pub(crate) fn screen(root: &Path, write: bool) -> Result<()> {
    setup::run(
        root,
        &Wanted { models: vec![catalogue::DEFAULT], encoder: false, cuda: false, build: Build::Product },
    )?;
    measured(root, "Screening", "screen", &[], write)
}

/// Two hundred clients at once (`tests/llm_bench/load.rs`), prints what came of it and, if wanted, puts it into
/// docs/benchmarks.md.
pub(crate) fn load(root: &Path, write: bool, minutes: f64) -> Result<()> {
    setup::run(
        root,
        &Wanted { models: catalogue::ALL.to_vec(), encoder: false, cuda: false, build: Build::Product },
    )?;
    let program = built(root, "llm")?;
    let arguments = ["--load".to_owned(), minutes.to_string()];
    printed(root, "Under load", "load", &program, &arguments, write)
}

/// The model runtime beside llama.cpp's server and onnxruntime-genai (`tests/llm_bench`), prints the tables and, if wanted, puts them into
/// docs/benchmarks.md.
pub(crate) fn llm(root: &Path, write: bool, model: Option<String>) -> Result<()> {
    setup::run(
        root,
        &Wanted { models: catalogue::ALL.to_vec(), encoder: false, cuda: false, build: Build::Product },
    )?;
    let folder = root.join(cargo::target(root)).join("bench/llm");
    let peers = [peers::llama_server(&folder)?, peers::genai_python(&folder)?];
    let mut arguments = peers.map(|peer| peer.to_string_lossy().into_owned()).to_vec();
    arguments.extend(model);
    measured(root, "The model runtime", "llm", &arguments, write)
}

/// Builds and runs `NAME-bench` of the tests.
fn measured(root: &Path, title: &str, name: &str, arguments: &[String], write: bool) -> Result<()> {
    let program = built(root, name)?;
    printed(root, title, name, &program, arguments, write)
}

/// `NAME-bench` of the tests, built.
fn built(root: &Path, name: &str) -> Result<PathBuf> {
    let mut build = cargo::command(root);
    // As the set-up builds it, so that nothing is compiled a second time with other features.
    build.args(["build", "--release", "--workspace", "--exclude=xtask", "--bins"]);
    if !build.status()?.success() {
        bail!("the bench cannot be built");
    }
    Ok(root.join(cargo::target(root)).join(format!("release/{name}-bench")))
}

/// Runs a bench and prints its section.
fn printed(
    root: &Path,
    title: &str,
    name: &str,
    program: &Path,
    arguments: &[String],
    write: bool,
) -> Result<()> {
    let mut command = Command::new(program);
    let output = command.args(arguments).stderr(Stdio::inherit()).output().context("cannot run the bench")?;
    if !output.status.success() {
        bail!("the bench failed ({})", output.status);
    }
    let tables = String::from_utf8(output.stdout).context("the bench does not print text")?;
    let section = format!("{}\n{}", head(title, name)?, tables.trim_end());
    println!("{section}");
    if write { put(&root.join("docs/benchmarks.md"), name, &section) } else { Ok(()) }
}

/// Title, command, date and machine.
fn head(title: &str, command: &str) -> Result<String> {
    let output =
        Command::new("date").args(["-u", "+%Y-%m-%d %H:%M UTC"]).output().context("cannot run date")?;
    let date = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    let processors = fs::read_to_string("/proc/cpuinfo").context("cannot read what processor this is")?;
    let model = processors.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or_default();
    let model = model.trim_start_matches([':', ' ', '\t']);
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split(' ').nth(1).unwrap_or("unknown").to_owned();
    Ok(format!(
        "## {title}\n\n`cargo xtask bench {command}`, {date}, {cores} cores of {model}; the load of the five minutes that ended with \
         the run was {load}.\n"
    ))
}

/// Replaces a section of the file, or appends it.
fn put(path: &Path, name: &str, section: &str) -> Result<()> {
    let old = fs::read_to_string(path).unwrap_or_else(|_| {
        "# Benchmarks\n\nEach section is written by the command that it names, and by nobody else.\n"
            .to_owned()
    });
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    }
    fs::write(path, replaced(&old, name, section)).with_context(|| format!("cannot write {}", path.display()))
}

fn replaced(old: &str, name: &str, section: &str) -> String {
    let (begin, end) = (format!("<!-- begin {name} -->"), format!("<!-- end {name} -->"));
    let section = format!("{begin}\n{}\n{end}", section.trim_end());
    let parts = old.split_once(&begin).and_then(|(before, rest)| Some((before, rest.split_once(&end)?.1)));
    match parts {
        Some((before, after)) => format!("{before}{section}{after}"),
        None => format!("{}\n\n{section}\n", old.trim_end()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_section_is_replaced_as_a_whole_and_the_others_stay() {
        let one = replaced("# Title\n", "a", "1\n2");
        assert_eq!(one, "# Title\n\n<!-- begin a -->\n1\n2\n<!-- end a -->\n");
        let two = replaced(&one, "b", "3");
        assert_eq!(replaced(&two, "a", "4"), two.replace("1\n2", "4"));
    }
}

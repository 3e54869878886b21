//! The peers of `cargo xtask bench llm`, made once in `target/bench/llm`: llama.cpp's server, built from the source that the
//! package `llama-cpp-python` carries, and onnxruntime-genai with a Python of its own.
//!
//! Invariant: only a source whose hash is [`SHA256`] is built, and nothing of another is run; what was stopped is begun again.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};

use pawl_fetch::progress::Steps;
use pawl_fetch::{pip, verify};

const VERSION: &str = "0.3.36";
/// Of the source package.
const SHA256: &str = "832db0699007f1be95a7e41ef12e88926b02ba836461e36a36372db2760c1a2e";

/// The program, built if need be; the machine needs python3 with venv, tar and a C++ compiler.
pub(crate) fn llama_server(folder: &Path) -> Result<PathBuf> {
    let (build, stamp) = (folder.join("build"), folder.join("version"));
    let program = build.join("bin/llama-server");
    if program.is_file() && fs::read_to_string(&stamp).is_ok_and(|version| version == VERSION) {
        return Ok(program);
    }
    fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let python = folder.join("venv/bin/python");
    let package = format!("llama_cpp_python-{VERSION}");
    let source = folder.join(format!("{package}.tar.gz"));
    let mut steps = Steps::new(3);

    let step = steps.begin("cmake and ninja");
    run(Command::new("python3").args(["-m", "venv"]).arg(folder.join("venv")))?;
    let tools = ["cmake", "ninja", "scikit-build-core", "pyproject-metadata"];
    run(Command::new(&python).args(["-m", "pip", "install", "-q"]).args(tools))?;
    step.done("ready");

    let step = steps.begin(&format!("source of llama.cpp ({package})"));
    let path = format!("{}:{}", folder.join("venv/bin").display(), std::env::var("PATH").unwrap_or_default());
    let requirement = format!("llama-cpp-python=={VERSION}");
    run(pip::source(&python, &requirement, SHA256, folder)?.env("PATH", &path))?;
    let found = verify::sha256(&source, &mut |_| {})?;
    ensure!(found == SHA256, "{} has the hash {found}, not {SHA256}", source.display());
    if build.exists() {
        // cmake refuses to go on with what it made of another version's source.
        fs::remove_dir_all(&build).with_context(|| format!("cannot remove {}", build.display()))?;
    }
    run(Command::new("tar").arg("xzf").arg(&source).arg("-C").arg(folder))?;
    step.done("checked");

    let step = steps.begin("llama-server (about ten minutes)");
    let flags = [
        "-DCMAKE_BUILD_TYPE=Release",
        "-DLLAMA_BUILD_SERVER=ON",
        "-DLLAMA_BUILD_UI=OFF",
        "-DLLAMA_CURL=OFF",
        "-DLLAMA_BUILD_TESTS=OFF",
        "-DLLAMA_BUILD_EXAMPLES=OFF",
    ];
    let mut configure = Command::new(folder.join("venv/bin/cmake"));
    configure.args(["-G", "Ninja", "-B"]).arg(&build).arg("-S");
    run(configure.arg(folder.join(&package).join("vendor/llama.cpp")).args(flags).env("PATH", &path))?;
    let mut make = Command::new(folder.join("venv/bin/cmake"));
    run(make.arg("--build").arg(&build).args(["--target", "llama-server"]).env("PATH", &path))?;
    fs::write(&stamp, VERSION).with_context(|| format!("cannot write {}", stamp.display()))?;
    step.done("built");
    Ok(program)
}

const GENAI_VERSION: &str = "0.18.0";

/// A Python that has onnxruntime-genai.
pub(crate) fn genai_python(folder: &Path) -> Result<PathBuf> {
    let (venv, stamp) = (folder.join("genai"), folder.join("genai.version"));
    let python = venv.join("bin/python");
    if python.is_file() && fs::read_to_string(&stamp).is_ok_and(|version| version == GENAI_VERSION) {
        return Ok(python);
    }
    let step = Steps::new(1).begin(&format!("onnxruntime-genai {GENAI_VERSION}"));
    run(Command::new("python3").args(["-m", "venv"]).arg(&venv))?;
    let requirement = format!("onnxruntime-genai=={GENAI_VERSION}");
    run(Command::new(&python).args(["-m", "pip", "install", "-q", &requirement]))?;
    fs::write(&stamp, GENAI_VERSION).with_context(|| format!("cannot write {}", stamp.display()))?;
    step.done("ready");
    Ok(python)
}

/// Runs a command quietly; what it said is told when it fails.
fn run(command: &mut Command) -> Result<()> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command.stdin(Stdio::null()).output().with_context(|| format!("cannot run {name}"))?;
    if !output.status.success() {
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said);
        let end: Vec<&str> = said.lines().rev().take(20).collect();
        bail!("{name} failed ({}):\n{}", output.status, end.into_iter().rev().collect::<Vec<_>>().join("\n"));
    }
    Ok(())
}

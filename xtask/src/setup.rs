//! Set-up: from a clone to a Pawl that can serve, in steps that are skipped when done and continued when interrupted.
//!
//! Invariant: each step judges by what is there, not by a note that it once ran; so any of them can be undone by removing its result.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::artifact::Artifact;
use crate::catalogue::{self, Model, onnxruntime};
use crate::home::Home;
use crate::progress::Steps;
use crate::{cargo, encoder, plugins, toolchain};

/// What to set up.
#[derive(Debug)]
pub(crate) struct Wanted {
    /// Models to fetch and import, in this order.
    pub(crate) models: Vec<&'static Model>,
    /// Whether the embedding model is wanted too.
    pub(crate) encoder: bool,
    /// What to build with cargo.
    pub(crate) build: Build,
}

/// What to build with cargo.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Build {
    /// The binary and the plugins.
    Product,
    /// All of the workspace with its tests, and the tests' guests.
    Everything,
}

/// Sets up what is wanted and returns the binary. Other set-ups in the same home wait until it is done.
pub(crate) fn run(root: &Path, wanted: &Wanted) -> Result<PathBuf> {
    check_platform()?;
    let home = Home::open()?;
    eprintln!("set-up in {} (PAWL_HOME moves it)", home.root().display());
    let _lock = home.lock()?;
    require_space(&home, &wanted.models)?;
    let mut steps = Steps::new(5 + 2 * (wanted.models.len() + usize::from(wanted.encoder)));

    ensure_toolchain(root, &mut steps)?;

    let mut step = steps.begin(&format!("ONNX Runtime {}", onnxruntime::VERSION));
    let worked = Artifact::onnxruntime(&home).ensure(&home, &mut step)?;
    step.done(said(worked));

    for model in &wanted.models {
        let mut step = steps.begin(&format!("model {}", model.name));
        let worked = Artifact::model(&home, model).ensure(&home, &mut step)?;
        step.done(said(worked));
    }

    if wanted.encoder {
        let mut step = steps.begin(&format!("model {}", encoder::NAME));
        let worked = encoder::ensure(&home, &mut step)?;
        step.done(said(worked));
    }

    build_plugins(root, wanted.build == Build::Everything, &mut steps)?;
    let binary = build_binary(root, wanted.build, &mut steps)?;

    for model in &wanted.models {
        import(root, &binary, &home, &home.gguf(model.name), (model.name, model.sha256), &mut steps)?;
    }
    if wanted.encoder {
        import(root, &binary, &home, &encoder::folder(&home), encoder::IDENTITY, &mut steps)?;
    }
    sample(&binary, &mut steps)?;
    Ok(binary)
}

/// Fails at once where the disk will not do for all that is still to come, rather than after a while.
fn require_space(home: &Home, models: &[&Model]) -> Result<()> {
    // What an interrupted set-up has fetched already is asked for again by each step, exactly; here that would refuse it.
    let begun = |artifact: &Artifact| home.downloads(&artifact.name).exists();
    let artifacts =
        models.iter().map(|model| Artifact::model(home, model)).chain([Artifact::onnxruntime(home)]);
    let rooms: Vec<_> =
        artifacts.filter(|artifact| !begun(artifact)).map(|artifact| artifact.room()).collect();
    let for_good: u64 = rooms.iter().map(|(for_good, _)| for_good).sum();
    let for_a_while = rooms.iter().map(|(_, for_a_while)| *for_a_while).max().unwrap_or(0);
    home.require_space(for_good + for_a_while, "set-up")
}

/// Builds the plugins and no more.
pub(crate) fn plugins_only(root: &Path, guests: bool) -> Result<()> {
    let mut steps = Steps::new(2);
    ensure_toolchain(root, &mut steps)?;
    build_plugins(root, guests, &mut steps)
}

fn ensure_toolchain(root: &Path, steps: &mut Steps) -> Result<()> {
    let mut step = steps.begin(&format!("toolchain for plugins ({})", plugins::TARGET));
    let worked = toolchain::ensure(root, plugins::TARGET, &mut step)?;
    step.done(said(worked));
    Ok(())
}

fn build_plugins(root: &Path, guests: bool, steps: &mut Steps) -> Result<()> {
    let mut step = steps.begin("plugins");
    let count = plugins::build(root, guests, &mut step)?;
    step.done(&format!("{count} built"));
    Ok(())
}

fn build_binary(root: &Path, build: Build, steps: &mut Steps) -> Result<PathBuf> {
    // Both name the same packages: cargo unites the features of what is named, and with others wasmtime would be
    // compiled anew at every change between `start` and `test`.
    let (title, arguments) = match build {
        Build::Product => ("pawl", &["--release", "--workspace", "--exclude=xtask", "--bins"][..]),
        // xtask is tested in the profile that it runs in, where it is compiled already.
        Build::Everything => {
            ("pawl and its tests", &["--release", "--workspace", "--exclude=xtask", "--all-targets"][..])
        }
    };
    let mut step = steps.begin(title);
    let arguments: Vec<String> = arguments.iter().map(ToString::to_string).collect();
    cargo::build(root, &arguments, &mut step)?;
    step.done("built");
    Ok(cargo::target(root).join("release/pawl"))
}

/// Turns what was fetched into the model folder `name`, unless the folder says that this importer made it of weights with this
/// very hash.
fn import(
    root: &Path,
    binary: &Path,
    home: &Home,
    source: &Path,
    (name, sha256): (&str, &str),
    steps: &mut Steps,
) -> Result<()> {
    let mut step = steps.begin(&format!("import of {name}"));
    let folder = home.model(name);
    let version = importer_version(root)?;
    if is_imported(&folder, sha256, version) {
        step.done(said(false));
        return Ok(());
    }
    step.hand_over();
    let mut command = Command::new(binary);
    command.args(["model", "import"]).arg(source).arg("--to").arg(&folder).stdout(Stdio::null());
    cargo::run(cargo::clean(&mut command), &format!("pawl model import {}", source.display()))?;
    if !is_imported(&folder, sha256, version) {
        bail!(
            "{} was imported, but its pawl.json names another file than sha256 {sha256} or another importer than {version}",
            folder.display(),
        );
    }
    step.done(said(true));
    Ok(())
}

/// Whether `pawl.json`, which the importer writes last, names the file that the folder was made of, and the importer.
fn is_imported(folder: &Path, sha256: &str, version: u32) -> bool {
    let Ok(stamp) = fs::read_to_string(folder.join("pawl.json")) else { return false };
    let stamp: String = stamp.split_whitespace().collect();
    stamp.contains(&format!("\"importer_version\":{version},")) && stamp.contains(&format!("\"{sha256}\""))
}

/// The version that the importer of this checkout writes. Read from its source: xtask is compiled before it, and without it.
fn importer_version(root: &Path) -> Result<u32> {
    let path = root.join("host/llm/src/import/mod.rs");
    let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let (_, after) = text.split_once("IMPORTER_VERSION: u32 = ").unwrap_or_default();
    let number = after.split(';').next().unwrap_or_default();
    number
        .parse()
        .with_context(|| format!("no IMPORTER_VERSION in {}; tell xtask where it went", path.display()))
}

fn sample(binary: &Path, steps: &mut Steps) -> Result<()> {
    let step = steps.begin("sample data");
    let output = cargo::clean(Command::new(binary).arg("sample"))
        .output()
        .with_context(|| format!("cannot run {}", binary.display()))?;
    if !output.status.success() {
        bail!("`pawl sample` failed ({}): {}", output.status, String::from_utf8_lossy(&output.stderr).trim());
    }
    step.done(said(true));
    Ok(())
}

/// The model to serve: one of the catalogue, by its whole name or its beginning, or a folder that was imported by hand.
pub(crate) fn models_for(name: Option<&str>) -> Result<Vec<&'static Model>> {
    let Some(name) = name else { return Ok(vec![catalogue::DEFAULT]) };
    if let Some(model) = catalogue::ALL.iter().find(|model| model.name == name) {
        return Ok(vec![model]);
    }
    let folder = Home::open()?.model(name);
    if folder.join("config.json").is_file() {
        return Ok(Vec::new());
    }
    let known: Vec<_> = catalogue::ALL.iter().map(|model| model.name).collect();
    bail!("no model {name}: it is neither one of {} nor a folder at {}", known.join(", "), folder.display())
}

fn check_platform() -> Result<()> {
    let (system, machine) = (std::env::consts::OS, std::env::consts::ARCH);
    if (system, machine) != ("linux", "x86_64") {
        bail!(
            "ONNX Runtime is pinned for Linux on x86_64 (glibc 2.28 or newer) and this is {system} on {machine}; use such a \
             machine, a container or a virtual machine"
        );
    }
    Ok(())
}

fn said(worked: bool) -> &'static str {
    if worked { "ready" } else { "ready, nothing to do" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_import_is_believed_only_for_the_same_file_and_importer() -> Result<()> {
        let folder = tempfile::tempdir()?;
        let version = importer_version(&crate::home::checkout())?;
        assert!(!is_imported(folder.path(), "abc1", version));
        let stamp =
            format!("{{\n \"importer_version\": {version},\n \"source\": {{ \"sha256\": \"abc1\" }} }}\n");
        fs::write(folder.path().join("pawl.json"), stamp)?;
        assert!(is_imported(folder.path(), "abc1", version));
        assert!(!is_imported(folder.path(), "abc2", version));
        assert!(!is_imported(folder.path(), "abc1", version + 1));
        Ok(())
    }

    #[test]
    fn no_name_is_the_default_model() -> Result<()> {
        assert_eq!(models_for(None)?[0].name, catalogue::DEFAULT.name);
        Ok(())
    }
}

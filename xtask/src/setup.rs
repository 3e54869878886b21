//! Set-up: from a clone to a Pawl that can serve, in steps that are skipped when done and continued when interrupted.
//!
//! Invariant: each step judges by what is there, not by a note that it once ran; so any of them can be undone by removing its result.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::{cargo, plugins, toolchain};
use pawl_fetch::artifact::{self, Artifact};
use pawl_fetch::catalogue::{self, Model, onnxruntime};
use pawl_fetch::home::Home;
use pawl_fetch::progress::Steps;

/// What to set up.
#[derive(Debug)]
pub(crate) struct Wanted {
    /// Models to fetch and import, in this order.
    pub(crate) models: Vec<&'static Model>,
    /// Whether the embedding model is wanted too.
    pub(crate) encoder: bool,
    /// ONNX Runtime's build for NVIDIA's GPUs too, and each model once more in float16.
    pub(crate) cuda: bool,
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
    let artifacts: Vec<_> = wanted.models.iter().map(|model| Artifact::model(&home, model)).collect();
    let mut besides = if wanted.encoder { 2 * catalogue::ENCODER.room(&home) } else { 0 };
    if wanted.cuda {
        let again = wanted.models.iter().filter(|model| !home.model(&for_device(model.name)).exists());
        // In float16 a model takes a sixth more than its file.
        besides += catalogue::CUDA.room(&home) + again.map(|model| model.bytes / 4 * 5).sum::<u64>();
    }
    let runtime = Artifact::onnxruntime(&home);
    artifact::require_space(&home, artifacts.iter().chain([&runtime]), besides, "set-up")?;
    let mut steps = Steps::new(
        5 + 2 * (wanted.models.len() + usize::from(wanted.encoder))
            + usize::from(wanted.cuda) * (1 + wanted.models.len()),
    );

    ensure_toolchain(root, &mut steps)?;

    let mut step = steps.begin(&format!("ONNX Runtime {}", onnxruntime::VERSION));
    let worked = Artifact::onnxruntime(&home).ensure(&home, &mut step)?;
    step.done(said(worked));

    if wanted.cuda {
        let mut step = steps.begin("ONNX Runtime with CUDA");
        let worked = catalogue::CUDA.ensure(&home, &mut step)?;
        step.done(said(worked));
    }

    for model in &wanted.models {
        let mut step = steps.begin(&format!("model {}", model.name));
        let worked = Artifact::model(&home, model).ensure(&home, &mut step)?;
        step.done(said(worked));
    }

    if wanted.encoder {
        let mut step = steps.begin(&format!("model {}", catalogue::ENCODER.name));
        let worked = catalogue::ENCODER.ensure(&home, &mut step)?;
        step.done(said(worked));
    }

    build_plugins(root, wanted.build == Build::Everything, &mut steps)?;
    let binary = build_binary(root, wanted.build, &mut steps)?;

    for model in &wanted.models {
        let source = (home.gguf(model.name), model.sha256);
        import(root, &binary, &home, &source, model.name, &[], &mut steps)?;
        if wanted.cuda {
            let name = for_device(model.name);
            import(root, &binary, &home, &source, &name, &["--operators=device"], &mut steps)?;
        }
    }
    if wanted.encoder {
        let encoder = &catalogue::ENCODER;
        let source = (encoder.place(&home), encoder.sha256());
        import(root, &binary, &home, &source, encoder.name, &[], &mut steps)?;
    }
    sample(&binary, &mut steps)?;
    Ok(binary)
}

/// The name of a model's folder for devices.
pub(crate) fn for_device(model: &str) -> String {
    format!("{model}-device")
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
    (source, sha256): &(PathBuf, &str),
    name: &str,
    flags: &[&str],
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
    command.args(["model", "import"]).args(flags).arg(source).arg("--to").arg(&folder).stdout(Stdio::null());
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

/// Whether a settings file names the pinned embedding model.
pub(crate) fn names_encoder(settings: &Path) -> bool {
    name_in(settings, "[embeddings]").as_deref() == Some(catalogue::ENCODER.name)
}

/// The `name` in a table of a settings file. Read by lines: xtask depends on little, and what this misses `pawl serve` says, with
/// the mend.
pub(crate) fn name_in(settings: &Path, table: &str) -> Option<String> {
    let text = fs::read_to_string(settings).unwrap_or_default();
    let lines = text.lines().map(str::trim).skip_while(|line| !line.starts_with(table)).skip(1);
    let mut lines = lines.take_while(|line| !line.starts_with('['));
    lines.find_map(|line| {
        let (key, value) = line.split_once('=')?;
        let quoted = value.trim().strip_prefix('"')?;
        (key.trim() == "name").then(|| quoted.split('"').next().unwrap_or_default().to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_import_is_believed_only_for_the_same_file_and_importer() -> Result<()> {
        let folder = tempfile::tempdir()?;
        let version = importer_version(&cargo::checkout())?;
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

    #[test]
    fn settings_name_it_in_their_own_table_only() -> Result<()> {
        let folder = tempfile::tempdir()?;
        let named = |text: &str| -> Result<bool> {
            let path = folder.path().join("pawl.toml");
            fs::write(&path, text)?;
            Ok(names_encoder(&path))
        };
        assert!(named("[model]\nname = \"x\"\n[embeddings] # here\n name = \"all-minilm-l6-v2\" # it\n")?);
        assert!(!named("[embeddings]\n# name = \"all-minilm-l6-v2\"\n")?);
        assert!(!named("[embeddings]\n[model]\nname = \"all-minilm-l6-v2\"\n")?);
        assert!(!names_encoder(&folder.path().join("none")));
        Ok(())
    }
}

//! The languages of plugins and their ordinary tools: cargo, componentize-py, componentize-js.
//!
//! Invariant: nothing is fetched or installed here. A tool that is missing is an error with the one command that mends it;
//! what the tool itself says goes to standard error as it is.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use clap::ValueEnum;
use pawl_plugin::Capabilities;
use serde_json::Value;

/// The Rust target of components for WASI 0.2.
const TARGET: &str = "wasm32-wasip2";
/// What componentize-js would put into every component, used or not: a server of wasi:http, which it exports.
const NO_SERVER: [&str; 2] = ["--disable", "fetch-event"];
/// The import of wasi:http, behind `fetch`: left out unless the manifest asks for requests.
const NO_FETCH: [&str; 2] = ["--disable", "http"];

/// What a plugin is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Language {
    /// cargo and wit-bindgen
    Rust,
    /// componentize-py
    Python,
    /// npm and componentize-js
    Js,
}

impl Language {
    pub(super) fn label(self) -> &'static str {
        match self {
            Language::Rust => "Rust",
            Language::Python => "Python",
            Language::Js => "JavaScript",
        }
    }

    /// The language of a plugin's folder, told by the file that its tool wants.
    pub(super) fn of(folder: &Path) -> Result<Language> {
        let marks =
            [("Cargo.toml", Language::Rust), ("app.py", Language::Python), ("package.json", Language::Js)];
        let found: Vec<_> = marks.into_iter().filter(|(mark, _)| folder.join(mark).is_file()).collect();
        match found[..] {
            [(_, language)] => Ok(language),
            [] => bail!(
                "{} has no Cargo.toml, app.py or package.json, so there is nothing to build; \
                 `pawl plugin new` makes such a folder",
                folder.display()
            ),
            [(one, _), (two, _), ..] => {
                bail!("{} has {one} and {two}; a plugin is built from one of them", folder.display())
            }
        }
    }

    /// What installs the tools into a plugin's folder, called there; none where they are the machine's own.
    pub(super) fn preparation(self) -> Option<&'static str> {
        match self {
            Language::Rust => None,
            Language::Python => Some("python3 -m venv .venv && .venv/bin/pip install -r requirements.txt"),
            Language::Js => Some("npm install"),
        }
    }

    /// The memory limit for a plugin with this language's own runtime inside, as plugin.toml writes it.
    pub(super) fn memory(self) -> &'static str {
        match self {
            Language::Rust => "16MiB",
            Language::Python | Language::Js => "64MiB",
        }
    }

    /// Builds a plugin's folder into a component, which is at the path that is returned: one of the tool's own, or in `scratch`.
    pub(super) fn compile(self, folder: &Path, wants: &Capabilities, scratch: &Path) -> Result<PathBuf> {
        match self {
            Language::Rust => rust(folder),
            Language::Python => python(folder, scratch),
            Language::Js => js(folder, !wants.http.is_empty(), scratch),
        }
    }

    fn missing(self, tool: &str, folder: &Path) -> anyhow::Error {
        let command = self.preparation().unwrap_or_default();
        let needs = match self {
            Language::Rust => "Rust, from rustup",
            Language::Python => "Python 3.10 or later",
            Language::Js => "Node.js 20 or later",
        };
        let folder = folder.display();
        anyhow::anyhow!(
            "{tool} is not installed; run `(cd {folder} && {command})`, which needs {needs}, then this again"
        )
    }
}

fn rust(folder: &Path) -> Result<PathBuf> {
    let no_rust = "is not installed; install Rust with rustup";
    let library = Command::new("rustc")
        .args(["--print", "target-libdir", "--target", TARGET])
        .current_dir(folder)
        .stderr(Stdio::inherit())
        .output()
        .with_context(|| format!("rustc {no_rust}"))?;
    let library = String::from_utf8_lossy(&library.stdout).trim().to_owned();
    ensure!(
        !library.is_empty() && Path::new(&library).is_dir(),
        "the Rust target {TARGET} is not installed; run `rustup target add {TARGET}`, then this again"
    );
    let mut child = Command::new("cargo")
        .args(["build", "--release", "--target", TARGET, "--message-format=json-render-diagnostics"])
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("cargo {no_rust}"))?;
    let stdout = child.stdout.take().context("no output of cargo")?;
    let artifact =
        BufReader::new(stdout).lines().map_while(Result::ok).filter_map(|line| artifact(&line)).last();
    let status = child.wait().context("cannot wait for cargo")?;
    ensure!(status.success(), "`cargo build` failed in {} ({status})", folder.display());
    artifact.with_context(|| {
        format!(
            "cargo built no component in {}; Cargo.toml needs [lib] crate-type = [\"cdylib\"]",
            folder.display()
        )
    })
}

/// The WebAssembly file that a line of cargo's messages tells of.
fn artifact(line: &str) -> Option<PathBuf> {
    let message: Value = serde_json::from_str(line).ok()?;
    let files = message.get("filenames")?.as_array()?;
    files.iter().filter_map(Value::as_str).find(|file| file.ends_with(".wasm")).map(PathBuf::from)
}

fn python(folder: &Path, scratch: &Path) -> Result<PathBuf> {
    let environment = std::path::absolute(folder.join(".venv"))?;
    let own = environment.join("bin/componentize-py");
    let out = scratch.join("component.wasm");
    let mut command = if own.is_file() {
        let mut command = Command::new(own);
        // It looks there for what the source imports.
        command.env("VIRTUAL_ENV", environment);
        command
    } else {
        Command::new("componentize-py")
    };
    command.args(["-d", "wit", "componentize", "app", "-o"]).arg(&out);
    run(command, folder, "componentize-py", Language::Python)?;
    Ok(out)
}

fn js(folder: &Path, fetch: bool, scratch: &Path) -> Result<PathBuf> {
    let tool = "componentize-js";
    let program = folder.join("node_modules/.bin").join(tool);
    if !program.is_file() {
        return Err(Language::Js.missing(tool, folder));
    }
    let out = scratch.join("component.wasm");
    let mut command = Command::new(std::path::absolute(&program)?);
    command.args([&entry(folder)?, "--wit", "wit"]).args(NO_SERVER);
    if !fetch {
        command.args(NO_FETCH);
    }
    command.arg("--out").arg(&out);
    run(command, folder, tool, Language::Js)?;
    Ok(out)
}

/// The module that package.json names as `main`.
fn entry(folder: &Path) -> Result<String> {
    let file = folder.join("package.json");
    let text = std::fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
    let package: Value =
        serde_json::from_str(&text).with_context(|| format!("{} is not JSON", file.display()))?;
    let main = package.get("main").and_then(Value::as_str);
    main.map(str::to_owned)
        .with_context(|| format!("{} names no \"main\"; say there which module to build", file.display()))
}

fn run(mut command: Command, folder: &Path, tool: &str, language: Language) -> Result<()> {
    // What it says of its progress is no result of ours.
    let status = match command.current_dir(folder).stdin(Stdio::null()).stdout(std::io::stderr()).status() {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Err(language.missing(tool, folder));
        }
        status => status.with_context(|| format!("cannot run {tool}"))?,
    };
    ensure!(status.success(), "`{tool}` failed in {} ({status})", folder.display());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_of_the_language_whose_file_it_has() -> Result<()> {
        let folder = tempfile::tempdir()?;
        let none = Language::of(folder.path()).expect_err("empty").to_string();
        assert!(none.contains("app.py"), "{none}");
        std::fs::write(folder.path().join("app.py"), "")?;
        assert_eq!(Language::of(folder.path())?, Language::Python);
        std::fs::write(folder.path().join("package.json"), "{}")?;
        let two = Language::of(folder.path()).expect_err("two").to_string();
        assert!(two.contains("app.py and package.json"), "{two}");
        Ok(())
    }

    #[test]
    fn the_component_is_found_among_cargos_messages() {
        let line = r#"{"reason":"compiler-artifact","filenames":["/t/a.d","/t/a.wasm"]}"#;
        assert_eq!(artifact(line), Some(PathBuf::from("/t/a.wasm")));
        for line in ["", "warning: x", "{}", r#"{"filenames":["/t/liba.rlib"]}"#, r#"{"filenames":3}"#] {
            assert_eq!(artifact(line), None, "{line}");
        }
    }

    #[test]
    fn a_missing_tool_is_named_with_the_command_that_installs_it() -> Result<()> {
        let folder = tempfile::tempdir()?;
        std::fs::write(folder.path().join("package.json"), r#"{"main": "plugin.js"}"#)?;
        let error = js(folder.path(), false, folder.path()).expect_err("no tool").to_string();
        assert!(
            error.contains("componentize-js is not installed") && error.contains("npm install"),
            "{error}"
        );
        let error = run(Command::new("no-such-tool"), folder.path(), "componentize-py", Language::Python);
        let error = error.expect_err("no tool").to_string();
        assert!(
            error.contains("componentize-py is not installed") && error.contains("pip install"),
            "{error}"
        );
        Ok(())
    }

    #[test]
    fn the_module_to_build_is_the_packages_main() -> Result<()> {
        let folder = tempfile::tempdir()?;
        std::fs::write(folder.path().join("package.json"), r#"{"main": "plugin.js"}"#)?;
        assert_eq!(entry(folder.path())?, "plugin.js");
        for text in ["{}", "[", r#"{"main": 1}"#] {
            std::fs::write(folder.path().join("package.json"), text)?;
            let error = entry(folder.path()).expect_err(text).to_string();
            assert!(error.contains("package.json"), "{error}");
        }
        Ok(())
    }
}

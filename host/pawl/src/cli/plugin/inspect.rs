//! `pawl plugin inspect PATH|NAME`: everything that is known of a plugin before any of it runs.
//!
//! Invariant: it is loaded as it would be to be used, so what is shown is what counts; nothing of it is called.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use pawl_plugin::{Capabilities, CapabilityState, Grant, Limits, Manifest, Plugin, Prompt};
use serde_json::{Value, json};

use super::build::OUTPUT;
use crate::chat::signature::{one_line, signature};
use crate::config::{Config, PluginConfig};
use crate::plugins;

#[derive(Debug, Args)]
pub(crate) struct Inspect {
    /// A plugin's folder, a component file, or the name of a plugin of the settings
    #[arg(value_name = "PATH|NAME")]
    plugin: String,
    /// Everything as one JSON object, the tools with their JSON Schemas
    #[arg(long)]
    json: bool,
}

impl Inspect {
    pub(crate) fn run(self, config: &Config) -> Result<ExitCode> {
        let Found { file, manifest, grant } = find(&self.plugin, config)?;
        let plugin = plugins::host(config)?.load(&file, manifest, grant.clone().unwrap_or_default())?;
        let subject = Subject { plugin, file, grant };
        if self.json {
            println!("{}", serde_json::to_string_pretty(&subject.json()?)?);
        } else {
            subject.print()?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// What is to be loaded.
#[derive(Debug)]
struct Found {
    file: PathBuf,
    manifest: Manifest,
    /// None where the settings do not have it.
    grant: Option<Grant>,
}

/// A path if there is one, else a name of the settings.
fn find(plugin: &str, config: &Config) -> Result<Found> {
    let path = Path::new(plugin);
    if path.is_dir() {
        return in_folder(path, config);
    }
    if path.is_file() {
        let folder = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let manifest_file = folder.join("plugin.toml");
        let manifest =
            if manifest_file.is_file() { Manifest::read(&manifest_file)? } else { without_manifest(path) };
        return Ok(Found { file: path.to_path_buf(), grant: granted(folder, config), manifest });
    }
    match config.plugins.iter().find(|candidate| candidate.name == plugin) {
        Some(PluginConfig { folder, grant, .. }) => {
            let manifest = Manifest::read(&folder.join("plugin.toml"))?;
            Ok(Found { file: folder.join(format!("{plugin}.wasm")), manifest, grant: Some(grant.clone()) })
        }
        None => {
            let known: Vec<&str> = config.plugins.iter().map(|plugin| plugin.name.as_str()).collect();
            let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
            bail!("\"{plugin}\" is no file or folder, and no plugin of the settings, which are: {known}")
        }
    }
}

/// A folder with a component, or the source folder of one.
fn in_folder(folder: &Path, config: &Config) -> Result<Found> {
    let built = folder.join(OUTPUT);
    let folder = if built.join("plugin.toml").is_file() { &built } else { folder };
    let manifest = Manifest::read(&folder.join("plugin.toml"))?;
    let file = folder.join(format!("{}.wasm", manifest.name));
    ensure!(
        file.is_file(),
        "{} is missing; `pawl plugin build {}` builds it",
        file.display(),
        folder.display()
    );
    Ok(Found { grant: granted(folder, config), file, manifest })
}

/// What the settings grant the plugin in this folder.
fn granted(folder: &Path, config: &Config) -> Option<Grant> {
    let folder = folder.canonicalize().ok()?;
    let found =
        config.plugins.iter().find(|plugin| plugin.folder.canonicalize().is_ok_and(|own| own == folder));
    found.map(|plugin| plugin.grant.clone())
}

/// A component that came alone asks for nothing; its file names it.
fn without_manifest(file: &Path) -> Manifest {
    let stem = file.file_stem().and_then(|stem| stem.to_str()).unwrap_or("component");
    Manifest {
        name: stem.to_owned(),
        version: "unknown: no plugin.toml beside it".to_owned(),
        description: String::new(),
        capabilities: Capabilities::default(),
        limits: Limits::default(),
        prompt: Prompt::default(),
    }
}

/// A loaded plugin, with what only its file and the settings know.
pub(super) struct Subject {
    pub(super) plugin: Plugin,
    pub(super) file: PathBuf,
    /// What the settings grant it; none where they do not have it.
    pub(super) grant: Option<Grant>,
}

impl Subject {
    fn bytes(&self) -> Result<u64> {
        let data = std::fs::metadata(&self.file);
        Ok(data.with_context(|| format!("cannot read {}", self.file.display()))?.len())
    }

    /// What a build tells.
    pub(super) fn print_built(&self) -> Result<()> {
        println!("built {}", self.file.display());
        self.print_identity()?;
        self.print_tools();
        Ok(())
    }

    pub(super) fn print(&self) -> Result<()> {
        let manifest = self.plugin.manifest();
        println!("{} {}", manifest.name, manifest.version);
        if !manifest.description.is_empty() {
            println!("{}", one_line(&manifest.description));
        }
        println!("  file      {}", self.file.display());
        self.print_identity()?;
        list("imports", self.plugin.imports());
        self.print_tools();
        let excluded =
            self.plugin.excluded().iter().map(|item| format!("{}: {}", item.function, item.reason));
        if !self.plugin.excluded().is_empty() {
            list("not tools", &excluded.collect::<Vec<_>>());
        }
        let capabilities = self.plugin.capabilities().iter().map(line);
        list("capabilities", &capabilities.collect::<Vec<_>>());
        if self.grant.is_none() {
            println!("  (not in the settings, which therefore grant it nothing)");
        }
        let limits = limits(&manifest.limits);
        let limit =
            |(name, value): (&String, &Value)| format!("{name} {}", value.to_string().trim_matches('"'));
        list("limits of a call", &limits.as_object().into_iter().flatten().map(limit).collect::<Vec<_>>());
        Ok(())
    }

    fn print_identity(&self) -> Result<()> {
        println!("  size      {}", size(self.bytes()?));
        println!("  sha256    {}", self.plugin.digest());
        Ok(())
    }

    fn print_tools(&self) {
        println!("tools");
        for tool in self.plugin.tools() {
            // What a float can be beside a number is in the JSON Schema; here it would only be noise.
            let result = signature(&tool.result).replace(" | \"NaN\" | \"Infinity\" | \"-Infinity\"", "");
            println!("  {} {} -> {result}", tool.name, signature(&tool.parameters));
            match one_line(&tool.description) {
                said if said.is_empty() => {
                    println!(
                        "      (nothing is said of it: the model will guess; write `///` comments in wit/)"
                    )
                }
                said => println!("      {said}"),
            }
        }
    }

    fn json(&self) -> Result<Value> {
        let manifest = self.plugin.manifest();
        let capability = |state: &CapabilityState| {
            json!({"capability": state.capability, "requested": state.requested, "granted": state.granted,
                "effective": state.effective()})
        };
        let capabilities: Vec<Value> = self.plugin.capabilities().iter().map(capability).collect();
        Ok(json!({
            "name": manifest.name,
            "version": manifest.version,
            "description": manifest.description,
            "file": self.file,
            "bytes": self.bytes()?,
            "sha256": self.plugin.digest(),
            "imports": self.plugin.imports(),
            "tools": self.plugin.tools(),
            "excluded": self.plugin.excluded(),
            "in-settings": self.grant.is_some(),
            "capabilities": capabilities,
            "limits": limits(&manifest.limits),
        }))
    }
}

/// A capability and what follows from both sides.
fn line(state: &CapabilityState) -> String {
    let follows = match (state.requested, state.granted) {
        (true, true) => "requested and granted",
        (true, false) => "requested, not granted: denied",
        (false, _) => "granted, not requested: denied",
    };
    format!("{}: {follows}", state.capability)
}

/// The limits with their units.
fn limits(limits: &Limits) -> Value {
    let mut all = json!({
        "memory": size(limits.memory), "table-elements": limits.table_elements, "instances": limits.instances,
        "time": format!("{} s", limits.time.as_secs_f64()), "host-calls": limits.host_calls,
        "input": size(limits.input), "output": size(limits.output), "log": size(limits.log),
        "concurrency": limits.concurrency,
    });
    if let Some(fuel) = limits.fuel {
        all["fuel"] = fuel.into();
    }
    all
}

fn list(title: &str, lines: &[String]) {
    println!("{title}");
    if lines.is_empty() {
        println!("  none");
    }
    for line in lines {
        println!("  {line}");
    }
}

/// A count of bytes for a person.
fn size(bytes: u64) -> String {
    match bytes {
        0..1024 => format!("{bytes} bytes"),
        1024..1_048_576 => format!("{:.1} KiB", bytes as f64 / 1024.0),
        _ => format!("{:.1} MiB", bytes as f64 / 1_048_576.0),
    }
}

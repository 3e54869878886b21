//! `pawl plugin add SOURCE`: a plugin from elsewhere, looked at before it is let in.
//!
//! Invariant: it is fetched, checked and loaded in a scratch folder; it comes into the data folder, and into pawl.lock,
//! only after a person said so. Nothing is granted: what it asks for is shown, and granting is the person's edit.

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use pawl_plugin::{Grant, Manifest, Plugin};

use super::accept::confirmed;
use super::inspect::Subject;
use crate::config::Config;
use crate::plugins::lock::Lock;
use crate::plugins::signature::Key;
use crate::plugins::{self, source};

#[derive(Debug, Args)]
pub(crate) struct Add {
    /// oci://REGISTRY/REPOSITORY[:TAG|@DIGEST], a .wasm file, or a folder with one
    source: String,
    /// The plugin's name, where no plugin.toml comes with it
    #[arg(long)]
    name: Option<String>,
    /// Public key (PEM, as cosign writes): without a signature that it verifies, nothing is added
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    /// The signature of a file [default: FILE.sig]
    #[arg(long, value_name = "FILE")]
    signature: Option<PathBuf>,
    /// Put it in the place of the plugin of this name that was added before
    #[arg(long)]
    replace: bool,
    /// Without asking
    #[arg(long)]
    yes: bool,
}

impl Add {
    pub(crate) async fn run(self, config: &Config) -> Result<ExitCode> {
        let key = match &self.key {
            Some(file) => {
                let pem = fs::read_to_string(file).with_context(|| format!("{}", file.display()))?;
                Some(Key::parse(&pem).with_context(|| format!("{}", file.display()))?)
            }
            None => None,
        };
        let found = source::find(&self.source, key.as_ref(), self.signature.as_deref()).await?;
        let scratch = tempfile::tempdir()?;
        let manifest_file = scratch.path().join("plugin.toml");
        let text = match (found.manifest, &self.name) {
            (Some(text), _) => text,
            (None, Some(name)) => format!("name = {name:?}\nversion = \"unknown\"\ndescription = \"\"\n"),
            (None, None) => bail!("no plugin.toml came with it; give it a name with --name"),
        };
        fs::write(&manifest_file, text)?;
        let manifest = Manifest::read(&manifest_file)?;
        let name = manifest.name.clone();
        ensure!(
            self.name.as_ref().is_none_or(|wanted| *wanted == name),
            "its plugin.toml names it {name}; --name cannot name it otherwise"
        );
        let file = scratch.path().join(format!("{name}.wasm"));
        fs::write(&file, found.component)?;
        let (host, loading) = (plugins::host(config)?, file.clone());
        let plugin =
            tokio::task::spawn_blocking(move || host.load(&loading, manifest, Grant::default())).await??;
        println!("from {}", found.origin);
        let subject = Subject { plugin, file, grant: None };
        subject.print()?;

        let folder = config.home.data.join("plugins").join(&name);
        ensure!(
            self.replace || !folder.exists(),
            "{} is there already; --replace puts this one in its place",
            folder.display()
        );
        if !self.yes && !confirmed(&format!("{name} from {}", self.source))? {
            println!("nothing was added");
            return Ok(ExitCode::from(1));
        }
        install(&scratch, &folder, &name)?;
        let mut lock = Lock::read(&config.lock)?;
        lock.accept(&subject.plugin);
        lock.write(&config.lock)?;
        println!("added; put this into pawl.toml to use it:\n\n{}", settings(&subject.plugin, &folder));
        Ok(ExitCode::SUCCESS)
    }
}

/// Moves both files into the plugin's folder, each whole or not at all.
fn install(scratch: &tempfile::TempDir, folder: &std::path::Path, name: &str) -> Result<()> {
    fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    for file in ["plugin.toml".to_owned(), format!("{name}.wasm")] {
        let (new, target) = (folder.join(format!("{file}.new")), folder.join(&file));
        fs::copy(scratch.path().join(&file), &new)
            .and_then(|_| fs::rename(&new, &target))
            .with_context(|| format!("cannot write {}", target.display()))?;
    }
    Ok(())
}

/// What makes Pawl use it; what it asks for stands there as a comment, for a person to grant.
fn settings(plugin: &Plugin, folder: &std::path::Path) -> String {
    let name = &plugin.manifest().name;
    let mut text = format!("[plugins.{name}]\npath = {:?}\n", folder.display().to_string());
    let asked: Vec<&str> = plugin.capabilities().iter().map(|state| state.capability.as_str()).collect();
    if !asked.is_empty() {
        text.push_str(&format!("# [plugins.{name}.grant]   # it asks for: {}\n", asked.join("; ")));
    }
    text
}

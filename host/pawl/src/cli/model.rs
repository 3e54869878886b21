//! `pawl model …`: get a model, make a folder of a GGUF file or of an encoder's folder, look at what there is.

mod list;
mod pull;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::{Args, Subcommand};
use indicatif::{ProgressBar, ProgressStyle};
use pawl_llm::Operators;

use crate::app;
use crate::config::Config;

#[derive(Debug, Subcommand)]
pub(crate) enum Model {
    /// Get a model: by its name in the catalogue, or from the hub
    Pull(pull::Pull),
    /// Make a model folder of a GGUF file, or of a folder with an embedding model, without loss
    Import(Import),
    /// The models that there are, and those of the catalogue that are not there yet
    List,
    /// What is known of the model that would be served
    Info,
}

#[derive(Debug, Args)]
pub(crate) struct Import {
    /// A GGUF file of architecture llama, qwen2, qwen3, gemma or gemma3; or a folder of sentence-transformers with model.safetensors, of architecture
    /// bert
    #[arg(value_name = "FILE|FOLDER")]
    source: PathBuf,
    /// Name of the model, under which it is served [default: of the file or folder; with --operators other than this machine's, NAME-portable or NAME-device]
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Folder to make, elsewhere than under Pawl's home
    #[arg(long, value_name = "DIR", conflicts_with = "name")]
    to: Option<PathBuf>,
    /// What the graph is made of: `own` operators (this processor's fastest), `portable` ones (any processor), `device` (float16, for GPUs) [default: own where the processor has AVX2, else portable]
    #[arg(long, value_name = "KIND")]
    operators: Option<Operators>,
}

impl Model {
    pub(crate) fn run(self, config: &Config) -> Result<ExitCode> {
        match self {
            Model::Pull(pull) => pull.run(config),
            Model::Import(import) => import.run(config),
            Model::List => list::run(config),
            Model::Info => {
                let llm = app::load_model(config)?;
                println!("{:#?}", llm.info());
                Ok(ExitCode::SUCCESS)
            }
        }
    }
}

impl Import {
    fn run(self, config: &Config) -> Result<ExitCode> {
        let encoder = self.source.is_dir();
        if encoder && let Some(operators) = self.operators {
            bail!(
                "--operators {} is for GGUF files; leave it out for {}",
                operators.name(),
                self.source.display()
            );
        }
        let folder = match self.to.clone() {
            Some(folder) => folder,
            None => config.home.model(&self.named()?),
        };
        let style = ProgressStyle::with_template("{msg:24} {bar:30} {bytes}/{total_bytes} {eta}")?;
        let bar = ProgressBar::no_length().with_style(style).with_message("import");
        let mut progress = |progress: pawl_llm::ImportProgress| {
            bar.set_length(progress.total_bytes);
            bar.set_position(progress.done_bytes);
        };
        let report = if encoder {
            pawl_llm::import_encoder(&self.source, &folder, &mut progress)?
        } else {
            let operators = self.operators.unwrap_or_else(Operators::for_this_machine);
            pawl_llm::import_gguf(&self.source, &folder, operators, &mut progress)?
        };
        bar.finish_and_clear();
        println!("{}: {report:?}", folder.display());
        Ok(ExitCode::SUCCESS)
    }

    /// What is asked for, else what the source is called. A folder that this machine's processor does not serve best does
    /// not take the place of the one that it does.
    fn named(&self) -> Result<String> {
        if let Some(name) = &self.name {
            pull::checked(name)?;
            return Ok(name.clone());
        }
        // `.` has a name too.
        let whole = self.source.canonicalize().unwrap_or_else(|_| self.source.clone());
        let name = if self.source.is_dir() { whole.file_name() } else { self.source.file_stem() };
        let name = name.and_then(|name| name.to_str()).with_context(|| {
            format!("{} has no name to give the model; use --name", self.source.display())
        })?;
        Ok(match self.operators {
            Some(other) if other != Operators::for_this_machine() => format!("{name}-{}", other.name()),
            _ => name.to_owned(),
        })
    }
}

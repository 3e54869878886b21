//! `pawl model import` of a GGUF file, or of a folder with an encoder, and `pawl model info`.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::{Args, Subcommand};
use indicatif::{ProgressBar, ProgressStyle};

use crate::app;
use crate::config::Config;

#[derive(Debug, Subcommand)]
pub(crate) enum Model {
    /// Make a model folder of a GGUF file, or of a folder with an embedding model, without loss
    Import(Import),
    /// What is known of the model that would be served
    Info,
}

#[derive(Debug, Args)]
pub(crate) struct Import {
    /// A GGUF file of architecture llama or qwen2; or a folder of sentence-transformers with model.safetensors, of architecture
    /// bert
    #[arg(value_name = "FILE|FOLDER")]
    source: PathBuf,
    /// Folder to make [default: models/NAME under Pawl's home]
    #[arg(long, value_name = "DIR")]
    to: Option<PathBuf>,
}

impl Model {
    pub(crate) fn run(self, config: &Config) -> Result<ExitCode> {
        match self {
            Model::Import(import) => import.run(config),
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
        // `.` has a name too.
        let whole = self.source.canonicalize().unwrap_or_else(|_| self.source.clone());
        let name = if encoder { whole.file_name() } else { self.source.file_stem() };
        let name = name
            .and_then(|name| name.to_str())
            .with_context(|| format!("{} has no name to give the model", self.source.display()))?;
        let folder = self.to.unwrap_or_else(|| config.home.model(name));
        let style = ProgressStyle::with_template("{msg:24} {bar:30} {bytes}/{total_bytes} {eta}")?;
        let bar = ProgressBar::no_length().with_style(style).with_message("import");
        let mut progress = |progress: pawl_llm::ImportProgress| {
            bar.set_length(progress.total_bytes);
            bar.set_position(progress.done_bytes);
        };
        let report = if encoder {
            pawl_llm::import_encoder(&self.source, &folder, &mut progress)?
        } else {
            let operators = pawl_llm::Operators::for_this_machine();
            pawl_llm::import_gguf(&self.source, &folder, operators, &mut progress)?
        };
        bar.finish_and_clear();
        println!("{}: {report:?}", folder.display());
        Ok(ExitCode::SUCCESS)
    }
}

//! `pawl sample`: the sample shop's database, where the embedded settings expect it.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Args;

use crate::config::Config;
use crate::sample;

#[derive(Debug, Args)]
pub(crate) struct Sample {
    /// File to write [default: shop.sqlite in the data folder]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Write it anew even if it is there
    #[arg(long)]
    force: bool,
}

impl Sample {
    pub(crate) fn run(self, config: &Config) -> Result<ExitCode> {
        let file = self.out.unwrap_or_else(|| config.home.shop());
        if file.exists() && !self.force {
            println!("{} is there already", file.display());
            return Ok(ExitCode::SUCCESS);
        }
        if let Some(folder) = file.parent() {
            std::fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
        }
        sample::write_shop(&file)?;
        println!("wrote {}", file.display());
        Ok(ExitCode::SUCCESS)
    }
}

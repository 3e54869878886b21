//! `pawl tools`: every tool of every plugin.

use std::process::ExitCode;

use anyhow::Result;
use clap::Args;

use crate::chat::signature::{one_line, signature};
use crate::config::Config;
use crate::plugins::Plugins;

#[derive(Debug, Args)]
pub(crate) struct Tools {
    /// Names, descriptions, JSON Schemas and whether calls may wait for approval, as one JSON list
    #[arg(long)]
    json: bool,
}

impl Tools {
    pub(crate) fn run(self, config: &Config) -> Result<ExitCode> {
        let plugins = Plugins::load(config)?.now();
        if self.json {
            println!("{}", serde_json::to_string_pretty(&plugins.described())?);
        } else {
            for tool in plugins.tools() {
                println!("{} {}", tool.name, signature(&tool.parameters));
                println!("    {}", one_line(&tool.description));
            }
        }
        for missing in plugins.missing() {
            eprintln!("plugin {} is not loaded: {}", missing.plugin, missing.why);
        }
        Ok(ExitCode::from(u8::from(!plugins.missing().is_empty())))
    }
}

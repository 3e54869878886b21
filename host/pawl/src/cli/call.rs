//! `pawl call TOOL --json '{…}'`: a plugin's function, called by a person. The model is loaded when the plugin
//! asks it.

use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::Args;
use serde_json::{Value, json};

use super::approvals::WAITS;
use crate::approvals::{Approvals, Reached};
use crate::config::Config;
use crate::plugins::Plugins;

#[derive(Debug, Args)]
pub(crate) struct Call {
    /// plugin.function, as `pawl tools` lists it
    tool: String,
    /// The arguments, an object
    #[arg(long, default_value = "{}", value_name = "JSON")]
    json: String,
}

impl Call {
    pub(crate) async fn run(self, config: &Config) -> Result<ExitCode> {
        let arguments: Value = serde_json::from_str(&self.json)
            .with_context(|| format!("--json '{}' is not JSON", self.json))?;
        let loading = config.clone();
        let plugins = tokio::task::spawn_blocking(move || Plugins::load(&loading)).await??;
        let plugins = plugins.with_late_model(config).now();
        let Some(tool) = plugins.resolve(&self.tool) else {
            for missing in plugins.missing() {
                eprintln!("plugin {} is not loaded: {}", missing.plugin, missing.why);
            }
            bail!("no tool \"{}\"; `pawl tools` lists those that there are", self.tool);
        };
        match Approvals::open(&config.home)?.call(&plugins, &tool.name, &arguments, "pawl call").await? {
            Reached::Result(result) => {
                println!("{}", serde_json::to_string_pretty(&result)?);
                Ok(ExitCode::SUCCESS)
            }
            Reached::Approval(approval) => {
                println!("{}", serde_json::to_string_pretty(&json!({"approval": approval}))?);
                eprintln!("it would write and waits for a person: `pawl approvals approve {}`", approval.id);
                Ok(ExitCode::from(WAITS))
            }
        }
    }
}

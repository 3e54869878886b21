//! `pawl call TOOL --json '{…}'`: a plugin's function, called by a person. The model is loaded only where the plugin was granted it.

use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::Args;
use serde_json::{Value, json};

use super::approvals::WAITS;
use crate::app;
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
        let (loading, asked) = (config.clone(), self.tool.clone());
        let plugins = tokio::task::spawn_blocking(move || load(&loading, &asked)).await??.now();
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

/// The plugins, with the model where the called one was granted it and there is one.
fn load(config: &Config, tool: &str) -> Result<Plugins> {
    let plugins = Plugins::load(config)?;
    let set = plugins.now();
    let asks = set.resolve(tool).and_then(|tool| tool.name.split('.').next().map(str::to_owned));
    let granted = config
        .plugins
        .iter()
        .any(|plugin| Some(&plugin.name) == asks.as_ref() && plugin.grant.llm.max_calls > 0);
    if !granted {
        return Ok(plugins);
    }
    match app::load_model(config) {
        Ok(llm) => Ok(plugins.checked_by(&llm)),
        // Not every function asks the model; one that does says that there is none.
        Err(error) => {
            tracing::warn!("no model: {error}");
            Ok(plugins)
        }
    }
}

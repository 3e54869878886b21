//! `pawl plugin list`: the plugins of the settings, loaded or why not.

use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use serde_json::{Value, json};

use crate::config::Config;
use crate::plugins::Plugins;

#[derive(Debug, Args)]
pub(crate) struct List {
    /// The same as one JSON list
    #[arg(long)]
    json: bool,
}

impl List {
    pub(crate) fn run(self, config: &Config) -> Result<ExitCode> {
        let plugins = Plugins::load(config)?.now();
        if self.json {
            let loaded = plugins.loaded().map(|plugin| {
                let manifest = plugin.manifest();
                let tools: Vec<&str> = plugin.tools().iter().map(|tool| tool.name.as_str()).collect();
                json!({
                    "name": manifest.name, "loaded": true, "version": manifest.version,
                    "description": manifest.description, "sha256": plugin.digest(), "tools": tools,
                })
            });
            let missing = plugins
                .missing()
                .iter()
                .map(|missing| json!({"name": missing.plugin, "loaded": false, "why": missing.why}));
            let all: Vec<Value> = loaded.chain(missing).collect();
            println!("{}", serde_json::to_string_pretty(&all)?);
        } else {
            for plugin in plugins.loaded() {
                let manifest = plugin.manifest();
                let tools = plugin.tools().len();
                println!("{} {}, {tools} {}", manifest.name, manifest.version, counted("tool", tools));
            }
            for missing in plugins.missing() {
                println!("{} is not loaded: {}", missing.plugin, missing.why);
            }
        }
        Ok(ExitCode::from(u8::from(!plugins.missing().is_empty())))
    }
}

fn counted(word: &str, count: usize) -> String {
    if count == 1 { word.to_owned() } else { format!("{word}s") }
}

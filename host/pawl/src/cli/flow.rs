//! `pawl flow check`: what is wrong with scripts, before they run.

use std::process::ExitCode;

use anyhow::Result;
use clap::Subcommand;

use super::run::sources;
use crate::config::Config;
use crate::flow::{check, scripts};
use crate::plugins::Plugins;

#[derive(Debug, Subcommand)]
pub(crate) enum Flow {
    /// Find unknown tools, prompts and functions, and arguments that do not fit
    Check {
        /// Script files or names of flows; without, all of the folder of workflows
        flows: Vec<String>,
    },
    /// The flows of the folder of workflows, each with the first line of its header
    List,
}

impl Flow {
    pub(crate) async fn run(self, config: &Config) -> Result<ExitCode> {
        let folder = &config.workflows.folder;
        match self {
            Flow::List => {
                for name in scripts::names(folder) {
                    let text =
                        scripts::by_name(folder, &name).map(|sources| sources.main).unwrap_or_default();
                    let first = text.lines().next().unwrap_or_default();
                    println!("{name:<24} {}", first.trim_start_matches('/').trim());
                }
                Ok(ExitCode::SUCCESS)
            }
            Flow::Check { flows } => {
                let loading = config.clone();
                let plugins = tokio::task::spawn_blocking(move || Plugins::load(&loading)).await??.now();
                for missing in plugins.missing() {
                    eprintln!("plugin {} is not loaded: {}", missing.plugin, missing.why);
                }
                let tools: Vec<_> = plugins.tools().cloned().collect();
                let mut checked = Vec::new();
                if flows.is_empty() {
                    checked.extend(check::check_all(folder, &tools));
                }
                for flow in flows {
                    let sources = sources(config, &flow)?;
                    let wrong = check::check(&sources, &tools, folder);
                    checked.push((flow, wrong));
                }
                let mut bad = false;
                for (name, wrong) in &checked {
                    bad |= !wrong.is_empty();
                    if wrong.is_empty() {
                        println!("{name}: nothing wrong");
                    }
                    wrong.iter().for_each(|error| println!("{error}"));
                }
                Ok(ExitCode::from(u8::from(bad)))
            }
        }
    }
}

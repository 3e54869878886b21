//! `pawl triggers`: what begins workflows by itself, and when next.

use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::approvals::visible;
use crate::config::Config;
use crate::config::triggers::{On, TriggerConfig};

#[derive(Debug, Args)]
pub(crate) struct Triggers {
    /// As JSON
    #[arg(long)]
    json: bool,
}

impl Triggers {
    pub(crate) fn run(self, config: &Config) -> Result<ExitCode> {
        let all: Vec<Value> = config.triggers.iter().map(described).collect();
        if self.json {
            println!("{}", serde_json::to_string_pretty(&all)?);
        } else if all.is_empty() {
            println!("no triggers; [triggers.NAME] in pawl.toml adds one");
        } else {
            for trigger in all {
                let text = |key: &str| visible(trigger[key].as_str().unwrap_or_default());
                println!("{:<16} {:<20} {}", text("name"), text("workflow"), text("when"));
            }
            println!("they begin workflows while `pawl serve` runs");
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn described(trigger: &TriggerConfig) -> Value {
    let TriggerConfig { name, workflow, on, .. } = trigger;
    let mut all = json!({"name": name, "workflow": workflow});
    all["when"] = match on {
        On::Schedule(schedule) => {
            let next = schedule.next(Timestamp::now()).map(|next| schedule.local(next)).unwrap_or_default();
            all["next"] = json!(next);
            format!("{}, next at {next}", schedule.text)
        }
        On::Folder { folder, .. } if folder.is_dir() => format!("a file comes into {}", folder.display()),
        On::Folder { folder, .. } => format!("a file comes into {}, which is not there", folder.display()),
        On::Webhook { secret: Some(_), .. } => format!("POST /v1/hooks/{name}"),
        On::Webhook { env, secret: None } => format!("never: the environment variable {env} is not set"),
    }
    .into();
    all
}

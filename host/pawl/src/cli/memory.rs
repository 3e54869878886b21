//! `pawl memory`: what people did by conversation.

use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::{Args, Subcommand};
use jiff::Timestamp;
use pawl_flow::{Memory, Turn};
use serde_json::json;

use super::approvals::visible;
use crate::config::Config;

/// Characters of a request in a line.
const WIDE: usize = 70;

#[derive(Debug, Args)]
pub(crate) struct MemoryCommand {
    /// The latest, or the nearest, so many
    #[arg(long, default_value_t = 20, global = true, value_name = "N")]
    last: usize,
    /// As JSON
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    word: Option<Word>,
}

#[derive(Debug, Subcommand)]
enum Word {
    /// Turns by their words
    Search {
        /// Any text
        words: String,
    },
    /// Every turn as a line of JSON, oldest first
    Export {
        /// Only from this moment on, such as 2026-11-01T00:00:00Z
        #[arg(long, value_name = "TIME")]
        since: Option<String>,
    },
}

impl MemoryCommand {
    pub(crate) fn run(self, config: &Config) -> Result<ExitCode> {
        let file = config.home.memory();
        if !file.is_file() {
            println!(
                "nothing is remembered{}",
                if config.record.chat { "" } else { "; [record] chat = false in the settings" }
            );
            return Ok(ExitCode::SUCCESS);
        }
        let memory = Memory::open(&file)?;
        let turns = match self.word {
            None => memory.recall("", self.last)?,
            Some(Word::Search { words }) => memory.recall(&words, self.last)?,
            Some(Word::Export { since }) => {
                let since: Option<Timestamp> = since
                    .map(|since| {
                        since.parse().with_context(|| {
                            format!("--since {since} is no time such as 2026-11-01T00:00:00Z")
                        })
                    })
                    .transpose()?;
                memory.each(since.unwrap_or(Timestamp::UNIX_EPOCH), |turn| {
                    println!("{}", json!(turn));
                    true
                })?;
                return Ok(ExitCode::SUCCESS);
            }
        };
        if self.json {
            println!("{}", serde_json::to_string_pretty(&turns)?);
        } else if turns.is_empty() {
            println!("nothing of that is remembered");
        } else {
            turns.iter().for_each(|turn| println!("{}", line(turn)));
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn line(turn: &Turn) -> String {
    let request: String = visible(&turn.request).replace('\n', " ").chars().take(WIDE).collect();
    let called: Vec<String> =
        turn.calls.iter().filter_map(|call| call["tool"].as_str().map(visible)).collect();
    let called = if called.is_empty() { String::new() } else { format!("  -> {}", called.join(", ")) };
    format!("{:.0}  {:>6.1}s  {request}{called}", turn.at, turn.seconds)
}

//! `pawl chat "…"`: one turn in the terminal, each call shown; without a message, a conversation line by line.

use std::io::{BufRead, IsTerminal, Write};
use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use serde_json::json;
use tokio::sync::mpsc;

use super::approvals::{self, WAITS};
use crate::app;
use crate::approvals::told;
use crate::chat::{CallRecord, Chat, Ending, Item, Outcome, Turn, TurnEvent};
use crate::config::Config;

#[derive(Debug, Args)]
pub(crate) struct ChatCommand {
    /// What to ask; without it, lines are read from standard input
    message: Option<String>,
    /// The answer and what ran, as one JSON object
    #[arg(long)]
    json: bool,
}

impl ChatCommand {
    pub(crate) async fn run(self, config: Config) -> Result<ExitCode> {
        eprintln!("loading {} …", config.model.name);
        let (chat, _) = app::start(&config).await?;
        for missing in chat.plugins.now().missing() {
            eprintln!("plugin {} is not loaded: {}", missing.plugin, missing.why);
        }
        let mut items = Vec::new();
        if let Some(message) = &self.message {
            let waits = self.turn(&chat, &config, &mut items, message).await?;
            return Ok(ExitCode::from(if waits { WAITS } else { 0 }));
        }
        let stdin = std::io::stdin();
        let prompt = stdin.is_terminal();
        loop {
            if prompt {
                eprint!("> ");
            }
            let mut line = String::new();
            if stdin.lock().read_line(&mut line)? == 0 {
                return Ok(ExitCode::SUCCESS);
            }
            if !line.trim().is_empty()
                && let Err(error) = self.turn(&chat, &config, &mut items, line.trim()).await
            {
                eprintln!("pawl: {error:#}");
                items.pop();
            }
        }
    }

    /// Whether something waits for a person at its end; at a terminal they are asked, and the turn goes on.
    async fn turn(&self, chat: &Chat, config: &Config, items: &mut Vec<Item>, message: &str) -> Result<bool> {
        items.push(Item::User(message.to_owned()));
        loop {
            let outcome = self.run_turn(chat, config, items).await?;
            let asked = outcome.approval.as_deref().map(approvals::ask).transpose()?.flatten();
            let (Some(approval), Some(decision)) = (&outcome.approval, asked) else {
                items.push(Item::Assistant(outcome.text));
                return Ok(outcome.approval.is_some());
            };
            let plugins = chat.plugins.now();
            let after = chat
                .approvals
                .decide(plugins, &approval.id, decision, &approvals::person(), Some(&approval.digest))
                .await?;
            eprintln!("{}", approvals::ended(&after));
            items.push(Item::Call { tool: after.tool.clone(), arguments: after.arguments.clone() });
            items.push(Item::Result(chat.told(&told(&after))));
        }
    }

    async fn run_turn(&self, chat: &Chat, config: &Config, items: &[Item]) -> Result<Outcome> {
        let turn = Turn::with_plugins(items.to_vec(), config.now());
        let (sender, mut events) = mpsc::channel(64);
        let run = async move { chat.run(turn, Some(&sender)).await };
        let show = async {
            while let Some(event) = events.recv().await {
                self.show(&event);
            }
        };
        let (outcome, ()) = tokio::join!(run, show);
        let outcome = outcome?;
        self.end(&outcome);
        Ok(outcome)
    }

    fn show(&self, event: &TurnEvent) {
        match event {
            TurnEvent::Text { text, .. } if !self.json => {
                print!("{text}");
                let _ = std::io::stdout().flush();
            }
            TurnEvent::Text { .. } => {}
            TurnEvent::Calling { tool, arguments } => eprintln!("-> {tool} {arguments}"),
            TurnEvent::Called(CallRecord { result, took, .. }) => match result {
                Ok(result) => eprintln!("<- {} ({took:.0?})", shortened(&result.to_string())),
                Err(error) => eprintln!("<- error: {} ({took:.0?})", shortened(error)),
            },
        }
    }

    fn end(&self, outcome: &Outcome) {
        if self.json {
            let calls: Vec<_> = outcome.calls.iter().map(CallRecord::as_json).collect();
            let mut said = json!({"answer": outcome.text, "calls": calls, "rounds": outcome.rounds});
            if let Some(approval) = &outcome.approval {
                said["approval"] = json!(approval);
            }
            println!("{said}");
            return;
        }
        println!();
        if outcome.ending == Ending::Length {
            eprintln!("(cut short: the answer reached its token limit)");
        }
    }
}

fn shortened(text: &str) -> String {
    const SHOWN: usize = 400;
    if text.len() <= SHOWN {
        return text.to_owned();
    }
    format!("{} … ({} bytes)", &text[..text.floor_char_boundary(SHOWN)], text.len())
}

//! `pawl approvals`: what waits for a person, shown in full, and their word on it.
//!
//! Invariant: what is shown is what will be done. Characters that a terminal would obey or hide are written out, so that
//! a statement cannot look like another.

use std::io::{BufRead, IsTerminal, Write};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Result;
use clap::{Args, Subcommand};
use pawl_flow::approval::BY_SCRIPT;
use pawl_flow::{Approval, Audited, Decision, State};

use crate::approvals::Approvals as Gate;
use crate::config::Config;
use crate::plugins::Plugins;
use crate::plugins::set::Set;

/// The exit code of a command that has asked a person.
pub(crate) const WAITS: u8 = 3;

#[derive(Debug, Args)]
pub(crate) struct Approvals {
    /// Those that were decided or expired too
    #[arg(long)]
    all: bool,
    /// As JSON
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    decision: Option<Word>,
}

#[derive(Debug, Subcommand)]
enum Word {
    /// Carry it out, exactly as it is shown
    Approve {
        /// As `pawl approvals` lists it
        id: String,
        /// Of what you were shown; another than the approval's is refused
        #[arg(long)]
        digest: Option<String>,
        /// Who approves [default: who sits at this terminal]
        #[arg(long, value_name = "NAME")]
        by: Option<String>,
    },
    /// Do not; whoever asked is told the reason
    Reject {
        /// As `pawl approvals` lists it
        id: String,
        /// Why
        #[arg(long, default_value = "")]
        reason: String,
        /// Who rejects [default: who sits at this terminal]
        #[arg(long, value_name = "NAME")]
        by: Option<String>,
    },
    /// One in full, with what was said of it and when
    Show {
        /// As `pawl approvals --all` lists it
        id: String,
    },
}

impl Approvals {
    pub(crate) async fn run(self, config: &Config) -> Result<ExitCode> {
        let gate = Gate::open(&config.home)?;
        let (id, decision, digest, by) = match self.decision {
            None => {
                let approvals = gate.list(self.all).await?;
                if self.json {
                    println!("{}", serde_json::to_string_pretty(&approvals)?);
                } else if approvals.is_empty() {
                    println!("nothing waits for approval");
                } else {
                    println!("{}", approvals.iter().map(shown).collect::<Vec<_>>().join("\n"));
                }
                return Ok(ExitCode::SUCCESS);
            }
            Some(Word::Show { id }) => {
                let (approval, audit) = gate.one(&id).await?;
                if self.json {
                    let mut all = serde_json::json!(approval);
                    all["audit"] = serde_json::json!(audit);
                    println!("{}", serde_json::to_string_pretty(&all)?);
                } else {
                    print!("{}", shown(&approval));
                    for Audited { at, what, by, note } in audit {
                        let by = if by.is_empty() { String::new() } else { format!(" by {}", visible(&by)) };
                        let note =
                            if note.is_empty() { String::new() } else { format!(": {}", visible(&note)) };
                        println!("    {at:.0}  {what}{by}{note}");
                    }
                }
                return Ok(ExitCode::SUCCESS);
            }
            Some(Word::Approve { id, digest, by }) => (id, Decision::Approve, digest, by),
            Some(Word::Reject { id, reason, by }) => (id, Decision::Reject(reason), None, by),
        };
        let by = by.unwrap_or_else(person);
        let plugins = if decision == Decision::Approve {
            let loading = config.clone();
            tokio::task::spawn_blocking(move || Plugins::load(&loading)).await??.now()
        } else {
            Arc::new(Set::none())
        };
        let after = gate.decide(plugins, &id, decision, &by, digest.as_deref()).await?;
        if self.json {
            println!("{}", serde_json::to_string_pretty(&after)?);
        } else {
            println!("{}", ended(&after));
        }
        // The run may be another process's; if it is nobody's, somebody is to go on with it.
        let run = after.origin.as_deref().and_then(|origin| origin.split('/').nth(1));
        if let Some(run) = run.filter(|_| after.state != State::Waiting) {
            eprintln!("run {run} goes on with `pawl serve`, or `pawl runs resume {run}`");
        }
        Ok(ExitCode::from(u8::from(after.state == State::Failed)))
    }
}

/// Who sits at this terminal, as the system says; unproven.
pub(crate) fn person() -> String {
    let name = ["USER", "LOGNAME", "USERNAME"].iter().find_map(|name| std::env::var(name).ok());
    name.filter(|name| !name.is_empty()).unwrap_or_else(|| "terminal".to_owned())
}

/// Shows what waits and asks for a word on it; `None` where nobody is there to ask.
pub(crate) fn ask(approval: &Approval) -> Result<Option<Decision>> {
    if !std::io::stdin().is_terminal() || !std::io::stderr().is_terminal() {
        return Ok(None);
    }
    eprint!("{}\nCarry it out? [y/N] ", shown(approval));
    std::io::stderr().flush()?;
    let mut line = String::new();
    std::io::stdin().lock().read_line(&mut line)?;
    let yes = matches!(line.trim().to_lowercase().as_str(), "y" | "yes");
    Ok(Some(if yes { Decision::Approve } else { Decision::Reject(String::new()) }))
}

/// All of one approval.
pub(crate) fn shown(approval: &Approval) -> String {
    let Approval { id, state, tool, requester, created, expires, .. } = approval;
    let mut text = format!(
        "{id}  {}  {}  asked for by {} at {created:.0}, until {expires:.0}\n",
        state.name(),
        visible(tool),
        visible(requester)
    );
    let what = if tool == BY_SCRIPT { "shows    " } else { "arguments" };
    text.push_str(&format!("    {what}  {}\n", visible(&approval.arguments.to_string())));
    if let Some(origin) = &approval.origin {
        text.push_str(&format!("    for step   {}\n", visible(origin)));
    }
    if approval.people > 1 {
        text.push_str(&format!("    wants      {} people\n", approval.people));
    }
    for write in approval.effects.as_array().map(Vec::as_slice).unwrap_or_default() {
        let rows = write["rows"].as_u64().unwrap_or_default();
        let database = visible(write["database"].as_str().unwrap_or_default());
        let sql = visible(write["sql"].as_str().unwrap_or_default());
        text.push_str(&format!(
            "    writes     {database}, {rows} rows: {}\n",
            sql.replace('\n', "\n               ")
        ));
        if write["parameters"].as_array().is_some_and(|parameters| !parameters.is_empty()) {
            text.push_str(&format!("      with     {}\n", visible(&write["parameters"].to_string())));
        }
    }
    text.push_str(&format!("    digest     {}\n", approval.digest));
    if !approval.decided_by.is_empty() {
        text.push_str(&format!("    decided    by {}\n", visible(&approval.decided_by)));
    }
    if !approval.note.is_empty() {
        text.push_str(&format!("    note       {}\n", visible(&approval.note)));
    }
    text
}

/// What came of a decision, in a line.
pub(crate) fn ended(approval: &Approval) -> String {
    let what = match approval.state {
        State::Done => {
            let result = approval.result.as_ref().map(ToString::to_string).unwrap_or_default();
            format!("done: {}", visible(&result))
        }
        State::Waiting => {
            format!("approved by {}; a second person is to approve it too", visible(&approval.decided_by))
        }
        State::Approved if approval.tool == BY_SCRIPT => "approved; the run goes on".to_owned(),
        State::Approved => {
            "approved; it could not be carried out yet, for something is busy: approve it again".to_owned()
        }
        State::Failed => format!("failed, nothing was written: {}", visible(&approval.note)),
        state => state.name().to_owned(),
    };
    format!("{} {what}", approval.id)
}

/// A text in which nothing is hidden: control characters and those that turn the direction of writing or take no room
/// are written as escapes. Line breaks stay.
pub(crate) fn visible(text: &str) -> String {
    let hidden = |c: char| {
        (c.is_control() && c != '\n')
            || matches!(c, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
    };
    text.chars().fold(String::with_capacity(text.len()), |mut seen, c| {
        if hidden(c) {
            seen.extend(c.escape_unicode());
        } else {
            seen.push(c);
        }
        seen
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_is_shown_moves_the_cursor_or_hides() {
        assert_eq!(
            visible("DELETE\u{1b}[2K\r -- \u{202e}x\nü中"),
            "DELETE\\u{1b}[2K\\u{d} -- \\u{202e}x\nü中"
        );
    }
}

//! `pawl runs`: what ran, what waits, and a person's word to it.

use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::{Args, Subcommand};
use pawl_flow::{Resolution, Run, RunId};
use serde_json::{Value, json};

use super::approvals::{person, visible};
use super::run::{follow, line, open};
use crate::config::Config;
use crate::flow::Runs;
use crate::record::{self, Tidied};

/// Steps that are read at once.
const PAGE: usize = 1_000;

#[derive(Debug, Args)]
pub(crate) struct RunsCommand {
    /// Only those that have not ended
    #[arg(long)]
    open: bool,
    /// The latest so many
    #[arg(long, default_value_t = 50, value_name = "N")]
    last: usize,
    /// As JSON
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    word: Option<Word>,
}

#[derive(Debug, Subcommand)]
enum Word {
    /// One run with its steps
    Show {
        /// Such as r12
        id: String,
    },
    /// Go on with a run that no process drives, until it ends or waits for a person
    Resume {
        /// Such as r12
        id: String,
        /// Show each step as it ends
        #[arg(long)]
        trace: bool,
    },
    /// Stop a run and its children
    Cancel {
        /// Such as r12
        id: String,
    },
    /// Send a signal to a run
    Signal {
        /// Such as r12
        id: String,
        /// Which signal
        name: String,
        /// What it carries
        #[arg(long = "value", default_value = "null", value_name = "JSON")]
        value: String,
    },
    /// Say what became of a step that is in doubt
    Resolve {
        /// Such as r12
        id: String,
        /// Such as 4.2.1
        step: String,
        /// It did not take effect: try it again
        #[arg(long, conflicts_with_all = ["done", "fail"])]
        retry: bool,
        /// It did, and gave this
        #[arg(long, value_name = "JSON", conflicts_with = "fail")]
        done: Option<String>,
        /// Let it fail with the code in-doubt
        #[arg(long)]
        fail: bool,
    },
    /// Delete and redact now what [record] in the settings says; `pawl serve` does so every hour
    Tidy,
    /// Every step of runs as JSON lines
    Export {
        /// Such as r12; without, all that have ended
        id: Option<String>,
    },
}

impl RunsCommand {
    pub(crate) async fn run(self, config: &Config) -> Result<ExitCode> {
        let runs = match &self.word {
            Some(Word::Resume { .. } | Word::Cancel { .. }) => open(config, None).await?,
            _ => Runs::look(config).await?,
        };
        let code = self.on(config, &runs).await;
        runs.close().await;
        code
    }

    async fn on(self, config: &Config, runs: &Runs) -> Result<ExitCode> {
        match self.word {
            None => {
                let (only_open, last) = (self.open, self.last);
                let list = runs.ask(move |orchestrator| orchestrator.runs(only_open, last)).await?;
                if self.json {
                    println!("{}", serde_json::to_string_pretty(&list)?);
                } else if list.is_empty() {
                    println!("no runs");
                } else {
                    list.iter().for_each(|run| println!("{}", row(run)));
                }
            }
            Some(Word::Show { id }) => show(runs, id.parse()?, self.json).await?,
            Some(Word::Resume { id, trace }) => {
                let id: RunId = id.parse()?;
                let events = runs.events();
                runs.ask(move |orchestrator| orchestrator.go_on(id)).await?;
                return follow(runs, id, events, trace).await;
            }
            Some(Word::Cancel { id }) => {
                let id: RunId = id.parse()?;
                runs.ask(move |orchestrator| orchestrator.cancel(id)).await?;
                // Where this process has it, its script may have something to undo.
                let mut run = runs.ask(move |orchestrator| orchestrator.run(id)).await?;
                for _ in 0..50 {
                    if run.state.ended() {
                        break;
                    }
                    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
                    run = runs.ask(move |orchestrator| orchestrator.run(id)).await?;
                }
                println!("{}", row(&run));
            }
            Some(Word::Signal { id, name, value }) => {
                let (id, payload): (RunId, Value) = (id.parse()?, parsed("--value", &value)?);
                runs.ask(move |orchestrator| orchestrator.signal(id, &name, &payload)).await?;
                println!("{id} has it");
            }
            Some(Word::Resolve { id, step, retry, done, fail }) => {
                let id: RunId = id.parse()?;
                let resolution = match (retry, done, fail) {
                    (true, None, false) => Resolution::Retry,
                    (false, Some(value), false) => Resolution::Done(parsed("--done", &value)?),
                    (false, None, true) => Resolution::Fail,
                    _ => bail!("say one of --retry, --done JSON, --fail"),
                };
                let by = person();
                runs.ask(move |orchestrator| orchestrator.resolve(id, &step, resolution, &by)).await?;
                println!("{id} goes on with `pawl serve` or `pawl runs resume {id}`");
            }
            Some(Word::Tidy) => {
                let Tidied { runs, jobs, turns, redacted } = record::tidy(config, runs).await?;
                println!(
                    "deleted {runs} runs, {jobs} jobs and {turns} turns of conversations; redacted {redacted} runs and jobs"
                );
            }
            Some(Word::Export { id }) => export(runs, id.map(|id| id.parse()).transpose()?).await?,
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn parsed(flag: &str, text: &str) -> Result<Value> {
    serde_json::from_str(text).with_context(|| format!("{flag} '{text}' is not JSON"))
}

fn row(run: &Run) -> String {
    let (id, state) = (run.id, run.state.name());
    let end = match &run.outcome {
        Some(Err(failure)) => {
            format!("  {}: {}", failure.code, failure.message.lines().next().unwrap_or_default())
        }
        _ => String::new(),
    };
    let id = id.to_string();
    format!("{id:<7} {state:<9} {:.0}  {}{}", run.created, visible(&run.flow), visible(&end))
}

async fn show(runs: &Runs, id: RunId, as_json: bool) -> Result<()> {
    let run = runs.ask(move |orchestrator| orchestrator.run(id)).await?;
    let steps = all_steps(runs, id).await?;
    if as_json {
        let mut all = json!(run);
        all["steps"] = json!(steps);
        println!("{}", serde_json::to_string_pretty(&all)?);
        return Ok(());
    }
    println!("{}", row(&run));
    println!("        begun by {}; input {}", visible(&run.requester), visible(&run.input.to_string()));
    steps.iter().for_each(|step| println!("{}", line(step)));
    if let Some(Ok(result)) = &run.outcome {
        println!("{}", serde_json::to_string_pretty(result)?);
    }
    Ok(())
}

async fn all_steps(runs: &Runs, id: RunId) -> Result<Vec<pawl_flow::StepView>> {
    let mut steps = Vec::new();
    loop {
        let from = steps.len();
        let page = runs.ask(move |orchestrator| orchestrator.steps(id, from, PAGE)).await?;
        let last = page.len() < PAGE;
        steps.extend(page);
        if last {
            return Ok(steps);
        }
    }
}

/// A line per run, and one per step, each with the run's id.
async fn export(runs: &Runs, only: Option<RunId>) -> Result<()> {
    let list = match only {
        Some(id) => vec![runs.ask(move |orchestrator| orchestrator.run(id)).await?],
        None => {
            let mut list = runs.ask(|orchestrator| orchestrator.runs(false, usize::MAX)).await?;
            list.retain(|run| run.state.ended());
            list.reverse();
            list
        }
    };
    for run in list {
        println!("{}", json!({"run": run}));
        for step in all_steps(runs, run.id).await? {
            println!("{}", json!({"of": run.id, "step": step}));
        }
    }
    Ok(())
}

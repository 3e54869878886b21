//! `pawl jobs`: batches, and a person's word to them.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::{Args, Subcommand};
use pawl_flow::{Item, Job, JobId};
use serde_json::json;

use super::approvals::visible;
use crate::config::Config;
use crate::flow::Runs;
use crate::plugins::make_private;
use crate::screen::ranking::Ranking;
use crate::screen::{Shared, report};

#[derive(Debug, Args)]
pub(crate) struct Jobs {
    /// As JSON
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    word: Option<Word>,
}

#[derive(Debug, Subcommand)]
enum Word {
    /// One job with its items
    Show {
        /// Such as j3
        id: String,
        /// Only items of this state: queued, running, done, failed or same
        #[arg(long, value_name = "STATE")]
        state: Option<String>,
    },
    /// Write the ranking of a screening: results.jsonl, results.csv and report.html
    Report {
        /// Such as j3
        id: String,
        /// Where to
        #[arg(long, value_name = "DIR")]
        out: PathBuf,
    },
    /// Begin no more items of a job
    Pause {
        /// Such as j3
        id: String,
    },
    /// Go on with a job that was paused
    Resume {
        /// Such as j3
        id: String,
    },
    /// Try once more what failed
    Retry {
        /// Such as j3
        id: String,
    },
}

impl Jobs {
    pub(crate) async fn run(self, config: &Config) -> Result<ExitCode> {
        let runs = Runs::look(config).await?;
        match self.word {
            None => {
                let list = runs.ask(|orchestrator| orchestrator.jobs(100)).await?;
                if self.json {
                    println!("{}", serde_json::to_string_pretty(&list)?);
                } else if list.is_empty() {
                    println!("no jobs");
                } else {
                    list.iter().for_each(|job| println!("{}", row(job)));
                }
            }
            Some(Word::Show { id, state }) => {
                let id: JobId = id.parse()?;
                let job = runs.ask(move |orchestrator| orchestrator.job(id)).await?;
                let items = runs.items(id, state).await?;
                if self.json {
                    let mut all = json!(job);
                    all["list"] = json!(items);
                    println!("{}", serde_json::to_string_pretty(&all)?);
                } else {
                    println!("{}", row(&job));
                    items.iter().for_each(|item| println!("    {}", line(item)));
                }
            }
            Some(Word::Report { id, out }) => {
                let id: JobId = id.parse()?;
                let job = runs.ask(move |orchestrator| orchestrator.job(id)).await?;
                let Some(shared) = Shared::of(&job) else { bail!("job {id} is no screening") };
                let ranking = Ranking::of(&job, &shared, runs.items(id, None).await?);
                make_private(&out)?;
                report::write(&ranking, &out)
                    .with_context(|| format!("cannot write into {}", out.display()))?;
                println!("{}", out.join("report.html").display());
            }
            Some(Word::Pause { id }) => {
                let id: JobId = id.parse()?;
                println!("{}", row(&runs.ask(move |orchestrator| orchestrator.pause(id, true)).await?));
            }
            Some(Word::Resume { id }) => {
                let id: JobId = id.parse()?;
                println!("{}", row(&runs.ask(move |orchestrator| orchestrator.pause(id, false)).await?));
            }
            Some(Word::Retry { id }) => {
                let id: JobId = id.parse()?;
                let again = runs.ask(move |orchestrator| orchestrator.retry_failed(id)).await?;
                println!("{again} items are queued again");
            }
        }
        runs.close().await;
        Ok(ExitCode::SUCCESS)
    }
}

fn row(job: &Job) -> String {
    let (id, state, items) = (job.id.to_string(), job.state.name(), &job.items);
    let mut said = format!("{} of {} ended", items.ended(), items.all());
    for (count, what) in
        [(items.failed, "failed"), (items.same, "the same as another"), (items.running, "running")]
    {
        if count > 0 {
            said.push_str(&format!(", {count} {what}"));
        }
    }
    format!("{id:<6} {state:<8} {:.0}  {}  {said}", job.created, visible(&job.name))
}

fn line(item: &Item) -> String {
    let came = match &item.outcome {
        Some(Err(failure)) => format!("  {}: {}", failure.code, visible(&failure.message)),
        _ => String::new(),
    };
    let same = item.same_as.as_ref().map_or_else(String::new, |same| format!("  as {}", visible(same)));
    format!("{:<8} {}{same}{came}", item.state, visible(&item.name))
}

//! `pawl run FLOW`: a workflow, from a file or by name, until it ends or waits for a person.

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use clap::Args;
use pawl_flow::{Event, Run, RunId, RunState, Scope, Sources, Start, StepView};
use serde_json::{Value, json};
use tokio::sync::broadcast::error::RecvError;

use super::approvals::{WAITS, visible};
use crate::approvals::Approvals;
use crate::config::Config;
use crate::flow::{Runs, check, scripts};
use crate::plugins::Plugins;
use crate::plugins::model::LateModel;

#[derive(Debug, Args)]
pub(crate) struct RunCommand {
    /// A script file, or the name of a flow in the folder of workflows
    flow: String,
    /// What the script sees as `input`
    #[arg(long, default_value = "null", value_name = "JSON")]
    input: String,
    /// Leave it to `pawl serve`, and print its id
    #[arg(long)]
    detach: bool,
    /// Show each step as it ends
    #[arg(long)]
    trace: bool,
    /// Who begins it; they cannot approve what it asks for [default: workflow NAME]
    #[arg(long, value_name = "NAME")]
    by: Option<String>,
}

impl RunCommand {
    pub(crate) async fn run(self, config: &Config) -> Result<ExitCode> {
        let input: Value = serde_json::from_str(&self.input)
            .with_context(|| format!("--input '{}' is not JSON", self.input))?;
        let sources = sources(config, &self.flow)?;
        let requester = self.by.clone().unwrap_or_else(|| format!("workflow {}", sources.flow()));
        let runs = open(config, Some(&sources)).await?;
        let start = Start { sources, input, requester, origin: None, document: None, detached: self.detach };
        let events = runs.events();
        let id = runs.ask(move |orchestrator| orchestrator.start(start)).await?;
        if self.detach {
            println!("{id}");
            return Ok(ExitCode::SUCCESS);
        }
        let code = follow(&runs, id, events, self.trace).await;
        runs.close().await;
        code
    }
}

/// The script that a person names: a file, or a flow of the folder.
pub(crate) fn sources(config: &Config, flow: &str) -> Result<Sources> {
    let file = Path::new(flow);
    let found = if file.extension().is_some_and(|ending| ending == "rhai") || file.is_file() {
        scripts::read(file)
    } else {
        scripts::by_name(&config.workflows.folder, flow)
    };
    found.map_err(|failure| anyhow::anyhow!("{}", failure.message))
}

/// The runs, with all that they need; a script that is to be run is checked first.
pub(crate) async fn open(config: &Config, script: Option<&Sources>) -> Result<Runs> {
    let loading = config.clone();
    let plugins = tokio::task::spawn_blocking(move || Plugins::load(&loading)).await??;
    let model = Arc::new(LateModel::new(config.clone(), plugins.embedder()));
    let plugins = plugins.with_model(Arc::clone(&model));
    if let Some(sources) = script {
        let set = plugins.now();
        let tools: Vec<_> = set.tools().cloned().collect();
        let wrong = check::check(sources, &tools, &config.workflows.folder);
        if !wrong.is_empty() {
            for missing in set.missing() {
                eprintln!("plugin {} is not loaded: {}", missing.plugin, missing.why);
            }
            let wrong: Vec<String> = wrong.iter().map(ToString::to_string).collect();
            bail!("{}", wrong.join("\n"));
        }
    }
    let approvals = Approvals::open(&config.home)?;
    Runs::open(config, plugins, model, &approvals, Scope::Own).await
}

/// Waits until a run ends or waits for a person, and says so; its result goes to stdout.
pub(crate) async fn follow(
    runs: &Runs,
    id: RunId,
    mut events: tokio::sync::broadcast::Receiver<Event>,
    trace: bool,
) -> Result<ExitCode> {
    let began = std::time::Instant::now();
    if trace {
        eprintln!("{id} begins");
    }
    loop {
        let run = runs.ask(move |orchestrator| orchestrator.run(id)).await?;
        if run.state.ended() {
            return ended(&run, trace, began.elapsed());
        }
        if matches!(run.state, RunState::Waiting | RunState::InDoubt) {
            let steps = runs.ask(move |orchestrator| orchestrator.open_steps(id)).await?;
            if let Some(waits) = for_a_person(&run, &steps) {
                println!(
                    "{}",
                    serde_json::to_string_pretty(&json!({"run": id, "state": run.state, "waits": steps}))?
                );
                eprintln!("{waits}");
                return Ok(ExitCode::from(WAITS));
            }
        }
        loop {
            match events.recv().await {
                Ok(Event::Step(of, step)) if of == id && trace => eprintln!("{}", line(&step)),
                Ok(Event::Run(of, state)) if of == id && state != RunState::Running => break,
                Ok(_) => {}
                // Too many to show: what is on record is the truth.
                Err(RecvError::Lagged(_)) => break,
                Err(RecvError::Closed) => bail!("run {id} goes on with `pawl runs resume {id}`"),
            }
        }
    }
}

fn ended(run: &Run, trace: bool, took: std::time::Duration) -> Result<ExitCode> {
    if trace {
        eprintln!("{} is {} after {:.1} s", run.id, run.state.name(), took.as_secs_f64());
    }
    match &run.outcome {
        Some(Ok(value)) => {
            println!("{}", serde_json::to_string_pretty(value)?);
            Ok(ExitCode::SUCCESS)
        }
        Some(Err(failure)) => {
            eprintln!(
                "pawl: {} {}: {} ({})",
                run.id,
                run.state.name(),
                visible(&failure.to_string()),
                failure.code
            );
            Ok(ExitCode::from(1))
        }
        None => Ok(ExitCode::from(1)),
    }
}

/// What a person is to do, where nothing else can go on.
fn for_a_person(run: &Run, steps: &[StepView]) -> Option<String> {
    let id = run.id;
    let mut lines = Vec::new();
    for step in steps {
        match (&step.approval, &step.waits_for) {
            (Some(approval), _) => lines.push(format!(
                "{id} waits for a person: `pawl approvals` shows what for, `pawl approvals approve {approval}` decides"
            )),
            (None, Some(doubt)) if run.state == RunState::InDoubt && step.child.is_none() => {
                let step = &step.step;
                lines.push(format!("{id}, step {step}, waits for {doubt}: `pawl runs resolve {id} {step} --retry`, --done JSON or --fail"));
            }
            (None, Some(what)) if what.starts_with("signal ") && !what.contains(", until ") => {
                let name = what.trim_start_matches("signal ");
                lines.push(format!("{id} waits for a signal: `pawl runs signal {id} {name} --value JSON`"));
            }
            // A moment or a child comes by itself.
            _ => return None,
        }
    }
    lines.push(format!("then `pawl serve` goes on with it, or `pawl runs resume {id}`"));
    Some(lines.join("\n"))
}

/// A step in a line of a timeline.
pub(crate) fn line(step: &StepView) -> String {
    let at = step.began.strftime("%H:%M:%S%.3f");
    let took = step.ended.map(|ended| ended.duration_since(step.began).as_secs_f64());
    let took = took.map_or_else(|| "        …".to_owned(), |took| format!("{took:>8.3}s"));
    let came = match (&step.outcome, &step.waits_for) {
        (Some(Ok(Value::Null)), _) => String::new(),
        (Some(Ok(value)), _) => format!(" -> {}", short(&value.to_string())),
        (Some(Err(failure)), _) => format!(" !! {}: {}", failure.code, short(&failure.message)),
        (None, Some(what)) => format!(" waits for {}", short(what)),
        (None, None) => String::new(),
    };
    let tries = if step.attempts > 1 { format!(" ({} attempts)", step.attempts) } else { String::new() };
    let tokens = step.detail.as_ref().and_then(|detail| detail["completion_tokens"].as_u64());
    let tokens = tokens.map_or_else(String::new, |tokens| format!(" [{tokens} tokens]"));
    let (step, title) = (&step.step, visible(&step.request.title()));
    format!("{at} {took}  {step:<8} {title}{tries}{tokens}{came}")
}

fn short(text: &str) -> String {
    const WIDE: usize = 100;
    let text = visible(text).replace('\n', " ");
    match text.char_indices().nth(WIDE) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text,
    }
}

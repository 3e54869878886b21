//! `pawl eval SUITE`: the requests of a suite through the model, scored by the calls that they lead to.
//!
//! Each case has a calendar and a sample shop of its own in a temporary folder: nothing that is there is touched, and no
//! case sees what another did. Where the settings grant `sql` another database than the sample shop, that one is asked
//! (and only read), and the gold statements run on it.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::Args;
use jiff::ZonedDateTime;
use jiff::tz::TimeZone;
use pawl_plugin::{DatabaseGrant, Place};
use serde_json::{Value, json};

use crate::app;
use crate::chat::{CallRecord, Chat, Item, Outcome, Turn};
use crate::config::{Config, Home};
use crate::eval::{self, Case, Score, Suite};
use crate::plugins::Plugins;
use crate::record::Recorder;
use crate::sample;

#[derive(Debug, Args)]
pub(crate) struct Eval {
    /// A file of cases, such as tests/cases/chat.json
    suite: PathBuf,
    /// Only cases whose id holds this
    #[arg(long, value_name = "TEXT")]
    only: Option<String>,
    /// One JSON object per case on standard output
    #[arg(long)]
    json: bool,
    /// Fail under this many right tools
    #[arg(long, default_value_t = 0, value_name = "N")]
    min_tools: usize,
    /// Fail under this many right calls
    #[arg(long, default_value_t = 0, value_name = "N")]
    min_calls: usize,
}

impl Eval {
    pub(crate) async fn run(self, config: Config) -> Result<ExitCode> {
        let suite = Suite::read(&self.suite)?;
        let scratch = tempfile::tempdir()?;
        let shop = scratch.path().join("shop.sqlite");
        sample::write_shop(&shop)?;
        let database = asked(&config, &shop);
        let zone = TimeZone::get(&suite.zone)?;
        let now = suite.now.to_zoned_datetime(zone)?;
        let (chat, _) = app::start(&config).await?;
        let (mut cases, mut tools, mut calls) = (0, 0, 0);
        let chosen = |case: &&Case| self.only.as_ref().is_none_or(|only| case.id.contains(only.as_str()));
        for case in suite.cases.iter().filter(chosen) {
            let plugins = fresh_plugins(&config, &scratch.path().join(&case.id), &shop)?;
            if let Some(missing) = plugins.now().missing().first() {
                bail!(
                    "plugin {} is not loaded, so no score would mean anything: {}",
                    missing.plugin,
                    missing.why
                );
            }
            let with = chat.llm.clone();
            let plugins = tokio::task::spawn_blocking(move || plugins.checked_by(&with)).await?;
            let chat = Chat { plugins, recorder: Recorder::none(), ..chat.clone() };
            let outcome = chat.run(turn(case, now.clone()), None).await?;
            let made: Vec<(String, Value)> = outcome.calls.iter().map(as_it_ran).collect();
            let score = eval::score(case, &made, &database);
            cases += 1;
            tools += usize::from(score.tool_right);
            calls += usize::from(score.call_right);
            self.report(case, &score, &outcome, &made);
        }
        println!("{}: tool right {tools} of {cases}, whole call right {calls} of {cases}", config.model.name);
        let short = tools < self.min_tools || calls < self.min_calls;
        Ok(ExitCode::from(u8::from(short)))
    }

    fn report(&self, case: &Case, score: &Score, outcome: &Outcome, made: &[(String, Value)]) {
        if self.json {
            let line = json!({"id": case.id, "tool_right": score.tool_right, "call_right": score.call_right,
                "why": score.why, "calls": outcome.calls.iter().map(CallRecord::as_json).collect::<Vec<_>>(),
                "answer": outcome.text, "rounds": outcome.rounds, "seconds": outcome.took.as_secs_f64(),
                "prompt_tokens": outcome.usage.prompt, "cached_tokens": outcome.usage.cached,
                "completion_tokens": outcome.usage.completion, "forced_tokens": outcome.usage.forced});
            println!("{line}");
            return;
        }
        let mark = match (score.tool_right, score.call_right) {
            (_, true) => "ok  ",
            (true, false) => "call",
            (false, false) => "TOOL",
        };
        println!("{mark} {} ({:.1} s) {}", case.id, outcome.took.as_secs_f64(), score.why);
        if !score.call_right {
            for (tool, arguments) in made {
                println!("       {tool} {arguments}");
            }
            println!("       answer: {}", outcome.text.replace('\n', " "));
        }
    }
}

/// A call as it was carried out: `sql` says which statement it ran.
fn as_it_ran(call: &CallRecord) -> (String, Value) {
    let mut arguments = call.arguments.clone();
    if let Ok(Value::String(ran)) = call.result.as_ref().map(|result| &result["sql"]) {
        arguments["sql"] = Value::String(ran.clone());
    }
    (call.tool.clone(), arguments)
}

/// The database that `sql` is granted: the scratch copy of the sample shop, or the operator's own.
fn asked(config: &Config, shop: &Path) -> PathBuf {
    let sql = config.plugins.iter().find(|plugin| plugin.name == "sql");
    match sql.and_then(|plugin| plugin.grant.database.values().next()) {
        Some(DatabaseGrant { place: Place::File(file), .. }) if *file != config.home.shop() => file.clone(),
        _ => shop.to_path_buf(),
    }
}

/// The plugins of the settings, over an empty calendar and the sample shop.
fn fresh_plugins(config: &Config, folder: &Path, shop: &Path) -> Result<Plugins> {
    let mut config = config.clone();
    let usual = config.home.shop();
    let granted = config.plugins.iter_mut().flat_map(|plugin| plugin.grant.database.values_mut());
    for database in granted.filter_map(DatabaseGrant::file_mut) {
        if *database == usual {
            *database = shop.to_path_buf();
        }
    }
    config.home = Home { data: folder.to_path_buf(), ..config.home };
    Ok(Plugins::load(&config)?)
}

fn turn(case: &Case, now: ZonedDateTime) -> Turn {
    let items = case
        .messages
        .iter()
        .map(|message| match message.role.as_str() {
            "system" => Item::System(message.content.clone()),
            "assistant" => Item::Assistant(message.content.clone()),
            _ => Item::User(message.content.clone()),
        })
        .collect();
    Turn::with_plugins(items, now)
}

//! What begins workflows by itself while `pawl serve` runs: schedules, folders, webhooks.
//!
//! Invariant: each occasion begins one run. It has a name (this moment, this file with this content, this message), which is the
//! run's origin; a second begin with it, by this process or another, finds the first run.

mod folder;
pub(crate) mod schedule;
pub(crate) mod webhook;

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use pawl_flow::{Document, Failure, FlowError, RunId, Start};
use pawl_plugin::Tool;
use serde_json::{Map, Value, json};
use tokio::task::JoinSet;

use crate::config::Config;
use crate::config::triggers::{On, TriggerConfig};
use crate::flow::{Runs, check, scripts};
use crate::triggers::schedule::Schedule;

/// The longest that a schedule sleeps: clocks are set, machines sleep.
const LONGEST: Duration = Duration::from_secs(30);

/// Why an occasion began nothing.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TriggerError {
    #[error("{}", .0.message)]
    Script(Failure),
    #[error(transparent)]
    Flow(#[from] FlowError),
    #[error("{0}")]
    Host(String),
}

/// Begins runs when something happens. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Triggers {
    config: Arc<Config>,
    runs: Runs,
}

/// What happened.
struct Occasion {
    /// What tells it from every other of its trigger.
    name: String,
    /// What the script sees beside the input of the settings.
    given: Map<String, Value>,
    document: Option<Document>,
}

/// What keeps triggers from beginning anything that could succeed: a workflow that is not there, or calls what is not. Blocks.
pub(crate) fn faults(config: &Config, tools: &[Tool]) -> Vec<String> {
    let folder = &config.workflows.folder;
    let of = |trigger: &TriggerConfig| {
        // The first of each says enough; `pawl flow check` names all.
        let wrong = match scripts::by_name(folder, &trigger.workflow) {
            Ok(sources) => check::check(&sources, tools, folder).first().map(ToString::to_string),
            Err(failure) => Some(failure.message),
        };
        wrong.map(|wrong| format!("trigger {}: {wrong}", trigger.name))
    };
    config.triggers.iter().filter_map(of).collect()
}

impl Triggers {
    pub(crate) fn new(config: Config, runs: Runs) -> Triggers {
        Triggers { config: Arc::new(config), runs }
    }

    /// Watches clocks and folders until what it gives is dropped.
    pub(crate) fn watch(&self) -> JoinSet<()> {
        let mut watching = JoinSet::new();
        for trigger in &self.config.triggers {
            match trigger.on.clone() {
                On::Schedule(schedule) => {
                    watching.spawn(self.clone().keep_time(trigger.clone(), schedule));
                }
                On::Folder { folder, collection } => {
                    watching.spawn(folder::watch(self.clone(), trigger.clone(), folder, collection));
                }
                On::Webhook { .. } => {}
            }
        }
        watching
    }

    /// Begins the run of an occasion; the one that there is, where it was begun before.
    async fn begin(&self, trigger: &TriggerConfig, occasion: Occasion) -> Result<RunId, TriggerError> {
        let (folder, workflow) = (self.config.workflows.folder.clone(), trigger.workflow.clone());
        let read = tokio::task::spawn_blocking(move || scripts::by_name(&folder, &workflow)).await;
        let sources =
            read.map_err(|error| TriggerError::Host(error.to_string()))?.map_err(TriggerError::Script)?;
        let name = &trigger.name;
        let mut input = trigger.input.clone();
        input.insert("trigger".to_owned(), json!({"name": name, "at": Timestamp::now()}));
        input.extend(occasion.given);
        let start = Start {
            sources,
            input: Value::Object(input),
            requester: format!("trigger {name}"),
            origin: Some(format!("trigger {name} {}", occasion.name)),
            document: occasion.document,
            detached: false,
        };
        let run = self.runs.ask(move |orchestrator| orchestrator.start(start)).await?;
        tracing::debug!(trigger = name, %run, occasion = occasion.name, "begun");
        Ok(run)
    }

    /// Begins runs at the times of a schedule.
    async fn keep_time(self, trigger: TriggerConfig, schedule: Schedule) {
        loop {
            if let Err(error) = self.look(&trigger, &schedule).await {
                tracing::error!(trigger = trigger.name, "{error}; trying again");
            }
            let now = Timestamp::now();
            let wait = schedule.next(now).map_or(LONGEST, |next| {
                Duration::try_from(next.duration_since(now)).unwrap_or(Duration::ZERO)
            });
            tokio::time::sleep(wait.min(LONGEST)).await;
        }
    }

    async fn look(&self, trigger: &TriggerConfig, schedule: &Schedule) -> Result<(), TriggerError> {
        let now = Timestamp::now();
        let name = trigger.name.clone();
        let seen = self.runs.ask(move |orchestrator| orchestrator.seen(&name)).await?;
        // A year of minutes takes its time.
        let (counting, seen) = (schedule.clone(), seen.unwrap_or(now));
        let due = tokio::task::spawn_blocking(move || counting.due(seen, now)).await;
        for moment in due.map_err(|error| TriggerError::Host(error.to_string()))? {
            let at = schedule.local(moment);
            let given = Map::from_iter([("trigger".to_owned(), json!({"name": trigger.name, "at": at}))]);
            self.begin(trigger, Occasion { name: format!("at {moment}"), given, document: None }).await?;
        }
        let name = trigger.name.clone();
        self.runs.ask(move |orchestrator| orchestrator.set_seen(&name, now)).await?;
        Ok(())
    }
}

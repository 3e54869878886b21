//! Workflows: scripts of the folder, run by the embedded orchestrator, with plugins and the model as their world.
//!
//! Invariant: a script reaches plugins as anybody does: by their grants, and through the gate of approvals where they write.

pub(crate) mod check;
pub(crate) mod prompts;
pub(crate) mod scripts;
mod world;

use std::sync::Arc;

use anyhow::{Context, Result};
use pawl_flow::{Embedded, FlowError, Item, JobId, Options, Scope};
use tokio::runtime::Handle;

use crate::approvals::Approvals;
use crate::config::Config;
use crate::plugins::Plugins;
use crate::plugins::model::LateModel;
pub(crate) use world::{Nothing, Workshop};

/// Items that are read at once.
const PAGE: usize = 1_000;

/// The runs of one data folder. Cheap to clone; what blocks is done off the runtime's threads.
#[derive(Clone)]
pub(crate) struct Runs {
    orchestrator: Arc<Embedded>,
}

impl Runs {
    /// Runs scripts with these plugins and this model.
    pub(crate) async fn open(
        config: &Config,
        plugins: Plugins,
        model: Arc<LateModel>,
        approvals: &Approvals,
        scope: Scope,
    ) -> Result<Runs> {
        let world = Workshop::new(config, plugins, model, approvals.clone());
        Runs::of(config, Arc::new(world), approvals, scope).await
    }

    /// Looks at runs, and says something to them, without driving any.
    pub(crate) async fn look(config: &Config) -> Result<Runs> {
        let approvals = Approvals::open(&config.home)?;
        Runs::of(config, Arc::new(Nothing), &approvals, Scope::Own).await
    }

    async fn of(
        config: &Config,
        world: Arc<dyn pawl_flow::World>,
        approvals: &Approvals,
        scope: Scope,
    ) -> Result<Runs> {
        let (folder, store, runtime) = (config.home.runs(), approvals.store(), Handle::current());
        let options = Options { scope, at_once: config.workflows.at_once };
        let open = move || Embedded::open(&folder, world, store, runtime, options);
        let orchestrator = tokio::task::spawn_blocking(open).await?;
        Ok(Runs { orchestrator: Arc::new(orchestrator.context("workflows")?) })
    }

    /// Asks the orchestrator something, off the runtime's threads.
    pub(crate) async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&Embedded) -> Result<T, FlowError> + Send + 'static,
    ) -> Result<T, FlowError> {
        let orchestrator = Arc::clone(&self.orchestrator);
        let asked = tokio::task::spawn_blocking(move || question(&orchestrator)).await;
        asked.unwrap_or_else(|error| Err(FlowError::Limit(format!("the host failed: {error}"))))
    }

    /// Every item of a job, or every one of a state.
    pub(crate) async fn items(&self, id: JobId, state: Option<String>) -> Result<Vec<Item>, FlowError> {
        let mut items: Vec<Item> = Vec::new();
        loop {
            let (from, state) = (items.last().map_or(0, |item| item.n + 1), state.clone());
            let page =
                self.ask(move |orchestrator| orchestrator.items(id, state.as_deref(), from, PAGE)).await?;
            let last = page.len() < PAGE;
            items.extend(page);
            if last {
                return Ok(items);
            }
        }
    }

    /// Why nothing can be written down at the moment, while it cannot.
    pub(crate) fn trouble(&self) -> Option<String> {
        self.orchestrator.trouble()
    }

    /// What happens from now on.
    pub(crate) fn events(&self) -> tokio::sync::broadcast::Receiver<pawl_flow::Event> {
        self.orchestrator.events()
    }

    /// Lets go of the runs, which waits for what can take effect. What is not finished, the next process goes on with.
    pub(crate) async fn close(self) {
        let closed = tokio::task::spawn_blocking(move || drop(self)).await;
        if let Err(error) = closed {
            tracing::error!("workflows: {error}");
        }
    }
}

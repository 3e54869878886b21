//! Calls that write: tried, shown to a person in full, and carried out once they say so.
//!
//! Invariants: a call that would write does nothing until somebody other than whoever asked approves it; what is carried
//! out is, by its digest, what was approved: the same component, arguments and writes; once. A decision that has begun
//! goes on to its end, whoever hangs up.

use std::sync::Arc;

use jiff::Timestamp;
use pawl_flow::{Approval, ApprovalError, Decision, Proposal, State};
use pawl_plugin::{CallError, Write};
use serde_json::{Value, json};

use crate::config::Home;
use crate::plugins::set::Set;

/// Who asks, where a model does.
pub(crate) const MODEL: &str = "model";

/// How far a call came.
#[derive(Debug)]
pub(crate) enum Reached {
    /// It returned.
    Result(Value),
    /// It would write: a person is asked.
    Approval(Box<Approval>),
}

/// Why a call neither returned nor waits.
#[derive(Debug, thiserror::Error)]
pub(crate) enum GatedError {
    #[error(transparent)]
    Call(#[from] CallError),
    #[error(transparent)]
    Approval(#[from] ApprovalError),
    #[error("tool \"{0}\" is not there any more; see `pawl plugin list`")]
    Gone(String),
    #[error("the decision ended early: {0}")]
    Worker(String),
}

/// The approvals of one data folder. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Approvals {
    store: Arc<pawl_flow::Approvals>,
}

impl Approvals {
    /// Opens the store; makes its folder where there is none. Blocks on the disk for moments.
    pub(crate) fn open(home: &Home) -> Result<Approvals, ApprovalError> {
        Ok(Approvals { store: Arc::new(pawl_flow::Approvals::open(&home.approvals())?) })
    }

    /// Those that wait; with `all`, those that were decided too.
    pub(crate) async fn list(&self, all: bool) -> Result<Vec<Approval>, GatedError> {
        self.stored(move |store| store.list(all, Timestamp::now())).await
    }

    /// Calls a tool by its full name. Where it would write, finds out what, and asks.
    pub(crate) async fn call(
        &self,
        plugins: &Set,
        tool: &str,
        arguments: &Value,
        requester: &str,
    ) -> Result<Reached, GatedError> {
        match plugins.call(tool, arguments).await {
            Ok(result) => return Ok(Reached::Result(result)),
            Err(CallError::NeedsApproval) => {}
            Err(error) => return Err(error.into()),
        }
        let (plugin, function) = plugins.find(tool).ok_or_else(|| GatedError::Gone(tool.to_owned()))?;
        let writes = plugin.trial(&function.function, arguments).await?;
        let proposal = Proposal {
            tool: tool.to_owned(),
            version: plugin.digest().to_owned(),
            arguments: arguments.clone(),
            effects: json!(writes),
            requester: requester.to_owned(),
        };
        let asked = self
            .stored(move |store| store.ask(&proposal, Timestamp::now(), pawl_flow::approval::EXPIRY))
            .await?;
        tracing::info!(approval = asked.id, tool, "waits for a person");
        Ok(Reached::Approval(Box::new(asked)))
    }

    /// A person decides; what they approve is carried out at once. The approval as it stands afterwards: a call that
    /// failed then is in its state and note, not an error here.
    pub(crate) async fn decide(
        &self,
        plugins: Arc<Set>,
        id: &str,
        decision: Decision,
        by: &str,
    ) -> Result<Approval, GatedError> {
        let (approvals, id, by) = (self.clone(), id.to_owned(), by.to_owned());
        // On a task of its own: whoever hangs up must not leave a write in doubt.
        let deciding = async move { approvals.settle(&plugins, id, decision, by).await };
        tokio::spawn(deciding).await.map_err(|error| GatedError::Worker(error.to_string()))?
    }

    async fn settle(
        &self,
        plugins: &Set,
        id: String,
        decision: Decision,
        by: String,
    ) -> Result<Approval, GatedError> {
        let approve = decision == Decision::Approve;
        let (of, wanted) = (id.clone(), decision);
        let decided = self.stored(move |store| match store.decide(&of, &wanted, &by, Timestamp::now()) {
            // Approved before, and Pawl ended before it was carried out: saying so again goes on.
            Err(ApprovalError::State { state: State::Approved, .. }) if approve => {
                store.get(&of, Timestamp::now())
            }
            otherwise => otherwise,
        });
        let approval = decided.await?;
        tracing::info!(approval = approval.id, state = approval.state.name(), "decided");
        if !approve {
            return Ok(approval);
        }
        let (plugin, function) =
            plugins.find(&approval.tool).ok_or_else(|| GatedError::Gone(approval.tool.clone()))?;
        // Of what is about to be done, not of what the store says was approved.
        let proposal = Proposal {
            tool: approval.tool.clone(),
            version: plugin.digest().to_owned(),
            arguments: approval.arguments.clone(),
            effects: approval.effects.clone(),
            requester: approval.requester.clone(),
        };
        let (of, digest) = (id.clone(), proposal.digest());
        let taken = self.stored(move |store| store.take(&of, &digest, Timestamp::now())).await?;
        let outcome = match serde_json::from_value::<Vec<Write>>(taken.effects) {
            Ok(writes) => plugin
                .carry_out(&function.function, &taken.arguments, writes, None)
                .await
                .map_err(|error| error.to_string()),
            Err(error) => Err(format!("its writes cannot be read: {error}")),
        };
        let finish =
            move |store: &pawl_flow::Approvals| store.finish(&id, outcome.as_ref().map_err(String::as_str));
        self.stored(finish).await
    }

    /// Work with the store, off the runtime's threads.
    async fn stored<T: Send + 'static>(
        &self,
        work: impl FnOnce(&pawl_flow::Approvals) -> Result<T, ApprovalError> + Send + 'static,
    ) -> Result<T, GatedError> {
        let store = Arc::clone(&self.store);
        let done = tokio::task::spawn_blocking(move || work(&store)).await;
        Ok(done.map_err(|error| GatedError::Worker(error.to_string()))??)
    }
}

/// A call that waits, in a sentence for whoever asked.
pub(crate) fn waiting(approval: &Approval) -> String {
    format!(
        "{} would write, so it waits for a person's approval ({}). Nothing has been written. See `pawl approvals`; it \
         can be approved until {:.0}.",
        approval.tool, approval.id, approval.expires
    )
}

/// What came of a decision, as the model is told it.
pub(crate) fn told(approval: &Approval) -> Result<Value, String> {
    match (approval.state, &approval.result) {
        (State::Done, Some(result)) => Ok(result.clone()),
        (State::Done, None) => Ok(Value::Null),
        (State::Rejected, _) if approval.note.is_empty() => Err("a person rejected it".to_owned()),
        (State::Rejected, _) => Err(format!("a person rejected it: {}", approval.note)),
        (State::Failed, _) => Err(approval.note.clone()),
        (state, _) => Err(format!("it is {}", state.name())),
    }
}

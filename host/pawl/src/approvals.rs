//! Calls that write: tried, shown to a person in full, and carried out once they say so.
//!
//! Invariants: a call that would write does nothing until somebody other than whoever asked approves it; what is carried
//! out is, by its digest, what was approved: the same component, arguments and writes; once. A decision that has begun
//! goes on to its end, whoever hangs up.

use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use pawl_flow::approval::BY_SCRIPT;
use pawl_flow::{Approval, ApprovalError, Audited, Decision, Proposal, State};
use pawl_plugin::{CallError, Effects, Plugin, Write};
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

/// What became of writes that were approved.
enum Carried {
    /// They were made; what the call gave.
    Out(Value),
    /// They were not, and will not be.
    Failed(String),
    /// They were not, for the moment.
    Busy(String),
}

/// How long a decision waits for what is busy. What is still not carried out then, runs' ticker goes on with.
const BUSY: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(300);

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

    /// One, with what was said of it.
    pub(crate) async fn one(&self, id: &str) -> Result<(Approval, Vec<Audited>), GatedError> {
        let id = id.to_owned();
        self.stored(move |store| Ok((store.get(&id, Timestamp::now())?, store.audit(&id)?))).await
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
            origin: None,
            people: 1,
        };
        let asked = self
            .stored(move |store| store.ask(&proposal, Timestamp::now(), pawl_flow::approval::EXPIRY))
            .await?;
        tracing::info!(approval = asked.id, tool, "waits for a person");
        Ok(Reached::Approval(Box::new(asked)))
    }

    /// A person decides, of what they were shown (its digest, where they say it); what enough of them approve is carried out
    /// at once. The approval as it stands afterwards: a call that failed then is in its state and note, not an error here.
    pub(crate) async fn decide(
        &self,
        plugins: Arc<Set>,
        id: &str,
        decision: Decision,
        by: &str,
        shown: Option<&str>,
    ) -> Result<Approval, GatedError> {
        let (approvals, id, by, shown) =
            (self.clone(), id.to_owned(), by.to_owned(), shown.map(str::to_owned));
        // On a task of its own: whoever hangs up must not leave a write in doubt.
        let deciding = async move { approvals.settle(&plugins, id, decision, by, shown).await };
        tokio::spawn(deciding).await.map_err(|error| GatedError::Worker(error.to_string()))?
    }

    async fn settle(
        &self,
        plugins: &Set,
        id: String,
        decision: Decision,
        by: String,
        shown: Option<String>,
    ) -> Result<Approval, GatedError> {
        let approve = decision == Decision::Approve;
        let (of, wanted) = (id.clone(), decision);
        let decided = self.stored(move |store| {
            match store.decide(&of, &wanted, &by, shown.as_deref(), Timestamp::now()) {
                // Approved before, and Pawl ended before it was carried out: saying so again goes on.
                Err(ApprovalError::State { state: State::Approved, .. }) if approve => {
                    store.get(&of, Timestamp::now())
                }
                otherwise => otherwise,
            }
        });
        let approval = decided.await?;
        tracing::info!(approval = approval.id, state = approval.state.name(), "decided");
        // A second person is to come, or a script goes on by itself.
        if approval.state != State::Approved || approval.tool == BY_SCRIPT {
            return Ok(approval);
        }
        self.carry_out(plugins, approval).await
    }

    /// Carries out what was approved.
    async fn carry_out(&self, plugins: &Set, approval: Approval) -> Result<Approval, GatedError> {
        let (plugin, function) =
            plugins.find(&approval.tool).ok_or_else(|| GatedError::Gone(approval.tool.clone()))?;
        // Of what is about to be done, not of what the store says was approved.
        let proposal = Proposal {
            tool: approval.tool.clone(),
            version: plugin.digest().to_owned(),
            arguments: approval.arguments.clone(),
            effects: approval.effects.clone(),
            requester: approval.requester.clone(),
            origin: approval.origin.clone(),
            people: approval.people,
        };
        let id = approval.id.clone();
        let (of, digest) = (id.clone(), proposal.digest());
        let taken = self.stored(move |store| store.take(&of, &digest, Timestamp::now())).await?;
        let outcome = match serde_json::from_value::<Vec<Write>>(taken.effects.clone()) {
            Ok(writes) => self.write(plugin, &function.function, &taken, writes).await,
            Err(error) => Carried::Failed(format!("its writes cannot be read: {error}")),
        };
        self.finish(id, outcome).await
    }

    /// Makes the writes, once: where a process ended in the midst of it before, what it did is asked. What is busy is waited for.
    async fn write(&self, plugin: &Plugin, function: &str, taken: &Approval, writes: Vec<Write>) -> Carried {
        let key = self.store.key(taken);
        let until = Instant::now() + BUSY;
        loop {
            let ended = plugin.carry_out(function, &taken.arguments, writes.clone(), Some(&key)).await;
            let why = match ended {
                Ok(value) => return Carried::Out(value),
                Err(CallError::Recorded) => match plugin.recorded(&key).await {
                    Ok(Some(value)) => return Carried::Out(value),
                    Ok(None) => {
                        return Carried::Failed(
                            "it was done before, and what it gave is not known".to_owned(),
                        );
                    }
                    Err(error) => error.to_string(),
                },
                // The key says on the next attempt whether it was done.
                Err(CallError::Busy(why) | CallError::InDoubt(why)) => why,
                // A chat's: as good as it can be had. A step's must be: it is tried again after a crash.
                Err(CallError::NotRecordable(why)) if taken.origin.is_none() => {
                    tracing::warn!(approval = taken.id, "carried out without a record of it: {why}");
                    return match plugin.carry_out(function, &taken.arguments, writes, None).await {
                        Ok(value) => Carried::Out(value),
                        Err(error) => Carried::Failed(error.to_string()),
                    };
                }
                Err(error) => return Carried::Failed(error.to_string()),
            };
            if Instant::now() >= until {
                return Carried::Busy(why);
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Goes on with what was approved and whose process ended first, where that cannot do it twice.
    pub(crate) async fn go_on(&self, plugins: &Set, approval: &Approval) -> Result<(), GatedError> {
        if approval.state == State::Approved {
            return self.carry_out(plugins, approval.clone()).await.map(drop);
        }
        let Some((plugin, function)) = plugins.find(&approval.tool) else { return Ok(()) };
        let known = plugin.recorded(&self.store.key(approval)).await?;
        let outcome = match (known, serde_json::from_value::<Vec<Write>>(approval.effects.clone())) {
            (Some(value), _) => Carried::Out(value),
            (None, Ok(writes)) if plugin.effects() == Effects::Recorded && approval.origin.is_some() => {
                self.write(plugin, &function.function, approval, writes).await
            }
            // It stays as it is, in doubt.
            (None, _) => return Ok(()),
        };
        self.finish(approval.id.clone(), outcome).await.map(drop)
    }

    /// The store itself, for runs, which ask there.
    pub(crate) fn store(&self) -> Arc<pawl_flow::Approvals> {
        Arc::clone(&self.store)
    }

    async fn finish(&self, id: String, outcome: Carried) -> Result<Approval, GatedError> {
        self.stored(move |store| match &outcome {
            Carried::Out(value) => store.finish(&id, Ok(value), Timestamp::now()),
            Carried::Failed(why) => store.finish(&id, Err(why), Timestamp::now()),
            Carried::Busy(why) => store.release(&id, why, Timestamp::now()),
        })
        .await
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

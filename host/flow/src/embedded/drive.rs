//! One run, driven as far as it gets.

use std::collections::HashSet;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use tokio::sync::watch;

use super::{Event, Inner, tick};
use crate::advance::Steps;
use crate::approval::ApprovalError;
use crate::journal::Failure;
use crate::live::{self, CANCELLED, Live};
use crate::run::{FlowError, Run, RunId, RunState};
use crate::script::{ENGINE, Ended};
use crate::store::rows::{self, Pending};
use crate::store::{Store, StoreError};

pub(super) type Outcome = Result<Value, Failure>;

/// Drives a run until it waits or ends.
pub(super) fn drive(inner: &Arc<Inner>, id: RunId, cancel: watch::Receiver<bool>) {
    match once(inner, id, &cancel) {
        Ok(()) | Err(FlowError::Store(StoreError::Closed)) => {}
        Err(error) => {
            tracing::error!("run {id}: {error}; trying again");
            std::thread::sleep(std::time::Duration::from_millis(200));
            inner.wake(id);
        }
    }
}

/// Ends a run whose thread panicked: tried again, it would panic again.
pub(super) fn give_up(inner: &Inner, id: RunId) {
    let outcome = Err(Failure::new("host", "the host failed while it drove this run; its log says why"));
    inner.store.post(move |connection| rows::end(connection, id, RunState::Failed, &outcome));
}

fn once(inner: &Arc<Inner>, id: RunId, cancel: &watch::Receiver<bool>) -> Result<(), FlowError> {
    let Some(run) = inner.store.read(|connection| rows::get_run(connection, id))? else { return Ok(()) };
    if run.ended.is_some() || run.owner.as_deref() != Some(inner.owner.id()) {
        return Ok(());
    }
    let told = settle(inner, &run)?;
    let sources = inner.store.read(|connection| rows::sources(connection, &run.script))?;
    let script = match sources {
        None => {
            Err(Failure::new("script", format!("the script {} is not in the store any more", run.script)))
        }
        Some(sources) => {
            if sources.engine != ENGINE {
                tracing::warn!("run {id} was begun with {}, this is {ENGINE}", sources.engine);
            }
            inner.script(&sources).map_err(|error| Failure::new("script", error.to_string()))
        }
    };
    let (journal, begun, pending) = inner.store.read(|connection| {
        let journal = rows::journal(connection, id)?;
        Ok((journal, rows::begun(connection, id)?, rows::pending(connection, id)?))
    })?;
    let state = |state| inner.tell(|| Event::Run(id, state));
    let ended = match script {
        Err(failure) => Ended::Failed(failure),
        Ok(script) => {
            let live = Live {
                inner: Arc::clone(inner),
                journal: Mutex::new(journal),
                begun,
                pending: pending.into_iter().map(|pending| pending.step).collect::<HashSet<_>>(),
                cancel: if run.cancelled == 1 && !told { asked() } else { cancel.clone() },
                cancelled: AtomicBool::new(told),
                run: run.clone(),
            };
            let live = Arc::new(live);
            script.run(&run.input, live as Arc<dyn Steps>)
        }
    };
    if inner.stopped() {
        return Ok(());
    }
    match ended {
        Ended::Waits => {
            let now = inner.store.write(move |connection| {
                let doubt = rows::pending(connection, id)?.iter().any(|pending| pending.doubt.is_some());
                let now = if doubt { RunState::InDoubt } else { RunState::Waiting };
                rows::set_state(connection, id, now)?;
                Ok(now)
            })?;
            state(now);
        }
        Ended::Done(value) => {
            end(&inner.store, &run, RunState::Done, Ok(value))?;
            state(RunState::Done);
        }
        Ended::Failed(failure) => {
            let stopped = failure.code == CANCELLED;
            let now = if stopped { RunState::Cancelled } else { RunState::Failed };
            end(&inner.store, &run, now, Err(failure))?;
            state(now);
        }
        Ended::Diverged(failure) => {
            end(&inner.store, &run, RunState::Failed, Err(failure))?;
            state(RunState::Failed);
        }
    }
    Ok(())
}

/// A wish to stop that came before the run was driven.
fn asked() -> watch::Receiver<bool> {
    watch::Sender::new(true).subscribe()
}

fn end(store: &Store, run: &Run, state: RunState, outcome: Outcome) -> Result<(), StoreError> {
    let id = run.id;
    store.write(move |connection| {
        rows::end(connection, id, state, &outcome)?;
        // Children that nobody waits for any more.
        rows::cancel_children(connection, id)
    })
}

/// Writes down what has come of the steps that wait, or that they are to stop. Says whether the script is told to by that.
fn settle(inner: &Inner, run: &Run) -> Result<bool, FlowError> {
    let id = run.id;
    let mut waiting = inner.store.read(|connection| rows::pending(connection, id))?;
    waiting.retain(|pending| pending.doubt.is_none());
    if run.cancelled == 1 && !waiting.is_empty() {
        inner.store.write(move |connection| {
            for pending in &waiting {
                rows::record(connection, id, &pending.ended(Err(live::cancellation()), None))?;
            }
            rows::cancel_children(connection, id)?;
            rows::set_cancelled(connection, id)?;
            rows::set_state(connection, id, RunState::Running)
        })?;
        return Ok(true);
    }
    let mut approved = Vec::new();
    for pending in waiting.iter().filter(|pending| pending.approval.is_some()) {
        let approval = pending.approval.as_deref().unwrap_or_default();
        match tick::decided(inner, approval) {
            Ok(Some(outcome)) => approved.push((pending.clone(), outcome, approval.to_owned())),
            Ok(None) => {}
            Err(ApprovalError::Unknown(_)) => {
                let lost = Failure::new("expired", format!("approval {approval} is not there any more"));
                approved.push((pending.clone(), Err(lost), approval.to_owned()));
            }
            Err(error) => return Err(error.into()),
        }
    }
    let now = rows::now();
    let settled = inner.store.write(move |connection| {
        let mut settled = Vec::new();
        for (pending, outcome, approval) in &approved {
            settled
                .push((pending.clone(), pending.ended(outcome.clone(), Some(json!({"approval": approval})))));
        }
        for pending in waiting.iter().filter(|pending| pending.approval.is_none()) {
            if let Some(outcome) = live::come(connection, id, pending, now)? {
                settled.push((pending.clone(), pending.ended(outcome, None)));
            }
        }
        for (_, record) in &settled {
            rows::record(connection, id, record)?;
        }
        rows::set_state(connection, id, RunState::Running)?;
        Ok(settled)
    })?;
    for (pending, record) in settled {
        let request = pending.request()?;
        inner.tell(|| Event::Step(id, Box::new(record.view(request))));
    }
    Ok(run.cancelled == 2)
}

impl Pending {
    /// What waited, ended now.
    pub(crate) fn ended(&self, outcome: Outcome, detail: Option<Value>) -> rows::Record {
        rows::Record {
            step: self.step.clone(),
            request: self.request.clone(),
            digest: self.digest,
            outcome,
            began: self.began,
            ended: rows::now(),
            attempts: 1,
            detail,
        }
    }
}

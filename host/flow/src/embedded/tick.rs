//! What wakes runs: moments, signals, children, approvals, people who cancel, processes that died.

use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::{Timestamp, ToSpan};
use tokio::sync::watch;

use super::{Driven, Inner, Scope, drive, jobs};
use crate::approval::{Approval, ApprovalError, BY_SCRIPT, State};
use crate::batch::JobId;
use crate::journal::Failure;
use crate::run::{FlowError, RunId};
use crate::script::STACK;
use crate::store::{StoreError, jobs as store_jobs, rows};

/// Between two looks, where nobody asks for one.
const LOOK: Duration = Duration::from_millis(50);
/// Between two looks for what others left.
const ADOPT: Duration = Duration::from_millis(500);
/// Between two questions about an approval that was taken by a process that ended.
const AGAIN: Duration = Duration::from_secs(5);
/// How long whoever approved has, to carry it out themselves.
const CARRYING_OUT: i64 = 3;

pub(super) fn until_stopped(inner: &Arc<Inner>) {
    let mut ticker = Ticker { inner, heard: None, adopted: None };
    while !inner.stopped() {
        ticker.look();
        dispatch(inner);
        let work = inner.work();
        let waited = inner.changed.wait_timeout_while(work, LOOK, |work| !work.look && !inner.stopped());
        if let Ok((mut work, _)) = waited {
            work.look = false;
        }
    }
}

struct Ticker<'a> {
    inner: &'a Arc<Inner>,
    /// The last of what was said of approvals; what was said before is seen when a run is taken over.
    heard: Option<i64>,
    adopted: Option<Instant>,
}

impl Ticker<'_> {
    fn look(&mut self) {
        let due = self.adopted.is_none_or(|last| last.elapsed() >= ADOPT);
        let looked = self.approvals().and_then(|()| self.awake()).and_then(|()| {
            if !due {
                return Ok(());
            }
            self.adopted = Some(Instant::now());
            self.unfinished()?;
            if self.inner.options.scope == Scope::All {
                adopt_jobs(self.inner, None)?;
                adopt(self.inner, None)?;
            }
            Ok(())
        });
        let looked = looked.and_then(|()| jobs::advance(self.inner));
        match looked {
            Ok(()) | Err(FlowError::Store(StoreError::Closed)) => {}
            Err(error) => tracing::warn!("{error}; looking again"),
        }
    }

    /// Runs whose moment, signal or child has come, and those that are to stop.
    fn awake(&self) -> Result<(), FlowError> {
        let inner = self.inner;
        let (own, now) = (inner.owner.id(), rows::now());
        let awake = inner.store.read(|connection| rows::awake(connection, own, now))?;
        awake.into_iter().for_each(|id| inner.wake(id));
        let stop = inner.store.read(|connection| rows::to_be_stopped(connection, own))?;
        for id in stop {
            let told = inner.work().driven.get(&id).map(|driven| driven.cancel.send_replace(true));
            if told.is_none() {
                inner.wake(id);
            }
        }
        Ok(())
    }

    /// Runs whose approval was decided, here or by another process.
    fn approvals(&mut self) -> Result<(), FlowError> {
        let Some(since) = self.heard else {
            self.heard = Some(self.inner.approvals.last_said()?);
            return Ok(());
        };
        let (origins, heard) = self.inner.approvals.news(since, Timestamp::now())?;
        self.heard = Some(heard);
        for origin in origins {
            if let Some(id) = self.inner.run_of(&origin) {
                self.wake_own(id)?;
            }
        }
        Ok(())
    }

    fn wake_own(&self, id: RunId) -> Result<(), FlowError> {
        let run = self.inner.store.read(|connection| rows::get_run(connection, id))?;
        if run.is_some_and(|run| run.ended.is_none() && run.owner.as_deref() == Some(self.inner.owner.id())) {
            self.inner.wake(id);
        }
        Ok(())
    }

    /// What was approved and not carried out, because whoever approved it ended first.
    fn unfinished(&self) -> Result<(), FlowError> {
        let now = Timestamp::now();
        let since = now.checked_sub(CARRYING_OUT.seconds()).unwrap_or(now);
        let left = |approval: &Approval| {
            approval.tool != BY_SCRIPT && approval.decided.is_some_and(|decided| decided < since)
        };
        for approval in self.inner.approvals.unfinished(now)?.into_iter().filter(left) {
            if !self.inner.work().settling.insert(approval.id.clone()) {
                continue;
            }
            let inner = Arc::clone(self.inner);
            self.inner.runtime.spawn(async move {
                inner.world.settle(&approval).await;
                // In doubt, most likely: whoever could say is not asked at every look.
                if approval.state == State::Taken {
                    tokio::time::sleep(AGAIN).await;
                }
                inner.work().settling.remove(&approval.id);
                inner.look();
            });
        }
        Ok(())
    }
}

/// Takes over runs that no living process has: all of them, or one with its children.
pub(super) fn adopt(inner: &Arc<Inner>, only: Option<RunId>) -> Result<(), FlowError> {
    let own = inner.owner.id().to_owned();
    let free = free(inner, inner.store.read(rows::owners)?);
    if free.is_empty() {
        return Ok(());
    }
    let taken = inner.store.write(move |connection| rows::adopt(connection, &own, &free, only))?;
    taken.into_iter().for_each(|id| inner.wake(id));
    Ok(())
}

/// Takes over jobs that no living process has: all of them, or one.
pub(super) fn adopt_jobs(inner: &Arc<Inner>, only: Option<JobId>) -> Result<(), FlowError> {
    let own = inner.owner.id().to_owned();
    let free = free(inner, inner.store.read(store_jobs::owners)?);
    if free.is_empty() {
        return Ok(());
    }
    Ok(inner.store.write(move |connection| store_jobs::adopt(connection, &own, &free, only))?)
}

/// Owners that do not live any more, and nobody.
fn free(inner: &Inner, owners: Vec<Option<String>>) -> Vec<Option<String>> {
    owners.into_iter().filter(|owner| owner.as_ref().is_none_or(|owner| !inner.owner.lives(owner))).collect()
}

/// Gives runs that are ready a thread each, as many as may get on at once.
fn dispatch(inner: &Arc<Inner>) {
    loop {
        let mut work = inner.work();
        if inner.stopped() || work.driven.len() >= inner.options.at_once {
            return;
        }
        let Some(id) = work.ready.pop_front() else { return };
        work.queued.remove(&id);
        let cancel = watch::Sender::new(false);
        let watched = cancel.subscribe();
        work.driven.insert(id, Driven { cancel, again: false });
        drop(work);
        let driving = Arc::clone(inner);
        let thread = std::thread::Builder::new().name(format!("flow {id}")).stack_size(STACK);
        let spawned = thread.spawn(move || {
            let _ended = Ended { inner: &driving, id };
            drive::drive(&driving, id, watched);
        });
        if let Err(error) = spawned {
            tracing::warn!("no thread for {id}: {error}; later");
            let mut work = inner.work();
            work.driven.remove(&id);
            work.queued.insert(id);
            work.ready.push_back(id);
            return;
        }
    }
}

/// Takes a run out of those that are driven, also where its thread panicked.
struct Ended<'a> {
    inner: &'a Inner,
    id: RunId,
}

impl Drop for Ended<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            drive::give_up(self.inner, self.id);
        }
        let mut work = self.inner.work();
        let again = work.driven.remove(&self.id).is_some_and(|driven| driven.again);
        if again && work.queued.insert(self.id) {
            work.ready.push_back(self.id);
        }
        work.look = true;
        drop(work);
        self.inner.changed.notify_all();
    }
}

impl From<rusqlite::Error> for FlowError {
    fn from(error: rusqlite::Error) -> FlowError {
        FlowError::Store(StoreError::Sqlite(error))
    }
}

/// What a decision on an approval means for the step that waits for it; none while it is not decided.
pub(super) fn decided(inner: &Inner, id: &str) -> Result<Option<drive::Outcome>, ApprovalError> {
    let now = Timestamp::now();
    let mut approval = inner.approvals.get(id, now)?;
    if approval.tool == BY_SCRIPT && matches!(approval.state, State::Approved | State::Taken) {
        // Single use: this step's.
        if approval.state == State::Approved {
            approval = inner.approvals.take(id, &approval.digest, now)?;
        }
        let by = serde_json::json!({"by": approval.decided_by.split(", ").collect::<Vec<_>>()});
        approval = inner.approvals.finish(id, Ok(&by), now)?;
    }
    Ok(match approval.state {
        State::Waiting | State::Approved | State::Taken => None,
        State::Done => Some(Ok(approval.result.unwrap_or_default())),
        State::Rejected if approval.note.is_empty() => {
            Some(Err(Failure::new("rejected", format!("{} rejected it", approval.decided_by))))
        }
        State::Rejected => Some(Err(Failure::new(
            "rejected",
            format!("{} rejected it: {}", approval.decided_by, approval.note),
        ))),
        State::Expired => {
            Some(Err(Failure::new("expired", format!("nobody approved it until {:.0}", approval.expires))))
        }
        State::Failed => Some(Err(Failure::new("failed", approval.note))),
    })
}

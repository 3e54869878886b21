//! The steps of a run that is driven now: what the journal has not is carried out, written down and gone on with, on the script's own
//! thread. So a step costs what it does, and a script is replayed only where a process begins with it.
//!
//! Invariants: what came of a step is on the disk before it matters to anybody else: before the next effect, and before the run's
//! end. What can take effect is begun in the store before it is called, so that after a crash it is asked about, and where
//! nobody can be asked it is reported and not repeated.

use std::collections::{HashMap, HashSet};
use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::advance::{Step, Steps};
use crate::approval::{ApprovalError, BY_SCRIPT, EXPIRY, Proposal};
use crate::embedded::{Event, Inner};
use crate::journal::{Entry, Failure, Journal, RequestDigest, StepId};
use crate::request::{Consent, InDoubt, Policy, Request};
use crate::run::{Run, RunId};
use crate::store::rows::{self, NewRun, Pending, Record};
use crate::world::{Call, Effects, Reached, Said, Trouble};

/// The first and the longest wait for what is busy.
const BUSY: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(2));
/// The longest wait between two attempts.
const MAX_BACKOFF: Duration = Duration::from_secs(300);

/// A run that is driven.
pub(crate) struct Live {
    pub(crate) inner: Arc<Inner>,
    pub(crate) run: Run,
    pub(crate) journal: Mutex<Journal>,
    /// Steps that an earlier process began and did not end.
    pub(crate) begun: HashMap<StepId, u32>,
    /// Steps that wait.
    pub(crate) pending: HashSet<StepId>,
    /// A person wants it stopped.
    pub(crate) cancel: watch::Receiver<bool>,
    /// Whether that has been said to the script.
    pub(crate) cancelled: AtomicBool,
}

/// A step as it is being carried out.
struct Open<'a> {
    step: &'a StepId,
    request: &'a Request,
    digest: RequestDigest,
    began: i64,
    attempts: u32,
}

/// Why something that takes its time gave nothing.
enum Cut {
    /// A person wants the run stopped.
    Cancelled,
    /// The process ends; the step is somebody else's.
    Stopped,
}

impl Steps for Live {
    fn step(&self, step: StepId, request: Request) -> Step {
        if let Some(known) =
            self.journal.lock().unwrap_or_else(PoisonError::into_inner).answer(&step, &request)
        {
            return known;
        }
        if self.inner.stopped() || self.pending.contains(&step) {
            return Step::Waits;
        }
        let digest = RequestDigest::of(&request);
        let open = Open { step: &step, request: &request, digest, began: rows::now(), attempts: 1 };
        if *self.cancel.borrow() && !self.cancelled.swap(true, Ordering::SeqCst) {
            return self.cancelled(open);
        }
        match &request {
            Request::Call { tool, arguments, policy } => self.call(open, tool, arguments, policy),
            Request::Ask { prompt, schema } => {
                let world = Arc::clone(&self.inner.world);
                self.said(open, || world.ask(prompt, schema.as_ref()))
            }
            Request::Prompt { template, slots } => {
                let world = Arc::clone(&self.inner.world);
                self.said(open, || world.prompt(template, slots))
            }
            Request::Approve { what, consent } => {
                let proposal = Proposal {
                    tool: BY_SCRIPT.to_owned(),
                    version: self.run.script.clone(),
                    arguments: what.clone(),
                    effects: json!([]),
                    requester: self.run.requester.clone(),
                    origin: None,
                    people: 1,
                };
                self.propose(open, proposal, consent)
            }
            Request::Sleep { seconds } => {
                let wake = open.began.saturating_add((seconds * 1e6) as i64);
                self.wait(&open, Pending { wake: Some(wake), ..Pending::default() })
            }
            Request::Until { time } => {
                let wake = time.parse::<Timestamp>().map_or(open.began, Timestamp::as_microsecond);
                self.wait(&open, Pending { wake: Some(wake), ..Pending::default() })
            }
            Request::Wait { signal, timeout } => {
                let wake = timeout.map(|seconds| open.began.saturating_add((seconds * 1e6) as i64));
                self.wait(&open, Pending { wake, signal: Some(signal.clone()), ..Pending::default() })
            }
            Request::Recall { words, most } => {
                let world = Arc::clone(&self.inner.world);
                self.said(open, || world.recall(words, *most))
            }
            Request::Child { flow, input } => self.child(open, flow, input),
            Request::Emit { .. } | Request::Log { .. } => self.ended(open, Ok(Value::Null), None),
            Request::Now => self.ended(open, Ok(json!(Timestamp::now().to_string())), None),
            Request::Random => {
                let random = (fastrand::u64(..) >> 11) as f64 / (1_u64 << 53) as f64;
                self.ended(open, Ok(json!(random)), None)
            }
        }
    }

    fn take_time(&self) -> bool {
        true
    }
}

impl Live {
    fn call(&self, mut open: Open<'_>, tool: &str, arguments: &Value, policy: &Policy) -> Step {
        let world = Arc::clone(&self.inner.world);
        let (effects, key) = (world.effects(tool), self.inner.key(self.run.id, open.step));
        if let Some(tried) = self.begun.get(open.step) {
            open.attempts = *tried;
            let known = match effects {
                Effects::None => None,
                Effects::Recorded => match self.patiently(|| world.recorded(tool, &key)) {
                    Ok(Ok(Some(value))) => {
                        return self.ended(open, Ok(value), Some(json!({"recovered": true})));
                    }
                    Ok(Ok(None)) => None,
                    Ok(Err(trouble)) => Some(format!("what became of it cannot be asked: {trouble}")),
                    Err(_) => return Step::Waits,
                },
                Effects::Unknown => Some(format!(
                    "the process ended while {tool} ran, and whether it took effect cannot be asked"
                )),
            };
            match (known, policy.in_doubt) {
                (None, _) | (Some(_), InDoubt::Retry) => {}
                (Some(why), InDoubt::Fail) => {
                    return self.ended(open, Err(Failure::new("in-doubt", why)), None);
                }
                (Some(why), InDoubt::Ask) => {
                    return self.wait(&open, Pending { doubt: Some(why), ..Pending::default() });
                }
            }
        }
        let time =
            policy.timeout.map(|seconds| Duration::try_from_secs_f64(seconds).unwrap_or(Duration::ZERO));
        loop {
            if effects != Effects::None && !self.begin(&open) {
                return Step::Waits;
            }
            let call = Call { tool, arguments, key: &key, time, document: self.run.document.as_ref() };
            // What can take effect is never left: it ends at its own time limit, and what came of it is known then.
            let ended = match effects {
                Effects::None => self.patiently(|| world.call(call)),
                _ => self.to_its_end(|| world.call(call)),
            };
            match ended {
                Ok(Ok(Reached::Value(value))) => return self.ended(open, Ok(value), None),
                Ok(Ok(Reached::Writes(proposal))) => {
                    return self.propose(open, proposal, &Consent::default());
                }
                Ok(Err(Trouble::Failed(_))) if open.attempts < policy.attempts => {
                    match self.pause(backoff(policy, open.attempts)) {
                        Ok(()) => open.attempts += 1,
                        Err(Cut::Cancelled) => return self.cancelled(open),
                        Err(Cut::Stopped) => return Step::Waits,
                    }
                }
                Ok(Err(Trouble::Failed(failure) | Trouble::Refused(failure))) => {
                    return self.ended(open, Err(failure), None);
                }
                Ok(Err(Trouble::Busy(why))) => return self.ended(open, Err(Failure::new("busy", why)), None),
                Err(Cut::Cancelled) => return self.cancelled(open),
                Err(Cut::Stopped) => return Step::Waits,
            }
        }
    }

    /// What the model says.
    fn said<F>(&self, open: Open<'_>, ask: impl Fn() -> F) -> Step
    where
        F: Future<Output = Result<Said, Trouble>>,
    {
        match self.patiently(ask) {
            Ok(Ok(Said { value, detail })) => {
                self.ended(open, Ok(value), Some(detail).filter(|detail| !detail.is_null()))
            }
            Ok(Err(Trouble::Failed(failure) | Trouble::Refused(failure))) => {
                self.ended(open, Err(failure), None)
            }
            Ok(Err(Trouble::Busy(why))) => self.ended(open, Err(Failure::new("busy", why)), None),
            Err(Cut::Cancelled) => self.cancelled(open),
            Err(Cut::Stopped) => Step::Waits,
        }
    }

    /// Asks people. The step waits for them.
    fn propose(&self, open: Open<'_>, mut proposal: Proposal, consent: &Consent) -> Step {
        proposal.origin = Some(self.inner.key(self.run.id, open.step));
        proposal.requester.clone_from(&self.run.requester);
        proposal.people = proposal.people.max(consent.people);
        let expiry = Duration::try_from_secs_f64(consent.expires).unwrap_or(EXPIRY);
        let asked = self.patiently(|| {
            let asked = self.inner.approvals.ask(&proposal, Timestamp::now(), expiry);
            std::future::ready(asked.map_err(|error| match error {
                ApprovalError::Store(error) => Trouble::Busy(error.to_string()),
                other => Trouble::Refused(Failure::new("approval", other.to_string())),
            }))
        });
        match asked {
            Ok(Ok(approval)) => {
                self.wait(&open, Pending { approval: Some(approval.id), ..Pending::default() })
            }
            Ok(Err(Trouble::Failed(failure) | Trouble::Refused(failure))) => {
                self.ended(open, Err(failure), None)
            }
            Ok(Err(Trouble::Busy(why))) => self.ended(open, Err(Failure::new("busy", why)), None),
            Err(Cut::Cancelled) => self.cancelled(open),
            Err(Cut::Stopped) => Step::Waits,
        }
    }

    /// Begins a child, once however often it is asked for.
    fn child(&self, open: Open<'_>, flow: &str, input: &Value) -> Step {
        let (sources, digest) =
            match self.inner.world.flow(flow).and_then(|sources| self.inner.checked(sources)) {
                Ok(checked) => checked,
                Err(failure) => return self.ended(open, Err(failure), None),
            };
        let new = NewRun {
            sources,
            digest,
            input: input.clone(),
            requester: self.run.requester.clone(),
            origin: Some(self.inner.key(self.run.id, open.step)),
            document: self.run.document.clone(),
            parent: Some(self.run.id),
            owner: Some(self.inner.owner.id().to_owned()),
        };
        let (run, pending) = (self.run.id, open.pending(Pending::default()));
        let begun = self.inner.store.write(move |connection| {
            let (child, _) = rows::insert_run(connection, &new)?;
            rows::insert_pending(connection, run, &Pending { child: Some(child), ..pending.clone() })?;
            Ok(child)
        });
        if let Ok(child) = begun {
            self.inner.wake(child);
        }
        Step::Waits
    }

    /// Notes what a step waits for.
    fn wait(&self, open: &Open<'_>, pending: Pending) -> Step {
        let (run, pending) = (self.run.id, open.pending(pending));
        // Where the store is closed, whoever opens it next asks again.
        let _ = self.inner.store.write(move |connection| rows::insert_pending(connection, run, &pending));
        Step::Waits
    }

    fn begin(&self, open: &Open<'_>) -> bool {
        let (run, step, attempt) = (self.run.id, open.step.clone(), open.attempts);
        self.inner.store.write(move |connection| rows::begin(connection, run, &step, attempt)).is_ok()
    }

    fn cancelled(&self, open: Open<'_>) -> Step {
        self.cancelled.store(true, Ordering::SeqCst);
        let run = self.run.id;
        self.inner.store.post(move |connection| rows::set_cancelled(connection, run));
        self.ended(open, Err(cancellation()), None)
    }

    fn ended(&self, open: Open<'_>, outcome: Result<Value, Failure>, detail: Option<Value>) -> Step {
        let entry = Entry { digest: open.digest, outcome: outcome.clone() };
        self.journal.lock().unwrap_or_else(PoisonError::into_inner).record(open.step.clone(), entry);
        let record = Record {
            step: open.step.clone(),
            request: rows::text(open.request),
            digest: open.digest,
            outcome: outcome.clone(),
            began: open.began,
            ended: rows::now(),
            attempts: open.attempts,
            detail,
        };
        self.inner.tell(|| Event::Step(self.run.id, Box::new(record.view(open.request.clone()))));
        let run = self.run.id;
        self.inner.store.post(move |connection| rows::record(connection, run, &record));
        Step::Ended(outcome)
    }

    /// Tries what is busy until it is not.
    fn patiently<T, F>(&self, attempt: impl Fn() -> F) -> Result<Result<T, Trouble>, Cut>
    where
        F: Future<Output = Result<T, Trouble>>,
    {
        self.trying(attempt, true)
    }

    /// The same, where only the end of the process may leave it.
    fn to_its_end<T, F>(&self, attempt: impl Fn() -> F) -> Result<Result<T, Trouble>, Cut>
    where
        F: Future<Output = Result<T, Trouble>>,
    {
        self.trying(attempt, false)
    }

    fn trying<T, F>(&self, attempt: impl Fn() -> F, cancellable: bool) -> Result<Result<T, Trouble>, Cut>
    where
        F: Future<Output = Result<T, Trouble>>,
    {
        let mut pause = BUSY.0;
        loop {
            match self.cut(attempt(), cancellable)? {
                Err(Trouble::Busy(why)) => {
                    tracing::debug!(run = %self.run.id, "{why}; trying again");
                    self.pause(pause)?;
                    pause = (pause * 2).min(BUSY.1);
                }
                ended => return Ok(ended),
            }
        }
    }

    fn pause(&self, pause: Duration) -> Result<(), Cut> {
        self.cut(async { tokio::time::sleep(pause).await }, true)
    }

    /// Waits on this thread, unless the run is cancelled or the process ends.
    fn cut<F: Future>(&self, work: F, cancellable: bool) -> Result<F::Output, Cut> {
        let (mut cancel, mut stop) = (self.cancel.clone(), self.inner.stop.subscribe());
        let told = self.cancelled.load(Ordering::SeqCst);
        let cancelled = async {
            if told || !cancellable {
                return std::future::pending().await;
            }
            // An error means that nobody can cancel it any more.
            if cancel.wait_for(|cancel| *cancel).await.is_err() {
                std::future::pending::<()>().await;
            }
        };
        self.inner.runtime.block_on(async {
            tokio::select! {
                biased;
                _ = stop.wait_for(|stop| *stop) => Err(Cut::Stopped),
                done = work => Ok(done),
                () = cancelled => Err(Cut::Cancelled),
            }
        })
    }
}

impl Open<'_> {
    fn pending(&self, pending: Pending) -> Pending {
        Pending {
            step: self.step.clone(),
            request: rows::text(self.request),
            digest: self.digest,
            began: self.began,
            ..pending
        }
    }
}

/// What a step of a run that is to stop fails with.
pub(crate) fn cancellation() -> Failure {
    Failure::new(CANCELLED, "a person cancelled the run")
}

/// The code of [`cancellation`].
pub(crate) const CANCELLED: &str = "cancelled";

fn backoff(policy: &Policy, attempts: u32) -> Duration {
    let seconds = policy.backoff.max(0.0) * 2_f64.powi(i32::try_from(attempts).unwrap_or(i32::MAX) - 1);
    Duration::try_from_secs_f64(seconds).map_or(MAX_BACKOFF, |wait| wait.min(MAX_BACKOFF))
}

/// What comes of a step that waits, as far as this store knows: of moments, signals and children.
pub(crate) fn come(
    connection: &rusqlite::Connection,
    run: RunId,
    pending: &Pending,
    now: i64,
) -> rusqlite::Result<Option<Result<Value, Failure>>> {
    if let Some(child) = pending.child {
        let child = rows::get_run(connection, child)?;
        return Ok(child.and_then(|child| {
            let id = child.id;
            child.outcome.map(|outcome| {
                outcome.map_err(|failure| Failure::new(&failure.code, format!("{id}: {failure}")))
            })
        }));
    }
    if let Some(name) = &pending.signal
        && let Some(payload) = rows::take_signal(connection, run, name)?
    {
        return Ok(Some(Ok(payload)));
    }
    let due = pending.wake.is_some_and(|wake| wake <= now);
    Ok(due.then(|| match &pending.signal {
        Some(name) => {
            let waited =
                SignedDuration::from_micros(pending.wake.unwrap_or(now) - pending.began).as_secs_f64();
            Err(Failure::new("timeout", format!("no signal `{name}` within {waited} s")))
        }
        None => Ok(Value::Null),
    }))
}

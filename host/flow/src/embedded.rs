//! The embedded orchestrator: runs on this machine, kept in one file of SQLite, with nothing to install.
//!
//! A run is driven on a thread of its own while it gets on ([`drive`]); one that waits has none, and is driven again when what it waits
//! for has come ([`tick`]). Several processes may use one folder: each run belongs to one of them, which holds a lock on a file of its
//! own for as long as it lives. What a process leaves behind when it dies, the next one that looks takes over at once.
//!
//! Invariant: a run is driven by one thread of one process at most.

mod drive;
mod jobs;
mod owner;
mod query;
mod record;
mod tick;

use std::collections::{HashMap, HashSet, VecDeque};
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use serde_json::Value;
use tokio::runtime::Handle;
use tokio::sync::{broadcast, watch};

use crate::approval::Approvals;
use crate::journal::{Failure, MAX_DEPTH, StepId, too_deep};
use crate::run::{Document, FlowError, Resolution, Run, RunId, RunState, StepView};
use crate::script::{Script, ScriptError, Sources};
use crate::store::Store;
use crate::store::rows::{self, NewRun};
use crate::world::World;
use owner::Owner;

/// Signals of a run that no step has taken yet.
const MAX_SIGNALS: i64 = 1_000;
/// Bytes of an input, or of what a signal carries.
const MAX_VALUE: usize = 1 << 20;
/// Events that a slow listener may fall behind.
const EVENTS: usize = 4_096;
/// Scripts that are kept parsed.
const MAX_SCRIPTS: usize = 64;

/// Which runs a process drives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// All that no living process has.
    All,
    /// Those that it begins or is told to go on with.
    Own,
}

/// How an orchestrator works.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Which runs it drives.
    pub scope: Scope,
    /// Runs that get on at the same time.
    pub at_once: usize,
}

/// What a run is begun with.
#[derive(Debug, Clone)]
pub struct Start {
    /// Its script.
    pub sources: Sources,
    /// What the script sees as `input`.
    pub input: Value,
    /// Who begins it; they cannot approve what it asks for.
    pub requester: String,
    /// What begins it, where that must begin it once: a second start of the same origin gives the first run.
    pub origin: Option<String>,
    /// What it is about, where it is about one document.
    pub document: Option<Document>,
    /// Whether another process is to drive it.
    pub detached: bool,
}

/// Something that has happened, for those who watch.
#[derive(Debug, Clone)]
pub enum Event {
    /// A step has ended.
    Step(RunId, Box<StepView>),
    /// A run stands otherwise.
    Run(RunId, RunState),
}

/// The orchestrator. It stops when it is dropped; what it did not finish, the next one does.
pub struct Embedded {
    inner: Arc<Inner>,
    ticker: Option<JoinHandle<()>>,
}

pub(crate) struct Inner {
    pub(crate) store: Store,
    pub(crate) world: Arc<dyn World>,
    pub(crate) approvals: Arc<Approvals>,
    pub(crate) runtime: Handle,
    pub(crate) owner: Owner,
    pub(crate) stop: watch::Sender<bool>,
    options: Options,
    events: broadcast::Sender<Event>,
    scripts: Mutex<HashMap<String, Script>>,
    work: Mutex<Work>,
    changed: Condvar,
}

/// Who is driven, and who is to be.
#[derive(Default)]
struct Work {
    ready: VecDeque<RunId>,
    /// Those of `ready`.
    queued: HashSet<RunId>,
    driven: HashMap<RunId, Driven>,
    /// Approvals that are being carried out here.
    settling: HashSet<String>,
    /// The ticker is to look now.
    look: bool,
}

struct Driven {
    cancel: watch::Sender<bool>,
    /// What it waits for has come meanwhile.
    again: bool,
}

impl Embedded {
    /// Opens the folder of runs, and makes it where there is none. Futures of the world run on `runtime`.
    ///
    /// # Errors
    /// Where the folder cannot be used.
    pub fn open(
        folder: &Path,
        world: Arc<dyn World>,
        approvals: Arc<Approvals>,
        runtime: Handle,
        options: Options,
    ) -> Result<Embedded, FlowError> {
        let fail = |error| FlowError::Folder { folder: folder.to_path_buf(), error };
        std::fs::create_dir_all(folder).map_err(fail)?;
        let inner = Arc::new(Inner {
            store: Store::open(&folder.join("runs.sqlite"))?,
            world,
            approvals,
            runtime,
            owner: Owner::new(folder).map_err(fail)?,
            stop: watch::Sender::new(false),
            options,
            events: broadcast::Sender::new(EVENTS),
            scripts: Mutex::default(),
            work: Mutex::default(),
            changed: Condvar::new(),
        });
        let ticking = Arc::clone(&inner);
        let ticker = std::thread::Builder::new().name("flow ticker".to_owned());
        let ticker = ticker.spawn(move || tick::until_stopped(&ticking)).map_err(fail)?;
        Ok(Embedded { inner, ticker: Some(ticker) })
    }

    /// Begins a run.
    ///
    /// # Errors
    /// Where the script cannot be parsed or the input is too large.
    pub fn start(&self, start: Start) -> Result<RunId, FlowError> {
        let digest = self.inner.script(&start.sources)?.digest().to_owned();
        within(&start.input, "input")?;
        let new = NewRun {
            sources: start.sources,
            digest,
            input: start.input,
            requester: start.requester,
            origin: start.origin,
            document: start.document,
            parent: None,
            owner: (!start.detached).then(|| self.inner.owner.id().to_owned()),
        };
        let (id, _) = self.inner.store.write(move |connection| rows::insert_run(connection, &new))?;
        self.inner.wake(id);
        Ok(id)
    }

    /// Goes on with a run that no living process has, and with its children.
    ///
    /// # Errors
    /// Where there is none, it has ended, or another process drives it.
    pub fn go_on(&self, id: RunId) -> Result<(), FlowError> {
        let run = self.run(id)?;
        if run.state.ended() {
            return Err(FlowError::State { id, state: run.state, wanted: "gone on with" });
        }
        tick::adopt(&self.inner, Some(id))?;
        match self.run(id)?.owner {
            Some(owner) if owner != self.inner.owner.id() => {
                Err(FlowError::Limit(format!("run {id} is driven by another process, such as `pawl serve`")))
            }
            _ => Ok(()),
        }
    }

    /// Sends a signal to a run; the first step that waits for one of this name takes it, also one that is yet to come.
    ///
    /// # Errors
    /// Where there is no such run, it has ended, or too many signals wait.
    pub fn signal(&self, id: RunId, name: &str, payload: &Value) -> Result<(), FlowError> {
        within(payload, "signal")?;
        self.open_run(id, "signalled")?;
        let (name, payload) = (name.to_owned(), payload.to_string());
        let waiting = self.inner.store.write(move |connection| {
            let waiting: i64 = connection.query_row(
                "SELECT count(*) FROM signals WHERE run = ?1",
                [id.number()],
                |row| row.get(0),
            )?;
            if waiting < MAX_SIGNALS {
                connection.execute(
                    "INSERT INTO signals (run, name, payload, at) VALUES (?1, ?2, ?3, ?4)",
                    rusqlite::params![id.number(), name, payload, rows::now()],
                )?;
            }
            Ok(waiting)
        })?;
        self.inner.look();
        if waiting >= MAX_SIGNALS {
            return Err(FlowError::Limit(format!(
                "{waiting} signals of run {id} wait already; it takes none of them"
            )));
        }
        Ok(())
    }

    /// Stops a run and its children: what they wait for and what they do fails with the code `cancelled`, which a script can catch to
    /// undo what it did.
    ///
    /// # Errors
    /// Where there is none or it has ended.
    pub fn cancel(&self, id: RunId) -> Result<(), FlowError> {
        self.open_run(id, "cancelled")?;
        // One that nobody drives, or whose process is dead, is stopped by whoever was asked to.
        tick::adopt(&self.inner, Some(id))?;
        self.inner.store.write(move |connection| {
            connection.execute("UPDATE runs SET cancelled = 1 WHERE id = ?1 AND cancelled = 0", [id.number()])
        })?;
        self.inner.look();
        Ok(())
    }

    /// A person says what became of a step that is in doubt.
    ///
    /// # Errors
    /// Where it is not in doubt.
    pub fn resolve(&self, id: RunId, step: &str, resolution: Resolution, by: &str) -> Result<(), FlowError> {
        self.open_run(id, "resolved")?;
        let step = StepId::parse(step.to_owned());
        let (named, by) = (step.to_string(), by.to_owned());
        let found = self.inner.store.write(move |connection| {
            let waiting = rows::pending(connection, id)?;
            let Some(pending) = waiting.into_iter().find(|each| each.step == step && each.doubt.is_some())
            else {
                return Ok(false);
            };
            let outcome = match &resolution {
                Resolution::Retry => {
                    rows::settle_doubt(connection, id, &step)?;
                    return Ok(true);
                }
                Resolution::Done(value) => Ok(value.clone()),
                Resolution::Fail => Err(Failure::new("in-doubt", format!("{by} says that it is to fail"))),
            };
            let detail = serde_json::json!({"resolved_by": by});
            rows::record(connection, id, &pending.ended(outcome, Some(detail)))?;
            Ok(true)
        })?;
        if !found {
            return Err(FlowError::NotInDoubt { id, step: named });
        }
        self.inner.wake(id);
        Ok(())
    }

    /// What happens from now on.
    #[must_use]
    pub fn events(&self) -> broadcast::Receiver<Event> {
        self.inner.events.subscribe()
    }

    /// Why nothing can be written down at the moment, while it cannot.
    #[must_use]
    pub fn trouble(&self) -> Option<String> {
        self.inner.store.trouble()
    }

    /// The store of approvals.
    #[must_use]
    pub fn approvals(&self) -> &Arc<Approvals> {
        &self.inner.approvals
    }

    fn open_run(&self, id: RunId, wanted: &'static str) -> Result<Run, FlowError> {
        let run = self.run(id)?;
        if run.state.ended() { Err(FlowError::State { id, state: run.state, wanted }) } else { Ok(run) }
    }

    /// As if the process were killed now: nothing more is written, nothing is given back. For tests.
    #[doc(hidden)]
    pub fn abandon(&self) {
        self.inner.abandon();
    }
}

impl Drop for Embedded {
    fn drop(&mut self) {
        self.inner.stop.send_replace(true);
        self.inner.changed.notify_all();
        if let Some(ticker) = self.ticker.take()
            && ticker.join().is_err()
        {
            tracing::error!("the thread that wakes runs panicked");
        }
        let mut work = self.inner.work();
        while !work.driven.is_empty() {
            work = self.inner.changed.wait(work).unwrap_or_else(PoisonError::into_inner);
        }
        drop(work);
        self.inner.leave();
    }
}

impl Inner {
    pub(crate) fn stopped(&self) -> bool {
        *self.stop.borrow()
    }

    /// Has a run driven, soon.
    pub(crate) fn wake(&self, id: RunId) {
        let mut work = self.work();
        if let Some(driven) = work.driven.get_mut(&id) {
            driven.again = true;
        } else if work.queued.insert(id) {
            work.ready.push_back(id);
        }
        work.look = true;
        self.changed.notify_all();
    }

    /// Has the ticker look for what has come.
    pub(crate) fn look(&self) {
        self.work().look = true;
        self.changed.notify_all();
    }

    /// What a step is called beyond its run, as an idempotency key: `5f2c…/r12/4.2.1`.
    pub(crate) fn key(&self, id: RunId, step: &StepId) -> String {
        format!("{}/{id}/{step}", self.store.id())
    }

    /// The run that a key of this store is of.
    fn run_of(&self, key: &str) -> Option<RunId> {
        let (run, _) = key.strip_prefix(self.store.id())?.strip_prefix('/')?.split_once('/')?;
        run.parse().ok()
    }

    pub(crate) fn tell(&self, event: impl FnOnce() -> Event) {
        if self.events.receiver_count() > 0 {
            // Nobody listens any more: nothing is lost.
            let _ = self.events.send(event());
        }
    }

    fn work(&self) -> MutexGuard<'_, Work> {
        self.work.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A script, parsed once.
    fn script(&self, sources: &Sources) -> Result<Script, ScriptError> {
        let digest = sources.digest();
        if let Some(known) = self.scripts.lock().unwrap_or_else(PoisonError::into_inner).get(&digest) {
            return Ok(known.clone());
        }
        let script = Script::parse(sources, &self.world.tools())?;
        let mut scripts = self.scripts.lock().unwrap_or_else(PoisonError::into_inner);
        if scripts.len() >= MAX_SCRIPTS {
            scripts.clear();
        }
        scripts.insert(digest, script.clone());
        Ok(script)
    }

    /// Sources that can be run, with their digest.
    pub(crate) fn checked(&self, sources: Sources) -> Result<(Sources, String), Failure> {
        let script = self.script(&sources).map_err(|error| Failure::new("script", error.to_string()))?;
        Ok((sources, script.digest().to_owned()))
    }

    /// Gives back what it drove, so that another process need not find out that this one is gone.
    fn leave(&self) {
        let own = self.owner.id().to_owned();
        let left = self.store.write(move |connection| {
            connection.execute("UPDATE jobs SET owner = NULL WHERE owner = ?1 AND ended IS NULL", [&own])?;
            connection.execute("UPDATE runs SET owner = NULL WHERE owner = ?1 AND ended IS NULL", [&own])
        });
        if let Err(error) = left {
            tracing::debug!("runs were not given back: {error}");
        }
        self.owner.release();
    }

    fn abandon(&self) {
        self.store.abandon();
        self.stop.send_replace(true);
        self.owner.release();
        self.changed.notify_all();
    }
}

fn within(value: &Value, what: &str) -> Result<(), FlowError> {
    if too_deep(value) {
        return Err(FlowError::Limit(format!(
            "{what} is nested more than {MAX_DEPTH} deep; make it flatter"
        )));
    }
    let bytes = value.to_string().len();
    if bytes > MAX_VALUE {
        return Err(FlowError::Limit(format!(
            "{what} of {bytes} bytes; {MAX_VALUE} at most: name a file instead"
        )));
    }
    Ok(())
}

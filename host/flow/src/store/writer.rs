//! The one thread that writes. What arrives while it commits shares the next commit, so many small writes cost few flushes of the disk.
//!
//! Invariant: writes take effect in the order in which they were given; one that SQLite refuses is told to whoever gave it and takes
//! none with it; where the disk or the file is the trouble, all of them wait and are tried again.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rusqlite::{Connection, ErrorCode};

use super::StoreError;

/// Writes that wait for the thread. Who gives more waits.
const QUEUE: usize = 1024;
/// Writes of one transaction.
const MAX_BATCH: usize = 512;
/// Between two attempts.
const PAUSE: Duration = Duration::from_millis(50);
/// How long a store that is closed tries to write what is left.
const CLOSING: Duration = Duration::from_secs(5);

type Work = Box<dyn FnMut(&Connection) -> rusqlite::Result<()> + Send>;
type Done = Box<dyn FnOnce(Result<(), StoreError>) + Send>;

struct Job {
    work: Work,
    done: Done,
}

pub(super) struct Writer {
    /// None once it is closed.
    queue: Mutex<Option<SyncSender<Job>>>,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    trouble: Mutex<Option<String>>,
    closing: AtomicBool,
    abandoned: AtomicBool,
}

impl Writer {
    pub(super) fn start(connection: Connection) -> Writer {
        let (queue, jobs) = sync_channel(QUEUE);
        let shared = Arc::<Shared>::default();
        let of_thread = Arc::clone(&shared);
        let thread = std::thread::Builder::new().name("flow writer".to_owned());
        let thread = thread.spawn(move || Thread { connection, shared: of_thread }.work(&jobs));
        // A process that gets no thread writes nothing: every write is answered with `Closed`.
        let thread = thread.inspect_err(|error| tracing::error!("store of runs: no thread: {error}")).ok();
        Writer { queue: Mutex::new(Some(queue)), shared, thread }
    }

    pub(super) fn write<T: Send + 'static>(
        &self,
        mut work: impl FnMut(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        let slot = Arc::new(Mutex::new(None));
        let (given, (tell, told)) = (Arc::clone(&slot), sync_channel(1));
        let work: Work = Box::new(move |connection| {
            let value = work(connection)?;
            *given.lock().unwrap_or_else(PoisonError::into_inner) = Some(value);
            Ok(())
        });
        // Whoever asked may be gone.
        let done: Done = Box::new(move |ended| drop(tell.send(ended)));
        self.give(Job { work, done })?;
        told.recv().map_err(|_| StoreError::Closed)??;
        slot.lock().unwrap_or_else(PoisonError::into_inner).take().ok_or(StoreError::Closed)
    }

    pub(super) fn post(&self, work: impl FnMut(&Connection) -> rusqlite::Result<()> + Send + 'static) {
        let done: Done = Box::new(|ended| {
            if let Err(error) = ended {
                tracing::error!("store of runs: a write was refused: {error}");
            }
        });
        if self.give(Job { work: Box::new(work), done }).is_err() {
            tracing::debug!("a write came after the store was closed");
        }
    }

    fn give(&self, job: Job) -> Result<(), StoreError> {
        let queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner).clone();
        queue.ok_or(StoreError::Closed)?.send(job).map_err(|_| StoreError::Closed)
    }

    pub(super) fn trouble(&self) -> Option<String> {
        self.shared.trouble.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn abandon(&self) {
        self.shared.abandoned.store(true, Ordering::SeqCst);
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.shared.closing.store(true, Ordering::SeqCst);
        *self.queue.lock().unwrap_or_else(PoisonError::into_inner) = None;
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the thread that writes runs panicked");
        }
    }
}

struct Thread {
    connection: Connection,
    shared: Arc<Shared>,
}

impl Thread {
    fn work(self, jobs: &Receiver<Job>) {
        while let Ok(first) = jobs.recv() {
            let mut batch = vec![first];
            batch.extend(std::iter::from_fn(|| jobs.try_recv().ok()).take(MAX_BATCH - 1));
            self.commit(batch);
        }
    }

    fn commit(&self, mut batch: Vec<Job>) {
        let mut closing = None;
        while !batch.is_empty() {
            let failed = match self.attempt(&mut batch) {
                Ok(()) => {
                    *self.shared.trouble.lock().unwrap_or_else(PoisonError::into_inner) = None;
                    return batch.into_iter().for_each(|job| (job.done)(Ok(())));
                }
                Err(failed) => failed,
            };
            if self.shared.abandoned.load(Ordering::SeqCst) {
                return;
            }
            match failed {
                Failed { job: Some(refused), error } if !of_storage(&error) => {
                    (batch.remove(refused).done)(Err(error.into()));
                }
                Failed { error, .. } => {
                    self.note(&error);
                    if self.shared.closing.load(Ordering::SeqCst)
                        && closing.get_or_insert_with(Instant::now).elapsed() > CLOSING
                    {
                        tracing::error!("store of runs: closed with {} writes undone: {error}", batch.len());
                        return;
                    }
                    std::thread::sleep(PAUSE);
                }
            }
        }
    }

    /// All of the batch in one transaction.
    fn attempt(&self, batch: &mut [Job]) -> Result<(), Failed> {
        let whole = |error| Failed { job: None, error };
        if self.shared.abandoned.load(Ordering::SeqCst) {
            return Err(whole(rusqlite::Error::InvalidQuery));
        }
        self.connection.execute_batch("BEGIN IMMEDIATE").map_err(whole)?;
        let mut done = Ok(());
        for (number, job) in batch.iter_mut().enumerate() {
            if let Err(error) = (job.work)(&self.connection) {
                done = Err(Failed { job: Some(number), error });
                break;
            }
        }
        if self.shared.abandoned.load(Ordering::SeqCst) {
            done = Err(whole(rusqlite::Error::InvalidQuery));
        }
        let done = done.and_then(|()| self.connection.execute_batch("COMMIT").map_err(whole));
        // SQLite may have rolled back by itself.
        if done.is_err() && !self.connection.is_autocommit() {
            self.connection.execute_batch("ROLLBACK").map_err(whole)?;
        }
        done
    }

    fn note(&self, error: &rusqlite::Error) {
        let mut trouble = self.shared.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        if trouble.is_none() {
            tracing::error!(
                "store of runs: {error}; nothing is lost, and it is tried again until it can be written"
            );
        }
        *trouble = Some(error.to_string());
    }
}

struct Failed {
    /// Of the batch; none where it was all of it.
    job: Option<usize>,
    error: rusqlite::Error,
}

/// Whether the disk or another process is the trouble, and not what was to be written.
pub(crate) fn of_storage(error: &rusqlite::Error) -> bool {
    matches!(
        error.sqlite_error_code(),
        Some(
            ErrorCode::DatabaseBusy
                | ErrorCode::DatabaseLocked
                | ErrorCode::DiskFull
                | ErrorCode::SystemIoFailure
                | ErrorCode::CannotOpen
                | ErrorCode::ReadOnly
                | ErrorCode::OutOfMemory
                | ErrorCode::FileLockingProtocolFailed
        )
    )
}

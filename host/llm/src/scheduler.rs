//! The threads between a caller and the engine: two that prepare requests (a grammar may take a second to compile), and the
//! model thread, which steps the engine and lets new requests join between steps.
//!
//! Invariants: the model thread alone touches the session and its KV cache; where [`QUEUE`] requests wait, one more is
//! refused at once, unless it goes on from one that had its turn; a generation whose receiver is gone never starts, or ends at the next step; whatever happens in the
//! threads, every generation ends with an event or an error.

use std::{
    collections::VecDeque,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
        mpsc::{Receiver, Sender, channel},
    },
};

use tokio::sync::mpsc;

use crate::{
    Error,
    generate::{Event, Finish, Output},
    logprobs::TokenLogprob,
};

/// Requests that may wait.
pub(crate) const QUEUE: usize = 64;
/// Threads that prepare requests.
const PREPARERS: usize = 2;
/// The grammar engine recurses.
pub(crate) const STACK_BYTES: usize = 16 << 20;

/// The way to a generation's receiver.
#[derive(Clone, Debug)]
pub(crate) struct Events {
    /// Unbounded: a request has at most two events for each token that the context has, and the model thread must not wait for
    /// a slow reader.
    sender: mpsc::UnboundedSender<Result<Event, Error>>,
}

impl Events {
    /// The two ends.
    pub(crate) fn channel() -> (Events, mpsc::UnboundedReceiver<Result<Event, Error>>) {
        let (sender, receiver) = mpsc::unbounded_channel();
        (Events { sender }, receiver)
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.sender.is_closed()
    }

    /// Nothing for an empty text.
    pub(crate) fn text(&self, text: String) {
        if !text.is_empty() {
            self.send(Ok(Event::Text(text)));
        }
    }

    pub(crate) fn send(&self, event: Result<Event, Error>) {
        // A caller that is gone needs no answer.
        let _ = self.sender.send(event);
    }
}

/// What the model thread owns.
pub(crate) trait Engine: Send + 'static {
    /// A request that is prepared.
    type Ready: Send + 'static;

    /// Whether another request can be admitted.
    fn has_room(&self) -> bool;

    /// Whether there is nothing to step.
    fn is_idle(&self) -> bool;

    /// Takes a request in.
    fn admit(&mut self, ready: Self::Ready, events: Events);

    /// One step of all that were admitted.
    fn step(&mut self);

    /// Ends all that were admitted and forgets everything, after a panic.
    fn abandon(&mut self, error: &Error);
}

/// One of the requests that wait, counted. The job and its generation hold one each; the first that is dropped counts: who
/// hangs up takes no place from others.
#[derive(Debug)]
struct Waiting {
    all: Arc<AtomicUsize>,
    waits: Arc<AtomicBool>,
}

impl Waiting {
    /// One more, unless there are `most`.
    fn enter(all: &Arc<AtomicUsize>, most: usize) -> Option<[Waiting; 2]> {
        let more = |waiting| (waiting < most).then_some(waiting + 1);
        all.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).ok()?;
        let waits = Arc::new(AtomicBool::new(true));
        Some([(); 2].map(|()| Waiting { all: all.clone(), waits: waits.clone() }))
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if self.waits.swap(false, Ordering::Relaxed) {
            self.all.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

struct Job<R> {
    request: R,
    events: Events,
    waiting: Waiting,
}

/// The way to the model thread, which ends when the last copy is dropped.
pub(crate) struct Scheduler<R> {
    jobs: Sender<Job<R>>,
    waiting: Arc<AtomicUsize>,
}

impl<R> Clone for Scheduler<R> {
    fn clone(&self) -> Self {
        Scheduler { jobs: self.jobs.clone(), waiting: self.waiting.clone() }
    }
}

impl<R: Send + 'static> Scheduler<R> {
    /// Starts the threads. `prepare` makes a request ready, or refuses it.
    pub(crate) fn start<E: Engine>(
        name: &str,
        engine: E,
        prepare: impl Fn(R) -> Result<E::Ready, Error> + Send + Sync + 'static,
    ) -> Result<Scheduler<R>, Error> {
        let thread = |name: String, work: Box<dyn FnOnce() + Send>| {
            let thread = std::thread::Builder::new().name(name).stack_size(STACK_BYTES);
            thread.spawn(work).map_err(|e| Error::Stopped(format!("it cannot be started: {e}")))
        };
        let (jobs, requests) = channel();
        let (made, ready) = channel();
        thread(format!("model {name}"), Box::new(move || serve(engine, &ready)))?;
        let (requests, prepare) = (Arc::new(Mutex::new(requests)), Arc::new(prepare));
        for _ in 0..PREPARERS {
            let (requests, prepare, made) = (requests.clone(), prepare.clone(), made.clone());
            let work = move || prepare_all(&requests, &*prepare, &made);
            thread(format!("grammar {name}"), Box::new(work))?;
        }
        Ok(Scheduler { jobs, waiting: Arc::default() })
    }

    /// Queues a request; a refusal is the generation's only event.
    pub(crate) fn submit(&self, request: R) -> Generation {
        self.queue(request, QUEUE)
    }

    /// The same for what goes on from an earlier request, which is not refused however many wait.
    pub(crate) fn submit_next(&self, request: R) -> Generation {
        self.queue(request, usize::MAX)
    }

    fn queue(&self, request: R, most: usize) -> Generation {
        let (events, receiver) = Events::channel();
        let mut place = None;
        match Waiting::enter(&self.waiting, most) {
            None => events.send(Err(Error::Busy { waiting: QUEUE })),
            Some([waiting, other]) => {
                place = Some(other);
                let job = Job { request, events: events.clone(), waiting };
                if self.jobs.send(job).is_err() {
                    events.send(Err(Error::Stopped(GONE.into())));
                }
            }
        }
        Generation { events: receiver, over: false, _place: place }
    }
}

pub(crate) const GONE: &str = "load the model again";

/// Prepares requests until nobody can send any more.
fn prepare_all<R, T>(
    requests: &Mutex<Receiver<Job<R>>>,
    prepare: &(dyn Fn(R) -> Result<T, Error> + Send + Sync),
    made: &Sender<Job<T>>,
) {
    loop {
        let next = requests.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(Job { request, events, waiting }) = next else { return };
        if events.is_closed() {
            continue;
        }
        match catch_unwind(AssertUnwindSafe(|| prepare(request))) {
            Ok(Ok(request)) => {
                if made.send(Job { request, events: events.clone(), waiting }).is_err() {
                    events.send(Err(Error::Stopped(GONE.into())));
                }
            }
            Ok(Err(error)) => events.send(Err(error)),
            Err(panic) => events.send(Err(stopped(&*panic))),
        }
    }
}

fn serve<E: Engine>(mut engine: E, ready: &Receiver<Job<E::Ready>>) {
    let mut queue = VecDeque::new();
    loop {
        // Who hung up leaves nothing behind, also where there is no room for long.
        queue.extend(ready.try_iter());
        queue.retain(|job: &Job<E::Ready>| !job.events.is_closed());
        while engine.has_room() {
            let next = match queue.pop_front() {
                None if engine.is_idle() => ready.recv().ok(),
                next => next,
            };
            match next {
                Some(Job { request, events, waiting }) => {
                    drop(waiting);
                    if !events.is_closed() {
                        guarded(&mut engine, Some(&events), |engine| engine.admit(request, events.clone()));
                    }
                }
                // Idle, and nobody can send any more.
                None if engine.is_idle() => return,
                None => break,
            }
        }
        guarded(&mut engine, None, E::step);
    }
}

/// Runs a part of the engine; after a panic in it nothing that it held is sure any more.
fn guarded<E: Engine>(engine: &mut E, events: Option<&Events>, work: impl FnOnce(&mut E)) {
    if let Err(panic) = catch_unwind(AssertUnwindSafe(|| work(engine))) {
        let error = stopped(&*panic);
        engine.abandon(&error);
        if let Some(events) = events {
            events.send(Err(error));
        }
    }
}

pub(crate) fn stopped(panic: &(dyn std::any::Any + Send)) -> Error {
    let text = panic.downcast_ref::<&str>().map(|s| (*s).to_owned());
    let message = text.or_else(|| panic.downcast_ref::<String>().cloned());
    let message = message.unwrap_or_else(|| "no message".into());
    tracing::error!(message, "a thread of the model panicked");
    Error::Stopped(format!("it failed on this request ({message})"))
}

/// A running generation; dropping it cancels at the next step.
#[derive(Debug)]
pub struct Generation {
    events: mpsc::UnboundedReceiver<Result<Event, Error>>,
    over: bool,
    /// In the queue.
    _place: Option<Waiting>,
}

impl Generation {
    /// The next event; `None` after [`Event::End`] or an error. Cancel-safe.
    pub async fn next(&mut self) -> Option<Result<Event, Error>> {
        if self.over {
            return None;
        }
        let event = self.events.recv().await;
        Some(self.judge(event))
    }

    /// All of it.
    pub async fn finish(mut self) -> Result<Output, Error> {
        let (mut text, mut tokens) = (String::new(), Vec::new());
        loop {
            let event = self.events.recv().await;
            if let Some(finish) = take(self.judge(event)?, &mut text, &mut tokens) {
                return Ok(Output { text, tokens, finish });
            }
        }
    }

    /// All of it, blocking the calling thread. It panics in async code, which uses [`Generation::finish`].
    pub fn finish_blocking(mut self) -> Result<Output, Error> {
        let (mut text, mut tokens) = (String::new(), Vec::new());
        loop {
            let event = self.events.blocking_recv();
            if let Some(finish) = take(self.judge(event)?, &mut text, &mut tokens) {
                return Ok(Output { text, tokens, finish });
            }
        }
    }

    /// A channel that closes without an end means that the thread is gone.
    fn judge(&mut self, event: Option<Result<Event, Error>>) -> Result<Event, Error> {
        let event = event.unwrap_or_else(|| Err(Error::Stopped(GONE.into())));
        self.over = !matches!(event, Ok(Event::Text(_) | Event::Token(_)));
        event
    }
}

fn take(event: Event, text: &mut String, tokens: &mut Vec<TokenLogprob>) -> Option<Finish> {
    match event {
        Event::Token(token) => {
            tokens.push(token);
            None
        }
        Event::Text(piece) => {
            text.push_str(&piece);
            None
        }
        Event::End(finish) => Some(finish),
    }
}

#[cfg(test)]
#[path = "scheduler_tests.rs"]
mod tests;

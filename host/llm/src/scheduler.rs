//! The model thread: one request at a time, in the order of arrival.
//!
//! Invariants: the thread alone touches the session and its KV cache; at most [`QUEUE`] requests wait, one more is
//! refused at once; a generation whose receiver is gone stops at the next step, or never starts; whatever happens in the
//! thread, every generation ends with an event or an error.

use std::panic::{AssertUnwindSafe, catch_unwind};

use tokio::sync::mpsc;

use crate::{
    Error,
    generate::{Decoder, Event, Finish, Output, Request},
};

/// Requests that may wait.
pub(crate) const QUEUE: usize = 64;
/// The grammar engine recurses.
const STACK_BYTES: usize = 16 << 20;

struct Job {
    request: Request,
    /// Unbounded: a request has at most as many events as the context has tokens, and the model thread must not wait for
    /// a slow reader.
    events: mpsc::UnboundedSender<Result<Event, Error>>,
}

/// The way to the model thread, which ends when the last copy is dropped.
#[derive(Clone)]
pub(crate) struct Scheduler {
    jobs: mpsc::Sender<Job>,
}

impl Scheduler {
    /// Starts the thread.
    pub(crate) fn start(name: &str, decoder: Decoder) -> Result<Scheduler, Error> {
        let (jobs, queue) = mpsc::channel(QUEUE);
        let thread = std::thread::Builder::new().name(format!("model {name}")).stack_size(STACK_BYTES);
        let started = thread.spawn(move || serve(decoder, queue));
        started.map_err(|e| Error::Stopped(format!("it cannot be started: {e}")))?;
        Ok(Scheduler { jobs })
    }

    /// Queues a request; a refusal is the generation's only event.
    pub(crate) fn submit(&self, request: Request) -> Generation {
        let (events, receiver) = mpsc::unbounded_channel();
        let refusal = match self.jobs.try_send(Job { request, events: events.clone() }) {
            Ok(()) => None,
            Err(mpsc::error::TrySendError::Full(_)) => Some(Error::Busy { waiting: QUEUE }),
            Err(mpsc::error::TrySendError::Closed(_)) => Some(Error::Stopped("load the model again".into())),
        };
        if let Some(refusal) = refusal {
            // The receiver is alive: it is right here.
            let _ = events.send(Err(refusal));
        }
        Generation { events: receiver, over: false }
    }
}

fn serve(mut decoder: Decoder, mut queue: mpsc::Receiver<Job>) {
    while let Some(Job { request, events }) = queue.blocking_recv() {
        if events.is_closed() {
            continue;
        }
        let mut listener = |text: String| {
            if text.is_empty() { !events.is_closed() } else { events.send(Ok(Event::Text(text))).is_ok() }
        };
        let outcome = catch_unwind(AssertUnwindSafe(|| decoder.generate(&request, &mut listener)));
        let event = match outcome {
            Ok(Ok(finish)) => Ok(Event::End(finish)),
            Ok(Err(error)) => Err(error),
            Err(panic) => {
                let message = panic_message(&panic);
                tracing::error!(message, "the model thread panicked on a request");
                // What the cache holds is not sure any more.
                if decoder.reset().is_err() {
                    return;
                }
                Err(Error::Stopped(format!("it failed on this request ({message})")))
            }
        };
        let _ = events.send(event);
    }
}

fn panic_message(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|s| (*s).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "no message".into())
}

/// A running generation; dropping it cancels at the next step.
#[derive(Debug)]
pub struct Generation {
    events: mpsc::UnboundedReceiver<Result<Event, Error>>,
    over: bool,
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
        let mut text = String::new();
        loop {
            let event = self.events.recv().await;
            if let Some(finish) = take(self.judge(event)?, &mut text) {
                return Ok(Output { text, finish });
            }
        }
    }

    /// All of it, blocking the calling thread. It panics in async code, which uses [`Generation::finish`].
    pub fn finish_blocking(mut self) -> Result<Output, Error> {
        let mut text = String::new();
        loop {
            let event = self.events.blocking_recv();
            if let Some(finish) = take(self.judge(event)?, &mut text) {
                return Ok(Output { text, finish });
            }
        }
    }

    /// A channel that closes without an end means that the thread is gone.
    fn judge(&mut self, event: Option<Result<Event, Error>>) -> Result<Event, Error> {
        let event = event.unwrap_or_else(|| Err(Error::Stopped("load the model again".into())));
        self.over = !matches!(event, Ok(Event::Text(_)));
        event
    }
}

fn take(event: Event, text: &mut String) -> Option<Finish> {
    match event {
        Event::Text(piece) => {
            text.push_str(&piece);
            None
        }
        Event::End(finish) => Some(finish),
    }
}

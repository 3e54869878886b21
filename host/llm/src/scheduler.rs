//! The model thread: one request at a time, in the order of arrival.
//!
//! Invariants: the thread alone touches the session and its KV cache; at most [`QUEUE`] requests wait, one more is
//! refused at once; a generation whose receiver is gone stops at the next step, or never starts; whatever happens in the
//! thread, every generation ends with an event or an error.

use std::panic::{AssertUnwindSafe, catch_unwind};

use tokio::sync::mpsc;

use crate::{
    Error,
    generate::{Event, Finish, Output, Request},
};

/// Requests that may wait.
pub(crate) const QUEUE: usize = 64;
/// The grammar engine recurses.
const STACK_BYTES: usize = 16 << 20;

struct Job<R> {
    request: R,
    /// Unbounded: a request has at most as many events as the context has tokens, and the model thread must not wait for
    /// a slow reader.
    events: mpsc::UnboundedSender<Result<Event, Error>>,
}

/// What the thread owns.
pub(crate) trait Engine<R>: Send + 'static {
    /// Runs one request. `listener` gets every piece of text, and empty ones between steps; `false` cancels.
    fn generate(&mut self, request: &R, listener: &mut dyn FnMut(String) -> bool) -> Result<Finish, Error>;

    /// Forgets everything, after a request that panicked.
    fn reset(&mut self) -> Result<(), Error>;
}

/// The way to the model thread, which ends when the last copy is dropped.
pub(crate) struct Scheduler<R = Request> {
    jobs: mpsc::Sender<Job<R>>,
}

impl<R> Clone for Scheduler<R> {
    fn clone(&self) -> Self {
        Scheduler { jobs: self.jobs.clone() }
    }
}

impl<R: Send + 'static> Scheduler<R> {
    /// Starts the thread.
    pub(crate) fn start(name: &str, engine: impl Engine<R>) -> Result<Scheduler<R>, Error> {
        let (jobs, queue) = mpsc::channel(QUEUE);
        let thread = std::thread::Builder::new().name(format!("model {name}")).stack_size(STACK_BYTES);
        let started = thread.spawn(move || serve(engine, queue));
        started.map_err(|e| Error::Stopped(format!("it cannot be started: {e}")))?;
        Ok(Scheduler { jobs })
    }

    /// Queues a request; a refusal is the generation's only event.
    pub(crate) fn submit(&self, request: R) -> Generation {
        let (events, receiver) = mpsc::unbounded_channel();
        let refusal = match self.jobs.try_send(Job { request, events: events.clone() }) {
            Ok(()) => None,
            Err(mpsc::error::TrySendError::Full(_)) => Some(Error::Busy { waiting: QUEUE }),
            Err(mpsc::error::TrySendError::Closed(_)) => Some(Error::Stopped(GONE.into())),
        };
        if let Some(refusal) = refusal {
            // The receiver is alive: it is right here.
            let _ = events.send(Err(refusal));
        }
        Generation { events: receiver, over: false }
    }
}

const GONE: &str = "load the model again";

fn serve<R>(mut engine: impl Engine<R>, mut queue: mpsc::Receiver<Job<R>>) {
    while let Some(Job { request, events }) = queue.blocking_recv() {
        if events.is_closed() {
            continue;
        }
        let mut listener = |text: String| {
            if text.is_empty() { !events.is_closed() } else { events.send(Ok(Event::Text(text))).is_ok() }
        };
        let outcome = catch_unwind(AssertUnwindSafe(|| engine.generate(&request, &mut listener)));
        let event = match outcome {
            Ok(Ok(finish)) => Ok(Event::End(finish)),
            Ok(Err(error)) => Err(error),
            Err(panic) => {
                let message = panic_message(&*panic);
                tracing::error!(message, "the model thread panicked on a request");
                // What the cache holds is not sure any more.
                if engine.reset().is_err() {
                    return;
                }
                Err(Error::Stopped(format!("it failed on this request ({message})")))
            }
        };
        // A caller that is gone needs no answer.
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
        let event = event.unwrap_or_else(|| Err(Error::Stopped(GONE.into())));
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

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, Sender, channel};

    use super::*;
    use crate::{StopReason, Usage};

    /// What a fake request does.
    enum Act {
        Say(&'static str),
        Panic,
        /// Tells that it runs, then waits for a signal before every piece.
        Wait(Sender<()>, Receiver<()>),
    }

    struct Fake {
        sound: bool,
    }

    impl Engine<Act> for Fake {
        fn generate(&mut self, act: &Act, listener: &mut dyn FnMut(String) -> bool) -> Result<Finish, Error> {
            match act {
                Act::Say(text) => {
                    listener((*text).to_owned());
                }
                Act::Panic => panic!("on purpose"),
                Act::Wait(running, signal) => {
                    let _ = running.send(());
                    while signal.recv().is_ok() {
                        if !listener(String::new()) {
                            return Err(Error::Cancelled);
                        }
                    }
                }
            }
            Ok(Finish { reason: StopReason::Stop, usage: Usage::default() })
        }

        fn reset(&mut self) -> Result<(), Error> {
            if self.sound { Ok(()) } else { Err(Error::Inference("broken".into())) }
        }
    }

    fn start(sound: bool) -> Scheduler<Act> {
        Scheduler::start("fake", Fake { sound }).expect("a thread")
    }

    #[test]
    fn panic_fails_its_request_only() {
        let scheduler = start(true);
        let (bad, good) = (scheduler.submit(Act::Panic), scheduler.submit(Act::Say("hello")));
        let error = bad.finish_blocking().expect_err("it panicked");
        assert!(matches!(&error, Error::Stopped(m) if m.contains("on purpose")), "{error}");
        assert_eq!(good.finish_blocking().expect("the thread lives").text, "hello");
    }

    #[test]
    fn dead_thread_leaves_nobody_waiting() {
        let scheduler = start(false);
        let (bad, next) = (scheduler.submit(Act::Panic), scheduler.submit(Act::Say("hello")));
        assert!(matches!(bad.finish_blocking(), Err(Error::Stopped(_))));
        assert!(matches!(next.finish_blocking(), Err(Error::Stopped(_))));
        assert!(matches!(scheduler.submit(Act::Say("x")).finish_blocking(), Err(Error::Stopped(_))));
    }

    #[test]
    fn queue_is_bounded() {
        let scheduler = start(true);
        let ((running, is_running), (go, signal)) = (channel(), channel());
        let first = scheduler.submit(Act::Wait(running, signal));
        is_running.recv().expect("it runs");
        let mut waiting: Vec<_> = (0..=QUEUE).map(|_| scheduler.submit(Act::Say("x"))).collect();
        let refused = waiting.pop().map(Generation::finish_blocking);
        assert!(matches!(refused, Some(Err(Error::Busy { waiting: QUEUE }))));
        drop(go);
        assert!(first.finish_blocking().is_ok());
        assert!(waiting.into_iter().all(|generation| generation.finish_blocking().is_ok()));
    }

    #[test]
    fn dropped_generation_is_cancelled_and_never_started_when_it_waits() {
        let scheduler = start(true);
        let ((running, is_running), (go, signal)) = (channel(), channel());
        let first = scheduler.submit(Act::Wait(running.clone(), signal));
        is_running.recv().expect("it runs");
        let (_never, blocked) = channel();
        drop(scheduler.submit(Act::Wait(running, blocked)));
        drop(first);
        go.send(()).expect("the first still waits for this");
        assert_eq!(scheduler.submit(Act::Say("after")).finish_blocking().expect("its turn").text, "after");
        assert!(is_running.try_recv().is_err(), "the second never ran");
    }
}

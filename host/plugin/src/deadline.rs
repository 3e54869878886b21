//! When a call is over: at its time limit, or when nobody waits for it any more.

use std::time::Instant;

use tokio::sync::watch;

/// Ends the calls of a plugin that it was made for when it is dropped ([`crate::Plugin::stoppable`]).
#[derive(Debug)]
pub struct Stop {
    _alive: watch::Sender<()>,
}

impl Stop {
    pub(crate) fn new() -> (Stop, Stopped) {
        let (alive, stopped) = watch::channel(());
        (Stop { _alive: alive }, Stopped(stopped))
    }
}

/// Knows whether its [`Stop`] is still there.
#[derive(Debug, Clone)]
pub(crate) struct Stopped(watch::Receiver<()>);

/// The end of one call.
#[derive(Debug, Clone)]
pub(crate) struct Deadline {
    /// Its time limit.
    pub(crate) at: Instant,
    stopped: Option<Stopped>,
}

impl Deadline {
    pub(crate) fn new(at: Instant, stopped: Option<Stopped>) -> Deadline {
        Deadline { at, stopped }
    }

    pub(crate) fn passed(&self) -> bool {
        Instant::now() >= self.at
            || self.stopped.as_ref().is_some_and(|stopped| stopped.0.has_changed().is_err())
    }

    /// Does the work, or gives it up at the end of the call: none then.
    pub(crate) async fn within<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        let stopped = async {
            match self.stopped.clone() {
                Some(mut stopped) => while stopped.0.changed().await.is_ok() {},
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            done = work => Some(done),
            () = tokio::time::sleep_until(self.at.into()) => None,
            () = stopped => None,
        }
    }
}

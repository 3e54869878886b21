//! The threads, with an engine that does as its requests say.

use std::{sync::mpsc::sync_channel, time::Duration};

use super::*;
use crate::{StopReason, Usage};

/// What a request does.
enum Act {
    Say(&'static str),
    PanicPreparing,
    PanicAdmitted,
    PanicStepping,
    /// Tells that it runs, then waits for a signal before every step.
    Wait(Sender<()>, Receiver<()>),
    /// Takes step after step until it is told.
    Until(Arc<AtomicBool>),
    /// Tells when it is prepared, and when it is gone.
    Hold(Sender<()>, #[expect(dead_code, reason = "for its drop")] Dropped),
}

#[derive(Default)]
struct Fake {
    running: Vec<(Act, Events)>,
}

const MOST: usize = 2;

impl Engine for Fake {
    type Ready = Act;

    fn has_room(&self) -> bool {
        self.running.len() < MOST
    }

    fn is_idle(&self) -> bool {
        self.running.is_empty()
    }

    fn admit(&mut self, act: Act, events: Events) {
        assert!(!matches!(act, Act::PanicAdmitted), "on purpose");
        self.running.push((act, events));
    }

    fn step(&mut self) {
        self.running.retain(|(act, events)| {
            match act {
                Act::Say(text) => events.text((*text).to_owned()),
                Act::Wait(running, signal) => {
                    let _ = running.send(());
                    if signal.recv().is_ok() {
                        return !events.is_closed();
                    }
                }
                Act::Until(over) if !over.load(Ordering::Relaxed) => return true,
                Act::Until(_) => {}
                _ => panic!("on purpose"),
            }
            events.send(Ok(Event::End(Finish { reason: StopReason::Stop, usage: Usage::default() })));
            false
        });
    }

    fn abandon(&mut self, error: &Error) {
        for (_, events) in self.running.drain(..) {
            events.send(Err(error.clone()));
        }
    }
}

fn start() -> Scheduler<Act> {
    let prepare = |act| {
        assert!(!matches!(act, Act::PanicPreparing), "on purpose");
        if let Act::Hold(prepared, _) = &act {
            let _ = prepared.send(());
        }
        Ok(act)
    };
    Scheduler::start("fake", Fake::default(), prepare).expect("threads")
}

#[test]
fn a_panic_fails_its_request_and_the_threads_live() {
    let scheduler = start();
    for act in [Act::PanicPreparing, Act::PanicAdmitted, Act::PanicStepping] {
        let error = scheduler.submit(act).finish_blocking().expect_err("it panicked");
        assert!(matches!(&error, Error::Stopped(m) if m.contains("on purpose")), "{error}");
        assert_eq!(scheduler.submit(Act::Say("hello")).finish_blocking().expect("it lives").text, "hello");
    }
}

#[test]
fn requests_join_those_that_run() {
    let scheduler = start();
    let ((running, is_running), (go, signal)) = (channel(), sync_channel(0));
    let long = scheduler.submit(Act::Wait(running, signal));
    is_running.recv().expect("it runs");
    let short = scheduler.submit(Act::Say("hello"));
    std::thread::scope(|scope| {
        let answer = scope.spawn(|| short.finish_blocking());
        // The long one takes step after step until the short one has had its own.
        while !answer.is_finished() && go.send(()).is_ok() {}
        assert_eq!(answer.join().expect("no panic").expect("beside the long one").text, "hello");
    });
    drop(go);
    assert!(long.finish_blocking().is_ok());
}

#[test]
fn the_queue_is_bounded() {
    let scheduler = start();
    let ((running, is_running), (go, signal)) = (channel(), channel());
    let first = scheduler.submit(Act::Wait(running, signal));
    is_running.recv().expect("it runs");
    let mut waiting: Vec<_> = (0..=QUEUE).map(|_| scheduler.submit(Act::Say("x"))).collect();
    let refused = waiting.pop().map(Generation::finish_blocking);
    assert!(matches!(refused, Some(Err(Error::Busy { waiting: QUEUE }))));
    waiting.push(scheduler.submit_next(Act::Say("goes on")));
    drop(go);
    assert!(first.finish_blocking().is_ok());
    assert!(waiting.into_iter().all(|generation| generation.finish_blocking().is_ok()));
}

/// Says when it is dropped.
struct Dropped(Sender<()>);

impl Drop for Dropped {
    fn drop(&mut self) {
        let _ = self.0.send(());
    }
}

#[test]
fn what_was_prepared_for_who_hung_up_is_dropped_while_others_run() {
    let scheduler = start();
    let over = Arc::new(AtomicBool::new(false));
    let others: Vec<_> = (0..MOST).map(|_| scheduler.submit(Act::Until(over.clone()))).collect();
    let ((prepared, is_prepared), (dropped, is_dropped)) = (channel(), channel());
    let generation = scheduler.submit(Act::Hold(prepared, Dropped(dropped)));
    is_prepared.recv().expect("it is prepared");
    drop(generation);
    // There is no room for it, and it is gone all the same.
    is_dropped.recv_timeout(Duration::from_secs(60)).expect("it is dropped");
    over.store(true, Ordering::Relaxed);
    assert!(others.into_iter().all(|generation| generation.finish_blocking().is_ok()));
}

#[test]
fn a_dropped_generation_ends_and_never_starts_when_it_waits() {
    let scheduler = start();
    let ((running, is_running), (go, signal)) = (channel(), channel());
    let first = scheduler.submit(Act::Wait(running.clone(), signal));
    is_running.recv().expect("it runs");
    drop(scheduler.submit(Act::PanicStepping));
    drop(first);
    let _ = go.send(());
    let last = scheduler.submit(Act::Say("hello"));
    assert_eq!(last.finish_blocking().expect("nothing panicked").text, "hello");
}

//! `parallel(list, at_once, |x| …)`: the function on each of a list, so many at once.
//!
//! Invariants: the values are in the list's order; what fails is raised when all have ended; a branch sees the variables around it as
//! they were and changes none of them, so which branch is first does not matter; of branches that have not ended, at most `at_once`
//! have begun.

use std::sync::{Mutex, MutexGuard, PoisonError};

use rhai::{Array, Dynamic, EvalAltResult, FnPtr, NativeCallContext};

use super::functions::{self, Result};
use super::{WAITS, place, waits};
use crate::journal::Failure;

/// Branches that are open at once, where the script does not say.
pub(super) const AT_ONCE: i64 = 16;
/// Threads of one parallel step. More branches at once than these take turns.
const MAX_THREADS: usize = 32;
/// Parallel steps within parallel steps that have threads: a branch of the third is run by its own thread.
const MAX_NESTED: usize = 2;
/// Of a branch's thread: as much as a run's own.
pub(crate) const STACK: usize = 8 << 20;

pub(super) fn parallel(
    context: &NativeCallContext<'_>,
    list: Array,
    at_once: i64,
    each: &FnPtr,
) -> Result<Dynamic> {
    let at_once = usize::try_from(at_once).ok().filter(|at_once| *at_once > 0).ok_or_else(|| {
        functions::thrown(context, &Failure::new("argument", format!("{at_once} at once: give 1 or more")))
    })?;
    let here = place::next();
    let sides = functions::shared(context)?.steps.take_time() && here.len() <= 2 * MAX_NESTED;
    let threads = if sides { at_once.min(MAX_THREADS).min(list.len()) } else { 1 };
    let branches = Branches {
        context,
        each,
        here,
        at_once,
        state: Mutex::new(State {
            left: list.into_iter().enumerate(),
            open: 0,
            over: false,
            ended: Vec::new(),
        }),
    };
    if threads > 1 {
        branches.on_threads(threads);
    } else {
        branches.work();
    }
    branches.outcome()
}

/// A parallel step as it runs.
struct Branches<'a> {
    context: &'a NativeCallContext<'a>,
    each: &'a FnPtr,
    /// The step's own place.
    here: Vec<u32>,
    at_once: usize,
    state: Mutex<State>,
}

struct State {
    left: std::iter::Enumerate<std::vec::IntoIter<Dynamic>>,
    /// Branches that run or wait.
    open: usize,
    /// No branch matters any more: a limit, or another script.
    over: bool,
    ended: Vec<(usize, Result<Dynamic>)>,
}

impl Branches<'_> {
    fn on_threads(&self, threads: usize) {
        std::thread::scope(|scope| {
            for _ in 0..threads {
                let thread = std::thread::Builder::new().name("flow branch".to_owned()).stack_size(STACK);
                // A thread that cannot be had: this one does its part.
                if thread.spawn_scoped(scope, || self.work()).is_err() {
                    self.work();
                    break;
                }
            }
        });
    }

    /// Runs branches until none is left, or as many are open as may be. A branch that waits keeps its place.
    fn work(&self) {
        while let Some((branch, item)) = self.take() {
            let ended = self.run(branch, item);
            let mut state = self.state();
            if !ended.as_ref().is_err_and(|error| waits(error)) {
                state.open -= 1;
            }
            // A run that is to stop begins no more of them.
            let stops = |error: &EvalAltResult| !error.is_catchable() || functions::is_cancellation(error);
            state.over |= ended.as_ref().is_err_and(|error| !waits(error) && stops(error));
            state.ended.push((branch, ended));
        }
    }

    fn take(&self) -> Option<(usize, Dynamic)> {
        let mut state = self.state();
        if state.over || state.open >= self.at_once {
            return None;
        }
        let taken = state.left.next()?;
        state.open += 1;
        Some(taken)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn run(&self, branch: usize, item: Dynamic) -> Result<Dynamic> {
        let mut own = self.each.clone();
        own.set_curry(self.each.iter_curry().map(Dynamic::flatten_clone).collect::<Vec<_>>());
        let mut place = self.here.clone();
        place.extend([u32::try_from(branch).unwrap_or(u32::MAX), 0]);
        place::from(place, || own.call_within_context::<Dynamic>(self.context, (item,)))
    }

    fn outcome(self) -> Result<Dynamic> {
        let State { mut ended, open, .. } = self.state.into_inner().unwrap_or_else(PoisonError::into_inner);
        ended.sort_by_key(|(branch, _)| *branch);
        let (mut values, mut failed) = (Array::with_capacity(ended.len()), None);
        for (_, ended) in ended {
            match ended {
                Ok(value) => values.push(value),
                Err(error) if waits(&error) => {}
                Err(error) if !error.is_catchable() => return Err(error),
                Err(error) => failed = failed.or(Some(error)),
            }
        }
        match failed {
            _ if open > 0 => {
                Err(EvalAltResult::ErrorTerminated(WAITS.into(), self.context.call_position()).into())
            }
            Some(error) => Err(error),
            None => Ok(values.into()),
        }
    }
}

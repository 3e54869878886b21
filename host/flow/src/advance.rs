//! One advance of a run: (script, input, journal) -> what it waits for | its result | why it failed.
//!
//! The script runs from its beginning each time. A step that the journal has gives what it gave then; a step that it has not becomes a
//! command, and the script ends there, to be run again when the journal has it. In a parallel step each branch runs as far as it can.
//!
//! Invariant: the same script, input and journal give the same advance; nothing here reads a clock, a file or chance.

use std::sync::{Arc, Mutex, PoisonError};

use serde_json::Value;

use crate::journal::{Failure, Journal, StepId};
use crate::request::Request;
use crate::script::{Ended, Script};

/// A step that is to be carried out.
#[derive(Debug, Clone, PartialEq)]
pub struct Command {
    /// Where it is in the script.
    pub step: StepId,
    /// What is asked for.
    pub request: Request,
}

/// How far a run has come.
#[derive(Debug, Clone, PartialEq)]
pub enum Advance {
    /// It goes on when one of these has ended; never empty.
    Waits(Vec<Command>),
    /// With the value of its last expression.
    Done(Value),
    /// A failure that the script did not catch, or a limit.
    Failed(Failure),
    /// The journal is not of this script: what another version did is not to be mixed with what this one asks for.
    Diverged(Failure),
}

/// What answers the steps of a script.
pub trait Steps: Send + Sync {
    /// What came of the step, or that it has not ended.
    fn step(&self, step: StepId, request: Request) -> Step;

    /// Whether steps are carried out when they are asked for, so that branches gain by running side by side.
    fn take_time(&self) -> bool;
}

/// What a step of a script meets.
#[derive(Debug)]
pub enum Step {
    /// It has ended.
    Ended(Result<Value, Failure>),
    /// It has not: the script stops here.
    Waits,
    /// It is another one than that which the journal has.
    Diverged(Failure),
}

/// The journal, and what it has not.
struct Replay {
    journal: Arc<Journal>,
    commands: Mutex<Vec<Command>>,
}

impl Steps for Replay {
    fn step(&self, step: StepId, request: Request) -> Step {
        self.journal.answer(&step, &request).unwrap_or_else(|| {
            self.commands.lock().unwrap_or_else(PoisonError::into_inner).push(Command { step, request });
            Step::Waits
        })
    }

    fn take_time(&self) -> bool {
        false
    }
}

/// Advances a run as far as its journal goes.
#[must_use]
pub fn advance(script: &Script, input: &Value, journal: &Arc<Journal>) -> Advance {
    let replay = Arc::new(Replay { journal: Arc::clone(journal), commands: Mutex::default() });
    match script.run(input, Arc::clone(&replay) as Arc<dyn Steps>) {
        Ended::Waits => {
            let mut commands = replay.commands.lock().unwrap_or_else(PoisonError::into_inner);
            Advance::Waits(std::mem::take(&mut commands))
        }
        Ended::Done(value) => Advance::Done(value),
        Ended::Failed(failure) => Advance::Failed(failure),
        Ended::Diverged(failure) => Advance::Diverged(failure),
    }
}

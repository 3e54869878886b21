//! One advance of a run: (script, input, journal) -> what it waits for | its result | why it failed.
//!
//! The script runs from its beginning each time. A step that the journal has gives what it gave then; a step that it has not becomes a
//! command, and the script ends there, to be run again when the journal has it. In a parallel step each branch runs as far as it can.
//!
//! Invariant: the same script, input and journal give the same advance; nothing here reads a clock, a file or chance.

use std::sync::{Arc, Mutex};

use serde_json::Value;

use crate::journal::{Entry, Failure, Journal, RequestDigest, StepId};
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
pub trait Steps: Send {
    /// What came of the step, or that it has not ended.
    fn step(&mut self, step: StepId, request: Request) -> Step;
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
    commands: Vec<Command>,
}

impl Steps for Replay {
    fn step(&mut self, step: StepId, request: Request) -> Step {
        match self.journal.get(&step) {
            Some(Entry { digest, outcome }) if *digest == RequestDigest::of(&request) => {
                Step::Ended(outcome.clone())
            }
            Some(_) => Step::Diverged(Failure::new(
                "diverged",
                format!(
                    "step {step} was another one when it was carried out: the run goes on only with the script that it began with"
                ),
            )),
            None => {
                self.commands.push(Command { step, request });
                Step::Waits
            }
        }
    }
}

/// Advances a run as far as its journal goes.
#[must_use]
pub fn advance(script: &Script, input: &Value, journal: &Arc<Journal>) -> Advance {
    let replay = Arc::new(Mutex::new(Replay { journal: Arc::clone(journal), commands: Vec::new() }));
    let ended = script.run(input, Arc::clone(&replay) as Arc<Mutex<dyn Steps>>);
    let mut replay = replay.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    match ended {
        Ended::Waits => Advance::Waits(std::mem::take(&mut replay.commands)),
        Ended::Done(value) => Advance::Done(value),
        Ended::Failed(failure) => Advance::Failed(failure),
        Ended::Diverged(failure) => Advance::Diverged(failure),
    }
}

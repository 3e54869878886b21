//! What carries out the steps of scripts. This crate says what it needs; the binary fills it with plugins and the model.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use serde_json::Value;

use crate::approval::{Approval, Proposal};
use crate::journal::Failure;
use crate::run::Document;
use crate::script::Sources;

/// An answer that takes its time.
pub type Answer<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// What a call can do beyond giving its result, as far as it is known beforehand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effects {
    /// Nothing: it may be repeated.
    None,
    /// Something that is recorded under the call's key: whether it took place can be asked.
    Recorded,
    /// Something that nobody can be asked about.
    Unknown,
}

/// A call of a tool by a step.
#[derive(Debug, Clone, Copy)]
pub struct Call<'a> {
    /// `calendar.create-event`.
    pub tool: &'a str,
    /// By name.
    pub arguments: &'a Value,
    /// The same text whenever this step is tried: what took effect under it does not again.
    pub key: &'a str,
    /// The longest that it takes; the tool's own limit where it is shorter.
    pub time: Option<Duration>,
    /// The one document that the tool may see, in place of the collection of its name.
    pub document: Option<&'a Document>,
}

/// How far a call came.
#[derive(Debug)]
pub enum Reached {
    /// It returned.
    Value(Value),
    /// It would write: people are to be asked. Nothing was done.
    Writes(Proposal),
}

/// What the model said.
#[derive(Debug, Clone, PartialEq)]
pub struct Said {
    /// A text, or a value of the schema that was asked for.
    pub value: Value,
    /// What it took and was told, for the record: `{"prompt", "prompt_tokens", "completion_tokens"}`.
    pub detail: Value,
}

/// Why a call or a question came to nothing.
#[derive(Debug)]
pub enum Trouble {
    /// It failed; another attempt may do better.
    Failed(Failure),
    /// It was wrong from the beginning, or refused: no attempt will do better.
    Refused(Failure),
    /// What it needs cannot be had for the moment, such as a lock or room on a disk, and nothing was done: it is tried again until it can.
    Busy(String),
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Trouble::Failed(failure) | Trouble::Refused(failure) => f.write_str(&failure.message),
            Trouble::Busy(why) => f.write_str(why),
        }
    }
}

/// What there is beyond the scripts. Futures that are dropped stop what they can.
pub trait World: Send + Sync + 'static {
    /// The names of all tools.
    fn tools(&self) -> Vec<String>;

    /// What a call of a tool can do.
    fn effects(&self, tool: &str) -> Effects;

    /// Calls a tool.
    fn call<'a>(&'a self, call: Call<'a>) -> Answer<'a, Result<Reached, Trouble>>;

    /// What the call of this key gave, if it took effect. Asked where [`World::effects`] says `Recorded`.
    fn recorded<'a>(&'a self, tool: &'a str, key: &'a str) -> Answer<'a, Result<Option<Value>, Trouble>>;

    /// Asks the model.
    fn ask<'a>(&'a self, prompt: &'a str, schema: Option<&'a Value>) -> Answer<'a, Result<Said, Trouble>>;

    /// Asks the model by a template.
    fn prompt<'a>(&'a self, template: &'a str, slots: &'a Value) -> Answer<'a, Result<Said, Trouble>>;

    /// What people did by conversation, the nearest to some words first. A world without conversations has none.
    fn recall<'a>(&'a self, _words: &'a str, _most: u32) -> Answer<'a, Result<Said, Trouble>> {
        Box::pin(std::future::ready(Ok(Said { value: Value::Array(Vec::new()), detail: Value::Null })))
    }

    /// Carries out what was approved and not carried out to its end, as far as that can be done without doing it twice.
    fn settle<'a>(&'a self, approval: &'a Approval) -> Answer<'a, ()>;

    /// The sources of a flow, by name. Blocks on the disk for moments.
    ///
    /// # Errors
    /// Where there is none; the failure says which there are.
    fn flow(&self, name: &str) -> Result<Sources, Failure>;
}

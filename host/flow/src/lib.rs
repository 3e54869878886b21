//! What must survive a crash: approvals ([`approval`]), which show a person in full what is to be done and have it done once they say so;
//! and runs of scripts, which go on where they stopped because each is replayed against its journal ([`advance`]).
//!
//! This crate imports nothing of ours: what an approved call or a step *is* is the business of whoever carries it out ([`world`]).

pub mod advance;
pub mod approval;
mod batch;
mod document;
mod embedded;
pub mod journal;
mod live;
pub mod memory;
pub mod request;
mod run;
pub mod script;
mod store;
pub mod world;

pub use advance::{Advance, Command, advance};
pub use approval::{Approval, ApprovalError, Approvals, Audited, Decision, Proposal, State};
pub use batch::{Counts, Item, Job, JobId, JobState, NewItem, NewJob};
pub use document::{Content, content, read};
pub use embedded::{Embedded, Event, Options, Scope, Start};
pub use journal::{Entry, Failure, Journal, StepId};
pub use memory::{Memory, Turn};
pub use request::{Policy, Request};
pub use run::{Document, FlowError, Resolution, Run, RunId, RunState, StepView};
pub use script::{Called, Callee, Script, ScriptError, Sources};
pub use store::StoreError;
pub use store::record::{Pruned, redacted};
pub use world::{Answer, Call, Effects, Reached, Said, Trouble, World};

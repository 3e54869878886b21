//! What must survive a crash: approvals ([`approval`]), which show a person in full what is to be done and have it done once they say so;
//! and runs of scripts, which go on where they stopped because each is replayed against its journal ([`advance`]).
//!
//! This crate imports nothing of ours: what an approved call or a step *is* is the business of whoever carries it out. Nothing carries
//! out the steps of a script yet.

pub mod advance;
pub mod approval;
pub mod journal;
pub mod request;
pub mod script;

pub use advance::{Advance, Command, advance};
pub use approval::{Approval, ApprovalError, Approvals, Decision, Proposal, State};
pub use journal::{Entry, Failure, Journal, StepId};
pub use request::{Policy, Request};
pub use script::{Script, ScriptError};

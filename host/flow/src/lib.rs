//! What must survive a crash. So far approvals ([`approval`]): what is to be done, shown to a person in full, and done once
//! they say so.
//!
//! This crate imports nothing of ours: what an approved call *is* is the business of whoever carries it out.

pub mod approval;

pub use approval::{Approval, ApprovalError, Approvals, Decision, Proposal, State};

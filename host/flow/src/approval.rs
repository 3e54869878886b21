//! Approvals: what would be done, waiting for a person; durable, single use, expiring, bound to a digest.
//!
//! ```text
//! waiting --approve--> approved --take--> taken --finish--> done | failed
//!    |  by as many as are wanted   ^-release--' (nothing was done)
//!    |-----reject----> rejected     a crash while it is taken: it stays taken until whoever knows says what came of it
//!    '---- time -----> expired
//! ```
//!
//! Invariants: one row of SQLite per approval, and each arrow is one conditional UPDATE, so that two who decide or two who
//! carry out cannot both succeed, in one process or in several; what is taken is never taken again; the digest covers
//! everything that will be done, and is checked again when it is taken; nobody approves what they asked for themselves, or
//! twice; everything that is said of an approval, what was refused too, is in its audit record.

mod store;

use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;
use sha2::{Digest, Sha256};

/// How long an approval waits, where nothing else is said.
pub const EXPIRY: Duration = Duration::from_secs(24 * 60 * 60);
/// The most that wait at the same time: a model that proposes in a circle must not fill a disk.
const MAX_WAITING: i64 = 1_000;
/// The longest arguments and effects together, in bytes of JSON.
const MAX_BYTES: usize = 1 << 20;
/// The tool of an approval that a script asked for: nothing is carried out, the script goes on.
pub const BY_SCRIPT: &str = "approve";

pub use store::Approvals;

/// What is asked of a person.
#[derive(Debug, Clone, PartialEq)]
pub struct Proposal {
    /// The tool's full name.
    pub tool: String,
    /// The version of the tool that was tried: the component's digest.
    pub version: String,
    /// Its arguments.
    pub arguments: Value,
    /// What will happen, as it is shown: for a database, each statement with its parameters and rows.
    pub effects: Value,
    /// Who asks: `model`, or a person's or program's name.
    pub requester: String,
    /// The step of a run that waits for it, such as `r12/4`: it asks once, however often it is tried.
    pub origin: Option<String>,
    /// How many people must approve.
    pub people: u32,
}

impl Proposal {
    /// sha256 of all that will be done, in lower-case hex. Not of who asks: two who ask the same ask for the same.
    pub fn digest(&self) -> String {
        let all = serde_json::json!([
            self.tool,
            self.version,
            canonical(&self.arguments),
            canonical(&self.effects)
        ]);
        let hash = Sha256::digest(all.to_string());
        hash.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// The same value with the keys of its objects in order, so that a digest does not hang on it.
fn canonical(value: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            let mut sorted: Vec<(&String, &Value)> = fields.iter().collect();
            sorted.sort_by_key(|(key, _)| key.as_str());
            Value::Object(sorted.into_iter().map(|(key, value)| (key.clone(), canonical(value))).collect())
        }
        Value::Array(items) => Value::Array(items.iter().map(canonical).collect()),
        other => other.clone(),
    }
}

/// Where an approval stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// For a person.
    Waiting,
    /// To be carried out.
    Approved,
    /// By a person; their reason is in `note`.
    Rejected,
    /// Nobody decided in time.
    Expired,
    /// It is being carried out; after a crash, in doubt.
    Taken,
    /// Carried out.
    Done,
    /// It was tried and failed; `note` says why. Nothing was written.
    Failed,
}

impl State {
    const ALL: [(State, &'static str); 7] = [
        (State::Waiting, "waiting"),
        (State::Approved, "approved"),
        (State::Rejected, "rejected"),
        (State::Expired, "expired"),
        (State::Taken, "taken"),
        (State::Done, "done"),
        (State::Failed, "failed"),
    ];

    /// As it is stored and shown.
    pub fn name(self) -> &'static str {
        State::ALL.iter().find(|(state, _)| *state == self).map_or("", |(_, name)| name)
    }

    fn parse(name: &str) -> Option<State> {
        State::ALL.iter().find(|(_, known)| *known == name).map(|(state, _)| *state)
    }
}

/// One approval, with everything that is known of it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Approval {
    /// `a` and a number.
    pub id: String,
    /// Where it stands.
    pub state: State,
    /// The tool's full name.
    pub tool: String,
    /// The digest of the component that was tried.
    pub version: String,
    /// Its arguments.
    pub arguments: Value,
    /// What will happen.
    pub effects: Value,
    /// Of all that will be done.
    pub digest: String,
    /// Who asks.
    pub requester: String,
    /// The step of a run that waits for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub origin: Option<String>,
    /// How many people must approve.
    pub people: u32,
    /// When it was asked for.
    pub created: Timestamp,
    /// Until when it can be approved and carried out.
    pub expires: Timestamp,
    /// Who decided, with commas between; while it waits for a second person, the first. Empty while nobody has.
    pub decided_by: String,
    /// When.
    pub decided: Option<Timestamp>,
    /// The reason of a rejection, or why it failed.
    pub note: String,
    /// What it gave when it was carried out.
    pub result: Option<Value>,
}

/// What a person says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// Do it.
    Approve,
    /// Do not; with the reason, which the model is told.
    Reject(String),
}

/// What was said of an approval, and when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Audited {
    /// When.
    pub at: Timestamp,
    /// `asked`, `approved`, `rejected`, `refused`, `taken`, `released`, `done`, `failed` or `expired`.
    pub what: String,
    /// Who; empty where it was the time, or the host.
    pub by: String,
    /// Such as the reason of a rejection, or why it was refused.
    pub note: String,
}

/// Why something is not done.
#[derive(Debug, thiserror::Error)]
pub enum ApprovalError {
    /// There is none of this id.
    #[error("no approval `{0}`; `pawl approvals` lists those that wait")]
    Unknown(String),
    /// It is past that point.
    #[error("approval `{id}` is {state} and cannot be {wanted}", state = .state.name())]
    State {
        /// Which.
        id: String,
        /// Where it stands.
        state: State,
        /// What was to be done with it.
        wanted: &'static str,
    },
    /// Nobody approves what they asked for.
    #[error("approval `{id}` was asked for by {requester}; somebody else must decide")]
    Own {
        /// Which.
        id: String,
        /// Who asked.
        requester: String,
    },
    /// Another person is wanted.
    #[error(
        "approval `{id}` was approved by {by} already, and wants {people} people; somebody else must decide"
    )]
    Same {
        /// Which.
        id: String,
        /// Who.
        by: String,
        /// How many are wanted.
        people: u32,
    },
    /// It is not what was approved.
    #[error("approval `{id}` is for digest {approved}, not {given}; ask again")]
    Digest {
        /// Which.
        id: String,
        /// What was approved.
        approved: String,
        /// What was to be done.
        given: String,
    },
    /// Too many wait already, or it is too large.
    #[error("{0}")]
    Limit(String),
    /// The store cannot be used.
    #[error("store of approvals: {0}")]
    Store(#[from] rusqlite::Error),
    /// A row of the store cannot be read.
    #[error("store of approvals: {0} cannot be read")]
    Row(String),
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a store that fails fails the test")]
mod tests;

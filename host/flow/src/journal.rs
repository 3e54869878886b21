//! What happened in a run, in order: the only source of truth of it.
//!
//! Invariant: an entry is never changed; a step has one at most.

use std::collections::HashMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::advance::Step;
use crate::request::Request;

/// Where a step is in its script: its number among those before it, within a branch of a parallel step behind that step's number and
/// the branch's: `4.2.1` is the first step of the third branch of what the fifth step does at once.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct StepId(String);

impl StepId {
    pub(crate) fn new(path: &[u32]) -> StepId {
        StepId(path.iter().map(u32::to_string).collect::<Vec<_>>().join("."))
    }

    /// As it was written.
    pub(crate) fn parse(text: String) -> StepId {
        StepId(text)
    }

    /// As it is written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for StepId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Why a step, or a run, failed: what a script's `catch` gets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// One word for programs: `timeout`, `not-found`, the case of a plugin's error.
    pub code: String,
    /// For people.
    pub message: String,
    /// Of what ended a run: the line of the script, such as `hire.rhai:3: let a = b;`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<String>,
}

impl Failure {
    /// Of a word for programs and a text for people.
    #[must_use]
    pub fn new(code: &str, message: impl Into<String>) -> Failure {
        Failure { code: code.to_owned(), message: message.into(), place: None }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Some(place) => write!(f, "{} ({place})", self.message),
            None => f.write_str(&self.message),
        }
    }
}

/// The most that values are nested: what is written down is read back by a parser with a bound, and is wrapped a few times.
pub(crate) const MAX_DEPTH: usize = 96;

/// Whether a value is nested so deep that it could not be read back.
pub(crate) fn too_deep(value: &serde_json::Value) -> bool {
    fn deeper(value: &serde_json::Value, left: usize) -> bool {
        let Some(left) = left.checked_sub(1) else { return true };
        match value {
            serde_json::Value::Array(items) => items.iter().any(|item| deeper(item, left)),
            serde_json::Value::Object(fields) => fields.values().any(|field| deeper(field, left)),
            _ => false,
        }
    }
    deeper(value, MAX_DEPTH)
}

/// The SHA-256 of a request as JSON, its keys in order.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestDigest([u8; 32]);

impl RequestDigest {
    /// Of a request.
    #[must_use]
    pub fn of(request: &Request) -> RequestDigest {
        // A request is made of JSON values and texts: it can always be written.
        let text = serde_json::to_vec(request).unwrap_or_default();
        RequestDigest(Sha256::digest(&text).into())
    }

    pub(crate) fn from_bytes(bytes: [u8; 32]) -> RequestDigest {
        RequestDigest(bytes)
    }

    pub(crate) fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

/// What came of a step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// Of what was asked for: another script asks for something else.
    pub digest: RequestDigest,
    /// What came of it.
    pub outcome: Result<Value, Failure>,
}

/// What came of the steps of a run.
#[derive(Debug, Clone, Default)]
pub struct Journal(HashMap<StepId, Entry>);

impl Journal {
    /// What came of a step, if it has ended.
    #[must_use]
    pub fn get(&self, step: &StepId) -> Option<&Entry> {
        self.0.get(step)
    }

    /// What a step of a script meets: what came of it, or that it was another one when it was carried out; nothing where it is new.
    #[must_use]
    pub fn answer(&self, step: &StepId, request: &Request) -> Option<Step> {
        let entry = self.get(step)?;
        if entry.digest == RequestDigest::of(request) {
            return Some(Step::Ended(entry.outcome.clone()));
        }
        Some(Step::Diverged(Failure::new(
            "diverged",
            format!(
                "step {step} was another one when it was carried out: a run goes on only with the script that it began with"
            ),
        )))
    }

    /// Records what came of a step; what is there already stands.
    pub fn record(&mut self, step: StepId, entry: Entry) {
        self.0.entry(step).or_insert(entry);
    }

    /// Steps that have ended.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether none has.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

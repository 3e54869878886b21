//! A run, as others see it.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::Value;

use crate::journal::{Failure, StepId};
use crate::request::Request;

/// `r` and a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RunId(i64);

impl RunId {
    pub(crate) fn new(number: i64) -> RunId {
        RunId(number)
    }

    pub(crate) fn number(self) -> i64 {
        self.0
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "r{}", self.0)
    }
}

impl FromStr for RunId {
    type Err = FlowError;

    fn from_str(text: &str) -> Result<RunId, FlowError> {
        let number = text.strip_prefix('r').and_then(|number| number.parse().ok());
        number.map(RunId).ok_or_else(|| FlowError::Unknown(text.chars().take(40).collect()))
    }
}

impl Serialize for RunId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// The document that a run is about: the plugins that it calls find this file, and no other, in the collection. Who begins the run says
/// so; a script cannot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Document {
    /// The name by which plugins ask for documents, such as `resumes`.
    pub collection: String,
    /// An absolute path.
    pub file: PathBuf,
}

/// Where a run stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum RunState {
    /// It gets on, or will as soon as there is room.
    Running,
    /// For a moment, a signal, an approval or a child.
    Waiting,
    /// A step may have taken effect when a process ended, and nobody but a person can say.
    InDoubt,
    /// With a result.
    Done,
    /// With a failure that the script did not catch.
    Failed,
    /// A person stopped it.
    Cancelled,
}

impl RunState {
    const ALL: [(RunState, &'static str); 6] = [
        (RunState::Running, "running"),
        (RunState::Waiting, "waiting"),
        (RunState::InDoubt, "in-doubt"),
        (RunState::Done, "done"),
        (RunState::Failed, "failed"),
        (RunState::Cancelled, "cancelled"),
    ];

    /// As it is stored and shown.
    #[must_use]
    pub fn name(self) -> &'static str {
        RunState::ALL.iter().find(|(state, _)| *state == self).map_or("", |(_, name)| name)
    }

    pub(crate) fn parse(name: &str) -> RunState {
        RunState::ALL.iter().find(|(_, known)| *known == name).map_or(RunState::Running, |(state, _)| *state)
    }

    /// Whether it is over.
    #[must_use]
    pub fn ended(self) -> bool {
        matches!(self, RunState::Done | RunState::Failed | RunState::Cancelled)
    }
}

/// One run.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Run {
    /// Which.
    pub id: RunId,
    /// The name of its script, without `.rhai`.
    pub flow: String,
    /// The digest of the script that it began with.
    pub script: String,
    /// What it was given.
    pub input: Value,
    /// Who began it.
    pub requester: String,
    /// What began it, where that begins it once: a step of another run, an item of a job, a moment of a schedule.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub origin: Option<String>,
    /// What it is about, where it is about one document.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub document: Option<Document>,
    /// The run that it is a child of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parent: Option<RunId>,
    /// Where it stands.
    pub state: RunState,
    /// What came of it.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "outcome")]
    pub outcome: Option<Result<Value, Failure>>,
    /// When it was begun.
    pub created: Timestamp,
    /// When it ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended: Option<Timestamp>,
    /// The process that drives it.
    #[serde(skip)]
    pub(crate) owner: Option<String>,
    /// 1 where a person wants it stopped, 2 once its script was told.
    #[serde(skip)]
    pub(crate) cancelled: i64,
}

/// `{"result": …}` or `{"error": {"code", "message"}}`.
pub(crate) fn outcome<S: Serializer>(
    outcome: &Option<Result<Value, Failure>>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match outcome {
        Some(Ok(result)) => serializer.collect_map([("result", result)]),
        Some(Err(error)) => serializer.collect_map([("error", error)]),
        None => serializer.serialize_none(),
    }
}

/// A step of a run, for the record: ended, or waiting.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StepView {
    /// Which.
    pub step: StepId,
    /// What was asked for.
    pub request: Request,
    /// What came of it; none while it waits.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "outcome")]
    pub outcome: Option<Result<Value, Failure>>,
    /// When it was asked for.
    pub began: Timestamp,
    /// When it ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended: Option<Timestamp>,
    /// How often it was tried.
    pub attempts: u32,
    /// What else is known: prompt and tokens of what the model was asked, who approved.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<Value>,
    /// What it waits for, in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub waits_for: Option<String>,
    /// The approval that it waits for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub approval: Option<String>,
    /// The run that it waits for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub child: Option<RunId>,
}

/// What a person says of a step that is in doubt.
#[derive(Debug, Clone, PartialEq)]
pub enum Resolution {
    /// It did not take effect: try it again.
    Retry,
    /// It did, and gave this.
    Done(Value),
    /// Let it fail with the code `in-doubt`.
    Fail,
}

/// Why something cannot be done with runs.
#[derive(Debug, thiserror::Error)]
pub enum FlowError {
    /// There is none of this id.
    #[error("no run `{0}`; `pawl runs` lists them")]
    Unknown(String),
    /// There is no job of this id.
    #[error("no job `{0}`; `pawl jobs` lists them")]
    UnknownJob(String),
    /// It is past that point.
    #[error("run `{id}` is {state} and cannot be {wanted}", state = .state.name())]
    State {
        /// Which.
        id: RunId,
        /// Where it stands.
        state: RunState,
        /// What was to be done with it.
        wanted: &'static str,
    },
    /// No step of it is in doubt there.
    #[error("step `{step}` of run `{id}` is not in doubt; `pawl runs show {id}` says how it stands")]
    NotInDoubt {
        /// Which run.
        id: RunId,
        /// Which step.
        step: String,
    },
    /// The script cannot be run.
    #[error(transparent)]
    Script(#[from] crate::script::ScriptError),
    /// A value is too large, or there is too much.
    #[error("{0}")]
    Limit(String),
    /// A job cannot be made or continued so.
    #[error("{0}")]
    Job(String),
    /// The store.
    #[error(transparent)]
    Store(#[from] crate::store::StoreError),
    /// The store of approvals.
    #[error(transparent)]
    Approvals(#[from] crate::approval::ApprovalError),
    /// The folder of runs cannot be used.
    #[error("{folder}: {error}")]
    Folder {
        /// Which.
        folder: std::path::PathBuf,
        /// What the system says.
        error: std::io::Error,
    },
}

//! Jobs: the same script for each of many items, so many at once, each brought to its end once.
//!
//! Invariants: an item is queued, running or ended, and each change is written with what caused it, so a process that dies loses none and
//! none is done twice (its run goes on, as any run does); an item whose run fails is tried as often as the job says and then is a
//! failed item, which holds up no other; items whose documents have the same content are done once.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use serde::{Serialize, Serializer};
use serde_json::Value;

use crate::journal::Failure;
use crate::run::{Document, FlowError, RunId};
use crate::script::Sources;

pub(crate) const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS jobs (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        name TEXT NOT NULL,
        script TEXT NOT NULL,
        input TEXT NOT NULL,
        requester TEXT NOT NULL,
        origin TEXT UNIQUE,
        at_once INTEGER NOT NULL,
        attempts INTEGER NOT NULL,
        state TEXT NOT NULL,
        created INTEGER NOT NULL,
        ended INTEGER,
        owner TEXT,
        redacted TEXT
    ) STRICT;
    CREATE TABLE IF NOT EXISTS items (
        job INTEGER NOT NULL,
        n INTEGER NOT NULL,
        name TEXT NOT NULL,
        input TEXT NOT NULL,
        content TEXT, -- the digest of its document, once it is known
        state TEXT NOT NULL,
        attempts INTEGER NOT NULL DEFAULT 0,
        run INTEGER,
        same_as INTEGER,
        outcome TEXT,
        began INTEGER,
        ended INTEGER,
        document TEXT,
        moved INTEGER NOT NULL DEFAULT 0, -- whether the document is somewhere else than when it was done
        PRIMARY KEY (job, n)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX IF NOT EXISTS items_state ON items (job, state, n);
    CREATE INDEX IF NOT EXISTS items_content ON items (job, content) WHERE content IS NOT NULL;
    CREATE UNIQUE INDEX IF NOT EXISTS items_name ON items (job, name);
";

/// `j` and a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct JobId(i64);

impl JobId {
    pub(crate) fn new(number: i64) -> JobId {
        JobId(number)
    }

    pub(crate) fn number(self) -> i64 {
        self.0
    }
}

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "j{}", self.0)
    }
}

impl FromStr for JobId {
    type Err = FlowError;

    fn from_str(text: &str) -> Result<JobId, FlowError> {
        let number = text.strip_prefix('j').and_then(|number| number.parse().ok());
        number.map(JobId).ok_or_else(|| FlowError::UnknownJob(text.chars().take(40).collect()))
    }
}

impl Serialize for JobId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// What a job is begun with.
#[derive(Debug, Clone)]
pub struct NewJob {
    /// For people.
    pub name: String,
    /// The script of every item: it sees `input.item` and `input.job`.
    pub sources: Sources,
    /// What all items share: `input.job`.
    pub input: Value,
    /// Who begins it.
    pub requester: String,
    /// What begins it, where that must begin it once: a second job of the same origin is the first.
    pub origin: Option<String>,
    /// Items that run at the same time.
    pub at_once: u32,
    /// How often an item is tried.
    pub attempts: u32,
}

/// An item that is to be done.
#[derive(Debug, Clone, PartialEq)]
pub struct NewItem {
    /// Its name, one of a kind within the job: one that is there already is not added again.
    pub name: String,
    /// What the script sees as `input.item`.
    pub input: Value,
    /// The document that it is about; items of one job whose documents have the same content, and whose inputs differ in `id` at most,
    /// are done once.
    pub document: Option<Document>,
}

/// Where a job stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum JobState {
    /// Its items are being done.
    Running,
    /// A person wants no more of them to begin.
    Paused,
    /// All have ended.
    Done,
}

impl JobState {
    pub(crate) const ALL: [(JobState, &'static str); 3] =
        [(JobState::Running, "running"), (JobState::Paused, "paused"), (JobState::Done, "done")];

    /// As it is stored and shown.
    #[must_use]
    pub fn name(self) -> &'static str {
        JobState::ALL.iter().find(|(state, _)| *state == self).map_or("", |(_, name)| name)
    }

    pub(crate) fn parse(name: &str) -> JobState {
        JobState::ALL.iter().find(|(_, known)| *known == name).map_or(JobState::Running, |(state, _)| *state)
    }
}

/// How many items stand where.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Not begun.
    pub queued: u64,
    /// Begun.
    pub running: u64,
    /// With a result.
    pub done: u64,
    /// With a failure, after their attempts.
    pub failed: u64,
    /// Not done, for another item has the same content.
    pub same: u64,
}

impl Counts {
    /// All items.
    #[must_use]
    pub fn all(&self) -> u64 {
        self.queued + self.running + self.ended()
    }

    /// Those that have ended.
    #[must_use]
    pub fn ended(&self) -> u64 {
        self.done + self.failed + self.same
    }
}

/// One job.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Job {
    /// Which.
    pub id: JobId,
    /// For people.
    pub name: String,
    /// The digest of its script.
    pub script: String,
    /// What all items share.
    pub input: Value,
    /// Who began it.
    pub requester: String,
    /// Where it stands.
    pub state: JobState,
    /// Items that run at the same time.
    pub at_once: u32,
    /// How often an item is tried.
    pub attempts: u32,
    /// How its items stand.
    pub items: Counts,
    /// When it was begun.
    pub created: Timestamp,
    /// When its last item ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended: Option<Timestamp>,
    #[serde(skip)]
    pub(crate) owner: Option<String>,
}

/// One item.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Item {
    /// Its number within the job, from 0.
    pub n: u64,
    /// Its name.
    pub name: String,
    /// The document that it is about.
    #[serde(skip)]
    pub document: Option<Document>,
    /// `queued`, `running`, `done`, `failed` or `same`.
    pub state: String,
    /// How often it was begun.
    pub attempts: u32,
    /// Its run, or its last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run: Option<RunId>,
    /// The item whose content is the same; the outcome is that one's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub same_as: Option<String>,
    /// What came of it.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "crate::run::outcome")]
    pub outcome: Option<Result<Value, Failure>>,
    /// When it was last begun.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub began: Option<Timestamp>,
    /// When it ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended: Option<Timestamp>,
}

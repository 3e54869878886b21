//! The record of the embedded orchestrator: what is deleted and redacted, and what triggers have seen.

use std::collections::HashSet;
use std::path::PathBuf;

use jiff::Timestamp;

use super::Embedded;
use crate::run::FlowError;
use crate::store::record::{self, Pruned, Redacting};
use crate::store::{jobs, rows};

impl Embedded {
    /// Deletes what ended before: runs, and jobs with their items. What began a run is remembered, so that it does not begin another.
    ///
    /// # Errors
    /// Where it cannot be written; what was deleted until then is gone.
    pub fn prune(&self, before: Timestamp) -> Result<Pruned, FlowError> {
        let (before, mut all) = (before.as_microsecond(), Pruned::default());
        loop {
            let some = self.inner.store.write(move |connection| record::prune(connection, before));
            let Some(some) = some? else {
                self.inner.store.truncate();
                return Ok(all);
            };
            all.runs += some.runs;
            all.jobs += some.jobs;
            all.documents.extend(some.documents);
        }
    }

    /// Replaces the values of fields with these names wherever they are in what has ended. Says how many runs and jobs were looked
    /// through.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn redact(&self, fields: &[String]) -> Result<usize, FlowError> {
        let mut at = Redacting::default();
        loop {
            let fields = fields.to_vec();
            match self.inner.store.write(move |connection| record::redact(connection, &fields, at))? {
                Some(next) => at = next,
                None => {
                    self.inner.store.truncate();
                    return Ok(at.done);
                }
            }
        }
    }

    /// The documents that jobs are about.
    ///
    /// # Errors
    /// Where the store cannot be read.
    pub fn documents(&self) -> Result<HashSet<PathBuf>, FlowError> {
        Ok(self.inner.store.read(jobs::all_documents)?)
    }

    /// Up to when the moments of a schedule were looked at.
    ///
    /// # Errors
    /// Where the store cannot be read.
    pub fn seen(&self, trigger: &str) -> Result<Option<Timestamp>, FlowError> {
        Ok(self.inner.store.read(|connection| rows::seen(connection, trigger))?)
    }

    /// Notes that the moments of a schedule were looked at, and that what was due has been begun.
    ///
    /// # Errors
    /// Where it cannot be written down.
    pub fn set_seen(&self, trigger: &str, at: Timestamp) -> Result<(), FlowError> {
        let trigger = trigger.to_owned();
        Ok(self.inner.store.write(move |connection| rows::set_seen(connection, &trigger, at))?)
    }
}

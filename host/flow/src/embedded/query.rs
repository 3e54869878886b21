//! What is known of runs.

use crate::run::{FlowError, Run, RunId, StepView};
use crate::script::Sources;
use crate::store::rows;

use super::Embedded;

/// Runs, or steps, of one answer.
const MAX_ROWS: usize = 10_000;

impl Embedded {
    /// One run.
    ///
    /// # Errors
    /// Where there is none.
    pub fn run(&self, id: RunId) -> Result<Run, FlowError> {
        let run = self.inner.store.read(|connection| rows::get_run(connection, id))?;
        run.ok_or_else(|| FlowError::Unknown(id.to_string()))
    }

    /// The latest runs first; with `open`, only those that have not ended.
    ///
    /// # Errors
    /// Where the store cannot be read.
    pub fn runs(&self, open: bool, most: usize) -> Result<Vec<Run>, FlowError> {
        Ok(self.inner.store.read(|connection| rows::runs(connection, open, most.min(MAX_ROWS)))?)
    }

    /// The steps of a run, in the order in which they ended, then those that wait. From a place on, so many.
    ///
    /// # Errors
    /// Where there is no such run.
    pub fn steps(&self, id: RunId, from: usize, most: usize) -> Result<Vec<StepView>, FlowError> {
        self.run(id)?;
        Ok(self.inner.store.read(|connection| rows::steps(connection, id, from, most.min(MAX_ROWS)))?)
    }

    /// The steps of a run that wait.
    ///
    /// # Errors
    /// Where there is no such run.
    pub fn open_steps(&self, id: RunId) -> Result<Vec<StepView>, FlowError> {
        self.run(id)?;
        Ok(self.inner.store.read(|connection| rows::waiting(connection, id))?)
    }

    /// The script that a run began with.
    ///
    /// # Errors
    /// Where there is no such run.
    pub fn sources(&self, id: RunId) -> Result<Sources, FlowError> {
        let run = self.run(id)?;
        let sources = self.inner.store.read(|connection| rows::sources(connection, &run.script))?;
        sources.ok_or_else(|| FlowError::Unknown(id.to_string()))
    }
}

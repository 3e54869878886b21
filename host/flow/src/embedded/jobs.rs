//! Jobs of the embedded orchestrator: their items become runs, so many at once.

use std::sync::Arc;

use super::{Embedded, Inner, tick};
use crate::batch::{Item, Job, JobId, JobState, NewItem, NewJob};
use crate::document::content;
use crate::run::FlowError;
use crate::store::{jobs, record, rows};

/// Items of one transaction: other writes come between.
const CHUNK: usize = 5_000;
/// Items of one answer.
const MAX_ITEMS: usize = 10_000;
/// The most that run at the same time.
const MAX_AT_ONCE: u32 = 1_000;

impl Embedded {
    /// Begins a job; the one of the same origin where there is one. It has no items yet, and is done once it has some and all have
    /// ended.
    ///
    /// # Errors
    /// Where the script cannot be parsed or a bound is out of range.
    pub fn begin_job(&self, new: NewJob) -> Result<JobId, FlowError> {
        let digest = self.inner.script(&new.sources)?.digest().to_owned();
        super::within(&new.input, "input")?;
        if !(1..=MAX_AT_ONCE).contains(&new.at_once) || !(1..=100).contains(&new.attempts) {
            let (at_once, attempts) = (new.at_once, new.attempts);
            let wrong =
                format!("{at_once} at once, {attempts} attempts: give 1 to {MAX_AT_ONCE} and 1 to 100");
            return Err(FlowError::Job(wrong));
        }
        if let Some(origin) = new.origin.clone()
            && let Some(deleted) =
                self.inner.store.read(|connection| record::deleted_job(connection, &origin))?
        {
            let gone = format!("job j{deleted} was begun by this and has been deleted by age; begin another");
            return Err(FlowError::Job(gone));
        }
        let owner = self.inner.owner.id().to_owned();
        Ok(self.inner.store.write(move |connection| jobs::insert(connection, &new, &digest, &owner))?)
    }

    /// Adds items; those whose names are there already are left out. Says how many are new.
    ///
    /// # Errors
    /// Where there is no such job, or what it was given has been redacted.
    pub fn add_items(&self, id: JobId, items: impl IntoIterator<Item = NewItem>) -> Result<usize, FlowError> {
        self.can_go_on(id)?;
        let mut items = items.into_iter().peekable();
        let mut added = 0;
        while items.peek().is_some() {
            let chunk: Vec<NewItem> = items.by_ref().take(CHUNK).collect();
            for item in &chunk {
                super::within(&item.input, &format!("the input of {}", item.name))?;
            }
            added += self.inner.store.write(move |connection| jobs::add(connection, id, &chunk))?;
            self.inner.look();
        }
        Ok(added)
    }

    /// One job.
    ///
    /// # Errors
    /// Where there is none.
    pub fn job(&self, id: JobId) -> Result<Job, FlowError> {
        let job = self.inner.store.read(|connection| jobs::get(connection, id))?;
        job.ok_or_else(|| FlowError::UnknownJob(id.to_string()))
    }

    /// The latest jobs first.
    ///
    /// # Errors
    /// Where the store cannot be read.
    pub fn jobs(&self, most: usize) -> Result<Vec<Job>, FlowError> {
        Ok(self.inner.store.read(|connection| jobs::all(connection, most.min(MAX_ITEMS)))?)
    }

    /// Items by number, from one on; of one state, or of all.
    ///
    /// # Errors
    /// Where there is no such job.
    pub fn items(
        &self,
        id: JobId,
        state: Option<&str>,
        from: u64,
        most: usize,
    ) -> Result<Vec<Item>, FlowError> {
        self.job(id)?;
        Ok(self
            .inner
            .store
            .read(|connection| jobs::items(connection, id, state, from, most.min(MAX_ITEMS)))?)
    }

    /// Begins no more items of a job, or goes on with it.
    ///
    /// # Errors
    /// Where there is no such job or it is done.
    pub fn pause(&self, id: JobId, pause: bool) -> Result<Job, FlowError> {
        let state = if pause { JobState::Paused } else { JobState::Running };
        if !self.inner.store.write(move |connection| jobs::set_state(connection, id, state))? {
            self.job(id)?;
            return Err(FlowError::Job(format!("job {id} is done; add items to it, or begin another")));
        }
        self.inner.look();
        self.job(id)
    }

    /// Queues the items that failed once more. Says how many those are.
    ///
    /// # Errors
    /// Where there is no such job.
    pub fn retry_failed(&self, id: JobId) -> Result<usize, FlowError> {
        self.can_go_on(id)?;
        let again = self.inner.store.write(move |connection| jobs::retry(connection, id))?;
        self.inner.look();
        Ok(again)
    }

    /// Queues the items that have ended and whose documents are not any more what they were. Gives their names.
    ///
    /// # Errors
    /// Where there is no such job.
    pub fn renew(&self, id: JobId) -> Result<Vec<String>, FlowError> {
        self.can_go_on(id)?;
        let ended = self.inner.store.read(|connection| jobs::documents(connection, id))?;
        let changed: Vec<_> = ended.into_iter().filter(jobs::Known::changed).collect();
        let (renewed, names) = (
            changed.iter().map(|known| known.n).collect::<Vec<_>>(),
            changed.into_iter().map(|known| known.name),
        );
        let names = names.collect();
        if !renewed.is_empty() {
            self.inner.store.write(move |connection| jobs::renew(connection, id, &renewed))?;
            self.inner.look();
        }
        Ok(names)
    }

    /// Tells where the documents of items are now, by the items' names; other names are left out.
    ///
    /// # Errors
    /// Where there is no such job.
    pub fn relocate(&self, id: JobId, items: impl IntoIterator<Item = NewItem>) -> Result<(), FlowError> {
        self.job(id)?;
        let mut items = items.into_iter().peekable();
        while items.peek().is_some() {
            let chunk: Vec<NewItem> = items.by_ref().take(CHUNK).collect();
            self.inner.store.write(move |connection| jobs::relocate(connection, id, &chunk))?;
        }
        Ok(())
    }

    /// How many items of a job run at the same time, from now on.
    ///
    /// # Errors
    /// Where there is no such job or the number is out of range.
    pub fn set_at_once(&self, id: JobId, at_once: u32) -> Result<(), FlowError> {
        self.job(id)?;
        if !(1..=MAX_AT_ONCE).contains(&at_once) {
            return Err(FlowError::Job(format!("{at_once} at once: give 1 to {MAX_AT_ONCE}")));
        }
        self.inner.store.write(move |connection| jobs::set_at_once(connection, id, at_once))?;
        Ok(())
    }

    fn can_go_on(&self, id: JobId) -> Result<(), FlowError> {
        self.job(id)?;
        if self.inner.store.read(|connection| record::is_closed(connection, id.number()))? {
            let why =
                format!("what job {id} was given has been redacted, so that it cannot go on; begin another");
            return Err(FlowError::Job(why));
        }
        Ok(())
    }

    /// Goes on with a job that no living process has. One that is done is nobody's: once it has something to do again, it is taken by a
    /// process that drives all.
    ///
    /// # Errors
    /// Where there is none, or another process drives it.
    pub fn go_on_job(&self, id: JobId) -> Result<(), FlowError> {
        tick::adopt_jobs(&self.inner, Some(id))?;
        let job = self.job(id)?;
        match job.owner {
            Some(owner) if job.ended.is_none() && owner != self.inner.owner.id() => {
                Err(FlowError::Job(format!("job {id} is driven by another process, such as `pawl serve`")))
            }
            _ => {
                // The runs of its items that were begun.
                for run in self.inner.store.read(|connection| jobs::open_runs(connection, id))? {
                    tick::adopt(&self.inner, Some(run))?;
                }
                self.inner.look();
                Ok(())
            }
        }
    }
}

/// Does what is due in the jobs of this process.
pub(super) fn advance(inner: &Arc<Inner>) -> Result<(), FlowError> {
    let own = inner.owner.id();
    for id in inner.store.read(|connection| jobs::open(connection, own))? {
        if !inner.store.read(|connection| jobs::is_due(connection, id))? {
            continue;
        }
        let Some(job) = inner.store.read(|connection| jobs::uncounted(connection, id))? else { continue };
        let Some(sources) = inner.store.read(|connection| rows::sources(connection, &job.script))? else {
            continue;
        };
        let next = inner.store.read(|connection| jobs::next(connection, &job))?;
        let begin: Vec<_> = next
            .into_iter()
            .map(|mut next| {
                // A document that cannot be read is its run's failure.
                next.content = next.document.as_ref().and_then(|document| content(&document.file).ok());
                next
            })
            .collect();
        let changed =
            inner.store.write(move |connection| jobs::advance(connection, &job, &sources, &begin))?;
        if changed.any {
            inner.look();
        }
        changed.begun.into_iter().for_each(|run| inner.wake(run));
    }
    Ok(())
}

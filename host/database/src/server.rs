//! What the clients of all servers share.
//!
//! Invariant: whatever a server does or leaves undone, a call ends by the time that it was given.

use std::fmt::Write;
use std::future::Future;
use std::time::{Duration, Instant};

use tokio::runtime::Runtime;

use crate::{Error, Limits};

/// How long a server is given to take a cancellation.
pub(crate) const CANCELLING: Duration = Duration::from_millis(800);
/// What may come from the server besides a query's cells.
pub(crate) const OVERHEAD: usize = 8 << 20;

/// The runtime that drives one connection while one of its calls runs.
pub(crate) struct Driver(Option<Runtime>);

impl Driver {
    pub(crate) fn new() -> Result<Driver, Error> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        Ok(Driver(Some(runtime.map_err(|error| Error::Unavailable(error.to_string()))?)))
    }

    /// What `work` gives; `None` where it is not done by `until`.
    pub(crate) fn run<T>(&self, until: Instant, work: impl Future<Output = T>) -> Option<T> {
        let runtime = self.0.as_ref()?;
        runtime.block_on(async { tokio::time::timeout_at(until.into(), work).await.ok() })
    }

    /// A connection. `name` is the logical name for the log.
    pub(crate) fn connect<T>(
        &self,
        name: &str,
        limits: &Limits,
        deadline: Instant,
        connecting: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        let until = deadline.min(Instant::now() + limits.connecting);
        let silent = || Err(Error::Unavailable("the server does not answer".to_owned()));
        self.run(until, connecting).unwrap_or_else(silent).inspect_err(|error| {
            tracing::error!("database {name}: {error}");
        })
    }

    /// What is spawned while this is held is never run.
    #[cfg(feature = "mysql")]
    pub(crate) fn enter(&self) -> Option<tokio::runtime::EnterGuard<'_>> {
        self.0.as_ref().map(Runtime::enter)
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        // A runtime that is dropped where nothing may block would panic.
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

pub(crate) fn gone() -> Error {
    Error::Unavailable("the connection to the server is lost".to_owned())
}

/// The error of a transaction that takes no more.
pub(crate) fn failed() -> Error {
    Error::Sql("a statement of this transaction failed; nothing was kept".to_owned())
}

pub(crate) fn fits(asked: usize, given: usize) -> Result<(), Error> {
    if asked == given {
        return Ok(());
    }
    Err(Error::Sql(format!("the statement has {asked} parameters, {given} were given")))
}

/// The error of a result that is larger than what is read of it.
pub(crate) fn too_large(limits: &Limits) -> Error {
    Error::Limit(format!("the result has more than {} bytes; select less", limits.bytes))
}

/// A CREATE TABLE with one line per column and constraint.
pub(crate) fn create(name: &str, comment: Option<&str>, lines: &[(String, Option<String>)]) -> String {
    let mut sql = format!("CREATE TABLE {name} ({}\n", end(comment));
    for (index, (line, comment)) in lines.iter().enumerate() {
        let comma = if index + 1 < lines.len() { "," } else { "" };
        // Writing to a text does not fail.
        let _ = writeln!(sql, "  {line}{comma}{}", end(comment.as_deref()));
    }
    sql + ")"
}

/// The end of a CREATE VIEW: the types of its columns are not in its query.
pub(crate) fn view_columns<'a>(columns: impl Iterator<Item = &'a str>) -> String {
    format!("\n-- columns: {}", columns.collect::<Vec<_>>().join(", "))
}

/// A comment at the line's end, on one line whatever it holds.
pub(crate) fn end(comment: Option<&str>) -> String {
    match comment.map(|comment| comment.split_whitespace().collect::<Vec<_>>().join(" ")) {
        Some(comment) if !comment.is_empty() => format!(" -- {comment}"),
        _ => String::new(),
    }
}

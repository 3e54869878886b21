//! PostgreSQL.
//!
//! Invariant: a [`Reader`] sends a statement only once [`crate::policy`] has proven it, and then as the query of a cursor in a
//! transaction that the server holds read-only and that is always rolled back: the server itself refuses there whatever is not
//! one SELECT. A superuser reads as `pg_read_all_data`, so that the functions that reach beyond the database are closed by
//! the server too. <https://www.postgresql.org/docs/current/sql-declare.html>,
//! <https://www.postgresql.org/docs/current/sql-set-transaction.html>
//!
//! Why a cursor: its DECLARE goes through the extended protocol (one statement, parameters apart from it), and the FETCH that
//! follows is our own text through the simple protocol, which gives every type, also those nobody here has heard of, in the
//! server's text form, batch by batch.

mod address;
mod catalogue;
mod cell;
mod reader;
mod stream;
mod surroundings;
mod tls;
mod writer;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tokio::runtime::Runtime;
use tokio_postgres::Client;
use tokio_postgres::error::SqlState;

use crate::{Error, Limits, Secret};
use address::Address;

pub(crate) use reader::Reader;
pub(crate) use writer::Writer;

/// How long a server is given to take a cancellation.
const CANCELLING: Duration = Duration::from_millis(800);
/// What may come from the server besides a query's cells.
const OVERHEAD: usize = 8 << 20;

/// A connection and the runtime that drives it while one of its calls runs.
struct Session {
    /// Always there but while it is dropped.
    runtime: Option<Runtime>,
    client: Client,
    address: Address,
    limits: Limits,
    /// How many bytes may still come from the server.
    budget: Arc<AtomicUsize>,
    /// A call was cut off, so what the server says next belongs to nobody.
    broken: bool,
}

impl Session {
    fn open(name: &str, secret: &Secret, limits: &Limits, deadline: Instant) -> Result<Session, Error> {
        let address = Address::parse(secret)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| Error::Unavailable(error.to_string()))?;
        let budget = Arc::new(AtomicUsize::new(OVERHEAD));
        let until = deadline.min(Instant::now() + limits.connecting);
        let connected = runtime.block_on(async {
            let connecting = address.connect(&budget);
            match tokio::time::timeout_at(until.into(), connecting).await {
                Ok(connected) => connected,
                Err(_) => Err(Error::Unavailable("the server does not answer".to_owned())),
            }
        });
        match connected {
            Ok(client) => {
                let limits = limits.clone();
                Ok(Session { runtime: Some(runtime), client, address, limits, budget, broken: false })
            }
            Err(error) => {
                tracing::error!("database {name}: {error}");
                runtime.shutdown_background();
                Err(error)
            }
        }
    }

    /// Drives `call` until it ends or `until`, when the server is told to stop.
    fn run<T>(
        &mut self,
        until: Instant,
        call: impl AsyncFnOnce(&Client) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let Some(runtime) = &self.runtime else { return Err(gone()) };
        if self.broken {
            return Err(gone());
        }
        self.budget.store(self.limits.bytes.saturating_mul(2).saturating_add(OVERHEAD), Ordering::Relaxed);
        let client = &self.client;
        let ended = runtime.block_on(async { tokio::time::timeout_at(until.into(), call(client)).await });
        let cut_off = ended.is_err() || self.budget.load(Ordering::Relaxed) == 0 || client.is_closed();
        if cut_off {
            self.broken = true;
            self.cancel();
        }
        ended.unwrap_or_else(|_| Err(self.limits.too_long()))
    }

    /// Tells the server to stop what this connection does.
    fn cancel(&self) {
        let Some(runtime) = &self.runtime else { return };
        let token = self.client.cancel_token();
        let cancelled =
            runtime.block_on(async { tokio::time::timeout(CANCELLING, self.address.cancel(token)).await });
        if cancelled.is_err() {
            tracing::warn!("a server did not take a cancellation; its own limit ends the statement");
        }
    }

    /// What went wrong, without the address.
    fn error(&self, error: tokio_postgres::Error) -> Error {
        if self.budget.load(Ordering::Relaxed) == 0 {
            return Error::Limit(format!(
                "the result has more than {} bytes; select less",
                self.limits.bytes
            ));
        }
        sql_error(&error, &self.limits).map_or_else(gone, |error| self.address.scrubbed(error))
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // A runtime that is dropped where nothing may block would panic.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

fn gone() -> Error {
    Error::Unavailable("the connection to the server is lost".to_owned())
}

/// What the server says of a statement; `None` where it is not the server that speaks.
fn sql_error(error: &tokio_postgres::Error, limits: &Limits) -> Option<Error> {
    let Some(said) = error.as_db_error() else {
        // A parameter that does not fit is found by the client.
        return (!error.is_closed() && error.to_string().contains("parameter"))
            .then(|| Error::Sql(error.to_string()));
    };
    let mut message = said.message().to_owned();
    for more in [said.detail(), said.hint()].into_iter().flatten() {
        message = format!("{message}; {more}");
    }
    let code = said.code();
    Some(match *code {
        SqlState::QUERY_CANCELED | SqlState::LOCK_NOT_AVAILABLE => limits.too_long(),
        SqlState::READ_ONLY_SQL_TRANSACTION => {
            Error::NotReadOnly(format!("{message}; give exactly one SELECT statement"))
        }
        _ if code.code().starts_with("53") || code.code().starts_with("54") => Error::Limit(message),
        _ if code.code().starts_with("57P") => Error::Unavailable(message),
        _ => Error::Sql(message),
    })
}

/// What a transaction begins with, whatever it is for.
fn settings(limits: &Limits, until: Instant) -> String {
    let left = until.saturating_duration_since(Instant::now()).as_millis().clamp(1, i32::MAX as u128);
    let idle = limits.time.as_millis().saturating_mul(4).clamp(1000, i32::MAX as u128);
    // The first lines close ambiguities, the last keep one statement from taking the server.
    format!(
        "SET LOCAL standard_conforming_strings = on; SET LOCAL bytea_output = hex; SET LOCAL DateStyle = ISO; \
         SET LOCAL IntervalStyle = postgres; SET LOCAL extra_float_digits = 1; \
         SET LOCAL statement_timeout = {left}; SET LOCAL lock_timeout = {left}; \
         SET LOCAL idle_in_transaction_session_timeout = {idle}; SET LOCAL max_parallel_workers_per_gather = 0; "
    )
}

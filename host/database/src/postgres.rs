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
mod effects;
mod reader;
mod stream;
mod surroundings;
mod tls;
mod writer;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use tokio_postgres::Client;
use tokio_postgres::error::SqlState;

use crate::server::{CANCELLING, Driver, OVERHEAD, gone, too_large};
use crate::{Error, Limits, Secret};
use address::Address;

pub(crate) use effects::recorded;
pub(crate) use reader::Reader;
pub(crate) use writer::Writer;

/// A connection and the runtime that drives it while one of its calls runs.
struct Session {
    driver: Driver,
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
        let driver = Driver::new()?;
        let budget = Arc::new(AtomicUsize::new(OVERHEAD));
        let client = driver.connect(name, limits, deadline, address.connect(&budget))?;
        Ok(Session { driver, client, address, limits: limits.clone(), budget, broken: false })
    }

    /// Drives `call` until it ends or `until`, when the server is told to stop.
    fn run<T>(
        &mut self,
        until: Instant,
        call: impl AsyncFnOnce(&Client) -> Result<T, Error>,
    ) -> Result<T, Error> {
        if self.broken {
            return Err(gone());
        }
        self.budget.store(self.limits.bytes.saturating_mul(2).saturating_add(OVERHEAD), Ordering::Relaxed);
        let client = &self.client;
        let ended = self.driver.run(until, call(client));
        let cut_off = ended.is_none() || self.budget.load(Ordering::Relaxed) == 0 || client.is_closed();
        if cut_off {
            self.broken = true;
            self.cancel();
        }
        ended.unwrap_or_else(|| Err(self.limits.too_long()))
    }

    /// Tells the server to stop what this connection does.
    fn cancel(&self) {
        let cancelling = self.address.cancel(self.client.cancel_token());
        if self.driver.run(Instant::now() + CANCELLING, cancelling).is_none() {
            tracing::warn!("a server did not take a cancellation; its own limit ends the statement");
        }
    }

    /// What went wrong, without the address.
    fn error(&self, error: tokio_postgres::Error) -> Error {
        if self.budget.load(Ordering::Relaxed) == 0 {
            return too_large(&self.limits);
        }
        sql_error(&error, &self.limits).map_or_else(gone, |error| self.address.scrubbed(error))
    }
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

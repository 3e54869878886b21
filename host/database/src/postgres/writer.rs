//! One transaction of writes to PostgreSQL.
//!
//! Invariant: nothing is kept unless it is committed; a connection that ends, with the process or without, rolls back. What
//! PostgreSQL itself never rolls back stays: a sequence that gave a number does not give it again.
//! <https://www.postgresql.org/docs/current/functions-sequence.html>

use std::time::Instant;

use super::cell::Parameter;
use super::surroundings::surroundings;
use super::{Session, effects, settings, sql_error};
use crate::effects::{check, refused};
use crate::policy::{self, Surroundings};
use crate::server::{failed, fits, gone};
use crate::{Dialect, Error, Limits, Secret, Value};

pub(crate) struct Writer {
    session: Session,
    around: Surroundings,
    /// A statement failed: the server takes no more in this transaction.
    failed: bool,
}

impl Writer {
    pub(crate) fn open(
        name: &str,
        secret: &Secret,
        limits: &Limits,
        deadline: Instant,
    ) -> Result<Writer, Error> {
        let mut session = Session::open(name, secret, limits, deadline)?;
        let until = deadline.min(Instant::now() + limits.connecting);
        let begin = format!("BEGIN READ WRITE; {}", settings(limits, until));
        let around = session.run(until, async |client| {
            let begun = async {
                client.batch_execute(&begin).await?;
                surroundings(client).await
            };
            begun.await.map_err(|error| sql_error(&error, limits).unwrap_or_else(gone))
        });
        Ok(Writer { session, around: around?, failed: false })
    }

    pub(crate) fn execute(
        &mut self,
        sql: &str,
        parameters: &[Value],
        deadline: Instant,
    ) -> Result<u64, Error> {
        let limits = self.session.limits.clone();
        limits.statement(sql)?;
        if self.failed {
            return Err(failed());
        }
        let written =
            policy::write(sql, Dialect::Postgres, &self.around).map_err(policy::Refusal::writing)?;
        self.failed = true;
        let until = limits.until(deadline);
        let settings = settings(&limits, until);
        let ended = self.session.run(until, async |client| {
            let executed = async {
                client.batch_execute(&settings).await?;
                let statement = client.prepare(sql).await?;
                if let Err(error) = fits(statement.params().len(), parameters.len()) {
                    return Ok(Err(error));
                }
                Ok(Ok(client.execute_raw(&statement, parameters.iter().map(Parameter)).await?))
            };
            Ok(executed.await)
        })?;
        let rows = ended.map_err(|error| self.session.error(error))??;
        self.failed = false;
        Ok(if written.is_ddl { 0 } else { rows })
    }

    pub(crate) fn record(&mut self, key: &str, outcome: &str, deadline: Instant) -> Result<(), Error> {
        let limits = self.session.limits.clone();
        if self.failed {
            return Err(failed());
        }
        // What could not be recorded must not be kept, whatever the caller does next.
        self.failed = true;
        check(key, outcome, &limits)?;
        let until = limits.until(deadline);
        let settings = settings(&limits, until);
        let recorded = self.session.run(until, async |client| {
            let recorded = async {
                client.batch_execute(&settings).await?;
                effects::record(client, key, outcome).await
            };
            Ok(recorded.await)
        })?;
        let recorded = recorded.map_err(|error| refused(self.session.error(error), Dialect::Postgres));
        if !recorded? {
            return Err(Error::Recorded);
        }
        self.failed = false;
        Ok(())
    }

    pub(crate) fn commit(mut self) -> Result<(), Error> {
        if self.failed {
            return Err(failed());
        }
        let until = Instant::now() + self.session.limits.time;
        let ended = self.session.run(until, async |client| Ok(client.batch_execute("COMMIT").await));
        if self.session.broken {
            return Err(Error::InDoubt);
        }
        ended?.map_err(|error| self.session.error(error))
    }
}

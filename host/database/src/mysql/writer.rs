//! One transaction of writes to MySQL.
//!
//! Invariant: nothing is kept unless it is committed. CREATE, ALTER and DROP keep themselves and whatever was written before
//! (<https://dev.mysql.com/doc/refman/8.4/en/implicit-commit.html>), so a trial refuses them, and an approved one is alone in its
//! transaction and runs when that is committed. A table whose engine cannot roll back is not written, nor one whose triggers
//! may do what cannot be undone ([`super::trial`]). What MySQL itself never rolls back stays: a number that AUTO_INCREMENT gave.

use std::time::Instant;

use mysql_async::Params;
use mysql_async::prelude::Queryable;

use super::surroundings::surroundings;
use super::{Failure, Session, effects, parameters, prepared, trial};
use crate::effects::{check, refused};
use crate::policy::{self, Surroundings};
use crate::server::failed;
use crate::{Dialect, Error, Limits, Purpose, Secret, Value};

pub(crate) struct Writer {
    name: String,
    secret: Secret,
    session: Session,
    around: Surroundings,
    purpose: Purpose,
    /// A statement failed, so what the transaction holds is not what was asked for.
    failed: bool,
    /// Rows were written.
    written: bool,
    /// What runs when the transaction is committed.
    last: Option<(String, Vec<Value>)>,
}

impl Writer {
    pub(crate) fn open(
        name: &str,
        secret: &Secret,
        limits: &Limits,
        purpose: Purpose,
        deadline: Instant,
    ) -> Result<Writer, Error> {
        let mut session = Session::open(name, secret, limits, deadline)?;
        let until = deadline.min(Instant::now() + limits.connecting);
        // A transaction that is left alone with its locks ends by itself.
        let idle = limits.time.as_secs().saturating_mul(4).clamp(1, 3600);
        let around = session.run(until, async |conn| {
            let around = surroundings(conn).await?;
            conn.query_drop(format!("SET SESSION wait_timeout = {idle}")).await?;
            conn.query_drop("START TRANSACTION READ WRITE").await?;
            Ok(around)
        })?;
        let (name, secret) = (name.to_owned(), secret.clone());
        Ok(Writer { name, secret, session, around, purpose, failed: false, written: false, last: None })
    }

    pub(crate) fn execute(&mut self, sql: &str, values: &[Value], deadline: Instant) -> Result<u64, Error> {
        self.session.limits.statement(sql)?;
        if self.failed {
            return Err(failed());
        }
        let written = policy::write(sql, Dialect::Mysql, &self.around).map_err(policy::Refusal::writing)?;
        let alone = "MySQL keeps a CREATE, ALTER or DROP at once, with whatever was written before";
        if written.is_ddl && self.purpose == Purpose::Trial {
            return Err(Error::NoTrial(format!("{alone}; it cannot be tried")));
        }
        if self.last.is_some() || written.is_ddl && self.written {
            return Err(Error::NotAllowed(format!("{alone}; write it alone")));
        }
        self.failed = true;
        let until = self.session.limits.until(deadline);
        let settings = self.session.settings(until, None);
        let around = &self.around;
        let rows = self.session.run(until, async |conn| {
            conn.query_drop(&settings).await?;
            if !written.is_ddl {
                trial::can_be_undone(conn, &written.tables, around).await?;
            }
            let statement = prepared(conn, sql, values.len()).await?;
            if !written.is_ddl {
                conn.exec_drop(&statement, Params::Positional(parameters(values))).await?;
            }
            let rows = conn.affected_rows();
            conn.close(statement).await?;
            Ok(if written.is_ddl { 0 } else { rows })
        });
        let rows = rows.map_err(writing)?;
        match written.is_ddl {
            true => self.last = Some((sql.to_owned(), values.to_vec())),
            false => self.written = true,
        }
        self.failed = false;
        Ok(rows)
    }

    pub(crate) fn record(&mut self, key: &str, outcome: &str, deadline: Instant) -> Result<(), Error> {
        if self.failed {
            return Err(failed());
        }
        // What could not be recorded must not be kept, whatever the caller does next.
        self.failed = true;
        if self.last.is_some() {
            return Err(Error::NotRecordable(
                "MySQL keeps a CREATE, ALTER or DROP at once, apart from any row, so that it was done cannot be recorded with it"
                    .to_owned(),
            ));
        }
        let limits = self.session.limits.clone();
        check(key, outcome, &limits)?;
        let no = |error| refused(writing(error), Dialect::Mysql);
        let until = limits.until(deadline);
        let settings = self.session.settings(until, None);
        let there = self.session.run(until, async |conn| {
            conn.query_drop(&settings).await?;
            effects::there(conn).await
        });
        if !there.map_err(no)? {
            effects::make(&self.name, &self.secret, &limits, deadline).map_err(no)?;
        }
        let recorded = self.session.run(until, async |conn| effects::record(conn, key, outcome).await);
        recorded.map_err(no)?;
        self.failed = false;
        Ok(())
    }

    pub(crate) fn commit(mut self) -> Result<(), Error> {
        if self.failed {
            return Err(failed());
        }
        let until = Instant::now() + self.session.limits.time;
        let settings = self.session.settings(until, None);
        let last = self.last.take();
        let ended = self.session.run(until, async |conn| {
            if let Some((sql, values)) = &last {
                conn.query_drop(&settings).await?;
                let statement = prepared(conn, sql, values.len()).await?;
                conn.exec_drop(&statement, Params::Positional(parameters(values))).await?;
            }
            Ok::<_, Failure>(conn.query_drop("COMMIT").await?)
        });
        if self.session.is_left() {
            return Err(Error::InDoubt);
        }
        ended.map_err(writing)
    }
}

/// What a server that takes no writes says, it says of reading.
fn writing(error: Error) -> Error {
    match error {
        Error::NotReadOnly(said) => Error::Sql(said),
        other => other,
    }
}

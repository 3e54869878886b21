//! The keys of what was done ([`crate::effects`]) in MySQL.
//!
//! Invariant: making the table keeps no write of anybody: it is made on a connection of its own. The table is one that rolls back,
//! or nothing is recorded in it.

use std::time::Instant;

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Error as Client, Params};

use super::{Failure, Session, trial};
use crate::effects::{CREATE_MYSQL, TABLE, refused};
use crate::{Dialect, Error, Limits, Secret};

const INSERT: &str = "INSERT INTO pawl_effects (`key`, outcome, `at`) VALUES (?, ?, CONCAT(REPLACE(UTC_TIMESTAMP(), ' ', 'T'), 'Z'))";
const OUTCOME: &str = "SELECT outcome FROM pawl_effects WHERE `key` = ?";
/// <https://dev.mysql.com/doc/mysql-errors/8.4/en/server-error-reference.html>
const NO_SUCH_TABLE: u16 = 1146;
const DUPLICATE: u16 = 1062;

/// Whether there is a table that can be recorded in; an error where there is another.
pub(super) async fn there(conn: &mut Conn) -> Result<bool, Failure> {
    match trial::engine(conn, TABLE).await? {
        None => Ok(false),
        Some(engine) if trial::rolls_back(&engine) => Ok(true),
        Some(engine) => Err(Failure::Ours(Error::Sql(format!(
            "table `{TABLE}` is kept by {engine}, which cannot undo a write; DROP it"
        )))),
    }
}

/// Makes the table.
pub(super) fn make(name: &str, secret: &Secret, limits: &Limits, deadline: Instant) -> Result<(), Error> {
    let mut session = Session::open(name, secret, limits, deadline)?;
    session.run(limits.until(deadline), async |conn| Ok(conn.query_drop(CREATE_MYSQL).await?))
}

/// Writes the row into the transaction that is open.
pub(super) async fn record(conn: &mut Conn, key: &str, outcome: &str) -> Result<(), Failure> {
    match conn.exec_drop(INSERT, Params::Positional(vec![key.into(), outcome.into()])).await {
        Err(Client::Server(said)) if said.code == DUPLICATE => Err(Failure::Ours(Error::Recorded)),
        done => Ok(done?),
    }
}

pub(crate) fn recorded(
    name: &str,
    secret: &Secret,
    limits: &Limits,
    key: &str,
    deadline: Instant,
) -> Result<Option<String>, Error> {
    let mut session = Session::open(name, secret, limits, deadline)?;
    let until = limits.until(deadline);
    let settings = session.settings(until, None);
    let recorded = session.run(until, async |conn| {
        conn.query_drop(&settings).await?;
        // Whatever the server's own setting is, a row that is not kept yet is none.
        conn.query_drop("SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED").await?;
        match conn.exec_first(OUTCOME, Params::Positional(vec![key.into()])).await {
            Err(Client::Server(said)) if said.code == NO_SUCH_TABLE => Ok(None),
            outcome => Ok(outcome?),
        }
    });
    recorded.map_err(|error| refused(error, Dialect::Mysql))
}

//! The keys of what was done ([`crate::effects`]) in PostgreSQL.
//!
//! Invariant: the table is made in the transaction that records, and only where it is missing: PostgreSQL asks for the privilege
//! to make it also where it is there. A key that another transaction is about to record is waited for.
//! <https://www.postgresql.org/docs/current/sql-insert.html#SQL-ON-CONFLICT>

use std::time::Instant;

use tokio_postgres::Client;

use super::{Session, settings, sql_error};
use crate::effects::{CREATE, refused};
use crate::server::gone;
use crate::{Dialect, Error, Limits, Secret};

const THERE: &str = "SELECT pg_catalog.to_regclass('pawl_effects') IS NOT NULL";
const INSERT: &str = "INSERT INTO pawl_effects (key, outcome, at) VALUES ($1, $2, \
     pg_catalog.to_char(pg_catalog.now() AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"')) ON CONFLICT (key) DO NOTHING";
const OUTCOME: &str = "SELECT outcome FROM pawl_effects WHERE key = $1";

async fn there(client: &Client) -> Result<bool, tokio_postgres::Error> {
    client.query_one(THERE, &[]).await?.try_get(0)
}

/// Writes the row into the transaction that is open; false where the key has one.
pub(super) async fn record(client: &Client, key: &str, outcome: &str) -> Result<bool, tokio_postgres::Error> {
    if !there(client).await? {
        client.batch_execute(CREATE).await?;
    }
    Ok(client.execute(INSERT, &[&key, &outcome]).await? > 0)
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
    let begin = format!("BEGIN READ ONLY; {}", settings(limits, until));
    let recorded = session.run(until, async |client| {
        let asked = async {
            client.batch_execute(&begin).await?;
            if !there(client).await? {
                return Ok(None);
            }
            client.query_opt(OUTCOME, &[&key]).await?.map(|row| row.try_get(0)).transpose()
        };
        asked.await.map_err(|error| sql_error(&error, limits).unwrap_or_else(gone))
    });
    recorded.map_err(|error| refused(error, Dialect::Postgres))
}

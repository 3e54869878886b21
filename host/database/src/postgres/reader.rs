//! Reading from PostgreSQL.
//!
//! Invariant: each statement has a transaction of its own, which cannot be switched to writing (its first query was ours) and is
//! rolled back. After a call that was cut off the connection is left and a new one made.

use std::pin::pin;
use std::time::Instant;

use futures::StreamExt;
use tokio_postgres::{Client, SimpleQueryMessage};

use super::cell::{Parameter, Text, cell};
use super::surroundings::{is_superuser, surroundings};
use super::{Session, catalogue, settings, sql_error};
use crate::policy::{self, Surroundings};
use crate::server::{fits, gone};
use crate::value::Gathered;
use crate::{Cost, Dialect, Error, Limits, Rows, Secret, Table, Value};

/// Rows that are asked for at a time.
const BATCH: usize = 256;

pub(crate) struct Reader {
    name: String,
    secret: Secret,
    limits: Limits,
    session: Session,
    around: Surroundings,
    superuser: bool,
}

impl Reader {
    pub(crate) fn open(
        name: &str,
        secret: &Secret,
        limits: &Limits,
        deadline: Instant,
    ) -> Result<Reader, Error> {
        let mut session = Session::open(name, secret, limits, deadline)?;
        let until = deadline.min(Instant::now() + limits.connecting);
        let begin = format!(
            "SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY; BEGIN; {} ",
            settings(limits, until)
        );
        let known = session.run(until, async |client| {
            let known = async {
                client.batch_execute(&begin).await?;
                let known = (surroundings(client).await?, is_superuser(client).await?);
                client.batch_execute("ROLLBACK").await?;
                Ok::<_, tokio_postgres::Error>(known)
            };
            known.await.map_err(|error| sql_error(&error, limits).unwrap_or_else(gone))
        });
        let (around, superuser) = known?;
        let (name, secret, limits) = (name.to_owned(), secret.clone(), limits.clone());
        Ok(Reader { name, secret, limits, session, around, superuser })
    }

    /// Runs `call` in a transaction of its own.
    fn reading<T>(
        &mut self,
        deadline: Instant,
        call: impl AsyncFnOnce(&Client) -> Result<T, Failure>,
    ) -> Result<T, Error> {
        if self.session.broken {
            self.session = Session::open(&self.name, &self.secret, &self.limits, deadline)?;
        }
        let until = self.limits.until(deadline);
        // Rows that a policy hides from the lesser role are an error, not an answer without them.
        let role = "SET LOCAL row_security = off; SET LOCAL ROLE pg_read_all_data; ";
        let begin = format!(
            "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; {}{}SELECT 1 FROM pg_catalog.pg_class LIMIT 1",
            settings(&self.limits, until),
            if self.superuser { role } else { "" }
        );
        let ended = self.session.run(until, async |client| {
            let ended = match client.batch_execute(&begin).await {
                Ok(()) => call(client).await,
                Err(error) => Err(Failure::Client(error)),
            };
            // A lock of the session outlives the transaction. What a dead connection says here was said before.
            let _ = client.batch_execute("ROLLBACK; SELECT pg_catalog.pg_advisory_unlock_all()").await;
            Ok(ended)
        })?;
        ended.map_err(|failure| match failure {
            Failure::Client(error) => self.session.error(error),
            Failure::Ours(error) => error,
        })
    }

    pub(crate) fn query(
        &mut self,
        sql: &str,
        parameters: &[Value],
        max_rows: usize,
        deadline: Instant,
    ) -> Result<Rows, Error> {
        self.proven(sql)?;
        let limits = self.limits.clone();
        self.reading(deadline, async |client| {
            let declare = format!("DECLARE pawl_rows NO SCROLL CURSOR FOR {sql}");
            let statement = client.prepare(&declare).await?;
            fits(statement.params().len(), parameters.len())?;
            client.execute_raw(&statement, parameters.iter().map(Parameter)).await?;
            let columns = client.prepare("FETCH FORWARD 1 FROM pawl_rows").await?;
            let columns = columns.columns();
            let names = columns.iter().map(|column| column.name().to_owned()).collect();
            let mut gathered = Gathered::new(names, max_rows, &limits);
            // One more than is wanted tells whether there are more.
            let mut wanted = max_rows.min(limits.rows).saturating_add(1);
            loop {
                let batch = wanted.min(BATCH);
                let mut fetched = 0;
                let fetch = format!("FETCH FORWARD {batch} FROM pawl_rows");
                let mut messages = pin!(client.simple_query_raw(&fetch).await?);
                while let Some(message) = messages.next().await {
                    let SimpleQueryMessage::Row(row) = message? else { continue };
                    fetched += 1;
                    let cells = columns.iter().enumerate();
                    let cells = cells.map(|(index, column)| Ok(cell(row.try_get(index)?, column.type_())));
                    let cells = cells.collect::<Result<Vec<Value>, tokio_postgres::Error>>()?;
                    if !gathered.push(cells)? {
                        return Ok(gathered.finish());
                    }
                }
                wanted = wanted.saturating_sub(fetched);
                if fetched < batch || wanted == 0 {
                    return Ok(gathered.finish());
                }
            }
        })
    }

    pub(crate) fn cost(
        &mut self,
        sql: &str,
        parameters: &[Value],
        deadline: Instant,
    ) -> Result<Option<Cost>, Error> {
        self.proven(sql)?;
        self.reading(deadline, async |client| {
            let statement = client.prepare(&format!("EXPLAIN (FORMAT JSON) {sql}")).await?;
            fits(statement.params().len(), parameters.len())?;
            let rows = client.query_raw(&statement, parameters.iter().map(Parameter)).await?;
            let mut rows = pin!(rows);
            let Some(row) = rows.next().await else { return Ok(None) };
            let Text(plan) = row?.try_get(0)?;
            let plan: serde_json::Value = serde_json::from_str(&plan).unwrap_or_default();
            let Some(plan) = plan.get(0).and_then(|plan| plan.get("Plan")) else { return Ok(None) };
            let units = plan.get("Total Cost").and_then(serde_json::Value::as_f64);
            Ok(Some(Cost { rows: most_rows(plan), units }))
        })
    }

    pub(crate) fn tables(&mut self, deadline: Instant) -> Result<Vec<Table>, Error> {
        let most = self.limits.tables;
        self.reading(deadline, async |client| Ok(catalogue::tables(client, most).await?))
    }

    fn proven(&self, sql: &str) -> Result<(), Error> {
        self.limits.statement(sql)?;
        policy::read(sql, Dialect::Postgres, &self.around).map_err(policy::Refusal::reading)
    }
}

/// The most rows that a step of a plan is expected to give.
fn most_rows(plan: &serde_json::Value) -> f64 {
    let own = plan.get("Plan Rows").and_then(serde_json::Value::as_f64).unwrap_or(0.0);
    let steps = plan.get("Plans").and_then(serde_json::Value::as_array);
    steps.into_iter().flatten().map(most_rows).fold(own, f64::max)
}

enum Failure {
    Client(tokio_postgres::Error),
    Ours(Error),
}

impl From<tokio_postgres::Error> for Failure {
    fn from(error: tokio_postgres::Error) -> Failure {
        Failure::Client(error)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Failure {
        Failure::Ours(error)
    }
}

//! Reading from MySQL.
//!
//! Invariant: each statement has a transaction of its own, which the server holds read-only, as it does whatever follows it in
//! the session, and which is rolled back. After a call that was cut off the connection is left and a new one made.

use std::time::Instant;

use futures::TryStreamExt;
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Params, Row, Statement};

use super::surroundings::surroundings;
use super::{Failure, Session, catalogue, cell, parameters, plan, prepared};
use crate::policy::{self, Surroundings};
use crate::value::Gathered;
use crate::{Cost, Dialect, Error, Limits, Rows, Secret, Table, Value};

pub(crate) struct Reader {
    name: String,
    secret: Secret,
    session: Session,
    around: Surroundings,
}

/// What a call gave, and whether the server still has more of it to say.
struct Done<T> {
    given: T,
    rest: bool,
}

impl Reader {
    pub(crate) fn open(
        name: &str,
        secret: &Secret,
        limits: &Limits,
        deadline: Instant,
    ) -> Result<Reader, Error> {
        let mut session = reading_session(name, secret, limits, deadline)?;
        let until = deadline.min(Instant::now() + limits.connecting);
        let around = session.run(until, async |conn| Ok(surroundings(conn).await?))?;
        Ok(Reader { name: name.to_owned(), secret: secret.clone(), session, around })
    }

    /// Runs `call`, which takes at most `rows` rows of a result, in a transaction of its own.
    fn reading<T>(
        &mut self,
        deadline: Instant,
        rows: Option<usize>,
        call: impl AsyncFnOnce(&mut Conn) -> Result<Done<T>, Failure>,
    ) -> Result<T, Error> {
        if self.session.is_left() {
            self.session = reading_session(&self.name, &self.secret, &self.session.limits, deadline)?;
        }
        let until = self.session.limits.until(deadline);
        let settings = self.session.settings(until, rows);
        let done = self.session.run(until, async |conn| {
            conn.query_drop(&settings).await?;
            conn.query_drop("START TRANSACTION READ ONLY").await?;
            let done = call(conn).await;
            match &done {
                Ok(Done { rest: true, .. }) => return done,
                Err(Failure::Client(error)) if error.is_fatal() => return done,
                _ => {}
            }
            conn.query_drop("ROLLBACK").await?;
            // A lock of the session outlives the transaction; old servers have no such function, and none to take one with.
            match conn.query_drop("DO RELEASE_ALL_LOCKS()").await {
                Err(error) if error.is_fatal() => Err(error.into()),
                _ => done,
            }
        })?;
        if done.rest {
            self.session.leave();
        }
        Ok(done.given)
    }

    pub(crate) fn query(
        &mut self,
        sql: &str,
        values: &[Value],
        max_rows: usize,
        deadline: Instant,
    ) -> Result<Rows, Error> {
        self.proven(sql)?;
        let (limits, mariadb) = (self.session.limits.clone(), self.session.mariadb);
        // One more than is wanted tells whether there are more.
        let most = max_rows.min(limits.rows).saturating_add(1);
        self.reading(deadline, Some(most), async |conn| {
            let statement = prepared(conn, sql, values.len()).await?;
            if statement.num_columns() == 0 {
                conn.close(statement).await?;
                let said = "it gives no columns; give exactly one SELECT statement";
                return Err(Failure::Ours(Error::NotReadOnly(said.to_owned())));
            }
            let given = gather(conn, &statement, values, max_rows, &limits, mariadb).await;
            if !matches!(given, Ok(Done { rest: true, .. })) {
                closed(conn, statement, &given).await?;
            }
            given
        })?
    }

    pub(crate) fn cost(
        &mut self,
        sql: &str,
        values: &[Value],
        deadline: Instant,
    ) -> Result<Option<Cost>, Error> {
        self.proven(sql)?;
        self.reading(deadline, None, async |conn| {
            let statement = prepared(conn, &format!("EXPLAIN FORMAT=JSON {sql}"), values.len()).await?;
            let values = Params::Positional(parameters(values));
            let explained =
                conn.exec_first::<String, _, _>(&statement, values).await.map_err(Failure::Client);
            closed(conn, statement, &explained).await?;
            Ok(Done { given: explained?.and_then(|json| plan::cost(&json)), rest: false })
        })
    }

    pub(crate) fn tables(&mut self, deadline: Instant) -> Result<Vec<Table>, Error> {
        let most = self.session.limits.tables;
        self.reading(deadline, None, async |conn| {
            Ok(Done { given: catalogue::tables(conn, most).await?, rest: false })
        })
    }

    fn proven(&self, sql: &str) -> Result<(), Error> {
        self.session.limits.statement(sql)?;
        policy::read(sql, Dialect::Mysql, &self.around).map_err(policy::Refusal::reading)
    }
}

fn reading_session(
    name: &str,
    secret: &Secret,
    limits: &Limits,
    deadline: Instant,
) -> Result<Session, Error> {
    let mut session = Session::open(name, secret, limits, deadline)?;
    let until = deadline.min(Instant::now() + limits.connecting);
    session.run(until, async |conn| {
        let own = "SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY";
        Ok(conn.query_drop(own).await?)
    })?;
    Ok(session)
}

/// Has the server forget a statement, unless what became of it is the end of the connection.
async fn closed<T>(conn: &mut Conn, statement: Statement, ended: &Result<T, Failure>) -> Result<(), Failure> {
    match ended {
        Err(Failure::Client(error)) if error.is_fatal() => Ok(()),
        _ => Ok(conn.close(statement).await?),
    }
}

async fn gather(
    conn: &mut Conn,
    statement: &Statement,
    values: &[Value],
    max_rows: usize,
    limits: &Limits,
    mariadb: bool,
) -> Result<Done<Result<Rows, Error>>, Failure> {
    let mut result = conn.exec_iter(statement, Params::Positional(parameters(values))).await?;
    let Some(mut rows) = result.stream::<Row>().await? else {
        let none = Rows { columns: Vec::new(), rows: Vec::new(), truncated: false };
        return Ok(Done { given: Ok(none), rest: false });
    };
    let columns = rows.columns();
    let names = columns.iter().map(|column| column.name_str().into_owned()).collect();
    let mut gathered = Gathered::new(names, max_rows, limits);
    while let Some(row) = rows.try_next().await? {
        let cells = row.unwrap().into_iter().zip(columns.iter());
        let cells = cells.map(|(sent, column)| cell::cell(sent, column, mariadb)).collect();
        match gathered.push(cells) {
            Ok(true) => {}
            // The server was asked for this row and none after it, but a statement may have a limit of its own.
            Ok(false) => {
                let rest = rows.try_next().await?.is_some();
                return Ok(Done { given: Ok(gathered.finish()), rest });
            }
            Err(error) => return Ok(Done { given: Err(error), rest: true }),
        }
    }
    Ok(Done { given: Ok(gathered.finish()), rest: false })
}

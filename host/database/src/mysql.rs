//! MySQL and MariaDB.
//!
//! Invariant: what a caller says is sent only once [`crate::policy`] has proven it, and then through the protocol of prepared
//! statements alone, which takes one statement and its parameters apart from it. A [`Reader`] executes it in a transaction that
//! the server holds read-only, and only where the server itself says, having prepared it, that it gives columns: `INTO OUTFILE`,
//! `SET`, `DO`, `CALL` and the like give none. <https://dev.mysql.com/doc/refman/8.4/en/commit.html>,
//! <https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_com_stmt_prepare.html>
//!
//! What those two hold back without the policy is every write to a table, a file, a user or a sequence (716 hostile statements,
//! MariaDB 10.11); a function that reads a file or sets a global variable, in a view too, only the policy holds back.
//!
//! The client offers the server two things that cannot be switched off there: several statements in one text, which only our own
//! texts are sent as, and files of this machine, for which it has no handler, so that it gives up the connection instead.

mod address;
mod catalogue;
mod cell;
mod effects;
mod plan;
mod reader;
mod surroundings;
mod trial;
mod views;
mod writer;

use std::time::Instant;

use futures::FutureExt;
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, DriverError, Error as Client, IoError, Row, Statement, Value as Sent};
use mysql_common::named_params::ParsedNamedParams;
use mysql_common::proto::codec::error::PacketCodecError;

use crate::server::{CANCELLING, Driver, fits, gone, too_large};
use crate::{Error, Limits, Secret, Value};
use address::Address;

pub(crate) use effects::recorded;
pub(crate) use reader::Reader;
pub(crate) use writer::Writer;

/// Errors that we say in our own words. <https://mariadb.com/kb/en/mariadb-error-codes/>
mod code {
    pub(super) const TOO_LONG: [u16; 5] = [1028, 1205, 1317, 1969, 3024];
    pub(super) const READ_ONLY: u16 = 1792;
    pub(super) const TOO_MUCH: [u16; 9] = [1021, 1037, 1038, 1041, 1114, 1153, 1301, 1436, 3170];
    pub(super) const GONE: [u16; 6] = [1053, 1077, 1079, 1927, 4031, 3169];
}

/// How the server reads a text: a backslash in a string is an escape (and refused by us), `"` begins a string, and `||` joins
/// strings, which is how the parser reads them too.
const MODE: &str = "STRICT_ALL_TABLES,ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION,PIPES_AS_CONCAT";

/// A connection and the runtime that drives it while one of its calls runs.
struct Session {
    driver: Driver,
    /// None once a call was cut off: what the server says next belongs to nobody.
    conn: Option<Conn>,
    address: Address,
    limits: Limits,
    /// The variables that it has are other ones.
    mariadb: bool,
}

impl Session {
    fn open(name: &str, secret: &Secret, limits: &Limits, deadline: Instant) -> Result<Session, Error> {
        let address = Address::parse(secret, limits)?;
        let driver = Driver::new()?;
        let until = deadline.min(Instant::now() + limits.connecting);
        let (conn, mariadb) = driver.connect(name, limits, deadline, async {
            let mut conn = address.connect().await?;
            let set_up = set_up(&mut conn, limits, until).await;
            let mariadb = set_up.map_err(|error| address.refused(&error))?;
            Ok((conn, mariadb))
        })?;
        Ok(Session { driver, conn: Some(conn), address, limits: limits.clone(), mariadb })
    }

    /// Drives `call` until it ends or `until`, when the server is told to stop.
    fn run<T>(
        &mut self,
        until: Instant,
        call: impl AsyncFnOnce(&mut Conn) -> Result<T, Failure>,
    ) -> Result<T, Error> {
        let Some(conn) = &mut self.conn else { return Err(gone()) };
        match self.driver.run(until, call(conn)) {
            Some(Ok(given)) => Ok(given),
            Some(Err(Failure::Ours(error))) => Err(error),
            Some(Err(Failure::Client(error))) => {
                if error.is_fatal() {
                    self.leave();
                }
                Err(self.error(&error))
            }
            None => {
                self.leave();
                Err(self.limits.too_long())
            }
        }
    }

    fn is_left(&self) -> bool {
        self.conn.is_none()
    }

    /// Tells the server to end the connection and what it does, and lets go of it.
    fn leave(&mut self) {
        let Some(conn) = self.conn.take() else { return };
        if self.driver.run(Instant::now() + CANCELLING, self.address.kill(conn.id())).is_none() {
            tracing::warn!("a server did not take a cancellation; its own limit ends the statement");
        }
        // What the client would do now, read the rest, is spawned where nothing runs it.
        let _entered = self.driver.enter();
        drop(conn);
    }

    /// What went wrong, without the address.
    fn error(&self, error: &Client) -> Error {
        match sql_error(error, &self.limits) {
            Some(Error::Unavailable(said)) => Error::Unavailable(self.address.scrub(&said)),
            Some(error) => error,
            None => gone(),
        }
    }

    /// What a statement may take of the server, from now until `until`, and how many rows it may give.
    fn settings(&self, until: Instant, rows: Option<usize>) -> String {
        let left = until.saturating_duration_since(Instant::now()).as_millis().max(1);
        let time = match self.mariadb {
            true => format!("max_statement_time = {}.{:03}", left / 1000, left % 1000),
            false => format!("max_execution_time = {}", left.min(u128::from(u32::MAX))),
        };
        let rows = rows.map_or_else(|| "DEFAULT".to_owned(), |rows| rows.to_string());
        format!("SET SESSION {time}, SESSION sql_select_limit = {rows}")
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let Some(conn) = self.conn.take() else { return };
        let _entered = self.driver.enter();
        // A goodbye that takes no waiting; without it the server sees that the connection ends.
        let _ = conn.disconnect().now_or_never();
    }
}

/// What the session is like, whatever the server's own settings are; says whether it is MariaDB.
async fn set_up(conn: &mut Conn, limits: &Limits, until: Instant) -> Result<bool, Client> {
    let left = until.saturating_duration_since(Instant::now()).min(limits.time).as_secs().max(1);
    conn.query_drop("SET NAMES utf8mb4").await?;
    // A result that group_concat cut off would be wrong and not say so.
    let settings = format!(
        "SET SESSION sql_mode = '{MODE}', SESSION autocommit = 1, SESSION completion_type = 0, \
         SESSION sql_auto_is_null = 0, SESSION group_concat_max_len = 1048576, SESSION lock_wait_timeout = {left}, \
         SESSION innodb_lock_wait_timeout = {left}, SESSION sql_safe_updates = 0, SESSION sql_big_selects = 1"
    );
    conn.query_drop(settings).await?;
    let version: Option<String> = conn.query_first("SELECT VERSION()").await?;
    Ok(version.is_some_and(|version| version.to_lowercase().contains("mariadb")))
}

/// A statement as the server understood it, which is the one that was proven, with as many parameters as are given.
async fn prepared(conn: &mut Conn, sql: &str, given: usize) -> Result<Statement, Failure> {
    // The client looks for `:name` with a reading of its own, and would send another text.
    let same = ParsedNamedParams::parse(sql.as_bytes());
    if !same.is_ok_and(|parsed| parsed.params().is_empty()) {
        let said = "a `:name` in a string or name cannot be sent; give the value as a parameter";
        return Err(Failure::Ours(Error::Sql(said.to_owned())));
    }
    let statement = conn.prep(sql).await?;
    if let Err(error) = fits(statement.num_params().into(), given) {
        conn.close(statement).await?;
        return Err(Failure::Ours(error));
    }
    Ok(statement)
}

fn parameters(values: &[Value]) -> Vec<Sent> {
    values.iter().map(cell::parameter).collect()
}

/// The cells of a row of our own query as text; nothing where there is NULL.
fn texts<const N: usize>(row: Row) -> [Option<String>; N] {
    let mut cells = row.unwrap().into_iter().map(cell::text);
    std::array::from_fn(|_| cells.next().flatten())
}

/// What the server says of a statement; `None` where it is not the server that speaks.
fn sql_error(error: &Client, limits: &Limits) -> Option<Error> {
    let said = match error {
        Client::Server(said) => said,
        Client::Driver(DriverError::StmtParamsMismatch { .. } | DriverError::FromValue { .. }) => {
            return Some(Error::Sql("a parameter does not fit".to_owned()));
        }
        Client::Io(IoError::Io(error)) => {
            let cause = error.get_ref().and_then(|cause| cause.downcast_ref());
            return matches!(cause, Some(PacketCodecError::PacketTooLarge)).then(|| too_large(limits));
        }
        _ => return None,
    };
    let message = said.message.clone();
    Some(match said.code {
        number if code::TOO_LONG.contains(&number) => limits.too_long(),
        number if code::TOO_MUCH.contains(&number) => Error::Limit(message),
        number if code::GONE.contains(&number) => Error::Unavailable(message),
        code::READ_ONLY => Error::NotReadOnly(format!("{message}; give exactly one SELECT statement")),
        _ => Error::Sql(message),
    })
}

enum Failure {
    Client(Client),
    Ours(Error),
}

impl From<Client> for Failure {
    fn from(error: Client) -> Failure {
        Failure::Client(error)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Failure {
        Failure::Ours(error)
    }
}

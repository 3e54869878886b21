//! The `sql` plugin: a model's way to a database that it can only read.
//!
//! `ask` answers a question: the model writes the statement under a grammar of what bears on it ([`ask`]). `query` runs one SELECT that
//! somebody wrote ([`statement`], [`repair`], [`fanout`]), gives its rows in a compact shape ([`table`]) or an error that says how to
//! mend the statement ([`mend`]). `contents` and `schema` say what there is ([`schema`]). What the model can write into `change` is
//! narrowed to the tables and columns that there are ([`grammar`]). The types of the interface are in `wit/sql.wit`.
//!
//! Invariant: whatever the statement, this plugin adds no power to the host's `database` interface, which enforces
//! reading for real; the check here only gives a better message. The logic is plain Rust over [`Database`] and is
//! tested natively; the component is a thin layer at the end of this file.

pub mod apart;
pub mod ask;
pub mod conditions;
pub mod definition;
pub mod dialect;
pub mod fanout;
pub mod grammar;
pub mod graph;
pub mod mend;
pub mod rejoin;
pub mod relate;
pub mod repair;
pub mod schema;
pub mod statement;
pub mod table;
#[cfg(test)]
mod testing;

/// Generated from `wit/`; see there.
pub mod bindings {
    #![expect(missing_docs, reason = "generated; documented in the WIT files")]
    #![allow(unsafe_code, unreachable_pub, clippy::all, reason = "generated")]
    wit_bindgen::generate!({ world: "pawl:sql/plugin", path: ["../../wit", "../../wit/plugin", "wit"], generate_all });
}

pub use bindings::exports::pawl::sql::sql::{Answer, Changed, Error, Kind, Table};
pub use bindings::pawl::host::database::{Error as HostError, Rows, SqlDialect, TableInfo, Value};

/// The host's `database` interface for one database.
pub trait Database {
    /// Which SQL it takes.
    fn dialect(&self) -> SqlDialect;
    /// The tables and views.
    fn tables(&self) -> Result<Vec<TableInfo>, HostError>;
    /// Runs one SELECT and gives at most `max_rows` rows.
    fn query(&self, sql: &str, max_rows: u32) -> Result<Rows, HostError>;
}

/// The most rows that a query gives.
pub const MAX_ROWS: u32 = 50;

/// Runs `sql` and shapes what comes back.
///
/// # Errors
/// Each says what to change; see `error` in `wit/sql.wit`.
pub fn run(database: &impl Database, sql: &str) -> Result<Table, Error> {
    let given = statement::check(sql)?;
    // Listing the tables counts their rows, so it is done only where a sum could count twice, and after a failure.
    let lean = if fanout::concerns(given) { lean(database, given)? } else { None };
    let statement = lean.as_deref().unwrap_or(given);
    let error = match database.query(statement, MAX_ROWS) {
        Ok(rows) => return Ok(Table { ran: lean, ..table::shape(rows) }),
        Err(error) => error,
    };
    if lean.is_none()
        && let HostError::Sql(_) = error
        && let Some(connected) = connected(database, given)
        && let Ok(rows) = database.query(&connected, MAX_ROWS)
    {
        return Ok(Table { ran: Some(connected), ..table::shape(rows) });
    }
    Err(mend::explain(database, statement, error))
}

/// The statement joined and without what would count twice; none where it may run as it is.
fn lean(database: &impl Database, given: &str) -> Result<Option<String>, Error> {
    // Where the tables cannot be listed, the query says why.
    let Ok(tables) = schema::definitions(database) else { return Ok(None) };
    let graph = graph::Graph::new(&tables);
    let connected = repair::connect(&graph, given);
    let statement = connected.as_deref().unwrap_or(given);
    if let Err(refusal) = fanout::check(&tables, statement) {
        let lean = repair::lean(&graph, statement);
        return lean.filter(|lean| fanout::check(&tables, lean).is_ok()).map(Some).ok_or(refusal);
    }
    Ok(connected)
}

/// The statement with the join that it lacks.
fn connected(database: &impl Database, given: &str) -> Option<String> {
    let tables = schema::definitions(database).ok()?;
    repair::connect(&graph::Graph::new(&tables), given)
}

/// Describes the database for a prompt.
///
/// # Errors
/// Where it cannot be read.
pub fn describe(database: &impl Database) -> Result<String, Error> {
    schema::describe(database).map_err(|error| mend::explain(database, "", error))
}

/// Says in a line for each table what it holds.
///
/// # Errors
/// Where it cannot be read.
pub fn contents(database: &impl Database) -> Result<String, Error> {
    schema::contents(database).map_err(|error| mend::explain(database, "", error))
}

#[cfg(target_family = "wasm")]
mod component {
    use super::ask::Model;
    use super::bindings::exports::pawl::plugin::refine::{Refinement, Rule};
    use super::bindings::pawl::host::llm;
    use super::dialect::Translated;
    use super::{
        Answer, Changed, Database, Error, HostError, Rows, SqlDialect, Table, TableInfo, bindings, mend,
    };

    /// The database that plugin.toml requests.
    const DATABASE: &str = "main";

    struct Granted;

    impl Database for Granted {
        fn dialect(&self) -> SqlDialect {
            // What cannot be asked for its dialect fails in the next call, and says why.
            bindings::pawl::host::database::dialect(DATABASE).unwrap_or(SqlDialect::Sqlite)
        }

        fn tables(&self) -> Result<Vec<TableInfo>, HostError> {
            bindings::pawl::host::database::tables(DATABASE)
        }

        fn query(&self, sql: &str, max_rows: u32) -> Result<Rows, HostError> {
            bindings::pawl::host::database::query(DATABASE, sql, max_rows)
        }
    }

    struct Host;

    impl Model for Host {
        fn write(
            &self,
            messages: &[llm::Message],
            lark: &str,
            max_tokens: u32,
        ) -> Result<String, llm::Error> {
            llm::complete_under(messages, lark, Some(max_tokens))
        }
    }

    /// The day by the host's clock, in UTC; of a question that came through a chat the host says the user's own.
    fn today() -> jiff::civil::Date {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        let days =
            since.ok().and_then(|since| i32::try_from(since.as_secs() / 86_400).ok()).unwrap_or_default();
        let first = jiff::civil::Date::constant(1970, 1, 1);
        first.checked_add(jiff::ToSpan::days(days)).unwrap_or(first)
    }

    struct Component;

    impl bindings::exports::pawl::sql::sql::Guest for Component {
        fn schema() -> Result<String, Error> {
            super::describe(&Translated::new(&Granted))
        }

        fn contents() -> Result<String, Error> {
            super::contents(&Translated::new(&Granted))
        }

        fn ask(question: String) -> Result<Answer, Error> {
            let database = Translated::new(&Granted);
            let answer = super::ask::ask(&database, &Host, &question, today())?;
            Ok(Answer { sql: database.translate(&answer.sql), ..answer })
        }

        fn query(sql: String) -> Result<Table, Error> {
            super::run(&Granted, &sql)
        }

        fn change(sql: String) -> Result<Changed, Error> {
            let rows = bindings::pawl::host::database::execute(DATABASE, &sql, &[]);
            let rows = rows.map_err(|error| mend::explain(&Granted, &sql, error))?;
            Ok(Changed { rows })
        }
    }

    impl bindings::exports::pawl::plugin::refine::Guest for Component {
        fn refine() -> Result<Vec<Refinement>, String> {
            let refinement = |function: &str, path: &str, rule| Refinement {
                function: function.to_owned(),
                path: path.to_owned(),
                rule,
                shown: false,
            };
            let failed = |error| format!("{error:?}");
            let mut refinements = vec![refinement("ask", "/question", Rule::Request)];
            if let Some(select) = super::grammar::select(&Granted).map_err(failed)? {
                refinements.push(refinement("query", "/sql", Rule::Lark(select)));
            }
            // Where writing is not granted, there is nothing that could be said.
            let writable = bindings::pawl::host::database::writable(DATABASE).map_err(failed)?;
            let change = if writable { super::grammar::change(&Granted).map_err(failed)? } else { None };
            refinements.push(refinement(
                "change",
                "/sql",
                change.map_or(Rule::Choices(Vec::new()), Rule::Lark),
            ));
            Ok(refinements)
        }
    }

    #[allow(unsafe_code, reason = "the exported symbols of the component are generated")]
    mod export {
        use super::{Component, bindings};
        bindings::export!(Component with_types_in bindings);
    }
}

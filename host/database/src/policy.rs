//! What a statement for a server may say, proven before it is sent.
//!
//! Invariant: this is a closed world. A statement passes where it can be read in one way only ([`lexical`]), is exactly one
//! statement, and every part of it is a kind that is named here; what the parser does not know, and what it knows and this
//! module does not name, is refused. The server's transaction mode is the second layer and not this module's concern.

mod functions;
mod lexical;
mod visit;
mod write;

use std::collections::HashSet;
use std::ops::ControlFlow;

use sqlparser::ast::{Ident, ObjectName, ObjectNamePart, Statement, Visit};
use sqlparser::dialect::{MySqlDialect, PostgreSqlDialect};
use sqlparser::parser::Parser;

use crate::{Dialect, Error};
#[cfg(feature = "mysql")]
pub(crate) use functions::{known, taken_for};
pub(crate) use write::Written;

/// What the database holds that changes how a statement is understood.
#[derive(Debug, Default, Clone)]
pub(crate) struct Surroundings {
    /// Functions that somebody made and that could be taken for one of the allow-list.
    pub(crate) functions: HashSet<String>,
    /// Those of them that a column name can call (`table.name`).
    pub(crate) methods: HashSet<String>,
    /// Operators that somebody made.
    pub(crate) operators: Vec<String>,
    /// Views that call such functions or operators, also through other views; in small letters for MySQL, whose names are
    /// told apart by them or not, as the server is set.
    pub(crate) views: HashSet<String>,
    /// Enumerated types, which a cast may name.
    pub(crate) enums: HashSet<String>,
    /// The one database whose tables may be qualified with its name; `None` allows every schema that is not the system's.
    pub(crate) schema: Option<String>,
}

/// Why a statement is not sent.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// It says something that is not allowed.
    Says(String),
    /// It is not understood.
    Syntax(String),
}

impl Refusal {
    pub(crate) fn reading(self) -> Error {
        match self {
            Refusal::Says(what) => {
                Error::NotReadOnly(format!("{what} is not allowed; give exactly one SELECT statement"))
            }
            Refusal::Syntax(said) => Error::Sql(said),
        }
    }

    pub(crate) fn writing(self) -> Error {
        match self {
            Refusal::Says(what) => Error::NotAllowed(format!(
                "{what} is not allowed; give exactly one INSERT, UPDATE, DELETE, or CREATE, ALTER or DROP of a TABLE, \
                 INDEX or VIEW"
            )),
            Refusal::Syntax(said) => Error::Sql(said),
        }
    }
}

/// The stack for a statement's tree, which is as deep as a statement of 64 KiB can make it. Untouched pages cost nothing.
const STACK: usize = 256 << 20;
/// How deep the parser goes before it gives up.
const DEPTH: usize = 100;

/// Proves that `sql` only reads.
pub(crate) fn read(sql: &str, dialect: Dialect, around: &Surroundings) -> Result<(), Refusal> {
    judged(sql, dialect, around, |statement, visitor| {
        let Statement::Query(_) = statement else {
            return Err(Refusal::Says(format!("{} statement", first_word(statement))));
        };
        visitor.all(statement)
    })
}

/// Proves that `sql` writes what may be written, and says what.
pub(crate) fn write(sql: &str, dialect: Dialect, around: &Surroundings) -> Result<Written, Refusal> {
    judged(sql, dialect, around, write::judge)
}

/// Parses on a stack of its own, so that no statement overflows the caller's.
fn judged<T: Send>(
    sql: &str,
    dialect: Dialect,
    around: &Surroundings,
    judge: impl FnOnce(&Statement, &mut visit::Visitor<'_>) -> Result<T, Refusal> + Send,
) -> Result<T, Refusal> {
    let judged = || {
        let code = lexical::code(sql, dialect).map_err(Refusal::Says)?;
        operators(&code, around)?;
        let statements = match dialect {
            Dialect::Mysql => parse(&MySqlDialect {}, sql),
            _ => parse(&PostgreSqlDialect {}, sql),
        }?;
        let [statement] = statements.as_slice() else {
            let count = statements.len();
            return Err(Refusal::Says(format!("a text of {count} statements")));
        };
        judge(statement, &mut visit::Visitor { dialect, around })
    };
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().stack_size(STACK).spawn_scoped(scope, judged);
        let judged = thread.ok().and_then(|thread| thread.join().ok());
        judged.unwrap_or_else(|| Err(Refusal::Syntax("the statement cannot be parsed".to_owned())))
    })
}

fn parse(dialect: &dyn sqlparser::dialect::Dialect, sql: &str) -> Result<Vec<Statement>, Refusal> {
    let parser = Parser::new(dialect).with_recursion_limit(DEPTH);
    let parsed = parser.try_with_sql(sql).and_then(|mut parser| parser.parse_statements());
    parsed.map_err(|error| Refusal::Syntax(error.to_string().replace("sql parser error: ", "")))
}

/// An operator that somebody made may be what the server takes for one of its own.
fn operators(code: &str, around: &Surroundings) -> Result<(), Refusal> {
    // IN, BETWEEN, LIKE, CASE, USING, GROUP BY and ORDER BY find these without writing them.
    let unwritten = ["=", "<>", "<", "<=", ">", ">=", "~~", "!~~", "~~*", "!~~*", "~"];
    let taken = |name: &&String| unwritten.contains(&name.as_str()) || code.contains(name.as_str());
    match around.operators.iter().find(taken) {
        Some(name) => Err(Refusal::Says(format!("operator {name}, which this database defines itself,"))),
        None => Ok(()),
    }
}

fn first_word(statement: &Statement) -> String {
    statement.to_string().split_whitespace().next().unwrap_or_default().to_owned()
}

/// The name that the server understands: as written in quotes, else in lower case; in MySQL as written.
fn folded(ident: &Ident, dialect: Dialect) -> String {
    match ident.quote_style {
        None if dialect != Dialect::Mysql => ident.value.to_ascii_lowercase(),
        _ => ident.value.clone(),
    }
}

/// The parts of a plain name.
fn parts(name: &ObjectName, dialect: Dialect) -> Option<Vec<String>> {
    let part = |part: &ObjectNamePart| match part {
        ObjectNamePart::Identifier(ident) => Some(folded(ident, dialect)),
        ObjectNamePart::Function(_) => None,
    };
    name.0.iter().map(part).collect()
}

fn visited(part: &impl Visit, visitor: &mut visit::Visitor<'_>) -> Result<(), Refusal> {
    match part.visit(visitor) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(refusal) => Err(refusal),
    }
}

#[cfg(all(test, feature = "mysql"))]
mod tests;

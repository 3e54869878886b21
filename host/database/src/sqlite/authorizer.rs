//! Which actions SQLite may prepare.
//!
//! Invariant: what is not named here is denied. Reading allows SELECT, columns, recursion and pure functions. Writing allows
//! rows of ordinary tables besides, and for DDL exactly the actions that SQLite itself derives from the one statement whose
//! first words were read: the schema table is never open to a statement that names it.
//! <https://sqlite.org/c3ref/c_alter_table.html>

use rusqlite::hooks::{AuthAction, AuthContext, Authorization};

use super::functions::FUNCTIONS;
use crate::Error;
use crate::effects::{TABLE, is_reserved};

/// What a statement does, by its first words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// INSERT, REPLACE, UPDATE, DELETE, or WITH before one of them.
    Rows,
    CreateTable,
    CreateIndex,
    CreateView,
    AlterTable,
    DropTable,
    DropIndex,
    DropView,
}

impl Kind {
    /// Reads the first words, past spaces and comments.
    pub(super) fn of(sql: &str) -> Option<Kind> {
        let mut words = Words(sql).map(str::to_ascii_uppercase);
        let (first, second, third) = (words.next()?, words.next(), words.next());
        let (second, third) = (second.as_deref(), third.as_deref());
        match (first.as_str(), second) {
            ("INSERT" | "REPLACE" | "UPDATE" | "DELETE" | "WITH", _) => Some(Kind::Rows),
            ("CREATE", Some("TABLE")) => Some(Kind::CreateTable),
            ("CREATE", Some("INDEX")) => Some(Kind::CreateIndex),
            ("CREATE", Some("UNIQUE")) if third == Some("INDEX") => Some(Kind::CreateIndex),
            ("CREATE", Some("VIEW")) => Some(Kind::CreateView),
            ("ALTER", Some("TABLE")) => Some(Kind::AlterTable),
            ("DROP", Some("TABLE")) => Some(Kind::DropTable),
            ("DROP", Some("INDEX")) => Some(Kind::DropIndex),
            ("DROP", Some("VIEW")) => Some(Kind::DropView),
            _ => None,
        }
    }
}

/// The words of a statement up to whatever is neither a word, a space nor a comment.
struct Words<'a>(&'a str);

impl<'a> Iterator for Words<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        loop {
            // SQLite's spaces, not Unicode's.
            self.0 = self.0.trim_start_matches([' ', '\t', '\n', '\x0c', '\r']);
            if let Some(rest) = self.0.strip_prefix("--") {
                self.0 = rest.split_once('\n').map_or("", |(_, rest)| rest);
            } else if let Some(rest) = self.0.strip_prefix("/*") {
                self.0 = rest.split_once("*/").map_or("", |(_, rest)| rest);
            } else {
                break;
            }
        }
        let end = self.0.find(|other: char| !other.is_ascii_alphabetic()).unwrap_or(self.0.len());
        let (word, rest) = self.0.split_at_checked(end)?;
        self.0 = rest;
        (!word.is_empty()).then_some(word)
    }
}

/// What the running statement may do, and the first action that was refused since that was last taken.
#[derive(Default)]
pub(super) struct Allowed {
    /// `None` reads.
    pub(super) kind: Option<Kind>,
    pub(super) writes: bool,
    pub(super) refused: Option<String>,
    /// The statement is our own.
    pub(super) ours: bool,
}

impl Allowed {
    pub(super) fn authorize(&mut self, context: &AuthContext<'_>) -> Authorization {
        if self.ours {
            return Authorization::Allow;
        }
        let denied = match context.action {
            action if table(&action).is_some_and(is_reserved) => format!("table {TABLE} (the host's own)"),
            AuthAction::Select | AuthAction::Read { .. } | AuthAction::Recursive => {
                return Authorization::Allow;
            }
            AuthAction::Function { function_name } if self.function(function_name) => {
                return Authorization::Allow;
            }
            action if self.kind.is_some_and(|kind| writes(kind, &action, context.database_name)) => {
                return Authorization::Allow;
            }
            AuthAction::Function { function_name } => format!("function {function_name}"),
            AuthAction::Insert { table_name } => format!("INSERT into {table_name}"),
            AuthAction::Update { table_name, .. } => format!("UPDATE of {table_name}"),
            AuthAction::Delete { table_name } => format!("DELETE from {table_name}"),
            AuthAction::Attach { .. } => "ATTACH".to_owned(),
            AuthAction::Pragma { pragma_name, .. } => format!("PRAGMA {pragma_name}"),
            AuthAction::Transaction { .. } | AuthAction::Savepoint { .. } => "a transaction".to_owned(),
            other => format!("{other:?}").split([' ', '{']).next().unwrap_or_default().to_owned(),
        };
        self.refused.get_or_insert(denied);
        Authorization::Deny
    }

    /// Why a statement that changes the schema is refused for its text: SQLite does not say which name a rename gives. A name has
    /// no other spelling than capital letters for small ones.
    pub(super) fn names_ours(&self, sql: &str) -> Option<Error> {
        let renames = self.kind.is_some_and(|kind| kind != Kind::Rows);
        (renames && sql.to_ascii_lowercase().contains(TABLE))
            .then(|| self.refusal(&format!("table {TABLE} (the host's own) is not allowed")))
    }

    fn function(&self, name: &str) -> bool {
        // SQLite's own, which it calls while it rewrites the schema; a statement that names one finds no such function.
        let renames = ["sqlite_rename_column", "sqlite_rename_table", "sqlite_rename_test"];
        let alters = ["sqlite_drop_column", "sqlite_rename_quotefix"];
        FUNCTIONS.iter().any(|known| known.eq_ignore_ascii_case(name))
            || (self.kind == Some(Kind::AlterTable)
                && renames.iter().chain(&alters).any(|known| known.eq_ignore_ascii_case(name)))
    }

    /// The error for a statement that does what this connection is not for.
    pub(super) fn refusal(&self, why: &str) -> Error {
        if self.writes {
            Error::NotAllowed(format!(
                "{why}; give exactly one INSERT, UPDATE, DELETE, or CREATE, ALTER or DROP of a TABLE, INDEX or VIEW"
            ))
        } else {
            Error::NotReadOnly(format!("{why}; give exactly one SELECT statement"))
        }
    }
}

/// The table or view that an action is about.
fn table<'a>(action: &AuthAction<'a>) -> Option<&'a str> {
    match *action {
        AuthAction::Read { table_name, .. }
        | AuthAction::Insert { table_name }
        | AuthAction::Update { table_name, .. }
        | AuthAction::Delete { table_name }
        | AuthAction::CreateTable { table_name }
        | AuthAction::AlterTable { table_name, .. }
        | AuthAction::DropTable { table_name }
        | AuthAction::CreateIndex { table_name, .. } => Some(table_name),
        AuthAction::CreateView { view_name } | AuthAction::DropView { view_name } => Some(view_name),
        _ => None,
    }
}

/// Whether a statement of `kind` may lead to `action`.
fn writes(kind: Kind, action: &AuthAction<'_>, database: Option<&str>) -> bool {
    let schema = |table: &str| {
        let tables = ["sqlite_master", "sqlite_schema", "sqlite_temp_master", "sqlite_temp_schema"];
        tables.iter().any(|known| known.eq_ignore_ascii_case(table))
    };
    let ordinary = |table: &str| !table.get(..7).is_some_and(|start| start.eq_ignore_ascii_case("sqlite_"));
    // What DROP and ALTER keep in order besides the schema.
    let kept = |table: &str| ["sqlite_sequence", "sqlite_stat1", "sqlite_stat4"].contains(&table);
    // `CREATE TABLE temp.t` is a temporary table too.
    let temporary = database.is_some_and(|name| name.eq_ignore_ascii_case("temp"));
    match (kind, *action) {
        (
            _,
            AuthAction::CreateTable { .. } | AuthAction::CreateIndex { .. } | AuthAction::CreateView { .. },
        ) if temporary => false,
        (
            Kind::Rows,
            AuthAction::Insert { table_name: table }
            | AuthAction::Update { table_name: table, .. }
            | AuthAction::Delete { table_name: table },
        ) => ordinary(table),
        (Kind::Rows, _) => false,
        (_, AuthAction::Insert { table_name: table }) => {
            schema(table) || kept(table) || (kind == Kind::CreateTable && ordinary(table))
        }
        (_, AuthAction::Update { table_name: table, .. }) => schema(table) || kept(table),
        (_, AuthAction::Delete { table_name: table }) => {
            schema(table)
                || kept(table)
                || (matches!(kind, Kind::DropTable | Kind::DropView) && ordinary(table))
        }
        // AUTOINCREMENT makes sqlite_sequence.
        (Kind::CreateTable, AuthAction::CreateTable { table_name }) => {
            ordinary(table_name) || kept(table_name)
        }
        // The index of a PRIMARY KEY or UNIQUE.
        (
            Kind::CreateTable | Kind::CreateIndex,
            AuthAction::CreateIndex { .. } | AuthAction::Reindex { .. },
        ) => true,
        (Kind::CreateView, AuthAction::CreateView { .. }) => true,
        (Kind::AlterTable, AuthAction::AlterTable { .. } | AuthAction::Reindex { .. }) => true,
        // ADD COLUMN with a CHECK tries the rows.
        (Kind::AlterTable, AuthAction::Pragma { pragma_name: "quick_check", .. }) => true,
        // The table's own triggers and indices go with it.
        (
            Kind::DropTable,
            AuthAction::DropTable { .. } | AuthAction::DropTrigger { .. } | AuthAction::DropIndex { .. },
        ) => true,
        (Kind::DropIndex, AuthAction::DropIndex { .. }) => true,
        (Kind::DropView, AuthAction::DropView { .. } | AuthAction::DropTrigger { .. }) => true,
        _ => false,
    }
}

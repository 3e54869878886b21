//! What steps of workflows did: a row per key, in a table of the database that they wrote to.
//!
//! Invariant: a key's row is written in the transaction of its writes, so it is there exactly where they are, and a second
//! transaction of the same key, also one that runs at the same time, cannot be kept: the key is the primary key. No statement of
//! a plugin names the table, and it is in no list of tables.

use crate::{Dialect, Error, Limits};

/// The table.
pub(crate) const TABLE: &str = "pawl_effects";
/// Bytes of a key.
const MAX_KEY: usize = 200;

pub(crate) const CREATE: &str = "CREATE TABLE IF NOT EXISTS pawl_effects \
     (key text NOT NULL PRIMARY KEY, outcome text NOT NULL, at text NOT NULL)";
/// With an engine that rolls back whatever the server's own choice is, and keys that are told apart byte by byte.
pub(crate) const CREATE_MYSQL: &str = "CREATE TABLE IF NOT EXISTS pawl_effects \
     (`key` varchar(200) CHARACTER SET ascii COLLATE ascii_bin NOT NULL PRIMARY KEY, \
     outcome longtext CHARACTER SET utf8mb4 NOT NULL, `at` varchar(32) CHARACTER SET ascii NOT NULL) ENGINE = InnoDB";

/// Whether a statement of a plugin may not use this name, however it is written.
pub(crate) fn is_reserved(name: &str) -> bool {
    name.to_lowercase() == TABLE
}

/// Whether a key can be kept everywhere: in each database, as a header of HTTP, and without being taken for another.
///
/// # Errors
/// [`Error::NotRecordable`], which says what a key looks like.
pub fn check_key(key: &str) -> Result<(), Error> {
    let plain = key.bytes().all(|byte| byte.is_ascii_graphic());
    if plain && (1..=MAX_KEY).contains(&key.len()) {
        return Ok(());
    }
    let shown: String = key.escape_debug().take(60).collect();
    Err(Error::NotRecordable(format!(
        "`{shown}` is no key; a key has 1 to {MAX_KEY} letters, digits and signs of ASCII, without spaces"
    )))
}

/// Refuses what could be written and not be read again.
pub(crate) fn check(key: &str, outcome: &str, limits: &Limits) -> Result<(), Error> {
    check_key(key)?;
    if outcome.len() > limits.bytes {
        return Err(Error::Limit(format!(
            "the outcome of `{key}` has {} bytes; {} at most can be recorded",
            outcome.len(),
            limits.bytes
        )));
    }
    Ok(())
}

/// What the database has against the table, with the mend.
pub(crate) fn refused(error: Error, dialect: Dialect) -> Error {
    let create = match dialect {
        Dialect::Mysql => CREATE_MYSQL,
        Dialect::Sqlite | Dialect::Postgres => CREATE,
    };
    let grant = match dialect {
        Dialect::Sqlite => "",
        Dialect::Postgres | Dialect::Mysql => "; GRANT SELECT, INSERT ON pawl_effects TO …",
    };
    match error {
        Error::Sql(said) => Error::NotRecordable(format!(
            "the step's key cannot be recorded in the database: {said}. An administrator can run once: {create}{grant}"
        )),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_one_word_of_ascii() {
        for key in ["r12/4.2.1", "k", &"k".repeat(MAX_KEY)] {
            assert_eq!(check_key(key), Ok(()), "{key}");
        }
        for key in ["", "two words", "line\nend", "é", &"k".repeat(MAX_KEY + 1)] {
            assert!(matches!(check_key(key), Err(Error::NotRecordable(_))), "{key}");
        }
    }

    #[test]
    fn the_tables_name_is_reserved_in_capital_letters_too() {
        assert!(is_reserved("pawl_effects") && is_reserved("PAWL_Effects") && !is_reserved("effects"));
    }
}

//! A granted database: a SQLite file or a server, to read or to write as well.
//!
//! Invariant: an address may hold a password; it is in no message and no `Debug` output. A write is possible only where the
//! manifest asks for it, this grant allows it, and a person approved exactly that write (see `capability::database`).

use std::fmt;
use std::path::PathBuf;

use pawl_database::{Location, Secret};
use serde::Deserialize;

use super::Setting;

/// What stands for a logical database name.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Raw")]
pub struct DatabaseGrant {
    /// Where it is.
    pub place: Place,
    /// Whether writes may be proposed; each waits for a person's approval.
    pub write: bool,
}

/// Where a database is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// A SQLite file.
    File(PathBuf),
    /// A server's address, as `postgres://user:password@host/database` or `mysql://…`.
    Server(Setting),
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Raw {
    File(PathBuf),
    Table(Table),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    file: Option<PathBuf>,
    url: Option<Setting>,
    #[serde(default)]
    write: bool,
}

impl TryFrom<Raw> for DatabaseGrant {
    type Error = &'static str;

    fn try_from(raw: Raw) -> Result<DatabaseGrant, &'static str> {
        let (place, write) = match raw {
            Raw::File(file) if file.to_string_lossy().contains("://") => {
                return Err("an address is granted as { url = \"…\" } or { url = { env = \"…\" } }");
            }
            Raw::File(file) => (Place::File(file), false),
            Raw::Table(Table { file: Some(file), url: None, write }) => (Place::File(file), write),
            Raw::Table(Table { file: None, url: Some(url), write }) => (Place::Server(url), write),
            Raw::Table(_) => return Err("a database has either a `file` or a `url`"),
        };
        Ok(DatabaseGrant { place, write })
    }
}

impl DatabaseGrant {
    /// A SQLite file, to read.
    pub fn file(file: impl Into<PathBuf>) -> DatabaseGrant {
        DatabaseGrant { place: Place::File(file.into()), write: false }
    }

    /// The SQLite file, where it is one.
    pub fn file_mut(&mut self) -> Option<&mut PathBuf> {
        match &mut self.place {
            Place::File(file) => Some(file),
            Place::Server(_) => None,
        }
    }
}

/// A database that a plugin has.
#[derive(Clone, PartialEq)]
pub(crate) struct Granted {
    pub(crate) location: Location,
    pub(crate) write: bool,
}

impl Granted {
    /// Reads the address, where it comes from elsewhere.
    pub(crate) fn new(name: &str, grant: &DatabaseGrant, write: bool) -> Result<Granted, String> {
        let location = match &grant.place {
            Place::File(file) => Location::Sqlite(file.clone()),
            Place::Server(url) => {
                let url = url.read(&format!("database.{name}.url"))?;
                match url.split_once("://").map(|(scheme, _)| scheme) {
                    Some("postgres" | "postgresql") => Location::Postgres(Secret::new(url)),
                    Some("mysql" | "mariadb") => Location::Mysql(Secret::new(url)),
                    _ => {
                        return Err(format!(
                            "grant.database.{name}.url must begin with postgres:// or mysql://; a SQLite file is given as `file`"
                        ));
                    }
                }
            }
        };
        Ok(Granted { location, write: write && grant.write })
    }
}

impl fmt::Debug for Granted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Granted").field("location", &self.location).field("write", &self.write).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grant(text: &str) -> Result<DatabaseGrant, toml::de::Error> {
        toml::from_str::<std::collections::BTreeMap<String, DatabaseGrant>>(text)
            .map(|mut all| all.remove("main").expect("main"))
    }

    #[test]
    fn a_file_or_a_server_to_read_or_to_write() {
        assert_eq!(grant("main = 'a.sqlite'").expect("a file"), DatabaseGrant::file("a.sqlite"));
        assert!(grant("main = { file = 'a.sqlite', write = true }").expect("a file").write);
        let server = grant("main = { url = 'postgres://u:hush@h/d' }").expect("a server");
        assert!(!server.write && !format!("{server:?}").contains("hush"));
        let granted = Granted::new("main", &server, true).expect("an address");
        assert!(!granted.write && !format!("{granted:?}").contains("hush"));
        for wrong in [
            "main = 'postgres://u:hush@h/d'",
            "main = { write = true }",
            "main = { file = 'a', url = 'b' }",
            "main = { file = 'a', colour = 'red' }",
        ] {
            assert!(grant(wrong).is_err(), "{wrong}");
        }
        let other = grant("main = { url = 'redis://u:hush@h' }").expect("some address");
        let error = Granted::new("main", &other, true).expect_err("unknown");
        assert!(error.contains("postgres://") && !error.contains("hush"), "{error}");
    }
}

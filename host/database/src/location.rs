//! Where a database is.
//!
//! Invariant: a [`Secret`] is never printed, and a message that passed [`Secret::scrub`] holds no password.

use std::fmt;
use std::path::PathBuf;

/// Where a granted database is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Location {
    /// A SQLite file.
    Sqlite(PathBuf),
    /// A server's address: `postgres://user:password@host:port/database?sslmode=…`.
    ///
    /// `sslmode` as libpq has it: `disable`, `prefer` (the default: encrypted where the server can, its certificate not
    /// checked), `require` (encrypted and the certificate checked, or no connection; `verify-ca` and `verify-full` mean the
    /// same). `sslrootcert` names a PEM file of the authorities to trust instead of the public ones. `host` may be a folder
    /// that holds the server's socket (`postgres:///database?host=/run/postgresql`).
    Postgres(Secret),
    /// A server's address: `mysql://user:password@host:port/database?ssl-mode=…`.
    ///
    /// `ssl-mode` as the server's own client has it, with the meaning that `sslmode` has above: `disabled`, `preferred` (the
    /// default), `required` (`verify-ca` and `verify-identity` mean the same); `ssl-ca` names a PEM file of the authorities to
    /// trust. Both go by PostgreSQL's names as well. `socket=/run/mysqld/mysqld.sock` goes there instead of to the host.
    Mysql(Secret),
}

/// An address that holds a password.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Keeps `address` from being printed.
    pub fn new(address: impl Into<String>) -> Secret {
        Secret(address.into())
    }

    #[cfg(any(feature = "mysql", feature = "postgres"))]
    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }

    /// `text` without the password and without the address, whichever way it is written there.
    #[cfg(any(feature = "mysql", feature = "postgres"))]
    pub(crate) fn scrub(&self, text: &str) -> String {
        let mut text = text.replace(&self.0, "***");
        // What a person meant as the password, also where a parser splits the address elsewhere.
        let meant = self.0.split_once("://").map_or(&*self.0, |(_, rest)| rest);
        let meant = meant.rsplit_once('@').map_or(meant, |(user, _)| user);
        let meant = meant.split_once(':').map(|(_, password)| password.to_owned());
        let parsed = url::Url::parse(&self.0).ok();
        let parameter = parsed.iter().flat_map(|url| url.query_pairs().into_owned());
        let parameter = parameter.filter(|(key, _)| key == "password").map(|(_, value)| value);
        let parsed = parsed.as_ref().and_then(|url| url.password()).map(str::to_owned);
        for password in meant.into_iter().chain(parsed).chain(parameter.collect::<Vec<_>>()) {
            let decoded = percent_decoded(&password);
            for password in [password, decoded] {
                if !password.is_empty() {
                    text = text.replace(&password, "***");
                }
            }
        }
        text
    }
}

#[cfg(any(feature = "mysql", feature = "postgres"))]
pub(crate) fn percent_decoded(text: &str) -> String {
    // An address of the form `x:?p=TEXT` decodes as every query does; `+` must stay.
    let address = format!("x:?p={}", text.replace('+', "%2B").replace('&', "%26").replace('#', "%23"));
    let url = url::Url::parse(&address).ok();
    url.and_then(|url| url.query_pairs().next().map(|(_, value)| value.into_owned())).unwrap_or_default()
}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Secret(***)")
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("***")
    }
}

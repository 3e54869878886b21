//! From an address to a connection.
//!
//! Invariant: where encryption is required nothing but the greeting is sent in the clear and the server's certificate is checked
//! against known authorities and its name, as for PostgreSQL; no message holds the password.

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, DriverError, Error as Client, IoError, Opts, OptsBuilder, SslOpts};
use url::{Host, Url};

use crate::location::percent_decoded;
use crate::server::OVERHEAD;
use crate::{Error, Limits, Secret};

/// Codes of a server that does not let somebody in.
const DENIED: [u16; 4] = [1044, 1045, 1049, 1698];

#[derive(Clone, Copy, PartialEq)]
enum Encryption {
    Never,
    /// Where the server can. Whoever could answer with a false certificate could as well answer that there is none, so it is
    /// not checked.
    Preferred,
    Required,
}

pub(super) struct Address {
    secret: Secret,
    options: OptsBuilder,
    encryption: Encryption,
    /// The authorities to trust, as PEM.
    authorities: Option<Vec<u8>>,
}

impl Address {
    pub(super) fn parse(secret: &Secret, limits: &Limits) -> Result<Address, Error> {
        let wrong = |said: &str| {
            let said = secret.scrub(said);
            Error::Unavailable(format!(
                "the address is none of mysql://user:password@host:port/database?ssl-mode=required ({said})"
            ))
        };
        let url = Url::parse(secret.reveal()).map_err(|error| wrong(&error.to_string()))?;
        let host = match url.host() {
            Some(Host::Domain(name)) if !name.is_empty() => percent_decoded(name),
            Some(Host::Ipv4(address)) => address.to_string(),
            Some(Host::Ipv6(address)) => address.to_string(),
            _ => return Err(wrong("it names no host")),
        };
        if url.username().is_empty() {
            return Err(wrong("it names no user"));
        }
        let database = percent_decoded(url.path().trim_start_matches('/'));
        if database.is_empty() || url.path().trim_start_matches('/').contains('/') {
            return Err(wrong("it names no database"));
        }
        if url.fragment().is_some() {
            return Err(wrong("a `#` is written %23"));
        }
        let (mut encryption, mut authorities, mut socket) = (Encryption::Preferred, None, None);
        for (key, value) in url.query_pairs() {
            let mode = value.to_ascii_lowercase().replace('_', "-");
            encryption = match (key.as_ref(), mode.as_str()) {
                ("ssl-mode" | "sslmode", "disable" | "disabled") => Encryption::Never,
                ("ssl-mode" | "sslmode", "prefer" | "preferred" | "allow") => Encryption::Preferred,
                ("ssl-mode" | "sslmode", "require" | "required")
                | ("ssl-mode" | "sslmode", "verify-ca" | "verify-full" | "verify-identity")
                | ("require_ssl", "true") => Encryption::Required,
                ("require_ssl", "false") => encryption,
                ("ssl-ca" | "sslrootcert", _) => {
                    let file = std::fs::read(value.as_ref()).ok();
                    let file =
                        file.filter(|file| String::from_utf8_lossy(file).contains("BEGIN CERTIFICATE"));
                    authorities =
                        Some(file.ok_or_else(|| wrong(&format!("{key} names no PEM file of certificates")))?);
                    encryption
                }
                ("socket", _) => {
                    socket = Some(value.into_owned());
                    encryption
                }
                _ => return Err(wrong(&format!("`{key}` is not known, or not with this value"))),
            };
        }
        let options = OptsBuilder::default()
            .ip_or_hostname(host)
            .tcp_port(url.port().unwrap_or(3306))
            .user(Some(percent_decoded(url.username())))
            .pass(url.password().map(percent_decoded))
            .db_name(Some(database))
            .socket(socket)
            // A socket that the server names itself would go past the encryption.
            .prefer_socket(false)
            .secure_auth(true)
            .stmt_cache_size(0)
            // Rows that a statement finds count, also where it changes nothing, as they do elsewhere.
            .client_found_rows(true)
            .wait_timeout(Some(28_800))
            // One row is gathered whole before anybody can look at it.
            .max_allowed_packet(Some(limits.bytes.saturating_mul(2).saturating_add(OVERHEAD)));
        Ok(Address { secret: secret.clone(), options, encryption, authorities })
    }

    pub(super) async fn connect(&self) -> Result<Conn, Error> {
        let connected = match self.encryption {
            Encryption::Never => Conn::new(self.options.clone()).await,
            Encryption::Required => Conn::new(self.encrypted()).await,
            Encryption::Preferred => match Conn::new(self.encrypted()).await {
                Err(Client::Driver(DriverError::NoClientSslFlagFromServer)) => {
                    Conn::new(self.options.clone()).await
                }
                other => other,
            },
        };
        connected.map_err(|error| self.refused(&error))
    }

    fn encrypted(&self) -> Opts {
        // The client takes the provider of the process; a second one would be no provider to it.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut tls = SslOpts::default();
        match (&self.authorities, self.encryption) {
            (Some(file), Encryption::Required) => {
                tls = tls.with_root_certs(vec![file.clone().into()]).with_disable_built_in_roots(true);
            }
            (_, Encryption::Required) => {}
            _ => tls = tls.with_danger_accept_invalid_certs(true),
        }
        // A socket of this machine is not encrypted by anybody.
        let options = self.options.clone();
        if Opts::from(options.clone()).socket().is_some() {
            return options.into();
        }
        options.ssl_opts(tls).into()
    }

    /// Ends the connection `id` and what it does.
    pub(super) async fn kill(&self, id: u32) -> Result<(), Error> {
        let mut conn = self.connect().await?;
        // It may be over.
        let _ = conn.query_drop(format!("KILL CONNECTION {id}")).await;
        let _ = conn.disconnect().await;
        Ok(())
    }

    /// Why a connection did not come about.
    pub(super) fn refused(&self, error: &Client) -> Error {
        let said = match error {
            // The server repeats where we come from and who we are.
            Client::Server(said) if DENIED.contains(&said.code) => {
                "access denied for this user, password and database".to_owned()
            }
            Client::Server(said) => said.message.clone(),
            Client::Io(IoError::Io(error)) => {
                let cause = error.get_ref().and_then(|cause| cause.downcast_ref::<rustls::Error>());
                if let Some(cause) = cause {
                    let said = self.secret.scrub(&format!("no TLS that can be trusted: {cause}"));
                    return Error::Unavailable(said);
                }
                return Error::Unavailable(format!("the server cannot be reached ({})", error.kind()));
            }
            Client::Io(IoError::Tls(error)) => format!("no encrypted connection: {error}"),
            Client::Driver(DriverError::NoClientSslFlagFromServer) => {
                "no encrypted connection: the server has no TLS".to_owned()
            }
            Client::Driver(error) => error.to_string(),
            _ => "it does not speak as MySQL does".to_owned(),
        };
        Error::Unavailable(format!("the server does not let us in: {}", self.secret.scrub(&said)))
    }

    pub(super) fn scrub(&self, text: &str) -> String {
        self.secret.scrub(text)
    }
}

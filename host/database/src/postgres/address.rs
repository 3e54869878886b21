//! From an address to a connection.
//!
//! Invariant: with `sslmode=require` nothing is sent in the clear, and no message holds the password.

use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use tokio_postgres::config::{Host, SslMode};
use tokio_postgres::{CancelToken, Client, Config};

use super::stream::{Stream, connected};
use super::tls::Tls;
use crate::{Error, Secret};

pub(super) struct Address {
    secret: Secret,
    config: Config,
    /// A PEM file of the authorities to trust.
    authorities: Option<String>,
}

impl Address {
    pub(super) fn parse(secret: &Secret) -> Result<Address, Error> {
        let wrong = |said: String| {
            let said = secret.scrub(&said);
            Error::Unavailable(format!(
                "the address is none of postgres://user:password@host:port/database?sslmode=require ({said})"
            ))
        };
        let mut url = secret.reveal().to_owned();
        let mut authorities = None;
        if let Some((start, query)) = url.split_once('?') {
            // What libpq knows and the client does not.
            let pairs: Vec<(String, String)> =
                url::form_urlencoded::parse(query.as_bytes()).into_owned().collect();
            let mut kept = url::form_urlencoded::Serializer::new(String::new());
            for (key, value) in pairs {
                match (key.as_str(), value.as_str()) {
                    ("sslrootcert", _) => authorities = Some(value),
                    ("sslmode", "verify-ca" | "verify-full") => {
                        kept.append_pair("sslmode", "require");
                    }
                    // Falling back in the clear is only for `prefer`.
                    ("sslmode", "allow") => {
                        kept.append_pair("sslmode", "prefer");
                    }
                    _ => {
                        kept.append_pair(&key, &value);
                    }
                }
            }
            // The client decodes %XX and not `+`.
            url = format!("{start}?{}", kept.finish().replace('+', "%20"));
        }
        let mut config = Config::from_str(&url).map_err(|error| {
            let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}"));
            wrong(format!("{error}{}", cause.unwrap_or_default()))
        })?;
        if config.get_hosts().is_empty() {
            return Err(wrong("it names no host".to_owned()));
        }
        if config.get_user().is_none() {
            return Err(wrong("it names no user".to_owned()));
        }
        config.application_name("pawl");
        Ok(Address { secret: secret.clone(), config, authorities })
    }

    /// The first of its hosts that answers.
    pub(super) async fn connect(&self, budget: &Arc<AtomicUsize>) -> Result<Client, Error> {
        let mut last = Error::Unavailable("the address names no host".to_owned());
        for (index, host) in self.config.get_hosts().iter().enumerate() {
            match self.connect_to(index, host, budget).await {
                Ok(client) => return Ok(client),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    async fn connect_to(
        &self,
        index: usize,
        host: &Host,
        budget: &Arc<AtomicUsize>,
    ) -> Result<Client, Error> {
        let (stream, tls, mode) = self.reach(index, host, budget).await?;
        let mut config = self.config.clone();
        config.ssl_mode(mode);
        let (client, connection) =
            config.connect_raw(stream, tls).await.map_err(|error| self.refused(&error))?;
        tokio::spawn(async move {
            // Whoever waits for an answer hears of it.
            let _ = connection.await;
        });
        Ok(client)
    }

    async fn reach(
        &self,
        index: usize,
        host: &Host,
        budget: &Arc<AtomicUsize>,
    ) -> Result<(Stream, Tls, SslMode), Error> {
        let ports = self.config.get_ports();
        let port = ports.get(index).or(ports.first()).copied().unwrap_or(5432);
        let stream = connected(host, port, budget).await.map_err(|error| {
            Error::Unavailable(format!("the server cannot be reached ({})", error.kind()))
        })?;
        // A socket in a folder is not encrypted by anybody.
        let (name, mode) = match host {
            Host::Tcp(name) => (name.as_str(), self.config.get_ssl_mode()),
            Host::Unix(_) => ("localhost", SslMode::Disable),
        };
        let tls = Tls::new(name, self.authorities.as_deref(), mode == SslMode::Require)?;
        Ok((stream, tls, mode))
    }

    /// Ends what the connection of `token` does.
    pub(super) async fn cancel(&self, token: CancelToken) -> Result<(), Error> {
        for (index, host) in self.config.get_hosts().iter().enumerate() {
            let budget = Arc::new(AtomicUsize::new(1 << 16));
            let (stream, tls, _) = self.reach(index, host, &budget).await?;
            token.cancel_query_raw(stream, tls).await.map_err(|error| self.refused(&error))?;
        }
        Ok(())
    }

    /// Why a connection did not come about.
    fn refused(&self, error: &tokio_postgres::Error) -> Error {
        let said = match error.as_db_error() {
            Some(said) => said.message().to_owned(),
            None => match std::error::Error::source(error) {
                Some(cause) => format!("{error}: {cause}"),
                None => error.to_string(),
            },
        };
        Error::Unavailable(format!("the server does not let us in: {}", self.secret.scrub(&said)))
    }

    pub(super) fn scrubbed(&self, error: Error) -> Error {
        match error {
            Error::Unavailable(said) => Error::Unavailable(self.secret.scrub(&said)),
            // What a statement says is the caller's own.
            other => other,
        }
    }
}

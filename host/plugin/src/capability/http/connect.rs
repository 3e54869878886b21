//! From a URL to a connection: what a host name is, its resolution, the check of its addresses, TLS.
//!
//! Invariant: the connection goes to an address that was checked, in the list that was checked, resolved once; no
//! proxy is asked, no setting of the environment is read. Names that are spellings of a number (`2130706433`, `0x7f.1`,
//! `127.1`) are refused, not resolved. With TLS, the certificate must be of the name under the roots of the web, in TLS
//! 1.2 or 1.3.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, OnceLock};

use http::Uri;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::{self, ClientConfig, RootCertStore, pki_types::ServerName};
use wasmtime_wasi_http::Error;

use super::address::is_public;
use crate::http_rule::Scheme;

/// The longest host name of DNS, in bytes.
const MAX_HOST: usize = 253;
/// Addresses of a name that are tried.
const MAX_TRIED: usize = 4;

/// Where a request is to go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) scheme: Scheme,
    name: Name,
    pub(super) port: u16,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Name {
    /// In lower case, without the final dot.
    Dns(String),
    Address(IpAddr),
}

impl Target {
    /// What a URL names. Names are letters, digits, `-`, `_` and dots; user names in a URL are refused.
    pub(super) fn of(uri: &Uri) -> Result<Target, Error> {
        let scheme = match uri.scheme_str() {
            Some("http") => Scheme::Http,
            Some("https") => Scheme::Https,
            _ => return Err(Error::HttpRequestUriInvalid),
        };
        let authority = uri.authority().ok_or(Error::HttpRequestUriInvalid)?;
        let host = authority.host();
        let port = match authority.as_str().strip_prefix(host) {
            Some("") => Some(if scheme == Scheme::Https { 443 } else { 80 }),
            Some(rest) => rest.strip_prefix(':').and_then(|port| port.parse().ok()),
            None => None,
        };
        let port = port.filter(|port| *port > 0).ok_or(Error::HttpRequestUriInvalid)?;
        let name = Name::parse(host).ok_or(Error::HttpRequestUriInvalid)?;
        Ok(Target { scheme, name, port })
    }

    /// The host as rules know it: brackets of an IPv6 address left out.
    pub(super) fn host(&self) -> String {
        match &self.name {
            Name::Dns(name) => name.clone(),
            Name::Address(address) => address.to_string(),
        }
    }

    /// As in the header `Host`: the port only where it is not the scheme's own.
    pub(super) fn authority(&self) -> String {
        let host = match &self.name {
            Name::Address(IpAddr::V6(address)) => format!("[{address}]"),
            _ => self.host(),
        };
        match (self.scheme, self.port) {
            (Scheme::Https, 443) | (Scheme::Http, 80) => host,
            (_, port) => format!("{host}:{port}"),
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.scheme == Scheme::Https { "https" } else { "http" };
        write!(f, "{scheme}://{}", self.authority())
    }
}

impl Name {
    fn parse(host: &str) -> Option<Name> {
        if let Some(address) = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            return address.parse().ok().map(|address| Name::Address(IpAddr::V6(address)));
        }
        if let Ok(address) = host.parse() {
            return Some(Name::Address(IpAddr::V4(address)));
        }
        let name = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
        let label = |label: &str| {
            (1..=63).contains(&label.len())
                && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
        };
        let last = name.rsplit('.').next().unwrap_or_default();
        let is_name = name.len() <= MAX_HOST && name.split('.').all(label) && !is_number(last);
        is_name.then_some(Name::Dns(name))
    }
}

/// Whether resolvers may take a name with this last label for a number (as the URL standard says).
fn is_number(label: &str) -> bool {
    let hexadecimal = |digits: &str| digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    label.bytes().all(|byte| byte.is_ascii_digit()) || label.strip_prefix("0x").is_some_and(hexadecimal)
}

/// Finds the addresses of a name.
pub(super) trait Resolve: Send + Sync {
    fn resolve(
        &self,
        name: String,
        port: u16,
    ) -> Pin<Box<dyn Future<Output = io::Result<Vec<SocketAddr>>> + Send>>;
}

/// The system's resolver.
struct System;

impl Resolve for System {
    fn resolve(
        &self,
        name: String,
        port: u16,
    ) -> Pin<Box<dyn Future<Output = io::Result<Vec<SocketAddr>>> + Send>> {
        Box::pin(async move { Ok(tokio::net::lookup_host((name, port)).await?.collect()) })
    }
}

/// How requests leave the machine; plugins share it, and nothing of one request is kept for another.
pub(crate) struct Network {
    resolver: Box<dyn Resolve>,
    roots: fn() -> RootCertStore,
    tls: OnceLock<Arc<ClientConfig>>,
}

impl Network {
    /// The system's resolver and the web's certificates.
    pub(crate) fn new() -> Network {
        let roots = || RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.into() };
        Network { resolver: Box::new(System), roots, tls: OnceLock::new() }
    }

    /// Another resolver, and certificates under these roots.
    #[cfg(test)]
    pub(super) fn with(resolver: impl Resolve + 'static, roots: RootCertStore) -> Network {
        let network = Network { resolver: Box::new(resolver), ..Network::new() };
        let _ = network.tls.set(Arc::new(client(roots).expect("a TLS client")));
        network
    }

    /// Opens a connection, over TLS where the scheme says so. `inside` hears of an address that is not public.
    pub(super) async fn connect(
        &self,
        target: &Target,
        private: bool,
        inside: &(dyn Fn(IpAddr) + Sync),
    ) -> Result<Stream, Error> {
        let addresses = self.addresses(target).await?;
        if !private && let Some(address) = addresses.iter().find(|address| !is_public(address.ip())) {
            inside(address.ip());
            return Err(Error::DestinationIpProhibited);
        }
        let stream = dial(&addresses).await?;
        match target.scheme {
            Scheme::Http => Ok(Box::new(stream)),
            Scheme::Https => self.secure(target, stream).await,
        }
    }

    async fn addresses(&self, target: &Target) -> Result<Vec<SocketAddr>, Error> {
        let addresses = match &target.name {
            Name::Address(address) => vec![SocketAddr::new(*address, target.port)],
            Name::Dns(name) => self.resolver.resolve(name.clone(), target.port).await.map_err(|error| {
                tracing::debug!("{target} is not resolved: {error}");
                Error::DnsError { rcode: None, info_code: None }
            })?,
        };
        if addresses.is_empty() { Err(Error::DestinationNotFound) } else { Ok(addresses) }
    }

    async fn secure(&self, target: &Target, stream: TcpStream) -> Result<Stream, Error> {
        let config = match self.tls.get() {
            Some(config) => Arc::clone(config),
            None => {
                let config = client((self.roots)()).map_err(|_| Error::ConfigurationError)?;
                Arc::clone(self.tls.get_or_init(|| Arc::new(config)))
            }
        };
        let name = match &target.name {
            Name::Dns(name) => {
                ServerName::try_from(name.clone()).map_err(|_| Error::HttpRequestUriInvalid)?
            }
            Name::Address(address) => ServerName::from(*address),
        };
        let secured = TlsConnector::from(config).connect(name, stream).await;
        Ok(Box::new(secured.map_err(|error| {
            tracing::debug!("{target}: TLS failed: {error}");
            tls_error(&error)
        })?))
    }
}

/// A connection, plain or secured.
pub(super) type Stream = Box<dyn Connection>;

/// What can be read and written.
pub(super) trait Connection: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Connection for T {}

/// The first of the addresses that answers.
async fn dial(addresses: &[SocketAddr]) -> Result<TcpStream, Error> {
    let mut last = Error::DestinationNotFound;
    for address in addresses.iter().take(MAX_TRIED) {
        match TcpStream::connect(address).await {
            Ok(stream) => {
                let _ = stream.set_nodelay(true);
                return Ok(stream);
            }
            Err(error) => {
                last = match error.kind() {
                    io::ErrorKind::ConnectionRefused => Error::ConnectionRefused,
                    io::ErrorKind::TimedOut => Error::ConnectionTimeout,
                    io::ErrorKind::NetworkUnreachable | io::ErrorKind::HostUnreachable => {
                        Error::DestinationIpUnroutable
                    }
                    _ => Error::DestinationUnavailable,
                };
            }
        }
    }
    Err(last)
}

fn client(roots: RootCertStore) -> Result<ClientConfig, rustls::Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    // A session that goes on would tie one plugin's requests to another's.
    config.resumption = rustls::client::Resumption::disabled();
    Ok(config)
}

fn tls_error(error: &io::Error) -> Error {
    let source = error.get_ref().and_then(|source| source.downcast_ref::<rustls::Error>());
    match source {
        Some(rustls::Error::InvalidCertificate(_) | rustls::Error::NoCertificatesPresented) => {
            Error::TlsCertificateError
        }
        Some(rustls::Error::AlertReceived(alert)) => {
            Error::TlsAlertReceived { alert_id: Some((*alert).into()), alert_message: None }
        }
        _ => Error::TlsProtocolError,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(url: &str) -> Option<String> {
        let uri: Uri = url.parse().ok()?;
        Target::of(&uri).ok().map(|target| target.to_string())
    }

    #[test]
    fn a_target_is_a_name_or_an_address_in_its_one_spelling() {
        for (url, seen) in [
            ("https://API.Example.com./a?b", "https://api.example.com"),
            ("https://example.com:443/", "https://example.com"),
            ("http://example.com:443/", "http://example.com:443"),
            ("http://127.0.0.1/", "http://127.0.0.1"),
            ("http://[::1]:8080/", "http://[::1]:8080"),
            ("http://[0:0:0:0:0:ffff:7f00:1]/", "http://[::ffff:127.0.0.1]"),
            ("http://localhost/", "http://localhost"),
        ] {
            assert_eq!(target(url).as_deref(), Some(seen), "{url}");
        }
    }

    #[test]
    fn other_spellings_of_numbers_and_what_is_no_host_are_refused() {
        for url in [
            "http://2130706433/",
            "http://0x7f000001/",
            "http://0x/",
            "http://0X7F.1/",
            "http://127.1/",
            "http://0177.0.0.1/",
            "http://127.0.0.1./",
            "http://127.0.0.01/",
            "http://1.2.3.4.5/",
            "http://a.0x7f/",
            "http://user@example.com/",
            "http://user:word@127.0.0.1/",
            "http://example.com@127.0.0.1/",
            "http://example.com:0/",
            "http://example.com:99999/",
            "http://example.com:/",
            "http://a..b/",
            "http://%31%32%37.0.0.1/",
            "http://[::1%25eth0]/",
            "http://[127.0.0.1]/",
            "ftp://example.com/",
        ] {
            assert_eq!(target(url), None, "{url}");
        }
    }
}

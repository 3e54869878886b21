//! Which outbound requests are allowed: host, port, scheme and method, as the manifest asks and the operator grants.
//!
//! Invariant: a name means what it says. `api.example.com` is that name and no other; `*.example.com` is any name that
//! ends in `.example.com`, never `example.com` itself and never `badexample.com`; a number is that address. Names are
//! compared in lower case, without the final dot; what is not a plain host is an error when the rule is read. Which
//! *addresses* a name may lead to is another question, asked when it was resolved (`capability::http`).

use std::fmt;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

/// The longest host name of DNS, in bytes.
const MAX_HOST: usize = 253;
const METHODS: [&str; 8] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"];

/// One kind of request that is allowed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Raw")]
pub struct HttpRule {
    host: Host,
    scheme: Scheme,
    ports: Vec<u16>,
    methods: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(into = "String")]
enum Host {
    Name(String),
    /// Any name below this one.
    Below(String),
    Address(IpAddr),
}

/// Plain or over TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scheme {
    /// Plain text: everybody between can read and change it.
    Http,
    /// Over TLS.
    Https,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    host: String,
    #[serde(default = "https")]
    scheme: Scheme,
    ports: Option<Vec<u16>>,
    methods: Option<Vec<String>>,
}

fn https() -> Scheme {
    Scheme::Https
}

impl TryFrom<Raw> for HttpRule {
    type Error = String;

    fn try_from(raw: Raw) -> Result<HttpRule, String> {
        let port = match raw.scheme {
            Scheme::Https => 443,
            Scheme::Http => 80,
        };
        let ports = raw.ports.unwrap_or_else(|| vec![port]);
        if ports.is_empty() || ports.contains(&0) {
            return Err(format!("ports of `{}` are {ports:?}; name at least one, from 1", raw.host));
        }
        let methods = raw.methods.unwrap_or_else(|| vec!["GET".to_owned(), "HEAD".to_owned()]);
        if let Some(odd) = methods.iter().find(|method| !METHODS.contains(&method.as_str())) {
            return Err(format!(
                "`{}` is no method; write one of {}",
                odd.escape_debug(),
                METHODS.join(", ")
            ));
        }
        Ok(HttpRule { host: Host::parse(&raw.host)?, scheme: raw.scheme, ports, methods })
    }
}

impl HttpRule {
    /// The host as a rule writes it, in lower case.
    pub fn host(&self) -> String {
        self.host.clone().into()
    }

    /// Whether some request that changes something is allowed by this rule and by `other`.
    pub(crate) fn changes_with(&self, other: &HttpRule) -> bool {
        self.scheme == other.scheme
            && self.ports.iter().any(|port| other.ports.contains(port))
            && self.methods.iter().any(|method| changes(method) && other.methods.contains(method))
            && self.host.meets(&other.host)
    }

    /// Whether a request of this kind is allowed. `host` is as in a URL, brackets of an IPv6 address left out.
    pub(crate) fn allows(&self, scheme: Scheme, host: &str, port: u16, method: &str) -> bool {
        self.scheme == scheme
            && self.ports.contains(&port)
            && self.methods.iter().any(|allowed| allowed == method)
            && self.host.matches(host)
    }
}

/// Whether a request of this method may change something where it arrives.
/// <https://www.rfc-editor.org/rfc/rfc9110#name-safe-methods>; TRACE is asked of nobody.
pub(crate) fn changes(method: &str) -> bool {
    !matches!(method, "GET" | "HEAD" | "OPTIONS")
}

impl fmt::Display for HttpRule {
    /// As in `https://*.example.com:443 GET,HEAD`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = match self.scheme {
            Scheme::Http => "http",
            Scheme::Https => "https",
        };
        let ports: Vec<String> = self.ports.iter().map(u16::to_string).collect();
        write!(f, "{scheme}://{}:{} {}", self.host(), ports.join(","), self.methods.join(","))
    }
}

impl Host {
    fn parse(text: &str) -> Result<Host, String> {
        if let Ok(address) = text.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>() {
            return Ok(Host::Address(address));
        }
        let name = canonical(text);
        let (below, rest) = match name.strip_prefix("*.") {
            Some(rest) => (true, rest),
            None => (false, name.as_str()),
        };
        let label = |label: &str| {
            (1..=63).contains(&label.len())
                && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
                && !label.starts_with('-')
                && !label.ends_with('-')
        };
        // `*.com` would be half the world; a number that is not an address is a way to write one.
        let enough = !below || rest.contains('.');
        let number = rest.rsplit('.').next().is_some_and(|last| last.bytes().all(|b| b.is_ascii_digit()));
        if rest.len() > MAX_HOST || !rest.split('.').all(label) || !enough || number {
            return Err(format!(
                "host `{}` must be a name such as `api.example.com` or `*.example.com`, or an address",
                text.escape_debug()
            ));
        }
        let rest = rest.to_owned();
        Ok(if below { Host::Below(rest) } else { Host::Name(rest) })
    }

    /// Whether some host is of both.
    fn meets(&self, other: &Host) -> bool {
        match (self, other) {
            (Host::Below(a), Host::Below(b)) => {
                a == b || a.ends_with(&format!(".{b}")) || b.ends_with(&format!(".{a}"))
            }
            (Host::Below(_), _) => self.matches(&String::from(other.clone())),
            _ => other.matches(&String::from(self.clone())),
        }
    }

    fn matches(&self, host: &str) -> bool {
        match self {
            Host::Name(name) => canonical(host) == *name,
            Host::Below(name) => canonical(host)
                .strip_suffix(name.as_str())
                .is_some_and(|front| front.len() > 1 && front.ends_with('.')),
            Host::Address(address) => host.parse() == Ok(*address),
        }
    }
}

impl From<Host> for String {
    fn from(host: Host) -> String {
        match host {
            Host::Name(name) => name,
            Host::Below(name) => format!("*.{name}"),
            Host::Address(address) => address.to_string(),
        }
    }
}

fn canonical(host: &str) -> String {
    host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(text: &str) -> Result<HttpRule, String> {
        toml::from_str(text).map_err(|error| error.to_string())
    }

    fn get(rule: &HttpRule, host: &str) -> bool {
        rule.allows(Scheme::Https, host, 443, "GET")
    }

    #[test]
    fn names_mean_what_they_say() {
        let exact = rule("host = 'api.example.com'").expect("valid");
        let below = rule("host = '*.Example.com.'").expect("valid");
        for (host, is_exact, is_below) in [
            ("api.example.com", true, true),
            ("API.EXAMPLE.COM.", true, true),
            ("deep.api.example.com", false, true),
            ("example.com", false, false),
            (".example.com", false, false),
            ("badexample.com", false, false),
            ("api.example.com.evil.test", false, false),
            ("api.example.community", false, false),
            ("*.example.com", false, true),
            ("127.0.0.1", false, false),
            ("", false, false),
        ] {
            assert_eq!((get(&exact, host), get(&below, host)), (is_exact, is_below), "{host}");
        }
        let address = rule("host = '192.0.2.1'").expect("valid");
        assert!(get(&address, "192.0.2.1") && !get(&address, "192.0.2.10") && !get(&address, "3221225985"));
        assert!(get(&rule("host = '[2001:db8::1]'").expect("valid"), "2001:db8:0::1"));
    }

    #[test]
    fn scheme_port_and_method_all_count() {
        let plain =
            rule("host = 'a.test'\nscheme = 'http'\nports = [80, 8080]\nmethods = ['POST']").expect("valid");
        assert!(plain.allows(Scheme::Http, "a.test", 8080, "POST"));
        for (scheme, port, method) in [
            (Scheme::Https, 8080, "POST"),
            (Scheme::Http, 81, "POST"),
            (Scheme::Http, 80, "GET"),
            (Scheme::Http, 80, "post"),
        ] {
            assert!(!plain.allows(scheme, "a.test", port, method));
        }
        let default = rule("host = 'a.test'").expect("valid");
        assert!(default.allows(Scheme::Https, "a.test", 443, "HEAD"));
        assert!(!default.allows(Scheme::Https, "a.test", 443, "POST"));
        assert!(!default.allows(Scheme::Http, "a.test", 80, "GET"));
    }

    #[test]
    fn what_is_no_host_is_refused() {
        for host in [
            "",
            "*",
            "*.",
            "*.com",
            "a.*.com",
            "https://a.test",
            "a.test/x",
            "a.test:80",
            "a b",
            "user@a.test",
            "-a.test",
            "a..b",
            "127.1",
            "0x7f.1",
            "2130706433",
            "é.test",
        ] {
            let text = format!("host = '{host}'");
            let refused = rule(&text);
            // A label such as `0x7f` is a legal name by its letters; its last label is a number.
            assert!(refused.is_err(), "{host}: {refused:?}");
        }
        for text in [
            "host = 'a.test'\nports = []",
            "host = 'a.test'\nports = [0]",
            "host = 'a.test'\nmethods = ['get']",
        ] {
            assert!(rule(text).is_err(), "{text}");
        }
    }
}

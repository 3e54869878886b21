//! What the operator allows a plugin, and what follows from it.
//!
//! Invariant: a capability is effective only where the manifest requests it *and* the operator grants it; all else
//! is denied. Nothing that a model can call changes a grant. Values of settings may be secrets: they are in no
//! message and no `Debug` output.
//!
//! ```toml
//! [plugins.calendar.grant]
//! clocks = true
//! random = true
//! keyvalue = true
//! config = { region = "eu", api-key = { env = "CALENDAR_API_KEY" } }
//! database = { shop = "shop.sqlite" }             # logical name = SQLite file, to read; or one of
//! #            { shop = { file = "shop.sqlite", write = true } }       each write still waits for a person's approval
//! #            { shop = { url = { env = "SHOP_URL" } } }               postgres://… or mysql://…
//! documents = { contracts = "/srv/contracts" }    # collection = folder, read only; its files, not its folders
//! llm = { max-calls = 4, max-tokens = 512 }       # of one call of the plugin; or `llm = true`
//! filesystem = { "/in" = { folder = "/srv/in", access = "read" } }
//!
//! [[plugins.calendar.grant.http]]
//! host = "*.example.com"
//! methods = ["GET"]
//! private = false                                 # true: also addresses that are not public, of any kind
//! max-response = "4MiB"
//! timeout = "10s"
//! ```
//!
//! A granted folder must be there when the plugin is loaded; links in its path are followed then, and never again. What
//! a plugin writes into a folder has no quota: give it a volume of its own where that matters. `max-response` bounds
//! what is sent as well.

mod database;

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::http_rule::{HttpRule, Scheme};
use crate::limits;
use crate::manifest::{Access, Capabilities, Manifest};

pub(crate) use database::Granted;
pub use database::{DatabaseGrant, Place};

/// What the operator allows: `[plugins.NAME.grant]` in pawl.toml. The default grants nothing.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Grant {
    /// The real time.
    pub clocks: bool,
    /// Real random numbers.
    pub random: bool,
    /// A key-value store of the plugin's own.
    pub keyvalue: bool,
    /// Settings by key.
    pub config: BTreeMap<String, Setting>,
    /// Logical database names, each with the database that it stands for.
    pub database: BTreeMap<String, DatabaseGrant>,
    /// Collections of documents, each with the folder that it stands for; read only.
    pub documents: BTreeMap<String, PathBuf>,
    /// Folders as the guest sees them, each with the folder that it stands for.
    pub filesystem: BTreeMap<String, Preopen>,
    /// Kinds of outbound requests.
    pub http: Vec<HttpGrant>,
    /// The host's model.
    pub llm: LlmGrant,
}

/// A setting: the value itself, or where it is found.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum Setting {
    /// The value.
    Value(String),
    /// The value of an environment variable of the host, read when the plugin is loaded.
    Environment {
        /// The variable's name.
        env: String,
    },
}

impl fmt::Debug for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Setting::Value(_) => f.write_str("Value(…)"),
            Setting::Environment { env } => write!(f, "Environment({env:?})"),
        }
    }
}

/// A folder of the host that a guest gets.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Preopen {
    /// The folder.
    pub folder: PathBuf,
    /// What may be done in it. Least of this and of what the manifest requests holds.
    #[serde(default = "read")]
    pub access: Access,
}

fn read() -> Access {
    Access::Read
}

/// One kind of outbound request that is granted.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "RawHttp")]
pub struct HttpGrant {
    /// Host, scheme, ports and methods.
    pub rule: HttpRule,
    /// Whether addresses that are not public (private, loopback, link-local, metadata) may be reached too.
    pub private: bool,
    /// The longest body of an answer, in bytes.
    pub max_response: u64,
    /// The longest that one request takes, from its name's resolution to the last byte.
    pub timeout: Duration,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct RawHttp {
    #[serde(default)]
    private: bool,
    #[serde(default = "max_response", deserialize_with = "limits::size")]
    max_response: u64,
    #[serde(default = "timeout", deserialize_with = "limits::duration")]
    timeout: Duration,
    // What is left is the rule's, which refuses unknown keys.
    #[serde(flatten)]
    rule: toml::Table,
}

fn max_response() -> u64 {
    4 << 20
}

fn timeout() -> Duration {
    Duration::from_secs(10)
}

impl TryFrom<RawHttp> for HttpGrant {
    type Error = String;

    fn try_from(raw: RawHttp) -> Result<HttpGrant, String> {
        let rule = raw.rule.try_into().map_err(|error: toml::de::Error| error.message().to_owned())?;
        Ok(HttpGrant { rule, private: raw.private, max_response: raw.max_response, timeout: raw.timeout })
    }
}

/// The host's model, as far as one call of the plugin may use it. `llm = true` allows the defaults.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(from = "RawLlm")]
pub struct LlmGrant {
    /// Completions and embeddings of one call of the plugin; 0 grants nothing.
    pub max_calls: u32,
    /// Tokens of one completion.
    pub max_tokens: u32,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum RawLlm {
    Granted(bool),
    Bounded(LlmBounds),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
struct LlmBounds {
    max_calls: u32,
    max_tokens: u32,
}

impl Default for LlmBounds {
    fn default() -> LlmBounds {
        LlmBounds { max_calls: 4, max_tokens: 512 }
    }
}

impl From<RawLlm> for LlmGrant {
    fn from(raw: RawLlm) -> LlmGrant {
        let bounds = match raw {
            RawLlm::Granted(false) => return LlmGrant::default(),
            RawLlm::Granted(true) => LlmBounds::default(),
            RawLlm::Bounded(bounds) => bounds,
        };
        LlmGrant { max_calls: bounds.max_calls, max_tokens: bounds.max_tokens }
    }
}

/// Requested and granted.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Effective {
    pub(crate) clocks: bool,
    pub(crate) random: bool,
    pub(crate) keyvalue: bool,
    pub(crate) config: BTreeMap<String, Secret>,
    pub(crate) database: BTreeMap<String, Granted>,
    pub(crate) documents: BTreeMap<String, Collection>,
    pub(crate) filesystem: BTreeMap<String, Preopen>,
    pub(crate) http: HttpPolicy,
    /// Calls of 0 are a model that is not to be had.
    pub(crate) llm: LlmGrant,
}

/// Where the documents of a collection lie.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Collection {
    pub(crate) folder: PathBuf,
    /// The only one of them that is there, where not all are.
    pub(crate) only: Option<String>,
}

/// The value of a setting; `Debug` does not show it.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Secret(pub(crate) String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// Both sides of outbound HTTP: a request needs one rule of each.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct HttpPolicy {
    requested: Vec<HttpRule>,
    granted: Vec<HttpGrant>,
}

impl HttpPolicy {
    /// The grant under which a request of this kind may go out; the first that allows it. None: it may not.
    pub(crate) fn grant(&self, scheme: Scheme, host: &str, port: u16, method: &str) -> Option<&HttpGrant> {
        let requested = self.requests(scheme, host, port, method);
        self.granted.iter().find(|grant| requested && grant.rule.allows(scheme, host, port, method))
    }

    /// Whether some request that changes something may go out.
    pub(crate) fn changes(&self) -> bool {
        self.requested.iter().any(|rule| self.granted.iter().any(|grant| grant.rule.changes_with(rule)))
    }

    /// Whether the manifest asks for a request of this kind.
    pub(crate) fn requests(&self, scheme: Scheme, host: &str, port: u16, method: &str) -> bool {
        self.requested.iter().any(|rule| rule.allows(scheme, host, port, method))
    }
}

impl Effective {
    /// The capabilities that `manifest` requests and `grant` allows.
    ///
    /// # Errors
    /// Where a setting is to come from an environment variable that is not set.
    pub(crate) fn new(manifest: &Manifest, grant: &Grant) -> Result<Effective, String> {
        let requested = &manifest.capabilities;
        let mut config = BTreeMap::new();
        for (key, setting) in grant.config.iter().filter(|(key, _)| requested.config.contains(key)) {
            config.insert(key.clone(), Secret(setting.read(&format!("config.{key}"))?));
        }
        let mut database = BTreeMap::new();
        for (name, grant) in grant.database.iter().filter(|(name, _)| requested.database.contains(name)) {
            let write = requested.database_write.contains(name);
            database.insert(name.clone(), Granted::new(name, grant, write)?);
        }
        let folder = |(guest, preopen): (&String, &Preopen)| {
            let access = preopen.access.min(*requested.filesystem.get(guest)?);
            Some((guest.clone(), Preopen { folder: preopen.folder.clone(), access }))
        };
        Ok(Effective {
            clocks: requested.clocks && grant.clocks,
            random: requested.random && grant.random,
            keyvalue: requested.keyvalue && grant.keyvalue,
            config,
            database,
            documents: both(&requested.documents, &grant.documents),
            filesystem: grant.filesystem.iter().filter_map(folder).collect(),
            http: HttpPolicy { requested: requested.http.clone(), granted: grant.http.clone() },
            llm: if requested.llm { grant.llm } else { LlmGrant::default() },
        })
    }
}

impl Effective {
    /// The same without what reaches beyond the call: a store, folders to write to, the network, the model.
    pub(crate) fn without_effects(&self) -> Effective {
        let mut without = Effective {
            keyvalue: false,
            http: HttpPolicy::default(),
            llm: LlmGrant::default(),
            ..self.clone()
        };
        for preopen in without.filesystem.values_mut() {
            preopen.access = Access::Read;
        }
        without
    }
}

fn both(requested: &[String], granted: &BTreeMap<String, PathBuf>) -> BTreeMap<String, Collection> {
    let wanted = granted.iter().filter(|(name, _)| requested.contains(name));
    wanted.map(|(name, path)| (name.clone(), Collection { folder: path.clone(), only: None })).collect()
}

impl Setting {
    fn read(&self, key: &str) -> Result<String, String> {
        match self {
            Setting::Value(value) => Ok(value.clone()),
            Setting::Environment { env } => std::env::var(env).map_err(|_| {
                format!("grant.{key} is to come from the environment variable {env}, which is not set")
            }),
        }
    }
}

/// One capability as a person sees it: asked for, allowed, and what follows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CapabilityState {
    /// Such as `keyvalue` or `database shop`.
    pub capability: String,
    /// The manifest asks for it.
    pub requested: bool,
    /// The operator grants it.
    pub granted: bool,
}

impl CapabilityState {
    /// Whether it is to be had.
    pub fn effective(&self) -> bool {
        self.requested && self.granted
    }
}

/// Every capability that is requested or granted, in a fixed order.
pub(crate) fn states(requested: &Capabilities, grant: &Grant) -> Vec<CapabilityState> {
    let mut states = Vec::new();
    let mut push = |capability: String, requested: bool, granted: bool| {
        if requested || granted {
            states.push(CapabilityState { capability, requested, granted });
        }
    };
    push("clocks".into(), requested.clocks, grant.clocks);
    push("random".into(), requested.random, grant.random);
    push("keyvalue".into(), requested.keyvalue, grant.keyvalue);
    push("llm".into(), requested.llm, grant.llm.max_calls > 0);
    let config: Vec<&String> = grant.config.keys().collect();
    let database: Vec<&String> = grant.database.keys().collect();
    let documents: Vec<&String> = grant.documents.keys().collect();
    for (kind, asked, given) in [
        ("config", &requested.config, config),
        ("database", &requested.database, database),
        ("documents", &requested.documents, documents),
    ] {
        for name in asked {
            push(format!("{kind} {name}"), true, given.contains(&name));
        }
        for name in given.into_iter().filter(|name| !asked.contains(name)) {
            push(format!("{kind} {name}"), false, true);
        }
    }
    let writable = |name: &String| grant.database.get(name).is_some_and(|grant| grant.write);
    for name in &requested.database_write {
        push(format!("database {name} (write, each approved)"), true, writable(name));
    }
    for name in
        grant.database.keys().filter(|name| writable(name) && !requested.database_write.contains(name))
    {
        push(format!("database {name} (write, each approved)"), false, true);
    }
    for (guest, access) in &requested.filesystem {
        let given = grant.filesystem.get(guest).is_some_and(|preopen| preopen.access >= *access);
        push(format!("filesystem {guest} ({})", word(*access)), true, given);
    }
    for (guest, preopen) in &grant.filesystem {
        if requested.filesystem.get(guest).is_none_or(|access| *access > preopen.access) {
            let asked = requested.filesystem.contains_key(guest);
            push(format!("filesystem {guest} ({})", word(preopen.access)), asked, true);
        }
    }
    for rule in &requested.http {
        let given = grant.http.iter().any(|grant| grant.rule == *rule);
        push(format!("http {rule}"), true, given);
    }
    for granted in grant.http.iter().filter(|granted| !requested.http.contains(&granted.rule)) {
        push(format!("http {}", granted.rule), false, true);
    }
    states
}

fn word(access: Access) -> &'static str {
    match access {
        Access::Read => "read",
        Access::Write => "write",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest(capabilities: &str) -> Manifest {
        let text = format!("name = 'p'\nversion = '1'\ndescription = 'd'\n[capabilities]\n{capabilities}");
        Manifest::parse(&text).expect("a valid manifest")
    }

    fn grant(text: &str) -> Grant {
        toml::from_str(text).expect("a valid grant")
    }

    const REQUESTS: &str = "clocks = true\nrandom = true\nkeyvalue = true\nllm = true\nconfig = ['region']\n\
        database = ['shop']\ndocuments = ['contracts']\nfilesystem = { '/in' = 'read', '/out' = 'write' }\n\
        [[capabilities.http]]\nhost = '*.example.com'\nmethods = ['GET', 'POST']";
    const GRANTS: &str = "clocks = true\nrandom = true\nkeyvalue = true\nllm = true\n\
        config = { region = 'eu', key = 'hush' }\ndatabase = { shop = 's', payroll = 'p' }\n\
        documents = { contracts = 'c', letters = 'l' }\n\
        filesystem = { '/in' = { folder = 'i', access = 'write' }, '/out' = { folder = 'o' }, '/etc' = { folder = 'e' } }\n\
        [[http]]\nhost = 'api.example.com'\n[[http]]\nhost = 'other.test'";

    #[test]
    fn a_capability_needs_request_and_grant() {
        let nothing = Effective::new(&manifest(""), &Grant::default()).expect("nothing");
        assert_eq!(nothing, Effective::default());
        let granted_only = Effective::new(&manifest(""), &grant(GRANTS)).expect("no settings");
        let http = granted_only.http.clone();
        assert_eq!(Effective { http: HttpPolicy::default(), ..granted_only }, Effective::default());
        assert!(http.grant(Scheme::Https, "api.example.com", 443, "GET").is_none());
        let requested_only = Effective::new(&manifest(REQUESTS), &Grant::default()).expect("no settings");
        let http = requested_only.http.clone();
        assert_eq!(Effective { http: HttpPolicy::default(), ..requested_only }, Effective::default());
        assert!(http.grant(Scheme::Https, "api.example.com", 443, "GET").is_none());
    }

    #[test]
    fn where_both_agree_the_narrower_holds() {
        let both = Effective::new(&manifest(REQUESTS), &grant(GRANTS)).expect("settings");
        assert!(both.clocks && both.random && both.keyvalue);
        assert_eq!((both.llm.max_calls, both.llm.max_tokens), (4, 512));
        assert_eq!(both.config.keys().collect::<Vec<_>>(), ["region"]);
        assert_eq!(both.database.keys().collect::<Vec<_>>(), ["shop"]);
        assert_eq!(both.documents.keys().collect::<Vec<_>>(), ["contracts"]);
        let access: Vec<_> =
            both.filesystem.iter().map(|(guest, preopen)| (guest.as_str(), preopen.access)).collect();
        assert_eq!(access, [("/in", Access::Read), ("/out", Access::Read)]);
        for (host, method, allowed) in [
            ("api.example.com", "GET", true),
            ("api.example.com", "POST", false),
            ("www.example.com", "GET", false),
            ("other.test", "GET", false),
        ] {
            assert_eq!(
                both.http.grant(Scheme::Https, host, 443, method).is_some(),
                allowed,
                "{host} {method}"
            );
        }
    }

    #[test]
    fn what_is_asked_and_what_is_given_can_be_seen() {
        let states = states(&manifest(REQUESTS).capabilities, &grant(GRANTS));
        let of = |name: &str| {
            states.iter().find(|state| state.capability == name).map(|s| (s.requested, s.granted))
        };
        assert_eq!(of("database shop"), Some((true, true)));
        assert_eq!(of("database payroll"), Some((false, true)));
        assert_eq!(of("filesystem /in (read)"), Some((true, true)));
        assert_eq!(of("filesystem /out (write)"), Some((true, false)));
        assert_eq!(of("filesystem /out (read)"), Some((true, true)));
        assert_eq!(of("filesystem /etc (read)"), Some((false, true)));
        assert_eq!(of("http https://*.example.com:443 GET,POST"), Some((true, false)));
        assert_eq!(of("http https://api.example.com:443 GET,HEAD"), Some((false, true)));
    }

    #[test]
    fn values_of_settings_are_in_no_debug_output() {
        let both = Effective::new(&manifest("config = ['key']"), &grant(GRANTS)).expect("settings");
        assert_eq!(both.config["key"].0, "hush");
        assert!(!format!("{both:?} {:?}", grant(GRANTS)).contains("hush"));
    }

    #[test]
    fn a_setting_that_is_not_there_is_named() {
        let missing = grant("config = { key = { env = 'PAWL_TEST_NO_SUCH_VARIABLE' } }");
        let error = Effective::new(&manifest("config = ['key']"), &missing).expect_err("not set");
        assert!(error.contains("PAWL_TEST_NO_SUCH_VARIABLE") && error.contains("key"), "{error}");
    }

    #[test]
    fn odd_grants_are_refused() {
        for text in [
            "network = true",
            "filesystem = { '/in' = '/srv' }",
            "[[http]]\nhost = 'a.test'\ncolour = 'red'",
            "[[http]]\nhost = 'http://a.test'",
            "[[http]]\nhost = 'a.test'\ntimeout = '1h'",
            "llm = { max-calls = -1 }",
            "config = { key = { file = 'x' } }",
        ] {
            assert!(toml::from_str::<Grant>(text).is_err(), "{text}");
        }
        assert_eq!(grant("llm = false").llm.max_calls, 0);
        let http =
            grant("[[http]]\nhost = 'a.test'\nprivate = true\nmax-response = '1KiB'\ntimeout = '2s'").http;
        assert!(http[0].private && http[0].max_response == 1024 && http[0].timeout == Duration::from_secs(2));
    }
}

//! plugin.toml: what a plugin is called and what it asks for.
//!
//! Invariant: an unknown key, a limit past its hard cap or a name that would not make a tool name is an error when
//! the file is read; nothing is guessed. A request grants nothing (see `grant`).
//!
//! ```toml
//! name = "calendar"                # kebab case, the first half of each tool's name
//! version = "0.1.0"
//! description = "Appointments: create, list, find free time."
//!
//! [capabilities]                   # requested; the operator grants them in pawl.toml (see `grant`)
//! clocks = true                    # wasi:clocks; without it the clock stands still at 1 January 2000
//! random = true                    # wasi:random; without it every call sees the same numbers
//! keyvalue = true                  # wasi:keyvalue, a store of the plugin's own
//! config = ["region"]              # wasi:config, by key
//! database = ["shop"]              # pawl:host/database, by logical name
//! database-write = ["shop"]        # to propose writes to it; each waits for a person's approval
//! documents = ["contracts"]        # pawl:host/documents, by the name of a collection
//! llm = true                       # pawl:host/llm, the host's model
//! filesystem = { "/in" = "read", "/out" = "write" }   # wasi:filesystem, by the folder that the guest sees
//!
//! [[capabilities.http]]            # wasi:http outbound: one entry per kind of request
//! host = "api.example.com"         # or "*.example.com": any name below it, not the name itself
//! methods = ["GET", "POST"]        # default: GET and HEAD
//! ports = [443]                    # default: 443, or 80 with `scheme = "http"`
//!
//! [limits]                         # of one call; every key with its default is in `limits`
//! memory = "64MiB"
//! time = "5s"
//! output = "1MiB"
//!
//! [prompt]
//! context = "schema"               # a function without parameters whose result is shown to the model beforehand
//! hint = "relate"                  # a function of one text, the user's request; its result is shown beside it
//! examples-from = { function = "examples", calls = "query" }   # further examples, made for what was granted: records
//!                                  # of a `request` and the arguments of the call
//! hidden = ["draft"]               # functions for people and programs (`pawl call`): the model is not offered them
//!
//! [[prompt.examples]]              # a request and the call that is right for it, shown to the model; 4 at most
//! request = "When am I free on 3 March 2031?"
//! function = "find-free-time"
//! arguments = { from = "2031-03-03", to = "2031-03-03", duration-minutes = 30 }
//! result = [{ start = "2031-03-03T14:00", end = "2031-03-03T17:00" }]   # with an answer, how the turn goes on
//! answer = "You are free from 14:00 to 17:00."
//! ```

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::http_rule::HttpRule;
use crate::limits::Limits;

/// The longest manifest that is read, in bytes.
const MAX_FILE: u64 = 64 * 1024;
/// The longest plugin name, in bytes: with a function's name it makes a tool name of 64 at most on most wires.
const MAX_NAME: usize = 32;
/// The longest description, in bytes. It goes into a prompt.
const MAX_DESCRIPTION: usize = 2048;
/// Examples of one plugin. Each costs every prompt its length.
const MAX_EXAMPLES: usize = 4;
/// The longest request of an example, in bytes.
const MAX_REQUEST: usize = 512;
/// Names, keys, folders or rules of one capability.
const MAX_REQUESTS: usize = 64;
/// The longest of them, in bytes.
const MAX_REQUESTED: usize = 256;

/// What a plugin says of itself and asks for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Kebab case; the first half of each tool's name.
    pub name: String,
    /// The plugin's own version, free text.
    pub version: String,
    /// What it is for, in a sentence; goes to the model.
    pub description: String,
    /// What it asks for.
    #[serde(default)]
    pub capabilities: Capabilities,
    /// What one call may use.
    #[serde(default)]
    pub limits: Limits,
    /// What the model is shown of it.
    #[serde(default)]
    pub prompt: Prompt,
}

/// What a plugin asks for. Effective only where the operator grants it too.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Capabilities {
    /// The time of day and the passing of time, `wasi:clocks`.
    pub clocks: bool,
    /// Real random numbers, `wasi:random`.
    pub random: bool,
    /// A key-value store of its own, `wasi:keyvalue/store`.
    pub keyvalue: bool,
    /// Keys of settings, `wasi:config/store`.
    pub config: Vec<String>,
    /// Folders as the guest sees them, each to read or to read and write, `wasi:filesystem`.
    pub filesystem: BTreeMap<String, Access>,
    /// Kinds of outbound requests, `wasi:http`.
    pub http: Vec<HttpRule>,
    /// Logical names of databases, read through `pawl:host/database`.
    pub database: Vec<String>,
    /// Those of them to which writes may be proposed; a person approves each.
    #[serde(rename = "database-write")]
    pub database_write: Vec<String>,
    /// Collections of documents, read through `pawl:host/documents`.
    pub documents: Vec<String>,
    /// The host's model, asked through `pawl:host/llm`.
    pub llm: bool,
}

/// What may be done with the files of a folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Access {
    /// List and read.
    Read,
    /// List, read, write, make and remove.
    Write,
}

/// What the model is shown beforehand.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Prompt {
    /// A function without parameters; its result goes into the prompt.
    pub context: Option<String>,
    /// A function of one text; called with each request, and its result stands beside it. No tool for the model.
    pub hint: Option<String>,
    /// A function that makes further examples, for what the operator granted.
    #[serde(rename = "examples-from")]
    pub examples_from: Option<ExamplesFrom>,
    /// Functions that the model is not offered; people and programs can call them.
    pub hidden: Vec<String>,
    /// Requests and the calls that are right for them.
    pub examples: Vec<Example>,
}

/// A function without parameters that gives a list of records: the request, and the arguments of the call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExamplesFrom {
    /// Its name.
    pub function: String,
    /// The function that is right to call with those arguments.
    pub calls: String,
}

/// A request in a person's words and the call that is right for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Example {
    /// What a person might write.
    pub request: String,
    /// The plugin's function to call.
    pub function: String,
    /// Its arguments by name.
    pub arguments: serde_json::Value,
    /// What the function gives then; shown with `answer` only.
    #[serde(default)]
    pub result: Option<serde_json::Value>,
    /// What a good answer says after that result.
    #[serde(default)]
    pub answer: Option<String>,
}

impl Manifest {
    /// Reads and checks a plugin.toml.
    ///
    /// # Errors
    /// `Error::Io` where it cannot be read, `Error::Manifest` where it does not say what it must.
    pub fn read(path: &Path) -> Result<Manifest, Error> {
        let io = |source| Error::Io { path: path.to_path_buf(), source };
        let wrong = |message| Error::Manifest { path: path.to_path_buf(), message };
        let bytes = crate::engine::read_file(path, MAX_FILE).map_err(io)?.map_err(wrong)?;
        let text = String::from_utf8(bytes).map_err(|_| wrong("it is not UTF-8 text".to_owned()))?;
        Manifest::parse(&text).map_err(wrong)
    }

    pub(crate) fn parse(text: &str) -> Result<Manifest, String> {
        let manifest: Manifest =
            toml::from_str(text).map_err(|error| error.to_string().trim_end().to_owned())?;
        manifest.check()?;
        Ok(manifest)
    }

    fn check(&self) -> Result<(), String> {
        if !is_kebab(&self.name) || self.name.len() > MAX_NAME {
            return Err(format!(
                "name `{}` must be kebab case, such as `my-plugin`, of at most {MAX_NAME} characters",
                self.name.escape_debug()
            ));
        }
        if self.description.len() > MAX_DESCRIPTION {
            let length = self.description.len();
            return Err(format!("description has {length} bytes; {MAX_DESCRIPTION} at most"));
        }
        self.limits.check()?;
        self.capabilities.check()?;
        if self.prompt.examples.len() > MAX_EXAMPLES {
            let count = self.prompt.examples.len();
            return Err(format!("prompt.examples has {count} entries; {MAX_EXAMPLES} at most"));
        }
        if let Some(long) = self.prompt.examples.iter().find(|example| example.request.len() > MAX_REQUEST) {
            let length = long.request.len();
            return Err(format!("a request of prompt.examples has {length} bytes; {MAX_REQUEST} at most"));
        }
        Ok(())
    }
}

impl Capabilities {
    fn check(&self) -> Result<(), String> {
        let folders: Vec<String> = self.filesystem.keys().cloned().collect();
        let hosts: Vec<String> = self.http.iter().map(HttpRule::host).collect();
        for (what, names) in [
            ("config", &self.config),
            ("database", &self.database),
            ("database-write", &self.database_write),
            ("documents", &self.documents),
            ("filesystem", &folders),
            ("http", &hosts),
        ] {
            if names.len() > MAX_REQUESTS {
                return Err(format!(
                    "capabilities.{what} has {} entries; {MAX_REQUESTS} at most",
                    names.len()
                ));
            }
            if let Some(bad) = names.iter().find(|name| name.is_empty() || name.len() > MAX_REQUESTED) {
                let length = bad.len();
                return Err(format!(
                    "an entry of capabilities.{what} has {length} bytes; 1 to {MAX_REQUESTED} are allowed"
                ));
            }
        }
        for folder in self.filesystem.keys() {
            let plain = folder.strip_prefix('/').is_some_and(|path| {
                path.split('/').all(|part| !matches!(part, "" | "." | "..")) && !path.contains(['\\', '\0'])
            });
            if !plain {
                return Err(format!(
                    "capabilities.filesystem names `{}`; give an absolute folder such as `/in`",
                    folder.escape_debug()
                ));
            }
        }
        Ok(())
    }
}

/// Whether `name` is a WIT-like name: words of lower-case letters and digits, each begun by a letter, joined by `-`.
fn is_kebab(name: &str) -> bool {
    name.split('-').all(|word| {
        word.starts_with(|c: char| c.is_ascii_lowercase())
            && word.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "name = 'calendar'\nversion = '0.1.0'\ndescription = 'Appointments.'\n";

    fn parse(rest: &str) -> Result<Manifest, String> {
        Manifest::parse(&format!("{HEAD}{rest}"))
    }

    #[test]
    fn a_short_manifest_asks_for_nothing_and_gets_the_default_limits() {
        let manifest = parse("").expect("valid");
        assert_eq!(manifest.capabilities, Capabilities::default());
        assert_eq!(manifest.limits, Limits::default());
    }

    #[test]
    fn bad_manifests_are_refused_with_the_reason() {
        for (rest, reason) in [
            ("[capabilities]\nnetwork = true", "network"),
            ("[limits]\nmemory = '2GiB'", "1 GiB"),
            ("[capabilities]\nfilesystem = { '/in' = 'execute' }", "execute"),
            ("[capabilities]\nfilesystem = { '/in/../etc' = 'read' }", "/in/../etc"),
            ("[capabilities]\nfilesystem = { 'in' = 'read' }", "`in`"),
            ("[capabilities]\ndatabase = ['']", "capabilities.database"),
            ("[[capabilities.http]]\nhost = 'https://a.example'", "https://a.example"),
            ("colour = 'red'", "colour"),
        ] {
            let message = parse(rest).expect_err(rest);
            assert!(message.contains(reason), "{rest}: {message}");
        }
        for name in ["", "Calendar", "a--b", "-a", "a b", "1a", "a/../b", &"a".repeat(33)] {
            let text = format!("name = '{name}'\nversion = '1'\ndescription = ''");
            assert!(Manifest::parse(&text).expect_err(name).contains("kebab"), "{name}");
        }
    }

    #[test]
    fn a_missing_manifest_names_its_path() {
        let error = Manifest::read(Path::new("no/such/plugin.toml")).expect_err("missing");
        assert!(error.to_string().contains("no/such/plugin.toml"), "{error}");
    }
}

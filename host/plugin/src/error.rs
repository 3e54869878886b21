//! What can go wrong: `Error` while a plugin is loaded, `CallError` while one of its functions runs.
//!
//! Invariant: a guest's own error, a guest's trap, a limit and a host fault are never confused, and each message
//! names the value, the limit and the mend, for it is read by a person or by the model that made the call.

use std::path::PathBuf;

use serde_json::Value;

/// Why a host could not start or a plugin could not be loaded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file or folder could not be read or written.
    #[error("{path}: {source}", path = .path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// plugin.toml does not say what it must, or says something that is not known.
    #[error("{path}: {message}", path = .path.display())]
    Manifest {
        /// The manifest.
        path: PathBuf,
        /// What is wrong and how to mend it.
        message: String,
    },
    /// The file is not a WebAssembly component.
    #[error("{path} is not a WebAssembly component: {message}", path = .path.display(), message = plain(.message))]
    NotAComponent {
        /// The file.
        path: PathBuf,
        /// What it is instead.
        message: String,
    },
    /// The component wants imports that this host does not have.
    #[error("{path} needs what this host does not offer: {}; build it against WASI 0.2 and the interfaces in wit/", few(.imports), path = .path.display())]
    Imports {
        /// The file.
        path: PathBuf,
        /// The names of the missing imports.
        imports: Vec<String>,
    },
    /// The component cannot serve as a plugin for another reason.
    #[error("{path} cannot be used: {message}", path = .path.display(), message = plain(.message))]
    Component {
        /// The file.
        path: PathBuf,
        /// Why, and how to mend it.
        message: String,
    },
    /// The component could not be compiled within the bounds of the compiler.
    #[error("{path} cannot be compiled: {message}", path = .path.display(), message = plain(.message))]
    Compiler {
        /// The file.
        path: PathBuf,
        /// What happened, with the bound.
        message: String,
    },
    /// The WebAssembly engine could not be set up.
    #[error("the WebAssembly engine could not start: {0}")]
    Engine(String),
    /// The key-value store could not be opened.
    #[error("key-value store {path}: {message}", path = .path.display())]
    Store {
        /// The store's file.
        path: PathBuf,
        /// What SQLite said.
        message: String,
    },
}

/// The longest text of a component that a message repeats, in characters.
const MAX_REPEATED: usize = 2000;
/// How many names a message lists.
const MAX_LISTED: usize = 20;

/// A message that can hold names of a stranger's component: short, and safe for a terminal and a log.
fn plain(message: &str) -> String {
    let clean = |c: char| if c.is_control() && c != '\n' { '\u{fffd}' } else { c };
    let mut text: String = message.chars().take(MAX_REPEATED).map(clean).collect();
    if message.chars().nth(MAX_REPEATED).is_some() {
        text.push('…');
    }
    text
}

fn few(names: &[String]) -> String {
    let listed = plain(&names[..names.len().min(MAX_LISTED)].join(", "));
    match names.len().checked_sub(MAX_LISTED + 1) {
        Some(_) => format!("{listed} and {} more", names.len() - MAX_LISTED),
        None => listed,
    }
}

/// Why a call gave no result.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum CallError {
    /// The plugin exports no such function.
    #[error("plugin `{plugin}` has no function `{function}`; it has: {known}")]
    UnknownFunction {
        /// The plugin's name.
        plugin: String,
        /// What was asked for.
        function: String,
        /// The functions that exist, joined by commas.
        known: String,
    },
    /// The arguments do not lift into the function's parameters. Nothing ran.
    #[error("argument `{path}`: {message}")]
    Arguments {
        /// Where in the arguments, such as `$.event.attendees[2]`.
        path: String,
        /// What was expected and what was given.
        message: String,
    },
    /// The function ran and returned its own error: the payload of `err`.
    #[error("the plugin answered with an error: {0}")]
    Guest(Value),
    /// The guest crashed.
    #[error("the plugin crashed: {message}")]
    Trap {
        /// The kind of trap, with what the guest last wrote to stderr.
        message: String,
    },
    /// A limit was reached and the guest was stopped.
    #[error("the plugin reached its {limit} limit of {value} and was stopped; ask for less in one call")]
    Limit {
        /// `time`, `fuel`, `memory`, `table-elements`, `instances`, `stack`, `handles`, `host-calls`, `input` or `output`.
        limit: &'static str,
        /// The limit, with its unit.
        value: String,
    },
    /// The call would write to a database. Nothing was written: a person must approve it first ([`crate::Plugin::trial`]).
    #[error("it would write, which a person must approve first")]
    NeedsApproval,
    /// The call that was approved would now write something else, or failed. Nothing was written.
    #[error("nothing was written, for it is not what was approved: {0}")]
    NotAsApproved(String),
    /// The step was done before under the same key, and this call wrote nothing ([`crate::Plugin::recorded`]).
    #[error("this step was done before and is recorded; nothing was written again")]
    Recorded,
    /// What the call would write cannot be recorded under the key of its step. Nothing was written.
    #[error("nothing was written: {0}")]
    NotRecordable(String),
    /// The connection was lost while the writes were being kept.
    #[error("it may have been written or not: {0}")]
    InDoubt(String),
    /// Something that the step needs is locked, or a disk full. Nothing was written; another time it can be.
    #[error("nothing was done, for something is busy: {0}")]
    Busy(String),
    /// The plugin's refinement of its own arguments cannot be used.
    #[error("the plugin narrows its arguments in a way that cannot be enforced: {0}")]
    Refinement(String),
    /// The host failed; neither the caller nor the guest is at fault.
    #[error("the host failed: {message}")]
    Host {
        /// What failed.
        message: String,
    },
}

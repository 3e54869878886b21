//! Any WebAssembly component's exported functions as tools, each call in a sandbox of its own.
//!
//! The life of a plugin, in order: [`Manifest::read`] says what it asks for, a [`Grant`] what it may have;
//! [`Host::load`] compiles the component (or takes it from the cache), reflects its WIT types into [`Tool`]s with
//! JSON Schemas and links it; [`Plugin::call`] lowers JSON into the function's parameters, runs it in a fresh store
//! under time, memory, stack and size limits, and lifts the result back into JSON.
//!
//! Invariant: a plugin reaches nothing but its arguments and the capabilities that it requested and was granted; no
//! input, component or guest makes the host panic, block past the limits or hold more memory than they say.

mod error;
mod grant;
mod manifest;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Serialize;
use serde_json::Value;

pub use error::{CallError, Error};
pub use grant::Grant;
pub use manifest::{Capabilities, Example, Limits, Manifest, Prompt};

/// Where a host keeps its files.
#[derive(Debug, Clone)]
pub struct HostOptions {
    /// Folder of compiled components; none compiles anew at each load.
    pub compiled: Option<PathBuf>,
    /// SQLite file of the plugins' key-value stores. Created when a plugin first opens its store.
    pub keyvalue: PathBuf,
}

/// The WebAssembly engine with everything that plugins share.
pub struct Host {
    _options: HostOptions,
}

/// A loaded plugin. Cheap to clone; calls run side by side, each in a store of its own.
#[derive(Clone)]
pub struct Plugin {
    inner: Arc<Loaded>,
}

struct Loaded {
    manifest: Manifest,
    tools: Vec<Tool>,
    digest: String,
}

/// One exported function, as a model or a client sees it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Tool {
    /// `<plugin>.<function>`, such as `calendar.create-event`.
    pub name: String,
    /// The function's name within the plugin, such as `create-event`.
    pub function: String,
    /// The function's WIT documentation; empty where there is none.
    pub description: String,
    /// JSON Schema of the arguments: an object with one property per parameter.
    pub parameters: Value,
    /// JSON Schema of the result; of the `ok` side where the function returns a `result`.
    pub result: Value,
}

impl Host {
    /// Sets up the engine.
    ///
    /// # Errors
    /// Where the engine cannot start or the folder of compiled components cannot be made.
    pub fn new(options: HostOptions) -> Result<Host, Error> {
        Ok(Host { _options: options })
    }

    /// Loads a component as a plugin.
    ///
    /// # Errors
    /// Where the file is not a component, wants imports that the host does not have, or has no usable types.
    pub fn load(&self, _component: &Path, manifest: Manifest, _grant: Grant) -> Result<Plugin, Error> {
        Ok(Plugin { inner: Arc::new(Loaded { manifest, tools: Vec::new(), digest: String::new() }) })
    }
}

impl Plugin {
    /// What the plugin said of itself.
    pub fn manifest(&self) -> &Manifest {
        &self.inner.manifest
    }

    /// Its functions, in the order of the component's exports.
    pub fn tools(&self) -> &[Tool] {
        &self.inner.tools
    }

    /// sha256 of the component file, in lower-case hex.
    pub fn digest(&self) -> &str {
        &self.inner.digest
    }

    /// Calls a function by its name within the plugin, with an object of its parameters by name.
    ///
    /// # Errors
    /// See [`CallError`]; on `UnknownFunction` and `Arguments` nothing ran.
    pub async fn call(&self, function: &str, _arguments: &Value) -> Result<Value, CallError> {
        Err(CallError::UnknownFunction {
            plugin: self.inner.manifest.name.clone(),
            function: function.to_owned(),
            known: String::new(),
        })
    }

    /// Checks that `arguments` lift into the function's parameters, without calling it.
    ///
    /// # Errors
    /// `UnknownFunction` or `Arguments`, as [`Plugin::call`] would give.
    pub fn lift_check(&self, _function: &str, _arguments: &Value) -> Result<(), CallError> {
        Ok(())
    }
}

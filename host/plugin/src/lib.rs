//! Any WebAssembly component's exported functions as tools, each call in a sandbox of its own.
//!
//! The life of a plugin, in order: [`Manifest::read`] says what it asks for, a [`Grant`] what it may have;
//! [`Host::load`] compiles the component (or takes it from the cache), reflects its WIT types into [`Tool`]s with
//! JSON Schemas and links it; [`Plugin::call`] lowers JSON into the function's parameters, runs it in a fresh store
//! under time, memory, stack and size limits, and lifts the result back into JSON.
//!
//! Invariant: a plugin reaches nothing but its arguments and the capabilities that it requested and was granted; no
//! input, component or guest makes the host panic, block past the limits or hold more memory than they say.

mod call;
mod capability;
mod compiler;
mod deadline;
mod docs;
mod engine;
mod error;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod grant;
mod http_rule;
mod limits;
mod lower;
mod manifest;
#[cfg(test)]
mod property;
#[cfg(test)]
mod random_wit;
mod refine;
mod reflect;
mod schema;
mod section;
mod step;
#[cfg(test)]
mod testing;
mod weight;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use serde::Serialize;
use serde_json::Value;
use tokio::sync::Semaphore;
use wasmtime::component::{Linker, Val};

use crate::call::{Setting, State};
use crate::capability::http::Network;
use crate::capability::llm::Slot;
use crate::capability::store::KeyValue;
use crate::compiler::Children;
use crate::engine::{Compiled, Engine, Metering};
use crate::grant::Effective;
use crate::reflect::Function;
use crate::weight::Weight;

use capability::database::Mode;
pub use capability::database::Write;
pub use capability::documents::is_document_id;
pub use capability::llm::{Answer, Completion, Message, Model, ModelError, Role, Shape};
pub use compiler::{Compiler, compile_stdin};
pub use deadline::Stop;
pub use docs::embed_wit;
pub use error::{CallError, Error};
pub use grant::{
    CapabilityState, DatabaseGrant, Grant, HttpGrant, LlmGrant, Place, Preopen, Setting as ConfigSetting,
};
pub use http_rule::{HttpRule, Scheme};
pub use limits::Limits;
pub use manifest::{Access, Capabilities, Example, ExamplesFrom, Manifest, Prompt};
pub use refine::{Refined, request};
pub use reflect::Excluded;
pub use schema::SchemaLimits;
pub use step::Effects;

/// Where a host keeps its files.
#[derive(Debug, Clone)]
pub struct HostOptions {
    /// Folder of compiled components; none compiles anew at each load. Made where it is missing, and closed to other
    /// users.
    pub compiled: Option<PathBuf>,
    /// A program that compiles components in a process of its own, with bounds; none compiles in this process, without.
    pub compiler: Option<Compiler>,
    /// SQLite file of the plugins' key-value stores. Created when a plugin first opens its store.
    pub keyvalue: PathBuf,
}

/// The WebAssembly engine with everything that plugins share.
pub struct Host {
    by_clock: Workshop,
    /// For plugins with `limits.fuel`; made when the first is loaded.
    by_fuel: Mutex<Option<Workshop>>,
    compiled: Option<PathBuf>,
    compiler: Option<Arc<Children>>,
    keyvalue: KeyValue,
    network: Arc<Network>,
    model: Slot,
    schema: SchemaLimits,
}

/// An engine and everything that guests on it can import.
#[derive(Clone)]
struct Workshop {
    engine: Arc<Engine>,
    linker: Linker<State>,
    /// Turns among all plugins of this engine.
    calls: Arc<Semaphore>,
}

impl Workshop {
    fn new(
        compiled: Option<PathBuf>,
        compiler: Option<Arc<Children>>,
        metering: Metering,
    ) -> Result<Workshop, Error> {
        let engine = Arc::new(Engine::new(compiled, compiler, metering)?);
        let linker = linker(&engine).map_err(|error| Error::Engine(format!("{error:#}")))?;
        Ok(Workshop { engine, linker, calls: Arc::new(Semaphore::new(metering.calls())) })
    }
}

/// A loaded plugin. Cheap to clone; calls run side by side, each in a store of its own. It works on after its host is
/// dropped.
#[derive(Clone)]
pub struct Plugin {
    setting: Arc<Setting>,
    // Last, for the clock of its engine.
    inner: Arc<Loaded>,
}

struct Loaded {
    manifest: Manifest,
    tools: Vec<Tool>,
    functions: Vec<Function>,
    refine: Option<Function>,
    excluded: Vec<Excluded>,
    imports: Vec<String>,
    digest: String,
    capabilities: Vec<CapabilityState>,
    /// Turns among all plugins.
    calls: Arc<Semaphore>,
    /// Turns among the calls of this plugin.
    own_calls: Arc<Semaphore>,
    /// How many turns among all a call takes.
    weight: Weight,
    // Last, so that the clock of the engine stops after everything else is gone.
    _engine: Arc<Engine>,
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

/// What of a plugin is called.
#[derive(Clone, Copy)]
enum Callee {
    Tool(usize),
    Refine,
}

impl Host {
    /// Sets up the engine.
    ///
    /// # Errors
    /// Where the engine cannot start or the folder of compiled components cannot be made.
    pub fn new(options: HostOptions) -> Result<Host, Error> {
        let compiler = options.compiler.map(|compiler| Arc::new(Children::new(compiler)));
        Ok(Host {
            by_clock: Workshop::new(options.compiled.clone(), compiler.clone(), Metering::Clock)?,
            by_fuel: Mutex::default(),
            compiled: options.compiled,
            compiler,
            keyvalue: KeyValue::new(options.keyvalue),
            network: Arc::new(Network::new()),
            model: Slot::default(),
            schema: SchemaLimits::default(),
        })
    }

    /// The same host with other bounds in the schemas of plugins that it loads from now on.
    #[must_use]
    pub fn with_schema_limits(mut self, limits: SchemaLimits) -> Host {
        self.schema = limits;
        self
    }

    /// Gives the model to the plugins that were granted it, those that are loaded already too. Until then, and on a host
    /// without a model, their requests are answered with `unavailable`. The first model stays; false where there was one.
    pub fn set_model(&self, model: Arc<dyn Model>) -> bool {
        self.model.set(model).is_ok()
    }

    /// Loads a component as a plugin. Blocks: the first time, compiling takes seconds.
    ///
    /// # Errors
    /// Where the file is not a component, wants imports that the host does not have, or exports no usable function.
    pub fn load(&self, component: &Path, manifest: Manifest, grant: Grant) -> Result<Plugin, Error> {
        let Workshop { engine, linker, calls } = self.workshop(&manifest)?;
        let Compiled { component: compiled, digest, bytes } = engine.compile(component)?;
        let imports = reflect::imports(&compiled);
        let pre = linker.instantiate_pre(&compiled).map_err(|error| Error::Imports {
            path: component.to_path_buf(),
            imports: missing(&imports, &format!("{error:#}")),
        })?;
        let unusable = |message| Error::Component { path: component.to_path_buf(), message };
        engine::check_resources(&compiled, manifest.limits.memory).map_err(unusable)?;
        let weight = weight::weight(&compiled, &manifest.limits, engine.metering.calls() as u32);
        let reflection = reflect::reflect(&compiled, &docs::Docs::read(&bytes), &manifest.name, self.schema);
        if reflection.tools.is_empty() {
            return Err(unusable(no_tools(&reflection.excluded)));
        }
        reflection.check(&manifest.prompt).map_err(unusable)?;
        let mut capabilities = Effective::new(&manifest, &grant).map_err(unusable)?;
        capability::folder::settle(&mut capabilities).map_err(unusable)?;
        let setting = Setting {
            plugin: manifest.name.as_str().into(),
            pre,
            limits: manifest.limits.clone(),
            capabilities: Arc::new(capabilities),
            keyvalue: self.keyvalue.clone(),
            network: Arc::clone(&self.network),
            model: Arc::clone(&self.model),
            stopped: None,
        };
        Ok(Plugin {
            setting: Arc::new(setting),
            inner: Arc::new(Loaded {
                capabilities: grant::states(&manifest.capabilities, &grant),
                own_calls: Arc::new(Semaphore::new(weight.calls)),
                weight,
                manifest,
                tools: reflection.tools,
                functions: reflection.functions,
                refine: reflection.refine,
                excluded: reflection.excluded,
                imports,
                digest,
                calls,
                _engine: engine,
            }),
        })
    }

    /// The engine for this plugin.
    fn workshop(&self, manifest: &Manifest) -> Result<Workshop, Error> {
        if manifest.limits.fuel.is_none() {
            return Ok(self.by_clock.clone());
        }
        let mut by_fuel = self.by_fuel.lock().unwrap_or_else(PoisonError::into_inner);
        match &*by_fuel {
            Some(made) => Ok(made.clone()),
            None => {
                let made = Workshop::new(self.compiled.clone(), self.compiler.clone(), Metering::Fuel)?;
                Ok(by_fuel.insert(made).clone())
            }
        }
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

    /// Exported functions that are no tools, each with the reason.
    pub fn excluded(&self) -> &[Excluded] {
        &self.inner.excluded
    }

    /// What it asks for and what it was granted.
    pub fn capabilities(&self) -> &[CapabilityState] {
        &self.inner.capabilities
    }

    /// Whether it was granted writes, each of which a person must approve.
    pub fn may_write(&self) -> bool {
        self.setting.capabilities.database.values().any(|granted| granted.write)
    }

    /// The same plugin, for calls that are about one document: in this collection it finds that file and no other, whatever folder
    /// was granted. None where it does not have the collection.
    ///
    /// # Errors
    /// Where there is no such regular file, or a link is in its path.
    pub fn with_document(&self, collection: &str, file: &Path) -> std::io::Result<Option<Plugin>> {
        if !self.setting.capabilities.documents.contains_key(collection) {
            return Ok(None);
        }
        let mut capabilities = Effective::clone(&self.setting.capabilities);
        capabilities.documents.insert(collection.to_owned(), capability::folder::one(file)?);
        let setting = Setting { capabilities: Arc::new(capabilities), ..Setting::clone(&self.setting) };
        Ok(Some(Plugin { setting: Arc::new(setting), inner: Arc::clone(&self.inner) }))
    }

    /// The same plugin, for calls that are stopped when what comes with it is dropped, wherever they are. For calls without effects
    /// only ([`Plugin::effects`]): of others it could not be said how far they came.
    pub fn stoppable(&self) -> (Plugin, Stop) {
        let (stop, stopped) = Stop::new();
        let setting = Setting { stopped: Some(stopped), ..Setting::clone(&self.setting) };
        (Plugin { setting: Arc::new(setting), inner: Arc::clone(&self.inner) }, stop)
    }

    /// The names of the interfaces that the component imports.
    pub fn imports(&self) -> &[String] {
        &self.inner.imports
    }

    /// sha256 of the component file, in lower-case hex.
    pub fn digest(&self) -> &str {
        &self.inner.digest
    }

    /// Calls a function by its name within the plugin, with an object of its parameters by name.
    ///
    /// Runs on a blocking thread of the current tokio runtime (with time and I/O enabled, thread stacks of at least 2 MiB).
    /// Dropping the future does not stop the guest; its time limit does.
    ///
    /// # Errors
    /// See [`CallError`]; on `UnknownFunction` and `Arguments` nothing ran.
    pub async fn call(&self, function: &str, arguments: &Value) -> Result<Value, CallError> {
        let index = self.index(function)?;
        let values = self.lower(index, arguments)?;
        Ok(self.run(Callee::Tool(index), values, Mode::Ordinary, None).await?.0)
    }

    /// Finds out what a call would write to databases: runs it, in transactions that are rolled back, without anything else
    /// that reaches beyond the call (no store, no network, no files written, no model).
    ///
    /// # Errors
    /// As [`Plugin::call`] gives.
    pub async fn trial(&self, function: &str, arguments: &Value) -> Result<Vec<Write>, CallError> {
        let index = self.index(function)?;
        let values = self.lower(index, arguments)?;
        Ok(self.run(Callee::Tool(index), values, Mode::Trial, None).await?.1)
    }

    /// Runs a call that a person approved: it may make exactly the writes that they were shown, and they are kept if all of
    /// them are made and touch as many rows.
    ///
    /// With the `key` of a step of a workflow they are made once, whatever happens meanwhile ([`Plugin::recorded`]). Without, the
    /// host does not know whether it was done before.
    ///
    /// # Errors
    /// As [`Plugin::call`] gives, and where nothing was written, [`CallError::NotAsApproved`], [`CallError::Recorded`] and
    /// [`CallError::NotRecordable`]; [`CallError::InDoubt`] where that is not known.
    pub async fn carry_out(
        &self,
        function: &str,
        arguments: &Value,
        approved: Vec<Write>,
        key: Option<&str>,
    ) -> Result<Value, CallError> {
        let step = key.map(step::checked).transpose()?;
        let index = self.index(function)?;
        let values = self.lower(index, arguments)?;
        Ok(self.run(Callee::Tool(index), values, Mode::Approved(approved), step).await?.0)
    }

    /// Its tools narrowed to what exists now, by its export `pawl:plugin/refine`; as they are where it has none.
    ///
    /// # Errors
    /// Where `refine` fails, or gives what cannot be enforced. Then none of the tools is to be offered.
    pub async fn refined(&self) -> Result<Vec<Refined>, CallError> {
        if self.inner.refine.is_none() {
            return Ok(self.inner.tools.iter().map(Refined::plain).collect());
        }
        let (returned, _) = self.run(Callee::Refine, Vec::new(), Mode::Ordinary, None).await?;
        refine::apply(&self.inner.tools, returned).map_err(CallError::Refinement)
    }

    /// Waits for its turn and runs a function on a blocking thread.
    async fn run(
        &self,
        callee: Callee,
        values: Vec<Val>,
        mode: Mode,
        step: Option<Arc<str>>,
    ) -> Result<(Value, Vec<Write>), CallError> {
        // A plugin's own turn first, so that one that is full holds nobody else's place.
        let turns = async {
            let own = Arc::clone(&self.inner.own_calls).acquire_owned().await;
            (own, Arc::clone(&self.inner.calls).acquire_many_owned(self.inner.weight.turns).await)
        };
        let Ok((Ok(own), Ok(shared))) = tokio::time::timeout(call::MAX_QUEUE, turns).await else {
            let limit = self.inner.weight.calls;
            return Err(CallError::Host {
                message: format!(
                    "{limit} calls of this plugin, or all that the host can run, were running for {} s; try again",
                    call::MAX_QUEUE.as_secs()
                ),
            });
        };
        let (inner, setting) = (Arc::clone(&self.inner), Arc::clone(&self.setting));
        let run = move || {
            let result = match (callee, &inner.refine) {
                (Callee::Refine, Some(refine)) => call::run(&setting, refine, &values, mode, step),
                (Callee::Tool(index), _) => call::run(&setting, &inner.functions[index], &values, mode, step),
                (Callee::Refine, None) => Ok((Value::Array(Vec::new()), Vec::new())),
            };
            drop((own, shared));
            result
        };
        tokio::task::spawn_blocking(run).await.unwrap_or_else(|error| {
            tracing::error!(plugin = self.inner.manifest.name, "a call failed in the host: {error}");
            Err(CallError::Host {
                message: "the call could not be carried out; the host's log says why".to_owned(),
            })
        })
    }

    /// Checks that `arguments` lift into the function's parameters, without calling it.
    ///
    /// # Errors
    /// `UnknownFunction`, `Arguments` or `Limit`, as [`Plugin::call`] would give.
    pub fn lift_check(&self, function: &str, arguments: &Value) -> Result<(), CallError> {
        let index = self.index(function)?;
        self.lower(index, arguments).map(drop)
    }

    fn lower(&self, index: usize, arguments: &Value) -> Result<Vec<Val>, CallError> {
        let (function, limits) = (&self.inner.functions[index], &self.inner.manifest.limits);
        lower::arguments(&function.parameters, arguments, limits.input)
    }

    fn index(&self, name: &str) -> Result<usize, CallError> {
        self.inner.functions.iter().position(|function| function.name == name).ok_or_else(|| {
            let known: Vec<&str> =
                self.inner.functions.iter().map(|function| function.name.as_str()).collect();
            CallError::UnknownFunction {
                plugin: self.inner.manifest.name.clone(),
                function: name.chars().take(100).collect(),
                known: known.join(", "),
            }
        })
    }
}

/// Everything that a guest can import.
fn linker(engine: &Engine) -> wasmtime::Result<Linker<State>> {
    let mut linker = Linker::new(&engine.wasmtime);
    capability::add_to_linker(&mut linker)?;
    Ok(linker)
}

/// The imports that no interface of the host answers to; where each seems known, what the linker said.
fn missing(imports: &[String], error: &str) -> Vec<String> {
    let unknown: Vec<String> = imports.iter().filter(|import| !capability::serves(import)).cloned().collect();
    if unknown.is_empty() { vec![error.to_owned()] } else { unknown }
}

fn no_tools(excluded: &[Excluded]) -> String {
    let reasons = excluded.iter().take(5).map(|item| format!("{}: {}", item.function, item.reason));
    let reasons: Vec<String> = reasons.collect();
    if reasons.is_empty() {
        "it exports no function; export some in its world".to_owned()
    } else {
        format!("none of its exported functions can be a tool ({})", reasons.join("; "))
    }
}

#[cfg(test)]
mod tests {
    use anyhow::Result;
    use serde_json::json;

    use super::*;
    use crate::testing::{Home, component, dummy};

    #[test]
    fn imports_that_the_host_does_not_have_are_all_named() -> Result<()> {
        let home = Home::new()?;
        let wit = "package test:test;
            interface other { run: func(); }
            world w { import other; import log: func(text: string); import wasi:cli/environment@0.2.0; export f: func(); }
            package wasi:cli@0.2.0 { interface environment { get-arguments: func() -> list<string>; } }";
        let error = home.load(&dummy(wit)?, "", Grant::default()).err().expect("not linkable");
        match error.downcast_ref::<Error>() {
            Some(Error::Imports { imports, .. }) => assert_eq!(imports, &["test:test/other", "log"]),
            other => panic!("{other:?}"),
        }
        Ok(())
    }

    #[test]
    fn a_component_without_usable_functions_is_refused_with_the_reasons() -> Result<()> {
        let home = Home::new()?;
        let error =
            home.load(&dummy("package test:test; world w {}")?, "", Grant::default()).err().expect("empty");
        assert!(error.to_string().contains("exports no function"), "{error}");
        let wit = "package test:test; interface i { resource r { constructor(); } make: func() -> r; } world w { export i; }";
        let error = home.load(&dummy(wit)?, "", Grant::default()).err().expect("only resources");
        assert!(
            error.to_string().contains("test:test/i#make") && error.to_string().contains("resource"),
            "{error}"
        );
        Ok(())
    }

    #[test]
    fn a_component_that_could_never_start_is_refused_when_it_is_loaded() -> Result<()> {
        let home = Home::new()?;
        let module = "(module (memory (export \"memory\") 2) (func (export \"f\")))";
        let component = component("package test:test; world w { export f: func(); }", module)?;
        let error =
            home.load(&component, "[limits]\nmemory = '127KiB'", Grant::default()).err().expect("too large");
        assert!(error.to_string().contains("131072"), "{error}");
        home.load(&component, "[limits]\nmemory = '128KiB'", Grant::default())?;
        Ok(())
    }

    #[test]
    fn what_the_prompt_names_must_be_functions_of_the_right_kind() -> Result<()> {
        let home = Home::new()?;
        let wit = "package test:test; world w { export f: func() -> u8; export g: func(x: u8); export s: func(x: string) -> string; }";
        let component = dummy(wit)?;
        let good = "[prompt]\ncontext = 'f'\nhint = 's'\nhidden = ['g']\nexamples-from = { function = 'f', calls = 'g' }";
        home.load(&component, good, Grant::default())?;
        for (key, name) in
            [("context", "'g'"), ("context", "'h'"), ("hint", "'f'"), ("hint", "'g'"), ("hidden", "['h']")]
        {
            let more = format!("[prompt]\n{key} = {name}");
            let error = home.load(&component, &more, Grant::default()).err().expect("unusable").to_string();
            let named = name.trim_matches(['[', ']', '\'']);
            assert!(error.contains(&format!("prompt.{key} `{named}`")), "{error}");
        }
        Ok(())
    }

    #[tokio::test]
    async fn unknown_functions_and_wrong_arguments_run_nothing() -> Result<()> {
        let home = Home::new()?;
        let wit = "package test:test; world w { export f: func(x: u8) -> u8; }";
        let plugin = home.load(
            &component(wit, "(module (func (export \"f\") (param i32) (result i32) unreachable))")?,
            "",
            Grant::default(),
        )?;
        let error = plugin.call("g", &json!({})).await.expect_err("unknown");
        assert_eq!(error.to_string(), "plugin `test` has no function `g`; it has: f");
        let error = plugin.call("f", &json!({"x": 256})).await.expect_err("too large");
        assert_eq!(error.to_string(), "argument `$.x`: expected u8 (a whole number from 0 to 255), got 256");
        assert_eq!(plugin.lift_check("f", &json!({"x": 256})), Err(error));
        assert_eq!(plugin.lift_check("f", &json!({"x": 255})), Ok(()));
        let giant = json!({ "x": "a".repeat(5 << 20) });
        assert!(matches!(plugin.call("f", &giant).await, Err(CallError::Limit { limit: "input", .. })));
        Ok(())
    }

    #[test]
    fn a_plugin_knows_its_digest_and_imports() -> Result<()> {
        let home = Home::new()?;
        let wit = "package test:test; world w { import wasi:io/poll@0.2.0; export f: func(); }
            package wasi:io@0.2.0 { interface poll { resource pollable { block: func(); } } }";
        let plugin = home.load(&dummy(wit)?, "", Grant::default())?;
        assert_eq!(plugin.imports(), ["wasi:io/poll@0.2.0"]);
        assert_eq!(plugin.digest().len(), 64);
        assert!(plugin.excluded().is_empty());
        Ok(())
    }
}

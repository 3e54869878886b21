//! The composition root: settings in, a model and plugins out. Everything that is made once is made here.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use pawl_llm::{Grammar, Llm, ModelOptions, Runtime};
use pawl_plugin::{CallError, Grant, Host, HostOptions, Manifest, Plugin, Tool};
use serde_json::{Map, Value};

use crate::chat::decision::Offered;
use crate::chat::{Chat, Example};
use crate::config::{Config, PluginConfig};

/// Why Pawl cannot be put together, and the mend.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AppError {
    #[error("ONNX Runtime: {0}; `cargo xtask setup` fetches it, --onnxruntime names another")]
    Runtime(pawl_llm::Error),
    #[error(
        "no model \"{name}\" in {folder}; `cargo xtask start` fetches the default, `pawl model import FILE.gguf` adds one"
    )]
    NoModel { name: String, folder: String },
    #[error("model \"{name}\": {error}")]
    Model { name: String, error: pawl_llm::Error },
    #[error("plugin host: {0}")]
    Host(pawl_plugin::Error),
    #[error("data folder {folder}: {error}")]
    Data { folder: String, error: std::io::Error },
    #[error("a worker of the start ended early: {0}")]
    Worker(String),
}

/// A plugin that was asked for and is not there; the others go on.
#[derive(Debug, Clone)]
pub(crate) struct Missing {
    pub(crate) plugin: String,
    pub(crate) why: String,
}

/// The plugins that are loaded. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Plugins {
    loaded: Arc<Vec<Plugin>>,
    examples: Arc<Vec<Example>>,
    /// Tools whose schema the decoder cannot enforce, by full name, with the reason. Never offered to the model.
    undecodable: Arc<BTreeMap<String, String>>,
    missing: Arc<Vec<Missing>>,
}

impl Plugins {
    /// Loads every plugin of the settings, in parallel. One that cannot be loaded is reported and left out.
    pub(crate) fn load(config: &Config) -> Result<Plugins, AppError> {
        let host = plugin_host(config)?;
        let results: Vec<Result<Plugin, Missing>> = std::thread::scope(|scope| {
            let loading: Vec<_> =
                config.plugins.iter().map(|plugin| scope.spawn(|| load_one(&host, plugin))).collect();
            loading
                .into_iter()
                .zip(&config.plugins)
                .map(|(thread, plugin)| {
                    thread.join().unwrap_or_else(|_| {
                        Err(Missing { plugin: plugin.name.clone(), why: "loading it panicked".into() })
                    })
                })
                .collect()
        });
        let (mut loaded, mut missing) = (Vec::new(), Vec::new());
        for result in results {
            match result {
                Ok(plugin) => loaded.push(plugin),
                Err(why) => {
                    tracing::debug!(plugin = why.plugin, "not loaded: {}", why.why);
                    missing.push(why);
                }
            }
        }
        let examples = Arc::new(examples(&loaded, config));
        Ok(Plugins {
            loaded: Arc::new(loaded),
            examples,
            undecodable: Arc::default(),
            missing: Arc::new(missing),
        })
    }

    /// Keeps from the model what the decoder cannot enforce, so that one odd schema does not spoil every turn. Such a
    /// tool can still be called without a model.
    fn checked_by(mut self, llm: &Llm) -> Plugins {
        let refused = self.tools().filter_map(|tool| {
            let error = llm.check(&Grammar::JsonSchema(tool.parameters.clone())).err()?;
            tracing::error!(tool = tool.name, "not offered to the model: {error}");
            Some((tool.name.clone(), error.to_string()))
        });
        self.undecodable = Arc::new(refused.collect());
        self
    }

    pub(crate) fn undecodable(&self) -> &BTreeMap<String, String> {
        &self.undecodable
    }

    pub(crate) fn loaded(&self) -> &[Plugin] {
        &self.loaded
    }

    pub(crate) fn missing(&self) -> &[Missing] {
        &self.missing
    }

    /// Every tool of every plugin.
    pub(crate) fn tools(&self) -> impl Iterator<Item = &Tool> {
        self.loaded.iter().flat_map(|plugin| plugin.tools())
    }

    /// The full name of a tool, given as `plugin.function` or, on wires that forbid dots, `plugin__function`.
    pub(crate) fn resolve(&self, name: &str) -> Option<&Tool> {
        self.tools().find(|tool| tool.name == name || wire_name(&tool.name) == name)
    }

    /// Calls a tool by its full name.
    pub(crate) async fn call(&self, tool: &str, arguments: &Value) -> Result<Value, CallError> {
        for plugin in self.loaded.iter() {
            if let Some(found) = plugin.tools().iter().find(|candidate| candidate.name == tool) {
                return plugin.call(&found.function, arguments).await;
            }
        }
        let (plugin, function) = tool.split_once('.').unwrap_or(("", tool));
        let known = self.tools().map(|tool| tool.name.as_str()).collect::<Vec<_>>().join(", ");
        Err(CallError::UnknownFunction { plugin: plugin.to_owned(), function: function.to_owned(), known })
    }

    /// The tools as the model is offered them.
    pub(crate) fn offered(&self) -> Vec<Offered> {
        self.tools()
            .filter(|tool| !self.undecodable.contains_key(&tool.name))
            .map(|tool| Offered {
                name: tool.name.clone(),
                description: tool.description.clone(),
                parameters: tool.parameters.clone(),
            })
            .collect()
    }

    /// What plugins say of their world, as in a database's schema.
    pub(crate) async fn contexts(&self) -> Vec<(String, String)> {
        let mut contexts = Vec::new();
        for plugin in self.loaded.iter() {
            let Some(function) = &plugin.manifest().prompt.context else { continue };
            let name = format!("{}.{function}", plugin.manifest().name);
            let text = match plugin.call(function, &Value::Object(Map::new())).await {
                Ok(Value::String(text)) => text,
                Ok(other) => other.to_string(),
                Err(error) => format!("error: {error}"),
            };
            contexts.push((name, text));
        }
        contexts
    }

    /// What the model is shown of good turns.
    pub(crate) fn examples(&self) -> &[Example] {
        &self.examples
    }
}

/// Requests that no tool serves, and how to reply.
const ANSWERS: [(&str, &str); 5] = [
    ("Good morning!", "Good morning! What can I do for you?"),
    ("Who painted the Mona Lisa?", "Leonardo da Vinci painted it."),
    ("Order me a taxi to the station.", "I have no tool that orders taxis, so I cannot do that."),
    ("Will my train be on time tomorrow?", "I have no tool that knows about trains, so I cannot say."),
    ("A subject line for our spring newsletter, please", "Fresh starts: what is new with us this spring"),
];

/// The examples of the plugins and of the settings, with the built-in ones of plain answers between them.
fn examples(loaded: &[Plugin], config: &Config) -> Vec<Example> {
    let mut examples = Vec::new();
    let mut answers = ANSWERS.iter().map(|(request, answer)| Example {
        request: (*request).to_owned(),
        call: None,
        answer: Some((*answer).to_owned()),
    });
    for plugin in loaded {
        let manifest = plugin.manifest();
        let settings = config.plugins.iter().filter(|settings| settings.name == manifest.name);
        for example in manifest.prompt.examples.iter().chain(settings.flat_map(|settings| &settings.examples))
        {
            let tool = format!("{}.{}", manifest.name, example.function);
            let known = plugin.tools().iter().any(|tool| tool.function == example.function);
            if !known {
                tracing::warn!("an example calls {tool}, which there is not; it is left out");
                continue;
            }
            examples.push(Example {
                request: example.request.clone(),
                call: Some((tool, example.arguments.clone(), example.result.clone())),
                answer: example.answer.clone(),
            });
        }
        examples.extend(answers.by_ref().take(2));
    }
    examples.extend(answers);
    examples
}

/// `calendar.create-event` on wires that forbid dots.
pub(crate) fn wire_name(tool: &str) -> String {
    tool.replace('.', "__")
}

/// A plugin host over the folders of the settings, without plugins.
pub(crate) fn plugin_host(config: &Config) -> Result<Host, AppError> {
    make_private(&config.home.data)?;
    let options = HostOptions { compiled: Some(config.home.compiled()), keyvalue: config.home.keyvalue() };
    Host::new(options).map_err(AppError::Host)
}

fn load_one(host: &Host, plugin: &PluginConfig) -> Result<Plugin, Missing> {
    let missing = |why: String| Missing { plugin: plugin.name.clone(), why };
    let manifest =
        Manifest::read(&plugin.folder.join("plugin.toml")).map_err(|error| missing(error.to_string()))?;
    if manifest.name != plugin.name {
        return Err(missing(format!(
            "its plugin.toml says name = \"{}\"; make the two agree",
            manifest.name
        )));
    }
    let component = plugin.folder.join(format!("{}.wasm", plugin.name));
    let grant: Grant = plugin.grant.clone();
    host.load(&component, manifest, grant).map_err(|error| missing(error.to_string()))
}

/// Makes a folder that only its owner can read.
fn make_private(folder: &std::path::Path) -> Result<(), AppError> {
    let fail = |error| AppError::Data { folder: folder.display().to_string(), error };
    if folder.is_dir() {
        return Ok(());
    }
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder).map_err(fail)
}

/// Loads the model of the settings. Blocks for seconds: call it on a thread of its own.
pub(crate) fn load_model(config: &Config) -> Result<Llm, AppError> {
    let name = config.model.name.clone();
    let folder = config.home.model(&name);
    if name.is_empty() || name.contains(['/', '\\']) || !folder.join("config.json").is_file() {
        let folder = folder.parent().unwrap_or(&folder).display().to_string();
        return Err(AppError::NoModel { name, folder });
    }
    let runtime = Runtime::load(&config.onnxruntime).map_err(AppError::Runtime)?;
    let mut options = ModelOptions { context: config.model.context, ..ModelOptions::default() };
    if let Some(threads) = config.model.threads {
        options.threads = threads;
    }
    Llm::load(&runtime, &folder, &options).map_err(|error| AppError::Model { name, error })
}

/// Everything that a chat needs, and how long it took to put together.
pub(crate) async fn start(config: &Config) -> Result<(Chat, Duration), AppError> {
    let started = Instant::now();
    let (for_model, for_plugins) = (config.clone(), config.clone());
    let model = tokio::task::spawn_blocking(move || load_model(&for_model));
    let plugins = tokio::task::spawn_blocking(move || Plugins::load(&for_plugins));
    let worker = |error: tokio::task::JoinError| AppError::Worker(error.to_string());
    let (llm, plugins) = (model.await.map_err(worker)??, plugins.await.map_err(worker)??);
    let plugins = plugins.checked_by(&llm);
    let chat = Chat { llm, plugins, limits: config.chat.clone(), arrivals: Arc::default() };
    Ok((chat, started.elapsed()))
}

//! The composition root: settings in, a model and plugins out. Everything that is made once is made here.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Semaphore;

use pawl_llm::{Embedder, Llm, Message, ModelOptions, Prompt, Runtime};

use crate::approvals::Approvals;
use crate::chat::Chat;
use crate::config::Config;
use crate::plugins::Plugins;
use crate::plugins::lock::LockError;
use crate::record::Recorder;

/// Why Pawl cannot be put together, and the mend.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AppError {
    #[error("ONNX Runtime: {0}; --onnxruntime names another")]
    Runtime(pawl_llm::Error),
    #[error(
        "no model \"{name}\" in {folder}; `pawl model pull` gets one (`pawl model list` has names), `pawl model import FILE.gguf` makes one"
    )]
    NoModel { name: String, folder: String },
    #[error(
        "no embedding model \"{name}\" in {folder}; `pawl model pull all-minilm-l6-v2` gets one, `pawl model import FOLDER` makes one of a folder with model.safetensors"
    )]
    NoEmbedder { name: String, folder: String },
    #[error("model \"{name}\": {error}")]
    Model { name: String, error: pawl_llm::Error },
    #[error("plugin host: {0}")]
    Host(pawl_plugin::Error),
    #[error("{0}")]
    Lock(LockError),
    #[error("data folder {folder}: {error}")]
    Data { folder: String, error: std::io::Error },
    #[error("record of conversations: {0}")]
    Record(#[from] pawl_flow::StoreError),
    #[error(transparent)]
    Approvals(#[from] pawl_flow::ApprovalError),
    #[error("a worker of the start ended early: {0}")]
    Worker(String),
}

/// Loads the model of the settings. Blocks for seconds: call it on a thread of its own.
pub(crate) fn load_model(config: &Config) -> Result<Llm, AppError> {
    let name = config.model.name.clone();
    let folder =
        model_folder(config, &name).map_err(|folder| AppError::NoModel { name: name.clone(), folder })?;
    let runtime = Runtime::load(&config.onnxruntime).map_err(AppError::Runtime)?;
    let mut options = ModelOptions {
        context: config.model.context,
        providers: config.model.providers.clone(),
        slots: config.model.at_once,
        kv_bytes: config.model.prefix_cache,
        ..ModelOptions::default()
    };
    if let Some(threads) = config.model.threads {
        options.threads = threads;
    }
    Llm::load(&runtime, &folder, &options).map_err(|error| AppError::Model { name, error })
}

/// Renderings at once: a long prompt takes much memory, and time.
static RENDERING: Semaphore = Semaphore::const_new(2);
/// Those that may wait for it, with those that run.
const WAITING: usize = 64;
static PLACES: Semaphore = Semaphore::const_new(WAITING);

/// [`render`], refused where many wait already: the model's own queue does not know of them yet.
pub(crate) async fn render_first(llm: &Llm, messages: Vec<Message>) -> Result<Prompt, pawl_llm::Error> {
    let _place = PLACES.try_acquire().map_err(|_| pawl_llm::Error::Busy { waiting: WAITING })?;
    render(llm, messages).await
}

/// Messages to tokens, off the runtime's threads.
pub(crate) async fn render(llm: &Llm, messages: Vec<Message>) -> Result<Prompt, pawl_llm::Error> {
    let turn = RENDERING.acquire().await.map_err(|error| pawl_llm::Error::Stopped(error.to_string()))?;
    let llm = llm.clone();
    // It goes on when nobody waits for it any more, and so does its turn.
    let rendered = tokio::task::spawn_blocking(move || (turn, llm.render(&messages)).1).await;
    rendered.unwrap_or_else(|error| Err(pawl_llm::Error::Stopped(error.to_string())))
}

/// Loads the embedding model of the settings, if they name one. Blocks for a second: call it on a thread of its own.
pub(crate) fn load_embedder(config: &Config) -> Result<Option<Embedder>, AppError> {
    let Some(name) = config.embeddings.clone() else { return Ok(None) };
    let folder =
        model_folder(config, &name).map_err(|folder| AppError::NoEmbedder { name: name.clone(), folder })?;
    let runtime = Runtime::load(&config.onnxruntime).map_err(AppError::Runtime)?;
    let threads = config.model.threads.unwrap_or(ModelOptions::default().threads);
    Embedder::load(&runtime, &folder, threads).map(Some).map_err(|error| AppError::Model { name, error })
}

/// The folder of a model by its name; where there is none, the folder that it should be in.
fn model_folder(config: &Config, name: &str) -> Result<PathBuf, String> {
    let folder = config.home.model(name);
    if name.is_empty() || name.contains(['/', '\\']) || !folder.join("config.json").is_file() {
        return Err(folder.parent().unwrap_or(&folder).display().to_string());
    }
    Ok(folder)
}

/// Everything that a chat needs, and how long it took to put together.
pub(crate) async fn start(config: &Config) -> Result<(Chat, Duration), AppError> {
    let started = Instant::now();
    let (for_model, for_plugins) = (config.clone(), config.clone());
    let model = tokio::task::spawn_blocking(move || load_model(&for_model));
    let plugins = tokio::task::spawn_blocking(move || Plugins::load(&for_plugins));
    let worker = |error: tokio::task::JoinError| AppError::Worker(error.to_string());
    let (llm, plugins) = (model.await.map_err(worker)??, plugins.await.map_err(worker)??);
    let (checking, with) = (plugins, llm.clone());
    let plugins = tokio::task::spawn_blocking(move || checking.checked_by(&with)).await.map_err(worker)?;
    let home = config.home.clone();
    let approvals = tokio::task::spawn_blocking(move || Approvals::open(&home)).await.map_err(worker)??;
    let (home, record) = (config.home.clone(), config.record.clone());
    let recorder =
        tokio::task::spawn_blocking(move || Recorder::open(&home, &record)).await.map_err(worker)??;
    let limits = config.chat.clone();
    let chat = Chat { llm, plugins, approvals, recorder, limits, arrivals: Arc::default() };
    Ok((chat, started.elapsed()))
}

//! Settings: raw (as written) to resolved (typed, absolute, checked), once, at start.
//!
//! Order: flag over environment over file over the embedded `default.toml`. Unknown keys are errors. After [`Config`]
//! is made, nothing else reads a settings file, and the environment only for secrets (`{ env = … }` in grants and triggers,
//! tokens of hubs and registries) and for who the user at the terminal is.

mod home;
pub(crate) mod triggers;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

pub(crate) use home::Home;
use jiff::tz::TimeZone;
use pawl_llm::Provider;
use pawl_plugin::{DatabaseGrant, Example, Grant};
use serde::Deserialize;
use triggers::{RawTrigger, TriggerConfig};

/// The settings file that is used when none is given.
pub(crate) const DEFAULT_TOML: &str = include_str!("default.toml");

/// The file that ONNX Runtime's wheel carries, and that `cargo xtask` puts under `<home>/runtime`.
pub(crate) const RUNTIME_FILE: &str = "libonnxruntime.so.1.32.0";
/// The same of its build for NVIDIA's GPUs, which `cargo xtask start --gpu cuda` puts there.
const CUDA_RUNTIME_FILE: &str = "cuda/libonnxruntime.so.1.31.1";

/// What is wrong with the settings, and the mend.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConfigError {
    #[error("settings file {path} cannot be read; give another with --config")]
    Read { path: PathBuf, source: std::io::Error },
    #[error("settings file {path}: {message}")]
    Parse { path: String, message: String },
    #[error("time-zone \"{name}\" is not an IANA name such as Europe/Berlin: {message}")]
    TimeZone { name: String, message: String },
    #[error("{key} = \"{value}\" is not a size such as \"6KiB\", \"256MiB\" or \"1GiB\"")]
    Size { key: &'static str, value: String },
    #[error("{key} = {value} is out of range; use {least} to {most}")]
    Range { key: &'static str, value: usize, least: usize, most: usize },
    #[error("model.providers: {0}")]
    Provider(String),
    #[error("trigger \"{name}\": {why}")]
    Trigger { name: String, why: String },
    #[error("no home folder: set PAWL_HOME to a folder where models and data may be kept")]
    NoHome,
}

/// What the command line and the environment say; all of it optional.
#[derive(Debug, Clone, Default, clap::Args)]
pub(crate) struct Overrides {
    /// Settings file [default: ./pawl.toml if there, else the embedded default]
    #[arg(long, global = true, env = "PAWL_CONFIG", value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Folder with one folder per plugin (plugin.toml beside NAME.wasm)
    #[arg(long, global = true, env = "PAWL_PLUGINS", value_name = "DIR")]
    pub(crate) plugins: Option<PathBuf>,
    /// Name of a model folder under <home>/models
    #[arg(long, global = true, env = "PAWL_MODEL", value_name = "NAME")]
    pub(crate) model: Option<String>,
    /// Where runtime, models and data are kept [default: the user's cache and data folders]
    #[arg(long, global = true, env = "PAWL_HOME", value_name = "DIR")]
    pub(crate) home: Option<PathBuf>,
    /// Where events and databases are kept [default: data under --home, else the user's data folder]
    #[arg(long, global = true, env = "PAWL_DATA", value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
    /// ONNX Runtime's shared library [default: <home>/runtime/libonnxruntime.so.…]
    #[arg(long, global = true, env = "PAWL_ONNXRUNTIME", value_name = "FILE")]
    pub(crate) onnxruntime: Option<PathBuf>,
    /// What computes the model, in order: cpu, cuda, tensorrt, openvino, directml, coreml, webgpu [default: cpu]
    #[arg(long, global = true, env = "PAWL_PROVIDERS", value_name = "LIST", value_delimiter = ',')]
    pub(crate) providers: Option<Vec<String>>,
}

#[derive(Debug, Deserialize, Default)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Raw {
    listen: Option<SocketAddr>,
    time_zone: Option<String>,
    #[serde(default)]
    model: RawModel,
    #[serde(default)]
    embeddings: RawEmbeddings,
    #[serde(default)]
    chat: RawChat,
    #[serde(default)]
    workflows: RawWorkflows,
    #[serde(default)]
    record: RawRecord,
    plugins: Option<BTreeMap<String, RawPlugin>>,
    #[serde(default)]
    triggers: BTreeMap<String, RawTrigger>,
}

#[derive(Debug, Deserialize, Default)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct RawModel {
    name: Option<String>,
    context: Option<usize>,
    providers: Option<Vec<String>>,
    onnxruntime: Option<PathBuf>,
    threads: Option<usize>,
    at_once: Option<usize>,
    prefix_cache: Option<String>,
}

#[derive(Debug, Deserialize, Default)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct RawEmbeddings {
    name: Option<String>,
}

#[derive(Debug, Deserialize, Default)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct RawChat {
    max_rounds: Option<usize>,
    max_tokens: Option<usize>,
    max_result: Option<String>,
}

#[derive(Debug, Deserialize, Default)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct RawWorkflows {
    folder: Option<PathBuf>,
    at_once: Option<usize>,
}

#[derive(Debug, Deserialize, Default)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct RawRecord {
    keep_days: Option<usize>,
    chat: Option<bool>,
    redact: Option<Vec<String>>,
}

#[derive(Debug, Deserialize, Default)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct RawPlugin {
    path: Option<PathBuf>,
    pin: Option<bool>,
    #[serde(default)]
    grant: Grant,
    #[serde(default)]
    examples: Vec<Example>,
}

/// Resolved settings: absolute paths, checked numbers.
#[derive(Debug, Clone)]
pub(crate) struct Config {
    /// Where the settings came from, for messages.
    pub(crate) source: String,
    pub(crate) listen: SocketAddr,
    pub(crate) time_zone: TimeZone,
    pub(crate) model: ModelConfig,
    /// The embedding model's name, where one is to be served.
    pub(crate) embeddings: Option<String>,
    pub(crate) chat: ChatConfig,
    pub(crate) workflows: WorkflowsConfig,
    pub(crate) record: RecordConfig,
    pub(crate) plugins: Vec<PluginConfig>,
    pub(crate) triggers: Vec<TriggerConfig>,
    /// Where plugins are whose settings name no folder.
    pub(crate) plugins_folder: PathBuf,
    /// pawl.lock: beside the settings file; in the data folder where there is none.
    pub(crate) lock: PathBuf,
    pub(crate) home: Home,
    pub(crate) onnxruntime: PathBuf,
}

/// Which model, and how much of it.
#[derive(Debug, Clone)]
pub(crate) struct ModelConfig {
    pub(crate) name: String,
    pub(crate) context: usize,
    /// What computes it, in order.
    pub(crate) providers: Vec<Provider>,
    pub(crate) threads: Option<usize>,
    /// Requests that are answered at the same time.
    pub(crate) at_once: usize,
    /// Bytes of keys and values beside those of one context: for requests at once, and kept of earlier prompts.
    pub(crate) prefix_cache: usize,
}

/// Bounds of one chat turn.
#[derive(Debug, Clone)]
pub(crate) struct ChatConfig {
    pub(crate) max_rounds: usize,
    pub(crate) max_tokens: usize,
    /// Bytes of a tool's result that the model is shown.
    pub(crate) max_result: usize,
}

/// Where scripts are, and how many of their runs get on at once.
#[derive(Debug, Clone)]
pub(crate) struct WorkflowsConfig {
    pub(crate) folder: PathBuf,
    pub(crate) at_once: usize,
}

/// What is kept of what was done.
#[derive(Debug, Clone)]
pub(crate) struct RecordConfig {
    /// Days after which what has ended is deleted; 0 keeps all.
    pub(crate) keep_days: usize,
    /// Whether conversations are remembered.
    pub(crate) chat: bool,
    /// Fields whose values are replaced: in runs once they have ended, in conversations at once.
    pub(crate) redact: Vec<String>,
}

/// One plugin that the operator wants: where it is and what it is granted.
#[derive(Debug, Clone)]
pub(crate) struct PluginConfig {
    pub(crate) name: String,
    /// Holds plugin.toml and NAME.wasm.
    pub(crate) folder: PathBuf,
    /// Whether it must be what was accepted. Only who works on a plugin turns it off.
    pub(crate) pin: bool,
    pub(crate) grant: Grant,
    /// Requests and their right calls, for what the operator granted (this database, say); shown to the model after
    /// the plugin's own.
    pub(crate) examples: Vec<Example>,
}

impl PluginConfig {
    pub(crate) fn manifest(&self) -> PathBuf {
        self.folder.join("plugin.toml")
    }

    pub(crate) fn component(&self) -> PathBuf {
        self.folder.join(format!("{}.wasm", self.name))
    }
}

impl Config {
    /// Reads and checks everything; the first thing that is wrong is the error.
    pub(crate) fn resolve(overrides: &Overrides) -> Result<Config, ConfigError> {
        let mut home = Home::resolve(overrides.home.as_deref())?;
        if let Some(data) = &overrides.data {
            home.data = std::path::absolute(data).map_err(|_| ConfigError::NoHome)?;
        }
        let found = overrides.config.clone().or_else(|| {
            let here = PathBuf::from("pawl.toml");
            here.is_file().then_some(here)
        });
        let default: Raw = parse("the embedded default", DEFAULT_TOML)?;
        let (source, base, raw) = match found {
            None => (
                "embedded default".to_owned(),
                home.data.clone(),
                parse("the embedded default", DEFAULT_TOML)?,
            ),
            Some(path) => {
                let text = std::fs::read_to_string(&path)
                    .map_err(|source| ConfigError::Read { path: path.clone(), source })?;
                let absolute = std::path::absolute(&path).unwrap_or_else(|_| path.clone());
                let base = absolute.parent().map(Path::to_path_buf).unwrap_or_default();
                (path.display().to_string(), base, parse(&path.display().to_string(), &text)?)
            }
        };
        let lock = base.join("pawl.lock");
        let zone = time_zone(raw.time_zone.as_deref())?;
        let plugins_folder = beside(overrides.plugins.as_deref(), "target/plugins", "plugins");
        // The files that the embedded plugins are granted are in Pawl's own folder, whoever says the rest.
        let (plugins, granted) = match raw.plugins {
            Some(plugins) => (plugins, &base),
            None => (default.plugins.unwrap_or_default(), &home.data),
        };
        let providers = providers(overrides.providers.clone().or(raw.model.providers).unwrap_or_default())?;
        let onnxruntime = match (&overrides.onnxruntime, &raw.model.onnxruntime) {
            (Some(given), _) => given.clone(),
            (None, Some(named)) => base.join(named),
            (None, None) => library(&home, &providers),
        };
        Ok(Config {
            listen: raw.listen.or(default.listen).unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], 7411))),
            time_zone: zone.clone(),
            model: ModelConfig {
                name: overrides.model.clone().or(raw.model.name).or(default.model.name).unwrap_or_default(),
                context: within("model.context", raw.model.context.or(default.model.context), 512, 131_072)?,
                providers,
                threads: raw.model.threads.map(|n| within("model.threads", Some(n), 1, 256)).transpose()?,
                at_once: within("model.at-once", raw.model.at_once.or(default.model.at_once), 1, 64)?,
                prefix_cache: size(
                    "model.prefix-cache",
                    raw.model.prefix_cache.or(default.model.prefix_cache),
                )?,
            },
            embeddings: raw.embeddings.name.or(default.embeddings.name),
            chat: ChatConfig {
                max_rounds: within(
                    "chat.max-rounds",
                    raw.chat.max_rounds.or(default.chat.max_rounds),
                    1,
                    32,
                )?,
                max_tokens: within(
                    "chat.max-tokens",
                    raw.chat.max_tokens.or(default.chat.max_tokens),
                    1,
                    65_536,
                )?,
                max_result: size("chat.max-result", raw.chat.max_result.or(default.chat.max_result))?,
            },
            workflows: WorkflowsConfig {
                folder: match raw.workflows.folder {
                    Some(folder) => base.join(folder),
                    None => beside(None, "workflows", "workflows"),
                },
                at_once: within(
                    "workflows.at-once",
                    raw.workflows.at_once.or(default.workflows.at_once),
                    1,
                    1024,
                )?,
            },
            record: RecordConfig {
                keep_days: raw
                    .record
                    .keep_days
                    .or(default.record.keep_days)
                    .map(|days| within("record.keep-days", Some(days), 0, 36_500))
                    .transpose()?
                    .unwrap_or_default(),
                chat: raw.record.chat.or(default.record.chat).unwrap_or_default(),
                redact: raw.record.redact.or(default.record.redact).unwrap_or_default(),
            },
            plugins: plugins
                .into_iter()
                .map(|(name, plugin)| PluginConfig {
                    folder: plugin.path.map_or_else(|| plugins_folder.join(&name), |path| base.join(path)),
                    pin: plugin.pin.unwrap_or(true),
                    grant: absolute_grant(plugin.grant, granted),
                    examples: plugin.examples,
                    name,
                })
                .collect(),
            triggers: triggers::resolve(raw.triggers, &base, &zone)?,
            plugins_folder,
            onnxruntime,
            lock,
            source,
            home,
        })
    }

    /// Now, in the configured zone.
    pub(crate) fn now(&self) -> jiff::ZonedDateTime {
        jiff::Timestamp::now().to_zoned_datetime(self.time_zone.clone())
    }
}

fn parse(path: &str, text: &str) -> Result<Raw, ConfigError> {
    toml::from_str(text).map_err(|error| ConfigError::Parse {
        path: path.to_owned(),
        message: error.to_string().trim().to_owned(),
    })
}

fn providers(names: Vec<String>) -> Result<Vec<Provider>, ConfigError> {
    let parsed = names.iter().map(|name| name.trim().parse().map_err(ConfigError::Provider));
    let providers: Vec<Provider> = parsed.collect::<Result<_, _>>()?;
    match providers.split_last() {
        Some((_, before)) if before.contains(&Provider::Cpu) => {
            let message = "`cpu` computes everything, so that what is named after it would compute nothing";
            Err(ConfigError::Provider(message.to_owned()))
        }
        _ => Ok(providers),
    }
}

/// The build of ONNX Runtime that has what is asked for, as `cargo xtask` puts it there.
fn library(home: &Home, providers: &[Provider]) -> PathBuf {
    let runtime = home.cache.join("runtime");
    let nvidia = providers.iter().any(|one| matches!(one, Provider::Cuda | Provider::TensorRt));
    let cuda = runtime.join(CUDA_RUNTIME_FILE);
    if nvidia && cuda.is_file() { cuda } else { runtime.join(RUNTIME_FILE) }
}

fn time_zone(name: Option<&str>) -> Result<TimeZone, ConfigError> {
    match name {
        None => Ok(TimeZone::system()),
        Some(name) => TimeZone::get(name)
            .map_err(|error| ConfigError::TimeZone { name: name.to_owned(), message: error.to_string() }),
    }
}

/// What was given; else a folder of the checkout that one stands in, or that the program was built in; else one beside
/// the program.
fn beside(given: Option<&Path>, checkout: &str, name: &str) -> PathBuf {
    if let Some(given) = given {
        return given.to_path_buf();
    }
    let here = PathBuf::from(checkout);
    if here.is_dir() {
        return here;
    }
    let Ok(program) = std::env::current_exe() else {
        return here;
    };
    // <checkout>/target/<profile>/pawl
    let target = program.ancestors().nth(2).filter(|folder| folder.ends_with("target"));
    let built =
        target.and_then(Path::parent).map(|root| root.join(checkout)).filter(|folder| folder.is_dir());
    built.or_else(|| program.parent().map(|folder| folder.join(name))).unwrap_or(here)
}

fn absolute_grant(mut grant: Grant, base: &Path) -> Grant {
    let preopens = grant.filesystem.values_mut().map(|preopen| &mut preopen.folder);
    let files = grant.database.values_mut().filter_map(DatabaseGrant::file_mut);
    for path in files.chain(grant.documents.values_mut()).chain(preopens) {
        *path = base.join(&*path);
    }
    grant
}

fn within(key: &'static str, value: Option<usize>, least: usize, most: usize) -> Result<usize, ConfigError> {
    let value = value.unwrap_or(0);
    let fits = (least..=most).contains(&value);
    fits.then_some(value).ok_or(ConfigError::Range { key, value, least, most })
}

fn size(key: &'static str, value: Option<String>) -> Result<usize, ConfigError> {
    let value = value.unwrap_or_default();
    let bad = || ConfigError::Size { key, value: value.clone() };
    let digits = value.find(|c: char| !c.is_ascii_digit()).unwrap_or(value.len());
    let (number, unit) = value.split_at(digits);
    let factor = match unit.trim() {
        "" | "B" => 1,
        "KiB" => 1024,
        "MiB" => 1024 * 1024,
        "GiB" => 1024 * 1024 * 1024,
        _ => return Err(bad()),
    };
    number.parse::<usize>().ok().and_then(|n| n.checked_mul(factor)).filter(|n| *n > 0).ok_or_else(bad)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolve(text: &str) -> Result<Config, ConfigError> {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("pawl.toml");
        std::fs::write(&file, text).expect("written");
        let home = Some(folder.path().join("home"));
        Config::resolve(&Overrides { config: Some(file), home, ..Overrides::default() })
    }

    #[test]
    fn an_empty_file_means_the_defaults() {
        let config = resolve("").expect("resolved");
        assert_eq!(config.listen.to_string(), "127.0.0.1:7411");
        assert_eq!((config.chat.max_rounds, config.embeddings), (6, None));
        assert_eq!(config.chat.max_result, 6 * 1024);
        let names: Vec<&str> = config.plugins.iter().map(|plugin| plugin.name.as_str()).collect();
        assert_eq!(names, ["calendar", "sql"]);
        let config = resolve("[embeddings]\nname = \"m\"").expect("resolved");
        assert_eq!(config.embeddings.as_deref(), Some("m"));
    }

    #[test]
    fn a_plugins_table_replaces_the_default_one_and_grants_nothing_by_itself() {
        let config = resolve("[plugins.sql]\npath = \"here/sql\"").expect("resolved");
        assert_eq!(config.plugins.len(), 1);
        assert!(config.plugins[0].folder.is_absolute() && config.plugins[0].folder.ends_with("here/sql"));
        assert_eq!(config.plugins[0].grant, Grant::default());
    }

    #[test]
    fn the_sample_shop_is_in_the_data_folder_whatever_file_says_the_rest() {
        let shop = |config: &Config| {
            let sql = config.plugins.iter().find(|plugin| plugin.name == "sql").expect("there");
            sql.grant.database["main"].clone().file_mut().cloned().expect("a file")
        };
        let config = resolve("[embeddings]\nname = \"m\"").expect("resolved");
        assert_eq!(shop(&config), config.home.shop());
        let config = resolve("[plugins.sql.grant.database]\nmain = \"mine.sqlite\"").expect("resolved");
        assert_eq!(shop(&config), config.lock.with_file_name("mine.sqlite"));
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (text, named) in [
            ("colour = 'red'", "colour"),
            ("listen = 'nowhere'", "listen"),
            ("time-zone = 'Mars/Olympus'", "Mars/Olympus"),
            ("[chat]\nmax-result = '6 furlongs'", "6 furlongs"),
            ("[chat]\nmax-rounds = 0", "max-rounds"),
            ("[model]\ncontext = 1", "model.context"),
            ("[plugins.sql.grant]\nnetwork = true", "network"),
        ] {
            let error = resolve(text).expect_err(text).to_string();
            assert!(error.contains(named), "{text}: {error}");
        }
    }

    #[test]
    fn a_missing_file_is_named() {
        let overrides = Overrides { config: Some("no/such/pawl.toml".into()), ..Overrides::default() };
        assert!(Config::resolve(&overrides).expect_err("missing").to_string().contains("no/such/pawl.toml"));
    }
}

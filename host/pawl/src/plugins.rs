//! The plugins that run: loaded as the settings say, pinned as a person accepted them, replaced when their files change.
//!
//! Invariants: a plugin that is not as it was pinned is not used (see `lock`); a change of the files never disturbs a
//! call in flight, for whoever began with a [`Set`] ends with it; nothing that a model can call reaches this file.

pub(crate) mod lock;
pub(crate) mod model;
#[cfg(feature = "oci")]
mod registry;
pub(crate) mod set;
pub(crate) mod signature;
pub(crate) mod source;
mod watch;

use std::path::PathBuf;
use std::sync::{Arc, OnceLock, PoisonError, RwLock};

use pawl_llm::Llm;
use pawl_plugin::{Compiler, Host, HostOptions, Manifest, Plugin};

use crate::app::AppError;
use crate::config::{Config, PluginConfig};
use lock::Lock;
use model::{HostModel, LateEmbedder, LateModel};
use set::{Member, Set};

/// A plugin that was asked for and is not there; the others go on.
#[derive(Debug, Clone)]
pub(crate) struct Missing {
    pub(crate) plugin: String,
    pub(crate) why: String,
}

/// All plugins of the settings. Cheap to clone; all clones see a reload.
#[derive(Clone)]
pub(crate) struct Plugins {
    shared: Arc<Shared>,
}

struct Shared {
    host: Host,
    settings: Vec<PluginConfig>,
    lock: PathBuf,
    current: RwLock<Arc<Set>>,
    /// Checks what it is to decode; none where no model runs.
    llm: OnceLock<Llm>,
    embedder: LateEmbedder,
}

impl Plugins {
    /// Loads every plugin of the settings, in parallel. One that cannot be loaded is reported and left out.
    pub(crate) fn load(config: &Config) -> Result<Plugins, AppError> {
        make_private(&config.home.data)?;
        let host = host(config)?;
        let pinned = Lock::read(&config.lock).map_err(AppError::Lock)?;
        let results = std::thread::scope(|scope| {
            let load = |plugin| load_one(&host, plugin);
            let loading: Vec<_> =
                config.plugins.iter().map(|plugin| scope.spawn(move || load(plugin))).collect();
            let ended = loading.into_iter().zip(&config.plugins).map(|(thread, plugin)| {
                thread.join().unwrap_or_else(|_| Err(missing(plugin, "loading it panicked".to_owned())))
            });
            ended.collect::<Vec<_>>()
        });
        let (mut members, mut absent, mut pins) = (Vec::new(), Vec::new(), pinned.clone());
        for (result, settings) in results.into_iter().zip(&config.plugins) {
            match result.and_then(|plugin| trusted(plugin, settings, &mut pins)) {
                Ok(plugin) => members.push(Arc::new(Member::new(plugin))),
                Err(why) => absent.push(why),
            }
        }
        if pins != pinned {
            pins.write(&config.lock).map_err(AppError::Lock)?;
        }
        let set = Set::new(members, absent, &config.plugins);
        let shared = Shared {
            host,
            settings: config.plugins.clone(),
            lock: config.lock.clone(),
            current: RwLock::new(Arc::new(set)),
            llm: OnceLock::new(),
            embedder: LateEmbedder::new(config.clone()),
        };
        Ok(Plugins { shared: Arc::new(shared) })
    }

    /// The plugins as they are now. Whoever holds it keeps it, whatever is reloaded.
    pub(crate) fn now(&self) -> Arc<Set> {
        Arc::clone(&self.shared.current.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Keeps from the model what this decoder cannot enforce, from now on. Blocks: each schema is compiled.
    pub(crate) fn checked_by(self, llm: &Llm) -> Plugins {
        for member in self.now().members() {
            member.check(llm);
        }
        // A second call finds the same model.
        let _ = self.shared.llm.set(llm.clone());
        self.shared.host.set_model(Arc::new(HostModel::new(llm.clone(), self.embedder())));
        self
    }

    /// Lets plugins ask the model of the settings, which is loaded when the first one does.
    pub(crate) fn with_late_model(self, config: &Config) -> Plugins {
        let model = LateModel::new(config.clone(), self.embedder());
        self.with_model(Arc::new(model))
    }

    /// The embedding model, one for all that want it.
    pub(crate) fn embedder(&self) -> LateEmbedder {
        self.shared.embedder.clone()
    }

    /// Lets plugins ask this model.
    pub(crate) fn with_model(self, model: Arc<LateModel>) -> Plugins {
        self.shared.host.set_model(model);
        self
    }

    /// Puts a reloaded plugin in the place of the one of its name.
    fn replace(&self, plugin: Plugin) {
        let member = Arc::new(Member::new(plugin));
        if let Some(llm) = self.shared.llm.get() {
            member.check(llm);
        }
        let mut current = self.shared.current.write().unwrap_or_else(PoisonError::into_inner);
        *current = Arc::new(current.with(member, &self.shared.settings));
    }
}

/// The plugin host of the settings.
pub(crate) fn host(config: &Config) -> Result<Host, AppError> {
    let options = HostOptions {
        compiled: Some(config.home.compiled()),
        compiler: compiler(),
        keyvalue: config.home.keyvalue(),
    };
    Host::new(options).map_err(AppError::Host)
}

/// This program, as the compiler of plugins in a process of its own.
fn compiler() -> Option<Compiler> {
    let program = std::env::current_exe()
        .inspect_err(|error| tracing::warn!("plugins are compiled in this process, without bounds: {error}"));
    Some(Compiler::new(program.ok()?, vec![crate::cli::COMPILE.into()]))
}

/// Loads one plugin of the settings, whatever is pinned.
pub(crate) fn load_one(host: &Host, settings: &PluginConfig) -> Result<Plugin, Missing> {
    let fail = |why: String| missing(settings, why);
    let manifest = Manifest::read(&settings.manifest()).map_err(|error| fail(error.to_string()))?;
    if manifest.name != settings.name {
        return Err(fail(format!("its plugin.toml says name = \"{}\"; make the two agree", manifest.name)));
    }
    host.load(&settings.component(), manifest, settings.grant.clone())
        .map_err(|error| fail(error.to_string()))
}

/// Lets a plugin through that is as it was pinned. One that was never pinned is pinned now: its name in the settings
/// is a person's word for it.
fn trusted(plugin: Plugin, settings: &PluginConfig, pins: &mut Lock) -> Result<Plugin, Missing> {
    if !settings.pin {
        return Ok(plugin);
    }
    match pins.changes(&plugin) {
        None => {
            tracing::info!(plugin = settings.name, digest = plugin.digest(), "pinned");
            pins.accept(&plugin);
            Ok(plugin)
        }
        Some(changes) if changes.is_empty() => Ok(plugin),
        Some(changes) => Err(missing(settings, quarantined(&settings.name, &changes))),
    }
}

/// What a person reads of a plugin that is not as it was accepted.
pub(crate) fn quarantined(name: &str, changes: &[String]) -> String {
    format!(
        "it is not what was accepted, and is not used until you accept it with `pawl plugin accept {name}`:\n  {}",
        changes.join("\n").replace('\n', "\n  ")
    )
}

fn missing(settings: &PluginConfig, why: String) -> Missing {
    Missing { plugin: settings.name.clone(), why }
}

/// Makes a folder that only its owner can read.
pub(crate) fn make_private(folder: &std::path::Path) -> Result<(), AppError> {
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

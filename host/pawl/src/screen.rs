//! Screening: a batch whose items are résumés, and what is made of its results.
//!
//! Invariants: the run of each item sees its own résumé and no other; the plugin `resume` judges, the script of the flow `screen`
//! calls it, and who is first is computed here ([`ranking`]).

pub(crate) mod files;
pub(crate) mod ranking;
pub(crate) mod report;
pub(crate) mod requirements;

use std::path::{Path, PathBuf};

use pawl_flow::{Document, Failure, Job, NewItem, NewJob, Sources};
use pawl_plugin::{Grant, Plugin};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::config::{Config, PluginConfig};
use crate::flow::scripts;
use crate::plugins::set::Set;

/// The flow that is run for each résumé.
const FLOW: &str = "screen";
/// That flow, where the folder of workflows has none.
const SCRIPT: &str = include_str!("../../../workflows/screen.rhai");
/// The plugin that reads and judges.
const PLUGIN: &str = "resume";
/// The collection that it reads.
const COLLECTION: &str = "resumes";
/// What the plugin is granted where the settings do not have it.
const GRANT: &str = "clocks = true\nllm = { max-calls = 16, max-tokens = 700 }";
/// What else it is granted for a server, to read what is there and what is uploaded.
const DOCUMENTS: &str = "documents = { resumes = \"/srv/resumes\" }";
/// How often a résumé is tried.
const ATTEMPTS: u32 = 2;

/// Why nothing can be screened, and the mend.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ScreenError {
    #[error("résumés {folder}: {source}; name a folder that can be read")]
    Folder { folder: PathBuf, source: std::io::Error },
    #[error(
        "résumés {folder}: no PDF, DOCX, HTML or text file that can be read is in it ({seen}); files whose names begin with a dot are not taken"
    )]
    NoFile { folder: PathBuf, seen: String },
    #[error("requirements {name}: {why}")]
    Requirements { name: String, why: String },
    #[error("the plugin {PLUGIN} {0}")]
    Plugin(String),
    #[error("the flow {FLOW}: {0}")]
    Flow(String),
    #[error("{0}")]
    Host(String),
}

/// What all résumés of a screening share: `input.job` of its script.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Shared {
    /// Criteria, as `resume.screen` takes them.
    pub(crate) rubric: Value,
    /// Whether who a person is is kept from the judge.
    pub(crate) blind: bool,
}

impl Shared {
    /// Of a job, where that is a screening.
    pub(crate) fn of(job: &Job) -> Option<Shared> {
        Shared::deserialize(&job.input).ok().filter(|shared| shared.rubric.is_array())
    }
}

/// The job, before it has items.
pub(crate) fn job(
    name: String,
    folder: &Path,
    shared: &Shared,
    requester: String,
    origin: Option<String>,
    at_once: u32,
) -> Result<NewJob, ScreenError> {
    let sources = script(folder).map_err(|failure| ScreenError::Flow(failure.message))?;
    Ok(NewJob { name, sources, input: json!(shared), requester, origin, at_once, attempts: ATTEMPTS })
}

/// The flow of the folder; else ours.
fn script(folder: &Path) -> Result<Sources, Failure> {
    if folder.join(FLOW).with_extension("rhai").is_file() {
        scripts::by_name(folder, FLOW)
    } else {
        Ok(Sources::of(&format!("{FLOW}.rhai"), SCRIPT))
    }
}

/// An item of a job.
pub(crate) fn item(name: String, file: PathBuf) -> NewItem {
    let id = file.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let document = Some(Document { collection: COLLECTION.to_owned(), file });
    NewItem { name, input: json!({"id": id}), document }
}

/// The plugin, if it can judge.
pub(crate) fn plugin(set: &Set) -> Result<Plugin, ScreenError> {
    let found = set.loaded().find(|plugin| plugin.manifest().name == PLUGIN);
    let Some(plugin) = found else {
        let missing = set.missing().iter().find(|missing| missing.plugin == PLUGIN);
        let why = missing.map_or_else(
            || {
                let grant = GRANT.replace('\n', ", ");
                format!("is not in the settings: add [plugins.{PLUGIN}.grant] with {grant}, {DOCUMENTS}")
            },
            |missing| format!("is not loaded: {}", missing.why),
        );
        return Err(ScreenError::Plugin(why));
    };
    let has = |capability: &str| {
        plugin
            .capabilities()
            .iter()
            .any(|state| state.capability.starts_with(capability) && state.effective())
    };
    let documents = format!("documents {COLLECTION}");
    let model = GRANT.lines().last().unwrap_or_default();
    for (capability, grant) in [("llm", model), (&documents, DOCUMENTS)] {
        if !has(capability) {
            let mend = format!("is not granted {capability}: add {grant} to [plugins.{PLUGIN}.grant]");
            return Err(ScreenError::Plugin(mend));
        }
    }
    Ok(plugin.clone())
}

/// Settings for a screening of a folder that keeps its record in another one, and needs no other plugin.
pub(crate) fn settings(mut config: Config, resumes: &Path, record: PathBuf) -> Result<Config, ScreenError> {
    config.home.data = record;
    config.plugins.retain(|plugin| plugin.name == PLUGIN);
    if config.plugins.is_empty() {
        let grant: Grant = toml::from_str(GRANT).map_err(|error| ScreenError::Host(error.to_string()))?;
        config.plugins.push(PluginConfig {
            name: PLUGIN.to_owned(),
            folder: config.plugins_folder.join(PLUGIN),
            pin: true,
            grant,
            examples: Vec::new(),
        });
    }
    for plugin in &mut config.plugins {
        plugin.grant.documents.insert(COLLECTION.to_owned(), resumes.to_owned());
    }
    Ok(config)
}

//! A folder in which each new file begins a run.
//!
//! It is looked at every second, which works on every file system. A file counts when two looks find the same of it, so that one
//! that is still being written is not taken; and once for each content that it has, which its digest tells. Links are not followed.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use pawl_flow::Document;
use serde_json::{Map, Value, json};

use super::{Occasion, TriggerError, Triggers};
use crate::config::triggers::TriggerConfig;
use crate::flow::scripts;

/// Between two looks.
const LOOK: Duration = Duration::from_secs(1);
/// Between two attempts to begin the run of a file.
const AGAIN: Duration = Duration::from_secs(30);
/// Bytes of a file whose text the script is given.
const MAX_TEXT: usize = 256 << 10;
/// Bytes of that text as JSON, where control characters take six each.
const MAX_JSON: usize = 512 << 10;
/// Endings of what is not finished.
const UNFINISHED: [&str; 5] = ["part", "tmp", "crdownload", "partial", "swp"];

/// What is seen of a file.
type Seen = (u64, SystemTime);

/// What became of a file.
enum Met {
    Begun(Seen),
    /// When it was tried in vain.
    Failed(Seen, Instant),
}

impl Met {
    fn is_due(&self, seen: &Seen) -> bool {
        match self {
            Met::Begun(begun) => begun != seen,
            Met::Failed(failed, at) => failed != seen || at.elapsed() >= AGAIN,
        }
    }
}

/// Begins a run for each file that is there and each that comes.
pub(super) async fn watch(
    triggers: Triggers,
    trigger: TriggerConfig,
    folder: PathBuf,
    collection: Option<String>,
) {
    let mut before: HashMap<PathBuf, Seen> = HashMap::new();
    let mut met: HashMap<PathBuf, Met> = HashMap::new();
    let mut trouble = String::new();
    loop {
        let looked = folder.clone();
        let now = tokio::task::spawn_blocking(move || look(&looked)).await.map_err(io::Error::other);
        match now.and_then(|now| now) {
            Ok(now) => {
                trouble.clear();
                met.retain(|file, _| now.contains_key(file));
                let is_due = |file: &PathBuf, seen: &Seen| {
                    before.get(file) == Some(seen) && met.get(file).is_none_or(|met| met.is_due(seen))
                };
                let mut due: Vec<(PathBuf, Seen)> = now
                    .iter()
                    .filter(|(file, seen)| is_due(file, seen))
                    .map(|(file, seen)| (file.clone(), *seen))
                    .collect();
                due.sort();
                for (file, seen) in due {
                    let became = match begin(&triggers, &trigger, &file, collection.as_deref()).await {
                        Ok(()) => Met::Begun(seen),
                        Err(error) => {
                            tracing::error!(
                                trigger = trigger.name,
                                "{}: {error}; trying again",
                                file.display()
                            );
                            Met::Failed(seen, Instant::now())
                        }
                    };
                    met.insert(file, became);
                }
                before = now;
            }
            // Said once, and not every second.
            Err(error) => {
                let why = format!("{}: {error}", folder.display());
                if trouble != why {
                    tracing::error!(trigger = trigger.name, "{why}; looking again");
                    trouble = why;
                }
            }
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// The files of a folder, by their paths without links.
fn look(folder: &Path) -> io::Result<HashMap<PathBuf, Seen>> {
    let folder = folder.canonicalize()?;
    let mut files = HashMap::new();
    for entry in fs::read_dir(&folder)?.flatten() {
        let Ok(name) = entry.file_name().into_string() else { continue };
        let ending = Path::new(&name).extension().and_then(|ending| ending.to_str()).unwrap_or_default();
        if name.starts_with('.') || name.ends_with('~') || UNFINISHED.contains(&ending) {
            continue;
        }
        // Of a link, this is what the link itself is.
        if let Ok(found) = entry.metadata()
            && found.is_file()
            && let Ok(modified) = found.modified()
        {
            files.insert(folder.join(name), (found.len(), modified));
        }
    }
    Ok(files)
}

async fn begin(
    triggers: &Triggers,
    trigger: &TriggerConfig,
    file: &Path,
    collection: Option<&str>,
) -> Result<(), TriggerError> {
    let (path, flows, workflow) =
        (file.to_owned(), triggers.config.workflows.folder.clone(), trigger.workflow.clone());
    let read = move || {
        // A flow that is not there is found out before a large file is read.
        scripts::by_name(&flows, &workflow).map_err(TriggerError::Script)?;
        pawl_flow::read(&path, MAX_TEXT).map_err(|error| TriggerError::Host(error.to_string()))
    };
    let content =
        tokio::task::spawn_blocking(read).await.map_err(|error| TriggerError::Host(error.to_string()))??;
    let name = file.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let mut given = json!({"name": name, "size": content.size});
    let text = content.text.map(Value::String).filter(|text| text.to_string().len() <= MAX_JSON);
    if let Some(text) = text {
        given["text"] = text;
    }
    let document =
        collection.map(|collection| Document { collection: collection.to_owned(), file: file.to_owned() });
    let given = Map::from_iter([("file".to_owned(), given)]);
    let occasion = Occasion { name: format!("file {} {name}", content.digest), given, document };
    triggers.begin(trigger, occasion).await.map(drop)
}

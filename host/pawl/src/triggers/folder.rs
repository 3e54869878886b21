//! A folder in which each new file begins a run.
//!
//! It is looked at every second, which works on every file system. A file counts when two looks find the same of it, so that one
//! that is still being written is not taken; and once for each content that it has, which its digest tells.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use pawl_flow::Document;
use serde_json::{Map, Value, json};

use super::{Occasion, TriggerError, Triggers};
use crate::config::triggers::TriggerConfig;

/// Between two looks.
const LOOK: Duration = Duration::from_secs(1);
/// Bytes of a file whose text the script is given.
const MAX_TEXT: u64 = 256 << 10;
/// Endings of what is not finished.
const UNFINISHED: [&str; 5] = ["part", "tmp", "crdownload", "partial", "swp"];

/// What is seen of a file.
type Seen = (u64, SystemTime);

/// Begins a run for each file that is there and each that comes.
pub(super) async fn watch(
    triggers: Triggers,
    trigger: TriggerConfig,
    folder: PathBuf,
    collection: Option<String>,
) {
    let mut before: HashMap<String, Seen> = HashMap::new();
    let mut taken: HashMap<String, Seen> = HashMap::new();
    let mut trouble = String::new();
    loop {
        let looked = folder.clone();
        let now = tokio::task::spawn_blocking(move || look(&looked)).await.map_err(std::io::Error::other);
        match now.and_then(|now| now) {
            Ok(now) => {
                taken.retain(|name, _| now.contains_key(name));
                trouble.clear();
                let mut due: Vec<_> = now
                    .iter()
                    .filter(|(name, seen)| before.get(*name) == Some(seen) && taken.get(*name) != Some(seen))
                    .collect();
                due.sort();
                for (name, seen) in due {
                    match begin(&triggers, &trigger, folder.join(name), name, collection.as_deref()).await {
                        Ok(()) => drop(taken.insert(name.clone(), *seen)),
                        Err(error) => say(&trigger, &mut trouble, format!("{name}: {error}")),
                    }
                }
                before = now;
            }
            Err(error) => say(&trigger, &mut trouble, format!("{}: {error}", folder.display())),
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// Says what is wrong, and not every second.
fn say(trigger: &TriggerConfig, last: &mut String, why: String) {
    if *last != why {
        tracing::error!(trigger = trigger.name, "{why}; looking again");
        *last = why;
    }
}

/// The files of a folder; links are none.
fn look(folder: &Path) -> std::io::Result<HashMap<String, Seen>> {
    let mut files = HashMap::new();
    for entry in fs::read_dir(folder)? {
        let Ok(name) =
            entry.as_ref().map_or_else(|_| Err(()), |entry| entry.file_name().into_string().map_err(drop))
        else {
            continue;
        };
        let ending = Path::new(&name).extension().and_then(|ending| ending.to_str()).unwrap_or_default();
        if name.starts_with('.') || name.ends_with('~') || UNFINISHED.contains(&ending) {
            continue;
        }
        let Ok(entry) = entry else { continue };
        if let Ok(found) =
            entry.metadata().and_then(|found| Ok((found.is_file(), found.len(), found.modified()?)))
            && found.0
        {
            files.insert(name, (found.1, found.2));
        }
    }
    Ok(files)
}

async fn begin(
    triggers: &Triggers,
    trigger: &TriggerConfig,
    file: PathBuf,
    name: &str,
    collection: Option<&str>,
) -> Result<(), TriggerError> {
    let (read, named) = (file.clone(), name.to_owned());
    let read = move || {
        let content = pawl_flow::content(&read)?;
        let size = fs::metadata(&read)?.len();
        let mut given = json!({"name": named, "size": size});
        if size <= MAX_TEXT
            && let Ok(text) = fs::read_to_string(&read)
        {
            given["text"] = Value::String(text);
        }
        Ok::<_, std::io::Error>((content, given))
    };
    let read = tokio::task::spawn_blocking(read).await.map_err(std::io::Error::other).and_then(|read| read);
    let (content, given) = read.map_err(|error| TriggerError::Host(error.to_string()))?;
    let document = collection.map(|collection| Document { collection: collection.to_owned(), file });
    let given = Map::from_iter([("file".to_owned(), given)]);
    triggers
        .begin(trigger, Occasion { name: format!("file {content} {name}"), given, document })
        .await
        .map(drop)
}

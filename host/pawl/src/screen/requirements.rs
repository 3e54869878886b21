//! What a person asks of applicants: a text with a requirement a line, or criteria as JSON or TOML; to criteria that can be judged.

use std::io::Read;
use std::path::Path;

use pawl_plugin::{CallError, Plugin};
use serde_json::{Value, json};

use super::{COLLECTION, ScreenError};

/// Bytes of a file of requirements.
const MAX_FILE: u64 = 64 << 10;

/// The criteria that a file asks for.
///
/// # Errors
/// Names what is wrong in it and what to write instead.
pub(crate) async fn read(file: &Path, plugin: &Plugin) -> Result<Value, ScreenError> {
    let name = file.display().to_string();
    let wrong = |why: String| ScreenError::Requirements { name: name.clone(), why };
    let path = file.to_owned();
    let read = move || {
        let mut bytes = Vec::new();
        std::fs::File::open(path)?.take(MAX_FILE + 1).read_to_end(&mut bytes)?;
        Ok::<_, std::io::Error>(bytes)
    };
    let bytes =
        tokio::task::spawn_blocking(read).await.map_err(|error| ScreenError::Host(error.to_string()))?;
    of(&name, &bytes.map_err(|error| wrong(error.to_string()))?, plugin).await
}

/// The criteria of a file with this name and content.
///
/// # Errors
/// As [`read`].
pub(crate) async fn of(name: &str, bytes: &[u8], plugin: &Plugin) -> Result<Value, ScreenError> {
    let wrong = |why: String| ScreenError::Requirements { name: name.to_owned(), why };
    if bytes.len() as u64 > MAX_FILE {
        return Err(wrong(format!(
            "more than {} KiB; write what is asked, one requirement a line",
            MAX_FILE >> 10
        )));
    }
    let text = str::from_utf8(bytes).map_err(|_| {
        wrong("no UTF-8 text; write one requirement a line, or criteria as .json or .toml".to_owned())
    })?;
    if text.trim().is_empty() {
        return Err(wrong(
            "it is empty; write one requirement a line, such as `Must: 5 years of Python` or `Fluent German`"
                .to_owned(),
        ));
    }
    let ending = Path::new(name).extension().and_then(|ending| ending.to_str()).unwrap_or_default();
    let given = match ending.to_lowercase().as_str() {
        "json" => {
            Some(serde_json::from_str::<Value>(text).map_err(|error| wrong(format!("not JSON: {error}")))?)
        }
        "toml" => Some(
            toml::from_str::<Value>(text)
                .map_err(|error| wrong(format!("not TOML: {}", error.to_string().trim())))?,
        ),
        _ => None,
    };
    let criteria = match given {
        Some(given) => list(given).ok_or_else(|| {
            wrong(r#"no list of criteria: [{"text": "5 years of Python", "level": "must", "weight": 3}, …], or `[[criteria]]` with these keys in TOML"#.to_owned())
        })?,
        None => plugin
            .call("draft-rubric", &json!({"requirements": text}))
            .await
            .map_err(|error| wrong(said(error)))?,
    };
    check(&criteria, plugin).await.map_err(wrong)?;
    Ok(criteria)
}

/// A list, or the only list of an object.
fn list(given: Value) -> Option<Value> {
    match given {
        Value::Array(_) => Some(given),
        Value::Object(fields) if fields.len() == 1 => fields.into_values().find(Value::is_array),
        _ => None,
    }
}

/// Has the plugin judge nobody by them: it says what is wrong before any résumé is read.
async fn check(criteria: &Value, plugin: &Plugin) -> Result<(), String> {
    let host = |error: std::io::Error| error.to_string();
    let folder = tempfile::tempdir().map_err(host)?;
    let file = folder.path().join("nobody.txt");
    std::fs::write(&file, "Nobody\n").map_err(host)?;
    let alone = plugin.with_document(COLLECTION, &file).map_err(host)?;
    let alone = alone.ok_or_else(|| format!("the plugin does not ask for the documents `{COLLECTION}`"))?;
    alone.call("screen", &json!({"ids": ["nobody.txt"], "rubric": criteria})).await.map(drop).map_err(said)
}

/// The plugin's own words, where it has some.
fn said(error: CallError) -> String {
    match error {
        CallError::Guest(Value::Object(case)) if case.len() == 1 => {
            case.into_values().next().and_then(|why| why.as_str().map(str::to_owned)).unwrap_or_default()
        }
        other => other.to_string(),
    }
}

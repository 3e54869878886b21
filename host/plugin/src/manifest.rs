//! plugin.toml: what a plugin is called and what it asks for.
//!
//! Invariant: an unknown key, a limit past its hard cap or a name that would not make a tool name is an error when
//! the file is read; nothing is guessed. A request grants nothing (see `grant`).
//!
//! ```toml
//! name = "calendar"                # kebab case, the first half of each tool's name
//! version = "0.1.0"
//! description = "Appointments: create, list, find free time."
//!
//! [capabilities]                   # requested; the operator grants them in pawl.toml
//! keyvalue = true                  # wasi:keyvalue, a store of the plugin's own
//! database = ["shop"]              # pawl:host/database, by logical name
//!
//! [limits]                         # of one call; these are the defaults
//! memory = "64MiB"                 # linear memory, 1 GiB at most
//! time = "5s"                      # wall-clock, 60 s at most
//! output = "1MiB"                  # of the result, 16 MiB at most
//!
//! [prompt]
//! context = "schema"               # a function without parameters whose result is shown to the model beforehand
//!
//! [[prompt.examples]]              # a request and the call that is right for it, shown to the model; 4 at most
//! request = "When am I free on 3 March 2031?"
//! function = "find-free-time"
//! arguments = { from = "2031-03-03", to = "2031-03-03", duration-minutes = 30 }
//! result = [{ start = "2031-03-03T14:00", end = "2031-03-03T17:00" }]   # with an answer, how the turn goes on
//! answer = "You are free from 14:00 to 17:00."
//! ```

use std::path::Path;
use std::time::Duration;

use serde::{Deserialize, Deserializer, de};

use crate::error::Error;

/// The longest manifest that is read, in bytes.
const MAX_FILE: u64 = 64 * 1024;
/// The longest plugin name, in bytes: with a function's name it makes a tool name of 64 at most on most wires.
const MAX_NAME: usize = 32;
/// The longest description, in bytes. It goes into a prompt.
const MAX_DESCRIPTION: usize = 2048;
/// Examples of one plugin. Each costs every prompt its length.
const MAX_EXAMPLES: usize = 4;
/// The longest request of an example, in bytes.
const MAX_REQUEST: usize = 512;
const MAX_MEMORY: u64 = 1 << 30;
const MAX_TIME: Duration = Duration::from_secs(60);
const MAX_OUTPUT: u64 = 16 << 20;

/// What a plugin says of itself and asks for.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Kebab case; the first half of each tool's name.
    pub name: String,
    /// The plugin's own version, free text.
    pub version: String,
    /// What it is for, in a sentence; goes to the model.
    pub description: String,
    /// What it asks for.
    #[serde(default)]
    pub capabilities: Capabilities,
    /// What one call may use.
    #[serde(default)]
    pub limits: Limits,
    /// What the model is shown of it.
    #[serde(default)]
    pub prompt: Prompt,
}

/// What a plugin asks for. Effective only where the operator grants it too.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Capabilities {
    /// A key-value store of its own, `wasi:keyvalue/store`.
    pub keyvalue: bool,
    /// Logical names of databases, read through `pawl:host/database`.
    pub database: Vec<String>,
}

/// What one call may use.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Linear memory of the instance in bytes: `"64MiB"`. 1 GiB at most.
    #[serde(deserialize_with = "size")]
    pub memory: u64,
    /// Wall-clock time, waiting included: `"5s"`. 60 s at most.
    #[serde(deserialize_with = "duration")]
    pub time: Duration,
    /// Bytes of the result, strings and lists counted as they are: `"1MiB"`. 16 MiB at most.
    #[serde(deserialize_with = "size")]
    pub output: u64,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits { memory: 64 << 20, time: Duration::from_secs(5), output: 1 << 20 }
    }
}

/// What the model is shown beforehand.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Prompt {
    /// A function without parameters; its result goes into the prompt.
    pub context: Option<String>,
    /// Requests and the calls that are right for them.
    pub examples: Vec<Example>,
}

/// A request in a person's words and the call that is right for it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Example {
    /// What a person might write.
    pub request: String,
    /// The plugin's function to call.
    pub function: String,
    /// Its arguments by name.
    pub arguments: serde_json::Value,
    /// What the function gives then; shown with `answer` only.
    #[serde(default)]
    pub result: Option<serde_json::Value>,
    /// What a good answer says after that result.
    #[serde(default)]
    pub answer: Option<String>,
}

impl Manifest {
    /// Reads and checks a plugin.toml.
    ///
    /// # Errors
    /// `Error::Io` where it cannot be read, `Error::Manifest` where it does not say what it must.
    pub fn read(path: &Path) -> Result<Manifest, Error> {
        let io = |source| Error::Io { path: path.to_path_buf(), source };
        let wrong = |message| Error::Manifest { path: path.to_path_buf(), message };
        let length = std::fs::metadata(path).map_err(io)?.len();
        if length > MAX_FILE {
            return Err(wrong(format!("{length} bytes; a manifest has {MAX_FILE} at most")));
        }
        Manifest::parse(&std::fs::read_to_string(path).map_err(io)?).map_err(wrong)
    }

    pub(crate) fn parse(text: &str) -> Result<Manifest, String> {
        let manifest: Manifest =
            toml::from_str(text).map_err(|error| error.to_string().trim_end().to_owned())?;
        manifest.check()?;
        Ok(manifest)
    }

    fn check(&self) -> Result<(), String> {
        if !is_kebab(&self.name) || self.name.len() > MAX_NAME {
            return Err(format!(
                "name `{}` must be kebab case, such as `my-plugin`, of at most {MAX_NAME} characters",
                self.name.escape_debug()
            ));
        }
        if self.description.len() > MAX_DESCRIPTION {
            let length = self.description.len();
            return Err(format!("description has {length} bytes; {MAX_DESCRIPTION} at most"));
        }
        let Limits { memory, time, output } = self.limits;
        if memory == 0 || memory > MAX_MEMORY {
            return Err(format!("limits.memory is {memory} bytes; ask for 1 byte to 1GiB"));
        }
        if time.is_zero() || time > MAX_TIME {
            return Err(format!("limits.time is {time:?}; ask for 1ms to 60s"));
        }
        if output == 0 || output > MAX_OUTPUT {
            return Err(format!("limits.output is {output} bytes; ask for 1 byte to 16MiB"));
        }
        if self.prompt.examples.len() > MAX_EXAMPLES {
            let count = self.prompt.examples.len();
            return Err(format!("prompt.examples has {count} entries; {MAX_EXAMPLES} at most"));
        }
        if let Some(long) = self.prompt.examples.iter().find(|example| example.request.len() > MAX_REQUEST) {
            let length = long.request.len();
            return Err(format!("a request of prompt.examples has {length} bytes; {MAX_REQUEST} at most"));
        }
        Ok(())
    }
}

/// Whether `name` is a WIT-like name: words of lower-case letters and digits, each begun by a letter, joined by `-`.
fn is_kebab(name: &str) -> bool {
    name.split('-').all(|word| {
        word.starts_with(|c: char| c.is_ascii_lowercase())
            && word.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit())
    })
}

fn size<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    let text = String::deserialize(deserializer)?;
    let units = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1)];
    scaled(&text, &units)
        .ok_or_else(|| de::Error::custom(format!("`{text}` is no size; write it as `64MiB`")))
}

fn duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let text = String::deserialize(deserializer)?;
    scaled(&text, &[("ms", 1), ("s", 1000), ("min", 60_000)])
        .map(Duration::from_millis)
        .ok_or_else(|| de::Error::custom(format!("`{text}` is no duration; write it as `5s` or `500ms`")))
}

/// A whole number times the unit that ends the text.
fn scaled(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let (digits, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit())?);
    let (_, factor) = units.iter().find(|(name, _)| *name == unit.trim_start())?;
    digits.parse::<u64>().ok()?.checked_mul(*factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "name = 'calendar'\nversion = '0.1.0'\ndescription = 'Appointments.'\n";

    fn parse(rest: &str) -> Result<Manifest, String> {
        Manifest::parse(&format!("{HEAD}{rest}"))
    }

    #[test]
    fn a_short_manifest_asks_for_nothing_and_gets_the_default_limits() {
        let manifest = parse("").expect("valid");
        assert_eq!(manifest.capabilities, Capabilities::default());
        let limits = Limits { memory: 64 << 20, time: Duration::from_secs(5), output: 1 << 20 };
        assert_eq!(manifest.limits, limits);
    }

    #[test]
    fn sizes_and_durations_are_read_with_their_units() {
        let manifest =
            parse("[limits]\nmemory = '32 MiB'\ntime = '250ms'\noutput = '512KiB'").expect("valid");
        let limits = Limits { memory: 32 << 20, time: Duration::from_millis(250), output: 512 << 10 };
        assert_eq!(manifest.limits, limits);
    }

    #[test]
    fn bad_manifests_are_refused_with_the_reason() {
        for (rest, reason) in [
            ("[capabilities]\nnetwork = true", "network"),
            ("[limits]\nmemory = '2GiB'", "1GiB"),
            ("[limits]\nmemory = '99999999999999999999MiB'", "no size"),
            ("[limits]\nmemory = 64", "string"),
            ("[limits]\ntime = '1h'", "no duration"),
            ("[limits]\ntime = '61s'", "60s"),
            ("[limits]\noutput = '0B'", "16MiB"),
            ("colour = 'red'", "colour"),
        ] {
            let message = parse(rest).expect_err(rest);
            assert!(message.contains(reason), "{rest}: {message}");
        }
        for name in ["", "Calendar", "a--b", "-a", "a b", "1a", "a/../b", &"a".repeat(33)] {
            let text = format!("name = '{name}'\nversion = '1'\ndescription = ''");
            assert!(Manifest::parse(&text).expect_err(name).contains("kebab"), "{name}");
        }
    }

    #[test]
    fn a_missing_manifest_names_its_path() {
        let error = Manifest::read(Path::new("no/such/plugin.toml")).expect_err("missing");
        assert!(error.to_string().contains("no/such/plugin.toml"), "{error}");
    }
}

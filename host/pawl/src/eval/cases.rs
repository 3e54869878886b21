//! Reads a suite and checks it whole before anything runs. Every error names the file and the case.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

/// Largest suite that is read.
const FILE_BYTES: u64 = 8 * 1024 * 1024;

/// Why a suite cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CasesError {
    /// The file cannot be read.
    #[error("suite {path}: {source}")]
    Read {
        /// The suite.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file is larger than any suite should be.
    #[error("suite {path}: {bytes} bytes, the limit is {FILE_BYTES}; split it")]
    TooLarge {
        /// The suite.
        path: PathBuf,
        /// Its size.
        bytes: u64,
    },
    /// The file is not a suite.
    #[error("suite {path}: {message}")]
    Suite {
        /// The suite.
        path: PathBuf,
        /// What is wrong and where.
        message: String,
    },
    /// A case is not one.
    #[error("suite {path}: case {case}: {message}")]
    Case {
        /// The suite.
        path: PathBuf,
        /// The case's id, or its place counted from 1 where it has none.
        case: String,
        /// What is wrong.
        message: String,
    },
}

/// A file of cases.
#[derive(Debug, Clone)]
pub(crate) struct Suite {
    /// The wall clock at which every request is made.
    pub(crate) now: DateTime,
    /// The zone of that clock, as the file names it (IANA).
    pub(crate) zone: String,
    pub(crate) cases: Vec<Case>,
}

/// One request and what should come of it.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Case {
    pub(crate) id: String,
    /// The conversation; the last message is the user's.
    pub(crate) messages: Vec<Message>,
    /// `None` where no tool may be called.
    #[serde(deserialize_with = "present")]
    pub(crate) expect: Option<Expect>,
}

/// A message of the conversation.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Message {
    /// `system`, `user` or `assistant`.
    pub(crate) role: String,
    pub(crate) content: String,
}

/// The call that is expected.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Expect {
    /// Full name, as `sql.ask`.
    pub(crate) tool: String,
    /// What must hold for an argument; `*` means all texts of all arguments together.
    pub(crate) arguments: BTreeMap<String, Check>,
    /// Statements with a right result; one that agrees is enough. Only with `sql.ask`.
    #[serde(default)]
    pub(crate) gold_sql: Vec<String>,
    /// Whether the order of the rows counts.
    #[serde(default)]
    pub(crate) ordered: bool,
}

/// What must hold for an argument.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Check {
    /// Is this value; dates and times by what they mean.
    Equals(Value),
    /// Is one of these.
    OneOf(Vec<Value>),
    /// The text holds, of each group, one of the words.
    Words(Vec<Vec<String>>),
    /// The list has, for each group, an element that holds one of the words.
    Contains(Vec<Vec<String>>),
}

/// `null` is a value here, but absence is an error.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Expect>, D::Error> {
    Option::deserialize(deserializer)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    now: String,
    zone: String,
    cases: Vec<Value>,
}

impl Suite {
    /// Reads and checks the suite at `path`.
    ///
    /// # Errors
    /// The file is missing, too large, no JSON or no suite, or a case breaks a rule of `tests/cases/README.md`.
    pub(crate) fn read(path: &Path) -> Result<Suite, CasesError> {
        let read = |source| CasesError::Read { path: path.to_path_buf(), source };
        let bytes = std::fs::metadata(path).map_err(read)?.len();
        if bytes > FILE_BYTES {
            return Err(CasesError::TooLarge { path: path.to_path_buf(), bytes });
        }
        Suite::parse(&std::fs::read_to_string(path).map_err(read)?, path)
    }

    fn parse(text: &str, path: &Path) -> Result<Suite, CasesError> {
        let suite = |message: String| CasesError::Suite { path: path.to_path_buf(), message };
        let raw: Raw = serde_json::from_str(text).map_err(|error| suite(error.to_string()))?;
        let now = raw.now.parse().map_err(|_| {
            suite(format!("now is {:?}, expected a date and time as 2026-11-23T14:00", raw.now))
        })?;
        TimeZone::get(&raw.zone).map_err(|_| {
            suite(format!("zone {:?} is not known; use an IANA name as Europe/Berlin", raw.zone))
        })?;
        if raw.cases.is_empty() {
            return Err(suite("cases is empty; a suite has at least one".to_owned()));
        }
        let mut ids = BTreeSet::new();
        let mut cases = Vec::with_capacity(raw.cases.len());
        for (index, value) in raw.cases.into_iter().enumerate() {
            let name = value.get("id").and_then(Value::as_str).map_or((index + 1).to_string(), str::to_owned);
            let case =
                Case::read(value)
                    .and_then(|case| {
                        if ids.insert(name.clone()) { Ok(case) } else { Err("the id is taken".to_owned()) }
                    })
                    .map_err(|message| CasesError::Case { path: path.to_path_buf(), case: name, message })?;
            cases.push(case);
        }
        Ok(Suite { now, zone: raw.zone, cases })
    }
}

impl Case {
    fn read(value: Value) -> Result<Case, String> {
        let case: Case = serde_json::from_value(value).map_err(|error| error.to_string())?;
        let kebab = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if case.id.is_empty() || !case.id.chars().all(kebab) {
            return Err(format!("id {:?} is not kebab case", case.id));
        }
        for message in &case.messages {
            if !matches!(message.role.as_str(), "system" | "user" | "assistant") {
                return Err(format!("role {:?} is not one of system, user, assistant", message.role));
            }
        }
        if case.messages.last().is_none_or(|message| message.role != "user") {
            return Err("the last message is not the user's".to_owned());
        }
        if let Some(expect) = &case.expect {
            expect.check()?;
        }
        Ok(case)
    }
}

impl Expect {
    fn check(&self) -> Result<(), String> {
        let named = self.tool.split_once('.').is_some_and(|(plugin, function)| {
            !plugin.is_empty() && !function.is_empty() && !function.contains('.')
        });
        if !named {
            return Err(format!("tool {:?} is not a name as plugin.function", self.tool));
        }
        let query = self.tool == super::score::QUERY;
        if query && self.gold_sql.is_empty() {
            return Err("gold_sql is missing; sql.ask is judged by its result".to_owned());
        }
        if !query && (self.ordered || !self.gold_sql.is_empty()) {
            return Err(format!("gold_sql and ordered belong to sql.ask, not to {}", self.tool));
        }
        for (name, check) in &self.arguments {
            let empty = match check {
                Check::Equals(_) => false,
                Check::OneOf(values) => values.is_empty(),
                Check::Words(groups) | Check::Contains(groups) => {
                    groups.is_empty() || groups.iter().any(|group| group.iter().all(String::is_empty))
                }
            };
            if empty {
                return Err(format!("the check of argument {name:?} holds nothing"));
            }
            if name == "*" && !matches!(check, Check::Words(_)) {
                return Err("the check of * is not of words".to_owned());
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn suite(cases: &str) -> Result<Suite, String> {
        let text = format!(r#"{{"now":"2026-11-23T14:00","zone":"Europe/Berlin","cases":[{cases}]}}"#);
        Suite::parse(&text, Path::new("a.json")).map_err(|error| error.to_string())
    }

    fn case(expect: &str) -> Result<Suite, String> {
        suite(&format!(r#"{{"id":"one","messages":[{{"role":"user","content":"hi"}}],"expect":{expect}}}"#))
    }

    #[track_caller]
    fn refused(result: Result<Suite, String>, words: &[&str]) {
        let message = result.expect_err("this suite should be refused");
        for word in words {
            assert!(message.contains(word), "{word:?} is not in {message:?}");
        }
    }

    #[test]
    fn the_suite_of_the_repository_is_sound() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/cases/chat.json");
        let suite = Suite::read(&path).expect("tests/cases/chat.json is a suite");
        assert_eq!(suite.cases.len(), 40);
        assert_eq!(suite.cases.iter().filter(|case| case.expect.is_none()).count(), 10);
        assert_eq!(suite.zone, "Europe/Berlin");
        assert_eq!(suite.now.to_string(), "2026-11-23T14:00:00");
    }

    #[test]
    fn each_mistake_names_the_case() {
        assert!(case("null").is_ok());
        refused(case(r#"{"tool":"query","arguments":{}}"#), &["a.json", "case one", "plugin.function"]);
        refused(case(r#"{"tool":"sql.ask","arguments":{}}"#), &["case one", "gold_sql"]);
        refused(case(r#"{"tool":"a.b","arguments":{},"gold_sql":["SELECT 1"]}"#), &["case one", "a.b"]);
        refused(case(r#"{"tool":"a.b","arguments":{"x":{"is":1}}}"#), &["case one", "`is`"]);
        refused(case(r#"{"tool":"a.b","arguments":{"x":{"words":[[]]}}}"#), &["case one", "\"x\""]);
        refused(case(r#"{"tool":"a.b","arguments":{"*":{"equals":1}}}"#), &["case one", "*"]);
        refused(case(r#"{"tool":"a.b","arguments":{},"extra":1}"#), &["case one", "extra"]);
        let message = r#""messages":[{"role":"user","content":"hi"}]"#;
        refused(suite(&format!(r#"{{"id":"one",{message}}}"#)), &["case one", "expect"]);
        refused(suite(&format!(r#"{{"id":"A b",{message},"expect":null}}"#)), &["kebab"]);
        refused(suite(&format!(r#"{{{message},"expect":null}}"#)), &["case 1", "id"]);
        refused(suite(r#"{"id":"one","messages":[],"expect":null}"#), &["case one", "last message"]);
        let one = format!(r#"{{"id":"one",{message},"expect":null}}"#);
        refused(suite(&format!("{one},{one}")), &["case one", "taken"]);
        refused(suite(""), &["empty"]);
    }

    #[test]
    fn a_bad_file_is_named() {
        let error = Suite::parse("{", Path::new("a.json")).expect_err("no JSON").to_string();
        assert!(error.contains("a.json") && error.contains("line 1"), "{error}");
        let text = r#"{"now":"yesterday","zone":"Europe/Berlin","cases":[]}"#;
        let error = Suite::parse(text, Path::new("a.json")).expect_err("no time").to_string();
        assert!(error.contains("yesterday"), "{error}");
        let error = Suite::read(Path::new("/no/such.json")).expect_err("no file").to_string();
        assert!(error.contains("/no/such.json"), "{error}");
    }
}

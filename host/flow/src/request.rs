//! What a script asks for: the only ways out of it.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// How often and how long a step is tried.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct Policy {
    /// Attempts in all.
    pub attempts: u32,
    /// Seconds before the second attempt; each further wait is twice as long.
    pub backoff: f64,
    /// Seconds of one attempt.
    pub timeout: Option<f64>,
    /// What to do where the process ended during an attempt, and nobody can say whether it took effect.
    #[serde(alias = "in_doubt")]
    pub in_doubt: InDoubt,
}

/// What to do with a step that is in doubt.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum InDoubt {
    /// A person says.
    #[default]
    Ask,
    /// It does no harm twice: it is tried again.
    Retry,
    /// It fails with the code `in-doubt`, which the script can catch.
    Fail,
}

impl Default for Policy {
    fn default() -> Policy {
        Policy { attempts: 1, backoff: 1.0, timeout: None, in_doubt: InDoubt::Ask }
    }
}

/// Who must approve, and until when.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct Consent {
    /// How many people: 1 or 2.
    pub people: u32,
    /// Seconds until it expires.
    pub expires: f64,
}

impl Default for Consent {
    fn default() -> Consent {
        Consent { people: 1, expires: crate::approval::EXPIRY.as_secs_f64() }
    }
}

/// A step, as it is asked for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "kebab-case")]
pub enum Request {
    /// Calls a plugin's tool.
    Call {
        /// `calendar.create-event`.
        tool: String,
        /// By name.
        arguments: Value,
        /// How often and how long.
        policy: Policy,
    },
    /// Asks the model; the answer is a text, or a value of the schema.
    Ask {
        /// What the model is told.
        prompt: String,
        /// JSON Schema of the answer.
        schema: Option<Value>,
    },
    /// Asks the model by a template; the answer is what the template says.
    Prompt {
        /// Its name.
        template: String,
        /// What stands for its slots, by name.
        slots: Value,
    },
    /// Waits until people approve what is shown.
    Approve {
        /// What will happen, in full.
        what: Value,
        /// Who and until when.
        consent: Consent,
    },
    /// Waits for seconds.
    Sleep {
        /// From the moment of the request.
        seconds: f64,
    },
    /// Waits until a moment.
    Until {
        /// RFC 3339.
        time: String,
    },
    /// Waits for a signal from outside; the value is what it carries.
    Wait {
        /// Its name.
        signal: String,
        /// Seconds after which the step fails with `timeout`.
        timeout: Option<f64>,
    },
    /// What people did by conversation, the nearest to some words first.
    Recall {
        /// Any text.
        words: String,
        /// Turns.
        most: u32,
    },
    /// Runs another flow; the value is its result.
    Child {
        /// Its name.
        flow: String,
        /// Its input.
        input: Value,
    },
    /// Adds to the run's results.
    Emit {
        /// Any value.
        value: Value,
    },
    /// Adds a line to the run's log.
    Log {
        /// Any text.
        text: String,
    },
    /// The time, as RFC 3339.
    Now,
    /// A number from 0 up to 1.
    Random,
}

impl Request {
    /// In a few words, for people: `calendar.create-event`, `sleep 5 s`.
    #[must_use]
    pub fn title(&self) -> String {
        let short = |text: &str| match text.char_indices().nth(60) {
            Some((at, _)) => format!("{}…", text[..at].replace('\n', " ")),
            None => text.replace('\n', " "),
        };
        match self {
            Request::Call { tool, .. } => tool.clone(),
            Request::Ask { prompt, schema: None } => format!("ask: {}", short(prompt)),
            Request::Ask { prompt, schema: Some(_) } => format!("extract: {}", short(prompt)),
            Request::Prompt { template, .. } => format!("prompt {template}"),
            Request::Approve { .. } => "approve".to_owned(),
            Request::Sleep { seconds } => format!("sleep {seconds} s"),
            Request::Until { time } => format!("sleep until {time}"),
            Request::Wait { signal, .. } => format!("wait for {signal}"),
            Request::Recall { words, .. } => format!("remember: {}", short(words)),
            Request::Child { flow, .. } => format!("run {flow}"),
            Request::Emit { value } => format!("emit: {}", short(&value.to_string())),
            Request::Log { text } => format!("log: {}", short(text)),
            Request::Now => "now".to_owned(),
            Request::Random => "random".to_owned(),
        }
    }
}

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
}

impl Default for Policy {
    fn default() -> Policy {
        Policy { attempts: 1, backoff: 1.0, timeout: None }
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
    /// Waits until a person approves what is shown.
    Approve {
        /// What will happen, in full.
        what: Value,
    },
    /// Waits for seconds.
    Sleep {
        /// From the moment of the request.
        seconds: f64,
    },
    /// Waits for a signal from outside; the value is what it carries.
    Wait {
        /// Its name.
        signal: String,
        /// Seconds after which the step fails with `timeout`.
        timeout: Option<f64>,
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

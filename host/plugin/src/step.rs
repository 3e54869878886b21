//! Calls that are steps of a workflow: what a step does is done once, though the host is killed in the midst of it.
//!
//! Whoever keeps the workflow gives each step a key and, after a crash, does by [`Plugin::effects`] what can be done: with
//! [`Effects::None`] the call is made again; with [`Effects::Recorded`] it asks [`Plugin::recorded`], takes what the call gave, or
//! makes it again; with [`Effects::Unknown`] the step is in doubt, and a person looks.
//!
//! Invariant: the key and the call's result are kept in one transaction with its writes, so that they are there exactly where the
//! writes are; a second call with a recorded key is refused where it would write, whether anybody asked before or not.

use std::sync::Arc;
use std::time::{Duration, Instant};

use pawl_database as db;
use serde_json::Value;

use crate::call::Setting;
use crate::capability::database::{Mode, Write};
use crate::error::CallError;
use crate::grant::Effective;
use crate::manifest::Access;
use crate::{Callee, Plugin};

/// How long one database is asked.
const ASKING: Duration = Duration::from_secs(10);

/// What is known beforehand of what a call can do beyond its result. It follows from what is requested and granted. Reading
/// (databases, documents, files, settings), time, random numbers and the model are no effects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effects {
    /// Nothing: it may be repeated freely.
    None,
    /// It can write in one place that can be asked: its key-value store, or a database. What a statement sets off there and MySQL's
    /// DDL are another matter: the latter is refused with a key ([`CallError::NotRecordable`]).
    Recorded,
    /// It can send requests that change something, write files, or write to both the key-value store and a database.
    Unknown,
}

impl Effects {
    pub(crate) fn of(capabilities: &Effective) -> Effects {
        let database = capabilities.database.values().any(|granted| granted.write);
        let files = capabilities.filesystem.values().any(|preopen| preopen.access == Access::Write);
        match (capabilities.keyvalue, database) {
            _ if files || capabilities.http.changes() => Effects::Unknown,
            (true, true) => Effects::Unknown,
            (false, false) => Effects::None,
            _ => Effects::Recorded,
        }
    }
}

/// A key that can be recorded wherever a call writes.
pub(crate) fn checked(key: &str) -> Result<Arc<str>, CallError> {
    db::check_key(key).map_err(|error| CallError::NotRecordable(error.to_string()))?;
    Ok(key.into())
}

impl Plugin {
    /// What its calls can do, as far as it is known beforehand.
    pub fn effects(&self) -> Effects {
        Effects::of(&self.setting.capabilities)
    }

    /// As [`Plugin::call`], of a step of a workflow: what it writes into its key-value store is kept once it succeeded, together
    /// with `key` and its result, or not at all. Keys are one word of ASCII, up to 200 bytes, and no two steps have the same: also
    /// not of two hosts that write to the same database.
    ///
    /// # Errors
    /// As [`Plugin::call`] gives, and then nothing was written; [`CallError::Recorded`] where the step was done before and would
    /// write again, [`CallError::NotRecordable`] for what is no key, and [`CallError::InDoubt`] where the store failed meanwhile.
    pub async fn call_once(&self, function: &str, arguments: &Value, key: &str) -> Result<Value, CallError> {
        let step = checked(key)?;
        let index = self.index(function)?;
        let values = self.lower(index, arguments)?;
        Ok(self.run(Callee::Tool(index), values, Mode::Ordinary, Some(step)).await?.0)
    }

    /// As [`Plugin::trial`], of a step of a workflow: the function sees the key that [`Plugin::carry_out`] will be given, so that
    /// it writes the same then.
    ///
    /// # Errors
    /// As [`Plugin::trial`] gives, and [`CallError::NotRecordable`] for what is no key.
    pub async fn trial_once(
        &self,
        function: &str,
        arguments: &Value,
        key: &str,
    ) -> Result<Vec<Write>, CallError> {
        let step = checked(key)?;
        let index = self.index(function)?;
        let values = self.lower(index, arguments)?;
        Ok(self.run(Callee::Tool(index), values, Mode::Trial, Some(step)).await?.1)
    }

    /// What the call gave that was made with `key` ([`Plugin::call_once`], [`Plugin::carry_out`]), where it wrote and that was
    /// kept; none where nothing was kept, and then it can be made again. Asks the key-value store and the databases that the plugin
    /// may write; for a plugin of [`Effects::Unknown`] that is not all.
    ///
    /// # Errors
    /// [`CallError::Host`] where one of them does not answer, [`CallError::NotRecordable`] for what is no key.
    pub async fn recorded(&self, key: &str) -> Result<Option<Value>, CallError> {
        let key = checked(key)?;
        let setting = Arc::clone(&self.setting);
        let asked = tokio::task::spawn_blocking(move || ask(&setting, &key)).await;
        asked.unwrap_or_else(|error| Err(CallError::Host { message: error.to_string() }))
    }
}

fn ask(setting: &Setting, key: &str) -> Result<Option<Value>, CallError> {
    let silent = |place: &str, said: String| CallError::Host {
        message: format!("{place} does not say whether the step {key} was done: {said}"),
    };
    let capabilities = &setting.capabilities;
    if capabilities.keyvalue {
        let recorded = setting.keyvalue.recorded(&setting.plugin, key);
        if let Some(outcome) = recorded.map_err(|said| silent("the key-value store", said))? {
            return read(&outcome).map(Some);
        }
    }
    for (name, granted) in capabilities.database.iter().filter(|(_, granted)| granted.write) {
        let deadline = Instant::now() + ASKING;
        let recorded = db::recorded(name, &granted.location, &db::Limits::default(), key, deadline);
        let recorded = recorded.map_err(|error| silent(&format!("database `{name}`"), error.to_string()))?;
        if let Some(outcome) = recorded {
            return read(&outcome).map(Some);
        }
    }
    Ok(None)
}

fn read(outcome: &str) -> Result<Value, CallError> {
    serde_json::from_str(outcome).map_err(|error| CallError::Host {
        message: format!("what was recorded of the step is not JSON any more: {error}"),
    })
}

#[cfg(test)]
mod tests;

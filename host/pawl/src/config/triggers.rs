//! What begins workflows by itself, as the settings name it.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use jiff::tz::TimeZone;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::{ConfigError, time_zone};
use crate::triggers::schedule::{Missed, Schedule};

/// Bytes of a secret; a shorter one is guessed.
const MIN_SECRET: usize = 16;
/// What the script of each kind sees beside the input of the settings.
const GIVEN: [&str; 3] = ["trigger", "file", "body"];

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct RawTrigger {
    workflow: String,
    #[serde(default)]
    input: Map<String, Value>,
    schedule: Option<String>,
    time_zone: Option<String>,
    missed: Option<Missed>,
    folder: Option<PathBuf>,
    collection: Option<String>,
    webhook: Option<RawWebhook>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawWebhook {
    secret: FromEnvironment,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, expecting = "{ env = \"NAME\" }: a secret is in the environment and in no file")]
struct FromEnvironment {
    env: String,
}

/// One thing that begins a workflow.
#[derive(Debug, Clone)]
pub(crate) struct TriggerConfig {
    pub(crate) name: String,
    pub(crate) workflow: String,
    /// What the script sees, with what the trigger adds.
    pub(crate) input: Map<String, Value>,
    pub(crate) on: On,
}

/// When a workflow is begun.
#[derive(Debug, Clone)]
pub(crate) enum On {
    /// At certain times.
    Schedule(Schedule),
    /// For each new file of a folder.
    Folder {
        folder: PathBuf,
        /// As what the run's plugins see the file; none of them sees it where there is none.
        collection: Option<String>,
    },
    /// When another program says so, which signs what it says.
    Webhook { env: String, secret: Option<Secret> },
}

/// What only the two ends of a webhook know; `Debug` does not show it.
#[derive(Clone)]
pub(crate) struct Secret(pub(crate) Vec<u8>);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// Checks all of them. Relative folders are taken from `base`; where a schedule names no zone, it is that of the settings.
pub(super) fn resolve(
    raw: BTreeMap<String, RawTrigger>,
    base: &Path,
    zone: &TimeZone,
) -> Result<Vec<TriggerConfig>, ConfigError> {
    let one = |(name, raw): (String, RawTrigger)| {
        one(&name, raw, base, zone).map_err(|why| ConfigError::Trigger { name, why })
    };
    raw.into_iter().map(one).collect()
}

fn one(name: &str, raw: RawTrigger, base: &Path, zone: &TimeZone) -> Result<TriggerConfig, String> {
    let RawTrigger { workflow, input, schedule, time_zone: own, missed, folder, collection, webhook } = raw;
    if name.is_empty()
        || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    {
        return Err("its name is to be of letters, digits, - and _".to_owned());
    }
    if let Some(taken) = GIVEN.into_iter().find(|given| input.contains_key(*given)) {
        return Err(format!("input.{taken} is what the trigger itself gives; take another name"));
    }
    if schedule.is_none() && (own.is_some() || missed.is_some()) {
        return Err("time-zone and missed belong to a schedule".to_owned());
    }
    if folder.is_none() && collection.is_some() {
        return Err("collection belongs to a folder".to_owned());
    }
    let on = match (schedule, folder, webhook) {
        (Some(schedule), None, None) => {
            let zone = match own {
                Some(own) => time_zone(Some(&own)).map_err(|error| error.to_string())?,
                None => zone.clone(),
            };
            On::Schedule(Schedule::parse(&schedule, &zone, missed.unwrap_or_default())?)
        }
        (None, Some(folder), None) => On::Folder { folder: base.join(folder), collection },
        (None, None, Some(RawWebhook { secret: FromEnvironment { env } })) => {
            let secret = std::env::var(&env).ok().map(|secret| Secret(secret.into_bytes()));
            if secret.as_ref().is_some_and(|secret| secret.0.len() < MIN_SECRET) {
                return Err(format!("the secret in {env} has fewer than {MIN_SECRET} bytes; take a longer one"));
            }
            On::Webhook { env, secret }
        }
        _ => return Err("give one of schedule = \"0 7 * * 1\", folder = \"inbox\" and webhook = { secret = { env = \"NAME\" } }".to_owned()),
    };
    Ok(TriggerConfig { name: name.to_owned(), workflow, input, on })
}

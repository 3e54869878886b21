//! `[limits]` of plugin.toml: what one call of a plugin may use.
//!
//! Invariant: every limit has a default and a hard cap, is checked when the manifest is read, and is enforced by the
//! host whatever the guest does.
//!
//! | key | bounds | default | cap |
//! | --- | --- | --- | --- |
//! | `memory` | linear memory of the instance | `64MiB` | `1GiB` |
//! | `table-elements` | elements of all its tables | `20000` | `100000` |
//! | `instances` | core instances, memories and tables, each | `64` | `64` |
//! | `time` | wall-clock time, waiting included | `5s` | `300s` (a plugin that asks the model waits for it) |
//! | `fuel` | instructions, roughly; the same call always ends at the same place | none | 10^12 |
//! | `host-calls` | calls from the guest into the host | `100000` | `10000000` |
//! | `input` | arguments as JSON | `4MiB` | `16MiB` |
//! | `output` | the result, strings and lists counted as they are | `1MiB` | `16MiB` |
//! | `log` | what it writes to stdout and stderr that is kept, 32 bytes more for each write; the rest is dropped, and said to be | `64KiB` | `1MiB` |
//! | `concurrency` | calls of this plugin at the same time; others wait | `16` | `32` |
//!
//! For every plugin alike: the stack of a guest is 1 MiB, for wasmtime sets it for a whole engine; the handles that a
//! guest holds are 100,000 (`handles`), and 1024 of what the host opened for it.
//!
//! All calls share 64 turns (16 more where fuel is counted). A call within the defaults takes one; one with more
//! memory or output takes as many as it could be split into (see `weight`), so guests together never hold more than
//! 4 GiB of linear memory. No plugin has more than half of the turns: one that asks for 1 GiB runs two calls at a time.
//!
//! Host calls count what the guest imports, and what it makes wasmtime do for it beside: growing a memory, passing
//! text between the modules of a component, one every 10 ms for the clock. Copying and filling memory counts not.

use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, de};

/// Elements of all tables of an instance: the most that a pool slot holds.
pub(crate) const MAX_TABLE_ELEMENTS: u64 = 100_000;
/// Core instances, memories and tables of one component.
pub(crate) const MAX_INSTANCES: u64 = 64;
/// Calls of one plugin at the same time.
pub(crate) const MAX_CONCURRENCY: u64 = 32;
const MAX_MEMORY: u64 = 1 << 30;
const MAX_TIME: Duration = Duration::from_secs(300);
const MAX_FUEL: u64 = 1_000_000_000_000;
const MAX_HOST_CALLS: u64 = 10_000_000;
const MAX_INPUT: u64 = 16 << 20;
const MAX_OUTPUT: u64 = 16 << 20;
const MAX_LOG: u64 = 1 << 20;

/// What one call may use. The table at the head of this file has the meaning, default and cap of each.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct Limits {
    /// Linear memory of the instance, in bytes: `"64MiB"`.
    #[serde(deserialize_with = "size")]
    pub memory: u64,
    /// Elements of all tables of the instance.
    pub table_elements: u64,
    /// Core instances, memories and tables of the instance, each.
    pub instances: u64,
    /// Wall-clock time, waiting included: `"5s"`.
    #[serde(deserialize_with = "duration", serialize_with = "seconds")]
    pub time: Duration,
    /// Instructions, roughly. Where it is set, the same call ends at the same place on every machine; it costs speed.
    pub fuel: Option<u64>,
    /// Calls from the guest into the host.
    pub host_calls: u64,
    /// Bytes of the arguments as JSON: `"4MiB"`.
    #[serde(deserialize_with = "size")]
    pub input: u64,
    /// Bytes of the result, strings and lists counted as they are: `"1MiB"`.
    #[serde(deserialize_with = "size")]
    pub output: u64,
    /// Bytes written to stdout and stderr that reach the log: `"64KiB"`.
    #[serde(deserialize_with = "size")]
    pub log: u64,
    /// Calls of this plugin at the same time.
    pub concurrency: u64,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            memory: 64 << 20,
            table_elements: 20_000,
            instances: MAX_INSTANCES,
            time: Duration::from_secs(5),
            fuel: None,
            host_calls: 100_000,
            input: 4 << 20,
            output: 1 << 20,
            log: 64 << 10,
            concurrency: 16,
        }
    }
}

impl Limits {
    /// The first limit that is nothing or past its cap, in words.
    pub(crate) fn check(&self) -> Result<(), String> {
        let counts = [
            ("table-elements", self.table_elements, MAX_TABLE_ELEMENTS),
            ("instances", self.instances, MAX_INSTANCES),
            ("fuel", self.fuel.unwrap_or(1), MAX_FUEL),
            ("host-calls", self.host_calls, MAX_HOST_CALLS),
            ("concurrency", self.concurrency, MAX_CONCURRENCY),
        ];
        let sizes = [
            ("memory", self.memory, MAX_MEMORY),
            ("input", self.input, MAX_INPUT),
            ("output", self.output, MAX_OUTPUT),
            ("log", self.log, MAX_LOG),
        ];
        for (name, value, most) in counts {
            if value == 0 || value > most {
                return Err(format!("limits.{name} is {value}; ask for 1 to {most}"));
            }
        }
        for (name, value, most) in sizes {
            if value == 0 || value > most {
                return Err(format!("limits.{name} is {}; ask for 1 byte to {}", bytes(value), bytes(most)));
            }
        }
        if self.time.is_zero() || self.time > MAX_TIME {
            return Err(format!("limits.time is {:?}; ask for 1ms to 300s", self.time));
        }
        Ok(())
    }
}

/// A count of bytes as it is written in settings.
pub(crate) fn bytes(count: u64) -> String {
    match count {
        gib if gib > 0 && gib % (1 << 30) == 0 => format!("{} GiB", gib >> 30),
        mib if mib > 0 && mib % (1 << 20) == 0 => format!("{} MiB", mib >> 20),
        kib if kib > 0 && kib % (1 << 10) == 0 => format!("{} KiB", kib >> 10),
        bytes => format!("{bytes} bytes"),
    }
}

/// `"64MiB"` to bytes.
pub(crate) fn size<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    let text = String::deserialize(deserializer)?;
    let units = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1)];
    scaled(&text, &units)
        .ok_or_else(|| de::Error::custom(format!("`{text}` is no size; write it as `64MiB`")))
}

/// `"5s"` to a duration.
pub(crate) fn duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let text = String::deserialize(deserializer)?;
    scaled(&text, &[("ms", 1), ("s", 1000), ("min", 60_000)])
        .map(Duration::from_millis)
        .ok_or_else(|| de::Error::custom(format!("`{text}` is no duration; write it as `5s` or `500ms`")))
}

fn seconds<S: serde::Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(duration.as_secs_f64())
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

    fn parse(text: &str) -> Result<Limits, String> {
        let limits: Limits = toml::from_str(text).map_err(|error| error.to_string())?;
        limits.check().map(|()| limits)
    }

    #[test]
    fn sizes_and_durations_are_read_with_their_units() {
        let limits = parse("memory = '32 MiB'\ntime = '250ms'\noutput = '512KiB'").expect("valid");
        let expected = Limits {
            memory: 32 << 20,
            time: Duration::from_millis(250),
            output: 512 << 10,
            ..Limits::default()
        };
        assert_eq!(limits, expected);
    }

    #[test]
    fn a_limit_of_nothing_or_past_its_cap_is_refused_by_name() {
        for (text, reason) in [
            ("memory = '2GiB'", "1 GiB"),
            ("memory = '0B'", "limits.memory"),
            ("memory = '99999999999999999999MiB'", "no size"),
            ("memory = 64", "string"),
            ("time = '1h'", "no duration"),
            ("time = '301s'", "300s"),
            ("time = '0s'", "limits.time"),
            ("output = '0B'", "16 MiB"),
            ("input = '17MiB'", "16 MiB"),
            ("log = '2MiB'", "1 MiB"),
            ("table-elements = 100001", "100000"),
            ("instances = 65", "64"),
            ("fuel = 0", "limits.fuel"),
            ("host-calls = 10000001", "10000000"),
            ("concurrency = 33", "32"),
            ("speed = 3", "speed"),
        ] {
            let message = parse(text).expect_err(text);
            assert!(message.contains(reason), "{text}: {message}");
        }
        Limits::default().check().expect("the defaults are allowed");
    }
}

//! What plugins write to the log, as the host's subscriber gets it.
//!
//! Invariant: one subscriber for the whole test process; what a plugin said is found under its name.

use std::collections::BTreeMap;
use std::fmt::{Debug, Write as _};
use std::sync::{Mutex, Once, PoisonError};

use anyhow::Result;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

static SAID: Mutex<BTreeMap<String, Vec<String>>> = Mutex::new(BTreeMap::new());

/// Begins to watch; does nothing the second time.
///
/// # Errors
/// Where another subscriber is set.
pub fn watch() -> Result<()> {
    static SET: Once = Once::new();
    let mut outcome = Ok(());
    SET.call_once(|| outcome = tracing::subscriber::set_global_default(Watcher));
    Ok(outcome?)
}

/// The lines that a plugin of this name wrote since [`watch`].
pub fn of(plugin: &str) -> Vec<String> {
    SAID.lock().unwrap_or_else(PoisonError::into_inner).get(plugin).cloned().unwrap_or_default()
}

struct Watcher;

#[derive(Default)]
struct Line {
    plugin: Option<String>,
    text: String,
}

impl Visit for Line {
    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "plugin" => self.plugin = Some(value.to_owned()),
            _ => self.text.push_str(value),
        }
    }

    fn record_debug(&mut self, _: &Field, value: &dyn Debug) {
        let _ = write!(self.text, "{value:?}");
    }
}

impl Subscriber for Watcher {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.is_event() && metadata.target().starts_with("pawl_plugin")
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut line = Line::default();
        event.record(&mut line);
        let mut said = SAID.lock().unwrap_or_else(PoisonError::into_inner);
        said.entry(line.plugin.unwrap_or_default()).or_default().push(line.text);
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

//! Hot reload: a plugin whose files changed is loaded anew, and takes over from the next turn on.
//!
//! Files are looked at once a second (their lengths and times), which works on every file system; a change counts when
//! a second look finds the same, so that a half-written file is not taken. What is not as it was pinned does not take
//! over: the one that runs goes on, and the log says how to accept the new one, which a change of pawl.lock then does.

use std::path::Path;
use std::time::{Duration, SystemTime};

use super::lock::Lock;
use super::{Plugins, load_one, trusted};
use crate::config::PluginConfig;

/// How often the files are looked at.
const LOOK: Duration = Duration::from_secs(1);

/// What is seen of a file: its length and when it was last written.
type Seen = Option<(u64, SystemTime)>;

impl Plugins {
    /// Watches the files of the plugins until the end.
    pub(crate) async fn watch(self) {
        let mut loaded: Vec<[Seen; 3]> = self.look();
        let mut before = loaded.clone();
        loop {
            tokio::time::sleep(LOOK).await;
            let now = self.look();
            for (index, settings) in self.shared.settings.iter().enumerate() {
                if now[index] == before[index] && now[index] != loaded[index] {
                    loaded[index] = now[index];
                    let (plugins, settings) = (self.clone(), settings.clone());
                    // A panic in it is logged by tokio's hook and leaves what runs as it is.
                    let _ = tokio::task::spawn_blocking(move || plugins.reload(&settings)).await;
                }
            }
            before = now;
        }
    }

    fn look(&self) -> Vec<[Seen; 3]> {
        let files = |settings: &PluginConfig| {
            [seen(&settings.component()), seen(&settings.manifest()), seen(&self.shared.lock)]
        };
        self.shared.settings.iter().map(files).collect()
    }

    fn reload(&self, settings: &PluginConfig) {
        let pinned = match Lock::read(&self.shared.lock) {
            Ok(pinned) => pinned,
            Err(error) => return tracing::error!("{error}; plugins stay as they are"),
        };
        let plugin = match load_one(&self.shared.host, settings) {
            Ok(plugin) => plugin,
            Err(missing) => {
                return tracing::error!(plugin = missing.plugin, "not reloaded: {}", missing.why);
            }
        };
        let same = |running: &pawl_plugin::Plugin| {
            running.digest() == plugin.digest() && running.manifest() == plugin.manifest()
        };
        if self.now().loaded().any(same) {
            return;
        }
        let mut pins = pinned.clone();
        match trusted(plugin, settings, &mut pins) {
            Ok(plugin) => {
                if pins != pinned
                    && let Err(error) = pins.write(&self.shared.lock)
                {
                    return tracing::error!("{error}; plugin {} is not reloaded", settings.name);
                }
                tracing::warn!(plugin = settings.name, digest = plugin.digest(), "reloaded");
                self.replace(plugin);
            }
            Err(missing) => tracing::error!(plugin = missing.plugin, "not reloaded: {}", missing.why),
        }
    }
}

fn seen(file: &Path) -> Seen {
    let metadata = file.metadata().ok()?;
    Some((metadata.len(), metadata.modified().ok()?))
}

//! Where things are kept.

use std::path::{Path, PathBuf};

use etcetera::BaseStrategy;

use super::ConfigError;

/// The folders that Pawl keeps things in.
#[derive(Debug, Clone)]
pub(crate) struct Home {
    /// What can be had again: runtime, models, compiled components.
    pub(crate) cache: PathBuf,
    /// What cannot: events, databases.
    pub(crate) data: PathBuf,
}

impl Home {
    /// `PAWL_HOME` holds both; without it, the user's cache and data folders.
    pub(crate) fn resolve(home: Option<&Path>) -> Result<Home, ConfigError> {
        if let Some(home) = home {
            let home = std::path::absolute(home).map_err(|_| ConfigError::NoHome)?;
            return Ok(Home { data: home.join("data"), cache: home });
        }
        let base = etcetera::choose_base_strategy().map_err(|_| ConfigError::NoHome)?;
        Ok(Home { cache: base.cache_dir().join("pawl"), data: base.data_dir().join("pawl") })
    }

    pub(crate) fn model(&self, name: &str) -> PathBuf {
        self.cache.join("models").join(name)
    }

    pub(crate) fn compiled(&self) -> PathBuf {
        self.cache.join("compiled")
    }

    pub(crate) fn keyvalue(&self) -> PathBuf {
        self.data.join("keyvalue.sqlite")
    }

    /// What waits for a person.
    pub(crate) fn approvals(&self) -> PathBuf {
        self.data.join("approvals.sqlite")
    }

    /// Runs of workflows, and what they keep.
    pub(crate) fn runs(&self) -> PathBuf {
        self.data.join("runs")
    }

    /// What people did by conversation.
    pub(crate) fn memory(&self) -> PathBuf {
        self.data.join("memory.sqlite")
    }

    /// What was uploaded for jobs.
    pub(crate) fn uploads(&self) -> PathBuf {
        self.data.join("uploads")
    }

    pub(crate) fn shop(&self) -> PathBuf {
        self.data.join("shop.sqlite")
    }
}

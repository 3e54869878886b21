//! What the operator allows a plugin, and what follows from it.
//!
//! Invariant: a capability is effective only where the manifest requests it *and* the operator grants it; all else
//! is denied. Nothing that a model can call changes a grant.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::manifest::Manifest;

/// What the operator allows: `[plugins.NAME.grant]` in pawl.toml. The default grants nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Grant {
    /// A key-value store of the plugin's own.
    pub keyvalue: bool,
    /// Logical database names, each with the SQLite file that it stands for.
    pub database: BTreeMap<String, PathBuf>,
}

/// Requested and granted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Effective {
    pub(crate) keyvalue: bool,
    pub(crate) database: BTreeMap<String, PathBuf>,
}

impl Effective {
    /// The capabilities that `manifest` requests and `grant` allows.
    pub(crate) fn new(manifest: &Manifest, grant: &Grant) -> Effective {
        let requested = &manifest.capabilities;
        Effective {
            keyvalue: requested.keyvalue && grant.keyvalue,
            database: grant
                .database
                .iter()
                .filter(|(name, _)| requested.database.contains(name))
                .map(|(name, path)| (name.clone(), path.clone()))
                .collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest(capabilities: &str) -> Manifest {
        let text = format!("name = 'p'\nversion = '1'\ndescription = 'd'\n[capabilities]\n{capabilities}");
        Manifest::parse(&text).expect("a valid manifest")
    }

    fn grant(keyvalue: bool, databases: &[&str]) -> Grant {
        let database = databases.iter().map(|name| (name.to_string(), PathBuf::from(name))).collect();
        Grant { keyvalue, database }
    }

    #[test]
    fn a_capability_needs_request_and_grant() {
        let nothing = Effective::default();
        assert_eq!(Effective::new(&manifest(""), &grant(false, &[])), nothing);
        assert_eq!(Effective::new(&manifest(""), &grant(true, &["shop"])), nothing);
        let requests = manifest("keyvalue = true\ndatabase = ['shop']");
        assert_eq!(Effective::new(&requests, &grant(false, &[])), nothing);
        assert_eq!(Effective::new(&requests, &grant(false, &["payroll"])), nothing);
        let both = Effective::new(&requests, &grant(true, &["payroll", "shop"]));
        assert!(both.keyvalue);
        assert_eq!(both.database.keys().collect::<Vec<_>>(), ["shop"]);
    }
}

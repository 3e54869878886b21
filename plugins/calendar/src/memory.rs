//! A store in memory, for tests and for programs outside of a host (`examples/`).
//!
//! Invariant: it answers as the host's store does, and never fails.

use std::collections::BTreeMap;

use crate::Error;
use crate::keep::Store;

/// Values by key.
#[derive(Debug, Default)]
pub struct Memory(pub BTreeMap<String, Vec<u8>>);

impl Store for Memory {
    fn get(&self, key: &str) -> Result<Option<Vec<u8>>, Error> {
        Ok(self.0.get(key).cloned())
    }

    fn set(&mut self, key: &str, value: &[u8]) -> Result<(), Error> {
        self.0.insert(key.to_owned(), value.to_vec());
        Ok(())
    }

    fn delete(&mut self, key: &str) -> Result<(), Error> {
        self.0.remove(key);
        Ok(())
    }

    fn keys(&self) -> Result<Vec<String>, Error> {
        Ok(self.0.keys().cloned().collect())
    }
}

//! `wasi:config/store` (0.2.0-rc.1): the settings that the manifest asks for and the operator gives, by key.
//!
//! Invariant: a guest sees the effective keys and no others; a key that it may not see and one that does not exist look
//! the same. Values can be secrets: they are in no message and no log.

use super::bindings::wasi::config::store::{Error, Host};
use crate::call::State;

impl Host for State {
    fn get(&mut self, key: String) -> wasmtime::Result<Result<Option<String>, Error>> {
        Ok(Ok(self.capabilities.config.get(&key).map(|value| value.0.clone())))
    }

    fn get_all(&mut self) -> wasmtime::Result<Result<Vec<(String, String)>, Error>> {
        let all = self.capabilities.config.iter();
        Ok(Ok(all.map(|(key, value)| (key.clone(), value.0.clone())).collect()))
    }
}

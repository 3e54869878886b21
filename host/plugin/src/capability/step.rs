//! `pawl:host/step`: which step of a workflow the call is.
//!
//! Invariant: what a guest learns is the key that the host records its effects under ([`crate::step`]), and nothing of the
//! workflow.

use super::bindings::pawl::host::step::Host;
use crate::call::State;

impl Host for State {
    fn key(&mut self) -> wasmtime::Result<Option<String>> {
        Ok(self.step.as_deref().map(str::to_owned))
    }
}

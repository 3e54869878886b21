//! What a guest can reach beyond its arguments: one file per host interface.
//!
//! Invariant: every interface is linked for every plugin, so that a component loads whatever was granted; the
//! implementation asks the store's [`crate::grant::Effective`] at each call and answers with the interface's own
//! denial (`store::error::access-denied`, `database::error::not-granted`). WASI itself is given without environment,
//! arguments, files and sockets; clocks and randomness are real.

pub(crate) mod database;
pub(crate) mod store;
pub(crate) mod wasi;

/// Bindings of `wit/worlds.wit`.
pub(crate) mod bindings {
    wasmtime::component::bindgen!({
        path: "../../wit",
        world: "pawl:host/imports",
        imports: { default: trappable },
        with: { "wasi:keyvalue/store.bucket": crate::capability::store::Bucket },
    });
}

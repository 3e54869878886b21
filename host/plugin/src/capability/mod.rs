//! What a guest can reach beyond its arguments: one file per host interface.
//!
//! Invariant: every interface is linked for every plugin, so that a component loads whatever was granted; the
//! implementation asks the store's [`crate::grant::Effective`] at each call and answers with the interface's own
//! denial (`store::error::access-denied`, `database::error::not-granted`, `http::error-code::HTTP-request-denied`).
//! WASI itself is given without environment, arguments and sockets. No call into the host blocks past the deadline of
//! the call of the plugin.

mod clock;
mod config;
pub(crate) mod database;
mod documents;
mod files;
pub(crate) mod folder;
pub(crate) mod http;
pub(crate) mod llm;
pub(crate) mod random;
pub(crate) mod store;
mod wait;
pub(crate) mod wasi;

use wasmtime::component::{HasSelf, Linker};

use self::bindings::pawl::host as pawl;
use self::bindings::wasi as drafts;
use crate::call::State;

/// Bindings of `wit/worlds.wit`.
pub(crate) mod bindings {
    wasmtime::component::bindgen!({
        path: "../../wit",
        world: "pawl:host/imports",
        imports: { default: trappable },
        with: { "wasi:keyvalue/store.bucket": crate::capability::store::Bucket },
    });
}

/// Links everything that a guest can import.
pub(crate) fn add_to_linker(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    wasi::add_to_linker(linker)?;
    http::add_to_linker(linker)?;
    drafts::config::store::add_to_linker::<State, HasSelf<State>>(linker, |state| state)?;
    drafts::keyvalue::store::add_to_linker::<State, HasSelf<State>>(linker, |state| state)?;
    pawl::database::add_to_linker::<State, HasSelf<State>>(linker, |state| state)?;
    pawl::documents::add_to_linker::<State, HasSelf<State>>(linker, |state| state)?;
    pawl::llm::add_to_linker::<State, HasSelf<State>>(linker, |state| state)
}

/// The interfaces of WASI 0.2 that are served, without their versions.
const WASI: &[&str] = &[
    "wasi:cli/environment",
    "wasi:cli/exit",
    "wasi:cli/stderr",
    "wasi:cli/stdin",
    "wasi:cli/stdout",
    "wasi:cli/terminal-input",
    "wasi:cli/terminal-output",
    "wasi:cli/terminal-stderr",
    "wasi:cli/terminal-stdin",
    "wasi:cli/terminal-stdout",
    "wasi:clocks/monotonic-clock",
    "wasi:clocks/wall-clock",
    "wasi:filesystem/preopens",
    "wasi:filesystem/types",
    "wasi:http/outgoing-handler",
    "wasi:http/types",
    "wasi:io/error",
    "wasi:io/poll",
    "wasi:io/streams",
    "wasi:random/insecure",
    "wasi:random/insecure-seed",
    "wasi:random/random",
    "wasi:sockets/instance-network",
    "wasi:sockets/ip-name-lookup",
    "wasi:sockets/network",
    "wasi:sockets/tcp",
    "wasi:sockets/tcp-create-socket",
    "wasi:sockets/udp",
    "wasi:sockets/udp-create-socket",
];

/// What is served beyond WASI 0.2, each in this version only.
const OTHERS: &[&str] = &[
    "pawl:host/database@0.1.0",
    "pawl:host/documents@0.1.0",
    "pawl:host/llm@0.1.0",
    "wasi:config/store@0.2.0-rc.1",
    "wasi:keyvalue/store@0.2.0-draft",
];

/// Whether an import of this name is served, as far as the name tells. Versions 0.2.x are compatible with each other.
pub(crate) fn serves(import: &str) -> bool {
    let release = |version: &str| {
        let patch = version.strip_prefix("0.2.");
        patch.is_some_and(|patch| !patch.is_empty() && patch.bytes().all(|byte| byte.is_ascii_digit()))
    };
    OTHERS.contains(&import)
        || import.split_once('@').is_some_and(|(name, version)| WASI.contains(&name) && release(version))
}

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
pub(crate) mod documents;
mod files;
pub(crate) mod folder;
pub(crate) mod http;
pub(crate) mod llm;
pub(crate) mod random;
mod step;
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
    pawl::llm::add_to_linker::<State, HasSelf<State>>(linker, |state| state)?;
    pawl::step::add_to_linker::<State, HasSelf<State>>(linker, |state| state)
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

/// The interfaces of `wit/`, without their versions.
const PAWL: &[&str] = &["pawl:host/database", "pawl:host/documents", "pawl:host/llm", "pawl:host/step"];

/// Drafts, each in this version only.
const DRAFTS: &[&str] = &["wasi:config/store@0.2.0-rc.1", "wasi:keyvalue/store@0.2.0-draft"];

/// Whether an import of this name is served, as far as the name tells: versions 0.2.x of WASI are compatible with each
/// other, and versions 0.1.x of ours.
pub(crate) fn serves(import: &str) -> bool {
    let of = |interfaces: &[&str], series: &str| {
        import.split_once('@').is_some_and(|(name, version)| {
            let patch = version.strip_prefix(series).unwrap_or_default();
            let release = !patch.is_empty() && patch.bytes().all(|byte| byte.is_ascii_digit());
            interfaces.contains(&name) && release
        })
    };
    of(WASI, "0.2.") || of(PAWL, "0.1.") || DRAFTS.contains(&import)
}

#[cfg(test)]
mod tests {
    use super::*;
    use wasmtime::component::Component;

    /// Whether the linker has an instance of this name: asked for as a function, it says what it has instead.
    fn is_linked(linker: &Linker<State>, import: &str) -> anyhow::Result<bool> {
        let text = format!("(component (import \"{import}\" (func)))");
        let component = Component::new(linker.engine(), wat::parse_str(text)?)?;
        let error = linker.instantiate_pre(&component).err().map(|error| format!("{error:#}"));
        Ok(error.is_some_and(|error| error.contains("found instance")))
    }

    #[test]
    fn what_is_said_to_be_served_is_linked_and_nothing_else() -> anyhow::Result<()> {
        let engine = wasmtime::Engine::new(wasmtime::Config::new().wasm_component_model(true))?;
        let mut linker = Linker::new(&engine);
        add_to_linker(&mut linker)?;
        let series = |names: &[&str], versions: [&str; 2]| -> Vec<String> {
            let name = |name: &&str| versions.map(|version| format!("{name}@{version}"));
            names.iter().flat_map(name).collect()
        };
        let drafts = DRAFTS.iter().map(|name| (*name).to_owned());
        for import in series(WASI, ["0.2.0", "0.2.99"])
            .into_iter()
            .chain(series(PAWL, ["0.1.0", "0.1.7"]))
            .chain(drafts)
        {
            anyhow::ensure!(serves(&import) && is_linked(&linker, &import)?, "{import} is not served");
        }
        for import in [
            "wasi:cli/run@0.2.0",
            "wasi:clocks/timezone@0.2.0",
            "wasi:clocks/wall-clock@0.2.0-rc-2023-11-10",
            "wasi:clocks/wall-clock@0.3.0",
            "wasi:config/store@0.2.0-draft",
            "wasi:http/incoming-handler@0.2.0",
            "wasi:keyvalue/atomics@0.2.0-draft",
            "wasi:nn/graph@0.2.0",
            "pawl:host/database@0.2.0",
            "pawl:host/shell@0.1.0",
        ] {
            anyhow::ensure!(!serves(import) && !is_linked(&linker, import)?, "{import} is served");
        }
        Ok(())
    }
}

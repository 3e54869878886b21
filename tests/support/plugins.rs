//! Built components, loaded as the binary loads them, with the files of each test in a folder of its own.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use pawl_plugin::{DatabaseGrant, Grant, Host, HostOptions, Manifest, Plugin};
use serde_json::Value;

/// A plugin host whose plugins keep their data in `data`. Compiled components are shared by all tests.
///
/// # Errors
/// Where the WebAssembly engine does not start.
pub fn host(data: &Path) -> Result<Host> {
    let options = HostOptions {
        compiled: Some(target().join("tmp/compiled")),
        compiler: None,
        keyvalue: data.join("keyvalue.sqlite"),
    };
    Ok(Host::new(options)?)
}

/// A plugin of the project by its name, such as `calendar`.
///
/// # Errors
/// Where it is not built or does not load.
pub fn load(host: &Host, name: &str, grant: Grant) -> Result<Plugin> {
    load_from(host, "plugins", name, grant, |_| {})
}

/// A guest of `tests/guests` by its name, its manifest changed by `change`.
///
/// # Errors
/// Where it is not built or does not load.
pub fn load_guest(host: &Host, name: &str, change: impl FnOnce(&mut Manifest)) -> Result<Plugin> {
    load_from(host, "guests", name, Grant::default(), change)
}

/// A guest of `tests/guests` with what it is granted.
///
/// # Errors
/// As [`load_guest`].
pub fn load_guest_with(host: &Host, name: &str, grant: Grant) -> Result<Plugin> {
    load_from(host, "guests", name, grant, |_| {})
}

/// A guest of `tests/guests` by its name, its manifest changed by `change`, with what the operator grants.
///
/// # Errors
/// Where it is not built or does not load.
pub fn load_granted(
    host: &Host,
    name: &str,
    grant: Grant,
    change: impl FnOnce(&mut Manifest),
) -> Result<Plugin> {
    load_from(host, "guests", name, grant, change)
}

fn load_from(
    host: &Host,
    kind: &str,
    name: &str,
    grant: Grant,
    change: impl FnOnce(&mut Manifest),
) -> Result<Plugin> {
    let folder = target().join(kind).join(name);
    let component = folder.join(format!("{name}.wasm"));
    ensure!(component.is_file(), "{} is missing; `cargo xtask test` builds it", component.display());
    let mut manifest = Manifest::read(&folder.join("plugin.toml"))?;
    change(&mut manifest);
    host.load(&component, manifest, grant).with_context(|| format!("the plugin {name} does not load"))
}

/// The file of a built plugin's component.
pub fn component(name: &str) -> PathBuf {
    target().join("plugins").join(name).join(format!("{name}.wasm"))
}

/// The file of a built guest of `tests/guests`.
pub fn guest(name: &str) -> PathBuf {
    target().join("guests").join(name).join(format!("{name}.wasm"))
}

/// Grants the database `shop` at a path.
pub fn shop_at(path: &Path) -> Grant {
    Grant { database: [("main".to_owned(), DatabaseGrant::file(path))].into(), ..Grant::default() }
}

/// The payload of a guest's own error; any other outcome is the test's failure.
///
/// # Errors
/// Where the call succeeded or failed otherwise.
pub fn guest_error(outcome: std::result::Result<Value, pawl_plugin::CallError>) -> Result<Value> {
    match outcome {
        Err(pawl_plugin::CallError::Guest(payload)) => Ok(payload),
        other => anyhow::bail!("expected the guest's own error, got {other:?}"),
    }
}

/// The folder that cargo builds into.
pub fn target() -> PathBuf {
    let default = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../target");
    std::env::var_os("CARGO_TARGET_DIR").map_or(default, PathBuf::from)
}

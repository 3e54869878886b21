//! Entry points for `tests/fuzz`: what reads input from outside, with the promises that must hold of its answers.
//!
//! Invariant: nothing of the product calls this; the feature `fuzzing` is off everywhere else. A broken promise is a
//! panic, which is what a fuzzer looks for.

use serde_json::Value;
use wasmtime::component::{Component, Val};

use crate::docs::Docs;
use crate::grant::{self, Effective};
use crate::http_rule::Scheme;
use crate::reflect::{self, Reflection};
use crate::schema::SchemaLimits;
use crate::{CallError, Grant, Manifest, Tool, lower};

/// Bytes that arguments and results may have here.
const BYTES: u64 = 1 << 16;

/// An engine that reflects components. It compiles them as fast as it can, for none of them is run.
pub struct Reflector(wasmtime::Engine);

impl Reflector {
    /// Starts the engine.
    ///
    /// # Panics
    /// Where it does not start.
    pub fn new() -> Reflector {
        let mut config = wasmtime::Config::new();
        config.wasm_component_model(true).cranelift_opt_level(wasmtime::OptLevel::None);
        config.parallel_compilation(false);
        Reflector(wasmtime::Engine::new(&config).expect("an engine"))
    }

    /// Reflects a component as loading one does; none where it is no component.
    pub fn functions(&self, component: &[u8]) -> Option<Functions> {
        let compiled = Component::from_binary(&self.0, component).ok()?;
        let _ = crate::engine::check_resources(&compiled, 1 << 20);
        Some(Prepared(compiled).functions(component))
    }

    /// Compiles a component once, to be reflected under many documentations.
    pub fn prepare(&self, component: &[u8]) -> Option<Prepared> {
        Component::from_binary(&self.0, component).ok().map(Prepared)
    }
}

impl Default for Reflector {
    fn default() -> Reflector {
        Reflector::new()
    }
}

/// A compiled component.
pub struct Prepared(Component);

impl Prepared {
    /// What it exports, with the documentation in the custom sections of these bytes.
    pub fn functions(&self, documented: &[u8]) -> Functions {
        let docs = Docs::read(documented);
        Functions(reflect::reflect(&self.0, &docs, "fuzz", SchemaLimits::default()))
    }
}

/// The documentation in the custom sections of a component, which need not be one; how many packages it has.
pub fn docs(component: &[u8]) -> usize {
    Docs::read(component).packages()
}

/// What a component exports.
pub struct Functions(Reflection);

impl Functions {
    /// The tools, in the order that [`Functions::lower`] counts.
    pub fn tools(&self) -> &[Tool] {
        &self.0.tools
    }

    /// Lowers arguments and, where they are taken, checks that they come back as they went: JSON to values to JSON to
    /// values. Gives whether they were taken.
    ///
    /// # Panics
    /// Where they come back otherwise, or a refusal does not name its place.
    pub fn lower(&self, index: usize, arguments: &Value) -> bool {
        let parameters = &self.0.functions[index].parameters;
        let values = match lower::arguments(parameters, arguments, BYTES) {
            Ok(values) => values,
            Err(CallError::Arguments { path, message }) => {
                assert!(path.starts_with('$') && !message.is_empty(), "{path}: {message}");
                assert!(path.len() + message.len() < 4096, "{path}: {message}");
                return false;
            }
            Err(CallError::Limit { limit: "input", .. }) => return false,
            Err(other) => panic!("{other:?}"),
        };
        let json = json(&values).expect("what was taken is within sixteen times its length");
        let again = serde_json::Map::from_iter(
            parameters.iter().map(|(name, _)| name.clone()).zip(json.as_array().cloned().unwrap_or_default()),
        );
        let again = lower::arguments(parameters, &Value::Object(again), 16 * BYTES)
            .unwrap_or_else(|error| panic!("{json} of {arguments}: {error}"));
        assert_eq!(self::json(&again), Some(json), "{arguments}");
        true
    }
}

fn json(values: &[Val]) -> Option<Value> {
    lower::to_json(Val::Tuple(values.to_vec()), &mut (16 * BYTES as usize))
}

/// Parses a plugin.toml; where it is taken, checks what a manifest promises. Gives the manifest.
///
/// # Panics
/// Where a promise does not hold.
pub fn manifest(text: &str) -> Option<Manifest> {
    let manifest = match Manifest::parse(text) {
        Ok(manifest) => manifest,
        Err(message) => {
            assert!(!message.is_empty());
            return None;
        }
    };
    let name = &manifest.name;
    assert!(!name.is_empty() && name.len() <= 32, "{name}");
    assert!(name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-'), "{name}");
    assert_eq!(manifest.limits.check(), Ok(()));
    let written = serde_json::to_value(&manifest.capabilities).expect("capabilities can be written");
    let again = serde_json::from_value(written.clone()).expect("what was written can be read");
    assert_eq!(manifest.capabilities, again, "{written}");
    Some(manifest)
}

/// What was decided on one request.
#[derive(Debug)]
pub struct Decision {
    /// Whether it may go out.
    pub allowed: bool,
    /// The hosts of the rules that were requested, as they are written in canonical form.
    pub requested: Vec<String>,
    /// Those that are granted.
    pub granted: Vec<String>,
}

/// Whether an address may be reached without the grant's `private`.
pub fn is_public(address: std::net::IpAddr) -> bool {
    crate::capability::http::address::is_public(address)
}

/// Parses a grant and decides on a request under it and the manifest.
///
/// # Panics
/// Where the effective capabilities are more than either side says.
pub fn policy(
    manifest: &Manifest,
    grant: &str,
    https: bool,
    host: &str,
    port: u16,
    method: &str,
) -> Option<Decision> {
    let grant: Grant = toml::from_str(grant).ok()?;
    // Values of settings must not be shown; the text holds them, so the only check is that this does not fail.
    let _ = format!("{grant:?}");
    let asked = &manifest.capabilities;
    let effective = Effective::new(manifest, &grant).ok()?;
    assert!(!effective.clocks || asked.clocks && grant.clocks);
    assert!(!effective.random || asked.random && grant.random);
    assert!(!effective.keyvalue || asked.keyvalue && grant.keyvalue);
    assert!(effective.llm.max_calls == 0 || asked.llm && grant.llm.max_calls > 0);
    assert!(effective.config.keys().all(|key| asked.config.contains(key) && grant.config.contains_key(key)));
    assert!(effective.database.keys().all(|name| asked.database.contains(name)));
    assert!(effective.documents.keys().all(|name| asked.documents.contains(name)));
    for (folder, preopen) in &effective.filesystem {
        let (wanted, given) = (asked.filesystem[folder], &grant.filesystem[folder]);
        assert!(preopen.access <= wanted && preopen.access <= given.access && preopen.folder == given.folder);
    }
    for state in grant::states(asked, &grant) {
        assert!(state.requested || state.granted, "{state:?}");
    }
    let scheme = if https { Scheme::Https } else { Scheme::Http };
    Some(Decision {
        allowed: effective.http.grant(scheme, host, port, method).is_some(),
        requested: asked.http.iter().map(crate::HttpRule::host).collect(),
        granted: grant.http.iter().map(|grant| grant.rule.host()).collect(),
    })
}

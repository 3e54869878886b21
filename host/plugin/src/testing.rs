//! Components for the tests of this crate, built from WIT and WebAssembly text in the test itself.

use std::path::PathBuf;

use anyhow::{Context, Result};
use wit_component::{ComponentEncoder, StringEncoding, dummy_module, embed_component_metadata};
use wit_parser::{ManglingAndAbi, Resolve};

use crate::{Grant, Host, HostOptions, Manifest, Plugin};

/// A component of the world `w` in the WIT text, around a core module in text form.
pub(crate) fn component(wit: &str, module: &str) -> Result<Vec<u8>> {
    encode(wit, |_, _| Ok(wat::parse_str(module)?))
}

/// A component of the world `w` in the WIT text whose functions all trap.
pub(crate) fn dummy(wit: &str) -> Result<Vec<u8>> {
    encode(wit, |resolve, world| Ok(dummy_module(resolve, world, ManglingAndAbi::Standard32)))
}

fn encode(
    wit: &str,
    module: impl FnOnce(&Resolve, wit_parser::WorldId) -> Result<Vec<u8>>,
) -> Result<Vec<u8>> {
    let mut resolve = Resolve::default();
    let package = resolve.push_str("test.wit", wit).context("the WIT of the test")?;
    let world = resolve.select_world(&[package], Some("w"))?;
    let mut module = module(&resolve, world)?;
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8)?;
    let mut component = ComponentEncoder::default().module(&module)?.validate(true).encode()?;
    section(&mut component, "pawl:wit", wit.as_bytes());
    Ok(component)
}

/// Appends a custom section.
pub(crate) fn section(component: &mut Vec<u8>, name: &str, content: &[u8]) {
    let mut body = Vec::new();
    leb128(&mut body, name.len());
    body.extend_from_slice(name.as_bytes());
    body.extend_from_slice(content);
    component.push(0);
    leb128(component, body.len());
    component.extend_from_slice(&body);
}

fn leb128(bytes: &mut Vec<u8>, mut value: usize) {
    while value >= 0x80 {
        bytes.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
}

/// A host with a folder of its own.
pub(crate) struct Home {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) host: Host,
}

impl Home {
    pub(crate) fn new() -> Result<Home> {
        let folder = tempfile::tempdir()?;
        let keyvalue = folder.path().join("keyvalue.sqlite");
        Ok(Home { host: Host::new(HostOptions { compiled: None, compiler: None, keyvalue })?, folder })
    }

    pub(crate) fn file(&self, component: &[u8]) -> Result<PathBuf> {
        let path = self.folder.path().join("test.wasm");
        std::fs::write(&path, component)?;
        Ok(path)
    }

    /// Loads a component as the plugin `test`; `more` is further text of its manifest.
    pub(crate) fn load(&self, component: &[u8], more: &str, grant: Grant) -> Result<Plugin> {
        let text = format!("name = 'test'\nversion = '1'\ndescription = 'A test.'\n{more}");
        let manifest = Manifest::parse(&text).map_err(anyhow::Error::msg)?;
        Ok(self.host.load(&self.file(component)?, manifest, grant)?)
    }

    /// A plugin without capabilities, from WIT and WebAssembly text.
    pub(crate) fn plugin(&self, wit: &str, module: &str, more: &str) -> Result<Plugin> {
        self.load(&component(wit, module)?, more, Grant::default())
    }
}

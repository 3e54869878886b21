//! Extism by its own crate, which brings the wasmtime that it wants. The guest reads and writes JSON text itself.

use std::path::Path;

use anyhow::Result;
use extism::{CompiledPlugin, Manifest, Plugin, PluginBuilder, Wasm};

use super::Contender;

/// Compiles the module, or takes it from wasmtime's cache in the folder.
pub(crate) fn compile(module: &Path, cache: Option<&Path>) -> Result<CompiledPlugin> {
    let builder = PluginBuilder::new(Manifest::new([Wasm::file(module)])).with_wasi(false);
    let builder = match cache {
        None => builder.with_cache_disabled(),
        Some(folder) => {
            let settings = folder.join("extism.toml");
            std::fs::write(&settings, format!("[cache]\ndirectory = {:?}\n", folder.join("extism")))?;
            builder.with_cache_config(settings)
        }
    };
    CompiledPlugin::new(builder)
}

/// One plugin for all calls.
pub(crate) struct Reused {
    compiled: CompiledPlugin,
    plugin: Plugin,
}

impl Reused {
    pub(crate) fn new(compiled: CompiledPlugin) -> Result<Reused> {
        Ok(Reused { plugin: Plugin::new_from_compiled(&compiled)?, compiled })
    }
}

impl Contender for Reused {
    fn call(&mut self, function: &str, arguments: &str) -> Result<String> {
        self.plugin.call(function, arguments)
    }

    fn twin(&self) -> Result<Box<dyn Contender>> {
        Ok(Box::new(Reused::new(self.compiled.clone())?))
    }
}

/// A plugin for each call.
pub(crate) struct Fresh(pub(crate) CompiledPlugin);

impl Contender for Fresh {
    fn call(&mut self, function: &str, arguments: &str) -> Result<String> {
        Plugin::new_from_compiled(&self.0)?.call(function, arguments)
    }

    fn twin(&self) -> Result<Box<dyn Contender>> {
        Ok(Box::new(Fresh(self.0.clone())))
    }
}

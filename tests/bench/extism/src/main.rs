//! Extism by its own crate, in a process of its own. The guest reads and writes JSON text itself.
//!
//! `extism-peer serve|probe extism|extism-fresh MODULE CACHE|none`

use std::path::Path;

use anyhow::{Result, bail};
use contest::{Contender, remote};
use extism::{CompiledPlugin, Manifest, Plugin, PluginBuilder, Wasm};

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [task, kind, module, cache] = &arguments[..] else {
        bail!("call it as `extism-peer serve|probe extism|extism-fresh MODULE CACHE|none`");
    };
    let cache = (cache != "none").then(|| Path::new(cache));
    let load = || load(kind, Path::new(module), cache);
    match task.as_str() {
        "serve" => remote::serve(load()?.as_mut()),
        "probe" => contest::probe(load),
        other => bail!("there is no task {other}"),
    }
}

fn load(kind: &str, module: &Path, cache: Option<&Path>) -> Result<Box<dyn Contender>> {
    let compiled = compile(module, cache)?;
    Ok(match kind {
        "extism" => Box::new(Reused { plugin: Plugin::new_from_compiled(&compiled)?, compiled }),
        "extism-fresh" => Box::new(Fresh(compiled)),
        other => bail!("there is no contender {other}"),
    })
}

/// Compiles the module, or takes it from wasmtime's cache in the folder.
fn compile(module: &Path, cache: Option<&Path>) -> Result<CompiledPlugin> {
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
struct Reused {
    compiled: CompiledPlugin,
    plugin: Plugin,
}

impl Contender for Reused {
    fn call(&mut self, function: &str, arguments: &str) -> Result<String> {
        self.plugin.call(function, arguments)
    }

    fn twin(&self) -> Result<Box<dyn Contender>> {
        let plugin = Plugin::new_from_compiled(&self.compiled)?;
        Ok(Box::new(Reused { compiled: self.compiled.clone(), plugin }))
    }
}

/// A plugin for each call.
struct Fresh(CompiledPlugin);

impl Contender for Fresh {
    fn call(&mut self, function: &str, arguments: &str) -> Result<String> {
        Plugin::new_from_compiled(&self.0)?.call(function, arguments)
    }

    fn twin(&self) -> Result<Box<dyn Contender>> {
        Ok(Box::new(Fresh(self.0.clone())))
    }
}

//! Pawl as the server calls it: from a task of a tokio runtime, arguments as `serde_json::Value`.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use contest::Contender;
use pawl_plugin::{Compiler, Grant, Host, HostOptions, Manifest, Plugin};
use serde_json::Value;
use tokio::runtime::Runtime;

use super::Files;

#[derive(Clone)]
pub(crate) struct Pawl {
    plugin: Plugin,
    runtime: Arc<Runtime>,
}

impl Pawl {
    pub(crate) fn load(files: &Files, cache: Option<&Path>, runtime: Arc<Runtime>) -> Result<Pawl> {
        let compiled = cache.map(|folder| folder.join("pawl"));
        let keyvalue = std::env::temp_dir().join("pawl-bench-has-no-store.sqlite");
        let compiler = Some(compiler()?);
        let host = Host::new(HostOptions { compiled, compiler, keyvalue })?;
        let manifest = Manifest::read(&files.manifest)?;
        Ok(Pawl { plugin: host.load(&files.component, manifest, Grant::default())?, runtime })
    }
}

/// This program in a process of its own, as the binary has it.
pub(crate) fn compiler() -> Result<Compiler> {
    Ok(Compiler::new(std::env::current_exe()?, vec!["compile".into()]))
}

async fn call(plugin: &Plugin, function: &str, arguments: &str) -> Result<String> {
    let arguments: Value = serde_json::from_str(arguments)?;
    let result = plugin.call(function, &arguments).await?;
    Ok(serde_json::to_string(&result)?)
}

impl Contender for Pawl {
    fn call(&mut self, function: &str, arguments: &str) -> Result<String> {
        self.runtime.block_on(call(&self.plugin, function, arguments))
    }

    fn twin(&self) -> Result<Box<dyn Contender>> {
        Ok(Box::new(self.clone()))
    }

    fn times(&mut self, function: &str, arguments: &str, calls: usize) -> Result<Vec<Duration>> {
        let (plugin, function, arguments) = (self.plugin.clone(), function.to_owned(), arguments.to_owned());
        let task = async move {
            let mut times = Vec::with_capacity(calls);
            for _ in 0..calls {
                let begun = Instant::now();
                std::hint::black_box(call(&plugin, &function, &arguments).await?);
                times.push(begun.elapsed());
            }
            anyhow::Ok(times)
        };
        self.runtime.block_on(self.runtime.spawn(task)).context("the task panicked")?
    }

    /// All at once: as many tasks as calls.
    fn storm(&mut self, function: &str, arguments: &str, calls: usize) -> Result<Duration> {
        let (function, arguments): (Arc<str>, Arc<str>) = (function.into(), arguments.into());
        let begun = Instant::now();
        let tasks: Vec<_> = (0..calls)
            .map(|_| {
                let (plugin, function, arguments) =
                    (self.plugin.clone(), Arc::clone(&function), Arc::clone(&arguments));
                self.runtime.spawn(async move { call(&plugin, &function, &arguments).await })
            })
            .collect();
        self.runtime.block_on(async {
            for task in tasks {
                task.await.context("a task panicked")??;
            }
            anyhow::Ok(())
        })?;
        Ok(begun.elapsed())
    }
}

//! The plain wasmtime API with typed bindings: the engine set as Pawl's is, nothing of what Pawl adds (no reflection, no
//! limits on memory or calls into the host, no deadline).

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use contest::Contender;
use serde_json::{from_str, to_string};
use tokio::runtime::Runtime;
use wasmtime::component::{Component, Linker, ResourceTable};
use wasmtime::{Config, Engine, InstanceAllocationStrategy, PoolingAllocationConfig, Store};
use wasmtime_wasi::{WasiCtx, WasiCtxBuilder, WasiCtxView, WasiView};

use self::bindings::{Plugin, PluginPre, exports::bench::shop::shop};
use super::on_task;

mod bindings {
    wasmtime::component::bindgen!({
        path: "guest/component/wit",
        world: "plugin",
        additional_derives: [serde::Serialize, serde::Deserialize],
    });
}

#[derive(serde::Deserialize)]
struct QuoteArguments {
    order: shop::Order,
}

#[derive(serde::Deserialize)]
struct QuotesArguments {
    orders: Vec<shop::Order>,
}

struct State {
    wasi: WasiCtx,
    table: ResourceTable,
}

impl WasiView for State {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

/// A component, compiled and linked.
#[derive(Clone)]
pub(crate) struct Loaded(Arc<(Engine, PluginPre<State>)>);

impl Loaded {
    pub(crate) fn load(component: &Path) -> Result<Loaded> {
        let engine = Engine::new(&config())?;
        let component = Component::from_file(&engine, component)?;
        let mut linker = Linker::new(&engine);
        wasmtime_wasi::p2::add_to_linker_sync(&mut linker)?;
        let pre = PluginPre::new(linker.instantiate_pre(&component)?)?;
        Ok(Loaded(Arc::new((engine, pre))))
    }

    fn instantiate(&self) -> Result<(Store<State>, Plugin)> {
        let (engine, pre) = &*self.0;
        let state = State { wasi: WasiCtxBuilder::new().build(), table: ResourceTable::new() };
        let mut store = Store::new(engine, state);
        // Nobody advances the epoch here; the checks are in the code nevertheless, as they are in Pawl's.
        store.set_epoch_deadline(1);
        let plugin = pre.instantiate(&mut store)?;
        Ok((store, plugin))
    }

    fn call_fresh(&self, function: &str, arguments: &str) -> Result<String> {
        let (mut store, plugin) = self.instantiate()?;
        call(&mut store, &plugin, function, arguments)
    }
}

fn call(store: &mut Store<State>, plugin: &Plugin, function: &str, arguments: &str) -> Result<String> {
    let shop = plugin.bench_shop_shop();
    Ok(match function {
        "quote" => to_string(&shop.call_quote(store, &from_str::<QuoteArguments>(arguments)?.order)?),
        "quotes" => to_string(&shop.call_quotes(store, &from_str::<QuotesArguments>(arguments)?.orders)?),
        "shout" => to_string(&shop.call_shout(store, &from_str::<::shop::ShoutArguments>(arguments)?.text)?),
        other => bail!("there is no function {other}"),
    }?)
}

/// The numbers of `host/plugin/src/engine.rs`.
fn config() -> Config {
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(64)
        .total_core_instances(64 * 8)
        .max_core_instances_per_component(64)
        .total_memories(64 * 2)
        .max_memories_per_component(8)
        .max_memory_size(1 << 30)
        .max_memories_per_module(8)
        .max_tables_per_module(16)
        .total_tables(64 * 4)
        .max_tables_per_component(16)
        .table_elements(100_000)
        .linear_memory_keep_resident(256 << 10)
        .table_keep_resident(16 << 10)
        .pagemap_scan(wasmtime::Enabled::Auto);
    let mut config = Config::new();
    config
        .concurrency_support(false)
        .epoch_interruption(true)
        .max_wasm_stack(1 << 20)
        .allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
    config
}

/// A store and an instance for each call.
pub(crate) struct Fresh(pub(crate) Loaded);

impl Contender for Fresh {
    fn call(&mut self, function: &str, arguments: &str) -> Result<String> {
        self.0.call_fresh(function, arguments)
    }

    fn twin(&self) -> Result<Box<dyn Contender>> {
        Ok(Box::new(Fresh(self.0.clone())))
    }
}

/// The same as a server must do it, whose own threads are not to be held up: from a task, on a blocking thread.
pub(crate) struct Task(pub(crate) Loaded, pub(crate) Arc<Runtime>);

impl Contender for Task {
    fn call(&mut self, function: &str, arguments: &str) -> Result<String> {
        let (loaded, function, arguments) = (self.0.clone(), function.to_owned(), arguments.to_owned());
        on_task(&self.1, 1, move || loaded.call_fresh(&function, &arguments))?.1.context("no call was made")
    }

    fn twin(&self) -> Result<Box<dyn Contender>> {
        Ok(Box::new(Task(self.0.clone(), Arc::clone(&self.1))))
    }

    fn times(&mut self, function: &str, arguments: &str, calls: usize) -> Result<Vec<Duration>> {
        let (loaded, function, arguments) = (self.0.clone(), function.to_owned(), arguments.to_owned());
        Ok(on_task(&self.1, calls, move || loaded.call_fresh(&function, &arguments))?.0)
    }
}

/// One instance, which keeps what earlier calls left in it.
pub(crate) struct Reused {
    loaded: Loaded,
    store: Store<State>,
    plugin: Plugin,
}

impl Reused {
    pub(crate) fn new(loaded: Loaded) -> Result<Reused> {
        let (store, plugin) = loaded.instantiate()?;
        Ok(Reused { loaded, store, plugin })
    }
}

impl Contender for Reused {
    fn call(&mut self, function: &str, arguments: &str) -> Result<String> {
        call(&mut self.store, &self.plugin, function, arguments)
    }

    fn twin(&self) -> Result<Box<dyn Contender>> {
        Ok(Box::new(Reused::new(self.loaded.clone())?))
    }
}

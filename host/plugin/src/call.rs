//! One call: a fresh store and instance, limits on both, and a result or a failure of one kind.
//!
//! Invariant: nothing of a call outlives it, and a call ends at its time limit whether the guest computes (epochs) or
//! waits (deadline of `wasi:io/poll`, of SQLite). A failure is the guest's own error, a limit, a trap or a fault of the
//! host, in that order of proof: a limit is reported only where it was seen to be reached.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::Value;
use wasmtime::component::{InstancePre, ResourceTable, Val};
use wasmtime::{PoolConcurrencyLimitError, ResourceLimiter, Store, Trap, UpdateDeadline};
use wasmtime_wasi::{I32Exit, WasiCtx, WasiCtxView, WasiView};

use crate::capability::database::Databases;
use crate::capability::store::KeyValue;
use crate::capability::wasi::{self, Log};
use crate::engine::MAX_WASM_STACK;
use crate::error::CallError;
use crate::grant::Effective;
use crate::lower;
use crate::manifest::Limits;
use crate::reflect::Function;

/// Elements of all tables of an instance.
pub(crate) const MAX_TABLE_ELEMENTS: usize = 100_000;
/// Core instances, memories and tables that one component may have.
const MAX_INSTANCES: usize = 64;

/// What the host knows during a call.
pub(crate) struct State {
    pub(crate) plugin: Arc<str>,
    pub(crate) capabilities: Arc<Effective>,
    pub(crate) keyvalue: KeyValue,
    pub(crate) databases: Databases,
    pub(crate) table: ResourceTable,
    /// When the call is over, whatever the guest does.
    pub(crate) deadline: Instant,
    wasi: WasiCtx,
    log: Log,
    memory: Memory,
}

impl WasiView for State {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

/// The guest was stopped at its time limit.
#[derive(Debug)]
pub(crate) struct TimeUp;

impl fmt::Display for TimeUp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the time limit was reached")
    }
}

impl std::error::Error for TimeUp {}

/// What every call of a plugin shares.
pub(crate) struct Setting {
    pub(crate) plugin: Arc<str>,
    pub(crate) pre: InstancePre<State>,
    pub(crate) limits: Limits,
    pub(crate) capabilities: Arc<Effective>,
    pub(crate) keyvalue: KeyValue,
}

/// Runs one function to its end. Blocks; the time limit counts from here.
pub(crate) fn run(setting: &Setting, function: &Function, arguments: &[Val]) -> Result<Value, CallError> {
    let limits = &setting.limits;
    let log = Log::new(Arc::clone(&setting.plugin));
    let state = State {
        plugin: Arc::clone(&setting.plugin),
        capabilities: Arc::clone(&setting.capabilities),
        keyvalue: setting.keyvalue.clone(),
        databases: Databases::default(),
        table: wasi::table(),
        deadline: Instant::now() + limits.time,
        wasi: wasi::context(&log),
        log,
        memory: Memory { limit: limits.memory, ..Memory::default() },
    };
    let mut store = Store::new(setting.pre.engine(), state);
    store.limiter(|state| &mut state.memory);
    // Each value that is lifted costs its size in the host: 1 MiB of bytes are 40 MiB of values.
    store.set_hostcall_fuel(fuel(limits.output));
    store.set_epoch_deadline(1);
    store.epoch_deadline_callback(|context| {
        if Instant::now() < context.data().deadline {
            Ok(UpdateDeadline::Continue(1))
        } else {
            Err(wasmtime::Error::new(TimeUp))
        }
    });
    let result = enter(&mut store, setting, function, arguments);
    match result {
        Ok(value) => outcome(function, value, limits.output),
        Err(error) => Err(failure(&error, store.data(), limits)),
    }
}

fn enter(
    store: &mut Store<State>,
    setting: &Setting,
    function: &Function,
    arguments: &[Val],
) -> wasmtime::Result<Option<Val>> {
    let instance = setting.pre.instantiate(&mut *store)?;
    let callee = instance
        .get_func(&mut *store, function.export)
        .ok_or_else(|| wasmtime::Error::msg("the export is not a function"))?;
    let mut results = [Val::Bool(false)];
    let results = &mut results[..usize::from(function.result.is_some())];
    callee.call(&mut *store, arguments, results)?;
    Ok(results.first_mut().map(|value| std::mem::replace(value, Val::Bool(false))))
}

/// The result, or the guest's own error; either within the output limit.
fn outcome(function: &Function, value: Option<Val>, limit: u64) -> Result<Value, CallError> {
    let is_result = matches!(function.result, Some(wasmtime::component::Type::Result(_)));
    let (payload, failed) = match value {
        Some(Val::Result(Ok(payload))) if is_result => (payload.map(|value| *value), false),
        Some(Val::Result(Err(payload))) if is_result => (payload.map(|value| *value), true),
        value => (value, false),
    };
    let mut budget = usize::try_from(limit).unwrap_or(usize::MAX);
    let json = match payload {
        None => Value::Null,
        Some(value) => lower::to_json(&value, &mut budget).ok_or_else(|| over_output(limit))?,
    };
    if failed { Err(CallError::Guest(json)) } else { Ok(json) }
}

fn over_output(limit: u64) -> CallError {
    CallError::Limit { limit: "output", value: bytes(limit) }
}

fn fuel(output: u64) -> usize {
    let values = usize::try_from(output).unwrap_or(usize::MAX).saturating_mul(size_of::<Val>());
    // Host calls need some of their own, such as a value for the key-value store.
    values.saturating_add(4 << 20)
}

/// What kind of failure it was.
fn failure(error: &wasmtime::Error, state: &State, limits: &Limits) -> CallError {
    if error.is::<TimeUp>() {
        return CallError::Limit { limit: "time", value: format!("{} s", limits.time.as_secs_f64()) };
    }
    if let Some(limit) = state.memory.denied {
        return match limit {
            "tables" => CallError::Limit { limit, value: format!("{MAX_TABLE_ELEMENTS} elements") },
            _ => CallError::Limit { limit, value: bytes(limits.memory) },
        };
    }
    if let Some(exit) = error.downcast_ref::<I32Exit>() {
        return trapped(&format!("it exited with status {}", exit.0), state);
    }
    match error.downcast_ref::<Trap>() {
        Some(Trap::StackOverflow) => {
            return CallError::Limit { limit: "stack", value: bytes(MAX_WASM_STACK as u64) };
        }
        Some(Trap::MemoryOutOfBounds) => {
            return trapped("it left its memory (endless recursion can end so too)", state);
        }
        Some(trap) => {
            return trapped(trap.to_string().trim_start_matches("wasm trap: "), state);
        }
        None => {}
    }
    if let Some(pool) = error.downcast_ref::<PoolConcurrencyLimitError>() {
        return CallError::Host { message: format!("too many plugin instances at the same time: {pool}") };
    }
    let text = format!("{:#}", error.root_cause());
    if text.contains("fuel allocated for hostcalls") {
        return over_output(limits.output);
    }
    if text.contains("resource limit exceeded") {
        return CallError::Limit { limit: "instances", value: MAX_INSTANCES.to_string() };
    }
    // What is left are values that do not lift: text that is not UTF-8, pointers outside memory, unknown cases.
    trapped(&text, state)
}

fn trapped(what: &str, state: &State) -> CallError {
    let last = state.log.tail();
    CallError::Trap {
        message: if last.is_empty() { what.to_owned() } else { format!("{what}; it last wrote: {last}") },
    }
}

fn bytes(count: u64) -> String {
    match count {
        mib if mib % (1 << 20) == 0 => format!("{} MiB", mib >> 20),
        kib if kib % (1 << 10) == 0 => format!("{} KiB", kib >> 10),
        bytes => format!("{bytes} bytes"),
    }
}

/// Counts what the instance's memories and tables hold, and remembers what was denied.
#[derive(Default)]
struct Memory {
    limit: u64,
    bytes: u64,
    elements: usize,
    denied: Option<&'static str>,
}

impl ResourceLimiter for Memory {
    fn memory_growing(&mut self, current: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        let bytes = self.bytes.saturating_add(desired.saturating_sub(current) as u64);
        if bytes > self.limit {
            self.denied = Some("memory");
            return Ok(false);
        }
        self.bytes = bytes;
        Ok(true)
    }

    fn table_growing(&mut self, current: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        let elements = self.elements.saturating_add(desired.saturating_sub(current));
        if elements > MAX_TABLE_ELEMENTS {
            self.denied = Some("tables");
            return Ok(false);
        }
        self.elements = elements;
        Ok(true)
    }

    fn instances(&self) -> usize {
        MAX_INSTANCES
    }

    fn tables(&self) -> usize {
        MAX_INSTANCES
    }

    fn memories(&self) -> usize {
        MAX_INSTANCES
    }
}

/// How long a call may wait for its turn beyond its own time limit.
pub(crate) const MAX_QUEUE: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests;

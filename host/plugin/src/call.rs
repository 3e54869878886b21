//! One call: a fresh store and instance, limits on both, and a result or a failure of one kind.
//!
//! Invariant: nothing of a call outlives it, and a call ends at its time limit whether the guest computes (epochs) or
//! waits (see `capability`). A failure is the guest's own error, a limit, a trap or a fault of the
//! host, in that order of proof: a limit is reported only where it was seen to be reached.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::Value;
use wasmtime::component::{InstancePre, ResourceTable, Val};
use wasmtime::{CallHook, PoolConcurrencyLimitError, ResourceLimiter, Store, Trap, UpdateDeadline};
use wasmtime_wasi::{I32Exit, WasiCtxView, WasiView};

use crate::capability::database::{Databases, Mode, Write};
use crate::capability::random::Random;
use crate::capability::store::{CallStore, KeyValue};
use crate::capability::wasi::{self, Log};
use crate::capability::{http, llm};
use crate::deadline::{Deadline, Stopped};
use crate::engine::MAX_WASM_STACK;
use crate::error::CallError;
use crate::grant::Effective;
use crate::limits::{Limits, bytes};
use crate::lower;
use crate::reflect::Function;

/// What the host knows during a call.
pub(crate) struct State {
    pub(crate) plugin: Arc<str>,
    pub(crate) capabilities: Arc<Effective>,
    pub(crate) keyvalue: CallStore,
    pub(crate) databases: Databases,
    /// The key of the step of a workflow that the call is.
    pub(crate) step: Option<Arc<str>>,
    pub(crate) table: ResourceTable,
    /// When the call is over, whatever the guest does.
    pub(crate) deadline: Deadline,
    pub(crate) random: Random,
    pub(crate) network: Arc<http::Network>,
    pub(crate) http: http::Lazy,
    pub(crate) model: llm::Slot,
    /// Requests to the model so far.
    pub(crate) model_calls: u32,
    wasi: wasi::Context,
    log: Log,
    resources: Resources,
    /// Calls into the host that are left.
    host_calls: u64,
}

impl WasiView for State {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: self.wasi.get(&self.capabilities, &self.log), table: &mut self.table }
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

/// The guest was stopped at its limit of calls into the host.
#[derive(Debug)]
struct HostCallsUp;

impl fmt::Display for HostCallsUp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the limit of host calls was reached")
    }
}

impl std::error::Error for HostCallsUp {}

/// What every call of a plugin shares.
#[derive(Clone)]
pub(crate) struct Setting {
    pub(crate) plugin: Arc<str>,
    pub(crate) pre: InstancePre<State>,
    pub(crate) limits: Limits,
    pub(crate) capabilities: Arc<Effective>,
    pub(crate) keyvalue: KeyValue,
    pub(crate) network: Arc<http::Network>,
    pub(crate) model: llm::Slot,
    /// Whether somebody still waits, where a call is to end with nobody.
    pub(crate) stopped: Option<Stopped>,
}

/// Runs one function to its end. Blocks; the time limit counts from here. With the result come the writes of a trial.
pub(crate) fn run(
    setting: &Setting,
    function: &Function,
    arguments: &[Val],
    mode: Mode,
    step: Option<Arc<str>>,
) -> Result<(Value, Vec<Write>), CallError> {
    let limits = &setting.limits;
    let deadline = Deadline::new(Instant::now() + limits.time, setting.stopped.clone());
    let log = Log::new(Arc::clone(&setting.plugin), limits.log);
    let capabilities = effects(&setting.capabilities, &mode);
    let wasi = wasi::Context::open(&setting.plugin, &capabilities, &log)?;
    let state = State {
        plugin: Arc::clone(&setting.plugin),
        capabilities,
        keyvalue: CallStore::new(
            setting.keyvalue.clone(),
            Arc::clone(&setting.plugin),
            step.clone(),
            deadline.at,
        ),
        databases: Databases::new(mode),
        step: step.clone(),
        table: wasi::table(),
        deadline,
        random: Random::default(),
        network: Arc::clone(&setting.network),
        http: None,
        model: Arc::clone(&setting.model),
        model_calls: 0,
        wasi,
        log,
        resources: Resources::new(limits),
        host_calls: limits.host_calls,
    };
    let mut store = Store::new(setting.pre.engine(), state);
    store.limiter(|state| &mut state.resources);
    store.call_hook(|mut context, hook| match (hook, &mut context.data_mut().host_calls) {
        (CallHook::CallingHost, 0) => Err(wasmtime::Error::new(HostCallsUp)),
        (CallHook::CallingHost, left) => {
            *left -= 1;
            Ok(())
        }
        _ => Ok(()),
    });
    // Each value that is lifted costs its size in the host: 1 MiB of bytes are 40 MiB of values.
    store.set_hostcall_fuel(fuel(limits.output, function.inflation));
    store.set_epoch_deadline(1);
    store.epoch_deadline_callback(|context| {
        if context.data().deadline.passed() {
            Err(wasmtime::Error::new(TimeUp))
        } else {
            Ok(UpdateDeadline::Continue(1))
        }
    });
    let fuelled = limits.fuel.map_or(Ok(()), |fuel| store.set_fuel(fuel));
    let result = fuelled.and_then(|()| enter(&mut store, setting, function, arguments));
    let result = match result {
        Ok(value) => outcome(function, value, limits.output),
        Err(error) => Err(failure(&error, store.data(), limits)),
    };
    let State { databases, keyvalue, .. } = store.data_mut();
    if databases.wants_to_write() {
        return Err(CallError::NeedsApproval);
    }
    // Whatever the guest made of being refused.
    if keyvalue.was_done() {
        return Err(CallError::Recorded);
    }
    let Some(step) = step else { return Ok((result?, databases.finish(None)?)) };
    let value = result
        .map_err(|error| databases.busy().or_else(|| keyvalue.busy()).map_or(error, CallError::Busy))?;
    let outcome = value.to_string();
    let writes = databases.finish(Some((&step, &outcome)))?;
    keyvalue.finish(&outcome)?;
    Ok((value, writes))
}

/// A trial has no effect but on databases, where it is rolled back: nothing is sent, stored or asked of the model.
fn effects(capabilities: &Arc<Effective>, mode: &Mode) -> Arc<Effective> {
    match mode {
        Mode::Trial => Arc::new(capabilities.without_effects()),
        Mode::Ordinary | Mode::Approved(_) => Arc::clone(capabilities),
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
        Some(value) => lower::to_json(value, &mut budget).ok_or_else(|| over_output(limit))?,
    };
    if failed { Err(CallError::Guest(json)) } else { Ok(json) }
}

fn over_output(limit: u64) -> CallError {
    CallError::Limit { limit: "output", value: bytes(limit) }
}

fn fuel(output: u64, inflation: usize) -> usize {
    let values = usize::try_from(output).unwrap_or(usize::MAX).saturating_mul(size_of::<Val>());
    // Host calls need some of their own, such as a value for the key-value store.
    (values.saturating_add(4 << 20) / inflation.max(1)).max(5 << 18)
}

/// What kind of failure it was.
fn failure(error: &wasmtime::Error, state: &State, limits: &Limits) -> CallError {
    if error.is::<TimeUp>() {
        return CallError::Limit { limit: "time", value: format!("{} s", limits.time.as_secs_f64()) };
    }
    if error.is::<HostCallsUp>() {
        return CallError::Limit { limit: "host-calls", value: limits.host_calls.to_string() };
    }
    if let Some(limit) = state.resources.denied {
        return match limit {
            "table-elements" => CallError::Limit { limit, value: limits.table_elements.to_string() },
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
        Some(Trap::OutOfFuel) => {
            return CallError::Limit { limit: "fuel", value: limits.fuel.unwrap_or_default().to_string() };
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
    if text.contains("store handle limit exceeded") {
        return CallError::Limit { limit: "handles", value: MAX_HANDLES.to_string() };
    }
    if text.contains("resource limit exceeded") {
        return CallError::Limit { limit: "instances", value: limits.instances.to_string() };
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

/// Counts what the instance's memories and tables hold, and remembers what was denied.
struct Resources {
    /// Bytes of memory that are left.
    memory: u64,
    /// Elements of tables that are left.
    elements: u64,
    instances: usize,
    denied: Option<&'static str>,
}

impl Resources {
    fn new(limits: &Limits) -> Resources {
        Resources {
            memory: limits.memory,
            elements: limits.table_elements,
            instances: usize::try_from(limits.instances).unwrap_or(usize::MAX),
            denied: None,
        }
    }
}

/// Takes what `desired` needs beyond `current` from what is left.
fn take(left: &mut u64, current: usize, desired: usize) -> bool {
    match left.checked_sub(desired.saturating_sub(current) as u64) {
        Some(rest) => {
            *left = rest;
            true
        }
        None => false,
    }
}

impl ResourceLimiter for Resources {
    fn memory_growing(&mut self, current: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        let granted = take(&mut self.memory, current, desired);
        if !granted {
            self.denied = Some("memory");
        }
        Ok(granted)
    }

    fn table_growing(&mut self, current: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        let granted = take(&mut self.elements, current, desired);
        if !granted {
            self.denied = Some("table-elements");
        }
        Ok(granted)
    }

    fn instances(&self) -> usize {
        self.instances
    }

    fn tables(&self) -> usize {
        self.instances
    }

    fn memories(&self) -> usize {
        self.instances
    }
}

/// Handles that a guest holds at the same time. wasmtime's own default, for which it has no setter.
const MAX_HANDLES: usize = 100_000;
/// How long a call may wait for its turn beyond its own time limit.
pub(crate) const MAX_QUEUE: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests;

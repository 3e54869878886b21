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
            return CallError::Limit { limit: "stack", value: "1 MiB; it recurses too deeply".to_owned() };
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
    CallError::Trap { message: if last.is_empty() { what.to_owned() } else { format!("{what}: {last}") } }
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
mod tests {
    use anyhow::Result;
    use serde_json::{Value, json};

    use crate::testing::Home;
    use crate::{CallError, Grant};

    const MEMORY: &str = "(memory (export \"memory\") 1)
        (func (export \"cabi_realloc\") (param i32 i32 i32 i32) (result i32) (i32.const 4096))";

    fn wit(exports: &str) -> String {
        format!("package test:test;\nworld w {{ {exports} }}")
    }

    /// Calls `f` of a module that exports it with these instructions and this result.
    async fn call(signature: &str, body: &str, more: &str) -> Result<Result<Value, CallError>> {
        let home = Home::new()?;
        let result = if signature.contains("->") { "(result i32)" } else { "" };
        let module = format!(
            "(module {MEMORY} (global $g (mut i32) (i32.const 0)) (table $t 1 funcref)
            (func $f (export \"f\") {result} {body}))"
        );
        let plugin = home.plugin(&wit(&format!("export f: func() {signature};")), &module, more)?;
        Ok(plugin.call("f", &json!({})).await)
    }

    fn limit(result: &Result<Value, CallError>) -> &'static str {
        match result {
            Err(CallError::Limit { limit, .. }) => limit,
            other => panic!("no limit: {other:?}"),
        }
    }

    #[tokio::test]
    async fn a_spinning_guest_is_stopped_at_its_time_limit() -> Result<()> {
        let result = call("", "(loop br 0)", "[limits]\ntime = '50ms'").await?;
        assert_eq!(limit(&result), "time");
        assert!(result.expect_err("a limit").to_string().contains("0.05 s"));
        Ok(())
    }

    #[tokio::test]
    async fn a_guest_that_allocates_without_end_reaches_its_memory_limit() -> Result<()> {
        let body = "(loop (br_if 0 (i32.ne (memory.grow (i32.const 16)) (i32.const -1)))) unreachable";
        let result = call("", body, "[limits]\nmemory = '4MiB'").await?;
        assert_eq!(limit(&result), "memory");
        assert!(result.expect_err("a limit").to_string().contains("4 MiB"));
        Ok(())
    }

    #[tokio::test]
    async fn a_guest_that_begins_too_large_reaches_its_memory_limit() -> Result<()> {
        assert_eq!(limit(&call("", "", "[limits]\nmemory = '63KiB'").await?), "memory");
        Ok(())
    }

    #[tokio::test]
    async fn a_guest_that_is_content_with_less_memory_goes_on() -> Result<()> {
        let result = call("-> s32", "(memory.grow (i32.const 1000))", "[limits]\nmemory = '1MiB'").await?;
        assert_eq!(result, Ok(json!(-1)));
        Ok(())
    }

    #[tokio::test]
    async fn tables_and_stack_are_limited() -> Result<()> {
        let grow = "(loop (br_if 0 (i32.ne (table.grow $t (ref.null func) (i32.const 9999)) (i32.const -1)))) unreachable";
        assert_eq!(limit(&call("", grow, "").await?), "tables");
        assert_eq!(limit(&call("", "(call $f)", "").await?), "stack");
        Ok(())
    }

    #[tokio::test]
    async fn a_trap_is_told_from_a_limit() -> Result<()> {
        for (body, said) in [
            ("unreachable", "unreachable"),
            ("(drop (i32.div_u (i32.const 1) (i32.const 0)))", "divide by zero"),
            ("(drop (i32.load (i32.const 0x7fffffff)))", "memory"),
        ] {
            match call("", body, "").await? {
                Err(CallError::Trap { message }) => assert!(message.contains(said), "{message}"),
                other => panic!("{body}: {other:?}"),
            }
        }
        Ok(())
    }

    #[tokio::test]
    async fn every_call_starts_afresh() -> Result<()> {
        let home = Home::new()?;
        let module = "(module (global $g (mut i32) (i32.const 0)) (func (export \"f\") (result i32)
            (global.set $g (i32.add (global.get $g) (i32.const 1))) (global.get $g)))";
        let plugin = home.plugin(&wit("export f: func() -> u32;"), module, "")?;
        drop(home);
        let calls: Vec<_> = (0..200)
            .map(|_| {
                let plugin = plugin.clone();
                tokio::spawn(async move { plugin.call("f", &Value::Null).await })
            })
            .collect();
        for call in calls {
            assert_eq!(call.await?, Ok(json!(1)));
        }
        Ok(())
    }

    /// A function whose result lies at 16: `pointer` and `length` there.
    fn returning(ty: &str, pointer: u32, length: u32) -> (String, String) {
        let body = format!(
            "(drop (memory.grow (i32.const 160)))
             (i32.store (i32.const 16) (i32.const {pointer})) (i32.store (i32.const 20) (i32.const {length}))
             (i32.const 16)"
        );
        (format!("-> {ty}"), body)
    }

    #[tokio::test]
    async fn a_result_beyond_the_output_limit_is_refused() -> Result<()> {
        let (signature, body) = returning("string", 64, 10 << 20);
        assert_eq!(limit(&call(&signature, &body, "").await?), "output");
        let (signature, body) = returning("list<u8>", 64, 10 << 20);
        assert_eq!(limit(&call(&signature, &body, "").await?), "output");
        let (signature, body) = returning("string", 64, 1000);
        assert_eq!(limit(&call(&signature, &body, "[limits]\noutput = '1000B'").await?), "output");
        let result = call(&signature, &body, "[limits]\noutput = '1003B'").await?;
        assert_eq!(result, Ok(json!("\0".repeat(1000))));
        Ok(())
    }

    #[tokio::test]
    async fn one_string_returned_a_million_times_does_not_fill_the_host() -> Result<()> {
        let fill = "(local $i i32) (drop (memory.grow (i32.const 160)))
            (loop (i32.store (i32.add (i32.const 1048576) (local.get $i)) (i32.const 64))
                  (i32.store (i32.add (i32.const 1048580) (local.get $i)) (i32.const 1000000))
                  (local.set $i (i32.add (local.get $i) (i32.const 8)))
                  (br_if 0 (i32.lt_u (local.get $i) (i32.const 8000000))))
            (i32.store (i32.const 16) (i32.const 1048576)) (i32.store (i32.const 20) (i32.const 1000000))
            (i32.const 16)";
        assert_eq!(limit(&call("-> list<string>", fill, "").await?), "output");
        Ok(())
    }

    #[tokio::test]
    async fn a_result_that_does_not_lift_is_the_guests_fault() -> Result<()> {
        let (signature, body) = returning("string", 0x7fff_0000, 10);
        assert!(matches!(call(&signature, &body, "").await?, Err(CallError::Trap { .. })));
        let invalid = "(i32.store8 (i32.const 64) (i32.const 255)) (i32.store (i32.const 16) (i32.const 64))
            (i32.store (i32.const 20) (i32.const 1)) (i32.const 16)";
        assert!(matches!(call("-> string", invalid, "").await?, Err(CallError::Trap { .. })));
        assert!(matches!(call("-> char", "(i32.const 0xd800)", "").await?, Err(CallError::Trap { .. })));
        Ok(())
    }

    #[tokio::test]
    async fn the_guests_own_error_is_its_payload() -> Result<()> {
        let err = "(i32.store8 (i32.const 16) (i32.const 1)) (i32.store (i32.const 20) (i32.const 7)) (i32.const 16)";
        assert_eq!(call("-> result<string, u32>", err, "").await?, Err(CallError::Guest(json!(7))));
        assert_eq!(call("-> result<_, u32>", err, "").await?, Err(CallError::Guest(json!(7))));
        assert_eq!(call("-> result", "(i32.const 1)", "").await?, Err(CallError::Guest(Value::Null)));
        assert_eq!(call("-> result", "(i32.const 0)", "").await?, Ok(Value::Null));
        Ok(())
    }

    const POLL: &str = "package test:test;
        world w {
            import wasi:clocks/monotonic-clock@0.2.0;
            import wasi:io/poll@0.2.0;
            export f: func();
        }
        package wasi:io@0.2.0 {
            interface poll { resource pollable { block: func(); } poll: func(in: list<borrow<pollable>>) -> list<u32>; }
        }
        package wasi:clocks@0.2.0 {
            interface monotonic-clock {
                use wasi:io/poll@0.2.0.{pollable};
                subscribe-duration: func(when: u64) -> pollable;
            }
        }";

    #[tokio::test]
    async fn a_guest_that_sleeps_for_an_hour_is_stopped_at_its_time_limit() -> Result<()> {
        let home = Home::new()?;
        let sleep = "(call $block (call $subscribe (i64.const 3600000000000)))";
        let poll = "(i32.store (i32.const 64) (call $subscribe (i64.const 3600000000000)))
            (call $poll (i32.const 64) (i32.const 1) (i32.const 16))";
        for body in [sleep, poll] {
            let module = format!(
                "(module
                (import \"wasi:io/poll@0.2.0\" \"[method]pollable.block\" (func $block (param i32)))
                (import \"wasi:io/poll@0.2.0\" \"poll\" (func $poll (param i32 i32 i32)))
                (import \"wasi:clocks/monotonic-clock@0.2.0\" \"subscribe-duration\"
                    (func $subscribe (param i64) (result i32)))
                {MEMORY} (func (export \"f\") {body}))"
            );
            let plugin = home.plugin(POLL, &module, "[limits]\ntime = '50ms'")?;
            assert_eq!(limit(&plugin.call("f", &Value::Null).await), "time");
        }
        Ok(())
    }

    #[tokio::test]
    async fn an_ungranted_store_is_access_denied_and_a_granted_one_opens() -> Result<()> {
        let home = Home::new()?;
        let wit = "package test:test;
            world w { import wasi:keyvalue/store@0.2.0-draft; export f: func() -> u32; }
            package wasi:keyvalue@0.2.0-draft {
                interface store {
                    variant error { no-such-store, access-denied, other(string) }
                    resource bucket {}
                    open: func(identifier: string) -> result<bucket, error>;
                }
            }";
        // 0 where it opened, else 1 and the number of the error's case.
        let module = format!(
            "(module (import \"wasi:keyvalue/store@0.2.0-draft\" \"open\" (func $open (param i32 i32 i32))) {MEMORY}
            (func (export \"f\") (result i32) (call $open (i32.const 0) (i32.const 0) (i32.const 16))
                (i32.add (i32.mul (i32.load8_u (i32.const 16)) (i32.const 10))
                         (i32.mul (i32.load8_u (i32.const 16)) (i32.load8_u (i32.const 20))))))"
        );
        let component = crate::testing::component(wit, &module)?;
        let requests = "[capabilities]\nkeyvalue = true";
        let granted = Grant { keyvalue: true, ..Grant::default() };
        for (manifest, grant, expected) in [
            ("", Grant::default(), 11),
            (requests, Grant::default(), 11),
            ("", granted.clone(), 11),
            (requests, granted, 0),
        ] {
            let plugin = home.load(&component, manifest, grant)?;
            assert_eq!(plugin.call("f", &Value::Null).await, Ok(json!(expected)), "{manifest}");
        }
        Ok(())
    }
}

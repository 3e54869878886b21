//! What hostile components are made of, and how it is seen that the host goes on beside them.
//!
//! Invariant: every component is made in the test from text or by an encoder; none is kept as a file. A claim that
//! the host goes on *meanwhile* is checked by calls that begin and end while the misdeed is repeated.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use pawl_plugin::{CallError, Compiler, Grant, Host, HostOptions, Manifest, Plugin};
use serde_json::{Value, json};
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};

/// Healthy calls that must go through beside a misdeed.
const BESIDE: u64 = 20;
/// How long anything here may take before it is taken for a host that hangs.
const PATIENCE: Duration = Duration::from_secs(240);

/// A component of the world `w` in the WIT text around a core module in text form.
///
/// # Errors
/// Where one of the texts is wrong.
pub fn component(wit: &str, module: &str) -> Result<Vec<u8>> {
    wrapped(wit, wat::parse_str(module)?)
}

fn wrapped(wit: &str, mut module: Vec<u8>) -> Result<Vec<u8>> {
    let mut resolve = wit_parser::Resolve::default();
    let package = resolve.push_str("hostile.wit", wit)?;
    let world = resolve.select_world(&[package], Some("w"))?;
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8)?;
    ComponentEncoder::default().module(&module)?.encode()
}

/// A component in text form, assembled.
///
/// # Errors
/// Where the text is wrong.
pub fn assembled(text: &str) -> Result<Vec<u8>> {
    Ok(wat::parse_str(text)?)
}

/// Appends a custom section.
pub fn section(component: &mut Vec<u8>, name: &str, content: &[u8]) {
    use wasm_encoder::{ComponentSection, CustomSection, Encode};
    let section = CustomSection { name: name.into(), data: content.into() };
    component.push(section.id());
    section.encode(component);
}

/// A valid component of three megabytes that takes Cranelift half an hour of one core: each of its functions of 3 KB
/// takes 1.8 s and 85 MB. One of 5 KB, with 400 loops and as many variables, takes more than four minutes alone.
///
/// # Errors
/// Where it cannot be encoded.
pub fn compile_bomb() -> Result<Vec<u8>> {
    compile_bomb_of(1_000, 200, 200)
}

/// A component of so many functions, each of loops nested so deep around one that changes so many variables: in the
/// form that compilers work on, every loop has every variable, so `loops` times `variables` come of `loops` plus
/// `variables`.
///
/// # Errors
/// Where it cannot be encoded.
pub fn compile_bomb_of(functions: u32, loops: usize, variables: u32) -> Result<Vec<u8>> {
    use wasm_encoder::{
        BlockType, CodeSection, ExportKind, ExportSection, Function, FunctionSection, Module, TypeSection,
        ValType,
    };
    let mut body = Function::new([(variables, ValType::I32)]);
    let mut write = body.instructions();
    for _ in 0..loops {
        write.loop_(BlockType::Empty);
    }
    for variable in 0..variables {
        write.local_get(variable).local_get((variable + 1) % variables).i32_add().local_set(variable);
    }
    for depth in 0..loops {
        write.local_get(depth as u32 % variables).br_if(0).end();
    }
    write.end();
    let mut types = TypeSection::new();
    types.ty().function([], []);
    let (mut declared, mut exports, mut code) =
        (FunctionSection::new(), ExportSection::new(), CodeSection::new());
    for _ in 0..functions {
        declared.function(0);
        code.function(&body);
    }
    exports.export("f", ExportKind::Func, 0);
    let mut module = Module::new();
    module.section(&types).section(&declared).section(&exports).section(&code);
    wrapped("package test:bomb; world w { export f: func(); }", module.finish())
}

/// A host with a folder of its own, which compiles every time.
pub struct Home {
    /// Its folder.
    pub folder: tempfile::TempDir,
    /// The host.
    pub host: Host,
}

impl Home {
    /// An empty one.
    ///
    /// # Errors
    /// Where the folder or the engine cannot be made.
    pub fn new() -> Result<Home> {
        let folder = tempfile::tempdir()?;
        let options =
            HostOptions { compiled: None, compiler: None, keyvalue: folder.path().join("keyvalue.sqlite") };
        Ok(Home { host: Host::new(options)?, folder })
    }

    /// An empty one whose host compiles in a child with these bounds: seconds, and bytes of memory. `program` is the
    /// binary `compile-alone` of this package.
    ///
    /// # Errors
    /// As [`Home::new`].
    pub fn compiling_in(program: &str, time: Duration, memory: u64) -> Result<Home> {
        let folder = tempfile::tempdir()?;
        let compiler = Compiler { time, memory, ..Compiler::new(program.into(), Vec::new()) };
        let keyvalue = folder.path().join("keyvalue.sqlite");
        let host = Host::new(HostOptions { compiled: None, compiler: Some(compiler), keyvalue })?;
        Ok(Home { host, folder })
    }

    /// Writes a file.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn file(&self, name: &str, content: &[u8]) -> Result<PathBuf> {
        let path = self.folder.path().join(name);
        std::fs::write(&path, content)?;
        Ok(path)
    }

    /// A manifest; `more` is its text beyond name, version and description.
    ///
    /// # Errors
    /// Where it is refused.
    pub fn manifest(&self, name: &str, more: &str) -> Result<Manifest> {
        let text = format!("name = '{name}'\nversion = '1'\ndescription = 'A test.'\n{more}");
        Ok(Manifest::read(&self.file(&format!("{name}.toml"), text.as_bytes())?)?)
    }

    /// Loads a component without grants.
    ///
    /// # Errors
    /// Where it is refused; the cause is `pawl_plugin::Error`.
    pub fn load(&self, name: &str, component: &[u8], more: &str) -> Result<Plugin> {
        self.load_granted(name, component, more, Grant::default())
    }

    /// Loads a component.
    ///
    /// # Errors
    /// Where it is refused; the cause is `pawl_plugin::Error`.
    pub fn load_granted(&self, name: &str, component: &[u8], more: &str, grant: Grant) -> Result<Plugin> {
        let path = self.file(&format!("{name}.wasm"), component)?;
        self.load_file(&path, name, more, grant)
    }

    /// Loads a component from a path.
    ///
    /// # Errors
    /// Where it is refused; the cause is `pawl_plugin::Error`.
    pub fn load_file(&self, path: &Path, name: &str, more: &str, grant: Grant) -> Result<Plugin> {
        Ok(self.host.load(path, self.manifest(name, more)?, grant)?)
    }

    /// A plugin that adds two numbers and does nothing else.
    ///
    /// # Errors
    /// Where it does not load.
    pub fn healthy(&self) -> Result<Plugin> {
        let wit = "package test:healthy; world w { export add: func(a: u32, b: u32) -> u32; }";
        let module = "(module (func (export \"add\") (param i32 i32) (result i32)
            (i32.add (local.get 0) (local.get 1))))";
        self.load("healthy", &component(wit, module)?, "")
    }
}

/// One healthy call.
///
/// # Errors
/// Where it gave anything but the sum.
pub async fn well(healthy: &Plugin) -> Result<()> {
    let sum = healthy.call("add", &json!({"a": 2, "b": 40})).await;
    ensure!(sum == Ok(json!(42)), "a healthy call failed: {sum:?}");
    Ok(())
}

/// Healthy calls that go on in the background, one after the other.
pub struct Beside {
    done: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
    task: tokio::task::JoinHandle<Result<()>>,
}

impl Beside {
    /// Begins to call.
    pub fn start(healthy: &Plugin) -> Beside {
        let (done, stop) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let (counted, stopped, healthy) = (Arc::clone(&done), Arc::clone(&stop), healthy.clone());
        let task = tokio::spawn(async move {
            while !stopped.load(Ordering::Relaxed) {
                well(&healthy).await?;
                counted.fetch_add(1, Ordering::Relaxed);
            }
            Ok(())
        });
        Beside { done, stop, task }
    }

    /// How many have gone through.
    pub fn count(&self) -> u64 {
        self.done.load(Ordering::Relaxed)
    }

    /// Whether one has failed.
    pub fn failed(&self) -> bool {
        self.task.is_finished()
    }

    /// Ends; how many went through.
    ///
    /// # Errors
    /// Where one failed.
    pub async fn end(self) -> Result<u64> {
        self.stop.store(true, Ordering::Relaxed);
        self.task.await??;
        Ok(self.done.load(Ordering::Relaxed))
    }
}

/// Repeats a misdeed until twenty healthy calls have gone through while it went on; none may fail.
///
/// # Errors
/// Where the misdeed ended otherwise than it should, a healthy call failed, or the host hangs.
pub async fn beside(healthy: &Plugin, mut misdeed: impl AsyncFnMut() -> Result<()>) -> Result<()> {
    let calls = Beside::start(healthy);
    let work = async {
        loop {
            misdeed().await?;
            if calls.count() >= BESIDE || calls.failed() {
                return anyhow::Ok(());
            }
        }
    };
    tokio::time::timeout(PATIENCE, work).await.context("the host hangs")??;
    calls.end().await.map(drop)
}

/// What a call must end as.
#[derive(Debug, Clone, PartialEq)]
pub enum Ends {
    /// The limit of this name.
    Limit(&'static str),
    /// A trap whose message holds this.
    Trap(&'static str),
    /// The guest's own error, exactly this.
    Guest(Value),
}

impl Ends {
    /// Checks an outcome.
    ///
    /// # Errors
    /// Where it is another; the message names both.
    pub fn check(&self, what: &str, outcome: &std::result::Result<Value, CallError>) -> Result<()> {
        let right = match (self, outcome) {
            (Ends::Limit(name), Err(error @ CallError::Limit { limit, value })) => {
                limit == name && !value.is_empty() && error.to_string().contains(name)
            }
            (Ends::Trap(part), Err(CallError::Trap { message })) => message.contains(part),
            (Ends::Guest(expected), Err(CallError::Guest(payload))) => payload == expected,
            _ => false,
        };
        let told: String = format!("{outcome:?}").chars().take(300).collect();
        ensure!(right, "{what} should end as {self:?}, not as {told}");
        Ok(())
    }
}

/// The most memory that this process has held, in bytes: `VmHWM`.
///
/// # Errors
/// Where the system does not say.
pub fn peak() -> Result<u64> {
    status("VmHWM:")
}

/// The memory that this process holds, in bytes: `VmRSS`.
///
/// # Errors
/// Where the system does not say.
pub fn resident() -> Result<u64> {
    status("VmRSS:")
}

fn status(key: &str) -> Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix(key)).context("no such line")?;
    let kib = line.trim().strip_suffix(" kB").context("no unit")?;
    Ok(kib.parse::<u64>()? << 10)
}

/// Runs a test in a process of its own, so that its memory is not another test's: the test binary runs itself again
/// with that test only. `name` is the test's path within the binary.
///
/// # Errors
/// Where the test failed there.
pub fn alone(name: &str, work: impl AsyncFnOnce() -> Result<()>) -> Result<()> {
    const KEY: &str = "PAWL_TEST_ALONE";
    if std::env::var_os(KEY).is_some_and(|running| running == name) {
        return tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()?
            .block_on(work());
    }
    let binary = std::env::current_exe()?;
    let output =
        std::process::Command::new(binary).args(["--exact", name, "--nocapture"]).env(KEY, name).output()?;
    let said = String::from_utf8_lossy(&output.stdout);
    ensure!(
        output.status.success() && said.contains("1 passed"),
        "{name}, alone: {}\n{said}\n{}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(())
}

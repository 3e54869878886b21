//! The WebAssembly engine: its configuration, its clock and the cache of compiled components.
//!
//! Invariant: machine code comes from the compiler (in a child of bounded time and memory where one is given, see
//! `compiler`; in this process else), or from a file that this program wrote into a
//! folder of mode 0700, whose name holds the digest of the component and of the engine's settings, and whose content
//! matches the sha256 at its head. Any other file is compiled anew and replaced. This is the only file of the crate
//! with `unsafe` in it.

use std::fs;
use std::hash::{Hash, Hasher};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

use sha2::{Digest, Sha256};
use wasmtime::component::Component;
use wasmtime::{Config, Enabled, InstanceAllocationStrategy, PoolingAllocationConfig};

use crate::compiler::Children;
use crate::error::Error;
use crate::limits::MAX_TABLE_ELEMENTS;

/// How often a running guest looks at the clock.
pub(crate) const TICK: Duration = Duration::from_millis(10);
/// How many calls run at the same time; others wait.
pub(crate) const MAX_CALLS: usize = 64;
/// How many calls run on the engine that meters by fuel; they are counted apart.
pub(crate) const MAX_METERED: usize = 16;
/// What the pool holds for each of them (see `weight`).
pub(crate) const MEMORIES_PER_TURN: u32 = 2;
pub(crate) const TABLES_PER_TURN: u32 = 4;
/// Core instances of one component.
const MAX_CORE_INSTANCES: u32 = crate::limits::MAX_INSTANCES as u32;
/// The largest component file, in bytes. A Python component with its interpreter has about 40 MB.
pub(crate) const MAX_COMPONENT: u64 = 128 << 20;
/// Stack of a guest, in bytes. Tokio's blocking threads have 2 MiB.
pub(crate) const MAX_WASM_STACK: usize = 1 << 20;
/// Linear memory that a pool slot can hold: the most that a manifest can ask for.
const MAX_SLOT_MEMORY: usize = 1 << 30;
/// Linear memories and tables of one component.
const MAX_MEMORIES: u32 = 8;
const MAX_TABLES: u32 = 16;

/// Whether guests are stopped by the clock alone, or by a count of their instructions too. Counting makes code
/// slower, so it has an engine of its own, which exists when a plugin asks for it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Metering {
    Clock,
    Fuel,
}

impl Metering {
    /// How many calls run at the same time on an engine that meters so.
    pub(crate) fn calls(self) -> usize {
        match self {
            Metering::Clock => MAX_CALLS,
            Metering::Fuel => MAX_METERED,
        }
    }

    /// As it is told to the compiler's child.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Metering::Clock => "clock",
            Metering::Fuel => "fuel",
        }
    }

    pub(crate) fn parse(name: &str) -> Option<Metering> {
        [Metering::Clock, Metering::Fuel].into_iter().find(|metering| metering.name() == name)
    }
}

/// An engine that plugins share.
pub(crate) struct Engine {
    pub(crate) wasmtime: wasmtime::Engine,
    pub(crate) metering: Metering,
    compiled: Option<PathBuf>,
    compiler: Option<Arc<Children>>,
    _ticker: Ticker,
}

/// A component, ready to be linked.
pub(crate) struct Compiled {
    pub(crate) component: Component,
    /// sha256 of the component file, lower-case hex.
    pub(crate) digest: String,
    /// The component file.
    pub(crate) bytes: Vec<u8>,
}

impl Engine {
    /// Sets up the engine and, where one is given, the folder of compiled components.
    pub(crate) fn new(
        compiled: Option<PathBuf>,
        compiler: Option<Arc<Children>>,
        metering: Metering,
    ) -> Result<Engine, Error> {
        let wasmtime = wasmtime::Engine::new(&config(true, metering)).or_else(|error| {
            tracing::warn!("no memory pool ({error:#}); instances are allocated one by one, calls cost more");
            wasmtime::Engine::new(&config(false, metering))
                .map_err(|error| Error::Engine(format!("{error:#}")))
        })?;
        if let Some(folder) = &compiled {
            private_folder(folder)?;
        }
        let ticker = Ticker::start(wasmtime.clone())?;
        Ok(Engine { wasmtime, metering, compiled, compiler, _ticker: ticker })
    }

    /// Reads a component and compiles it, or takes it from the cache.
    pub(crate) fn compile(&self, path: &Path) -> Result<Compiled, Error> {
        let bytes = read_component(path)?;
        let digest = hex(&Sha256::digest(&bytes));
        let cached = self.compiled.as_ref().map(|folder| folder.join(self.cache_name(&digest)));
        if let Some(component) = cached.as_deref().and_then(|file| self.load_cached(file)) {
            return Ok(Compiled { component, digest, bytes });
        }
        let (component, artefact) = match &self.compiler {
            Some(children) => {
                let artefact = children.compile(path, &bytes, self.metering)?;
                let component = self.deserialize(&artefact).map_err(|error| Error::Compiler {
                    path: path.to_path_buf(),
                    message: format!("its machine code cannot be loaded: {error:#}"),
                })?;
                (component, cached.is_some().then_some(artefact))
            }
            None => {
                let component = compile(&self.wasmtime, &bytes).map_err(|(is_component, message)| {
                    let path = path.to_path_buf();
                    if is_component {
                        Error::Component { path, message }
                    } else {
                        Error::NotAComponent { path, message }
                    }
                })?;
                let artefact = cached.is_some().then(|| component.serialize().ok()).flatten();
                (component, artefact)
            }
        };
        if let (Some(file), Some(artefact)) = (cached, artefact)
            && let Err(error) = store_cached(&file, &artefact)
        {
            tracing::warn!("{} could not be kept: {error}; it is compiled again next time", file.display());
        }
        Ok(Compiled { component, digest, bytes })
    }

    /// `<digest of the component>-<digest of everything that the machine code depends on>.cwasm`
    fn cache_name(&self, digest: &str) -> String {
        let mut hasher = Sha256Hasher(Sha256::new());
        self.wasmtime.precompile_compatibility_hash().hash(&mut hasher);
        format!("{digest}-{}.cwasm", &hex(&hasher.0.finalize())[..16])
    }

    fn load_cached(&self, file: &Path) -> Option<Component> {
        let content = fs::read(file).ok()?;
        let (head, artefact) = content.split_at_checked(32)?;
        if Sha256::digest(artefact).as_slice() != head {
            tracing::warn!("{} is damaged; compiling again", file.display());
            return None;
        }
        let component = self.deserialize(artefact);
        component.inspect_err(|error| tracing::warn!("{}: {error:#}; compiling again", file.display())).ok()
    }

    /// Loads machine code that this program made.
    fn deserialize(&self, artefact: &[u8]) -> wasmtime::Result<Component> {
        #[expect(unsafe_code, reason = "wasmtime cannot check machine code that it is given")]
        // SAFETY: `deserialize` wants bytes that `Component::serialize` gave, unchanged. They come from `store_cached`,
        // the only writer of a folder that only this user can write to, with a digest that excludes damage and
        // truncation; or through a pipe from a child that is this program and ended with success. wasmtime itself
        // refuses another version or other settings.
        unsafe {
            Component::deserialize(&self.wasmtime, artefact)
        }
    }
}

/// Machine code of a component, for another process with the same settings. The error says whether it is a component
/// at all.
pub(crate) fn compile_alone(bytes: &[u8], metering: Metering) -> Result<Vec<u8>, (bool, String)> {
    let engine = wasmtime::Engine::new(&config(true, metering))
        .or_else(|_| wasmtime::Engine::new(&config(false, metering)))
        .map_err(|error| (true, format!("{error:#}")))?;
    compile(&engine, bytes)?.serialize().map_err(|error| (true, format!("{error:#}")))
}

fn compile(engine: &wasmtime::Engine, bytes: &[u8]) -> Result<Component, (bool, String)> {
    Component::from_binary(engine, bytes).map_err(|error| {
        let is_component = wasmparser::Validator::new().validate_all(bytes).is_ok();
        (is_component, format!("{error:#}"))
    })
}

/// Whether an instance could ever be made, with this much memory in bytes; the error says why not.
pub(crate) fn check_resources(component: &Component, memory: u64) -> Result<(), String> {
    let Some(required) = component.resources_required() else {
        return Err("it imports core modules, which this host does not offer".to_owned());
    };
    if required.num_memories > MAX_MEMORIES || required.num_tables > MAX_TABLES {
        return Err(format!(
            "it has {} memories and {} tables; {MAX_MEMORIES} and {MAX_TABLES} at most",
            required.num_memories, required.num_tables
        ));
    }
    let initial = required.max_initial_memory_size.unwrap_or(0).saturating_mul(64 << 10);
    if initial > memory {
        return Err(format!(
            "it begins with {initial} bytes of memory, limits.memory is {memory}; ask for more"
        ));
    }
    Ok(())
}

/// Writes digest and artefact beside the file and renames, so that no reader sees half of it.
fn store_cached(file: &Path, artefact: &[u8]) -> Result<(), String> {
    static WRITES: AtomicU64 = AtomicU64::new(0);
    let number = WRITES.fetch_add(1, Ordering::Relaxed);
    let temporary = file.with_extension(format!("{}-{number}.tmp", std::process::id()));
    let write = || {
        let mut output = fs::File::create(&temporary)?;
        output.write_all(&Sha256::digest(artefact))?;
        output.write_all(artefact)?;
        output.sync_all()?;
        fs::rename(&temporary, file)
    };
    write().map_err(|error: std::io::Error| {
        let _ = fs::remove_file(&temporary);
        error.to_string()
    })
}

fn config(pooling: bool, metering: Metering) -> Config {
    let mut config = Config::new();
    config
        .wasm_component_model(true)
        .consume_fuel(metering == Metering::Fuel)
        .concurrency_support(false)
        .epoch_interruption(true)
        .max_wasm_stack(MAX_WASM_STACK);
    if pooling {
        let calls = metering.calls() as u32;
        let mut pool = PoolingAllocationConfig::new();
        pool.total_component_instances(calls)
            // Only counted, not reserved.
            .total_core_instances(calls * MAX_CORE_INSTANCES)
            .max_core_instances_per_component(MAX_CORE_INSTANCES)
            .total_memories(calls * MEMORIES_PER_TURN)
            .max_memories_per_component(MAX_MEMORIES)
            .max_memory_size(MAX_SLOT_MEMORY)
            .max_memories_per_module(MAX_MEMORIES)
            .max_tables_per_module(MAX_TABLES)
            .total_tables(calls * TABLES_PER_TURN)
            .max_tables_per_component(MAX_TABLES)
            .table_elements(MAX_TABLE_ELEMENTS as usize)
            .linear_memory_keep_resident(256 << 10)
            .table_keep_resident(16 << 10)
            // Linux tells which pages a guest wrote to: most calls write few, and those are set back in place.
            .pagemap_scan(Enabled::Auto);
        config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
    }
    config
}

/// Reads the file and refuses whatever is not a component, saying what it is.
fn read_component(path: &Path) -> Result<Vec<u8>, Error> {
    let io = |source| Error::Io { path: path.to_path_buf(), source };
    let wrong = |message: String| Error::NotAComponent { path: path.to_path_buf(), message };
    let bytes = match read_file(path, MAX_COMPONENT).map_err(io)? {
        Ok(bytes) => bytes,
        Err(message) => return Err(wrong(message)),
    };
    if wasmparser::Parser::is_component(&bytes) {
        return Ok(bytes);
    }
    Err(wrong(match &bytes[..] {
        [] => "the file is empty".to_owned(),
        module if wasmparser::Parser::is_core_wasm(module) => {
            "a core module; build it for wasm32-wasip2, or wrap it with `wasm-tools component new`".to_owned()
        }
        [b'P', b'K', ..] => "a zip archive; give the .wasm file inside".to_owned(),
        [b'(', ..] => "WebAssembly text; assemble it with `wasm-tools parse`".to_owned(),
        other => {
            let head: Vec<String> = other.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
            format!("it begins with {}, not with 00 61 73 6d 0d 00 01 00", head.join(" "))
        }
    }))
}

/// The bytes of a regular file of at most `most`; the inner error says why it is none. Whatever the file does while it
/// is read, no more is read.
pub(crate) fn read_file(path: &Path, most: u64) -> std::io::Result<Result<Vec<u8>, String>> {
    let metadata = fs::metadata(path)?;
    if !metadata.is_file() {
        return Ok(Err("not a regular file".to_owned()));
    }
    let length = metadata.len();
    if length > most {
        return Ok(Err(format!("{length} bytes; {most} at most")));
    }
    let mut bytes = Vec::with_capacity(usize::try_from(length).unwrap_or(0));
    fs::File::open(path)?.take(most + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > most {
        return Ok(Err(format!("more than {most} bytes")));
    }
    Ok(Ok(bytes))
}

/// Makes a folder that only this user can enter.
fn private_folder(folder: &Path) -> Result<(), Error> {
    let io = |source| Error::Io { path: folder.to_path_buf(), source };
    fs::create_dir_all(folder).map_err(io)?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        fs::set_permissions(folder, fs::Permissions::from_mode(0o700)).map_err(io)?;
    }
    Ok(())
}

/// A thread that advances the engine's epoch until it is dropped.
struct Ticker {
    stop: Option<mpsc::Sender<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Ticker {
    fn start(engine: wasmtime::Engine) -> Result<Ticker, Error> {
        let (stop, stopped) = mpsc::channel();
        let tick = move || {
            while stopped.recv_timeout(TICK) == Err(RecvTimeoutError::Timeout) {
                engine.increment_epoch();
            }
        };
        let thread = std::thread::Builder::new().name("pawl-epoch".to_owned()).spawn(tick);
        let thread =
            thread.map_err(|error| Error::Engine(format!("no thread for the epoch clock: {error}")))?;
        Ok(Ticker { stop: Some(stop), thread: Some(thread) })
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Feeds what is hashed into a sha256, whose value does not change between processes.
struct Sha256Hasher(Sha256);

impl Hasher for Sha256Hasher {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    fn finish(&self) -> u64 {
        0
    }
}

/// Lower-case hexadecimal.
fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const EMPTY: &str = "(component (core module (func (export \"f\"))))";

    struct Folder {
        folder: tempfile::TempDir,
        engine: Engine,
    }

    impl Folder {
        fn new() -> anyhow::Result<Folder> {
            let folder = tempfile::tempdir()?;
            let engine = Engine::new(Some(folder.path().join("compiled")), None, Metering::Clock)?;
            Ok(Folder { folder, engine })
        }

        fn file(&self, name: &str, content: &[u8]) -> anyhow::Result<PathBuf> {
            let path = self.folder.path().join(name);
            fs::write(&path, content)?;
            Ok(path)
        }

        fn artefacts(&self) -> anyhow::Result<Vec<PathBuf>> {
            let entries = fs::read_dir(self.folder.path().join("compiled"))?;
            Ok(entries.map(|entry| Ok(entry?.path())).collect::<std::io::Result<_>>()?)
        }
    }

    #[test]
    fn a_component_is_compiled_once_and_found_again() -> anyhow::Result<()> {
        let home = Folder::new()?;
        let path = home.file("empty.wasm", &wat::parse_str(EMPTY)?)?;
        let first = home.engine.compile(&path)?;
        let artefacts = home.artefacts()?;
        assert_eq!(artefacts.len(), 1);
        assert!(home.engine.load_cached(&artefacts[0]).is_some());
        assert_eq!(first.digest, home.engine.compile(&path)?.digest);
        Ok(())
    }

    #[test]
    fn a_damaged_artefact_is_never_loaded_and_is_replaced() -> anyhow::Result<()> {
        let home = Folder::new()?;
        let path = home.file("empty.wasm", &wat::parse_str(EMPTY)?)?;
        home.engine.compile(&path)?;
        let artefact = home.artefacts()?.remove(0);
        let good = fs::read(&artefact)?;
        let mut flipped = good.clone();
        *flipped.last_mut().expect("not empty") ^= 1;
        for damaged in [Vec::new(), good[..20].to_vec(), good[..good.len() / 2].to_vec(), flipped] {
            fs::write(&artefact, damaged)?;
            assert!(home.engine.load_cached(&artefact).is_none());
            home.engine.compile(&path)?;
            assert_eq!(fs::read(&artefact)?[..32], Sha256::digest(&fs::read(&artefact)?[32..])[..]);
        }
        Ok(())
    }

    #[cfg(unix)]
    #[test]
    fn only_this_user_can_enter_the_folder_of_compiled_components() -> anyhow::Result<()> {
        use std::os::unix::fs::PermissionsExt;
        let home = Folder::new()?;
        let mode = fs::metadata(home.folder.path().join("compiled"))?.permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
        Ok(())
    }

    #[test]
    fn what_is_not_a_component_is_named() -> anyhow::Result<()> {
        let home = Folder::new()?;
        for (content, said) in [
            (&b""[..], "empty"),
            (b"PK\x03\x04rest", "zip"),
            (b"(component)", "text"),
            (b"\x7fELF", "7f 45 4c 46"),
            (b"\0asm\x01\0\0\0", "core module"),
            (b"\0asm\x0d\0\x01\0\xff\xff", "not a WebAssembly component"),
            (b"\0asm\x0d\0\x01\0\x01\xff\x7fabc", "not a WebAssembly component"),
        ] {
            let path = home.file("x.wasm", content)?;
            let error = home.engine.compile(&path).err().expect(said);
            assert!(matches!(error, Error::NotAComponent { .. }), "{error}");
            assert!(error.to_string().contains(said), "{error}");
        }
        assert!(matches!(home.engine.compile(Path::new("no/such.wasm")), Err(Error::Io { .. })));
        Ok(())
    }
}

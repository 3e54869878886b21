//! Compiling in a process of its own, so that a component made to break or to occupy the compiler ends that process
//! and nothing else.
//!
//! The program that is given is this very program (`pawl compile-component`), whose whole work is [`compile_stdin`]:
//! component on stdin, machine code on stdout, the reason on stderr. Before it reads a byte it gives up what it could
//! use beyond its bounds. The parent waits no longer than [`Compiler::time`].
//!
//! Invariant: a component costs the host no more than the bytes of its machine code, whatever it does to the compiler.

use std::ffi::OsString;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::engine::{self, Metering};
use crate::error::Error;

/// The most machine code of one component, in bytes. A Python interpreter has about 100 MB.
const MAX_ARTEFACT: u64 = 1 << 30;
/// The longest reason that is read from the child, in bytes.
const MAX_REASON: u64 = 4 << 10;
/// Compilations at the same time. Each uses all cores already.
const AT_ONCE: usize = 2;
/// How often the parent looks whether the child has ended.
const LOOK: Duration = Duration::from_millis(2);

const NOT_A_COMPONENT: u8 = 3;
const DOES_NOT_COMPILE: u8 = 4;

/// The program that compiles, and its bounds.
#[derive(Debug, Clone)]
pub struct Compiler {
    /// A program that calls [`compile_stdin`].
    pub program: PathBuf,
    /// Its arguments before those that [`compile_stdin`] takes.
    pub arguments: Vec<OsString>,
    /// The longest that one compilation takes, by the clock.
    pub time: Duration,
    /// The most memory that it writes to, in bytes.
    pub memory: u64,
}

impl Compiler {
    /// A program with the ordinary bounds: five minutes, 4 GiB.
    pub fn new(program: PathBuf, arguments: Vec<OsString>) -> Compiler {
        Compiler { program, arguments, time: Duration::from_secs(300), memory: 4 << 30 }
    }
}

/// Starts children, a few at a time.
pub(crate) struct Children {
    compiler: Compiler,
    turns: Arc<Turns>,
}

#[derive(Default)]
struct Turns {
    running: Mutex<usize>,
    ended: Condvar,
}

/// A turn that is taken; dropping it passes it on.
struct Turn(Arc<Turns>);

impl Turns {
    fn take(self: &Arc<Turns>) -> Turn {
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        let mut running = self
            .ended
            .wait_while(running, |running| *running >= AT_ONCE)
            .unwrap_or_else(PoisonError::into_inner);
        *running += 1;
        Turn(Arc::clone(self))
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        *self.0.running.lock().unwrap_or_else(PoisonError::into_inner) -= 1;
        self.0.ended.notify_one();
    }
}

/// A child that does not outlive its parent's interest.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // Both fail only where it has ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Children {
    pub(crate) fn new(compiler: Compiler) -> Children {
        Children { compiler, turns: Arc::default() }
    }

    /// The machine code of a component. Blocks.
    pub(crate) fn compile(&self, path: &Path, bytes: &[u8], metering: Metering) -> Result<Vec<u8>, Error> {
        let _turn = self.turns.take();
        let failed = |message: String| Error::Compiler { path: path.to_path_buf(), message };
        let Compiler { program, arguments, time, memory } = &self.compiler;
        let child = Command::new(program)
            .args(arguments)
            .args([metering.name(), &memory.to_string(), &time.as_secs().max(1).to_string()])
            .env_clear()
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| failed(format!("{} cannot be started: {error}", program.display())))?;
        let mut child = Running(child);
        let (Some(mut stdin), Some(stdout), Some(stderr)) =
            (child.0.stdin.take(), child.0.stdout.take(), child.0.stderr.take())
        else {
            return Err(failed("the child has no pipes".to_owned()));
        };
        let (artefact, reason, status) = std::thread::scope(|scope| {
            // A child that ends early closes the pipe; its status says why.
            scope.spawn(move || {
                let _ = stdin.write_all(bytes);
            });
            let artefact = scope.spawn(move || read(stdout, MAX_ARTEFACT + 1));
            let reason = scope.spawn(move || read(stderr, MAX_REASON));
            let status = wait(&mut child.0, *time);
            if !matches!(status, Ok(Some(_))) {
                let _ = child.0.kill();
            }
            (artefact.join().unwrap_or_default(), reason.join().unwrap_or_default(), status)
        });
        let reason = String::from_utf8_lossy(&reason).trim().to_owned();
        match status {
            Err(error) => Err(failed(format!("waiting for the compiler: {error}"))),
            Ok(None) => Err(failed(format!(
                "it took more than {} s to compile and was stopped; a plugin of ordinary size takes a few",
                time.as_secs_f64()
            ))),
            Ok(Some(status)) if status.success() && artefact.len() as u64 > MAX_ARTEFACT => {
                Err(failed(format!("its machine code has more than {MAX_ARTEFACT} bytes")))
            }
            Ok(Some(status)) if status.success() => Ok(artefact),
            Ok(Some(status)) if status.code() == Some(NOT_A_COMPONENT.into()) => {
                Err(Error::NotAComponent { path: path.to_path_buf(), message: reason })
            }
            Ok(Some(status)) if status.code() == Some(DOES_NOT_COMPILE.into()) => {
                Err(Error::Component { path: path.to_path_buf(), message: reason })
            }
            Ok(Some(_)) if reason.contains("memory allocation of") => Err(failed(format!(
                "compiling it took more than {} of memory and was stopped",
                crate::limits::bytes(*memory)
            ))),
            Ok(Some(status)) => Err(failed(format!("the compiler ended with {status}: {reason}"))),
        }
    }
}

fn read(source: impl Read, limit: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    // What could be read counts; the child's status says whether it is whole.
    let _ = source.take(limit).read_to_end(&mut bytes);
    bytes
}

fn wait(child: &mut Child, time: Duration) -> std::io::Result<Option<std::process::ExitStatus>> {
    let end = Instant::now() + time;
    loop {
        match child.try_wait()? {
            Some(status) => return Ok(Some(status)),
            None if Instant::now() >= end => return Ok(None),
            None => std::thread::sleep(LOOK),
        }
    }
}

/// The whole work of the child: bounds itself, reads a component from stdin, writes its machine code to stdout.
/// `arguments` are those that the parent appended: metering, bytes of memory, seconds.
pub fn compile_stdin(arguments: &[String]) -> ExitCode {
    let [metering, memory, seconds] = arguments else {
        eprintln!("this is for Pawl itself; it takes a metering, a number of bytes and a number of seconds");
        return ExitCode::from(2);
    };
    let (Some(metering), Ok(memory), Ok(seconds)) =
        (Metering::parse(metering), memory.parse::<u64>(), seconds.parse::<u64>())
    else {
        eprintln!("odd arguments: {arguments:?}");
        return ExitCode::from(2);
    };
    if let Err(message) = bound(memory, seconds) {
        eprintln!("{message}");
        return ExitCode::from(1);
    }
    let mut bytes = Vec::new();
    if let Err(error) = std::io::stdin().lock().take(engine::MAX_COMPONENT + 1).read_to_end(&mut bytes) {
        eprintln!("stdin: {error}");
        return ExitCode::from(1);
    }
    match engine::compile_alone(&bytes, metering) {
        Ok(artefact) => match std::io::stdout().lock().write_all(&artefact) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("stdout: {error}");
                ExitCode::from(1)
            }
        },
        Err((is_component, message)) => {
            eprintln!("{message}");
            ExitCode::from(if is_component { DOES_NOT_COMPILE } else { NOT_A_COMPONENT })
        }
    }
}

/// Gives up what goes beyond the bounds. Memory is counted where it is written to (RLIMIT_DATA), not where it is
/// reserved; CPU time is bounded too, so that a child whose parent was killed ends by itself.
#[cfg(target_os = "linux")]
fn bound(memory: u64, seconds: u64) -> Result<(), String> {
    use rustix::process::{Resource, Rlimit, setrlimit};
    let cores = std::thread::available_parallelism().map_or(1, |cores| cores.get() as u64);
    for (resource, limit) in [
        (Resource::Data, memory),
        (Resource::Cpu, seconds.saturating_mul(cores)),
        (Resource::Core, 0),
        (Resource::Fsize, 0),
    ] {
        setrlimit(resource, Rlimit { current: Some(limit), maximum: Some(limit) })
            .map_err(|error| format!("the compiler cannot bound itself: {error}"))?;
    }
    Ok(())
}

/// Elsewhere only the clock bounds it.
#[cfg(not(target_os = "linux"))]
fn bound(_: u64, _: u64) -> Result<(), String> {
    Ok(())
}

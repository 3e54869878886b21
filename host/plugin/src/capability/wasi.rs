//! WASI 0.2 as a guest gets it: the clocks, the folders and the output of one call, and no environment, arguments or
//! sockets.
//!
//! Invariant: a call that uses none of it pays nothing, for the context is made at its first use (before the guest
//! runs where there are folders to open, which can fail). What waits is in `wait` and `files`; stdin is at its end and
//! the output streams are always ready.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use tokio::io::AsyncWrite;
use wasmtime::component::{Linker, ResourceTable};
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamResult};
use wasmtime_wasi::{WasiCtx, WasiCtxBuilder};

use super::{clock, files, random, wait};
use crate::call::State;
use crate::error::CallError;
use crate::grant::Effective;

/// How much of what a guest writes is kept for the message of a trap, in bytes.
const KEPT: usize = 4 << 10;
/// What each write counts beside its bytes: a line of the log has more than what was written.
const PER_WRITE: usize = 32;
/// How many resources (streams, files, pollables, buckets, requests) a guest holds at once.
const MAX_RESOURCES: usize = 1024;

/// Links WASI 0.2.
pub(super) fn add_to_linker(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    wasmtime_wasi::p2::add_to_linker_sync(linker)?;
    linker.allow_shadowing(true);
    wait::add_to_linker(linker)?;
    files::add_to_linker(linker)?;
    random::add_to_linker(linker)?;
    linker.allow_shadowing(false);
    Ok(())
}

/// The context of a call; none as long as nothing of it is used.
pub(crate) struct Context(Option<Box<WasiCtx>>);

impl Context {
    /// Opens the folders, where there are some.
    pub(crate) fn open(plugin: &str, capabilities: &Effective, log: &Log) -> Result<Context, CallError> {
        if capabilities.filesystem.is_empty() {
            return Ok(Context(None));
        }
        let mut builder = builder(capabilities, log);
        files::preopen(&mut builder, plugin, capabilities)?;
        Ok(Context(Some(Box::new(builder.build()))))
    }

    /// The context, made now if it was not.
    pub(crate) fn get(&mut self, capabilities: &Effective, log: &Log) -> &mut WasiCtx {
        self.0.get_or_insert_with(|| Box::new(builder(capabilities, log).build()))
    }
}

fn builder(capabilities: &Effective, log: &Log) -> WasiCtxBuilder {
    let mut builder = WasiCtxBuilder::new();
    builder
        .stdout(log.clone())
        .stderr(log.clone())
        .allow_tcp(false)
        .allow_udp(false)
        .allow_ip_name_lookup(false);
    if !capabilities.clocks {
        builder.wall_clock(clock::Still).monotonic_clock(clock::Still);
    }
    builder
}

/// A bounded table of resources.
pub(crate) fn table() -> ResourceTable {
    let mut table = ResourceTable::new();
    table.set_max_capacity(MAX_RESOURCES);
    table
}

/// What a guest writes to stdout and stderr: to the log at level debug, the end of it kept.
#[derive(Clone)]
pub(crate) struct Log(Arc<Mutex<Written>>);

struct Written {
    plugin: Arc<str>,
    kept: Vec<u8>,
    /// Bytes that may still go to the log.
    left: usize,
}

impl Log {
    /// A log that takes `limit` bytes of one call; what is beyond is dropped, and said to be.
    pub(crate) fn new(plugin: Arc<str>, limit: u64) -> Log {
        let left = usize::try_from(limit).unwrap_or(usize::MAX);
        Log(Arc::new(Mutex::new(Written { plugin, kept: Vec::new(), left })))
    }

    /// The last that the guest wrote, at most 4 KiB, safe for a terminal.
    pub(crate) fn tail(&self) -> String {
        let written = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let start = written.kept.len().saturating_sub(KEPT);
        let text = String::from_utf8_lossy(&written.kept[start..]);
        let lines = text.lines().filter(|line| !line.starts_with("note: run with `RUST_BACKTRACE"));
        let clean = |c: char| if c.is_control() && c != '\n' { ' ' } else { c };
        lines.collect::<Vec<_>>().join("\n").trim().chars().map(clean).collect()
    }

    fn push(&self, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        let mut written = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if written.left > 0 {
            let text = &bytes[..bytes.len().min(written.left)];
            // Quoted, so that a guest cannot write lines that look like the host's.
            tracing::debug!(
                plugin = &*written.plugin,
                "wrote {:?}",
                String::from_utf8_lossy(text).trim_end()
            );
            written.left = written.left.saturating_sub(text.len() + PER_WRITE);
            if written.left == 0 {
                tracing::debug!(
                    plugin = &*written.plugin,
                    "wrote more than limits.log; the rest of this call is dropped"
                );
            }
        }
        let last = &bytes[bytes.len().saturating_sub(KEPT)..];
        written.kept.extend_from_slice(last);
        if written.kept.len() > 4 * KEPT {
            let excess = written.kept.len() - KEPT;
            written.kept.drain(..excess);
        }
    }
}

impl IsTerminal for Log {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for Log {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        // Only WASI 0.3 comes here, which is not linked.
        Box::new(tokio::io::sink())
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }
}

#[wasmtime_wasi::async_trait]
impl Pollable for Log {
    async fn ready(&mut self) {}
}

#[wasmtime_wasi::async_trait]
impl OutputStream for Log {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.push(&bytes);
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(64 << 10)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_what_a_guest_writes_is_kept_and_bounded() {
        let log = Log::new("test".into(), 64 << 10);
        for n in 0..10_000 {
            log.push(format!("line {n}\n").as_bytes());
        }
        log.push(b"thread panicked\x1b[2J\nnote: run with `RUST_BACKTRACE=1` to see\n");
        let tail = log.tail();
        assert!(tail.len() <= KEPT && tail.ends_with("line 9999\nthread panicked [2J"), "{tail}");
        log.push(&vec![b'x'; 1 << 20]);
        assert_eq!(log.tail(), "x".repeat(KEPT));
    }

    #[test]
    fn writes_of_nothing_and_of_little_use_up_what_may_be_logged() {
        let left = |log: &Log| log.0.lock().expect("no other thread").left;
        let log = Log::new("test".into(), 1 << 10);
        log.push(b"");
        assert_eq!(left(&log), 1 << 10);
        for _ in 0..40 {
            log.push(b"\n");
        }
        assert_eq!(left(&log), 0);
        log.push(b"the last words");
        assert!(log.tail().ends_with("the last words"));
    }
}

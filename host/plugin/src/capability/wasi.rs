//! WASI 0.2 as a guest gets it: clocks and randomness, output to a bounded log, waiting up to the deadline, and
//! nothing else: no environment, arguments, files or sockets.
//!
//! Invariant: no call into WASI blocks past the deadline of the call that it is made in. Only `wasi:io/poll` can
//! block, for stdin is at its end and the output streams are always ready, so that interface is served here.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use bytes::Bytes;
use tokio::io::AsyncWrite;
use wasmtime::component::{HasData, Linker, Resource, ResourceTable};
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::bindings::{io as waiting, sync::io::poll};
use wasmtime_wasi::p2::{DynPollable, OutputStream, Pollable, StreamResult};
use wasmtime_wasi::runtime::in_tokio;
use wasmtime_wasi::{WasiCtx, WasiCtxBuilder};

use crate::call::{State, TimeUp};

/// How much of what a guest writes is kept for the message of a trap, in bytes.
const KEPT: usize = 4 << 10;
/// What each write counts beside its bytes: a line of the log has more than what was written.
const PER_WRITE: usize = 32;
/// How much random data a guest gets at once, in bytes.
const MAX_RANDOM: u64 = 1 << 20;
/// How many resources (streams, pollables, buckets) a guest holds at once.
const MAX_RESOURCES: usize = 1024;

/// Links WASI 0.2.
pub(crate) fn add_to_linker(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    wasmtime_wasi::p2::add_to_linker_sync(linker)?;
    linker.allow_shadowing(true);
    poll::add_to_linker::<State, HasWaiting>(linker, |state| Waiting {
        deadline: state.deadline,
        table: &mut state.table,
    })?;
    linker.allow_shadowing(false);
    Ok(())
}

/// A context that denies everything but clocks, randomness and the log.
pub(crate) fn context(log: &Log) -> WasiCtx {
    WasiCtxBuilder::new()
        .stdout(log.clone())
        .stderr(log.clone())
        .allow_tcp(false)
        .allow_udp(false)
        .allow_ip_name_lookup(false)
        .max_random_size(MAX_RANDOM)
        .build()
}

/// A bounded table of resources.
pub(crate) fn table() -> ResourceTable {
    let mut table = ResourceTable::new();
    table.set_max_capacity(MAX_RESOURCES);
    table
}

/// `wasi:io/poll`, up to a deadline.
struct Waiting<'a> {
    deadline: Instant,
    table: &'a mut ResourceTable,
}

struct HasWaiting;

impl HasData for HasWaiting {
    type Data<'a> = Waiting<'a>;
}

impl Waiting<'_> {
    fn wait<T>(
        &mut self,
        work: impl AsyncFnOnce(&mut ResourceTable) -> wasmtime::Result<T>,
    ) -> wasmtime::Result<T> {
        let deadline = self.deadline.into();
        in_tokio(async { tokio::time::timeout_at(deadline, work(self.table)).await })
            .unwrap_or_else(|_| Err(wasmtime::Error::new(TimeUp)))
    }
}

impl poll::Host for Waiting<'_> {
    fn poll(&mut self, pollables: Vec<Resource<DynPollable>>) -> wasmtime::Result<Vec<u32>> {
        self.wait(async |table| waiting::poll::Host::poll(table, pollables).await)
    }
}

impl poll::HostPollable for Waiting<'_> {
    fn ready(&mut self, pollable: Resource<DynPollable>) -> wasmtime::Result<bool> {
        self.wait(async |table| waiting::poll::HostPollable::ready(table, pollable).await)
    }

    fn block(&mut self, pollable: Resource<DynPollable>) -> wasmtime::Result<()> {
        self.wait(async |table| waiting::poll::HostPollable::block(table, pollable).await)
    }

    fn drop(&mut self, pollable: Resource<DynPollable>) -> wasmtime::Result<()> {
        waiting::poll::HostPollable::drop(self.table, pollable)
    }
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
}

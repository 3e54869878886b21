//! Waiting: `wasi:io/poll` and `wasi:io/streams`, up to the deadline of the call.
//!
//! Invariant: no call into `wasi:io` blocks past the deadline of the call that it is made in, whatever the stream is
//! (a log, a file, the body of a request); the guest is stopped instead. What a stream still does on another thread is
//! given up, not waited for.

use std::future::Future;

use wasmtime::component::{HasData, Linker, Resource, ResourceTable};
use wasmtime_wasi::p2::bindings::io as asynchronous;
use wasmtime_wasi::p2::bindings::io::streams::{HostInputStream as Input, HostOutputStream as Output};
use wasmtime_wasi::p2::bindings::sync::io::{poll, streams};
use wasmtime_wasi::p2::{DynInputStream, DynOutputStream, DynPollable, StreamError, StreamResult};
use wasmtime_wasi::runtime::in_tokio;

use crate::call::{State, TimeUp};
use crate::deadline::Deadline;

/// Does the work, or gives it up at the deadline.
pub(super) fn within<T>(deadline: &Deadline, work: impl Future<Output = T>) -> Result<T, TimeUp> {
    in_tokio(deadline.within(work)).ok_or(TimeUp)
}

/// Links `wasi:io/poll` and `wasi:io/streams` in the place of those that wait without end.
pub(super) fn add_to_linker(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    poll::add_to_linker::<State, HasWaiting>(linker, Waiting::of)?;
    streams::add_to_linker::<State, HasWaiting>(linker, Waiting::of)
}

struct HasWaiting;

impl HasData for HasWaiting {
    type Data<'a> = Waiting<'a>;
}

struct Waiting<'a> {
    deadline: &'a Deadline,
    table: &'a mut ResourceTable,
}

impl Waiting<'_> {
    fn of(state: &mut State) -> Waiting<'_> {
        Waiting { deadline: &state.deadline, table: &mut state.table }
    }

    fn wait<T>(
        &mut self,
        work: impl AsyncFnOnce(&mut ResourceTable) -> wasmtime::Result<T>,
    ) -> wasmtime::Result<T> {
        within(self.deadline, work(self.table)).unwrap_or_else(|up| Err(wasmtime::Error::new(up)))
    }

    fn stream<T>(
        &mut self,
        work: impl AsyncFnOnce(&mut ResourceTable) -> StreamResult<T>,
    ) -> StreamResult<T> {
        within(self.deadline, work(self.table))
            .unwrap_or_else(|up| Err(StreamError::Trap(wasmtime::Error::new(up))))
    }
}

impl poll::Host for Waiting<'_> {
    fn poll(&mut self, pollables: Vec<Resource<DynPollable>>) -> wasmtime::Result<Vec<u32>> {
        self.wait(async |table| asynchronous::poll::Host::poll(table, pollables).await)
    }
}

impl poll::HostPollable for Waiting<'_> {
    fn ready(&mut self, pollable: Resource<DynPollable>) -> wasmtime::Result<bool> {
        self.wait(async |table| asynchronous::poll::HostPollable::ready(table, pollable).await)
    }

    fn block(&mut self, pollable: Resource<DynPollable>) -> wasmtime::Result<()> {
        self.wait(async |table| asynchronous::poll::HostPollable::block(table, pollable).await)
    }

    fn drop(&mut self, pollable: Resource<DynPollable>) -> wasmtime::Result<()> {
        asynchronous::poll::HostPollable::drop(self.table, pollable)
    }
}

impl streams::Host for Waiting<'_> {
    fn convert_stream_error(&mut self, error: StreamError) -> wasmtime::Result<streams::StreamError> {
        streams::Host::convert_stream_error(self.table, error)
    }
}

impl streams::HostInputStream for Waiting<'_> {
    fn read(&mut self, stream: Resource<DynInputStream>, length: u64) -> StreamResult<Vec<u8>> {
        Input::read(self.table, stream, length)
    }

    fn blocking_read(&mut self, stream: Resource<DynInputStream>, length: u64) -> StreamResult<Vec<u8>> {
        self.stream(async |table| Input::blocking_read(table, stream, length).await)
    }

    fn skip(&mut self, stream: Resource<DynInputStream>, length: u64) -> StreamResult<u64> {
        Input::skip(self.table, stream, length)
    }

    fn blocking_skip(&mut self, stream: Resource<DynInputStream>, length: u64) -> StreamResult<u64> {
        self.stream(async |table| Input::blocking_skip(table, stream, length).await)
    }

    fn subscribe(&mut self, stream: Resource<DynInputStream>) -> wasmtime::Result<Resource<DynPollable>> {
        Input::subscribe(self.table, stream)
    }

    fn drop(&mut self, stream: Resource<DynInputStream>) -> wasmtime::Result<()> {
        self.wait(async |table| Input::drop(table, stream).await)
    }
}

impl streams::HostOutputStream for Waiting<'_> {
    fn check_write(&mut self, stream: Resource<DynOutputStream>) -> StreamResult<u64> {
        Output::check_write(self.table, stream)
    }

    fn write(&mut self, stream: Resource<DynOutputStream>, bytes: Vec<u8>) -> StreamResult<()> {
        Output::write(self.table, stream, bytes)
    }

    fn blocking_write_and_flush(
        &mut self,
        stream: Resource<DynOutputStream>,
        bytes: Vec<u8>,
    ) -> StreamResult<()> {
        self.stream(async |table| Output::blocking_write_and_flush(table, stream, bytes).await)
    }

    fn flush(&mut self, stream: Resource<DynOutputStream>) -> StreamResult<()> {
        Output::flush(self.table, stream)
    }

    fn blocking_flush(&mut self, stream: Resource<DynOutputStream>) -> StreamResult<()> {
        self.stream(async |table| Output::blocking_flush(table, stream).await)
    }

    fn write_zeroes(&mut self, stream: Resource<DynOutputStream>, length: u64) -> StreamResult<()> {
        Output::write_zeroes(self.table, stream, length)
    }

    fn blocking_write_zeroes_and_flush(
        &mut self,
        stream: Resource<DynOutputStream>,
        length: u64,
    ) -> StreamResult<()> {
        self.stream(async |table| Output::blocking_write_zeroes_and_flush(table, stream, length).await)
    }

    fn splice(
        &mut self,
        to: Resource<DynOutputStream>,
        from: Resource<DynInputStream>,
        length: u64,
    ) -> StreamResult<u64> {
        Output::splice(self.table, to, from, length)
    }

    fn blocking_splice(
        &mut self,
        to: Resource<DynOutputStream>,
        from: Resource<DynInputStream>,
        length: u64,
    ) -> StreamResult<u64> {
        self.stream(async |table| Output::blocking_splice(table, to, from, length).await)
    }

    fn subscribe(&mut self, stream: Resource<DynOutputStream>) -> wasmtime::Result<Resource<DynPollable>> {
        Output::subscribe(self.table, stream)
    }

    fn drop(&mut self, stream: Resource<DynOutputStream>) -> wasmtime::Result<()> {
        self.wait(async |table| Output::drop(table, stream).await)
    }
}

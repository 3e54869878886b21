//! The two bodies of an exchange, each within its bounds.
//!
//! Invariant: neither has more bytes than the grant's `max-response`; one that has is an error when the bound is
//! passed, never cut without a word. The answer's last byte is there before the request's time is over.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Sleep, sleep, sleep_until};
use wasmtime_wasi_http::{Error, WasiBody};

/// What a guest sends.
pub(super) struct Sent {
    body: WasiBody,
    left: u64,
    limit: u64,
}

impl Sent {
    pub(super) fn new(body: WasiBody, limit: u64) -> Sent {
        Sent { body, left: limit, limit }
    }
}

impl Body for Sent {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let frame = Pin::new(&mut self.body).poll_frame(context);
        frame.map(|frame| {
            let limit = self.limit;
            frame.map(|frame| count(frame?, &mut self.left).ok_or(Error::HttpRequestBodySize(Some(limit))))
        })
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// What comes back.
pub(super) struct Received {
    body: Incoming,
    left: u64,
    limit: u64,
    /// When the request's time is over.
    end: Pin<Box<Sleep>>,
    /// How long the other side may be silent, and when it has been.
    idle: Option<(Duration, Pin<Box<Sleep>>)>,
    /// The place among the connections of the call.
    _permit: OwnedSemaphorePermit,
}

impl Received {
    pub(super) fn new(
        body: Incoming,
        limit: u64,
        until: Instant,
        idle: Option<Duration>,
        permit: OwnedSemaphorePermit,
    ) -> Received {
        let idle = idle.map(|idle| (idle, Box::pin(sleep(idle))));
        Received { body, left: limit, limit, end: Box::pin(sleep_until(until.into())), idle, _permit: permit }
    }
}

impl Body for Received {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let this = &mut *self;
        if this.end.as_mut().poll(context).is_ready() {
            return Poll::Ready(Some(Err(Error::HttpResponseTimeout)));
        }
        match Pin::new(&mut this.body).poll_frame(context) {
            Poll::Ready(Some(Ok(frame))) => {
                if let Some((idle, silence)) = &mut this.idle {
                    *silence = Box::pin(sleep(*idle));
                }
                let counted = count(frame, &mut this.left);
                Poll::Ready(Some(counted.ok_or(Error::HttpResponseBodySize(Some(this.limit)))))
            }
            Poll::Ready(Some(Err(error))) => Poll::Ready(Some(Err(super::failed(error)))),
            Poll::Ready(None) => Poll::Ready(None),
            Poll::Pending => {
                let silent =
                    |(_, silence): &mut (_, Pin<Box<Sleep>>)| silence.as_mut().poll(context).is_ready();
                if this.idle.as_mut().is_some_and(silent) {
                    return Poll::Ready(Some(Err(Error::ConnectionReadTimeout)));
                }
                Poll::Pending
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Takes the frame's bytes from what is left.
fn count(frame: Frame<Bytes>, left: &mut u64) -> Option<Frame<Bytes>> {
    let bytes = frame.data_ref().map_or(0, |data| data.len() as u64);
    *left = left.checked_sub(bytes)?;
    Some(frame)
}

//! The bytes from and to a server, counted.
//!
//! Invariant: no more bytes are read than the budget allows, whatever the server sends: one row may have a gigabyte, and the
//! client gathers a row whole before anybody can look at it.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio_postgres::config::Host;

enum Socket {
    Tcp(TcpStream),
    Unix(UnixStream),
}

pub(super) struct Stream {
    socket: Socket,
    budget: Arc<AtomicUsize>,
}

pub(super) async fn connected(host: &Host, port: u16, budget: &Arc<AtomicUsize>) -> io::Result<Stream> {
    let socket = match host {
        Host::Tcp(name) => {
            let socket = TcpStream::connect((name.as_str(), port)).await?;
            socket.set_nodelay(true)?;
            Socket::Tcp(socket)
        }
        Host::Unix(folder) => {
            Socket::Unix(UnixStream::connect(folder.join(format!(".s.PGSQL.{port}"))).await?)
        }
    };
    Ok(Stream { socket, budget: Arc::clone(budget) })
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let left = self.budget.load(Ordering::Relaxed);
        if left == 0 {
            return Poll::Ready(Err(io::Error::other("the result is too large")));
        }
        let before = buffer.filled().len();
        let polled = match &mut self.socket {
            Socket::Tcp(socket) => Pin::new(socket).poll_read(context, buffer),
            Socket::Unix(socket) => Pin::new(socket).poll_read(context, buffer),
        };
        let read = buffer.filled().len().saturating_sub(before);
        self.budget.store(left.saturating_sub(read), Ordering::Relaxed);
        polled
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &[u8],
    ) -> Poll<io::Result<usize>> {
        match &mut self.socket {
            Socket::Tcp(socket) => Pin::new(socket).poll_write(context, buffer),
            Socket::Unix(socket) => Pin::new(socket).poll_write(context, buffer),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.socket {
            Socket::Tcp(socket) => Pin::new(socket).poll_flush(context),
            Socket::Unix(socket) => Pin::new(socket).poll_flush(context),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.socket {
            Socket::Tcp(socket) => Pin::new(socket).poll_shutdown(context),
            Socket::Unix(socket) => Pin::new(socket).poll_shutdown(context),
        }
    }
}

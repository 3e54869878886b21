//! `wasi:http/outgoing-handler`: the requests that the manifest asks for and the operator grants, and no others.
//!
//! Invariant: a request goes out only where a rule of each side names its scheme, host, port and method. Its name is
//! resolved once; every address that came back must be public, unless the grant says `private`; the connection goes to
//! one of exactly these addresses, and the certificate is checked against the name. So neither a name that leads inside
//! nor one that changes its answer (rebinding) reaches what is private. No redirect is followed: the guest sees it, and
//! what it then asks for is checked like any other request. Time, headers, both bodies and connections are bounded. The
//! log names a refused request's method, scheme, host and port, never its path, headers or body. A request of a step of a
//! workflow that may change something says which step it is of (`Idempotency-Key`).

pub(crate) mod address;
mod body;
mod connect;

use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use http::header::{self, HeaderName, HeaderValue};
use http::{Request, Response, Uri};
use http_body_util::BodyExt;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use wasmtime::component::Linker;
use wasmtime_wasi::runtime::spawn;
use wasmtime_wasi_http::io::TokioIo;
use wasmtime_wasi_http::p2::add_only_http_to_linker_sync;
use wasmtime_wasi_http::{
    Error, RequestOptions, WasiBody, WasiHttpCtx, WasiHttpCtxView, WasiHttpHooks, WasiHttpView,
};

use self::body::{Received, Sent};
pub(crate) use self::connect::Network;
use self::connect::{Stream, Target};
use crate::call::State;
use crate::grant::{Effective, HttpGrant};
use crate::http_rule::changes;

/// <https://datatracker.ietf.org/doc/draft-ietf-httpapi-idempotency-key-header/>, without its quotes, which servers do not ask for.
const IDEMPOTENCY: HeaderName = HeaderName::from_static("idempotency-key");

/// Bytes of a response's headers, roughly.
const MAX_HEADERS: usize = 64 << 10;
/// Bytes of one set of headers that a guest makes, as they are in memory.
const MAX_FIELDS: usize = 32 << 10;
/// Bytes of a request's body that a guest writes at once.
const MAX_CHUNK: usize = 64 << 10;
/// Bytes of a request's path and query.
const MAX_PATH: usize = 16 << 10;
/// Connections that one call of a plugin has open at the same time.
const MAX_CONNECTIONS: usize = 16;
/// Refusals of one call that reach the log.
const MAX_LOGGED: u32 = 20;

/// Links `wasi:http`.
pub(super) fn add_to_linker(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    add_only_http_to_linker_sync(linker)
}

/// The outbound requests of one call.
pub(crate) struct Outbound {
    capabilities: Arc<Effective>,
    network: Arc<Network>,
    /// When the call is over.
    deadline: Instant,
    connections: Arc<Semaphore>,
    refusals: Refusals,
    step: Step,
}

/// The step of a workflow that the call is, as its requests tell it.
struct Step {
    key: Option<Arc<str>>,
    /// Requests so far that change something.
    sent: u32,
}

/// Refused requests reach the log, so that a person sees which rule is missing: the first of a call.
#[derive(Clone)]
struct Refusals {
    plugin: Arc<str>,
    count: Arc<AtomicU32>,
}

impl Refusals {
    fn tell(&self, method: &str, target: &Target, why: &str) {
        if self.count.fetch_add(1, Ordering::Relaxed) < MAX_LOGGED {
            let method: String = method.chars().take(16).collect();
            tracing::warn!(plugin = &*self.plugin, "refused {method} {target}: {why}");
        }
    }
}

impl Step {
    /// So that whoever takes it can tell that the same step was tried again: its requests come in the same order then.
    fn mark(&mut self, request: &mut Request<WasiBody>) {
        let Some(key) = self.key.as_deref().filter(|_| changes(request.method().as_str())) else { return };
        self.sent += 1;
        // The key is one word of ASCII (`pawl_database::check_key`).
        let Ok(value) = HeaderValue::try_from(format!("{key}-{}", self.sent)) else { return };
        request.headers_mut().entry(IDEMPOTENCY).or_insert(value);
    }
}

/// Made at the first use.
pub(crate) type Lazy = Option<Box<Exchange>>;

/// What `wasi:http` keeps for a call.
pub(crate) struct Exchange {
    context: WasiHttpCtx,
    outbound: Outbound,
}

impl WasiHttpView for State {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        let exchange = self.http.get_or_insert_with(|| {
            let mut context = WasiHttpCtx::new();
            context.set_field_size_limit(MAX_FIELDS);
            Box::new(Exchange {
                context,
                outbound: Outbound::new(
                    Arc::clone(&self.plugin),
                    Arc::clone(&self.capabilities),
                    Arc::clone(&self.network),
                    self.deadline.at,
                    self.step.clone(),
                ),
            })
        });
        WasiHttpCtxView { hooks: &mut exchange.outbound, table: &mut self.table, ctx: &mut exchange.context }
    }
}

type Finished = Box<dyn Future<Output = Result<(), Error>> + Send>;
type Sending = Box<dyn Future<Output = Result<(Response<WasiBody>, Finished), Error>> + Send>;

impl WasiHttpHooks for Outbound {
    fn p2_outgoing_body_chunk_size(&mut self) -> usize {
        MAX_CHUNK
    }

    fn send_request(
        &mut self,
        mut request: Request<WasiBody>,
        options: Option<RequestOptions>,
        _: Finished,
    ) -> Sending {
        let allowed = self.allow(&request).and_then(|(target, grant)| {
            let permit = Arc::clone(&self.connections).try_acquire_owned();
            let permit = permit.map_err(|_| Error::ConnectionLimitReached)?;
            let until = self.deadline.min(Instant::now() + grant.timeout);
            let (refusals, options) = (self.refusals.clone(), options.unwrap_or_default());
            Ok(Exchanging { target, grant, until, permit, refusals, options })
        });
        if allowed.is_ok() {
            self.step.mark(&mut request);
        }
        let network = Arc::clone(&self.network);
        Box::new(async move {
            let exchanging = allowed?;
            let until = exchanging.until;
            let answer = exchanging.run(&network, request);
            tokio::time::timeout_at(until.into(), answer).await.unwrap_or(Err(Error::HttpResponseTimeout))
        })
    }
}

impl Outbound {
    fn new(
        plugin: Arc<str>,
        capabilities: Arc<Effective>,
        network: Arc<Network>,
        deadline: Instant,
        step: Option<Arc<str>>,
    ) -> Outbound {
        let connections = Arc::new(Semaphore::new(MAX_CONNECTIONS));
        let refusals = Refusals { plugin, count: Arc::default() };
        let step = Step { key: step, sent: 0 };
        Outbound { capabilities, network, deadline, connections, refusals, step }
    }

    /// Where the request is to go, and under which grant it may.
    fn allow(&self, request: &Request<WasiBody>) -> Result<(Target, HttpGrant), Error> {
        let target = Target::of(request.uri())?;
        if request.uri().path_and_query().is_some_and(|path| path.as_str().len() > MAX_PATH) {
            return Err(Error::HttpRequestUriTooLong);
        }
        let (host, port, method) = (target.host(), target.port, request.method().as_str());
        let policy = &self.capabilities.http;
        match policy.grant(target.scheme, &host, port, method) {
            Some(grant) => Ok((target, grant.clone())),
            None => {
                let mend = if policy.requests(target.scheme, &host, port, method) {
                    "the operator does not grant it: `[[plugins.NAME.grant.http]]` in pawl.toml"
                } else {
                    "its manifest does not ask for it: `[[capabilities.http]]` in plugin.toml"
                };
                self.refusals.tell(method, &target, mend);
                Err(Error::HttpRequestDenied)
            }
        }
    }
}

/// A request that is allowed.
struct Exchanging {
    target: Target,
    grant: HttpGrant,
    until: Instant,
    permit: OwnedSemaphorePermit,
    refusals: Refusals,
    options: RequestOptions,
}

impl Exchanging {
    async fn run(
        self,
        network: &Network,
        request: Request<WasiBody>,
    ) -> Result<(Response<WasiBody>, Finished), Error> {
        let limit = self.grant.max_response;
        if length(request.headers()).is_some_and(|length| length > limit) {
            return Err(Error::HttpRequestBodySize(Some(limit)));
        }
        let request = origin_form(request, &self.target)?.map(|body| Sent::new(body, limit));
        let method = request.method().clone();
        let inside = |address: IpAddr| {
            let why =
                format!("its address {address} is not public; grant it with `private = true` if it is meant");
            self.refusals.tell(method.as_str(), &self.target, &why);
        };
        let stream = network.connect(&self.target, self.grant.private, &inside);
        let stream = patience(self.options.connect_timeout, Error::ConnectionTimeout, stream).await?;
        let (response, connection) = self.exchange(stream, request).await?;
        if length(response.headers()).is_some_and(|length| length > limit) {
            return Err(Error::HttpResponseBodySize(Some(limit)));
        }
        let idle = self.options.between_bytes_timeout;
        let response =
            response.map(|body| Received::new(body, limit, self.until, idle, self.permit).boxed_unsync());
        Ok((response, connection))
    }

    async fn exchange(
        &self,
        stream: Stream,
        request: Request<Sent>,
    ) -> Result<(Response<hyper::body::Incoming>, Finished), Error> {
        let mut builder = hyper::client::conn::http1::Builder::new();
        let shaken = builder.max_buf_size(MAX_HEADERS).handshake(TokioIo::new(stream)).await;
        let (mut sender, connection) = shaken.map_err(failed)?;
        // Dropping this ends the connection.
        let connection = spawn(connection);
        let sent = async { sender.send_request(request).await.map_err(failed) };
        let response = patience(self.options.first_byte_timeout, Error::ConnectionReadTimeout, sent).await?;
        Ok((response, Box::new(async move { connection.await.map_err(failed) })))
    }
}

async fn patience<T>(
    limit: Option<Duration>,
    error: Error,
    work: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    match limit {
        Some(limit) => tokio::time::timeout(limit, work).await.unwrap_or(Err(error)),
        None => work.await,
    }
}

/// The request as a server takes it: path and query alone, and the host that was checked.
fn origin_form(mut request: Request<WasiBody>, target: &Target) -> Result<Request<WasiBody>, Error> {
    let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
    *request.uri_mut() = Uri::try_from(path).map_err(|_| Error::HttpRequestUriInvalid)?;
    let host = HeaderValue::try_from(target.authority()).map_err(|_| Error::HttpRequestUriInvalid)?;
    request.headers_mut().insert(header::HOST, host);
    Ok(request)
}

fn length(headers: &http::HeaderMap) -> Option<u64> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// What went wrong with a connection, in the guest's terms.
fn failed(error: hyper::Error) -> Error {
    let source = std::error::Error::source(&error);
    // The guest's own body failed.
    match source.and_then(|source| source.downcast_ref::<Error>()) {
        Some(Error::HttpRequestBodySize(limit)) => return Error::HttpRequestBodySize(*limit),
        Some(_) => return Error::HttpProtocolError,
        None => {}
    }
    let ended = source
        .and_then(|source| source.downcast_ref::<io::Error>())
        .is_some_and(|error| error.kind() == io::ErrorKind::UnexpectedEof);
    if error.is_parse_too_large() {
        Error::HttpResponseHeaderSectionSize(u32::try_from(MAX_HEADERS).ok())
    } else if error.is_incomplete_message() || ended {
        Error::HttpResponseIncomplete
    } else if error.is_timeout() {
        Error::HttpResponseTimeout
    } else if error.is_closed() || error.is_canceled() {
        Error::ConnectionTerminated
    } else {
        Error::HttpProtocolError
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a server that fails fails the test")]
mod tests;

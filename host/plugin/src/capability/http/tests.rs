//! Requests against servers on the loopback interface, names resolved and certificates made by the tests.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Mutex;

use bytes::Bytes;
use http_body_util::{Empty, Full};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio_rustls::rustls::{RootCertStore, ServerConfig};

use super::connect::Resolve;
use super::*;
use crate::Manifest;

/// A server that gives the same answer to everybody and remembers what it was sent.
#[derive(Clone)]
struct Server {
    address: SocketAddr,
    seen: Arc<Mutex<Vec<String>>>,
}

impl Server {
    async fn start(answer: impl Into<Vec<u8>>) -> Server {
        Server::listen(answer.into(), None, false).await
    }

    /// `open`: the connection stays open after the answer.
    async fn listen(answer: Vec<u8>, tls: Option<ServerConfig>, open: bool) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = Server { address: listener.local_addr().unwrap(), seen: Arc::default() };
        let (seen, tls) = (Arc::clone(&server.seen), tls.map(|config| TlsAcceptor::from(Arc::new(config))));
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (seen, tls, answer) = (Arc::clone(&seen), tls.clone(), answer.clone());
                tokio::spawn(async move {
                    match tls {
                        Some(tls) => {
                            if let Ok(stream) = tls.accept(stream).await {
                                serve(stream, &seen, &answer, open).await;
                            }
                        }
                        None => serve(stream, &seen, &answer, open).await,
                    }
                });
            }
        });
        server
    }

    fn seen(&self) -> Vec<String> {
        self.seen.lock().unwrap().clone()
    }

    fn port(&self) -> u16 {
        self.address.port()
    }
}

async fn serve(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    seen: &Mutex<Vec<String>>,
    answer: &[u8],
    open: bool,
) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => return,
        }
    }
    seen.lock().unwrap().push(String::from_utf8(head).unwrap());
    if stream.write_all(answer).await.is_ok() && stream.flush().await.is_ok() {
        if open {
            std::future::pending::<()>().await;
        }
        let _ = stream.shutdown().await;
    }
}

fn ok(body: &str) -> Vec<u8> {
    format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

/// A resolver that gives these lists in turn, the last one for ever, and counts.
#[derive(Clone, Default)]
struct Names(Arc<Mutex<(VecDeque<Vec<SocketAddr>>, usize)>>);

impl Names {
    fn of(lists: impl IntoIterator<Item = Vec<SocketAddr>>) -> Names {
        Names(Arc::new(Mutex::new((lists.into_iter().collect(), 0))))
    }

    fn asked(&self) -> usize {
        self.0.lock().unwrap().1
    }
}

impl Resolve for Names {
    fn resolve(
        &self,
        _: String,
        _: u16,
    ) -> Pin<Box<dyn Future<Output = io::Result<Vec<SocketAddr>>> + Send>> {
        let mut state = self.0.lock().unwrap();
        state.1 += 1;
        let next = if state.0.len() > 1 { state.0.pop_front() } else { state.0.front().cloned() };
        Box::pin(async { next.ok_or(io::ErrorKind::NotFound.into()) })
    }
}

/// One call of a plugin that asks for `requested` and is granted `granted`, each the rest of an entry of `http`.
fn outbound(requested: &[&str], granted: &[&str], names: Names, roots: RootCertStore) -> Outbound {
    let entries = |table: &str, entries: &[&str]| -> String {
        entries.iter().map(|entry| format!("[[{table}]]\n{entry}\n")).collect()
    };
    let manifest =
        format!("name = 'p'\nversion = '1'\ndescription = 'd'\n{}", entries("capabilities.http", requested));
    let manifest = Manifest::parse(&manifest).unwrap();
    let grant = toml::from_str(&entries("http", granted)).unwrap();
    let effective = Effective::new(&manifest, &grant).unwrap();
    Outbound::new(
        "p".into(),
        Arc::new(effective),
        Arc::new(Network::with(names, roots)),
        Instant::now() + Duration::from_secs(60),
        None,
    )
}

/// A call that may send GET and POST to this host and port, also inside.
fn inside(host: &str, server: &Server, more: &str) -> Outbound {
    let rule =
        format!("host = '{host}'\nscheme = 'http'\nports = [{}]\nmethods = ['GET', 'POST']", server.port());
    let granted = format!("{rule}\nprivate = true\n{more}");
    outbound(&[&rule], &[&granted], Names::of([vec![server.address]]), RootCertStore::empty())
}

type Outcome = Result<(u16, String), String>;

/// The status and the body, or how it failed.
async fn send(outbound: &mut Outbound, method: &str, url: &str, body: &'static [u8]) -> Outcome {
    let body = Full::new(Bytes::from_static(body)).map_err(|error| match error {}).boxed_unsync();
    exchange(outbound, Request::builder().method(method).uri(url).body(body).unwrap()).await
}

async fn exchange(outbound: &mut Outbound, request: Request<WasiBody>) -> Outcome {
    let sending = Pin::from(outbound.send_request(request, None, Box::new(async { Ok(()) })));
    let (response, connection) = sending.await.map_err(|error| format!("{error:?}"))?;
    let connection = spawn(Pin::from(connection));
    let status = response.status().as_u16();
    let body = response.into_body().collect().await.map_err(|error| format!("{error:?}"))?;
    drop(connection);
    Ok((status, String::from_utf8(body.to_bytes().to_vec()).unwrap()))
}

async fn get(outbound: &mut Outbound, url: &str) -> Outcome {
    send(outbound, "GET", url, b"").await
}

fn refused(error: &str) -> Outcome {
    Err(error.to_owned())
}

#[tokio::test]
async fn what_both_sides_allow_goes_out_under_its_own_name() {
    let server = Server::start(ok("hello")).await;
    let mut call = inside("api.test", &server, "");
    let url = format!("http://API.test.:{}/a?b=c", server.port());
    assert_eq!(get(&mut call, &url).await, Ok((200, "hello".to_owned())));
    let seen = server.seen().remove(0);
    assert!(seen.starts_with("GET /a?b=c HTTP/1.1\r\n"), "{seen}");
    assert!(seen.contains(&format!("host: api.test:{}\r\n", server.port())), "{seen}");
}

#[tokio::test]
async fn a_request_needs_a_rule_of_each_side() {
    let server = Server::start(ok("hello")).await;
    let rule = format!("host = 'api.test'\nscheme = 'http'\nports = [{}]", server.port());
    let granted = format!("{rule}\nprivate = true");
    let url = format!("http://api.test:{}/", server.port());
    for (requested, granted) in [(vec![], vec![]), (vec![&*rule], vec![]), (vec![], vec![&*granted])] {
        let names = Names::of([vec![server.address]]);
        let mut call = outbound(&requested, &granted, names.clone(), RootCertStore::empty());
        assert_eq!(get(&mut call, &url).await, refused("HttpRequestDenied"));
        assert_eq!(names.asked(), 0);
    }
    let mut call = inside("api.test", &server, "");
    for (method, url) in [
        ("PUT", url.clone()),
        ("GET", format!("https://api.test:{}/", server.port())),
        ("GET", "http://api.test/".to_owned()),
        ("GET", format!("http://other.test:{}/", server.port())),
        ("GET", format!("http://127.0.0.1:{}/", server.port())),
        ("GET", format!("http://x.api.test:{}/", server.port())),
    ] {
        assert_eq!(send(&mut call, method, &url, b"").await, refused("HttpRequestDenied"), "{method} {url}");
    }
    assert!(server.seen().is_empty());
}

#[tokio::test]
async fn what_is_not_public_is_refused_by_name_and_by_number() {
    let server = Server::start(ok("inside")).await;
    let port = server.port();
    let rules = |host: &str| format!("host = '{host}'\nscheme = 'http'\nports = [80, {port}]");
    for (host, url, lead_to) in [
        ("api.test", "http://api.test", "127.0.0.1"),
        ("*.api.test", "http://x.api.test", "10.0.0.1"),
        ("metadata.test", "http://metadata.test", "169.254.169.254"),
        ("six.test", "http://six.test", "[::ffff:127.0.0.1]"),
        ("six.test", "http://six.test", "[fd00:ec2::254]"),
        ("nat.test", "http://nat.test", "[64:ff9b::7f00:1]"),
        ("127.0.0.1", "http://127.0.0.1", "127.0.0.1"),
        ("[::1]", "http://[::1]", "[::1]"),
        ("169.254.169.254", "http://169.254.169.254", "[::]"),
    ] {
        let address: SocketAddr = format!("{lead_to}:{port}").parse().unwrap();
        let rule = rules(host);
        let mut call = outbound(&[&rule], &[&rule], Names::of([vec![address]]), RootCertStore::empty());
        let url = format!("{url}:{port}/");
        assert_eq!(get(&mut call, &url).await, refused("DestinationIpProhibited"), "{url} -> {lead_to}");
    }
    assert!(server.seen().is_empty());
}

#[tokio::test]
async fn one_private_address_among_public_ones_refuses_them_all() {
    let server = Server::start(ok("inside")).await;
    let rule = format!("host = 'api.test'\nscheme = 'http'\nports = [{}]", server.port());
    let list = vec![SocketAddr::from(([8, 8, 8, 8], server.port())), server.address];
    let mut call = outbound(&[&rule], &[&rule], Names::of([list]), RootCertStore::empty());
    let url = format!("http://api.test:{}/", server.port());
    assert_eq!(get(&mut call, &url).await, refused("DestinationIpProhibited"));
    assert!(server.seen().is_empty());
}

#[tokio::test]
async fn a_name_is_resolved_once_and_the_address_that_was_checked_is_used() {
    let (first, second) = (Server::start(ok("first")).await, Server::start(ok("second")).await);
    let rule = "host = 'api.test'\nscheme = 'http'";
    let granted = format!("{rule}\nprivate = true");
    let names = Names::of([vec![first.address], vec![second.address]]);
    let mut call = outbound(&[rule], &[&granted], names.clone(), RootCertStore::empty());
    for (body, asked) in [("first", 1), ("second", 2)] {
        assert_eq!(get(&mut call, "http://api.test/").await, Ok((200, body.to_owned())));
        assert_eq!(names.asked(), asked);
    }
    assert_eq!((first.seen().len(), second.seen().len()), (1, 1));
    // The check is of each resolution, not of the first: a name that turns inward is refused then.
    let inward = Names::of([vec![second.address]]);
    let mut call = outbound(&[rule], &[rule], inward.clone(), RootCertStore::empty());
    assert_eq!(get(&mut call, "http://api.test/").await, refused("DestinationIpProhibited"));
    assert_eq!((inward.asked(), second.seen().len()), (1, 1));
}

#[tokio::test]
async fn a_redirect_is_not_followed_and_its_target_is_checked_like_any_other() {
    let secret = Server::start(ok("secret")).await;
    let location = format!("http://127.0.0.1:{}/", secret.port());
    let moved = format!("HTTP/1.1 302 Found\r\nlocation: {location}\r\ncontent-length: 0\r\n\r\n");
    let server = Server::start(moved).await;
    let mut call = inside("api.test", &server, "");
    let url = format!("http://api.test:{}/", server.port());
    assert_eq!(get(&mut call, &url).await, Ok((302, String::new())));
    assert_eq!(get(&mut call, &location).await, refused("HttpRequestDenied"));
    assert!(secret.seen().is_empty());
}

#[tokio::test]
async fn an_answer_beyond_its_limit_is_an_error_not_a_shorter_answer() {
    let chunked = |size: usize| {
        format!(
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n{size:x}\r\n{}\r\n0\r\n\r\n",
            "x".repeat(size)
        )
    };
    let to_the_end = |size: usize| format!("HTTP/1.1 200 OK\r\n\r\n{}", "x".repeat(size));
    let told = |size: usize| String::from_utf8(ok(&"x".repeat(size))).unwrap();
    for (fits, exceeds) in
        [(told(1024), told(1025)), (chunked(1024), chunked(1025)), (to_the_end(1024), to_the_end(1025))]
    {
        for (answer, expected) in [(fits, None), (exceeds, Some("HttpResponseBodySize"))] {
            let server = Server::start(answer).await;
            let mut call = inside("api.test", &server, "max-response = '1KiB'");
            let outcome = get(&mut call, &format!("http://api.test:{}/", server.port())).await;
            match expected {
                None => assert_eq!(outcome, Ok((200, "x".repeat(1024)))),
                Some(error) => assert!(outcome.as_ref().is_err_and(|e| e.starts_with(error)), "{outcome:?}"),
            }
        }
    }
}

#[tokio::test]
async fn a_request_body_and_headers_of_an_answer_are_bounded_too() {
    let server = Server::start(ok("")).await;
    let mut call = inside("api.test", &server, "max-response = '1KiB'");
    let url = format!("http://api.test:{}/", server.port());
    assert_eq!(send(&mut call, "POST", &url, &[b'x'; 1024]).await, Ok((200, String::new())));
    let outcome = send(&mut call, "POST", &url, &[b'x'; 1025]).await;
    assert_eq!(outcome, refused("HttpRequestBodySize(Some(1024))"));
    let told = Request::builder().method("POST").uri(&url).header("content-length", "5000");
    let told = told.body(Empty::new().map_err(|error| match error {}).boxed_unsync()).unwrap();
    assert_eq!(exchange(&mut call, told).await, refused("HttpRequestBodySize(Some(1024))"));
    let path = format!("{url}{}", "a".repeat(MAX_PATH));
    assert_eq!(get(&mut call, &path).await, refused("HttpRequestUriTooLong"));

    let long = format!("HTTP/1.1 200 OK\r\nx: {}\r\n\r\n", "y".repeat(4 * MAX_HEADERS));
    let server = Server::start(long).await;
    let mut call = inside("api.test", &server, "");
    let outcome = get(&mut call, &format!("http://api.test:{}/", server.port())).await;
    assert_eq!(outcome, refused("HttpResponseHeaderSectionSize(Some(65536))"));
}

#[tokio::test]
async fn a_server_that_is_silent_or_stops_in_its_answer_ends_by_the_timeout() {
    for said in ["", "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhello"] {
        let server = Server::listen(said.into(), None, true).await;
        let mut call = inside("api.test", &server, "timeout = '200ms'");
        let outcome = get(&mut call, &format!("http://api.test:{}/", server.port())).await;
        assert_eq!(outcome, refused("HttpResponseTimeout"), "{said}");
    }
}

#[tokio::test]
async fn an_answer_that_ends_early_is_an_error() {
    let server = Server::start("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhello").await;
    let mut call = inside("api.test", &server, "");
    let outcome = get(&mut call, &format!("http://api.test:{}/", server.port())).await;
    assert_eq!(outcome, refused("HttpResponseIncomplete"));
}

#[tokio::test]
async fn connections_of_one_call_are_limited_and_given_back() {
    let server = Server::listen(Vec::new(), None, true).await;
    let mut call = inside("api.test", &server, "");
    let url = format!("http://api.test:{}/", server.port());
    let request = || {
        let body = Empty::new().map_err(|error| match error {}).boxed_unsync();
        Request::get(&url).body(body).unwrap()
    };
    let open: Vec<_> = (0..MAX_CONNECTIONS)
        .map(|_| call.send_request(request(), None, Box::new(async { Ok(()) })))
        .collect();
    assert_eq!(get(&mut call, &url).await, refused("ConnectionLimitReached"));
    drop(open);
    let free = Server::start(ok("free")).await;
    let mut other = inside("api.test", &free, "");
    other.connections = Arc::clone(&call.connections);
    let url = format!("http://api.test:{}/", free.port());
    assert_eq!(get(&mut other, &url).await, Ok((200, "free".to_owned())));
}

/// A certificate authority, and a server's settings with a certificate of this name under it.
fn certified(name: &str) -> (RootCertStore, ServerConfig) {
    let key = rcgen::KeyPair::generate().unwrap();
    let mut authority = rcgen::CertificateParams::new(Vec::new()).unwrap();
    authority.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let mut roots = RootCertStore::empty();
    roots.add(authority.self_signed(&key).unwrap().der().clone()).unwrap();
    let issuer = rcgen::Issuer::new(authority, key);
    let key = rcgen::KeyPair::generate().unwrap();
    let leaf = rcgen::CertificateParams::new(vec![name.to_owned()]).unwrap();
    let leaf = leaf.signed_by(&key, &issuer).unwrap().der().clone();
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let provider = Arc::new(tokio_rustls::rustls::crypto::ring::default_provider());
    let server = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    (roots, server.with_no_client_auth().with_single_cert(vec![leaf], key).unwrap())
}

#[tokio::test]
async fn over_tls_the_certificate_must_be_of_the_name_under_a_known_root() {
    let (roots, config) = certified("api.test");
    let server = Server::listen(ok("secured"), Some(config), false).await;
    let rules = ["api.test", "other.test", "127.0.0.1"]
        .map(|host| format!("host = '{host}'\nports = [{}]\nprivate = true", server.port()));
    let requested: Vec<String> = rules.iter().map(|rule| rule.replace("\nprivate = true", "")).collect();
    let requested: Vec<&str> = requested.iter().map(String::as_str).collect();
    let granted: Vec<&str> = rules.iter().map(String::as_str).collect();
    let call = |roots| outbound(&requested, &granted, Names::of([vec![server.address]]), roots);
    let url = |host: &str| format!("https://{host}:{}/", server.port());

    let mut trusting = call(roots);
    assert_eq!(get(&mut trusting, &url("api.test")).await, Ok((200, "secured".to_owned())));
    assert_eq!(get(&mut trusting, &url("other.test")).await, refused("TlsCertificateError"));
    assert_eq!(get(&mut trusting, &url("127.0.0.1")).await, refused("TlsCertificateError"));
    assert_eq!(
        get(&mut call(certified("api.test").0), &url("api.test")).await,
        refused("TlsCertificateError")
    );
    assert_eq!(server.seen().len(), 1);

    // A server that does not speak TLS gets no request.
    let plain = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = plain.local_addr().unwrap();
    tokio::spawn(async move {
        let (mut stream, _) = plain.accept().await.unwrap();
        stream.write_all(&ok("plain")).await.unwrap();
        std::future::pending::<()>().await;
    });
    let rule = format!("host = 'api.test'\nports = [{}]", address.port());
    let granted = format!("{rule}\nprivate = true");
    let mut call = outbound(&[&rule], &[&granted], Names::of([vec![address]]), RootCertStore::empty());
    let outcome = get(&mut call, &format!("https://api.test:{}/", address.port())).await;
    assert_eq!(outcome, refused("TlsProtocolError"));
}

#[tokio::test]
async fn what_a_step_changes_is_sent_under_its_key_and_a_number() {
    let server = Server::start(ok("hello")).await;
    let url = format!("http://api.test:{}/", server.port());
    let mut call = inside("api.test", &server, "");
    send(&mut call, "POST", &url, b"x").await.unwrap();
    call.step.key = Some("r12/4.2.1".into());
    send(&mut call, "POST", &url, b"x").await.unwrap();
    get(&mut call, &url).await.unwrap();
    send(&mut call, "PUT", &url, b"x").await.unwrap_err();
    let own = Request::builder().method("POST").uri(&url).header("Idempotency-Key", "mine");
    let body = Full::new(Bytes::from_static(b"x")).map_err(|error| match error {}).boxed_unsync();
    exchange(&mut call, own.body(body).unwrap()).await.unwrap();
    send(&mut call, "POST", &url, b"x").await.unwrap();
    let keys: Vec<_> = server
        .seen()
        .iter()
        .map(|head| {
            let of = |line: &str| line.strip_prefix("idempotency-key: ").map(str::to_owned);
            let keys: Vec<_> = head.lines().filter_map(of).collect();
            keys.join(" and ")
        })
        .collect();
    assert_eq!(keys, ["", "r12/4.2.1-1", "", "mine", "r12/4.2.1-3"]);
}

//! `wasi:http` as [`crate::api::Get`]: one GET after the other, with the operator's token.
//!
//! Invariant: the token goes to the address of the operator's settings and nowhere else, and is in no message. A
//! redirect is not followed.

use wasip2::http::outgoing_handler::handle;
use wasip2::http::types::{ErrorCode, Fields, Method, OutgoingBody, OutgoingRequest, Scheme};
use wasip2::io::streams::StreamError;

use crate::api::{Answer, Get, MAX_ANSWER};

/// Bytes of one read.
const CHUNK: u64 = 1 << 18;

/// An API server.
pub(crate) struct Server {
    scheme: Scheme,
    authority: String,
    token: Option<String>,
}

impl Server {
    /// `http://127.0.0.1:8001` or `https://kubernetes.default.svc`.
    pub(crate) fn new(address: &str, token: Option<String>) -> Result<Server, String> {
        let odd = || {
            format!(
                "the setting `api` is `{address:.100}`; write http://HOST:PORT or https://HOST[:PORT], without a path"
            )
        };
        let (scheme, authority) = address.trim_end_matches('/').split_once("://").ok_or_else(odd)?;
        let scheme = match scheme {
            "http" => Scheme::Http,
            "https" => Scheme::Https,
            _ => return Err(odd()),
        };
        if authority.is_empty() || authority.contains(['/', '?', '#', '@', ' ']) {
            return Err(odd());
        }
        Ok(Server { scheme, authority: authority.to_owned(), token })
    }

    fn request(&self, path: &str) -> Result<OutgoingRequest, &'static str> {
        let headers = Fields::new();
        let accept = headers.append("accept", b"application/json");
        accept.map_err(|_| "the header is refused")?;
        if let Some(token) = &self.token {
            let value = format!("Bearer {token}");
            headers
                .append("authorization", value.as_bytes())
                .map_err(|_| "the setting `token` is no token")?;
        }
        let request = OutgoingRequest::new(headers);
        request.set_method(&Method::Get).map_err(|()| "the method is refused")?;
        request.set_scheme(Some(&self.scheme)).map_err(|()| "the scheme is refused")?;
        request.set_authority(Some(&self.authority)).map_err(|()| "the setting `api` names no host")?;
        request.set_path_with_query(Some(path)).map_err(|()| "the path is refused")?;
        Ok(request)
    }
}

impl Get for Server {
    fn get(&self, path: &str) -> Result<Answer, String> {
        let request = self.request(path)?;
        let body = request.body().map_err(|()| "no body")?;
        let response = handle(request, None).map_err(|error| self.said(&error))?;
        OutgoingBody::finish(body, None).map_err(|error| self.said(&error))?;
        response.subscribe().block();
        let response =
            response.get().ok_or("not ready")?.map_err(|()| "taken")?.map_err(|e| self.said(&e))?;
        let status = response.status();
        let incoming = response.consume().map_err(|()| "no body")?;
        let stream = incoming.stream().map_err(|()| "no stream")?;
        let mut all = Vec::new();
        loop {
            match stream.blocking_read(CHUNK) {
                Ok(bytes) => all.extend(bytes),
                Err(StreamError::Closed) => return Ok(Answer { status, body: all }),
                Err(StreamError::LastOperationFailed(error)) => {
                    let code = wasip2::http::types::http_error_code(&error);
                    return Err(code.map_or_else(|| error.to_debug_string(), |code| self.said(&code)));
                }
            }
            if all.len() > MAX_ANSWER {
                return Err(format!("an answer of more than {MAX_ANSWER} bytes"));
            }
        }
    }
}

impl Server {
    fn said(&self, error: &ErrorCode) -> String {
        let host = &self.authority;
        match error {
            ErrorCode::HttpRequestDenied => format!(
                "requests to {host} are not granted; the operator can grant GET to it under [[plugins.cluster.grant.http]], with `private = true` for an address inside"
            ),
            ErrorCode::DestinationIpProhibited => {
                format!("{host} is not a public address; the operator can grant it with `private = true`")
            }
            ErrorCode::ConnectionRefused => format!("nothing listens at {host}"),
            ErrorCode::ConnectionTimeout
            | ErrorCode::ConnectionReadTimeout
            | ErrorCode::HttpResponseTimeout => {
                format!("{host} did not answer in the time that the grant gives")
            }
            ErrorCode::HttpResponseBodySize(_) => {
                "the answer is longer than the grant's `max-response`".to_owned()
            }
            ErrorCode::TlsCertificateError => format!(
                "the certificate of {host} is not trusted here; `kubectl proxy` and http://127.0.0.1:8001 is a way"
            ),
            other => format!("{host}: {other:?}"),
        }
    }
}

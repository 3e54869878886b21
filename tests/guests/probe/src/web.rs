//! `wasi:http`, called as it is.

use wasip2::http::outgoing_handler::handle;
use wasip2::http::types::{ErrorCode, Fields, Method, OutgoingBody, OutgoingRequest, Scheme};
use wasip2::io::streams::StreamError;

/// Sends one request; an error is the interface's error code in words.
pub(crate) fn fetch(method: &str, url: &str, body: &[u8]) -> Result<(u16, String), String> {
    let (scheme, rest) = url.split_once("://").ok_or("no scheme")?;
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let request = OutgoingRequest::new(Fields::new());
    let method = match method {
        "GET" => Method::Get,
        "POST" => Method::Post,
        other => Method::Other(other.to_owned()),
    };
    let scheme = match scheme {
        "http" => Scheme::Http,
        "https" => Scheme::Https,
        other => Scheme::Other(other.to_owned()),
    };
    request.set_method(&method).map_err(|()| "the method is refused")?;
    request.set_scheme(Some(&scheme)).map_err(|()| "the scheme is refused")?;
    request.set_authority(Some(authority)).map_err(|()| "the authority is refused")?;
    request.set_path_with_query(Some(path)).map_err(|()| "the path is refused")?;
    let outgoing = request.body().map_err(|()| "no body")?;
    let response = handle(request, None).map_err(said)?;
    if !body.is_empty() {
        let stream = outgoing.write().map_err(|()| "no stream")?;
        for part in body.chunks(4096) {
            stream.blocking_write_and_flush(part).map_err(|error| format!("writing: {error:?}"))?;
        }
    }
    OutgoingBody::finish(outgoing, None).map_err(said)?;
    response.subscribe().block();
    let response = response.get().ok_or("not ready")?.map_err(|()| "taken")?.map_err(said)?;
    let status = response.status();
    let incoming = response.consume().map_err(|()| "no body")?;
    let stream = incoming.stream().map_err(|()| "no stream")?;
    let mut text = Vec::new();
    loop {
        match stream.blocking_read(1 << 16) {
            Ok(bytes) => text.extend(bytes),
            Err(StreamError::Closed) => break,
            Err(StreamError::LastOperationFailed(error)) => {
                let code = wasip2::http::types::http_error_code(&error);
                return Err(code.map_or_else(|| error.to_debug_string(), said));
            }
        }
    }
    Ok((status, String::from_utf8_lossy(&text).into_owned()))
}

fn said(error: ErrorCode) -> String {
    format!("{error:?}")
}

//! The servers that are measured, and one request to them.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use pawl_tests::server::{Options, Server};
use serde_json::Value;

use crate::{Taken, body, is_valid};

/// A server that runs.
pub(crate) enum Peer {
    Pawl(Server, reqwest::Client),
    Llama(Llama),
}

/// A client that opens a connection for each request: while the other server works, this one closes what is idle.
fn client() -> Result<reqwest::Client> {
    let _ = rustls::crypto::ring::default_provider().install_default();
    Ok(reqwest::Client::builder().pool_max_idle_per_host(0).build()?)
}

/// llama.cpp's, stopped when dropped.
pub(crate) struct Llama {
    child: Child,
    url: String,
    client: reqwest::Client,
}

impl Drop for Llama {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Whether a piece of the answer has come whole, and not only the role before it.
fn has_text(stream: &[u8]) -> bool {
    let whole = stream.iter().rposition(|byte| *byte == b'\n').unwrap_or(0);
    let lines = stream[..whole].split(|byte| *byte == b'\n');
    let mut events = lines.filter_map(|line| serde_json::from_slice(line.strip_prefix(b"data: ")?).ok());
    events.any(|event: Value| {
        event["choices"][0]["delta"]["content"].as_str().is_some_and(|text| !text.is_empty())
    })
}

impl Peer {
    /// Pawl without plugins.
    pub(crate) fn pawl(model: &'static str, data: &Path, context: usize) -> Result<Peer> {
        let settings =
            format!("[model]\nname = \"{model}\"\ncontext = {context}\n[record]\nchat = false\n[plugins]\n");
        Ok(Peer::Pawl(Server::start(&Options { model, settings: Some(settings) }, data)?, client()?))
    }

    /// llama.cpp's server with as many slots as requests come at once.
    pub(crate) fn llama(program: &Path, gguf: &Path, threads: usize, slots: u64) -> Result<Peer> {
        let port = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let mut child = Command::new(program)
            .args(["--host", "127.0.0.1", "--port", &port.to_string(), "--jinja", "-c", "32768"])
            .args(["-t", &threads.to_string(), "-tb", &threads.to_string(), "-np", &slots.to_string()])
            .arg("-m")
            .arg(gguf)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .with_context(|| format!("cannot run {}", program.display()))?;
        for _ in 0..600 {
            std::thread::sleep(Duration::from_millis(100));
            if let Some(status) = child.try_wait()? {
                bail!("llama-server ended with {status}");
            }
            if std::net::TcpStream::connect(("127.0.0.1", port)).is_ok() {
                let url = format!("http://127.0.0.1:{port}");
                return Ok(Peer::Llama(Llama { child, url, client: client()? }));
            }
        }
        let _ = child.kill();
        bail!("llama-server did not listen within a minute")
    }

    fn address(&self) -> (&str, &reqwest::Client) {
        match self {
            Peer::Pawl(server, client) => (&server.url, client),
            Peer::Llama(server) => (&server.url, &server.client),
        }
    }

    /// One request to its end, streamed, so that the first token's time is known. A server that is still loading is asked
    /// again.
    pub(crate) async fn ask(&self, request: &Value) -> Result<Taken> {
        let (url, client) = self.address();
        let structured = request.get("tools").is_some() || request.get("response_format").is_some();
        loop {
            let began = Instant::now();
            let post = client.post(format!("{url}/v1/chat/completions"));
            let sent =
                post.header("content-type", "application/json").body(body(request, !structured).to_string());
            let mut response = sent.send().await?;
            if response.status() == 503 {
                tokio::time::sleep(Duration::from_millis(200)).await;
                continue;
            }
            ensure!(response.status().is_success(), "{url}: {}", response.text().await?);
            let (mut first, mut text) = (None, Vec::new());
            while let Some(chunk) = response.chunk().await? {
                text.extend_from_slice(&chunk);
                if first.is_none() && has_text(&text) {
                    first = Some(began.elapsed());
                }
            }
            let all = began.elapsed();
            let text = String::from_utf8(text)?;
            let last = if structured {
                serde_json::from_str(&text)?
            } else {
                let events = text.lines().filter_map(|line| line.strip_prefix("data: "));
                let mut events = events.filter_map(|event| serde_json::from_str::<Value>(event).ok());
                events.rfind(|event| event["usage"].is_object()).context("no usage was told")?
            };
            let usage = |key: &str| last["usage"][key].as_f64().unwrap_or(0.0);
            let valid = is_valid(request, &last["choices"][0]["message"])?;
            return Ok(Taken {
                all,
                first: first.unwrap_or(all),
                prompt: usage("prompt_tokens"),
                completion: usage("completion_tokens"),
                valid,
            });
        }
    }

    /// Status and body of one request as it is.
    pub(crate) async fn ask_any(&self, request: Value) -> Result<(u16, Value)> {
        let (url, client) = self.address();
        let post =
            client.post(format!("{url}/v1/chat/completions")).header("content-type", "application/json");
        let response = post.body(request.to_string()).send().await?;
        let status = response.status().as_u16();
        Ok((status, response.json().await?))
    }

    /// The memory that it holds, in bytes.
    pub(crate) fn resident_bytes(&self) -> Result<u64> {
        self.status("VmRSS:")
    }

    /// The most memory that it took, in bytes.
    pub(crate) fn peak_bytes(&self) -> Result<u64> {
        self.status("VmHWM:")
    }

    fn status(&self, name: &str) -> Result<u64> {
        let id = match self {
            Peer::Pawl(server, _) => server.id(),
            Peer::Llama(server) => server.child.id(),
        };
        let status = std::fs::read_to_string(format!("/proc/{id}/status"))?;
        let line = status.lines().find_map(|line| line.strip_prefix(name)).context("no such line")?;
        Ok(line.trim().trim_end_matches(" kB").parse::<u64>()? * 1024)
    }
}

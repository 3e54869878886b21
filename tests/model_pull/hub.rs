//! A hub of this test's own: what Hugging Face's answers for one repository, with large files on another host (another port),
//! and with the troubles that a network has.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result};
use ring::digest;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// The repository that it has.
pub(crate) const REPO: &str = "team/small-model";
/// Files from this size on are large ones, which have a SHA-256.
const LARGE: usize = 100_000;

/// What goes wrong.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Trouble {
    #[default]
    None,
    /// The first answer with a large file ends in the middle.
    BreaksOnce,
    /// So does it, and the next one begins at the beginning whatever was asked for.
    BreaksOnceAndIgnoresRanges,
    /// An answer with a file of a megabyte or more stops in the middle and stays open.
    Stalls,
    /// Files are answered with this status and code.
    Refuses(&'static str, &'static str),
}

/// What it holds and does; changed between pulls.
#[derive(Default, Clone)]
pub(crate) struct State {
    pub(crate) files: BTreeMap<String, Vec<u8>>,
    /// One hex digit; it becomes the whole of the commit.
    pub(crate) commit: char,
    pub(crate) trouble: Trouble,
    /// Hashes and names that its list lies about: path to what is said instead.
    pub(crate) lies: BTreeMap<String, String>,
    pub(crate) gated: bool,
    /// The size that its list tells of every file, where it lies about that.
    pub(crate) size: Option<u64>,
    /// The status of everything under `/api`, where it is not 200.
    pub(crate) api: Option<&'static str>,
    /// What was asked of it.
    pub(crate) seen: Vec<Asked>,
}

/// A request for a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Asked {
    pub(crate) path: String,
    pub(crate) range: Option<String>,
    /// Whether it is the other host that was asked.
    pub(crate) elsewhere: bool,
    pub(crate) authorization: Option<String>,
}

/// The hub, running.
#[derive(Clone)]
pub(crate) struct Hub {
    pub(crate) address: String,
    elsewhere: String,
    state: Arc<Mutex<State>>,
}

impl Hub {
    /// Starts one with these files.
    ///
    /// # Errors
    /// Where no port can be had.
    pub(crate) async fn serve(files: &[(&str, Vec<u8>)]) -> Result<Hub> {
        let (near, far) = (TcpListener::bind("127.0.0.1:0").await?, TcpListener::bind("127.0.0.1:0").await?);
        let files = files.iter().map(|(path, bytes)| ((*path).to_owned(), bytes.clone())).collect();
        let address =
            |listener: &TcpListener| Ok::<_, std::io::Error>(format!("http://{}", listener.local_addr()?));
        let hub = Hub {
            address: address(&near)?,
            elsewhere: address(&far)?,
            state: Arc::new(Mutex::new(State { files, commit: 'a', ..State::default() })),
        };
        for (listener, elsewhere) in [(near, false), (far, true)] {
            let hub = hub.clone();
            tokio::spawn(async move {
                while let Ok((stream, _)) = listener.accept().await {
                    let hub = hub.clone();
                    // A client that has gone away needs no answer.
                    tokio::spawn(async move { hub.answer(stream, elsewhere).await.ok() });
                }
            });
        }
        Ok(hub)
    }

    /// Looks at it, or changes it.
    pub(crate) fn with<T>(&self, look: impl FnOnce(&mut State) -> T) -> T {
        look(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The requests for files since the last look.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.with(|state| std::mem::take(&mut state.seen))
    }

    async fn answer(&self, mut stream: TcpStream, elsewhere: bool) -> Result<()> {
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            request.push(stream.read_u8().await?);
        }
        let request = String::from_utf8(request)?;
        let target = request.split(' ').nth(1).context("a target")?.to_owned();
        let header = |name: &str| {
            request.lines().find_map(|line| {
                let (found, value) = line.split_once(": ")?;
                found.eq_ignore_ascii_case(name).then(|| value.to_owned())
            })
        };
        let state = self.with(|state| state.clone());
        let commit = state.commit.to_string().repeat(40);
        let resolve = format!("/{REPO}/resolve/{commit}/");
        if let Some(rest) = target.strip_prefix(&format!("/api/models/{REPO}/")) {
            let (status, more, body) = self.api(&state, rest, &commit);
            let length = body.len();
            let head =
                format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\n{more}connection: close\r\n\r\n");
            return Ok(stream.write_all((head + &body).as_bytes()).await?);
        }
        let path = if elsewhere { target.strip_prefix("/large/") } else { target.strip_prefix(&resolve) };
        let Some((path, bytes)) = path.and_then(|path| {
            let path = path.split('?').next()?;
            Some((path.to_owned(), state.files.get(path)?))
        }) else {
            let head = "HTTP/1.1 404 Not Found\r\nx-error-code: RepoNotFound\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
            return Ok(stream.write_all(head.as_bytes()).await?);
        };
        let range = header("range");
        let asked = Asked {
            path: path.clone(),
            range: range.clone(),
            elsewhere,
            authorization: header("authorization"),
        };
        self.with(|state| state.seen.push(asked));
        if let Trouble::Refuses(status, code) = state.trouble {
            let head = format!(
                "HTTP/1.1 {status}\r\nx-error-code: {code}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
            );
            return Ok(stream.write_all(head.as_bytes()).await?);
        }
        if bytes.len() >= LARGE && !elsewhere {
            let to = format!("{}/large/{path}?signature=signed", self.elsewhere);
            let head = format!(
                "HTTP/1.1 302 Found\r\nlocation: {to}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
            );
            return Ok(stream.write_all(head.as_bytes()).await?);
        }
        let from =
            range.and_then(|range| range.strip_prefix("bytes=")?.strip_suffix('-')?.parse::<usize>().ok());
        let from = from.filter(|_| state.trouble != Trouble::BreaksOnceAndIgnoresRanges);
        let head = match from {
            Some(from) => format!(
                "206 Partial Content\r\ncontent-range: bytes {from}-{}/{}",
                bytes.len() - 1,
                bytes.len()
            ),
            None => "200 OK".to_owned(),
        };
        let rest = &bytes[from.unwrap_or(0)..];
        let head = format!("HTTP/1.1 {head}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", rest.len());
        stream.write_all(head.as_bytes()).await?;
        let once = matches!(state.trouble, Trouble::BreaksOnce | Trouble::BreaksOnceAndIgnoresRanges);
        let first = self.with(|state| {
            state.seen.iter().filter(|asked| asked.path == path && asked.elsewhere).count() == 1
        });
        let stalls = state.trouble == Trouble::Stalls && bytes.len() >= 1_000_000;
        if elsewhere && (stalls || (once && first)) {
            stream.write_all(&rest[..rest.len() / 2]).await?;
            stream.flush().await?;
            if stalls {
                tokio::time::sleep(Duration::from_secs(60)).await;
            }
            return Ok(());
        }
        stream.write_all(rest).await?;
        Ok(())
    }

    /// Status, more headers and body of what is asked of `/api/models/REPO/`.
    fn api(&self, state: &State, rest: &str, commit: &str) -> (&'static str, String, String) {
        if let Some(status) = state.api {
            return (status, "x-error-code: RepoNotFound\r\n".into(), "{}".into());
        }
        if rest == "revision/main" {
            return ("200 OK", String::new(), json!({"sha": commit, "gated": state.gated}).to_string());
        }
        let Some(query) = rest.strip_prefix(&format!("tree/{commit}?recursive=true")) else {
            return ("404 Not Found", "x-error-code: RevisionNotFound\r\n".into(), "{}".into());
        };
        // Three to a page.
        let all: Vec<Value> = state.files.iter().map(|(path, bytes)| state.entry(path, bytes)).collect();
        let page: usize = query.strip_prefix("&cursor=").and_then(|page| page.parse().ok()).unwrap_or(0);
        let pages: Vec<&[Value]> = all.chunks(3).collect();
        let more = if page + 1 < pages.len() {
            let (address, next) = (&self.address, page + 1);
            format!(
                "link: <{address}/api/models/{REPO}/tree/{commit}?recursive=true&cursor={next}>; rel=\"next\"\r\n"
            )
        } else {
            String::new()
        };
        ("200 OK", more, json!(pages.get(page).copied().unwrap_or_default()).to_string())
    }
}

impl State {
    fn entry(&self, path: &str, bytes: &[u8]) -> Value {
        let hex = |algorithm, parts: &[&[u8]]| {
            let mut context = digest::Context::new(algorithm);
            parts.iter().for_each(|part| context.update(part));
            context.finish().as_ref().iter().map(|byte| format!("{byte:02x}")).collect::<String>()
        };
        let said = |hash: String| {
            self.lies.get(path).filter(|said| said.len() == hash.len()).cloned().unwrap_or(hash)
        };
        let name = self.lies.get(path).filter(|said| said.contains('/')).map_or(path, String::as_str);
        let size = self.size.unwrap_or(bytes.len() as u64);
        if bytes.len() >= LARGE {
            let oid = said(hex(&digest::SHA256, &[bytes]));
            let lfs = json!({"oid": oid, "size": size, "pointerSize": 134});
            return json!({"type": "file", "path": name, "size": size, "oid": "0".repeat(40), "lfs": lfs});
        }
        let head = format!("blob {}\0", bytes.len());
        let oid = said(hex(&digest::SHA1_FOR_LEGACY_USE_ONLY, &[head.as_bytes(), bytes]));
        json!({"type": "file", "path": name, "size": size, "oid": oid})
    }
}

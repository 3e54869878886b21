//! onnxruntime-genai, which has no server: a process of Python's that is told requests line by line
//! (`tests/scripts/genai_peer.py`), on a portable import of the same GGUF file.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::{Taken, is_valid};

/// The process, ended when dropped.
pub(crate) struct Genai {
    child: Child,
    requests: ChildStdin,
    replies: BufReader<ChildStdout>,
    /// Of onnxruntime-genai.
    pub(crate) version: String,
    _folder: tempfile::TempDir,
}

impl Drop for Genai {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Genai {
    /// Imports the file and loads it.
    pub(crate) fn start(python: &Path, gguf: &Path, threads: usize) -> Result<Genai> {
        let folder = tempfile::tempdir()?;
        let model = folder.path().join("model");
        pawl_llm::import_gguf(gguf, &model, pawl_llm::Operators::Portable, &mut |_| {})?;
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/genai_peer.py");
        let mut child = Command::new(python)
            .arg(script)
            .arg(&model)
            .arg(threads.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot run {}", python.display()))?;
        let requests = child.stdin.take().context("no standard input")?;
        let replies = BufReader::new(child.stdout.take().context("no standard output")?);
        let mut genai = Genai { child, requests, replies, version: String::new(), _folder: folder };
        genai.version = genai.reply()?["version"].as_str().unwrap_or("unknown").to_owned();
        Ok(genai)
    }

    /// One request to its end.
    pub(crate) fn ask(&mut self, request: &Value) -> Result<Taken> {
        let schema = &request["response_format"]["json_schema"]["schema"];
        let line =
            json!({"messages": request["messages"], "max_tokens": request["max_tokens"], "schema": schema});
        writeln!(self.requests, "{line}")?;
        self.requests.flush()?;
        let reply = self.reply()?;
        let number = |key: &str| reply[key].as_f64().with_context(|| format!("no {key} in {reply}"));
        Ok(Taken {
            all: Duration::from_secs_f64(number("all")?),
            first: Duration::from_secs_f64(number("first")?),
            prompt: number("prompt")?,
            completion: number("completion")?,
            valid: is_valid(request, &json!({"content": reply["text"]}))?,
        })
    }

    fn reply(&mut self) -> Result<Value> {
        let mut line = String::new();
        self.replies.read_line(&mut line)?;
        serde_json::from_str(&line).with_context(|| format!("onnxruntime-genai said {line:?}"))
    }
}

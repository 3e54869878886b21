//! The record: how long it is kept, and what of it is not to be known once it is no longer needed.
//!
//! Runs and jobs are the orchestrator's, conversations are remembered here. Approvals and their audit are kept whatever the settings say.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use jiff::{Timestamp, ToSpan};
use pawl_flow::{Memory, Turn, redacted};
use serde_json::{Value, json};

use crate::config::{Config, Home, RecordConfig};
use crate::flow::Runs;

/// Between two times at which a server tidies up.
const TIDY: Duration = Duration::from_secs(3_600);
/// How long an upload may take until its job knows it.
const UPLOADING: Duration = Duration::from_secs(24 * 3_600);
/// Bytes of a call's result that are remembered.
const MAX_RESULT: usize = 32 << 10;

/// Remembers turns of conversations, where the settings want it.
#[derive(Clone)]
pub(crate) struct Recorder {
    memory: Option<Arc<Memory>>,
    redact: Arc<Vec<String>>,
}

impl Recorder {
    /// Blocks.
    pub(crate) fn open(home: &Home, config: &RecordConfig) -> Result<Recorder, pawl_flow::StoreError> {
        let memory = config.chat.then(|| Memory::open(&home.memory())).transpose()?;
        Ok(Recorder { memory: memory.map(Arc::new), redact: Arc::new(config.redact.clone()) })
    }

    /// Remembers nothing.
    pub(crate) fn none() -> Recorder {
        Recorder { memory: None, redact: Arc::default() }
    }

    /// Begins to note a turn.
    pub(crate) fn begin(&self, request: &str, model: &str) -> Noted {
        let turn = Turn {
            at: Timestamp::now(),
            request: request.to_owned(),
            answer: String::new(),
            calls: Vec::new(),
            approval: None,
            model: model.to_owned(),
            prompt_tokens: 0,
            completion_tokens: 0,
            seconds: 0.0,
        };
        Noted { recorder: self.clone(), turn: Some(turn), began: std::time::Instant::now() }
    }

    /// Blocks. What cannot be remembered is said in the log and stops nobody.
    fn keep(&self, turn: &Turn) {
        let Some(memory) = &self.memory else { return };
        if let Err(error) = memory.remember(turn) {
            tracing::error!("a turn is not on record: {error}");
        }
    }
}

/// A turn that goes on. One that is dropped, as when a client hangs up, is on record with what it called.
pub(crate) struct Noted {
    recorder: Recorder,
    turn: Option<Turn>,
    began: std::time::Instant,
}

impl Noted {
    /// A call that was made.
    pub(crate) fn call(&mut self, mut call: Value) {
        redacted(&mut call, &self.recorder.redact);
        let text = call["result"].to_string();
        if text.len() > MAX_RESULT {
            let cut = &text[..text.floor_char_boundary(MAX_RESULT)];
            call["result"] = json!(format!("{cut} … (cut: {} bytes)", text.len()));
        }
        if let Some(turn) = &mut self.turn {
            turn.calls.push(call);
        }
    }

    /// What it came to.
    pub(crate) async fn end(mut self, answer: &str, approval: Option<&str>, tokens: (usize, usize)) {
        let Some(mut turn) = self.turn.take() else { return };
        turn.answer = answer.to_owned();
        turn.approval = approval.map(str::to_owned);
        (turn.prompt_tokens, turn.completion_tokens) = (tokens.0 as u64, tokens.1 as u64);
        let turn = self.ended(turn);
        let recorder = self.recorder.clone();
        if let Err(error) = tokio::task::spawn_blocking(move || recorder.keep(&turn)).await {
            tracing::error!("a turn is not on record: {error}");
        }
    }

    fn ended(&self, mut turn: Turn) -> Turn {
        for (name, text) in [("request", &mut turn.request), ("answer", &mut turn.answer)] {
            if self.recorder.redact.iter().any(|field| field == name) {
                "[redacted]".clone_into(text);
            }
        }
        turn.at = Timestamp::now();
        turn.seconds = (self.began.elapsed().as_secs_f64() * 1000.0).round() / 1000.0;
        turn
    }
}

impl Drop for Noted {
    fn drop(&mut self) {
        if let Some(turn) = self.turn.take() {
            let (recorder, turn) = (self.recorder.clone(), self.ended(turn));
            std::thread::spawn(move || recorder.keep(&turn));
        }
    }
}

/// What was deleted and redacted.
#[derive(Debug, Default)]
pub(crate) struct Tidied {
    pub(crate) runs: usize,
    pub(crate) jobs: usize,
    pub(crate) turns: usize,
    pub(crate) redacted: usize,
}

/// Deletes and redacts what the settings say, every hour, until it is dropped.
pub(crate) async fn keep_tidy(config: Config, runs: Runs) {
    loop {
        match tidy(&config, &runs).await {
            Ok(Tidied { runs, jobs, turns, .. }) if runs + jobs + turns > 0 => {
                tracing::info!(runs, jobs, turns, "deleted by age");
            }
            Ok(_) => {}
            Err(error) => tracing::error!("the record is not tidied up: {error:#}"),
        }
        tokio::time::sleep(TIDY).await;
    }
}

/// Deletes and redacts what the settings say.
pub(crate) async fn tidy(config: &Config, runs: &Runs) -> Result<Tidied> {
    let mut tidied = Tidied::default();
    let RecordConfig { keep_days, redact, .. } = config.record.clone();
    if keep_days > 0 {
        let hours = i64::try_from(keep_days).unwrap_or_default() * 24;
        let before = Timestamp::now() - hours.hours();
        let pruned = runs.ask(move |orchestrator| orchestrator.prune(before)).await?;
        (tidied.runs, tidied.jobs) = (pruned.runs, pruned.jobs);
        let (uploads, memory) = (config.home.uploads(), config.home.memory());
        let known = runs.ask(|orchestrator| orchestrator.documents()).await?;
        let forget = move || {
            pruned.documents.iter().for_each(|document| delete_upload(&uploads, document));
            sweep(&uploads, &known);
            if memory.is_file() { Memory::open(&memory)?.forget(before) } else { Ok(0) }
        };
        tidied.turns = tokio::task::spawn_blocking(forget).await??;
    }
    if !redact.is_empty() {
        tidied.redacted = runs.ask(move |orchestrator| orchestrator.redact(&redact)).await?;
    }
    Ok(tidied)
}

/// Deletes a document that was uploaded, with the folders that are empty without it. Others are not ours to delete.
fn delete_upload(uploads: &Path, document: &Path) {
    if !document.starts_with(uploads)
        || document.components().any(|part| part == std::path::Component::ParentDir)
    {
        return;
    }
    if let Err(error) = std::fs::remove_file(document)
        && error.kind() != std::io::ErrorKind::NotFound
    {
        tracing::error!("{}: {error}", document.display());
    }
    let mut folder: PathBuf = document.to_owned();
    while folder.pop() && folder != *uploads && std::fs::remove_dir(&folder).is_ok() {}
}

/// Deletes uploads that no job knows, such as those of a request that was cut off.
fn sweep(uploads: &Path, known: &HashSet<PathBuf>) {
    let old = |entry: &std::fs::DirEntry| {
        let modified = entry.metadata().and_then(|found| found.modified()).ok();
        modified.and_then(|time| time.elapsed().ok()).is_some_and(|age| age > UPLOADING)
    };
    for entry in std::fs::read_dir(uploads).into_iter().flatten().flatten().filter(old) {
        let folder = entry.path();
        if !known.iter().any(|document| document.starts_with(&folder))
            && let Err(error) = std::fs::remove_dir_all(&folder)
        {
            tracing::error!("{}: {error}", folder.display());
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a folder that fails fails the test")]
mod tests {
    use super::*;

    #[test]
    fn only_uploads_are_deleted() {
        let home = tempfile::tempdir().unwrap();
        let uploads = home.path().join("uploads");
        std::fs::create_dir_all(uploads.join("x/0")).unwrap();
        for file in ["uploads/x/0/a.pdf", "uploads/x/b.pdf", "c.pdf"] {
            std::fs::write(home.path().join(file), "x").unwrap();
        }
        for file in ["uploads/x/0/a.pdf", "uploads/../c.pdf", "c.pdf", "uploads/gone.pdf"] {
            delete_upload(&uploads, &home.path().join(file));
        }
        assert!(home.path().join("c.pdf").is_file() && uploads.join("x/b.pdf").is_file());
        assert!(!uploads.join("x/0").exists());
    }

    #[tokio::test]
    async fn a_turn_is_on_record_also_where_it_was_cut_off_and_without_what_is_not_to_be_known() {
        let home = tempfile::tempdir().unwrap();
        let place = Home { cache: home.path().into(), data: home.path().into() };
        let config = RecordConfig { keep_days: 0, chat: true, redact: vec!["email".to_owned()] };
        let recorder = Recorder::open(&place, &config).unwrap();
        let mut turn = recorder.begin("Write to Ada", "m");
        turn.call(json!({"tool": "mail.send", "arguments": {"email": "ada@example.com"}, "result": "x".repeat(MAX_RESULT)}));
        turn.end("Done.", None, (7, 3)).await;
        drop(recorder.begin("Cut off", "m"));
        let memory = Memory::open(&place.memory()).unwrap();
        let mut turns = memory.recall("", 10).unwrap();
        for _ in 0..100 {
            if turns.len() == 2 {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
            turns = memory.recall("", 10).unwrap();
        }
        assert_eq!(
            (turns[0].request.as_str(), turns[1].answer.as_str(), turns[1].prompt_tokens),
            ("Cut off", "Done.", 7)
        );
        assert_eq!(turns[1].calls[0]["arguments"]["email"], "[redacted]");
        assert!(turns[1].calls[0]["result"].as_str().unwrap().ends_with("bytes)"));
    }
}

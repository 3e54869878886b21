//! `POST /v1/chat/completions`, whole; `stream.rs` sends the same in pieces.

use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use pawl_flow::Approval;
use pawl_llm::TokenLogprob;
use serde_json::{Value, json};

use super::error::ApiError;
use super::extract::Body;
use super::{App, models, stream, wire};
use crate::approvals;
use crate::chat::{CallRecord, Ending, Outcome, TurnError};

pub(crate) async fn completions(
    State(app): State<App>,
    headers: HeaderMap,
    Body(body): Body,
) -> Result<Response, ApiError> {
    // A body of megabytes takes a while to read and to check.
    let (asking, now) = (app.clone(), app.config.now());
    let read = move || {
        let request: wire::Request = wire::json(&headers, &body)?;
        models::known(&asking, &request.model)?;
        let streamed = request.stream.unwrap_or(false);
        let with_usage = request.stream_options.as_ref().and_then(|options| options.include_usage);
        let with_usage = with_usage.unwrap_or(false);
        let plugins = asking.chat.plugins.now();
        let turn = request.turn(now, |name| plugins.resolve(name).map(|tool| tool.name.clone()))?;
        Ok::<_, ApiError>((turn, streamed, with_usage))
    };
    let read = tokio::task::spawn_blocking(read).await;
    let (turn, streamed, with_usage) = read.map_err(|error| TurnError::Model(error.to_string()))??;
    let model = app.chat.llm.info().name.clone();
    let (id, created) = (identifier("chatcmpl"), jiff::Timestamp::now().as_second());
    let reply = Reply { id, created, model, wants_logprobs: turn.logprobs.is_some() };
    if streamed {
        return stream::respond(app.chat.clone(), turn, reply, with_usage).await;
    }
    let outcome = app.chat.run(turn, None).await?;
    Ok(Json(reply.whole(&outcome)).into_response())
}

/// What is the same in every piece of one reply.
#[derive(Debug, Clone)]
pub(super) struct Reply {
    id: String,
    created: i64,
    model: String,
    wants_logprobs: bool,
}

impl Reply {
    fn whole(&self, outcome: &Outcome) -> Value {
        let mut message = json!({"role": "assistant", "content": outcome.text, "refusal": null});
        if let Some(call) = tool_call(&outcome.ending) {
            if outcome.text.is_empty() {
                message["content"] = Value::Null;
            }
            message["tool_calls"] = json!([call]);
        }
        if let Some(refusal) = refusal(outcome) {
            message["content"] = Value::Null;
            message["refusal"] = refusal;
        }
        json!({
            "id": self.id, "object": "chat.completion", "created": self.created, "model": self.model,
            "choices": [{"index": 0, "message": message, "logprobs": self.logprobs(&outcome.tokens),
                "finish_reason": finish_reason(&outcome.ending)}],
            "usage": usage(outcome),
            "pawl": ran(outcome),
        })
    }

    /// OpenAI's `logprobs` of a choice; null where nobody asked for them.
    pub(super) fn logprobs(&self, tokens: &[TokenLogprob]) -> Value {
        let one = |bytes: &[u8], logprob: f32| {
            // JSON has no infinity; OpenAI's servers write this for what is out of all likelihood.
            let logprob = logprob.max(-9999.0);
            json!({"token": String::from_utf8_lossy(bytes), "logprob": logprob, "bytes": bytes})
        };
        let content = tokens.iter().map(|token| {
            let mut told = one(&token.bytes, token.logprob);
            told["top_logprobs"] = token.top.iter().map(|(bytes, logprob)| one(bytes, *logprob)).collect();
            told
        });
        if self.wants_logprobs { json!({"content": content.collect::<Vec<_>>()}) } else { Value::Null }
    }

    /// One piece of a streamed reply.
    pub(super) fn chunk(&self, delta: &Value, finish: Option<&str>) -> Value {
        json!({
            "id": self.id, "object": "chat.completion.chunk", "created": self.created, "model": self.model,
            "choices": [{"index": 0, "delta": delta, "logprobs": null, "finish_reason": finish}],
        })
    }

    /// The pieces that end a streamed reply.
    pub(super) fn last_chunks(&self, outcome: &Outcome, with_usage: bool) -> Vec<Value> {
        let mut chunks = Vec::new();
        if let Some(mut call) = tool_call(&outcome.ending) {
            call["index"] = json!(0);
            chunks.push(self.chunk(&json!({"tool_calls": [call]}), None));
        }
        if let Some(refusal) = refusal(outcome) {
            chunks.push(self.chunk(&json!({"refusal": refusal}), None));
        }
        let mut last = self.chunk(&json!({}), Some(finish_reason(&outcome.ending)));
        last["pawl"] = ran(outcome);
        chunks.push(last);
        if with_usage {
            let mut chunk = self.chunk(&json!({}), None);
            chunk["choices"] = json!([]);
            chunk["usage"] = usage(outcome);
            chunks.push(chunk);
        }
        chunks
    }
}

fn tool_call(ending: &Ending) -> Option<Value> {
    let Ending::ClientCall { tool, arguments } = ending else { return None };
    let function = json!({"name": tool, "arguments": arguments.to_string()});
    Some(json!({"id": identifier("call"), "type": "function", "function": function}))
}

/// Why there is no answer of the format that the client asked for: a call waits for a person.
fn refusal(outcome: &Outcome) -> Option<Value> {
    let approval = outcome.approval.as_ref().filter(|_| outcome.text.is_empty())?;
    Some(json!(approvals::waiting(approval)))
}

fn finish_reason(ending: &Ending) -> &'static str {
    match ending {
        Ending::Stop => "stop",
        Ending::Length => "length",
        Ending::ClientCall { .. } => "tool_calls",
    }
}

fn usage(outcome: &Outcome) -> Value {
    let usage = &outcome.usage;
    json!({
        "prompt_tokens": usage.prompt, "completion_tokens": usage.completion,
        "total_tokens": usage.prompt + usage.completion,
        "prompt_tokens_details": {"cached_tokens": usage.cached},
    })
}

/// The `pawl` object: what ran.
fn ran(outcome: &Outcome) -> Value {
    let calls: Vec<Value> = outcome.calls.iter().map(CallRecord::as_json).collect();
    let mut ran = json!({"calls": calls, "rounds": outcome.rounds, "seconds": seconds(outcome.took)});
    if let Some(Approval { id, tool, arguments, digest, .. }) = outcome.approval.as_deref() {
        ran["approval"] = json!({"id": id, "tool": tool, "arguments": arguments, "digest": digest});
    }
    ran
}

fn seconds(took: std::time::Duration) -> f64 {
    (took.as_secs_f64() * 1000.0).round() / 1000.0
}

/// Unique within this process's life and, by its clock, across restarts.
pub(super) fn identifier(prefix: &str) -> String {
    use std::sync::atomic::{AtomicU64, Ordering};
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    format!("{prefix}-{:x}{count:x}", jiff::Timestamp::now().as_microsecond())
}

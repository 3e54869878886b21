//! A chat completion in pieces, as server-sent events.
//!
//! A client that hangs up drops the stream, and with it the turn: the generation ends at its next step. What goes
//! wrong before the first piece is an ordinary HTTP error; after it, an `error` event ends the stream.

use std::convert::Infallible;

use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures::stream::{self, StreamExt};
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::chat::Reply;
use super::error::ApiError;
use crate::chat::{Chat, Outcome, Turn, TurnError, TurnEvent};

/// Pieces that wait for a slow client before the turn waits too.
const QUEUE: usize = 64;

/// Starts the turn and streams it.
pub(super) async fn respond(
    chat: Chat,
    turn: Turn,
    reply: Reply,
    with_usage: bool,
) -> Result<Response, ApiError> {
    let (sender, mut events) = mpsc::channel(QUEUE);
    let turn = Running(tokio::spawn(async move { chat.run(turn, Some(&sender)).await }));
    let Some(first) = events.recv().await else {
        let outcome = turn.outcome().await?;
        let mut chunks = vec![reply.chunk(&json!({"role": "assistant", "content": ""}), None)];
        chunks.extend(reply.last_chunks(&outcome, with_usage));
        return Ok(send(stream::iter(chunks)));
    };
    let opening = reply.chunk(&json!({"role": "assistant", "content": ""}), None);
    let mut head = vec![opening];
    head.extend(piece(&reply, first));
    let state = Some((turn, events, reply));
    let rest = stream::unfold(state, move |state| async move {
        let (turn, mut events, reply) = state?;
        match events.recv().await {
            Some(event) => {
                let chunks: Vec<Value> = piece(&reply, event).into_iter().collect();
                Some((chunks, Some((turn, events, reply))))
            }
            None => Some(match turn.outcome().await {
                Ok(outcome) => (reply.last_chunks(&outcome, with_usage), None),
                Err(error) => (vec![error.body()], None),
            }),
        }
    });
    Ok(send(stream::iter(head).chain(rest.flat_map(stream::iter))))
}

/// What of an event the wire carries: the answer's text and how likely its tokens were.
fn piece(reply: &Reply, event: TurnEvent) -> Option<Value> {
    match event {
        TurnEvent::Text { text, tokens } => {
            let mut chunk = reply.chunk(&json!({"content": text}), None);
            chunk["choices"][0]["logprobs"] = reply.logprobs(&tokens);
            Some(chunk)
        }
        TurnEvent::Calling { .. } | TurnEvent::Called(_) => None,
    }
}

fn send(chunks: impl stream::Stream<Item = Value> + Send + 'static) -> Response {
    let done = stream::once(async { Ok(Event::default().data("[DONE]")) });
    let events = chunks.map(|chunk| Ok::<_, Infallible>(Event::default().data(chunk.to_string())));
    Sse::new(events.chain(done)).keep_alive(KeepAlive::default()).into_response()
}

/// A turn on a task of its own, stopped when nobody waits for it any more.
struct Running(JoinHandle<Result<Outcome, TurnError>>);

impl Running {
    async fn outcome(mut self) -> Result<Outcome, ApiError> {
        match (&mut self.0).await {
            Ok(outcome) => Ok(outcome?),
            Err(error) => Err(TurnError::Model(format!("the turn ended early: {error}")).into()),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.abort();
    }
}

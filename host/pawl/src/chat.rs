//! One chat turn: the model decides, a plugin is called, its result goes back, until there is an answer.
//!
//! Invariants: each round is decoded under a grammar that holds *an answer or exactly one call*; a call's arguments
//! are valid under the tool's schema before the plugin sees them; the last round can only answer; the model
//! is never held across a plugin call. A plugin that fails ends its call, not the turn: the model is
//! told what happened. A call that would write ends the turn, and waits for a person.

pub(crate) mod decision;
mod figures;
mod prompt;
mod request;
mod round;
pub(crate) mod signature;
mod telling;

use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::ZonedDateTime;
use pawl_flow::Approval;
use pawl_llm::{Llm, Sampling, StopReason, TokenLogprob};
use pawl_plugin::CallError;
use serde_json::{Value, json};
use tokio::sync::{Notify, mpsc};

use crate::approvals::{self, Approvals, GatedError, Reached};
use crate::config::ChatConfig;
use crate::plugins::Plugins;
use crate::plugins::set::Set;
use crate::record::{Noted, Recorder};
use decision::{Decision, Offered};

/// One entry of a conversation, free of any wire format.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Item {
    System(String),
    User(String),
    Assistant(String),
    Call { tool: String, arguments: Value },
    Result(String),
}

/// A request and how a good turn goes on from it; shown to the model, never a request of a test.
#[derive(Debug, Clone)]
pub(crate) struct Example {
    pub(crate) request: String,
    /// Tool, arguments and, where the turn is shown to its end, the result.
    pub(crate) call: Option<(String, Value, Option<Value>)>,
    pub(crate) answer: Option<String>,
}

/// Whose tools the model may call in this turn.
#[derive(Debug, Clone)]
pub(crate) enum Tools {
    /// Pawl's plugins; calls are run here.
    Plugins,
    /// The client's own; a call ends the turn and is returned.
    Client(Vec<Offered>),
    None,
}

/// Whether the first round must call.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Choice {
    Auto,
    Required,
    Named(String),
}

/// What a turn needs to know.
#[derive(Debug, Clone)]
pub(crate) struct Turn {
    pub(crate) items: Vec<Item>,
    pub(crate) tools: Tools,
    pub(crate) choice: Choice,
    /// JSON Schema that the answer must meet.
    pub(crate) format: Option<Value>,
    pub(crate) sampling: Sampling,
    /// Tokens of one generation.
    pub(crate) max_tokens: Option<usize>,
    pub(crate) stop: Vec<String>,
    /// Tell how likely each token of the answer was, with so many alternatives.
    pub(crate) logprobs: Option<usize>,
    pub(crate) now: ZonedDateTime,
}

impl Turn {
    /// A greedy turn with the plugins, as the command line runs them.
    pub(crate) fn with_plugins(items: Vec<Item>, now: ZonedDateTime) -> Turn {
        Turn {
            items,
            tools: Tools::Plugins,
            choice: Choice::Auto,
            format: None,
            sampling: Sampling::default(),
            max_tokens: None,
            stop: Vec::new(),
            logprobs: None,
            now,
        }
    }
}

/// What happens during a turn, for those who watch.
#[derive(Debug, Clone)]
pub(crate) enum TurnEvent {
    /// The next piece of the answer, and the tokens that end in it; nothing but the part of a token that the answer ends
    /// with, where a stop string cut it.
    Text { text: String, tokens: Vec<TokenLogprob> },
    /// A plugin is about to be called.
    Calling { tool: String, arguments: Value },
    /// It has returned, or failed.
    Called(CallRecord),
}

impl TurnEvent {
    /// Text of ours and not of the model.
    fn note(text: String) -> TurnEvent {
        TurnEvent::Text { text, tokens: Vec::new() }
    }
}

/// One call that a plugin ran.
#[derive(Debug, Clone)]
pub(crate) struct CallRecord {
    pub(crate) tool: String,
    pub(crate) arguments: Value,
    pub(crate) result: Result<Value, String>,
    /// It failed for a reason that other arguments may mend.
    pub(crate) mendable: bool,
    pub(crate) took: Duration,
}

impl CallRecord {
    /// As it is shown and kept.
    pub(crate) fn as_json(&self) -> Value {
        let mut record = json!({"tool": self.tool, "arguments": self.arguments});
        match &self.result {
            Ok(result) => record["result"] = result.clone(),
            Err(error) => record["error"] = json!(error),
        }
        record["seconds"] = json!((self.took.as_secs_f64() * 1000.0).round() / 1000.0);
        record
    }
}

/// What became of a call within a turn.
enum Called {
    Ran(CallRecord),
    Waits(Box<Approval>),
}

/// How a turn ended.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Ending {
    Stop,
    /// Cut short by the token limit or the context.
    Length,
    /// The client is to run this call.
    ClientCall {
        tool: String,
        arguments: Value,
    },
}

/// The result of a turn.
#[derive(Debug, Clone)]
pub(crate) struct Outcome {
    pub(crate) text: String,
    /// The tokens of the model's answer, where they were asked for.
    pub(crate) tokens: Vec<TokenLogprob>,
    pub(crate) ending: Ending,
    pub(crate) calls: Vec<CallRecord>,
    /// Of the call that ended the turn because a person must approve it. The text says so, except where an answer of a
    /// format was asked for, which that sentence is not: it is empty then.
    pub(crate) approval: Option<Box<Approval>>,
    pub(crate) rounds: usize,
    pub(crate) usage: TurnUsage,
    pub(crate) took: Duration,
}

/// Tokens of all rounds together.
#[derive(Debug, Clone, Default)]
pub(crate) struct TurnUsage {
    pub(crate) prompt: usize,
    pub(crate) cached: usize,
    pub(crate) completion: usize,
    pub(crate) forced: usize,
}

/// Why there is no outcome.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TurnError {
    #[error(
        "the prompt is {prompt} tokens long and the model's context is {context}; shorten the conversation, or raise model.context if the model takes more"
    )]
    PromptTooLong { prompt: usize, context: usize },
    #[error("no tool \"{0}\"; GET /v1/tools lists those that there are")]
    UnknownTool(String),
    /// A schema or grammar that cannot be enforced, of the tool if it is one's.
    #[error("{}{message}", .tool.as_ref().map(|name| format!("tool \"{name}\": ")).unwrap_or_default())]
    Refused { tool: Option<String>, message: String },
    /// Something else in the request.
    #[error("{0}")]
    Invalid(String),
    #[error("too many requests wait for the model; try again in a moment")]
    Busy,
    #[error("the model could not go on: {0}")]
    Model(String),
}

impl From<pawl_llm::Error> for TurnError {
    fn from(error: pawl_llm::Error) -> TurnError {
        match error {
            pawl_llm::Error::PromptTooLong { prompt, context } => {
                TurnError::PromptTooLong { prompt, context }
            }
            pawl_llm::Error::Busy { .. } => TurnError::Busy,
            refused @ (pawl_llm::Error::Schema { .. } | pawl_llm::Error::Grammar(_)) => {
                TurnError::Refused { tool: None, message: refused.to_string() }
            }
            invalid @ (pawl_llm::Error::Tokenizer(_)
            | pawl_llm::Error::Conversation(_)
            | pawl_llm::Error::Request(_)) => TurnError::Invalid(invalid.to_string()),
            other => TurnError::Model(other.to_string()),
        }
    }
}

/// Runs turns: a model and the plugins.
#[derive(Clone)]
pub(crate) struct Chat {
    pub(crate) llm: Llm,
    pub(crate) plugins: Plugins,
    pub(crate) approvals: Approvals,
    pub(crate) recorder: Recorder,
    pub(crate) limits: ChatConfig,
    /// Told of each turn that begins, so that a warm-up makes way.
    pub(crate) arrivals: Arc<Notify>,
}

impl Chat {
    /// Runs one turn. Dropping the future stops the generation; a plugin call that has begun is left to its limits.
    pub(crate) async fn run(
        &self,
        turn: Turn,
        events: Option<&mpsc::Sender<TurnEvent>>,
    ) -> Result<Outcome, TurnError> {
        let mut noted = self.recorder.begin(request::last(&turn.items), &self.llm.info().name);
        let ended = self.rounds(turn, events, &mut noted).await;
        match &ended {
            Ok(Outcome { text, approval, usage, .. }) => {
                let approval = approval.as_ref().map(|approval| approval.id.as_str());
                noted.end(text, approval, (usage.prompt, usage.completion)).await;
            }
            Err(error) => noted.end(&format!("(failed: {error})"), None, (0, 0)).await,
        }
        ended
    }

    async fn rounds(
        &self,
        mut turn: Turn,
        events: Option<&mpsc::Sender<TurnEvent>>,
        noted: &mut Noted,
    ) -> Result<Outcome, TurnError> {
        let started = Instant::now();
        self.arrivals.notify_waiters();
        // Plugins that are reloaded meanwhile are for the next turn.
        let plugins = self.plugins.now();
        let mut offer = self.offer(&plugins, &turn).await?;
        let mut calls: Vec<CallRecord> = Vec::new();
        let mut usage = TurnUsage::default();
        let mut text = String::new();
        for round in 1..=self.limits.max_rounds {
            let shape = round::Shape::of(&turn, &offer, round == 1, round == self.limits.max_rounds, &calls);
            let written = round::generate(self, &turn, &offer, shape, &mut usage, events).await?;
            let done = |text, ending, calls| {
                Ok(Outcome {
                    text,
                    tokens: Vec::new(),
                    ending,
                    calls,
                    approval: None,
                    rounds: round,
                    usage: usage.clone(),
                    took: started.elapsed(),
                })
            };
            match written.decision {
                None => return done(String::new(), Ending::Length, calls),
                Some(Decision::Answer(answer)) => {
                    text.push_str(&answer);
                    if let Some(note) = figures::note(&turn, &calls, &answer) {
                        let note = format!("\n\n{note}");
                        if let Some(events) = events {
                            let _ = events.send(TurnEvent::note(note.clone())).await;
                        }
                        text.push_str(&note);
                    }
                    let cut = written.reason == StopReason::Length;
                    let outcome = done(text, if cut { Ending::Length } else { Ending::Stop }, calls)?;
                    return Ok(Outcome { tokens: written.tokens, ..outcome });
                }
                Some(Decision::Call { tool, arguments }) => {
                    if matches!(turn.tools, Tools::Client(_)) {
                        return done(text, Ending::ClientCall { tool, arguments }, calls);
                    }
                    let record = match self.call(&plugins, tool, arguments, events).await {
                        Called::Ran(record) => record,
                        Called::Waits(approval) => {
                            if turn.format.is_none() {
                                text.push_str(&approvals::waiting(&approval));
                                if let Some(events) = events {
                                    let _ = events.send(TurnEvent::note(text.clone())).await;
                                }
                            }
                            let outcome = done(text, Ending::Stop, calls)?;
                            return Ok(Outcome { approval: Some(approval), ..outcome });
                        }
                    };
                    // What exists may be other things now; what the model was told at the head of the prompt stays.
                    offer.tools = request::told(plugins.offered().await, &turn);
                    turn.items
                        .push(Item::Call { tool: record.tool.clone(), arguments: record.arguments.clone() });
                    turn.items.push(Item::Result(self.shown(&record)));
                    noted.call(record.as_json());
                    calls.push(record);
                }
            }
        }
        Err(TurnError::Model(format!("no answer within {} rounds", self.limits.max_rounds)))
    }

    /// Puts what every turn's prompt begins with into the KV cache. The first turn that arrives ends it; what was done
    /// by then serves that turn.
    pub(crate) async fn warm_up(&self, now: ZonedDateTime) -> Result<(), TurnError> {
        let mut turn = Turn::with_plugins(vec![Item::User("?".into())], now);
        turn.max_tokens = Some(1);
        let arrival = self.arrivals.notified();
        let offer = self.offer(&self.plugins.now(), &turn).await?;
        let mut usage = TurnUsage::default();
        tokio::select! {
            () = arrival => Ok(()),
            written = round::generate(self, &turn, &offer, round::Shape::Decide, &mut usage, None) => {
                written.map(|_| ())
            }
        }
    }

    /// What the model is offered in this turn.
    async fn offer(&self, plugins: &Set, turn: &Turn) -> Result<round::Offer, TurnError> {
        let (tools, contexts, examples, hints) = match &turn.tools {
            Tools::None => Default::default(),
            Tools::Client(tools) => (tools.clone(), Vec::new(), Vec::new(), Vec::new()),
            Tools::Plugins => (
                request::told(plugins.offered().await, turn),
                plugins.contexts().await,
                plugins.examples().await,
                plugins.hints(&request::last_two(&turn.items)).await,
            ),
        };
        if let Choice::Named(name) = &turn.choice
            && !tools.iter().any(|tool| tool.name == *name)
        {
            return Err(TurnError::UnknownTool(name.clone()));
        }
        if turn.choice == Choice::Required && tools.is_empty() {
            return Err(TurnError::Invalid("tool_choice is \"required\", and there is no tool".into()));
        }
        Ok(round::Offer { told: tools.clone(), tools, contexts, examples, hints })
    }

    async fn call(
        &self,
        plugins: &Set,
        tool: String,
        arguments: Value,
        events: Option<&mpsc::Sender<TurnEvent>>,
    ) -> Called {
        if let Some(events) = events {
            // A watcher that is gone misses nothing that matters.
            let _ =
                events.send(TurnEvent::Calling { tool: tool.clone(), arguments: arguments.clone() }).await;
        }
        let started = Instant::now();
        let result = match self.approvals.call(plugins, &tool, &arguments, approvals::MODEL).await {
            Ok(Reached::Approval(approval)) => return Called::Waits(approval),
            Ok(Reached::Result(result)) => Ok(result),
            Err(error) => Err(error),
        };
        let mendable =
            matches!(result, Err(GatedError::Call(CallError::Guest(_) | CallError::Arguments { .. })));
        let result = result.map_err(|error| error.to_string());
        let record = CallRecord { tool, arguments, result, mendable, took: started.elapsed() };
        tracing::info!(tool = record.tool, ok = record.result.is_ok(), took = ?record.took, "called");
        if let Some(events) = events {
            let _ = events.send(TurnEvent::Called(record.clone())).await;
        }
        Called::Ran(record)
    }

    fn shown(&self, record: &CallRecord) -> String {
        self.told(&record.result)
    }

    /// A result as the model sees it: bounded, and an error told as one.
    pub(crate) fn told(&self, result: &Result<Value, String>) -> String {
        match result {
            Ok(value) => bounded(&value.to_string(), self.limits.max_result),
            Err(error) => format!("error: {}", bounded(error, self.limits.max_result)),
        }
    }
}

/// At most `limit` bytes of a text, and a word on what is missing.
fn bounded(text: &str, limit: usize) -> String {
    if text.len() <= limit {
        return text.to_owned();
    }
    let end = text.floor_char_boundary(limit);
    format!("{} … (cut: {} of {} bytes shown)", &text[..end], end, text.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_result_is_cut_between_characters_and_says_so() {
        let cut = bounded(&"é".repeat(100), 11);
        assert!(cut.starts_with("ééééé … (cut: 10 of 200 bytes"), "{cut}");
        assert_eq!(bounded("short", 11), "short");
    }
}

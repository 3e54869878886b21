//! One round of a turn: prompt and grammar for what the model may do now, generated, read.

use pawl_llm::{Error, Event, Grammar, Request, StopReason, TokenLogprob};
use serde_json::Value;
use tokio::sync::{Semaphore, mpsc};

use super::decision::{self, AnswerFilter, AnswerShape, Decision, Offered};
use super::prompt::Parts;
use super::telling::Telling;
use super::{CallRecord, Chat, Choice, Example, Turn, TurnError, TurnEvent, TurnUsage};
use crate::app;

/// How often a call that failed for its arguments is mended.
const MENDS: usize = 2;

/// What the model is offered throughout a turn.
pub(super) struct Offer {
    /// What the model may call now.
    pub(super) tools: Vec<Offered>,
    /// The tools as the turn began with them: the head of the prompt, which does not change within a turn.
    pub(super) told: Vec<Offered>,
    pub(super) contexts: Vec<(String, String)>,
    pub(super) examples: Vec<Example>,
    /// What plugins say to the last request: (tool, text).
    pub(super) hints: Vec<(String, String)>,
}

/// What the model may do in this round.
#[derive(Debug, PartialEq)]
pub(super) enum Shape {
    /// Answer, or call one of the tools.
    Decide,
    /// Call one of the tools.
    Call,
    /// Call this tool.
    CallNamed(String),
    /// Answer.
    Answer,
}

impl Shape {
    /// A forced call is for the first round. A call that failed for its arguments is mended at once, [`MENDS`] times
    /// at most. The last round, a call repeated word for word, and a turn without tools leave only the answer.
    pub(super) fn of(turn: &Turn, offer: &Offer, first: bool, last: bool, calls: &[CallRecord]) -> Shape {
        if offer.tools.is_empty() || (last && !first) {
            return Shape::Answer;
        }
        if first {
            match &turn.choice {
                Choice::Named(name) => return Shape::CallNamed(name.clone()),
                Choice::Required => return Shape::Call,
                Choice::Auto => {}
            }
        }
        if let [.., before, latest] = calls
            && before.tool == latest.tool
            && before.arguments == latest.arguments
        {
            return Shape::Answer;
        }
        let failures = calls.iter().rev().take_while(|call| call.mendable).count();
        match calls.last() {
            Some(failed) if (1..=MENDS).contains(&failures) => Shape::CallNamed(failed.tool.clone()),
            _ => Shape::Decide,
        }
    }
}

/// What came out of a round.
pub(super) struct Written {
    /// `None`: cut short before it was whole.
    pub(super) decision: Option<Decision>,
    /// Those of an answer, where the turn asks for them.
    pub(super) tokens: Vec<TokenLogprob>,
    pub(super) reason: StopReason,
}

/// Generates one round.
pub(super) async fn generate(
    chat: &Chat,
    turn: &Turn,
    offer: &Offer,
    shape: Shape,
    usage: &mut TurnUsage,
    events: Option<&mpsc::Sender<TurnEvent>>,
) -> Result<Written, TurnError> {
    let parts = Parts {
        tools: &offer.told,
        contexts: &offer.contexts,
        examples: &offer.examples,
        hints: &offer.hints,
        items: &turn.items,
        format: turn.format.as_ref(),
        now: &turn.now,
    };
    // What plugins did in the rounds before would be lost with the turn.
    let goes_on = usage.prompt > 0;
    let messages = parts.messages();
    let mut prompt = if goes_on {
        app::render(&chat.llm, messages).await?
    } else {
        app::render_first(&chat.llm, messages).await?
    };
    let (grammar, begun) = constraint(turn, offer, &shape);
    prompt.push_text(&begun);
    let request = Request {
        prompt,
        grammar,
        sampling: turn.sampling,
        logprobs: turn.logprobs,
        max_tokens: turn.max_tokens.unwrap_or(chat.limits.max_tokens),
        // What tells an answer from a call is ours, and nobody's to stop at or to count.
        lead: if shape == Shape::Decide { decision::ANSWER.to_owned() } else { String::new() },
        stop: if matches!(shape, Shape::Answer | Shape::Decide) { turn.stop.clone() } else { Vec::new() },
    };
    let mut telling = Telling::new(match shape {
        Shape::Answer if begun.is_empty() => AnswerFilter::open(),
        Shape::Answer => AnswerFilter::begun(),
        _ => AnswerFilter::default(),
    });
    let mut tokens = Vec::new();
    let mut text = String::new();
    let mut generation = if goes_on { chat.llm.generate_next(request) } else { chat.llm.generate(request) };
    let mut finish = None;
    while let Some(event) = generation.next().await {
        let event = match event {
            Err(refusal @ (Error::Schema { .. } | Error::Grammar(_))) if !offer.tools.is_empty() => {
                return Err(whose(chat, offer, refusal).await);
            }
            event => event?,
        };
        match event {
            Event::Text(piece) => {
                let (shown, told) = telling.piece(&piece);
                text.push_str(&piece);
                if let Some(events) = events.filter(|_| !shown.is_empty()) {
                    let _ = events.send(TurnEvent::Text { text: shown, tokens: told.clone() }).await;
                }
                tokens.extend(told);
            }
            Event::Token(token) => telling.token(token),
            Event::End(end) => finish = Some(end),
        }
    }
    let finish = finish.ok_or_else(|| TurnError::Model("the generation ended without a reason".into()))?;
    usage.prompt += finish.usage.prompt_tokens;
    usage.cached += finish.usage.cached_tokens;
    usage.completion += finish.usage.completion_tokens;
    usage.forced += finish.usage.forced_tokens;
    tracing::debug!(?shape, text, usage = ?finish.usage, "round");
    if let Some(token) = telling.last() {
        tokens.push(token.clone());
        if let Some(events) = events {
            let _ = events.send(TurnEvent::Text { text: String::new(), tokens: vec![token] }).await;
        }
    }
    let decision = match shape {
        Shape::Answer => Some(Decision::Answer(telling.text)),
        _ => decision::parse(&format!("{begun}{text}")),
    };
    check_again(turn, offer, decision.as_ref(), &text, finish.reason).await?;
    Ok(Written { decision, tokens, reason: finish.reason })
}

/// Refusals that are looked into at once: it takes as long as compiling does.
static LOOKING: Semaphore = Semaphore::const_new(1);

/// Of which tool it is that a round's grammar was refused, if that one alone is refused too.
async fn whose(chat: &Chat, offer: &Offer, refusal: Error) -> TurnError {
    let _one = LOOKING.acquire().await;
    let (llm, tools) = (chat.llm.clone(), offer.tools.clone());
    let found = tokio::task::spawn_blocking(move || {
        tools.into_iter().find_map(|tool| {
            let alone = llm.check(&Grammar::JsonSchema(tool.parameters)).err()?;
            Some(TurnError::Refused { tool: Some(tool.name), message: alone.to_string() })
        })
    });
    found.await.ok().flatten().unwrap_or_else(|| refusal.into())
}

/// The grammar of a round, and the text that it is begun with.
fn constraint(turn: &Turn, offer: &Offer, shape: &Shape) -> (Grammar, String) {
    match shape {
        Shape::Decide => {
            let answer = turn.format.as_ref().map_or(AnswerShape::Text, AnswerShape::Json);
            (Grammar::Lark(decision::grammar(&offer.tools, Some(answer))), String::new())
        }
        Shape::Call => (Grammar::Lark(decision::grammar(&offer.tools, None)), String::new()),
        Shape::CallNamed(name) => {
            let schema =
                offer.tools.iter().find(|tool| tool.name == *name).map(|tool| tool.parameters.clone());
            (Grammar::JsonSchema(schema.unwrap_or_default()), format!("{}{name} ", decision::CALL))
        }
        Shape::Answer => {
            let begun = if offer.told.is_empty() { "" } else { decision::ANSWER };
            match &turn.format {
                Some(schema) => (Grammar::JsonSchema(schema.clone()), begun.to_owned()),
                None => (Grammar::Free, begun.to_owned()),
            }
        }
    }
}

/// Checks what was read of a round's text once more against the schema that it was decoded under.
async fn check_again(
    turn: &Turn,
    offer: &Offer,
    decision: Option<&Decision>,
    text: &str,
    reason: StopReason,
) -> Result<(), TurnError> {
    match decision {
        Some(Decision::Call { tool, arguments }) => {
            let schema =
                offer.tools.iter().find(|offered| offered.name == *tool).map(|tool| &tool.parameters);
            let schema = schema.ok_or_else(|| TurnError::UnknownTool(tool.clone()))?;
            check(schema, arguments).await
        }
        Some(Decision::Answer(text)) if reason == StopReason::Stop => {
            if let Some(schema) = &turn.format {
                let value = serde_json::from_str(text).map_err(|error| {
                    TurnError::Model(format!("an answer under a schema is not JSON: {error}"))
                })?;
                check(schema, &value).await?;
            }
            Ok(())
        }
        None if reason == StopReason::Stop => {
            Err(TurnError::Model(format!("a decision that cannot be read: {text:?}")))
        }
        Some(Decision::Answer(_)) | None => Ok(()),
    }
}

/// The second check. The grammar has made sure already; a failure here is a fault of ours, and is not passed on.
async fn check(schema: &Value, value: &Value) -> Result<(), TurnError> {
    let (schema, value) = (schema.clone(), value.clone());
    let held = tokio::task::spawn_blocking(move || pawl_llm::holds(&schema, &value)).await;
    held.unwrap_or_else(|error| Err(error.to_string()))
        .map_err(|error| TurnError::Model(format!("decoded JSON breaks its schema: {error}")))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::json;

    use super::*;

    fn turn(choice: Choice) -> Turn {
        let now = jiff::civil::date(2026, 11, 23).at(14, 0, 0, 0).in_tz("UTC").expect("a zone");
        Turn { choice, ..Turn::with_plugins(Vec::new(), now) }
    }

    fn offer() -> Offer {
        let tool = Offered::new("a.b", "", json!({"type": "object"}));
        Offer {
            tools: vec![tool.clone()],
            told: vec![tool],
            contexts: Vec::new(),
            examples: Vec::new(),
            hints: Vec::new(),
        }
    }

    fn call(number: u32, mendable: bool) -> CallRecord {
        let result = if mendable { Err("no such column".to_owned()) } else { Ok(json!(1)) };
        let arguments = json!({"n": number});
        CallRecord { tool: "a.b".into(), arguments, result, mendable, took: Duration::ZERO }
    }

    #[test]
    fn a_forced_call_is_for_the_first_round() {
        for (choice, shape) in [
            (Choice::Required, Shape::Call),
            (Choice::Named("a.b".into()), Shape::CallNamed("a.b".into())),
            (Choice::Auto, Shape::Decide),
        ] {
            assert_eq!(Shape::of(&turn(choice.clone()), &offer(), true, false, &[]), shape);
            assert_eq!(Shape::of(&turn(choice), &offer(), false, false, &[call(1, false)]), Shape::Decide);
        }
    }

    #[test]
    fn a_call_that_failed_for_its_arguments_is_mended_twice_at_most() {
        let after = |calls: &[CallRecord]| Shape::of(&turn(Choice::Auto), &offer(), false, false, calls);
        let mend = Shape::CallNamed("a.b".into());
        assert_eq!(after(&[call(1, true)]), mend);
        assert_eq!(after(&[call(1, true), call(2, true)]), mend);
        assert_eq!(after(&[call(1, true), call(2, true), call(3, true)]), Shape::Decide);
        assert_eq!(after(&[call(1, true), call(2, false)]), Shape::Decide);
    }

    #[test]
    fn the_last_round_and_a_call_repeated_word_for_word_leave_only_the_answer() {
        let turn = turn(Choice::Auto);
        assert_eq!(Shape::of(&turn, &offer(), false, true, &[call(1, false)]), Shape::Answer);
        assert_eq!(
            Shape::of(&turn, &offer(), false, false, &[call(1, false), call(1, false)]),
            Shape::Answer
        );
        assert_eq!(Shape::of(&turn, &offer(), false, false, &[call(1, true), call(1, true)]), Shape::Answer);
    }
}

//! The messages of a request, and the entries of a conversation that they are.

use serde::Deserialize;

use super::super::error::ApiError;
use crate::chat::Item;

#[derive(Debug, Deserialize)]
#[serde(tag = "role", rename_all = "lowercase")]
pub(super) enum Message {
    #[serde(alias = "developer")]
    System {
        content: Content,
    },
    User {
        content: Content,
    },
    Assistant {
        content: Option<Content>,
        /// What stood in the place of the content.
        refusal: Option<String>,
        tool_calls: Option<Vec<ToolCall>>,
    },
    Tool {
        content: Content,
        tool_call_id: Option<String>,
    },
}

#[derive(Debug, Deserialize)]
#[serde(untagged, expecting = "content must be a string or a list of parts")]
pub(super) enum Content {
    Text(String),
    Parts(Vec<Part>),
}

#[derive(Debug, Deserialize)]
pub(super) struct Part {
    #[serde(rename = "type")]
    kind: String,
    text: Option<String>,
    refusal: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(super) struct ToolCall {
    id: Option<String>,
    function: CalledFunction,
}

#[derive(Debug, Deserialize)]
pub(super) struct CalledFunction {
    name: String,
    arguments: String,
}

/// A conversation as it is read: each result stands behind its call, as the model is shown them.
#[derive(Default)]
pub(super) struct Conversation {
    items: Vec<Item>,
    /// Calls of the last message with calls that have no result yet: their ids, and where they are among the items.
    open: Vec<(Option<String>, usize)>,
}

impl Conversation {
    pub(super) fn into_items(self) -> Vec<Item> {
        self.items
    }

    /// Takes the next message, `messages[index]`.
    pub(super) fn push(&mut self, index: usize, message: Message) -> Result<(), ApiError> {
        match message {
            Message::System { content } => self.items.push(Item::System(content.text(index)?)),
            Message::User { content } => self.items.push(Item::User(content.text(index)?)),
            Message::Tool { content, tool_call_id } => {
                let at = self.place(index, tool_call_id.as_deref())?;
                self.items.insert(at, Item::Result(content.text(index)?));
            }
            Message::Assistant { content, refusal, tool_calls } => {
                let text = content.map(|content| content.text(index)).transpose()?.unwrap_or_default();
                let text = if text.is_empty() { refusal.unwrap_or_default() } else { text };
                let calls = tool_calls.unwrap_or_default();
                if !text.is_empty() || calls.is_empty() {
                    self.items.push(Item::Assistant(text));
                }
                self.open.clear();
                for call in calls {
                    // As other servers write a call without arguments.
                    let arguments = match call.function.arguments.trim() {
                        "" => "{}",
                        arguments => arguments,
                    };
                    let arguments = serde_json::from_str(arguments).map_err(|error| {
                        let place = format!("messages[{index}].tool_calls");
                        ApiError::bad_request(format!("{place}: arguments are not JSON: {error}"))
                            .param(place)
                    })?;
                    self.open.push((call.id, self.items.len()));
                    self.items.push(Item::Call { tool: call.function.name, arguments });
                }
            }
        }
        Ok(())
    }

    /// Where a result goes: behind the call with its id, or behind the first call without a result where ids are not told.
    fn place(&mut self, index: usize, id: Option<&str>) -> Result<usize, ApiError> {
        let unnamed = id.is_none() || self.open.iter().all(|(call, _)| call.is_none());
        let found = self.open.iter().position(|(call, _)| unnamed || call.as_deref() == id);
        let Some(found) = found else {
            return match id {
                Some(id) => {
                    let place = format!("messages[{index}].tool_call_id");
                    let message = format!(
                        "{place} is \"{id}\", which is no call of the assistant's message before it that lacks a result"
                    );
                    Err(ApiError::bad_request(message).param(place))
                }
                None => Ok(self.items.len()),
            };
        };
        let (_, call) = self.open.remove(found);
        self.open.iter_mut().filter(|(_, other)| *other > call).for_each(|(_, other)| *other += 1);
        Ok(call + 1)
    }
}

impl Content {
    fn text(self, index: usize) -> Result<String, ApiError> {
        match self {
            Content::Text(text) => Ok(text),
            Content::Parts(parts) => {
                let mut whole = String::new();
                for part in parts {
                    let refused = |message: String| {
                        Err(ApiError::bad_request(message).param(format!("messages[{index}].content")))
                    };
                    let text = match part.kind.as_str() {
                        "text" => part.text,
                        "refusal" => part.refusal,
                        other => {
                            return refused(format!(
                                "messages[{index}] has a part of type \"{other}\"; only \"text\" is served"
                            ));
                        }
                    };
                    let Some(text) = text else {
                        return refused(format!(
                            "messages[{index}] has a part of type \"{kind}\" without \"{kind}\"",
                            kind = part.kind
                        ));
                    };
                    whole.push_str(&text);
                }
                Ok(whole)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn read(messages: Value) -> Result<Vec<Item>, ApiError> {
        let messages: Vec<Message> = serde_json::from_value(messages).expect("messages");
        let mut conversation = Conversation::default();
        for (index, message) in messages.into_iter().enumerate() {
            conversation.push(index, message)?;
        }
        Ok(conversation.into_items())
    }

    fn calls(ids: [Value; 2]) -> Value {
        let call = |id: &Value, city: &str| json!({"id": id, "type": "function", "function": {"name": "weather", "arguments": json!({"city": city}).to_string()}});
        json!({"role": "assistant", "content": null, "tool_calls": [call(&ids[0], "Basel"), call(&ids[1], "Bern")]})
    }

    fn expected() -> Vec<Item> {
        let call = |city: &str| Item::Call { tool: "weather".into(), arguments: json!({"city": city}) };
        vec![call("Basel"), Item::Result("rain".into()), call("Bern"), Item::Result("sun".into())]
    }

    #[test]
    fn results_belong_to_the_calls_that_they_name() {
        let named = |id: &str, text: &str| json!({"role": "tool", "tool_call_id": id, "content": text});
        let both = |first: Value, second: Value| json!([calls([json!("a"), json!("b")]), first, second]);
        assert_eq!(read(both(named("b", "sun"), named("a", "rain"))).expect("read"), expected());
        assert_eq!(read(both(named("a", "rain"), named("b", "sun"))).expect("read"), expected());
        let body = read(both(named("a", "rain"), named("c", "sun"))).expect_err("no such call").body();
        assert_eq!(body["error"]["param"], "messages[2].tool_call_id");
        assert!(body["error"]["message"].as_str().is_some_and(|said| said.contains("\"c\"")), "{body}");
        assert!(read(both(named("a", "rain"), named("a", "sun"))).is_err(), "told twice");
    }

    #[test]
    fn results_without_ids_belong_to_the_calls_in_turn() {
        let unnamed = |text: &str| json!({"role": "tool", "content": text});
        for ids in [[json!("a"), json!("b")], [Value::Null, Value::Null]] {
            assert_eq!(read(json!([calls(ids), unnamed("rain"), unnamed("sun")])).expect("read"), expected());
        }
    }

    #[test]
    fn what_was_said_instead_of_an_answer_comes_back_as_what_was_said() {
        let refusal = json!({"role": "assistant", "content": null, "refusal": "a1 waits for a person"});
        let part = json!({"role": "assistant", "content": [{"type": "refusal", "refusal": "a1 waits for a person"}]});
        for message in [refusal, part] {
            assert_eq!(
                read(json!([message])).expect("read"),
                [Item::Assistant("a1 waits for a person".into())]
            );
        }
        let error = read(json!([{"role": "user", "content": [{"type": "text", "text": null}]}]))
            .expect_err("no text");
        assert!(error.body().to_string().contains("without \\\"text\\\""), "{}", error.body());
    }
}

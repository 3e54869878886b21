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
        tool_calls: Option<Vec<ToolCall>>,
    },
    Tool {
        content: Content,
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
}

#[derive(Debug, Deserialize)]
pub(super) struct ToolCall {
    function: CalledFunction,
}

#[derive(Debug, Deserialize)]
pub(super) struct CalledFunction {
    name: String,
    arguments: String,
}

impl Message {
    pub(super) fn into_items(self, index: usize, items: &mut Vec<Item>) -> Result<(), ApiError> {
        match self {
            Message::System { content } => items.push(Item::System(content.text(index)?)),
            Message::User { content } => items.push(Item::User(content.text(index)?)),
            Message::Tool { content } => items.push(Item::Result(content.text(index)?)),
            Message::Assistant { content, tool_calls } => {
                let text = content.map(|content| content.text(index)).transpose()?.unwrap_or_default();
                let calls = tool_calls.unwrap_or_default();
                if !text.is_empty() || calls.is_empty() {
                    items.push(Item::Assistant(text));
                }
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
                    items.push(Item::Call { tool: call.function.name, arguments });
                }
            }
        }
        Ok(())
    }
}

impl Content {
    fn text(self, index: usize) -> Result<String, ApiError> {
        match self {
            Content::Text(text) => Ok(text),
            Content::Parts(parts) => {
                let mut whole = String::new();
                for part in parts {
                    let text = part.text.filter(|_| part.kind == "text").ok_or_else(|| {
                        let message = format!(
                            "messages[{index}] has a part of type \"{}\"; only \"text\" is served",
                            part.kind
                        );
                        ApiError::bad_request(message).param(format!("messages[{index}].content"))
                    })?;
                    whole.push_str(&text);
                }
                Ok(whole)
            }
        }
    }
}

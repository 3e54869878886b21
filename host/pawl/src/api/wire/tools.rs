//! The tools of a request, whose they are, and whether one must be called.

use serde::Deserialize;
use serde_json::Value;

use super::super::error::ApiError;
use crate::chat::decision::Offered;
use crate::chat::{Choice, Tools};

/// The most tools that a client may send.
const MAX_TOOLS: usize = 128;

#[derive(Debug, Deserialize)]
pub(super) struct Tool {
    #[serde(rename = "type")]
    kind: String,
    function: Function,
}

#[derive(Debug, Deserialize)]
pub(super) struct Function {
    name: String,
    #[serde(default)]
    description: Option<String>,
    parameters: Option<Value>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged, expecting = "tool_choice must be auto, none, required or a function")]
pub(super) enum ToolChoice {
    Mode(String),
    Named { function: NamedFunction },
}

#[derive(Debug, Deserialize)]
pub(super) struct NamedFunction {
    name: String,
}

/// Whose tools, and whether one must be called. A client that brings tools drives its own loop, so that the plugins
/// stay out of it; a client that asks for JSON gets JSON at once, unless it names a tool choice.
pub(super) fn tools(
    client: Option<Vec<Offered>>,
    choice: Option<ToolChoice>,
    format: bool,
    resolve: impl Fn(&str) -> Option<String>,
) -> Result<(Tools, Choice), ApiError> {
    let own = client.is_some();
    let tools = match (client, &choice) {
        (_, Some(ToolChoice::Mode(mode))) if mode == "none" => Tools::None,
        (Some(tools), _) => Tools::Client(tools),
        (None, None) if format => Tools::None,
        (None, _) => Tools::Plugins,
    };
    let choice = match choice {
        None => Choice::Auto,
        Some(ToolChoice::Mode(mode)) => match mode.as_str() {
            "auto" | "none" => Choice::Auto,
            "required" => Choice::Required,
            other => {
                let message = format!("tool_choice is \"{other}\"; use auto, none, required or a function");
                return Err(ApiError::bad_request(message).param("tool_choice"));
            }
        },
        Some(ToolChoice::Named { function: NamedFunction { name } }) if own => {
            let theirs = matches!(&tools, Tools::Client(tools) if tools.iter().any(|tool| tool.name == name));
            if !theirs {
                let message =
                    format!("tool_choice is \"{name}\", which is none of the tools of this request");
                return Err(ApiError::bad_request(message).param("tool_choice"));
            }
            Choice::Named(name)
        }
        Some(ToolChoice::Named { function: NamedFunction { name } }) => {
            Choice::Named(resolve(&name).unwrap_or(name))
        }
    };
    Ok((tools, choice))
}

pub(super) fn offered(tools: Vec<Tool>) -> Result<Vec<Offered>, ApiError> {
    if tools.len() > MAX_TOOLS {
        let message = format!("{} tools; send at most {MAX_TOOLS}", tools.len());
        return Err(ApiError::bad_request(message).param("tools"));
    }
    let mut offered: Vec<Offered> = Vec::new();
    for (index, tool) in tools.into_iter().enumerate() {
        let place = |message: String| ApiError::bad_request(message).param(format!("tools[{index}]"));
        if tool.kind != "function" {
            return Err(place(format!(
                "tools[{index}].type is \"{}\"; only \"function\" is served",
                tool.kind
            )));
        }
        let name = tool.function.name;
        let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
        if name.is_empty() || name.len() > 128 || !name.chars().all(legal) {
            return Err(place(format!("tools[{index}] is named {name:?}; use letters, digits, _ and -")));
        }
        if offered.iter().any(|before| before.name == name) {
            return Err(place(format!("tools[{index}] is named \"{name}\", as one before it")));
        }
        let parameters = tool.function.parameters.unwrap_or_else(no_parameters);
        if parameters.get("type").and_then(Value::as_str) != Some("object") {
            return Err(place(format!(
                "the parameters of \"{name}\" must be a schema with \"type\": \"object\""
            )));
        }
        super::checked(&parameters, &format!("tools[{index}].function.parameters"))?;
        let description = tool.function.description.unwrap_or_default();
        offered.push(Offered::new(&name, &description, parameters));
    }
    Ok(offered)
}

fn no_parameters() -> Value {
    serde_json::json!({"type": "object", "properties": {}, "additionalProperties": false})
}

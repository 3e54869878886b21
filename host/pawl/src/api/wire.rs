//! OpenAI's chat completion request, as far as Pawl serves it, and its translation into a [`Turn`].
//!
//! Source: OpenAI's API reference, "Create chat completion". Fields that Pawl does not know are ignored, since clients send many
//! that change no answer; those that would change it are refused. Fields that it knows are checked, and an error names the
//! place.

use axum::http::{HeaderMap, StatusCode, header};
use jiff::ZonedDateTime;
use pawl_llm::{MAX_ALTERNATIVES, Sampling};
use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde_json::Value;

use super::error::ApiError;
use crate::chat::decision::Offered;
use crate::chat::{Choice, Item, Tools, Turn};

/// The most tools that a client may send.
const MAX_TOOLS: usize = 128;

#[derive(Debug, Deserialize)]
pub(crate) struct Request {
    pub(crate) model: String,
    messages: Vec<Message>,
    pub(crate) stream: Option<bool>,
    pub(crate) stream_options: Option<StreamOptions>,
    tools: Option<Vec<Tool>>,
    tool_choice: Option<ToolChoice>,
    response_format: Option<ResponseFormat>,
    temperature: Option<f32>,
    top_p: Option<f32>,
    top_k: Option<usize>,
    min_p: Option<f32>,
    repetition_penalty: Option<f32>,
    presence_penalty: Option<f32>,
    frequency_penalty: Option<f32>,
    seed: Option<i64>,
    logprobs: Option<bool>,
    top_logprobs: Option<usize>,
    max_tokens: Option<usize>,
    max_completion_tokens: Option<usize>,
    stop: Option<Stop>,
    n: Option<usize>,
    /// The ancestors of `tools` and `tool_choice`.
    functions: Option<IgnoredAny>,
    function_call: Option<IgnoredAny>,
    logit_bias: Option<IgnoredAny>,
}

#[derive(Debug, Deserialize, Default)]
pub(crate) struct StreamOptions {
    #[serde(default)]
    pub(crate) include_usage: bool,
}

#[derive(Debug, Deserialize)]
#[serde(tag = "role", rename_all = "lowercase")]
enum Message {
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
enum Content {
    Text(String),
    Parts(Vec<Part>),
}

#[derive(Debug, Deserialize)]
struct Part {
    #[serde(rename = "type")]
    kind: String,
    text: Option<String>,
}

#[derive(Debug, Deserialize)]
struct ToolCall {
    function: CalledFunction,
}

#[derive(Debug, Deserialize)]
struct CalledFunction {
    name: String,
    arguments: String,
}

#[derive(Debug, Deserialize)]
struct Tool {
    #[serde(rename = "type")]
    kind: String,
    function: Function,
}

#[derive(Debug, Deserialize)]
struct Function {
    name: String,
    #[serde(default)]
    description: Option<String>,
    parameters: Option<Value>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged, expecting = "tool_choice must be auto, none, required or a function")]
enum ToolChoice {
    Mode(String),
    Named { function: NamedFunction },
}

#[derive(Debug, Deserialize)]
struct NamedFunction {
    name: String,
}

#[derive(Debug, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum ResponseFormat {
    Text,
    JsonObject,
    JsonSchema { json_schema: NamedSchema },
}

#[derive(Debug, Deserialize)]
struct NamedSchema {
    schema: Value,
}

#[derive(Debug, Deserialize)]
#[serde(untagged, expecting = "stop must be a string or a list of strings")]
enum Stop {
    One(String),
    Many(Vec<String>),
}

/// As [`json`] does; an empty body is `otherwise`. It must call itself JSON all the same: a foreign page can send an empty body
/// unasked.
pub(crate) fn json_or<T: DeserializeOwned>(
    otherwise: &str,
    headers: &HeaderMap,
    body: &[u8],
) -> Result<T, ApiError> {
    json(headers, if body.is_empty() { otherwise.as_bytes() } else { body })
}

/// Reads a JSON body. What is wrong is named with its place.
pub(crate) fn json<T: DeserializeOwned>(headers: &HeaderMap, body: &[u8]) -> Result<T, ApiError> {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or("");
    if !kind.split(';').next().unwrap_or("").trim().eq_ignore_ascii_case("application/json") {
        let message = format!("content-type is \"{kind}\"; send application/json");
        return Err(ApiError::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, message));
    }
    let mut deserializer = serde_json::Deserializer::from_slice(body);
    let read: Result<T, _> = serde_path_to_error::deserialize(&mut deserializer);
    let value = read.map_err(|error| {
        let path = error.path().to_string();
        let inner = error.into_inner();
        if inner.to_string().starts_with("recursion limit exceeded") {
            return ApiError::bad_request("the body's JSON is nested deeper than 127 levels; flatten it");
        }
        let place = if inner.is_data() && path != "." { format!("at \"{path}\": ") } else { String::new() };
        let error = ApiError::bad_request(format!("the body is not what it must be: {place}{inner}"));
        if path == "." { error } else { error.param(path) }
    })?;
    deserializer
        .end()
        .map_err(|error| ApiError::bad_request(format!("the body goes on after its JSON: {error}")))?;
    Ok(value)
}

impl Request {
    /// Checks the request and makes a turn of it. `resolve` gives the full name of a plugin's tool.
    pub(crate) fn turn(
        self,
        now: ZonedDateTime,
        resolve: impl Fn(&str) -> Option<String>,
    ) -> Result<Turn, ApiError> {
        if self.n.is_some_and(|n| n != 1) {
            return Err(ApiError::bad_request("n must be 1").param("n"));
        }
        for (given, field, mend) in [
            (&self.functions, "functions", "send tools instead"),
            (&self.function_call, "function_call", "send tool_choice instead"),
            (&self.logit_bias, "logit_bias", "leave it out, or hold the answer to a response_format"),
        ] {
            if given.is_some() {
                return Err(ApiError::bad_request(format!("{field} is not served; {mend}")).param(field));
            }
        }
        if self.messages.is_empty() {
            return Err(ApiError::bad_request("messages is empty; send at least one").param("messages"));
        }
        let sampling = self.sampling()?;
        let logprobs = alternatives(self.logprobs.unwrap_or(false), self.top_logprobs)?;
        let format = self.response_format.map(schema).transpose()?.flatten();
        let client = self.tools.filter(|tools| !tools.is_empty()).map(offered).transpose()?;
        let (tools, choice) = tools(client, self.tool_choice, format.is_some(), resolve)?;
        let mut items = Vec::new();
        for (index, message) in self.messages.into_iter().enumerate() {
            message.into_items(index, &mut items)?;
        }
        Ok(Turn {
            items,
            tools,
            choice,
            format,
            sampling,
            logprobs,
            max_tokens: self.max_completion_tokens.or(self.max_tokens).map(positive).transpose()?,
            stop: match self.stop {
                None => Vec::new(),
                Some(Stop::One(stop)) => vec![stop],
                Some(Stop::Many(stops)) => stops,
            },
            now,
        })
    }
}

/// How many alternatives of each token are told, if any are.
fn alternatives(wanted: bool, top: Option<usize>) -> Result<Option<usize>, ApiError> {
    let refused = |message: String| Err(ApiError::bad_request(message).param("top_logprobs"));
    match top {
        Some(_) if !wanted => refused("top_logprobs needs \"logprobs\": true".into()),
        Some(count) if count > MAX_ALTERNATIVES => {
            refused(format!("top_logprobs is {count}; use 0 to {MAX_ALTERNATIVES}"))
        }
        top => Ok(wanted.then_some(top.unwrap_or(0))),
    }
}

fn positive(tokens: usize) -> Result<usize, ApiError> {
    if tokens == 0 {
        return Err(ApiError::bad_request("max_tokens is 0; ask for at least 1").param("max_tokens"));
    }
    Ok(tokens)
}

impl Request {
    /// Temperature 0 by default: a tool that is called twice with one request should get one call.
    fn sampling(&self) -> Result<Sampling, ApiError> {
        let temperature = self.temperature.unwrap_or(0.0);
        if !(0.0..=2.0).contains(&temperature) {
            let message = format!("temperature is {temperature}; use 0 to 2");
            return Err(ApiError::bad_request(message).param("temperature"));
        }
        let now = || jiff::Timestamp::now().as_nanosecond() as u64;
        let all = Sampling::default();
        let sampling = Sampling {
            temperature,
            top_p: self.top_p.unwrap_or(all.top_p),
            top_k: self.top_k.unwrap_or(all.top_k),
            min_p: self.min_p.unwrap_or(all.min_p),
            repetition_penalty: self.repetition_penalty.unwrap_or(all.repetition_penalty),
            presence_penalty: self.presence_penalty.unwrap_or(all.presence_penalty),
            frequency_penalty: self.frequency_penalty.unwrap_or(all.frequency_penalty),
            seed: self.seed.map_or_else(now, |seed| seed as u64),
        };
        sampling.check().map_err(|error| {
            // The message begins with the field's name.
            let message = error.to_string();
            let message = message.trim_start_matches("request: ");
            let field = message.split(' ').next().unwrap_or_default().to_owned();
            ApiError::bad_request(message).param(field)
        })?;
        Ok(sampling)
    }
}

/// Whose tools, and whether one must be called. A client that brings tools drives its own loop, so that the plugins
/// stay out of it; a client that asks for JSON gets JSON at once, unless it names a tool choice.
fn tools(
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

fn offered(tools: Vec<Tool>) -> Result<Vec<Offered>, ApiError> {
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
        let description = tool.function.description.unwrap_or_default();
        offered.push(Offered::new(&name, &description, parameters));
    }
    Ok(offered)
}

fn no_parameters() -> Value {
    serde_json::json!({"type": "object", "properties": {}, "additionalProperties": false})
}

fn schema(format: ResponseFormat) -> Result<Option<Value>, ApiError> {
    match format {
        ResponseFormat::Text => Ok(None),
        ResponseFormat::JsonObject => Ok(Some(serde_json::json!({"type": "object"}))),
        ResponseFormat::JsonSchema { json_schema } => {
            jsonschema::meta::validate(&json_schema.schema).map_err(|error| {
                ApiError::bad_request(format!("not a JSON Schema at \"{}\": {error}", error.instance_path()))
                    .param("response_format.json_schema.schema")
            })?;
            Ok(Some(json_schema.schema))
        }
    }
}

impl Message {
    fn into_items(self, index: usize, items: &mut Vec<Item>) -> Result<(), ApiError> {
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

//! OpenAI's chat completion request, as far as Pawl serves it, and its translation into a [`Turn`].
//!
//! Source: OpenAI's API reference, "Create chat completion". Fields that Pawl does not know are ignored, since clients send many
//! that change no answer; of those that would, `functions`, `function_call` and `logit_bias` are refused. Fields that it
//! knows are checked, and an error names the place.

mod messages;
mod tools;

use axum::http::{HeaderMap, StatusCode, header};
use jiff::ZonedDateTime;
use pawl_llm::{MAX_ALTERNATIVES, Sampling};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use self::messages::{Conversation, Message};
use self::tools::{Tool, ToolChoice, offered, tools};
use super::error::ApiError;
use crate::chat::Turn;

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
    functions: Option<Value>,
    function_call: Option<Value>,
    logit_bias: Option<Value>,
}

#[derive(Debug, Deserialize, Default)]
pub(crate) struct StreamOptions {
    pub(crate) include_usage: Option<bool>,
}

#[derive(Debug, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum ResponseFormat {
    Text,
    JsonObject {
        /// As llama.cpp's server and others take it.
        schema: Option<Value>,
    },
    JsonSchema {
        json_schema: NamedSchema,
    },
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
            if given.as_ref().is_some_and(says_something) {
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
        let mut conversation = Conversation::default();
        for (index, message) in self.messages.into_iter().enumerate() {
            conversation.push(index, message)?;
        }
        let max_tokens = match self.max_completion_tokens {
            Some(most) => Some(positive(most, "max_completion_tokens")?),
            None => self.max_tokens.map(|most| positive(most, "max_tokens")).transpose()?,
        };
        Ok(Turn {
            items: conversation.into_items(),
            tools,
            choice,
            format,
            sampling,
            logprobs,
            max_tokens,
            stop: match self.stop {
                None => Vec::new(),
                Some(Stop::One(stop)) => vec![stop],
                Some(Stop::Many(stops)) => stops,
            },
            now,
        })
    }
}

/// Whether a field that is not served would change the answer: not where it is empty, or the default.
fn says_something(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Array(list) => !list.is_empty(),
        Value::Object(map) => !map.is_empty(),
        value => value != "none" && value != "auto",
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

fn positive(tokens: usize, field: &str) -> Result<usize, ApiError> {
    if tokens == 0 {
        return Err(ApiError::bad_request(format!("{field} is 0; ask for at least 1")).param(field));
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

fn schema(format: ResponseFormat) -> Result<Option<Value>, ApiError> {
    match format {
        ResponseFormat::Text => Ok(None),
        ResponseFormat::JsonObject { schema: None } => Ok(Some(serde_json::json!({"type": "object"}))),
        ResponseFormat::JsonObject { schema: Some(schema) } => {
            checked(&schema, "response_format.schema")?;
            Ok(Some(schema))
        }
        ResponseFormat::JsonSchema { json_schema } => {
            checked(&json_schema.schema, "response_format.json_schema.schema")?;
            Ok(Some(json_schema.schema))
        }
    }
}

/// Refuses what is no JSON Schema, before anything is done under it.
fn checked(schema: &Value, param: &str) -> Result<(), ApiError> {
    jsonschema::meta::validate(schema).map_err(|error| {
        let message = format!("{param} is not a JSON Schema at \"{}\": {error}", error.instance_path());
        ApiError::bad_request(message).param(param)
    })
}

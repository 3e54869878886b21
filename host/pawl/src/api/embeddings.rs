//! `POST /v1/embeddings`: texts to vectors, as OpenAI's API has it.
//!
//! Source: OpenAI's API reference, "Create embeddings". Fields that Pawl does not know are ignored, `user` among them; those that
//! it knows are checked, and an error names the place. A text that is too long is refused, never cut.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use pawl_llm::{Embedder, Error};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::error::ApiError;
use super::extract::Body;
use super::{App, models, wire};

#[derive(Debug, Deserialize)]
struct Request {
    model: String,
    input: Value,
    encoding_format: Option<Encoding>,
    dimensions: Option<usize>,
}

#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Encoding {
    #[default]
    Float,
    Base64,
}

#[derive(Debug, Serialize)]
pub(crate) struct Reply {
    object: &'static str,
    data: Vec<Embedding>,
    model: String,
    usage: Usage,
}

#[derive(Debug, Serialize)]
struct Embedding {
    object: &'static str,
    index: usize,
    embedding: Vector,
}

#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Vector {
    Float(Vec<f32>),
    /// Its numbers as little-endian f32.
    Base64(String),
}

#[derive(Debug, Serialize)]
struct Usage {
    prompt_tokens: usize,
    total_tokens: usize,
}

pub(crate) async fn create(
    State(app): State<App>,
    headers: HeaderMap,
    Body(body): Body,
) -> Result<Json<Reply>, ApiError> {
    let request: Request = wire::json(&headers, &body)?;
    let embedder = app.embedder.as_ref().ok_or_else(none)?;
    let info = embedder.info();
    if request.model != info.name && request.model != models::ALIAS {
        let message = format!("no embedding model \"{}\" here; use \"{}\"", request.model, info.name);
        return Err(ApiError::not_found(message).code("model_not_found").param("model"));
    }
    if let Some(asked) = request.dimensions.filter(|asked| *asked != info.dimensions) {
        let message =
            format!("dimensions is {asked}; the vectors of \"{}\" have {}", info.name, info.dimensions);
        return Err(ApiError::bad_request(message).param("dimensions"));
    }
    let embeddings = embedder.embed(texts(request.input)?).await.map_err(refused)?;
    let encoding = request.encoding_format.unwrap_or_default();
    let tokens = embeddings.tokens.iter().sum();
    let data = embeddings.vectors.into_iter().enumerate().map(|(index, vector)| Embedding {
        object: "embedding",
        index,
        embedding: encoding.of(vector),
    });
    Ok(Json(Reply {
        object: "list",
        data: data.collect(),
        model: info.name.clone(),
        usage: Usage { prompt_tokens: tokens, total_tokens: tokens },
    }))
}

fn none() -> ApiError {
    ApiError::not_found(
        "no embedding model is served: put name = \"all-minilm-l6-v2\" under [embeddings] in pawl.toml and start again; \
         `pawl model pull all-minilm-l6-v2` gets that one, `pawl model import FOLDER` makes another",
    )
    .code("model_not_found")
    .param("model")
}

impl Encoding {
    fn of(self, vector: Vec<f32>) -> Vector {
        match self {
            Encoding::Float => Vector::Float(vector),
            Encoding::Base64 => {
                let bytes: Vec<u8> = vector.into_iter().flat_map(f32::to_le_bytes).collect();
                Vector::Base64(STANDARD.encode(bytes))
            }
        }
    }
}

/// The texts of `input`: one, or a list.
fn texts(input: Value) -> Result<Vec<String>, ApiError> {
    let refused = |message: String| ApiError::bad_request(message).param("input");
    let list = match input {
        Value::String(text) => vec![Value::String(text)],
        Value::Array(list) => list,
        _ => return Err(refused("input must be a string or a list of strings".into())),
    };
    let most = Embedder::MAX_TEXTS;
    if list.is_empty() || list.len() > most {
        return Err(refused(format!("input has {} texts; send 1 to {most}", list.len())));
    }
    let one = |(index, value): (usize, Value)| match value {
        Value::String(text) if text.is_empty() => Err(refused(format!("input[{index}] is empty"))),
        Value::String(text) if text.len() > Embedder::MAX_BYTES => Err(refused(format!(
            "input[{index}] has {} bytes; send at most {}",
            text.len(),
            Embedder::MAX_BYTES
        ))),
        Value::String(text) => Ok(text),
        Value::Number(_) | Value::Array(_) => {
            // What LangChain sends by default.
            Err(refused(format!(
                "input[{index}] is of token ids, which are another model's; send strings (in LangChain: \
                 OpenAIEmbeddings(check_embedding_ctx_length=False))"
            )))
        }
        _ => Err(refused(format!("input[{index}] is no string"))),
    };
    list.into_iter().enumerate().map(one).collect()
}

fn refused(error: Error) -> ApiError {
    let message = error.to_string();
    match error {
        Error::TextTooLong { .. } => {
            ApiError::bad_request(message).code("context_length_exceeded").param("input")
        }
        Error::Request(_) | Error::Tokenizer(_) => ApiError::bad_request(message).param("input"),
        Error::Busy { .. } => ApiError::new(StatusCode::TOO_MANY_REQUESTS, message).code("busy"),
        _ => {
            tracing::error!("{message}");
            ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, "the texts could not be embedded")
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_vector_of_either_encoding_is_the_same_and_as_short_as_it_can_be() {
        let vector = vec![0.1_f32, -1.0, 3.5e-8];
        let written = serde_json::to_string(&Encoding::Float.of(vector.clone())).expect("it is written");
        assert_eq!(written, "[0.1,-1.0,3.5e-8]");
        let Vector::Base64(text) = Encoding::Base64.of(vector.clone()) else { panic!("it is base64") };
        let bytes = STANDARD.decode(text).expect("it is base64");
        let read: Vec<f32> =
            bytes.chunks_exact(4).map(|raw| f32::from_le_bytes([raw[0], raw[1], raw[2], raw[3]])).collect();
        assert_eq!(read, vector);
    }

    #[test]
    fn inputs_are_texts_and_what_is_not_is_named() {
        assert_eq!(texts(json!("a")).expect("one"), ["a"]);
        assert_eq!(texts(json!(["a", "b"])).expect("two"), ["a", "b"]);
        let many = vec!["x"; Embedder::MAX_TEXTS + 1];
        let long = "x".repeat(Embedder::MAX_BYTES + 1);
        for (input, word) in [
            (json!([]), "0 texts"),
            (json!(many), "2049 texts"),
            (json!(""), "input[0] is empty"),
            (json!(["a", long]), "input[1] has 65537 bytes"),
            (json!([1, 2]), "token ids"),
            (
                json!([[1, 2], [3]]),
                "send strings (in LangChain: OpenAIEmbeddings(check_embedding_ctx_length=False))",
            ),
            (json!(["a", null]), "input[1] is no string"),
            (json!({"text": "a"}), "a string or a list"),
        ] {
            let body = texts(input).expect_err("it is refused").body();
            assert!(body["error"]["message"].as_str().is_some_and(|m| m.contains(word)), "{word}: {body}");
            assert_eq!(body["error"]["param"], "input");
        }
    }
}

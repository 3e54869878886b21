//! Errors in OpenAI's shape: `{"error":{"message","type","code","param"}}`.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use crate::chat::TurnError;

/// An error as a client sees it.
#[derive(Debug)]
pub(crate) struct ApiError {
    status: StatusCode,
    message: String,
    code: Option<&'static str>,
    param: Option<String>,
}

impl ApiError {
    pub(crate) fn new(status: StatusCode, message: impl Into<String>) -> ApiError {
        ApiError { status, message: message.into(), code: None, param: None }
    }

    pub(crate) fn bad_request(message: impl Into<String>) -> ApiError {
        ApiError::new(StatusCode::BAD_REQUEST, message)
    }

    pub(crate) fn not_found(message: impl Into<String>) -> ApiError {
        ApiError::new(StatusCode::NOT_FOUND, message)
    }

    pub(crate) fn code(mut self, code: &'static str) -> ApiError {
        self.code = Some(code);
        self
    }

    pub(crate) fn param(mut self, param: impl Into<String>) -> ApiError {
        self.param = Some(param.into());
        self
    }

    /// The body, as also sent within a stream.
    pub(crate) fn body(&self) -> Value {
        let kind = match self.status {
            StatusCode::TOO_MANY_REQUESTS => "rate_limit_error",
            status if status.is_client_error() => "invalid_request_error",
            _ => "server_error",
        };
        json!({"error": {"message": self.message, "type": kind, "code": self.code, "param": self.param}})
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut response = (self.status, Json(self.body())).into_response();
        // What waits for a person does so longer.
        if self.status == StatusCode::TOO_MANY_REQUESTS && self.code != Some("approval_limit") {
            response.headers_mut().insert("retry-after", axum::http::HeaderValue::from_static("2"));
        }
        response
    }
}

impl From<TurnError> for ApiError {
    fn from(error: TurnError) -> ApiError {
        let message = error.to_string();
        match error {
            TurnError::PromptTooLong { .. } => {
                ApiError::bad_request(message).code("context_length_exceeded").param("messages")
            }
            TurnError::UnknownTool(_) => {
                ApiError::not_found(message).code("tool_not_found").param("tool_choice")
            }
            TurnError::Refused { tool: None, .. } => {
                ApiError::bad_request(message).code("unsupported_schema")
            }
            TurnError::Refused { tool: Some(_), .. } => {
                ApiError::bad_request(message).code("unsupported_schema").param("tools")
            }
            TurnError::Invalid(_) => ApiError::bad_request(message),
            TurnError::Busy => ApiError::new(StatusCode::TOO_MANY_REQUESTS, message).code("busy"),
            TurnError::Model(_) => {
                tracing::error!("{message}");
                ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, "the model could not finish this turn")
            }
        }
    }
}

//! `GET /v1/tools` and `POST /v1/tools/{name}`: the plugins' functions, without a model.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use pawl_plugin::CallError;
use serde_json::{Value, json};

use super::App;
use super::error::ApiError;
use super::extract::{Body, Path};
use super::wire;
use crate::approvals::Reached;

pub(crate) async fn list(State(app): State<App>) -> Json<Value> {
    let plugins = app.chat.plugins.now();
    let data = plugins.described();
    let missing: Vec<Value> = plugins
        .missing()
        .iter()
        .map(|missing| json!({"plugin": missing.plugin, "error": missing.why}))
        .collect();
    let not_offered = plugins.not_offered();
    Json(json!({"object": "list", "data": data, "missing": missing, "not_offered": not_offered}))
}

/// Who asks, where a program calls a tool.
const PROGRAM: &str = "POST /v1/tools";

/// The body is the arguments; the answer is `{"result": …}`, or, with status 202, `{"approval": …}` of a call that waits for
/// a person.
pub(crate) async fn call(
    State(app): State<App>,
    Path(name): Path<String>,
    headers: HeaderMap,
    Body(body): Body,
) -> Result<(StatusCode, Json<Value>), ApiError> {
    let arguments: Value = wire::json_or("{}", &headers, &body)?;
    let plugins = app.chat.plugins.now();
    let tool = plugins.resolve(&name).ok_or_else(|| {
        ApiError::not_found(format!("no tool \"{name}\"; GET /v1/tools lists those that there are"))
            .code("tool_not_found")
    })?;
    Ok(match app.chat.approvals.call(&plugins, &tool.name, &arguments, PROGRAM).await? {
        Reached::Result(result) => (StatusCode::OK, Json(json!({"result": result}))),
        Reached::Approval(approval) => (StatusCode::ACCEPTED, Json(json!({"approval": approval}))),
    })
}

/// A guest's own error, a trap, a limit and a host fault are different statuses.
pub(super) fn failure(error: &CallError) -> ApiError {
    let message = error.to_string();
    match error {
        CallError::NeedsApproval => {
            ApiError::new(StatusCode::FORBIDDEN, error.to_string()).code("approval_required")
        }
        CallError::NotAsApproved(_) => {
            ApiError::new(StatusCode::CONFLICT, error.to_string()).code("not_as_approved")
        }
        CallError::Recorded => ApiError::new(StatusCode::CONFLICT, message).code("done_before"),
        CallError::NotRecordable(_) => ApiError::new(StatusCode::CONFLICT, message).code("not_recordable"),
        CallError::Busy(_) => ApiError::new(StatusCode::SERVICE_UNAVAILABLE, message).code("busy"),
        CallError::InDoubt(_) => ApiError::new(StatusCode::BAD_GATEWAY, message).code("in_doubt"),
        CallError::UnknownFunction { .. } => ApiError::not_found(message).code("tool_not_found"),
        CallError::Arguments { path, .. } => {
            ApiError::bad_request(message).code("invalid_arguments").param(path.clone())
        }
        CallError::Guest(_) => ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, message).code("plugin_error"),
        CallError::Trap { .. } => ApiError::new(StatusCode::BAD_GATEWAY, message).code("plugin_crashed"),
        CallError::Limit { .. } => ApiError::new(StatusCode::GATEWAY_TIMEOUT, message).code("plugin_limit"),
        CallError::Refinement(_) => ApiError::new(StatusCode::BAD_GATEWAY, message).code("plugin_error"),
        CallError::Host { .. } => {
            tracing::error!("{message}");
            ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, "the plugin host failed").code("host_fault")
        }
    }
}

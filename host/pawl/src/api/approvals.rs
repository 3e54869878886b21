//! `GET /v1/approvals` and `POST /v1/approvals/{id}`: what waits for a person, and their word on it.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use pawl_flow::{Approval, ApprovalError, Decision};
use serde::Deserialize;
use serde_json::{Value, json};

use super::App;
use super::error::ApiError;
use super::extract::{Body, Path, Query};
use super::wire;
use crate::approvals::GatedError;

/// Who decides over HTTP, where the request does not say.
const SOMEBODY: &str = "http";

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Which {
    #[serde(default)]
    all: bool,
}

/// Those that wait; with `?all=true`, the others too, the latest first.
pub(crate) async fn list(
    State(app): State<App>,
    Query(which): Query<Which>,
) -> Result<Json<Value>, ApiError> {
    let data = app.chat.approvals.list(which.all).await?;
    Ok(Json(json!({"object": "list", "data": data})))
}

/// One, with what was said of it: `audit`.
pub(crate) async fn one(State(app): State<App>, Path(id): Path<String>) -> Result<Json<Value>, ApiError> {
    let (approval, audit) = app.chat.approvals.one(&id).await?;
    let mut shown = json!(approval);
    shown["audit"] = json!(audit);
    Ok(Json(shown))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Said {
    decision: Word,
    /// Of a rejection; the model is told.
    #[serde(default)]
    reason: String,
    /// Who decides.
    by: Option<String>,
    /// Of what they were shown; another than the approval's is refused.
    digest: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Word {
    Approve,
    Reject,
}

/// Decides; an approved call is carried out before the answer, which is the approval as it then stands.
pub(crate) async fn decide(
    State(app): State<App>,
    Path(id): Path<String>,
    headers: HeaderMap,
    Body(body): Body,
) -> Result<Json<Approval>, ApiError> {
    let said: Said = wire::json(&headers, &body)?;
    let decision = match said.decision {
        Word::Approve => Decision::Approve,
        Word::Reject => Decision::Reject(said.reason),
    };
    let by = said.by.as_deref().unwrap_or(SOMEBODY);
    let shown = said.digest.as_deref();
    Ok(Json(app.chat.approvals.decide(app.chat.plugins.now(), &id, decision, by, shown).await?))
}

impl From<GatedError> for ApiError {
    fn from(error: GatedError) -> ApiError {
        let message = error.to_string();
        let inside = |message: String| {
            tracing::error!("{message}");
            ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, "the store of approvals failed")
                .code("host_fault")
        };
        match error {
            GatedError::Call(error) => super::tools::failure(&error),
            GatedError::Approval(ApprovalError::Unknown(_)) => {
                ApiError::not_found(message).code("approval_not_found")
            }
            GatedError::Approval(ApprovalError::State { .. }) => {
                ApiError::new(StatusCode::CONFLICT, message).code("approval_decided")
            }
            GatedError::Approval(ApprovalError::Own { .. }) => {
                ApiError::new(StatusCode::FORBIDDEN, message).code("own_approval")
            }
            GatedError::Approval(ApprovalError::Same { .. }) => {
                ApiError::new(StatusCode::FORBIDDEN, message).code("second_person")
            }
            GatedError::Approval(ApprovalError::Digest { .. }) => {
                ApiError::new(StatusCode::CONFLICT, message).code("not_as_approved")
            }
            GatedError::Approval(ApprovalError::Limit(_)) => {
                ApiError::new(StatusCode::TOO_MANY_REQUESTS, message).code("approval_limit")
            }
            GatedError::Gone(_) => ApiError::new(StatusCode::CONFLICT, message).code("tool_not_found"),
            GatedError::Approval(ApprovalError::Store(_) | ApprovalError::Row(_)) | GatedError::Worker(_) => {
                inside(message)
            }
        }
    }
}

//! `POST /v1/hooks/NAME`: messages of other programs, which begin workflows.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use serde_json::{Value, json};

use super::App;
use super::error::ApiError;
use super::extract::{Body, Path};
use crate::triggers::webhook::{MAX_BODY, Refused, Signed};

/// Takes a signed message; the answer, with status 202, names the run.
pub(crate) async fn receive(
    State(app): State<App>,
    Path(name): Path<String>,
    headers: HeaderMap,
    Body(body): Body,
) -> Result<(StatusCode, Json<Value>), ApiError> {
    if body.len() > MAX_BODY {
        let large = format!("the message is larger than {} KiB", MAX_BODY >> 10);
        return Err(ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, large));
    }
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let signed = Signed {
        id: text("webhook-id"),
        timestamp: text("webhook-timestamp"),
        signature: text("webhook-signature"),
        hub: text("x-hub-signature-256"),
    };
    let run = app.triggers.webhook(&name, signed, &body).await.map_err(|refused| {
        let said = refused.to_string();
        match refused {
            Refused::Unknown(_) => ApiError::not_found(said),
            Refused::Signature | Refused::Age => ApiError::new(StatusCode::UNAUTHORIZED, said),
            Refused::Body(_) => ApiError::bad_request(said),
            Refused::NoSecret => ApiError::new(StatusCode::SERVICE_UNAVAILABLE, said),
            Refused::Trigger(error) => {
                tracing::error!(trigger = name, "{error}");
                ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, "nothing was begun; the host's log says why")
            }
        }
    })?;
    Ok((StatusCode::ACCEPTED, Json(json!({"run": run}))))
}

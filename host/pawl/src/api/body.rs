//! A request's body, within the router's limit: where it is larger, the client is told so as it is told other errors.

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{FromRequest, Request};
use axum::http::StatusCode;

use super::MAX_BODY;
use super::error::ApiError;

/// All bytes of a body.
pub(crate) struct Body(pub(crate) Bytes);

impl<S: Send + Sync> FromRequest<S> for Body {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Body, ApiError> {
        let told = |rejection: BytesRejection| match rejection.status() {
            StatusCode::PAYLOAD_TOO_LARGE => {
                let message = format!("the body is larger than {} MiB; send less", MAX_BODY >> 20);
                ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, message)
            }
            status => ApiError::new(status, "the body was cut off"),
        };
        Bytes::from_request(request, state).await.map(Body).map_err(told)
    }
}

//! What handlers take of a request: its body within the router's limit, path and query. What is wrong with them is told as other
//! errors are.

use axum::body::Bytes;
use axum::extract::rejection::{BytesRejection, PathRejection, QueryRejection};
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::StatusCode;
use axum::http::request::Parts;
use serde::de::DeserializeOwned;

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

/// What stands in a path, as [`axum::extract::Path`] reads it.
pub(crate) struct Path<T>(pub(crate) T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Path<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Path<T>, ApiError> {
        let read = axum::extract::Path::from_request_parts(parts, state).await;
        read.map(|axum::extract::Path(value)| Path(value)).map_err(|refused: PathRejection| {
            ApiError::new(refused.status(), format!("the path: {}", refused.body_text()))
        })
    }
}

/// What stands behind a path, as [`axum::extract::Query`] reads it.
pub(crate) struct Query<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Query<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Query<T>, ApiError> {
        let read = axum::extract::Query::from_request_parts(parts, state).await;
        read.map(|axum::extract::Query(value)| Query(value))
            .map_err(|refused: QueryRejection| ApiError::new(refused.status(), refused.body_text()))
    }
}

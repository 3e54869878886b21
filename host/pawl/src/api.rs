//! HTTP: routes, what every route shares, and the server. One file per resource, wire types beside the handlers.
//!
//! Invariants: nothing below this module knows HTTP; every error has OpenAI's shape; a 4xx says what to change, a 5xx
//! nothing of the inside. A page in somebody's browser cannot reach a local Pawl: bodies must be `application/json`
//! (which a foreign page cannot send unasked; forms, which it can, are refused where they come from one), and on a loopback address the `Host` must be a loopback name.

mod approvals;
mod chat;
mod embeddings;
mod error;
mod extract;
mod hooks;
mod jobs;
mod models;
mod runs;
mod screenings;
mod stream;
mod tools;
mod wire;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::{get, post};
use pawl_llm::Embedder;
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::chat::Chat;
use crate::config::Config;
use crate::flow::Runs;
use crate::triggers::Triggers;
use error::ApiError;

/// The largest body that is read, in bytes.
const MAX_BODY: usize = 4 * 1024 * 1024;

/// The largest upload of résumés, in bytes; lists of items have a bound of their own.
const MAX_UPLOAD: usize = 1 << 30;

/// What the handlers share.
pub(crate) struct Shared {
    pub(crate) chat: Chat,
    /// Where the settings name an embedding model.
    pub(crate) embedder: Option<Embedder>,
    pub(crate) runs: Runs,
    pub(crate) triggers: Triggers,
    pub(crate) config: Config,
    /// Becomes true when the server stops: what would go on for ever ends.
    pub(crate) stopping: watch::Receiver<bool>,
}

type App = Arc<Shared>;

/// How long open requests may take to finish when the server stops.
const GRACE: Duration = Duration::from_secs(10);

/// Serves until [`Shared::stopping`] says so; then lets open requests finish, as long as they take no longer than [`GRACE`].
pub(crate) async fn serve(listener: TcpListener, shared: Shared) -> std::io::Result<()> {
    let loopback = listener.local_addr()?.ip().is_loopback();
    let stop = stopped(shared.stopping.clone());
    let late = stopped(shared.stopping.clone());
    let served = axum::serve(listener, router(Arc::new(shared), loopback)).with_graceful_shutdown(stop);
    tokio::select! {
        served = served => served,
        () = async { late.await; tokio::time::sleep(GRACE).await } => {
            tracing::warn!("requests that had not ended within {} s were cut off", GRACE.as_secs());
            Ok(())
        }
    }
}

/// Waits until the server stops.
async fn stopped(mut stopping: watch::Receiver<bool>) {
    // An error: nobody can stop it any more.
    if stopping.wait_for(|stopping| *stopping).await.is_err() {
        std::future::pending::<()>().await;
    }
}

fn router(shared: App, loopback: bool) -> Router {
    let mut router = Router::new()
        .route("/v1/chat/completions", post(chat::completions))
        .route("/v1/embeddings", post(embeddings::create))
        .route("/v1/models", get(models::list))
        .route("/v1/models/{name}", get(models::one))
        .route("/v1/tools", get(tools::list))
        .route("/v1/tools/{name}", post(tools::call))
        .route("/v1/approvals", get(approvals::list))
        .route("/v1/approvals/{id}", get(approvals::one).post(approvals::decide))
        .route("/v1/jobs", get(jobs::list).post(jobs::begin).layer(DefaultBodyLimit::max(MAX_UPLOAD)))
        .route("/v1/jobs/{id}", get(jobs::one).post(jobs::say).layer(DefaultBodyLimit::max(MAX_UPLOAD)))
        .route("/v1/jobs/{id}/events", get(jobs::events))
        .route("/v1/jobs/{id}/results", get(jobs::results))
        .route("/v1/workflows/{name}/runs", post(runs::begin))
        .route("/v1/runs", get(runs::list))
        .route("/v1/runs/{id}", get(runs::one))
        .route("/v1/runs/{id}/cancel", post(runs::cancel))
        .route("/v1/runs/{id}/signals/{name}", post(runs::signal))
        .route("/v1/runs/{id}/steps/{step}", post(runs::resolve))
        .route("/v1/hooks/{name}", post(hooks::receive))
        .route("/healthz", get(|| async { "ok" }))
        .route("/readyz", get(ready))
        .route("/", get(|| async { Html(include_str!("api/index.html")) }))
        .fallback(|request: Request| async move {
            ApiError::not_found(format!("no such path: {} {}", request.method(), request.uri().path()))
        })
        .method_not_allowed_fallback(|request: Request| async move {
            ApiError::new(
                StatusCode::METHOD_NOT_ALLOWED,
                format!("{} does not take {}", request.uri().path(), request.method()),
            )
        })
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .with_state(shared);
    if loopback {
        router = router.layer(middleware::from_fn(only_loopback_hosts));
    }
    router
}

/// Ready: the model and every plugin of the settings are loaded, and what workflows do can be written down.
async fn ready(State(app): State<App>) -> Response {
    if let Some(trouble) = app.runs.trouble() {
        let text = format!("the record of workflows cannot be written: {trouble}");
        return (StatusCode::SERVICE_UNAVAILABLE, text).into_response();
    }
    match app.chat.plugins.now().missing() {
        [] => "ready".into_response(),
        missing => {
            let names: Vec<&str> = missing.iter().map(|missing| missing.plugin.as_str()).collect();
            let text = format!("plugins not loaded: {}; see `pawl doctor`", names.join(", "));
            (StatusCode::SERVICE_UNAVAILABLE, text).into_response()
        }
    }
}

/// Refuses names that resolve to this machine from elsewhere (DNS rebinding).
async fn only_loopback_hosts(request: Request, next: Next) -> Response {
    let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or("");
    let name = host.rsplit_once(':').filter(|(_, port)| port.bytes().all(|b| b.is_ascii_digit()));
    let name = name.map_or(host, |(name, _)| name).trim_matches(['[', ']']);
    let local = name == "localhost" || name.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback());
    if !local {
        return ApiError::new(
            StatusCode::FORBIDDEN,
            format!("host \"{host}\" is not this machine; call http://127.0.0.1 or http://localhost"),
        )
        .into_response();
    }
    next.run(request).await
}

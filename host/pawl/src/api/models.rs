//! `GET /v1/models`: the models that are loaded, that of the chat and, where the settings name one, that of embeddings.

use axum::Json;
use axum::extract::State;
use serde_json::{Value, json};

use super::App;
use super::error::ApiError;
use super::extract::Path;

pub(crate) async fn list(State(app): State<App>) -> Json<Value> {
    let entries: Vec<Value> = [entry(&app)].into_iter().chain(embeddings(&app)).collect();
    Json(json!({"object": "list", "data": entries}))
}

pub(crate) async fn one(State(app): State<App>, Path(name): Path<String>) -> Result<Json<Value>, ApiError> {
    if let Some(entry) = embeddings(&app).filter(|entry| entry["id"] == name.as_str()) {
        return Ok(Json(entry));
    }
    known(&app, &name)?;
    Ok(Json(entry(&app)))
}

/// Whether a chat request's model is the one that is here.
pub(crate) fn known(app: &App, name: &str) -> Result<(), ApiError> {
    let here = &app.chat.llm.info().name;
    if name == here || name == ALIAS {
        return Ok(());
    }
    Err(ApiError::not_found(format!("no model \"{name}\" here; use \"{here}\" or \"{ALIAS}\""))
        .code("model_not_found")
        .param("model"))
}

/// A name for whichever model is loaded.
pub(crate) const ALIAS: &str = "default";

fn entry(app: &App) -> Value {
    let info = app.chat.llm.info();
    json!({"id": info.name, "object": "model", "created": 0, "owned_by": "pawl",
        "pawl": {"architecture": info.architecture, "context": info.context}})
}

fn embeddings(app: &App) -> Option<Value> {
    let info = app.embedder.as_ref()?.info();
    Some(json!({"id": info.name, "object": "model", "created": 0, "owned_by": "pawl",
        "pawl": {"architecture": info.architecture, "context": info.max_tokens, "dimensions": info.dimensions}}))
}

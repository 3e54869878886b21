//! `GET /v1/models`: the model that is loaded.

use axum::Json;
use axum::extract::{Path, State};
use serde_json::{Value, json};

use super::App;
use super::error::ApiError;

pub(crate) async fn list(State(app): State<App>) -> Json<Value> {
    Json(json!({"object": "list", "data": [entry(&app)]}))
}

pub(crate) async fn one(State(app): State<App>, Path(name): Path<String>) -> Result<Json<Value>, ApiError> {
    known(&app, &name)?;
    Ok(Json(entry(&app)))
}

/// Whether a request's model is the one that is here.
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
const ALIAS: &str = "default";

fn entry(app: &App) -> Value {
    let info = app.chat.llm.info();
    json!({"id": info.name, "object": "model", "created": 0, "owned_by": "pawl",
        "pawl": {"architecture": info.architecture, "context": info.context}})
}

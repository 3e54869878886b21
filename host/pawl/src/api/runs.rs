//! `POST /v1/workflows/{name}/runs`, `GET /v1/runs…`, and what one says to a run: signals, cancelling, a step in doubt.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use pawl_flow::{Failure, FlowError, Resolution, Run, RunId, Sources, Start};
use serde::Deserialize;
use serde_json::{Value, json};

use super::App;
use super::error::ApiError;
use super::extract::{Body, Path, Query};
use super::wire;
use crate::flow::{check, scripts};

/// Steps of one answer.
const PAGE: usize = 1_000;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Begin {
    #[serde(default)]
    input: Value,
    /// Who begins it; they cannot approve what it asks for.
    by: Option<String>,
    /// A second request with the same key gives the first one's run.
    key: Option<String>,
}

/// Begins a run; the answer, with status 202, is the run as it then stands.
pub(crate) async fn begin(
    State(app): State<App>,
    Path(name): Path<String>,
    headers: HeaderMap,
    Body(body): Body,
) -> Result<(StatusCode, Json<Run>), ApiError> {
    let begin: Begin = wire::json_or("{}", &headers, &body)?;
    let sources = script(&app, &name).await?;
    let start = Start {
        requester: begin.by.unwrap_or_else(|| format!("workflow {name}")),
        origin: begin.key.map(|key| format!("http {name} {key}")),
        sources,
        input: begin.input,
        document: None,
        detached: false,
    };
    let run = app.runs.ask(move |orchestrator| {
        let id = orchestrator.start(start)?;
        orchestrator.run(id)
    });
    Ok((StatusCode::ACCEPTED, Json(run.await?)))
}

/// A flow of the folder, checked.
pub(super) async fn script(app: &App, name: &str) -> Result<Sources, ApiError> {
    let (folder, plugins, name) =
        (app.config.workflows.folder.clone(), app.chat.plugins.now(), name.to_owned());
    let found = tokio::task::spawn_blocking(move || {
        let sources = scripts::by_name(&folder, &name)?;
        let tools: Vec<_> = plugins.tools().cloned().collect();
        let wrong = check::check(&sources, &tools, &folder);
        Ok::<_, Failure>((sources, wrong))
    });
    let found = found.await.map_err(|error| inside(&error.to_string()))?;
    let (sources, wrong) =
        found.map_err(|failure| ApiError::not_found(failure.message).code("workflow_not_found"))?;
    match wrong.first() {
        None => Ok(sources),
        Some(first) => {
            Err(ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, first.to_string()).code("script_error"))
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Which {
    #[serde(default)]
    open: bool,
    limit: Option<usize>,
}

/// The latest runs; with `?open=true`, those that have not ended.
pub(crate) async fn list(
    State(app): State<App>,
    Query(which): Query<Which>,
) -> Result<Json<Value>, ApiError> {
    let most = which.limit.unwrap_or(100).min(PAGE);
    let list = app.runs.ask(move |orchestrator| orchestrator.runs(which.open, most)).await?;
    Ok(Json(json!({"object": "list", "data": list})))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct From {
    #[serde(default)]
    from: usize,
}

/// One run with its steps, a thousand from `?from=` on, and those that wait.
pub(crate) async fn one(
    State(app): State<App>,
    Path(id): Path<String>,
    Query(From { from }): Query<From>,
) -> Result<Json<Value>, ApiError> {
    let id: RunId = id.parse()?;
    let (run, steps) = app
        .runs
        .ask(move |orchestrator| Ok((orchestrator.run(id)?, orchestrator.steps(id, from, PAGE)?)))
        .await?;
    let mut shown = json!(run);
    shown["steps"] = json!(steps);
    Ok(Json(shown))
}

/// The body is what the signal carries.
pub(crate) async fn signal(
    State(app): State<App>,
    Path((id, name)): Path<(String, String)>,
    headers: HeaderMap,
    Body(body): Body,
) -> Result<(StatusCode, Json<Value>), ApiError> {
    let id: RunId = id.parse()?;
    let payload: Value = wire::json_or("null", &headers, &body)?;
    app.runs.ask(move |orchestrator| orchestrator.signal(id, &name, &payload)).await?;
    Ok((StatusCode::ACCEPTED, Json(json!({"run": id}))))
}

/// Stops a run and its children.
pub(crate) async fn cancel(
    State(app): State<App>,
    Path(id): Path<String>,
    headers: HeaderMap,
    Body(body): Body,
) -> Result<(StatusCode, Json<Value>), ApiError> {
    let id: RunId = id.parse()?;
    let _: Value = wire::json_or("{}", &headers, &body)?;
    app.runs.ask(move |orchestrator| orchestrator.cancel(id)).await?;
    Ok((StatusCode::ACCEPTED, Json(json!({"run": id}))))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Said {
    resolve: Word,
    /// What the step gave, where it is `done`.
    #[serde(default)]
    value: Value,
    by: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Word {
    Retry,
    Done,
    Fail,
}

/// A person says what became of a step that is in doubt.
pub(crate) async fn resolve(
    State(app): State<App>,
    Path((id, step)): Path<(String, String)>,
    headers: HeaderMap,
    Body(body): Body,
) -> Result<Json<Value>, ApiError> {
    let id: RunId = id.parse()?;
    let said: Said = wire::json(&headers, &body)?;
    let resolution = match said.resolve {
        Word::Retry => Resolution::Retry,
        Word::Done => Resolution::Done(said.value),
        Word::Fail => Resolution::Fail,
    };
    let by = said.by.unwrap_or_else(|| "http".to_owned());
    app.runs.ask(move |orchestrator| orchestrator.resolve(id, &step, resolution, &by)).await?;
    Ok(Json(json!({"run": id})))
}

impl std::convert::From<FlowError> for ApiError {
    fn from(error: FlowError) -> ApiError {
        let message = error.to_string();
        match error {
            FlowError::Unknown(_) => ApiError::not_found(message).code("run_not_found"),
            FlowError::UnknownJob(_) => ApiError::not_found(message).code("job_not_found"),
            FlowError::State { .. } => ApiError::new(StatusCode::CONFLICT, message).code("run_ended"),
            FlowError::NotInDoubt { .. } => ApiError::new(StatusCode::CONFLICT, message).code("not_in_doubt"),
            FlowError::Script(_) => {
                ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, message).code("script_error")
            }
            FlowError::Limit(_) => ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, message).code("limit"),
            FlowError::Job(_) => ApiError::bad_request(message).code("job"),
            FlowError::Store(_) | FlowError::Approvals(_) | FlowError::Folder { .. } => inside(&message),
        }
    }
}

fn inside(message: &str) -> ApiError {
    tracing::error!("{message}");
    ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, "the store of runs failed").code("host_fault")
}

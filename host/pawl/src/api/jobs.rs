//! `POST /v1/jobs` and what is asked and said of a job: its progress, events, results; more items, a pause.

use std::convert::Infallible;
use std::time::Duration;

use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures::stream::{self, Stream};
use pawl_flow::{Job, JobId, JobState, NewItem, NewJob};
use serde::Deserialize;
use serde_json::{Value, json};

use super::App;
use super::error::ApiError;
use super::runs::script;
use super::wire;

/// Items of one page of results.
const PAGE: usize = 500;
/// Between two events.
const EVENT: Duration = Duration::from_millis(500);

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Begin {
    /// The flow that is run for every item: it sees `input.item` and `input.job`.
    workflow: String,
    /// What all items share.
    #[serde(default)]
    input: Value,
    items: Vec<Given>,
    name: Option<String>,
    at_once: Option<u32>,
    attempts: Option<u32>,
    by: Option<String>,
    /// A second request with the same key adds its items to the first one's job.
    key: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Given {
    name: String,
    #[serde(default)]
    input: Value,
}

fn items(given: Vec<Given>) -> Vec<NewItem> {
    given.into_iter().map(|Given { name, input }| NewItem { name, input }).collect()
}

/// Begins a job; the answer, with status 202, is the job as it then stands.
pub(crate) async fn begin(
    State(app): State<App>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<(StatusCode, Json<Job>), ApiError> {
    let begin: Begin = wire::json(&headers, &body)?;
    if begin.items.is_empty() {
        return Err(ApiError::bad_request("a job needs items: [{\"name\": …, \"input\": …}]").param("items"));
    }
    let sources = script(&app, &begin.workflow).await?;
    let new = NewJob {
        name: begin.name.unwrap_or_else(|| begin.workflow.clone()),
        sources,
        input: begin.input,
        requester: begin.by.unwrap_or_else(|| format!("workflow {}", begin.workflow)),
        origin: begin.key.map(|key| format!("http {} {key}", begin.workflow)),
        at_once: begin.at_once.unwrap_or(4),
        attempts: begin.attempts.unwrap_or(2),
    };
    let items = items(begin.items);
    let job = app.runs.ask(move |orchestrator| {
        let id = orchestrator.begin_job(new)?;
        orchestrator.add_items(id, items)?;
        orchestrator.job(id)
    });
    Ok((StatusCode::ACCEPTED, Json(job.await?)))
}

/// The latest jobs.
pub(crate) async fn list(State(app): State<App>) -> Result<Json<Value>, ApiError> {
    let list = app.runs.ask(|orchestrator| orchestrator.jobs(100)).await?;
    Ok(Json(json!({"object": "list", "data": list})))
}

/// One job, with how many of its items stand where.
pub(crate) async fn one(State(app): State<App>, Path(id): Path<String>) -> Result<Json<Job>, ApiError> {
    let id: JobId = id.parse()?;
    Ok(Json(app.runs.ask(move |orchestrator| orchestrator.job(id)).await?))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, tag = "do", rename_all = "lowercase")]
enum Word {
    /// More items, also to a job that is done.
    Add {
        /// Those whose names are there already are left out.
        items: Vec<Given>,
    },
    /// Begin no more items.
    Pause,
    /// Go on.
    Resume,
    /// What failed, once more.
    Retry,
}

/// Says something to a job; the answer is the job as it then stands.
pub(crate) async fn say(
    State(app): State<App>,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Json<Job>, ApiError> {
    let id: JobId = id.parse()?;
    let word: Word = wire::json(&headers, &body)?;
    let said = app.runs.ask(move |orchestrator| {
        match word {
            Word::Add { items: given } => orchestrator.add_items(id, items(given)).map(drop)?,
            Word::Pause => orchestrator.pause(id, true).map(drop)?,
            Word::Resume => orchestrator.pause(id, false).map(drop)?,
            Word::Retry => orchestrator.retry_failed(id).map(drop)?,
        }
        orchestrator.job(id)
    });
    Ok(Json(said.await?))
}

/// The job as it stands, whenever that changes, until it is done.
pub(crate) async fn events(
    State(app): State<App>,
    Path(id): Path<String>,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, ApiError> {
    let id: JobId = id.parse()?;
    app.runs.ask(move |orchestrator| orchestrator.job(id)).await?;
    let next = move |(app, last): (App, Option<Job>)| async move {
        if last.as_ref().is_some_and(|last| last.state == JobState::Done) {
            return None;
        }
        loop {
            let job = app.runs.ask(move |orchestrator| orchestrator.job(id)).await.ok()?;
            if last.as_ref() != Some(&job) {
                let event = Event::default().json_data(&job).ok()?;
                return Some((Ok(event), (app, Some(job))));
            }
            tokio::time::sleep(EVENT).await;
        }
    };
    Ok(Sse::new(stream::unfold((app, None), next)).keep_alive(KeepAlive::default()))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Which {
    state: Option<String>,
}

/// The items with what came of them, as JSON lines in the order of their numbers; `?state=failed` gives those.
pub(crate) async fn results(
    State(app): State<App>,
    Path(id): Path<String>,
    Query(which): Query<Which>,
) -> Result<Response, ApiError> {
    let id: JobId = id.parse()?;
    app.runs.ask(move |orchestrator| orchestrator.job(id)).await?;
    let next = move |(app, from): (App, Option<u64>)| {
        let state = which.state.clone();
        async move {
            let from = from?;
            let page =
                app.runs.ask(move |orchestrator| orchestrator.items(id, state.as_deref(), from, PAGE)).await;
            let page = page.ok()?;
            let after = page.last().filter(|_| page.len() == PAGE).map(|item| item.n + 1);
            let lines: String = page.iter().map(|item| format!("{}\n", json!(item))).collect();
            Some((Ok::<_, Infallible>(lines), (app, after)))
        }
    };
    let body = Body::from_stream(stream::unfold((app, Some(0)), next));
    Ok(([(header::CONTENT_TYPE, "application/x-ndjson")], body).into_response())
}

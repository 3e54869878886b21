//! `POST /v1/jobs` and what is asked and said of a job: its progress, events, results; more items, a pause.

use std::convert::Infallible;
use std::path::PathBuf;
use std::time::Duration;

use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract::{FromRequest, Multipart, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures::stream::{self, Stream};
use pawl_flow::{Document, Job, JobId, JobState, NewItem, NewJob};
use serde::Deserialize;
use serde_json::{Value, json};

use super::App;
use super::error::ApiError;
use super::extract::{Path, Query};
use super::runs::script;
use super::{screenings, wire};
use crate::config::Config;
use crate::screen::ScreenError;

/// Items of one page of results.
const PAGE: usize = 500;
/// The largest list of items, in bytes.
const MAX_JOB: usize = 32 * 1024 * 1024;
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
    #[serde(default)]
    items: Vec<Given>,
    /// A collection, each document of which is an item.
    documents: Option<String>,
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
    /// The document that the item is about: its run sees no other of that collection.
    document: Option<Named>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Named {
    /// One that the settings grant to a plugin.
    collection: String,
    id: String,
}

async fn named(app: &App, given: Vec<Given>) -> Result<Vec<NewItem>, ApiError> {
    let config = app.config.clone();
    let named = tokio::task::spawn_blocking(move || items(&config, given)).await;
    named.map_err(|error| ScreenError::Host(error.to_string()))?
}

/// Blocks.
fn items(config: &Config, given: Vec<Given>) -> Result<Vec<NewItem>, ApiError> {
    let item = |Given { name, input, document }| {
        let document = document.map(|named| document_of(config, named)).transpose()?;
        Ok(NewItem { name, input, document })
    };
    given.into_iter().map(item).collect()
}

/// A document of a collection that the operator granted; no other file can be named.
fn document_of(config: &Config, named: Named) -> Result<Document, ApiError> {
    let Named { collection, id } = named;
    let folder = granted(config, &collection)?;
    if !pawl_plugin::is_document_id(&id) {
        return Err(ApiError::bad_request(format!("\"{id}\" is no name of a document")).param("items"));
    }
    Ok(Document { file: folder.join(id), collection })
}

/// The folder of a collection that is granted.
fn granted(config: &Config, collection: &str) -> Result<PathBuf, ApiError> {
    let grants = config.plugins.iter().filter_map(|plugin| plugin.grant.documents.get(collection));
    let folders: std::collections::BTreeSet<&PathBuf> = grants.collect();
    let refused =
        |why: &str| ApiError::bad_request(format!("documents \"{collection}\" {why}")).param("documents");
    match folders.into_iter().collect::<Vec<_>>()[..] {
        // Links in its path are followed now, and not when a plugin reads.
        [folder] => folder.canonicalize().map_err(|error| refused(&format!("cannot be read: {error}"))),
        [] => Err(refused("are granted to no plugin; the settings say which are")),
        _ => {
            Err(refused("are different folders for different plugins; grant one of them under another name"))
        }
    }
}

/// An item for each document of a collection.
async fn all_of(app: &App, collection: String) -> Result<Vec<NewItem>, ApiError> {
    let config = app.config.clone();
    let read = move || {
        let folder = granted(&config, &collection)?;
        let entries = std::fs::read_dir(&folder).map_err(|error| ScreenError::Host(error.to_string()))?;
        let mut names: Vec<String> = entries
            .flatten()
            .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_file()))
            .filter_map(|entry| entry.file_name().into_string().ok())
            .filter(|name| !name.starts_with('.'))
            .collect();
        names.sort();
        let document = |name: &String| Document { collection: collection.clone(), file: folder.join(name) };
        let item =
            |name: String| NewItem { input: json!({"id": name}), document: Some(document(&name)), name };
        Ok::<_, ApiError>(names.into_iter().map(item).collect())
    };
    tokio::task::spawn_blocking(read).await.map_err(|error| ScreenError::Host(error.to_string()))?
}

/// What a request brings.
enum Sent {
    Form(Multipart),
    Json(HeaderMap, Bytes),
}

impl Sent {
    async fn of(request: Request) -> Result<Sent, ApiError> {
        let is_form = |headers: &HeaderMap| {
            let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
            kind.is_some_and(|kind| kind.trim_start().to_ascii_lowercase().starts_with("multipart/form-data"))
        };
        if is_form(request.headers()) {
            screenings::refuse_foreign_pages(request.headers())?;
            let form = Multipart::from_request(request, &()).await;
            return form.map(Sent::Form).map_err(|error| ApiError::bad_request(error.body_text()));
        }
        let (parts, body) = request.into_parts();
        let body = axum::body::to_bytes(body, MAX_JOB).await.map_err(|_| {
            let large = format!("the body is larger than {} MiB, or was cut off", MAX_JOB >> 20);
            ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, large)
        })?;
        Ok(Sent::Json(parts.headers, body))
    }
}

/// Begins a job; the answer, with status 202, is the job as it then stands. A body of JSON names a workflow and items; a form brings
/// requirements and résumés.
pub(crate) async fn begin(
    State(app): State<App>,
    request: Request,
) -> Result<(StatusCode, Json<Job>), ApiError> {
    let (headers, body) = match Sent::of(request).await? {
        Sent::Form(form) => return Ok((StatusCode::ACCEPTED, Json(screenings::begin(&app, form).await?))),
        Sent::Json(headers, body) => (headers, body),
    };
    let begin: Begin = wire::json(&headers, &body)?;
    let mut items = named(&app, begin.items).await?;
    if let Some(collection) = begin.documents {
        items.extend(all_of(&app, collection).await?);
    }
    if items.is_empty() {
        let lacks =
            "a job needs items: [{\"name\": …, \"input\": …}], or documents: a collection that has some";
        return Err(ApiError::bad_request(lacks).param("items"));
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
    request: Request,
) -> Result<Json<Job>, ApiError> {
    let id: JobId = id.parse()?;
    let (headers, body) = match Sent::of(request).await? {
        Sent::Form(form) => return Ok(Json(screenings::add(&app, id, form).await?)),
        Sent::Json(headers, body) => (headers, body),
    };
    let mut word: Word = wire::json(&headers, &body)?;
    let more = match &mut word {
        Word::Add { items: given } => named(&app, std::mem::take(given)).await?,
        _ => Vec::new(),
    };
    let said = app.runs.ask(move |orchestrator| {
        match word {
            Word::Add { .. } => orchestrator.add_items(id, more).map(drop)?,
            Word::Pause => orchestrator.pause(id, true).map(drop)?,
            Word::Resume => orchestrator.pause(id, false).map(drop)?,
            Word::Retry => orchestrator.retry_failed(id).map(drop)?,
        }
        orchestrator.job(id)
    });
    Ok(Json(said.await?))
}

/// The job as it stands, whenever that changes, until it is done or the server stops.
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
            tokio::select! {
                () = tokio::time::sleep(EVENT) => {}
                () = super::stopped(app.stopping.clone()) => return None,
            }
        }
    };
    Ok(Sse::new(stream::unfold((app, None), next)).keep_alive(KeepAlive::default()))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Which {
    state: Option<String>,
    #[serde(rename = "as")]
    form: Option<screenings::As>,
}

/// The items with what came of them, as JSON lines in the order of their numbers; `?state=failed` gives those. Of a screening,
/// `?as=html` and `?as=csv` give the ranking.
pub(crate) async fn results(
    State(app): State<App>,
    Path(id): Path<String>,
    Query(which): Query<Which>,
) -> Result<Response, ApiError> {
    let id: JobId = id.parse()?;
    if let Some(form) = which.form {
        return screenings::ranking(&app, id, form).await;
    }
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

//! Screenings over HTTP: a form brings requirements and résumés, which become a job; its results are read as a page or a table.
//!
//! Invariants: what is uploaded lies in a folder of its own under the data folder, under a name without a path; a form from a page of
//! another site is refused.

use std::collections::{HashMap, HashSet};
use std::io::Write;
use std::path::{Path, PathBuf};

use axum::extract::Multipart;
use axum::extract::multipart::{Field, MultipartError};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use pawl_flow::{Item, Job, JobId, NewItem};
use serde::Deserialize;
use tempfile::TempDir;

use super::App;
use super::error::ApiError;
use crate::plugins::make_private;
use crate::screen::ranking::Ranking;
use crate::screen::{self, ScreenError, Shared, report, requirements};

/// The largest résumé, in bytes: what the plugin reads.
const MAX_RESUME: usize = 16 << 20;
/// Résumés of one form.
const MAX_RESUMES: usize = 1_000;
/// Bytes of each other part.
const MAX_PART: usize = 64 << 10;
/// Résumés that are read at the same time.
const AT_ONCE: u32 = 2;

impl From<ScreenError> for ApiError {
    fn from(error: ScreenError) -> ApiError {
        let said = error.to_string();
        match error {
            ScreenError::Requirements { .. } => ApiError::bad_request(said).param("requirements"),
            ScreenError::Plugin(_) | ScreenError::Flow(_) => {
                ApiError::new(StatusCode::CONFLICT, said).code("not_configured")
            }
            ScreenError::Folder { .. } | ScreenError::NoFile { .. } | ScreenError::Host(_) => inside(&said),
        }
    }
}

fn inside(why: &str) -> ApiError {
    tracing::error!("{why}");
    ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, "the host failed; its log says why")
}

/// Refuses a form that a page of another site sends: it could, unasked.
pub(super) fn refuse_foreign_pages(headers: &HeaderMap) -> Result<(), ApiError> {
    let text = |name| headers.get(name).map(|value| value.to_str().unwrap_or("?"));
    let host = text(header::HOST).unwrap_or_default();
    let own =
        |origin: &str| origin.split_once("://").is_some_and(|(_, from)| from.eq_ignore_ascii_case(host));
    match text(header::ORIGIN) {
        Some(origin) if !own(origin) => {
            let foreign = format!(
                "a form from \"{origin}\" is refused; send it from a page of {host}, or from a program"
            );
            Err(ApiError::new(StatusCode::FORBIDDEN, foreign))
        }
        _ => Ok(()),
    }
}

/// What a form brought.
struct Upload {
    /// Removed with what is in it, unless it is kept.
    folder: TempDir,
    resumes: Vec<(String, PathBuf)>,
    /// The name of the file and its content.
    requirements: Option<(String, Vec<u8>)>,
    fields: HashMap<String, String>,
}

impl Upload {
    async fn read(app: &App, mut parts: Multipart) -> Result<Upload, ApiError> {
        let uploads = app.config.home.uploads();
        let make = move || {
            make_private(&uploads).map_err(|error| error.to_string())?;
            TempDir::new_in(&uploads).map_err(|error| error.to_string())
        };
        let folder = blocking(make).await?;
        let mut form = Upload { folder, resumes: Vec::new(), requirements: None, fields: HashMap::new() };
        while let Some(part) = parts.next_field().await.map_err(refused)? {
            form.take(part).await?;
        }
        if form.resumes.is_empty() {
            return Err(ApiError::bad_request(
                "no résumé is in the form: send each as a part `resumes` with its file name",
            )
            .param("resumes"));
        }
        Ok(form)
    }

    async fn take(&mut self, part: Field<'_>) -> Result<(), ApiError> {
        let named = part.name().unwrap_or_default().to_owned();
        let file = part.file_name().map(str::to_owned);
        match named.as_str() {
            "resumes" => {
                let name = file_name(&file.unwrap_or_default())?;
                if self.resumes.len() >= MAX_RESUMES {
                    let many = format!(
                        "more than {MAX_RESUMES} résumés in one form; send the others to the job that it begins"
                    );
                    return Err(ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, many).param("resumes"));
                }
                let content = content(part, &name, MAX_RESUME).await?;
                // A number each: one form may bring two files of one name.
                let folder = self.folder.path().join(self.resumes.len().to_string());
                let path = folder.join(&name);
                let target = path.clone();
                let write = move || {
                    std::fs::create_dir(folder)?;
                    std::fs::File::create_new(target)?.write_all(&content)
                };
                blocking(move || write().map_err(|error: std::io::Error| error.to_string())).await?;
                self.resumes.push((name, path));
            }
            "requirements" => {
                let content = content(part, "requirements", MAX_PART).await?;
                self.requirements = Some((file.unwrap_or_else(|| "requirements".to_owned()), content));
            }
            "name" | "by" | "key" | "blind" => {
                let text = String::from_utf8(content(part, &named, MAX_PART).await?);
                let text = text.map_err(|_| {
                    ApiError::bad_request(format!("{named} is no UTF-8 text")).param(named.clone())
                })?;
                self.fields.insert(named, text.trim().to_owned());
            }
            _ => {
                let known =
                    format!("no part \"{named}\" is known: requirements, resumes, name, by, key, blind");
                return Err(ApiError::bad_request(known).param(named));
            }
        }
        Ok(())
    }

    /// Gives a job the résumés that it does not have yet.
    async fn add_to(self, app: &App, id: JobId) -> Result<Job, ApiError> {
        // Before the job knows of them: what it needs does not go with a client that hangs up. What it does not need goes afterwards.
        let (folder, resumes) = (self.folder.keep(), self.resumes);
        // Another form may bring files of the same names at the same moment: then names are chosen once more.
        for _ in 0..8 {
            let (there, sent) = (app.runs.items(id, None).await?, resumes.clone());
            let items = blocking(move || new_items(there, &sent)).await?;
            let count = items.len();
            if app.runs.ask(move |orchestrator| orchestrator.add_items(id, items)).await? == count {
                let there = app.runs.items(id, None).await?;
                blocking(move || delete_others(&folder, &resumes, there)).await?;
                return Ok(app.runs.ask(move |orchestrator| orchestrator.job(id)).await?);
            }
        }
        Err(ApiError::new(
            StatusCode::CONFLICT,
            format!("too many forms bring files of the same names to job {id}; send this again"),
        ))
    }
}

/// Deletes what of an upload no item of its job is about. Blocks.
fn delete_others(folder: &Path, resumes: &[(String, PathBuf)], items: Vec<Item>) -> Result<(), String> {
    let needed: HashSet<PathBuf> =
        items.into_iter().filter_map(|item| item.document).map(|document| document.file).collect();
    for own in resumes.iter().filter(|(_, file)| !needed.contains(file)).filter_map(|(_, file)| file.parent())
    {
        std::fs::remove_dir_all(own).map_err(|error| error.to_string())?;
    }
    // Where nothing of it is needed.
    let _ = std::fs::remove_dir(folder);
    Ok(())
}

/// The résumés that a job does not have yet. One of another content and the same name gets a number. Blocks.
fn new_items(there: Vec<Item>, resumes: &[(String, PathBuf)]) -> Result<Vec<NewItem>, String> {
    let mut there: HashMap<String, Known> = there
        .into_iter()
        .map(|Item { name, document, .. }| {
            (name, Known { file: document.map(|document| document.file), digest: None })
        })
        .collect();
    let mut numbers: HashMap<&str, u32> = HashMap::new();
    let mut new = Vec::new();
    for (name, path) in resumes {
        let content = pawl_flow::content(path).map_err(|error| error.to_string())?;
        // A name that was numbered for another file goes on from there.
        let first = *numbers.get(name.as_str()).unwrap_or(&1);
        let mut number = if there.get_mut(name).is_some_and(|known| known.is(&content)) { 1 } else { first };
        let free = loop {
            let free = if number == 1 { name.clone() } else { numbered(name, number) };
            match there.get_mut(&free) {
                None => break Some(free),
                Some(known) => {
                    if known.is(&content) {
                        break None;
                    }
                    number += 1;
                }
            }
        };
        numbers.insert(name, number);
        if let Some(free) = free {
            there.insert(free.clone(), Known { file: Some(path.clone()), digest: Some(content) });
            new.push(screen::item(free, path.clone()));
        }
    }
    Ok(new)
}

/// A document of a job, and its digest once somebody asked for it.
struct Known {
    file: Option<PathBuf>,
    digest: Option<String>,
}

impl Known {
    fn is(&mut self, content: &str) -> bool {
        let (digest, file) = (&mut self.digest, &self.file);
        if digest.is_none() {
            *digest = file.as_ref().and_then(|file| pawl_flow::content(file).ok());
        }
        digest.as_deref() == Some(content)
    }
}

/// Begins a screening.
pub(super) async fn begin(app: &App, parts: Multipart) -> Result<Job, ApiError> {
    let mut form = Upload::read(app, parts).await?;
    let Some((name, content)) = form.requirements.take() else {
        let lacks = "no requirements are in the form: send a part `requirements`, a text with one a line, or criteria as a file .json or .toml";
        return Err(ApiError::bad_request(lacks).param("requirements"));
    };
    let blind = match form.fields.get("blind").map(String::as_str) {
        None | Some("true" | "") => true,
        Some("false") => false,
        Some(other) => {
            return Err(
                ApiError::bad_request(format!("blind is \"{other}\"; give true or false")).param("blind")
            );
        }
    };
    let plugin = screen::plugin(&app.chat.plugins.now())?;
    let shared = Shared { rubric: requirements::of(&name, &content, &plugin).await?, blind };
    let field = |name: &str| form.fields.get(name).filter(|text| !text.is_empty()).cloned();
    let new = screen::job(
        field("name").unwrap_or_else(|| "Screening".to_owned()),
        &app.config.workflows.folder,
        &shared,
        field("by").unwrap_or_else(|| "screening".to_owned()),
        field("key").map(|key| format!("http screen {key}")),
        AT_ONCE,
    )?;
    let id = app.runs.ask(move |orchestrator| orchestrator.begin_job(new)).await?;
    let job = app.runs.ask(move |orchestrator| orchestrator.job(id)).await?;
    if Shared::of(&job).as_ref() != Some(&shared) {
        let other = format!("job {id} was begun with this key and other requirements; give another key");
        return Err(ApiError::new(StatusCode::CONFLICT, other).param("key"));
    }
    form.add_to(app, id).await
}

/// Adds résumés to a screening, also to one that is done.
pub(super) async fn add(app: &App, id: JobId, parts: Multipart) -> Result<Job, ApiError> {
    shared(app, id).await?;
    let form = Upload::read(app, parts).await?;
    if form.requirements.is_some() || !form.fields.is_empty() {
        return Err(ApiError::bad_request(format!(
            "job {id} has its requirements; send only résumés, or begin another job"
        )));
    }
    form.add_to(app, id).await
}

/// How a ranking is shown.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum As {
    Html,
    Csv,
    Jsonl,
}

/// The ranking of a screening as far as it has come.
pub(super) async fn ranking(app: &App, id: JobId, form: As) -> Result<Response, ApiError> {
    let (job, shared) = shared(app, id).await?;
    let items = app.runs.items(id, None).await?;
    let made = blocking(move || {
        let ranking = Ranking::of(&job, &shared, items);
        let made = match form {
            As::Html => report::html(&ranking),
            As::Csv => report::csv(&ranking),
            As::Jsonl => Ok(report::jsonl(&ranking)),
        };
        made.map_err(|error| error.to_string())
    });
    let kind = match form {
        As::Html => "text/html; charset=utf-8",
        As::Csv => "text/csv; charset=utf-8",
        As::Jsonl => "application/x-ndjson",
    };
    let policy = "default-src 'none'; style-src 'unsafe-inline'";
    Ok(([(header::CONTENT_TYPE, kind), (header::CONTENT_SECURITY_POLICY, policy)], made.await?)
        .into_response())
}

async fn shared(app: &App, id: JobId) -> Result<(Job, Shared), ApiError> {
    let job = app.runs.ask(move |orchestrator| orchestrator.job(id)).await?;
    match Shared::of(&job) {
        Some(shared) => Ok((job, shared)),
        None => Err(ApiError::new(StatusCode::CONFLICT, format!("job {id} is no screening"))),
    }
}

/// The last part of a path that a client sends, if plugins can be told it.
fn file_name(sent: &str) -> Result<String, ApiError> {
    let name = sent.rsplit(['/', '\\']).next().unwrap_or_default().trim();
    if name.is_empty() || name.starts_with('.') || name.len() > 200 || name.chars().any(char::is_control) {
        let wrong = format!(
            "\"{}\" is no name of a résumé: each part `resumes` needs a file name of at most 200 bytes that does not begin with a dot",
            sent.escape_debug()
        );
        return Err(ApiError::bad_request(wrong).param("resumes"));
    }
    Ok(name.to_owned())
}

/// `a.pdf` to `a (2).pdf`.
fn numbered(name: &str, number: u32) -> String {
    match name.rsplit_once('.') {
        Some((stem, ending)) => format!("{stem} ({number}).{ending}"),
        None => format!("{name} ({number})"),
    }
}

async fn content(mut part: Field<'_>, name: &str, most: usize) -> Result<Vec<u8>, ApiError> {
    let mut content = Vec::new();
    while let Some(bytes) = part.chunk().await.map_err(refused)? {
        if content.len() + bytes.len() > most {
            let large = format!("{name} is larger than {} KiB", most >> 10);
            return Err(ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, large).param(name.to_owned()));
        }
        content.extend_from_slice(&bytes);
    }
    Ok(content)
}

fn refused(error: MultipartError) -> ApiError {
    ApiError::new(error.status(), format!("the form cannot be read: {}", error.body_text()))
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, String> + Send + 'static,
) -> Result<T, ApiError> {
    let done = tokio::task::spawn_blocking(work).await.map_err(|error| inside(&error.to_string()))?;
    done.map_err(|why| inside(&why))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "what fails here fails the test")]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_no_path_and_is_not_hidden() {
        assert_eq!(file_name("C:\\cvs\\Ada Quellmann.pdf").unwrap(), "Ada Quellmann.pdf");
        assert_eq!(file_name("../../etc/passwd").unwrap(), "passwd");
        for wrong in ["", "..", "a/", ".ssh", "a\nb", &"x".repeat(201)] {
            assert!(file_name(wrong).is_err(), "{wrong:?}");
        }
        assert_eq!(numbered("a.b.pdf", 2), "a.b (2).pdf");
    }

    #[test]
    fn a_form_of_another_site_is_refused() {
        let headers = |origin: Option<&str>| {
            let mut headers = HeaderMap::from_iter([(header::HOST, "127.0.0.1:7411".parse().unwrap())]);
            headers.extend(origin.map(|origin| (header::ORIGIN, origin.parse().unwrap())));
            headers
        };
        assert!(refuse_foreign_pages(&headers(None)).is_ok());
        assert!(refuse_foreign_pages(&headers(Some("http://127.0.0.1:7411"))).is_ok());
        for foreign in
            ["https://example.org", "null", "http://127.0.0.1:7412", "http://127.0.0.1:7411.example.org"]
        {
            assert!(refuse_foreign_pages(&headers(Some(foreign))).is_err(), "{foreign}");
        }
    }
}

//! Reads the recording: the documents of one collection.
//!
//! Invariant: bounded whatever the collection holds, and each file that was not understood is named with its reason;
//! one bad file costs no other. JSON deeper than 128 levels is refused by the parser.

use std::collections::HashSet;
use std::rc::Rc;

use serde_json::Value;

use crate::Unread;
use crate::object::{Object, text};
use crate::{salvage, shape};

/// Where the objects come from: a recording, or the API.
pub trait Cluster {
    /// All that can be read.
    ///
    /// # Errors
    /// Why there is nothing, for the reader.
    fn record(&self) -> Result<Recording, String>;
}

impl<D: Documents> Cluster for D {
    fn record(&self) -> Result<Recording, String> {
        read(self)
    }
}

/// The host's documents, one collection.
pub trait Documents {
    /// Ids and sizes in bytes of all documents.
    ///
    /// # Errors
    /// Why there are none, for the reader.
    fn list(&self) -> Result<Vec<(String, u64)>, String>;
    /// At most `length` bytes from `offset` on; fewer, or none, at the end.
    ///
    /// # Errors
    /// Why they cannot be had.
    fn read(&self, id: &str, offset: u64, length: u32) -> Result<Vec<u8>, String>;
}

/// Bytes of JSON of one file, and of all files.
pub const MAX_JSON: u64 = 16 << 20;
/// Bytes of a log that are read: its end.
pub const MAX_LOG: u64 = 64 << 10;
/// Files of a recording.
pub const MAX_FILES: usize = 2000;
/// Objects of a recording.
pub const MAX_OBJECTS: usize = 50_000;
/// Things that are named as not understood.
const MAX_UNREAD: usize = 50;
/// The most that one read gives.
const CHUNK: u32 = 1 << 20;

/// The end of a container's log.
#[derive(Debug)]
pub struct Log {
    /// The file's name: `NAMESPACE_POD_CONTAINER.log`, or `….previous.log` for `kubectl logs --previous`.
    pub file: String,
    /// Its last 64 KiB, from the beginning of a line.
    pub text: String,
}

/// What was read.
#[derive(Debug, Default)]
pub struct Recording {
    /// In the order of the files.
    pub objects: Vec<Object>,
    /// In the order of the files.
    pub logs: Vec<Log>,
    /// What was not understood.
    pub unread: Vec<Unread>,
    /// Kinds that were not read whole: of these, nothing can be said to be missing.
    pub partial: HashSet<String>,
}

/// In [`Recording::partial`]: any kind may be there in part only.
pub const ALL: &str = "*";

impl Recording {
    /// Names a file of objects that could not be read.
    fn skip(&mut self, file: &str, reason: impl Into<String>) {
        self.partial.insert(ALL.to_owned());
        self.note(file, reason);
    }

    /// Names what was not understood, or not read.
    pub fn note(&mut self, file: &str, reason: impl Into<String>) {
        if self.unread.len() < MAX_UNREAD {
            self.unread.push(Unread { file: file.to_owned(), reason: reason.into() });
        }
    }
}

/// Reads all of it.
///
/// # Errors
/// Where the collection cannot be listed.
pub fn read(documents: &impl Documents) -> Result<Recording, String> {
    let mut files = documents.list()?;
    files.sort_unstable();
    let mut recording = Recording::default();
    if files.len() > MAX_FILES {
        recording.note("", format!("{} files; only the first {MAX_FILES} are read", files.len()));
        files.truncate(MAX_FILES);
    }
    let mut left = MAX_JSON;
    for (id, size) in files {
        let end = id.rsplit_once('.').map(|(_, end)| end.to_ascii_lowercase()).unwrap_or_default();
        match end.as_str() {
            "json" if size > left => recording
                .skip(&id, format!("{size} bytes; a recording has {MAX_JSON} at most, {left} are left: record fewer kinds or one namespace")),
            "json" => match bytes(documents, &id, 0, size) {
                Ok(bytes) => {
                    left = left.saturating_sub(size);
                    json(&mut recording, &id, &bytes);
                }
                Err(reason) => recording.skip(&id, reason),
            },
            "log" | "txt" => match bytes(documents, &id, size.saturating_sub(MAX_LOG), MAX_LOG) {
                Ok(bytes) => {
                    let all = String::from_utf8_lossy(&bytes);
                    let whole = if size > MAX_LOG { all.split_once('\n').map_or("", |(_, rest)| rest) } else { &all };
                    recording.logs.push(Log { file: id, text: whole.to_owned() });
                }
                Err(reason) => recording.note(&id, reason),
            },
            "yaml" | "yml" => recording.note(&id, "YAML is not read; record with `kubectl get -o json`"),
            _ => recording.note(&id, "neither .json (objects) nor .log or .txt (logs)"),
        }
    }
    Ok(recording)
}

fn bytes(documents: &impl Documents, id: &str, offset: u64, length: u64) -> Result<Vec<u8>, String> {
    let mut all = Vec::new();
    while (all.len() as u64) < length {
        let left = length - all.len() as u64;
        let part =
            documents.read(id, offset + all.len() as u64, u32::try_from(left).unwrap_or(CHUNK).min(CHUNK))?;
        if part.is_empty() {
            break;
        }
        all.extend(part);
    }
    Ok(all)
}

/// One file of JSON: an object, a List, an array, or several of them one after the other.
fn json(recording: &mut Recording, id: &str, bytes: &[u8]) {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return recording.skip(id, "the file is empty");
    }
    let file: Rc<str> = id.into();
    let whole = salvage::read(bytes, MAX_OBJECTS.saturating_sub(recording.objects.len()));
    if !whole.broken.is_empty() {
        recording.partial.insert(ALL.to_owned());
    }
    for reason in whole.broken {
        recording.note(id, reason);
    }
    for item in whole.items {
        take(recording, &file, item);
    }
}

fn take(recording: &mut Recording, file: &Rc<str>, item: Value) {
    if text(&item, "/kind") == "Status" {
        let message: String = text(&item, "/message").chars().take(200).collect();
        recording.partial.insert(ALL.to_owned());
        return recording.note(file, format!("the API answered with an error instead of objects: {message}"));
    }
    match Object::new(item, file) {
        Ok(mut object) => {
            let reasons = shape::harmful(&mut object).into_iter().chain(shape::wrong(&object));
            reasons.for_each(|reason| recording.note(file, reason));
            recording.objects.push(object);
        }
        Err(reason) => recording.note(file, reason),
    }
}

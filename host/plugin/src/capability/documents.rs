//! `pawl:host/documents`: the regular files of the folders that the operator granted, by the name of a collection.
//!
//! Invariant: read only, and only regular files directly in the folder: an id is one file name, no link is followed,
//! nothing with a dot at its front is there. Pages, lengths and the entries that are looked at are bounded, and no call
//! waits past the deadline, however slow the disk is.

use std::collections::BTreeMap;
use std::io::{ErrorKind, Read, Seek, SeekFrom};
use std::path::Path;

use super::bindings::pawl::host::documents::{Document, Error, Host, Page};
use super::folder::Folder;
use super::wait::within;
use crate::call::State;
use crate::grant::Collection;

/// Documents of one page.
const PAGE: usize = 200;
/// Entries of a folder that are looked at.
const MAX_ENTRIES: usize = 100_000;
/// Bytes of one read.
const MAX_READ: u32 = 1 << 20;
/// Bytes of a file name.
const MAX_NAME: usize = 255;

const MEDIA_TYPES: &[(&str, &str)] = &[
    ("csv", "text/csv"),
    ("doc", "application/msword"),
    ("docx", "application/vnd.openxmlformats-officedocument.wordprocessingml.document"),
    ("eml", "message/rfc822"),
    ("htm", "text/html"),
    ("html", "text/html"),
    ("jpeg", "image/jpeg"),
    ("jpg", "image/jpeg"),
    ("json", "application/json"),
    ("md", "text/markdown"),
    ("odt", "application/vnd.oasis.opendocument.text"),
    ("pdf", "application/pdf"),
    ("png", "image/png"),
    ("pptx", "application/vnd.openxmlformats-officedocument.presentationml.presentation"),
    ("rtf", "application/rtf"),
    ("txt", "text/plain"),
    ("xlsx", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"),
    ("xml", "application/xml"),
];

fn media_type(name: &str) -> &'static str {
    let end = name.rsplit_once('.').map_or("", |(_, end)| end).to_ascii_lowercase();
    let known = MEDIA_TYPES.iter().find(|(known, _)| *known == end);
    known.map_or("application/octet-stream", |(_, media_type)| media_type)
}

/// Whether this is the name of a file in the folder itself, and not a hidden one: all that a document can be called.
pub fn is_document_id(name: &str) -> bool {
    !name.is_empty() && name.len() <= MAX_NAME && !name.starts_with('.') && !name.contains(['/', '\\', '\0'])
}

/// A page of the documents after `cursor`, by id.
fn page(Collection { folder, only }: &Collection, cursor: Option<&str>) -> Result<Page, Error> {
    let failed = |error: std::io::Error| unreadable(folder, &error);
    let open = Folder::open(folder).map_err(failed)?;
    if let Some(only) = only {
        let size = open.file(only).and_then(|file| file.metadata()).map(|metadata| metadata.len());
        let found = size.ok().filter(|_| cursor.is_none_or(|cursor| only.as_str() > cursor));
        let documents = found.map(|size| document((only.clone(), size)));
        return Ok(Page { documents: documents.into_iter().collect(), cursor: None });
    }
    let mut first: BTreeMap<String, u64> = BTreeMap::new();
    for (count, entry) in open.path().read_dir().map_err(failed)?.enumerate() {
        if count == MAX_ENTRIES {
            return Err(Error::Limit(format!("the folder has more than {MAX_ENTRIES} entries")));
        }
        let entry = entry.map_err(failed)?;
        let Some(name) = entry.file_name().to_str().map(str::to_owned).filter(|name| is_document_id(name))
        else {
            continue;
        };
        let later = cursor.is_none_or(|cursor| name.as_str() > cursor)
            && (first.len() <= PAGE || first.last_key_value().is_some_and(|(last, _)| name < *last));
        // A file that is gone by now is not there.
        if later
            && let Ok(metadata) = entry.metadata()
            && metadata.is_file()
        {
            first.insert(name, metadata.len());
            if first.len() > PAGE + 1 {
                first.pop_last();
            }
        }
    }
    let more = first.len() > PAGE;
    let documents: Vec<Document> = first.into_iter().take(PAGE).map(document).collect();
    let cursor = documents.last().filter(|_| more).map(|last| last.id.clone());
    Ok(Page { documents, cursor })
}

fn document((name, size): (String, u64)) -> Document {
    Document { media_type: media_type(&name).to_owned(), id: name.clone(), name, size }
}

fn read(
    Collection { folder, only }: &Collection,
    id: &str,
    offset: u64,
    length: u32,
) -> Result<Vec<u8>, Error> {
    if length > MAX_READ {
        return Err(Error::Limit(format!("{length} bytes in one read; {MAX_READ} at most")));
    }
    let missing = || Error::Missing(id.chars().take(MAX_NAME).collect());
    if !is_document_id(id) || only.as_ref().is_some_and(|only| only != id) {
        return Err(missing());
    }
    let mut file = match Folder::open(folder).and_then(|open| open.file(id)) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::PermissionDenied => return Err(unreadable(folder, &error)),
        // No such name, a link, a device: all the same to the guest.
        Err(_) => return Err(missing()),
    };
    let mut bytes = Vec::new();
    file.seek(SeekFrom::Start(offset))
        .and_then(|_| file.take(length.into()).read_to_end(&mut bytes))
        .map_err(|error| unreadable(folder, &error))?;
    Ok(bytes)
}

/// The guest learns that it failed, the log where.
fn unreadable(folder: &Path, error: &std::io::Error) -> Error {
    tracing::error!("documents in {}: {error}", folder.display());
    Error::Unreadable("the documents cannot be read now; the host's log says why".to_owned())
}

impl State {
    fn collection<T: Send + 'static>(
        &mut self,
        name: &str,
        work: impl FnOnce(Collection) -> Result<T, Error> + Send + 'static,
    ) -> wasmtime::Result<Result<T, Error>> {
        let Some(collection) = self.capabilities.documents.get(name).cloned() else {
            return Ok(Err(Error::NotGranted(name.chars().take(100).collect())));
        };
        let work = async { tokio::task::spawn_blocking(|| work(collection)).await };
        Ok(within(&self.deadline, work)?.unwrap_or_else(|error| {
            tracing::error!("reading documents failed in the host: {error}");
            Err(Error::Unreadable("the host failed; its log says why".to_owned()))
        }))
    }
}

impl Host for State {
    fn list(&mut self, collection: String, cursor: Option<String>) -> wasmtime::Result<Result<Page, Error>> {
        self.collection(&collection, move |documents| page(&documents, cursor.as_deref()))
    }

    fn read(
        &mut self,
        collection: String,
        id: String,
        offset: u64,
        length: u32,
    ) -> wasmtime::Result<Result<Vec<u8>, Error>> {
        self.collection(&collection, move |documents| read(&documents, &id, offset, length))
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a folder that fails fails the test")]
mod tests {
    use super::*;

    fn folder() -> (tempfile::TempDir, Collection) {
        let home = tempfile::tempdir().unwrap();
        let docs = home.path().join("docs");
        std::fs::create_dir(&docs).unwrap();
        let folder = docs.canonicalize().unwrap();
        (home, Collection { folder, only: None })
    }

    #[test]
    fn pages_give_every_document_once_in_order() {
        let (_home, docs) = folder();
        for number in 0..2 * PAGE + 7 {
            std::fs::write(docs.folder.join(format!("{number:04}.txt")), "x").unwrap();
        }
        let mut seen = Vec::new();
        let mut cursor: Option<String> = None;
        loop {
            let page = page(&docs, cursor.as_deref()).unwrap();
            assert!(page.documents.len() <= PAGE);
            seen.extend(page.documents.into_iter().map(|document| document.id));
            cursor = page.cursor;
            if cursor.is_none() {
                break;
            }
        }
        let expected: Vec<String> = (0..2 * PAGE + 7).map(|number| format!("{number:04}.txt")).collect();
        assert_eq!(seen, expected);
    }

    #[test]
    fn a_last_page_that_is_full_has_no_cursor() {
        let (_home, docs) = folder();
        for number in 0..PAGE {
            std::fs::write(docs.folder.join(format!("{number:04}")), "").unwrap();
        }
        let page = page(&docs, None).unwrap();
        assert_eq!((page.documents.len(), page.cursor), (PAGE, None));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn only_regular_files_of_the_folder_itself_are_documents() {
        use std::os::unix::fs::symlink;
        let (home, docs) = folder();
        std::fs::write(home.path().join("secret.txt"), "secret").unwrap();
        std::fs::write(docs.folder.join("a.PDF"), "%PDF").unwrap();
        std::fs::write(docs.folder.join(".hidden"), "h").unwrap();
        std::fs::create_dir(docs.folder.join("sub")).unwrap();
        std::fs::write(docs.folder.join("sub/b.txt"), "b").unwrap();
        symlink("../secret.txt", docs.folder.join("link.txt")).unwrap();
        symlink("a.PDF", docs.folder.join("inside.pdf")).unwrap();
        rustix::fs::mknodat(
            rustix::fs::CWD,
            docs.folder.join("pipe"),
            rustix::fs::FileType::Fifo,
            rustix::fs::Mode::RUSR,
            0,
        )
        .unwrap();
        let page = page(&docs, None).unwrap();
        let listed: Vec<_> =
            page.documents.iter().map(|d| (d.id.as_str(), d.media_type.as_str(), d.size)).collect();
        assert_eq!(listed, [("a.PDF", "application/pdf", 4)]);
        for id in [
            "link.txt",
            "inside.pdf",
            "pipe",
            "sub",
            "sub/b.txt",
            ".hidden",
            "..",
            ".",
            "",
            "../secret.txt",
            "/etc/passwd",
            "a.PDF\0",
            "no such",
        ] {
            assert!(matches!(read(&docs, id, 0, 10), Err(Error::Missing(_))), "{id}");
        }
        assert_eq!(read(&docs, "a.PDF", 1, 2).unwrap(), b"PD");
        assert_eq!(read(&docs, "a.PDF", 99, 2).unwrap(), b"");
        assert!(matches!(read(&docs, "a.PDF", 0, MAX_READ + 1), Err(Error::Limit(_))));
    }

    #[test]
    fn a_collection_of_one_document_has_no_other() {
        let (_home, docs) = folder();
        for name in ["a", "b", "c"] {
            std::fs::write(docs.folder.join(name), name).unwrap();
        }
        let one = super::super::folder::one(&docs.folder.join("b")).unwrap();
        let listed = page(&one, None).unwrap();
        assert_eq!(listed.documents.iter().map(|d| (d.id.as_str(), d.size)).collect::<Vec<_>>(), [("b", 1)]);
        assert!(listed.cursor.is_none() && page(&one, Some("b")).unwrap().documents.is_empty());
        assert_eq!(read(&one, "b", 0, 9).unwrap(), b"b");
        assert!(matches!(read(&one, "a", 0, 9), Err(Error::Missing(_))));
        std::fs::remove_file(docs.folder.join("b")).unwrap();
        assert!(page(&one, None).unwrap().documents.is_empty());
        assert!(super::super::folder::one(&docs.folder.join("b")).is_err());
        assert!(super::super::folder::one(&docs.folder).is_err());
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_link_that_took_the_place_of_the_folder_is_not_followed() {
        let (home, docs) = folder();
        std::fs::write(docs.folder.join("a"), "a").unwrap();
        std::fs::rename(&docs.folder, home.path().join("moved")).unwrap();
        std::os::unix::fs::symlink("moved", &docs.folder).unwrap();
        assert!(matches!(page(&docs, None), Err(Error::Unreadable(_))));
        assert!(read(&docs, "a", 0, 1).is_err());
    }
}

//! The résumés of a folder: every file in it and below, in the order of their names.
//!
//! Invariant: no link is followed, so that nothing outside of the folder is read.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use pawl_flow::NewItem;

use super::{ScreenError, item};

/// Folders within folders.
const MAX_DEPTH: usize = 16;
/// Files of one screening.
const MAX_FILES: usize = 100_000;
/// Endings of what the plugin reads. Other files are tried too: what they are is told from their content.
const ENDINGS: [&str; 7] = ["pdf", "docx", "html", "htm", "txt", "md", "text"];

/// What a folder holds.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// One for each file, by its path within the folder.
    pub(crate) items: Vec<NewItem>,
    /// What is there and not taken, and why.
    pub(crate) left_out: Vec<(String, &'static str)>,
}

/// Looks through a folder, but for some files and folders in it: the results of an earlier call, the requirements. Blocks.
///
/// # Errors
/// Where it cannot be read, or nothing in it is a résumé that can be read.
pub(crate) fn find(folder: &Path, except: &[PathBuf]) -> Result<Found, ScreenError> {
    let unreadable = |source| ScreenError::Folder { folder: folder.to_owned(), source };
    let root = folder.canonicalize().map_err(unreadable)?;
    fs::read_dir(&root).map_err(unreadable)?;
    if root.to_str().is_none() {
        return Err(unreadable(std::io::Error::other("its path is not UTF-8")));
    }
    let mut found = Found::default();
    let except: Vec<PathBuf> = except.iter().filter_map(|path| path.canonicalize().ok()).collect();
    below(&root, "", 0, &except, &mut found);
    let readable = |item: &NewItem| {
        let file = item.document.as_ref().map(|document| document.file.as_path())?;
        let ending = file.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
        let known = ending.is_empty() || ENDINGS.iter().any(|known| known.eq_ignore_ascii_case(ending));
        (known && File::open(file).is_ok()).then_some(())
    };
    if !found.items.iter().any(|item| readable(item).is_some()) {
        let seen = match found.items.as_slice() {
            [] => "no file at all".to_owned(),
            [one] => format!("only {}", one.name),
            [first, others @ ..] => format!("{} and {} more", first.name, others.len()),
        };
        return Err(ScreenError::NoFile { folder: folder.to_owned(), seen });
    }
    Ok(found)
}

fn below(folder: &Path, prefix: &str, depth: usize, except: &[PathBuf], found: &mut Found) {
    let Ok(entries) = fs::read_dir(folder) else {
        found.left_out.push((prefix.to_owned(), "a folder that cannot be read"));
        return;
    };
    let mut entries: Vec<_> = entries.flatten().collect();
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let raw = entry.file_name();
        let name = format!("{prefix}{}", raw.to_string_lossy());
        if raw.as_encoded_bytes().starts_with(b".") || except.contains(&entry.path()) {
            continue;
        }
        let Ok(kind) = entry.file_type() else { continue };
        let why = if kind.is_symlink() {
            "a link"
        } else if raw.to_str().is_none() {
            "its name is not UTF-8; rename it"
        } else if name.contains('\\') {
            "a backslash is in its name; rename it"
        } else if kind.is_dir() && depth < MAX_DEPTH {
            below(&entry.path(), &format!("{name}/"), depth + 1, except, found);
            continue;
        } else if kind.is_dir() {
            "a folder too deep"
        } else if !kind.is_file() {
            "no file"
        } else if found.items.len() >= MAX_FILES {
            "one file too many; screen part of the folder"
        } else {
            found.items.push(item(name, entry.path()));
            continue;
        };
        found.left_out.push((name, why));
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a folder that fails fails the test")]
mod tests {
    use super::*;

    #[test]
    fn files_are_found_below_in_order_and_links_are_not_followed() {
        let home = tempfile::tempdir().unwrap();
        let folder = home.path().join("in");
        fs::create_dir_all(folder.join("b/c")).unwrap();
        for name in ["z.pdf", "a.txt", "b/c/d.docx", ".hidden.txt", "photo.jpg"] {
            fs::write(folder.join(name), "x").unwrap();
        }
        fs::write(home.path().join("outside.txt"), "x").unwrap();
        #[cfg(unix)]
        std::os::unix::fs::symlink(home.path(), folder.join("link")).unwrap();
        fs::create_dir(folder.join("out")).unwrap();
        fs::write(folder.join("out/report.html"), "x").unwrap();
        fs::write(folder.join("asked.txt"), "x").unwrap();
        let found =
            find(&folder, &[folder.join("out"), folder.join("asked.txt"), folder.join("gone")]).unwrap();
        let names: Vec<_> = found.items.iter().map(|item| item.name.as_str()).collect();
        assert_eq!(names, ["a.txt", "b/c/d.docx", "photo.jpg", "z.pdf"]);
        assert_eq!(found.items[1].input, serde_json::json!({"id": "d.docx"}));
        #[cfg(unix)]
        assert_eq!(found.left_out, [("link".to_owned(), "a link")]);
    }

    #[test]
    fn a_folder_without_a_readable_file_is_named_with_what_is_in_it() {
        let home = tempfile::tempdir().unwrap();
        let said = find(home.path(), &[]).unwrap_err().to_string();
        assert!(
            said.contains("no file at all") && said.contains(&home.path().display().to_string()),
            "{said}"
        );
        fs::write(home.path().join("photo.jpg"), "x").unwrap();
        let said = find(home.path(), &[]).unwrap_err().to_string();
        assert!(said.contains("only photo.jpg") && said.contains("PDF, DOCX, HTML or text"), "{said}");
        let said = find(&home.path().join("gone"), &[]).unwrap_err().to_string();
        assert!(said.contains("gone") && said.contains("name a folder"), "{said}");
    }
}

//! Scripts as files: `NAME.rhai` in the folder of workflows, what it imports beside it.
//!
//! Invariant: nothing outside of the script's folder is read, whatever it names.

use std::path::{Path, PathBuf};

use pawl_flow::{Failure, Sources};

/// Bytes of one script.
const MAX_TEXT: u64 = 256 << 10;
/// Scripts that one imports, and what those import.
const MAX_MODULES: usize = 32;

/// The sources of a script by the name of its flow, in the folder of workflows.
pub(crate) fn by_name(folder: &Path, name: &str) -> Result<Sources, Failure> {
    if !is_name(name) {
        return Err(Failure::new(
            "not-found",
            format!("`{name}` is no name of a flow: letters, digits, - and _"),
        ));
    }
    let file = folder.join(format!("{name}.rhai"));
    if !file.is_file() {
        let known = names(folder).join(", ");
        let known = if known.is_empty() { "none".to_owned() } else { known };
        let folder = folder.display();
        return Err(Failure::new("not-found", format!("no flow `{name}` in {folder}; there are: {known}")));
    }
    read(&file)
}

/// The sources of a script file.
pub(crate) fn read(file: &Path) -> Result<Sources, Failure> {
    let name = file.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let mut sources = Sources::of(name, &text(file)?);
    let folder = file.parent().unwrap_or(Path::new(""));
    let mut wanted = imports(&sources.main);
    while let Some(path) = wanted.pop() {
        // What is not there is an error of the script, with its line.
        let module = folder.join(format!("{path}.rhai"));
        if sources.modules.contains_key(&path) || !path.split('/').all(is_name) || !module.is_file() {
            continue;
        }
        if sources.modules.len() >= MAX_MODULES {
            return Err(Failure::new("limit", format!("{name} imports more than {MAX_MODULES} scripts")));
        }
        let text = text(&module)?;
        wanted.extend(imports(&text));
        sources.modules.insert(path, text);
    }
    Ok(sources)
}

/// The names of the flows in a folder, in order.
pub(crate) fn names(folder: &Path) -> Vec<String> {
    names_of(folder, "rhai")
}

/// The names of a folder's files of one ending, without it, in order.
pub(super) fn names_of(folder: &Path, ending: &str) -> Vec<String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let name = |path: PathBuf| {
        let fits = path.extension().is_some_and(|its| its == ending);
        fits.then(|| path.file_stem().and_then(|stem| stem.to_str()).map(str::to_owned)).flatten()
    };
    let mut names: Vec<String> = entries.filter_map(|entry| name(entry.path())).collect();
    names.sort();
    names
}

fn text(file: &Path) -> Result<String, Failure> {
    let unreadable = |why: String| Failure::new("not-found", format!("{}: {why}", file.display()));
    let bytes = std::fs::metadata(file).map_err(|error| unreadable(error.to_string()))?.len();
    if bytes > MAX_TEXT {
        return Err(Failure::new("limit", format!("{}: {bytes} bytes; {MAX_TEXT} at most", file.display())));
    }
    std::fs::read_to_string(file).map_err(|error| unreadable(error.to_string()))
}

fn is_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
}

/// The paths after each `import`; one in a comment does no harm.
fn imports(text: &str) -> Vec<String> {
    let mut paths = Vec::new();
    for (at, word) in text.match_indices("import") {
        let after = text[at + word.len()..].trim_start();
        if let Some((path, _)) = after.strip_prefix('"').and_then(|after| after.split_once('"')) {
            paths.push(path.to_owned());
        }
    }
    paths
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a folder that fails fails the test")]
mod tests {
    use super::*;

    #[test]
    fn imports_are_read_from_the_folder_and_nowhere_else() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
        std::fs::create_dir(folder.path().join("inner")).unwrap();
        std::fs::create_dir(folder.path().join("inner/lib")).unwrap();
        write("secret.rhai", "1");
        write(
            "inner/a.rhai",
            "import \"lib/b\" as b; import \"../secret\" as s; import \"gone\" as g; b::f()",
        );
        write("inner/lib/b.rhai", "import \"c\" as c; fn f() { 1 }");
        write("inner/c.rhai", "fn g() { 2 }");
        let sources = by_name(&folder.path().join("inner"), "a").unwrap();
        assert_eq!(sources.modules.keys().collect::<Vec<_>>(), ["c", "lib/b"]);
        let error = by_name(&folder.path().join("inner"), "nothing").unwrap_err().message;
        assert!(error.ends_with("there are: a, c"), "{error}");
        assert!(by_name(folder.path(), "inner/a").is_err());
        assert!(by_name(folder.path(), "../x").is_err());
    }
}

//! The invariants of ARCHITECTURE.md, tested: who may name what, what a file looks like, what no tracked file holds.
//!
//! Each rule is a line of a table or a short function over the files that git tracks or would track. Invariant: rules on code look
//! at code only; comments and strings are blanked first ([`code`]).

mod code;

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

use self::code::code;

/// What a file may hold at most.
const MAX_LINES: usize = 600;

/// What the root of the checkout may hold, beside dot files.
const TOP_LEVEL: &[&str] = &[
    "Cargo.toml",
    "Cargo.lock",
    "README.md",
    "ARCHITECTURE.md",
    "LICENSE",
    "rustfmt.toml",
    "deny.toml",
    "docs",
    "host",
    "plugins",
    "wit",
    "workflows",
    "tests",
    "xtask",
];

/// A crate and where alone it may be named in code.
const CRATES: &[(&str, &str)] = &[
    ("ort", "host/llm/src/runtime/"),
    ("wasmtime", "host/plugin/"),
    ("wasmtime_wasi", "host/plugin/"),
    ("axum", "host/pawl/src/api"),
    ("rhai", "host/flow/"),
];

/// A dependency and the only packages that may list it, beside the workspace.
const DEPENDENCIES: &[(&str, &str)] = &[
    ("ort", "host/llm/"),
    ("wasmtime", "host/plugin/"),
    ("wasmtime-wasi", "host/plugin/"),
    ("axum", "host/pawl/"),
    ("rhai", "host/flow/"),
];

/// Measures the product beside what it is made of, so it may name both.
const BENCH: &str = "tests/bench/";

/// Packages that import nothing of ours.
const INDEPENDENT: &[&str] =
    &["host/database/", "host/fetch/", "host/flow/", "host/llm/", "host/plugin/", "xtask/"];

/// The files that may hold unsafe code; ARCHITECTURE.md names them too.
const UNSAFE: &[&str] = &[
    "host/llm/src/cpu/avx2.rs",
    "host/llm/src/cpu/avx2/floats.rs",
    "host/llm/src/cpu/columns.rs",
    "host/llm/src/memory.rs",
    "host/llm/src/runtime/graph.rs",
    "host/llm/src/runtime/providers.rs",
    "host/plugin/src/engine.rs",
];

/// Names that say nothing.
const EMPTY_NAMES: &[&str] =
    &["util", "utils", "helper", "helpers", "manager", "common", "misc", "processor"];

/// Absolute paths of somebody's machine, and hosts of package indexes: written in two halves, so that this file holds none.
const MACHINE_PATHS: &[(&str, &str)] = &[("/wo", "rk/"), ("/ro", "ot/"), ("/ho", "me/"), ("/Us", "ers/")];
const INDEX_HOSTS: &[(&str, &str)] = &[
    ("py", "pi.org"),
    ("python", "hosted.org"),
    ("index.cra", "tes.io"),
    ("static.cra", "tes.io"),
    ("registry.npm", "js.org"),
];

/// Every place where an invariant does not hold, as `path:line: what`.
pub(crate) fn run(root: &Path) -> Result<Vec<String>> {
    let mut found = Vec::new();
    for path in tracked(root)? {
        top_level(&path, &mut found);
        // Removed but not yet so in the index, or a link to nothing.
        let Ok(bytes) = fs::read(root.join(&path)) else { continue };
        if path.ends_with("Cargo.lock") || bytes.contains(&0) {
            continue;
        }
        let text = String::from_utf8_lossy(&bytes);
        foreign(&path, &text, &mut found);
        if path.ends_with(".rs") {
            rust(&path, &text, &mut found);
        } else if path.ends_with("Cargo.toml") {
            manifest(&path, &text, &mut found);
        }
    }
    let architecture = fs::read_to_string(root.join("ARCHITECTURE.md")).unwrap_or_default();
    for file in UNSAFE.iter().filter(|file| root.join(file).is_file() && !architecture.contains(**file)) {
        found.push(format!("ARCHITECTURE.md: does not name {file}, which may hold unsafe code"));
    }
    Ok(found)
}

/// Files that git tracks or would: relative, with slashes.
fn tracked(root: &Path) -> Result<Vec<String>> {
    let output = Command::new("git")
        .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
        .current_dir(root)
        .output()
        .context("cannot run git, which knows the files to check; install it")?;
    if !output.status.success() {
        bail!("git ls-files failed: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    let names = String::from_utf8(output.stdout).context("a file name is not UTF-8; rename it")?;
    Ok(names.split('\0').filter(|name| !name.is_empty()).map(str::to_string).collect())
}

fn top_level(path: &str, found: &mut Vec<String>) {
    let first = path.split('/').next().unwrap_or_default();
    if !first.starts_with('.') && !TOP_LEVEL.contains(&first) {
        found.push(format!("{path}: the root of the checkout holds {}, and dot files", TOP_LEVEL.join(", ")));
    }
}

/// Rules on every text file.
fn foreign(path: &str, text: &str, found: &mut Vec<String>) {
    for (line, number) in text.lines().zip(1..) {
        for (one, two) in MACHINE_PATHS {
            let needle = format!("{one}{two}");
            let absolute = |(at, _): (usize, &str)| {
                let before = line[..at].chars().next_back();
                !before.is_some_and(|before| before.is_alphanumeric() || "._-~}$/*".contains(before))
            };
            if line.match_indices(&needle).any(absolute) {
                found.push(format!("{path}:{number}: a path of one machine ({needle})"));
            }
        }
        for (one, two) in INDEX_HOSTS {
            let needle = format!("{one}{two}");
            if line.contains(&needle) {
                found
                    .push(format!("{path}:{number}: a package index's host ({needle}); its client knows it"));
            }
        }
    }
}

/// Rules on Rust files.
fn rust(path: &str, text: &str, found: &mut Vec<String>) {
    if !text.starts_with("//!") {
        found.push(format!(
            "{path}:1: a file opens with `//!`: why it exists, its invariant, the specification it follows"
        ));
    }
    let lines = text.lines().count();
    if lines > MAX_LINES {
        found.push(format!("{path}: {lines} lines; one of {MAX_LINES} is split"));
    }
    let stem = path.rsplit('/').next().unwrap_or_default().trim_end_matches(".rs");
    if EMPTY_NAMES.contains(&stem) {
        found.push(format!("{path}: `{stem}` says nothing of what is in it"));
    }
    for (line, number) in code(text).lines().zip(1..) {
        for (name, place) in CRATES {
            if !path.starts_with(place) && !path.starts_with(BENCH) && names_crate(line, name) {
                found.push(format!("{path}:{number}: `{name}` is named only in {place}"));
            }
        }
        if !UNSAFE.contains(&path) && words(line).any(|(_, word)| word == "unsafe") {
            found.push(format!("{path}:{number}: unsafe code is only in {}", UNSAFE.join(", ")));
        }
    }
}

/// Rules on the packages' manifests.
fn manifest(path: &str, text: &str, found: &mut Vec<String>) {
    if path == "Cargo.toml" {
        return;
    }
    for (line, number) in text.lines().zip(1..) {
        let name = line.split([' ', '.', '=']).next().unwrap_or_default();
        if let Some((_, place)) = DEPENDENCIES.iter().find(|(dependency, _)| *dependency == name)
            && !path.starts_with(place)
            && !path.starts_with(BENCH)
        {
            found.push(format!("{path}:{number}: `{name}` is a dependency of {place} only"));
        }
        let ours = name.starts_with("pawl-") && line[name.len()..].starts_with([' ', '.', '=']);
        // The edges between the crates below the binary, and of xtask.
        let leaf = [("host/plugin/Cargo.toml", "pawl-database"), ("xtask/Cargo.toml", "pawl-fetch")]
            .contains(&(path, name));
        if ours && !leaf && INDEPENDENT.iter().any(|place| path.starts_with(place)) {
            found.push(format!("{path}:{number}: imports nothing of ours, and so not `{name}`"));
        }
    }
}

/// Whether a line of code has `name::` or `use name`.
fn names_crate(line: &str, name: &str) -> bool {
    let mut before = "";
    for (at, word) in words(line) {
        if word == name {
            let after = line[at + word.len()..].trim_start();
            // `x::ort::` is a module of x, not the crate.
            let inner = line[..at].ends_with("::") && !line[..at].trim_start().starts_with("::");
            if !inner && (after.starts_with("::") || before == "use" || before == "crate") {
                return true;
            }
        }
        before = word;
    }
    false
}

/// The identifiers and keywords of a line, with where they begin.
fn words(line: &str) -> impl Iterator<Item = (usize, &str)> {
    let is_word = |letter: char| letter.is_alphanumeric() || letter == '_';
    let mut at = 0;
    std::iter::from_fn(move || {
        let begin = at + line[at..].find(is_word)?;
        let length = line[begin..].find(|letter| !is_word(letter)).unwrap_or(line.len() - begin);
        at = begin + length;
        Some((begin, &line[begin..at]))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(rule: impl FnOnce(&mut Vec<String>)) -> Vec<String> {
        let mut found = Vec::new();
        rule(&mut found);
        found
    }

    #[test]
    fn a_crate_is_named_only_in_its_place() {
        let text = "//! Why.\nuse wasmtime::Engine;\nlet x = ort::init();\n// axum::Router\nlet y = \"rhai::Engine\";\n";
        assert_eq!(found(|found| rust("host/pawl/src/app.rs", text, found)).len(), 2);
        assert_eq!(found(|found| rust("host/plugin/src/call.rs", text, found)).len(), 1);
        assert_eq!(
            found(|found| rust("host/llm/src/runtime/mod.rs", "//! Why.\nuse ort;\n", found)).len(),
            0
        );
        assert_eq!(found(|found| rust("host/llm/src/model.rs", "//! Why.\nuse ort as o;\n", found)).len(), 1);
        assert_eq!(
            found(|found| rust(
                "host/pawl/src/chat.rs",
                "//! Why.\nlet ort = sort::by(support::x);\n",
                found
            ))
            .len(),
            0
        );
    }

    #[test]
    fn unsafe_code_is_only_where_it_is_listed() {
        let text = "//! No unsafe here.\nunsafe { go() }\n";
        assert_eq!(found(|found| rust("host/pawl/src/app.rs", text, found)).len(), 1);
        assert_eq!(found(|found| rust("host/plugin/src/engine.rs", text, found)).len(), 0);
        assert_eq!(
            found(|found| rust("xtask/src/main.rs", "//! Why.\n#![deny(unsafe_code)]\n", found)).len(),
            0
        );
    }

    #[test]
    fn a_file_opens_with_why_and_ends_in_time() {
        assert_eq!(found(|found| rust("host/pawl/src/app.rs", "use std::fs;\n", found)).len(), 1);
        let long = format!("//! Why.\n{}", "\n".repeat(600));
        assert_eq!(found(|found| rust("host/pawl/src/app.rs", &long, found)).len(), 1);
        assert_eq!(found(|found| rust("host/pawl/src/app.rs", &long[..long.len() - 1], found)).len(), 0);
        assert_eq!(found(|found| rust("host/pawl/src/utils.rs", "//! Why.\n", found)).len(), 1);
    }

    #[test]
    fn machine_paths_and_index_hosts_are_found() {
        for (one, two) in MACHINE_PATHS.iter().chain(INDEX_HOSTS) {
            let text = format!("fine\nopen(\"{one}{two}x\")\n");
            assert_eq!(found(|found| foreign("README.md", &text, found)).len(), 1, "{text}");
        }
        let relative = format!("{{root}}{0}{1}, frame{0}{1}, ${{HOME}}{0}{1}", "/wo", "rk/");
        assert_eq!(found(|found| foreign("README.md", &relative, found)), Vec::<String>::new());
    }

    #[test]
    fn dependencies_are_listed_only_by_their_package() {
        let text = "[dependencies]\nwasmtime.workspace = true\npawl-llm.workspace = true\n";
        assert_eq!(found(|found| manifest("host/llm/Cargo.toml", text, found)).len(), 2);
        assert_eq!(found(|found| manifest("host/pawl/Cargo.toml", text, found)).len(), 1);
        assert_eq!(found(|found| manifest("Cargo.toml", text, found)).len(), 0);
    }

    #[test]
    fn the_root_holds_what_it_may() {
        assert_eq!(found(|found| top_level("notes.txt", found)).len(), 1);
        assert_eq!(found(|found| top_level("host/llm/src/lib.rs", found)).len(), 0);
        assert_eq!(found(|found| top_level(".ci/run", found)).len(), 0);
    }
}

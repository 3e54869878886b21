//! What a repository holds at a commit, and which of it is one model.
//!
//! Invariant: every path of a [`Choice`] stays inside a folder that it is joined to, and every file has a size and a hash. A list
//! with a name that git itself could not hold is refused as a whole: no honest hub has one. What git can hold and other systems
//! read otherwise than it is meant (`a:b`, `a\b`) is refused where it is chosen: it may lie beside a model.

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;

use super::reference::{PLAIN, Wanted};

/// Most files that a repository may hold; the largest have some thousands.
pub(super) const MAX_FILES: usize = 20_000;
const MAX_PATH: usize = 512;

/// Files that an export cannot do without, and those that are taken where they are.
const NEEDED: &[&str] = &["config.json", "tokenizer.json"];
const BESIDE: &[&str] = &[
    "generation_config.json",
    "tokenizer_config.json",
    "chat_template.jinja",
    "special_tokens_map.json",
    // Of embedding models.
    "modules.json",
    "1_Pooling/config.json",
    "sentence_bert_config.json",
    "config_sentence_transformers.json",
];

/// The files of a repository at a commit.
#[derive(Debug, Clone)]
pub(crate) struct Listing {
    /// `ORG/REPO`.
    pub(crate) repo: String,
    /// Forty hex digits.
    pub(crate) commit: String,
    pub(super) files: Vec<Entry>,
}

/// One file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    /// Inside the repository, with `/`.
    pub(crate) path: String,
    pub(crate) bytes: u64,
    pub(crate) hash: Hash,
}

/// What a file is believed by, in lower-case hex.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Hash {
    /// Of the content; the hub has it for large files.
    Sha256(String),
    /// Git's name of a blob, a SHA-1; all that the hub has for small files.
    GitBlob(String),
}

/// What makes one model.
#[derive(Debug)]
pub(crate) enum Choice<'a> {
    /// A GGUF file, to be imported.
    Gguf(&'a Entry),
    /// An export: its files, and the name of its variant where it is not the plain one.
    Export { files: Vec<&'a Entry>, variant: Option<&'a str> },
}

/// An element of the hub's answer.
#[derive(Debug, Deserialize)]
pub(super) struct RawEntry {
    #[serde(rename = "type")]
    kind: String,
    path: String,
    #[serde(default)]
    size: u64,
    #[serde(default)]
    oid: String,
    lfs: Option<RawLfs>,
}

#[derive(Debug, Deserialize)]
struct RawLfs {
    oid: String,
    size: u64,
}

impl Entry {
    /// The file that an element of the answer tells of; none where it tells of a folder.
    pub(super) fn read(raw: RawEntry) -> Result<Option<Entry>> {
        ensure!(
            is_inside(&raw.path),
            "the hub's list names {:?}, which is no path inside a repository; nothing was fetched",
            raw.path
        );
        if raw.kind != "file" {
            return Ok(None);
        }
        let (bytes, hash) = match raw.lfs {
            Some(lfs) => (lfs.size, Hash::Sha256(lfs.oid.trim_start_matches("sha256:").to_ascii_lowercase())),
            None => (raw.size, Hash::GitBlob(raw.oid.to_ascii_lowercase())),
        };
        let (text, digits) = match &hash {
            Hash::Sha256(text) => (text, 64),
            Hash::GitBlob(text) => (text, 40),
        };
        ensure!(is_hex(text, digits), "the hub's list has {text:?} for a hash of {}", raw.path);
        Ok(Some(Entry { path: raw.path, bytes, hash }))
    }

    /// The last part of the path.
    pub(crate) fn name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or(&self.path)
    }
}

/// Whether a text is so many lower-case hex digits.
pub(crate) fn is_hex(text: &str, digits: usize) -> bool {
    text.len() == digits && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

fn is_inside(path: &str) -> bool {
    let plain = |part: &str| !part.is_empty() && part != "." && part != "..";
    path.len() <= MAX_PATH && path.split('/').all(plain)
}

/// Whether a path is the same on every system, and can be shown as it is.
fn is_portable(path: &str) -> bool {
    !path.contains(|c: char| c.is_control() || c == '\\' || c == ':')
}

impl Listing {
    /// The files of what is wanted; where that is not one model, the error lists what there is.
    pub(super) fn pick<'a>(&'a self, wanted: &'a Wanted) -> Result<Choice<'a>> {
        let choice = self.wanted(wanted)?;
        let files = match &choice {
            Choice::Gguf(entry) => std::slice::from_ref(entry),
            Choice::Export { files, .. } => files.as_slice(),
        };
        if let Some(entry) = files.iter().find(|entry| !is_portable(&entry.path)) {
            bail!(
                "{} calls a file of the model {:?}; colons, backslashes and control characters mean something else on other \
                 systems, so nothing was fetched",
                self.repo,
                entry.path
            );
        }
        Ok(choice)
    }

    fn wanted<'a>(&'a self, wanted: &'a Wanted) -> Result<Choice<'a>> {
        match wanted {
            Wanted::Gguf(path) => self.gguf(path),
            Wanted::Variant(variant) => self.export(variant),
            Wanted::Only => {
                let (ggufs, variants) = (self.ggufs(), self.variants());
                match (&ggufs[..], &variants[..]) {
                    ([one], []) => self.gguf(one),
                    ([], [_, ..]) if variants.contains(&PLAIN) => self.export(PLAIN),
                    ([], [one]) => self.export(one),
                    ([], []) => bail!(
                        "{} holds neither a GGUF file nor an export (onnx/model.onnx); name another repository",
                        self.repo
                    ),
                    _ => {
                        let all: Vec<String> = ggufs
                            .iter()
                            .chain(&variants)
                            .map(|name| format!("\n  {}:{}", self.repo, name.escape_debug()))
                            .collect();
                        bail!(
                            "{} holds several models; name the one that is meant:{}",
                            self.repo,
                            all.concat()
                        )
                    }
                }
            }
        }
    }

    fn find(&self, path: &str) -> Option<&Entry> {
        self.files.iter().find(|entry| entry.path == path)
    }

    fn ggufs(&self) -> Vec<&str> {
        self.files.iter().map(|entry| entry.path.as_str()).filter(|path| path.ends_with(".gguf")).collect()
    }

    /// The exports' variants, as they are named after the colon.
    fn variants(&self) -> Vec<&str> {
        let variant = |path: &'static str| move |entry: &&Entry| entry.path == path;
        let plain = self.files.iter().any(|e| variant("onnx/model.onnx")(&e) || variant("model.onnx")(&e));
        let named = self.files.iter().filter_map(|entry| {
            entry.path.strip_prefix("onnx/model_")?.strip_suffix(".onnx").filter(|name| !name.contains('/'))
        });
        plain.then_some(PLAIN).into_iter().chain(named).collect()
    }

    fn gguf(&self, path: &str) -> Result<Choice<'_>> {
        let entry = self.find(path).with_context(|| {
            let ggufs = self.ggufs();
            let there = if ggufs.is_empty() { "no GGUF file".to_owned() } else { joined(&ggufs) };
            format!("{} has no {path} at {}; it has {there}", self.repo, self.commit)
        })?;
        ensure!(
            !is_part(entry.name()),
            "{path:?} is one part of a GGUF file that was split; name a file that is whole"
        );
        Ok(Choice::Gguf(entry))
    }

    fn export<'a>(&'a self, variant: &'a str) -> Result<Choice<'a>> {
        let named = (variant != PLAIN).then_some(variant);
        let graph = match named {
            Some(variant) => self.find(&format!("onnx/model_{variant}.onnx")),
            None => self.find("onnx/model.onnx").or_else(|| self.find("model.onnx")),
        };
        let graph = graph.with_context(|| {
            let variants = self.variants();
            let there = if variants.is_empty() { "none".to_owned() } else { joined(&variants) };
            format!("{} has no export {variant} at {}; it has {there}", self.repo, self.commit)
        })?;
        let mut files = Vec::new();
        for name in NEEDED {
            files.push(
                self.find(name)
                    .with_context(|| format!("{} lacks {name}, which a model needs", self.repo))?,
            );
        }
        files.extend(BESIDE.iter().filter_map(|name| self.find(name)));
        // The graph names its data: `NAME.onnx_data`, more of it in `…_data_1`; `NAME.onnx.data` by newer exporters.
        let is_data = |entry: &&Entry| {
            let rest = entry.path.strip_prefix(graph.path.as_str());
            rest.is_some_and(|rest| ["_data", ".data"].iter().any(|end| rest.starts_with(end)))
        };
        files.push(graph);
        files.extend(self.files.iter().filter(is_data));
        Ok(Choice::Export { files, variant: named })
    }
}

/// Names in a message: what a hub calls its files must not steer a terminal.
fn joined(names: &[&str]) -> String {
    let names: Vec<String> = names.iter().map(|name| name.escape_debug().to_string()).collect();
    names.join(", ")
}

/// Whether a name is `…-00001-of-00003.gguf`.
fn is_part(name: &str) -> bool {
    let number = |text: &str| text.len() == 5 && text.bytes().all(|byte| byte.is_ascii_digit());
    let ends = name.strip_suffix(".gguf").and_then(|stem| stem.rsplit_once("-of-"));
    ends.is_some_and(|(before, count)| {
        number(count) && before.rsplit_once('-').is_some_and(|(_, at)| number(at))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listing(paths: &[&str]) -> Listing {
        let entry =
            |path: &&str| Entry { path: (*path).to_owned(), bytes: 1, hash: Hash::GitBlob("0".repeat(40)) };
        Listing { repo: "o/r".into(), commit: "c".into(), files: paths.iter().map(entry).collect() }
    }

    fn picked(paths: &[&str], wanted: &Wanted) -> Result<Vec<String>> {
        let listing = listing(paths);
        Ok(match listing.pick(wanted)? {
            Choice::Gguf(entry) => vec![entry.path.clone()],
            Choice::Export { files, .. } => files.iter().map(|entry| entry.path.clone()).collect(),
        })
    }

    fn variant(name: &str) -> Wanted {
        Wanted::Variant(name.to_owned())
    }

    const EXPORT: &[&str] = &[
        "README.md",
        "config.json",
        "generation_config.json",
        "onnx/model.onnx",
        "onnx/model.onnx_data",
        "onnx/model_q4.onnx",
        "onnx/model_q4.onnx_data",
        "onnx/model_q4.onnx_data_1",
        "onnx/model_q4f16.onnx",
        "onnx/model_q4f16.onnx.data",
        "tokenizer.json",
        "vocab.json",
    ];

    #[test]
    fn an_export_is_its_graph_with_its_data_and_what_is_read_beside() -> Result<()> {
        let beside = ["config.json", "tokenizer.json", "generation_config.json"];
        for (wanted, graph) in [
            (Wanted::Only, &["onnx/model.onnx", "onnx/model.onnx_data"][..]),
            (variant("fp32"), &["onnx/model.onnx", "onnx/model.onnx_data"]),
            (variant("q4"), &["onnx/model_q4.onnx", "onnx/model_q4.onnx_data", "onnx/model_q4.onnx_data_1"]),
            (variant("q4f16"), &["onnx/model_q4f16.onnx", "onnx/model_q4f16.onnx.data"]),
        ] {
            assert_eq!(picked(EXPORT, &wanted)?, [&beside[..], graph].concat(), "{wanted:?}");
        }
        let error = picked(EXPORT, &variant("int8")).expect_err("there is none").to_string();
        assert!(error.contains("fp32, q4, q4f16"), "{error}");
        let error =
            picked(&["config.json", "model.onnx"], &Wanted::Only).expect_err("no tokenizer").to_string();
        assert!(error.contains("tokenizer.json"), "{error}");
        Ok(())
    }

    #[test]
    fn the_only_gguf_needs_no_name_and_several_are_listed() -> Result<()> {
        let two = ["a.Q4_K_M.gguf", "a.Q8_0.gguf"];
        assert_eq!(picked(&two[..1], &Wanted::Only)?, &two[..1]);
        assert_eq!(picked(&two, &Wanted::Gguf(two[1].into()))?, &two[1..]);
        let error = picked(&two, &Wanted::Only).expect_err("which one").to_string();
        assert!(error.contains("o/r:a.Q4_K_M.gguf") && error.contains("o/r:a.Q8_0.gguf"), "{error}");
        let error = picked(&two, &Wanted::Gguf("b.gguf".into())).expect_err("no such").to_string();
        assert!(error.contains("b.gguf") && error.contains("a.Q8_0.gguf"), "{error}");
        let error =
            picked(&["a-00001-of-00002.gguf"], &Wanted::Only).expect_err("one part of two").to_string();
        assert!(error.contains("split"), "{error}");
        assert!(picked(&["README.md"], &Wanted::Only).is_err());
        Ok(())
    }

    #[test]
    fn a_name_that_is_not_one_everywhere_is_refused_only_where_it_is_chosen() -> Result<()> {
        for odd in ["logs/12:30.txt", "a\\..\\b", "c:x", "Icon\r"] {
            let raw = serde_json::json!({"type": "file", "path": odd, "size": 3, "oid": "a".repeat(40)});
            let read = Entry::read(serde_json::from_value(raw)?)?;
            assert!(read.is_some_and(|entry| entry.path == odd), "{odd:?}");
            assert_eq!(picked(&[odd, "a.gguf"], &Wanted::Only)?, ["a.gguf"], "{odd:?}");
        }
        let with_odd_data = [EXPORT, &["onnx/model_q4.onnx_data\\x"][..]].concat();
        for (paths, wanted, odd) in [
            (&["c:x.gguf"][..], Wanted::Only, "c:x.gguf"),
            (&["a.gguf", "..\\x.gguf"][..], Wanted::Gguf("..\\x.gguf".into()), "..\\\\x.gguf"),
            (&with_odd_data[..], variant("q4"), "onnx_data\\\\x"),
        ] {
            let error = picked(paths, &wanted).expect_err(odd).to_string();
            assert!(error.contains(odd) && error.contains("nothing was fetched"), "{error}");
        }
        // Beside others it is named, but so that it does nothing to a terminal.
        let error = picked(&["a.gguf", "\u{1b}[2J.gguf"], &Wanted::Only).expect_err("which one").to_string();
        assert!(error.contains("[2J.gguf") && !error.contains('\u{1b}'), "{error}");
        Ok(())
    }

    #[test]
    fn names_that_leave_the_folder_and_hashes_that_are_none_are_refused() -> Result<()> {
        let read = |path: &str, oid: &str| {
            Entry::read(serde_json::from_value(
                serde_json::json!({"type": "file", "path": path, "size": 3, "oid": oid}),
            )?)
        };
        let oid = "a".repeat(40);
        assert!(read("onnx/model.onnx", &oid)?.is_some());
        for path in ["../x", "/x", "a/../../x", "a//b", "", ".", &"x".repeat(513)] {
            assert!(read(path, &oid).is_err(), "{path}");
        }
        assert!(read("x", "").is_err() && read("x", &"g".repeat(40)).is_err());
        Ok(())
    }
}

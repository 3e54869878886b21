//! `pawl plugin new NAME --lang …`: the folder of a new plugin, from the templates in `templates/plugin`.
//!
//! The templates are a whole plugin named `my-plugin`; only the name and the limits that a language needs are put in.
//! Invariant: nothing that exists is touched, and what is written builds as it is.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::Args;

use super::toolchain::Language;

/// The longest name of a plugin, as in plugin.toml.
const MAX_NAME: usize = 32;

/// Words that WIT, Rust or cargo would take for something else: the name becomes a package of each.
const RESERVED: &[&str] = &[
    "abstract",
    "alloc",
    "as",
    "async",
    "await",
    "become",
    "bool",
    "borrow",
    "box",
    "break",
    "build",
    "char",
    "const",
    "constructor",
    "continue",
    "core",
    "crate",
    "deps",
    "do",
    "dyn",
    "else",
    "enum",
    "error",
    "examples",
    "export",
    "extern",
    "f32",
    "f64",
    "false",
    "final",
    "flags",
    "fn",
    "for",
    "from",
    "func",
    "future",
    "gen",
    "if",
    "impl",
    "import",
    "in",
    "include",
    "incremental",
    "interface",
    "let",
    "list",
    "loop",
    "macro",
    "map",
    "match",
    "mod",
    "move",
    "mut",
    "option",
    "override",
    "own",
    "package",
    "priv",
    "proc-macro",
    "pub",
    "record",
    "ref",
    "resource",
    "result",
    "return",
    "s16",
    "s32",
    "s64",
    "s8",
    "self",
    "static",
    "std",
    "stream",
    "string",
    "struct",
    "super",
    "test",
    "trait",
    "true",
    "try",
    "tuple",
    "type",
    "typeof",
    "u16",
    "u32",
    "u64",
    "u8",
    "union",
    "unsafe",
    "unsized",
    "use",
    "variant",
    "virtual",
    "where",
    "while",
    "with",
    "world",
    "yield",
];

#[derive(Debug, Args)]
pub(crate) struct New {
    /// Kebab case, such as `bill-splitter`; the first half of each tool's name
    name: String,
    /// What it is written in
    #[arg(long)]
    lang: Language,
    /// Folder to make the plugin's folder in
    #[arg(long, value_name = "DIR", default_value = ".")]
    dir: PathBuf,
}

impl New {
    pub(crate) fn run(self) -> Result<ExitCode> {
        check(&self.name)?;
        let folder = plain(&self.dir).join(&self.name);
        write(&folder, &self.name, self.lang)?;
        println!("wrote {}, a plugin in {}. Next:", folder.display(), self.lang.label());
        if let Some(command) = self.lang.preparation() {
            println!("  (cd {} && {command})", folder.display());
        }
        println!("  pawl plugin build {}", folder.display());
        println!("and in pawl.toml:");
        println!("  [plugins.{}]", self.name);
        println!("  path = \"{}\"", folder.join(super::build::OUTPUT).display());
        println!("  pin = false   # while you work on it");
        Ok(ExitCode::SUCCESS)
    }
}

/// The folder without a leading `./`, as a person would write it.
fn plain(folder: &Path) -> PathBuf {
    folder.components().filter(|part| part.as_os_str() != ".").collect()
}

fn check(name: &str) -> Result<()> {
    let word = |word: &str| {
        word.starts_with(|c: char| c.is_ascii_lowercase())
            && word.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit())
    };
    if !name.split('-').all(word) || name.len() > MAX_NAME {
        bail!(
            "\"{}\" is no plugin name; use kebab case, such as bill-splitter, of at most {MAX_NAME} characters",
            name.escape_debug()
        );
    }
    if RESERVED.contains(&name) {
        bail!("\"{name}\" is a word of WIT, Rust or cargo; use another name, such as my-{name}");
    }
    Ok(())
}

fn write(folder: &Path, name: &str, language: Language) -> Result<()> {
    let parent = folder.parent().filter(|parent| !parent.as_os_str().is_empty());
    if let Some(parent) = parent {
        fs::create_dir_all(parent).with_context(|| format!("cannot make {}", parent.display()))?;
    }
    match fs::create_dir(folder) {
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
            bail!("{} exists already; use another name, or remove it", folder.display())
        }
        made => made.with_context(|| format!("cannot make {}", folder.display()))?,
    }
    for (path, template) in files(language) {
        let path = folder.join(path);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).with_context(|| format!("cannot make {}", parent.display()))?;
        }
        fs::write(&path, filled(template, name, language))
            .with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}

macro_rules! template {
    ($path:literal) => {
        include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/templates/plugin/", $path))
    };
}

/// The files of a plugin in this language: path within its folder, and template.
fn files(language: Language) -> Vec<(&'static str, &'static str)> {
    let mut files = vec![
        ("plugin.toml", template!("plugin.toml")),
        ("wit/world.wit", template!("wit/world.wit")),
        ("README.md", template!("README.md")),
    ];
    files.extend(match language {
        Language::Rust => [
            ("Cargo.toml", template!("rust/Cargo.toml")),
            ("src/lib.rs", template!("rust/src/lib.rs")),
            (".gitignore", template!("rust/gitignore")),
        ],
        Language::Python => [
            ("app.py", template!("python/app.py")),
            ("requirements.txt", template!("python/requirements.txt")),
            (".gitignore", template!("python/gitignore")),
        ],
        Language::Js => [
            ("plugin.js", template!("js/plugin.js")),
            ("package.json", template!("js/package.json")),
            (".gitignore", template!("js/gitignore")),
        ],
    });
    files
}

/// A template with the plugin's name, the limits that its language needs, and how its tools are had.
fn filled(template: &str, name: &str, language: Language) -> String {
    let preparation = language.preparation().map(|command| format!("{command}\n")).unwrap_or_default();
    template
        .replace("my-plugin", name)
        .replace("my_plugin", &name.replace('-', "_"))
        .replace("MEMORY", language.memory())
        .replace("PREPARATION\n", &preparation)
}

#[cfg(test)]
mod tests {
    use pawl_plugin::Manifest;

    use super::*;

    const LANGUAGES: [Language; 3] = [Language::Rust, Language::Python, Language::Js];

    #[test]
    fn what_is_written_has_the_name_and_a_manifest_that_is_read() -> Result<()> {
        let home = tempfile::tempdir()?;
        for language in LANGUAGES {
            let folder = home.path().join(language.label());
            write(&folder, "bill-splitter", language)?;
            let manifest = Manifest::read(&folder.join("plugin.toml"))?;
            assert_eq!(manifest.name, "bill-splitter");
            assert_eq!(manifest.prompt.examples.len(), 1);
            for (path, _) in files(language) {
                let text = fs::read_to_string(folder.join(path))?;
                for left in ["my-plugin", "my_plugin", "MEMORY", "PREPARATION"] {
                    assert!(!text.contains(left), "{path} still has {left}");
                }
            }
            assert_eq!(Language::of(&folder)?, language);
        }
        Ok(())
    }

    #[test]
    fn a_folder_that_exists_is_refused_by_name_and_left_alone() -> Result<()> {
        let home = tempfile::tempdir()?;
        let folder = home.path().join("mine");
        fs::create_dir(&folder)?;
        let error = write(&folder, "mine", Language::Rust).expect_err("exists").to_string();
        assert!(error.contains("mine") && error.contains("exists"), "{error}");
        assert_eq!(fs::read_dir(&folder)?.count(), 0);
        Ok(())
    }

    #[test]
    fn names_that_would_not_make_a_package_are_refused() {
        for name in [
            "",
            "Bill",
            "a_b",
            "a--b",
            "-a",
            "1a",
            "a/b",
            "../a",
            "a b",
            "list",
            "type",
            "test",
            &"a".repeat(33),
        ] {
            let error = check(name).expect_err(name).to_string();
            assert!(error.contains(name), "{error}");
        }
        for name in ["a", "bill-splitter", "mp3-list", &"a".repeat(32)] {
            check(name).expect(name);
        }
    }
}

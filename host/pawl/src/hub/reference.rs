//! What a person names: `ORG/REPO[@REVISION][:FILE.gguf | :VARIANT]`.
//!
//! Invariant: what is parsed holds only letters that mean the same in a URL and in a file name, and no `..`.

use std::str::FromStr;

use anyhow::{Error, Result, ensure};

/// A repository of a hub, at a revision, and what is wanted of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reference {
    /// `ORG/REPO`.
    pub(crate) repo: String,
    /// A branch, a tag or a commit.
    pub(crate) revision: String,
    pub(super) wanted: Wanted,
}

/// Which of a repository's models.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Wanted {
    /// The only one that there is.
    Only,
    /// This GGUF file.
    Gguf(String),
    /// The export's graph `onnx/model_VARIANT.onnx`.
    Variant(String),
}

/// What the variant of `onnx/model.onnx` is called.
pub(super) const PLAIN: &str = "fp32";

impl FromStr for Reference {
    type Err = Error;

    fn from_str(text: &str) -> Result<Reference> {
        let (place, wanted) = match text.split_once(':') {
            Some((place, wanted)) => (place, Some(wanted)),
            None => (text, None),
        };
        let (repo, revision) = place.split_once('@').unwrap_or((place, "main"));
        let part = |part: &str| {
            (1..=96).contains(&part.len())
                && part.starts_with(|c: char| c.is_ascii_alphanumeric())
                && part.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c))
                && !part.contains("..")
                // Hubs allow none, and the staging folder's name is told apart by it.
                && !part.contains("--")
        };
        ensure!(
            repo.split('/').count() == 2 && repo.split('/').all(part),
            "`{repo}` is no repository of a hub; one is named ORG/REPO[@REVISION][:FILE.gguf|:VARIANT]"
        );
        ensure!(
            (1..=255).contains(&revision.len())
                && revision.split('/').all(|part| !part.is_empty() && part != "." && !part.contains(".."))
                && revision.chars().all(|c| c.is_ascii_alphanumeric() || "._-/".contains(c)),
            "`{revision}` is no revision; name a branch, a tag or a commit after the @"
        );
        let wanted = match wanted {
            None => Wanted::Only,
            Some(file) if file.ends_with(".gguf") => Wanted::Gguf(file.to_owned()),
            Some(variant) => {
                ensure!(
                    (1..=32).contains(&variant.len())
                        && variant.chars().all(|c| c.is_ascii_alphanumeric() || c == '_'),
                    "`{variant}` is neither a FILE.gguf nor a variant of an export such as q4, q4f16, fp16 or fp32"
                );
                Wanted::Variant(variant.to_owned())
            }
        };
        Ok(Reference { repo: repo.to_owned(), revision: revision.to_owned(), wanted })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Result<(String, String, Wanted)> {
        let Reference { repo, revision, wanted } = text.parse()?;
        Ok((repo, revision, wanted))
    }

    #[test]
    fn repository_revision_and_what_is_wanted() -> Result<()> {
        let of = |repo: &str, revision: &str, wanted| (repo.to_owned(), revision.to_owned(), wanted);
        assert_eq!(parsed("org/repo")?, of("org/repo", "main", Wanted::Only));
        assert_eq!(parsed("o/r-1.5:q4f16")?, of("o/r-1.5", "main", Wanted::Variant("q4f16".into())));
        let gguf = Wanted::Gguf("sub/x.Q4_K_M.gguf".into());
        assert_eq!(parsed("o/r@refs/pr/1:sub/x.Q4_K_M.gguf")?, of("o/r", "refs/pr/1", gguf));
        Ok(())
    }

    #[test]
    fn what_is_none_is_refused_and_named() {
        for (text, named) in [
            ("repo", "`repo`"),
            ("a/b/c", "`a/b/c`"),
            ("../b", "`../b`"),
            ("a/..", "`a/..`"),
            ("a/b@", "no revision"),
            ("a/b@../x", "`../x`"),
            ("a/b@x y", "`x y`"),
            ("a/b:", "FILE.gguf"),
            ("a/b:q4/../x", "`q4/../x`"),
        ] {
            let error = parsed(text).expect_err(text).to_string();
            assert!(error.contains(named), "{text}: {error}");
        }
    }
}

//! A model of a hub: a GGUF file, which is imported, or an export, whose files are the model's folder.
//!
//! Invariant: a staging folder belongs to one repository, commit and file or variant, so it holds exactly the files of that one.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use pawl_fetch::home::Home;
use pawl_fetch::progress::{Step, Steps};
use pawl_fetch::verify;

use super::{HUB, Pull, There, checked, import, is_free, taken};
use crate::hub::{Choice, Entry, Hash, Hub, Listing, Reference, is_hex};

impl Pull {
    pub(super) async fn unpinned(&self, home: &Home) -> Result<String> {
        let reference: Reference = self.source.parse()?;
        let hub = Hub::new(if self.endpoint.is_empty() { HUB } else { &self.endpoint })?;
        let mut steps = Steps::new(3);
        let step = steps.begin(&format!("{} at {}", reference.repo, reference.revision));
        let listing = hub.listing(&reference).await?;
        let choice = listing.choose(&reference)?;
        step.done(&format!("commit {}", listing.commit));
        match choice {
            Choice::Gguf(entry) => self.gguf(home, &hub, &listing, entry, &mut steps).await,
            Choice::Export { files, variant } => {
                self.export(home, &hub, &listing, &files, variant, &mut steps).await
            }
        }
    }

    async fn gguf(
        &self,
        home: &Home,
        hub: &Hub,
        listing: &Listing,
        entry: &Entry,
        steps: &mut Steps,
    ) -> Result<String> {
        let stem = entry.name().strip_suffix(".gguf").unwrap_or(entry.name());
        let name = checked(self.name.as_deref().unwrap_or(stem))?.to_owned();
        let Hash::Sha256(sha256) = &entry.hash else {
            bail!("{} of {} is too small for a model: git keeps it itself", entry.path, listing.repo);
        };
        let there = There::read(home, &name, sha256)?;
        let place = home.gguf(&name);
        let mut step = steps.begin(&entry.path);
        if there == There::This {
            step.done("ready, nothing to do");
            return Ok(name);
        }
        if place.exists() && !verify::is_stamped(&place, sha256) {
            step.bytes("verifying what is there", entry.bytes);
            let same = entry.matches(&place, &mut |bytes| step.at(bytes, entry.bytes))?;
            ensure!(same, "{}", taken(&place));
            verify::write_stamp(&place, sha256)?;
        }
        if place.exists() {
            step.done("ready, nothing to do");
        } else {
            let staging = staging(home, &listing.repo, &listing.commit, stem)?;
            // The import keeps every weight, some of them in a wider form.
            fetch(home, hub, listing, &[entry], &staging, (entry.bytes / 2).saturating_mul(3), &mut step)
                .await?;
            let parent = place.parent().context("a file lies in a folder")?;
            fs::create_dir_all(parent).with_context(|| format!("cannot make {}", parent.display()))?;
            fs::rename(staging.join(&entry.path), &place)
                .with_context(|| format!("cannot put {} there", place.display()))?;
            verify::write_stamp(&place, sha256)?;
            // Nothing needs it any more; if it cannot be removed that is a loss of room only.
            let _ = fs::remove_dir_all(&staging);
            step.done("ready");
        }
        import(home, &name, &place, sha256, steps.begin(&format!("import as {name}")))?;
        Ok(name)
    }

    async fn export(
        &self,
        home: &Home,
        hub: &Hub,
        listing: &Listing,
        files: &[&Entry],
        variant: Option<&str>,
        steps: &mut Steps,
    ) -> Result<String> {
        let repo = listing.repo.rsplit('/').next().unwrap_or_default();
        let own = variant.map_or_else(|| repo.to_owned(), |variant| format!("{repo}-{variant}"));
        let name = checked(self.name.as_deref().unwrap_or(&own))?.to_owned();
        let folder = home.model(&name);
        let mut step = steps.begin(&format!("{} files of the export", files.len()));
        if !is_free(&folder) {
            step.say("comparing with what is there");
            let same = |entry: &&Entry| {
                let path = folder.join(&entry.path);
                Ok(path.is_file() && entry.matches(&path, &mut |_| {})?)
            };
            let same: Vec<bool> = files.iter().map(same).collect::<Result<_>>()?;
            ensure!(same.into_iter().all(|same| same), "{}", taken(&folder));
            step.done("ready, nothing to do");
            return Ok(name);
        }
        let staging = staging(home, &listing.repo, &listing.commit, variant.unwrap_or("fp32"))?;
        fetch(home, hub, listing, files, &staging, 0, &mut step).await?;
        step.done("ready");

        let step = steps.begin(&format!("model {name}"));
        // Names as well as contents are on the disk before the folder has its own.
        let folders: Vec<_> =
            files.iter().filter_map(|entry| Some(staging.join(&entry.path).parent()?.to_owned())).collect();
        for path in folders.iter().chain([&staging]) {
            File::open(path)
                .and_then(|folder| folder.sync_all())
                .with_context(|| format!("cannot flush {} to disk", path.display()))?;
        }
        let parent = folder.parent().context("a model lies in a folder")?;
        fs::create_dir_all(parent).with_context(|| format!("cannot make {}", parent.display()))?;
        fs::rename(&staging, &folder).with_context(|| format!("cannot put {} there", folder.display()))?;
        step.done("ready");
        Ok(name)
    }
}

/// Where the files of a commit are fetched to. What was begun of another commit of the same is removed.
fn staging(home: &Home, repo: &str, commit: &str, what: &str) -> Result<PathBuf> {
    let (before, after) = (format!("{}@", repo.replace('/', "--")), format!("-{what}"));
    let staging = home.downloads(&format!("{before}{commit}{after}"));
    // Nothing but a commit between the two: what is wanted may end as something else does, `model-fp16` as `fp16`.
    let is_of_a_commit = |name: &str| {
        let commit = name.strip_prefix(&before).and_then(|name| name.strip_suffix(&after));
        commit.is_some_and(|commit| is_hex(commit, 40))
    };
    let downloads = staging.parent().context("it lies in a folder")?;
    for entry in fs::read_dir(downloads).into_iter().flatten().flatten() {
        if is_of_a_commit(&entry.file_name().to_string_lossy()) && entry.path() != staging {
            fs::remove_dir_all(entry.path())
                .with_context(|| format!("cannot remove {}", entry.path().display()))?;
        }
    }
    fs::create_dir_all(&staging).with_context(|| format!("cannot make {}", staging.display()))?;
    Ok(staging)
}

/// Has all `files` in `staging` when it returns; `afterwards` is the room that is needed besides.
async fn fetch(
    home: &Home,
    hub: &Hub,
    listing: &Listing,
    files: &[&Entry],
    staging: &Path,
    afterwards: u64,
    step: &mut Step,
) -> Result<()> {
    let whole = files.iter().fold(0u64, |sum, entry| sum.saturating_add(entry.bytes));
    let begun: u64 = files.iter().map(|entry| entry.begun(staging)).sum();
    home.require_space((whole - begun).saturating_add(afterwards), &listing.repo)?;
    step.bytes(if begun > 0 { "continuing" } else { "fetching" }, whole);
    let mut done = 0;
    for entry in files {
        let fetched = hub.fetch(listing, entry, staging, &mut |bytes| step.at(done + bytes, whole)).await;
        if fetched.is_err() {
            // Empty folders are no progress; where they hold something, they stay.
            let _ = fs::remove_dir(staging.join(&entry.path).parent().unwrap_or(staging));
            let _ = fs::remove_dir(staging);
        }
        fetched?;
        done += entry.bytes;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_begun_of_another_commit_of_the_same_is_removed() -> Result<()> {
        let folder = tempfile::tempdir()?;
        let home = Home::at(folder.path().to_owned())?;
        let (old, new) = ("a".repeat(40), "b".repeat(40));
        let begun = |repo: &str, commit: &str, what: &str| staging(&home, repo, commit, what);
        let gone = begun("team/small-model", &old, "fp16")?;
        let stay = [
            // A GGUF file and a repository whose names end, or begin, as the others do.
            begun("team/small-model", &new, "model-fp16")?,
            begun("team/small", &old, "fp16")?,
            begun("team/small-model", &old, "q4")?,
        ];
        let staging = begun("team/small-model", &new, "fp16")?;
        assert!(staging.is_dir() && !gone.exists());
        assert!(stay.iter().all(|folder| folder.is_dir()), "{stay:?}");
        Ok(())
    }
}

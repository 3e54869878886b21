//! `cargo xtask …`: sets Pawl up, starts it, tests it.
//!
//! Compiled in the dev profile before anything else, so it depends on little, and on nothing of ours but
//! `host/fetch`, which fetches what is pinned for set-up and binary alike and is as light.

mod bench;
mod cargo;
mod chaos;
mod check;
mod fuzz;
mod peers;
mod plugins;
#[path = "../../host/plugin/src/section.rs"]
mod section;
mod setup;
mod tidy;
mod toolchain;

use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, ExitCode};

use anyhow::{Context, Result, bail};
use clap::{Parser, Subcommand};
use pawl_fetch::catalogue;

use crate::setup::{Build, Wanted};

/// Sets Pawl up, starts it, tests it.
#[derive(Debug, Parser)]
#[command(bin_name = "cargo xtask", disable_help_subcommand = true)]
enum Arguments {
    /// Sets everything up (what is done is skipped) and serves the chat endpoint and page
    Start {
        /// Stop before serving
        #[arg(long)]
        no_serve: bool,
        /// Address to serve on [default: 127.0.0.1:7411]
        #[arg(long, env = "PAWL_LISTEN", value_name = "ADDR")]
        listen: Option<String>,
        /// Model to serve, by its name under `models` or in the catalogue
        #[arg(long, env = "PAWL_MODEL", value_name = "NAME")]
        model: Option<String>,
        /// Compute on a GPU: fetches ONNX Runtime's build for it, and makes a model folder in float16
        #[arg(long, value_name = "KIND", value_parser = ["cuda"])]
        gpu: Option<String>,
    },
    /// Sets everything up and runs every check and test
    Test,
    /// Builds the plugins into target/plugins
    BuildPlugins {
        /// Builds the guests of the tests too, into target/guests
        #[arg(long)]
        guests: bool,
    },
    /// Sets everything up and stops
    Setup {
        /// Fetch and import all models that the project knows, not only the default one
        #[arg(long)]
        all_models: bool,
    },
    /// Runs a fuzz target of tests/fuzz
    Fuzz {
        /// json_to_value, wit_to_schema, manifest or policy
        #[arg(value_parser = fuzz::TARGETS)]
        target: String,
        /// How long
        #[arg(long, default_value_t = 15)]
        minutes: u32,
    },
    /// Runs workflows while `pawl serve` is killed again and again, and checks that nothing is lost or done twice
    Chaos {
        /// --runs N --documents N --kills N --trouble none|lock|disk --seed N
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Checks the invariants of ARCHITECTURE.md
    Tidy,
    /// Measures, beside the peers, and prints tables
    #[command(subcommand)]
    Bench(Bench),
}

#[derive(Debug, Subcommand)]
enum Bench {
    /// Workflows: a step, a replay, many runs, a long queue
    Flow {
        /// Put the table into docs/benchmarks.md
        #[arg(long)]
        write: bool,
    },
    /// The model runtime beside llama.cpp's server, which is fetched and built once (ten minutes), and onnxruntime-genai
    Llm {
        /// Put the tables into docs/benchmarks.md
        #[arg(long)]
        write: bool,
        /// Only this model
        #[arg(long)]
        model: Option<String>,
    },
    /// Two hundred clients at once, a third of them hanging up
    Load {
        /// Put the result into docs/benchmarks.md
        #[arg(long)]
        write: bool,
        /// How long
        #[arg(long, default_value_t = 5.0)]
        minutes: f64,
    },
    /// Screening of a hundred résumés, killed and not, beside a plain loop
    Screen {
        /// Put the table into docs/benchmarks.md
        #[arg(long)]
        write: bool,
    },
    /// Calls into plugins: load, first and warm calls, many at once
    Plugin {
        /// Put the tables into docs/benchmarks.md
        #[arg(long)]
        write: bool,
    },
}

fn main() -> ExitCode {
    match run(Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: Arguments) -> Result<()> {
    let root = cargo::checkout();
    match arguments {
        Arguments::Start { no_serve, listen, model, gpu } => {
            let cuda = gpu.is_some();
            let settings = std::env::var_os("PAWL_CONFIG").unwrap_or_else(|| "pawl.toml".into());
            let settings = Path::new(&settings);
            let named = model.clone().or_else(|| setup::name_in(settings, "[model]"));
            let models = setup::models_for(named.as_deref())?;
            let encoder = setup::names_encoder(settings);
            // On a GPU a model is served from another folder than the settings name.
            let model = if cuda { named } else { model };
            let binary = setup::run(&root, &Wanted { models, encoder, cuda, build: Build::Product })?;
            accept(&root, &binary)?;
            // A model of the user's own is there as it is; one that was set up here has a folder for devices.
            let model = match (cuda, model) {
                (true, None) => Some(setup::for_device(catalogue::DEFAULT.name)),
                (true, Some(name)) if catalogue::ALL.iter().any(|known| known.name == name) => {
                    Some(setup::for_device(&name))
                }
                (_, model) => model,
            };
            if no_serve { Ok(()) } else { serve(&root, &binary, [listen, model, gpu]) }
        }
        Arguments::Test => check::run(&root),
        Arguments::BuildPlugins { guests } => setup::plugins_only(&root, guests),
        Arguments::Setup { all_models } => {
            let models = if all_models { catalogue::ALL.to_vec() } else { vec![catalogue::DEFAULT] };
            let wanted = Wanted { models, encoder: all_models, cuda: false, build: Build::Product };
            setup::run(&root, &wanted).map(drop)
        }
        Arguments::Fuzz { target, minutes } => fuzz::run(&root, &target, minutes),
        Arguments::Chaos { arguments } => chaos::run(&root, &arguments),
        Arguments::Tidy => check::tidy(&root),
        Arguments::Bench(Bench::Plugin { write }) => bench::plugin(&root, write),
        Arguments::Bench(Bench::Flow { write }) => bench::flow(&root, write),
        Arguments::Bench(Bench::Load { write, minutes }) => bench::load(&root, write, minutes),
        Arguments::Bench(Bench::Llm { write, model }) => bench::llm(&root, write, model),
        Arguments::Bench(Bench::Screen { write }) => bench::screen(&root, write),
    }
}

/// Pins the plugins of the embedded settings as they were just built: who runs `start` on this source has accepted them by
/// it. Only under those settings; what a pawl.toml names is accepted by its own person.
pub(crate) fn accept(root: &Path, binary: &Path) -> Result<()> {
    if Path::new("pawl.toml").is_file() || std::env::var_os("PAWL_CONFIG").is_some() {
        return Ok(());
    }
    let mut command = Command::new(binary);
    command.args(["plugin", "accept", "--yes", "--plugins"]).arg(cargo::target(root).join("plugins"));
    let output =
        cargo::clean(&mut command).output().with_context(|| format!("cannot run {}", binary.display()))?;
    if !output.status.success() {
        bail!("the plugins cannot be pinned: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}

/// Becomes `pawl serve`; returns only when it could not.
fn serve(root: &Path, binary: &Path, [listen, model, providers]: [Option<String>; 3]) -> Result<()> {
    let mut command = Command::new(binary);
    command.arg("serve").arg("--plugins").arg(cargo::target(root).join("plugins"));
    for (flag, value) in [("--listen", listen), ("--model", model), ("--providers", providers)] {
        if let Some(value) = value {
            command.arg(flag).arg(value);
        }
    }
    let error = cargo::clean(&mut command).exec();
    Err(error).with_context(|| format!("cannot run {}", binary.display()))
}

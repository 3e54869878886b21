//! `pawl plugin …`: make a plugin, build it, look at it. The guide is docs/plugins.md.

mod accept;
mod add;
mod build;
mod inspect;
mod list;
mod new;
mod toolchain;

use std::process::ExitCode;

use anyhow::Result;
use clap::Subcommand;

use crate::config::Config;

#[derive(Debug, Subcommand)]
pub(crate) enum Plugin {
    /// Write the folder of a new plugin, ready to be built
    New(new::New),
    /// Build a plugin's folder into a component with its documentation inside
    Build(build::Build),
    /// Imports, tools, schemas, size, digest, capabilities and limits of one plugin
    Inspect(inspect::Inspect),
    /// The plugins of the settings: loaded, or why not
    List(list::List),
    /// Pin a plugin as it is now, after a look at what has changed
    Accept(accept::Accept),
    /// Fetch a plugin from a registry or a file, check its signature, and pin it
    Add(add::Add),
}

impl Plugin {
    pub(crate) async fn run(self, config: &Config) -> Result<ExitCode> {
        match self {
            Plugin::New(command) => command.run(),
            Plugin::Build(command) => command.run(config),
            Plugin::Inspect(command) => command.run(config),
            Plugin::List(command) => command.run(config),
            Plugin::Accept(command) => command.run(config),
            Plugin::Add(command) => command.run(config).await,
        }
    }
}

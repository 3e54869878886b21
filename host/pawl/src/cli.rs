//! The command line. One file per command; results on stdout, progress on stderr.

mod approvals;
mod call;
mod chat;
mod doctor;
mod eval;
mod flow;
mod jobs;
mod memory;
mod model;
mod plugin;
mod run;
mod runs;
mod sample;
mod screen;
mod serve;
mod tools;
mod triggers;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

use crate::config::{Config, Overrides};

/// A WebAssembly plugin host for structured-output automation.
#[derive(Debug, Parser)]
#[command(version, about)]
pub(crate) struct Arguments {
    #[command(flatten)]
    overrides: Overrides,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve the chat endpoint
    Serve(serve::Serve),
    /// One turn in the terminal; without a message, a conversation
    Chat(chat::ChatCommand),
    /// Every tool: name, description, JSON Schemas
    Tools(tools::Tools),
    /// Call a plugin's function with no model
    Call(call::Call),
    /// Run a workflow, from a script file or by name
    Run(run::RunCommand),
    /// What ran and what waits: list, show, resume, cancel, signal, resolve, export
    Runs(runs::RunsCommand),
    /// Batches: list, show, pause, resume, retry
    Jobs(jobs::Jobs),
    /// Check and list workflows
    #[command(subcommand)]
    Flow(flow::Flow),
    /// Rank a folder of résumés by requirements; called again, it goes on
    Screen(screen::Screen),
    /// What begins workflows by itself: schedules, folders, webhooks
    Triggers(triggers::Triggers),
    /// What waits for a person: list, approve, reject
    Approvals(approvals::Approvals),
    /// What people did by conversation: latest, search, export
    Memory(memory::MemoryCommand),
    /// Get, import and look at models
    #[command(subcommand)]
    Model(model::Model),
    /// Make, build and look at plugins
    #[command(subcommand)]
    Plugin(plugin::Plugin),
    /// Write the sample shop's database
    Sample(sample::Sample),
    /// Quality of the model on a suite of requests
    Eval(eval::Eval),
    /// What is missing or misconfigured, and the mend
    Doctor(doctor::Doctor),
    /// Compile a component from stdin, in the bounds of a child process
    #[command(name = COMPILE, hide = true)]
    CompileComponent {
        #[arg(trailing_var_arg = true)]
        bounds: Vec<String>,
    },
}

/// The subcommand with which Pawl starts itself to compile a plugin.
pub(crate) const COMPILE: &str = "compile-component";

/// Runs a command; the result is the exit code.
pub(crate) fn run(arguments: Arguments) -> Result<ExitCode> {
    let Arguments { overrides, command } = arguments;
    // Doctor reports what is wrong with the settings too.
    if let Command::Doctor(command) = command {
        return block_on(command.run(&overrides));
    }
    if let Command::CompileComponent { bounds } = command {
        return Ok(pawl_plugin::compile_stdin(&bounds));
    }
    let config = Config::resolve(&overrides)?;
    match command {
        Command::Serve(command) => block_on(command.run(config)),
        Command::Chat(command) => block_on(command.run(config)),
        Command::Tools(command) => command.run(&config),
        Command::Call(command) => block_on(command.run(&config)),
        Command::Run(command) => block_on(command.run(&config)),
        Command::Runs(command) => block_on(command.run(&config)),
        Command::Jobs(command) => block_on(command.run(&config)),
        Command::Triggers(command) => command.run(&config),
        Command::Screen(command) => block_on(command.run(config)),
        Command::Flow(command) => block_on(command.run(&config)),
        Command::Approvals(command) => block_on(command.run(&config)),
        Command::Memory(command) => command.run(&config),
        Command::Model(command) => command.run(&config),
        Command::Plugin(command) => block_on(command.run(&config)),
        Command::Sample(command) => command.run(&config),
        Command::Eval(command) => block_on(command.run(config)),
        Command::Doctor(_) | Command::CompileComponent { .. } => Ok(ExitCode::SUCCESS),
    }
}

fn block_on<T>(command: impl Future<Output = Result<T>>) -> Result<T> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(command)
}

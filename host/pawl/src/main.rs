//! The binary `pawl`: parse, trace, run, exit code. 0 done, 1 failed, 2 usage, 3 waits for approval.

mod api;
mod app;
mod approvals;
mod chat;
mod cli;
mod config;
mod dates;
mod eval;
mod flow;
#[cfg(feature = "hub")]
mod hub;
mod plugins;
mod record;
mod sample;
mod screen;
mod triggers;

use std::io::IsTerminal;
use std::process::ExitCode;

use clap::Parser;
use tracing_subscriber::EnvFilter;

fn main() -> ExitCode {
    end_quietly_without_reader();
    let arguments = cli::Arguments::parse();
    let filter = EnvFilter::try_from_env("PAWL_LOG").unwrap_or_else(|_| EnvFilter::new("warn"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .init();
    match cli::run(arguments) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("pawl: {error:#}");
            ExitCode::from(1)
        }
    }
}

/// Ends Pawl where nobody reads its results any more, as in `pawl tools | head`: `println!` would panic there.
fn end_quietly_without_reader() {
    let otherwise = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        let said = panic.payload_as_str().unwrap_or_default();
        if said.starts_with("failed printing to stdout: Broken pipe") {
            std::process::exit(0);
        }
        otherwise(panic);
    }));
}

//! What a plugin call costs, from JSON text in to JSON text out, beside the peers: `cargo xtask bench plugin`.
//!
//! Invariant: contenders do the same work on the same text and give the same JSON, which is checked before anything is
//! timed; they take turns within one run, so that what the machine does meanwhile meets all of them, and ratios are
//! formed within a round.

mod contender;
mod probe;
mod report;
mod rounds;
mod ten;

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Result, bail};

use crate::contender::Files;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let Some(("compile", bounds)) = arguments.split_first().map(|(first, rest)| (first.as_str(), rest)) {
        return pawl_plugin::compile_stdin(bounds);
    }
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &[String]) -> Result<()> {
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["plugin", guests, plugins] => {
            println!("{}", report::write(&Files::new(guests), Path::new(plugins))?);
            Ok(())
        }
        // What this program calls itself with, in a process of its own.
        ["probe", kind, guests, cache] => probe::child(kind, &Files::new(guests), cache),
        ["ten", folder] => ten::child(folder.as_ref()),
        // For a profiler: nothing but calls of one contender.
        ["spin", kind, function, count, guests] => rounds::spin(kind, function, count, &Files::new(guests)),
        _ => bail!(
            "call it as `pawl-bench plugin GUESTS PLUGINS`, two folders; `cargo xtask bench plugin` does"
        ),
    }
}

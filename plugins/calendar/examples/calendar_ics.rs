//! Imports the .ics file on standard input into an empty calendar and prints the export, for
//! tests/scripts/calendar_ics_agreement.py. With the argument `bad`, reads paths from standard input instead, and tells
//! for each what an import says of it and how many milliseconds it took, for tests/scripts/calendar_bad_ics.py.
//!
//! Invariant: an import that fails prints its reason and ends with status 1.

use std::io::{BufRead, Read};
use std::process::ExitCode;
use std::time::Instant;

use pawl_plugin_calendar::exchange;
use pawl_plugin_calendar::memory::Memory;
use serde_json::json;

fn main() -> ExitCode {
    if std::env::args().nth(1).as_deref() == Some("bad") {
        for path in std::io::stdin().lock().lines().map_while(Result::ok) {
            let bytes = std::fs::read(&path).unwrap_or_default();
            // What a component is given is UTF-8.
            let (text, begun) = (String::from_utf8_lossy(&bytes), Instant::now());
            let (mut store, owner) = (Memory::default(), path.contains("busy").then_some("Mara"));
            let answer = match exchange::import(&mut store, &text, None, owner) {
                Ok(done) => json!({"events": done.events, "skipped": done.skipped}),
                Err(error) => json!({"error": format!("{error:?}")}),
            };
            let milliseconds = begun.elapsed().as_millis();
            let out = exchange::export(&store, None).map_err(|error| format!("{error:?}"));
            let (out, failed) = (out.clone().unwrap_or_default(), out.err());
            println!(
                "{}",
                json!({"path": path, "answer": answer, "ms": milliseconds, "out": out, "failed": failed})
            );
        }
        return ExitCode::SUCCESS;
    }
    let (mut text, mut store) = (String::new(), Memory::default());
    if std::io::stdin().read_to_string(&mut text).is_err() {
        eprintln!("standard input is no UTF-8");
        return ExitCode::FAILURE;
    }
    let imported = exchange::import(&mut store, &text, None, None);
    match imported.and_then(|_| exchange::export(&store, None)) {
        Ok(out) => print!("{out}"),
        Err(error) => {
            eprintln!("{error:?}");
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

//! The child that compiles components for tests: `pawl compile-component` without the rest of Pawl. `bomb FUNCTIONS
//! LOOPS VARIABLES` writes a compile bomb to stdout instead, to be measured.

use std::io::Write;
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let numbers: Vec<u32> = arguments.iter().filter_map(|argument| argument.parse().ok()).collect();
    match (arguments.first().map(String::as_str), &numbers[..]) {
        (Some("bomb"), [functions, loops, variables]) => {
            let written = pawl_tests::hostile::compile_bomb_of(*functions, *loops as usize, *variables)
                .and_then(|bomb| Ok(std::io::stdout().lock().write_all(&bomb)?));
            if written.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        _ => pawl_plugin::compile_stdin(&arguments),
    }
}

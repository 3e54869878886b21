//! Imports a GGUF file into a model folder: `cargo run --release -p pawl-llm --example import -- GGUF FOLDER [own|portable|device]`.

use std::path::Path;
use std::time::Instant;

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [gguf, folder, operators @ ..] = arguments.as_slice() else {
        anyhow::bail!("usage: import GGUF FOLDER [own|portable|device]");
    };
    let operators = match operators.first() {
        None => pawl_llm::Operators::for_this_machine(),
        Some(name) => name.parse().map_err(anyhow::Error::msg)?,
    };
    let start = Instant::now();
    let mut tenths = 0;
    let report = pawl_llm::import_gguf(Path::new(gguf), Path::new(folder), operators, &mut |progress| {
        let now = progress.done_bytes * 10 / progress.total_bytes.max(1);
        if now > tenths {
            tenths = now;
            eprintln!("{tenths}0 %");
        }
    })?;
    println!("{report:#?}\n{:.1} s", start.elapsed().as_secs_f64());
    Ok(())
}

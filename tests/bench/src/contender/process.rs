//! A program of its own that speaks JSON lines: no sandbox, but a crash is its own.

use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use anyhow::{Context, Result};
use contest::Contender;

/// One process for all calls.
pub(crate) struct Kept {
    program: PathBuf,
    child: Child,
    input: Option<BufWriter<ChildStdin>>,
    output: BufReader<ChildStdout>,
}

impl Kept {
    pub(crate) fn start(program: &Path) -> Result<Kept> {
        let mut child = Command::new(program)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot run {}", program.display()))?;
        let input = child.stdin.take().map(BufWriter::new);
        let output = BufReader::new(child.stdout.take().context("no pipe from the child")?);
        Ok(Kept { program: program.to_owned(), child, input, output })
    }
}

impl Contender for Kept {
    fn call(&mut self, function: &str, arguments: &str) -> Result<String> {
        let input = self.input.as_mut().context("no pipe to the child")?;
        for line in [function, arguments] {
            input.write_all(line.as_bytes())?;
            input.write_all(b"\n")?;
        }
        input.flush()?;
        let mut result = String::new();
        self.output.read_line(&mut result)?;
        result.truncate(result.trim_end().len());
        Ok(result)
    }

    fn twin(&self) -> Result<Box<dyn Contender>> {
        Ok(Box::new(Kept::start(&self.program)?))
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        // At the end of its input it ends.
        drop(self.input.take());
        let _ = self.child.wait();
    }
}

/// A process for each call.
pub(crate) struct Fresh(pub(crate) PathBuf);

impl Contender for Fresh {
    fn call(&mut self, function: &str, arguments: &str) -> Result<String> {
        Kept::start(&self.0)?.call(function, arguments)
    }

    fn twin(&self) -> Result<Box<dyn Contender>> {
        Ok(Box::new(Fresh(self.0.clone())))
    }
}

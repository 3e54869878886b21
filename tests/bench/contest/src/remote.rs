//! A contender in a process of its own: a request and its answer are a line of JSON each, over pipes.

use std::ffi::OsString;
use std::io::{BufRead, BufReader, Write, stdin, stdout};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::Contender;

#[derive(Serialize, Deserialize)]
enum Request {
    Call { function: String, arguments: String },
    Times { function: String, arguments: String, calls: usize },
    Storm { function: String, arguments: String, calls: usize },
}

/// Answers requests from stdin on stdout until there are no more.
///
/// # Errors
/// Where a call fails, or a request is none.
pub fn serve(contender: &mut dyn Contender) -> Result<()> {
    for line in stdin().lock().lines() {
        let answer = match serde_json::from_str(&line?)? {
            Request::Call { function, arguments } => {
                serde_json::to_string(&contender.call(&function, &arguments)?)
            }
            Request::Times { function, arguments, calls } => {
                serde_json::to_string(&contender.times(&function, &arguments, calls)?)
            }
            Request::Storm { function, arguments, calls } => {
                serde_json::to_string(&contender.storm(&function, &arguments, calls)?)
            }
        }?;
        writeln!(stdout().lock(), "{answer}")?;
    }
    Ok(())
}

/// A program that calls [`serve`].
pub struct Remote {
    program: PathBuf,
    arguments: Vec<OsString>,
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Remote {
    /// Starts the program.
    ///
    /// # Errors
    /// Where it cannot be run.
    pub fn start(program: PathBuf, arguments: Vec<OsString>) -> Result<Remote> {
        let mut child = Command::new(&program)
            .args(&arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot run {}", program.display()))?;
        let input = child.stdin.take();
        let output = BufReader::new(child.stdout.take().context("no pipe from the child")?);
        Ok(Remote { program, arguments, child, input, output })
    }

    fn ask<T: DeserializeOwned>(&mut self, request: &Request) -> Result<T> {
        let input = self.input.as_mut().context("no pipe to the child")?;
        let mut line = serde_json::to_vec(request)?;
        line.push(b'\n');
        input.write_all(&line)?;
        let mut answer = String::new();
        self.output.read_line(&mut answer)?;
        serde_json::from_str(&answer).with_context(|| format!("{} gave no answer", self.program.display()))
    }
}

impl Contender for Remote {
    fn call(&mut self, function: &str, arguments: &str) -> Result<String> {
        self.ask(&Request::Call { function: function.to_owned(), arguments: arguments.to_owned() })
    }

    fn twin(&self) -> Result<Box<dyn Contender>> {
        Ok(Box::new(Remote::start(self.program.clone(), self.arguments.clone())?))
    }

    fn times(&mut self, function: &str, arguments: &str, calls: usize) -> Result<Vec<Duration>> {
        self.ask(&Request::Times { function: function.to_owned(), arguments: arguments.to_owned(), calls })
    }

    fn storm(&mut self, function: &str, arguments: &str, calls: usize) -> Result<Duration> {
        self.ask(&Request::Storm { function: function.to_owned(), arguments: arguments.to_owned(), calls })
    }
}

impl Drop for Remote {
    fn drop(&mut self) {
        // At the end of its input it ends.
        drop(self.input.take());
        let _ = self.child.wait();
    }
}

//! A real `pawl serve` on a free port, over folders of its own, stopped when dropped.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use crate::plugins::target;

/// How long a start may take before a test gives up on it.
const START: Duration = Duration::from_secs(120);

/// What to serve.
pub struct Options {
    /// Name of a model folder under Pawl's home.
    pub model: &'static str,
    /// The settings file's text; none takes the embedded default.
    pub settings: Option<String>,
}

/// A server that runs.
pub struct Server {
    child: Child,
    /// `http://127.0.0.1:PORT`
    pub url: String,
    client: reqwest::Client,
}

impl Server {
    /// Starts the binary with its data in `data`, and waits until it is ready.
    ///
    /// # Errors
    /// Where it ends, or is not ready in time; with what it wrote.
    pub fn start(options: &Options, data: &Path) -> Result<Server> {
        Server::start_with(options, data, &[])
    }

    /// As [`Server::start`], with more environment.
    ///
    /// # Errors
    /// As [`Server::start`].
    pub fn start_with(options: &Options, data: &Path, environment: &[(&str, &str)]) -> Result<Server> {
        let mut command = Command::new(binary()?);
        command.args(["serve", "--listen", "127.0.0.1:0", "--model", options.model]);
        if let Some(settings) = &options.settings {
            let file = data.join("pawl.toml");
            std::fs::write(&file, settings)?;
            command.arg("--config").arg(&file);
        }
        let mut child = command
            .arg("--data")
            .arg(data)
            .arg("--plugins")
            .arg(plugins_folder()?)
            .envs(environment.iter().copied())
            .current_dir(data)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .context("pawl does not start")?;
        let stderr = child.stderr.take().context("no stderr")?;
        // The workspace builds reqwest without one; fails only where one is there already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let (sender, lines) = mpsc::channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                eprintln!("pawl: {line}");
                let _ = sender.send(line);
            }
        });
        let mut seen = Vec::new();
        loop {
            match lines.recv_timeout(START) {
                Ok(line) => {
                    if let Some(rest) = line.strip_prefix("ready on ") {
                        let url = rest.split(' ').next().unwrap_or_default().to_owned();
                        return Ok(Server { child, url, client: reqwest::Client::new() });
                    }
                    seen.push(line);
                }
                Err(_) => {
                    let _ = child.kill();
                    bail!("pawl serve did not become ready:\n{}", seen.join("\n"));
                }
            }
        }
    }

    /// Status and body of a POST with a JSON body.
    ///
    /// # Errors
    /// Where the server cannot be reached or does not answer with JSON.
    pub async fn post(&self, path: &str, body: &Value) -> Result<(u16, Value)> {
        self.post_text(path, body.to_string()).await
    }

    /// As [`Server::post`], with any text as body.
    ///
    /// # Errors
    /// As [`Server::post`].
    pub async fn post_text(&self, path: &str, body: String) -> Result<(u16, Value)> {
        let request =
            self.client.post(format!("{}{path}", self.url)).header("content-type", "application/json");
        let response = request.body(body).send().await?;
        let status = response.status().as_u16();
        Ok((status, response.json().await?))
    }

    /// Status and body of a GET.
    ///
    /// # Errors
    /// As [`Server::post`].
    pub async fn get(&self, path: &str) -> Result<(u16, Value)> {
        let response = self.client.get(format!("{}{path}", self.url)).send().await?;
        let status = response.status().as_u16();
        Ok((status, response.json().await?))
    }

    /// The data of each server-sent event of a POST, `[DONE]` included.
    ///
    /// # Errors
    /// Where the server cannot be reached or answers with an error.
    pub async fn stream(&self, path: &str, body: &Value) -> Result<Vec<String>> {
        let request =
            self.client.post(format!("{}{path}", self.url)).header("content-type", "application/json");
        let text = request.body(body.to_string()).send().await?.error_for_status()?.text().await?;
        Ok(text.lines().filter_map(|line| line.strip_prefix("data: ")).map(str::to_owned).collect())
    }

    /// Asks it to stop, as a service manager does, and waits until it has.
    ///
    /// # Errors
    /// Where it runs on for `patience`.
    pub fn stop(mut self, patience: Duration) -> Result<()> {
        let id = self.id().to_string();
        ensure!(Command::new("kill").args(["-TERM", &id]).status()?.success(), "kill fails");
        let began = Instant::now();
        while self.child.try_wait()?.is_none() {
            ensure!(began.elapsed() < patience, "it has not stopped within {patience:?}");
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    /// The number of its process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// A client of the server's, for requests of another shape.
    pub fn client(&self) -> &reqwest::Client {
        &self.client
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs `pawl` with arguments; gives exit code, standard output and standard error.
///
/// # Errors
/// Where it does not start.
pub fn pawl(arguments: &[&str], data: &Path) -> Result<(i32, String, String)> {
    pawl_with(arguments, data, &[])
}

/// As [`pawl`], with more environment.
///
/// # Errors
/// As [`pawl`].
pub fn pawl_with(
    arguments: &[&str],
    data: &Path,
    environment: &[(&str, &Path)],
) -> Result<(i32, String, String)> {
    let output = Command::new(binary()?)
        .args(arguments)
        .arg("--data")
        .arg(data)
        .arg("--plugins")
        .arg(plugins_folder()?)
        .envs(environment.iter().copied())
        .current_dir(data)
        .output()?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Ok((output.status.code().unwrap_or(-1), text(&output.stdout), text(&output.stderr)))
}

/// The program itself, for tests that start it in their own way.
///
/// # Errors
/// Where it is not built.
pub fn binary() -> Result<PathBuf> {
    let file = target().join("release/pawl");
    ensure!(file.is_file(), "{} is missing; `cargo xtask test` builds it", file.display());
    Ok(file)
}

/// The plugins, built.
///
/// # Errors
/// Where they are not.
pub fn plugins_folder() -> Result<PathBuf> {
    let folder = target().join("plugins");
    ensure!(folder.is_dir(), "{} is missing; `cargo xtask test` builds the plugins", folder.display());
    Ok(folder.canonicalize()?)
}

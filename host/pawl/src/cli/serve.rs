//! `pawl serve`: the chat endpoint.

use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, Result};
use clap::Args;
use pawl_flow::Scope;
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::config::Config;
use crate::flow::Runs;
use crate::plugins::model::LateModel;
use crate::triggers::{self, Triggers};
use crate::{api, app, record};

#[derive(Debug, Args)]
pub(crate) struct Serve {
    /// Address to listen on; port 0 takes a free one [default: 127.0.0.1:7411]
    #[arg(long, env = "PAWL_LISTEN", value_name = "ADDR")]
    listen: Option<SocketAddr>,
}

impl Serve {
    pub(crate) async fn run(self, config: Config) -> Result<ExitCode> {
        let address = self.listen.unwrap_or(config.listen);
        // The port first: a taken one is known before seconds of loading.
        let listener = TcpListener::bind(address)
            .await
            .with_context(|| format!("cannot listen on {address}; name another with --listen"))?;
        let address = listener.local_addr()?;
        if !address.ip().is_loopback() {
            eprintln!("pawl: listening beyond this machine on {address}, and there is no access control yet");
        }
        let (chat, took) = app::start(&config).await?;
        let embedder = chat.plugins.embedder().get().await?;
        let plugins = chat.plugins.now();
        for missing in plugins.missing() {
            eprintln!("pawl: plugin {} is not loaded: {}", missing.plugin, missing.why);
        }
        let (checking, tools) = (config.clone(), plugins.tools().cloned().collect::<Vec<_>>());
        for fault in tokio::task::spawn_blocking(move || triggers::faults(&checking, &tools)).await? {
            eprintln!("pawl: {fault}");
        }
        eprintln!(
            "ready on http://{address} in {:.1} s ({}, {} plugins, {} tools)",
            took.as_secs_f64(),
            chat.llm.info().name,
            plugins.loaded().len(),
            plugins.tools().count(),
        );
        drop(plugins);
        tokio::spawn(chat.plugins.clone().watch());
        let (warm, now) = (chat.clone(), config.now());
        tokio::spawn(async move {
            if let Err(error) = warm.warm_up(now).await {
                tracing::warn!("warm-up: {error}");
            }
        });
        let model = Arc::new(LateModel::loaded(config.clone(), chat.llm.clone(), chat.plugins.embedder()));
        let runs = Runs::open(&config, chat.plugins.clone(), model, &chat.approvals, Scope::All).await?;
        let triggers = Triggers::new(config.clone(), runs.clone());
        let mut watching = triggers.watch();
        watching.spawn(record::keep_tidy(config.clone(), runs.clone()));
        let shared =
            api::Shared { chat, embedder, runs: runs.clone(), triggers, config, stopping: stopping() };
        let served = api::serve(listener, shared).await;
        watching.shutdown().await;
        runs.close().await;
        served?;
        Ok(ExitCode::SUCCESS)
    }
}

/// Tells when the server is asked to stop. Asked once more, the process ends at once: whatever it does is written down before
/// it is done.
fn stopping() -> watch::Receiver<bool> {
    let (told, stopping) = watch::channel(false);
    tokio::spawn(async move {
        asked_to_stop().await;
        told.send_replace(true);
        asked_to_stop().await;
        eprintln!("pawl: stopped at once");
        std::process::exit(1);
    });
    stopping
}

/// Waits for ctrl-c, or for the signal that service managers send.
async fn asked_to_stop() {
    let interrupt = async {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    };
    #[cfg(unix)]
    let terminate = async {
        match tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
            Ok(mut signal) => {
                signal.recv().await;
            }
            Err(_) => std::future::pending().await,
        }
    };
    #[cfg(not(unix))]
    let terminate = std::future::pending::<()>();
    tokio::select! { () = interrupt => {}, () = terminate => {} }
}

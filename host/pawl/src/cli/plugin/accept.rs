//! `pawl plugin accept [NAME…]`: a person's word that a plugin may be used as it is now.
//!
//! Invariant: what is accepted is what was shown. The plugin is loaded once, its changes are shown, and that very
//! component is pinned; whatever the file holds a moment later has another digest.

use std::io::{BufRead, IsTerminal, Write};
use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::Args;

use crate::config::Config;
use crate::plugins::{self, lock::Lock};

#[derive(Debug, Args)]
pub(crate) struct Accept {
    /// Names of plugins of the settings [default: all of them]
    #[arg(value_name = "NAME")]
    names: Vec<String>,
    /// Without asking; the changes are shown all the same
    #[arg(long)]
    yes: bool,
}

impl Accept {
    pub(crate) fn run(self, config: &Config) -> Result<ExitCode> {
        let host = plugins::host(config)?;
        let mut refused = false;
        let all = || config.plugins.iter().map(|plugin| plugin.name.clone()).collect();
        let names: Vec<String> = if self.names.is_empty() { all() } else { self.names };
        for name in &names {
            let Some(settings) = config.plugins.iter().find(|plugin| plugin.name == *name) else {
                let known: Vec<&str> = config.plugins.iter().map(|plugin| plugin.name.as_str()).collect();
                bail!("no plugin \"{name}\" in {}, which has: {}", config.source, known.join(", "));
            };
            let plugin = match plugins::load_one(&host, settings) {
                Ok(plugin) => plugin,
                Err(missing) => bail!("plugin {name} is not loaded: {}", missing.why),
            };
            // Read anew for each, so that what another process accepted meanwhile is kept.
            let mut lock = Lock::read(&config.lock)?;
            match lock.changes(&plugin) {
                Some(changes) if changes.is_empty() => {
                    println!("{name} is as it was accepted");
                    continue;
                }
                Some(changes) => println!("{name} {}", changes.join("\n")),
                None => println!("{name} was never accepted; it is sha256:{}", plugin.digest()),
            }
            if !self.yes && !confirmed(name)? {
                println!("{name} stays as it was");
                refused = true;
                continue;
            }
            lock.accept(&plugin);
            lock.write(&config.lock)?;
            println!("{name} accepted");
        }
        Ok(ExitCode::from(u8::from(refused)))
    }
}

/// Asks the person at the terminal.
pub(super) fn confirmed(name: &str) -> Result<bool> {
    let stdin = std::io::stdin();
    if !stdin.is_terminal() {
        bail!(
            "a person has to accept {name}: run this at a terminal, or give --yes after a look at the changes"
        );
    }
    eprint!("accept {name} as it is now? [y/N] ");
    std::io::stderr().flush()?;
    let mut line = String::new();
    stdin.lock().read_line(&mut line)?;
    Ok(matches!(line.trim(), "y" | "yes"))
}

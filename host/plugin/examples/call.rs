//! Loads a plugin folder (NAME.wasm and plugin.toml), lists its tools or calls one, and times it.
//!
//! `cargo run --release -p pawl-plugin --example call -- FOLDER [FUNCTION JSON [REPEAT [DATABASE=FILE]]]`

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use pawl_plugin::{Grant, Host, HostOptions, Manifest};

#[tokio::main]
async fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let folder = Path::new(arguments.first().context("the folder of a plugin is missing")?);
    let manifest = Manifest::read(&folder.join("plugin.toml"))?;
    let database = arguments.get(4).and_then(|pair| pair.split_once('='));
    let database = database
        .map(|(name, file)| (name.to_owned(), pawl_plugin::DatabaseGrant::file(file)))
        .into_iter()
        .collect();
    let home = std::env::temp_dir().join("pawl-plugin-example");
    let options = HostOptions {
        compiled: Some(home.join("compiled")),
        compiler: None,
        keyvalue: home.join("keyvalue.sqlite"),
    };

    let start = Instant::now();
    let host = Host::new(options)?;
    println!("host ready in {:?}", start.elapsed());
    let component = folder.join(format!("{}.wasm", manifest.name));
    for round in ["first load", "load from the cache"] {
        let start = Instant::now();
        host.load(&component, manifest.clone(), Grant::default())?;
        println!("{round}: {:?}", start.elapsed());
    }
    let plugin = host.load(
        &component,
        manifest,
        Grant { keyvalue: true, random: true, database, ..Grant::default() },
    )?;
    let Some(function) = arguments.get(1) else {
        println!("{}", serde_json::to_string_pretty(plugin.tools())?);
        return Ok(());
    };
    let json = serde_json::from_str(arguments.get(2).map_or("{}", String::as_str))?;
    match plugin.call(function, &json).await {
        Ok(result) => println!("{result}"),
        Err(error) => println!("error: {error}"),
    }
    let repeat: usize = arguments.get(3).map_or(Ok(1), |count| count.parse())?;
    let mut times: Vec<Duration> = Vec::with_capacity(repeat);
    for _ in 0..repeat {
        let start = Instant::now();
        let _ = plugin.call(function, &json).await;
        times.push(start.elapsed());
    }
    times.sort_unstable();
    let at =
        |share: usize| times.get(times.len() * share / 100).or(times.last()).copied().unwrap_or_default();
    println!("{repeat} calls: median {:?}, 99 % {:?}", at(50), at(99));
    Ok(())
}

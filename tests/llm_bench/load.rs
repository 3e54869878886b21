//! Two hundred clients at once, a third of whose requests are hung up on where they take long: what is answered is valid, what is
//! too much is refused with 429, memory stays flat, and in the end nothing is stuck. Fails where that is not so; of memory a
//! short run says that it cannot tell. Run by `cargo xtask bench load`.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::documents;
use crate::peers::Peer;

const MODEL: &str = "qwen2.5-coder-0.5b-instruct-q4_k_m";
const CLIENTS: u64 = 200;
/// How long memory may grow, as caches fill.
const WARM_UP: Duration = Duration::from_secs(90);
/// Growth after that, of what the process holds, that passes as noise.
const GROWTH: f64 = 1.05;
/// Samples in a third of the time after that, without which growth is not told from noise.
const LEAST: usize = 4;

#[derive(Debug, Default)]
struct Counts {
    answered: AtomicU64,
    invalid: AtomicU64,
    hung_up: AtomicU64,
    refused: AtomicU64,
    failed: AtomicU64,
}

pub(crate) async fn run(minutes: f64) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let server = Arc::new(Peer::pawl(MODEL, folder.path(), 4096)?);
    let counts = Arc::new(Counts::default());
    let (began, end) = (Instant::now(), Instant::now() + Duration::from_secs_f64(minutes * 60.0));
    let clients: Vec<_> = (0..CLIENTS)
        .map(|client| {
            let (server, counts) = (server.clone(), counts.clone());
            tokio::spawn(async move { serve(&server, &counts, client, end).await })
        })
        .collect();
    let mut memory = Vec::new();
    while Instant::now() < end {
        tokio::time::sleep(Duration::from_secs(5)).await;
        memory.push((began.elapsed(), server.resident_bytes()?));
        eprintln!(
            "{:.0} s: {} MB, {counts:?}",
            began.elapsed().as_secs_f64(),
            server.resident_bytes()? >> 20
        );
    }
    for client in clients {
        client.await.context("a client panicked")?;
    }
    // Nothing is stuck: as many as run at once are answered now, and soon.
    let after = Instant::now();
    let last = (0..8).map(|seed| server.ask_any(small(90_000 + seed)));
    for (status, answer) in futures::future::try_join_all(last).await? {
        ensure!(status == 200 && is_valid(&answer), "after it: {status} {answer}");
    }
    let after = after.elapsed();
    let flat: Vec<f64> =
        memory.iter().filter(|(at, _)| *at > WARM_UP).map(|(_, bytes)| *bytes as f64).collect();
    let thirds = thirds(&flat);
    let held = match thirds {
        Some((early, late)) => {
            format!("{:.0} MB in the first third, {:.0} MB in the last", early / 1e6, late / 1e6)
        }
        None => "the run was too short to tell whether it grows".to_owned(),
    };
    let count = |count: &AtomicU64| count.load(Ordering::Relaxed);
    println!(
        "{CLIENTS} clients for {minutes} minutes on {MODEL}: {} answers, {} of them not valid; {} requests hung up on, {} refused with 429, \
         {} failed otherwise. Memory after {} s: {held}. Afterwards eight requests at once were answered within {:.1} s.",
        count(&counts.answered),
        count(&counts.invalid),
        count(&counts.hung_up),
        count(&counts.refused),
        count(&counts.failed),
        WARM_UP.as_secs(),
        after.as_secs_f64()
    );
    ensure!(count(&counts.answered) > 0 && count(&counts.refused) > 0, "too few answers or refusals");
    ensure!(count(&counts.invalid) + count(&counts.failed) == 0, "not every answer was valid");
    if let Some((early, late)) = thirds {
        ensure!(late <= early * GROWTH, "memory grew from {early} to {late}");
    }
    Ok(())
}

/// The medians of the first third and of the last; none where these are too few to tell.
fn thirds(samples: &[f64]) -> Option<(f64, f64)> {
    let third = samples.len() / 3;
    let median = |part: &[f64]| {
        let mut part = part.to_vec();
        part.sort_by(f64::total_cmp);
        part.get(part.len() / 2).copied()
    };
    if third < LEAST {
        return None;
    }
    Some((median(&samples[..third])?, median(&samples[samples.len() - third..])?))
}

/// One client: asks until the time is over, and every third time hangs up midway unless it was answered by then.
async fn serve(server: &Peer, counts: &Counts, client: u64, end: Instant) {
    let mut random = fastrand::Rng::with_seed(client);
    let add = |count: &AtomicU64| {
        count.fetch_add(1, Ordering::Relaxed);
    };
    while Instant::now() < end {
        let asked = server.ask_any(small(random.u64(..)));
        let reply = if random.u32(..3) == 0 {
            let patience = Duration::from_millis(random.u64(1..6000));
            let Ok(reply) = tokio::time::timeout(patience, asked).await else {
                add(&counts.hung_up);
                continue;
            };
            reply
        } else {
            asked.await
        };
        match reply {
            Ok((200, answer)) => {
                add(&counts.answered);
                if !is_valid(&answer) {
                    eprintln!("not valid: {answer}");
                    add(&counts.invalid);
                }
            }
            Ok((429, _)) => {
                add(&counts.refused);
                tokio::time::sleep(Duration::from_millis(random.u64(500..4000))).await;
            }
            Ok((status, answer)) => {
                eprintln!("{status}: {answer}");
                add(&counts.failed);
            }
            Err(error) => {
                eprintln!("{error:#}");
                add(&counts.failed);
            }
        }
    }
}

/// A short extraction.
fn small(seed: u64) -> Value {
    let text = format!("{}\n\nExtract the fields of the application as JSON.", documents::document(seed, 40));
    json!({"model": "default", "temperature": 0, "max_tokens": 120, "messages": [{"role": "user", "content": text}],
        "response_format": {"type": "json_schema", "json_schema": {"name": "person", "strict": true, "schema": schema()}}})
}

fn schema() -> Value {
    json!({"type": "object", "additionalProperties": false, "required": ["full_name", "reference", "reachable_by"],
        "properties": {"full_name": {"type": "string", "maxLength": 40}, "reference": {"type": "integer"},
            "reachable_by": {"enum": ["mail", "phone", "both"]}}})
}

fn is_valid(answer: &Value) -> bool {
    let text = answer["choices"][0]["message"]["content"].as_str().unwrap_or_default();
    serde_json::from_str(text).is_ok_and(|value| jsonschema::is_valid(&schema(), &value))
}

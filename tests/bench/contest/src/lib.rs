//! What all contenders share: the trait behind which they stand, the work, and how one that lives in another process is
//! asked.
//!
//! Invariant: a contender times itself in the process that it lives in, so that asking costs it nothing.

pub mod remote;
pub mod workload;

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

/// One way to call a function that somebody else wrote.
pub trait Contender: Send {
    /// Calls a function once: arguments as JSON text, the result as JSON text.
    fn call(&mut self, function: &str, arguments: &str) -> Result<String>;

    /// Another that shares what is loaded, for a second thread.
    fn twin(&self) -> Result<Box<dyn Contender>>;

    /// What each of `calls` calls takes, one after the other.
    fn times(&mut self, function: &str, arguments: &str, calls: usize) -> Result<Vec<Duration>> {
        let mut times = Vec::with_capacity(calls);
        for _ in 0..calls {
            let begun = Instant::now();
            std::hint::black_box(self.call(function, arguments)?);
            times.push(begun.elapsed());
        }
        Ok(times)
    }

    /// What `calls` calls take together: half of them on each of two threads.
    fn storm(&mut self, function: &str, arguments: &str, calls: usize) -> Result<Duration> {
        let mut twin = self.twin()?;
        let half = calls / 2;
        let begun = Instant::now();
        std::thread::scope(|scope| {
            let other = scope.spawn(move || twin.times(function, arguments, calls - half));
            let own = self.times(function, arguments, half);
            own.and_then(|_| other.join().ok().context("the second thread panicked")?)
        })?;
        Ok(begun.elapsed())
    }
}

/// What a new process says of its start.
#[derive(Debug, Serialize, Deserialize)]
pub struct Start {
    /// Milliseconds until it could be called.
    pub load: f64,
    /// Microseconds of the first call.
    pub first: f64,
    /// Peak resident memory of the process, MiB.
    pub memory: f64,
}

/// Loads, calls once with the small record, and prints what that took as JSON.
///
/// # Errors
/// Where loading or calling fails.
pub fn probe(load: impl FnOnce() -> Result<Box<dyn Contender>>) -> Result<()> {
    let work = workload::small();
    let begun = Instant::now();
    let mut contender = load()?;
    let load = micros(&begun.elapsed()) / 1000.0;
    let begun = Instant::now();
    contender.call(work.function, &work.arguments)?;
    let start = Start { load, first: micros(&begun.elapsed()), memory: peak_memory()? };
    println!("{}", serde_json::to_string(&start)?);
    Ok(())
}

/// A time in microseconds.
pub fn micros(time: &Duration) -> f64 {
    time.as_secs_f64() * 1e6
}

/// Peak resident memory of this process, MiB.
///
/// # Errors
/// Where the kernel does not say.
pub fn peak_memory() -> Result<f64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("no VmHWM")?;
    let kib: f64 = line.trim().trim_end_matches(" kB").parse()?;
    Ok(kib / 1024.0)
}
